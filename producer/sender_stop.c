/* sender_stop.c - the orderly end with a journal: what must outlive the process is handed over.
 *
 * Why on the sender's thread: everything it owns stays its own, and the journal sees the calls it knows.
 * Steps	sockets closed -> the journal has answered everything -> the rest handed over by spill() -> answered -> end
 * What is kept: batches with an identity whose bytes are nowhere else, or what is left of them, and of each lane all batches up
 *	to the last one that keep() wants; what lies behind that is still in its source.
 * Failure what the journal cannot keep is thrown away: there is nobody left to try again.
 */
#include "producer/sender.h"

#include "producer/core.h"

static bool journal_owes(const struct sender *s)
{
	if (s->at_journal)
		return true;
	list_each(it, &s->lanes)
		if (list_entry(it, struct lane, node)->seen_spilling)
			return true;
	return false;
}

static void throw_away(struct sender *s, struct batch *b)
{
	accum_uncount(s->accum, b);
	accum_settled(s->accum, b);
	batch_free(b, s->budget);
}

static void throw_list(struct sender *s, struct list *l)
{
	struct batch *b;

	while ((b = list_first(l, struct batch, node))) {
		list_remove(&b->node);
		throw_away(s, b);
	}
}

void sender_stop_answered(struct sender *s, struct batch *b)
{
	struct lane *l = b->lane;

	if (!s->stop_given && b->placed) {
		/* An answer from before, or of keep_restored: it is in its stream still. */
		if (l)
			l->spilling_planned--;
		b->placed = false;
		b->state = BATCH_PLANNED;
		b->error = 0;
		return;
	}
	if (!b->placed)
		lane_add_spilling(l, -1);
	if (s->stop_given) {
		throw_away(s, b);
		return;
	}
	b->state = BATCH_READY;
	b->error = 0;
	list_push_back(&l->bounced, &b->node);
}

/* --- what is handed over --- */

/* Of a lane that waits: the next life builds it again. */
static bool source_has(const struct sender *s, const struct batch *b)
{
	return b->lane && b->lane->waits && !(s->keep && s->keep(s->keep_arg, b));
}

/* Never recorded, and never sent or in their source: batches of their lanes again, older than all that spills which failed
 * gave back. */
static void give_back_unrecorded(struct sender *s, struct stream *st)
{
	uint32_t left = 0;

	for (uint32_t i = st->count; i-- > 0;) {
		struct batch *b = st->slots[i];

		if (b->ledger_id || !b->lane || b->row_id || batch_absent(b) || (b->attempts && !source_has(s, b)))
			continue;
		list_remove(&b->node);	/* replan */
		b->state = BATCH_READY;
		b->producer_id = -1;
		list_push_front(&b->lane->bounced, &b->node);
		st->slots[i] = NULL;
	}
	for (uint32_t i = 0; i < st->count; i++)
		if (st->slots[i])
			st->slots[left++] = st->slots[i];
	st->count = left;
}

static void empty_stream(struct sender *s, struct stream *st, struct list *out)
{
	give_back_unrecorded(s, st);
	for (uint32_t i = 0; i < st->count; i++) {
		struct batch *b = st->slots[i];

		list_remove(&b->node);	/* replan, reload */
		if ((b->ledger_id || b->attempts) && !b->row_id && !batch_absent(b) && !source_has(s, b)) {
			b->state = BATCH_SPILLING;
			b->placed = true;
			s->at_journal++;
			list_push_back(out, &b->node);
		} else {
			throw_away(s, b);
		}
	}
	st->count = st->planning = 0;
}

static void empty_lane(struct sender *s, struct lane *l, struct list *out)
{
	struct list *last = NULL;
	int32_t n = 0;

	throw_list(s, &l->returned);
	l->returned_count = 0;
	list_splice_front(&l->ready, &l->bounced);
	list_each(it, &l->ready)
		if (s->keep && s->keep(s->keep_arg, list_entry(it, struct batch, node)))
			last = it;
	while (last) {
		struct batch *b = list_first(&l->ready, struct batch, node);

		if (&b->node == last)
			last = NULL;
		list_remove(&b->node);
		b->state = BATCH_SPILLING;
		b->topic = l->topic->name;
		list_push_back(out, &b->node);
		n++;
	}
	lane_add_spilling(l, n);
	throw_list(s, &l->ready);
}

static void fetch(struct sender *s, struct batch *b)
{
	b->stop_step = 1;
	b->state = BATCH_LOADING;
	s->at_journal++;
	s->journal->load(s->journal->arg, b);
}

/* The journal owes nothing, so it could not be fetched some time ago, and waits for the next time: that is now. */
static void try_now(struct batch *b)
{
	if (b->state != BATCH_LOADING || b->stop_step)
		return;
	list_remove(&b->node);	/* reload */
	b->state = BATCH_PLANNED;
	b->retry_at_ms = 0;
}

/* One step for a batch of an earlier life, or of a lane that waits. True: the journal has it. Of one that cannot be built again
 * what is left is kept, if its files will not have it for long. */
static bool keep_one(struct sender *s, struct batch *b)
{
	struct list one;

	try_now(b);
	if ((b->lane && !b->lane->waits) || !b->ledger_id || b->row_id || b->state != BATCH_PLANNED || !s->keep)
		return false;
	if (b->gone && !b->keep_rest) {
		b->keep_rest = true;
		fetch(s, b);
		return true;
	}
	if (!s->keep(s->keep_arg, b)) {		/* gone: its ranges are those of what is left by now */
		if (b->gone)
			batch_drop_bytes(b, s->budget);
		return false;
	}
	if (batch_absent(b)) {
		if (b->stop_step || b->gone)
			return false;
		fetch(s, b);
		return true;
	}
	if (b->stop_step == 2)
		return false;
	b->stop_step = 2;
	b->state = BATCH_SPILLING;
	b->placed = true;
	if (b->lane)
		b->lane->spilling_planned++;
	s->at_journal++;
	list_init(&one);
	list_push_back(&one, &b->node);
	s->journal->spill(s->journal->arg, &one);
	return true;
}

/* What an earlier life sent is only in its files. Where no matched file holds it any more it is fetched and kept, one
 * after the other: memory is short. True: the journal owes an answer. */
static bool keep_restored(struct sender *s)
{
	list_each(it, &s->lanes) {
		struct lane *l = list_entry(it, struct lane, node);

		throw_list(s, &l->returned);
		l->returned_count = 0;
	}
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		for (uint32_t i = 0; i < st->count; i++)
			if (keep_one(s, st->slots[i]))
				return true;
	}
	return false;
}

static void give_rest(struct sender *s)
{
	struct list out;

	list_init(&out);
	list_each(it, &s->streams)
		empty_stream(s, list_entry(it, struct stream, node), &out);
	list_each(it, &s->lanes)
		empty_lane(s, list_entry(it, struct lane, node), &out);
	s->stop_given = true;
	/* In one call: the journal, which makes several transactions of it, knows what stands behind one that fails. */
	if (!list_empty(&out))
		s->journal->spill(s->journal->arg, &out);
}

void sender_stop_round(struct sender *s)
{
	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS; i++)
			conn_close(&list_entry(it, struct broker, node)->conn[i], NULL, s->now_ms);
	sender_take_answers(s);
	sender_finish(s);
	sender_news(s);
	/* What is refused for certain now would be uncertain in the next life. */
	if (!s->stop_given && !journal_owes(s))
		sender_cut_last(s);
	if (!s->stop_given && !journal_owes(s) && !keep_restored(s))
		give_rest(s);
	/* Answers may have come while that was on its way: another round looks. */
	if (s->stop_given && !journal_owes(s))
		loop_stop(&s->loop);
}

void sender_discard(struct sender *s)
{
	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS; i++)
			conn_close(&list_entry(it, struct broker, node)->conn[i], NULL, s->loop.now_ms);
	sender_news(s);
	throw_list(s, &s->done);
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		while (st->count) {
			struct batch *b = st->slots[--st->count];

			list_remove(&b->node);
			throw_away(s, b);
		}
	}
	list_each(it, &s->lanes) {
		struct lane *l = list_entry(it, struct lane, node);

		throw_list(s, &l->returned);
		throw_list(s, &l->bounced);
		throw_list(s, &l->ready);
	}
}

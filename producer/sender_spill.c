/* sender_spill.c - what memory cannot hold goes to the journal, and comes back when it can be sent.
 *
 * Why whole sealed batches: they are compressed, they keep their bytes, and draining them costs a header.
 * When: memory is dry, and for max.block.ms neither an answer came for this lane nor did it become busy or memory dry
 *	later than that. After the first spill every ready batch of the lane follows as it comes, until a good answer; so do
 *	those of other lanes that cannot send, until anyone's good answer ends the outage. A lane whose source is about to
 *	vanish (lane_rescue), or is none that keeps anything (lane_has_streams), waits for no dry memory, and only
 *	LANE_RESCUE_MS; the latter not even that when memory is dry. A held lane that comes near its share of memory waits for
 *	nothing (sender_held.c).
 * Invariants
 *  (1) one call of spill() at a time for each lane: a failure in the middle must not change the order.
 *  (2) unanswered batches go before ready ones, for they are older; they stay in their streams, without bytes.
 *  (3) rows come back in order behind those that came back before; after a rewind from the oldest again, which is asked
 *      for only when no refill is on its way and the identity of every row that came back is recorded.
 * Failure spilling that fails is tried again after the time the journal says, or given up when the broker is back.
 */
#include "producer/sender.h"

#include <stdatomic.h>

#include "producer/core.h"

#define MAKE_ROOM_MS 200	/* refilling waits so long for the one that needs memory more */

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* --- out --- */

/* Its oldest batch has an identity that could not be recorded: what is newer must not become a row before it. */
static bool unrecorded(const struct sender *s, const struct lane *l)
{
	list_each(it, &s->replan)
		if (list_entry(it, struct batch, node)->lane == l)
			return true;
	return false;
}

/* A lane holds what is nowhere else, or soon will not be. */
static bool must_rescue(struct sender *s, const struct lane *l, bool tight)
{
	int64_t at_ms = later(l->since_ms, l->last_good_ms) + LANE_RESCUE_MS;
	bool streams = atomic_load_explicit(&l->streams, memory_order_relaxed);

	if (!streams && atomic_load_explicit(&l->rescue_until_ms, memory_order_relaxed) <= s->now_ms)
		return false;
	if (streams && tight)
		return true;
	if (at_ms > s->now_ms)
		sender_lower_wake(s, at_ms);
	return at_ms <= s->now_ms;
}

static bool may_spill(struct sender *s, struct lane *l, int64_t tight_ms)
{
	int64_t at_ms;

	if (unrecorded(s, l))
		return false;
	if (l->seen_spilling || l->spilling_planned || (list_empty(&l->ready) && !l->in_streams))
		return false;
	if (!l->spill_mode && !l->waits && must_rescue(s, l, tight_ms >= 0))
		l->spill_mode = true;
	if (!l->spill_mode && !sender_share_used_up(l, tight_ms >= 0)) {
		/* It is waited once an outage, not once a lane: nobody has answered since, and this lane cannot send either. */
		if (s->outage && !l->usable) {
			l->spill_mode = true;
			return l->spill_at_ms <= s->now_ms;
		}
		if (tight_ms < 0)
			return false;
		at_ms = later(later(tight_ms, l->since_ms), l->last_good_ms) + s->config->max_block_ms;
		if (at_ms > s->now_ms) {
			sender_lower_wake(s, at_ms);
			return false;
		}
		l->spill_mode = s->outage = true;
	}
	if (l->spill_at_ms > s->now_ms) {
		sender_lower_wake(s, l->spill_at_ms);
		return false;
	}
	return true;
}

/* Unanswered batches of this lane that are on no socket and whose bytes are nowhere else. */
static size_t take_unanswered(struct sender *s, struct lane *l, struct stream *st, size_t bytes, struct list *out)
{
	for (uint32_t i = 0; i < st->count && bytes < SENDER_SPILL_BYTES; i++) {
		struct batch *b = st->slots[i];

		if (b->lane != l || b->state != BATCH_PLANNED || batch_absent(b) || b->row_id ||
		    (!b->ledger_id && !s->journal->may_double))
			continue;
		b->state = BATCH_SPILLING;
		b->placed = true;
		l->spilling_planned++;
		s->at_journal++;
		bytes += b->bytes;
		list_push_back(out, &b->node);
	}
	return bytes;
}

static void spill_lane(struct sender *s, struct lane *l)
{
	struct topic *t = l->topic;
	size_t bytes = 0;
	struct list out;
	struct batch *b;
	int32_t n = 0;

	list_init(&out);
	for (int32_t i = 0; i < t->stream_cap && l->in_streams; i++)
		if (t->streams[i])
			bytes = take_unanswered(s, l, t->streams[i], bytes, &out);
	while (bytes < SENDER_SPILL_BYTES && (b = list_first(&l->ready, struct batch, node))) {
		list_remove(&b->node);
		b->state = BATCH_SPILLING;
		b->topic = t->name;
		bytes += b->bytes;
		n++;
		list_push_back(&out, &b->node);
	}
	if (list_empty(&out))
		return;
	lane_add_spilling(l, n);
	s->journal->spill(s->journal->arg, &out);
}

/* All but one: NULL is fine. */
static void drop_bytes_but(struct sender *s, struct stream *st, const struct batch *but)
{
	for (uint32_t i = 0; i < st->count; i++) {
		struct batch *b = st->slots[i];

		/* One in a list was gathered for a request of this very round (a connection may break while the other one's
		 * request is put together). */
		if (b != but && b->state == BATCH_PLANNED && list_empty(&b->node) && !batch_absent(b) && (b->row_id || !b->lane)) {
			batch_drop_bytes(b, s->budget);
			accum_settled(s->accum, b);
		}
	}
}

/* A partition that takes nothing has no use for what came back, and others cannot come back for it. But the next try. */
static void drop_rows(struct sender *s, struct stream *st)
{
	int64_t never = INT64_MAX;

	drop_bytes_but(s, st, stream_next(st, s->now_ms, &never));
}

/* What is bound to a partition that takes nothing fills memory, while its lane goes on with others and never waits. */
static void spill_stream(struct sender *s, struct stream *st)
{
	struct list out;

	list_init(&out);
	for (uint32_t i = 0; i < st->count; i++) {
		struct lane *l = st->slots[i]->lane;

		if (l && l->usable && !l->waits && !l->spilling_planned && l->spill_at_ms <= s->now_ms && !unrecorded(s, l))
			take_unanswered(s, l, st, 0, &out);
	}
	if (!list_empty(&out))
		s->journal->spill(s->journal->arg, &out);
}

static bool has_source(const struct lane *l, int64_t file_id, int64_t offset)
{
	struct topic *t = l->topic;

	list_each(it, &l->ready)
		if (batch_has_source(list_entry(it, struct batch, node), file_id, offset))
			return true;
	for (int32_t i = 0; i < t->stream_cap && l->in_streams; i++)
		for (uint32_t k = 0; t->streams[i] && k < t->streams[i]->count; k++) {
			const struct batch *b = t->streams[i]->slots[k];

			if (b->lane == l && b->state == BATCH_PLANNED && batch_has_source(b, file_id, offset))
				return true;
		}
	return false;
}

/* The lane whose batch keeps a file's position back spills from now on, as if memory were dry. What is open is sealed, and
 * found when it is asked for again. */
static void find_stuck(struct sender *s)
{
	int64_t file_id, offset;

	pthread_mutex_lock(&s->accum->mu);
	file_id = s->accum->stuck_file;
	offset = s->accum->stuck_offset;
	s->accum->stuck_file = 0;
	pthread_mutex_unlock(&s->accum->mu);
	if (!file_id)
		return;
	list_each(it, &s->lanes) {
		struct lane *l = list_entry(it, struct lane, node);

		if (!l->usable)
			lane_seal_source(l, file_id, offset, s->now_ms);
		if (!l->waits && has_source(l, file_id, offset) && !l->spill_mode)
			l->spill_mode = true;
	}
}

void sender_spill(struct sender *s)
{
	int64_t tight_ms = budget_tight_since(s->budget);

	find_stuck(s);
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (!stream_stuck(st))
			continue;
		drop_rows(s, st);
		if (tight_ms >= 0)
			spill_stream(s, st);
	}
	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		if (!may_spill(s, l, tight_ms))
			continue;
		if (l->waits)
			sender_shut(s, l);
		else
			spill_lane(s, l);
	}
}

void sender_spill_answered(struct sender *s, struct batch *b)
{
	struct lane *l = b->lane;
	int rc = b->error;

	if (s->stopping) {
		sender_stop_answered(s, b);
		return;
	}
	if (rc < 0)
		l->spill_at_ms = s->now_ms + b->retry_at_ms;
	b->error = 0;
	b->retry_at_ms = 0;
	if (b->placed) {
		l->spilling_planned--;
		b->placed = false;
		b->state = BATCH_PLANNED;
		return;
	}
	b->state = BATCH_READY;
	list_push_back(&l->bounced, &b->node);
	lane_add_spilling(l, -1);
	if (!l->seen_spilling)
		list_splice_front(&l->ready, &l->bounced);
	sender_busy(s, l);
}

/* Bytes that can be had again make room for others while their stream cannot use them. */
void sender_drop_bytes(struct sender *s, struct stream *st)
{
	drop_bytes_but(s, st, NULL);
}

/* The lane cannot send what came back: its memory is for others. */
static void give_back(struct sender *s, struct lane *l)
{
	uint64_t n = l->returned_count;
	struct batch *b;

	while ((b = list_first(&l->returned, struct batch, node))) {
		list_remove(&b->node);
		batch_free(b, s->budget);
	}
	l->returned_count = 0;
	l->rewind_due = true;
	lane_add_backlog(l, n);
}

/* What is to go next has no bytes. While they are fetched, or kept elsewhere, they are the journal's to look at. */
static bool lacks_next(const struct stream *st)
{
	for (uint32_t i = 0; i < st->count; i++) {
		const struct batch *b = st->slots[i];

		if (b->state != BATCH_SENT)
			return b->state == BATCH_LOADING || (b->state == BATCH_PLANNED && batch_absent(b));
	}
	return false;
}

/* A batch that must go next finds no memory to be loaded into. What came back and is not planned, and what stands behind
 * such a batch in its stream, may hold it all and could not move before it does: away with their bytes. */
void sender_make_room(struct sender *s)
{
	int64_t never = INT64_MAX;

	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (st->recovering || lacks_next(st))
			drop_bytes_but(s, st, stream_next(st, INT64_MAX, &never));
	}
	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		if (!l->returned_count || !s->journal->rewind)
			continue;
		give_back(s, l);
		l->refill_at_ms = s->now_ms + MAKE_ROOM_MS;
	}
}

/* --- back --- */

static void refill_lane(struct sender *s, struct lane *l, bool usable)
{
	const struct producer_journal *j = s->journal;

	if (l->returned_count && (l->rewind_due || !usable) && j->rewind)
		give_back(s, l);
	if (l->rewind_due && !l->refilling && !l->planning_rows) {
		l->rewind_due = false;
		j->rewind(j->arg, l);
	}
	if (!usable || !l->seen_backlog || l->refilling || l->rewind_due || l->returned_count > SENDER_RETURNED_MAX / 2)
		return;
	if (l->refill_at_ms > s->now_ms) {
		sender_lower_wake(s, l->refill_at_ms);
		return;
	}
	l->refilling = true;
	s->at_journal++;
	j->refill(j->arg, l, SENDER_RETURNED_MAX - l->returned_count, s->refill_bytes);
}

static bool has_older(const struct sender *s, const struct lane *waits)
{
	list_each(it, &s->busy) {
		const struct lane *l = list_entry(it, struct lane, busy_node);

		if (l->earlier && l->topic == waits->topic && l->partition == waits->partition && l != waits)
			return true;
	}
	return false;
}

/* Which lanes that wait have to go on waiting. */
static void find_behind(struct sender *s)
{
	bool any = false;

	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		if (!l->seen_backlog && !l->returned_count && !l->refilling)
			l->earlier = 0;		/* some may have been given up */
		any |= l->earlier != 0;
	}
	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		l->behind = any && l->waits && has_older(s, l);
	}
}

void sender_refill(struct sender *s)
{
	if (s->journal)
		find_behind(s);
	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		l->usable = sender_lane_usable(s, l);
		if (s->journal && (l->seen_backlog || l->returned_count || l->rewind_due))
			refill_lane(s, l, l->usable || sender_can_place(l));
	}
}

/* sender_cut.c - batches that were refused for what they hold: what is done about them, step by step.
 *
 *	refused for certain -> the stream is quiet -> bytes are here -> cutter -> (journal) -> the parts take the slot
 *
 *	MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE   many records: parts; a single one: taken out
 *	INVALID_RECORD, INVALID_TIMESTAMP	   the records that the broker names are taken out; if it names none: halves,
 *						   until a single one is left; lines whose time is old get the time of now
 *
 * Why all records of a batch refused for one reason are not taken out (with a journal): then it is the topic that takes
 *	none like these, a compacted one without keys say, and it must not eat a whole log. The partition is held.
 * Invariants
 *  (1) until the journal has recorded what takes the place of a batch, nothing of its stream is sent: after a crash there
 *      is either the batch, under its identity, or its parts under theirs, in the same order.
 *  (2) parts that hold all records of a batch have its sequences. When records are taken out, all that is left of the
 *      stream has a new identity, recorded in the same transaction.
 * Failure no memory: a little later, in two parts. No room for what is rejected, or no disk: held, and tried again.
 */
#include "producer/sender.h"

#include <stdatomic.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/core.h"

#define CODE_INVALID_TIMESTAMP 32
#define RETRY_MS 50
#define RESTAMP_MS 60000	/* younger times than that are not what is wrong */

void sender_cut_name(struct batch *b, const struct api_produce_answer *a)
{
	struct api_record_errors errors = a->records;
	const char *words;
	int32_t index;
	size_t n;

	cut_free(b->cut, NULL);
	b->cut = cut_new(a->error);
	/* Parts of what is too large hold all of its records, whoever names some of them. */
	if (api_error(a->error)->class != API_ERR_RECORD)
		return;
	while (b->cut && api_next_record_error(&errors, &index, &words, &n))
		if (index >= 0 && index < b->count && cut_add_culprit(b->cut, index, words ? words : a->message,
								      words ? n : a->message_len) < 0) {
			cut_free(b->cut, NULL);
			b->cut = NULL;
		}
}

/* --- what is to be done --- */

/* Later batches of the topic are sealed at half of what was refused. */
static uint32_t learn(struct topic *t, const struct batch *b)
{
	uint32_t half = b->raw_bytes / 2, known = atomic_load(&t->raw_max);

	if (half && (!known || half < known))
		atomic_store(&t->raw_max, known = half);
	return known;
}

enum verdict { CUT_IT, HOLD_IT, RESTAMP_IT };

static enum verdict judge_records(struct sender *s, struct stream *st, struct batch *b, const char **ret_why)
{
	struct cut *c = b->cut;

	if (c->code == CODE_INVALID_TIMESTAMP && s->journal && clock_wall_ms() - b->base_timestamp > RESTAMP_MS)
		return RESTAMP_IT;
	*ret_why = "every record of a batch is refused, so it is the topic that takes none like these; "
		   "a compacted topic wants keys (cleanup.policy)";
	if (c->culprit_count) {
		if (s->journal && cut_condemns_all(c, b->count))
			return HOLD_IT;
		c->recount = true;
		return CUT_IT;
	}
	if (b->count > 1) {
		b->halved = true;
		c->target = b->raw_bytes / 2;
		c->parts_max = 2;
		return CUT_IT;
	}
	if (s->journal && (!b->halved || st->taken_out))
		return HOLD_IT;
	c->all = c->recount = true;
	return CUT_IT;
}

static enum verdict judge(struct sender *s, struct stream *st, struct batch *b, const char **ret_why)
{
	struct cut *c = b->cut;

	if (api_error(c->code)->class != API_ERR_SPLIT)
		return judge_records(s, st, b, ret_why);
	if (b->count == 1) {
		c->all = c->recount = true;
		return CUT_IT;
	}
	c->target = learn(st->owner, b);
	return CUT_IT;
}

static void later(struct sender *s, struct stream *st)
{
	st->cut_at_ms = s->now_ms + RETRY_MS;
	sender_lower_wake(s, st->cut_at_ms);
}

static void drop_cut(struct sender *s, struct batch *b)
{
	cut_free(b->cut, s->budget);
	b->cut = NULL;
}

static void begin(struct sender *s, struct stream *st, struct batch *b)
{
	enum verdict v;
	const char *why = NULL;

	if (!b->cut)
		b->cut = cut_new(st->cut_code);
	if (!b->cut) {
		later(s, st);
		return;
	}
	v = judge(s, st, b, &why);
	if (v == HOLD_IT) {
		drop_cut(s, b);
		stream_cut_off(st, why, s->now_ms);
	} else if (v == RESTAMP_IT) {
		drop_cut(s, b);
		stream_restamp(st, clock_wall_ms(), s->round);
		if (b->lane)
			b->lane->planning_rows += b->row_id != 0;
		list_push_back(&s->to_plan, &b->node);
	} else if (b->cut->recount && !stream_can_renew(st, &s->id)) {
		s->id_stale = true;
		later(s, st);
	} else if (cutter_push(&s->cutter, b) < 0) {
		later(s, st);
	} else {
		b->state = BATCH_CUTTING;
		s->at_journal++;
	}
}

/* --- recording --- */

static void give(struct sender *s, struct batch *b)
{
	b->cut->step = CUT_RECORDING;
	s->at_journal++;
	s->journal->replace(s->journal->arg, b);
}

/* Those behind it too: for their new identity, or because without sequences only the ledger knows who comes first. */
static bool recorded_anew(const struct stream *st, const struct cut *c)
{
	return c->recount || (st->conf->journaled && !st->conf->idempotent);
}

/* Those behind it, for the journal. 0 or ERR_NOMEM. */
static int note_others(struct stream *st, struct cut *c)
{
	if (!recorded_anew(st, c) || st->count == 1)
		return 0;
	c->others = mem_array(struct batch *, st->count - 1);
	if (!c->others)
		return ERR_NOMEM;
	while (c->other_count < st->count - 1) {
		c->others[c->other_count] = st->slots[c->other_count + 1];
		c->other_count++;
	}
	return 0;
}

/* While the bytes were cut, some of those behind it may have gone to be kept elsewhere. */
static bool others_ready(const struct stream *st)
{
	for (uint32_t i = 1; i < st->count; i++)
		if (st->slots[i]->state != BATCH_PLANNED)
			return false;
	return true;
}

/* The bytes are cut. False: not yet, and nothing has changed. */
static bool identify(struct sender *s, struct stream *st, struct cut *c)
{
	if (c->identified)
		return true;
	if (recorded_anew(st, c) && (!others_ready(st) || !stream_can_renew(st, &s->id)))
		return false;
	if (stream_cut_reserve(st, list_count(&c->parts)) < 0 || (s->journal && note_others(st, c) < 0))
		return false;
	c->identified = true;
	if (recorded_anew(st, c))
		stream_cut_recount(st, &c->parts, &s->id);
	else
		stream_cut_split(st, &c->parts);
	list_each(it, &c->parts) {
		struct batch *part = list_entry(it, struct batch, node);

		part->state = BATCH_PLANNING;
		part->cluster_id = metadata_cluster_id(&s->metadata);
	}
	for (uint32_t i = 0; i < c->other_count; i++) {
		struct batch *o = c->others[i];

		o->cluster_id = metadata_cluster_id(&s->metadata);
		if (o->lane)
			o->lane->planning_rows += o->row_id != 0;
	}
	return true;
}

/* --- the end of it --- */

/* Without a journal parts and failures stay in the books that the batch is taken out of. */
static void count_in(struct sender *s, struct batch *b, struct list *l)
{
	list_each(it, l) {
		struct batch *part = list_entry(it, struct batch, node);

		part->counted = b->counted;
		part->sealed_live = b->sealed_live;
		part->topic = b->topic;
	}
	accum_cut(s->accum, b, list_count(l));
}

static void finish(struct sender *s, struct stream *st, struct batch *b)
{
	struct cut *c = b->cut;
	uint32_t left = list_count(&c->parts);

	if (!s->journal) {
		left += list_count(&c->fails);
		count_in(s, b, &c->parts);
		count_in(s, b, &c->fails);
		accum_settled(s->accum, b);
		list_splice_back(&s->done, &c->fails);
	}
	for (uint32_t i = 0; i < c->other_count; i++)
		if (c->others[i]->lane)
			c->others[i]->lane->planning_rows -= c->others[i]->row_id != 0;
	if (b->lane)
		b->lane->in_streams += left - 1;
	if (left > 1)
		sampled_add(&s->metrics.batch_splits, 1, s->now_ms);
	st->taken_out += c->all;
	stream_cut_done(st, &c->parts, s->now_ms);
	batch_free(b, s->budget);
}

/* The bytes are cut, and in the parts. */
static void go_on(struct sender *s, struct stream *st, struct batch *b)
{
	if (!identify(s, st, b->cut)) {
		b->cut->step = CUT_WAITING;
		later(s, st);
	} else if (s->journal) {
		give(s, b);
	} else {
		finish(s, st, b);
	}
}

static void cut_bytes_answered(struct sender *s, struct stream *st, struct batch *b)
{
	int rc = b->error;

	b->error = 0;
	if (rc == 0) {
		go_on(s, st, b);
	} else if (rc == ERR_BAD_DATA) {
		b->state = BATCH_PLANNED;
		drop_cut(s, b);
		stream_cut_off(st, "its bytes are no records; please report it", s->now_ms);
	} else {
		b->state = BATCH_PLANNED;
		b->cut->parts_max = 2;
		later(s, st);
	}
}

static void recording_answered(struct sender *s, struct stream *st, struct batch *b)
{
	int rc = b->error;

	b->error = 0;
	if (rc == 0) {
		finish(s, st, b);
		return;
	}
	b->cut->step = CUT_WAITING;
	st->hold_code = st->cut_code;
	st->hold_why = rc == ERR_SPOOL_FULL ? "there is no room left for rejected records; `spillway spool export --rejected` "
		"shows them, `spillway spool purge --rejected` makes room" : "the state database cannot be written";
	st->cut_at_ms = s->now_ms + b->retry_at_ms;
	b->retry_at_ms = 0;
	sender_lower_wake(s, st->cut_at_ms);
}

void sender_cut_answered(struct sender *s, struct batch *b)
{
	struct stream *st = sender_stream(s, b);

	if (b->cut->step == CUT_BYTES)
		cut_bytes_answered(s, st, b);
	else
		recording_answered(s, st, b);
}

static void step(struct sender *s, struct stream *st)
{
	struct batch *b = st->cutting;

	if (b->state == BATCH_CUTTING ? b->cut->step != CUT_WAITING : st->sent || !stream_cut_ready(st))
		return;		/* somebody has it */
	if (st->voided && b->state != BATCH_CUTTING)
		return;		/* that was another log */
	if (st->cut_at_ms > s->now_ms)
		sender_lower_wake(s, st->cut_at_ms);
	else if (b->state != BATCH_CUTTING && batch_absent(b))
		sender_load(s, b);
	else if (b->state != BATCH_CUTTING)
		begin(s, st, b);
	else
		go_on(s, st, b);
}

/* What waits for its time has none: tried at once, and not again. */
static void hurry(struct sender *s, struct stream *st)
{
	struct cut *c = st->cutting->cut;

	if (!c || c->step != CUT_WAITING || c->last_try)
		return;
	c->last_try = true;
	st->cut_at_ms = s->now_ms;
}

void sender_cut_last(struct sender *s)
{
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (st->cutting)
			hurry(s, st);
	}
	sender_cut(s);
}

void sender_cut(struct sender *s)
{
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (st->cutting)
			step(s, st);
	}
}

/* state_commit.c - the two transactions of the state thread: the ledger's and the spool's.
 *
 * Failure: a transaction that fails is undone whole. Plans are then answered with the error (the sender asks again),
 * notes and acks stay queued and are tried again after RETRY_MS: an unrecorded ack only means that its batch would be
 * repeated, and recognised, after a crash. Spilled batches go back to their lane.
 */
#include <stdatomic.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/killpoint.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/state/state_int.h"

#define RETRY_MS          1000
#define TOLD_MS           200		/* by then the sender has heard of plans that failed */
#define SPILL_BYTES_MAX   (8u << 20)

/* Counted as rejected by spool_reject. */
static int set_aside(struct spool *s, const struct note *n, struct err *e)
{
	struct spool_rejected r = n->rejected.record;
	int rc = spool_reject(s, &r, e);

	return rc < 0 ? rc : spool_finish(s, r.ranges, r.range_count, SPOOL_REJECTED, 0, e);
}

static int apply_note(struct spool *s, const struct note *n, struct err *e)
{
	switch (n->kind) {
	case NOTE_FILE:     return spool_file_put(s, &n->file, e);
	case NOTE_FORGET:   return spool_file_forget(s, n->file_id, e);
	case NOTE_ROUTE:    return spool_route_put(s, &n->route, e);
	case NOTE_FINISHED: return spool_finish(s, &n->range, 1, SPOOL_FILTERED, n->range.count, e);
	case NOTE_REJECTED: return set_aside(s, n, e);
	case NOTE_PARTITIONS: return spool_partitions_put(s, n->text, n->partitions, e);
	case NOTE_LOSS:     return spool_loss_add(s, &n->loss, e);
	}
	return ERR_INTERNAL;
}

/* Rejected lines that find no room are left out: the transaction goes on without them. */
static int apply_notes(struct state *st, struct err *e)
{
	list_each(it, &st->todo.notes) {
		struct note *n = list_entry(it, struct note, node);
		int rc = apply_note(st->spool, n, e);

		n->refused = n->kind == NOTE_REJECTED && rc == ERR_SPOOL_FULL;
		if (rc < 0 && !n->refused)
			return rc;
	}
	return 0;
}

struct spool_range *state_ranges(const struct batch *b)
{
	uint32_t n = b->range_count + b->lost_ranges;
	struct spool_range *r = mem_array(struct spool_range, n ? n : 1);

	for (uint32_t i = 0; r && i < n; i++) {
		const struct source_range *from = &b->ranges[i];

		r[i] = (struct spool_range){ .file_id = from->file_id, .from = from->from, .to = from->to,
			.marker = from->marker, .count = from->count, .route = from->route, .filtered = from->filtered };
	}
	return r;
}

/* What no file holds any more ends here; the broker may have it. */
static int drop_lost(struct spool *s, const struct batch *b, const struct spool_range *ranges, struct err *e)
{
	return spool_drop(s, b->topic, b->partition, ranges + b->range_count, b->lost_ranges, (uint64_t)b->dropped,
			  SPOOL_LOSS_GONE, e);
}

int state_plan_one(struct spool *s, struct batch *b, struct err *e)
{
	struct spool_range *ranges = state_ranges(b);
	struct spool_ledger l = {
		.cluster_id = b->cluster_id ? b->cluster_id : "",
		.topic = b->topic,
		.partition = b->partition,
		.producer_id = b->producer_id,
		.producer_epoch = b->producer_epoch,
		.base_sequence = b->base_sequence,
		.count = b->count,
		.base_timestamp = b->base_timestamp,
		.max_timestamp = b->max_timestamp,
		.codec = b->codec,
		.raw_crc = b->raw_crc,
		.raw_bytes = b->raw_bytes,
		.row_id = b->row_id,
		.ranges = ranges,
		.range_count = b->row_id ? 0 : b->range_count,
	};
	int rc = 0;

	if (!ranges)
		return err_set(e, ERR_NOMEM, "out of memory");
	memcpy(l.topic_id, b->topic_id, sizeof l.topic_id);
	/* Withdrawn: the new identity takes the place of the old one. */
	if (b->ledger_id)
		rc = spool_unplan(s, b->ledger_id, e);
	if (b->lost_ranges && !b->kept_rest && rc >= 0)		/* with a rest that was kept it is in what was just undone */
		rc = drop_lost(s, b, ranges, e);
	if (rc >= 0)
		rc = spool_plan(s, &l, e);
	/* Of what is sent again alone. */
	if (b->ledger_id && b->uncertain && rc >= 0)
		rc = spool_uncertain(s, l.id, e);
	b->planned_id = l.id;
	mem_free(ranges);
	return rc;
}

static void say_lost(const struct batch *b)
{
	for (uint32_t i = 0; i < b->lost_ranges; i++) {
		const struct source_range *r = &b->ranges[b->range_count + i];

		log_error(b->uncertain ? "lines in flight when the last run ended are no longer in their file: counted as dropped, "
					 "though they may be in Kafka" :
			  "lines in flight when the last run ended are no longer in their file: counted as dropped",
			  KS("topic", b->topic), KI("partition", b->partition), KI("records", r->count),
			  KI("file_id", r->file_id), KI("from", r->from), KI("to", r->to));
	}
}

void state_plan_done(struct batch *b)
{
	const struct source_range *r = b->ranges;
	bool known = b->range_count > 0;

	if (b->uncertain && b->ledger_id)
		log_warn("nobody can tell whether these lines are in Kafka, they are sent again and counted as uncertain",
			KS("topic", b->topic), KI("partition", b->partition), KI("records", b->count),
			KI("file_id", known ? r->file_id : 0), KI("from", known ? r->from : 0),
			KI("to", known ? r[b->range_count - 1].to : 0), KI("row", b->row_id));
	say_lost(b);
	b->uncertain = false;
	b->ledger_id = b->planned_id;
}

/* Neither file nor row has its records any more; the broker may have them. The bytes of a damaged row stay for people. */
static int lose_one(struct spool *s, const struct batch *b, struct err *e)
{
	return b->row_id ? spool_row_set_aside(s, b->row_id, e) : spool_ledger_drop(s, b->ledger_id, SPOOL_LOSS_GONE, e);
}

int state_finish(struct spool *s, const struct batch *b, uint64_t records, struct err *e)
{
	struct spool_range *ranges = state_ranges(b);
	int rc;

	if (!ranges)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = spool_finish(s, ranges, b->range_count, SPOOL_ACKED, records, e);
	mem_free(ranges);
	return rc;
}

static int ack_one(struct spool *s, const struct batch *b, struct err *e)
{
	return b->ledger_id ? spool_acked(s, b->ledger_id, e) : state_finish(s, b, (uint64_t)b->count, e);
}

static int apply_ledger(struct state *st, struct err *e)
{
	struct work *w = &st->todo;
	int rc = 0;

	rc = apply_notes(st, e);
	if (rc < 0)
		return rc;
	list_each(it, &w->acks)
		if ((rc = ack_one(st->spool, list_entry(it, struct batch, node), e)) < 0)
			return rc;
	list_each(it, &w->lost)
		if ((rc = lose_one(st->spool, list_entry(it, struct batch, node), e)) < 0)
			return rc;
	list_each(it, &w->plans)
		if ((rc = state_plan_one(st->spool, list_entry(it, struct batch, node), e)) < 0)
			return rc;
	return 0;
}

bool state_sync_due(const struct state *st, int64_t now)
{
	return st->unsynced && now >= st->full_at_ms + STATE_FULL_EVERY_MS;
}

static int commit_ledger(struct state *st, int64_t now, struct err *e)
{
	bool full = st->sync == SPOOL_FULL || now >= st->full_at_ms + STATE_FULL_EVERY_MS;
	int rc = spool_begin(st->spool, full ? SPOOL_FULL : SPOOL_NORMAL, e);

	if (rc < 0)
		return rc;
	rc = apply_ledger(st, e);
	if (rc < 0) {
		spool_rollback(st->spool);
		return rc;
	}
	killpoint(KILL_LEDGER_BEFORE);
	rc = spool_commit(st->spool, e);
	if (rc >= 0)
		killpoint(KILL_LEDGER_AFTER);
	if (rc >= 0 && full)
		st->full_at_ms = now;
	if (rc >= 0)
		st->unsynced = !full;
	return rc;
}

/* The positions that what was lost has moved, and the producer's books: under their lock. */
static void shrink_planned(struct state *st)
{
	list_each(it, &st->todo.plans) {
		struct batch *b = list_entry(it, struct batch, node);

		for (uint32_t i = 0; i < b->lost_ranges; i++)
			state_publish_file(st, b->ranges[b->range_count + i].file_id);
		producer_shrunk(st->producer, b);
	}
}

/* Returns how many lines came to their end without having been read into a lane. */
static uint64_t notes_done(struct state *st, int64_t now)
{
	uint64_t unread = 0;

	list_each_safe(it, &st->todo.notes) {
		struct note *n = list_entry(it, struct note, node);

		list_remove(&n->node);
		if (n->refused) {
			list_push_back(&st->held, &n->node);
			st->held_at_ms = now + RETRY_MS;
			continue;
		}
		if (n->kind == NOTE_REJECTED) {
			unread++;
			atomic_fetch_sub(&st->rejected_bytes, n->rejected.record.size);
			state_publish_file(st, n->rejected.ranges->file_id);
		}
		if (n->kind == NOTE_LOSS && strcmp(n->loss.reason, SPOOL_LOSS_UNCERTAIN))
			unread += n->loss.records;
		if (n->kind == NOTE_FILE)
			state_publish_file(st, n->file.id);
		if (n->kind == NOTE_FORGET)
			state_unpublish_file(st, n->file_id);
		if (n->kind == NOTE_FINISHED)
			state_publish_file(st, n->range.file_id);
		state_note_free(n);
	}
	if (atomic_exchange(&st->rejected_full, !list_empty(&st->held)) == list_empty(&st->held))
		log_warn(list_empty(&st->held) ? "there is room for rejected lines again" : STATE_REJECTED_FULL);
	return unread;
}

bool state_commit_ledger(struct state *st, int64_t now)
{
	struct work *w = &st->todo;
	uint64_t unread;
	struct err e;
	int rc;

	if (now >= st->held_at_ms)
		list_splice_back(&w->notes, &st->held);
	if (list_empty(&w->notes) && list_empty(&w->acks) && list_empty(&w->lost) && list_empty(&w->plans) &&
	    !state_sync_due(st, now))
		return true;
	rc = commit_ledger(st, now, &e);
	if (rc < 0) {
		state_say(st, &e, "cannot write the in-flight ledger, nothing new is sent, trying again in 1 s");
		st->retry_at_ms = now + RETRY_MS;
		st->failed_at_ms = clock_mono_ms();
		producer_planned(st->producer, &w->plans, rc);
		return false;
	}
	list_each(it, &w->plans)
		state_plan_done(list_entry(it, struct batch, node));
	state_say(st, NULL, NULL);
	st->retry_at_ms = 0;
	st->acks_since_ms = 0;
	unread = notes_done(st, now);
	list_splice_back(&w->acks, &w->lost);		/* from here on their end is the same */
	list_each(it, &w->acks)
		state_publish(st, list_entry(it, struct batch, node));
	state_watch_holes(st, &w->acks);
	books_lock(st->books);
	spool_totals(st->spool, &st->books->totals);
	st->books->read += unread;		/* no run of a lane has counted them */
	shrink_planned(st);
	if (!list_empty(&w->acks))
		producer_recorded(st->producer, &w->acks);
	books_unlock(st->books);
	if (!list_empty(&w->plans))
		producer_planned(st->producer, &w->plans, 0);
	return true;
}

/* --- spilling --- */

int state_spill_one(struct spool *s, struct batch *b, struct err *e)
{
	struct spool_range *ranges = state_ranges(b);
	struct spool_piece *pieces;
	int32_t count = b->gone ? batch_ranges_records(b) : b->count;
	size_t n = 0;
	int rc;
	struct spool_row r = {
		.topic = b->lane ? lane_topic(b->lane) : b->topic,
		.partition = b->lane ? lane_partition(b->lane) : b->partition,
		.count = count,
		.rest = count < b->count,
		.base_timestamp = b->base_timestamp,
		.max_timestamp = b->max_timestamp,
		.codec = b->codec,
		.raw_bytes = b->raw_bytes,
		.raw_crc = b->raw_crc,
		.crc = b->payload_crc,
		.size = b->bytes,
		.spooled_ms = clock_wall_ms(),
		.ledger_id = b->ledger_id,
		.ranges = ranges,
		.range_count = b->range_count,
	};

	for (const struct chunk *c = b->chunks; c; c = c->next)
		n++;
	pieces = mem_array(struct spool_piece, n);
	if (!ranges || !pieces) {
		mem_free(ranges);
		mem_free(pieces);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	n = 0;
	for (const struct chunk *c = b->chunks; c; c = c->next)
		pieces[n++] = (struct spool_piece){ c->data, c->used };
	rc = spool_add(s, &r, pieces, n, e);
	if (rc >= 0)
		b->row_id = r.id;
	mem_free(ranges);
	mem_free(pieces);
	return rc;
}

/* An unanswered batch that was not recorded before it was sent gets its identity recorded together with its bytes. */
static int spill_batch(struct state *st, struct batch *b, struct err *e)
{
	bool unrecorded = b->placed && !b->ledger_id;
	int rc = unrecorded ? state_plan_one(st->spool, b, e) : 0;
	struct err ignored;

	if (rc < 0)
		return rc;
	if (unrecorded)
		b->ledger_id = b->planned_id;
	rc = state_spill_one(st->spool, b, e);
	if (rc == ERR_SPOOL_FULL && !b->placed)
		return state_make_room(st, b, e);
	if (rc < 0 && unrecorded) {
		(void)spool_unplan(st->spool, b->ledger_id, &ignored);
		b->ledger_id = 0;
	}
	return rc;
}

/* Adds batches from the head of the queue to *stored until the transaction is large enough or one does not fit. What
 * held lanes may not keep goes to *refused. */
static int spill_some(struct state *st, struct list *stored, struct list *refused, struct err *e)
{
	size_t bytes = 0;

	list_init(stored);
	list_init(refused);
	st->held_share.counted = false;
	while (!list_empty(&st->todo.spills) && bytes < SPILL_BYTES_MAX) {
		struct batch *b = list_first(&st->todo.spills, struct batch, node);
		int rc;

		if (state_held_refuses(st, b)) {
			state_held_take(st, b, refused);
			continue;
		}
		rc = spill_batch(st, b, e);
		if (rc < 0)
			return rc;
		bytes += b->bytes;
		list_remove(&b->node);
		list_push_back(stored, &b->node);
	}
	return 0;
}

static void spill_failed(struct state *st, struct list *batches, int rc)
{
	list_each(it, batches) {
		struct batch *b = list_entry(it, struct batch, node);

		b->row_id = 0;
		if (b->placed && b->ledger_id == b->planned_id && st->may_double && b->lane)
			b->ledger_id = 0;	/* recorded in what was undone, if at all */
	}
	producer_spilled(st->producer, batches, rc, RETRY_MS);
}

/* What is left of their lanes for the next transaction would be rows before them, if that one were good: it fails with them. */
static void take_followers(struct state *st, struct list *failed)
{
	const struct lane *last = NULL;
	struct list rest;

	list_init(&rest);
	list_each(it, failed) {
		struct batch *b = list_entry(it, struct batch, node);

		if (b->lane && b->lane != last)
			state_held_take(st, b, &rest);
		last = b->lane;
	}
	list_splice_back(failed, &rest);
}

void state_commit_spills(struct state *st)
{
	struct list stored, of_held;
	struct err e;
	int rc, refused;

	/* A batch's files must be known before its ranges are finished: a position that does not exist cannot move, and its
	 * lines would be read once more. And older batches of the lane may be among the plans, or among those that have just
	 * failed, of which the sender did not know: behind a crash a newer row would come before their lines. */
	if (clock_mono_ms() < st->failed_at_ms + TOLD_MS || !state_commit_ledger(st, clock_mono_ms())) {
		spill_failed(st, &st->todo.spills, ERR_IO);
		return;
	}
	refused = spool_begin(st->spool, SPOOL_FULL, &e);
	if (refused < 0) {
		state_say(st, &e, "cannot write to the spool, lines stay in their files, trying again in 1 s");
		spill_failed(st, &st->todo.spills, refused);
		return;
	}
	refused = spill_some(st, &stored, &of_held, &e);
	if (refused < 0)
		state_say(st, &e, refused == ERR_SPOOL_FULL ? "the spool is full, lines stay in their files until it drains" :
			"cannot write to the spool, lines stay in their files, trying again in 1 s");
	killpoint(KILL_SPILL_BEFORE);
	if (st->room.in_vain) {
		spool_rollback(st->spool);
		rc = refused;
	} else {
		rc = spool_commit(st->spool, &e);
		if (rc >= 0)
			killpoint(KILL_SPILL_AFTER);
	}
	if (rc < 0) {
		state_say(st, &e, "cannot write to the spool, lines stay in their files, trying again in 1 s");
		state_room_undone(st);
		take_followers(st, &stored);
		spill_failed(st, &stored, rc);
	} else {
		st->full_at_ms = clock_mono_ms();
		list_each(it, &stored)
			state_publish(st, list_entry(it, struct batch, node));
		books_lock(st->books);
		spool_totals(st->spool, &st->books->totals);
		if (!list_empty(&stored))
			producer_spilled(st->producer, &stored, 0, 0);
		state_room_made(st);
		books_unlock(st->books);
		state_say_dropped(st);
	}
	if (!list_empty(&of_held))
		spill_failed(st, &of_held, ERR_SPOOL_FULL);	/* behind those of its lane that came before */
	if (refused < 0 && !list_empty(&st->todo.spills))
		spill_failed(st, &st->todo.spills, refused);
	else if (rc >= 0 && refused >= 0)
		state_say(st, NULL, NULL);
}

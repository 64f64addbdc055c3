/* state_read.c - bytes on their way back from the state database to the sender, and what an earlier life left.
 *
 * A row's bytes go to the wire as they are: nothing here decodes or compresses. They are paid from the share of
 * buffer.memory that appenders never get, so a full memory can always drain.
 * Damage: a row whose checksum does not fit is built again from its files or set aside (state_mend.c).
 */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/killpoint.h"
#include "agent/base/mem.h"
#include "agent/state/state_int.h"
#include "agent/tail/tail.h"

#define DAMAGED_MAX 64		/* looked after in one go; more are found by the next read */

struct reading {
	struct state *st;
	struct lane  *lane;
	struct batch *into;		/* READ_LOAD: fill this one */
	struct placed *placed;		/* of an unplaced lane, or NULL */
	struct list   batches;
	uint32_t count, max_batches;
	size_t   bytes, max_bytes;
	int64_t  last_id;
	struct spool_row damaged;	/* id 0: none; topic is the caller's, ranges are ours */
	bool   hopeless;		/* its checksum fits, and it holds no records */
	int      rc;
};

static void take_row(struct batch *b, const struct spool_row *row)
{
	b->row_id = row->id;
	b->count = row->count;
	b->codec = row->codec;
	b->raw_bytes = row->raw_bytes;
	b->raw_crc = row->raw_crc;
	b->payload_crc = row->crc;
	/* With an identity the time is the plan's, which may have been renewed. */
	if (b->ledger_id)
		return;
	b->base_timestamp = row->base_timestamp;
	b->max_timestamp = row->max_timestamp;
}

/* Ends the reading: what follows it in the lane must not be handed over first. */
static int note_damage(struct reading *r, const struct spool_row *row)
{
	struct spool_range *ranges = mem_array(struct spool_range, row->range_count + 1);

	if (!ranges) {
		r->rc = ERR_NOMEM;
		return 1;
	}
	if (row->range_count)
		memcpy(ranges, row->ranges, row->range_count * sizeof *ranges);
	r->damaged = *row;
	r->damaged.ranges = ranges;
	return 1;
}

static void forget_damage(struct reading *r)
{
	mem_free((void *)r->damaged.ranges);
	r->damaged = (struct spool_row){ 0 };
}

/* 0: it can be read now; 1: it is gone; or the error, and it stays. */
static int look_after_damage(struct reading *r)
{
	int rc;

	r->damaged.topic = lane_topic(r->lane);
	rc = r->hopeless ? ERR_CORRUPT : state_mend(r->st, &r->damaged);
	r->hopeless = false;
	if (rc == ERR_CORRUPT) {
		rc = state_set_aside(r->st, &r->damaged);
		rc = rc < 0 ? rc : 1;
	}
	if (rc == 1)
		r->last_id = r->damaged.id;
	forget_damage(r);
	return rc;
}

static int place_row(struct reading *r, const struct spool_row *row, const void *data)
{
	int rc = placed_row(r->placed, row, data);

	if (rc == ERR_BAD_DATA) {
		r->hopeless = true;
		return note_damage(r, row);
	}
	if (rc < 0)
		r->rc = rc;
	if (rc == 0)
		r->last_id = row->id;
	return rc != 0;
}

static int read_row(void *arg, const struct spool_row *row, const void *data, int rc)
{
	struct reading *r = arg;
	struct batch *b;

	if (rc < 0)
		return note_damage(r, row);
	if (r->placed)
		return place_row(r, row, data);
	if (r->count >= r->max_batches || (r->count && r->bytes + row->size > r->max_bytes))
		return 1;
	b = batch_new(clock_mono_ms(), clock_wall_ms());
	if (!b) {
		r->rc = ERR_NOMEM;
		return 1;
	}
	r->rc = batch_fill(b, producer_budget(r->st->producer), BUDGET_REFILL, clock_mono_ms(), data, row->size);
	if (r->rc < 0) {
		batch_free(b, producer_budget(r->st->producer));
		return 1;
	}
	take_row(b, row);
	b->lane = r->lane;
	list_push_back(&r->batches, &b->node);
	r->count++;
	r->bytes += row->size;
	r->last_id = row->id;
	return 0;
}

static int64_t *cursor_of(struct state *st, struct lane *lane)
{
	int64_t *c = map_get(&st->cursors, &lane, sizeof lane);

	if (!c) {
		c = mem_new(int64_t);
		ASSERT(c && map_put(&st->cursors, &lane, sizeof lane, c) == 0);
	}
	return c;
}

bool state_row_waits(struct state *st, const struct spool_row *r, struct lane **ret_lane)
{
	if (r->ledger_id || !r->topic[0])
		return false;
	*ret_lane = producer_lane(st->producer, r->topic, r->partition);
	return *ret_lane && r->id > *cursor_of(st, *ret_lane);
}

/* Reads until it is enough, looking after what is damaged. Returns how many rows of the lane are gone for that. */
static uint64_t read_rows(struct reading *r)
{
	uint64_t gone = 0;
	struct err e;
	int rc = 0;

	for (int damaged = 0; damaged < DAMAGED_MAX && rc >= 0; damaged++) {
		r->rc = 0;
		rc = spool_rows_read(r->st->spool, lane_topic(r->lane), lane_partition(r->lane), r->last_id, read_row, r, &e);
		if (rc < 0)
			state_say(r->st, &e, "cannot read from the spool, trying again");
		else
			rc = r->rc;
		if (!r->damaged.id)
			break;
		rc = look_after_damage(r);
		gone += rc == 1;
	}
	r->rc = rc;
	return gone;
}

static void refill(struct state *st, const struct read_job *job)
{
	int64_t *cursor = cursor_of(st, job->lane);
	struct reading r = { .st = st, .lane = job->lane, .max_batches = job->max_batches,
		.max_bytes = job->max_bytes, .last_id = *cursor };
	uint64_t gone;

	list_init(&r.batches);
	gone = read_rows(&r);
	if (r.rc > 0 || r.count)	/* some is good: the rest is asked for again */
		r.rc = 0;
	*cursor = r.last_id;
	producer_returned(st->producer, job->lane, &r.batches, gone, r.rc);
}

/* Nothing is handed over, so there is no cursor: what is placed is gone. */
static void place(struct state *st, struct lane *unplaced)
{
	struct reading r = { .st = st, .lane = unplaced, .placed = placed_new(st, unplaced) };
	uint64_t gone = 0, rows = 0;
	int rc = ERR_NOMEM;

	list_init(&r.batches);
	if (r.placed) {
		gone = read_rows(&r);
		rc = placed_commit(r.placed, &rows);
		if (rc == 0 && !rows)	/* some is good: the rest is asked for again */
			rc = r.rc;
	}
	placed_free(r.placed);
	producer_returned(st->producer, unplaced, &r.batches, gone + rows, rc < 0 ? rc : 0);
}

static int load_row(void *arg, const struct spool_row *row, const void *data, int rc)
{
	struct reading *r = arg;

	if (rc < 0) {
		r->rc = ERR_CORRUPT;
		note_damage(r, row);
		return 1;
	}
	r->rc = batch_fill(r->into, producer_budget(r->st->producer), BUDGET_REFILL, clock_mono_ms(), data, row->size);
	if (r->rc >= 0)
		take_row(r->into, row);
	return 1;
}

static int load_once(struct reading *r, struct err *e)
{
	int rc;

	r->rc = 0;
	rc = spool_row_read(r->st->spool, r->into->row_id, load_row, r, e);
	if (rc < 0) {
		state_say(r->st, e, "cannot read a spooled batch");
		return rc;
	}
	return r->rc;
}

/* --- what is left of a batch, kept by an earlier life while nobody could tell whether Kafka has it --- */

static bool is_range(const struct source_range *a, const struct spool_range *b)
{
	return a->file_id == b->file_id && a->from == b->from && a->to == b->to;
}

/* The row's ranges are some of the batch's, in the same order. */
static int part_by_row(struct batch *b, const struct spool_row *row)
{
	struct source_range *was = mem_array(struct source_range, b->range_count + 1);
	bool *lost = mem_array(bool, b->range_count + 1);
	size_t kept = 0;
	int rc = was && lost ? 0 : ERR_AGAIN;

	for (uint32_t i = 0; i < b->range_count && rc == 0; i++) {
		was[i] = b->ranges[i];
		lost[i] = kept == row->range_count || !is_range(&was[i], &row->ranges[kept]);
		kept += !lost[i];
	}
	if (rc == 0 && (!kept || kept != row->range_count))
		rc = ERR_CORRUPT;
	if (rc == 0) {
		batch_part_ranges(b, was, lost);
		b->raw_crc = row->raw_crc;
		b->raw_bytes = row->raw_bytes;
	}
	mem_free(was);
	mem_free(lost);
	return rc;
}

/* Damaged bytes are mended when they are sent; without ranges its head is damaged too. */
static int see_rest(void *arg, const struct spool_row *row, const void *data, int rc)
{
	struct reading *r = arg;

	(void)data, (void)rc;
	r->rc = part_by_row(r->into, row);
	return 1;
}

/* As the tail thread's survey of one that has files only. */
static void survey_rest(struct state *st, struct batch *b)
{
	struct reading r = { .st = st, .into = b };
	struct err e;
	int rc = spool_row_read(st->spool, b->row_id, see_rest, &r, &e);

	if (rc < 0)
		state_say(st, &e, "cannot read a spooled batch");
	producer_loaded(st->producer, b, rc < 0 ? rc : r.rc);
}

static void load(struct state *st, struct batch *b)
{
	struct reading r = { .st = st, .into = b };
	struct err e;
	int rc;

	if (!b->row_id) {
		tail_rebuild(st->tail, b);
		return;
	}
	if (b->gone) {
		survey_rest(st, b);
		return;
	}
	rc = load_once(&r, &e);
	if (r.damaged.id) {
		r.damaged.topic = b->topic;
		rc = state_mend(st, &r.damaged);	/* if it cannot be, lost() follows, and sets it aside */
		forget_damage(&r);
		if (rc == 0)
			rc = load_once(&r, &e);
		forget_damage(&r);
	}
	producer_loaded(st->producer, b, rc);
}

void state_read(struct state *st, struct read_job *job)
{
	switch (job->kind) {
	case READ_LOAD:
		load(st, job->batch);
		break;
	case READ_REFILL:
		if (lane_partition(job->lane) == LANE_UNPLACED)
			place(st, job->lane);
		else
			refill(st, job);
		break;
	case READ_REWIND:
		*cursor_of(st, job->lane) = 0;
		break;
	}
}

/* --- what an earlier life left --- */

struct restoring { struct state *st; struct producer *p; };

static int restore_row(void *arg, const struct spool_ledger *l)
{
	struct restoring *r = arg;
	struct batch *b = batch_new(clock_mono_ms(), l->base_timestamp);

	if (!b)
		return ERR_NOMEM;
	b->partition = l->partition;
	b->producer_id = l->producer_id;
	b->producer_epoch = l->producer_epoch;
	b->base_sequence = l->base_sequence;
	b->count = l->count;
	b->base_timestamp = l->base_timestamp;
	b->max_timestamp = l->max_timestamp;
	b->codec = l->codec;
	b->raw_crc = l->raw_crc;
	b->raw_bytes = l->raw_bytes;
	b->cluster_id = l->cluster_id;		/* producer_restore keeps a copy */
	memcpy(b->topic_id, l->topic_id, sizeof b->topic_id);
	b->row_id = l->row_id;
	b->ledger_id = l->id;
	b->kept_rest = l->left;
	b->gone = l->left > 0;		/* the rest of it was when it was kept */
	b->counted = l->row_id == 0 || b->gone;
	b->maybe_written = true;
	for (size_t i = 0; i < l->range_count; i++) {
		const struct spool_range *from = &l->ranges[i];

		if (batch_add_source(b, &(struct source_range){ .file_id = from->file_id, .from = from->from,
				.to = from->to, .marker = from->marker, .count = from->count, .route = from->route,
				.filtered = from->filtered }) < 0) {
			batch_free(b, NULL);
			return ERR_NOMEM;
		}
	}
	return producer_restore(r->p, l->topic, b);
}

static int restore_lane(void *arg, const struct spool_lane *l)
{
	struct restoring *r = arg;
	struct lane *lane;

	if (l->rows == l->rows_with_identity)
		return 0;
	lane = producer_lane(r->p, l->topic, l->partition);
	if (!lane)
		return ERR_NOMEM;
	producer_set_backlog(r->p, lane, l->rows - l->rows_with_identity);
	return 0;
}

static int restore_partitions(void *arg, const char *topic, int32_t count)
{
	producer_set_partitions(((struct restoring *)arg)->p, topic, count);
	return 0;
}

static int restore_position(void *arg, const struct spool_file *f)
{
	state_publish_file(((struct restoring *)arg)->st, f->id);
	return 0;
}

int state_restore(struct state *st, struct producer *p, struct err *ret_err)
{
	struct restoring r = { .st = st, .p = p };
	int rc;

	killpoint(KILL_RESTORE_BEFORE);
	rc = spool_ledger_each(st->spool, restore_row, &r, ret_err);
	if (rc >= 0)
		rc = spool_partitions_each(st->spool, restore_partitions, &r, ret_err);
	if (rc >= 0)
		rc = spool_lanes_each(st->spool, restore_lane, &r, ret_err);
	if (rc >= 0)
		rc = spool_files_each(st->spool, restore_position, &r, ret_err);
	killpoint(KILL_RESTORE_AFTER);
	return rc;
}

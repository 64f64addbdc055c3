/* salvage_rows.c - spooled rows and the ledger: believed by their CRC alone.
 *
 * Invariants
 *  (1) a whole row that gets no room, and a row whose head is damaged, are counted as lost; one whose bytes are damaged goes
 *      on as a damaged row, with its ranges, from which it can be built again.
 *  (2) identities are kept only if the whole ledger is: behind a batch that is missing no broker takes the next one.
 */
#include "spool/salvage.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "agent/base/mem.h"

/* --- rows --- */

/* The topic and partition of a lane, in *r. */
static bool read_lane(struct salvage_copying *c, int64_t id, sqlite3_stmt **ret_q, struct spool_row *r)
{
	sqlite3_stmt *q = *ret_q = salvage_look_up(c->old, "lanes", id);

	if (!q)
		return false;
	r->topic = (const char *)sqlite3_column_text(q, 1);
	r->partition = sqlite3_column_int(q, 2);
	return r->topic != NULL;
}

static int add_row(struct salvage_copying *c, struct spool_row *r, const void *data, bool whole)
{
	struct spool_piece piece = { whole ? data : "?", whole ? r->size : 1 };
	int64_t old_id = r->id, *kept;
	int rc = spool_add(c->to, r, &piece, 1, c->ret_err);

	if (rc == ERR_SPOOL_FULL) {
		c->got->rows_no_room++;
		return 0;
	}
	if (rc < 0)
		return rc;
	kept = mem_new(int64_t);
	if (!kept || map_put(&c->row_ids, &old_id, sizeof old_id, kept) < 0) {
		mem_free(kept);
		return err_set(c->ret_err, ERR_NOMEM, "out of memory");
	}
	*kept = r->id;
	c->got->rows += whole;
	c->got->rows_damaged += !whole;
	c->got->records += (uint64_t)r->count;
	c->got->bytes += whole ? r->size : 0;
	return salvage_step(c, piece.n + 256);
}

static int copy_data(struct salvage_copying *c, struct spool_row *r)
{
	sqlite3_stmt *q = salvage_look_up(c->old, "data", r->id);
	const void *data = NULL;
	bool whole = false;
	int rc;

	if (q) {
		data = sqlite3_column_blob(q, 1);
		whole = data && (uint32_t)sqlite3_column_bytes(q, 1) == r->size && crc32c(0, data, r->size) == r->crc;
	}
	rc = add_row(c, r, data, whole);
	(void)sqlite3_finalize(q);
	return rc;
}

int salvage_row(struct salvage_copying *c, sqlite3_stmt *q)
{
	struct row_info info = { .id = sqlite3_column_int64(q, 0), .lane = sqlite3_column_int64(q, 1),
				 .count = (uint64_t)sqlite3_column_int64(q, 2), .size = (uint64_t)sqlite3_column_int64(q, 3),
				 .spooled_ms = sqlite3_column_int64(q, 4) };
	struct spool_row r = { .id = info.id, .count = (int32_t)info.count, .size = (uint32_t)info.size,
			       .spooled_ms = info.spooled_ms };
	struct spool_range *ranges = NULL;
	sqlite3_stmt *lane = NULL;
	int rc = ERR_CORRUPT;

	/* A tree with two ways to the same page shows its rows twice. */
	if (map_get(&c->row_ids, &r.id, sizeof r.id))
		return 0;
	if (info.count && info.count <= INT32_MAX && info.size && info.size <= UINT32_MAX)
		rc = row_believe(sqlite3_column_blob(q, 5), (size_t)sqlite3_column_bytes(q, 5), &info, &r, &ranges);
	if (rc == 0)
		rc = read_lane(c, info.lane, &lane, &r) ? copy_data(c, &r) : ERR_CORRUPT;
	if (rc == ERR_CORRUPT) {
		c->heads_lost++;
		rc = 0;
	}
	(void)sqlite3_finalize(lane);
	mem_free(ranges);
	return rc;
}

/* --- the ledger --- */

/* The strings of a stream, in memory of their own. */
static bool read_stream(struct salvage_copying *c, int64_t id, struct spool_ledger *l)
{
	sqlite3_stmt *q = salvage_look_up(c->old, "streams", id);
	bool good = false;

	if (q) {
		const char *cluster = (const char *)sqlite3_column_text(q, 1), *topic = (const char *)sqlite3_column_text(q, 3);
		const void *topic_id = sqlite3_column_blob(q, 2);

		if (cluster && topic && topic_id && sqlite3_column_bytes(q, 2) == sizeof l->topic_id) {
			memcpy(l->topic_id, topic_id, sizeof l->topic_id);
			l->partition = sqlite3_column_int(q, 4);
			l->cluster_id = mem_strdup(cluster);
			l->topic = mem_strdup(topic);
			good = l->cluster_id && l->topic;
		}
	}
	(void)sqlite3_finalize(q);
	return good;
}

static void batch_free(struct spool_ledger *l)
{
	mem_free((char *)l->cluster_id);
	mem_free((char *)l->topic);
	mem_free((void *)l->ranges);
}

static int see_slot(struct salvage_copying *c, sqlite3_stmt *q)
{
	int64_t id = sqlite3_column_int64(q, 1), row = sqlite3_column_int64(q, 2), stream;
	struct spool_range *ranges = NULL;
	struct spool_ledger l, *more;

	if (id == 0)
		return 0;
	if (ledger_body_read(id, sqlite3_column_blob(q, 3), (size_t)sqlite3_column_bytes(q, 3), &l, &stream, &ranges) < 0) {
		c->ledger_whole = false;
		c->got->batches_lost++;
		return 0;
	}
	l.row_id = row;
	more = mem_grow(c->batches, c->batch_count, sizeof *more);
	if (!more || !read_stream(c, stream, &l)) {
		c->ledger_whole = false;
		c->got->batches_lost++;
		batch_free(&l);
		c->batches = more ? more : c->batches;
		return more ? 0 : err_set(c->ret_err, ERR_NOMEM, "out of memory");
	}
	c->batches = more;
	c->batches[c->batch_count++] = l;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = ((const struct spool_ledger *)a)->id, y = ((const struct spool_ledger *)b)->id;

	return x < y ? -1 : x > y;
}

/* Without identity: ranges are read again, a row waits again. */
static int note_uncertain(struct salvage_copying *c, const struct spool_ledger *l)
{
	struct spool_loss loss = { .ms = clock_wall_ms(), .reason = SPOOL_LOSS_UNCERTAIN, .topic = l->topic,
				   .partition = l->partition, .path = "",
				   .records = (uint64_t)l->count };

	c->got->batches_lost++;
	return spool_loss_add(c->to, &loss, c->ret_err);
}

static int put_batch(struct salvage_copying *c, struct spool_ledger *l)
{
	struct row_info info;
	int rc = 0;

	if (l->row_id) {
		const int64_t *id = map_get(&c->row_ids, &l->row_id, sizeof l->row_id);

		l->row_id = *id;
		rc = row_info_get(c->to, *id, &info, c->ret_err);
		l->left = rc == 0 && info.count < (uint64_t)l->count ? (int32_t)info.count : 0;
	}
	c->got->batches++;
	return rc < 0 ? rc : spool_plan(c->to, l, c->ret_err);
}

int salvage_ledger(struct salvage_copying *c)
{
	int rc = salvage_table(c, "ledger", see_slot);

	if (rc < 0)
		return rc;
	c->ledger_whole = c->ledger_whole && rc == 1;
	if (c->batch_count)
		qsort(c->batches, c->batch_count, sizeof *c->batches, by_id);
	for (size_t i = 1; i < c->batch_count; i++)
		if (c->batches[i].id == c->batches[i - 1].id)
			c->ledger_whole = false;
	for (size_t i = 0; i < c->batch_count; i++)
		if (c->batches[i].row_id && !map_get(&c->row_ids, &c->batches[i].row_id, sizeof c->batches[i].row_id))
			c->ledger_whole = false;
	rc = 0;
	for (size_t i = 0; i < c->batch_count && rc == 0; i++)
		rc = c->ledger_whole ? put_batch(c, &c->batches[i]) : note_uncertain(c, &c->batches[i]);
	return rc;
}

void salvage_batches_free(struct salvage_copying *c)
{
	for (size_t i = 0; i < c->batch_count; i++)
		batch_free(&c->batches[i]);
	mem_free(c->batches);
}

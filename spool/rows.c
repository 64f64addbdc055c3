/* rows.c - spooled batches go in and out.
 *
 * Why the bytes have a table of their own: listing and counting rows, and giving one an identity, must not touch a
 * quarter of a megabyte each. An identity is therefore never written into the row: the ledger points to it.
 *
 * Invariants
 *  (1) a row, its bytes, its ranges' end, its lane's counts and the totals change in one transaction.
 *  (2) whether a row fits is decided before anything of it is written: a refusal leaves the transaction usable, which
 *      SQLite would not after its own SQLITE_FULL.
 *  (3) totals' records counts the records of rows, identity or not, until they are acked or given up (rows_end.c).
 * Failure ERR_SPOOL_FULL and a wrong identity refuse; everything else loses the transaction.
 */
#include "spool/inside.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "agent/base/mem.h"
#include "spool/ranges.h"
#include "spool/varint.h"

#define BODY_ROOM(n) (4 * VARINT_MAX + 1 + 8 + RANGES_ROOM(n) + 4)
#define ROW_BYTES_MAX (512 << 20)	/* SQLite holds 1e9 */

uint32_t row_crc(const struct row_info *info, const uint8_t *body, size_t n)
{
	uint8_t head[5 * VARINT_MAX], *p = head;

	p = varint_put(p, (uint64_t)info->id);
	p = varint_put(p, (uint64_t)info->lane);
	p = varint_put(p, info->count);
	p = varint_put(p, info->size);
	p = varint_put(p, (uint64_t)info->spooled_ms);
	return crc32c(crc32c(0, head, (size_t)(p - head)), body, n);
}

/* Into scratch. */
static int encode(struct spool *s, const struct spool_row *r, const struct row_info *info)
{
	uint8_t *start, *p;

	buf_clear(&s->scratch);
	if (r->range_count > BATCH_RANGES_SANE || buf_reserve(&s->scratch, BODY_ROOM(r->range_count)) < 0)
		return ERR_NOMEM;
	p = start = (uint8_t *)s->scratch.data;
	p = varint_put_signed(p, r->base_timestamp);
	p = varint_put_signed(p, (int64_t)((uint64_t)r->max_timestamp - (uint64_t)r->base_timestamp));
	*p++ = r->codec;
	p = varint_put(p, r->raw_bytes);
	p = fixed32_put(p, r->raw_crc);
	p = fixed32_put(p, r->crc);
	p = ranges_put(p, r->ranges, r->range_count);
	p = fixed32_put(p, row_crc(info, start, (size_t)(p - start)));
	s->scratch.len = (size_t)(p - start);
	return 0;
}

static int insert_row(struct spool *s, const struct row_info *info, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROW_ADD);

	sqlite3_bind_int64(q, 1, info->id);
	sqlite3_bind_int64(q, 2, info->lane);
	sqlite3_bind_int64(q, 3, (int64_t)info->count);
	sqlite3_bind_int64(q, 4, (int64_t)info->size);
	sqlite3_bind_int64(q, 5, info->spooled_ms);
	sqlite3_bind_blob(q, 6, s->scratch.data, (int)s->scratch.len, SQLITE_STATIC);
	return db_run(&s->db, q, ret_err);
}

/* The pages are made empty, then each piece is copied into them once; bound as one value the bytes would be copied three
 * times and need memory for two whole rows. */
static int insert_pieces(struct spool *s, int64_t id, const struct spool_piece *pieces, size_t n, struct err *ret_err)
{
	sqlite3_blob *blob = NULL;
	int at = 0;
	int rc = sqlite3_blob_open(s->db.sql, "main", "data", "bytes", id, 1, &blob);

	for (size_t i = 0; rc == SQLITE_OK && i < n; i++) {
		rc = sqlite3_blob_write(blob, pieces[i].data, (int)pieces[i].n, at);
		at += (int)pieces[i].n;
	}
	if (rc != SQLITE_OK)
		rc = db_error(&s->db, rc, ret_err, "cannot spool a batch");
	(void)sqlite3_blob_close(blob);
	return rc;
}

static int insert_data(struct spool *s, const struct row_info *info, const struct spool_piece *pieces, size_t n,
		       struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_DATA_ADD);
	int rc;

	sqlite3_bind_int64(q, 1, info->id);
	if (n == 1)
		sqlite3_bind_blob64(q, 2, pieces[0].data, info->size, SQLITE_STATIC);
	else
		sqlite3_bind_zeroblob(q, 2, (int)info->size);
	rc = db_run(&s->db, q, ret_err);
	return rc < 0 || n == 1 ? rc : insert_pieces(s, info->id, pieces, n, ret_err);
}

/* 0, ERR_SPOOL_FULL, or another error; nothing has happened then. */
static int check_room(struct spool *s, uint64_t size, bool urgent, struct err *ret_err)
{
	uint64_t used = s->now[TOTAL_BYTES] + s->now[TOTAL_ASIDE_BYTES] + s->now[TOTAL_REJECTED_BYTES];

	if (!urgent && used + size > (uint64_t)s->max_size)
		return err_set(ret_err, ERR_SPOOL_FULL, "the spool holds %llu of %lld bytes (spool.max_size)",
			       (unsigned long long)used, (long long)s->max_size);
	return db_room(&s->db, (int64_t)size, urgent, ret_err);
}

/* The ranges of a batch in the ledger are finished as they were planned, whatever the caller stores with the row. */
static int finish_row(struct spool *s, const struct spool_row *r, struct ledger_row *l, const struct row_info *info,
		      struct err *ret_err)
{
	int rc;

	if (!l)
		return finish_ranges(s, r->ranges, r->range_count, ret_err);
	rc = finish_encoded(s, l->body + l->ranges_at, l->body_len - l->ranges_at, ret_err);
	if (rc == 0 && ledger_set_row(&s->ledger, l, info) < 0)
		rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	return rc;
}

static int store(struct spool *s, struct spool_row *r, const struct spool_piece *pieces, size_t n, struct ledger_row *l,
		 struct err *ret_err)
{
	struct lane *lane;
	struct row_info info = { .id = (int64_t)s->now[TOTAL_NEXT_ROW], .spooled_ms = r->spooled_ms,
				 .count = (uint64_t)r->count, .size = r->size };
	int rc = lanes_get(s, r->topic, r->partition, &lane);

	if (rc < 0)
		return err_set(ret_err, rc, "out of memory");
	info.lane = lane->id;
	if (encode(s, r, &info) < 0)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	rc = insert_row(s, &info, ret_err);
	if (rc == 0)
		rc = insert_data(s, &info, pieces, n, ret_err);
	if (rc == 0)
		rc = finish_row(s, r, l, &info, ret_err);
	if (rc < 0)
		return rc;
	r->id = info.id;
	s->now[TOTAL_NEXT_ROW]++;
	s->now[TOTAL_ROWS]++;
	s->now[TOTAL_RECORDS] += info.count;
	s->now[TOTAL_BYTES] += info.size;
	lane->now.rows++;
	lane->now.records += info.count;
	lane->now.bytes += info.size;
	s->oldest_known = s->oldest_known && s->oldest_id != 0;
	return 0;
}

/* Of the batch whose bytes these are, or NULL without one. */
static int find_identity(struct spool *s, const struct spool_row *r, struct ledger_row **ret, struct err *ret_err)
{
	*ret = NULL;
	if (!r->ledger_id)
		return 0;
	*ret = ledger_find(&s->ledger, r->ledger_id);
	if (!*ret)
		return err_set(ret_err, ERR_NOT_FOUND, "no unresolved batch %lld in the ledger", (long long)r->ledger_id);
	if ((*ret)->row_id || (r->rest ? (*ret)->count <= (uint32_t)r->count : (*ret)->count != (uint32_t)r->count))
		return err_set(ret_err, ERR_INTERNAL, "batch %lld of the ledger has %s", (long long)r->ledger_id,
			       (*ret)->row_id ? "a row already" : "another number of records");
	return 0;
}

/* 0: more than a row can hold. */
static uint64_t size_of(const struct spool_piece *pieces, size_t n)
{
	uint64_t size = 0;

	for (size_t i = 0; i < n; i++) {
		if (pieces[i].n > ROW_BYTES_MAX - size)
			return 0;
		size += pieces[i].n;
	}
	ASSERT(size > 0);
	return size;
}

int spool_add(struct spool *s, struct spool_row *r, const struct spool_piece *pieces, size_t n, struct err *ret_err)
{
	uint64_t size = size_of(pieces, n);
	struct ledger_row *l = NULL;
	int rc = spool_may_change(s, ret_err);

	ASSERT(r->count > 0);
	for (size_t i = 0; i < r->range_count; i++)
		ASSERT(r->ranges[i].from >= 0 && r->ranges[i].from <= r->ranges[i].to);
	if (rc == 0 && !size)
		rc = err_set(ret_err, ERR_TOO_LARGE, "a batch of more than %d MiB cannot be spooled", ROW_BYTES_MAX >> 20);
	if (rc == 0)
		rc = find_identity(s, r, &l, ret_err);
	if (rc < 0)
		return rc;
	rc = check_room(s, size, l || r->instead, ret_err);
	s->full = rc == ERR_SPOOL_FULL;
	if (s->full)
		return rc;
	r->size = (uint32_t)size;
	if (rc == 0)
		rc = store(s, r, pieces, n, l, ret_err);
	return rc < 0 ? spool_lost(s, rc) : 0;
}

int row_info_get(struct spool *s, int64_t id, struct row_info *ret, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROW_GET);
	int rc;

	sqlite3_bind_int64(q, 1, id);
	rc = db_step(&s->db, q, ret_err);
	if (rc < 0)
		return rc;
	*ret = (struct row_info){ .id = id, .lane = sqlite3_column_int64(q, 1),
				  .count = (uint64_t)sqlite3_column_int64(q, 2),
				  .size = (uint64_t)sqlite3_column_int64(q, 3), .spooled_ms = sqlite3_column_int64(q, 4) };
	db_reset(q);
	return rc ? 0 : err_set(ret_err, ERR_NOT_FOUND, "no spooled row %lld", (long long)id);
}

static int delete_from(struct spool *s, enum stmt_id table, int64_t id, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, table);

	sqlite3_bind_int64(q, 1, id);
	return db_run(&s->db, q, ret_err);
}

/* The columns of a damaged row may say anything: counts stop at zero. */
static void take_off(uint64_t *from, uint64_t n)
{
	*from -= n < *from ? n : *from;
}

int row_remove(struct spool *s, const struct row_info *info, bool keep_bytes, struct err *ret_err)
{
	struct lane *lane = dict_at(&s->lanes, info->lane);
	int rc = delete_from(s, STMT_ROW_DELETE, info->id, ret_err);

	if (rc == 0 && !keep_bytes)
		rc = delete_from(s, STMT_DATA_DELETE, info->id, ret_err);
	if (rc < 0)
		return rc;
	if (lane) {
		take_off(&lane->now.rows, 1);
		take_off(&lane->now.records, info->count);
		take_off(&lane->now.bytes, info->size);
	}
	take_off(&s->now[TOTAL_ROWS], 1);
	take_off(&s->now[TOTAL_RECORDS], info->count);
	take_off(&s->now[TOTAL_BYTES], info->size);
	s->oldest_known = s->oldest_known && s->oldest_id != info->id;
	return 0;
}

/* What the row says of itself, and its bytes, whether there are any or not. */
static int replace(struct spool *s, const struct row_info *info, const struct spool_row *r, const struct spool_piece *pieces,
		   size_t n, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROW_MEND);
	int rc;

	if (encode(s, r, info) < 0)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	sqlite3_bind_int64(q, 1, info->id);
	sqlite3_bind_int64(q, 2, (int64_t)info->count);
	sqlite3_bind_int64(q, 3, (int64_t)info->size);
	sqlite3_bind_blob(q, 4, s->scratch.data, (int)s->scratch.len, SQLITE_STATIC);
	rc = db_run(&s->db, q, ret_err);
	if (rc == 0)
		rc = delete_from(s, STMT_DATA_DELETE, info->id, ret_err);
	return rc < 0 ? rc : insert_data(s, info, pieces, n, ret_err);
}

/* Whether it may take this place. */
static int check_mend(struct spool *s, const struct spool_row *r, uint64_t size, struct err *ret_err)
{
	const struct ledger_row *l = ledger_of_row(&s->ledger, r->id);

	ASSERT(r->count > 0);
	if (!size)
		return err_set(ret_err, ERR_TOO_LARGE, "a batch of more than %d MiB cannot be spooled", ROW_BYTES_MAX >> 20);
	if (l && l->left != (uint32_t)r->count)
		return err_set(ret_err, ERR_INTERNAL, "row %lld has an identity of %u records and was mended with %d",
			       (long long)r->id, l->left, r->count);
	return check_room(s, size, true, ret_err);
}

static void recount(struct spool *s, const struct row_info *old, const struct row_info *info)
{
	struct lane *lane = dict_at(&s->lanes, info->lane);

	take_off(&lane->now.records, old->count);
	take_off(&lane->now.bytes, old->size);
	take_off(&s->now[TOTAL_RECORDS], old->count);
	take_off(&s->now[TOTAL_BYTES], old->size);
	lane->now.records += info->count;
	lane->now.bytes += info->size;
	s->now[TOTAL_RECORDS] += info->count;
	s->now[TOTAL_BYTES] += info->size;
}

int spool_row_mend(struct spool *s, const struct spool_row *r, const struct spool_piece *pieces, size_t n, struct err *ret_err)
{
	uint64_t size = size_of(pieces, n);
	struct spool_range *ranges = NULL;
	struct spool_row stored, mended = *r;
	struct row_info old = { 0 }, info;
	int rc = spool_may_change(s, ret_err);

	if (rc < 0)
		return rc;
	rc = row_head_get(s, r->id, &old, &stored, &ranges, ret_err);
	if (rc == ERR_CORRUPT && old.id)
		return rc;	/* its ranges are not known: whatever these bytes are, they are not this row's */
	if (rc == 0)
		rc = check_mend(s, r, size, ret_err);
	if (rc < 0) {
		mem_free(ranges);
		return spool_refused(s, rc);
	}
	mended.ranges = ranges;
	mended.range_count = stored.range_count;
	info = old;
	info.count = (uint64_t)r->count;
	info.size = size;
	rc = replace(s, &info, &mended, pieces, n, ret_err);
	mem_free(ranges);
	if (rc < 0)
		return spool_lost(s, rc);
	recount(s, &old, &info);
	return 0;
}

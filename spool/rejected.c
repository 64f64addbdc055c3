/* rejected.c - records that the broker refuses for what they are: kept for people, never in silence.
 *
 * Why a share of their own: a topic that refuses everything must not fill the spool with it. When the share is full the
 * lane waits instead, and says so.
 * Failure ERR_SPOOL_FULL refuses and leaves the transaction usable; everything else loses it. A damaged record is handed
 *	over without bytes.
 */
#include "spool/inside.h"

#include <string.h>

#include "agent/base/crc32c.h"
#include "agent/base/mem.h"
#include "spool/ranges.h"

#define SHARE 16
#define SHARE_MIN (2 << 20)
#define RECORD_BYTES_MAX (512 << 20)	/* SQLite holds 1e9 */

static int check_share(struct spool *s, uint64_t size, struct err *ret_err)
{
	uint64_t share = (uint64_t)s->max_size / SHARE > SHARE_MIN ? (uint64_t)s->max_size / SHARE : SHARE_MIN;

	if (size > RECORD_BYTES_MAX || s->now[TOTAL_REJECTED_BYTES] + size > share)
		return err_set(ret_err, ERR_SPOOL_FULL, "rejected records take %llu of their %llu bytes (a sixteenth of "
			       "spool.max_size)", (unsigned long long)s->now[TOTAL_REJECTED_BYTES], (unsigned long long)share);
	return db_room(&s->db, (int64_t)size, true, ret_err);
}

static int encode_ranges(struct spool *s, const struct spool_rejected *r)
{
	uint8_t *start;

	buf_clear(&s->scratch);
	if (r->range_count > BATCH_RANGES_SANE || buf_reserve(&s->scratch, RANGES_ROOM(r->range_count)) < 0)
		return ERR_NOMEM;
	start = (uint8_t *)s->scratch.data;
	s->scratch.len = (size_t)(ranges_put(start, r->ranges, r->range_count) - start);
	return 0;
}

/* All that is variable in its row: of short lines the words and ranges are the most. As STMT_REJECTED_BYTES adds up. */
static uint64_t kept_bytes(const struct spool *s, const struct spool_rejected *r)
{
	return (uint64_t)r->size + s->scratch.len + strlen(r->topic) + (r->message ? strlen(r->message) : 0);
}

static int insert(struct spool *s, const struct spool_rejected *r, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_REJECTED_ADD);

	sqlite3_bind_int64(q, 1, r->id);
	sqlite3_bind_int64(q, 2, r->ms);
	sqlite3_bind_text(q, 3, r->topic, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 4, r->partition);
	sqlite3_bind_int(q, 5, r->code);
	sqlite3_bind_text(q, 6, r->message, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 7, r->timestamp);
	sqlite3_bind_int64(q, 8, crc32c(0, r->bytes, r->size));
	sqlite3_bind_blob(q, 9, s->scratch.data, (int)s->scratch.len, SQLITE_STATIC);
	sqlite3_bind_blob64(q, 10, r->bytes, r->size, SQLITE_STATIC);
	return db_run(&s->db, q, ret_err);
}

int spool_reject(struct spool *s, struct spool_rejected *r, struct err *ret_err)
{
	int rc = spool_may_change(s, ret_err);
	uint64_t size;

	ASSERT(r->size > 0);
	if (rc < 0)
		return rc;
	if (encode_ranges(s, r) < 0)
		return spool_lost(s, err_set(ret_err, ERR_NOMEM, "out of memory"));
	size = kept_bytes(s, r);
	rc = check_share(s, size, ret_err);
	if (rc < 0)
		return rc;
	r->id = (int64_t)s->now[TOTAL_NEXT_REJECTED];
	rc = insert(s, r, ret_err);
	if (rc < 0)
		return spool_lost(s, rc);
	s->now[TOTAL_NEXT_REJECTED]++;
	s->now[TOTAL_REJECTED]++;
	s->now[TOTAL_REJECTED_BYTES] += size;
	return 0;
}

/* 0; ERR_NOMEM. What is damaged is left out. */
static int read_one(struct spool *s, sqlite3_stmt *q, struct spool_rejected *r, struct spool_range **ret_ranges)
{
	const uint8_t *end;
	int rc = db_text(&s->db, q, 2, &r->topic);

	r->id = sqlite3_column_int64(q, 0);
	r->ms = sqlite3_column_int64(q, 1);
	if (rc == ERR_CORRUPT)
		r->topic = "";
	else if (rc < 0)
		return rc;
	r->partition = sqlite3_column_int(q, 3);
	r->code = (int16_t)sqlite3_column_int(q, 4);
	r->message = (const char *)sqlite3_column_text(q, 5);
	r->timestamp = sqlite3_column_int64(q, 6);
	rc = ranges_get(sqlite3_column_blob(q, 8), (size_t)sqlite3_column_bytes(q, 8), ret_ranges, &r->range_count, &end);
	if (rc == ERR_NOMEM)
		return rc;
	r->ranges = *ret_ranges;
	r->bytes = sqlite3_column_blob(q, 9);
	r->size = (size_t)sqlite3_column_bytes(q, 9);
	if (r->bytes && crc32c(0, r->bytes, r->size) != (uint32_t)sqlite3_column_int64(q, 7))
		r->bytes = NULL;
	return 0;
}

int spool_rejected_each(struct spool *s, int64_t after, int (*fn)(void *arg, const struct spool_rejected *r), void *arg,
			struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_REJECTED_EACH);
	int rc;

	sqlite3_bind_int64(q, 1, after);
	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		struct spool_rejected r = { 0 };
		struct spool_range *ranges = NULL;

		rc = read_one(s, q, &r, &ranges);
		rc = rc < 0 ? err_set(ret_err, rc, "out of memory") : fn(arg, &r);
		mem_free(ranges);
		if (rc)
			break;
	}
	db_reset(q);
	return rc;
}

int spool_rejected_purge(struct spool *s, int64_t upto, uint64_t *ret_count, struct err *ret_err)
{
	sqlite3_stmt *sum = db_stmt(&s->db, STMT_REJECTED_BYTES), *del = db_stmt(&s->db, STMT_REJECTED_DELETE);
	uint64_t bytes, count;
	int rc = spool_may_change(s, ret_err);

	if (rc < 0)
		return rc;
	sqlite3_bind_int64(sum, 1, upto);
	rc = db_step(&s->db, sum, ret_err);
	if (rc < 0)
		return spool_lost(s, rc);
	bytes = (uint64_t)sqlite3_column_int64(sum, 0);
	count = (uint64_t)sqlite3_column_int64(sum, 1);
	db_reset(sum);
	sqlite3_bind_int64(del, 1, upto);
	rc = db_run(&s->db, del, ret_err);
	if (rc < 0)
		return spool_lost(s, rc);
	s->now[TOTAL_REJECTED_BYTES] -= bytes < s->now[TOTAL_REJECTED_BYTES] ? bytes : s->now[TOTAL_REJECTED_BYTES];
	*ret_count = count;
	return 0;
}

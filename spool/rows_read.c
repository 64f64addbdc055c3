/* rows_read.c - spooled batches are read back, and nothing of them is believed before its CRC fits.
 *
 * Why: SQLite's pages carry no checksums; a write that the disk lost or misplaced is noticed by nobody else.
 * Failure: a row whose head does not fit is handed over with what its columns say, one whose bytes do not fit with its
 * head and ranges (it may be built again from its files); both with rc < 0 and without data. Only an error that concerns
 * more than one row ends the reading.
 */
#include "spool/inside.h"

#include "agent/base/crc32c.h"
#include "agent/base/mem.h"
#include "spool/ranges.h"
#include "spool/varint.h"

typedef int row_fn(void *arg, const struct spool_row *r, const void *data, int rc);

int row_decode(const uint8_t *body, size_t n, struct spool_row *r, struct spool_range **ret_ranges)
{
	const uint8_t *p = body, *end;
	int64_t span;
	uint64_t raw_bytes;
	int rc;

	if (n < 4)
		return ERR_CORRUPT;
	end = body + n - 4;
	if (!varint_get_signed(&p, end, &r->base_timestamp) || !varint_get_signed(&p, end, &span) || p == end)
		return ERR_CORRUPT;
	r->codec = *p++;
	if (!varint_get(&p, end, &raw_bytes) || raw_bytes > UINT32_MAX || !fixed32_get(&p, end, &r->raw_crc) ||
	    !fixed32_get(&p, end, &r->crc))
		return ERR_CORRUPT;
	r->max_timestamp = (int64_t)((uint64_t)r->base_timestamp + (uint64_t)span);
	r->raw_bytes = (uint32_t)raw_bytes;
	rc = ranges_get(p, (size_t)(end - p), ret_ranges, &r->range_count, &p);
	r->ranges = rc < 0 ? NULL : *ret_ranges;
	return rc;
}

int row_believe(const uint8_t *body, size_t n, const struct row_info *info, struct spool_row *r, struct spool_range **ret_ranges)
{
	const uint8_t *tail;
	uint32_t crc;

	if (n < 4)
		return ERR_CORRUPT;
	tail = body + n - 4;
	if (!fixed32_get(&tail, body + n, &crc) || crc != row_crc(info, body, n - 4))
		return ERR_CORRUPT;
	return row_decode(body, n, r, ret_ranges);
}

int row_head(struct spool *s, sqlite3_stmt *q, struct row_info *ret_info, struct spool_row *r, struct spool_range **ret_ranges)
{
	struct row_info info = { .id = sqlite3_column_int64(q, 0), .lane = sqlite3_column_int64(q, 1),
				 .count = (uint64_t)sqlite3_column_int64(q, 2),
				 .size = (uint64_t)sqlite3_column_int64(q, 3), .spooled_ms = sqlite3_column_int64(q, 4) };
	const struct lane *lane = dict_at(&s->lanes, info.lane);
	const struct ledger_row *l = ledger_of_row(&s->ledger, info.id);

	*r = (struct spool_row){ .id = info.id, .topic = lane ? lane->topic : "", .partition = lane ? lane->partition : -1,
				 .count = (int32_t)info.count, .size = (uint32_t)info.size, .spooled_ms = info.spooled_ms,
				 .ledger_id = l ? l->id : 0 };
	*ret_info = info;
	if (!lane || info.count > INT32_MAX || info.size > UINT32_MAX)
		return ERR_CORRUPT;
	return row_believe(sqlite3_column_blob(q, 5), (size_t)sqlite3_column_bytes(q, 5), &info, r, ret_ranges);
}

int row_head_get(struct spool *s, int64_t id, struct row_info *ret_info, struct spool_row *ret_row,
		 struct spool_range **ret_ranges, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROW_GET);
	int rc;

	*ret_ranges = NULL;
	sqlite3_bind_int64(q, 1, id);
	rc = db_step(&s->db, q, ret_err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		rc = err_set(ret_err, ERR_NOT_FOUND, "no spooled row %lld", (long long)id);
	else
		rc = row_head(s, q, ret_info, ret_row, ret_ranges);
	db_reset(q);
	if (rc == ERR_CORRUPT)
		return err_set(ret_err, rc, "what is known of spooled row %lld is damaged", (long long)id);
	return rc == ERR_NOMEM ? err_set(ret_err, rc, "out of memory") : rc;
}

/* A page chain that SQLite finds damaged is this row's damage only. */
int row_data(struct spool *s, const struct spool_row *r, const void **ret, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_DATA_GET);
	int rc;

	sqlite3_bind_int64(q, 1, r->id);
	rc = db_step(&s->db, q, ret_err);
	if (rc > 0) {
		*ret = sqlite3_column_blob(q, 0);
		rc = *ret && (uint32_t)sqlite3_column_bytes(q, 0) == r->size &&
		     crc32c(0, *ret, r->size) == r->crc ? 0 : ERR_CORRUPT;
		/* No bytes out of a long blob: short of memory, or a broken chain. */
		if (!*ret && sqlite3_errcode(s->db.sql) == SQLITE_NOMEM)
			rc = ERR_NOMEM;
	} else if (rc == 0) {
		rc = ERR_CORRUPT;
	}
	if (rc == 0 || rc == ERR_CORRUPT)
		return rc;
	db_reset(q);
	return err_set(ret_err, rc, "cannot read spooled row %lld: %s", (long long)r->id, err_text(rc));
}

/* The bytes of one row, or why not. */
static int hand_over(struct spool *s, const struct spool_row *r, int rc, row_fn *fn, void *arg, struct err *ret_err)
{
	const void *data = NULL;

	if (rc == 0)
		rc = row_data(s, r, &data, ret_err);
	if (rc < 0 && rc != ERR_CORRUPT)
		return rc;
	rc = fn(arg, r, rc < 0 ? NULL : data, rc);
	db_reset(db_stmt(&s->db, STMT_DATA_GET));
	return rc;
}

/* As db_step. What SQLite finds damaged here is more than one row. */
static int next_row(struct spool *s, sqlite3_stmt *q, struct err *ret_err)
{
	int rc = db_step(&s->db, q, ret_err);

	if (rc == ERR_CORRUPT)
		db_mark_damaged(&s->db);
	return rc;
}

/* The rows of a statement that is bound and ready. identities: also those that a batch of the ledger will send. */
static int read_rows(struct spool *s, sqlite3_stmt *q, bool identities, row_fn *fn, void *arg, struct err *ret_err)
{
	int rc;

	while ((rc = next_row(s, q, ret_err)) > 0) {
		struct spool_range *ranges = NULL;
		struct row_info info;
		struct spool_row r;

		if (!identities && ledger_of_row(&s->ledger, sqlite3_column_int64(q, 0)))
			continue;
		rc = row_head(s, q, &info, &r, &ranges);
		if (rc == ERR_NOMEM)
			rc = err_set(ret_err, rc, "out of memory");
		else
			rc = hand_over(s, &r, rc, fn, arg, ret_err);
		mem_free(ranges);
		if (rc)
			break;
	}
	db_reset(q);
	return rc;
}

int spool_rows_read(struct spool *s, const char *topic, int32_t partition, int64_t after, row_fn *fn, void *arg,
		    struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROWS_OF_LANE);
	struct lane *lane;

	if (lanes_find(s, topic, partition, &lane) < 0)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	if (!lane || !lane->now.rows)
		return 0;
	sqlite3_bind_int64(q, 1, lane->id);
	sqlite3_bind_int64(q, 2, after);
	return read_rows(s, q, false, fn, arg, ret_err);
}

struct one_row { row_fn *fn; void *arg; bool seen; };

static int see_one(void *arg, const struct spool_row *r, const void *data, int rc)
{
	struct one_row *one = arg;

	one->seen = true;
	return one->fn(one->arg, r, data, rc);
}

int spool_row_read(struct spool *s, int64_t id, row_fn *fn, void *arg, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROW_GET);
	struct one_row one = { fn, arg, false };
	int rc;

	sqlite3_bind_int64(q, 1, id);
	rc = read_rows(s, q, true, see_one, &one, ret_err);
	if (rc == 0 && !one.seen && ledger_of_row(&s->ledger, id))
		db_mark_damaged(&s->db);
	if (rc == 0 && !one.seen)
		rc = err_set(ret_err, ERR_NOT_FOUND, "no spooled row %lld", (long long)id);
	return rc;
}

int spool_rows_after(struct spool *s, int64_t after, int (*fn)(void *arg, const struct spool_row *r), void *arg,
		     struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROWS_EACH);
	int rc;

	sqlite3_bind_int64(q, 1, after);
	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		struct spool_range *ranges = NULL;
		struct row_info info;
		struct spool_row r;

		rc = row_head(s, q, &info, &r, &ranges);
		if (rc == ERR_NOMEM)
			rc = err_set(ret_err, rc, "out of memory");
		else
			rc = fn(arg, &r);
		mem_free(ranges);
		if (rc)
			break;
	}
	db_reset(q);
	return rc;
}

int spool_rows_list(struct spool *s, int (*fn)(void *arg, const struct spool_row *r), void *arg, struct err *ret_err)
{
	return spool_rows_after(s, 0, fn, arg, ret_err);
}

/* losses.c - what was given up, and what may be in Kafka twice: entered by file and range, counted, kept for people.
 *
 * Why a row a range, with the path as it was then: "which lines of which file" is what people ask, long after the file and
 * what the spool knew of it are gone.
 *
 * Invariants
 *  (1) an entry, its counters, and the end of what it tells of are one transaction.
 *  (2) loss_records == dropped: every dropped record is counted as lost, and the other way round. loss_bytes is the sum of
 *      the entries' bytes; a batch, a row or a call of spool_loss_add that makes an entry is one event.
 *  (3) what is uncertain is no loss: it has counters of its own.
 * Failure loses the transaction.
 */
#include "spool/inside.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"

#define ENTRY_BYTES 128		/* about: the words, a path */
#define EXTENDED 64		/* of the newest entries */

static void count(struct spool *s, const struct spool_loss *what, uint64_t bytes)
{
	if (strcmp(what->reason, SPOOL_LOSS_UNCERTAIN) == 0) {
		s->now[TOTAL_UNCERTAIN_BATCHES]++;
		s->now[TOTAL_UNCERTAIN_RECORDS] += what->records;
		return;
	}
	s->now[TOTAL_DROPPED] += what->records;
	s->now[TOTAL_LOSS_EVENTS]++;
	s->now[TOTAL_LOSS_RECORDS] += what->records;
	s->now[TOTAL_LOSS_BYTES] += bytes;
}

static int insert(struct spool *s, const struct spool_loss *l, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_LOSS_ADD);
	int rc;

	sqlite3_bind_int64(q, 1, (int64_t)s->now[TOTAL_NEXT_LOSS]);
	sqlite3_bind_int64(q, 2, l->ms);
	sqlite3_bind_text(q, 3, l->reason, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 4, l->topic ? l->topic : "", -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 5, l->partition);
	sqlite3_bind_int64(q, 6, l->file_id);
	sqlite3_bind_text(q, 7, l->path ? l->path : "", -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 8, l->from);
	sqlite3_bind_int64(q, 9, l->to);
	sqlite3_bind_int64(q, 10, (int64_t)l->records);
	sqlite3_bind_int64(q, 11, (int64_t)l->bytes);
	sqlite3_bind_int64(q, 12, l->row_id);
	rc = db_run(&s->db, q, ret_err);
	if (rc == 0)
		s->now[TOTAL_NEXT_LOSS]++;
	return rc;
}

/* The last known path of a file, "" without one; valid until the next call. */
static int path_of(struct spool *s, int64_t file_id, const char **ret, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_FILE_PATH);
	int rc;

	*ret = "";
	db_reset(q);
	sqlite3_bind_int64(q, 1, file_id);
	rc = db_step(&s->db, q, ret_err);
	if (rc <= 0)
		return rc;
	rc = db_text(&s->db, q, 0, ret);
	if (rc == ERR_CORRUPT)
		*ret = "";
	return rc == ERR_NOMEM ? err_set(ret_err, rc, "out of memory") : 0;
}

static int enter_ranges(struct spool *s, const struct spool_loss *what, const struct spool_range *r, size_t n, uint64_t *ret_bytes,
			struct err *ret_err)
{
	struct spool_loss l = *what;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (i == 0 || r[i].file_id != l.file_id)
			rc = path_of(s, r[i].file_id, &l.path, ret_err);
		if (rc < 0)
			break;
		l.file_id = r[i].file_id;
		l.from = r[i].from;
		l.to = r[i].to;
		l.records = r[i].count;
		l.bytes = (uint64_t)(r[i].to - r[i].from);
		*ret_bytes += l.bytes;
		rc = insert(s, &l, ret_err);
	}
	db_reset(db_stmt(&s->db, STMT_FILE_PATH));
	return rc;
}

int losses_enter(struct spool *s, const struct spool_loss *what, const struct spool_range *r, size_t n, struct err *ret_err)
{
	struct spool_loss l = *what;
	uint64_t bytes = 0;
	int rc;

	if (!l.ms)
		l.ms = clock_wall_ms();
	/* Blocks for the entries while there are any: on a full disk they share what small transactions have in reserve. */
	(void)db_room(&s->db, (int64_t)(n + 1) * ENTRY_BYTES, true, NULL);
	if (n) {
		rc = enter_ranges(s, &l, r, n, &bytes, ret_err);
	} else {
		rc = insert(s, &l, ret_err);
		bytes = l.bytes;
	}
	if (rc == 0)
		count(s, what, bytes);
	return rc;
}

/* 1: it is the rest of what an entry tells of, which now tells of it too. */
static int extend(struct spool *s, const struct spool_loss *l, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_LOSS_EXTEND);
	int rc;

	if (strcmp(l->reason, SPOOL_LOSS_LONG_LINE) || l->records || !l->file_id)
		return 0;
	sqlite3_bind_int64(q, 1, l->to);
	sqlite3_bind_int64(q, 2, (int64_t)l->bytes);
	sqlite3_bind_int64(q, 3, (int64_t)s->now[TOTAL_NEXT_LOSS] - 1 - EXTENDED);
	sqlite3_bind_int64(q, 4, l->file_id);
	sqlite3_bind_int64(q, 5, l->from);
	sqlite3_bind_text(q, 6, l->reason, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 7, l->topic ? l->topic : "", -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 8, l->partition);
	rc = db_run(&s->db, q, ret_err);
	if (rc < 0)
		return rc;
	if (!sqlite3_changes(s->db.sql))
		return 0;
	s->now[TOTAL_LOSS_BYTES] += l->bytes;
	return 1;
}

int spool_loss_add(struct spool *s, const struct spool_loss *l, struct err *ret_err)
{
	int rc = spool_may_change(s, ret_err);

	ASSERT(l->reason && l->from >= 0 && l->from <= l->to);
	if (rc < 0)
		return rc;
	rc = extend(s, l, ret_err);
	if (rc == 0)
		rc = losses_enter(s, l, NULL, 0, ret_err);
	return rc < 0 ? spool_lost(s, rc) : 0;
}

int spool_drop(struct spool *s, const char *topic, int32_t partition, const struct spool_range *r, size_t n,
	       uint64_t records, const char *reason, struct err *ret_err)
{
	struct spool_loss what = { .reason = reason, .topic = topic, .partition = partition, .records = records };
	int rc = spool_may_change(s, ret_err);

	for (size_t i = 0; i < n; i++)
		ASSERT(r[i].from >= 0 && r[i].from <= r[i].to);
	if (rc < 0)
		return rc;
	rc = losses_enter(s, &what, r, n, ret_err);
	if (rc == 0)
		rc = finish_ranges(s, r, n, ret_err);
	return rc < 0 ? spool_lost(s, rc) : 0;
}

static int read_one(struct spool *s, sqlite3_stmt *q, struct spool_loss *l)
{
	struct { int column; const char **text; } words[] = { { 2, &l->reason }, { 3, &l->topic }, { 6, &l->path } };

	*l = (struct spool_loss){
		.id = sqlite3_column_int64(q, 0), .ms = sqlite3_column_int64(q, 1), .partition = sqlite3_column_int(q, 4),
		.file_id = sqlite3_column_int64(q, 5), .from = sqlite3_column_int64(q, 7), .to = sqlite3_column_int64(q, 8),
		.records = (uint64_t)sqlite3_column_int64(q, 9), .bytes = (uint64_t)sqlite3_column_int64(q, 10),
		.row_id = sqlite3_column_int64(q, 11),
	};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		int rc = db_text(&s->db, q, words[i].column, words[i].text);

		if (rc == ERR_NOMEM)
			return rc;
		if (rc < 0)
			*words[i].text = "";
	}
	return 0;
}

int spool_losses_each(struct spool *s, int64_t after, int (*fn)(void *arg, const struct spool_loss *l), void *arg,
		      struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_LOSSES_EACH);
	int rc;

	sqlite3_bind_int64(q, 1, after);
	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		struct spool_loss l;

		rc = read_one(s, q, &l);
		rc = rc < 0 ? err_set(ret_err, rc, "out of memory") : fn(arg, &l);
		if (rc)
			break;
	}
	db_reset(q);
	return rc;
}

/* totals.c - the one row of counters that every transaction carries.
 *
 * Why: the books (read = acked + spooled + in memory + rejected + dropped) must balance after a kill -9 too, so each term
 * changes in the transaction that causes it.
 */
#include "spool/inside.h"

#include <string.h>

int totals_read(struct spool *s, uint64_t ret[TOTAL_COUNT], struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_TOTALS_GET);
	int rc = db_step(&s->db, q, ret_err);

	if (rc < 0)
		return rc;
	for (int i = 0; rc && i < TOTAL_COUNT; i++)
		ret[i] = (uint64_t)sqlite3_column_int64(q, i);
	db_reset(q);
	return rc ? 0 : err_set(ret_err, ERR_CORRUPT, "%s: table totals is empty", s->db.path);
}

int totals_load(struct spool *s, struct err *ret_err)
{
	int rc = totals_read(s, s->now, ret_err);

	memcpy(s->saved, s->now, sizeof s->saved);
	return rc;
}

/* A FULL commit that wrote nothing would sync nothing, not even the NORMAL commits before it: then the row is written
 * for the sync's sake. */
int totals_write(struct spool *s, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_TOTALS_PUT);

	if (s->sync_full && s->unsynced)
		s->now[TOTAL_SYNCS]++;
	if (memcmp(s->now, s->saved, sizeof s->now) == 0)
		return 0;
	for (int i = 0; i < TOTAL_COUNT; i++)
		sqlite3_bind_int64(q, i + 1, (int64_t)s->now[i]);
	return db_run(&s->db, q, ret_err);
}

static void find_oldest(struct spool *s)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROW_OLDEST);
	int rc = db_step(&s->db, q, NULL);

	if (rc < 0)
		return;		/* asked again after the next commit */
	s->oldest_id = rc ? sqlite3_column_int64(q, 0) : 0;
	s->oldest_ms = rc ? sqlite3_column_int64(q, 1) : 0;
	s->oldest_known = true;
	db_reset(q);
}

void totals_committed(struct spool *s)
{
	memcpy(s->saved, s->now, sizeof s->saved);
	if (!s->oldest_known)
		find_oldest(s);
}

void spool_totals(const struct spool *s, struct spool_totals *ret)
{
	const uint64_t *t = s->saved;

	*ret = (struct spool_totals){
		.acked = t[TOTAL_ACKED], .rejected = t[TOTAL_REJECTED], .dropped = t[TOTAL_DROPPED],
		.filtered = t[TOTAL_FILTERED], .rows = t[TOTAL_ROWS], .records = t[TOTAL_RECORDS], .bytes = t[TOTAL_BYTES],
		.corrupt_rows = t[TOTAL_CORRUPT_ROWS], .loss_events = t[TOTAL_LOSS_EVENTS],
		.loss_records = t[TOTAL_LOSS_RECORDS], .loss_bytes = t[TOTAL_LOSS_BYTES],
		.uncertain_batches = t[TOTAL_UNCERTAIN_BATCHES], .uncertain_records = t[TOTAL_UNCERTAIN_RECORDS],
		.rejected_bytes = t[TOTAL_REJECTED_BYTES], .oldest_ms = s->oldest_ms, .max_size = s->max_size, .full = s->full,
	};
}

int spool_count_uncertain(struct spool *s, uint64_t batches, uint64_t records, struct err *ret_err)
{
	int rc = spool_may_change(s, ret_err);

	if (rc < 0)
		return rc;
	s->now[TOTAL_UNCERTAIN_BATCHES] += batches;
	s->now[TOTAL_UNCERTAIN_RECORDS] += records;
	return 0;
}

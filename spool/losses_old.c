/* losses_old.c - a step of the migration from version 2: one row for each lost row becomes one for each of its ranges.
 *
 * Why in C: version 2 kept the lost row's stored form, whose numbers SQL cannot read. The CRC it ends with covers columns
 * that version 2 did not keep, and the row was damaged: what is read makes sense, or is left out.
 * Failure: the migration's transaction is undone.
 */
#include "spool/inside.h"

#include "agent/base/mem.h"

#define SELECT_OLD "SELECT ms, replace(reason, 'damaged row', '" SPOOL_LOSS_DAMAGED "'), topic, partition, row_id," \
	" records, bytes, body FROM losses_2 ORDER BY id"
#define INSERT_NEW "INSERT INTO losses (ms, reason, topic, partition, row_id, file, path, start, stop, records, bytes)" \
	" VALUES (?1,?2,?3,?4,?5, ?6, ifnull((SELECT path FROM files WHERE id = ?6), ''), ?7,?8,?9,?10)"
#define FINISH "UPDATE totals SET next_loss = (SELECT ifnull(max(id), 0) + 1 FROM losses); DROP TABLE losses_2"

static int insert(struct db *d, sqlite3_stmt *old, sqlite3_stmt *q, const struct spool_range *r, struct err *ret_err)
{
	for (int i = 0; i < 5; i++)
		sqlite3_bind_value(q, i + 1, sqlite3_column_value(old, i));
	sqlite3_bind_int64(q, 6, r ? r->file_id : 0);
	sqlite3_bind_int64(q, 7, r ? r->from : 0);
	sqlite3_bind_int64(q, 8, r ? r->to : 0);
	sqlite3_bind_int64(q, 9, r ? r->count : sqlite3_column_int64(old, 5));
	sqlite3_bind_int64(q, 10, r ? r->to - r->from : sqlite3_column_int64(old, 6));
	return db_run(d, q, ret_err);
}

static int split(struct db *d, sqlite3_stmt *old, sqlite3_stmt *q, struct err *ret_err)
{
	struct spool_range *ranges = NULL;
	struct spool_row r = { 0 };
	int rc = row_decode(sqlite3_column_blob(old, 7), (size_t)sqlite3_column_bytes(old, 7), &r, &ranges);

	if (rc == ERR_NOMEM)
		return err_set(ret_err, rc, "out of memory");
	if (!ranges)
		return insert(d, old, q, NULL, ret_err);
	rc = 0;
	for (size_t i = 0; rc == 0 && i < r.range_count; i++)
		rc = insert(d, old, q, &ranges[i], ret_err);
	mem_free(ranges);
	return rc;
}

int schema_split_losses(struct db *d, struct err *ret_err)
{
	sqlite3_stmt *old = NULL, *q = NULL;
	int rc = sqlite3_prepare_v2(d->sql, SELECT_OLD, -1, &old, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(d->sql, INSERT_NEW, -1, &q, NULL);
	if (rc != SQLITE_OK)
		rc = db_error(d, rc, ret_err, "cannot migrate the state database");
	while (rc == 0 && (rc = db_step(d, old, ret_err)) > 0)
		rc = split(d, old, q, ret_err);
	(void)sqlite3_finalize(old);
	(void)sqlite3_finalize(q);
	return rc < 0 ? rc : db_exec(d, FINISH, ret_err);
}

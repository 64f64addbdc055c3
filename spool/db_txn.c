/* db_txn.c - transactions, and the tidying between them.
 *
 * Why synchronous is toggled: in WAL mode a FULL commit syncs the WAL, with all NORMAL commits before it; a NORMAL one only
 * survives kill -9. Toggling costs half a microsecond, one connection serves both.
 * Why checkpoints are ours: SQLite's own would fold the WAL in inside of some commit, also while acks wait.
 *
 * Invariants
 *  (1) a commit that returned 0 stays, whatever the checkpoint behind it says.
 *  (2) what was committed can be folded in: its pages have blocks (db_fits). After every checkpoint there are blocks for a
 *	margin, too, if the disk has any (db_back_pages).
 * Failure of a commit: rolled back. The WAL is then folded in as soon as possible: it makes room on a full disk, and after
 *	a failed fsync it writes again what the kernel may have marked clean without writing.
 */
#include "spool/db.h"

#include <errno.h>

#include "agent/base/clock.h"
#include "agent/base/killpoint.h"

#define TIDY_WAL_BYTES   (4 << 20)	/* less is not worth its fsyncs in a pause */
#define TIDY_CUT_BYTES   (32 << 20)	/* the kernel takes its time to cut a file by much */
#define TIDY_NS          20000000	/* of vacuum a step; one page may take a while when many are free */
#define KEEP_FREE_BYTES  (8 << 20)	/* the next outage reuses them, faster than growing the file */

static int set_sync(struct db *d, bool full, struct err *ret_err)
{
	int rc;

	if (d->sync_full == full)
		return 0;
	rc = db_exec(d, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", ret_err);
	if (rc == 0)
		d->sync_full = full;
	return rc;
}

int db_begin(struct db *d, bool full, struct err *ret_err)
{
	int rc = set_sync(d, full, ret_err);

	d->txn_pages = 0;
	return rc < 0 ? rc : db_run(d, db_stmt(d, STMT_BEGIN), ret_err);
}

int db_checkpoint(struct db *d, struct err *ret_err)
{
	int64_t pages = 0;
	int in_wal = 0, moved = 0;
	int rc;

	killpoint(KILL_CHECKPOINT_BEFORE);
	rc = sqlite3_wal_checkpoint_v2(d->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &moved);
	killpoint(KILL_CHECKPOINT_AFTER);
	if (rc != SQLITE_OK)
		return db_error(d, rc, ret_err, "cannot fold the WAL in");
	d->wal_pages = in_wal - moved;
	d->to_cut = 0;
	d->backed = 0;
	/* The checkpoint has cut the file at its last page. */
	if (db_count(d, STMT_PAGE_COUNT, &pages, NULL) == 0)
		(void)db_back_pages(d, pages);
	return 0;
}

int db_commit(struct db *d, struct err *ret_err)
{
	int rc = db_fits(d, ret_err);

	if (rc == 0)
		rc = db_run(d, db_stmt(d, STMT_COMMIT), ret_err);
	if (rc < 0) {
		db_rollback(d);
		(void)db_checkpoint(d, NULL);
		return rc;
	}
	if (d->wal_pages * d->page > d->wal_limit)
		(void)db_checkpoint(d, NULL);	/* tried again at the next commit */
	return 0;
}

void db_rollback(struct db *d)
{
	/* Some errors have rolled back already. */
	if (!sqlite3_get_autocommit(d->sql))
		(void)db_run(d, db_stmt(d, STMT_ROLLBACK), NULL);
}

/* 1: a step was made. Pages in use behind free ones are moved, so it only pays when much is free. */
static int vacuum_step(struct db *d, bool empty, struct err *ret_err)
{
	sqlite3_stmt *st = db_stmt(d, STMT_VACUUM_STEP);
	int64_t pages, free_pages, keep = KEEP_FREE_BYTES / d->page, until = clock_mono_ns() + TIDY_NS;
	int rc = db_count(d, STMT_FREELIST_COUNT, &free_pages, ret_err);

	if (rc == 0)
		rc = db_count(d, STMT_PAGE_COUNT, &pages, ret_err);
	if (rc < 0)
		return rc;
	if (free_pages <= keep || (!empty && free_pages < pages / 2))
		return 0;
	rc = set_sync(d, false, ret_err);
	if (rc < 0)
		return rc;
	/* Answers a row for each page, and what was done when it is reset stays. */
	while ((rc = db_step(d, st, ret_err)) > 0) {
		d->to_cut++;
		if (--free_pages <= keep || d->to_cut * d->page >= TIDY_CUT_BYTES || clock_mono_ns() >= until)
			break;
	}
	if (rc >= 0)
		db_reset(st);
	return rc < 0 ? rc : 1;
}

int db_tidy(struct db *d, bool empty, struct err *ret_err)
{
	int rc = 0;

	if (d->wal_pages * d->page < TIDY_WAL_BYTES && d->to_cut * d->page < TIDY_CUT_BYTES)
		rc = vacuum_step(d, empty, ret_err);
	/* The file gets shorter when the WAL is folded in. */
	if (rc == 0 && (d->to_cut || d->wal_pages * d->page >= TIDY_WAL_BYTES)) {
		rc = db_checkpoint(d, ret_err);
		return rc < 0 ? rc : 1;
	}
	return rc;
}

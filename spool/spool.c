/* spool.c - opens the state database, and runs its transactions over database and memory alike.
 *
 * Why memory holds positions, ledger, lanes and totals: they are asked for all the time and written once a transaction.
 * Rows and their bytes, file names and routes live in the database only.
 *
 * Invariants
 *  (1) outside of a transaction memory and database say the same.
 *  (2) a commit either moves both on or neither; rolling back allocates nothing and cannot fail.
 *  (3) after a change failed half way the transaction can only be rolled back, also by spool_commit.
 * States  idle -> in_txn [spool_begin] -> idle [spool_commit, spool_rollback]
 * Threads the state thread's, all of it.
 */
#include "spool/inside.h"

#include <errno.h>
#include <string.h>

#include "agent/base/mem.h"
#include "spool/salvage.h"

#define SCRATCH_MAX (128 << 20)

/* The heads of the rows and their index are read once, without the bytes: what cannot be walked now would be met in the middle
 * of an outage. */
static int check_rows(struct spool *s, struct err *ret_err)
{
	int64_t rows = 0, indexed = 0;
	int rc = db_number(&s->db, "SELECT count(*) FROM rows NOT INDEXED", &rows, ret_err);

	if (rc == 0)
		rc = db_number(&s->db, "SELECT count(*) FROM rows INDEXED BY rows_of_lane", &indexed, ret_err);
	if (rc == 0 && (rows != indexed || (uint64_t)rows != s->now[TOTAL_ROWS]))
		rc = err_set(ret_err, ERR_CORRUPT, "%s: %lld rows, %lld in their index, %llu were counted", s->db.path,
			     (long long)rows, (long long)indexed, (unsigned long long)s->now[TOTAL_ROWS]);
	return rc;
}

static int load(struct spool *s, struct err *ret_err)
{
	int rc = totals_load(s, ret_err);

	if (rc == 0)
		rc = files_load(s, ret_err);
	if (rc == 0)
		rc = streams_load(s, ret_err);
	if (rc == 0)
		rc = lanes_load(s, ret_err);
	if (rc == 0)
		rc = check_rows(s, ret_err);
	if (rc == 0)
		rc = ledger_load(s, ret_err);
	if (rc == 0)
		rc = home_load(s, ret_err);
	if (rc == 0)
		totals_committed(s);
	return rc;
}

/* On failure *ret_s is NULL. */
static int open_once(const struct spool_conf *conf, struct spool **ret_s, struct err *ret_err)
{
	struct db_conf dc = { .dir = conf->dir, .max_size = conf->max_size > 0 ? conf->max_size : 0,
			      .min_free = conf->min_free, .read_only = conf->read_only };
	struct spool *s = mem_new(struct spool);
	int rc;

	*ret_s = NULL;
	if (!s)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	s->max_size = dc.max_size;
	positions_init(&s->positions);
	ledger_init(&s->ledger);
	dict_init(&s->streams);
	dict_init(&s->lanes);
	buf_init(&s->scratch, SCRATCH_MAX);
	rc = db_open(&s->db, &dc, ret_err);
	if (rc == 0) {
		rc = load(s, ret_err);
		s->db.damaged = rc == ERR_CORRUPT;
	}
	if (rc < 0) {
		spool_close(s);
		return rc;
	}
	*ret_s = s;
	return 0;
}

int spool_open(const struct spool_conf *conf, struct spool **ret_s, struct err *ret_err)
{
	struct spool_salvage got = { 0 };
	struct err why = { 0 };
	struct spool *s;
	int rc = open_once(conf, &s, &why);

	if (rc == ERR_CORRUPT && !conf->read_only) {
		rc = salvage_run(conf, why.text, &got, &why);
		if (rc == 0)
			rc = open_once(conf, &s, &why);
	}
	if (rc == 0 && s->db.wal_gone)
		rc = salvage_wal_lost(s, &got, &why);
	if (rc < 0) {
		spool_close(s);
		return err_set(ret_err, rc, "%s", why.text);
	}
	s->salvage = got;
	*ret_s = s;
	return 0;
}

const struct spool_salvage *spool_salvaged(const struct spool *s)
{
	return &s->salvage;
}

bool spool_damaged(const struct spool *s)
{
	return s->db.damaged;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	if (s->in_txn)
		spool_rollback(s);
	db_close(&s->db);
	ledger_release(&s->ledger);
	positions_release(&s->positions);
	dict_release(&s->lanes);
	dict_release(&s->streams);
	buf_release(&s->scratch);
	mem_free(s);
}

int spool_lost(struct spool *s, int rc)
{
	if (rc == ERR_CORRUPT)
		db_mark_damaged(&s->db);
	s->failed = rc;
	return rc;
}

int spool_refused(struct spool *s, int rc)
{
	static const int refusals[] = { ERR_NOT_FOUND, ERR_SPOOL_FULL, ERR_TOO_LARGE, ERR_BUSY, ERR_INTERNAL };

	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
		if (rc == refusals[i])
			return rc;
	return spool_lost(s, rc);
}

int spool_may_change(struct spool *s, struct err *ret_err)
{
	ASSERT(s->in_txn);
	if (s->failed)
		return err_set(ret_err, s->failed, "this transaction has failed already: %s", err_text(s->failed));
	/* Out of memory or an I/O error in any statement, even one that only reads, may make SQLite roll back by itself.
	 * What was written from here on would be committed piece by piece. */
	if (sqlite3_get_autocommit(s->db.sql))
		return spool_lost(s, err_set(ret_err, ERR_IO, "%s: SQLite has undone this transaction", s->db.path));
	return 0;
}

int spool_begin(struct spool *s, enum spool_sync sync, struct err *ret_err)
{
	int rc;

	ASSERT(!s->in_txn);
	if (s->db.look_only)
		return err_set(ret_err, -EROFS, "%s was opened for looking only", s->db.path);
	rc = db_begin(&s->db, sync == SPOOL_FULL, ret_err);
	if (rc < 0)
		return rc;
	s->in_txn = true;
	s->sync_full = sync == SPOOL_FULL;
	s->failed = 0;
	return 0;
}

static void end_txn(struct spool *s)
{
	s->in_txn = false;
	s->failed = 0;
}

/* Memory goes back; the database has been, or is. */
void spool_rollback(struct spool *s)
{
	ASSERT(s->in_txn);
	db_rollback(&s->db);
	ledger_rolled_back(&s->ledger);
	positions_rolled_back(&s->positions);
	dict_rolled_back(&s->streams);
	lanes_rolled_back(s);
	memcpy(s->now, s->saved, sizeof s->now);
	s->home = s->old_home;
	s->oldest_known = true;		/* oldest_* are as of the last commit still */
	end_txn(s);
}

static int write_all(struct spool *s, struct err *ret_err)
{
	int rc = ledger_write(s, ret_err);

	if (rc == 0)
		rc = files_write(s, ret_err);
	if (rc == 0)
		rc = lanes_write(s, ret_err);
	if (rc == 0)
		rc = totals_write(s, ret_err);
	return rc;
}

int spool_commit(struct spool *s, struct err *ret_err)
{
	int rc = spool_may_change(s, ret_err);

	if (rc == 0)
		rc = write_all(s, ret_err);
	if (rc == 0)
		rc = db_commit(&s->db, ret_err);
	if (rc < 0) {
		(void)spool_lost(s, rc);
		spool_rollback(s);
		return rc;
	}
	s->unsynced = !s->sync_full;
	ledger_committed(&s->ledger);
	positions_committed(&s->positions);
	dict_committed(&s->streams);
	lanes_committed(s);
	totals_committed(s);
	s->old_home = s->home;
	end_txn(s);
	return 0;
}

int spool_idle(struct spool *s, bool *ret_more, struct err *ret_err)
{
	int rc;

	ASSERT(!s->in_txn);
	*ret_more = false;
	if (s->db.look_only)
		return 0;
	rc = db_tidy(&s->db, s->now[TOTAL_ROWS] == 0, ret_err);
	*ret_more = rc > 0;
	return rc < 0 ? rc : 0;
}

const char *spool_sqlite_version(void)
{
	return sqlite3_libversion();
}

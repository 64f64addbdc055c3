/* test_spool_vfs.c - what is written in large portions is there when a commit says so, and not when it failed. */
#include "tests/lib/spool_dir.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spool/inside.h"

#define ROW 700000		/* more than the page cache holds, in a few of them */

static int take_ids(void *arg, const struct spool_row *r, const void *data, int rc)
{
	uint8_t *want = malloc(r->size);

	assert_int_equal(rc, 0);
	assert_non_null(want);
	row_fill(want, r->size);
	assert_memory_equal(data, want, r->size);
	free(want);
	++*(int *)arg;
	return 0;
}

static int whole_rows(struct spool_dir *d)
{
	int n = 0;

	assert_int_equal(spool_rows_read(d->s, "logs", -1, 0, take_ids, &n, NULL), 0);
	return n;
}

static void assert_sound(struct spool_dir *d)
{
	sqlite3_stmt *q = NULL;

	assert_int_equal(sqlite3_prepare_v2(d->s->db.sql, "PRAGMA integrity_check", -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(q, 0), "ok");
	sqlite3_finalize(q);
}

/* Goal: no byte of a commit waits in the process, whichever way SQLite wrote it. Rows larger than the page cache reach the
 * WAL in the middle of the transaction, and some pages twice, which makes SQLite renew the checksums of the frames. */
static void a_normal_commit_survives_a_kill(void **state)
{
	struct spool_dir *d = *state;

	txn_full(d);
	put_file(d, 1, 0);
	commit(d);
	for (int i = 0; i < 12; i++) {
		txn(d);
		for (int k = 0; k <= i % 5; k++)
			(void)add_row(d, 1, 10 * i + 2 * k, 10 * i + 2 * k + 1, k % 2 ? 3000 : ROW);
		(void)plan(d, 1, 10 * i + 9, 10 * i + 10);
		commit(d);
		int rows = (int)totals_of(d).rows;

		spool_dir_kill(d);
		assert_int_equal(totals_of(d).rows, rows);
		assert_int_equal(whole_rows(d), rows);
		assert_sound(d);
	}
}

/* The same by hand: half of what a page holds is changed after it went to the WAL. */
static void pages_that_are_written_twice_survive_a_kill(void **state)
{
	struct spool_dir *d = *state;
	sqlite3 *sql = d->s->db.sql;
	int64_t n = 0;

	assert_int_equal(sqlite3_exec(sql, "CREATE TABLE twice (id INTEGER PRIMARY KEY, v, b)", NULL, NULL, NULL), SQLITE_OK);
	for (int round = 1; round <= 3; round++) {
		char text[512];

		snprintf(text, sizeof text, "PRAGMA synchronous = NORMAL; BEGIN; REPLACE INTO twice WITH RECURSIVE c(i) AS "
			 "(SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200) SELECT i, 0, zeroblob(20000) FROM c;"
			 "UPDATE twice SET v = %d WHERE id < 20; COMMIT", round);
		assert_int_equal(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
		spool_dir_kill(d);
		sql = d->s->db.sql;
		snprintf(text, sizeof text, "SELECT count(*) FROM twice WHERE v = %d", round);
		assert_int_equal(db_number(&d->s->db, text, &n, NULL), 0);
		assert_int_equal(n, 19);
		assert_sound(d);
	}
}

/* Commits and says so, for ever. Rows of all sizes, so that portions end anywhere. */
static void work_until_killed(struct spool_dir *d, int fd, int from)
{
	spool_dir_start(d);
	for (int n = from;; n++) {
		struct spool_range r = range_of(2, n - 1, n);

		txn(d);
		for (int k = 0; k < 1 + n % 3; k++)
			(void)add_row(d, 1, 3 * n + k, 3 * n + k + 1, (size_t)(100 + n * 7919 % 150000));
		assert_int_equal(spool_finish(d->s, &r, 1, SPOOL_FILTERED, 0, NULL), 0);
		commit(d);
		if (write(fd, &n, sizeof n) != sizeof n)
			_exit(1);
	}
}

/* Goal: a real kill -9 at any moment, also inside of a commit or a checkpoint, undoes no commit that was reported. */
static void what_was_reported_survives_real_kills(void **state)
{
	struct spool_dir *d = *state;
	int status, last = 0, said[2];

	d->conf.max_size = 1 << 30;
	txn_full(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	commit(d);
	for (int round = 1; round <= 12; round++) {
		int commits = round * 5;
		pid_t pid;

		spool_close(d->s);
		d->s = NULL;
		assert_int_equal(pipe(said), 0);
		pid = fork();
		if (pid == 0)
			work_until_killed(d, said[1], last + 1);
		close(said[1]);
		while (commits-- > 0)
			assert_int_equal(read(said[0], &last, sizeof last), sizeof last);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(said[0], &last, sizeof last) == sizeof last)
			;
		close(said[0]);
		spool_dir_start(d);
		assert_false(spool_salvaged(d->s)->happened);
		assert_in_range(safe_of(d, 2), last, last + 1);
		last = (int)safe_of(d, 2);
		assert_int_equal(spool_verify(d->s, NULL, NULL, NULL), 0);
	}
}

/* A process may not write files beyond a size: the WAL meets it in the middle of a transaction. */
static void limit_file_size(rlim_t size)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void what_could_not_be_written_undoes_its_transaction_and_no_other(void **state)
{
	struct spool_dir *d = *state;
	struct err e = { 0 };
	int64_t id;
	int rc = 0;

	(void)signal(SIGXFSZ, SIG_IGN);
	txn_full(d);
	put_file(d, 1, 0);
	(void)add_row(d, 1, 0, 1, ROW);
	commit(d);
	limit_file_size(3 << 20);
	txn_full(d);
	for (int i = 1; rc == 0 && i < 8; i++)
		rc = add_row_sized(d, "logs", 1, i, i + 1, ROW, 0, &id);
	if (rc == 0)
		rc = spool_commit(d->s, &e);
	else
		spool_rollback(d->s);
	assert_true(rc < 0);
	assert_int_equal(safe_of(d, 1), 1);
	txn(d);				/* small ones fit still */
	(void)plan(d, 1, 1, 2);
	commit(d);
	limit_file_size(RLIM_INFINITY);
	txn_full(d);
	for (int i = 2; i < 9; i++)
		(void)add_row(d, 1, i, i + 1, ROW);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(whole_rows(d), 8);
	assert_int_equal(totals_of(d).rows, 8);
	assert_sound(d);
}

static void a_database_keeps_its_page_size_and_works(void **state)
{
	struct spool_dir *d = *state;
	static const int sizes[] = { 512, 4096, 16384, 65536 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		char path[160], text[200];
		sqlite3 *sql;
		int64_t page;
		int rc, n = 0;

		spool_close(d->s);
		d->s = NULL;
		spool_dir_next(d);
		d->conf.max_size = 8 << 20;
		assert_int_equal(mkdir(d->dir, 0700), 0);
		snprintf(path, sizeof path, "%s/spool.db", d->dir);
		snprintf(text, sizeof text, "PRAGMA page_size = %d; PRAGMA auto_vacuum = 2; PRAGMA journal_mode = WAL; "
			 "CREATE TABLE t (x); DROP TABLE t", sizes[i]);
		assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
		assert_int_equal(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(sql);
		spool_dir_start(d);
		assert_int_equal(db_number(&d->s->db, "PRAGMA page_size", &page, NULL), 0);
		assert_int_equal(page, sizes[i]);
		assert_int_equal(db_number(&d->s->db, "PRAGMA max_page_count", &page, NULL), 0);
		assert_int_equal(page, (40 << 20) / sizes[i] + 1);
		do {
			int64_t id;

			txn_full(d);
			if (!n)
				put_file(d, 1, 0);
			rc = add_row_sized(d, "logs", 1, n, n + 1, ROW, 0, &id);
			commit(d);
			n += rc == 0;
		} while (rc == 0);
		assert_int_equal(rc, ERR_SPOOL_FULL);
		assert_int_equal(n, (8 << 20) / ROW);
		spool_dir_kill(d);
		assert_int_equal(whole_rows(d), n);
		assert_sound(d);
	}
}

static uint64_t count_syncs(double *ret_seconds)
{
	struct spool_syncs s;
	uint64_t n = 0;

	spool_syncs(&s);
	for (int i = 0; i < SPOOL_SYNC_BUCKETS; i++)
		n += s.counts[i];
	*ret_seconds = s.seconds;
	return n;
}

static void a_full_commit_counts_as_a_sync_and_a_normal_one_does_not(void **state)
{
	struct spool_dir *d = *state;
	double before_s, after_s;
	uint64_t before;

	txn_full(d);
	put_file(d, 1, 0);
	commit(d);
	before = count_syncs(&before_s);
	txn(d);
	put_file(d, 2, 0);
	commit(d);
	assert_int_equal(count_syncs(&after_s), before);
	txn_full(d);
	put_file(d, 3, 0);
	commit(d);
	assert_int_equal(count_syncs(&after_s), before + 1);
	assert_true(after_s > before_s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(a_normal_commit_survives_a_kill),
	T(pages_that_are_written_twice_survive_a_kill),
	T(what_was_reported_survives_real_kills),
	T(what_could_not_be_written_undoes_its_transaction_and_no_other),
	T(a_database_keeps_its_page_size_and_works),
	T(a_full_commit_counts_as_a_sync_and_a_normal_one_does_not),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

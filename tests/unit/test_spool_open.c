/* test_spool_open.c - the state directory: made, locked, verified, refused, looked into. */
#include "tests/lib/spool_dir.h"

#include <sys/wait.h>

#include "spool/inside.h"

static int setup_closed(void **state)
{
	struct spool_dir *d = calloc(1, sizeof *d);

	assert_non_null(d);
	spool_dir_make(d);
	*state = d;
	return 0;
}

static void run_sql(struct spool_dir *d, const char *text)
{
	char path[160];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void assert_refused(struct spool_dir *d, int code, const char *words)
{
	struct err e = { 0 };
	struct spool *s = NULL;

	assert_int_equal(spool_open(&d->conf, &s, &e), code);
	assert_null(s);
	assert_int_equal(e.code, code);
	if (!strstr(e.text, words))
		print_error("\"%s\" does not say \"%s\"\n", e.text, words);
	assert_non_null(strstr(e.text, words));
}

static void the_directory_is_made_and_private(void **state)
{
	struct spool_dir *d = *state;
	struct stat st;
	char path[160];

	umask(022);
	spool_dir_start(d);
	assert_int_equal(stat(d->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(spool_dir_size(d, "spool.db-wal") >= 8 << 20);
	assert_int_equal(spool_dir_size(d, "spool.db-shm"), -1);
}

static int64_t pragma(struct spool_dir *d, const char *name)
{
	char text[64];
	int64_t v = -77;

	snprintf(text, sizeof text, "PRAGMA %s", name);
	assert_int_equal(db_number(&d->s->db, text, &v, NULL), 0);
	return v;
}

static void the_settings_hold_on_a_new_and_on_an_old_database(void **state)
{
	struct spool_dir *d = *state;

	for (int life = 0; life < 2; life++) {
		spool_dir_start(d);
		assert_int_equal(pragma(d, "page_size"), 32768);
		assert_int_equal(pragma(d, "auto_vacuum"), 2);
		assert_int_equal(pragma(d, "secure_delete"), 0);
		assert_int_equal(pragma(d, "wal_autocheckpoint"), 0);
		assert_int_equal(pragma(d, "mmap_size"), 0);
		assert_int_equal(pragma(d, "trusted_schema"), 0);
		assert_int_equal(pragma(d, "max_page_count"), ((64 << 20) + (32 << 20)) / 32768 + 1);
		assert_int_equal(pragma(d, "application_id"), SCHEMA_APPLICATION_ID);
		assert_int_equal(pragma(d, "user_version"), SCHEMA_VERSION);
		assert_int_equal(pragma(d, "synchronous"), 2);
		txn(d);
		assert_int_equal(pragma(d, "synchronous"), 1);
		commit(d);
		txn_full(d);
		assert_int_equal(pragma(d, "synchronous"), 2);
		commit(d);
		spool_close(d->s);
		d->s = NULL;
	}
}

static void a_database_with_other_settings_is_refused(void **state)
{
	struct spool_dir *d = *state;

	assert_int_equal(mkdir(d->dir, 0700), 0);
	run_sql(d, "PRAGMA auto_vacuum = 0; CREATE TABLE t (x); PRAGMA application_id = 1397782305");
	assert_refused(d, ERR_INTERNAL, "auto_vacuum");
}

static void a_clean_close_leaves_one_file(void **state)
{
	struct spool_dir *d = *state;

	spool_dir_start(d);
	txn(d);
	put_file(d, 1, 0);
	(void)add_row(d, 1, 0, 10, 300000);
	commit(d);
	spool_close(d->s);
	d->s = NULL;
	assert_int_equal(spool_dir_size(d, "spool.db-wal"), -1);
	spool_dir_start(d);
	assert_int_equal(totals_of(d).records, 10);
	assert_int_equal(safe_of(d, 1), 10);
}

static void a_second_agent_is_told_so(void **state)
{
	struct spool_dir *d = *state;
	int status;
	pid_t pid;

	spool_dir_start(d);
	assert_refused(d, ERR_BUSY, "another spillway");
	d->conf.read_only = true;
	assert_refused(d, ERR_BUSY, "another spillway");
	d->conf.read_only = false;
	pid = fork();
	if (pid == 0) {
		struct spool *s;

		_exit(spool_open(&d->conf, &s, NULL) == ERR_BUSY ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	txn(d);			/* the refused ones have done no harm */
	put_file(d, 1, 0);
	commit(d);
}

static void the_lock_dies_with_its_process(void **state)
{
	struct spool_dir *d = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct spool *s;
		struct spool_range r = range_of(1, 0, 10);

		if (spool_open(&d->conf, &s, NULL) < 0)
			_exit(1);
		d->s = s;
		txn(d);
		put_file(d, 1, 0);
		(void)spool_finish(s, &r, 1, SPOOL_ACKED, 10, NULL);
		commit(d);
		_exit(0);	/* no close: as killed */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	spool_dir_start(d);
	assert_int_equal(safe_of(d, 1), 10);
	assert_int_equal(totals_of(d).acked, 10);
}

static void a_newer_database_is_refused_unharmed(void **state)
{
	struct spool_dir *d = *state;

	spool_dir_start(d);
	txn(d);
	put_file(d, 1, 10);
	commit(d);
	spool_close(d->s);
	d->s = NULL;
	run_sql(d, "PRAGMA user_version = 6");
	assert_refused(d, ERR_NEWER, "newer spillway");
	d->conf.read_only = true;
	assert_refused(d, ERR_NEWER, "newer spillway");
	d->conf.read_only = false;
	run_sql(d, "PRAGMA user_version = 5");
	spool_dir_start(d);
	assert_int_equal(safe_of(d, 1), 10);
}

static void impossible_directories_are_explained(void **state)
{
	struct spool_dir *d = *state;
	char path[160];

	snprintf(path, sizeof path, "%s/a/b", d->dir);
	d->conf.dir = path;
	assert_refused(d, -ENOENT, "only its last component");
	d->conf.dir = "/dev/null";
	assert_refused(d, -ENOTDIR, "/dev/null");
}

static int count_file(void *arg, const struct spool_file *f)
{
	(void)f;
	++*(int *)arg;
	return 0;
}

/* Goal: looking changes nothing. Method: bytes and names of the directory before and after. */
static void looking_at_a_cleanly_closed_spool_changes_nothing(void **state)
{
	struct spool_dir *d = *state;
	struct spool *second = NULL;
	int64_t size;
	int files = 0;

	spool_dir_start(d);
	txn(d);
	put_file(d, 1, 0);
	(void)add_row(d, 1, 0, 10, 100);
	commit(d);
	spool_close(d->s);
	size = spool_dir_size(d, "spool.db");
	d->conf.read_only = true;
	spool_dir_start(d);
	assert_int_equal(spool_open(&d->conf, &second, NULL), 0);	/* lookers share */
	spool_close(second);
	assert_int_equal(totals_of(d).records, 10);
	assert_int_equal(safe_of(d, 1), 10);
	assert_int_equal(spool_files_each(d->s, count_file, &files, NULL), 0);
	assert_int_equal(files, 1);
	assert_int_equal(spool_begin(d->s, SPOOL_NORMAL, NULL), -EROFS);
	d->conf.read_only = false;
	assert_refused(d, ERR_BUSY, "another spillway");
	assert_int_equal(spool_dir_size(d, "spool.db-wal"), -1);
	spool_close(d->s);
	d->s = NULL;
	assert_int_equal(spool_dir_size(d, "spool.db"), size);
	assert_int_equal(spool_dir_size(d, "spool.db-wal"), -1);
}

static void looking_after_a_kill_shows_the_last_commit(void **state)
{
	struct spool_dir *d = *state;

	spool_dir_start(d);
	txn(d);
	put_file(d, 1, 10);
	(void)add_row(d, 1, 10, 20, 100);
	commit(d);
	spool_dir_kill_only(d);
	d->conf.read_only = true;
	spool_dir_start(d);
	assert_int_equal(totals_of(d).records, 10);
	assert_int_equal(safe_of(d, 1), 20);
}

static void looking_where_nothing_is_says_so(void **state)
{
	struct spool_dir *d = *state;

	d->conf.read_only = true;
	assert_refused(d, -ENOENT, "cannot open");
	assert_int_equal(mkdir(d->dir, 0700), 0);
	assert_refused(d, -ENOENT, "no state database");
	assert_int_equal(spool_dir_size(d, "spool.db"), -1);
}

/* A path that would mean something in a file: URI. */
static void odd_paths_can_be_looked_at(void **state)
{
	struct spool_dir *d = *state;
	char odd[160], db[200];

	snprintf(odd, sizeof odd, "%s?mode=memory%%20#x", d->dir);
	d->conf.dir = odd;
	spool_dir_start(d);
	txn(d);
	put_file(d, 1, 10);
	commit(d);
	spool_close(d->s);
	d->conf.read_only = true;
	spool_dir_start(d);
	assert_int_equal(safe_of(d, 1), 10);
	spool_close(d->s);
	d->s = NULL;
	snprintf(db, sizeof db, "%s/spool.db", odd);
	assert_int_equal(unlink(db), 0);
	assert_int_equal(rmdir(odd), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_closed, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(the_directory_is_made_and_private),
	T(the_settings_hold_on_a_new_and_on_an_old_database),
	T(a_database_with_other_settings_is_refused),
	T(a_clean_close_leaves_one_file),
	T(a_second_agent_is_told_so),
	T(the_lock_dies_with_its_process),
	T(a_newer_database_is_refused_unharmed),
	T(impossible_directories_are_explained),
	T(looking_at_a_cleanly_closed_spool_changes_nothing),
	T(looking_after_a_kill_shows_the_last_commit),
	T(looking_where_nothing_is_says_so),
	T(odd_paths_can_be_looked_at),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

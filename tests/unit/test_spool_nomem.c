/* test_spool_nomem.c - memory runs out at the nth allocation, ours and SQLite's, for every n until all goes well.
 *
 * What must hold each time: no crash, no leak (ASan), an error that says so, and after a rollback or a new open the spool
 * is what it was at the last commit that succeeded: whole, and able to go on.
 */
#include "tests/lib/spool_dir.h"

#include <sqlite3.h>

#include "agent/base/mem.h"

static sqlite3_mem_methods plain;
static long sqlite_left;		/* 0: off; the call that makes it 0 fails */

static int fails(void) { return sqlite_left > 0 && --sqlite_left == 0; }
static void *failing_malloc(int n) { return fails() ? NULL : plain.xMalloc(n); }
static void *failing_realloc(void *p, int n) { return fails() ? NULL : plain.xRealloc(p, n); }

static void fail_at(bool ours, long n)
{
	mem_fail_nth(ours ? n : 0);
	sqlite_left = ours ? 0 : n;
}

/* One working life. Returns the first error; *ret_committed says which transactions are behind it. */
static int live(struct spool_dir *d, int *ret_committed)
{
	struct spool_range r[2] = { range_of(1, 0, 10), range_of(1, 20, 30) };
	struct spool_ledger l = ledger_of(r, 2, 20);
	struct spool_file f = { .id = 1, .path = "/x" };
	struct spool_row row = { .topic = "logs", .partition = -1, .count = 5, .spooled_ms = 9, .ranges = &r[1], .range_count = 1 };
	struct spool_piece p[2] = { { "abc", 3 }, { "defg", 4 } };
	struct err e = { 0 };
	int rc;

	row.crc = crc32c(0, "abcdefg", 7);
	r[1] = range_of(1, 40, 45);
	*ret_committed = 0;
	rc = spool_open(&d->conf, &d->s, &e);
	if (rc < 0) {
		d->s = NULL;
		assert_true(e.code == rc && e.text[0]);
		if (rc != ERR_NOMEM)
			print_error("%s\n", e.text);
		return rc;
	}
	if ((rc = spool_begin(d->s, SPOOL_FULL, NULL)) < 0)
		return rc;
	if ((rc = spool_file_put(d->s, &f, NULL)) < 0 || (rc = spool_plan(d->s, &l, NULL)) < 0 ||
	    (rc = spool_add(d->s, &row, p, 2, NULL)) < 0) {
		assert_int_equal(spool_commit(d->s, NULL), rc);		/* a lost transaction cannot be committed */
		return rc;
	}
	if ((rc = spool_commit(d->s, NULL)) < 0)
		return rc;
	*ret_committed = 1;
	if ((rc = spool_begin(d->s, SPOOL_NORMAL, NULL)) < 0)
		return rc;
	if ((rc = spool_acked(d->s, l.id, NULL)) < 0) {
		spool_rollback(d->s);
		return rc;
	}
	if ((rc = spool_commit(d->s, NULL)) < 0)
		return rc;
	*ret_committed = 2;
	return 0;
}

static int check_row(void *arg, const struct spool_row *r, const void *data, int rc)
{
	assert_int_equal(rc, 0);
	assert_int_equal(r->count, 5);
	assert_memory_equal(data, "abcdefg", 7);
	++*(int *)arg;
	return 0;
}

static void check_state(struct spool_dir *d, int committed)
{
	struct spool_totals t = totals_of(d);
	int rows = 0;

	assert_int_equal(safe_of(d, 1), committed == 0 ? -1 : committed == 1 ? 0 : 10);
	assert_int_equal(t.records, committed ? 5 : 0);
	assert_int_equal(t.acked, committed == 2 ? 20 : 0);
	assert_ledger(d, committed == 1 ? "1" : "");
	assert_skips(d, 1, committed == 1 ? "0-10 40-45" : committed == 2 ? "40-45" : "");
	assert_int_equal(spool_rows_read(d->s, "logs", -1, 0, check_row, &rows, NULL), 0);
	assert_int_equal(rows, committed ? 1 : 0);
}

static void run(struct spool_dir *d, bool ours)
{
	int well = 0;

	/* SQLite allocates some thousand times, mostly while it opens: from the fiftieth on, some are left out. */
	for (long n = 1; n < 20000; n += ours || n < 50 ? 1 : n / 50) {
		int committed, rc;

		spool_dir_remove(d);
		spool_dir_make(d);
		fail_at(ours, n);
		rc = live(d, &committed);
		fail_at(ours, 0);
		if (rc < 0)
			assert_int_equal(rc, ERR_NOMEM);
		if (d->s)
			check_state(d, committed);
		spool_dir_reopen(d);
		check_state(d, committed);
		well = rc == 0 ? well + 1 : 0;
		if (well == 20)
			return;		/* past the last allocation; single ones may do without */
	}
	fail_msg("still failing after 20000 allocations");
}

static void our_memory_may_end_anywhere(void **state)     { run(*state, true); }
static void sqlites_memory_may_end_anywhere(void **state) { run(*state, false); }

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(our_memory_may_end_anywhere),
	T(sqlites_memory_may_end_anywhere),
};

int main(int argc, char **argv)
{
	sqlite3_mem_methods failing;

	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain);
	failing = plain;
	failing.xMalloc = failing_malloc;
	failing.xRealloc = failing_realloc;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
	return test_main(argc, argv, tests, COUNT(tests));
}

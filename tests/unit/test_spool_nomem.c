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
static long sqlite_later;		/* 0: off; what sqlite_left becomes once the spool is open */

static int fails(void) { return sqlite_left > 0 && --sqlite_left == 0; }
static void *failing_malloc(int n) { return fails() ? NULL : plain.xMalloc(n); }
static void *failing_realloc(void *p, int n) { return fails() ? NULL : plain.xRealloc(p, n); }

enum whose { OURS, SQLITES, SQLITES_ONCE_OPEN };

static void fail_at(enum whose whose, long n)
{
	mem_fail_nth(whose == OURS ? n : 0);
	sqlite_left = whose == SQLITES ? n : 0;
	sqlite_later = whose == SQLITES_ONCE_OPEN ? n : 0;
}

static void say_finding(void *arg, int64_t row_id, const char *what)
{
	(void)arg, (void)row_id;
	print_error("%s\n", what);
}

/* Everything that gives up, mends, doubts or moves by hand, in one transaction. */
static int give_up(struct spool_dir *d)
{
	struct spool_range r = range_of(1, 50, 60), more = range_of(1, 60, 70);
	struct spool_ledger l = ledger_of(&r, 1, 10);
	struct spool_home home = { .machine_id = "m", .inode = 7 };
	struct spool_loss loss = { .reason = SPOOL_LOSS_SKIPPED, .topic = "", .path = "/y", .to = 9, .bytes = 9 };
	struct spool_row row = { .id = 1, .count = 5, .crc = crc32c(0, "mended", 6) };
	struct spool_piece p[2] = { { "men", 3 }, { "ded", 3 } };
	int rc;

	if ((rc = spool_home_put(d->s, &home, NULL)) < 0 || (rc = spool_partitions_put(d->s, "logs", 3, NULL)) < 0 ||
	    (rc = spool_plan(d->s, &l, NULL)) < 0 || (rc = spool_uncertain(d->s, l.id, NULL)) < 0 ||
	    (rc = spool_ledger_drop(d->s, l.id, SPOOL_LOSS_GONE, NULL)) < 0 ||
	    (rc = spool_drop(d->s, "logs", 0, &more, 1, 10, SPOOL_LOSS_NEWEST, NULL)) < 0 ||
	    (rc = spool_row_mend(d->s, &row, p, 2, NULL)) < 0 || (rc = spool_loss_add(d->s, &loss, NULL)) < 0 ||
	    (rc = spool_position_set(d->s, 1, 45, 45, NULL)) < 0)
		assert_int_equal(spool_commit(d->s, NULL), rc);
	else
		rc = spool_commit(d->s, NULL);
	return rc;
}

/* The rest of a life: two transactions, and a look at everything. */
static int live_on(struct spool_dir *d, int *ret_committed)
{
	int rc = spool_begin(d->s, SPOOL_NORMAL, NULL);

	if (rc < 0 || (rc = give_up(d)) < 0)
		return rc;
	*ret_committed = 3;
	if ((rc = spool_begin(d->s, SPOOL_NORMAL, NULL)) < 0)
		return rc;
	if ((rc = spool_row_drop(d->s, 1, SPOOL_LOSS_OLDEST, NULL)) < 0) {
		spool_rollback(d->s);
		return rc;
	}
	if ((rc = spool_commit(d->s, NULL)) < 0)
		return rc;
	*ret_committed = 4;
	return spool_verify(d->s, say_finding, NULL, NULL);
}

/* One working life. Returns the first error; *ret_committed says which transactions are behind it. */
static int live(struct spool_dir *d, int *ret_committed)
{
	struct spool_range r[2] = { range_of(1, 0, 10), range_of(1, 20, 30) }, spilled = range_of(1, 40, 45);
	struct spool_ledger l = ledger_of(r, 2, 20);
	struct spool_file f = { .id = 1, .path = "/x" };
	struct spool_row row = { .topic = "logs", .partition = -1, .count = 5, .spooled_ms = 9, .ranges = &spilled,
				 .range_count = 1 };
	struct spool_piece p[2] = { { "abc", 3 }, { "defg", 4 } };
	struct err e = { 0 };
	int rc;

	row.crc = crc32c(0, "abcdefg", 7);
	*ret_committed = 0;
	rc = spool_open(&d->conf, &d->s, &e);
	if (rc < 0) {
		d->s = NULL;
		assert_true(e.code == rc && e.text[0]);
		if (rc != ERR_NOMEM)
			print_error("%s\n", e.text);
		return rc;
	}
	sqlite_left = sqlite_later ? sqlite_later : sqlite_left;
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
	return live_on(d, ret_committed);
}

struct seen { int rows, losses; const char *bytes; };

static int check_row(void *arg, const struct spool_row *r, const void *data, int rc)
{
	assert_int_equal(rc, 0);
	assert_int_equal(r->count, 5);
	assert_int_equal(r->size, strlen(((struct seen *)arg)->bytes));
	assert_memory_equal(data, ((struct seen *)arg)->bytes, r->size);
	((struct seen *)arg)->rows++;
	return 0;
}

static int count_loss(void *arg, const struct spool_loss *l)
{
	assert_string_equal(l->path, strcmp(l->reason, SPOOL_LOSS_SKIPPED) ? "/x" : "/y");
	((struct seen *)arg)->losses++;
	return 0;
}

/* By the number of transactions that are behind it. */
static const struct { int safe, acked, records, dropped, uncertain, losses, home; const char *ledger, *skips; } want[] = {
	{ -1, 0, 0, 0, 0, 0, 0, "", "" },
	{ 0, 0, 5, 0, 0, 0, 0, "1", "0-10 20-30 40-45" },
	{ 10, 20, 5, 0, 0, 0, 0, "", "20-30 40-45" },
	{ 45, 20, 5, 20, 10, 4, 7, "", "" },
	{ 45, 20, 0, 25, 10, 5, 7, "", "" },
};

static void check_state(struct spool_dir *d, int committed)
{
	struct spool_totals t = totals_of(d);
	struct seen seen = { .bytes = committed < 3 ? "abcdefg" : "mended" };
	struct spool_home home;

	assert_int_equal(safe_of(d, 1), want[committed].safe);
	assert_int_equal(t.records, want[committed].records);
	assert_int_equal(t.acked, want[committed].acked);
	assert_int_equal(t.dropped, want[committed].dropped);
	assert_int_equal(t.uncertain_records, want[committed].uncertain);
	assert_ledger(d, want[committed].ledger);
	assert_skips(d, 1, want[committed].skips);
	assert_int_equal(spool_rows_read(d->s, "logs", -1, 0, check_row, &seen, NULL), 0);
	assert_int_equal(seen.rows, want[committed].records ? 1 : 0);
	assert_int_equal(spool_losses_each(d->s, 0, count_loss, &seen, NULL), 0);
	assert_int_equal(seen.losses, want[committed].losses);
	spool_home(d->s, &home);
	assert_int_equal(home.inode, want[committed].home);
	assert_int_equal(spool_verify(d->s, say_finding, NULL, NULL), 0);
}

static void run(struct spool_dir *d, enum whose whose)
{
	int well = 0;

	/* SQLite allocates some thousand times, mostly while it opens: from the fiftieth on, some are left out. */
	for (long n = 1; n < 20000; n += whose != SQLITES || n < 50 ? 1 : n / 50) {
		int committed, rc;

		spool_dir_remove(d);
		spool_dir_make(d);
		fail_at(whose, n);
		rc = live(d, &committed);
		fail_at(whose, 0);
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

static void our_memory_may_end_anywhere(void **state)           { run(*state, OURS); }
static void sqlites_memory_may_end_anywhere(void **state)       { run(*state, SQLITES); }
static void sqlites_memory_may_end_in_any_change(void **state)  { run(*state, SQLITES_ONCE_OPEN); }

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(our_memory_may_end_anywhere),
	T(sqlites_memory_may_end_anywhere),
	T(sqlites_memory_may_end_in_any_change),
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

/* test_spool_salvage_io.c - a salvage meets a failing disk: the nth call fails, for n = 1, 2, 3 ... until all goes well.
 *
 * What must hold each time: no crash; an error in words; and once the disk is well again the next open ends the salvage. What
 * it saves is what it saves on a good disk, but for rows whose room could not be had: those are counted as lost.
 */
#include <unistd.h>

#include "tests/lib/faultvfs.h"
#include "tests/lib/spool_sig.h"

#include "spool/inside.h"

#define ROWS     12
#define ROW_SIZE 30000
#define TRIES    2			/* with the fault still there */

struct loop { struct spool_dir d; char from[96]; char *want; };

static void overwrite(const char *dir, const char *name, int64_t at, const void *bytes, size_t n)
{
	char path[160];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

static void fill(struct spool_dir *d)
{
	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	commit(d);
	for (int i = 0; i < ROWS; i++) {
		txn_full(d);
		(void)add_row(d, 1, i * 10, i * 10 + 10, ROW_SIZE);
		commit(d);
	}
	txn(d);
	(void)plan(d, 2, 0, 50);
	(void)plan_row(d, 3, 10);
	commit(d);
}

static void next_copy(struct loop *l)
{
	static const char *const names[] = { "spool.db", "spool.db-wal", "spool.open" };

	spool_dir_next(&l->d);
	assert_int_equal(mkdir(l->d.dir, 0700), 0);
	for (size_t i = 0; i < COUNT(names); i++)
		spool_dir_copy(l->from, l->d.dir, names[i]);
}

static void remove_copy(struct loop *l)
{
	spool_close(l->d.s);
	l->d.s = NULL;
	spool_dir_empty(l->d.dir);
	assert_int_equal(rmdir(l->d.dir), 0);
	l->d.lives--;
}

/* How often opening failed. *ret_happened: the fault was met. */
static int open_at_last(struct spool_dir *d, bool *ret_happened)
{
	struct err e = { 0 };
	int failures = 0, rc = -1;

	for (int i = 0; i < TRIES && rc < 0; i++) {
		rc = spool_open(&d->conf, &d->s, &e);
		failures += rc < 0;
		if (rc < 0)
			assert_true(strlen(e.text) > 10);
	}
	*ret_happened = faultvfs_happened();
	faultvfs_fail(0, 0, 0, false);
	if (rc < 0)
		spool_dir_start(d);
	return failures;
}

static void check(struct loop *l, bool exact)
{

	struct spool_totals t = totals_of(&l->d);
	char *got = spool_sig(l->d.s);

	if (exact)
		assert_string_equal(got, l->want);
	assert_true(t.rows <= ROWS);
	assert_int_equal(t.records + t.dropped, ROWS * 10);
	assert_int_equal(safe_of(&l->d, 1), ROWS * 10);
	mem_free(got);
	spool_dir_reopen(&l->d);
	assert_false(spool_salvaged(l->d.s)->happened);
	assert_int_equal(spool_dir_size(&l->d, "spool.salvage"), -1);
	assert_int_equal(spool_dir_size(&l->d, "spool.missed"), -1);
}

static void loop(struct loop *l, enum fault_call call, enum fault_how how, bool sticky)
{
	bool happened = true;
	int seen = 0;

	for (long n = 1; happened; n++) {
		next_copy(l);
		faultvfs_fail(call, n, how, sticky);
		seen += open_at_last(&l->d, &happened);
		check(l, call != FAULT_WRITE);
		remove_copy(l);
		assert_in_range(n, 1, 500);
	}
	if (call == FAULT_SYNC || call == FAULT_OPEN)
		assert_true(seen > 0);
}

static void all_loops(struct loop *l)
{
	static const struct { enum fault_call call; enum fault_how how; } faults[] = {
		{ FAULT_SYNC, FAULT_EIO }, { FAULT_OPEN, FAULT_EIO }, { FAULT_WRITE, FAULT_EIO }, { FAULT_WRITE, FAULT_ENOSPC },
		{ FAULT_TRUNCATE, FAULT_EIO }, { FAULT_DELETE, FAULT_EIO },
	};
	next_copy(l);
	spool_dir_start(&l->d);
	assert_true(spool_salvaged(l->d.s)->happened);
	l->want = spool_sig(l->d.s);
	remove_copy(l);
	for (size_t i = 0; i < COUNT(faults) * 2; i++)
		loop(l, faults[i / 2].call, faults[i / 2].how, i % 2);
	mem_free(l->want);
	memcpy(l->d.dir, l->from, sizeof l->from);
}

static void a_salvage_survives_whatever_its_disk_does(void **state)
{
	struct loop l = { 0 };
	uint8_t junk[100];

	(void)state;
	memset(junk, 0xe1, sizeof junk);
	spool_dir_make(&l.d);
	spool_dir_start(&l.d);
	fill(&l.d);
	spool_close(l.d.s);
	l.d.s = NULL;
	overwrite(l.d.dir, "spool.db", 0, junk, sizeof junk);
	memcpy(l.from, l.d.dir, sizeof l.from);
	all_loops(&l);
	spool_dir_remove(&l.d);
}

/* Goal: that a WAL is gone has its consequences even if the first try to draw them fails: the ledger is not believed by the
 * next open, which finds a WAL again. */
static void a_missing_wal_is_not_forgotten_by_an_open_that_failed(void **state)
{
	struct loop l = { 0 };
	char path[160];

	(void)state;
	spool_dir_make(&l.d);
	spool_dir_start(&l.d);
	fill(&l.d);
	spool_dir_reopen(&l.d);
	txn(&l.d);
	put_file(&l.d, 3, 0);
	commit(&l.d);
	spool_dir_kill_only(&l.d);
	snprintf(path, sizeof path, "%s/spool.db-wal", l.d.dir);
	assert_int_equal(unlink(path), 0);
	memcpy(l.from, l.d.dir, sizeof l.from);
	for (int call = 0; call < FAULT_CALLS; call++) {
		bool happened = true;

		for (long n = 1; happened; n++) {
			next_copy(&l);
			faultvfs_fail(call, n, FAULT_EIO, true);
			(void)open_at_last(&l.d, &happened);
			assert_ledger(&l.d, "");
			assert_true(totals_of(&l.d).uncertain_records >= 50);
			spool_dir_reopen(&l.d);
			assert_false(spool_salvaged(l.d.s)->happened);
			remove_copy(&l);
			assert_in_range(n, 1, 200);
		}
	}
	memcpy(l.d.dir, l.from, sizeof l.from);
	spool_dir_remove(&l.d);
}

static int64_t number(struct spool_dir *d, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(db_number(&d->s->db, sql, &n, NULL), 0);
	return n;
}

static int tally(void *arg, const struct spool_row *r, const void *data, int rc)
{
	int *seen = arg;
	int64_t at = r->spooled_ms - 1000;

	(void)data;
	assert_int_equal(rc, 0);
	assert_in_range(at, 0, 2999);
	seen[at]++;
	return 0;
}

/* Goal: two ways to one page in the tree of the rows: none of them is sent twice. */
static void rows_that_are_met_twice_are_taken_once(void **state)
{
	static int seen[3000];
	struct spool_dir d;
	uint8_t page[32768], *first, *second, junk[4] = { 0, 0, 0, 9 };
	char path[160];
	int64_t root;
	int fd, twice = 0, there = 0;

	(void)state;
	spool_dir_make(&d);
	spool_dir_start(&d);
	txn(&d);
	put_file(&d, 1, 0);
	for (int i = 0; i < 3000; i++)
		(void)add_row(&d, 1, i, i + 1, 20);
	commit(&d);
	root = number(&d, "SELECT rootpage FROM sqlite_master WHERE name = 'rows'");
	spool_close(d.s);
	d.s = NULL;
	snprintf(path, sizeof path, "%s/spool.db", d.dir);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, page, sizeof page, (root - 1) * (int64_t)sizeof page), sizeof page);
	assert_int_equal(page[0], 5);		/* an interior page of a table */
	assert_true(page[4] > 1 || page[3] > 0);
	first = page + (page[12] << 8 | page[13]);
	second = page + (page[14] << 8 | page[15]);
	memcpy(second, first, 4);
	assert_int_equal(pwrite(fd, page, sizeof page, (root - 1) * (int64_t)sizeof page), sizeof page);
	close(fd);
	overwrite(d.dir, "spool.db", 68, junk, sizeof junk);	/* and somebody else's: nothing of it is used as it is */
	spool_dir_start(&d);
	assert_true(spool_salvaged(d.s)->happened);
	assert_int_equal(spool_rows_read(d.s, "logs", -1, 0, tally, seen, NULL), 0);
	for (int i = 0; i < 3000; i++) {
		there += seen[i] > 0;
		twice += seen[i] > 1;
	}
	assert_int_equal(twice, 0);
	assert_in_range(there, 1000, 2999);
	assert_int_equal(totals_of(&d).rows, there);
	assert_int_equal(spool_salvaged(d.s)->rows_lost, 3000 - there);
	spool_dir_remove(&d);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_salvage_survives_whatever_its_disk_does),
	cmocka_unit_test(a_missing_wal_is_not_forgotten_by_an_open_that_failed),
	cmocka_unit_test(rows_that_are_met_twice_are_taken_once),
};

int main(int argc, char **argv)
{
	faultvfs_install();
	if (access("/dev/shm", W_OK) == 0)		/* nothing here is about real disks */
		setenv("TMPDIR", "/dev/shm", 1);
	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_spool_salvage.c - a state database that cannot be used any more: what is saved of it, what is said, what is kept. */
#include "tests/lib/spool_dir.h"

#include <unistd.h>

#include "spool/inside.h"

#define ROWS     40
#define ROW_SIZE 30000
#define PAGE     32768

/* Files 1 to 3; file 1: 0-1000 acked, then one row for each 10 bytes; file 2: 0-50 in flight, 60-70 acked above it. */
static int setup_filled(void **state)
{
	struct spool_dir *d;

	assert_int_equal(spool_dir_setup(state), 0);
	d = *state;
	txn(d);
	for (int i = 1; i <= 3; i++)
		put_file(d, i, 0);
	assert_int_equal(spool_acked(d->s, plan(d, 1, 0, 1000), NULL), 0);
	commit(d);
	for (int i = 0; i < ROWS; i++) {
		txn_full(d);
		(void)add_row(d, 1, 1000 + i * 10, 1010 + i * 10, ROW_SIZE);
		commit(d);
	}
	txn(d);
	(void)plan(d, 2, 0, 50);
	assert_int_equal(spool_acked(d->s, plan(d, 2, 60, 70), NULL), 0);
	(void)plan_row(d, 3, 10);
	commit(d);
	return 0;
}

static int open_file(struct spool_dir *d, const char *name, int flags)
{
	char path[160];
	int fd;

	snprintf(path, sizeof path, "%s/%s", d->dir, name);
	fd = open(path, flags | O_RDWR, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void overwrite(struct spool_dir *d, const char *name, int64_t at, size_t n)
{
	int fd = open_file(d, name, 0);
	uint8_t *junk = malloc(n);

	assert_non_null(junk);
	for (size_t i = 0; i < n; i++)
		junk[i] = (uint8_t)(0xe1 + i * 7);
	assert_int_equal(pwrite(fd, junk, n, at), n);
	free(junk);
	close(fd);
}

static void cut(struct spool_dir *d, const char *name, int64_t size)
{
	int fd = open_file(d, name, 0);

	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void stop(struct spool_dir *d)
{
	spool_close(d->s);
	d->s = NULL;
}

/* The directory without one of its files. */
static void take_away(struct spool_dir *d, const char *name)
{
	char path[160];

	snprintf(path, sizeof path, "%s/%s", d->dir, name);
	assert_int_equal(unlink(path), 0);
}

struct tally { int whole, damaged; int64_t last; };

static int count_row(void *arg, const struct spool_row *r, const void *data, int rc)
{
	struct tally *t = arg;
	uint8_t want[ROW_SIZE];

	assert_true(r->id > t->last);
	t->last = r->id;
	if (rc < 0) {
		assert_int_equal(rc, ERR_CORRUPT);
		t->damaged++;
		return 0;
	}
	row_fill(want, sizeof want);
	assert_int_equal(r->size, ROW_SIZE);
	assert_memory_equal(data, want, ROW_SIZE);
	assert_int_equal(r->count, 10);
	t->whole++;
	return 0;
}

static struct tally tally(struct spool_dir *d)
{
	struct tally t = { 0 };

	assert_int_equal(spool_rows_read(d->s, "logs", -1, 0, count_row, &t, NULL), 0);
	return t;
}

static const struct spool_salvage *salvaged(struct spool_dir *d)
{
	const struct spool_salvage *got = spool_salvaged(d->s);

	assert_true(got->happened);
	assert_non_null(strstr(got->text, got->aside));
	if (!got->wal_gone)
		assert_true(spool_dir_size(d, got->aside) >= 0);
	return got;
}

static void print_finding(void *arg, int64_t row_id, const char *what)
{
	(void)arg;
	print_error("row %lld: %s\n", (long long)row_id, what);
}

/* A sound spool: it verifies, opens again without a word, and works. */
static void assert_sound(struct spool_dir *d)
{
	if (tally(d).damaged == 0)
		assert_int_equal(spool_verify(d->s, print_finding, NULL, NULL), 0);
	spool_dir_reopen(d);
	assert_false(spool_salvaged(d->s)->happened);
	assert_int_equal(spool_dir_size(d, "spool.salvage"), -1);
	txn(d);
	put_file(d, 99, 0);
	assert_int_equal(spool_acked(d->s, plan(d, 99, 0, 1), NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_false(spool_salvaged(d->s)->happened);
	assert_int_equal(safe_of(d, 99), 1);
}

/* Nothing was lost: as setup_filled left it. */
static void assert_all_there(struct spool_dir *d)
{
	struct spool_totals t = totals_of(d);

	assert_int_equal(safe_of(d, 1), 1000 + ROWS * 10);
	assert_skips(d, 2, "0-50 60-70");
	assert_int_equal(safe_of(d, 3), 0);
	assert_int_equal(tally(d).whole, ROWS - 1);
	assert_int_equal(t.rows, ROWS);
	assert_int_equal(t.records, ROWS * 10);
	assert_int_equal(t.acked, 1010);
	assert_int_equal(t.dropped, 0);
	assert_int_equal(t.loss_records, 0);
}

static int see_left(void *arg, const struct spool_ledger *l)
{
	*(int *)arg += l->count == 15 && l->left == 5 && l->range_count == 2;
	return 0;
}

static void what_is_left_of_a_batch_stays_tied_to_it(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r[2] = { range_of(2, 100, 110), range_of(3, 0, 5) };
	struct spool_ledger l = ledger_of(r, 2, 15);
	struct spool_piece p = { "left", 4 };
	struct spool_row row = { .topic = "left", .partition = 2, .count = 5, .crc = crc32c(0, "left", 4), .rest = true,
				 .ranges = &r[1], .range_count = 1 };
	int n = 0;

	txn(d);
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	row.ledger_id = l.id;
	assert_int_equal(spool_add(d->s, &row, &p, 1, NULL), 0);
	commit(d);
	stop(d);
	overwrite(d, "spool.db", 0, 100);
	spool_dir_start(d);
	assert_int_equal(salvaged(d)->batches, 3);
	assert_int_equal(spool_ledger_each(d->s, see_left, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_sound(d);
}

static void a_garbage_header_costs_nothing(void **state)
{
	struct spool_dir *d = *state;

	stop(d);
	overwrite(d, "spool.db", 0, 100);
	spool_dir_start(d);
	assert_int_equal(salvaged(d)->rows, ROWS);
	assert_int_equal(salvaged(d)->batches, 2);
	assert_all_there(d);
	assert_sound(d);
}

static void a_garbage_first_page_costs_nothing(void **state)
{
	struct spool_dir *d = *state;

	stop(d);
	overwrite(d, "spool.db", 0, PAGE);
	spool_dir_start(d);
	assert_non_null(strstr(salvaged(d)->text, "Saved: 3 files, 40 spooled rows with 400 records, 2 batches in flight"));
	assert_all_there(d);
	assert_sound(d);
}

/* Pages that had been folded in are gone with the file; nothing of it is kept quiet. */
static void assert_wal_given(struct spool_dir *d)
{
	const struct spool_salvage *got = salvaged(d);

	assert_true(got->rows + got->rows_damaged > 0);
	assert_int_equal(got->rows + got->rows_damaged + got->rows_lost, ROWS);
	assert_int_equal(totals_of(d).dropped, got->records_lost);
}

/* After kill -9: the newest pages are in the WAL. */
static void an_empty_file_beside_a_wal_gives_what_the_wal_has(void **state)
{
	struct spool_dir *d = *state;

	spool_dir_kill_only(d);
	cut(d, "spool.db", 0);
	spool_dir_start(d);
	assert_wal_given(d);
	assert_sound(d);
}

static void a_deleted_file_beside_a_wal_gives_what_the_wal_has(void **state)
{
	struct spool_dir *d = *state;

	spool_dir_kill_only(d);
	take_away(d, "spool.db");
	spool_dir_start(d);
	assert_wal_given(d);
	assert_sound(d);
}

static void assert_nothing_left(struct spool_dir *d)
{
	assert_non_null(strstr(salvaged(d)->text, "Nothing could be saved"));
	assert_int_equal(totals_of(d).rows, 0);
	assert_int_equal(totals_of(d).loss_events, 1);
	assert_int_equal(safe_of(d, 1), -1);
	assert_sound(d);
}

static void an_empty_file_is_said_and_begun_anew(void **state)
{
	struct spool_dir *d = *state;

	stop(d);
	cut(d, "spool.db", 0);
	spool_dir_start(d);
	assert_nothing_left(d);
}

static void garbage_all_through_is_set_aside(void **state)
{
	struct spool_dir *d = *state;

	stop(d);
	overwrite(d, "spool.db", 0, (size_t)spool_dir_size(d, "spool.db"));
	spool_dir_start(d);
	assert_nothing_left(d);
}

/* What is behind the cut is lost, and exactly that is said. */
static void half_a_file_gives_half_of_its_rows(void **state)
{
	struct spool_dir *d = *state;
	const struct spool_salvage *got;
	struct tally t;

	stop(d);
	cut(d, "spool.db", spool_dir_size(d, "spool.db") / 2);
	spool_dir_start(d);
	got = salvaged(d);
	t = tally(d);
	assert_in_range(t.whole, ROWS / 5, ROWS * 4 / 5);
	assert_int_equal(t.whole + 1, got->rows);		/* one has an identity, or had */
	assert_int_equal(t.damaged, got->rows_damaged);
	assert_int_equal(got->rows + got->rows_damaged + got->rows_lost, ROWS);
	assert_int_equal(got->records + got->records_lost, ROWS * 10);
	assert_int_equal(got->bytes + got->bytes_lost, ROWS * ROW_SIZE);
	assert_int_equal(totals_of(d).dropped, got->records_lost);
	assert_int_equal(safe_of(d, 1), 1000 + ROWS * 10);
	assert_int_equal(totals_of(d).acked, 1010);
	assert_sound(d);
}

/* Each page of the file in turn is garbage: whatever that is, the spool opens, what it says adds up, no row comes twice and
 * none is other than it was. */
static void any_single_page_may_be_garbage(void **state)
{
	struct spool_dir *d = *state;
	int64_t pages;
	int salvages = 0;

	stop(d);
	pages = spool_dir_size(d, "spool.db") / PAGE;
	assert_in_range(pages, 40, 200);
	for (int64_t i = 0; i < pages; i++) {
		char from[96];
		struct tally t;
		struct spool_totals totals;

		memcpy(from, d->dir, sizeof from);
		spool_dir_next(d);
		assert_int_equal(mkdir(d->dir, 0700), 0);
		spool_dir_copy(from, d->dir, "spool.db");
		overwrite(d, "spool.db", i * PAGE, PAGE);
		spool_dir_start(d);
		t = tally(d);
		totals = totals_of(d);
		assert_true(t.whole + t.damaged <= ROWS);
		assert_true(t.whole + t.damaged >= ROWS - 1 || spool_salvaged(d->s)->happened);
		if (spool_salvaged(d->s)->happened) {
			const struct spool_salvage *got = salvaged(d);

			salvages++;
			assert_int_equal(totals.records, got->records);
			assert_true(got->rows + got->rows_damaged + got->rows_lost == ROWS || totals.acked == 0);
		}
		stop(d);
		spool_dir_start(d);
		assert_false(spool_salvaged(d->s)->happened);
		stop(d);
		spool_dir_empty(d->dir);
		assert_int_equal(rmdir(d->dir), 0);
		memcpy(d->dir, from, sizeof from);
		d->lives--;
	}
	assert_in_range(salvages, 5, 30);
	spool_dir_start(d);
	assert_all_there(d);
}

static void a_damaged_ledger_slot_sends_its_lines_again(void **state)
{
	struct spool_dir *d = *state;
	uint8_t blob[4] = { 1, 2, 3, 4 };
	sqlite3_stmt *q;

	assert_int_equal(sqlite3_prepare_v2(d->s->db.sql, "UPDATE ledger SET body = ? WHERE id = 2", -1, &q, NULL), SQLITE_OK);
	sqlite3_bind_blob(q, 1, blob, sizeof blob, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(q), SQLITE_DONE);
	sqlite3_finalize(q);
	stop(d);
	spool_dir_start(d);
	assert_int_equal(salvaged(d)->batches, 0);
	assert_int_equal(salvaged(d)->batches_lost, 2);
	assert_ledger(d, "");
	assert_skips(d, 2, "60-70");
	assert_int_equal(tally(d).whole, ROWS);		/* the one with an identity waits again */
	assert_true(totals_of(d).uncertain_records >= 10);
	assert_sound(d);
}

static void another_applications_database_is_set_aside_untouched(void **state)
{
	struct spool_dir *d = *state;
	char path[160];
	sqlite3 *db;

	stop(d);
	take_away(d, "spool.db");
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x); INSERT INTO t VALUES (7)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	spool_dir_start(d);
	assert_non_null(strstr(salvaged(d)->text, "not a state database of spillway"));
	snprintf(path, sizeof path, "%s/%s", d->dir, salvaged(d)->aside);
	assert_sound(d);
}

static void looking_sets_nothing_aside(void **state)
{
	struct spool_dir *d = *state;
	struct spool *s = NULL;
	struct err e = { 0 };

	stop(d);
	overwrite(d, "spool.db", 0, 100);
	d->conf.read_only = true;
	assert_int_equal(spool_open(&d->conf, &s, &e), ERR_CORRUPT);
	assert_null(s);
	assert_non_null(strstr(e.text, "damaged"));
	d->conf.read_only = false;
	spool_dir_start(d);
	assert_all_there(d);
}

/* Goal: a kill between the renames is made good. Method: the state of the directory after each. */
static void a_salvage_that_was_killed_goes_on(void **state)
{
	struct spool_dir *d = *state;
	char work[128], path[160], other[160];

	stop(d);
	snprintf(work, sizeof work, "%s/spool.salvage", d->dir);
	assert_int_equal(mkdir(work, 0700), 0);
	spool_dir_copy(d->dir, work, "spool.db");
	spool_dir_start(d);			/* before the first: what is half made is thrown away */
	assert_all_there(d);
	assert_false(spool_salvaged(d->s)->happened);
	stop(d);
	assert_int_equal(spool_dir_size(d, "spool.salvage"), -1);
	assert_int_equal(mkdir(work, 0700), 0);
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	snprintf(other, sizeof other, "%s/spool.db", work);
	assert_int_equal(rename(path, other), 0);
	close(open_file(d, "spool.db-wal", O_CREAT));		/* of the damaged one */
	overwrite(d, "spool.db-wal", 0, 100000);
	spool_dir_start(d);
	assert_all_there(d);
	assert_sound(d);
}

static void a_wal_that_was_taken_away_is_missed(void **state)
{
	struct spool_dir *d = *state;
	const struct spool_salvage *got;

	stop(d);
	spool_dir_start(d);
	txn(d);
	assert_int_equal(spool_acked(d->s, plan(d, 3, 0, 10), NULL), 0);
	commit(d);
	spool_dir_kill_only(d);
	take_away(d, "spool.db-wal");
	spool_dir_start(d);
	got = spool_salvaged(d->s);
	assert_true(got->happened && got->wal_gone);
	assert_non_null(strstr(got->text, "may be in Kafka twice"));
	assert_int_equal(got->batches_lost, 2);
	assert_ledger(d, "");			/* nobody knows what became of them */
	assert_skips(d, 2, "60-70");
	assert_int_equal(safe_of(d, 3), 0);
	assert_int_equal(tally(d).whole, ROWS);
	assert_true(totals_of(d).uncertain_records >= 60);
	assert_sound(d);
}

static void a_newer_database_stays_as_it_is(void **state)
{
	struct spool_dir *d = *state;
	struct spool *s = NULL;
	struct err e = { 0 };

	assert_int_equal(sqlite3_exec(d->s->db.sql, "PRAGMA user_version = 999", NULL, NULL, NULL), SQLITE_OK);
	stop(d);
	for (int i = 0; i < 3; i++)
		assert_int_equal(spool_open(&d->conf, &s, &e), ERR_NEWER);
	assert_non_null(strstr(e.text, "newer spillway"));
	assert_int_equal(spool_dir_size(d, "spool.salvage"), -1);
	assert_true(spool_dir_size(d, "spool.db") > ROWS * ROW_SIZE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_filled, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(a_garbage_header_costs_nothing),
	T(what_is_left_of_a_batch_stays_tied_to_it),
	T(a_garbage_first_page_costs_nothing),
	T(an_empty_file_beside_a_wal_gives_what_the_wal_has),
	T(a_deleted_file_beside_a_wal_gives_what_the_wal_has),
	T(an_empty_file_is_said_and_begun_anew),
	T(garbage_all_through_is_set_aside),
	T(half_a_file_gives_half_of_its_rows),
	T(any_single_page_may_be_garbage),
	T(a_damaged_ledger_slot_sends_its_lines_again),
	T(another_applications_database_is_set_aside_untouched),
	T(looking_sets_nothing_aside),
	T(a_salvage_that_was_killed_goes_on),
	T(a_wal_that_was_taken_away_is_missed),
	T(a_newer_database_stays_as_it_is),
};

int main(int argc, char **argv)
{
	if (access("/dev/shm", W_OK) == 0)		/* nothing here is about real disks */
		setenv("TMPDIR", "/dev/shm", 1);
	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_spool_full.c - a full spool, a full file system, and the way back. */
#include "tests/lib/spool_dir.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "spool/inside.h"

#define ROW 100000

static int setup_small(void **state)
{
	struct spool_dir *d = calloc(1, sizeof *d);

	assert_non_null(d);
	spool_dir_make(d);
	d->conf.max_size = 1 << 20;
	spool_dir_start(d);
	*state = d;
	return 0;
}

/* Rows of ROW bytes until one is refused; how many went in. One record each, from byte 0 of file 1 on. */
static int fill(struct spool_dir *d, int at)
{
	int64_t id;
	int n = 0;

	for (;; n++) {
		int rc;

		txn_full(d);
		rc = add_row_sized(d, "logs", 1, at + n, at + n + 1, ROW, 0, &id);
		commit(d);
		if (rc == ERR_SPOOL_FULL)
			return n;
		assert_int_equal(rc, 0);
	}
}

static int take_id(void *arg, const struct spool_row *r, const void *data, int rc)
{
	assert_int_equal(rc, 0);
	assert_non_null(data);
	*(int64_t *)arg = r->id;
	return 1;
}

/* Sends the oldest row, as the agent would: two transactions. false: nothing left. */
static bool drain_one(struct spool_dir *d)
{
	int64_t id = 0, ledger;

	assert_true(spool_rows_read(d->s, "logs", -1, 0, take_id, &id, NULL) >= 0);
	if (!id)
		return false;
	txn(d);
	ledger = plan_row(d, id, 1);
	commit(d);
	txn(d);
	assert_int_equal(spool_acked(d->s, ledger, NULL), 0);
	commit(d);
	return true;
}

static int drain(struct spool_dir *d)
{
	int n = 0;

	while (drain_one(d))
		n++;
	return n;
}

static void a_full_spool_refuses_and_the_transaction_goes_on(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r = range_of(2, 0, 5);
	int64_t id = 0;
	struct err e = { 0 };
	struct spool_row row = { .topic = "logs", .partition = -1, .count = 1 };
	struct spool_piece p = { "x", 1 };

	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	commit(d);
	assert_int_equal(fill(d, 0), (1 << 20) / ROW);
	assert_true(totals_of(d).full);
	txn_full(d);
	assert_int_equal(spool_finish(d->s, &r, 1, SPOOL_REJECTED, 5, NULL), 0);
	assert_int_equal(add_row_sized(d, "logs", 1, 10, 11, ROW, 0, &id), ERR_SPOOL_FULL);
	assert_int_equal(safe_of(d, 1), 10);
	commit(d);
	assert_int_equal(safe_of(d, 2), 5);
	assert_int_equal(totals_of(d).rows, 10);
	assert_int_equal(totals_of(d).rejected, 5);
	txn_full(d);
	assert_int_equal(add_row_sized(d, "logs", 1, 10, 11, 40000, 0, &id), 0);	/* a smaller one still fits */
	assert_false(totals_of(d).full);
	assert_int_equal(add_row_sized(d, "logs", 1, 11, 12, ROW, 0, &id), ERR_SPOOL_FULL);
	commit(d);
	d->s->now[TOTAL_BYTES] = (uint64_t)d->s->max_size;	/* for the words */
	txn(d);
	assert_int_equal(spool_add(d->s, &row, &p, 1, &e), ERR_SPOOL_FULL);
	spool_rollback(d->s);
	assert_non_null(strstr(e.text, "max_size"));
}

static void a_full_spool_drains_and_fills_again(void **state)
{
	struct spool_dir *d = *state;
	int n;

	txn(d);
	put_file(d, 1, 0);
	commit(d);
	n = fill(d, 0);
	assert_int_equal(drain(d), n);
	assert_int_equal(totals_of(d).acked, n);
	assert_int_equal(totals_of(d).bytes, 0);
	assert_int_equal(fill(d, n), n);
	spool_dir_kill(d);
	assert_int_equal(safe_of(d, 1), 2 * n);
	assert_int_equal(drain(d), n);
}

static void a_batch_with_identity_uses_the_reserve(void **state)
{
	struct spool_dir *d = *state;
	int64_t row = 0, id;

	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	id = plan(d, 2, 0, 1);
	commit(d);
	(void)fill(d, 0);
	txn_full(d);
	assert_int_equal(add_row_sized(d, "logs", 2, 0, 1, ROW, id, &row), 0);
	commit(d);
	assert_int_equal(safe_of(d, 2), 1);
	assert_true(totals_of(d).bytes > 1 << 20);
}

/* Goal: not even what has an identity can drive SQLite into its own limit, which would undo whole transactions. */
static void the_reserve_ends_before_the_page_limit(void **state)
{
	struct spool_dir *d = *state;
	int64_t id, row;
	int rc = 0;

	txn(d);
	put_file(d, 1, 0);
	commit(d);
	for (int i = 0; rc == 0; i++) {
		txn(d);
		id = plan(d, 1, i, i + 1);
		rc = add_row_sized(d, "logs", 1, i, i + 1, 2000000, id, &row);
		commit(d);
		assert_in_range(i, 0, 20);
	}
	assert_int_equal(rc, ERR_SPOOL_FULL);
	for (int i = 0; i < 2000; i++) {		/* ledger and positions go on */
		txn(d);
		put_file(d, 10 + i, 0);
		commit(d);
	}
}

static void too_little_free_space_refuses_rows_only(void **state)
{
	struct spool_dir *d = *state;
	int64_t row = 0, id;

	d->conf.min_free = INT64_MAX / 2;
	spool_dir_reopen(d);
	txn_full(d);
	put_file(d, 1, 0);
	id = plan(d, 1, 0, 1);
	assert_int_equal(add_row_sized(d, "logs", 1, 1, 2, ROW, 0, &row), ERR_SPOOL_FULL);
	assert_int_equal(add_row_sized(d, "logs", 1, 0, 1, ROW, id, &row), 0);
	assert_int_equal(spool_acked(d->s, id, NULL), 0);
	assert_int_equal(add_row_sized(d, "logs", 1, 1, 2, ROW / 2, 0, &row), 0);	/* into pages that are free */
	commit(d);
}

static void an_emptied_spool_gives_its_space_back_when_idle(void **state)
{
	struct spool_dir *d = *state;
	bool more = true;
	int64_t row, full;
	int rounds = 0;

	d->conf.max_size = 128 << 20;
	spool_dir_reopen(d);
	txn(d);
	put_file(d, 1, 0);
	for (int i = 0; i < 300; i++)
		assert_int_equal(add_row_sized(d, "logs", 1, i, i + 1, 4 * ROW, 0, &row), 0);
	commit(d);
	assert_int_equal(drain(d), 300);
	assert_true(spool_dir_size(d, "spool.db") > 116 << 20);
	full = spool_dir_size(d, "spool.db");
	for (; more; rounds++) {
		int64_t before = spool_dir_size(d, "spool.db");

		assert_int_equal(spool_idle(d->s, &more, NULL), 0);
		assert_true(before - spool_dir_size(d, "spool.db") <= 36 << 20);	/* cutting takes its time, too */
		assert_in_range(rounds, 0, 1000);
	}
	assert_in_range(rounds, 3, 1000);			/* in steps */
	assert_in_range(spool_dir_size(d, "spool.db"), 8 << 20, 13 << 20);	/* what is kept for the next outage */
	assert_true(spool_dir_size(d, "spool.db") < full);
	txn(d);
	(void)add_row(d, 1, 300, 301, ROW);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(totals_of(d).records, 1);
	assert_int_equal(drain(d), 1);
}

static void the_wal_stays_bounded(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 0);
	commit(d);
	for (int i = 0; i < 3000; i++) {
		txn(d);
		assert_int_equal(spool_acked(d->s, plan(d, 1, i, i + 1), NULL), 0);
		commit(d);
	}
	assert_true(spool_dir_size(d, "spool.db-wal") <= 10 << 20);
	assert_int_equal(safe_of(d, 1), 3000);
}

/* --- a file system that is really full --- */

struct small_fs { struct spool_dir d; char mount[64]; bool mounted; };

static int setup_fs(void **state)
{
	struct small_fs *fs = calloc(1, sizeof *fs);

	assert_non_null(fs);
	snprintf(fs->mount, sizeof fs->mount, "/tmp/spill-fs.XXXXXX");
	assert_non_null(mkdtemp(fs->mount));
	fs->mounted = mount("tmpfs", fs->mount, "tmpfs", 0, "size=48m") == 0;
	*state = fs;
	if (!fs->mounted)
		return 0;
	snprintf(fs->d.base, sizeof fs->d.base, "%.50s/x", fs->mount);
	assert_int_equal(mkdir(fs->d.base, 0700), 0);
	fs->d.conf.max_size = 1 << 30;
	spool_dir_next(&fs->d);
	spool_dir_start(&fs->d);
	return 0;
}

static int teardown_fs(void **state)
{
	struct small_fs *fs = *state;

	if (fs->mounted) {
		spool_close(fs->d.s);
		(void)umount(fs->mount);
	}
	(void)rmdir(fs->mount);
	free(fs);
	return 0;
}

/* Takes what is left of the file system. */
static void eat_all(struct small_fs *fs)
{
	static const char zeros[4096];
	char path[80];
	int fd;

	snprintf(path, sizeof path, "%s/ballast", fs->mount);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof zeros) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

/* Goal: rows until the disk is full, then somebody else takes the last block: everything still drains, and positions and
 * ledger go on, far longer than the WAL is. Then the same bytes can be spooled again. */
static void a_full_file_system_drains(void **state)
{
	struct small_fs *fs = *state;
	struct spool_dir *d = &fs->d;
	int n;

	if (!fs->mounted)
		skip();
	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	commit(d);
	n = fill(d, 0);
	assert_in_range(n, 150, 450);
	assert_true(totals_of(d).full);
	eat_all(fs);
	for (int i = 0; i < 1500; i++) {
		txn(d);
		assert_int_equal(spool_acked(d->s, plan(d, 2, i, i + 1), NULL), 0);
		commit(d);
	}
	assert_int_equal(safe_of(d, 2), 1500);
	assert_int_equal(drain(d), n);
	assert_int_equal(totals_of(d).acked, n + 1500);
	assert_int_equal(totals_of(d).rows, 0);
	assert_in_range(fill(d, n), n - 3, n);
}

/* The same after a kill: the WAL that was left is what there is. The one that is killed is a child. */
static void a_full_file_system_drains_after_a_kill(void **state)
{
	struct small_fs *fs = *state;
	struct spool_dir *d = &fs->d;
	int status, n;
	pid_t pid;

	if (!fs->mounted)
		skip();
	spool_close(d->s);
	d->s = NULL;
	pid = fork();
	if (pid == 0) {
		spool_dir_start(d);
		txn(d);
		put_file(d, 1, 0);
		commit(d);
		n = fill(d, 0);
		eat_all(fs);
		_exit(n > 150 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	spool_dir_start(d);
	n = (int)totals_of(d).rows;
	assert_true(n > 150);
	assert_int_equal(drain(d), n);
}

/* Goal: where no block is left batches can still be given up, new ones and spooled ones, with their entries in the losses:
 * else a spool that may drop would wait like one that may not. */
static void a_full_file_system_drops(void **state)
{
	struct small_fs *fs = *state;
	struct spool_dir *d = &fs->d;
	struct spool_range r[10];
	int n;

	if (!fs->mounted)
		skip();
	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	commit(d);
	n = fill(d, 0);
	eat_all(fs);
	for (int i = 0; i < 300; i++) {
		for (int k = 0; k < 10; k++)
			r[k] = range_of(2, (i * 10 + k) * 5, (i * 10 + k) * 5 + 5);
		txn_full(d);
		assert_int_equal(spool_drop(d->s, "logs", -1, r, 10, 50, SPOOL_LOSS_NEWEST, NULL), 0);
		commit(d);
	}
	for (int64_t row = 1; row <= n; row++) {
		txn_full(d);
		assert_int_equal(spool_row_drop(d->s, row, SPOOL_LOSS_OLDEST, NULL), 0);
		commit(d);
	}
	assert_true(totals_of(d).rows == 0 && totals_of(d).dropped == 300 * 50 + (uint64_t)n);
	assert_int_equal(safe_of(d, 2), 300 * 50);
	assert_int_equal(spool_verify(d->s, NULL, NULL, NULL), 0);
}

/* What takes a row's place may be larger, and nothing else may make room for it. */
static void what_takes_the_place_of_a_row_uses_the_reserve(void **state)
{
	struct spool_dir *d = *state;
	static uint8_t bytes[3 * ROW];
	struct spool_row row = { .topic = "logs", .partition = 3, .count = 1, .instead = true };
	struct spool_piece p = { bytes, sizeof bytes };
	int64_t id = 0;

	txn(d);
	put_file(d, 1, 0);
	commit(d);
	assert_int_equal(fill(d, 0), (1 << 20) / ROW);
	assert_true(spool_rows_read(d->s, "logs", -1, 0, take_id, &id, NULL) >= 0);
	row.crc = crc32c(0, bytes, sizeof bytes);
	txn_full(d);
	assert_int_equal(spool_row_replaced(d->s, id, NULL), 0);
	assert_int_equal(spool_row_replaced(d->s, id, NULL), ERR_NOT_FOUND);
	assert_int_equal(spool_add(d->s, &row, &p, 1, NULL), 0);
	commit(d);
	assert_int_equal(totals_of(d).rows, 10);
	assert_int_equal(totals_of(d).dropped, 0);
	assert_int_equal(spool_verify(d->s, NULL, NULL, NULL), 0);
}

/* Goal: what small tables took of the margin keeps no row out of pages that are free. */
static void a_full_file_system_takes_rows_into_free_pages(void **state)
{
	struct small_fs *fs = *state;
	struct spool_dir *d = &fs->d;
	struct spool_range r[10];
	int n;

	if (!fs->mounted)
		skip();
	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	commit(d);
	n = fill(d, 0);
	eat_all(fs);
	for (int i = 0; i < 1500; i++) {
		for (int k = 0; k < 10; k++)
			r[k] = range_of(2, (i * 10 + k) * 5, (i * 10 + k) * 5 + 5);
		txn_full(d);
		assert_int_equal(spool_drop(d->s, "logs", -1, r, 10, 50, SPOOL_LOSS_NEWEST, NULL), 0);
		commit(d);
	}
	assert_int_equal(db_checkpoint(&d->s->db, NULL), 0);
	eat_all(fs);
	assert_int_equal(drain(d), n);
	assert_in_range(fill(d, n), n - 20, n);
	n = (int)totals_of(d).rows;
	assert_int_equal(drain(d), n);
	assert_int_equal(spool_verify(d->s, NULL, NULL, NULL), 0);
}

/* Goal: where entries in the losses find no block any more they are refused, and all else goes on: nothing is ever committed
 * that could not be folded in. */
static void a_full_file_system_refuses_growth_and_drains(void **state)
{
	struct small_fs *fs = *state;
	struct spool_dir *d = &fs->d;
	struct spool_range r[10];
	int n, i, rc = 0;

	if (!fs->mounted)
		skip();
	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	commit(d);
	n = fill(d, 0);
	eat_all(fs);
	for (i = 0; rc == 0 && i < 20000; i++) {
		for (int k = 0; k < 10; k++)
			r[k] = range_of(2, (i * 10 + k) * 5, (i * 10 + k) * 5 + 5);
		txn_full(d);
		rc = spool_drop(d->s, "logs", -1, r, 10, 50, SPOOL_LOSS_NEWEST, NULL);
		if (rc == 0)
			rc = spool_commit(d->s, NULL);
		else
			spool_rollback(d->s);
		eat_all(fs);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(drain(d), n);
	assert_int_equal(totals_of(d).acked, n);
	txn_full(d);		/* what had no room has some now */
	assert_int_equal(spool_drop(d->s, "logs", -1, r, 10, 50, SPOOL_LOSS_NEWEST, NULL), 0);
	commit(d);
	assert_int_equal(totals_of(d).dropped, i * 50);
	assert_int_equal(spool_verify(d->s, NULL, NULL, NULL), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_small, spool_dir_teardown)
#define F(f) cmocka_unit_test_setup_teardown(f, setup_fs, teardown_fs)
static const struct CMUnitTest tests[] = {
	T(a_full_spool_refuses_and_the_transaction_goes_on),
	T(a_full_spool_drains_and_fills_again),
	T(a_batch_with_identity_uses_the_reserve),
	T(what_takes_the_place_of_a_row_uses_the_reserve),
	T(the_reserve_ends_before_the_page_limit),
	T(too_little_free_space_refuses_rows_only),
	T(an_emptied_spool_gives_its_space_back_when_idle),
	T(the_wal_stays_bounded),
	F(a_full_file_system_drains),
	F(a_full_file_system_drains_after_a_kill),
	F(a_full_file_system_drops),
	F(a_full_file_system_takes_rows_into_free_pages),
	F(a_full_file_system_refuses_growth_and_drains),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

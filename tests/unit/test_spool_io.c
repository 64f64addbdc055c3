/* test_spool_io.c - the nth write, sync, open, truncation or deletion fails, for n = 1, 2, 3 ... until all goes well.
 *
 * A working life does everything once: open, plan, ack, spill, drain, tidy, close. Each step that fails is tried again, as
 * the agent does, at first with the fault still there, then without. What must hold each time: no crash; an error in words;
 * after a failed commit memory is what it was before, and what the database says; when the fault has ended all goes on, and
 * the end is the same as without any fault.
 */
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/faultvfs.h"
#include "tests/lib/spool_sig.h"

#include "spool/inside.h"

#define ROWS 6
#define TRIES 3			/* with the fault still there */

struct life { struct spool_dir d; int64_t row, ledger; int failures; };

/* The transactions of a life, in order. An error is one that the agent would see. */
static int t_files(struct life *v)
{
	struct spool_file f = { .id = 1, .path = "/x" };

	return spool_file_put(v->d.s, &f, NULL);
}

static int t_plan(struct life *v)
{
	struct spool_range r = range_of(1, 0, 10);
	struct spool_ledger l = ledger_of(&r, 1, 10);
	int rc = spool_plan(v->d.s, &l, NULL);

	v->ledger = l.id;
	return rc;
}

static int t_ack(struct life *v) { return spool_acked(v->d.s, v->ledger, NULL); }

static int t_spill(struct life *v)
{
	int rc = 0;

	for (int i = 0; i < ROWS && rc == 0; i++)
		rc = add_row_sized(&v->d, "logs", 1, 10 + i * 10, 20 + i * 10, 60000, 0, &v->row);
	return rc;
}

static int t_drain(struct life *v)
{
	struct spool_ledger l = ledger_of(NULL, 0, 10);
	int rc;

	l.row_id = v->row;
	rc = spool_plan(v->d.s, &l, NULL);
	v->ledger = l.id;
	return rc;
}

static int t_drop_rest(struct life *v)
{
	int rc = 0;

	for (int64_t id = v->row - ROWS + 1; id < v->row && rc == 0; id++)
		rc = spool_row_set_aside(v->d.s, id, NULL);
	return rc;
}

static const struct { int (*fn)(struct life *v); enum spool_sync sync; } transactions[] = {
	{ t_files, SPOOL_NORMAL }, { t_plan, SPOOL_NORMAL }, { t_ack, SPOOL_NORMAL }, { t_spill, SPOOL_FULL },
	{ t_drain, SPOOL_NORMAL }, { t_ack, SPOOL_NORMAL }, { t_drop_rest, SPOOL_FULL },
};

static void assert_words(const struct err *e, int rc)
{
	assert_int_equal(e->code, rc);
	assert_true(strlen(e->text) > 10);
	assert_int_not_equal(rc, ERR_CORRUPT);
	assert_int_not_equal(rc, ERR_INTERNAL);
}

/* One transaction, once. */
static int try_once(struct life *v, int i)
{
	char *before = spool_sig(v->d.s), *after;
	struct err e = { 0 };
	int rc = spool_begin(v->d.s, transactions[i].sync, &e), refused = 0;

	if (rc == 0) {
		refused = transactions[i].fn(v);
		if (refused == ERR_SPOOL_FULL)
			spool_rollback(v->d.s);
		else if ((rc = spool_commit(v->d.s, &e)) == 0)
			assert_int_equal(refused, 0);		/* what failed half way is never committed */
	}
	if (rc < 0)
		assert_words(&e, rc);
	if (rc < 0 || refused) {
		after = spool_sig(v->d.s);
		assert_string_equal(before, after);
		mem_free(after);
	}
	mem_free(before);
	return rc < 0 ? rc : refused;
}

/* After the first failures the disk is well again: then it must work at once. */
static void run_transaction(struct life *v, int i)
{
	int rc = -1;

	for (int n = 0; n < TRIES && rc; n++) {
		rc = try_once(v, i);
		v->failures += rc < 0;
	}
	if (rc) {
		faultvfs_fail(0, 0, 0, false);
		rc = try_once(v, i);
	}
	assert_int_equal(rc, 0);
}

static void open_again(struct life *v)
{
	struct err e = { 0 };
	int rc = -1;

	v->d.s = NULL;
	for (int n = 0; n < TRIES && rc; n++) {
		rc = spool_open(&v->d.conf, &v->d.s, &e);
		if (rc < 0)
			assert_words(&e, rc);
		v->failures += rc < 0;
	}
	if (rc) {
		faultvfs_fail(0, 0, 0, false);
		rc = spool_open(&v->d.conf, &v->d.s, &e);
	}
	if (rc)
		print_error("%s\n", e.text);
	assert_int_equal(rc, 0);
	if (spool_salvaged(v->d.s)->happened)
		print_error("%s\n", spool_salvaged(v->d.s)->text);
	assert_false(spool_salvaged(v->d.s)->happened);
}

static void tidy(struct life *v)
{
	struct err e = { 0 };
	bool more = true;
	char *before = spool_sig(v->d.s), *after;

	v->d.s->db.wal_pages += 300;		/* as if there were something to fold in */
	for (int i = 0; more && i < 5; i++) {
		int rc = spool_idle(v->d.s, &more, &e);

		if (rc < 0)
			assert_words(&e, rc);
		v->failures += rc < 0;
	}
	after = spool_sig(v->d.s);
	assert_string_equal(before, after);
	mem_free(before);
	mem_free(after);
}

/* Everything, with the fault wherever it falls. The last state, to be freed. */
static char *live(struct life *v)
{
	char *mem, *db;

	open_again(v);
	v->d.s->db.wal_limit = 100000;
	for (int i = 0; i < (int)COUNT(transactions); i++)
		run_transaction(v, i);
	tidy(v);
	mem = spool_sig(v->d.s);
	spool_close(v->d.s);
	open_again(v);
	faultvfs_fail(0, 0, 0, false);
	db = spool_sig(v->d.s);
	assert_string_equal(mem, db);
	mem_free(mem);
	return db;
}

static void loop(enum fault_call call, enum fault_how how, bool sticky)
{
	struct life v = { 0 };
	char *want, *got;
	int clean = 0, seen = 0;

	spool_dir_make(&v.d);
	want = live(&v);
	spool_dir_remove(&v.d);
	/* From the fortieth on some are left out: they are the pages of rows, one like the other. */
	for (long n = 1; clean < 3; n += 1 + n / 40 * 3) {
		bool happened;

		memset(&v, 0, sizeof v);
		spool_dir_make(&v.d);
		faultvfs_fail(call, n, how, sticky);
		got = live(&v);
		happened = faultvfs_happened();
		assert_string_equal(got, want);
		mem_free(got);
		spool_dir_remove(&v.d);
		seen += v.failures;
		clean = v.failures || n < 3 ? 0 : clean + 1;
		if (clean == 3 && n < 1000 && happened)
			clean = 2;			/* the fault fell where nobody had to care */
		assert_in_range(n, 1, 2000);
	}
	mem_free(want);
	if (call != FAULT_DELETE && call != FAULT_TRUNCATE)
		assert_true(seen > 0);
}

#define LOOP(name, call, how) \
	static void name##_once(void **state) { (void)state; loop(call, how, false); } \
	static void name##_and_from_then_on(void **state) { (void)state; loop(call, how, true); }

LOOP(a_write_fails_with_eio, FAULT_WRITE, FAULT_EIO)
LOOP(a_write_fails_with_enospc, FAULT_WRITE, FAULT_ENOSPC)
LOOP(a_write_is_cut_short, FAULT_WRITE, FAULT_SHORT)
LOOP(a_sync_fails, FAULT_SYNC, FAULT_EIO)
LOOP(an_open_fails, FAULT_OPEN, FAULT_EIO)
LOOP(a_truncation_fails, FAULT_TRUNCATE, FAULT_EIO)
LOOP(a_deletion_fails, FAULT_DELETE, FAULT_EIO)

/* --- slow, and read only --- */

static void be_slow(void *arg)
{
	(void)arg;
	usleep(200000);
}

static void a_slow_sync_only_takes_its_time(void **state)
{
	struct life v = { 0 };
	char *want, *got;

	(void)state;
	spool_dir_make(&v.d);
	want = live(&v);
	spool_dir_remove(&v.d);
	memset(&v, 0, sizeof v);
	spool_dir_make(&v.d);
	assert_int_equal(mkdir(v.d.dir, 0700), 0);
	faultvfs_record(v.d.dir);
	faultvfs_before_sync(be_slow, NULL);
	got = live(&v);
	faultvfs_before_sync(NULL, NULL);
	faultvfs_record_end();
	assert_string_equal(got, want);
	assert_int_equal(v.failures, 0);
	spool_dir_remove(&v.d);
	mem_free(got);
	mem_free(want);
}

struct small_fs { char mount[64]; bool mounted; struct life v; };

static int setup_fs(void **state)
{
	struct small_fs *fs = calloc(1, sizeof *fs);

	assert_non_null(fs);
	snprintf(fs->mount, sizeof fs->mount, "/tmp/spill-fs.XXXXXX");
	assert_non_null(mkdtemp(fs->mount));
	fs->mounted = mount("tmpfs", fs->mount, "tmpfs", 0, "size=48m") == 0;
	if (!fs->mounted)
		print_message("cannot mount a tmpfs here (%s): not tested\n", strerror(errno));
	snprintf(fs->v.d.base, sizeof fs->v.d.base, "%.50s/x", fs->mount);
	assert_int_equal(mkdir(fs->v.d.base, 0700), 0);
	fs->v.d.conf.max_size = 8 << 20;
	spool_dir_next(&fs->v.d);
	*state = fs;
	return 0;
}

static int teardown_fs(void **state)
{
	struct small_fs *fs = *state;

	spool_close(fs->v.d.s);
	if (fs->mounted)
		(void)umount2(fs->mount, MNT_DETACH);
	else
		(void)rmdir(fs->v.d.base);
	(void)rmdir(fs->mount);
	free(fs);
	return 0;
}

static void set_read_only(struct small_fs *fs, bool yes)
{
	assert_int_equal(mount("tmpfs", fs->mount, "tmpfs", MS_REMOUNT | (yes ? MS_RDONLY : 0), "size=48m"), 0);
}

static void a_read_only_file_system_is_explained_at_open(void **state)
{
	struct small_fs *fs = *state;
	struct err e = { 0 };

	if (!fs->mounted)
		skip();
	spool_dir_start(&fs->v.d);
	spool_close(fs->v.d.s);
	fs->v.d.s = NULL;
	set_read_only(fs, true);
	assert_int_equal(spool_open(&fs->v.d.conf, &fs->v.d.s, &e), -EROFS);
	assert_non_null(strstr(e.text, "spool.db"));
	fs->v.d.conf.read_only = true;		/* looking is possible */
	assert_int_equal(spool_open(&fs->v.d.conf, &fs->v.d.s, &e), 0);
	spool_close(fs->v.d.s);
	fs->v.d.conf.read_only = false;
	set_read_only(fs, false);
	assert_int_equal(spool_open(&fs->v.d.conf, &fs->v.d.s, &e), 0);
	assert_false(spool_salvaged(fs->v.d.s)->happened);
}

/* A file system with files open for writing cannot be remounted: disks turn read only by force. That is what a write that
 * fails for good looks like; and what the next start meets is the real thing. */
static void a_disk_that_turns_read_only_in_the_middle_keeps_what_was_committed(void **state)
{
	struct small_fs *fs = *state;
	struct err e = { 0 };
	char *before, *after;
	int status;
	pid_t pid;

	if (!fs->mounted)
		skip();
	spool_dir_start(&fs->v.d);
	for (int i = 0; i < 4; i++)
		run_transaction(&fs->v, i);
	before = spool_sig(fs->v.d.s);
	spool_close(fs->v.d.s);
	fs->v.d.s = NULL;
	pid = fork();
	if (pid == 0) {
		spool_dir_start(&fs->v.d);
		faultvfs_fail(FAULT_WRITE, 1, FAULT_EIO, true);
		_exit(try_once(&fs->v, 4) == 0);		/* it has to fail; no close: as killed */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	set_read_only(fs, true);
	assert_int_equal(spool_open(&fs->v.d.conf, &fs->v.d.s, &e), -EROFS);
	set_read_only(fs, false);
	spool_dir_start(&fs->v.d);
	after = spool_sig(fs->v.d.s);
	assert_string_equal(after, before);
	mem_free(before);
	mem_free(after);
}

/* --- lies --- */

/* A write that never happened is found: by the CRC of the row, or by SQLite, at the latest when the bytes are used. */
static int see_row(void *arg, const struct spool_row *r, const void *data, int rc)
{
	int *seen = arg;

	if (rc == 0) {
		uint8_t want[60000];

		row_fill(want, sizeof want);
		assert_int_equal(r->size, sizeof want);
		assert_memory_equal(data, want, sizeof want);
	}
	seen[rc < 0]++;
	return 0;
}

static void a_write_that_was_only_claimed_never_gives_wrong_bytes(void **state)
{
	int damaged = 0, salvages = 0;

	(void)state;
	for (long n = 1; n < 60; n++) {
		struct life v = { 0 };
		int seen[2] = { 0, 0 };

		spool_dir_make(&v.d);
		spool_dir_start(&v.d);
		run_transaction(&v, 0);
		faultvfs_fail(FAULT_WRITE, n, FAULT_LIE, false);
		(void)try_once(&v, 3);
		spool_dir_kill_only(&v.d);
		faultvfs_fail(0, 0, 0, false);
		spool_dir_start(&v.d);
		(void)spool_rows_read(v.d.s, "logs", -1, 0, see_row, seen, NULL);
		damaged += seen[1] || seen[0] < ROWS;
		salvages += spool_salvaged(v.d.s)->happened;
		spool_dir_remove(&v.d);
	}
	assert_true(damaged > 5);
	print_message("%d times rows were missing or damaged, %d salvages\n", damaged, salvages);
}

#define T(f) cmocka_unit_test(f)
#define TWO(f) T(f##_once), T(f##_and_from_then_on)
#define F(f) cmocka_unit_test_setup_teardown(f, setup_fs, teardown_fs)
static const struct CMUnitTest tests[] = {
	TWO(a_write_fails_with_eio), TWO(a_write_fails_with_enospc), TWO(a_write_is_cut_short), TWO(a_sync_fails),
	TWO(an_open_fails), TWO(a_truncation_fails), TWO(a_deletion_fails),
	T(a_slow_sync_only_takes_its_time),
	F(a_read_only_file_system_is_explained_at_open),
	F(a_disk_that_turns_read_only_in_the_middle_keeps_what_was_committed),
	T(a_write_that_was_only_claimed_never_gives_wrong_bytes),
};

int main(int argc, char **argv)
{
	faultvfs_install();
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_spool_power.c - the power is cut: what FULL recorded is there, and nothing else than a beginning of the history.
 *
 * A random working life runs on a disk that knows what was synced (tests/lib/faultvfs.h). Before every sync, and at random
 * moments between two transactions, an image of what a cut may leave is built and opened. It must be, to the last counter,
 * what the spool was after some transaction: at the earliest after the last FULL one that was reported committed, at the
 * latest after the one that was just being committed. So NORMAL ones may be lost, from the end only.
 * Usage: test_spool_power ['filter' [seed [lives]]]; the seeds are printed.
 */
#include <unistd.h>

#include "tests/lib/faultvfs.h"
#include "tests/lib/spool_sig.h"

#include "agent/base/rng.h"
#include "spool/inside.h"

#define FILES   3
#define UNITS   600		/* of 10 bytes */
#define UNIT    10
#define STEPS   60		/* transactions a life */
#define ITEMS   512

struct image { char *sig; int64_t safe[FILES]; };

static struct {
	struct spool_dir d;
	uint64_t begun, seed;		/* the life's seed; the generator */
	char *history[STEPS + 2];	/* [k]: after transaction k; [0]: as it was opened */
	int   done, last_full;		/* transactions committed; the last one by FULL, or by a reopening */
	int   finished_at[FILES][UNITS];	/* the transaction that finished it; 0: not */
	int   next[FILES];		/* the first unread unit */
	struct { int64_t id; int file, from, to; bool row; } batches[ITEMS];
	int   batch_count;
	int64_t rows[ITEMS];
	int   row_units[ITEMS], row_count;
	struct image pending[64];
	int   pending_count, cuts, shorter;
} w;

static int rnd(int n) { return (int)(rng_next(&w.seed) % (uint64_t)n); }

/* --- a cut --- */

static void finding(void *arg, int64_t row_id, const char *what)
{
	(void)arg;
	print_error("row %lld: %s\n", (long long)row_id, what);
}

static void open_image(const char *dir, struct image *ret)
{
	struct spool_conf conf = { .dir = dir, .max_size = 64 << 20 };
	struct err e = { 0 };
	struct spool *s = NULL;
	int rc = spool_open(&conf, &s, &e);

	if (rc < 0)
		print_error("spool_open after a cut: %s\n", e.text);
	assert_int_equal(rc, 0);
	if (spool_salvaged(s)->happened)
		print_error("%s\n", spool_salvaged(s)->text);
	assert_false(spool_salvaged(s)->happened);
	assert_int_equal(spool_verify(s, finding, NULL, NULL), 0);	/* SQLite's own check, CRCs, counters, ranges */
	ret->sig = spool_sig(s);
	for (int f = 0; f < FILES; f++) {
		ret->safe[f] = 0;
		(void)spool_position(s, f + 1, &ret->safe[f]);
	}
	spool_close(s);
}

/* Called from inside of a commit too: what that one makes of the spool is not known yet. */
static void cut_now(void *arg)
{
	char dir[128];

	(void)arg;
	if (w.pending_count == (int)COUNT(w.pending))
		return;
	snprintf(dir, sizeof dir, "%.60s/cut", w.d.base);
	faultvfs_cut(dir, rng_next(&w.seed));
	open_image(dir, &w.pending[w.pending_count++]);
	spool_dir_empty(dir);
	assert_int_equal(rmdir(dir), 0);
	w.cuts++;
}

/* Which transaction an image stands behind, or -1. */
static int behind(const char *sig)
{
	for (int k = w.done; k >= w.last_full; k--)
		if (!strcmp(sig, w.history[k]))
			return k;
	return -1;
}

static void check_image(const struct image *i)
{
	int k = behind(i->sig);

	if (k < 0)
		print_error("seed %llu, after a cut (last FULL %d, done %d):\n%s\n", (unsigned long long)w.begun,
			    w.last_full, w.done, i->sig);
	assert_true(k >= 0);
	w.shorter += k < w.done - 1;
	for (int f = 0; f < FILES; f++)
		for (int u = 0; u < i->safe[f] / UNIT; u++)
			assert_in_range(w.finished_at[f][u], 1, k);
}

static void check_pending(void)
{
	for (; w.pending_count; w.pending_count--) {
		struct image *i = &w.pending[w.pending_count - 1];

		check_image(i);
		mem_free(i->sig);
	}
}

/* --- the working life --- */

static void finish(int file, int from, int to)
{
	for (int u = from; u < to; u++)
		w.finished_at[file][u] = w.done + 1;
}

static bool take(int *file, int *from, int *to)
{
	*file = rnd(FILES);
	*from = w.next[*file];
	*to = *from + 1 + rnd(6);
	if (*to > UNITS)
		return false;
	w.next[*file] = *to;
	return true;
}

static void step_plan(void)
{
	int f, from, to;

	if (w.batch_count == ITEMS || !take(&f, &from, &to))
		return;
	w.batches[w.batch_count].id = plan(&w.d, f + 1, from * UNIT, to * UNIT);
	w.batches[w.batch_count].file = f;
	w.batches[w.batch_count].from = from;
	w.batches[w.batch_count].row = false;
	w.batches[w.batch_count++].to = to;
}

static void step_ack(void)
{
	int i = w.batch_count ? rnd(w.batch_count) : -1;

	if (i < 0)
		return;
	assert_int_equal(spool_acked(w.d.s, w.batches[i].id, NULL), 0);
	if (!w.batches[i].row)
		finish(w.batches[i].file, w.batches[i].from, w.batches[i].to);
	w.batches[i] = w.batches[--w.batch_count];
}

static void step_spill(void)
{
	int f, from, to;

	if (w.row_count == ITEMS || !take(&f, &from, &to))
		return;
	assert_int_equal(add_row_sized(&w.d, rnd(2) ? "a" : "b", f + 1, from * UNIT, to * UNIT, (size_t)(1 + rnd(60000)), 0,
				       &w.rows[w.row_count]), 0);
	w.row_units[w.row_count++] = (to - from) * UNIT;
	finish(f, from, to);
}

static void step_drain(void)
{
	int i = w.row_count ? rnd(w.row_count) : -1;

	if (i < 0 || w.batch_count == ITEMS)
		return;
	w.batches[w.batch_count].id = plan_row(&w.d, w.rows[i], w.row_units[i]);
	w.batches[w.batch_count++].row = true;
	w.rows[i] = w.rows[--w.row_count];
	w.row_units[i] = w.row_units[w.row_count];
}

static void step_finish(void)
{
	int f, from, to;
	struct spool_range r;

	if (!take(&f, &from, &to))
		return;
	r = range_of(f + 1, from * UNIT, to * UNIT);
	assert_int_equal(spool_finish(w.d.s, &r, 1, SPOOL_FILTERED, 0, NULL), 0);
	finish(f, from, to);
}

static void step_reject(void)
{
	struct spool_rejected r = { .topic = "a", .partition = 1, .code = 10, .message = "too large", .bytes = "12345", .size = 5 };

	assert_int_equal(spool_reject(w.d.s, &r, NULL), 0);
}

static void (*const steps[])(void) = {
	step_plan, step_plan, step_ack, step_ack, step_spill, step_spill, step_drain, step_finish, step_reject,
};

static void transaction(void)
{
	bool full = rnd(5) == 0;

	assert_int_equal(spool_begin(w.d.s, full ? SPOOL_FULL : SPOOL_NORMAL, NULL), 0);
	for (int n = 1 + rnd(8); n; n--)
		steps[rnd((int)COUNT(steps))]();
	/* So that no two states are the same: the number of the transaction is in it. */
	put_file(&w.d, 1000 + w.done + 1, 0);
	commit(&w.d);
	w.history[++w.done] = spool_sig(w.d.s);
	check_pending();
	if (full)
		w.last_full = w.done;
}

static void reopen(void)
{
	spool_close(w.d.s);
	w.d.s = NULL;
	check_pending();
	w.last_full = w.done;
	spool_dir_start(&w.d);
	w.d.s->db.wal_limit = 200000;
	check_pending();
}

/* The first open is under power cuts too: they find nothing, or a spool that is new. */
static void live(uint64_t seed)
{
	memset(&w, 0, sizeof w);
	w.begun = w.seed = seed;
	spool_dir_make(&w.d);
	assert_int_equal(mkdir(w.d.dir, 0700), 0);
	faultvfs_record(w.d.dir);
	w.history[0] = mem_strdup("totals 0 0 0 0, 0 0 0\n");
	faultvfs_before_sync(cut_now, NULL);
	spool_dir_start(&w.d);
	check_pending();
	w.d.s->db.wal_limit = 200000;		/* many checkpoints */
	assert_int_equal(spool_begin(w.d.s, SPOOL_FULL, NULL), 0);
	for (int f = 0; f < FILES; f++)
		put_file(&w.d, f + 1, 0);
	commit(&w.d);
	w.history[++w.done] = spool_sig(w.d.s);
	check_pending();
	w.last_full = 1;
	while (w.done < STEPS) {
		bool more;

		transaction();
		if (rnd(3) == 0)
			cut_now(NULL);
		if (rnd(12) == 0)
			assert_int_equal(spool_idle(w.d.s, &more, NULL), 0);
		check_pending();
		if (rnd(25) == 0)
			reopen();
	}
	reopen();
	faultvfs_before_sync(NULL, NULL);
	faultvfs_record_end();
	spool_dir_remove(&w.d);
	for (int i = 0; i <= w.done; i++)
		mem_free(w.history[i]);
}

static uint64_t first_seed = 20260201;
#ifdef __SANITIZE_THREAD__
static int lives = 1;		/* ten times as slow, and there is one thread */
#else
static int lives = 4;
#endif

static void what_full_recorded_survives_any_cut(void **state)
{
	int cuts = 0, shorter = 0;

	(void)state;
	for (int i = 0; i < lives; i++) {
		print_message("seed %llu\n", (unsigned long long)first_seed + (unsigned)i);
		live(first_seed + (uint64_t)i);
		cuts += w.cuts;
		shorter += w.shorter;
	}
	print_message("%d cuts, %d of them lost something\n", cuts, shorter);
	assert_true(cuts > lives * 30 && shorter > lives);
}

/* --- older versions --- */

static struct { char base[64], *want; uint64_t seed; int cuts; } old;

static void make_old(struct spool_dir *d, int version)
{
	char path[160], text[480];
	sqlite3 *sql;

	spool_dir_make(d);
	assert_int_equal(mkdir(d->dir, 0700), 0);
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sql, "PRAGMA page_size = 16384; PRAGMA auto_vacuum = 2; PRAGMA journal_mode = WAL",
				      NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < version; i++)
		assert_int_equal(sqlite3_exec(sql, schema_migrations[i], NULL, NULL, NULL), SQLITE_OK);
	snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d;"
		 "INSERT INTO files (id, path, origin, dev, inode, generation, fingerprint_len, fingerprint, size, state, gone_ms)"
		 " VALUES (1, '/x', '/x', 1, 2, 0, 0, 0, 500, 0, 0);"
		 "INSERT INTO positions (file, safe, marker) VALUES (1, 400, 77); UPDATE totals SET acked = 9, next_file = 2",
		 SCHEMA_APPLICATION_ID, version);
	assert_int_equal(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sql);
}

static void cut_old(void *arg)
{
	struct image i;
	char dir[128];

	(void)arg;
	snprintf(dir, sizeof dir, "%.60s/cut", old.base);
	faultvfs_cut(dir, old.seed++);
	open_image(dir, &i);
	if (old.want)
		assert_string_equal(i.sig, old.want);
	mem_free(old.want);
	old.want = i.sig;
	spool_dir_empty(dir);
	assert_int_equal(rmdir(dir), 0);
	old.cuts++;
}

/* Before each sync of the first open by this version, and after it, and so for many seeds. */
static void an_older_database_survives_any_cut_of_its_migration(void **state)
{
	(void)state;
	for (int version = 1; version < SCHEMA_VERSION; version++) {
		old.want = mem_strdup("file 1 400 4d:\ntotals 9 0 0 0, 0 0 0\n");
		for (old.seed = first_seed; old.seed < first_seed + 40 * (unsigned)lives;) {
			struct spool_dir d;

			make_old(&d, version);
			memcpy(old.base, d.base, sizeof old.base);
			faultvfs_record(d.dir);
			faultvfs_before_sync(cut_old, NULL);
			spool_dir_start(&d);
			cut_old(NULL);
			faultvfs_before_sync(NULL, NULL);
			faultvfs_record_end();
			spool_dir_remove(&d);
		}
		mem_free(old.want);
	}
	assert_true(old.cuts > 40 * lives);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_older_database_survives_any_cut_of_its_migration),
	cmocka_unit_test(what_full_recorded_survives_any_cut),
};

int main(int argc, char **argv)
{
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 10);
	if (argc > 3)
		lives = (int)strtol(argv[3], NULL, 10);
	faultvfs_install();
	if (access("/dev/shm", W_OK) == 0)		/* that a disk forgets is the test's own doing */
		setenv("TMPDIR", "/dev/shm", 1);
	return test_main(argc, argv, tests, COUNT(tests));
}

/* bench_spool.c - how fast batches are spilled, and what the in-flight ledger costs.
 *
 * Prints, beside the same bytes by plain write()+fdatasync in the same portions (a growing file, as the spool's is), and
 * beside bare inserts by SQLite with the spool's settings and without anything of ours (its ceiling):
 *	FULL inserts of rows in 4 MiB transactions, MB/s of wall time and CPU seconds a GB; then reading and deleting them;
 *	NORMAL transactions of 8 plans and 8 acks, microseconds of CPU each;
 *	how long opening takes with so many GiB of rows, after an orderly end and after a kill, nothing of it in the page cache;
 *	then, all of them sent, the steps in which the space is given back: nothing else waits longer for one than its time.
 * Usage: bench_spool [directory, default .] [MiB a round, default 256] [GiB at the opening, default 2, 0: none]
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "agent/base/mem.h"
#include "spool/spool.h"

#define TXN_BYTES  (4 << 20)
#define PIECE      16384		/* chunks, as buffer.memory hands them out */
#define LEDGER_TXNS 20000

static char *bytes;			/* one row, random */

static void must(int rc, const struct err *e)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "bench_spool: %s\n", e->text[0] ? e->text : err_text(rc));
	exit(1);
}

static double cpu_now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct watch { int64_t wall_ns; double cpu; };

static struct watch watch_start(void)
{
	return (struct watch){ clock_mono_ns(), cpu_now() };
}

static double print_rate(const char *what, struct watch w, double mib)
{
	double s = (double)(clock_mono_ns() - w.wall_ns) / 1e9, mb = mib * 1.048576;

	printf("  %-34s %7.0f MB/s  %5.2f CPU s/GB\n", what, mb / s, (cpu_now() - w.cpu) / mb * 1000);
	return mb / s;
}

static double bench_plain(const char *dir, size_t row, int mib)
{
	char *path = mem_printf("%s/bench.plain", dir);
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	struct watch w = watch_start();

	for (size_t done = 0; fd >= 0 && done < (size_t)mib << 20; done += row) {
		if (write(fd, bytes, row) != (ssize_t)row)
			exit(1);
		if ((done + row) % TXN_BYTES < row && fdatasync(fd) < 0)
			exit(1);
	}
	(void)fdatasync(fd);
	double rate = print_rate("write() + fdatasync", w, mib);

	(void)close(fd);
	(void)unlink(path);
	mem_free(path);
	return rate;
}

#define SETTINGS "PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 32768; PRAGMA auto_vacuum = INCREMENTAL;" \
		 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;" \
		 "PRAGMA wal_autocheckpoint = 256; PRAGMA cache_size = -2048;" \
		 "CREATE TABLE data (id INTEGER PRIMARY KEY, bytes BLOB)"

static void sql(sqlite3 *db, const char *text)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK)
		return;
	fprintf(stderr, "bench_spool: %s\n", sqlite3_errmsg(db));
	exit(1);
}

/* What SQLite does by itself: the same settings, its own VFS, its own checkpoints, one table. */
static void bench_sqlite(const char *dir, size_t row, int mib)
{
	char *path = mem_printf("%s/bench.sqlite", dir), *wal = mem_printf("%s/bench.sqlite-wal", dir);
	struct watch w;
	sqlite3_stmt *q;
	sqlite3 *db;

	if (!path || !wal || sqlite3_open(path, &db) != SQLITE_OK)
		exit(1);
	sql(db, SETTINGS);
	if (sqlite3_prepare_v2(db, "INSERT INTO data (bytes) VALUES (?)", -1, &q, NULL) != SQLITE_OK)
		exit(1);
	w = watch_start();
	for (int i = 0; i < mib; i += TXN_BYTES >> 20) {
		sql(db, "BEGIN");
		for (size_t n = 0; n < TXN_BYTES; n += row) {
			sqlite3_bind_blob64(q, 1, bytes, row, SQLITE_STATIC);
			if (sqlite3_step(q) != SQLITE_DONE || sqlite3_reset(q) != SQLITE_OK)
				exit(1);
		}
		sql(db, "COMMIT");
	}
	(void)print_rate("bare inserts by SQLite, FULL", w, mib);
	(void)sqlite3_finalize(q);
	(void)sqlite3_close(db);
	(void)unlink(path);
	(void)unlink(wal);
	mem_free(path);
	mem_free(wal);
}

static void add_row(struct spool *s, size_t row, int64_t *at)
{
	struct spool_piece pieces[256];
	struct spool_range range = { .file_id = 1, .from = *at, .to = *at + 1000, .marker = (uint64_t)*at, .count = 100 };
	struct spool_row r = { .topic = "logs", .partition = -1, .count = 100, .codec = 3, .raw_bytes = 1000,
			       .crc = crc32c(0, bytes, row), .spooled_ms = 1, .ranges = &range, .range_count = 1 };
	struct err e = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < row; i += PIECE)
		pieces[n++] = (struct spool_piece){ bytes + i, row - i < PIECE ? row - i : PIECE };
	must(spool_add(s, &r, pieces, n, &e), &e);
	*at += 1000;
}

struct drain { int64_t ids[64]; int n; uint64_t sum; };

static int take(void *arg, const struct spool_row *r, const void *data, int rc)
{
	struct drain *d = arg;

	if (rc < 0)
		exit(1);
	d->sum += *(const uint8_t *)data;
	d->ids[d->n++] = r->id;
	return d->n == 8;
}

/* As the agent drains: read ahead, give an identity, ack. */
static void drain_all(struct spool *s, size_t row, int mib)
{
	struct watch w = watch_start();
	struct drain d = { 0 };
	int64_t after = 0;
	struct err e = { 0 };

	for (;;) {
		d.n = 0;
		must(spool_rows_read(s, "logs", -1, after, take, &d, &e), &e);
		if (!d.n)
			break;
		must(spool_begin(s, SPOOL_NORMAL, &e), &e);
		for (int i = 0; i < d.n; i++) {
			struct spool_ledger l = { .cluster_id = "c", .topic = "logs", .count = 100, .row_id = d.ids[i] };

			must(spool_plan(s, &l, &e), &e);
			must(spool_acked(s, l.id, &e), &e);
		}
		must(spool_commit(s, &e), &e);
		after = d.ids[d.n - 1];
	}
	(void)row;
	print_rate("read, check, plan, ack, delete", w, mib);
}

static void bench_rows(struct spool *s, const char *dir, size_t row, int mib)
{
	struct err e = { 0 };
	double plain, spool;
	int64_t at = 0;

	printf("rows of %zu KiB, %d MiB, 4 MiB a transaction\n", row >> 10, mib);
	plain = bench_plain(dir, row, mib);
	bench_sqlite(dir, row, mib);
	for (int round = 0; round < 2; round++) {
		struct watch w = watch_start();

		for (int i = 0; i < mib; i += TXN_BYTES >> 20) {
			must(spool_begin(s, SPOOL_FULL, &e), &e);
			for (size_t n = 0; n < TXN_BYTES; n += row)
				add_row(s, row, &at);
			must(spool_commit(s, &e), &e);
		}
		spool = print_rate(round ? "spool, FULL, freed pages reused" : "spool, FULL, growing file", w, mib);
		printf("  %-34s %7.0f %%\n", "of plain", 100 * spool / plain);
		drain_all(s, row, mib);
	}
}

static void bench_ledger(struct spool *s)
{
	struct watch w = watch_start();
	int64_t open_ids[8] = { 0 }, at = 0;
	struct err e = { 0 };
	double cpu;

	for (int i = 0; i < LEDGER_TXNS; i++) {
		must(spool_begin(s, SPOOL_NORMAL, &e), &e);
		for (int k = 0; k < 8; k++) {
			struct spool_range r = { .file_id = 1 + k % 4, .from = at, .to = at + 16000, .marker = (uint64_t)at * 77,
						 .count = 90, .route = 1 };
			struct spool_ledger l = { .cluster_id = "5L6g3nShT-eMCtK--X86sw", .topic = "logs", .partition = k % 3,
						  .producer_id = 4000, .base_sequence = i * 90, .count = 90,
						  .base_timestamp = 1700000000000 + i, .max_timestamp = 1700000000000 + i,
						  .codec = 3, .raw_crc = 0x12345678, .raw_bytes = 16000,
						  .ranges = &r, .range_count = 1 };

			must(spool_plan(s, &l, &e), &e);
			if (open_ids[k])
				must(spool_acked(s, open_ids[k], &e), &e);
			open_ids[k] = l.id;
			at += k % 4 == 3 ? 16000 : 0;
		}
		must(spool_commit(s, &e), &e);
	}
	cpu = (cpu_now() - w.cpu) * 1e6 / LEDGER_TXNS;
	printf("ledger, NORMAL, 8 plans + 8 acks a transaction, 4 files\n  %.1f us of CPU, %.1f us of wall time\n", cpu,
	       (double)(clock_mono_ns() - w.wall_ns) / 1e3 / LEDGER_TXNS);
}

static void forget_cached(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)fdatasync(fd);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)close(fd);
}

static void fill(const struct spool_conf *conf, int gib)
{
	struct err e = { 0 };
	struct spool *s;
	int64_t at = 0;

	must(spool_open(conf, &s, &e), &e);
	for (int i = 0; i < gib << 10; i += TXN_BYTES >> 20) {
		must(spool_begin(s, SPOOL_FULL, &e), &e);
		for (size_t n = 0; n < TXN_BYTES; n += 256 << 10)
			add_row(s, 256 << 10, &at);
		must(spool_commit(s, &e), &e);
	}
	_exit(0);			/* as kill -9 does */
}

static int64_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : (int64_t)st.st_size >> 20;
}

static void give_back(struct spool *s, const char *path)
{
	double cpu, most = 0;
	int64_t longest = 0, begin = clock_mono_ns(), before = size_of(path);
	struct err e = { 0 };
	bool more = true;
	int n = 0;

	for (; more; n++) {
		int64_t t = clock_mono_ns();

		cpu = cpu_now();
		must(spool_idle(s, &more, &e), &e);
		t = clock_mono_ns() - t;
		cpu = cpu_now() - cpu;
		longest = t > longest ? t : longest;
		most = cpu > most ? cpu : most;
	}
	printf("giving space back, %lld to %lld MiB\n", (long long)before, (long long)size_of(path));
	printf("  %d steps, %.0f ms, the longest %.1f ms (of CPU: %.1f ms)\n", n, (double)(clock_mono_ns() - begin) / 1e6,
	       (double)longest / 1e6, most * 1e3);
}

/* The spool is filled by a process that ends in the middle. */
static void bench_open(const struct spool_conf *conf, const char *path, int gib)
{
	static const char *const how[] = { "after a kill", "after an orderly end" };
	char *wal = mem_printf("%s-wal", path);
	int status;
	pid_t pid;

	printf("opening with %d GiB of rows of 256 KiB, not cached\n", gib);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		fill(conf, gib);
	if (!wal || pid < 0 || waitpid(pid, &status, 0) != pid || status)
		exit(1);
	for (int i = 0; i < 2; i++) {
		struct err e = { 0 };
		struct spool *s;
		struct watch w;

		forget_cached(path);
		forget_cached(wal);
		w = watch_start();
		must(spool_open(conf, &s, &e), &e);
		printf("  %-34s %7.1f ms\n", how[i], (double)(clock_mono_ns() - w.wall_ns) / 1e6);
		if (i == 1) {
			drain_all(s, 256 << 10, gib << 10);
			give_back(s, path);
		}
		spool_close(s);
	}
	(void)unlink(path);
	mem_free(wal);
}

int main(int argc, char **argv)
{
	const char *parent = argc > 1 ? argv[1] : ".";
	int mib = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 256;
	int gib = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 2;
	char *dir = mem_printf("%s/bench_spool.dir", parent), *path = mem_printf("%s/spool.db", dir);
	struct spool_conf conf = { .dir = dir, .max_size = (int64_t)64 << 30 };
	struct spool_file f = { .path = "/var/log/x" };
	struct spool *s;
	struct err e = { 0 };

	bytes = mem_alloc(1 << 20);
	if (!bytes || !dir || !path || mib < 4)
		return 1;
	for (size_t i = 0; i < 1 << 20; i++)
		bytes[i] = (char)random();
	must(spool_open(&conf, &s, &e), &e);
	must(spool_begin(s, SPOOL_FULL, &e), &e);
	for (f.id = 1; f.id <= 4; f.id++)
		must(spool_file_put(s, &f, &e), &e);
	must(spool_commit(s, &e), &e);
	bench_ledger(s);
	bench_rows(s, parent, 64 << 10, mib);
	bench_rows(s, parent, 256 << 10, mib);
	bench_rows(s, parent, 1 << 20, mib);
	spool_close(s);
	(void)unlink(path);
	if (gib > 0)
		bench_open(&conf, path, gib);
	(void)rmdir(dir);
	mem_free(path);
	mem_free(dir);
	mem_free(bytes);
	return 0;
}

/* spool_dir.h - a state directory for a test: made, killed, looked at, removed.
 *
 * spool_dir_kill stands for kill -9: the files are copied as they are, while the spool is open, into a new directory, and
 * only that one is opened again. What the old process would have written at its close never reaches the copy.
 */
#ifndef SPILLWAY_TESTS_SPOOL_DIR_H
#define SPILLWAY_TESTS_SPOOL_DIR_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/crc32c.h"
#include "spool/spool.h"
#include "tests/lib/unit.h"

struct spool_dir {
	char base[64], dir[96];
	int  lives;
	struct spool_conf conf;
	struct spool *s;
};

static inline void spool_dir_start(struct spool_dir *d)
{
	struct err e = { 0 };
	int rc = spool_open(&d->conf, &d->s, &e);

	if (rc < 0)
		print_error("spool_open: %s\n", e.text);
	assert_int_equal(rc, 0);
}

static inline void spool_dir_next(struct spool_dir *d)
{
	snprintf(d->dir, sizeof d->dir, "%.60s/%d", d->base, ++d->lives);
	d->conf.dir = d->dir;
}

static inline void spool_dir_make(struct spool_dir *d)
{
	const char *tmp = getenv("TMPDIR");

	memset(d, 0, sizeof *d);
	snprintf(d->base, sizeof d->base, "%.40s/spill-test.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(d->base));
	d->conf.max_size = 64 << 20;
	spool_dir_next(d);
}

static inline int spool_dir_setup(void **state)
{
	struct spool_dir *d = calloc(1, sizeof *d);

	assert_non_null(d);
	spool_dir_make(d);
	spool_dir_start(d);
	*state = d;
	return 0;
}

/* All files of a directory. */
static inline void spool_dir_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
}

static inline void spool_dir_remove(struct spool_dir *d)
{
	char path[160];

	spool_close(d->s);
	d->s = NULL;
	for (; d->lives; d->lives--) {
		snprintf(path, sizeof path, "%.60s/%d", d->base, d->lives);
		spool_dir_empty(path);
		(void)rmdir(path);
	}
	(void)rmdir(d->base);
}

static inline int spool_dir_teardown(void **state)
{
	spool_dir_remove(*state);
	free(*state);
	return 0;
}

static inline int64_t spool_dir_size(const struct spool_dir *d, const char *name)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", d->dir, name);
	return stat(path, &st) < 0 ? -1 : (int64_t)st.st_size;
}

static inline void spool_dir_copy(const char *from, const char *to, const char *name)
{
	char path[160], buf[65536];
	ssize_t n;
	int in, out;

	snprintf(path, sizeof path, "%s/%s", from, name);
	in = open(path, O_RDONLY);
	if (in < 0)
		return;
	snprintf(path, sizeof path, "%s/%s", to, name);
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(out >= 0);
	while ((n = read(in, buf, sizeof buf)) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

/* Leaves d->dir at a copy of the files as they are now; nothing is open. POSIX locks of the old spool are dropped by
 * reading its files here, which does no harm: nobody else opens them. */
static inline void spool_dir_kill_only(struct spool_dir *d)
{
	struct spool *old = d->s;
	char from[96];

	memcpy(from, d->dir, sizeof from);
	spool_dir_next(d);
	assert_int_equal(mkdir(d->dir, 0700), 0);
	spool_dir_copy(from, d->dir, "spool.db");
	spool_dir_copy(from, d->dir, "spool.db-wal");
	spool_dir_copy(from, d->dir, "spool.open");
	spool_close(old);
	d->s = NULL;
}

static inline void spool_dir_kill(struct spool_dir *d)
{
	spool_dir_kill_only(d);
	spool_dir_start(d);
}

static inline void spool_dir_reopen(struct spool_dir *d)
{
	spool_close(d->s);
	d->s = NULL;
	spool_dir_start(d);
}

/* --- words for tests: each fails the test on an error --- */

static inline void txn(struct spool_dir *d)      { assert_int_equal(spool_begin(d->s, SPOOL_NORMAL, NULL), 0); }
static inline void txn_full(struct spool_dir *d) { assert_int_equal(spool_begin(d->s, SPOOL_FULL, NULL), 0); }
static inline void commit(struct spool_dir *d)
{
	struct err e = { 0 };
	int rc = spool_commit(d->s, &e);

	if (rc < 0)
		print_error("spool_commit: %s\n", e.text);
	assert_int_equal(rc, 0);
}

/* The marker every test gives a range: recognisable by its end. */
static inline uint64_t marker_at(int64_t file, int64_t to) { return (uint64_t)to * 1000003 + (uint64_t)file; }

static inline struct spool_range range_of(int64_t file, int64_t from, int64_t to)
{
	return (struct spool_range){ file, from, to, marker_at(file, to), (uint32_t)(to - from), 7, 0 };
}

static inline void put_file(struct spool_dir *d, int64_t id, int64_t safe)
{
	struct spool_file f = { .id = id, .path = "/var/log/app.log", .dev = 1, .inode = UINT64_MAX - 1, .generation = 3,
				.fingerprint_len = 1024, .fingerprint = 0xfedcba9876543210, .safe = safe,
				.marker = marker_at(id, safe), .size = 5, .state = 2, .gone_ms = 9 };

	assert_int_equal(spool_file_put(d->s, &f, NULL), 0);
}

static inline struct spool_ledger ledger_of(const struct spool_range *r, size_t n, int32_t count)
{
	return (struct spool_ledger){ .cluster_id = "cluster", .topic_id = "0123456789abcde", .topic = "logs", .partition = 2,
				      .producer_id = 1LL << 40, .producer_epoch = -1, .base_sequence = INT32_MAX - 3,
				      .count = count, .base_timestamp = 1700000000000, .max_timestamp = 1699999999999,
				      .codec = 4, .raw_crc = 0xdeadbeef, .raw_bytes = 4000000000u,
				      .ranges = r, .range_count = n };
}

static inline int64_t plan(struct spool_dir *d, int64_t file, int64_t from, int64_t to)
{
	struct spool_range r = range_of(file, from, to);
	struct spool_ledger l = ledger_of(&r, 1, (int32_t)(to - from));

	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	return l.id;
}

static inline int64_t plan_row(struct spool_dir *d, int64_t row, int32_t count)
{
	struct spool_ledger l = ledger_of(NULL, 0, count);

	l.row_id = row;
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	return l.id;
}

/* The bytes of a test row: told by their size alone. */
static inline void row_fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 31 + n + (i >> 8));
}

/* In three pieces. rc of spool_add; *ret_id is only set on success. */
static inline int add_row_sized(struct spool_dir *d, const char *topic, int64_t file, int64_t from, int64_t to, size_t size,
				int64_t ledger, int64_t *ret_id)
{
	struct spool_range range = range_of(file, from, to);
	uint8_t *bytes = malloc(size);
	struct spool_piece p[3];
	struct spool_row r = { .topic = topic, .partition = -1, .count = (int32_t)(to - from), .codec = 3, .raw_crc = 11,
			       .raw_bytes = 12, .base_timestamp = 5, .max_timestamp = 6, .spooled_ms = 1000 + from,
			       .ranges = &range, .range_count = 1, .ledger_id = ledger };
	int rc;

	assert_non_null(bytes);
	row_fill(bytes, size);
	r.crc = crc32c(0, bytes, size);
	p[0] = (struct spool_piece){ bytes, size / 3 };
	p[1] = (struct spool_piece){ bytes + size / 3, size / 3 };
	p[2] = (struct spool_piece){ bytes + size / 3 * 2, size - size / 3 * 2 };
	rc = spool_add(d->s, &r, p, 3, NULL);
	if (rc == 0)
		*ret_id = r.id;
	free(bytes);
	return rc;
}

static inline int64_t add_row(struct spool_dir *d, int64_t file, int64_t from, int64_t to, size_t size)
{
	int64_t id = 0;

	assert_int_equal(add_row_sized(d, "logs", file, from, to, size, 0, &id), 0);
	return id;
}

static inline int64_t safe_of(struct spool_dir *d, int64_t file)
{
	int64_t safe = -1;

	(void)spool_position(d->s, file, &safe);
	return safe;
}

static inline struct spool_totals totals_of(struct spool_dir *d)
{
	struct spool_totals t;

	spool_totals(d->s, &t);
	return t;
}

/* The skips of a file as text: "10-20 30-40". */
static inline int skips_add(void *arg, int64_t from, int64_t to)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 4096 - n, "%s%lld-%lld", n ? " " : "", (long long)from, (long long)to);
	return 0;
}

static inline void assert_skips(struct spool_dir *d, int64_t file, const char *expect)
{
	char text[4096] = "";

	assert_int_equal(spool_skips_each(d->s, file, skips_add, text), 0);
	assert_string_equal(text, expect);
}

/* The ids of the unresolved batches, oldest first: "1 2 5". */
static inline int ledger_add(void *arg, const struct spool_ledger *l)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 4096 - n, "%s%lld", n ? " " : "", (long long)l->id);
	return 0;
}

static inline void assert_ledger(struct spool_dir *d, const char *expect)
{
	char text[4096] = "";

	assert_int_equal(spool_ledger_each(d->s, ledger_add, text, NULL), 0);
	assert_string_equal(text, expect);
}

#endif

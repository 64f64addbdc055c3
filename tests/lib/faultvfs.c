/* faultvfs.c - see faultvfs.h.
 *
 * Invariants
 *  (1) a shadow's `synced` is what its file had at its last sync; `ops` is everything done to it since, in order.
 *  (2) a name is in `durable` if it was in the directory when that was last synced.
 * Failure: a test's tool ends the test.
 */
#include "tests/lib/faultvfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/rng.h"

#define SECTOR 512
#define NAMES  8

struct op { int64_t at, n; uint8_t *data; };	/* data NULL: the length becomes `at` */

struct shadow {
	char     name[32];		/* in the directory; "": not in use */
	uint8_t *synced;
	int64_t  size;
	int64_t  length;		/* of the file, as of the last op */
	struct op *ops;
	size_t   op_count, op_cap;
};

struct fault_file {
	sqlite3_file base;
	struct shadow *shadow;		/* NULL: not recorded */
	sqlite3_file *real;
};

static struct {
	sqlite3_vfs vfs, *real;
	enum fault_call call;
	enum fault_how how;
	long left;
	bool sticky, happened;
	void (*before_sync)(void *);
	void *before_arg;
	char dir[128];
	ino_t dir_inode;
	struct shadow shadows[NAMES];
	char durable[NAMES][32];
} v;

/* --- faults --- */

void faultvfs_fail(enum fault_call call, long n, enum fault_how how, bool sticky)
{
	v.call = call;
	v.left = n;
	v.how = how;
	v.sticky = sticky;
	v.happened = false;
}

bool faultvfs_happened(void)
{
	return v.happened;
}

static bool hits(enum fault_call call)
{
	if (call != v.call || v.left <= 0 || (v.left > 1 && v.left--))
		return false;
	if (!v.sticky)
		v.left = 0;
	return v.happened = true;
}

static int code(int io)
{
	return v.how == FAULT_LIE ? SQLITE_OK : v.how == FAULT_EIO ? io : SQLITE_FULL;
}

void faultvfs_before_sync(void (*fn)(void *arg), void *arg)
{
	v.before_sync = fn;
	v.before_arg = arg;
}

static void announce_sync(void)
{
	if (v.before_sync)
		v.before_sync(v.before_arg);
}

/* --- what is recorded --- */

static struct shadow *shadow_of(const char *path)
{
	size_t n = strlen(v.dir);
	struct shadow *unused = NULL;

	if (!path || !n || strncmp(path, v.dir, n) != 0 || path[n] != '/' || strchr(path + n + 1, '/'))
		return NULL;
	for (int i = 0; i < NAMES; i++) {
		if (!strcmp(v.shadows[i].name, path + n + 1))
			return &v.shadows[i];
		if (!v.shadows[i].name[0])
			unused = &v.shadows[i];
	}
	ASSERT(unused && strlen(path + n + 1) < sizeof unused->name);
	snprintf(unused->name, sizeof unused->name, "%s", path + n + 1);
	return unused;
}

static void note(struct shadow *s, int64_t at, const void *data, int64_t n)
{
	struct op *op;

	if (!s)
		return;
	if (s->op_count == s->op_cap) {
		s->op_cap = s->op_cap ? s->op_cap * 2 : 64;
		s->ops = realloc(s->ops, s->op_cap * sizeof *s->ops);
		ASSERT(s->ops);
	}
	op = &s->ops[s->op_count++];
	*op = (struct op){ .at = at, .n = n };
	s->length = !data || at + n > s->length ? at + n : s->length;
	if (data) {
		op->data = malloc((size_t)n);
		ASSERT(op->data);
		memcpy(op->data, data, (size_t)n);
	}
}

/* What went past SQLite: blocks that were allocated through a descriptor of the spool's own. */
static void note_length(struct shadow *s)
{
	char path[200];
	struct stat st;

	if (!s)
		return;
	snprintf(path, sizeof path, "%s/%s", v.dir, s->name);
	if (stat(path, &st) == 0 && st.st_size != s->length)
		note(s, st.st_size, NULL, 0);
}

static void set_size(uint8_t **image, int64_t *size, int64_t to)
{
	if (to > *size) {
		*image = realloc(*image, (size_t)to);
		ASSERT(*image);
		memset(*image + *size, 0, (size_t)(to - *size));
	}
	*size = to;
}

static void apply(uint8_t **image, int64_t *size, int64_t at, const uint8_t *data, int64_t n)
{
	if (at + n > *size)
		set_size(image, size, at + n);
	memcpy(*image + at, data, (size_t)n);
}

static void forget_ops(struct shadow *s)
{
	for (size_t i = 0; i < s->op_count; i++)
		free(s->ops[i].data);
	s->op_count = 0;
}

static void note_synced(struct shadow *s)
{
	for (size_t i = 0; s && i < s->op_count; i++) {
		const struct op *op = &s->ops[i];

		if (op->data)
			apply(&s->synced, &s->size, op->at, op->data, op->n);
		else
			set_size(&s->synced, &s->size, op->at);
	}
	if (s)
		forget_ops(s);
}

static void list_names(char ret[NAMES][32])
{
	DIR *d = opendir(v.dir);
	struct dirent *e;
	int n = 0;

	memset(ret, 0, NAMES * sizeof ret[0]);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || e->d_type == DT_DIR)
			continue;
		ASSERT(n < NAMES && strlen(e->d_name) < sizeof ret[0]);
		snprintf(ret[n++], sizeof ret[0], "%.31s", e->d_name);
	}
	if (d)
		closedir(d);
}

static bool has(char names[NAMES][32], const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static void load_synced(const char *name)
{
	char path[200];
	struct shadow *s;
	struct stat st;
	int fd;

	snprintf(path, sizeof path, "%s/%s", v.dir, name);
	s = shadow_of(path);
	fd = open(path, O_RDONLY);
	ASSERT(fd >= 0 && fstat(fd, &st) == 0);
	set_size(&s->synced, &s->size, st.st_size);
	s->length = st.st_size;
	ASSERT(pread(fd, s->synced, (size_t)s->size, 0) == s->size);
	close(fd);
}

void faultvfs_record(const char *dir)
{
	struct stat st;

	faultvfs_record_end();
	snprintf(v.dir, sizeof v.dir, "%s", dir);
	v.dir_inode = stat(dir, &st) == 0 ? st.st_ino : 0;
	list_names(v.durable);
	for (int i = 0; i < NAMES; i++)
		if (v.durable[i][0])
			load_synced(v.durable[i]);
}

void faultvfs_record_end(void)
{
	for (int i = 0; i < NAMES; i++) {
		forget_ops(&v.shadows[i]);
		free(v.shadows[i].ops);
		free(v.shadows[i].synced);
	}
	memset(v.shadows, 0, sizeof v.shadows);
	v.dir[0] = 0;
	v.dir_inode = 0;
}

/* --- the cut --- */

/* Percent of the unsynced sectors that make it: often none or all of them. */
static unsigned share(uint64_t *seed)
{
	static const unsigned shares[] = { 0, 0, 10, 50, 50, 90, 100, 100 };

	return shares[rng_next(seed) % 8];
}

static void keep_some(const struct op *op, uint8_t **image, int64_t *size, unsigned percent, uint64_t *seed)
{
	if (!op->data) {
		if (rng_next(seed) % 100 < percent)
			set_size(image, size, op->at);
		return;
	}
	for (int64_t at = op->at, end = op->at + op->n; at < end;) {
		int64_t next = (at / SECTOR + 1) * SECTOR;

		if (next > end)
			next = end;
		if (rng_next(seed) % 100 < percent)
			apply(image, size, at, op->data + (at - op->at), next - at);
		at = next;
	}
}

/* Zeros become holes: a WAL is mostly that. */
static void write_image(const char *path, const uint8_t *image, int64_t size)
{
	static const uint8_t zeros[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ASSERT(fd >= 0 && ftruncate(fd, size) == 0);
	for (int64_t at = 0; at < size; at += (int64_t)sizeof zeros) {
		size_t n = size - at < (int64_t)sizeof zeros ? (size_t)(size - at) : sizeof zeros;

		if (memcmp(image + at, zeros, n))
			ASSERT(pwrite(fd, image + at, n, at) == (ssize_t)n);
	}
	close(fd);
}

static void cut_file(const char *to, const char *name, uint64_t *seed)
{
	char path[300];
	struct shadow *s;
	uint8_t *image;
	int64_t size;
	unsigned percent = share(seed);

	snprintf(path, sizeof path, "%s/%s", v.dir, name);
	s = shadow_of(path);
	note_length(s);
	size = s->size;
	image = malloc((size_t)size + 1);
	ASSERT(image);
	if (size)
		memcpy(image, s->synced, (size_t)size);
	for (size_t i = 0; i < s->op_count; i++)
		keep_some(&s->ops[i], &image, &size, percent, seed);
	snprintf(path, sizeof path, "%s/%s", to, name);
	write_image(path, image, size);
	free(image);
}

void faultvfs_cut(const char *to, uint64_t seed)
{
	char now[NAMES][32];

	for (int i = 0; i < 3; i++)
		(void)rng_next(&seed);
	ASSERT(mkdir(to, 0700) == 0);
	list_names(now);
	for (int i = 0; i < NAMES; i++)
		if (now[i][0] && (has(v.durable, now[i]) || rng_next(&seed) % 2))
			cut_file(to, now[i], &seed);
	for (int i = 0; i < NAMES; i++)
		if (v.durable[i][0] && !has(now, v.durable[i]) && rng_next(&seed) % 2)
			cut_file(to, v.durable[i], &seed);
}

/* Takes the place of libc's, for the spool's own calls as well as SQLite's: of a directory it makes names durable. */
int fsync(int fd)
{
	struct stat st;
	bool ours = v.dir_inode && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_ino == v.dir_inode;
	int rc;

	if (ours)
		announce_sync();
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && hits(FAULT_SYNC)) {
		errno = v.how == FAULT_ENOSPC ? ENOSPC : EIO;
		return v.how == FAULT_LIE ? 0 : -1;
	}
	rc = (int)syscall(SYS_fsync, fd);
	if (rc == 0 && ours)
		list_names(v.durable);
	return rc;
}

/* Takes the place of libc's: room that is asked for is a write that may fail. */
int fallocate(int fd, int mode, off_t at, off_t n)
{
	if (hits(FAULT_WRITE)) {
		errno = v.how == FAULT_EIO ? EIO : ENOSPC;
		return v.how == FAULT_LIE ? 0 : -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, at, n);
}

/* --- the files' methods --- */

static sqlite3_file *real_of(sqlite3_file *f) { return ((struct fault_file *)f)->real; }

static int f_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return real_of(f)->pMethods->xRead(real_of(f), p, n, at);
}

static int f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	struct fault_file *ff = (struct fault_file *)f;
	bool fault = hits(FAULT_WRITE);
	int rc;

	if (fault && v.how != FAULT_SHORT)
		return code(SQLITE_IOERR_WRITE);
	if (fault)
		n /= 2;
	note_length(ff->shadow);
	rc = ff->real->pMethods->xWrite(ff->real, p, n, at);
	if (rc == SQLITE_OK)
		note(ff->shadow, at, p, n);
	return fault ? SQLITE_FULL : rc;
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	struct fault_file *ff = (struct fault_file *)f;
	int rc;

	if (hits(FAULT_TRUNCATE))
		return code(SQLITE_IOERR_TRUNCATE);
	note_length(ff->shadow);
	rc = ff->real->pMethods->xTruncate(ff->real, size);
	if (rc == SQLITE_OK)
		note(ff->shadow, size, NULL, 0);
	return rc;
}

static int f_sync(sqlite3_file *f, int flags)
{
	struct fault_file *ff = (struct fault_file *)f;
	int rc;

	if (ff->shadow)
		announce_sync();
	if (hits(FAULT_SYNC))
		return v.how == FAULT_LIE ? SQLITE_OK : SQLITE_IOERR_FSYNC;
	note_length(ff->shadow);
	rc = ff->real->pMethods->xSync(ff->real, flags);
	if (rc == SQLITE_OK)
		note_synced(ff->shadow);
	return rc;
}

static int f_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int f_lock(sqlite3_file *f, int how) { return real_of(f)->pMethods->xLock(real_of(f), how); }
static int f_unlock(sqlite3_file *f, int how) { return real_of(f)->pMethods->xUnlock(real_of(f), how); }
static int f_reserved(sqlite3_file *f, int *ret) { return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret); }

static int f_control(sqlite3_file *f, int what, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), what, arg);
}

static int f_sector(sqlite3_file *f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); }
static int f_device(sqlite3_file *f) { return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f)); }

/* Version 1: no shared memory and no mapping, which the spool never uses. A WAL works in EXCLUSIVE mode without. */
static const sqlite3_io_methods methods = {
	.iVersion = 1, .xClose = f_close, .xRead = f_read, .xWrite = f_write, .xTruncate = f_truncate, .xSync = f_sync,
	.xFileSize = f_size, .xLock = f_lock, .xUnlock = f_unlock, .xCheckReservedLock = f_reserved, .xFileControl = f_control,
	.xSectorSize = f_sector, .xDeviceCharacteristics = f_device,
};

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct fault_file *ff = (struct fault_file *)f;
	int rc;

	(void)vfs;
	ff->base.pMethods = NULL;
	if (hits(FAULT_OPEN))
		return SQLITE_CANTOPEN;
	ff->real = (sqlite3_file *)(ff + 1);
	ff->real->pMethods = NULL;
	rc = v.real->xOpen(v.real, name, ff->real, flags, ret_flags);
	ff->shadow = shadow_of(name);
	if (rc == SQLITE_OK)
		ff->base.pMethods = &methods;
	return rc;
}

static int v_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	(void)vfs;
	if (hits(FAULT_DELETE))
		return code(SQLITE_IOERR_DELETE);
	return v.real->xDelete(v.real, name, sync_dir);
}

void faultvfs_install(void)
{
	if (v.real)
		return;
	v.real = sqlite3_vfs_find(NULL);
	ASSERT(v.real);
	v.vfs = *v.real;
	v.vfs.pNext = NULL;
	v.vfs.zName = "fault";
	v.vfs.szOsFile = (int)sizeof(struct fault_file) + v.real->szOsFile;
	v.vfs.xOpen = v_open;
	v.vfs.xDelete = v_delete;
	ASSERT(sqlite3_vfs_register(&v.vfs, 1) == SQLITE_OK);
}

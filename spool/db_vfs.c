/* db_vfs.c - SQLite's reads and writes of the database and its WAL, in large portions.
 *
 * Why: SQLite writes the WAL frame by frame, a header of 24 bytes and a page, and folds it in page by page. With pages of
 * 16 KiB more than half of the cost of spilling was the kernel's, for taking 200,000 small portions a gigabyte. And where
 * SQLite is built without posix_fallocate (Debian) it takes room by writing a byte into each block.
 *
 * How: one buffer a file. It holds either bytes that SQLite wrote and the file has not, always one run, or a copy of what
 * the file holds there. Everything else is the default VFS's, which is looked up anew for each file: tests put theirs there.
 *
 * Invariants
 *  (1) no sync returns, no file is read, measured, cut or closed, while bytes of it wait.
 *  (2) no commit returns while bytes of the WAL wait, synced or not: the frame that commits sends them off. What a NORMAL
 *      commit wrote is the kernel's, and survives kill -9. SQLite undoes the transaction when that write fails.
 *  (3) the order of writes is SQLite's, within a file; between files it is its syncs'.
 * Failure: a portion that could not be written is an error of the call that sent it off. Its bytes are forgotten: SQLite
 *	undoes the transaction, or the checkpoint, and writes them again from where they were.
 * Ownership: fd is a second descriptor of the file, for allocating and hints. Closing it drops SQLite's POSIX locks, so
 *	it is closed after SQLite's own.
 */
#include "spool/db.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "spool/spool.h"

#define PORTION      (96 << 10)	/* SQLite's unix VFS takes no 128 KiB at once */
#define WRITEBACK    (512 << 10)
#define FRAME_HEADER 24
#define MAX_PATH     1024

struct vfs_file {
	sqlite3_file  file;		/* first: SQLite's handle */
	sqlite3_file *real;		/* the default VFS's */
	int           fd;		/* -1: not to be had */
	int           chunk;		/* SQLITE_FCNTL_CHUNK_SIZE */
	bool          wal;
	bool          commits;		/* the page that comes next ends a transaction */
	bool          dirty;		/* the buffer is newer than the file */
	char         *buf;		/* PORTION bytes, or NULL: everything goes straight on */
	int           len;
	int64_t       at;		/* of buf[0] in the file */
	int64_t       read_end, write_end;	/* where the last one ended */
	int64_t       ahead;		/* bytes written in a row since the disk was last asked to begin */
};

static struct vfs_file *of(sqlite3_file *f)
{
	return (struct vfs_file *)(void *)f;
}

/* Asks the disk to begin with what is a long run, so that the sync has less to wait for. Promises nothing. */
static void begin_writeback(struct vfs_file *f)
{
	f->ahead = f->len == PORTION ? f->ahead + f->len : 0;
	if (f->ahead < WRITEBACK || f->fd < 0)
		return;
	beat_into("write to the state directory");
	(void)sync_file_range(f->fd, f->at + f->len - f->ahead, f->ahead, SYNC_FILE_RANGE_WRITE);
	beat_out();
	f->ahead = 0;
}

/* A disk that is slow is nobody's bug. */
static int write_real(struct vfs_file *f, const void *p, int n, int64_t at)
{
	int rc;

	beat_into("write to the state directory");
	rc = f->real->pMethods->xWrite(f->real, p, n, at);
	beat_out();
	return rc;
}

static int read_real(struct vfs_file *f, void *p, int n, int64_t at)
{
	int rc;

	beat_into("read from the state directory");
	rc = f->real->pMethods->xRead(f->real, p, n, at);
	beat_out();
	return rc;
}

static int flush(struct vfs_file *f)
{
	int rc = SQLITE_OK;

	if (f->dirty)
		rc = write_real(f, f->buf, f->len, f->at);
	if (f->dirty && rc == SQLITE_OK)
		begin_writeback(f);
	f->dirty = false;
	f->len = 0;
	return rc;
}

static int vfs_close(sqlite3_file *file)
{
	struct vfs_file *f = of(file);
	int rc = flush(f);
	int closed = f->real->pMethods->xClose(f->real);

	if (f->fd >= 0)
		(void)close(f->fd);
	mem_free(f->buf);
	mem_free(f->real);
	f->file.pMethods = NULL;
	return rc == SQLITE_OK ? closed : rc;
}

/* A read close behind the last one: more of them will follow. */
static int read_ahead(struct vfs_file *f, int64_t at)
{
	sqlite3_int64 size = 0;
	int rc = f->real->pMethods->xFileSize(f->real, &size);
	int64_t n = size - at < PORTION ? size - at : PORTION;

	if (rc != SQLITE_OK || n <= 0)
		return rc;
	rc = read_real(f, f->buf, (int)n, at);
	f->at = at;
	f->len = rc == SQLITE_OK ? (int)n : 0;
	return rc;
}

static int vfs_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
	struct vfs_file *f = of(file);
	bool next = at >= f->read_end && at <= f->read_end + FRAME_HEADER;
	int rc = f->dirty ? flush(f) : SQLITE_OK;

	f->read_end = at + n;
	if (rc == SQLITE_OK && f->wal && next && n < PORTION && !(at >= f->at && at + n <= f->at + f->len))
		rc = read_ahead(f, at);
	if (rc != SQLITE_OK)
		return rc;
	if (at < f->at || at + n > f->at + f->len)
		return read_real(f, p, n, at);
	memcpy(p, f->buf + (at - f->at), (size_t)n);
	return SQLITE_OK;
}

static int collect(struct vfs_file *f, const char *p, int n, int64_t at)
{
	int rc = f->dirty && at == f->at + f->len ? SQLITE_OK : flush(f);

	while (rc == SQLITE_OK && n > 0) {
		int part = n < PORTION - f->len ? n : PORTION - f->len;

		if (!f->dirty)
			f->at = at;
		memcpy(f->buf + f->len, p, (size_t)part);
		f->dirty = true;
		f->len += part;
		p += part;
		at += part;
		n -= part;
		if (f->len == PORTION)
			rc = flush(f);
	}
	return rc;
}

/* A frame's header says in its bytes 4 to 7 how large the database is after it, if it ends a transaction, else 0. */
static bool begins_commit(const struct vfs_file *f, const void *p, int n)
{
	static const char none[4];

	return f->wal && n == FRAME_HEADER && memcmp((const char *)p + 4, none, sizeof none) != 0;
}

static int vfs_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
	struct vfs_file *f = of(file);
	bool ends = f->commits;
	int rc;

	if (!f->buf)
		return write_real(f, p, n, at);
	f->commits = begins_commit(f, p, n);
	/* A header by itself: SQLite renews the checksums of frames whose pages it wrote twice, the committing one's last. */
	ends |= f->commits && at != f->write_end;
	f->write_end = at + n;
	rc = collect(f, p, n, at);
	return rc == SQLITE_OK && ends ? flush(f) : rc;
}

static int vfs_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	struct vfs_file *f = of(file);
	int rc = f->dirty ? flush(f) : SQLITE_OK;

	return rc == SQLITE_OK ? f->real->pMethods->xFileSize(f->real, ret) : rc;
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct vfs_file *f = of(file);
	sqlite3_int64 now = 0;
	int rc = vfs_size(file, &now);

	/* With a chunk size the file may be longer than asked for. Each checkpoint cuts: a margin that stays costs nothing. */
	if (rc == SQLITE_OK && !f->wal && f->chunk > 0 && now >= size && now <= size + 3 * (int64_t)f->chunk)
		return SQLITE_OK;
	f->len = 0;
	return rc == SQLITE_OK ? f->real->pMethods->xTruncate(f->real, size) : rc;
}

const double spool_sync_bounds[SPOOL_SYNC_BUCKETS] = {
	0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 10, INFINITY,
};

static struct { _Atomic uint64_t counts[SPOOL_SYNC_BUCKETS], us; } syncs;

static void count_sync(int64_t us)
{
	int i = 0;

	while ((double)us > spool_sync_bounds[i] * 1e6)
		i++;
	syncs.counts[i]++;
	syncs.us += (uint64_t)us;
}

static int vfs_sync(sqlite3_file *file, int flags)
{
	struct vfs_file *f = of(file);
	int rc = f->dirty ? flush(f) : SQLITE_OK;
	int64_t began_us = clock_mono_ns() / 1000;

	if (rc != SQLITE_OK)
		return rc;
	beat_into("fsync");
	rc = f->real->pMethods->xSync(f->real, flags);
	beat_out();
	count_sync(clock_mono_ns() / 1000 - began_us);
	return rc;
}

void spool_syncs(struct spool_syncs *ret)
{
	for (int i = 0; i < SPOOL_SYNC_BUCKETS; i++)
		ret->counts[i] = syncs.counts[i];
	ret->seconds = (double)syncs.us / 1e6;
}

static int vfs_lock(sqlite3_file *file, int how)
{
	return of(file)->real->pMethods->xLock(of(file)->real, how);
}

static int vfs_unlock(sqlite3_file *file, int how)
{
	return of(file)->real->pMethods->xUnlock(of(file)->real, how);
}

static int vfs_reserved(sqlite3_file *file, int *ret)
{
	return of(file)->real->pMethods->xCheckReservedLock(of(file)->real, ret);
}

/* Blocks on disk up to `size`, or nothing. Sends nothing off: its answer is about room, and SQLite would not hear of the
 * other failure. */
static int allocate(struct vfs_file *f, sqlite3_int64 *size)
{
	int64_t want = *size;
	struct stat st;
	int rc;

	if (f->chunk > 0)
		want = (want + f->chunk - 1) / f->chunk * f->chunk;
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return f->real->pMethods->xFileControl(f->real, SQLITE_FCNTL_SIZE_HINT, size);
	if (st.st_size >= want)
		return SQLITE_OK;
	do {
		rc = fallocate(f->fd, 0, st.st_size, want - st.st_size);
	} while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return SQLITE_OK;
	if (errno == EOPNOTSUPP || errno == ENOSYS)
		return f->real->pMethods->xFileControl(f->real, SQLITE_FCNTL_SIZE_HINT, size);
	return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int vfs_control(sqlite3_file *file, int op, void *arg)
{
	struct vfs_file *f = of(file);

	if (op == SQLITE_FCNTL_SIZE_HINT)
		return allocate(f, arg);
	if (op == SQLITE_FCNTL_CHUNK_SIZE)
		f->chunk = *(int *)arg;
	return f->real->pMethods->xFileControl(f->real, op, arg);
}

static int vfs_sector(sqlite3_file *file)
{
	return of(file)->real->pMethods->xSectorSize(of(file)->real);
}

static int vfs_traits(sqlite3_file *file)
{
	return of(file)->real->pMethods->xDeviceCharacteristics(of(file)->real);
}

/* Version 1: without shared memory. An exclusive WAL needs none, and no other kind can be opened through this by mistake. */
static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = vfs_close,
	.xRead = vfs_read,
	.xWrite = vfs_write,
	.xTruncate = vfs_truncate,
	.xSync = vfs_sync,
	.xFileSize = vfs_size,
	.xLock = vfs_lock,
	.xUnlock = vfs_unlock,
	.xCheckReservedLock = vfs_reserved,
	.xFileControl = vfs_control,
	.xSectorSize = vfs_sector,
	.xDeviceCharacteristics = vfs_traits,
};

static sqlite3_vfs *base(void)
{
	return sqlite3_vfs_find(NULL);
}

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct vfs_file *f = of(file);
	bool ours = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0;
	int rc;

	(void)v;
	*f = (struct vfs_file){ .fd = -1, .wal = (flags & SQLITE_OPEN_WAL) != 0 };
	f->real = mem_zalloc((size_t)base()->szOsFile);
	f->buf = ours ? mem_alloc(PORTION) : NULL;
	if (!f->real || (ours && !f->buf))
		rc = SQLITE_NOMEM;
	else
		rc = base()->xOpen(base(), name, f->real, flags, ret_flags);
	if (rc != SQLITE_OK) {
		/* A failed open may leave methods, which then are to be closed. */
		if (f->real && f->real->pMethods)
			(void)f->real->pMethods->xClose(f->real);
		mem_free(f->real);
		mem_free(f->buf);
		return rc;
	}
	if (ours)
		f->fd = open(name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	f->file.pMethods = &methods;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
	(void)v;
	return base()->xDelete(base(), name, sync_dir);
}

static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *ret)
{
	(void)v;
	return base()->xAccess(base(), name, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *v, const char *name, int n, char *ret)
{
	(void)v;
	return base()->xFullPathname(base(), name, n, ret);
}

static int vfs_random(sqlite3_vfs *v, int n, char *ret)
{
	(void)v;
	return base()->xRandomness(base(), n, ret);
}

static int vfs_sleep(sqlite3_vfs *v, int us)
{
	(void)v;
	return base()->xSleep(base(), us);
}

static int vfs_time(sqlite3_vfs *v, double *ret)
{
	(void)v;
	return base()->xCurrentTime(base(), ret);
}

static int vfs_error(sqlite3_vfs *v, int n, char *ret)
{
	(void)v;
	return base()->xGetLastError ? base()->xGetLastError(base(), n, ret) : 0;
}

int db_vfs_register(void)
{
	static sqlite3_vfs vfs = {
		.iVersion = 1,
		.szOsFile = sizeof(struct vfs_file),
		.mxPathname = MAX_PATH,
		.zName = DB_VFS,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_path,
		.xRandomness = vfs_random,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_time,
		.xGetLastError = vfs_error,
	};

	return sqlite3_vfs_find(DB_VFS) ? SQLITE_OK : sqlite3_vfs_register(&vfs, 0);
}

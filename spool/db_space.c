/* db_space.c - never meets a full disk in the middle of a transaction.
 *
 * Why: SQLite answers SQLITE_FULL by rolling the whole transaction back, acks and positions included, and on a disk that
 * is really full not even DELETE can be committed, so that a full spool could not drain. So room is taken before it is
 * needed: whether a row fits is decided, and its blocks are allocated, before anything is written.
 *
 * What keeps a full disk draining
 *  - the WAL has its blocks from the open on and is folded in before it outgrows them;
 *  - the file has blocks for all its pages and a margin, or for all its pages and has as much free in it: folding in needs none;
 *  - a commit that would grow the file by what cannot be backed is refused: once in the WAL it could never be folded in, and
 *    nothing else be committed behind it;
 *  - deleting rows needs pages of the WAL only, and what they free is reused.
 *
 * The page limit (max_page_count), from its end:   | rows: max_size + 16 MiB | urgent rows: 12 MiB | the small tables: 4 MiB |
 * The 16 MiB above max_size are for what rows cost beyond their own bytes: parts of pages, the index.
 */
#include "spool/db.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#define MIB            (1 << 20)
#define FRAME_HEADER   24		/* in the WAL, before each page */
#define WAL_GROWN      (10 * MIB)	/* 8 MiB until it is folded in, and the transaction that crosses that line */
#define WAL_CHUNK      (2 * MIB)
#define FILE_CHUNK     (1 * MIB)
#define FILE_MARGIN    (1 * MIB)
#define KEPT_URGENT    (16 * MIB)	/* of the limit that rows leave alone */
#define KEPT_SMALL     (4 * MIB)	/* that urgent rows leave alone too */
#define TXN_SMALL      32		/* pages for ledger, positions and totals in a transaction */
#define ROW_EXTRA      6		/* pages a row may touch besides its bytes: leaves, index, interior, pointer map */
#define LARGE_ROW      (512 << 10)
#define CACHE_LARGE    "-2048"
#define OVERFLOW_LINK  4		/* bytes of an overflow page that are not payload */

/* Allocates blocks, or fails at once. */
static int grow(sqlite3_file *f, int64_t bytes)
{
	sqlite3_int64 want = bytes;

	return f && f->pMethods ? f->pMethods->xFileControl(f, SQLITE_FCNTL_SIZE_HINT, &want) : SQLITE_OK;
}

void db_grow_wal(struct db *d)
{
	int chunk = FILE_CHUNK;
	int64_t pages = 0, size = WAL_GROWN;

	(void)sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
	/* The first read opens the WAL. */
	if (db_count(d, STMT_PAGE_COUNT, &pages, NULL) == 0)
		(void)db_back_pages(d, pages);
	if (sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_JOURNAL_POINTER, &d->wal) != SQLITE_OK)
		d->wal = NULL;
	chunk = WAL_CHUNK;
	if (d->wal && d->wal->pMethods)
		(void)d->wal->pMethods->xFileControl(d->wal, SQLITE_FCNTL_CHUNK_SIZE, &chunk);
	while (grow(d->wal, size) != SQLITE_OK && size > WAL_CHUNK)
		size -= WAL_CHUNK;
	d->wal_limit = size - WAL_CHUNK > MIB ? size - WAL_CHUNK : MIB;
}

static int hint(struct db *d, int64_t pages, int64_t margin)
{
	sqlite3_int64 want = pages * d->page + margin;
	int rc = sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_SIZE_HINT, &want);

	if (rc == SQLITE_OK && d->backed < pages + margin / d->page)
		d->backed = pages + margin / d->page;
	return rc;
}

int db_back_pages(struct db *d, int64_t pages)
{
	return hint(d, pages, FILE_MARGIN);
}

int db_fits(struct db *d, struct err *ret_err)
{
	int64_t pages = 0;
	int rc = db_count(d, STMT_PAGE_COUNT, &pages, ret_err);

	if (rc < 0 || pages <= d->backed || db_back_pages(d, pages) == SQLITE_OK)
		return rc;
	rc = hint(d, pages, 0);
	if (rc == SQLITE_OK)
		return 0;
	return err_set(ret_err, rc == SQLITE_FULL ? -ENOSPC : ERR_IO, "%s cannot grow: the file system of %s is full", d->path,
		       d->dir);
}

/* What lies in the WAL and not yet in the file counts as used: the file will grow by it. */
static int check_min_free(struct db *d, int64_t bytes, int64_t free_pages, struct err *ret_err)
{
	struct statvfs fs;
	int64_t free_bytes;

	if (d->min_free <= 0 || free_pages * d->page > bytes)
		return 0;
	if (statvfs(d->dir, &fs) < 0)
		return err_set(ret_err, -errno, "cannot ask for free space at %s: %s", d->dir, strerror(errno));
	free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	if (free_bytes - bytes >= d->min_free)
		return 0;
	return err_set(ret_err, ERR_SPOOL_FULL, "the file system of %s has only %lld MiB free (spool.min_free is %lld MiB)",
		       d->dir, (long long)(free_bytes / MIB), (long long)(d->min_free / MIB));
}

/* A row is touched twice. What the page cache cannot hold until then goes to the WAL twice, too. */
static int hold_row(struct db *d, int64_t bytes, struct err *ret_err)
{
	int rc;

	if (d->large_cache || bytes < LARGE_ROW)
		return 0;
	rc = db_exec(d, "PRAGMA cache_size = " CACHE_LARGE, ret_err);
	d->large_cache = rc == 0;
	return rc;
}

/* Blocks for `pages` and the margin; or for these pages alone, where as much as the margin stays free within them: what small
 * tables grow by is taken from there first. */
static bool backed(struct db *d, int64_t pages, int64_t stay_free)
{
	if (db_back_pages(d, pages) == SQLITE_OK)
		return true;
	return stay_free * d->page >= FILE_MARGIN && hint(d, pages, 0) == SQLITE_OK;
}

/* Inside a transaction page_count and freelist_count include what it did so far. */
int db_room(struct db *d, int64_t bytes, bool urgent, struct err *ret_err)
{
	int64_t pages, free_pages, need = bytes / (d->page - OVERFLOW_LINK) + ROW_EXTRA;
	int64_t limit = d->max_pages - (urgent ? KEPT_SMALL : KEPT_URGENT) / d->page;
	int64_t grown, frames;
	int rc = db_count(d, STMT_PAGE_COUNT, &pages, ret_err);

	if (rc == 0)
		rc = hold_row(d, bytes, ret_err);
	if (rc == 0)
		rc = db_count(d, STMT_FREELIST_COUNT, &free_pages, ret_err);
	if (rc == 0 && !urgent)
		rc = check_min_free(d, bytes, free_pages, ret_err);
	if (rc < 0)
		return rc;
	if (pages - free_pages + need > limit)
		return err_set(ret_err, ERR_SPOOL_FULL, "the spool has reached its size on disk (spool.max_size)");
	grown = need > free_pages ? pages + need - free_pages : pages;
	frames = d->wal_pages + d->txn_pages + need + TXN_SMALL;
	if (!backed(d, grown, free_pages - need) || grow(d->wal, frames * (d->page + FRAME_HEADER)) != SQLITE_OK)
		return err_set(ret_err, ERR_SPOOL_FULL, "the file system of %s is full", d->dir);
	d->txn_pages += need;
	return 0;
}

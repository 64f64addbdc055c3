/* file.c - one file: opening, identity, position; and the window.
 *
 * Why a window and no buffer for each file: 10,000 files must not hold 10,000 unfinished lines. What is not handed over
 * stays in the file and is read again; `scanned` remembers how far there is no LF, so that a line that grows by small
 * writes is not searched from its beginning each time.
 *
 * Invariants
 *  (1) mark is the marker of offset, scan_mark that of scanned, offset <= scanned or scanned == 0.
 *  (2) the fingerprint covers only bytes below offset: what was not handed over may still change.
 * Threads: the tail thread's; after it ended, whoever reads ranges again.
 * Failure: ERR_BAD_DATA means that bytes changed under us; the caller starts a new generation.
 */
#include "agent/file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/identity.h"
#include "agent/opening.h"
#include "agent/remote.h"

struct file *file_new(const char *path, const char *home)
{
	struct file *f = mem_new(struct file);

	if (!f)
		return NULL;
	f->fd = -1;
	list_init(&f->node);
	list_init(&f->turn);
	list_init(&f->away);
	list_init(&f->used);
	list_init(&f->heirs);
	list_init(&f->heir);
	f->leading = true;
	f->path = mem_strdup(path);
	f->home = mem_strdup(home);
	f->origin = mem_strdup(home);
	if (f->path && f->home && f->origin)
		return f;
	file_free(f);
	return NULL;
}

void file_free(struct file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	mem_free(f->path);
	mem_free(f->origin);
	mem_free(f->home);
	mem_free(f->skips);
	mem_free(f->note);
	mem_free(f);
}

int file_set_path(char **path, const char *to)
{
	char *copy;

	if (!strcmp(*path, to))
		return 0;
	copy = mem_strdup(to);
	if (!copy)
		return ERR_NOMEM;
	mem_free(*path);
	*path = copy;
	return 0;
}

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

int file_open(struct file *f)
{
	struct stat st;
	int fd, rc = opening_open(f->path, f->follow, &fd, &st);

	if (rc < 0)
		return rc;
	if (st.st_dev != f->dev || st.st_ino != f->inode) {
		close(fd);
		return -ESTALE;
	}
	f->fd = fd;
	f->size = st.st_size;
	f->mtime_ns = mtime_ns(&st);
	f->remote = remote_fd(fd);
	return 0;
}

bool file_is_at(const struct file *f, const char *path)
{
	struct stat st;

	return (f->follow ? stat : lstat)(path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->inode;
}

bool file_changed(struct file *f, const struct stat *st, int64_t now_ms)
{
	if (f->size == st->st_size && f->mtime_ns == mtime_ns(st))
		return false;
	f->size = st->st_size;
	f->mtime_ns = mtime_ns(st);
	f->changed_ms = now_ms;
	return true;
}

int file_check_head(struct file *f)
{
	uint32_t len = f->offset < IDENTITY_HEAD ? (uint32_t)f->offset : IDENTITY_HEAD;
	uint64_t h;
	int rc;

	if (f->head_len) {
		rc = identity_read_head(f->fd, f->head_len, &h);
		if (rc == ERR_NOT_FOUND || (rc == 0 && h != f->head))
			return ERR_BAD_DATA;
		if (rc < 0)
			return rc;
	}
	/* By doubling: a small file that grows line by line must not cost a row each time. */
	if (len <= f->head_len || (len < IDENTITY_HEAD && len < 2 * f->head_len))
		return 0;
	rc = identity_read_head(f->fd, len, &h);
	if (rc < 0)
		return rc == ERR_NOT_FOUND ? ERR_BAD_DATA : rc;
	f->head_len = len;
	f->head = h;
	return 1;
}

void file_restart(struct file *f, int64_t id)
{
	f->id = id;
	f->generation++;
	f->head_len = 0;
	f->head = 0;
	f->offset = f->scanned = 0;
	f->mark = f->scan_mark = 0;
	f->skip_count = f->skip_next = 0;
	f->leading = true;
	f->at_end = f->flush = f->blocked = false;
}

bool file_passed(const struct file *f, int64_t size)
{
	return !file_followed(f) || f->done || f->offset >= size || f->scanned >= size;
}

void file_row(const struct file *f, struct spool_file *ret)
{
	*ret = (struct spool_file){
		.id = f->id, .path = f->home, .origin = f->origin, .dev = f->dev, .inode = f->inode, .generation = f->generation,
		.fingerprint_len = f->head_len, .fingerprint = f->head, .safe = f->offset, .marker = f->mark,
		.size = f->size, .state = f->state == FILE_FAILED ? FILE_ACTIVE : (uint8_t)f->state,
	};
}

/* --- the window --- */

int window_open(struct window *w, size_t cap)
{
	*w = (struct window){ .cap = cap + IDENTITY_TAIL };
	w->mem = mmap(NULL, w->cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->mem != MAP_FAILED)
		return 0;
	w->mem = NULL;
	return ERR_NOMEM;
}

void window_close(struct window *w)
{
	if (w->mem)
		munmap(w->mem, w->cap);
	w->mem = NULL;
}

int window_read(struct window *w, const struct file *f, int64_t at, size_t want, uint64_t mark)
{
	size_t lead = identity_lead(at), total = lead + want;
	int64_t from = at - (int64_t)lead;
	ssize_t n;

	if (w->file_id == f->id && from >= w->from && at < w->from + (int64_t)w->len) {
		w->eof = false;		/* as of when it was read */
		return 0;
	}
	ASSERT(total <= w->cap);
	w->file_id = 0;
	do {
		n = pread(f->fd, w->mem, total, from);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	w->from = from;
	w->len = (size_t)n;
	if (w->len > w->touched)
		w->touched = w->len;
	if (w->len < lead || (mark && identity_hash(w->mem, lead) != mark))
		return ERR_BAD_DATA;
	w->file_id = f->id;
	w->eof = w->len == lead || (w->len < total && from + n >= f->size);
	return 0;
}

void window_drop(struct window *w)
{
	const size_t keep = (WINDOW_BYTES + IDENTITY_TAIL + 4095) & ~(size_t)4095;

	w->file_id = 0;
	if (w->touched > keep)
		madvise(w->mem + keep, w->cap - keep, MADV_DONTNEED);
	w->touched = 0;
}

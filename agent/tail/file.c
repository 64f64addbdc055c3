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
#include "agent/tail/file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/identity.h"
#include "agent/tail/opening.h"
#include "agent/tail/remote.h"
#include "agent/tail/tail.h"
#include "agent/tail/unpack.h"

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
	list_init(&f->packed);
	list_init(&f->heirs);
	list_init(&f->heir);
	list_init(&f->border);
	list_init(&f->group);
	list_init(&f->head_at);
	list_init(&f->twin);
	f->leading = true;
	f->end = -1;
	if (file_set_path(f, &f->path, path) == 0 && file_set_path(f, &f->home, home) == 0 &&
	    file_set_path(f, &f->origin, home) == 0)
		return f;
	file_free(f);
	return NULL;
}

/* path and home are one string while they say the same: most files were never renamed, and there may be very many of them.
 * Not origin: files that exchange what they are (tail_copy.c) keep theirs. */
static void path_free(struct file *f, char **which)
{
	char *text = *which;

	*which = NULL;
	if (f->path != text && f->home != text)
		mem_free(text);
}

void file_free(struct file *f)
{
	if (!f)
		return;
	file_close(f);
	path_free(f, &f->path);
	path_free(f, &f->home);
	path_free(f, &f->origin);
	mem_free(f->skips);
	mem_free(f->note);
	mem_free(f);
}

int file_set_path(struct file *f, char **which, const char *to)
{
	char *other = which == &f->path ? f->home : which == &f->home ? f->path : NULL, *same;

	if (*which && !strcmp(*which, to))
		return 0;
	same = other && !strcmp(other, to) ? other : mem_strdup(to);
	if (!same)
		return ERR_NOMEM;
	path_free(f, which);
	*which = same;
	return 0;
}

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Its first bytes say whether it is compressed. */
static int look_inside(struct file *f, int fd)
{
	int kind;

	if (!f->unpacks)
		return 0;
	if (f->unpack) {
		unpack_reopened(f->unpack, fd);
		return 0;
	}
	kind = unpack_kind(fd);
	if (kind <= UNPACK_NONE)
		return kind == ERR_AGAIN ? 0 : kind;
	f->unpack = unpack_new(fd, (enum unpack_kind)kind);
	f->end = -1;
	return f->unpack ? 0 : ERR_NOMEM;
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
	rc = look_inside(f, fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	f->fd = fd;
	f->packed_size = st.st_size;
	f->size = file_size(f, &st);
	f->mtime_ns = mtime_ns(&st);
	f->remote = remote_fd(fd);
	return 0;
}

bool file_is_at(const struct file *f, const char *path)
{
	struct stat st;
	int rc = f->follow ? slow_stat(path, &st) : slow_lstat(path, &st);

	return rc == 0 && st.st_dev == f->dev && st.st_ino == f->inode;
}

void file_close(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	unpack_free(f->unpack);
	f->unpack = NULL;
}

ssize_t file_pread(const struct file *f, void *buf, size_t n, int64_t at)
{
	size_t have = 0;
	ssize_t k;

	if (!f->unpack) {
		do {
			k = slow_pread(f->fd, buf, n, at);
		} while (k < 0 && errno == EINTR);
		return k < 0 ? -errno : k;
	}
	if (f->fd < 0)
		return -EBADF;
	do {
		k = unpack_pread(f->unpack, (uint8_t *)buf + have, n - have, at + (int64_t)have);
		have += k > 0 ? (size_t)k : 0;
	} while (k > 0 && have < n);
	return k < 0 && k != ERR_AGAIN && k != ERR_BAD_DATA ? k : (ssize_t)have;
}

int64_t file_size(const struct file *f, const struct stat *st)
{
	int64_t known, left;

	if (!f->unpack)
		return st->st_size;
	if (f->end >= 0)
		return f->end;
	known = unpack_size(f->unpack);
	if (known >= 0)
		return known > f->offset ? known : f->offset;
	known = unpack_reached(f->unpack) > f->offset ? unpack_reached(f->unpack) : f->offset;
	left = st->st_size - unpack_packed(f->unpack);
	return known + (left > 0 ? left : 1);		/* never less than there is, so that it is not taken for finished */
}

/* Where nothing is read of its beginning there is no marker, and only its length tells of what was read behind that. */
bool file_shrank(const struct file *f)
{
	int64_t used = !f->offset && f->skip_count ? f->skips[f->skip_count - 1].to : f->offset;

	return f->unpack ? f->packed_size < unpack_packed(f->unpack) : f->size < used;
}

void file_unpack_anew(struct file *f)
{
	if (f->unpack)
		unpack_anew(f->unpack);
	f->end = -1;
}

bool file_changed(struct file *f, const struct stat *st, int64_t now_ms)
{
	int64_t size = f->unpack ? f->packed_size : f->size;

	f->packed_size = st->st_size;
	f->size = file_size(f, st);
	if (size == st->st_size && f->mtime_ns == mtime_ns(st))
		return false;
	if (!f->unpack) {
		if (size > f->was || !f->shrunk)
			f->was = size;
		f->shrunk |= st->st_size < size;
	}
	f->mtime_ns = mtime_ns(st);
	f->changed_ms = now_ms;
	return true;
}

/* How many bytes the fingerprint is to cover by now; 0: as many as it does. By doubling: a small file that grows line by line
 * must not cost a row each time. */
static uint32_t head_due(const struct file *f)
{
	uint32_t len = f->offset < IDENTITY_HEAD ? (uint32_t)f->offset : IDENTITY_HEAD;

	return len <= f->head_len || (len < IDENTITY_HEAD && len < 2 * f->head_len) ? 0 : len;
}

int file_check_head(struct file *f)
{
	uint32_t len = head_due(f);
	uint64_t h;
	int rc;

	if (f->head_len) {
		rc = identity_read_head(f, f->head_len, &h);
		if (rc == ERR_NOT_FOUND || (rc == 0 && h != f->head))
			return ERR_BAD_DATA;
		if (rc < 0)
			return rc;
	}
	if (!len)
		return 0;
	rc = identity_read_head(f, len, &h);
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
	f->border_at = 0;
	f->was = 0;
	f->shrunk = f->suspect = false;
	memset(f->trail, 0, sizeof f->trail);
	f->end = -1;
	f->told = f->twice = false;
	f->leading = true;
	f->at_end = f->flush = f->blocked = f->encoded = f->grouped = f->end_group = false;
	f->inside_at = f->end_at = f->end_ms = 0;
	f->inside = false;
}

bool file_passed(const struct file *f, int64_t size)
{
	return !file_followed(f) || f->done || f->offset >= size || (f->scanned >= size && !f->grouped) ||
	       (f->end >= 0 && f->offset >= f->end);
}

void file_row(const struct file *f, struct spool_file *ret)
{
	*ret = (struct spool_file){
		.id = f->id, .path = f->home, .origin = f->origin, .dev = f->dev, .inode = f->inode, .generation = f->generation,
		.fingerprint_len = f->head_len, .fingerprint = f->head, .safe = f->offset, .marker = f->mark,
		.size = f->size, .state = f->state == FILE_FAILED ? FILE_ACTIVE : (uint8_t)f->state,
	};
	if (f->state == FILE_ACTIVE && f->end >= 0 && f->offset >= f->end)
		ret->state = FILE_DONE;		/* compressed, and read */
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
	bool hidden;
	ssize_t n;

	/* 0 is nobody's: also a file that has no id yet finds nothing here. */
	if (w->file_id && w->file_id == f->id && from >= w->from && at < w->from + (int64_t)w->len) {
		w->eof = false;		/* as of when it was read */
		return 0;
	}
	ASSERT(total <= w->cap);
	w->file_id = 0;
	n = file_pread(f, w->mem, total, from);
	if (n < 0)
		return (int)n;
	hidden = f->has_hole && from + n > f->hole;
	if (hidden)
		n = f->hole > from ? f->hole - from : 0;
	w->from = from;
	w->len = (size_t)n;
	if (w->len > w->touched)
		w->touched = w->len;
	if (w->len < lead || (mark && identity_hash(w->mem, lead) != mark))
		return ERR_BAD_DATA;
	w->file_id = f->id;
	w->eof = hidden || w->len == lead || (w->len < total && (f->unpack || from + n >= f->size));
	return 0;
}

bool window_head(const struct window *w, struct file *f)
{
	uint32_t len = head_due(f);

	if (!len || w->file_id != f->id || w->from || w->len < len || identity_hash(w->mem, f->head_len) != f->head)
		return false;
	f->head_len = len;
	f->head = identity_hash(w->mem, len);
	return true;
}

void window_drop(struct window *w)
{
	const size_t keep = (WINDOW_BYTES + IDENTITY_TAIL + 4095) & ~(size_t)4095;

	w->file_id = 0;
	if (w->touched > keep)
		madvise(w->mem + keep, w->cap - keep, MADV_DONTNEED);
	w->touched = 0;
}

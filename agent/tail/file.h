/* file.h - one file that is followed, and the window through which its bytes are seen. */
#ifndef SPILLWAY_FILE_H
#define SPILLWAY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "agent/base/list.h"
#include "spool/spool.h"

struct dest;
struct route;
struct tail_skip;
struct unpack;

/* The first four are kept in the state database (spool_file.state): add only at their end. */
enum file_state {
	FILE_ACTIVE,		/* at a path that an input matches */
	FILE_ROTATED,		/* renamed out of the globs: followed until finished and idle */
	FILE_DELETED,		/* no name left: the same, shorter */
	FILE_DONE,		/* finished and closed, or given up */
	FILE_FAILED,		/* cannot be opened or read; tried again at every reconcile */
};

struct file {
	struct list node;		/* of all files */
	struct list turn;		/* ready to be read, or waiting for memory with others of its destination */
	struct list away;		/* rotated and deleted ones */
	struct list used;		/* open ones, the least recently used first */
	struct list packed;		/* compressed ones that are not finished */
	struct list heirs, heir;	/* successors that wait for our lines; our place among those of `pred` */
	struct file *pred;		/* not read before this one's lines ... */
	int64_t  pred_size;		/* ... up to here were handed over */
	int64_t  pred_id;		/* the last one's: it may be read again */

	int      fd;			/* -1: FILE_FAILED, or parked */
	enum file_state state;
	bool     parked;		/* closed, others needed the descriptor: opened again when something concerns it */
	bool     follow;		/* its path may be a link, and lead over links */
	bool     remote;		/* on a network file system: sizes may be stale */
	bool     from_end;		/* was there at the very first start, and is to begin at its end then (read_from) */
	bool     started;		/* had a turn */
	bool     at_end;		/* the last turn saw the end */
	bool     done;			/* --once: read to its end, no more turns */
	bool     leading;		/* nothing but NULs so far */
	bool     retired;		/* no input matches it any more (a reload): not read on, closed when finished */
	bool     blocked;		/* a line that no request can hold; tried again at every reconcile */
	bool     long_lines;		/* has had one: said once */
	bool     flush;			/* the unfinished line is to be sent if the size is still `flush_size` */
	bool     encoded;		/* its byte order mark was looked for (tail_message.c, as what follows) */
	bool     grouped;		/* what is open at its end are whole lines: time ends them, successors wait for that */
	bool     end_group;		/* it does now, if that one still ends at end_at */
	bool     inside;		/* inside_at is in the rest of a line that was cut */
	struct list border;		/* waits at a border, of itself or of one before it */
	int64_t  border_at;		/* what is below is of another route, and finished first; 0: there is none */
	struct list group;		/* of those that are grouped */
	uint32_t round;			/* the last walk that saw it */
	size_t   input;
	struct route *route;		/* how lines become records */
	struct dest  *dest;		/* where they go */

	/* Identity. home: the last path that an input matched. path: where it is, as far as known. The two share their
	 * memory: file_set_path. */
	char    *path, *home, *origin;	/* origin: its first home, over all lives */
	uint64_t dev, inode;
	int64_t  id;
	uint32_t generation;
	uint32_t head_len;
	uint64_t head;

	/* Compressed: then offsets, sizes and bytes are those of its content. */
	bool     unpacks;		/* if it is, it is read so (its input's `compressed`) */
	bool     told;			/* its damage is in the list of losses */
	bool     twice;			/* it was damaged, and is looked at once more: it may have been being copied */
	struct unpack *unpack;		/* NULL: it is not */
	int64_t  packed_size;		/* as of the last look */
	int64_t  end;			/* where its content ends, or cannot be read for good; -1: not known yet */

	/* Position: `offset` is the next record's beginning, everything before is handed over. Bytes up to `scanned` are
	 * known to hold no LF. */
	int64_t  offset, scanned;
	uint64_t mark, scan_mark;	/* markers of both */
	int64_t  flush_size, inside_at;
	int64_t  end_at, end_ms;	/* grouped: where the oldest stream's last line ends, since when that is so (monotonic) */
	bool     has_hole;		/* nothing but NULs from `hole` to its end: not there yet (tail_hole.c) */
	int64_t  hole;
	struct tail_skip *skips;
	size_t   skip_count, skip_next;

	/* As of the last look. */
	int64_t  size, mtime_ns;
	int64_t  changed_ms, away_ms;	/* monotonic: size or mtime changed; became rotated or deleted */
	int64_t  doubt_ms;		/* monotonic: a network file system says that it shrank; 0: it does not */
	int64_t  cached;		/* pages of the backlog up to here were given back */
	int      error;			/* why failed: -errno */
	char    *note;			/* what people should know of it, or NULL */

	/* Copies (tail_twin.c). */
	struct list head_at;		/* among those with this fingerprint; of so many bytes */
	uint32_t head_at_len;
	struct list twin;		/* nothing of it is read until it is known whose copy it is */
	bool     own;			/* it is nobody's copy */
	int64_t  copy_of;		/* the id whose bytes it repeats and whose file is gone; 0: none */
	bool     suspect;		/* it seems truncated: one more look at names before that is believed */
	int64_t  was;			/* its size before it last changed; the largest, once it shrank */
	bool     shrunk;
	struct spool_marker trail[4];	/* where it was read to of late, newest first */
};

struct file *file_new(const char *path, const char *home);
/* Closes and frees; must be in no list. NULL is fine. */
void file_free(struct file *f);
/* Regular files only, links as `follow` says (opening.h). dev and inode say which file is expected. Sets size, remote.
 * 0, ERR_NOMEM or -errno (as opening_open; ESTALE: another file is there by now). */
int  file_open(struct file *f);
/* Closes it, and forgets what it had unpacked. */
void file_close(struct file *f);
/* As pread, of the content: fewer than n bytes only at its end, which damage is, too. -errno or ERR_NOMEM. */
ssize_t file_pread(const struct file *f, void *buf, size_t n, int64_t at);
/* The content's size. Of a compressed file whose end was not seen: what is known of it, and the rest as it is on the disk. */
int64_t file_size(const struct file *f, const struct stat *st);
/* It holds less than was read of it. */
bool file_shrank(const struct file *f);
/* A compressed file may hold anything now: it is read anew, its position stays. */
void file_unpack_anew(struct file *f);
/* Whether this path leads to it now. */
bool file_is_at(const struct file *f, const char *path);
/* It is not FILE_FAILED for good: it has a descriptor, or had one. */
static inline bool file_followed(const struct file *f) { return f->fd >= 0 || f->parked; }
/* Looks at size and time. Returns whether they changed. now_ms: monotonic. */
bool file_changed(struct file *f, const struct stat *st, int64_t now_ms);
/* Compares the first bytes with what they were and lets the fingerprint grow over what was handed over.
 * 0; 1: it grew; ERR_BAD_DATA: the bytes changed; -errno. */
int  file_check_head(struct file *f);
/* The same file, read from 0 as a new generation under a new id. */
void file_restart(struct file *f, int64_t id);
/* Everything that had complete lines up to `size` was handed over. */
bool file_passed(const struct file *f, int64_t size);
void file_row(const struct file *f, struct spool_file *ret);
/* `which` is one of f's three; `to` may be one, too. 0 or ERR_NOMEM. */
int  file_set_path(struct file *f, char **which, const char *to);

/* --- the window --- */

/* One for a thread. Memory that no long line needed is never touched. */
struct window {
	uint8_t *mem;
	size_t   cap, touched;
	int64_t  file_id;	/* whose bytes; 0: none */
	int64_t  from;		/* the offset of mem[0] */
	size_t   len;
	bool     eof;		/* they reach to the file's end */
};

int  window_open(struct window *w, size_t cap);		/* cap: without the lead. 0 or ERR_NOMEM */
void window_close(struct window *w);
/* Bytes from `at` on, up to `want`, in window_at(w, at), window_len(w, at) of them; before them lie those that make the
 * marker of `at`. One pread; none when the window still holds bytes of the same file from there on.
 * 0; ERR_BAD_DATA: the bytes before `at` are not those of `mark` (0: not compared) any more; -errno. */
int  window_read(struct window *w, const struct file *f, int64_t at, size_t want, uint64_t mark);
/* What was read is of no more use; gives back what a long line took. */
void window_drop(struct window *w);
/* The fingerprint of what was handed over, out of the very bytes that were: by now the file may be another. Whether it grew. */
bool window_head(const struct window *w, struct file *f);
static inline const uint8_t *window_at(const struct window *w, int64_t at) { return w->mem + (at - w->from); }
static inline size_t window_len(const struct window *w, int64_t at) { return (size_t)(w->from + (int64_t)w->len - at); }

#define WINDOW_BYTES 262144u

#endif

/* tail_fds.c - descriptors: how many files may be open, and which are closed for others.
 *
 * An open file cannot vanish: renamed or deleted, its last lines are still there. So a file stays open as long as there are
 * descriptors. When there are none left, the least recently used one is closed ("parked") and opened again at its offset when
 * an event, a walk, a rename or a rebuild concerns it. What is parked, in this order:
 *	1. a file at its end, everything of it finished: it loses only what is written after its last look and deleted before
 *	   the next
 *	2. a file that is being read: with more files than descriptors that is better than not opening another one
 *	3. a file that was renamed out of the globs and whose name is known
 * Never one that was deleted, or is not where it should be.
 *
 * A parked file is known by device, inode, fingerprint and marker. Renamed within its directory it is found there.
 * Threads: tail. Failure: what cannot be opened again is tried by every walk; what is gone is told, with what was not read.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/descriptors.h"
#include "agent/base/log.h"
#include "agent/tail/tail_inside.h"
#include "agent/tail/unpack.h"

#define OTHERS 64		/* descriptors that are left for sockets, the database, directories being read */
#define LEAST 8
#define SCAN_MAX 64

void fds_resize(struct tail *t)
{
	size_t most = descriptors_most(), others = OTHERS + t->conf.others_open;

	t->max_open = most == SIZE_MAX ? SIZE_MAX : most > others + LEAST ? most - others : LEAST;
}

void fds_init(struct tail *t)
{
	list_init(&t->used);
	fds_resize(t);
}

void fds_opened(struct tail *t, struct file *f)
{
	if (list_empty(&f->used))
		t->open_count++;
	list_remove(&f->used);
	list_push_back(&t->used, &f->used);
	f->parked = false;
}

void fds_close(struct tail *t, struct file *f)
{
	if (!list_empty(&f->used))
		t->open_count--;
	list_remove(&f->used);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	if (f->unpack)
		unpack_rest(f->unpack);
}

static void park(struct tail *t, struct file *f)
{
	if (!t->warned_fds) {
		t->warned_fds = true;
		log_warn("more files than descriptors (RLIMIT_NOFILE), the least recently used are closed and opened again when "
			 "something happens to them", KI("open", t->open_count));
	}
	files_put(t, f, 0);
	fds_close(t, f);
	f->parked = true;
	if (t->window.file_id == f->id)
		t->window.file_id = 0;
}

/* --- who goes --- */

static bool rests(const struct tail *t, const struct file *f)
{
	return f->state == FILE_ACTIVE && f->at_end && f->offset >= f->size && list_empty(&f->turn) && list_empty(&f->heirs) &&
	       (!f->offset || t->hooks->safe(t->hooks->arg, f->id) >= f->offset);
}

static bool is_active(const struct tail *t, const struct file *f)
{
	(void)t;
	return f->state == FILE_ACTIVE;
}

static bool is_rotated(const struct tail *t, const struct file *f)
{
	(void)t;
	return f->state == FILE_ROTATED;
}

static bool park_one(struct tail *t, bool (*may)(const struct tail *t, const struct file *f), unsigned scan)
{
	list_each(it, &t->used) {
		struct file *f = list_entry(it, struct file, used);

		if (!scan--)
			return false;
		/* Its name must lead to it, or nothing ever will. */
		if (!may(t, f) || files_by_path(t, f->path) != f ||
		    (f->remote && !gates_pass(t, f->path)) || !file_is_at(f, f->path))
			continue;
		park(t, f);
		return true;
	}
	return false;
}

static bool make_room(struct tail *t)
{
	return park_one(t, rests, SCAN_MAX) || park_one(t, is_active, UINT32_MAX) || park_one(t, is_rotated, UINT32_MAX);
}

int fds_open(struct tail *t, struct file *f)
{
	int rc;

	while (t->open_count >= t->max_open && make_room(t))
		;
	rc = file_open(f);
	if ((rc == -EMFILE || rc == -ENFILE) && make_room(t))
		rc = file_open(f);
	return rc;
}

/* --- coming back --- */

bool fds_wake(struct tail *t, struct file *f)
{
	int rc;

	if (f->remote && !gates_pass(t, f->path))
		return false;
	if (f->fd >= 0) {
		list_remove(&f->used);
		list_push_back(&t->used, &f->used);
		return true;
	}
	if (!f->parked)
		return false;
	rc = fds_open(t, f);
	if (rc == 0) {
		fds_opened(t, f);
		f->at_end = true;		/* what it was is compared before it is read on */
		if (f->state == FILE_FAILED)
			f->state = strcmp(f->path, f->home) ? FILE_ROTATED : FILE_ACTIVE;
		f->error = 0;
		return true;
	}
	if (rc == -ENOENT || rc == -ESTALE || rc == -ENOTDIR || rc == -ELOOP) {
		f->error = rc;			/* not a word: the next walk finds out what became of it */
		t->rewalk = true;
	}
	files_failed(t, f, rc, "cannot open file again, trying again");
	return false;
}

struct file *fds_by_id(struct tail *t, int64_t id)
{
	struct file *f = files_by_id(t, id);

	if (f && f->parked)
		fds_wake(t, f);
	return f;
}

/* --- not coming back --- */

static void tell_lost(struct tail *t, const struct file *f)
{
	log_error("file vanished while it was closed for want of descriptors, what was not read of it is lost",
		  KS("path", f->path), KI("file", f->id), KI("read", f->offset), KI("size", f->size));
	t->hooks->loss(t->hooks->arg, &(struct spool_loss){
		.ms = clock_wall_ms(), .reason = SPOOL_LOSS_GONE, .topic = f->dest ? lane_topic(f->dest->lane) : "",
		.partition = f->dest ? lane_partition(f->dest->lane) : -1, .file_id = f->id, .path = f->path,
		.from = f->offset, .to = f->size, .bytes = (uint64_t)(f->size - f->offset),
	});
}

void fds_gone(struct tail *t, struct file *f)
{
	copy_deleted(t, f);
	if (copy_awaited(t, f->id))
		log_info("file vanished while it was closed, a copy of it goes on", KS("path", f->path), KI("file", f->id));
	else if (f->offset < f->size)
		tell_lost(t, f);
	else
		log_info("file vanished while it was closed, it was finished", KS("path", f->path), KI("file", f->id),
			 KI("size", f->size));
	f->state = FILE_DONE;
	known_keep(t, f, true, clock_wall_ms());
	files_drop(t, f);
}

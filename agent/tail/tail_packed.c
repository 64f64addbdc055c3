/* tail_packed.c - compressed files: their turn, their end, their damage.
 *
 * Unpacking takes memory, and a backlog of thirty files is read fastest one after the other. So of the compressed files of one
 * destination only the oldest is read, until it is at its end, or cannot go on.
 *
 * States of one	followed -> at its end -> finished [nothing is left over]
 *	at its end, with an unfinished line, cut off or damaged -> unchanged for so long -> that is its end, and the damage is told
 *	finished -> followed [it changed: what it holds may be anything]
 * A damaged one is looked at twice before it is believed: it may have been being copied when it was read first.
 * Threads: tail.
 */
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/tail/tail_inside.h"
#include "agent/tail/unpack.h"

#define SLICE (1 << 20)		/* unpacked in a turn, on the way to a position: others wait meanwhile */

bool packed_unpacks(const struct tail *t, const char *path)
{
	size_t input = find_input(t, path);

	return input != SIZE_MAX && t->inputs[input].conf->compressed;
}

static bool finished(const struct file *f)
{
	return f->end >= 0 && f->offset >= f->end;
}

/* How far its content is known to go. */
static int64_t reached(const struct file *f)
{
	int64_t size = unpack_size(f->unpack);

	return size >= 0 ? size : unpack_reached(f->unpack);
}

void packed_tick(struct tail *t)
{
	if (!timer_armed(&t->away_timer))
		timer_set(&t->loop, &t->away_timer, t->loop.now_ms + t->pace.away, t->away_timer.fn);
}

/* --- its beginning --- */

static void warn_bytes(struct tail *t, const struct file *f)
{
	if (f->unpacks || f->offset || t->warned_packed || unpack_kind(f->fd) <= UNPACK_NONE)
		return;
	t->warned_packed = true;
	log_warn("file looks compressed and is read as it is: its input needs `compressed: true`, or an `exclude` for such files",
		 KS("path", f->path), KS("input", t->inputs[f->input].conf->name));
}

void packed_begin(struct file *f)
{
	if (f->from_end)
		f->end = f->size = 0;
}

void packed_resume(struct file *f, const struct spool_file *row)
{
	bool finished = row->safe >= row->size;		/* read it was, but what was on its way may not have arrived */

	if (!f->unpack || row->state != FILE_DONE)
		return;
	/* Where the file says nothing of its size, its end is looked for. What is wrong there, if anything, was said. */
	if (finished && (!f->offset || unpack_claims(f->unpack, f->offset)))
		f->end = f->size = f->offset;
	f->told = finished || !row->gone_ms;
}

/* Older files first. */
static void line_up(struct tail *t, struct file *f)
{
	struct list *at = t->packed.next;

	for (; at != &t->packed; at = at->next) {
		const struct file *g = list_entry(at, struct file, packed);

		if (f->mtime_ns < g->mtime_ns || (f->mtime_ns == g->mtime_ns && f->id < g->id))
			break;
	}
	list_push_back(at, &f->packed);		/* before it */
}

void packed_follow(struct tail *t, struct file *f)
{
	if (!f->unpack) {
		warn_bytes(t, f);
		return;
	}
	if (finished(f)) {
		f->size = f->end;
		f->at_end = true;
		unpack_rest(f->unpack);
		return;
	}
	if (list_empty(&f->packed))
		line_up(t, f);
	packed_tick(t);
}

/* --- its turn --- */

bool packed_near(struct file *f)
{
	return !f->unpack || unpack_seek(f->unpack, f->offset, SLICE);
}

static bool changed(const struct file *f)
{
	struct file copy = *f;
	struct stat st;

	return slow_fstat(f->fd, &st) == 0 && file_changed(&copy, &st, 0);
}

/* It is being read, or will be without anybody's help. */
static bool is_reading(const struct file *f)
{
	return file_followed(f) && f->state != FILE_FAILED && !f->at_end && !f->pred && !f->blocked && !f->done;
}

bool packed_waits(struct tail *t, struct file *f)
{
	if (!f->unpack || !file_followed(f) || (f->parked && f->end >= 0))
		return false;
	if (finished(f) && !changed(f))
		return true;
	if (finished(f)) {
		file_unpack_anew(f);
		f->told = f->twice = false;
		packed_follow(t, f);
	} else if (f->end >= 0) {
		f->end = -1;			/* its last lines are to be read again */
		packed_follow(t, f);
	}
	list_each(it, &t->packed) {
		const struct file *g = list_entry(it, struct file, packed);

		if (g == f)
			break;
		if (g->dest == f->dest && is_reading(g))
			return true;
	}
	return false;
}

static void next_turn(struct tail *t)
{
	list_each(it, &t->packed) {
		struct file *f = list_entry(it, struct file, packed);

		if (!f->at_end)
			files_ready(t, f);
	}
}

/* --- its end --- */

static void finish(struct tail *t, struct file *f)
{
	f->end = f->size = f->offset;
	list_remove(&f->packed);
	unpack_rest(f->unpack);
	log_info("compressed file is read", KS("path", f->path), KI("file", f->id), KI("content", f->end));
	files_put(t, f, 0);
	files_pass(t, f);
}

static void tell_damage(struct tail *t, struct file *f)
{
	const char *what = unpack_trouble(f->unpack) ? unpack_trouble(f->unpack) : "it ends in the middle";
	int64_t left = f->packed_size - unpack_packed(f->unpack);

	if (f->told)
		return;
	f->told = true;
	log_error("compressed file is damaged, what lies behind cannot be read", KS("path", f->path), KS("what", what),
		  KI("content_read", f->offset), KI("packed_bytes_left", left));
	mem_free(f->note);
	f->note = mem_printf("damaged (%s): its content was read up to offset %lld, %lld compressed bytes behind that cannot be "
			     "read", what, (long long)f->offset, (long long)left);
	t->hooks->loss(t->hooks->arg, &(struct spool_loss){
		.ms = clock_wall_ms(), .reason = SPOOL_LOSS_DAMAGED, .topic = f->dest ? lane_topic(f->dest->lane) : "",
		.partition = f->dest ? lane_partition(f->dest->lane) : -1, .file_id = f->id, .path = f->path,
		.from = f->offset, .to = f->offset, .bytes = left > 0 ? (uint64_t)left : 0,
	});
}

void packed_at_end(struct tail *t, struct file *f)
{
	bool whole = unpack_size(f->unpack) >= 0, rest = f->offset < reached(f);

	if (!rest && !whole && t->conf.once)
		tell_damage(t, f);
	if (!rest && (whole || t->conf.once))
		finish(t, f);
	else
		f->size = file_size(f, &(struct stat){ .st_size = f->packed_size });
	next_turn(t);
}

/* At its end for so long: it will not change any more. */
static void settle(struct tail *t, struct file *f)
{
	bool whole = unpack_size(f->unpack) >= 0;

	if (unpack_trouble(f->unpack) && !f->twice) {
		f->twice = true;
		file_unpack_anew(f);
		f->at_end = false;
		t->window.file_id = 0;
		files_ready(t, f);
	} else if (f->offset < reached(f)) {
		f->flush = true;
		f->flush_size = f->size;
		files_ready(t, f);
	} else {
		if (!whole)
			tell_damage(t, f);
		finish(t, f);
	}
}

void packed_look(struct tail *t)
{
	struct stat st;

	list_each_safe(it, &t->packed) {
		struct file *f = list_entry(it, struct file, packed);

		if (!file_followed(f) || !list_empty(&f->turn) || f->pred)
			continue;
		if (!f->at_end) {
			files_ready(t, f);
			continue;
		}
		if (!fds_wake(t, f) || slow_fstat(f->fd, &st) < 0)
			continue;
		if (file_changed(f, &st, t->loop.now_ms))
			files_ready(t, f);
		else if (t->loop.now_ms - f->changed_ms >= t->pace.flush)
			settle(t, f);
	}
}

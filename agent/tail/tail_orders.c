/* tail_orders.c - positions that people set, files that they have forgotten.
 *
 * Forward a file keeps its id: what is skipped is finished like any other bytes, so what is still on its way to Kafka is
 * not touched. Backward it gets a new one, as after a truncation, for finished bytes of the old one are to be read again; and
 * never to an offset above `safe`: after kill -9 nobody would read what is between `safe` and there.
 * Threads: any but the tail's; order_* are run by the tail's.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/slow.h"
#include "agent/tail/identity.h"
#include "agent/tail/line_file.h"
#include "agent/tail/tail_inside.h"

struct set_order { const char *path; int64_t offset; struct tail_moved *ret; int rc; };
struct forget_order { const char *path; struct tail_forgotten *ret; int rc; };

#define say(ret, ...) snprintf((ret)->words, sizeof (ret)->words, __VA_ARGS__)

/* The one that is at this path, or the last that was. */
static struct file *find(const struct tail *t, const char *path)
{
	struct file *f = files_by_path(t, path);

	if (f)
		return f;
	list_each(it, &t->files)
		if (!strcmp(list_entry(it, struct file, node)->path, path))
			f = list_entry(it, struct file, node);
	return f;
}

/* --- positions --- */

/* It is at `to` now, under whatever id. */
static void moved(struct tail *t, struct file *f, int64_t to)
{
	f->offset = to;
	f->scanned = 0;
	f->leading = to == 0;
	f->at_end = f->flush = f->blocked = f->done = false;
	if (identity_read_marker(f, to, &f->mark) < 0)
		f->mark = 0;
	t->window.file_id = 0;
}

static void go_forward(struct tail *t, struct file *f, struct tail_moved *ret)
{
	ret->skipped = skip_tell(t, f, f->offset, ret->to, SPOOL_LOSS_SKIPPED, true);
	moved(t, f, ret->to);
	files_put(t, f, 0);
}

static void go_back(struct tail *t, struct file *f, struct tail_moved *ret)
{
	size_t skips = f->skip_count - f->skip_next;

	ret->again = f->offset - ret->to;
	known_keep(t, f, false, clock_wall_ms());
	map_del(&t->by_id, &f->id, sizeof f->id);
	if (skips)
		memmove(f->skips, f->skips + f->skip_next, skips * sizeof *f->skips);
	file_restart(f, t->next_file_id++);
	f->skip_count = skips;
	map_put(&t->by_id, &f->id, sizeof f->id, f);
	moved(t, f, ret->to);
	files_put(t, f, 0);
	order_renewed(t, f);
	skip_finish(t, f);
}

static void say_moved(const struct set_order *o, const struct file *f)
{
	struct tail_moved *r = o->ret;
	const char *why = o->offset == r->to || o->offset == INT64_MAX ? "" : o->offset > f->size ? ", its end" :
			  o->offset < r->to ? ", the next beginning of a line" : ", so that nothing unfinished is lost";

	if (r->from == r->to)
		say(r, "%s is at offset %lld already", o->path, (long long)r->to);
	else if (r->to > r->from)
		say(r, "%s goes on at offset %lld%s; %lld bytes are skipped, `spillway losses` shows them", o->path,
		    (long long)r->to, why, (long long)r->skipped);
	else
		say(r, "%s goes on at offset %lld%s; %lld bytes are read again, what of them was sent comes twice", o->path,
		    (long long)r->to, why, (long long)r->again);
	log_warn("position was set by hand", KS("path", o->path), KI("from", r->from), KI("to", r->to),
		 KI("skipped_bytes", r->skipped), KI("again_bytes", r->again));
}

static int order_set(struct tail *t, const struct set_order *o)
{
	struct file *f = find(t, o->path);
	struct tail_moved *r = o->ret;
	struct stat st;
	int64_t safe;

	if (o->offset < 0)
		return say(r, "the offset must not be negative"), ERR_CONFIG;
	if (!f)
		return say(r, "%s: no such file is followed; `spillway positions ls` shows them", o->path), ERR_NOT_FOUND;
	if (!fds_wake(t, f) || slow_fstat(f->fd, &st) < 0)
		return say(r, "%s: the file cannot be opened, its position stays", o->path), ERR_UNAVAILABLE;
	file_changed(f, &st, t->loop.now_ms);
	r->from = f->offset;
	r->to = line_file_begin(f, route_encoding(f), o->offset < f->size ? o->offset : f->size);
	if (r->to < r->from && o->offset >= r->from)
		r->to = r->from;		/* within the line that it stands in */
	safe = t->hooks->safe(t->hooks->arg, f->id);
	if (r->to < r->from && safe >= 0 && r->to > safe)
		r->to = safe;
	if (r->to > r->from)
		go_forward(t, f, r);
	else if (r->to < r->from)
		go_back(t, f, r);
	r->file_id = f->id;
	say_moved(o, f);
	files_pass(t, f);
	files_ready(t, f);
	return 0;
}

static void call_set(struct tail *t, void *order)
{
	struct set_order *o = order;

	o->rc = order_set(t, o);
}

int tail_position_set(struct tail *t, const char *path, int64_t offset, struct tail_moved *ret)
{
	struct set_order o = { path, offset, ret, 0 };

	*ret = (struct tail_moved){ 0 };
	calls_do(t, call_set, &o);
	return o.rc;
}

/* --- forgetting --- */

static int64_t forget_file(struct tail *t, struct file *f)
{
	struct stat st;
	int64_t bytes = 0;

	if (fds_wake(t, f) && slow_fstat(f->fd, &st) == 0)
		bytes = skip_tell(t, f, f->offset, file_size(f, &st), SPOOL_LOSS_FORGOTTEN, false);
	t->hooks->file_forget(t->hooks->arg, f->id);
	files_drop(t, f);
	return bytes;
}

static int order_forget(struct tail *t, const struct forget_order *o)
{
	struct tail_forgotten *r = o->ret;
	struct file *f = files_by_path(t, o->path);

	if (f && find_input(t, o->path) != SIZE_MAX)
		return say(r, "%s is there and an input matches it: forgotten, it would be read from its beginning at once; "
			   "`spillway positions set` says where to go on", o->path), ERR_BUSY;
	list_each_safe(it, &t->files) {
		f = list_entry(it, struct file, node);
		if (strcmp(f->path, o->path))
			continue;
		r->bytes += forget_file(t, f);
		r->files++;
	}
	r->files += known_forget(t, o->path, &r->bytes);
	if (!r->files)
		return say(r, "%s: no such file is known; `spillway positions ls` shows them", o->path), ERR_NOT_FOUND;
	say(r, "%s is forgotten; %lld bytes were not read, `spillway losses` shows them", o->path, (long long)r->bytes);
	log_warn("file was forgotten by order", KS("path", o->path), KI("unread_bytes", r->bytes));
	return 0;
}

static void call_forget(struct tail *t, void *order)
{
	struct forget_order *o = order;

	o->rc = order_forget(t, o);
}

int tail_forget(struct tail *t, const char *path, struct tail_forgotten *ret)
{
	struct forget_order o = { path, ret, 0 };

	*ret = (struct tail_forgotten){ 0 };
	calls_do(t, call_forget, &o);
	return o.rc;
}

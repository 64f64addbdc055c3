/* tail_order.c - whose lines go before whose: files that had the same name one after the other.
 *
 * Invariants
 *  (1) a file is a successor of the one that had its home before: not read before that one was read up to what it held
 *      when the successor was first seen. It waits for one other; chains follow age, so there is no circle.
 *  (2) ids tell a later life who came first, so the older of two that were found at once has the smaller one.
 * Threads: tail.
 */
#include <string.h>
#include <sys/stat.h>

#include "agent/base/slow.h"
#include "agent/tail/tail_inside.h"

bool order_passed(const struct file *f, int64_t size)
{
	return f->state == FILE_FAILED || f->retired || (!f->pred && file_passed(f, size));
}

void order_none(struct file *f)
{
	f->pred = NULL;
	list_remove(&f->heir);
}

/* The last word counts: a file waits for one other. Never in a circle, whatever names say. */
void order_after(struct file *pred, struct file *f)
{
	bool looked, cut;
	struct stat st;

	for (const struct file *p = pred; p; p = p->pred)
		if (p == f)
			return;
	if (f->pred)
		order_none(f);
	looked = pred->fd >= 0 && slow_fstat(pred->fd, &st) == 0;
	f->pred_size = pred->unpack ? INT64_MAX : looked ? st.st_size : pred->size;	/* INT64_MAX: until its end is seen */
	f->pred_id = pred->id;
	cut = looked && !pred->unpack && st.st_size < pred->offset;	/* truncated since it was read: all of it is new */
	if (!cut && order_passed(pred, f->pred_size))
		return;
	f->pred = pred;
	list_push_back(&pred->heirs, &f->heir);
}

/* Ids tell a later life who came first. Nothing was read of either, so no range names them yet. */
void order_exchange(struct tail *t, struct file *f, struct file *last)
{
	int64_t id = f->id;

	list_each(it, &t->files) {
		struct file *heir = list_entry(it, struct file, node);

		if (heir->pred_id == last->id)
			heir->pred_id = id;
	}
	f->id = last->id;
	last->id = id;
	map_put(&t->by_id, &f->id, sizeof f->id, f);
	map_put(&t->by_id, &last->id, sizeof last->id, last);
	files_put(t, f, 0);
	files_put(t, last, 0);
}

void order_renewed(struct tail *t, struct file *f)
{
	list_each(it, &f->heirs) {
		struct file *heir = list_entry(it, struct file, heir);

		if (heir->started || heir->id < t->conf.next_file_id || heir->id > f->id)
			continue;
		order_exchange(t, f, heir);
		order_renewed(t, heir);
	}
}

/* f goes before `last`, which was seen first: between it and the one before. */
static void order_before(struct tail *t, struct file *f, struct file *last)
{
	if (last->started)
		return;
	if (f->id > last->id && last->id >= t->conf.next_file_id)	/* both of this life */
		order_exchange(t, f, last);
	if (last->pred) {
		order_after(last->pred, f);
		order_none(last);
	}
	order_after(f, last);
	list_remove(&last->turn);
	files_ready(t, last);
}

/* A file of an earlier life under another name than its first: its age says where it belongs among those that began
 * under that name, for it may have been their predecessor or successor then. */
static void succeed_by_age(struct tail *t, struct file *f)
{
	struct file *last = map_get(&t->by_home, f->origin, strlen(f->origin));

	if (last)
		fds_wake(t, last);		/* how much it holds decides */
	if (!last || last->id < f->id) {
		if (last)
			order_after(last, f);
		map_put(&t->by_home, f->origin, strlen(f->origin), f);
		return;
	}
	while (last->pred && last->pred->id > f->id)
		last = last->pred;
	order_before(t, f, last);
}

/* Finds f its place among the files that had its home. */
static void succeed(struct tail *t, struct file *f)
{
	struct file *last = map_get(&t->by_home, f->home, strlen(f->home));

	if (last)
		fds_wake(t, last);		/* how much it holds decides */
	if (last && strcmp(f->path, f->home) && !strcmp(last->path, f->home)) {
		order_before(t, f, last);
		return;
	}
	if (last)
		order_after(last, f);
	map_put(&t->by_home, f->home, strlen(f->home), f);
}

void order_place(struct tail *t, struct file *f)
{
	succeed(t, f);
	if (strcmp(f->origin, f->home))
		succeed_by_age(t, f);
}

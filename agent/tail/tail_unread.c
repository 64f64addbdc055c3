/* tail_unread.c - lines that memory could not hold any longer go back to where they came from (when_full: wait).
 *
 * Their lane takes nothing until this is done, so no newer line of it is on its way. Exactly the ranges of the batches are
 * read again: what lies between them went to other lanes or to Kafka, and is skipped. A file that was read behind another one
 * waits for it once more; a file that no input matches any more is not read on, and holds nobody up. What a truncated file no
 * longer holds is entered in the losses.
 * Threads: tail_unread any; the rest the tail's, or the caller's when that has ended. Then files do not matter any more.
 */
#include <stdatomic.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/tail/identity.h"
#include "agent/tail/tail_inside.h"

struct unread {
	struct list node;
	struct lane *lane;
	struct list batches;
	bool last;
};

static void lost(struct tail *t, const struct batch *b, const struct source_range *r)
{
	const struct route *route = map_get(&t->routes_by_id, &r->route, sizeof r->route);

	log_error("lines that waited for memory are no longer in their file", KI("file", r->file_id), KI("from", r->from),
		  KI("to", r->to));
	t->hooks->loss(t->hooks->arg, &(struct spool_loss){
		.ms = clock_wall_ms(), .reason = SPOOL_LOSS_GONE, .topic = route ? route->row.topic : "",
		.partition = b->partition, .file_id = r->file_id, .path = "", .from = r->from, .to = r->to, .records = r->count,
		.bytes = (uint64_t)(r->to - r->from),
	});
}

/* Those that were read behind it and are to be again. */
static void heirs_wait(struct tail *t, struct file *f)
{
	list_each(it, &t->files) {
		struct file *heir = list_entry(it, struct file, node);

		if (heir->pred || heir->pred_id != f->id || file_passed(f, heir->pred_size))
			continue;
		heir->pred = f;
		list_push_back(&f->heirs, &heir->heir);
		list_remove(&heir->turn);
	}
}

static void go_back(struct tail *t, struct file *f, int64_t to)
{
	size_t skips = f->skip_count - f->skip_next;

	if (skips && f->skip_next)
		memmove(f->skips, f->skips + f->skip_next, skips * sizeof *f->skips);
	f->skip_next = 0;
	f->skip_count = skips;
	ASSERT(skip_add(&f->skips, &f->skip_count, to, f->offset) == 0);
	f->offset = to;
	f->scanned = 0;
	f->at_end = f->flush = f->blocked = f->done = false;
	if ((f->remote && !gates_pass_soon(t, f->path)) || identity_read_marker(f, to, &f->mark) < 0)
		f->mark = 0;
	t->window.file_id = 0;
	atomic_store(&t->all_read, false);
	if (f->border_at > to)
		f->border_at = to;		/* from here on by the route that it has now */
	if (!f->retired)
		heirs_wait(t, f);
}

static void unread_range(struct tail *t, const struct batch *b, const struct source_range *r)
{
	struct file *f = fds_by_id(t, r->file_id);

	if (!f || !file_followed(f)) {
		lost(t, b, r);
		return;
	}
	if (r->from < f->offset)
		go_back(t, f, r->from);
	ASSERT(skip_cut(&f->skips, &f->skip_count, r->from, r->to) == 0);
	f->scanned = 0;			/* it may lie above what is open */
	files_ready(t, f);
}

static void unread(struct tail *t, struct unread *u, bool follow)
{
	list_each(it, &u->batches) {
		const struct batch *b = list_entry(it, struct batch, node);

		for (uint32_t i = 0; i < b->range_count && follow; i++)
			unread_range(t, b, &b->ranges[i]);
	}
	t->hooks->unread(t->hooks->arg, u->lane, &u->batches, u->last);
}

void unread_answer(struct tail *t)
{
	struct list taken;

	queue_take_all(&t->unreads, &taken);
	while (!list_empty(&taken)) {
		struct unread *u = list_first(&taken, struct unread, node);

		list_remove(&u->node);
		unread(t, u, true);
		mem_free(u);
	}
}

void tail_unread(struct tail *t, struct lane *l, struct list *batches, bool last)
{
	struct unread *u = mem_new(struct unread);
	bool running;

	ASSERT(u);
	u->lane = l;
	u->last = last;
	list_init(&u->batches);
	list_splice_back(&u->batches, batches);
	pthread_mutex_lock(&t->mu);
	running = t->running;
	if (running)
		queue_push(&t->unreads, &u->node);
	pthread_mutex_unlock(&t->mu);
	if (running)
		return;
	unread(t, u, false);
	mem_free(u);
}

bool tail_all_read(const struct tail *t)
{
	return atomic_load(&t->all_read);
}

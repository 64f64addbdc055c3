/* tail_copy.c - copies that take the place of their original: copytruncate, cp and rm, mv to another file system.
 *
 * A file was truncated, and a new one that waits (tail_twin.c) holds what was read of it: then the new one is what the
 * truncated one was. Both exchange what they are: the id, the position and everything that refers to it go to the copy,
 * which is read on and gives back what was written between copying and truncating; batches whose bytes are in memory alone
 * are built again from it. The truncated file becomes what the copy was when it was found, a new file, behind it in order.
 *
 * A copy that ends before the position has nothing new. It stays a file of its own whose bytes count as finished, but only
 * when they are: until then its original's row waits for it, so that a crash finds in it what was in memory. The same goes
 * for a copy whose original was deleted, which is read to its end from where it was.
 *
 * Over restarts the row of the original says the same: what was finished, what is promised. Only a row whose file is
 * evidently no longer there is looked for in new files, once, before anything is read.
 * Threads: tail. Failure: no copy is found: the truncated file is read anew, and what was seen of it and not read is a loss.
 */
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/slow.h"
#include "agent/tail/tail_inside.h"

#define ENOUGH_BYTES 64		/* fewer may be the same by chance, unless the names say so too */

/* Whether it may still turn out to be a copy: it was found, and nothing of it was read. */
static bool undecided(struct tail *t, struct file *f)
{
	struct stat st;

	if (f->own || f->offset || f->copy_of || (f->parked && !f->size) || !fds_wake(t, f) || f->unpack ||
	    slow_fstat(f->fd, &st) < 0)
		return false;
	file_changed(f, &st, t->loop.now_ms);
	return f->size > 0;
}

/* One name is the beginning of the other, in the same directory. */
static bool names_touch(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), less = n < m ? n : m;
	const char *rest = n < m ? b + less : a + less;

	return !strncmp(a, b, less) && !strchr(rest, '/') && (!*rest || strchr("._-", *rest));
}

static void tell_lost(struct tail *t, int64_t id, const char *path, const struct dest *d, int64_t from, int64_t to)
{
	if (from >= to)
		return;
	log_warn("file was truncated before all of it was read, and no copy was found", KS("path", path), KI("from", from),
		 KI("to", to));
	t->hooks->loss(t->hooks->arg, &(struct spool_loss){
		.ms = clock_wall_ms(), .reason = SPOOL_LOSS_TRUNCATED, .topic = d ? lane_topic(d->lane) : "",
		.partition = d ? lane_partition(d->lane) : -1, .file_id = id, .path = path, .from = from, .to = to,
		.bytes = (uint64_t)(to - from),
	});
}

/* What lies between the skips. Nobody can count its lines any more. */
static void tell_gap(struct tail *t, int64_t id, const char *path, const struct dest *d, const struct tail_skip *skips,
		     size_t n, int64_t from, int64_t to)
{
	for (size_t i = 0; i < n && from < to; i++) {
		tell_lost(t, id, path, d, from, skips[i].from < to ? skips[i].from : to);
		from = skips[i].to > from ? skips[i].to : from;
	}
	tell_lost(t, id, path, d, from, to);
}

void copy_tell_gap(struct tail *t, const struct file *f)
{
	tell_gap(t, f->id, f->path, f->dest, f->skips + f->skip_next, f->skip_count - f->skip_next, f->offset, f->was);
}

/* --- exchanging --- */

#define SWAP(a, b, field) do { __typeof__((a)->field) was_ = (a)->field; (a)->field = (b)->field; (b)->field = was_; } while (0)

/* What is of the file, and not of what was read of it. */
static void swap_bodies(struct file *a, struct file *b)
{
	SWAP(a, b, fd);
	SWAP(a, b, parked);
	SWAP(a, b, state);
	SWAP(a, b, round);
	SWAP(a, b, path);
	SWAP(a, b, home);
	SWAP(a, b, dev);
	SWAP(a, b, inode);
	SWAP(a, b, size);
	SWAP(a, b, mtime_ns);
	SWAP(a, b, changed_ms);
	SWAP(a, b, away_ms);
	SWAP(a, b, error);
	SWAP(a, b, was);
	SWAP(a, b, shrunk);
	SWAP(a, b, follow);
	SWAP(a, b, remote);
	SWAP(a, b, doubt_ms);
}

/* Their places in a list of such bodies. */
static void swap_listed(struct list *all, struct list *a, struct list *b)
{
	bool of_a = !list_empty(a), of_b = !list_empty(b);

	list_remove(a);
	list_remove(b);
	if (of_a)
		list_push_back(all, b);
	if (of_b)
		list_push_back(all, a);
}

static void adopt_heirs(struct file *f, struct list *heirs)
{
	list_each_safe(it, heirs) {
		struct file *heir = list_entry(it, struct file, heir);

		list_remove(&heir->heir);
		heir->pred = NULL;
		if (heir == f)
			continue;
		heir->pred = f;
		heir->pred_id = f->id;
		heir->pred_size = f->size;
		list_push_back(&f->heirs, &heir->heir);
	}
}

/* What came after a file comes after what is in it now. */
static void swap_heirs(struct file *a, struct file *b)
{
	struct list of_a, of_b;

	list_init(&of_a);
	list_init(&of_b);
	list_splice_back(&of_a, &a->heirs);
	list_splice_back(&of_b, &b->heirs);
	adopt_heirs(a, &of_b);
	adopt_heirs(b, &of_a);
}

/* Lines of the next generation go where those of this one went. */
static void take_route(struct file *f, const struct file *from)
{
	f->route = from->route;
	f->dest = from->dest;
	f->input = from->input;
	f->generation = from->generation + 1;
	(void)file_set_path(f, &f->origin, from->origin);	/* no memory: the path that it has now */
}

/* f goes on in the copy's file, `copy` begins with f's. */
static void exchange(struct tail *t, struct file *f, struct file *copy)
{
	bool home = map_get(&t->by_home, f->home, strlen(f->home)) == f;

	list_remove(&f->turn);
	list_remove(&copy->turn);
	list_remove(&copy->twin);
	if (copy->pred)
		order_none(copy);
	swap_bodies(f, copy);
	swap_listed(&t->away, &f->away, &copy->away);
	swap_listed(&t->used, &f->used, &copy->used);
	swap_heirs(f, copy);
	take_route(copy, f);
	files_table(t, f);
	files_table(t, copy);
	if (home)
		map_put(&t->by_home, copy->home, strlen(copy->home), copy);
	if (map_get(&t->by_home, f->home, strlen(f->home)) == copy)
		map_put(&t->by_home, f->home, strlen(f->home), f);
	f->scanned = f->cached = copy->cached = 0;
	f->at_end = f->flush = f->suspect = f->done = f->grouped = f->end_group = false;
	list_remove(&f->group);
	list_remove(&copy->group);
	copy->encoded = copy->grouped = copy->end_group = copy->inside = false;
	copy->inside_at = 0;
	copy->leading = copy->own = true;
	copy->was = 0;
	copy->shrunk = copy->started = false;
	t->window.file_id = 0;
	/* First: a crash in between finds the copy as an unknown file, and the row of its original. */
	files_put(t, copy, 0);
	files_put(t, f, 0);
}

static void go_on_in_copy(struct tail *t, struct file *f, struct file *copy)
{
	int64_t seen = f->was, id = f->id;

	log_info("file was truncated, its copy goes on where it was", KS("path", f->path), KS("copy", copy->path),
		 KI("read", f->offset), KI("size", copy->size));
	exchange(t, f, copy);
	tell_gap(t, id, copy->path, f->dest, f->skips + f->skip_next, f->skip_count - f->skip_next,
		 f->size > f->offset ? f->size : f->offset, seen);
	order_after(f, copy);
	files_ready(t, f);
	files_ready(t, copy);
	files_pass(t, f);
}

/* --- while it runs --- */

static void becomes_copy_of(struct tail *t, struct file *copy, int64_t id)
{
	copy->copy_of = id;
	list_remove(&copy->twin);
	list_push_back(&t->twins, &copy->twin);
	files_ready(t, copy);
}

bool copy_truncated(struct tail *t, struct file *f)
{
	struct file *shorter = NULL;
	struct twin of;

	if (f->unpack)
		return false;
	list_each(it, &t->files) {
		struct file *n = list_entry(it, struct file, node);

		if (n == f || !undecided(t, n) || !twin_repeats(n, f, &of))
			continue;
		if (of.whole) {
			go_on_in_copy(t, f, n);
			return true;
		}
		shorter = n;
	}
	if (shorter)
		becomes_copy_of(t, shorter, f->id);
	twin_again(t);
	return false;
}

/* Nothing can tell what it was. A new file whose name begins with its name goes before it. */
bool copy_unread(struct tail *t, struct file *f)
{
	if (twin_suspect(t, f))
		return true;
	f->suspect = f->shrunk = false;
	f->scanned = t->window.file_id = 0;
	list_each(it, &t->files) {
		struct file *n = list_entry(it, struct file, node);

		if (n != f && undecided(t, n) && names_touch(f->path, n->path))
			order_after(n, f);
	}
	if (!f->pred)
		copy_tell_gap(t, f);
	return f->pred != NULL;
}

void copy_deleted(struct tail *t, const struct file *f)
{
	struct twin of;

	list_each(it, &t->files) {
		struct file *n = list_entry(it, struct file, node);

		if (n != f && undecided(t, n) && twin_repeats(n, f, &of))
			becomes_copy_of(t, n, f->id);
	}
}

bool copy_awaited(const struct tail *t, int64_t id)
{
	list_each(it, &t->twins)
		if (list_entry(it, struct file, twin)->copy_of == id)
			return true;
	return false;
}

/* Bytes of f that are finished under another id. */
static void finish_skips(struct tail *t, struct file *f, int64_t end)
{
	ASSERT(skip_add(&f->skips, &f->skip_count, 0, end) == 0);
	files_put(t, f, 0);
	skip_finish(t, f);
}

bool copy_resolve(struct tail *t, struct file *f)
{
	struct known *k = known_by_id(t, f->copy_of);
	int64_t end;

	if (files_by_id(t, f->copy_of))
		return false;			/* it is deleted, and read to its end */
	end = k && k->row.size < f->size ? k->row.size : f->size;
	if (k && t->hooks->safe(t->hooks->arg, k->row.id) < end)
		return false;
	f->copy_of = 0;
	if (!k)
		return true;			/* somebody forgot it: it is as if it had not been */
	finish_skips(t, f, end);
	known_gone(t, k);
	return true;
}

/* --- at the start --- */

/* As k's file would have been routed. */
static void route_as(struct tail *t, struct file *f, const struct known *k)
{
	struct route *route = f->route;
	struct dest *dest = f->dest;
	char *home = f->home;
	size_t input = f->input, of = find_input(t, k->row.path);

	(void)file_set_path(f, &f->origin, known_origin(k));	/* no memory: the path that it has now */
	f->home = (char *)k->row.path;
	f->input = of != SIZE_MAX ? of : input;
	if (route_file(t, f) < 0) {
		f->route = route;
		f->dest = dest;
		f->input = input;
	}
	f->home = home;
}

static void take_row(struct tail *t, struct file *f, struct known *k)
{
	struct file *anew = files_by_inode(t, k->row.dev, k->row.inode);

	log_info("a copy goes on where a file of an earlier run was", KS("path", k->row.path), KS("copy", f->path),
		 KI("finished", k->row.safe), KI("size", f->size));
	map_del(&t->by_id, &f->id, sizeof f->id);
	t->hooks->file_forget(t->hooks->arg, f->id);
	route_as(t, f, k);
	known_take(t, f, k);
	map_put(&t->by_id, &f->id, sizeof f->id, f);
	f->own = true;
	files_put(t, f, 0);
	if (anew && anew != f && !anew->started) {
		order_after(f, anew);
		list_remove(&anew->turn);
		files_ready(t, anew);
	}
}

/* It ends before what was finished or promised: it is a file of its own, in which that is not read. */
static void stand_beside(struct tail *t, struct file *f, struct known *k)
{
	int rc = 0;

	log_info("a file repeats one of an earlier run as far as it goes", KS("path", k->row.path), KS("copy", f->path),
		 KI("finished", k->row.safe), KI("size", f->size));
	for (size_t i = 0; i < k->skip_count && rc == 0; i++)
		rc = skip_add(&f->skips, &f->skip_count, k->skips[i].from, k->skips[i].to < f->size ? k->skips[i].to : f->size);
	ASSERT(rc == 0);
	f->own = true;
	finish_skips(t, f, k->row.safe < f->size ? k->row.safe : f->size);
	k->lost = false;
	known_move(t, k, f);			/* batches of it may be built again from here */
	known_gone(t, k);
}

static bool try_copy(struct tail *t, struct file *f, struct known *k)
{
	int64_t end = k->skip_count ? k->skips[k->skip_count - 1].to : 0;
	struct twin of;

	if (f->inode == k->row.inode || !undecided(t, f) || !twin_repeats_row(f, k, &of))
		return false;
	if (of.same < ENOUGH_BYTES && !names_touch(k->row.path, f->path))
		return false;
	if (of.whole && f->size >= end)
		take_row(t, f, k);
	else
		stand_beside(t, f, k);
	return true;
}

bool copy_resume(struct tail *t, struct known *k)
{
	if (k->row.state == FILE_DONE)
		return false;
	list_each(it, &t->files)
		if (try_copy(t, list_entry(it, struct file, node), k))
			return true;
	return false;
}

/* After a power loss a file may be shorter than the bytes that are known of it: what is left may be what was sent. */
static void tell_again(struct tail *t, const struct known *k)
{
	const struct file *f = k->other_boot ? files_by_path(t, k->row.path) : NULL;

	if (f && f->fd >= 0 && f->inode == k->row.inode && k->row.safe && f->size < k->row.fingerprint_len)
		skip_tell(t, f, 0, f->size < k->row.safe ? f->size : k->row.safe, SPOOL_LOSS_UNCERTAIN, false);
}

static bool resume_lost(struct tail *t)
{
	bool left = false;

	list_each_safe(it, &t->known) {
		struct known *k = list_entry(it, struct known, node);

		left |= k->lost && !copy_resume(t, k);
	}
	return left;
}

void copy_settle(struct tail *t)
{
	if (!resume_lost(t))
		return;
	find_walk(t);			/* copied while names were looked at: the copy was made before the truncation was seen */
	if (!resume_lost(t))
		return;
	list_each_safe(it, &t->known) {
		struct known *k = list_entry(it, struct known, node);

		if (!k->lost)
			continue;
		k->lost = false;
		tell_again(t, k);
		tell_gap(t, k->row.id, k->row.path, NULL, k->skips, k->skip_count, k->row.safe, k->row.size);
		known_gone(t, k);
	}
}

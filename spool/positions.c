/* positions.c - see positions.h.
 *
 * Why: the position is the only offset that a restart trusts. If it is too high, lines are lost; if it is too low, they
 * are sent twice.
 *
 * Invariants
 *  (1) every byte below `safe` is finished; the byte at `safe` is not.
 *  (2) `done` holds exactly the finished bytes above safe; so its first item begins above safe.
 *  (3) `marker` is the one given with the range that ends at safe.
 *  (4) rolling back never fails: what it needs was set aside at the first touch.
 */
#include "spool/positions.h"

#include "agent/base/err.h"
#include "agent/base/mem.h"

void positions_init(struct positions *p)
{
	map_init(&p->by_id);
	list_init(&p->touched);
}

static void before_free(struct position *f)
{
	if (f->before)
		range_set_release(&f->before->done);
	mem_free(f->before);
	f->before = NULL;
}

static void position_free(struct position *f)
{
	before_free(f);
	range_set_release(&f->done);
	mem_free(f->markers);
	mem_free(f);
}

void positions_release(struct positions *p)
{
	struct position *f;
	size_t it = 0;

	while ((f = map_next(&p->by_id, &it)))
		position_free(f);
	map_release(&p->by_id);
	list_init(&p->touched);
}

struct position *positions_get(const struct positions *p, int64_t file_id)
{
	struct position *f = map_get(&p->by_id, &file_id, sizeof file_id);

	return f && !f->gone ? f : NULL;
}

static struct position *position_new(struct positions *p, int64_t file_id, int64_t safe, uint64_t marker)
{
	struct position *f = mem_new(struct position);

	if (!f)
		return NULL;
	f->id = file_id;
	f->safe = safe;
	f->marker = marker;
	list_init(&f->txn);
	if (map_put(&p->by_id, &file_id, sizeof file_id, f) < 0) {
		mem_free(f);
		return NULL;
	}
	return f;
}

static void drop(struct positions *p, struct position *f)
{
	(void)map_del(&p->by_id, &f->id, sizeof f->id);
	list_remove(&f->txn);
	position_free(f);
}

const struct markers *positions_markers(const struct position *f)
{
	static const struct markers none;

	return f->markers ? f->markers : &none;
}

static int put_markers(struct position *f, const struct markers *m)
{
	f->markers = mem_new(struct markers);
	if (!f->markers)
		return ERR_NOMEM;
	*f->markers = *m;
	return 0;
}

int positions_load(struct positions *p, int64_t file_id, int64_t safe, uint64_t marker, struct range_set *done,
		   const struct markers *markers)
{
	struct position *f = position_new(p, file_id, safe, marker);

	if (!f)
		return ERR_NOMEM;
	if (markers->count && put_markers(f, markers) < 0) {
		drop(p, f);
		return ERR_NOMEM;
	}
	f->done = *done;
	*done = (struct range_set){ 0 };
	return 0;
}

/* Sets aside what a rollback needs. */
static int touch(struct positions *p, struct position *f)
{
	if (!list_empty(&f->txn))
		return 0;
	f->before = mem_new(struct position_before);
	if (!f->before || range_set_copy(&f->before->done, &f->done) < 0) {
		before_free(f);
		return ERR_NOMEM;
	}
	f->before->safe = f->safe;
	f->before->marker = f->marker;
	f->before->markers = *positions_markers(f);
	list_push_back(&p->touched, &f->txn);
	return 0;
}

int positions_add(struct positions *p, int64_t file_id, int64_t safe, uint64_t marker)
{
	struct position *f;

	ASSERT(!map_get(&p->by_id, &file_id, sizeof file_id));
	f = position_new(p, file_id, safe, marker);
	if (!f)
		return ERR_NOMEM;
	list_push_back(&p->touched, &f->txn);
	return 0;
}

int positions_forget(struct positions *p, int64_t file_id)
{
	struct position *f = positions_get(p, file_id);

	if (!f)
		return 0;
	if (touch(p, f) < 0)
		return ERR_NOMEM;
	f->gone = true;
	return 0;
}

/* The position moves on to `safe`. */
static int remember(struct position *f, int64_t safe)
{
	const struct markers none = { 0 };

	if (!f->markers && f->marker && f->safe > 0 && put_markers(f, &none) < 0)
		return ERR_NOMEM;
	if (f->markers)
		markers_push(f->markers, f->safe, f->marker, safe);
	return 0;
}

int positions_finish(struct positions *p, int64_t file_id, int64_t from, int64_t to, uint64_t marker)
{
	struct position *f = positions_get(p, file_id);

	if (!f || to <= f->safe || from >= to)
		return 0;
	if (touch(p, f) < 0)
		return ERR_NOMEM;
	if (from > f->safe)
		return range_set_add(&f->done, from, to, marker);
	if (remember(f, to) < 0)
		return ERR_NOMEM;
	f->safe = to;
	f->marker = marker;
	range_set_advance(&f->done, &f->safe, &f->marker);
	return 0;
}

int positions_set(struct positions *p, int64_t file_id, int64_t safe, uint64_t marker)
{
	struct position *f = positions_get(p, file_id);

	if (!f)
		return 0;
	if (touch(p, f) < 0)
		return ERR_NOMEM;
	if (safe > f->safe && remember(f, safe) < 0)
		return ERR_NOMEM;
	if (f->markers)
		markers_cut(f->markers, safe);
	f->safe = safe;
	f->marker = marker;
	f->done.count = 0;
	return 0;
}

static bool same_set(const struct range_set *a, const struct range_set *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->items[i].from != b->items[i].from || a->items[i].to != b->items[i].to)
			return false;
	return true;
}

bool positions_changed(const struct position *f)
{
	const struct position_before *b = f->before;

	if (f->gone)
		return false;
	return !b || f->safe != b->safe || f->marker != b->marker || !same_set(&f->done, &b->done) ||
	       !markers_same(positions_markers(f), &b->markers);
}

void positions_committed(struct positions *p)
{
	list_each_safe(it, &p->touched) {
		struct position *f = list_entry(it, struct position, txn);

		if (f->gone) {
			drop(p, f);
			continue;
		}
		before_free(f);
		list_remove(&f->txn);
	}
}

/* Markers that began in this transaction keep their memory, for this cannot fail: it is what the next move needs. */
static void undo(struct position *f)
{
	struct position_before *b = f->before;

	range_set_release(&f->done);
	f->done = b->done;
	b->done = (struct range_set){ 0 };
	f->safe = b->safe;
	f->marker = b->marker;
	if (f->markers)
		*f->markers = b->markers;
	f->gone = false;
	list_remove(&f->txn);
	before_free(f);
}

void positions_rolled_back(struct positions *p)
{
	list_each_safe(it, &p->touched) {
		struct position *f = list_entry(it, struct position, txn);

		if (f->before)
			undo(f);
		else
			drop(p, f);
	}
}

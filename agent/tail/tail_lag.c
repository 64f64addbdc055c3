/* tail_lag.c - since when files are behind.
 *
 * Why a table beside the files: of ten thousand files a few are behind, and those that rest are to cost nothing. A file is in it
 * from the first look that finds bytes which are not finished, until a look finds none left.
 *
 * The first mark of a file takes its modification time: of a backlog that nobody read, and after a restart, this is the best that
 * is known (the last byte is as old, so the oldest one is no younger). Later marks are of the moment at which growth was seen.
 * A last line without its end is not read yet, by nobody's fault: when it is all that is left, nothing is behind.
 * Threads: tail. Failure: no memory for a mark: that file's lag in seconds is not known, and shows as 0.
 */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/tail/tail_inside.h"

#define PRUNE_MS 5000

static int64_t written_ms(const struct tail *t, const struct file *f)
{
	int64_t age = clock_wall_ms() - f->mtime_ns / 1000000;

	return t->loop.now_ms - (age > 0 ? age : 0);
}

/* A file that the state database does not know has nothing finished. */
static int64_t safe_of(const struct tail *t, int64_t id)
{
	int64_t safe = t->hooks->safe(t->hooks->arg, id);

	return safe > 0 ? safe : 0;
}

static bool waits_for_its_end(const struct file *f, int64_t safe)
{
	return f->scanned >= f->size && !f->grouped && safe >= f->offset;
}

static struct lag *begin(struct tail *t, const struct file *f)
{
	int64_t safe = safe_of(t, f->id);
	struct lag *l;

	if (f->size <= safe || waits_for_its_end(f, safe))
		return NULL;
	l = mem_new(struct lag);
	if (!l || map_put(&t->lags, &f->id, sizeof f->id, l) < 0) {
		mem_free(l);
		return NULL;
	}
	if (!timer_armed(&t->lag_timer))
		timer_set(&t->loop, &t->lag_timer, t->loop.now_ms + PRUNE_MS, lag_prune);
	return l;
}

void lag_look(struct tail *t, const struct file *f)
{
	struct lag *l = map_get(&t->lags, &f->id, sizeof f->id);

	/* Before two marks are joined: of a busy file, most are finished since the timer looked. */
	if (l && l->count == LAG_MARKS)
		lag_finished(l, safe_of(t, f->id));
	if (l && l->count)
		lag_seen(l, f->size, t->loop.now_ms);
	else if (l || (l = begin(t, f)))
		lag_seen(l, f->size, written_ms(t, f));
}

int64_t lag_of(struct tail *t, const struct file *f, int64_t safe)
{
	const struct lag *l = map_get(&t->lags, &f->id, sizeof f->id);

	return l && f->size > safe && !waits_for_its_end(f, safe) ? lag_age(l, safe, clock_mono_ms()) : 0;
}

static bool is_behind(struct tail *t, struct lag *l, int64_t id)
{
	const struct file *f = map_get(&t->by_id, &id, sizeof id);
	int64_t safe = safe_of(t, id);

	return f && !waits_for_its_end(f, safe) && lag_finished(l, safe);
}

/* What is finished, and files that nobody follows any more. */
void lag_prune(struct loop_timer *timer)
{
	struct tail *t = container_of(timer, struct tail, lag_timer);
	struct lag *l;
	size_t it = 0;

	while ((l = map_next(&t->lags, &it))) {
		const struct map_slot *s = &t->lags.slots[it - 1];
		int64_t id;

		memcpy(&id, map_key(s), sizeof id);
		if (is_behind(t, l, id))
			continue;
		map_del(&t->lags, &id, sizeof id);
		mem_free(l);
	}
	if (map_count(&t->lags)) {
		timer_set(&t->loop, timer, t->loop.now_ms + PRUNE_MS, lag_prune);
	} else {		/* after a start with many files it is large, for nothing */
		map_release(&t->lags);
		map_init(&t->lags);
	}
}

void lag_release(struct tail *t)
{
	struct lag *l;
	size_t it = 0;

	while ((l = map_next(&t->lags, &it)))
		mem_free(l);
	map_release(&t->lags);
}

/* accum.c - all lanes of a producer: found, counted, flushed, and their news for the sender.
 *
 * Why: see lane.h. Nothing here is paid for each record.
 * Threads: any, except what lane.h gives to the sender. Locks: accum->mu; a lane's is never taken under it.
 * Failure no memory -> NULL or ERR_NOMEM, nothing changed.
 */
#include "producer/lane.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "agent/base/mem.h"
#include "producer/murmur2.h"

#define LANE_KEY_MAX (5 + 1024)

struct flush {
	struct list node;
	uint64_t serial;	/* the last batch it waits for */
	uint32_t left;		/* of those, not settled yet */
};

int accum_init(struct accum *a, const struct accum_conf *conf, struct budget *budget)
{
	pthread_condattr_t attr;

	*a = (struct accum){ .conf = *conf, .budget = budget };
	pthread_mutex_init(&a->mu, NULL);
	pthread_cond_init(&a->work_cond, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->settled_cond, &attr);
	pthread_condattr_destroy(&attr);
	list_init(&a->flushes);
	map_init(&a->lanes);
	map_init(&a->topics);
	list_init(&a->news);
	list_init(&a->work);
	return 0;
}

static void lane_free(struct lane *l)
{
	ASSERT(!l->open && list_empty(&l->sealed) && list_empty(&l->ready) && list_empty(&l->returned));
	pthread_mutex_destroy(&l->mu);
	mem_free(l->bound);
	mem_free(l);
}

void accum_release(struct accum *a)
{
	size_t it = 0;
	void *v;

	while ((v = map_next(&a->lanes, &it)))
		lane_free(v);
	it = 0;
	while ((v = map_next(&a->topics, &it)))
		topic_free(v);
	map_release(&a->lanes);
	map_release(&a->topics);
	pthread_cond_destroy(&a->work_cond);
	pthread_cond_destroy(&a->settled_cond);
	pthread_mutex_destroy(&a->mu);
}

void accum_wake(struct accum *a)
{
	if (a->conf.wake)
		a->conf.wake(a->conf.wake_arg);
}

void lane_has_news(struct lane *l)
{
	if (list_empty(&l->news_node))
		list_push_back(&l->accum->news, &l->news_node);
}

void lane_look(struct lane *l)
{
	pthread_mutex_lock(&l->accum->mu);
	lane_has_news(l);
	pthread_mutex_unlock(&l->accum->mu);
	accum_wake(l->accum);
}

/* --- finding lanes --- */

static struct topic *find_topic(struct accum *a, const char *name)
{
	struct topic *t = map_get(&a->topics, name, strlen(name));

	if (t)
		return t;
	t = topic_new(name);
	if (t && map_put(&a->topics, name, strlen(name), t) < 0) {
		topic_free(t);
		t = NULL;
	}
	return t;
}

struct topic *accum_topic(struct accum *a, const char *topic)
{
	struct topic *t;

	pthread_mutex_lock(&a->mu);
	t = find_topic(a, topic);
	pthread_mutex_unlock(&a->mu);
	return t;
}

static struct lane *lane_new(struct accum *a, struct topic *t, int32_t partition, bool waits)
{
	struct lane *l = mem_new(struct lane);

	if (!l)
		return NULL;
	l->accum = a;
	l->topic = t;
	l->partition = partition;
	l->waits = waits;
	l->opened_ms = l->announced_ms = l->since_ms = l->last_good_ms = l->unknown_since_ms = -1;
	l->sticky.partition = -1;
	l->place.rng = a->conf.seed ^ murmur2(t->name, strlen(t->name));
	pthread_mutex_init(&l->mu, NULL);
	list_init(&l->hidden);
	list_init(&l->targets);
	list_init(&l->target_node);
	list_init(&l->sealed);
	list_init(&l->work_node);
	list_init(&l->news_node);
	list_init(&l->incoming);
	list_init(&l->node);
	list_init(&l->busy_node);
	list_init(&l->linger_node);
	list_init(&l->unplaced_node);
	list_init(&l->ready);
	list_init(&l->returned);
	list_init(&l->bounced);
	return l;
}

static struct lane *find_lane(struct accum *a, const char *topic, int32_t partition, bool waits)
{
	char key[LANE_KEY_MAX];
	size_t n = strlen(topic);
	struct topic *t;
	struct lane *l;

	if (n > sizeof key - sizeof partition - 1)
		return NULL;
	memcpy(key, &partition, sizeof partition);
	key[sizeof partition] = waits;
	memcpy(key + sizeof partition + 1, topic, n);
	n += sizeof partition + 1;
	l = map_get(&a->lanes, key, n);
	if (l)
		return l;
	t = find_topic(a, topic);
	l = t ? lane_new(a, t, partition, waits) : NULL;
	if (l && map_put(&a->lanes, key, n, l) < 0) {
		lane_free(l);
		l = NULL;
	}
	if (l)
		lane_has_news(l);
	return l;
}

struct lane *accum_lane(struct accum *a, const char *topic, int32_t partition, bool waits)
{
	struct lane *l;
	bool news;

	pthread_mutex_lock(&a->mu);
	l = find_lane(a, topic, partition < 0 && partition != LANE_UNPLACED ? -1 : partition, waits);
	news = l && !list_empty(&l->news_node);
	pthread_mutex_unlock(&a->mu);
	if (news)
		accum_wake(a);
	return l;
}

/* Whoever appends to it holds the unbound lane's lock, so what is empty under that lock stays empty. */
bool accum_all_placed(struct lane *u)
{
	struct accum *a = u->accum;
	struct lane *l = accum_lane(a, u->topic->name, -1, false);
	bool empty;

	if (!l)
		return false;
	pthread_mutex_lock(&l->mu);
	pthread_mutex_lock(&u->mu);
	empty = !u->open && list_empty(&u->hidden);
	pthread_mutex_unlock(&u->mu);
	pthread_mutex_lock(&a->mu);
	empty &= list_empty(&u->sealed) && list_empty(&u->incoming) && !u->backlog && !u->spilling;
	pthread_mutex_unlock(&a->mu);
	if (empty)
		l->unplaced_busy = false;
	pthread_mutex_unlock(&l->mu);
	return empty;
}

/* --- the books --- */

void lane_uncount_bytes(struct batch *b)
{
	if (b->lane)
		atomic_fetch_sub_explicit(&b->lane->bytes, b->lane_bytes, memory_order_relaxed);
	b->lane_bytes = 0;
}

static void uncount(struct accum *a, struct batch *b, int32_t n)
{
	atomic_fetch_sub_explicit(&a->in_memory, (uint64_t)n, memory_order_relaxed);
	if (b->lane)
		atomic_fetch_sub_explicit(&b->lane->in_memory, (uint64_t)n, memory_order_relaxed);
}

void accum_shrunk(struct accum *a, struct batch *b)
{
	if (b->counted)
		uncount(a, b, b->dropped);
	b->dropped = 0;
	b->lost_ranges = 0;
}

void accum_uncount(struct accum *a, struct batch *b)
{
	lane_uncount_bytes(b);
	if (!b->counted)
		return;
	b->counted = false;
	uncount(a, b, b->count + b->dropped - b->kept_rest);
}

void accum_settled(struct accum *a, struct batch *b)
{
	if (!b->sealed_live)
		return;
	b->sealed_live = false;
	pthread_mutex_lock(&a->mu);
	atomic_fetch_sub(&a->live, 1);
	list_each(it, &a->flushes) {
		struct flush *f = list_entry(it, struct flush, node);

		if (b->serial <= f->serial && --f->left == 0)
			pthread_cond_broadcast(&a->settled_cond);
	}
	pthread_mutex_unlock(&a->mu);
}

void accum_cut(struct accum *a, struct batch *b, uint32_t n)
{
	if (!b->sealed_live)
		return;
	pthread_mutex_lock(&a->mu);
	atomic_fetch_add(&a->live, n);
	list_each(it, &a->flushes) {
		struct flush *f = list_entry(it, struct flush, node);

		if (b->serial <= f->serial)
			f->left += n;
	}
	pthread_mutex_unlock(&a->mu);
}

int accum_flush(struct accum *a, int64_t at_ms)
{
	struct timespec ts = { .tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000) * 1000000 };
	struct flush f;
	int rc = 0;

	pthread_mutex_lock(&a->mu);
	f = (struct flush){ .serial = a->serial, .left = atomic_load(&a->live) };
	list_push_back(&a->flushes, &f.node);
	while (f.left > 0 && rc == 0)
		rc = at_ms < 0 ? pthread_cond_wait(&a->settled_cond, &a->mu) :
				 pthread_cond_timedwait(&a->settled_cond, &a->mu, &ts);
	list_remove(&f.node);
	rc = f.left ? ERR_TIMEOUT : 0;
	pthread_mutex_unlock(&a->mu);
	return rc;
}

int accum_seal_all(struct accum *a)
{
	struct lane **lanes, *l;
	size_t n = 0, it = 0;

	/* Lanes live as long as the accumulator; a lane's lock may not be taken under mu. */
	pthread_mutex_lock(&a->mu);
	lanes = mem_array(struct lane *, map_count(&a->lanes) + 1);
	while (lanes && (l = map_next(&a->lanes, &it)))
		lanes[n++] = l;
	pthread_mutex_unlock(&a->mu);
	if (!lanes)
		return ERR_NOMEM;
	while (n > 0)
		lane_seal(lanes[--n]);
	mem_free(lanes);
	return 0;
}

/* --- news --- */

static void collect(struct lane *l)
{
	struct batch *b;

	while ((b = list_first(&l->sealed, struct batch, node)) && b->state == BATCH_READY) {
		list_remove(&b->node);
		list_push_back(&l->ready, &b->node);
	}
	list_each(it, &l->incoming)
		l->returned_count++;
	list_splice_back(&l->returned, &l->incoming);
	if (l->opened_ms >= 0)
		l->announced_ms = l->opened_ms;
	l->opened_ms = -1;
	l->seen_backlog = l->backlog;
	l->seen_spilling = l->spilling;
	if (l->refill_answered) {
		l->refill_answered = false;
		l->refill_done = true;
		l->refill_result = l->refill_rc;
	}
}

struct lane *accum_next_news(struct accum *a)
{
	struct lane *l;

	pthread_mutex_lock(&a->mu);
	l = list_first(&a->news, struct lane, news_node);
	if (l) {
		list_remove(&l->news_node);
		collect(l);
	}
	pthread_mutex_unlock(&a->mu);
	return l;
}

void lane_add_backlog(struct lane *l, uint64_t n)
{
	pthread_mutex_lock(&l->accum->mu);
	l->backlog += n;
	pthread_mutex_unlock(&l->accum->mu);
	l->seen_backlog += n;	/* what others changed meanwhile comes with the news */
}

void lane_add_spilling(struct lane *l, int32_t n)
{
	pthread_mutex_lock(&l->accum->mu);
	l->spilling += (uint32_t)n;
	l->seen_spilling = l->spilling;
	l->seen_backlog = l->backlog;
	pthread_mutex_unlock(&l->accum->mu);
}

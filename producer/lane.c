/* lane.c - appending, sealing, and handing over.
 *
 * Why: see lane.h. This is the only place that is paid for each record: one lock pair a run, one copy of the bytes.
 * Everything else happens once a batch.
 * Invariants: see lane.h.
 * Failure no memory in the budget -> ERR_AGAIN, nothing changed, and the sender is told that memory is dry. No heap ->
 *	ERR_NOMEM, nothing changed.
 */
#include "producer/lane.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "agent/base/mem.h"

#define LANE_KEY_MAX (4 + 1024)
#define RECORD_OVERHEAD 40		/* more than the varints of one record take */
#define HEADER_OVERHEAD 10

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

static struct lane *lane_new(struct accum *a, struct topic *t, int32_t partition)
{
	struct lane *l = mem_new(struct lane);

	if (!l)
		return NULL;
	l->accum = a;
	l->topic = t;
	l->partition = partition;
	l->opened_ms = l->announced_ms = l->since_ms = l->last_good_ms = -1;
	l->sticky.partition = -1;
	pthread_mutex_init(&l->mu, NULL);
	list_init(&l->hidden);
	list_init(&l->sealed);
	list_init(&l->work_node);
	list_init(&l->news_node);
	list_init(&l->incoming);
	list_init(&l->node);
	list_init(&l->busy_node);
	list_init(&l->linger_node);
	list_init(&l->ready);
	list_init(&l->returned);
	list_init(&l->bounced);
	return l;
}

static struct lane *find_lane(struct accum *a, const char *topic, int32_t partition)
{
	char key[LANE_KEY_MAX];
	size_t n = strlen(topic);
	struct topic *t;
	struct lane *l;

	if (n > sizeof key - sizeof partition)
		return NULL;
	memcpy(key, &partition, sizeof partition);
	memcpy(key + sizeof partition, topic, n);
	n += sizeof partition;
	l = map_get(&a->lanes, key, n);
	if (l)
		return l;
	t = find_topic(a, topic);
	l = t ? lane_new(a, t, partition) : NULL;
	if (l && map_put(&a->lanes, key, n, l) < 0) {
		lane_free(l);
		l = NULL;
	}
	if (l)
		lane_has_news(l);
	return l;
}

struct lane *accum_lane(struct accum *a, const char *topic, int32_t partition)
{
	struct lane *l;
	bool news;

	pthread_mutex_lock(&a->mu);
	l = find_lane(a, topic, partition < 0 ? -1 : partition);
	news = l && !list_empty(&l->news_node);
	pthread_mutex_unlock(&a->mu);
	if (news)
		accum_wake(a);
	return l;
}

/* --- the books --- */

static void count_run(struct lane *l)
{
	if (!l->run_uncounted)
		return;
	atomic_fetch_add_explicit(&l->accum->in_memory, l->run_uncounted, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->in_memory, l->run_uncounted, memory_order_relaxed);
	l->run_uncounted = 0;
}

void accum_uncount(struct accum *a, struct batch *b)
{
	if (!b->counted)
		return;
	b->counted = false;
	atomic_fetch_sub_explicit(&a->in_memory, (uint64_t)b->count, memory_order_relaxed);
	if (b->lane)
		atomic_fetch_sub_explicit(&b->lane->in_memory, (uint64_t)b->count, memory_order_relaxed);
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

/* --- sealing; l->mu held --- */

/* Shows a sealed batch to compressors or sender. True: the sender has something to do. */
static bool publish(struct lane *l, struct batch *b)
{
	struct accum *a = l->accum;
	bool ready = b->state == BATCH_READY;

	pthread_mutex_lock(&a->mu);
	atomic_fetch_add(&a->live, 1);
	b->serial = ++a->serial;
	list_push_back(&l->sealed, &b->node);
	if (!ready && !l->next_sealed) {
		l->next_sealed = b;
		list_push_back(&a->work, &l->work_node);
		pthread_cond_signal(&a->work_cond);
	}
	if (ready)
		lane_has_news(l);
	pthread_mutex_unlock(&a->mu);
	return ready;
}

/* Inside a run the batch stays hidden until lane_end: it must not be answered before its caller has counted it. True:
 * the sender has something to do. */
static bool seal(struct lane *l, int64_t now_ms)
{
	struct batch *b = l->open;

	if (!b)
		return false;
	l->open = NULL;
	b->counted = true;
	b->sealed_live = true;
	b->sealed_ms = now_ms;
	b->state = l->accum->conf.compressing ? BATCH_SEALED : BATCH_READY;
	if (b->state == BATCH_READY)
		batch_seal_crc(b);
	if (!l->in_run)
		return publish(l, b);
	list_push_back(&l->hidden, &b->node);
	return false;
}

static bool publish_run(struct lane *l)
{
	struct batch *b;
	bool ready = false;

	while ((b = list_first(&l->hidden, struct batch, node))) {
		list_remove(&b->node);
		ready |= publish(l, b);
	}
	return ready;
}

void lane_seal(struct lane *l)
{
	bool ready;

	pthread_mutex_lock(&l->mu);
	ready = seal(l, l->open ? l->open->created_ms : 0);
	pthread_mutex_unlock(&l->mu);
	if (ready)
		accum_wake(l->accum);
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

int64_t lane_seal_older(struct lane *l, int64_t before_ms, int64_t now_ms)
{
	int64_t opened;

	pthread_mutex_lock(&l->mu);
	if (l->open && l->open->created_ms <= before_ms)
		seal(l, now_ms);
	opened = l->open ? l->open->created_ms : -1;
	if (!l->open)
		l->announced = false;
	pthread_mutex_unlock(&l->mu);
	return opened;
}

uint32_t lane_open_bytes(struct lane *l)
{
	uint32_t n;

	pthread_mutex_lock(&l->mu);
	n = l->open ? l->open->bytes : 0;
	pthread_mutex_unlock(&l->mu);
	return n;
}

/* --- appending; l->mu held --- */

/* At least what batch_record_bytes would say; SIZE_MAX / 2 when lengths are absurd. */
static size_t bound(const struct lane_record *r)
{
	size_t n = RECORD_OVERHEAD;

	if (r->key_len > INT32_MAX || r->value_len > INT32_MAX)
		return SIZE_MAX / 2;
	n += r->key_len + r->value_len;
	for (size_t i = 0; i < r->header_count; i++) {
		if (r->headers[i].value_len > INT32_MAX)
			return SIZE_MAX / 2;
		n += strlen(r->headers[i].name) + r->headers[i].value_len + HEADER_OVERHEAD;
	}
	return n;
}

static size_t exact(const struct batch *b, const struct lane_record *r)
{
	return batch_record_bytes(b, r->key_len, !r->key, r->value_len, !r->value, r->headers, r->header_count, r->timestamp);
}

static bool fits(const struct lane *l, const struct lane_record *r, size_t most)
{
	const struct batch *b = l->open;
	size_t max = l->accum->conf.batch_max;

	return b->bytes + most <= max || b->bytes + exact(b, r) <= max;
}

/* The record's timestamp, source and callback join together with its bytes, or not at all. */
static int put_in(struct lane *l, struct batch *b, const struct lane_record *r)
{
	struct accum *a = l->accum;
	int rc = r->source ? batch_reserve_source(b) : 0;

	if (rc == 0 && (r->fn || b->callbacks))
		rc = batch_add_callback(b, r->fn, r->arg, r->timestamp < 0 ? b->base_timestamp : r->timestamp);
	if (rc == 0)
		rc = batch_append(b, a->budget, BUDGET_APPEND, l->now_ms, r->key, r->key_len, r->value, r->value_len,
				  r->headers, r->header_count, r->timestamp);
	if (rc == 0 && r->source)
		batch_add_source(b, r->source);
	return rc;
}

static bool too_large(const struct lane *l, const struct lane_record *r, size_t most)
{
	const struct batch empty = { .base_timestamp = l->wall_ms };
	size_t max = l->accum->conf.record_max;

	return most > max && (most > SIZE_MAX / 4 || exact(&empty, r) > max);
}

static int put_first(struct lane *l, const struct lane_record *r)
{
	struct batch *b = batch_new(l->now_ms, l->wall_ms);
	int rc;

	if (!b)
		return ERR_NOMEM;
	b->lane = l;
	rc = put_in(l, b, r);
	if (rc < 0)
		batch_free(b, l->accum->budget);
	else
		l->open = b;
	return rc;
}

/* Tells the sender once that an append starved; it looks at the budget itself. */
static void note_dry(struct accum *a)
{
	if (!atomic_load_explicit(&a->dry, memory_order_relaxed) && !atomic_exchange(&a->dry, true))
		accum_wake(a);
}

static int put_here(struct lane *l, const struct lane_record *r)
{
	size_t most = bound(r);
	int rc;

	if (too_large(l, r, most))
		return ERR_TOO_LARGE;
	if (l->open && !fits(l, r, most))
		seal(l, l->now_ms);
	rc = l->open ? put_in(l, l->open, r) : put_first(l, r);
	if (rc == 0) {
		l->run_uncounted++;
		if (l->open->bytes >= l->accum->conf.batch_max || l->open->range_count >= BATCH_RANGES_MAX)
			seal(l, l->now_ms);
	} else if (rc == ERR_AGAIN) {
		note_dry(l->accum);
	}
	return rc;
}

/* --- runs --- */

static void begin(struct lane *l, int64_t now_ms, int64_t wall_ms)
{
	pthread_mutex_lock(&l->mu);
	l->in_run = true;
	l->now_ms = now_ms;
	l->wall_ms = wall_ms;
}

static void end(struct lane *l)
{
	struct accum *a = l->accum;
	bool announce = l->open && !l->announced, ready;

	count_run(l);
	l->in_run = false;
	ready = publish_run(l);
	if (announce) {
		l->announced = true;
		pthread_mutex_lock(&a->mu);
		l->opened_ms = l->open->created_ms;
		lane_has_news(l);
		pthread_mutex_unlock(&a->mu);
	}
	pthread_mutex_unlock(&l->mu);
	if (announce || ready)
		accum_wake(a);
}

void lane_begin(struct lane *l, int64_t now_ms, int64_t wall_ms)
{
	begin(l, now_ms, wall_ms);
	l->run_count = 0;
}

uint32_t lane_end(struct lane *l)
{
	uint32_t n = l->run_count;

	if (l->target) {
		end(l->target);
		l->target = NULL;
	}
	end(l);
	return n;
}

/* The lane of a key's partition, locked for the rest of the run or until another one is needed. */
static int aim(struct lane *l, const struct lane_record *r)
{
	int32_t count = atomic_load(&l->topic->partition_count), p;
	struct lane *target;

	if (count <= 0)
		return ERR_UNAVAILABLE;
	if (count > l->bound_count) {
		struct lane **bound_ = mem_realloc(l->bound, (size_t)count * sizeof *bound_);

		if (!bound_)
			return ERR_NOMEM;
		memset(bound_ + l->bound_count, 0, (size_t)(count - l->bound_count) * sizeof *bound_);
		l->bound = bound_;
		l->bound_count = count;
	}
	p = partition_of_key(r->key, r->key_len, count);
	target = l->bound[p] ? l->bound[p] : accum_lane(l->accum, l->topic->name, p);
	if (!target)
		return ERR_NOMEM;
	l->bound[p] = target;
	if (target == l->target)
		return 0;
	if (l->target)
		end(l->target);
	l->target = target;
	begin(target, l->now_ms, l->wall_ms);
	return 0;
}

int lane_put(struct lane *l, const struct lane_record *r)
{
	int rc = 0;

	if (r->key && l->partition < 0) {
		rc = aim(l, r);
		if (rc == 0)
			rc = put_here(l->target, r);
	} else {
		rc = put_here(l, r);
	}
	if (rc == 0)
		l->run_count++;
	return rc;
}

int lane_append(struct lane *l, const void *key, size_t key_len, const void *value, size_t value_len,
		const struct source_range *source)
{
	struct lane_record r = { .key = key, .key_len = key_len, .value = value, .value_len = value_len,
				 .timestamp = -1, .source = source };

	return lane_put(l, &r);
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

/* --- small things of the journal's face --- */

const char *lane_topic(const struct lane *l)
{
	return l->topic->name;
}

int32_t lane_partition(const struct lane *l)
{
	return l->partition;
}

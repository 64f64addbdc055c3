/* lane.c - appending, sealing, and handing over.
 *
 * Why: see lane.h. This is the only place that is paid for each record: one lock pair a run, one copy of the bytes.
 * Everything else happens once a batch.
 * Invariants: see lane.h.
 * Failure a held lane that has used up its share, or one that is shut -> ERR_LANE_FULL; no memory in the budget -> ERR_AGAIN;
 *	no heap -> ERR_NOMEM. Nothing has changed then, but that the sender is told.
 */
#include "producer/lane.h"

#include <stdatomic.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"

#define RECORD_OVERHEAD 40		/* more than the varints of one record take */
#define HEADER_OVERHEAD 10
#define RESCUE_HOLDS_MS 3000

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
	b->lane_bytes = b->bytes;
	b->sealed_live = true;
	b->sealed_ms = now_ms;
	b->state = l->accum->conf.compressing ? BATCH_SEALED : BATCH_READY;
	if (b->state == BATCH_READY)
		batch_seal_crc(b);
	if (!l->in_run && !l->parked)
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

void lane_seal_source(struct lane *l, int64_t file_id, int64_t offset, int64_t now_ms)
{
	pthread_mutex_lock(&l->mu);
	if (l->open && batch_has_source(l->open, file_id, offset)) {
		seal(l, now_ms);
		l->announced = false;
	}
	pthread_mutex_unlock(&l->mu);
}

void lane_shut(struct lane *l)
{
	bool ready;

	pthread_mutex_lock(&l->mu);
	atomic_store(&l->shut, true);
	ready = seal(l, l->open ? l->open->created_ms : 0);
	l->announced = false;
	pthread_mutex_unlock(&l->mu);
	if (ready)
		accum_wake(l->accum);
}

void lane_reopen(struct lane *l)
{
	pthread_mutex_lock(&l->mu);
	atomic_store(&l->returned_all, false);
	atomic_store(&l->shut, false);
	pthread_mutex_unlock(&l->mu);
}

bool lane_is_empty(struct lane *l)
{
	bool empty;

	pthread_mutex_lock(&l->mu);
	pthread_mutex_lock(&l->accum->mu);
	empty = !l->open && list_empty(&l->hidden) && list_empty(&l->sealed);
	pthread_mutex_unlock(&l->accum->mu);
	pthread_mutex_unlock(&l->mu);
	return empty;
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

/* batch.size, or less for a topic that has refused as much. */
static size_t batch_max(const struct lane *l)
{
	size_t max = l->accum->conf.batch_max;
	size_t learned = atomic_load_explicit(&l->topic->raw_max, memory_order_relaxed);

	return learned && learned < max ? learned : max;
}

static bool fits(const struct lane *l, const struct lane_record *r, size_t most)
{
	const struct batch *b = l->open;
	size_t max = batch_max(l);

	/* One range alone may still join the last one; full batches are sealed at once. */
	if (r->source && r->parts && batch_is_full(b, r->parts + 1))
		return false;
	return b->bytes + most <= max || b->bytes + exact(b, r) <= max;
}

/* The record's timestamp, sources and callback join together with its bytes, or not at all. */
static int put_in(struct lane *l, struct batch *b, const struct lane_record *r)
{
	struct accum *a = l->accum;
	int rc = r->source ? batch_reserve_sources(b, r->parts + 1) : 0;

	if (rc == 0 && (r->fn || b->callbacks))
		rc = batch_add_callback(b, r->fn, r->arg, r->timestamp < 0 ? b->base_timestamp : r->timestamp);
	if (rc == 0 && b->callbacks) {
		b->callbacks[b->count].key_size = r->key ? (int32_t)r->key_len : -1;
		b->callbacks[b->count].value_size = r->value ? (int32_t)r->value_len : -1;
	}
	if (rc == 0)
		rc = batch_append(b, a->budget, BUDGET_APPEND, l->now_ms, r->key, r->key_len, r->value, r->value_len,
				  r->headers, r->header_count, r->timestamp);
	for (uint32_t i = 0; rc == 0 && r->source && i <= r->parts; i++)
		batch_add_source(b, r->source - r->parts + i);
	return rc;
}

static bool too_large(const struct lane *l, const struct lane_record *r, size_t most)
{
	const struct batch empty = { .base_timestamp = r->timestamp < 0 ? l->wall_ms : r->timestamp };
	size_t max = l->accum->conf.record_max;

	return most > max && (most > SIZE_MAX / 4 || exact(&empty, r) > max);
}

static int put_first(struct lane *l, const struct lane_record *r)
{
	/* A record that has a time of its own gives it to the batch, as in Java's producer. */
	struct batch *b = batch_new(l->now_ms, r->timestamp < 0 ? l->wall_ms : r->timestamp);
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

/* A lane that is held has a share of memory, and may hold one record in any case. */
static bool share_used_up(const struct lane *l, size_t most)
{
	size_t share = atomic_load_explicit(&l->share, memory_order_relaxed);
	size_t used = share ? atomic_load_explicit(&l->bytes, memory_order_relaxed) + l->run_bytes : 0;

	return (used && used + most > share) || atomic_load_explicit(&l->shut, memory_order_relaxed);
}

/* What is open is sealed, so that it may leave memory. */
static int refuse(struct lane *l)
{
	seal(l, l->now_ms);
	if (!atomic_exchange(&l->full, true))
		accum_wake(l->accum);
	return ERR_LANE_FULL;
}

static int put_here(struct lane *l, const struct lane_record *r)
{
	uint32_t before;
	size_t most = bound(r);
	int rc;

	if (too_large(l, r, most))
		return ERR_TOO_LARGE;
	if (share_used_up(l, most))
		return refuse(l);
	if (l->open && !fits(l, r, most))
		seal(l, l->now_ms);
	before = l->open ? l->open->bytes : 0;
	rc = l->open ? put_in(l, l->open, r) : put_first(l, r);
	if (rc == 0) {
		l->run_uncounted++;
		l->run_bytes += l->open->bytes - before;
		if (l->open->bytes >= batch_max(l) || l->open->range_count >= BATCH_RANGES_MAX)
			seal(l, l->now_ms);
	} else if (rc == ERR_AGAIN) {
		note_dry(l->accum);
	}
	return rc;
}

/* --- runs --- */

static void count_run(struct lane *l)
{
	if (!l->run_uncounted)
		return;
	atomic_fetch_add_explicit(&l->in_memory, l->run_uncounted, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->bytes, l->run_bytes, memory_order_relaxed);
	l->run_uncounted = 0;
	l->run_bytes = 0;
}

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
	ready = !l->parked && publish_run(l);
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

/* Gives the lock back, but not what the run did. */
static void park(struct lane *l, struct lane *target)
{
	target->in_run = false;
	target->parked = true;
	list_push_back(&l->targets, &target->target_node);
	pthread_mutex_unlock(&target->mu);
}

void lane_begin(struct lane *l, int64_t now_ms, int64_t wall_ms)
{
	begin(l, now_ms, wall_ms);
	l->run_count = 0;
}

uint32_t lane_count(struct lane *l)
{
	uint32_t n = l->run_count;

	atomic_fetch_add_explicit(&l->accum->in_memory, n, memory_order_relaxed);
	l->run_count = 0;
	return n;
}

/* Only now that the run is counted it is shown. */
uint32_t lane_end(struct lane *l)
{
	uint32_t n = lane_count(l);
	struct lane *target;

	if (l->target)
		end(l->target);
	l->target = NULL;
	while ((target = list_first(&l->targets, struct lane, target_node))) {
		list_remove(&target->target_node);
		begin(target, l->now_ms, l->wall_ms);
		target->parked = false;
		end(target);
	}
	end(l);
	return n;
}

/* --- the lane of a record's partition --- */

static int make_room(struct lane *l, int32_t count)
{
	struct lane **bound_;

	if (count <= l->bound_count)
		return 0;
	bound_ = mem_realloc(l->bound, (size_t)count * sizeof *bound_);
	if (!bound_)
		return ERR_NOMEM;
	memset(bound_ + l->bound_count, 0, (size_t)(count - l->bound_count) * sizeof *bound_);
	l->bound = bound_;
	l->bound_count = count;
	return 0;
}

/* Locks this lane, for the rest of the run or until another one is needed. */
static void hold(struct lane *l, struct lane *target)
{
	if (target == l->target)
		return;
	if (l->target)
		park(l, l->target);
	list_remove(&target->target_node);
	begin(target, l->now_ms, l->wall_ms);
	target->parked = false;
	l->target = target;
}

/* Records of a lane with streams may lie in those of its partitions. */
static void inherit(const struct lane *l, struct lane *target)
{
	if (atomic_load_explicit(&l->streams, memory_order_relaxed) &&
	    !atomic_load_explicit(&target->streams, memory_order_relaxed))
		atomic_store_explicit(&target->streams, true, memory_order_relaxed);
}

/* Holds the lane of this partition. */
static int aim(struct lane *l, int32_t partition, int32_t count)
{
	int rc = make_room(l, count);
	struct lane *target;

	if (rc < 0)
		return rc;
	target = l->bound[partition];
	if (!target)
		target = l->bound[partition] = accum_lane(l->accum, l->topic->name, partition, l->waits);
	if (!target)
		return ERR_NOMEM;
	inherit(l, target);
	hold(l, target);
	return 0;
}

/* Nobody says how many partitions there are. That is waited for as long as Java's send() does, unless the source is about to
 * vanish, or is no file; then records gather where they are placed from later. */
static int put_unplaced(struct lane *l, const struct lane_record *r)
{
	int64_t after_ms = l->accum->conf.unplaced_after_ms;
	int rc;

	if (!after_ms || l->waits || !place_keeps(&l->accum->conf.place, r))
		return ERR_UNAVAILABLE;
	if (l->unknown_since_ms < 0)
		l->unknown_since_ms = l->now_ms;
	if (after_ms > LANE_RESCUE_MS && atomic_load_explicit(&l->streams, memory_order_relaxed))
		after_ms = LANE_RESCUE_MS;
	if (l->now_ms - l->unknown_since_ms < after_ms &&
	    atomic_load_explicit(&l->rescue_until_ms, memory_order_relaxed) <= l->now_ms)
		return ERR_UNAVAILABLE;
	if (!l->unplaced)
		l->unplaced = accum_lane(l->accum, l->topic->name, LANE_UNPLACED, false);
	if (!l->unplaced)
		return ERR_NOMEM;
	inherit(l, l->unplaced);
	hold(l, l->unplaced);
	rc = put_here(l->unplaced, r);
	l->unplaced_busy |= rc == 0;
	return rc;
}

static struct place_topic topic_now(const struct lane *l)
{
	return (struct place_topic){ l->topic->name, atomic_load(&l->topic->partition_count), &l->topic->available };
}

/* The partitioner decides now. What was not taken is placed again by the same turn when it is tried again. */
static int put_placed(struct lane *l, const struct lane_record *r)
{
	const struct place_topic t = topic_now(l);
	struct place_state before = l->place;
	int32_t partition;
	int rc;

	if (t.count <= 0)
		return put_unplaced(l, r);
	if (l->unplaced_busy)
		return ERR_UNAVAILABLE;
	rc = place_record(&l->accum->conf.place, &l->place, &t, r, &partition);
	if (rc == 0 && partition == PLACE_LATER)
		return put_here(l, r);
	if (rc == 0)
		rc = aim(l, partition, t.count);
	if (rc == 0)
		rc = put_here(l->target, r);
	if (rc < 0)
		l->place = before;
	return rc;
}

int lane_append(struct lane *l, const struct lane_record *r)
{
	bool here = l->partition >= 0 || place_is_late(&l->accum->conf.place, r->key);
	int rc = here ? put_here(l, r) : put_placed(l, r);

	if (rc == 0)
		l->run_count++;
	if (rc == ERR_LANE_FULL)
		atomic_store(&l->refuser, here ? l : l->target);
	return rc;
}

int lane_place(struct lane *l, const struct lane_record *r, int32_t *ret)
{
	struct place_topic t;
	int rc;

	pthread_mutex_lock(&l->mu);
	t = topic_now(l);
	rc = place_record(&l->accum->conf.place, &l->place, &t, r, ret);
	pthread_mutex_unlock(&l->mu);
	return rc;
}

/* Not when it is full no longer, but when a good piece is free: each try reads a file. */
bool lane_takes(struct lane *l)
{
	const struct lane *by = atomic_load(&l->refuser);
	size_t share = by ? atomic_load(&by->share) : 0;

	return !by || (!atomic_load(&by->shut) && (!share || atomic_load(&by->bytes) <= share / 2));
}

bool lane_held(const struct lane *l)
{
	return atomic_load(&l->held);
}

/* --- small things of the journal's face --- */

static void rescue(struct lane *l, int64_t until_ms)
{
	atomic_store_explicit(&l->rescue_until_ms, until_ms, memory_order_relaxed);
	lane_seal(l);
	lane_look(l);
}

/* What was appended to an unbound lane may lie in the lanes of its partitions. */
void lane_rescue(struct lane *l)
{
	int64_t until_ms = clock_mono_ms() + RESCUE_HOLDS_MS;

	pthread_mutex_lock(&l->mu);
	for (int32_t i = 0; i < l->bound_count; i++)
		if (l->bound[i])
			rescue(l->bound[i], until_ms);
	if (l->unplaced)
		rescue(l->unplaced, until_ms);
	pthread_mutex_unlock(&l->mu);
	rescue(l, until_ms);
}

void lane_has_streams(struct lane *l)
{
	atomic_store_explicit(&l->streams, true, memory_order_relaxed);
	lane_look(l);
}

const char *lane_topic(const struct lane *l)
{
	return l->topic->name;
}

int32_t lane_partition(const struct lane *l)
{
	return l->partition;
}

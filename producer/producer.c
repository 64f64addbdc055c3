/* producer.c - the face for library users: open, send, flush, close; and the parts both faces share.
 *
 * Why: see producer.h. All that waits for somebody else waits here, on the caller's thread, and nowhere below.
 * Order of creation: budget, accumulator, sender, (start) compressors, sender's thread. The end goes backwards.
 * Threads: producer_send and producer_flush any, the rest one. Locks: core.h.
 * Failure a half-opened producer is taken apart by the same function as a whole one.
 */
#include "producer/core.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"

#define REQUEST_OVERHEAD 1024

#define LOOK_AGAIN_MS 1000		/* for a topic or a partition that is not there */

static int fail(struct producer_error *err, int code, const char *text)
{
	if (err) {
		*err = (struct producer_error){ .code = code, .retriable = err_class(code) == ERR_CLASS_RETRY };
		snprintf(err->text, sizeof err->text, "%s", text ? text : err_text(code));
	}
	return code;
}

/* --- open --- */

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* What belongs to bytes that come back: an eighth, at least two of the largest rows, at most half. */
static int64_t reserve_of(const struct producer_config *c)
{
	int64_t row = max64(c->batch_size, c->max_request_size) + CHUNK_BYTES;

	return min64(max64(c->buffer_memory / 8, 2 * row), c->buffer_memory / 2);
}

static void wake_sender(void *arg)
{
	loop_wake(arg);
}

static struct accum_conf accum_conf_of(struct producer *p, int64_t reserve)
{
	const struct producer_config *c = p->config;
	int64_t chunks = ((int64_t)budget_total(p->budget) - reserve) / CHUNK_BYTES;
	int64_t room = chunks * (int64_t)CHUNK_DATA;
	int64_t record_max = max64(min64(c->max_request_size - BATCH_HEAD, room), 1);

	return (struct accum_conf){
		.batch_max = (uint32_t)max64(0, min64(c->batch_size, min64(c->max_request_size - REQUEST_OVERHEAD, room / 2))),
		.record_max = (size_t)record_max,
		.compressing = c->compression_type != CODEC_NONE,
		.place = { .kind = (enum partitioner)c->partitioner, .ignore_keys = c->partitioner_ignore_keys != 0,
			   .fn = c->partitioner_fn },
		.seed = (uint64_t)clock_mono_ns(),
		.wake = wake_sender, .wake_arg = &p->sender.loop,
	};
}

static void init_locks(struct producer *p)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&p->mu, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->cond, &attr);
	pthread_condattr_destroy(&attr);
	list_init(&p->stat_requests);
	p->down_since_ms = clock_mono_ms();
}

static void dismantle(struct producer *p)
{
	sender_discard(&p->sender);
	sender_close(&p->sender);
	reload_drop(p);
	accum_release(&p->accum);
	budget_free(p->budget);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->mu);
	mem_free(p);
}

/* Both faces: everything but threads of its own. */
int core_open(struct producer_config *c, const struct producer_journal *j, struct producer **ret_p, struct producer_error *ret_err)
{
	int rc = producer_config_check(c, ret_err);
	int64_t reserve = j ? reserve_of(c) : 0;
	struct producer *p;
	struct accum_conf conf;
	struct err e;

	if (rc < 0)
		return rc;
	if (!j && c->partitioner == PARTITIONER_FILE && !c->partitioner_fn.partition)
		return fail(ret_err, ERR_CONFIG,
			    "partitioner.class: file needs log files, it is for the agent; a key does the same here");
	p = mem_new(struct producer);
	if (!p)
		return fail(ret_err, ERR_NOMEM, NULL);
	p->config = c;
	p->journaled = j != NULL;
	if (j)
		p->journal = *j;
	rc = budget_new(&p->budget, (size_t)c->buffer_memory, (size_t)reserve);
	if (rc < 0) {
		mem_free(p);
		return fail(ret_err, rc, rc == ERR_CONFIG ? "buffer.memory is too small" : NULL);
	}
	init_locks(p);
	conf = accum_conf_of(p, reserve);
	accum_init(&p->accum, &conf, p->budget);
	rc = sender_open(&p->sender, p, &e);
	if (rc < 0) {
		dismantle(p);
		return fail(ret_err, rc, rc == ERR_CONFIG ? e.text : NULL);
	}
	p->sender.refill_bytes = (size_t)reserve;
	*ret_p = p;
	return 0;
}

static uint32_t compressors(const struct producer_config *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (c->compress_threads > 0)
		return (uint32_t)c->compress_threads;
	return cores > 2 ? (uint32_t)cores - 1 : 1;
}

int producer_start(struct producer *p, struct producer_error *ret_err)
{
	const struct producer_config *c = p->config;
	int rc = 0;

	if (c->compression_type != CODEC_NONE)
		rc = compress_open(&p->compress, &p->accum, (enum codec)c->compression_type, codec_level(c), compressors(c));
	if (rc == 0)
		rc = thread_start(&p->thread, "sender", sender_run, p);
	if (rc < 0)
		return fail(ret_err, rc, NULL);
	p->running = true;
	return 0;
}

int producer_open(struct producer_config *c, struct producer **ret_p, struct producer_error *ret_err)
{
	struct producer *p;
	int rc = core_open(c, NULL, &p, ret_err);

	if (rc < 0)
		return rc;
	rc = producer_start(p, ret_err);
	if (rc < 0)
		producer_close(p, 0);
	else
		*ret_p = p;
	return rc;
}

/* --- waiting --- */

bool producer_wait(struct producer *p, int64_t at_ms)
{
	struct timespec ts = { .tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000) * 1000000 };

	if (at_ms < 0)
		return pthread_cond_wait(&p->cond, &p->mu) == 0;
	return pthread_cond_timedwait(&p->cond, &p->mu, &ts) == 0;
}

static int64_t deadline(int64_t timeout_ms)
{
	return timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
}

struct memory_wait { struct budget_waiter w; struct producer *p; bool told; };

static void memory_came(void *arg)
{
	struct memory_wait *m = arg;

	pthread_mutex_lock(&m->p->mu);
	m->told = true;
	pthread_cond_broadcast(&m->p->cond);
	pthread_mutex_unlock(&m->p->mu);
}

/* 0: try again; ERR_BUFFER_FULL: the time is over; ERR_CLOSED. */
static int wait_for_memory(struct producer *p, int64_t at_ms)
{
	struct memory_wait m = { .w = { .fn = memory_came }, .p = p };
	bool in_time = true;

	m.w.arg = &m;
	list_init(&m.w.node);
	budget_wait(p->budget, &m.w);
	pthread_mutex_lock(&p->mu);
	while (!m.told && in_time && !atomic_load(&p->accum.closed))
		in_time = producer_wait(p, at_ms);
	pthread_mutex_unlock(&p->mu);
	budget_unwait(p->budget, &m.w);
	if (atomic_load(&p->accum.closed))
		return ERR_CLOSED;
	return in_time ? 0 : ERR_BUFFER_FULL;
}

static bool topic_fits(const struct lane *l)
{
	int32_t count = atomic_load(&l->topic->partition_count);

	return count > 0 && count > l->partition;
}

/* The topic must be known, and the partition be one of it: a look at a lane of one that is not makes the sender ask. */
static int wait_for_topic(struct producer *p, struct lane *l, int64_t at_ms)
{
	bool in_time = true;

	while (in_time && !atomic_load(&p->accum.closed) && !topic_fits(l)) {
		int64_t again_ms = clock_mono_ms() + LOOK_AGAIN_MS;

		lane_look(l);
		pthread_mutex_lock(&p->mu);
		if (!topic_fits(l))
			producer_wait(p, at_ms < 0 || again_ms < at_ms ? again_ms : at_ms);
		pthread_mutex_unlock(&p->mu);
		in_time = at_ms < 0 || clock_mono_ms() < at_ms;
	}
	if (atomic_load(&p->accum.closed))
		return ERR_CLOSED;
	if (topic_fits(l))
		return 0;
	return atomic_load(&l->topic->partition_count) > 0 ? ERR_PARTITION : ERR_TIMEOUT;
}

static int no_topic(struct producer_error *err, const struct lane *l, int rc)
{
	char text[160];

	if (rc == ERR_TIMEOUT)
		return fail(err, rc, "no metadata of the topic within max.block.ms");
	if (rc != ERR_PARTITION)
		return fail(err, rc, NULL);
	snprintf(text, sizeof text, "partition %d does not exist: the topic has %d, and got no more within max.block.ms",
		 (int)l->partition, (int)atomic_load(&l->topic->partition_count));
	return fail(err, rc, text);
}

/* --- records --- */

static int send_record(struct producer *p, struct lane *l, const struct lane_record *r, int64_t at_ms)
{
	int rc;

	for (;;) {
		lane_begin(l, clock_mono_ms(), clock_wall_ms());
		rc = lane_append(l, r);
		lane_end(l);
		if (rc != ERR_AGAIN)
			return rc;
		rc = wait_for_memory(p, at_ms);
		if (rc < 0)
			return rc;
	}
}

int producer_send(struct producer *p, const struct producer_record *r, producer_done_fn *cb, void *arg,
		  struct producer_error *ret_err)
{
	int64_t at_ms = deadline(p->config->max_block_ms);
	struct lane_record lr = {
		.key = r->key, .key_len = r->key_len, .value = r->value, .value_len = r->value_len,
		.headers = r->headers, .header_count = r->header_count,
		.timestamp = r->timestamp < 0 ? clock_wall_ms() : r->timestamp, .fn = cb, .arg = arg,
	};
	struct lane *l;
	int rc;

	if (atomic_load(&p->accum.closed))
		return fail(ret_err, ERR_CLOSED, NULL);
	if (!r->topic || !r->topic[0])
		return fail(ret_err, ERR_CONFIG, "a record needs a topic");
	l = producer_lane(p, r->topic, r->partition);
	if (!l)
		return fail(ret_err, ERR_NOMEM, NULL);
	rc = wait_for_topic(p, l, at_ms);
	if (rc < 0)
		return no_topic(ret_err, l, rc);
	rc = send_record(p, l, &lr, at_ms);
	return rc < 0 ? fail(ret_err, rc, NULL) : 0;
}

int producer_flush(struct producer *p, int64_t timeout_ms)
{
	int64_t at_ms = deadline(timeout_ms);
	int rc = accum_seal_all(&p->accum);

	return rc < 0 ? rc : accum_flush(&p->accum, at_ms);
}

/* --- close --- */

int producer_close(struct producer *p, int64_t timeout_ms)
{
	int rc = 0;

	if (!p)
		return 0;
	atomic_store(&p->accum.closed, true);
	pthread_mutex_lock(&p->mu);
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->mu);
	if (p->running)
		rc = producer_flush(p, timeout_ms);
	else
		accum_seal_all(&p->accum);
	compress_close(p->compress);
	if (p->running) {
		loop_stop(&p->sender.loop);
		pthread_join(p->thread, NULL);
	}
	dismantle(p);
	return rc;
}

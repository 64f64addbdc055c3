/* producer.c - the face for library users: open, flush, close; and the parts both faces share. Sending is send.c.
 *
 * Why: see producer.h. All that waits for somebody else waits here and in send.c, on the caller's thread, nowhere below.
 * Order of creation: budget, accumulator, sender, (start) compressors, sender's thread. The end goes backwards.
 * Invariant: nothing is taken apart before every call that has begun (`users`) has ended; none begins once it is closed.
 * Threads: open and close one, the rest any. Locks: core.h.
 * Failure a half-opened producer is taken apart by the same function as a whole one.
 */
#include "producer/core.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"
#include "producer/code.h"

#define REQUEST_OVERHEAD 1024

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
		.unplaced_after_ms = p->journaled ? max64(c->max_block_ms, 1) : 0,
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
	list_init(&p->describes);
	p->down_since_ms = clock_mono_ms();
}

static void dismantle(struct producer *p)
{
	sender_discard(&p->sender);
	sender_close(&p->sender);
	reload_drop(p);
	accum_release(&p->accum);
	budget_free(p->budget);
	for (size_t i = 0; i < CORE_SCRATCHES; i++)
		intercept_scratch_free(atomic_load(&p->scratch[i]));
	intercept_free(p->intercept);
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
		return code_fail(ret_err, ERR_CONFIG, "partitioner.class: file needs log files; here "
				 "a key does the same");
	p = mem_new(struct producer);
	if (!p)
		return code_fail(ret_err, ERR_NOMEM, NULL);
	p->config = c;
	p->journaled = j != NULL;
	if (j)
		p->journal = *j;
	rc = budget_new(&p->budget, (size_t)c->buffer_memory, (size_t)reserve);
	if (rc < 0) {
		mem_free(p);
		return rc == ERR_CONFIG ? code_fail(ret_err, rc, "buffer.memory is too small") : code_fail(ret_err, rc, NULL);
	}
	init_locks(p);
	conf = accum_conf_of(p, reserve);
	accum_init(&p->accum, &conf, p->budget);
	rc = sender_open(&p->sender, p, &e);
	if (rc < 0) {
		dismantle(p);
		return rc == ERR_CONFIG ? code_fail(ret_err, rc, "%s", e.text) : code_fail(ret_err, rc, NULL);
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
		return code_fail(ret_err, rc, NULL);
	p->running = true;
	return 0;
}

int producer_open(struct producer_config *c, struct producer **ret_p, struct producer_error *ret_err)
{
	struct producer *p;
	int rc = core_open(c, NULL, &p, ret_err);

	if (rc < 0)
		return rc;
	rc = intercept_new(c->interceptors, &p->intercept, ret_err);
	if (rc == 0)
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

	int rc;

	beat_into("waiting for the sender");
	rc = at_ms < 0 ? pthread_cond_wait(&p->cond, &p->mu) : pthread_cond_timedwait(&p->cond, &p->mu, &ts);
	beat_out();
	return rc == 0;
}

int64_t producer_deadline(int64_t timeout_ms)
{
	int64_t now_ms = clock_mono_ms();

	if (timeout_ms < 0)
		return -1;
	return timeout_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + timeout_ms;	/* Java's "for ever" is the largest */
}

bool producer_on_sender(const struct producer *p)
{
	return pthread_equal(p->thread, pthread_self());
}

int producer_enter(struct producer *p)
{
	atomic_fetch_add(&p->users, 1);
	if (!atomic_load(&p->accum.closed))
		return 0;
	atomic_fetch_sub(&p->users, 1);
	return ERR_CLOSED;
}

void producer_leave(struct producer *p)
{
	atomic_fetch_sub(&p->users, 1);
}

/* Whoever leaves touches nothing of p afterwards, not even to say so: the end looks now and then. */
static void wait_until_gone(struct producer *p, const _Atomic uint32_t *count)
{
	pthread_mutex_lock(&p->mu);
	while (atomic_load(count))
		producer_wait(p, clock_mono_ms() + 1);
	pthread_mutex_unlock(&p->mu);
}

int producer_flush(struct producer *p, int64_t timeout_ms)
{
	int64_t at_ms = producer_deadline(timeout_ms), began_ns = clock_mono_ns();
	int rc;

	if (producer_on_sender(p))
		return PRODUCER_ERR_SYSTEM;
	rc = producer_enter(p);
	if (rc < 0)
		return code_public(rc);
	rc = accum_seal_all(&p->accum);
	if (rc == 0)
		rc = accum_flush(&p->accum, at_ms);
	atomic_fetch_add(&p->metrics.flush_ns, (uint64_t)(clock_mono_ns() - began_ns));
	producer_leave(p);
	return code_public(rc);
}

/* --- close --- */

/* Nobody appends any more, so the lanes are what they are, and this needs no memory. */
static void seal_rest(struct producer *p)
{
	struct lane *l;
	size_t it = 0;

	while ((l = map_next(&p->accum.lanes, &it)))
		lane_seal(l);
}

int producer_close(struct producer *p, int64_t timeout_ms)
{
	int64_t at_ms = producer_deadline(timeout_ms);
	int rc = 0;

	if (!p)
		return 0;
	if (producer_on_sender(p))
		return PRODUCER_ERR_SYSTEM;
	if (atomic_exchange(&p->closing, true))
		return PRODUCER_ERR_CLOSED;
	pthread_mutex_lock(&p->mu);
	atomic_store(&p->accum.closed, true);
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->mu);
	wait_until_gone(p, &p->sending);
	seal_rest(p);
	if (p->running)
		rc = accum_flush(&p->accum, at_ms);
	compress_close(p->compress);
	if (p->running) {
		loop_stop(&p->sender.loop);
		pthread_join(p->thread, NULL);
	}
	wait_until_gone(p, &p->users);
	dismantle(p);
	return code_public(rc);
}

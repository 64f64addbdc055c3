/* thread.c - threads and hand-over queues.
 *
 * Why: work moves between threads with its ownership, so that almost no state is shared (see ARCHITECTURE.md).
 * Invariants
 *  (1) count is the length of items; both change only under mu.
 *  (2) a push into an empty queue wakes the reader's loop after the lock is dropped, so the wake never waits for it.
 * Threads: any may push and close; the reader takes. mu is a leaf lock: nothing is called while it is held.
 */
#define _GNU_SOURCE
#include "agent/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "agent/base/beat.h"
#include "agent/base/err.h"

/* Sanitizers blow up stack frames; they get room for it. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_FACTOR 8
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_FACTOR 8
#endif
#ifndef STACK_FACTOR
#define STACK_FACTOR 1
#endif

#define STACK_BYTES (256u * 1024 * STACK_FACTOR)
#define NAME_MAX_LEN 15		/* the kernel's limit, without the NUL */

/* Signals belong to the main thread. Those that report a fault of the thread itself stay open. */
static void block_signals(sigset_t *ret_old)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_SETMASK, &set, ret_old);
}

int thread_start(pthread_t *t, const char *name, thread_fn *fn, void *arg)
{
	char short_name[NAME_MAX_LEN + 1];
	pthread_attr_t attr;
	sigset_t old;
	int rc;

	rc = pthread_attr_init(&attr);
	if (rc)
		return -rc;
	rc = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (!rc) {
		block_signals(&old);
		rc = pthread_create(t, &attr, fn, arg);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_attr_destroy(&attr);
	if (rc)
		return -rc;
	snprintf(short_name, sizeof short_name, "%s", name);
	pthread_setname_np(*t, short_name);
	return 0;
}

void thread_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attr);
	pthread_condattr_destroy(&attr);
}

void queue_init(struct queue *q, void (*wake)(void *), void *arg)
{
	*q = (struct queue){ .wake = wake, .wake_arg = arg };
	list_init(&q->items);
	pthread_mutex_init(&q->mu, NULL);
	thread_cond_init(&q->cond);
}

void queue_release(struct queue *q)
{
	ASSERT(list_empty(&q->items));
	pthread_cond_destroy(&q->cond);
	pthread_mutex_destroy(&q->mu);
}

void queue_push(struct queue *q, struct list *node)
{
	bool was_empty;

	pthread_mutex_lock(&q->mu);
	was_empty = list_empty(&q->items);
	list_push_back(&q->items, node);
	q->count++;
	pthread_cond_signal(&q->cond);
	pthread_mutex_unlock(&q->mu);
	if (was_empty && q->wake)
		q->wake(q->wake_arg);
}

static uint32_t take_locked(struct queue *q, struct list *out)
{
	uint32_t n = q->count;

	list_splice_back(out, &q->items);
	q->count = 0;
	return n;
}

uint32_t queue_take_all(struct queue *q, struct list *out)
{
	uint32_t n;

	list_init(out);
	pthread_mutex_lock(&q->mu);
	n = take_locked(q, out);
	pthread_mutex_unlock(&q->mu);
	return n;
}

/* Waits under mu for the next signal. False when at_ms has come. */
static bool wait_locked(struct queue *q, int64_t at_ms)
{
	struct timespec ts = { .tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000) * 1000000 };
	int rc;

	beat_into(BEAT_WAIT);
	rc = at_ms < 0 ? pthread_cond_wait(&q->cond, &q->mu) : pthread_cond_timedwait(&q->cond, &q->mu, &ts);
	beat_out();
	return rc != ETIMEDOUT;
}

uint32_t queue_wait_all(struct queue *q, struct list *out, int64_t at_ms)
{
	uint32_t n;

	list_init(out);
	pthread_mutex_lock(&q->mu);
	while (list_empty(&q->items) && !q->closed && wait_locked(q, at_ms))
		;
	n = take_locked(q, out);
	pthread_mutex_unlock(&q->mu);
	return n;
}

struct list *queue_wait_one(struct queue *q)
{
	struct list *node = NULL;

	beat();
	pthread_mutex_lock(&q->mu);
	while (list_empty(&q->items) && !q->closed)
		wait_locked(q, -1);
	if (!list_empty(&q->items)) {
		node = q->items.next;
		list_remove(node);
		q->count--;
	}
	pthread_mutex_unlock(&q->mu);
	return node;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->mu);
	q->closed = true;
	pthread_cond_broadcast(&q->cond);
	pthread_mutex_unlock(&q->mu);
	if (q->wake)
		q->wake(q->wake_arg);
}

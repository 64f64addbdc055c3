/* beat.c - see beat.h.
 *
 * Invariants
 *  (1) who reads `in` before `at_ms` and finds no excuse has a time at which there was none: both are stored in the other order.
 *  (2) the list holds only beats of threads that have not called beat_close: it waits for a beat_all under way.
 *  (3) after a fork the child's list is empty: its entries lay on stacks of threads that are not there, whose memory is used again.
 * Threads: any. Lock: mu, leaf; never taken by a thread that only beats.
 */
#include "agent/base/beat.h"

#include <pthread.h>
#include <stdatomic.h>

#include "agent/base/clock.h"

const char BEAT_WAIT[] = "wait";

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct beat *all;			/* lock: mu */
static _Thread_local struct beat *own;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
	pthread_mutex_lock(&mu);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&mu);
}

static void in_child(void)
{
	all = NULL;
	own = NULL;
	pthread_mutex_unlock(&mu);
}

static void watch_forks(void)
{
	(void)pthread_atfork(before_fork, in_parent, in_child);
}

static void store(struct beat *b, const char *in)
{
	atomic_store_explicit(&b->at_ms, clock_mono_ms(), memory_order_relaxed);
	atomic_store_explicit(&b->in, in, memory_order_release);
}

void beat_open(struct beat *b, const char *thread)
{
	(void)pthread_once(&fork_once, watch_forks);
	b->thread = thread;
	store(b, NULL);
	own = b;
	pthread_mutex_lock(&mu);
	b->next = all;
	all = b;
	pthread_mutex_unlock(&mu);
}

void beat_close(struct beat *b)
{
	pthread_mutex_lock(&mu);
	for (struct beat **at = &all; *at; at = &(*at)->next) {
		if (*at == b) {
			*at = b->next;
			break;
		}
	}
	pthread_mutex_unlock(&mu);
	if (own == b)
		own = NULL;
	b->next = NULL;
	b->thread = NULL;
}

void beat(void)
{
	if (own)
		store(own, NULL);
}

void beat_into(const char *what)
{
	if (own)
		store(own, what);
}

void beat_out(void)
{
	beat();
}

static void say(struct buf *to, const struct beat *b, const char *what, int64_t ms)
{
	if (to)
		buf_printf(to, "%s%s: %s for %lld s", to->len ? "; " : "", b->thread, what, (long long)(ms / 1000));
}

bool beat_all(int64_t now_ms, int64_t limit_ms, struct buf *ret_hung, struct buf *ret_slow)
{
	bool good = true;

	pthread_mutex_lock(&mu);
	for (const struct beat *b = all; b; b = b->next) {
		const char *in = atomic_load_explicit(&b->in, memory_order_acquire);
		int64_t ms = now_ms - atomic_load_explicit(&b->at_ms, memory_order_relaxed);

		if (ms <= limit_ms || in == BEAT_WAIT)
			continue;
		if (in) {
			say(ret_slow, b, in, ms);
		} else {
			say(ret_hung, b, "no progress", ms);
			good = false;
		}
	}
	pthread_mutex_unlock(&mu);
	return good;
}

void beat_pardon(int64_t now_ms, int64_t ms)
{
	pthread_mutex_lock(&mu);
	for (struct beat *b = all; b; b = b->next) {
		int64_t at = atomic_load_explicit(&b->at_ms, memory_order_relaxed);

		/* Else it has beaten meanwhile. */
		(void)atomic_compare_exchange_strong(&b->at_ms, &at, at + ms < now_ms ? at + ms : now_ms);
	}
	pthread_mutex_unlock(&mu);
}

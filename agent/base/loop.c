/* loop.c - the event loop.
 *
 * Each iteration, in this order: wait, now_ms, file descriptors, on_wake (if woken), due timers, on_round.
 *
 * Invariants
 *  (1) a callback is never called for a loop_fd after loop_fd_del: what is still to be delivered in this iteration
 *      is struck from `current`.
 *  (2) a timer fires once for each timer_set, never before its time; one that a timer's callback arms waits for the
 *      next iteration, so a timer that always re-arms itself cannot starve the file descriptors.
 *  (3) heap[1] is the earliest timer, heap[t->heap_index] == t for every armed one.
 *  (4) no wake-up is lost: the wake descriptor is emptied before `woken` is cleared, and `woken` is cleared before
 *      on_wake runs. One that comes in between costs at most a spare iteration.
 * Threads: the loop's, except loop_wake and loop_stop. Failure: loop_run returns -errno of epoll_wait.
 */
#include "agent/base/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"

#define EVENTS_MAX (int)(sizeof((struct loop *)0)->current / sizeof((struct loop *)0)->current[0])
#define HEAP_FIRST 16

int loop_init(struct loop *l, loop_fn *on_wake, loop_fn *on_round, void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int rc;

	*l = (struct loop){ .epoll_fd = -1, .wake_fd = -1, .on_wake = on_wake, .on_round = on_round, .arg = arg };
	l->now_ms = clock_mono_ms();
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->epoll_fd >= 0 && l->wake_fd >= 0 && epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) == 0)
		return 0;
	rc = -errno;
	loop_release(l);
	return rc;
}

void loop_release(struct loop *l)
{
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	mem_free(l->heap);
	*l = (struct loop){ .epoll_fd = -1, .wake_fd = -1 };
}

void loop_wake(struct loop *l)
{
	int saved = errno;	/* signal handlers call this */
	uint64_t one = 1;
	ssize_t n;

	if (!atomic_exchange(&l->woken, true)) {
		n = write(l->wake_fd, &one, sizeof one);
		(void)n;	/* only fails when the counter is full: then the loop wakes anyway */
	}
	errno = saved;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
	loop_wake(l);
}

/* --- File descriptors --- */

int loop_fd_add(struct loop *l, struct loop_fd *f, int fd, uint32_t events, loop_fd_fn *fn)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		f->fd = -1;
		return -errno;
	}
	*f = (struct loop_fd){ .fd = fd, .events = events, .fn = fn, .loop = l };
	return 0;
}

int loop_fd_mod(struct loop_fd *f, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	if (f->events == events)
		return 0;
	if (epoll_ctl(f->loop->epoll_fd, EPOLL_CTL_MOD, f->fd, &ev) < 0)
		return -errno;
	f->events = events;
	return 0;
}

void loop_fd_del(struct loop_fd *f)
{
	struct loop *l = f->loop;

	if (!l || f->fd < 0)
		return;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, f->fd, NULL);
	for (int i = 0; i < l->current_count; i++)
		if (l->current[i] == f)
			l->current[i] = NULL;
	f->fd = -1;
	f->loop = NULL;
}

/* --- Timers: a binary heap, 1-based so that index 0 can mean "not armed" --- */

static void heap_put(struct loop *l, uint32_t i, struct loop_timer *t)
{
	l->heap[i] = t;
	t->heap_index = i;
}

static void heap_up(struct loop *l, uint32_t i)
{
	struct loop_timer *t = l->heap[i];

	for (; i > 1 && l->heap[i / 2]->at_ms > t->at_ms; i /= 2)
		heap_put(l, i, l->heap[i / 2]);
	heap_put(l, i, t);
}

static void heap_down(struct loop *l, uint32_t i)
{
	struct loop_timer *t = l->heap[i];
	uint32_t child;

	while ((child = i * 2) <= l->heap_count) {
		if (child < l->heap_count && l->heap[child + 1]->at_ms < l->heap[child]->at_ms)
			child++;
		if (l->heap[child]->at_ms >= t->at_ms)
			break;
		heap_put(l, i, l->heap[child]);
		i = child;
	}
	heap_put(l, i, t);
}

static int heap_grow(struct loop *l)
{
	uint32_t cap = l->heap_cap ? l->heap_cap * 2 : HEAP_FIRST;
	struct loop_timer **heap = mem_realloc(l->heap, cap * sizeof *heap);

	if (!heap)
		return ERR_NOMEM;
	l->heap = heap;
	l->heap_cap = cap;
	return 0;
}

int timer_set(struct loop *l, struct loop_timer *t, int64_t at_ms, loop_timer_fn *fn)
{
	if (!t->heap_index) {
		if (l->heap_count + 1 >= l->heap_cap && heap_grow(l) < 0)
			return ERR_NOMEM;
		heap_put(l, ++l->heap_count, t);
	}
	/* Not earlier than now, else one armed with a time long past would always stand before the others. */
	t->at_ms = at_ms > l->now_ms ? at_ms : l->now_ms;
	t->fn = fn;
	t->round = l->round;
	heap_up(l, t->heap_index);
	heap_down(l, t->heap_index);
	return 0;
}

void timer_cancel(struct loop *l, struct loop_timer *t)
{
	struct loop_timer *last;
	uint32_t i = t->heap_index;

	if (!i)
		return;
	t->heap_index = 0;
	last = l->heap[l->heap_count--];
	if (last == t)
		return;
	heap_put(l, i, last);
	heap_up(l, i);
	heap_down(l, last->heap_index);
}

static void fire_timers(struct loop *l)
{
	l->round++;
	while (l->heap_count) {
		struct loop_timer *t = l->heap[1];

		if (t->at_ms > l->now_ms || t->round == l->round)
			return;
		timer_cancel(l, t);
		t->fn(t);
	}
}

/* --- Running --- */

static int wait_ms(const struct loop *l)
{
	int64_t left;

	if (!l->heap_count)
		return -1;
	left = l->heap[1]->at_ms - clock_mono_ms();
	if (left <= 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

static void empty_wake_fd(struct loop *l)
{
	uint64_t count;
	ssize_t n = read(l->wake_fd, &count, sizeof count);

	(void)n;	/* nothing there: somebody else's event */
}

static void deliver(struct loop *l, const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		l->current[i] = ev[i].data.ptr;
		if (!l->current[i])
			empty_wake_fd(l);
	}
	l->current_count = n;
	for (int i = 0; i < n; i++) {
		struct loop_fd *f = l->current[i];

		l->current[i] = NULL;
		if (f)
			f->fn(f, ev[i].events);
	}
	l->current_count = 0;
}

int loop_run(struct loop *l)
{
	struct epoll_event ev[EVENTS_MAX];
	int n;

	while (!l->stop) {
		beat_into(BEAT_WAIT);
		n = epoll_wait(l->epoll_fd, ev, EVENTS_MAX, wait_ms(l));
		if (n < 0 && errno != EINTR)
			return -errno;
		beat_out();
		l->now_ms = clock_mono_ms();
		deliver(l, ev, n < 0 ? 0 : n);
		if (atomic_exchange(&l->woken, false) && l->on_wake)
			l->on_wake(l->arg);
		fire_timers(l);
		if (l->on_round)
			l->on_round(l->arg);
	}
	l->stop = false;
	return 0;
}

/* loop.h - an epoll loop with timers and a wake-up, one for each thread that waits for file descriptors.
 *
 * Calling sequence: loop_init, (loop_fd_add | timer_set)*, loop_run until loop_stop, loop_release.
 * Threads: everything belongs to the loop's thread, except loop_wake and loop_stop (any thread).
 * Ownership: the caller owns the structs; they must outlive their registration.
 */
#ifndef SPILLWAY_LOOP_H
#define SPILLWAY_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/list.h"

struct loop;
struct loop_fd;
struct loop_timer;

typedef void loop_fd_fn(struct loop_fd *f, uint32_t epoll_events);
typedef void loop_timer_fn(struct loop_timer *t);
typedef void loop_fn(void *arg);

struct loop_fd {
	int         fd;			/* -1: not registered */
	uint32_t    events;
	loop_fd_fn *fn;
	struct loop *loop;
};

struct loop_timer {
	int64_t        at_ms;		/* CLOCK_MONOTONIC; valid while armed */
	uint32_t       heap_index;	/* 0: not armed */
	uint32_t       round;		/* loop.round when it was armed */
	loop_timer_fn *fn;
};

struct loop {
	int      epoll_fd, wake_fd;
	struct loop_timer **heap;	/* 1-based binary heap by at_ms */
	uint32_t heap_count, heap_cap;
	int64_t  now_ms;		/* taken once an iteration */
	uint32_t round;			/* counts the timer phases: what is armed in one fires in the next */
	loop_fn *on_wake, *on_round;	/* after loop_wake (coalesced); after each iteration's events. May be NULL */
	void    *arg;
	_Atomic bool stop, woken;
	struct loop_fd *current[64];	/* events being delivered, so that loop_fd_del inside a callback is safe */
	int      current_count;
};

int  loop_init(struct loop *l, loop_fn *on_wake, loop_fn *on_round, void *arg);
void loop_release(struct loop *l);
int  loop_run(struct loop *l);			/* until loop_stop; 0 or -errno */
void loop_stop(struct loop *l);			/* any thread; ends the loop_run under way, or the next one */
void loop_wake(struct loop *l);			/* any thread, async-signal-safe, cheap when already woken */

int  loop_fd_add(struct loop *l, struct loop_fd *f, int fd, uint32_t events, loop_fd_fn *fn);
int  loop_fd_mod(struct loop_fd *f, uint32_t events);	/* no system call when nothing changes */
void loop_fd_del(struct loop_fd *f);			/* does not close; fine when not registered */

/* Arms or moves; at_ms in the past fires in the next iteration. 0 or ERR_NOMEM. */
int  timer_set(struct loop *l, struct loop_timer *t, int64_t at_ms, loop_timer_fn *fn);
void timer_cancel(struct loop *l, struct loop_timer *t);
static inline bool timer_armed(const struct loop_timer *t) { return t->heap_index != 0; }

#endif

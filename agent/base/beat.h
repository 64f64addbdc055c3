/* beat.h - whether every thread makes progress: for the watchdog of systemd and for /healthz.
 *
 * A thread that goes round (a loop, a queue) has a beat. It beats at the top of each round and says before a call that may take
 * long and is nobody's bug (fsync, read from a file, a name lookup, waiting for work) what that is: inside one it is excused, and
 * whoever asks is told its words and for how long. Only a thread that is in neither for longer than allowed hangs.
 *
 * beat, beat_into and beat_out are about the calling thread's own beat, so that the place that makes a slow call need not know
 * on which thread it runs; on a thread without one (an embedder's) they do nothing.
 * Threads: beat_all and beat_pardon any. No locks in beat, beat_into and beat_out: two stores each.
 * A child that was forked has none of its parent's threads, and none of their beats.
 */
#ifndef SPILLWAY_BEAT_H
#define SPILLWAY_BEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"

/* Zeroed it is not registered; registered it has to stay where it is until beat_close. */
struct beat {
	const char *thread;			/* "tail", "sender", ...: static words */
	_Atomic int64_t at_ms;			/* CLOCK_MONOTONIC of the last beat, beat_into or beat_out */
	_Atomic(const char *) in;		/* static words of what may take long: "fsync", "read", ...; NULL */
	struct beat *next;			/* of all; beat.c's */
};

extern const char BEAT_WAIT[];			/* for work: never too long */

/* The calling thread begins, and ends, to have one. */
void beat_open(struct beat *b, const char *thread);
void beat_close(struct beat *b);		/* fine when not registered */
void beat(void);
/* Not nested: the inner beat_out ends the excuse. */
void beat_into(const char *what);
void beat_out(void);

/* Whether every thread beat within limit_ms or is excused. Else false, with words about those that hang: "tail: no progress for
 * 40 s". `ret_slow` gets words about threads that have been inside something but BEAT_WAIT for longer than limit_ms: "state: fsync
 * for 40 s". Both may be NULL, and are appended to; several are parted by "; ". */
bool beat_all(int64_t now_ms, int64_t limit_ms, struct buf *ret_hung, struct buf *ret_slow);
/* The whole process stood still for so long (stopped, the machine paused): nobody could beat, and it does not count. */
void beat_pardon(int64_t now_ms, int64_t ms);

#endif

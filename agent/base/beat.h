/* beat.h - whether every thread makes progress: for the watchdog of systemd and for /healthz.
 *
 * A thread that goes round (a loop, a queue) has a beat. It beats at the top of each round and says before a call that may take
 * long and is nobody's bug (fsync, read from a file, a name lookup, waiting for work) what that is: inside one it is excused, and
 * whoever asks is told its words and for how long. Only a thread that is in neither for longer than allowed hangs.
 * Threads: beat, beat_into, beat_out: the thread that owns it; the rest: any. No locks in the first three: one store each.
 */
#ifndef SPILLWAY_BEAT_H
#define SPILLWAY_BEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"

/* Zeroed it is not registered; registered it lives as long as the process or until beat_close. */
struct beat {
	const char *thread;			/* "tail", "sender", ...: static words */
	_Atomic int64_t at_ms;			/* CLOCK_MONOTONIC of the last beat, beat_into or beat_out */
	_Atomic(const char *) in;		/* static words of what may take long: "fsync", "read", "resolve", "wait"; NULL */
	struct beat *next;			/* of all; beat.c's */
};

void beat_open(struct beat *b, const char *thread);
void beat_close(struct beat *b);		/* fine when not registered */
void beat(struct beat *b);
void beat_into(struct beat *b, const char *what);
void beat_out(struct beat *b);

/* Whether every thread beat within limit_ms or is excused. Else false, with words about those that hang. `ret_slow` (may be
 * NULL) gets words about threads that have been inside something but "wait" for longer than limit_ms: "state: fsync for 40 s". */
bool beat_all(int64_t now_ms, int64_t limit_ms, struct buf *ret_hung, struct buf *ret_slow);

#endif

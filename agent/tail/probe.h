/* probe.h - asks a directory, on a thread of its own, whether its file system answers: a server that hangs holds up that thread
 * and nobody else.
 *
 * Calling sequence: probe_open (asks at once), (probe_ask, probe_look)*, probe_close.
 * Threads: the owner's, and the probe's own inside, on which `answered` is called. Lock: one a probe, leaf.
 */
#ifndef SPILLWAY_PROBE_H
#define SPILLWAY_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct probe;

struct probe_answer {
	int64_t asked_ms;	/* monotonic: since when an answer is awaited; 0: none is */
	int64_t answered_ms;	/* of the last one; 0: there was none yet */
	bool    remote;		/* it said: a network file system */
};

/* A directory that is not there: the nearest above it is asked. 0 or ERR_NOMEM. */
int  probe_open(const char *dir, void (*answered)(void *arg), void *arg, struct probe **ret);
/* No effect while an answer is awaited. */
void probe_ask(struct probe *p);
void probe_look(struct probe *p, struct probe_answer *ret);
/* Until nothing is awaited any more, at most so long. */
void probe_wait(struct probe *p, int64_t ms);
/* Never waits: a thread that hangs is left behind, and ends when the server answers. `answered` is not called any more.
 * NULL is fine. */
void probe_close(struct probe *p);

#endif

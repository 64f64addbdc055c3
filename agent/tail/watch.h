/* watch.h - inotify on directories: "something happened to this name".
 *
 * Threads: one. Ownership: the watch owns its descriptor; the caller polls watch_fd and calls watch_read.
 */
#ifndef SPILLWAY_WATCH_H
#define SPILLWAY_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct watch;

enum watch_what {
	WATCH_CHANGED,		/* bytes of this file */
	WATCH_NAME,		/* a name came, went or changed its rights */
	WATCH_MOVED_FROM,	/* with the cookie of a WATCH_MOVED_TO that may follow */
	WATCH_MOVED_TO,
	WATCH_TREE,		/* a directory came, went or moved: walk again */
};

typedef void watch_fn(void *arg, enum watch_what what, const char *path, uint32_t cookie);

/* When inotify cannot be had at all, the watch is `limited` from the beginning. 0 or ERR_NOMEM. */
int  watch_open(struct watch **ret_w);
void watch_close(struct watch *w);
int  watch_fd(const struct watch *w);			/* -1: none */

/* A round of watch_dir between begin and end says what shall be watched from now on; the others go. */
void watch_begin(struct watch *w);
void watch_dir(struct watch *w, const char *path);
void watch_end(struct watch *w);

/* Hands over what happened since, until there is no more. Returns how many events. */
unsigned watch_read(struct watch *w, watch_fn *fn, void *arg);
/* Events were lost (the kernel's queue ran over): look at everything. Asking clears it. */
bool watch_overflowed(struct watch *w);
/* A limit of inotify keeps some directory unwatched: look at everything often. */
bool watch_limited(const struct watch *w);
/* Tests: as if the kernel's queue had run over; events that are waiting are lost. */
void watch_overflow(struct watch *w);

#endif

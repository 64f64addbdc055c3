/* thread.h - named threads and a queue that hands work, and its ownership, from one to another. */
#ifndef SPILLWAY_THREAD_H
#define SPILLWAY_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/list.h"

typedef void *thread_fn(void *arg);

/* Starts a thread with all signals blocked, a small stack (256 KiB) and a name of at most 15 characters. 0 or -errno. */
int thread_start(pthread_t *t, const char *name, thread_fn *fn, void *arg);

/* One whose timed waits are by CLOCK_MONOTONIC. */
void thread_cond_init(pthread_cond_t *c);

/* Many writers, one reader. The nodes live inside what is handed over.
 * `wake` (may be NULL) is called after a push into an empty queue, outside the lock, for readers that sit in a loop. */
struct queue {
	pthread_mutex_t mu;		/* protects items, count, closed; leaf lock */
	pthread_cond_t  cond;		/* CLOCK_MONOTONIC */
	struct list     items;
	uint32_t        count;
	bool            closed;
	void          (*wake)(void *arg);
	void           *wake_arg;
};

void     queue_init(struct queue *q, void (*wake)(void *), void *arg);
void     queue_release(struct queue *q);		/* must be empty */
void     queue_push(struct queue *q, struct list *node);
/* Takes everything into *out (initialised by the callee). Returns how many. Never waits. */
uint32_t queue_take_all(struct queue *q, struct list *out);
/* The same, but waits until there is something, or until at_ms (CLOCK_MONOTONIC, -1: for ever) or queue_close. */
uint32_t queue_wait_all(struct queue *q, struct list *out, int64_t at_ms);
/* One item or NULL, for pools with several readers; waits until closed. */
struct list *queue_wait_one(struct queue *q);
void     queue_close(struct queue *q);

#endif

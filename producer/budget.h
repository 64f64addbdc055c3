/* budget.h - buffer.memory: how much record data may exist, and who waits when there is none.
 *
 * Why: a slow broker must slow the tailers, never the host. Files are durable; memory is not.
 *
 * All record bytes live in chunks of CHUNK_BYTES out of one mapping of buffer.memory bytes; a chunk that was never
 * used costs no RSS, and chunks are reused last in, first out, so that a quiet agent stays small.
 *
 * Invariants
 *  (1) used + free == total, always, on every error path too.
 *  (2) A share (the reserve) belongs to bytes that come back from elsewhere (BUDGET_REFILL): appenders never get it,
 *      so what was spilled can always be drained. Refill takes nothing but the reserve.
 *  (3) Waiters are told in arrival order, each once, after memory was given back; being told is no promise.
 *  (4) `tight` begins when an append finds too little and ends when no one waits and appenders have an eighth of the
 *      total free.
 * Threads: any. Lock: mu, leaf (no callback is called under it).
 */
#ifndef SPILLWAY_BUDGET_H
#define SPILLWAY_BUDGET_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/list.h"

#define CHUNK_BYTES 16384u

struct chunk {
	struct chunk *next;
	uint32_t used;		/* bytes of data[] that are filled */
	uint32_t share;		/* enum budget_share it was taken from */
	uint8_t  data[CHUNK_BYTES - 16];
};
#define CHUNK_DATA (sizeof((struct chunk *)0)->data)

enum budget_share { BUDGET_APPEND, BUDGET_REFILL, BUDGET_OVERDRAWN };

struct budget_waiter {
	struct list node;		/* list_init it once; linked while waiting */
	void (*fn)(void *arg);		/* called once from the thread that gives memory back, without locks: only wake someone */
	void *arg;
};

struct budget;

/* bytes is rounded down to whole chunks; reserve_bytes up. ERR_CONFIG when fewer than 8 chunks are left for appenders. */
int  budget_new(struct budget **ret_b, size_t bytes, size_t reserve_bytes);
void budget_free(struct budget *b);		/* NULL is fine; everything must have been given back */

/* One chunk (used = 0, next = NULL), or NULL when that share is dry; a failed append makes the budget tight. */
struct chunk *budget_take(struct budget *b, enum budget_share share, int64_t now_ms);
/* A chain of n >= 1 chunks, or NULL and nothing taken. After a failed append waiters are told only when that many chunks
 * are free, so that one long record does not make everyone spin on the few that are. */
struct chunk *budget_take_chain(struct budget *b, enum budget_share share, size_t n, int64_t now_ms);
/* A chunk beyond the total, from the heap; NULL: out of memory. For what must go on although memory is full and frees
 * memory by doing so: a few chunks, for a short time. Given back like any other. */
struct chunk *budget_overdraw(void);
/* Gives back a chain of any length (NULL is fine), then tells the waiters. */
void budget_give(struct budget *b, struct chunk *chain);

/* Waits for an append to have a chance. No effect when w is waiting already; if memory is free right now, fn is called at once. */
void budget_wait(struct budget *b, struct budget_waiter *w);
/* Afterwards w->fn is not running and will not be called, so w may go away. Not from within fn. */
void budget_unwait(struct budget *b, struct budget_waiter *w);
bool budget_has_waiters(struct budget *b);
/* When the present tight period began (CLOCK_MONOTONIC ms), or -1. */
int64_t budget_tight_since(struct budget *b);

size_t budget_total(const struct budget *b);
size_t budget_used(struct budget *b);		/* bytes, in whole chunks */

#endif

/* books.h - where every record is: read = acked + spooled + in_memory + rejected + dropped, at every moment.
 *
 * Each term is counted by whoever makes it happen: `read` by the tail thread, in_memory by the producer
 * (producer_in_memory), the rest by the state database in the transaction that caused it. The lock here only makes the
 * moves visible together, so that one snapshot is consistent; it corrects nothing, and a count that someone forgets
 * shows as books that do not balance.
 * Threads: any. Lock: mu (rank 2: behind a lane's lock, before the producer's others; held for counters only, never over I/O).
 */
#ifndef SPILLWAY_BOOKS_H
#define SPILLWAY_BOOKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "producer/journal.h"
#include "spool/spool.h"

struct books {
	pthread_mutex_t mu;
	struct producer *producer;	/* set once, before the threads start */
	uint64_t read;			/* Lock: mu. By the tail thread; at start for what earlier lives read; by the state
					 * thread for lines that go straight to the rejected ones. */
	struct spool_totals totals;	/* Lock: mu. As of the state database's last commit. */
};

struct books_snapshot {
	uint64_t read, acked, spooled, in_memory, rejected, dropped, filtered;
	struct spool_totals totals;
};

void books_init(struct books *b);
void books_release(struct books *b);
/* What earlier lives of this state directory left: everything recorded or restored was read once. */
void books_open(struct books *b, struct producer *p, const struct spool_totals *t);
/* Around a move: lock, change the producer's and the own counters, unlock. */
void books_lock(struct books *b);
void books_unlock(struct books *b);
void books_snapshot(struct books *b, struct books_snapshot *ret);
static inline bool books_balanced(const struct books_snapshot *s)
{
	return s->read == s->acked + s->spooled + s->in_memory + s->rejected + s->dropped;
}

#endif

/* purge.h - spooled rows and rejected records are given up by order, in slices of one transaction each.
 *
 * Why slices: nothing else is recorded while one is at work, and a spool may hold gigabytes.
 * Rows that have an identity, or that the sender was given already, are never purged: they may be in Kafka.
 */
#ifndef SPILLWAY_PURGE_H
#define SPILLWAY_PURGE_H

#include "agent/state/state.h"

struct purge {
	int64_t  after, upto;		/* ids: after moves on; rows behind upto came later than the question */
	bool     more;			/* out, as those below */
	uint64_t things, records;	/* of this slice: rows or rejected records, records */
	uint32_t kept;			/* rows of this slice that are on their way to Kafka */
};

/* st NULL: no agent runs. 0 or negative; then nothing of this slice has changed. Thread: state, or who opened the spool. */
int  purge_rows(struct spool *s, struct state *st, struct purge *p, struct err *ret_err);
int  purge_rejected(struct spool *s, struct purge *p, struct err *ret_err);

#endif

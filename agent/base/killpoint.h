/* killpoint.h - named places at which a test can have the process killed, as by kill -9, or a thread stand still for ever.
 *
 * Why in the product: exactly once across a crash is a claim about every place between two writes, and a test can only be
 * believed if it hits the places of the very program that is shipped. A place costs one load and a branch never taken.
 *
 * How: SPILLWAY_KILL=NAME:N in the environment raises SIGKILL when the place NAME is passed for the N-th time (N from 1; without
 * :N the first). `spillway killpoints` lists the names, one a line. Unknown names are refused at start. Only `run` looks.
 * SPILLWAY_HANG=NAME:N lets the thread that passes hang there instead: what a watchdog is for. Not both.
 * Threads: any. No lock.
 */
#ifndef SPILLWAY_KILLPOINT_H
#define SPILLWAY_KILLPOINT_H

#include <stdbool.h>

/* X(id, name): before and after each write whose order the promise rests on. */
#define KILLPOINTS(X) \
	X(KILL_SCHEMA_BEFORE, "schema.before")		/* tables are made or migrated, not committed */ \
	X(KILL_SCHEMA_AFTER, "schema.after") \
	X(KILL_RESTORE_BEFORE, "restore.before")	/* the database is open, an earlier life's WAL is read */ \
	X(KILL_RESTORE_AFTER, "restore.after")		/* its batches are in place, nothing is sent */ \
	X(KILL_FILE_BEFORE, "file.before")		/* a file was met, its row is not queued */ \
	X(KILL_READ_AFTER, "read.after")		/* lines are in the accumulator, nothing is recorded */ \
	X(KILL_IDENTITY_AFTER, "identity.after")	/* a fresh producer id came */ \
	X(KILL_LEDGER_BEFORE, "ledger.before")		/* the transaction of plans and acks is put together, not committed */ \
	X(KILL_LEDGER_AFTER, "ledger.after")		/* committed; nobody knows yet */ \
	X(KILL_SEND_BEFORE, "send.before")		/* a Produce request is put together, no byte has left */ \
	X(KILL_SEND_PART, "send.part")			/* some of its bytes have left, not all */ \
	X(KILL_SEND_AFTER, "send.after")		/* all have left */ \
	X(KILL_ANSWER_BEFORE, "answer.before")		/* an answer was read, nothing is done with it */ \
	X(KILL_ANSWER_AFTER, "answer.after")		/* its batches are judged, their end is not recorded */ \
	X(KILL_SPILL_BEFORE, "spill.before")		/* batches are in the spool's transaction, not committed */ \
	X(KILL_SPILL_AFTER, "spill.after") \
	X(KILL_REPLACE_BEFORE, "replace.before")	/* what takes a refused batch's place, not committed */ \
	X(KILL_REPLACE_AFTER, "replace.after") \
	X(KILL_PLACE_BEFORE, "place.before")		/* unplaced rows have become others, not committed */ \
	X(KILL_PLACE_AFTER, "place.after") \
	X(KILL_CHECKPOINT_BEFORE, "checkpoint.before")	/* the WAL is about to be folded in */ \
	X(KILL_CHECKPOINT_AFTER, "checkpoint.after")

enum killpoint {
#define KILLPOINT_ID(id, name) id,
	KILLPOINTS(KILLPOINT_ID)
#undef KILLPOINT_ID
	KILLPOINT_COUNT
};

/* Reads the environment; before threads start. False: *ret_bad asks for no such place, or for no such time, or for both. */
bool killpoint_init(const char **ret_bad);
const char *killpoint_name(enum killpoint k);

extern int killpoint_armed;			/* -1: none; set before threads start */
void killpoint_hit(void);
static inline void killpoint(enum killpoint k)
{
	if (__builtin_expect((int)k == killpoint_armed, 0))
		killpoint_hit();
}

#endif

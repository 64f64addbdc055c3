/* mockjournal.h - a journal in memory, with a thread of its own like the real one: what was recorded, what is kept. */
#ifndef SPILLWAY_TESTS_MOCKJOURNAL_H
#define SPILLWAY_TESTS_MOCKJOURNAL_H

#include <pthread.h>

#include "agent/base/thread.h"
#include "producer/journal.h"

struct mock_plan { int64_t producer_id; int16_t epoch; int32_t sequence, count; };
struct mock_cursor { struct lane *lane; int64_t row_id; };

struct mock_row {
	struct list node;
	int64_t  id;
	struct lane *lane;
	bool     identity;
	bool     counted;		/* producer_spilled was told */
	struct batch like;		/* its plain fields */
	uint8_t *bytes;
};

struct mock {
	struct producer *p;
	struct queue commands;
	pthread_t thread;

	pthread_mutex_t mu;		/* protects all below */
	struct mock_plan *plans;
	size_t   plan_count, plan_cap;
	struct list rows;
	struct list unread;		/* batches that were given back, until mock_take_unread */
	bool     unread_last;
	int    (*build)(struct batch *b, struct budget *m);	/* bytes of an absent batch that is in no row, or a survey */
	struct lane *unread_lane, *refuse;	/* the latter: spills of it are refused */
	int64_t  next_row, next_ledger;
	struct mock_cursor cursors[16];
	int      cursor_count;
	char     event[200];		/* the last one */
	char     topic_event[200];	/* the last one about a topic */
	char     told[8000];		/* all of those, as far as they fit */
	bool     started, may_double;	/* the latter: plans of batches out of files are answered, not recorded */

	/* Atomic: tests look at them, and set the failures (so many calls). */
	_Atomic uint64_t plan_calls, plans_answered, spilled, spill_calls, spilled_identity, refills, rewinds, loads, acked_records;
	_Atomic int64_t first_spill_ms;
	_Atomic uint64_t replaces, rejected;
	_Atomic bool give_up;		/* what is to be kept without an identity is given up */
	_Atomic uint64_t given_up;	/* records */
	_Atomic uint64_t lost;		/* records of which nothing is left */
	_Atomic uint64_t shrunk;	/* records that went when what is left of their batch was recorded */
	_Atomic uint64_t uncertain;	/* records that were recorded so */
	_Atomic int fail_spills, fail_plans, fail_loads, fail_replaces;
	_Atomic uint64_t spills_given;	/* calls of spill(), answered or not */
	_Atomic bool hold_spills;	/* a disk that takes its time: they are not answered before it is over */
	_Atomic int64_t replace_retry_ms;	/* after a failed replace(); 0: 50 */
	_Atomic int64_t damaged_row;	/* its bytes cannot be fetched for a batch any more; 0: none */
	_Atomic uint64_t unplanned;	/* batches that the broker saw before they were recorded */
};

void mock_open(struct mock *m, struct producer_journal *ret);
void mock_start(struct mock *m, struct producer *p);
void mock_close(struct mock *m);
/* A fake_seen_fn. */
void mock_seen(void *mock, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count);
/* Drops up to n of the lane's oldest rows that were not handed over, and tells the producer. Returns the records in them. */
uint64_t mock_forget(struct mock *m, struct lane *l, uint64_t n);
/* The caller appends to this lane. True: something was given back, and *ret_from is lowered to where its source begins. */
bool mock_take_unread(struct mock *m, int64_t *ret_from);
/* What an earlier life kept of this batch, before mock_start. */
void mock_add_row(struct mock *m, struct batch *b);
size_t mock_rows(struct mock *m);
uint64_t mock_records(struct mock *m);		/* in rows */

#endif

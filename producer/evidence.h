/* evidence.h - what became of batches that nobody answered: found in the log, provably not there, or not to be known.
 *
 * Why: answers to Produce prove nothing when a broker has forgotten a producer (it then takes anything), when all of them
 * are 45, or when a repeat is refused for what it holds. The leader's memory of producers and its log's batch headers do.
 *
 * The way	PRODUCERS -> LATEST -> EARLIEST -> OFFSET -> RECORDS (again, up to the high watermark) -> [wait -> PRODUCERS ...]
 *	alive		the leader remembers the identity and its last sequence is one of our boundaries: to send again
 *			under it is sound, every repeat will be recognised
 *	scanned		a consumer sees nothing above the high watermark, so what is found is committed: acknowledged. What is
 *			not found in a whole scan is not there *yet*: it may go again under its identity, for if a request
 *			of an earlier attempt still came, one of the two would be the repeat.
 *	absent		where its identity cannot go on (another writer, a forgotten or fenced one, a refused batch), it is
 *			proven only when no earlier request can still be under way: settle_at_ms, then one more look at both.
 *	unknown		nobody may look, or the log does not reach back, or has holes. Only then a guess has to be made.
 * A scan is whole if nothing was deleted where our batches may have been, and offsets have no gap (compaction).
 *
 * No I/O, no clock: time is an argument. Threads: the sender's.
 */
#ifndef SPILLWAY_EVIDENCE_H
#define SPILLWAY_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/api.h"

enum evidence_step {
	EVIDENCE_PRODUCERS,		/* DescribeProducers */
	EVIDENCE_LATEST,		/* ListOffsets: where the log ends, before anything else of it is asked */
	EVIDENCE_EARLIEST,		/* ListOffsets: where it begins */
	EVIDENCE_OFFSET,		/* ListOffsets: from_ms */
	EVIDENCE_RECORDS,		/* Fetch at `at` */
	EVIDENCE_WAIT,			/* nothing before wait_until_ms */
	EVIDENCE_DONE,
};

enum evidence_verdict {
	EVIDENCE_ALIVE,			/* all goes on under its identity */
	EVIDENCE_SCANNED,		/* items that are not found: again, under their identity */
	EVIDENCE_ABSENT,		/* items that are not found: nowhere, for certain */
	EVIDENCE_UNKNOWN,		/* items that are not found: nobody can tell */
};

/* One batch that was sent before, in the order of their sequences. */
struct evidence_item {
	int64_t producer_id; int16_t epoch; int32_t base_sequence, count; int64_t base_timestamp;
	bool    maybe;			/* may have been written; else it is known not to be, and only its boundary counts */
	bool    found; int64_t offset;
	bool    gone;			/* it cannot go again: only found, absent or unknown will do */
	bool    foreign;		/* somebody else's batch has its sequences */
};

struct evidence_conf {
	bool    resend;			/* its identity can go on; else only found, absent or unknown will do */
	bool    trust;			/* a living identity is enough, without a scan */
	bool    young;			/* if nobody may ask the leader's memory: it cannot have forgotten yet */
	bool    gaps;			/* batches before the oldest were given up */
	int64_t alive_since_ms;		/* wall time: an identity whose newest batch is older may be forgotten any moment */
	int64_t from_ms;		/* wall time: nothing of ours is older */
	int64_t settle_at_ms;		/* nothing of ours can come any more */
	int64_t tail_ms;		/* how long until the log's end is looked at again */
};

struct evidence {
	struct evidence_conf conf;
	struct evidence_item *items;
	uint32_t count;

	enum evidence_step step;
	enum evidence_verdict verdict;
	int64_t wait_until_ms;
	int64_t latest, earliest, start, at, high_watermark;	/* offsets; at: of the scan; -1: not known */
	bool    hole;			/* offsets are missing, or the log does not reach back */
	bool    unreadable;		/* this leader does not let us look into the log, or cannot */
	bool    settled;		/* nothing of ours could come any more when the present look began */
	bool    tail;			/* the leader remembers what is not committed yet */
	bool    forgotten;		/* it was asked, and does not remember the identity */
	bool    behind;			/* its memory ends before our oldest: it lost what it had acknowledged */
	bool    foreign;		/* of any of them */
	bool    append_time;		/* found, in a topic that stamps batches itself */
	uint32_t empty;			/* answers without a batch in a row */

	/* Of the answer that is being taken. */
	bool    seen, other;
	int32_t seen_sequence;
	int64_t seen_ms;
};

/* Copies items. NULL: out of memory. */
struct evidence *evidence_new(const struct evidence_conf *conf, const struct evidence_item *items, uint32_t count);
void evidence_free(struct evidence *e);

/* A wait is over? Call before asking. */
void evidence_tick(struct evidence *e, int64_t now_ms);

/* Answers. asked_ms: when the question was sent. evidence_see_producer is the fn of api_describe_producers_response, between the
 * two others. */
void evidence_expect_producers(struct evidence *e);
void evidence_see_producer(void *evidence, const struct api_producer_state *p);
void evidence_take_producers(struct evidence *e, int64_t asked_ms);
void evidence_take_offset(struct evidence *e, int64_t offset);
void evidence_take_records(struct evidence *e, const struct api_fetch *a, int64_t asked_ms);
/* What step asks for is not to be had: not offered, not permitted, not understood. */
void evidence_refused(struct evidence *e, int64_t now_ms);
/* The log is shorter than what was read of it (OFFSET_OUT_OF_RANGE): from the beginning. */
void evidence_rewind(struct evidence *e);

/* What is being waited for, in words. Returns buf. */
const char *evidence_text(const struct evidence *e, char *buf, size_t n);

#endif

/* lane.h - queues of batches before a partition is bound, and the accumulator that holds them.
 *
 * A lane is (topic, partition) where record or configuration decides the partition, (topic, -1) otherwise, and
 * (topic, LANE_UNPLACED) where a record decides and nobody knows yet how many partitions there are. Its batches move in one
 * order and never overtake each other:
 *
 *	open -> sealed -> (compressor, in place) -> ready -> stream
 *	        `----- accum->mu -----------------'  `- sender -'
 *
 * Invariants
 *  (1) order of a lane: returned, then what is only elsewhere (backlog), then ready, then sealed, then open.
 *  (2) in `sealed` only the head run of BATCH_READY may be taken; next_sealed is the first that waits for a compressor.
 *  (3) a lane is in accum->news when the sender does not know yet: a new lane, a new open batch (announced), a READY
 *      head, returned batches, an answered spill.
 *  (4) an open batch has at least one record.
 *  (5) a run of an unbound lane holds the lock of at most one bound lane. Others it has touched are parked: what is sealed
 *      of them, also by others that append there meanwhile, stays hidden until the run ends, for it may hold records that
 *      their caller has not counted yet.
 *  (6) a record that needs a partition joins the lane of one only while the topic's unplaced lane has nothing, be it in
 *      memory or elsewhere: what stands in it is older.
 * Locks: lane->mu is rank 1 (an unbound lane's may be held while a bound one's is taken, never the reverse), accum->mu is
 *	rank 2, the budget's is a leaf. Waking the sender takes no lock; the journal is called without any.
 */
#ifndef SPILLWAY_LANE_H
#define SPILLWAY_LANE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/map.h"
#include "producer/journal.h"
#include "producer/metadata.h"
#include "producer/partition.h"

struct accum_conf {
	uint32_t batch_max;		/* a batch with that many raw bytes is sealed; 0: each record alone */
	size_t   record_max;		/* larger ones are refused */
	bool     compressing;
	struct place_rule place;
	uint64_t seed;			/* of what is placed at random */
	int64_t  unplaced_after_ms;	/* so long records wait outside for the number of partitions; 0: for ever */
	void   (*wake)(void *arg);	/* the sender */
	void    *wake_arg;
};

struct lane {
	/* Set at creation, read-only after: any thread. */
	struct accum *accum;
	struct topic *topic;
	int32_t  partition;
	bool     waits;			/* what memory cannot hold goes back to its source, never elsewhere */

	/* Lock: mu (rank 1). Appenders and whoever seals. */
	pthread_mutex_t mu;
	struct batch *open;
	int64_t  now_ms, wall_ms;	/* of the run */
	uint32_t run_count;		/* records of the run, in whatever lane they are; 0 when they are counted */
	uint32_t run_uncounted;		/* records of runs that are not in this lane's in_memory yet */
	size_t   run_bytes;		/* not in `bytes` yet */
	bool     in_run;
	bool     parked;		/* in the run of the unbound lane, which holds another lane now */
	struct list hidden;		/* sealed in this run: shown when it ends, after it was counted */
	bool     announced;		/* the sender knows of an open batch */

	/* Lock: mu of the topic's unbound lane. */
	struct lane **bound;		/* unbound lane: the lane of each partition; NULL: not met yet */
	int32_t  bound_count;
	struct lane *target;		/* the bound lane this run holds, or NULL */
	struct list targets;		/* those that are parked */
	struct list target_node;	/* bound lane: in targets */
	struct place_state place;
	struct lane *unplaced;		/* unbound lane: where records wait for the number of partitions; NULL: not met yet */
	bool     unplaced_busy;		/* it has some */
	int64_t  unknown_since_ms;	/* since when that number is wanted, -1: it is not */

	/* Lock: accum->mu (rank 2). */
	struct list sealed;
	struct batch *next_sealed;
	struct list work_node, news_node;
	int64_t  opened_ms;		/* of the announced open batch, -1: nothing new */
	uint64_t backlog;		/* rows that are only elsewhere */
	struct list incoming;		/* returned, not seen by the sender yet */
	bool     refill_answered;
	int      refill_rc;
	uint32_t spilling;		/* batches without identity at the journal */

	/* Atomic. */
	_Atomic uint64_t in_memory;	/* records */
	_Atomic size_t bytes;		/* as they were laid out, of batches whose bytes are in memory */
	_Atomic size_t share;		/* the most of them; 0: no bound. Set by the sender */
	_Atomic bool held;		/* the sender cannot send because of a fault of this topic or partition */
	_Atomic bool full;		/* an append found the share used up, and nothing has left memory since */
	_Atomic bool shut;		/* takes nothing; stored under mu */
	_Atomic bool returned_all;	/* shut: the source goes on at the oldest of what it got back */
	_Atomic(struct lane *) refuser;	/* the lane that refused the last append to this one so */
	_Atomic int64_t rescue_until_ms;	/* what it holds is nowhere else, or soon will not be; 0: no */
	_Atomic bool streams;		/* some of what it holds is nowhere else, always: no file has it */

	/* Thread: sender. Its copies, taken with the news, are never more hopeful than the truth. */
	int64_t  announced_ms;		/* of opened_ms, -1 */
	uint64_t seen_backlog;
	uint32_t seen_spilling;
	bool     refill_done;
	int      refill_result;
	bool     known;			/* in the lists below */
	struct list node;		/* all lanes */
	struct list busy_node;		/* lanes with anything below, or in streams */
	struct list linger_node;	/* lanes with an announced open batch, by due time */
	struct list unplaced_node;	/* unplaced lanes that may have something */
	int64_t  linger_at_ms;
	bool     seal_due;		/* seal as soon as nothing of this lane waits to be sent */
	int64_t  seal_by_ms;		/* or then, if the lane can send at all: one partition must not hold up the others */
	struct list ready;		/* in memory */
	struct list returned;		/* brought back, to be sent first */
	uint32_t returned_count;
	struct list bounced;		/* a spill failed: back to the head of ready, when all of it is answered */
	uint32_t in_streams;		/* batches with an identity, unanswered */
	uint32_t unsent;		/* of them, never sent */
	uint32_t planning_rows;		/* of them, rows whose identity is not recorded yet */
	uint32_t spilling_planned;	/* of them, at the journal to be kept */
	bool     spill_mode;
	int64_t  since_ms;		/* when it last began to have something, -1: it has nothing */
	int64_t  last_good_ms;		/* the last good answer, -1 */
	int64_t  spill_at_ms;		/* not before: a spill failed */
	bool     refilling, rewind_due;
	int64_t  refill_at_ms;		/* not before */
	uint64_t earlier;		/* rows of an earlier life that are not planned yet; about: 0 when there are none */
	bool     behind;		/* a lane that waits: its topic's other lane has such rows, they are older */
	struct sticky sticky;
	bool     usable;		/* could send in this round */
	bool     bounded;		/* it has a share of memory */
	bool     giving_back;		/* shut, and not all has been given back yet */
	int64_t  shut_ms;
	bool     missing_reported;	/* it was told that the topic has no such partition */
	int64_t  ask_at_ms;		/* for that partition; not before */
};

struct accum {
	/* Set at open. */
	struct accum_conf conf;
	struct budget *budget;

	/* Lock: mu (rank 2). */
	pthread_mutex_t mu;
	struct map  lanes, topics;
	struct list news;		/* lanes, by news_node */
	struct list work;		/* lanes with sealed batches for the compressors, by work_node */
	pthread_cond_t work_cond;
	bool        no_more_work;	/* compressors end when work is empty */
	uint64_t    serial;		/* batches sealed so far */
	int64_t     stuck_file, stuck_offset;	/* producer_keep_source asked, and the sender has not looked; file 0: no */
	struct list flushes;		/* struct flush: those who wait for what was sealed before */
	pthread_cond_t settled_cond;	/* CLOCK_MONOTONIC */

	/* Atomic. */
	_Atomic uint64_t in_memory;	/* records */
	_Atomic uint32_t live;		/* changed under mu: sealed batches whose bytes are in memory only */
	_Atomic uint32_t recording;	/* acknowledged batches whose end the journal records */
	_Atomic bool     dry;		/* an append found no memory since the sender last looked */
	_Atomic bool     closed;	/* no more records */
};

int  accum_init(struct accum *a, const struct accum_conf *conf, struct budget *budget);
/* All lanes must be empty. */
void accum_release(struct accum *a);
struct lane *accum_lane(struct accum *a, const char *topic, int32_t partition, bool waits);
struct topic *accum_topic(struct accum *a, const char *topic);

/* --- the sender's and the compressors' side --- */

/* The next lane with news, its READY head run moved to `ready`, its incoming batches to `returned`, the copies renewed.
 * NULL: none left. */
struct lane *accum_next_news(struct accum *a);
/* Seals an open batch that was opened before `before_ms`. Returns when the one that stays was opened, -1: none is open
 * (then it has to be announced again). */
int64_t lane_seal_older(struct lane *l, int64_t before_ms, int64_t now_ms);
/* Seals the open batch if it holds this byte. */
void lane_seal_source(struct lane *l, int64_t file_id, int64_t offset, int64_t now_ms);
/* No more appends; what is open is sealed. */
void lane_shut(struct lane *l);
void lane_reopen(struct lane *l);
/* Of a lane that is shut: everything has come to the sender. */
bool lane_is_empty(struct lane *l);
/* Raw bytes of the open batch. */
uint32_t lane_open_bytes(struct lane *l);
/* Makes the sender look at this lane. Holding accum->mu; wake afterwards. */
void lane_has_news(struct lane *l);
/* The same, from outside. */
void lane_look(struct lane *l);
/* n batches that were brought back are only elsewhere again. */
void lane_add_backlog(struct lane *l, uint64_t n);
/* n batches go to the journal to be kept elsewhere, or come back. */
void lane_add_spilling(struct lane *l, int32_t n);
void accum_wake(struct accum *a);
/* An unplaced lane of which the sender has nothing more: if nobody else has, records are placed at once from here on. False:
 * there is something still. */
bool accum_all_placed(struct lane *u);
/* Where a record of an unbound lane goes: as place_record. Any thread. */
int  lane_place(struct lane *l, const struct lane_record *r, int32_t *ret);
/* A batch of this accumulator gave its bytes back for good: answered, failed or kept elsewhere. Any thread. */
void accum_settled(struct accum *a, struct batch *b);
/* n more batches of its serial are to settle before b has settled as a whole. */
void accum_cut(struct accum *a, struct batch *b, uint32_t n);
/* Waits until every batch that is sealed now has settled, or until at_ms (CLOCK_MONOTONIC; -1: for ever). 0 or ERR_TIMEOUT. */
int  accum_flush(struct accum *a, int64_t at_ms);
/* Seals every open batch. Any thread. 0 or ERR_NOMEM. */
int  accum_seal_all(struct accum *a);
/* So long what is nowhere else waits, at most, before it is kept elsewhere or gathers unplaced. */
#define LANE_RESCUE_MS 1000
/* The bytes of a batch leave memory, or are paid by others from now on. Any thread that owns b. */
void lane_uncount_bytes(struct batch *b);
/* Takes a batch's records out of the books of memory, if they are in. Any thread that owns b. */
void accum_uncount(struct accum *a, struct batch *b);
/* What it has lost is recorded. */
void accum_shrunk(struct accum *a, struct batch *b);

#endif

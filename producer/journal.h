/* journal.h - the producer's second face, for a caller who records what is about to be sent before it is sent.
 *
 * Why: Kafka's idempotent producer forgets its sequences when the process dies. A caller who commits each batch's
 * identity before its first byte can reach a socket, and repeats it under that identity after a crash, doubles nothing.
 * The producer does not know where a journal keeps things; it only knows that batches can be *recorded*, *kept
 * elsewhere* and *brought back*.
 *
 * The way of a batch, with a journal
 *	lane: OPEN -> SEALED -> COMPRESSING -> READY
 *	READY -> PLANNING: the sender binds a partition, assigns the next sequences and calls plan(); the journal commits
 *	    and answers producer_planned() -> PLANNED -> SENT -> answer
 *	answer good: acked() hands the batch over for good (bytes already given back); the journal commits, then calls
 *	    producer_recorded(), which frees it.
 *	memory tight for max.block.ms and no answer on its lane for as long: spill() hands over READY batches, oldest first,
 *	    and unanswered ones that are on no socket; the journal commits bytes and sources, then producer_spilled().
 *	    From then on until the next answer every batch of the lane is spilled as soon as it is READY.
 *	    A spilled batch of the lane is gone from memory, the lane only counts it (backlog); an unanswered one (placed)
 *	    stays in its stream without bytes (BATCH_ABSENT, row_id and ledger_id set: the journal records an identity that it
 *	    was not told to record before).
 *	a lane that is held (its topic or partition does not take anything, brokers do): all of them together have an eighth
 *	    of buffer.memory. What comes near that is spilled at once; where spill() finds no room, lane_append refuses.
 *	a lane with a backlog sends: returned batches, then the backlog, then what is in memory. When it can send it calls
 *	    refill(); the journal reads the oldest rows, in order, and answers producer_returned().
 *	an absent batch whose turn it is: load(), then producer_loaded().
 *	a batch that was refused for what it holds: replace(), then producer_replaced(). In one transaction its ledger row,
 *	    its spooled row and its sources end, its parts (b->cut->parts) are kept with their identities and bytes, the
 *	    records taken out of it (b->cut->records) are set aside as rejected, and those behind it whose identity changes
 *	    with it (b->cut->others) are recorded anew. Nothing of it is sent before.
 *
 * Order in a lane: in flight -> returned -> backlog -> memory. A stream (topic, partition) sends in sequence order only.
 * After anything unanswered (lost connection, time-out, restart) a stream recovers: it sends what may have been written
 * oldest first, one at a time, under the old identity, and nothing new behind it until that is answered. A 45
 * (OUT_OF_ORDER_SEQUENCE_NUMBER) in recovery followed by a success of a later batch proves the earlier one written.
 * Where the broker may have forgotten the identity, or answers prove nothing, its memory of producers and its log are asked
 * first. What is not there is planned again under a fresh identity, and so is, with `uncertain`, what nobody can tell of.
 * A batch that load() cannot build again out of its sources is asked for as well. Only if it is not there, or nobody can tell,
 * load() is asked once more, with `gone` set, for what is left of it. That is planned again; plan() drops the rest.
 * At the orderly end it is asked for that before anybody knows, with `keep_rest` set: then what is left is spilled, and restored
 * as a batch that is gone, with a row_id and kept_rest.
 *
 * Threads: the journal's functions are called on the sender thread and must not wait. producer_* functions below may be
 * called from any thread; they queue and wake the sender.
 */
#ifndef SPILLWAY_JOURNAL_H
#define SPILLWAY_JOURNAL_H

#include "agent/base/err.h"
#include "producer/batch.h"

struct producer_journal {
	void *arg;
	/* plan() need not record anything before it answers: batches may reach a socket unrecorded (ledger_id 0). What cannot
	 * be proven to be in Kafka is sent again under another identity then, instead of being held. */
	bool may_double;
	/* List arguments: the callee takes every element. */
	/* With lost_ranges: those end as dropped, in the same transaction; then producer_shrunk. */
	void (*plan)(void *arg, struct list *batches);
	void (*acked)(void *arg, struct list *batches);
	/* Batches of an earlier life of which load() could bring nothing back: counted as dropped, then producer_recorded(). */
	void (*lost)(void *arg, struct list *batches);
	/* Of one that is gone: the records of its ranges. When some of a lane cannot be kept, nothing that follows it in the list
	 * and has no identity may be. */
	void (*spill)(void *arg, struct list *batches);
	/* b->gone: no bytes are wanted, but with keep_rest. Ranges whose records are nowhere any more go to the end of its
	 * ranges; range_count counts the others, lost_ranges those; raw_crc and raw_bytes are of the others' records.
	 * ERR_BAD_DATA: nothing is left. */
	void (*load)(void *arg, struct batch *b);
	void (*replace)(void *arg, struct batch *b);
	/* Batches of a lane that waits (producer_waiting_lane): their source is to go on at the oldest of these records again.
	 * They were never sent, and nothing newer of the lane is left. Answered by producer_unread, last as it was given; until
	 * then the lane takes nothing. The list may be empty. */
	void (*unread)(void *arg, struct lane *l, struct list *batches, bool last);
	/* Up to max_batches / max_bytes of the oldest rows of this lane behind the `returned` ones handed over before. Of a lane
	 * LANE_UNPLACED nothing is handed over: some of its oldest rows go to the lanes of their partitions (place.h), in one
	 * transaction; then producer_kept for each of those lanes, and producer_returned says how many are gone. */
	void (*refill)(void *arg, struct lane *lane, uint32_t max_batches, size_t max_bytes);
	/* Forget how far refill() has come in this lane: the next one starts at the oldest row without identity again. What
	 * refill() handed over before was thrown away. Never while a refill of the lane is unanswered. */
	void (*rewind)(void *arg, struct lane *lane);
	/* A topic has so many partitions: to be given to producer_set_partitions in the next life. NULL: nobody keeps it. */
	void (*partitions)(void *arg, const char *topic, int32_t count);
	/* Something people should know: a broker came or went, a lane is held. what is NULL when the fault is over.
	 * topic NULL: about a broker or the cluster. */
	void (*event)(void *arg, const char *topic, int32_t partition, const char *what);
};

/* Opens without starting the threads, so that restored batches and backlogs can be put in place first. */
int  producer_open_journaled(struct producer_config *c, const struct producer_journal *j, struct producer **ret_p,
			     struct producer_error *ret_err);
int  producer_start(struct producer *p, struct producer_error *ret_err);

/* --- lanes: any thread --- */

/* The partition of a topic's lane of records that came before anybody knew how many partitions it has, and that need one by
 * their key, their turn or a header. Nobody appends to it by name: the unbound lane does, once the number was waited for in
 * vain for max.block.ms. It may be kept elsewhere like any lane, but is never sent: see refill(). */
#define LANE_UNPLACED (-2)

/* Finds or makes the lane of (topic, partition); partition -1: unbound, the partitioner decides for each record, or for
 * each batch when it is planned. Lives as long as the producer. NULL: out of memory. */
struct lane *producer_lane(struct producer *p, const char *topic, int32_t partition);
/* The same, for records whose source keeps them until they are in Kafka: what memory cannot hold is not spilled but given back
 * by unread(), and lane_append answers ERR_LANE_FULL until the lane can send again. A lane of its own. */
struct lane *producer_waiting_lane(struct producer *p, const char *topic, int32_t partition);
/* From now on this lane also has records that no file holds: when memory is dry, what it has is spooled at once and not after
 * max.block.ms, and lane_append never waits for more than that. Any thread. */
void lane_has_streams(struct lane *l);
const char *lane_topic(const struct lane *l);
int32_t     lane_partition(const struct lane *l);

/* A run of appends. lane_begin takes the lane's lock, lane_end gives it back. In between only lane_append, and at the end
 * lane_count, which adds the run's records to producer_in_memory(), returns how many, and takes no lock: the caller may hold
 * one for its own counters, which lane_end must not be called under. Without it lane_end counts. */
void     lane_begin(struct lane *l, int64_t now_ms, int64_t wall_ms);
uint32_t lane_count(struct lane *l);
uint32_t lane_end(struct lane *l);
struct lane_record {
	const void *key, *value;		/* NULL: null */
	size_t key_len, value_len;
	const struct producer_header *headers;
	size_t header_count;
	int64_t timestamp;			/* -1: the run's wall_ms */
	const void *place;			/* what decides for partitioner.class: file; NULL: placed as by default */
	size_t place_len;
	const struct source_range *source;	/* NULL: none */
	uint32_t parts;				/* so many before it in the array are its first lines, apart from it: count is 0 */
	producer_done_fn *fn;
	void *arg;
};
/* 0: the record is in a batch, its source is joined to the batch's. ERR_AGAIN: no memory, nothing happened: wait with
 * budget_wait on producer_budget. ERR_UNAVAILABLE: the partitioner must know how many partitions there are, and does not yet,
 * or what came before it did is being placed: try again. ERR_LANE_FULL: a lane that is held has used up its share of memory,
 * and found no room in its share elsewhere; its own source waits (lane_takes), others go on. ERR_PARTITION: a partitioner of
 * one's own chose none. ERR_TOO_LARGE: larger than max.request.size or than memory can hold. */
int  lane_append(struct lane *l, const struct lane_record *r);
/* After ERR_LANE_FULL: whether it is worth to try again. Costs nothing. Any thread. */
bool lane_takes(struct lane *l);
/* A fault of its topic or partition keeps it from sending, other than that no broker answers. Any thread. */
bool lane_held(const struct lane *l);
/* Seals the open batch of a lane, whatever its age. */
void lane_seal(struct lane *l);
/* The source of what this lane holds is about to vanish: its open batch is sealed, and if nothing of the lane can be sent
 * for a second it is spilled, whether memory is dry or not. Holds for 3 s: to be said again while it is so. */
void lane_rescue(struct lane *l);

struct budget *producer_budget(struct producer *p);
/* A batch with records as they are laid out gets its CRCs, and is compressed as compression.type says, if it can be. Any
 * thread that owns it. */
void producer_pack(struct producer *p, struct batch *b);

/* --- before producer_start --- */

/* A batch of an earlier life, without bytes, with identity, ledger_id, ranges and (maybe) row_id; in ledger order. The
 * producer takes it. Its stream recovers with it before anything new is sent. counted says whether it is in memory's books. */
int  producer_restore(struct producer *p, const char *topic, struct batch *b);
/* n batches of this lane are kept elsewhere. */
void producer_set_backlog(struct producer *p, struct lane *l, uint64_t n);
/* The state directory was moved, copied or restored, or clocks cannot be believed: nobody can tell how old restored batches
 * are, or who else has them. There is evidence before any of them is sent. */
void producer_ages_unknown(struct producer *p);
/* So many partitions it had in an earlier life: keyed records go there until metadata says otherwise. */
void producer_set_partitions(struct producer *p, const char *topic, int32_t count);

/* --- answers of the journal: any thread; they take the batches back --- */

void producer_planned(struct producer *p, struct list *batches, int rc);	/* rc < 0: nothing is recorded; retried later */
void producer_shrunk(struct producer *p, struct batch *b);	/* what it has lost is recorded; then producer_planned */
void producer_recorded(struct producer *p, struct list *batches);		/* frees them at once, on the caller's thread */
/* rc 0: bytes are safe elsewhere (row_id set), or the batch was given up and is recorded so (row_id 0; only one that is not
 * placed). rc < 0: they are not; the lane keeps them and tries again after retry_ms. ERR_SPOOL_FULL may be said of some lanes
 * alone; then of all batches of such a lane that were given together. */
void producer_spilled(struct producer *p, struct list *batches, int rc, int64_t retry_ms);
/* rc < 0: nothing has changed; given again after retry_ms. ERR_SPOOL_FULL: there is no room for rejected records. */
void producer_replaced(struct producer *p, struct batch *b, int rc, int64_t retry_ms);
/* rc ERR_AGAIN: no memory yet. ERR_BAD_DATA, ERR_CORRUPT: the bytes are nowhere any more, lost() follows. Others: an event,
 * and tried again. */
void producer_loaded(struct producer *p, struct batch *b, int rc);
/* The batches carry lane, row_id, count, codec, CRCs and bytes. They leave the lane's backlog, and so do `gone` rows that
 * will never come (damaged, set aside). rc < 0 (ERR_AGAIN: no memory of the reserve yet): asked for again later. */
void producer_returned(struct producer *p, struct lane *l, struct list *batches, uint64_t gone, int rc);

/* The source goes on there. Frees the batches, on the caller's thread; they leave producer_in_memory. */
void producer_unread(struct producer *p, struct lane *l, struct list *batches, bool last);

/* n more batches of this lane are kept elsewhere, behind those that are. Any thread. */
void producer_kept(struct producer *p, struct lane *l, uint64_t n);

/* n rows of this lane's backlog, which refill() has not handed over yet, are gone for good (dropped, purged). Any thread, but
 * behind the producer_spilled of these rows. */
void producer_forgotten(struct producer *p, struct lane *l, uint64_t n);

/* Too much of a file is finished behind this byte of it: the unanswered batch that holds it is to be kept elsewhere, and with
 * it what its lane has in memory, until the lane is answered again. Any thread. A batch on a socket stays there. */
void producer_keep_source(struct producer *p, int64_t file_id, int64_t offset);

/* --- the end --- */

/* Orderly stop, two steps. First: seal and deliver; returns true when nothing is left in memory or elsewhere, false after
 * timeout_ms, or, where giving up early is asked for, as soon as no broker is connected or only held lanes have something
 * left. */
bool producer_drain(struct producer *p, int64_t timeout_ms, bool give_up);
/* Second: stops the sender, closes every socket, then hands over through spill() what `keep` says must outlive the
 * process: all unanswered batches with identity, and of every lane the batches up to its last one that keep() wants. The
 * rest is thrown away: its source still has it. Waits until the journal answered. After it only producer_close. */
void producer_stop(struct producer *p, bool (*keep)(void *arg, const struct batch *b), void *arg);

/* --- looking in: any thread --- */

/* Records in batches that are neither recorded nor kept elsewhere. Changes only inside lane_count, lane_end,
 * producer_restore, producer_shrunk, producer_recorded, producer_spilled and producer_replaced (on the caller's thread), so
 * that a caller can move its own counters together with it under one lock of its own. */
uint64_t producer_in_memory(const struct producer *p);

struct producer_broker_stat { int32_t id; char host[256]; int port; char state[12]; char error[400];
			      bool refused; };	/* down because of credentials or certificates */
struct producer_partition_stat {
	char topic[250]; int32_t partition, leader; uint64_t records, bytes; int64_t last_offset; char error[128];
};
struct producer_lane_stat {
	char topic[250]; int32_t partition;
	bool waits;				/* producer_waiting_lane */
	bool held, full;			/* full: it refuses appends, see lane_append */
	char reason[400];
	uint64_t in_memory, backlog;
};
struct producer_stat {
	int64_t  producer_id; int16_t producer_epoch;
	size_t   buffer_total, buffer_used;
	uint32_t in_flight;
	bool     any_broker_up;
	int64_t  last_ack_ms;			/* CLOCK_MONOTONIC, -1 never */
	char     security_note[400];		/* why older certificates or tokens go on being used, "" */
	struct producer_broker_stat *brokers; size_t broker_count;
	struct producer_partition_stat *partitions; size_t partition_count;
	struct producer_lane_stat *lanes; size_t lane_count;
};
/* A copy made by the sender thread at its next round (waits for it, at most some ms). 0 or ERR_NOMEM / ERR_CLOSED. */
int  producer_stat(struct producer *p, struct producer_stat *ret);
void producer_stat_release(struct producer_stat *s);

#endif

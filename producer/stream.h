/* stream.h - one (topic, partition) as Kafka sees it: producer id, epoch, sequences, and what is unanswered.
 *
 * Why: a broker recognises a repeat by (producer id, epoch, first and last sequence) alone, remembers five batches while
 * it runs but one after its own restart, and accepts anything from a producer it never heard of. All rules that make
 * "sent again" safe live here, without sockets and without a clock.
 *
 * States
 *	flowing     -> recovering	an attempt failed, or its connection was lost, or batches of an earlier life wait
 *	recovering  -> flowing		everything that was ever sent is resolved
 *	held	    a pause of a state, with Kafka's code as reason: the same again, slowly
 *	in doubt    nothing is sent before there is evidence of what became of what was sent (stream_doubt.c)
 *	cutting	    the oldest batch was refused for what it holds, for certain: others take its place (sender_cut.c)
 *
 * Invariants (stream_check)
 *  (1) slots are in sequence order; within one identity each begins where the one before ended (modulo 2^31),
 *      except behind a proven one, which may be unanswered when later ones are not.
 *  (2) flowing: the sent ones are a prefix of slots, at most in_flight, and one alone until the identity is warm.
 *  (3) recovering: at most one is sent, always the oldest that is not set aside as out of order; nothing new joins.
 *  (4) what may have been written is never given another identity.
 *  (5) a new identity is taken only when no slot is left, or when none of them can have been written.
 *  (6) while the oldest one is cut nothing is sent; it keeps its slot until what takes its place is recorded.
 * Threads: the sender's alone.
 */
#ifndef SPILLWAY_STREAM_H
#define SPILLWAY_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "producer/batch.h"


struct stream_conf {
	uint32_t in_flight;		/* sent and unanswered together */
	uint32_t window;		/* planned and unanswered together */
	bool     idempotent;
	bool     journaled;		/* never drop, never renumber: hold */
	bool     may_double;		/* journaled, but not all of it is recorded: what proves nothing is sent anew */
	uint32_t retries;		/* without a journal */
	int64_t  backoff_ms, backoff_max_ms;
	int64_t  hold_ms, hold_max_ms;
	int64_t  slow_ms;		/* an answer that took longer makes the stream slow */
	int64_t  forget_ms;		/* a silence after which the broker may have forgotten the identity: warm up again */
	int64_t  young_ms;		/* it certainly remembers what is younger (by the wall clock) */
	int64_t  settle_ms;		/* so long after an attempt was lost it may still come to the broker */
	int64_t  started_ms;		/* since when there can be no attempts of an earlier life */
	uint64_t rng;			/* jitter */
};

struct stream_id { int64_t producer_id; int16_t epoch; };

struct topic;
struct evidence;
struct request;

/* Why evidence is needed. */
enum stream_doubt {
	DOUBT_NONE,
	DOUBT_BEFORE,		/* before anything is sent again: the broker may have forgotten the identity */
	DOUBT_ANSWERS,		/* the answers prove nothing, or the identity is refused */
	DOUBT_REFUSED,		/* a repeat is refused for what it holds */
	DOUBT_ALARM,		/* a first attempt was answered like a repeat: somebody else uses the identity */
	DOUBT_GONE,		/* one that may have been written cannot be sent again: its bytes are gone */
};

struct stream {
	struct stream_conf *conf;
	const char *topic;
	int32_t  partition;

	/* Identity of the next new batch. */
	struct stream_id id;
	int32_t  next_sequence;
	bool     warm;			/* this identity was acknowledged here at least once */
	bool     need_id;		/* nothing goes on without a fresh producer id */
	bool     voided;		/* the log of its batches is gone: see stream_void.c */

	struct batch **slots;		/* planned and unanswered */
	uint32_t count, cap;
	uint32_t sent;			/* of them in BATCH_SENT */
	uint32_t planning;		/* of them at the journal, to be recorded */
	uint64_t planning_round;	/* the sender's round that gave them */

	bool     recovering;
	bool     passing;		/* recovering, all was quiet once, a pass over the slots is on its way */
	bool     progress;		/* the present pass of recovery had a success */
	bool     renumber;		/* a batch was failed: what is left needs new sequences first */
	bool     gap;			/* one was given up unsent: nothing new is sent or joins under this identity */
	bool     moved;			/* what is sent is at a broker that leads no more */
	bool     slow;			/* travels apart from others */
	struct batch *cutting;		/* in slot 0: others are to take its place */
	int16_t  cut_code;		/* why */
	int64_t  cut_at_ms;		/* not before */
	uint32_t taken_out;		/* records alone in their batch that were taken out, without a success in between */
	uint32_t corrupt;		/* CORRUPT_MESSAGE in a row */
	int16_t  hold_code;		/* Kafka's code of the hold, 0: not held */
	const char *hold_why;		/* what people should know, NULL: nothing */
	char     said[120];		/* the broker's words with last_code, or empty */
	int16_t  last_code;		/* of the last answer */
	uint32_t failures;		/* in a row */
	int64_t  retry_at_ms;		/* nothing is sent before; 0: at once */
	int64_t  last_ack_ms;

	/* Evidence: stream_doubt.c, asked for by sender_evidence.c. */
	enum stream_doubt doubt;
	int64_t  doubt_ms;		/* since then */
	struct evidence *evidence;	/* NULL: not begun */
	uint32_t trusts;		/* verdicts that the identity lives, without a success since */
	int64_t  loose_ms;		/* an attempt was lost then, and may still come to the broker; 0: none */
	bool     restored;		/* has had batches of an earlier life */
	bool     probing;		/* nobody may look for what is gone: answers to what stands behind it are to tell */
	bool     age_unknown;		/* clocks cannot tell how old its batches are */
	bool     create_time;		/* the topic answers first attempts without a time, repeats with one */
	uint64_t vouched_by;		/* the life of a broker whose evidence holds; 0: there is none (sender_evidence.c) */
	uint64_t answered_by;		/* the one that gave the last good answer; 0: none */

	/* For status. */
	uint64_t acked_records, acked_bytes;
	int64_t  last_offset;

	/* The sender's own: see sender.h. */
	struct topic *owner;
	struct list node;		/* streams with slots */
	uint8_t  conn;			/* which connection its sent batches are on */
	const struct request *asked;	/* for evidence, NULL: nothing is */
	int64_t  ask_at_ms;		/* not before */
	uint32_t ask_faults;		/* in a row */
	int16_t  reported;		/* hold_code that was told */
};

void stream_init(struct stream *s, struct stream_conf *conf, const char *topic, int32_t partition);
/* slots must be empty. */
void stream_release(struct stream *s);

/* A batch of an earlier life, oldest first, before anything else. 0 or ERR_NOMEM (batch untouched). */
int  stream_restore(struct stream *s, struct batch *b);

/* May a new batch join in this round? fresh: the producer id at hand. While the journal records earlier ones, only the
 * same round may add (so that what is recorded is always a prefix). */
bool stream_can_take(const struct stream *s, const struct stream_id *fresh, uint64_t round);
/* Gives b its identity and the last slot. State PLANNING with a journal, else PLANNED. 0 or ERR_NOMEM. */
int  stream_take(struct stream *s, struct batch *b, const struct stream_id *fresh, uint64_t round, int64_t now_ms);
/* The journal answered. rc < 0: the batch waits in its slot, under its identity, to be recorded again (still PLANNING;
 * retry_at_ms says when). */
void stream_planned(struct stream *s, struct batch *b, int rc, int64_t now_ms);

/* The batch whose turn it is and that may go now, or NULL. It may be absent: load it first. *wake_ms is lowered to when
 * to ask again. */
struct batch *stream_next(const struct stream *s, int64_t now_ms, int64_t *wake_ms);
void stream_sent(struct stream *s, struct batch *b, int64_t now_ms);

/* A broker's answer. Batches that are finished leave the slots for `done`, in order: state ACKED, error 0 or the code of a
 * final refusal (only without a journal). */
void stream_answer(struct stream *s, struct batch *b, int16_t code, int64_t offset, int64_t append_time, int64_t now_ms,
		   struct list *done);
/* Its connection is gone. on_wire: at least one byte of it may have left. */
void stream_lost(struct stream *s, struct batch *b, bool on_wire, int64_t now_ms, struct list *done);
/* Nothing of an absent batch is anywhere any more (code says why): it leaves for `done`, unsent. What stands behind it is
 * judged without it. */
void stream_abandon(struct stream *s, struct batch *b, int code, int64_t now_ms, struct list *done);
/* Without a journal: fails the oldest batches that were made before `before_ms` and are on no socket. */
void stream_expire(struct stream *s, int64_t before_ms, int64_t now_ms, struct list *done);
/* Without a journal: fails everything that is on no socket; for the end. */
void stream_fail_all(struct stream *s, int16_t code, struct list *done);
/* A fresh producer id for a stream that needs one. True: its batches have a new identity now; with a journal they are
 * PLANNING again and must be recorded. */
bool stream_renew(struct stream *s, const struct stream_id *fresh, int64_t now_ms);
/* Another broker leads: nothing new is sent while the one before owes answers. */
void stream_moved(struct stream *s);
/* Something changed (new leader): whoever waits for a retry may try at once. */
void stream_nudge(struct stream *s);
/* The topic was made anew: the broker knows no identity there any more. */
void stream_forgotten(struct stream *s);

/* --- cutting: `cutting` was set by stream_answer --- */

/* Quiet: nothing sent, and every slot the stream's own. */
bool stream_cut_ready(const struct stream *s);
/* Room for n batches in place of one. 0 or ERR_NOMEM. */
int  stream_cut_reserve(struct stream *s, uint32_t n);
/* Is there a new identity to be had for what is left when records are taken out? If not, a fresh producer id is needed. */
bool stream_can_renew(const struct stream *s, const struct stream_id *fresh);
/* The parts hold all of its records: they get its sequences. */
void stream_cut_split(struct stream *s, struct list *parts);
/* Parts and all behind them get a new identity, if there are identities; with a journal those behind are PLANNING then. */
void stream_cut_recount(struct stream *s, struct list *parts, const struct stream_id *fresh);
/* All is recorded: the parts take the slot. The batch is the caller's. */
void stream_cut_done(struct stream *s, struct list *parts, int64_t now_ms);
/* It cannot be done: the batch stays and is tried again slowly. why: static words. */
void stream_cut_off(struct stream *s, const char *why, int64_t now_ms);
/* With the time of now: to be recorded anew, state PLANNING. */
void stream_restamp(struct stream *s, int64_t wall_ms, uint64_t round);

/* --- stream_doubt.c: evidence instead of answers --- */

void stream_doubt(struct stream *s, enum stream_doubt why, int16_t code, int64_t now_ms);
/* Is there anything that may have been written and is to be sent again? */
bool stream_any_maybe(const struct stream *s);
/* The broker certainly remembers the identity, unless it lost its memory. */
bool stream_young(const struct stream *s, int64_t wall_ms);
/* In doubt, and quiet: nothing that was ever sent is on a socket, at the journal or with the cutter. */
bool stream_doubt_ready(const struct stream *s);
/* Puts the question. 0 or ERR_NOMEM. */
int  stream_doubt_begin(struct stream *s, int64_t wall_ms);
/* There is a verdict: what is found is acknowledged, the rest goes on, or is withdrawn from its identity. vouched_by: who gave
 * the evidence. */
void stream_doubt_end(struct stream *s, uint64_t vouched_by, int64_t now_ms, struct list *done);
/* Without a verdict: the log is gone, or its batches are. */
void stream_doubt_drop(struct stream *s);
/* In doubt about nothing: the batches were given up. */
void stream_doubt_over(struct stream *s, int64_t now_ms);

/* --- stream_gone.c: bytes that are nowhere any more --- */

/* An absent batch cannot be built again as it was. Nothing is sent before it is known what became of it. */
void stream_gone(struct stream *s, struct batch *b);
bool stream_any_gone(const struct stream *s);
/* It has to be asked what became of those. */
bool stream_gone_asks(const struct stream *s);
/* There is no identity to ask for. */
void stream_gone_blind(struct stream *s);
/* One that is known not to be in the log, or of which nobody can tell: what is left of it is to be found out before
 * stream_renew. NULL: none. */
struct batch *stream_gone_next(const struct stream *s);

/* stream_void.c: topic and cluster as they are now. A batch that is meant for others is in no log that is left: nothing is
 * sent until stream_void_settle took all identities off. True when that is news. */
bool stream_void_check(struct stream *s, const uint8_t topic_id[16], const char *cluster_id);
/* When nothing is on a socket or at the journal. True: its batches need a fresh identity now (stream_renew), if they have
 * one at all. */
bool stream_void_settle(struct stream *s, const uint8_t topic_id[16], const char *cluster_id);

static inline bool stream_held(const struct stream *s) { return s->hold_code != 0; }
/* Held, or tried again for long because too few replicas are there: the broker answers, and takes nothing. */
bool stream_stuck(const struct stream *s);
/* Why it is held, for people. Returns buf. */
const char *stream_hold_text(const struct stream *s, char *buf, size_t n);
/* First sequence after a batch: modulo 2^31. */
int32_t stream_sequence_after(int32_t base, int32_t count);
/* min(max, base * 2^n) with 20 % jitter (KIP-580). */
int64_t stream_backoff(uint64_t *rng, int64_t base_ms, int64_t max_ms, uint32_t n);
void stream_check(const struct stream *s);

#endif

/* sender.h - the one thread that talks to brokers.
 *
 * A round follows every batch of events: take in what the journal answered and what lanes announce, seal what has waited
 * long enough, keep elsewhere what memory cannot hold, bring back what can be sent, bind and plan, send. Each step is one
 * file; none of them waits.
 *
 *	sender.c	 life, the round, answers of the journal	sender_send.c	 Produce requests
 *	sender_lane.c	 news, linger, memory, expiry			sender_answer.c	 what comes back
 *	sender_spill.c	 out of memory and back				sender_bootstrap.c, _brokers.c, _metadata.c, _id.c
 *	sender_plan.c	 binding and identity				sender_events.c	 what people are told
 *	sender_stop.c	 the end, with a journal		reload.c	 new brokers and credentials
 *	sender_unread.c	 lanes that are never kept elsewhere
 *	sender_held.c	 lanes that take nothing
 *	sender_cut.c	 batches that were refused for what they hold	sender_evidence.c  what became of batches nobody answered
 *	sender_place.c	 lines from before partitions were known
 *
 * Threads: everything belongs to the sender's thread, except `answers` (a queue) and what is marked.
 */
#ifndef SPILLWAY_SENDER_H
#define SPILLWAY_SENDER_H

#include "agent/base/loop.h"
#include "agent/base/thread.h"
#include "producer/conn.h"
#include "producer/cut.h"
#include "producer/lane.h"

#define SENDER_RETURNED_MAX 8			/* batches brought back and not planned, for each lane */
#define SENDER_SPILL_BYTES (6u << 20)		/* of one call of spill() */
#define SENDER_SLOW_MS 1000			/* an answer that takes longer: the partition travels apart */
#define SENDER_STUCK_MS 200			/* a connection that owes an answer for longer gets nothing new from others */
#define SENDER_IDLE_LINGER_MS 5000		/* linger of lanes that cannot send anyway */

struct producer;

/* From CONN_APART on: slow and recovering partitions, so that they delay nobody, and not each other as far as these go. */
enum { CONN_MAIN, CONN_APART, CONN_KINDS = 4 };

struct broker {
	struct list node;
	int32_t  id;				/* negative: an entry of bootstrap.servers */
	char     host[256];
	int      port;
	struct conn conn[CONN_KINDS];
	struct node_metrics metrics;
	uint64_t life;				/* no two are ever the same: another one when it may have been restarted unseen */
	bool     gone;				/* nobody knows it any more: gets nothing new, used again for the next */
	bool     suspect;			/* it went while nobody waited for it: looked at again before it is told */
	bool     reported;			/* its fault was told */
	uint64_t late_round;			/* partitioner.availability.timeout.ms was over in that round */
	/* An entry that is to be replaced by the names of its addresses. */
	enum { CANONICAL_NO, CANONICAL_DUE, CANONICAL_ASKED } canonical;
	int64_t  canonical_at_ms;		/* not before */
	/* The request that is being put together for each connection; within one step. */
	struct list gather[CONN_KINDS];
	size_t   gather_bytes[CONN_KINDS];
	uint32_t gather_count[CONN_KINDS];
};

struct sender {
	/* Set at open. */
	struct producer *p;
	const struct producer_config *config;
	const struct producer_journal *journal;	/* NULL: none */
	struct accum  *accum;
	struct budget *budget;
	struct names  *names;
	struct stream_conf stream_conf;
	struct conn_conf conn_conf;
	size_t   refill_bytes;			/* of one call of refill() */

	/* Any thread pushes: batches that the journal is done with; state says what it did. */
	struct queue answers;

	/* Lock: producer's mu. Why the last connection ended, and whether it was refused; "" once one is up. */
	char     trouble[480];
	bool     trouble_auth;

	/* Thread: sender. */
	struct loop loop;			/* loop_wake: any thread */
	struct loop_timer timer;
	uint64_t rng, round;
	uint64_t lives;				/* that brokers have had */
	int64_t  now_ms, wake_ms;		/* of this round; when the next is due */
	int64_t  planned_at_ms;			/* the last round that had something recorded */
	struct metadata metadata;
	struct metrics metrics;
	struct cutter cutter;
	struct list brokers;
	char    *servers;			/* bootstrap.servers of the last reload; NULL: the configuration's */
	char     security_note[CONN_ERROR_MAX];	/* that was told: see security_note */
	int64_t  connect_ms;			/* when the last connection for control was begun */
	int32_t  bootstrap_next_id;		/* of the next entry; they count down */
	bool     rebootstrap_due;
	int64_t  rate_left, rate_ms;		/* max_rate: bytes that may go at once (below 0: a debt), and as of when */
	struct stream_id id;			/* fresh; producer_id -1: none */
	bool     id_asked, id_stale;
	int64_t  id_at_ms;
	uint32_t id_failures;
	int16_t  id_reported;
	uint32_t asking;			/* questions for evidence that are on their way */
	int64_t  wall_ahead_ms;			/* of the monotonic clock */
	bool     ages_unknown;			/* clocks cannot tell how old restored batches are */
	bool     topic_events_due;		/* a topic's state may have changed */
	struct list lanes, busy, linger;	/* lanes: all; with something to do; with an open batch */
	struct list unplaced;			/* unplaced lanes that may have something */
	struct list streams;			/* with slots */
	struct list to_plan, to_ack, to_lose, done;	/* batches gathered within a round */
	/* The orderly end, with a journal: sender_stop.c. */
	bool     stopping, stop_given;
	bool   (*keep)(void *arg, const struct batch *b);
	void    *keep_arg;
	struct list replan;			/* batches whose plan failed, until retry_at_ms of all of their stream */
	struct list reload;			/* batches whose load failed, until retry_at_ms */
	uint32_t at_journal;			/* batches and refills that the journal owes an answer for */
	bool     outage;		/* a lane spilled, and no good answer came to anyone since */
	int64_t  last_ack_ms;
	uint64_t requests_sent;			/* of Produce */
	uint32_t in_flight;		/* batches sent and unanswered */
};

/* sender.c */
int  sender_open(struct sender *s, struct producer *p, struct err *ret_err);	/* words with ERR_CONFIG */
void sender_close(struct sender *s);		/* thread ended; all batches gone */
void *sender_run(void *producer);		/* the thread */
void sender_take_answers(struct sender *s);
struct stream *sender_stream(struct sender *s, const struct batch *b);
void sender_lower_wake(struct sender *s, int64_t at_ms);
void sender_busy(struct sender *s, struct lane *l);

/* sender_lane.c */
void sender_news(struct sender *s);
void sender_ask_for_partition(struct sender *s, struct lane *l);
void sender_linger(struct sender *s);
void sender_seal_for_memory(struct sender *s);
void sender_expire(struct sender *s);
void sender_sweep(struct sender *s);		/* lanes and streams that have nothing left leave the lists */

/* sender_spill.c */
void sender_spill(struct sender *s);
void sender_refill(struct sender *s);
void sender_spill_answered(struct sender *s, struct batch *b);
void sender_drop_bytes(struct sender *s, struct stream *st);
void sender_make_room(struct sender *s);	/* for a batch that has to be loaded */

/* sender_place.c */
void sender_place(struct sender *s);
bool sender_can_place(const struct lane *l);	/* an unplaced lane, and the number of partitions is known */

/* sender_unread.c */
void sender_shut(struct sender *s, struct lane *l);	/* of a lane that waits, instead of spilling it */
void sender_unread(struct sender *s);
/* At the end of a round: a lane whose last answer let it reopen only behind sender_unread does so in the next one, now. */
void sender_unread_later(struct sender *s, const struct lane *l);

/* sender_held.c */
void sender_hold(struct sender *s);		/* behind sender_refill, which finds out who can send */
void sender_lane_free(struct lane *l);
/* There is too much of it in memory. tight: somebody waits for memory, then less certain faults count too. */
bool sender_share_used_up(const struct lane *l, bool tight);
bool sender_lane_faulty(const struct sender *s, const struct lane *l);
/* A partition of the topic that takes nothing: the lane's own, or any one of an unbound lane. */
const struct stream *sender_stuck_stream(const struct lane *l);
bool sender_only_held(const struct sender *s);

/* sender_plan.c */
void sender_plan(struct sender *s);
bool sender_lane_usable(struct sender *s, struct lane *l);
void sender_plan_answered(struct sender *s, struct batch *b);

/* sender_send.c */
void sender_send(struct sender *s);
void sender_load_answered(struct sender *s, struct batch *b);
void sender_load(struct sender *s, struct batch *b);	/* its bytes, from wherever they are */

/* sender_cut.c */
void sender_cut(struct sender *s);
/* At the orderly end: what waits to be tried again is tried at once, one time. */
void sender_cut_last(struct sender *s);
void sender_cut_answered(struct sender *s, struct batch *b);
/* The answer that made its stream cut b names the records. */
void sender_cut_name(struct batch *b, const struct api_produce_answer *a);

/* sender_evidence.c */
void sender_evidence(struct sender *s);
/* Before anything of this stream is sent again its leader has to be asked. */
bool sender_must_ask(const struct sender *s, const struct stream *st, const struct broker *b);
int  sender_take_evidence(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n);
void sender_evidence_lost(struct sender *s, const struct request *r);
void sender_watch_clock(struct sender *s);

/* sender_answer.c */
extern const struct conn_ops sender_conn_ops;
void sender_finish(struct sender *s);		/* hands over what is done */
void sender_fail_rest(struct sender *s);	/* the end without a journal: every callback that is left */

/* sender_stop.c */
void sender_stop_round(struct sender *s);
void sender_stop_answered(struct sender *s, struct batch *b);
void sender_discard(struct sender *s);		/* frees what is left, when the thread does not run */

/* reload.c */
void sender_take_reload(struct sender *s);
void sender_note_security(struct sender *s);	/* tells what security_note says, once */
void sender_note_trouble(struct sender *s, const struct conn *c, const char *why);	/* why NULL: it is over */

/* sender_metadata.c */
void sender_cluster(struct sender *s);		/* names, time-outs, metadata, producer id */
int  sender_take_metadata(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n);
void sender_metadata_lost(struct sender *s, struct conn *c, const struct request *r);
/* The addresses that came with the answer to a Produce request. */
void sender_take_endpoints(struct sender *s, const struct request *r, const void *data, size_t n);
void sender_throttled(struct sender *s, struct conn *c, int32_t throttle_ms);

/* sender_bootstrap.c */
int  sender_bootstrap(struct sender *s);	/* entries that are there already stay */
/* One entry, "host:port" or "[v6]:port". 0 or ERR_CONFIG. */
int  sender_split_address(const char *text, size_t n, char *host, size_t host_size, int *port);
void sender_rebootstrap(struct sender *s);	/* everything learned is forgotten */
void sender_take_names(struct sender *s);
/* True: the entry only stands for the names of its addresses, which are being asked for. */
bool sender_canonical(struct sender *s, struct broker *b);

/* sender_brokers.c */
struct broker *sender_broker_new(struct sender *s, int32_t id, const char *host, int port);	/* NULL: out of memory */
/* It is gone. at_once: so are its connections; else they wait for what they are owed. */
void sender_forget(struct sender *s, struct broker *b, bool at_once);
void sender_tick_conns(struct sender *s);
void sender_watch_conns(struct sender *s);	/* after all sending: when is the first of them due? */
void sender_learn(struct sender *s, int32_t id, const char *host, int port);
void sender_take_brokers(struct sender *s, const struct api_metadata *a);
/* Whose fault was told, or is to be told, is looked after although nothing is to be sent: the fault must end by itself.
 * True: there is one. */
bool sender_look_after(struct sender *s);
void sender_connect_someone(struct sender *s);
struct conn *sender_least_busy(struct sender *s);
struct broker *sender_broker(const struct sender *s, int32_t id);
/* NULL: there is none, or it is not known; then metadata is asked for. */
struct broker *sender_leader(struct sender *s, const struct topic *t, int32_t partition);
void sender_broker_up(struct sender *s, struct broker *b);
void sender_broker_down(struct sender *s, struct broker *b, const char *why);
/* As conn_want, and comes back when its backoff is over. */
bool sender_want(struct sender *s, struct conn *c);
bool sender_any_up(const struct sender *s);

/* sender_id.c */
void sender_ask_id(struct sender *s, bool *want);
int  sender_take_id(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n);
void sender_id_failed(struct sender *s);

/* sender_events.c */
void sender_tell(struct sender *s, const char *topic, int32_t partition, const char *what);
void sender_events(struct sender *s);
/* Any thread: why no broker answers, "" when one does. *ret_auth: a refused login is the reason. */
void sender_trouble(struct sender *s, char *buf, size_t n, bool *ret_auth);
bool sender_topic_faulty(const struct sender *s, const struct topic *t);

#endif

/* state_int.h - inside of the state thread; only agent/state*.c include it. See state.h. */
#ifndef SPILLWAY_STATE_INT_H
#define SPILLWAY_STATE_INT_H

#include <pthread.h>

#include "agent/base/list.h"
#include "agent/base/map.h"
#include "agent/state/state.h"

#define STATE_REJECTED_FULL "no room for rejected lines (a sixteenth of spool.max_size), their files wait; " \
			    "`spillway spool purge --rejected` makes some"

#define ROOM_ROWS 64

/* Something the tail thread wants written down. */
struct note {
	struct list node;
	enum { NOTE_FILE, NOTE_FORGET, NOTE_ROUTE, NOTE_FINISHED, NOTE_REJECTED, NOTE_LOSS, NOTE_PARTITIONS } kind;
	bool   refused;		/* NOTE_REJECTED: found no room in this transaction */
	union {
		struct spool_file file;
		int64_t file_id;
		struct spool_route route;
		struct spool_range range;
		struct spool_loss loss;
		int32_t partitions;
		struct { struct spool_rejected record; struct spool_range *ranges; } rejected;	/* ranges: the record's */
	};
	char *text;		/* owns file.path, route.topic, rejected.record.topic, loss.topic, a topic */
	char *origin;		/* owns file.origin, route.spec, rejected.record.message, loss.path */
	void *key;		/* owns route.key, rejected.record.bytes, file.cursor */
};

/* Bytes that the sender wants back. */
struct read_job {
	struct list node;
	enum { READ_LOAD, READ_REFILL, READ_REWIND } kind;
	struct batch *batch;
	struct lane  *lane;
	uint32_t max_batches;
	size_t   max_bytes;
};

struct ask_job {
	struct list node;
	void (*fn)(void *arg, struct spool *s);
	void  *arg;
	bool   running, done;		/* lock: state.mu */
	bool   abandoned;		/* the same; nobody waits any more: the thread frees it */
};

/* The committed position of a file, readable by any thread. */
struct safe_cell { _Atomic int64_t safe; };

struct work {			/* lists of struct note, batch, read_job, ask_job */
	struct list notes, acks, lost, plans, replaces, spills, reads, asks;
};

/* state_full.c; within one transaction. */
struct forgotten { struct lane *lane; uint64_t rows; };
struct room {
	int64_t  ids[ROOM_ROWS];	/* the oldest rows that may be dropped */
	uint32_t counts[ROOM_ROWS], sizes[ROOM_ROWS];
	struct lane *lanes[ROOM_ROWS];
	size_t   n, at;
	struct forgotten *forgotten;	/* of rows that were dropped, by lane */
	size_t   forgotten_count;
	uint64_t records;		/* dropped */
	bool     in_vain;		/* dropping made no room: all of it is to be undone */
};

struct state {
	/* Set before the threads start, read-only after. */
	struct books    *books;
	struct producer *producer;
	struct tail     *tail;
	enum spool_sync  sync;		/* of the ledger */
	enum conf_when_full when_full;
	void           (*on_damage)(void *arg);
	void            *on_damage_arg;
	bool             may_double;	/* delivery: at_least_once: batches out of files are not recorded before they are sent */

	/* Lock: mu. Any thread fills, the state thread empties. */
	pthread_mutex_t mu;
	pthread_cond_t  cond, asked;
	struct work     in;
	bool            stopping, running;
	bool            acks_timed;	/* the thread wakes up for acks by itself */
	char            trouble[480];
	_Atomic size_t  rejected_bytes;	/* of notes */
	_Atomic bool    rejected_full;	/* some found no room */
	_Atomic uint64_t dropped;	/* records given up since the spool was found full */
	_Atomic int64_t dropped_at_ms;	/* the last of them; 0: none */

	/* Lock: safe_mu: the map; the cells themselves are atomic. */
	pthread_mutex_t safe_mu;
	struct map      safe;

	/* State thread only (main thread before it runs and after it ended). */
	struct spool   *spool;
	struct work     todo;
	struct map      cursors;	/* struct lane * -> id of the last row handed over, in a heap int64_t */
	int64_t         acks_since_ms;	/* when the oldest waiting ack came; 0: none */
	int64_t         retry_at_ms;	/* after a failed commit; 0: none */
	int64_t         failed_at_ms;	/* the last commit of the ledger that failed; 0: none */
	int64_t         full_at_ms;	/* of the last FULL commit */
	bool            unsynced;	/* NORMAL commits may be behind it: the next one is FULL, in time also without work */
	struct list     held;		/* notes of rejected lines that found no room */
	int64_t         held_at_ms;	/* when they are tried again */
	struct room     room;		/* what the present transaction of spilled batches gives up */
	struct { bool counted; uint64_t bytes, max; } held_share;	/* of lanes that are held; within one transaction */
	int64_t         holes_file;	/* whose position cannot move; 0: none */
	int64_t         holes_at_ms;	/* when the producer was last asked for what keeps it back */
	uint64_t        said_dropped;	/* records */
	int64_t         said_dropped_ms; /* 0: never */
	bool            idle_more;
	bool            damage_said;
	pthread_t       thread;
};

/* Queues, and wakes the thread. Any thread. */
void state_push(struct state *st, struct list *queue, struct list *node);
void state_push_all(struct state *st, struct list *queue, struct list *nodes);
/* A note, as those of state.h. */
void state_partitions(struct state *st, const char *topic, int32_t count);
/* One transaction of notes, acks and plans. */
bool state_commit_ledger(struct state *st, int64_t now_ms);		/* false: it failed, what is queued stays */
/* One transaction of spilled batches, a few MiB at most. */
void state_commit_spills(struct state *st);
/* One transaction for each batch that others replace. */
void state_commit_replaces(struct state *st);
void state_read(struct state *st, struct read_job *job);
/* Whether a row waits for its lane: without identity, and refill() has not handed it over. */
bool state_row_waits(struct state *st, const struct spool_row *r, struct lane **ret_lane);

/* --- state_place.c --- */
/* Rows of an unplaced lane, read and laid out anew. NULL: out of memory. */
struct placed *placed_new(struct state *st, struct lane *unplaced);
void placed_free(struct placed *d);		/* NULL is fine */
/* The next row. 0; 1: no more of them in this transaction, this one neither; ERR_BAD_DATA: it holds no records; or the error. */
int  placed_row(struct placed *d, const struct spool_row *row, const void *data);
/* Their transaction, and the producer's and the books' counters behind it. *ret_rows: how many have left the lane. */
int  placed_commit(struct placed *d, uint64_t *ret_rows);

/* --- state_full.c --- */
/* b found no room in this transaction: something is given up for it, or itself (row_id 0 then). 0; ERR_SPOOL_FULL: nothing
 * may be. */
int  state_make_room(struct state *st, struct batch *b, struct err *e);
/* The transaction is committed (holding the books' lock, behind producer_spilled), or undone. */
void state_room_made(struct state *st);
void state_room_undone(struct state *st);
/* Says how much was given up. */
void state_say_dropped(struct state *st);
/* The same for status; any thread. Leaves buf alone when nothing was given up lately. */
void state_dropping(struct state *st, char *buf, size_t n);

/* --- state_held.c --- */
/* b may not be spilled: lanes that are held have used up their share. Else it is counted. */
bool state_held_refuses(struct state *st, const struct batch *b);
/* Takes b out of the queue, and what follows it of its lane, for their order is to stay. */
void state_held_take(struct state *st, struct batch *b, struct list *out);

/* --- state_holes.c --- */
/* After a commit: a file with too many finished ranges above its position is told to the producer. */
void state_watch_holes(struct state *st, const struct list *acked);
/* What NORMAL commits wrote is made durable at least that often, also when nothing follows them. */
bool state_sync_due(const struct state *st, int64_t now);

#define STATE_FULL_EVERY_MS 5000

/* Again each STATE_HOLES_MS. */
void state_ask_holes(struct state *st, int64_t now_ms);
#define STATE_HOLES_MS 200

/* --- state_mend.c --- */
/* A damaged row is built again from its files. 0: it can be read now; ERR_CORRUPT: it cannot be; ERR_AGAIN and others: try
 * later. */
int  state_mend(struct state *st, const struct spool_row *head);
/* One without identity leaves its lane, said and counted. */
int  state_set_aside(struct state *st, const struct spool_row *head);

/* Parts of a transaction. */
int  state_plan_one(struct spool *s, struct batch *b, struct err *e);
void state_plan_done(struct batch *b);		/* it is committed */
/* The ranges of a batch without a ledger row end by themselves, and so many records count as acked. */
int  state_finish(struct spool *s, const struct batch *b, uint64_t records, struct err *e);
int  state_spill_one(struct spool *s, struct batch *b, struct err *e);
/* struct source_range and struct spool_range are the same facts in two folders that do not know each other. mem_free it. */
struct spool_range *state_ranges(const struct batch *b);

/* Says trouble once a change (NULL: over), keeps it for status. */
void state_say(struct state *st, const struct err *e, const char *what);
void state_note_free(struct note *n);
/* Publishes the committed positions of the files of a batch. */
void state_publish(struct state *st, const struct batch *b);
void state_publish_file(struct state *st, int64_t file_id);
void state_unpublish_file(struct state *st, int64_t file_id);

#endif

/* state_int.h - inside of the state thread; only agent/state*.c include it. See state.h. */
#ifndef SPILLWAY_STATE_INT_H
#define SPILLWAY_STATE_INT_H

#include <pthread.h>

#include "agent/base/list.h"
#include "agent/base/map.h"
#include "agent/state.h"

#define STATE_REJECTED_FULL "no room for rejected lines (a sixteenth of spool.max_size), their files wait; " \
			    "`spillway spool purge --rejected` makes some"

/* Something the tail thread wants written down. */
struct note {
	struct list node;
	enum { NOTE_FILE, NOTE_FORGET, NOTE_ROUTE, NOTE_FINISHED, NOTE_REJECTED } kind;
	bool   refused;		/* NOTE_REJECTED: found no room in this transaction */
	union {
		struct spool_file file;
		int64_t file_id;
		struct spool_route route;
		struct spool_range range;
		struct { struct spool_rejected record; struct spool_range range; } rejected;
	};
	char *text;		/* owns file.path, route.topic, rejected.record.topic */
	char *origin;		/* owns file.origin, route.spec, rejected.record.message */
	void *key;		/* owns route.key, rejected.record.bytes */
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
	bool   done;
};

/* The committed position of a file, readable by any thread. */
struct safe_cell { _Atomic int64_t safe; };

struct work {			/* lists of struct note, batch, read_job, ask_job */
	struct list notes, acks, lost, plans, replaces, spills, reads, asks;
};

struct state {
	/* Set before the threads start, read-only after. */
	struct books    *books;
	struct producer *producer;
	struct tail     *tail;
	enum spool_sync  sync;		/* of the ledger */

	/* Lock: mu. Any thread fills, the state thread empties. */
	pthread_mutex_t mu;
	pthread_cond_t  cond, asked;
	struct work     in;
	bool            stopping, running;
	char            trouble[480];
	_Atomic size_t  rejected_bytes;	/* of notes */
	_Atomic bool    rejected_full;	/* some found no room */

	/* Lock: safe_mu: the map; the cells themselves are atomic. */
	pthread_mutex_t safe_mu;
	struct map      safe;

	/* State thread only (main thread before it runs and after it ended). */
	struct spool   *spool;
	struct work     todo;
	struct map      cursors;	/* struct lane * -> id of the last row handed over, in a heap int64_t */
	int64_t         acks_since_ms;	/* when the oldest waiting ack came; 0: none */
	int64_t         retry_at_ms;	/* after a failed commit; 0: none */
	int64_t         full_at_ms;	/* of the last FULL commit */
	struct list     held;		/* notes of rejected lines that found no room */
	int64_t         held_at_ms;	/* when they are tried again */
	bool            idle_more;
	pthread_t       thread;
};

/* One transaction of notes, acks and plans. */
bool state_commit_ledger(struct state *st, int64_t now_ms);		/* false: it failed, what is queued stays */
/* One transaction of spilled batches, a few MiB at most. */
void state_commit_spills(struct state *st);
/* One transaction for each batch that others replace. */
void state_commit_replaces(struct state *st);
void state_read(struct state *st, struct read_job *job);

/* Parts of a transaction. */
int  state_plan_one(struct spool *s, struct batch *b, struct err *e);
int  state_spill_one(struct spool *s, struct batch *b, struct err *e);
/* struct source_range and struct spool_range are the same facts in two folders that do not know each other. mem_free it. */
struct spool_range *state_ranges(const struct batch *b);

/* Says trouble once a change (NULL: over), keeps it for status. */
void state_say(struct state *st, const struct err *e, const char *what);
void state_note_free(struct note *n);
/* Publishes the committed positions of the files of a batch. */
void state_publish(struct state *st, const struct batch *b);
void state_publish_file(struct state *st, int64_t file_id);

#endif

/* intake_inside.h - what the files of the intake thread share. Nobody else includes this (but its tests).
 *
 *	intake.c		the thread: its rounds, waiting for memory, the end; rows of status
 *	intake_take.c		a message becomes a record of its lane
 *	intake_input.c		topic, key, recipe and row of an input
 *	intake_stdin.c		lines of standard input
 *	intake_lines.c		lines that are converted, unwrapped or grouped
 *	intake_syslog.c		`listen`; datagrams; what syslog says of a message
 *	intake_tcp.c		connections
 *	intake_journald.c	entries of the journal
 *	intake_reload.c		inputs come, change and go while others are read
 *	intake_reread.c		the same again, for batches that are built anew
 */
#ifndef SPILLWAY_INTAKE_INSIDE_H
#define SPILLWAY_INTAKE_INSIDE_H

#include <jansson.h>
#include <pthread.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/map.h"
#include "agent/intake/frame.h"
#include "agent/intake/journal.h"
#include "agent/intake/intake.h"
#include "agent/tail/lag.h"
#include "agent/record/recipe.h"

struct intake_input;

/* What each kind of input does. An input's struct begins with struct intake_input. Thread: intake, but where said. */
struct intake_kind {
	size_t size;
	bool   keeps;			/* what it gave can be had again: no stream */
	/* Main. Words in *ret_err. */
	int  (*open)(struct intake_input *in, struct err *ret_err);
	int  (*start)(struct intake_input *in);		/* 0 or -errno: it has failed */
	/* Takes a little of what is there, first what it holds already. False: nothing more now, or it waits (in->dry).
	 * in->last: nothing will be asked for afterwards, what is unfinished is complete. Sets in->done at its end. */
	bool (*turn)(struct intake_input *in);
	void (*pause)(struct intake_input *in, bool on);	/* no events while it waits */
	void (*tick)(struct intake_input *in);		/* about once a second; NULL: not needed */
	/* `in`, opened with `heir` set, goes on where `old` listens. settled: old is done. Else whether all that old holds can be
	 * moved as it is, and was. NULL: there is nothing to take over. */
	bool (*take_over)(struct intake_input *in, struct intake_input *old, bool settled);
	size_t (*left)(struct intake_input *in);	/* bytes it holds that are no records yet; NULL: none */
	void (*close)(struct intake_input *in);		/* also of one that was not opened */
};
extern const struct intake_kind intake_stdin, intake_datagram, intake_tcp, intake_journald;

struct intake_input {
	struct intake *owner;
	const struct conf_input *conf;
	const struct intake_kind *kind;
	size_t   index;			/* of this configuration; SIZE_MAX: it leaves */
	const char *spec;		/* borrowed */
	bool     known;			/* of an earlier life */
	bool     heir;			/* it takes over what another one listens to */
	/* Set by main before the thread runs. */
	char    *shown;			/* what status calls it */
	struct recipe *recipe;		/* NULL: messages as they are */
	char    *topic;			/* NULL: each record has its own */
	struct buf key;			/* of all records; empty: none */
	uint32_t route;			/* 0: its ranges cannot be read again */
	struct tail_skip *skips; size_t skip_count, skip_next;	/* entries that are not read, see journald */
	/* Thread: intake. */
	struct spool_file row;		/* strings are ours */
	struct map lanes;		/* by topic */
	int64_t  from;			/* the next range begins here; what is between here and read made no record */
	uint32_t filtered;		/* messages in there that a filter took */
	uint64_t marker;		/* of what is taken next */
	bool     ready, dry, last, done;
	bool     kept, claimed, moved;	/* within a reload; moved: its heir has all that it had */
	bool     begun, closed;		/* closed: conf, spec and what its kind had are no more */
	struct intake_input *pred;	/* not begun: it waits for this one to be done, */
	struct intake_input *old;	/* and goes on where this one, which had its name, stopped */
	int      why;			/* it is dry, or has failed */
	/* Thread: main (intake_sample). */
	struct lag lag;
	int64_t  sampled_ms;
	/* Any thread. */
	_Atomic int64_t read;
	_Atomic int state;		/* enum intake_state */
	char     reason[200];		/* lock: intake.mu */
};
enum intake_state { INTAKE_ACTIVE, INTAKE_WAITING, INTAKE_DONE, INTAKE_FAILED };

struct intake {
	struct intake_conf conf;	/* known, routes: not used after intake_open */
	struct tail_hooks *hooks;
	struct intake_input **inputs; size_t count;
	pthread_t thread;
	bool     started;
	pthread_mutex_t mu;		/* reasons; leaf */
	_Atomic bool nudged, stopping, all_read;
	pthread_cond_t cond;
	void   (*call)(struct intake *i, void *arg); void *call_arg;	/* lock: mu; done between two rounds */
	/* Thread: main. */
	struct tail_known *rows; size_t row_count;	/* of earlier lives; copies */
	int64_t  stop_ms;		/* how long the end may take; set before stopping */
	/* Thread: intake. */
	int64_t  file_id;		/* reserved for a reload */
	uint32_t route_id;
	struct loop loop;
	struct loop_timer work, retry, tick;
	struct budget_waiter waiter;
	struct recipe_room *room;
	struct lane *run;		/* of the run that is open, or NULL */
	uint32_t run_count;
	size_t   lane_count;
	int64_t  stop_at_ms;		/* 0: not stopping */
	struct log_seldom failures, refusals;
	struct rereader *rereader;	/* thread: whoever calls intake_reread */
	struct map routes;		/* by id; the same */
};

/* --- intake.c --- */
void intake_ready(struct intake_input *in);		/* there may be something: a turn will follow */
/* It waits: rc is why. Its turn ends with false. */
void intake_dry(struct intake_input *in, int rc);
void intake_failed(struct intake_input *in, int rc);	/* it is read no more */
void intake_say(struct intake_input *in, enum intake_state state, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

struct intake_input *intake_input_new(struct intake *i, size_t index);	/* NULL: out of memory, or of files */
void intake_do(struct intake *i, void (*fn)(struct intake *i, void *arg), void *arg);	/* main: between two rounds, waits */
void intake_input_free(struct intake_input *in);
int  intake_run(struct intake *i);			/* starts the thread, also without an input */

/* --- intake_reload.c --- */
void reload_left(struct intake_input *in);	/* it leaves, and is done: who waits for it begins */
bool reload_has_heir(const struct intake_input *in);	/* another one waits for what it listens to */
int  rows_keep(struct intake *i, const struct intake_conf *c);	/* 0 or ERR_NOMEM */
void rows_release(struct intake *i);

void intake_show_as(struct intake_input *in, struct intake_input *old);	/* they exchange what they are called */

/* --- intake_input.c --- */
/* Everything but what its kind does; others see nothing of it yet. known: its row of an earlier life, or NULL. */
int  intake_input_open(struct intake_input *in, const struct tail_known *known, struct err *ret_err);
/* Its row, its route, and what of its earlier life is lost. 0 or ERR_NOMEM. */
int  intake_input_begin(struct intake_input *in, const struct tail_known *known);
/* Instead of a row of an earlier life: behind what another struct of this one has read. 0 or ERR_NOMEM. */
int  intake_input_go_on(struct intake_input *in, struct intake_input *from);
/* "stdin", "journal", or what it listens to: with its name that is what it is known by in another life. */
const char *intake_path(const struct conf_input *in);
void intake_input_close(struct intake_input *in);
void intake_put_row(struct intake_input *in);

/* --- intake_take.c --- */
struct intake_message {
	const uint8_t *value;
	size_t  len;
	size_t  span;			/* how far it moves `read` */
	json_t *fields;			/* what is known of it; NULL: nothing */
	bool    has_time;
	int64_t time_ns;
	enum message_stream stream;
};
/* 0: it is in a batch, filtered or set aside, and read has moved; else it is to be given again later (intake_dry). */
int  intake_take(struct intake_input *in, const struct intake_message *m);
/* How it becomes a record that has a key already; topic in and out. 0; 1: filtered; as recipe_apply. Any thread. */
int  intake_record(const struct recipe *r, struct recipe_room *room, const struct intake_message *m, const char **topic,
		   struct lane_record *record, intercept_failed_fn *failed, void *arg, struct err *ret_err);
/* n bytes are given up: an entry in the losses, and read moves. */
void intake_lost(struct intake_input *in, const char *reason, uint64_t records, uint64_t n);
/* What was passed over is finished, and the open run ends: the end of a turn. */
void intake_turn_end(struct intake_input *in);

/* A stream of frames. */
struct intake_frames { struct frame f; uint64_t lost; };
/* Takes what is complete of the n bytes at p. Returns bytes used up; fewer than are complete: the input is dry. */
size_t intake_frames(struct intake_input *in, struct intake_frames *s, const struct frame_rules *r, const uint8_t *p, size_t n,
		     bool final);

/* --- intake_lines.c --- */
#define IN_FRONT 4			/* so many bytes tell about a byte order mark */
struct intake_lines {
	struct assembly *assembly;	/* NULL: lines are what they are */
	struct message m;
	size_t mark;
	bool   begun, have, fed, ended;
};
int  intake_lines_open(struct intake_input *in, struct intake_lines *l);	/* 0 or ERR_NOMEM */
void intake_lines_close(struct intake_lines *l);
/* Takes n bytes at p, which are given again, unchanged, until they are used: answers n, or 0: the input is dry, or (only at the
 * beginning of the stream) there are too few. end: what is open is complete. */
size_t intake_lines_take(struct intake_input *in, struct intake_lines *l, const uint8_t *p, size_t n, bool final, bool end);
bool   intake_lines_open_group(const struct intake_lines *l);	/* time may end a group */

/* --- intake_syslog.c --- */
/* A whole message of syslog: as intake_take, with its fields if anyone looks at them. */
int  intake_take_syslog(struct intake_input *in, const uint8_t *p, size_t n, size_t span);
struct sockaddr_storage;
/* The address behind "udp:" or "tcp:". A socket that is bound there, or -errno with words. */
int  intake_bind(struct intake_input *in, int type, struct err *ret_err);

/* --- intake_tcp.c --- */
/* How many its connections may take, once it is open. */
size_t intake_tcp_descriptors(const struct intake_input *in);

/* --- intake_journald.c --- */
/* Where the journal of this input is; NULL: the system's. */
const char *intake_journal_dir(const struct conf_input *in);
/* What of an entry is its message: at most max bytes. False: all of it is skipped. */
bool intake_cut_entry(struct journal_entry *e, size_t max, bool skip, size_t *ret_lost);

/* --- intake_reread.c --- */
/* A route of this life; a copy. 0 or ERR_NOMEM. */
int  rereader_keep(struct intake *i, const struct spool_route *r);
int  rereader_add(struct intake_input *in);	/* ranges of it may be asked for. 0 or ERR_NOMEM */
/* Entries of the input are read again from there. */
void rereader_moved(struct intake_input *in);
int  rereader_new(struct intake *i, struct err *ret_err);
void rereader_free(struct rereader *r);		/* NULL is fine */
void rereader_release_routes(struct intake *i);

#endif

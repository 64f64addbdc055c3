/* tail.h - the tail thread: finds files, follows them through rotation, turns their lines into records.
 *
 * Invariants
 *  (1) Every byte of a file is handed over exactly once, in order, in ranges that touch: [from,to) of each run of lines.
 *  (2) A file stays open until its last byte is finished (acked, spooled, ...), however it was renamed or deleted.
 *  (3) Waiting for memory is a state of a file. The thread never sleeps for it: events are read, new generations are
 *      opened, reconciles run.
 *  (4) Lines that a rotated file held when its successor was first seen go before the successor's lines.
 * Threads: tail_* are called by main; the thread itself is inside. Lock: none of its own; it talks through `tail_hooks`,
 *	and other threads talk to it through its queue.
 */
#ifndef SPILLWAY_TAIL_H
#define SPILLWAY_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "conf/conf.h"
#include "producer/journal.h"
#include "spool/spool.h"

struct tail;

struct tail_file_info {			/* one row of `status` and `positions ls` */
	char    *path;
	size_t   input;			/* index into conf->inputs */
	uint64_t dev, inode;
	int64_t  file_id, size, read;
	int64_t  lag_ms;		/* age of the oldest byte that is not finished; 0: there is none, or it is not known */
	char     state[12];		/* active rotated deleted waiting done failed */
	bool     waits;			/* for memory or room, whatever its state */
	char     reason[160];		/* why waiting or failed */
};

/* What the tail thread needs from the rest of the agent. Called on the tail thread; none may wait. */
struct tail_hooks {
	void *arg;
	/* A file to be kept in the state database; before the first range of it is appended. Strings are copied. */
	void (*file_put)(void *arg, const struct spool_file *f);
	void (*file_forget)(void *arg, int64_t file_id);
	void (*route_put)(void *arg, const struct spool_route *r);
	/* Bytes that make no record (NULs at offset 0, dropped lines without a record behind them): finished as FILTERED. */
	void (*finished)(void *arg, const struct spool_range *r);
	/* A message that makes no record (its own ranges, the last counts it): set aside and finished as REJECTED. Copied. 0;
	 * ERR_AGAIN: too many are not recorded yet; ERR_SPOOL_FULL: there is no room for them. */
	int (*rejected)(void *arg, const struct spool_rejected *r);
	/* Records go to lane `l` from lane_begin to lane_end through these, so that read and in_memory move together. */
	void (*run_begin)(void *arg, struct lane *l, int64_t now_ms, int64_t wall_ms);
	/* Batches whose lines are read again: they leave read and in_memory together (producer_unread). */
	void (*unread)(void *arg, struct lane *l, struct list *batches, bool last);
	void (*run_end)(void *arg, struct lane *l, uint32_t records);	/* records: counted here, by the reader */
	/* Something for the list of losses; copied. */
	void (*loss)(void *arg, const struct spool_loss *l);
	/* How far a file is finished; any time. */
	int64_t (*safe)(void *arg, int64_t file_id);
	/* --once: every file was read to its end and handed over. Again when some of it had to be read again. */
	void (*all_read)(void *arg);
	/* `finished` for n ranges, in one transaction: the bytes of one message lie apart. */
	void (*finished_all)(void *arg, const struct spool_range *r, size_t n);
	/* `loss` and `finished` in one transaction: what is entered as lost is not read, and entered, once more. */
	void (*lost)(void *arg, const struct spool_loss *l, const struct spool_range *r);
};

/* A file that the state database knows from before, with what is to be skipped above `safe`. */
struct tail_skip { int64_t from, to; };
struct tail_known {
	struct spool_file file;
	struct tail_skip *skips; size_t skip_count;
	struct spool_marker markers[SPOOL_MARKERS]; size_t marker_count;	/* newest first */
};

/* What spool_file.state says of a file: active rotated deleted done. spool_file.path is the last path that an input
 * matched: a file that was renamed out of the globs is searched from there. */
const char *tail_state_name(uint8_t state);

/* The records of a range that is no file's, again, in order: put is called for each. 0; what put said; ERR_NOT_FOUND: it is a
 * file's; ERR_BAD_DATA: nobody has them any more; ERR_UNAVAILABLE, ERR_NOMEM, -errno: not now. */
typedef int tail_put_fn(void *arg, const struct lane_record *record);
typedef int tail_reread_fn(void *arg, const struct source_range *s, tail_put_fn *put, void *put_arg);

struct tail_conf {
	const struct conf *conf;
	struct producer   *producer;
	struct tail_hooks  hooks;
	const struct tail_known *known; size_t known_count;	/* copied */
	const struct spool_route *routes; size_t route_count;	/* of earlier lives, copied: what tail_rebuild needs */
	int64_t next_file_id;
	uint32_t next_route_id;		/* or a greater one, of the routes above */
	tail_reread_fn *reread; void *reread_arg;	/* NULL: every range is a file's */
	bool state_lost;			/* the state database was salvaged: files that are not known are read whole */
	bool    other_boot;		/* `known` is of another boot: device numbers may mean other file systems now, and files
					 * may have been cut by a power loss */
	bool    once;
	size_t  others_open;		/* descriptors that others may need, besides a few */
	const char *hostname;
	const char *const *specs;	/* of each input: how lines become records now (recipe_spec); NULL: as they are */
	const char *key_serializer;	/* what makes bytes of the key template's text; NULL: they are */
};

int  tail_open(const struct tail_conf *c, struct tail **ret_t, struct err *ret_err);
int  tail_start(struct tail *t);		/* starts the thread */
/* No more reading; waits for the thread; open files stay open: tail_rebuild goes on, on its caller's thread. */
void tail_stop(struct tail *t);
void tail_close(struct tail *t);		/* NULL is fine */

/* Builds the record section of an absent batch again from its ranges, on the tail thread, then calls producer_loaded:
 * 0; ERR_AGAIN (no memory yet); ERR_BAD_DATA: the files no longer hold these lines. Any thread. */
void tail_rebuild(struct tail *t, struct batch *b);
/* The same at once, and without telling the producer: waits for the thread's next round. The caller is not the tail thread, and
 * holds no lock. Besides: ERR_UNAVAILABLE: a file may still turn up; -errno. */
int  tail_rebuild_now(struct tail *t, struct batch *b);
/* The journal's unread(): the files of these batches go on where the oldest of their lines begins. Any thread. */
void tail_unread(struct tail *t, struct lane *l, struct list *batches, bool last);
/* --once: all is handed over, and nothing of it came back. Any thread. */
bool tail_all_read(const struct tail *t);
/* Copies of all rows (mem_free each path, then the array). Waits some seconds for the thread's next round, ERR_TIMEOUT behind
 * that; after tail_stop it answers directly. Any thread but the tail's. */
int  tail_files(struct tail *t, struct tail_file_info **ret, size_t *ret_n);
/* What people order; done by the tail thread. Both say in words what was done, or why not. Any thread but the tail's. */
struct tail_moved {
	int64_t file_id;
	int64_t from, to;		/* where it was read to, and where it goes on */
	int64_t skipped, again;		/* bytes that are not read, that are read once more */
	char    words[480];
};
/* A followed file goes on at this offset: at the next beginning of a line, at most at its end (INT64_MAX: there). What is
 * skipped is entered in the losses. Going back it gets a new id, and unfinished batches go on under the old one; at the latest
 * it goes back to its safe position, or kill -9 could lose what is between. ERR_NOT_FOUND; ERR_UNAVAILABLE: it cannot be
 * opened; ERR_CONFIG: a negative offset. */
int  tail_position_set(struct tail *t, const char *path, int64_t offset, struct tail_moved *ret);
struct tail_forgotten {
	size_t  files;			/* rows */
	int64_t bytes;			/* that were not read */
	char    words[480];
};
/* Files of this path that are gone, renamed away or matched by no input leave tables and rows; their unread rest is entered
 * in the losses, batches that only they could build again are lost. ERR_NOT_FOUND; ERR_BUSY: it is there, and matched. */
int  tail_forget(struct tail *t, const char *path, struct tail_forgotten *ret);
/* Bytes that were handed over since the start; read again, they count again. Any thread. */
uint64_t tail_read_bytes(const struct tail *t);
/* Another configuration. */
struct tail_change {
	const struct conf *conf;
	const char *const *specs;
	const char *key_serializer;
	const size_t *was;		/* of each input: the one of before that says the same in all, or SIZE_MAX */
	tail_reread_fn *reread; void *reread_arg;
	size_t  others_open;
	/* What else may fail: called when nothing else can, on the tail thread. A failure of it is one of the whole. */
	int   (*last)(void *arg, struct err *ret_err); void *last_arg;
};
/* Takes it over between two rounds, all or nothing: on failure nothing is different, and words say why. Else what was handed
 * over is what it was, and everything behind that goes by the new one. Files whose input says the same are not touched, those of
 * others are read on by it where they are; what no input matches any more is not read on, closed when it is finished, and goes on
 * there when one does again. Files of a new input begin as they do at a start that is not the first.
 * A file that gets no topic, key or lane by it waits as it would after a restart, and it is said; no reason to refuse the rest.
 * The old conf and specs are not used any more when this returns 0, nor are the new ones otherwise. Any thread but the tail's. */
int  tail_reload(struct tail *t, const struct tail_change *c, struct err *ret_err);
/* Ids that nobody has, for others. Any thread but the tail's. */
void tail_take_ids(struct tail *t, size_t n, int64_t *ret_file_id, uint32_t *ret_route_id);
/* Why nothing is read where something should be: unreadable files, globs without a match. One line each; mem_free. NULL:
 * no memory, or the thread did not answer in time. */
char *tail_reasons(struct tail *t);
/* After tail_stop: whether a file of this id is gone from every matched path (rotated out or deleted). */
bool tail_file_vanishing(struct tail *t, int64_t file_id);

/* How often a line was cut at max_line, since the start. Any thread. */
uint64_t tail_split_lines(const struct tail *t);
/* The same, how often inotify lost events, and how often all inputs were walked. Any thread. */
struct tail_counters { uint64_t split_lines, overflows, walks; };
void tail_counters(const struct tail *t, struct tail_counters *ret);

/* What `check` prints: one line for each input with its files, and one for each problem ("error:") and surprise ("warning:"). Needs
 * no thread. Returns the number of problems. */
int  tail_check(const struct conf *conf, struct buf *out, int *ret_warnings);

#endif

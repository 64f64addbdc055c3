/* tail_inside.h - what the files of the tail thread share. Nobody else includes this (but its tests).
 *
 *	tail.c		 the thread: start, stop, timers
 *	tail_reload.c	 another configuration, between two rounds
 *	tail_calls.c	 questions and orders from other threads
 *	tail_orders.c	 positions that people set, files that they have forgotten
 *	tail_find.c	 names: events and walks
 *	tail_files.c	 files: tables, opening, renames, the end
 *	tail_order.c	 successors: whose lines go before whose
 *	tail_missed.c	 generations of a file that came and went unseen
 *	tail_twin.c	 files that repeat the bytes of others: the copies that copytruncate makes
 *	tail_copy.c	 copies that take the place of their original
 *	tail_known.c	 files of an earlier life, and rows of files that are gone
 *	tail_links.c	 where links lead that are followed
 *	tail_notes.c	 what is wrong with names
 *	tail_fds.c	 which files are open, when there are more than descriptors
 *	tail_gates.c	 whether network file systems answer
 *	tail_remote.c	 files on network file systems
 *	tail_search.c	 files of an earlier life that are not at their path
 *	tail_cut.c	 files that a power loss shortened
 *	tail_skip.c	 ranges that are not read
 *	tail_hole.c	 files that are longer than what was written to them
 *	tail_rescue.c	 files that are about to vanish, while their lines cannot be sent
 *	tail_read.c	 turns: bytes -> records, waiting for memory
 *	tail_unread.c	 lines that memory gave back: read again later
 *	tail_packed.c	 compressed files: their turn, their end, their damage
 *	tail_repacked.c compressed files that hold what was read before it was compressed
 *	tail_route.c	 topic, key, lane of a file
 *	tail_recipe.c	 recipes; lines that go through one
 *	tail_message.c	 messages out of lines: groups, containers' frames, encodings
 *	tail_hand.c	 messages become records of lanes, or are dropped, or set aside
 *	tail_rebuild.c	 an absent batch out of its ranges
 *	tail_lag.c	 since when files are behind
 *	tail_show.c	 what people see: rows, reasons, check
 */
#ifndef SPILLWAY_TAIL_INSIDE_H
#define SPILLWAY_TAIL_INSIDE_H

#include <pthread.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/map.h"
#include "agent/base/thread.h"
#include "agent/tail/file.h"
#include "agent/record/glob.h"
#include "agent/tail/identity.h"
#include "agent/record/recipe.h"
#include "agent/tail/lag.h"
#include "agent/tail/tail.h"
#include "agent/tail/watch.h"

/* Times in ms; constants, except for tests. */
struct tail_pace {
	int64_t piece;			/* of a turn whose lines need work; then events and other files have their turn */
	int64_t flush;			/* an unfinished last line of a rotated or deleted file, unchanged for so long, is sent */
	int64_t rotated_idle;		/* a finished rotated file is closed after so long at its end */
	int64_t deleted_idle;
	int64_t away;			/* rotated and deleted files are looked at so often: no watch tells about them */
	int64_t reconcile;		/* a walk, whatever the watches say; longer when walks are slow */
	int64_t poll;			/* the same when watches are limited */
	int64_t retry;			/* a lane that takes nothing is tried again, also without a wake-up */
	int64_t keep_rows;		/* of files that are gone and finished */
	int64_t twin;			/* what repeats another file and has not changed for so long is a file of its own */
	int64_t answer;			/* who looks waits for the thread so long */
	int64_t gate;			/* the first walk waits so long for file systems that never answered, all together */
	int64_t doubt;			/* what a network file system says about a file that shrank is believed after so long */
};

struct tail_input {
	const struct conf_input *conf;
	struct conf_strings paths, exclude;	/* expanded */
	/* In the last walk: files; links that are not followed; what is excluded; files of other inputs; directories that are
	 * not there. */
	size_t  matched, links, excluded, shared, missing;
	char   *shared_path;			/* the first of them by name, and whose it is */
	size_t  shared_with;
};

/* Where records go: one lane. While it is dry, its files wait for memory (or for metadata, or because it is held). */
struct dest {
	struct list  node;
	struct lane *lane;
	bool         waits;		/* when_full: wait */
	bool         dry;
	bool         held;		/* dry because the lane is held: only it waits */
	bool         owed;		/* memory came too soon after the last try */
	bool         mixed;		/* of files whose records have topics of their own, among others */
	bool         vanishing;		/* within one look at files that are away */
	int64_t      tried_ms;
	struct list  waiting;		/* files */
};

/* How lines of a file become records. Where each record has a topic of its own, row.topic is "". The twin says the same under
 * another id: what follows a record that time ended (a last line without LF, a group) must not join its range, or splitting the
 * range again would give other records. */
struct route {
	struct spool_route row;		/* topic, key and spec are ours */
	const struct recipe *recipe;	/* NULL: lines as they are */
	struct route *twin;
};

/* A row of the state database that no open file has. */
struct known {
	struct list node;
	struct known *same_inode;	/* the next with this inode */
	struct spool_file row;		/* path and origin are ours; origin NULL: as path */
	struct tail_skip *skips; size_t skip_count;
	struct spool_marker *markers; size_t marker_count;
	bool match;			/* a file that fits goes on here */
	bool other_boot;		/* of another boot */
	bool lost;			/* at the start: its file is not what it was, a copy of it may go on here */
	struct list head_at;		/* among those with this fingerprint */
};

static inline const char *known_origin(const struct known *k)
{
	return k->row.origin ? k->row.origin : k->row.path;
}

#define TWIN_HEADS 256

struct tail {
	struct tail_conf conf;		/* known, routes: not used after tail_open */
	struct tail_hooks *hooks;	/* of conf */
	struct tail_pace pace;
	struct tail_input *inputs;
	char   cwd[GLOB_PATH_MAX];

	/* Set by main before the thread runs and after it ended. */
	pthread_t thread;
	bool      started;
	pthread_mutex_t mu;		/* protects running and calls; leaf */
	pthread_mutex_t ended;		/* once it does not run: of whoever does the thread's work; before mu */
	pthread_cond_t  cond;
	bool      running;
	struct list calls;
	bool deaf;			/* the last call was not answered in time; lock: mu */
	struct queue rebuilds;		/* batch.node */
	struct queue unreads;		/* struct unread */
	_Atomic bool nudged;		/* memory came back */

	/* Thread: tail; main before it starts and after it ended. */
	struct loop loop;
	struct loop_timer work, slow, away_timer, retry_timer;
	struct budget_waiter waiter;
	int64_t  began_ms, began_wall_ms;	/* when this life began */
	bool     first_start;		/* the state database knows no file */
	_Atomic bool all_read;		/* --once: said so, and it is still true */
	bool     warned_state, warned_limit, warned_fds, warned_spec, warned_packed;

	/* Names: walks and events. */
	struct watch *watch;
	struct loop_fd watch_fd;
	struct list notes;
	struct list gates;		/* directories of patterns */
	struct map  hops;		/* names that matched links lead over */
	struct list looks;		/* names to look at, in the order of events */
	struct map  looks_by_path;
	struct { uint32_t cookie; char *home; } moved;
	struct tail_input *walking;	/* within a walk */
	uint32_t round;
	int64_t  walk_ms, walked_ms;	/* how long the last walk took; when it ended */
	bool     first_walk;		/* during the first one, and that of a reload */
	bool     reloading;		/* during the latter */
	bool     rewalk;
	bool     renamed;		/* the last events had a rename */
	bool     blind;			/* events were lost since the last walk */
	bool     polling;		/* some directory is looked at instead of watched */
	bool     holes;			/* some file is longer than what was written to it: no event tells of the rest */

	/* Files, and rows of those that nobody follows. */
	struct list files, away, known;
	struct map  by_path, by_home, by_inode, by_id, known_by_inode;
	struct list used;		/* open files, the least recently used first */
	size_t  open_count, max_open;
	int64_t next_file_id;
	struct list packed;		/* compressed files that are not finished, oldest first */
	struct list put_off, copies;	/* compressed files that nobody follows: not looked at yet, waiting (tail_repacked.c) */
	bool    settling;		/* it was decided that a compressed file is followed */

	/* Copies (tail_twin.c). By fingerprint; how many have a fingerprint of each length; files that wait; that seem
	 * truncated. */
	struct list heads[TWIN_HEADS], known_heads[TWIN_HEADS];
	uint32_t head_lens[IDENTITY_HEAD + 1];
	struct list twins, suspects;
	struct loop_timer twin_timer;

	/* Turns: bytes become records. */
	struct list ready;
	struct list live;		/* ready as well: they were at their end a moment ago */
	unsigned live_run;		/* turns of those since the last one of the others */
	struct window window;
	struct recipe_room *room;	/* from the first recipe on */
	struct tray *tray;		/* the same */
	struct assembly *assembly;	/* from the first file with messages on */
	struct list groups;		/* files with an open group at their end */
	struct loop_timer group_timer;
	struct list borders;		/* files that wait at one */
	struct loop_timer border_timer;
	int64_t border_ms, rescued_ms;	/* between two looks at them; when all lanes were asked last */
	struct log_seldom step_failures, refusals;	/* of lines */

	/* Where records go. */
	struct list dests;
	struct map  routes_by_id, routes_by_text, dests_by_name;
	struct map  recipes;		/* by spec */
	uint32_t next_route_id;

	/* Files that are behind, by id. */
	struct map  lags;
	struct loop_timer lag_timer;
	_Atomic uint64_t read_bytes;	/* Any thread. */

	/* Any thread. */
	_Atomic uint64_t split_lines, overflows, walks;
};

/* --- tail.c --- */
void tail_work(struct tail *t);			/* a round of turns will follow, now */

/* --- tail_calls.c --- */
/* Runs fn between two rounds of the thread and waits for it, or here when the thread does not run. */
void calls_do(struct tail *t, void (*fn)(struct tail *t, void *ret), void *ret);
void calls_answer(struct tail *t);

/* --- tail_reload.c --- */
/* Inputs with their patterns expanded. *longest: room for the longest line, at least what it was. 0, or an error with words. */
int  inputs_new(const struct tail *t, const struct conf *conf, struct tail_input **ret, size_t *longest, struct err *ret_err);
void inputs_free(struct tail_input *inputs, size_t n);		/* NULL is fine */
void inputs_gates(struct tail *t);
void reload_end(struct tail *t, struct file *f);	/* f (retired) is followed no longer if all of it is finished */
void reload_border_time(struct loop_timer *timer);
/* f is at a border, or behind one that is: it has no turn until what lies before it is finished. */
bool reload_holds(struct tail *t, struct file *f);
void reload_revive(struct tail *t, struct file *f);	/* f (retired) is read on if an input matches it again */

/* --- tail_find.c --- */
void find_walk(struct tail *t);
void find_events(struct tail *t);
/* The first input that has this path, or SIZE_MAX. */
size_t find_input(const struct tail *t, const char *path);
/* Whether a regular file is at this path, for this input: at the end of a link, if the input follows links. */
bool find_stat(struct tail *t, const char *path, size_t input, struct stat *ret_st);
bool find_follows(const struct tail *t, const char *path);	/* whether its input follows links */
void find_dir(struct tail *t, const char *path);		/* a directory in which something may happen */
/* Its present name in the directory where it was, or, what a link led to, beside that to which the link leads now. NULL: it
 * has none there. mem_free. */
char *find_name(const struct file *f);
/* f (parked) is not at its path: it may be under another name by now, and then it is attached and open again. */
bool find_again(struct tail *t, struct file *f);
/* Whether a file that nobody follows is older than ignore_older, and nothing of it is known to be unread. */
bool find_ignored(const struct tail *t, size_t input, const struct stat *st);
void find_release(struct tail *t);

/* --- tail_links.c --- */
void links_add(struct tail *t, const char *link);
/* Calls fn for each link that leads over this name. Returns whether there is one. */
bool links_each(struct tail *t, const char *name, void (*fn)(struct tail *t, const char *link));
const char *links_home(const struct tail *t, const char *name);	/* one of them, or NULL */
void links_clear(struct tail *t);

/* --- tail_notes.c --- */
/* Something is wrong with a name; `what` is a literal, rc 0 or an error. Said once, until a walk does not find it so. */
void notes_say(struct tail *t, const char *path, const char *what, int rc);
void notes_begin(struct tail_input *in);		/* of a walk, before it looks at anything */
void notes_shared(struct tail *t, const char *path, size_t owner);
void notes_missing(struct tail *t, const char *pattern);	/* these two: of t->walking */
void notes_inputs(struct tail *t);
void notes_end(struct tail *t);			/* of a walk */
void notes_show(const struct tail *t, struct buf *out);
void notes_release(struct tail *t);

/* --- tail_fds.c --- */
void fds_init(struct tail *t);
void fds_resize(struct tail *t);		/* others need another number of descriptors */
int  fds_open(struct tail *t, struct file *f);		/* file_open, after making room */
void fds_opened(struct tail *t, struct file *f);	/* it is one of the open ones from now on */
void fds_close(struct tail *t, struct file *f);
/* Opens a parked file again. false: it is not open; it is said, or a walk will find out. */
bool fds_wake(struct tail *t, struct file *f);
struct file *fds_by_id(struct tail *t, int64_t id);	/* files_by_id, and awake if that can be */
void fds_gone(struct tail *t, struct file *f);		/* parked, and nowhere: follows it no longer, and frees it */

/* --- tail_gates.c --- */
void gates_add(struct tail *t, const char *pattern);
/* Whether what is below this path may be touched now; if not, it is asked for, and a walk follows when that is answered. */
bool gates_pass(const struct tail *t, const char *path);
bool gates_pass_soon(const struct tail *t, const char *path);	/* waits for some milliseconds */
bool gates_ask(struct tail *t);		/* whether there are some and all will answer soon, as far as is known */
bool gates_answered(struct tail *t);	/* whether one has: a walk may go there now */
void gates_wait(struct tail *t);	/* before the first walk, and that of a reload: for those that never answered */
void gates_say(struct tail *t);		/* within a walk */
void gates_release(struct tail *t);

/* --- tail_remote.c --- */
void remote_stale(struct tail *t, struct file *f);	/* ESTALE */
/* f is smaller than it was read, or its bytes changed. true: that is not believed (yet); it is looked at again. */
bool remote_doubt(struct tail *t, struct file *f);

/* --- tail_files.c --- */
struct file *files_by_path(const struct tail *t, const char *path);
struct file *files_by_inode(const struct tail *t, uint64_t dev, uint64_t inode);
struct file *files_by_id(const struct tail *t, int64_t id);
bool files_in_state_dir(const struct tail *t, const char *path);	/* this directory is our own, or below it */
/* A file at `path` that has, or had a moment ago, the matched name `home`. NULL: is known already, or is gone. */
struct file *files_adopt(struct tail *t, const char *path, const char *home);
bool files_open(struct tail *t, struct file *f);		/* one that failed before */
void files_attach(struct tail *t, struct file *f, const char *path);	/* it is there now */
void files_detach(struct tail *t, struct file *f);		/* it is not at its path any more */
void files_watch_end(struct tail *t, struct file *f);	/* rotated, though its name matches: its last line may never end */
void files_table(struct tail *t, struct file *f);		/* f stands in the tables, by inode and path */
void files_drop(struct tail *t, struct file *f);		/* follows it no longer, and frees it */
void files_failed(struct tail *t, struct file *f, int rc, const char *what);
void files_ready(struct tail *t, struct file *f);
void files_look_away(struct tail *t, struct file *f);	/* looked at with the rotated and deleted ones */
void files_pass(struct tail *t, struct file *f);		/* it was read on, or closed: may its successors go? */
void files_put(struct tail *t, struct file *f, int64_t gone_ms);
void files_away(struct tail *t);		/* rotated and deleted ones: changed, to be flushed, to be closed? */
void files_release(struct tail *t);

/* --- tail_order.c --- */
void order_place(struct tail *t, struct file *f);		/* finds f its place among the files that had its home */
void order_after(struct file *pred, struct file *f);		/* f waits for pred's lines, unless that was read on already */
void order_none(struct file *f);				/* f, which waits, waits no longer */
void order_exchange(struct tail *t, struct file *f, struct file *last);	/* their ids */
/* f begins anew, under a new id: those that wait for it come behind it in a later life, too. */
void order_renewed(struct tail *t, struct file *f);
bool order_passed(const struct file *f, int64_t size);

/* --- tail_missed.c --- */
/* After a walk: files that were rotated several times since the one before. blind: what no input matches may be among them. */
void missed_look(struct tail *t, bool blind);

/* --- tail_twin.c --- */
/* f's fingerprint grew, or is another one; or f goes. */
void twin_index(struct tail *t, struct file *f);
void twin_unindex(struct tail *t, struct file *f);
void twin_index_known(struct tail *t, struct known *k);
void twin_unindex_known(struct tail *t, struct known *k);
/* Where f was read to: what a shorter copy is recognised by. */
void twin_trail(struct file *f);
/* Whose bytes does this open file (fd, size) repeat from its beginning on? */
struct twin {
	struct file  *file;		/* followed; NULL: it is a row */
	struct known *known;
	int64_t same;			/* up to here they were compared or proven to be equal */
	bool whole;			/* all that was read of the other one is in this one */
};
bool twin_find(struct tail *t, const struct file *f, struct twin *ret);
/* Whether n repeats what was read of f, as far as it goes: what f holds, or what is remembered where that is gone. */
bool twin_repeats(const struct file *n, const struct file *f, struct twin *ret);
bool twin_repeats_row(const struct file *n, const struct known *k, struct twin *ret);
/* Whether f, of which nothing was read yet, has to wait: it may be a copy. */
bool twin_holds(struct tail *t, struct file *f);
void twin_again(struct tail *t);		/* those that wait are compared once more */
/* f seems truncated: true: once more after a look at names. */
bool twin_suspect(struct tail *t, struct file *f);
void twin_round(struct tail *t);		/* before the turns of a round */
void twin_tick(struct loop_timer *timer);

/* --- tail_copy.c --- */
/* f no longer holds what was read of it. true: a copy has taken its place, and f is what has to be read after it. */
bool copy_truncated(struct tail *t, struct file *f);
bool copy_unread(struct tail *t, struct file *f);		/* the same where nothing was read of it */
void copy_tell_gap(struct tail *t, const struct file *f);	/* what was seen of f, and never read, is lost */
void copy_deleted(struct tail *t, const struct file *f);	/* f has no name any more */
bool copy_awaited(const struct tail *t, int64_t id);		/* a copy waits for what is finished of this one */
bool copy_resolve(struct tail *t, struct file *f);		/* a copy of what is gone: true: it goes on */
bool copy_resume(struct tail *t, struct known *k);		/* at the start: k's file is gone; a copy of it goes on here */
void copy_settle(struct tail *t);		/* after the first walk and search */

/* --- tail_known.c --- */
int  known_load(struct tail *t, const struct tail_known *k);
/* Lets f (just opened) go on where an earlier life stopped. false: none fits, it is a new file. */
bool known_resume(struct tail *t, struct file *f);
/* A file is closed, or got a new generation: its row stays for a while. match: it may come back. */
void known_keep(struct tail *t, const struct file *f, bool match, int64_t gone_ms);
/* No input matches f any more, and all that was handed over is finished: it goes on there when one does. 0 or ERR_NOMEM. */
int  known_let_go(struct tail *t, const struct file *f);
struct known *known_by_id(const struct tail *t, int64_t id);
void known_take(struct tail *t, struct file *f, struct known *k);	/* f goes on where this row says; k is no more */
void known_gone(struct tail *t, struct known *k);		/* nothing can go on here, in no later life either */
/* What is unresolved of it may be in this file now. */
void known_move(struct tail *t, struct known *k, const struct file *f);
void known_expire(struct tail *t);		/* rows that were kept long enough */
/* All rows of this path, at once; what they say is unread is entered as forgotten. Returns how many; *bytes grows. */
size_t known_forget(struct tail *t, const char *path, int64_t *bytes);
/* The file that has the bytes of an id which is nobody's now (an older generation): it may still have them. NULL: none. */
struct file *known_heir(const struct tail *t, int64_t id);
/* What this row was is in another file now, which goes on there when it is opened. ERR_NOMEM: the next walk tries again. */
int  known_retag(struct tail *t, struct known *k, const char *path, uint64_t dev, uint64_t inode);
/* Whether a row says that it is about this open file. */
bool known_has(const struct tail *t, const struct file *f);
/* Opens a file of an earlier life that nobody follows, for reading what is known of it. 0, and *ret has fd, id and size;
 * ERR_UNAVAILABLE: it may still turn up; ERR_BAD_DATA: it is gone or another one. */
int  known_open(const struct tail *t, int64_t id, struct file *ret);
/* A file that is there under a known inode: whether something of it is known to be unread. */
bool known_unread(const struct tail *t, const struct stat *st);
/* Whether the file with k's inode that was found there is k's: by now it may be another row's, or nobody's. */
bool known_is_at(const struct tail *t, const struct known *k, const char *path, const struct stat *st);
void known_release(struct tail *t);

/* --- tail_search.c --- */
/* After the first walk: files that are at no matched path any more are searched where they were. */
void known_search(struct tail *t);

/* --- tail_cut.c --- */
/* f (open) is smaller than this row says, or not what it was at its position: the newest offset up to which it is. */
bool cut_find(const struct file *f, const struct known *k, struct spool_marker *ret);
void cut_go_on(struct tail *t, struct file *f, const struct known *k, const struct spool_marker *at);

/* --- tail_skip.c --- */
/* Ranges of a file that are not to be read, in order and apart from each other. Adds one. ERR_NOMEM. */
int  skip_cut(struct tail_skip **v, size_t *n, int64_t from, int64_t to);	/* the opposite */
int  skip_add(struct tail_skip **v, size_t *n, int64_t from, int64_t to);
/* What lies between f's in from..to is given up, or may be doubled: tells so, with its lines and bytes; finish: it is not
 * read. Returns the bytes. */
int64_t skip_tell(struct tail *t, const struct file *f, int64_t from, int64_t to, const char *reason, bool finish);
/* They are finished under f's id, which the state database knows. */
void skip_finish(struct tail *t, const struct file *f);
/* f goes on behind those that it has come to. 0; ERR_BAD_DATA: it is not what was read of it any more; -errno. What could not be
 * jumped over stays: a copy may have it. */
int  skip_jump(struct file *f);

/* --- tail_hole.c --- */
/* Before a turn: which NULs at f's end are not there yet. Windows end where they begin. */
void hole_look(struct tail *t, struct file *f);

/* --- tail_rescue.c --- */
void rescue_away(struct tail *t);

/* --- tail_packed.c --- */
/* f was opened, and may be compressed. packed_begin: nothing is known of it; packed_resume: this row is. */
void packed_begin(struct file *f);
void packed_resume(struct file *f, const struct spool_file *row);
void packed_follow(struct tail *t, struct file *f);
/* It is compressed, and finished, or others are before it. */
bool packed_waits(struct tail *t, struct file *f);
/* Its position is within reach. false: a turn went into getting nearer. */
bool packed_near(struct file *f);
void packed_at_end(struct tail *t, struct file *f);
void packed_tick(struct tail *t);		/* packed_look and packed_wait_over are called after a while */
void packed_look(struct tail *t);		/* unfinished ones: changed, or is their end their end? */
/* Whether compressed files of this path are read so. */
bool packed_unpacks(const struct tail *t, const char *path);
bool packed_named(const char *path);		/* as compressed files are called */

/* --- tail_repacked.c --- */
/* A file that is compressed may be one that was read before: decided when all others of a walk were looked at. */
bool packed_puts_off(struct tail *t, const char *path, const char *home, size_t input);
void packed_settle(struct tail *t, bool walked);	/* walked: every name was met */
/* Those that waited for more of themselves long enough are looked at again. */
void packed_wait_over(struct tail *t);
/* Whether one that was put off is what is missing of this row: it takes it over. */
bool packed_claim(struct tail *t, struct known *k);
void packed_release(struct tail *t);

/* --- tail_read.c --- */
void read_turns(struct tail *t);
/* Dry destinations are tried again: all when memory came, otherwise those whose last try is long ago. */
void read_retry(struct tail *t, bool memory_came);
/* The file is handed over up to here; end: its bytes there. */
void read_moved_to(struct file *f, int64_t offset, const uint8_t *end);
/* So many pieces of long lines were cut, the first one at that offset. */
void read_count_pieces(struct tail *t, struct file *f, int64_t first, uint64_t pieces);

enum turn_end {
	TURN_MORE,		/* there is more to read */
	TURN_IDLE,		/* at the end */
	TURN_OUT,		/* waits for its lane, or failed, or begins anew: it was put where it belongs */
};
enum turn_end turn_failed(struct tail *t, struct file *f, int rc);
/* What f->dest, or whatever else is needed, answered to the next record. */
enum turn_end turn_refused(struct tail *t, struct file *f, int rc);
/* Everything was seen. */
enum turn_end turn_at_end(struct tail *t, struct file *f);
/* Nothing will follow the file's present end. */
bool wants_rest(const struct tail *t, const struct file *f);
/* The `rest` bytes before `end`, which begin at f's offset, are open. */
void remember_rest(struct file *f, const uint8_t *end, size_t rest);
/* After a record that time ended: what follows gets ranges of its own. */
void end_range(struct tail *t, struct file *f);
/* Whole NULs of `unit` bytes at the very beginning: what copytruncate leaves under a writer that does not append. Returns how many
 * bytes. */
size_t skip_nuls(struct tail *t, struct file *f, const uint8_t *p, size_t n, size_t unit);

/* --- tail_message.c --- */
/* A turn of a file whose lines are not its records. */
enum turn_end message_turn(struct tail *t, struct file *f);
/* Groups whose files have been quiet long enough are ended. */
void message_time(struct loop_timer *timer);

/* --- tail_hand.c --- */
/* One turn's way from messages to lanes. */
struct hand {
	struct tail *t;
	struct file *f;
	const struct route *route;
	bool    streams;		/* spans lie apart: what was handed over is noted in `given` */
	bool    inside;			/* behind what was lost last, the line goes on */
	int     rc;			/* what refused a record: nothing is taken any more */
	int64_t back;			/* the first byte of what was not taken then; else INT64_MAX */
	struct tail_skip *given; size_t given_count;
	struct spool_range dropped;	/* filtered: messages that wait for a record behind them */
	struct spool_loss lost;		/* bytes: of lines that were too long */
	uint64_t lost_mark;
	uint64_t pieces;		/* of long lines */
	int64_t first_piece, next_ms;
	struct dest *dest;		/* of the last record, if each has a topic of its own, */
	char topic_text[256];		/* which was this */
};
void hand_begin(struct hand *h, struct tail *t, struct file *f);
/* m: a message or lost bytes. 0, or what refused it or one before it. */
int  hand_message(struct hand *h, const struct message *m);
/* Nothing is taken any more, because of rc. Returns what refused a record. */
int  hand_refused(struct hand *h, int rc);
/* Everything that was given is handed over; as hand_message. */
int  hand_end(struct hand *h);
/* The marker of an offset of f, out of the window if it is there. */
uint64_t hand_marker(const struct tail *t, const struct file *f, int64_t to);

/* --- tail_unread.c --- */
void unread_answer(struct tail *t);

/* --- tail_route.c --- */
/* 0, f->route and f->dest (NULL where each record has a topic of its own); ERR_BAD_DATA: no legal topic, or a key that its
 * serializer does not take; ERR_NOMEM. */
int  route_file(struct tail *t, struct file *f);
/* Of f's lines; NULL: UTF-8, or not known. */
const struct encoding *route_encoding(const struct file *f);
/* Where the records of f for this topic go. 0; ERR_BAD_DATA: no legal name; ERR_LANES; ERR_NOMEM. */
int  route_dest(struct tail *t, const struct file *f, const struct recipe *recipe, const char *topic, struct dest **ret);
struct route *route_twin(struct tail *t, struct route *r);	/* NULL: out of memory */
const struct spool_route *route_by_id(const struct tail *t, uint32_t id);
int  route_load(struct tail *t, const struct spool_route *r);
void route_release(struct tail *t);

/* --- tail_recipe.c --- */
/* The recipe of a spec, made once; t->room is there then. *ret NULL: of the empty one. 0, ERR_CONFIG (said once), ERR_NOMEM. */
int  recipe_of(struct tail *t, const char *spec, const struct recipe **ret);
/* Hands over what is complete in the n bytes at p, for a route with a recipe whose messages are lines. 0; 1: there is more, but
 * others wait too; what refused a record: as lane_append; ERR_NOMEM; ERR_LANES; ERR_SPOOL_FULL: the next line makes no record, and
 * there is no room to set it aside. */
int  recipe_lines(struct tail *t, struct file *f, const uint8_t *p, size_t n, bool final);
void recipe_release(struct tail *t);

/* --- tail_rebuild.c --- */
void rebuild_batch(struct tail *t, struct batch *b);
int  rebuild(struct tail *t, struct batch *b);

/* --- tail_lag.c --- */
void lag_look(struct tail *t, const struct file *f);	/* its size was looked at */
int64_t lag_of(struct tail *t, const struct file *f, int64_t safe);	/* ms; 0: nothing is behind, or it is not known */
void lag_prune(struct loop_timer *timer);
void lag_release(struct tail *t);

/* --- tail_show.c --- */
struct tail_list { struct tail_file_info *v; size_t n; int rc; };
void show_files(struct tail *t, struct tail_list *ret);
char *show_reasons(struct tail *t);

#endif

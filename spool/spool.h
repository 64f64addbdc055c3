/* spool.h - the state database: where files are read to, what is in flight, what was spilled.
 *
 * Promise
 *	What a FULL transaction recorded survives kill -9 and power loss; what a NORMAL one recorded survives kill -9.
 *	A position moves only over finished bytes (acked, spooled, rejected, dropped, filtered), in the transaction that
 *	finishes them. The spool knows nothing of Kafka: a row is a lane, a count, bytes and their CRC.
 * Calling sequence
 *	spool_open, (spool_begin, changes*, spool_commit | spool_rollback)*, spool_close. Changes outside a transaction are a bug.
 * Threads
 *	One thread for everything after spool_open returned (the state thread). One process: the directory is locked.
 * Ownership
 *	Arguments are borrowed for the call. What reading functions hand to a callback is valid until it returns.
 * Failure
 *	Refusals (ERR_SPOOL_FULL, ERR_NOT_FOUND, ERR_TOO_LARGE) and errors of reading functions leave a transaction as good
 *	as before the call. After any other error of a change the transaction is lost: further changes and spool_commit
 *	answer an error, spool_commit and spool_rollback undo all of it, and a new one may be tried (err_class).
 *	-ENOSPC: the file system is full although room had been made sure of; class RETRY, as ERR_SPOOL_FULL.
 *	Callbacks of reading functions end the reading by any value but 0, which the function returns then. They may read
 *	other things, but change nothing.
 * Durability
 *	SQLite in WAL mode, EXCLUSIVE, synchronous toggled FULL/NORMAL by transaction; settings are verified at open. A FULL
 *	transaction makes the NORMAL ones before it durable, even if it changes nothing itself.
 */
#ifndef SPILLWAY_SPOOL_H
#define SPILLWAY_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"

struct spool;

struct spool_conf {
	const char *dir;		/* created with mode 0700 when missing; only its last component */
	int64_t max_size;		/* bytes of rows */
	int64_t min_free;		/* of the file system */
	bool    read_only;		/* look in without changing anything: ERR_BUSY while an agent runs, -ENOENT where nothing
					 * is. What a kill -9 left in the WAL is folded in first, as by an agent's start. */
};

/* ERR_BUSY: another process has the directory; ERR_NEWER; ERR_CORRUPT (read_only: damaged); -errno (EACCES, ENOSPC, ...). Words
 * in *ret_err say what to do. */
int  spool_open(const struct spool_conf *conf, struct spool **ret_s, struct err *ret_err);
/* Checkpoints and truncates the WAL, closes, unlocks. NULL is fine. */
void spool_close(struct spool *s);

/* A state database that is damaged beyond opening does not end the agent: spool_open sets it aside in its directory, begins
 * a new one with all that proves itself, and enters the rest in the losses (SPOOL_LOSS_STATE, SPOOL_LOSS_UNCERTAIN). */
struct spool_salvage {
	bool     happened;
	bool     wal_gone;		/* spool.db was sound, but what had not been folded in yet is gone */
	char     aside[64];		/* the damaged file's new name in the directory; "": wal_gone */
	uint64_t files, files_back;	/* known again; of them without a position: read again from their beginning */
	uint64_t files_lost;		/* not even their names are known: as new files */
	uint64_t rows, records, bytes;	/* spooled batches that are whole */
	uint64_t rows_damaged;		/* their heads are: built again from their files, or set aside */
	uint64_t rows_lost, records_lost, bytes_lost;
	uint64_t rows_no_room;		/* of rows_lost: whole, but no room for a copy */
	uint64_t batches, batches_lost;	/* of the ledger: kept with identity; without: sent again, maybe doubled */
	char     text[640];		/* all of that in words */
};
/* What spool_open had to do; happened is false as a rule. */
/* Damage was met while it was in use, more than one row's. The next open salvages; what is written until then may be lost. */
bool spool_damaged(const struct spool *s);
const struct spool_salvage *spool_salvaged(const struct spool *s);

/* --- transactions --- */

enum spool_sync { SPOOL_NORMAL, SPOOL_FULL };
int  spool_begin(struct spool *s, enum spool_sync sync, struct err *ret_err);
/* On failure everything since spool_begin is undone, memory included, as spool_rollback does. */
int  spool_commit(struct spool *s, struct err *ret_err);
void spool_rollback(struct spool *s);
/* One short step of tidying (below 40 ms, fsyncs aside): folds the WAL in, or gives free space back to the file system.
 * For when nothing waits, outside of a transaction. *ret_more: call again when nothing waits. After an error the spool is
 * as good as before: try again later. */
int  spool_idle(struct spool *s, bool *ret_more, struct err *ret_err);

/* --- files and positions --- */

struct spool_file {
	int64_t     id;			/* the caller's; unique for ever (see spool_next_file_id) */
	const char *path;		/* last known */
	const char *origin;		/* the one it had when it was first seen; NULL: as path */
	uint64_t    dev, inode;
	uint32_t    generation;		/* counts truncations and reuses */
	uint32_t    fingerprint_len;	/* bytes from the start, up to 1024 */
	uint64_t    fingerprint;	/* their hash */
	int64_t     safe;		/* everything below is finished */
	uint64_t    marker;		/* hash of the bytes before `safe`; 0: unknown */
	int64_t     size;		/* last known */
	uint8_t     state;		/* the caller's */
	int64_t     gone_ms;		/* wall time when the file was finished and gone, 0: not */
	/* What is no file, but counts what it gives as one does: where to go on there, in the words of whoever keeps it ("":
	 * nobody does), and the offset that stands for, at or below `safe`. NULL: a file. */
	const char *cursor;
	int64_t     cursor_at;
};

/* Older offsets below `safe` with their markers, newest first: after a power loss a file may be shorter than `safe`. The spool
 * keeps some by itself as positions move (at most SPOOL_MARKERS, further and further apart). */
#define SPOOL_MARKERS 8
struct spool_marker { int64_t offset; uint64_t hash; };
size_t spool_markers(const struct spool *s, int64_t file_id, struct spool_marker ret[SPOOL_MARKERS]);
/* People set a position by hand, or a file is found shorter than it: everything below `safe` is finished, finished ranges
 * above it are forgotten. ERR_NOT_FOUND; ERR_BUSY: an unresolved batch or a row has ranges of this file at or above `safe`, or
 * a batch without a row has any (no position passes promised bytes: if it is withdrawn they are read again). */
int  spool_position_set(struct spool *s, int64_t file_id, int64_t safe, uint64_t marker, struct err *ret_err);

int64_t spool_next_file_id(const struct spool *s);	/* at open: greater than every id ever used */
/* Inserts, or updates everything but safe and marker. */
int  spool_file_put(struct spool *s, const struct spool_file *f, struct err *ret_err);
int  spool_file_forget(struct spool *s, int64_t id, struct err *ret_err);
int  spool_files_each(struct spool *s, int (*fn)(void *arg, const struct spool_file *f), void *arg, struct err *ret_err);

/* How lines of a file become records, kept so that a batch can be built again after the configuration changed. */
struct spool_route {
	uint32_t    id;
	const char *topic;		/* of the template; the recipe may give another */
	const void *key; size_t key_len; bool key_null;
	int64_t     max_line;
	const char *spec;		/* the caller's words on how; "" (or NULL when putting): the line as it is */
};
int  spool_route_put(struct spool *s, const struct spool_route *r, struct err *ret_err);
int  spool_routes_each(struct spool *s, int (*fn)(void *arg, const struct spool_route *r), void *arg, struct err *ret_err);

/* --- finished bytes --- */

/* count: records out of these lines. filtered: lines of them that made none; counted when the range is finished. */
struct spool_range { int64_t file_id, from, to; uint64_t marker; uint32_t count, route, filtered; };

enum spool_fate { SPOOL_ACKED, SPOOL_REJECTED, SPOOL_DROPPED, SPOOL_FILTERED };
/* Ranges that no batch carries (skipped NULs, filtered lines) are finished by themselves. Adds `records` to the fate's
 * counter and moves positions. */
int  spool_finish(struct spool *s, const struct spool_range *r, size_t n, enum spool_fate fate, uint64_t records,
		  struct err *ret_err);
/* Finished or promised ranges at or above `safe` of a file, in order, joined: what a reader that starts at `safe` skips
 * (acked out of order, or in an unresolved ledger row, which will be sent from its own ranges). */
int  spool_skips_each(struct spool *s, int64_t file_id, int (*fn)(void *arg, int64_t from, int64_t to), void *arg);
/* The live position of a file. false: unknown file. */
bool spool_position(const struct spool *s, int64_t file_id, int64_t *ret_safe);
/* How many separate finished ranges lie above a file's position: each costs some bytes in every commit that moves it. */
uint32_t spool_holes(const struct spool *s, int64_t file_id);

/* --- the in-flight ledger --- */

struct spool_ledger {
	int64_t     id;			/* out at spool_plan */
	const char *cluster_id;
	uint8_t     topic_id[16];
	const char *topic;
	int32_t     partition;
	int64_t     producer_id;
	int16_t     producer_epoch;
	int32_t     base_sequence;
	int32_t     count;
	int64_t     base_timestamp, max_timestamp;
	uint8_t     codec;
	uint32_t    raw_crc;		/* of the uncompressed record bytes */
	uint32_t    raw_bytes;
	int64_t     row_id;		/* its bytes: this row; 0: the ranges of files */
	/* Of a batch that cannot be built again the row holds these records only, the rest of it is nowhere; 0: all of them. It
	 * stands in the ledger as it was sent, until it is known what became of it. */
	int32_t     left;
	const struct spool_range *ranges; size_t range_count;
};

/* Records a batch that is about to be sent. Sets l->id. */
int  spool_plan(struct spool *s, struct spool_ledger *l, struct err *ret_err);
/* The batch is in Kafka: counts it, finishes its ranges (unless its row did so when it was spooled), deletes its row. */
int  spool_acked(struct spool *s, int64_t ledger_id, struct err *ret_err);
/* The batch goes on in others of this transaction (rows of their own, or rejected records): its ledger row goes, and its
 * row with its bytes, or else its ranges are finished. Counts nothing. */
int  spool_replaced(struct spool *s, int64_t ledger_id, struct err *ret_err);
/* The batch will not be sent under this identity after all (it cannot be built again): the ledger row goes, its ranges are
 * unfinished again. With row_id: the spooled row waits again, without identity; where it is what is left of the batch, the rest
 * of that is dropped (SPOOL_LOSS_GONE). */
int  spool_unplan(struct spool *s, int64_t ledger_id, struct err *ret_err);
/* Unresolved rows, oldest first. */
int  spool_ledger_each(struct spool *s, int (*fn)(void *arg, const struct spool_ledger *l), void *arg, struct err *ret_err);

/* --- spooled rows --- */

struct spool_row {
	int64_t     id;			/* out at spool_add; grows with time */
	const char *topic; int32_t partition;	/* the lane; below 0: the caller's */
	int32_t     count;
	int64_t     base_timestamp, max_timestamp;
	uint8_t     codec;
	uint32_t    raw_bytes, raw_crc;
	uint32_t    crc;		/* of bytes: the caller's at spool_add, verified at each reading */
	uint32_t    size;		/* of bytes: out at spool_add */
	int64_t     spooled_ms;		/* wall time */
	int64_t     ledger_id;		/* 0: no identity; else this unanswered batch's bytes */
	bool        rest;		/* spool_add: what is left of that batch, fewer records than it has */
	bool        instead;		/* spool_add: it takes the place of one that goes in this transaction */
	const struct spool_range *ranges; size_t range_count;
};
struct spool_piece { const void *data; size_t n; };

/* Stores one batch (its bytes in n pieces) and finishes its ranges, in the same transaction. With ledger_id the ledger
 * row points to it from then on; all of that batch's ranges are finished, also those whose records `rest` has not: their fate
 * is the ledger row's from here on. ERR_SPOOL_FULL: max_size or min_free reached, or the disk is full; nothing changed by
 * this call (the transaction goes on and may be committed). Batches with ledger_id and those `instead` of others are
 * let through to the reserve. */
int  spool_add(struct spool *s, struct spool_row *r, const struct spool_piece *pieces, size_t n, struct err *ret_err);
/* Rows of a lane without identity with id > after, oldest first, until fn returns non-zero. data is r->size bytes whose CRC was
 * verified; rc < 0 in fn means this row is damaged (data NULL). */
int  spool_rows_read(struct spool *s, const char *topic, int32_t partition, int64_t after,
		     int (*fn)(void *arg, const struct spool_row *r, const void *data, int rc), void *arg, struct err *ret_err);
/* One row by id. ERR_NOT_FOUND, ERR_CORRUPT. */
int  spool_row_read(struct spool *s, int64_t id, int (*fn)(void *arg, const struct spool_row *r, const void *data, int rc),
		    void *arg, struct err *ret_err);
/* Sets a damaged row aside: it leaves rows and records, counts as dropped, in corrupt_rows and in the losses. An identity
 * it had is withdrawn; where it was what is left of a batch, the rest of that is dropped with it (SPOOL_LOSS_GONE). Its bytes
 * stay in the database, for people, and count against max_size. */
int  spool_row_set_aside(struct spool *s, int64_t id, struct err *ret_err);
/* A damaged row has been built again from its ranges: these bytes take the place of those it has. Its CRC, count and size
 * become those given; ranges, lane and identity stay. */
int  spool_row_mend(struct spool *s, const struct spool_row *r, const struct spool_piece *pieces, size_t n, struct err *ret_err);
/* The records of a row without identity go on in other rows of this transaction: it goes with its bytes. Counts nothing.
 * ERR_NOT_FOUND; ERR_BUSY: it has an identity. */
int  spool_row_replaced(struct spool *s, int64_t id, struct err *ret_err);
/* Gives a row without identity up: its bytes go, its records count as dropped, its ranges stand in the losses under
 * `reason`. ERR_NOT_FOUND; ERR_BUSY: it has an identity. */
int  spool_row_drop(struct spool *s, int64_t id, const char *reason, struct err *ret_err);

struct spool_lane { const char *topic; int32_t partition; uint64_t rows, rows_with_identity, records, bytes; int64_t oldest_ms; };
/* Lanes that have rows. */
int  spool_lanes_each(struct spool *s, int (*fn)(void *arg, const struct spool_lane *l), void *arg, struct err *ret_err);
int  spool_rows_list(struct spool *s, int (*fn)(void *arg, const struct spool_row *r), void *arg, struct err *ret_err);
/* The same of those with id > after, oldest first. */
int  spool_rows_after(struct spool *s, int64_t after, int (*fn)(void *arg, const struct spool_row *r), void *arg,
		      struct err *ret_err);

/* --- what was given up, and what cannot be proven --- */

/* One file and range (records that only a row or a batch held: path "", from = to = 0). Never deleted by the spool itself. */
struct spool_loss {
	int64_t     id;			/* grows with time */
	int64_t     ms;			/* wall time */
	const char *reason;		/* one of SPOOL_LOSS_*: what `losses` prints */
	const char *topic; int32_t partition;
	int64_t     file_id;
	const char *path;		/* as the file was called then */
	int64_t     from, to;
	uint64_t    records, bytes;	/* bytes: of the range, or of the row */
	int64_t     row_id;		/* whose bytes are kept in the database for people; 0: none */
};
#define SPOOL_LOSS_UNCERTAIN   "uncertain"	/* sent again, may be in Kafka twice; no loss */
#define SPOOL_LOSS_DAMAGED     "damaged"	/* a row that could not be built again */
#define SPOOL_LOSS_OLDEST      "drop_oldest"
#define SPOOL_LOSS_NEWEST      "drop_newest"
#define SPOOL_LOSS_PURGED      "purged"
#define SPOOL_LOSS_SKIPPED     "skipped"	/* by `positions set` */
#define SPOOL_LOSS_FORGOTTEN   "forgotten"	/* by `positions forget` */
#define SPOOL_LOSS_LONG_LINE   "long_line"	/* the rest of a line longer than max_line, or all of it */
#define SPOOL_LOSS_SOCKET      "socket"		/* the kernel's buffer of a datagram socket was full, or a connection was dropped */
#define SPOOL_LOSS_JOURNAL     "journal"	/* entries were removed before they were read */
#define SPOOL_LOSS_STOPPED     "stopped"	/* received, and there was room nowhere when the agent had to stop */
#define SPOOL_LOSS_GONE        "gone"		/* in flight, and neither file nor row holds it any more */
#define SPOOL_LOSS_TRUNCATED   "truncated"	/* seen in a file that was truncated before it was read so far */
#define SPOOL_LOSS_STATE       "state"		/* the state database was damaged beyond opening */
/* With id > after, oldest first, until fn returns non-zero. */
int  spool_losses_each(struct spool *s, int64_t after, int (*fn)(void *arg, const struct spool_loss *l), void *arg,
		       struct err *ret_err);
/* Records of a batch that finds room nowhere are given up: finishes its ranges as dropped (one call for a batch), counts,
 * and enters each range in the losses. */
int  spool_drop(struct spool *s, const char *topic, int32_t partition, const struct spool_range *r, size_t n,
		uint64_t records, const char *reason, struct err *ret_err);
/* As spool_drop for an unresolved batch of the ledger: its slot goes, and its row with its bytes. */
int  spool_ledger_drop(struct spool *s, int64_t ledger_id, const char *reason, struct err *ret_err);
/* The batch will be sent again although nobody can tell whether Kafka has it: its ranges are entered as uncertain, its
 * records counted. Its slot stays as it is (spool_unplan and spool_plan give it the new identity, in the same transaction). */
int  spool_uncertain(struct spool *s, int64_t ledger_id, struct err *ret_err);
/* Bytes without a batch that are given up, or may be doubled: an entry, and nothing else changes but the counters. The path
 * may be of a file that is not known. The rest of a long line (no records) joins the entry of what stands before it. */
int  spool_loss_add(struct spool *s, const struct spool_loss *l, struct err *ret_err);

/* --- checking --- */

/* Looks at everything: SQLite's own check, every CRC, counters against rows, ranges against positions. Calls fn for each
 * finding, in words. row_id 0: not of a row. Changes nothing; outside of a transaction only. 0: sound; ERR_CORRUPT: there
 * were findings. */
int  spool_verify(struct spool *s, void (*fn)(void *arg, int64_t row_id, const char *what), void *arg, struct err *ret_err);

/* --- where it lives --- */

/* The machine, boot and directory it was last used in. "" and 0: not known. */
struct spool_home { char machine_id[40], boot_id[40]; uint64_t dev, inode; };
void spool_home(const struct spool *s, struct spool_home *ret);
int  spool_home_put(struct spool *s, const struct spool_home *h, struct err *ret_err);

/* How many partitions topics had, so that keyed lines find theirs before a broker answers. */
int  spool_partitions_put(struct spool *s, const char *topic, int32_t count, struct err *ret_err);
int  spool_partitions_each(struct spool *s, int (*fn)(void *arg, const char *topic, int32_t count), void *arg,
			   struct err *ret_err);

/* --- rejected records --- */

struct spool_rejected {
	int64_t     id;			/* out at spool_reject; grows with time */
	int64_t     ms;			/* wall time when it was set aside */
	const char *topic; int32_t partition;
	int16_t     code;		/* Kafka's */
	const char *message;		/* the broker's, NULL: none */
	int64_t     timestamp;		/* of the record */
	const void *bytes; size_t size;	/* record form; NULL when reading found it damaged */
	const struct spool_range *ranges; size_t range_count;	/* it lies within them, if they are known */
};
/* Keeps a record that Kafka never takes, counts it as rejected. ERR_SPOOL_FULL: their share of max_size (a sixteenth, at
 * least 2 MiB) or the disk is full; nothing changed by this call. */
int  spool_reject(struct spool *s, struct spool_rejected *r, struct err *ret_err);
/* With id > after, oldest first, until fn returns non-zero. */
int  spool_rejected_each(struct spool *s, int64_t after, int (*fn)(void *arg, const struct spool_rejected *r), void *arg,
			 struct err *ret_err);
/* Deletes those up to an id. They stay counted. */
int  spool_rejected_purge(struct spool *s, int64_t upto, uint64_t *ret_count, struct err *ret_err);

/* --- totals --- */

struct spool_totals {
	uint64_t acked, rejected, dropped, filtered;	/* records, for the life of the directory */
	uint64_t rows, records, bytes;			/* spooled now */
	uint64_t corrupt_rows;
	uint64_t loss_events, loss_records, loss_bytes;
	uint64_t uncertain_batches, uncertain_records;
	int64_t  oldest_ms;				/* wall time of the oldest row, 0: none */
	uint64_t rejected_bytes;			/* kept of rejected records, with words, topics and ranges */
	int64_t  max_size;
	bool     full;					/* the last spool_add was refused */
};
/* As of the last commit. */
void spool_totals(const struct spool *s, struct spool_totals *ret);
int  spool_count_uncertain(struct spool *s, uint64_t batches, uint64_t records, struct err *ret_err);
const char *spool_sqlite_version(void);

/* How long the disk took to sync the database and its WAL, since the process began. counts: not cumulative. Any thread. */
#define SPOOL_SYNC_BUCKETS 14
extern const double spool_sync_bounds[SPOOL_SYNC_BUCKETS];	/* seconds; the last is infinite */
struct spool_syncs { uint64_t counts[SPOOL_SYNC_BUCKETS]; double seconds; };
void spool_syncs(struct spool_syncs *ret);

#endif

/* db.h - one SQLite file in one directory of ours: locked, opened, verified, kept from meeting a full disk.
 *
 * Knows nothing of what the tables mean. The only other files that see sqlite3.h are those that bind and read columns.
 * Files: db.c (open, close, errors), db_setup.c (lock, pragmas, versions), db_txn.c (transactions, checkpoints, vacuum),
 *	db_space.c (room on disk), db_vfs.c (reads and writes in large portions).
 * Threads: one, as spool.h says.
 */
#ifndef SPILLWAY_SPOOL_DB_H
#define SPILLWAY_SPOOL_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "spool/schema.h"

#define DB_VFS  "spillway"

struct db {
	sqlite3      *sql;
	sqlite3_stmt *stmts[STMT_COUNT];
	sqlite3_file *wal;		/* SQLite's own handle of the WAL */
	char         *dir, *path;	/* dir, dir/spool.db */
	int           dir_fd;		/* holds the flock */
	bool          damaged;		/* close it and leave its files as they are */
	bool          wal_gone;		/* the last life did not end in order, and its WAL is not there */
	bool          look_only;	/* opened immutable: nothing may be written */

	int64_t       page;		/* PRAGMA page_size */
	int64_t       max_size;		/* bytes of rows */
	int64_t       max_pages;	/* PRAGMA max_page_count */
	int64_t       min_free;
	int64_t       wal_pages;	/* frames in the WAL since it was last folded in, by the commit hook */
	int64_t       wal_limit;	/* bytes of WAL at which a commit folds it in */
	int64_t       txn_pages;	/* this transaction's estimate, see db_room */
	int64_t       backed;		/* pages that have blocks on disk, since the WAL was last folded in */
	int64_t       to_cut;		/* pages vacuumed by which the file is not cut yet */
	bool          large_cache;	/* PRAGMA cache_size was made large */
	bool          sync_full;	/* PRAGMA synchronous as it is now */
};

/* --- db.c --- */

struct db_conf { const char *dir; int64_t max_size, min_free; bool read_only; };
/* On failure *d is released. Codes as spool_open. */
int  db_open(struct db *d, const struct db_conf *conf, struct err *ret_err);
/* Notes in the directory that it is damaged, so that the next open does not use it as it is. */
void db_mark_damaged(struct db *d);
/* What follows from a WAL that is gone is committed: the next open does not do it again. */
int  db_wal_settled(struct db *d, struct err *ret_err);
/* Folds the WAL in, deletes it (unless damaged), unlocks. A zeroed *d is fine. */
void db_close(struct db *d);

/* Turns an SQLite code into ours, with SQLite's words behind `what`. */
int  db_error(struct db *d, int sqlite_rc, struct err *ret_err, const char *what);
int  db_exec(struct db *d, const char *sql, struct err *ret_err);
/* One number out of a statement text. 0 or an error. */
int  db_number(struct db *d, const char *sql, int64_t *ret, struct err *ret_err);

/* A kept statement, ready to bind. Every use ends with db_reset, or with db_run, which includes it. */
static inline sqlite3_stmt *db_stmt(struct db *d, enum stmt_id id) { return d->stmts[id]; }
static inline void db_reset(sqlite3_stmt *st) { (void)sqlite3_reset(st); }
/* 1: a row; 0: the end; < 0: an error, statement reset. */
int  db_step(struct db *d, sqlite3_stmt *st, struct err *ret_err);
/* For statements without rows. 0 or an error. */
int  db_run(struct db *d, sqlite3_stmt *st, struct err *ret_err);
/* A text column of the current row, valid until the next step. 0; ERR_CORRUPT: it is NULL; ERR_NOMEM. */
int  db_text(struct db *d, sqlite3_stmt *st, int column, const char **ret);
/* The first column of the first row of a kept statement without parameters. */
int  db_count(struct db *d, enum stmt_id id, int64_t *ret, struct err *ret_err);

/* --- db_setup.c --- */

int  db_lock(struct db *d, const struct db_conf *conf, struct err *ret_err);
int  db_pragmas(struct db *d, bool fresh, struct err *ret_err);
/* Checks application_id and user_version, migrates forward. */
int  db_versions(struct db *d, bool fresh, struct err *ret_err);

/* --- db_vfs.c --- */

/* Makes the VFS named DB_VFS known to SQLite. An SQLite code. */
int  db_vfs_register(void);

/* --- db_txn.c --- */

int  db_begin(struct db *d, bool full, struct err *ret_err);
/* On failure the transaction is rolled back. Past wal_limit it folds the WAL in. */
int  db_commit(struct db *d, struct err *ret_err);
void db_rollback(struct db *d);
/* Moves the WAL's pages into the database file. */
int  db_checkpoint(struct db *d, struct err *ret_err);
/* One short step of tidying: 1: there may be more, 0: nothing left to do, or an error. empty: there are no rows. */
int  db_tidy(struct db *d, bool empty, struct err *ret_err);

/* --- db_space.c --- */

/* Grows the WAL as far as the disk allows and keeps it, so that small transactions work on a full disk. */
void db_grow_wal(struct db *d);
/* Whether the pages of this transaction have blocks. 0; -ENOSPC; other errors. */
int  db_fits(struct db *d, struct err *ret_err);
/* Backs the pages in use and a margin by blocks on disk, so that a checkpoint never lacks room. 0 or an SQLite code. */
int  db_back_pages(struct db *d, int64_t pages);
/* Makes sure that a row of `bytes` fits: into the page limit, the file system's free space, the WAL and the file, whose
 * blocks are taken at once. urgent: may use the reserve and goes below min_free.
 * 0; ERR_SPOOL_FULL: it does not fit, nothing happened; other errors. */
int  db_room(struct db *d, int64_t bytes, bool urgent, struct err *ret_err);

#endif

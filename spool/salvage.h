/* salvage.h - what can be saved of a state database that does not open any more. The folder's own; the face is spool.h.
 *
 * Files: salvage.c (which file is where, also after a crash in the middle), salvage_old.c (opens and reads the damaged
 *	one), salvage_copy.c, salvage_rows.c (what is taken over), salvage_note.c (what it comes to, in words and in the losses).
 */
#ifndef SPILLWAY_SPOOL_SALVAGE_H
#define SPILLWAY_SPOOL_SALVAGE_H

#include "spool/inside.h"

/* Saves what it can of conf->dir's database into a new one and sets the old one aside. `why` is what was wrong with it.
 * 0: spool.db is sound now, *ret says what happened. An error: nothing has changed. */
int salvage_run(const struct spool_conf *conf, const char *why, struct spool_salvage *ret, struct err *ret_err);
/* Ends what a salvage left that was killed between two renames. The directory is locked. */
int salvage_resume(struct db *d, struct err *ret_err);

/* A copying on its way from the old database to the new one. */
struct salvage_copying {
	sqlite3 *old;
	struct spool *to;
	struct spool_salvage *got;
	struct err *ret_err;
	struct map row_ids;		/* old row id -> its new one */
	struct spool_ledger *batches;	/* in order of their old slots; strings and ranges are owned */
	size_t batch_count;
	bool ledger_whole, counted;	/* counted: totals could be read */
	uint64_t txn_bytes;
	uint64_t heads_lost;		/* rows that were seen and not believed */
};



/* --- salvage_copy.c --- */

/* Copies everything that proves itself from the database at `path` into the new spool; counts in *ret. Only the new
 * database can make it fail. */
int salvage_copy(const char *path, struct spool *to, struct spool_salvage *ret, struct err *ret_err);
/* So many bytes more are in the transaction: commits it when it is large enough. */
int salvage_step(struct salvage_copying *c, uint64_t bytes);

/* --- salvage_old.c --- */

/* Opens the damaged database for that, lending it a first page when its own is of no use: that one is kept at
 * `path`-page1. 0: *ret_sql is NULL if it is not to be read. An error: it may be, another time. */
int salvage_open_old(const char *path, struct spool *fresh, sqlite3 **ret_sql, struct err *ret_err);
sqlite3_stmt *salvage_prepare(sqlite3 *sql, const char *before, const char *table, const char *behind);
/* One row of a table by its id, or NULL. To be finalized. */
sqlite3_stmt *salvage_look_up(sqlite3 *sql, const char *table, int64_t id);
/* The first column of the first row, or -1. */
int64_t salvage_number(sqlite3 *sql, const char *before, const char *table, const char *behind);
typedef int salvage_fn(struct salvage_copying *c, sqlite3_stmt *q);
/* Calls fn for each readable row of a table, in order of ids. 1: all of it was readable; 0: not; or fn's error. */
int salvage_table(struct salvage_copying *c, const char *table, salvage_fn *fn);

/* --- salvage_rows.c --- */

int  salvage_row(struct salvage_copying *c, sqlite3_stmt *q);
int  salvage_ledger(struct salvage_copying *c);
void salvage_batches_free(struct salvage_copying *c);

/* --- salvage_note.c --- */

/* Enters what was lost, and what may be doubled, into the new spool's losses. */
int  salvage_enter(struct spool *to, const struct spool_salvage *got, struct err *ret_err);
/* Fills got->text. */
void salvage_tell(struct spool_salvage *got, const char *why);
/* The WAL of the last life is gone: nobody knows what of the ledger is true. Its batches wait again without identity, and
 * all of it is uncertain. Adds to *got. */
int  salvage_wal_lost(struct spool *s, struct spool_salvage *got, struct err *ret_err);

#endif

/* inside.h - what the spool's own files share. Not for other folders: their face is spool.h.
 *
 * A change goes into memory at once and into the database at the latest in spool_commit, which writes each touched
 * position, ledger slot, lane and the totals row once, however often they changed. Memory holds two states: as of the last
 * commit and as of now; spool_rollback goes back to the first without allocating or reading.
 *
 * Files: spool.c (open, transactions), files.c, finish.c (positions), streams.c, ledger.c (slots in memory), ledger_body.c
 *	(their stored form), plan.c (the ledger's face), lanes.c, rows.c, rows_read.c, rows_end.c, losses.c, rejected.c,
 *	totals.c, home.c, verify.c (with verify_ranges.c).
 */
#ifndef SPILLWAY_SPOOL_INSIDE_H
#define SPILLWAY_SPOOL_INSIDE_H

#include "agent/base/buf.h"
#include "agent/base/list.h"
#include "agent/base/map.h"
#include "spool/db.h"
#include "spool/dict.h"
#include "spool/positions.h"
#include "spool/spool.h"

/* Where a batch of the ledger goes. */
struct stream {
	int64_t id;
	uint8_t topic_id[16];
	int32_t partition;
	const char *topic;		/* behind cluster_id, in the same allocation */
	char    cluster_id[];
};

/* More ranges than any batch has (the producer seals at 1,024). */
#define BATCH_RANGES_SANE (1 << 20)

struct lane_count { uint64_t rows, records, bytes; };
struct lane {
	int64_t id;
	int32_t partition;
	struct lane_count now, saved;	/* as of now and as of the last commit */
	char    topic[];
};

/* What the columns of a spooled row say. */
struct row_info { int64_t id, lane, spooled_ms; uint64_t count, size; };

/* An unresolved batch. body is what the database holds of it: the layout is in schema.c. */
struct ledger_row {
	struct list node;		/* ledger.rows, oldest first */
	struct list txn;		/* ledger.touched, linked while changed by the running transaction */
	bool     added, gone;		/* by that transaction */
	uint32_t slot;
	int64_t  id;
	int64_t  row_id, old_row_id;	/* old: before the transaction, valid while txn is linked */
	int64_t  lane;			/* of row_id */
	int64_t  file_lo, file_hi;	/* no range lies outside of these files */
	uint32_t count;
	uint32_t left;			/* records of its row: count, or fewer (spool.h); 0: no row */
	uint32_t ranges_at;		/* of body */
	uint32_t body_len;
	uint8_t  body[];
};

struct ledger {
	struct list  rows, touched;
	struct map   by_id;		/* also rows gone in the running transaction */
	struct map   by_row;		/* row id -> the live ledger_row that will send it */
	struct ledger_row **owners;	/* slot -> its live row, NULL: free */
	uint32_t    *free_slots;	/* a stack: what was freed last is on a page that is written anyway */
	uint32_t     slots, slot_cap, free_count;
};

struct spool {
	struct db        db;
	int64_t          max_size;
	struct positions positions;
	struct ledger    ledger;
	struct dict      streams, lanes;
	struct spool_home home, old_home;	/* as of now and as of the last commit */
	uint64_t         now[TOTAL_COUNT], saved[TOTAL_COUNT];	/* totals as of now and as of the last commit */
	int64_t          oldest_id, oldest_ms;	/* the oldest row as of the last commit, 0: none */
	bool             oldest_known;	/* false: to be asked for after the commit */
	bool             full;
	struct spool_salvage salvage;	/* what spool_open had to do */
	struct buf       scratch;	/* one encoding at a time */

	/* The running transaction. */
	bool             in_txn, sync_full;
	bool             unsynced;	/* NORMAL commits since the last FULL one */
	int              failed;	/* a change failed half way: only rollback is left */
};

/* Every change begins with it: 0, or why this transaction is lost. */
int  spool_may_change(struct spool *s, struct err *ret_err);
/* A change failed after it had begun: marks the transaction and returns rc. */
int  spool_lost(struct spool *s, int rc);
/* A change failed before it changed anything: returns rc. Unless it is a refusal the transaction is marked as well. */
int  spool_refused(struct spool *s, int rc);

/* --- home.c --- */
int  home_load(struct spool *s, struct err *ret_err);

/* --- finish.c --- */
int  finish_encoded(struct spool *s, const uint8_t *ranges, size_t n, struct err *ret_err);
int  finish_ranges(struct spool *s, const struct spool_range *r, size_t n, struct err *ret_err);

/* --- files.c --- */
int  files_load(struct spool *s, struct err *ret_err);
int  files_write(struct spool *s, struct err *ret_err);
/* A row of `files`; its names are checked by the caller, its position is elsewhere. */
struct spool_file files_decode(sqlite3_stmt *q);

/* --- streams.c --- */
int  streams_load(struct spool *s, struct err *ret_err);
/* Finds or adds. 0 and the stream, or an error. */
int  streams_get(struct spool *s, const struct spool_ledger *l, struct stream **ret, struct err *ret_err);

/* --- ledger.c --- */
void ledger_init(struct ledger *g);
void ledger_release(struct ledger *g);
/* The live row or NULL. */
struct ledger_row *ledger_find(const struct ledger *g, int64_t id);
struct ledger_row *ledger_of_row(const struct ledger *g, int64_t row_id);
/* Takes a new row, also on failure: gives it a slot and links it. stored: it came from the database, in its slot. */
int  ledger_insert_take(struct ledger *g, struct ledger_row *r, bool stored);
void ledger_remove(struct ledger *g, struct ledger_row *r);
/* The table has that many slots; after all stored rows were inserted. 0 or ERR_NOMEM. */
int  ledger_set_slots(struct ledger *g, uint32_t slots);
/* 0 or ERR_NOMEM (nothing changed). */
int  ledger_set_row(struct ledger *g, struct ledger_row *r, const struct row_info *info);
void ledger_committed(struct ledger *g);
void ledger_rolled_back(struct ledger *g);

/* --- ledger_body.c --- */
/* A new row, not linked anywhere. 0 or ERR_NOMEM. */
int  ledger_encode(struct spool *s, const struct spool_ledger *l, int64_t stream, struct ledger_row **ret);
/* *ret_ranges is to be mem_freed. */
int  ledger_decode(struct spool *s, const struct ledger_row *r, struct spool_ledger *ret, struct spool_range **ret_ranges);
/* A stored body without its database: its stream is a number. Codes as ledger_decode. */
int  ledger_body_read(int64_t id, const uint8_t *body, size_t n, struct spool_ledger *ret, int64_t *ret_stream,
		      struct spool_range **ret_ranges);
int  ledger_load(struct spool *s, struct err *ret_err);
/* Stored bytes that fit their CRC as a row, not linked anywhere. 0, ERR_CORRUPT, ERR_NOMEM. */
int  ledger_from_body(int64_t id, const uint8_t *body, size_t n, struct ledger_row **ret);
int  ledger_write(struct spool *s, struct err *ret_err);

/* --- plan.c --- */
/* How every change of an unresolved batch begins: 0 and its row; ERR_NOT_FOUND, or why this transaction is lost. */
int  ledger_to_change(struct spool *s, int64_t id, struct ledger_row **ret, struct err *ret_err);
/* Its row and bytes, or its ranges, and its place in the ledger. On failure the transaction is lost. */
int  ledger_end(struct spool *s, struct ledger_row *r, struct err *ret_err);
/* rows_end.c: it gives its row up; what that has not of it is dropped. */
int  ledger_drop_missing(struct spool *s, const struct ledger_row *l, struct err *ret_err);

/* --- lanes.c --- */
int  lanes_load(struct spool *s, struct err *ret_err);
int  lanes_write(struct spool *s, struct err *ret_err);
/* *ret NULL: there is none. 0 or ERR_NOMEM. */
int  lanes_find(struct spool *s, const char *topic, int32_t partition, struct lane **ret);
/* Finds or adds. 0 or ERR_NOMEM. */
int  lanes_get(struct spool *s, const char *topic, int32_t partition, struct lane **ret);
void lanes_committed(struct spool *s);
void lanes_rolled_back(struct spool *s);

/* --- rows.c --- */
/* ERR_NOT_FOUND when there is no such row. */
int  row_info_get(struct spool *s, int64_t id, struct row_info *ret, struct err *ret_err);
/* Takes a row out of rows, lanes and totals. */
int  row_remove(struct spool *s, const struct row_info *info, bool keep_bytes, struct err *ret_err);
/* The CRC-32C that ends rows.body. */
uint32_t row_crc(const struct row_info *info, const uint8_t *body, size_t n);
/* Everything of rows.body, if its CRC fits; *ret_ranges is to be mem_freed. 0, ERR_CORRUPT, ERR_NOMEM. */
int  row_believe(const uint8_t *body, size_t n, const struct row_info *info, struct spool_row *r, struct spool_range **ret_ranges);

/* --- rows_read.c --- */
/* Everything in a rows.body but its CRC, which is not looked at. ERR_CORRUPT, ERR_NOMEM. *ret_ranges is to be mem_freed. */
int  row_decode(const uint8_t *body, size_t n, struct spool_row *r, struct spool_range **ret_ranges);
/* From the current row of a statement over ROW_COLUMNS. 0, ERR_CORRUPT (info and r hold what the columns say), ERR_NOMEM. */
int  row_head(struct spool *s, sqlite3_stmt *q, struct row_info *ret_info, struct spool_row *r,
	      struct spool_range **ret_ranges);
/* The same by id; also ERR_NOT_FOUND and what reading meets. */
int  row_head_get(struct spool *s, int64_t id, struct row_info *ret_info, struct spool_row *ret_row,
		  struct spool_range **ret_ranges, struct err *ret_err);
/* The verified bytes, valid until STMT_DATA_GET is reset, by the caller after 0 and ERR_CORRUPT. */
int  row_data(struct spool *s, const struct spool_row *r, const void **ret, struct err *ret_err);

/* --- losses.c --- */
/* Enters each range (one without a file when n is 0) in the words of *what, whose records and bytes are those of all: they
 * are counted, once. 0 or an error; then the transaction is to be lost. */
int  losses_enter(struct spool *s, const struct spool_loss *what, const struct spool_range *r, size_t n, struct err *ret_err);

/* --- totals.c --- */
/* As they are stored. */
int  totals_read(struct spool *s, uint64_t ret[TOTAL_COUNT], struct err *ret_err);
int  totals_load(struct spool *s, struct err *ret_err);
int  totals_write(struct spool *s, struct err *ret_err);
void totals_committed(struct spool *s);

#endif

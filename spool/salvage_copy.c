/* salvage_copy.c - reads what is readable of a damaged database, and puts it into a new one.
 *
 * Why through the spool's own functions: the new database's counters, lanes, streams and positions are then right by
 * construction, whatever the old ones said.
 * How a table is read: in order of its ids up to the first page that SQLite refuses, then each further id by itself, for
 * looking one up touches only the few pages on its way. What lies on a damaged page is lost, nothing else of the table.
 * What is believed: rows, their bytes and ledger slots by their CRC; file names and positions if they are possible at all:
 * the reader of a file compares fingerprint and marker before it believes a position.
 * Failure only of the new database, or short memory. The old one is never written.
 */
#include "spool/salvage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "agent/base/mem.h"
#include "spool/ranges.h"

#define TXN_BYTES (4 << 20)

/* --- transactions of the new database --- */

int salvage_step(struct salvage_copying *c, uint64_t bytes)
{
	int rc = 0;

	c->txn_bytes += bytes;
	if (c->txn_bytes < TXN_BYTES)
		return 0;
	c->txn_bytes = 0;
	rc = spool_commit(c->to, c->ret_err);
	return rc < 0 ? rc : spool_begin(c->to, SPOOL_NORMAL, c->ret_err);
}

/* --- files --- */

/* Position and finished ranges. false: there is none to be believed. */
static bool read_position(struct salvage_copying *c, struct spool_file *f, struct range_set *ret_done)
{
	sqlite3_stmt *q = salvage_look_up(c->old, "positions", f->id);
	bool good = false;

	if (q && sqlite3_column_int64(q, 1) >= 0) {
		f->safe = sqlite3_column_int64(q, 1);
		f->marker = (uint64_t)sqlite3_column_int64(q, 2);
		good = range_set_get(ret_done, f->safe, sqlite3_column_blob(q, 3), (size_t)sqlite3_column_bytes(q, 3)) == 0;
	}
	(void)sqlite3_finalize(q);
	return good;
}

static int put_done(struct salvage_copying *c, int64_t file_id, const struct range_set *done)
{
	int rc = 0;

	for (uint32_t i = 0; i < done->count && rc == 0; i++) {
		struct spool_range r = { .file_id = file_id, .from = done->items[i].from, .to = done->items[i].to,
					 .marker = done->items[i].marker };

		rc = spool_finish(c->to, &r, 1, SPOOL_FILTERED, 0, c->ret_err);
	}
	return rc;
}

/* What was read of this file may be sent twice. */
static int note_doubled(struct salvage_copying *c, const struct spool_file *f)
{
	struct spool_loss l = { .ms = clock_wall_ms(), .reason = SPOOL_LOSS_UNCERTAIN, .topic = "",
				.partition = -1, .file_id = f->id, .path = f->path,
				.to = f->size > 0 ? f->size : 0, .bytes = f->size > 0 ? (uint64_t)f->size : 0 };

	c->got->files_back++;
	return spool_loss_add(c->to, &l, c->ret_err);
}

static int copy_file(struct salvage_copying *c, sqlite3_stmt *q)
{
	struct range_set done = { 0 };
	struct spool_file f = files_decode(q);
	bool placed;
	int rc;

	f.path = (const char *)sqlite3_column_text(q, 1);
	f.origin = (const char *)sqlite3_column_text(q, 2);
	f.cursor = sqlite3_column_count(q) > 11 ? (const char *)sqlite3_column_text(q, 11) : NULL;
	if (f.id <= 0 || !f.path || (f.path[0] != '/' && !f.cursor) || f.fingerprint_len > 1024)
		return 0;
	placed = read_position(c, &f, &done);
	if (!placed) {		/* what is no file goes on where it was, if anyone knows that */
		f.safe = !f.cursor ? 0 : *f.cursor ? f.cursor_at : f.size;
		f.marker = 0;
	}
	rc = spool_file_put(c->to, &f, c->ret_err);
	if (rc == 0)
		rc = placed ? put_done(c, f.id, &done) : f.cursor && !*f.cursor ? 0 : note_doubled(c, &f);
	range_set_release(&done);
	c->got->files++;
	return rc < 0 ? rc : salvage_step(c, 256);
}

static int see_position(struct salvage_copying *c, sqlite3_stmt *q)
{
	c->got->files_lost += !positions_get(&c->to->positions, sqlite3_column_int64(q, 0));
	return 0;
}

static int copy_route(struct salvage_copying *c, sqlite3_stmt *q)
{
	struct spool_route r = {
		.id = (uint32_t)sqlite3_column_int64(q, 0),
		.topic = (const char *)sqlite3_column_text(q, 1),
		.key = sqlite3_column_blob(q, 2), .key_len = (size_t)sqlite3_column_bytes(q, 2),
		.key_null = sqlite3_column_type(q, 2) == SQLITE_NULL,
		.max_line = sqlite3_column_int64(q, 3),
		.spec = (const char *)sqlite3_column_text(q, 4),
	};

	return r.topic ? spool_route_put(c->to, &r, c->ret_err) : 0;
}

/* --- the rest --- */

static int copy_rejected(struct salvage_copying *c, sqlite3_stmt *q)
{
	struct spool_range *ranges = NULL;
	const uint8_t *end;
	struct spool_rejected r = {
		.ms = sqlite3_column_int64(q, 1), .topic = (const char *)sqlite3_column_text(q, 2),
		.partition = sqlite3_column_int(q, 3), .code = (int16_t)sqlite3_column_int(q, 4),
		.message = (const char *)sqlite3_column_text(q, 5), .timestamp = sqlite3_column_int64(q, 6),
		.bytes = sqlite3_column_blob(q, 9), .size = (size_t)sqlite3_column_bytes(q, 9),
	};
	int rc = 0;

	if (!r.topic || !r.bytes || !r.size || crc32c(0, r.bytes, r.size) != (uint32_t)sqlite3_column_int64(q, 7))
		return 0;
	if (ranges_get(sqlite3_column_blob(q, 8), (size_t)sqlite3_column_bytes(q, 8), &ranges, &r.range_count, &end) == 0)
		r.ranges = ranges;
	else
		r.range_count = 0;
	rc = spool_reject(c->to, &r, c->ret_err);
	mem_free(ranges);
	if (rc == ERR_SPOOL_FULL)
		return 0;
	return rc < 0 ? rc : salvage_step(c, r.size);
}

/* Entries of the losses stay as they are, but for the bytes of rows that were kept for people: those stay in the old file. */
static int copy_loss(struct salvage_copying *c, sqlite3_stmt *q)
{
	int n = sqlite3_column_count(q), rc = SQLITE_OK;
	sqlite3 *sql = c->to->db.sql;
	sqlite3_stmt *put = NULL;
	struct buf text;
	uint64_t next = (uint64_t)sqlite3_column_int64(q, 0) + 1;

	buf_init(&text, 4096);
	buf_puts(&text, "INSERT OR IGNORE INTO losses VALUES (?");
	for (int i = 1; i < n; i++)
		buf_puts(&text, ",?");
	buf_puts(&text, ")");
	if (!text.failed)
		(void)sqlite3_prepare_v2(sql, text.data, -1, &put, NULL);
	buf_release(&text);
	if (!put)
		return 0;		/* an older version's */
	for (int i = 0; i < n && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_value(put, i + 1, sqlite3_column_value(q, i));
	if (rc == SQLITE_OK && (rc = sqlite3_step(put)) == SQLITE_DONE)
		rc = sqlite3_exec(sql, "UPDATE losses SET row_id = 0 WHERE row_id != 0", NULL, NULL, NULL);
	(void)sqlite3_finalize(put);
	if (rc != SQLITE_OK)
		return db_error(&c->to->db, rc, c->ret_err, "cannot copy the losses");
	if (next > c->to->now[TOTAL_NEXT_LOSS] && next < INT64_MAX)
		c->to->now[TOTAL_NEXT_LOSS] = next;
	return 0;
}

/* What was counted for the life of the directory goes on; what is there now was counted as it was copied. The records that
 * are missing now were dropped. */
static int copy_totals(struct salvage_copying *c, sqlite3_stmt *q)
{
	static const enum total life[] = { TOTAL_ACKED, TOTAL_REJECTED, TOTAL_DROPPED, TOTAL_FILTERED, TOTAL_CORRUPT_ROWS };
	static const enum total add[] = { TOTAL_LOSS_EVENTS, TOTAL_LOSS_RECORDS, TOTAL_LOSS_BYTES, TOTAL_UNCERTAIN_BATCHES,
					  TOTAL_UNCERTAIN_RECORDS };
	static const enum total next[] = { TOTAL_NEXT_FILE, TOTAL_NEXT_LEDGER, TOTAL_NEXT_ROW, TOTAL_NEXT_REJECTED };
	uint64_t old[TOTAL_COUNT], *now = c->to->now;

	for (int i = 0; i < TOTAL_COUNT; i++) {
		int64_t v = sqlite3_column_int64(q, i + 1);

		old[i] = v > 0 ? (uint64_t)v : 0;
	}
	c->counted = true;
	for (size_t i = 0; i < sizeof life / sizeof life[0]; i++)
		now[life[i]] = old[life[i]];
	for (size_t i = 0; i < sizeof add / sizeof add[0]; i++)
		now[add[i]] += old[add[i]];
	for (size_t i = 0; i < sizeof next / sizeof next[0]; i++)
		if (old[next[i]] > now[next[i]])
			now[next[i]] = old[next[i]];
	if (old[TOTAL_ROWS] > c->got->rows + c->got->rows_damaged)
		c->got->rows_lost = old[TOTAL_ROWS] - c->got->rows - c->got->rows_damaged;
	if (old[TOTAL_RECORDS] > c->got->records)
		c->got->records_lost = old[TOTAL_RECORDS] - c->got->records;
	if (old[TOTAL_BYTES] > c->got->bytes)
		c->got->bytes_lost = old[TOTAL_BYTES] - c->got->bytes;
	return 0;
}

/* Without the old counters: what the entries of the losses say. */
static void count_losses(struct salvage_copying *c)
{
	int64_t n = salvage_number(c->to->db.sql, "SELECT ifnull(sum(records), 0) FROM", "losses", "WHERE reason <> 'uncertain'");

	if (!c->counted && n > 0)
		c->to->now[TOTAL_DROPPED] = c->to->now[TOTAL_LOSS_RECORDS] = (uint64_t)n;
}

static int copy_home(struct salvage_copying *c, sqlite3_stmt *q)
{
	const char *machine = (const char *)sqlite3_column_text(q, 1), *boot = (const char *)sqlite3_column_text(q, 2);
	struct spool_home h = { .dev = (uint64_t)sqlite3_column_int64(q, 3), .inode = (uint64_t)sqlite3_column_int64(q, 4) };

	snprintf(h.machine_id, sizeof h.machine_id, "%s", machine ? machine : "");
	snprintf(h.boot_id, sizeof h.boot_id, "%s", boot ? boot : "");
	return spool_home_put(c->to, &h, c->ret_err);
}

/* Of a table without ids: as far as it goes. */
static int copy_partitions(struct salvage_copying *c)
{
	sqlite3_stmt *q = salvage_prepare(c->old, "SELECT topic, count FROM", "partitions", "");
	int rc = 0;

	while (q && rc == 0 && sqlite3_step(q) == SQLITE_ROW) {
		const char *topic = (const char *)sqlite3_column_text(q, 0);

		if (topic && sqlite3_column_int(q, 1) > 0)
			rc = spool_partitions_put(c->to, topic, sqlite3_column_int(q, 1), c->ret_err);
	}
	(void)sqlite3_finalize(q);
	return rc;
}

static int copy_all(struct salvage_copying *c)
{
	static const struct { const char *table; salvage_fn *fn; } first[] = {
		{ "losses", copy_loss }, { "files", copy_file }, { "positions", see_position }, { "routes", copy_route },
		{ "rows", salvage_row }, { "rejected", copy_rejected }, { "home", copy_home },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof first / sizeof first[0] && rc >= 0; i++)
		rc = salvage_table(c, first[i].table, first[i].fn);
	if (rc >= 0)
		rc = copy_partitions(c);
	if (rc >= 0)
		rc = salvage_ledger(c);
	if (rc >= 0)
		rc = salvage_table(c, "totals", copy_totals);
	if (rc >= 0 && c->got->rows_lost < c->heads_lost + c->got->rows_no_room)
		c->got->rows_lost = c->heads_lost + c->got->rows_no_room;
	count_losses(c);
	if (rc >= 0)
		rc = salvage_enter(c->to, c->got, c->ret_err);
	return rc < 0 ? rc : 0;
}

static void copy_release(struct salvage_copying *c)
{
	size_t it = 0;
	int64_t *id;

	while ((id = map_next(&c->row_ids, &it)))
		mem_free(id);
	map_release(&c->row_ids);
	salvage_batches_free(c);
	(void)sqlite3_close(c->old);
}

int salvage_copy(const char *path, struct spool *to, struct spool_salvage *ret, struct err *ret_err)
{
	struct salvage_copying c = { .to = to, .got = ret, .ret_err = ret_err, .ledger_whole = true };
	int rc;

	map_init(&c.row_ids);
	rc = salvage_open_old(path, to, &c.old, ret_err);
	if (rc == 0)
		rc = spool_begin(to, SPOOL_NORMAL, ret_err);
	if (rc == 0)
		rc = c.old ? copy_all(&c) : salvage_enter(to, ret, ret_err);
	if (rc == 0)
		rc = spool_commit(to, ret_err);
	else if (to->in_txn)
		spool_rollback(to);
	copy_release(&c);
	return rc;
}

/* verify.c - looks at everything that the database holds, and says in words what does not fit.
 *
 * Why beside SQLite's own check: that proves that pages and trees hang together, not that what they carry is what was once
 * written, nor that the books balance.
 * The parts are in a table; what one of them cannot read is a finding, and the next ones are looked at all the same.
 * Failure: only what says nothing about the database (memory, I/O) ends it.
 */
#include "spool/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"

void verify_say(struct verify *v, int64_t row_id, const char *fmt, ...)
{
	char text[480];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	v->findings++;
	v->fn(v->arg, row_id, text);
}

static void compare(struct verify *v, const char *what, uint64_t counted, uint64_t kept)
{
	if (counted != kept)
		verify_say(v, 0, "%s: %llu are there, counted as %llu", what, (unsigned long long)counted,
			   (unsigned long long)kept);
}

static int check_pages(struct verify *v, struct err *e)
{
	sqlite3_stmt *q = db_stmt(&v->s->db, STMT_CHECK);
	const char *text;
	int rc;

	while ((rc = db_step(&v->s->db, q, e)) > 0) {
		rc = db_text(&v->s->db, q, 0, &text);
		if (rc < 0)
			break;
		if (strcmp(text, "ok"))
			verify_say(v, 0, "SQLite: %s", text);
	}
	db_reset(q);
	return rc;
}

/* --- ledger --- */

static int check_slot(struct verify *v, sqlite3_stmt *q)
{
	int64_t id = sqlite3_column_int64(q, 1), row_id = sqlite3_column_int64(q, 2);
	const struct ledger_row *live = ledger_find(&v->s->ledger, id);
	struct ledger_row *stored = NULL;
	int rc = ledger_from_body(id, sqlite3_column_blob(q, 3), (size_t)sqlite3_column_bytes(q, 3), &stored);

	if (rc == ERR_CORRUPT)
		verify_say(v, 0, "unresolved batch %lld: its slot does not fit its CRC", (long long)id);
	else if (rc == 0 && (!live || live->row_id != row_id || live->body_len != stored->body_len ||
			     memcmp(live->body, stored->body, stored->body_len)))
		verify_say(v, 0, "unresolved batch %lld: the database has another one than the agent", (long long)id);
	mem_free(rc < 0 ? NULL : stored);
	return rc == ERR_NOMEM ? rc : 0;
}

static int check_slots(struct verify *v, struct err *e)
{
	sqlite3_stmt *q = db_stmt(&v->s->db, STMT_LEDGER_EACH);
	uint64_t stored = 0, live = 0;
	int rc;

	while ((rc = db_step(&v->s->db, q, e)) > 0) {
		stored++;
		rc = check_slot(v, q);
		if (rc < 0)
			break;
	}
	db_reset(q);
	list_each(it, &v->s->ledger.rows)
		live++;
	if (rc == 0)
		compare(v, "unresolved batches", stored, live);
	return rc;
}

static int check_batch(void *arg, const struct spool_ledger *l)
{
	struct verify *v = arg;
	struct row_info info;
	struct err e = { 0 };
	int rc;

	if (!l->row_id)
		return verify_take(v, 0, l->id, l->ranges, l->range_count);
	rc = row_info_get(v->s, l->row_id, &info, &e);
	if (rc == ERR_NOT_FOUND)
		verify_say(v, l->row_id, "unresolved batch %lld: its row %lld is missing", (long long)l->id, (long long)l->row_id);
	else if (rc == 0 && (info.count > (uint64_t)l->count || (info.count < (uint64_t)l->count && !l->range_count)))
		verify_say(v, l->row_id, "unresolved batch %lld: %d records, but its row %lld has %llu", (long long)l->id, l->count,
			   (long long)l->row_id, (unsigned long long)info.count);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int check_batches(struct verify *v, struct err *e)
{
	return spool_ledger_each(v->s, check_batch, v, e);
}

/* --- rows --- */

static void add_up(struct lane_count *c, const struct row_info *info)
{
	c->rows++;
	c->records += info->count;
	c->bytes += info->size;
}

static int check_data(struct verify *v, const struct spool_row *r, struct err *e)
{
	const void *data = NULL;
	int rc = row_data(v->s, r, &data, e);

	db_reset(db_stmt(&v->s->db, STMT_DATA_GET));
	if (rc == ERR_CORRUPT)
		verify_say(v, r->id, "row %lld: its %u bytes %s", (long long)r->id, r->size,
			   data ? "do not fit their CRC" : "are missing or cannot be read");
	return rc == ERR_CORRUPT ? 0 : rc;
}

static int check_row(struct verify *v, sqlite3_stmt *q, struct err *e)
{
	struct spool_range *ranges = NULL;
	struct row_info info;
	struct spool_row r;
	int rc = row_head(v->s, q, &info, &r, &ranges);

	add_up(&v->lanes[0], &info);
	if (dict_at(&v->s->lanes, info.lane))
		add_up(&v->lanes[info.lane], &info);
	if (rc == ERR_CORRUPT) {
		verify_say(v, info.id, "row %lld: what is known of it does not fit its CRC", (long long)info.id);
		return 0;
	}
	if (rc == 0)
		rc = verify_take(v, info.id, 0, ranges, r.range_count);
	if (rc == 0)
		rc = check_data(v, &r, e);
	mem_free(ranges);
	return rc;
}

static int check_rows(struct verify *v, struct err *e)
{
	sqlite3_stmt *q = db_stmt(&v->s->db, STMT_ROWS_EACH);
	int rc;

	sqlite3_bind_int64(q, 1, INT64_MIN);		/* also those that no id leads to */
	while ((rc = db_step(&v->s->db, q, e)) > 0) {
		rc = check_row(v, q, e);
		if (rc < 0)
			break;
	}
	db_reset(q);
	return rc;
}

static void compare_lane(struct verify *v, const char *name, const struct lane_count *there, const struct lane_count *kept)
{
	if (there->rows != kept->rows || there->records != kept->records || there->bytes != kept->bytes)
		verify_say(v, 0, "%s: %llu rows with %llu records and %llu bytes are there, counted as %llu, %llu and %llu", name,
			   (unsigned long long)there->rows, (unsigned long long)there->records,
			   (unsigned long long)there->bytes, (unsigned long long)kept->rows,
			   (unsigned long long)kept->records, (unsigned long long)kept->bytes);
}

/* After check_rows. */
static int check_lanes(struct verify *v, struct err *e)
{
	const uint64_t *t = v->s->now;
	struct lane_count all = { t[TOTAL_ROWS], t[TOTAL_RECORDS], t[TOTAL_BYTES] };
	char name[300];

	(void)e;
	compare_lane(v, "totals", &v->lanes[0], &all);
	for (uint32_t i = 0; i < v->s->lanes.count; i++) {
		const struct lane *l = v->s->lanes.entries[i].item;

		snprintf(name, sizeof name, "lane %s/%d", l->topic, l->partition);
		compare_lane(v, name, &v->lanes[i + 1], &l->now);
	}
	return 0;
}

static int check_stray_data(struct verify *v, struct err *e)
{
	sqlite3_stmt *q = db_stmt(&v->s->db, STMT_CHECK_DATA);
	int rc;

	while ((rc = db_step(&v->s->db, q, e)) > 0) {
		int64_t id = sqlite3_column_int64(q, 0);

		verify_say(v, id, "row %lld: its bytes are there, the row is not, and nothing says that it was given up",
			   (long long)id);
	}
	db_reset(q);
	return rc;
}

/* --- the small tables --- */

static int check_totals(struct verify *v, struct err *e)
{
	const uint64_t *t = v->s->now;
	uint64_t stored[TOTAL_COUNT];
	int64_t lost = 0;
	int rc = totals_read(v->s, stored, e);

	if (rc == 0 && memcmp(stored, t, sizeof stored))
		verify_say(v, 0, "the stored totals are not those the agent counts with");
	if (rc == 0)
		rc = db_count(&v->s->db, STMT_CHECK_LOSSES, &lost, e);
	if (rc < 0)
		return rc;
	if ((uint64_t)lost > t[TOTAL_LOSS_RECORDS])
		verify_say(v, 0, "the losses name %lld records, counted as %llu", (long long)lost,
			   (unsigned long long)t[TOTAL_LOSS_RECORDS]);
	if (t[TOTAL_DROPPED] != t[TOTAL_LOSS_RECORDS])
		verify_say(v, 0, "%llu records are counted as dropped, but %llu as lost", (unsigned long long)t[TOTAL_DROPPED],
			   (unsigned long long)t[TOTAL_LOSS_RECORDS]);
	return 0;
}

/* An id that is given out twice would mix up two things. */
static int check_ids(struct verify *v, struct err *e)
{
	static const struct { const char *name; enum total next; } ids[] = {
		{ "files", TOTAL_NEXT_FILE }, { "ledger", TOTAL_NEXT_LEDGER }, { "rows", TOTAL_NEXT_ROW },
		{ "losses", TOTAL_NEXT_LOSS }, { "rejected", TOTAL_NEXT_REJECTED },
	};
	sqlite3_stmt *q = db_stmt(&v->s->db, STMT_CHECK_IDS);
	int rc = db_step(&v->s->db, q, e);

	for (int i = 0; rc > 0 && i < (int)(sizeof ids / sizeof ids[0]); i++)
		if ((uint64_t)sqlite3_column_int64(q, i) >= v->s->now[ids[i].next])
			verify_say(v, 0, "table %s: number %lld is taken, but the next one would be %llu", ids[i].name,
				   (long long)sqlite3_column_int64(q, i), (unsigned long long)v->s->now[ids[i].next]);
	db_reset(q);
	return rc < 0 ? rc : 0;
}

static int check_position(struct verify *v, sqlite3_stmt *q)
{
	int64_t file = sqlite3_column_int64(q, 0), safe = sqlite3_column_int64(q, 1);
	const struct position *f = positions_get(&v->s->positions, file);
	struct range_set done = { 0 };
	struct markers markers;
	int rc = range_set_get(&done, safe, sqlite3_column_blob(q, 3), (size_t)sqlite3_column_bytes(q, 3));

	if (rc == ERR_CORRUPT || safe < 0 ||
	    !markers_get(&markers, safe, sqlite3_column_blob(q, 4), (size_t)sqlite3_column_bytes(q, 4)))
		verify_say(v, 0, "file %lld: what is stored of its position makes no sense", (long long)file);
	else if (!f || f->safe != safe || f->done.count != done.count)
		verify_say(v, 0, "file %lld: its position is stored as %lld, the agent has %lld", (long long)file,
			   (long long)safe, (long long)(f ? f->safe : -1));
	range_set_release(&done);
	return rc == ERR_NOMEM ? rc : 0;
}

static int check_positions(struct verify *v, struct err *e)
{
	sqlite3_stmt *q = db_stmt(&v->s->db, STMT_POSITIONS_EACH);
	int rc;

	while ((rc = db_step(&v->s->db, q, e)) > 0) {
		rc = check_position(v, q);
		if (rc < 0)
			break;
	}
	db_reset(q);
	return rc;
}

static int check_files(struct verify *v, struct err *e)
{
	sqlite3_stmt *q = db_stmt(&v->s->db, STMT_CHECK_FILES);
	int rc;

	while ((rc = db_step(&v->s->db, q, e)) > 0)
		verify_say(v, 0, "file %lld: it has %s", (long long)sqlite3_column_int64(q, 0),
			   (const char *)sqlite3_column_text(q, 1));
	db_reset(q);
	return rc;
}

static int see_rejected(void *arg, const struct spool_rejected *r)
{
	if (!r->bytes)
		verify_say(arg, 0, "rejected record %lld: its %zu bytes do not fit their CRC", (long long)r->id, r->size);
	return 0;
}

static int check_rejected(struct verify *v, struct err *e)
{
	sqlite3_stmt *q = db_stmt(&v->s->db, STMT_REJECTED_BYTES);
	int rc = spool_rejected_each(v->s, 0, see_rejected, v, e);

	if (rc < 0)
		return rc;
	sqlite3_bind_int64(q, 1, INT64_MAX);
	rc = db_step(&v->s->db, q, e);
	if (rc > 0)
		compare(v, "bytes of rejected records", (uint64_t)sqlite3_column_int64(q, 0), v->s->now[TOTAL_REJECTED_BYTES]);
	db_reset(q);
	return rc < 0 ? rc : 0;
}

static int (*const parts[])(struct verify *v, struct err *e) = {
	check_pages, check_slots, check_batches, check_rows, check_lanes, check_stray_data, check_totals, check_ids,
	check_positions, check_files, check_rejected,
};

static int run(struct verify *v, struct err *ret_err)
{
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		struct err e = { 0 };
		int rc = parts[i](v, &e);

		if (rc == ERR_CORRUPT)
			verify_say(v, 0, "%s", e.text[0] ? e.text : err_text(rc));
		else if (rc < 0)
			return err_set(ret_err, rc, "cannot verify %s: %s", v->s->db.path, e.text[0] ? e.text : err_text(rc));
	}
	return v->findings ? err_set(ret_err, ERR_CORRUPT, "%s: %llu findings", v->s->db.path, (unsigned long long)v->findings) : 0;
}

int spool_verify(struct spool *s, void (*fn)(void *arg, int64_t row_id, const char *what), void *arg, struct err *ret_err)
{
	struct verify v = { .s = s, .fn = fn, .arg = arg };
	int rc;

	ASSERT(!s->in_txn);
	v.lanes = mem_array(struct lane_count, s->lanes.count + 1);
	if (!v.lanes)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	map_init(&v.files);
	rc = run(&v, ret_err);
	verify_ranges_release(&v);
	mem_free(v.lanes);
	return rc;
}

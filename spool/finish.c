/* finish.c - bytes become finished, positions move, and readers learn what to skip.
 *
 * Invariant: a byte is finished once. Ranges that were finished before (a repeat) change nothing.
 * Failure: only memory; the transaction is lost then (spool_lost), because some ranges may have been taken already.
 */
#include "spool/inside.h"

#include <string.h>

#include "spool/ranges.h"

int finish_ranges(struct spool *s, const struct spool_range *r, size_t n, struct err *ret_err)
{
	for (size_t i = 0; i < n; i++) {
		if (positions_finish(&s->positions, r[i].file_id, r[i].from, r[i].to, r[i].marker) < 0)
			return err_set(ret_err, ERR_NOMEM, "out of memory");
		s->now[TOTAL_FILTERED] += r[i].filtered;
	}
	return 0;
}

int finish_encoded(struct spool *s, const uint8_t *ranges, size_t n, struct err *ret_err)
{
	struct ranges_reader rr;
	struct spool_range r;
	int rc = ranges_open(&rr, ranges, n);

	while (rc == 0 && (rc = ranges_next(&rr, &r)) > 0)
		rc = finish_ranges(s, &r, 1, ret_err);
	return rc == ERR_CORRUPT ? err_set(ret_err, rc, "the ranges of a batch cannot be read") : rc;
}

static const enum total fate_total[] = {
	[SPOOL_ACKED] = TOTAL_ACKED, [SPOOL_REJECTED] = TOTAL_REJECTED,
	[SPOOL_DROPPED] = TOTAL_DROPPED, [SPOOL_FILTERED] = TOTAL_FILTERED,
};

int spool_finish(struct spool *s, const struct spool_range *r, size_t n, enum spool_fate fate, uint64_t records,
		 struct err *ret_err)
{
	int rc = spool_may_change(s, ret_err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		ASSERT(r[i].from >= 0 && r[i].from <= r[i].to);
	rc = finish_ranges(s, r, n, ret_err);
	if (rc < 0)
		return spool_lost(s, rc);
	s->now[fate_total[fate]] += records;
	if (fate == SPOOL_DROPPED) {
		s->now[TOTAL_LOSS_EVENTS]++;
		s->now[TOTAL_LOSS_RECORDS] += records;
		for (size_t i = 0; i < n; i++)
			s->now[TOTAL_LOSS_BYTES] += (uint64_t)(r[i].to - r[i].from);
	}
	return 0;
}

/* Joins what a row of the ledger promises of this file into *set. */
static int add_promised(struct range_set *set, const struct ledger_row *l, int64_t file_id, int64_t safe)
{
	struct ranges_reader rr;
	struct spool_range r;
	int rc = ranges_open(&rr, l->body + l->ranges_at, l->body_len - l->ranges_at);

	while (rc == 0 && (rc = ranges_next(&rr, &r)) > 0) {
		rc = 0;
		if (r.file_id == file_id && r.to > safe && r.from < r.to)
			rc = range_set_add(set, r.from > safe ? r.from : safe, r.to, 0);
	}
	return rc;
}

int spool_skips_each(struct spool *s, int64_t file_id, int (*fn)(void *arg, int64_t from, int64_t to), void *arg)
{
	const struct position *f = positions_get(&s->positions, file_id);
	struct range_set set = { 0 };
	int64_t safe = f ? f->safe : 0;
	int rc = f ? range_set_copy(&set, &f->done) : 0;

	list_each(it, &s->ledger.rows) {
		const struct ledger_row *l = list_entry(it, struct ledger_row, node);

		if (rc == 0 && !l->gone && !l->row_id && file_id >= l->file_lo && file_id <= l->file_hi)
			rc = add_promised(&set, l, file_id, safe);
	}
	for (uint32_t i = 0; rc == 0 && i < set.count; i++)
		rc = fn(arg, set.items[i].from, set.items[i].to);
	range_set_release(&set);
	return rc;
}

bool spool_position(const struct spool *s, int64_t file_id, int64_t *ret_safe)
{
	const struct position *f = positions_get(&s->positions, file_id);

	if (f)
		*ret_safe = f->safe;
	return f != NULL;
}

uint32_t spool_holes(const struct spool *s, int64_t file_id)
{
	const struct position *f = positions_get(&s->positions, file_id);

	return f ? f->done.count : 0;
}

size_t spool_markers(const struct spool *s, int64_t file_id, struct spool_marker ret[SPOOL_MARKERS])
{
	const struct position *f = positions_get(&s->positions, file_id);
	const struct markers *m;

	if (!f)
		return 0;
	m = positions_markers(f);
	memcpy(ret, m->at, m->count * sizeof *ret);
	return m->count;
}

/* --- a position by hand --- */

/* 1: one of them ends above `safe` in this file; 0; ERR_CORRUPT. */
static int reaches_above(const uint8_t *ranges, size_t n, int64_t file_id, int64_t safe)
{
	struct ranges_reader rr;
	struct spool_range r;
	int rc = ranges_open(&rr, ranges, n);

	while (rc == 0 && (rc = ranges_next(&rr, &r)) > 0)
		rc = r.file_id == file_id && r.to > safe && r.from < r.to;
	return rc;
}

/* What is promised lies above the position and may not come to lie below it. */
static int check_batches(struct spool *s, const struct position *f, int64_t safe, struct err *ret_err)
{
	int64_t promised = safe < f->safe ? safe : f->safe;

	list_each(it, &s->ledger.rows) {
		const struct ledger_row *l = list_entry(it, struct ledger_row, node);
		int rc = 0;

		if (!l->gone && f->id >= l->file_lo && f->id <= l->file_hi)
			rc = reaches_above(l->body + l->ranges_at, l->body_len - l->ranges_at, f->id,
					   l->row_id ? safe : promised);
		if (rc)
			return err_set(ret_err, ERR_BUSY, "batch %lld is on its way with bytes of this file: try again when "
				       "it is answered", (long long)l->id);
	}
	return 0;
}

struct above { int64_t file_id, safe, row_id; };

static int row_above(void *arg, const struct spool_row *r)
{
	struct above *a = arg;

	for (size_t i = 0; i < r->range_count && !a->row_id; i++)
		if (r->ranges[i].file_id == a->file_id && r->ranges[i].to > a->safe && r->ranges[i].from < r->ranges[i].to)
			a->row_id = r->id;
	return a->row_id != 0;
}

/* The bytes of rows are finished: where nothing finished lies above `safe` no row needs to be looked at. A row whose head
 * is damaged has no say: nothing will be sent of it. */
static int check_rows(struct spool *s, const struct position *f, int64_t safe, struct err *ret_err)
{
	struct above a = { .file_id = f->id, .safe = safe };
	int rc;

	if (safe >= f->safe && (!f->done.count || safe >= f->done.items[f->done.count - 1].to))
		return 0;
	rc = spool_rows_list(s, row_above, &a, ret_err);
	return rc <= 0 ? rc : err_set(ret_err, ERR_BUSY, "spooled row %lld has bytes of this file above %lld",
				      (long long)a.row_id, (long long)safe);
}

int spool_position_set(struct spool *s, int64_t file_id, int64_t safe, uint64_t marker, struct err *ret_err)
{
	const struct position *f = positions_get(&s->positions, file_id);
	int rc = spool_may_change(s, ret_err);

	ASSERT(safe >= 0);
	if (rc < 0)
		return rc;
	if (!f)
		return err_set(ret_err, ERR_NOT_FOUND, "no file %lld", (long long)file_id);
	rc = check_batches(s, f, safe, ret_err);
	if (rc == 0)
		rc = check_rows(s, f, safe, ret_err);
	if (rc < 0)
		return spool_refused(s, rc);
	if (positions_set(&s->positions, file_id, safe, marker) < 0)
		return spool_lost(s, err_set(ret_err, ERR_NOMEM, "out of memory"));
	return 0;
}

/* finish.c - bytes become finished, positions move, and readers learn what to skip.
 *
 * Invariant: a byte is finished once. Ranges that were finished before (a repeat) change nothing.
 * Failure: only memory; the transaction is lost then (spool_lost), because some ranges may have been taken already.
 */
#include "spool/inside.h"

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

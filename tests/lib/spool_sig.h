/* spool_sig.h - all that a spool says about itself as one text, so that two of them can be compared. */
#ifndef SPILLWAY_TESTS_SPOOL_SIG_H
#define SPILLWAY_TESTS_SPOOL_SIG_H

#include "agent/base/buf.h"
#include "agent/base/mem.h"
#include "tests/lib/spool_dir.h"

struct spool_sig { struct buf text; struct spool *s; };

static inline int spool_sig_skip(void *arg, int64_t from, int64_t to)
{
	struct spool_sig *g = arg;

	buf_printf(&g->text, " %lld-%lld", (long long)from, (long long)to);
	return 0;
}

static inline int spool_sig_file(void *arg, const struct spool_file *f)
{
	struct spool_sig *g = arg;

	buf_printf(&g->text, "file %lld %lld %llx:", (long long)f->id, (long long)f->safe, (unsigned long long)f->marker);
	(void)spool_skips_each(g->s, f->id, spool_sig_skip, g);
	buf_puts(&g->text, "\n");
	return 0;
}

static inline int spool_sig_batch(void *arg, const struct spool_ledger *l)
{
	struct spool_sig *g = arg;

	buf_printf(&g->text, "batch %lld row %lld count %d ranges %zu\n", (long long)l->id, (long long)l->row_id, l->count,
		   l->range_count);
	return 0;
}

static inline int spool_sig_row(void *arg, const struct spool_row *r)
{
	struct spool_sig *g = arg;

	buf_printf(&g->text, "row %lld %s count %d size %u crc %x batch %lld\n", (long long)r->id, r->topic, r->count, r->size,
		   r->crc, (long long)r->ledger_id);
	return 0;
}

static inline int spool_sig_lane(void *arg, const struct spool_lane *l)
{
	struct spool_sig *g = arg;

	buf_printf(&g->text, "lane %s %d: %llu %llu %llu\n", l->topic, l->partition, (unsigned long long)l->rows,
		   (unsigned long long)l->records, (unsigned long long)l->bytes);
	return 0;
}

/* To be mem_freed. Outside of a transaction. */
static inline char *spool_sig(struct spool *s)
{
	struct spool_sig g = { .s = s };
	struct spool_totals t;

	buf_init(&g.text, 8 << 20);
	assert_int_equal(spool_files_each(s, spool_sig_file, &g, NULL), 0);
	assert_int_equal(spool_ledger_each(s, spool_sig_batch, &g, NULL), 0);
	assert_int_equal(spool_rows_list(s, spool_sig_row, &g, NULL), 0);
	assert_int_equal(spool_lanes_each(s, spool_sig_lane, &g, NULL), 0);
	spool_totals(s, &t);
	buf_printf(&g.text, "totals %llu %llu %llu %llu, %llu %llu %llu\n", (unsigned long long)t.acked,
		   (unsigned long long)t.rejected, (unsigned long long)t.dropped, (unsigned long long)t.filtered,
		   (unsigned long long)t.rows, (unsigned long long)t.records, (unsigned long long)t.bytes);
	assert_false(g.text.failed);
	return buf_detach(&g.text);
}

#endif

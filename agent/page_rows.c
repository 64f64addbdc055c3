/* page_rows.c - spooled batches: by lane and one by one (`spool ls`), and whether each can still be read (`spool verify`).
 *
 * Why `verify` of a running agent reads rows only: spool_verify is one call, and nothing is recorded meanwhile; with gigabytes
 * that stops delivery for a minute. A slice of rows takes some ten ms. Counters and SQLite's own structure change between two
 * slices: they are looked at without an agent.
 */
#include <inttypes.h>
#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/page.h"
#include "agent/record/text_json.h"
#include "producer/codec.h"

/* --- ls --- */

static int64_t age_s(int64_t ms)
{
	int64_t age = clock_wall_ms() - ms;

	return ms && age > 0 ? age / 1000 : 0;
}

/* "topic/partition"; "topic/-": no partition yet. */
static void put_lane(struct buf *o, const char *topic, int32_t partition)
{
	text_put_printable(o, topic);
	if (partition < 0)
		buf_puts(o, "/-");
	else
		buf_printf(o, "/%d", partition);
}

static int lane_row(void *arg, const struct spool_lane *l)
{
	struct buf *o = arg;

	buf_printf(o, "%10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %14" PRIu64 " %8" PRId64 "  ", l->rows, l->rows_with_identity,
		   l->records, l->bytes, age_s(l->oldest_ms));
	put_lane(o, l->topic, l->partition);
	buf_puts(o, "\n");
	return 0;
}

static void put_object(struct buf *o, const struct spool_row *r)
{
	buf_printf(o, "{\"row\":%" PRId64, r->id);
	json_put_text(o, "topic", r->topic);
	json_put_partition(o, r->partition);
	buf_printf(o, ",\"records\":%d,\"bytes\":%" PRIu32, r->count, r->size);
	json_put_text(o, "codec", codec_name(r->codec));
	buf_printf(o, ",\"age_s\":%" PRId64 ",\"in_flight\":%s}", age_s(r->spooled_ms), r->ledger_id ? "true" : "false");
}

static void put_row(struct buf *o, const struct spool_row *r)
{
	buf_printf(o, "%10" PRId64 " %-6s %10d %12" PRIu32 " %8" PRId64 " %-9s  ", r->id, codec_name(r->codec), r->count, r->size,
		   age_s(r->spooled_ms), r->ledger_id ? "yes" : "no");
	put_lane(o, r->topic, r->partition);
	buf_puts(o, "\n");
}

static int write_one(void *arg, const struct spool_row *r)
{
	struct page *p = arg;

	if (!page_begin_one(p))
		return 1;
	if (p->form == PAGE_TEXT)
		put_row(p->out, r);
	else
		put_object(p->out, r);
	return page_end_one(p, r->id, (uint64_t)r->count);
}

int page_rows(struct spool *s, struct page *p, struct err *ret_err)
{
	int rc = 0;

	if (p->form == PAGE_TEXT && !p->after) {
		buf_printf(p->out, "%10s %10s %10s %14s %8s  %s\n", "ROWS", "IN_FLIGHT", "RECORDS", "BYTES", "AGE_S", "LANE");
		rc = spool_lanes_each(s, lane_row, p->out, ret_err);
		buf_printf(p->out, "\n%10s %-6s %10s %12s %8s %-9s  %s\n", "ROW", "CODEC", "RECORDS", "BYTES", "AGE_S",
			   "IN_FLIGHT", "LANE");
	}
	return rc < 0 ? rc : spool_rows_after(s, p->after, write_one, p, ret_err);
}

/* --- verify --- */

#define SLICE_BYTES (8u << 20)
#define SLICE_ROWS  1000

enum { LOOK_AT_ROWS, LOOK_AT_REJECTED };	/* page.within */

struct slice { struct page *page; struct spool *spool; struct err *err; uint64_t bytes, things; };

static void finding(struct page *p, int64_t row, const char *what, int64_t id, const char *words)
{
	char text[160];

	snprintf(text, sizeof text, "%s %" PRId64 ": %s", what, id, words);
	page_comma(p);
	if (p->form == PAGE_TEXT) {
		buf_printf(p->out, "%s\n", text);
	} else {
		buf_puts(p->out, "{\"row\":");
		buf_printf(p->out, row ? "%" PRId64 : "null", row);
		json_put_text(p->out, "finding", text);
		buf_puts(p->out, "}");
	}
	p->count++;
}

static int see_bytes(void *arg, const struct spool_row *r, const void *data, int rc)
{
	struct slice *x = arg;

	(void)data;
	if (rc < 0)
		finding(x->page, r->id, "row", r->id, r->range_count ?
			"its bytes do not fit their CRC; it is built again from its files when it is sent, if they hold its lines" :
			"what is known of it or its bytes do not fit their CRC");
	return 0;
}

static bool slice_ends(struct slice *x, int64_t id, uint64_t bytes)
{
	if (x->bytes >= SLICE_BYTES || x->things >= SLICE_ROWS || page_full(x->page)) {
		x->page->more = true;
		return true;
	}
	x->bytes += bytes;
	x->things++;
	x->page->after = id;
	return false;
}

static int see_row(void *arg, const struct spool_row *r)
{
	struct slice *x = arg;

	return slice_ends(x, r->id, r->size) ? 1 : spool_row_read(x->spool, r->id, see_bytes, x, x->err);
}

static int see_rejected(void *arg, const struct spool_rejected *r)
{
	struct slice *x = arg;

	if (slice_ends(x, r->id, r->size))
		return 1;
	if (!r->bytes)
		finding(x->page, 0, "rejected record", r->id, "its bytes do not fit their CRC");
	return 0;
}

int page_findings(struct spool *s, struct page *p, struct err *ret_err)
{
	struct slice x = { .page = p, .spool = s, .err = ret_err };
	int rc;

	if (p->within == LOOK_AT_REJECTED)
		return spool_rejected_each(s, p->after, see_rejected, &x, ret_err);
	rc = spool_rows_after(s, p->after, see_row, &x, ret_err);
	if (rc >= 0 && !p->more) {
		p->after = 0;
		p->within = LOOK_AT_REJECTED;
		p->more = true;
	}
	return rc;
}

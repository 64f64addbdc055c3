/* page_records.c - `spool export`: every record of the spooled rows as a JSON object, one a line.
 *
 * A row is taken apart as a whole before its first record is written: a damaged one is a note, never half of a row.
 * page.within: how many records of row page.after + 1 were written; a row is larger than a page as a rule, and is decoded again
 * for each of them. If it was sent meanwhile, the next row begins at its beginning.
 */
#include <inttypes.h>
#include <stdio.h>

#include "agent/page.h"
#include "agent/record/text_json.h"
#include "producer/codec.h"

struct export {
	struct page  *page;
	struct spool *spool;
	struct err   *err;
	struct buf    raw;		/* of the row at hand, if it is compressed */
};

static void note(struct export *x, const struct spool_row *r, const char *words)
{
	buf_printf(x->page->notes, "row %" PRId64 " of %s/%d is damaged, its %d records are not exported: %s\n", r->id, r->topic,
		   r->partition, r->count, words);
}

static bool sound(const struct spool_row *r, const uint8_t *p, size_t n)
{
	struct record_view v;

	for (int32_t i = 0; i < r->count; i++) {
		if (record_read(p, n, &v) < 0)
			return false;
		p += v.size;
		n -= v.size;
	}
	return n == 0;
}

static void put_one(struct buf *o, const struct spool_row *r, const struct record_view *v)
{
	buf_puts(o, "{\"topic\":");
	buf_put_json(o, r->topic, SIZE_MAX);
	json_put_partition(o, r->partition);
	buf_puts(o, ",");
	json_put_record(o, v);
	buf_printf(o, ",\"timestamp\":%" PRId64 ",\"row\":%" PRId64 "}\n", r->base_timestamp + v->timestamp_delta, r->id);
}

/* 1: the page is full before the row's end. */
static int put_records(struct page *page, const struct spool_row *r, const uint8_t *p, size_t n)
{
	struct record_view v;

	for (int32_t i = 0; i < r->count; i++) {
		if (record_read(p, n, &v) < 0)
			return 0;		/* sound() has seen it */
		p += v.size;
		n -= v.size;
		if ((uint32_t)i < page->within)
			continue;
		if (page_full(page)) {
			page->after = r->id - 1;
			page->within = (uint32_t)i;
			page->more = true;
			return 1;
		}
		put_one(page->out, r, &v);
		page->count++;
		page->records++;
	}
	return 0;
}

static int take_apart(void *arg, const struct spool_row *r, const void *data, int rc)
{
	struct export *x = arg;
	const uint8_t *p = data;
	size_t n = r->size;

	if (rc < 0) {
		note(x, r, "its bytes do not fit their CRC");
		return 0;
	}
	if (r->codec != CODEC_NONE) {
		buf_init(&x->raw, (size_t)r->raw_bytes + 1);
		rc = codec_decompress((enum codec)r->codec, data, n, &x->raw);
		if (rc == ERR_NOMEM)
			return err_set(x->err, rc, "out of memory for row %" PRId64, r->id);
		p = (const uint8_t *)x->raw.data;
		n = x->raw.len;
	}
	if (rc < 0 || !sound(r, p, n))
		note(x, r, rc < 0 ? "it cannot be decompressed" : "its records cannot be taken apart");
	else
		rc = put_records(x->page, r, p, n);
	return rc < 0 ? 0 : rc;
}

static int export_row(void *arg, const struct spool_row *r)
{
	struct export *x = arg;
	struct page *p = x->page;
	int rc;

	if (page_full(p)) {
		p->more = true;
		return 1;
	}
	if (r->id != p->after + 1)
		p->within = 0;
	buf_init(&x->raw, 0);
	rc = spool_row_read(x->spool, r->id, take_apart, x, x->err);
	buf_release(&x->raw);
	if (rc)
		return rc;
	p->after = r->id;
	p->within = 0;
	return p->out->failed;
}

int page_records(struct spool *s, struct page *p, struct err *ret_err)
{
	struct export x = { .page = p, .spool = s, .err = ret_err };

	return spool_rows_after(s, p->after, export_row, &x, ret_err);
}

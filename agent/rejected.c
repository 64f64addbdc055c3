/* rejected.c - see rejected.h. Record bytes are read here for the first time since they were taken out of their batch; one
 * that is damaged is listed without its content. */
#include "agent/rejected.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "producer/api.h"
#include "producer/record_read.h"

#define PAGE_BYTES (4u << 20)

/* Kafka's, or our own of a line that its serializer refused. */
static const char *reason(int16_t code)
{
	return code == PRODUCER_ERR_SERIALIZATION ? "SERIALIZATION" : api_error(code)->name;
}

static void put_time(struct buf *o, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(o, "%s.%03dZ", text, (int)(ms % 1000));
}

static void put_text(struct buf *o, const char *name, const char *s)
{
	buf_printf(o, ",\"%s\":", name);
	if (s)
		buf_put_json(o, s, SIZE_MAX);
	else
		buf_puts(o, "null");
}

/* "value":"text", or "value_base64":"..." for what is no text. */
static void put_bytes(struct buf *o, const char *name, const uint8_t *p, size_t n)
{
	bool text = !p || buf_is_utf8(p, n);

	buf_printf(o, "\"%s%s\":", name, text ? "" : "_base64");
	if (!p)
		buf_puts(o, "null");
	else if (text)
		buf_put_json(o, (const char *)p, n);
	else
		buf_put_base64(o, p, n);
}

static void put_headers(struct buf *o, const struct record_view *v)
{
	const uint8_t *at = v->headers;
	struct record_header h;

	buf_puts(o, ",\"headers\":[");
	for (uint32_t i = 0; i < v->header_count && record_next_header(v, &at, &h) == 0; i++) {
		buf_puts(o, i ? ",{" : "{");
		put_bytes(o, "name", h.name, h.name_len);
		buf_puts(o, ",");
		put_bytes(o, "value", h.value, h.value_len);
		buf_puts(o, "}");
	}
	buf_puts(o, "]");
}

static void put_ranges(struct buf *o, const struct spool_rejected *r)
{
	buf_puts(o, ",\"within\":[");
	for (size_t i = 0; i < r->range_count; i++)
		buf_printf(o, "%s{\"file_id\":%" PRId64 ",\"start\":%" PRId64 ",\"end\":%" PRId64 "}", i ? "," : "",
			   r->ranges[i].file_id, r->ranges[i].from, r->ranges[i].to);
	buf_puts(o, "]");
}

static void put_object(struct buf *o, const struct spool_rejected *r, bool whole)
{
	struct record_view v;

	buf_printf(o, "{\"id\":%" PRId64 ",\"time\":\"", r->id);
	put_time(o, r->ms);
	buf_puts(o, "\"");
	put_text(o, "topic", r->topic);
	buf_printf(o, ",\"partition\":%d,\"code\":%d", r->partition, r->code);
	put_text(o, "reason", reason(r->code));
	put_text(o, "message", r->message);
	buf_printf(o, ",\"bytes\":%zu", r->size);
	if (!r->bytes || (whole && record_read(r->bytes, r->size, &v) < 0)) {
		buf_puts(o, ",\"damaged\":true}");
		return;
	}
	if (whole) {
		buf_printf(o, ",\"timestamp\":%" PRId64 ",", r->timestamp);
		put_bytes(o, "key", v.key, v.key_len);
		buf_puts(o, ",");
		put_bytes(o, "value", v.value, v.value_len);
		put_headers(o, &v);
		put_ranges(o, r);
	}
	buf_puts(o, "}");
}

/* Words of brokers end on terminals. */
static void put_row(struct buf *o, const struct spool_rejected *r)
{
	buf_printf(o, "%10" PRId64 "  ", r->id);
	put_time(o, r->ms);
	buf_printf(o, " %10zu  %s/%d  %s%s", r->size, r->topic, r->partition, reason(r->code),
		   r->message ? ": " : "");
	for (const char *p = r->message; p && *p; p++)
		buf_put(o, (unsigned char)*p < 0x20 || *p == 0x7f ? "?" : p, 1);
	buf_puts(o, "\n");
}

static int write_one(void *arg, const struct spool_rejected *r)
{
	struct rejected_page *page = arg;

	if (page->out->len > PAGE_BYTES) {
		page->more = true;
		return 1;
	}
	if (page->form == REJECTED_TEXT) {
		put_row(page->out, r);
	} else {
		if (page->form == REJECTED_JSON && page->count)
			buf_puts(page->out, ",");
		put_object(page->out, r, page->form == REJECTED_LINES);
		if (page->form == REJECTED_LINES)
			buf_puts(page->out, "\n");
	}
	page->last = r->id;
	page->count++;
	return page->out->failed ? ERR_NOMEM : 0;
}

int rejected_write(struct spool *s, struct rejected_page *page, struct err *ret_err)
{
	int rc;

	page->last = page->after;
	page->more = false;
	page->count = 0;
	rc = spool_rejected_each(s, page->after, write_one, page, ret_err);
	if (rc == ERR_NOMEM && page->out->failed)
		err_set(ret_err, rc, "out of memory");
	return rc < 0 ? rc : 0;
}

int rejected_purge(struct spool *s, int64_t upto, uint64_t *ret_count, struct err *ret_err)
{
	int rc = spool_begin(s, SPOOL_FULL, ret_err);

	if (rc < 0)
		return rc;
	rc = spool_rejected_purge(s, upto, ret_count, ret_err);
	if (rc >= 0)
		return spool_commit(s, ret_err);
	spool_rollback(s);
	return rc;
}

/* --- the control socket --- */

struct asked { struct rejected_page page; bool purge; int rc; struct err err; };

/* Thread: state. */
static void ask(void *arg, struct spool *s)
{
	struct asked *a = arg;

	a->rc = a->purge ? rejected_purge(s, a->page.after, &a->page.count, &a->err) : rejected_write(s, &a->page, &a->err);
}

bool rejected_answer(struct state *st, const char *question, struct buf *out)
{
	static const char *const forms[] = { [REJECTED_TEXT] = "text", [REJECTED_JSON] = "json", [REJECTED_LINES] = "lines" };
	struct buf body;
	struct asked a = { .page.out = &body };
	char form[8];
	bool known;

	if (sscanf(question, "rejected %7s %" SCNd64, form, &a.page.after) != 2)
		return false;
	known = a.purge = !strcmp(form, "purge");
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (!strcmp(form, forms[i])) {
			a.page.form = (enum rejected_form)i;
			known = true;
		}
	if (!known)
		return false;
	buf_init(&body, 60u << 20);
	state_ask(st, ask, &a);
	if (a.rc < 0) {
		buf_printf(out, "error: %s\n", a.err.text);
	} else {
		buf_printf(out, "%" PRId64 " %d %zu\n", a.purge ? (int64_t)a.page.count : a.page.last, a.page.more, body.len);
		buf_put(out, body.data ? body.data : "", body.len);
	}
	buf_release(&body);
	return true;
}

/* page_rejected.c - the records that Kafka never takes. Record bytes are read here for the first time since they were taken
 * out of their batch; one that is damaged is listed without its content. */
#include <inttypes.h>

#include "agent/page.h"
#include "agent/record/text_json.h"
#include "producer/api.h"

/* Kafka's, or our own of a line that its serializer refused. */
static const char *reason(int16_t code)
{
	return code == PRODUCER_ERR_SERIALIZATION ? "SERIALIZATION" : api_error(code)->name;
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
	text_put_time(o, r->ms);
	buf_puts(o, "\"");
	json_put_text(o, "topic", r->topic);
	buf_printf(o, ",\"partition\":%d,\"code\":%d", r->partition, r->code);
	json_put_text(o, "reason", reason(r->code));
	json_put_text(o, "message", r->message);
	buf_printf(o, ",\"bytes\":%zu", r->size);
	if (!r->bytes || (whole && record_read(r->bytes, r->size, &v) < 0)) {
		buf_puts(o, ",\"damaged\":true}");
		return;
	}
	if (whole) {
		buf_printf(o, ",\"timestamp\":%" PRId64 ",", r->timestamp);
		json_put_record(o, &v);
		put_ranges(o, r);
	}
	buf_puts(o, "}");
}

static void put_row(struct buf *o, const struct spool_rejected *r)
{
	buf_printf(o, "%10" PRId64 "  ", r->id);
	text_put_time(o, r->ms);
	buf_printf(o, " %10zu  %s/%d  %s%s", r->size, r->topic, r->partition, reason(r->code), r->message ? ": " : "");
	text_put_printable(o, r->message ? r->message : "");
	buf_puts(o, "\n");
}

static int write_one(void *arg, const struct spool_rejected *r)
{
	struct page *p = arg;

	if (!page_begin_one(p))
		return 1;
	if (p->form == PAGE_TEXT)
		put_row(p->out, r);
	else
		put_object(p->out, r, p->form == PAGE_LINES);
	if (p->form == PAGE_LINES)
		buf_puts(p->out, "\n");
	return page_end_one(p, r->id, 1);
}

int page_rejected(struct spool *s, struct page *p, struct err *ret_err)
{
	if (p->form == PAGE_TEXT && !p->after)
		buf_printf(p->out, "%10s  %-*s %10s  %s  %s\n", "ID", TEXT_TIME_WIDTH, "TIME", "BYTES", "PARTITION", "REASON");
	return spool_rejected_each(s, p->after, write_one, p, ret_err);
}

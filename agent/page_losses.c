/* page_losses.c - what was given up, and what may be in Kafka twice: one row a file and range. */
#include <inttypes.h>

#include "agent/page.h"
#include "agent/record/text_json.h"

/* Records that only a row or a batch held belong to no file. */
static void put_object(struct buf *o, const struct spool_loss *l)
{
	buf_puts(o, "{\"time\":\"");
	text_put_time(o, l->ms);
	buf_puts(o, "\"");
	json_put_text(o, "reason", l->reason);
	json_put_text(o, "path", l->path[0] ? l->path : NULL);
	buf_printf(o, ",\"start\":%" PRId64 ",\"end\":%" PRId64 ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64, l->from, l->to,
		   l->records, l->bytes);
	json_put_text(o, "topic", l->topic[0] ? l->topic : NULL);
	json_put_partition(o, l->partition);
	buf_puts(o, "}");
}

static void put_row(struct buf *o, const struct spool_loss *l)
{
	text_put_time(o, l->ms);
	buf_printf(o, "  %-12s %10" PRIu64 " %14" PRIu64 " %14" PRId64 " %14" PRId64 "  ", l->reason, l->records, l->bytes, l->from,
		   l->to);
	text_put_printable(o, l->path[0] ? l->path : "-");
	buf_puts(o, "\n");
}

static int write_one(void *arg, const struct spool_loss *l)
{
	struct page *p = arg;

	if (!page_begin_one(p))
		return 1;
	if (p->form == PAGE_TEXT)
		put_row(p->out, l);
	else
		put_object(p->out, l);
	return page_end_one(p, l->id, l->records);
}

int page_losses(struct spool *s, struct page *p, struct err *ret_err)
{
	if (p->form == PAGE_TEXT && !p->after)
		buf_printf(p->out, "%-*s  %-12s %10s %14s %14s %14s  %s\n", TEXT_TIME_WIDTH, "TIME", "REASON", "RECORDS", "BYTES",
			   "START", "END", "PATH");
	return spool_losses_each(s, p->after, write_one, p, ret_err);
}

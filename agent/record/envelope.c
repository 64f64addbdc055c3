/* envelope.c - see envelope.h. Written into one buffer, in a fixed order: the same message makes the same bytes. */
#include "agent/record/envelope.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/base/err.h"
#include "agent/record/timestamp.h"

/* buf_printf would measure it first. */
static void put_number(struct buf *out, const char *name, int64_t v)
{
	char text[64];
	int n = snprintf(text, sizeof text, "%s%" PRId64, name, v);

	buf_put(out, text, (size_t)n);
}

static void put_text(struct buf *out, const char *name, const char *text)
{
	if (!text)
		return;
	buf_puts(out, name);
	buf_put_json(out, text, SIZE_MAX);
}

int envelope_put(const struct envelope *e, struct fields *fields, struct buf *out)
{
	buf_puts(out, "{\"message\":");
	buf_put_json(out, e->message, e->message_len);
	put_text(out, ",\"path\":", e->path);
	if (e->offset >= 0)
		put_number(out, ",\"offset\":", e->offset);
	put_text(out, ",\"host\":", e->host);
	if (e->has_time) {
		buf_puts(out, ",\"time\":\"");
		timestamp_put(out, e->time_ns);
		buf_puts(out, "\"");
	}
	put_text(out, ",\"stream\":", e->stream);
	if (fields_there(fields)) {
		buf_puts(out, ",\"fields\":");
		if (fields_put(fields, out) < 0)
			return ERR_NOMEM;
	}
	return buf_puts(out, "}");
}

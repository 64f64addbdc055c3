/* text_json.c - see text_json.h. */
#include "agent/record/text_json.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "agent/base/err.h"

void text_put_time(struct buf *o, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(o, "%s.%03dZ", text, (int)(ms % 1000));
}

void json_put_text(struct buf *o, const char *name, const char *s)
{
	buf_printf(o, ",\"%s\":", name);
	if (s)
		buf_put_json(o, s, SIZE_MAX);
	else
		buf_puts(o, "null");
}

void json_put_partition(struct buf *o, int32_t partition)
{
	if (partition < 0)
		buf_puts(o, ",\"partition\":null");
	else
		buf_printf(o, ",\"partition\":%d", partition);
}

static int put_piece(const char *data, size_t n, void *arg)
{
	return buf_put(arg, data, n) < 0 ? -1 : 0;
}

int json_put_value(struct buf *o, const struct json_t *v, size_t flags)
{
	return json_dump_callback(v, put_piece, o, flags) < 0 ? ERR_NOMEM : 0;
}

void json_put_bytes(struct buf *o, const char *name, const void *p, size_t n)
{
	bool text = !p || buf_is_utf8(p, n);

	buf_printf(o, "\"%s%s\":", name, text ? "" : "_base64");
	if (!p)
		buf_puts(o, "null");
	else if (text)
		buf_put_json(o, p, n);
	else
		buf_put_base64(o, p, n);
}

void json_put_record(struct buf *o, const struct record_view *v)
{
	const uint8_t *at = v->headers;
	struct record_header h;

	json_put_bytes(o, "key", v->key, v->key_len);
	buf_puts(o, ",");
	json_put_bytes(o, "value", v->value, v->value_len);
	buf_puts(o, ",\"headers\":[");
	for (uint32_t i = 0; i < v->header_count && record_next_header(v, &at, &h) == 0; i++) {
		buf_puts(o, i ? ",{" : "{");
		json_put_bytes(o, "name", h.name, h.name_len);
		buf_puts(o, ",");
		json_put_bytes(o, "value", h.value, h.value_len);
		buf_puts(o, "}");
	}
	buf_puts(o, "]");
}

void text_put_printable(struct buf *o, const char *s)
{
	for (; *s; s++)
		buf_put(o, (unsigned char)*s < 0x20 || *s == 0x7f ? "?" : s, 1);
}

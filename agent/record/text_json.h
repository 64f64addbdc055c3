/* text_json.h - what several lists print alike: times, texts, bytes and records as JSON, words for terminals. */
#ifndef SPILLWAY_TEXT_JSON_H
#define SPILLWAY_TEXT_JSON_H

#include "agent/base/buf.h"
#include "producer/record_read.h"

#define TEXT_TIME_WIDTH 24

struct json_t;				/* jansson's */

/* Wall time as ISO 8601 in UTC with milliseconds, without quotes. */
void text_put_time(struct buf *o, int64_t ms);
/* ,"name":"text" or ,"name":null */
void json_put_text(struct buf *o, const char *name, const char *s);
/* ,"partition":N; below 0 (not bound to one): null. */
void json_put_partition(struct buf *o, int32_t partition);
/* "name":"text", or "name_base64":"..." for what is no text. */
void json_put_bytes(struct buf *o, const char *name, const void *p, size_t n);
/* A value as jansson's flags say. 0 or ERR_NOMEM. */
int  json_put_value(struct buf *o, const struct json_t *v, size_t flags);
/* "key":...,"value":...,"headers":[...] */
void json_put_record(struct buf *o, const struct record_view *v);
/* Names of files and words of brokers end on terminals: control bytes become "?". */
void text_put_printable(struct buf *o, const char *s);

#endif

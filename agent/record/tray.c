/* tray.c - see tray.h. Threads: the tail's. */
#include "agent/record/tray.h"

#include <string.h>

#include "agent/base/mem.h"

struct tray *tray_new(void)
{
	return mem_new(struct tray);
}

void tray_free(struct tray *y)
{
	if (y)
		mem_free(y->spans);
	mem_free(y);
}

void tray_clear(struct tray *y)
{
	y->count = y->range_count = y->header_count = y->used = 0;
}

int tray_reserve_spans(struct tray *y, size_t n)
{
	struct source_range *v;

	if (n <= y->span_cap)
		return 0;
	v = mem_realloc(y->spans, n * sizeof *v);
	if (!v)
		return ERR_NOMEM;
	y->spans = v;
	y->span_cap = n;
	return 0;
}

size_t tray_record_bytes(const struct lane_record *r)
{
	size_t n = (r->key ? r->key_len : 0) + (r->value ? r->value_len : 0);

	for (size_t i = 0; i < r->header_count; i++)
		n += strlen(r->headers[i].name) + 1 + (r->headers[i].value ? r->headers[i].value_len : 0);
	return n;
}

bool tray_has_room(const struct tray *y, const struct lane_record *r, size_t bytes)
{
	return y->count < TRAY_RECORDS && TRAY_RANGES - y->range_count > r->parts &&
	       TRAY_HEADERS - y->header_count >= r->header_count && TRAY_BYTES - y->used >= bytes;
}

static const void *copy(struct tray *y, const void *p, size_t n)
{
	uint8_t *to = y->bytes + y->used;

	if (!p)
		return NULL;
	if (n)
		memcpy(to, p, n);
	y->used += n;
	return to;
}

void tray_put(struct tray *y, const struct lane_record *from)
{
	struct producer_header *headers = y->headers + y->header_count;
	struct lane_record *r = &y->records[y->count++];

	*r = *from;
	r->key = copy(y, from->key, from->key_len);
	r->value = copy(y, from->value, from->value_len);
	for (size_t i = 0; i < from->header_count; i++) {
		headers[i] = from->headers[i];
		headers[i].name = copy(y, from->headers[i].name, strlen(from->headers[i].name) + 1);
		headers[i].value = copy(y, from->headers[i].value, from->headers[i].value_len);
	}
	r->headers = headers;
	y->header_count += from->header_count;
	memcpy(y->ranges + y->range_count, tray_first_range(from), (from->parts + 1) * sizeof *y->ranges);
	r->source = y->ranges + y->range_count + from->parts;
	y->range_count += from->parts + 1;
}

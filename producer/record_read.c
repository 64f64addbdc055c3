/* record_read.c - see record_read.h; the layout is drawn in record.c.
 *
 * Why the headers are walked at once: who holds a record_view knows that all of it is well formed.
 */
#include "producer/record_read.h"

#include "agent/base/err.h"
#include "producer/wire.h"

/* Varlong: times take up to ten bytes, all else is far shorter. */
static int64_t read_number(struct wire *w)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 70; shift += 7) {
		const uint8_t *p = wire_bytes(w, 1);

		if (!p)
			return 0;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80))
			return unzigzag(v);
	}
	w->failed = true;
	return 0;
}

/* Key, value or header value: NULL and 0 for null. */
static const uint8_t *read_blob(struct wire *w, size_t *ret_len)
{
	int64_t n = read_number(w);

	*ret_len = 0;
	if (n < -1 || n > w->end - w->p)
		w->failed = true;
	if (n < 0 || w->failed)
		return NULL;
	*ret_len = (size_t)n;
	return wire_bytes(w, (size_t)n);
}

static void read_header(struct wire *w, struct record_header *h)
{
	h->name = read_blob(w, &h->name_len);
	if (!h->name)
		w->failed = true;
	h->value = read_blob(w, &h->value_len);
}

int record_read(const uint8_t *p, size_t n, struct record_view *ret)
{
	struct record_header ignored;
	struct wire w;
	int64_t body, headers;

	wire_init(&w, p, n, true);
	body = read_number(&w);
	if (w.failed || body < 0 || body > w.end - w.p)
		return ERR_BAD_DATA;
	w.end = w.p + body;
	*ret = (struct record_view){ .start = p, .size = (size_t)(w.end - p) };
	wire_i8(&w);
	ret->timestamp_delta = read_number(&w);
	ret->offset_delta = read_number(&w);
	ret->rest = w.p;
	ret->key = read_blob(&w, &ret->key_len);
	ret->value = read_blob(&w, &ret->value_len);
	headers = read_number(&w);
	if (w.failed || headers < 0 || headers > w.end - w.p)
		return ERR_BAD_DATA;
	ret->header_count = (uint32_t)headers;
	ret->headers = w.p;
	while (headers-- > 0 && !w.failed)
		read_header(&w, &ignored);
	return w.failed || w.p != w.end ? ERR_BAD_DATA : 0;
}

int record_next_header(const struct record_view *r, const uint8_t **at, struct record_header *ret)
{
	struct wire w;

	wire_init(&w, *at, (size_t)(r->start + r->size - *at), true);
	read_header(&w, ret);
	*at = w.p;
	return w.failed ? ERR_BAD_DATA : 0;
}

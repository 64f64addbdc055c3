/* wire.c - Kafka's primitive types, written into a struct buf and read back out of untrusted bytes.
 *
 * Invariants
 *  (1) a reader's p never passes end, and does not move after `failed`.
 *  (2) every length is compared with what is left before it is added to a pointer.
 */
#include "producer/wire.h"

#include "agent/base/err.h"

void wire_put_i8(struct wire_out *w, int8_t v)
{
	buf_put(w->buf, &v, 1);
}

void wire_put_i16(struct wire_out *w, int16_t v)
{
	uint8_t b[2];

	be16_put(b, (uint16_t)v);
	buf_put(w->buf, b, sizeof b);
}

void wire_put_i32(struct wire_out *w, int32_t v)
{
	uint8_t b[4];

	be32_put(b, (uint32_t)v);
	buf_put(w->buf, b, sizeof b);
}

void wire_put_i64(struct wire_out *w, int64_t v)
{
	uint8_t b[8];

	be64_put(b, (uint64_t)v);
	buf_put(w->buf, b, sizeof b);
}

void wire_put_uvarint(struct wire_out *w, uint64_t v)
{
	uint8_t b[UVARINT_MAX];

	buf_put(w->buf, b, (size_t)(uvarint_put(b, v) - b));
}

void wire_put_string(struct wire_out *w, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n > INT16_MAX) {
		w->buf->failed = true;
		return;
	}
	if (w->flexible)
		wire_put_uvarint(w, s ? n + 1 : 0);
	else
		wire_put_i16(w, s ? (int16_t)n : -1);
	if (n)
		buf_put(w->buf, s, n);
}

void wire_put_count(struct wire_out *w, size_t n)
{
	if (n >= INT32_MAX) {
		w->buf->failed = true;
		return;
	}
	if (w->flexible)
		wire_put_uvarint(w, n + 1);
	else
		wire_put_i32(w, (int32_t)n);
}

void wire_put_no_tags(struct wire_out *w)
{
	if (w->flexible)
		wire_put_i8(w, 0);
}

void wire_init(struct wire *r, const void *data, size_t n, bool flexible)
{
	*r = (struct wire){ .p = data, .end = (const uint8_t *)data + n, .flexible = flexible };
}

static size_t left(const struct wire *r)
{
	return (size_t)(r->end - r->p);
}

static void *fail(struct wire *r)
{
	r->failed = true;
	return NULL;
}

const void *wire_bytes(struct wire *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->failed || left(r) < n)
		return fail(r);
	r->p += n;
	return p;
}

int8_t wire_i8(struct wire *r)
{
	const uint8_t *p = wire_bytes(r, 1);

	return p ? (int8_t)*p : 0;
}

int16_t wire_i16(struct wire *r)
{
	const uint8_t *p = wire_bytes(r, 2);

	return p ? (int16_t)be16_get(p) : 0;
}

int32_t wire_i32(struct wire *r)
{
	const uint8_t *p = wire_bytes(r, 4);

	return p ? (int32_t)be32_get(p) : 0;
}

int64_t wire_i64(struct wire *r)
{
	const uint8_t *p = wire_bytes(r, 8);

	return p ? (int64_t)be64_get(p) : 0;
}

uint64_t wire_uvarint(struct wire *r)
{
	uint64_t v = 0;

	/* Nothing in the protocol needs more than 32 bits: five bytes. */
	for (unsigned int shift = 0; shift < 35; shift += 7) {
		const uint8_t *p = wire_bytes(r, 1);

		if (!p)
			return 0;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80))
			return v;
	}
	fail(r);
	return 0;
}

const char *wire_nullable(struct wire *r, size_t *ret_n)
{
	int64_t n = r->flexible ? (int64_t)wire_uvarint(r) - 1 : wire_i16(r);

	*ret_n = 0;
	if (r->failed || n == -1)
		return NULL;
	if (n < -1 || (uint64_t)n > left(r))
		return fail(r);
	*ret_n = (size_t)n;
	return wire_bytes(r, (size_t)n);
}

const char *wire_string(struct wire *r, size_t *ret_n)
{
	const char *s = wire_nullable(r, ret_n);

	return s ? s : fail(r);
}

size_t wire_count(struct wire *r, size_t min_bytes)
{
	int64_t n = r->flexible ? (int64_t)wire_uvarint(r) - 1 : wire_i32(r);

	if (r->failed || n == -1)
		return 0;
	if (n < -1 || (uint64_t)n > left(r) / min_bytes) {
		fail(r);
		return 0;
	}
	return (size_t)n;
}

void wire_skip_array(struct wire *r, size_t bytes)
{
	size_t n = wire_count(r, bytes);

	wire_bytes(r, n * bytes);
}

void wire_tags(struct wire *r, wire_tag_fn *fn, void *arg)
{
	uint64_t n;

	if (!r->flexible)
		return;
	for (n = wire_uvarint(r); n > 0 && !r->failed; n--) {
		uint64_t tag = wire_uvarint(r), size = wire_uvarint(r);
		const void *p = wire_bytes(r, size);
		struct wire content;

		if (!p || !fn)
			continue;
		wire_init(&content, p, size, true);
		fn(arg, tag, &content);
		if (content.failed)
			fail(r);
	}
}

int wire_end(const struct wire *r)
{
	return r->failed || r->p != r->end ? ERR_BAD_DATA : 0;
}

/* records.h - reads a record section back, for tests. Written from Kafka's description of RecordBatch v2 and sharing no
 * code with producer/, so that a mistake there cannot hide itself here. */
#ifndef SPILLWAY_TESTS_RECORDS_H
#define SPILLWAY_TESTS_RECORDS_H

#include <string.h>

#include "producer/batch.h"
#include "tests/lib/unit.h"

struct read_blob { const uint8_t *p; int64_t n; };		/* n -1: null */
struct read_record {
	int64_t timestamp_delta, offset_delta, header_count;
	struct read_blob key, value, header_name[8], header_value[8];
};

struct record_reader { const uint8_t *p, *end; };

static inline uint8_t read_byte(struct record_reader *r)
{
	assert_true(r->p < r->end);
	return *r->p++;
}

static inline int64_t read_varint(struct record_reader *r)
{
	uint64_t v = 0;
	unsigned int shift = 0;
	uint8_t b;

	do {
		assert_true(shift < 64);
		b = read_byte(r);
		v |= (uint64_t)(b & 127) << shift;
		shift += 7;
	} while (b & 128);
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static inline struct read_blob read_blob(struct record_reader *r)
{
	struct read_blob b = { .n = read_varint(r) };

	b.p = r->p;
	assert_true(b.n >= -1 && b.n <= r->end - r->p);
	if (b.n > 0)
		r->p += b.n;
	return b;
}

static inline struct read_record read_record(struct record_reader *r)
{
	struct read_record rec;
	int64_t length = read_varint(r);
	const uint8_t *end = r->p + length;

	assert_true(length > 0 && length <= r->end - r->p);
	assert_int_equal(read_byte(r), 0);
	rec.timestamp_delta = read_varint(r);
	rec.offset_delta = read_varint(r);
	rec.key = read_blob(r);
	rec.value = read_blob(r);
	rec.header_count = read_varint(r);
	assert_in_range(rec.header_count, 0, 8);
	for (int64_t i = 0; i < rec.header_count; i++) {
		rec.header_name[i] = read_blob(r);
		assert_true(rec.header_name[i].n >= 0);
		rec.header_value[i] = read_blob(r);
	}
	assert_ptr_equal(r->p, end);
	return rec;
}

static inline void assert_blob(struct read_blob b, const void *p, size_t n)
{
	assert_int_equal(b.n, p ? (int64_t)n : -1);
	if (p)
		assert_memory_equal(b.p, p, n);
}

/* The batch's record section in one piece; free() it. */
static inline uint8_t *flat(const struct batch *b)
{
	uint8_t *all = malloc(b->bytes ? b->bytes : 1), *p = all;

	assert_non_null(all);
	for (const struct chunk *c = b->chunks; c; c = c->next) {
		assert_true(p + c->used <= all + b->bytes);
		memcpy(p, c->data, c->used);
		p += c->used;
	}
	assert_ptr_equal(p, all + b->bytes);
	return all;
}

#endif

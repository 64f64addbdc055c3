/* wire.h - the primitive types of Kafka's protocol: big-endian integers, varints, strings, arrays, tagged fields.
 *
 * "Flexible" versions write lengths as unsigned varints of n + 1 and end each structure with tagged fields; older ones
 * use int16/int32 lengths and have no tags. A reader or writer is told once which kind it is and does the right thing.
 *
 * Reader errors stick: after the first all results are 0 or NULL and nothing is read, so callers check once, at the end
 * (wire_end). It never reads past its bytes, and a count is believed only when the bytes for it can be there.
 */
#ifndef SPILLWAY_WIRE_H
#define SPILLWAY_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/buf.h"

/* --- big-endian in memory --- */

static inline void be16_put(uint8_t *p, uint16_t v) { v = htobe16(v); memcpy(p, &v, 2); }
static inline void be32_put(uint8_t *p, uint32_t v) { v = htobe32(v); memcpy(p, &v, 4); }
static inline void be64_put(uint8_t *p, uint64_t v) { v = htobe64(v); memcpy(p, &v, 8); }
static inline uint16_t be16_get(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return be16toh(v); }
static inline uint32_t be32_get(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return be32toh(v); }
static inline uint64_t be64_get(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return be64toh(v); }

/* --- varints, as records use them --- */

#define UVARINT_MAX 10

static inline uint64_t zigzag(int64_t v) { return (uint64_t)v << 1 ^ -(uint64_t)(v < 0); }
static inline int64_t unzigzag(uint64_t v) { return (int64_t)(v >> 1) ^ -(int64_t)(v & 1); }

static inline uint32_t uvarint_size(uint64_t v)
{
	/* Nearly all lengths are below 2^14: two predictable compares beat counting bits. */
	if (v < 0x80)
		return 1;
	if (v < 0x4000)
		return 2;
	return (uint32_t)(63 - __builtin_clzll(v)) / 7 + 1;
}

static inline uint8_t *uvarint_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* --- writer --- */

struct wire_out { struct buf *buf; bool flexible; };

void wire_put_i8(struct wire_out *w, int8_t v);
void wire_put_i16(struct wire_out *w, int16_t v);
void wire_put_i32(struct wire_out *w, int32_t v);
void wire_put_i64(struct wire_out *w, int64_t v);
void wire_put_uvarint(struct wire_out *w, uint64_t v);
void wire_put_string(struct wire_out *w, const char *s);	/* NULL: the null string */
void wire_put_count(struct wire_out *w, size_t n);		/* of an array, or the length of bytes */
void wire_put_no_tags(struct wire_out *w);			/* nothing when not flexible */

/* --- reader --- */

struct wire { const uint8_t *p, *end; bool flexible, failed; };

void     wire_init(struct wire *r, const void *data, size_t n, bool flexible);
int8_t   wire_i8(struct wire *r);
int16_t  wire_i16(struct wire *r);
int32_t  wire_i32(struct wire *r);
int64_t  wire_i64(struct wire *r);
uint64_t wire_uvarint(struct wire *r);
const void *wire_bytes(struct wire *r, size_t n);		/* n bytes as they stand */
/* Points into the data, not terminated. NULL: the null string (*ret_n 0), or an error. */
const char *wire_nullable(struct wire *r, size_t *ret_n);
const char *wire_string(struct wire *r, size_t *ret_n);		/* null is an error */
/* Elements of an array whose elements take at least min_bytes each; the null array counts 0. */
size_t   wire_count(struct wire *r, size_t min_bytes);
void     wire_skip_array(struct wire *r, size_t bytes);		/* of elements of that many bytes */
/* Calls fn for each tagged field, with a reader of its own content; fn NULL: skips them. Nothing when not flexible. */
typedef void wire_tag_fn(void *arg, uint64_t tag, struct wire *content);
void     wire_tags(struct wire *r, wire_tag_fn *fn, void *arg);
static inline void wire_no_tags(struct wire *r) { wire_tags(r, NULL, NULL); }
/* 0 when all went well and nothing is left over, else ERR_BAD_DATA. */
int      wire_end(const struct wire *r);

#endif

/* varint.h - numbers as few bytes: 7 bits a byte, low ones first, the top bit says "more". Signed ones are zigzagged.
 *
 * Writers need VARINT_MAX bytes of room. Readers take the place of the first byte and the end, move the place on, and
 * return false at a number that does not end (the place is then undefined): stored bytes may be damaged.
 */
#ifndef SPILLWAY_SPOOL_VARINT_H
#define SPILLWAY_SPOOL_VARINT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define VARINT_MAX 10

static inline uint8_t *varint_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static inline bool varint_get(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
		uint8_t b = *(*p)++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* Differences are taken without sign, so that no pair of offsets overflows. */
static inline uint8_t *varint_put_signed(uint8_t *p, int64_t v)
{
	return varint_put(p, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static inline bool varint_get_signed(const uint8_t **p, const uint8_t *end, int64_t *ret)
{
	uint64_t v;

	if (!varint_get(p, end, &v))
		return false;
	*ret = (int64_t)((v >> 1) ^ (0 - (v & 1)));
	return true;
}

static inline uint8_t *fixed32_put(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		*p++ = (uint8_t)(v >> (8 * i));
	return p;
}

static inline bool fixed32_get(const uint8_t **p, const uint8_t *end, uint32_t *ret)
{
	uint32_t v = 0;

	if (end - *p < 4)
		return false;
	for (int i = 0; i < 4; i++)
		v |= (uint32_t)*(*p)++ << (8 * i);
	*ret = v;
	return true;
}

static inline uint8_t *fixed64_put(uint8_t *p, uint64_t v)
{
	return fixed32_put(fixed32_put(p, (uint32_t)v), (uint32_t)(v >> 32));
}

static inline bool fixed64_get(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	uint32_t lo, hi;

	if (!fixed32_get(p, end, &lo) || !fixed32_get(p, end, &hi))
		return false;
	*ret = (uint64_t)hi << 32 | lo;
	return true;
}

#endif

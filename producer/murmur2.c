/* murmur2.c - MurmurHash2 with Java's seed (org.apache.kafka.common.utils.Utils.murmur2).
 *
 * Why: a key must reach the partition that every other Kafka client would choose, so this is bit for bit theirs:
 * little-endian words on any machine, tail bytes from the third down, unsigned shifts.
 */
#include "producer/murmur2.h"

#define SEED 0x9747b28cu
#define M    0x5bd1e995u

uint32_t murmur2(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t h = SEED ^ (uint32_t)n;

	for (; n >= 4; p += 4, n -= 4) {
		uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

		k *= M;
		k ^= k >> 24;
		k *= M;
		h = h * M ^ k;
	}
	switch (n) {
	case 3: h ^= (uint32_t)p[2] << 16; /* fall through */
	case 2: h ^= (uint32_t)p[1] << 8;  /* fall through */
	case 1: h = (h ^ p[0]) * M;
	}
	h ^= h >> 13;
	h *= M;
	return h ^ h >> 15;
}

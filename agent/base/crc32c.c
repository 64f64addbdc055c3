/* crc32c.c - CRC-32C: hardware in three interleaved streams, or slicing-by-8 tables.
 *
 * Why: every byte sent passes here. The CPU's instruction has a latency of three cycles but starts one a cycle, so
 * three independent streams go three times as fast; their results are joined by advancing a CRC over n zero bytes,
 * which is linear over GF(2) and therefore four table look-ups. The layout of the idea is Mark Adler's.
 * Combining two finished CRCs is a multiplication by x^(8 * len) modulo the polynomial (zlib's crc32_combine).
 *
 * Invariant: all versions give the same result for every length and alignment (tests/unit/test_crc32c.c).
 * Threads: any. The tables are made by a constructor, before main, and never change.
 */
#include "agent/base/crc32c.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define POLY 0x82f63b78u	/* reflected: bit 31 is x^0 */

#define X_POWS 31

#define STREAM_LONG  4096	/* bytes of each of the three streams; multiples of 8 */
#define STREAM_SHORT 256

static uint32_t slices[8][256];
static uint32_t x_pow[X_POWS];		/* x^(2^i) mod p */
static uint32_t skip_long[4][256], skip_short[4][256];

/* a * b mod p. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b & 1 ? b >> 1 ^ POLY : b >> 1;
	}
	return product;
}

/* x^(8 * bytes) mod p. The order of x is 2^31 - 1 (the polynomial has the factor x + 1), so x^(2^31) is x again:
 * the table has 31 entries and the exponent's high bits go round it. */
static uint32_t x_to_bytes(uint64_t bytes)
{
	uint32_t power = 1u << 31;	/* x^0 */

	for (unsigned i = 3; bytes; bytes >>= 1, i = (i + 1) % X_POWS)
		if (bytes & 1)
			power = multiply(x_pow[i], power);
	return power;
}

uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
	return multiply(x_to_bytes(len_b), crc_a) ^ crc_b;
}

static uint64_t load64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

uint32_t crc32c_table(uint32_t crc, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t v;

	crc = ~crc;
	for (; n >= 8; n -= 8, p += 8) {
		v = load64(p) ^ crc;
		crc = slices[7][v & 255] ^ slices[6][v >> 8 & 255] ^ slices[5][v >> 16 & 255] ^
		      slices[4][v >> 24 & 255] ^ slices[3][v >> 32 & 255] ^ slices[2][v >> 40 & 255] ^
		      slices[1][v >> 48 & 255] ^ slices[0][v >> 56];
	}
	for (; n; n--, p++)
		crc = crc >> 8 ^ slices[0][(crc ^ *p) & 255];
	return ~crc;
}

#if defined(__x86_64__)
#define HARDWARE __attribute__((target("sse4.2")))
#define HAVE_HARDWARE __builtin_cpu_supports("sse4.2")
#define STEP8(crc, word) ((uint32_t)__builtin_ia32_crc32di(crc, word))
#define STEP1(crc, byte) __builtin_ia32_crc32qi(crc, byte)
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define HARDWARE
#define HAVE_HARDWARE true
#define STEP8(crc, word) __crc32cd(crc, word)
#define STEP1(crc, byte) __crc32cb(crc, byte)
#endif

#ifdef HARDWARE
/* The CRC register after `bytes` zero bytes, by the tables made for that many. */
static inline uint32_t skip(uint32_t skips[4][256], uint32_t crc)
{
	return skips[0][crc & 255] ^ skips[1][crc >> 8 & 255] ^ skips[2][crc >> 16 & 255] ^ skips[3][crc >> 24];
}

/* As many rounds of three streams of `stream` bytes as fit; moves *p and *n. */
HARDWARE static uint32_t run_streams(uint32_t crc, const unsigned char **p, size_t *n, size_t stream,
				     uint32_t skips[4][256])
{
	for (; *n >= 3 * stream; *p += 3 * stream, *n -= 3 * stream) {
		const unsigned char *a = *p, *end = a + stream;
		uint32_t b_crc = 0, c_crc = 0;

		for (; a < end; a += 8) {
			crc = STEP8(crc, load64(a));
			b_crc = STEP8(b_crc, load64(a + stream));
			c_crc = STEP8(c_crc, load64(a + 2 * stream));
		}
		crc = skip(skips, crc) ^ b_crc;
		crc = skip(skips, crc) ^ c_crc;
	}
	return crc;
}

HARDWARE static uint32_t crc32c_hardware(uint32_t crc, const void *data, size_t n)
{
	const unsigned char *p = data;

	crc = ~crc;
	for (; n && ((uintptr_t)p & 7); n--, p++)
		crc = STEP1(crc, *p);
	crc = run_streams(crc, &p, &n, STREAM_LONG, skip_long);
	crc = run_streams(crc, &p, &n, STREAM_SHORT, skip_short);
	for (; n >= 8; n -= 8, p += 8)
		crc = STEP8(crc, load64(p));
	for (; n; n--, p++)
		crc = STEP1(crc, *p);
	return ~crc;
}

static void make_skips(uint32_t skips[4][256], size_t bytes)
{
	uint32_t power = x_to_bytes(bytes);

	for (unsigned k = 0; k < 4; k++)
		for (uint32_t i = 0; i < 256; i++)
			skips[k][i] = multiply(power, i << 8 * k);
}

static bool use_hardware;
#endif

__attribute__((constructor)) static void make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ POLY : crc >> 1;
		slices[0][i] = crc;
	}
	for (unsigned k = 1; k < 8; k++)
		for (uint32_t i = 0; i < 256; i++)
			slices[k][i] = slices[k - 1][i] >> 8 ^ slices[0][slices[k - 1][i] & 255];
	x_pow[0] = 1u << 30;	/* x^1 */
	for (unsigned i = 1; i < X_POWS; i++)
		x_pow[i] = multiply(x_pow[i - 1], x_pow[i - 1]);
#ifdef HARDWARE
	__builtin_cpu_init();
	use_hardware = HAVE_HARDWARE;
	make_skips(skip_long, STREAM_LONG);
	make_skips(skip_short, STREAM_SHORT);
#endif
}

uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
#ifdef HARDWARE
	if (use_hardware)
		return crc32c_hardware(crc, data, n);
#endif
	return crc32c_table(crc, data, n);
}

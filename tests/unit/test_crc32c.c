/* test_crc32c.c - the checksum: known values, all versions alike, and combination. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/crc32c.h"

static unsigned char bytes[64 * 1024];

/* Not random, only without pattern: failures repeat. */
static int fill_bytes(void **state)
{
	uint32_t x = 12345;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (unsigned char)(x >> 24);
	}
	return 0;
}

/* RFC 3720, B.4, and the check value of every CRC catalogue. */
static void known_vectors_come_out(void **state)
{
	unsigned char b[32];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
	assert_int_equal(crc32c(0, "", 0), 0);
	memset(b, 0, sizeof b);
	assert_int_equal(crc32c(0, b, sizeof b), 0x8a9136aau);
	memset(b, 0xff, sizeof b);
	assert_int_equal(crc32c(0, b, sizeof b), 0x62a8ab43u);
	for (int i = 0; i < 32; i++)
		b[i] = (unsigned char)i;
	assert_int_equal(crc32c(0, b, sizeof b), 0x46dd794eu);
	for (int i = 0; i < 32; i++)
		b[i] = (unsigned char)(31 - i);
	assert_int_equal(crc32c(0, b, sizeof b), 0x113fdb5cu);
}

/* The definition, a bit at a time: what both versions are measured against. */
static uint32_t by_definition(const unsigned char *p, size_t n)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

static void table_equals_the_definition(void **state)
{
	(void)state;
	for (size_t at = 0; at < 9; at++)
		for (size_t n = 0; n < 70; n++)
			assert_int_equal(crc32c_table(0, bytes + at, n), by_definition(bytes + at, n));
}

static void every_length_and_alignment_equals_the_table(void **state)
{
	(void)state;
	for (size_t at = 0; at < 16; at++)
		for (size_t n = 0; n < 1100; n++)
			assert_int_equal(crc32c(7, bytes + at, n), crc32c_table(7, bytes + at, n));
}

/* Around the borders of the three-stream blocks, where a slip would show. */
static void long_buffers_equal_the_table(void **state)
{
	static const size_t around[] = { 3 * 256, 6 * 256, 3 * 4096, 3 * 4096 + 3 * 256, 6 * 4096, 60000 };

	(void)state;
	for (size_t i = 0; i < COUNT(around); i++)
		for (size_t n = around[i] - 17; n < around[i] + 17; n++)
			for (size_t at = 0; at < 9; at += 4)
				assert_int_equal(crc32c(0, bytes + at, n), crc32c_table(0, bytes + at, n));
}

static void pieces_give_the_same_as_the_whole(void **state)
{
	uint32_t whole = crc32c(0, bytes, 20000);

	(void)state;
	for (size_t cut = 0; cut <= 20000; cut += 613)
		assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, 20000 - cut), whole);
}

static void combination_equals_the_checksum_of_both(void **state)
{
	(void)state;
	for (size_t a = 0; a < 3000; a += 97)
		for (size_t b = 0; b < 30000; b = b * 2 + 1)
			assert_int_equal(crc32c_combine(crc32c(0, bytes, a), crc32c(0, bytes + a, b), b),
					 crc32c(0, bytes, a + b));
}

/* Lengths that nobody can lay out: joining (ab)c and a(bc) must agree, also where the table of powers wraps round. */
static void combination_is_associative_for_huge_lengths(void **state)
{
	static const uint64_t lengths[] = { 1ull << 27, 1ull << 28, 1ull << 29, (1ull << 32) + 5, 1ull << 40, 1ull << 60 };
	const uint32_t a = 0x12345678, b = 0x9abcdef0, c = 0x0fedcba9;

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		for (size_t j = 0; j < COUNT(lengths); j++) {
			uint32_t left = crc32c_combine(crc32c_combine(a, b, lengths[i]), c, lengths[j]);
			uint32_t right = crc32c_combine(a, crc32c_combine(b, c, lengths[j]), lengths[i] + lengths[j]);

			assert_int_equal(left, right);
		}
	}
}

/* 2^31 - 1 bits is the order of x: so many bits of zeros leave the checksum's register as it was. */
static void the_order_of_x_is_respected(void **state)
{
	(void)state;
	/* 8 * (2^31 - 1) bits, a whole number of bytes. */
	assert_int_equal(crc32c_combine(0xdeadbeef, 0, (1ull << 31) - 1), 0xdeadbeefu);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(known_vectors_come_out),
	cmocka_unit_test_setup(table_equals_the_definition, fill_bytes),
	cmocka_unit_test_setup(every_length_and_alignment_equals_the_table, fill_bytes),
	cmocka_unit_test_setup(long_buffers_equal_the_table, fill_bytes),
	cmocka_unit_test_setup(pieces_give_the_same_as_the_whole, fill_bytes),
	cmocka_unit_test_setup(combination_equals_the_checksum_of_both, fill_bytes),
	cmocka_unit_test(combination_is_associative_for_huge_lengths),
	cmocka_unit_test(the_order_of_x_is_respected),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

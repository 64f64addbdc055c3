/* test_murmur2.c - keys go where every other Kafka client sends them. */
#include "producer/murmur2.h"

#include <stdio.h>
#include <string.h>

#include "producer/partition.h"
#include "tests/lib/unit.h"

/* org.apache.kafka.common.utils.UtilsTest.testMurmur2. */
static void hashes_are_those_of_java(void **state)
{
	static const struct { const char *key; int32_t hash; } vectors[] = {
		{ "21", -973932308 }, { "foobar", -790332482 }, { "a-little-bit-long-string", -985981536 },
		{ "a-little-bit-longer-string", -1486304829 },
		{ "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 }, { "abc", 479470107 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++)
		assert_int_equal((int32_t)murmur2(vectors[i].key, strlen(vectors[i].key)), vectors[i].hash);
}

static void bytes_above_127_and_odd_places_do_not_matter(void **state)
{
	uint8_t raw[] = { 0, 0xff, 0x80, 0xfe, 0x01, 0xf0, 0x9f, 0 }, moved[16];

	(void)state;
	for (size_t n = 0; n <= sizeof raw; n++)
		for (size_t at = 0; at < 8; at++) {
			memcpy(moved + at, raw, n);
			assert_int_equal(murmur2(moved + at, n), murmur2(raw, n));
		}
	/* Java: Utils.murmur2(new byte[]{0,-1,-128,-2,1,-16,-97,0}). */
	assert_int_equal((int32_t)murmur2(raw, sizeof raw), -1873354157);
}

/* The keys are those of tests/golden/Golden.java: of every length from 0 to 300. */
static void thousands_of_keys_go_where_java_sends_them(void **state)
{
	FILE *f = fopen("tests/golden/partitions.txt", "r");
	uint32_t rng = 1, hash;
	uint8_t key[300];
	int partition;

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 5000; i++) {
		size_t n = (size_t)i % 301;

		for (size_t k = 0; k < n; k++) {
			rng = rng * 1103515245u + 12345u;
			key[k] = (uint8_t)(rng >> 16);
		}
		assert_int_equal(fscanf(f, "%8x %d", &hash, &partition), 2);
		assert_int_equal((uint32_t)murmur2(key, n), hash);
		assert_int_equal(partition_of_key(key, n, 1 + i % 97), partition);
	}
	fclose(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(hashes_are_those_of_java),
	cmocka_unit_test(bytes_above_127_and_odd_places_do_not_matter),
	cmocka_unit_test(thousands_of_keys_go_where_java_sends_them),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

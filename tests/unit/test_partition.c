/* test_partition.c - where batches without key go. */
#include "tests/lib/unit.h"

#include "producer/partition.h"

static void stays_until_a_batch_size_has_gone_there(void **state)
{
	struct sticky_choice c[4] = { { 0, 0 }, { 1, 0 }, { 2, 0 }, { 3, 0 } };
	struct sticky st = { .partition = -1 };
	uint64_t rng = 1;
	int changes = 0;
	int32_t last, p;

	(void)state;
	last = sticky_pick(&st, c, 4, 100, 1000, &rng);
	for (int i = 1; i < 1000; i++) {
		p = sticky_pick(&st, c, 4, 100, 1000, &rng);
		if (i % 10)
			assert_int_equal(p, last);
		changes += p != last;
		last = p;
	}
	assert_in_range(changes, 50, 99);
}

static void leaves_a_partition_that_cannot_take_anything(void **state)
{
	struct sticky_choice c[2] = { { 4, 0 }, { 7, 0 } };
	struct sticky st = { .partition = 2, .bytes = 10 };
	uint64_t rng = 1;
	int32_t p = sticky_pick(&st, c, 2, 1, 1000, &rng);

	(void)state;
	assert_true(p == 4 || p == 7);
	assert_int_equal(sticky_pick(&st, c, 0, 1, 1000, &rng), -1);
}

static void shorter_queues_are_likelier(void **state)
{
	struct sticky_choice c[3] = { { 0, 8 }, { 1, 4 }, { 2, 0 } };	/* weights 1, 5, 9 */
	uint64_t rng = 42;
	int hits[3] = { 0 };

	(void)state;
	for (int i = 0; i < 15000; i++) {
		struct sticky st = { .partition = -1 };

		hits[sticky_pick(&st, c, 3, 1, 1, &rng)]++;
	}
	assert_in_range(hits[0], 800, 1200);
	assert_in_range(hits[1], 4600, 5400);
	assert_in_range(hits[2], 8500, 9500);
}

static void keys_go_where_java_sends_them(void **state)
{
	(void)state;
	/* murmur2("foobar") = -790332482, ("21") = -973932308 */
	assert_int_equal(partition_of_key("foobar", 6, 12), (-790332482 & 0x7fffffff) % 12);
	assert_int_equal(partition_of_key("21", 2, 5), (-973932308 & 0x7fffffff) % 5);
	assert_int_equal(partition_of_key("x", 1, 1), 0);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays_until_a_batch_size_has_gone_there),
		cmocka_unit_test(leaves_a_partition_that_cannot_take_anything),
		cmocka_unit_test(shorter_queues_are_likelier),
		cmocka_unit_test(keys_go_where_java_sends_them),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

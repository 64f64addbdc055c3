/* test_hist.c - quantiles are within a bucket of the truth. */
#include "tests/lib/unit.h"

#include "agent/base/hist.h"

static struct hist h;

static void quantiles_of_a_line_of_numbers_are_within_a_sixty_fourth(void **state)
{
	(void)state;
	h = (struct hist){ 0 };
	for (uint64_t i = 1; i <= 100000; i++)
		hist_add(&h, i);
	for (int percent = 1; percent <= 100; percent++) {
		uint64_t q = hist_quantile(&h, percent / 100.0), truth = (uint64_t)percent * 1000;

		assert_in_range(q, truth, truth + truth / 64 + 1);
	}
	assert_int_equal(h.count, 100000);
	assert_int_equal(h.max, 100000);
	assert_int_equal(h.sum, 100000ull * 100001 / 2);
}

static void small_values_are_exact_and_the_largest_is_never_exceeded(void **state)
{
	(void)state;
	h = (struct hist){ 0 };
	assert_int_equal(hist_quantile(&h, 0.5), 0);
	for (uint64_t i = 0; i < 64; i++)
		hist_add(&h, i);
	assert_int_equal(hist_quantile(&h, 0.5), 31);
	assert_int_equal(hist_quantile(&h, 1), 63);
	hist_add(&h, 1000001);
	assert_int_equal(hist_quantile(&h, 1), 1000001);
	hist_add(&h, UINT64_MAX);
	assert_int_equal(h.max, UINT64_MAX);
}

static void what_is_at_most_a_value_is_counted(void **state)
{
	(void)state;
	h = (struct hist){ 0 };
	for (uint64_t i = 0; i < 1000; i++)
		hist_add(&h, i * 1000);
	assert_int_equal(hist_at_most(&h, 0), 1);
	assert_in_range(hist_at_most(&h, 500000), 500, 510);
	assert_int_equal(hist_at_most(&h, UINT64_MAX), 1000);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(quantiles_of_a_line_of_numbers_are_within_a_sixty_fourth),
	cmocka_unit_test(small_values_are_exact_and_the_largest_is_never_exceeded),
	cmocka_unit_test(what_is_at_most_a_value_is_counted),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

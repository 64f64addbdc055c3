/* test_lag.c - how old the oldest byte is that is not finished. Time is an argument. */
#include "agent/tail/lag.h"
#include "tests/lib/unit.h"

static void a_file_that_is_finished_has_no_lag(void **state)
{
	struct lag l = { 0 };

	(void)state;
	assert_int_equal(lag_age(&l, 0, 1000), 0);
	lag_seen(&l, 100, 1000);
	assert_int_equal(lag_age(&l, 100, 9000), 0);
	assert_false(lag_finished(&l, 100));
	assert_int_equal(l.count, 0);
}

static void in_an_outage_it_grows_with_the_time(void **state)
{
	struct lag l = { 0 };

	(void)state;
	for (int64_t s = 0; s < 3600; s++) {
		lag_seen(&l, (s + 1) * 1000, s * 1000);
		assert_int_equal(lag_age(&l, 0, s * 1000), s * 1000);
	}
	assert_int_equal(l.count, LAG_MARKS);
}

static void a_busy_file_that_is_never_quite_finished_has_a_small_one(void **state)
{
	struct lag l = { 0 };

	(void)state;
	/* A line each millisecond, finished 250 ms later. */
	for (int64_t ms = 0; ms < 60000; ms++) {
		int64_t safe = ms > 250 ? (ms - 250) * 10 : 0;

		lag_seen(&l, (ms + 1) * 10, ms);
		lag_finished(&l, safe);
		assert_true(lag_age(&l, safe, ms) <= 250 + LAG_STEP_MS);
		if (ms > 250)
			assert_true(lag_age(&l, safe, ms) >= 250 - 1);
	}
}

static void behind_an_outage_it_shrinks_as_bytes_are_finished(void **state)
{
	struct lag l = { 0 };
	int64_t now = 1200000;

	(void)state;
	for (int64_t s = 0; s < 1200; s++)
		lag_seen(&l, (s + 1) * 1000, s * 1000);
	/* The byte at s * 1000 came at s: what is said is never less, and a sixth of the whole time more at most. */
	for (int64_t s = 0; s < 1200; s += 7) {
		int64_t age = lag_age(&l, s * 1000, now), true_age = now - s * 1000;

		assert_true(age >= true_age);
		assert_true(age <= true_age + now / 6);
		assert_true(lag_finished(&l, s * 1000));
	}
	assert_false(lag_finished(&l, 1200000));
}

static void a_size_that_was_seen_before_is_no_mark(void **state)
{
	struct lag l = { 0 };

	(void)state;
	lag_seen(&l, 100, 1000);
	lag_seen(&l, 100, 5000);
	lag_seen(&l, 60, 6000);
	assert_int_equal(l.count, 1);
	assert_int_equal(lag_age(&l, 60, 7000), 6000);
}

static void a_clock_that_stands_before_a_mark_makes_no_negative_age(void **state)
{
	struct lag l = { 0 };

	(void)state;
	lag_seen(&l, 100, 5000);
	assert_int_equal(lag_age(&l, 0, 4000), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_file_that_is_finished_has_no_lag),
	cmocka_unit_test(in_an_outage_it_grows_with_the_time),
	cmocka_unit_test(a_busy_file_that_is_never_quite_finished_has_a_small_one),
	cmocka_unit_test(behind_an_outage_it_shrinks_as_bytes_are_finished),
	cmocka_unit_test(a_size_that_was_seen_before_is_no_mark),
	cmocka_unit_test(a_clock_that_stands_before_a_mark_makes_no_negative_age),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

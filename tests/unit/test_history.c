/* test_history.c - rates out of samples, and how long the spool lasts. Time is an argument. */
#include "agent/history.h"
#include "tests/lib/unit.h"

static struct history h;

static int empty(void **state)
{
	(void)state;
	h = (struct history){ 0 };
	return 0;
}

static void add(int64_t s, uint64_t read, uint64_t acked, uint64_t spool_bytes)
{
	history_add(&h, &(struct history_sample){ .ms = s * 1000, .read = read, .acked = acked, .read_bytes = read * 10,
						  .spooled = spool_bytes / 10, .spool_bytes = spool_bytes });
}

static struct history_rates rates(void)
{
	struct history_rates r;

	history_rates(&h, &r);
	return r;
}

static void one_sample_says_nothing(void **state)
{
	(void)state;
	assert_true(rates().seconds == 0);
	add(1, 5, 5, 0);
	assert_true(rates().seconds == 0);
	assert_true(rates().read == 0);
}

static void rates_are_those_of_the_last_minute(void **state)
{
	struct history_rates r;

	(void)state;
	for (int64_t s = 0; s <= 1000; s++)
		add(s, s < 900 ? 0 : (uint64_t)(s - 900) * 50, (uint64_t)s, 0);
	r = rates();
	assert_true(r.seconds == 60);
	assert_true(r.read == 50);
	assert_true(r.read_bytes == 500);
	assert_true(r.acked == 1);
	assert_int_equal(h.count, HISTORY_SAMPLES);
	assert_int_equal(history_at(&h, 0)->ms, 700000);
	assert_int_equal(history_at(&h, h.count - 1)->ms, 1000000);
}

static void a_late_sample_is_divided_by_the_time_that_passed(void **state)
{
	struct history_rates r;

	(void)state;
	add(0, 0, 0, 0);
	add(200, 1000, 0, 0);
	r = rates();
	assert_true(r.seconds == 200 && r.read == 5);
	history_step(&h, 1, &r);
	assert_true(r.read == 5);
}

static void lines_that_are_to_be_read_again_make_no_negative_rate(void **state)
{
	(void)state;
	add(0, 100, 0, 0);
	add(1, 40, 0, 0);
	assert_true(rates().read == 0);
}

static void a_growing_spool_lasts_as_long_as_its_room(void **state)
{
	struct history_rates r;

	(void)state;
	for (int64_t s = 0; s < 10; s++)
		add(s, 0, 0, (uint64_t)s * 1000);
	r = rates();
	assert_true(history_full_in(&r, 12000000) == 12000);
	assert_true(history_full_in(&r, 0) == 0);
	assert_true(history_drained_in(&r, 9000) == -1);
}

static void a_shrinking_spool_is_drained_at_this_rate(void **state)
{
	struct history_rates r;

	(void)state;
	for (int64_t s = 0; s < 10; s++)
		add(s, 0, 0, 100000 - (uint64_t)s * 1000);
	r = rates();
	assert_true(history_drained_in(&r, 91000) == 91);
	assert_true(history_drained_in(&r, 0) == -1);
	assert_true(history_full_in(&r, 1000) == -1);
}

static void what_was_before_an_outage_or_in_it_is_not_looked_ahead_by(void **state)
{
	struct history_rates r;
	uint64_t bytes = 0;

	(void)state;
	for (int64_t s = 0; s < 40; s++)
		add(s, 0, 0, 0);
	for (int64_t s = 40; s < 60; s++)
		add(s, 0, 0, bytes += 1000);
	history_ahead(&h, &r);
	assert_true(history_full_in(&r, 30000) == 30);
	for (int64_t s = 60; s < 76; s++)		/* it is still larger than a minute ago */
		add(s, 0, 0, bytes -= 500);
	history_ahead(&h, &r);
	assert_true(history_full_in(&r, 30000) == -1);
	assert_true(history_drained_in(&r, bytes) == (double)bytes / 500);
}

static void a_few_seconds_are_no_reason_to_foretell_anything(void **state)
{
	struct history_rates r;

	(void)state;
	add(0, 0, 0, 0);
	add(2, 0, 0, 1000000);
	r = rates();
	assert_true(history_full_in(&r, 1000000) == -1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(one_sample_says_nothing, empty),
	cmocka_unit_test_setup(rates_are_those_of_the_last_minute, empty),
	cmocka_unit_test_setup(a_late_sample_is_divided_by_the_time_that_passed, empty),
	cmocka_unit_test_setup(lines_that_are_to_be_read_again_make_no_negative_rate, empty),
	cmocka_unit_test_setup(a_growing_spool_lasts_as_long_as_its_room, empty),
	cmocka_unit_test_setup(a_shrinking_spool_is_drained_at_this_rate, empty),
	cmocka_unit_test_setup(what_was_before_an_outage_or_in_it_is_not_looked_ahead_by, empty),
	cmocka_unit_test_setup(a_few_seconds_are_no_reason_to_foretell_anything, empty),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_units.c - sizes, times, and the nearest name. */
#include "tests/lib/unit.h"

#include "agent/base/err.h"
#include "agent/base/units.h"

static void sizes_are_read(void **state)
{
	static const struct { const char *text; int64_t bytes; } good[] = {
		{ "0", 0 }, { "1048576", 1048576 }, { "7B", 7 }, { "256KiB", 262144 }, { "1MiB", 1048576 },
		{ "10GiB", 10737418240 }, { "2TiB", 2199023255552 }, { "9223372036854775807", INT64_MAX },
	};
	int64_t n;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		n = -1;
		assert_int_equal(units_parse_size(good[i].text, &n), 0);
		assert_int_equal(n, good[i].bytes);
	}
}

static void bad_sizes_are_refused_and_leave_the_result_alone(void **state)
{
	static const char *const bad[] = {
		"", " 1", "1 ", "-1", "+1", "1.5MiB", "MiB", "10kb", "10KB", "1KiBx", "0x10", "1 MiB",
		"9223372036854775808", "8388608TiB", "99999999999999999999999",
	};
	int64_t n = 42;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(units_parse_size(bad[i], &n), ERR_BAD_DATA);
	assert_int_equal(n, 42);
}

static void times_are_read(void **state)
{
	static const struct { const char *text; int64_t ms; } good[] = {
		{ "0ms", 0 }, { "500ms", 500 }, { "3s", 3000 }, { "5m", 300000 }, { "1h", 3600000 }, { "7d", 604800000 },
	};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(units_parse_time(good[i].text, 0, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
}

static void a_plain_number_is_a_time_only_where_allowed(void **state)
{
	int64_t ms = 0;

	(void)state;
	assert_int_equal(units_parse_time("250", 1, &ms), 0);
	assert_int_equal(ms, 250);
	assert_int_equal(units_parse_time("250", 0, &ms), ERR_BAD_DATA);
	assert_int_equal(units_parse_time("3 s", 1, &ms), ERR_BAD_DATA);
	assert_int_equal(units_parse_time("3S", 1, &ms), ERR_BAD_DATA);
}

static void the_shortest_exact_form_is_printed(void **state)
{
	char b[32];

	(void)state;
	assert_string_equal(units_print_size(b, sizeof b, 262144), "256KiB");
	assert_string_equal(units_print_size(b, sizeof b, 1ll << 40), "1TiB");
	assert_string_equal(units_print_size(b, sizeof b, 1025), "1025B");
	assert_string_equal(units_print_size(b, sizeof b, 0), "0B");
	assert_string_equal(units_print_time(b, sizeof b, 3000), "3s");
	assert_string_equal(units_print_time(b, sizeof b, 1500), "1500ms");
	assert_string_equal(units_print_time(b, sizeof b, 120000), "2m");
	assert_string_equal(units_print_time(b, sizeof b, 0), "0ms");
	assert_string_equal(units_print_time(b, sizeof b, 7 * 86400000ll), "7d");
}

static void what_is_printed_reads_back(void **state)
{
	char b[32];
	int64_t back;

	(void)state;
	for (int64_t n = 0; n < 1ll << 50; n = n * 3 + 1) {
		assert_int_equal(units_parse_size(units_print_size(b, sizeof b, n), &back), 0);
		assert_int_equal(back, n);
		assert_int_equal(units_parse_time(units_print_time(b, sizeof b, n * 1000), 0, &back), 0);
		assert_int_equal(back, n * 1000);
	}
}

static void the_nearest_name_is_found_only_when_near(void **state)
{
	static const char *const names[] = { "linger.ms", "batch.size", "buffer.memory", "acks", NULL };
	static const char *const none[] = { NULL };

	(void)state;
	assert_string_equal(units_nearest("linger.sm", names), "linger.ms");
	assert_string_equal(units_nearest("buffr.memry", names), "buffer.memory");
	assert_string_equal(units_nearest("ack", names), "acks");
	assert_string_equal(units_nearest("batch_size", names), "batch.size");
	assert_null(units_nearest("topic", names));
	assert_null(units_nearest("acks", none));
	assert_null(units_nearest("a-word-that-is-very-much-longer-than-anything-anybody-would-ever-write-as-a-key", names));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(sizes_are_read),
	cmocka_unit_test(bad_sizes_are_refused_and_leave_the_result_alone),
	cmocka_unit_test(times_are_read),
	cmocka_unit_test(a_plain_number_is_a_time_only_where_allowed),
	cmocka_unit_test(the_shortest_exact_form_is_printed),
	cmocka_unit_test(what_is_printed_reads_back),
	cmocka_unit_test(the_nearest_name_is_found_only_when_near),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

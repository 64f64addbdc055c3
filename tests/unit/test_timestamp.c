/* test_timestamp.c - times that are written in lines. */
#include "tests/lib/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/err.h"
#include "agent/record/timestamp.h"

struct row { const char *format, *text, *want; };	/* want NULL: no such time */

static void check_rows(const struct row *rows, size_t n)
{
	struct buf out;
	struct err e;
	int64_t ns;

	buf_init(&out, 100);
	for (size_t i = 0; i < n; i++) {
		int rc;

		if (timestamp_check(rows[i].format, &e) < 0)
			fail_msg("%s: %s", rows[i].format, e.text);
		rc = timestamp_read(rows[i].format, rows[i].text, strlen(rows[i].text), &ns);
		buf_clear(&out);
		if (rc == 0)
			timestamp_put(&out, ns);
		if (rc != (rows[i].want ? 0 : ERR_BAD_DATA) || (rows[i].want && strcmp(out.data, rows[i].want)))
			fail_msg("%s \"%s\": %d %s", rows[i].format, rows[i].text, rc, out.data ? out.data : "");
	}
	buf_release(&out);
}

static void rfc3339_is_read_with_and_without_its_parts(void **state)
{
	static const struct row rows[] = {
		{ "rfc3339", "2026-11-21T10:00:00Z", "2026-11-21T10:00:00.000000000Z" },
		{ "rfc3339", "2026-11-21 10:00:00,25+01:30", "2026-11-21T08:30:00.250000000Z" },
		{ "rfc3339", "2026-11-21t10:00:00.1234567891234-0800", "2026-11-21T18:00:00.123456789Z" },
		{ "rfc3339", "2026-11-21T10:00:00", "2026-11-21T10:00:00.000000000Z" },
		{ "rfc3339", "2024-02-29T23:59:60Z", "2024-03-01T00:00:00.000000000Z" },
		{ "rfc3339", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000000Z" },
		{ "rfc3339", "1678-01-01T00:00:00Z", "1678-01-01T00:00:00.000000000Z" },
		{ "rfc3339", "2261-12-31T23:59:59Z", "2261-12-31T23:59:59.000000000Z" },
		{ "rfc3339", "2026-02-29T10:00:00Z", NULL }, { "rfc3339", "2026-13-01T10:00:00Z", NULL },
		{ "rfc3339", "2026-11-21T24:00:00Z", NULL }, { "rfc3339", "2026-11-21T10:00:00.Z", NULL },
		{ "rfc3339", "2026-11-21T10:00:00ZZ", NULL }, { "rfc3339", "2026-11-21", NULL }, { "rfc3339", "", NULL },
		{ "rfc3339", "2026-11-21T10:00:00+1", NULL }, { "rfc3339", "2026-11-21T10:00:00+01:", NULL },
		{ "rfc3339", "2026-1-21T10:00:00Z", NULL }, { "rfc3339", "9999-11-21T10:00:00Z", NULL },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void machines_write_rfc3339_strictly(void **state)
{
	static const struct { const char *text; int64_t ns; } good[] = {
		{ "1970-01-01T00:00:00Z", 0 }, { "2016-10-06T00:17:09.669794202Z", 1475713029669794202 },
		{ "2016-10-06T02:17:09.669794202+02:00", 1475713029669794202 },
		{ "2016-10-05t17:47:09.669794202999-06:30", 1475713029669794202 }, { "1969-12-31 23:59:59.5z", -500000000 },
		{ "2000-02-29T00:00:00.000000001Z", 951782400000000001 }, { "2016-12-31T23:59:60Z", 1483228800000000000 },
	};
	static const char *const bad[] = {
		"", "2016-10-06", "2016-10-06T00:17:09", "2016-10-06T00:17:09.Z", "2016-10-06T24:17:09Z", "2016-10-32T00:00:00Z",
		"2016-10-06T00:17:09+0200", "2016-10-06T00:17:09+02", "2016-10-06T00:17:61Z", "2016/10/06T00:17:09Z",
		"2016-10-06_00:17:09Z", "2016-10-06T00:17:09,5Z", "2015-02-29T00:00:00Z", "x2016-10-06T00:17:09Z",
	};
	static const char *const far[] = { "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z" };
	bool fits;
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		char text[64];

		snprintf(text, sizeof text, "%s1", good[i].text);	/* whatever stands behind it */
		assert_int_equal(timestamp_rfc3339(text, strlen(text), &fits, &ns), strlen(good[i].text));
		assert_true(fits);
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		if (timestamp_rfc3339(bad[i], strlen(bad[i]), &fits, &ns))
			fail_msg("taken: %s", bad[i]);
	for (size_t i = 0; i < COUNT(far); i++) {
		assert_int_equal(timestamp_rfc3339(far[i], strlen(far[i]), &fits, &ns), strlen(far[i]));
		assert_false(fits);
	}
}

static void numbers_keep_every_nanosecond(void **state)
{
	static const struct row rows[] = {
		{ "unix", "1700000000", "2023-11-14T22:13:20.000000000Z" },
		{ "unix", "1700000000.123456789", "2023-11-14T22:13:20.123456789Z" },
		{ "unix", "1.7000000001234567e9", "2023-11-14T22:13:20.123456700Z" },
		{ "unix", "17E+8", "2023-11-14T22:13:20.000000000Z" },
		{ "unix", "1700000000000e-3", "2023-11-14T22:13:20.000000000Z" },
		{ "unix", "-1.5", "1969-12-31T23:59:58.500000000Z" },
		{ "unix", "0", "1970-01-01T00:00:00.000000000Z" },
		{ "unix", "0.0000000019", "1970-01-01T00:00:00.000000001Z" },
		{ "unix_ms", "1700000000123", "2023-11-14T22:13:20.123000000Z" },
		{ "unix_ms", "1700000000123.5", "2023-11-14T22:13:20.123500000Z" },
		{ "unix_ns", "1700000000123456789", "2023-11-14T22:13:20.123456789Z" },
		{ "unix_ns", "9223372036854775807", "2262-04-11T23:47:16.854775807Z" },
		{ "unix_ns", "9223372036854775808", NULL }, { "unix", "1e30", NULL }, { "unix", "1e999", NULL },
		{ "unix", "", NULL }, { "unix", "-", NULL }, { "unix", ".5", NULL }, { "unix", "5.", NULL }, { "unix", "1 ", NULL },
		{ "unix", "1.2.3", NULL }, { "unix", "1e", NULL }, { "unix", "0x10", NULL }, { "unix", "--1", NULL },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void a_format_is_read_as_strptime_does(void **state)
{
	static const struct row rows[] = {
		{ "%Y-%m-%d %H:%M:%S", "2026-11-21 10:00:01", "2026-11-21T10:00:01.000000000Z" },
		{ "%Y-%m-%d %H:%M:%S,%f", "2026-11-21 10:00:01,045", "2026-11-21T10:00:01.045000000Z" },
		{ "%d/%b/%Y:%H:%M:%S %z", "21/Nov/2026:10:00:00 +0100", "2026-11-21T09:00:00.000000000Z" },
		{ "%a, %d %B %Y %T %Z", "Sat, 21 november 2026 10:00:00 GMT", "2026-11-21T10:00:00.000000000Z" },
		{ "%b %e %H:%M:%S %Y", "Nov  1 10:00:00 2026", "2026-11-01T10:00:00.000000000Z" },
		{ "%D %I:%M %p", "11/21/26 12:30 am", "2026-11-21T00:30:00.000000000Z" },
		{ "%D %I:%M %p", "11/21/26 12:30 PM", "2026-11-21T12:30:00.000000000Z" },
		{ "%F%n%R", "2026-11-21T10:00", NULL }, { "%F%n%R", "2026-11-21  10:00", "2026-11-21T10:00:00.000000000Z" },
		{ "%Y.%j", "2024.366", "2024-12-31T00:00:00.000000000Z" }, { "%Y.%j", "2026.366", NULL },
		{ "%s.%f", "1700000000.5", "2023-11-14T22:13:20.500000000Z" },
		{ "%y%m%d %%", "700102 %", "1970-01-02T00:00:00.000000000Z" },
		{ "%F", "2026-11-21 x", NULL }, { "%F", "2026-11-31", NULL }, { "%F", "2026-11", NULL },
		{ "%F %Z", "2026-11-21 CET", NULL }, { "%F %T", "2026-11-21 10:60:00", NULL },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void a_format_that_cannot_tell_is_refused(void **state)
{
	static const struct { const char *format, *words; } rows[] = {
		{ "rfc822", "rfc3339, unix" }, { "", "rfc3339, unix" }, { "%b %d %H:%M:%S", "without its year" },
		{ "%Y %H:%M", "month and day" }, { "%F %I:%M", "%I and %p" }, { "%F %H %p", "%I and %p" }, { "%F %q", "\"%q\"" },
		{ "%F %", "\"%\"" },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(timestamp_check(rows[i].format, &e), ERR_CONFIG);
		if (!strstr(e.text, rows[i].words))
			fail_msg("%s: %s", rows[i].format, e.text);
	}
}

/* Goal: neither the machine's time zone nor its locale is in it. */
static void the_time_zone_of_the_machine_does_not_matter(void **state)
{
	int64_t here, there;

	(void)state;
	assert_int_equal(timestamp_read("%F %T", "2026-07-01 10:00:00", 19, &here), 0);
	setenv("TZ", "America/New_York", 1);
	tzset();
	assert_int_equal(timestamp_read("%F %T", "2026-07-01 10:00:00", 19, &there), 0);
	unsetenv("TZ");
	tzset();
	assert_int_equal(here, there);
}

/* Goal: each day is what the C library says. Method: some days of 570 years. */
static void dates_are_those_of_the_calendar(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (int64_t s = -9000000000; s < 9000000000; s += 12345678) {
		time_t t = s;
		struct tm tm;
		char want[64];
		int64_t ns;

		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000000000Z", &tm);
		buf_clear(&out);
		timestamp_put(&out, s * 1000000000);
		assert_string_equal(out.data, want);
		assert_int_equal(timestamp_read("rfc3339", out.data, out.len, &ns), 0);
		assert_int_equal(ns, s * 1000000000);
	}
	buf_release(&out);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(rfc3339_is_read_with_and_without_its_parts),
	cmocka_unit_test(machines_write_rfc3339_strictly),
	cmocka_unit_test(numbers_keep_every_nanosecond),
	cmocka_unit_test(a_format_is_read_as_strptime_does),
	cmocka_unit_test(a_format_that_cannot_tell_is_refused),
	cmocka_unit_test(the_time_zone_of_the_machine_does_not_matter),
	cmocka_unit_test(dates_are_those_of_the_calendar),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_log.c - the log line, as it arrives on descriptor 2. */
#define _GNU_SOURCE
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "agent/base/err.h"
#include "agent/base/log.h"
#include "agent/base/log_rate.h"

/* stderr becomes a file in memory while a test runs. */
struct capture {
	int  file, saved;
	char text[64 * 1024];
};

static int setup(void **state)
{
	struct capture *c = calloc(1, sizeof *c);

	fflush(stderr);
	c->file = memfd_create("log", MFD_CLOEXEC);
	c->saved = dup(STDERR_FILENO);
	dup2(c->file, STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	*state = c;
	return c->file < 0 || c->saved < 0;
}

static int teardown(void **state)
{
	struct capture *c = *state;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	close(c->file);
	free(c);
	unsetenv("JOURNAL_STREAM");
	return 0;
}

/* What was logged since the last call. */
static const char *logged(struct capture *c)
{
	ssize_t n = pread(c->file, c->text, sizeof c->text - 1, 0);

	c->text[n > 0 ? n : 0] = 0;
	if (ftruncate(c->file, 0) || lseek(c->file, 0, SEEK_SET))
		c->text[0] = 0;
	return c->text;
}

static void journal(bool on, enum log_level level, bool json)
{
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	if (on)
		setenv("JOURNAL_STREAM", stream, 1);
	log_setup(level, json);
}

static void logfmt_quotes_only_what_needs_it(void **state)
{
	(void)state;
	journal(true, LOG_LEVEL_INFO, false);
	log_info("started", KS("path", "/var/log/a.log"), KI("n", -5), KS("text", "two words"), KS("none", ""),
		 KS("pair", "a=b"), KS("tag", "<x>"), KS("last", "1"));
	assert_string_equal(logged(*state), "<6>level=info msg=\"started\" path=/var/log/a.log n=-5 text=\"two words\" "
			    "none=\"\" pair=\"a=b\" tag=<x> last=1\n");
}

static void levels_filter_and_carry_priorities(void **state)
{
	(void)state;
	journal(true, LOG_LEVEL_WARN, false);
	log_error("a");
	log_warn("b");
	log_info("c");
	log_debug("d");
	assert_string_equal(logged(*state), "<3>level=error msg=\"a\"\n<4>level=warn msg=\"b\"\n");
	journal(true, LOG_LEVEL_DEBUG, false);
	log_debug("d");
	assert_string_equal(logged(*state), "<7>level=debug msg=\"d\"\n");
}

static void without_the_journal_a_line_starts_with_its_time(void **state)
{
	const char *s;
	int year, month, day, hour, minute, second, ms, end = 0;

	journal(false, LOG_LEVEL_INFO, false);
	log_info("x");
	s = logged(*state);
	assert_int_equal(sscanf(s, "ts=%4d-%2d-%2dT%2d:%2d:%2d.%3dZ level=info msg=\"x\"\n%n", &year, &month, &day, &hour,
				&minute, &second, &ms, &end), 7);
	assert_int_equal((size_t)end, strlen(s));
	assert_true(year >= 2024 && month >= 1 && month <= 12 && day >= 1 && day <= 31);
}

/* Goal: a variable that was inherited says nothing about a stderr that was turned elsewhere. Method: another inode, another
 * device, and what is no such pair. */
static void another_journal_stream_than_stderr_means_no_priorities(void **state)
{
	char stream[64];
	struct stat st;

	for (int i = 0; i < 5; i++) {
		unsigned long long dev, ino;

		assert_int_equal(fstat(STDERR_FILENO, &st), 0);
		dev = st.st_dev;
		ino = st.st_ino;
		switch (i) {
		case 0: snprintf(stream, sizeof stream, "%llu:1%llu", dev, ino); break;
		case 1: snprintf(stream, sizeof stream, "1%llu:%llu", dev, ino); break;
		case 2: snprintf(stream, sizeof stream, "%llu", dev); break;
		case 3: snprintf(stream, sizeof stream, "%llu:%llux", dev, ino); break;
		default: stream[0] = 0;
		}
		setenv("JOURNAL_STREAM", stream, 1);
		log_setup(LOG_LEVEL_INFO, false);
		log_info("x");
		assert_memory_equal(logged(*state), "ts=", 3);
	}
}

static size_t lines_in(const char *s, const char *what)
{
	size_t n = 0;

	for (; (s = strstr(s, what)); s++)
		n++;
	return n;
}

static void a_line_that_repeats_is_held_back_and_said_to_have_been(void **state)
{
	const char *s;

	journal(true, LOG_LEVEL_DEBUG, false);
	for (int i = 0; i < 50; i++) {
		log_warn("cannot open file, trying again", KS("path", "/a"), KI("n", i));
		log_warn("cannot open file, trying again", KS("path", i % 2 ? "/b" : "/c"));
		log_debug("detail", KS("path", "/a"));
	}
	s = logged(*state);
	assert_int_equal(lines_in(s, "path=/a n="), 20);
	assert_int_equal(lines_in(s, "path=/b"), 20);
	assert_int_equal(lines_in(s, "path=/c"), 20);
	assert_int_equal(lines_in(s, "detail"), 50);
	assert_int_equal(lines_in(s, "held_back"), 0);
	log_tell_held(false);
	assert_string_equal(logged(*state), "");
	log_tell_held(true);
	s = logged(*state);
	assert_non_null(strstr(s, "<4>level=warn msg=\"a line that came too often was held back, it is written again from now on\" "
			       "line=\"cannot open file, trying again\" held_back=30 path=/a\n"));
	assert_int_equal(lines_in(s, "held_back=5 path=/b"), 1);
	assert_int_equal(lines_in(s, "\n"), 3);
	log_warn("cannot open file, trying again", KS("path", "/a"));
	assert_int_equal(lines_in(logged(*state), "path=/a"), 1);
}

static bool passes(const char *msg, int64_t number, int64_t now_ms)
{
	struct log_field f = KI("n", number);

	return log_rate_pass(LOG_LEVEL_WARN, msg, number ? &f : NULL, now_ms);
}

/* The rate alone, with a time of its own, which no other test comes near. */
static void a_minute_later_the_line_is_written_again_and_the_count_is_said(void **state)
{
	int64_t t = INT64_MAX / 2;
	struct log_held h;

	(void)state;
	for (int i = 0; i < LOG_RATE_MAX; i++)
		assert_true(passes("m", 0, t + i));
	assert_false(passes("m", 0, t + 30000));
	assert_true(passes("m", 7, t + 30000));
	assert_false(log_rate_held(t + LOG_RATE_WINDOW_MS - 1, &h));
	assert_true(log_rate_held(t + LOG_RATE_WINDOW_MS, &h));
	assert_int_equal(h.count, 1);
	assert_string_equal(h.msg, "m");
	assert_string_equal(h.key, "");
	assert_false(log_rate_held(t + LOG_RATE_WINDOW_MS, &h));
	assert_true(passes("m", 0, t + LOG_RATE_WINDOW_MS));
}

static void slow_repetition_is_never_held_back(void **state)
{
	int64_t t = INT64_MAX / 2 + (1 << 20);
	struct log_held h;

	(void)state;
	for (int i = 0; i < 10 * LOG_RATE_MAX; i++)
		assert_true(passes("slow", 0, t + i * (LOG_RATE_WINDOW_MS / LOG_RATE_MAX)));
	assert_false(log_rate_held(INT64_MAX, &h));
}

static void more_different_lines_than_can_be_counted_are_all_written(void **state)
{
	int64_t t = INT64_MAX / 2 + (1 << 30);
	struct log_held h;

	(void)state;
	for (int round = 0; round <= LOG_RATE_MAX; round++)
		for (int i = 1; i <= 30; i++)
			assert_int_equal(passes("few", i, t), round < LOG_RATE_MAX);
	for (int i = 1; i <= 10000; i++)
		assert_true(passes("many", i, t));
	for (int i = 0; i < 30; i++)
		assert_true(log_rate_held(INT64_MAX, &h));
	assert_false(log_rate_held(INT64_MAX, &h));
}

static void json_is_one_object_a_line(void **state)
{
	(void)state;
	journal(true, LOG_LEVEL_INFO, true);
	log_warn("say \"hi\"", KS("path", "a b"), KI("n", 7), KE(ERR_IO));
	assert_string_equal(logged(*state), "<4>{\"level\":\"warn\",\"msg\":\"say \\\"hi\\\"\",\"path\":\"a b\",\"n\":7,"
			    "\"error\":\"input/output error\"}\n");
	unsetenv("JOURNAL_STREAM");
	journal(false, LOG_LEVEL_INFO, true);
	log_info("x");
	assert_memory_equal(logged(*state), "{\"ts\":\"20", 9);
}

static void control_bytes_never_come_out(void **state)
{
	const char *s;

	journal(true, LOG_LEVEL_INFO, false);
	log_info("a\nb\x1b[31m", KS("path", "x\ny\x7f\xc2\x9b" "2J\xff"));
	s = logged(*state);
	assert_string_equal(s, "<6>level=info msg=\"a\\nb\\u001b[31m\" path=\"x\\ny\\u007f\\u009b2J\xef\xbf\xbd\"\n");
}

static void a_long_value_is_cut_and_said_to_be(void **state)
{
	char *value = malloc(100001);
	const char *s;

	memset(value, 'v', 100000);
	value[100000] = 0;
	journal(true, LOG_LEVEL_INFO, false);
	log_info("x", KS("long", value), KS("after", "here"));
	s = logged(*state);
	assert_true(strlen(s) < 4096);
	assert_non_null(strstr(s, "vvv after=here truncated=true\n"));
	free(value);
}

/* Goal: however much is asked for, one whole line of at most 4096 bytes comes out. Method: bytes that grow sixfold. */
static void a_line_too_long_drops_fields_but_ends_well(void **state)
{
	struct log_field f[20];
	char value[1001];
	const char *s;

	memset(value, 1, 1000);
	value[1000] = 0;
	for (size_t i = 0; i < COUNT(f); i++)
		f[i] = KS("k", i == 19 ? "small" : value);
	for (int json = 0; json < 2; json++) {
		journal(true, LOG_LEVEL_INFO, json);
		log_write(LOG_LEVEL_INFO, "x", f, COUNT(f));
		s = logged(*state);
		assert_true(strlen(s) <= 4096);
		assert_ptr_equal(strchr(s, '\n'), s + strlen(s) - 1);
		assert_non_null(strstr(s, json ? "\"k\":\"small\",\"truncated\":true}\n" : " k=small truncated=true\n"));
	}
}

static void level_names_are_known(void **state)
{
	(void)state;
	assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("Info"), -1);
	assert_int_equal(log_level_parse(""), -1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(logfmt_quotes_only_what_needs_it),
	T(levels_filter_and_carry_priorities),
	T(without_the_journal_a_line_starts_with_its_time),
	T(another_journal_stream_than_stderr_means_no_priorities),
	T(a_line_that_repeats_is_held_back_and_said_to_have_been),
	T(a_minute_later_the_line_is_written_again_and_the_count_is_said),
	T(slow_repetition_is_never_held_back),
	T(more_different_lines_than_can_be_counted_are_all_written),
	T(json_is_one_object_a_line),
	T(control_bytes_never_come_out),
	T(a_long_value_is_cut_and_said_to_be),
	T(a_line_too_long_drops_fields_but_ends_well),
	T(level_names_are_known),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

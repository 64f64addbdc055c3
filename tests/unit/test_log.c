/* test_log.c - the log line, as it arrives on descriptor 2. */
#define _GNU_SOURCE
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/base/err.h"
#include "agent/base/log.h"

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
	if (on)
		setenv("JOURNAL_STREAM", "8:12345", 1);
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
	T(json_is_one_object_a_line),
	T(control_bytes_never_come_out),
	T(a_long_value_is_cut_and_said_to_be),
	T(a_line_too_long_drops_fields_but_ends_well),
	T(level_names_are_known),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_client_lines.c - lines of files for `send`, and text that becomes numbers. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/cmd/client_lines.h"
#include "agent/record/text_value.h"

static char *file_of(const char *text, size_t n)
{
	char path[] = "/tmp/client_linesXXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
	return strdup(path);
}

/* What the files say, one letter and the line each. */
static void expect(char **files, int count, size_t max, const char *want)
{
	struct client_lines l;
	const char *line;
	char got[4096] = "";
	size_t n;

	assert_int_equal(client_lines_open(&l, files, count, max), 0);
	for (enum lines_result r; (r = client_lines_next(&l, &line, &n)) != LINES_END; ) {
		if (r == LINES_LINE)
			snprintf(got + strlen(got), sizeof got - strlen(got), "[%.*s]", (int)n, line);
		else
			snprintf(got + strlen(got), sizeof got - strlen(got), r == LINES_TOO_LONG ? "<long %lu>" : "<error>",
				 l.number);
	}
	client_lines_close(&l);
	assert_string_equal(got, want);
}

static void lines_end_at_lf_and_lose_a_cr(void **state)
{
	char *f = file_of("a\r\n\nb\rc\n\rd", 10);

	(void)state;
	expect(&f, 1, 100, "[a][][b\rc][\rd]");
	unlink(f);
	free(f);
}

static void a_long_line_is_left_out_and_the_next_is_whole(void **state)
{
	size_t n = 300000;
	char *text = malloc(n), *f;

	(void)state;
	memset(text, 'x', n);
	memcpy(text, "one\n", 4);
	memcpy(text + n - 5, "\ntwo\n", 5);
	f = file_of(text, n);
	expect(&f, 1, 10, "[one]<long 2>[two]");
	unlink(f);
	free(f);
	free(text);
}

static void the_longest_line_is_a_line(void **state)
{
	char *f = file_of("0123456789\n0123456789\r\n01234567890\n0123456789", 45);

	(void)state;
	expect(&f, 1, 10, "[0123456789][0123456789]<long 3>[0123456789]");
	unlink(f);
	free(f);
}

static void a_missing_file_is_said_and_the_next_is_read(void **state)
{
	char *files[] = { file_of("a\n", 2), "/nonexistent/file", file_of("b", 1) };

	(void)state;
	expect(files, 3, 10, "[a]<error>[b]");
	unlink(files[0]);
	unlink(files[2]);
	free(files[0]);
	free(files[2]);
}

static void check_value(const char *serializer, const char *text, const void *data, size_t n)
{
	struct text_value v;

	assert_int_equal(text_value(serializer, text, strlen(text), &v), 0);
	assert_int_equal(v.n, n);
	assert_memory_equal(v.data, data, n);
}

static void check_refused(const char *serializer, const char *text)
{
	struct text_value v;

	assert_int_equal(text_value(serializer, text, strlen(text), &v), ERR_BAD_DATA);
}

static void text_becomes_what_the_serializer_takes(void **state)
{
	int32_t i = -42;
	int64_t l = INT64_MAX;
	double d = 1.5e3;
	uint8_t uuid[] = { 0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x00 };

	(void)state;
	check_value("bytes", "x y", "x y", 3);
	check_value("integer", "-42", &i, sizeof i);
	check_value("long", "9223372036854775807", &l, sizeof l);
	check_value("double", "1.5e3", &d, sizeof d);
	check_value("uuid", "123e4567-E89B-12d3-a456-426614174000", uuid, sizeof uuid);
}

static void text_that_is_no_such_value_is_refused(void **state)
{
	(void)state;
	check_refused("integer", "2147483648");
	check_refused("integer", "1x");
	check_refused("integer", "");
	check_refused("integer", " 1");
	check_refused("long", "9223372036854775808");
	check_refused("double", "1.5e3 ");
	check_refused("uuid", "123e4567-e89b-12d3-a456-42661417400");
	check_refused("uuid", "123e4567-e89b-12d3-a456-42661417400g");
	check_refused("uuid", "123e4567xe89b-12d3-a456-426614174000");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(lines_end_at_lf_and_lose_a_cr),
	cmocka_unit_test(a_long_line_is_left_out_and_the_next_is_whole),
	cmocka_unit_test(the_longest_line_is_a_line),
	cmocka_unit_test(a_missing_file_is_said_and_the_next_is_read),
	cmocka_unit_test(text_becomes_what_the_serializer_takes),
	cmocka_unit_test(text_that_is_no_such_value_is_refused),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

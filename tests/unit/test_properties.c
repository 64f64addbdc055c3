/* test_properties.c - a properties file is read as java.util.Properties reads it. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cmd/properties.h"

struct seen { char text[4096]; int refuse_line; };

static int take(void *arg, int line, const char *name, const char *value, struct err *ret_err)
{
	struct seen *s = arg;

	if (line == s->refuse_line)
		return err_set(ret_err, ERR_CONFIG, "not %s", name);
	snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%d[%s]=[%s]\n", line, name, value);
	return 0;
}

static int read_text(const char *text, size_t n, struct seen *s, struct err *e)
{
	char path[] = "/tmp/propertiesXXXXXX";
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
	rc = properties_read(path, take, s, e);
	unlink(path);
	return rc;
}

static void expect(const char *text, const char *pairs)
{
	struct seen s = { .refuse_line = -1 };
	struct err e;

	assert_int_equal(read_text(text, strlen(text), &s, &e), 0);
	assert_string_equal(s.text, pairs);
}

static void names_end_at_an_equals_sign_a_colon_or_a_blank(void **state)
{
	(void)state;
	expect("a=1\nb:2\nc 3\nd  =  4\ne\t:5\nf\ng=\nh==x\n",
	       "1[a]=[1]\n2[b]=[2]\n3[c]=[3]\n4[d]=[4]\n5[e]=[5]\n6[f]=[]\n7[g]=[]\n8[h]=[=x]\n");
}

static void comments_and_empty_lines_are_left_out(void **state)
{
	(void)state;
	expect("# a\n! b\n\n   \n   # c\n  x = y # z\n", "6[x]=[y # z]\n");
}

static void a_backslash_at_the_end_joins_lines(void **state)
{
	(void)state;
	expect("a = one, \\\n    two, \\\r\n\tthree\nb=x\\\\\nc=1\n", "1[a]=[one, two, three]\n4[b]=[x\\]\n5[c]=[1]\n");
	expect("a=1\\", "1[a]=[1]\n");
	expect("a=1\\\n", "1[a]=[1]\n");
}

static void escapes_become_characters(void **state)
{
	(void)state;
	expect("a\\ b\\=c = d\\te\\u00e4\\u20ac\\q\n", "1[a b=c]=[d\te\xc3\xa4\xe2\x82\xacq]\n");
	expect("a=\\uD83D\\uDE00!\n", "1[a]=[\xf0\x9f\x98\x80!]\n");
}

static void ends_of_lines_of_every_kind_are_ends(void **state)
{
	(void)state;
	expect("a=1\r\nb=2\rc=3", "1[a]=[1]\n2[b]=[2]\n3[c]=[3]\n");
}

static void a_wrong_escape_names_its_line(void **state)
{
	struct seen s = { .refuse_line = -1 };
	struct err e;

	(void)state;
	assert_int_equal(read_text("a=1\nb=\\u12x4\n", 13, &s, &e), ERR_BAD_DATA);
	assert_non_null(strstr(e.text, ":2: "));
	assert_int_equal(read_text("a=\\uD83Dx\n", 10, &s, &e), ERR_BAD_DATA);	/* half of a pair */
}

static void a_refused_pair_names_its_line_and_ends_the_reading(void **state)
{
	struct seen s = { .refuse_line = 3 };
	struct err e;

	(void)state;
	assert_int_equal(read_text("a=1 \\\n 2\nb=3\nc=4\n", 17, &s, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, ":3: not b"));
	assert_string_equal(s.text, "1[a]=[1 2]\n");
}

static void a_file_that_is_missing_or_no_text_is_said(void **state)
{
	struct seen s = { .refuse_line = -1 };
	struct err e;

	(void)state;
	assert_true(properties_read("/nonexistent/file", take, &s, &e) < 0);
	assert_non_null(strstr(e.text, "/nonexistent/file: No such file"));
	assert_int_equal(read_text("a=1\0b", 5, &s, &e), ERR_BAD_DATA);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(names_end_at_an_equals_sign_a_colon_or_a_blank),
	cmocka_unit_test(comments_and_empty_lines_are_left_out),
	cmocka_unit_test(a_backslash_at_the_end_joins_lines),
	cmocka_unit_test(escapes_become_characters),
	cmocka_unit_test(ends_of_lines_of_every_kind_are_ends),
	cmocka_unit_test(a_wrong_escape_names_its_line),
	cmocka_unit_test(a_refused_pair_names_its_line_and_ends_the_reading),
	cmocka_unit_test(a_file_that_is_missing_or_no_text_is_said),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_encoding.c - lines of encodings, and what they are as UTF-8. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/record/encoding.h"

static struct converter converter;
static struct buf out;

static struct encoding known(const char *name)
{
	struct encoding e;
	struct err err = { .text = "" };

	if (encoding_init(&e, name, &err) < 0)
		fail_msg("%s", err.text);
	return e;
}

static void unit_and_lf_are_found_by_converting(void **state)
{
	struct encoding e = known("utf-16le");

	(void)state;
	assert_int_equal(e.unit, 2);
	assert_memory_equal(e.lf, "\n\0", 2);
	e = known("utf-32be");
	assert_int_equal(e.unit, 4);
	assert_memory_equal(e.lf, "\0\0\0\n", 4);
	e = known("shift_jis");
	assert_int_equal(e.unit, 1);
	assert_false(e.bytes);
	e = known("ibm037");
	assert_int_equal(e.unit, 1);
	assert_int_not_equal(e.lf[0], '\n');
	assert_true(known(NULL).bytes);
	assert_true(known("").bytes);
	assert_true(known("UTF-8").bytes);
}

static void a_family_without_a_mark_is_big_endian(void **state)
{
	(void)state;
	assert_string_equal(known("utf-16").name, "utf-16be");
	assert_string_equal(known("UTF-32").name, "utf-32be");
	assert_memory_equal(known("utf-16").lf, "\0\n", 2);
}

static void an_encoding_that_nobody_knows_is_refused_with_words(void **state)
{
	struct encoding e;
	struct err err;

	(void)state;
	assert_int_equal(encoding_init(&e, "utf-17", &err), ERR_CONFIG);
	assert_non_null(strstr(err.text, "utf-17"));
	assert_int_equal(encoding_init(&e, "ascii//translit", &err), ERR_CONFIG);
	assert_int_equal(encoding_init(&e,
			 "an-encoding-whose-name-is-longer-than-any-name-of-an-encoding-that-there-is", &err), ERR_CONFIG);
}

static void a_byte_order_mark_says_which_of_a_family_it_is(void **state)
{
	static const struct { const char *encoding, *bytes; size_t n; const char *want; size_t skip; } rows[] = {
		{ "utf-16", "\xff\xfe" "a\0", 4, "utf-16le", 2 },
		{ "utf-16", "\xfe\xff\0a", 4, "utf-16be", 2 },
		{ "utf-16", "\xff\xfe", 2, "utf-16le", 2 },
		{ "utf-16", "a\0b\0", 4, NULL, 0 },
		{ "utf-16", "\xff", 1, NULL, 0 },
		{ "UTF-32", "\xff\xfe\0\0", 4, "utf-32le", 4 },
		{ "utf-32", "\0\0\xfe\xff", 4, "utf-32be", 4 },
		{ "utf-32", "\xff\xfe", 2, NULL, 0 },
		{ "utf-16le", "\xff\xfe" "a\0", 4, NULL, 2 },
		{ "utf-16le", "\xfe\xff" "a\0", 4, NULL, 0 },
		{ "utf-8", "\xef\xbb\xbf" "a", 4, NULL, 3 },
		{ NULL, "\xef\xbb\xbf", 3, NULL, 3 },
		{ NULL, "\xff\xfe" "a\0", 4, NULL, 0 },
		{ "iso-8859-1", "\xff\xfe" "ab", 4, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t skip = 99;
		const char *got = encoding_resolve(rows[i].encoding, (const uint8_t *)rows[i].bytes, rows[i].n, &skip);

		assert_int_equal(skip, rows[i].skip);
		assert_true(!got == !rows[i].want);
		if (got)
			assert_string_equal(got, rows[i].want);
	}
}

/* The lines as "<value>", pieces as "<value", of bytes that are offered from the first on until there is a line. */
static void expect_lines(const char *name, const char *p, size_t n, size_t max, bool final, const char *want)
{
	struct encoding e = known(name);
	bool broken = false;
	struct line ln;

	buf_clear(&out);
	buf_puts(&out, "");
	for (size_t at = 0, have = 0; have <= n; have++) {
		while (encoding_next(&e, (const uint8_t *)p + at, have - at, encoding_max(&e, max), final && have == n, &ln)) {
			buf_puts(&out, "<");
			assert_int_equal(converter_put(&converter, &e, ln.value, ln.value_len, &out, NULL, &broken), 0);
			buf_puts(&out, ln.piece ? "" : ">");
			at += ln.span;
		}
	}
	assert_string_equal(out.data, want);
}

static void lf_counts_only_where_a_unit_begins(void **state)
{
	(void)state;
	expect_lines("utf-16le", "a\0\n\0\x00\x0a\x0a\x00", 8, 20, false, "<a><\xe0\xa8\x80>");
	expect_lines("utf-16be", "\x0a\x00\x00\x0a\0b\0\n", 8, 20, false, "<\xe0\xa8\x80><b>");
	expect_lines("utf-16be", "\x0a\x0a\x0a\x0a\0\n", 6, 20, false, "<\xe0\xa8\x8a\xe0\xa8\x8a>");
	expect_lines("utf-32le", "a\0\0\0\n\0\0\0", 8, 20, false, "<a>");
}

static void cr_before_lf_is_dropped_in_any_encoding(void **state)
{
	(void)state;
	expect_lines("utf-16le", "a\0\r\0\n\0\r\0\n\0\r\0b\0\n\0", 16, 20, false, "<a><><\rb>");
	expect_lines("iso-8859-1", "\xe9\r\n\r", 4, 20, true, "<\xc3\xa9><\r>");
}

static void max_counts_bytes_as_they_stand_in_whole_units(void **state)
{
	(void)state;
	expect_lines("utf-16le", "a\0b\0c\0\n\0d\0e\0\r\0\n\0", 16, 5, false, "<ab<c><de>");
	expect_lines("utf-16le", "a\0b\0", 4, 1, true, "<a<b>");
}

static void a_last_line_may_end_in_the_middle_of_a_unit(void **state)
{
	(void)state;
	expect_lines("utf-16le", "a\0b", 3, 20, true, "<a\xef\xbf\xbd>");
	expect_lines("utf-16le", "a\0b", 3, 20, false, "");
}

static void common_encodings_become_utf8(void **state)
{
	(void)state;
	expect_lines("windows-1252", "\x80 \x93q\x94\n", 6, 20, false, "<\xe2\x82\xac \xe2\x80\x9cq\xe2\x80\x9d>");
	expect_lines("shift_jis", "\x93\xfa\x96\x7b\n", 5, 20, false, "<\xe6\x97\xa5\xe6\x9c\xac>");
	expect_lines("gbk", "\xc4\xe3\xba\xc3\n", 5, 20, false, "<\xe4\xbd\xa0\xe5\xa5\xbd>");
	expect_lines("big5", "\xa7\x41\xa6\x6e\n", 5, 20, false, "<\xe4\xbd\xa0\xe5\xa5\xbd>");
	expect_lines("euc-kr", "\xb0\xa1\n", 3, 20, false, "<\xea\xb0\x80>");
	expect_lines("koi8-r", "\xf0\xd2\n", 3, 20, false, "<\xd0\x9f\xd1\x80>");
	expect_lines("iso-2022-jp", "\x1b$B\x46\x7c\x1b(B\nplain\n", 15, 20, false, "<\xe6\x97\xa5><plain>");
}

static void each_line_begins_in_the_first_state(void **state)
{
	(void)state;
	expect_lines("iso-2022-jp", "\x1b$B\x46\x7c\nplain\n", 12, 20, false, "<\xe6\x97\xa5><plain>");
}

static void what_is_no_text_becomes_replacement_characters(void **state)
{
	struct encoding e = known("utf-16le");
	bool broken = false;

	(void)state;
	buf_clear(&out);
	assert_int_equal(converter_put(&converter, &e, (const uint8_t *)"a\0\x00\xdc" "b\0", 6, &out, NULL, &broken), 0);
	assert_string_equal(out.data, "a\xef\xbf\xbd" "b");
	assert_true(broken);
	e = known("euc-jp");
	buf_clear(&out);
	broken = false;
	assert_int_equal(converter_put(&converter, &e, (const uint8_t *)"a\xff" "b\xa4", 4, &out, NULL, &broken), 0);
	assert_string_equal(out.data, "a\xef\xbf\xbd" "b\xef\xbf\xbd");
	assert_true(broken);
}

static void an_unfinished_character_may_be_left_for_the_next_piece(void **state)
{
	struct encoding e = known("shift_jis");
	bool broken = false;
	size_t used;

	(void)state;
	buf_clear(&out);
	assert_int_equal(converter_put(&converter, &e, (const uint8_t *)"\x93\xfa\x96", 3, &out, &used, &broken), 0);
	assert_string_equal(out.data, "\xe6\x97\xa5");
	assert_int_equal(used, 2);
	assert_false(broken);
}

static int setup(void **state)
{
	(void)state;
	converter_init(&converter);
	buf_init(&out, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	converter_release(&converter);
	buf_release(&out);
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(unit_and_lf_are_found_by_converting),
	T(a_family_without_a_mark_is_big_endian),
	T(an_encoding_that_nobody_knows_is_refused_with_words),
	T(a_byte_order_mark_says_which_of_a_family_it_is),
	T(lf_counts_only_where_a_unit_begins),
	T(cr_before_lf_is_dropped_in_any_encoding),
	T(max_counts_bytes_as_they_stand_in_whole_units),
	T(a_last_line_may_end_in_the_middle_of_a_unit),
	T(common_encodings_become_utf8),
	T(each_line_begins_in_the_first_state),
	T(what_is_no_text_becomes_replacement_characters),
	T(an_unfinished_character_may_be_left_for_the_next_piece),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

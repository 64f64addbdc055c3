/* test_buf.c - the growing buffer and its JSON strings. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"

static void puts_add_up_and_end_in_a_nul(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_puts(&b, "ab"), 0);
	assert_int_equal(buf_put(&b, "c\0d", 3), 0);
	assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), 0);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "abc\0d42-x", 10);
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.data[0], 0);
	buf_release(&b);
}

static void the_ceiling_holds_and_the_error_sticks(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	assert_int_equal(buf_puts(&b, "12345"), 0);
	assert_int_equal(buf_puts(&b, "6"), ERR_NOMEM);
	assert_true(b.failed);
	assert_int_equal(buf_puts(&b, ""), ERR_NOMEM);
	assert_string_equal(b.data, "12345");
	buf_clear(&b);
	assert_int_equal(buf_printf(&b, "%s", "123456"), ERR_NOMEM);
	assert_int_equal(b.len, 0);
	buf_release(&b);
}

static void a_length_that_overflows_is_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_puts(&b, "x"), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_NOMEM);
	buf_clear(&b);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_NOMEM);
	buf_release(&b);
}

static void short_memory_loses_nothing_that_was_there(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_puts(&b, "kept"), 0);
	mem_fail_nth(1);
	assert_int_equal(buf_reserve(&b, 100000), ERR_NOMEM);
	assert_string_equal(b.data, "kept");
	assert_int_equal(buf_puts(&b, "more"), ERR_NOMEM);
	buf_release(&b);
}

static void detach_gives_the_bytes_away_once(void **state)
{
	struct buf b;
	char *s;

	(void)state;
	buf_init(&b, 10);
	assert_null(buf_detach(&b));
	buf_puts(&b, "mine");
	s = buf_detach(&b);
	assert_string_equal(s, "mine");
	assert_null(b.data);
	mem_free(s);
	assert_int_equal(buf_puts(&b, "again"), 0);
	buf_puts(&b, "too much of it");
	assert_null(buf_detach(&b));
	buf_release(&b);
}

static void json_is(const char *in, size_t n, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(buf_put_json(&b, in, n), 0);
	assert_string_equal(b.data, want);
	buf_release(&b);
}

static void json_escapes_what_it_must(void **state)
{
	(void)state;
	json_is("", SIZE_MAX, "\"\"");
	json_is("plain text", SIZE_MAX, "\"plain text\"");
	json_is("a\"b\\c/d", SIZE_MAX, "\"a\\\"b\\\\c/d\"");
	json_is("\b\f\n\r\t", SIZE_MAX, "\"\\b\\f\\n\\r\\t\"");
	json_is("a\0b\x1b[2J", 7, "\"a\\u0000b\\u001b[2J\"");
	json_is("\x7f\xc2\x80\xc2\x9f", SIZE_MAX, "\"\\u007f\\u0080\\u009f\"");
}

static void json_keeps_valid_utf8(void **state)
{
	(void)state;
	json_is("\xc2\xa0 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x98 \xf4\x8f\xbf\xbf", SIZE_MAX,
		"\"\xc2\xa0 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x98 \xf4\x8f\xbf\xbf\"");
}

#define R "\xef\xbf\xbd"

static void json_replaces_invalid_utf8(void **state)
{
	(void)state;
	json_is("a\xff" "b", SIZE_MAX, "\"a" R "b\"");
	json_is("\x80\xbf", SIZE_MAX, "\"" R R "\"");
	json_is("\xc0\xaf", SIZE_MAX, "\"" R R "\"");			/* overlong */
	json_is("\xed\xa0\x80", SIZE_MAX, "\"" R R R "\"");		/* a surrogate */
	json_is("\xf4\x90\x80\x80", SIZE_MAX, "\"" R R R R "\"");	/* beyond U+10FFFF */
	json_is("\xe2\x82", SIZE_MAX, "\"" R "\"");			/* cut short: one for the part */
	json_is("\xe2\x82 x", SIZE_MAX, "\"" R " x\"");
	json_is("\xe2\x82\xac", 2, "\"" R "\"");			/* never reads past n */
}

static void json_past_the_ceiling_fails(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(buf_put_json(&b, "\x01\x01\x01", SIZE_MAX), ERR_NOMEM);
	assert_true(b.len <= 8);
	buf_release(&b);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(puts_add_up_and_end_in_a_nul),
	cmocka_unit_test(the_ceiling_holds_and_the_error_sticks),
	cmocka_unit_test(a_length_that_overflows_is_refused),
	cmocka_unit_test(short_memory_loses_nothing_that_was_there),
	cmocka_unit_test(detach_gives_the_bytes_away_once),
	cmocka_unit_test(json_escapes_what_it_must),
	cmocka_unit_test(json_keeps_valid_utf8),
	cmocka_unit_test(json_replaces_invalid_utf8),
	cmocka_unit_test(json_past_the_ceiling_fails),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_fields.c - members of JSON lines, without a tree. */
#include "tests/lib/unit.h"

#include <jansson.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/record/fields.h"

static int text_of(const char *line, size_t n, const char *path, struct buf *out)
{
	struct fields f;

	buf_clear(out);
	fields_begin(&f, line, n, NULL);
	return fields_text(&f, path, strlen(path), out);
}

struct row { const char *line, *path, *want; };	/* want NULL: there is none */

static void check_rows(const struct row *rows, size_t n)
{
	struct buf out;

	buf_init(&out, 4096);
	for (size_t i = 0; i < n; i++) {
		/* In memory of its own, so that a byte too many is seen. */
		size_t len = strlen(rows[i].line);
		char *line = mem_alloc(len ? len : 1);
		int rc;

		memcpy(line, rows[i].line, len);
		rc = text_of(line, len, rows[i].path, &out);
		if (rc != (rows[i].want ? 0 : ERR_NOT_FOUND) || (rows[i].want && strcmp(out.data ? out.data : "", rows[i].want)))
			fail_msg("%s of %s: %d \"%s\"", rows[i].path, rows[i].line, rc, out.data ? out.data : "");
		mem_free(line);
	}
	buf_release(&out);
}

static void a_member_is_found_by_its_path(void **state)
{
	static const struct row rows[] = {
		{ "{\"a\":\"x\"}", "a", "x" },
		{ " { \"b\" : 1 , \"a\" : \"x\" }\r", "a", "x" },
		{ "{\"a\":{\"b\":{\"c\":\"deep\"}},\"b\":2}", "a.b.c", "deep" },
		{ "{\"a\":[1,{\"b\":\"]}\"},\"\\\"\"],\"c\":\"z\"}", "c", "z" },
		{ "{\"a\":\"\"}", "a", "" },
		{ "{\"a.b\":{\"c\\\\d\":\"x\"}}", "a\\.b.c\\\\d", "x" },
		{ "{\"@timestamp\":\"t\",\"a b\":\"\xc3\xa4\"}", "@timestamp", "t" },
		{ "{\"@timestamp\":\"t\",\"a b\":\"\xc3\xa4\"}", "a b", "\xc3\xa4" },
		{ "{}", "a", NULL }, { "{\"ab\":1}", "a", NULL }, { "{\"a\":1}", "ab", NULL }, { "{\"a\":1}", "a.b", NULL },
		{ "{\"b\":{\"a\":1}}", "a", NULL }, { "{\"a\":[{\"b\":1}]}", "a.b", NULL },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void scalars_have_a_text_and_nothing_else_has(void **state)
{
	static const struct row rows[] = {
		{ "{\"a\":1.50e+3}", "a", "1.50e+3" },
		{ "{\"a\":123456789012345678901234567890}", "a", "123456789012345678901234567890" },
		{ "{\"a\":-0 }", "a", "-0" },
		{ "{\"a\":true,\"b\":false}", "a", "true" }, { "{\"a\":true,\"b\":false}", "b", "false" },
		{ "{\"a\":null}", "a", NULL }, { "{\"a\":[1]}", "a", NULL }, { "{\"a\":{}}", "a", NULL },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void of_members_of_one_name_the_last_counts(void **state)
{
	static const struct row rows[] = {
		{ "{\"a\":1,\"a\":2}", "a", "2" },
		{ "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "a.b", NULL },
		{ "{\"a\":1,\"\\u0061\":\"x\"}", "a", "x" },
		{ "{\"a\":1,\"a\":null}", "a", NULL },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void escapes_are_taken_out(void **state)
{
	static const struct row rows[] = {
		{ "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a", "\"\\/\b\f\n\r\t" },
		{ "{\"a\":\"x\\u00e4\\u20ac\\ud83d\\uDE00y\"}", "a", "x\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80y" },
		{ "{\"a\":\"\\ud83d\"}", "a", "\xef\xbf\xbd" },
		{ "{\"a\":\"\\ude00x\\ud83d\\n\"}", "a", "\xef\xbf\xbdx\xef\xbf\xbd\n" },
		{ "{\"a\":\"\\ud83d\\ud83d\\ude00\"}", "a", "\xef\xbf\xbd\xf0\x9f\x98\x80" },
		{ "{\"\\u00e4\\n\":\"x\"}", "\xc3\xa4\n", "x" },
		{ "{\"\\u00e4\":\"x\"}", "\xc3", NULL },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void a_nul_in_a_string_is_one_byte_of_it(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(text_of("{\"a\":\"x\\u0000y\"}", 16, "a", &out), 0);
	assert_int_equal(out.len, 3);
	assert_memory_equal(out.data, "x\0y", 3);
	buf_release(&out);
}

static void what_is_no_whole_object_has_no_fields(void **state)
{
	static const struct row rows[] = {
		{ "", "a", NULL }, { " ", "a", NULL }, { "plain", "a", NULL }, { "[{\"a\":1}]", "a", NULL }, { "\"a\"", "a", NULL },
		{ "{\"a\":1", "a", NULL }, { "{\"a\":1}x", "a", NULL }, { "{\"a\":1}{\"a\":2}", "a", NULL },
		{ "{\"a\":1,}", "a", NULL }, { "{\"a\":01}", "a", NULL }, { "{\"a\":\"\xff\"}", "a", NULL },
		{ "{\"a\":1,\"b\":\"\\u12\"}", "a", NULL }, { "\xef\xbb\xbf{\"a\":1}", "a", NULL },
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

/* Goal: an object of more members than are remembered is looked through all the same. */
static void any_number_of_members_is_found(void **state)
{
	struct buf line, out;
	struct fields f;

	(void)state;
	buf_init(&line, 65536);
	buf_init(&out, 100);
	for (size_t n = FIELDS_INDEX - 1; n <= FIELDS_INDEX + 1; n++) {
		buf_clear(&line);
		for (size_t i = 0; i < n; i++)
			buf_printf(&line, "%s\"m%zu\":%zu", i ? "," : "{", i % 40, i);
		buf_puts(&line, "}");
		fields_begin(&f, line.data, line.len, NULL);
		for (int times = 0; times < 2; times++) {
			buf_clear(&out);
			assert_int_equal(fields_text(&f, "m0", 2, &out), 0);
			assert_int_equal(fields_text(&f, "m39", 3, &out), 0);
			assert_string_equal(out.data, "4039");
			assert_int_equal(fields_text(&f, "m40", 3, &out), ERR_NOT_FOUND);
		}
	}
	buf_release(&line);
	buf_release(&out);
}

static void assert_put(const char *line, const char *want)
{
	struct fields f;
	struct buf out;

	buf_init(&out, 65536);
	fields_begin(&f, line, strlen(line), NULL);
	assert_int_equal(fields_put(&f, &out), 0);
	assert_string_equal(out.data ? out.data : "", want);
	buf_release(&out);
}

static void objects_within_each_other_have_a_limit(void **state)
{
	char text[8 * FIELDS_DEPTH_MAX];
	struct fields f;

	(void)state;
	for (size_t depth = FIELDS_DEPTH_MAX; depth <= FIELDS_DEPTH_MAX + 1; depth++) {
		size_t n = 0;

		for (size_t i = 0; i < depth; i++) {
			memcpy(text + n, "{\"a\":", 5);
			n += 5;
		}
		text[n++] = '1';
		memset(text + n, '}', depth);
		fields_begin(&f, text, n + depth, NULL);
		assert_int_equal(fields_there(&f), depth <= FIELDS_DEPTH_MAX);
	}
}

static void all_fields_are_put_as_they_were_but_for_blanks(void **state)
{
	(void)state;
	assert_put("plain", "");
	assert_put(" { } ", "{}");
	assert_put("{ \"b\" : [ 1.0 , \"x y\\\" \" ] ,\t\"a\" : { } }\r", "{\"b\":[1.0,\"x y\\\" \"],\"a\":{}}");
	assert_put("{\"a\":\"\\u00e4\\/\",\"a\":1e999}", "{\"a\":\"\\u00e4\\/\",\"a\":1e999}");
	assert_put("{\"a\":\"\\ud83d\\ude00 \\ud83d \\\\ud83d\"}", "{\"a\":\"\\ud83d\\ude00 \\ufffd \\\\ud83d\"}");
}

static void what_was_given_stands_for_the_line(void **state)
{
	json_t *o = json_pack("{s:s#,s:i,s:{s:b},s:n,s:f}", "s", "x\0y", 3, "b", 7, "o", "t", 1, "null", "r", 0.5);
	struct fields f;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	fields_begin(&f, "{\"b\":1}", 7, o);
	assert_int_equal(fields_text(&f, "b", 1, &out), 0);
	assert_int_equal(fields_text(&f, "o.t", 3, &out), 0);
	assert_int_equal(fields_text(&f, "r", 1, &out), 0);
	assert_string_equal(out.data, "7true0.5");
	assert_int_equal(fields_text(&f, "null", 4, &out), ERR_NOT_FOUND);
	assert_int_equal(fields_text(&f, "o", 1, &out), ERR_NOT_FOUND);
	assert_int_equal(fields_text(&f, "b.c", 3, &out), ERR_NOT_FOUND);
	buf_clear(&out);
	assert_int_equal(fields_text(&f, "s", 1, &out), 0);
	assert_int_equal(out.len, 3);
	buf_clear(&out);
	assert_int_equal(fields_put(&f, &out), 0);
	assert_string_equal(out.data, "{\"b\":7,\"null\":null,\"o\":{\"t\":true},\"r\":0.5,\"s\":\"x\\u0000y\"}");
	buf_release(&out);
	json_decref(o);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_member_is_found_by_its_path),
	cmocka_unit_test(scalars_have_a_text_and_nothing_else_has),
	cmocka_unit_test(of_members_of_one_name_the_last_counts),
	cmocka_unit_test(escapes_are_taken_out),
	cmocka_unit_test(a_nul_in_a_string_is_one_byte_of_it),
	cmocka_unit_test(what_is_no_whole_object_has_no_fields),
	cmocka_unit_test(any_number_of_members_is_found),
	cmocka_unit_test(objects_within_each_other_have_a_limit),
	cmocka_unit_test(all_fields_are_put_as_they_were_but_for_blanks),
	cmocka_unit_test(what_was_given_stands_for_the_line),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

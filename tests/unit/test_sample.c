/* test_sample.c - `check --sample`: which input a file belongs to, what is printed of its records, and of lines that make none. */
#include "tests/lib/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/cmd/sample.h"
#include "tests/lib/tree.h"

static char root[64];

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/spillway-sample-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return tree_remove(root);
}

static char *at(const char *name)
{
	return mem_printf("%s/%s", root, name);
}

static void write_file(const char *name, const void *data, size_t n)
{
	char *path = at(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	mem_free(path);
}

/* "@" stands for the directory. */
static char *with_root(const char *text)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_puts(&b, "");
	for (; *text; text++)
		buf_printf(&b, *text == '@' ? "%s" : "%.1s", *text == '@' ? root : text);
	return buf_detach(&b);
}

static int run(const char *conf, const char *name, bool json, struct buf *out, struct err *e)
{
	char *text = with_root(conf), *path = at("c.yaml"), *file = at(name);
	struct loaded l = { 0 };
	struct buf problems;
	int rc;

	write_file("c.yaml", text, strlen(text));
	buf_init(&problems, 1 << 20);
	if (load_conf(path, &l, &problems) < 0)
		fail_msg("%s", problems.data);
	buf_init(out, 1 << 20);
	rc = sample(&l, file, json, out, e);
	loaded_release(&l);
	buf_release(&problems);
	mem_free(text);
	mem_free(path);
	mem_free(file);
	return rc;
}

static void prints(const char *conf, const char *name, bool json, const char *want)
{
	char *text = with_root(want);
	struct err e = { .text = "" };
	struct buf out;
	int rc = run(conf, name, json, &out, &e);

	assert_string_equal(e.text, "");
	assert_int_equal(rc, 0);
	assert_string_equal(out.data, text);
	buf_release(&out);
	mem_free(text);
}

static void fails(const char *conf, const char *name, int want, const char *words)
{
	char *text = with_root(words);
	struct err e = { .text = "" };
	struct buf out;

	assert_int_equal(run(conf, name, false, &out, &e), want);
	assert_string_equal(e.text, text);
	buf_release(&out);
	mem_free(text);
}

#define CONF(more) "inputs:\n  - { name: n, paths: '@/*.log', topic: 't-%{file}'" more " }\nproducer: { bootstrap.servers: 'h:1'"

static void a_record_is_a_block_with_all_that_it_has(void **state)
{
	static const char lines[] = "GET /\r\n\xff\x1b[31m\\\t\xc2\x85\xc3\xa4\nlast";

	(void)state;
	write_file("a.log", lines, sizeof lines - 1);
	prints(CONF(", key: '%{path}'") ", interceptor.classes: [{ header: { name: dc, value: eu1 } }] }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "record 1: bytes 0 to 7\n  topic: t-a.log\n  key: @/a.log\n  header dc: eu1\n  value: GET /\n"
	       "record 2: bytes 7 to 20\n  topic: t-a.log\n  key: @/a.log\n  header dc: eu1\n"
	       "  value: \\xff\\x1b[31m\\\\\\t\\xc2\\x85\xc3\xa4\n"
	       "record 3: bytes 20 to 24\n  topic: t-a.log\n  key: @/a.log\n  header dc: eu1\n  value: last\n"
	       "3 records, 0 filtered, 0 rejected, of the first 24 bytes\n");
}

static void what_makes_no_record_is_told_with_the_reason(void **state)
{
	static const char lines[] = "# drop me\n12\nabc\n";

	(void)state;
	write_file("a.log", lines, sizeof lines - 1);
	prints(CONF("") ", value.serializer: integer, interceptor.classes: [{ drop: { pattern: '^#' } }] }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "filtered: bytes 0 to 10, dropped by an interceptor\n  value: # drop me\n"
	       "record 1: bytes 10 to 13\n  topic: t-a.log\n  value: \\x00\\x00\\x00\\x0c\n"
	       "rejected: bytes 13 to 17, value for topic \"t-a.log\": this is no integer\n  value: abc\n"
	       "1 record, 1 filtered, 1 rejected, of the first 17 bytes\n");
}

static void as_json_each_is_one_line(void **state)
{
	static const char lines[] = "# drop me\n\xff\nab\"c\n";

	(void)state;
	write_file("a.log", lines, sizeof lines - 1);
	prints(CONF("") ", interceptor.classes: [{ drop: { pattern: '^#' } }] }\n", "a.log", true,
	       "{\"from\":0,\"to\":10,\"filtered\":\"dropped by an interceptor\",\"value\":\"# drop me\"}\n"
	       "{\"from\":10,\"to\":12,\"topic\":\"t-a.log\",\"key\":null,\"value_base64\":\"/w==\",\"headers\":[]}\n"
	       "{\"from\":12,\"to\":17,\"topic\":\"t-a.log\",\"key\":null,\"value\":\"ab\\\"c\",\"headers\":[]}\n");
}

static void ten_records_are_enough(void **state)
{
	struct buf lines, out;
	struct err e;

	(void)state;
	buf_init(&lines, 1 << 20);
	for (int i = 0; i < 10000; i++)
		buf_printf(&lines, "line %d\n", i);
	write_file("a.log", lines.data, lines.len);
	buf_release(&lines);
	assert_int_equal(run(CONF("") " }\n", "a.log", false, &out, &e), 0);
	assert_non_null(strstr(out.data, "record 10: bytes 63 to 70\n  topic: t-a.log\n  value: line 9\n10 records, 0 "
	    "filtered, 0 rejected, "
				       "of the first 70 bytes\n"));
	assert_null(strstr(out.data, "record 11"));
	buf_release(&out);
}

static void a_line_longer_than_max_line_is_cut_as_run_cuts_it(void **state)
{
	(void)state;
	write_file("a.log", "abcdefgh\nx\n", 11);
	prints(CONF(", max_line: 5") " }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "record 1: bytes 0 to 5\n  topic: t-a.log\n  value: abcde\n"
	       "record 2: bytes 5 to 9\n  topic: t-a.log\n  value: fgh\n"
	       "record 3: bytes 9 to 11\n  topic: t-a.log\n  value: x\n"
	       "3 records, 0 filtered, 0 rejected, of the first 11 bytes\n");
}

static void filters_say_which_pattern_it_was(void **state)
{
	static const char lines[] = "ok 1\n\nok # no\nno\n";

	(void)state;
	write_file("a.log", lines, sizeof lines - 1);
	prints(CONF(", include_lines: [zz, ok], exclude_lines: ['^x', '#']") " }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "record 1: bytes 0 to 5\n  topic: t-a.log\n  value: ok 1\n"
	       "filtered: bytes 5 to 6, no pattern of include_lines is in it\n  value: \n"
	       "filtered: bytes 6 to 14, exclude_lines: #\n  value: ok # no\n"
	       "filtered: bytes 14 to 17, no pattern of include_lines is in it\n  value: no\n"
	       "1 record, 3 filtered, 0 rejected, of the first 17 bytes\n");
}

static void groups_and_encodings_are_made_as_run_makes_them(void **state)
{
	static const char groups[] = "2026 a\n  at b\n2026 c\n";
	static const char utf16[] = "\xff\xfe" "a\0\xe4\0\n\0" "b\0\n\0";

	(void)state;
	write_file("a.log", groups, sizeof groups - 1);
	prints(CONF(", multiline: { start: '^2026' }") " }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "record 1: bytes 0 to 14\n  topic: t-a.log\n  value: 2026 a\\n  at b\n"
	       "record 2: bytes 14 to 21\n  topic: t-a.log\n  value: 2026 c\n"
	       "2 records, 0 filtered, 0 rejected, of the first 21 bytes\n");
	write_file("a.log", utf16, sizeof utf16 - 1);
	prints(CONF(", encoding: UTF-16") " }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "record 1: bytes 2 to 8\n  topic: t-a.log\n  value: a\xc3\xa4\n"
	       "record 2: bytes 8 to 12\n  topic: t-a.log\n  value: b\n"
	       "2 records, 0 filtered, 0 rejected, of the first 12 bytes\n");
}

static void what_long_lines_leave_out_is_told(void **state)
{
	(void)state;
	write_file("a.log", "abcdefgh\nx\n", 11);
	prints(CONF(", max_line: 5, long_lines: skip") " }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "lost: bytes 0 to 9, longer than max_line (long_lines)\n"
	       "record 1: bytes 9 to 11\n  topic: t-a.log\n  value: x\n"
	       "1 record, 0 filtered, 0 rejected, of the first 11 bytes\n");
}

static void fields_of_a_line_make_its_topic_and_key(void **state)
{
	static const char lines[] = "{\"app\":\"web\",\"id\":7}\n{\"app\":\"other\"}\n";

	(void)state;
	write_file("a.log", lines, sizeof lines - 1);
	prints("inputs:\n  - { name: n, paths: '@/*.log', topic: 'app-%{field.app}', topics_allowed: [app-w*], key: "
	    "'%{field.id}',\n"
	       "      headers: { p: '%{file}:%{offset}' } }\nproducer: { bootstrap.servers: 'h:1' }\n", "a.log", true,
	       "{\"from\":0,\"to\":21,\"topic\":\"app-web\",\"key\":\"7\",\"value\":\"{\\\"app\\\":\\\"web\\\",\\\"id\\\":7}\","
	       "\"headers\":[{\"name\":\"p\",\"value\":\"a.log:0\"}]}\n"
	       "{\"from\":21,\"to\":37,\"rejected\":\"topic \\\"app-other\\\" is not in topics_allowed\","
	       "\"value\":\"{\\\"app\\\":\\\"other\\\"}\"}\n");
}

/* "one" and "two", as gzip writes them. */
static void a_compressed_file_is_unpacked_where_the_input_says_so(void **state)
{
	static const char packed[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03"
				     "\xcb\xcf\x4b\xe5\x2a\x29\xcf\xe7\x02\x00\xe6\x0b\xba\x12\x08\x00\x00\x00";

	(void)state;
	write_file("a.log", packed, sizeof packed - 1);
	prints(CONF(", compressed: true") " }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "record 1: bytes 0 to 4\n  topic: t-a.log\n  value: one\n"
	       "record 2: bytes 4 to 8\n  topic: t-a.log\n  value: two\n"
	       "2 records, 0 filtered, 0 rejected, of the first 8 bytes\n");
	write_file("a.log", packed, sizeof packed - 6);
	prints(CONF(", compressed: true") " }\n", "a.log", false,
	       "@/a.log, read by input n\n"
	       "record 1: bytes 0 to 4\n  topic: t-a.log\n  value: one\n"
	       "record 2: bytes 4 to 8\n  topic: t-a.log\n  value: two\n"
	       "note: the compressed file ends in the middle\n"
	       "2 records, 0 filtered, 0 rejected, of the first 8 bytes\n");
}

#define TWO "inputs:\n  - { topic: t, type: stdin }\n  - { topic: one, name: one, paths: '@/{x,y}.log' }\n" \
	    "  - { topic: two, name: two, paths: '@/**', exclude: '*.txt' }\nproducer: { bootstrap.servers: 'h:1' }\n"

static void the_first_input_that_matches_has_the_file(void **state)
{
	(void)state;
	write_file("y.log", "", 0);
	write_file("z.log", "", 0);
	write_file("a.txt", "", 0);
	prints(TWO, "y.log", false, "@/y.log, read by input one\n0 records, 0 filtered, 0 rejected, of the first 0 bytes\n");
	prints(TWO, "z.log", false, "@/z.log, read by input two\n0 records, 0 filtered, 0 rejected, of the first 0 bytes\n");
	prints(TWO, "a.txt", false, "@/a.txt: no input matches it; as it would be read by input one\n"
	       "0 records, 0 filtered, 0 rejected, of the first 0 bytes\n");
}

static void what_cannot_be_sampled_is_an_error(void **state)
{
	(void)state;
	fails(CONF("") " }\n", "no.log", -ENOENT, "@/no.log: No such file or directory");
	fails(CONF("") " }\n", ".", ERR_BAD_DATA, "@/. is not a regular file");
	write_file("a.log", "", 0);
	fails("inputs: [{ type: stdin, topic: t }]\nproducer: { bootstrap.servers: 'h:1' }\n", "a.log", ERR_CONFIG,
	      "no input of this configuration reads files");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
	TEST(a_record_is_a_block_with_all_that_it_has),
	TEST(what_makes_no_record_is_told_with_the_reason),
	TEST(as_json_each_is_one_line),
	TEST(ten_records_are_enough),
	TEST(a_line_longer_than_max_line_is_cut_as_run_cuts_it),
	TEST(filters_say_which_pattern_it_was),
	TEST(groups_and_encodings_are_made_as_run_makes_them),
	TEST(what_long_lines_leave_out_is_told),
	TEST(fields_of_a_line_make_its_topic_and_key),
	TEST(a_compressed_file_is_unpacked_where_the_input_says_so),
	TEST(the_first_input_that_matches_has_the_file),
	TEST(what_cannot_be_sampled_is_an_error),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

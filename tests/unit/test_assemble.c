/* test_assemble.c - bytes to messages, one behaviour after another; test_assemble_random.c has all of them together. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record/assemble.h"
#include "agent/base/buf.h"
#include "agent/base/mem.h"

static void put_spans(struct buf *b, const struct message_span *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		buf_printf(b, "%s%lld-%lld", i ? "," : "", (long long)s[i].from, (long long)s[i].to);
}

/* The messages of a text fed at once, "value" each, with its spans if there are several; {from-to} what is lost. */
static const char *messages(const char *spec, size_t max, const char *text, bool last)
{
	static struct buf b;
	static char *shown;
	struct assemble_rules *r = NULL;
	struct assembly *a = assembly_new();
	struct message m;

	buf_init(&b, 1 << 20);
	buf_puts(&b, "");
	assert_int_equal(assemble_rules_new(spec, (int64_t)max, &r, NULL), 0);
	assembly_begin(a, r, 0, false);
	assembly_feed(a, (const uint8_t *)text, strlen(text), last);
	for (int i = 0; i < 1 + last; i++) {
		while (assembly_next(a, &m) == 1) {
			if (!m.value) {
				buf_printf(&b, "{%lld-%lld}", (long long)m.lost.from, (long long)m.lost.to);
				continue;
			}
			if (m.span_count > 1)
				put_spans(&b, m.spans, m.span_count);
			buf_printf(&b, m.piece ? "<%.*s" : "<%.*s>", (int)m.value_len, (const char *)m.value);
		}
		if (last)
			assembly_end(a);
	}
	assembly_free(a);
	assemble_rules_free(r);
	free(shown);
	return shown = buf_detach(&b);
}

static void a_long_line_is_split_truncated_or_skipped(void **state)
{
	static const char text[] = "ok\n12345678\r\n123456789\nlast12345";

	(void)state;
	assert_string_equal(messages("", 8, text, true), "<ok><12345678><12345678<9><last1234<5>");
	assert_string_equal(messages("{\"long\":\"truncate\"}", 8, text, true), "<ok><12345678><12345678>{21-23}<last1234>{31-32}");
	assert_string_equal(messages("{\"long\":\"skip\"}", 8, text, true), "<ok><12345678>{13-21}{21-23}{23-31}{31-32}");
}

static void the_rest_of_a_cut_line_is_lost_piece_by_piece(void **state)
{
	struct assemble_rules *r = NULL;
	struct assembly *a = assembly_new();
	struct message m;
	bool groups;

	(void)state;
	assert_int_equal(assemble_rules_new("{\"long\":\"truncate\"}", 4, &r, NULL), 0);
	assert_true(assemble_inside(r, (const uint8_t *)"xxxx", 4, 100));
	assert_false(assemble_inside(r, (const uint8_t *)"\nxxx", 4, 100));
	assert_false(assemble_inside(r, (const uint8_t *)"xxx", 3, 3));
	assembly_begin(a, r, 100, true);
	for (int i = 0; i < 3; i++) {
		assembly_feed(a, (const uint8_t *)"xxxxxxxxxx", 10, false);
		assert_int_equal(assembly_next(a, &m), 1);
		assert_null(m.value);
		assert_int_equal(m.lost.to, 110 + 10 * i);
		assert_int_equal(assembly_next(a, &m), 0);
		assert_int_equal(assembly_open(a, &groups), 110 + 10 * i);
	}
	assembly_feed(a, (const uint8_t *)"x\nab\n", 5, false);
	assert_int_equal(assembly_next(a, &m), 1);
	assert_int_equal(m.lost.to, 132);
	assert_int_equal(assembly_next(a, &m), 1);
	assert_int_equal(m.value_len, 2);
	assembly_free(a);
	assemble_rules_free(r);
}

#define OUT "2016-10-06T00:17:09.669794202Z stdout "
#define ERR "2016-10-06T00:17:09.669794202Z stderr "
#define THIRTY "123456789012345678901234567890"
#define DOCKER(log, stream) "{\"log\":\"" log "\",\"stream\":\"" stream "\",\"time\":\"2016-10-06T00:17:09.669794202Z\"}\n"

static void parts_of_two_streams_are_joined_each_with_its_own(void **state)
{
	(void)state;
	assert_string_equal(messages("{\"format\":\"cri\"}", 100, OUT "P a\n" ERR "P x\n" OUT "F b\n" OUT "F c\n"
				     ERR "F y\n", false),
			    "0-42,84-126<ab><c>42-84,168-210<xy>");
	assert_string_equal(messages("{\"format\":\"docker\"}", 100, DOCKER("a", "stdout") DOCKER("x\\n", "stderr")
				     DOCKER("b\\n", "stdout"),
				     false), "<x>0-70,142-214<ab>");
}

static void groups_of_two_streams_do_not_mix(void **state)
{
	(void)state;
	assert_string_equal(messages("{\"format\":\"cri\",\"multiline\":{\"continue\":\"^ \"}}", 100,
				     OUT "F a\n" ERR "F x\n" OUT "F  b\n" ERR "F  y\n" "no frame\n" " at all\n", true),
			    "0-42,84-127<a\n b>42-84,127-170<x\n y><no frame\n at all>");
}

static void auto_looks_at_each_line(void **state)
{
	(void)state;
	assert_string_equal(messages("{\"format\":\"auto\"}", 200,
				     OUT "F a\n" DOCKER("b\\n", "stdout") "c\r\n{\"log\":\"d\\n\"}\n", true),
			    "<a><b><c><{\"log\":\"d\\n\"}>");
}

/* The rest of a cut frame that was reported in part: what comes behind it is no line. */
static void a_jump_may_end_in_the_rest_of_a_cut_line(void **state)
{
	static const char text[] = OUT "P a\n" ERR "F 123456789012345678901234567890\n" OUT "F b\n";
	struct assemble_rules *r = NULL;
	struct assembly *a = assembly_new();
	struct message m;

	(void)state;
	assert_int_equal(assemble_rules_new("{\"format\":\"cri\",\"long\":\"truncate\"}", 50, &r, NULL), 0);
	assert_true(assemble_inside(r, (const uint8_t *)text + 50, 50, 100));
	assembly_begin(a, r, 0, false);
	assembly_feed(a, (const uint8_t *)text, 42, false);
	assert_int_equal(assembly_next(a, &m), 0);
	assembly_jump(a, 100, true);
	assembly_feed(a, (const uint8_t *)text + 100, sizeof text - 1 - 100, false);
	assert_int_equal(assembly_next(a, &m), 1);
	assert_null(m.value);
	assert_int_equal(m.lost.from, 100);
	assert_int_equal(m.lost.to, 113);
	assert_int_equal(assembly_next(a, &m), 1);
	assert_int_equal(m.span_count, 2);
	assert_memory_equal(m.value, "ab", 2);
	assembly_free(a);
	assemble_rules_free(r);
}

static void a_line_in_parts_is_bounded_like_any_other(void **state)
{
	static const char text[] = OUT "P " THIRTY "\n" OUT "P " THIRTY "\n" OUT "P " THIRTY "\n"
				   OUT "P 1234567890\n" OUT "F end\n" OUT "F x\n";

	(void)state;
	assert_string_equal(messages("{\"format\":\"cri\"}", 80, text, false), "<" THIRTY THIRTY "<" THIRTY "1234567890end><x>");
	assert_string_equal(messages("{\"format\":\"cri\",\"long\":\"truncate\"}", 80, text, false),
			    "<" THIRTY THIRTY "12345678901234567890>{213-308}<x>");
	assert_string_equal(messages("{\"format\":\"cri\",\"long\":\"skip\"}", 80, text, false), "{0-308}<x>");
}

static void parts_whose_last_never_comes_end_within_reach(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	buf_puts(&b, OUT "P a\n");
	for (int i = 0; i < 10; i++)
		buf_puts(&b, ERR "F x\n");
	buf_puts(&b, OUT "F b\n");
	assert_string_equal(messages("{\"format\":\"cri\"}", 50, b.data, false), "<x><x><x><a><x><x><x><x><x><x><x><b>");
	assert_string_equal(messages("{\"format\":\"cri\"}", 200, b.data, false), "<x><x><x><x><x><x><x><x><x><x>0-42,462-504<ab>");
	buf_release(&b);
}

static void a_group_ends_with_max_lines_max_bytes_or_a_cut_line(void **state)
{
	(void)state;
	assert_string_equal(messages("{\"multiline\":{\"continue\":\"^ \",\"max_lines\":2}}", 9, "a\n b\n c\n d\n e\n", false),
			    "<a\n b>< c\n d>");
	assert_string_equal(messages("{\"multiline\":{\"continue\":\"^ \",\"max_bytes\":6}}", 5, "a\n b\n c\n d\ne\n", false),
			    "<a\n b>< c\n d>");
	assert_string_equal(messages("{\"multiline\":{\"continue\":\"^ \"},\"long\":\"skip\"}", 4, "a\n b\n cccc\n d\n", true),
			    "<a\n b>{5-9}{9-11}< d>");
	assert_string_equal(messages("{\"multiline\":{\"continue\":\"^ \"},\"long\":\"truncate\"}", 4, "a\n b\n cccc\n d\n", true),
			    "<a\n b\n ccc>{9-11}< d>");
}

static void what_is_open_is_told(void **state)
{
	struct assemble_rules *r = NULL;
	struct assembly *a = assembly_new();
	struct message m;
	bool groups;

	(void)state;
	assert_int_equal(assemble_rules_new("{\"multiline\":{\"continue\":\"^ \"}}", 100, &r, NULL), 0);
	assembly_begin(a, r, 10, false);
	assembly_feed(a, (const uint8_t *)"a\n b\nc\n d", 9, false);
	assert_int_equal(assembly_next(a, &m), 1);
	assert_int_equal(m.spans[0].to, 15);
	assert_int_equal(assembly_next(a, &m), 0);
	assert_int_equal(assembly_open(a, &groups), 15);
	assert_true(groups);
	assembly_end(a);
	assert_int_equal(assembly_next(a, &m), 1);
	assert_int_equal(m.spans[0].to, 17);
	assert_int_equal(assembly_next(a, &m), 0);
	assert_int_equal(assembly_open(a, &groups), 17);
	assert_false(groups);
	assembly_free(a);
	assemble_rules_free(r);
}

static void what_is_no_rule_is_refused_with_words(void **state)
{
	static const struct { const char *spec, *word; } rows[] = {
		{ "{", "object" }, { "[]", "object" }, { "{\"format\":\"crio\"}", "crio" }, { "{\"long\":1}", "long" },
		{ "{\"encoding\":\"utf-17\"}", "utf-17" }, { "{\"multiline\":{\"start\":\"(\"}}", "start" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct assemble_rules *r = NULL;
		struct err e = { .text = "" };

		assert_int_equal(assemble_rules_new(rows[i].spec, 10, &r, &e), ERR_CONFIG);
		assert_null(r);
		assert_non_null(strstr(e.text, rows[i].word));
	}
}

/* Each allocation fails once; then the same stretch, begun anew, gives the same. */
static void without_memory_it_says_so_and_can_begin_anew(void **state)
{
	static const char text[] = OUT "P a\n" ERR "P x\n" OUT "F b\n" DOCKER("\\u0041\\n", "stdout") "z\n";
	static const char spec[] = "{\"format\":\"auto\",\"multiline\":{\"start\":\"^z\"}}";
	struct assemble_rules *r = NULL;
	struct message m;
	int failed = 0;

	(void)state;
	for (long nth = 1; nth < 60; nth++) {
		struct assembly *a;
		int rc = 0, count = 0;

		mem_fail_nth(nth);
		rc = assemble_rules_new(spec, 100, &r, NULL);
		assert_true(rc == 0 || rc == ERR_NOMEM);
		a = rc == 0 ? assembly_new() : NULL;
		for (int turn = 0; a && turn < 2; turn++) {
			assembly_begin(a, r, 0, false);
			count = 0;
			for (size_t i = 0; i < sizeof text - 1 && rc >= 0; i++) {
				assembly_feed(a, (const uint8_t *)text + i, 1, false);
				while ((rc = assembly_next(a, &m)) == 1)
					count++;
			}
			assembly_end(a);
			while (rc >= 0 && (rc = assembly_next(a, &m)) == 1)
				count++;
			if (!turn && rc < 0)
				failed++;
			mem_fail_nth(0);
			assert_true(turn == 0 || count == 4 || count == 3);
			rc = 0;
		}
		mem_fail_nth(0);
		assembly_free(a);
		if (r)
			assemble_rules_free(r);
		r = NULL;
	}
	assert_true(failed > 3);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_long_line_is_split_truncated_or_skipped),
	cmocka_unit_test(the_rest_of_a_cut_line_is_lost_piece_by_piece),
	cmocka_unit_test(parts_of_two_streams_are_joined_each_with_its_own),
	cmocka_unit_test(groups_of_two_streams_do_not_mix),
	cmocka_unit_test(auto_looks_at_each_line),
	cmocka_unit_test(a_jump_may_end_in_the_rest_of_a_cut_line),
	cmocka_unit_test(a_line_in_parts_is_bounded_like_any_other),
	cmocka_unit_test(parts_whose_last_never_comes_end_within_reach),
	cmocka_unit_test(a_group_ends_with_max_lines_max_bytes_or_a_cut_line),
	cmocka_unit_test(what_is_open_is_told),
	cmocka_unit_test(what_is_no_rule_is_refused_with_words),
	cmocka_unit_test(without_memory_it_says_so_and_can_begin_anew),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

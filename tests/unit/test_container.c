/* test_container.c - frames of containers, and the times in them. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>

#include "agent/record/container.h"

static struct buf room;
static struct frame f;

static int docker(const char *s, bool strict)
{
	return container_docker((const uint8_t *)s, strlen(s), strict, &room, &f);
}

static int cri(const char *s)
{
	return container_cri((const uint8_t *)s, strlen(s), &f);
}

static void assert_value(const char *want)
{
	assert_int_equal(f.value_len, strlen(want));
	assert_memory_equal(f.value, want, f.value_len);
}

#define TIME "2016-10-06T00:17:09.669794202Z"
#define TIME_NS 1475713029669794202

static void a_docker_frame_gives_its_text_stream_and_time(void **state)
{
	(void)state;
	assert_int_equal(docker("{\"log\":\"hello\\n\",\"stream\":\"stderr\",\"time\":\"" TIME "\"}", true), 1);
	assert_value("hello");
	assert_int_equal(f.stream, MESSAGE_STDERR);
	assert_true(f.has_time);
	assert_int_equal(f.time_ns, TIME_NS);
	assert_false(f.part);
	assert_int_equal(docker(" { \"time\" : \"" TIME "\" , \"stream\":\"stdout\", \"log\" : \"a\\r\\n\" } \r", true), 1);
	assert_value("a");
	assert_int_equal(f.stream, MESSAGE_STDOUT);
}

static void a_docker_log_without_lf_is_a_part_and_keeps_its_cr(void **state)
{
	(void)state;
	assert_int_equal(docker("{\"log\":\"half\\r\",\"stream\":\"stdout\",\"time\":\"" TIME "\"}", true), 1);
	assert_true(f.part);
	assert_value("half\r");
	assert_int_equal(docker("{\"log\":\"plain\"}", false), 1);
	assert_true(f.part);
	assert_ptr_not_equal(f.value, room.data);	/* nothing to unescape: not copied */
	assert_int_equal(docker("{\"log\":\"\"}", false), 1);
	assert_true(f.part);
	assert_int_equal(docker("{\"log\":\"\\n\"}", false), 1);
	assert_false(f.part);
	assert_value("");
}

static void escapes_become_what_they_stand_for(void **state)
{
	(void)state;
	assert_int_equal(docker("{\"log\":\"\\\"\\\\\\/\\b\\f\\r\\t\\u0041\\u00e9\\u4e0a\\ud83d\\ude00 c:\\\\\\n\"}", false), 1);
	assert_value("\"\\/\b\f\r\tA\xc3\xa9\xe4\xb8\x8a\xf0\x9f\x98\x80 c:\\");
	assert_false(f.broken);
	assert_int_equal(docker("{\"log\":\"a\\u0000b\\n\"}", false), 1);
	assert_int_equal(f.value_len, 3);
	assert_memory_equal(f.value, "a\0b", 3);
}

static void half_of_a_pair_becomes_the_replacement_character(void **state)
{
	static const char *const logs[] = { "\\ud83dx", "\\ude00x", "\\ud83d\\n", "\\ud83d\\u0041" };
	static const char *const want[] = { "\xef\xbf\xbdx", "\xef\xbf\xbdx", "\xef\xbf\xbd", "\xef\xbf\xbd\x41" };
	char line[64];

	(void)state;
	for (size_t i = 0; i < COUNT(logs); i++) {
		snprintf(line, sizeof line, "{\"log\":\"%s\"}", logs[i]);
		assert_int_equal(docker(line, false), 1);
		assert_value(want[i]);
		assert_true(f.broken);
	}
}

static void other_members_are_passed_over(void **state)
{
	(void)state;
	assert_int_equal(docker("{\"attrs\":{\"log\":\"no\",\"a\":[1,-2.5e3,true,null,{},[],\"}\\\"\"]},"
				"\"log\":\"yes\\n\",\"x\":false}", false), 1);
	assert_value("yes");
}

static void what_is_no_docker_frame_is_said_to_be_none(void **state)
{
	static const char *const none[] = {
		"", "x", "{", "{}", "[]", "{\"log\":1}", "{\"log\":\"a", "{\"log\":\"a\\\"}", "{\"log\":\"a\"", "{\"log\":\"a\"}x",
		"{\"log\":\"a\",}", "{\"log\" \"a\"}", "{\"log\":\"\\q\"}", "{\"log\":\"\\u12g4\"}", "{\"log\":\"\\u12\"}",
		"{\"logs\":\"a\"}",
		"{\"x\":{\"a\":1],\"log\":\"a\"}", "{\"x\":,\"log\":\"a\"}", "{\"x\":nul,\"log\":\"a\"}",
		"{\"x\":[1 2],\"log\":\"a\"}",
		"{\"stream\":\"stdout\",\"time\":\"" TIME "\"}",
	};
	char deep[4096] = "{\"x\":";

	(void)state;
	for (size_t i = 0; i < COUNT(none); i++)
		if (docker(none[i], false) != 0)
			fail_msg("taken: %s", none[i]);
	memset(deep + 5, '[', 1000);
	assert_int_equal(docker(deep, false), 0);
}

static void strictly_a_docker_frame_has_all_three_members(void **state)
{
	(void)state;
	assert_int_equal(docker("{\"log\":\"a\\n\",\"stream\":\"stdout\"}", true), 0);
	assert_int_equal(docker("{\"log\":\"a\\n\",\"time\":\"" TIME "\"}", true), 0);
	assert_int_equal(docker("{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"yesterday\"}", true), 1);
	assert_false(f.has_time);
}

static void a_cri_frame_gives_its_text_stream_and_time(void **state)
{
	static const char line[] = TIME " stdout F The content of the log entry 1";

	(void)state;
	assert_int_equal(cri(line), 1);
	assert_value("The content of the log entry 1");
	assert_ptr_equal(f.value, strstr(line, "The"));		/* not copied */
	assert_int_equal(f.stream, MESSAGE_STDOUT);
	assert_true(f.has_time);
	assert_int_equal(f.time_ns, TIME_NS);
	assert_false(f.part);
}

static void cri_tags_say_what_is_a_part(void **state)
{
	(void)state;
	assert_int_equal(cri(TIME " stderr P half"), 1);
	assert_true(f.part);
	assert_int_equal(f.stream, MESSAGE_STDERR);
	assert_int_equal(cri(TIME " stderr P:more:tags half\r"), 1);
	assert_true(f.part);
	assert_value("half\r");
	assert_int_equal(cri(TIME " stderr F:x  two blanks\r"), 1);
	assert_false(f.part);
	assert_value(" two blanks");
}

static void a_cri_message_may_be_empty(void **state)
{
	static const char *const lines[] = { TIME " stdout F ", TIME " stdout F", TIME " stdout F\r", TIME " stdout F:x" };

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		assert_int_equal(cri(lines[i]), 1);
		assert_value("");
	}
}

static void what_is_no_cri_frame_is_said_to_be_none(void **state)
{
	static const char *const none[] = {
		"", "x", TIME, TIME " stdout", TIME " stdout ", TIME " stdin F x", TIME " stdout X x", TIME " stdout Fx x",
		TIME "  stdout F x",
		"2016-13-06T00:17:09.669794202Z stdout F x", "2016-10-06 stdout F x", " " TIME " stdout F x",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(none); i++)
		if (cri(none[i]) != 0)
			fail_msg("taken: %s", none[i]);
}

static int setup(void **state)
{
	(void)state;
	buf_init(&room, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_release(&room);
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(a_docker_frame_gives_its_text_stream_and_time),
	T(a_docker_log_without_lf_is_a_part_and_keeps_its_cr),
	T(escapes_become_what_they_stand_for),
	T(half_of_a_pair_becomes_the_replacement_character),
	T(other_members_are_passed_over),
	T(what_is_no_docker_frame_is_said_to_be_none),
	T(strictly_a_docker_frame_has_all_three_members),
	T(a_cri_frame_gives_its_text_stream_and_time),
	T(cri_tags_say_what_is_a_part),
	T(a_cri_message_may_be_empty),
	T(what_is_no_cri_frame_is_said_to_be_none),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

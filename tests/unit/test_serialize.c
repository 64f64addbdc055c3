/* test_serialize.c - keys and values into bytes, and the checker of JSON. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/json.h"
#include "producer/serialize.h"

static const struct producer_serializer by_name;

struct result { int rc; const void *data; size_t n; struct producer_bytes room; struct producer_error err; };

static void run(struct result *r, enum serializer how, const struct producer_serializer *fn, const void *data, size_t n)
{
	const struct serialize_part part = { how, fn, "value" };

	serialize_init(&r->room);
	r->err = (struct producer_error){ 0 };
	r->data = data;
	r->n = n;
	r->rc = serialize(&part, "t", &r->data, &r->n, &r->room, &r->err);
}

static void expect(enum serializer how, const void *data, size_t n, const void *want, size_t want_n)
{
	struct result r;

	run(&r, how, &by_name, data, n);
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.n, want_n);
	assert_memory_equal(r.data, want, want_n);
	serialize_release(&r.room);
}

static void numbers_become_big_endian_as_in_java(void **state)
{
	static const uint8_t uuid[16] = { 0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3,
					    0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0xff };
	int32_t i = -2;
	int64_t l = 0x0102030405060708;
	double d = -1.5;

	(void)state;
	expect(SERIALIZER_INTEGER, &i, sizeof i, "\xff\xff\xff\xfe", 4);
	expect(SERIALIZER_LONG, &l, sizeof l, "\1\2\3\4\5\6\7\10", 8);
	expect(SERIALIZER_DOUBLE, &d, sizeof d, "\xbf\xf8\0\0\0\0\0\0", 8);
	expect(SERIALIZER_UUID, uuid, sizeof uuid, "123e4567-e89b-12d3-a456-4266141740ff", 36);
	expect(SERIALIZER_STRING, "a\0b", 3, "a\0b", 3);
	expect(SERIALIZER_BYTES, "", 0, "", 0);
	expect(SERIALIZER_JSON, " [1] ", 5, " [1] ", 5);
}

static void null_stays_null_whatever_the_serializer(void **state)
{
	struct result r;

	(void)state;
	for (int how = SERIALIZER_BYTES; how <= SERIALIZER_UUID; how++) {
		run(&r, (enum serializer)how, &by_name, NULL, 17);
		assert_int_equal(r.rc, 0);
		assert_null(r.data);
		assert_int_equal(r.n, 0);
	}
}

static void errors_name_the_part_the_topic_and_the_reason(void **state)
{
	struct result r;

	(void)state;
	run(&r, SERIALIZER_INTEGER, &by_name, "abc", 3);
	assert_int_equal(r.rc, PRODUCER_ERR_SERIALIZATION);
	assert_string_equal(r.err.text, "value for topic \"t\": integer takes exactly 4 bytes, not 3");
	run(&r, SERIALIZER_JSON, &by_name, "{\"a\":x}", 7);
	assert_string_equal(r.err.text, "value for topic \"t\": not JSON from byte 5 on");
	run(&r, SERIALIZER_JSON, &by_name, "[1", 2);
	assert_string_equal(r.err.text, "value for topic \"t\": not JSON: it ends too early, after 2 bytes");
	assert_false(r.err.retriable);
}

static int put_many(void *arg, const char *topic, const void *data, size_t n, struct producer_bytes *out)
{
	(void)arg;
	assert_string_equal(topic, "t");
	for (int i = 0; i < 1000; i++)
		producer_bytes_put(out, data, n);
	return 0;
}

static int refuse(void *arg, const char *topic, const void *data, size_t n, struct producer_bytes *out)
{
	(void)topic, (void)data, (void)n, (void)out;
	return *(int *)arg;
}

static void own_serializers_write_any_length_and_may_refuse(void **state)
{
	int seven = -7;
	const struct producer_serializer many = { .serialize = put_many }, no = { .serialize = refuse, .arg = &seven };
	struct result r;

	(void)state;
	run(&r, SERIALIZER_UUID, &many, "abc", 3);
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.n, 3000);
	assert_memory_equal((const char *)r.data + 2997, "abc", 3);
	serialize_release(&r.room);
	run(&r, SERIALIZER_BYTES, &no, "abc", 3);
	assert_int_equal(r.rc, PRODUCER_ERR_SERIALIZATION);
	assert_non_null(strstr(r.err.text, "its serializer failed with -7"));
	mem_fail_nth(1);
	run(&r, SERIALIZER_UUID, &many, "abc", 3);
	mem_fail_nth(0);
	assert_int_equal(r.rc, PRODUCER_ERR_NOMEM);
	assert_true(r.err.retriable);
	serialize_release(&r.room);
}

/* --- JSON --- */

static bool valid(const char *text, size_t n)
{
	/* At the end of a heap block, so that ASan sees a read beyond it. */
	char *copy = mem_alloc(n ? n : 1);
	size_t at;
	bool good;

	memcpy(copy, text, n);
	good = json_valid(copy, n, &at);
	assert_true(at <= n);
	mem_free(copy);
	return good;
}

static void valid_json_is_taken(void **state)
{
	static const char *const good[] = {
		"null", "true", "false", "0", "-0",
		"-0.0e-12", "1E+400", "123456789012345678901234567890", "\"\"", "\"\\u0000\"",
		"\"\\ud800\"", "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
		"[]", "{}", " [ ] ", "[[],{}]",
		"{\"a\":{\"b\":[1,2,{\"c\":null}]},\"a\":2}", "\t\r\n [1 , 2 ]\n", "[\"\x7f\"]", "[{},[],\"\",0,true]",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		if (!valid(good[i], strlen(good[i])))
			fail_msg("refused: %s", good[i]);
}

static void what_is_not_json_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "nul", "nulll", "True", "01", "1.", ".5", "1e",
		"1e+", "-", "+1", "0x1", "NaN", "'a'", "\"", "\"\\\"", "\"\\x\"",
		"\"\\u12g4\"", "\"\n\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
		"\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "[", "]", "[1", "[1,]",
		"[,1]", "[1 2]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
		"{\"a\":1]", "[1}", "{1:2}", "1 2", "[1],", "//x\n1", ("\xef\xbb\xbf" "1"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (valid(bad[i], strlen(bad[i])))
			fail_msg("taken: %s", bad[i]);
	assert_false(valid("1\0", 2));
	assert_false(valid("\"\0\"", 3));
}

static void depth_ends_at_its_limit(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1)];

	(void)state;
	memset(text, '[', sizeof text / 2);
	memset(text + sizeof text / 2, ']', sizeof text / 2);
	assert_false(valid(text, sizeof text));
	assert_true(valid(text + 1, sizeof text - 2));
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_become_big_endian_as_in_java),
		cmocka_unit_test(null_stays_null_whatever_the_serializer),
		cmocka_unit_test(errors_name_the_part_the_topic_and_the_reason),
		cmocka_unit_test(own_serializers_write_any_length_and_may_refuse),
		cmocka_unit_test(valid_json_is_taken),
		cmocka_unit_test(what_is_not_json_is_refused),
		cmocka_unit_test(depth_ends_at_its_limit),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

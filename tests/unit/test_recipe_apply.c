/* test_recipe_apply.c - how a message becomes a record, without files. */
#include "tests/lib/unit.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/record/recipe.h"
#include "producer/json.h"

static const struct recipe_input line = { .offset = -1 };

static void no_step(void *arg, const char *text)
{
	(void)arg;
	fail_msg("%s", text);
}

struct line { const char *text; int rc; const char *value; size_t n; };

static void check_lines(const char *spec, const struct line *v, size_t n)
{
	struct recipe_room *room = recipe_room_new();
	struct recipe *r;
	struct err e;

	assert_non_null(room);
	assert_int_equal(recipe_new(spec, &r, &e), 0);
	for (size_t i = 0; i < n; i++) {
		const char *topic;
		struct lane_record record = { .value = v[i].text, .value_len = strlen(v[i].text), .timestamp = -1 };

		assert_int_equal(recipe_apply(r, room, "t", &line, &record, &topic, no_step, NULL, &e), v[i].rc);
		if (v[i].rc == 1)
			continue;
		assert_int_equal(record.value_len, v[i].n);
		assert_memory_equal(record.value, v[i].value, v[i].n);
	}
	recipe_free(r);
	recipe_room_free(room);
}

static void text_becomes_what_the_serializer_makes_of_it(void **state)
{
	static const struct line longs[] = {
		{ "1", 0, "\0\0\0\0\0\0\0\1", 8 }, { "1 ", ERR_BAD_DATA, "1 ", 2 }, { "", ERR_BAD_DATA, "", 0 },
	};
	static const struct line uuids[] = {
		{ "550E8400-E29B-41D4-A716-446655440000", 0, "550e8400-e29b-41d4-a716-446655440000", 36 },
	};
	static const struct line doubles[] = { { "0.5", 0, "\x3f\xe0\0\0\0\0\0\0", 8 }, { "x", ERR_BAD_DATA, "x", 1 } };
	static const struct line json[] = { { "{}", 0, "{}", 2 }, { "{", ERR_BAD_DATA, "{", 1 }, { "", ERR_BAD_DATA, "", 0 } };

	(void)state;
	check_lines("{\"value\":\"long\"}", longs, COUNT(longs));
	check_lines("{\"value\":\"uuid\"}", uuids, COUNT(uuids));
	check_lines("{\"value\":\"double\"}", doubles, COUNT(doubles));
	check_lines("{\"value\":\"json\"}", json, COUNT(json));
}

static void interceptors_run_before_the_serializer(void **state)
{
	static const struct line lines[] = {
		{ "nr 7", 0, "\0\0\0\7", 4 }, { "DEBUG", 1, NULL, 0 }, { "nr x", ERR_BAD_DATA, "x", 1 },
	};

	(void)state;
	check_lines("{\"interceptors\":[{\"drop\":{\"pattern\":\"DEBUG\"}},{\"redact\":{\"pattern\":\"nr \",\"with\":\"\"}}],"
		    "\"value\":\"integer\"}", lines, COUNT(lines));
}

/* Goal: what should have been redacted never goes on as it is, and nothing leaks. Method: the nth allocation fails. */
static void short_memory_makes_no_other_record(void **state)
{
	struct recipe_room *room = recipe_room_new();
	struct recipe *r = NULL;
	struct err e;
	int rc = ERR_NOMEM;

	(void)state;
	for (long n = 1; rc == ERR_NOMEM; n++) {
		mem_fail_nth(n);
		rc = recipe_new("{\"interceptors\":[{\"redact\":{\"pattern\":\"a\",\"with\":\"bb\"}}],\"value\":\"string\"}",
				&r, &e);
		mem_fail_nth(0);
		assert_true(n < 50);
	}
	assert_int_equal(rc, 0);
	rc = ERR_NOMEM;
	for (long n = 1; rc == ERR_NOMEM; n++) {
		const char *topic;
		struct lane_record record = { .value = "aa", .value_len = 2 };

		mem_fail_nth(n);
		rc = recipe_apply(r, room, "t", &line, &record, &topic, no_step, NULL, &e);
		mem_fail_nth(0);
		assert_true(n < 50 && (n > 1 || rc == ERR_NOMEM));
		assert_int_equal(record.value_len, rc == 0 ? 4 : 2);
	}
	recipe_free(r);
	recipe_room_free(room);
}


/* --- whole records --- */

struct fixture {
	struct recipe *r;
	struct recipe_room *room;
	struct recipe_input in;
	struct message message;
	struct lane_record record;
	const char *topic;
	int failures;
	char said[700];
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->room = recipe_room_new();
	f->in = (struct recipe_input){ .path = "/var/log/app/a.log", .offset = 42 };
	*state = f;
	return f->room ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	recipe_free(f->r);
	recipe_room_free(f->room);
	mem_free(f);
	return 0;
}

static void failed(void *arg, const char *text)
{
	struct fixture *f = arg;

	f->failures++;
	snprintf(f->said, sizeof f->said, "%s", text);
}

static void use(struct fixture *f, const char *spec)
{
	recipe_free(f->r);
	if (recipe_new(spec, &f->r, &f->err) < 0)
		fail_msg("%s: %s", spec, f->err.text);
}

static int apply(struct fixture *f, const char *value, size_t n)
{
	f->record = (struct lane_record){ .value = value, .value_len = n, .timestamp = -1 };
	return recipe_apply(f->r, f->room, "routed", &f->in, &f->record, &f->topic, failed, f, &f->err);
}

static void makes(struct fixture *f, const char *value)
{
	int rc = apply(f, value, strlen(value));

	if (rc)
		fail_msg("%s: %d %s", value, rc, rc < 0 ? f->err.text : "");
}

static void has_key(struct fixture *f, const char *value, const char *want)
{
	makes(f, value);
	if (!want) {
		assert_null(f->record.key);
		assert_int_equal(f->record.key_len, 0);
		return;
	}
	assert_int_equal(f->record.key_len, strlen(want));
	assert_memory_equal(f->record.key, want, strlen(want));
}

static void has_headers(struct fixture *f, const char *value, const char *want)
{
	struct buf text;

	buf_init(&text, 4096);
	makes(f, value);
	for (size_t i = 0; i < f->record.header_count; i++)
		buf_printf(&text, "%s=%.*s ", f->record.headers[i].name, (int)f->record.headers[i].value_len,
			   (const char *)f->record.headers[i].value);
	assert_string_equal(text.data ? text.data : "", want);
	buf_release(&text);
}

static void has_value(struct fixture *f, const char *value, const char *want)
{
	makes(f, value);
	if (f->record.value_len != strlen(want) || memcmp(f->record.value, want, strlen(want)))
		fail_msg("%.*s", (int)f->record.value_len, (const char *)f->record.value);
}

static void one_included_pattern_keeps_and_one_excluded_drops(void **state)
{
	struct fixture *f = *state;

	use(f, "{\"include\":[\"^a\",\"b$\"],\"exclude\":[\"x\",\"yy\"]}");
	assert_int_equal(apply(f, "a", 1), 0);
	assert_int_equal(apply(f, "\nb", 2), 0);
	assert_int_equal(apply(f, "ba", 2), 1);
	assert_int_equal(apply(f, "", 0), 1);
	assert_int_equal(apply(f, "ax", 2), 1);
	assert_int_equal(apply(f, "a yy", 4), 1);
	assert_int_equal(apply(f, "a\0y", 3), 0);
	use(f, "{\"exclude\":[\"DEBUG\"]}");
	assert_int_equal(apply(f, "one\nDEBUG", 9), 1);
	assert_int_equal(apply(f, "", 0), 0);
	assert_int_equal(f->failures, 0);
}

/* Goal: a pattern that would run for ages ends by its count of steps, counts as no match, and is told. */
static void a_pattern_out_of_steps_counts_as_no_match_and_is_told(void **state)
{
	struct fixture *f = *state;
	char text[5000];

	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = '!';
	use(f, "{\"exclude\":[\"DEBUG\",\"(a+)+$\"]}");
	assert_int_equal(apply(f, text, sizeof text), 0);
	assert_int_equal(f->failures, 1);
	assert_ptr_equal(strstr(f->said, "exclude_lines[1]: "), f->said);
	assert_non_null(strstr(f->said, "limit"));
	use(f, "{\"include\":[\"(a+)+$\",\"!$\"]}");
	assert_int_equal(apply(f, text, sizeof text), 0);
	assert_int_equal(f->failures, 2);
	use(f, "{\"include\":[\"(a+)+$\"]}");
	assert_int_equal(apply(f, text, sizeof text), 1);
	assert_int_equal(f->failures, 3);
	use(f, "{\"event_time\":{\"pattern\":\"(a+)+$\",\"format\":\"unix\"}}");
	assert_int_equal(apply(f, text, sizeof text), 0);
	assert_int_equal(f->failures, 4);
	assert_int_equal(f->record.header_count, 0);
}

static void a_key_is_of_its_line_or_none(void **state)
{
	struct fixture *f = *state;

	use(f, "{\"key\":\"%{field.user.id}\"}");
	has_key(f, "{\"user\":{\"id\":\"u1\"}}", "u1");
	has_key(f, "{\"user\":{\"id\":12.50}}", "12.50");
	has_key(f, "{\"user\":{\"id\":\"\"}}", NULL);
	has_key(f, "{\"user\":{\"id\":null}}", NULL);
	has_key(f, "{\"user\":{\"id\":[1]}}", NULL);
	has_key(f, "no json", NULL);
	use(f, "{\"key\":\"%{file}:%{offset}\"}");
	has_key(f, "x", "a.log:42");
	f->in.offset = -1;
	has_key(f, "x", NULL);
	use(f, "{\"key\":\"%{stream}\"}");
	has_key(f, "x", NULL);
	f->in.message = &f->message;
	f->message.stream = MESSAGE_STDERR;
	has_key(f, "x", "stderr");
}

static void a_key_of_its_line_goes_through_the_serializer(void **state)
{
	struct fixture *f = *state;

	use(f, "{\"key\":\"%{field.id}\",\"key_serializer\":\"integer\"}");
	makes(f, "{\"id\":\"258\"}");
	assert_int_equal(f->record.key_len, 4);
	assert_memory_equal(f->record.key, "\0\0\1\2", 4);
	has_key(f, "{}", NULL);
	assert_int_equal(apply(f, "{\"id\":\"x\"}", 10), ERR_BAD_DATA);
	assert_string_equal(f->err.text, "key for topic \"routed\": this is no integer");
	assert_int_equal(f->record.key_len, 1);
}

static void a_header_without_its_value_is_left_out(void **state)
{
	struct fixture *f = *state;

	use(f, "{\"headers\":[[\"p\",\"%{path}\"],[\"l\",\"%{field.level}\"],[\"c\",\"const\"],[\"e\",\"\"]],"
	    "\"interceptors\":[{\"header\":{\"name\":\"dc\",\"value\":\"eu\"}}]}");
	has_headers(f, "{\"level\":\"warn\"}", "p=/var/log/app/a.log l=warn c=const e= dc=eu ");
	has_headers(f, "x", "p=/var/log/app/a.log c=const e= dc=eu ");
	f->in.path = NULL;
	has_headers(f, "x", "c=const e= dc=eu ");
}

static void refuses_topic(struct fixture *f, const char *value, const char *words)
{
	assert_int_equal(apply(f, value, strlen(value)), ERR_BAD_DATA);
	assert_string_equal(f->err.text, words);
	assert_string_equal(f->topic, "routed");
	assert_ptr_equal(f->record.value, value);
}

static void a_topic_of_a_line_is_legal_and_allowed_or_the_line_is_set_aside(void **state)
{
	struct fixture *f = *state;

	use(f, "{\"topic\":\"app-%{field.app}\",\"topics_allowed\":[\"app-{a,b}*\",\"app-x\"],\"envelope\":true}");
	assert_true(recipe_has_topic(f->r));
	makes(f, "{\"app\":\"a1\"}");
	assert_string_equal(f->topic, "app-a1");
	makes(f, "{\"app\":\"b/../c\\u0000\"}");
	assert_string_equal(f->topic, "app-b_.._c_");
	makes(f, "{\"app\":\"x\"}");
	assert_string_equal(f->topic, "app-x");
	refuses_topic(f, "{\"app\":\"xy\"}", "topic \"app-xy\" is not in topics_allowed");
	refuses_topic(f, "{\"app\":{}}", "topic \"app-%{field.app}\": the line does not have what it takes");
	refuses_topic(f, "a1", "topic \"app-%{field.app}\": the line does not have what it takes");
	use(f, "{\"topic\":\"%{field.app}\"}");
	makes(f, "{\"app\":\"anything\"}");
	assert_string_equal(f->topic, "anything");
	refuses_topic(f, "{\"app\":\"\"}", "\"\" is no legal name of a topic");
	refuses_topic(f, "{\"app\":\"..\"}", "\"..\" is no legal name of a topic");
}

static void the_interceptors_know_the_topic_of_the_line(void **state)
{
	struct fixture *f = *state;

	use(f, "{\"topic\":\"%{field.t}\",\"interceptors\":[{\"drop\":{\"pattern\":\"x\",\"topic\":\"b\"}},"
	    "{\"rename\":{\"topic\":\"a\",\"to\":\"c\"}}]}");
	makes(f, "{\"t\":\"a\",\"v\":\"x\"}");
	assert_string_equal(f->topic, "a");
	assert_string_equal(recipe_topic(f->r, f->topic), "c");
	assert_int_equal(apply(f, "{\"t\":\"b\",\"v\":\"x\"}", 17), 1);
}

static void an_event_time_is_a_header_and_the_time_of_the_envelope(void **state)
{
	struct fixture *f = *state;

	use(f, "{\"event_time\":{\"field\":\"ts\",\"format\":\"unix_ms\"},\"key\":\"%{time}\"}");
	has_headers(f, "{\"ts\":1700000000123}", "event_time=2023-11-14T22:13:20.123000000Z ");
	has_key(f, "{\"ts\":1700000000123}", "2023-11-14T22:13:20.123000000Z");
	assert_int_equal(f->failures, 0);
	has_headers(f, "{\"ts\":\"soon\"}", "");
	assert_string_equal(f->said, "event_time: field \"ts\" is no time as \"unix_ms\" says");
	has_headers(f, "{}", "");
	assert_string_equal(f->said, "event_time: there is no field \"ts\"");
	assert_int_equal(f->failures, 2);
	use(f, "{\"envelope\":true,\"event_time\":{\"pattern\":\"\\\\[([^]]*)\\\\]\",\"format\":\"%d/%b/%Y:%T %z\"},"
	    "\"headers\":[[\"a\",\"b\"]]}");
	has_headers(f, "x [21/Nov/2026:10:00:00 +0100] y", "a=b event_time=2026-11-21T09:00:00.000000000Z ");
	f->in = line;
	has_value(f, "[21/Nov/2026:10:00:00 +0100]",
		  "{\"message\":\"[21/Nov/2026:10:00:00 +0100]\",\"time\":\"2026-11-21T09:00:00.000000000Z\"}");
	has_value(f, "[then]", "{\"message\":\"[then]\"}");
	assert_string_equal(f->said, "event_time: what its pattern found is no time as \"%d/%b/%Y:%T %z\" says");
	has_value(f, "now", "{\"message\":\"now\"}");
	assert_string_equal(f->said, "event_time: its pattern is not in the line");
}

static void an_envelope_has_what_is_known(void **state)
{
	struct fixture *f = *state;

	use(f, "{\"envelope\":true,\"host\":\"web-1\"}");
	has_value(f, "plain \"text\"\t\xff",
		  "{\"message\":\"plain \\\"text\\\"\\t\xef\xbf\xbd\",\"path\":\"/var/log/app/a.log\",\"offset\":42,"
		  "\"host\":\"web-1\"}");
	has_value(f, "", "{\"message\":\"\",\"path\":\"/var/log/app/a.log\",\"offset\":42,\"host\":\"web-1\"}");
	f->in.offset = 0;
	f->in.path = NULL;
	f->in.message = &f->message;
	f->message = (struct message){ .stream = MESSAGE_STDOUT, .has_time = true, .time_ns = 1 };
	has_value(f, "{ \"path\": \"x\", \"n\": 1.0 }", "{\"message\":\"{ \\\"path\\\": \\\"x\\\", \\\"n\\\": 1.0 }\",\"offset\":0,"
		  "\"host\":\"web-1\",\"time\":\"1970-01-01T00:00:00.000000001Z\",\"stream\":\"stdout\","
		  "\"fields\":{\"path\":\"x\",\"n\":1.0}}");
}

static void given_fields_are_the_fields_of_the_envelope(void **state)
{
	struct fixture *f = *state;
	json_t *o = json_pack("{s:s,s:i}", "unit", "a.service", "priority", 3);

	f->in = (struct recipe_input){ .offset = -1, .fields = o };
	use(f, "{\"envelope\":true,\"key\":\"%{field.unit}\"}");
	has_value(f, "{\"unit\":1}", "{\"message\":\"{\\\"unit\\\":1}\",\"fields\":{\"priority\":3,\"unit\":\"a.service\"}}");
	has_key(f, "x", "a.service");
	json_decref(o);
}

static void interceptors_and_serializers_see_the_envelope(void **state)
{
	struct fixture *f = *state;

	f->in = line;
	use(f, "{\"envelope\":true,\"interceptors\":[{\"redact\":{\"pattern\":\"message\",\"with\":\"m\"}}],\"value\":\"json\"}");
	has_value(f, "a", "{\"m\":\"a\"}");
	use(f, "{\"envelope\":true,\"interceptors\":[{\"redact\":{\"pattern\":\"}\",\"with\":\"\"}}],\"value\":\"json\"}");
	assert_int_equal(apply(f, "a", 1), ERR_BAD_DATA);
	assert_int_equal(f->record.value_len, strlen("{\"message\":\"a\""));
}

/* Goal: whatever the bytes, an envelope is valid JSON, and the same each time. Method: all pairs of bytes, in a string too. */
static void an_envelope_is_always_valid_json(void **state)
{
	struct fixture *f = *state;
	char text[] = "{\"a\":\"??\"}", first[200];

	use(f, "{\"envelope\":true,\"host\":\"h\"}");
	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			size_t at, n;

			text[6] = (char)a;
			text[7] = (char)b;
			assert_int_equal(apply(f, text, sizeof text - 1), 0);
			n = f->record.value_len;
			assert_true(n < sizeof first);
			memcpy(first, f->record.value, n);
			assert_true(json_valid(first, n, &at));
			assert_int_equal(apply(f, text, sizeof text - 1), 0);
			assert_int_equal(f->record.value_len, n);
			assert_memory_equal(f->record.value, first, n);
		}
	}
}

/* Goal: with short memory a record is made whole or comes again. Method: the nth allocation fails. */
static void short_memory_makes_a_record_come_again(void **state)
{
	struct fixture *f = *state;
	int rc = ERR_NOMEM;
	long n = 1;

	use(f, "{\"envelope\":true,\"include\":[\"a\"],\"topic\":\"%{field.a}\",\"key\":\"%{offset}\","
	    "\"headers\":[[\"a\",\"%{file}\"]],\"event_time\":{\"field\":\"t\",\"format\":\"unix\"},\"value\":\"json\"}");
	for (; rc == ERR_NOMEM && n < 100; n++) {
		mem_fail_nth(n);
		rc = apply(f, "{\"a\":\"b\",\"t\":1}", 15);
		mem_fail_nth(0);
	}
	assert_int_equal(rc, 0);
	assert_true(n > 5);
	assert_string_equal(f->topic, "b");
	assert_int_equal(f->record.header_count, 2);
	assert_int_equal(f->failures, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	cmocka_unit_test(text_becomes_what_the_serializer_makes_of_it),
	cmocka_unit_test(interceptors_run_before_the_serializer),
	cmocka_unit_test(short_memory_makes_no_other_record),
	T(one_included_pattern_keeps_and_one_excluded_drops),
	T(a_pattern_out_of_steps_counts_as_no_match_and_is_told),
	T(a_key_is_of_its_line_or_none),
	T(a_key_of_its_line_goes_through_the_serializer),
	T(a_header_without_its_value_is_left_out),
	T(a_topic_of_a_line_is_legal_and_allowed_or_the_line_is_set_aside),
	T(the_interceptors_know_the_topic_of_the_line),
	T(an_event_time_is_a_header_and_the_time_of_the_envelope),
	T(an_envelope_has_what_is_known),
	T(given_fields_are_the_fields_of_the_envelope),
	T(interceptors_and_serializers_see_the_envelope),
	T(an_envelope_is_always_valid_json),
	T(short_memory_makes_a_record_come_again),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_recipe.c - how a line becomes a record, without files. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/mem.h"
#include "agent/recipe.h"

static int setup(void **state)
{
	*state = producer_config_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	producer_config_free(*state);
	return 0;
}

static void set(struct producer_config *c, const char *name, const char *value)
{
	assert_int_equal(producer_config_set(c, name, value, NULL), 0);
}

static const struct conf_input plain = { 0 };
static const struct recipe_input line = { .offset = -1 };

static void assert_spec(struct producer_config *c, const char *want)
{
	struct buf spec;

	buf_init(&spec, 1 << 20);
	assert_int_equal(recipe_spec(c, &plain, "host", &spec, NULL), 0);
	assert_string_equal(spec.data, want);
	buf_release(&spec);
}

static void a_spec_is_canonical_and_empty_for_lines_as_they_are(void **state)
{
	struct producer_config *c = *state;

	assert_spec(c, "");
	set(c, "interceptor.classes", " [ ] ");
	set(c, "value.serializer", "string");
	set(c, "key.serializer", "json");
	assert_spec(c, "");
	set(c, "interceptor.classes", " [ {\"header\": {\"value\": \"v\", \"name\": \"n\"}} ,\n"
	    " {\"drop\":{\"pattern\":\"\xc3\xa4\"}}]");
	assert_spec(c, "{\"interceptors\":[{\"header\":{\"name\":\"n\",\"value\":\"v\"}},{\"drop\":{\"pattern\":\"\xc3\xa4\"}}]}");
	set(c, "interceptor.classes", "");
	set(c, "value.serializer", "org.apache.kafka.common.serialization.LongSerializer");
	assert_spec(c, "{\"value\":\"long\"}");
}

static void a_spec_of_another_version_is_refused(void **state)
{
	static const char *const wrong[] = { "{", "[]", "{\"x\":1}", "{\"value\":1}", "{\"value\":\"avro\"}",
					     "{\"interceptors\":{}}",
					     "{\"value\":\"json\",\"more\":true}", "{\"interceptors\":[{\"later\":{}}]}" };
	struct recipe *r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(recipe_new(wrong[i], &r, &e), ERR_CONFIG);
		assert_null(r);
	}
	assert_int_equal(recipe_new("", &r, &e), 0);
	assert_null(r);
}

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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(a_spec_is_canonical_and_empty_for_lines_as_they_are),
	T(a_spec_of_another_version_is_refused),
	T(text_becomes_what_the_serializer_makes_of_it),
	T(interceptors_run_before_the_serializer),
	T(short_memory_makes_no_other_record),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

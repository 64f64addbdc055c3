/* test_intercept.c - the chain of built-in interceptors. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/intercept.h"

struct fixture {
	struct intercept *c;
	struct intercept_scratch *s;
	int failures;
	char words[400];
};

static void failed(void *arg, const char *text)
{
	struct fixture *f = arg;

	f->failures++;
	snprintf(f->words, sizeof f->words, "%s", text);
}

static struct fixture *fixture(void **state, const char *json)
{
	struct fixture *f = mem_new(struct fixture);
	struct producer_error err;

	if (intercept_new(json, &f->c, &err) < 0)
		fail_msg("%s", err.text);
	f->s = intercept_scratch_new();
	assert_non_null(f->s);
	*state = f;
	return f;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f) {
		intercept_free(f->c);
		intercept_scratch_free(f->s);
		mem_free(f);
	}
	return 0;
}

static struct producer_record record(const char *topic, const char *value)
{
	return (struct producer_record){ .topic = topic, .partition = -1, .value = value, .value_len = value ? strlen(value) : 0,
					 .timestamp = -1 };
}

static void expect_becomes(struct fixture *f, const char *value, const char *want)
{
	struct producer_record r = record("t", value);

	assert_int_equal(intercept_apply(f->c, &r, f->s, failed, f), 0);
	assert_int_equal(r.value_len, strlen(want));
	assert_memory_equal(r.value, want, strlen(want));
}

static void headers_are_added_behind_those_of_the_record(void **state)
{
	struct fixture *f = fixture(state, "[{\"header\":{\"name\":\"dc\",\"value\":\"eu1\"}},"
				    "{\"header\":{\"name\":\"e\",\"value\":\"\"}}]");
	const struct producer_header own = { "own", "x", 1 };

	for (int round = 0; round < 3; round++) {
		struct producer_record r = record("t", "v");

		r.headers = &own;
		r.header_count = 1;
		assert_int_equal(intercept_apply(f->c, &r, f->s, failed, f), 0);
		assert_int_equal(r.header_count, 3);
		assert_string_equal(r.headers[0].name, "own");
		assert_string_equal(r.headers[1].name, "dc");
		assert_memory_equal(r.headers[1].value, "eu1", 3);
		assert_string_equal(r.headers[2].name, "e");
		assert_int_equal(r.headers[2].value_len, 0);
		assert_non_null(r.headers[2].value);
	}
}

static void all_matches_are_replaced_and_the_replacement_is_literal(void **state)
{
	struct fixture *f = fixture(state, "[{\"redact\":{\"pattern\":\"\\\\d{4,}\",\"with\":\"$0\\\\1${x}\"}},"
				    "{\"redact\":{\"pattern\":\"b+\",\"with\":\"\"}},"
				    "{\"redact\":{\"pattern\":\"\\\\$\",\"with\":\"--------\"}}]");

	expect_becomes(f, "no match", "no match");
	expect_becomes(f, "1234 and 56789", "--------0\\1--------{x} and --------0\\1--------{x}");
	expect_becomes(f, "abbbcb", "ac");
	expect_becomes(f, "", "");
	assert_int_equal(f->failures, 0);
}

static void empty_matches_end(void **state)
{
	struct fixture *f = fixture(state, "[{\"redact\":{\"pattern\":\"x*\",\"with\":\"-\"}}]");

	expect_becomes(f, "abc", "-a-b-c-");
}

static void bytes_of_every_kind_are_values(void **state)
{
	struct fixture *f = fixture(state, "[{\"redact\":{\"pattern\":\"\\\\xff\\\\x00\",\"with\":\"!\"}}]");
	struct producer_record r = { .topic = "t", .value = "a\xff\0b\xc3", .value_len = 5 };

	assert_int_equal(intercept_apply(f->c, &r, f->s, failed, f), 0);
	assert_int_equal(r.value_len, 4);
	assert_memory_equal(r.value, "a!b\xc3", 4);
	r = record("t", NULL);
	assert_int_equal(intercept_apply(f->c, &r, f->s, failed, f), 0);
	assert_null(r.value);
}

static void records_are_dropped_by_pattern_and_topic(void **state)
{
	struct fixture *f = fixture(state, "[{\"drop\":{\"pattern\":\"^DEBUG\"}},"
				    "{\"drop\":{\"pattern\":\"noise\",\"topic\":\"a\"}}]");
	struct producer_record debug = record("t", "DEBUG x"), a = record("a", "some noise"), b = record("b", "some noise");
	struct producer_record null = record("a", NULL);

	assert_int_equal(intercept_apply(f->c, &debug, f->s, failed, f), 1);
	assert_int_equal(intercept_apply(f->c, &a, f->s, failed, f), 1);
	assert_int_equal(intercept_apply(f->c, &b, f->s, failed, f), 0);
	assert_int_equal(intercept_apply(f->c, &null, f->s, failed, f), 0);
}

static void they_run_in_their_order(void **state)
{
	struct fixture *f = fixture(state, "[{\"rename\":{\"topic\":\"a\",\"to\":\"b\"}},"
				    "{\"rename\":{\"topic\":\"b\",\"to\":\"c\"}},"
				    "{\"drop\":{\"pattern\":\"x\",\"topic\":\"c\"}}]");
	struct producer_record r = record("a", "y"), gone = record("a", "x"), other = record("d", "x");

	assert_int_equal(intercept_apply(f->c, &r, f->s, failed, f), 0);
	assert_string_equal(r.topic, "c");
	assert_int_equal(intercept_apply(f->c, &gone, f->s, failed, f), 1);
	assert_int_equal(intercept_apply(f->c, &other, f->s, failed, f), 0);
	assert_string_equal(other.topic, "d");
}

/* A pattern that would run for years is stopped; the record goes on as it was, and what stands behind it still runs. */
static void a_pattern_cannot_hang(void **state)
{
	struct fixture *f = fixture(state, "[{\"redact\":{\"pattern\":\"(a|aa)+$\",\"with\":\"x\"}},"
				    "{\"redact\":{\"pattern\":\"!\",\"with\":\"?\"}}]");
	char value[2002];

	memset(value, 'a', 2000);
	value[2000] = '!';
	value[2001] = 0;
	for (int round = 0; round < 3; round++) {
		struct producer_record r = record("t", value);

		assert_int_equal(intercept_apply(f->c, &r, f->s, failed, f), 0);
		assert_int_equal(f->failures, round + 1);
		assert_int_equal(r.value_len, 2001);
		assert_int_equal(((const char *)r.value)[2000], '?');
	}
	assert_non_null(strstr(f->words, "interceptor.classes[0].redact: "));
	assert_non_null(strstr(f->words, "limit"));
}

static void short_memory_refuses_the_record_and_leaves_it_as_it_was(void **state)
{
	struct fixture *f = fixture(state, "[{\"header\":{\"name\":\"a\",\"value\":\"b\"}}]");
	struct producer_record r = record("t", "v");

	mem_fail_nth(1);
	assert_int_equal(intercept_apply(f->c, &r, f->s, failed, f), ERR_NOMEM);
	mem_fail_nth(0);
	assert_int_equal(f->failures, 0);
	assert_int_equal(r.header_count, 0);
	assert_int_equal(intercept_apply(f->c, &r, f->s, failed, f), 0);
	assert_int_equal(r.header_count, 1);
}

static void the_topic_of_a_chain_follows_its_renames(void **state)
{
	struct fixture *f = fixture(state, "[{\"rename\":{\"topic\":\"a\",\"to\":\"b\"}},{\"drop\":{\"pattern\":\".\"}},"
				    "{\"rename\":{\"topic\":\"b\",\"to\":\"c\"}},{\"rename\":{\"topic\":\"a\",\"to\":\"d\"}}]");

	assert_string_equal(intercept_topic(f->c, "a"), "c");
	assert_string_equal(intercept_topic(f->c, "b"), "c");
	assert_string_equal(intercept_topic(f->c, "x"), "x");
	assert_string_equal(intercept_topic(NULL, "x"), "x");
}

static void mistakes_name_their_place(void **state)
{
	static const struct { const char *json, *words; } wrong[] = {
		{ "{", "interceptor.classes: is not JSON: line 1" },
		{ "com.example.MyInterceptor", "interceptor.classes: is not JSON" },
		{ "{}", "interceptor.classes: must be a JSON array" },
		{ "[1]", "interceptor.classes[0]: must be an object with one member" },
		{ "[{}]", "interceptor.classes[0]: must be an object with one member" },
		{ "[{\"a\":{}}]", "interceptor.classes[0]: there is no interceptor \"a\"" },
		{ "[{\"drop\":1}]", "interceptor.classes[0].drop: must be an object" },
		{ "[{\"header\":{\"name\":\"x\"}}]", "interceptor.classes[0].header.value: is missing" },
		{ "[{\"rename\":{\"topic\":\"a\",\"to\":\"b\"}},{\"redact\":{\"pattern\":\"(a\",\"with\":\"\"}}]",
		  "interceptor.classes[1].redact.pattern: missing closing parenthesis at character 3" },
		{ "[{\"header\":{\"name\":\"x\",\"value\":1}}]", "interceptor.classes[0].header.value: must be a text" },
		{ "[{\"header\":{\"name\":\"x\",\"values\":\"y\"}}]", "interceptor.classes[0].header: there is no \"values\"" },
		{ "[{\"drop\":{\"pattern\":\"a\",\"pattern\":\"b\"}}]", "interceptor.classes: is not JSON: line 1" },
	};
	struct producer_error err;
	struct intercept *c;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(intercept_new(wrong[i].json, &c, &err), PRODUCER_ERR_CONFIG);
		if (strncmp(err.text, wrong[i].words, strlen(wrong[i].words)) != 0)
			fail_msg("%s: %s", wrong[i].json, err.text);
	}
}

static void nothing_is_an_empty_chain(void **state)
{
	static const char *const none[] = { NULL, "", "[]", " [ ] " };
	struct producer_record r = record("t", "v");
	struct intercept *c;

	(void)state;
	for (size_t i = 0; i < COUNT(none); i++) {
		assert_int_equal(intercept_new(none[i], &c, NULL), 0);
		assert_null(c);
	}
	assert_int_equal(intercept_apply(NULL, &r, NULL, failed, NULL), 0);
}

static void short_memory_at_creation_leaves_nothing(void **state)
{
	struct producer_error err;
	struct intercept *c;
	int rc = -1;

	(void)state;
	for (long n = 1; rc < 0; n++) {
		mem_fail_nth(n);
		rc = intercept_new("[{\"header\":{\"name\":\"a\",\"value\":\"b\"}},{\"drop\":{\"pattern\":\"x\"}}]", &c, &err);
		mem_fail_nth(0);
		if (rc < 0)
			assert_int_equal(rc, PRODUCER_ERR_NOMEM);
		assert_true(n < 100);
	}
	intercept_free(c);
}

#define T(t) cmocka_unit_test_teardown(t, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(headers_are_added_behind_those_of_the_record),
		T(all_matches_are_replaced_and_the_replacement_is_literal),
		T(empty_matches_end),
		T(bytes_of_every_kind_are_values),
		T(records_are_dropped_by_pattern_and_topic),
		T(they_run_in_their_order),
		T(a_pattern_cannot_hang),
		T(short_memory_refuses_the_record_and_leaves_it_as_it_was),
		T(the_topic_of_a_chain_follows_its_renames),
		cmocka_unit_test(mistakes_name_their_place),
		cmocka_unit_test(nothing_is_an_empty_chain),
		cmocka_unit_test(short_memory_at_creation_leaves_nothing),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

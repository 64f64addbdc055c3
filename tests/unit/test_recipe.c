/* test_recipe.c - specs: what the configuration says, as text that a route keeps. test_recipe_apply.c has the records. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/mem.h"
#include "agent/record/recipe.h"

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

static void assert_spec_of(struct producer_config *c, const struct conf_input *in, const char *want)
{
	struct buf spec, again;
	struct recipe *r;
	struct err e;

	buf_init(&spec, 1 << 20);
	buf_init(&again, 1 << 20);
	if (recipe_spec(c, in, "web-1", &spec, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(spec.data, want);
	assert_int_equal(recipe_new(spec.data, &r, &e), 0);
	recipe_free(r);
	buf_release(&spec);
	buf_release(&again);
}

static char *text(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void what_is_the_same_for_all_lines_of_a_file_is_the_routes(void **state)
{
	const struct conf_input in = { .name = text("i"), .topic = text("t-%{file}"), .key = text("%{path}"), .max_line = 1000 };

	assert_spec_of(*state, &in, "");
}

static void what_records_have_of_their_own_is_in_the_spec(void **state)
{
	char *include[] = { text("a+"), text("\xc3\xa4") }, *exclude[] = { text("DEBUG") }, *topics[] = { text("app-*") };
	char *names[] = { text("z"), text("a") }, *values[] = { text("%{host}/%{file}"), text("%{field.x}") };
	struct conf_input in = {
		.name = text("i"), .topic = text("app-%{field.app}-%{host}"), .key = text("%{input}-%{offset}"),
		.topics_allowed = { topics, 1 }, .include_lines = { include, 2 }, .exclude_lines = { exclude, 1 },
		.headers = { names, values, 2 }, .value = CONF_VALUE_JSON, .event_time = { .field = text("ts") },
	};

	set(*state, "key.serializer", "long");
	assert_spec_of(*state, &in, "{\"envelope\":true,\"event_time\":{\"field\":\"ts\",\"format\":\"rfc3339\"},"
		       "\"exclude\":[\"DEBUG\"],\"headers\":[[\"z\",\"web-1/%{file}\"],[\"a\",\"%{field.x}\"]],"
		       "\"host\":\"web-1\",\"include\":[\"a+\",\"\xc3\xa4\"],"
		       "\"key\":\"i-%{offset}\",\"key_serializer\":\"long\",\"topic\":\"app-%{field.app}-web-1\","
		       "\"topics_allowed\":[\"app-*\"]}");
	in = (struct conf_input){ .name = text("i"), .topic = text("t"), .topics_allowed = { topics, 1 },
				  .event_time = { .pattern = text("^(\\S+)"), .format = text("unix") } };
	assert_spec_of(*state, &in, "{\"event_time\":{\"format\":\"unix\",\"pattern\":\"^(\\\\S+)\"}}");
}

static void how_bytes_become_messages_is_in_the_spec(void **state)
{
	struct conf_input in = { .name = text("i"), .topic = text("t"), .max_line = 1000, .encoding = text("utf-8") };

	assert_spec_of(*state, &in, "");
	in.encoding = text("utf-16");
	assert_spec_of(*state, &in, "{\"max_line\":1000,\"read\":{\"encoding\":\"utf-16\"}}");
	in.encoding = NULL;
	in.long_lines = CONF_LONG_SKIP;
	in.format = CONF_FORMAT_CRI;
	assert_spec_of(*state, &in, "{\"max_line\":1000,\"read\":{\"format\":\"cri\",\"long\":\"skip\"}}");
	in = (struct conf_input){ .name = text("i"), .topic = text("t"), .max_line = 1000, .multiline = {
		.set = true, .start = text("^\\d"), .next = text("^ "), .timeout_ms = 2000, .max_lines = 5, .max_bytes = 999 } };
	assert_spec_of(*state, &in, "{\"max_line\":1000,\"read\":{\"multiline\":{\"continue\":\"^ \",\"max_bytes\":999,"
		       "\"max_lines\":5,\"start\":\"^\\\\d\"}},\"read_timeout_ms\":2000}");
	in.multiline = (struct conf_multiline){ .set = true, .preset = text("java") };
	assert_spec_of(*state, &in, "{\"max_line\":1000,\"read\":{\"multiline\":{\"preset\":\"java\"}}}");
}

static void the_rules_are_those_of_the_spec(void **state)
{
	struct recipe *r;
	struct err e;

	(void)state;
	assert_int_equal(recipe_new("{\"max_line\":9,\"read\":{\"format\":\"cri\",\"multiline\":{\"preset\":\"java\"}},"
				    "\"read_timeout_ms\":7}", &r, &e), 0);
	assert_true(assemble_groups(recipe_rules(r)) && assemble_streams(recipe_rules(r)));
	assert_int_equal(recipe_timeout_ms(r), 7);
	recipe_free(r);
	assert_int_equal(recipe_new("{\"value\":\"json\"}", &r, &e), 0);
	assert_null(recipe_rules(r));
	assert_int_equal(recipe_timeout_ms(r), -1);
	recipe_free(r);
	assert_null(recipe_rules(NULL));
	assert_int_equal(recipe_new("{\"max_line\":9,\"read\":{\"encoding\":\"no-such\"}}", &r, &e), ERR_CONFIG);
	assert_int_equal(recipe_new("{\"read\":{\"format\":\"cri\"}}", &r, &e), ERR_CONFIG);
}

static void a_byte_order_mark_changes_the_encoding_alone(void **state)
{
	struct buf spec;

	(void)state;
	buf_init(&spec, 4096);
	assert_int_equal(recipe_set_encoding("{\"max_line\":9,\"read\":{\"encoding\":\"utf-16\",\"long\":\"skip\"},"
					     "\"value\":\"json\"}", "utf-16le", &spec), 0);
	assert_string_equal(spec.data,
			    "{\"max_line\":9,\"read\":{\"encoding\":\"utf-16le\",\"long\":\"skip\"},\"value\":\"json\"}");
	assert_int_equal(recipe_set_encoding("{\"value\":\"json\"}", "utf-16le", &spec), ERR_CONFIG);
	assert_int_equal(recipe_set_encoding("", "utf-16le", &spec), ERR_CONFIG);
	buf_release(&spec);
}

static void what_is_wrong_with_an_input_is_said_at_the_start(void **state)
{
	char *bad[] = { text("a"), text("(b") }, *many[] = { text("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}") };
	char *names[] = { text("h") }, *values[] = { text("%{host}") };
	const struct { struct conf_input in; const char *words; } rows[] = {
		{ { .exclude_lines = { bad, 2 } }, "exclude_lines[1]: missing closing parenthesis at character 3" },
		{ { .event_time = { .field = text("a"), .format = text("rfc") } }, "event_time: a time's format is" },
		{ { .event_time = { .pattern = text("("), .format = text("unix") } }, "event_time: missing closing" },
		{ { .event_time = { .field = text("a."), .format = text("unix") } }, "event_time: \"a.\" does not name" },
		{ { .topic = text("%{field.a}"), .topics_allowed = { many, 1 } }, "topics_allowed[0]: too long" },
		{ { .headers = { names, values, 1 } }, "headers: what it becomes is no UTF-8" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct conf_input in = rows[i].in;
		struct buf spec;
		struct err e;

		buf_init(&spec, 1 << 20);
		in.name = text("i");
		assert_int_equal(recipe_spec(*state, &in, "\xff", &spec, &e), ERR_CONFIG);
		if (strncmp(e.text, rows[i].words, strlen(rows[i].words)) != 0)
			fail_msg("%s", e.text);
		buf_release(&spec);
	}
}

/* Goal: no memory at any place makes no other spec, and nothing leaks. Method: the nth allocation fails. */
static void short_memory_makes_no_other_spec(void **state)
{
	char *include[] = { text("a") }, *topics[] = { text("{a,b}") }, *names[] = { text("h") }, *values[] = { text("%{file}") };
	const struct conf_input in = {
		.name = text("i"), .topic = text("%{field.a}"), .topics_allowed = { topics, 1 }, .key = text("%{offset}"),
		.max_line = 1000, .multiline = { .set = true, .start = text("^a") },
		.include_lines = { include, 1 }, .headers = { names, values, 1 }, .value = CONF_VALUE_JSON,
		.event_time = { .pattern = text("a"), .format = text("unix") },
	};
	int rc = ERR_NOMEM;
	long n = 1;

	for (; rc == ERR_NOMEM && n < 200; n++) {
		struct buf spec;
		struct err e;

		buf_init(&spec, 1 << 20);
		mem_fail_nth(n);
		rc = recipe_spec(*state, &in, "host", &spec, &e);
		mem_fail_nth(0);
		buf_release(&spec);
	}
	assert_int_equal(rc, 0);
	assert_true(n > 10);
}

static void a_spec_of_another_version_is_refused(void **state)
{
	static const char *const wrong[] = { "{", "[]", "{\"x\":1}", "{\"value\":1}", "{\"value\":\"avro\"}",
					     "{\"interceptors\":{}}", "{\"interceptors\":\"a\"}",
					     "{\"value\":\"json\",\"more\":true}", "{\"interceptors\":[{\"later\":{}}]}",
					     "{\"envelope\":false}", "{\"include\":\"a\"}", "{\"include\":[1]}",
					     "{\"include\":[\"(\"]}",
					     "{\"topic\":1}", "{\"topic\":\"%{later}\"}", "{\"topics_allowed\":[]}", "{\"host\":1}",
					     "{\"key_serializer\":\"avro\"}", "{\"headers\":[]}", "{\"headers\":[[\"a\"]]}",
					     "{\"headers\":[[\"a\",\"b\"],[1,\"b\"]]}", "{\"event_time\":{\"format\":\"unix\"}}",
					     "{\"event_time\":{\"field\":\"a\",\"format\":\"unix\",\"zone\":\"x\"}}",
					     "{\"read_timeout_ms\":-1}", "{\"read\":1}", "{\"max_line\":0}",
					     "{\"max_line\":9,\"read\":{\"zip\":\"x\"}}",
					     "{\"max_line\":9,\"read\":{\"multiline\":{\"preset\":\"go\",\"x\":1}}}",
					     "{\"host\":\"a\\u0000b\"}" };
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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(a_spec_is_canonical_and_empty_for_lines_as_they_are),
	T(a_spec_of_another_version_is_refused),
	T(what_is_the_same_for_all_lines_of_a_file_is_the_routes),
	T(what_records_have_of_their_own_is_in_the_spec),
	T(how_bytes_become_messages_is_in_the_spec),
	T(the_rules_are_those_of_the_spec),
	T(a_byte_order_mark_changes_the_encoding_alone),
	T(what_is_wrong_with_an_input_is_said_at_the_start),
	T(short_memory_makes_no_other_spec),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

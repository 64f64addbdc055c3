/* test_template.c - topic and key templates: what is accepted, what they expand to. */
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "conf/template.h"

static const struct template_values values = {
	.path = "/var/log/my app/access.log", .host = "web-1", .input = "nginx",
};

static void expands(const char *tpl, const char *expected)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(template_check(tpl, false, NULL), 0);
	assert_int_equal(template_expand(tpl, &values, &b), 0);
	assert_string_equal(b.data ? b.data : "", expected);
	buf_release(&b);
}

static void refused(const char *tpl, bool is_topic, const char *words)
{
	struct err err;

	assert_int_equal(template_check(tpl, is_topic, &err), ERR_CONFIG);
	assert_string_equal(err.text, words);
}

static void every_name_expands_to_its_value(void **state)
{
	(void)state;
	setenv("SPILLWAY_TEST", "v%{path}", 1);
	expands("", "");
	expands("plain", "plain");
	expands("%{path}", "/var/log/my app/access.log");
	expands("%{file}", "access.log");
	expands("%{dir}", "my app");
	expands("%{host}-%{input}", "web-1-nginx");
	expands("<%{env.SPILLWAY_TEST}>", "<v%{path}>");
	expands("100% %file {x} %", "100% %file {x} %");
	unsetenv("SPILLWAY_TEST");
}

static void expansion_goes_behind_what_is_there(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	buf_puts(&b, "no topic: ");
	assert_int_equal(template_expand_topic("a-%{file}", &values, &b), 0);
	assert_string_equal(b.data, "no topic: a-access.log");
	buf_release(&b);
}

static void the_directory_of_a_file_below_the_root_is_the_root(void **state)
{
	struct template_values v = { .path = "/x.log", .host = "h", .input = "i" };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(template_expand("%{dir}|%{file}", &v, &b), 0);
	assert_string_equal(b.data, "/|x.log");
	buf_clear(&b);
	v.path = "/a/x.log";
	assert_int_equal(template_expand("%{dir}|%{file}", &v, &b), 0);
	assert_string_equal(b.data, "a|x.log");
	buf_release(&b);
}

#define KNOWN "%{path} %{file} %{dir} %{host} %{input} %{env.NAME} %{offset} %{stream} %{time} %{field.NAME}"

static void a_wrong_template_is_refused_with_a_hint(void **state)
{
	(void)state;
	refused("%{paht}", false, "unknown template \"%{paht}\" (did you mean \"%{path}\"?)");
	refused("x-%{}", false, "unknown template \"%{}\", known are " KNOWN);
	refused("%{topic_of_it}", false, "unknown template \"%{topic_of_it}\", known are " KNOWN);
	refused("%{ofset}", false, "unknown template \"%{ofset}\" (did you mean \"%{offset}\"?)");
	refused("%{field}", false, "unknown template \"%{field}\" (did you mean \"%{field.a}\"?)");
	refused("a%{path", false, "\"%{\" without a \"}\"");
	refused("%{env.}", false, "\"%{env.}\" does not name an environment variable");
	refused("%{env.1A}", false, "\"%{env.1A}\" does not name an environment variable");
	refused("%{env.SPILLWAY_UNSET}", false, "environment variable \"SPILLWAY_UNSET\" is not set");
}

static void a_topic_must_be_a_legal_name(void **state)
{
	char name[251];

	(void)state;
	memset(name, 'a', sizeof name);
	name[250] = 0;
	refused("my topic", true, "a topic is made of letters, digits, \".\", \"_\" and \"-\" only");
	refused("logs/%{file}", true, "a topic is made of letters, digits, \".\", \"_\" and \"-\" only");
	refused("%{file}:x", true, "a topic is made of letters, digits, \".\", \"_\" and \"-\" only");
	refused(".", true, "a topic has 1 to 249 characters and is not \".\" or \"..\"");
	refused("..", true, "a topic has 1 to 249 characters and is not \".\" or \"..\"");
	refused("", true, "a topic has 1 to 249 characters and is not \".\" or \"..\"");
	refused(name, true, "a topic has 1 to 249 characters and is not \".\" or \"..\"");
	name[249] = 0;
	assert_int_equal(template_check(name, true, NULL), 0);
	assert_int_equal(template_check("App_1.x-y", true, NULL), 0);
	assert_int_equal(template_check("app.%{file}", true, NULL), 0);
	assert_int_equal(template_check("a key: %{path}", false, NULL), 0);
	assert_true(template_topic_legal("..."));
	assert_false(template_topic_legal("\xc3\xa4"));
}

static void values_become_legal_in_a_topic_but_not_in_a_key(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(template_expand_topic("logs.%{path}", &values, &b), 0);
	assert_string_equal(b.data, "logs._var_log_my_app_access.log");
	buf_release(&b);
	expands("logs.%{path}", "logs./var/log/my app/access.log");
}

static void a_topic_that_comes_out_illegal_is_bad_data(void **state)
{
	char name[251];
	struct template_values v = { .path = "/x", .host = name, .input = "" };
	struct buf b;

	(void)state;
	memset(name, 'a', sizeof name);
	name[250] = 0;
	buf_init(&b, 4096);
	assert_int_equal(template_expand_topic("%{input}", &v, &b), ERR_BAD_DATA);
	buf_clear(&b);
	assert_int_equal(template_expand_topic("%{host}", &v, &b), ERR_BAD_DATA);
	buf_clear(&b);
	v.host = ".";
	assert_int_equal(template_expand_topic(".%{host}", &v, &b), ERR_BAD_DATA);
	buf_release(&b);
}

/* Says its name, but for "field.none". */
static int look_up(void *arg, const char *name, size_t n, struct buf *out)
{
	assert_null(arg);
	return n == 10 && !memcmp(name, "field.none", n) ? ERR_NOT_FOUND : buf_put(out, name, n);
}

static const struct template_values record = {
	.path = "/x/y", .host = "h", .input = "i", .offset = 42, .lookup = look_up,
};

static void what_differs_between_records_is_asked_for(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(template_check("%{offset}/%{stream}/%{time}/%{field.a.b\\.c}", false, NULL), 0);
	assert_int_equal(template_expand("%{offset}/%{stream}/%{time}/%{field.a.b\\.c}", &record, &b), 0);
	assert_string_equal(b.data, "42/stream/time/field.a.b\\.c");
	buf_clear(&b);
	assert_int_equal(template_expand_topic("t.%{field.a b}.%{offset}", &record, &b), 0);
	assert_string_equal(b.data, "t.field.a_b.42");
	buf_release(&b);
}

static void what_a_record_does_not_have_is_not_found_and_nothing_is_put(void **state)
{
	static const char *const missing[] = { "x%{offset}", "x%{stream}", "x%{time}", "x%{field.a}", "x%{path}", "x%{file}",
					       "x%{dir}" };
	const struct template_values none = { .host = "h", .input = "i", .offset = -1 };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	buf_puts(&b, "before");
	for (size_t i = 0; i < COUNT(missing); i++)
		assert_int_equal(template_expand(missing[i], &none, &b), ERR_NOT_FOUND);
	assert_int_equal(template_expand("x%{field.none}", &record, &b), ERR_NOT_FOUND);
	assert_int_equal(template_expand_topic("x%{field.none}", &record, &b), ERR_NOT_FOUND);
	assert_string_equal(b.data, "before");
	buf_release(&b);
}

static void templates_know_whether_records_of_a_file_differ(void **state)
{
	(void)state;
	assert_false(template_per_record("a%{path}%{file}%{dir}%{host}%{input}%{env.X}%{%}", false));
	assert_true(template_per_record("a%{path}%{offset}", false));
	assert_true(template_per_record("%{stream}", false));
	assert_true(template_per_record("%{time}", false));
	assert_true(template_per_record("%{field.a}", false));
	assert_false(template_per_record("%{offset}%{stream}", true));
	assert_true(template_per_record("%{host}%{field.a}", true));
	assert_true(template_per_record("%{time}", true));
	assert_false(template_per_record("field.a", true));
}

static void a_field_has_names_between_dots(void **state)
{
	static const char *const good[] = { "a", "a.b-c_d.9", "@timestamp", "app\\.kubernetes\\.io/name", "\\\\", "a b",
					    "\xc3\xa4" };
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "a\\", "a\\b", "a{b", "a}b", "a\nb" };
	char text[300];
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_int_equal(template_check_field(good[i], NULL), 0);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(template_check_field(bad[i], &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "does not name a field"));
	refused("%{field.}", false, "\"%{field.}\" does not name a field: names with dots between them, such as user.name; "
		"a dot within a name is written \"\\.\"");
	memset(text, 'a', sizeof text);
	text[TEMPLATE_FIELD_MAX] = 0;
	assert_int_equal(template_check_field(text, NULL), 0);
	text[TEMPLATE_FIELD_MAX] = 'a';
	text[TEMPLATE_FIELD_MAX + 1] = 0;
	assert_int_equal(template_check_field(text, NULL), ERR_CONFIG);
}

static void prepared(const char *tpl, const struct template_values *v, const char *want, const char *expanded)
{
	const struct template_values at_record = { .path = "/x/y", .host = "other", .input = "other", .offset = 42 };
	struct buf b, out;

	buf_init(&b, 4096);
	buf_init(&out, 4096);
	assert_int_equal(template_prepare(tpl, v, &b), 0);
	assert_string_equal(b.data, want);
	assert_int_equal(template_check(b.data, false, NULL), 0);
	assert_int_equal(template_expand(b.data, &at_record, &out), 0);
	assert_string_equal(out.data, expanded);
	buf_release(&b);
	buf_release(&out);
}

static void what_is_put_in_before_never_becomes_a_template(void **state)
{
	struct template_values v = { .host = "web-1", .input = "i" };

	(void)state;
	setenv("SPILLWAY_TEST", "50%", 1);
	prepared("%{host}-%{input}-%{offset}-%{path}", &v, "web-1-i-%{offset}-%{path}", "web-1-i-42-/x/y");
	v.host = "%{path}";
	prepared("<%{host}>%{offset}", &v, "<%{%}{path}>%{offset}", "<%{path}>42");
	v.host = "{path}";
	prepared("%%{host}", &v, "%{%}{path}", "%{path}");
	prepared("%{env.SPILLWAY_TEST}{path}", &v, "50%{%}{path}", "50%{path}");
	prepared("%{env.SPILLWAY_TEST}%{host}", &v, "50%{%}{path}", "50%{path}");
	prepared("5% %{offset}%", &v, "5% %{offset}%", "5% 42%");
	prepared("%{%}{%{offset}", &v, "%{%}{%{offset}", "%{42");
	unsetenv("SPILLWAY_TEST");
}

static void a_prepared_topic_is_as_legal_as_any(void **state)
{
	const struct template_values v = { .host = "a/b %{path}", .input = "i" };
	struct buf b, out;

	(void)state;
	buf_init(&b, 4096);
	buf_init(&out, 4096);
	assert_int_equal(template_prepare("t-%{host}-%{offset}", &v, &b), 0);
	assert_int_equal(template_expand_topic(b.data, &record, &out), 0);
	assert_string_equal(out.data, "t-a_b___path_-42");
	refused("a%{%}", true, "a topic is made of letters, digits, \".\", \"_\" and \"-\" only");
	buf_release(&b);
	buf_release(&out);
}

static void an_expansion_keeps_to_its_ceiling(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(template_expand("%{path}", &values, &b), ERR_NOMEM);
	buf_release(&b);
}

static void short_memory_is_reported(void **state)
{
	int rc = ERR_NOMEM;

	(void)state;
	for (long n = 1; rc == ERR_NOMEM; n++) {
		struct buf b;

		assert_true(n < 100);
		buf_init(&b, 4096);
		mem_fail_nth(n);
		rc = template_check("a-%{file}", true, NULL);
		if (!rc)
			rc = template_expand_topic("a-%{file}-%{host}", &values, &b);
		mem_fail_nth(0);
		if (!rc)
			assert_true(n > 1);
		buf_release(&b);
	}
	assert_int_equal(rc, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_name_expands_to_its_value),
	cmocka_unit_test(expansion_goes_behind_what_is_there),
	cmocka_unit_test(the_directory_of_a_file_below_the_root_is_the_root),
	cmocka_unit_test(a_wrong_template_is_refused_with_a_hint),
	cmocka_unit_test(a_topic_must_be_a_legal_name),
	cmocka_unit_test(values_become_legal_in_a_topic_but_not_in_a_key),
	cmocka_unit_test(a_topic_that_comes_out_illegal_is_bad_data),
	cmocka_unit_test(what_differs_between_records_is_asked_for),
	cmocka_unit_test(what_a_record_does_not_have_is_not_found_and_nothing_is_put),
	cmocka_unit_test(templates_know_whether_records_of_a_file_differ),
	cmocka_unit_test(a_field_has_names_between_dots),
	cmocka_unit_test(what_is_put_in_before_never_becomes_a_template),
	cmocka_unit_test(a_prepared_topic_is_as_legal_as_any),
	cmocka_unit_test(an_expansion_keeps_to_its_ceiling),
	cmocka_unit_test(short_memory_is_reported),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

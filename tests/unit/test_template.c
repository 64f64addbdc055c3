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

static void a_wrong_template_is_refused_with_a_hint(void **state)
{
	(void)state;
	refused("%{paht}", false, "unknown template \"%{paht}\" (did you mean \"%{path}\"?)");
	refused("x-%{}", false, "unknown template \"%{}\", known are %{path} %{file} %{dir} %{host} %{input} %{env.NAME}");
	refused("%{topic_of_it}", false, "unknown template \"%{topic_of_it}\", known are %{path} %{file} %{dir} %{host} "
		"%{input} %{env.NAME}");
	refused("a%{path", false, "\"%{\" without a \"}\"");
	refused("%{offset}", false, "\"%{offset}\" is not supported yet");
	refused("%{field.a.b}", true, "\"%{field.a.b}\" is not supported yet");
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
			assert_true(n > 3);
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
	cmocka_unit_test(an_expansion_keeps_to_its_ceiling),
	cmocka_unit_test(short_memory_is_reported),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

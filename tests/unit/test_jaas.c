/* test_jaas.c - sasl.jaas.config as people paste it, and every mistake with its words. */
#include "producer/jaas.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "tests/lib/unit.h"

#define SECURITY "org.apache.kafka.common.security."
#define PLAIN SECURITY "plain.PlainLoginModule"
#define SCRAM SECURITY "scram.ScramLoginModule"
#define OAUTH SECURITY "oauthbearer.OAuthBearerLoginModule"

static struct err e;

static struct jaas good(const char *text)
{
	struct jaas j;

	if (jaas_parse(text, &j, &e) < 0)
		fail_msg("%s", e.text);
	return j;
}

static void bad(const char *text, const char *words)
{
	struct jaas j;

	assert_int_equal(jaas_parse(text, &j, &e), ERR_CONFIG);
	assert_string_equal(e.text, words);
	assert_int_equal(jaas_parse(text, &j, NULL), ERR_CONFIG);
}

static void the_usual_line_is_read(void **state)
{
	struct jaas j = good(SCRAM " required username=\"alice\" password=\"alice-secret\";");

	(void)state;
	assert_int_equal(j.module, JAAS_SCRAM);
	assert_int_equal(j.option_count, 2);
	assert_string_equal(jaas_option(&j, "username"), "alice");
	assert_string_equal(jaas_option(&j, "password"), "alice-secret");
	assert_null(jaas_option(&j, "tokenauth"));
	jaas_release(&j);
	assert_null(j.options);
}

static void it_may_span_lines_and_hold_comments_and_bare_words(void **state)
{
	struct jaas j = good("\n  " OAUTH " REQUIRED // as in the manual\n\tclientId=me/2\n\t/* the\nsecret */ "
			"clientSecret='it s'\n"
			     "\tscope = \"a b\" extension_logicalCluster = lkc-1 ;\n // end\n");

	(void)state;
	assert_int_equal(j.module, JAAS_OAUTHBEARER);
	assert_int_equal(j.option_count, 4);
	assert_string_equal(jaas_option(&j, "clientId"), "me/2");
	assert_string_equal(jaas_option(&j, "clientSecret"), "it s");
	assert_string_equal(jaas_option(&j, "scope"), "a b");
	assert_string_equal(jaas_option(&j, "extension_logicalCluster"), "lkc-1");
	jaas_release(&j);
}

static void strings_have_javas_escapes(void **state)
{
	struct jaas j = good(PLAIN " optional username='a\"b' password=\"q\\\"\\\\ \\t\\n\\101\\7\\x=;'\";");

	(void)state;
	assert_int_equal(j.module, JAAS_PLAIN);
	assert_string_equal(jaas_option(&j, "username"), "a\"b");
	assert_string_equal(jaas_option(&j, "password"), "q\"\\ \t\nA\ax=;'");
	jaas_release(&j);
	j = good(PLAIN " required username=\"\" password=\"\xc3\xa4\";");
	assert_string_equal(jaas_option(&j, "username"), "");
	assert_string_equal(jaas_option(&j, "password"), "\xc3\xa4");
	jaas_release(&j);
}

static void other_modules_are_refused_by_name(void **state)
{
	(void)state;
	bad("com.sun.security.auth.module.Krb5LoginModule required keyTab=\"/k\";",
	    "sasl.jaas.config: com.sun.security.auth.module.Krb5LoginModule: Kerberos is not supported; use SCRAM-SHA-512, "
	    "OAUTHBEARER or client certificates (SSL)");
	bad("software.amazon.msk.auth.iam.IAMLoginModule required;",
	    "sasl.jaas.config: software.amazon.msk.auth.iam.IAMLoginModule: AWS_MSK_IAM is not supported; MSK also takes "
	    "SCRAM-SHA-512 and client certificates (SSL)");
	bad("com.example.MyModule required;",
	    "sasl.jaas.config: unknown login module com.example.MyModule, there are: plain.PlainLoginModule, "
	    "scram.ScramLoginModule and oauthbearer.OAuthBearerLoginModule of org.apache.kafka.common.security");
	bad("KafkaClient { " PLAIN " required username=u password=p; };",
	    "sasl.jaas.config: give the login module alone, without a section's name and braces");
}

static void every_mistake_has_words_that_show_no_value(void **state)
{
	static const char *const texts[][2] = {
		{ "", "sasl.jaas.config: it begins with a login module, such as " SCRAM },
		{ "; ", "sasl.jaas.config: it begins with a login module, such as " SCRAM },
		{ PLAIN, "sasl.jaas.config: the word \"required\" is missing behind the login module" },
		{ PLAIN " username=\"SECRET\";", "sasl.jaas.config: the word \"required\" is missing behind the login module" },
		{ PLAIN " required username=u password=SECRET", "sasl.jaas.config: the ; at its end is missing" },
		{ PLAIN " required password=\"SECRET;", "sasl.jaas.config: a quoted value has no end" },
		{ PLAIN " required password=\"SECRET\n\";", "sasl.jaas.config: a quoted value has no end" },
		{ PLAIN " required password=\"SECRET\\", "sasl.jaas.config: a quoted value has no end" },
		{ PLAIN " required password=\"SEC\\0RET\";", "sasl.jaas.config: a quoted value holds a NUL byte" },
		{ PLAIN " required password= ;", "sasl.jaas.config: option password has no value" },
		{ PLAIN " required password=a password=SECRET;", "sasl.jaas.config: option password is given twice" },
		{ PLAIN " required password=a SECRET;",
		  "sasl.jaas.config: NAME=VALUE or ; is expected (a value with blanks, quotes, = or ; needs quotes)" },
		{ PLAIN " required password=a=SECRET;",
		  "sasl.jaas.config: NAME=VALUE or ; is expected (a value with blanks, quotes, = or ; needs quotes)" },
		{ PLAIN " required password=a $SECRET=x;",
		  "sasl.jaas.config: NAME=VALUE or ; is expected (a value with blanks, quotes, = or ; needs quotes)" },
		{ PLAIN " required username=u; " SCRAM " required;",
		  "sasl.jaas.config: one login module is taken, something follows its ;" },
		{ PLAIN " required /* SECRET", "sasl.jaas.config: a comment has no end" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		bad(texts[i][0], texts[i][1]);
		assert_null(strstr(e.text, "SECRET"));
	}
}

static void too_many_options_are_an_error(void **state)
{
	static char text[2000] = PLAIN " required";
	size_t n = strlen(text);

	(void)state;
	for (int i = 0; i < 65; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, " o%d=x", i);
	snprintf(text + n, sizeof text - n, ";");
	bad(text, "sasl.jaas.config: there are too many options");
}

static void short_memory_anywhere_is_an_error(void **state)
{
	int rc = ERR_NOMEM;

	(void)state;
	for (long n = 1; rc == ERR_NOMEM; n++) {
		struct jaas j;

		assert_in_range(n, 1, 30);
		mem_fail_nth(n);
		rc = jaas_parse(SCRAM " required username=u password=p tokenauth=true;", &j, &e);
		mem_fail_nth(0);
		if (rc == 0)
			jaas_release(&j);
	}
	assert_int_equal(rc, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_usual_line_is_read),
	cmocka_unit_test(it_may_span_lines_and_hold_comments_and_bare_words),
	cmocka_unit_test(strings_have_javas_escapes),
	cmocka_unit_test(other_modules_are_refused_by_name),
	cmocka_unit_test(every_mistake_has_words_that_show_no_value),
	cmocka_unit_test(too_many_options_are_an_error),
	cmocka_unit_test(short_memory_anywhere_is_an_error),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

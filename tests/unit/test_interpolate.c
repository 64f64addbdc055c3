/* test_interpolate.c - ${env:}, ${file:} and ${cred:} as a whole configuration sees them, and where secrets must not show. */
#include "tests/lib/conf.h"

#include "agent/base/log.h"

static void variables_are_replaced_inside_values(void **state)
{
	struct conf *c;

	(void)state;
	setenv("SPILLWAY_A", "5: '${env:SPILLWAY_B}'", 1);
	setenv("SPILLWAY_EMPTY", "", 1);
	setenv("SPILLWAY_N", "7", 1);
	c = good(INPUT("name: a ${env:SPILLWAY_A} $x {y}") "max_lanes: ${env:SPILLWAY_N}\n"
		 "state_dir: /x/${env:SPILLWAY_UNSET:-d:-e}${env:SPILLWAY_EMPTY}/${env:SPILLWAY_EMPTY:-f}\n"
		 "log: { level: '${env:SPILLWAY_UNSET:-warn}' }\n");
	assert_string_equal(c->inputs[0].name, "a 5: '${env:SPILLWAY_B}' $x {y}");
	assert_int_equal(c->max_lanes, 7);
	assert_string_equal(c->state_dir, "/x/d:-e/f");
	assert_int_equal(c->log.level, LOG_LEVEL_WARN);
	assert_int_equal(c->masked_count, 0);
	conf_free(c);
	c = good(INPUT("key: ${env:SPILLWAY_EMPTY}"));
	assert_null(c->inputs[0].key);
	conf_free(c);
	bad(INPUT("name: ${env:SPILLWAY_EMPTY}"), "f.yaml:4:11: \"name\" must not be empty");
	unsetenv("SPILLWAY_A");
	unsetenv("SPILLWAY_EMPTY");
	unsetenv("SPILLWAY_N");
}

static void keys_are_not_interpolated(void **state)
{
	(void)state;
	setenv("SPILLWAY_K", "max_lanes", 1);
	bad(BASE "'${env:SPILLWAY_K}': 1\n", "f.yaml:6:1: unknown key \"${env:SPILLWAY_K}\"");
	unsetenv("SPILLWAY_K");
}

static void an_alias_of_an_interpolated_value_is_not_interpolated_again(void **state)
{
	struct conf *c;

	(void)state;
	setenv("SPILLWAY_A", "/${env:SPILLWAY_B}", 1);
	c = good("inputs:\n  - {paths: &p '${env:SPILLWAY_A}', topic: t}\n  - {name: n, paths: *p, topic: t}\n"
		 "producer: {bootstrap.servers: b}\n");
	assert_string_equal(c->inputs[0].paths.v[0], "/${env:SPILLWAY_B}");
	assert_string_equal(c->inputs[1].paths.v[0], "/${env:SPILLWAY_B}");
	conf_free(c);
	unsetenv("SPILLWAY_A");
}

static void files_and_credentials_are_replaced_without_their_last_newline(void **state)
{
	struct secret s = secret_new("one\ntwo\r\n", 9);
	char text[300];
	struct conf *c;

	(void)state;
	snprintf(text, sizeof text, INPUT("name: a${file:%s}b") "state_dir: /${cred:secret}\n", s.path);
	c = good(text);
	assert_string_equal(c->inputs[0].name, "aone\ntwob");
	assert_string_equal(c->state_dir, "/one\ntwo");
	conf_free(c);
	secret_free(&s);
}

static void a_wrong_interpolation_is_a_problem_at_the_value(void **state)
{
	struct secret s = secret_new("a\0b", 3);
	static const struct { const char *value, *words; } of[] = {
		{ "${env:SPILLWAY_UNSET}", "environment variable \"SPILLWAY_UNSET\" is not set" },
		{ "${env:}", "\"${env:}\" does not name an environment variable" },
		{ "${env:A B}", "\"${env:A B}\" does not name an environment variable" },
		{ "${HOME}", "unknown interpolation \"${HOME}\" (did you mean \"${env:HOME}\"?)" },
		{ "${vault:x}", "unknown interpolation \"${vault:x}\", known are ${env:NAME}, ${env:NAME:-default}, "
		  "${file:/path} and ${cred:NAME}" },
		{ "x${env:HOME", "\"${\" without a \"}\"" },
		{ "${file:x}", "\"${file:x}\" needs an absolute path" },
		{ "${file:/nonexistent/x}", "cannot read \"/nonexistent/x\": No such file or directory" },
		{ "${file:/tmp}", "cannot read \"/tmp\": Is a directory" },
		{ "${file:/dev/zero}", "cannot read \"/dev/zero\": Invalid argument" },
		{ "${cred:../x}", "\"${cred:../x}\" does not name a credential" },
	};
	char text[400], want[400];

	(void)state;
	for (size_t i = 0; i < COUNT(of); i++) {
		snprintf(text, sizeof text, INPUT("name: '%s'"), of[i].value);
		snprintf(want, sizeof want, "f.yaml:4:11: %s", of[i].words);
		bad(text, want);
	}
	snprintf(want, sizeof want, "f.yaml:4:11: \"%s\" holds a NUL byte", s.path);
	bad(INPUT("name: ${cred:secret}"), want);
	secret_free(&s);
	bad(INPUT("name: ${cred:secret}"), "f.yaml:4:11: no credential \"secret\": CREDENTIALS_DIRECTORY is not set, "
	    "systemd sets it for units with LoadCredential=");
}

static void a_secret_of_more_than_64_kib_is_refused(void **state)
{
	static char large[64 * 1024 + 1];
	struct secret s;
	char want[200];

	(void)state;
	memset(large, 'x', sizeof large);
	s = secret_new(large, sizeof large);
	snprintf(want, sizeof want, "f.yaml:4:11: cannot read \"%s\": File too large", s.path);
	bad(INPUT("name: ${cred:secret}"), want);
	secret_free(&s);
	s = secret_new(large, sizeof large - 1);
	conf_free(good(INPUT("name: ${cred:secret}")));
	secret_free(&s);
}

static void a_secret_is_in_no_problem(void **state)
{
	struct secret s = secret_new("hunter2 {", 9);

	(void)state;
	bad(INPUT("partition: ${cred:secret}\n    key: '%{${cred:secret}'\n    type: '${cred:secret}'")
	    "max_lanes: x${cred:secret}\nshutdown_timeout: ${cred:secret}\nmetrics: {listen: '${cred:secret}'}\n",
	    "f.yaml:4:16: \"partition\" must be a number, not \"***\"",
	    "f.yaml:5:10: \"key\" has a bad value (it is secret and not shown)",
	    "f.yaml:6:11: \"type\" must be file, stdin, syslog or journald, not \"***\"",
	    "f.yaml:8:12: \"max_lanes\" must be a number, not \"***\"",
	    "f.yaml:9:19: \"shutdown_timeout\" must be a time such as 20s, not \"***\"",
	    "f.yaml:10:19: \"listen\" has a bad value (it is secret and not shown)");
	mock.bad_key = "sasl.password";
	mock.bad_text = "hunt not hunter, nor";
	bad(BASE "  sasl.password: ${cred:secret}\n", "f.yaml:6:3: *** not ***, nor ***");
	secret_free(&s);
}

static const struct CMUnitTest tests[] = {
	TEST(variables_are_replaced_inside_values),
	TEST(keys_are_not_interpolated),
	TEST(an_alias_of_an_interpolated_value_is_not_interpolated_again),
	TEST(files_and_credentials_are_replaced_without_their_last_newline),
	TEST(a_wrong_interpolation_is_a_problem_at_the_value),
	TEST(a_secret_of_more_than_64_kib_is_refused),
	TEST(a_secret_is_in_no_problem),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

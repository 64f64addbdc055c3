/* test_load.c - the configuration as the whole agent reads it: producer and conf together, from a file. */
#include "agent/load.h"
#include "agent/record/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "tests/lib/unit.h"

#define INPUT "inputs:\n  - paths: [/a.log]\n    topic: t\n"

static char path[] = "/tmp/spillway-load-XXXXXX", secret[] = "/tmp/spillway-secret-XXXXXX";

static int make_file(char *name, const char *text)
{
	size_t n = strlen(text);
	int fd;

	memcpy(name + strlen(name) - 6, "XXXXXX", 6);
	fd = mkstemp(name);
	return fd < 0 || write(fd, text, n) != (ssize_t)n ? -1 : close(fd);
}

static int setup(void **state)
{
	(void)state;
	return make_file(path, "") || make_file(secret, "hush");
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path) || unlink(secret);
}

static int load(const char *text, struct loaded *l, struct buf *problems)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	buf_init(problems, 1 << 20);
	return load_conf(path, l, problems);
}

/* The problems are exactly these, without the file's name. */
static void bad(const char *text, const char *words)
{
	struct loaded l = { 0 };
	struct buf problems, said;

	assert_int_equal(load(text, &l, &problems), ERR_CONFIG);
	assert_null(l.conf);
	buf_init(&said, 1 << 20);
	for (const char *p = problems.data; *p; p = strchr(p, '\n') + 1) {
		assert_memory_equal(p, path, strlen(path));
		buf_put(&said, p + strlen(path), (size_t)(strchr(p, '\n') + 1 - p) - strlen(path));
	}
	assert_string_equal(said.data, words);
	buf_release(&problems);
	buf_release(&said);
}

static void every_problem_of_both_parts_is_told_in_one_run(void **state)
{
	(void)state;
	bad(INPUT "    max_line: 2MiB\nproducer:\n  bootstrap.servers: [a:1, b]\n  acks: 1\n  linger.ms: soon\n"
	    "  security.protocol: SASL_SSL\n  sasl.mechanism: PLAIN\n  sasl.jaas.config: x\n  ssl.keystore.type: JKS\n"
			"max_lanes: 0\n",
	    ":1:1: producer: delivery: exactly_once needs idempotence, and that needs acks: all, retries above 0 and "
	    "max.in.flight.requests.per.connection of at most 5; delivery: at_least_once does without\n"
	    ":2:5: max_line of 2097152 bytes does not fit: with key, headers and overhead at most 1048064 fit max.request.size and "
			"a quarter "
	    "of buffer.memory\n"
	    ":6:3: bootstrap.servers: \"b\" is not host:port\n"
	    ":8:3: linger.ms: \"soon\" is not a time (like 500, 500ms, 3s or 5m)\n"
	    ":11:3: sasl.jaas.config: unknown login module, there are: plain.PlainLoginModule, scram.ScramLoginModule and "
	    "oauthbearer.OAuthBearerLoginModule of org.apache.kafka.common.security\n"
	    ":12:3: ssl.keystore.type: JKS is not supported, convert it to PEM: keytool -importkeystore -srckeystore STORE "
	    "-destkeystore me.p12 -deststoretype PKCS12; openssl pkcs12 -in me.p12 -out me.pem\n"
	    ":13:12: \"max_lanes\" must be between 1 and 100000, not 0\n");
}

static void a_key_that_is_refused_is_not_asked_for_too(void **state)
{
	(void)state;
	bad(INPUT "producer:\n  bootstrap.servers: a:1\n  security.protocol: SASL_SSL\n  sasl.mechanism: GSSAPI\n",
	    ":7:3: sasl.mechanism: \"GSSAPI\": Kerberos is not supported; use SCRAM-SHA-512, OAUTHBEARER or client certificates "
	    "(SSL)\n");
	bad(INPUT "producer:\n  acks: all\n", ":4:1: missing key \"bootstrap.servers\" in producer\n");
}

static void lists_and_blocks_arrive_and_secrets_do_not_come_back(void **state)
{
	struct loaded l = { 0 };
	struct buf problems, out;
	char text[1000];

	(void)state;
	snprintf(text, sizeof text, INPUT "producer:\n  bootstrap.servers: [a:1, b:2]\n  security.protocol: SASL_SSL\n"
		 "  sasl.mechanism: PLAIN\n  sasl.username: u\n  sasl.password: hush\n  ssl.ca.pem: ${file:%s}\n"
		 "  ssl.certificate.pem: |\n    hello\n    there\n  ssl.key.pem: |\n    hush\n"
		 "  interceptor.classes:\n    - header: { name: dc, value: eu1 }\n", secret);
	if (load(text, &l, &problems) < 0)
		fail_msg("%s", problems.data);
	assert_string_equal(producer_config_get(l.producer, "bootstrap.servers"), "a:1,b:2");
	assert_string_equal(producer_config_get(l.producer, "interceptor.classes"),
			    "[{\"header\":{\"name\":\"dc\",\"value\":\"eu1\"}}]");
	assert_string_equal(producer_config_get(l.producer, "ssl.keystore.certificate.chain"), "hello\nthere\n");
	assert_string_equal(producer_config_get(l.producer, "ssl.truststore.certificates"), "hush");
	buf_init(&out, 1 << 20);
	loaded_print(&l, &out);
	assert_null(strstr(out.data, "hush"));
	/* Given by librdkafka's name, printed by Kafka's. */
	assert_non_null(strstr(out.data, "  ssl.truststore.certificates: \"***\"\n"));
	assert_non_null(strstr(out.data, "  sasl.password: \"***\"\n"));
	assert_non_null(strstr(out.data, "  ssl.keystore.key: \"***\"\n"));
	buf_release(&out);
	buf_release(&problems);
	loaded_release(&l);
}

/* As a block, and as a text with characters that YAML takes for ends of lines. */
static void interceptors_are_printed_as_yaml_that_reads_back(void **state)
{
	static const struct { const char *conf, *printed; } cases[] = {
		{ "\n    - redact: { pattern: '^\"\\d{16}: #$', with: \"a\\tb\" }\n    - drop: { pattern: \"x y\" }\n",
		  "  interceptor.classes: [{\"redact\": {\"pattern\": \"^\\\"\\\\d{16}: #$\", \"with\": \"a\\tb\"}}, "
		  "{\"drop\": {\"pattern\": \"x y\"}}]\n" },
		{ " '[{\"drop\": {\"pattern\": \"\xe2\x80\xa8\xc3\xa4\"}}]'\n", "  interceptor.classes: \"[{" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct loaded l = { 0 }, again = { 0 };
		struct buf problems, problems2, out;
		char text[1000];

		snprintf(text, sizeof text, INPUT "producer:\n  bootstrap.servers: a:1\n  interceptor.classes:%s", cases[i].conf);
		if (load(text, &l, &problems) < 0)
			fail_msg("%s", problems.data);
		buf_init(&out, 1 << 20);
		loaded_print(&l, &out);
		if (!strstr(out.data, cases[i].printed))
			fail_msg("%s", strstr(out.data, "  interceptor.classes"));
		if (load(out.data, &again, &problems2) < 0)
			fail_msg("%s", problems2.data);
		buf_clear(&out);
		recipe_spec(l.producer, l.conf->inputs, "host", &out, NULL);
		buf_release(&problems);
		buf_init(&problems, 1 << 20);
		recipe_spec(again.producer, again.conf->inputs, "host", &problems, NULL);
		assert_string_equal(out.data, problems.data);
		buf_release(&out);
		buf_release(&problems);
		buf_release(&problems2);
		loaded_release(&l);
		loaded_release(&again);
	}
}

static void a_small_memory_lowers_the_longest_line(void **state)
{
	struct loaded l = { 0 };
	struct buf problems;

	(void)state;
	assert_int_equal(load(INPUT "producer: { bootstrap.servers: 'a:1', buffer.memory: 1MiB }\n", &l, &problems), 0);
	assert_int_equal(l.conf->inputs[0].max_line, 262144 - 512);
	buf_release(&problems);
	loaded_release(&l);
}

/* A line as long as allowed must fit its request with what interceptors put on it, or its file would wait for ever. */
static void headers_of_interceptors_lower_the_longest_line(void **state)
{
	char text[4096], value[1001];
	struct loaded l = { 0 };
	struct buf problems;

	(void)state;
	memset(value, 'v', 1000);
	value[1000] = '\0';
	snprintf(text, sizeof text, INPUT "producer: { bootstrap.servers: 'a:1', max.request.size: 100000, interceptor.classes: "
		 "[{ header: { name: dc, value: %s } }, { header: { name: dc2, value: %s } }] }\n", value, value);
	assert_int_equal(load(text, &l, &problems), 0);
	assert_int_equal(l.conf->inputs[0].max_line, 100000 - 512 - 2 * 1000 - 5 - 2 * 10);
	buf_release(&problems);
	loaded_release(&l);
	snprintf(text, sizeof text, INPUT "producer: { bootstrap.servers: 'a:1', max.request.size: 1500, interceptor.classes: "
		 "[{ header: { name: dc, value: %s } }] }\n", value);
	bad(text, ":2:5: no line fits: key, headers and overhead alone take max.request.size or a quarter of buffer.memory\n");
}

/* A group of lines is one record. */
static void groups_of_lines_fit_a_request_as_lines_do(void **state)
{
	struct loaded l = { 0 };
	struct buf problems;

	(void)state;
	assert_int_equal(load(INPUT "    multiline: { preset: go }\nproducer: { bootstrap.servers: 'a:1', buffer.memory: "
	    "1MiB }\n", &l,
			      &problems), 0);
	assert_int_equal(l.conf->inputs[0].multiline.max_bytes, 262144 - 512);
	assert_int_equal(l.conf->inputs[0].max_line, 262144 - 512);
	buf_release(&problems);
	loaded_release(&l);
	assert_int_equal(load(INPUT "    multiline: { preset: go }\nproducer: { bootstrap.servers: 'a:1' }\n", &l, &problems), 0);
	assert_int_equal(l.conf->inputs[0].multiline.max_bytes, 512 * 1024);
	buf_release(&problems);
	loaded_release(&l);
	bad(INPUT "    multiline: { preset: go, max_bytes: 512KiB }\nproducer: { bootstrap.servers: 'a:1', buffer.memory: 1MiB }\n",
	    ":2:5: multiline.max_bytes of 524288 bytes does not fit: with key, headers and overhead at most 261632 fit "
	    "max.request.size "
	    "and a quarter of buffer.memory\n");
}

static void key_headers_and_time_of_an_input_take_room_from_its_lines(void **state)
{
	struct loaded l = { 0 };
	struct buf problems;

	(void)state;
	assert_int_equal(load(INPUT "    key: kkk\n    headers: { ab: 'x%{host}' }\n    event_time: { field: t, format: unix }\n"
			      "producer: { bootstrap.servers: 'a:1', max.request.size: 100000 }\n", &l, &problems), 0);
	assert_int_equal(l.conf->inputs[0].max_line, 100000 - 512 - 3 - (2 + 8 + 255 + 10) - 64);
	buf_release(&problems);
	loaded_release(&l);
}

static void patterns_of_one_input_have_a_bound_together(void **state)
{
	(void)state;
	bad("inputs:\n  - topic: t\n    paths: ['/{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}', '/a']\n"
	    "producer: { bootstrap.servers: 'a:1' }\n",
	    ":2:5: the paths or the exclude patterns stand for more than 1000, each file is compared with all: make it two "
	    "inputs\n");
	bad("inputs:\n  - topic: t\n    paths: ['/{a,b', '/a']\nproducer: { bootstrap.servers: 'a:1' }\n",
	    ":3:13: \"/{a,b\" has a \"{\" without its \"}\" (the character itself is \"\\{\")\n");
}

static void an_object_does_not_go_through_a_serializer_of_numbers(void **state)
{
	struct loaded l = { 0 };
	struct buf problems;

	(void)state;
	bad(INPUT "    value: json\nproducer: { bootstrap.servers: 'a:1', value.serializer: long }\n",
	    ":2:5: value: json makes objects, which value.serializer: long does not take\n");
	assert_int_equal(load(INPUT "    value: json\nproducer: { bootstrap.servers: 'a:1', value.serializer: json "
	    "}\n", &l, &problems), 0);
	buf_release(&problems);
	loaded_release(&l);
}

/* What needs the agent's own readers to be told. */
static void a_record_that_nobody_can_make_is_a_problem_of_its_input(void **state)
{
	(void)state;
	bad(INPUT "    event_time: { field: t, format: '%H:%M' }\nproducer: { bootstrap.servers: 'a:1' }\n",
	    ":2:5: event_time: a time without its year cannot be told: the same line must be the same time next year\n");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(every_problem_of_both_parts_is_told_in_one_run, setup, teardown),
	cmocka_unit_test_setup_teardown(a_key_that_is_refused_is_not_asked_for_too, setup, teardown),
	cmocka_unit_test_setup_teardown(lists_and_blocks_arrive_and_secrets_do_not_come_back, setup, teardown),
	cmocka_unit_test_setup_teardown(interceptors_are_printed_as_yaml_that_reads_back, setup, teardown),
	cmocka_unit_test_setup_teardown(a_small_memory_lowers_the_longest_line, setup, teardown),
	cmocka_unit_test_setup_teardown(headers_of_interceptors_lower_the_longest_line, setup, teardown),
	cmocka_unit_test_setup_teardown(groups_of_lines_fit_a_request_as_lines_do, setup, teardown),
	cmocka_unit_test_setup_teardown(key_headers_and_time_of_an_input_take_room_from_its_lines, setup, teardown),
	cmocka_unit_test_setup_teardown(patterns_of_one_input_have_a_bound_together, setup, teardown),
	cmocka_unit_test_setup_teardown(a_record_that_nobody_can_make_is_a_problem_of_its_input, setup, teardown),
	cmocka_unit_test_setup_teardown(an_object_does_not_go_through_a_serializer_of_numbers, setup, teardown),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_conf.c - the configuration as a whole: defaults, every class of problem with its exact words and place, the
 * producer's section, unreadable files, short memory. */
#include "tests/lib/conf.h"

#include <errno.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"

#define MIB ((int64_t)1 << 20)

static void the_smallest_file_gets_every_default(void **state)
{
	struct conf *c = good(BASE);
	const struct conf_input *in = c->inputs;

	(void)state;
	assert_string_equal(c->path, "f.yaml");
	assert_string_equal(c->state_dir, "/var/lib/spillway");
	assert_int_equal(c->delivery, CONF_EXACTLY_ONCE);
	assert_int_equal(c->compress_threads, 0);
	assert_int_equal(c->max_lanes, 1000);
	assert_int_equal(c->spool.max_size, 10240 * MIB);
	assert_int_equal(c->spool.min_free, 1024 * MIB);
	assert_int_equal(c->spool.sync, CONF_SYNC_NORMAL);
	assert_string_equal(c->control, "/var/lib/spillway/control.sock");
	assert_int_equal(c->log.level, CONF_LOG_INFO);
	assert_false(c->log.json);
	assert_int_equal(c->shutdown_timeout_ms, 20000);
	assert_int_equal(c->input_count, 1);
	assert_string_equal(in->name, "/a.log");
	assert_int_equal(in->paths.n, 1);
	assert_string_equal(in->paths.v[0], "/a.log");
	assert_int_equal(in->exclude.n, 0);
	assert_int_equal(in->read_from, CONF_READ_BEGINNING);
	assert_int_equal(in->max_line, 1000 * 1024);
	assert_false(in->max_line_set);
	assert_string_equal(in->topic, "t");
	assert_null(in->key);
	assert_int_equal(in->partition, -1);
	assert_int_equal(in->line, 2);
	assert_int_equal(in->column, 5);
	assert_int_equal(c->masked_count, 0);
	conf_free(c);
}

/* --- keys --- */

static void an_unknown_key_comes_with_the_nearest_known_one(void **state)
{
	(void)state;
	bad(BASE "max_lane: 3\nbanana: 1\n", "f.yaml:6:1: unknown key \"max_lane\" (did you mean \"max_lanes\"?)",
	    "f.yaml:7:1: unknown key \"banana\"");
	bad(BASE "spool:\n  maxsize: 1GiB\n", "f.yaml:7:3: unknown key \"maxsize\" in spool (did you mean \"max_size\"?)");
	bad(INPUT("topc: x"), "f.yaml:4:5: unknown key \"topc\" in inputs[0] (did you mean \"topic\"?)");
}

static void a_key_of_a_later_version_is_named_as_such(void **state)
{
	(void)state;
	bad(BASE "threads: { tail: 4 }\n", "f.yaml:6:18: \"tail: 4\" is not supported yet");
}

static void metrics_are_off_or_at_an_address_or_socket(void **state)
{
	static const struct { const char *text, *want; bool is_public; } table[] = {
		{ "off", NULL, false }, { "127.0.0.1:9845", "127.0.0.1:9845", false }, { "'[::1]:9845'", "[::1]:9845", false },
		{ "127.9.9.9:0", "127.9.9.9:0", false }, { "unix:/run/m.sock", "unix:/run/m.sock", false },
		{ "0.0.0.0:9845", "0.0.0.0:9845", true }, { "'[::]:9845'", "[::]:9845", true },
		{ "10.0.0.1:80", "10.0.0.1:80", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		char text[200];
		struct conf *c;

		snprintf(text, sizeof text, BASE "metrics: { listen: %s }\n", table[i].text);
		c = good(text);
		if (table[i].want)
			assert_string_equal(c->metrics_listen, table[i].want);
		else
			assert_null(c->metrics_listen);
		assert_int_equal(conf_metrics_public(c), table[i].is_public);
		conf_free(c);
	}
}

static void an_address_of_the_metrics_that_is_none_comes_with_one_that_is(void **state)
{
	(void)state;
#define HERE(value, words) bad(BASE "metrics: { listen: " value " }\n", "f.yaml:6:20: \"listen\"" words)
	HERE("9845", ": \"9845\" has no address (did you mean \"127.0.0.1:9845\"?); 0.0.0.0 and [::] are all of this machine");
	HERE("':9845'", ": \":9845\" has no address (did you mean \"127.0.0.1:9845\"?); 0.0.0.0 and [::] are all of this machine");
	HERE("10.0.0.1", ": \"10.0.0.1\" has no port (did you mean \"10.0.0.1:9845\"?)");
	HERE("'::1:9845'", ": an IPv6 address stands in brackets (did you mean \"[::1]:9845\"?)");
	HERE("'[::1]'", ": \"[::1]\" has no port (did you mean \"[::1]:9845\"?)");
	HERE("10.0.0.1:99999", ": a port is a number from 0 to 65535, not \"99999\"");
	HERE("'host:1'", ": \"host\" is not an address in numbers, such as 127.0.0.1 or [::1]");
	HERE("unix:m.sock", ": the path of a socket begins with \"/\"");
	HERE("on", " must be off, ADDRESS:PORT or unix:/path (such as 127.0.0.1:9845 or [::1]:9845), not \"on\"");
	HERE("true", " must be off, ADDRESS:PORT or unix:/path (such as 127.0.0.1:9845 or [::1]:9845), not \"true\"");
	HERE("tcp:127.0.0.1:1", " must be off, ADDRESS:PORT or unix:/path (such as 127.0.0.1:9845 or [::1]:9845), not "
	     "\"tcp:127.0.0.1:1\"");
#undef HERE
}

static void a_missing_key_is_reported_at_its_section(void **state)
{
	(void)state;
	bad("", "f.yaml:1:1: missing key \"inputs\"", "f.yaml:1:1: missing key \"producer\"");
	bad("# nothing\nlog:\n", "f.yaml:2:1: missing key \"inputs\"", "f.yaml:2:1: missing key \"producer\"");
	bad("inputs:\n  - key: k\n  - topic: t\nproducer:\n  linger.ms: 1\n",
	    "f.yaml:2:5: missing key \"topic\" in inputs[0]", "f.yaml:2:5: missing key \"paths\" in inputs[0]",
	    "f.yaml:3:5: missing key \"paths\" in inputs[1]",
	    "f.yaml:4:1: missing key \"bootstrap.servers\" in producer");
	assert_int_equal(mock.finished, 1);
}

static void a_repeated_key_is_a_problem(void **state)
{
	(void)state;
	bad(BASE "max_lanes: 1\nmax_lanes: 2\n", "f.yaml:7:1: key \"max_lanes\" is repeated (first in line 6)");
}

static void a_wrong_shape_is_a_problem(void **state)
{
	(void)state;
	bad("hello", "f.yaml:1:1: the configuration must be a section of keys");
	bad("- a\n", "f.yaml:1:1: the configuration must be a section of keys");
	bad("inputs: {}\nproducer: []\n", "f.yaml:1:9: \"inputs\" must be a list, each input begins with \"- \"",
	    "f.yaml:2:11: \"producer\" must be a section of keys");
	bad("inputs: []\nproducer: {bootstrap.servers: b}\n", "f.yaml:1:1: \"inputs\" must not be empty");
	bad("inputs:\nproducer:\n", "f.yaml:1:1: \"inputs\" must not be empty",
	    "f.yaml:2:1: missing key \"bootstrap.servers\" in producer");
	bad("inputs: [x]\nproducer: {bootstrap.servers: b}\n", "f.yaml:1:10: \"inputs[0]\" must be a section of keys");
	bad(BASE "spool: 10GiB\n", "f.yaml:6:8: \"spool\" must be a section of keys");
	bad(BASE "max_lanes: [1]\nstate_dir: {a: b}\n", "f.yaml:6:12: \"max_lanes\" must be a single value",
	    "f.yaml:7:12: \"state_dir\" must be a single value");
	bad(INPUT("exclude: {a: b}"), "f.yaml:4:14: \"exclude\" must be a list");
	bad(INPUT("exclude: [a, [b]]"), "f.yaml:4:18: \"exclude\" must be a list of single values");
}

static void a_missing_or_empty_value_is_a_problem(void **state)
{
	(void)state;
	bad(BASE "max_lanes:\nstate_dir: ''\ncontrol: ~\n", "f.yaml:6:1: \"max_lanes\" has no value",
	    "f.yaml:7:12: \"state_dir\" must not be empty", "f.yaml:8:1: \"control\" has no value");
	bad("inputs:\n  - paths: []\n    topic: ''\nproducer: {bootstrap.servers: b}\n",
	    "f.yaml:2:5: \"paths\" must not be empty", "f.yaml:3:12: \"topic\" must not be empty");
	bad(INPUT("exclude: [a, '', ~]"), "f.yaml:4:18: \"exclude\" must not hold an empty value",
	    "f.yaml:4:22: \"exclude\" must not hold an empty value");
}

static void an_empty_section_list_or_key_is_as_if_absent(void **state)
{
	struct conf *c = good(BASE "spool:\n  # max_size: 1\nlog: {}\n");

	(void)state;
	assert_int_equal(c->spool.max_size, 10240 * MIB);
	conf_free(c);
	c = good(INPUT("key:\n    exclude:"));
	assert_null(c->inputs[0].key);
	conf_free(c);
	c = good(INPUT("key: ''\n    exclude: []"));
	assert_null(c->inputs[0].key);
	conf_free(c);
}

/* --- values --- */

static void a_value_of_a_fixed_set_comes_with_the_nearest_one(void **state)
{
	(void)state;
	bad(BASE "spool: { sync: ful }\n", "f.yaml:6:16: \"sync\" must be normal or full, not \"ful\" (did you mean \"full\"?)");
	bad(BASE "log: { level: verbose, format: JSON }\n",
	    "f.yaml:6:15: \"level\" must be error, warn, info or debug, not \"verbose\"",
	    "f.yaml:6:32: \"format\" must be logfmt or json, not \"JSON\"");
	bad(INPUT("type: fiel"), "f.yaml:4:11: \"type\" must be file, stdin, syslog or journald, not \"fiel\" "
	    "(did you mean \"file\"?)");
	bad(BASE "threads: { compress: atuo }\n", "f.yaml:6:22: \"compress\" must be auto or a number, not \"atuo\" "
	    "(did you mean \"auto\"?)");
}

static void booleans_are_only_true_and_false(void **state)
{
	(void)state;
	bad(INPUT("follow_symlinks: no"), "f.yaml:4:22: \"follow_symlinks\" must be true or false, not \"no\"");
	bad(INPUT("follow_symlinks: False"), "f.yaml:4:22: \"follow_symlinks\" must be true or false, not \"False\" "
	    "(did you mean \"false\"?)");
	bad(INPUT("follow_symlinks: 0"), "f.yaml:4:22: \"follow_symlinks\" must be true or false, not \"0\"");
}

static void a_number_must_be_one_and_within_its_bounds(void **state)
{
	(void)state;
	bad(BASE "max_lanes: many\n", "f.yaml:6:12: \"max_lanes\" must be a number, not \"many\"");
	bad(BASE "max_lanes: 0x10\n", "f.yaml:6:12: \"max_lanes\" must be a number, not \"0x10\"");
	bad(BASE "max_lanes: 99999999999999999999\n",
	    "f.yaml:6:12: \"max_lanes\" must be a number, not \"99999999999999999999\"");
	bad(BASE "max_lanes: 0\n", "f.yaml:6:12: \"max_lanes\" must be between 1 and 100000, not 0");
	bad(INPUT("partition: -1"), "f.yaml:4:16: \"partition\" must be between 0 and 2147483647, not -1");
	bad(INPUT("partition: 2147483648"), "f.yaml:4:16: \"partition\" must be between 0 and 2147483647, not 2147483648");
	bad(BASE "threads: { compress: 0, tail: 0 }\n", "f.yaml:6:22: \"compress\" must be between 1 and 256, not 0",
	    "f.yaml:6:31: \"tail\" must be 1, not 0");
}

static void sizes_and_times_need_their_units(void **state)
{
	(void)state;
	bad(BASE "spool: { max_size: 10GB, min_free: lots }\n",
	    "f.yaml:6:20: \"max_size\" must be a size such as 10GiB, not \"10GB\" (did you mean \"10GiB\"?)",
	    "f.yaml:6:36: \"min_free\" must be a size such as 1GiB, not \"lots\"");
	bad(BASE "spool: { max_size: 10 m, min_free: 5k }\n",
	    "f.yaml:6:20: \"max_size\" must be a size such as 10GiB, not \"10 m\" (did you mean \"10MiB\"?)",
	    "f.yaml:6:36: \"min_free\" must be a size such as 1GiB, not \"5k\" (did you mean \"5KiB\"?)");
	bad(BASE "spool: { max_size: 1B }\n", "f.yaml:6:20: \"max_size\" must be at least 64KiB, not 1B");
	bad(INPUT("max_line: 0"), "f.yaml:4:15: \"max_line\" must be between 1B and 1GiB, not 0");
	bad(BASE "shutdown_timeout: 20\n", "f.yaml:6:19: \"shutdown_timeout\" must be a time such as 20s, not \"20\"");
	bad(BASE "shutdown_timeout: 2d\n", "f.yaml:6:19: \"shutdown_timeout\" must be between 0ms and 1d, not 2d");
}

static void a_wrong_topic_or_template_is_refused(void **state)
{
	(void)state;
	bad("inputs:\n  - {paths: /a, topic: my logs}\nproducer: {bootstrap.servers: b}\n",
	    "f.yaml:2:24: a topic is made of letters, digits, \".\", \"_\" and \"-\" only");
	bad(INPUT("key: '%{hots}'"), "f.yaml:4:10: unknown template \"%{hots}\" (did you mean \"%{host}\"?)");
	bad(INPUT("key: '%{env.SPILLWAY_UNSET}'"), "f.yaml:4:10: environment variable \"SPILLWAY_UNSET\" is not set");
}

static void a_socket_path_that_no_socket_can_have_is_a_problem(void **state)
{
	char text[600], dir[101];

	(void)state;
	memset(dir, 'd', sizeof dir);
	dir[100] = 0;
	snprintf(text, sizeof text, BASE "control: /%s/1234567\n", dir);
	bad(text, "f.yaml:6:10: \"control\": a socket's path has at most 107 bytes, this one has 109");
	snprintf(text, sizeof text, BASE "state_dir: /%s\n", dir);
	bad(text, "f.yaml:6:12: \"control\": a socket's path has at most 107 bytes, this one has 114");
}

static void relative_paths_are_resolved_at_load(void **state)
{
	static const char text[] = "state_dir: .\ncontrol: ../c\n"
		"inputs: [{paths: [x/*.log, ./y, ../../../../z, .hidden], exclude: ['*.gz', a/b, '**/c', './d'], topic: t}]\n"
		"producer: {bootstrap.servers: b}\n";
	char old[4096], dir[] = "/tmp/spillway-conf-XXXXXX", want[200];
	struct conf *c;

	(void)state;
	assert_non_null(getcwd(old, sizeof old));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	c = good(text);
	assert_string_equal(c->state_dir, dir);
	assert_string_equal(c->control, "/tmp/c");
	snprintf(want, sizeof want, "%s/x/*.log", dir);
	assert_string_equal(c->inputs[0].paths.v[0], want);
	assert_string_equal(c->inputs[0].name, want);
	snprintf(want, sizeof want, "%s/y", dir);
	assert_string_equal(c->inputs[0].paths.v[1], want);
	assert_string_equal(c->inputs[0].paths.v[2], "/z");
	snprintf(want, sizeof want, "%s/.hidden", dir);
	assert_string_equal(c->inputs[0].paths.v[3], want);
	assert_string_equal(c->inputs[0].exclude.v[0], "*.gz");
	snprintf(want, sizeof want, "%s/a/b", dir);
	assert_string_equal(c->inputs[0].exclude.v[1], want);
	assert_string_equal(c->inputs[0].exclude.v[2], "**/c");
	snprintf(want, sizeof want, "%s/d", dir);
	assert_string_equal(c->inputs[0].exclude.v[3], want);
	conf_free(c);
	assert_int_equal(chdir(old), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* --- all problems in one run --- */

static void all_problems_are_found_in_one_run_and_in_the_order_of_the_lines(void **state)
{
	(void)state;
	mock.bad_key = "linger.ms";
	mock.bad_text = "no number:";
	bad("max_lanes: x\nmax_lanes: 1\ninputs:\n  - topic: 'a b'\n    tpic: x\nproducer:\n  linger.ms: soon\nspol: {}\n"
	    "log: { level: '${env:SPILLWAY_UNSET}' }\n",
	    "f.yaml:1:12: \"max_lanes\" must be a number, not \"x\"",
	    "f.yaml:2:1: key \"max_lanes\" is repeated (first in line 1)",
	    "f.yaml:4:5: missing key \"paths\" in inputs[0]",
	    "f.yaml:4:12: a topic is made of letters, digits, \".\", \"_\" and \"-\" only",
	    "f.yaml:5:5: unknown key \"tpic\" in inputs[0] (did you mean \"topic\"?)",
	    "f.yaml:6:1: missing key \"bootstrap.servers\" in producer",
	    "f.yaml:7:3: no number: soon",
	    "f.yaml:8:1: unknown key \"spol\" (did you mean \"spool\"?)",
	    "f.yaml:9:15: environment variable \"SPILLWAY_UNSET\" is not set");
}

static void a_flood_of_problems_ends_at_a_hundred(void **state)
{
	struct conf_problems p;
	struct conf *c;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	for (int i = 0; i < 300; i++)
		buf_printf(&b, "unknown%d: 1\n", i);
	assert_int_equal(load(b.data, &c, &p), ERR_CONFIG);
	assert_int_equal(p.n, 100);
	assert_string_equal(p.v[99].text, "f.yaml: too many problems, the rest is not shown");
	conf_problems_release(&p);
	buf_release(&b);
}

static void a_fault_of_syntax_is_a_problem_with_a_place(void **state)
{
	(void)state;
	bad("inputs:\n\t- x\n", "f.yaml:2:1: not YAML: found character that cannot start any token "
	    "while scanning for the next token (indent with spaces, not tabs)");
}

static void control_bytes_of_a_value_do_not_reach_the_terminal(void **state)
{
	(void)state;
	bad(BASE "log: { level: \"\\e[31m\\n\" }\n",
	    "f.yaml:6:15: \"level\" must be error, warn, info or debug, not \"?[31m?\"");
}

static void an_agents_own_check_adds_to_the_problems(void **state)
{
	struct conf_problems p = { 0 };

	(void)state;
	assert_int_equal(conf_problem_add(&p, "f.yaml", 3, 4, "%s is %d", "x", 1), 0);
	assert_int_equal(conf_problem_add(&p, "f.yaml", 0, 0, "about all"), 0);
	assert_string_equal(p.v[0].text, "f.yaml:3:4: x is 1");
	assert_string_equal(p.v[1].text, "f.yaml: about all");
	conf_problems_release(&p);
}

/* --- producer --- */

static void the_producer_gets_the_preset_first_and_then_every_key(void **state)
{
	(void)state;
	conf_free(good(BASE "  linger.ms: 5\n  x: 'y z'\n"));
	assert_string_equal(mock.said, "preset=balanced\nbootstrap.servers=b:9092\nlinger.ms=5\nx=y z\n");
	assert_int_equal(mock.finished, 1);
	memset(&mock, 0, sizeof mock);
	conf_free(good(BASE "  linger.ms: 5\n  preset: min-latency\n"));
	assert_string_equal(mock.said, "preset=min-latency\nbootstrap.servers=b:9092\nlinger.ms=5\n");
}

static void what_the_producer_refuses_stands_at_the_keys_place(void **state)
{
	(void)state;
	mock.bad_key = "lnger.ms";
	mock.bad_text = "unknown key";
	mock.finish_text = "acks must be all";
	bad(BASE "  lnger.ms: 5\n", "f.yaml:4:1: acks must be all", "f.yaml:6:3: unknown key 5");
}

static void a_producer_key_has_one_single_value(void **state)
{
	(void)state;
	bad(BASE "  a: [1]\n  b: {c: d}\n  e:\n", "f.yaml:6:6: \"a\" must be a single value",
	    "f.yaml:7:6: \"b\" must be a single value", "f.yaml:8:3: \"e\" has no value");
	assert_string_equal(mock.said, "preset=balanced\nbootstrap.servers=b:9092\n");
}

static void a_key_that_takes_more_gets_lists_and_sections_as_json(void **state)
{
	(void)state;
	setenv("SPILLWAY_TEST", "5", 1);
	conf_free(good(BASE "  json.a:\n  - header: { name: dc, value: \"eu\\\"1\" }\n  - { n: -1.5e3, z: 01, t: true, q: "
			"'true', e: ~, "
		       "v: '', x: '${env:SPILLWAY_TEST}' }\n  json.b: [a:1, 'b:2', \"\\u00e4\"]\n  json.c: [[], {}]\n  "
				"json.d: one\n"));
	unsetenv("SPILLWAY_TEST");
	assert_string_equal(mock.said, "preset=balanced\nbootstrap.servers=b:9092\n"
			    "json.a=[{\"header\":{\"name\":\"dc\",\"value\":\"eu\\\"1\"}},{\"n\":-1.5e3,\"z\":\"01\","
					"\"t\":true,\"q\":\"true\","
			    "\"e\":null,\"v\":\"\",\"x\":\"5\"}]\n"
			    "json.b=[\"a:1\",\"b:2\",\"\xc3\xa4\"]\njson.c=[[],{}]\njson.d=one\n");
}

static void a_refused_list_stands_at_its_key_and_a_broken_part_at_the_part(void **state)
{
	(void)state;
	mock.bad_key = "json.a";
	mock.bad_text = "no:";
	bad(BASE "  json.a: [x]\n", "f.yaml:6:3: no: [\"x\"]");
	bad(BASE "  json.b: [x, '${env:NO_SUCH_NAME_1}']\n",
	    "f.yaml:6:15: environment variable \"NO_SUCH_NAME_1\" is not set");
}

static void a_secret_inside_a_list_is_masked_and_never_shown(void **state)
{
	struct secret s = secret_new("hush", 4);
	char text[300], want[100];
	struct conf *c;

	(void)state;
	snprintf(text, sizeof text, BASE "  json.a: [{ with: '${file:%s}' }]\n", s.path);
	c = good(text);
	assert_int_equal(c->producer_masked.n, 1);
	assert_string_equal(c->producer_masked.v[0], "json.a");
	conf_free(c);
	mock.bad_key = "json.a";
	mock.bad_text = "no:";
	snprintf(want, sizeof want, "f.yaml:6:3: json.a: bad value (it is secret and not shown)");
	bad(text, want);
	mock.bad_key = NULL;
	mock.finish_text = "json.a: hush is wrong";
	bad(text, "f.yaml:6:3: json.a: *** is wrong");
	secret_free(&s);
}

static void a_block_of_lines_arrives_as_it_is(void **state)
{
	(void)state;
	conf_free(good(BASE "  ssl.ca.pem: |\n    -----BEGIN CERTIFICATE-----\n    MIIB\n    -----END CERTIFICATE-----\n  x: 1\n"));
	assert_string_equal(mock.said, "preset=balanced\nbootstrap.servers=b:9092\n"
			    "ssl.ca.pem=-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n\nx=1\n");
}

static void all_cross_checks_are_said_but_not_about_keys_that_are_wrong_anyway(void **state)
{
	(void)state;
	mock.finish_text = "acks: all is needed";
	mock.finish_more = "retries: are needed";
	bad(BASE "  retries: 0\n  acks: 1\n", "f.yaml:6:3: retries: are needed", "f.yaml:7:3: acks: all is needed");
	mock.bad_key = "acks";
	mock.bad_text = "what is";
	bad(BASE "  retries: 0\n  acks: 1\n", "f.yaml:6:3: retries: are needed", "f.yaml:7:3: what is 1");
	mock.finish_more = "bootstrap.servers is required";
	bad("inputs: [{topic: t, paths: /a}]\nproducer: {acks: 2}\n",
	    "f.yaml:2:1: missing key \"bootstrap.servers\" in producer", "f.yaml:2:12: what is 2");
}

static void the_agents_own_checks_run_with_other_problems_too(void **state)
{
	(void)state;
	conf_free(good(BASE));
	assert_int_equal(mock.ended, 1);
	bad(BASE "max_lanes: 0\n", "f.yaml:6:12: \"max_lanes\" must be between 1 and 100000, not 0");
	assert_int_equal(mock.ended, 2);
}

static void without_hooks_the_producer_section_is_only_looked_at(void **state)
{
	struct conf_problems p = { 0 };
	struct conf *c = NULL;

	(void)state;
	assert_int_equal(conf_load_text("f", BASE, strlen(BASE), NULL, &c, &p), 0);
	conf_free(c);
}

static void max_reliability_makes_the_ledger_durable_unless_told_otherwise(void **state)
{
	struct conf *c = good(BASE "  preset: max-reliability\n");

	(void)state;
	assert_int_equal(c->spool.sync, CONF_SYNC_FULL);
	conf_free(c);
	c = good(BASE "  preset: max-reliability\nspool: { sync: normal }\n");
	assert_int_equal(c->spool.sync, CONF_SYNC_NORMAL);
	conf_free(c);
}

/* --- files --- */

static void a_file_that_cannot_be_read_is_one_problem_without_a_place(void **state)
{
	struct conf_problems p = { 0 };
	struct conf *c = NULL;

	(void)state;
	assert_int_equal(conf_load("/nonexistent/f.yaml", &hooks, &c, &p), -ENOENT);
	assert_int_equal(p.n, 1);
	assert_string_equal(p.v[0].text, "/nonexistent/f.yaml: cannot read the configuration: No such file or directory");
	conf_problems_release(&p);
	assert_int_equal(conf_load("/tmp", &hooks, &c, &p), -EISDIR);
	assert_string_equal(p.v[0].text, "/tmp: cannot read the configuration: Is a directory");
	conf_problems_release(&p);
	assert_int_equal(conf_load("/dev/zero", &hooks, &c, &p), ERR_CONFIG);
	assert_string_equal(p.v[0].text, "/dev/zero:1:1: larger than 1MiB");
	conf_problems_release(&p);
	assert_null(c);
}

/* --- short memory --- */

static void short_memory_anywhere_is_reported_and_leaves_nothing(void **state)
{
	struct secret s = secret_new("7", 1);
	static const char *const texts[] = {
		"inputs:\n  - {paths: ['/p${cred:secret}', q, '/{a,b}'], exclude: [a, b/c], topic: 't%{file}', key: '${env:HOME}',"
		" headers: {a: b, c: '%{path}'}, multiline: {preset: go}, event_time: {pattern: (x), format: unix}, encoding: utf8,"
		" include_lines: [a, b]}\n"
		"producer: {bootstrap.servers: b}\n",
		"inputs: [{paths: x, tpic: y, name: '${env:SPILLWAY_UNSET}', key: '%{x}', include_lines: (, encoding: no,"
		" headers: {a: '%{x}'}, multiline: {}, listen: x}]\na: 1\na: 2\nmax_lanes: x\n",
	};
	static const int expected[] = { 0, ERR_CONFIG };

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		int rc = ERR_NOMEM;
		long n = 0;

		while (rc == ERR_NOMEM) {
			struct conf_problems p;
			struct conf *c;

			assert_true(++n < 1000);
			memset(&mock, 0, sizeof mock);
			mem_fail_nth(n);
			rc = load(texts[i], &c, &p);
			mem_fail_nth(0);
			conf_problems_release(&p);
			conf_free(c);
		}
		assert_int_equal(rc, expected[i]);
		assert_true(n > 40);
	}
	secret_free(&s);
}

static const struct CMUnitTest tests[] = {
	TEST(the_smallest_file_gets_every_default),
	TEST(an_unknown_key_comes_with_the_nearest_known_one),
	TEST(a_key_of_a_later_version_is_named_as_such),
	TEST(metrics_are_off_or_at_an_address_or_socket),
	TEST(an_address_of_the_metrics_that_is_none_comes_with_one_that_is),
	TEST(a_missing_key_is_reported_at_its_section),
	TEST(a_repeated_key_is_a_problem),
	TEST(a_wrong_shape_is_a_problem),
	TEST(a_missing_or_empty_value_is_a_problem),
	TEST(an_empty_section_list_or_key_is_as_if_absent),
	TEST(a_value_of_a_fixed_set_comes_with_the_nearest_one),
	TEST(booleans_are_only_true_and_false),
	TEST(a_number_must_be_one_and_within_its_bounds),
	TEST(sizes_and_times_need_their_units),
	TEST(a_wrong_topic_or_template_is_refused),
	TEST(a_socket_path_that_no_socket_can_have_is_a_problem),
	TEST(relative_paths_are_resolved_at_load),
	TEST(all_problems_are_found_in_one_run_and_in_the_order_of_the_lines),
	TEST(a_flood_of_problems_ends_at_a_hundred),
	TEST(a_fault_of_syntax_is_a_problem_with_a_place),
	TEST(control_bytes_of_a_value_do_not_reach_the_terminal),
	TEST(an_agents_own_check_adds_to_the_problems),
	TEST(the_producer_gets_the_preset_first_and_then_every_key),
	TEST(what_the_producer_refuses_stands_at_the_keys_place),
	TEST(a_producer_key_has_one_single_value),
	TEST(a_key_that_takes_more_gets_lists_and_sections_as_json),
	TEST(a_refused_list_stands_at_its_key_and_a_broken_part_at_the_part),
	TEST(a_secret_inside_a_list_is_masked_and_never_shown),
	TEST(a_block_of_lines_arrives_as_it_is),
	TEST(all_cross_checks_are_said_but_not_about_keys_that_are_wrong_anyway),
	TEST(the_agents_own_checks_run_with_other_problems_too),
	TEST(without_hooks_the_producer_section_is_only_looked_at),
	TEST(max_reliability_makes_the_ledger_durable_unless_told_otherwise),
	TEST(a_file_that_cannot_be_read_is_one_problem_without_a_place),
	TEST(short_memory_anywhere_is_reported_and_leaves_nothing),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

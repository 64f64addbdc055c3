/* test_conf_input.c - the keys of an input: each arrives in its field, each fault has its words and its place, and what several
 * keys of one input (or two inputs) must agree on. */
#include "tests/lib/conf.h"

#include "agent/base/mem.h"

#define MIB ((int64_t)1 << 20)
/* One input of another type: from line 3 on, column 5. */
#define OF_TYPE(type, more) "inputs:\n  - {type: " type ", topic: t,\n    " more "}\nproducer: {bootstrap.servers: b}\n"

static void same(const struct conf_strings *list, const char *joined)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_puts(&b, "");
	for (size_t i = 0; i < list->n; i++)
		buf_printf(&b, "%s%s", i ? " " : "", list->v[i]);
	assert_string_equal(b.data, joined);
	buf_release(&b);
}

static void check_reading(const struct conf_input *in)
{
	assert_string_equal(in->name, "first one");
	assert_int_equal(in->type, CONF_TYPE_FILE);
	same(&in->paths, "/var/log/**/[ab]*.log");
	same(&in->exclude, "*.gz /x/y");
	assert_int_equal(in->read_from, CONF_READ_END);
	assert_int_equal(in->ignore_older_ms, (int64_t)7 * 24 * 3600 * 1000);
	assert_true(in->follow_symlinks);
	assert_int_equal(in->watch, CONF_WATCH_POLL);
	assert_true(in->compressed);
	assert_string_equal(in->encoding, "utf-16le");
	assert_int_equal(in->max_line, 65536);
	assert_true(in->max_line_set);
	assert_int_equal(in->long_lines, CONF_LONG_SKIP);
	assert_int_equal(in->format, CONF_FORMAT_CRI);
	assert_true(in->multiline.set);
	assert_null(in->multiline.preset);
	assert_string_equal(in->multiline.start, "^\\d{4}-");
	assert_string_equal(in->multiline.next, "^\\s");
	assert_string_equal(in->multiline.end, ";$");
	assert_int_equal(in->multiline.timeout_ms, 2000);
	assert_int_equal(in->multiline.max_lines, 7);
	assert_int_equal(in->multiline.max_bytes, 1024);
	assert_true(in->multiline.max_bytes_set);
}

static void check_record(const struct conf_input *in)
{
	same(&in->include_lines, "^a: \"\\d{2}\" \\$");
	same(&in->exclude_lines, "#|[}]");
	assert_int_equal(in->when_full, CONF_INPUT_WAIT);
	assert_string_equal(in->topic, "a.%{input}");
	same(&in->topics_allowed, "app-* [a-z]?");
	assert_string_equal(in->key, "%{path}: \"k\"");
	assert_int_equal(in->partition, 0);
	assert_int_equal(in->headers.n, 3);
	assert_string_equal(in->headers.names[0], "z");
	assert_string_equal(in->headers.values[0], "%{host}");
	assert_string_equal(in->headers.names[1], "a");
	assert_string_equal(in->headers.values[1], "");
	assert_string_equal(in->headers.names[2], "b: c");
	assert_string_equal(in->headers.values[2], "x\"%{path}");
	assert_int_equal(in->value, CONF_VALUE_JSON);
	assert_null(in->event_time.field);
	assert_string_equal(in->event_time.pattern, "^(\\S+)");
	assert_string_equal(in->event_time.format, "%Y-%m-%d %H:%M");
}

static void check_others(const struct conf_input *in)
{
	assert_int_equal(in[1].type, CONF_TYPE_STDIN);
	assert_string_equal(in[1].name, "stdin");
	assert_string_equal(in[1].multiline.preset, "java");
	assert_string_equal(in[1].encoding, "utf-8");
	assert_int_equal(in[1].long_lines, CONF_LONG_TRUNCATE);
	assert_int_equal(in[1].format, CONF_FORMAT_DOCKER);
	assert_int_equal(in[2].type, CONF_TYPE_SYSLOG);
	assert_string_equal(in[2].name, "tcp:[::1]:514");
	assert_string_equal(in[2].listen, "tcp:[::1]:514");
	assert_string_equal(in[2].event_time.field, "a.b");
	assert_null(in[2].event_time.pattern);
	assert_string_equal(in[2].event_time.format, "unix_ms");
	assert_int_equal(in[3].type, CONF_TYPE_JOURNALD);
	assert_string_equal(in[3].name, "journald");
	same(&in[3].units, "nginx.service a.timer");
	assert_string_equal(in[4].paths.v[2], "/\xc3\xa4\xe2\x80\xa8\x7f\n");
	assert_null(in[4].key);
}

static void every_key_arrives_in_its_field(void **state)
{
	struct conf *c = good(EVERYTHING);

	(void)state;
	assert_string_equal(c->state_dir, "/s");
	assert_int_equal(c->compress_threads, 3);
	assert_int_equal(c->max_lanes, 7);
	assert_int_equal(c->input_count, 5);
	check_reading(c->inputs);
	check_record(c->inputs);
	check_others(c->inputs);
	assert_int_equal(c->spool.max_size, 1024 * MIB);
	assert_int_equal(c->spool.min_free, 0);
	assert_int_equal(c->spool.sync, CONF_SYNC_FULL);
	assert_string_equal(c->control, "/c.sock");
	assert_int_equal(c->log.level, CONF_LOG_DEBUG);
	assert_true(c->log.json);
	assert_int_equal(c->shutdown_timeout_ms, 1500);
	assert_string_equal(mock.said, "preset=min-latency\nlinger.ms=5\nbootstrap.servers=b:9092\n");
	conf_free(c);
}

static void the_smallest_input_gets_every_default(void **state)
{
	struct conf *c = good(INPUT("multiline: { preset: go }"));
	const struct conf_input *in = c->inputs;

	(void)state;
	assert_int_equal(in->type, CONF_TYPE_FILE);
	assert_int_equal(in->ignore_older_ms, 0);
	assert_false(in->follow_symlinks);
	assert_int_equal(in->watch, CONF_WATCH_AUTO);
	assert_false(in->compressed);
	assert_string_equal(in->encoding, "utf-8");
	assert_int_equal(in->long_lines, CONF_LONG_SPLIT);
	assert_int_equal(in->format, CONF_FORMAT_RAW);
	assert_int_equal(in->multiline.timeout_ms, 1000);
	assert_int_equal(in->multiline.max_lines, 500);
	assert_int_equal(in->multiline.max_bytes, 512 * 1024);
	assert_false(in->multiline.max_bytes_set);
	assert_int_equal(in->include_lines.n + in->exclude_lines.n + in->topics_allowed.n + in->headers.n + in->units.n, 0);
	assert_int_equal(in->when_full, CONF_INPUT_SPILL);
	assert_int_equal(in->value, CONF_VALUE_RAW);
	assert_null(in->event_time.field);
	assert_null(in->event_time.format);
	assert_null(in->listen);
	conf_free(c);
	c = good(BASE);
	assert_false(c->inputs[0].multiline.set);
	conf_free(c);
}

static void no_value_is_as_if_absent_where_a_default_is_none(void **state)
{
	struct conf *c = good(INPUT("multiline:\n    event_time: ~\n    headers:\n    include_lines:\n    topics_allowed: []"));

	(void)state;
	assert_false(c->inputs[0].multiline.set);
	conf_free(c);
}

/* --- values --- */

struct fault { const char *line, *problem; };

/* Each line is the fourth of a file, the problem stands in it. */
static void each_is_bad(const struct fault *of, size_t n)
{
	char text[1000], want[1000];

	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, INPUT("%s"), of[i].line);
		snprintf(want, sizeof want, "f.yaml:4:%s", of[i].problem);
		bad(text, want);
	}
}

static void a_wrong_value_comes_with_what_is_right(void **state)
{
	static const struct fault of[] = {
		{ "ignore_older: old", "19: \"ignore_older\" must be off or a time such as 7d, not \"old\"" },
		{ "ignore_older: of", "19: \"ignore_older\" must be off or a time such as 7d, not \"of\" (did you mean \"off\"?)" },
		{ "ignore_older: 7", "19: \"ignore_older\" must be off or a time such as 7d, not \"7\"" },
		{ "ignore_older: 5ms", "19: \"ignore_older\" must be at least 1s, not 5ms" },
		{ "watch: pol", "12: \"watch\" must be auto, inotify or poll, not \"pol\" (did you mean \"poll\"?)" },
		{ "compressed: yes", "17: \"compressed\" must be true or false, not \"yes\"" },
		{ "long_lines: skpi", "17: \"long_lines\" must be split, truncate or skip, not \"skpi\" (did you mean \"skip\"?)" },
		{ "format: k8s", "13: \"format\" must be raw, docker, cri or auto, not \"k8s\"" },
		{ "value: jsn", "12: \"value\" must be raw or json, not \"jsn\" (did you mean \"json\"?)" },
		{ "encoding: utf-19", "15: iconv knows no encoding \"utf-19\" (did you mean \"utf-16\"?)" },
		{ "encoding: none", "15: iconv knows no encoding \"none\", `iconv --list` names those that it does" },
		{ "encoding: latin1//IGNORE", "15: iconv knows no encoding \"latin1//IGNORE\", `iconv --list` names those "
		    "that it does" },
		{ "encoding: ''", "15: \"encoding\" must not be empty" },
		{ "multiline: { preset: jaav }", "26: \"preset\" must be java, python, go, ruby or dotnet, not \"jaav\" "
		  "(did you mean \"java\"?)" },
		{ "multiline: { strat: x, end: y }", "18: unknown key \"strat\" in multiline (did you mean \"start\"?)" },
		{ "multiline: { end: x, max_lines: 0 }", "37: \"max_lines\" must be between 1 and 1000000, not 0" },
		{ "multiline: { end: x, max_bytes: 1KB }", "37: \"max_bytes\" must be a size such as 512KiB, not \"1KB\" "
		  "(did you mean \"1KiB\"?)" },
		{ "multiline: java", "16: \"multiline\" must be a section of keys" },
	};

	(void)state;
	each_is_bad(of, COUNT(of));
}

static void a_pattern_that_does_not_compile_is_told_with_its_position(void **state)
{
	static const struct fault of[] = {
		{ "include_lines: ['a(b']", "21: \"a(b\" is not a pattern: missing closing parenthesis at character 4" },
		{ "exclude_lines: [x, 'a**']", "24: \"a**\" is not a pattern: quantifier does not follow a repeatable item "
		    "at character 3" },
		{ "multiline: { start: '[z-a]' }", "25: \"[z-a]\" is not a pattern: range out of order in character class "
		    "at character 4" },
		{ "multiline: { continue: '\\' }", "28: \"\\\" is not a pattern: \\ at end of pattern at character 2" },
		{ "event_time: { pattern: '(?<a', format: unix }", "28: \"(?<a\" is not a pattern: syntax error in subpattern name "
		  "(missing terminator?) at character 5" },
	};

	(void)state;
	each_is_bad(of, COUNT(of));
}

static void headers_are_names_with_templates(void **state)
{
	char text[600], long_name[251];

	(void)state;
	bad(INPUT("headers: [a]"), "f.yaml:4:14: \"headers\" must be a section of names and values");
	bad(INPUT("headers: x"), "f.yaml:4:14: \"headers\" must be a section of names and values");
	bad(INPUT("headers: { a: [b], c: ~, d: '%{hots}', '': x, a: y }"), "f.yaml:4:19: \"a\" must be a single value",
	    "f.yaml:4:24: \"c\" has no value", "f.yaml:4:33: unknown template \"%{hots}\" (did you mean \"%{host}\"?)",
	    "f.yaml:4:44: a name has 1 to 249 bytes", "f.yaml:4:51: key \"a\" is repeated (first in line 4)");
	memset(long_name, 'n', 250);
	long_name[250] = 0;
	snprintf(text, sizeof text, INPUT("headers: { %s: x }"), long_name);
	bad(text, "f.yaml:4:16: a name has 1 to 249 bytes");
}

static void a_secret_in_a_header_is_not_shown(void **state)
{
	struct secret s = secret_new("%{hush}", 7);

	(void)state;
	bad(INPUT("headers: { a: 'x${cred:secret}' }"), "f.yaml:4:19: \"a\" has a bad value (it is secret and not shown)");
	secret_free(&s);
}

#define KNOWN "known are %Y %y %m %d %e %j %H %k %I %l %M %S %f %p %b %B %h %a %A %z %Z %s %D %F %R %T %n %t %%"

static void a_time_has_a_known_format(void **state)
{
	static const struct fault of[] = {
		{ "event_time: { field: t, format: rfc333 }", "37: \"format\" must be rfc3339, unix, unix_ms, unix_ns or "
		    "strptime's (such as "
		  "\"%Y-%m-%d %H:%M:%S\"), not \"rfc333\" (did you mean \"rfc3339\"?)" },
		{ "event_time: { field: t, format: '%Y %Q' }", "37: \"%Y %Q\": a time has no \"%Q\"; " KNOWN },
		{ "event_time: { field: t, format: '%Y %' }", "37: \"%Y %\": a time has no \"%\"; " KNOWN },
		{ "event_time: { field: a..b, format: unix }", "26: \"a..b\" does not name a field: names with dots "
		    "between them, such as "
		  "user.name; a dot within a name is written \"\\.\"" },
		{ "event_time: { field: t }", "5: missing key \"format\" in event_time" },
	};

	(void)state;
	each_is_bad(of, COUNT(of));
	conf_free(good(INPUT("event_time: { field: t, format: '%e/%b/%Y %T %z %% %f' }")));
}

static void listening_is_to_an_address_in_numbers_or_a_path(void **state)
{
	static const char *const fine[] = { "udp:0.0.0.0:514", "udp:[::]:514", "tcp:127.0.0.1:65535", "tcp:[::1]:1",
						    "tcp:127.0.0.1:0", "unix:/run/log" };
	static const struct fault of[] = {
		{ "514", "\"listen\" must be udp:ADDRESS:PORT, tcp:ADDRESS:PORT or unix:/path (such as udp:0.0.0.0:514 or "
		    "tcp:[::1]:514), "
		  "not \"514\"" },
		{ "udp:127.0.0.1", "\"listen\": \"udp:127.0.0.1\" has no port (did you mean \"udp:127.0.0.1:514\"?)" },
		{ "udp:[::1]", "\"listen\": \"udp:[::1]\" has no port (did you mean \"udp:[::1]:514\"?)" },
		{ "tcp:127.0.0.1:65536", "\"listen\": a port is a number from 0 to 65535, not \"65536\"" },
		{ "tcp:127.0.0.1:x", "\"listen\": a port is a number from 0 to 65535, not \"x\"" },
		{ "udp::514", "\"listen\": \"udp::514\" has no address; 0.0.0.0 and [::] are all of this machine" },
		{ "udp:::1:514", "\"listen\": an IPv6 address stands in brackets (did you mean \"udp:[::1]:514\"?)" },
		{ "udp:[::x]:514", "\"listen\": \"[::x]\" is not an address in numbers, such as 127.0.0.1 or [::1]" },
		{ "tcp:localhost:514", "\"listen\": \"localhost\" is not an address in numbers, such as 127.0.0.1 or [::1]" },
		{ "tcp:1.2.3:514", "\"listen\": \"1.2.3\" is not an address in numbers, such as 127.0.0.1 or [::1]" },
		{ "unix:log", "\"listen\": the path of a socket begins with \"/\"" },
	};
	char text[600], want[400];

	(void)state;
	for (size_t i = 0; i < COUNT(fine); i++) {
		snprintf(text, sizeof text, OF_TYPE("syslog", "listen: '%s'"), fine[i]);
		conf_free(good(text));
	}
	for (size_t i = 0; i < COUNT(of); i++) {
		snprintf(text, sizeof text, OF_TYPE("syslog", "listen: '%s'"), of[i].line);
		snprintf(want, sizeof want, "f.yaml:3:13: %s", of[i].problem);
		bad(text, want);
	}
	memset(want, 'p', 108);
	want[108] = 0;
	snprintf(text, sizeof text, OF_TYPE("syslog", "listen: 'unix:/%s'"), want);
	bad(text, "f.yaml:3:13: \"listen\": a socket's path has at most 107 bytes, this one has 109");
}

static void units_are_names_of_single_units(void **state)
{
	(void)state;
	bad(OF_TYPE("journald", "units: [nginx, 'a*.service', .service, a/b.mount]"),
	    "f.yaml:3:13: \"nginx\" does not say what kind of unit it is (did you mean \"nginx.service\"?)",
	    "f.yaml:3:20: \"a*.service\" is not the name of one unit: there are no wildcards, list each",
	    "f.yaml:3:34: \".service\" does not say what kind of unit it is (did you mean \".service.service\"?)",
	    "f.yaml:3:44: \"a/b.mount\" is not the name of a unit");
}

/* --- globs --- */

static void a_glob_that_can_match_no_file_is_a_problem(void **state)
{
	(void)state;
	bad("inputs: [{topic: t, paths: [/var/log/, '/a.{log,txt}']}]\nproducer: {bootstrap.servers: b}\n",
	    "f.yaml:1:29: \"/var/log/\" is a directory, its files are \"/var/log/*\"");
}

static void alternatives_may_begin_at_the_root(void **state)
{
	struct conf *c = good("inputs: [{topic: t, paths: ['{/a,/b/{c,d}}/*.log'], exclude: ['{/a,/b}/x', '{y,z}']}]\n"
			      "producer: {bootstrap.servers: b}\n");

	(void)state;
	assert_string_equal(c->inputs[0].paths.v[0], "{/a,/b/{c,d}}/*.log");
	assert_string_equal(c->inputs[0].exclude.v[0], "{/a,/b}/x");
	assert_string_equal(c->inputs[0].exclude.v[1], "{y,z}");
	conf_free(c);
	bad("inputs: [{topic: t, paths: ['{/a,b}/*.log']}]\nproducer: {bootstrap.servers: b}\n",
	    "f.yaml:1:29: \"{/a,b}/*.log\" has absolute and relative alternatives, write two patterns");
}

static void alternatives_have_an_end_and_a_bound(void **state)
{
	char text[6000], want[400];
	struct buf b;

	(void)state;
	bad("inputs: [{topic: t, paths: ['/a/{b,c'], exclude: ['{x', '/{y,{z}']}]\nproducer: {bootstrap.servers: b}\n",
	    "f.yaml:1:29: \"/a/{b,c\" has a \"{\" without its \"}\" (the character itself is \"\\{\")",
	    "f.yaml:1:51: \"{x\" has a \"{\" without its \"}\" (the character itself is \"\\{\")",
	    "f.yaml:1:57: \"/{y,{z}\" has a \"{\" without its \"}\" (the character itself is \"\\{\")");
	conf_free(good("inputs: [{topic: t, paths: ['/{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}']}]\n"
		       "producer: {bootstrap.servers: b}\n"));
	bad("inputs: [{topic: t, paths: ['/{x,{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}}']}]\n"
	    "producer: {bootstrap.servers: b}\n",
	    "f.yaml:1:29: \"/{x,{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}{0,1,2,3,4,5,6,7,8,9}}\" stands for more than 1000 "
	    "patterns");
	buf_init(&b, 6000);
	for (int i = 0; i < 101; i++)
		buf_puts(&b, "{a}");
	snprintf(text, sizeof text, "inputs: [{topic: t, paths: ['/%s']}]\nproducer: {bootstrap.servers: b}\n", b.data);
	snprintf(want, sizeof want, "f.yaml:1:29: \"/%.199s\" has more than 100 braces", b.data);
	bad(text, want);
	buf_clear(&b);
	for (int i = 0; i < 4096; i++)
		buf_puts(&b, "a");
	snprintf(text, sizeof text, "inputs: [{topic: t, paths: ['/%s']}]\nproducer: {bootstrap.servers: b}\n", b.data);
	snprintf(want, sizeof want, "f.yaml:1:29: \"/%.199s...\" is longer than any path", b.data);
	bad(text, want);
	buf_release(&b);
}

/* --- keys that belong together --- */

static void keys_of_another_type_are_refused_and_its_own_are_missed(void **state)
{
	(void)state;
	bad(OF_TYPE("stdin", "paths: /a, exclude: b, read_from: end, ignore_older: off, follow_symlinks: false,\n"
		    "    watch: poll, compressed: true, listen: 'udp:127.0.0.1:1', units: []"),
	    "f.yaml:3:5: \"paths\" is of inputs of type file, this one is of type stdin",
	    "f.yaml:3:16: \"exclude\" is of inputs of type file, this one is of type stdin",
	    "f.yaml:3:28: \"read_from\" is of inputs of type file and journald, this one is of type stdin",
	    "f.yaml:3:44: \"ignore_older\" is of inputs of type file, this one is of type stdin",
	    "f.yaml:3:63: \"follow_symlinks\" is of inputs of type file, this one is of type stdin",
	    "f.yaml:4:5: \"watch\" is of inputs of type file, this one is of type stdin",
	    "f.yaml:4:18: \"compressed\" is of inputs of type file, this one is of type stdin",
	    "f.yaml:4:36: \"listen\" is of inputs of type syslog, this one is of type stdin",
	    "f.yaml:4:63: \"units\" is of inputs of type journald, this one is of type stdin");
	bad(OF_TYPE("syslog", "multiline: { preset: go }, encoding: latin1, format: cri"),
	    "f.yaml:2:5: missing key \"listen\" in inputs[0]",
	    "f.yaml:3:5: \"multiline\" is of inputs of type file and stdin, this one is of type syslog",
	    "f.yaml:3:32: \"encoding\" is of inputs of type file and stdin, this one is of type syslog",
	    "f.yaml:3:50: \"format\" is of inputs of type file and stdin, this one is of type syslog");
	bad("inputs: [{topic: t}]\nproducer: {bootstrap.servers: b}\n", "f.yaml:1:10: missing key \"paths\" in inputs[0]");
}

static void a_type_that_is_wrong_makes_no_other_key_wrong(void **state)
{
	(void)state;
	bad(OF_TYPE("sylog", "listen: 'udp:127.0.0.1:514'"), "f.yaml:2:12: \"type\" must be file, stdin, syslog or "
	    "journald, not \"sylog\" "
	    "(did you mean \"syslog\"?)");
}

static void without_a_file_nothing_of_files_is_known(void **state)
{
	(void)state;
	bad(OF_TYPE("stdin", "when_full: wait, key: 'x%{path}', headers: { a: b, f: '%{file}', d: '%{dir}' }"),
	    "f.yaml:3:16: \"when_full: wait\" leaves lines in their file, and an input of type stdin has none",
	    "f.yaml:3:27: \"%{path}\" is of files, and this input has none",
	    "f.yaml:3:59: \"%{file}\" is of files, and this input has none",
	    "f.yaml:3:73: \"%{dir}\" is of files, and this input has none");
	bad("inputs: [{type: journald, topic: 't%{file}'}]\nproducer: {bootstrap.servers: b}\n",
	    "f.yaml:1:34: \"%{file}\" is of files, and this input has none");
	conf_free(good(OF_TYPE("stdin", "key: '%{host}', when_full: spill")));
}

static void what_no_record_has_is_refused_in_templates(void **state)
{
	(void)state;
	bad(INPUT("key: '%{stream}'\n    headers: { t: '%{time}', s: '%{stream}' }"),
	    "f.yaml:4:10: \"%{stream}\" is of containers' lines, which need format: docker, cri or auto",
	    "f.yaml:5:19: \"%{time}\" needs event_time, or containers' lines (format: docker, cri or auto)",
	    "f.yaml:5:33: \"%{stream}\" is of containers' lines, which need format: docker, cri or auto");
	conf_free(good(INPUT("key: '%{stream}%{time}'\n    format: auto")));
	conf_free(good(INPUT("key: '%{time}'\n    event_time: { field: t, format: unix }")));
	conf_free(good(OF_TYPE("syslog", "listen: 'udp:0.0.0.0:1', key: '%{time}%{field.hostname}'")));
	/* One mistake is told once. */
	bad(INPUT("format: k8s\n    key: '%{stream}'"), "f.yaml:4:13: \"format\" must be raw, docker, cri or auto, not \"k8s\"");
}

static void multiline_is_a_preset_or_patterns(void **state)
{
	(void)state;
	bad(INPUT("multiline: {}"), "f.yaml:4:16: \"multiline\" needs a preset (java, python, go, ruby or dotnet), or a "
	    "pattern: start, "
	    "continue or end");
	bad(INPUT("multiline: { timeout: 3s }"), "f.yaml:4:16: \"multiline\" needs a preset (java, python, go, ruby or "
	    "dotnet), or a "
	    "pattern: start, continue or end");
	bad(INPUT("multiline: { preset: go, start: x, end: y }"),
	    "f.yaml:4:37: \"start\" and \"preset\": a preset has patterns of its own, only one of them can be there",
	    "f.yaml:4:45: \"end\" and \"preset\": a preset has patterns of its own, only one of them can be there");
	/* One mistake is told once. */
	bad(INPUT("multiline: { end: '(' }"), "f.yaml:4:23: \"(\" is not a pattern: missing closing parenthesis at character 2");
	bad(INPUT("multiline: { preset: }"), "f.yaml:4:18: \"preset\" has no value");
}

static void a_time_is_in_a_field_or_found_by_a_pattern(void **state)
{
	(void)state;
	bad(INPUT("event_time: { format: unix }"), "f.yaml:4:17: \"event_time\" needs a field (of a JSON line) or a "
	    "pattern (its first group "
	    "is the time)");
	bad(INPUT("event_time: { field: a, pattern: (b), format: unix }"),
	    "f.yaml:4:17: \"event_time\" takes the time from a field or by a pattern, not from both");
	bad(INPUT("event_time: { field: a, format: unix }\n    headers: { event_time: x }"),
	    "f.yaml:5:28: the header \"event_time\" is made by the key \"event_time\"");
}

static void a_topic_out_of_lines_needs_its_bounds(void **state)
{
	static const char *const lists[] = { "", "\n    topics_allowed: []", "\n    topics_allowed:" };
	char text[300];

	(void)state;
	for (size_t i = 0; i < COUNT(lists); i++) {
		snprintf(text, sizeof text, "inputs:\n  - paths: [/a.log]\n    topic: 'a-%%{field.app}'%s\nproducer: "
		    "{bootstrap.servers: b}\n",
			 lists[i]);
		bad(text, "f.yaml:3:12: a topic that comes from what lines hold needs \"topics_allowed\", names or globs: "
		    "whoever writes "
		    "lines could name any topic");
	}
	conf_free(good("inputs: [{paths: /a, topic: '%{field.app}', topics_allowed: ['app-*', 'x[!0-9]?']}]\n"
		       "producer: {bootstrap.servers: b}\n"));
	bad(INPUT("topics_allowed: ['app *', 'a/b', '{a,b}']"),
	    "f.yaml:4:22: \"app *\" can be no topic: topics are made of letters, digits, \".\", \"_\" and \"-\" (and *, ? "
	    "and [] stand "
	    "for some of them)",
	    "f.yaml:4:31: \"a/b\" can be no topic: topics are made of letters, digits, \".\", \"_\" and \"-\" (and *, ? "
	    "and [] stand "
	    "for some of them)",
	    "f.yaml:4:38: \"{a,b}\" can be no topic: topics are made of letters, digits, \".\", \"_\" and \"-\" (and *, ? "
	    "and [] stand "
	    "for some of them)");
}

/* --- two inputs --- */

static void two_inputs_of_one_name_are_a_problem(void **state)
{
	(void)state;
	bad("inputs:\n  - {name: n, paths: /a, topic: t}\n  - {paths: /b, topic: t, name: n}\n"
	    "  - {paths: /b, topic: t}\n  - {paths: /b, topic: u}\nproducer: {bootstrap.servers: b}\n",
	    "f.yaml:3:33: the input in line 2 has the name \"n\" too",
	    "f.yaml:5:5: the input in line 4 has the name \"/b\" too");
}

static void two_inputs_of_one_stream_are_a_problem(void **state)
{
	(void)state;
	bad("inputs:\n  - {type: stdin, topic: t}\n  - {type: journald, topic: t}\n  - {type: stdin, topic: t, name: other}\n"
	    "  - {type: syslog, topic: t, listen: 'udp:0.0.0.0:514'}\n  - {type: syslog, topic: t, listen: 'tcp:0.0.0.0:514'}\n"
	    "  - {type: syslog, topic: t, listen: 'udp:0.0.0.0:514', name: n}\nproducer: {bootstrap.servers: b}\n",
	    "f.yaml:4:12: the input in line 2 reads stdin too",
	    "f.yaml:7:38: the input in line 5 reads this socket too");
}

static const struct CMUnitTest tests[] = {
	TEST(every_key_arrives_in_its_field),
	TEST(the_smallest_input_gets_every_default),
	TEST(no_value_is_as_if_absent_where_a_default_is_none),
	TEST(a_wrong_value_comes_with_what_is_right),
	TEST(a_pattern_that_does_not_compile_is_told_with_its_position),
	TEST(headers_are_names_with_templates),
	TEST(a_secret_in_a_header_is_not_shown),
	TEST(a_time_has_a_known_format),
	TEST(listening_is_to_an_address_in_numbers_or_a_path),
	TEST(units_are_names_of_single_units),
	TEST(a_glob_that_can_match_no_file_is_a_problem),
	TEST(alternatives_may_begin_at_the_root),
	TEST(alternatives_have_an_end_and_a_bound),
	TEST(keys_of_another_type_are_refused_and_its_own_are_missed),
	TEST(a_type_that_is_wrong_makes_no_other_key_wrong),
	TEST(without_a_file_nothing_of_files_is_known),
	TEST(what_no_record_has_is_refused_in_templates),
	TEST(multiline_is_a_preset_or_patterns),
	TEST(a_time_is_in_a_field_or_found_by_a_pattern),
	TEST(a_topic_out_of_lines_needs_its_bounds),
	TEST(two_inputs_of_one_name_are_a_problem),
	TEST(two_inputs_of_one_stream_are_a_problem),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

/* conf.h - what the tests of conf/ share: texts, a producer that remembers what it was told, good() and bad(). */
#ifndef SPILLWAY_TESTS_CONF_H
#define SPILLWAY_TESTS_CONF_H

#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"

/* Lines 1 to 5; tests add theirs from line 6 on. */
#define BASE "inputs:\n  - paths: [/a.log]\n    topic: t\nproducer:\n  bootstrap.servers: b:9092\n"
/* One input whose last keys are the test's: from line 4 on, column 5. */
#define INPUT(more) "inputs:\n  - paths: [/a.log]\n    topic: t\n    " more "\nproducer: {bootstrap.servers: b}\n"

/* What the hooks were told, and what they answer. */
struct producer_mock {
	char said[1024];
	const char *bad_key, *bad_text, *finish_text, *finish_more;
	int  finished, ended;
};

static inline int mock_set(void *arg, const char *name, const char *value, struct err *ret_err)
{
	struct producer_mock *m = arg;
	size_t n = strlen(m->said);

	snprintf(m->said + n, sizeof m->said - n, "%s=%s\n", name, value);
	if (m->bad_key && !strcmp(m->bad_key, name))
		return err_set(ret_err, ERR_CONFIG, "%s %s", m->bad_text, value);
	return 0;
}

static inline int mock_finish(void *arg, conf_say_fn *say, void *say_arg)
{
	struct producer_mock *m = arg;

	m->finished++;
	if (m->finish_text)
		say(say_arg, m->finish_text);
	if (m->finish_more)
		say(say_arg, m->finish_more);
	return 0;
}

static inline bool mock_takes_json(void *arg, const char *name)
{
	(void)arg;
	return !strncmp(name, "json.", 5) || !strcmp(name, "interceptor.classes");
}

static inline int mock_end(void *arg, struct conf *c, struct conf_problems *problems)
{
	struct producer_mock *m = arg;

	(void)problems;
	m->ended += c->path != NULL;
	return 0;
}

static struct producer_mock mock;
static const struct conf_hooks hooks = { mock_set, mock_finish, &mock, mock_takes_json, mock_end };

static inline int reset(void **state)
{
	(void)state;
	memset(&mock, 0, sizeof mock);
	return 0;
}

static inline int load(const char *text, struct conf **c, struct conf_problems *p)
{
	*c = NULL;
	*p = (struct conf_problems){ 0 };
	return conf_load_text("f.yaml", text, strlen(text), &hooks, c, p);
}

static inline struct conf *good(const char *text)
{
	struct conf_problems p;
	struct conf *c;
	int rc = load(text, &c, &p);

	for (size_t i = 0; i < p.n; i++)
		print_error("%s\n", p.v[i].text);
	assert_int_equal(rc, 0);
	assert_int_equal(p.n, 0);
	conf_problems_release(&p);
	return c;
}

/* The text has exactly these problems; expected ends with NULL. */
static inline void bad_list(const char *text, const char *const *expected)
{
	struct conf_problems p;
	struct conf *c;
	size_t n = 0;

	assert_int_equal(load(text, &c, &p), ERR_CONFIG);
	assert_null(c);
	for (; expected[n]; n++)
		assert_string_equal(n < p.n ? p.v[n].text : "(no problem)", expected[n]);
	assert_string_equal(n < p.n ? p.v[n].text : "", "");
	conf_problems_release(&p);
}
#define bad(text, ...) bad_list(text, (const char *const[]){ __VA_ARGS__, NULL })

/* A directory with a secret of that text, also the credentials' directory. */
struct secret { char dir[40], path[60]; };

static inline struct secret secret_new(const char *text, size_t n)
{
	struct secret s = { .dir = "/tmp/spillway-conf-XXXXXX" };
	FILE *f;

	assert_non_null(mkdtemp(s.dir));
	snprintf(s.path, sizeof s.path, "%s/secret", s.dir);
	f = fopen(s.path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	setenv("CREDENTIALS_DIRECTORY", s.dir, 1);
	return s;
}

static inline void secret_free(struct secret *s)
{
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(rmdir(s->dir), 0);
}

/* A value for every key; read back from conf_print too. */
#define EVERYTHING \
	"state_dir: /s\ndelivery: exactly_once\nthreads: { tail: 1, compress: 3 }\nmax_lanes: 7\n" \
	"inputs:\n" \
	"  - { name: \"first one\", type: file, paths: '/var/log/**/[ab]*.log', exclude: [\"*.gz\", /x/y],\n" \
	"      read_from: end, max_line: 64KiB, long_lines: skip, topic: \"a.%{input}\", key: \"%{path}: \\\"k\\\"\",\n" \
	"      partition: 0, when_full: wait, value: json, format: cri, encoding: UTF-16LE, watch: poll,\n" \
	"      follow_symlinks: true, ignore_older: 7d, compressed: true, include_lines: ['^a: \"\\d{2}\"', \"\\\\$\"],\n" \
	"      exclude_lines: '#|[}]', topics_allowed: [\"app-*\", '[a-z]?'],\n" \
	"      headers: { z: \"%{host}\", a: \"\", \"b: c\": \"x\\\"%{path}\" },\n" \
	"      multiline: { start: '^\\d{4}-', continue: '^\\s', end: ';$', timeout: 2s, max_lines: 7, max_bytes: 1KiB },\n" \
	"      event_time: { pattern: '^(\\S+)', format: '%Y-%m-%d %H:%M' } }\n" \
	"  - { type: stdin, topic: t, multiline: { preset: java }, encoding: utf8, long_lines: truncate, format: docker }\n" \
	"  - { type: syslog, listen: 'tcp:[::1]:514', topic: t, event_time: { field: a.b, format: unix_ms } }\n" \
	"  - { type: journald, units: [nginx.service, a.timer], topic: t, value: raw }\n" \
	"  - { paths: [\"/null\", '/a b: #c', \"/\xc3\xa4\\u2028\\x7f\\n\"], topic: x, key: null }\n" \
	"spool: { max_size: 1GiB, min_free: 0, when_full: block, sync: full }\nmetrics: { listen: off }\n" \
	"control: /c.sock\nlog: { level: debug, format: json }\nshutdown_timeout: 1500ms\n" \
	"producer: { linger.ms: 5, preset: min-latency, bootstrap.servers: b:9092 }\n"

#define TEST(f) cmocka_unit_test_setup(f, reset)

#endif

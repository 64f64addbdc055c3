/* cmd_check.c - `spillway check`: the loader of `run`, then a look at what the configuration points to. Changes nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/cmd/check.h"
#include "agent/cmd/sample.h"

#define LOGROTATE_CONF "/etc/logrotate.conf"

static int check_sample(const struct options *o, const struct loaded *conf, struct buf *out)
{
	struct err e;
	int rc = sample(conf, o->sample, o->json, out, &e);

	if (out->len)
		fwrite(out->data, 1, out->len, stdout);
	if (rc >= 0)
		return EXIT_GOOD;
	fflush(stdout);
	fprintf(stderr, "spillway: %s\n", e.text);
	return rc == -ENOENT ? EXIT_IO : cli_exit_code(rc);
}

static int print(const struct loaded *conf)
{
	struct buf out;

	buf_init(&out, 256u << 20);
	loaded_print(conf, &out);
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	return EXIT_GOOD;
}

static void count(const char *what, unsigned n)
{
	if (n)
		printf("%s%u %s%s", what[0] == 'e' ? ": " : ", ", n, what, n == 1 ? "" : "s");
}

/* With drop-ins, which of them were taken is the first thing to know. */
static void say_files(struct check *c)
{
	const struct conf *k = c->conf->conf;

	for (size_t i = 0; i < k->files.n; i++) {
		size_t n = 0;

		for (size_t j = 0; j < k->input_count; j++)
			n += !strcmp(k->inputs[j].path, k->files.v[i]);
		check_ok(c, k->files.v[i], "%s, %zu %s", i ? "included" : "read", n, n == 1 ? "input" : "inputs");
	}
}

static int check_all(const struct options *o, const struct loaded *conf)
{
	struct check c = { .conf = conf };

	say_files(&c);
	check_as_user(&c, check_files);
	check_rotation(&c, LOGROTATE_CONF);
	check_place(&c);
	if (o->online)
		check_online(&c);
	printf("%s%s", o->config, c.errors ? "" : ": good");
	count("error", c.errors);
	count("warning", c.warnings);
	printf("\n");
	return c.exit_code;
}

int cmd_check(const struct options *o)
{
	struct loaded conf = { 0 };
	struct buf out;
	int rc = cli_load(o, &conf);

	if (rc)
		return rc;
	buf_init(&out, 256u << 20);
	if (o->sample)
		rc = check_sample(o, &conf, &out);
	else
		rc = o->print ? print(&conf) : check_all(o, &conf);
	buf_release(&out);
	loaded_release(&conf);
	return rc;
}

/* cmd_look.c - `status` and `positions ls`: the running agent is asked; with none, the state directory is read. */
#include <stdio.h>
#include <string.h>

#include "agent/cli.h"
#include "agent/control.h"
#include "agent/status.h"

static const char *const words[] = { [STATUS_ALL] = "status", [STATUS_POSITIONS] = "positions" };

static int look_offline(const struct conf *conf, enum status_what what, bool json, struct buf *out, struct err *e)
{
	struct status s;
	int rc = status_offline(conf, &s, e);

	if (rc < 0)
		return rc;
	status_write(&s, what, json, out);
	status_release(&s);
	return 0;
}

int cmd_look(const struct options *o, enum status_what what)
{
	struct loaded conf = { 0 };
	struct buf out;
	struct err e;
	char question[32];
	int rc = cli_load(o, &conf);

	if (rc)
		return rc;
	buf_init(&out, 256u << 20);
	snprintf(question, sizeof question, "%s %s", words[what], o->json ? "json" : "text");
	rc = control_ask(conf.conf->control, question, &out, &e);
	if (rc == ERR_NOT_FOUND)
		rc = look_offline(conf.conf, what, o->json, &out, &e);
	if (rc < 0)
		fprintf(stderr, "spillway: %s\n", e.text);
	else if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	loaded_release(&conf);
	return cli_exit_code(rc);
}

/* Counters live in the process: without an agent there are none. */
static int look_metrics(const struct options *o)
{
	struct loaded conf = { 0 };
	struct buf out;
	struct err e;
	int rc = cli_load(o, &conf);

	if (rc)
		return rc;
	buf_init(&out, 256u << 20);
	rc = control_ask(conf.conf->control, "metrics", &out, &e);
	if (rc < 0)
		fprintf(stderr, "spillway: %s\n", e.text);
	else if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	loaded_release(&conf);
	return cli_exit_code(rc);
}

int cmd_status(const struct options *o)
{
	return o->metrics ? look_metrics(o) : cmd_look(o, STATUS_ALL);
}

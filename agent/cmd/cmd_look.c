/* cmd_look.c - `status` and `positions ls`: the running agent is asked; with none, the state directory is read. */
#include <stdio.h>
#include <string.h>

#include "agent/cmd/cli.h"
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

/* answers_offline: without an agent the directory is read; else there is nothing to be told without one. */
static int look(const struct options *o, const char *question, const enum status_what *answers_offline)
{
	struct loaded conf = { 0 };
	struct buf out;
	struct err e;
	int rc = cli_load(o, &conf);

	if (rc)
		return rc;
	buf_init(&out, 256u << 20);
	rc = control_ask(conf.conf->control, question, &out, &e);
	if (rc == ERR_NOT_FOUND && answers_offline)
		rc = look_offline(conf.conf, *answers_offline, o->json, &out, &e);
	if (rc < 0)
		fprintf(stderr, "spillway: %s\n", e.text);
	else if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	loaded_release(&conf);
	return cli_exit_code(rc);
}

int cmd_look(const struct options *o, enum status_what what)
{
	char question[32];

	snprintf(question, sizeof question, "%s %s", words[what], o->json ? "json" : "text");
	return look(o, question, &what);
}

/* Counters live in the process. */
int cmd_status(const struct options *o)
{
	return o->metrics ? look(o, "metrics", NULL) : cmd_look(o, STATUS_ALL);
}

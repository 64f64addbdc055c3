/* cmd_look.c - `status` and `positions ls`: the running agent is asked; with none, the state directory is read. */
#include <stdio.h>
#include <string.h>

#include "agent/cmd/cli.h"
#include "agent/cmd/view.h"
#include "agent/control.h"
#include "agent/status.h"

static void write_answer(const struct status *s, enum status_what what, bool json, bool all, struct buf *out)
{
	struct status_view view;

	if (json || what != STATUS_ALL) {
		status_write(s, what, json, out);
		return;
	}
	view_of_stdout(&view, all);
	status_write_text(s, &view, out);
}

static int look_offline(const struct conf *conf, enum status_what what, const struct options *o, struct buf *out, struct err *e)
{
	struct status s;
	int rc = status_offline(conf, &s, e);

	if (rc < 0)
		return rc;
	write_answer(&s, what, o->json, o->all, out);
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
	rc = view_ask(conf.conf->control, question, &out, &e);
	if (rc == ERR_NOT_FOUND && answers_offline)
		rc = look_offline(conf.conf, *answers_offline, o, &out, &e);
	if (rc < 0)
		fprintf(stderr, "spillway: %s\n", e.text);
	else if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	loaded_release(&conf);
	return cli_exit_code(rc);
}

static int watch(const struct options *o)
{
	struct loaded conf = { 0 };
	int rc = cli_load(o, &conf);

	if (rc)
		return rc;
	rc = view_watch(conf.conf->control, o->json, o->all);
	loaded_release(&conf);
	return rc;
}

int cmd_look(const struct options *o, enum status_what what)
{
	const char *name = what == STATUS_POSITIONS ? "positions" : "status";
	char question[VIEW_QUESTION_MAX];

	if (o->json || what != STATUS_ALL)
		snprintf(question, sizeof question, "%s %s", name, o->json ? "json" : "text");
	else
		view_question(question, o->all);
	return look(o, question, &what);
}

/* Counters live in the process. */
int cmd_status(const struct options *o)
{
	if (o->metrics)
		return look(o, "metrics", NULL);
	return o->watch ? watch(o) : cmd_look(o, STATUS_ALL);
}

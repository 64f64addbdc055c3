/* template.h - topic, key and header templates: text with %{path} %{file} %{dir} %{host} %{input} %{env.NAME}, and of the
 * single record %{offset} %{stream} %{time} %{field.a.b} (a member of a JSON line, of a syslog message, of a journal entry).
 *
 * Promise: what template_check accepted at load always expands; only the length of the result is open until then, and whether
 * a record has the field.
 * Threads: any; the functions keep no state (the environment is only read).
 */
#ifndef SPILLWAY_TEMPLATE_H
#define SPILLWAY_TEMPLATE_H

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

struct template_values {
	const char *path;		/* absolute; %{file} is its last part, %{dir} the name of its directory */
	const char *host;
	const char *input;		/* the input's name */
	/* Of one record; NULL lookup: there is none, and a template that needs it gives ERR_NOT_FOUND. */
	int64_t     offset;
	/* The text of "field.a.b", "stream" or "time": 0; ERR_NOT_FOUND: it has none (also null, an array or an object). */
	int       (*lookup)(void *arg, const char *name, struct buf *out);
	void       *lookup_arg;
};

/* Whether some of it differs between records of one file. content: only what comes from the line itself counts. */
bool template_per_record(const char *tpl, bool content);
/* What is the same for all records of an agent (host, input, env) is put in; the rest stays a template. */
int  template_prepare(const char *tpl, const struct template_values *v, struct buf *out);

/* 0, or ERR_CONFIG with words (and their "did you mean"). is_topic: the text around the %{} must be legal in one. */
int  template_check(const char *tpl, bool is_topic, struct err *ret_err);

/* Appends the expansion to `out`. 0; ERR_NOMEM (also: longer than out->max); ERR_CONFIG for a malformed template. */
int  template_expand(const char *tpl, const struct template_values *v, struct buf *out);

/* The same for a topic: a byte of a value that no topic may hold becomes "_". ERR_BAD_DATA when the result is still no
 * legal name (empty, "." or "..", longer than 249). */
int  template_expand_topic(const char *tpl, const struct template_values *v, struct buf *out);

/* [a-zA-Z0-9._-]{1,249}, but not "." or "..". */
bool template_topic_legal(const char *name);

#endif

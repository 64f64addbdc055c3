/* template.h - topic and key templates: text with %{path} %{file} %{dir} %{host} %{input} %{env.NAME}.
 *
 * Promise: what template_check accepted at load always expands; only the length of the result is open until then.
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
};

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

/* template.h - topic, key and header templates: text with %{path} %{file} %{dir} %{host} %{input} %{env.NAME}, and of the
 * single record %{offset} %{stream} %{time} %{field.a.b} (a member of a JSON line, of a syslog message, of a journal entry).
 * %{%} is a percent sign, so that "%{%}{" is the text "%{".
 *
 * A field's path: names with dots between them, each of at least one byte. A name may hold any bytes but control bytes and braces;
 * a dot or a backslash that belongs to a name is written with a backslash before it: %{field.labels.app\.kubernetes\.io/name}.
 * At most TEMPLATE_FIELD_MAX bytes.
 *
 * Promise: what template_check accepted at load always expands; only the length of the result is open until then, and whether
 * a record has the field.
 * Threads: any; the functions keep no state (the environment is only read).
 */
#ifndef SPILLWAY_TEMPLATE_H
#define SPILLWAY_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

#define TEMPLATE_FIELD_MAX 255

struct template_values {
	const char *path;		/* absolute; %{file} is its last part, %{dir} the name of its directory; NULL: no file */
	const char *host;
	const char *input;		/* the input's name */
	/* Of one record. */
	int64_t     offset;		/* below 0: it has none */
	/* Appends the text of "field.a.b", "stream" or "time" (n bytes at name): 0; ERR_NOT_FOUND: it has none (also null, an
	 * array or an object); ERR_NOMEM. NULL: there is no record. */
	int       (*lookup)(void *arg, const char *name, size_t n, struct buf *out);
	void       *lookup_arg;
};

/* Whether some of it differs between records of one file. content: only what whoever writes the lines may choose freely counts,
 * %{field.…} and %{time}. */
bool template_per_record(const char *tpl, bool content);
/* What is the same for all records of an agent (host, input, env) is put in, as text that stays text; the rest stays a template.
 * 0, ERR_NOMEM, ERR_CONFIG. */
int  template_prepare(const char *tpl, const struct template_values *v, struct buf *out);

/* 0, or ERR_CONFIG with words (and their "did you mean"). is_topic: the text around the %{} must be legal in one. */
int  template_check(const char *tpl, bool is_topic, struct err *ret_err);
/* The path of a field alone, "a.b". 0, or ERR_CONFIG with words. */
int  template_check_field(const char *path, struct err *ret_err);

/* Appends the expansion to `out`. 0; ERR_NOT_FOUND: a value is not there; ERR_NOMEM (also: longer than out->max); ERR_CONFIG for
 * a malformed template. After an error out is as it was, but for buf.failed. */
int  template_expand(const char *tpl, const struct template_values *v, struct buf *out);

/* The same for a topic: a byte that no topic may hold becomes "_". ERR_BAD_DATA when the result is still no legal name (empty,
 * "." or "..", longer than 249; what it would be is in out). */
int  template_expand_topic(const char *tpl, const struct template_values *v, struct buf *out);

/* [a-zA-Z0-9._-]{1,249}, but not "." or "..". */
bool template_topic_legal(const char *name);

#endif

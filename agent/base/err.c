/* err.c - error numbers, their words and their classes.
 *
 * Why: callers decide by class (try again, drop this record, stop this lane, give up), people read the text. Both
 * come from one table, err.def, so a new error cannot miss one of them.
 * Invariant: nothing here allocates, so an error can be described when memory is short.
 * Threads: any; no state.
 */
#define _GNU_SOURCE
#include "agent/base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct err_info {
	const char    *name, *text;
	enum err_class class;
};

static const struct err_info infos[] = {
#define X(name, class, text) [name - ERR_FIRST - 1] = { #name, text, ERR_CLASS_##class },
#include "agent/base/err.def"
#undef X
};

static const struct err_info *info_of(int code)
{
	return code > ERR_FIRST && code < ERR_END ? &infos[code - ERR_FIRST - 1] : NULL;
}

int err_setv(struct err *e, int code, const char *fmt, va_list ap)
{
	if (e) {
		e->code = code;
		vsnprintf(e->text, sizeof e->text, fmt, ap);
	}
	return code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_setv(e, code, fmt, ap);
	va_end(ap);
	return code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[sizeof e->text];
	va_list ap;
	int n;

	if (!e)
		return ERR_INTERNAL;
	memcpy(old, e->text, sizeof old);
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof e->text)
		snprintf(e->text + n, sizeof e->text - (size_t)n, "%s", old);
	return e->code;
}

const char *err_name(int code)
{
	const struct err_info *i = info_of(code);
	const char *name;

	if (i)
		return i->name;
	if (code >= 0)
		return "OK";
	name = strerrorname_np(-code);
	return name ? name : "unknown";
}

const char *err_text(int code)
{
	const struct err_info *i = info_of(code);
	const char *text;

	if (i)
		return i->text;
	if (code >= 0)
		return "success";
	text = strerrordesc_np(-code);	/* unlike strerror: no shared buffer, no locale */
	return text ? text : "unknown error";
}

enum err_class err_class(int code)
{
	const struct err_info *i = info_of(code);

	return i ? i->class : ERR_CLASS_RETRY;
}

void assert_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "spillway: bug: %s:%d: %s\n", file, line, what);
	abort();
}

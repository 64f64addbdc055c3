/* check_say.c - see check.h. */
#include "agent/cmd/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/record/text_json.h"

#define LINE_MAX 8192

static void __attribute__((format(printf, 3, 0))) say(const char *kind, const char *where, const char *fmt, va_list ap)
{
	struct buf words, line;

	buf_init(&words, LINE_MAX);
	buf_init(&line, 2 * LINE_MAX);
	buf_vprintf(&words, fmt, ap);
	buf_printf(&line, "%-9s", kind);
	text_put_printable(&line, where);
	buf_puts(&line, ": ");
	text_put_printable(&line, words.data ? words.data : "");
	buf_puts(&line, "\n");
	if (line.data)
		fputs(line.data, stdout);
	fflush(stdout);			/* somebody waits for the next broker */
	buf_release(&words);
	buf_release(&line);
}

void check_ok(struct check *c, const char *where, const char *fmt, ...)
{
	va_list ap;

	(void)c;
	va_start(ap, fmt);
	say("ok:", where, fmt, ap);
	va_end(ap);
}

void check_warn(struct check *c, const char *where, const char *fmt, ...)
{
	va_list ap;

	c->warnings++;
	va_start(ap, fmt);
	say("warning:", where, fmt, ap);
	va_end(ap);
}

void check_error(struct check *c, int exit_code, const char *where, const char *fmt, ...)
{
	va_list ap;

	if (!c->errors++)
		c->exit_code = exit_code;
	va_start(ap, fmt);
	say("error:", where, fmt, ap);
	va_end(ap);
}

int64_t check_days_left(int64_t ends_s)
{
	int64_t left = ends_s - (int64_t)time(NULL);

	return left < 0 ? -1 : left / 86400;
}

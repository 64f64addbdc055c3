/* code.c - the one table between errors of the inside and those of the face.
 *
 * Why: whoever links the library knows producer.h alone, and its numbers must never move. What is inside may.
 * Invariant: a code that is public already, or Kafka's, passes unchanged, so mapping twice does no harm.
 * Threads: any; no state.
 */
#include "producer/code.h"

#include <stddef.h>
#include <stdio.h>

#include "agent/base/err.h"
#include "producer/api.h"

static const struct { int inside, code; bool retriable; } codes[] = {
	{ ERR_TIMEOUT,     PRODUCER_ERR_TIMEOUT,           true },
	{ ERR_AGAIN,       PRODUCER_ERR_BUFFER_FULL,       true },
	{ ERR_BUFFER_FULL, PRODUCER_ERR_BUFFER_FULL,       true },
	{ ERR_TOO_LARGE,   PRODUCER_ERR_TOO_LARGE,         false },
	{ ERR_PARTITION,   PRODUCER_ERR_INVALID_PARTITION, false },
	{ ERR_CLOSED,      PRODUCER_ERR_CLOSED,            false },
	{ ERR_CONFIG,      PRODUCER_ERR_CONFIG,            false },
	{ ERR_NOMEM,       PRODUCER_ERR_NOMEM,             true },
	{ ERR_BAD_DATA,    PRODUCER_ERR_SERIALIZATION,     false },
};

/* Kafka has -1, the public ones lie above -1100 and those of the inside far below; in between is -errno. */
static bool is_public(int code)
{
	return code >= -1 || (code <= PRODUCER_ERR_TIMEOUT && code > PRODUCER_ERR_TIMEOUT - 100);
}

int code_public(int rc)
{
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (codes[i].inside == rc)
			return codes[i].code;
	return is_public(rc) ? rc : PRODUCER_ERR_SYSTEM;
}

bool code_retriable(int code)
{
	enum api_error_class class;

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (codes[i].code == code)
			return codes[i].retriable;
	if (code < -1 || code == 0)
		return false;
	class = api_error((int16_t)code)->class;
	return class == API_ERR_RETRY || class == API_ERR_REFRESH || class == API_ERR_REBUILD;
}

int code_failv(struct producer_error *err, int rc, const char *fmt, va_list ap)
{
	int code = code_public(rc);

	if (err) {
		err->code = code;
		err->retriable = code_retriable(code);
		if (fmt)
			vsnprintf(err->text, sizeof err->text, fmt, ap);
		else
			snprintf(err->text, sizeof err->text, "%s", rc < -1 ? err_text(rc) : api_error((int16_t)rc)->name);
	}
	return code;
}

int code_fail(struct producer_error *err, int rc, const char *fmt, ...)
{
	va_list ap;
	int code;

	va_start(ap, fmt);
	code = code_failv(err, rc, fmt, ap);
	va_end(ap);
	return code;
}

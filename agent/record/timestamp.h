/* timestamp.h - a time that is written in a line, as nanoseconds since 1970 in UTC, and back.
 *
 * Depends on the text alone: not on the locale, the time zone or the year that it is now. So a time without a zone is UTC, names
 * of months are English, and a format that says no year is refused.
 * Threads: any.
 */
#ifndef SPILLWAY_TIMESTAMP_H
#define SPILLWAY_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

/* What a format may be
 *	rfc3339		2026-11-21T10:00:00.25+01:00; "t", "_" or one blank for T, "," for the point, no zone
 *	unix, unix_ms, unix_ns		a decimal number, with fraction and exponent or without
 *	with a "%"	strptime's: %Y %y %m %d %e %j %H %k %I %l %M %S %p %b %B %h %a %A %z %Z (UTC, GMT or Z) %s %D %F %R %T
 *			%n %t %%, and %f: digits of a fraction of a second. Blanks stand for any number of blanks, also none.
 * The whole text must fit; digits behind nanoseconds are dropped, a second 60 is the next minute's first. */

/* 0, or ERR_CONFIG with words. */
int  timestamp_check(const char *format, struct err *ret_err);
/* 0, or ERR_BAD_DATA: it is no such time, or none between the years 1678 and 2261. The format was checked. */
int  timestamp_read(const char *format, const char *text, size_t n, int64_t *ret_ns);
/* RFC 3339 as machines write it, at the beginning of the n bytes at p: T, t or one blank, a point, Z or an offset like +01:00.
 * Returns how many bytes it takes; 0: there is none. *ret_fits: it is between those years, in *ret_ns. */
size_t timestamp_rfc3339(const void *p, size_t n, bool *ret_fits, int64_t *ret_ns);
/* Appends 2026-11-21T10:00:00.250000000Z. 0 or ERR_NOMEM. */
int  timestamp_put(struct buf *out, int64_t ns);

#endif

/* syslog.h - what stands in a syslog message, RFC 5424 or RFC 3164, as it is sent and as it is meant.
 *
 * Pure. It never fails: what is no syslog has no facility and severity, and all of it is its text. What does not fit its RFC is
 * taken as far as it does. RFC 3164 only describes what was seen on networks, so some habits are known besides: a time as in
 * RFC 5424, no host name (what syslog(3) writes to /dev/log), no process.
 */
#ifndef SPILLWAY_SYSLOG_H
#define SPILLWAY_SYSLOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct syslog_part { const uint8_t *p; size_t n; };	/* into the message; n 0: it has none */

struct syslog {
	int facility, severity;			/* -1: no PRI */
	int version;				/* 1: RFC 5424; 0: RFC 3164, or anything */
	struct syslog_part timestamp, hostname, appname, procid, msgid;
	struct syslog_part data;		/* structured data, with its brackets */
	struct syslog_part text;		/* the rest, without a byte order mark */
	bool    has_time;
	int64_t time_ns;			/* since 1970 */
};

/* now_s: RFC 3164 gives neither year nor time zone; it is the year that comes closest, and local time. */
void syslog_parse(const uint8_t *p, size_t n, int64_t now_s, struct syslog *ret);
/* An object of what it has: facility, severity (their names), timestamp, hostname, appname, procid, msgid, structured_data ({id:
 * {name: value}}), text. Bytes that are no UTF-8 become U+FFFD. NULL: out of memory. */
json_t *syslog_fields(const struct syslog *s);
/* Text of any bytes. NULL: out of memory. */
json_t *syslog_text(const void *p, size_t n);

#endif

/* envelope.h - `value: json`: a message and where it came from as one JSON object.
 *
 *	{"message":TEXT,"path":TEXT,"offset":NUMBER,"host":TEXT,"time":"2026-11-21T10:00:00.250000000Z","stream":"stdout",
 *	 "fields":{...}}
 *
 * In this order, without blanks, each member if it is known; message always is. It is the line as it stands, also of a line that is
 * JSON. What is parsed stands under "fields", so that no line can say where it came from.
 * Always valid JSON: bytes that are no UTF-8 become U+FFFD.
 */
#ifndef SPILLWAY_ENVELOPE_H
#define SPILLWAY_ENVELOPE_H

#include <stdint.h>

#include "agent/record/fields.h"

struct envelope {
	const char *message;
	size_t      message_len;
	const char *path;		/* NULL: none */
	int64_t     offset;		/* below 0: none */
	const char *host;		/* NULL: none */
	bool        has_time;
	int64_t     time_ns;
	const char *stream;		/* NULL: none */
};

/* 0 or ERR_NOMEM. */
int envelope_put(const struct envelope *e, struct fields *fields, struct buf *out);

#endif

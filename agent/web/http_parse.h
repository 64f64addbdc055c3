/* http_parse.h - the head of one HTTP/1.x request (RFC 9112), taken apart. Pure: bytes in, words or a status out. */
#ifndef SPILLWAY_HTTP_PARSE_H
#define SPILLWAY_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/web/http.h"

#define HTTP_HEAD_MAX    8192
#define HTTP_HEADERS_MAX 64

/* Texts point into the data. */
struct http_head {
	struct http_request request;
	const char *host;		/* without the port, as it came; NULL: HTTP/1.0 without one */
	bool is_head;			/* HEAD */
	bool keep_alive;
};

/* Looks at all that was received so far. 0: the head is not complete, read on. Positive: its
 * length; *ret is filled, and the data within it changed. Negative: no request to be answered, -(the status that says why). */
int  http_head_parse(char *data, size_t n, struct http_head *ret);
/* Whether a name can only be this machine's: an IP address, localhost or below it. */
bool http_host_is_local(const char *host);

#endif

/* http.h - as much of URLs and HTTP/1.1 (RFC 9112) as one POST to a token endpoint needs. Pure; https.c has the socket. */
#ifndef SPILLWAY_HTTP_H
#define SPILLWAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/err.h"

#define HTTP_HOST_MAX 256

struct http_url {
	bool tls;
	char host[HTTP_HOST_MAX];	/* without brackets */
	char port[6];
	char authority[HTTP_HOST_MAX + 10];	/* HOST or [HOST], and :PORT where the URL says one */
	const char *target;		/* path and query, into the URL; maybe "" */
};

/* https://host[:port][/path][?query], or http:// with a loopback host. 0, or ERR_CONFIG with words that do not show it. */
int http_url_parse(const char *url, struct http_url *ret, struct err *ret_err);

struct http_response {
	int status;
	const char *body;		/* into the data */
	size_t body_len;
};

enum http_progress { HTTP_MORE, HTTP_DONE };

/* Looks at all that was received so far. HTTP_MORE: read on. HTTP_DONE: *ret holds the answer, chunks were joined in place.
 * ERR_BAD_DATA: this is no HTTP, or it ended too early. eof: nothing will follow. */
int http_parse(char *data, size_t n, bool eof, struct http_response *ret);

#endif

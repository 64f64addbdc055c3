/* http.h - a small HTTP/1.1 server for monitoring: GET and HEAD of fixed paths, answered from memory.
 *
 * Promise: nothing that a client sends changes anything. A request has at most 8 KiB with 64 headers and 5 s from its first byte to
 * its last; an answer 30 s; there are at most 32 connections, kept open for 15 s between requests, and 16 MiB of
 * answers that wait for their readers (or one that is larger). Anything else is answered with
 * 400, 403, 405, 408, 413, 414, 431, 503 or 505 and closed. A body is refused. At a loopback address a Host that is neither an IP
 * address nor localhost gets 403 (http.c says why).
 * Threads: main; everything sits in its loop. A slow client holds up no one.
 */
#ifndef SPILLWAY_WEB_HTTP_H
#define SPILLWAY_WEB_HTTP_H

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/loop.h"

struct http;

struct http_request {
	const char *path;		/* decoded, without the query; begins with / */
	const char *query;		/* what is behind the ?, as it came; "" */
	const char *accept;		/* "" */
};
struct http_answer {
	int         status;		/* 200 */
	const char *type;		/* Content-Type; static */
	const char *headers;		/* further lines, each ended by CR LF; static; NULL */
	struct buf  body;
};

/* Fills *a for the path; status 404 when there is none. */
typedef void http_fn(void *arg, const struct http_request *r, struct http_answer *a);

/* listen: "127.0.0.1:9845", "[::1]:9845", "unix:/path" (mode 0660, whoever is not root, this user or of the group is refused by
 * its peer credentials). Words in *ret_err name the address. */
int  http_open(struct loop *loop, const char *listen, http_fn *fn, void *arg, struct http **ret, struct err *ret_err);
void http_close(struct http *h);	/* removes a unix socket; NULL is fine */

#endif

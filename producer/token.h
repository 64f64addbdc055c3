/* token.h - where OAUTHBEARER tokens come from: a file, or an https token endpoint (RFC 6749, client credentials).
 * Threads: whoever may wait (the names thread): both functions block, within their time-outs. */
#ifndef SPILLWAY_TOKEN_H
#define SPILLWAY_TOKEN_H

#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

struct token_conf {			/* strings are borrowed for the call */
	const char *url;		/* https://host[:port]/path; http only for loopback addresses; NULL: use file */
	const char *client_id, *client_secret, *scope;	/* scope NULL: none */
	const char *file;		/* a file with the token alone */
	const char *ca_location, *ca_certificates;	/* as ssl.truststore.*; both NULL: the system's */
	int64_t connect_timeout_ms, read_timeout_ms;
};

/* 0 and the token in *ret_token; *ret_expires_ms: wall time when it ends, by expires_in or the JWT's exp, INT64_MAX: unknown.
 * ERR_CONFIG, ERR_UNAVAILABLE (try again), ERR_BAD_DATA; words name the endpoint or file, never a secret. */
int  token_get(const struct token_conf *c, struct buf *ret_token, int64_t *ret_expires_ms, struct err *ret_err);

#endif

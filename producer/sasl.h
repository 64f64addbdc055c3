/* sasl.h - one authentication, as a state machine: what the server said in, what to answer out. No I/O, no clock.
 *
 * PLAIN (RFC 4616), SCRAM-SHA-256 and -512 without channel binding (RFC 5802, RFC 7677; the server's signature is
 * verified), OAUTHBEARER (RFC 7628). The messages travel in SaslAuthenticate requests: see api.h.
 * Threads: the owner's. Secrets are wiped when they are freed and never stand in words.
 */
#ifndef SPILLWAY_SASL_H
#define SPILLWAY_SASL_H

#include <stddef.h>

#include "agent/base/err.h"
#include "producer/config.h"

struct sasl_credentials {		/* strings are borrowed for the call of sasl_new */
	enum sasl_mechanism mechanism;
	const char *username, *password;	/* PLAIN, SCRAM */
	bool        delegation_token;	/* SCRAM: username and password are a delegation token's (KIP-48) */
	const char *token;		/* OAUTHBEARER: the JWT */
	const char *extensions;		/* OAUTHBEARER: "name=value,..." (KIP-342), NULL: none */
};

struct sasl;

/* 0, ERR_NOMEM, or ERR_CONFIG when credentials cannot be said in the mechanism (a NUL, an empty name). */
int  sasl_new(struct sasl **ret, const struct sasl_credentials *c, struct err *ret_err);
void sasl_free(struct sasl *s);		/* NULL is fine */
const char *sasl_mechanism_name(enum sasl_mechanism m);	/* Kafka's: "SCRAM-SHA-256" */

enum sasl_result { SASL_SEND, SASL_DONE };
/* in NULL: the first call. SASL_SEND: *ret_out is to be sent, the answer comes back with the next call. SASL_DONE: the server
 * said, and where the mechanism can show it proved, that all is well. ERR_BAD_DATA: the server's words make no sense, or it
 * does not know the password; words say which. *ret_out is valid until the next call. */
int  sasl_step(struct sasl *s, const void *in, size_t n, const void **ret_out, size_t *ret_n, struct err *ret_err);

#endif

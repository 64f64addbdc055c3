/* security.h - what a connection needs to be trusted and to be believed: TLS and SASL out of one configuration.
 *
 * Why an object with a count: connections made from now on take a new one after a reload, those that live keep theirs.
 * Threads: security_prepare on the names thread (it reads files and may talk to a token endpoint), the rest on the sender's;
 *	a lock inside keeps them apart. Secrets are wiped at the end and never stand in words.
 * Source: KIP-651 (PEM), KIP-43, KIP-84, KIP-255, KIP-368, KIP-768.
 */
#ifndef SPILLWAY_SECURITY_H
#define SPILLWAY_SECURITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "producer/config.h"
#include "producer/sasl.h"
#include "producer/tls.h"

struct security;

/* Copies what it needs; reads no file. 0, ERR_CONFIG, ERR_NOMEM. *ret is NULL for PLAINTEXT. */
int  security_new(const struct producer_config *c, struct security **ret, struct err *ret_err);
struct security *security_ref(struct security *s);	/* NULL is fine, here and below */
void security_unref(struct security *s);
bool security_has_tls(const struct security *s);
bool security_has_sasl(const struct security *s);

/* Before each connection and each re-authentication: takes up PEM files and tokens that changed, fetches a token that is
 * missing or about to end. 0, or why it cannot be done now: a file that is missing or unreadable, an expired own
 * certificate, a token endpoint that refuses. */
int  security_prepare(struct security *s, struct err *ret_err);
/* Of it, the certificates alone: nothing but local files is waited for. */
int  security_load(struct security *s, struct err *ret_err);
/* After it: each certificate that is shown or trusted. */
void security_certificates(struct security *s, tls_certificate_fn *fn, void *arg);
/* A new authentication with the credentials of now. */
int  security_sasl(struct security *s, struct sasl **ret, struct err *ret_err);
/* What the broker refused is not offered again if there is another way to come by it: the token. */
void security_refused(struct security *s);
/* TLS over a connected socket, with the certificates of now. security_prepare was good before. */
int  security_tls(struct security *s, int sock, const char *host, struct tls_conn **ret, struct err *ret_err);
enum sasl_mechanism security_mechanism(const struct security *s);
/* Why something older goes on being used (a file that was replaced by a broken one), "" when all is well. */
void security_note(struct security *s, char *to, size_t n);

#endif

/* tls.h - TLS 1.2 and 1.3 by OpenSSL: what a configuration trusts and shows (struct tls), and one connection of it.
 *
 * Certificates are always checked: the chain against ssl.truststore.* (the system's CAs when there is none), and, unless
 * ssl.endpoint.identification.algorithm is empty, that the leaf is for the host name or address that was asked for.
 * Threads: tls_open and tls_check any that may read files; a struct tls is counted and read-only; a tls_conn is its owner's.
 * Failure words say what to do. The code tells how to go on: ERR_CONFIG (trying again soon is useless: somebody has to
 *	change something), anything else is a connection that broke.
 */
#ifndef SPILLWAY_TLS_H
#define SPILLWAY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "agent/base/err.h"

struct tls_source { const char *key, *file, *pem; };	/* key: its name, for words; file and pem NULL: nothing given */

struct tls_conf {			/* strings are borrowed for the call */
	struct tls_source trust;	/* PEM certificates, or a directory of OpenSSL's */
	struct tls_source chain, own_key;	/* the client's certificate with its intermediates, and its private key */
	const char *password;		/* of the private key; NULL: none */
	const char *protocols, *ciphers;	/* ssl.enabled.protocols, ssl.cipher.suites; NULL: the defaults */
	bool any_name;			/* host names are not checked */
};

struct tls;
struct tls_conn;

/* What can be said without files: protocols and cipher suites. 0, ERR_CONFIG, ERR_NOMEM. */
int  tls_check(const struct tls_conf *c, struct err *ret_err);
int  tls_open(const struct tls_conf *c, struct tls **ret, struct err *ret_err);
/* Calls fn for each certificate that is shown (own) or that was named as trusted. */
struct tls_certificate { bool own; char name[120]; int64_t ends_s; };
typedef void tls_certificate_fn(void *arg, const struct tls_certificate *c);
void tls_certificates(struct tls *t, tls_certificate_fn *fn, void *arg);
struct tls *tls_ref(struct tls *t);
void tls_unref(struct tls *t);		/* NULL is fine */

/* Over a connected non-blocking socket, which stays the caller's. host: what the certificate must be for, and SNI. */
int  tls_conn_new(struct tls *t, int sock, const char *host, struct tls_conn **ret, struct err *ret_err);
void tls_conn_free(struct tls_conn *c);	/* NULL is fine */

/* These return 1 when something went on, 0 when the socket has to be waited for, or a negative code with words. */
int  tls_handshake(struct tls_conn *c, struct err *ret_err);
int  tls_read(struct tls_conn *c, void *to, size_t cap, size_t *ret_n, struct err *ret_err);	/* ERR_CLOSED: the orderly end */
/* Takes some of the first bytes of iov, small pieces together in a record. *ret_n of them are gone: they are not looked
 * at again. After 0 the next call must begin with the same bytes. */
int  tls_write(struct tls_conn *c, const struct iovec *iov, size_t count, size_t *ret_n, struct err *ret_err);
/* What was read from the socket and not asked for yet: no event will tell of it. */
bool tls_pending(const struct tls_conn *c);
/* Of an established one, for people: what is spoken, whom the certificate is for, and when it or one above it ends. */
struct tls_peer { char protocol[16], name[120]; int64_t ends_s; };
bool tls_peer(const struct tls_conn *c, struct tls_peer *ret);
/* Whether to wait until the socket takes bytes; writing: there are bytes to write. */
bool tls_wants_out(const struct tls_conn *c, bool writing);

#endif

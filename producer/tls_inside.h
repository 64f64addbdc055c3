/* tls_inside.h - what the files of tls share: tls.c (contexts), tls_io.c (connections), tls_words.c (what went wrong). */
#ifndef SPILLWAY_TLS_INSIDE_H
#define SPILLWAY_TLS_INSIDE_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "producer/tls.h"

#define TLS_RECORD_MAX 16384

struct tls {
	_Atomic int refs;
	SSL_CTX *ctx;
	bool any_name;
	bool own_certificate;		/* shown to brokers that ask */
	bool named_trust;		/* not the system's CAs */
	char protocols[40];		/* for words */
};

struct tls_conn {
	struct tls *tls;
	SSL     *ssl;
	char     host[256];
	bool     established;
	bool     read_wants_out, write_wants_in;
	size_t   offered;		/* bytes of a record that OpenSSL holds and has not written whole; the same again */
	char     verify[400];		/* why the broker's certificate was not taken */
	unsigned char record[TLS_RECORD_MAX];	/* small pieces put together */
};

/* SSL_CTX's verify callback: writes the words while the certificate is at hand. */
int  tls_words_verify(int good, X509_STORE_CTX *ctx);
/* Words for a failed call; rc and errno_ are its result and the errno behind it. Empties OpenSSL's queue of errors. */
int  tls_words_failure(struct tls_conn *c, int rc, int errno_, struct err *ret_err);
/* "key file: " or "key: " before the words. */
int  tls_source_error(const struct tls_source *s, struct err *ret_err, const char *what);
/* OpenSSL's own words of the oldest queued error; empties the queue. */
const char *tls_reason(void);
void tls_words_time(const ASN1_TIME *t, char *to, size_t n);

#endif

/* tls_look.c - certificates for people: whom they are for, and when they end.
 *
 * Threads: any that may look at what it is given.
 */
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "producer/tls_inside.h"

static int64_t ends_s(const X509 *x)
{
	struct tm tm;

	return x && ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) ? (int64_t)timegm(&tm) : INT64_MAX;
}

/* The common name, else the last part of the subject. */
static void name_of(X509 *x, char *to, size_t n)
{
	X509_NAME *subject = X509_get_subject_name(x);

	if (X509_NAME_get_text_by_NID(subject, NID_commonName, to, (int)n) > 0)
		return;
	to[0] = '\0';
	X509_NAME_oneline(subject, to, (int)n);
}

bool tls_peer(const struct tls_conn *c, struct tls_peer *ret)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(c->ssl);
	struct tls_peer p = { .ends_s = INT64_MAX };

	if (!c->established || sk_X509_num(chain) < 1)
		return false;
	snprintf(p.protocol, sizeof p.protocol, "%s", SSL_get_version(c->ssl));
	name_of(sk_X509_value(chain, 0), p.name, sizeof p.name);
	for (int i = 0; i < sk_X509_num(chain); i++) {
		int64_t end = ends_s(sk_X509_value(chain, i));

		p.ends_s = end < p.ends_s ? end : p.ends_s;
	}
	*ret = p;
	return true;
}

static void tell(X509 *x, bool own, tls_certificate_fn *fn, void *arg)
{
	struct tls_certificate c = { .own = own, .ends_s = ends_s(x) };

	name_of(x, c.name, sizeof c.name);
	fn(arg, &c);
}

void tls_certificates(struct tls *t, tls_certificate_fn *fn, void *arg)
{
	STACK_OF(X509) *chain = NULL;
	STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(t->ctx));

	if (SSL_CTX_get0_certificate(t->ctx))
		tell(SSL_CTX_get0_certificate(t->ctx), true, fn, arg);
	SSL_CTX_get0_chain_certs(t->ctx, &chain);
	for (int i = 0; i < sk_X509_num(chain); i++)
		tell(sk_X509_value(chain, i), true, fn, arg);
	for (int i = 0; t->named_trust && i < sk_X509_OBJECT_num(trusted); i++) {
		X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));

		if (x)
			tell(x, false, fn, arg);
	}
}

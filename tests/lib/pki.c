/* pki.c - see pki.h. */
#include "tests/lib/pki.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

static struct pki_cert make(const struct pki_cert *ca, const char *name, const char *san, long from, long to)
{
	struct pki_cert c = { X509_new(), EVP_EC_gen("P-256") };
	static long serial = 1;
	X509_NAME *n = X509_get_subject_name(c.x);
	X509_EXTENSION *e;

	ASSERT(c.key);
	X509_set_version(c.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(c.x), from);
	X509_gmtime_adj(X509_getm_notAfter(c.x), to);
	X509_set_pubkey(c.x, c.key);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(c.x, ca ? X509_get_subject_name(ca->x) : n);
	e = ca ? NULL : X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
	if (san)
		e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	if (e)
		X509_add_ext(c.x, e, -1);
	X509_EXTENSION_free(e);
	ASSERT(X509_sign(c.x, ca ? ca->key : c.key, EVP_sha256()) > 0);
	return c;
}

struct pki_cert pki_ca(const char *name)
{
	return make(NULL, name, NULL, -3600, 3600);
}

struct pki_cert pki_leaf(const struct pki_cert *ca, const char *name, const char *san, long from, long to)
{
	return make(ca, name, san, from, to);
}

void pki_free(struct pki_cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
}

static char *text_of(BIO *b)
{
	char *p, *copy;
	long n = BIO_get_mem_data(b, &p);

	copy = mem_strndup(p, (size_t)n);
	BIO_free(b);
	return copy;
}

char *pki_pem(const struct pki_cert *c)
{
	BIO *b = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(b, c->x);
	return text_of(b);
}

char *pki_key_pem(const struct pki_cert *c, const char *password)
{
	BIO *b = BIO_new(BIO_s_mem());

	PEM_write_bio_PKCS8PrivateKey(b, c->key, password ? EVP_aes_128_cbc() : NULL, password,
				      password ? (int)strlen(password) : 0, NULL, NULL);
	return text_of(b);
}

void pki_write(const char *path, const char *a, const char *b)
{
	char fresh[300];
	FILE *f;

	snprintf(fresh, sizeof fresh, "%s.new", path);
	f = fopen(fresh, "w");
	ASSERT(f && fputs(a, f) >= 0 && (!b || fputs(b, f) >= 0) && fclose(f) == 0);
	ASSERT(rename(fresh, path) == 0);
}

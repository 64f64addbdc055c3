/* pki.h - certificates for tests, made on the spot: a CA, leaves, their PEM texts. What fails, fails the test. */
#ifndef SPILLWAY_TESTS_PKI_H
#define SPILLWAY_TESTS_PKI_H

#include <openssl/x509.h>

struct pki_cert { X509 *x; EVP_PKEY *key; };

struct pki_cert pki_ca(const char *name);
/* san as in "DNS:a,IP:127.0.0.1", NULL: none. from, to: seconds from now. */
struct pki_cert pki_leaf(const struct pki_cert *ca, const char *name, const char *san, long from, long to);
void pki_free(struct pki_cert *c);
/* mem_free them. password NULL: a plain key. */
char *pki_pem(const struct pki_cert *c);
char *pki_key_pem(const struct pki_cert *c, const char *password);
void pki_write(const char *path, const char *a, const char *b);	/* b NULL: a alone; replaced by rename */

#endif

/* tls.c - out of PEM files and names of protocols and cipher suites into an OpenSSL context.
 *
 * Why files are read here and not by OpenSSL: what is in them decides the words. A JKS or PKCS12 file gets the command that
 * converts it, not "no start line".
 * Threads: see tls.h. Private keys and their text are wiped.
 */
#include "producer/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/mem.h"
#include "producer/tls_inside.h"

#define PEM_MAX (4u << 20)
#define NAMES_MAX 2048

/* --- protocols and cipher suites --- */

static const char *next_word(const char *s, size_t *ret_n)
{
	s += strspn(s, ", :\t\r\n[]");
	*ret_n = strcspn(s, ", :\t\r\n[]");
	return *ret_n ? s : NULL;
}

static int set_protocols(SSL_CTX *ctx, const char *text, struct err *ret_err)
{
	static const struct { const char *name; int version; } known[] = {
		{ "TLSv1.2", TLS1_2_VERSION }, { "TLSv1.3", TLS1_3_VERSION },
	};
	int min = 0, max = 0;
	size_t n = 0;

	for (const char *w = text; w && (w = next_word(w, &n)); w += n) {
		int version = 0;

		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
			if (strlen(known[i].name) == n && !memcmp(known[i].name, w, n))
				version = known[i].version;
		if (!version)
			return err_set(ret_err, ERR_CONFIG, "ssl.enabled.protocols: \"%.*s\": there are TLSv1.2 and TLSv1.3",
				       (int)(n < 40 ? n : 40), w);
		min = !min || version < min ? version : min;
		max = version > max ? version : max;
	}
	SSL_CTX_set_min_proto_version(ctx, min ? min : TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(ctx, max ? max : TLS1_3_VERSION);
	return 0;
}

static bool is_tls13(const char *name)
{
	return !strncmp(name, "TLS_AES_", 8) || !strcmp(name, "TLS_CHACHA20_POLY1305_SHA256");
}

/* OpenSSL's name of a suite by its own or IANA's. */
static const char *suite_name(const char *name)
{
	const char *own = !strncmp(name, "TLS_", 4) ? OPENSSL_cipher_name(name) : NULL;

	return own && own[0] != '(' ? own : name;
}

/* The two versions have suites, and lists, of their own; a version without any suite is not spoken. */
static int set_lists(SSL_CTX *ctx, const char *old, const char *new, struct err *ret_err)
{
	if (!*new && SSL_CTX_get_max_proto_version(ctx) == TLS1_3_VERSION)
		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	if (!*old)
		SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	if (SSL_CTX_get_min_proto_version(ctx) > SSL_CTX_get_max_proto_version(ctx))
		return err_set(ret_err, ERR_CONFIG, "ssl.cipher.suites: none of them fits ssl.enabled.protocols");
	if ((*old && !SSL_CTX_set_cipher_list(ctx, old)) || (*new && !SSL_CTX_set_ciphersuites(ctx, new)))
		return err_set(ret_err, ERR_CONFIG, "ssl.cipher.suites: %s", tls_reason());
	return 0;
}

static int set_ciphers(SSL_CTX *ctx, const char *text, struct err *ret_err)
{
	struct buf old, new;
	size_t n = 0;
	int rc = 0;

	if (!text || !next_word(text, &n))
		return 0;
	buf_init(&old, NAMES_MAX);
	buf_init(&new, NAMES_MAX);
	for (const char *w = text; rc == 0 && (w = next_word(w, &n)); w += n) {
		char name[80];
		struct buf *list;

		snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), w);
		list = is_tls13(name) ? &new : &old;
		buf_printf(list, "%s%s", list->len ? ":" : "", suite_name(name));
		/* One by one, because a list that has one known name in it is taken. */
		if ((list == &old ? SSL_CTX_set_cipher_list(ctx, suite_name(name)) : SSL_CTX_set_ciphersuites(ctx, name)) != 1)
			rc = err_set(ret_err, ERR_CONFIG, "ssl.cipher.suites: \"%s\" is not known here", name);
	}
	ERR_clear_error();
	if (rc == 0 && (old.failed || new.failed))
		rc = err_set(ret_err, ERR_CONFIG, "ssl.cipher.suites: too many names");
	if (rc == 0)
		rc = set_lists(ctx, old.len ? old.data : "", new.len ? new.data : "", ret_err);
	buf_release(&old);
	buf_release(&new);
	return rc;
}

/* --- PEM --- */

struct pem { struct buf text; BIO *bio; };

static void pem_release(struct pem *p)
{
	BIO_free(p->bio);
	if (p->text.data)
		OPENSSL_cleanse(p->text.data, p->text.len);
	buf_release(&p->text);
}

static int refuse_binary(const struct tls_source *s, bool certificates, const uint8_t *p, size_t n, struct err *ret_err)
{
	static const uint8_t jks[] = { 0xfe, 0xed, 0xfe, 0xed }, jceks[] = { 0xce, 0xce, 0xce, 0xce };

	if (n >= 4 && (!memcmp(p, jks, 4) || !memcmp(p, jceks, 4))) {
		if (certificates)
			return err_set(ret_err, ERR_CONFIG, "%s %.100s is a Java keystore (JKS), not PEM; convert it: "
				       "keytool -list -rfc -keystore %.100s > ca.pem", s->key, s->file, s->file);
		return err_set(ret_err, ERR_CONFIG, "%s %.80s is a Java keystore (JKS), not PEM; convert it: keytool "
			       "-importkeystore -srckeystore %.80s -destkeystore store.p12 -deststoretype PKCS12 && "
			       "openssl pkcs12 -in store.p12 -out store.pem", s->key, s->file, s->file);
	}
	if (n >= 2 && p[0] == 0x30 && p[1] >= 0x80)
		return err_set(ret_err, ERR_CONFIG, "%s %.100s is a binary file (PKCS12 or DER), not PEM; convert it: "
			       "openssl pkcs12 -in %.100s %s-out store.pem", s->key, s->file, s->file,
			       certificates ? "-nokeys " : "");
	return 0;
}

/* With room for all of it from the beginning: a buffer that grows leaves copies of a private key behind. */
static int read_all(int fd, struct buf *to)
{
	char piece[8192];
	struct stat st;
	ssize_t n;
	int rc = 0;

	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < PEM_MAX)
		buf_reserve(to, (size_t)st.st_size);

	while (rc == 0 && (n = read(fd, piece, sizeof piece)) != 0) {
		if (n < 0 && errno != EINTR)
			rc = -errno;
		else if (n > 0 && buf_put(to, piece, (size_t)n) < 0)
			rc = ERR_TOO_LARGE;
	}
	OPENSSL_cleanse(piece, sizeof piece);
	return rc;
}

static bool is_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The text of a source, ready to be parsed. */
static int pem_open(const struct tls_source *s, bool certificates, struct pem *p, struct err *ret_err)
{
	int fd, rc = 0;

	p->bio = NULL;
	buf_init(&p->text, PEM_MAX);
	if (s->pem) {
		rc = buf_puts(&p->text, s->pem);
	} else {
		/* A pipe or device could hold the names thread for ever. */
		fd = open(s->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		rc = fd < 0 ? -errno : is_regular(fd) ? read_all(fd, &p->text) : -EINVAL;
		if (fd >= 0)
			close(fd);
	}
	if (rc == 0 && !s->pem)
		rc = refuse_binary(s, certificates, (const uint8_t *)p->text.data, p->text.len, ret_err);
	else if (rc < 0)
		rc = tls_source_error(s, ret_err, rc == ERR_TOO_LARGE ? "the file is too large for certificates" : err_text(rc));
	if (rc == 0 && !p->text.len)
		rc = tls_source_error(s, ret_err, "it is empty");
	p->bio = rc == 0 ? BIO_new_mem_buf(p->text.data, (int)p->text.len) : NULL;
	if (rc == 0 && !p->bio)
		rc = err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	if (rc < 0)
		pem_release(p);
	return rc;
}

static int no_password(char *buf, int size, int rwflag, void *arg)
{
	const char *password = arg;
	size_t n = password ? strlen(password) : 0;

	(void)rwflag;
	if (!password || n > (size_t)size)
		return -1;
	memcpy(buf, password, n);
	return (int)n;
}

/* The next certificate; NULL at the end (*ret_rc 0) or when what comes is broken. */
static X509 *next_certificate(const struct tls_source *s, struct pem *p, int *ret_rc, struct err *ret_err)
{
	X509 *x = PEM_read_bio_X509(p->bio, NULL, no_password, NULL);

	*ret_rc = 0;
	if (x)
		return x;
	if (ERR_GET_LIB(ERR_peek_last_error()) != ERR_LIB_PEM || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		*ret_rc = tls_source_error(s, ret_err, "a certificate in it is damaged");
	ERR_clear_error();
	return NULL;
}

/* --- what is trusted --- */

static int trust_pem(SSL_CTX *ctx, const struct tls_source *s, struct err *ret_err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	struct pem p;
	X509 *x;
	int rc = pem_open(s, true, &p, ret_err), n = 0;

	if (rc < 0)
		return rc;
	while ((x = next_certificate(s, &p, &rc, ret_err))) {
		X509_STORE_add_cert(store, x);
		X509_free(x);
		n++;
	}
	pem_release(&p);
	if (rc == 0 && !n)
		rc = tls_source_error(s, ret_err, "no certificate in it (-----BEGIN CERTIFICATE-----)");
	return rc;
}

static int set_trust(struct tls *t, const struct tls_source *s, struct err *ret_err)
{
	struct stat st;

	t->named_trust = s->file || s->pem;
	if (!t->named_trust) {
		if (!SSL_CTX_set_default_verify_paths(t->ctx))
			return err_set(ret_err, ERR_CONFIG, "the system's CA certificates cannot be read: %s", tls_reason());
		return 0;
	}
	if (!s->pem && stat(s->file, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (!X509_STORE_load_path(SSL_CTX_get_cert_store(t->ctx), s->file))
			return tls_source_error(s, ret_err, tls_reason());
		return 0;
	}
	return trust_pem(t->ctx, s, ret_err);
}

/* --- what is shown --- */

static int check_dates(const struct tls_source *s, X509 *x, struct err *ret_err)
{
	char when[64], text[120];

	if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0) {
		tls_words_time(X509_get0_notAfter(x), when, sizeof when);
		snprintf(text, sizeof text, "this client's own certificate expired at %s", when);
		return tls_source_error(s, ret_err, text);
	}
	if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0) {
		tls_words_time(X509_get0_notBefore(x), when, sizeof when);
		snprintf(text, sizeof text, "this client's own certificate is not valid before %s", when);
		return tls_source_error(s, ret_err, text);
	}
	return 0;
}

static int set_chain(SSL_CTX *ctx, const struct tls_source *s, struct err *ret_err)
{
	struct pem p;
	X509 *x;
	int rc = pem_open(s, false, &p, ret_err), n = 0;

	if (rc < 0)
		return rc;
	while (rc == 0 && (x = next_certificate(s, &p, &rc, ret_err))) {
		if (n == 0)
			rc = check_dates(s, x, ret_err);
		if (rc == 0 && (n++ == 0 ? SSL_CTX_use_certificate(ctx, x) : SSL_CTX_add1_chain_cert(ctx, x)) != 1)
			rc = tls_source_error(s, ret_err, tls_reason());
		X509_free(x);
	}
	pem_release(&p);
	if (rc == 0 && !n)
		rc = tls_source_error(s, ret_err, "no certificate in it (-----BEGIN CERTIFICATE-----)");
	return rc;
}

static int bad_key(const struct tls_source *s, const char *password, const struct pem *p, struct err *ret_err)
{
	bool locked = strstr(p->text.data, "ENCRYPTED") != NULL;
	const char *what = locked && !password ? "the private key needs ssl.key.password" :
			   locked ? "the private key does not open with ssl.key.password" : "the private key in it is damaged";

	ERR_clear_error();
	if (!strstr(p->text.data, "PRIVATE KEY-----"))
		what = "no private key in it (-----BEGIN PRIVATE KEY-----)";
	return tls_source_error(s, ret_err, what);
}

static int set_key(SSL_CTX *ctx, const struct tls_source *s, const char *password, struct err *ret_err)
{
	struct pem p;
	EVP_PKEY *key;
	int rc = pem_open(s, false, &p, ret_err);

	if (rc < 0)
		return rc;
	key = PEM_read_bio_PrivateKey(p.bio, NULL, no_password, (void *)(uintptr_t)password);
	if (!key)
		rc = bad_key(s, password, &p, ret_err);
	/* The leaf is there already, so one that does not match is refused here. */
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		rc = tls_source_error(s, ret_err, "the private key does not belong to the certificate");
	EVP_PKEY_free(key);
	pem_release(&p);
	ERR_clear_error();
	return rc;
}

static int set_own(struct tls *t, const struct tls_conf *c, struct err *ret_err)
{
	bool chain = c->chain.file || c->chain.pem, key = c->own_key.file || c->own_key.pem;
	int rc;

	if (!chain && !key)
		return 0;
	if (chain != key)
		return err_set(ret_err, ERR_CONFIG, "a client certificate needs both: %s is given, %s is not",
			       chain ? c->chain.key : c->own_key.key, chain ? c->own_key.key : c->chain.key);
	t->own_certificate = true;
	rc = set_chain(t->ctx, &c->chain, ret_err);
	return rc < 0 ? rc : set_key(t->ctx, &c->own_key, c->password, ret_err);
}

/* --- the whole --- */

static int set_rules(SSL_CTX *ctx, const struct tls_conf *c, struct err *ret_err)
{
	int rc = set_protocols(ctx, c->protocols, ret_err);

	return rc < 0 ? rc : set_ciphers(ctx, c->ciphers, ret_err);
}

int tls_check(const struct tls_conf *c, struct err *ret_err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int rc;

	if (!ctx)
		return err_set(ret_err, ERR_NOMEM, "%s", tls_reason());
	rc = set_rules(ctx, c, ret_err);
	SSL_CTX_free(ctx);
	return rc;
}

int tls_open(const struct tls_conf *c, struct tls **ret, struct err *ret_err)
{
	struct tls *t = mem_new(struct tls);
	int rc;

	if (!t || !(t->ctx = SSL_CTX_new(TLS_client_method()))) {
		mem_free(t);
		ERR_clear_error();
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	}
	atomic_init(&t->refs, 1);
	t->any_name = c->any_name;
	snprintf(t->protocols, sizeof t->protocols, "%s", c->protocols && *c->protocols ? c->protocols : "TLSv1.2,TLSv1.3");
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, tls_words_verify);
	rc = set_rules(t->ctx, c, ret_err);
	if (rc == 0)
		rc = set_trust(t, &c->trust, ret_err);
	if (rc == 0)
		rc = set_own(t, c, ret_err);
	if (rc < 0) {
		tls_unref(t);
		return rc;
	}
	*ret = t;
	return 0;
}

struct tls *tls_ref(struct tls *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void tls_unref(struct tls *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	SSL_CTX_free(t->ctx);
	mem_free(t);
}

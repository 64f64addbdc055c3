/* scram.c - SCRAM: proves that we know the password without showing it, and that the server knows it too.
 *
 *	client-first    n,,n=USER,r=NONCE[,tokenauth=true]
 *	server-first    r=NONCE+THEIRS,s=SALT,i=ITERATIONS
 *	client-final    c=biws,r=NONCE+THEIRS,p=PROOF
 *	server-final    v=SIGNATURE or e=ERROR
 *
 * Invariants
 *  (1) nothing but a right signature over this very exchange makes it done; it is compared in constant time.
 *  (2) what is derived from the password lives on the stack of one function, and is wiped there.
 *  (3) the work a server can ask for is bounded: ITERATIONS_MAX is below a second, brokers allow their users 16384 at most.
 * Threads: the owner's. Failure: words never hold the password, the salt or a proof.
 * Source: RFC 5802, RFC 7677, KIP-84; delegation tokens KIP-48.
 */
#include "producer/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/base64.h"
#include "producer/sasl.h"

#define ITERATIONS_MIN 4096
#define ITERATIONS_MAX 1000000
#define SALT_MAX 1024
#define SERVER_MAX 8192		/* bytes of a server's message */
#define NONCE_BYTES 24
#define FINAL_BARE "c=biws,r="	/* biws: the header "n,," in base64 */

struct text { const char *p; size_t n; };

struct server_first { struct text nonce; uint8_t salt[SALT_MAX]; int salt_len, iterations; };

static const EVP_MD *hash_of(const struct scram *s)
{
	return s->sha512 ? EVP_sha512() : EVP_sha256();
}

static int crypto_failed(struct err *ret_err)
{
	return err_set(ret_err, ERR_INTERNAL, "SCRAM: the cryptographic library failed");
}

static int bad_message(struct err *ret_err, const char *what)
{
	return err_set(ret_err, ERR_BAD_DATA, "SCRAM: the broker's %s", what);
}

/* --- client-first --- */

/* saslname: ',' and '=' cannot stand in it. */
static char *escape_name(const char *name)
{
	char *out = mem_alloc(3 * strlen(name) + 1), *p = out;

	for (; p && *name; name++) {
		if (*name == ',' || *name == '=') {
			memcpy(p, *name == ',' ? "=2C" : "=3D", 3);
			p += 3;
		} else {
			*p++ = *name;
		}
	}
	if (p)
		*p = 0;
	return out;
}

static int make_nonce(struct scram *s, const char *nonce, struct err *ret_err)
{
	uint8_t random[NONCE_BYTES];

	if (nonce) {
		ASSERT(strlen(nonce) < sizeof s->nonce);
		memcpy(s->nonce, nonce, strlen(nonce) + 1);
		return 0;
	}
	if (RAND_bytes(random, sizeof random) != 1)
		return crypto_failed(ret_err);
	EVP_EncodeBlock((unsigned char *)s->nonce, random, sizeof random);
	return 0;
}

int scram_init(struct scram *s, bool sha512, const char *username, const char *password, const char *nonce,
	       const char *extensions, struct err *ret_err)
{
	char *name;
	int rc;

	*s = (struct scram){ .sha512 = sha512 };
	rc = make_nonce(s, nonce, ret_err);
	if (rc < 0)
		return rc;
	name = escape_name(username);
	s->password = mem_strdup(password);
	if (name)
		s->first_bare = mem_printf("n=%s,r=%s%s%s", name, s->nonce, extensions ? "," : "",
					   extensions ? extensions : "");
	mem_free(name);
	return s->password && s->first_bare ? 0 : err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}

void scram_release(struct scram *s)
{
	if (s->password)
		OPENSSL_cleanse(s->password, strlen(s->password));
	mem_free(s->password);
	mem_free(s->first_bare);
	OPENSSL_cleanse(s, sizeof *s);
}

/* --- server-first --- */

/* The value of the next attribute if it is NAME=, and *in behind it and its comma. */
static bool take(struct text *in, char name, struct text *ret)
{
	const char *comma;

	if (in->n < 2 || in->p[0] != name || in->p[1] != '=')
		return false;
	comma = memchr(in->p, ',', in->n);
	*ret = (struct text){ in->p + 2, (comma ? (size_t)(comma - in->p) : in->n) - 2 };
	in->n -= ret->n + 2 + (comma != NULL);
	in->p += ret->n + 2 + (comma != NULL);
	return true;
}

static int read_iterations(struct text t)
{
	int v = 0;

	if (!t.n || t.n > 9)
		return t.n > 9 ? ITERATIONS_MAX + 1 : -1;
	for (size_t i = 0; i < t.n; i++) {
		if (t.p[i] < '0' || t.p[i] > '9')
			return -1;
		v = v * 10 + (t.p[i] - '0');
	}
	return v;
}

static int read_server_first(const struct scram *s, struct text in, struct server_first *ret, struct err *ret_err)
{
	size_t ours = strlen(s->nonce);
	struct text salt, iterations;

	if (in.n && in.p[0] == 'm')
		return bad_message(ret_err, "first message asks for an extension that is not known");
	if (!take(&in, 'r', &ret->nonce) || !take(&in, 's', &salt) || !take(&in, 'i', &iterations))
		return bad_message(ret_err, "first message is malformed");
	for (size_t i = 0; i < ret->nonce.n; i++)
		if (ret->nonce.p[i] < 0x21 || ret->nonce.p[i] > 0x7e)
			return bad_message(ret_err, "nonce is malformed");
	if (ret->nonce.n <= ours || memcmp(ret->nonce.p, s->nonce, ours) != 0)
		return bad_message(ret_err, "nonce does not continue ours");
	ret->salt_len = base64_decode(BASE64_STANDARD, salt.p, salt.n, ret->salt, sizeof ret->salt);
	if (ret->salt_len <= 0)
		return bad_message(ret_err, "salt is malformed");
	ret->iterations = read_iterations(iterations);
	if (ret->iterations < 0)
		return bad_message(ret_err, "iteration count is malformed");
	if (ret->iterations < ITERATIONS_MIN || ret->iterations > ITERATIONS_MAX)
		return err_set(ret_err, ERR_BAD_DATA, "SCRAM: the broker asks for %.*s iterations, %d to %d are taken",
			       (int)(iterations.n < 20 ? iterations.n : 20), iterations.p, ITERATIONS_MIN, ITERATIONS_MAX);
	return 0;
}

/* --- client-final --- */

struct keys { uint8_t salted[SCRAM_HASH_MAX], client[SCRAM_HASH_MAX], stored[SCRAM_HASH_MAX], server[SCRAM_HASH_MAX],
		      signature[SCRAM_HASH_MAX]; };

static bool hmac(const EVP_MD *md, const uint8_t *key, const char *text, uint8_t *ret)
{
	return HMAC(md, key, EVP_MD_get_size(md), (const unsigned char *)text, strlen(text), ret, NULL) != NULL;
}

/* The proof, and the signature that the server will have to show. */
static bool derive(struct scram *s, const struct server_first *f, const char *auth_message, struct keys *k, uint8_t *ret_proof)
{
	const EVP_MD *md = hash_of(s);
	int size = EVP_MD_get_size(md);

	if (!PKCS5_PBKDF2_HMAC(s->password, (int)strlen(s->password), f->salt, f->salt_len, f->iterations, md, size, k->salted) ||
	    !hmac(md, k->salted, "Client Key", k->client) || !hmac(md, k->salted, "Server Key", k->server) ||
	    !EVP_Digest(k->client, (size_t)size, k->stored, NULL, md, NULL) ||
	    !hmac(md, k->stored, auth_message, k->signature) || !hmac(md, k->server, auth_message, s->server_signature))
		return false;
	for (int i = 0; i < size; i++)
		ret_proof[i] = k->client[i] ^ k->signature[i];
	return true;
}

static int make_final(struct scram *s, struct text in, char **ret_out, struct err *ret_err)
{
	uint8_t proof[SCRAM_HASH_MAX];
	char coded[SCRAM_HASH_MAX * 4 / 3 + 8];
	struct server_first f;
	struct keys k;
	char *auth_message;
	int rc = read_server_first(s, in, &f, ret_err);

	if (rc < 0)
		return rc;
	auth_message = mem_printf("%s,%.*s," FINAL_BARE "%.*s", s->first_bare, (int)in.n, in.p, (int)f.nonce.n, f.nonce.p);
	if (!auth_message)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	if (!derive(s, &f, auth_message, &k, proof)) {
		rc = crypto_failed(ret_err);
	} else {
		EVP_EncodeBlock((unsigned char *)coded, proof, EVP_MD_get_size(hash_of(s)));
		*ret_out = mem_printf(FINAL_BARE "%.*s,p=%s", (int)f.nonce.n, f.nonce.p, coded);
		rc = *ret_out ? SASL_SEND : err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	}
	OPENSSL_cleanse(&k, sizeof k);
	OPENSSL_cleanse(proof, sizeof proof);
	mem_free(auth_message);
	return rc;
}

/* --- server-final --- */

static int check_final(const struct scram *s, struct text in, struct err *ret_err)
{
	int size = EVP_MD_get_size(hash_of(s));
	uint8_t signature[SCRAM_HASH_MAX];
	char words[80] = "";
	struct text t;

	if (take(&in, 'e', &t)) {
		for (size_t i = 0; i < t.n && i < sizeof words - 1; i++)
			words[i] = t.p[i] >= 0x20 && t.p[i] < 0x7f ? t.p[i] : '?';
		return err_set(ret_err, ERR_BAD_DATA, "SCRAM: the broker says \"%s\"", words);
	}
	if (!take(&in, 'v', &t))
		return bad_message(ret_err, "last message is malformed");
	if (base64_decode(BASE64_STANDARD, t.p, t.n, signature, sizeof signature) != size)
		return bad_message(ret_err, "signature is malformed");
	if (CRYPTO_memcmp(signature, s->server_signature, (size_t)size) != 0)
		return bad_message(ret_err, "signature is wrong: it does not know the password");
	return SASL_DONE;
}

int scram_step(struct scram *s, const char *in, size_t n, char **ret_out, struct err *ret_err)
{
	struct text t = { in ? in : "", in ? n : 0 };

	*ret_out = NULL;
	/* The texts are put together as C strings. */
	if (t.n > SERVER_MAX || memchr(t.p, 0, t.n))
		return bad_message(ret_err, "message is malformed");
	switch (s->step++) {
	case 0:
		*ret_out = mem_printf("n,,%s", s->first_bare);
		return *ret_out ? SASL_SEND : err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	case 1:
		return make_final(s, t, ret_out, ret_err);
	case 2:
		return check_final(s, t, ret_err);
	default:
		return bad_message(ret_err, "message comes after the last one");
	}
}

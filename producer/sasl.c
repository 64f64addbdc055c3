/* sasl.c - the mechanisms behind one face.
 *
 * Invariants
 *  (1) what was sent, and what it was made of, is wiped when the next step or the end comes.
 *  (2) after SASL_DONE or an error every further step is ERR_BAD_DATA.
 * Threads: the owner's. Failure: words name the mechanism, never a secret.
 */
#include "producer/sasl.h"

#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/oauthbearer.h"
#include "producer/scram.h"

#define AFTER_ERROR "\x01"	/* RFC 7628 3.2.3 */

struct sasl {
	enum sasl_mechanism mechanism;
	bool   sent, over;
	size_t out_len;
	char  *out;			/* to be sent; secret */
	struct scram scram;
	struct err refused;		/* OAUTHBEARER: the server's error, said after its end; code 0: none */
};

const char *sasl_mechanism_name(enum sasl_mechanism m)
{
	static const char *const names[] = {
		[SASL_NONE] = "", [SASL_PLAIN] = "PLAIN", [SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
		[SASL_SCRAM_SHA_512] = "SCRAM-SHA-512", [SASL_OAUTHBEARER] = "OAUTHBEARER",
	};

	return (size_t)m < sizeof names / sizeof names[0] ? names[m] : "";
}

static int no_memory(struct err *ret_err)
{
	return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}

static void drop_out(struct sasl *s)
{
	if (s->out)
		OPENSSL_cleanse(s->out, s->out_len);
	mem_free(s->out);
	s->out = NULL;
	s->out_len = 0;
}

/* authzid (empty) NUL name NUL password */
static int plain_init(struct sasl *s, const struct sasl_credentials *c, struct err *ret_err)
{
	size_t name = strlen(c->username), password = strlen(c->password);

	s->out = mem_alloc(name + password + 2);
	if (!s->out)
		return no_memory(ret_err);
	s->out_len = name + password + 2;
	s->out[0] = 0;
	memcpy(s->out + 1, c->username, name + 1);
	memcpy(s->out + 2 + name, c->password, password);
	return 0;
}

static int oauth_init(struct sasl *s, const struct sasl_credentials *c, struct err *ret_err)
{
	int rc = oauthbearer_check_extensions(c->extensions, ret_err);

	if (rc < 0) {
		if (ret_err)
			err_prefix(ret_err, "OAUTHBEARER: ");
		return rc;
	}
	if (!c->token || !oauthbearer_token_good(c->token, strlen(c->token)))
		return err_set(ret_err, ERR_CONFIG, "OAUTHBEARER: the token is empty or holds characters that no token has");
	s->out = oauthbearer_first(c->token, c->extensions);
	if (!s->out)
		return no_memory(ret_err);
	s->out_len = strlen(s->out);
	return 0;
}

static int init(struct sasl *s, const struct sasl_credentials *c, struct err *ret_err)
{
	const char *name = sasl_mechanism_name(c->mechanism);

	s->mechanism = c->mechanism;
	if (c->mechanism == SASL_OAUTHBEARER)
		return oauth_init(s, c, ret_err);
	if (!*name)
		return err_set(ret_err, ERR_CONFIG, "no SASL mechanism");
	if (!c->username || !*c->username)
		return err_set(ret_err, ERR_CONFIG, "%s: the user name is empty", name);
	if (!c->password || !*c->password)
		return err_set(ret_err, ERR_CONFIG, "%s: the password is empty", name);
	if (c->mechanism == SASL_PLAIN)
		return plain_init(s, c, ret_err);
	return scram_init(&s->scram, c->mechanism == SASL_SCRAM_SHA_512, c->username, c->password, NULL,
			  c->delegation_token ? "tokenauth=true" : NULL, ret_err);
}

int sasl_new(struct sasl **ret, const struct sasl_credentials *c, struct err *ret_err)
{
	struct sasl *s = mem_new(struct sasl);
	int rc = s ? init(s, c, ret_err) : no_memory(ret_err);

	if (rc < 0) {
		sasl_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void sasl_free(struct sasl *s)
{
	if (!s)
		return;
	drop_out(s);
	scram_release(&s->scram);
	mem_free(s);
}

/* The first call sends what was made by init; the second hears the end. */
static int plain_step(struct sasl *s, size_t n, struct err *ret_err)
{
	if (!s->sent)
		return SASL_SEND;
	if (n)
		return err_set(ret_err, ERR_BAD_DATA, "PLAIN: the broker answers with data, which makes no sense");
	return SASL_DONE;
}

static int oauth_step(struct sasl *s, const void *in, size_t n, struct err *ret_err)
{
	if (!s->sent)
		return SASL_SEND;
	if (s->refused.code)
		return err_set(ret_err, ERR_BAD_DATA, "%s", s->refused.text);
	if (!n)
		return SASL_DONE;
	oauthbearer_refused(in, n, &s->refused);
	drop_out(s);
	s->out = mem_strdup(AFTER_ERROR);
	if (!s->out)
		return no_memory(ret_err);
	s->out_len = strlen(AFTER_ERROR);
	return SASL_SEND;
}

static int next_step(struct sasl *s, const void *in, size_t n, struct err *ret_err)
{
	int rc;

	if (s->mechanism == SASL_PLAIN)
		return plain_step(s, n, ret_err);
	if (s->mechanism == SASL_OAUTHBEARER)
		return oauth_step(s, in, n, ret_err);
	drop_out(s);
	rc = scram_step(&s->scram, in, n, &s->out, ret_err);
	s->out_len = s->out ? strlen(s->out) : 0;
	return rc;
}

int sasl_step(struct sasl *s, const void *in, size_t n, const void **ret_out, size_t *ret_n, struct err *ret_err)
{
	int rc;

	if (s->over)
		return err_set(ret_err, ERR_BAD_DATA, "%s: the authentication is over", sasl_mechanism_name(s->mechanism));
	rc = next_step(s, in, in ? n : 0, ret_err);
	s->sent = true;
	if (rc != SASL_SEND) {
		s->over = true;
		drop_out(s);
		return rc;
	}
	*ret_out = s->out;
	*ret_n = s->out_len;
	return rc;
}

/* security.c - certificates and credentials out of one configuration, kept fresh.
 *
 * Why files are looked at before every connection: whoever renews certificates replaces files, and nobody tells. What was
 * good goes on when its successor is broken, so that a half-written file stops nothing.
 * Invariant: tls and token change only as a whole, under mu.
 * Threads: security_prepare and _load on one thread at a time (names), all else on any. Lock: mu, leaf; never held while waiting.
 * Failure: see security.h. Java reads PEM files again only when somebody reconfigures the client; tokens it renews in a
 *	thread of its own at 80 % of their life, here it happens when somebody needs one.
 */
#include "producer/security.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/jaas.h"
#include "producer/tls.h"
#include "producer/token.h"

#define TOKEN_MAX (256u << 10)
#define TOKEN_RENEW_PERCENT 80
#define EXTENSIONS_MAX 4096

enum text {
	TRUST_FILE, TRUST_PEM, STORE_FILE, CHAIN_FILE, CHAIN_PEM, KEY_FILE, KEY_PEM, KEY_PASSWORD, NAME_CHECK,
	PROTOCOLS, CIPHERS, USERNAME, PASSWORD, TOKEN_URL, TOKEN_FILE, CLIENT_ID, CLIENT_SECRET, SCOPE, EXTENSIONS, TEXTS
};
#define FIELD(f) offsetof(struct producer_config, f)
static const size_t fields[TEXTS] = {
	[TRUST_FILE] = FIELD(ssl_truststore_location), [TRUST_PEM] = FIELD(ssl_truststore_certificates),
	[STORE_FILE] = FIELD(ssl_keystore_location), [CHAIN_FILE] = FIELD(ssl_certificate_location),
	[CHAIN_PEM] = FIELD(ssl_keystore_certificate_chain), [KEY_FILE] = FIELD(ssl_key_location),
	[KEY_PEM] = FIELD(ssl_keystore_key), [KEY_PASSWORD] = FIELD(ssl_key_password),
	[NAME_CHECK] = FIELD(ssl_endpoint_identification_algorithm),
	[PROTOCOLS] = FIELD(ssl_enabled_protocols), [CIPHERS] = FIELD(ssl_cipher_suites),
	[USERNAME] = FIELD(sasl_username), [PASSWORD] = FIELD(sasl_password),
	[TOKEN_URL] = FIELD(oauth_token_url), [TOKEN_FILE] = FIELD(oauth_token_file), [CLIENT_ID] = FIELD(oauth_client_id),
	[CLIENT_SECRET] = FIELD(oauth_client_secret), [SCOPE] = FIELD(oauth_scope), [EXTENSIONS] = FIELD(oauth_extensions),
};

struct stamp { dev_t dev; ino_t ino; off_t size; struct timespec mtime; };	/* all zero: not there */
enum { STAMP_TRUST, STAMP_CHAIN, STAMP_KEY, STAMPS };

struct security {
	_Atomic int refs;
	/* Set at the beginning, read-only after. */
	bool    has_tls, has_sasl, delegation_token;
	enum sasl_mechanism mechanism;
	int64_t connect_timeout_ms, read_timeout_ms;
	char   *text[TEXTS];			/* NULL: not given */
	/* Thread: the one that prepares. */
	struct stamp stamps[STAMPS];
	/* Lock: mu. */
	pthread_mutex_t mu;
	struct tls *tls;
	char   *token;
	int64_t token_renew_ms, token_ends_ms;	/* wall time */
	char    tls_note[400], token_note[400];
};

/* --- out of the configuration --- */

static void set_text(struct security *s, enum text what, const char *value, bool *failed)
{
	if (!value || !*value)
		return;
	if (s->text[what])
		explicit_bzero(s->text[what], strlen(s->text[what]));
	mem_free(s->text[what]);
	s->text[what] = mem_strdup(value);
	*failed |= !s->text[what];
}

/* "extension_NAME" options as NAME=value,... */
static void set_extensions(struct security *s, const struct jaas *j, bool *failed)
{
	static const char prefix[] = "extension_";
	struct buf b;

	buf_init(&b, EXTENSIONS_MAX);
	for (size_t i = 0; i < j->option_count; i++)
		if (!strncmp(j->options[i].name, prefix, sizeof prefix - 1))
			buf_printf(&b, "%s%s=%s", b.len ? "," : "", j->options[i].name + sizeof prefix - 1, j->options[i].value);
	*failed |= b.failed;
	if (b.len)
		set_text(s, EXTENSIONS, b.data, failed);
	buf_release(&b);
}

static int read_jaas(struct security *s, const char *text, struct err *ret_err)
{
	static const struct { const char *option; enum text what; } table[] = {
		{ "username", USERNAME }, { "password", PASSWORD }, { "clientId", CLIENT_ID }, { "clientSecret", CLIENT_SECRET },
		{ "scope", SCOPE },
	};
	const char *token;
	struct jaas j;
	bool failed = false;
	int rc = jaas_parse(text, &j, ret_err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		set_text(s, table[i].what, jaas_option(&j, table[i].option), &failed);
	token = jaas_option(&j, "tokenauth");
	s->delegation_token = token && !strcmp(token, "true");
	set_extensions(s, &j, &failed);
	jaas_release(&j);
	return failed ? err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM)) : 0;
}

/* The certificate and its key may be one file, two, or two texts. */
static struct tls_conf tls_conf_of(const struct security *s)
{
	char *const *t = s->text;
	const char *name_check = t[NAME_CHECK];

	return (struct tls_conf){
		.trust = { t[TRUST_PEM] ? "ssl.truststore.certificates" : "ssl.truststore.location", t[TRUST_FILE], t[TRUST_PEM] },
		.chain = { t[CHAIN_PEM] ? "ssl.keystore.certificate.chain" : t[CHAIN_FILE] ? "ssl.certificate.location" :
			   "ssl.keystore.location", t[CHAIN_FILE] ? t[CHAIN_FILE] : t[STORE_FILE], t[CHAIN_PEM] },
		.own_key = { t[KEY_PEM] ? "ssl.keystore.key" : t[KEY_FILE] ? "ssl.key.location" : "ssl.keystore.location",
			     t[KEY_FILE] ? t[KEY_FILE] : t[STORE_FILE], t[KEY_PEM] },
		.password = t[KEY_PASSWORD],
		.protocols = t[PROTOCOLS], .ciphers = t[CIPHERS],
		.any_name = !name_check || !strcmp(name_check, "none"),
	};
}

static int read_config(struct security *s, const struct producer_config *c, struct err *ret_err)
{
	struct tls_conf tls;
	bool failed = false;
	int rc = 0;

	for (int i = 0; i < TEXTS; i++)
		set_text(s, (enum text)i, *(char *const *)(const void *)((const char *)c + fields[i]), &failed);
	if (failed)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	if (s->has_sasl && s->mechanism == SASL_NONE)
		return err_set(ret_err, ERR_CONFIG, "sasl.mechanism is required with security.protocol: SASL_...");
	if (s->has_sasl && c->sasl_jaas_config && *c->sasl_jaas_config)
		rc = read_jaas(s, c->sasl_jaas_config, ret_err);
	tls = tls_conf_of(s);
	return rc < 0 || !s->has_tls ? rc : tls_check(&tls, ret_err);
}

int security_new(const struct producer_config *c, struct security **ret, struct err *ret_err)
{
	struct security *s;
	int rc;

	*ret = NULL;
	if (c->security_protocol == PROTOCOL_PLAINTEXT)
		return 0;
	s = mem_new(struct security);
	if (!s)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->mu, NULL);
	s->has_tls = protocol_has_tls(c->security_protocol);
	s->has_sasl = protocol_has_sasl(c->security_protocol);
	s->mechanism = (enum sasl_mechanism)c->sasl_mechanism;
	s->connect_timeout_ms = c->login_connect_timeout_ms;
	s->read_timeout_ms = c->login_read_timeout_ms;
	rc = read_config(s, c, ret_err);
	if (rc < 0)
		security_unref(s);
	else
		*ret = s;
	return rc;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	mem_free(text);
}

struct security *security_ref(struct security *s)
{
	if (s)
		atomic_fetch_add(&s->refs, 1);
	return s;
}

void security_unref(struct security *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	for (int i = 0; i < TEXTS; i++)
		wipe(s->text[i]);
	wipe(s->token);
	tls_unref(s->tls);
	pthread_mutex_destroy(&s->mu);
	mem_free(s);
}

bool security_has_tls(const struct security *s)
{
	return s && s->has_tls;
}

bool security_has_sasl(const struct security *s)
{
	return s && s->has_sasl;
}

enum sasl_mechanism security_mechanism(const struct security *s)
{
	return s->mechanism;
}

static void set_note(struct security *s, char *note, size_t n, const char *text, const char *instead)
{
	pthread_mutex_lock(&s->mu);
	snprintf(note, n, "%.340s%s", text, instead);
	pthread_mutex_unlock(&s->mu);
}

void security_note(struct security *s, char *to, size_t n)
{
	to[0] = 0;
	if (!s)
		return;
	pthread_mutex_lock(&s->mu);
	snprintf(to, n, "%s", s->tls_note[0] ? s->tls_note : s->token_note);
	pthread_mutex_unlock(&s->mu);
}

/* --- certificates --- */

static struct stamp stamp_of(const struct tls_source *source)
{
	struct stat st;

	if (source->pem || !source->file || stat(source->file, &st) < 0)
		return (struct stamp){ 0 };
	return (struct stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static int refresh_tls(struct security *s, struct err *ret_err)
{
	struct tls_conf conf = tls_conf_of(s);
	const struct tls_source *sources[STAMPS] = { &conf.trust, &conf.chain, &conf.own_key };
	struct stamp now[STAMPS];		/* taken before reading: what changes meanwhile is seen the next time */
	bool same = s->tls != NULL;
	struct tls *fresh, *old;
	struct err e;
	int rc;

	for (int i = 0; i < STAMPS; i++) {
		now[i] = stamp_of(sources[i]);
		same = same && same_stamp(&now[i], &s->stamps[i]);
	}
	rc = same ? 0 : tls_open(&conf, &fresh, &e);
	if (rc < 0 && s->tls) {
		set_note(s, s->tls_note, sizeof s->tls_note, e.text, "; what was there before goes on");
		return 0;
	}
	if (rc < 0)
		return err_set(ret_err, rc, "%s", e.text);
	set_note(s, s->tls_note, sizeof s->tls_note, "", "");
	if (same)
		return 0;
	memcpy(s->stamps, now, sizeof now);
	pthread_mutex_lock(&s->mu);
	old = s->tls;
	s->tls = fresh;
	pthread_mutex_unlock(&s->mu);
	tls_unref(old);
	return 0;
}

void security_certificates(struct security *s, tls_certificate_fn *fn, void *arg)
{
	struct tls *t;

	pthread_mutex_lock(&s->mu);
	t = s->tls ? tls_ref(s->tls) : NULL;
	pthread_mutex_unlock(&s->mu);
	if (t)
		tls_certificates(t, fn, arg);
	tls_unref(t);
}

int security_tls(struct security *s, int sock, const char *host, struct tls_conn **ret, struct err *ret_err)
{
	struct tls *t;
	int rc;

	pthread_mutex_lock(&s->mu);
	t = s->tls ? tls_ref(s->tls) : NULL;
	pthread_mutex_unlock(&s->mu);
	ASSERT(t);
	rc = tls_conn_new(t, sock, host, ret, ret_err);
	tls_unref(t);
	return rc;
}

/* --- tokens --- */

static int fetch_token(struct security *s, struct buf *token, int64_t *ret_ends_ms, struct err *ret_err)
{
	char *const *t = s->text;
	int rc = token_get(&(struct token_conf){
		.url = t[TOKEN_URL], .client_id = t[CLIENT_ID], .client_secret = t[CLIENT_SECRET], .scope = t[SCOPE],
		.file = t[TOKEN_FILE], .ca_location = t[TRUST_FILE], .ca_certificates = t[TRUST_PEM],
		.connect_timeout_ms = s->connect_timeout_ms, .read_timeout_ms = s->read_timeout_ms,
	}, token, ret_ends_ms, ret_err);

	if (rc == 0 && !token->len)
		return err_set(ret_err, ERR_CONFIG, "the token of %s is empty", t[TOKEN_URL] ? t[TOKEN_URL] : t[TOKEN_FILE]);
	if (rc == 0 && *ret_ends_ms <= clock_wall_ms())
		return err_set(ret_err, ERR_CONFIG, "the token of %s has expired", t[TOKEN_URL] ? t[TOKEN_URL] : t[TOKEN_FILE]);
	return rc;
}

static void take_token(struct security *s, char *token, int64_t ends_ms)
{
	int64_t now = clock_wall_ms();

	pthread_mutex_lock(&s->mu);
	wipe(s->token);
	s->token = token;
	s->token_ends_ms = ends_ms;
	/* Whose end nobody knows is fetched each time; and a file costs nothing to read. */
	s->token_renew_ms = ends_ms == INT64_MAX || !s->text[TOKEN_URL] ? 0 : now + (ends_ms - now) / 100 * TOKEN_RENEW_PERCENT;
	s->token_note[0] = 0;
	pthread_mutex_unlock(&s->mu);
}

static int refresh_token(struct security *s, struct err *ret_err)
{
	int64_t now = clock_wall_ms(), ends = 0;
	struct buf token;
	bool good, fresh;
	struct err e;
	int rc;

	pthread_mutex_lock(&s->mu);
	good = s->token && now < s->token_ends_ms;
	fresh = good && now < s->token_renew_ms;
	pthread_mutex_unlock(&s->mu);
	if (fresh)
		return 0;
	buf_init(&token, TOKEN_MAX);
	rc = fetch_token(s, &token, &ends, &e);
	if (rc == 0)
		take_token(s, buf_detach(&token), ends);
	else if (good)
		set_note(s, s->token_note, sizeof s->token_note, e.text, "; the token of before goes on as long as it lives");
	else
		err_set(ret_err, rc, "%s", e.text);
	if (token.data)
		explicit_bzero(token.data, token.len);
	buf_release(&token);
	return good ? 0 : rc;
}

void security_refused(struct security *s)
{
	pthread_mutex_lock(&s->mu);
	s->token_ends_ms = s->token_renew_ms = 0;
	pthread_mutex_unlock(&s->mu);
}

/* --- the whole --- */

int security_load(struct security *s, struct err *ret_err)
{
	return s->has_tls ? refresh_tls(s, ret_err) : 0;
}

int security_prepare(struct security *s, struct err *ret_err)
{
	int rc = security_load(s, ret_err);

	if (rc == 0 && s->has_sasl && s->mechanism == SASL_OAUTHBEARER)
		rc = refresh_token(s, ret_err);
	return rc;
}

int security_sasl(struct security *s, struct sasl **ret, struct err *ret_err)
{
	int rc;

	pthread_mutex_lock(&s->mu);
	rc = sasl_new(ret, &(struct sasl_credentials){
		.mechanism = s->mechanism, .username = s->text[USERNAME], .password = s->text[PASSWORD],
		.delegation_token = s->delegation_token, .token = s->token, .extensions = s->text[EXTENSIONS],
	}, ret_err);
	pthread_mutex_unlock(&s->mu);
	return rc;
}

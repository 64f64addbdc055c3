/* conn_auth.c - what a connection says before it may be used: TLS, ApiVersions, SASL; and SASL again when its session ends.
 *
 * Why the same connection again (KIP-368): a broker closes one whose session is over. Some time before, the handshake is sent
 * behind what is on its way; the broker answers in order, so nothing has to be waited for or repeated.
 * Failure who is refused gets words that name the mechanism, what the broker said and which keys to look at. Never a secret.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/rng.h"
#include "producer/conn_inside.h"
#include "producer/sasl.h"
#include "producer/tls.h"

#define UNSUPPORTED_VERSION 35
#define UNSUPPORTED_MECHANISM 33
#define ILLEGAL_SASL_STATE 34
#define REAUTH_FROM_PERCENT 85
#define REAUTH_SPREAD_PERCENT 10
#define REAUTH_LEAST_MS 1100		/* brokers refuse a second one within a second */
#define REAUTH_RETRY_MS 1000
#define WORDS_MAX 200

static int16_t version_of(const struct conn *c, enum api_key api)
{
	return api_pick(&c->versions, api);
}

static int no_memory(struct err *ret_err)
{
	return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}

/* --- ready to be used --- */

static void set_up(struct conn *c, int64_t now_ms)
{
	bool again = c->state == CONN_REAUTH;

	c->state = CONN_UP;
	if (again)
		return;
	c->failures = 0;
	c->old_versions = c->refused = c->proven = false;
	c->used_ms = now_ms;
	c->error[0] = 0;
	c->conf->ops->up(c);
}

/* --- SASL --- */

/* What to look at when the broker does not believe us. */
static const char *advice(enum sasl_mechanism m)
{
	return m == SASL_OAUTHBEARER ? "look at the token's issuer, audience, scope and end" :
				       "look at sasl.username and sasl.password";
}

static void count_authentication(const struct conn *c, bool good)
{
	struct metrics *m = c->conf->metrics;
	bool again = c->state == CONN_REAUTH;
	int64_t now_ms = c->conf->loop->now_ms;

	if (!m)
		return;
	if (good)
		sampled_add(again ? &m->reauthentications : &m->authentications, 1, now_ms);
	else
		sampled_add(again ? &m->failed_reauthentications : &m->failed_authentications, 1, now_ms);
	if (good && again)
		sampled_add(&m->reauthentication_latency_ms, (double)(now_ms - c->sasl_began_ms), now_ms);
}

static int refused(const struct conn *c, struct err *ret_err, const char *words, size_t n)
{
	enum sasl_mechanism m = security_mechanism(c->security);

	count_authentication(c, false);
	if (m == SASL_OAUTHBEARER)
		security_refused(c->security);
	return err_set(ret_err, ERR_CONFIG, "%s authentication failed: %.*s; %s", sasl_mechanism_name(m),
		       (int)(n < WORDS_MAX ? n : WORDS_MAX), words, advice(m));
}

static int begin_sasl(struct conn *c, int64_t now_ms, struct err *ret_err)
{
	const char *mechanism = sasl_mechanism_name(security_mechanism(c->security));
	int16_t version = version_of(c, API_SASL_HANDSHAKE);
	struct request *r;
	int rc;

	if (version < 0 || version_of(c, API_SASL_AUTHENTICATE) < 0)
		return err_set(ret_err, ERR_CONFIG, "the broker offers no SASL here (security.protocol)");
	sasl_free(c->sasl);
	c->sasl = NULL;
	c->sasl_began_ms = now_ms;
	rc = security_sasl(c->security, &c->sasl, ret_err);
	if (rc < 0)
		return rc;
	r = request_new(API_SASL_HANDSHAKE, version, c->next_correlation_id++, 0, 0);
	if (!r || api_sasl_handshake_request(&r->control, version, r->correlation_id, c->conf->config->client_id, mechanism) < 0) {
		request_free(r);
		return no_memory(ret_err);
	}
	conn_send(c, r, now_ms);
	return 0;
}

static int send_step(struct conn *c, const void *data, size_t n, int64_t now_ms, struct err *ret_err)
{
	int16_t version = version_of(c, API_SASL_AUTHENTICATE);
	struct request *r = request_new(API_SASL_AUTHENTICATE, version, c->next_correlation_id++, 0, 0);

	if (!r || api_sasl_authenticate_request(&r->control, version, r->correlation_id, c->conf->config->client_id, data, n) < 0) {
		request_free(r);
		return no_memory(ret_err);
	}
	conn_send(c, r, now_ms);
	return 0;
}

/* Gives the server's words to the mechanism and sends what it says. 1: done; 0: goes on; negative. */
static int step(struct conn *c, const void *in, size_t n, int64_t now_ms, struct err *ret_err)
{
	const void *out = NULL;
	size_t out_n = 0;
	struct err e = { 0 };
	int rc = sasl_step(c->sasl, in, n, &out, &out_n, &e);

	if (rc < 0)
		return rc == ERR_NOMEM ? no_memory(ret_err) : refused(c, ret_err, e.text, strlen(e.text));
	return rc == SASL_DONE ? 1 : send_step(c, out, out_n, now_ms, ret_err);
}

static int take_handshake(struct conn *c, const struct request *r, const void *data, size_t n, int64_t now_ms, struct err *ret_err)
{
	const char *mechanism = sasl_mechanism_name(security_mechanism(c->security));
	struct api_sasl_handshake h;
	int rc = api_sasl_handshake_response(data, n, r->version, r->correlation_id, &h);

	if (rc < 0)
		return rc;
	if (h.error == UNSUPPORTED_MECHANISM)
		return err_set(ret_err, ERR_CONFIG, "the broker does not take %s here (sasl.mechanism), it offers %s", mechanism,
			       h.mechanisms[0] ? h.mechanisms : "none");
	if (h.error == ILLEGAL_SASL_STATE)
		return err_set(ret_err, ERR_CONFIG, "%s authentication failed: the broker takes no SASL at this port "
			       "(security.protocol)", mechanism);
	if (h.error)
		return refused(c, ret_err, api_error(h.error)->name, SIZE_MAX);
	return step(c, NULL, 0, now_ms, ret_err);
}

/* Somewhere in 85 to 95 % of the session, so that a producer's connections do not all stand still at once. */
static void note_session(struct conn *c, int64_t lifetime_ms, int64_t now_ms)
{
	uint32_t percent = REAUTH_FROM_PERCENT;
	int64_t in_ms;

	c->reauth_at_ms = c->session_ends_ms = INT64_MAX;
	if (lifetime_ms <= 0 || lifetime_ms > INT64_MAX / 200 || now_ms > INT64_MAX / 2)
		return;
	percent += (uint32_t)(rng_next(c->conf->rng) % (REAUTH_SPREAD_PERCENT + 1));
	in_ms = lifetime_ms * percent / 100;
	c->reauth_at_ms = now_ms + (in_ms > REAUTH_LEAST_MS ? in_ms : REAUTH_LEAST_MS);
	c->session_ends_ms = now_ms + lifetime_ms;
}

static int take_authenticate(struct conn *c, const struct request *r, const void *data, size_t n, int64_t now_ms,
			     struct err *ret_err)
{
	struct api_sasl_authenticate a;
	int rc = api_sasl_authenticate_response(data, n, r->version, r->correlation_id, &a);

	if (rc < 0)
		return rc;
	if (a.error && api_error(a.error)->class == API_ERR_RETRY)
		return err_set(ret_err, ERR_UNAVAILABLE, "the broker cannot authenticate now: %s", api_error(a.error)->name);
	if (a.error)
		return a.message && a.message_len ? refused(c, ret_err, a.message, a.message_len) :
						    refused(c, ret_err, api_error(a.error)->name, SIZE_MAX);
	rc = step(c, a.auth ? a.auth : "", a.auth_len, now_ms, ret_err);
	if (rc <= 0)
		return rc;
	sasl_free(c->sasl);
	c->sasl = NULL;
	note_session(c, a.session_lifetime_ms, now_ms);
	count_authentication(c, true);
	set_up(c, now_ms);
	return 0;
}

/* --- authenticating anew --- */

void conn_reauth_due(struct conn *c, int64_t now_ms)
{
	/* New credentials are for new connections: this one ends when nothing is unanswered. */
	if (c->security != c->conf->security) {
		conn_retire(c, now_ms);
		return;
	}
	c->preparing = conn_ask_names(c, "") == 0;
	if (!c->preparing)
		c->reauth_at_ms = now_ms + REAUTH_RETRY_MS;
}

void conn_reauth_prepared(struct conn *c, const struct name_query *q, int64_t now_ms)
{
	struct err e = q->why;
	int rc = q->why.code;

	c->preparing = false;
	if (rc < 0 && now_ms < c->session_ends_ms) {
		c->reauth_at_ms = now_ms + REAUTH_RETRY_MS;
		return;
	}
	if (rc == 0) {
		c->state = CONN_REAUTH;
		rc = begin_sasl(c, now_ms, &e);
	}
	if (rc < 0)
		conn_fail(c, rc, e.text, now_ms);
}

/* --- ApiVersions --- */

static int ask_versions(struct conn *c, int16_t version, int64_t now_ms, struct err *ret_err)
{
	struct request *r = request_new(API_VERSIONS, version, c->next_correlation_id++, 0, 0);

	if (!r || api_versions_request(&r->control, version, r->correlation_id, c->conf->config->client_id) < 0) {
		request_free(r);
		return no_memory(ret_err);
	}
	conn_send(c, r, now_ms);
	return 0;
}

static bool usable(const struct conn *c)
{
	return version_of(c, API_PRODUCE) >= 0 && version_of(c, API_METADATA) >= 0 &&
	       (!c->conf->need_producer_id || version_of(c, API_INIT_PRODUCER_ID) >= 0);
}

static int take_versions(struct conn *c, const struct request *r, const void *data, size_t n, int64_t now_ms, struct err *ret_err)
{
	int rc = api_versions_response(data, n, r->version, r->correlation_id, &c->versions);

	if (rc < 0)
		return rc;
	if (c->versions.error == UNSUPPORTED_VERSION && r->version > 0) {
		int16_t max = c->versions.range[API_VERSIONS].max;

		return ask_versions(c, max >= 0 && max < r->version ? max : 0, now_ms, ret_err);
	}
	if (c->versions.error || !usable(c))
		return err_set(ret_err, ERR_UNAVAILABLE, "the broker speaks no version of the protocol that is spoken here");
	if (!security_has_sasl(c->security)) {
		set_up(c, now_ms);
		return 0;
	}
	c->state = CONN_AUTH;
	return begin_sasl(c, now_ms, ret_err);
}

bool conn_is_setup(enum api_key api)
{
	return api == API_VERSIONS || api == API_SASL_HANDSHAKE || api == API_SASL_AUTHENTICATE;
}

int conn_take_setup(struct conn *c, const struct request *r, const void *data, size_t n, int64_t now_ms, struct err *ret_err)
{
	if (r->api == API_VERSIONS)
		return take_versions(c, r, data, n, now_ms, ret_err);
	if (r->api == API_SASL_HANDSHAKE)
		return take_handshake(c, r, data, n, now_ms, ret_err);
	return take_authenticate(c, r, data, n, now_ms, ret_err);
}

/* --- from TCP on --- */

static void begin_protocol(struct conn *c, int64_t now_ms)
{
	struct err e;

	c->state = CONN_VERSIONS;
	c->used_ms = now_ms;
	if (conn_read_begin(c) < 0 || conn_rearm(c) < 0)
		conn_close(c, err_text(ERR_NOMEM), now_ms);
	else if (ask_versions(c, c->old_versions ? 0 : api_ours[API_VERSIONS].max, now_ms, &e) < 0)
		conn_close(c, e.text, now_ms);
}

void conn_shake_hands(struct conn *c, int64_t now_ms)
{
	struct err e;
	int rc = tls_handshake(c->tls, &e);

	if (rc < 0)
		conn_fail(c, rc, e.text, now_ms);
	else if (rc > 0)
		begin_protocol(c, now_ms);
	else if (conn_rearm(c) < 0)
		conn_close(c, err_text(ERR_IO), now_ms);
}

void conn_secure(struct conn *c, int64_t now_ms)
{
	struct err e;
	int rc;

	if (!security_has_tls(c->security)) {
		begin_protocol(c, now_ms);
		return;
	}
	rc = security_tls(c->security, c->sock, c->host, &c->tls, &e);
	c->state = CONN_TLS;
	if (rc < 0)
		conn_fail(c, rc, e.text, now_ms);
	else
		conn_shake_hands(c, now_ms);
}

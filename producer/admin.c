/* admin.c - see admin.h.
 *
 * Invariant: one connection, and at most one question on it; the loop runs only inside a call and ends with what was waited for.
 * Failure a connection that ends takes its question with it; the words are the connection's.
 */
#include "producer/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/conn.h"
#include "producer/sender.h"

#define ANSWER_MAX CONN_FRAME_MAX

struct admin {
	const struct producer_config *config;
	struct loop  loop;
	struct loop_timer timer;
	struct names *names;
	struct conn_conf conf;
	struct conn  conn;
	uint64_t     rng;
	bool         open;		/* conn is initialized */
	bool         settled;		/* what is waited for has happened */
	int64_t      resolved_by_ms;
	struct err   why;		/* code not 0: it is down */
	struct buf   answer;
};

static struct admin *admin_of(struct conn *c)
{
	return c->owner;
}

/* --- what the connection tells --- */

static void on_up(struct conn *c)
{
	admin_of(c)->settled = true;
}

static void on_down(struct conn *c, const char *why)
{
	struct admin *a = admin_of(c);

	err_set(&a->why, c->refused ? ERR_CONFIG : ERR_UNAVAILABLE, "%s", why ? why : "the connection was idle for too long");
	a->settled = true;
}

static int on_answered(struct conn *c, struct request *r, const void *data, size_t n, int64_t now_ms)
{
	struct admin *a = admin_of(c);

	(void)r, (void)now_ms;
	buf_clear(&a->answer);
	a->settled = true;
	return buf_put(&a->answer, data, n);
}

static void on_gone(struct conn *c, struct request *r, int64_t now_ms)
{
	(void)c, (void)r, (void)now_ms;	/* on_down tells */
}

static const struct conn_ops ops = {
	.up = on_up, .down = on_down, .answered = on_answered, .written = on_gone, .lost = on_gone,
};

/* --- waiting --- */

static void on_timer(struct loop_timer *t)
{
	(void)t;	/* the round follows by itself */
}

static void take_names(struct admin *a)
{
	struct name_query *q;

	while ((q = names_answer(a->names))) {
		if (a->open)
			conn_resolved(&a->conn, q, a->loop.now_ms);
		name_query_free(q);
	}
}

static void on_round(void *arg)
{
	struct admin *a = arg;
	int64_t now_ms = a->loop.now_ms, due;
	char why[120];

	take_names(a);
	if (a->conn.state == CONN_RESOLVING && now_ms >= a->resolved_by_ms) {
		snprintf(why, sizeof why, "its name was not looked up within %lld ms",
			 (long long)a->config->connection_setup_timeout_ms);
		conn_close(&a->conn, why, now_ms);
	}
	conn_tick(&a->conn, now_ms);
	due = a->conn.state == CONN_RESOLVING ? a->resolved_by_ms : conn_due_ms(&a->conn);
	if (a->settled)
		loop_stop(&a->loop);
	else if (due < INT64_MAX)
		timer_set(&a->loop, &a->timer, due, on_timer);
}

static int wait_for(struct admin *a, struct err *ret_err)
{
	int rc = 0;

	if (!a->settled)
		rc = loop_run(&a->loop);
	timer_cancel(&a->loop, &a->timer);
	if (rc < 0)
		return err_set(ret_err, rc, "%s", err_text(rc));
	return a->why.code < 0 ? err_set(ret_err, a->why.code, "%s", a->why.text) : 0;
}

/* --- life --- */

static void wake(void *arg)
{
	loop_wake(&((struct admin *)arg)->loop);
}

static int start(struct admin *a, struct err *ret_err)
{
	int rc = loop_init(&a->loop, NULL, on_round, a);

	if (rc < 0)
		return err_set(ret_err, rc, "%s", err_text(rc));
	rc = names_open(&a->names, wake, a);
	if (rc < 0) {
		loop_release(&a->loop);
		return err_set(ret_err, rc, "%s", err_text(rc));
	}
	rc = security_new(a->config, &a->conf.security, ret_err);
	if (rc < 0) {
		names_close(a->names);
		loop_release(&a->loop);
	}
	return rc;
}

int admin_open(const struct producer_config *c, struct admin **ret, struct err *ret_err)
{
	struct admin *a = mem_new(struct admin);
	int rc;

	if (!a)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	a->config = c;
	buf_init(&a->answer, ANSWER_MAX);
	if (getrandom(&a->rng, sizeof a->rng, GRND_NONBLOCK) != sizeof a->rng)
		a->rng = (uint64_t)clock_mono_ns();
	rc = start(a, ret_err);
	if (rc < 0) {
		mem_free(a);
		return rc;
	}
	a->conf.loop = &a->loop;
	a->conf.names = a->names;
	a->conf.config = c;
	a->conf.ops = &ops;
	a->conf.rng = &a->rng;
	a->conf.need_producer_id = c->enable_idempotence != 0;
	*ret = a;
	return 0;
}

static void disconnect(struct admin *a)
{
	if (a->open)
		conn_release(&a->conn, clock_mono_ms());
	a->open = false;
}

void admin_close(struct admin *a)
{
	if (!a)
		return;
	disconnect(a);
	names_close(a->names);
	loop_release(&a->loop);
	security_unref(a->conf.security);
	buf_release(&a->answer);
	mem_free(a);
}

bool admin_bootstrap(const struct admin *a, size_t i, char host[256], int *ret_port)
{
	const char *p = a->config->bootstrap_servers ? a->config->bootstrap_servers : "";

	for (p += strspn(p, ", \t"); *p; p += strspn(p, ", \t")) {
		size_t n = strcspn(p, ", \t");

		if (i-- == 0)
			return sender_split_address(p, n, host, 256, ret_port) == 0;
		p += n;
	}
	return false;
}

int admin_connect(struct admin *a, const char *host, int port, struct err *ret_err)
{
	uint32_t ticket = a->conn.ticket;
	int64_t now_ms = clock_mono_ms();

	disconnect(a);
	conn_init(&a->conn, &a->conf, a, host, port);
	a->conn.ticket = ticket;		/* an answer to an earlier question is none to this one */
	a->open = true;
	a->settled = false;
	a->why.code = 0;
	a->loop.now_ms = now_ms;
	a->resolved_by_ms = now_ms + a->config->connection_setup_timeout_ms;
	conn_want(&a->conn, now_ms);
	/* The first round is by the timer, which sets the others. */
	timer_set(&a->loop, &a->timer, now_ms, on_timer);
	return wait_for(a, ret_err);
}

const struct api_versions *admin_versions(const struct admin *a)
{
	return &a->conn.versions;
}

bool admin_peer(const struct admin *a, struct tls_peer *ret)
{
	return a->conn.tls && tls_peer(a->conn.tls, ret);
}

const char *admin_mechanism(const struct admin *a)
{
	return security_has_sasl(a->conf.security) ? sasl_mechanism_name(security_mechanism(a->conf.security)) : NULL;
}

/* --- questions --- */

/* What an answer is read by; the request itself is gone by then. */
struct question { struct request *r; int16_t version; int32_t id; };

static bool begin(struct admin *a, enum api_key api, struct question *ret, struct err *ret_err)
{
	int16_t version = api_pick(&a->conn.versions, api);

	if (!a->open || !conn_ready(&a->conn)) {
		err_set(ret_err, ERR_UNAVAILABLE, "%s", a->why.code ? a->why.text : "not connected");
		return false;
	}
	if (version < 0) {
		err_set(ret_err, ERR_NOT_FOUND, "the broker is too old for this question");
		return false;
	}
	*ret = (struct question){ .version = version, .id = a->conn.next_correlation_id++ };
	ret->r = request_new(api, version, ret->id, 0, 0);
	if (!ret->r)
		err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	return ret->r;
}

/* Takes r, whose control is written, or could not be (built negative). */
static int ask(struct admin *a, struct request *r, int built, struct err *ret_err)
{
	if (built < 0) {
		request_free(r);
		return err_set(ret_err, built, "%s", err_text(built));
	}
	a->settled = false;
	a->loop.now_ms = clock_mono_ms();
	conn_send(&a->conn, r, a->loop.now_ms);
	timer_set(&a->loop, &a->timer, a->loop.now_ms, on_timer);
	return wait_for(a, ret_err);
}

static int malformed(int rc, struct err *ret_err)
{
	return rc < 0 ? err_set(ret_err, rc, "%s", rc == ERR_BAD_DATA ? "malformed answer" : err_text(rc)) : 0;
}

int admin_metadata(struct admin *a, const char *const *topics, size_t n, struct api_metadata *ret, struct err *ret_err)
{
	struct question q;
	int rc;

	if (!begin(a, API_METADATA, &q, ret_err))
		return ERR_UNAVAILABLE;
	rc = ask(a, q.r, api_metadata_request_operations(&q.r->control, q.version, q.id, a->config->client_id, topics, n), ret_err);
	if (rc == 0)
		rc = malformed(api_metadata_details(a->answer.data, a->answer.len, q.version, q.id, ret), ret_err);
	return rc;
}

int admin_configs(struct admin *a, enum api_resource_type type, const char *name, const char *const *keys, size_t n,
		  int16_t *ret_error, api_config_fn *fn, void *arg, struct err *ret_err)
{
	struct question q;
	int rc;

	if (!begin(a, API_DESCRIBE_CONFIGS, &q, ret_err))
		return ERR_UNAVAILABLE;
	rc = ask(a, q.r, api_describe_configs_request(&q.r->control, q.version, q.id, a->config->client_id, type, name, keys, n),
		 ret_err);
	if (rc == 0)
		rc = malformed(api_describe_configs_response(a->answer.data, a->answer.len, q.version, q.id, ret_error, fn, arg),
			       ret_err);
	return rc;
}

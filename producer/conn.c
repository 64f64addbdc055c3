/* conn.c - a connection's life: connecting, giving up, waiting, ending.
 *
 * Why one state machine: everything that can go wrong with a connection ends in close_now, the only place that closes the
 * socket and gives requests back.
 * Failure no memory for a read buffer or a look-up counts as a lost connection: it is tried again after the backoff.
 * See conn.h for invariants.
 */
#include "producer/conn.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "producer/conn_inside.h"
#include "producer/stream.h"
#include "producer/tls.h"

#define REFUSED_BACKOFF_MS 500
#define REFUSED_BACKOFF_MAX_MS 10000

static void on_event(struct loop_fd *f, uint32_t events);
static void connect_next(struct conn *c, int64_t now_ms);

/* --- life --- */

void conn_init(struct conn *c, const struct conn_conf *conf, void *owner, const char *host, int port)
{
	*c = (struct conn){ .conf = conf, .owner = owner, .port = port, .sock = -1 };
	c->fd.fd = -1;
	c->reauth_at_ms = c->session_ends_ms = INT64_MAX;
	snprintf(c->host, sizeof c->host, "%s", host);
	list_init(&c->requests);
}

static void give_back_requests(struct conn *c, int64_t now_ms)
{
	struct request *r;

	c->writing = NULL;
	c->in_flight = 0;
	while ((r = list_first(&c->requests, struct request, node))) {
		list_remove(&r->node);
		c->conf->ops->lost(c, r, now_ms);
		request_free(r);
	}
}

static void close_now(struct conn *c)
{
	loop_fd_del(&c->fd);
	tls_conn_free(c->tls);
	c->tls = NULL;
	sasl_free(c->sasl);
	c->sasl = NULL;
	if (c->sock >= 0)
		close(c->sock);
	c->sock = -1;
	mem_free(c->in);
	c->in = NULL;
	c->in_len = c->in_cap = 0;
}

/* When to try again. Credentials that were replaced meanwhile are tried at once. */
static int64_t next_try(struct conn *c, int64_t now_ms)
{
	const struct producer_config *k = c->conf->config;
	int64_t max = k->reconnect_backoff_max_ms > REFUSED_BACKOFF_MAX_MS ? k->reconnect_backoff_max_ms : REFUSED_BACKOFF_MAX_MS;

	if (!c->refused)
		return now_ms + stream_backoff(c->conf->rng, k->reconnect_backoff_ms, k->reconnect_backoff_max_ms, c->failures);
	if (c->security != c->conf->security)
		return now_ms;
	return now_ms + stream_backoff(c->conf->rng, REFUSED_BACKOFF_MS, max, c->failures);
}

void conn_fail(struct conn *c, int rc, const char *why, int64_t now_ms)
{
	if (c->state == CONN_DOWN)
		return;
	c->old_versions = c->state == CONN_VERSIONS && !c->old_versions;
	if (c->conf->metrics && c->state > CONN_CONNECTING)
		sampled_add(&c->conf->metrics->connections_closed, 1, now_ms);
	close_now(c);
	c->state = CONN_DOWN;
	c->preparing = c->retiring = false;
	c->reauth_at_ms = c->session_ends_ms = INT64_MAX;
	c->refused = why && rc == ERR_CONFIG;
	c->retry_at_ms = why ? next_try(c, now_ms) : 0;
	c->failures += why != NULL;
	if (why)
		snprintf(c->error, sizeof c->error, "%s", why);
	security_unref(c->security);
	c->security = NULL;
	give_back_requests(c, now_ms);
	c->conf->ops->down(c, why);
}

void conn_close(struct conn *c, const char *why, int64_t now_ms)
{
	conn_fail(c, 0, why, now_ms);
}

void conn_release(struct conn *c, int64_t now_ms)
{
	conn_close(c, NULL, now_ms);
}

void conn_retire(struct conn *c, int64_t now_ms)
{
	if (c->state == CONN_RESOLVING)
		conn_close(c, NULL, now_ms);
	else if (c->state != CONN_DOWN)
		c->retiring = true;
}

void conn_retry_now(struct conn *c, int64_t now_ms)
{
	if (c->state != CONN_DOWN || !c->refused)
		return;
	c->failures = 0;
	c->retry_at_ms = now_ms;
}

/* --- names, and what security needs --- */

int conn_ask_names(struct conn *c, const char *host)
{
	struct name_query *q = mem_new(struct name_query);

	if (!q)
		return ERR_NOMEM;
	snprintf(q->host, sizeof q->host, "%s", host);
	q->port = c->port;
	q->arg = c;
	q->ticket = ++c->ticket;
	q->security = security_ref(c->security);
	names_ask(c->conf->names, q);
	return 0;
}

bool conn_want(struct conn *c, int64_t now_ms)
{
	bool numeric;

	if (c->state != CONN_DOWN)
		return true;
	if (c->retry_at_ms > now_ms)
		return false;
	c->address_at = c->address_count = 0;
	numeric = names_numeric(c->host, c->port, &c->addresses[0]) == 0;
	if (numeric)
		c->address_count = 1;
	c->security = security_ref(c->conf->security);
	c->state = CONN_RESOLVING;
	if (numeric && !c->security) {
		connect_next(c, now_ms);
		return c->state != CONN_DOWN;
	}
	if (conn_ask_names(c, numeric ? "" : c->host) < 0) {
		conn_close(c, err_text(ERR_NOMEM), now_ms);
		return false;
	}
	return true;
}

void conn_resolved(struct conn *c, const struct name_query *q, int64_t now_ms)
{
	char why[160];

	if (q->ticket != c->ticket)
		return;
	if (c->state == CONN_UP && c->preparing) {
		conn_reauth_prepared(c, q, now_ms);
		return;
	}
	if (c->state != CONN_RESOLVING)
		return;
	if (q->why.code < 0) {
		conn_fail(c, ERR_CONFIG, q->why.text, now_ms);
		return;
	}
	if (q->host[0]) {
		memcpy(c->addresses, q->addresses, sizeof c->addresses);
		c->address_count = q->count;
	}
	if (!c->address_count) {
		snprintf(why, sizeof why, "%.80s: %s", c->host, q->error ? gai_strerror(q->error) : "no address");
		conn_close(c, why, now_ms);
		return;
	}
	connect_next(c, now_ms);
}

/* --- connecting --- */

static void set_options(const struct conn *c)
{
	const struct producer_config *k = c->conf->config;
	int one = 1, n;

	setsockopt(c->sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(c->sock, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	/* -1 leaves it to the kernel. */
	n = (int)k->send_buffer_bytes;
	if (n > 0)
		setsockopt(c->sock, SOL_SOCKET, SO_SNDBUF, &n, sizeof n);
	n = (int)k->receive_buffer_bytes;
	if (n > 0)
		setsockopt(c->sock, SOL_SOCKET, SO_RCVBUF, &n, sizeof n);
}

/* Begins with one address. 0 or -errno. */
static int connect_one(struct conn *c, const union name_address *a)
{
	socklen_t n = a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
	int rc;

	c->sock = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->sock < 0)
		return -errno;
	set_options(c);
	if (connect(c->sock, &a->any, n) < 0 && errno != EINPROGRESS)
		return -errno;
	rc = loop_fd_add(c->conf->loop, &c->fd, c->sock, EPOLLOUT, on_event);
	return rc;
}

static void connect_next(struct conn *c, int64_t now_ms)
{
	const struct producer_config *k = c->conf->config;
	char why[160];
	int rc = -EHOSTUNREACH;

	c->state = CONN_CONNECTING;
	while (c->address_at < c->address_count) {
		rc = connect_one(c, &c->addresses[c->address_at++]);
		if (rc == 0) {
			c->setup_by_ms = now_ms + stream_backoff(c->conf->rng, k->connection_setup_timeout_ms,
								 k->connection_setup_timeout_max_ms, c->failures);
			return;
		}
		close_now(c);
	}
	snprintf(why, sizeof why, "cannot connect: %s", err_text(rc));
	conn_close(c, why, now_ms);
}

/* This address failed: the next one, if there is any. */
static void connect_failed(struct conn *c, int error, int64_t now_ms)
{
	char why[160];

	if (c->address_at < c->address_count) {
		close_now(c);
		connect_next(c, now_ms);
		return;
	}
	snprintf(why, sizeof why, "cannot connect: %s", err_text(-error));
	conn_close(c, why, now_ms);
}

/* A socket that connects to a free local port may by chance get that very port and meet itself, and then keeps the broker
 * from listening there. */
static bool to_itself(const struct conn *c)
{
	union name_address here, there;
	socklen_t n = sizeof here, m = sizeof there;

	memset(&here, 0, sizeof here);
	memset(&there, 0, sizeof there);
	return getsockname(c->sock, &here.any, &n) == 0 && getpeername(c->sock, &there.any, &m) == 0 && n == m &&
	       memcmp(&here, &there, n) == 0;
}

static void connected(struct conn *c, int64_t now_ms)
{
	socklen_t n = sizeof(int);
	int error = 0;

	if (getsockopt(c->sock, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (!error && to_itself(c))
		error = ECONNREFUSED;
	if (error) {
		connect_failed(c, error, now_ms);
		return;
	}
	if (c->conf->metrics)
		sampled_add(&c->conf->metrics->connections_made, 1, now_ms);
	conn_secure(c, now_ms);
}

static void on_event(struct loop_fd *f, uint32_t events)
{
	struct conn *c = container_of(f, struct conn, fd);
	int64_t now_ms = f->loop->now_ms;

	if (c->state == CONN_CONNECTING) {
		connected(c, now_ms);
		return;
	}
	if (c->state == CONN_TLS) {
		conn_shake_hands(c, now_ms);
		return;
	}
	/* Answers first: what they say is worth more than a write error behind them. TLS may have to write in order to read, and
	 * the other way round. */
	if (c->tls || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		conn_read_more(c, now_ms);
	if (c->state >= CONN_VERSIONS && (c->tls || (events & EPOLLOUT)))
		conn_write_more(c, now_ms);
}

/* --- time --- */

int64_t conn_waiting_since(const struct conn *c)
{
	const struct request *r = list_first(&c->requests, struct request, node);

	return r ? r->sent_ms : -1;
}

static bool setting_up(const struct conn *c)
{
	return c->state >= CONN_CONNECTING && c->state < CONN_UP;
}

/* A broker that throttles leaves what it gets meanwhile unread. */
static int64_t answer_due_ms(const struct conn *c, int64_t since)
{
	return (since > c->throttled_until_ms ? since : c->throttled_until_ms) + c->conf->config->request_timeout_ms;
}

int64_t conn_due_ms(const struct conn *c)
{
	const struct producer_config *k = c->conf->config;
	int64_t since = conn_waiting_since(c), due;

	if (setting_up(c))
		return c->setup_by_ms;
	if (c->state < CONN_UP)
		return INT64_MAX;
	if (c->retiring && since < 0)
		return 0;
	if (since >= 0)
		due = answer_due_ms(c, since);
	else
		due = k->connections_max_idle_ms >= 0 ? c->used_ms + k->connections_max_idle_ms : INT64_MAX;
	return c->state == CONN_UP && !c->preparing && !c->retiring && c->reauth_at_ms < due ? c->reauth_at_ms : due;
}

void conn_tick(struct conn *c, int64_t now_ms)
{
	int64_t since = conn_waiting_since(c);

	if (conn_due_ms(c) > now_ms)
		return;
	if (c->state == CONN_CONNECTING)
		connect_failed(c, ETIMEDOUT, now_ms);
	else if (setting_up(c))
		conn_close(c, c->state == CONN_TLS ? "no answer in the TLS handshake" : c->state == CONN_AUTH ?
			   "no answer while authenticating" : "no answer to the first request", now_ms);
	else if (since >= 0 && answer_due_ms(c, since) <= now_ms)
		conn_close(c, "request timed out", now_ms);
	else if (c->state == CONN_UP && !c->preparing && !c->retiring && c->reauth_at_ms <= now_ms)
		conn_reauth_due(c, now_ms);
	else if (since < 0)
		conn_close(c, NULL, now_ms);
}

const char *conn_state_name(const struct conn *c)
{
	static const char *const names[] = {
		[CONN_DOWN] = "down", [CONN_RESOLVING] = "connecting", [CONN_CONNECTING] = "connecting", [CONN_TLS] = "connecting",
		[CONN_VERSIONS] = "connecting", [CONN_AUTH] = "connecting", [CONN_UP] = "up", [CONN_REAUTH] = "up",
	};

	return names[c->state];
}

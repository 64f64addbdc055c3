/* conn.c - sockets: connecting, writing, reading, giving up.
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

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/stream.h"

#define IN_FIRST 16384u
#define REQUEST_CONTROL_MAX (8u << 20)
#define IOV_ONCE 1024
#define UNSUPPORTED_VERSION 35

static void on_event(struct loop_fd *f, uint32_t events);
static void connect_next(struct conn *c, int64_t now_ms);

/* --- requests --- */

struct request *request_new(enum api_key api, int16_t version, int32_t correlation_id, uint32_t batch_count, uint32_t iov_count)
{
	struct request *r;

	if (iov_count == 0)
		iov_count = 1;
	r = mem_zalloc(sizeof *r + iov_count * sizeof *r->iov + batch_count * sizeof *r->batches);
	if (!r)
		return NULL;
	r->api = api;
	r->version = version;
	r->correlation_id = correlation_id;
	r->iov = (struct iovec *)(r + 1);
	r->batches = (struct batch **)(r->iov + iov_count);
	r->batch_count = batch_count;
	list_init(&r->node);
	buf_init(&r->control, REQUEST_CONTROL_MAX);
	return r;
}

void request_free(struct request *r)
{
	if (!r)
		return;
	buf_release(&r->control);
	mem_free(r);
}

/* --- life --- */

void conn_init(struct conn *c, const struct conn_conf *conf, void *owner, const char *host, int port)
{
	*c = (struct conn){ .conf = conf, .owner = owner, .port = port, .sock = -1 };
	c->fd.fd = -1;
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
	if (c->sock >= 0)
		close(c->sock);
	c->sock = -1;
	mem_free(c->in);
	c->in = NULL;
	c->in_len = c->in_cap = 0;
}

void conn_close(struct conn *c, const char *why, int64_t now_ms)
{
	const struct producer_config *k = c->conf->config;

	if (c->state == CONN_DOWN)
		return;
	c->old_versions = c->state == CONN_VERSIONS && !c->old_versions;
	close_now(c);
	c->state = CONN_DOWN;
	c->retry_at_ms = !why ? 0 : now_ms +
		stream_backoff(c->conf->rng, k->reconnect_backoff_ms, k->reconnect_backoff_max_ms, c->failures);
	c->failures += why != NULL;
	if (why)
		snprintf(c->error, sizeof c->error, "%s", why);
	give_back_requests(c, now_ms);
	c->conf->ops->down(c, why);
}

void conn_release(struct conn *c, int64_t now_ms)
{
	conn_close(c, NULL, now_ms);
}

bool conn_want(struct conn *c, int64_t now_ms)
{
	struct name_query *q;

	if (c->state != CONN_DOWN)
		return true;
	if (c->retry_at_ms > now_ms)
		return false;
	c->address_at = 0;
	if (names_numeric(c->host, c->port, &c->addresses[0]) == 0) {
		c->address_count = 1;
		connect_next(c, now_ms);
		return c->state != CONN_DOWN;
	}
	q = mem_new(struct name_query);
	c->state = CONN_RESOLVING;
	if (!q) {
		conn_close(c, err_text(ERR_NOMEM), now_ms);
		return false;
	}
	snprintf(q->host, sizeof q->host, "%s", c->host);
	q->port = c->port;
	q->arg = c;
	names_ask(c->conf->names, q);
	return true;
}

void conn_resolved(struct conn *c, const struct name_query *q, int64_t now_ms)
{
	char why[160];

	if (c->state != CONN_RESOLVING)
		return;
	if (!q->count) {
		snprintf(why, sizeof why, "%.80s: %s", c->host, q->error ? gai_strerror(q->error) : "no address");
		conn_close(c, why, now_ms);
		return;
	}
	memcpy(c->addresses, q->addresses, sizeof c->addresses);
	c->address_count = q->count;
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

static void ask_versions(struct conn *c, int16_t version, int64_t now_ms)
{
	struct request *r = request_new(API_VERSIONS, version, c->next_correlation_id++, 0, 0);

	if (!r || api_versions_request(&r->control, version, r->correlation_id, c->conf->config->client_id) < 0) {
		request_free(r);
		conn_close(c, err_text(ERR_NOMEM), now_ms);
		return;
	}
	conn_send(c, r, now_ms);
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
	c->in = mem_alloc(IN_FIRST);
	c->in_cap = IN_FIRST;
	c->state = CONN_VERSIONS;
	c->used_ms = now_ms;
	if (!c->in || loop_fd_mod(&c->fd, EPOLLIN) < 0)
		conn_close(c, err_text(ERR_NOMEM), now_ms);
	else
		ask_versions(c, c->old_versions ? 0 : api_ours[API_VERSIONS].max, now_ms);
}

static bool usable(const struct conn *c)
{
	return api_pick(&c->versions, API_PRODUCE) >= 0 && api_pick(&c->versions, API_METADATA) >= 0 &&
	       (!c->conf->need_producer_id || api_pick(&c->versions, API_INIT_PRODUCER_ID) >= 0);
}

static int take_versions(struct conn *c, const struct request *r, const void *data, size_t n, int64_t now_ms)
{
	int rc = api_versions_response(data, n, r->version, r->correlation_id, &c->versions);

	if (rc < 0)
		return rc;
	if (c->versions.error == UNSUPPORTED_VERSION && r->version > 0) {
		int16_t max = c->versions.range[API_VERSIONS].max;

		ask_versions(c, max >= 0 && max < r->version ? max : 0, now_ms);
		return 0;
	}
	if (c->versions.error || !usable(c))
		return ERR_CONFIG;
	c->state = CONN_UP;
	c->failures = 0;
	c->old_versions = false;
	c->error[0] = 0;
	c->conf->ops->up(c);
	return 0;
}

/* --- writing --- */

static void advance(struct request *r, size_t n)
{
	while (r->iov_at < r->iov_count && n >= r->iov[r->iov_at].iov_len)
		n -= r->iov[r->iov_at++].iov_len;
	if (n) {
		struct iovec *v = &r->iov[r->iov_at];

		v->iov_base = (char *)v->iov_base + n;
		v->iov_len -= n;
	}
}

/* Writes what can be written of one request. 1: all of it; 0: the socket is full; -errno. */
static int write_request(struct conn *c, struct request *r)
{
	while (r->iov_at < r->iov_count) {
		uint32_t left = r->iov_count - r->iov_at;
		struct msghdr m = { .msg_iov = &r->iov[r->iov_at], .msg_iovlen = left < IOV_ONCE ? left : IOV_ONCE };
		ssize_t n = sendmsg(c->sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		r->begun = true;
		advance(r, (size_t)n);
	}
	return 1;
}

static struct request *request_after(struct conn *c, struct request *r)
{
	return r->node.next == &c->requests ? NULL : list_entry(r->node.next, struct request, node);
}

static void write_more(struct conn *c, int64_t now_ms)
{
	while (c->writing) {
		struct request *r = c->writing;
		int rc = write_request(c, r);

		if (rc < 0) {
			conn_close(c, err_text(rc), now_ms);
			return;
		}
		if (rc == 0)
			break;
		r->written = true;
		c->used_ms = now_ms;
		c->writing = request_after(c, r);
		if (r->silent) {
			list_remove(&r->node);
			c->in_flight--;
			c->conf->ops->written(c, r, now_ms);
			request_free(r);
		}
	}
	if (loop_fd_mod(&c->fd, c->writing ? EPOLLIN | EPOLLOUT : EPOLLIN) < 0)
		conn_close(c, err_text(ERR_IO), now_ms);
}

void conn_send(struct conn *c, struct request *r, int64_t now_ms)
{
	if (r->iov_count == 0)
		r->iov[r->iov_count++] = (struct iovec){ .iov_base = r->control.data, .iov_len = r->control.len };
	r->sent_ms = now_ms;
	list_push_back(&c->requests, &r->node);
	c->in_flight++;
	if (!c->writing) {
		c->writing = r;
		write_more(c, now_ms);
	}
}

/* --- reading --- */

static int take_frame(struct conn *c, const uint8_t *data, size_t n, int64_t now_ms)
{
	struct request *r = list_first(&c->requests, struct request, node);
	int rc;

	if (!r || !r->written || r->silent)
		return ERR_BAD_DATA;
	list_remove(&r->node);
	c->in_flight--;
	c->used_ms = now_ms;
	if (r->api == API_VERSIONS)
		rc = take_versions(c, r, data, n, now_ms);
	else
		rc = c->conf->ops->answered(c, r, data, n, now_ms);
	request_free(r);
	return rc;
}

static uint32_t frame_size(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Uses whole frames. 0, or why the connection cannot go on. */
static int take_frames(struct conn *c, int64_t now_ms)
{
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && c->state >= CONN_VERSIONS && c->in_len - at >= 4) {
		uint32_t size = frame_size(c->in + at);

		if (size < 4 || size > CONN_FRAME_MAX)
			return ERR_BAD_DATA;
		if (c->in_len - at - 4 < size)
			break;
		rc = take_frame(c, c->in + at + 4, size, now_ms);
		at += 4 + size;
	}
	if (c->state < CONN_VERSIONS)
		return 0;	/* closed meanwhile: the buffer is gone */
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
	return rc;
}

/* Room for the frame that has begun. */
static int make_room(struct conn *c)
{
	size_t want = c->in_len >= 4 ? 4 + (size_t)frame_size(c->in) : IN_FIRST;
	uint8_t *in;

	if (want < IN_FIRST)
		want = IN_FIRST;
	if (c->in_cap == want || (c->in_cap > c->in_len && c->in_len))
		return 0;
	in = mem_realloc(c->in, want);
	if (!in)
		return ERR_NOMEM;
	c->in = in;
	c->in_cap = want;
	return 0;
}

static void close_for(struct conn *c, int rc, int64_t now_ms)
{
	const char *why = rc == ERR_BAD_DATA ? "malformed answer: is this a Kafka broker's plaintext port?" :
			  rc == ERR_CONFIG ? "the broker speaks no version of the protocol that is spoken here" : err_text(rc);

	conn_close(c, why, now_ms);
}

static void read_more(struct conn *c, int64_t now_ms)
{
	/* A few rounds, so that one connection does not starve the others. */
	for (int i = 0; i < 4 && c->state >= CONN_VERSIONS; i++) {
		int rc = make_room(c);
		ssize_t n;

		if (rc < 0) {
			close_for(c, rc, now_ms);
			return;
		}
		n = recv(c->sock, c->in + c->in_len, c->in_cap - c->in_len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return;
		if (n <= 0) {
			conn_close(c, n == 0 ? "the broker closed the connection" : err_text(-errno), now_ms);
			return;
		}
		c->in_len += (size_t)n;
		rc = take_frames(c, now_ms);
		if (rc < 0)
			close_for(c, rc, now_ms);
		if (c->state >= CONN_VERSIONS && c->in_len == 0 && (size_t)n < IN_FIRST)
			return;	/* most likely all there is */
	}
}

static void on_event(struct loop_fd *f, uint32_t events)
{
	struct conn *c = container_of(f, struct conn, fd);
	int64_t now_ms = f->loop->now_ms;

	if (c->state == CONN_CONNECTING) {
		connected(c, now_ms);
		return;
	}
	/* Answers first: what they say is worth more than a write error behind them. */
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_more(c, now_ms);
	if (c->state >= CONN_VERSIONS && (events & EPOLLOUT))
		write_more(c, now_ms);
}

/* --- time --- */

int64_t conn_waiting_since(const struct conn *c)
{
	const struct request *r = list_first(&c->requests, struct request, node);

	return r ? r->sent_ms : -1;
}

int64_t conn_due_ms(const struct conn *c)
{
	const struct producer_config *k = c->conf->config;
	int64_t since = conn_waiting_since(c);

	if (c->state == CONN_CONNECTING || c->state == CONN_VERSIONS)
		return c->setup_by_ms;
	if (c->state != CONN_UP)
		return INT64_MAX;
	if (since >= 0)
		return since + k->request_timeout_ms;
	return k->connections_max_idle_ms >= 0 ? c->used_ms + k->connections_max_idle_ms : INT64_MAX;
}

void conn_tick(struct conn *c, int64_t now_ms)
{
	if (conn_due_ms(c) > now_ms)
		return;
	if (c->state == CONN_CONNECTING)
		connect_failed(c, ETIMEDOUT, now_ms);
	else if (c->state == CONN_VERSIONS)
		conn_close(c, "no answer to the first request", now_ms);
	else
		conn_close(c, conn_waiting_since(c) >= 0 ? "request timed out" : NULL, now_ms);
}

const char *conn_state_name(const struct conn *c)
{
	static const char *const names[] = {
		[CONN_DOWN] = "down", [CONN_RESOLVING] = "connecting", [CONN_CONNECTING] = "connecting",
		[CONN_VERSIONS] = "connecting", [CONN_UP] = "up",
	};

	return names[c->state];
}

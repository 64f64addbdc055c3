/* conn_io.c - requests out, frames in, over a socket or over TLS on it.
 *
 * Invariant: a request is written when all of it is with the kernel; until then its pieces are looked at again.
 * Failure what cannot go on ends in conn_fail with words; whoever reads or writes further looks at the state first.
 * See conn.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "agent/base/killpoint.h"
#include "agent/base/mem.h"
#include "producer/conn_inside.h"
#include "producer/tls.h"

#define IN_FIRST 16384u
#define REQUEST_CONTROL_MAX (8u << 20)
#define IOV_ONCE 1024
#define READ_ROUNDS 4		/* so that one connection does not starve the others */

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

/* --- counting --- */

static void count(const struct conn *c, struct sampled *all, struct sampled *node, double value)
{
	int64_t now_ms = c->conf->loop->now_ms;

	sampled_add(all, value, now_ms);
	sampled_add(node, value, now_ms);
}

static void count_written(const struct conn *c, size_t n)
{
	struct metrics *m = c->conf->metrics;

	if (!m)
		return;
	count(c, &m->outgoing_bytes, &c->node->outgoing_bytes, (double)n);
	sampled_add(&m->network_io, 1, c->conf->loop->now_ms);
}

static void count_read(const struct conn *c, size_t n)
{
	struct metrics *m = c->conf->metrics;

	if (!m)
		return;
	count(c, &m->incoming_bytes, &c->node->incoming_bytes, (double)n);
	sampled_add(&m->network_io, 1, c->conf->loop->now_ms);
}

static void count_request(const struct conn *c, const struct request *r)
{
	struct metrics *m = c->conf->metrics;
	size_t n = 0;

	for (uint32_t i = 0; i < r->iov_count; i++)
		n += r->iov[i].iov_len;
	if (!m)
		return;
	count(c, &m->requests, &c->node->requests, 1);
	count(c, &m->request_size, &c->node->request_size, (double)n);
}

static void count_response(const struct conn *c, const struct request *r, int64_t now_ms)
{
	struct metrics *m = c->conf->metrics;

	if (!m)
		return;
	count(c, &m->responses, &c->node->responses, 1);
	if (r->api != API_PRODUCE)
		return;
	count(c, &m->request_latency_ms, &c->node->request_latency_ms, (double)(now_ms - r->sent_ms));
	histogram_add(&m->request_latency, (double)(now_ms - r->sent_ms) / 1000, 1);
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

/* Some of the first bytes: 1, and *ret_n of them are gone; 0: the socket is full; negative with words. */
static int write_some(struct conn *c, const struct iovec *iov, size_t count, size_t *ret_n, struct err *ret_err)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count };
	ssize_t n;

	if (c->tls)
		return tls_write(c->tls, iov, count, ret_n, ret_err);
	do
		n = sendmsg(c->sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0)
		return err_set(ret_err, -errno, "%s", err_text(-errno));
	*ret_n = (size_t)n;
	return 1;
}

/* Writes what can be written of one request. 1: all of it; 0: the socket is full; negative with words. */
static int write_request(struct conn *c, struct request *r, struct err *ret_err)
{
	while (r->iov_at < r->iov_count) {
		uint32_t left = r->iov_count - r->iov_at;
		size_t n = 0;
		int rc;

		/* Of a record that could not be written whole the socket may have taken a part. */
		r->begun |= c->tls != NULL;
		rc = write_some(c, &r->iov[r->iov_at], left < IOV_ONCE ? left : IOV_ONCE, &n, ret_err);
		if (rc <= 0)
			return rc;
		r->begun = true;
		count_written(c, n);
		advance(r, n);
		if (r->api == API_PRODUCE)
			killpoint(r->iov_at < r->iov_count ? KILL_SEND_PART : KILL_SEND_AFTER);
	}
	return 1;
}

static struct request *request_after(struct conn *c, struct request *r)
{
	return r->node.next == &c->requests ? NULL : list_entry(r->node.next, struct request, node);
}

int conn_rearm(struct conn *c)
{
	bool out = c->tls ? tls_wants_out(c->tls, c->writing) : c->writing != NULL;

	return loop_fd_mod(&c->fd, out ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* A broker that refuses somebody says so and hangs up, while the first request is on its way: its words are in the socket. */
static void write_failed(struct conn *c, const struct err *e, int64_t now_ms)
{
	struct err said;
	char byte;
	size_t n;

	if (c->tls && c->state < CONN_UP && tls_read(c->tls, &byte, 1, &n, &said) == ERR_CONFIG)
		e = &said;
	conn_fail(c, e->code, e->text, now_ms);
}

void conn_write_more(struct conn *c, int64_t now_ms)
{
	while (c->writing) {
		struct request *r = c->writing;
		struct err e;
		int rc = write_request(c, r, &e);

		if (rc < 0) {
			write_failed(c, &e, now_ms);
			return;
		}
		if (rc == 0)
			break;
		r->written = true;
		if (!conn_is_setup(r->api))
			c->used_ms = now_ms;
		c->writing = request_after(c, r);
		if (r->silent) {
			list_remove(&r->node);
			c->in_flight--;
			c->conf->ops->written(c, r, now_ms);
			request_free(r);
		}
	}
	if (conn_rearm(c) < 0)
		conn_close(c, err_text(ERR_IO), now_ms);
}

void conn_send(struct conn *c, struct request *r, int64_t now_ms)
{
	if (r->iov_count == 0)
		r->iov[r->iov_count++] = (struct iovec){ .iov_base = r->control.data, .iov_len = r->control.len };
	r->sent_ms = now_ms;
	count_request(c, r);
	list_push_back(&c->requests, &r->node);
	c->in_flight++;
	if (!c->writing) {
		c->writing = r;
		conn_write_more(c, now_ms);
	}
}

/* --- reading --- */

/* What came is not what was expected: mostly the port is another one. */
static int malformed(const struct conn *c, const uint8_t *p, size_t n, struct err *ret_err)
{
	bool first = c->state == CONN_VERSIONS && !c->tls;

	if (first && n >= 2 && p[0] == 0x15 && p[1] == 0x03)
		return err_set(ret_err, ERR_CONFIG, "the broker answers in TLS: is security.protocol SSL or SASL_SSL?");
	return err_set(ret_err, ERR_BAD_DATA, "malformed answer%s", first ? ": is this a Kafka broker's plaintext port?" : "");
}

static int take_frame(struct conn *c, const uint8_t *data, size_t n, int64_t now_ms, struct err *ret_err)
{
	struct request *r = list_first(&c->requests, struct request, node);
	int rc;

	if (!r || !r->written || r->silent)
		return malformed(c, data, n, ret_err);
	list_remove(&r->node);
	c->in_flight--;
	count_response(c, r, now_ms);
	if (conn_is_setup(r->api)) {
		rc = conn_take_setup(c, r, data, n, now_ms, ret_err);
	} else {
		c->used_ms = now_ms;
		c->proven = true;
		rc = c->conf->ops->answered(c, r, data, n, now_ms);
	}
	request_free(r);
	return rc;
}

static uint32_t frame_size(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Uses whole frames. 0, or why the connection cannot go on. */
static int take_frames(struct conn *c, int64_t now_ms, struct err *ret_err)
{
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && c->state >= CONN_VERSIONS && c->in_len - at >= 4) {
		uint32_t size = frame_size(c->in + at);

		if (size < 4 || size > CONN_FRAME_MAX)
			return malformed(c, c->in + at, c->in_len - at, ret_err);
		if (c->in_len - at - 4 < size)
			break;
		rc = take_frame(c, c->in + at + 4, size, now_ms, ret_err);
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

int conn_read_begin(struct conn *c)
{
	c->in = mem_alloc(IN_FIRST);
	c->in_cap = IN_FIRST;
	return c->in ? 0 : ERR_NOMEM;
}

static const char *hung_up(const struct conn *c)
{
	if (c->state == CONN_VERSIONS && !c->tls)
		return "the broker closed the connection at the first request: is this a TLS port? (security.protocol)";
	if (c->state == CONN_AUTH)
		return "the broker closed the connection while authenticating";
	if (c->state == CONN_UP && !c->proven && !security_has_sasl(c->security))
		return "the broker closed the connection: does this port want SASL? (security.protocol)";
	return "the broker closed the connection";
}

/* 1: *ret_n bytes are behind those that are there; 0: there are none now; negative with words. */
static int read_some(struct conn *c, size_t *ret_n, struct err *ret_err)
{
	ssize_t n;
	int rc;

	if (c->tls) {
		rc = tls_read(c->tls, c->in + c->in_len, c->in_cap - c->in_len, ret_n, ret_err);
		return rc == ERR_CLOSED ? err_set(ret_err, rc, "%s", hung_up(c)) : rc;
	}
	n = recv(c->sock, c->in + c->in_len, c->in_cap - c->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	if (n < 0)
		return err_set(ret_err, -errno, "%s", err_text(-errno));
	*ret_n = (size_t)n;
	return n ? 1 : err_set(ret_err, ERR_CLOSED, "%s", hung_up(c));
}

/* One round. True: go on. */
static bool read_once(struct conn *c, int64_t now_ms)
{
	struct err e = { 0 };
	size_t n = 0;
	int rc = make_room(c);

	if (rc == 0)
		rc = read_some(c, &n, &e);
	if (rc == 0)
		return false;
	if (rc > 0) {
		count_read(c, n);
		c->in_len += n;
		rc = take_frames(c, now_ms, &e);
	}
	if (rc < 0)
		conn_fail(c, rc, e.text[0] ? e.text : rc == ERR_BAD_DATA ? "malformed answer" : err_text(rc), now_ms);
	/* When the buffer is not full, that is most likely all there is. */
	return c->state >= CONN_VERSIONS && (c->in_len || n >= IN_FIRST);
}

void conn_read_more(struct conn *c, int64_t now_ms)
{
	bool more = true;

	/* What OpenSSL has read already no event will tell of. */
	for (int i = 0; c->state >= CONN_VERSIONS && ((more && i < READ_ROUNDS) || (c->tls && tls_pending(c->tls))); i++)
		more = read_once(c, now_ms);
}

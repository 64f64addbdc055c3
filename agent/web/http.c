/* http.c - connections of the monitoring server. See http.h for what it promises, http_parse.c for what a request is.
 *
 * States of a connection: WAITING [first byte] -> READING [whole head] -> WRITING [written] -> WAITING, or DRAINING (what must not
 * go on: says so, then waits for the client to hang up, for an answer is lost when its socket closes over unread bytes) -> closed.
 *
 * Invariants
 *  (1) each state has a timer; nothing a client does moves it but the next state. A byte an hour ends like none.
 *  (2) one request of a connection for each round of the loop: a pipeline of hundreds takes turns with the others.
 *  (3) when all places are taken, the one that waited longest without a byte goes; if there is none, the new one is told 503.
 *  (4) what slow readers leave unread has a ceiling, for answers are as large as there are files: above it, 503 as well.
 * Names: at a loopback address only IP addresses and localhost are answered as Host. A page of a foreign site could otherwise read
 * these in a browser of this machine, under its own name (DNS rebinding). Whoever listens at another address wants to be reached
 * by name, and has to guard the port anyway.
 */
#include "agent/web/http.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/listener.h"
#include "agent/web/http_listen.h"
#include "agent/web/http_parse.h"

#define CONNECTIONS_MAX 32
#define BODY_MAX        (64u << 20)
#define BODIES_MAX      (16u << 20)	/* of all answers under way; a single one may be larger */
#define HEAD_OUT_MAX    2048
#define WAIT_MS         15000
#define READ_MS         5000
#define WRITE_MS        30000
#define DRAIN_MS        2000

enum visit_state { WAITING, READING, WRITING, DRAINING };

struct visit {				/* one connection */
	struct loop_fd    fd;
	struct loop_timer timer;	/* the state ends */
	struct loop_timer next;		/* what is pipelined has its turn */
	struct http      *http;
	enum visit_state  state;
	int64_t           since_ms;
	bool              keep;		/* open behind this answer */
	size_t            in_len, sent;
	struct buf        head, body;	/* of the answer */
	char              in[HTTP_HEAD_MAX];
};

struct http {
	struct loop_fd  listener;
	struct loop    *loop;
	http_fn        *fn;
	void           *arg;
	int             spare;
	bool            local_names;	/* only such are answered */
	struct sockaddr_un addr;	/* sun_path "": TCP */
	struct visit   *visits[CONNECTIONS_MAX];
};

static void on_timer(struct loop_timer *t);
static void on_next(struct loop_timer *t);

static void visit_close(struct visit *v)
{
	int fd = v->fd.fd;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (v->http->visits[i] == v)
			v->http->visits[i] = NULL;
	timer_cancel(v->http->loop, &v->timer);
	timer_cancel(v->http->loop, &v->next);
	loop_fd_del(&v->fd);
	close(fd);
	buf_release(&v->head);
	buf_release(&v->body);
	mem_free(v);
}

static void enter(struct visit *v, enum visit_state state)
{
	static const int limit_ms[] = { [WAITING] = WAIT_MS, [READING] = READ_MS, [WRITING] = WRITE_MS, [DRAINING] = DRAIN_MS };

	v->state = state;
	v->since_ms = v->http->loop->now_ms;
	/* A timer that finds no memory: without one it stays until the client goes, or its place is wanted. */
	timer_set(v->http->loop, &v->timer, v->since_ms + limit_ms[state], on_timer);
	loop_fd_mod(&v->fd, state == WRITING ? EPOLLOUT : EPOLLIN);
}

/* --- answers --- */

static const char *reason(int status)
{
	static const struct { int status; const char *text; } table[] = {
		{ 200, "OK" }, { 400, "Bad Request" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 408, "Request Timeout" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
		{ 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" }, { 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].status == status)
			return table[i].text;
	return "Unknown";
}

static void put_date(struct buf *o)
{
	time_t now = time(NULL);
	char text[64];
	struct tm tm;

	if (gmtime_r(&now, &tm) && strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
		buf_printf(o, "Date: %s\r\n", text);
}

static void put_head(struct buf *o, const struct http_answer *a, bool keep)
{
	const char *more = a->headers ? a->headers : "";

	buf_printf(o, "HTTP/1.1 %d %s\r\n", a->status, reason(a->status));
	put_date(o);
	buf_printf(o, "Content-Type: %s\r\nContent-Length: %zu\r\n", a->type, a->body.len);
	buf_puts(o, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
	if (!strstr(more, "Content-Security-Policy:"))
		buf_puts(o, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
	if (a->status == 405)
		buf_puts(o, "Allow: GET, HEAD\r\n");
	buf_printf(o, "%s%s\r\n", more, keep ? "" : "Connection: close\r\n");
}

/* Hands the answer over; its body is the visit's from here on. */
static void begin_answer(struct visit *v, struct http_answer *a, bool is_head, bool keep)
{
	v->keep = keep;
	buf_clear(&v->head);
	put_head(&v->head, a, keep);
	buf_release(&v->body);
	if (is_head)
		buf_release(&a->body);
	else
		v->body = a->body;
	v->sent = 0;
	enter(v, WRITING);
}

static void init_answer(struct http_answer *a, int status)
{
	*a = (struct http_answer){ .status = status, .type = "text/plain; charset=utf-8" };
	buf_init(&a->body, BODY_MAX);
}

static void refuse(struct visit *v, int status, bool is_head)
{
	static const struct { int status; const char *words; } table[] = {
		{ 400, "this is no HTTP request that is understood here" },
		{ 403, "at this address only IP addresses and localhost are answered as Host" },
		{ 405, "only GET and HEAD, nothing can be changed here" },
		{ 408, "the request did not come to its end in time" },
		{ 413, "a request has no body here" },
		{ 414, "the request line is too long" },
		{ 431, "at most 8 KiB and 64 headers" },
		{ 500, "out of memory" },
		{ 503, "others read too slowly, try again in some seconds" },
		{ 505, "only HTTP/1.0 and HTTP/1.1" },
	};
	struct http_answer a;

	init_answer(&a, status);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].status == status)
			buf_printf(&a.body, "%d %s: %s\n", status, reason(status), table[i].words);
	begin_answer(v, &a, is_head, false);
}

/* Bytes of all answers that are not read to their end. */
static size_t under_way(const struct http *h)
{
	size_t n = 0;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		n += h->visits[i] ? h->visits[i]->body.len : 0;
	return n;
}

static void answer(struct visit *v, const struct http_head *h)
{
	size_t others = under_way(v->http);
	struct http_answer a;

	if (v->http->local_names && h->host && !http_host_is_local(h->host)) {
		refuse(v, 403, h->is_head);
		return;
	}
	init_answer(&a, 200);
	v->http->fn(v->http->arg, &h->request, &a);
	if (a.body.failed) {
		buf_release(&a.body);
		refuse(v, 500, h->is_head);
		return;
	}
	if (others && others + a.body.len > BODIES_MAX && !h->is_head) {
		buf_release(&a.body);
		refuse(v, 503, false);
		return;
	}
	begin_answer(v, &a, h->is_head, h->keep_alive);
}

/* --- reading and writing --- */

/* The head is there, or never will be; else waits for more. */
static void look(struct visit *v)
{
	struct http_head h;
	int n = http_head_parse(v->in, v->in_len, &h);

	if (n < 0) {
		refuse(v, -n, h.is_head);
		return;
	}
	if (n == 0) {
		if (v->state != READING)
			enter(v, READING);
		return;
	}
	answer(v, &h);
	memmove(v->in, v->in + n, v->in_len - (size_t)n);
	v->in_len -= (size_t)n;
}

static void on_next(struct loop_timer *t)
{
	look(container_of(t, struct visit, next));
}

static void answered(struct visit *v)
{
	buf_release(&v->body);
	if (!v->keep) {
		shutdown(v->fd.fd, SHUT_WR);
		enter(v, DRAINING);
		return;
	}
	enter(v, v->in_len ? READING : WAITING);
	if (v->in_len && timer_set(v->http->loop, &v->next, v->http->loop->now_ms, on_next) < 0)
		visit_close(v);
}

static ssize_t send_rest(const struct visit *v)
{
	size_t of_head = v->sent < v->head.len ? v->sent : v->head.len, of_body = v->sent - of_head;
	struct iovec parts[2] = {
		{ v->head.data + of_head, v->head.len - of_head },
		{ v->body.data ? v->body.data + of_body : NULL, v->body.len - of_body },
	};
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };

	return sendmsg(v->fd.fd, &m, MSG_NOSIGNAL);
}

static void visit_write(struct visit *v)
{
	ssize_t n;

	if (v->head.failed) {
		visit_close(v);
		return;
	}
	while (v->sent < v->head.len + v->body.len) {
		n = send_rest(v);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			visit_close(v);
			return;
		}
		v->sent += (size_t)n;
	}
	answered(v);
}

static void visit_drain(struct visit *v)
{
	ssize_t n = recv(v->fd.fd, v->in, sizeof v->in, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		visit_close(v);
}

static void visit_read(struct visit *v)
{
	ssize_t n = recv(v->fd.fd, v->in + v->in_len, sizeof v->in - v->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		visit_close(v);
		return;
	}
	v->in_len += (size_t)n;
	if (!timer_armed(&v->next))
		look(v);
}

static void on_visit(struct loop_fd *f, uint32_t events)
{
	struct visit *v = container_of(f, struct visit, fd);

	(void)events;
	if (v->state == WRITING)
		visit_write(v);
	else if (v->state == DRAINING)
		visit_drain(v);
	else
		visit_read(v);
}

static void on_timer(struct loop_timer *t)
{
	struct visit *v = container_of(t, struct visit, timer);

	if (v->state == READING)
		refuse(v, 408, false);
	else
		visit_close(v);
}

/* --- who comes --- */

/* A free place, or that of who waited longest without a byte; CONNECTIONS_MAX: none. */
static size_t find_place(struct http *h)
{
	size_t best = CONNECTIONS_MAX;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		const struct visit *v = h->visits[i];

		if (!v)
			return i;
		if (v->state == WAITING && (best == CONNECTIONS_MAX || v->since_ms < h->visits[best]->since_ms))
			best = i;
	}
	if (best < CONNECTIONS_MAX)
		visit_close(h->visits[best]);
	return best;
}

/* In one go, as far as it goes: there is no place for who has to wait. */
static void turn_away(int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 52\r\n"
		"Retry-After: 5\r\nConnection: close\r\n\r\n503 too many connections, try again in some seconds\n";
	char unread[HTTP_HEAD_MAX];

	(void)recv(fd, unread, sizeof unread, MSG_DONTWAIT);	/* else what is said is lost, most of the time */
	if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		shutdown(fd, SHUT_WR);
	close(fd);
}

static void on_listener(struct loop_fd *f, uint32_t events)
{
	struct http *h = container_of(f, struct http, listener);
	int fd = listener_accept(f->fd, &h->spare);
	struct visit *v;
	size_t place;

	(void)events;
	if (fd < 0)
		return;
	if (h->addr.sun_path[0] && !listener_trusts(fd, true)) {
		close(fd);
		return;
	}
	place = find_place(h);
	v = place < CONNECTIONS_MAX ? mem_new(struct visit) : NULL;
	if (!v || loop_fd_add(h->loop, &v->fd, fd, EPOLLIN, on_visit) < 0) {
		turn_away(fd);
		mem_free(v);
		return;
	}
	v->http = h;
	h->visits[place] = v;
	buf_init(&v->head, HEAD_OUT_MAX);
	buf_init(&v->body, BODY_MAX);
	enter(v, WAITING);
}

/* --- the beginning and the end --- */

int http_open(struct loop *loop, const char *listen, http_fn *fn, void *arg, struct http **ret, struct err *ret_err)
{
	struct http *h = mem_new(struct http);
	int fd, rc;

	if (!h)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	*h = (struct http){ .loop = loop, .fn = fn, .arg = arg, .spare = listener_spare() };
	fd = http_listen(listen, &h->addr, &h->local_names, ret_err);
	rc = fd < 0 ? fd : loop_fd_add(loop, &h->listener, fd, EPOLLIN, on_listener);
	if (rc >= 0) {
		*ret = h;
		return 0;
	}
	if (fd >= 0) {
		err_set(ret_err, rc, HTTP_KEY ": cannot watch %s: %s", listen, err_text(rc));
		close(fd);
	}
	if (h->spare >= 0)
		close(h->spare);
	mem_free(h);
	return rc;
}

void http_close(struct http *h)
{
	int fd;

	if (!h)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (h->visits[i])
			visit_close(h->visits[i]);
	fd = h->listener.fd;
	loop_fd_del(&h->listener);
	close(fd);
	if (h->spare >= 0)
		close(h->spare);
	if (h->addr.sun_path[0])
		unlink(h->addr.sun_path);
	mem_free(h);
}

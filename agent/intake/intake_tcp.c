/* intake_tcp.c - syslog over TCP: connections, and what each has sent of a message so far.
 *
 * Why nobody can hold up the others: no connection is waited for; each has a turn of READ_BYTES, and keeps no more than its
 * unfinished message. A connection without one keeps nothing. All of them together keep at most `room`: beyond it the one with
 * the most whose message has been unfinished for STALE_MS is dropped (what it sent of it is in the losses), else who needs more
 * waits. A byte now and then keeps nobody from being dropped; time in which nobody is read does not count.
 * At `most` connections no more are accepted: the kernel lets them wait. They have a part of the descriptors of their own.
 * A message that is unfinished when its connection ends is one. At the agent's end a connection is read up to LAST_BYTES.
 * Threads: intake.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/descriptors.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/intake/intake_inside.h"

#define MAX_CONNECTIONS 1024
#define LEAST_CONNECTIONS 8
#define PART 4				/* of the descriptors, for connections of all inputs */
#define READ_BYTES 16384
#define BUF_FIRST  4096
#define ROOM_LEAST (4u << 20)
#define STALE_MS   10000
#define LAST_BYTES (1u << 20)
#define BACKLOG    256

struct conn {
	struct list node;
	struct list turn;		/* in tcp.ready, when it has or may have something */
	struct tcp *tcp;
	struct loop_fd fd;
	int      sock;
	struct intake_frames frames;
	uint8_t *buf;
	size_t   n, cap;
	int64_t  since_ms;		/* buf holds a message that is unfinished so long */
	size_t   at_the_end;		/* bytes read since the end began */
	bool     eof;
	bool     starved;		/* it needs room that is not there: not listened to until the next tick */
};

struct tcp {
	struct intake_input in;
	struct loop_fd fd;		/* of who listens */
	int      sock;
	struct frame_rules rules;
	struct list conns, ready;
	size_t   count, most, kept, room;
	uint8_t *scratch;
	bool     full, opened;
	struct log_seldom refused;
};

/* Files leave as many to us (intake_descriptors). */
static size_t most_connections(const struct conf *c)
{
	size_t most = descriptors_most(), listeners = 0;

	for (size_t k = 0; k < c->input_count; k++)
		listeners += c->inputs[k].type == CONF_TYPE_SYSLOG && !strncmp(c->inputs[k].listen, "tcp:", 4);
	most = most / PART / (listeners ? listeners : 1);
	return most > MAX_CONNECTIONS ? MAX_CONNECTIONS : most < LEAST_CONNECTIONS ? LEAST_CONNECTIONS : most;
}

size_t intake_tcp_descriptors(const struct intake_input *in)
{
	return ((const struct tcp *)in)->most;
}

static int open_tcp(struct intake_input *in, struct err *ret_err)
{
	struct tcp *t = (struct tcp *)in;

	t->fd.fd = t->sock = -1;
	t->opened = true;
	list_init(&t->conns);
	list_init(&t->ready);
	t->rules = (struct frame_rules){ .syslog = true, .max = (size_t)in->conf->max_line, .how = in->conf->long_lines };
	t->most = most_connections(in->owner->conf.conf);
	t->room = 4 * (frame_need(&t->rules) + READ_BYTES);
	t->room = t->room < ROOM_LEAST ? ROOM_LEAST : t->room;
	t->scratch = mem_alloc(READ_BYTES);
	if (!t->scratch)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	if (in->heir)
		return 0;
	t->sock = intake_bind(in, SOCK_STREAM, ret_err);
	if (t->sock < 0)
		return t->sock;
	if (listen(t->sock, BACKLOG) < 0)
		return err_set(ret_err, -errno, "input %s: cannot listen on %s: %s", in->conf->name, in->conf->listen,
			       strerror(errno));
	return 0;
}

/* --- connections --- */

static void conn_ready(struct conn *c)
{
	if (list_empty(&c->turn))
		list_push_back(&c->tcp->ready, &c->turn);
	intake_ready(&c->tcp->in);
}

static void on_conn(struct loop_fd *fd, uint32_t events)
{
	(void)events;
	conn_ready(container_of(fd, struct conn, fd));
}

static void on_listen(struct loop_fd *fd, uint32_t events)
{
	(void)events;
	intake_ready(&container_of(fd, struct tcp, fd)->in);
}

static void listen_again(struct tcp *t)
{
	if (t->fd.fd < 0 && !t->full && !t->in.last)
		(void)loop_fd_add(&t->in.owner->loop, &t->fd, t->sock, EPOLLIN, on_listen);
}

static void buf_drop(struct conn *c)
{
	c->tcp->kept -= c->cap;
	mem_free(c->buf);
	c->buf = NULL;
	c->n = c->cap = 0;
}

static void conn_close(struct conn *c)
{
	struct tcp *t = c->tcp;

	loop_fd_del(&c->fd);
	close(c->sock);
	buf_drop(c);
	list_remove(&c->turn);
	list_remove(&c->node);
	mem_free(c);
	t->count--;
	if (t->full) {
		t->full = false;
		listen_again(t);
	}
}

static void conn_new(struct tcp *t, int sock)
{
	struct conn *c = mem_new(struct conn);
	int one = 1;

	if (!c) {
		close(sock);
		return;
	}
	(void)setsockopt(sock, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	c->tcp = t;
	c->sock = sock;
	c->fd.fd = -1;
	list_init(&c->turn);
	list_push_back(&t->conns, &c->node);
	t->count++;
	conn_ready(c);
	if (loop_fd_add(&t->in.owner->loop, &c->fd, sock, EPOLLIN, on_conn) < 0)
		conn_close(c);
}

static void accept_some(struct tcp *t)
{
	uint64_t times;

	while (t->count < t->most) {
		int sock = accept4(t->sock, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (sock < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
			break;
		if (sock < 0)
			return;
		conn_new(t, sock);
	}
	if (!t->full && (times = log_seldom(&t->refused, clock_mono_ms())))
		log_warn("no more connections are accepted until one ends", KS("listen", t->in.shown), KI("connections", t->count),
			 KI("times", times));
	t->full = true;
	loop_fd_del(&t->fd);
}

/* --- what they keep --- */

static struct conn *stale_one(struct tcp *t, const struct conn *but)
{
	int64_t before = t->in.owner->loop.now_ms - STALE_MS;
	struct conn *found = NULL;

	list_each(it, &t->conns) {
		struct conn *c = list_entry(it, struct conn, node);

		if (c != but && c->cap && c->since_ms < before && (!found || c->cap > found->cap))
			found = c;
	}
	return found;
}

/* Room for more bytes of c. */
static bool grow(struct conn *c, size_t need)
{
	struct tcp *t = c->tcp;
	size_t cap = c->cap ? c->cap : BUF_FIRST, most = frame_need(&t->rules) + READ_BYTES;
	struct conn *stale;
	void *v;

	while (cap < need)
		cap *= 2;
	cap = cap < most ? cap : most;
	while (t->kept - c->cap + cap > t->room && (stale = stale_one(t, c))) {
		log_error("a connection that does not finish its message is dropped, others need the room",
			  KS("listen", t->in.shown), KI("bytes", stale->n));
		intake_lost(&t->in, SPOOL_LOSS_SOCKET, 1, stale->n);
		conn_close(stale);
	}
	if (t->kept - c->cap + cap > t->room)
		return false;
	v = mem_realloc(c->buf, cap);
	if (!v)
		return false;
	if (!c->buf)
		c->since_ms = t->in.owner->loop.now_ms;
	t->kept += cap - c->cap;
	c->buf = v;
	c->cap = cap;
	return true;
}

/* Keeps the rest of n bytes that were read elsewhere. */
static bool keep(struct conn *c, const uint8_t *p, size_t n)
{
	if (!n)
		return true;
	if (!grow(c, n))
		return false;
	memcpy(c->buf, p, n);
	c->n = n;
	return true;
}

/* --- turns --- */

static void consume(struct conn *c, bool final)
{
	size_t used = intake_frames(&c->tcp->in, &c->frames, &c->tcp->rules, c->buf, c->n, final);

	c->n -= used;
	if (used)
		c->since_ms = c->tcp->in.owner->loop.now_ms;
	if (c->n)
		memmove(c->buf, c->buf + used, c->n);
	else
		buf_drop(c);
}

static ssize_t starve(struct conn *c)
{
	c->starved = true;
	loop_fd_del(&c->fd);
	errno = EAGAIN;
	return -1;
}

/* What comes while nothing is kept needs no buffer of its own as a rule. */
static ssize_t read_fresh(struct conn *c)
{
	struct tcp *t = c->tcp;
	ssize_t n;
	size_t used;

	if (t->kept + READ_BYTES > t->room && !stale_one(t, c) && t->count > 1)
		return starve(c);	/* it could not be kept */
	n = recv(c->sock, t->scratch, READ_BYTES, 0);
	if (n <= 0)
		return n;
	used = intake_frames(&t->in, &c->frames, &t->rules, t->scratch, (size_t)n, false);
	if (!keep(c, t->scratch + used, (size_t)n - used)) {
		log_error("no memory for an unfinished message, its connection is dropped", KS("listen", t->in.shown));
		intake_lost(&t->in, SPOOL_LOSS_SOCKET, 1, (size_t)n - used);
		c->eof = true;
	}
	return n;
}

static ssize_t read_more(struct conn *c)
{
	ssize_t n;

	if (!c->buf)
		return read_fresh(c);
	if (c->cap - c->n < BUF_FIRST / 4 && !grow(c, c->n + BUF_FIRST) && c->cap == c->n)
		return starve(c);
	n = recv(c->sock, c->buf + c->n, c->cap - c->n < READ_BYTES ? c->cap - c->n : READ_BYTES, 0);
	if (n > 0) {
		c->n += (size_t)n;
		consume(c, false);
	}
	return n;
}

static void conn_turn(struct conn *c)
{
	struct intake_input *in = &c->tcp->in;
	ssize_t n = 1;

	list_remove(&c->turn);
	if (c->n)
		consume(c, c->eof);
	if (!in->dry && !c->eof) {
		n = read_more(c);
		c->at_the_end += in->last && n > 0 ? (size_t)n : 0;
		c->eof |= n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		c->eof |= in->last && (n < 0 || c->at_the_end >= LAST_BYTES);
		if (c->eof && !in->dry)
			consume(c, true);
	}
	if (in->dry && (c->n || c->eof))
		list_push_front(&c->tcp->ready, &c->turn);	/* it is the next again */
	else if (c->eof)
		conn_close(c);
	else if (n > 0)
		list_push_back(&c->tcp->ready, &c->turn);
}

static bool turn(struct intake_input *in)
{
	struct tcp *t = (struct tcp *)in;
	size_t n;

	if (!in->last || !reload_has_heir(in))	/* else who connects now is the heir's */
		accept_some(t);
	if (in->last) {
		loop_fd_del(&t->fd);
		list_each(it, &t->conns)
			conn_ready(list_entry(it, struct conn, node));
	}
	n = list_count(&t->ready);
	while (n-- && !in->dry && !list_empty(&t->ready))
		conn_turn(list_first(&t->ready, struct conn, turn));
	in->done = in->last && !in->dry && list_empty(&t->conns);
	return !list_empty(&t->ready);
}

/* Connections may say something: then they are ready, and their turn comes later. */
static void pause_tcp(struct intake_input *in, bool on)
{
	struct tcp *t = (struct tcp *)in;

	if (on)
		loop_fd_del(&t->fd);
	else
		listen_again(t);
	list_each(it, &t->conns) {
		struct conn *c = list_entry(it, struct conn, node);

		if (!on)			/* nobody has read what it may have sent meanwhile */
			c->since_ms = in->owner->loop.now_ms;
		if (on)
			loop_fd_del(&c->fd);
		else if (c->fd.fd < 0 && !c->starved && loop_fd_add(&in->owner->loop, &c->fd, c->sock, EPOLLIN, on_conn) < 0)
			conn_ready(c);
	}
}

static int start(struct intake_input *in)
{
	struct tcp *t = (struct tcp *)in;

	return loop_fd_add(&in->owner->loop, &t->fd, t->sock, EPOLLIN, on_listen);
}

/* Descriptors and room may have come back without a word. */
static void tick(struct intake_input *in)
{
	struct tcp *t = (struct tcp *)in;

	list_each(it, &t->conns) {
		struct conn *c = list_entry(it, struct conn, node);

		if (!c->starved || in->dry)
			continue;
		c->starved = false;
		(void)loop_fd_add(&in->owner->loop, &c->fd, c->sock, EPOLLIN, on_conn);
		conn_ready(c);
	}
	if (t->full && t->count < t->most && !in->dry) {
		t->full = false;
		listen_again(t);
	}
}

static void move_conns(struct tcp *t, struct tcp *old)
{
	list_each(it, &old->conns)
		list_entry(it, struct conn, node)->tcp = t;
	list_splice_back(&t->conns, &old->conns);
	list_splice_back(&t->ready, &old->ready);
	t->count = old->count;
	t->kept = old->kept;
	t->full = old->full;
	old->count = old->kept = 0;
}

static bool take_over(struct intake_input *in, struct intake_input *was, bool settled)
{
	struct tcp *t = (struct tcp *)in, *old = (struct tcp *)was;

	if (!settled && (t->rules.max != old->rules.max || t->rules.how != old->rules.how))
		return false;
	loop_fd_del(&old->fd);
	intake_show_as(in, was);
	t->sock = old->sock;
	old->sock = -1;
	if (!settled)
		move_conns(t, old);
	return true;
}

static size_t left(struct intake_input *in)
{
	struct tcp *t = (struct tcp *)in;
	size_t n = 0;

	list_each(it, &t->conns)
		n += list_entry(it, struct conn, node)->n;
	return n;
}

static void close_tcp(struct intake_input *in)
{
	struct tcp *t = (struct tcp *)in;

	if (!t->opened)
		return;
	t->full = false;
	in->last = true;
	while (!list_empty(&t->conns))
		conn_close(list_first(&t->conns, struct conn, node));
	loop_fd_del(&t->fd);
	if (t->sock >= 0)
		close(t->sock);
	mem_free(t->scratch);
}

const struct intake_kind intake_tcp = {
	.size = sizeof(struct tcp), .open = open_tcp, .start = start, .turn = turn, .pause = pause_tcp, .tick = tick, .left = left,
	.close = close_tcp, .take_over = take_over,
};

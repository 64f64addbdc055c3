/* fakebroker.c - the fake broker's life: one thread, poll, one lock over everything.
 *
 * A connection is read as long as its node is not mute; a request is looked at when the answer of the last one is out.
 * See fakebroker.h for what it promises; fake_api.c for requests, fake_log.c for rules, fake_fault.c for faults,
 * fake_control.c for what tests say.
 */
#define _GNU_SOURCE
#include "tests/lib/fake_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/clock.h"

#define EXPIRY_CHECK_MS 600000

void fake_die(const char *what)
{
	fprintf(stderr, "fake broker: %s\n", what);
	abort();
}

void fake_poke(struct fake *f)
{
	if (write(f->wake[1], "x", 1) < 0 && errno != EAGAIN)
		fake_die("wake");
}

/* --- sockets --- */

static void drop(struct fake_conn *c)
{
	struct linger hard = { 1, 0 };

	if (c->fd < 0)
		return;
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(c->fd);
	free(c->in);
	buf_release(&c->out);
	buf_release(&c->held);
	*c = (struct fake_conn){ .fd = -1 };
}

/* Is nobody else to have its port? Only then is it kept while nobody listens. */
static void keep_port(int fd, bool keep)
{
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ !keep }, sizeof(int));
}

static bool listen_on(struct fake *f, int node)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)f->port[node]),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	keep_port(fd, false);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0) {
		close(fd);
		return false;
	}
	f->listen[node] = fd;
	return true;
}

/* Below the range that connecting sockets get, where no other program looks for one as a rule. */
static void find_port(struct fake *f, int node)
{
	static _Atomic unsigned int turn;

	for (int i = 0; i < 1000; i++) {
		f->port[node] = 20000 + (int)(((unsigned int)getpid() * 37 + turn++ * 101) % 12000);
		if (listen_on(f, node))
			return;
	}
	fake_die("no free port");
}

static void take_conn(struct fake *f, int node)
{
	int fd = accept4(f->listen[node], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < CONNS_MAX; i++) {
		struct fake_conn *c = &f->conns[i];

		if (c->fd >= 0)
			continue;
		*c = (struct fake_conn){ .fd = fd, .node = node, .session_ms = f->session_ms,
					.hidden = f->hidden };
		buf_init(&c->out, FRAME_MAX);
		buf_init(&c->held, FRAME_MAX);
		return;
	}
	close(fd);
}

/* All that the socket takes, or the one byte whose turn it is. */
static size_t due(struct fake_conn *c, int64_t now_ms)
{
	if (!c->slow_ms)
		return c->out.len - c->out_at;
	if (now_ms < c->slow_next_ms)
		return 0;
	c->slow_next_ms = now_ms + c->slow_ms;
	return 1;
}

static void written(struct fake_conn *c)
{
	buf_clear(&c->out);
	c->out_at = 0;
	c->slow_ms = 0;
	if (c->half_close_when_out) {
		shutdown(c->fd, SHUT_WR);
		c->half_closed = true;
	}
	c->dead |= c->close_when_out;
}

static void write_out(struct fake_conn *c, int64_t now_ms)
{
	while (c->out_at < c->out.len) {
		size_t n = due(c, now_ms);
		ssize_t sent = n ? send(c->fd, c->out.data + c->out_at, n, MSG_NOSIGNAL) : 0;

		if (sent < 0 && errno != EAGAIN)
			c->dead = true;
		if (sent <= 0)
			return;
		c->out_at += (size_t)sent;
	}
	written(c);
}

static void read_in(struct fake_conn *c)
{
	ssize_t n;

	if (c->in_cap - c->in_len < 65536) {
		c->in_cap = c->in_cap ? c->in_cap * 2 : 1u << 18;
		c->in = realloc(c->in, c->in_cap);
	}
	n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->dead = true;
	else if (n > 0)
		c->in_len += (size_t)n;
}

/* Does a request that is on its way meet the end of its connection? */
static bool cut_short(struct fake *f, struct fake_conn *c)
{
	const size_t known = 6;			/* length and API key */
	int api = c->in_len >= known ? be16_get(c->in + 4) : -1;

	for (int i = 0; i < f->fault_count && api >= 0; i++) {
		const struct fake_fault *x = &f->faults[i];

		if (x->times > 0 && x->api == api && fake_fault_stage(x->kind) == FAULT_OF_REQUEST) {
			/* A request that is shorter is cut at its end. */
			size_t size = 4 + (size_t)be32_get(c->in), at = (size_t)x->value < size ? (size_t)x->value : size;

			return c->in_len >= at && fake_fault_met(f, api, -1, FAULT_OF_REQUEST);
		}
	}
	return false;
}

/* One request at a time: the next is looked at when the answer of the last one is out. */
static void work(struct fake *f, struct fake_conn *c, int64_t now_ms)
{
	while (c->fd >= 0 && !c->dead) {
		uint32_t size;

		if (c->busy_until_ms > now_ms)
			return;
		if (!c->half_closed)
			write_out(c, now_ms);
		if (c->out.len || c->in_len < 4 || c->dead || c->half_closed)
			return;
		if (cut_short(f, c)) {
			c->dead = true;
			return;
		}
		size = be32_get(c->in);
		if (size > FRAME_MAX) {
			c->dead = true;
			return;
		}
		if (c->in_len < 4 + size)
			return;
		fake_serve(f, c, c->in + 4, size);
		c->in_len -= 4 + size;
		memmove(c->in, c->in + 4 + size, c->in_len);
		/* No answer (acks 0, swallowed, held back), but half a connection to close. */
		if (!c->out.len && c->half_close_when_out)
			written(c);
	}
}

static int64_t earlier(int64_t at_ms, int64_t now_ms, int64_t ms)
{
	return at_ms > now_ms && at_ms - now_ms < ms ? at_ms - now_ms : ms;
}

static int timeout_ms(struct fake *f, int64_t now_ms)
{
	int64_t ms = 1000;

	for (int i = 0; i < CONNS_MAX; i++) {
		const struct fake_conn *c = &f->conns[i];

		if (c->fd < 0)
			continue;
		ms = earlier(c->busy_until_ms, now_ms, ms);
		if (c->slow_ms && c->out.len)
			ms = c->slow_next_ms <= now_ms ? 0 : earlier(c->slow_next_ms, now_ms, ms);
	}
	return (int)ms;
}

static int gather_fds(struct fake *f, struct pollfd *p)
{
	int n = 0;

	p[n++] = (struct pollfd){ .fd = f->wake[0], .events = POLLIN };
	for (int i = 0; i < f->nodes; i++)
		p[n++] = (struct pollfd){ .fd = f->down[i] ? -1 : f->listen[i], .events = POLLIN };
	for (int i = 0; i < CONNS_MAX; i++) {
		struct fake_conn *c = &f->conns[i];
		short events = POLLIN;

		if (c->fd >= 0 && c->out.len && !c->slow_ms && c->busy_until_ms <= clock_mono_ms())
			events |= POLLOUT;
		p[n++] = (struct pollfd){ .fd = c->fd >= 0 && f->mute[c->node] ? -1 : c->fd, .events = events };
	}
	return n;
}

static void react(struct fake *f, struct pollfd *p)
{
	int64_t now_ms = clock_mono_ms();
	char byte[64];

	if (p[0].revents && read(f->wake[0], byte, sizeof byte) < 0 && errno != EAGAIN)
		fake_die("wake");
	for (int i = 0; i < f->nodes; i++)
		if (p[1 + i].revents && !f->down[i])
			take_conn(f, i);
	for (int i = 0; i < CONNS_MAX; i++) {
		struct fake_conn *c = &f->conns[i];
		struct pollfd *q = &p[1 + f->nodes + i];

		if (c->fd < 0)
			continue;
		if (f->down[c->node])
			c->dead = true;
		else if (f->mute[c->node])
			continue;
		else if (q->fd == c->fd && q->revents & (POLLIN | POLLHUP | POLLERR))
			read_in(c);
		work(f, c, now_ms);
		if (c->dead)
			drop(c);
	}
}

static void *run(void *arg)
{
	struct fake *f = arg;
	struct pollfd p[1 + NODES_MAX + CONNS_MAX];
	int n, ms;

	for (;;) {
		pthread_mutex_lock(&f->mu);
		if (f->stop)
			break;
		n = gather_fds(f, p);
		ms = timeout_ms(f, clock_mono_ms());
		pthread_mutex_unlock(&f->mu);
		poll(p, (nfds_t)n, ms);
		pthread_mutex_lock(&f->mu);
		react(f, p);
		pthread_mutex_unlock(&f->mu);
	}
	pthread_mutex_unlock(&f->mu);
	return NULL;
}

/* --- the test's side --- */

struct fake *fake_open_profile(const char *profile, int nodes, int partitions)
{
	struct fake *f;

	if (profile && !fake_profile(profile))
		return NULL;
	f = calloc(1, sizeof *f);
	if (!f || nodes > NODES_MAX || partitions > PARTITIONS_MAX)
		fake_die("too large");
	f->profile = fake_profile(profile);
	f->nodes = f->isr_before = f->isr_after = nodes;
	f->partitions = partitions;
	f->next_producer_id = 1000;
	f->expiry_ms = f->profile->expiry_ms;
	f->check_ms = EXPIRY_CHECK_MS;
	f->next_check_ms = fake_now(f) + f->check_ms;
	pthread_mutex_init(&f->mu, NULL);
	memset(f->last_version, -1, sizeof f->last_version);
	for (int i = 0; i < CONNS_MAX; i++)
		f->conns[i].fd = -1;
	for (int i = 0; i < nodes; i++)
		find_port(f, i);
	for (int i = 0; i < partitions; i++)
		f->leader[i] = i % nodes;
	snprintf(f->address, sizeof f->address, "127.0.0.1:%d", f->port[0]);
	if (pipe2(f->wake, O_NONBLOCK | O_CLOEXEC) < 0 || pthread_create(&f->thread, NULL, run, f))
		fake_die("start");
	return f;
}

struct fake *fake_open(int nodes, int partitions)
{
	return fake_open_profile(NULL, nodes, partitions);
}

void fake_close(struct fake *f)
{
	pthread_mutex_lock(&f->mu);
	f->stop = true;
	pthread_mutex_unlock(&f->mu);
	fake_poke(f);
	pthread_join(f->thread, NULL);
	for (int i = 0; i < CONNS_MAX; i++)
		drop(&f->conns[i]);
	for (int i = 0; i < f->nodes; i++)
		close(f->listen[i]);
	for (int t = 0; t < f->topic_count; t++) {
		for (int i = 0; i < PARTITIONS_MAX; i++)
			fake_log_clear(&f->topics[t]->logs[i]);
		free(f->topics[t]);
	}
	fake_log_clear(&f->buried);
	close(f->wake[0]);
	close(f->wake[1]);
	pthread_mutex_destroy(&f->mu);
	free(f);
}

const char *fake_address(struct fake *f)
{
	return f->address;
}

int fake_port(struct fake *f, int node)
{
	return f->port[node];
}

static void cut(struct fake *f, int node)
{
	if (f->down[node])
		return;
	f->down[node] = true;
	/* It ends listening and keeps the port: another test's broker there would be taken for this one. */
	keep_port(f->listen[node], true);
	shutdown(f->listen[node], SHUT_RDWR);
	for (int i = 0; i < CONNS_MAX; i++)
		if (f->conns[i].fd >= 0 && f->conns[i].node == node)
			drop(&f->conns[i]);
}

void fake_down(struct fake *f, int node)
{
	LOCKED(f, cut(f, node));
}

static void listen_again(struct fake *f, int node)
{
	if (!f->down[node])
		return;
	keep_port(f->listen[node], false);
	if (listen(f->listen[node], 64) < 0)
		fake_die("listen");
	f->down[node] = false;
}

void fake_up(struct fake *f, int node)
{
	LOCKED(f, listen_again(f, node));
}

void fake_lead(struct fake *f, int partition, int node)
{
	LOCKED(f, f->leader[partition] = node; f->leader_epoch[partition]++);
}

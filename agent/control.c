/* control.c - see control.h. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/control.h"
#include "agent/listener.h"

#define CONNECTIONS_MAX 16
#define QUESTION_MAX    (PATH_MAX + 64)	/* a path and some words */
#define ANSWER_MAX      (64u << 20)
#define CONNECTION_MS   10000

struct connection {
	struct loop_fd    fd;		/* first: the callback's way back */
	struct loop_timer timer;
	struct control   *control;
	char              question[QUESTION_MAX];
	size_t            question_len, sent;
	struct buf        answer;
};

struct control {
	int spare;			/* a descriptor for when there is none left */
	struct loop_fd     listener;
	struct loop       *loop;
	control_fn        *fn;
	void              *arg;
	struct sockaddr_un addr;
	struct connection *connections[CONNECTIONS_MAX];
};

static void connection_close(struct connection *k)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (k->control->connections[i] == k)
			k->control->connections[i] = NULL;
	timer_cancel(k->control->loop, &k->timer);
	int fd = k->fd.fd;
	loop_fd_del(&k->fd);
	close(fd);
	buf_release(&k->answer);
	mem_free(k);
}

static void on_timeout(struct loop_timer *t)
{
	connection_close(container_of(t, struct connection, timer));
}

/* Sends what is left of the answer; closes behind its end. */
static void connection_write(struct connection *k)
{
	while (k->sent < k->answer.len) {
		ssize_t n = send(k->fd.fd, k->answer.data + k->sent, k->answer.len - k->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_fd_mod(&k->fd, EPOLLOUT);
			return;
		}
		if (n < 0)
			break;
		k->sent += (size_t)n;
	}
	connection_close(k);
}

static void on_connection(struct loop_fd *f, uint32_t events)
{
	struct connection *k = container_of(f, struct connection, fd);
	char *end;
	ssize_t n;

	if (k->answer.data || (events & EPOLLOUT)) {
		connection_write(k);
		return;
	}
	n = recv(f->fd, k->question + k->question_len, sizeof k->question - 1 - k->question_len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		connection_close(k);
		return;
	}
	k->question_len += (size_t)n;
	k->question[k->question_len] = '\0';
	end = strchr(k->question, '\n');
	if (!end && k->question_len < sizeof k->question - 1)
		return;
	if (end)
		*end = '\0';
	k->control->fn(k->control->arg, k->question, &k->answer);
	connection_write(k);
}

static void on_listener(struct loop_fd *f, uint32_t events)
{
	struct control *c = container_of(f, struct control, listener);
	int fd = listener_accept(f->fd, &c->spare);
	struct connection *k;
	size_t slot = 0;

	(void)events;
	if (fd < 0)
		return;
	if (!listener_trusts(fd, false)) {
		close(fd);
		return;
	}
	while (slot < CONNECTIONS_MAX && c->connections[slot])
		slot++;
	k = slot < CONNECTIONS_MAX ? mem_new(struct connection) : NULL;
	if (!k || loop_fd_add(c->loop, &k->fd, fd, EPOLLIN, on_connection) < 0) {
		close(fd);
		mem_free(k);
		return;
	}
	k->control = c;
	c->connections[slot] = k;
	buf_init(&k->answer, ANSWER_MAX);
	timer_set(c->loop, &k->timer, c->loop->now_ms + CONNECTION_MS, on_timeout);
}

int control_open(struct loop *loop, const char *path, control_fn *fn, void *arg, struct control **ret_c, struct err *ret_err)
{
	struct control *c = mem_new(struct control);
	int fd = -1, rc;

	if (!c)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	*c = (struct control){ .loop = loop, .fn = fn, .arg = arg, .spare = listener_spare() };
	rc = listener_address(&c->addr, path, "control", ret_err);
	if (rc < 0)
		goto fail;
	fd = rc = listener_unix(&c->addr, 0600, "control", ret_err);
	if (rc < 0)
		goto fail;
	rc = loop_fd_add(loop, &c->listener, fd, EPOLLIN, on_listener);
	if (rc < 0) {
		err_set(ret_err, rc, "control: cannot watch %s: %s", path, err_text(rc));
		goto fail;
	}
	*ret_c = c;
	return 0;
fail:
	if (fd >= 0)
		close(fd);
	if (c->spare >= 0)
		close(c->spare);
	mem_free(c);
	return rc;
}

void control_close(struct control *c)
{
	int fd;

	if (!c)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (c->connections[i])
			connection_close(c->connections[i]);
	fd = c->listener.fd;
	loop_fd_del(&c->listener);
	close(fd);
	if (c->spare >= 0)
		close(c->spare);
	unlink(c->addr.sun_path);
	mem_free(c);
}

/* --- the asking end; blocking --- */

static int read_answer(int fd, struct buf *out)
{
	char piece[16384];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof piece, 0)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (buf_put(out, piece, (size_t)n) < 0)
			return ERR_NOMEM;
	}
	return out->len ? 0 : ERR_IO;
}

int control_ask(const char *path, const char *question, struct buf *out, struct err *ret_err)
{
	struct timeval limit = { .tv_sec = 30 };
	struct sockaddr_un a;
	struct buf line;
	int fd, rc = listener_address(&a, path, "control", ret_err);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		rc = errno == ENOENT || errno == ECONNREFUSED ? ERR_NOT_FOUND : -errno;
		err_set(ret_err, rc, "cannot reach an agent at %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	buf_init(&line, QUESTION_MAX);
	buf_printf(&line, "%s\n", question);
	if (line.failed || send(fd, line.data, line.len, MSG_NOSIGNAL) < 0)
		rc = err_set(ret_err, ERR_IO, "cannot ask the agent at %s", path);
	else if ((rc = read_answer(fd, out)) < 0)
		rc = err_set(ret_err, ERR_UNAVAILABLE, "the agent at %s did not answer: %s", path, err_text(rc));
	buf_release(&line);
	close(fd);
	return rc;
}

/* intake_syslog.c - `listen`: where syslog comes in, and datagrams, each of which is a message.
 *
 * What UDP loses while its buffer is full the kernel counts (SO_MEMINFO): it is looked at once a second and entered in the losses.
 * On a unix socket the senders wait instead. At the agent's end what has arrived is read, up to LAST_BYTES.
 *
 * A unix socket's path: one that nobody listens on any more is removed, as a kill -9 leaves it; anything else there is an error.
 * Everybody may write to it (mode 0666), as to the /dev/log of others: who is to be kept out is so by its directory. Whoever may
 * write that could put something else in its place meanwhile: only a socket that is ours gets the mode, found without links.
 * Threads: main opens and closes, intake does the rest.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/intake/intake_inside.h"
#include "agent/intake/syslog.h"

#define DATAGRAM_MAX 65536		/* UDP's is a little less; of a unix socket the rest is lost, and counted */
#define RCVBUF       (4 << 20)
#define TURN         64			/* datagrams */
#define LAST_BYTES   (2 * RCVBUF)	/* what the kernel may hold of them */

struct datagrams {
	struct intake_input in;
	struct loop_fd fd;
	int      sock;
	uint8_t *buf;			/* the datagram that is not taken yet: at..n */
	size_t   n, at;
	size_t   at_the_end;		/* bytes read since the end began */
	size_t   behind;		/* bytes of it that are no message's: framing */
	bool     long_;
	uint32_t drops;			/* that are in the losses */
	struct { dev_t dev; ino_t inode; } bound;	/* of a unix socket's path; inode 0: none */
};

int intake_take_syslog(struct intake_input *in, const uint8_t *p, size_t n, size_t span)
{
	struct intake_message m = { .value = p, .len = n, .span = span };
	json_t *fields = NULL;
	struct syslog s;
	int rc;

	if (in->recipe) {		/* else nobody looks at them */
		syslog_parse(p, n, clock_wall_ms() / 1000, &s);
		m.fields = fields = syslog_fields(&s);
		m.has_time = s.has_time;
		m.time_ns = s.time_ns;
		if (!fields) {
			intake_dry(in, ERR_NOMEM);
			return ERR_NOMEM;
		}
	}
	rc = intake_take(in, &m);
	json_decref(fields);
	return rc;
}

/* --- addresses --- */

/* "ADDRESS:PORT", "[ADDRESS]:PORT". */
static int look_up(struct intake_input *in, int type, struct addrinfo **ret, struct err *ret_err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = type, .ai_flags = AI_PASSIVE };
	char host[256];
	const char *text = strchr(in->conf->listen, ':') + 1, *colon = strrchr(text, ':');
	int n = colon ? (int)(colon - text) : -1, rc;

	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n < 0 || (size_t)n >= sizeof host)
		return err_set(ret_err, ERR_CONFIG, "input %s: listen: \"%s\" is no ADDRESS:PORT", in->conf->name,
			       in->conf->listen);
	snprintf(host, sizeof host, "%.*s", n, text);
	beat_into("name lookup");
	rc = getaddrinfo(n && strcmp(host, "*") != 0 ? host : NULL, colon + 1, &hints, ret);
	beat_out();
	return rc ? err_set(ret_err, ERR_CONFIG, "input %s: listen: %s: %s", in->conf->name, in->conf->listen,
			    gai_strerror(rc)) : 0;
}

static int refused(struct intake_input *in, int rc, struct err *ret_err)
{
	return err_set(ret_err, rc, "input %s: cannot listen on %s: %s%s", in->conf->name, in->conf->listen, err_text(rc),
		       rc == -EACCES && in->conf->listen[0] != '/' ? " (ports below 1024 need the capability "
		       "CAP_NET_BIND_SERVICE: the drop-in syslog-514.conf of the unit)" : "");
}

/* Port 0 means any: status says which it became. */
static void show_bound(struct intake_input *in, int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof a;
	char host[64], port[16], *shown;

	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0 ||
	    getnameinfo((struct sockaddr *)&a, n, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	shown = mem_printf(a.ss_family == AF_INET6 ? "%.3s:[%s]:%s" : "%.3s:%s:%s", in->conf->listen, host, port);
	if (!shown)
		return;
	mem_free(in->shown);
	in->shown = shown;
}

int intake_bind(struct intake_input *in, int type, struct err *ret_err)
{
	struct addrinfo *a;
	int one = 1, rc = look_up(in, type, &a, ret_err), fd;

	if (rc < 0)
		return rc;
	fd = socket(a->ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -errno : 0;
	if (rc == 0 && type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (rc == 0 && bind(fd, a->ai_addr, a->ai_addrlen) < 0)
		rc = -errno;
	freeaddrinfo(a);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return refused(in, rc, ret_err);
	}
	show_bound(in, fd);
	return fd;
}

/* Removes what a process that is gone has left. */
static int clear_path(const struct sockaddr_un *a)
{
	struct stat st;
	int fd, rc;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)a, sizeof *a) == 0 ? -EADDRINUSE : -errno;
	close(fd);
	if (rc != -ECONNREFUSED)	/* also a stream socket's: it is not ours */
		return rc == -EPROTOTYPE ? -EADDRINUSE : rc;
	return unlink(a->sun_path) < 0 ? -errno : 0;
}

/* Mode 0666 for the socket at this path, if it is the one that we have made. */
static int open_to_all(const char *path, struct stat *ret_st)
{
	char name[40];
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	if (fstat(fd, ret_st) < 0)
		rc = -errno;
	else if (!S_ISSOCK(ret_st->st_mode) || ret_st->st_uid != geteuid() || ret_st->st_nlink != 1)
		rc = -EEXIST;
	else
		rc = chmod(name, 0666) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int bind_unix(struct datagrams *d, struct err *ret_err)
{
	const char *path = d->in.conf->listen + strlen("unix:");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct stat st;
	int fd, rc;

	if (!*path || strlen(path) >= sizeof a.sun_path)
		return err_set(ret_err, ERR_CONFIG, "input %s: listen: a unix socket's path has 1 to %zu bytes", d->in.conf->name,
			       sizeof a.sun_path - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	rc = clear_path(&a);
	if (rc < 0)
		return refused(&d->in, rc, ret_err);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : open_to_all(path, &st);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return refused(&d->in, rc, ret_err);
	}
	d->bound.dev = st.st_dev;
	d->bound.inode = st.st_ino;
	return fd;
}

static void enlarge(const struct intake_input *in, int fd)
{
	int want = RCVBUF, got = 0;
	socklen_t n = sizeof got;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &want, sizeof want) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &want, sizeof want);
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &n) == 0 && got / 2 < RCVBUF)
		log_info("the receive buffer is smaller than wanted: net.core.rmem_max bounds it", KS("listen", in->shown),
			 KI("bytes", got / 2), KI("wanted", RCVBUF));
}

static int open_datagrams(struct intake_input *in, struct err *ret_err)
{
	struct datagrams *d = (struct datagrams *)in;
	bool local = !strncmp(in->conf->listen, "unix:", 5);

	d->fd.fd = -1;
	d->sock = -1;
	if (!local && strncmp(in->conf->listen, "udp:", 4) != 0)
		return err_set(ret_err, ERR_CONFIG, "input %s: listen: \"%s\" is none of udp:, tcp:, unix:", in->conf->name,
			       in->conf->listen);
	d->buf = mem_alloc(DATAGRAM_MAX);
	if (!d->buf)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	if (in->heir)
		return 0;
	d->sock = local ? bind_unix(d, ret_err) : intake_bind(in, SOCK_DGRAM, ret_err);
	if (d->sock < 0) {
		int rc = d->sock;

		d->sock = -1;
		return rc;
	}
	enlarge(in, d->sock);
	return 0;
}

/* --- datagrams --- */

static void on_event(struct loop_fd *fd, uint32_t events)
{
	(void)events;
	intake_ready(&container_of(fd, struct datagrams, fd)->in);
}

static int start(struct intake_input *in)
{
	struct datagrams *d = (struct datagrams *)in;

	return loop_fd_add(&in->owner->loop, &d->fd, d->sock, EPOLLIN, on_event);
}

/* The next one into the buffer. False: there is none. */
static bool receive(struct datagrams *d)
{
	ssize_t n = recv(d->sock, d->buf, DATAGRAM_MAX, MSG_TRUNC);
	size_t got;

	if (n < 0)
		return errno == EINTR;
	got = (size_t)n < DATAGRAM_MAX ? (size_t)n : DATAGRAM_MAX;
	if ((size_t)n > got)
		intake_lost(&d->in, SPOOL_LOSS_LONG_LINE, 0, (size_t)n - got);
	d->at_the_end += d->in.last ? got : 0;
	d->at = 0;
	d->n = got;
	while (d->n && (d->buf[d->n - 1] == '\n' || d->buf[d->n - 1] == 0))	/* some senders end it like a line */
		d->n--;
	d->behind = got - d->n;
	return true;
}

/* What is longer than max_line is split, truncated or skipped. */
static bool take_datagram(struct datagrams *d)
{
	struct intake_input *in = &d->in;
	size_t max = (size_t)in->conf->max_line;

	while (d->at < d->n) {
		size_t n = d->n - d->at, piece = n < max ? n : max;

		if (in->conf->long_lines != CONF_LONG_SPLIT && (d->at || (n > max && in->conf->long_lines == CONF_LONG_SKIP))) {
			intake_lost(in, SPOOL_LOSS_LONG_LINE, !d->at, n);
			break;
		}
		if (intake_take_syslog(in, d->buf + d->at, piece, piece) < 0)
			return false;
		d->at += piece;
	}
	atomic_fetch_add(&in->read, (int64_t)d->behind);
	d->n = d->at = d->behind = 0;
	return true;
}

static bool turn(struct intake_input *in)
{
	struct datagrams *d = (struct datagrams *)in;

	for (int k = 0; k < TURN; k++) {
		if (!take_datagram(d))
			return false;
		if (d->at_the_end >= LAST_BYTES || !receive(d)) {
			in->done = in->last;
			return false;
		}
	}
	return true;
}

static void pause_datagrams(struct intake_input *in, bool on)
{
	struct datagrams *d = (struct datagrams *)in;

	if (on)
		loop_fd_del(&d->fd);
	else if (d->fd.fd < 0 && !in->done)
		(void)loop_fd_add(&in->owner->loop, &d->fd, d->sock, EPOLLIN, on_event);
}

static void count_drops(struct intake_input *in)
{
	struct datagrams *d = (struct datagrams *)in;
	uint32_t v[SK_MEMINFO_VARS] = { 0 }, n;
	socklen_t len = sizeof v;

	if (d->sock < 0 || getsockopt(d->sock, SOL_SOCKET, SO_MEMINFO, v, &len) < 0 || len <= SK_MEMINFO_DROPS * sizeof v[0])
		return;
	n = v[SK_MEMINFO_DROPS] - d->drops;
	d->drops = v[SK_MEMINFO_DROPS];
	if (!n)
		return;
	log_error("the kernel has dropped datagrams, they came faster than they could be read", KS("listen", in->shown),
		  KI("datagrams", n));
	intake_lost(in, SPOOL_LOSS_SOCKET, n, 0);
}

/* The datagram that waits is a message whatever it becomes. */
static bool take_over(struct intake_input *in, struct intake_input *was, bool settled)
{
	struct datagrams *d = (struct datagrams *)in, *old = (struct datagrams *)was;
	uint8_t *buf = d->buf;

	if (!settled && old->at)
		return false;		/* a part of it is out: it is split or cut as before */
	loop_fd_del(&old->fd);
	intake_show_as(in, was);
	d->sock = old->sock;
	d->bound = old->bound;
	d->drops = old->drops;
	d->buf = old->buf;
	d->n = old->n;
	d->behind = old->behind;
	old->buf = buf;
	old->sock = -1;
	old->bound.inode = 0;
	old->n = old->behind = 0;
	return true;
}

static size_t left(struct intake_input *in)
{
	const struct datagrams *d = (const struct datagrams *)in;

	return d->n - d->at;
}

static void close_datagrams(struct intake_input *in)
{
	struct datagrams *d = (struct datagrams *)in;
	struct stat st;

	if (d->fd.loop)
		loop_fd_del(&d->fd);
	if (d->buf && d->sock >= 0)
		close(d->sock);
	if (d->bound.inode && lstat(in->conf->listen + strlen("unix:"), &st) == 0 && st.st_ino == d->bound.inode &&
	    st.st_dev == d->bound.dev)
		(void)unlink(in->conf->listen + strlen("unix:"));
	mem_free(d->buf);
}

const struct intake_kind intake_datagram = {
	.size = sizeof(struct datagrams), .open = open_datagrams, .start = start, .turn = turn, .pause = pause_datagrams,
	.tick = count_drops, .left = left, .close = close_datagrams, .take_over = take_over,
};

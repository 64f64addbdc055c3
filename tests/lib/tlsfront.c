/* tlsfront.c - one thread that carries bytes between TLS sockets and the fake broker's.
 *
 * Receive buffers are small and little is read in a turn, so that whoever writes finds the socket full; every few turns new
 * keys are asked for (TLS 1.3), so that who reads has to write. A side that ends takes the other with it, without a word.
 */
#define _GNU_SOURCE
#include "tests/lib/tlsfront.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "tests/lib/pki.h"

#define NODES_MAX 3
#define PAIRS_MAX 64
#define PIECE 3000
#define KEYS_EVERY 64

struct pipe_ { uint8_t bytes[PIECE]; size_t at, n; };
struct pair { SSL *ssl; int fd, up; struct pipe_ in, out; unsigned int turns; };

struct tlsfront {
	pthread_t thread;
	_Atomic bool stop;
	SSL_CTX *ctx;
	char *ca;
	int nodes, listen[NODES_MAX], port[NODES_MAX], to[NODES_MAX];
	struct pair pairs[PAIRS_MAX];
};

static void end(struct pair *p)
{
	SSL_free(p->ssl);
	close(p->fd);
	close(p->up);
	*p = (struct pair){ .fd = -1, .up = -1 };
}

static void begin(struct tlsfront *t, int node)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t->to[node]),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = accept4(t->listen[node], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), up;
	struct pair *p = t->pairs;

	while (p < t->pairs + PAIRS_MAX && p->fd >= 0)
		p++;
	up = fd >= 0 && p < t->pairs + PAIRS_MAX ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	if (up < 0 || connect(up, (struct sockaddr *)&a, sizeof a) < 0) {
		if (up >= 0)
			close(up);
		if (fd >= 0)
			close(fd);
		return;
	}
	fcntl(up, F_SETFL, O_NONBLOCK);
	*p = (struct pair){ .fd = fd, .up = up, .ssl = SSL_new(t->ctx) };
	ASSERT(p->ssl && SSL_set_fd(p->ssl, fd) == 1);
	SSL_set_accept_state(p->ssl);
}

/* False: this side has ended. */
static bool good(const struct pair *p, int rc)
{
	int e = rc > 0 ? SSL_ERROR_NONE : SSL_get_error(p->ssl, rc);

	ERR_clear_error();
	return e == SSL_ERROR_NONE || e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

static bool from_client(struct pair *p)
{
	int n;
	ssize_t m;

	if (!p->in.n) {
		n = SSL_read(p->ssl, p->in.bytes, PIECE);
		if (n <= 0)
			return good(p, n);
		p->in.n = (size_t)n;
		p->in.at = 0;
		if (SSL_version(p->ssl) == TLS1_3_VERSION && ++p->turns % KEYS_EVERY == 0)
			SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED);
	}
	m = send(p->up, p->in.bytes + p->in.at, p->in.n, MSG_NOSIGNAL);
	if (m < 0)
		return errno == EAGAIN;
	p->in.at += (size_t)m;
	p->in.n -= (size_t)m;
	return true;
}

static bool from_broker(struct pair *p)
{
	int n;
	ssize_t m;

	if (!p->out.n) {
		m = recv(p->up, p->out.bytes, PIECE, 0);
		if (m <= 0)
			return m < 0 && errno == EAGAIN;
		p->out.n = (size_t)m;
	}
	n = SSL_write(p->ssl, p->out.bytes, (int)p->out.n);
	if (n > 0)
		p->out.n = 0;
	return good(p, n);
}

static void watch(struct tlsfront *t, struct pollfd *fds)
{
	for (int i = 0; i < t->nodes; i++)
		fds[i] = (struct pollfd){ .fd = t->listen[i], .events = POLLIN };
	for (int i = 0; i < PAIRS_MAX; i++) {
		const struct pair *p = &t->pairs[i];

		fds[t->nodes + 2 * i] = (struct pollfd){ .fd = p->fd };
		fds[t->nodes + 2 * i + 1] = (struct pollfd){ .fd = p->up };
		if (p->fd < 0)
			continue;
		fds[t->nodes + 2 * i].events = (short)((p->in.n ? 0 : POLLIN) | (p->out.n ? POLLOUT : 0));
		fds[t->nodes + 2 * i + 1].events = (short)((p->out.n ? 0 : POLLIN) | (p->in.n ? POLLOUT : 0));
	}
}

static void *carry(void *arg)
{
	struct tlsfront *t = arg;
	struct pollfd fds[NODES_MAX + 2 * PAIRS_MAX];

	while (!t->stop) {
		watch(t, fds);
		poll(fds, (nfds_t)(t->nodes + 2 * PAIRS_MAX), 5);
		for (int i = 0; i < t->nodes; i++)
			if (fds[i].revents)
				begin(t, i);
		for (int i = 0; i < PAIRS_MAX; i++)
			if (t->pairs[i].fd >= 0 && (!from_client(&t->pairs[i]) || !from_broker(&t->pairs[i])))
				end(&t->pairs[i]);
	}
	return NULL;
}

static void listen_for(struct tlsfront *t, int node)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	int small = 4096;

	t->listen[node] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(t->listen[node], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	ASSERT(bind(t->listen[node], (struct sockaddr *)&a, n) == 0 && listen(t->listen[node], 64) == 0);
	getsockname(t->listen[node], (struct sockaddr *)&a, &n);
	t->port[node] = ntohs(a.sin_port);
}

struct tlsfront *tlsfront_open(struct fake *f, int nodes)
{
	struct tlsfront *t = calloc(1, sizeof *t);
	struct pki_cert ca = pki_ca("front"), leaf = pki_leaf(&ca, "broker", "IP:127.0.0.1", -3600, 3600);

	t->ctx = SSL_CTX_new(TLS_server_method());
	ASSERT(SSL_CTX_use_certificate(t->ctx, leaf.x) == 1 && SSL_CTX_use_PrivateKey(t->ctx, leaf.key) == 1);
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	t->ca = pki_pem(&ca);
	pki_free(&ca);
	pki_free(&leaf);
	t->nodes = nodes;
	for (int i = 0; i < PAIRS_MAX; i++)
		t->pairs[i].fd = t->pairs[i].up = -1;
	for (int i = 0; i < nodes; i++) {
		listen_for(t, i);
		t->to[i] = fake_port(f, i);
		fake_advertise(f, i, t->port[i]);
	}
	ASSERT(pthread_create(&t->thread, NULL, carry, t) == 0);
	return t;
}

void tlsfront_close(struct tlsfront *t)
{
	t->stop = true;
	pthread_join(t->thread, NULL);
	for (int i = 0; i < PAIRS_MAX; i++)
		if (t->pairs[i].fd >= 0)
			end(&t->pairs[i]);
	for (int i = 0; i < t->nodes; i++)
		close(t->listen[i]);
	SSL_CTX_free(t->ctx);
	mem_free(t->ca);
	free(t);
}

int tlsfront_port(const struct tlsfront *t, int node)
{
	return t->port[node];
}

const char *tlsfront_ca(const struct tlsfront *t)
{
	return t->ca;
}

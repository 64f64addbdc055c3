/* http_listen.c - see http_listen.h. Nothing is looked up: whoever starts must not wait for a name server. */
#include "agent/web/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/listener.h"

#define BACKLOG 32

static int bad_address(const char *listen, struct err *ret_err)
{
	return err_set(ret_err, ERR_CONFIG, HTTP_KEY ": \"%s\" is no ADDRESS:PORT with an IP address (127.0.0.1:9845, "
		       "[::1]:9845) and no unix:/path", listen);
}

static bool read_port(const char *s, uint16_t *ret)
{
	size_t n = strspn(s, "0123456789");
	long v = n && n <= 5 && !s[n] ? strtol(s, NULL, 10) : -1;

	*ret = htons((uint16_t)v);
	return v >= 0 && v <= 65535;
}

/* The address and whether it is loopback; its length, 0: none. */
static socklen_t read_address(const char *listen, struct sockaddr_storage *ret, bool *ret_loopback)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	const char *colon = strrchr(listen, ':');
	char host[64];
	size_t n = colon ? (size_t)(colon - listen) : 0;
	bool brackets = n > 2 && listen[0] == '[' && colon[-1] == ']';

	if (!n || n - 2 * brackets >= sizeof host)
		return 0;
	memcpy(host, listen + brackets, n - 2 * brackets);
	host[n - 2 * brackets] = '\0';
	*ret = (struct sockaddr_storage){ 0 };
	if (brackets && inet_pton(AF_INET6, host, &six->sin6_addr) == 1 && read_port(colon + 1, &six->sin6_port)) {
		six->sin6_family = AF_INET6;
		*ret_loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
		return sizeof *six;
	}
	if (!brackets && inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &four->sin_addr) == 1 &&
	    read_port(colon + 1, &four->sin_port)) {
		four->sin_family = AF_INET;
		*ret_loopback = ntohl(four->sin_addr.s_addr) >> 24 == 127;
		return sizeof *four;
	}
	return 0;
}

static int open_tcp(const char *text, bool *ret_loopback, struct err *ret_err)
{
	struct sockaddr_storage a;
	socklen_t n = read_address(text, &a, ret_loopback);
	int fd, rc, on = 1;

	if (!n)
		return bad_address(text, ret_err);
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	rc = -errno;
	if (fd >= 0)
		close(fd);
	if (rc == -EADDRINUSE)
		return err_set(ret_err, ERR_UNAVAILABLE, HTTP_KEY ": another process listens on %s; choose another port, "
			"or \"off\"", text);
	if (rc == -EADDRNOTAVAIL)
		return err_set(ret_err, ERR_UNAVAILABLE, HTTP_KEY ": %s is no address of this machine", text);
	return err_set(ret_err, rc, HTTP_KEY ": cannot listen on %s: %s", text, err_text(rc));
}

static int open_unix(const char *listen, struct sockaddr_un *addr, struct err *ret_err)
{
	const char *path = listen + strlen("unix:");
	int rc = path[0] == '/' ? listener_address(addr, path, HTTP_KEY, ret_err) : bad_address(listen, ret_err);

	return rc < 0 ? rc : listener_unix(addr, 0660, HTTP_KEY, ret_err);
}

int http_listen(const char *listen, struct sockaddr_un *ret_unix, bool *ret_loopback, struct err *ret_err)
{
	int fd;

	*ret_loopback = false;
	*ret_unix = (struct sockaddr_un){ 0 };
	if (strncmp(listen, "unix:", 5) != 0)
		return open_tcp(listen, ret_loopback, ret_err);
	fd = open_unix(listen, ret_unix, ret_err);
	if (fd < 0)
		ret_unix->sun_path[0] = '\0';
	return fd;
}

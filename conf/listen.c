/* listen.c - where something is listened to (see check.h): syslog at udp:ADDRESS:PORT, tcp:ADDRESS:PORT or unix:/path, the metrics
 *	at ADDRESS:PORT or unix:/path.
 *
 * Why numbers only: a name would be looked up once at the start, and say nothing of which of its addresses is meant.
 * Threads: any; no state.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "conf/check.h"
#include "conf/conf.h"

/* What a key takes. */
struct way {
	const char *words;		/* its forms, and an example of each */
	const char *port;		/* an example of one */
};
static const struct way syslog = {
	"udp:ADDRESS:PORT, tcp:ADDRESS:PORT or unix:/path (such as udp:0.0.0.0:514 or tcp:[::1]:514)", "514",
};
static const struct way serve = {
	"off, ADDRESS:PORT or unix:/path (such as 127.0.0.1:9845 or [::1]:9845)", "9845",
};

static int wrong(const struct way *w, const char *text, struct err *ret_err)
{
	return err_set(ret_err, ERR_CONFIG, "\"listen\" must be %s, not \"%.120s\"", w->words, text);
}

static int check_path(const char *path, struct err *ret_err)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (*path != '/')
		return err_set(ret_err, ERR_CONFIG, "\"listen\": the path of a socket begins with \"/\"");
	if (strlen(path) > most)
		return err_set(ret_err, ERR_CONFIG, "\"listen\": a socket's path has at most %zu bytes, this one has %zu", most,
			       strlen(path));
	return 0;
}

static bool is_port(const char *s)
{
	size_t n = strspn(s, "0123456789");
	long port = n && n <= 5 && !s[n] ? strtol(s, NULL, 10) : -1;

	return port >= 0 && port <= 65535;		/* 0: any that is free; `status` shows it */
}

/* "[::1]" or "127.0.0.1", of n bytes; `port` is what follows, with its colon. */
static int check_host(const struct way *w, const char *text, const char *address, size_t n, struct err *ret_err)
{
	struct in6_addr any;
	char host[64];

	if (n >= sizeof host)
		return wrong(w, text, ret_err);
	memcpy(host, address, n);
	host[n] = 0;
	if (*host == '[' && host[n - 1] == ']') {
		host[n - 1] = 0;
		if (inet_pton(AF_INET6, host + 1, &any) == 1)
			return 0;
		host[n - 1] = ']';
	} else if (strchr(host, ':')) {
		return err_set(ret_err, ERR_CONFIG, "\"listen\": an IPv6 address stands in brackets (did you mean "
			       "\"%.*s[%s]%s\"?)", (int)(address - text), text, host, address + n);
	} else if (inet_pton(AF_INET, host, &any) == 1) {
		return 0;
	}
	return err_set(ret_err, ERR_CONFIG, "\"listen\": \"%s\" is not an address in numbers, such as 127.0.0.1 or [::1]", host);
}

static int check_address(const struct way *w, const char *text, const char *address, struct err *ret_err)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;

	if (!colon || strchr(colon, ']'))
		return err_set(ret_err, ERR_CONFIG, "\"listen\": \"%.120s\" has no port (did you mean \"%.120s:%s\"?)", text,
			       text, w->port);
	if (!is_port(colon + 1))
		return err_set(ret_err, ERR_CONFIG, "\"listen\": a port is a number from 0 to 65535, not \"%.40s\"", colon + 1);
	if (!n)
		return err_set(ret_err, ERR_CONFIG, "\"listen\": \"%.120s\" has no address; 0.0.0.0 and [::] are all of this "
			       "machine", text);
	return check_host(w, text, address, n, ret_err);
}

int check_listen(const char *text, struct err *ret_err)
{
	if (!strncmp(text, "unix:", 5))
		return check_path(text + 5, ret_err);
	if (!strncmp(text, "udp:", 4) || !strncmp(text, "tcp:", 4))
		return check_address(&syslog, text, text + 4, ret_err);
	return wrong(&syslog, text, ret_err);
}

/* A port alone would be ambiguous: other programs mean the whole world by it. */
int check_serve(const char *text, struct err *ret_err)
{
	const char *port = text + (*text == ':');

	if (!strcmp(text, "off"))
		return 0;
	if (!strncmp(text, "unix:", 5))
		return check_path(text + 5, ret_err);
	if (*port && is_port(port))
		return err_set(ret_err, ERR_CONFIG, "\"listen\": \"%.20s\" has no address (did you mean \"127.0.0.1:%.8s\"?); "
			       "0.0.0.0 and [::] are all of this machine", text, port);
	if ((!strchr(text, ':') && !strchr(text, '.')) || !strncmp(text, "tcp:", 4) || !strncmp(text, "http:", 5))
		return wrong(&serve, text, ret_err);
	return check_address(&serve, text, text, ret_err);
}

bool conf_metrics_public(const struct conf *c)
{
	const char *at = c->metrics_listen;

	return at && strncmp(at, "unix:", 5) && strncmp(at, "127.", 4) && strncmp(at, "[::1]:", 6);
}

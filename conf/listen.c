/* listen.c - where syslog is listened to: udp:ADDRESS:PORT, tcp:ADDRESS:PORT, unix:/path (see check.h).
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

static int wrong(const char *text, struct err *ret_err)
{
	return err_set(ret_err, ERR_CONFIG, "\"listen\" must be udp:ADDRESS:PORT, tcp:ADDRESS:PORT or unix:/path (such as "
		       "udp:0.0.0.0:514 or tcp:[::1]:514), not \"%.120s\"", text);
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

static int check_address(const char *text, const char *address, struct err *ret_err)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;
	struct in6_addr any;
	char host[64];

	if (!colon || strchr(colon, ']'))
		return err_set(ret_err, ERR_CONFIG, "\"listen\": \"%.120s\" has no port (did you mean \"%.120s:514\"?)", text,
			       text);
	if (!is_port(colon + 1))
		return err_set(ret_err, ERR_CONFIG, "\"listen\": a port is a number from 0 to 65535, not \"%.40s\"", colon + 1);
	if (!n)
		return err_set(ret_err, ERR_CONFIG, "\"listen\": \"%.120s\" has no address; 0.0.0.0 and [::] are all of this "
			       "machine", text);
	if (n >= sizeof host)
		return wrong(text, ret_err);
	memcpy(host, address, n);
	host[n] = 0;
	if (*host == '[' && host[n - 1] == ']') {
		host[n - 1] = 0;
		if (inet_pton(AF_INET6, host + 1, &any) == 1)
			return 0;
		host[n - 1] = ']';
	} else if (strchr(host, ':')) {
		return err_set(ret_err, ERR_CONFIG, "\"listen\": an IPv6 address stands in brackets (did you mean \"%.4s[%s]%s\"?)",
			       text, host, colon);
	} else if (inet_pton(AF_INET, host, &any) == 1) {
		return 0;
	}
	return err_set(ret_err, ERR_CONFIG, "\"listen\": \"%s\" is not an address in numbers, such as 127.0.0.1 or [::1]", host);
}

int check_listen(const char *text, struct err *ret_err)
{
	if (!strncmp(text, "unix:", 5))
		return check_path(text + 5, ret_err);
	if (!strncmp(text, "udp:", 4) || !strncmp(text, "tcp:", 4))
		return check_address(text, text + 4, ret_err);
	return wrong(text, ret_err);
}

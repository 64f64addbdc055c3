/* http_parse.c - see http_parse.h. Strict where leniency helps nobody but attackers: no folded lines, no bare LF or CR, no blank
 * before a colon, no body. What is wrong is said as soon as it can be seen, so that garbage does not hold a connection.
 *
 * Invariant: nothing is changed in the data before the whole head is there, so a head may come in any pieces.
 */
#include "agent/web/http_parse.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { MORE = 0, BAD_REQUEST = -400, NO_METHOD = -405, HAS_BODY = -413, TARGET_LONG = -414, HEAD_LONG = -431, NO_VERSION = -505 };

/* One head while it is read. */
struct head_lines {
	struct http_head *ret;
	bool old;			/* HTTP/1.0 */
	int  hosts;
};

static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Where the head ends (behind the empty line); MORE, or BAD_REQUEST for bytes that none may have. */
static int head_end(const char *data, size_t n, size_t from)
{
	size_t line = from;

	for (size_t i = from; i < n; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c == '\r') {
			if (i + 1 < n && data[i + 1] != '\n')
				return BAD_REQUEST;
		} else if (c == '\n') {
			if (i == from || data[i - 1] != '\r')
				return BAD_REQUEST;
			if (i - line == 1)
				return (int)(i + 1);
			line = i + 1;
		} else if ((c < ' ' && c != '\t') || c == 0x7f) {
			return BAD_REQUEST;
		}
	}
	return MORE;
}

/* --- the request line --- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* In place. */
static bool percent_decode(char *s)
{
	char *to = s;

	for (; *s; s++) {
		int c = (unsigned char)*s;

		if (c == '%') {
			if (hex(s[1]) < 0 || hex(s[2]) < 0)
				return false;
			c = hex(s[1]) * 16 + hex(s[2]);
			s += 2;
		}
		if (c < ' ' || c == 0x7f)
			return false;
		*to++ = (char)c;
	}
	*to = '\0';
	return true;
}

/* "/path?query", or "http://host/path?query" as proxies ask. */
static int read_target(char *target, struct http_head *ret)
{
	char *query;

	for (const char *p = target; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			return BAD_REQUEST;
	if (!strncasecmp(target, "http://", 7)) {
		target = strchr(target + 7, '/');
		if (!target)
			return BAD_REQUEST;
	}
	if (*target != '/')
		return BAD_REQUEST;
	target[strcspn(target, "#")] = '\0';
	query = strchr(target, '?');
	if (query)
		*query++ = '\0';
	ret->request.query = query ? query : "";
	ret->request.path = target;
	return percent_decode(target) ? 0 : BAD_REQUEST;
}

static int read_version(const char *v, bool *ret_old)
{
	if (strncmp(v, "HTTP/", 5) != 0 || strlen(v) != 8 || v[6] != '.' || hex(v[5]) < 0 || hex(v[7]) < 0)
		return BAD_REQUEST;
	if (v[5] != '1')
		return NO_VERSION;
	*ret_old = v[7] == '0';
	return 0;
}

static int read_request_line(char *line, struct head_lines *h)
{
	char *method = line, *target, *version;
	int rc;

	while (is_token(*line))
		line++;
	if (line == method || *line != ' ')
		return BAD_REQUEST;
	*line++ = '\0';
	target = line;
	version = strchr(target, ' ');
	if (!version)
		return BAD_REQUEST;
	*version++ = '\0';
	rc = read_version(version, &h->old);
	if (rc < 0)
		return rc;
	h->ret->is_head = !strcmp(method, "HEAD");
	if (!h->ret->is_head && strcmp(method, "GET") != 0)
		return NO_METHOD;
	h->ret->keep_alive = !h->old;
	return read_target(target, h->ret);
}

/* --- the lines below it --- */

/* Cuts the port off: name, name:port, [v6], [v6]:port. */
static int read_host(char *v, struct head_lines *h)
{
	char *port;

	if (h->hosts++)
		return BAD_REQUEST;
	if (*v == '[') {
		port = strchr(v, ']');
		if (!port)
			return BAD_REQUEST;
		*port++ = '\0';
		v++;
	} else {
		port = v + strcspn(v, ":");
	}
	if (*port && (*port != ':' || port[1 + strspn(port + 1, "0123456789")]))
		return BAD_REQUEST;
	*port = '\0';
	if (strpbrk(v, "/@ \t,"))
		return BAD_REQUEST;
	h->ret->host = v;
	return 0;
}

static int read_connection(char *v, struct head_lines *h)
{
	while (*v) {
		size_t n = strcspn(v, ", \t");

		if (n == 5 && !strncasecmp(v, "close", n))
			h->ret->keep_alive = false;
		v += n;
		v += strspn(v, ", \t");
	}
	return 0;
}

static int read_accept(char *v, struct head_lines *h)
{
	h->ret->request.accept = v;
	return 0;
}

static int read_length(char *v, struct head_lines *h)
{
	(void)h;
	if (!*v || v[strspn(v, "0123456789")])
		return BAD_REQUEST;
	return v[strspn(v, "0")] ? HAS_BODY : 0;
}

static int read_encoding(char *v, struct head_lines *h)
{
	(void)v;
	(void)h;
	return HAS_BODY;
}

static int read_header(char *line, struct head_lines *h)
{
	static const struct { const char *name; int (*read)(char *v, struct head_lines *h); } table[] = {
		{ "Host", read_host }, { "Connection", read_connection }, { "Accept", read_accept },
		{ "Content-Length", read_length }, { "Transfer-Encoding", read_encoding },
	};
	char *colon = line, *end;

	while (is_token(*colon))
		colon++;
	if (colon == line || *colon != ':')
		return BAD_REQUEST;
	*colon++ = '\0';
	colon += strspn(colon, " \t");
	for (end = colon + strlen(colon); end > colon && (end[-1] == ' ' || end[-1] == '\t'); )
		*--end = '\0';
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (!strcasecmp(line, table[i].name))
			return table[i].read(colon, h);
	return 0;
}

/* --- the whole --- */

/* The next line, which ends with CR LF; NULL: the empty one. */
static char *next_line(char **at, const char *head_end)
{
	char *line = *at, *end = memchr(line, '\r', (size_t)(head_end - line));

	*end = '\0';
	*at = end + 2;
	return end == line ? NULL : line;
}

static int read_lines(char *at, const char *end, struct head_lines *h)
{
	char *line = next_line(&at, end);
	int count = 0, rc = read_request_line(line, h);

	while (rc >= 0 && (line = next_line(&at, end)))
		rc = ++count > HTTP_HEADERS_MAX ? HEAD_LONG : read_header(line, h);
	if (rc >= 0 && !h->hosts && !h->old)
		return BAD_REQUEST;
	return rc;
}

int http_head_parse(char *data, size_t n, struct http_head *ret)
{
	struct head_lines h = { .ret = ret };
	size_t from = 0;
	int len, rc;

	*ret = (struct http_head){ .request = { "", "", "" } };
	while (from + 1 < n && data[from] == '\r' && data[from + 1] == '\n')	/* some clients end a body with one */
		from += 2;
	len = head_end(data, n, from);
	if (len == MORE && n >= HTTP_HEAD_MAX)
		return memchr(data + from, '\n', n - from) ? HEAD_LONG : TARGET_LONG;
	if (len <= 0)
		return len;
	if (len > HTTP_HEAD_MAX)
		return HEAD_LONG;
	rc = read_lines(data + from, data + len, &h);
	return rc < 0 ? rc : len;
}

bool http_host_is_local(const char *host)
{
	size_t n = strlen(host);
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1)
		return true;
	if (n && host[n - 1] == '.')
		n--;
	return n >= 9 && !strncasecmp(host + n - 9, "localhost", 9) && (n == 9 || host[n - 10] == '.');
}

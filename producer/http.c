/* http.c - URLs taken apart, and an HTTP/1.1 answer: status line, the few header fields that say where the body ends, body.
 *
 * Invariant: nothing is believed before all its bytes are there; data is changed only in the call that answers HTTP_DONE.
 */
#include "producer/http.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- URLs --- */

static bool is_loopback(const char *host)
{
	return !strcasecmp(host, "localhost") || !strcmp(host, "::1") ||
	       (!strncmp(host, "127.", 4) && !host[strspn(host, "0123456789.")]);
}

static int bad_url(struct err *ret_err, const char *what)
{
	return err_set(ret_err, ERR_CONFIG, "%s", what);
}

static bool good_port(const char *s, size_t n)
{
	long port = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' || i == 5)
			return false;
		port = port * 10 + (s[i] - '0');
	}
	return port > 0 && port <= UINT16_MAX;
}

/* HOST, HOST:PORT or [HOST]:PORT of n bytes. */
static int split_authority(const char *s, size_t n, struct http_url *u, struct err *ret_err)
{
	bool brackets = n && *s == '[';
	const char *host = s + brackets, *host_end = memchr(s, brackets ? ']' : ':', n), *port;
	size_t host_len;

	if (brackets && !host_end)
		return bad_url(ret_err, "the host has no closing bracket");
	if (!host_end)
		host_end = s + n;
	host_len = (size_t)(host_end - host);
	port = host_end + brackets;
	if (!host_len || host_len >= sizeof u->host)
		return bad_url(ret_err, "there is no host in it");
	memcpy(u->host, host, host_len);
	u->host[host_len] = 0;
	if (port == s + n) {
		snprintf(u->port, sizeof u->port, "%s", u->tls ? "443" : "80");
	} else {
		if (*port != ':' || !good_port(port + 1, (size_t)(s + n - port - 1)))
			return bad_url(ret_err, "its port is no port");
		snprintf(u->port, sizeof u->port, "%.*s", (int)(s + n - port - 1), port + 1);
	}
	snprintf(u->authority, sizeof u->authority, "%.*s", (int)n, s);
	return 0;
}

int http_url_parse(const char *url, struct http_url *ret, struct err *ret_err)
{
	struct http_url u = { .tls = !strncasecmp(url, "https://", 8) };
	const char *s = url + (u.tls ? 8 : 7);
	size_t n;
	int rc;

	if (!u.tls && strncasecmp(url, "http://", 7) != 0)
		return bad_url(ret_err, "it must begin with https://");
	for (const char *p = s; *p; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '#' || *p == '\\')
			return bad_url(ret_err, "it holds a character that no such URL has");
	n = strcspn(s, "/?");
	if (memchr(s, '@', n))
		return bad_url(ret_err, "names and passwords do not belong into it");
	rc = split_authority(s, n, &u, ret_err);
	if (rc < 0)
		return rc;
	if (!u.tls && !is_loopback(u.host))
		return bad_url(ret_err, "http:// is taken for loopback hosts alone, the secret would travel in clear; use "
				"https://");
	u.target = s + n;
	*ret = u;
	return 0;
}

/* --- answers --- */

struct head { int status; bool chunked; int64_t length; size_t size; };	/* length -1: until the end; size: of the head itself */

static bool is_field(const char *line, size_t n, const char *name, const char **ret_value, size_t *ret_n)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return false;
	line += len + 1;
	n -= len + 1;
	for (; n && (*line == ' ' || *line == '\t'); line++)
		n--;
	while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	*ret_value = line;
	*ret_n = n;
	return true;
}

static int64_t read_length(const char *s, size_t n)
{
	int64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' || v > INT32_MAX)
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return n ? v : -1;
}

static bool read_field(struct head *h, const char *line, size_t n)
{
	const char *v;
	size_t len;

	if (is_field(line, n, "Content-Length", &v, &len)) {
		int64_t length = read_length(v, len);

		/* Two that differ are how answers are smuggled. */
		if (length < 0 || (h->length >= 0 && h->length != length))
			return false;
		h->length = length;
	} else if (is_field(line, n, "Transfer-Encoding", &v, &len)) {
		if (len != 7 || strncasecmp(v, "chunked", 7) != 0)
			return false;
		h->chunked = true;
	}
	return memchr(line, 0, n) == NULL;
}

/* "HTTP/1.x NNN ..." */
static int read_status(const char *s, size_t n)
{
	if (n < 12 || memcmp(s, "HTTP/1.", 7) != 0 || s[8] != ' ' || (n > 12 && s[12] != ' '))
		return -1;
	for (int i = 9; i < 12; i++)
		if (s[i] < '0' || s[i] > '9')
			return -1;
	return (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
}

/* HTTP_DONE when the empty line is there. */
static int read_head(const char *data, size_t n, struct head *ret)
{
	struct head h = { .length = -1 };
	const char *p = data, *end = data + n;

	for (;;) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t len;

		if (!lf)
			return p == data && n >= 7 && memcmp(data, "HTTP/1.", 7) != 0 ? ERR_BAD_DATA : HTTP_MORE;
		len = (size_t)(lf - p);
		if (len && p[len - 1] == '\r')
			len--;
		if (p == data)
			h.status = read_status(p, len);
		else if (!len)
			break;
		else if (!read_field(&h, p, len))
			return ERR_BAD_DATA;
		if (h.status < 100)
			return ERR_BAD_DATA;
		p = lf + 1;
	}
	h.size = (size_t)((const char *)memchr(p, '\n', (size_t)(end - p)) + 1 - data);
	*ret = h;
	return HTTP_DONE;
}

/* "1a2b[;anything]": its value, -1 when it is none. */
static int64_t read_chunk_size(const char *s, size_t n)
{
	int64_t v = 0;
	size_t digits = 0;

	for (; digits < n; digits++) {
		char c = (char)(s[digits] | 0x20);
		int d = s[digits] >= '0' && s[digits] <= '9' ? s[digits] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (d < 0)
			break;
		if (v > INT32_MAX)
			return -1;
		v = v * 16 + d;
	}
	return digits && (digits == n || strchr("; \t\r", s[digits])) ? v : -1;
}

/* Walks the chunks; join: moves them together. The trailer behind the last one is not waited for. */
static int walk_chunks(char *data, size_t n, bool join, size_t *ret_len)
{
	char *p = data, *end = data + n;
	size_t len = 0;

	for (;;) {
		char *lf = memchr(p, '\n', (size_t)(end - p));
		int64_t size = lf ? read_chunk_size(p, (size_t)(lf - p)) : 0;

		if (!lf)
			return HTTP_MORE;
		if (size < 0)
			return ERR_BAD_DATA;
		if (size == 0) {
			*ret_len = len;
			return HTTP_DONE;
		}
		p = lf + 1;
		if (end - p < size + 2)
			return HTTP_MORE;
		if (join)
			memmove(data + len, p, (size_t)size);
		len += (size_t)size;
		p += size;
		if (*p == '\r')
			p++;
		if (*p++ != '\n')
			return ERR_BAD_DATA;
	}
}

int http_parse(char *data, size_t n, bool eof, struct http_response *ret)
{
	struct head h;
	size_t len = 0;
	int rc;

	for (;;) {
		rc = read_head(data, n, &h);
		if (rc != HTTP_DONE)
			return rc < 0 || !eof ? rc : ERR_BAD_DATA;
		data += h.size;
		n -= h.size;
		if (h.status >= 200)
			break;		/* 100 and the like announce another answer */
	}
	if (h.chunked) {
		rc = walk_chunks(data, n, false, &len);
	} else if (h.length >= 0) {
		len = (size_t)h.length;
		rc = n >= len ? HTTP_DONE : HTTP_MORE;
	} else {
		len = n;
		rc = eof ? HTTP_DONE : HTTP_MORE;
	}
	if (rc != HTTP_DONE)
		return rc < 0 || !eof ? rc : ERR_BAD_DATA;
	if (h.chunked)
		walk_chunks(data, n, true, &len);
	*ret = (struct http_response){ h.status, data, len };
	return HTTP_DONE;
}

/* token.c - one OAUTHBEARER token, out of a file or from a token endpoint.
 *
 * An endpoint is asked with the client's name and secret in the way of RFC 6749 2.3.1 (form-encoded, then HTTP Basic). Java's
 * client leaves the encoding out unless it is told otherwise, and some endpoints expect that: where the two differ and the
 * first is refused, the second is tried.
 *
 * Invariant: what holds a secret is wiped before it is given back; words never show one, not even when the endpoint says it.
 * Threads, failure: see token.h.
 * Source: RFC 6749 (4.4, 5.1, 5.2), RFC 7519 (exp), KIP-768.
 */
#include "producer/token.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/base64.h"
#include "producer/https.h"
#include "producer/oauthbearer.h"

#define TOKEN_BYTES_MAX (64 * 1024)
#define SECRET_MAX (16 * 1024)		/* bytes of a client's name and secret */
#define SECONDS_MAX 1e11		/* of times that make sense */

static int no_memory(struct err *ret_err)
{
	return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}

/* --- tokens --- */

static bool is_time(const json_t *v)
{
	return json_is_number(v) && json_number_value(v) > 0 && json_number_value(v) < SECONDS_MAX;
}

/* When a JWT ends by its own payload: HEADER.PAYLOAD.SIGNATURE. INT64_MAX: it is no JWT, or it does not say. */
static int64_t jwt_expiry(const char *token, size_t n)
{
	const char *end = token + n, *payload = memchr(token, '.', n), *dot;
	int64_t ms = INT64_MAX;
	char *text;
	int len;
	json_t *o;

	payload = payload ? payload + 1 : end;
	dot = memchr(payload, '.', (size_t)(end - payload));
	text = dot ? mem_alloc((size_t)(dot - payload) + 1) : NULL;
	if (!text)
		return INT64_MAX;
	len = base64_decode(BASE64_URL, payload, (size_t)(dot - payload), text, (size_t)(dot - payload));
	o = len > 0 ? json_loadb(text, (size_t)len, 0, NULL) : NULL;
	if (is_time(json_object_get(o, "exp")))
		ms = (int64_t)(json_number_value(json_object_get(o, "exp")) * 1000);
	json_decref(o);
	mem_free(text);
	return ms;
}

/* Takes the token without the blanks around it. */
static int put_token(const char *s, size_t n, struct buf *ret, const char *what, struct err *ret_err)
{
	for (; n && isspace((unsigned char)*s); s++)
		n--;
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	if (n > TOKEN_BYTES_MAX || !oauthbearer_token_good(s, n))
		return err_set(ret_err, ERR_BAD_DATA, "%s %s", what, n ? "holds no token" : "is empty");
	return buf_put(ret, s, n) < 0 ? no_memory(ret_err) : 0;
}

/* --- from a file --- */

/* -errno, ERR_TOO_LARGE, or the bytes read. A pipe or device could hold the reader for ever, so they are refused. */
static ssize_t read_file(const char *path, char *to, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n, rc = fd < 0 ? -errno : 0;
	struct stat st;
	size_t len = 0;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
		rc = -EINVAL;
	while (rc == 0 && (n = read(fd, to + len, cap - len)) != 0) {
		if (n > 0)
			len += (size_t)n;
		else if (errno != EINTR)
			rc = -errno;
		if (len == cap)
			rc = ERR_TOO_LARGE;
	}
	if (fd >= 0)
		close(fd);
	return rc < 0 ? rc : (ssize_t)len;
}

static int from_file(const char *path, struct buf *ret, struct err *ret_err)
{
	size_t cap = TOKEN_BYTES_MAX + 1024;
	char *text = mem_alloc(cap);
	ssize_t n = text ? read_file(path, text, cap) : ERR_NOMEM;
	char what[280];
	int rc;

	snprintf(what, sizeof what, "token file %.250s", path);
	if (n == ERR_NOMEM)
		rc = no_memory(ret_err);
	else if (n < 0)
		rc = err_set(ret_err, n == ERR_TOO_LARGE ? ERR_BAD_DATA : ERR_UNAVAILABLE, "%s: %s", what,
			     n == ERR_TOO_LARGE ? "it is too large for a token" :
			     n == -EINVAL ? "it is no regular file" : err_text((int)n));
	else
		rc = put_token(text, (size_t)n, ret, what, ret_err);
	if (text)
		OPENSSL_cleanse(text, cap);
	mem_free(text);
	return rc;
}

/* "file:///path" and "file:/path", as Java takes them; NULL: another kind of URL. */
static const char *file_of_url(const char *url)
{
	if (strncasecmp(url, "file:", 5) != 0)
		return NULL;
	url += 5;
	return !strncmp(url, "///", 3) ? url + 2 : url;
}

/* --- the request --- */

/* application/x-www-form-urlencoded, blanks as %20. */
static void put_encoded(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~*", *s))
			buf_put(b, s, 1);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

static int put_basic(struct buf *fields, const struct token_conf *c, bool encoded)
{
	size_t cap = 3 * (strlen(c->client_id) + strlen(c->client_secret)) + 1;
	char *code = NULL;
	struct buf pair;
	int rc = ERR_NOMEM;

	buf_init(&pair, cap);
	buf_reserve(&pair, cap);
	if (encoded)
		put_encoded(&pair, c->client_id);
	else
		buf_puts(&pair, c->client_id);
	buf_puts(&pair, ":");
	if (encoded)
		put_encoded(&pair, c->client_secret);
	else
		buf_puts(&pair, c->client_secret);
	if (!pair.failed && (code = mem_alloc(pair.len * 4 / 3 + 8))) {
		EVP_EncodeBlock((unsigned char *)code, (unsigned char *)pair.data, (int)pair.len);
		buf_reserve(fields, strlen(code) + 64);
		rc = buf_printf(fields, "Authorization: Basic %s\r\n", code);
		OPENSSL_cleanse(code, strlen(code));
	}
	mem_free(code);
	https_wipe(&pair);
	return rc;
}

static bool encoding_matters(const struct token_conf *c)
{
	for (const char *s = c->client_id; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-._~*", *s))
			return true;
	for (const char *s = c->client_secret; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-._~*", *s))
			return true;
	return false;
}

static int put_body(struct buf *body, const struct token_conf *c)
{
	buf_puts(body, "grant_type=client_credentials");
	if (c->scope && *c->scope) {
		buf_puts(body, "&scope=");
		put_encoded(body, c->scope);
	}
	return body->failed ? ERR_NOMEM : 0;
}

/* --- the answer --- */

/* The text of one of two fields, printable, or "". */
static void copy_words(char *ret, size_t cap, const json_t *o, const char *name, const char *other, const char *secret)
{
	const char *s = json_string_value(json_object_get(o, name));
	size_t n = 0;

	if (!s)
		s = json_string_value(json_object_get(o, other));
	if (s && strstr(s, secret))
		s = NULL;
	for (; s && *s && n < cap - 1; s++)
		ret[n++] = (char)(*s >= 0x20 && *s < 0x7f ? *s : '?');
	ret[n] = 0;
}

static int refused(const struct http_response *h, const json_t *o, const char *secret, struct err *ret_err)
{
	bool later = h->status >= 500 || h->status == 429 || h->status == 408;
	char error[80], text[200];

	copy_words(error, sizeof error, o, "error", "errorCode", secret);
	copy_words(text, sizeof text, o, "error_description", "errorSummary", secret);
	if (h->status / 100 == 3)
		snprintf(text, sizeof text, "it wants to redirect; give the address where it leads");
	return err_set(ret_err, later ? ERR_UNAVAILABLE : ERR_CONFIG, "it answers %d%s%s%s%s%s", h->status, *error ? " " : "",
		       error, *text ? " (" : "", text, *text ? ")" : "");
}

/* Seconds as a number, or as text as some endpoints write them; 0: it does not say. */
static double expires_in(const json_t *o)
{
	const json_t *v = json_object_get(o, "expires_in");
	double seconds = json_is_string(v) ? strtod(json_string_value(v), NULL) : json_number_value(v);

	return seconds > 0 && seconds < SECONDS_MAX ? seconds : 0;
}

static int accepted(const json_t *o, struct buf *ret_token, int64_t *ret_expires_ms, struct err *ret_err)
{
	const char *token = json_string_value(json_object_get(o, "access_token"));
	const char *type = json_string_value(json_object_get(o, "token_type"));
	size_t before = ret_token->len;
	double seconds = expires_in(o);
	int rc;

	if (!token)
		return err_set(ret_err, ERR_BAD_DATA, "its answer holds no access_token");
	if (type && strcasecmp(type, "bearer") != 0)
		return err_set(ret_err, ERR_BAD_DATA, "its token is not of type Bearer");
	rc = put_token(token, strlen(token), ret_token, "its access_token", ret_err);
	if (rc < 0)
		return rc;
	/* expires_in counts from now on: clocks that differ do no harm. */
	*ret_expires_ms = seconds > 0 ? clock_wall_ms() + (int64_t)(seconds * 1000) :
			  jwt_expiry(ret_token->data + before, ret_token->len - before);
	return 0;
}

static int read_response(const struct http_response *h, const char *secret, struct buf *ret_token, int64_t *ret_expires_ms,
			 struct err *ret_err)
{
	json_t *o = json_loadb(h->body, h->body_len, 0, NULL);
	int rc;

	if (h->status != 200 && h->status != 201)
		rc = refused(h, o, secret, ret_err);
	else if (!json_is_object(o))
		rc = err_set(ret_err, ERR_BAD_DATA, "its answer is no JSON object");
	else
		rc = accepted(o, ret_token, ret_expires_ms, ret_err);
	json_decref(o);
	return rc;
}

/* --- from an endpoint --- */

/* *ret_unauthorized: the name or the secret was not taken. */
static int ask(const struct token_conf *c, const struct http_url *u, bool encoded, struct buf *ret_token,
	       int64_t *ret_expires_ms, bool *ret_unauthorized, struct err *ret_err)
{
	struct https_post q = { .url = u, .ca_location = c->ca_location, .ca_certificates = c->ca_certificates,
		.connect_timeout_ms = c->connect_timeout_ms, .read_timeout_ms = c->read_timeout_ms };
	struct http_response h;
	struct buf fields, body, data;
	int rc;

	buf_init(&fields, 8 * SECRET_MAX);
	buf_init(&body, 8 * SECRET_MAX);
	rc = put_basic(&fields, c, encoded);
	if (rc == 0)
		rc = put_body(&body, c);
	if (rc < 0) {
		no_memory(ret_err);
	} else {
		q.fields = fields.data;
		q.body = body.data;
		rc = https_post(&q, &data, &h, ret_err);
		if (rc == 0) {
			*ret_unauthorized = h.status == 401 || h.status == 400;
			rc = read_response(&h, c->client_secret, ret_token, ret_expires_ms, ret_err);
			https_wipe(&data);
		}
	}
	https_wipe(&fields);
	buf_release(&body);
	return rc;
}

static int from_endpoint(const struct token_conf *c, struct buf *ret_token, int64_t *ret_expires_ms, struct err *ret_err)
{
	bool unauthorized = false;
	struct http_url u;
	int rc = http_url_parse(c->url, &u, ret_err);

	if (rc < 0) {
		if (ret_err)
			err_prefix(ret_err, "token endpoint's URL: ");
		return rc;
	}
	if (!c->client_id || !*c->client_id || !c->client_secret || !*c->client_secret ||
	    strlen(c->client_id) + strlen(c->client_secret) > SECRET_MAX)
		return err_set(ret_err, ERR_CONFIG, "token endpoint %s: a client id and a client secret are needed", u.authority);
	rc = ask(c, &u, true, ret_token, ret_expires_ms, &unauthorized, ret_err);
	if (rc < 0 && unauthorized && encoding_matters(c))
		rc = ask(c, &u, false, ret_token, ret_expires_ms, &unauthorized, ret_err);
	if (rc < 0 && ret_err)
		err_prefix(ret_err, "token endpoint %s: ", u.authority);
	return rc;
}

int token_get(const struct token_conf *c, struct buf *ret_token, int64_t *ret_expires_ms, struct err *ret_err)
{
	const char *path = c->url ? file_of_url(c->url) : c->file;
	size_t before = ret_token->len;
	int rc;

	if (c->url && !path)
		return from_endpoint(c, ret_token, ret_expires_ms, ret_err);
	if (!path || !*path)
		return err_set(ret_err, ERR_CONFIG, "neither a token endpoint nor a token file is given");
	rc = from_file(path, ret_token, ret_err);
	if (rc == 0)
		*ret_expires_ms = jwt_expiry(ret_token->data + before, ret_token->len - before);
	return rc;
}

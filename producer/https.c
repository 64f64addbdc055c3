/* https.c - one POST: connect, TLS, write, read until the answer is whole, close.
 *
 * Why not OpenSSL's own HTTP client: it throws the body of an error away, and that is where a token endpoint says what is
 * wrong; it speaks HTTP/1.0 only and counts its time in seconds.
 *
 * Invariants
 *  (1) no byte of the request leaves before the peer's certificate and name are proven (or the host is loopback, see http.c).
 *  (2) every wait ends at a deadline; only the resolver's own time-outs are longer.
 *  (3) memory that held the request is wiped.
 */
#include "producer/https.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"

#define ANSWER_MAX (256 * 1024)
#define REQUEST_MAX (256 * 1024)

struct link { BIO *bio; SSL *ssl; int64_t deadline; };		/* ssl NULL: plain */

/* --- TLS --- */

static int add_certificates(SSL_CTX *ctx, const char *pem, struct err *ret_err)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	size_t added = 0;
	X509 *x;

	while (in && (x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x))
			added++;
		X509_free(x);
	}
	BIO_free(in);
	return added ? 0 : err_set(ret_err, ERR_CONFIG, "ssl.truststore.certificates holds no PEM certificate");
}

static int add_location(SSL_CTX *ctx, const char *path, struct err *ret_err)
{
	struct stat st;
	bool dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	if (dir ? SSL_CTX_load_verify_dir(ctx, path) : SSL_CTX_load_verify_file(ctx, path))
		return 0;
	return err_set(ret_err, ERR_CONFIG, "no certificates can be read from %s (ssl.truststore.location)", path);
}

static int new_context(const struct https_post *q, SSL_CTX **ret, struct err *ret_err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int rc = 0;

	if (!ctx)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (q->ca_location)
		rc = add_location(ctx, q->ca_location, ret_err);
	else if (q->ca_certificates)
		rc = add_certificates(ctx, q->ca_certificates, ret_err);
	else
		SSL_CTX_set_default_verify_paths(ctx);
	if (rc < 0) {
		SSL_CTX_free(ctx);
		return rc;
	}
	*ret = ctx;
	return 0;
}

/* The name that the certificate must show: an address is compared with addresses. */
static bool expect_name(SSL *ssl, const char *host)
{
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host))
		return true;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
}

/* --- waiting --- */

/* After a call that could not go on: waits for what it needs. 0, or an error that ends it. */
static int wait_io(struct link *l, const char *doing, struct err *ret_err)
{
	struct pollfd p = { .fd = -1 };
	int64_t left = l->deadline - clock_mono_ms();

	if (!BIO_should_retry(l->bio))
		return err_set(ret_err, ERR_UNAVAILABLE, "%s failed", doing);
	BIO_get_fd(l->bio, &p.fd);
	p.events = BIO_should_read(l->bio) ? POLLIN : POLLOUT;
	if (left <= 0 || poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX) == 0)
		return err_set(ret_err, ERR_UNAVAILABLE, "%s timed out", doing);
	return 0;
}

static int connect_link(struct link *l, const struct http_url *u, struct err *ret_err)
{
	char where[HTTP_HOST_MAX + 10];

	snprintf(where, sizeof where, strchr(u->host, ':') ? "[%s]:%s" : "%s:%s", u->host, u->port);
	l->bio = BIO_new_connect(where);
	if (!l->bio)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	BIO_set_nbio(l->bio, 1);
	while (BIO_do_connect(l->bio) <= 0) {
		unsigned long e = ERR_peek_error();
		int rc;

		if (!BIO_should_retry(l->bio))
			return err_set(ret_err, ERR_UNAVAILABLE, "cannot connect: %s",
				       ERR_GET_LIB(e) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(e)) :
				       e ? ERR_reason_error_string(e) : "no reason is known");
		rc = wait_io(l, "connecting", ret_err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int tls_failed(const struct link *l, struct err *ret_err)
{
	long verify = SSL_get_verify_result(l->ssl);
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	if (verify != X509_V_OK)
		return err_set(ret_err, ERR_CONFIG, "its certificate is not trusted: %s", X509_verify_cert_error_string(verify));
	return err_set(ret_err, ERR_UNAVAILABLE, "TLS failed: %s", why ? why : "the connection was closed");
}

static int start_tls(struct link *l, const struct https_post *q, SSL_CTX *ctx, struct err *ret_err)
{
	BIO *tls = BIO_new_ssl(ctx, 1);

	if (!tls)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	l->bio = BIO_push(tls, l->bio);
	BIO_get_ssl(tls, &l->ssl);
	if (!expect_name(l->ssl, q->url->host))
		return err_set(ret_err, ERR_CONFIG, "its host name cannot be checked");
	while (BIO_do_handshake(l->bio) <= 0) {
		int rc;

		if (!BIO_should_retry(l->bio))
			return tls_failed(l, ret_err);
		rc = wait_io(l, "the TLS handshake", ret_err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* --- the exchange --- */

static int write_all(struct link *l, const struct buf *b, struct err *ret_err)
{
	for (size_t done = 0; done < b->len;) {
		int n = BIO_write(l->bio, b->data + done, (int)(b->len - done)), rc = 0;

		if (n > 0)
			done += (size_t)n;
		else
			rc = wait_io(l, "sending the request", ret_err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Whether the peer ended the connection in order; a TLS end that was not announced may be an attacker's. */
static bool orderly_end(const struct link *l)
{
	return !l->ssl || SSL_get_shutdown(l->ssl) & SSL_RECEIVED_SHUTDOWN;
}

/* Reads once more. HTTP_MORE, HTTP_DONE or an error. */
static int read_more(struct link *l, struct buf *data, struct http_response *ret, struct err *ret_err)
{
	size_t room = ANSWER_MAX - data->len;
	int n = room ? BIO_read(l->bio, data->data + data->len, (int)room) : 0, rc;

	if (!room)
		return err_set(ret_err, ERR_BAD_DATA, "it answers with more than %d bytes", ANSWER_MAX);
	if (n <= 0 && BIO_should_retry(l->bio))
		return wait_io(l, "waiting for the answer", ret_err);
	if (n > 0)
		data->len += (size_t)n;
	else if (!data->len)
		return err_set(ret_err, ERR_UNAVAILABLE, "it closed the connection without an answer");
	rc = http_parse(data->data, data->len, n <= 0 && orderly_end(l), ret);
	if (rc < 0 || (n <= 0 && rc == HTTP_MORE))
		return err_set(ret_err, ERR_BAD_DATA, "it answers with something that is no whole HTTP response");
	return rc;
}

static int read_answer(struct link *l, struct buf *data, struct http_response *ret, struct err *ret_err)
{
	int rc = buf_reserve(data, ANSWER_MAX);		/* at once: it may hold a token, and growing leaves copies */

	if (rc < 0)
		return err_set(ret_err, rc, "%s", err_text(rc));
	do
		rc = read_more(l, data, ret, ret_err);
	while (rc == HTTP_MORE);
	return rc < 0 ? rc : 0;
}

static int put_request(const struct https_post *q, struct buf *out, struct err *ret_err)
{
	const char *target = q->url->target;
	int rc = buf_reserve(out, strlen(target) + strlen(q->fields) + strlen(q->body) + 1024);

	if (rc == 0)
		rc = buf_printf(out, "POST %s%s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n"
				"User-Agent: spillway\r\nConnection: close\r\n"
				"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n%s\r\n%s",
				*target == '/' ? "" : "/", target, q->url->authority, strlen(q->body), q->fields, q->body);
	return rc < 0 ? err_set(ret_err, rc, "the request is too long") : 0;
}

static int exchange(struct link *l, const struct https_post *q, SSL_CTX *ctx, struct buf *data, struct http_response *ret,
		    struct err *ret_err)
{
	struct buf request;
	int rc;

	l->deadline = clock_mono_ms() + q->connect_timeout_ms;
	rc = connect_link(l, q->url, ret_err);
	if (rc == 0 && ctx)
		rc = start_tls(l, q, ctx, ret_err);
	if (rc < 0)
		return rc;
	buf_init(&request, REQUEST_MAX);
	rc = put_request(q, &request, ret_err);
	l->deadline = clock_mono_ms() + q->read_timeout_ms;
	if (rc == 0)
		rc = write_all(l, &request, ret_err);
	https_wipe(&request);
	return rc < 0 ? rc : read_answer(l, data, ret, ret_err);
}

int https_post(const struct https_post *q, struct buf *data, struct http_response *ret, struct err *ret_err)
{
	struct link l = { .bio = NULL };
	SSL_CTX *ctx = NULL;
	int rc;

	ERR_clear_error();
	buf_init(data, ANSWER_MAX + 1);
	rc = q->url->tls ? new_context(q, &ctx, ret_err) : 0;
	if (rc == 0)
		rc = exchange(&l, q, ctx, data, ret, ret_err);
	BIO_free_all(l.bio);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	if (rc < 0)
		https_wipe(data);
	return rc;
}

void https_wipe(struct buf *data)
{
	if (data->data)
		OPENSSL_cleanse(data->data, data->cap);
	buf_release(data);
}

/* tls_io.c - one connection's TLS over a non-blocking socket.
 *
 * Why a record of our own in front of OpenSSL: a Produce request is many small pieces (head, topic, chunk, ...), and
 * OpenSSL makes a record, a MAC and a system call of each write. Pieces are put together up to a record; what is a record
 * by itself is not copied.
 * Invariant: bytes are gone when they were written whole; a write that found the socket full is repeated with the same bytes,
 *	which OpenSSL has encrypted already and only counts. No buffer is looked at after its bytes are gone.
 * Threads: the owner's.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/tls_inside.h"

/* Asks for the name or the address; the other two kinds of check (a name that looks like an address) cannot meet. */
static int expect_host(struct tls_conn *c, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
	int good = 1;

	if (!address)
		good = SSL_set_tlsext_host_name(c->ssl, host) == 1;
	if (good && !c->tls->any_name) {
		X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		good = address ? X509_VERIFY_PARAM_set1_ip_asc(param, host) : X509_VERIFY_PARAM_set1_host(param, host, 0);
	}
	ASN1_OCTET_STRING_free(address);
	ERR_clear_error();
	return good;
}

int tls_conn_new(struct tls *t, int sock, const char *host, struct tls_conn **ret, struct err *ret_err)
{
	struct tls_conn *c = mem_new(struct tls_conn);
	size_t n = strlen(host);

	if (!c)
		return err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	c->tls = tls_ref(t);
	/* "broker.example." is a name written in full; certificates have it without the dot. */
	snprintf(c->host, sizeof c->host, "%.*s", (int)(n > 1 && host[n - 1] == '.' ? n - 1 : n), host);
	c->ssl = SSL_new(t->ctx);
	if (!c->ssl || SSL_set_app_data(c->ssl, c) != 1 || SSL_set_fd(c->ssl, sock) != 1 || !expect_host(c, c->host)) {
		tls_conn_free(c);
		return err_set(ret_err, ERR_NOMEM, "cannot begin TLS: %s", tls_reason());
	}
	SSL_set_connect_state(c->ssl);
	*ret = c;
	return 0;
}

void tls_conn_free(struct tls_conn *c)
{
	if (!c)
		return;
	SSL_free(c->ssl);
	tls_unref(c->tls);
	OPENSSL_cleanse(c->record, sizeof c->record);
	mem_free(c);
}

int tls_handshake(struct tls_conn *c, struct err *ret_err)
{
	int rc, error;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(c->ssl);
	error = errno;
	if (rc == 1) {
		c->established = true;
		c->read_wants_out = false;
		return 1;
	}
	rc = SSL_get_error(c->ssl, rc);
	c->read_wants_out = rc == SSL_ERROR_WANT_WRITE;
	if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE)
		return 0;
	return tls_words_failure(c, rc, error, ret_err);
}

int tls_read(struct tls_conn *c, void *to, size_t cap, size_t *ret_n, struct err *ret_err)
{
	int rc, error;

	ERR_clear_error();
	errno = 0;
	rc = SSL_read_ex(c->ssl, to, cap, ret_n);
	error = errno;
	c->read_wants_out = false;
	if (rc == 1)
		return 1;
	rc = SSL_get_error(c->ssl, rc);
	c->read_wants_out = rc == SSL_ERROR_WANT_WRITE;
	if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE)
		return 0;
	if (rc == SSL_ERROR_ZERO_RETURN)
		return err_set(ret_err, ERR_CLOSED, "the broker closed the connection");
	return tls_words_failure(c, rc, error, ret_err);
}

/* The next record's bytes: a large piece as it is, small ones put together. */
static const void *next_record(struct tls_conn *c, const struct iovec *iov, size_t count, size_t *ret_n)
{
	size_t n = 0;

	if (iov[0].iov_len >= TLS_RECORD_MAX || count == 1) {
		*ret_n = iov[0].iov_len < TLS_RECORD_MAX ? iov[0].iov_len : TLS_RECORD_MAX;
		return iov[0].iov_base;
	}
	for (size_t i = 0; i < count && n < TLS_RECORD_MAX; i++) {
		size_t take = iov[i].iov_len < TLS_RECORD_MAX - n ? iov[i].iov_len : TLS_RECORD_MAX - n;

		if (take)
			memcpy(c->record + n, iov[i].iov_base, take);
		n += take;
	}
	*ret_n = n;
	return c->record;
}

int tls_write(struct tls_conn *c, const struct iovec *iov, size_t count, size_t *ret_n, struct err *ret_err)
{
	size_t n = 0;
	const void *data = next_record(c, iov, count, &n);
	int rc, error;

	/* Requests may have grown behind the bytes that were offered; these stay the first ones. */
	if (c->offered && n > c->offered)
		n = c->offered;
	if (n == 0) {
		*ret_n = 0;
		return 1;
	}
	ERR_clear_error();
	errno = 0;
	rc = SSL_write_ex(c->ssl, data, n, ret_n);
	error = errno;
	c->write_wants_in = false;
	c->offered = 0;
	if (rc == 1)
		return 1;
	rc = SSL_get_error(c->ssl, rc);
	if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE) {
		c->write_wants_in = rc == SSL_ERROR_WANT_READ;
		c->offered = n;
		return 0;
	}
	return tls_words_failure(c, rc, error, ret_err);
}

bool tls_pending(const struct tls_conn *c)
{
	return SSL_pending(c->ssl) > 0;
}

bool tls_wants_out(const struct tls_conn *c, bool writing)
{
	return c->read_wants_out || (writing && !c->write_wants_in);
}

/* tls_words.c - what went wrong in TLS, in words that say what to do about it.
 *
 * Why so many: whoever reads them has a client that does not connect, and mostly one of a dozen faults. OpenSSL's own
 * words name the symptom at its place in the protocol.
 * Failure codes: ERR_CONFIG when somebody has to change something, others when the connection broke.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "producer/tls_inside.h"

const char *tls_reason(void)
{
	unsigned long e = ERR_get_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return text ? text : "unknown error of OpenSSL";
}

int tls_source_error(const struct tls_source *s, struct err *ret_err, const char *what)
{
	if (s->pem)
		return err_set(ret_err, ERR_CONFIG, "%s: %s", s->key, what);
	return err_set(ret_err, ERR_CONFIG, "%s %.200s: %s", s->key, s->file, what);
}

void tls_words_time(const ASN1_TIME *t, char *to, size_t n)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(t, &tm) || !strftime(to, n, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(to, n, "a time that cannot be read");
}

/* --- certificates --- */

static void put_address(struct buf *to, const ASN1_OCTET_STRING *a)
{
	const unsigned char *p = ASN1_STRING_get0_data(a);
	int n = ASN1_STRING_length(a);

	if (n == 4)
		buf_printf(to, "%d.%d.%d.%d", p[0], p[1], p[2], p[3]);
	for (int i = 0; n == 16 && i < 16; i += 2)
		buf_printf(to, "%s%x", i ? ":" : "", p[i] << 8 | p[i + 1]);
}

/* The names and addresses a certificate is for; without any its common name. */
static void put_names(struct buf *to, X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char common[80] = "";

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type != GEN_DNS && g->type != GEN_IPADD)
			continue;
		buf_puts(to, to->len ? ", " : "");
		if (g->type == GEN_DNS)
			buf_printf(to, "%.*s", ASN1_STRING_length(g->d.dNSName), (const char *)ASN1_STRING_get0_data(g->d.dNSName));
		else
			put_address(to, g->d.iPAddress);
	}
	GENERAL_NAMES_free(names);
	if (to->len)
		return;
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, common, sizeof common);
	buf_puts(to, common[0] ? common : "nobody");
}

static void wrong_name(struct tls_conn *c, X509 *x)
{
	struct buf names;

	buf_init(&names, 240);
	put_names(&names, x);
	snprintf(c->verify, sizeof c->verify, "the broker's certificate is for %s%s, not for %.100s",
		 names.data ? names.data : "many names", names.failed ? ", ..." : "", c->host);
	buf_release(&names);
}

static void wrong_date(struct tls_conn *c, X509 *x, bool expired)
{
	char when[64], name[100] = "";

	tls_words_time(expired ? X509_get0_notAfter(x) : X509_get0_notBefore(x), when, sizeof when);
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof name);
	snprintf(c->verify, sizeof c->verify, expired ? "the broker's certificate (%s) expired at %s%s" :
		 "the broker's certificate (%s) is not valid before %s%s", name, when, "; is the clock of this machine right?");
}

int tls_words_verify(int good, X509_STORE_CTX *ctx)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_conn *c = SSL_get_app_data(ssl);
	int error = X509_STORE_CTX_get_error(ctx);
	X509 *x = X509_STORE_CTX_get_current_cert(ctx);

	if (good || c->verify[0])
		return good;
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		wrong_name(c, x);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		wrong_date(c, x, error == X509_V_ERR_CERT_HAS_EXPIRED);
		break;
	default:
		snprintf(c->verify, sizeof c->verify, "certificate verify failed: %s; %s", X509_verify_cert_error_string(error),
			 c->tls->named_trust ? "is ssl.truststore.location the CA of this broker?" :
			 "the system's CAs do not know it: name the broker's CA by ssl.truststore.location");
	}
	return good;
}

/* --- alerts and the rest --- */

static int refused_certificate(struct tls_conn *c, int reason, struct err *ret_err)
{
	if (!c->tls->own_certificate)
		return err_set(ret_err, ERR_CONFIG, "the broker wants a client certificate: give one by ssl.keystore.location");
	return err_set(ret_err, ERR_CONFIG, "the broker does not take this client's certificate (ssl.keystore.*): %s",
		       ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, (unsigned)reason)));
}

static int no_common_protocol(struct tls_conn *c, struct err *ret_err)
{
	return err_set(ret_err, ERR_CONFIG, "the broker speaks no TLS version of ssl.enabled.protocols: %s", c->tls->protocols);
}

/* The peer's alert or our own finding. */
static int reason_words(struct tls_conn *c, int reason, struct err *ret_err)
{
	switch (reason) {
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
		return refused_certificate(c, reason, ret_err);
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_NO_PROTOCOLS_AVAILABLE:
		return no_common_protocol(c, ret_err);
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
		return err_set(ret_err, ERR_CONFIG, "the broker refused the TLS handshake: no cipher suite in common%s",
			       c->tls->own_certificate ? "" : ", or it wants a client certificate (ssl.keystore.location)");
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_HTTP_REQUEST:
		return err_set(ret_err, ERR_CONFIG, "what answers does not speak TLS: is this a plaintext port? "
			       "(security.protocol)");
	default:
		return err_set(ret_err, c->established ? ERR_IO : ERR_CONFIG, "TLS: %s",
			       ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, (unsigned)reason)));
	}
}

/* A plaintext broker takes the first bytes of a handshake for the length of a request, and hangs up. */
static int hung_up(struct tls_conn *c, int errno_, struct err *ret_err)
{
	int rc = errno_ ? -errno_ : ERR_CLOSED;

	if (!c->established)
		return err_set(ret_err, rc, "the broker closed the connection in the TLS handshake: is this a plaintext port? "
			       "(security.protocol)");
	return err_set(ret_err, rc, "%s", errno_ ? err_text(rc) : "the broker closed the connection");
}

int tls_words_failure(struct tls_conn *c, int rc, int errno_, struct err *ret_err)
{
	unsigned long e = ERR_peek_error();
	int reason = ERR_GET_REASON(e);

	ERR_clear_error();
	if (c->verify[0] && !c->established)
		return err_set(ret_err, ERR_CONFIG, "%s", c->verify);
	if (rc == SSL_ERROR_SYSCALL || ERR_SYSTEM_ERROR(e) || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return hung_up(c, rc == SSL_ERROR_SYSCALL ? errno_ : 0, ret_err);
	return reason_words(c, reason, ret_err);
}

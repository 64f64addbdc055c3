/* test_tls.c - TLS against OpenSSL's server on a socket pair: what arrives, and the words for everything that goes wrong. */
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/mem.h"
#include "producer/security.h"
#include "producer/tls.h"
#include "tests/lib/pki.h"

#define DAY 86400L

struct peer {				/* the broker's side, in a thread */
	int      fd;
	SSL_CTX *ctx;			/* NULL: speaks plaintext */
	const char *plain;		/* what it answers then; NULL: hangs up */
	pthread_t thread;
	char    *got;			/* everything it read */
	size_t   got_len, records;
};

struct fixture {
	char dir[64];
	struct pki_cert ca, other, leaf, client;
	char *ca_pem, *other_pem, *client_pem, *client_key;
	struct tls_conf conf;
	struct tls *tls;
	struct peer peer;
	struct tls_conn *conn;
	int fd;
	struct err e;
};

/* --- the broker --- */

static void *serve(void *arg)
{
	struct peer *p = arg;
	char buf[20000];
	SSL *ssl;
	int n;

	if (!p->ctx) {
		n = (int)read(p->fd, buf, 5);
		if (p->plain)
			n = (int)write(p->fd, p->plain, strlen(p->plain));
		close(p->fd);
		return NULL;
	}
	ssl = SSL_new(p->ctx);
	SSL_set_fd(ssl, p->fd);
	if (SSL_accept(ssl) == 1)
		while ((n = SSL_read(ssl, buf, sizeof buf)) > 0) {
			p->got = mem_realloc(p->got, p->got_len + (size_t)n);
			memcpy(p->got + p->got_len, buf, (size_t)n);
			p->got_len += (size_t)n;
			p->records++;
			if (n >= 4 && !memcmp(buf + n - 4, "over", 4))
				break;
		}
	if (p->got_len)
		SSL_write(ssl, "answer", 6);
	SSL_free(ssl);
	close(p->fd);
	return NULL;
}

static SSL_CTX *server(const struct pki_cert *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	SSL_CTX_use_certificate(ctx, c->x);
	SSL_CTX_use_PrivateKey(ctx, c->key);
	return ctx;
}

/* --- the client --- */

static void wait_for(struct fixture *f, bool writing)
{
	struct pollfd p = { .fd = f->fd, .events = POLLIN };

	if (tls_wants_out(f->conn, writing))
		p.events |= POLLOUT;
	poll(&p, 1, 10000);
}

/* Connects and shakes hands. 0 or the failure, with words in f->e. */
static int connect_to(struct fixture *f, SSL_CTX *ctx, const char *host)
{
	int pair[2], rc, size = 4096;

	if (!f->tls) {
		rc = tls_open(&f->conf, &f->tls, &f->e);
		if (rc < 0) {
			SSL_CTX_free(ctx);
			return rc;
		}
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	f->fd = pair[0];
	fcntl(f->fd, F_SETFL, O_NONBLOCK);
	f->peer.fd = pair[1];
	f->peer.ctx = ctx;
	assert_int_equal(pthread_create(&f->peer.thread, NULL, serve, &f->peer), 0);
	assert_int_equal(tls_conn_new(f->tls, f->fd, host, &f->conn, &f->e), 0);
	while ((rc = tls_handshake(f->conn, &f->e)) == 0)
		wait_for(f, false);
	return rc > 0 ? 0 : rc;
}

static int read_answer(struct fixture *f, char *to, size_t cap, size_t *ret_n)
{
	int rc;

	while ((rc = tls_read(f->conn, to, cap, ret_n, &f->e)) == 0)
		wait_for(f, false);
	return rc;
}

/* Writes all of iov, as a connection does. Returns how often the socket was full. */
static int write_all(struct fixture *f, struct iovec *v, size_t count)
{
	int waits = 0;

	while (count) {
		size_t n = 0;
		int rc = tls_write(f->conn, v, count, &n, &f->e);

		assert_true(rc >= 0);
		if (rc == 0) {
			waits++;
			wait_for(f, true);
			continue;
		}
		while (count && n >= v->iov_len) {
			n -= v->iov_len;
			v++;
			count--;
		}
		if (n) {
			v->iov_base = (char *)v->iov_base + n;
			v->iov_len -= n;
		}
	}
	return waits;
}

static void finish(struct fixture *f)
{
	tls_conn_free(f->conn);
	f->conn = NULL;
	if (f->fd >= 0) {
		close(f->fd);
		pthread_join(f->peer.thread, NULL);
	}
	f->fd = -1;
	SSL_CTX_free(f->peer.ctx);
	mem_free(f->peer.got);
	f->peer = (struct peer){ .fd = -1 };
	tls_unref(f->tls);
	f->tls = NULL;
}

static int set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	snprintf(f->dir, sizeof f->dir, "%s", "/tmp/spillway-tls.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->fd = -1;
	f->ca = pki_ca("CA one");
	f->other = pki_ca("CA two");
	f->leaf = pki_leaf(&f->ca, "broker", "DNS:broker.example,IP:127.0.0.1,IP:::1", -DAY, DAY);
	f->client = pki_leaf(&f->ca, "client", NULL, -DAY, DAY);
	f->ca_pem = pki_pem(&f->ca);
	f->other_pem = pki_pem(&f->other);
	f->client_pem = pki_pem(&f->client);
	f->client_key = pki_key_pem(&f->client, NULL);
	f->conf.trust = (struct tls_source){ "ssl.truststore.certificates", NULL, f->ca_pem };
	f->conf.chain.key = "ssl.keystore.certificate.chain";
	f->conf.own_key.key = "ssl.keystore.key";
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[100];

	finish(f);
	pki_free(&f->ca);
	pki_free(&f->other);
	pki_free(&f->leaf);
	pki_free(&f->client);
	mem_free(f->ca_pem);
	mem_free(f->other_pem);
	mem_free(f->client_pem);
	mem_free(f->client_key);
	snprintf(command, sizeof command, "%s/store.pem", f->dir);
	unlink(command);
	rmdir(f->dir);
	mem_free(f);
	return 0;
}

static void show_own(struct fixture *f)
{
	f->conf.chain.pem = f->client_pem;
	f->conf.own_key.pem = f->client_key;
}

#define SAYS(f, words) assert_non_null(strstr((f)->e.text, words))

/* --- what works --- */

static void names_and_addresses_of_the_certificate_are_good(void **state)
{
	static const char *const hosts[] = { "broker.example", "BROKER.example", "broker.example.", "127.0.0.1", "::1" };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(hosts); i++) {
		assert_int_equal(connect_to(f, server(&f->leaf), hosts[i]), 0);
		finish(f);
	}
}

static void a_host_name_that_is_not_asked_for_is_not_checked(void **state)
{
	struct fixture *f = *state;

	f->conf.any_name = true;
	assert_int_equal(connect_to(f, server(&f->leaf), "elsewhere.example"), 0);
}

static void small_pieces_share_a_record_and_arrive_in_order(void **state)
{
	struct fixture *f = *state;
	char bytes[6000], answer[16];
	struct iovec v[1500];
	size_t n;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7);
	memcpy(bytes + sizeof bytes - 4, "over", 4);
	for (size_t i = 0; i < COUNT(v); i++)
		v[i] = (struct iovec){ bytes + 4 * i, 4 };
	assert_int_equal(connect_to(f, server(&f->leaf), "127.0.0.1"), 0);
	write_all(f, v, COUNT(v));
	assert_int_equal(read_answer(f, answer, sizeof answer, &n), 1);
	assert_memory_equal(answer, "answer", 6);
	assert_int_equal(f->peer.got_len, sizeof bytes);
	assert_memory_equal(f->peer.got, bytes, sizeof bytes);
	assert_int_equal(f->peer.records, 1);
}

/* The socket takes 4 KiB at a time: most records are begun by one call and ended by another. */
static void a_full_socket_doubles_and_loses_nothing(void **state)
{
	struct fixture *f = *state;
	size_t size = 3000000, n, at = 0, count = 0;
	char *bytes = mem_alloc(size), answer[16];
	struct iovec *v = mem_array(struct iovec, 20000);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 >> 3);
	memcpy(bytes + size - 4, "over", 4);
	for (; at < size - 4; at += n) {
		n = count % 3 == 0 ? 60000 : count % 3 == 1 ? 100 : 1;
		n = n < size - 4 - at ? n : size - 4 - at;
		v[count++] = (struct iovec){ bytes + at, n };
	}
	v[count++] = (struct iovec){ bytes + at, 4 };
	assert_int_equal(connect_to(f, server(&f->leaf), "127.0.0.1"), 0);
	assert_true(write_all(f, v, count) > 10);
	assert_int_equal(read_answer(f, answer, sizeof answer, &n), 1);
	assert_int_equal(f->peer.got_len, size);
	assert_memory_equal(f->peer.got, bytes, size);
	mem_free(bytes);
	mem_free(v);
}

static void a_client_certificate_is_shown_and_its_key_opened(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = server(&f->leaf);
	char *locked = pki_key_pem(&f->client, "open sesame"), answer[16];
	struct iovec v = { (void *)(uintptr_t)"over", 4 };
	size_t n;

	show_own(f);
	f->conf.own_key.pem = locked;
	f->conf.password = "open sesame";
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), f->ca.x);
	assert_int_equal(connect_to(f, ctx, "127.0.0.1"), 0);
	write_all(f, &v, 1);
	assert_int_equal(read_answer(f, answer, sizeof answer, &n), 1);
	mem_free(locked);
}

/* --- what does not, and its words --- */

static void another_ca_is_said(void **state)
{
	struct fixture *f = *state;

	f->conf.trust.pem = f->other_pem;
	assert_int_equal(connect_to(f, server(&f->leaf), "127.0.0.1"), ERR_CONFIG);
	SAYS(f, "certificate verify failed: unable to get local issuer certificate");
	SAYS(f, "is ssl.truststore.location the CA of this broker?");
}

static void another_host_name_is_said_with_both(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(connect_to(f, server(&f->leaf), "b2.example"), ERR_CONFIG);
	SAYS(f, "is for broker.example, 127.0.0.1, 0:0:0:0:0:0:0:1, not for b2.example");
	finish(f);
	assert_int_equal(connect_to(f, server(&f->leaf), "127.0.0.2"), ERR_CONFIG);
	SAYS(f, "not for 127.0.0.2");
}

static void an_expired_certificate_is_said_with_its_day(void **state)
{
	struct fixture *f = *state;
	struct pki_cert old = pki_leaf(&f->ca, "oldie", "IP:127.0.0.1", -2 * DAY, -DAY), young;

	assert_int_equal(connect_to(f, server(&old), "127.0.0.1"), ERR_CONFIG);
	SAYS(f, "(oldie) expired at 20");
	finish(f);
	young = pki_leaf(&f->ca, "newbie", "IP:127.0.0.1", DAY, 2 * DAY);
	assert_int_equal(connect_to(f, server(&young), "127.0.0.1"), ERR_CONFIG);
	SAYS(f, "(newbie) is not valid before 20");
	pki_free(&old);
	pki_free(&young);
}

static void what_does_not_speak_tls_is_said(void **state)
{
	struct fixture *f = *state;

	f->peer.plain = "HTTP/1.1 400 Bad Request\r\n";
	assert_int_equal(connect_to(f, NULL, "127.0.0.1"), ERR_CONFIG);
	SAYS(f, "is this a plaintext port?");
	finish(f);
	assert_true(connect_to(f, NULL, "127.0.0.1") < 0);
	assert_int_not_equal(f->e.code, ERR_CONFIG);	/* it may have been cut just so: tried again soon */
	SAYS(f, "is this a plaintext port?");
}

static void a_wanted_client_certificate_is_said(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct fixture *f = *state;
	char answer[16];
	size_t n;

	for (size_t i = 0; i < COUNT(versions); i++) {
		SSL_CTX *ctx = server(&f->leaf);
		int rc;

		SSL_CTX_set_max_proto_version(ctx, versions[i]);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		rc = connect_to(f, ctx, "127.0.0.1");
		/* With TLS 1.3 the broker's refusal comes after the handshake. */
		if (rc == 0)
			rc = read_answer(f, answer, sizeof answer, &n);
		assert_int_equal(rc, ERR_CONFIG);
		SAYS(f, "client certificate");
		SAYS(f, "ssl.keystore.location");
		finish(f);
	}
}

static void a_client_certificate_that_is_not_taken_is_said(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = server(&f->leaf);
	char answer[16];
	size_t n;

	show_own(f);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), f->other.x);
	if (connect_to(f, ctx, "127.0.0.1") == 0)
		assert_int_equal(read_answer(f, answer, sizeof answer, &n), ERR_CONFIG);
	SAYS(f, "does not take this client's certificate (ssl.keystore.*)");
}

static void no_common_version_is_said(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = server(&f->leaf);

	f->conf.protocols = "TLSv1.3";
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	assert_int_equal(connect_to(f, ctx, "127.0.0.1"), ERR_CONFIG);
	SAYS(f, "the broker speaks no TLS version of ssl.enabled.protocols: TLSv1.3");
}

static void suites_go_by_both_names_and_bind_their_version(void **state)
{
	struct fixture *f = *state;

	f->conf.ciphers = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
	assert_int_equal(connect_to(f, server(&f->leaf), "127.0.0.1"), 0);
	finish(f);
	f->conf.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256, TLS_AES_128_GCM_SHA256";
	assert_int_equal(connect_to(f, server(&f->leaf), "127.0.0.1"), 0);
	finish(f);
	f->conf.ciphers = "TLS_AES_128_GCM_SHA256";
	f->conf.protocols = "TLSv1.2";
	assert_int_equal(tls_check(&f->conf, &f->e), ERR_CONFIG);
	SAYS(f, "none of them fits ssl.enabled.protocols");
	f->conf.ciphers = "TLS_AES_128_GCM_SHA256,TLS_NO_SUCH_SUITE";
	assert_int_equal(tls_check(&f->conf, &f->e), ERR_CONFIG);
	SAYS(f, "\"TLS_NO_SUCH_SUITE\" is not known");
	f->conf.protocols = "TLSv1.1";
	assert_int_equal(tls_check(&f->conf, &f->e), ERR_CONFIG);
	SAYS(f, "there are TLSv1.2 and TLSv1.3");
}

static void keys_that_do_not_fit_are_said(void **state)
{
	struct fixture *f = *state;
	char *key = pki_key_pem(&f->leaf, NULL), *locked = pki_key_pem(&f->client, "right");

	show_own(f);
	f->conf.own_key.pem = key;
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "ssl.keystore.key: the private key does not belong to the certificate");
	f->conf.own_key.pem = locked;
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "needs ssl.key.password");
	f->conf.password = "hunter2-wrong";
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "does not open with ssl.key.password");
	assert_null(strstr(f->e.text, "hunter2"));
	f->conf.own_key.pem = f->client_pem;
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "no private key in it");
	f->conf.own_key.pem = NULL;
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "ssl.keystore.certificate.chain is given, ssl.keystore.key is not");
	mem_free(key);
	mem_free(locked);
}

static void ones_own_expired_certificate_is_said(void **state)
{
	struct fixture *f = *state;
	struct pki_cert old = pki_leaf(&f->ca, "client", NULL, -2 * DAY, -DAY);
	char *pem = pki_pem(&old), *key = pki_key_pem(&old, NULL);

	f->conf.chain.pem = pem;
	f->conf.own_key.pem = key;
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "this client's own certificate expired at 20");
	mem_free(pem);
	mem_free(key);
	pki_free(&old);
}

static void binary_stores_are_refused_with_the_command_that_converts_them(void **state)
{
	static const char jks[] = "\xfe\xed\xfe\xed rest", p12[] = "\x30\x82\x01\x02 rest";
	struct fixture *f = *state;
	char path[100];

	snprintf(path, sizeof path, "%s/store.pem", f->dir);
	f->conf.trust = (struct tls_source){ "ssl.truststore.location", path, NULL };
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "o such file");
	pki_write(path, jks, NULL);
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "keytool -list -rfc -keystore");
	pki_write(path, p12, NULL);
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "openssl pkcs12 -in");
	pki_write(path, "nothing of use\n", NULL);
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "no certificate in it");
	pki_write(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", NULL);
	assert_int_equal(tls_open(&f->conf, &f->tls, &f->e), ERR_CONFIG);
	SAYS(f, "damaged");
}

/* --- security: files that change --- */

static int handshake_with(struct fixture *f, struct security *s)
{
	int pair[2], rc;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	f->fd = pair[0];
	fcntl(f->fd, F_SETFL, O_NONBLOCK);
	f->peer.fd = pair[1];
	f->peer.ctx = server(&f->leaf);
	assert_int_equal(pthread_create(&f->peer.thread, NULL, serve, &f->peer), 0);
	assert_int_equal(security_tls(s, f->fd, "127.0.0.1", &f->conn, &f->e), 0);
	while ((rc = tls_handshake(f->conn, &f->e)) == 0)
		wait_for(f, false);
	finish(f);
	return rc > 0 ? 0 : rc;
}

static void a_file_that_changed_is_taken_up_and_a_broken_one_is_not(void **state)
{
	struct fixture *f = *state;
	struct producer_config *c = producer_config_new();
	struct security *s;
	char path[100], note[400];

	snprintf(path, sizeof path, "%s/store.pem", f->dir);
	assert_int_equal(producer_config_set(c, "security.protocol", "SSL", NULL), 0);
	assert_int_equal(producer_config_set(c, "ssl.truststore.location", path, NULL), 0);
	assert_int_equal(security_new(c, &s, &f->e), 0);
	assert_int_equal(security_prepare(s, &f->e), ERR_CONFIG);
	SAYS(f, "o such file");
	pki_write(path, f->other_pem, NULL);
	assert_int_equal(security_prepare(s, &f->e), 0);
	assert_int_equal(handshake_with(f, s), ERR_CONFIG);
	pki_write(path, f->other_pem, f->ca_pem);
	assert_int_equal(security_prepare(s, &f->e), 0);
	assert_int_equal(handshake_with(f, s), 0);
	pki_write(path, "half a fi", NULL);
	assert_int_equal(security_prepare(s, &f->e), 0);
	assert_int_equal(handshake_with(f, s), 0);
	security_note(s, note, sizeof note);
	assert_non_null(strstr(note, "no certificate in it"));
	assert_non_null(strstr(note, "what was there before goes on"));
	pki_write(path, f->ca_pem, NULL);
	assert_int_equal(security_prepare(s, &f->e), 0);
	security_note(s, note, sizeof note);
	assert_string_equal(note, "");
	security_unref(s);
	producer_config_free(c);
}

static void a_configuration_without_files_is_judged_at_once(void **state)
{
	struct fixture *f = *state;
	struct producer_config *c = producer_config_new();
	struct security *s = NULL;

	assert_int_equal(security_new(c, &s, &f->e), 0);
	assert_null(s);		/* PLAINTEXT */
	assert_int_equal(producer_config_set(c, "security.protocol", "SASL_SSL", NULL), 0);
	assert_int_equal(security_new(c, &s, &f->e), ERR_CONFIG);
	SAYS(f, "sasl.mechanism is required");
	assert_int_equal(producer_config_set(c, "security.protocol", "SSL", NULL), 0);
	assert_int_equal(producer_config_set(c, "ssl.cipher.suites", "NONE-OF-THESE", NULL), 0);
	assert_int_equal(security_new(c, &s, &f->e), ERR_CONFIG);
	SAYS(f, "NONE-OF-THESE");
	producer_config_free(c);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	T(names_and_addresses_of_the_certificate_are_good),
	T(a_host_name_that_is_not_asked_for_is_not_checked),
	T(small_pieces_share_a_record_and_arrive_in_order),
	T(a_full_socket_doubles_and_loses_nothing),
	T(a_client_certificate_is_shown_and_its_key_opened),
	T(another_ca_is_said),
	T(another_host_name_is_said_with_both),
	T(an_expired_certificate_is_said_with_its_day),
	T(what_does_not_speak_tls_is_said),
	T(a_wanted_client_certificate_is_said),
	T(a_client_certificate_that_is_not_taken_is_said),
	T(no_common_version_is_said),
	T(suites_go_by_both_names_and_bind_their_version),
	T(keys_that_do_not_fit_are_said),
	T(ones_own_expired_certificate_is_said),
	T(binary_stores_are_refused_with_the_command_that_converts_them),
	T(a_file_that_changed_is_taken_up_and_a_broken_one_is_not),
	T(a_configuration_without_files_is_judged_at_once),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

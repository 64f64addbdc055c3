/* test_token.c - tokens out of files and out of token endpoints; the endpoint is a thread here, with TLS where it matters.
 *
 * The certificates are made anew in each run: a CA, a leaf for localhost and 127.0.0.1, a leaf for another name.
 */
#include "producer/token.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "producer/http.h"
#include "tests/lib/unit.h"

#define BODY "{\"access_token\":\"abc.def\",\"token_type\":\"Bearer\",\"expires_in\":300}"
#define PLAIN_ANSWER "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 65\r\n\r\n" BODY
/* {"exp":4102444800} and {"sub":"x"} */
#define JWT "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln"
#define JWT_NO_EXP "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"

static struct err e;

/* --- certificates --- */

struct identity { EVP_PKEY *key; X509 *cert; };

static struct identity make_identity(const char *name, const char *san, const struct identity *issuer)
{
	struct identity id = { EVP_EC_gen("P-256"), X509_new() };
	X509_NAME *subject = X509_NAME_new();
	static long serial = 1;

	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_version(id.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(id.cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(id.cert), 3600);
	X509_set_subject_name(id.cert, subject);
	X509_set_issuer_name(id.cert, issuer ? X509_get_subject_name(issuer->cert) : subject);
	X509_set_pubkey(id.cert, id.key);
	X509_add1_ext_i2d(id.cert, NID_basic_constraints, &(BASIC_CONSTRAINTS){ .ca = issuer ? 0 : 0xff }, 1, 0);
	if (san) {
		X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);

		X509_add_ext(id.cert, x, -1);
		X509_EXTENSION_free(x);
	}
	assert_true(X509_sign(id.cert, issuer ? issuer->key : id.key, EVP_sha256()) > 0);
	X509_NAME_free(subject);
	return id;
}

static struct identity ca, here, elsewhere;
static char *ca_pem, dir[] = "/tmp/spillway-token-XXXXXX", ca_file[64], token_file[64];

static int setup_all(void **state)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;
	long n;
	FILE *f;

	(void)state;
	ca = make_identity("test CA", NULL, NULL);
	here = make_identity("here", "DNS:localhost,IP:127.0.0.1", &ca);
	elsewhere = make_identity("elsewhere", "DNS:elsewhere.example", &ca);
	PEM_write_bio_X509(b, ca.cert);
	n = BIO_get_mem_data(b, &text);
	ca_pem = calloc(1, (size_t)n + 1);	/* what OpenSSL holds does not end in NUL */
	memcpy(ca_pem, text, (size_t)n);
	BIO_free(b);
	if (!mkdtemp(dir))
		return -1;
	snprintf(ca_file, sizeof ca_file, "%s/ca.pem", dir);
	snprintf(token_file, sizeof token_file, "%s/token", dir);
	f = fopen(ca_file, "w");
	fputs(ca_pem, f);
	return fclose(f);
}

static int teardown_all(void **state)
{
	struct identity *all[] = { &ca, &here, &elsewhere };

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		EVP_PKEY_free(all[i]->key);
		X509_free(all[i]->cert);
	}
	free(ca_pem);
	unlink(ca_file);
	unlink(token_file);
	return rmdir(dir);
}

/* --- an endpoint: answers each connection with the next of its answers, and keeps what it was asked --- */

struct endpoint {
	int       sock;
	uint16_t  port;
	pthread_t thread;
	const struct identity *id;	/* NULL: without TLS */
	int       tls_max;		/* 0: the newest */
	bool      abrupt;		/* ends its connections without TLS's word for it */
	const char *answers[4];		/* ends with NULL; "" keeps silent until the client goes */
	char      asked[2][4000];
	char      url[80];
};

/* Reads one whole request: head and the body it announces. */
static void read_request(BIO *b, char *to, size_t cap)
{
	size_t n = 0;
	const char *end = NULL, *length;

	while (n < cap - 1 && (!end || (length && strlen(end + 4) < strtoul(length + 16, NULL, 10)))) {
		int got = BIO_read(b, to + n, (int)(cap - 1 - n));

		if (got <= 0)
			return;
		n += (size_t)got;
		to[n] = 0;
		end = strstr(to, "\r\n\r\n");
		length = strstr(to, "Content-Length: ");
	}
}

static BIO *accept_link(SSL_CTX *ctx, int fd)
{
	BIO *b = BIO_new_socket(fd, BIO_CLOSE);

	if (ctx) {
		BIO *tls = BIO_new_ssl(ctx, 0);

		b = BIO_push(tls, b);
		if (BIO_do_handshake(b) <= 0) {
			BIO_free_all(b);
			return NULL;
		}
	}
	return b;
}

static void *serve(void *arg)
{
	struct endpoint *s = arg;
	SSL_CTX *ctx = s->id ? SSL_CTX_new(TLS_server_method()) : NULL;

	if (ctx) {
		SSL_CTX_use_certificate(ctx, s->id->cert);
		SSL_CTX_use_PrivateKey(ctx, s->id->key);
		SSL_CTX_set_security_level(ctx, 0);
		if (s->tls_max)
			SSL_CTX_set_max_proto_version(ctx, s->tls_max);
	}
	for (size_t i = 0; s->answers[i]; i++) {
		int fd = accept(s->sock, NULL, NULL);
		BIO *b = fd < 0 ? NULL : accept_link(ctx, fd);
		char c;

		if (!b)
			continue;
		read_request(b, s->asked[i % 2], sizeof s->asked[0]);
		if (*s->answers[i])
			BIO_write(b, s->answers[i], (int)strlen(s->answers[i]));
		else
			BIO_read(b, &c, 1);
		if (ctx) {
			SSL *ssl;

			BIO_get_ssl(b, &ssl);
			if (s->abrupt)
				SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
			else
				SSL_shutdown(ssl);
		}
		BIO_free_all(b);
	}
	SSL_CTX_free(ctx);
	return NULL;
}

static void endpoint_open(struct endpoint *s, const char *host)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;

	s->sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->sock, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(s->sock, 8), 0);
	assert_int_equal(getsockname(s->sock, (struct sockaddr *)&a, &n), 0);
	s->port = ntohs(a.sin_port);
	snprintf(s->url, sizeof s->url, "%s://%s:%d/oauth/token?x=1", s->id ? "https" : "http", host, s->port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void endpoint_close(struct endpoint *s)
{
	shutdown(s->sock, SHUT_RDWR);	/* ends an accept that nobody answers */
	pthread_join(s->thread, NULL);
	close(s->sock);
}

/* --- asking --- */

static struct token_conf conf_of(const struct endpoint *s)
{
	return (struct token_conf){ .url = s->url, .client_id = "me", .client_secret = "hush", .connect_timeout_ms = 5000,
				    .read_timeout_ms = 5000 };
}

static int64_t expires;

static int get(const struct token_conf *c, char *ret, size_t cap)
{
	struct buf b;
	int rc;

	memset(&e, 0, sizeof e);
	expires = -1;
	buf_init(&b, 100000);
	rc = token_get(c, &b, &expires, &e);
	snprintf(ret, cap, "%s", b.data ? b.data : "");
	buf_release(&b);
	assert_null(strstr(e.text, "hush"));
	assert_null(strstr(e.text, "abc.def"));
	return rc;
}

/* The one answer gives this code and, behind the endpoint's name, these words. */
static void assert_answer_fails(const char *answer, int code, const char *words)
{
	struct endpoint s = { .answers = { answer } };
	char token[100], *colon;
	struct token_conf c;

	endpoint_open(&s, "127.0.0.1");
	c = conf_of(&s);
	assert_int_equal(get(&c, token, sizeof token), code);
	endpoint_close(&s);
	assert_string_equal(token, "");
	colon = strstr(e.text, ": ");
	assert_memory_equal(e.text, "token endpoint 127.0.0.1:", 25);
	assert_string_equal(colon ? colon + 2 : "", words);
}

static void an_https_endpoint_is_asked_as_the_rfc_says(void **state)
{
	struct endpoint s = { .id = &here, .answers = { PLAIN_ANSWER } };
	char token[100];
	struct token_conf c;
	int64_t before = clock_wall_ms();

	(void)state;
	endpoint_open(&s, "localhost");
	c = conf_of(&s);
	c.ca_certificates = ca_pem;
	c.scope = "kafka write";
	if (get(&c, token, sizeof token) < 0)
		fail_msg("%s", e.text);
	endpoint_close(&s);
	assert_string_equal(token, "abc.def");
	assert_true(expires >= before + 300000 && expires <= clock_wall_ms() + 300000);
	assert_memory_equal(s.asked[0], "POST /oauth/token?x=1 HTTP/1.1\r\n", 32);
	assert_non_null(strstr(s.asked[0], "\r\nAuthorization: Basic bWU6aHVzaA==\r\n"));
	assert_non_null(strstr(s.asked[0], "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
	assert_non_null(strstr(s.asked[0], "\r\nHost: localhost:"));
	assert_non_null(strstr(s.asked[0], "\r\n\r\ngrant_type=client_credentials&scope=kafka%20write"));
}

static void addresses_and_ca_files_are_fine_too(void **state)
{
	struct endpoint s = { .id = &here, .answers = { PLAIN_ANSWER } };
	char token[100];
	struct token_conf c;

	(void)state;
	endpoint_open(&s, "127.0.0.1");
	c = conf_of(&s);
	c.ca_location = ca_file;
	assert_int_equal(get(&c, token, sizeof token), 0);
	endpoint_close(&s);
	assert_string_equal(token, "abc.def");
	assert_non_null(strstr(s.asked[0], "grant_type=client_credentials"));
	assert_null(strstr(s.asked[0], "scope"));
}

static void nothing_is_said_to_an_endpoint_that_is_not_proven(void **state)
{
	static const struct { const struct identity *id; bool ca; int tls_max; const char *words; int code; } bad[] = {
		{ &here, false, 0, "its certificate is not trusted: unable to get local issuer certificate", ERR_CONFIG },
		{ &elsewhere, true, 0, "its certificate is not trusted: hostname mismatch", ERR_CONFIG },
		{ &here, true, TLS1_1_VERSION, NULL, ERR_UNAVAILABLE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct endpoint s = { .id = bad[i].id, .tls_max = bad[i].tls_max, .answers = { PLAIN_ANSWER } };
		char token[100];
		struct token_conf c;

		endpoint_open(&s, "localhost");
		c = conf_of(&s);
		if (bad[i].ca)
			c.ca_location = ca_file;
		assert_int_equal(get(&c, token, sizeof token), bad[i].code);
		endpoint_close(&s);
		assert_string_equal(s.asked[0], "");
		if (bad[i].words)
			assert_string_equal(strstr(e.text, ": ") + 2, bad[i].words);
	}
}

static void bad_trust_is_said_before_anything_is_sent(void **state)
{
	struct token_conf c = { .url = "https://localhost:1/", .client_id = "a", .client_secret = "b", .connect_timeout_ms = 1000,
				.read_timeout_ms = 1000, .ca_certificates = "nonsense" };
	char token[10];

	(void)state;
	assert_int_equal(get(&c, token, sizeof token), ERR_CONFIG);
	assert_string_equal(e.text, "token endpoint localhost:1: ssl.truststore.certificates holds no PEM certificate");
	c.ca_location = "/no/such/file";
	assert_int_equal(get(&c, token, sizeof token), ERR_CONFIG);
	assert_string_equal(e.text, "token endpoint localhost:1: no certificates can be read from /no/such/file "
			    "(ssl.truststore.location)");
}

static void answers_come_chunked_late_or_until_the_end(void **state)
{
	static const char *const good[] = {
		("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n10;x=y\r\n{\"access_token\":\r\n0A\r\n"
		 "\"abc.def\"}\r\n0\r\n\r\n"),
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\n\r\n{\"access_token\": \" abc.def\\n\", \"expires_in\": \"60\"}",
		"HTTP/1.0 200 OK\nContent-length:  26 \n\n{\"access_token\":\"abc.def\"}and more",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct endpoint s = { .answers = { good[i] } };
		char token[100];
		struct token_conf c;

		endpoint_open(&s, "127.0.0.1");
		c = conf_of(&s);
		if (get(&c, token, sizeof token) < 0)
			fail_msg("%zu: %s", i, e.text);
		endpoint_close(&s);
		assert_string_equal(token, "abc.def");
		assert_true(i == 1 ? expires < clock_wall_ms() + 61000 : expires == INT64_MAX);
	}
}

static void refusals_are_said_in_the_endpoints_words(void **state)
{
	(void)state;
	assert_answer_fails("HTTP/1.1 401 Unauthorized\r\nContent-Length: 77\r\n\r\n"
			    "{\"error\":\"invalid_client\",\"error_description\":\"no client\\nof that name here\"}", ERR_CONFIG,
			    "it answers 401 invalid_client (no client?of that name here)");
	assert_answer_fails("HTTP/1.1 403 No\r\n\r\n{\"errorCode\":\"E1\",\"errorSummary\":\"hush is not it\"}", ERR_CONFIG,
			    "it answers 403 E1");
	assert_answer_fails("HTTP/1.1 503 Later\r\n\r\n<html>", ERR_UNAVAILABLE, "it answers 503");
	assert_answer_fails("HTTP/1.1 429 Slow\r\n\r\n", ERR_UNAVAILABLE, "it answers 429");
	assert_answer_fails("HTTP/1.1 302 Found\r\nLocation: https://x/\r\n\r\n", ERR_CONFIG,
			    "it answers 302 (it wants to redirect; give the address where it leads)");
}

static void answers_that_make_no_sense_are_bad_data(void **state)
{
	static const char *const no_http = "it answers with something that is no whole HTTP response";

	(void)state;
	assert_answer_fails("HTTP/1.1 200 OK\r\n\r\n[]", ERR_BAD_DATA, "its answer is no JSON object");
	assert_answer_fails("HTTP/1.1 200 OK\r\n\r\n{}", ERR_BAD_DATA, "its answer holds no access_token");
	assert_answer_fails("HTTP/1.1 200 OK\r\n\r\n{\"access_token\":7}", ERR_BAD_DATA, "its answer holds no access_token");
	assert_answer_fails("HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"a b\"}", ERR_BAD_DATA, "its access_token holds no token");
	assert_answer_fails("HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"\"}", ERR_BAD_DATA, "its access_token is empty");
	assert_answer_fails("HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"abc.def\",\"token_type\":\"mac\"}", ERR_BAD_DATA,
			    "its token is not of type Bearer");
	assert_answer_fails("SSH-2.0-x\r\n", ERR_BAD_DATA, no_http);
	assert_answer_fails("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ERR_BAD_DATA, no_http);
	assert_answer_fails("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\n{}", ERR_BAD_DATA, no_http);
	assert_answer_fails("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}", ERR_BAD_DATA, no_http);
	assert_answer_fails("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ERR_BAD_DATA, no_http);
	assert_answer_fails("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}x0\r\n\r\n", ERR_BAD_DATA, no_http);
}

/* Without a length only TLS itself can tell the end from a cut. */
static void an_answer_that_is_cut_off_inside_tls_is_not_taken(void **state)
{
	(void)state;
	for (int abrupt = 0; abrupt <= 1; abrupt++) {
		struct endpoint s = { .id = &here, .abrupt = abrupt, .answers = { "HTTP/1.1 200 OK\r\n\r\n" BODY } };
		char token[100];
		struct token_conf c;

		endpoint_open(&s, "localhost");
		c = conf_of(&s);
		c.ca_location = ca_file;
		assert_int_equal(get(&c, token, sizeof token), abrupt ? ERR_BAD_DATA : 0);
		endpoint_close(&s);
	}
}

static void an_endless_answer_is_cut_off(void **state)
{
	static char endless[300 * 1024];

	(void)state;
	memset(endless, 'x', sizeof endless - 1);
	memcpy(endless, "HTTP/1.1 200 OK\r\n\r\n", 19);
	assert_answer_fails(endless, ERR_BAD_DATA, "it answers with more than 262144 bytes");
}

static void a_silent_endpoint_and_none_at_all_are_unavailable(void **state)
{
	struct endpoint s = { .answers = { "" } };
	char token[10];
	struct token_conf c;
	int64_t begin = clock_mono_ms();

	(void)state;
	endpoint_open(&s, "localhost");
	c = conf_of(&s);
	c.read_timeout_ms = 50;
	assert_int_equal(get(&c, token, sizeof token), ERR_UNAVAILABLE);
	assert_string_equal(strstr(e.text, ": ") + 2, "waiting for the answer timed out");
	assert_true(clock_mono_ms() - begin < 20000);
	endpoint_close(&s);
	/* The port is free now. */
	assert_int_equal(get(&c, token, sizeof token), ERR_UNAVAILABLE);
	assert_non_null(strstr(e.text, "cannot connect: Connection refused"));
}

/* Characters that form encoding changes: as the RFC says first, as Java's client does when that was refused. */
static void a_secret_is_encoded_and_if_refused_sent_as_it_is(void **state)
{
	struct endpoint s = { .answers = { "HTTP/1.1 401 No\r\n\r\n{\"error\":\"invalid_client\"}", PLAIN_ANSWER } };
	char token[100];
	struct token_conf c;

	(void)state;
	endpoint_open(&s, "127.0.0.1");
	c = conf_of(&s);
	c.client_secret = "hu/sh +";
	if (get(&c, token, sizeof token) < 0)
		fail_msg("%s", e.text);
	endpoint_close(&s);
	assert_non_null(strstr(s.asked[0], "Basic bWU6aHUlMkZzaCUyMCUyQg==\r\n"));	/* me:hu%2Fsh%20%2B */
	assert_non_null(strstr(s.asked[1], "Basic bWU6aHUvc2ggKw==\r\n"));		/* me:hu/sh + */
}

static void what_cannot_be_asked_is_a_matter_of_configuration(void **state)
{
	struct token_conf c = { .url = "http://example.org/", .client_id = "a", .client_secret = "b" };
	char token[10];

	(void)state;
	assert_int_equal(get(&c, token, sizeof token), ERR_CONFIG);
	assert_int_equal(token_get(&c, &(struct buf){ .max = 9 }, &expires, NULL), ERR_CONFIG);
	c = (struct token_conf){ .url = "https://localhost/", .client_id = "a" };
	assert_int_equal(get(&c, token, sizeof token), ERR_CONFIG);
	assert_string_equal(e.text, "token endpoint localhost: a client id and a client secret are needed");
	c = (struct token_conf){ .url = NULL };
	assert_int_equal(get(&c, token, sizeof token), ERR_CONFIG);
	assert_string_equal(e.text, "neither a token endpoint nor a token file is given");
}

/* --- files --- */

static void write_token(const char *text)
{
	FILE *f = fopen(token_file, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void a_file_gives_its_token_without_blanks_and_its_end(void **state)
{
	struct token_conf c = { .file = token_file };
	char token[200], url[100];

	(void)state;
	write_token(" \n" JWT "\r\n");
	assert_int_equal(get(&c, token, sizeof token), 0);
	assert_string_equal(token, JWT);
	assert_true(expires == 4102444800000);
	snprintf(url, sizeof url, "file://%s", token_file);
	c = (struct token_conf){ .url = url };
	write_token(JWT_NO_EXP);
	assert_int_equal(get(&c, token, sizeof token), 0);
	assert_string_equal(token, JWT_NO_EXP);
	assert_true(expires == INT64_MAX);
	write_token("opaque");
	assert_int_equal(get(&c, token, sizeof token), 0);
	assert_true(expires == INT64_MAX);
}

static void a_file_without_a_token_is_said(void **state)
{
	static const char *const bad[][2] = { { "", "is empty" }, { "\n \n", "is empty" }, { "a b", "holds no token" },
		{ "hush\1", "holds no token" } };
	struct token_conf c = { .file = token_file };
	char token[10], words[200];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		write_token(bad[i][0]);
		assert_int_equal(get(&c, token, sizeof token), ERR_BAD_DATA);
		snprintf(words, sizeof words, "token file %s %s", token_file, bad[i][1]);
		assert_string_equal(e.text, words);
	}
	unlink(token_file);
	assert_int_equal(get(&c, token, sizeof token), ERR_UNAVAILABLE);
	snprintf(words, sizeof words, "token file %s: No such file or directory", token_file);
	assert_string_equal(e.text, words);
	c.file = dir;
	assert_int_equal(get(&c, token, sizeof token), ERR_UNAVAILABLE);
	assert_int_equal(mkfifo(token_file, 0600), 0);
	c.file = token_file;
	assert_int_equal(get(&c, token, sizeof token), ERR_UNAVAILABLE);
	assert_non_null(strstr(e.text, "it is no regular file"));
	unlink(token_file);
}

/* --- URLs --- */

static void urls_are_taken_apart(void **state)
{
	static const char *const good[][5] = {
		{ "https://a.example", "a.example", "443", "a.example", "" },
		{ "HTTPS://a:8443/p?q=1", "a", "8443", "a:8443", "/p?q=1" },
		{ "https://[2001:db8::1]:9/x", "2001:db8::1", "9", "[2001:db8::1]:9", "/x" },
		{ "http://[::1]/", "::1", "80", "[::1]", "/" }, { "http://LOCALHOST?x", "LOCALHOST", "80", "LOCALHOST", "?x" },
		{ "http://127.1.2.3:5", "127.1.2.3", "5", "127.1.2.3:5", "" },
	};
	static const char *const bad[] = { "", "a", "ftp://a", "https:/a", "https://", "https:///p", "https://:1", "https://a:",
		"https://a:0", "https://a:65536", "https://a:1x", "https://[::1", "https://[]", "https://[::1]x", "https://u@a",
		"https://a/ b", "https://a/\r\nX: y", "https://a/#f", "http://a", "http://127.0.0.1.evil.example",
				"http://localhost.evil",
		"http://1270.0.0.1" };
	struct http_url u;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(http_url_parse(good[i][0], &u, &e), 0);
		assert_string_equal(u.host, good[i][1]);
		assert_string_equal(u.port, good[i][2]);
		assert_string_equal(u.authority, good[i][3]);
		assert_string_equal(u.target, good[i][4]);
		assert_int_equal(u.tls, good[i][0][4] == 's' || good[i][0][4] == 'S');
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(http_url_parse(bad[i], &u, &e), ERR_CONFIG);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_https_endpoint_is_asked_as_the_rfc_says),
	cmocka_unit_test(addresses_and_ca_files_are_fine_too),
	cmocka_unit_test(nothing_is_said_to_an_endpoint_that_is_not_proven),
	cmocka_unit_test(bad_trust_is_said_before_anything_is_sent),
	cmocka_unit_test(answers_come_chunked_late_or_until_the_end),
	cmocka_unit_test(refusals_are_said_in_the_endpoints_words),
	cmocka_unit_test(answers_that_make_no_sense_are_bad_data),
	cmocka_unit_test(an_answer_that_is_cut_off_inside_tls_is_not_taken),
	cmocka_unit_test(an_endless_answer_is_cut_off),
	cmocka_unit_test(a_silent_endpoint_and_none_at_all_are_unavailable),
	cmocka_unit_test(a_secret_is_encoded_and_if_refused_sent_as_it_is),
	cmocka_unit_test(what_cannot_be_asked_is_a_matter_of_configuration),
	cmocka_unit_test(a_file_gives_its_token_without_blanks_and_its_end),
	cmocka_unit_test(a_file_without_a_token_is_said),
	cmocka_unit_test(urls_are_taken_apart),
};

/* test_main has no setup of a whole group. */
int main(int argc, char **argv)
{
	int rc = setup_all(NULL);

	rc = rc ? rc : test_main(argc, argv, tests, COUNT(tests));
	return teardown_all(NULL) || rc;
}

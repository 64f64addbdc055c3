/* test_sasl.c - the mechanisms against known exchanges, a lying server, and short memory.
 *
 * The exchanges: RFC 7677 section 3 for SCRAM-SHA-256; for SHA-512 the same computed with Python's hashlib and hmac.
 */
#include "producer/sasl.h"

#include <string.h>

#include "agent/base/mem.h"
#include "producer/base64.h"
#include "producer/scram.h"
#include "tests/lib/unit.h"

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SERVER_FIRST "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define JWT "eyJh.e30.c2ln"

static struct err e;

/* --- SCRAM --- */

static void begin(struct scram *s)
{
	char *out;

	assert_int_equal(scram_init(s, false, "user", "pencil", NONCE, NULL, &e), 0);
	assert_int_equal(scram_step(s, NULL, 0, &out, &e), SASL_SEND);
	assert_string_equal(out, "n,,n=user,r=" NONCE);
	mem_free(out);
}

static int say(struct scram *s, const char *text, char **out)
{
	memset(&e, 0, sizeof e);
	return scram_step(s, text, strlen(text), out, &e);
}

static void scram_sha_256_is_the_exchange_of_the_rfc(void **state)
{
	struct scram s;
	char *out;

	(void)state;
	begin(&s);
	assert_int_equal(say(&s, SERVER_FIRST, &out), SASL_SEND);
	assert_string_equal(out, "c=biws,r=" SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
	mem_free(out);
	assert_int_equal(say(&s, SERVER_FINAL, &out), SASL_DONE);
	assert_null(out);
	assert_int_equal(say(&s, SERVER_FINAL, &out), ERR_BAD_DATA);
	scram_release(&s);
}

/* Also: ',' and '=' in the name, a delegation token's extension, extensions of the server that nobody knows. */
static void scram_sha_512_escapes_names_and_shows_delegation_tokens(void **state)
{
	struct scram s;
	char *out;

	(void)state;
	assert_int_equal(scram_init(&s, true, "a,b=c", "pencil", NONCE, "tokenauth=true", &e), 0);
	assert_int_equal(scram_step(&s, NULL, 0, &out, &e), SASL_SEND);
	assert_string_equal(out, "n,,n=a=2Cb=3Dc,r=" NONCE ",tokenauth=true");
	mem_free(out);
	assert_int_equal(say(&s, "r=" NONCE "02431b08-2f0c-4bad-a4f1-c0,s=YTBiOWVmODItZTQyMi00NjBl,i=5000", &out), SASL_SEND);
	assert_string_equal(out, "c=biws,r=" NONCE "02431b08-2f0c-4bad-a4f1-c0,p=P/ivlpTwLoFBGGKW4fh+T0FL/SQIQZkyTjhnwvnkm4JO"
			    "LhfdkloEqs+JzwveDd+IPoqhp/o5/0auvFjAMV0OPA==");
	mem_free(out);
	assert_int_equal(say(&s, "v=uFDFUqBPrRTC697/qTnxfp92wptYgacPXjw7JlefVTLfADPNIL0+nnc1ScFK938ydFe18X/XELVeVacWihLmQA==,x=y",
			     &out), SASL_DONE);
	scram_release(&s);
}

static void a_server_first_that_makes_no_sense_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "", "SCRAM: the broker's first message is malformed" },
		{ "r=" SERVER_NONCE, "SCRAM: the broker's first message is malformed" },
		{ "r=" SERVER_NONCE ",i=4096,s=QQ==", "SCRAM: the broker's first message is malformed" },
		{ "m=x,r=" SERVER_NONCE ",s=QQ==,i=4096", "SCRAM: the broker's first message asks for an extension that "
				"is not known" },
		{ "r=" NONCE ",s=QQ==,i=4096", "SCRAM: the broker's nonce does not continue ours" },
		{ "r=xOprNGfwEbeRWgbNEkqOabc,s=QQ==,i=4096", "SCRAM: the broker's nonce does not continue ours" },
		{ "r=" NONCE "\x7f,s=QQ==,i=4096", "SCRAM: the broker's nonce is malformed" },
		{ "r=" SERVER_NONCE ",s=,i=4096", "SCRAM: the broker's salt is malformed" },
		{ "r=" SERVER_NONCE ",s=QQ,i=4096", "SCRAM: the broker's salt is malformed" },
		{ "r=" SERVER_NONCE ",s=QQ==,i=", "SCRAM: the broker's iteration count is malformed" },
		{ "r=" SERVER_NONCE ",s=QQ==,i=4096x", "SCRAM: the broker's iteration count is malformed" },
		{ "r=" SERVER_NONCE ",s=QQ==,i=-1", "SCRAM: the broker's iteration count is malformed" },
		{ "r=" SERVER_NONCE ",s=QQ==,i=4095", "SCRAM: the broker asks for 4095 iterations, 4096 to 1000000 are taken" },
		{ "r=" SERVER_NONCE ",s=QQ==,i=1000001", "SCRAM: the broker asks for 1000001 iterations, 4096 to 1000000 "
				"are taken" },
		{ "r=" SERVER_NONCE ",s=QQ==,i=99999999999999999999",
		  "SCRAM: the broker asks for 99999999999999999999 iterations, 4096 to 1000000 are taken" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct scram s;
		char *out;

		begin(&s);
		assert_int_equal(say(&s, bad[i][0], &out), ERR_BAD_DATA);
		assert_string_equal(e.text, bad[i][1]);
		assert_null(out);
		scram_release(&s);
	}
}

static void a_server_that_does_not_know_the_password_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "SCRAM: the broker's signature is malformed" },
		{ "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		  "SCRAM: the broker's signature is wrong: it does not know the password" },
		{ "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==", "SCRAM: the broker's signature is malformed" },
		{ "v=", "SCRAM: the broker's signature is malformed" },
		{ "", "SCRAM: the broker's last message is malformed" },
		{ "e=invalid-proof", "SCRAM: the broker says \"invalid-proof\"" },
		{ "e=\x1b[31m", "SCRAM: the broker says \"?[31m\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct scram s;
		char *out;

		begin(&s);
		assert_int_equal(say(&s, SERVER_FIRST, &out), SASL_SEND);
		mem_free(out);
		assert_int_equal(say(&s, bad[i][0], &out), ERR_BAD_DATA);
		assert_string_equal(e.text, bad[i][1]);
		scram_release(&s);
	}
}

static void two_exchanges_never_use_the_same_nonce(void **state)
{
	struct scram a, b;

	(void)state;
	assert_int_equal(scram_init(&a, false, "u", "p", NULL, NULL, &e), 0);
	assert_int_equal(scram_init(&b, false, "u", "p", NULL, NULL, &e), 0);
	assert_string_not_equal(a.nonce, b.nonce);
	assert_int_equal(strlen(a.nonce), 32);
	assert_null(strchr(a.nonce, ','));
	scram_release(&a);
	scram_release(&b);
}

static void base64_is_strict(void **state)
{
	static const char *const bad[] = { "QQ=", "QQ", "Q===", "====", "QR==", "QUJ=", "QU JD", "QUJD\n", "QQ==QQ==", "QUI-" };
	char out[3];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(base64_decode(BASE64_STANDARD, bad[i], strlen(bad[i]), out, sizeof out), ERR_BAD_DATA);
	assert_int_equal(base64_decode(BASE64_STANDARD, "QUJD", 4, out, sizeof out), 3);
	assert_memory_equal(out, "ABC", 3);
	assert_int_equal(base64_decode(BASE64_STANDARD, "QUJDRA==", 8, out, sizeof out), ERR_BAD_DATA);
	assert_int_equal(base64_decode(BASE64_STANDARD, "+/+/", 4, out, sizeof out), 3);
	assert_int_equal(base64_decode(BASE64_URL, "-_-_", 4, out, sizeof out), 3);
	assert_memory_equal(out, "\xfb\xff\xbf", 3);
	assert_int_equal(base64_decode(BASE64_URL, "QQ", 2, out, sizeof out), 1);
	assert_int_equal(base64_decode(BASE64_URL, "QQ==", 4, out, sizeof out), ERR_BAD_DATA);
	assert_int_equal(base64_decode(BASE64_STANDARD, "", 0, out, sizeof out), 0);
}

/* --- the face --- */

static struct sasl *open_sasl(const struct sasl_credentials *c)
{
	struct sasl *s = NULL;

	if (sasl_new(&s, c, &e) < 0)
		fail_msg("%s", e.text);
	return s;
}

static int step(struct sasl *s, const char *in, size_t n, const char **out, size_t *out_n)
{
	const void *p = NULL;
	int rc = sasl_step(s, in, n, &p, out_n, &e);

	*out = p;
	return rc;
}

static void plain_sends_name_and_password_without_another_name(void **state)
{
	struct sasl *s = open_sasl(&(struct sasl_credentials){ .mechanism = SASL_PLAIN, .username = "alice", .password = "s3c" });
	const char *out;
	size_t n;

	(void)state;
	assert_int_equal(step(s, NULL, 0, &out, &n), SASL_SEND);
	assert_int_equal(n, 10);
	assert_memory_equal(out, "\0alice\0s3c", 10);
	assert_int_equal(step(s, "", 0, &out, &n), SASL_DONE);
	assert_int_equal(step(s, "", 0, &out, &n), ERR_BAD_DATA);
	sasl_free(s);
	sasl_free(NULL);
}

static void plain_refuses_a_server_that_goes_on(void **state)
{
	struct sasl *s = open_sasl(&(struct sasl_credentials){ .mechanism = SASL_PLAIN, .username = "alice", .password = "s3c" });
	const char *out;
	size_t n;

	(void)state;
	assert_int_equal(step(s, NULL, 0, &out, &n), SASL_SEND);
	assert_int_equal(step(s, "more", 4, &out, &n), ERR_BAD_DATA);
	assert_int_equal(step(s, "", 0, &out, &n), ERR_BAD_DATA);
	sasl_free(s);
}

static void scram_goes_through_the_face_too(void **state)
{
	struct sasl *s = open_sasl(&(struct sasl_credentials){
		.mechanism = SASL_SCRAM_SHA_512, .username = "id", .password = "mac", .delegation_token = true });
	const char *out;
	size_t n;

	(void)state;
	assert_int_equal(step(s, NULL, 0, &out, &n), SASL_SEND);
	assert_int_equal(n, strlen("n,,n=id,r=") + 32 + strlen(",tokenauth=true"));
	assert_memory_equal(out + n - 15, ",tokenauth=true", 15);
	assert_int_equal(step(s, "e=unknown-user\0x", 16, &out, &n), ERR_BAD_DATA);
	assert_string_equal(e.text, "SCRAM: the broker's message is malformed");
	sasl_free(s);
}

static void oauthbearer_sends_token_and_extensions(void **state)
{
	struct sasl *s = open_sasl(&(struct sasl_credentials){
		.mechanism = SASL_OAUTHBEARER, .token = JWT, .extensions = "logicalCluster=lkc-1,identityPoolId=p=q 2" });
	const char *out, want[] = "n,,\1auth=Bearer " JWT "\1logicalCluster=lkc-1\1identityPoolId=p=q 2\1\1";
	size_t n;

	(void)state;
	assert_int_equal(step(s, NULL, 0, &out, &n), SASL_SEND);
	assert_int_equal(n, sizeof want - 1);
	assert_memory_equal(out, want, n);
	assert_int_equal(step(s, "", 0, &out, &n), SASL_DONE);
	sasl_free(s);
	s = open_sasl(&(struct sasl_credentials){ .mechanism = SASL_OAUTHBEARER, .token = JWT });
	assert_int_equal(step(s, NULL, 0, &out, &n), SASL_SEND);
	assert_int_equal(n, strlen("n,,\1auth=Bearer " JWT "\1\1"));
	assert_memory_equal(out, "n,,\1auth=Bearer " JWT "\1\1", n);
	sasl_free(s);
}

static void oauthbearer_answers_an_error_and_then_says_it(void **state)
{
	static const char *const said[][2] = {
		{ "{\"status\":\"invalid_token\"}", "OAUTHBEARER: the broker refused the token: invalid_token" },
		{ "{\"status\":\"insufficient_scope\",\"scope\":\"kafka\"}",
		  "OAUTHBEARER: the broker refused the token: insufficient_scope (it wants the scope kafka)" },
		{ "{\"status\":\"a\\u001bb\"}", "OAUTHBEARER: the broker refused the token: a?b" },
		{ "{\"status\":7}", "OAUTHBEARER: the broker refused the token without a reason" },
		{ "nonsense", "OAUTHBEARER: the broker refused the token without a reason" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(said); i++) {
		struct sasl *s = open_sasl(&(struct sasl_credentials){ .mechanism = SASL_OAUTHBEARER, .token = JWT });
		const char *out;
		size_t n;

		assert_int_equal(step(s, NULL, 0, &out, &n), SASL_SEND);
		assert_int_equal(step(s, said[i][0], strlen(said[i][0]), &out, &n), SASL_SEND);
		assert_int_equal(n, 1);
		assert_int_equal(out[0], 1);
		assert_int_equal(step(s, "", 0, &out, &n), ERR_BAD_DATA);
		assert_string_equal(e.text, said[i][1]);
		sasl_free(s);
	}
}

static void credentials_that_cannot_be_said_are_refused(void **state)
{
	static const struct { struct sasl_credentials c; const char *words; } bad[] = {
		{ { .mechanism = SASL_NONE }, "no SASL mechanism" },
		{ { .mechanism = SASL_PLAIN, .password = "p" }, "PLAIN: the user name is empty" },
		{ { .mechanism = SASL_PLAIN, .username = "u", .password = "" }, "PLAIN: the password is empty" },
		{ { .mechanism = SASL_SCRAM_SHA_256, .username = "", .password = "p" }, "SCRAM-SHA-256: the user name is empty" },
		{ { .mechanism = SASL_OAUTHBEARER }, "OAUTHBEARER: the token is empty or holds characters that no token has" },
		{ { .mechanism = SASL_OAUTHBEARER, .token = "a\1b" },
		  "OAUTHBEARER: the token is empty or holds characters that no token has" },
		{ { .mechanism = SASL_OAUTHBEARER, .token = JWT, .extensions = "auth=x" },
		  "OAUTHBEARER: an extension cannot be named auth" },
		{ { .mechanism = SASL_OAUTHBEARER, .token = JWT, .extensions = "a=1,b" },
		  "OAUTHBEARER: an extension is NAME=VALUE, its name letters only" },
		{ { .mechanism = SASL_OAUTHBEARER, .token = JWT, .extensions = "a=1," },
		  "OAUTHBEARER: an extension is NAME=VALUE, its name letters only" },
		{ { .mechanism = SASL_OAUTHBEARER, .token = JWT, .extensions = "a=" }, "OAUTHBEARER: extension a has no value" },
		{ { .mechanism = SASL_OAUTHBEARER, .token = JWT, .extensions = "a=\x01" "x" },
		  "OAUTHBEARER: extension a has a value that cannot be sent" },
	};
	struct sasl *s = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(sasl_new(&s, &bad[i].c, &e), ERR_CONFIG);
		assert_string_equal(e.text, bad[i].words);
		assert_null(s);
		assert_int_equal(sasl_new(&s, &bad[i].c, NULL), ERR_CONFIG);
	}
}

static void short_memory_anywhere_is_an_error(void **state)
{
	static const enum sasl_mechanism all[] = { SASL_PLAIN, SASL_SCRAM_SHA_256, SASL_OAUTHBEARER };

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		struct sasl_credentials c = { .mechanism = all[i], .username = "u", .password = "p", .token = JWT };
		int rc = ERR_NOMEM;

		for (long nth = 1; rc == ERR_NOMEM; nth++) {
			struct sasl *s = NULL;
			const char *out;
			size_t n;

			assert_in_range(nth, 1, 20);
			mem_fail_nth(nth);
			rc = sasl_new(&s, &c, &e);
			if (rc == 0)
				rc = step(s, NULL, 0, &out, &n);
			mem_fail_nth(0);
			sasl_free(s);
		}
		assert_int_equal(rc, SASL_SEND);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(scram_sha_256_is_the_exchange_of_the_rfc),
	cmocka_unit_test(scram_sha_512_escapes_names_and_shows_delegation_tokens),
	cmocka_unit_test(a_server_first_that_makes_no_sense_is_refused),
	cmocka_unit_test(a_server_that_does_not_know_the_password_is_refused),
	cmocka_unit_test(two_exchanges_never_use_the_same_nonce),
	cmocka_unit_test(base64_is_strict),
	cmocka_unit_test(plain_sends_name_and_password_without_another_name),
	cmocka_unit_test(plain_refuses_a_server_that_goes_on),
	cmocka_unit_test(scram_goes_through_the_face_too),
	cmocka_unit_test(oauthbearer_sends_token_and_extensions),
	cmocka_unit_test(oauthbearer_answers_an_error_and_then_says_it),
	cmocka_unit_test(credentials_that_cannot_be_said_are_refused),
	cmocka_unit_test(short_memory_anywhere_is_an_error),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

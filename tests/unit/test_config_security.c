/* test_config_security.c - what fits together between security.protocol, ssl.* and sasl.*, and the words when it does not. */
#include "producer/config.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "tests/lib/unit.h"

#define SECURITY "org.apache.kafka.common.security."
#define SCRAM_LINE SECURITY "scram.ScramLoginModule required username=\"u\" password=\"hush\";"
#define OAUTH SECURITY "oauthbearer.OAuthBearerLoginModule required "
#define URL "sasl.oauthbearer.token.endpoint.url"

static char said[2000];

static void say(void *arg, const struct producer_error *e)
{
	size_t n = strlen(said);

	(void)arg;
	assert_int_equal(e->code, PRODUCER_ERR_CONFIG);
	snprintf(said + n, sizeof said - n, "%s\n", e->text);
}

/* The pairs of names and values, which end with NULL, have these problems, one a line. */
static void check(const char *const *pairs, const char *words)
{
	struct producer_config *c = producer_config_new();
	struct producer_error e = { 0 };
	int rc;

	producer_config_set(c, "bootstrap.servers", "b:9092", &e);
	for (; *pairs; pairs += 2)
		if (producer_config_set(c, pairs[0], pairs[1], &e) < 0)
			fail_msg("%s", e.text);
	said[0] = 0;
	rc = producer_config_check_all(c, say, NULL);
	assert_string_equal(said, words);
	assert_int_equal(rc, *words ? PRODUCER_ERR_CONFIG : 0);
	assert_int_equal(producer_config_check(c, &e), rc);
	if (*words)
		assert_memory_equal(words, e.text, strlen(e.text));
	assert_null(strstr(said, "hush"));
	producer_config_free(c);
}
#define CHECK(words, ...) check((const char *const[]){ __VA_ARGS__, NULL }, words)

static void what_has_no_effect_is_taken_in_silence(void **state)
{
	(void)state;
	CHECK("", "ssl.truststore.type", "JKS", "ssl.key.location", "/k", "ssl.truststore.password", "hush");
	CHECK("", "sasl.mechanism", "PLAIN", "sasl.jaas.config", "nonsense");
	CHECK("", "security.protocol", "SSL", "sasl.mechanism", "PLAIN");
	CHECK("", "security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "PLAIN", "sasl.username", "u", "sasl.password", "hush",
	      "ssl.enabled.protocols", "SSLv3", "ssl.truststore.type", "JKS");
}

static void pem_in_every_arrangement_is_taken(void **state)
{
	(void)state;
	CHECK("", "security.protocol", "SSL");
	CHECK("", "security.protocol", "SSL", "ssl.truststore.location", "/ca", "ssl.keystore.location", "/me",
			"ssl.key.password", "x");
	CHECK("", "security.protocol", "SSL", "ssl.ca.pem", "x", "ssl.key.pem", "x", "ssl.certificate.pem", "x");
	CHECK("", "security.protocol", "SSL", "ssl.certificate.location", "/c", "ssl.key.location", "/k",
	      "ssl.endpoint.identification.algorithm", "", "ssl.enabled.protocols", "TLSv1.3", "ssl.truststore.type", "pem");
	CHECK("", "security.protocol", "SSL", "ssl.certificate.location", "/c", "ssl.keystore.key", "k",
	      "ssl.endpoint.identification.algorithm", "none", "ssl.enabled.protocols", "TLSv1.2, TLSv1.3");
}

static void java_stores_are_refused_with_the_command_that_converts_them(void **state)
{
	(void)state;
	CHECK("ssl.truststore.type: JKS is not supported, convert it to PEM: keytool -list -rfc -keystore /x/trust.jks >ca.pem\n"
	      "ssl.keystore.type: JKS is not supported, convert it to PEM: keytool -importkeystore -srckeystore /x/me.jks "
	      "-destkeystore me.p12 -deststoretype PKCS12; openssl pkcs12 -in me.p12 -out me.pem\n",
	      "security.protocol", "SSL", "ssl.truststore.type", "JKS", "ssl.truststore.location", "/x/trust.jks",
	      "ssl.keystore.type", "JKS", "ssl.keystore.location", "/x/me.jks");
	CHECK("ssl.truststore.type: PKCS12 is not supported, convert it to PEM: openssl pkcs12 -in STORE -nokeys -out ca.pem\n"
	      "ssl.keystore.type: PKCS12 is not supported, convert it to PEM: openssl pkcs12 -in "
	      "/a/path/of/forty-eight/characters/and/no/mor.p12 -out me.pem\n",
	      "security.protocol", "SSL", "ssl.truststore.type", "PKCS12", "ssl.truststore.location",
	      "/a/path/that/is/longer/than/what/leaves/room/for/it.p12",
	      "ssl.keystore.type", "PKCS12", "ssl.keystore.location", "/a/path/of/forty-eight/characters/and/no/mor.p12");
	CHECK("ssl.keystore.type: unknown value \"BKS\", there is: PEM\n", "security.protocol", "SSL", "ssl.keystore.type", "BKS");
}

static void what_excludes_each_other_or_misses_its_other_half_is_refused(void **state)
{
	(void)state;
	CHECK("ssl.truststore.certificates: give either it or ssl.truststore.location\n"
	      "ssl.keystore.password: PEM has none, leave it out; an encrypted private key has ssl.key.password\n",
	      "security.protocol", "SSL", "ssl.ca.location", "/a", "ssl.ca.pem", "x", "ssl.keystore.password", "hush");
	CHECK("ssl.truststore.password: PEM has none, leave it out\n", "security.protocol", "SASL_SSL", "sasl.mechanism", "PLAIN",
	      "sasl.username", "u", "sasl.password", "hush", "ssl.truststore.password", "hush");
	CHECK("ssl.key.location: give either it or ssl.keystore.location\n"
	      "ssl.keystore.certificate.chain: give either it or ssl.keystore.location\n",
	      "security.protocol", "SSL", "ssl.keystore.location", "/a", "ssl.key.location", "/b", "ssl.certificate.pem", "x");
	CHECK("ssl.key.location: give either it or ssl.keystore.key\n", "security.protocol", "SSL", "ssl.key.location", "/b",
	      "ssl.key.pem", "hush", "ssl.certificate.location", "/c");
	CHECK("ssl.key.location: a private key needs its certificate, ssl.certificate.location\n",
	      "security.protocol", "SSL", "ssl.key.location", "/b");
	CHECK("ssl.keystore.key: a private key needs its certificate, ssl.keystore.certificate.chain\n",
	      "security.protocol", "SSL", "ssl.keystore.key", "hush");
	CHECK("ssl.certificate.location: a certificate needs its private key, ssl.key.location\n",
	      "security.protocol", "SSL", "ssl.certificate.location", "/b");
	CHECK("ssl.keystore.certificate.chain: a certificate needs its private key, ssl.keystore.key\n",
	      "security.protocol", "SSL", "ssl.certificate.pem", "x");
}

static void names_and_versions_of_tls_are_known(void **state)
{
	(void)state;
	CHECK("ssl.endpoint.identification.algorithm: unknown value \"LDAPS\", there are: https, none and \"\"\n"
	      "ssl.enabled.protocols: unknown value \"TLSv1.1\", there are: TLSv1.2, TLSv1.3\n",
	      "security.protocol", "SSL", "ssl.endpoint.identification.algorithm", "LDAPS",
	      "ssl.enabled.protocols", "TLSv1.2,TLSv1.1");
	CHECK("ssl.enabled.protocols: there are: TLSv1.2, TLSv1.3\n", "security.protocol", "SSL", "ssl.enabled.protocols", " ,");
	CHECK("ssl.enabled.protocols: unknown value \"TLSv1.23\", there are: TLSv1.2, TLSv1.3\n", "security.protocol", "SSL",
	      "ssl.enabled.protocols", "TLSv1.23");
}

static void a_sasl_protocol_needs_a_mechanism_and_that_its_credentials(void **state)
{
	(void)state;
	CHECK("sasl.mechanism is required with security.protocol: SASL_SSL, there are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, "
	      "OAUTHBEARER\n", "security.protocol", "SASL_SSL", "sasl.jaas.config", "nonsense");
	CHECK("sasl.username is required with sasl.mechanism: PLAIN (or username in sasl.jaas.config)\n",
	      "security.protocol", "SASL_SSL", "sasl.mechanism", "PLAIN");
	CHECK("sasl.password is required with sasl.mechanism: SCRAM-SHA-256 (or password in sasl.jaas.config)\n",
	      "security.protocol", "SASL_SSL", "sasl.mechanism", "SCRAM-SHA-256", "sasl.username", "u");
	CHECK("sasl.password is required with sasl.mechanism: SCRAM-SHA-512 (or password in sasl.jaas.config)\n",
	      "security.protocol", "SASL_SSL", "sasl.mechanism", "SCRAM-SHA-512", "sasl.jaas.config",
	      SECURITY "scram.ScramLoginModule required username=u password=\"\";");
	CHECK("", "security.protocol", "SASL_SSL", "sasl.mechanism", "SCRAM-SHA-512", "sasl.jaas.config", SCRAM_LINE);
	CHECK("", "security.protocol", "SASL_SSL", "sasl.mechanism", "SCRAM-SHA-512", "sasl.jaas.config", SCRAM_LINE,
	      "sasl.username", "u", "sasl.password", "hush");
	CHECK("", "security.protocol", "SASL_SSL", "sasl.mechanism", "SCRAM-SHA-512", "sasl.password", "hush", "sasl.jaas.config",
	      SECURITY "scram.ScramLoginModule required username=u;");
}

static void a_jaas_value_must_be_good_fit_and_agree(void **state)
{
	(void)state;
	CHECK("sasl.jaas.config: the ; at its end is missing\n", "security.protocol", "SASL_SSL", "sasl.mechanism", "PLAIN",
	      "sasl.jaas.config", SECURITY "plain.PlainLoginModule required username=u password=hush");
	CHECK("sasl.jaas.config: its login module is not for sasl.mechanism: PLAIN\n", "security.protocol", "SASL_SSL",
	      "sasl.mechanism", "PLAIN", "sasl.jaas.config", SCRAM_LINE);
	CHECK("sasl.username: it is not the username of sasl.jaas.config; give one of the two\n", "security.protocol", "SASL_SSL",
	      "sasl.mechanism", "SCRAM-SHA-512", "sasl.jaas.config", SCRAM_LINE, "sasl.username", "v");
	CHECK("sasl.password: it is not the password of sasl.jaas.config; give one of the two\n", "security.protocol", "SASL_SSL",
	      "sasl.mechanism", "SCRAM-SHA-512", "sasl.jaas.config", SCRAM_LINE, "sasl.password", "other");
	CHECK("sasl.jaas.config: extension_a1 cannot be sent: a name is letters only and not auth, a value has no comma\n",
	      "security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER", "sasl.oauthbearer.token.file", "/t",
	      "sasl.jaas.config", OAUTH "extension_a1=x;");
	CHECK("", "security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER", "sasl.oauthbearer.token.file", "/t",
	      "sasl.jaas.config", OAUTH "extension_logicalCluster=lkc-1 extensionless=\"a,b\";");
}

static void oauthbearer_needs_one_place_of_tokens(void **state)
{
#define OAUTHBEARER "security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER"
	(void)state;
	CHECK(URL " is required with sasl.mechanism: OAUTHBEARER (or sasl.oauthbearer.token.file)\n", OAUTHBEARER);
	CHECK("", OAUTHBEARER, "sasl.oauthbearer.token.file", "/t");
	CHECK("", OAUTHBEARER, URL, "file:///t");
	CHECK("sasl.oauthbearer.token.file: give either it or " URL "\n", OAUTHBEARER, URL, "file:///t",
	      "sasl.oauthbearer.token.file", "/t");
	CHECK("sasl.oauthbearer.client.id is required with sasl.mechanism: OAUTHBEARER (or clientId in sasl.jaas.config)\n",
	      OAUTHBEARER, URL, "https://login/t");
	CHECK("sasl.oauthbearer.client.secret is required with sasl.mechanism: OAUTHBEARER (or clientSecret in sasl.jaas.config)\n",
	      OAUTHBEARER, URL, "https://login/t", "sasl.jaas.config", OAUTH "clientId=me;");
	CHECK("", OAUTHBEARER, URL, "https://login/t", "sasl.jaas.config", OAUTH "clientId=me clientSecret=hush scope=x;");
	CHECK("", OAUTHBEARER, URL, "http://127.0.0.1:80/t", "sasl.oauthbearer.client.id", "a",
	      "sasl.oauthbearer.client.secret", "hush");
	CHECK(URL ": http:// is taken for loopback hosts alone, the secret would travel in clear; use https://\n", OAUTHBEARER,
	      URL, "http://login/t", "sasl.oauthbearer.client.id", "a", "sasl.oauthbearer.client.secret", "hush");
	CHECK(URL ": names and passwords do not belong into it\n", OAUTHBEARER, URL, "https://a:hush@login/t");
	CHECK(URL ": it must begin with https://\n", OAUTHBEARER, URL, "login/t");
	CHECK("sasl.oauthbearer.extensions: an extension cannot be named auth\n", OAUTHBEARER, "sasl.oauthbearer.token.file", "/t",
	      "sasl.oauthbearer.extensions", "auth=hush");
	/* Its endpoint is trusted by ssl.truststore.*, whatever the broker's protocol. */
	CHECK("ssl.truststore.type: JKS is not supported, convert it to PEM: keytool -list -rfc -keystore STORE >ca.pem\n",
	      "security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "OAUTHBEARER", "sasl.oauthbearer.token.file", "/t",
	      "ssl.truststore.type", "JKS");
}

static void all_problems_are_told_in_one_run(void **state)
{
	(void)state;
	CHECK("enable.idempotence: true needs acks: all, not 1\n"
	      "delivery.timeout.ms: 5 is less than linger.ms + request.timeout.ms = 30000\n"
	      "ssl.keystore.type: unknown value \"X\", there is: PEM\n"
	      "sasl.username is required with sasl.mechanism: PLAIN (or username in sasl.jaas.config)\n",
	      "enable.idempotence", "true", "acks", "1", "delivery.timeout.ms", "5", "security.protocol", "SASL_SSL",
	      "ssl.keystore.type", "X", "sasl.mechanism", "PLAIN");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(what_has_no_effect_is_taken_in_silence),
	cmocka_unit_test(pem_in_every_arrangement_is_taken),
	cmocka_unit_test(java_stores_are_refused_with_the_command_that_converts_them),
	cmocka_unit_test(what_excludes_each_other_or_misses_its_other_half_is_refused),
	cmocka_unit_test(names_and_versions_of_tls_are_known),
	cmocka_unit_test(a_sasl_protocol_needs_a_mechanism_and_that_its_credentials),
	cmocka_unit_test(a_jaas_value_must_be_good_fit_and_agree),
	cmocka_unit_test(oauthbearer_needs_one_place_of_tokens),
	cmocka_unit_test(all_problems_are_told_in_one_run),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

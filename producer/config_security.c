/* config_security.c - what must fit together between security.protocol, ssl.*, and sasl.*.
 *
 * Keys that have no effect under the chosen protocol are taken in silence, as Java's and librdkafka's clients take them: people
 * paste whole files and change the protocol. What is looked at is looked at as a person would: each check finds one problem,
 * and its words begin with the key to change and never show a secret.
 * Source: KIP-651 (PEM stores and what excludes what), KIP-768, org.apache.kafka.common.security.ssl.DefaultSslEngineFactory.
 */
#include "producer/config_keys.h"

#include <string.h>
#include <strings.h>

#include "agent/base/err.h"
#include "producer/http.h"
#include "producer/jaas.h"
#include "producer/oauthbearer.h"
#include "producer/sasl.h"

#define PATH_SHOWN_MAX 48		/* longer ones do not leave room for the command */

static bool given(const char *s)
{
	return s && *s;
}

/* --- TLS --- */

static bool is_file_url(const char *url)
{
	return !strncasecmp(url, "file:", 5);
}

/* Token endpoints are trusted by the same certificates. */
static bool trust_matters(const struct producer_config *c)
{
	return protocol_has_tls(c->security_protocol) ||
	       (protocol_has_sasl(c->security_protocol) && c->sasl_mechanism == SASL_OAUTHBEARER);
}

static int check_type(const char *key, const char *type, const char *location, const char *jks, const char *pkcs12,
		      struct producer_error *ret_err)
{
	bool is_pkcs12 = given(type) && !strcasecmp(type, "PKCS12");
	const char *path = given(location) && strlen(location) <= PATH_SHOWN_MAX ? location : "STORE";
	const char *command = is_pkcs12 ? pkcs12 : jks, *at = strstr(command, "STORE");

	if (!given(type) || !strcasecmp(type, "PEM"))
		return 0;
	if (!is_pkcs12 && strcasecmp(type, "JKS") != 0)
		return config_error(ret_err, ERR_CONFIG, "%s: unknown value \"%.40s\", there is: PEM", key, type);
	return config_error(ret_err, ERR_CONFIG, "%s: %.6s is not supported, convert it to PEM: %.*s%s%s", key, type,
			    (int)(at - command), command, path, at + strlen("STORE"));
}

static int check_truststore_type(struct producer_config *c, struct producer_error *ret_err)
{
	if (!trust_matters(c))
		return 0;
	return check_type("ssl.truststore.type", c->ssl_truststore_type, c->ssl_truststore_location,
			  "keytool -list -rfc -keystore STORE >ca.pem", "openssl pkcs12 -in STORE -nokeys -out ca.pem", ret_err);
}

static int check_keystore_type(struct producer_config *c, struct producer_error *ret_err)
{
	if (!protocol_has_tls(c->security_protocol))
		return 0;
	return check_type("ssl.keystore.type", c->ssl_keystore_type, c->ssl_keystore_location,
			  "keytool -importkeystore -srckeystore STORE -destkeystore me.p12 -deststoretype PKCS12; "
			  "openssl pkcs12 -in me.p12 -out me.pem", "openssl pkcs12 -in STORE -out me.pem", ret_err);
}

static int check_truststore(struct producer_config *c, struct producer_error *ret_err)
{
	if (!trust_matters(c))
		return 0;
	if (given(c->ssl_truststore_location) && given(c->ssl_truststore_certificates))
		return config_error(ret_err, ERR_CONFIG, "ssl.truststore.certificates: give either it or ssl.truststore.location");
	if (given(c->ssl_truststore_password))
		return config_error(ret_err, ERR_CONFIG, "ssl.truststore.password: PEM has none, leave it out");
	return 0;
}

static int check_keystore(struct producer_config *c, struct producer_error *ret_err)
{
	if (!protocol_has_tls(c->security_protocol))
		return 0;
	if (given(c->ssl_keystore_password))
		return config_error(ret_err, ERR_CONFIG, "ssl.keystore.password: PEM has none, leave it out; "
				    "an encrypted private key has ssl.key.password");
	if (given(c->ssl_keystore_location))
		return 0;		/* what excludes it: check_own_key, check_own_certificate */
	if ((given(c->ssl_key_location) || given(c->ssl_keystore_key)) && !given(c->ssl_certificate_location) &&
	    !given(c->ssl_keystore_certificate_chain))
		return config_error(ret_err, ERR_CONFIG, "%s: a private key needs its certificate, %s",
				    given(c->ssl_key_location) ? "ssl.key.location" : "ssl.keystore.key",
				    given(c->ssl_key_location) ? "ssl.certificate.location" : "ssl.keystore.certificate.chain");
	if ((given(c->ssl_certificate_location) || given(c->ssl_keystore_certificate_chain)) && !given(c->ssl_key_location) &&
	    !given(c->ssl_keystore_key))
		return config_error(ret_err, ERR_CONFIG, "%s: a certificate needs its private key, %s",
				    given(c->ssl_certificate_location) ? "ssl.certificate.location" :
				    "ssl.keystore.certificate.chain",
				    given(c->ssl_certificate_location) ? "ssl.key.location" : "ssl.keystore.key");
	return 0;
}

/* One source of the private key, and one of the certificate; ssl.keystore.location is both. */
static int check_one_source(const struct producer_config *c, const char *file_key, const char *file, const char *text_key,
			    const char *text, struct producer_error *ret_err)
{
	if (!protocol_has_tls(c->security_protocol))
		return 0;
	if (given(c->ssl_keystore_location) && (given(file) || given(text)))
		return config_error(ret_err, ERR_CONFIG, "%s: give either it or ssl.keystore.location",
				    given(file) ? file_key : text_key);
	if (given(file) && given(text))
		return config_error(ret_err, ERR_CONFIG, "%s: give either it or %s", file_key, text_key);
	return 0;
}

static int check_own_key(struct producer_config *c, struct producer_error *ret_err)
{
	return check_one_source(c, "ssl.key.location", c->ssl_key_location, "ssl.keystore.key", c->ssl_keystore_key, ret_err);
}

static int check_own_certificate(struct producer_config *c, struct producer_error *ret_err)
{
	return check_one_source(c, "ssl.certificate.location", c->ssl_certificate_location, "ssl.keystore.certificate.chain",
				c->ssl_keystore_certificate_chain, ret_err);
}

static int check_names(struct producer_config *c, struct producer_error *ret_err)
{
	const char *s = c->ssl_endpoint_identification_algorithm;

	if (!protocol_has_tls(c->security_protocol) || !given(s) || !strcmp(s, "https") || !strcmp(s, "none"))
		return 0;
	return config_error(ret_err, ERR_CONFIG, "ssl.endpoint.identification.algorithm: unknown value \"%.40s\", there are: "
			    "https, none and \"\"", s);
}

static int check_protocols(struct producer_config *c, struct producer_error *ret_err)
{
	static const char between[] = ", \t\r\n";
	const char *s = c->ssl_enabled_protocols ? c->ssl_enabled_protocols : "";
	size_t n, found = 0;

	if (!protocol_has_tls(c->security_protocol))
		return 0;
	for (s += strspn(s, between); *s; s += n, s += strspn(s, between)) {
		n = strcspn(s, between);
		if (n != 7 || (strncmp(s, "TLSv1.2", 7) != 0 && strncmp(s, "TLSv1.3", 7) != 0))
			return config_error(ret_err, ERR_CONFIG, "ssl.enabled.protocols: unknown value \"%.*s\", there are: "
					    "TLSv1.2, TLSv1.3", (int)(n < 40 ? n : 40), s);
		found++;
	}
	return found ? 0 : config_error(ret_err, ERR_CONFIG, "ssl.enabled.protocols: there are: TLSv1.2, TLSv1.3");
}

/* --- SASL --- */

/* What a JAAS value says too, or instead. */
static const struct { enum jaas_module module; const char *option, *key; } said_twice[] = {
	{ JAAS_PLAIN, "username", "sasl.username" }, { JAAS_PLAIN, "password", "sasl.password" },
	{ JAAS_SCRAM, "username", "sasl.username" }, { JAAS_SCRAM, "password", "sasl.password" },
	{ JAAS_OAUTHBEARER, "clientId", "sasl.oauthbearer.client.id" },
	{ JAAS_OAUTHBEARER, "clientSecret", "sasl.oauthbearer.client.secret" },
	{ JAAS_OAUTHBEARER, "scope", "sasl.oauthbearer.scope" },
};

static const char *text_of(struct producer_config *c, const char *name)
{
	return *config_string(c, &config_keys[config_key_find(name)]);
}

static int check_mechanism(struct producer_config *c, struct producer_error *ret_err)
{
	if (!protocol_has_sasl(c->security_protocol) || c->sasl_mechanism != SASL_NONE)
		return 0;
	return config_error(ret_err, ERR_CONFIG, "sasl.mechanism is required with security.protocol: %s, there are: PLAIN, "
			    "SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER", producer_config_get(c, "security.protocol"));
}

static bool jaas_matters(const struct producer_config *c)
{
	return protocol_has_sasl(c->security_protocol) && c->sasl_mechanism != SASL_NONE && given(c->sasl_jaas_config);
}

/* 1 and *ret: there is a good one. 0: none, or check_jaas says what is wrong with it; *ret_bad tells. */
static int good_jaas(const struct producer_config *c, struct jaas *ret, bool *ret_bad)
{
	*ret_bad = jaas_matters(c) && jaas_parse(c->sasl_jaas_config, ret, NULL) < 0;
	return jaas_matters(c) && !*ret_bad;
}

static int check_extensions(const struct jaas *j, struct producer_error *ret_err)
{
	for (size_t i = 0; i < j->option_count; i++) {
		const struct jaas_option *o = &j->options[i];
		size_t name = strspn(o->name + (strlen(o->name) > 10 ? 10 : 0),
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

		if (strncmp(o->name, "extension_", 10) != 0)
			continue;
		if (!name || o->name[10 + name] || !strcmp(o->name + 10, "auth") || !*o->value || strchr(o->value, ','))
			return config_error(ret_err, ERR_CONFIG, "sasl.jaas.config: %.40s cannot be sent: a name is letters only "
					    "and not auth, a value has no comma", o->name);
	}
	return 0;
}

static int check_jaas_content(struct producer_config *c, const struct jaas *j, struct producer_error *ret_err)
{
	static const enum jaas_module module_of[] = {
		[SASL_PLAIN] = JAAS_PLAIN, [SASL_SCRAM_SHA_256] = JAAS_SCRAM, [SASL_SCRAM_SHA_512] = JAAS_SCRAM,
		[SASL_OAUTHBEARER] = JAAS_OAUTHBEARER,
	};

	if (j->module != module_of[c->sasl_mechanism])
		return config_error(ret_err, ERR_CONFIG, "sasl.jaas.config: its login module is not for sasl.mechanism: %s",
				    sasl_mechanism_name((enum sasl_mechanism)c->sasl_mechanism));
	for (size_t i = 0; i < sizeof said_twice / sizeof said_twice[0]; i++) {
		const char *here = text_of(c, said_twice[i].key), *there = jaas_option(j, said_twice[i].option);

		if (said_twice[i].module == j->module && given(here) && there && strcmp(here, there) != 0)
			return config_error(ret_err, ERR_CONFIG, "%s: it is not the %s of sasl.jaas.config; give one of the two",
					    said_twice[i].key, said_twice[i].option);
	}
	return j->module == JAAS_OAUTHBEARER ? check_extensions(j, ret_err) : 0;
}

static int check_jaas(struct producer_config *c, struct producer_error *ret_err)
{
	struct jaas j;
	struct err e;
	int rc;

	if (!jaas_matters(c))
		return 0;
	rc = jaas_parse(c->sasl_jaas_config, &j, &e);
	if (rc < 0)
		return config_error(ret_err, rc, "%s", e.text);
	rc = check_jaas_content(c, &j, ret_err);
	jaas_release(&j);
	return rc;
}

/* Whether each of the keys of `module` that `needed` counts is there, here or in the JAAS value. */
static int check_needed(struct producer_config *c, enum jaas_module module, size_t needed, struct producer_error *ret_err)
{
	struct jaas j;
	bool bad;
	int has = good_jaas(c, &j, &bad), rc = 0;

	for (size_t i = 0; !bad && rc == 0 && needed && i < sizeof said_twice / sizeof said_twice[0]; i++) {
		const char *there = has ? jaas_option(&j, said_twice[i].option) : NULL;

		if (said_twice[i].module != module)
			continue;
		needed--;
		if (!given(text_of(c, said_twice[i].key)) && !given(there))
			rc = config_error(ret_err, ERR_CONFIG, "%s is required with sasl.mechanism: %s (or %s in sasl.jaas.config)",
					  said_twice[i].key, sasl_mechanism_name((enum sasl_mechanism)c->sasl_mechanism),
					  said_twice[i].option);
	}
	if (has)
		jaas_release(&j);
	return rc;
}

static int check_credentials(struct producer_config *c, struct producer_error *ret_err)
{
	if (!protocol_has_sasl(c->security_protocol) || c->sasl_mechanism == SASL_NONE || c->sasl_mechanism == SASL_OAUTHBEARER)
		return 0;
	return check_needed(c, c->sasl_mechanism == SASL_PLAIN ? JAAS_PLAIN : JAAS_SCRAM, 2, ret_err);
}

static int check_token_url(struct producer_config *c, struct producer_error *ret_err)
{
	struct http_url u;
	struct err e;

	if (is_file_url(c->oauth_token_url))
		return 0;
	if (http_url_parse(c->oauth_token_url, &u, &e) < 0)
		return config_error(ret_err, ERR_CONFIG, "sasl.oauthbearer.token.endpoint.url: %s", e.text);
	return check_needed(c, JAAS_OAUTHBEARER, 2, ret_err);
}

static int check_oauth(struct producer_config *c, struct producer_error *ret_err)
{
	struct err e;

	if (!protocol_has_sasl(c->security_protocol) || c->sasl_mechanism != SASL_OAUTHBEARER)
		return 0;
	if (oauthbearer_check_extensions(c->oauth_extensions, &e) < 0)
		return config_error(ret_err, ERR_CONFIG, "sasl.oauthbearer.extensions: %s", e.text);
	if (given(c->oauth_token_url) && given(c->oauth_token_file))
		return config_error(ret_err, ERR_CONFIG,
				    "sasl.oauthbearer.token.file: give either it or sasl.oauthbearer.token.endpoint.url");
	if (given(c->oauth_token_url))
		return check_token_url(c, ret_err);
	if (given(c->oauth_token_file))
		return 0;
	return config_error(ret_err, ERR_CONFIG, "sasl.oauthbearer.token.endpoint.url is required with sasl.mechanism: OAUTHBEARER "
			    "(or sasl.oauthbearer.token.file)");
}

config_check_fn *const config_security_checks[] = {
	check_truststore_type, check_keystore_type, check_truststore, check_keystore, check_own_key, check_own_certificate,
	check_names, check_protocols, check_mechanism, check_jaas, check_credentials, check_oauth, NULL,
};

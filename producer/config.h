/* config.h - the producer's configuration as one struct; producer/config.c holds the one table of keys. */
#ifndef SPILLWAY_PRODUCER_CONFIG_H
#define SPILLWAY_PRODUCER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "producer/producer.h"

enum partitioner { PARTITIONER_DEFAULT, PARTITIONER_ROUND_ROBIN, PARTITIONER_RANDOM, PARTITIONER_FILE, PARTITIONER_PRIORITY };
enum serializer { SERIALIZER_BYTES, SERIALIZER_STRING, SERIALIZER_JSON, SERIALIZER_INTEGER, SERIALIZER_LONG,
		  SERIALIZER_DOUBLE, SERIALIZER_UUID };
enum dns_lookup { DNS_USE_ALL_IPS, DNS_RESOLVE_CANONICAL };
enum metadata_recovery { METADATA_RECOVERY_NONE, METADATA_RECOVERY_REBOOTSTRAP };
enum security_protocol { PROTOCOL_PLAINTEXT, PROTOCOL_SSL, PROTOCOL_SASL_PLAINTEXT, PROTOCOL_SASL_SSL };
enum sasl_mechanism { SASL_NONE, SASL_PLAIN, SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_512, SASL_OAUTHBEARER };

static inline bool protocol_has_tls(int64_t p) { return p == PROTOCOL_SSL || p == PROTOCOL_SASL_SSL; }
static inline bool protocol_has_sasl(int64_t p) { return p == PROTOCOL_SASL_PLAINTEXT || p == PROTOCOL_SASL_SSL; }

struct producer_config {
	/* Values in the units of their names; strings are owned. */
	char   *bootstrap_servers;		/* bootstrap.servers */
	char   *client_id;			/* client.id */
	int64_t acks;				/* -1 | 0 | 1 */
	int64_t enable_idempotence;
	int64_t max_in_flight;			/* max.in.flight.requests.per.connection */
	int64_t retries, delivery_timeout_ms, request_timeout_ms;
	int64_t linger_ms, batch_size, buffer_memory, max_block_ms, max_request_size;
	int64_t retry_backoff_ms, retry_backoff_max_ms, reconnect_backoff_ms, reconnect_backoff_max_ms;
	int64_t connection_setup_timeout_ms, connection_setup_timeout_max_ms, connections_max_idle_ms;
	int64_t metadata_max_age_ms, metadata_max_idle_ms;
	int64_t metadata_recovery_strategy;	/* enum metadata_recovery */
	int64_t metadata_rebootstrap_trigger_ms;
	int64_t client_dns_lookup;		/* enum dns_lookup */
	int64_t producer_id_expiration_ms;	/* the brokers': how long they remember an idle producer */
	int64_t evidence_settle_ms;		/* not Kafka's: how much longer than request.timeout.ms a lost request may live */
	int64_t max_rate;			/* not Kafka's: bytes a second on the wire, 0: no limit */
	int64_t send_buffer_bytes, receive_buffer_bytes;
	int64_t compression_type;		/* enum codec */
	int64_t compression_gzip_level, compression_lz4_level, compression_zstd_level;
	int64_t partitioner;			/* enum partitioner */
	int64_t partitioner_adaptive, partitioner_availability_timeout_ms, partitioner_ignore_keys;
	int64_t key_serializer, value_serializer;	/* enum serializer */
	char   *interceptors;			/* interceptor.classes: JSON, see intercept.h; NULL: none */

	/* Security. PEM texts and passwords are secret: they print as ***. */
	int64_t security_protocol;		/* enum security_protocol */
	char   *ssl_truststore_type, *ssl_keystore_type;	/* "PEM" */
	char   *ssl_truststore_location, *ssl_truststore_certificates;	/* a PEM file (or OpenSSL directory); PEM text */
	char   *ssl_keystore_location;		/* a PEM file: private key and chain */
	char   *ssl_keystore_key, *ssl_keystore_certificate_chain;	/* PEM texts */
	char   *ssl_certificate_location, *ssl_key_location;	/* librdkafka's: PEM files */
	char   *ssl_key_password, *ssl_keystore_password, *ssl_truststore_password;
	char   *ssl_endpoint_identification_algorithm;	/* "https", or "" (and "none"): host names are not checked */
	char   *ssl_enabled_protocols, *ssl_cipher_suites;
	int64_t sasl_mechanism;			/* enum sasl_mechanism */
	char   *sasl_username, *sasl_password, *sasl_jaas_config;
	char   *oauth_token_url, *oauth_client_id, *oauth_client_secret, *oauth_scope, *oauth_token_file, *oauth_extensions;
	int64_t login_connect_timeout_ms, login_read_timeout_ms;
	int64_t compress_threads;		/* not Kafka's: 0 = one a core but one, at least 1; set by field, not by name */
	uint64_t set_mask[2];			/* which keys were set one by one (bit = index in the table) */
	const struct producer_preset *preset;	/* NULL: Kafka's defaults */

	/* What only a program can give: functions. */
	struct producer_serializer key_serializer_fn, value_serializer_fn;	/* serialize NULL: by name */
	struct producer_partitioner partitioner_fn;				/* partition NULL: by name */
	struct producer_interceptor *interceptor_fns;				/* run behind those by name, in order */
	size_t  interceptor_count;
	void  (*log)(void *arg, const char *text);		/* NULL: nowhere */
	void   *log_arg;
	char    text[512];			/* producer_config_get's answer */
};

/* As producer_config_check, but goes on behind a problem: calls fn for each. The first one's code, or 0. */
int  producer_config_check_all(struct producer_config *c, void (*fn)(void *arg, const struct producer_error *e), void *arg);
/* Kafka's name of a key by any of its names; NULL: unknown. */
const char *producer_config_canonical(const char *name);
/* What is known of the i-th name that is taken under `producer:`: the preset, every key, then the other names of keys. */
struct producer_config_description {
	const char *name;
	const char *other_of;			/* Kafka's name, of which this is another one; NULL: it is Kafka's */
	const char *type;			/* string integer size time rate boolean list class secret */
	const char *def;			/* as text; NULL: unset */
	const char *choices[24];		/* words, ends with NULL; none: any text */
	int64_t     min, max;			/* of numbers; of a time the most that there is: any */
	const char *doc;
	const char *value;			/* of a class: JSON Schema; else NULL */
};
bool producer_config_describe(size_t i, struct producer_config_description *ret);	/* false: there are no more */
/* What a preset makes the default of a key, as text; NULL: it leaves the key alone. */
const char *producer_config_preset_default(const char *preset, const char *name);
/* Whether a key takes a list or more (as JSON), not only one single value. */
bool producer_config_takes_json(const char *name);

#endif

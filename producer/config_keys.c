/* config_keys.c - every key of the producer, its default and its bounds, in one table. A new key is one line here.
 *
 * Names, defaults and bounds are Kafka 4.1's (org.apache.kafka.clients.producer.ProducerConfig), except
 *  - linger.ms is 0, as up to Kafka 3.9;
 *  - buffer.memory is at least 1 MiB, max.request.size at least 1 KiB;
 *  - client.id is empty; who embeds the producer names it;
 *  - producer.id.expiration.ms is the brokers' own key of that name: what they have is to be said here;
 *  - evidence.settle.ms is not Kafka's.
 */
#include "producer/config_keys.h"

#include "producer/codec.h"

#define INT_MAX_ 2147483647
#define FIELD(f) offsetof(struct producer_config, f)

static const struct key_word acks_words[] = {
	{ "all", -1, 0 }, { "-1", -1, 0 }, { "1", 1, 0 }, { "0", 0, 0 }, { 0 },
};
static const struct key_word codec_words[] = {
	{ "none", CODEC_NONE, 0 }, { "gzip", CODEC_GZIP, 0 }, { "snappy", CODEC_SNAPPY, 0 }, { "lz4", CODEC_LZ4, 0 },
	{ "zstd", CODEC_ZSTD, 0 }, { 0 },
};
static const struct key_word protocol_words[] = {
	{ "PLAINTEXT", PROTOCOL_PLAINTEXT, 0 }, { "SSL", PROTOCOL_SSL, 0 }, { "SASL_PLAINTEXT", PROTOCOL_SASL_PLAINTEXT, 0 },
	{ "SASL_SSL", PROTOCOL_SASL_SSL, 0 }, { 0 },
};
#define KAFKA_CLIENTS "org.apache.kafka.clients.producer."
#define KAFKA_SERIALIZATION "org.apache.kafka.common.serialization."
static const struct key_word partitioner_words[] = {
	{ "default", PARTITIONER_DEFAULT, 0 }, { "round_robin", PARTITIONER_ROUND_ROBIN, 0 }, { "random", PARTITIONER_RANDOM, 0 },
	{ "file", PARTITIONER_FILE, 0 }, { "priority", PARTITIONER_PRIORITY, 0 },
	{ KAFKA_CLIENTS "RoundRobinPartitioner", PARTITIONER_ROUND_ROBIN, 0 },
	{ KAFKA_CLIENTS "internals.DefaultPartitioner", PARTITIONER_DEFAULT, 0 },
	{ KAFKA_CLIENTS "UniformStickyPartitioner", WORD_REFUSED,
	  "use partitioner.class: default with partitioner.ignore.keys: true" }, { 0 },
};
static const struct key_word serializer_words[] = {
	{ "bytes", SERIALIZER_BYTES, 0 }, { "string", SERIALIZER_STRING, 0 }, { "json", SERIALIZER_JSON, 0 },
	{ "integer", SERIALIZER_INTEGER, 0 }, { "long", SERIALIZER_LONG, 0 }, { "double", SERIALIZER_DOUBLE, 0 },
	{ "uuid", SERIALIZER_UUID, 0 },
	{ KAFKA_SERIALIZATION "ByteArraySerializer", SERIALIZER_BYTES, 0 },
	{ KAFKA_SERIALIZATION "BytesSerializer", SERIALIZER_BYTES, 0 },
	{ KAFKA_SERIALIZATION "ByteBufferSerializer", SERIALIZER_BYTES, 0 },
	{ KAFKA_SERIALIZATION "StringSerializer", SERIALIZER_STRING, 0 },
	{ KAFKA_SERIALIZATION "IntegerSerializer", SERIALIZER_INTEGER, 0 },
	{ KAFKA_SERIALIZATION "LongSerializer", SERIALIZER_LONG, 0 },
	{ KAFKA_SERIALIZATION "DoubleSerializer", SERIALIZER_DOUBLE, 0 },
	{ KAFKA_SERIALIZATION "UUIDSerializer", SERIALIZER_UUID, 0 }, { 0 },
};
static const struct key_word dns_words[] = {
	{ "use_all_dns_ips", DNS_USE_ALL_IPS, 0 }, { "resolve_canonical_bootstrap_servers_only", DNS_RESOLVE_CANONICAL, 0 }, { 0 },
};
static const struct key_word recovery_words[] = {
	{ "rebootstrap", METADATA_RECOVERY_REBOOTSTRAP, 0 }, { "none", METADATA_RECOVERY_NONE, 0 }, { 0 },
};
static const struct key_word mechanism_words[] = {
	{ "", SASL_NONE, 0 }, { "PLAIN", SASL_PLAIN, 0 }, { "SCRAM-SHA-256", SASL_SCRAM_SHA_256, 0 },
	{ "SCRAM-SHA-512", SASL_SCRAM_SHA_512, 0 }, { "OAUTHBEARER", SASL_OAUTHBEARER, 0 },
	{ "GSSAPI", WORD_REFUSED, "Kerberos is not supported; use SCRAM-SHA-512, OAUTHBEARER or client certificates (SSL)" },
	{ "AWS_MSK_IAM", WORD_REFUSED, "it is not supported; MSK also takes SCRAM-SHA-512 and client certificates (SSL)" }, { 0 },
};
static const struct key_word login_handler_words[] = {
	{ "", 0, 0 }, { "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler", 0, 0 },
	{ "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler", 0, 0 }, { 0 },
};
static const struct key_word oauth_method_words[] = {
	{ "oidc", 0, 0 }, { "default", WORD_REFUSED, "unsecured tokens are not supported; use oidc" }, { 0 },
};
/* Both ways are tried, see token.c. */
static const struct key_word urlencode_words[] = { { "false", 0, 0 }, { "true", 0, 0 }, { 0 } };
static const struct key_word verify_words[] = {
	{ "true", 0, 0 }, { "false", WORD_REFUSED, "certificates are always checked; name the CA by "
			"ssl.truststore.location" }, { 0 },
};

const struct key config_keys[] = {
	{ "bootstrap.servers", KEY_LIST, FIELD(bootstrap_servers), NULL, 0, 0, NULL },
	{ "client.id", KEY_STRING, FIELD(client_id), "", 0, 0, NULL },
	{ "acks", KEY_ENUM, FIELD(acks), "all", 0, 0, acks_words },
	{ "enable.idempotence", KEY_BOOL, FIELD(enable_idempotence), "true", 0, 0, NULL },
	{ "max.in.flight.requests.per.connection", KEY_INT, FIELD(max_in_flight), "5", 1, INT_MAX_, NULL },
	{ "retries", KEY_INT, FIELD(retries), "2147483647", 0, INT_MAX_, NULL },
	{ "delivery.timeout.ms", KEY_TIME, FIELD(delivery_timeout_ms), "120000", 0, INT_MAX_, NULL },
	{ "request.timeout.ms", KEY_TIME, FIELD(request_timeout_ms), "30000", 1, INT_MAX_, NULL },
	{ "linger.ms", KEY_TIME, FIELD(linger_ms), "0", 0, INT_MAX_, NULL },
	{ "batch.size", KEY_SIZE, FIELD(batch_size), "16384", 0, INT_MAX_, NULL },
	{ "buffer.memory", KEY_SIZE, FIELD(buffer_memory), "33554432", 1 << 20, (int64_t)1 << 40, NULL },
	{ "max.block.ms", KEY_TIME, FIELD(max_block_ms), "60000", 0, MS_MAX, NULL },
	{ "max.request.size", KEY_SIZE, FIELD(max_request_size), "1048576", 1024, 1 << 30, NULL },
	{ "producer.id.expiration.ms", KEY_TIME, FIELD(producer_id_expiration_ms), "86400000", 1, MS_MAX, NULL },
	{ "evidence.settle.ms", KEY_TIME, FIELD(evidence_settle_ms), "60000", 0, INT_MAX_, NULL },
	{ "max_rate", KEY_RATE, FIELD(max_rate), "off", 1024, (int64_t)1 << 40, NULL },
	{ "retry.backoff.ms", KEY_TIME, FIELD(retry_backoff_ms), "100", 0, MS_MAX, NULL },
	{ "retry.backoff.max.ms", KEY_TIME, FIELD(retry_backoff_max_ms), "1000", 0, MS_MAX, NULL },
	{ "reconnect.backoff.ms", KEY_TIME, FIELD(reconnect_backoff_ms), "50", 0, MS_MAX, NULL },
	{ "reconnect.backoff.max.ms", KEY_TIME, FIELD(reconnect_backoff_max_ms), "1000", 0, MS_MAX, NULL },
	{ "socket.connection.setup.timeout.ms", KEY_TIME, FIELD(connection_setup_timeout_ms), "10000", 1, MS_MAX, NULL },
	{ "socket.connection.setup.timeout.max.ms", KEY_TIME, FIELD(connection_setup_timeout_max_ms), "30000", 1, MS_MAX, NULL },
	{ "connections.max.idle.ms", KEY_TIME, FIELD(connections_max_idle_ms), "540000", -1, MS_MAX, NULL },
	{ "metadata.max.age.ms", KEY_TIME, FIELD(metadata_max_age_ms), "300000", 0, MS_MAX, NULL },
	{ "metadata.max.idle.ms", KEY_TIME, FIELD(metadata_max_idle_ms), "300000", 5000, MS_MAX, NULL },
	{ "metadata.recovery.strategy", KEY_ENUM, FIELD(metadata_recovery_strategy), "rebootstrap", 0, 0, recovery_words },
	{ "metadata.recovery.rebootstrap.trigger.ms", KEY_TIME, FIELD(metadata_rebootstrap_trigger_ms), "300000", 0, MS_MAX, NULL },
	{ "client.dns.lookup", KEY_ENUM, FIELD(client_dns_lookup), "use_all_dns_ips", 0, 0, dns_words },
	{ "send.buffer.bytes", KEY_SIZE, FIELD(send_buffer_bytes), "131072", -1, INT_MAX_, NULL },
	{ "receive.buffer.bytes", KEY_SIZE, FIELD(receive_buffer_bytes), "32768", -1, INT_MAX_, NULL },
	{ "compression.type", KEY_ENUM, FIELD(compression_type), "none", 0, 0, codec_words },
	{ "compression.gzip.level", KEY_INT, FIELD(compression_gzip_level), "-1", -1, 9, NULL },
	{ "compression.lz4.level", KEY_INT, FIELD(compression_lz4_level), "9", 1, 17, NULL },
	{ "compression.zstd.level", KEY_INT, FIELD(compression_zstd_level), "3", -131072, 22, NULL },
	{ "partitioner.class", KEY_ENUM, FIELD(partitioner), "default", 0, 0, partitioner_words },
	{ "partitioner.ignore.keys", KEY_BOOL, FIELD(partitioner_ignore_keys), "false", 0, 0, NULL },
	{ "partitioner.adaptive.partitioning.enable", KEY_BOOL, FIELD(partitioner_adaptive), "true", 0, 0, NULL },
	{ "partitioner.availability.timeout.ms", KEY_TIME, FIELD(partitioner_availability_timeout_ms), "0", 0, MS_MAX, NULL },
	{ "key.serializer", KEY_ENUM, FIELD(key_serializer), "bytes", 0, 0, serializer_words },
	{ "value.serializer", KEY_ENUM, FIELD(value_serializer), "bytes", 0, 0, serializer_words },
	{ "interceptor.classes", KEY_JSON, FIELD(interceptors), NULL, 0, 0, NULL },

	{ "security.protocol", KEY_ENUM, FIELD(security_protocol), "PLAINTEXT", 0, 0, protocol_words },
	{ "ssl.truststore.type", KEY_STRING, FIELD(ssl_truststore_type), "PEM", 0, 0, NULL },
	{ "ssl.truststore.location", KEY_STRING, FIELD(ssl_truststore_location), NULL, 0, 0, NULL },
	{ "ssl.truststore.certificates", KEY_STRING, FIELD(ssl_truststore_certificates), NULL, 0, 0, NULL },
	{ "ssl.truststore.password", KEY_SECRET, FIELD(ssl_truststore_password), NULL, 0, 0, NULL },
	{ "ssl.keystore.type", KEY_STRING, FIELD(ssl_keystore_type), "PEM", 0, 0, NULL },
	{ "ssl.keystore.location", KEY_STRING, FIELD(ssl_keystore_location), NULL, 0, 0, NULL },
	{ "ssl.keystore.key", KEY_SECRET, FIELD(ssl_keystore_key), NULL, 0, 0, NULL },
	{ "ssl.keystore.certificate.chain", KEY_STRING, FIELD(ssl_keystore_certificate_chain), NULL, 0, 0, NULL },
	{ "ssl.keystore.password", KEY_SECRET, FIELD(ssl_keystore_password), NULL, 0, 0, NULL },
	{ "ssl.certificate.location", KEY_STRING, FIELD(ssl_certificate_location), NULL, 0, 0, NULL },
	{ "ssl.key.location", KEY_STRING, FIELD(ssl_key_location), NULL, 0, 0, NULL },
	{ "ssl.key.password", KEY_SECRET, FIELD(ssl_key_password), NULL, 0, 0, NULL },
	{ "ssl.endpoint.identification.algorithm", KEY_STRING, FIELD(ssl_endpoint_identification_algorithm), "https", 0, 0, NULL },
	{ "ssl.enabled.protocols", KEY_LIST, FIELD(ssl_enabled_protocols), "TLSv1.2,TLSv1.3", 0, 0, NULL },
	{ "ssl.cipher.suites", KEY_LIST, FIELD(ssl_cipher_suites), NULL, 0, 0, NULL },
	{ "enable.ssl.certificate.verification", KEY_FIXED, 0, "true", 0, 0, verify_words },
	{ "sasl.mechanism", KEY_ENUM, FIELD(sasl_mechanism), "", 0, 0, mechanism_words },
	{ "sasl.username", KEY_STRING, FIELD(sasl_username), NULL, 0, 0, NULL },
	{ "sasl.password", KEY_SECRET, FIELD(sasl_password), NULL, 0, 0, NULL },
	{ "sasl.jaas.config", KEY_SECRET, FIELD(sasl_jaas_config), NULL, 0, 0, NULL },
	{ "sasl.oauthbearer.method", KEY_FIXED, 0, "oidc", 0, 0, oauth_method_words },
	{ "sasl.oauthbearer.header.urlencode", KEY_FIXED, 0, "false", 0, 0, urlencode_words },
	{ "sasl.oauthbearer.token.endpoint.url", KEY_STRING, FIELD(oauth_token_url), NULL, 0, 0, NULL },
	{ "sasl.oauthbearer.client.id", KEY_STRING, FIELD(oauth_client_id), NULL, 0, 0, NULL },
	{ "sasl.oauthbearer.client.secret", KEY_SECRET, FIELD(oauth_client_secret), NULL, 0, 0, NULL },
	{ "sasl.oauthbearer.scope", KEY_STRING, FIELD(oauth_scope), NULL, 0, 0, NULL },
	{ "sasl.oauthbearer.extensions", KEY_STRING, FIELD(oauth_extensions), NULL, 0, 0, NULL },
	{ "sasl.oauthbearer.token.file", KEY_STRING, FIELD(oauth_token_file), NULL, 0, 0, NULL },
	{ "sasl.login.callback.handler.class", KEY_FIXED, 0, "", 0, 0, login_handler_words },
	{ "sasl.login.connect.timeout.ms", KEY_TIME, FIELD(login_connect_timeout_ms), "10000", 1, MS_MAX, NULL },
	{ "sasl.login.read.timeout.ms", KEY_TIME, FIELD(login_read_timeout_ms), "10000", 1, MS_MAX, NULL },
	{ NULL, KEY_FIXED, 0, NULL, 0, 0, NULL },
};
_Static_assert(sizeof config_keys / sizeof config_keys[0] <= KEYS_MAX, "set_mask holds KEYS_MAX keys and more");

const struct key_alias config_aliases[] = {
	{ "metadata.broker.list", "bootstrap.servers" },
	{ "compression.codec", "compression.type" },
	{ "request.required.acks", "acks" },
	{ "max.in.flight", "max.in.flight.requests.per.connection" },
	{ "message.send.max.retries", "retries" },
	{ "message.timeout.ms", "delivery.timeout.ms" },
	{ "queue.buffering.max.ms", "linger.ms" },
	{ "socket.send.buffer.bytes", "send.buffer.bytes" },
	{ "socket.receive.buffer.bytes", "receive.buffer.bytes" },
	{ "topic.metadata.refresh.interval.ms", "metadata.max.age.ms" },
	{ "ssl.ca.location", "ssl.truststore.location" },
	{ "ssl.ca.pem", "ssl.truststore.certificates" },
	{ "ssl.key.pem", "ssl.keystore.key" },
	{ "ssl.certificate.pem", "ssl.keystore.certificate.chain" },
	{ "sasl.mechanisms", "sasl.mechanism" },
	{ "sasl.oauthbearer.token.endpoint.client.id", "sasl.oauthbearer.client.id" },
	{ "sasl.oauthbearer.token.endpoint.client.secret", "sasl.oauthbearer.client.secret" },
	{ "sasl.oauthbearer.token.endpoint.scope", "sasl.oauthbearer.scope" },
	{ "sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id" },
	{ "sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret" },
	{ NULL, NULL },
};

#define JAVA_ONLY "it belongs to Java's client alone, leave it out"
#define NO_KERBEROS "Kerberos is not supported; use SCRAM-SHA-512, OAUTHBEARER or client certificates (SSL)"
#define NO_TRANSACTIONS "transactions are not supported; exactly once is kept by idempotence and the ledger"
#define NO_LOGIN "tokens are fetched when a connection needs one, leave it out"
#define NO_UNSECURED "unsecured tokens are not supported; name a token endpoint or a token file"
#define BROKER_SIDE "it is for whoever checks tokens, leave it out"

const struct key_refusal config_refused[] = {
	{ "auto.include.jmx.reporter", JAVA_ONLY }, { "enable.metrics.push", JAVA_ONLY }, { "metric.reporters", JAVA_ONLY },
	{ "metrics.num.samples", JAVA_ONLY }, { "metrics.recording.level", JAVA_ONLY }, { "metrics.sample.window.ms", JAVA_ONLY },
	{ "sasl.client.callback.handler.class", JAVA_ONLY }, { "sasl.login.class", JAVA_ONLY },
	{ "security.providers", JAVA_ONLY }, { "ssl.engine.factory.class", JAVA_ONLY }, { "ssl.keymanager.algorithm", JAVA_ONLY },
	{ "ssl.protocol", "name the versions by ssl.enabled.protocols" }, { "ssl.provider", JAVA_ONLY },
	{ "ssl.secure.random.implementation", JAVA_ONLY }, { "ssl.trustmanager.algorithm", JAVA_ONLY },
	{ "sasl.kerberos.kinit.cmd", NO_KERBEROS }, { "sasl.kerberos.min.time.before.relogin", NO_KERBEROS },
	{ "sasl.kerberos.service.name", NO_KERBEROS }, { "sasl.kerberos.ticket.renew.jitter", NO_KERBEROS },
	{ "sasl.kerberos.ticket.renew.window.factor", NO_KERBEROS }, { "sasl.kerberos.principal", NO_KERBEROS },
	{ "sasl.kerberos.keytab", NO_KERBEROS },
	{ "sasl.login.refresh.buffer.seconds", NO_LOGIN }, { "sasl.login.refresh.min.period.seconds", NO_LOGIN },
	{ "sasl.login.refresh.window.factor", NO_LOGIN }, { "sasl.login.refresh.window.jitter", NO_LOGIN },
	{ "sasl.login.retry.backoff.max.ms", NO_LOGIN }, { "sasl.login.retry.backoff.ms", NO_LOGIN },
	{ "sasl.oauthbearer.clock.skew.seconds", BROKER_SIDE }, { "sasl.oauthbearer.expected.audience", BROKER_SIDE },
	{ "sasl.oauthbearer.expected.issuer", BROKER_SIDE }, { "sasl.oauthbearer.jwks.endpoint.refresh.ms", BROKER_SIDE },
	{ "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", BROKER_SIDE },
	{ "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", BROKER_SIDE }, { "sasl.oauthbearer.jwks.endpoint.url", BROKER_SIDE },
	{ "sasl.oauthbearer.jwt.validator.class", BROKER_SIDE }, { "sasl.oauthbearer.scope.claim.name", BROKER_SIDE },
	{ "sasl.oauthbearer.sub.claim.name", BROKER_SIDE }, { "sasl.oauthbearer.jwt.retriever.class", JAVA_ONLY },
	{ "sasl.oauthbearer.config", NO_UNSECURED }, { "enable.sasl.oauthbearer.unsecure.jwt", NO_UNSECURED },
	{ "transaction.timeout.ms", NO_TRANSACTIONS }, { "transaction.two.phase.commit.enable", NO_TRANSACTIONS },
	{ "transactional.id", NO_TRANSACTIONS }, { NULL, NULL },
};

const struct producer_preset config_presets[] = {
	{ "balanced", {
		{ "batch.size", "256KiB" }, { "linger.ms", "50" }, { "compression.type", "lz4" } } },
	{ "max-throughput", {
		{ "batch.size", "1000KiB" }, { "linger.ms", "100" }, { "compression.type", "lz4" },
		{ "buffer.memory", "64MiB" } } },
	{ "min-latency", {
		{ "batch.size", "16KiB" }, { "linger.ms", "0" }, { "compression.type", "none" } } },
	{ "max-reliability", {
		{ "acks", "all" }, { "enable.idempotence", "true" }, { "max.in.flight.requests.per.connection", "1" },
		{ "retries", "2147483647" }, { "compression.type", "lz4" } } },
	{ NULL, { { NULL, NULL } } },
};

/* config_keys.c - every key of the producer, its default and its bounds, in one table. A new key is one line here.
 *
 * Names, defaults and bounds are Kafka 4.1's (org.apache.kafka.clients.producer.ProducerConfig), except
 *  - linger.ms is 0, as up to Kafka 3.9;
 *  - buffer.memory is at least 1 MiB, max.request.size at least 1 KiB;
 *  - client.id is empty; who embeds the producer names it.
 */
#include "producer/config_keys.h"

#include "producer/codec.h"

#define INT_MAX_ 2147483647
#define MS_MAX   ((int64_t)1 << 53)
#define FIELD(f) offsetof(struct producer_config, f)

static const struct key_word acks_words[] = {
	{ "all", -1 }, { "-1", -1 }, { "1", 1 }, { "0", 0 }, { NULL, 0 },
};
static const struct key_word codec_words[] = {
	{ "none", CODEC_NONE }, { "lz4", CODEC_LZ4 }, { "zstd", CODEC_ZSTD },
	{ "gzip", WORD_LATER }, { "snappy", WORD_LATER }, { NULL, 0 },
};
static const struct key_word protocol_words[] = {
	{ "PLAINTEXT", 0 }, { "SSL", WORD_LATER }, { "SASL_PLAINTEXT", WORD_LATER }, { "SASL_SSL", WORD_LATER }, { NULL, 0 },
};
static const struct key_word partitioner_words[] = {
	{ "default", 0 }, { "round_robin", WORD_LATER }, { "random", WORD_LATER }, { "file", WORD_LATER },
	{ "priority", WORD_LATER }, { "org.apache.kafka.clients.producer.RoundRobinPartitioner", WORD_LATER }, { NULL, 0 },
};

const struct key config_keys[] = {
	{ "bootstrap.servers", KEY_STRING, FIELD(bootstrap_servers), NULL, 0, 0, NULL },
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
	{ "retry.backoff.ms", KEY_TIME, FIELD(retry_backoff_ms), "100", 0, MS_MAX, NULL },
	{ "retry.backoff.max.ms", KEY_TIME, FIELD(retry_backoff_max_ms), "1000", 0, MS_MAX, NULL },
	{ "reconnect.backoff.ms", KEY_TIME, FIELD(reconnect_backoff_ms), "50", 0, MS_MAX, NULL },
	{ "reconnect.backoff.max.ms", KEY_TIME, FIELD(reconnect_backoff_max_ms), "1000", 0, MS_MAX, NULL },
	{ "socket.connection.setup.timeout.ms", KEY_TIME, FIELD(connection_setup_timeout_ms), "10000", 1, MS_MAX, NULL },
	{ "socket.connection.setup.timeout.max.ms", KEY_TIME, FIELD(connection_setup_timeout_max_ms), "30000", 1, MS_MAX, NULL },
	{ "connections.max.idle.ms", KEY_TIME, FIELD(connections_max_idle_ms), "540000", -1, MS_MAX, NULL },
	{ "metadata.max.age.ms", KEY_TIME, FIELD(metadata_max_age_ms), "300000", 0, MS_MAX, NULL },
	{ "send.buffer.bytes", KEY_SIZE, FIELD(send_buffer_bytes), "131072", -1, INT_MAX_, NULL },
	{ "receive.buffer.bytes", KEY_SIZE, FIELD(receive_buffer_bytes), "32768", -1, INT_MAX_, NULL },
	{ "compression.type", KEY_ENUM, FIELD(compression_type), "none", 0, 0, codec_words },
	{ "compression.lz4.level", KEY_INT, FIELD(compression_lz4_level), "9", 1, 17, NULL },
	{ "compression.zstd.level", KEY_INT, FIELD(compression_zstd_level), "3", -131072, 22, NULL },
	{ "security.protocol", KEY_FIXED, 0, "PLAINTEXT", 0, 0, protocol_words },
	{ "partitioner.class", KEY_FIXED, 0, "default", 0, 0, partitioner_words },
	{ NULL, KEY_FIXED, 0, NULL, 0, 0, NULL },
};
_Static_assert(sizeof config_keys / sizeof config_keys[0] <= KEYS_MAX, "set_mask holds KEYS_MAX keys and more");

const char *const config_later[] = {
	"client.dns.lookup", "compression.gzip.level", "enable.metrics.push", "interceptor.classes", "key.serializer",
	"max_rate", "metadata.max.idle.ms", "metadata.recovery.rebootstrap.trigger.ms", "metadata.recovery.strategy",
	"metric.reporters", "metrics.num.samples", "metrics.recording.level", "metrics.sample.window.ms",
	"partitioner.adaptive.partitioning.enable", "partitioner.availability.timeout.ms", "partitioner.ignore.keys",
	"sasl.client.callback.handler.class", "sasl.jaas.config", "sasl.kerberos.kinit.cmd",
	"sasl.kerberos.min.time.before.relogin", "sasl.kerberos.service.name", "sasl.kerberos.ticket.renew.jitter",
	"sasl.kerberos.ticket.renew.window.factor", "sasl.login.callback.handler.class", "sasl.login.class",
	"sasl.login.connect.timeout.ms", "sasl.login.read.timeout.ms", "sasl.login.refresh.buffer.seconds",
	"sasl.login.refresh.min.period.seconds", "sasl.login.refresh.window.factor", "sasl.login.refresh.window.jitter",
	"sasl.login.retry.backoff.max.ms", "sasl.login.retry.backoff.ms", "sasl.mechanism",
	"sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.clock.skew.seconds",
	"sasl.oauthbearer.expected.audience", "sasl.oauthbearer.expected.issuer", "sasl.oauthbearer.header.urlencode",
	"sasl.oauthbearer.jwks.endpoint.refresh.ms", "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
	"sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "sasl.oauthbearer.jwks.endpoint.url",
	"sasl.oauthbearer.jwt.retriever.class", "sasl.oauthbearer.jwt.validator.class", "sasl.oauthbearer.scope",
	"sasl.oauthbearer.scope.claim.name", "sasl.oauthbearer.sub.claim.name", "sasl.oauthbearer.token.endpoint.client.id",
	"sasl.oauthbearer.token.endpoint.client.secret", "sasl.oauthbearer.token.endpoint.scope",
	"sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.token.file", "sasl.password", "sasl.username",
	"security.providers", "ssl.ca.location", "ssl.certificate.location", "ssl.cipher.suites", "ssl.enabled.protocols",
	"ssl.endpoint.identification.algorithm", "ssl.engine.factory.class", "ssl.key.location", "ssl.key.password",
	"ssl.keymanager.algorithm", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.location",
	"ssl.keystore.password", "ssl.keystore.type", "ssl.protocol", "ssl.provider", "ssl.secure.random.implementation",
	"ssl.trustmanager.algorithm", "ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password",
	"ssl.truststore.type", "transaction.timeout.ms", "transaction.two.phase.commit.enable", "transactional.id",
	"value.serializer", NULL,
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

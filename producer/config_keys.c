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
	{ "bootstrap.servers", KEY_LIST, FIELD(bootstrap_servers), NULL, 0, 0, NULL,
	  "Brokers that are asked first for all the others: host:port, with commas between." },
	{ "client.id", KEY_STRING, FIELD(client_id), "", 0, 0, NULL,
	  "The name by which brokers know this client in their logs, metrics and quotas; %{host} is this machine's name." },
	{ "acks", KEY_ENUM, FIELD(acks), "all", 0, 0, acks_words,
	  "How many replicas must have a record before it counts as written: all that are in sync, only the leader (1), or none "
	  "(0)." },
	{ "enable.idempotence", KEY_BOOL, FIELD(enable_idempotence), "true", 0, 0, NULL,
	  "Whether the broker recognises what is sent twice, so that retries neither double nor reorder records." },
	{ "max.in.flight.requests.per.connection", KEY_INT, FIELD(max_in_flight), "5", 1, INT_MAX_, NULL,
	  "Most requests on their way to one broker at a time; at most 5 with idempotence." },
	{ "retries", KEY_INT, FIELD(retries), "2147483647", 0, INT_MAX_, NULL,
	  "How often a batch is sent again after a fault that may pass." },
	{ "delivery.timeout.ms", KEY_TIME, FIELD(delivery_timeout_ms), "120000", 0, INT_MAX_, NULL,
	  "How long a record may take from send to answer, retries included." },
	{ "request.timeout.ms", KEY_TIME, FIELD(request_timeout_ms), "30000", 1, INT_MAX_, NULL,
	  "How long an answer to one request is waited for." },
	{ "linger.ms", KEY_TIME, FIELD(linger_ms), "0", 0, INT_MAX_, NULL,
	  "How long a batch waits for more records before it is sent." },
	{ "batch.size", KEY_SIZE, FIELD(batch_size), "16384", 0, INT_MAX_, NULL,
	  "Bytes that a batch is filled up to; 0: one record a batch." },
	{ "buffer.memory", KEY_SIZE, FIELD(buffer_memory), "33554432", 1 << 20, (int64_t)1 << 40, NULL,
	  "All the memory for records that are not sent and answered yet." },
	{ "max.block.ms", KEY_TIME, FIELD(max_block_ms), "60000", 0, MS_MAX, NULL,
	  "How long sending waits when buffer.memory is full or a topic is not known yet." },
	{ "max.request.size", KEY_SIZE, FIELD(max_request_size), "1048576", 1024, 1 << 30, NULL,
	  "Most bytes of a record and of a request; brokers have a bound of their own (message.max.bytes)." },
	{ "producer.id.expiration.ms", KEY_TIME, FIELD(producer_id_expiration_ms), "86400000", 1, MS_MAX, NULL,
	  "How long the brokers remember an idle producer: to be set to what they have." },
	{ "evidence.settle.ms", KEY_TIME, FIELD(evidence_settle_ms), "60000", 0, INT_MAX_, NULL,
	  "So much longer than request.timeout.ms a lost request may still be on its way to a broker." },
	{ "max_rate", KEY_RATE, FIELD(max_rate), "off", 1024, (int64_t)1 << 40, NULL,
	  "Most bytes a second on the wire, so that catching up does not fill the link." },
	{ "retry.backoff.ms", KEY_TIME, FIELD(retry_backoff_ms), "100", 0, MS_MAX, NULL,
	  "The first wait before a request is sent again; it doubles up to retry.backoff.max.ms." },
	{ "retry.backoff.max.ms", KEY_TIME, FIELD(retry_backoff_max_ms), "1000", 0, MS_MAX, NULL,
	  "The longest wait before a request is sent again." },
	{ "reconnect.backoff.ms", KEY_TIME, FIELD(reconnect_backoff_ms), "50", 0, MS_MAX, NULL,
	  "The first wait before a broker is connected to again; it doubles up to reconnect.backoff.max.ms." },
	{ "reconnect.backoff.max.ms", KEY_TIME, FIELD(reconnect_backoff_max_ms), "1000", 0, MS_MAX, NULL,
	  "The longest wait before a broker is connected to again." },
	{ "socket.connection.setup.timeout.ms", KEY_TIME, FIELD(connection_setup_timeout_ms), "10000", 1, MS_MAX, NULL,
	  "How long a new connection may take; it doubles with each failure in a row." },
	{ "socket.connection.setup.timeout.max.ms", KEY_TIME, FIELD(connection_setup_timeout_max_ms), "30000", 1, MS_MAX, NULL,
	  "The most that socket.connection.setup.timeout.ms grows to." },
	{ "connections.max.idle.ms", KEY_TIME, FIELD(connections_max_idle_ms), "540000", -1, MS_MAX, NULL,
	  "A connection that nothing went over for so long is closed; -1: never." },
	{ "metadata.max.age.ms", KEY_TIME, FIELD(metadata_max_age_ms), "300000", 0, MS_MAX, NULL,
	  "After so long, leaders and partitions are asked for again, even when nothing seems to have changed." },
	{ "metadata.max.idle.ms", KEY_TIME, FIELD(metadata_max_idle_ms), "300000", 5000, MS_MAX, NULL,
	  "A topic that nothing was sent to for so long is forgotten, and asked for when it is needed again." },
	{ "metadata.recovery.strategy", KEY_ENUM, FIELD(metadata_recovery_strategy), "rebootstrap", 0, 0, recovery_words,
	  "What happens when no known broker answers: rebootstrap goes back to bootstrap.servers, none goes on trying." },
	{ "metadata.recovery.rebootstrap.trigger.ms", KEY_TIME, FIELD(metadata_rebootstrap_trigger_ms), "300000", 0, MS_MAX, NULL,
	  "After so long without any broker's answer, bootstrap.servers are asked again." },
	{ "client.dns.lookup", KEY_ENUM, FIELD(client_dns_lookup), "use_all_dns_ips", 0, 0, dns_words,
	  "Which addresses of a name are tried: all of them one after the other, or those of the canonical names behind "
	  "bootstrap.servers." },
	{ "send.buffer.bytes", KEY_SIZE, FIELD(send_buffer_bytes), "131072", -1, INT_MAX_, NULL,
	  "The socket's send buffer (SO_SNDBUF); -1: the system's default." },
	{ "receive.buffer.bytes", KEY_SIZE, FIELD(receive_buffer_bytes), "32768", -1, INT_MAX_, NULL,
	  "The socket's receive buffer (SO_RCVBUF); -1: the system's default." },
	{ "compression.type", KEY_ENUM, FIELD(compression_type), "none", 0, 0, codec_words,
	  "How batches are compressed." },
	{ "compression.gzip.level", KEY_INT, FIELD(compression_gzip_level), "-1", -1, 9, NULL,
	  "gzip's level from 1 (fast) to 9 (small); -1: its default." },
	{ "compression.lz4.level", KEY_INT, FIELD(compression_lz4_level), "9", 1, 17, NULL,
	  "lz4's level: 9, Kafka's default, is LZ4's fast one; others are LZ4HC." },
	{ "compression.zstd.level", KEY_INT, FIELD(compression_zstd_level), "3", -131072, 22, NULL,
	  "zstd's level; higher is smaller and slower." },
	{ "partitioner.class", KEY_ENUM, FIELD(partitioner), "default", 0, 0, partitioner_words,
	  "How a record gets its partition: default (murmur2 of its key; without key, one partition until a batch is full), "
	  "round_robin, random, file (all lines of a file in one) or priority (by the header priority)." },
	{ "partitioner.ignore.keys", KEY_BOOL, FIELD(partitioner_ignore_keys), "false", 0, 0, NULL,
	  "Whether keys have no say in the partition." },
	{ "partitioner.adaptive.partitioning.enable", KEY_BOOL, FIELD(partitioner_adaptive), "true", 0, 0, NULL,
	  "Whether partitions of faster brokers get more of the records without key." },
	{ "partitioner.availability.timeout.ms", KEY_TIME, FIELD(partitioner_availability_timeout_ms), "0", 0, MS_MAX, NULL,
	  "A broker that has had something to take for longer gets nothing new while another one can; 0: off." },
	{ "key.serializer", KEY_ENUM, FIELD(key_serializer), "bytes", 0, 0, serializer_words,
	  "What the bytes of a key are made from, and whether they are checked for it." },
	{ "value.serializer", KEY_ENUM, FIELD(value_serializer), "bytes", 0, 0, serializer_words,
	  "What the bytes of a value are made from, and whether they are checked for it." },
	{ "interceptor.classes", KEY_JSON, FIELD(interceptors), NULL, 0, 0, NULL,
	  "What every record goes through before it is serialized, in this order: header, redact, drop, rename." },

	{ "security.protocol", KEY_ENUM, FIELD(security_protocol), "PLAINTEXT", 0, 0, protocol_words,
	  "Whether the connection is encrypted by TLS, and whether SASL logs in." },
	{ "ssl.truststore.type", KEY_STRING, FIELD(ssl_truststore_type), "PEM", 0, 0, NULL,
	  "The kind of the truststore; PEM is the only one." },
	{ "ssl.truststore.location", KEY_STRING, FIELD(ssl_truststore_location), NULL, 0, 0, NULL,
	  "A PEM file with the certificates that are trusted; unset, the system's CAs." },
	{ "ssl.truststore.certificates", KEY_STRING, FIELD(ssl_truststore_certificates), NULL, 0, 0, NULL,
	  "The certificates that are trusted, as PEM text." },
	{ "ssl.truststore.password", KEY_SECRET, FIELD(ssl_truststore_password), NULL, 0, 0, NULL,
	  "Refused, as PEM certificates have none." },
	{ "ssl.keystore.type", KEY_STRING, FIELD(ssl_keystore_type), "PEM", 0, 0, NULL,
	  "The kind of the keystore; PEM is the only one." },
	{ "ssl.keystore.location", KEY_STRING, FIELD(ssl_keystore_location), NULL, 0, 0, NULL,
	  "A PEM file with the client's private key and its certificate chain." },
	{ "ssl.keystore.key", KEY_SECRET, FIELD(ssl_keystore_key), NULL, 0, 0, NULL,
	  "The client's private key, as PEM text." },
	{ "ssl.keystore.certificate.chain", KEY_STRING, FIELD(ssl_keystore_certificate_chain), NULL, 0, 0, NULL,
	  "The client's certificate chain, as PEM text." },
	{ "ssl.keystore.password", KEY_SECRET, FIELD(ssl_keystore_password), NULL, 0, 0, NULL,
	  "Refused, as PEM files have none; the one of an encrypted key is ssl.key.password." },
	{ "ssl.certificate.location", KEY_STRING, FIELD(ssl_certificate_location), NULL, 0, 0, NULL,
	  "A PEM file with the client's certificate chain." },
	{ "ssl.key.location", KEY_STRING, FIELD(ssl_key_location), NULL, 0, 0, NULL,
	  "A PEM file with the client's private key." },
	{ "ssl.key.password", KEY_SECRET, FIELD(ssl_key_password), NULL, 0, 0, NULL,
	  "The password of an encrypted private key." },
	{ "ssl.endpoint.identification.algorithm", KEY_STRING, FIELD(ssl_endpoint_identification_algorithm), "https", 0, 0, NULL,
	  "https: the broker's certificate must be for its name or address; empty or none: any name is taken." },
	{ "ssl.enabled.protocols", KEY_LIST, FIELD(ssl_enabled_protocols), "TLSv1.2,TLSv1.3", 0, 0, NULL,
	  "The versions of TLS that are offered." },
	{ "ssl.cipher.suites", KEY_LIST, FIELD(ssl_cipher_suites), NULL, 0, 0, NULL,
	  "The cipher suites that are offered; unset, OpenSSL's choice." },
	{ "enable.ssl.certificate.verification", KEY_FIXED, 0, "true", 0, 0, verify_words,
	  "Whether the broker's certificate is checked; it always is." },
	{ "sasl.mechanism", KEY_ENUM, FIELD(sasl_mechanism), "", 0, 0, mechanism_words,
	  "How the client proves who it is." },
	{ "sasl.username", KEY_STRING, FIELD(sasl_username), NULL, 0, 0, NULL,
	  "The user's name for PLAIN and SCRAM." },
	{ "sasl.password", KEY_SECRET, FIELD(sasl_password), NULL, 0, 0, NULL,
	  "The user's password for PLAIN and SCRAM." },
	{ "sasl.jaas.config", KEY_SECRET, FIELD(sasl_jaas_config), NULL, 0, 0, NULL,
	  "Name and password, or OAuth settings, as Java's clients write them." },
	{ "sasl.oauthbearer.method", KEY_FIXED, 0, "oidc", 0, 0, oauth_method_words,
	  "How a token is got; oidc is the only way." },
	{ "sasl.oauthbearer.header.urlencode", KEY_FIXED, 0, "false", 0, 0, urlencode_words,
	  "Whether client id and secret are encoded in the request for a token; both ways are tried." },
	{ "sasl.oauthbearer.token.endpoint.url", KEY_STRING, FIELD(oauth_token_url), NULL, 0, 0, NULL,
	  "Where tokens are asked for." },
	{ "sasl.oauthbearer.client.id", KEY_STRING, FIELD(oauth_client_id), NULL, 0, 0, NULL,
	  "The client's id at the token endpoint." },
	{ "sasl.oauthbearer.client.secret", KEY_SECRET, FIELD(oauth_client_secret), NULL, 0, 0, NULL,
	  "The client's secret at the token endpoint." },
	{ "sasl.oauthbearer.scope", KEY_STRING, FIELD(oauth_scope), NULL, 0, 0, NULL,
	  "The scope that is asked for with a token." },
	{ "sasl.oauthbearer.extensions", KEY_STRING, FIELD(oauth_extensions), NULL, 0, 0, NULL,
	  "Extensions that go with a token: name=value, with commas between." },
	{ "sasl.oauthbearer.token.file", KEY_STRING, FIELD(oauth_token_file), NULL, 0, 0, NULL,
	  "A file with the token, which something else renews." },
	{ "sasl.login.callback.handler.class", KEY_FIXED, 0, "", 0, 0, login_handler_words,
	  "Java's class for OAuth's login; its names are accepted and change nothing." },
	{ "sasl.login.connect.timeout.ms", KEY_TIME, FIELD(login_connect_timeout_ms), "10000", 1, MS_MAX, NULL,
	  "How long connecting to the token endpoint may take." },
	{ "sasl.login.read.timeout.ms", KEY_TIME, FIELD(login_read_timeout_ms), "10000", 1, MS_MAX, NULL,
	  "How long the token endpoint's answer is waited for." },
	{ .name = NULL },
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

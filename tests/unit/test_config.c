/* test_config.c - Kafka's keys: read, refused with a hint, checked against each other, printed back. */
#include "producer/config.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/batch.h"
#include "tests/lib/unit.h"

static struct producer_config *c;
static struct producer_error err;

static int setup(void **state)
{
	(void)state;
	c = producer_config_new();
	memset(&err, 0, sizeof err);
	return c ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	producer_config_free(c);
	return 0;
}

static void set(const char *name, const char *value)
{
	if (producer_config_set(c, name, value, &err) < 0)
		fail_msg("%s: %s: %s", name, value, err.text);
}

static void assert_refused(const char *name, const char *value, const char *words)
{
	memset(&err, 0, sizeof err);
	assert_int_equal(producer_config_set(c, name, value, &err), PRODUCER_ERR_CONFIG);
	assert_int_equal(err.code, PRODUCER_ERR_CONFIG);
	assert_false(err.retriable);
	assert_string_equal(err.text, words);
	assert_int_equal(producer_config_set(c, name, value, NULL), PRODUCER_ERR_CONFIG);
}

static void assert_check_fails(const char *words)
{
	memset(&err, 0, sizeof err);
	assert_int_equal(producer_config_check(c, &err), PRODUCER_ERR_CONFIG);
	assert_string_equal(err.text, words);
}

static void assert_checked(void)
{
	set("bootstrap.servers", "localhost:9092");
	if (producer_config_check(c, &err) < 0)
		fail_msg("%s", err.text);
}

static void defaults_are_those_of_kafka_but_for_linger(void **state)
{
	static const char *const want[][2] = {
		{ "bootstrap.servers", "" }, { "client.id", "" }, { "acks", "all" }, { "enable.idempotence", "true" },
		{ "max.in.flight.requests.per.connection", "5" }, { "retries", "2147483647" },
		{ "delivery.timeout.ms", "120000" }, { "request.timeout.ms", "30000" }, { "linger.ms", "0" },
		{ "batch.size", "16KiB" }, { "buffer.memory", "32MiB" }, { "max.block.ms", "60000" },
		{ "max.request.size", "1MiB" }, { "retry.backoff.ms", "100" }, { "retry.backoff.max.ms", "1000" },
		{ "reconnect.backoff.ms", "50" }, { "reconnect.backoff.max.ms", "1000" },
		{ "socket.connection.setup.timeout.ms", "10000" }, { "socket.connection.setup.timeout.max.ms", "30000" },
		{ "connections.max.idle.ms", "540000" }, { "metadata.max.age.ms", "300000" },
		{ "send.buffer.bytes", "128KiB" }, { "receive.buffer.bytes", "32KiB" }, { "compression.type", "none" },
		{ "compression.lz4.level", "9" }, { "compression.zstd.level", "3" }, { "security.protocol", "PLAINTEXT" },
		{ "partitioner.class", "default" }, { "preset", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(want); i++)
		assert_string_equal(producer_config_get(c, want[i][0]), want[i][1]);
	assert_null(producer_config_get(c, "no.such.key"));
}

static void the_list_of_names_is_complete_and_ends(void **state)
{
	size_t n = 0;

	(void)state;
	while (producer_config_name(n)) {
		assert_non_null(producer_config_get(c, producer_config_name(n)));
		n++;
	}
	assert_int_equal(n, 73);
	assert_null(producer_config_name(1000000));
}

static void what_is_printed_is_read_back_the_same(void **state)
{
	struct producer_config *d = producer_config_new();
	const char *name;

	(void)state;
	set("preset", "max-throughput");
	set("max.block.ms", "90s");
	set("send.buffer.bytes", "-1");
	assert_checked();
	for (size_t i = 0; (name = producer_config_name(i)); i++)
		assert_int_equal(producer_config_set(d, name, producer_config_get(c, name), &err), 0);
	assert_int_equal(producer_config_check(d, &err), 0);
	for (size_t i = 0; (name = producer_config_name(i)); i++)
		assert_string_equal(producer_config_get(d, name), producer_config_get(c, name));
	producer_config_free(d);
}

static void values_come_with_units_or_without(void **state)
{
	(void)state;
	set("batch.size", "65536");
	assert_int_equal(c->batch_size, 65536);
	set("batch.size", "128KiB");
	assert_int_equal(c->batch_size, 131072);
	set("linger.ms", "250");
	assert_int_equal(c->linger_ms, 250);
	set("linger.ms", "2s");
	assert_int_equal(c->linger_ms, 2000);
	set("max.block.ms", "9223372036854775807");	/* Java's Long.MAX_VALUE */
	assert_int_equal(c->max_block_ms, (int64_t)1 << 53);
	set("acks", "-1");
	assert_int_equal(c->acks, -1);
	assert_string_equal(producer_config_get(c, "acks"), "all");
	set("acks", "1");
	assert_string_equal(producer_config_get(c, "acks"), "1");
	set("compression.type", "zstd");
	assert_int_equal(c->compression_type, CODEC_ZSTD);
	set("compression.zstd.level", "-5");
	assert_int_equal(c->compression_zstd_level, -5);
	set("enable.idempotence", "false");
	assert_int_equal(c->enable_idempotence, 0);
	set("client.id", "a");
	set("client.id", "b");
	assert_string_equal(c->client_id, "b");
	set("security.protocol", "PLAINTEXT");
	set("partitioner.class", "default");
}

static void wrong_values_say_what_would_be_right(void **state)
{
	static const char *const bad[][3] = {
		{ "linger.ms", "fast", "linger.ms: \"fast\" is not a time (like 500, 500ms, 3s or 5m)" },
		{ "batch.size", "1.5MiB", "batch.size: \"1.5MiB\" is not a size (like 65536, 64KiB or 1MiB)" },
		{ "retries", "5x", "retries: \"5x\" is not a number" },
		{ "retries", "", "retries: \"\" is not a number" },
		{ "retries", "99999999999999999999", "retries: \"99999999999999999999\" is not a number" },
		{ "retries", "-1", "retries: -1 is out of range, it must be from 0 to 2147483647" },
		{ "buffer.memory", "1048575", "buffer.memory: 1048575 is out of range, it must be from 1MiB to 1TiB" },
		{ "compression.lz4.level", "18", "compression.lz4.level: 18 is out of range, it must be from 1 to 17" },
		{ "max.in.flight.requests.per.connection", "0",
		  "max.in.flight.requests.per.connection: 0 is out of range, it must be from 1 to 2147483647" },
		{ "enable.idempotence", "yes", "enable.idempotence: \"yes\" is neither true nor false" },
		{ "acks", "al", "acks: unknown value \"al\" (did you mean \"all\"?)" },
		{ "acks", "everyone", "acks: unknown value \"everyone\", there are: all, -1, 1, 0" },
		{ "compression.type", "lz5", "compression.type: unknown value \"lz5\" (did you mean \"lz4\"?)" },
		{ "security.protocol", "PLAINTXT", "security.protocol: unknown value \"PLAINTXT\" (did you mean \"PLAINTEXT\"?)" },
		{ "security.protocol", "TLS", "security.protocol: unknown value \"TLS\", there are: PLAINTEXT, SSL, "
		  "SASL_PLAINTEXT, SASL_SSL" },
		{ "sasl.mechanism", "GSSAPI", "sasl.mechanism: \"GSSAPI\": Kerberos is not supported; use SCRAM-SHA-512, "
				"OAUTHBEARER "
		  "or client certificates (SSL)" },
		{ "sasl.mechanism", "AWS_MSK_IAM", "sasl.mechanism: \"AWS_MSK_IAM\": it is not supported; MSK also takes "
		  "SCRAM-SHA-512 and client certificates (SSL)" },
		{ "sasl.mechanism", "SCRAM", "sasl.mechanism: unknown value \"SCRAM\", there are: PLAIN, SCRAM-SHA-256, "
		  "SCRAM-SHA-512, OAUTHBEARER" },
		{ "value.serializer", "avro", "value.serializer: unknown value \"avro\", there are: bytes, string, json, integer, "
		  "long, double, uuid" },
		{ "partitioner.class", "org.apache.kafka.clients.producer.UniformStickyPartitioner",
		  "partitioner.class: \"org.apache.kafka.clients.producer.UniformStickyPartitioner\": use "
				"partitioner.class: default "
		  "with partitioner.ignore.keys: true" },
		{ "enable.ssl.certificate.verification", "false", "enable.ssl.certificate.verification: \"false\": "
				"certificates are "
		  "always checked; name the CA by ssl.truststore.location" },
		{ "max_rate", "20MiB", "max_rate: \"20MiB\" is neither off nor a rate like 20MiB/s" },
		{ "max_rate", "fast/s", "max_rate: \"fast\" is not a rate like 20MiB/s" },
		{ "max_rate", "10/s", "max_rate: 10 is out of range, it must be from 1KiB to 1TiB" },
		{ "bootstrap.servers", "[1]", "bootstrap.servers: a list of texts is taken, nothing else" },
		{ "preset", "balance", "preset: unknown value \"balance\" (did you mean \"balanced\"?)" },
		{ "preset", "xyz",
		  "preset: unknown value \"xyz\", there are: balanced, max-throughput, min-latency, max-reliability" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_refused(bad[i][0], bad[i][1], bad[i][2]);
	/* None of them left a trace. */
	defaults_are_those_of_kafka_but_for_linger(NULL);
	set("buffer.memory", "64MiB");
	set("preset", "max-throughput");
	assert_string_equal(producer_config_get(c, "retries"), "2147483647");
}

static void unknown_names_come_with_the_nearest(void **state)
{
	(void)state;
	assert_refused("linger", "5", "unknown key \"linger\"");
	assert_refused("linger_ms", "5", "unknown key \"linger_ms\" (did you mean \"linger.ms\"?)");
	assert_refused("bach.size", "5", "unknown key \"bach.size\" (did you mean \"batch.size\"?)");
	assert_refused("sasl.pasword", "5", "unknown key \"sasl.pasword\" (did you mean \"sasl.password\"?)");
	assert_refused("presets", "5", "unknown key \"presets\" (did you mean \"preset\"?)");
	assert_refused("", "5", "unknown key \"\"");
}

static void names_of_other_clients_and_of_java_alone_are_refused_with_words(void **state)
{
	(void)state;
	assert_refused("transactional.id", "t",
		       "\"transactional.id\": transactions are not supported; exactly once is kept by idempotence and the ledger");
	assert_refused("metric.reporters", "x", "\"metric.reporters\": it belongs to Java's client alone, leave it out");
	assert_refused("sasl.kerberos.service.name", "kafka", "\"sasl.kerberos.service.name\": Kerberos is not supported; use "
		       "SCRAM-SHA-512, OAUTHBEARER or client certificates (SSL)");
	assert_refused("ssl.protocol", "TLSv1.3", "\"ssl.protocol\": name the versions by ssl.enabled.protocols");
	assert_refused("sasl.oauthbearer.config", "principal=x", "\"sasl.oauthbearer.config\": unsecured tokens are not supported; "
		       "name a token endpoint or a token file");
}

static void other_names_of_a_key_mean_the_key(void **state)
{
	static const char *const same[][3] = {
		{ "metadata.broker.list", "h:1", "bootstrap.servers" }, { "compression.codec", "lz4", "compression.type" },
		{ "request.required.acks", "1", "acks" }, { "queue.buffering.max.ms", "9", "linger.ms" },
		{ "ssl.ca.location", "/ca.pem", "ssl.truststore.location" }, { "ssl.ca.pem", "x", "ssl.truststore.certificates" },
		{ "ssl.certificate.pem", "c", "ssl.keystore.certificate.chain" }, { "sasl.mechanisms", "PLAIN", "sasl.mechanism" },
		{ "sasl.oauthbearer.token.endpoint.client.id", "me", "sasl.oauthbearer.client.id" },
		{ "sasl.oauthbearer.client.credentials.client.id", "you", "sasl.oauthbearer.client.id" },
		{ "sasl.oauthbearer.token.endpoint.scope", "s", "sasl.oauthbearer.scope" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(same); i++) {
		set(same[i][0], same[i][1]);
		assert_string_equal(producer_config_get(c, same[i][0]), same[i][1]);
		assert_string_equal(producer_config_get(c, same[i][2]), same[i][1]);
		assert_string_equal(producer_config_canonical(same[i][0]), same[i][2]);
	}
	assert_null(producer_config_canonical("no.such.key"));
	/* What was set last counts. */
	set("ssl.truststore.location", "/other.pem");
	assert_string_equal(producer_config_get(c, "ssl.ca.location"), "/other.pem");
	set("ssl.key.pem", "x");
	assert_string_equal(c->ssl_keystore_key, "x");
}

static void words_are_taken_in_any_case_and_by_kafkas_class_names(void **state)
{
	(void)state;
	set("security.protocol", "sasl_ssl");
	assert_string_equal(producer_config_get(c, "security.protocol"), "SASL_SSL");
	set("sasl.mechanism", "scram-sha-512");
	assert_int_equal(c->sasl_mechanism, SASL_SCRAM_SHA_512);
	set("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
	assert_string_equal(producer_config_get(c, "value.serializer"), "string");
	set("key.serializer", "org.apache.kafka.common.serialization.UUIDSerializer");
	assert_int_equal(c->key_serializer, SERIALIZER_UUID);
	set("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner");
	assert_string_equal(producer_config_get(c, "partitioner.class"), "round_robin");
	set("enable.ssl.certificate.verification", "true");
}

static void lists_come_with_commas_or_as_json(void **state)
{
	(void)state;
	set("bootstrap.servers", "[\"a:1\",\"b:2\"]");
	assert_string_equal(c->bootstrap_servers, "a:1,b:2");
	set("bootstrap.servers", "[::1]:9092");
	assert_string_equal(c->bootstrap_servers, "[::1]:9092");
	set("ssl.enabled.protocols", "[]");
	assert_string_equal(c->ssl_enabled_protocols, "");
	set("interceptor.classes", "[{\"drop\":{\"pattern\":\"x\"}}]");
	assert_string_equal(c->interceptors, "[{\"drop\":{\"pattern\":\"x\"}}]");
	assert_true(producer_config_takes_json("interceptor.classes"));
	assert_true(producer_config_takes_json("metadata.broker.list"));
	assert_false(producer_config_takes_json("acks"));
	assert_false(producer_config_takes_json("nonsense"));
}

static void a_rate_is_bytes_a_second_or_off(void **state)
{
	(void)state;
	assert_int_equal(c->max_rate, 0);
	set("max_rate", "20MiB/s");
	assert_int_equal(c->max_rate, 20 << 20);
	assert_string_equal(producer_config_get(c, "max_rate"), "20MiB/s");
	set("max_rate", "1500/s");
	assert_string_equal(producer_config_get(c, "max_rate"), "1500B/s");
	set("max_rate", "off");
	assert_string_equal(producer_config_get(c, "max_rate"), "off");
}

static void secrets_are_never_given_back(void **state)
{
	static const char *const secret[] = { "ssl.keystore.key", "ssl.key.password", "ssl.keystore.password",
		"ssl.truststore.password", "sasl.password", "sasl.jaas.config", "sasl.oauthbearer.client.secret" };

	(void)state;
	for (size_t i = 0; i < COUNT(secret); i++) {
		assert_string_equal(producer_config_get(c, secret[i]), "");
		set(secret[i], "hush");
		assert_string_equal(producer_config_get(c, secret[i]), "***");
		set(secret[i], "");
		assert_string_equal(producer_config_get(c, secret[i]), "");
	}
}

static void a_long_value_is_cut_not_overrun(void **state)
{
	static char word[5000];

	(void)state;
	memset(word, 'w', sizeof word - 1);
	assert_int_equal(producer_config_set(c, "acks", word, &err), PRODUCER_ERR_CONFIG);
	assert_int_equal(producer_config_set(c, word, word, &err), PRODUCER_ERR_CONFIG);
	assert_int_equal(producer_config_set(c, "linger.ms", word, &err), PRODUCER_ERR_CONFIG);
	assert_int_equal(producer_config_set(c, "preset", word, &err), PRODUCER_ERR_CONFIG);
	set("client.id", word);
	assert_string_equal(producer_config_get(c, "client.id"), word);
}

static void presets_set_what_the_manual_says(void **state)
{
	static const char *const want[][4] = {
		{ "balanced", "256KiB", "50", "lz4" }, { "max-throughput", "1000KiB", "100", "lz4" },
		{ "min-latency", "16KiB", "0", "none" }, { "max-reliability", "16KiB", "0", "lz4" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(want); i++) {
		set("preset", want[i][0]);
		assert_string_equal(producer_config_get(c, "preset"), want[i][0]);
		assert_string_equal(producer_config_get(c, "batch.size"), want[i][1]);
		assert_string_equal(producer_config_get(c, "linger.ms"), want[i][2]);
		assert_string_equal(producer_config_get(c, "compression.type"), want[i][3]);
		assert_string_equal(producer_config_get(c, "buffer.memory"), i == 1 ? "64MiB" : "32MiB");
		assert_string_equal(producer_config_get(c, "max.in.flight.requests.per.connection"), i == 3 ? "1" : "5");
		assert_checked();
	}
}

static void single_keys_win_over_the_preset_in_any_order(void **state)
{
	(void)state;
	set("linger.ms", "7");
	set("preset", "balanced");
	set("compression.type", "none");
	assert_int_equal(c->linger_ms, 7);
	assert_int_equal(c->compression_type, CODEC_NONE);
	assert_int_equal(c->batch_size, 256 << 10);
	/* Another preset takes the first one's values away. */
	set("preset", "max-reliability");
	assert_int_equal(c->linger_ms, 7);
	assert_int_equal(c->batch_size, 16384);
}

static void a_small_memory_alone_lowers_the_default_batch(void **state)
{
	(void)state;
	set("preset", "balanced");
	set("buffer.memory", "1MiB");
	assert_checked();
	assert_string_equal(producer_config_get(c, "batch.size"), "256KiB");
	set("preset", "max-throughput");
	assert_checked();
	assert_string_equal(producer_config_get(c, "batch.size"), "256KiB");
	/* And the default is back when memory is. */
	set("buffer.memory", "1GiB");
	assert_checked();
	assert_string_equal(producer_config_get(c, "batch.size"), "1000KiB");
	set("max.request.size", "100KiB");
	assert_checked();
	assert_true(c->batch_size < 100 << 10 && c->batch_size > 98 << 10);
}

static void chosen_sizes_that_do_not_fit_are_errors(void **state)
{
	(void)state;
	assert_checked();
	set("buffer.memory", "1MiB");
	set("batch.size", "512KiB");
	assert_check_fails("batch.size: 512KiB does not fit buffer.memory four times: at most 256KiB");
	set("batch.size", "256KiB");
	assert_checked();
	set("max.request.size", "2MiB");
	assert_check_fails("max.request.size: 2MiB does not fit buffer.memory: at most 1MiB");
	set("max.request.size", "128KiB");
	assert_check_fails("batch.size: 256KiB does not fit max.request.size: at most 128KiB");
}

static void idempotence_that_was_asked_for_insists(void **state)
{
	(void)state;
	assert_checked();
	set("enable.idempotence", "true");
	set("acks", "1");
	assert_check_fails("enable.idempotence: true needs acks: all, not 1");
	set("acks", "all");
	set("retries", "0");
	assert_check_fails("enable.idempotence: true needs retries above 0");
	set("retries", "3");
	set("max.in.flight.requests.per.connection", "6");
	assert_check_fails("max.in.flight.requests.per.connection: 6 is more than the 5 that enable.idempotence: true allows");
	set("enable.idempotence", "false");
	assert_checked();
}

/* As Java's producer: what nobody asked for gives way to what somebody chose. */
static void idempotence_by_default_gives_way(void **state)
{
	(void)state;
	set("acks", "0");
	assert_checked();
	assert_string_equal(producer_config_get(c, "enable.idempotence"), "false");
	set("acks", "all");
	assert_checked();
	assert_string_equal(producer_config_get(c, "enable.idempotence"), "true");
	set("retries", "0");
	assert_checked();
	assert_string_equal(producer_config_get(c, "enable.idempotence"), "false");
	set("retries", "1");
	set("max.in.flight.requests.per.connection", "6");
	assert_check_fails("max.in.flight.requests.per.connection: 6 is more than the 5 that enable.idempotence: true allows");
	set("max.in.flight.requests.per.connection", "5");
	set("preset", "max-reliability");
	set("acks", "1");
	assert_check_fails("enable.idempotence: true needs acks: all, not 1");
}

static void the_delivery_timeout_holds_linger_and_one_request(void **state)
{
	(void)state;
	set("request.timeout.ms", "100s");
	set("linger.ms", "30s");
	assert_checked();
	assert_int_equal(c->delivery_timeout_ms, 130000);
	set("linger.ms", "0");
	assert_checked();
	assert_int_equal(c->delivery_timeout_ms, 120000);
	set("delivery.timeout.ms", "99999");
	assert_check_fails("delivery.timeout.ms: 99999 is less than linger.ms + request.timeout.ms = 100000");
	set("delivery.timeout.ms", "100000");
	assert_checked();
}

static void servers_are_required_and_well_formed(void **state)
{
	static const char *const good[] = {
		"a:1", "a:1,b:65535", " a:1 , b:2 ", "[::1]:9092", "10.0.0.1:9092,", "my-host.example:9092",
	};
	static const char *const bad[] = {
		"a", "a:", ":1", "a:0", "a:65536", "a:x", "a:1x", "::1:9092", "a:1,b", "a:999999999999",
	};

	(void)state;
	assert_check_fails("bootstrap.servers is required");
	set("bootstrap.servers", " , ");
	assert_check_fails("bootstrap.servers is required");
	for (size_t i = 0; i < COUNT(good); i++) {
		set("bootstrap.servers", good[i]);
		assert_int_equal(producer_config_check(c, &err), 0);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		set("bootstrap.servers", bad[i]);
		assert_int_equal(producer_config_check(c, &err), PRODUCER_ERR_CONFIG);
	}
	set("bootstrap.servers", "good:9092,kafka-2");
	assert_check_fails("bootstrap.servers: \"kafka-2\" is not host:port");
	assert_int_equal(producer_config_check(c, NULL), PRODUCER_ERR_CONFIG);
}

static void short_memory_is_an_error_and_keeps_the_old_value(void **state)
{
	struct producer_config *d;

	(void)state;
	for (long n = 1;; n++) {
		mem_fail_nth(n);
		d = producer_config_new();
		mem_fail_nth(0);
		if (d)
			break;
		assert_in_range(n, 1, 10);
	}
	producer_config_free(d);
	producer_config_free(NULL);
	set("client.id", "old");
	mem_fail_nth(1);
	assert_int_equal(producer_config_set(c, "client.id", "new", &err), PRODUCER_ERR_NOMEM);
	assert_true(err.retriable);
	assert_string_equal(c->client_id, "old");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static void every_name_that_is_taken_is_described(void **state)
{
	struct producer_config_description d;
	size_t n = 0, others = 0;

	(void)state;
	for (; producer_config_describe(n, &d); n++) {
		assert_true(d.doc && d.doc[0] && d.doc[strlen(d.doc) - 1] == '.');
		assert_non_null(d.type);
		if (d.other_of) {
			assert_string_equal(producer_config_canonical(d.name), d.other_of);
			others++;
		}
		/* One of the words that it is said to take is taken. */
		if (d.choices[0] && d.choices[0][0]) {
			struct producer_config *fresh = producer_config_new();

			assert_int_equal(producer_config_set(fresh, d.name, d.choices[0], NULL), 0);
			producer_config_free(fresh);
		}
	}
	for (size_t i = 0; producer_config_name(i); i++)
		n--;
	assert_int_equal(n, others + 1);	/* the preset */
	assert_false(producer_config_describe(SIZE_MAX, &d));
}

static const struct CMUnitTest tests[] = {
	T(defaults_are_those_of_kafka_but_for_linger),
	T(the_list_of_names_is_complete_and_ends),
	T(what_is_printed_is_read_back_the_same),
	T(values_come_with_units_or_without),
	T(wrong_values_say_what_would_be_right),
	T(unknown_names_come_with_the_nearest),
	T(names_of_other_clients_and_of_java_alone_are_refused_with_words),
	T(other_names_of_a_key_mean_the_key),
	T(words_are_taken_in_any_case_and_by_kafkas_class_names),
	T(lists_come_with_commas_or_as_json),
	T(a_rate_is_bytes_a_second_or_off),
	T(secrets_are_never_given_back),
	T(a_long_value_is_cut_not_overrun),
	T(presets_set_what_the_manual_says),
	T(single_keys_win_over_the_preset_in_any_order),
	T(a_small_memory_alone_lowers_the_default_batch),
	T(chosen_sizes_that_do_not_fit_are_errors),
	T(idempotence_that_was_asked_for_insists),
	T(idempotence_by_default_gives_way),
	T(the_delivery_timeout_holds_linger_and_one_request),
	T(servers_are_required_and_well_formed),
	T(every_name_that_is_taken_is_described),
	T(short_memory_is_an_error_and_keeps_the_old_value),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

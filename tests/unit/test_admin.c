/* test_admin.c - questions to one broker: answered, refused, malformed, or given up in time. The broker is tests/lib/fakebroker.h;
 * rights, settings and TLS are seen at a real one (tests/scenario/online.py).
 */
#include "producer/admin.h"

#include <string.h>

#include "tests/lib/fakebroker.h"
#include "tests/lib/unit.h"

/* Who waits so long for a connection and for an answer. */
static struct admin *opened_with(struct producer_config **ret_config, const char *servers, const char *setup_ms,
				 const char *request_ms)
{
	struct producer_config *k = producer_config_new();
	struct admin *a;

	assert_int_equal(producer_config_set(k, "bootstrap.servers", servers, NULL), 0);
	assert_int_equal(producer_config_set(k, "socket.connection.setup.timeout.ms", setup_ms, NULL), 0);
	assert_int_equal(producer_config_set(k, "request.timeout.ms", request_ms, NULL), 0);
	assert_int_equal(admin_open(k, &a, NULL), 0);
	*ret_config = k;
	return a;
}

static struct admin *opened(struct producer_config **ret_config, const char *servers)
{
	return opened_with(ret_config, servers, "60000", "60000");
}

static void closed(struct admin *a, struct producer_config *k)
{
	admin_close(a);
	producer_config_free(k);
}

static void the_entries_of_bootstrap_servers_are_read(void **state)
{
	struct producer_config *k;
	struct admin *a = opened(&k, "a:1, [::1]:9092,b.example:65535");
	char host[256];
	int port;

	(void)state;
	assert_true(admin_bootstrap(a, 0, host, &port));
	assert_string_equal(host, "a");
	assert_int_equal(port, 1);
	assert_true(admin_bootstrap(a, 1, host, &port));
	assert_string_equal(host, "::1");
	assert_true(admin_bootstrap(a, 2, host, &port));
	assert_int_equal(port, 65535);
	assert_false(admin_bootstrap(a, 3, host, &port));
	closed(a, k);
}

static void a_broker_is_asked_about_topics(void **state)
{
	static const char *const topics[] = { "web" };
	struct fake *f = fake_open(1, 3);
	struct producer_config *k;
	struct admin *a = opened(&k, fake_address(f));
	struct api_metadata m;
	struct tls_peer peer;

	(void)state;
	assert_int_equal(admin_connect(a, "127.0.0.1", fake_port(f, 0), NULL), 0);
	assert_false(admin_peer(a, &peer));
	assert_null(admin_mechanism(a));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(admin_metadata(a, topics, 1, &m, NULL), 0);
		assert_int_equal(m.topic_count, 1);
		assert_int_equal(m.topics[0].partition_count, 3);
		api_metadata_release(&m);
	}
	closed(a, k);
	fake_close(f);
}

static void take(void *arg, const struct api_config *c)
{
	(void)c;
	++*(int *)arg;
}

static void a_question_that_the_broker_does_not_know_is_said(void **state)
{
	struct fake *f = fake_open(1, 1);
	struct producer_config *k;
	struct admin *a = opened(&k, fake_address(f));
	struct err e;
	int16_t code;
	int calls = 0;

	(void)state;
	assert_int_equal(admin_connect(a, "127.0.0.1", fake_port(f, 0), NULL), 0);
	assert_true(admin_configs(a, API_RESOURCE_TOPIC, "web", NULL, 0, &code, take, &calls, &e) < 0);
	assert_string_equal(e.text, "the broker is too old for this question");
	assert_int_equal(calls, 0);
	closed(a, k);
	fake_close(f);
}

static void a_broker_that_is_not_there_has_words_and_the_next_is_asked(void **state)
{
	struct fake *f = fake_open(2, 1);
	struct producer_config *k;
	struct admin *a = opened(&k, fake_address(f));
	struct api_metadata m;
	struct err e;

	(void)state;
	fake_down(f, 1);
	assert_int_equal(admin_connect(a, "127.0.0.1", fake_port(f, 1), &e), ERR_UNAVAILABLE);
	assert_string_equal(e.text, "cannot connect: Connection refused");
	assert_int_equal(admin_metadata(a, NULL, 0, &m, &e), ERR_UNAVAILABLE);
	assert_int_equal(admin_connect(a, "127.0.0.1", fake_port(f, 0), &e), 0);
	assert_int_equal(admin_metadata(a, NULL, 0, &m, &e), 0);
	assert_int_equal(m.broker_count, 2);
	api_metadata_release(&m);
	closed(a, k);
	fake_close(f);
}

static void one_that_never_answers_is_given_up(void **state)
{
	struct fake *f = fake_open(1, 1);
	struct producer_config *k, *k2;
	struct admin *a = opened_with(&k, fake_address(f), "60000", "500"), *b = opened_with(&k2, fake_address(f), "1000", "60000");
	struct api_metadata m;
	struct err e;

	(void)state;
	assert_int_equal(admin_connect(a, "127.0.0.1", fake_port(f, 0), &e), 0);
	fake_mute(f, 0, true);
	assert_int_equal(admin_metadata(a, NULL, 0, &m, &e), ERR_UNAVAILABLE);
	assert_string_equal(e.text, "request timed out");
	assert_int_equal(admin_connect(b, "127.0.0.1", fake_port(f, 0), &e), ERR_UNAVAILABLE);
	assert_string_equal(e.text, "no answer to the first request");
	closed(a, k);
	closed(b, k2);
	fake_close(f);
}

static void malformed_answers_are_said(void **state)
{
	static const enum fault_kind kinds[] = { FAULT_TRUNCATED, FAULT_HUGE_ARRAY, FAULT_GARBAGE, FAULT_CORRELATION,
						 FAULT_CUT_ANSWER };
	struct fake *f = fake_open(1, 1);
	struct producer_config *k;
	struct admin *a = opened(&k, fake_address(f));
	struct api_metadata m;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		assert_int_equal(admin_connect(a, "127.0.0.1", fake_port(f, 0), &e), 0);
		fake_fault_api(f, FAKE_METADATA, kinds[i], 10, 1);
		e.text[0] = '\0';
		assert_true(admin_metadata(a, NULL, 0, &m, &e) < 0);
		assert_true(e.text[0]);
		fake_heal(f);
	}
	closed(a, k);
	fake_close(f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_entries_of_bootstrap_servers_are_read),
		cmocka_unit_test(a_broker_is_asked_about_topics),
		cmocka_unit_test(a_question_that_the_broker_does_not_know_is_said),
		cmocka_unit_test(a_broker_that_is_not_there_has_words_and_the_next_is_asked),
		cmocka_unit_test(one_that_never_answers_is_given_up),
		cmocka_unit_test(malformed_answers_are_said),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

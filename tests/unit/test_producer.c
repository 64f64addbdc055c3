/* test_producer.c - the producer as library users meet it, against a broker that follows the rules and misbehaves on
 * demand. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>

#include "agent/base/clock.h"
#include "producer/codec.h"
#include "producer/murmur2.h"
#include "producer/producer.h"
#include "tests/lib/fakebroker.h"

struct fixture {
	struct fake *fake;
	struct producer_config *c;
	struct producer *p;

	pthread_mutex_t mu;		/* protects all below */
	pthread_cond_t cond;
	int good, bad, last_code;
	char last_text[256];
	int per_partition[8];
	int64_t last_good_ms[8], last_offset[8];
	bool disorder;
};

static void set(struct fixture *f, const char *name, const char *value)
{
	struct producer_error err;

	if (producer_config_set(f->c, name, value, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static struct fixture *fixture(void **state, int nodes, int partitions)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->fake = fake_open(nodes, partitions);
	f->c = producer_config_new();
	pthread_mutex_init(&f->mu, NULL);
	pthread_cond_init(&f->cond, NULL);
	for (int i = 0; i < 8; i++)
		f->last_offset[i] = -1;
	set(f, "bootstrap.servers", fake_address(f->fake));
	set(f, "retry.backoff.ms", "20");
	set(f, "reconnect.backoff.ms", "20");
	*state = f;
	return f;
}

static void open_producer(struct fixture *f)
{
	struct producer_error err = { 0 };

	if (producer_open(f->c, &f->p, &err) < 0)
		fail_msg("open: %s", err.text);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	producer_close(f->p, 0);
	producer_config_free(f->c);
	fake_close(f->fake);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->mu);
	free(f);
	return 0;
}

static void close_producer(struct fixture *f, int64_t timeout_ms)
{
	struct producer *p = f->p;

	f->p = NULL;
	assert_int_equal(producer_close(p, timeout_ms), 0);
}

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->mu);
	if (err) {
		f->bad++;
		f->last_code = err->code;
		snprintf(f->last_text, sizeof f->last_text, "%s", err->text);
	} else {
		f->good++;
		f->per_partition[md->partition]++;
		f->last_good_ms[md->partition] = clock_mono_ms();
		if (md->offset >= 0 && md->offset <= f->last_offset[md->partition])
			f->disorder = true;
		f->last_offset[md->partition] = md->offset;
	}
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->mu);
}

static int send_keyed(struct fixture *f, int32_t partition, const char *key, int i)
{
	char value[32];
	struct producer_record r = { .topic = "t", .partition = partition, .key = key, .key_len = key ? strlen(key) : 0,
				     .value = value, .timestamp = -1 };

	r.value_len = (size_t)snprintf(value, sizeof value, "%06d", i);
	return producer_send(f->p, &r, done, f, NULL);
}

static void send_many(struct fixture *f, int32_t partition, int from, int to)
{
	for (int i = from; i < to; i++)
		assert_int_equal(send_keyed(f, partition, NULL, i), 0);
}

static void assert_log(struct fixture *f, int partition, int from, int to)
{
	char value[32];

	assert_int_equal(fake_records(f->fake, "t", partition), to - from);
	for (int i = from; i < to; i++) {
		snprintf(value, sizeof value, "%06d", i);
		assert_string_equal(fake_record(f->fake, "t", partition, (size_t)(i - from)), value);
	}
}

static void wait_good(struct fixture *f, int n)
{
	pthread_mutex_lock(&f->mu);
	while (f->good + f->bad < n)
		pthread_cond_wait(&f->cond, &f->mu);
	pthread_mutex_unlock(&f->mu);
}

/* One after the other until one is delivered: how long the first takes, a busy machine decides. Returns how many were sent. */
static int send_until_good(struct fixture *f, int i)
{
	int sent = 0, ended = f->good + f->bad, good = f->good;

	for (int64_t until = clock_mono_ms() + 30000; f->good == good; ) {
		assert_true(clock_mono_ms() < until);
		assert_int_equal(send_keyed(f, 0, NULL, i), 0);
		wait_good(f, ended + ++sent);
	}
	return sent;
}

/* The text says for how long it was waited: the 300 ms of these tests, or what a busy machine made of them. */
static void assert_waited(const char *text, const char *before, const char *after)
{
	const char *at = strstr(text, before);
	char *end;

	assert_non_null(at);
	assert_in_range(strtoll(at + strlen(before), &end, 10), 290, 20000);
	assert_int_equal(strncmp(end, after, strlen(after)), 0);
}

/* --- the plain way --- */

static void thousand_sends_and_a_close_give_thousand_records_in_order(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	open_producer(f);
	send_many(f, -1, 0, 1000);
	close_producer(f, 30000);
	assert_log(f, 0, 0, 1000);
	assert_int_equal(f->good, 1000);
	assert_false(f->disorder);
}

static void every_codec_and_batch_size_gives_the_same_records(void **state)
{
	static const char *const how[][2] = { { "lz4", "16384" }, { "none", "0" }, { "none", "1" }, { "lz4", "100" } };
	struct fixture *f = fixture(state, 1, 1);

	for (size_t i = 0; i < COUNT(how); i++) {
		set(f, "compression.type", how[i][0]);
		set(f, "batch.size", how[i][1]);
		open_producer(f);
		send_many(f, 0, (int)i * 200, (int)i * 200 + 200);
		close_producer(f, 30000);
	}
	assert_log(f, 0, 0, 800);
	assert_int_equal(f->good, 800);
}

static void keys_choose_partitions_as_java_does(void **state)
{
	struct fixture *f = fixture(state, 1, 4);
	int want[4] = { 0 };
	char key[16];

	open_producer(f);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "key-%d", i % 17);
		want[(murmur2(key, strlen(key)) & 0x7fffffff) % 4]++;
		assert_int_equal(send_keyed(f, -1, key, i), 0);
	}
	close_producer(f, 30000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(fake_records(f->fake, "t", i), want[i]);
}

static void flush_waits_for_what_was_sent_before(void **state)
{
	struct fixture *f = fixture(state, 1, 2);

	set(f, "linger.ms", "10000");
	open_producer(f);
	send_many(f, -1, 0, 50);
	assert_int_equal(producer_flush(f->p, 10000), 0);
	assert_int_equal(f->good, 50);
	fake_down(f->fake, 0);
	send_many(f, -1, 50, 60);
	assert_int_equal(producer_flush(f->p, 100), PRODUCER_ERR_TIMEOUT);
	fake_up(f->fake, 0);
	assert_int_equal(producer_flush(f->p, 10000), 0);
	assert_int_equal(f->good, 60);
	send_many(f, -1, 60, 70);
	assert_int_equal(producer_flush(f->p, INT64_MAX), 0);
	assert_int_equal(f->good, 70);
	close_producer(f, INT64_MAX);
}

/* Each topic is first met by a producer that has nothing to do and nothing to wake up for. */
static void a_quiet_producer_learns_a_new_topic_at_once(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	char topic[16];

	set(f, "max.block.ms", "5000");
	open_producer(f);
	for (int i = 0; i < 12; i++) {
		struct producer_record r = { .topic = topic, .partition = -1, .value = "x", .value_len = 1, .timestamp = -1 };

		snprintf(topic, sizeof topic, "new-%d", i);
		assert_int_equal(producer_send(f->p, &r, done, f, NULL), 0);
		assert_int_equal(producer_flush(f->p, 10000), 0);
		assert_int_equal(fake_records(f->fake, topic, 0), 1);
	}
}

static void acks_0_and_1_without_idempotence_work(void **state)
{
	static const char *const acks[] = { "0", "1" };
	struct fixture *f = fixture(state, 1, 1);

	for (size_t i = 0; i < COUNT(acks); i++) {
		set(f, "enable.idempotence", "false");
		set(f, "acks", acks[i]);
		open_producer(f);
		send_many(f, 0, (int)i * 100, (int)i * 100 + 100);
		close_producer(f, 30000);
		assert_int_equal(f->good, ((int)i + 1) * 100);
	}
	/* acks=0 promises nothing about when. */
	for (int i = 0; i < 500 && fake_records(f->fake, "t", 0) < 200; i++)
		usleep(10000);
	assert_log(f, 0, 0, 200);
}

/* --- what is refused --- */

static void a_record_that_is_too_large_is_refused_at_once(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct producer_error err = { 0 };
	struct producer_record r = { .topic = "t", .partition = 0, .timestamp = -1, .value_len = 2 << 20 };

	r.value = calloc(1, r.value_len);
	open_producer(f);
	assert_int_equal(producer_send(f->p, &r, done, f, &err), PRODUCER_ERR_TOO_LARGE);
	assert_int_equal(err.code, PRODUCER_ERR_TOO_LARGE);
	r.value_len = 900000;
	assert_int_equal(producer_send(f->p, &r, done, f, &err), 0);
	close_producer(f, 30000);
	assert_int_equal(f->good, 1);
	free((void *)(uintptr_t)r.value);
}

static void dry_memory_makes_send_wait_for_max_block_ms_and_no_longer(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	char value[8000] = { 0 };
	struct producer_record r = { .topic = "t", .partition = 0, .timestamp = -1, .value = value, .value_len = sizeof value };
	struct producer_error err = { 0 };
	int64_t began;
	int rc, n = 0;

	set(f, "buffer.memory", "1MiB");
	set(f, "batch.size", "32768");
	set(f, "max.block.ms", "300");
	open_producer(f);
	send_many(f, 0, 0, 1);
	wait_good(f, 1);
	fake_down(f->fake, 0);
	do {
		began = clock_mono_ms();
		rc = producer_send(f->p, &r, done, f, &err);
		n += rc == 0;
	} while (rc == 0);
	assert_int_equal(rc, PRODUCER_ERR_BUFFER_FULL);
	assert_true(err.retriable);
	assert_in_range(clock_mono_ms() - began, 290, 20000);		/* the default is a minute */
	assert_waited(err.text, "buffer.memory (1MiB) stayed full for ", " ms; ");
	assert_non_null(strstr(err.text, "are for topic \"t\"; 127.0.0.1:"));
	assert_in_range(n, 80, 140);
	fake_up(f->fake, 0);
	close_producer(f, 30000);
	assert_int_equal(f->good, n + 1);
	assert_int_equal(fake_records(f->fake, "t", 0), n + 1);
}

static void a_topic_that_never_appears_fails_within_max_block_ms(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	int64_t began;

	set(f, "max.block.ms", "300");
	fake_topic_error(f->fake, "t", 3);
	open_producer(f);
	began = clock_mono_ms();
	assert_int_equal(send_keyed(f, -1, NULL, 0), PRODUCER_ERR_TIMEOUT);
	assert_in_range(clock_mono_ms() - began, 290, 20000);		/* the default is a minute */
	fake_topic_error(f->fake, "t", 0);
	set(f, "max.block.ms", "30000");
	assert_int_equal(send_keyed(f, -1, NULL, 0), 0);
	close_producer(f, 30000);
	assert_log(f, 0, 0, 1);
}

static void a_refused_batch_fails_its_records_and_no_others(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "batch.size", "1");
	open_producer(f);
	send_many(f, 0, 0, 20);
	wait_good(f, 20);
	fake_fault(f->fake, 0, FAULT_ERROR, 87, 1);
	send_many(f, 0, 20, 40);
	close_producer(f, 30000);
	assert_int_equal(f->good, 39);
	assert_int_equal(f->bad, 1);
	assert_int_equal(f->last_code, 87);
	assert_int_equal(fake_records(f->fake, "t", 0), 39);
	assert_false(f->disorder);
}

static void delivery_timeout_fails_what_cannot_be_delivered(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	int before;

	set(f, "request.timeout.ms", "200");
	set(f, "delivery.timeout.ms", "400");
	set(f, "reconnect.backoff.max.ms", "40");
	open_producer(f);
	send_until_good(f, 0);
	before = f->bad;
	fake_down(f->fake, 0);
	send_many(f, 0, 10, 20);
	wait_good(f, f->good + before + 10);
	assert_int_equal(f->good, 1);
	assert_int_equal(f->bad, before + 10);
	assert_non_null(strstr(f->last_text, "REQUEST_TIMED_OUT: not acknowledged within delivery.timeout.ms (400 ms): "));
	assert_non_null(strstr(f->last_text, fake_address(f->fake)));
	fake_up(f->fake, 0);
	send_until_good(f, 20);
	close_producer(f, 30000);
	assert_int_equal(f->good, 2);
}

static void close_with_no_time_fails_the_rest_through_callbacks(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	open_producer(f);
	send_many(f, 0, 0, 10);
	wait_good(f, 10);
	fake_down(f->fake, 0);
	send_many(f, 0, 10, 30);
	struct producer *p = f->p;

	f->p = NULL;
	assert_int_equal(producer_close(p, 50), PRODUCER_ERR_TIMEOUT);
	assert_int_equal(f->good, 10);
	assert_int_equal(f->bad, 20);
	assert_int_equal(f->last_code, PRODUCER_ERR_CLOSED);
}

/* --- faults that must leave no trace --- */

static void lost_requests_and_lost_answers_double_nothing(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "batch.size", "200");
	open_producer(f);
	for (int i = 0; i < 40; i++) {
		fake_fault(f->fake, 0, i % 2 ? FAULT_CLOSE_BEFORE : FAULT_CLOSE_AFTER, 0, 1);
		send_many(f, 0, i * 50, i * 50 + 50);
		wait_good(f, i * 50 + 25);
	}
	close_producer(f, 30000);
	assert_log(f, 0, 0, 2000);
	assert_int_equal(f->good, 2000);
	assert_int_equal(f->bad, 0);
}

static void a_swallowed_answer_costs_time_only(void **state)
{
	struct fixture *f = fixture(state, 1, 2);

	set(f, "request.timeout.ms", "300");
	set(f, "batch.size", "200");
	open_producer(f);
	send_many(f, 0, 0, 10);
	wait_good(f, 10);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 2);
	send_many(f, 0, 10, 500);
	close_producer(f, 30000);
	assert_log(f, 0, 0, 500);
	assert_int_equal(f->good, 500);
}

/* Batches whose answers are lost, and the broker then remembers only the newest: the older ones answer 45 though written. */
static void a_broker_restart_with_a_window_of_one_doubles_nothing(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "batch.size", "1");
	set(f, "request.timeout.ms", "2000");
	open_producer(f);
	send_many(f, 0, 0, 10);
	wait_good(f, 10);
	/* The first is answered late, those behind it arrive meanwhile; then the connection goes. */
	for (int round = 0; round < 5; round++) {
		int from = 10 + round * 5;

		fake_fault(f->fake, 0, FAULT_DELAY, 100, 1);
		fake_fault(f->fake, 0, FAULT_ERROR_AFTER, 7, 3);
		fake_fault(f->fake, 0, FAULT_CLOSE_AFTER, 0, 1);
		send_many(f, 0, from, from + 5);
		usleep(150000);
		fake_reload(f->fake);
		wait_good(f, from + 5);
	}
	close_producer(f, 30000);
	assert_log(f, 0, 0, 35);
	assert_int_equal(f->good, 35);
}

static void records_follow_the_leader(void **state)
{
	struct fixture *f = fixture(state, 2, 1);

	set(f, "batch.size", "200");
	open_producer(f);
	for (int i = 0; i < 10; i++) {
		send_many(f, 0, i * 100, i * 100 + 50);
		fake_lead(f->fake, 0, (i + 1) % 2);
		send_many(f, 0, i * 100 + 50, i * 100 + 100);
		wait_good(f, i * 100 + 100);
	}
	close_producer(f, 30000);
	assert_log(f, 0, 0, 1000);
	assert_true(fake_code_answers(f->fake, 6) > 0);
}

static void a_retriable_refusal_keeps_the_order(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "batch.size", "200");
	open_producer(f);
	send_many(f, 0, 0, 10);
	wait_good(f, 10);
	for (int i = 0; i < 10; i++) {
		fake_fault(f->fake, 0, i % 2 ? FAULT_ERROR : FAULT_ERROR_AFTER, i % 2 ? 19 : 20, 2);
		send_many(f, 0, 10 + i * 100, 110 + i * 100);
		wait_good(f, 60 + i * 100);
	}
	close_producer(f, 30000);
	assert_log(f, 0, 0, 1010);
}

static void a_slow_partition_does_not_delay_the_others(void **state)
{
	struct fixture *f = fixture(state, 1, 3);

	set(f, "batch.size", "200");
	open_producer(f);
	for (int p = 0; p < 3; p++)
		send_many(f, p, 0, 10);
	wait_good(f, 30);
	/* The first time nobody can know, but what comes later than SENDER_STUCK_MS goes around it. */
	fake_fault(f->fake, 0, FAULT_DELAY, 4000, 1);
	send_many(f, 0, 10, 11);
	usleep(400000);
	send_many(f, 1, 10, 11);
	wait_good(f, 32);
	assert_true(f->last_good_ms[1] < f->last_good_ms[0]);
	fake_fault(f->fake, 0, FAULT_DELAY, 6000, 1);
	send_many(f, 0, 11, 12);
	for (int i = 0; i < 20; i++) {
		send_many(f, 1, 11 + i, 12 + i);
		send_many(f, 2, 10 + i, 11 + i);
		usleep(10000);
	}
	close_producer(f, 30000);
	assert_true(f->last_good_ms[1] < f->last_good_ms[0]);
	assert_true(f->last_good_ms[2] < f->last_good_ms[0]);
	assert_log(f, 0, 0, 12);
	assert_log(f, 1, 0, 31);
	assert_log(f, 2, 0, 30);
}

static void a_throttled_connection_is_left_alone_for_as_long(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	int64_t began;

	open_producer(f);
	send_many(f, 0, 0, 1);
	wait_good(f, 1);
	fake_fault(f->fake, 0, FAULT_THROTTLE, 500, 1);
	began = clock_mono_ms();			/* before the answer that throttles */
	send_many(f, 0, 1, 2);
	wait_good(f, 2);
	send_many(f, 0, 2, 3);
	wait_good(f, 3);
	assert_in_range(clock_mono_ms() - began, 490, 20000);
}

static void a_broker_that_is_not_there_yet_is_waited_for(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	fake_down(f->fake, 0);
	open_producer(f);
	usleep(100000);
	fake_up(f->fake, 0);
	send_many(f, -1, 0, 10);
	close_producer(f, 30000);
	assert_log(f, 0, 0, 10);
}

/* Chaos from a fixed seed: cuts, refusals and restarts while records flow to three partitions. */
static void whatever_happens_every_record_is_there_once_and_in_order(void **state)
{
	struct fixture *f = fixture(state, 2, 3);
	unsigned int rng = 12345;

	set(f, "batch.size", "300");
	set(f, "request.timeout.ms", "1000");
	set(f, "max.block.ms", "60000");
	open_producer(f);
	for (int i = 0; i < 6000; i++) {
		for (int p = 0; p < 3; p++)
			assert_int_equal(send_keyed(f, p, NULL, i), 0);
		if (i % 150 != 0 || i > 5000)
			continue;
		rng = rng * 1103515245u + 12345u;
		switch (rng >> 16 & 7) {
		case 0: fake_fault(f->fake, -1, FAULT_CLOSE_BEFORE, 0, 1); break;
		case 1: fake_fault(f->fake, -1, FAULT_CLOSE_AFTER, 0, 2); break;
		case 2: fake_fault(f->fake, -1, FAULT_ERROR, 19, 2); break;
		case 3: fake_fault(f->fake, -1, FAULT_ERROR_AFTER, 7, 2); break;
		case 4: fake_lead(f->fake, (int)(rng >> 20 & 1), (int)(rng >> 21 & 1)); break;
		case 5: fake_down(f->fake, 1); fake_reload(f->fake); usleep(20000); fake_up(f->fake, 1); break;
		default: usleep(5000); break;
		}
	}
	fake_heal(f->fake);
	close_producer(f, 60000);
	for (int p = 0; p < 3; p++)
		assert_log(f, p, 0, 6000);
	assert_int_equal(f->good, 18000);
}

/* --- waiting, refusing, callbacks --- */

static struct producer_record plain(const char *topic, const void *value, size_t n)
{
	return (struct producer_record){ .topic = topic, .partition = -1, .value = value, .value_len = n, .timestamp = -1 };
}

static void note_larger(void *arg, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count)
{
	struct fixture *f = arg;

	(void)producer_id, (void)epoch, (void)sequence;
	pthread_mutex_lock(&f->mu);
	f->disorder |= count != 1;
	pthread_mutex_unlock(&f->mu);
}

static void batch_size_0_and_1_send_each_record_alone(void **state)
{
	static const char *const sizes[] = { "0", "1" };
	struct fixture *f = fixture(state, 1, 1);

	fake_on_batch(f->fake, note_larger, f);
	set(f, "linger.ms", "1000");
	for (size_t i = 0; i < COUNT(sizes); i++) {
		set(f, "batch.size", sizes[i]);
		open_producer(f);
		send_many(f, -1, (int)i * 100, (int)i * 100 + 100);
		close_producer(f, 30000);
	}
	assert_log(f, 0, 0, 200);
	assert_false(f->disorder);
}

static void max_block_ms_0_is_enough_for_a_topic_that_is_known(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct producer_error err = { 0 };
	struct producer_record r = plain("t", "x", 1);
	int rc, tries = 0;

	set(f, "max.block.ms", "0");
	open_producer(f);
	assert_int_equal(producer_send(f->p, &r, done, f, &err), PRODUCER_ERR_TIMEOUT);
	assert_true(err.retriable);
	/* The first one made the producer ask. */
	while ((rc = producer_send(f->p, &r, done, f, &err)) == PRODUCER_ERR_TIMEOUT && tries++ < 5000)
		usleep(1000);
	assert_int_equal(rc, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(producer_send(f->p, &r, done, f, &err), 0);
	close_producer(f, 30000);
	assert_int_equal(f->good, 101);
}

/* What the answer is once the metadata of now is here. */
static int refusal(struct fixture *f, const struct producer_record *r, struct producer_error *ret_err)
{
	int rc = PRODUCER_ERR_TIMEOUT;

	for (int i = 0; i < 30 && rc == PRODUCER_ERR_TIMEOUT; i++)
		rc = producer_send(f->p, r, done, f, ret_err);
	return rc;
}

/* Of timeouts the first whose reason is this: at first there may be no answer yet. */
static void timeout_for(struct fixture *f, const struct producer_record *r, const char *why, struct producer_error *ret_err)
{
	for (int i = 0; i < 60; i++) {
		assert_int_equal(producer_send(f->p, r, done, f, ret_err), PRODUCER_ERR_TIMEOUT);
		if (strstr(ret_err->text, why))
			return;
	}
	fail_msg("%s, where %s was expected", ret_err->text, why);
}

static void a_timeout_says_for_what_it_waited_and_why(void **state)
{
	struct fixture *f = fixture(state, 1, 3);
	struct producer_error err;
	struct producer_record r = plain("t", "x", 1);
	char longest[250] = { 0 };

	set(f, "max.block.ms", "300");
	set(f, "retry.backoff.max.ms", "20");
	fake_topic_error(f->fake, "t", 3);
	open_producer(f);
	timeout_for(f, &r, "UNKNOWN_TOPIC_OR_PARTITION", &err);
	assert_waited(err.text, "topic \"t\" not in metadata within max.block.ms (", " ms): UNKNOWN_TOPIC_OR_PARTITION");
	r.topic = memset(longest, 'a', 249);
	fake_topic_error(f->fake, longest, 3);
	timeout_for(f, &r, "ms): UNKNOWN_TOPIC_OR_PARTITION", &err);
	r.topic = "t";
	fake_topic_error(f->fake, "t", 17);
	assert_int_equal(refusal(f, &r, &err), PRODUCER_ERR_INVALID_TOPIC);
	assert_string_equal(err.text, "topic \"t\": INVALID_TOPIC_EXCEPTION");
	fake_topic_error(f->fake, "other", 29);
	r.topic = "other";
	assert_int_equal(refusal(f, &r, &err), PRODUCER_ERR_AUTHENTICATION);
	assert_non_null(strstr(err.text, "TOPIC_AUTHORIZATION_FAILED"));
	r = plain("u", "x", 1);
	r.partition = 3;
	assert_int_equal(refusal(f, &r, &err), PRODUCER_ERR_INVALID_PARTITION);
	assert_waited(err.text, "partition 3 does not exist: the topic \"u\" has 3, and got no more within max.block.ms (",
		      " ms)");
	fake_down(f->fake, 0);
	r = plain("v", "x", 1);
	timeout_for(f, &r, fake_address(f->fake), &err);
}

static void what_cannot_be_a_record_is_refused_without_waiting(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	const struct producer_header nameless = { NULL, "x", 1 };
	struct producer_record r = plain(NULL, "x", 1);
	char topic[300] = { 0 };

	fake_down(f->fake, 0);
	open_producer(f);
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_INVALID_TOPIC);
	r.topic = "";
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_INVALID_TOPIC);
	r.topic = memset(topic, 'a', 250);
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_INVALID_TOPIC);
	r.topic = "t";
	r.timestamp = -2;
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_SERIALIZATION);
	r.timestamp = -1;
	r.partition = -2;
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_INVALID_PARTITION);
	r.partition = -1;
	r.headers = &nameless;
	r.header_count = 1;
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_SERIALIZATION);
	r.header_count = 0;
	r.value_len = SIZE_MAX;
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_TOO_LARGE);
}

/* One partition's batches cannot go and are in memory for long; what fills the rest are open batches that linger. */
static void who_waits_for_memory_does_not_wait_for_linger(void **state)
{
	struct fixture *f = fixture(state, 2, 8);
	static const char value[15000];
	char topic[8];
	struct producer_record r = plain("t", value, sizeof value);
	int64_t began;

	set(f, "buffer.memory", "1MiB");
	set(f, "batch.size", "32KiB");
	set(f, "linger.ms", "60000");
	for (int i = 0; i < 8; i++)
		fake_lead(f->fake, i, i == 1);
	fake_down(f->fake, 1);
	open_producer(f);
	r.partition = 1;
	for (int i = 0; i < 20; i++)
		assert_int_equal(producer_send(f->p, &r, NULL, NULL, NULL), 0);
	began = clock_mono_ms();
	r.topic = topic;
	for (int i = 0; i < 200; i++) {
		snprintf(topic, sizeof topic, "t%d", i / 8 % 12);
		r.partition = i % 8 == 1 ? 0 : i % 8;
		assert_int_equal(producer_send(f->p, &r, NULL, NULL, NULL), 0);
	}
	assert_in_range(clock_mono_ms() - began, 0, 30000);
}

struct chain { struct fixture *f; struct producer *p; int left; int codes[4]; bool ended; };

static void send_next(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct chain *c = arg;
	struct producer_record r = plain("t", "next", 4), strange = plain("never-seen", "x", 1);
	struct producer_error e;

	done(c->f, md, err);
	if (c->left-- > 0) {
		assert_int_equal(producer_send(c->p, &r, send_next, c, NULL), 0);
		return;
	}
	c->codes[0] = producer_send(c->p, &strange, done, c->f, &e);
	c->codes[1] = producer_flush(c->p, -1);
	c->codes[2] = producer_send_wait(c->p, &r, -1, NULL, &e);
	c->codes[3] = producer_close(c->p, -1);
	pthread_mutex_lock(&c->f->mu);
	c->ended = true;
	pthread_cond_broadcast(&c->f->cond);
	pthread_mutex_unlock(&c->f->mu);
}

static void a_callback_may_send_and_never_waits(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct chain c = { .f = f, .left = 50 };
	struct producer_record r = plain("t", "first", 5);

	fake_topic_error(f->fake, "never-seen", 3);
	open_producer(f);
	c.p = f->p;
	assert_int_equal(producer_send(f->p, &r, send_next, &c, NULL), 0);
	pthread_mutex_lock(&f->mu);
	while (!c.ended)
		pthread_cond_wait(&f->cond, &f->mu);
	pthread_mutex_unlock(&f->mu);
	close_producer(f, 30000);
	assert_int_equal(f->good, 51);
	assert_int_equal(c.codes[0], PRODUCER_ERR_TIMEOUT);
	assert_int_equal(c.codes[1], PRODUCER_ERR_SYSTEM);
	assert_int_equal(c.codes[2], PRODUCER_ERR_SYSTEM);
	assert_int_equal(c.codes[3], PRODUCER_ERR_SYSTEM);
}

static void waiting_for_one_record_gives_its_metadata_or_its_error(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct producer_record r = plain("t", "abc", 3);
	struct producer_metadata md;
	struct producer_error err;

	open_producer(f);
	for (int i = 0; i < 3; i++) {
		r.timestamp = 1000 + i;
		assert_int_equal(producer_send_wait(f->p, &r, 10000, &md, &err), 0);
		assert_string_equal(md.topic, "t");
		assert_int_equal(md.partition, 0);
		assert_int_equal(md.offset, i);
		assert_int_equal(md.timestamp, 1000 + i);
		assert_int_equal(md.key_size, -1);
		assert_int_equal(md.value_size, 3);
	}
	r.key = "k";
	r.key_len = 1;
	r.value = NULL;
	assert_int_equal(producer_send_wait(f->p, &r, 10000, &md, NULL), 0);
	assert_int_equal(md.key_size, 1);
	assert_int_equal(md.value_size, -1);
	fake_fault(f->fake, 0, FAULT_ERROR, 87, 1);
	assert_int_equal(producer_send_wait(f->p, &r, 10000, &md, &err), PRODUCER_ERR_REFUSED);
	assert_int_equal(err.code, 87);
	assert_string_equal(err.text, "INVALID_RECORD");
	assert_int_equal(md.offset, -1);
	fake_down(f->fake, 0);
	assert_int_equal(producer_send_wait(f->p, &r, 50, NULL, &err), PRODUCER_ERR_TIMEOUT);
	assert_true(err.retriable);
}

static void a_record_that_ran_out_of_time_says_what_the_broker_answered_last(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "request.timeout.ms", "200");
	set(f, "delivery.timeout.ms", "400");
	open_producer(f);
	fake_fault(f->fake, 0, FAULT_ERROR, 19, 1000000);
	/* A busy machine may need all the time to connect. */
	for (int i = 0; i < 50 && !strstr(f->last_text, "the last answer was"); i++) {
		send_many(f, 0, i, i + 1);
		wait_good(f, i + 1);
		assert_int_equal(f->last_code, 7);
	}
	assert_string_equal(f->last_text, "REQUEST_TIMED_OUT: not acknowledged within delivery.timeout.ms (400 ms): the last "
			    "answer was NOT_ENOUGH_REPLICAS");
}

/* --- what a program adds --- */

struct watcher { struct fixture *f; int seen, ends, ends_before, closed; char log[400]; };

static int on_send(void *arg, struct producer_record *r)
{
	static const struct producer_header mark = { "mark", "1", 1 };
	struct watcher *w = arg;

	w->seen++;
	r->headers = &mark;
	r->header_count = 1;
	if (r->value_len == 4 && !memcmp(r->value, "drop", 4))
		return 1;
	return r->value_len == 4 && !memcmp(r->value, "fail", 4) ? -3 : 0;
}

static int on_end(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct watcher *w = arg;

	(void)md, (void)err;
	pthread_mutex_lock(&w->f->mu);
	w->ends++;
	w->ends_before += w->f->good < w->ends;
	pthread_mutex_unlock(&w->f->mu);
	return w->ends == 2 ? -9 : 0;
}

static void on_close(void *arg)
{
	((struct watcher *)arg)->closed++;
}

static void take_words(void *arg, const char *text)
{
	struct watcher *w = arg;
	size_t n;

	pthread_mutex_lock(&w->f->mu);
	n = strlen(w->log);
	snprintf(w->log + n, sizeof w->log - n, "%s\n", text);
	pthread_mutex_unlock(&w->f->mu);
}

static void interceptors_change_drop_fail_and_see_every_end_first(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct watcher w = { .f = f };
	const struct producer_interceptor i = { .on_send = on_send, .on_acknowledgement = on_end, .close = on_close, .arg = &w };
	struct producer_record r = plain("old", "good", 4);

	set(f, "interceptor.classes", "[{\"rename\":{\"topic\":\"old\",\"to\":\"t\"}},"
	    "{\"redact\":{\"pattern\":\"secret\",\"with\":\"***\"}}]");
	assert_int_equal(producer_config_add_interceptor(f->c, &i), 0);
	producer_config_set_log(f->c, take_words, &w);
	open_producer(f);
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), 0);
	r.value = "drop";
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_DROPPED);
	r.value = "fail";
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), 0);
	r = plain("t", "a secret", 8);
	assert_int_equal(producer_send(f->p, &r, NULL, NULL, NULL), 0);
	close_producer(f, 30000);
	assert_int_equal(f->good, 2);
	assert_int_equal(fake_records(f->fake, "t", 0), 3);
	assert_string_equal(fake_record(f->fake, "t", 0, 2), "a ***");
	assert_int_equal(w.seen, 4);
	assert_int_equal(w.ends, 3);
	assert_int_equal(w.ends_before, 3);
	assert_string_equal(w.log, "interceptor 0: on_send failed with -3; topic \"t\"\n"
			    "interceptor 0: on_acknowledgement failed with -9; topic \"t\"\n");
	producer_config_free(f->c);
	f->c = NULL;
	assert_int_equal(w.closed, 1);
}

struct ends { int n, partition, key_size, value_size, code; char topic[16]; };

static int take_end(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct ends *e = arg;

	e->n++;
	e->partition = md->partition;
	e->key_size = md->key_size;
	e->value_size = md->value_size;
	e->code = err ? err->code : 0;
	snprintf(e->topic, sizeof e->topic, "%s", md->topic);
	return 0;
}

static void interceptors_see_the_end_of_refused_records_too(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct ends e = { 0 };
	const struct producer_interceptor i = { .on_acknowledgement = take_end, .arg = &e };
	struct producer_record r = plain("t", "value", 5);
	static const char large[4000];

	set(f, "max.block.ms", "200");
	set(f, "max.request.size", "2000");
	assert_int_equal(producer_config_add_interceptor(f->c, &i), 0);
	open_producer(f);
	fake_topic_error(f->fake, "t", 3);
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_TIMEOUT);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.code, PRODUCER_ERR_TIMEOUT);
	assert_string_equal(e.topic, "t");
	assert_int_equal(e.partition, -1);
	assert_int_equal(e.key_size, -1);
	assert_int_equal(e.value_size, 5);
	r.value = large;
	r.value_len = sizeof large;
	r.partition = 7;
	assert_int_equal(producer_send(f->p, &r, done, f, NULL), PRODUCER_ERR_TOO_LARGE);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.code, PRODUCER_ERR_TOO_LARGE);
	assert_int_equal(e.partition, 7);
	assert_int_equal(f->good + f->bad, 0);
}

static void serializers_decide_before_anything_is_taken(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct producer_error err;
	int32_t key = 1;
	struct producer_record r = plain("t", "{\"a\":1}", 7);

	set(f, "key.serializer", "integer");
	set(f, "value.serializer", "json");
	open_producer(f);
	r.key = &key;
	r.key_len = sizeof key;
	assert_int_equal(producer_send(f->p, &r, done, f, &err), 0);
	r.key_len = 3;
	assert_int_equal(producer_send(f->p, &r, done, f, &err), PRODUCER_ERR_SERIALIZATION);
	assert_non_null(strstr(err.text, "key for topic \"t\": integer"));
	r.key = NULL;
	r.value_len = 6;
	assert_int_equal(producer_send(f->p, &r, done, f, &err), PRODUCER_ERR_SERIALIZATION);
	r.value = NULL;
	assert_int_equal(producer_send(f->p, &r, done, f, &err), 0);
	close_producer(f, 30000);
	assert_int_equal(f->good, 2);
	assert_int_equal(f->bad, 0);
}

/* --- the end --- */

struct hammer { struct fixture *f; struct producer *p; int most, accepted; };

static void *send_on_and_on(void *arg)
{
	struct hammer *h = arg;
	struct producer_record r = plain("t", "forgotten", 9);
	int rc = 0;

	while (h->accepted < h->most && (rc = producer_send(h->p, &r, done, h->f, NULL)) == 0)
		h->accepted++;
	if (rc && rc != PRODUCER_ERR_CLOSED)
		h->accepted = -1;
	return NULL;
}

/* What they sent before has its one callback; nobody crashes, and nobody waits on. */
static void threads_that_still_send_are_refused_when_it_closes(void **state)
{
	struct fixture *f = fixture(state, 1, 4);
	struct hammer h[3];
	pthread_t threads[3];
	int accepted = 0;
	struct producer *p;

	set(f, "buffer.memory", "1MiB");
	set(f, "linger.ms", "1");
	open_producer(f);
	p = f->p;
	f->p = NULL;
	for (int i = 0; i < 3; i++) {
		h[i] = (struct hammer){ .f = f, .p = p, .most = INT32_MAX };
		assert_int_equal(pthread_create(&threads[i], NULL, send_on_and_on, &h[i]), 0);
	}
	wait_good(f, 1000);
	fake_down(f->fake, 0);
	usleep(50000);
	assert_int_equal(producer_close(p, 0), PRODUCER_ERR_TIMEOUT);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_true(h[i].accepted >= 0);
		accepted += h[i].accepted;
	}
	assert_int_equal(f->good + f->bad, accepted);
	assert_true(f->bad > 0);
	assert_int_equal(f->last_code, PRODUCER_ERR_CLOSED);
}

struct slow { struct fixture *f; struct producer *p; bool inside, closing; int rc; };

static int linger_in_on_send(void *arg, struct producer_record *r)
{
	struct slow *w = arg;

	(void)r;
	pthread_mutex_lock(&w->f->mu);
	w->inside = true;
	pthread_cond_broadcast(&w->f->cond);
	while (!w->closing)
		pthread_cond_wait(&w->f->cond, &w->f->mu);
	pthread_mutex_unlock(&w->f->mu);
	usleep(100000);	/* long enough for a close that does not wait */
	return 0;
}

static void *send_slowly(void *arg)
{
	struct slow *w = arg;
	struct producer_record r = plain("t", "slow", 4);

	w->rc = producer_send(w->p, &r, done, w->f, NULL);
	return NULL;
}

static void a_send_that_has_begun_is_waited_for_by_close(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct slow w = { .f = f };
	const struct producer_interceptor i = { .on_send = linger_in_on_send, .arg = &w };
	pthread_t thread;

	assert_int_equal(producer_config_add_interceptor(f->c, &i), 0);
	open_producer(f);
	w.p = f->p;
	f->p = NULL;
	assert_int_equal(pthread_create(&thread, NULL, send_slowly, &w), 0);
	pthread_mutex_lock(&f->mu);
	while (!w.inside)
		pthread_cond_wait(&f->cond, &f->mu);
	w.closing = true;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->mu);
	assert_int_equal(producer_close(w.p, 30000), 0);
	pthread_join(thread, NULL);
	assert_int_equal(w.rc, f->good ? 0 : PRODUCER_ERR_CLOSED);
	assert_int_equal(f->bad, 0);
}

static void several_threads_may_send_flush_and_wait_at_once(void **state)
{
	struct fixture *f = fixture(state, 2, 4);
	struct hammer h[2];
	pthread_t threads[2];
	struct producer_record r = plain("t", "waited for", 10);
	struct producer *p;

	set(f, "compression.type", "lz4");
	set(f, "linger.ms", "2");
	set(f, "interceptor.classes", "[{\"redact\":{\"pattern\":\"got+\",\"with\":\"GOT\"}}]");
	open_producer(f);
	p = f->p;
	f->p = NULL;
	for (int i = 0; i < 2; i++) {
		h[i] = (struct hammer){ .f = f, .p = p, .most = 10000 };
		assert_int_equal(pthread_create(&threads[i], NULL, send_on_and_on, &h[i]), 0);
	}
	for (int i = 0; i < 20; i++) {
		assert_int_equal(producer_send_wait(p, &r, 20000, NULL, NULL), 0);
		assert_int_equal(producer_flush(p, 20000), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(producer_close(p, 30000), 0);
	assert_int_equal(h[0].accepted, 10000);
	assert_int_equal(f->good, h[0].accepted + h[1].accepted);
	assert_int_equal(fake_records(f->fake, "t", -1), f->good + 20);
}

#define T(t) cmocka_unit_test_teardown(t, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(thousand_sends_and_a_close_give_thousand_records_in_order),
		T(every_codec_and_batch_size_gives_the_same_records),
		T(keys_choose_partitions_as_java_does),
		T(flush_waits_for_what_was_sent_before),
		T(a_quiet_producer_learns_a_new_topic_at_once),
		T(acks_0_and_1_without_idempotence_work),
		T(a_record_that_is_too_large_is_refused_at_once),
		T(dry_memory_makes_send_wait_for_max_block_ms_and_no_longer),
		T(a_topic_that_never_appears_fails_within_max_block_ms),
		T(a_refused_batch_fails_its_records_and_no_others),
		T(delivery_timeout_fails_what_cannot_be_delivered),
		T(close_with_no_time_fails_the_rest_through_callbacks),
		T(lost_requests_and_lost_answers_double_nothing),
		T(a_swallowed_answer_costs_time_only),
		T(a_broker_restart_with_a_window_of_one_doubles_nothing),
		T(records_follow_the_leader),
		T(a_retriable_refusal_keeps_the_order),
		T(a_slow_partition_does_not_delay_the_others),
		T(a_throttled_connection_is_left_alone_for_as_long),
		T(a_broker_that_is_not_there_yet_is_waited_for),
		T(whatever_happens_every_record_is_there_once_and_in_order),
		T(batch_size_0_and_1_send_each_record_alone),
		T(max_block_ms_0_is_enough_for_a_topic_that_is_known),
		T(a_timeout_says_for_what_it_waited_and_why),
		T(what_cannot_be_a_record_is_refused_without_waiting),
		T(who_waits_for_memory_does_not_wait_for_linger),
		T(a_callback_may_send_and_never_waits),
		T(waiting_for_one_record_gives_its_metadata_or_its_error),
		T(a_record_that_ran_out_of_time_says_what_the_broker_answered_last),
		T(interceptors_change_drop_fail_and_see_every_end_first),
		T(interceptors_see_the_end_of_refused_records_too),
		T(serializers_decide_before_anything_is_taken),
		T(threads_that_still_send_are_refused_when_it_closes),
		T(a_send_that_has_begun_is_waited_for_by_close),
		T(several_threads_may_send_flush_and_wait_at_once),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

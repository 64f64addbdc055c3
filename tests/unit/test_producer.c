/* test_producer.c - the producer as library users meet it, against a broker that follows the rules and misbehaves on
 * demand. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
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
	assert_int_equal(producer_flush(f->p, 100), ERR_TIMEOUT);
	fake_up(f->fake, 0);
	assert_int_equal(producer_flush(f->p, 10000), 0);
	assert_int_equal(f->good, 60);
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
	assert_int_equal(producer_send(f->p, &r, done, f, &err), ERR_TOO_LARGE);
	assert_int_equal(err.code, ERR_TOO_LARGE);
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
	assert_int_equal(rc, ERR_BUFFER_FULL);
	assert_true(err.retriable);
	assert_in_range(clock_mono_ms() - began, 290, 2000);
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
	assert_int_equal(send_keyed(f, -1, NULL, 0), ERR_TIMEOUT);
	assert_in_range(clock_mono_ms() - began, 290, 2000);
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

	set(f, "request.timeout.ms", "200");
	set(f, "delivery.timeout.ms", "400");
	set(f, "reconnect.backoff.max.ms", "40");
	open_producer(f);
	send_many(f, 0, 0, 10);
	wait_good(f, 10);
	fake_down(f->fake, 0);
	send_many(f, 0, 10, 20);
	wait_good(f, 20);
	assert_int_equal(f->bad, 10);
	fake_up(f->fake, 0);
	send_many(f, 0, 20, 30);
	close_producer(f, 30000);
	assert_int_equal(f->good + f->bad, 30);
	assert_true(f->good >= 20);
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
	assert_int_equal(producer_close(p, 50), ERR_TIMEOUT);
	assert_int_equal(f->good, 10);
	assert_int_equal(f->bad, 20);
	assert_int_equal(f->last_code, ERR_CLOSED);
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
	int64_t began;

	set(f, "batch.size", "200");
	open_producer(f);
	for (int p = 0; p < 3; p++)
		send_many(f, p, 0, 10);
	wait_good(f, 30);
	/* The first time nobody can know, but what comes later than SENDER_STUCK_MS goes around it. */
	fake_fault(f->fake, 0, FAULT_DELAY, 2000, 1);
	send_many(f, 0, 10, 11);
	usleep(400000);
	began = clock_mono_ms();
	send_many(f, 1, 10, 11);
	wait_good(f, 31);
	assert_in_range(clock_mono_ms() - began, 0, 1000);
	wait_good(f, 32);
	fake_fault(f->fake, 0, FAULT_DELAY, 4000, 1);
	send_many(f, 0, 11, 12);
	began = clock_mono_ms();
	for (int i = 0; i < 20; i++) {
		send_many(f, 1, 11 + i, 12 + i);
		send_many(f, 2, 10 + i, 11 + i);
		usleep(10000);
	}
	pthread_mutex_lock(&f->mu);
	while (f->per_partition[1] < 31 || f->per_partition[2] < 30)
		pthread_cond_wait(&f->cond, &f->mu);
	assert_int_equal(f->per_partition[0], 11);
	pthread_mutex_unlock(&f->mu);
	assert_in_range(clock_mono_ms() - began, 0, 3000);
	close_producer(f, 30000);
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
	send_many(f, 0, 1, 2);
	wait_good(f, 2);
	began = clock_mono_ms();
	send_many(f, 0, 2, 3);
	wait_good(f, 3);
	assert_in_range(clock_mono_ms() - began, 400, 5000);
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
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

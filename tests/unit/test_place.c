/* test_place.c - partitioners as a user of producer.h meets them: by name, by function, by number. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "producer/config.h"
#include "producer/murmur2.h"
#include "producer/producer.h"
#include "tests/lib/fakebroker.h"

struct fixture {
	struct fake *fake;
	struct producer_config *c;
	struct producer *p;
	_Atomic int good, bad;
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
	set(f, "bootstrap.servers", fake_address(f->fake));
	set(f, "retry.backoff.ms", "20");
	set(f, "batch.size", "200");
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
	free(f);
	return 0;
}

static void close_producer(struct fixture *f)
{
	struct producer *p = f->p;

	f->p = NULL;
	assert_int_equal(producer_close(p, 30000), 0);
	assert_int_equal(f->bad, 0);
}

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct fixture *f = arg;

	(void)md;
	*(err ? &f->bad : &f->good) += 1;
}

static int send_(struct fixture *f, int32_t partition, const char *key, const char *priority, struct producer_error *ret_err)
{
	const struct producer_header h = { "priority", priority, priority ? strlen(priority) : 0 };
	const struct producer_record r = {
		.topic = "t", .partition = partition, .key = key, .key_len = key ? strlen(key) : 0, .value = "0123456789",
		.value_len = 10, .headers = &h, .header_count = priority != NULL, .timestamp = -1,
	};

	return producer_send(f->p, &r, done, f, ret_err);
}

static void send_many(struct fixture *f, int32_t partition, const char *key, const char *priority, int n)
{
	while (n-- > 0)
		assert_int_equal(send_(f, partition, key, priority, NULL), 0);
}

static void wait_for(const _Atomic int *counter, int n)
{
	for (int i = 0; i < 20000 && *counter < n; i++)
		usleep(500);
	assert_true(*counter >= n);
}

static int there(struct fixture *f, int partition)
{
	return (int)fake_records(f->fake, "t", partition);
}

static void round_robin_counts_are_exact(void **state)
{
	struct fixture *f = fixture(state, 1, 4);

	set(f, "partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner");
	open_producer(f);
	send_many(f, -1, NULL, NULL, 100);
	send_many(f, -1, "key", NULL, 99);
	send_many(f, 2, "key", NULL, 7);		/* who names a partition takes no turn */
	send_many(f, -1, "key", NULL, 1);
	close_producer(f);
	assert_int_equal(there(f, 0), 50);
	assert_int_equal(there(f, 1), 50);
	assert_int_equal(there(f, 2), 57);
	assert_int_equal(there(f, 3), 50);
}

/* Batches that were given to a partition whose broker fell silent wait there; what comes later goes elsewhere, in time. */
static void a_partition_that_is_stuck_does_not_keep_later_records_from_leaving(void **state)
{
	static const char value[400];
	const struct producer_record r = { .topic = "t", .partition = -1, .value = value, .value_len = sizeof value,
					   .timestamp = -1 };
	struct fixture *f = fixture(state, 2, 2);

	set(f, "batch.size", "1000");
	set(f, "linger.ms", "5");
	set(f, "max.in.flight.requests.per.connection", "1");
	open_producer(f);
	send_many(f, 0, NULL, NULL, 1);
	send_many(f, 1, NULL, NULL, 1);
	wait_for(&f->good, 2);
	fake_mute(f->fake, 1, true);
	for (int i = 0; i < 30; i++) {
		int before = f->good;

		assert_int_equal(producer_send(f->p, &r, done, f, NULL), 0);
		for (int k = 0; k < 800 && f->good == before; k++)
			usleep(500);
	}
	/* The silent one holds a window of eight batches at the most, of a record each: two more where one was sealed late. */
	wait_for(&f->good, 2 + 30 - 8 - 2);
	fake_mute(f->fake, 1, false);
	close_producer(f);
	assert_int_equal(f->good, 32);
}

static void *send_500(void *arg)
{
	send_many(arg, -1, NULL, NULL, 500);
	return NULL;
}

static void turns_are_taken_by_all_threads_together(void **state)
{
	struct fixture *f = fixture(state, 1, 4);
	pthread_t threads[4];

	set(f, "partitioner.class", "round_robin");
	open_producer(f);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_500, f), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	close_producer(f);
	for (int i = 0; i < 4; i++)
		assert_int_equal(there(f, i), 500);
}

static void random_reaches_all_partitions_about_alike(void **state)
{
	struct fixture *f = fixture(state, 1, 4);

	set(f, "partitioner.class", "random");
	open_producer(f);
	send_many(f, -1, "key", NULL, 2000);
	close_producer(f);
	for (int i = 0; i < 4; i++)
		assert_in_range(there(f, i), 380, 620);
}

static void ignored_keys_are_spread_and_kept_ones_are_not(void **state)
{
	struct fixture *f = fixture(state, 1, 4);
	int p = (int)((murmur2("key", 3) & 0x7fffffff) % 4);

	open_producer(f);
	send_many(f, -1, "key", NULL, 1000);
	close_producer(f);
	assert_int_equal(there(f, p), 1000);
	set(f, "partitioner.ignore.keys", "true");
	set(f, "partitioner.adaptive.partitioning.enable", "false");
	open_producer(f);
	send_many(f, -1, "key", NULL, 2000);
	close_producer(f);
	for (int i = 0; i < 4; i++)
		assert_in_range(there(f, i) - (i == p ? 1000 : 0), 100, 1500);
}

static void only_high_priority_goes_to_partition_0(void **state)
{
	struct fixture *f = fixture(state, 1, 3);

	set(f, "partitioner.class", "priority");
	open_producer(f);
	send_many(f, -1, NULL, "high", 30);
	send_many(f, -1, "key", "high", 30);
	send_many(f, -1, NULL, NULL, 1000);
	send_many(f, -1, "key", "low", 30);
	close_producer(f);
	assert_int_equal(there(f, 0), 60);
	assert_int_equal(there(f, 1) + there(f, 2), 1030);
	assert_true(there(f, 1) > 100 && there(f, 2) > 100);
}

static void a_single_partition_takes_all_priorities(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "partitioner.class", "priority");
	open_producer(f);
	send_many(f, -1, NULL, "high", 10);
	send_many(f, -1, NULL, NULL, 10);
	send_many(f, -1, "key", NULL, 10);
	close_producer(f);
	assert_int_equal(there(f, 0), 30);
}

static void placing_by_file_is_refused_with_words(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct producer_error err = { 0 };

	set(f, "partitioner.class", "file");
	assert_true(producer_open(f->c, &f->p, &err) < 0);
	assert_non_null(strstr(err.text, "partitioner.class: file"));
	assert_null(f->p);
}

static int32_t by_key_length(void *arg, const struct producer_record *r, const struct producer_topic_info *t)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
	return t->available(t, 0) ? (int32_t)r->key_len - 1 : -1;
}

static void a_function_decides_and_a_bad_answer_fails_that_record(void **state)
{
	struct fixture *f = fixture(state, 1, 3);
	_Atomic int asked = 0;
	struct producer_error err = { 0 };

	f->c->partitioner_fn = (struct producer_partitioner){ by_key_length, NULL, &asked };
	open_producer(f);
	send_many(f, -1, "a", NULL, 5);
	send_many(f, -1, "abc", NULL, 6);
	send_many(f, 1, "abc", NULL, 7);
	assert_true(send_(f, -1, "", NULL, NULL) < 0);
	assert_true(send_(f, -1, "abcd", NULL, &err) < 0);
	assert_false(err.retriable);
	assert_non_null(strstr(err.text, "partition"));
	close_producer(f);
	assert_int_equal(asked, 13);
	assert_int_equal(there(f, 0), 5);
	assert_int_equal(there(f, 1), 7);
	assert_int_equal(there(f, 2), 6);
}

static void a_partition_that_is_not_there_is_waited_for_and_refused_with_words(void **state)
{
	struct fixture *f = fixture(state, 1, 3);
	struct producer_error err = { 0 };
	int64_t began;

	set(f, "max.block.ms", "300");
	open_producer(f);
	assert_int_equal(send_(f, 2, NULL, NULL, NULL), 0);
	began = clock_mono_ms();
	assert_true(send_(f, 3, NULL, NULL, &err) < 0);
	assert_in_range(clock_mono_ms() - began, 290, 20000);		/* the default is a minute */
	assert_false(err.retriable);
	assert_non_null(strstr(err.text, "partition 3 does not exist: the topic \"t\" has 3"));
	assert_non_null(strstr(err.text, "max.block.ms"));
	close_producer(f);
	assert_int_equal(f->good, 1);
}

#define LATE 8			/* batches that a partition takes without an answer: then there is no choice but the others */

/* How many of 200 unkeyed records go to a broker that takes nothing for a while. one_by_one: each is sent when the one before was
 * delivered, for a late broker is still taken where the others have their hands full. */
static int given_to_the_late_broker(void **state, const char *timeout, bool one_by_one)
{
	struct fixture *f = fixture(state, 2, 4);
	int n;

	for (int i = 1; i < 4; i++)
		fake_lead(f->fake, i, 1);
	set(f, "batch.size", "1");			/* each record is a batch */
	set(f, "partitioner.availability.timeout.ms", timeout);
	open_producer(f);
	send_many(f, 1, NULL, NULL, 1);			/* the partition is warm */
	wait_for(&f->good, 1);
	fake_mute(f->fake, 1, true);
	send_many(f, 1, NULL, NULL, LATE);		/* more than may be in flight */
	usleep(1000000);				/* time itself is the condition */
	for (int i = 0; i < 200; i++) {
		int before = f->good;

		send_many(f, -1, NULL, NULL, 1);
		for (int k = 0; k < (one_by_one ? 2000 : 1) && f->good == before; k++)
			usleep(1000);
	}
	wait_for(&f->good, 1 + 200 - 2 * LATE);
	fake_mute(f->fake, 1, false);
	close_producer(f);
	assert_int_equal(there(f, -1), 209);
	n = there(f, 2) + there(f, 3);
	teardown(state);
	return n;
}

static void a_broker_that_takes_nothing_for_longer_than_the_timeout_is_left_out(void **state)
{
	assert_int_equal(given_to_the_late_broker(state, "0", false), 2 * LATE);
	assert_in_range(given_to_the_late_broker(state, "50", true), 0, LATE);
}

#define T(t) cmocka_unit_test_teardown(t, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(round_robin_counts_are_exact),
		T(a_partition_that_is_stuck_does_not_keep_later_records_from_leaving),
		T(turns_are_taken_by_all_threads_together),
		T(random_reaches_all_partitions_about_alike),
		T(ignored_keys_are_spread_and_kept_ones_are_not),
		T(only_high_priority_goes_to_partition_0),
		T(a_single_partition_takes_all_priorities),
		T(placing_by_file_is_refused_with_words),
		T(a_function_decides_and_a_bad_answer_fails_that_record),
		T(a_partition_that_is_not_there_is_waited_for_and_refused_with_words),
		cmocka_unit_test(a_broker_that_takes_nothing_for_longer_than_the_timeout_is_left_out),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

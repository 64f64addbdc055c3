/* test_cluster.c - following the cluster: brokers that come, go and move, names that change, rates, slow partitions, and
 * asking for a description. */
#include "tests/lib/unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "producer/core.h"
#include "tests/lib/fakebroker.h"

#define WAIT_MS 60000

#define wait_for(condition) do { \
	int64_t end_ = clock_mono_ms() + WAIT_MS; \
	while (!(condition)) { \
		if (clock_mono_ms() > end_) fail_msg("never: %s", #condition); \
		usleep(1000); \
	} } while (0)

struct fixture {
	struct fake *fake;
	struct producer_config *c;
	struct producer *p;
	pthread_mutex_t mu;		/* protects all below */
	pthread_cond_t cond;
	int good[8];
	int64_t slowest_ms[8];
	int bad, with_offset;

	/* The look-ups of this test. */
	const char *addresses[4];
	int address_count, asked, canonical_asked;
};

struct sent { struct fixture *f; int64_t at_ms; };

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
	set(f, "bootstrap.servers", fake_address(f->fake));
	set(f, "retry.backoff.ms", "20");
	set(f, "reconnect.backoff.ms", "20");
	set(f, "reconnect.backoff.max.ms", "100");
	set(f, "max.block.ms", "10000");
	*state = f;
	return f;
}

static void look_up(void *arg, struct name_query *q)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->mu);
	f->asked++;
	f->canonical_asked += q->canonical;
	q->count = f->address_count;
	for (int i = 0; i < q->count; i++) {
		q->addresses[i].v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)q->port) };
		inet_pton(AF_INET, f->addresses[i], &q->addresses[i].v4.sin_addr);
		snprintf(q->names[i], sizeof q->names[i], "%s", f->addresses[i]);
	}
	pthread_mutex_unlock(&f->mu);
}

static void open_producer(struct fixture *f)
{
	struct producer_error err = { 0 };

	if (core_open(f->c, NULL, &f->p, &err) < 0)
		fail_msg("open: %s", err.text);
	names_look_up_by(f->p->sender.names, look_up, f);
	if (producer_start(f->p, &err) < 0)
		fail_msg("start: %s", err.text);
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

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct sent *one = arg;
	struct fixture *f = one->f;
	int64_t took = clock_mono_ms() - one->at_ms;

	pthread_mutex_lock(&f->mu);
	f->with_offset += !err && md->offset >= 0;
	if (err)
		f->bad++;
	else
		f->good[md->partition]++;
	if (!err && took > f->slowest_ms[md->partition])
		f->slowest_ms[md->partition] = took;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->mu);
	free(one);
}

static void send_sized(struct fixture *f, int32_t partition, int n, size_t size)
{
	char *value = calloc(1, size);
	struct producer_record r = { .topic = "t", .partition = partition, .value = value, .value_len = size, .timestamp = -1 };

	for (int i = 0; i < n; i++) {
		struct sent *one = malloc(sizeof *one);

		*one = (struct sent){ f, clock_mono_ms() };
		assert_int_equal(producer_send(f->p, &r, done, one, NULL), 0);
	}
	free(value);
}

static void send_some(struct fixture *f, int32_t partition, int n)
{
	send_sized(f, partition, n, 10);
}

static void wait_good(struct fixture *f, int partition, int n)
{
	struct timespec at;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += WAIT_MS / 1000;
	pthread_mutex_lock(&f->mu);
	while (f->good[partition] < n && rc == 0)
		rc = pthread_cond_timedwait(&f->cond, &f->mu, &at);
	pthread_mutex_unlock(&f->mu);
	assert_int_equal(rc, 0);
}

static void measure_anew(struct fixture *f)
{
	pthread_mutex_lock(&f->mu);
	memset(f->slowest_ms, 0, sizeof f->slowest_ms);
	pthread_mutex_unlock(&f->mu);
}

static int64_t slowest(struct fixture *f, int partition)
{
	int64_t ms;

	pthread_mutex_lock(&f->mu);
	ms = f->slowest_ms[partition];
	pthread_mutex_unlock(&f->mu);
	return ms;
}

static int good(struct fixture *f, int partition)
{
	int n;

	pthread_mutex_lock(&f->mu);
	n = f->good[partition];
	pthread_mutex_unlock(&f->mu);
	return n;
}

/* --- isolation --- */

static void a_refused_and_a_slow_partition_delay_neither_each_other_nor_a_third(void **state)
{
	struct fixture *f = fixture(state, 1, 3);
	uint64_t refused;
	int64_t began;

	open_producer(f);
	for (int p = 0; p < 3; p++) {
		send_some(f, p, 1);
		wait_good(f, p, 1);
	}
	/* Below its min.insync.replicas for seconds; and one whose followers lag: each answer takes 1.5 s. */
	fake_fault(f->fake, 0, FAULT_ERROR, 19, 1000);
	fake_fault(f->fake, 1, FAULT_DELAY, 1500, 3);
	send_some(f, 0, 1);
	send_some(f, 1, 1);
	usleep(500000);
	measure_anew(f);
	for (int i = 0; i < 100; i++) {
		send_some(f, 2, 1);
		if (i % 40 == 0)
			send_some(f, 1, 1);
		usleep(20000);
	}
	wait_good(f, 2, 101);
	assert_in_range(slowest(f, 2), 0, 1200);
	assert_int_equal(good(f, 0), 1);
	/* The refused one comes in the middle of a slow answer of the other. */
	wait_good(f, 1, 5);
	fake_heal(f->fake);
	fake_fault(f->fake, 1, FAULT_DELAY, 20000, 1);
	fake_fault(f->fake, 0, FAULT_ERROR, 19, 1000);
	refused = fake_code_answers(f->fake, 19);
	send_some(f, 0, 1);
	send_some(f, 1, 1);
	wait_for(fake_records(f->fake, "t", 1) == 6 && fake_code_answers(f->fake, 19) > refused);
	fake_heal(f->fake);
	began = clock_mono_ms();
	wait_good(f, 0, 3);
	assert_in_range(clock_mono_ms() - began, 0, 10000);
}

/* --- max_rate --- */

static void max_rate_bounds_what_leaves_and_small_traffic_does_not_wait(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	int64_t began;

	set(f, "max_rate", "100KiB/s");
	set(f, "batch.size", "4KiB");
	open_producer(f);
	send_some(f, 0, 1);
	wait_good(f, 0, 1);
	usleep(200000);
	measure_anew(f);
	for (int i = 0; i < 20; i++) {
		send_some(f, 0, 1);
		usleep(10000);
	}
	wait_good(f, 0, 21);
	assert_in_range(slowest(f, 0), 0, 1000);
	began = clock_mono_ms();
	send_sized(f, 0, 200, 1024);
	wait_good(f, 0, 221);
	/* 200 KiB and what is around them, a burst of 10 KiB less. */
	assert_in_range(clock_mono_ms() - began, 1700, 10000);
}

static void a_batch_larger_than_the_burst_goes_and_its_debt_is_paid(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	int64_t began;

	set(f, "max_rate", "25KiB/s");
	open_producer(f);
	send_some(f, 0, 1);
	wait_good(f, 0, 1);
	began = clock_mono_ms();
	send_sized(f, 0, 1, 100 * 1024);
	wait_good(f, 0, 2);
	assert_in_range(clock_mono_ms() - began, 0, 3000);
	send_some(f, 0, 1);
	wait_good(f, 0, 3);
	assert_in_range(clock_mono_ms() - began, 3500, 15000);
}

/* --- throttling --- */

static void a_throttled_broker_does_not_stop_another(void **state)
{
	struct fixture *f = fixture(state, 2, 2);
	int64_t began;

	set(f, "request.timeout.ms", "2000");
	open_producer(f);
	for (int p = 0; p < 2; p++) {
		send_some(f, p, 1);
		wait_good(f, p, 1);
	}
	fake_fault(f->fake, 0, FAULT_THROTTLE, 4000, 1);
	began = clock_mono_ms();
	send_some(f, 0, 1);
	wait_good(f, 0, 2);
	send_some(f, 0, 1);
	measure_anew(f);
	for (int i = 0; i < 10; i++) {
		send_some(f, 1, 1);
		wait_good(f, 1, 2 + i);
	}
	assert_in_range(slowest(f, 1), 0, 3000);
	/* It outlasts request.timeout.ms and is no time-out. */
	wait_good(f, 0, 3);
	assert_in_range(clock_mono_ms() - began, 4000, 15000);
	pthread_mutex_lock(&f->p->mu);
	assert_int_equal(f->p->sender.trouble[0], 0);
	pthread_mutex_unlock(&f->p->mu);
}

/* --- brokers --- */

/* Connected, and nothing is wrong with it. */
static bool is_up(struct fixture *f)
{
	struct producer_stat st;
	bool up;

	assert_int_equal(producer_stat(f->p, &st), 0);
	up = st.any_broker_up && !st.brokers[0].error[0];
	producer_stat_release(&st);
	return up;
}

static void a_broker_that_comes_back_is_found_without_traffic(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	open_producer(f);
	send_some(f, 0, 1);
	wait_good(f, 0, 1);
	fake_down(f->fake, 0);
	wait_for(!is_up(f));
	fake_up(f->fake, 0);
	wait_for(is_up(f));
}

/* All that was learned is forgotten and found again; what was on its way is sent again and doubled nowhere. */
static void rebootstrap_in_the_middle_of_traffic_loses_and_doubles_nothing(void **state)
{
	struct fixture *f = fixture(state, 2, 2);

	set(f, "metadata.recovery.rebootstrap.trigger.ms", "100");
	set(f, "metadata.max.age.ms", "50");
	set(f, "batch.size", "200");
	set(f, "request.timeout.ms", "1000");
	open_producer(f);
	for (int i = 0; i < 10; i++) {
		fake_fault(f->fake, -1, FAULT_DELAY, 150, 2);
		send_some(f, 0, 50);
		send_some(f, 1, 50);
		if (i == 3) {
			fake_down(f->fake, 0);
			usleep(500000);
			fake_up(f->fake, 0);
		}
	}
	wait_good(f, 0, 500);
	wait_good(f, 1, 500);
	assert_int_equal(fake_records(f->fake, "t", 0), 500);
	assert_int_equal(fake_records(f->fake, "t", 1), 500);
}

/* --- names --- */

static void bootstrap_by_name(struct fixture *f, const char *name)
{
	char text[64];

	snprintf(text, sizeof text, "%s%s", name, strchr(fake_address(f->fake), ':'));
	set(f, "bootstrap.servers", text);
}

static int asked(struct fixture *f)
{
	int n;

	pthread_mutex_lock(&f->mu);
	n = f->asked;
	pthread_mutex_unlock(&f->mu);
	return n;
}

static void every_address_of_a_name_is_tried(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	f->addresses[0] = "127.0.0.77";		/* nobody listens there */
	f->addresses[1] = "127.0.0.78";
	f->addresses[2] = "127.0.0.1";
	f->address_count = 3;
	bootstrap_by_name(f, "kafka.test");
	open_producer(f);
	send_some(f, 0, 1);
	wait_good(f, 0, 1);
}

static void a_host_that_moved_is_found_by_asking_again(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	f->addresses[0] = "127.0.0.77";
	f->address_count = 1;
	bootstrap_by_name(f, "kafka.test");
	open_producer(f);
	wait_for(asked(f) >= 3);
	pthread_mutex_lock(&f->mu);
	f->addresses[0] = "127.0.0.1";
	pthread_mutex_unlock(&f->mu);
	send_some(f, 0, 1);
	wait_good(f, 0, 1);
}

static void a_bootstrap_name_stands_for_the_names_of_its_addresses(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "client.dns.lookup", "resolve_canonical_bootstrap_servers_only");
	f->addresses[0] = "127.0.0.77";
	f->addresses[1] = "127.0.0.1";
	f->address_count = 2;
	bootstrap_by_name(f, "kafka.test");
	open_producer(f);
	send_some(f, 0, 1);
	wait_good(f, 0, 1);
	pthread_mutex_lock(&f->mu);
	assert_int_equal(f->canonical_asked, 1);
	assert_int_equal(f->asked, 1);		/* what came back are addresses in digits */
	pthread_mutex_unlock(&f->mu);
}

/* How often the bootstrap name was asked for while its broker, which the producer knows by its address, was away: until so
 * many times, or for a second. */
static int asked_in_an_outage(struct fixture *f, int enough)
{
	int before, after;

	f->addresses[0] = "127.0.0.1";
	f->address_count = 1;
	bootstrap_by_name(f, "kafka.test");
	open_producer(f);
	send_some(f, 0, 1);
	wait_good(f, 0, 1);
	before = asked(f);
	fake_down(f->fake, 0);
	send_some(f, 0, 1);
	if (enough)
		wait_for(asked(f) - before >= enough);
	else
		usleep(1000000);
	after = asked(f);
	fake_up(f->fake, 0);
	wait_good(f, 0, 2);
	return after - before;
}

static void when_no_known_broker_answers_bootstrap_servers_are_tried(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	assert_true(asked_in_an_outage(f, 1) >= 1);
}

static void without_a_recovery_strategy_only_known_brokers_are_tried(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "metadata.recovery.strategy", "none");
	/* The connection of the bootstrap entry itself goes down too: that is one try at the most. */
	assert_in_range(asked_in_an_outage(f, 0), 0, 1);
}

/* --- describing --- */

static void the_cluster_is_described(void **state)
{
	struct fixture *f = fixture(state, 2, 3);
	const char *topics[] = { "t" };
	struct producer_cluster c;
	struct producer_error err;

	open_producer(f);
	assert_int_equal(producer_describe(f->p, topics, 1, WAIT_MS, &c, &err), 0);
	assert_string_equal(c.cluster_id, "fake-cluster");
	assert_int_equal(c.broker_count, 2);
	assert_string_equal(c.brokers[0].host, "127.0.0.1");
	assert_int_equal(c.topic_count, 1);
	assert_string_equal(c.topics[0].topic, "t");
	assert_int_equal(c.topics[0].partition_count, 3);
	assert_int_equal(c.topics[0].partitions[1].leader, 1);
	assert_int_equal(c.topics[0].partitions[1].replica_count, 2);
	assert_int_equal(c.topics[0].partitions[1].isr_count, 2);
	producer_cluster_release(&c);
	assert_null(c.topics);
}

static void describing_ends_in_time_and_says_why(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct producer_cluster c;
	struct producer_error err;
	int64_t began = clock_mono_ms();

	fake_down(f->fake, 0);
	open_producer(f);
	assert_int_equal(producer_describe(f->p, NULL, 0, 1000, &c, &err), PRODUCER_ERR_TIMEOUT);
	assert_in_range(clock_mono_ms() - began, 990, 15000);
	assert_true(err.retriable);
	assert_non_null(strstr(err.text, fake_address(f->fake)));
	assert_non_null(strstr(err.text, "refused"));
	fake_up(f->fake, 0);
	assert_int_equal(producer_describe(f->p, (const char *[]){ "x" }, 1, WAIT_MS, &c, &err), 0);
	producer_cluster_release(&c);
}

struct asker { struct fixture *f; int rc; };

static void ask_in_callback(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct asker *a = arg;
	struct producer_cluster c;

	(void)md, (void)err;
	a->rc = producer_describe(a->f->p, NULL, 0, 2 * WAIT_MS, &c, NULL);
}

static void a_callback_may_not_describe(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct asker a = { f, 0 };
	struct producer_record r = { .topic = "t", .partition = 0, .value = "x", .value_len = 1, .timestamp = -1 };

	open_producer(f);
	assert_int_equal(producer_send(f->p, &r, ask_in_callback, &a, NULL), 0);
	assert_int_equal(producer_flush(f->p, WAIT_MS), 0);	/* nobody waited for an answer */
	assert_int_equal(a.rc, PRODUCER_ERR_SYSTEM);
}

static void error_codes_have_kafkas_names(void **state)
{
	(void)state;
	assert_string_equal(producer_error_name(100), "UNKNOWN_TOPIC_ID");
	assert_string_equal(producer_error_name(0), "NONE");
	assert_string_equal(producer_error_name(70000), "UNKNOWN_SERVER_ERROR");
	assert_string_equal(producer_error_name(-1007), "UNKNOWN_SERVER_ERROR");
}

/* --- acks --- */

static void without_acks_there_are_no_offsets_and_a_lost_connection_is_survived(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "acks", "0");
	set(f, "enable.idempotence", "false");
	open_producer(f);
	for (int i = 0; i < 20; i++) {
		if (i == 10) {
			fake_down(f->fake, 0);
			fake_up(f->fake, 0);
		}
		send_some(f, 0, 1);
		wait_good(f, 0, i + 1);
	}
	pthread_mutex_lock(&f->mu);
	assert_int_equal(f->with_offset, 0);
	assert_int_equal(f->bad, 0);
	pthread_mutex_unlock(&f->mu);
}

#define T(t) cmocka_unit_test_teardown(t, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(a_refused_and_a_slow_partition_delay_neither_each_other_nor_a_third),
		T(max_rate_bounds_what_leaves_and_small_traffic_does_not_wait),
		T(a_batch_larger_than_the_burst_goes_and_its_debt_is_paid),
		T(a_throttled_broker_does_not_stop_another),
		T(a_broker_that_comes_back_is_found_without_traffic),
		T(rebootstrap_in_the_middle_of_traffic_loses_and_doubles_nothing),
		T(every_address_of_a_name_is_tried),
		T(a_host_that_moved_is_found_by_asking_again),
		T(a_bootstrap_name_stands_for_the_names_of_its_addresses),
		T(when_no_known_broker_answers_bootstrap_servers_are_tried),
		T(without_a_recovery_strategy_only_known_brokers_are_tried),
		T(the_cluster_is_described),
		T(describing_ends_in_time_and_says_why),
		T(a_callback_may_not_describe),
		cmocka_unit_test(error_codes_have_kafkas_names),
		T(without_acks_there_are_no_offsets_and_a_lost_connection_is_survived),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

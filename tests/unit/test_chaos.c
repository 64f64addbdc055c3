/* test_chaos.c - everything at once: faults, outages, brokers that forget, leaders that move, topics made anew, rebootstraps,
 * reloads, throttling, full spools; and callers that look in meanwhile. Nothing is lost, doubled or out of order.
 *
 * SPILLWAY_SEED=n begins with another seed, SPILLWAY_SEEDS=n goes through so many. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "producer/journal.h"
#include "tests/lib/fakebroker.h"
#include "tests/lib/mockjournal.h"
#include "tests/lib/tlsfront.h"

#define WAIT_MS 60000
#define NODES 3
#define PARTITIONS 3
#define LANES 3
#define STEPS 50
#define STEP_LINES 300
#define SESSION_MS 1250
#define GENTLE_MS 80

struct line { const char *topic; int32_t partition; };
static const struct line lines[LANES] = { { "t", 0 }, { "t", -1 }, { "u", 1 } };

struct fixture {
	struct fake *fake;
	struct tlsfront *front;		/* NULL: plaintext */
	struct producer_config *c, *later;	/* what it is opened with, and what it is reloaded with */
	struct producer_journal j;
	struct mock mock;
	struct producer *p;
	struct lane *lanes[LANES];
	int next[LANES];
	unsigned int rng;
	pthread_t looker;
	_Atomic bool looking;
};

static void set_one(struct producer_config *c, const char *name, const char *value)
{
	struct producer_error err;

	if (producer_config_set(c, name, value, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static void set(struct fixture *f, const char *name, const char *value)
{
	set_one(f->c, name, value);
	set_one(f->later, name, value);
}

static unsigned int any(struct fixture *f, unsigned int n)
{
	f->rng = f->rng * 1103515245u + 12345u;
	return (f->rng >> 16) % n;
}

static void *look(void *arg)
{
	struct fixture *f = arg;
	struct producer_cluster c;
	struct producer_stat st;

	for (int i = 0; f->looking; i++, usleep(3000)) {
		if (producer_stat(f->p, &st) == 0)
			producer_stat_release(&st);
		if (i % 7 == 0 && producer_describe(f->p, NULL, 0, i % 3 * 20, &c, NULL) == 0)
			producer_cluster_release(&c);
	}
	return NULL;
}

static int port(struct fixture *f, int node)
{
	return f->front ? tlsfront_port(f->front, node) : fake_port(f->fake, node);
}

static void set_servers(struct fixture *f, struct producer_config *c, int a, int b)
{
	char text[100];

	snprintf(text, sizeof text, "127.0.0.1:%d,127.0.0.1:%d", port(f, a), port(f, b));
	set_one(c, "bootstrap.servers", text);
}

enum way { PLAIN, TLS, SASL };	/* SASL: gently, or no connection would live long enough to authenticate anew */

static void begin(struct fixture *f, enum way way)
{
	static const char *const keys[][2] = {
		{ "retry.backoff.ms", "10" }, { "retry.backoff.max.ms", "100" }, { "reconnect.backoff.ms", "10" },
		{ "reconnect.backoff.max.ms", "50" }, { "request.timeout.ms", "300" }, { "buffer.memory", "1MiB" },
		{ "batch.size", "4KiB" }, { "max.block.ms", "50" }, { "linger.ms", "2" }, { "metadata.max.age.ms", "200" },
		{ "metadata.recovery.rebootstrap.trigger.ms", "400" }, { "connections.max.idle.ms", "150" },
		{ "evidence.settle.ms", "200" },
	};
	struct producer_error err = { 0 };

	f->fake = fake_open(NODES, PARTITIONS);
	f->c = producer_config_new();
	f->later = producer_config_new();
	mock_open(&f->mock, &f->j);
	fake_on_batch(f->fake, mock_seen, &f->mock);
	for (size_t i = 0; i < COUNT(keys); i++)
		set(f, keys[i][0], keys[i][1]);
	if (way == SASL) {
		fake_sasl(f->fake, SESSION_MS);
		set(f, "connections.max.idle.ms", "5000");
		set(f, "security.protocol", "SASL_PLAINTEXT");
		set(f, "sasl.mechanism", "PLAIN");
		set(f, "sasl.username", "a");
		set(f, "sasl.password", "b");
	}
	if (way == TLS) {
		f->front = tlsfront_open(f->fake, NODES);
		set(f, "security.protocol", "SSL");
		set(f, "ssl.truststore.certificates", tlsfront_ca(f->front));
		set(f, "ssl.enabled.protocols", any(f, 2) ? "TLSv1.3" : "TLSv1.2");
	}
	set_servers(f, f->c, 0, 0);
	set(f, "compression.type", any(f, 2) ? "lz4" : "none");
	if (producer_open_journaled(f->c, &f->j, &f->p, &err) < 0)
		fail_msg("open: %s", err.text);
	for (int i = 0; i < LANES; i++)
		f->lanes[i] = producer_lane(f->p, lines[i].topic, lines[i].partition);
	mock_start(&f->mock, f->p);
	assert_int_equal(producer_start(f->p, &err), 0);
	f->looking = true;
	assert_int_equal(pthread_create(&f->looker, NULL, look, f), 0);
}

static void end(struct fixture *f)
{
	f->looking = false;
	pthread_join(f->looker, NULL);
	producer_stop(f->p, NULL, NULL);
	fake_on_batch(f->fake, NULL, NULL);	/* what was on its way is still read */
	mock_close(&f->mock);
	producer_close(f->p, 0);
	producer_config_free(f->c);
	producer_config_free(f->later);
	if (f->front)
		tlsfront_close(f->front);
	fake_close(f->fake);
	free(f);
}

static bool append(struct fixture *f, int lane)
{
	char value[120];
	int i = f->next[lane], rc;
	struct source_range r = { .file_id = lane + 1, .from = i, .to = i + 1, .count = 1 };

	memset(value, '.', sizeof value);
	snprintf(value, sizeof value, "%c%06d", 'A' + lane, i);
	lane_begin(f->lanes[lane], clock_mono_ms(), clock_wall_ms());
	rc = lane_append(f->lanes[lane], &(struct lane_record){ .value = value, .value_len = sizeof value, .timestamp = -1,
								.source = &r });
	lane_end(f->lanes[lane]);
	assert_true(rc == 0 || rc == ERR_AGAIN || rc == ERR_LANE_FULL);
	f->next[lane] += rc == 0;
	return rc == 0;
}

static void append_some(struct fixture *f, int lane, int n)
{
	for (int64_t until = clock_mono_ms() + WAIT_MS; n > 0; ) {
		if (append(f, lane)) {
			n--;
		} else {
			usleep(1000);
			assert_true(clock_mono_ms() < until);
		}
	}
}

static void heal(struct fixture *f)
{
	fake_heal(f->fake);
	fake_topic_error(f->fake, "t", 0);
	fake_set_partitions(f->fake, PARTITIONS);
	for (int i = 0; i < NODES; i++) {
		fake_mute(f->fake, i, false);
		fake_up(f->fake, i);
	}
	for (int i = 0; i < PARTITIONS; i++)
		fake_lead(f->fake, i, i % NODES);
}

static void a_fault(struct fixture *f)
{
	static const struct { enum fault_kind kind; int value; } kinds[] = {
		{ FAULT_CLOSE_BEFORE, 0 }, { FAULT_CLOSE_AFTER, 0 }, { FAULT_SWALLOW, 0 }, { FAULT_ERROR, 19 }, { FAULT_ERROR, 6 },
		{ FAULT_ERROR_AFTER, 7 }, { FAULT_ERROR_AFTER, 20 }, { FAULT_DELAY, 120 }, { FAULT_THROTTLE, 150 },
		{ FAULT_TRUNCATED, 12 }, { FAULT_CUT_ANSWER, 9 }, { FAULT_GARBAGE, 5 }, { FAULT_CORRELATION, 1 },
		{ FAULT_TWICE, 0 }, { FAULT_SWAPPED, 0 }, { FAULT_HALF_CLOSE, 0 }, { FAULT_CUT_REQUEST, 700 },
	};
	unsigned int k = any(f, COUNT(kinds));

	fake_fault(f->fake, -1, kinds[k].kind, kinds[k].value, 1 + (int)any(f, 3));
}

static void reload_(struct fixture *f)
{
	set_servers(f, f->later, (int)any(f, NODES), (int)any(f, NODES));
	assert_int_equal(producer_reload(f->p, f->later, NULL), 0);
}

static void all_down(struct fixture *f)
{
	for (int i = 0; i < NODES; i++)
		fake_down(f->fake, i);
}

static void chaos(struct fixture *f)
{
	switch (any(f, 19)) {
	case 0: fake_lead(f->fake, (int)any(f, PARTITIONS), (int)any(f, NODES + 1) - 1); break;
	case 1: fake_lead(f->fake, 0, (int)any(f, NODES)); break;
	case 2: f->mock.fail_spills = 1; break;
	case 3: f->mock.fail_plans = 2; break;
	case 4: f->mock.fail_loads = 1; break;
	case 5: all_down(f); fake_reload(f->fake); break;
	case 17:
	case 18: all_down(f); fake_forget(f->fake); break;	/* the snapshots of producers are lost */
	case 6: fake_down(f->fake, (int)any(f, NODES)); break;
	case 7: fake_mute(f->fake, (int)any(f, NODES), true); break;
	case 8: fake_recreate_topic(f->fake, "t"); break;
	case 16:
		fake_set_partitions(f->fake, 1 + (int)any(f, PARTITIONS));
		fake_recreate_topic(f->fake, "t");
		break;
	case 9: fake_fault_api(f->fake, FAKE_METADATA, FAULT_ERROR, 129, 1); break;
	case 10: fake_fault_api(f->fake, FAKE_INIT_PRODUCER_ID, FAULT_CLOSE_BEFORE + FAULT_TRUNCATED, 4, 1); break;
	case 11: reload_(f); break;
	case 12: fake_topic_error(f->fake, "t", any(f, 2) ? 3 : 29); break;
	case 13: heal(f); break;
	default: a_fault(f);
	}
}

/* No connection ends of it. */
static void gentle_chaos(struct fixture *f)
{
	switch (any(f, 7)) {
	case 0: fake_lead(f->fake, (int)any(f, PARTITIONS), (int)any(f, NODES)); break;
	case 1: fake_fault(f->fake, -1, FAULT_DELAY, 120, 2); break;
	case 2: fake_fault(f->fake, -1, FAULT_THROTTLE, 200, 2); break;
	case 3: fake_fault(f->fake, -1, FAULT_ERROR, 19, 2); break;
	case 4: f->mock.fail_plans = 1; break;
	case 5:
		if (!any(f, 8))
			reload_(f);	/* its connections end instead */
		break;
	default: fake_fault(f->fake, -1, FAULT_ERROR_AFTER, 7, 2);
	}
	usleep(GENTLE_MS * 1000);
}

/* The number in a value of that lane, -1: it is another's. */
static int number(const char *v, int lane)
{
	return v[0] == 'A' + lane ? (int)strtol(v + 1, NULL, 10) : -1;
}

static void check_lane(struct fixture *f, int lane)
{
	char *seen = calloc(1, (size_t)f->next[lane] + 1);
	const char *v;

	for (int p = 0; p < PARTITIONS; p++) {
		int last = -1;

		for (size_t i = 0; (v = fake_record(f->fake, lines[lane].topic, p, i)); i++) {
			int n = number(v, lane);

			if (n < 0)
				continue;
			assert_in_range(n, 0, f->next[lane] - 1);
			if (seen[n])
				fail_msg("%.7s is there twice", v);
			if (lines[lane].partition >= 0 && n <= last)
				fail_msg("%.7s comes behind %d", v, last);
			seen[n] = 1;
			last = n;
		}
	}
	for (size_t i = 0; (v = fake_buried(f->fake, i)); i++)
		if (number(v, lane) >= 0)
			seen[number(v, lane)] = 1;
	for (int n = 0; n < f->next[lane]; n++)
		if (!seen[n])
			fail_msg("%c%06d is lost", 'A' + lane, n);
	free(seen);
}

static void one(unsigned int seed, enum way way)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->rng = seed;
	begin(f, way);
	for (int i = 0; i < STEPS; i++) {
		append_some(f, (int)any(f, LANES), STEP_LINES);
		if (way == SASL)
			gentle_chaos(f);
		else
			chaos(f);
	}
	heal(f);
	if (!producer_drain(f->p, WAIT_MS, false))
		fail_msg("seed %u: it does not drain", seed);
	assert_int_equal(producer_in_memory(f->p), 0);
	assert_int_equal(mock_rows(&f->mock), 0);
	for (int i = 0; i < LANES; i++)
		check_lane(f, i);
	assert_int_equal(f->mock.unplanned, 0);

	end(f);
}

static unsigned int number_of(const char *name, unsigned int otherwise)
{
	const char *s = getenv(name);

	return s ? (unsigned int)strtoul(s, NULL, 10) : otherwise;
}

static void go_through(enum way way)
{
	unsigned int from = number_of("SPILLWAY_SEED", 1), n = number_of("SPILLWAY_SEEDS", 2);

	for (unsigned int seed = from; seed < from + n; seed++) {
		print_message("seed %u\n", seed);
		one(seed, way);
	}
}

static void nothing_is_lost_doubled_or_out_of_order(void **state)
{
	(void)state;
	go_through(PLAIN);
}

static void nor_is_it_over_tls(void **state)
{
	(void)state;
	go_through(TLS);
}

static void nor_when_connections_authenticate_anew(void **state)
{
	(void)state;
	go_through(SASL);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_doubled_or_out_of_order),
		cmocka_unit_test(nor_is_it_over_tls),
		cmocka_unit_test(nor_when_connections_authenticate_anew),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

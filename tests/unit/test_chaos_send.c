/* test_chaos_send.c - the library's face while everything goes wrong: several threads and callbacks that send, flush, look in,
 * and a close in the middle. What was accepted ends once, and what ended well is there once.
 *
 * SPILLWAY_SEED=n begins with another seed, SPILLWAY_SEEDS=n goes through so many. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "producer/core.h"
#include "producer/murmur2.h"
#include "tests/lib/fakebroker.h"

#define NODES 3
#define PARTITIONS 3
#define THREADS 3
#define RECORDS 15000
#define TOPICS 2
#define WAIT_MS 60000
#define CLOSE_MS 10000

static const char *const topics[TOPICS] = { "t", "u" };

struct fixture;
struct one { struct fixture *f; int id; bool by_callback, refused; int code; _Atomic int ends; };

struct fixture {
	struct fake *fake;
	struct producer_config *c, *later;	/* what it is opened with, and what it is reloaded with */
	struct producer *p;
	struct one *all;
	_Atomic int next;
	pthread_t threads[THREADS];
	unsigned int rng;
};

static void set(struct fixture *f, const char *name, const char *value)
{
	struct producer_error err;

	if (producer_config_set(f->c, name, value, &err) < 0 || producer_config_set(f->later, name, value, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static unsigned int any(struct fixture *f, unsigned int n)
{
	f->rng = f->rng * 1103515245u + 12345u;
	return (f->rng >> 16) % n;
}

static void begin(struct fixture *f)
{
	static const char *const keys[][2] = {
		{ "retry.backoff.ms", "10" }, { "retry.backoff.max.ms", "100" }, { "reconnect.backoff.ms", "10" },
		{ "reconnect.backoff.max.ms", "50" }, { "request.timeout.ms", "300" }, { "buffer.memory", "1MiB" },
		{ "batch.size", "2KiB" }, { "linger.ms", "2" }, { "metadata.max.age.ms", "200" }, { "max.block.ms", "60000" },
		{ "metadata.recovery.rebootstrap.trigger.ms", "400" }, { "connections.max.idle.ms", "150" },
	};
	static const char *const partitioners[] = { "default", "round_robin", "random" };
	struct producer_error err;

	f->fake = fake_open(NODES, PARTITIONS);
	f->c = producer_config_new();
	f->later = producer_config_new();
	f->all = calloc(RECORDS, sizeof *f->all);
	set(f, "bootstrap.servers", fake_address(f->fake));
	for (size_t i = 0; i < COUNT(keys); i++)
		set(f, keys[i][0], keys[i][1]);
	set(f, "partitioner.class", partitioners[any(f, COUNT(partitioners))]);
	set(f, "compression.type", any(f, 2) ? "zstd" : "none");
	if (producer_open(f->c, &f->p, &err) < 0)
		fail_msg("open: %s", err.text);
}

static void end(struct fixture *f)
{
	producer_close(f->p, 0);
	producer_config_free(f->c);
	producer_config_free(f->later);
	fake_close(f->fake);
	free(f->all);
	free(f);
}

/* --- those who send --- */

static void send_next(struct fixture *f, bool by_callback);

static void ended(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct one *one = arg;

	(void)md;
	one->code = err ? err->code : 0;
	if (!one->by_callback && one->id % 5 == 0)
		send_next(one->f, true);
	one->ends++;
}

/* Some with a key, some to a partition, the rest to any. */
static void send_next(struct fixture *f, bool by_callback)
{
	int id = atomic_fetch_add(&f->next, 1);
	char value[100], key[8];
	struct one *one = &f->all[id];
	struct producer_record r = { .topic = topics[id % TOPICS], .partition = id % 7 ? -1 : id % PARTITIONS, .value = value,
				     .value_len = sizeof value, .timestamp = -1 };

	if (id >= RECORDS)
		return;
	/* Not to be compressed to nothing. */
	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (char)(murmur2(&(uint64_t){ (uint64_t)id << 8 | i }, 8) & 0x7f);
	snprintf(value, sizeof value, "%06d", id);
	if (id % 3 == 0) {
		r.key = key;
		r.key_len = (size_t)snprintf(key, sizeof key, "%d", id % 17);
	}
	*one = (struct one){ .f = f, .id = id, .by_callback = by_callback };
	one->refused = producer_send(f->p, &r, ended, one, NULL) < 0;
}

static void nothing(void *arg, const struct producer_metric *m)
{
	(void)arg, (void)m;
}

static void *work(void *arg)
{
	struct fixture *f = arg;
	struct producer_cluster c;

	for (int i = 0; f->next < RECORDS; i++) {
		send_next(f, false);
		if (i % 200 == 50)
			producer_flush(f->p, 20);
		if (i % 300 == 100)
			producer_metrics(f->p, nothing, NULL);
		if (i % 300 == 200 && producer_describe(f->p, NULL, 0, i % 7 * 10, &c, NULL) == 0)
			producer_cluster_release(&c);
		if (i % 50 == 0)
			usleep(5000);
	}
	return NULL;
}

static void begin_work(struct fixture *f)
{
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&f->threads[i], NULL, work, f), 0);
}

static void end_work(struct fixture *f)
{
	for (int i = 0; i < THREADS; i++)
		pthread_join(f->threads[i], NULL);
}

/* --- what goes wrong --- */

static void heal(struct fixture *f)
{
	fake_heal(f->fake);
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
		{ FAULT_ERROR_AFTER, 7 }, { FAULT_DELAY, 120 }, { FAULT_THROTTLE, 150 }, { FAULT_CUT_ANSWER, 9 },
		{ FAULT_CORRELATION, 1 }, { FAULT_TWICE, 0 }, { FAULT_CUT_REQUEST, 700 },
	};
	unsigned int k = any(f, COUNT(kinds));

	fake_fault(f->fake, -1, kinds[k].kind, kinds[k].value, 1 + (int)any(f, 3));
}

static void reload(struct fixture *f)
{
	char text[60];

	snprintf(text, sizeof text, "127.0.0.1:%d", fake_port(f->fake, (int)any(f, NODES)));
	assert_int_equal(producer_config_set(f->later, "bootstrap.servers", text, NULL), 0);
	assert_int_equal(producer_reload(f->p, f->later, NULL), 0);
}

static void chaos(struct fixture *f)
{
	switch (any(f, 13)) {
	case 0: fake_lead(f->fake, (int)any(f, PARTITIONS), (int)any(f, NODES + 1) - 1); break;
	case 1: fake_lead(f->fake, (int)any(f, PARTITIONS), (int)any(f, NODES)); break;
	case 2: fake_down(f->fake, (int)any(f, NODES)); break;
	case 3: fake_mute(f->fake, (int)any(f, NODES), true); break;
	case 4: fake_recreate_topic(f->fake, "t"); break;
	case 5: fake_fault_api(f->fake, FAKE_METADATA, FAULT_ERROR, 129, 1); break;
	case 6: reload(f); break;
	case 7: case 8: case 9: heal(f); break;
	default: a_fault(f);
	}
	usleep(20000);
}

/* --- the end --- */

static void assert_all_ended(struct fixture *f)
{
	int n = f->next < RECORDS ? f->next : RECORDS;

	for (int i = 0; i < n; i++)
		if (f->all[i].ends != !f->all[i].refused)
			fail_msg("record %d: refused %d, ended %d times", i, f->all[i].refused, f->all[i].ends);
}

static void assert_once(struct fixture *f)
{
	char *seen = calloc(1, RECORDS);
	const char *v;

	for (int t = 0; t < TOPICS; t++)
		for (int p = 0; p < PARTITIONS; p++)
			for (size_t i = 0; (v = fake_record(f->fake, topics[t], p, i)); i++)
				if (seen[strtol(v, NULL, 10)]++)
					fail_msg("record %.6s is there twice", v);
	for (size_t i = 0; (v = fake_buried(f->fake, i)); i++)
		seen[strtol(v, NULL, 10)] = 1;
	for (int i = 0; i < RECORDS; i++) {
		if (!f->all[i].refused && f->all[i].code)
			fail_msg("record %d ended with %d", i, f->all[i].code);
		if (!f->all[i].refused && !seen[i])
			fail_msg("record %d is lost", i);
	}
	free(seen);
}

static unsigned int number_of(const char *name, unsigned int otherwise)
{
	const char *s = getenv(name);

	return s ? (unsigned int)strtoul(s, NULL, 10) : otherwise;
}

static void go_through(void (*one)(struct fixture *f))
{
	unsigned int from = number_of("SPILLWAY_SEED", 1), n = number_of("SPILLWAY_SEEDS", 2);

	for (unsigned int seed = from; seed < from + n; seed++) {
		struct fixture *f = calloc(1, sizeof *f);

		print_message("seed %u\n", seed);
		f->rng = seed;
		begin(f);
		one(f);
		end(f);
	}
}

static void once(struct fixture *f)
{
	begin_work(f);
	while (f->next < RECORDS)
		chaos(f);
	heal(f);
	end_work(f);
	assert_int_equal(producer_flush(f->p, WAIT_MS), 0);
	/* Callbacks send behind a flush too. */
	assert_int_equal(producer_close(f->p, WAIT_MS), 0);
	f->p = NULL;
	assert_all_ended(f);
	assert_once(f);
}

static void what_was_accepted_is_there_once(void **state)
{
	(void)state;
	go_through(once);
}

/* --- a close while everybody waits --- */

static void *fill(void *arg)
{
	struct fixture *f = arg;

	int id;

	do {
		id = f->next;
		assert_true(id < RECORDS);
		send_next(f, true);
	} while (!f->all[id].refused);
	return NULL;
}

/* Of its own record at least: who comes first has nothing else to wait for. */
static void *flush(void *arg)
{
	struct fixture *f = arg;
	struct producer_record r = { .topic = "t", .partition = 0, .value = "flush", .value_len = 5, .timestamp = -1 };

	if (producer_send(f->p, &r, NULL, NULL, NULL) == 0)
		producer_flush(f->p, -1);
	return NULL;
}

static void *describe(void *arg)
{
	struct fixture *f = arg;
	struct producer_cluster c;

	if (producer_describe(f->p, NULL, 0, -1, &c, NULL) == 0)
		producer_cluster_release(&c);
	return NULL;
}

static void *send_and_wait(void *arg)
{
	struct fixture *f = arg;
	struct producer_record r = { .topic = "t", .partition = 0, .value = "wait", .value_len = 4, .timestamp = -1 };

	producer_send_wait(f->p, &r, -1, NULL, NULL);
	return NULL;
}

static void *send_to_an_unknown_topic(void *arg)
{
	struct fixture *f = arg;
	struct producer_record r = { .topic = "unknown", .partition = -1, .value = "x", .value_len = 1, .timestamp = -1 };

	producer_send(f->p, &r, NULL, NULL, NULL);
	return NULL;
}

static void cut_off(struct fixture *f)
{
	void *(*const all[])(void *) = { fill, flush, describe, send_and_wait, send_to_an_unknown_topic };
	pthread_t threads[COUNT(all)];
	int64_t began, end_ms = clock_mono_ms() + WAIT_MS;

	for (int i = 0; i < 20; i++)
		send_next(f, true);
	assert_int_equal(producer_flush(f->p, WAIT_MS), 0);
	for (int i = 0; i < NODES; i++)
		fake_mute(f->fake, i, true);
	/* Memory first: a flush with nothing to wait for would be over at once. */
	for (size_t i = 0; i < COUNT(all); i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, all[i], f), 0);
		while (atomic_load(&f->p->users) <= i || !atomic_load(&f->p->metrics.waiting_threads)) {
			assert_true(clock_mono_ms() < end_ms);
			usleep(1000);
		}
	}
	began = clock_mono_ms();
	assert_int_equal(producer_close(f->p, (int)any(f, 3) * 100), PRODUCER_ERR_TIMEOUT);
	assert_in_range(clock_mono_ms() - began, 0, CLOSE_MS);
	f->p = NULL;
	for (size_t i = 0; i < COUNT(all); i++)
		pthread_join(threads[i], NULL);
	assert_all_ended(f);
}

static void a_close_ends_every_wait(void **state)
{
	(void)state;
	go_through(cut_off);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_accepted_is_there_once),
		cmocka_unit_test(a_close_ends_every_wait),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

/* bench_latency.c - how long a record takes from producer_send to its callback.
 *
 *	bench_latency BROKERS TOPIC RECORDS RATE [name=value ...]
 *
 * linger.ms=0, acks=all, idempotence, partition 0; RECORDS lines of 178 bytes, RATE a second. Prints percentiles.
 * bench_latency_rdkafka is its yardstick: same loop, same clock, other library.
 */
#include "producer/producer.h"
#include "tests/bench/latency.h"

static struct latency latency;

struct sender { struct producer *producer; const char *topic; };

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	(void)md;
	latency_done(&latency, arg, !err);
}

static bool send_line(void *arg, const char *line, size_t n, struct latency_slot *slot)
{
	struct sender *s = arg;
	struct producer_record r = { .topic = s->topic, .partition = 0, .value = line, .value_len = n, .timestamp = -1 };
	struct producer_error err;

	if (producer_send(s->producer, &r, done, slot, &err) == 0)
		return true;
	fprintf(stderr, "not taken: %s\n", err.text);
	return false;
}

static int set(struct producer_config *c, const char *name, const char *value)
{
	struct producer_error err;
	int rc = producer_config_set(c, name, value, &err);

	if (rc < 0)
		fprintf(stderr, "%s: %s\n", name, err.text);
	return rc;
}

static struct producer_config *configure(int argc, char **argv)
{
	struct producer_config *c = producer_config_new();

	if (!c || set(c, "bootstrap.servers", argv[1]) < 0 || set(c, "linger.ms", "0") < 0 || set(c, "acks", "all") < 0)
		return NULL;
	for (int i = 5; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (!equals)
			return NULL;
		*equals = 0;
		if (set(c, argv[i], equals + 1) < 0)
			return NULL;
	}
	return c;
}

int main(int argc, char **argv)
{
	long records = argc > 4 ? strtol(argv[3], NULL, 10) : 0, rate = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
	struct producer_config *c = records > 0 && rate > 0 ? configure(argc, argv) : NULL;
	struct producer_error err;
	struct sender s = { .topic = argc > 2 ? argv[2] : "" };
	bool good;

	if (!c) {
		fprintf(stderr, "usage: bench_latency BROKERS TOPIC RECORDS RATE [name=value ...]\n");
		return 64;
	}
	if (producer_open(c, &s.producer, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 78;
	}
	latency.send = send_line;
	latency.arg = &s;
	good = latency_run(&latency, (size_t)records, rate);
	producer_close(s.producer, 30000);
	if (good)
		latency_print(&latency);
	producer_config_free(c);
	free(latency.slots);
	return good ? 0 : 75;
}

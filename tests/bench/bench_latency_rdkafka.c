/* bench_latency_rdkafka.c - bench_latency with librdkafka, as a yardstick. The only program here that is linked with it.
 *
 *	bench_latency_rdkafka BROKERS TOPIC RECORDS RATE [name=value ...]
 *
 * Callbacks are served by a thread that does nothing else, which is the quickest that librdkafka offers.
 */
#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "tests/bench/latency.h"

static struct latency latency;
static _Atomic bool ending;

struct sender { rd_kafka_t *rk; const char *topic; };

static void done(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	(void)rk;
	(void)opaque;
	latency_done(&latency, m->_private, !m->err);
}

static bool send_line(void *arg, const char *line, size_t n, struct latency_slot *slot)
{
	struct sender *s = arg;
	rd_kafka_resp_err_t err = rd_kafka_producev(s->rk, RD_KAFKA_V_TOPIC(s->topic), RD_KAFKA_V_PARTITION(0),
						    RD_KAFKA_V_VALUE((void *)(uintptr_t)line, n),
						    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(slot),
						    RD_KAFKA_V_END);

	if (err)
		fprintf(stderr, "not taken: %s\n", rd_kafka_err2str(err));
	return !err;
}

static void *serve(void *arg)
{
	while (!ending)
		rd_kafka_poll(arg, 100);
	return NULL;
}

static bool set(rd_kafka_conf_t *c, const char *name, const char *value)
{
	char words[256];

	if (rd_kafka_conf_set(c, name, value, words, sizeof words) == RD_KAFKA_CONF_OK)
		return true;
	fprintf(stderr, "%s\n", words);
	return false;
}

static rd_kafka_t *open_producer(int argc, char **argv)
{
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	char words[256];
	rd_kafka_t *rk;

	rd_kafka_conf_set_dr_msg_cb(c, done);
	if (!set(c, "bootstrap.servers", argv[1]) || !set(c, "linger.ms", "0") || !set(c, "acks", "all") ||
	    !set(c, "enable.idempotence", "true"))
		return NULL;
	for (int i = 5; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (!equals)
			return NULL;
		*equals = 0;
		if (!set(c, argv[i], equals + 1))
			return NULL;
	}
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, words, sizeof words);
	if (!rk)
		fprintf(stderr, "%s\n", words);
	return rk;
}

int main(int argc, char **argv)
{
	long records = argc > 4 ? strtol(argv[3], NULL, 10) : 0, rate = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
	struct sender s = { .topic = argc > 2 ? argv[2] : "" };
	pthread_t thread;
	bool good;

	if (records <= 0 || rate <= 0) {
		fprintf(stderr, "usage: bench_latency_rdkafka BROKERS TOPIC RECORDS RATE [name=value ...]\n");
		return 64;
	}
	s.rk = open_producer(argc, argv);
	if (!s.rk || pthread_create(&thread, NULL, serve, s.rk))
		return 78;
	latency.send = send_line;
	latency.arg = &s;
	good = latency_run(&latency, (size_t)records, rate);
	ending = true;
	pthread_join(thread, NULL);
	rd_kafka_destroy(s.rk);
	if (good)
		latency_print(&latency);
	free(latency.slots);
	return good ? 0 : 75;
}

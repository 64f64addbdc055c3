/* send.c - example: asynchronous sends with a callback.
 *
 *	cc send.c $(pkg-config --cflags --libs libspillway-producer) -o send
 *	./send 127.0.0.1:9092 TOPIC 1000
 *
 * producer_send copies the record and returns at once; the callback runs later, once for each record, on the producer's
 * own thread. producer_close waits for what is still on its way.
 */
#include <inttypes.h>
#include <spillway/producer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct count { long good, bad; };	/* only callbacks write it, and they run on one thread */

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct count *n = arg;

	if (!err) {
		n->good++;
		return;
	}
	n->bad++;
	fprintf(stderr, "%s/%" PRId32 ": %s\n", md->topic, md->partition, err->text);
}

int main(int argc, char **argv)
{
	struct producer_config *c = producer_config_new();
	struct producer_error err;
	struct count n = { 0, 0 };
	struct producer *p;
	long records = argc == 4 ? strtol(argv[3], NULL, 10) : 0;

	if (!c || argc != 4) {
		fprintf(stderr, "usage: send BROKERS TOPIC RECORDS\n");
		return 2;
	}
	if (producer_config_set(c, "bootstrap.servers", argv[1], &err) < 0 ||
	    producer_config_set(c, "linger.ms", "5", &err) < 0 ||
	    producer_config_set(c, "compression.type", "lz4", &err) < 0 || producer_open(c, &p, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (long i = 0; i < records; i++) {
		char value[32];
		struct producer_record r = { .topic = argv[2], .partition = -1, .timestamp = -1, .value = value };

		r.value_len = (size_t)snprintf(value, sizeof value, "record %ld", i);
		if (producer_send(p, &r, done, &n, &err) < 0) {
			fprintf(stderr, "not taken: %s\n", err.text);
			n.bad++;
		}
	}
	producer_close(p, 30000);	/* after it no callback runs, so the counts can be read */
	producer_config_free(c);
	printf("%ld delivered, %ld failed\n", n.good, n.bad);
	return n.bad != 0;
}

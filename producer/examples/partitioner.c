/* partitioner.c - example: a partitioner of one's own that sends high priority to partition 0.
 *
 *	./partitioner 127.0.0.1:9092 TOPIC <lines
 *
 * Lines that begin with "!" get a header priority=high and go to partition 0; all others share the other partitions, as long
 * as those have a leader. A consumer that serves partition 0 first serves what is urgent first.
 */
#include <spillway/producer.h>
#include <stdio.h>
#include <string.h>

static bool is_high(const struct producer_record *r)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (!strcmp(r->headers[i].name, "priority"))
			return r->headers[i].value_len == 4 && !memcmp(r->headers[i].value, "high", 4);
	return false;
}

/* Runs on the thread that sends; here that is one, so a plain counter will do. */
static int32_t choose(void *arg, const struct producer_record *r, const struct producer_topic_info *t)
{
	int32_t *turn = arg;

	if (is_high(r) || t->partition_count == 1)
		return 0;
	for (int32_t i = 0; i < t->partition_count; i++) {
		int32_t partition = 1 + (*turn)++ % (t->partition_count - 1);

		if (t->available(t, partition))
			return partition;
	}
	return 1;	/* none has a leader now: the record waits for one */
}

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	(void)arg;
	if (err)
		fprintf(stderr, "%s: %s\n", md->topic, err->text);
}

static int send_line(struct producer *p, const char *topic, char *line)
{
	const struct producer_header high = { "priority", "high", 4 };
	struct producer_record r = { .topic = topic, .partition = -1, .timestamp = -1, .value = line };
	struct producer_error err;

	r.value_len = strcspn(line, "\n");
	if (line[0] == '!') {
		r.headers = &high;
		r.header_count = 1;
	}
	if (producer_send(p, &r, done, NULL, &err) == 0)
		return 0;
	fprintf(stderr, "not taken: %s\n", err.text);
	return 1;
}

int main(int argc, char **argv)
{
	int32_t turn = 0;
	const struct producer_partitioner mine = { .partition = choose, .arg = &turn };
	struct producer_config *c = producer_config_new();
	struct producer_error err;
	struct producer *p;
	char line[4096];
	int failed = 0;

	if (!c || argc != 3) {
		fprintf(stderr, "usage: partitioner BROKERS TOPIC <lines\n");
		return 2;
	}
	producer_config_set_partitioner(c, &mine);
	if (producer_config_set(c, "bootstrap.servers", argv[1], &err) < 0 || producer_open(c, &p, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	while (fgets(line, sizeof line, stdin))
		failed |= send_line(p, argv[2], line);
	failed |= producer_close(p, 30000) < 0;
	producer_config_free(c);
	return failed;
}

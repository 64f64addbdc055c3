/* serializer.c - example: a serializer of one's own, here Protobuf's wire format for
 *
 *	message Measure { string sensor = 1; sint64 value = 2; }
 *
 *	./serializer 127.0.0.1:9092 TOPIC
 *
 * A record's value then points to whatever the serializer understands. In real life the bytes would come from code that
 * protoc-c made; three lines of wire format show that nothing but producer_bytes_put is needed.
 */
#include <spillway/producer.h>
#include <stdio.h>
#include <string.h>

struct measure { const char *sensor; int64_t value; };

static int put_varint(struct producer_bytes *out, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)(v & 0x7f);
		v >>= 7;
		if (v)
			bytes[n] |= 0x80;
		n++;
	} while (v);
	return producer_bytes_put(out, bytes, n);
}

/* Runs on the thread that sends. A negative answer makes producer_send fail, and nothing is sent. */
static int serialize_measure(void *arg, const char *topic, const void *data, size_t n, struct producer_bytes *out)
{
	const struct measure *m = data;
	size_t len;
	uint64_t zigzag;

	(void)arg, (void)topic;
	if (n != sizeof *m || !m->sensor)
		return -1;
	len = strlen(m->sensor);
	zigzag = (uint64_t)m->value << 1 ^ (m->value < 0 ? UINT64_MAX : 0);
	put_varint(out, 1 << 3 | 2);		/* field 1, bytes */
	put_varint(out, len);
	producer_bytes_put(out, m->sensor, len);
	put_varint(out, 2 << 3 | 0);		/* field 2, varint */
	return put_varint(out, zigzag);		/* a put that failed stays failed: the last answer is enough */
}

int main(int argc, char **argv)
{
	const struct measure measures[] = { { "roof", 21 }, { "cellar", -4 }, { "attic", INT64_MIN } };
	const struct producer_serializer mine = { .serialize = serialize_measure };
	struct producer_config *c = producer_config_new();
	struct producer_error err = { 0 };
	struct producer_metadata md;
	struct producer *p;
	int rc = 0;

	if (!c || argc != 3) {
		fprintf(stderr, "usage: serializer BROKERS TOPIC\n");
		return 2;
	}
	producer_config_set_value_serializer(c, &mine);
	if (producer_config_set(c, "bootstrap.servers", argv[1], &err) < 0 || producer_open(c, &p, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (size_t i = 0; i < sizeof measures / sizeof measures[0] && rc == 0; i++) {
		struct producer_record r = { .topic = argv[2], .partition = -1, .timestamp = -1, .key = measures[i].sensor,
					     .key_len = strlen(measures[i].sensor), .value = &measures[i],
					     .value_len = sizeof measures[i] };

		rc = producer_send_wait(p, &r, 30000, &md, &err);
		if (rc == 0)
			printf("%s: partition %d, offset %lld, %d bytes\n", measures[i].sensor, md.partition, (long long)md.offset,
			       md.value_size);
	}
	if (rc < 0)
		fprintf(stderr, "%s\n", err.text);
	producer_close(p, 30000);
	producer_config_free(c);
	return rc < 0;
}

/* tool_evidence.c - asks a broker what it knows of a partition, through the producer's own requests and readers, and prints it.
 *
 *	tool_evidence PORT TOPIC PARTITION OFFSET MAX_BYTES TIMESTAMP
 *
 * Each API in every version that both speak, DescribeProducers only where the broker offers it. One line an answer, one more
 * for each producer and each batch header from OFFSET on. tests/scenario/idempotence.py compares what Kafka and the fake broker
 * are made to say, and both with a reader that shares nothing with this one.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "producer/api.h"
#include "producer/wire.h"

#define PATIENCE_S 20
#define FRAME_MAX (16u << 20)

struct question { const char *topic; int32_t partition, max_bytes; int64_t offset, timestamp; };
struct line { int fd; int32_t id; struct buf out; uint8_t *in; size_t in_len; };

static void die(const char *what)
{
	fprintf(stderr, "tool_evidence: %s\n", what);
	exit(1);
}

static void must(bool good, const char *what)
{
	if (!good)
		die(what);
}

static void call(struct line *l, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { PATIENCE_S, 0 };

	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	must(connect(l->fd, (struct sockaddr *)&a, sizeof a) == 0, "cannot connect");
	buf_init(&l->out, FRAME_MAX);
}

/* Sends what is in `out`, reads the answer's content. */
static void exchange(struct line *l)
{
	uint8_t size[4];

	must(send(l->fd, l->out.data, l->out.len, MSG_NOSIGNAL) == (ssize_t)l->out.len, "cannot send");
	buf_clear(&l->out);
	must(recv(l->fd, size, 4, MSG_WAITALL) == 4, "hung up");
	l->in_len = be32_get(size);
	must(l->in_len <= FRAME_MAX, "answer is too long");
	free(l->in);
	l->in = malloc(l->in_len + 1);
	must(l->in && recv(l->fd, l->in, l->in_len, MSG_WAITALL) == (ssize_t)l->in_len, "answer is cut");
}

static struct api_versions versions(struct line *l)
{
	struct api_versions v;

	must(api_versions_request(&l->out, 0, ++l->id, "tests") == 0, "ApiVersions");
	exchange(l);
	must(api_versions_response(l->in, l->in_len, 0, l->id, &v) == 0, "ApiVersions' answer");
	return v;
}

static void print_producer(void *arg, const struct api_producer_state *p)
{
	(void)arg;
	printf("producer id=%lld epoch=%d last=%d time=%lld\n", (long long)p->producer_id, p->epoch, p->last_sequence,
	       (long long)p->last_timestamp);
}

static void describe(struct line *l, int16_t version, const struct question *q)
{
	int32_t throttle_ms;
	int16_t error;

	must(api_describe_producers_request(&l->out, version, ++l->id, "tests", q->topic, q->partition) == 0, "describe");
	exchange(l);
	must(api_describe_producers_response(l->in, l->in_len, version, l->id, &error, &throttle_ms, print_producer, NULL) == 0,
	     "DescribeProducers' answer");
	printf("describe %d error=%d\n", version, error);
}

static void offsets(struct line *l, int16_t version, const struct question *q)
{
	struct api_offset o;

	must(api_list_offsets_request(&l->out, version, ++l->id, "tests", q->topic, q->partition, q->timestamp) == 0, "offsets");
	exchange(l);
	must(api_list_offsets_response(l->in, l->in_len, version, l->id, &o) == 0, "ListOffsets' answer");
	printf("offsets %d error=%d offset=%lld time=%lld\n", version, o.error, (long long)o.offset, (long long)o.timestamp);
}

static void print_batches(int16_t version, const struct api_fetch *f)
{
	struct api_batch_header h;

	for (const uint8_t *at = f->records; at && api_next_batch_header(&at, f->records + f->records_len, &h);)
		printf("batch %d base=%lld last=%lld id=%lld epoch=%d sequence=%d count=%d time=%lld max=%lld attributes=%d "
		       "whole=%d\n", version, (long long)h.base_offset, (long long)h.last_offset, (long long)h.producer_id, h.epoch,
		       h.base_sequence, h.count, (long long)h.base_timestamp, (long long)h.max_timestamp, h.attributes, h.whole);
}

static void fetch(struct line *l, int16_t version, const struct question *q)
{
	struct api_fetch f;

	must(api_fetch_request(&l->out, version, ++l->id, "tests", q->topic, q->partition, q->offset, 0, q->max_bytes) == 0,
	     "fetch");
	exchange(l);
	must(api_fetch_response(l->in, l->in_len, version, l->id, &f) == 0, "Fetch's answer");
	printf("fetch %d error=%d end=%lld start=%lld bytes=%zu\n", version, f.error, (long long)f.high_watermark,
	       (long long)f.log_start_offset, f.records_len);
	print_batches(version, &f);
}

static const struct { enum api_key key; void (*ask)(struct line *l, int16_t version, const struct question *q); } apis[] = {
	{ API_DESCRIBE_PRODUCERS, describe }, { API_LIST_OFFSETS, offsets }, { API_FETCH, fetch },
};

int main(int argc, char **argv)
{
	struct line l = { .fd = -1 };
	struct question q;
	struct api_versions v;

	must(argc == 7, "usage: tool_evidence PORT TOPIC PARTITION OFFSET MAX_BYTES TIMESTAMP");
	q = (struct question){ .topic = argv[2], .partition = (int32_t)strtol(argv[3], NULL, 10),
			       .offset = strtoll(argv[4], NULL, 10), .max_bytes = (int32_t)strtol(argv[5], NULL, 10),
			       .timestamp = strtoll(argv[6], NULL, 10) };
	call(&l, argv[1]);
	v = versions(&l);
	for (size_t i = 0; i < sizeof apis / sizeof apis[0]; i++) {
		int16_t low = api_ours[apis[i].key].min, high = api_pick(&v, apis[i].key);

		if (low < v.range[apis[i].key].min)
			low = v.range[apis[i].key].min;
		for (int16_t version = low; version <= high; version++)
			apis[i].ask(&l, version, &q);
	}
	buf_release(&l.out);
	free(l.in);
	close(l.fd);
	return 0;
}

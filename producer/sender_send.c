/* sender_send.c - Produce requests: who sends what on which connection.
 *
 * Why two connections to a broker: it works on one request of a connection at a time, and a request is answered when its
 * slowest partition is. Partitions that recover or were slow travel alone on the second one; if the first is stuck, those
 * with nothing on it move over too.
 * Invariants
 *  (1) at most one batch of a partition in a request, and all unanswered ones of a partition on one connection.
 *  (2) at most max.in.flight requests on a connection; none while it is throttled.
 *  (3) a request is not larger than max.request.size, unless a single batch is.
 * Failure no memory for a request: its batches stay planned and go a little later.
 */
#include "producer/sender.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/core.h"

#define RETRY_MS 100
#define PER_PARTITION 16	/* more than a request needs around a batch */
#define REQUEST_OVERHEAD 1024

static bool has_room(struct sender *s, const struct conn *c)
{
	if (!conn_ready(c) || c->in_flight >= (uint32_t)s->config->max_in_flight)
		return false;
	if (c->throttled_until_ms > s->now_ms) {
		sender_lower_wake(s, c->throttled_until_ms);
		return false;
	}
	return true;
}

static bool stuck(struct sender *s, const struct conn *c)
{
	int64_t since = conn_waiting_since(c);

	if (since < 0)
		return false;
	if (since + SENDER_STUCK_MS > s->now_ms) {
		sender_lower_wake(s, since + SENDER_STUCK_MS);
		return false;
	}
	return true;
}

static bool alone(const struct stream *st)
{
	return st->recovering || st->slow;
}

/* Which of the two, or -1 when it has to wait. */
static int choose(struct sender *s, struct broker *b, const struct stream *st)
{
	struct conn *apart = &b->conn[CONN_APART];

	if (st->sent)
		return st->apart ? CONN_APART : CONN_MAIN;
	if (!alone(st) && !stuck(s, &b->conn[CONN_MAIN]))
		return CONN_MAIN;
	/* Better among the others than not at all, if there is no second connection to be had. */
	if (!sender_want(s, apart))
		return CONN_MAIN;
	return conn_up(apart) ? CONN_APART : -1;
}

/* --- building a request --- */

static int by_topic(const void *a, const void *b)
{
	const struct batch *const *x = a, *const *y = b;
	int d = strcmp((*x)->topic, (*y)->topic);

	return d ? d : (*x)->partition - (*y)->partition;
}

static struct request *build(struct sender *s, struct conn *c, struct batch *const *batches, uint32_t n)
{
	int16_t version = api_pick(&c->versions, API_PRODUCE);
	size_t iov = api_produce_iov_bound(batches, n);
	struct request *r = request_new(API_PRODUCE, version, c->next_correlation_id, n, (uint32_t)iov);
	int count;

	if (!r)
		return NULL;
	count = api_produce_request(&r->control, r->iov, iov, version, r->correlation_id, s->config->client_id,
				    (int16_t)s->config->acks, (int32_t)s->config->request_timeout_ms, batches, n);
	if (count < 0) {
		request_free(r);
		return NULL;
	}
	c->next_correlation_id++;
	r->iov_count = (uint32_t)count;
	r->silent = s->config->acks == 0;
	memcpy(r->batches, batches, n * sizeof *batches);
	return r;
}

static void mark_sent(struct sender *s, struct batch *b, bool apart)
{
	struct stream *st = sender_stream(s, b);

	if (b->lane && !b->sent_ms)
		b->lane->unsent--;
	st->apart = apart;
	stream_sent(st, b, s->now_ms);
	s->in_flight++;
}

/* Sends what was gathered for one connection; if it cannot, the batches stay planned. */
static void flush(struct sender *s, struct broker *b, int kind)
{
	uint32_t n = b->gather_count[kind], i = 0;
	struct batch **batches;
	struct request *r = NULL;

	if (n == 0)
		return;
	batches = conn_ready(&b->conn[kind]) ? mem_array(struct batch *, n) : NULL;
	list_each_safe(it, &b->gather[kind]) {
		struct batch *one = list_entry(it, struct batch, node);

		list_remove(it);
		if (!batches)
			continue;
		batch_stamp(one);
		batches[i++] = one;
	}
	b->gather_count[kind] = 0;
	b->gather_bytes[kind] = 0;
	if (batches) {
		qsort(batches, n, sizeof batches[0], by_topic);
		r = build(s, &b->conn[kind], batches, n);
	}
	if (r) {
		for (i = 0; i < n; i++)
			mark_sent(s, batches[i], kind == CONN_APART);
		s->requests_sent++;
		conn_send(&b->conn[kind], r, s->now_ms);
	} else {
		sender_lower_wake(s, s->now_ms + RETRY_MS);
	}
	mem_free(batches);
}

/* The batch goes into the request of this pass, if there is still room for one. */
static void add(struct sender *s, struct broker *br, struct stream *st, struct batch *b, int kind)
{
	size_t bytes = batch_wire_bytes(b) + strlen(b->topic) + PER_PARTITION;
	size_t max = (size_t)s->config->max_request_size > REQUEST_OVERHEAD ?
		     (size_t)s->config->max_request_size - REQUEST_OVERHEAD : 1;

	if (br->gather_count[kind] && (alone(st) || br->gather_bytes[kind] + bytes > max))
		flush(s, br, kind);
	if (!has_room(s, &br->conn[kind]))
		return;
	list_push_back(&br->gather[kind], &b->node);
	br->gather_count[kind]++;
	br->gather_bytes[kind] += bytes;
	if (alone(st))
		flush(s, br, kind);
}

static void load(struct sender *s, struct batch *b)
{
	b->state = BATCH_LOADING;
	s->at_journal++;
	s->journal->load(s->journal->arg, b);
}

/* The next batch of one stream. */
static void send_one(struct sender *s, struct stream *st)
{
	struct batch *b = stream_next(st, s->now_ms, &s->wake_ms);
	struct broker *br;
	int kind;

	if (!b)
		return;
	br = sender_leader(s, st->owner, st->partition);
	if (!br || !sender_want(s, &br->conn[CONN_MAIN]) || !conn_up(&br->conn[CONN_MAIN])) {
		/* Recorded when its broker was gone already: the memory of rows is for partitions that can send. */
		sender_drop_bytes(s, st);
		return;
	}
	kind = choose(s, br, st);
	if (kind < 0 || !has_room(s, &br->conn[kind]))
		return;
	if (batch_absent(b)) {
		load(s, b);
		return;
	}
	add(s, br, st, b, kind);
}

static void flush_all(struct sender *s)
{
	list_each(it, &s->brokers)
		for (int kind = 0; kind < CONN_KINDS; kind++)
			flush(s, list_entry(it, struct broker, node), kind);
}

void sender_send(struct sender *s)
{
	uint64_t before;

	/* Each pass sends at most one batch of a stream; more passes fill the window. */
	do {
		before = s->requests_sent;
		list_each(it, &s->streams)
			send_one(s, list_entry(it, struct stream, node));
		flush_all(s);
	} while (s->requests_sent != before);
	if (!list_empty(&s->streams)) {
		struct list *first = s->streams.next;

		list_remove(first);
		list_push_back(&s->streams, first);
	}
}

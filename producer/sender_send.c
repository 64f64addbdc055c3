/* sender_send.c - Produce requests: who sends what on which connection.
 *
 * Why several connections to a broker: it works on one request of a connection at a time, and a request is answered when its
 * slowest partition is. Partitions that recover or were slow travel alone on further ones, each on an idle one as long as
 * there are enough; if the first is stuck, those with nothing on it move over too.
 * Invariants
 *  (1) at most one batch of a partition in a request, and all unanswered ones of a partition on one connection.
 *  (2) at most max.in.flight requests on a connection; none while it is throttled.
 *  (3) a request is not larger than max.request.size, unless a single batch is.
 *  (4) with max_rate no more than RATE_BURST_MS of it leaves at once, except a single batch: it may run into a debt.
 * Failure no memory for a request: its batches stay planned and go a little later.
 */
#include "producer/sender.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/killpoint.h"
#include "agent/base/mem.h"
#include "producer/core.h"

#define RETRY_MS 100
#define PER_PARTITION 16	/* more than a request needs around a batch */
#define REQUEST_OVERHEAD 1024
#define RATE_BURST_MS 100
#define VERSION_BY_ID 13

/* --- max_rate --- */

/* May another batch go? */
static bool rate_allows(struct sender *s)
{
	int64_t rate = s->config->max_rate, burst = rate * RATE_BURST_MS / 1000, gain;

	if (rate <= 0)
		return true;
	gain = s->now_ms - s->rate_ms < 10000 ? rate * (s->now_ms - s->rate_ms) / 1000 : rate * 10;
	/* What is too little to be counted yet stays in the time. */
	if (gain > 0) {
		s->rate_left = s->rate_left + gain < burst ? s->rate_left + gain : burst;
		s->rate_ms = s->now_ms;
	}
	if (s->rate_left > 0)
		return true;
	sender_lower_wake(s, s->now_ms + 1 - s->rate_left * 1000 / rate);
	return false;
}

/* --- which connection --- */

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

	/* A throttled one is slow because we were too fast: going around it would not help. */
	if (since < 0 || c->throttled_until_ms > s->now_ms)
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

static bool idle(const struct broker *b, int kind)
{
	return conn_up(&b->conn[kind]) && !b->conn[kind].in_flight && !b->gather_count[kind];
}

/* One that is idle; else one more is opened, as long as that is allowed; else the one with the least to do. -1: wait. */
static int choose_apart(struct sender *s, struct broker *b)
{
	bool opening = false;
	int best = -1;

	for (int k = CONN_APART; k < CONN_KINDS; k++) {
		if (idle(b, k))
			return k;
		if (conn_up(&b->conn[k]) && (best < 0 || b->conn[k].in_flight < b->conn[best].in_flight))
			best = k;
	}
	for (int k = CONN_APART; k < CONN_KINDS && !opening; k++)
		opening = !conn_up(&b->conn[k]) && sender_want(s, &b->conn[k]);
	/* What is sent behind a slow one waits for it; a new connection is there at once as a rule, and an idle one is used. */
	if (opening)
		return -1;
	/* Better among the others than not at all, if there is none to be had. */
	return best < 0 ? CONN_MAIN : best;
}

/* Which of them, or -1 when it has to wait. */
static int choose(struct sender *s, struct broker *b, const struct stream *st)
{
	if (st->sent)
		return st->conn;
	return !alone(st) && !stuck(s, &b->conn[CONN_MAIN]) ? CONN_MAIN : choose_apart(s, b);
}

/* --- building a request --- */

static int by_topic(const void *a, const void *b)
{
	const struct batch *const *x = a, *const *y = b;
	int d = strcmp((*x)->topic, (*y)->topic);

	if (d == 0)
		d = memcmp((*x)->topic_id, (*y)->topic_id, sizeof (*x)->topic_id);
	return d ? d : (*x)->partition - (*y)->partition;
}

/* By topic id as soon as the broker takes it: what is meant for a topic that was deleted cannot get into its successor. */
static int16_t pick_version(const struct conn *c, struct batch *const *batches, uint32_t n)
{
	static const uint8_t unknown[16];
	int16_t version = api_pick(&c->versions, API_PRODUCE);

	for (uint32_t i = 0; i < n && version >= VERSION_BY_ID; i++)
		if (memcmp(batches[i]->topic_id, unknown, sizeof unknown) == 0)
			version = VERSION_BY_ID - 1;
	return version;
}

/* What an earlier life sent under an identity is to be proven, whatever is enough now. */
static int16_t acks_of(const struct sender *s, struct batch *const *batches, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (batches[i]->producer_id >= 0)
			return -1;
	return (int16_t)s->config->acks;
}

static struct request *build(struct sender *s, struct conn *c, struct batch *const *batches, uint32_t n)
{
	int16_t acks = acks_of(s, batches, n);
	int16_t version = pick_version(c, batches, n);
	size_t iov = api_produce_iov_bound(batches, n);
	struct request *r = request_new(API_PRODUCE, version, c->next_correlation_id, n, (uint32_t)iov);
	int count;

	if (!r)
		return NULL;
	count = api_produce_request(&r->control, r->iov, iov, version, r->correlation_id, s->config->client_id,
				    acks, (int32_t)s->config->request_timeout_ms, batches, n);
	if (count < 0) {
		request_free(r);
		return NULL;
	}
	c->next_correlation_id++;
	r->iov_count = (uint32_t)count;
	r->silent = acks == 0;
	memcpy(r->batches, batches, n * sizeof *batches);
	return r;
}

static void count_sent(struct sender *s, struct batch *b, struct topic *t)
{
	struct metrics *m = &s->metrics;
	double bytes = (double)batch_wire_bytes(b), rate = b->raw_bytes ? (double)b->bytes / b->raw_bytes : 1;

	sampled_add(&m->batch_size, bytes, s->now_ms);
	sampled_add(&m->compression_rate, rate, s->now_ms);
	sampled_add(&m->record_size, b->record_max, s->now_ms);
	sampled_add(&t->metrics.records, b->count, s->now_ms);
	sampled_add(&t->metrics.bytes, bytes, s->now_ms);
	sampled_add(&t->metrics.compression_rate, rate, s->now_ms);
	if (b->attempts > 1) {
		sampled_add(&m->record_retries, b->count, s->now_ms);
		sampled_add(&t->metrics.retries, b->count, s->now_ms);
		return;
	}
	sampled_add(&m->queue_time_ms, (double)(s->now_ms - b->created_ms), s->now_ms);
	histogram_add(&m->queue_time, (double)(s->now_ms - b->created_ms) / 1000, (uint64_t)b->count);
}

static void mark_sent(struct sender *s, struct batch *b, int kind)
{
	struct stream *st = sender_stream(s, b);

	if (b->lane && !b->sent_ms)
		b->lane->unsent--;
	st->conn = (uint8_t)kind;
	stream_sent(st, b, s->now_ms);
	count_sent(s, b, st->owner);
	s->in_flight++;
}

/* Sends what was gathered for one connection; if it cannot, the batches stay planned. */
static void flush(struct sender *s, struct broker *b, int kind)
{
	uint32_t n = b->gather_count[kind], i = 0;
	size_t bytes = b->gather_bytes[kind];
	struct batch **batches;
	struct request *r = NULL;
	int64_t records = 0;

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
		for (i = 0; i < n; i++) {
			mark_sent(s, batches[i], kind);
			records += batches[i]->count;
		}
		sampled_add(&s->metrics.records_per_request, (double)records, s->now_ms);
		s->requests_sent++;
		killpoint(KILL_SEND_BEFORE);
		conn_send(&b->conn[kind], r, s->now_ms);
	} else {
		s->rate_left += (int64_t)bytes;
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
	if (!has_room(s, &br->conn[kind]) || !rate_allows(s))
		return;
	s->rate_left -= (int64_t)bytes;
	list_push_back(&br->gather[kind], &b->node);
	br->gather_count[kind]++;
	br->gather_bytes[kind] += bytes;
	if (alone(st))
		flush(s, br, kind);
}

void sender_load(struct sender *s, struct batch *b)
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
	/* It may have lost its memory with its connections, as when an identity is new to it: one batch alone first. */
	if (!st->sent && st->answered_by != br->life)
		st->warm = false;
	if (sender_must_ask(s, st, br)) {
		sender_lower_wake(s, s->now_ms);	/* its connection failed in this very round */
		return;
	}
	kind = choose(s, br, st);
	if (kind < 0 || !has_room(s, &br->conn[kind]))
		return;
	if (batch_absent(b)) {
		sender_load(s, b);
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

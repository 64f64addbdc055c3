/* sender_answer.c - what brokers answer, what lost connections mean, and how batches end.
 *
 * Invariants
 *  (1) a batch that was sent is answered or lost exactly once for each time it was sent.
 *  (2) batches end in the order of their stream, in sender_finish, outside all walks over streams and connections.
 *  (3) callbacks run here only, one for each record.
 * Failure an answer that is cut, or that does not speak of all that was sent, closes the connection: what it leaves open
 *	is uncertain and is sent again under its identity.
 */
#include "producer/sender.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/crc32c.h"
#include "agent/base/killpoint.h"
#include "agent/base/mem.h"
#include "producer/code.h"
#include "producer/core.h"

#define CODE_TIMED_OUT 7

/* --- Produce --- */

struct produce_answer { struct sender *s; struct conn *c; struct request *r; uint32_t next; bool refresh; };

/* Answers come in the order of the request as a rule. */
static struct batch *take_sent(struct produce_answer *pa, const struct api_produce_answer *a)
{
	struct request *r = pa->r;

	for (uint32_t n = 0; n < r->batch_count; n++) {
		uint32_t i = (pa->next + n) % r->batch_count;
		struct batch *b = r->batches[i];

		if (!b || !api_produce_answers(a, b))
			continue;
		r->batches[i] = NULL;
		pa->next = i + 1;
		return b;
	}
	return NULL;
}

/* What the broker says besides its code; for people. A batch may end with this answer, so it comes first. */
static void note_words(struct stream *st, struct batch *b, const struct api_produce_answer *a, const struct api_error *e)
{
	bool good = e->class == API_ERR_NONE || e->class == API_ERR_DUPLICATE;
	int n = a->message && !good ? (int)(a->message_len < sizeof st->said ? a->message_len : sizeof st->said - 1) : 0;

	snprintf(st->said, sizeof st->said, "%.*s", n, n ? a->message : "");
	mem_free(b->error_words);
	b->error_words = n ? mem_strndup(a->message, a->message_len) : NULL;
}

/* The broker found a batch damaged. If it is damaged here already, its bytes are fetched again from where they are kept. */
static void check_bytes(struct sender *s, struct stream *st, struct batch *b)
{
	uint32_t crc = 0;

	if (b->state != BATCH_PLANNED || batch_absent(b))
		return;
	for (const struct chunk *c = b->chunks; c; c = c->next)
		crc = crc32c(crc, c->data, c->used);
	if (crc == b->payload_crc)
		return;
	if (s->journal && (b->row_id || !b->lane)) {
		batch_drop_bytes(b, s->budget);
		accum_settled(s->accum, b);
	} else {
		st->hold_why = "a batch was damaged in our memory; look at the machine's memory, and start again to read it anew";
	}
}

/* As stream_answer, with what is known of the topic. */
static void answer(struct sender *s, struct stream *st, struct batch *b, const struct api_produce_answer *a)
{
	bool first = b->attempts == 1 && !b->maybe_written, alarm = st->doubt == DOUBT_ALARM;

	st->create_time = st->owner->create_time;
	stream_answer(st, b, a->error, a->base_offset, a->append_time, s->now_ms, &s->done);
	if (first && a->error == 0 && a->base_offset >= 0 && a->append_time < 0)
		st->owner->create_time = true;
	/* Nothing new under an identity that somebody else has too. */
	s->id_stale |= !alarm && st->doubt == DOUBT_ALARM;
}

static void on_partition(void *arg, const struct api_produce_answer *a)
{
	struct produce_answer *pa = arg;
	struct sender *s = pa->s;
	struct batch *b = take_sent(pa, a);
	const struct api_error *e = api_error(a->error);
	const struct broker *br = pa->c->owner;
	struct stream *st;

	if (!b)
		return;
	st = sender_stream(s, b);
	s->in_flight--;
	note_words(st, b, a, e);
	answer(s, st, b, a);
	if (e->class == API_ERR_NONE || e->class == API_ERR_DUPLICATE) {
		st->answered_by = br->life;
		return;
	}
	if (st->cutting == b)
		sender_cut_name(b, a);
	if (e->class == API_ERR_REBUILD)
		check_bytes(s, st, b);
	if (e->class == API_ERR_REFRESH) {
		pa->refresh = true;
		metadata_want_refresh(&s->metadata);
		metadata_hint(st->owner, st->partition, a->leader, a->leader_epoch);
	}
	if (!st->cutting && (stream_held(st) || st->failures >= 3))
		sender_drop_bytes(s, st);
}

/* What the answer did not speak of, or what has no answer: uncertain. */
static void lose(struct sender *s, struct request *r, bool on_wire)
{
	for (uint32_t i = 0; i < r->batch_count; i++) {
		struct batch *b = r->batches[i];
		struct stream *st;

		if (!b)
			continue;
		r->batches[i] = NULL;
		st = sender_stream(s, b);
		s->in_flight--;
		stream_lost(st, b, on_wire, s->now_ms, &s->done);
		sender_drop_bytes(s, st);
	}
}

static bool all_answered(const struct request *r)
{
	for (uint32_t i = 0; i < r->batch_count; i++)
		if (r->batches[i])
			return false;
	return true;
}

static int take_produce(struct sender *s, struct conn *c, struct request *r, const void *data, size_t n)
{
	struct produce_answer pa = { .s = s, .c = c, .r = r };
	int32_t throttle_ms = 0;
	int rc;

	killpoint(KILL_ANSWER_BEFORE);
	rc = api_produce_response(data, n, r->version, r->correlation_id, &throttle_ms, on_partition, &pa);
	if (rc == 0 && !all_answered(r))
		rc = ERR_BAD_DATA;
	if (rc < 0)
		lose(s, r, true);
	sampled_add(&s->metrics.throttle_ms, throttle_ms, s->now_ms);
	sender_throttled(s, c, throttle_ms);
	if (rc == 0 && pa.refresh)
		sender_take_endpoints(s, r, data, n);
	killpoint(KILL_ANSWER_AFTER);
	return rc;
}

/* --- what connections tell --- */

static struct sender *sender_of(const struct conn *c)
{
	return container_of(c->conf, struct sender, conn_conf);
}

static int on_answered(struct conn *c, struct request *r, const void *data, size_t n, int64_t now_ms)
{
	struct sender *s = sender_of(c);

	s->now_ms = now_ms;
	if (r->api == API_PRODUCE)
		return take_produce(s, c, r, data, n);
	if (r->api == API_METADATA)
		return sender_take_metadata(s, c, r, data, n);
	if (r->stream)
		return sender_take_evidence(s, c, r, data, n);
	return sender_take_id(s, c, r, data, n);
}

static void on_written(struct conn *c, struct request *r, int64_t now_ms)
{
	struct sender *s = sender_of(c);

	s->now_ms = now_ms;
	sender_lower_wake(s, now_ms);
	for (uint32_t i = 0; i < r->batch_count; i++) {
		s->in_flight--;
		stream_answer(sender_stream(s, r->batches[i]), r->batches[i], 0, -1, -1, now_ms, &s->done);
	}
}

static void on_lost(struct conn *c, struct request *r, int64_t now_ms)
{
	struct sender *s = sender_of(c);

	s->now_ms = now_ms;
	if (r->api == API_PRODUCE)
		lose(s, r, r->begun);
	else if (r->api == API_METADATA)
		sender_metadata_lost(s, c, r);
	else if (r->stream)
		sender_evidence_lost(s, r);
	else if (r->api == API_INIT_PRODUCER_ID)
		sender_id_failed(s);
}

static void on_up(struct conn *c)
{
	sender_note_trouble(sender_of(c), c, NULL);
	sender_broker_up(sender_of(c), c->owner);
}

static void on_down(struct conn *c, const char *why)
{
	if (why)
		sender_note_trouble(sender_of(c), c, why);
	sender_broker_down(sender_of(c), c->owner, why);
}

const struct conn_ops sender_conn_ops = {
	.up = on_up, .down = on_down, .answered = on_answered, .written = on_written, .lost = on_lost,
};

/* --- the end of a batch --- */

void core_acknowledge(const struct producer_config *c, const struct producer_metadata *md, const struct producer_error *err)
{
	for (size_t i = 0; i < c->interceptor_count; i++) {
		const struct producer_interceptor *in = &c->interceptor_fns[i];
		int rc = in->on_acknowledgement ? in->on_acknowledgement(in->arg, md, err) : 0;
		char text[160];

		if (rc >= 0 || !c->log)
			continue;
		snprintf(text, sizeof text, "interceptor %zu: on_acknowledgement failed with %d; topic \"%.60s\"", i, rc,
			 md->topic);
		c->log(c->log_arg, text);
	}
}

static void count_end(struct sender *s, const struct batch *b)
{
	struct topic *t = b->lane ? b->lane->topic : accum_topic(s->accum, b->topic);

	if (!b->error) {
		histogram_add(&s->metrics.record_latency, (double)(s->now_ms - b->created_ms) / 1000, (uint64_t)b->count);
		return;
	}
	sampled_add(&s->metrics.record_errors, b->count, s->now_ms);
	if (t)
		sampled_add(&t->metrics.errors, b->count, s->now_ms);
}

/* Nobody answered in time; what stood in the way last. */
static void say_expired(struct sender *s, const struct batch *b, struct producer_error *err)
{
	int16_t last = b->state == BATCH_ACKED ? sender_stream(s, b)->last_code : 0;
	char why[sizeof s->trouble];
	bool auth;

	sender_trouble(s, why, sizeof why, &auth);
	if (!why[0] && last)
		snprintf(why, sizeof why, "the last answer was %s", api_error(last)->name);
	code_fail(err, b->error, "REQUEST_TIMED_OUT: not acknowledged within delivery.timeout.ms (%" PRId64 " ms)%s%s",
		  s->config->delivery_timeout_ms, why[0] ? ": " : "", why);
}

/* The broker's words, if it had any. */
static void describe(struct sender *s, const struct batch *b, struct producer_error *err)
{
	if (b->error == CODE_TIMED_OUT && s->now_ms - b->created_ms >= s->config->delivery_timeout_ms)
		say_expired(s, b, err);
	else if (b->error > 0 && b->error_words)
		code_fail(err, b->error, "%s: %s", api_error((int16_t)b->error)->name, b->error_words);
	else
		code_fail(err, b->error, NULL);
}

static void call_back(struct sender *s, const struct batch *b)
{
	struct producer_error err;

	if (!b->callbacks)
		return;
	describe(s, b, &err);
	for (int32_t i = 0; i < b->count; i++) {
		const struct batch_callback *cb = &b->callbacks[i];
		struct producer_metadata md = {
			.topic = b->topic, .partition = b->partition,
			.offset = b->error || b->offset < 0 ? -1 : b->offset + i,
			.timestamp = !b->error && b->append_time >= 0 ? b->append_time : cb->timestamp,
			.key_size = cb->key_size, .value_size = cb->value_size,
		};

		core_acknowledge(s->config, &md, b->error ? &err : NULL);
		if (cb->fn)
			cb->fn(cb->arg, &md, b->error ? &err : NULL);
	}
}

static void leave_lane(struct sender *s, struct batch *b)
{
	struct lane *l = b->lane;

	/* READY ones expired before they were ever planned. */
	if (!l || b->state != BATCH_ACKED)
		return;
	l->in_streams--;
	if (!b->sent_ms)
		l->unsent--;
	if (b->error)
		return;
	l->last_good_ms = s->now_ms;
	l->spill_mode = false;
	s->outage = false;
	s->last_ack_ms = s->now_ms;
}

void sender_finish(struct sender *s)
{
	struct batch *b;

	while ((b = list_first(&s->done, struct batch, node))) {
		list_remove(&b->node);
		leave_lane(s, b);
		count_end(s, b);
		if (s->journal) {
			batch_drop_bytes(b, s->budget);
			accum_settled(s->accum, b);
			atomic_fetch_add(&s->accum->recording, 1);
			list_push_back(b->error ? &s->to_lose : &s->to_ack, &b->node);
			continue;
		}
		call_back(s, b);
		accum_uncount(s->accum, b);
		accum_settled(s->accum, b);
		batch_free(b, s->budget);
	}
	if (!list_empty(&s->to_ack))
		s->journal->acked(s->journal->arg, &s->to_ack);
	if (!list_empty(&s->to_lose))
		s->journal->lost(s->journal->arg, &s->to_lose);
}

static void fail_lane(struct sender *s, struct lane *l)
{
	struct batch *b;

	while ((b = list_first(&l->ready, struct batch, node))) {
		list_remove(&b->node);
		b->topic = l->topic->name;
		b->error = ERR_CLOSED;
		list_push_back(&s->done, &b->node);
	}
}

/* Every connection is closed first, so no socket reads the batches any more. */
void sender_fail_rest(struct sender *s)
{
	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS; i++)
			conn_close(&list_entry(it, struct broker, node)->conn[i], NULL, s->loop.now_ms);
	cutter_close(&s->cutter);
	sender_take_answers(s);
	sender_news(s);
	list_each(it, &s->streams)
		stream_fail_all(list_entry(it, struct stream, node), ERR_CLOSED, &s->done);
	list_each(it, &s->lanes)
		fail_lane(s, list_entry(it, struct lane, node));
	sender_finish(s);
}

/* fake_produce.c - Produce as the fake broker answers it, and what faults make of it.
 *
 * What can be said before the log is asked (acks, topic, leader) is said here, in a broker's order; the rest is fake_log.c's.
 * One slow partition delays the answer of all of its request, as in a broker.
 */
#define _GNU_SOURCE
#include "tests/lib/fake_parts.h"

enum { UNKNOWN_TOPIC = 3, NOT_LEADER = 6, REQUEST_TIMED_OUT = 7, INVALID_REQUIRED_ACKS = 21, UNKNOWN_TOPIC_ID = 100 };

struct partition { struct fake_topic *topic; int32_t index, timeout_ms; int16_t acks; const uint8_t *p; size_t n; };

static void read_batch(struct fake_request *q, struct partition *p)
{
	p->index = wire_i32(&q->r);
	p->n = wire_count(&q->r, 1);
	p->p = wire_bytes(&q->r, p->n);
	wire_no_tags(&q->r);
}

static struct fake_answer regular(struct fake_request *q, const struct partition *p)
{
	struct fake_append a = { p->topic, p->index, q->version, p->acks, p->p, p->n };
	struct fake_answer r = { .offset = -1, .append_time = -1, .log_start = -1 };

	if (p->acks < -1 || p->acks > 1)
		r.code = INVALID_REQUIRED_ACKS;
	else if (!p->topic)
		r.code = q->version >= 13 ? UNKNOWN_TOPIC_ID : UNKNOWN_TOPIC;
	else if (p->index < 0 || p->index >= q->f->partitions)
		r.code = UNKNOWN_TOPIC;
	else if (q->f->leader[p->index] != q->c->node)
		r.code = NOT_LEADER;
	else
		return fake_log_append(q->f, &a);
	return r;
}

static struct fake_answer only(int code)
{
	return (struct fake_answer){ .code = (int16_t)code, .offset = -1, .append_time = -1, .log_start = -1 };
}

static struct fake_answer met(struct fake_request *q, const struct partition *p, const struct fake_fault *fault)
{
	struct fake_answer r;

	if (fault->kind == FAULT_ERROR)
		return only(fault->value);
	if (fault->kind == FAULT_CLOSE_BEFORE) {
		q->close = true;
		return only(NOT_LEADER);
	}
	r = regular(q, p);
	switch (fault->kind) {
	case FAULT_CLOSE_AFTER: q->close = true; break;
	case FAULT_SWALLOW: q->swallow = true; break;
	case FAULT_THROTTLE: q->throttle_ms = fault->value; break;
	case FAULT_ERROR_AFTER: return only(fault->value);
	case FAULT_DELAY: q->delay_ms = fault->value > q->delay_ms ? fault->value : q->delay_ms; break;
	case FAULT_TIMEOUT:
		q->delay_ms = p->timeout_ms > q->delay_ms ? p->timeout_ms : q->delay_ms;
		return r.code ? r : only(REQUEST_TIMED_OUT);
	default: break;
	}
	return r;
}

static void put_culprits(struct wire_out *w, const struct fake_answer *r)
{
	wire_put_count(w, (size_t)r->culprit_count);
	for (int i = 0; i < r->culprit_count; i++) {
		wire_put_i32(w, r->culprits[i]);
		wire_put_string(w, "the fake broker does not like this record");
		wire_put_no_tags(w);
	}
	wire_put_string(w, r->culprit_count ? "one or more records have been rejected" : NULL);
}

/* Tag 0, CurrentLeader: who leads, for those who asked somebody else. */
static void put_leader(struct fake_request *q, int32_t partition, int16_t code)
{
	struct wire_out *w = &q->w;

	if (code != NOT_LEADER || q->version < 10 || partition < 0 || partition >= q->f->partitions) {
		wire_put_no_tags(w);
		return;
	}
	wire_put_uvarint(w, 1);
	wire_put_uvarint(w, 0);
	wire_put_uvarint(w, 9);
	wire_put_i32(w, q->f->leader[partition]);
	wire_put_i32(w, q->f->leader_epoch[partition]);
	wire_put_no_tags(w);
	q->moved = true;
}

static void put_answer(struct fake_request *q, int32_t partition, const struct fake_answer *r)
{
	struct wire_out *w = &q->w;

	wire_put_i32(w, partition);
	wire_put_i16(w, r->code);
	wire_put_i64(w, r->offset);
	wire_put_i64(w, r->append_time);
	if (q->version >= 5)
		wire_put_i64(w, r->log_start);
	if (q->version >= 8)
		put_culprits(w, r);
	put_leader(q, partition, r->code);
}

static void produce_partition(struct fake_request *q, struct partition *p)
{
	const struct fake_fault *fault, *answer_fault;
	struct fake_answer r;

	read_batch(q, p);
	if (q->r.failed || !p->p)
		return;
	fault = fake_fault_met(q->f, q->api, p->index, FAULT_OF_BATCH);
	r = fault ? met(q, p, fault) : regular(q, p);
	answer_fault = q->answer_fault ? NULL : fake_fault_met(q->f, q->api, p->index, FAULT_OF_ANSWER);
	if (answer_fault)
		q->answer_fault = answer_fault;
	if (r.code >= 0 && r.code < (int)(sizeof q->f->codes / sizeof q->f->codes[0]))
		q->f->codes[r.code]++;
	q->failed |= r.code != 0;
	put_answer(q, p->index, &r);
}

static void produce_topic(struct fake_request *q, struct partition *p)
{
	if (q->version >= 13) {
		const uint8_t *id = wire_bytes(&q->r, 16);

		p->topic = fake_topic_with_id(q->f, id);
		buf_put(q->w.buf, id ? id : fake_no_id, 16);
	} else {
		size_t n;
		const char *name = wire_string(&q->r, &n);

		if (!name)
			return;
		p->topic = fake_topic_named(q->f, name, n, false);
		fake_put_name(&q->w, name, n);
	}
	size_t count = wire_count(&q->r, 8);

	wire_put_count(&q->w, count);
	while (count-- > 0 && !q->r.failed)
		produce_partition(q, p);
	wire_no_tags(&q->r);
	wire_put_no_tags(&q->w);
}

/* Tag 0, NodeEndpoints: where the leaders are that CurrentLeader named. */
static void put_endpoints(struct fake_request *q)
{
	struct buf tag;
	struct wire_out w = { .buf = &tag, .flexible = true };

	if (!q->moved) {
		wire_put_no_tags(&q->w);
		return;
	}
	buf_init(&tag, FRAME_MAX);
	fake_put_nodes(&w, q->f);
	wire_put_uvarint(&q->w, 1);
	wire_put_uvarint(&q->w, 0);
	wire_put_uvarint(&q->w, tag.len);
	buf_put(q->w.buf, tag.data, tag.len);
	buf_release(&tag);
}

void fake_produce(struct fake_request *q)
{
	struct partition p = { 0 };
	size_t n;

	q->f->requests++;
	wire_nullable(&q->r, &n);
	p.acks = wire_i16(&q->r);
	p.timeout_ms = wire_i32(&q->r);
	n = wire_count(&q->r, 1);
	wire_put_count(&q->w, n);
	while (n-- > 0 && !q->r.failed)
		produce_topic(q, &p);
	wire_no_tags(&q->r);
	wire_put_i32(&q->w, q->throttle_ms);
	put_endpoints(q);
	/* Nobody waits for an answer: what is wrong can only be told by hanging up. */
	q->acks_none = p.acks == 0;
}

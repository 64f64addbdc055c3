/* fake_api.c - what the fake broker answers: releases, requests in, responses out; Produce is in fake_produce.c, what is in
 * logs and remembered of producers in fake_evidence.c.
 *
 * Layouts are those of Kafka's message definitions; tests/unit/test_fake.c and tests/scenario/idempotence.py read them with
 * readers of their own. A request that the profile does not offer closes the connection, as a broker does; only ApiVersions
 * is refused in words.
 */
#define _GNU_SOURCE
#include "tests/lib/fake_parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"

enum {
	LEADER_NOT_AVAILABLE = 5, ILLEGAL_SASL_STATE = 34, UNSUPPORTED_VERSION = 35, INVALID_REQUEST = 42, UNKNOWN_TOPIC_ID = 100
};

#define DAY_MS (24LL * 60 * 60 * 1000)
#define HOUR_MS (60LL * 60 * 1000)
#define NO_OPERATIONS INT32_MIN		/* authorized operations that nobody asked for */

/* Metadata below 7 is advertised, as a release does, but nobody here asks for it: refused. */
#define METADATA_MIN 7
#define LIST_OFFSETS_MIN 1		/* below these, and above what fake_evidence.c speaks, likewise */
#define FETCH_MIN 4

static const struct fake_profile profiles[] = {
	{ "2.1", { 0, 7 },  { 0, 7 },  { 0, 2 }, { 0, 1 }, { 0, -1 }, { 0, 10 }, { 0, 4 },  3, false, true,  7 * DAY_MS, -1 },
	{ "2.4", { 0, 8 },  { 0, 9 },  { 0, 3 }, { 0, 2 }, { 0, -1 }, { 0, 11 }, { 0, 5 },  3, true,  true,  7 * DAY_MS, -1 },
	{ "2.8", { 0, 9 },  { 0, 11 }, { 0, 3 }, { 0, 4 }, { 0, 0 },  { 0, 12 }, { 0, 6 },  3, true,  false, 7 * DAY_MS, -1 },
	{ "3.9", { 0, 11 }, { 0, 12 }, { 0, 4 }, { 0, 5 }, { 0, 0 },  { 0, 17 }, { 0, 9 },  3, true,  false, DAY_MS,     -1 },
	{ "4.1", { 0, 13 }, { 0, 13 }, { 0, 4 }, { 0, 5 }, { 0, 0 },  { 4, 18 }, { 1, 10 }, 3, true,  false, DAY_MS,     HOUR_MS },
};

const struct fake_profile *fake_profile(const char *name)
{
	const size_t n = sizeof profiles / sizeof profiles[0];

	if (!name)
		return &profiles[n - 1];
	for (size_t i = 0; i < n; i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return NULL;
}

/* --- topics --- */

const uint8_t fake_no_id[16];

struct fake_topic *fake_topic_named(struct fake *f, const char *name, size_t n, bool make)
{
	struct fake_topic *t;

	for (int i = 0; i < f->topic_count; i++)
		if (strlen(f->topics[i]->name) == n && !memcmp(f->topics[i]->name, name, n))
			return f->topics[i];
	if (!make)
		return NULL;
	if (f->topic_count == TOPICS_MAX || n >= sizeof t->name)
		fake_die("too many topics");
	t = f->topics[f->topic_count++] = calloc(1, sizeof *t);
	if (!t)
		fake_die("no memory");
	memcpy(t->name, name, n);
	memcpy(t->id, "topic-id", 8);
	be32_put(t->id + 12, ++f->ids_made);
	t->conf = (struct fake_topic_conf){ .max_message_bytes = 1048588, .min_isr = 1, .before_max_ms = -1,
					    .after_max_ms = f->profile->timestamp_after_max_ms };
	return t;
}

struct fake_topic *fake_topic_with_id(struct fake *f, const uint8_t *id)
{
	for (int i = 0; i < f->topic_count && id; i++)
		if (!memcmp(f->topics[i]->id, id, 16))
			return f->topics[i];
	return NULL;
}

typedef void serve_fn(struct fake_request *q);

void fake_put_name(struct wire_out *w, const char *p, size_t n)
{
	char name[256] = "";

	if (n >= sizeof name)
		fake_die("topic name is too long");
	memcpy(name, p, n);
	wire_put_string(w, name);
}

void fake_put_nodes(struct wire_out *w, const struct fake *f)
{
	wire_put_count(w, (size_t)f->nodes);
	for (int i = 0; i < f->nodes; i++) {
		wire_put_i32(w, i);
		wire_put_string(w, "127.0.0.1");
		wire_put_i32(w, f->advertised[i] ? f->advertised[i] : f->port[i]);
		wire_put_string(w, NULL);
		wire_put_no_tags(w);
	}
}

int16_t fake_wanted_error(struct fake_request *q)
{
	const struct fake_fault *fault = fake_fault_met(q->f, q->api, -1, FAULT_OF_BATCH);

	if (!fault)
		return 0;
	if (fault->kind == FAULT_ERROR || fault->kind == FAULT_ERROR_AFTER)
		return (int16_t)fault->value;
	q->close = fault->kind == FAULT_CLOSE_BEFORE || fault->kind == FAULT_CLOSE_AFTER;
	q->swallow = fault->kind == FAULT_SWALLOW;
	q->delay_ms = fault->kind == FAULT_DELAY ? fault->value : 0;
	q->throttle_ms = fault->kind == FAULT_THROTTLE ? fault->value : 0;
	return 0;
}

/* --- Metadata --- */

static void put_partition(struct fake_request *q, int i)
{
	struct fake *f = q->f;
	struct wire_out *w = &q->w;

	wire_put_i16(w, f->leader[i] < 0 ? LEADER_NOT_AVAILABLE : 0);
	wire_put_i32(w, i);
	wire_put_i32(w, f->leader[i]);
	wire_put_i32(w, f->leader_epoch[i]);
	for (int k = 0; k < 2; k++) {		/* replicas, in sync */
		wire_put_count(w, (size_t)f->nodes);
		for (int node = 0; node < f->nodes; node++)
			wire_put_i32(w, node);
	}
	wire_put_count(w, 0);			/* offline */
	wire_put_no_tags(w);
}

static void put_topic(struct fake_request *q, const char *name, const uint8_t *id, int16_t error)
{
	struct wire_out *w = &q->w;
	int partitions = error ? 0 : q->f->partitions;

	wire_put_i16(w, error);
	wire_put_string(w, name);
	if (q->version >= 10)
		buf_put(w->buf, id, 16);
	wire_put_i8(w, 0);
	wire_put_count(w, (size_t)partitions);
	for (int i = 0; i < partitions; i++)
		put_partition(q, i);
	if (q->version >= 8)
		wire_put_i32(w, NO_OPERATIONS);
	wire_put_no_tags(w);
}

static void answer_topic(struct fake_request *q)
{
	const uint8_t *id = q->version >= 10 ? wire_bytes(&q->r, 16) : fake_no_id;
	size_t n;
	const char *name = q->version >= 10 ? wire_nullable(&q->r, &n) : wire_string(&q->r, &n);
	struct fake_topic *t;

	wire_no_tags(&q->r);
	if (q->r.failed || (!name && q->version < 12)) {
		q->r.failed = true;
		return;
	}
	t = name ? fake_topic_named(q->f, name, n, true) : fake_topic_with_id(q->f, id);
	if (t)
		put_topic(q, t->name, t->error ? fake_no_id : t->id, t->error);
	else
		put_topic(q, NULL, id, UNKNOWN_TOPIC_ID);
}

static bool all_topics(struct fake_request *q)
{
	const uint8_t *p = q->r.p;

	/* The null array asks for all; its count reads as 0 like that of the empty one. */
	return q->r.flexible ? p < q->r.end && *p == 0 : q->r.end - p >= 4 && be32_get(p) == UINT32_MAX;
}

static void metadata(struct fake_request *q)
{
	int16_t error = fake_wanted_error(q);
	bool all = all_topics(q);
	size_t n = wire_count(&q->r, 1);

	wire_put_i32(&q->w, q->throttle_ms);
	fake_put_nodes(&q->w, q->f);
	wire_put_string(&q->w, "fake-cluster");
	wire_put_i32(&q->w, 0);			/* controller */
	wire_put_count(&q->w, all ? (size_t)q->f->topic_count : n);
	for (int i = 0; all && i < q->f->topic_count; i++)
		put_topic(q, q->f->topics[i]->name, q->f->topics[i]->id, q->f->topics[i]->error);
	while (n-- > 0 && !q->r.failed)
		answer_topic(q);
	wire_i8(&q->r);
	if (q->version >= 8 && q->version <= 10) {
		wire_i8(&q->r);
		wire_put_i32(&q->w, NO_OPERATIONS);
	}
	if (q->version >= 8)
		wire_i8(&q->r);
	wire_no_tags(&q->r);
	if (q->version >= 13)
		wire_put_i16(&q->w, error);
	wire_put_no_tags(&q->w);
}

/* --- ApiVersions --- */

static void put_range(struct wire_out *w, int api, const struct fake_range *range)
{
	wire_put_i16(w, (int16_t)api);
	wire_put_i16(w, range->min);
	wire_put_i16(w, range->max);
	wire_put_no_tags(w);
}

/* Letters and digits, with - and . inside. */
static bool software_word(struct wire *r)
{
	size_t n;
	const char *p = wire_string(r, &n);

	for (size_t i = 0; p && i < n; i++)
		if (!isalnum((unsigned char)p[i]) && (i == 0 || i == n - 1 || (p[i] != '-' && p[i] != '.')))
			return false;
	return p && n;
}

static void refuse_versions(struct fake_request *q)
{
	const struct fake_profile *p = q->f->profile;

	q->w.flexible = false;
	wire_put_i16(&q->w, UNSUPPORTED_VERSION);
	wire_put_count(&q->w, p->versions_in_refusal ? 1 : 0);
	if (p->versions_in_refusal)
		put_range(&q->w, FAKE_VERSIONS, &p->versions);
	q->r.p = q->r.end;
}

/* A feature that no client knows: tagged fields must be skipped by their size. */
static void put_feature(struct wire_out *w)
{
	static const uint8_t feature[] = { 2, 5, 'f', 'a', 'k', 'e', 0, 1, 0, 2, 0 };

	wire_put_uvarint(w, 1);
	wire_put_uvarint(w, 0);
	wire_put_uvarint(w, sizeof feature);
	buf_put(w->buf, feature, sizeof feature);
}

static const struct fake_range sasl_range[2] = { { 0, 1 }, { 0, 2 } };	/* handshake, authenticate */

static bool offered(const struct fake_conn *c, int api, const struct fake_range *range)
{
	if ((api == FAKE_SASL_HANDSHAKE || api == FAKE_SASL_AUTHENTICATE) && !c->session_ms)
		return false;
	return range->max >= 0 && !(c->hidden >> api & 1);
}

static void versions(struct fake_request *q)
{
	const struct fake_profile *p = q->f->profile;
	const struct { int api; const struct fake_range *range; } rows[] = {
		{ FAKE_PRODUCE, &p->produce }, { FAKE_METADATA, &p->metadata }, { FAKE_VERSIONS, &p->versions },
		{ FAKE_INIT_PRODUCER_ID, &p->init_producer_id }, { FAKE_DESCRIBE_PRODUCERS, &p->describe_producers },
		{ FAKE_FETCH, &p->fetch }, { FAKE_LIST_OFFSETS, &p->list_offsets },
		{ FAKE_SASL_HANDSHAKE, &sasl_range[0] }, { FAKE_SASL_AUTHENTICATE, &sasl_range[1] },
	};
	const size_t count = sizeof rows / sizeof rows[0];
	size_t n = 0;
	int16_t error;

	if (q->version > p->versions.max) {
		refuse_versions(q);
		return;
	}
	error = fake_wanted_error(q);
	if (q->version >= 3) {
		if (!software_word(&q->r) || !software_word(&q->r))
			error = INVALID_REQUEST;
		wire_no_tags(&q->r);
	}
	wire_put_i16(&q->w, error);
	for (size_t i = 0; i < count; i++)
		n += offered(q->c, rows[i].api, rows[i].range);
	wire_put_count(&q->w, n);
	for (size_t i = 0; i < count; i++)
		if (offered(q->c, rows[i].api, rows[i].range))
			put_range(&q->w, rows[i].api, rows[i].range);
	if (q->version >= 1)
		wire_put_i32(&q->w, q->throttle_ms);
	if (q->version >= 3)
		put_feature(&q->w);
}

/* --- SASL --- */

static void sasl_handshake(struct fake_request *q)
{
	size_t n;

	wire_string(&q->r, &n);
	wire_put_i16(&q->w, q->c->session_ms ? 0 : ILLEGAL_SASL_STATE);
	wire_put_count(&q->w, 1);
	wire_put_string(&q->w, "PLAIN");
}

static void sasl_authenticate(struct fake_request *q)
{
	wire_bytes(&q->r, wire_count(&q->r, 1));
	wire_no_tags(&q->r);
	q->f->renewals += q->c->authenticated;
	q->c->authenticated = true;
	q->c->session_ends_ms = clock_mono_ms() + q->c->session_ms;
	wire_put_i16(&q->w, 0);
	wire_put_string(&q->w, NULL);
	wire_put_count(&q->w, 0);
	if (q->version >= 1)
		wire_put_i64(&q->w, q->c->session_ms);
	wire_put_no_tags(&q->w);
}

static bool may_ask(const struct fake_conn *c, int api)
{
	if (!c->session_ms || api == FAKE_VERSIONS || api == FAKE_SASL_HANDSHAKE || api == FAKE_SASL_AUTHENTICATE)
		return true;
	return c->authenticated && clock_mono_ms() < c->session_ends_ms;
}

/* --- InitProducerId --- */

static void init_producer_id(struct fake_request *q)
{
	int16_t error = fake_wanted_error(q);
	size_t n;

	wire_nullable(&q->r, &n);
	wire_i32(&q->r);
	if (q->version >= 3 && (wire_i64(&q->r) < 0) != (wire_i16(&q->r) < 0))
		error = INVALID_REQUEST;
	wire_no_tags(&q->r);
	wire_put_i32(&q->w, q->throttle_ms);
	wire_put_i16(&q->w, error);
	wire_put_i64(&q->w, error ? -1 : q->f->next_producer_id++);
	wire_put_i16(&q->w, error ? -1 : 0);
	wire_put_no_tags(&q->w);
}

/* --- the way in and out --- */

struct api { int key, flexible_from, min; const struct fake_range *range; serve_fn *serve; };

static struct api api_of(const struct fake_profile *p, int key)
{
	const struct api rows[] = {
		{ FAKE_PRODUCE, 9, p->produce_min, &p->produce, fake_produce },
		{ FAKE_METADATA, 9, METADATA_MIN, &p->metadata, metadata },
		{ FAKE_VERSIONS, 3, 0, &p->versions, versions },
		{ FAKE_INIT_PRODUCER_ID, 2, 0, &p->init_producer_id, init_producer_id },
		{ FAKE_SASL_HANDSHAKE, 2, 1, &sasl_range[0], sasl_handshake },
		{ FAKE_SASL_AUTHENTICATE, 2, 0, &sasl_range[1], sasl_authenticate },
		{ FAKE_DESCRIBE_PRODUCERS, 0, 0, &p->describe_producers, fake_describe_producers },
		{ FAKE_LIST_OFFSETS, 6, LIST_OFFSETS_MIN, &p->list_offsets, fake_list_offsets },
		{ FAKE_FETCH, 12, FETCH_MIN, &p->fetch, fake_fetch },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].key == key)
			return rows[i];
	return (struct api){ .key = -1 };
}

static void send_frame(struct fake_request *q, struct buf *frame)
{
	struct fake_conn *c = q->c;
	struct fake_reply r = { .frame = frame, .api = q->api, .version = q->version };

	be32_put((uint8_t *)frame->data, (uint32_t)(frame->len - 4));
	if (!q->answer_fault && q->api != FAKE_PRODUCE)
		q->answer_fault = fake_fault_met(q->f, q->api, -1, FAULT_OF_ANSWER);
	if (q->answer_fault)
		fake_fault_answer(q->answer_fault, &r);
	buf_put(r.hold ? &c->held : &c->out, frame->data, frame->len);
	if (r.twice)
		buf_put(&c->out, frame->data, frame->len);
	if (!r.hold && c->held.len) {
		buf_put(&c->out, c->held.data, c->held.len);
		buf_clear(&c->held);
	}
	c->close_when_out |= r.close;
	c->half_close_when_out |= r.half_close;
	c->slow_ms = r.slow_ms;
	c->busy_until_ms = clock_mono_ms() + q->delay_ms;
}

static void finish(struct fake_request *q, struct buf *frame)
{
	if (q->r.failed || wire_end(&q->r) < 0 || q->close || (q->acks_none && q->failed))
		q->c->dead = true;
	else if (q->swallow)
		q->c->busy_until_ms = INT64_MAX;
	else if (!q->acks_none)
		send_frame(q, frame);
}

void fake_serve(struct fake *f, struct fake_conn *c, const uint8_t *p, size_t n)
{
	struct buf frame;
	struct fake_request q = { .f = f, .c = c, .w = { .buf = &frame } };
	struct api api;
	size_t ignored;

	buf_init(&frame, FRAME_MAX);
	wire_init(&q.r, p, n, false);
	q.api = wire_i16(&q.r);
	q.version = wire_i16(&q.r);
	api = api_of(f->profile, q.api);
	if (q.r.failed || api.key < 0 || c->hidden >> q.api & 1 || !may_ask(c, q.api) ||
	    q.version < api.min || (q.version > api.range->max && q.api != FAKE_VERSIONS)) {
		c->dead = true;
		return;
	}
	f->last_version[q.api] = q.version;
	wire_put_i32(&q.w, 0);
	wire_put_i32(&q.w, wire_i32(&q.r));
	wire_nullable(&q.r, &ignored);
	q.r.flexible = q.w.flexible = q.version >= api.flexible_from;
	wire_no_tags(&q.r);
	if (q.api != FAKE_VERSIONS)		/* whose answer is read before anything is known */
		wire_put_no_tags(&q.w);
	api.serve(&q);
	finish(&q, &frame);
	buf_release(&frame);
}

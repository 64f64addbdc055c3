/* send.c - producer_send: one record from the caller into a batch.
 *
 * Order as in Java's producer: interceptors, serializers, size, topic's metadata, partition, memory. Waiting for metadata
 * and for memory share one max.block.ms; whoever waits in vain is told for what, and why it did not come.
 * Invariants
 *  (1) a record is accepted whole, with its callback, or refused with an error; never both.
 *  (2) on the sender's thread (a callback sends) nothing waits: only that thread could end the wait.
 * Threads: any. Locks: p->mu while waiting; a lane's while appending.
 * Failure everything is given back on every path; the error says which record part, topic or resource it was.
 */
#include "producer/core.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/base/units.h"
#include "producer/code.h"
#include "producer/serialize.h"

#define LOOK_AGAIN_MS 1000		/* for a topic or a partition that is not there */
#define CODE_INVALID_TOPIC 17
#define CODE_TOPIC_AUTHORIZATION 29

struct sending {
	struct producer *p;
	struct producer_record r;	/* as it is now */
	producer_done_fn *fn;
	void    *arg;
	int64_t  began_ms, at_ms;	/* the wait ends */
	struct producer_error *err;
};

static int64_t waited(const struct sending *s)
{
	return clock_mono_ms() - s->began_ms;
}

/* --- interceptors --- */

static void log_text(void *arg, const char *text)
{
	const struct producer_config *c = arg;

	if (c->log)
		c->log(c->log_arg, text);
}

static struct intercept_scratch *take_scratch(struct producer *p)
{
	struct intercept_scratch *s = NULL;

	for (size_t i = 0; i < CORE_SCRATCHES && !s; i++)
		s = atomic_exchange(&p->scratch[i], NULL);
	return s ? s : intercept_scratch_new();
}

static void give_scratch(struct producer *p, struct intercept_scratch *s)
{
	for (size_t i = 0; i < CORE_SCRATCHES && s; i++) {
		struct intercept_scratch *none = NULL;

		if (atomic_compare_exchange_strong(&p->scratch[i], &none, s))
			return;
	}
	intercept_scratch_free(s);
}

static int run_functions(struct sending *s)
{
	struct producer_config *c = s->p->config;

	for (size_t i = 0; i < c->interceptor_count; i++) {
		const struct producer_interceptor *in = &c->interceptor_fns[i];
		struct producer_record before = s->r;
		char text[160];
		int rc = in->on_send ? in->on_send(in->arg, &s->r) : 0;

		if (rc > 0)
			return PRODUCER_ERR_DROPPED;
		if (rc == 0)
			continue;
		s->r = before;
		snprintf(text, sizeof text, "interceptor %zu: on_send failed with %d; topic \"%.60s\"", i, rc, before.topic);
		log_text(c, text);
	}
	return 0;
}

static int intercept(struct sending *s, struct intercept_scratch *scratch)
{
	int rc = intercept_apply(s->p->intercept, &s->r, scratch, log_text, s->p->config);

	if (rc < 0)
		return code_fail(s->err, rc, NULL);
	rc = rc ? PRODUCER_ERR_DROPPED : run_functions(s);
	return rc < 0 ? code_fail(s->err, rc, "dropped by an interceptor") : 0;
}

/* --- what can be seen without a broker --- */

static int check_record(const struct sending *s)
{
	const struct producer_record *r = &s->r;

	if (!r->topic || !r->topic[0])
		return code_fail(s->err, PRODUCER_ERR_INVALID_TOPIC, "a record needs a topic");
	if (!topic_name_valid(r->topic))
		return code_fail(s->err, PRODUCER_ERR_INVALID_TOPIC, "topic \"%.40s\" is no name for a topic: it has 1 to 249 of "
				 "the characters a-z, A-Z, 0-9, '.', '_' and '-'", r->topic);
	if (r->partition < -1)
		return code_fail(s->err, PRODUCER_ERR_INVALID_PARTITION, "partition %" PRId32 " of topic \"%.60s\": must be 0 or "
				 "more, or -1", r->partition, r->topic);
	if (r->timestamp < -1)
		return code_fail(s->err, PRODUCER_ERR_SERIALIZATION, "timestamp %" PRId64 " for topic \"%s\": must be 0 or more, "
				 "or -1", r->timestamp, r->topic);
	for (size_t i = 0; i < r->header_count; i++)
		if (!r->headers[i].name)
			return code_fail(s->err, PRODUCER_ERR_SERIALIZATION, "header %zu for topic \"%.60s\" has no name", i,
					 r->topic);
	return 0;
}

static bool absurd(const struct producer_record *r)
{
	if (r->key_len > INT32_MAX || r->value_len > INT32_MAX)
		return true;
	for (size_t i = 0; i < r->header_count; i++)
		if (r->headers[i].value_len > INT32_MAX)
			return true;
	return false;
}

static int check_size(const struct sending *s)
{
	const struct producer_record *r = &s->r;
	const struct batch empty = { .base_timestamp = r->timestamp };
	size_t max = s->p->accum.conf.record_max, n = SIZE_MAX;
	const char *limit = (int64_t)max + BATCH_HEAD >= s->p->config->max_request_size ? "max.request.size" : "buffer.memory";

	if (!absurd(r))
		n = batch_record_bytes(&empty, r->key_len, !r->key, r->value_len, !r->value, r->headers, r->header_count,
				       r->timestamp);
	if (n <= max)
		return 0;
	if (n == SIZE_MAX)
		return code_fail(s->err, ERR_TOO_LARGE, "a record for topic \"%.60s\" has a part of more than 2 GiB", r->topic);
	return code_fail(s->err, ERR_TOO_LARGE, "a record for topic \"%.60s\" takes %zu bytes, %s allows %zu", r->topic,
			 n + BATCH_HEAD, limit, max + BATCH_HEAD);
}

/* --- metadata --- */

/* 0: the topic has the partition; ERR_AGAIN: not yet; else Kafka's answer is final. */
static int topic_state(const struct topic *t, int32_t partition)
{
	int32_t count = atomic_load(&t->partition_count);
	int16_t code = atomic_load(&t->error);

	if (count > 0 && partition < count)
		return 0;
	if (code == CODE_INVALID_TOPIC)
		return PRODUCER_ERR_INVALID_TOPIC;
	return code == CODE_TOPIC_AUTHORIZATION ? PRODUCER_ERR_AUTHENTICATION : ERR_AGAIN;
}

static int topic_timeout(const struct sending *s, const struct topic *t)
{
	int32_t count = atomic_load(&t->partition_count);
	int16_t code = atomic_load(&t->error);
	char why[sizeof s->p->sender.trouble] = "";
	bool auth = false;

	if (count > 0)
		return code_fail(s->err, ERR_PARTITION, "partition %" PRId32 " does not exist: the topic \"%.60s\" has %" PRId32
				 ", and got no more within max.block.ms (%" PRId64 " ms)", s->r.partition, t->name, count,
				 waited(s));
	sender_trouble(&s->p->sender, why, sizeof why, &auth);
	if (why[0])
		return code_fail(s->err, auth ? PRODUCER_ERR_AUTHENTICATION : ERR_TIMEOUT, "topic \"%.60s\" not in metadata "
				 "within max.block.ms (%" PRId64 " ms): %s", t->name, waited(s), why);
	return code_fail(s->err, ERR_TIMEOUT, "topic \"%.60s\" not in metadata within max.block.ms (%" PRId64 " ms): %s",
			 t->name, waited(s),
			 code ? api_error(code)->name : "no answer yet");
}

/* A look at a lane of what is not there makes the sender ask. */
static int wait_for_topic(const struct sending *s, struct lane *l)
{
	const struct topic *t = l->topic;
	struct producer *p = s->p;
	int rc = topic_state(t, s->r.partition);
	int64_t began_ns = clock_mono_ns();
	bool in_time = true;

	if (rc == 0)
		return 0;
	while (rc == ERR_AGAIN && in_time && !atomic_load(&p->accum.closed)) {
		int64_t again_ms = clock_mono_ms() + LOOK_AGAIN_MS;

		lane_look(l);
		pthread_mutex_lock(&p->mu);
		if (topic_state(t, s->r.partition) == ERR_AGAIN && !atomic_load(&p->accum.closed))
			producer_wait(p, again_ms < s->at_ms ? again_ms : s->at_ms);
		pthread_mutex_unlock(&p->mu);
		in_time = clock_mono_ms() < s->at_ms;
		rc = topic_state(t, s->r.partition);
	}
	atomic_fetch_add(&p->metrics.metadata_wait_ns, (uint64_t)(clock_mono_ns() - began_ns));
	if (rc == 0)
		return 0;
	if (atomic_load(&p->accum.closed))
		return code_fail(s->err, ERR_CLOSED, NULL);
	if (rc != ERR_AGAIN)
		return code_fail(s->err, rc, "topic \"%.60s\": %s", t->name, api_error(atomic_load(&t->error))->name);
	return topic_timeout(s, t);
}

/* --- memory --- */

struct memory_wait { struct budget_waiter w; struct producer *p; bool told; };

static void memory_came(void *arg)
{
	struct memory_wait *m = arg;

	pthread_mutex_lock(&m->p->mu);
	m->told = true;
	pthread_cond_broadcast(&m->p->cond);
	pthread_mutex_unlock(&m->p->mu);
}

/* The topic that most of the records in memory are of. */
static const char *who_holds_memory(struct producer *p, uint64_t *ret_records)
{
	const char *name = "";
	struct lane *l;
	size_t it = 0;

	*ret_records = 0;
	pthread_mutex_lock(&p->accum.mu);
	while ((l = map_next(&p->accum.lanes, &it))) {
		uint64_t n = atomic_load(&l->in_memory);

		if (n > *ret_records) {
			*ret_records = n;
			name = l->topic->name;
		}
	}
	pthread_mutex_unlock(&p->accum.mu);
	return name;
}

static int memory_timeout(const struct sending *s)
{
	char size[32], why[sizeof s->p->sender.trouble] = "";
	uint64_t records;
	const char *topic = who_holds_memory(s->p, &records);
	bool auth = false;

	atomic_fetch_add(&s->p->metrics.buffer_exhausted, 1);
	sender_trouble(&s->p->sender, why, sizeof why, &auth);
	return code_fail(s->err, ERR_BUFFER_FULL, "buffer.memory (%s) stayed full for %" PRId64 " ms; most records, %" PRIu64
			 ", are for topic \"%.50s\"%s%.100s", units_print_size(size, sizeof size, s->p->config->buffer_memory),
			 waited(s), records, topic, why[0] ? "; " : "", why);
}

static int wait_for_memory(const struct sending *s)
{
	struct producer *p = s->p;
	struct memory_wait m = { .w = { .fn = memory_came }, .p = p };
	int64_t began_ns = clock_mono_ns();
	bool in_time = true;

	m.w.arg = &m;
	list_init(&m.w.node);
	atomic_fetch_add(&p->metrics.waiting_threads, 1);
	budget_wait(p->budget, &m.w);
	pthread_mutex_lock(&p->mu);
	while (!m.told && in_time && !atomic_load(&p->accum.closed))
		in_time = producer_wait(p, s->at_ms);
	pthread_mutex_unlock(&p->mu);
	budget_unwait(p->budget, &m.w);
	atomic_fetch_sub(&p->metrics.waiting_threads, 1);
	atomic_fetch_add(&p->metrics.memory_wait_ns, (uint64_t)(clock_mono_ns() - began_ns));
	if (atomic_load(&p->accum.closed))
		return code_fail(s->err, ERR_CLOSED, NULL);
	return m.told || in_time ? 0 : memory_timeout(s);
}

/* --- the record's way --- */

static void nobody(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	(void)arg, (void)md, (void)err;
}

/* Interceptors see the end of every record, also of those that nobody else waits for. */
static bool anyone_looks(const struct producer_config *c)
{
	for (size_t i = 0; i < c->interceptor_count; i++)
		if (c->interceptor_fns[i].on_acknowledgement)
			return true;
	return false;
}

static int append(const struct sending *s, struct lane *l)
{
	const struct producer_record *r = &s->r;
	struct lane_record lr = {
		.key = r->key, .key_len = r->key_len, .value = r->value, .value_len = r->value_len,
		.headers = r->headers, .header_count = r->header_count, .timestamp = r->timestamp,
		.fn = s->fn || !anyone_looks(s->p->config) ? s->fn : nobody, .arg = s->arg,
	};
	int rc;

	for (;;) {
		lane_begin(l, clock_mono_ms(), clock_wall_ms());
		rc = lane_append(l, &lr);
		lane_end(l);
		if (rc == 0)
			return 0;
		if (rc == ERR_PARTITION)
			return code_fail(s->err, rc, "the partitioner chose a partition that topic \"%.60s\" does not have",
					 r->topic);
		if (rc != ERR_AGAIN)
			return code_fail(s->err, rc, NULL);
		rc = wait_for_memory(s);
		if (rc < 0)
			return rc;
	}
}

static int serialize_both(struct sending *s, struct producer_bytes *key, struct producer_bytes *value)
{
	const struct producer_config *c = s->p->config;
	const struct serialize_part k = { (enum serializer)c->key_serializer, &c->key_serializer_fn, "key" };
	const struct serialize_part v = { (enum serializer)c->value_serializer, &c->value_serializer_fn, "value" };
	int rc = serialize(&k, s->r.topic, &s->r.key, &s->r.key_len, key, s->err);

	return rc < 0 ? rc : serialize(&v, s->r.topic, &s->r.value, &s->r.value_len, value, s->err);
}

static int deliver(struct sending *s)
{
	struct producer_bytes key, value;
	struct lane *l;
	int rc;

	serialize_init(&key);
	serialize_init(&value);
	rc = serialize_both(s, &key, &value);
	if (rc == 0)
		rc = check_size(s);
	if (rc == 0) {
		l = producer_lane(s->p, s->r.topic, s->r.partition);
		rc = l ? wait_for_topic(s, l) : code_fail(s->err, ERR_NOMEM, NULL);
	}
	if (rc == 0)
		rc = append(s, l);
	serialize_release(&key);
	serialize_release(&value);
	return rc;
}

/* What on_send saw has an end, also without a callback. */
static void tell_refused(const struct sending *s)
{
	const struct producer_record *r = &s->r;
	const struct producer_metadata md = {
		.topic = r->topic ? r->topic : "", .partition = r->partition, .offset = -1, .timestamp = r->timestamp,
		.key_size = r->key ? (int32_t)r->key_len : -1, .value_size = r->value ? (int32_t)r->value_len : -1,
	};

	core_acknowledge(s->p->config, &md, s->err);
}

static int send_record(struct sending *s)
{
	struct intercept_scratch *scratch = NULL;
	int rc = check_record(s);

	if (rc == 0 && s->p->intercept) {
		scratch = take_scratch(s->p);
		if (!scratch)
			return code_fail(s->err, ERR_NOMEM, NULL);
	}
	if (rc == 0)
		rc = intercept(s, scratch);
	if (rc == 0) {
		rc = check_record(s);
		if (rc == 0 && s->r.timestamp < 0)
			s->r.timestamp = clock_wall_ms();
		if (rc == 0)
			rc = deliver(s);
		if (rc < 0)
			tell_refused(s);
	}
	give_scratch(s->p, scratch);
	return rc;
}

int producer_send_until(struct producer *p, const struct producer_record *r, producer_done_fn *cb, void *arg, int64_t at_ms,
			struct producer_error *ret_err)
{
	struct producer_error err = { 0 };	/* interceptors want to know, whoever sends need not */
	struct sending s = { .p = p, .r = *r, .fn = cb, .arg = arg, .began_ms = clock_mono_ms(), .at_ms = at_ms,
			     .err = ret_err ? ret_err : &err };
	int rc = ERR_CLOSED;

	if (producer_on_sender(p))
		s.at_ms = s.began_ms;
	atomic_fetch_add(&p->sending, 1);
	if (!atomic_load(&p->accum.closed))
		rc = send_record(&s);
	else
		code_fail(ret_err, rc, NULL);
	atomic_fetch_sub(&p->sending, 1);
	return code_public(rc);
}

int producer_send(struct producer *p, const struct producer_record *r, producer_done_fn *cb, void *arg,
		  struct producer_error *ret_err)
{
	int rc = producer_enter(p);

	if (rc < 0)
		return code_fail(ret_err, rc, NULL);
	rc = producer_send_until(p, r, cb, arg, producer_deadline(p->config->max_block_ms), ret_err);
	producer_leave(p);
	return rc;
}

/* sender_cluster.c - brokers, metadata, the producer id, and what people are told about all of them.
 *
 * Why any broker will do: metadata and producer ids are asked from whoever is connected and has least to do. When nobody
 * is, all known brokers and the configured ones are tried in turn, so a cluster that moved altogether is found again by
 * its bootstrap names (KIP-899).
 * Invariant: a broker, once met, keeps its struct and connections as long as the producer lives.
 */
#define _GNU_SOURCE	/* memrchr */
#include "producer/sender.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/core.h"

#define CONNECT_APART_MS 1000	/* between two tries while one is on its way */
#define TOPIC_FAULT_MS 2000	/* a new topic may be unknown for so long: it is being made */
#define ID_SLOW_MS 5000
#define CODE_CLUSTER_AUTHORIZATION 31

/* --- brokers --- */

static struct broker *broker_new(struct sender *s, int32_t id, const char *host, int port)
{
	struct broker *b = mem_new(struct broker);

	if (!b)
		return NULL;
	b->id = id;
	b->port = port;
	snprintf(b->host, sizeof b->host, "%s", host);
	for (int i = 0; i < CONN_KINDS; i++) {
		conn_init(&b->conn[i], &s->conn_conf, b, host, port);
		list_init(&b->gather[i]);
	}
	list_push_back(&s->brokers, &b->node);
	return b;
}

/* "host:port" or "[v6]:port". 0 or ERR_CONFIG. */
static int split_address(const char *text, size_t n, char *host, size_t host_size, int *port)
{
	const char *colon = memrchr(text, ':', n), *end = text + n;
	size_t len;

	if (!colon || colon == text || colon + 1 == end)
		return ERR_CONFIG;
	*port = (int)strtol(colon + 1, NULL, 10);
	len = (size_t)(colon - text);
	if (text[0] == '[' && colon[-1] == ']') {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= host_size || *port <= 0 || *port > 65535)
		return ERR_CONFIG;
	memcpy(host, text, len);
	host[len] = 0;
	return 0;
}

static int32_t lowest_id(const struct sender *s)
{
	int32_t id = 0;

	list_each(it, &s->brokers)
		if (list_entry(it, struct broker, node)->id < id)
			id = list_entry(it, struct broker, node)->id;
	return id;
}

/* An entry that was there before a reload is the same again. */
static bool bootstrap_known(struct sender *s, const char *host, int port)
{
	list_each(it, &s->brokers) {
		struct broker *b = list_entry(it, struct broker, node);

		if (b->id >= 0 || b->port != port || strcmp(b->host, host) != 0)
			continue;
		b->gone = false;
		return true;
	}
	return false;
}

int sender_bootstrap(struct sender *s)
{
	const char *p = s->servers ? s->servers : s->config->bootstrap_servers ? s->config->bootstrap_servers : "";
	char host[256];
	int32_t id = lowest_id(s) - 1;
	int port, rc;

	while (*p) {
		size_t n = strcspn(p, ", \t");

		rc = n ? split_address(p, n, host, sizeof host, &port) : 0;
		if (rc < 0)
			return rc;
		if (n && !bootstrap_known(s, host, port) && !broker_new(s, id--, host, port))
			return ERR_NOMEM;
		p += n + (p[n] != 0);
	}
	return lowest_id(s) < 0 ? 0 : ERR_CONFIG;
}

struct broker *sender_broker(const struct sender *s, int32_t id)
{
	list_each(it, &s->brokers)
		if (list_entry(it, struct broker, node)->id == id)
			return list_entry(it, struct broker, node);
	return NULL;
}

struct broker *sender_leader(struct sender *s, const struct topic *t, int32_t partition)
{
	int32_t id = topic_leader(t, partition);
	struct broker *b = id < 0 ? NULL : sender_broker(s, id);

	if (id >= 0 && !b) {
		metadata_want_refresh(&s->metadata);
		sender_lower_wake(s, s->now_ms + s->config->retry_backoff_ms);
	}
	return b;
}

bool sender_want(struct sender *s, struct conn *c)
{
	if (conn_want(c, s->now_ms))
		return true;
	sender_lower_wake(s, c->retry_at_ms);
	return false;
}

static bool broker_up(const struct broker *b)
{
	return conn_up(&b->conn[CONN_MAIN]) || conn_up(&b->conn[CONN_APART]);
}

bool sender_any_up(const struct sender *s)
{
	list_each(it, &s->brokers)
		if (broker_up(list_entry(it, struct broker, node)))
			return true;
	return false;
}

static void tell(struct sender *s, const char *topic, int32_t partition, const char *what)
{
	if (s->journal && s->journal->event)
		s->journal->event(s->journal->arg, topic, partition, what);
}

static void fault_over(struct sender *s, struct broker *b)
{
	if (!b->reported)
		return;
	b->reported = false;
	tell(s, NULL, b->id, NULL);
}

void sender_broker_up(struct sender *s, struct broker *b)
{
	fault_over(s, b);
	if (b->id < 0)
		return;
	/* The cluster is there: whether its bootstrap names are does not matter now. */
	list_each(it, &s->brokers)
		if (list_entry(it, struct broker, node)->id < 0)
			fault_over(s, list_entry(it, struct broker, node));
}

void sender_broker_down(struct sender *s, struct broker *b, const char *why)
{
	char text[480];

	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (topic_leader(st->owner, st->partition) == b->id)
			sender_drop_bytes(s, st);
	}
	sender_lower_wake(s, s->now_ms);	/* it may have happened in the middle of a round */
	if (!why)
		return;
	metadata_want_refresh(&s->metadata);
	snprintf(text, sizeof text, "%s:%d: %s", b->host, b->port, why);
	if (b->reported || broker_up(b))
		return;
	b->reported = true;
	tell(s, NULL, b->id, text);
}

/* --- one connection for control --- */

static struct conn *least_busy(struct sender *s)
{
	struct conn *best = NULL;

	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS; i++) {
			struct conn *c = &list_entry(it, struct broker, node)->conn[i];

			if (conn_ready(c) && (!best || c->in_flight < best->in_flight))
				best = c;
		}
	return best;
}

static bool connecting(const struct sender *s)
{
	list_each(it, &s->brokers) {
		const struct conn *c = &list_entry(it, struct broker, node)->conn[CONN_MAIN];

		if (c->state != CONN_DOWN && c->state != CONN_UP)
			return true;
	}
	return false;
}

/* Nobody is connected: try the next one in turn, another one when the last takes long. */
static void connect_someone(struct sender *s)
{
	bool busy = connecting(s);

	if (busy && s->connect_ms + CONNECT_APART_MS > s->now_ms) {
		sender_lower_wake(s, s->connect_ms + CONNECT_APART_MS);
		return;
	}
	list_each_safe(it, &s->brokers) {
		struct broker *b = list_entry(it, struct broker, node);
		struct conn *c = &b->conn[CONN_MAIN];

		if (c->state != CONN_DOWN || b->gone)
			continue;
		if (!sender_want(s, c))
			continue;
		list_remove(it);
		list_push_back(&s->brokers, it);
		s->connect_ms = s->now_ms;
		sender_lower_wake(s, s->connect_ms + CONNECT_APART_MS);
		return;
	}
}

/* --- metadata --- */

static size_t count_topics(const struct metadata *m)
{
	size_t n = 0;

	list_each(it, &m->topics)
		n++;
	return n;
}

static void send_metadata(struct sender *s, struct conn *c, const char *const *names, size_t n)
{
	int16_t version = api_pick(&c->versions, API_METADATA);
	struct request *r = request_new(API_METADATA, version, c->next_correlation_id, 0, 0);

	if (!r || api_metadata_request(&r->control, version, r->correlation_id, s->config->client_id, names, n, 1) < 0) {
		request_free(r);
		metadata_failed(&s->metadata, s->now_ms);
		return;
	}
	c->next_correlation_id++;
	metadata_asked(&s->metadata);
	conn_send(c, r, s->now_ms);
}

static void ask_metadata(struct sender *s, bool *want)
{
	const char **names;
	struct conn *c;
	size_t cap;

	if (!metadata_due(&s->metadata, s->now_ms, &s->wake_ms))
		return;
	/* An idle producer whose view is old need not be connected for that alone. A topic that was never seen is another
	 * matter: producer_send may wait for it, and its lane has nothing yet that would make it busy. */
	*want |= s->metadata.fresh_ms < 0 || metadata_has_unseen(&s->metadata);
	c = least_busy(s);
	if (!c)
		return;
	cap = count_topics(&s->metadata);
	names = mem_array(const char *, cap + 1);
	if (names)
		send_metadata(s, c, names, metadata_names(&s->metadata, s->now_ms, names, cap));
	mem_free(names);
}

static void take_brokers(struct sender *s, const struct api_metadata *a)
{
	for (size_t i = 0; i < a->broker_count; i++) {
		const struct api_broker *ab = &a->brokers[i];
		struct broker *b;

		if (ab->id < 0 || ab->port <= 0 || ab->port > 65535 || !ab->host || !ab->host[0])
			continue;
		b = sender_broker(s, ab->id);
		if (!b)
			b = broker_new(s, ab->id, ab->host, ab->port);
		if (!b || (strcmp(b->host, ab->host) == 0 && b->port == ab->port))
			continue;
		/* It moved: what is connected stays until it breaks, the next connection goes there. */
		snprintf(b->host, sizeof b->host, "%s", ab->host);
		b->port = ab->port;
		for (int k = 0; k < CONN_KINDS; k++) {
			snprintf(b->conn[k].host, sizeof b->conn[k].host, "%s", ab->host);
			b->conn[k].port = ab->port;
		}
	}
}

int sender_take_metadata(struct sender *s, const struct request *r, const void *data, size_t n)
{
	struct api_metadata a;
	int rc = api_metadata_response(data, n, r->version, r->correlation_id, &a);

	if (rc < 0 || a.error) {
		if (rc == 0)
			api_metadata_release(&a);
		metadata_failed(&s->metadata, s->now_ms);
		return rc;
	}
	take_brokers(s, &a);
	metadata_apply(&s->metadata, &a, s->now_ms);
	s->topic_events_due = true;
	api_metadata_release(&a);
	pthread_mutex_lock(&s->p->mu);
	s->p->metadata_news++;
	pthread_cond_broadcast(&s->p->cond);
	pthread_mutex_unlock(&s->p->mu);
	return 0;
}

/* --- the producer id --- */

void sender_id_failed(struct sender *s)
{
	s->id_asked = false;
	s->id_at_ms = s->now_ms +
		stream_backoff(&s->rng, s->config->retry_backoff_ms, s->config->retry_backoff_max_ms, s->id_failures++);
}

static bool need_id(struct sender *s)
{
	if (!s->config->enable_idempotence || s->id_asked)
		return false;
	list_each(it, &s->streams)
		s->id_stale |= list_entry(it, struct stream, node)->need_id &&
			       list_entry(it, struct stream, node)->id.producer_id == s->id.producer_id;
	return s->id.producer_id < 0 || s->id_stale;
}

static void ask_id(struct sender *s, bool *want)
{
	struct conn *c;
	struct request *r;
	int16_t version;

	if (!need_id(s))
		return;
	if (s->id_at_ms > s->now_ms) {
		sender_lower_wake(s, s->id_at_ms);
		return;
	}
	*want = true;
	c = least_busy(s);
	if (!c)
		return;
	version = api_pick(&c->versions, API_INIT_PRODUCER_ID);
	r = request_new(API_INIT_PRODUCER_ID, version, c->next_correlation_id, 0, 0);
	if (!r || api_init_producer_id_request(&r->control, version, r->correlation_id, s->config->client_id) < 0) {
		request_free(r);
		sender_id_failed(s);
		return;
	}
	c->next_correlation_id++;
	s->id_asked = true;
	conn_send(c, r, s->now_ms);
}

static void report_id(struct sender *s, int16_t code)
{
	char text[160];

	if (code == s->id_reported)
		return;
	s->id_reported = code;
	snprintf(text, sizeof text, "no producer id: %s%s", api_error(code)->name,
		 code == CODE_CLUSTER_AUTHORIZATION ? " (needs WRITE on a topic, or IDEMPOTENT_WRITE on the cluster)" : "");
	tell(s, NULL, INT32_MIN, code ? text : NULL);
}

int sender_take_id(struct sender *s, const struct request *r, const void *data, size_t n)
{
	struct api_producer_id a;
	int rc = api_init_producer_id_response(data, n, r->version, r->correlation_id, &a);

	if (rc < 0 || a.error || a.producer_id < 0) {
		sender_id_failed(s);
		if (rc < 0)
			return rc;
		report_id(s, a.error);
		if (api_error(a.error)->class != API_ERR_RETRY && api_error(a.error)->class != API_ERR_REFRESH)
			s->id_at_ms = s->now_ms + ID_SLOW_MS;
		return 0;
	}
	report_id(s, 0);
	s->id_asked = s->id_stale = false;
	s->id_failures = 0;
	s->id = (struct stream_id){ a.producer_id, a.producer_epoch };
	/* With a journal a new identity is recorded first: sender_plan does it. */
	if (s->journal)
		return 0;
	list_each(it, &s->streams)
		stream_renew(list_entry(it, struct stream, node), &s->id, s->now_ms);
	return 0;
}

/* --- the step --- */

static void take_names(struct sender *s)
{
	struct name_query *q;

	while ((q = names_answer(s->names))) {
		conn_resolved(q->arg, q, s->now_ms);
		sender_note_security(s);
		name_query_free(q);
	}
}

void sender_cluster(struct sender *s)
{
	bool want = !list_empty(&s->busy) || !list_empty(&s->streams);

	take_names(s);
	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS; i++)
			conn_tick(&list_entry(it, struct broker, node)->conn[i], s->now_ms);
	ask_metadata(s, &want);
	ask_id(s, &want);
	if (want && !sender_any_up(s))
		connect_someone(s);
}

void sender_watch_conns(struct sender *s)
{
	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS; i++)
			sender_lower_wake(s, conn_due_ms(&list_entry(it, struct broker, node)->conn[i]));
}

/* --- events --- */

bool sender_topic_faulty(const struct sender *s, const struct topic *t)
{
	enum api_error_class class;

	if (!t->error)
		return false;
	class = api_error(t->error)->class;
	return (class != API_ERR_RETRY && class != API_ERR_REFRESH) || s->now_ms - t->faulty_ms >= TOPIC_FAULT_MS;
}

static void topic_events(struct sender *s, struct topic *t)
{
	int16_t code = sender_topic_faulty(s, t) ? t->error : 0;
	char text[160];

	if (t->error && !code) {
		s->topic_events_due = true;
		sender_lower_wake(s, t->faulty_ms + TOPIC_FAULT_MS);
	}
	if (code == t->reported)
		return;
	t->reported = code;
	snprintf(text, sizeof text, "the topic cannot be written: %s", api_error(code)->name);
	tell(s, t->name, -1, code ? text : NULL);
}

static void stream_events(struct sender *s, struct stream *st)
{
	char text[160];

	if (st->hold_code == st->reported)
		return;
	st->reported = st->hold_code;
	snprintf(text, sizeof text, "the partition does not take a batch: %s", api_error(st->hold_code)->name);
	tell(s, st->topic, st->partition, st->hold_code ? text : NULL);
}

/* A partition that somebody chose and that the topic does not have. */
static void lane_events(struct sender *s, struct lane *l)
{
	bool missing = l->topic->known && l->partition >= atomic_load(&l->topic->partition_count);

	if (missing == l->missing_reported)
		return;
	l->missing_reported = missing;
	tell(s, l->topic->name, l->partition, missing ? "the topic has no such partition" : NULL);
}

void sender_events(struct sender *s)
{
	if (!s->journal)
		return;
	if (s->topic_events_due) {
		s->topic_events_due = false;
		list_each(it, &s->metadata.topics)
			topic_events(s, list_entry(it, struct topic, node));
	}
	list_each(it, &s->streams)
		stream_events(s, list_entry(it, struct stream, node));
	list_each(it, &s->busy)
		lane_events(s, list_entry(it, struct lane, busy_node));
}

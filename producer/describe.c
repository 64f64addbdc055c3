/* describe.c - producer_describe: a caller asks, the sender's thread sends, the caller takes the answer away.
 *
 * Invariants
 *  (1) a struct describe lives on its caller's stack and is in p->describes until the caller takes it out; the sender looks
 *      at it under p->mu only.
 *  (2) `conn` and `correlation_id` name the request on its way; a lost one is sent again as long as the caller waits.
 * Threads: callers any; the step and the answers are the sender's. Lock: p->mu, never while a connection is used, for that
 *	may lose requests.
 */
#include "producer/describe.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/code.h"
#include "producer/core.h"

struct describe {
	struct list node;
	const char *const *topics;	/* NULL: all */
	size_t  n;
	const struct conn *conn;	/* NULL: not sent */
	int32_t correlation_id;
	bool    done;
	int     rc;
	struct api_metadata answer;	/* when done and rc is 0 */
};

/* --- the sender's side --- */

static struct describe *unsent(struct producer *p)
{
	list_each(it, &p->describes) {
		struct describe *d = list_entry(it, struct describe, node);

		if (!d->done && !d->conn)
			return d;
	}
	return NULL;
}

static struct describe *find(struct producer *p, const struct conn *c, const struct request *r)
{
	list_each(it, &p->describes) {
		struct describe *d = list_entry(it, struct describe, node);

		if (!d->done && d->conn == c && d->correlation_id == r->correlation_id)
			return d;
	}
	return NULL;
}

/* mu held: what the caller asks for is its own memory. */
static struct request *build(struct producer *p, struct conn *c, struct describe *d)
{
	int16_t version = api_pick(&c->versions, API_METADATA);
	struct request *r = request_new(API_METADATA, version, c->next_correlation_id, 0, 0);

	if (!r || api_metadata_request(&r->control, version, r->correlation_id, p->config->client_id, d->topics,
				       d->topics ? d->n : API_TOPICS_ALL, 0) < 0) {
		request_free(r);
		d->rc = ERR_NOMEM;
		d->done = true;
		pthread_cond_broadcast(&p->cond);
		return NULL;
	}
	c->next_correlation_id++;
	d->conn = c;
	d->correlation_id = r->correlation_id;
	return r;
}

bool describe_step(struct producer *p)
{
	struct sender *s = &p->sender;
	struct request *r;
	struct describe *d;
	struct conn *c;
	bool waiting;

	do {
		pthread_mutex_lock(&p->mu);
		d = unsent(p);
		c = d ? sender_least_busy(s) : NULL;
		r = c ? build(p, c, d) : NULL;
		waiting = !list_empty(&p->describes);
		pthread_mutex_unlock(&p->mu);
		if (r)
			conn_send(c, r, s->now_ms);
	} while (r);
	return waiting;
}

bool describe_answered(struct producer *p, struct conn *c, const struct request *r, const void *data, size_t n, int *ret_rc)
{
	struct describe *d;

	pthread_mutex_lock(&p->mu);
	d = find(p, c, r);
	if (d) {
		d->rc = *ret_rc = api_metadata_details(data, n, r->version, r->correlation_id, &d->answer);
		d->done = true;
		if (d->rc == 0)
			sender_throttled(&p->sender, c, d->answer.throttle_ms);
		pthread_cond_broadcast(&p->cond);
	}
	pthread_mutex_unlock(&p->mu);
	return d != NULL;
}

bool describe_lost(struct producer *p, const struct conn *c, const struct request *r)
{
	struct describe *d;

	pthread_mutex_lock(&p->mu);
	d = find(p, c, r);
	if (d)
		d->conn = NULL;
	pthread_mutex_unlock(&p->mu);
	return d != NULL;
}

/* --- the caller's side --- */

/* What was allocated for one is given to the other. */
static bool take_topics(struct api_metadata *a, struct producer_cluster *to)
{
	to->topics = mem_array(struct producer_topic_desc, a->topic_count + 1);
	for (size_t i = 0; to->topics && i < a->topic_count; i++) {
		struct api_topic *from = &a->topics[i];
		struct producer_topic_desc *t = &to->topics[to->topic_count++];

		*t = (struct producer_topic_desc){ .topic = from->name, .error = from->error, .internal = from->internal };
		memcpy(t->id, from->id, sizeof t->id);
		from->name = NULL;
		t->partitions = mem_array(struct producer_partition_info, from->partition_count + 1);
		if (!t->partitions)
			return false;
		for (size_t k = 0; k < from->partition_count; k++) {
			struct api_partition *q = &from->partitions[k];

			t->partitions[t->partition_count++] = (struct producer_partition_info){
				.partition = q->index, .leader = q->leader, .leader_epoch = q->leader_epoch, .error = q->error,
				.replicas = q->replicas, .replica_count = q->replica_count,
				.isr = q->isr, .isr_count = q->isr_count,
			};
			q->replicas = q->isr = NULL;
		}
	}
	return to->topics != NULL;
}

static bool take_brokers(struct api_metadata *a, struct producer_cluster *to)
{
	to->brokers = mem_array(struct producer_broker_info, a->broker_count + 1);
	for (size_t i = 0; to->brokers && i < a->broker_count; i++) {
		struct api_broker *b = &a->brokers[i];

		to->brokers[to->broker_count++] = (struct producer_broker_info){
			.id = b->id, .host = b->host, .port = b->port, .rack = b->rack };
		b->host = b->rack = NULL;
	}
	return to->brokers != NULL;
}

static int by_partition(const void *a, const void *b)
{
	return ((const struct producer_partition_info *)a)->partition - ((const struct producer_partition_info *)b)->partition;
}

static int by_id(const void *a, const void *b)
{
	return ((const struct producer_broker_info *)a)->id - ((const struct producer_broker_info *)b)->id;
}

static int by_name(const void *a, const void *b)
{
	const char *x = ((const struct producer_topic_desc *)a)->topic, *y = ((const struct producer_topic_desc *)b)->topic;

	return strcmp(x ? x : "", y ? y : "");
}

/* Brokers answer in no fixed order. */
static void put_in_order(struct producer_cluster *c)
{
	if (c->broker_count)
		qsort(c->brokers, c->broker_count, sizeof *c->brokers, by_id);
	if (c->topic_count)
		qsort(c->topics, c->topic_count, sizeof *c->topics, by_name);
	for (size_t i = 0; i < c->topic_count; i++)
		if (c->topics[i].partition_count)
			qsort(c->topics[i].partitions, c->topics[i].partition_count, sizeof *c->topics[i].partitions, by_partition);
}

static int take(struct api_metadata *a, struct producer_cluster *ret)
{
	struct producer_cluster c = { .cluster_id = a->cluster_id, .controller = a->controller };

	a->cluster_id = NULL;
	if (take_brokers(a, &c) && take_topics(a, &c)) {
		put_in_order(&c);
		*ret = c;
		return 0;
	}
	producer_cluster_release(&c);
	return PRODUCER_ERR_NOMEM;
}

/* mu held. */
static void wait_for_answer(struct producer *p, const struct describe *d, int64_t at_ms)
{
	bool in_time = true;

	while (!d->done && in_time && !p->stopped && !atomic_load(&p->accum.closed))
		in_time = producer_wait(p, at_ms) || at_ms < 0;
}

static int no_answer(struct producer *p, int64_t timeout_ms, struct producer_error *ret_err)
{
	char why[sizeof p->sender.trouble];
	bool refused;

	if (atomic_load(&p->accum.closed) || p->stopped)
		return code_fail(ret_err, PRODUCER_ERR_CLOSED, "the producer is closed");
	sender_trouble(&p->sender, why, sizeof why, &refused);
	if (refused)
		return code_fail(ret_err, PRODUCER_ERR_AUTHENTICATION, "%s", why);
	return code_fail(ret_err, PRODUCER_ERR_TIMEOUT, "no broker answered within %lld ms%s%s", (long long)timeout_ms,
			 why[0] ? ": " : "", why);
}

static int ask(struct producer *p, struct describe *d, int64_t timeout_ms, struct producer_cluster *ret,
	       struct producer_error *ret_err)
{
	int rc;

	pthread_mutex_lock(&p->mu);
	list_push_back(&p->describes, &d->node);
	loop_wake(&p->sender.loop);
	wait_for_answer(p, d, producer_deadline(timeout_ms));
	list_remove(&d->node);
	pthread_mutex_unlock(&p->mu);
	if (!d->done)
		return no_answer(p, timeout_ms, ret_err);
	if (d->rc < 0)
		return d->rc == ERR_NOMEM ? code_fail(ret_err, d->rc, NULL) :
					    code_fail(ret_err, PRODUCER_ERR_SYSTEM, "a broker's answer is malformed");
	rc = d->answer.error ? code_fail(ret_err, d->answer.error, "%s", api_error(d->answer.error)->name) : take(&d->answer, ret);
	api_metadata_release(&d->answer);
	return rc == PRODUCER_ERR_NOMEM ? code_fail(ret_err, rc, NULL) : rc;
}

int producer_describe(struct producer *p, const char *const *topics, size_t n, int64_t timeout_ms,
		      struct producer_cluster *ret, struct producer_error *ret_err)
{
	struct describe d = { .topics = topics, .n = n };
	int rc;

	if (producer_on_sender(p))
		return code_fail(ret_err, PRODUCER_ERR_SYSTEM, "a callback cannot wait for a broker's answer");
	rc = producer_enter(p);
	if (rc < 0)
		return code_fail(ret_err, rc, "the producer is closed");
	rc = ask(p, &d, timeout_ms, ret, ret_err);
	producer_leave(p);
	return rc;
}

void producer_cluster_release(struct producer_cluster *c)
{
	for (size_t i = 0; i < c->broker_count; i++) {
		mem_free(c->brokers[i].host);
		mem_free(c->brokers[i].rack);
	}
	for (size_t i = 0; i < c->topic_count; i++) {
		struct producer_topic_desc *t = &c->topics[i];

		for (size_t k = 0; k < t->partition_count; k++) {
			mem_free(t->partitions[k].replicas);
			mem_free(t->partitions[k].isr);
		}
		mem_free(t->partitions);
		mem_free(t->topic);
	}
	mem_free(c->brokers);
	mem_free(c->topics);
	mem_free(c->cluster_id);
	*c = (struct producer_cluster){ .controller = -1 };
}

const char *producer_error_name(int code)
{
	return api_error(code < INT16_MIN || code > INT16_MAX ? -1 : (int16_t)code)->name;
}

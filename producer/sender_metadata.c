/* sender_metadata.c - asks for metadata, takes answers in, and follows them: leaders, recreated topics, another cluster.
 *
 * When nobody answers for metadata.recovery.rebootstrap.trigger.ms, or a broker demands it (129), all is forgotten and
 * found again by bootstrap.servers (KIP-1102).
 * Invariant: what is on a socket when its topic or cluster turns out to be another is waited for; nothing else of its
 * stream leaves before (stream_void.c).
 * Failure no memory for a request: tried again after the backoff.
 */
#include "producer/sender.h"

#include <stdatomic.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/core.h"
#include "producer/describe.h"

#define CODE_REBOOTSTRAP 129

void sender_throttled(struct sender *s, struct conn *c, int32_t throttle_ms)
{
	if (throttle_ms > 0 && c->throttled_until_ms < s->now_ms + throttle_ms)
		c->throttled_until_ms = s->now_ms + throttle_ms;	/* KIP-219 */
}

/* --- asking --- */

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

static void ask_metadata(struct sender *s)
{
	struct conn *c = sender_least_busy(s);
	const char **names;
	size_t cap;

	if (!c)
		return;
	cap = list_count(&s->metadata.topics);
	names = mem_array(const char *, cap + 1);
	if (names)
		send_metadata(s, c, names, metadata_names(&s->metadata, s->now_ms, names, cap));
	mem_free(names);
}

static void note_used(struct sender *s)
{
	list_each(it, &s->busy)
		metadata_used(&s->metadata, list_entry(it, struct lane, busy_node)->topic, s->now_ms);
	list_each(it, &s->linger)
		metadata_used(&s->metadata, list_entry(it, struct lane, linger_node)->topic, s->now_ms);
	list_each(it, &s->streams)
		if (list_entry(it, struct stream, node)->count)
			metadata_used(&s->metadata, list_entry(it, struct stream, node)->owner, s->now_ms);
}

/* Is it asked for, and has that been in vain for too long? */
static void watch_metadata(struct sender *s, bool *want)
{
	bool due = metadata_due(&s->metadata, s->now_ms, &s->wake_ms);

	/* An idle producer whose view is old need not be connected for that alone. A topic that was never seen is another
	 * matter: producer_send may wait for it, and its lane has nothing yet that would make it busy. */
	*want |= due && (s->metadata.fresh_ms < 0 || metadata_has_unseen(&s->metadata));
	if (s->config->metadata_recovery_strategy == METADATA_RECOVERY_REBOOTSTRAP &&
	    metadata_starved(&s->metadata, due && *want, s->config->metadata_rebootstrap_trigger_ms, s->now_ms, &s->wake_ms))
		s->rebootstrap_due = true;
	if (!*want && !s->metadata.asked)
		s->metadata.trying_ms = -1;	/* nobody has been waiting */
	if (due)
		ask_metadata(s);
}

/* --- answers --- */

static void forget_identities(struct sender *s)
{
	list_each(it, &s->metadata.topics) {
		const struct topic *t = list_entry(it, struct topic, node);

		for (int32_t i = 0; i < t->stream_cap; i++)
			if (t->streams[i])
				stream_forgotten(t->streams[i]);
	}
	/* Ids are given by a cluster: in this one ours may be somebody else's. */
	s->id = (struct stream_id){ -1, -1 };
}

/* Are the batches at hand meant for the topics and the cluster that are there now? */
static void check_streams(struct sender *s)
{
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (st->owner->known)
			stream_void_check(st, st->owner->id, metadata_cluster_id(&s->metadata));
	}
}

static void settle_streams(struct sender *s)
{
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		/* With a journal sender_plan records the fresh identities; without one they may be there already. */
		if (stream_void_settle(st, st->owner->id, metadata_cluster_id(&s->metadata)) && !s->journal &&
		    st->id.producer_id != s->id.producer_id)
			stream_renew(st, &s->id, s->now_ms);
	}
}

static void wake_waiters(struct sender *s)
{
	pthread_mutex_lock(&s->p->mu);
	s->p->metadata_news++;
	pthread_cond_broadcast(&s->p->cond);
	pthread_mutex_unlock(&s->p->mu);
}

/* The journal keeps them for the next life. */
static void tell_counts(struct sender *s)
{
	if (!s->journal || !s->journal->partitions)
		return;
	list_each(it, &s->metadata.topics) {
		struct topic *t = list_entry(it, struct topic, node);
		int32_t count = t->partition_count;

		if (!t->known || count <= 0 || count == t->told_count)
			continue;
		t->told_count = count;
		s->journal->partitions(s->journal->arg, t->name, count);
	}
}

static void apply(struct sender *s, const struct api_metadata *a)
{
	const char *cluster = metadata_cluster_id(&s->metadata);

	sender_take_brokers(s, a);
	metadata_apply(&s->metadata, a, s->now_ms);
	tell_counts(s);
	if (cluster && cluster != metadata_cluster_id(&s->metadata)) {
		forget_identities(s);
		s->rebootstrap_due = true;	/* connections to the other one must not be used any more */
	}
	check_streams(s);
	s->topic_events_due = true;
	wake_waiters(s);
}

int sender_take_metadata(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n)
{
	struct api_metadata a;
	int rc;

	if (describe_answered(s->p, c, r, data, n, &rc))
		return rc;
	rc = api_metadata_response(data, n, r->version, r->correlation_id, &a);
	if (rc < 0) {
		metadata_failed(&s->metadata, s->now_ms);
		return rc;
	}
	sender_throttled(s, c, a.throttle_ms);
	s->rebootstrap_due |= a.error == CODE_REBOOTSTRAP &&
			      s->config->metadata_recovery_strategy == METADATA_RECOVERY_REBOOTSTRAP;
	/* A broker that starts may know none, not even itself. */
	if (a.error || a.broker_count == 0)
		metadata_failed(&s->metadata, s->now_ms);
	else
		apply(s, &a);
	api_metadata_release(&a);
	return 0;
}

void sender_metadata_lost(struct sender *s, struct conn *c, const struct request *r)
{
	if (!describe_lost(s->p, c, r))
		metadata_failed(&s->metadata, s->now_ms);
}

static void learn_endpoint(void *arg, const struct api_endpoint *e)
{
	sender_learn(arg, e->id, e->host, e->port);
}

void sender_take_endpoints(struct sender *s, const struct request *r, const void *data, size_t n)
{
	if (r->version >= 10)
		api_produce_endpoints(data, n, r->version, r->correlation_id, learn_endpoint, s);
}

/* --- the step --- */

void sender_cluster(struct sender *s)
{
	bool want = !list_empty(&s->busy) || !list_empty(&s->streams);

	sender_take_names(s);
	sender_tick_conns(s);
	if (s->rebootstrap_due) {
		s->rebootstrap_due = false;
		sender_rebootstrap(s);
	}
	settle_streams(s);
	note_used(s);
	want |= sender_look_after(s);
	want |= describe_step(s->p);
	watch_metadata(s, &want);
	sender_ask_id(s, &want);
	if (want && !sender_any_up(s))
		sender_connect_someone(s);
}

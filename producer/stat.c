/* stat.c - a copy of what the sender knows, for people.
 *
 * Why a copy made by the sender: nothing it owns needs a lock, and the numbers of one snapshot fit together.
 * Threads: producer_stat and stat_ask any; fill runs on the sender's, or on any when the sender does not run.
 * Failure no memory -> ERR_NOMEM, nothing to release.
 */
#include "producer/core.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"

#define STAT_WAIT_MS 5000

static void copy(char *to, size_t n, const char *from)
{
	snprintf(to, n, "%s", from ? from : "");
}

/* --- brokers --- */

static const struct conn *better(const struct broker *b)
{
	return b->conn[CONN_APART].state > b->conn[CONN_MAIN].state ? &b->conn[CONN_APART] : &b->conn[CONN_MAIN];
}

/* Without a fault and without a connection a broker is idle, not down: the cluster lists the living only, and a connection
 * that nothing needs is closed after connections.max.idle.ms, or never opened. */
static const char *state_of(const struct broker *b)
{
	const struct conn *c = better(b);

	if (b->id >= 0 && c->state == CONN_DOWN && !b->conn[CONN_MAIN].error[0] && !b->conn[CONN_APART].error[0])
		return "up";
	return conn_state_name(c);
}

/* Entries of bootstrap.servers are shown until the cluster has told its brokers. */
static bool any_real_broker(const struct sender *s)
{
	list_each(it, &s->brokers)
		if (list_entry(it, struct broker, node)->id >= 0 && !list_entry(it, struct broker, node)->gone)
			return true;
	return false;
}

static int fill_brokers(const struct sender *s, struct producer_stat *ret)
{
	bool real = any_real_broker(s);

	ret->brokers = mem_array(struct producer_broker_stat, list_count(&s->brokers) + 1);
	if (!ret->brokers)
		return ERR_NOMEM;
	list_each(it, &s->brokers) {
		const struct broker *b = list_entry(it, struct broker, node);
		struct producer_broker_stat *to = &ret->brokers[ret->broker_count];

		if (b->gone || (real && b->id < 0))
			continue;
		to->id = b->id;
		to->port = b->port;
		copy(to->host, sizeof to->host, b->host);
		copy(to->state, sizeof to->state, state_of(b));
		copy(to->error, sizeof to->error, conn_up(better(b)) ? "" : b->conn[CONN_MAIN].error);
		to->refused = to->error[0] && b->conn[CONN_MAIN].refused;
		ret->broker_count++;
	}
	return 0;
}

/* --- partitions --- */

static void fill_partition(struct producer_partition_stat *to, const struct topic *t, const struct stream *st)
{
	copy(to->topic, sizeof to->topic, t->name);
	to->partition = st->partition;
	to->leader = topic_leader(t, st->partition);
	to->records = st->acked_records;
	to->bytes = st->acked_bytes;
	to->last_offset = st->last_offset;
	copy(to->error, sizeof to->error, st->last_code ? api_error(st->last_code)->name : "");
}

static int fill_partitions(const struct sender *s, struct producer_stat *ret)
{
	size_t n = 0;

	list_each(it, &s->metadata.topics) {
		const struct topic *t = list_entry(it, struct topic, node);

		for (int32_t i = 0; i < t->stream_cap; i++)
			n += t->streams[i] != NULL;
	}
	ret->partitions = mem_array(struct producer_partition_stat, n + 1);
	if (!ret->partitions)
		return ERR_NOMEM;
	list_each(it, &s->metadata.topics) {
		const struct topic *t = list_entry(it, struct topic, node);

		for (int32_t i = 0; i < t->stream_cap; i++)
			if (t->streams[i])
				fill_partition(&ret->partitions[ret->partition_count++], t, t->streams[i]);
	}
	return 0;
}

/* --- lanes --- */

static void fill_reason(const struct sender *s, const struct lane *l, struct producer_lane_stat *to)
{
	const struct topic *t = l->topic;
	const struct stream *st = sender_stuck_stream(l);
	char why[340];

	if (sender_topic_faulty(s, t))
		snprintf(to->reason, sizeof to->reason, "the topic cannot be written: %s", api_error(t->error)->name);
	else if (st)
		snprintf(to->reason, sizeof to->reason, "partition %d does not take a batch: %s", st->partition,
			 stream_held(st) ? stream_hold_text(st, why, sizeof why) : api_error(st->last_code)->name);
	else if (t->known && l->partition >= t->partition_count)
		snprintf(to->reason, sizeof to->reason, "the topic has no such partition");
	to->held = to->reason[0] != 0;
	to->full = atomic_load(&l->held) && atomic_load(&l->bytes) > atomic_load(&l->share) / 2;
}

static int fill_lanes(const struct sender *s, struct producer_stat *ret)
{
	ret->lanes = mem_array(struct producer_lane_stat, list_count(&s->lanes) + 1);
	if (!ret->lanes)
		return ERR_NOMEM;
	list_each(it, &s->lanes) {
		const struct lane *l = list_entry(it, struct lane, node);
		struct producer_lane_stat *to = &ret->lanes[ret->lane_count++];

		copy(to->topic, sizeof to->topic, l->topic->name);
		to->partition = l->partition;
		to->waits = l->waits;
		to->in_memory = atomic_load(&l->in_memory);
		to->backlog = l->seen_backlog + l->returned_count;
		fill_reason(s, l, to);
	}
	return 0;
}

/* --- all of it --- */

static int fill(struct producer *p, void *arg)
{
	const struct sender *s = &p->sender;
	struct producer_stat *ret = arg;
	int rc;

	*ret = (struct producer_stat){
		.producer_id = s->id.producer_id, .producer_epoch = s->id.epoch,
		.buffer_total = budget_total(p->budget), .buffer_used = budget_used(p->budget),
		.in_flight = s->in_flight, .any_broker_up = sender_any_up(s), .last_ack_ms = s->last_ack_ms,
	};
	copy(ret->security_note, sizeof ret->security_note, s->security_note);
	rc = fill_brokers(s, ret);
	if (rc == 0)
		rc = fill_partitions(s, ret);
	if (rc == 0)
		rc = fill_lanes(s, ret);
	if (rc < 0)
		producer_stat_release(ret);
	return rc;
}

int stat_ask(struct producer *p, int (*fill_)(struct producer *p, void *arg), void *arg)
{
	struct stat_request q = { .fill = fill_, .arg = arg, .rc = ERR_TIMEOUT };
	int64_t at_ms = clock_mono_ms() + STAT_WAIT_MS;
	bool in_time = true;

	if (!p->running)
		return fill_(p, arg);
	pthread_mutex_lock(&p->mu);
	if (p->stopped) {
		q.rc = fill_(p, arg);
		q.done = true;
	} else {
		list_push_back(&p->stat_requests, &q.node);
		accum_wake(&p->accum);
	}
	while (!q.done && in_time)
		in_time = producer_wait(p, at_ms);
	if (!q.done)
		list_remove(&q.node);
	pthread_mutex_unlock(&p->mu);
	return q.rc;
}

int producer_stat(struct producer *p, struct producer_stat *ret)
{
	return stat_ask(p, fill, ret);
}

void producer_stat_release(struct producer_stat *s)
{
	mem_free(s->brokers);
	mem_free(s->partitions);
	mem_free(s->lanes);
	*s = (struct producer_stat){ .last_ack_ms = -1 };
}

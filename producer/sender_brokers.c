/* sender_brokers.c - the brokers: come and gone, up and down, and which of them is asked.
 *
 * Why any broker will do: metadata and producer ids are asked from whoever is connected and has least to do. When nobody
 * is, all known brokers and the configured ones are tried in turn, so a cluster that moved altogether is found again by
 * its bootstrap names (KIP-899; with metadata.recovery.strategy none only by what is known).
 * Invariants
 *  (1) a struct broker, once made, stays in memory as long as the producer lives: a look-up on its way points to it. One
 *      that is `gone` is nobody's any more and is used for the next that comes.
 *  (2) what a gone broker still owes is waited for or times out; it gets nothing new.
 * Failure no memory for a broker: it is met again with the next metadata.
 */
#include "producer/sender.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/core.h"

#define CONNECT_APART_MS 1000	/* between two tries while one is on its way */

/* --- structs --- */

static struct broker *broker_at(struct list *it)
{
	return list_entry(it, struct broker, node);
}

static bool all_down(const struct broker *b)
{
	for (int i = 0; i < CONN_KINDS; i++)
		if (b->conn[i].state != CONN_DOWN)
			return false;
	return true;
}

/* One that nobody needs any more, or a new one. */
static struct broker *blank(struct sender *s)
{
	list_each(it, &s->brokers) {
		struct broker *b = broker_at(it);

		if (!b->gone || !all_down(b))
			continue;
		list_remove(it);
		for (int i = 0; i < CONN_KINDS; i++)
			conn_release(&b->conn[i], s->now_ms);
		return b;
	}
	return mem_new(struct broker);
}

struct broker *sender_broker_new(struct sender *s, int32_t id, const char *host, int port)
{
	struct broker *b = blank(s);
	uint32_t tickets[CONN_KINDS];

	if (!b)
		return NULL;
	for (int i = 0; i < CONN_KINDS; i++)
		tickets[i] = b->conn[i].ticket;
	*b = (struct broker){ .id = id, .port = port, .life = ++s->lives };
	snprintf(b->host, sizeof b->host, "%s", host);
	for (int i = 0; i < CONN_KINDS; i++) {
		conn_init(&b->conn[i], &s->conn_conf, b, host, port);
		b->conn[i].node = &b->metrics;
		b->conn[i].ticket = tickets[i];		/* a look-up for who had the struct before must not fit */
		list_init(&b->gather[i]);
	}
	list_push_back(&s->brokers, &b->node);
	return b;
}

struct broker *sender_broker(const struct sender *s, int32_t id)
{
	list_each(it, &s->brokers)
		if (broker_at(it)->id == id && !broker_at(it)->gone)
			return broker_at(it);
	return NULL;
}

static void fault_over(struct sender *s, struct broker *b)
{
	b->suspect = false;
	if (!b->reported)
		return;
	b->reported = false;
	sender_tell(s, NULL, b->id, NULL);
}

static void close_conns(struct sender *s, struct broker *b, bool only_quiet)
{
	for (int i = 0; i < CONN_KINDS; i++)
		if (!only_quiet || conn_waiting_since(&b->conn[i]) < 0)
			conn_close(&b->conn[i], NULL, s->now_ms);
}

void sender_forget(struct sender *s, struct broker *b, bool at_once)
{
	fault_over(s, b);
	b->gone = true;
	/* If it comes back it has connections of its own: what is owed on these is waited for, as when another one leads. */
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (topic_leader(st->owner, st->partition) == b->id)
			stream_moved(st);
	}
	if (at_once)
		close_conns(s, b, false);
	else
		sender_lower_wake(s, s->now_ms);
}

/* --- what the cluster says --- */

static void move(struct sender *s, struct broker *b, const char *host, int port)
{
	snprintf(b->host, sizeof b->host, "%s", host);
	b->port = port;
	for (int i = 0; i < CONN_KINDS; i++) {
		struct conn *c = &b->conn[i];

		/* What is connected stays until it breaks. */
		if (!conn_up(c))
			conn_close(c, NULL, s->now_ms);
		snprintf(c->host, sizeof c->host, "%s", host);
		c->port = port;
		c->retry_at_ms = 0;
		c->failures = 0;
	}
}

void sender_learn(struct sender *s, int32_t id, const char *host, int port)
{
	struct broker *b;

	/* An empty host with port -1 is a broker without this listener. */
	if (id < 0 || port <= 0 || port > 65535 || !host || !host[0])
		return;
	b = sender_broker(s, id);
	if (!b)
		sender_broker_new(s, id, host, port);
	else if (strcmp(b->host, host) != 0 || b->port != port)
		move(s, b, host, port);
}

static bool listed(const struct api_metadata *a, int32_t id)
{
	for (size_t i = 0; i < a->broker_count; i++)
		if (a->brokers[i].id == id)
			return true;
	return false;
}

void sender_take_brokers(struct sender *s, const struct api_metadata *a)
{
	for (size_t i = 0; i < a->broker_count; i++)
		sender_learn(s, a->brokers[i].id, a->brokers[i].host, a->brokers[i].port);
	list_each_safe(it, &s->brokers)
		if (broker_at(it)->id >= 0 && !broker_at(it)->gone && !listed(a, broker_at(it)->id))
			sender_forget(s, broker_at(it), false);
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

/* --- connections --- */

bool sender_want(struct sender *s, struct conn *c)
{
	if (conn_want(c, s->now_ms))
		return true;
	sender_lower_wake(s, c->retry_at_ms);
	return false;
}

static bool broker_up(const struct broker *b)
{
	for (int i = 0; i < CONN_KINDS; i++)
		if (conn_up(&b->conn[i]))
			return true;
	return false;
}

bool sender_any_up(const struct sender *s)
{
	list_each(it, &s->brokers)
		if (!broker_at(it)->gone && broker_up(broker_at(it)))
			return true;
	return false;
}

void sender_broker_up(struct sender *s, struct broker *b)
{
	fault_over(s, b);
	if (b->id < 0)
		return;
	/* The cluster is there: whether its bootstrap names are does not matter now. */
	list_each(it, &s->brokers)
		if (broker_at(it)->id < 0)
			fault_over(s, broker_at(it));
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
	/* One that failed may mean that it was restarted; and without any nobody would see that. */
	if (why || !broker_up(b))
		b->life = ++s->lives;
	if (!why)
		return;
	metadata_want_refresh(&s->metadata);
	snprintf(text, sizeof text, "%s:%d: %s", b->host, b->port, why);
	if (b->gone || b->reported || broker_up(b))
		return;
	/* Nobody waits for it: a broker may close what is idle, or be restarted. If it is back at once, that is no news. */
	if (!b->suspect && list_empty(&s->busy) && list_empty(&s->streams)) {
		b->suspect = true;
		return;
	}
	b->reported = true;
	sender_tell(s, NULL, b->id, text);
}

static bool in_doubt(const struct broker *b)
{
	return !b->gone && (b->suspect || b->reported);
}

bool sender_look_after(struct sender *s)
{
	bool any = false;

	list_each(it, &s->brokers) {
		struct broker *b = broker_at(it);

		if (!in_doubt(b))
			continue;
		any = true;
		if (b->id >= 0)
			sender_want(s, &b->conn[CONN_MAIN]);
	}
	return any;
}

struct conn *sender_least_busy(struct sender *s)
{
	struct conn *best = NULL;

	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS && !broker_at(it)->gone; i++) {
			struct conn *c = &broker_at(it)->conn[i];

			if (!conn_ready(c))
				continue;
			if (c->throttled_until_ms > s->now_ms)
				sender_lower_wake(s, c->throttled_until_ms);
			else if (!best || c->in_flight < best->in_flight)
				best = c;
		}
	return best;
}

static bool connecting(const struct sender *s)
{
	list_each(it, &s->brokers) {
		const struct conn *c = &broker_at(it)->conn[CONN_MAIN];

		if (!broker_at(it)->gone && c->state != CONN_DOWN && !conn_up(c))
			return true;
	}
	return false;
}

static bool any_learned(const struct sender *s)
{
	list_each(it, &s->brokers)
		if (broker_at(it)->id >= 0 && !broker_at(it)->gone)
			return true;
	return false;
}

static bool may_try(struct sender *s, struct broker *b, bool only_learned)
{
	if (b->gone || (only_learned && b->id < 0))
		return false;
	return !sender_canonical(s, b) && b->conn[CONN_MAIN].state == CONN_DOWN;
}

/* Nobody is connected: try the next one in turn, another one when the last takes long. */
void sender_connect_someone(struct sender *s)
{
	bool only_learned = s->config->metadata_recovery_strategy == METADATA_RECOVERY_NONE && any_learned(s);

	if (connecting(s) && s->connect_ms + CONNECT_APART_MS > s->now_ms) {
		sender_lower_wake(s, s->connect_ms + CONNECT_APART_MS);
		return;
	}
	list_each_safe(it, &s->brokers) {
		if (!may_try(s, broker_at(it), only_learned) || !sender_want(s, &broker_at(it)->conn[CONN_MAIN]))
			continue;
		list_remove(it);
		list_push_back(&s->brokers, it);
		s->connect_ms = s->now_ms;
		sender_lower_wake(s, s->connect_ms + CONNECT_APART_MS);
		return;
	}
}

void sender_tick_conns(struct sender *s)
{
	list_each(it, &s->brokers) {
		struct broker *b = broker_at(it);

		for (int i = 0; i < CONN_KINDS; i++)
			conn_tick(&b->conn[i], s->now_ms);
		if (b->gone)
			close_conns(s, b, true);
	}
}

void sender_watch_conns(struct sender *s)
{
	list_each(it, &s->brokers)
		for (int i = 0; i < CONN_KINDS; i++)
			sender_lower_wake(s, conn_due_ms(&broker_at(it)->conn[i]));
}

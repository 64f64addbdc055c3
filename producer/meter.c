/* meter.c - producer_metrics: the sender copies what it counted, the caller reads the copy.
 *
 * Threads: any; take runs on the sender's. Failure no memory -> ERR_NOMEM, and the caller is told nothing.
 */
#include "producer/core.h"

#include <stdatomic.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/code.h"

struct copy {
	struct metrics all;
	struct metrics_now now;
	struct node_metrics *node_copies;
	struct topic_metrics *topic_copies;
	struct node_row *nodes; size_t node_count;
	struct topic_row *topics; size_t topic_count;
	struct partition_row *partitions; size_t partition_count;
};

static size_t count_streams(const struct metadata *m)
{
	size_t n = 0;

	list_each(it, &m->topics)
		n += (size_t)list_entry(it, struct topic, node)->stream_cap;
	return n;
}

static int make_room(struct copy *c, const struct sender *s)
{
	size_t nodes = list_count(&s->brokers) + 1, topics = list_count(&s->metadata.topics) + 1;

	c->node_copies = mem_array(struct node_metrics, nodes);
	c->nodes = mem_array(struct node_row, nodes);
	c->topic_copies = mem_array(struct topic_metrics, topics);
	c->topics = mem_array(struct topic_row, topics);
	c->partitions = mem_array(struct partition_row, count_streams(&s->metadata) + 1);
	return c->node_copies && c->nodes && c->topic_copies && c->topics && c->partitions ? 0 : ERR_NOMEM;
}

static void release(struct copy *c)
{
	mem_free(c->node_copies);
	mem_free(c->nodes);
	mem_free(c->topic_copies);
	mem_free(c->topics);
	mem_free(c->partitions);
}

static void take_nodes(struct copy *c, const struct sender *s)
{
	list_each(it, &s->brokers) {
		const struct broker *b = list_entry(it, struct broker, node);

		for (int i = 0; i < CONN_KINDS && !b->gone; i++)
			c->now.connections += conn_up(&b->conn[i]);
		for (int i = 0; i < CONN_KINDS && !b->gone; i++)
			c->now.requests_in_flight += b->conn[i].in_flight;
		if (b->gone || b->id < 0)
			continue;
		c->node_copies[c->node_count] = b->metrics;
		c->nodes[c->node_count] = (struct node_row){ b->id, &c->node_copies[c->node_count] };
		c->node_count++;
	}
}

static void take_partitions(struct copy *c, const struct topic *t)
{
	for (int32_t i = 0; i < t->stream_cap; i++) {
		const struct stream *st = t->streams[i];

		if (st && st->acked_records)
			c->partitions[c->partition_count++] = (struct partition_row){
				t->name, i, st->acked_records, st->acked_bytes, st->last_offset };
	}
}

static void take_topics(struct copy *c, const struct sender *s)
{
	list_each(it, &s->metadata.topics) {
		const struct topic *t = list_entry(it, struct topic, node);

		c->topic_copies[c->topic_count] = t->metrics;
		c->topics[c->topic_count] = (struct topic_row){ t->name, &c->topic_copies[c->topic_count] };
		c->topic_count++;
		take_partitions(c, t);
	}
}

static int take(struct producer *p, void *arg)
{
	const struct sender *s = &p->sender;
	struct copy *c = arg;
	int rc = make_room(c, s);

	if (rc < 0)
		return rc;
	c->all = s->metrics;
	c->now = (struct metrics_now){
		.now_ms = clock_mono_ms(), .buffer_total = budget_total(p->budget),
		.buffer_available = budget_total(p->budget) - budget_used(p->budget),
	};
	c->now.metadata_age_ms = s->metadata.fresh_ms < 0 ? -1 : c->now.now_ms - s->metadata.fresh_ms;
	take_nodes(c, s);
	take_topics(c, s);
	return 0;
}

int producer_metrics(struct producer *p, void (*fn)(void *arg, const struct producer_metric *m), void *arg)
{
	struct copy *c;
	int rc;

	if (producer_on_sender(p))
		return PRODUCER_ERR_SYSTEM;
	rc = producer_enter(p);
	if (rc < 0)
		return code_public(rc);
	c = mem_new(struct copy);
	rc = c ? stat_ask(p, take, c) : ERR_NOMEM;
	if (rc == 0) {
		metrics_each(&c->all, &p->metrics, &c->now, fn, arg);
		metrics_each_node(c->nodes, c->node_count, c->now.now_ms, fn, arg);
		metrics_each_topic(c->topics, c->topic_count, c->now.now_ms, fn, arg);
		metrics_each_partition(c->partitions, c->partition_count, fn, arg);
	}
	/* After a time-out nobody writes into it any more: stat_ask took it back. */
	if (c)
		release(c);
	mem_free(c);
	producer_leave(p);
	return code_public(rc);
}

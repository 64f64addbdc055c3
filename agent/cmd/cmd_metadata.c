/* cmd_metadata.c - `spillway metadata`: what a broker says of its cluster. Thread: main. */
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/cmd/client.h"

#define TIMEOUT_MS 15000

/* --- JSON --- */

static void put_ids(struct buf *o, const char *name, const int32_t *ids, size_t n)
{
	buf_printf(o, ",\"%s\":[", name);
	for (size_t i = 0; i < n; i++)
		buf_printf(o, "%s%d", i ? "," : "", ids[i]);
	buf_puts(o, "]");
}

static void put_string(struct buf *o, const char *s)
{
	if (s)
		buf_put_json(o, s, SIZE_MAX);
	else
		buf_puts(o, "null");
}

static void put_error(struct buf *o, int error)
{
	buf_puts(o, ",\"error\":");
	put_string(o, error ? producer_error_name(error) : NULL);
}

/* As Kafka prints it: base64 for URLs, without padding. Old brokers have none. */
static void put_topic_id(struct buf *o, const uint8_t id[16])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static const uint8_t none[16];
	char text[23] = "";

	if (!memcmp(id, none, sizeof none)) {
		buf_puts(o, "null");
		return;
	}
	for (int i = 0; i < 22; i++) {
		int bit = i * 6, at = bit / 8;
		unsigned int two = (unsigned int)id[at] << 8 | (at < 15 ? id[at + 1] : 0);

		text[i] = digits[two >> (10 - bit % 8) & 63];
	}
	buf_put_json(o, text, 22);
}

static void put_partition(struct buf *o, const struct producer_partition_info *p)
{
	buf_printf(o, "{\"partition\":%d,\"leader\":%d,\"leader_epoch\":%d", p->partition, p->leader, p->leader_epoch);
	put_ids(o, "replicas", p->replicas, p->replica_count);
	put_ids(o, "isr", p->isr, p->isr_count);
	put_error(o, p->error);
	buf_puts(o, "}");
}

static void put_topic(struct buf *o, const struct producer_topic_desc *t)
{
	buf_puts(o, "{\"name\":");
	put_string(o, t->topic);
	buf_puts(o, ",\"id\":");
	put_topic_id(o, t->id);
	buf_printf(o, ",\"internal\":%s", t->internal ? "true" : "false");
	put_error(o, t->error);
	buf_puts(o, ",\"partitions\":[");
	for (size_t i = 0; i < t->partition_count; i++) {
		buf_puts(o, i ? "," : "");
		put_partition(o, &t->partitions[i]);
	}
	buf_puts(o, "]}");
}

static void put_json(struct buf *o, const struct producer_cluster *c)
{
	buf_puts(o, "{\"cluster_id\":");
	put_string(o, c->cluster_id);
	buf_printf(o, ",\"controller\":%d,\"brokers\":[", c->controller);
	for (size_t i = 0; i < c->broker_count; i++) {
		buf_printf(o, "%s{\"id\":%d,\"host\":", i ? "," : "", c->brokers[i].id);
		put_string(o, c->brokers[i].host);
		buf_printf(o, ",\"port\":%d,\"rack\":", c->brokers[i].port);
		put_string(o, c->brokers[i].rack);
		buf_puts(o, "}");
	}
	buf_puts(o, "],\"topics\":[");
	for (size_t i = 0; i < c->topic_count; i++) {
		buf_puts(o, i ? "," : "");
		put_topic(o, &c->topics[i]);
	}
	buf_puts(o, "]}\n");
}

/* --- text --- */

static void say_ids(struct buf *o, const char *name, const int32_t *ids, size_t n)
{
	buf_printf(o, "  %s ", name);
	for (size_t i = 0; i < n; i++)
		buf_printf(o, "%s%d", i ? "," : "", ids[i]);
}

static void say_topic(struct buf *o, const struct producer_topic_desc *t)
{
	buf_printf(o, "  %s  %zu partition%s%s%s\n", t->topic, t->partition_count, t->partition_count == 1 ? "" : "s",
		   t->error ? "  " : "", t->error ? producer_error_name(t->error) : "");
	for (size_t i = 0; i < t->partition_count; i++) {
		const struct producer_partition_info *p = &t->partitions[i];

		buf_printf(o, "    %d  leader %d", p->partition, p->leader);
		say_ids(o, "replicas", p->replicas, p->replica_count);
		say_ids(o, "isr", p->isr, p->isr_count);
		buf_printf(o, "%s%s\n", p->error ? "  " : "", p->error ? producer_error_name(p->error) : "");
	}
}

static void put_text(struct buf *o, const struct producer_cluster *c)
{
	buf_printf(o, "cluster %s, controller %d\n", c->cluster_id ? c->cluster_id : "(no id)", c->controller);
	buf_printf(o, "%zu broker%s\n", c->broker_count, c->broker_count == 1 ? "" : "s");
	for (size_t i = 0; i < c->broker_count; i++)
		buf_printf(o, "  %d  %s:%d%s%s\n", c->brokers[i].id, c->brokers[i].host, c->brokers[i].port,
			   c->brokers[i].rack ? "  rack " : "", c->brokers[i].rack ? c->brokers[i].rack : "");
	buf_printf(o, "%zu topic%s\n", c->topic_count, c->topic_count == 1 ? "" : "s");
	for (size_t i = 0; i < c->topic_count; i++)
		say_topic(o, &c->topics[i]);
}

/* A topic that was asked for by name must be there. */
static int topics_exit_code(const struct options *o, const struct producer_cluster *c)
{
	for (size_t i = 0; o->topic && i < c->topic_count; i++)
		if (c->topics[i].error) {
			fprintf(stderr, "spillway: %s: %s\n", c->topics[i].topic, producer_error_name(c->topics[i].error));
			return client_exit_code(c->topics[i].error);
		}
	return EXIT_GOOD;
}

int cmd_metadata(const struct options *o)
{
	struct client client;
	struct producer_cluster cluster;
	struct producer_error err;
	struct buf out;
	int rc = client_open(o, &client), code;

	if (rc)
		return rc;
	rc = producer_describe(client.producer, o->topic ? &o->topic : NULL, o->topic ? 1 : 0, TIMEOUT_MS, &cluster, &err);
	if (rc < 0) {
		fprintf(stderr, "spillway: %s\n", err.text);
		client_close(&client, 0);
		return client_exit_code(rc);
	}
	buf_init(&out, 256u << 20);
	if (o->json)
		put_json(&out, &cluster);
	else
		put_text(&out, &cluster);
	fwrite(out.data, 1, out.len, stdout);
	code = out.failed ? EXIT_INTERNAL : topics_exit_code(o, &cluster);
	buf_release(&out);
	producer_cluster_release(&cluster);
	client_close(&client, 0);
	return code;
}

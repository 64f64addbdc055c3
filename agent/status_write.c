/* status_write.c - one status as JSON; names are the users' contract. What people see is in status_text.c. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "agent/status.h"

/* JSON members are written with a leading comma except behind an opening bracket. */
static void comma(struct buf *o)
{
	char last = o->len ? o->data[o->len - 1] : '{';

	if (last != '{' && last != '[' && last != ':')
		buf_puts(o, ",");
}

static void key(struct buf *o, const char *k)
{
	comma(o);
	buf_put_json(o, k, SIZE_MAX);
	buf_puts(o, ":");
}

static void num(struct buf *o, const char *k, int64_t v)
{
	key(o, k);
	buf_printf(o, "%" PRId64, v);
}

static void real(struct buf *o, const char *k, double v)
{
	key(o, k);
	buf_printf(o, "%.1f", v);
}

/* A time to come, in s; below 0 it does not come. */
static void ahead(struct buf *o, const char *k, double s)
{
	key(o, k);
	if (s < 0)
		buf_puts(o, "null");
	else
		buf_printf(o, "%.0f", s);
}

static void str(struct buf *o, const char *k, const char *v)
{
	key(o, k);
	if (v)
		buf_put_json(o, v, SIZE_MAX);
	else
		buf_puts(o, "null");
}

static void open_(struct buf *o, const char *k, const char *bracket)
{
	if (k)
		key(o, k);
	else
		comma(o);
	buf_puts(o, bracket);
}

static const char *null_if_empty(const char *s)
{
	return s[0] ? s : NULL;
}

static void json_file(struct buf *o, const struct status_file *f)
{
	open_(o, NULL, "{");
	str(o, "path", f->path);
	num(o, "dev", (int64_t)f->dev);
	num(o, "inode", (int64_t)f->inode);
	num(o, "size", f->size);
	num(o, "read", f->read);
	num(o, "safe", f->safe);
	num(o, "lag_bytes", status_lag_bytes(f));
	real(o, "lag_s", f->lag_s);
	str(o, "state", f->state);
	buf_puts(o, "}");
}

static void json_records(struct buf *o, const struct books_snapshot *b)
{
	open_(o, "records", "{");
	num(o, "read", (int64_t)b->read);
	num(o, "acked", (int64_t)b->acked);
	num(o, "spooled", (int64_t)b->spooled);
	num(o, "in_memory", (int64_t)b->in_memory);
	num(o, "rejected", (int64_t)b->rejected);
	num(o, "dropped", (int64_t)b->dropped);
	num(o, "filtered", (int64_t)b->filtered);
	buf_puts(o, "}");
}

/* Files that no input has any more (SIZE_MAX) stand under the first. */
static void json_inputs(struct buf *o, const struct status *s)
{
	open_(o, "inputs", "[");
	for (size_t i = 0; i < s->conf->input_count; i++) {
		open_(o, NULL, "{");
		str(o, "name", s->conf->inputs[i].name);
		open_(o, "files", "[");
		for (size_t j = 0; j < s->file_count; j++)
			if (s->files[j].input == i || (s->files[j].input == SIZE_MAX && i == 0))
				json_file(o, &s->files[j]);
		buf_puts(o, "]}");
	}
	buf_puts(o, "]");
}

static void json_brokers(struct buf *o, const struct producer_stat *p)
{
	open_(o, "brokers", "[");
	for (size_t i = 0; i < p->broker_count; i++) {
		const struct producer_broker_stat *b = &p->brokers[i];

		open_(o, NULL, "{");
		num(o, "id", b->id);
		str(o, "host", b->host);
		num(o, "port", b->port);
		str(o, "state", b->state);
		str(o, "error", null_if_empty(b->error));
		buf_puts(o, "}");
	}
	buf_puts(o, "]");
}

static void json_partitions(struct buf *o, const struct producer_stat *p)
{
	open_(o, "partitions", "[");
	for (size_t i = 0; i < p->partition_count; i++) {
		const struct producer_partition_stat *t = &p->partitions[i];

		open_(o, NULL, "{");
		str(o, "topic", t->topic);
		num(o, "partition", t->partition);
		num(o, "leader", t->leader);
		num(o, "records", (int64_t)t->records);
		num(o, "bytes", (int64_t)t->bytes);
		num(o, "last_offset", t->last_offset);
		str(o, "error", null_if_empty(t->error));
		buf_puts(o, "}");
	}
	buf_puts(o, "]");
}

static void json_producer(struct buf *o, const struct producer_stat *p)
{
	open_(o, "producer", "{");
	num(o, "producer_id", p->producer_id);
	num(o, "producer_epoch", p->producer_epoch);
	num(o, "buffer_total", (int64_t)p->buffer_total);
	num(o, "buffer_used", (int64_t)p->buffer_used);
	num(o, "in_flight_batches", p->in_flight);
	json_brokers(o, p);
	json_partitions(o, p);
	buf_puts(o, "}");
}

static const struct producer_lane_stat *live_lane(const struct status *s, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < s->producer.lane_count; i++) {
		const struct producer_lane_stat *l = &s->producer.lanes[i];

		if (!l->waits && l->partition == partition && !strcmp(l->topic, topic))
			return l;
	}
	return NULL;
}

static uint64_t spooled_of(const struct status *s, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < s->lane_count; i++)
		if (s->lanes[i].partition == partition && s->lanes[i].topic && !strcmp(s->lanes[i].topic, topic))
			return s->lanes[i].records;
	return 0;
}

static void json_lane(struct buf *o, const char *topic, int32_t partition, const struct producer_lane_stat *l, uint64_t spooled)
{
	open_(o, NULL, "{");
	str(o, "topic", topic);
	key(o, "partition");
	if (partition < 0)
		buf_puts(o, "null");
	else
		buf_printf(o, "%d", partition);
	str(o, "state", l && l->held ? "held" : "open");
	str(o, "reason", l && l->held ? l->reason : NULL);
	num(o, "in_memory", l ? (int64_t)l->in_memory : 0);
	num(o, "spooled", (int64_t)spooled);
	buf_puts(o, "}");
}

static void json_lanes(struct buf *o, const struct status *s)
{
	open_(o, "lanes", "[");
	for (size_t i = 0; i < s->producer.lane_count; i++) {
		const struct producer_lane_stat *l = &s->producer.lanes[i];

		json_lane(o, l->topic, l->partition, l, l->waits ? 0 : spooled_of(s, l->topic, l->partition));
	}
	for (size_t i = 0; i < s->lane_count; i++)
		if (s->lanes[i].topic && !live_lane(s, s->lanes[i].topic, s->lanes[i].partition))
			json_lane(o, s->lanes[i].topic, s->lanes[i].partition, NULL, s->lanes[i].records);
	buf_puts(o, "]");
}

static void json_totals(struct buf *o, const struct status *s)
{
	const struct spool_totals *t = &s->books.totals;

	open_(o, "spool", "{");
	num(o, "rows", (int64_t)t->rows);
	num(o, "records", (int64_t)t->records);
	num(o, "bytes", (int64_t)t->bytes);
	num(o, "oldest_s", status_oldest_s(s));
	num(o, "max_size", t->max_size);
	num(o, "corrupt_rows", (int64_t)t->corrupt_rows);
	ahead(o, "full_in_s", s->full_in_s);
	ahead(o, "drained_in_s", s->drained_in_s);
	buf_puts(o, "}");
	open_(o, "losses", "{");
	num(o, "events", (int64_t)t->loss_events);
	num(o, "records", (int64_t)t->loss_records);
	num(o, "bytes", (int64_t)t->loss_bytes);
	buf_puts(o, "}");
	open_(o, "uncertain", "{");
	num(o, "batches", (int64_t)t->uncertain_batches);
	num(o, "records", (int64_t)t->uncertain_records);
	buf_puts(o, "}");
}

/* One a second, oldest first; small numbers, so that five minutes of them stay below 10 KiB. */
static void json_history(struct buf *o, const struct status *s)
{
	static const struct { const char *name; size_t offset; } columns[] = {
		{ "read", offsetof(struct history_rates, read) }, { "acked", offsetof(struct history_rates, acked) },
		{ "read_bytes", offsetof(struct history_rates, read_bytes) },
	};
	const struct history *h = s->history;
	struct history_rates r;

	open_(o, "history", "{");
	num(o, "every_s", HISTORY_EVERY_MS / 1000);
	for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
		open_(o, columns[c].name, "[");
		for (uint32_t i = 1; h && i < h->count; i++) {
			history_step(h, i, &r);
			comma(o);
			buf_printf(o, "%.0f", *(const double *)((const char *)&r + columns[c].offset));
		}
		buf_puts(o, "]");
	}
	open_(o, "spool_bytes", "[");
	for (uint32_t i = 1; h && i < h->count; i++) {
		comma(o);
		buf_printf(o, "%" PRIu64, history_at(h, i)->spool_bytes);
	}
	buf_puts(o, "]}");
}

/* Each a second, over the last minute; null while nothing is known yet. */
static void json_rates(struct buf *o, const struct history_rates *r)
{
	key(o, "rates");
	if (r->seconds <= 0) {
		buf_puts(o, "null");
		return;
	}
	buf_puts(o, "{");
	real(o, "window_s", r->seconds);
	real(o, "read", r->read);
	real(o, "read_bytes", r->read_bytes);
	real(o, "acked", r->acked);
	real(o, "spooled", r->spooled);
	real(o, "spool_bytes", r->spool_bytes);
	buf_puts(o, "}");
}

static void write_status(const struct status *s, bool history, struct buf *o)
{
	buf_puts(o, "{");
	str(o, "version", SPILLWAY_VERSION);
	num(o, "pid", s->pid);
	real(o, "uptime_s", s->uptime_s);
	str(o, "state", s->state);
	open_(o, "reasons", "[");
	for (size_t at = 0; at < s->reasons.len; at += strlen(s->reasons.data + at) + 1) {
		comma(o);
		buf_put_json(o, s->reasons.data + at, SIZE_MAX);
	}
	buf_puts(o, "]");
	json_records(o, &s->books);
	num(o, "line_splits", (int64_t)s->line_splits);
	json_inputs(o, s);
	json_producer(o, &s->producer);
	json_lanes(o, s);
	json_totals(o, s);
	json_rates(o, &s->rates);
	if (history)
		json_history(o, s);
	buf_puts(o, "}\n");
}

static void write_positions(const struct status *s, struct buf *o)
{
	buf_puts(o, "[");
	for (size_t i = 0; i < s->file_count; i++)
		json_file(o, &s->files[i]);
	buf_puts(o, "]\n");
}

void status_write(const struct status *s, enum status_what what, bool json, struct buf *out)
{
	static const struct status_view plain;

	if (!json && what == STATUS_POSITIONS)
		status_write_positions(s, out);
	else if (!json)
		status_write_text(s, &plain, out);
	else if (what == STATUS_POSITIONS)
		write_positions(s, out);
	else
		write_status(s, what == STATUS_HISTORY, out);
}

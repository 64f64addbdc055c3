/* status_write.c - one status as JSON (names are the users' contract) or as aligned text. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/units.h"
#include "agent/status.h"
#include "agent/record/text_json.h"

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
	num(o, "lag_bytes", f->size > f->safe ? f->size - f->safe : 0);
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

static int64_t oldest_s(const struct spool_totals *t)
{
	return t->rows && t->oldest_ms ? (clock_wall_ms() - t->oldest_ms) / 1000 : 0;
}

static void json_totals(struct buf *o, const struct spool_totals *t)
{
	open_(o, "spool", "{");
	num(o, "rows", (int64_t)t->rows);
	num(o, "records", (int64_t)t->records);
	num(o, "bytes", (int64_t)t->bytes);
	num(o, "oldest_s", oldest_s(t));
	num(o, "max_size", t->max_size);
	num(o, "corrupt_rows", (int64_t)t->corrupt_rows);
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

static void write_status_json(const struct status *s, struct buf *o)
{
	buf_puts(o, "{");
	str(o, "version", SPILLWAY_VERSION);
	num(o, "pid", strcmp(s->state, "stopped") ? (int64_t)getpid() : 0);
	key(o, "uptime_s");
	buf_printf(o, "%.1f", s->uptime_s);
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
	json_totals(o, &s->books.totals);
	buf_puts(o, "}\n");
}

static void write_status_text(const struct status *s, struct buf *o)
{
	const struct books_snapshot *b = &s->books;
	char size[32], max[32];
	int64_t lag = 0;

	for (size_t i = 0; i < s->file_count; i++)
		lag += s->files[i].size > s->files[i].safe ? s->files[i].size - s->files[i].safe : 0;
	buf_printf(o, "spillway %s  %s  up %.0f s\n", SPILLWAY_VERSION, s->state, s->uptime_s);
	for (size_t at = 0; at < s->reasons.len; at += strlen(s->reasons.data + at) + 1) {
		buf_puts(o, "  ! ");
		text_put_printable(o, s->reasons.data + at);
		buf_puts(o, "\n");
	}
	buf_printf(o, "records  read %" PRIu64 " = acked %" PRIu64 " + spooled %" PRIu64 " + in memory %" PRIu64
		" + rejected %" PRIu64 " + dropped %" PRIu64 "   (filtered %" PRIu64 ")\n", b->read, b->acked, b->spooled,
		b->in_memory, b->rejected, b->dropped, b->filtered);
	buf_printf(o, "spool    %" PRIu64 " rows, %s of %s, oldest %" PRId64 " s\n", b->totals.rows,
		units_print_size(size, sizeof size, (int64_t)b->totals.bytes),
		units_print_size(max, sizeof max, b->totals.max_size), oldest_s(&b->totals));
	if (b->totals.loss_events || b->totals.uncertain_batches)
		buf_printf(o, "losses   %" PRIu64 " records, %s (`spillway losses` names them); %" PRIu64 " records may be "
			"in Kafka twice\n", b->totals.loss_records,
			units_print_size(size, sizeof size, (int64_t)b->totals.loss_bytes), b->totals.uncertain_records);
	buf_printf(o, "memory   %zu of %zu bytes, %u batches in flight\n", s->producer.buffer_used,
		s->producer.buffer_total, s->producer.in_flight);
	for (size_t i = 0; i < s->producer.broker_count; i++)
		buf_printf(o, "broker   %d  %s:%d  %s%s%s\n", s->producer.brokers[i].id, s->producer.brokers[i].host,
			s->producer.brokers[i].port, s->producer.brokers[i].state,
			s->producer.brokers[i].error[0] ? ": " : "", s->producer.brokers[i].error);
	buf_printf(o, "files    %zu, %s behind\n", s->file_count, units_print_size(size, sizeof size, lag));
}

static void write_positions(const struct status *s, bool json, struct buf *o)
{
	if (json)
		buf_puts(o, "[");
	else
		buf_printf(o, "%-9s %14s %14s %14s %14s  %s\n", "STATE", "SIZE", "READ", "SAFE", "LAG", "PATH");
	for (size_t i = 0; i < s->file_count; i++) {
		const struct status_file *f = &s->files[i];

		if (json) {
			json_file(o, f);
		} else {
			buf_printf(o, "%-9s %14" PRId64 " %14" PRId64 " %14" PRId64 " %14" PRId64 "  ", f->state, f->size,
				f->read, f->safe, f->size > f->safe ? f->size - f->safe : 0);
			text_put_printable(o, f->path);
			buf_puts(o, "\n");
		}
	}
	if (json)
		buf_puts(o, "]\n");
}

void status_write(const struct status *s, enum status_what what, bool json, struct buf *out)
{
	switch (what) {
	case STATUS_ALL:
		if (json)
			write_status_json(s, out);
		else
			write_status_text(s, out);
		break;
	case STATUS_POSITIONS:
		write_positions(s, json, out);
		break;
	}
}

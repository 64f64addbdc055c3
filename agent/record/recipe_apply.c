/* recipe_apply.c - a message becomes a record: filtered, with its key, headers and topic, in its envelope, then through the
 * interceptors, then serialized.
 *
 * Invariants
 *  (1) what a record becomes depends on the message, what it came with and the recipe alone. There is no clock in here.
 *  (2) a step changes the record whole or leaves it as it was.
 * Threads: the room's. Failure: ERR_NOMEM, and the message is to come again; ERR_BAD_DATA, and the record is to be set aside with
 *	what the steps before made of it. What is only missing (a key, a header, an event time) keeps no record back.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/record/envelope.h"
#include "agent/record/glob.h"
#include "agent/record/recipe_inside.h"
#include "agent/record/text_value.h"
#include "agent/record/timestamp.h"
#include "conf/template.h"

#define EVENT_TIME "event_time"		/* the header */

struct recipe_room {
	struct intercept_scratch *scratch;
	struct pattern_room *patterns;
	struct text_value text;
	struct producer_bytes bytes;
	struct fields fields;
	struct buf topic, key, header_text, envelope, field;
	struct producer_header *headers;
	size_t header_cap;
};

/* One call of recipe_apply. */
struct making {
	const struct recipe *r;
	struct recipe_room *room;
	const struct recipe_input *in;
	struct lane_record *record;
	const char *message;		/* record->value, before any step */
	size_t message_len;
	bool has_time, has_event_time;
	int64_t time_ns;
	intercept_failed_fn *failed;
	void *arg;
	struct err *err;
};

struct recipe_room *recipe_room_new(void)
{
	struct recipe_room *room = mem_new(struct recipe_room);

	if (!room)
		return NULL;
	serialize_init(&room->bytes);
	buf_init(&room->topic, RECIPE_TEXT_MAX);
	buf_init(&room->key, RECIPE_TEXT_MAX);
	buf_init(&room->header_text, RECIPE_TEXT_MAX);
	buf_init(&room->envelope, RECIPE_TEXT_MAX);
	buf_init(&room->field, RECIPE_TEXT_MAX);
	room->scratch = intercept_scratch_new();
	room->patterns = pattern_room_new();
	if (room->scratch && room->patterns)
		return room;
	recipe_room_free(room);
	return NULL;
}

void recipe_room_free(struct recipe_room *room)
{
	if (!room)
		return;
	serialize_release(&room->bytes);
	buf_release(&room->topic);
	buf_release(&room->key);
	buf_release(&room->header_text);
	buf_release(&room->envelope);
	buf_release(&room->field);
	intercept_scratch_free(room->scratch);
	pattern_room_free(room->patterns);
	mem_free(room->headers);
	mem_free(room);
}

const char *recipe_topic(const struct recipe *r, const char *topic)
{
	return r ? intercept_topic(r->chain, topic) : topic;
}

/* --- serializers --- */

bool recipe_is_plain(const char *serializer)
{
	return !serializer || !*serializer || !strcmp(serializer, "bytes") || !strcmp(serializer, "string");
}

/* Text in, the serializer's bytes out: *data is what was given, or lies in text or bytes. */
static int serialize_text(const struct serialize_part *part, const char *serializer, const char *topic, const void **data,
			  size_t *n, struct text_value *text, struct producer_bytes *bytes, struct err *ret_err)
{
	struct producer_error e;
	const void *in;
	size_t len;
	int rc;

	if (text_value(serializer, *data, *n, text) < 0)
		return err_set(ret_err, ERR_BAD_DATA, "%s for topic \"%.60s\": this is no %s", part->name, topic, serializer);
	serialize_release(bytes);
	serialize_init(bytes);
	in = text->data;
	len = text->n;
	rc = serialize(part, topic, &in, &len, bytes, &e);
	if (rc < 0)
		return err_set(ret_err, rc == PRODUCER_ERR_NOMEM ? ERR_NOMEM : ERR_BAD_DATA, "%s", e.text);
	*data = in;
	*n = len;
	return 0;
}

static const struct producer_serializer by_name = { 0 };

int recipe_key(const char *serializer, const char *topic, struct buf *key, struct err *ret_err)
{
	struct serialize_part part = { SERIALIZER_BYTES, &by_name, "key" };
	const void *data = key->data;
	struct producer_bytes bytes;
	struct text_value text;
	size_t n = key->len;
	int rc;

	if (recipe_is_plain(serializer) || serialize_named(serializer, &part.how) < 0)
		return 0;
	serialize_init(&bytes);
	rc = serialize_text(&part, serializer, topic, &data, &n, &text, &bytes, ret_err);
	if (rc == 0 && data != key->data) {
		buf_clear(key);
		rc = buf_put(key, data, n) < 0 ? ERR_NOMEM : 0;
	}
	serialize_release(&bytes);
	return rc;
}

/* --- what the templates ask for --- */

static const char *stream_of(const struct recipe_input *in)
{
	static const char *const names[] = { [MESSAGE_STDOUT] = "stdout", [MESSAGE_STDERR] = "stderr" };

	return in->message && in->message->stream ? names[in->message->stream] : NULL;
}

static int look_up(void *arg, const char *name, size_t n, struct buf *out)
{
	struct making *m = arg;
	const char *stream;

	if (n > 6 && !memcmp(name, "field.", 6))
		return fields_text(&m->room->fields, name + 6, n - 6, out);
	if (n == 4 && !memcmp(name, "time", 4))
		return m->has_time ? timestamp_put(out, m->time_ns) : ERR_NOT_FOUND;
	stream = stream_of(m->in);
	return n == 6 && !memcmp(name, "stream", 6) && stream ? buf_puts(out, stream) : ERR_NOT_FOUND;
}

static struct template_values values_of(struct making *m)
{
	return (struct template_values){ .path = m->in->path, .host = "", .input = "", .offset = m->in->offset, .lookup = look_up,
					 .lookup_arg = m };
}

/* --- the steps: 0, 1 (filtered), ERR_NOMEM, ERR_BAD_DATA with words --- */

static int filter(struct making *m)
{
	const struct filter *f = &m->r->filter;

	if (!f->include.n && !f->exclude.n)
		return 0;
	return filter_drops(f, m->room->patterns, m->message, m->message_len, m->failed, m->arg);
}

/* Its own time before the one that it was framed with. */
static int find_time(struct making *m)
{
	char text[600];
	struct err e;
	int rc;

	m->has_time = m->in->message && m->in->message->has_time;
	m->time_ns = m->has_time ? m->in->message->time_ns : 0;
	if (!m->r->event_time)
		return 0;
	rc = event_time_read(m->r->event_time, m->room->patterns, &m->room->fields, m->message, m->message_len, &m->room->field,
			     &m->time_ns, &e);
	if (rc == 0)
		m->has_time = m->has_event_time = true;
	if (rc != ERR_BAD_DATA)
		return rc;
	snprintf(text, sizeof text, "event_time: %s", e.text);
	m->failed(m->arg, text);
	return 0;
}

static int make_key(struct making *m, const char *topic)
{
	struct template_values v = values_of(m);
	struct buf *key = &m->room->key;
	int rc;

	if (!m->r->key)
		return 0;
	buf_clear(key);
	rc = template_expand(m->r->key, &v, key);
	m->record->key = NULL;
	m->record->key_len = 0;
	if (rc < 0 || !key->len)
		return rc == ERR_NOT_FOUND ? 0 : rc;
	rc = m->r->key_serializer ? recipe_key(m->r->key_serializer, topic, key, m->err) : 0;
	m->record->key = key->data;
	m->record->key_len = key->len;
	return rc;
}

static int reserve_headers(struct making *m)
{
	size_t need = m->r->header_count + 1;
	struct recipe_room *room = m->room;

	if (need <= room->header_cap)
		return 0;
	mem_free(room->headers);
	room->headers = mem_array(struct producer_header, need);
	room->header_cap = room->headers ? need : 0;
	return room->headers ? 0 : ERR_NOMEM;
}

/* The buffer moves while it grows, so where a value lies is known at the end. */
static void take_headers(struct making *m, size_t n)
{
	const char *at = m->room->header_text.data ? m->room->header_text.data : "";

	for (size_t i = 0; i < n; at += m->room->headers[i++].value_len)
		m->room->headers[i].value = at;
	m->record->headers = m->room->headers;
	m->record->header_count = n;
}

static int make_headers(struct making *m)
{
	struct template_values v = values_of(m);
	struct buf *text = &m->room->header_text;
	size_t n = 0;
	int rc;

	if (!m->r->header_count && !m->has_event_time)
		return 0;
	buf_clear(text);
	rc = reserve_headers(m);
	for (size_t i = 0; i < m->r->header_count && rc == 0; i++) {
		size_t from = text->len;

		rc = template_expand(m->r->headers[i].value, &v, text);
		if (rc == 0)
			m->room->headers[n++] = (struct producer_header){ m->r->headers[i].name, NULL, text->len - from };
		rc = rc == ERR_NOT_FOUND ? 0 : rc;
	}
	if (rc == 0 && m->has_event_time) {
		size_t from = text->len;

		rc = timestamp_put(text, m->time_ns);
		m->room->headers[n++] = (struct producer_header){ EVENT_TIME, NULL, text->len - from };
	}
	if (rc == 0)
		take_headers(m, n);
	return rc;
}

static bool allowed(const struct recipe *r, const char *topic)
{
	for (size_t i = 0; i < r->topics_allowed.n; i++)
		if (glob_excludes(r->topics_allowed.v[i], topic))
			return true;
	return !r->topics_allowed.n;
}

static int make_topic(struct making *m, const char **topic)
{
	struct template_values v = values_of(m);
	struct buf *text = &m->room->topic;
	int rc;

	if (!m->r->topic)
		return 0;
	buf_clear(text);
	rc = template_expand_topic(m->r->topic, &v, text);
	if (rc == ERR_NOT_FOUND)
		return err_set(m->err, ERR_BAD_DATA, "topic \"%.100s\": the line does not have what it takes", m->r->topic);
	if (rc == ERR_BAD_DATA)
		return err_set(m->err, rc, "\"%.100s\" is no legal name of a topic", text->data ? text->data : "");
	if (rc == 0 && !allowed(m->r, text->data))
		return err_set(m->err, ERR_BAD_DATA, "topic \"%.100s\" is not in topics_allowed", text->data);
	if (rc == 0)
		*topic = text->data;
	return rc;
}

static int wrap(struct making *m)
{
	const struct envelope e = {
		.message = m->message, .message_len = m->message_len, .path = m->in->path, .offset = m->in->offset,
		.host = m->r->host, .has_time = m->has_time, .time_ns = m->time_ns, .stream = stream_of(m->in),
	};
	struct buf *out = &m->room->envelope;
	int rc;

	if (!m->r->envelope)
		return 0;
	buf_clear(out);
	rc = envelope_put(&e, &m->room->fields, out);
	if (rc == 0) {
		m->record->value = out->data;
		m->record->value_len = out->len;
	}
	return rc;
}

static int intercept(struct making *m, const char *topic)
{
	struct lane_record *record = m->record;
	struct producer_record p = {
		.topic = topic, .partition = -1, .key = record->key, .key_len = record->key_len, .value = record->value,
		.value_len = record->value_len, .headers = record->headers, .header_count = record->header_count, .timestamp = -1,
	};
	int rc = intercept_apply(m->r->chain, &p, m->room->scratch, m->failed, m->arg);

	if (rc < 0)
		return rc;
	record->value = p.value;
	record->value_len = p.value_len;
	record->headers = p.headers;
	record->header_count = p.header_count;
	return rc;
}

static int serialize_value(struct making *m, const char *topic)
{
	const struct serialize_part part = { m->r->value, &by_name, "value" };

	if (!m->r->value_name)
		return 0;
	return serialize_text(&part, m->r->value_name, recipe_topic(m->r, topic), &m->record->value, &m->record->value_len,
			      &m->room->text, &m->room->bytes, m->err);
}

static int make(struct making *m, const char **topic)
{
	int rc = filter(m);

	if (rc == 0)
		rc = find_time(m);
	if (rc == 0)
		rc = make_headers(m);
	if (rc == 0)
		rc = make_key(m, *topic);
	if (rc == 0)
		rc = make_topic(m, topic);
	if (rc == 0)
		rc = wrap(m);
	if (rc == 0)
		rc = intercept(m, *topic);
	return rc == 0 ? serialize_value(m, *topic) : rc;
}

int recipe_apply(const struct recipe *r, struct recipe_room *room, const char *topic, const struct recipe_input *in,
		 struct lane_record *record, const char **ret_topic, intercept_failed_fn *failed, void *arg, struct err *ret_err)
{
	struct making m = {
		.r = r, .room = room, .in = in, .record = record, .message = record->value, .message_len = record->value_len,
		.failed = failed, .arg = arg, .err = ret_err,
	};
	int rc;

	*ret_topic = topic;
	fields_begin(&room->fields, record->value, record->value_len, in->fields);
	rc = make(&m, ret_topic);
	return rc == ERR_NOMEM ? err_set(ret_err, rc, "out of memory") : rc;
}

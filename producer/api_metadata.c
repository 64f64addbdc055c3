/* api_metadata.c - Metadata (3), versions 7 to 13: brokers, topics, leaders.
 *
 *	request   topics array { 10+: id uuid | name | tags } | auto creation bool | 8-10: cluster operations bool
 *		| 8+: topic operations bool | tags
 *	response  throttle int32 | brokers array { id int32 | host | port int32 | rack nullable | tags }
 *		| cluster id nullable | controller int32
 *		| topics array { error int16 | name | 10+: id uuid | internal bool
 *		  | partitions array { error int16 | index int32 | leader int32 | leader epoch int32
 *		    | replicas [int32] | in-sync [int32] | offline [int32] | tags } | 8+: operations int32 | tags }
 *		| 8-10: cluster operations int32 | 13+: error int16 | tags
 *
 * Why twice: following the cluster takes neither racks nor replicas, which are most of a large answer; they are only kept
 * for people who ask (api_metadata_details).
 * Invariant: an array is only asked for once its smallest form is known to be there, so a short frame cannot make us ask
 * for much memory. Failure: what was built so far is released, *ret is not touched.
 */
#include "producer/frame.h"

#include "agent/base/err.h"
#include "agent/base/mem.h"

#define BROKER_BYTES_MIN 10
#define TOPIC_BYTES_MIN 5
#define PARTITION_BYTES_MIN 17

static void put_null_array(struct wire_out *w)
{
	if (w->flexible)
		wire_put_uvarint(w, 0);
	else
		wire_put_i32(w, -1);
}

static int write_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
			 const char *const *topics, size_t n, bool auto_create, bool operations)
{
	static const uint8_t no_id[16];
	struct frame f = frame_begin(out, API_METADATA, version, correlation_id, client_id);

	if (n == API_TOPICS_ALL)
		put_null_array(&f.w);
	else
		wire_put_count(&f.w, n);
	for (size_t i = 0; n != API_TOPICS_ALL && i < n; i++) {
		if (version >= 10)
			buf_put(out, no_id, sizeof no_id);
		wire_put_string(&f.w, topics[i]);
		wire_put_no_tags(&f.w);
	}
	wire_put_i8(&f.w, auto_create);
	if (version >= 8 && version <= 10)
		wire_put_i8(&f.w, operations);
	if (version >= 8)
		wire_put_i8(&f.w, operations);
	wire_put_no_tags(&f.w);
	return frame_end(&f, 0);
}

int api_metadata_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
			 const char *const *topics, size_t n, int allow_auto_create)
{
	return write_request(out, version, correlation_id, client_id, topics, n, allow_auto_create != 0, false);
}

int api_metadata_request_operations(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				    const char *const *topics, size_t n)
{
	return write_request(out, version, correlation_id, client_id, topics, n, false, true);
}

struct parse { struct wire r; int16_t version; bool details; int rc; };

static bool ok(const struct parse *p)
{
	return !p->r.failed && p->rc == 0;
}

static void *array(struct parse *p, size_t n, size_t size)
{
	void *a = mem_calloc(n, size);

	if (!a)
		p->rc = ERR_NOMEM;
	return a;
}

/* A copy that C can use: a NUL inside is bad data. */
static char *text(struct parse *p, const char *s, size_t n)
{
	char *copy;

	if (!s || !ok(p))
		return NULL;
	if (memchr(s, 0, n)) {
		p->r.failed = true;
		return NULL;
	}
	copy = mem_strndup(s, n);
	if (!copy)
		p->rc = ERR_NOMEM;
	return copy;
}

static char *string(struct parse *p)
{
	size_t n;
	const char *s = wire_string(&p->r, &n);

	return text(p, s, n);
}

static char *nullable(struct parse *p)
{
	size_t n;
	const char *s = wire_nullable(&p->r, &n);

	return text(p, s, n);
}

static void read_brokers(struct parse *p, struct api_metadata *m)
{
	size_t n = wire_count(&p->r, BROKER_BYTES_MIN), ignored;

	m->brokers = array(p, n, sizeof *m->brokers);
	for (size_t i = 0; i < n && ok(p); i++) {
		struct api_broker *b = &m->brokers[m->broker_count++];

		b->id = wire_i32(&p->r);
		b->host = string(p);
		b->port = wire_i32(&p->r);
		if (p->details)
			b->rack = nullable(p);
		else
			wire_nullable(&p->r, &ignored);
		wire_no_tags(&p->r);
		/* -1 with an empty host is a listener that is not there; the caller waits. */
		if (b->port < -1 || b->port > UINT16_MAX)
			p->r.failed = true;
	}
}

static void read_ids(struct parse *p, int32_t **ret, size_t *ret_n)
{
	size_t n;

	if (!p->details || !ok(p)) {
		wire_skip_array(&p->r, 4);
		return;
	}
	n = wire_count(&p->r, 4);
	*ret = array(p, n, sizeof **ret);
	for (; *ret && *ret_n < n; (*ret_n)++)
		(*ret)[*ret_n] = wire_i32(&p->r);
}

static void read_partition(struct parse *p, struct api_partition *q)
{
	q->error = wire_i16(&p->r);
	q->index = wire_i32(&p->r);
	q->leader = wire_i32(&p->r);
	q->leader_epoch = wire_i32(&p->r);
	read_ids(p, &q->replicas, &q->replica_count);
	read_ids(p, &q->isr, &q->isr_count);
	wire_skip_array(&p->r, 4);			/* offline */
	wire_no_tags(&p->r);
	if (q->index < 0)
		p->r.failed = true;
}

static void read_topic(struct parse *p, struct api_topic *t)
{
	const void *id = NULL;
	size_t n;

	t->error = wire_i16(&p->r);
	/* Nullable from 12 on, but only in answers to questions by id, which we never ask. */
	t->name = string(p);
	if (p->version >= 10)
		id = wire_bytes(&p->r, sizeof t->id);
	if (id)
		memcpy(t->id, id, sizeof t->id);
	t->internal = wire_i8(&p->r) != 0;
	n = wire_count(&p->r, PARTITION_BYTES_MIN);
	t->partitions = array(p, n, sizeof *t->partitions);
	while (t->partition_count < n && ok(p))
		read_partition(p, &t->partitions[t->partition_count++]);
	t->operations = p->version >= 8 ? wire_i32(&p->r) : API_OPERATIONS_UNKNOWN;
	wire_no_tags(&p->r);
}

static void read_topics(struct parse *p, struct api_metadata *m)
{
	size_t n = wire_count(&p->r, TOPIC_BYTES_MIN);

	m->topics = array(p, n, sizeof *m->topics);
	while (m->topic_count < n && ok(p))
		read_topic(p, &m->topics[m->topic_count++]);
}

static int read_response(const void *data, size_t n, int16_t version, int32_t correlation_id, bool details,
			 struct api_metadata *ret)
{
	struct parse p = { .r = frame_open(data, n, API_METADATA, version, correlation_id), .version = version,
			   .details = details };
	struct api_metadata m = { .throttle_ms = wire_i32(&p.r) };

	if (ok(&p))
		read_brokers(&p, &m);
	m.cluster_id = nullable(&p);
	m.controller = wire_i32(&p.r);
	if (ok(&p))
		read_topics(&p, &m);
	m.operations = version >= 8 && version <= 10 ? wire_i32(&p.r) : API_OPERATIONS_UNKNOWN;
	if (version >= 13)
		m.error = wire_i16(&p.r);
	wire_no_tags(&p.r);
	if (p.rc == 0)
		p.rc = wire_end(&p.r);
	if (p.rc < 0) {
		api_metadata_release(&m);
		return p.rc;
	}
	*ret = m;
	return 0;
}

int api_metadata_response(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_metadata *ret)
{
	return read_response(data, n, version, correlation_id, false, ret);
}

int api_metadata_details(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_metadata *ret)
{
	return read_response(data, n, version, correlation_id, true, ret);
}

void api_metadata_release(struct api_metadata *m)
{
	for (size_t i = 0; i < m->broker_count; i++) {
		mem_free(m->brokers[i].host);
		mem_free(m->brokers[i].rack);
	}
	for (size_t i = 0; i < m->topic_count; i++) {
		for (size_t k = 0; k < m->topics[i].partition_count; k++) {
			mem_free(m->topics[i].partitions[k].replicas);
			mem_free(m->topics[i].partitions[k].isr);
		}
		mem_free(m->topics[i].name);
		mem_free(m->topics[i].partitions);
	}
	mem_free(m->brokers);
	mem_free(m->topics);
	mem_free(m->cluster_id);
	*m = (struct api_metadata){ 0 };
}

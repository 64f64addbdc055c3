/* fake_evidence.c - what the fake broker tells of a partition: producers, offsets, batches.
 *
 * As a real broker: DescribeProducers is answered by every replica, ListOffsets by the leader alone, Fetch by the leader alone up
 * to version 10 and by every replica from 11 on. The high watermark is the end of the log. One thing is not as there: a
 * Fetch at the end of the log is answered at once, whatever it would wait.
 */
#define _GNU_SOURCE
#include "tests/lib/fake_parts.h"

enum { OFFSET_OUT_OF_RANGE = 1, UNKNOWN_TOPIC = 3, NOT_LEADER = 6, TOPIC_AUTHORIZATION_FAILED = 29, UNSUPPORTED_VERSION = 35 };

#define LIST_OFFSETS_MAX 7
#define FETCH_MAX 12			/* from 13 on topics have no names */
#define FETCH_FROM_REPLICAS 11
#define EARLIEST (-2)
#define LATEST (-1)

/* One partition that is asked about. */
struct asked { const struct fake_topic *topic; int32_t index; int16_t wanted; bool leader_only; };

/* Its log, or NULL with the code. */
static const struct fake_log *log_of(const struct fake_request *q, const struct asked *a, int16_t *ret_code)
{
	*ret_code = a->wanted;
	if (!a->wanted && a->topic && a->topic->unreadable)
		*ret_code = TOPIC_AUTHORIZATION_FAILED;
	else if (!a->wanted && (!a->topic || a->index < 0 || a->index >= q->f->partitions))
		*ret_code = UNKNOWN_TOPIC;
	else if (!a->wanted && a->leader_only && q->f->leader[a->index] != q->c->node)
		*ret_code = NOT_LEADER;
	return *ret_code ? NULL : &a->topic->logs[a->index];
}

typedef void partition_fn(struct fake_request *q, struct asked *a);

/* Topics by name, partitions in them: the frame of all three. The index is read and written here. */
static void each_partition(struct fake_request *q, partition_fn *fn, bool leader_only)
{
	struct asked a = { .wanted = fake_wanted_error(q), .leader_only = leader_only };
	size_t topics = wire_count(&q->r, 1), n;

	wire_put_count(&q->w, topics);
	while (topics-- > 0 && !q->r.failed) {
		const char *name = wire_string(&q->r, &n);
		size_t partitions = wire_count(&q->r, 4);

		a.topic = name ? fake_topic_named(q->f, name, n, false) : NULL;
		fake_put_name(&q->w, name ? name : "", n);
		wire_put_count(&q->w, partitions);
		while (partitions-- > 0 && !q->r.failed) {
			a.index = wire_i32(&q->r);
			wire_put_i32(&q->w, a.index);
			fn(q, &a);
			wire_put_no_tags(&q->w);
		}
		wire_no_tags(&q->r);
		wire_put_no_tags(&q->w);
	}
}

/* Throttling is told first and known last. */
static size_t put_throttle(struct fake_request *q)
{
	wire_put_i32(&q->w, 0);
	return q->w.buf->len - 4;
}

static void set_throttle(struct fake_request *q, size_t at)
{
	be32_put((uint8_t *)q->w.buf->data + at, (uint32_t)q->throttle_ms);
}

/* --- DescribeProducers --- */

static void describe_partition(struct fake_request *q, struct asked *a)
{
	int16_t code;
	const struct fake_log *l = log_of(q, a, &code);
	struct wire_out *w = &q->w;
	int n = l ? l->producer_count : 0;

	wire_put_i16(w, code);
	wire_put_string(w, NULL);
	wire_put_count(w, (size_t)n);
	for (int i = 0; i < n; i++) {
		const struct fake_state *s = &l->producers[i];

		wire_put_i64(w, s->id);
		wire_put_i32(w, s->epoch);
		wire_put_i32(w, s->window[s->n - 1].last);
		wire_put_i64(w, s->window[s->n - 1].timestamp);
		wire_put_i32(w, -1);
		wire_put_i64(w, -1);
		wire_put_no_tags(w);
	}
}

void fake_describe_producers(struct fake_request *q)
{
	size_t throttle = put_throttle(q);

	fake_log_expire(q->f);
	each_partition(q, describe_partition, false);
	wire_no_tags(&q->r);
	wire_put_no_tags(&q->w);
	set_throttle(q, throttle);
}

/* --- ListOffsets --- */

static struct fake_found find(const struct fake_log *l, int64_t timestamp)
{
	if (timestamp == EARLIEST)
		return (struct fake_found){ l->start, -1 };
	if (timestamp == LATEST)
		return (struct fake_found){ (int64_t)l->n, -1 };
	return fake_log_find(l, timestamp);
}

static void offset_of_partition(struct fake_request *q, struct asked *a)
{
	struct fake_found found = { -1, -1 };
	const struct fake_log *l;
	int64_t timestamp;
	int16_t code;

	if (q->version >= 4)
		wire_i32(&q->r);
	timestamp = wire_i64(&q->r);
	wire_no_tags(&q->r);
	l = log_of(q, a, &code);
	if (l && timestamp < EARLIEST)
		code = UNSUPPORTED_VERSION;
	else if (l)
		found = find(l, timestamp);
	wire_put_i16(&q->w, code);
	wire_put_i64(&q->w, found.timestamp);
	wire_put_i64(&q->w, found.offset);
	if (q->version >= 4)
		wire_put_i32(&q->w, found.offset < 0 ? -1 : q->f->leader_epoch[a->index]);
}

void fake_list_offsets(struct fake_request *q)
{
	size_t throttle = q->version >= 2 ? put_throttle(q) : 0;

	if (q->version > LIST_OFFSETS_MAX) {
		q->r.failed = true;
		return;
	}
	wire_i32(&q->r);
	if (q->version >= 2)
		wire_i8(&q->r);
	each_partition(q, offset_of_partition, true);
	wire_no_tags(&q->r);
	wire_put_no_tags(&q->w);
	if (q->version >= 2)
		set_throttle(q, throttle);
}

/* --- Fetch --- */

static void put_records(struct fake_request *q, const struct fake_log *l, int64_t offset, int32_t max_bytes)
{
	struct buf records;

	buf_init(&records, FRAME_MAX);
	if (l)
		fake_log_read(l, offset, max_bytes, &records);
	wire_put_count(&q->w, records.len);
	if (records.len)
		buf_put(q->w.buf, records.data, records.len);
	buf_release(&records);
}

static void fetch_partition(struct fake_request *q, struct asked *a)
{
	const struct fake_log *l;
	int64_t offset;
	int32_t max_bytes;
	int16_t code;

	if (q->version >= 9)
		wire_i32(&q->r);
	offset = wire_i64(&q->r);
	if (q->version >= 12)
		wire_i32(&q->r);
	if (q->version >= 5)
		wire_i64(&q->r);
	max_bytes = wire_i32(&q->r);
	wire_no_tags(&q->r);
	l = log_of(q, a, &code);
	if (l && (offset < l->start || offset > (int64_t)l->n)) {
		code = OFFSET_OUT_OF_RANGE;
		l = NULL;
	}
	wire_put_i16(&q->w, code);
	wire_put_i64(&q->w, l ? (int64_t)l->n : -1);
	wire_put_i64(&q->w, l ? (int64_t)l->n : -1);
	if (q->version >= 5)
		wire_put_i64(&q->w, l ? l->start : -1);
	if (q->w.flexible)
		wire_put_uvarint(&q->w, 0);	/* aborted transactions: null, as nobody asked for them */
	else
		wire_put_i32(&q->w, -1);
	if (q->version >= 11)
		wire_put_i32(&q->w, -1);
	put_records(q, l, offset, max_bytes);
}

/* Partitions that a session would forget, and the rack. */
static void read_rest(struct fake_request *q)
{
	size_t n = 0, ignored;

	if (q->version >= 7)
		n = wire_count(&q->r, 1);
	for (; n > 0 && !q->r.failed; n--) {
		wire_string(&q->r, &ignored);
		wire_skip_array(&q->r, 4);
		wire_no_tags(&q->r);
	}
	if (q->version >= 11)
		wire_string(&q->r, &ignored);
	wire_no_tags(&q->r);
}

void fake_fetch(struct fake_request *q)
{
	size_t throttle = put_throttle(q), topics;

	if (q->version > FETCH_MAX) {
		q->r.failed = true;
		return;
	}
	wire_bytes(&q->r, 4 + 4 + 4 + 4 + 1);	/* replica, wait, least, most, isolation */
	if (q->version >= 7) {
		wire_i32(&q->r);		/* a session is not given to anybody */
		wire_i32(&q->r);
		wire_put_i16(&q->w, 0);
		wire_put_i32(&q->w, 0);
	}
	topics = q->w.buf->len;
	each_partition(q, fetch_partition, q->version < FETCH_FROM_REPLICAS);
	read_rest(q);
	if (q->throttle_ms) {
		/* Over its quota a reader gets no data, nor a word about partitions. */
		q->w.buf->len = topics;
		wire_put_count(&q->w, 0);
	}
	wire_put_no_tags(&q->w);
	set_throttle(q, throttle);
}

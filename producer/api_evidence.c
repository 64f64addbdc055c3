/* api_evidence.c - what a partition's leader knows of a producer, and what is in its log: DescribeProducers (61) version 0,
 * ListOffsets (2) versions 1 to 7, Fetch (1) versions 4 to 10.
 *
 *	describe  request   topics array { name | partitions [int32] | tags } | tags
 *	          response  throttle int32 | topics array { name | partitions array { index int32 | error int16 | message nullable
 *	                    | producers array { id int64 | epoch int32 | last sequence int32 | last timestamp int64
 *	                      | coordinator epoch int32 | transaction's first offset int64 | tags } | tags } | tags } | tags
 *	offsets   request   replica int32 (-1) | 2+: isolation int8 (0)
 *	                    | topics array { name | partitions array { index int32 | 4+: leader epoch int32 (-1)
 *	                      | timestamp int64 | tags } | tags } | tags
 *	          response  2+: throttle int32 | topics array { name | partitions array { index int32 | error int16
 *	                    | timestamp int64 | offset int64 | 4+: leader epoch int32 | tags } | tags } | tags
 *	fetch     request   replica int32 (-1) | max wait int32 | min bytes int32 | max bytes int32 | isolation int8 (0)
 *	                    | 7+: session int32 (0), epoch int32 (-1) | topics array { name | partitions array { index int32
 *	                      | 9+: leader epoch int32 (-1) | offset int64 | 5+: log start int64 (-1) | max bytes int32 } }
 *	                    | 7+: forgotten []
 *	          response  throttle int32 | 7+: error int16, session int32 | topics array { name | partitions array { index int32
 *	                    | error int16 | high watermark int64 | last stable int64 | 5+: log start int64
 *	                    | aborted array { id int64 | offset int64 } | records bytes } }
 *
 * Why one partition a request: each is asked by the one who has doubts about it, with an answer of its own size.
 * Why Fetch no further than 10: from 11 on every replica answers a consumer (KIP-392), and one that is behind would prove that a
 * batch is not there. None of these versions has tagged fields.
 * Invariant: an answer is of exactly one partition of one topic, whole and nothing behind it, before any of it is told.
 */
#include "producer/frame.h"

#include "agent/base/err.h"

#define CONSUMER (-1)			/* the replica id of somebody who is none */
#define READ_UNCOMMITTED 0
#define ANY_EPOCH (-1)			/* of the leader: whoever it is */
#define NO_SESSION 0
#define NO_SESSION_EPOCH (-1)
#define TOPIC_BYTES_MIN 3
#define PARTITION_BYTES_MIN 8
#define PRODUCER_BYTES_MIN 37
#define ABORTED_BYTES 16

/* --- what the three have in common --- */

static void put_topic(struct frame *f, const char *topic, int32_t partition)
{
	wire_put_count(&f->w, 1);
	wire_put_string(&f->w, topic);
	wire_put_count(&f->w, 1);
	wire_put_i32(&f->w, partition);
}

/* The ends of a topic and of the request. */
static void put_ends(struct frame *f)
{
	wire_put_no_tags(&f->w);
	wire_put_no_tags(&f->w);
}

/* Up to the index of the only partition. */
static void read_topic(struct wire *r)
{
	size_t len;

	if (wire_count(r, TOPIC_BYTES_MIN) != 1)
		r->failed = true;
	wire_string(r, &len);
	if (wire_count(r, PARTITION_BYTES_MIN) != 1)
		r->failed = true;
	wire_i32(r);
}

/* The ends of a partition, of its topic and of the answer. */
static int read_ends(struct wire *r)
{
	for (int i = 0; i < 3; i++)
		wire_no_tags(r);
	return wire_end(r);
}

/* --- DescribeProducers --- */

int api_describe_producers_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				   const char *topic, int32_t partition)
{
	struct frame f = frame_begin(out, API_DESCRIBE_PRODUCERS, version, correlation_id, client_id);

	put_topic(&f, topic, partition);
	put_ends(&f);
	return frame_end(&f, 0);
}

static void read_producers(struct wire *r, api_producer_fn *fn, void *arg)
{
	size_t n = wire_count(r, PRODUCER_BYTES_MIN);

	for (; n > 0 && !r->failed; n--) {
		struct api_producer_state p = { .producer_id = wire_i64(r) };

		p.epoch = wire_i32(r);
		p.last_sequence = wire_i32(r);
		p.last_timestamp = wire_i64(r);
		wire_i32(r);		/* the coordinator's epoch and an open transaction's first offset: we have none */
		wire_i64(r);
		wire_no_tags(r);
		if (fn)
			fn(arg, &p);
	}
}

int api_describe_producers_response(const void *data, size_t n, int16_t version, int32_t correlation_id, int16_t *ret_error,
				    int32_t *ret_throttle_ms, api_producer_fn *fn, void *arg)
{
	struct wire r = frame_open(data, n, API_DESCRIBE_PRODUCERS, version, correlation_id), producers;
	int32_t throttle_ms = wire_i32(&r);
	int16_t error;
	size_t len;
	int rc;

	read_topic(&r);
	error = wire_i16(&r);
	wire_nullable(&r, &len);
	producers = r;
	read_producers(&r, NULL, NULL);
	rc = read_ends(&r);
	if (rc < 0)
		return rc;
	*ret_error = error;
	*ret_throttle_ms = throttle_ms;
	read_producers(&producers, fn, arg);
	return 0;
}

/* --- ListOffsets --- */

int api_list_offsets_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
			     const char *topic, int32_t partition, int64_t timestamp)
{
	struct frame f = frame_begin(out, API_LIST_OFFSETS, version, correlation_id, client_id);

	wire_put_i32(&f.w, CONSUMER);
	if (version >= 2)
		wire_put_i8(&f.w, READ_UNCOMMITTED);
	put_topic(&f, topic, partition);
	if (version >= 4)
		wire_put_i32(&f.w, ANY_EPOCH);
	wire_put_i64(&f.w, timestamp);
	wire_put_no_tags(&f.w);
	put_ends(&f);
	return frame_end(&f, 0);
}

int api_list_offsets_response(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_offset *ret)
{
	struct wire r = frame_open(data, n, API_LIST_OFFSETS, version, correlation_id);
	struct api_offset o = { .throttle_ms = version >= 2 ? wire_i32(&r) : 0 };
	int rc;

	read_topic(&r);
	o.error = wire_i16(&r);
	o.timestamp = wire_i64(&r);
	o.offset = wire_i64(&r);
	if (version >= 4)
		wire_i32(&r);		/* the leader's epoch */
	if (o.offset < -1)
		r.failed = true;
	rc = read_ends(&r);
	if (rc == 0)
		*ret = o;
	return rc;
}

/* --- Fetch --- */

int api_fetch_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id, const char *topic,
		      int32_t partition, int64_t offset, int32_t max_wait_ms, int32_t max_bytes)
{
	struct frame f = frame_begin(out, API_FETCH, version, correlation_id, client_id);
	struct wire_out *w = &f.w;

	wire_put_i32(w, CONSUMER);
	wire_put_i32(w, max_wait_ms);
	wire_put_i32(w, 1);		/* min bytes: waits only at the end of the log */
	wire_put_i32(w, max_bytes);
	wire_put_i8(w, READ_UNCOMMITTED);
	if (version >= 7) {
		wire_put_i32(w, NO_SESSION);
		wire_put_i32(w, NO_SESSION_EPOCH);
	}
	put_topic(&f, topic, partition);
	if (version >= 9)
		wire_put_i32(w, ANY_EPOCH);
	wire_put_i64(w, offset);
	if (version >= 5)
		wire_put_i64(w, -1);		/* a replica's own log start */
	wire_put_i32(w, max_bytes);
	if (version >= 7)
		wire_put_count(w, 0);		/* forgotten */
	return frame_end(&f, 0);
}

static void read_fetched(struct wire *r, int16_t version, struct api_fetch *f)
{
	read_topic(r);
	f->error = wire_i16(r);
	f->high_watermark = wire_i64(r);
	wire_i64(r);			/* last stable offset: of transactions */
	if (version >= 5)
		f->log_start_offset = wire_i64(r);
	wire_skip_array(r, ABORTED_BYTES);
	f->records_len = wire_count(r, 1);
	if (f->records_len)
		f->records = wire_bytes(r, f->records_len);
	/* -1 is what an answer says that tells nothing of the log: a good one has to tell. */
	if (f->high_watermark < (f->error ? -1 : 0) || f->log_start_offset < -1)
		r->failed = true;
}

/* An answer that is held back for a quota has no topics, nor has one that is an error as a whole. */
static bool tells_nothing(const struct wire *r, const struct api_fetch *f)
{
	struct wire ahead = *r;

	return (f->throttle_ms > 0 || f->error) && wire_count(&ahead, TOPIC_BYTES_MIN) == 0 && !ahead.failed;
}

int api_fetch_response(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_fetch *ret)
{
	struct wire r = frame_open(data, n, API_FETCH, version, correlation_id);
	struct api_fetch f = { .throttle_ms = wire_i32(&r), .high_watermark = -1, .log_start_offset = -1 };
	int16_t whole = 0;
	int rc;

	if (version >= 7) {
		whole = f.error = wire_i16(&r);
		wire_i32(&r);		/* the session that we did not ask for */
	}
	if (tells_nothing(&r, &f))
		wire_count(&r, TOPIC_BYTES_MIN);
	else
		read_fetched(&r, version, &f);
	if (whole)
		f.error = whole;
	rc = wire_end(&r);
	if (rc == 0)
		*ret = f;
	return rc;
}

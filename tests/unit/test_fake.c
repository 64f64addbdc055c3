/* test_fake.c - the fake broker's own rules, so that what is tested against it can be believed.
 *
 * Goal: each rule that no real broker of the scenarios can show (old releases, faults, a clock of its own) is seen on the wire.
 * Method: a client of a few lines, with blocking sockets; requests are written by hand, answers read field by field. What
 * Kafka 3.9 and 4.1 answer to the same batches is compared in tests/scenario/idempotence.py.
 */
#include <errno.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "producer/api.h"
#include "producer/wire.h"
#include "tests/lib/fake_client.h"
#include "tests/lib/unit.h"

/* --- bytes --- */

struct request { struct buf buf; struct wire_out w; };

static void request_begin(struct fixture *f, struct request *q, int16_t api, int16_t version, bool flexible)
{
	buf_init(&q->buf, 1 << 20);
	q->w = (struct wire_out){ .buf = &q->buf };
	wire_put_i32(&q->w, 0);
	wire_put_i16(&q->w, api);
	wire_put_i16(&q->w, version);
	wire_put_i32(&q->w, ++f->correlation);
	wire_put_string(&q->w, "test");
	q->w.flexible = flexible;
	wire_put_no_tags(&q->w);
}

static void request_send(struct fixture *f, struct request *q)
{
	be32_put((uint8_t *)q->buf.data, (uint32_t)(q->buf.len - 4));
	assert_int_equal(send(f->fd, q->buf.data, q->buf.len, MSG_NOSIGNAL), q->buf.len);
	buf_release(&q->buf);
}

/* n bytes; fewer when the connection ended. */
static size_t receive(struct fixture *f, void *p, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t one = recv(f->fd, (char *)p + got, n - got, 0);

		if (one <= 0)
			break;
		got += (size_t)one;
	}
	return got;
}

static bool ended(struct fixture *f)
{
	char c;

	return recv(f->fd, &c, 1, 0) <= 0 && errno != EAGAIN;
}

/* The content of the next frame behind its correlation id, which must be the expected one. */
static struct wire answer_to(struct fixture *f, int32_t correlation, bool flexible)
{
	uint8_t size[4];
	struct wire r;

	assert_int_equal(receive(f, size, 4), 4);
	f->in_len = be32_get(size);
	assert_in_range(f->in_len, 4, sizeof f->in);
	assert_int_equal(receive(f, f->in, f->in_len), f->in_len);
	wire_init(&r, f->in, f->in_len, flexible);
	assert_int_equal(wire_i32(&r), correlation);
	return r;
}

static struct wire answer(struct fixture *f, bool flexible)
{
	return answer_to(f, f->correlation, flexible);
}

/* --- Produce 7 of one batch --- */

struct sent { int64_t pid; int16_t epoch; int32_t sequence, count; int64_t timestamp; bool keyed; };

static int64_t now_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

static size_t put_batch(uint8_t *p, const struct sent *s)
{
	uint8_t *at = p + 61;

	for (int32_t i = 0; i < s->count; i++) {
		uint8_t body[64], *b = body;

		*b++ = 0;
		b = uvarint_put(b, 0);
		b = uvarint_put(b, zigzag(i));
		b = uvarint_put(b, zigzag(s->keyed ? 1 : -1));
		if (s->keyed)
			*b++ = 'k';
		b = uvarint_put(b, zigzag(1));
		*b++ = (uint8_t)('a' + i % 26);
		b = uvarint_put(b, 0);
		at = uvarint_put(at, zigzag(b - body));
		memcpy(at, body, (size_t)(b - body));
		at += b - body;
	}
	memset(p, 0, 61);
	be32_put(p + 8, (uint32_t)(at - p - 12));
	p[16] = 2;
	be32_put(p + 23, (uint32_t)s->count - 1);
	be64_put(p + 27, (uint64_t)s->timestamp);
	be64_put(p + 35, (uint64_t)s->timestamp);
	be64_put(p + 43, (uint64_t)s->pid);
	be16_put(p + 51, (uint16_t)s->epoch);
	be32_put(p + 53, (uint32_t)s->sequence);
	be32_put(p + 57, (uint32_t)s->count);
	be32_put(p + 17, crc32c(0, p + 21, (size_t)(at - p) - 21));
	return (size_t)(at - p);
}

static void send_batch(struct fixture *f, const uint8_t *batch, size_t n)
{
	struct request q;

	request_begin(f, &q, FAKE_PRODUCE, 7, false);
	wire_put_string(&q.w, NULL);
	wire_put_i16(&q.w, -1);
	wire_put_i32(&q.w, 200);
	wire_put_i32(&q.w, 1);
	wire_put_string(&q.w, "t");
	wire_put_i32(&q.w, 1);
	wire_put_i32(&q.w, 0);
	wire_put_i32(&q.w, (int32_t)n);
	buf_put(&q.buf, batch, n);
	request_send(f, &q);
}

static void produce_request(struct fixture *f, struct sent s)
{
	uint8_t batch[4096];

	if (!s.timestamp)
		s.timestamp = now_ms();
	send_batch(f, batch, put_batch(batch, &s));
}

struct produced { int16_t error; int64_t offset, append_time; int32_t throttle; };

static struct produced produce_answer(struct fixture *f, int32_t correlation)
{
	struct wire r = answer_to(f, correlation, false);
	struct produced a;
	size_t n;

	assert_int_equal(wire_i32(&r), 1);
	wire_string(&r, &n);
	assert_int_equal(wire_i32(&r), 1);
	assert_int_equal(wire_i32(&r), 0);
	a.error = wire_i16(&r);
	a.offset = wire_i64(&r);
	a.append_time = wire_i64(&r);
	wire_i64(&r);
	a.throttle = wire_i32(&r);
	assert_int_equal(wire_end(&r), 0);
	return a;
}

static struct produced produce(struct fixture *f, struct sent s)
{
	produce_request(f, s);
	return produce_answer(f, f->correlation);
}

#define BATCH(pid_, epoch_, sequence_, count_, ...) \
	((struct sent){ .pid = pid_, .epoch = epoch_, .sequence = sequence_, .count = count_, __VA_ARGS__ })
#define SEND(sequence, count, ...) produce(f, BATCH(7, 0, sequence, count, __VA_ARGS__))

static void assert_produced(struct produced a, int error, int64_t offset)
{
	assert_int_equal(a.error, error);
	assert_int_equal(a.offset, offset);
}

/* --- releases --- */

/* ApiVersions; how many ranges came, and the maximum of Produce and of ApiVersions. */
static int ask_versions(struct fixture *f, int16_t version, size_t *ret_n, int16_t *ret_produce, int16_t *ret_versions)
{
	struct request q;
	struct wire r;
	int16_t error;

	request_begin(f, &q, FAKE_VERSIONS, version, version >= 3);
	if (version >= 3) {
		wire_put_string(&q.w, "spillway");
		wire_put_string(&q.w, "1.0");
	}
	wire_put_no_tags(&q.w);
	request_send(f, &q);
	r = answer(f, version >= 3);
	error = wire_i16(&r);
	if (error == 35)
		r.flexible = false;
	*ret_n = wire_count(&r, 6);
	for (size_t i = 0; i < *ret_n; i++) {
		int16_t key = wire_i16(&r), max;

		wire_i16(&r);
		max = wire_i16(&r);
		wire_no_tags(&r);
		if (key == FAKE_PRODUCE)
			*ret_produce = max;
		if (key == FAKE_VERSIONS)
			*ret_versions = max;
	}
	if (error == 0 && version >= 1)
		wire_i32(&r);
	wire_no_tags(&r);
	assert_int_equal(wire_end(&r), 0);
	return error;
}

static void each_release_offers_its_versions(void **state)
{
	static const struct { const char *name; int16_t produce, versions; size_t n, told; } rows[] = {
		{ "2.1", 7, 2, 6, 0 }, { "2.4", 8, 3, 6, 1 }, { "2.8", 9, 3, 7, 1 }, { "3.9", 11, 4, 7, 1 }, { "4.1", 13, 4, 7, 1 },
	};
	int16_t produce_max = 0, versions_max = 0;
	size_t n;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = begin_with(rows[i].name, 1);

		assert_int_equal(ask_versions(f, rows[i].versions, &n, &produce_max, &versions_max), 0);
		assert_int_equal(n, rows[i].n);
		assert_int_equal(produce_max, rows[i].produce);
		assert_int_equal(versions_max, rows[i].versions);
		/* Refused in layout 0; from 2.4 on with the one range that helps. */
		assert_int_equal(ask_versions(f, 5, &n, &produce_max, &versions_max), 35);
		assert_int_equal(n, rows[i].told);
		assert_int_equal(ask_versions(f, 0, &n, &produce_max, &versions_max), 0);
		end(f);
	}
	assert_null(fake_open_profile("1.0", 1, 1));
}

static void what_a_release_does_not_offer_hangs_up(void **state)
{
	static const struct { int16_t api, version; } rows[] = {
		{ FAKE_PRODUCE, 10 }, { FAKE_PRODUCE, 2 }, { FAKE_METADATA, 12 }, { FAKE_INIT_PRODUCER_ID, 5 }, { 1, 0 }, { 99, 0 },
	};
	struct fixture *f = begin_with("2.8", 1);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct request q;

		connect_to(f, 0);
		request_begin(f, &q, rows[i].api, rows[i].version, false);
		request_send(f, &q);
		assert_true(ended(f));
	}
	end(f);
}

static void an_unknown_producer_must_begin_at_0_up_to_2_4(void **state)
{
	static const struct { const char *name; int16_t code; } rows[] = {
		{ "2.1", 59 }, { "2.4", 59 }, { "2.8", 0 }, { "3.9", 0 }, { "4.1", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct fixture *f = begin_with(rows[i].name, 1);

		assert_int_equal(SEND(5, 2).error, rows[i].code);
		assert_int_equal(fake_records(f->fake, "t", 0), rows[i].code ? 0 : 2);
		assert_int_equal(produce(f, BATCH(8, 0, 0, 2)).error, 0);
		end(f);
	}
}

/* --- codecs --- */

static size_t pack(int codec, const uint8_t *p, size_t n, uint8_t *out, size_t cap)
{
	uLongf made = cap;
	z_stream z = { .next_in = (uint8_t *)p, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)cap };

	switch (codec) {
	case 1:
		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		made = z.total_out;
		deflateEnd(&z);
		return made;
	case 2:			/* Java's framing, in two blocks */
		memcpy(out, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
		made = 16;
		for (size_t at = 0, half = n / 2; at < n; at += half, half = n - half) {
			size_t room = cap - made;

			assert_int_equal(snappy_compress((const char *)p + at, half, (char *)out + made + 4, &room), SNAPPY_OK);
			be32_put(out + made, (uint32_t)room);
			made += 4 + room;
		}
		return made;
	case 3:
		return LZ4F_compressFrame(out, cap, p, n, NULL);
	default:
		return ZSTD_compress(out, cap, p, n, 3);
	}
}

static void every_codec_is_read(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	const struct sent s = BATCH(7, 0, 0, 20, .timestamp = now_ms());
	uint8_t plain[4096], packed[4096];
	size_t n = put_batch(plain, &s);

	(void)state;
	for (int codec = 1; codec <= 5; codec++) {
		size_t size;

		memcpy(packed, plain, 61);
		/* 5 is no codec. */
		size = 61 + pack(codec, plain + 61, n - 61, packed + 61, sizeof packed - 61);
		be32_put(packed + 8, (uint32_t)size - 12);
		be16_put(packed + 21, (uint16_t)codec);
		be64_put(packed + 43, (uint64_t)(100 + codec));
		be32_put(packed + 17, crc32c(0, packed + 21, size - 21));
		send_batch(f, packed, size);
		assert_produced(produce_answer(f, f->correlation), codec < 5 ? 0 : 87, codec < 5 ? 20 * (codec - 1) : -1);
	}
	for (size_t i = 0; i < 80; i++)
		assert_int_equal(fake_record(f->fake, "t", 0, i)[0], 'a' + i % 20);
	end(f);
}

/* --- metadata --- */

static struct api_metadata ask_metadata(struct fixture *f, int16_t version, const char *topic)
{
	struct api_metadata m;
	struct buf q;

	buf_init(&q, 1 << 16);
	assert_int_equal(api_metadata_request(&q, version, ++f->correlation, "test", &topic, 1, 1), 0);
	assert_int_equal(send(f->fd, q.data, q.len, MSG_NOSIGNAL), q.len);
	buf_release(&q);
	answer(f, false);
	assert_int_equal(api_metadata_response(f->in, f->in_len, version, f->correlation, &m), 0);
	return m;
}

static void metadata_of_every_version_says_the_same(void **state)
{
	struct fixture *f = begin_with(NULL, 2);
	uint8_t id[16];

	(void)state;
	fake_topic_id(f->fake, "t", id);
	fake_lead(f->fake, 1, -1);
	for (int16_t v = 7; v <= api_ours[API_METADATA].max; v++) {
		struct api_metadata m = ask_metadata(f, v, "t");

		assert_int_equal(m.broker_count, 2);
		assert_int_equal(m.brokers[1].port, fake_port(f->fake, 1));
		assert_int_equal(m.topic_count, 1);
		assert_string_equal(m.topics[0].name, "t");
		if (v >= 10)
			assert_memory_equal(m.topics[0].id, id, 16);
		assert_int_equal(m.topics[0].partition_count, 2);
		assert_int_equal(m.topics[0].partitions[0].leader, 0);
		assert_int_equal(m.topics[0].partitions[1].leader, -1);
		assert_int_equal(m.topics[0].partitions[1].error, 5);
		assert_int_equal(m.topics[0].partitions[1].leader_epoch, 1);
		api_metadata_release(&m);
	}
	end(f);
}

/* By hand: a topic asked for by its id, an id that nobody has, and the error that Metadata has got with version 13. */
static void metadata_13_finds_topics_by_id_and_has_an_error_of_its_own(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	uint8_t ids[2][16] = { { 0 }, { 1 } };
	struct request q;
	struct wire r;
	size_t n;

	(void)state;
	fake_topic_id(f->fake, "t", ids[0]);
	fake_fault_api(f->fake, FAKE_METADATA, FAULT_ERROR, 129, 1);
	request_begin(f, &q, FAKE_METADATA, 13, true);
	wire_put_count(&q.w, 2);
	for (int i = 0; i < 2; i++) {
		buf_put(&q.buf, ids[i], 16);
		wire_put_string(&q.w, NULL);
		wire_put_no_tags(&q.w);
	}
	wire_put_i8(&q.w, 0);
	wire_put_i8(&q.w, 0);
	wire_put_no_tags(&q.w);
	request_send(f, &q);
	r = answer(f, true);
	wire_bytes(&r, 1 + 4);				/* tags, throttle */
	assert_int_equal(wire_count(&r, 1), 1);
	wire_bytes(&r, 4 + 10 + 4 + 1 + 1);		/* node id, "127.0.0.1", port, rack, tags */
	wire_bytes(&r, 13 + 4);				/* "fake-cluster", controller */
	assert_int_equal(wire_count(&r, 1), 2);
	assert_int_equal(wire_i16(&r), 0);
	assert_memory_equal(wire_string(&r, &n), "t", 1);
	assert_memory_equal(wire_bytes(&r, 16), ids[0], 16);
	wire_bytes(&r, 1);
	assert_int_equal(wire_count(&r, 1), 2);
	wire_bytes(&r, 2 * (2 + 4 + 4 + 4 + 5 + 5 + 1 + 1) + 4 + 1);
	assert_int_equal(wire_i16(&r), 100);
	assert_null(wire_nullable(&r, &n));
	assert_memory_equal(wire_bytes(&r, 16), ids[1], 16);
	wire_bytes(&r, 1 + 1 + 4 + 1);
	assert_int_equal(wire_i16(&r), 129);
	wire_no_tags(&r);
	assert_int_equal(wire_end(&r), 0);
	end(f);
}

/* --- what is remembered --- */

static void five_batches_are_remembered_one_after_a_restart(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_produced(SEND(i * 2, 2), 0, i * 2);
	assert_produced(SEND(0, 2), 45, -1);
	assert_produced(SEND(2, 2), 0, 2);
	assert_produced(SEND(2, 4), 45, -1);		/* both ends must be those of one batch */
	fake_reload_replay(f->fake, 3);
	assert_produced(SEND(4, 2), 45, -1);
	assert_produced(SEND(6, 2), 0, 6);
	fake_reload(f->fake);
	assert_produced(SEND(8, 2), 45, -1);
	assert_produced(SEND(10, 2), 0, 10);
	assert_produced(SEND(12, 2), 0, 12);
	fake_forget(f->fake);
	assert_produced(SEND(0, 2), 0, 14);
	assert_int_equal(fake_records(f->fake, "t", -1), 16);
	assert_int_equal(fake_code_answers(f->fake, 45), 4);
	end(f);
}

static void epochs_fence_and_sequences_wrap(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	assert_produced(SEND(2147483646, 4), 0, 0);
	assert_produced(SEND(2147483646, 4), 0, 0);
	assert_produced(SEND(2, 1), 0, 4);
	assert_produced(produce(f, BATCH(7, 1, 3, 1)), 45, -1);
	assert_produced(produce(f, BATCH(7, 1, 0, 1)), 0, 5);
	assert_produced(SEND(3, 1), 47, -1);
	end(f);
}

static void a_producer_is_forgotten_when_its_newest_batch_is_old(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	fake_set_expiry(f->fake, 60000, 1000);
	assert_produced(SEND(0, 2), 0, 0);
	fake_advance(f->fake, 50000);
	assert_produced(SEND(0, 2), 0, 0);
	fake_advance(f->fake, 20000);
	assert_produced(SEND(0, 2), 0, 2);
	/* By the batch's own time, not by when it came: this one is old at once, but only a check forgets it. */
	assert_produced(produce(f, BATCH(8, 0, 0, 1, .timestamp = now_ms() - 60000)), 0, 4);
	assert_produced(produce(f, BATCH(8, 0, 0, 1, .timestamp = now_ms() - 60000)), 0, 4);
	fake_advance(f->fake, 1500);
	assert_produced(produce(f, BATCH(8, 0, 0, 1, .timestamp = now_ms() - 60000)), 0, 5);
	end(f);
}

/* --- what a topic wants --- */

static void checks_come_before_duplicates(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	assert_produced(SEND(0, 3), 0, 0);
	assert_true(fake_topic_set(f->fake, "t", "max.message.bytes", 61));
	assert_int_equal(SEND(0, 3).error, 10);
	assert_true(fake_topic_set(f->fake, "t", "max.message.bytes", 1000000));
	assert_true(fake_topic_set(f->fake, "t", "cleanup.policy", 1));
	assert_int_equal(SEND(0, 3).error, 87);
	assert_produced(SEND(3, 3, .keyed = true), 0, 3);
	assert_true(fake_topic_set(f->fake, "t", "cleanup.policy", 0));
	assert_int_equal(SEND(0, 3, .timestamp = now_ms() + 7200000).error, 32);
	assert_int_equal(SEND(0, 3).append_time > 0, 1);		/* a duplicate tells its time, a first batch does not */
	assert_int_equal(SEND(6, 1).append_time, -1);
	assert_false(fake_topic_set(f->fake, "t", "no.such.key", 1));
	end(f);
}

static void replicas_too_few_refuse_before_or_complain_after(void **state)
{
	struct fixture *f = begin_with(NULL, 3);

	(void)state;
	fake_topic_set(f->fake, "t", "min.insync.replicas", 2);
	fake_set_isr(f->fake, 1, 1);
	assert_produced(SEND(0, 2), 19, -1);
	assert_int_equal(fake_records(f->fake, "t", 0), 0);
	fake_set_isr(f->fake, 2, 1);
	assert_produced(SEND(0, 2), 20, -1);
	assert_int_equal(fake_records(f->fake, "t", 0), 2);
	assert_produced(SEND(0, 2), 20, -1);
	fake_set_isr(f->fake, 3, 3);
	assert_produced(SEND(0, 2), 0, 0);
	end(f);
}

static void a_recreated_topic_has_another_id_and_nothing_else(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	uint8_t before[16], after[16];

	(void)state;
	SEND(0, 2);
	fake_topic_id(f->fake, "t", before);
	fake_recreate_topic(f->fake, "t");
	fake_topic_id(f->fake, "t", after);
	assert_memory_not_equal(before, after, 16);
	assert_int_equal(fake_records(f->fake, "t", -1), 0);
	assert_produced(SEND(2, 2), 0, 0);
	end(f);
}

/* --- faults --- */

static void errors_come_as_often_as_asked_for(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	fake_fault(f->fake, 1, FAULT_ERROR, 99, 1);		/* of another partition: not met */
	for (int code = -1; code < 130; code++) {
		if (code == 0)
			continue;
		fake_fault(f->fake, 0, FAULT_ERROR, code, 2);
		for (int i = 0; i < 2; i++)
			assert_produced(SEND(0, 1), code, -1);
	}
	assert_int_equal(fake_records(f->fake, "t", -1), 0);
	fake_fault(f->fake, -1, FAULT_ERROR_AFTER, 7, 1);
	assert_produced(SEND(0, 1), 7, -1);
	assert_int_equal(fake_records(f->fake, "t", -1), 1);
	fake_fault(f->fake, 0, FAULT_THROTTLE, 250, 1);
	assert_int_equal(SEND(1, 1).throttle, 250);
	end(f);
}

static void answers_come_late(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	int64_t begin = clock_mono_ms();

	(void)state;
	fake_fault(f->fake, 0, FAULT_DELAY, 100, 1);
	assert_produced(SEND(0, 1), 0, 0);
	assert_in_range(clock_mono_ms() - begin, 100, PATIENCE_S * 1000);
	begin = clock_mono_ms();
	fake_fault(f->fake, 0, FAULT_TIMEOUT, 0, 1);		/* the request's own 200 ms */
	assert_produced(SEND(1, 1), 7, -1);
	assert_in_range(clock_mono_ms() - begin, 200, PATIENCE_S * 1000);
	assert_int_equal(fake_records(f->fake, "t", 0), 2);
	begin = clock_mono_ms();
	fake_fault(f->fake, 0, FAULT_SLOW, 2, 1);
	assert_produced(SEND(2, 1), 0, 2);
	assert_in_range(clock_mono_ms() - begin, 100, PATIENCE_S * 1000);
	assert_produced(SEND(3, 1), 0, 3);			/* and only that one was slow */
	end(f);
}

/* Sends one batch that meets the fault, on a connection of its own; what came back, until it ended or 64 bytes are there. */
static size_t raw_answer(struct fixture *f, enum fault_kind kind, int value, int32_t sequence, uint8_t *in)
{
	connect_to(f, 0);
	fake_fault(f->fake, 0, kind, value, 1);
	produce_request(f, BATCH(7, 0, sequence, 1));
	return receive(f, in, 53);				/* as long as a sound answer to Produce 7 */
}

static void answers_are_spoilt_as_asked_for(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	uint8_t good[64], in[64];

	(void)state;
	assert_int_equal(raw_answer(f, FAULT_THROTTLE, 0, 0, good), 53);
	assert_int_equal(be32_get(good), 49);
	assert_int_equal(raw_answer(f, FAULT_CUT_ANSWER, 20, 1, in), 20);
	assert_int_equal(be32_get(in), 49);
	assert_int_equal(raw_answer(f, FAULT_OVERSIZE, 0, 2, in), 53);
	assert_int_equal(be32_get(in), INT32_MAX);
	assert_int_equal(raw_answer(f, FAULT_HUGE_ARRAY, 0, 3, in), 53);
	assert_int_equal(be32_get(in + 8), INT32_MAX - 1);
	assert_int_equal(raw_answer(f, FAULT_HUGE_STRING, 0, 4, in), 53);
	assert_int_equal(be16_get(in + 12), INT16_MAX);
	assert_int_equal(raw_answer(f, FAULT_GARBAGE, 1, 5, in), 53);
	assert_int_equal(be32_get(in), 49);
	assert_int_equal(be32_get(in + 4), f->correlation);
	assert_memory_not_equal(in + 8, good + 8, 45);
	assert_int_equal(raw_answer(f, FAULT_NOISE, 1, 6, in), 53);
	assert_int_not_equal(be32_get(in), 49);
	assert_int_equal(raw_answer(f, FAULT_CORRELATION, 0, 7, in), 53);
	assert_int_equal(be32_get(in + 4), f->correlation + 1);
	assert_int_equal(raw_answer(f, FAULT_TLS_ALERT, 0, 8, in), 7);
	assert_int_equal(in[0], 21);
	assert_int_equal(raw_answer(f, FAULT_HALF_CLOSE, 0, 9, in), 0);
	assert_int_equal(send(f->fd, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(fake_records(f->fake, "t", 0), 10);		/* all of it was appended all the same */
	assert_int_equal(raw_answer(f, FAULT_CUT_REQUEST, 30, 10, in), 0);
	assert_int_equal(raw_answer(f, FAULT_CLOSE_BEFORE, 0, 10, in), 0);
	assert_int_equal(fake_records(f->fake, "t", 0), 10);
	assert_int_equal(raw_answer(f, FAULT_CLOSE_AFTER, 0, 10, in), 0);
	assert_int_equal(fake_records(f->fake, "t", 0), 11);
	end(f);
}

static void a_truncated_answer_is_a_whole_frame(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	uint8_t in[64];

	(void)state;
	fake_fault(f->fake, 0, FAULT_TRUNCATED, 12, 1);
	produce_request(f, BATCH(7, 0, 0, 1));
	assert_int_equal(receive(f, in, 16), 16);
	assert_int_equal(be32_get(in), 12);
	assert_produced(SEND(1, 1), 0, 1);
	end(f);
}

static void answers_come_twice_or_in_the_wrong_order(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	fake_fault(f->fake, 0, FAULT_TWICE, 0, 1);
	assert_produced(SEND(0, 1), 0, 0);
	assert_produced(produce_answer(f, f->correlation), 0, 0);
	fake_fault(f->fake, 0, FAULT_SWAPPED, 0, 1);
	produce_request(f, BATCH(7, 0, 1, 1));
	produce_request(f, BATCH(7, 0, 2, 1));
	assert_produced(produce_answer(f, f->correlation), 0, 2);
	assert_produced(produce_answer(f, f->correlation - 1), 0, 1);
	end(f);
}

static void nodes_refuse_and_fall_silent(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)fake_port(f->fake, 0)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval soon = { 0, 100000 };
	char c;

	(void)state;
	fake_mute(f->fake, 0, true);
	connect_to(f, 0);
	setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
	produce_request(f, BATCH(7, 0, 0, 1));
	assert_int_equal(recv(f->fd, &c, 1, 0), -1);
	assert_int_equal(fake_records(f->fake, "t", 0), 0);
	soon.tv_sec = PATIENCE_S;
	setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
	fake_mute(f->fake, 0, false);
	assert_produced(produce_answer(f, f->correlation), 0, 0);
	fake_down(f->fake, 0);
	assert_true(ended(f));
	close(f->fd);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(f->fd, (struct sockaddr *)&a, sizeof a), -1);
	assert_int_equal(setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof a), -1);	/* nobody else gets its port meanwhile */
	fake_up(f->fake, 0);
	connect_to(f, 0);
	assert_produced(SEND(0, 1), 0, 0);
	end(f);
}

static void every_kind_of_fault_has_a_name(void **state)
{
	enum fault_kind kind;

	(void)state;
	for (int i = 0; i < FAULT_KINDS; i++) {
		assert_non_null(fake_fault_name((enum fault_kind)i));
		assert_true(fake_fault_named(fake_fault_name((enum fault_kind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(fake_fault_named("no-such-fault", &kind));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(each_release_offers_its_versions),
	cmocka_unit_test(what_a_release_does_not_offer_hangs_up),
	cmocka_unit_test(an_unknown_producer_must_begin_at_0_up_to_2_4),
	cmocka_unit_test(metadata_of_every_version_says_the_same),
	cmocka_unit_test(metadata_13_finds_topics_by_id_and_has_an_error_of_its_own),
	cmocka_unit_test(every_codec_is_read),
	cmocka_unit_test(five_batches_are_remembered_one_after_a_restart),
	cmocka_unit_test(epochs_fence_and_sequences_wrap),
	cmocka_unit_test(a_producer_is_forgotten_when_its_newest_batch_is_old),
	cmocka_unit_test(checks_come_before_duplicates),
	cmocka_unit_test(replicas_too_few_refuse_before_or_complain_after),
	cmocka_unit_test(a_recreated_topic_has_another_id_and_nothing_else),
	cmocka_unit_test(errors_come_as_often_as_asked_for),
	cmocka_unit_test(answers_come_late),
	cmocka_unit_test(answers_are_spoilt_as_asked_for),
	cmocka_unit_test(a_truncated_answer_is_a_whole_frame),
	cmocka_unit_test(answers_come_twice_or_in_the_wrong_order),
	cmocka_unit_test(nodes_refuse_and_fall_silent),
	cmocka_unit_test(every_kind_of_fault_has_a_name),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_api.c - requests are the bytes that Kafka writes, responses are read as Kafka means them, and bytes that are cut or
 * changed are bad data or a sane answer, never a crash. The golden files come from Kafka's own classes (golden/Golden.java).
 */
#define _GNU_SOURCE	/* memmem */
#include "producer/api.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "tests/lib/golden.h"
#include "tests/lib/unit.h"

#define CORRELATION 0x01020304
#define CLIENT "web-1"

static const char *golden_name(const char *api, int version)
{
	static char name[32];

	snprintf(name, sizeof name, "%s.%d", api, version);
	return name;
}

/* --- requests --- */

static void assert_request(const char *api, int version, struct buf *b)
{
	golden_compare("requests", golden_name(api, version), (const uint8_t *)b->data, b->len);
	buf_release(b);
}

static void metadata_requests_are_known_bytes(void **state)
{
	static const char *const topics[] = { "logs", "a-longer.topic_name" };
	struct buf b;

	(void)state;
	for (int16_t v = api_ours[API_METADATA].min; v <= api_ours[API_METADATA].max; v++) {
		buf_init(&b, 1000);
		assert_int_equal(api_metadata_request(&b, v, CORRELATION, CLIENT, topics, 2, 1), 0);
		assert_request("metadata", v, &b);
	}
	/* No topics is an empty list (brokers only), not null (everything). */
	buf_init(&b, 1000);
	assert_int_equal(api_metadata_request(&b, 12, CORRELATION, "", NULL, 0, 0), 0);
	assert_request("metadata.none", 12, &b);
	for (int16_t v = 7; v <= 13; v += 6) {
		buf_init(&b, 1000);
		assert_int_equal(api_metadata_request(&b, v, CORRELATION, CLIENT, NULL, API_TOPICS_ALL, 0), 0);
		assert_request("metadata.all", v, &b);
	}
}

static void producer_id_requests_are_known_bytes(void **state)
{
	struct buf b;

	(void)state;
	for (int16_t v = api_ours[API_INIT_PRODUCER_ID].min; v <= api_ours[API_INIT_PRODUCER_ID].max; v++) {
		buf_init(&b, 1000);
		assert_int_equal(api_init_producer_id_request(&b, v, CORRELATION, CLIENT), 0);
		assert_request("init", v, &b);
	}
}

static void versions_requests_are_known_bytes(void **state)
{
	/* The golden bytes say 0.1.0; what this build says stands there instead. */
	static const char then[] = "\x06" "0.1.0", now[] = SPILLWAY_VERSION;
	static uint8_t want[GOLDEN_MAX];
	struct buf b;

	(void)state;
	for (int16_t v = api_ours[API_VERSIONS].min; v <= api_ours[API_VERSIONS].max; v++) {
		size_t n, same;

		buf_init(&b, 1000);
		assert_int_equal(api_versions_request(&b, v, CORRELATION, CLIENT), 0);
		if (!golden_write("requests", golden_name("versions", v), (uint8_t *)b.data, b.len)) {
			n = golden("requests", golden_name("versions", v), want);
			same = v < 3 ? n : n - 1 - sizeof then + 1;
			assert_memory_equal(b.data + 4, want + 4, same - 4);
			if (v >= 3) {
				assert_memory_equal(want + same, then, sizeof then);
				assert_int_equal(b.data[same], sizeof now);
				assert_memory_equal(b.data + same + 1, now, sizeof now);
				assert_int_equal(b.len, same + 1 + sizeof now);
			}
		}
		buf_release(&b);
	}
}

struct produce { struct budget *m; struct batch *b[4]; };

static void produce_setup(struct produce *p)
{
	static const struct { const char *topic; int32_t partition; size_t value; } of[] = {
		{ "alpha", 0, 10 }, { "alpha", 3, 300 }, { "beta", 1, 20 }, { "gamma", 2, 0 },
	};
	static uint8_t value[300];

	assert_int_equal(budget_new(&p->m, 1 << 20, 0), 0);
	memset(value, 'v', sizeof value);
	for (size_t i = 0; i < COUNT(p->b); i++) {
		struct batch *b = p->b[i] = batch_new(0, 1700000000000);

		assert_int_equal(batch_append(b, p->m, BUDGET_APPEND, 0, NULL, 0, value, of[i].value, NULL, 0, -1), 0);
		b->topic = of[i].topic;
		b->partition = of[i].partition;
		memset(b->topic_id, of[i].topic[0], sizeof b->topic_id);
		b->producer_id = 4711;
		b->producer_epoch = 0;
		b->base_sequence = (int32_t)i;
		batch_seal_crc(b);
		batch_stamp(b);
	}
}

static void produce_teardown(struct produce *p)
{
	for (size_t i = 0; i < COUNT(p->b); i++)
		batch_free(p->b[i], p->m);
	budget_free(p->m);
}

static size_t gathered(uint8_t *to, const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0 && len + iov[i].iov_len <= GOLDEN_MAX);
		memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

static void produce_requests_are_known_bytes_without_a_copy(void **state)
{
	static uint8_t frame[GOLDEN_MAX];
	struct produce p;
	struct iovec iov[32];
	struct buf control;

	(void)state;
	produce_setup(&p);
	for (int16_t v = api_ours[API_PRODUCE].min; v <= api_ours[API_PRODUCE].max; v++) {
		size_t bound = api_produce_iov_bound(p.b, 4);
		int n;

		buf_init(&control, 1000);
		n = api_produce_request(&control, iov, bound, v, CORRELATION, CLIENT, -1, 30000, p.b, 4);
		assert_int_equal(n, v >= 9 ? bound : bound - 1);
		assert_ptr_equal(iov[1].iov_base, p.b[0]->head);
		assert_ptr_equal(iov[2].iov_base, p.b[0]->chunks->data);
		golden_compare("requests", golden_name("produce", v), frame, gathered(frame, iov, n));
		assert_true(control.len < 200);
		buf_release(&control);
	}
	produce_teardown(&p);
}

static void a_batch_of_many_chunks_is_gathered_whole(void **state)
{
	static uint8_t frame[GOLDEN_MAX], value[40000];
	struct budget *m;
	struct batch *b = batch_new(0, 0);
	struct iovec iov[8];
	struct buf control;
	size_t n;

	(void)state;
	assert_int_equal(budget_new(&m, 1 << 20, 0), 0);
	memset(value, 'v', sizeof value);
	assert_int_equal(batch_append(b, m, BUDGET_APPEND, 0, NULL, 0, value, sizeof value, NULL, 0, -1), 0);
	b->topic = "t";
	b->partition = 0;
	batch_seal_crc(b);
	batch_stamp(b);
	buf_init(&control, 1000);
	/* control, head, three chunks; in version 9 also the tags behind them */
	assert_int_equal(api_produce_request(&control, iov, 8, 7, CORRELATION, CLIENT, -1, 1, &b, 1), 5);
	n = gathered(frame, iov, 5);
	assert_int_equal(n, control.len + batch_wire_bytes(b));
	assert_memory_equal(frame + n - 1 - sizeof value, value, sizeof value);
	assert_int_equal((size_t)frame[2] << 8 | frame[3], n - 4);
	buf_release(&control);
	batch_free(b, m);
	budget_free(m);
}

static void a_request_may_stand_behind_others_in_the_buffer(void **state)
{
	static uint8_t alone[GOLDEN_MAX], behind[GOLDEN_MAX];
	struct produce p;
	struct iovec iov[32];
	struct buf control;
	size_t n, m;

	(void)state;
	produce_setup(&p);
	buf_init(&control, 1000);
	n = gathered(alone, iov, api_produce_request(&control, iov, 32, 9, CORRELATION, CLIENT, -1, 30000, p.b, 2));
	buf_clear(&control);
	buf_puts(&control, "something");
	m = gathered(behind, iov, api_produce_request(&control, iov, 32, 9, CORRELATION, CLIENT, -1, 30000, p.b, 2));
	assert_int_equal(n, m);
	assert_memory_equal(alone, behind, n);
	buf_release(&control);
	produce_teardown(&p);
}

static void too_few_pieces_or_too_little_memory_is_an_error(void **state)
{
	static const char *const topics[] = { "logs" };
	struct produce p;
	struct iovec iov[32];
	struct buf b;
	size_t need;

	(void)state;
	produce_setup(&p);
	need = api_produce_iov_bound(p.b, 4);
	for (size_t cap = 0; cap < need; cap++) {
		buf_init(&b, 1000);
		assert_int_equal(api_produce_request(&b, iov, cap, 9, 1, CLIENT, -1, 1, p.b, 4), ERR_NOMEM);
		buf_release(&b);
	}
	for (size_t max = 0; max < 40; max++) {
		buf_init(&b, max);
		assert_int_equal(api_produce_request(&b, iov, 32, 9, 1, CLIENT, -1, 1, p.b, 4), ERR_NOMEM);
		buf_clear(&b);
		assert_int_equal(api_metadata_request(&b, 12, 1, CLIENT, topics, 1, 0), ERR_NOMEM);
		buf_release(&b);
	}
	buf_init(&b, 1000);
	mem_fail_nth(1);
	assert_int_equal(api_init_producer_id_request(&b, 3, 1, CLIENT), ERR_NOMEM);
	mem_fail_nth(0);
	buf_release(&b);
	produce_teardown(&p);
}

/* --- versions --- */

static void the_highest_common_version_is_picked(void **state)
{
	static const struct { struct api_range theirs; enum api_key key; int16_t want; } cases[] = {
		{ { 0, 13 }, API_PRODUCE, 13 }, { { 0, 12 }, API_PRODUCE, 12 },
		{ { 3, 9 }, API_PRODUCE, 9 }, { { 0, 6 }, API_PRODUCE, -1 },
		{ { 14, 15 }, API_PRODUCE, -1 }, { { 0, -1 }, API_METADATA, -1 }, { { 0, 7 }, API_METADATA, 7 },
		{ { 0, 4 }, API_VERSIONS, 4 }, { { 0, 0 }, API_VERSIONS, 0 },
		{ { 0, 99 }, (enum api_key)5, -1 },	/* what we do not speak at all */
	};
	struct api_versions broker;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		broker.range[cases[i].key] = cases[i].theirs;
		assert_int_equal(api_pick(&broker, cases[i].key), cases[i].want);
	}
}

static void versions_responses_are_read(void **state)
{
	static uint8_t data[GOLDEN_MAX];
	struct api_versions v;

	(void)state;
	for (int16_t version = 0; version <= 4; version++) {
		size_t n = golden("responses", golden_name("versions", version), data);

		memset(&v, 0x55, sizeof v);
		assert_int_equal(api_versions_response(data, n, version, CORRELATION, &v), 0);
		assert_int_equal(v.error, 0);
		assert_int_equal(v.range[API_PRODUCE].min, 3);
		assert_int_equal(v.range[API_PRODUCE].max, 13);
		assert_int_equal(v.range[1].max, 18);
		assert_int_equal(v.range[API_VERSIONS].max, 4);
		assert_int_equal(v.range[2].max, -1);
		assert_int_equal(api_pick(&v, API_PRODUCE), 13);
		assert_int_equal(api_versions_response(data, n, version, CORRELATION + 1, &v), ERR_BAD_DATA);
	}
}

static void a_broker_that_knows_no_such_version_says_what_to_try(void **state)
{
	static const uint8_t with[] = { 1, 2, 3, 4, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 3 };
	static const uint8_t without[] = { 1, 2, 3, 4, 0, 35, 0, 0, 0, 0 };
	struct api_versions v;

	(void)state;
	assert_int_equal(api_versions_response(with, sizeof with, 4, CORRELATION, &v), 0);
	assert_int_equal(v.error, 35);
	assert_int_equal(api_pick(&v, API_VERSIONS), 3);
	assert_int_equal(api_versions_response(without, sizeof without, 4, CORRELATION, &v), 0);
	assert_int_equal(v.error, 35);
	assert_int_equal(api_pick(&v, API_VERSIONS), -1);
}

/* --- responses --- */

static void metadata_responses_are_read(void **state)
{
	static const uint8_t id[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 }, no_id[16];
	static uint8_t data[GOLDEN_MAX];
	struct api_metadata m;

	(void)state;
	for (int16_t v = 7; v <= 13; v++) {
		size_t n = golden("responses", golden_name("metadata", v), data);
		const struct api_topic *t;

		assert_int_equal(api_metadata_response(data, n, v, CORRELATION, &m), 0);
		assert_int_equal(m.error, v >= 13 ? 129 : 0);
		assert_int_equal(m.throttle_ms, 5);
		assert_int_equal(m.controller, 2);
		assert_null(m.brokers[0].rack);
		assert_string_equal(m.cluster_id, "cluster-1");
		assert_int_equal(m.broker_count, 2);
		assert_int_equal(m.brokers[0].id, 1);
		assert_string_equal(m.brokers[0].host, "kafka-1");
		assert_int_equal(m.brokers[1].port, 65535);
		assert_int_equal(m.topic_count, 2);
		t = &m.topics[0];
		assert_string_equal(t->name, "logs");
		assert_memory_equal(t->id, v >= 10 ? id : no_id, 16);
		assert_int_equal(t->partition_count, 2);
		assert_int_equal(t->partitions[0].leader, 1);
		assert_int_equal(t->partitions[0].leader_epoch, 10);
		assert_int_equal(t->partitions[1].index, 1);
		assert_int_equal(t->partitions[1].error, 5);
		assert_int_equal(t->partitions[1].leader, -1);
		assert_int_equal(m.topics[1].error, 3);
		assert_int_equal(m.topics[1].partition_count, 0);
		api_metadata_release(&m);
		assert_null(m.topics);
		assert_int_equal(api_metadata_response(data, n, v, 0, &m), ERR_BAD_DATA);
	}
}

static void metadata_details_are_read_for_those_who_ask(void **state)
{
	static uint8_t data[GOLDEN_MAX];
	struct api_metadata m;

	(void)state;
	for (int16_t v = 7; v <= 13; v++) {
		size_t n = golden("responses", golden_name("metadata", v), data);

		assert_int_equal(api_metadata_details(data, n, v, CORRELATION, &m), 0);
		assert_string_equal(m.brokers[0].rack, "r1");
		assert_null(m.brokers[1].rack);
		assert_int_equal(m.topics[0].partitions[1].replica_count, 2);
		assert_int_equal(m.topics[0].partitions[1].replicas[1], 2);
		assert_int_equal(m.topics[0].partitions[1].isr_count, 1);
		assert_int_equal(m.topics[0].partitions[1].isr[0], 1);
		api_metadata_release(&m);
	}
}

static void producer_id_responses_are_read(void **state)
{
	static uint8_t data[GOLDEN_MAX];
	struct api_producer_id p;

	(void)state;
	for (int16_t v = 0; v <= 5; v++) {
		size_t n = golden("responses", golden_name("init", v), data);

		assert_int_equal(api_init_producer_id_response(data, n, v, CORRELATION, &p), 0);
		assert_int_equal(p.error, 0);
		assert_int_equal(p.throttle_ms, 9);
		assert_true(p.producer_id == 0x1122334455);
		assert_int_equal(p.producer_epoch, 0);
	}
}

/* No error, but no id either: believing it would switch idempotence off unseen. */
static void a_good_answer_without_an_id_is_bad_data(void **state)
{
	uint8_t data[20] = { 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
	struct api_producer_id p;

	(void)state;
	assert_int_equal(api_init_producer_id_response(data, sizeof data, 0, CORRELATION, &p), ERR_BAD_DATA);
	data[9] = 15;		/* COORDINATOR_NOT_AVAILABLE */
	assert_int_equal(api_init_producer_id_response(data, sizeof data, 0, CORRELATION, &p), 0);
	assert_int_equal(p.error, 15);
}

struct answers { struct api_produce_answer v[8]; size_t n; };

static void note(void *arg, const struct api_produce_answer *a)
{
	struct answers *s = arg;

	/* Reads all that it was given: a wild pointer would show. */
	for (size_t i = 0; i < a->topic_len; i++)
		s->v[7].partition += a->topic[i];
	for (size_t i = 0; i < a->message_len; i++)
		s->v[7].partition += a->message[i];
	if (s->n < 7)
		s->v[s->n] = *a;
	s->n++;
}

static void note_endpoint(void *arg, const struct api_endpoint *e)
{
	*(struct api_endpoint *)arg = *e;
}

static void produce_responses_are_read(void **state)
{
	static uint8_t data[GOLDEN_MAX];

	(void)state;
	for (int16_t v = 7; v <= 13; v++) {
		size_t n = golden("responses", golden_name("produce", v), data);
		struct answers s = { 0 };
		struct batch by_name = { .topic = "alpha" }, by_id = { .topic = "delta" };
		struct api_endpoint where = { .id = -1 };
		int32_t throttle = 0;

		for (uint8_t i = 0; i < sizeof by_id.topic_id; i++)
			by_id.topic_id[i] = (uint8_t)(i + 1);
		api_produce_endpoints(data, n, v, CORRELATION, note_endpoint, &where);
		assert_int_equal(where.id, v >= 10 ? 5 : -1);
		assert_string_equal(where.host, v >= 10 ? "kafka-5" : "");
		assert_int_equal(where.port, v >= 10 ? 9095 : 0);
		assert_int_equal(api_produce_response(data, n, v, CORRELATION, &throttle, note, &s), 0);
		assert_int_equal(throttle, 33);
		assert_int_equal(s.n, 3);
		assert_true(api_produce_answers(&s.v[0], v >= 13 ? &by_id : &by_name));
		assert_false(api_produce_answers(&s.v[0], v >= 13 ? &by_name : &by_id));
		assert_false(api_produce_answers(&s.v[1], v >= 13 ? &by_id : &by_name));
		assert_int_equal(s.v[0].error, 0);
		assert_true(s.v[0].base_offset == 1234567890123);
		assert_true(s.v[0].append_time == -1);
		assert_null(s.v[0].message);
		assert_int_equal(s.v[0].leader, -1);
		assert_int_equal(s.v[1].partition, 3);
		assert_int_equal(s.v[1].error, 6);
		assert_int_equal(s.v[1].leader, v >= 10 ? 5 : -1);
		assert_int_equal(s.v[1].leader_epoch, v >= 10 ? 42 : -1);
		assert_int_equal(s.v[1].message_len, v >= 8 ? 8 : 0);
		if (v >= 8)
			assert_memory_equal(s.v[1].message, "not here", 8);
		assert_int_equal(s.v[2].topic_len, v >= 13 ? 0 : 4);
		assert_int_equal(s.v[2].partition, 1);
		assert_true(s.v[2].append_time == 1700000000000);
		assert_int_equal(s.v[2].leader, -1);
	}
}

static void records_at_fault_are_named_with_words_or_without(void **state)
{
	static uint8_t data[GOLDEN_MAX];

	(void)state;
	for (int16_t v = 7; v <= 12; v++) {
		size_t n = golden("responses", golden_name("produce", v), data), len;
		struct answers s = { 0 };
		struct api_record_errors *e = &s.v[1].records;
		int32_t throttle = 0, index;
		const char *words;

		assert_int_equal(api_produce_response(data, n, v, CORRELATION, &throttle, note, &s), 0);
		assert_false(api_next_record_error(&s.v[0].records, &index, &words, &len));
		if (v >= 8) {
			assert_true(api_next_record_error(e, &index, &words, &len));
			assert_int_equal(index, 2);
			assert_int_equal(len, 7);
			assert_memory_equal(words, "bad one", 7);
			assert_true(api_next_record_error(e, &index, &words, &len));
			assert_int_equal(index, 4);
			assert_null(words);
		}
		assert_false(api_next_record_error(e, &index, &words, &len));
	}
}

/* --- nonsense --- */

/* 0 or ERR_BAD_DATA; frees what a good answer brought. */
static int read_any(const char *api, int16_t v, const void *data, size_t n)
{
	struct api_versions versions;
	struct api_metadata metadata;
	struct api_producer_id id;
	struct answers answers = { 0 };
	struct api_endpoint endpoint;
	int32_t throttle;
	int rc;

	if (!strcmp(api, "versions"))
		return api_versions_response(data, n, v, CORRELATION, &versions);
	if (!strcmp(api, "init"))
		return api_init_producer_id_response(data, n, v, CORRELATION, &id);
	if (!strcmp(api, "produce")) {
		api_produce_endpoints(data, n, v, CORRELATION, note_endpoint, &endpoint);
		rc = api_produce_response(data, n, v, CORRELATION, &throttle, note, &answers);
		assert_true(rc == 0 || answers.n == 0);		/* nothing is told of a bad response */
		return rc;
	}
	rc = api_metadata_response(data, n, v, CORRELATION, &metadata);
	if (rc == 0)
		api_metadata_release(&metadata);
	/* It reads more, so it may find more to be wrong. */
	if (api_metadata_details(data, n, v, CORRELATION, &metadata) == 0) {
		assert_int_equal(rc, 0);
		api_metadata_release(&metadata);
	}
	return rc;
}

static const struct { const char *api; int16_t min, max; } readers[] = {
	{ "versions", 0, 4 }, { "metadata", 7, 13 }, { "init", 0, 5 }, { "produce", 7, 13 },
};

typedef void response_fn(const char *api, int16_t version, const uint8_t *data, size_t n);

static void each_response(response_fn *fn)
{
	static uint8_t data[GOLDEN_MAX];

	for (size_t i = 0; i < COUNT(readers); i++)
		for (int16_t v = readers[i].min; v <= readers[i].max; v++)
			fn(readers[i].api, v, data, golden("responses", golden_name(readers[i].api, v), data));
}

/* Every block is exactly as large as its bytes, so that ASan sees one byte read too many. */
static void cut_everywhere(const char *api, int16_t version, const uint8_t *data, size_t n)
{
	uint8_t *longer = calloc(1, n + 1);

	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);

		memcpy(part, data, cut);
		assert_int_equal(read_any(api, version, part, cut), ERR_BAD_DATA);
		free(part);
	}
	memcpy(longer, data, n);
	assert_int_equal(read_any(api, version, longer, n + 1), ERR_BAD_DATA);
	free(longer);
}

static void flip_everything(const char *api, int16_t version, const uint8_t *data, size_t n)
{
	uint8_t *bent = malloc(n);
	unsigned int seed = (unsigned int)n;
	int rc;

	for (size_t i = 0; i < n; i++)
		for (unsigned int by = 1; by < 256; by = by * 2 + (by % 3 == 1)) {
			memcpy(bent, data, n);
			bent[i] ^= (uint8_t)by;
			rc = read_any(api, version, bent, n);
			assert_true(rc == 0 || rc == ERR_BAD_DATA);
		}
	for (int i = 0; i < 3000; i++) {
		memcpy(bent, data, n);
		for (int k = rand_r(&seed) % 8; k >= 0; k--)
			bent[4 + (size_t)rand_r(&seed) % (n - 4)] = (uint8_t)rand_r(&seed);
		rc = read_any(api, version, bent, n);
		assert_true(rc == 0 || rc == ERR_BAD_DATA);
	}
	free(bent);
}

static void responses_cut_or_lengthened_anywhere_are_bad_data(void **state)
{
	(void)state;
	each_response(cut_everywhere);
}

static void responses_with_changed_bytes_never_do_harm(void **state)
{
	(void)state;
	each_response(flip_everything);
}

/* 2^31 - 2 topics in a frame of a few bytes must not make us ask for memory. */
static void a_huge_count_is_bad_data_at_once(void **state)
{
	static const uint8_t brokers[] = { 1, 2, 3, 4, 0, 0, 0, 0, 0, 0x7f, 255, 255, 255, 0, 0 };
	struct api_metadata m;

	(void)state;
	assert_int_equal(api_metadata_response(brokers, sizeof brokers, 7, CORRELATION, &m), ERR_BAD_DATA);
}

static void names_with_a_nul_inside_are_bad_data(void **state)
{
	static uint8_t data[GOLDEN_MAX];
	size_t n = golden("responses", "metadata.9", data);
	struct api_metadata m;
	uint8_t *at = memmem(data, n, "logs", 4);

	(void)state;
	at[2] = 0;
	assert_int_equal(api_metadata_response(data, n, 9, CORRELATION, &m), ERR_BAD_DATA);
}

static void short_memory_is_an_error_and_leaks_nothing(void **state)
{
	static uint8_t data[GOLDEN_MAX];
	size_t n = golden("responses", "metadata.12", data);
	struct api_metadata m;
	long nth = 0;
	int rc;

	(void)state;
	do {
		mem_fail_nth(++nth);
		rc = api_metadata_details(data, n, 12, CORRELATION, &m);
		mem_fail_nth(0);
		assert_true(rc == 0 || rc == ERR_NOMEM);
	} while (rc < 0);
	assert_true(nth > 5);
	api_metadata_release(&m);
}

/* --- errors --- */

static void error_codes_have_names_and_classes(void **state)
{
	static const struct { int16_t code; const char *name; enum api_error_class class; int maybe; } want[] = {
		{ 0, "NONE", API_ERR_NONE, 1 }, { 3, "UNKNOWN_TOPIC_OR_PARTITION", API_ERR_REFRESH, 0 },
		{ 6, "NOT_LEADER_OR_FOLLOWER", API_ERR_REFRESH, 1 }, { 7, "REQUEST_TIMED_OUT", API_ERR_RETRY, 1 },
		{ 10, "MESSAGE_TOO_LARGE", API_ERR_SPLIT, 0 }, { 19, "NOT_ENOUGH_REPLICAS", API_ERR_RETRY, 0 },
		{ 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", API_ERR_RETRY, 1 },
		{ 29, "TOPIC_AUTHORIZATION_FAILED", API_ERR_LANE, 0 }, { 31, "CLUSTER_AUTHORIZATION_FAILED", API_ERR_FATAL, 0 },
		{ 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", API_ERR_SEQUENCE, 0 },
		{ 46, "DUPLICATE_SEQUENCE_NUMBER", API_ERR_DUPLICATE, 1 }, { 47, "INVALID_PRODUCER_EPOCH", API_ERR_FENCED, 0 },
		{ 59, "UNKNOWN_PRODUCER_ID", API_ERR_SEQUENCE, 0 }, { 87, "INVALID_RECORD", API_ERR_RECORD, 0 },
		{ 90, "PRODUCER_FENCED", API_ERR_FENCED, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(want); i++) {
		const struct api_error *e = api_error(want[i].code);

		assert_int_equal(e->code, want[i].code);
		assert_string_equal(e->name, want[i].name);
		assert_int_equal(e->class, want[i].class);
		assert_int_equal(e->maybe_written, want[i].maybe);
	}
}

static void an_unknown_code_may_mean_anything(void **state)
{
	static const int16_t codes[] = { 999, -2, INT16_MAX, INT16_MIN, 11 };

	(void)state;
	for (size_t i = 0; i < COUNT(codes); i++)
		assert_ptr_equal(api_error(codes[i]), api_error(-1));
	assert_int_equal(api_error(-1)->class, API_ERR_RETRY);
	assert_int_equal(api_error(-1)->maybe_written, 1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(metadata_requests_are_known_bytes),
	cmocka_unit_test(producer_id_requests_are_known_bytes),
	cmocka_unit_test(versions_requests_are_known_bytes),
	cmocka_unit_test(produce_requests_are_known_bytes_without_a_copy),
	cmocka_unit_test(a_batch_of_many_chunks_is_gathered_whole),
	cmocka_unit_test(a_request_may_stand_behind_others_in_the_buffer),
	cmocka_unit_test(too_few_pieces_or_too_little_memory_is_an_error),
	cmocka_unit_test(the_highest_common_version_is_picked),
	cmocka_unit_test(versions_responses_are_read),
	cmocka_unit_test(a_broker_that_knows_no_such_version_says_what_to_try),
	cmocka_unit_test(metadata_responses_are_read),
	cmocka_unit_test(metadata_details_are_read_for_those_who_ask),
	cmocka_unit_test(producer_id_responses_are_read),
	cmocka_unit_test(a_good_answer_without_an_id_is_bad_data),
	cmocka_unit_test(produce_responses_are_read),
	cmocka_unit_test(records_at_fault_are_named_with_words_or_without),
	cmocka_unit_test(responses_cut_or_lengthened_anywhere_are_bad_data),
	cmocka_unit_test(responses_with_changed_bytes_never_do_harm),
	cmocka_unit_test(a_huge_count_is_bad_data_at_once),
	cmocka_unit_test(names_with_a_nul_inside_are_bad_data),
	cmocka_unit_test(short_memory_is_an_error_and_leaks_nothing),
	cmocka_unit_test(error_codes_have_names_and_classes),
	cmocka_unit_test(an_unknown_code_may_mean_anything),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

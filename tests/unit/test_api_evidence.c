/* test_api_evidence.c - what brokers are asked about producers and logs is what Kafka's own classes read, what they answer
 * is read as Kafka means it, and what is cut or bent is bad data. The golden files come from Kafka's own classes.
 */
#include "producer/api.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "producer/wire.h"
#include "tests/lib/golden.h"
#include "tests/lib/unit.h"

#define CORRELATION 0x01020304
#define CLIENT "web-1"

static const struct { const char *name; enum api_key key; } apis[] = {
	{ "describe", API_DESCRIBE_PRODUCERS }, { "offsets", API_LIST_OFFSETS }, { "fetch", API_FETCH },
};

static const char *golden_name(const char *api, int version)
{
	static char name[32];

	snprintf(name, sizeof name, "%s.%d", api, version);
	return name;
}

typedef void version_fn(enum api_key key, const char *name, int16_t version);

static void each_version(version_fn *fn)
{
	for (size_t i = 0; i < COUNT(apis); i++)
		for (int16_t v = api_ours[apis[i].key].min; v <= api_ours[apis[i].key].max; v++)
			fn(apis[i].key, golden_name(apis[i].name, v), v);
}

/* --- requests --- */

static int ask(struct buf *b, enum api_key key, int16_t v)
{
	if (key == API_DESCRIBE_PRODUCERS)
		return api_describe_producers_request(b, v, CORRELATION, CLIENT, "logs", 3);
	if (key == API_LIST_OFFSETS)
		return api_list_offsets_request(b, v, CORRELATION, CLIENT, "logs", 3, 1700000000000);
	return api_fetch_request(b, v, CORRELATION, CLIENT, "logs", 3, 1234567890123, 500, 1 << 20);
}

static void request_is_known_bytes(enum api_key key, const char *name, int16_t v)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(ask(&b, key, v), 0);
	golden_compare("requests", name, (const uint8_t *)b.data, b.len);
	buf_release(&b);
}

static void requests_are_known_bytes(void **state)
{
	(void)state;
	each_version(request_is_known_bytes);
}

static void request_needs_room(enum api_key key, const char *name, int16_t v)
{
	struct buf b;

	(void)name;
	buf_init(&b, 32);
	assert_int_equal(ask(&b, key, v), ERR_NOMEM);
	buf_release(&b);
}

static void a_request_without_room_is_an_error(void **state)
{
	(void)state;
	each_version(request_needs_room);
}

static void old_brokers_are_asked_in_what_they_speak(void **state)
{
	struct api_versions v = { .range = { [API_FETCH] = { 0, 8 }, [API_LIST_OFFSETS] = { 0, 4 },
					     [API_DESCRIBE_PRODUCERS] = { 0, -1 } } };

	(void)state;
	assert_int_equal(api_pick(&v, API_FETCH), 8);
	assert_int_equal(api_pick(&v, API_LIST_OFFSETS), 4);
	assert_int_equal(api_pick(&v, API_DESCRIBE_PRODUCERS), -1);
	v.range[API_FETCH] = (struct api_range){ 4, 18 };
	v.range[API_LIST_OFFSETS] = (struct api_range){ 1, 11 };
	v.range[API_DESCRIBE_PRODUCERS] = (struct api_range){ 0, 0 };
	assert_int_equal(api_pick(&v, API_FETCH), 10);
	assert_int_equal(api_pick(&v, API_LIST_OFFSETS), 7);
	assert_int_equal(api_pick(&v, API_DESCRIBE_PRODUCERS), 0);
	/* Neither was ever offered by us before: what lies between the keys stays closed. */
	for (int key = API_SASL_AUTHENTICATE + 1; key < API_DESCRIBE_PRODUCERS; key++)
		assert_int_equal(api_ours[key].max, -1);
}

/* --- responses --- */

struct producers { struct api_producer_state v[4]; size_t n; };

static void note(void *arg, const struct api_producer_state *p)
{
	struct producers *all = arg;

	if (all->n < COUNT(all->v))
		all->v[all->n] = *p;
	all->n++;
}

static void producers_that_a_leader_remembers_are_read(void **state)
{
	static uint8_t data[GOLDEN_MAX];
	size_t n = golden("responses", "describe.0", data);
	struct producers all = { .n = 0 };
	int32_t throttle_ms = -1;
	int16_t error = -1;

	(void)state;
	assert_int_equal(api_describe_producers_response(data, n, 0, CORRELATION, &error, &throttle_ms, note, &all), 0);
	assert_int_equal(error, 0);
	assert_int_equal(throttle_ms, 11);
	assert_int_equal(all.n, 2);
	assert_true(all.v[0].producer_id == 0x1122334455 && all.v[0].last_timestamp == 1700000000000);
	assert_int_equal(all.v[0].epoch, 7);
	assert_int_equal(all.v[0].last_sequence, INT32_MAX);
	assert_true(all.v[1].producer_id == 5 && all.v[1].last_timestamp == -1);
	assert_int_equal(all.v[1].epoch, 32767);
	assert_int_equal(all.v[1].last_sequence, 0);
}

static void offsets_are_read_in_every_version(void **state)
{
	static uint8_t data[GOLDEN_MAX];

	(void)state;
	for (int16_t v = 1; v <= 7; v++) {
		size_t n = golden("responses", golden_name("offsets", v), data);
		struct api_offset o = { .error = -1 };

		assert_int_equal(api_list_offsets_response(data, n, v, CORRELATION, &o), 0);
		assert_int_equal(o.error, 0);
		assert_int_equal(o.throttle_ms, v >= 2 ? 12 : 0);
		assert_true(o.timestamp == 1700000000000 && o.offset == 1234567890123);
	}
}

static void fetched_batches_are_read_in_every_version(void **state)
{
	static uint8_t data[GOLDEN_MAX];

	(void)state;
	for (int16_t v = 4; v <= 10; v++) {
		size_t n = golden("responses", golden_name("fetch", v), data);
		struct api_fetch f = { .error = -1 };
		struct api_batch_header h;
		const uint8_t *at;

		assert_int_equal(api_fetch_response(data, n, v, CORRELATION, &f), 0);
		assert_int_equal(f.error, 0);
		assert_int_equal(f.throttle_ms, 13);
		assert_int_equal(f.high_watermark, 1003);
		assert_int_equal(f.log_start_offset, v >= 5 ? 17 : -1);
		at = f.records;
		assert_true(api_next_batch_header(&at, f.records + f.records_len, &h));
		assert_ptr_equal(at, f.records + f.records_len);
		assert_true(h.whole);
		assert_true(h.producer_id == 4711 && h.base_offset == 1000 && h.last_offset == 1002);
		assert_int_equal(h.epoch, 6);
		assert_int_equal(h.base_sequence, 100);
		assert_int_equal(h.count, 3);
		assert_int_equal(h.attributes, 0);
		assert_true(h.base_timestamp == 1700000000000 && h.max_timestamp == 1700000000002);
		assert_false(api_next_batch_header(&at, f.records + f.records_len, &h));
	}
}

/* --- answers that tell nothing --- */

/* A Fetch answer of version 7 with so many topics, of which none is there. */
static int topless(int32_t throttle_ms, int16_t error, int32_t topics, struct api_fetch *f)
{
	uint8_t data[18] = { 1, 2, 3, 4 };

	be32_put(data + 4, (uint32_t)throttle_ms);
	be16_put(data + 8, (uint16_t)error);
	be32_put(data + 14, (uint32_t)topics);
	return api_fetch_response(data, sizeof data, 7, CORRELATION, f);
}

static void an_answer_that_is_held_back_or_an_error_as_a_whole_tells_nothing(void **state)
{
	struct api_fetch f;

	(void)state;
	assert_int_equal(topless(250, 0, 0, &f), 0);
	assert_int_equal(f.error, 0);
	assert_int_equal(f.throttle_ms, 250);
	assert_true(f.high_watermark == -1 && f.log_start_offset == -1 && !f.records);
	assert_int_equal(topless(0, 71, 0, &f), 0);
	assert_int_equal(f.error, 71);
	assert_true(f.high_watermark == -1 && !f.records);
	/* Neither: then it must be of the partition that was asked for. */
	assert_int_equal(topless(0, 0, 0, &f), ERR_BAD_DATA);
	assert_int_equal(topless(250, 0, 1, &f), ERR_BAD_DATA);
}

static void an_error_of_the_partition_is_told(void **state)
{
	/* Version 4: throttle, one topic "t", partition 0, error 1, offsets -1, no transactions, no records. */
	uint8_t fetch[] = { 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255,
			    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
	struct api_fetch f;

	(void)state;
	assert_int_equal(api_fetch_response(fetch, sizeof fetch, 4, CORRELATION, &f), 0);
	assert_int_equal(f.error, 1);
	assert_true(f.high_watermark == -1 && !f.records);
	fetch[24] = 0;		/* no error, and yet nothing is told: not to be taken for the end of the log */
	assert_int_equal(api_fetch_response(fetch, sizeof fetch, 4, CORRELATION, &f), ERR_BAD_DATA);
}

/* One was asked about; how many are told is where a reader of more would go wrong unseen. */
static void an_answer_is_of_one_partition_of_one_topic(void **state)
{
	static const size_t counts[] = { 4 + 3, 4 + 4 + 6 + 3 };	/* low bytes: topics, partitions of "logs" */
	static uint8_t data[GOLDEN_MAX];
	size_t n = golden("responses", "offsets.1", data);
	struct api_offset o;

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++)
		for (uint8_t k = 0; k <= 2; k++) {
			data[counts[i]] = k;
			assert_int_equal(api_list_offsets_response(data, n, 1, CORRELATION, &o), k == 1 ? 0 : ERR_BAD_DATA);
			data[counts[i]] = 1;
		}
}

/* --- nonsense --- */

/* 0 or ERR_BAD_DATA. */
static int read_any(enum api_key key, int16_t v, const void *data, size_t n)
{
	struct producers all = { .n = 0 };
	struct api_batch_header h;
	struct api_offset o;
	struct api_fetch f;
	int16_t error;
	int32_t throttle_ms;
	int rc;

	if (key == API_DESCRIBE_PRODUCERS) {
		rc = api_describe_producers_response(data, n, v, CORRELATION, &error, &throttle_ms, note, &all);
		assert_true(rc == 0 || all.n == 0);		/* nothing is told of a bad response */
		return rc;
	}
	if (key == API_LIST_OFFSETS)
		return api_list_offsets_response(data, n, v, CORRELATION, &o);
	rc = api_fetch_response(data, n, v, CORRELATION, &f);
	for (const uint8_t *at = f.records; rc == 0 && at && api_next_batch_header(&at, f.records + f.records_len, &h);)
		assert_true(at <= f.records + f.records_len && h.last_offset >= h.base_offset);
	return rc;
}

/* Every block is exactly as large as its bytes, so that ASan sees one byte read too many. */
static void cut_everywhere(enum api_key key, const char *name, int16_t v)
{
	static uint8_t data[GOLDEN_MAX];
	size_t n = golden("responses", name, data);
	uint8_t *longer = calloc(1, n + 1);

	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);

		memcpy(part, data, cut);
		assert_int_equal(read_any(key, v, part, cut), ERR_BAD_DATA);
		free(part);
	}
	memcpy(longer, data, n);
	assert_int_equal(read_any(key, v, longer, n), 0);
	assert_int_equal(read_any(key, v, longer, n + 1), ERR_BAD_DATA);
	longer[3]++;
	assert_int_equal(read_any(key, v, longer, n), ERR_BAD_DATA);	/* somebody else's */
	free(longer);
}

static void responses_cut_or_lengthened_anywhere_are_bad_data(void **state)
{
	(void)state;
	each_version(cut_everywhere);
}

static void bend_everywhere(enum api_key key, const char *name, int16_t v)
{
	static uint8_t data[GOLDEN_MAX];
	size_t n = golden("responses", name, data);
	uint8_t *bent = malloc(n);
	unsigned int seed = (unsigned int)n;

	for (int i = 0; i < 3000; i++) {
		int rc;

		memcpy(bent, data, n);
		for (int k = rand_r(&seed) % 4; k >= 0; k--)
			bent[4 + (size_t)rand_r(&seed) % (n - 4)] = (uint8_t)rand_r(&seed);
		rc = read_any(key, v, bent, n);
		assert_true(rc == 0 || rc == ERR_BAD_DATA);
	}
	free(bent);
}

static void responses_with_changed_bytes_never_do_harm(void **state)
{
	(void)state;
	each_version(bend_everywhere);
}

/* --- headers --- */

static uint8_t *put_header(uint8_t *p, int64_t base, uint32_t length, int32_t last_delta)
{
	memset(p, 0, BATCH_HEAD);
	be64_put(p, (uint64_t)base);
	be32_put(p + 8, length);
	p[16] = 2;
	be32_put(p + 23, (uint32_t)last_delta);
	be64_put(p + 43, 77);
	return p + BATCH_HEAD;
}

static void a_scan_steps_from_header_to_header_and_stops_at_the_cut_one(void **state)
{
	uint8_t data[3 * BATCH_HEAD + 20], *p = put_header(data, 10, BATCH_HEAD - 12 + 20, 4);
	struct api_batch_header h;
	const uint8_t *at = data, *end;

	(void)state;
	memset(p, 0xff, 20);
	end = put_header(put_header(p + 20, 15, BATCH_HEAD - 12, 0), 16, BATCH_HEAD - 12 + 1000, 9);
	assert_true(api_next_batch_header(&at, end, &h));
	assert_true(h.whole && h.base_offset == 10 && h.last_offset == 14);
	assert_true(api_next_batch_header(&at, end, &h));
	assert_true(h.whole && h.base_offset == 15 && h.last_offset == 15);
	/* Its header is there, its records are not. */
	assert_true(api_next_batch_header(&at, end, &h));
	assert_true(!h.whole && h.base_offset == 16 && h.last_offset == 25 && h.producer_id == 77);
	assert_ptr_equal(at, end);
	/* One byte less, and nothing is said of the last. */
	at = data + BATCH_HEAD + 20 + BATCH_HEAD;
	assert_false(api_next_batch_header(&at, end - 1, &h));
	assert_ptr_equal(at, data + BATCH_HEAD + 20 + BATCH_HEAD);
}

static void what_is_no_batch_of_this_format_is_not_stepped_over(void **state)
{
	static const struct { int64_t base; uint32_t length; int32_t last_delta; uint8_t magic; } bad[] = {
		{ 0, BATCH_HEAD - 13, 0, 2 }, { 0, 0, 0, 2 }, { 0, UINT32_MAX, 0, 2 }, { 0, 0x80000000u, 0, 2 },
		{ -1, BATCH_HEAD - 12, 0, 2 }, { 0, BATCH_HEAD - 12, -1, 2 }, { INT64_MAX, BATCH_HEAD - 12, 1, 2 },
		{ 0, BATCH_HEAD - 12, 0, 1 }, { 0, BATCH_HEAD - 12, 0, 3 },
	};
	uint8_t data[BATCH_HEAD];
	struct api_batch_header h;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		const uint8_t *at = data;

		put_header(data, bad[i].base, bad[i].length, bad[i].last_delta);
		data[16] = bad[i].magic;
		assert_false(api_next_batch_header(&at, data + sizeof data, &h));
		assert_ptr_equal(at, data);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(requests_are_known_bytes),
	cmocka_unit_test(a_request_without_room_is_an_error),
	cmocka_unit_test(old_brokers_are_asked_in_what_they_speak),
	cmocka_unit_test(producers_that_a_leader_remembers_are_read),
	cmocka_unit_test(offsets_are_read_in_every_version),
	cmocka_unit_test(fetched_batches_are_read_in_every_version),
	cmocka_unit_test(an_answer_that_is_held_back_or_an_error_as_a_whole_tells_nothing),
	cmocka_unit_test(an_error_of_the_partition_is_told),
	cmocka_unit_test(an_answer_is_of_one_partition_of_one_topic),
	cmocka_unit_test(responses_cut_or_lengthened_anywhere_are_bad_data),
	cmocka_unit_test(responses_with_changed_bytes_never_do_harm),
	cmocka_unit_test(a_scan_steps_from_header_to_header_and_stops_at_the_cut_one),
	cmocka_unit_test(what_is_no_batch_of_this_format_is_not_stepped_over),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

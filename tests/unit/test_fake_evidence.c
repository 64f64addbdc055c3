/* test_fake_evidence.c - what the fake broker tells of producers and logs, so that what is judged by it can be believed.
 *
 * Goal: DescribeProducers, ListOffsets and Fetch are as a broker's, and what tests may do to them is seen by who asks.
 * Method: requests and readers are the producer's own, whose bytes Kafka's classes have confirmed (test_api_evidence.c); what
 * Kafka 3.9 and 4.1 answer to the same is compared in tests/scenario/idempotence.py.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "agent/base/err.h"
#include "producer/api.h"
#include "producer/wire.h"
#include "tests/lib/fake_client.h"
#include "tests/lib/unit.h"

#define ALL_BYTES 60000

/* Sends what is in b, and reads one frame; false: the connection ended before its end. */
static bool exchange(struct fixture *f, struct buf *b)
{
	uint8_t size[4];

	assert_int_equal(send(f->fd, b->data, b->len, MSG_NOSIGNAL), b->len);
	buf_release(b);
	if (recv(f->fd, size, 4, MSG_WAITALL) != 4)
		return false;
	f->in_len = be32_get(size);
	assert_in_range(f->in_len, 4, sizeof f->in);
	return recv(f->fd, f->in, f->in_len, MSG_WAITALL) == (ssize_t)f->in_len;
}

/* --- asking --- */

struct told { int16_t error; int32_t throttle_ms; struct api_producer_state of[4]; size_t n; };

static void note(void *arg, const struct api_producer_state *p)
{
	struct told *t = arg;

	assert_true(t->n < COUNT(t->of));
	t->of[t->n++] = *p;
}

static struct told describe(struct fixture *f, const char *topic, int32_t partition)
{
	struct told t = { .n = 0 };
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(api_describe_producers_request(&b, 0, ++f->correlation, "test", topic, partition), 0);
	assert_true(exchange(f, &b));
	assert_int_equal(api_describe_producers_response(f->in, f->in_len, 0, f->correlation, &t.error, &t.throttle_ms, note, &t),
			 0);
	return t;
}

static struct api_offset list(struct fixture *f, int16_t version, int64_t timestamp)
{
	struct api_offset o;
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(api_list_offsets_request(&b, version, ++f->correlation, "test", "t", 0, timestamp), 0);
	assert_true(exchange(f, &b));
	assert_int_equal(api_list_offsets_response(f->in, f->in_len, version, f->correlation, &o), 0);
	return o;
}

/* 0 or ERR_BAD_DATA. */
static int fetch_any(struct fixture *f, int16_t version, int64_t offset, int32_t max_bytes, struct api_fetch *ret)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(api_fetch_request(&b, version, ++f->correlation, "test", "t", 0, offset, 100, max_bytes), 0);
	assert_true(exchange(f, &b));
	return api_fetch_response(f->in, f->in_len, version, f->correlation, ret);
}

static struct api_fetch fetch(struct fixture *f, int16_t version, int64_t offset, int32_t max_bytes)
{
	struct api_fetch r;

	assert_int_equal(fetch_any(f, version, offset, max_bytes, &r), 0);
	return r;
}

static void append(struct fixture *f, int64_t id, int32_t sequence, int32_t count)
{
	assert_int_equal(fake_foreign_batch(f->fake, "t", 0, id, 0, sequence, count), 0);
}

static int64_t now_of_broker(struct fixture *f)
{
	struct told t;

	append(f, 999, 0, 1);
	t = describe(f, "t", 0);
	for (size_t i = 0; i < t.n; i++)
		if (t.of[i].producer_id == 999)
			return t.of[i].last_timestamp;
	fail();
	return 0;
}

/* --- producers --- */

static void producers_are_told_as_long_as_they_are_remembered(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	struct told t;

	(void)state;
	fake_set_expiry(f->fake, 60000, 1000);
	append(f, 7, 0, 3);
	append(f, 7, 3, 2);
	t = describe(f, "t", 0);
	assert_int_equal(t.error, 0);
	assert_int_equal(t.n, 1);
	assert_true(t.of[0].producer_id == 7 && t.of[0].epoch == 0 && t.of[0].last_sequence == 4);
	assert_true(t.of[0].last_timestamp > 0);
	assert_int_equal(describe(f, "t", 1).n, 0);
	assert_int_equal(describe(f, "t", 2).error, 3);
	assert_int_equal(describe(f, "absent", 0).error, 3);
	fake_advance(f->fake, 61500);
	assert_int_equal(describe(f, "t", 0).n, 0);
	end(f);
}

/* --- offsets --- */

static void offsets_are_found_by_time_in_every_version(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	int64_t begin = now_of_broker(f);		/* offset 0 */

	(void)state;
	fake_advance(f->fake, 100000);
	append(f, 7, 0, 3);
	for (int16_t v = 1; v <= 7; v++) {
		assert_int_equal(list(f, v, API_OFFSET_EARLIEST).offset, 0);
		assert_int_equal(list(f, v, API_OFFSET_LATEST).offset, 4);
		assert_int_equal(list(f, v, begin - 1).offset, 0);
		assert_int_equal(list(f, v, begin).timestamp, begin);
		assert_int_equal(list(f, v, begin + 1).offset, 1);
		assert_true(list(f, v, begin + 1).timestamp >= begin + 100000);
		assert_int_equal(list(f, v, begin + 200000).offset, -1);
		assert_int_equal(list(f, v, begin + 200000).error, 0);
	}
	end(f);
}

/* --- batches --- */

static void the_log_is_read_batch_by_batch_in_every_version(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	append(f, 7, 0, 3);
	append(f, 7, 3, 2);
	append(f, 8, 0, 1);
	for (int16_t v = 4; v <= 10; v++) {
		struct api_fetch r = fetch(f, v, 4, ALL_BYTES);		/* in the middle of the second: all of it */
		const uint8_t *at = r.records, *stop = at + r.records_len, *first = at;
		struct api_batch_header h;

		assert_int_equal(r.error, 0);
		assert_int_equal(r.high_watermark, 6);
		assert_int_equal(r.log_start_offset, v >= 5 ? 0 : -1);
		assert_true(api_next_batch_header(&at, stop, &h));
		assert_true(h.whole && h.base_offset == 3 && h.last_offset == 4);
		assert_true(h.producer_id == 7 && h.base_sequence == 3 && h.count == 2);
		assert_int_equal(be32_get(first + 17), crc32c(0, first + 21, (size_t)(at - first) - 21));
		assert_true(api_next_batch_header(&at, stop, &h));
		assert_true(h.whole && h.base_offset == 5 && h.producer_id == 8);
		assert_ptr_equal(at, stop);
		r = fetch(f, v, 6, ALL_BYTES);
		assert_true(r.error == 0 && !r.records && r.high_watermark == 6);
		r = fetch(f, v, 7, ALL_BYTES);
		assert_true(r.error == 1 && r.high_watermark == -1);
	}
	end(f);
}

static void the_last_batch_is_cut_and_the_first_never(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	struct api_batch_header h;
	struct api_fetch r;
	const uint8_t *at;
	int32_t one;

	(void)state;
	append(f, 7, 0, 3);
	append(f, 7, 3, 3);
	one = (int32_t)fetch(f, 10, 3, ALL_BYTES).records_len;
	r = fetch(f, 10, 0, 1);
	assert_int_equal(r.records_len, one);
	r = fetch(f, 10, 0, one + 62);
	assert_int_equal(r.records_len, one + 62);
	at = r.records;
	assert_true(api_next_batch_header(&at, r.records + r.records_len, &h) && h.whole);
	assert_true(api_next_batch_header(&at, r.records + r.records_len, &h) && !h.whole && h.base_sequence == 3);
	end(f);
}

static void a_topic_with_append_time_has_it_in_its_batches(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	struct api_batch_header h;
	struct api_fetch r;
	const uint8_t *at;
	int64_t begin;

	(void)state;
	assert_true(fake_topic_set(f->fake, "t", "message.timestamp.type", 1));
	begin = now_of_broker(f);
	r = fetch(f, 10, 0, ALL_BYTES);
	at = r.records;
	assert_true(api_next_batch_header(&at, r.records + r.records_len, &h));
	assert_int_equal(h.attributes, 8);
	assert_int_equal(h.max_timestamp, begin);
	assert_int_equal(be32_get(r.records + 17), crc32c(0, r.records + 21, r.records_len - 21));
	assert_int_equal(list(f, 7, begin).offset, 0);
	end(f);
}

static void deleted_records_are_read_by_nobody(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	int64_t begin = now_of_broker(f);
	struct api_fetch r;

	(void)state;
	append(f, 7, 0, 3);
	append(f, 7, 3, 3);
	fake_delete_records(f->fake, "t", 0, 3);
	assert_int_equal(fetch(f, 10, 2, ALL_BYTES).error, 1);
	r = fetch(f, 10, 3, ALL_BYTES);
	assert_true(r.error == 0 && r.log_start_offset == 3);
	assert_int_equal(be64_get(r.records), 1);		/* the batch that holds it, whole */
	assert_int_equal(list(f, 7, API_OFFSET_EARLIEST).offset, 3);
	assert_int_equal(list(f, 7, begin).offset, 3);
	fake_delete_records(f->fake, "t", 0, 1);		/* never back */
	assert_int_equal(list(f, 7, API_OFFSET_EARLIEST).offset, 3);
	fake_delete_records(f->fake, "t", 0, 100);
	assert_int_equal(list(f, 7, API_OFFSET_EARLIEST).offset, 7);
	assert_int_equal(list(f, 7, begin).offset, -1);
	assert_int_equal(describe(f, "t", 0).n, 2);		/* who wrote is remembered all the same */
	assert_int_equal(fake_records(f->fake, "t", 0), 7);
	end(f);
}

/* --- what tests may do --- */

static void who_may_not_read_is_told_nothing(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	append(f, 7, 0, 3);
	fake_deny_read(f->fake, "t", true);
	assert_int_equal(describe(f, "t", 0).error, 29);
	assert_int_equal(describe(f, "t", 0).n, 0);
	assert_int_equal(list(f, 7, API_OFFSET_LATEST).error, 29);
	assert_int_equal(list(f, 7, API_OFFSET_LATEST).offset, -1);
	assert_int_equal(fetch(f, 10, 0, ALL_BYTES).error, 29);
	append(f, 7, 3, 1);		/* writing is another right */
	fake_deny_read(f->fake, "t", false);
	assert_int_equal(fetch(f, 10, 0, ALL_BYTES).high_watermark, 4);
	end(f);
}

static struct api_versions versions(struct fixture *f)
{
	struct api_versions v;
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(api_versions_request(&b, 0, ++f->correlation, "test"), 0);
	assert_true(exchange(f, &b));
	assert_int_equal(api_versions_response(f->in, f->in_len, 0, f->correlation, &v), 0);
	return v;
}

static bool hangs_up_on_describe(struct fixture *f)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(api_describe_producers_request(&b, 0, ++f->correlation, "test", "t", 0), 0);
	return !exchange(f, &b);
}

static void an_api_is_hidden_from_new_connections(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	struct api_versions v;

	(void)state;
	versions(f);			/* the connection is taken before the API is hidden */
	fake_hide_api(f->fake, FAKE_DESCRIBE_PRODUCERS, true);
	assert_int_equal(describe(f, "t", 0).error, 0);
	connect_to(f, 0);
	v = versions(f);
	assert_int_equal(api_pick(&v, API_DESCRIBE_PRODUCERS), -1);
	assert_true(api_pick(&v, API_FETCH) > 0);
	assert_true(hangs_up_on_describe(f));
	fake_hide_api(f->fake, FAKE_DESCRIBE_PRODUCERS, false);
	connect_to(f, 0);
	v = versions(f);
	assert_int_equal(api_pick(&v, API_DESCRIBE_PRODUCERS), 0);
	end(f);
}

static void old_releases_do_not_describe_producers(void **state)
{
	static const char *const names[] = { "2.1", "2.4" };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct fixture *f = begin_with(names[i], 1);
		struct api_versions v = versions(f);

		assert_int_equal(api_pick(&v, API_DESCRIBE_PRODUCERS), -1);
		assert_int_equal(fetch(f, api_pick(&v, API_FETCH), 0, ALL_BYTES).high_watermark, 0);
		assert_int_equal(list(f, api_pick(&v, API_LIST_OFFSETS), API_OFFSET_LATEST).offset, 0);
		assert_true(hangs_up_on_describe(f));
		end(f);
	}
}

static void a_foreign_batch_is_taken_by_the_rules_of_all(void **state)
{
	struct fixture *f = begin_with(NULL, 1);

	(void)state;
	append(f, 7, 0, 3);
	append(f, 7, 0, 3);		/* a duplicate */
	assert_int_equal(fake_records(f->fake, "t", 0), 3);
	assert_int_equal(fake_foreign_batch(f->fake, "t", 0, 7, 0, 5, 1), 45);
	assert_int_equal(fake_foreign_batch(f->fake, "t", 0, 7, 1, 0, 1), 0);
	assert_int_equal(fake_foreign_batch(f->fake, "t", 0, 7, 0, 3, 1), 47);
	assert_string_equal(fake_record(f->fake, "t", 0, 3), "foreign");
	fake_recreate_topic(f->fake, "t");
	assert_int_equal(fetch(f, 10, 0, ALL_BYTES).high_watermark, 0);
	assert_null(fetch(f, 10, 0, ALL_BYTES).records);
	end(f);
}

static void who_does_not_lead_says_so_as_far_as_it_cares(void **state)
{
	struct fixture *f = begin_with(NULL, 2);

	(void)state;
	append(f, 7, 0, 3);
	connect_to(f, 1);
	assert_int_equal(fetch(f, 10, 0, ALL_BYTES).error, 6);
	assert_int_equal(list(f, 7, API_OFFSET_LATEST).error, 6);
	assert_int_equal(describe(f, "t", 0).n, 1);
	end(f);
}

/* --- faults --- */

static void all_three_meet_faults_of_their_answers(void **state)
{
	struct fixture *f = begin_with(NULL, 1);
	struct api_fetch r;
	int64_t begin;

	(void)state;
	append(f, 7, 0, 3);
	fake_fault_api(f->fake, FAKE_FETCH, FAULT_ERROR, 56, 1);
	assert_int_equal(fetch(f, 10, 0, ALL_BYTES).error, 56);
	fake_fault_api(f->fake, FAKE_LIST_OFFSETS, FAULT_ERROR, 5, 1);
	assert_int_equal(list(f, 7, API_OFFSET_LATEST).error, 5);
	fake_fault_api(f->fake, FAKE_DESCRIBE_PRODUCERS, FAULT_ERROR, 6, 1);
	assert_int_equal(describe(f, "t", 0).error, 6);
	fake_fault_api(f->fake, FAKE_DESCRIBE_PRODUCERS, FAULT_THROTTLE, 70, 1);
	assert_int_equal(describe(f, "t", 0).throttle_ms, 70);
	fake_fault_api(f->fake, FAKE_LIST_OFFSETS, FAULT_THROTTLE, 80, 1);
	assert_int_equal(list(f, 2, API_OFFSET_LATEST).throttle_ms, 80);
	fake_fault_api(f->fake, FAKE_FETCH, FAULT_THROTTLE, 90, 1);
	r = fetch(f, 10, 0, ALL_BYTES);
	assert_true(r.throttle_ms == 90 && r.error == 0 && r.high_watermark == -1 && !r.records);
	fake_fault_api(f->fake, FAKE_FETCH, FAULT_DELAY, 100, 1);
	begin = clock_mono_ms();
	assert_int_equal(fetch(f, 10, 0, ALL_BYTES).high_watermark, 3);
	assert_true(clock_mono_ms() - begin >= 100);
	for (int16_t v = 4; v <= 10; v++) {
		fake_fault_api(f->fake, FAKE_FETCH, FAULT_HUGE_ARRAY, 0, 1);
		assert_int_equal(fetch_any(f, v, 0, ALL_BYTES, &r), ERR_BAD_DATA);
		assert_int_equal(be32_get(f->in + (v < 7 ? 8 : 14)), INT32_MAX - 1);
		fake_fault_api(f->fake, FAKE_FETCH, FAULT_HUGE_STRING, 0, 1);
		assert_int_equal(fetch_any(f, v, 0, ALL_BYTES, &r), ERR_BAD_DATA);
		fake_fault_api(f->fake, FAKE_FETCH, FAULT_TRUNCATED, 40, 1);
		assert_int_equal(fetch_any(f, v, 0, ALL_BYTES, &r), ERR_BAD_DATA);
	}
	fake_fault_api(f->fake, FAKE_DESCRIBE_PRODUCERS, FAULT_CLOSE_BEFORE, 0, 1);
	assert_true(hangs_up_on_describe(f));
	end(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(producers_are_told_as_long_as_they_are_remembered),
	cmocka_unit_test(offsets_are_found_by_time_in_every_version),
	cmocka_unit_test(the_log_is_read_batch_by_batch_in_every_version),
	cmocka_unit_test(the_last_batch_is_cut_and_the_first_never),
	cmocka_unit_test(a_topic_with_append_time_has_it_in_its_batches),
	cmocka_unit_test(deleted_records_are_read_by_nobody),
	cmocka_unit_test(who_may_not_read_is_told_nothing),
	cmocka_unit_test(an_api_is_hidden_from_new_connections),
	cmocka_unit_test(old_releases_do_not_describe_producers),
	cmocka_unit_test(a_foreign_batch_is_taken_by_the_rules_of_all),
	cmocka_unit_test(who_does_not_lead_says_so_as_far_as_it_cares),
	cmocka_unit_test(all_three_meet_faults_of_their_answers),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_batch.c - records are laid out as Kafka reads them, wherever chunks end, and a batch is never half-changed. */
#include "producer/batch.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/crc32c.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "tests/lib/golden.h"
#include "tests/lib/records.h"
#include "tests/lib/unit.h"

#define WALL 1700000000000
#define CHUNKS 64

struct fixture { struct budget *m; struct batch *b; };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (!f || budget_new(&f->m, CHUNKS * CHUNK_BYTES, 4 * CHUNK_BYTES) < 0)
		return -1;
	f->b = batch_new(5, WALL);
	*state = f;
	return f->b ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	batch_free(f->b, f->m);
	if (budget_used(f->m))
		return -1;
	budget_free(f->m);
	free(f);
	return 0;
}

static int append(struct fixture *f, const void *value, size_t n)
{
	return batch_append(f->b, f->m, BUDGET_APPEND, 0, NULL, 0, value, n, NULL, 0, -1);
}

/* Appends without a key until the last chunk has exactly `room` bytes left. */
static void fill_to(struct fixture *f, size_t room)
{
	static const uint8_t zeros[CHUNK_DATA];
	size_t left;

	assert_int_equal(append(f, "", 0), 0);
	while ((left = CHUNK_DATA - f->b->last->used) != room) {
		size_t want = left - room, n = want < 4000 ? want : 2000;

		while (n > 0 && batch_record_bytes(f->b, 0, true, n, false, NULL, 0, -1) > want)
			n--;
		/* Some lengths no single record has; two have them. */
		if (batch_record_bytes(f->b, 0, true, n, false, NULL, 0, -1) > want || (want < 200 && want > 20 && n > 20 &&
		    batch_record_bytes(f->b, 0, true, n, false, NULL, 0, -1) != want))
			n = 5;
		assert_int_equal(append(f, zeros, n), 0);
	}
}

static void a_line_looks_as_written_down(void **state)
{
	struct fixture *f = *state;
	static const uint8_t want[] = {
		0x16, 0, 0, 0, 1, 0x0a, 'h', 'e', 'l', 'l', 'o', 0,	/* length 11, no key, value of 5 */
		0x10, 0, 0, 2, 4, 'k', 'y', 0, 0,			/* offset delta 1, key of 2, empty value */
		0x0c, 0, 0, 4, 1, 1, 0,					/* offset delta 2, null key, null value */
	};
	uint8_t *all;

	assert_int_equal(append(f, "hello", 5), 0);
	assert_int_equal(batch_append(f->b, f->m, BUDGET_APPEND, 0, "ky", 2, "", 0, NULL, 0, -1), 0);
	assert_int_equal(append(f, NULL, 0), 0);
	all = flat(f->b);
	assert_int_equal(f->b->bytes, sizeof want);
	assert_memory_equal(all, want, sizeof want);
	assert_int_equal(f->b->count, 3);
	assert_int_equal(f->b->max_timestamp, WALL);
	free(all);
	batch_check(f->b);
}

static void timestamps_are_deltas_and_the_largest_is_kept(void **state)
{
	static const int64_t at[] = { WALL - 5, -1, WALL + 1000000, 0, WALL - 1 }, max[] = { WALL - 5, WALL, WALL + 1000000,
		WALL + 1000000, WALL + 1000000 };
	struct fixture *f = *state;
	struct record_reader r;
	uint8_t *all;

	for (size_t i = 0; i < COUNT(at); i++) {
		assert_int_equal(batch_append(f->b, f->m, BUDGET_APPEND, 0, NULL, 0, "x", 1, NULL, 0, at[i]), 0);
		assert_int_equal(f->b->max_timestamp, max[i]);
	}
	all = flat(f->b);
	r = (struct record_reader){ all, all + f->b->bytes };
	for (size_t i = 0; i < COUNT(at); i++)
		assert_int_equal(read_record(&r).timestamp_delta, at[i] == -1 ? 0 : at[i] - WALL);
	free(all);
}

static const struct producer_header headers[] = {
	{ "host", "web-1", 5 }, { "", "", 0 }, { "none", NULL, 0 },
};

static void headers_are_written_with_null_and_empty_values(void **state)
{
	struct fixture *f = *state;
	struct record_reader r;
	struct read_record rec;
	uint8_t *all;

	assert_int_equal(batch_append(f->b, f->m, BUDGET_APPEND, 0, "k", 1, "v", 1, headers, 3, -1), 0);
	all = flat(f->b);
	r = (struct record_reader){ all, all + f->b->bytes };
	rec = read_record(&r);
	assert_int_equal(rec.header_count, 3);
	for (int i = 0; i < 3; i++) {
		assert_blob(rec.header_name[i], headers[i].name, strlen(headers[i].name));
		assert_blob(rec.header_value[i], headers[i].value, headers[i].value_len);
	}
	free(all);
}

/* One record that begins `room` bytes before a chunk's end, with every field somewhere behind. */
static void straddle(struct fixture *f, size_t room, size_t value_len)
{
	uint8_t value[300], *all;
	struct record_reader r;
	struct read_record rec;
	size_t before, exact;

	memset(value, 'v', sizeof value);
	fill_to(f, room);
	before = f->b->bytes;
	exact = batch_record_bytes(f->b, 7, false, value_len, false, headers, 3, WALL - 100000);
	assert_int_equal(batch_append(f->b, f->m, BUDGET_APPEND, 0, "the-key", 7, value, value_len, headers, 3, WALL - 100000), 0);
	assert_int_equal(f->b->bytes, before + exact);
	batch_check(f->b);
	all = flat(f->b);
	r = (struct record_reader){ all + before, all + f->b->bytes };
	rec = read_record(&r);
	assert_ptr_equal(r.p, r.end);
	assert_int_equal(rec.timestamp_delta, -100000);
	assert_int_equal(rec.offset_delta, f->b->count - 1);
	assert_blob(rec.key, "the-key", 7);
	assert_blob(rec.value, value, value_len);
	assert_int_equal(rec.header_count, 3);
	free(all);
}

static void a_record_may_straddle_chunks_at_every_byte(void **state)
{
	struct fixture *f = *state;

	for (size_t room = 0; room <= 340; room++) {
		straddle(f, room, 280);
		batch_free(f->b, f->m);
		f->b = batch_new(0, WALL);
		assert_non_null(f->b);
	}
}

static void plain_lines_straddle_chunks_too(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "a line of log as long as the room that may be left behind the others";
	struct record_reader r;
	uint8_t *all;

	for (size_t room = 0; room <= sizeof line + 8; room++) {
		size_t before;

		fill_to(f, room);
		before = f->b->bytes;
		assert_int_equal(append(f, line, sizeof line), 0);
		batch_check(f->b);
		all = flat(f->b);
		r = (struct record_reader){ all + before, all + f->b->bytes };
		assert_blob(read_record(&r).value, line, sizeof line);
		assert_ptr_equal(r.p, r.end);
		free(all);
		batch_free(f->b, f->m);
		f->b = batch_new(0, WALL);
	}
}

static void a_record_longer_than_many_chunks_is_whole(void **state)
{
	struct fixture *f = *state;
	size_t n = 5 * CHUNK_DATA + 123;
	uint8_t *value = malloc(n), *all;
	struct record_reader r;

	for (size_t i = 0; i < n; i++)
		value[i] = (uint8_t)(i * 7 ^ i >> 8);
	assert_int_equal(append(f, "first", 5), 0);
	assert_int_equal(append(f, value, n), 0);
	assert_int_equal(append(f, "last", 4), 0);
	batch_check(f->b);
	all = flat(f->b);
	r = (struct record_reader){ all, all + f->b->bytes };
	assert_blob(read_record(&r).value, "first", 5);
	assert_blob(read_record(&r).value, value, n);
	assert_blob(read_record(&r).value, "last", 4);
	assert_ptr_equal(r.p, r.end);
	free(all);
	free(value);
}

static void announced_sizes_are_exact(void **state)
{
	struct fixture *f = *state;
	uint8_t data[20000] = { 0 };
	unsigned int seed = 1;

	for (int i = 0; i < 3000; i++) {
		size_t k = (size_t)rand_r(&seed) % 300, v = (size_t)rand_r(&seed) % (i % 100 ? 300 : sizeof data);
		bool no_key = rand_r(&seed) % 2, no_value = rand_r(&seed) % 8 == 0;
		size_t n_headers = (size_t)rand_r(&seed) % 4;
		int64_t at = rand_r(&seed) % 2 ? -1 : WALL + rand_r(&seed) - (1 << 30);
		size_t said = batch_record_bytes(f->b, k, no_key, v, no_value, headers, n_headers, at), before = f->b->bytes;
		int rc = batch_append(f->b, f->m, BUDGET_APPEND, 0, no_key ? NULL : data, k, no_value ? NULL : data, v, headers,
				      n_headers, at);

		if (rc == ERR_AGAIN) {		/* all chunks are used: begin anew */
			batch_free(f->b, f->m);
			f->b = batch_new(0, WALL);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(f->b->bytes - before, said);
	}
	batch_check(f->b);
}

static void a_record_that_finds_no_memory_changes_nothing(void **state)
{
	struct fixture *f = *state;
	size_t n = 10 * CHUNK_DATA, used;
	uint8_t *value = calloc(1, n), *all;
	struct chunk *rest;
	uint32_t bytes;

	assert_int_equal(append(f, "before", 6), 0);
	rest = budget_take_chain(f->m, BUDGET_APPEND, CHUNKS - 4 - 1 - 9, 0);
	bytes = f->b->bytes;
	used = budget_used(f->m);
	assert_int_equal(append(f, value, n), ERR_AGAIN);	/* ten more are needed, nine are there */
	assert_int_equal(f->b->bytes, bytes);
	assert_int_equal(f->b->count, 1);
	assert_int_equal(budget_used(f->m), used);
	assert_true(budget_tight_since(f->m) >= 0);
	batch_check(f->b);
	/* A small one still fits where it is. */
	assert_int_equal(append(f, "after", 5), 0);
	all = flat(f->b);
	assert_memory_equal(all + f->b->bytes - 6, "after", 5);
	free(all);
	free(value);
	budget_give(f->m, rest);
}

static void the_share_says_who_pays(void **state)
{
	struct fixture *f = *state;
	struct chunk *all = budget_take_chain(f->m, BUDGET_APPEND, CHUNKS - 4, 0);

	assert_int_equal(append(f, "x", 1), ERR_AGAIN);
	assert_int_equal(batch_append(f->b, f->m, BUDGET_REFILL, 0, NULL, 0, "x", 1, NULL, 0, -1), 0);
	budget_give(f->m, all);
}

static void absurd_sizes_are_refused(void **state)
{
	struct fixture *f = *state;
	static const struct producer_header big = { "h", "", (size_t)1 << 40 };

	assert_int_equal(append(f, "", (size_t)1 << 31), ERR_TOO_LARGE);
	assert_int_equal(append(f, "", SIZE_MAX), ERR_TOO_LARGE);
	assert_int_equal(batch_append(f->b, f->m, BUDGET_APPEND, 0, "", SIZE_MAX / 2, "", SIZE_MAX / 2, NULL, 0, -1),
			 ERR_TOO_LARGE);
	assert_int_equal(batch_append(f->b, f->m, BUDGET_APPEND, 0, NULL, 0, "", 0, &big, 1, -1), ERR_TOO_LARGE);
	assert_int_equal(f->b->count, 0);
	assert_null(f->b->chunks);
	batch_check(f->b);
}

/* --- header and CRC --- */

static uint64_t be(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static void sealed(struct fixture *f)
{
	for (int i = 0; i < 1000; i++)
		assert_int_equal(append(f, "some line of log that fills a few chunks together with its many copies", 70), 0);
	batch_seal_crc(f->b);
	f->b->producer_id = 0x1122334455667788;
	f->b->producer_epoch = 0x0102;
	f->b->base_sequence = 0x7fffff00;
}

static uint32_t full_crc(const struct batch *b)
{
	uint8_t *all = flat(b);
	uint32_t crc = crc32c_table(crc32c_table(0, b->head + 21, 40), all, b->bytes);

	free(all);
	return crc;
}

static void the_header_says_what_the_batch_is(void **state)
{
	struct fixture *f = *state;
	const uint8_t *h = f->b->head;

	sealed(f);
	f->b->codec = CODEC_ZSTD;
	batch_stamp(f->b);
	assert_true(be(h, 8) == 0);
	assert_true(be(h + 8, 4) == 49 + f->b->bytes);
	assert_true(be(h + 12, 4) == 0xffffffff);
	assert_true(h[16] == 2);
	assert_true(be(h + 21, 2) == 4);
	assert_true(be(h + 23, 4) == 999);
	assert_true(be(h + 27, 8) == WALL);
	assert_true(be(h + 35, 8) == WALL);
	assert_true(be(h + 43, 8) == 0x1122334455667788);
	assert_true(be(h + 51, 2) == 0x0102);
	assert_true(be(h + 53, 4) == 0x7fffff00);
	assert_true(be(h + 57, 4) == 1000);
	assert_int_equal(batch_wire_bytes(f->b), 61 + f->b->bytes);
}

static void a_new_identity_gives_the_crc_of_all_bytes(void **state)
{
	struct fixture *f = *state;

	sealed(f);
	for (int i = 0; i < 20; i++) {
		f->b->producer_id += 977;
		f->b->producer_epoch++;
		f->b->base_sequence = i * 1000;
		f->b->max_timestamp += i;
		batch_stamp(f->b);
		assert_true(be(f->b->head + 17, 4) == full_crc(f->b));
	}
}

static void no_identity_is_minus_one_everywhere(void **state)
{
	struct fixture *f = *state;
	static const uint8_t none[14] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };

	assert_int_equal(append(f, "x", 1), 0);
	batch_seal_crc(f->b);
	batch_stamp(f->b);
	assert_memory_equal(f->b->head + 43, none, sizeof none);
	assert_true(be(f->b->head + 17, 4) == full_crc(f->b));
}

static void a_whole_batch_has_known_bytes(void **state)
{
	struct fixture *f = *state;
	uint8_t whole[1000], *all;

	assert_int_equal(append(f, "hello", 5), 0);
	assert_int_equal(batch_append(f->b, f->m, BUDGET_APPEND, 0, "key", 3, "value", 5, headers, 3, WALL + 70), 0);
	assert_int_equal(append(f, NULL, 0), 0);
	batch_seal_crc(f->b);
	f->b->producer_id = 4711;
	f->b->producer_epoch = 3;
	f->b->base_sequence = 2147483646;
	batch_stamp(f->b);
	all = flat(f->b);
	memcpy(whole, f->b->head, BATCH_HEAD);
	memcpy(whole + BATCH_HEAD, all, f->b->bytes);
	golden_compare("batches", "none", whole, BATCH_HEAD + f->b->bytes);
	free(all);
}

/* --- bytes as a whole --- */

static void compressed_bytes_take_the_place_of_raw_ones(void **state)
{
	struct fixture *f = *state;
	uint32_t raw, raw_crc;
	uint8_t *small;

	sealed(f);
	raw = f->b->bytes;
	raw_crc = f->b->raw_crc;
	assert_int_equal(raw_crc, f->b->payload_crc);
	assert_int_equal(budget_used(f->m), 5 * CHUNK_BYTES);
	small = malloc(CHUNK_DATA + 1);
	memset(small, 'z', CHUNK_DATA + 1);
	batch_replace_bytes(f->b, f->m, small, CHUNK_DATA + 1, CODEC_LZ4);
	batch_seal_crc(f->b);
	batch_check(f->b);
	assert_int_equal(budget_used(f->m), 2 * CHUNK_BYTES);
	assert_int_equal(f->b->bytes, CHUNK_DATA + 1);
	assert_int_equal(f->b->raw_bytes, raw);
	assert_int_equal(f->b->raw_crc, raw_crc);
	assert_int_equal(f->b->payload_crc, crc32c(0, small, CHUNK_DATA + 1));
	assert_int_equal(f->b->codec, CODEC_LZ4);
	batch_replace_bytes(f->b, f->m, small, CHUNK_DATA, CODEC_LZ4);
	assert_int_equal(budget_used(f->m), CHUNK_BYTES);
	assert_int_equal(f->b->raw_bytes, raw);
	batch_check(f->b);
	free(small);
}

static void bytes_go_away_and_come_back(void **state)
{
	struct fixture *f = *state;
	uint8_t *all, *again, head[BATCH_HEAD];
	size_t n;

	sealed(f);
	batch_stamp(f->b);
	memcpy(head, f->b->head, sizeof head);
	all = flat(f->b);
	n = f->b->bytes;
	batch_drop_bytes(f->b, f->m);
	assert_true(batch_absent(f->b));
	assert_int_equal(budget_used(f->m), 0);
	batch_check(f->b);
	batch_stamp(f->b);			/* needs no bytes */
	assert_memory_equal(f->b->head, head, sizeof head);
	/* More than the reserve has: unchanged. */
	assert_int_equal(batch_fill(f->b, f->m, BUDGET_REFILL, 0, all, n), ERR_AGAIN);
	assert_true(batch_absent(f->b));
	assert_int_equal(budget_used(f->m), 0);
	assert_int_equal(batch_fill(f->b, f->m, BUDGET_APPEND, 0, all, n), 0);
	batch_check(f->b);
	again = flat(f->b);
	assert_memory_equal(again, all, n);
	batch_seal_crc(f->b);
	batch_stamp(f->b);
	assert_memory_equal(f->b->head, head, sizeof head);
	free(all);
	free(again);
}

static void a_batch_may_end_exactly_where_a_chunk_does(void **state)
{
	struct fixture *f = *state;
	uint8_t *p = calloc(1, 2 * CHUNK_DATA);

	f->b->count = 1;
	f->b->state = BATCH_LOADING;
	for (size_t n = 2 * CHUNK_DATA - 1; n <= 2 * CHUNK_DATA; n++) {
		assert_int_equal(batch_fill(f->b, f->m, BUDGET_REFILL, 0, p, n), 0);
		batch_check(f->b);
		assert_int_equal(budget_used(f->m), 2 * CHUNK_BYTES);
		batch_replace_bytes(f->b, f->m, p, CHUNK_DATA, CODEC_ZSTD);
		batch_check(f->b);
		assert_int_equal(budget_used(f->m), CHUNK_BYTES);
		batch_drop_bytes(f->b, f->m);
	}
	free(p);
}

/* --- sources and callbacks --- */

static void sources_that_join_are_one_range(void **state)
{
	static const struct source_range in[] = {
		{ .file_id = 1, .from = 0, .to = 10, .marker = 11, .count = 1 },
		{ .file_id = 1, .from = 10, .to = 30, .marker = 22, .count = 2 },
		{ .file_id = 1, .from = 31, .to = 40, .marker = 33, .count = 1 },		/* a gap */
		{ .file_id = 2, .from = 40, .to = 50, .marker = 44, .count = 1 },		/* another file */
		{ .file_id = 2, .from = 50, .to = 60, .marker = 55, .count = 1, .route = 9 },	/* another route */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(in); i++)
		assert_int_equal(batch_add_source(f->b, &in[i]), 0);
	assert_int_equal(f->b->range_count, 4);
	assert_int_equal(f->b->ranges[0].from, 0);
	assert_int_equal(f->b->ranges[0].to, 30);
	assert_int_equal(f->b->ranges[0].count, 3);
	assert_int_equal(f->b->ranges[0].marker, 22);
	assert_int_equal(f->b->ranges[3].route, 9);
}

static void ranges_have_a_ceiling_but_joining_goes_on(void **state)
{
	struct fixture *f = *state;
	struct source_range r = { .count = 1 };

	for (int64_t i = 0; i < BATCH_RANGES_MAX; i++) {
		r.from = 2 * i;
		r.to = 2 * i + 1;
		assert_int_equal(batch_reserve_sources(f->b, 1), 0);
		assert_int_equal(batch_add_source(f->b, &r), 0);
	}
	assert_int_equal(batch_reserve_sources(f->b, 1), ERR_NOMEM);
	r.from = r.to + 1;
	assert_int_equal(batch_add_source(f->b, &r), ERR_NOMEM);
	r.from = r.to;
	r.to = r.from + 5;
	assert_int_equal(batch_add_source(f->b, &r), 0);
	assert_int_equal(f->b->range_count, BATCH_RANGES_MAX);
}

static void parts_of_a_record_join_nothing_and_its_last_range_joins_what_follows(void **state)
{
	static const struct source_range in[] = {
		{ .file_id = 1, .from = 0, .to = 10, .count = 1 },
		{ .file_id = 1, .from = 10, .to = 20 },			/* touches a record that ends there */
		{ .file_id = 1, .from = 30, .to = 40, .count = 1 },
		{ .file_id = 1, .from = 40, .to = 50, .count = 1 },
		{ .file_id = 1, .from = 50, .to = 60 },
		{ .file_id = 1, .from = 60, .to = 70, .count = 1 },	/* nobody makes them touch; they stay apart all the same */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(in); i++)
		assert_int_equal(batch_add_source(f->b, &in[i]), 0);
	assert_int_equal(f->b->range_count, 5);
	assert_true(f->b->ranges[0].to == 10 && f->b->ranges[1].to == 20 && f->b->ranges[1].count == 0);
	assert_true(f->b->ranges[2].from == 30 && f->b->ranges[2].to == 50 && f->b->ranges[2].count == 2);
	assert_int_equal(batch_piece(f->b->ranges, 0, 5), 1);
	assert_int_equal(batch_piece(f->b->ranges, 1, 5), 2);
	assert_int_equal(batch_piece(f->b->ranges, 3, 5), 2);
}

static void parts_of_one_record_are_never_too_many(void **state)
{
	struct fixture *f = *state;
	struct source_range r = { .file_id = 1 };

	assert_int_equal(batch_reserve_sources(f->b, BATCH_RANGES_MAX + 500), 0);
	for (int64_t i = 0; i < BATCH_RANGES_MAX + 500; i++) {
		r.from = 2 * i;
		r.to = 2 * i + 1;
		r.count = i == BATCH_RANGES_MAX + 499;
		assert_int_equal(batch_add_source(f->b, &r), 0);
	}
	assert_true(batch_is_full(f->b, 1));
	r.from = r.to + 1;
	assert_int_equal(batch_add_source(f->b, &r), ERR_NOMEM);
}

static void done(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	(void)arg; (void)md; (void)err;
}

static void callbacks_stand_at_their_records_place(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 100; i++) {
		if (i >= 40)
			assert_int_equal(batch_add_callback(f->b, done, &f->m + i, i), 0);
		assert_int_equal(append(f, "x", 1), 0);
	}
	batch_check(f->b);
	for (int i = 0; i < 100; i++) {
		assert_ptr_equal(f->b->callbacks[i].fn, i < 40 ? NULL : done);
		if (i >= 40)
			assert_int_equal(f->b->callbacks[i].timestamp, i);
	}
}

static void short_memory_leaves_the_batch_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct source_range r = { .from = 0, .to = 1, .count = 1 };

	mem_fail_nth(1);
	assert_null(batch_new(0, WALL));
	for (int64_t i = 0; i < 100; i++) {
		uint32_t ranges = f->b->range_count;

		r.from = 2 * i;
		r.to = 2 * i + 1;
		mem_fail_nth(1);
		if (batch_reserve_sources(f->b, 1) < 0) {
			assert_int_equal(f->b->range_count, ranges);
			mem_fail_nth(0);
			assert_int_equal(batch_reserve_sources(f->b, 1), 0);
		}
		mem_fail_nth(1);		/* what was reserved needs no memory */
		assert_int_equal(batch_add_source(f->b, &r), 0);
		if (batch_add_callback(f->b, done, NULL, 0) < 0) {
			assert_int_equal(f->b->count, i);
			assert_int_equal(batch_add_callback(f->b, done, NULL, 0), 0);
		}
		mem_fail_nth(1);		/* appending asks the heap for nothing */
		assert_int_equal(append(f, "x", 1), 0);
		mem_fail_nth(0);
		batch_check(f->b);
	}
	assert_int_equal(f->b->range_count, 100);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(a_line_looks_as_written_down),
	T(timestamps_are_deltas_and_the_largest_is_kept),
	T(headers_are_written_with_null_and_empty_values),
	T(a_record_may_straddle_chunks_at_every_byte),
	T(plain_lines_straddle_chunks_too),
	T(a_record_longer_than_many_chunks_is_whole),
	T(announced_sizes_are_exact),
	T(a_record_that_finds_no_memory_changes_nothing),
	T(the_share_says_who_pays),
	T(absurd_sizes_are_refused),
	T(the_header_says_what_the_batch_is),
	T(a_new_identity_gives_the_crc_of_all_bytes),
	T(no_identity_is_minus_one_everywhere),
	T(a_whole_batch_has_known_bytes),
	T(compressed_bytes_take_the_place_of_raw_ones),
	T(bytes_go_away_and_come_back),
	T(a_batch_may_end_exactly_where_a_chunk_does),
	T(sources_that_join_are_one_range),
	T(ranges_have_a_ceiling_but_joining_goes_on),
	T(parts_of_a_record_join_nothing_and_its_last_range_joins_what_follows),
	T(parts_of_one_record_are_never_too_many),
	T(callbacks_stand_at_their_records_place),
	T(short_memory_leaves_the_batch_as_it_was),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

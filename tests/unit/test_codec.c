/* test_codec.c - what is compressed can be read back, by the libraries and by Kafka's rules for frames. */
#include "producer/codec.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "tests/lib/golden.h"
#include "tests/lib/records.h"
#include "tests/lib/unit.h"

#define CHUNKS 100

static struct budget *budget;

static struct batch *raw_batch(size_t bytes, int random)
{
	struct batch *b = batch_new(0, 1700000000000);
	uint8_t *p = malloc(bytes);
	unsigned int seed = (unsigned int)bytes;

	for (size_t i = 0; i < bytes; i++)
		p[i] = random ? (uint8_t)(rand_r(&seed) >> 7) : (uint8_t)("GET /index.html 200 "[i % 20] + (int)(i / 977 % 3));
	assert_int_equal(batch_fill(b, budget, BUDGET_APPEND, 0, p, bytes), 0);
	free(p);
	return b;
}

static size_t expand_lz4(const void *data, size_t n, uint8_t *out, size_t cap)
{
	LZ4F_dctx *d = NULL;
	size_t have = cap, eaten = n, rc;

	assert_false(LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)));
	rc = LZ4F_decompress(d, out, &have, data, &eaten, NULL);
	assert_int_equal(rc, 0);		/* the end mark was seen */
	assert_int_equal(eaten, n);		/* and nothing is behind it */
	LZ4F_freeDecompressionContext(d);
	return have;
}

static size_t expand(enum codec codec, const void *data, size_t n, uint8_t *out, size_t cap)
{
	size_t rc;

	if (codec == CODEC_LZ4)
		return expand_lz4(data, n, out, cap);
	rc = ZSTD_decompress(out, cap, data, n);
	assert_false(ZSTD_isError(rc));
	return rc;
}

static void assert_expands(enum codec codec, const struct batch *b, const void *data, size_t n)
{
	uint8_t *raw = flat(b), *back = malloc(b->bytes + 1);

	assert_int_equal(expand(codec, data, n, back, b->bytes + 1), b->bytes);
	assert_memory_equal(back, raw, b->bytes);
	free(raw);
	free(back);
}

static void round_trips(enum codec codec, int level)
{
	static const size_t sizes[] = {
		200, 5000, CHUNK_DATA, CHUNK_DATA + 1, 65535, 65536, 65537, 131072, 4 * CHUNK_DATA, 262144, 1000000, 300,
	};
	struct codec_ctx *c = NULL;
	const void *data;
	size_t n;

	assert_int_equal(codec_ctx_new(&c, codec, level), 0);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct batch *b = raw_batch(sizes[i], 0);

		assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
		assert_true(n < b->bytes);
		assert_expands(codec, b, data, n);
		batch_free(b, budget);
	}
	codec_ctx_free(c);
}

static void lz4_round_trips_at_every_size(void **state) { (void)state; round_trips(CODEC_LZ4, 9); }
static void lz4hc_round_trips(void **state) { (void)state; round_trips(CODEC_LZ4, 1); round_trips(CODEC_LZ4, 17); }
static void zstd_round_trips_at_every_size(void **state) { (void)state; round_trips(CODEC_ZSTD, 3); }
static void fast_zstd_round_trips(void **state) { (void)state; round_trips(CODEC_ZSTD, -5); }

/* KIP-57 and Lz4BlockInputStream: version 1, independent blocks of at most 64 KiB, no checksums, no content size. */
static void lz4_frames_keep_to_what_kafka_reads(void **state)
{
	static const uint8_t head[] = { 0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82 };
	struct batch *b = raw_batch(500000, 0);
	struct codec_ctx *c = NULL;
	const void *data;
	const uint8_t *p, *end;
	size_t n, blocks = 0;

	(void)state;
	assert_int_equal(codec_ctx_new(&c, CODEC_LZ4, 9), 0);
	assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
	assert_memory_equal(data, head, sizeof head);
	p = (const uint8_t *)data + sizeof head;
	end = (const uint8_t *)data + n;
	for (;;) {
		uint32_t size;

		assert_true(end - p >= 4);
		size = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)(p[3] & 127) << 24;
		p += 4;
		if (!size)
			break;
		assert_true(size <= 65536 && size <= (size_t)(end - p));
		p += size;
		blocks++;
	}
	assert_ptr_equal(p, end);
	assert_int_equal(blocks, (500000 + 65535) / 65536);
	codec_ctx_free(c);
	batch_free(b, budget);
}

static void a_frame_does_not_depend_on_what_came_before(void **state)
{
	static const enum codec codecs[] = { CODEC_LZ4, CODEC_ZSTD };

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++) {
		struct batch *b = raw_batch(100000, 0), *other = raw_batch(300000, 0);
		struct codec_ctx *c = NULL;
		const void *data;
		size_t n, first_n;
		uint8_t *first;

		assert_int_equal(codec_ctx_new(&c, codecs[i], 3), 0);
		assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &first_n), 0);
		first = memcpy(malloc(first_n), data, first_n);
		assert_int_equal(codec_compress(c, other->chunks, other->bytes, &data, &n), 0);
		assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
		assert_int_equal(n, first_n);
		assert_memory_equal(data, first, n);
		free(first);
		codec_ctx_free(c);
		batch_free(b, budget);
		batch_free(other, budget);
	}
}

static void what_does_not_shrink_is_left_as_it_is(void **state)
{
	static const enum codec codecs[] = { CODEC_LZ4, CODEC_ZSTD, CODEC_NONE };

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++)
		for (size_t bytes = 1; bytes <= 1000000; bytes = bytes * 9 + 1) {
			struct batch *b = raw_batch(bytes, 1);
			struct codec_ctx *c = NULL;
			const void *data;
			size_t n;

			assert_int_equal(codec_ctx_new(&c, codecs[i], 3), 0);
			assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), ERR_AGAIN);
			codec_ctx_free(c);
			batch_free(b, budget);
		}
}

static void every_compressing_is_counted(void **state)
{
	struct batch *b = raw_batch(1000, 0);
	struct codec_ctx *c = NULL;
	uint64_t before = codec_compress_calls();
	const void *data;
	size_t n;

	(void)state;
	assert_int_equal(codec_ctx_new(&c, CODEC_LZ4, 9), 0);
	for (int i = 0; i < 3; i++)
		codec_compress(c, b->chunks, b->bytes, &data, &n);
	assert_int_equal(codec_compress_calls(), before + 3);
	codec_ctx_free(c);
	batch_free(b, budget);
}

static void codecs_have_kafkas_names_and_numbers(void **state)
{
	static const char *const kafka[] = { "none", "gzip", "snappy", "lz4", "zstd" };
	struct codec_ctx *c = NULL;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(codec_parse(kafka[i]), i);
		assert_string_equal(codec_name((enum codec)i), kafka[i]);
	}
	assert_int_equal(codec_parse("lzma"), -1);
	assert_int_equal(codec_parse(""), -1);
	assert_string_equal(codec_name((enum codec)9), "unknown");
	assert_int_equal(codec_ctx_new(&c, CODEC_GZIP, 6), ERR_CONFIG);
	assert_null(c);
	assert_non_null(strstr(codec_versions(), "\nzstd "));
}

static struct batch *golden_batch(enum codec codec, size_t *ret_raw_n, uint8_t **ret_raw)
{
	static const char line[] = "2026-11-21T09:00:00Z web-1 GET /index.html 200";
	struct batch *b = batch_new(0, 1700000000000);
	struct codec_ctx *c = NULL;
	const void *data;
	size_t n;

	for (int i = 0; i < 20; i++)
		assert_int_equal(batch_append(b, budget, BUDGET_APPEND, 0, NULL, 0, line, sizeof line - 1, NULL, 0, -1), 0);
	*ret_raw_n = b->bytes;
	*ret_raw = flat(b);
	assert_int_equal(codec_ctx_new(&c, codec, codec == CODEC_LZ4 ? 9 : 3), 0);
	assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
	batch_replace_bytes(b, budget, data, n, codec);
	batch_seal_crc(b);
	b->producer_id = 4711;
	b->producer_epoch = 0;
	b->base_sequence = 100;
	batch_stamp(b);
	codec_ctx_free(c);
	return b;
}

/* Another release of a library may choose other matches, so the compressed bytes may differ: what they mean may not. */
static void known_batches_still_mean_the_same(void **state)
{
	static const enum codec codecs[] = { CODEC_LZ4, CODEC_ZSTD };
	static uint8_t want[GOLDEN_MAX], back[GOLDEN_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++) {
		size_t raw_n, want_n;
		uint8_t *raw, whole[GOLDEN_MAX], *now;
		struct batch *b = golden_batch(codecs[i], &raw_n, &raw);

		now = flat(b);
		memcpy(whole, b->head, BATCH_HEAD);
		memcpy(whole + BATCH_HEAD, now, b->bytes);
		if (!golden_write("batches", codec_name(codecs[i]), whole, BATCH_HEAD + b->bytes)) {
			want_n = golden("batches", codec_name(codecs[i]), want);
			assert_memory_equal(whole, want, 8);			/* offset */
			assert_memory_equal(whole + 12, want + 12, 5);		/* leader epoch, magic */
			assert_memory_equal(whole + 21, want + 21, BATCH_HEAD - 21);
			assert_int_equal(expand(codecs[i], want + BATCH_HEAD, want_n - BATCH_HEAD, back, sizeof back), raw_n);
			assert_memory_equal(back, raw, raw_n);
		}
		free(raw);
		free(now);
		batch_free(b, budget);
	}
}

static void short_memory_is_an_error_and_the_next_call_is_good(void **state)
{
	static const enum codec codecs[] = { CODEC_LZ4, CODEC_ZSTD };
	struct batch *b = raw_batch(50000, 0);

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++) {
		struct codec_ctx *c = NULL;
		const void *data;
		size_t n;

		mem_fail_nth(1);
		assert_int_equal(codec_ctx_new(&c, codecs[i], 3), ERR_NOMEM);
		assert_null(c);
		assert_int_equal(codec_ctx_new(&c, codecs[i], 3), 0);
		mem_fail_nth(1);
		assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), ERR_NOMEM);
		assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
		assert_expands(codecs[i], b, data, n);
		mem_fail_nth(1);			/* scratch is there: nothing is asked for */
		assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
		mem_fail_nth(0);
		codec_ctx_free(c);
	}
	codec_ctx_free(NULL);
	batch_free(b, budget);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(lz4_round_trips_at_every_size),
	cmocka_unit_test(lz4hc_round_trips),
	cmocka_unit_test(zstd_round_trips_at_every_size),
	cmocka_unit_test(fast_zstd_round_trips),
	cmocka_unit_test(lz4_frames_keep_to_what_kafka_reads),
	cmocka_unit_test(a_frame_does_not_depend_on_what_came_before),
	cmocka_unit_test(what_does_not_shrink_is_left_as_it_is),
	cmocka_unit_test(every_compressing_is_counted),
	cmocka_unit_test(codecs_have_kafkas_names_and_numbers),
	cmocka_unit_test(known_batches_still_mean_the_same),
	cmocka_unit_test(short_memory_is_an_error_and_the_next_call_is_good),
};

int main(int argc, char **argv)
{
	int failed;

	if (budget_new(&budget, CHUNKS * CHUNK_BYTES, 0) < 0)
		return 1;
	failed = test_main(argc, argv, tests, COUNT(tests));
	if (!failed)
		budget_free(budget);		/* asserts that every chunk came back */
	return failed;
}

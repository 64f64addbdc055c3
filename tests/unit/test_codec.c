/* test_codec.c - what is compressed can be read back, by the libraries and by Kafka's rules for frames. */
#include "producer/codec.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/config.h"
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

static size_t expand_gzip(const void *data, size_t n, uint8_t *out, size_t cap)
{
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)data, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)cap };

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);	/* one member, nothing behind it */
	inflateEnd(&z);
	return cap - z.avail_out;
}

/* By the drawing of SnappyOutputStream's format; every block but the last holds 32 KiB. */
static size_t expand_snappy(const void *data, size_t n, uint8_t *out, size_t cap)
{
	static const uint8_t head[] = { 0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1 };
	const uint8_t *p = data, *end = p + n;
	size_t sum = 0;

	assert_true(n > sizeof head);
	assert_memory_equal(p, head, sizeof head);
	for (p += sizeof head; p < end; ) {
		size_t packed, raw = cap - sum;

		assert_true(end - p > 4);
		packed = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		p += 4;
		assert_true(packed <= (size_t)(end - p));
		assert_int_equal(snappy_uncompress((const char *)p, packed, (char *)out + sum, &raw), SNAPPY_OK);
		sum += raw;
		p += packed;
		assert_true(p == end ? raw <= 32768 : raw == 32768);
	}
	return sum;
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

	if (codec == CODEC_GZIP)
		return expand_gzip(data, n, out, cap);
	if (codec == CODEC_SNAPPY)
		return expand_snappy(data, n, out, cap);
	if (codec == CODEC_LZ4)
		return expand_lz4(data, n, out, cap);
	rc = ZSTD_decompress(out, cap, data, n);
	assert_false(ZSTD_isError(rc));
	return rc;
}

/* The same by our own decoder, with the least ceiling that will do. */
static void assert_means(enum codec codec, const void *data, size_t n, const void *raw, size_t raw_n)
{
	struct buf out;

	buf_init(&out, raw_n);
	assert_int_equal(codec_decompress(codec, data, n, &out), 0);
	assert_int_equal(out.len, raw_n);
	assert_memory_equal(out.data, raw, raw_n);
	buf_release(&out);
}

static void assert_expands(enum codec codec, const struct batch *b, const void *data, size_t n)
{
	uint8_t *raw = flat(b), *back = malloc(b->bytes + 1);

	assert_int_equal(expand(codec, data, n, back, b->bytes + 1), b->bytes);
	assert_memory_equal(back, raw, b->bytes);
	assert_means(codec, data, n, raw, b->bytes);
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

static void gzip_round_trips_at_every_size(void **state) { (void)state; round_trips(CODEC_GZIP, -1); }
static void snappy_round_trips_at_every_size(void **state) { (void)state; round_trips(CODEC_SNAPPY, 0); }
static void lz4_round_trips_at_every_size(void **state) { (void)state; round_trips(CODEC_LZ4, 9); }
static void zstd_round_trips_at_every_size(void **state) { (void)state; round_trips(CODEC_ZSTD, 3); }

static void assert_level(enum codec codec, int level, const struct batch *b)
{
	struct codec_ctx *c = NULL;
	const void *data;
	size_t n;

	assert_int_equal(codec_ctx_new(&c, codec, level), 0);
	assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
	assert_expands(codec, b, data, n);
	codec_ctx_free(c);
}

static void every_level_of_kip_390_round_trips_and_no_other_is_taken(void **state)
{
	static const struct { enum codec codec; int min, max, refused[3]; } rows[] = {
		{ CODEC_GZIP, 1, 9, { 0, -2, 10 } },
		{ CODEC_LZ4, 1, 17, { 0, -1, 18 } },
		{ CODEC_ZSTD, -7, 22, { -131073, 23, 1000 } },
	};
	struct batch *b = raw_batch(70000, 0);
	struct codec_ctx *c = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (int level = rows[i].min; level <= rows[i].max; level++)
			assert_level(rows[i].codec, level, b);
		for (size_t k = 0; k < COUNT(rows[i].refused); k++)
			assert_int_equal(codec_ctx_new(&c, rows[i].codec, rows[i].refused[k]), ERR_CONFIG);
		assert_null(c);
	}
	assert_level(CODEC_GZIP, -1, b);
	assert_level(CODEC_ZSTD, -1000, b);		/* below that it soon finds nothing to shorten */
	assert_int_equal(codec_ctx_new(&c, CODEC_ZSTD, -131072), 0);
	codec_ctx_free(c);
	assert_level(CODEC_SNAPPY, 9, b);		/* it has none: whatever is asked for */
	batch_free(b, budget);
}

/* Chunks as no batch has them: of one byte, of odd sizes, across a block's end, full. */
static struct chunk *odd_chain(size_t bytes, uint8_t *ret_flat)
{
	static const uint32_t sizes[] = { 1, 3, 16367, 2, CHUNK_DATA, 13, 32767 % CHUNK_DATA, 1, 7919 };
	struct chunk *first = NULL, **at = &first;
	size_t done = 0;

	for (size_t i = 0; done < bytes; i++) {
		uint32_t n = sizes[i % COUNT(sizes)];
		struct chunk *c = *at = calloc(1, sizeof *c);

		assert_non_null(c);
		c->used = n < bytes - done ? n : (uint32_t)(bytes - done);
		for (uint32_t k = 0; k < c->used; k++, done++)
			c->data[k] = ret_flat[done] = (uint8_t)("some text that repeats "[done % 23] + (int)(done / 1009 % 5));
		at = &c->next;
	}
	return first;
}

static void chunks_of_any_size_give_the_same_bytes(void **state)
{
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
	static uint8_t raw[200000];

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++)
		for (size_t bytes = 300; bytes <= sizeof raw; bytes = bytes * 3 - 1) {
			struct chunk *chain = odd_chain(bytes, raw);
			struct codec_ctx *c = NULL;
			const void *data;
			size_t n;

			assert_int_equal(codec_ctx_new(&c, codecs[i], 3), 0);
			assert_int_equal(codec_compress(c, chain, bytes, &data, &n), 0);
			assert_means(codecs[i], data, n, raw, bytes);
			codec_ctx_free(c);
			while (chain) {
				struct chunk *next = chain->next;

				free(chain);
				chain = next;
			}
		}
}

/* snappy-java 1.1.10's own bytes: of "foobar\n", and of a hundred times "a". */
static const uint8_t java_foobar[] = {
	0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1,
	0, 0, 0, 9, 0x07, 0x18, 0x66, 0x6f, 0x6f, 0x62, 0x61, 0x72, 0x0a,
};
static const uint8_t java_a100[] = {
	0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1,
	0, 0, 0, 9, 0x64, 0x00, 0x61, 0xfe, 0x01, 0x00, 0x8a, 0x01, 0x00,
};

static void snappy_frames_are_those_of_snappy_java(void **state)
{
	struct batch *b = batch_new(0, 1700000000000);
	struct codec_ctx *c = NULL;
	const void *data;
	uint8_t a[100];
	size_t n;

	(void)state;
	memset(a, 'a', sizeof a);
	assert_int_equal(batch_fill(b, budget, BUDGET_APPEND, 0, a, sizeof a), 0);
	assert_int_equal(codec_ctx_new(&c, CODEC_SNAPPY, 0), 0);
	assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
	assert_int_equal(n, sizeof java_a100);
	assert_memory_equal(data, java_a100, n);
	assert_means(CODEC_SNAPPY, java_a100, n, a, sizeof a);
	assert_means(CODEC_SNAPPY, java_foobar, sizeof java_foobar, "foobar\n", 7);
	codec_ctx_free(c);
	batch_free(b, budget);
}

static void a_raw_snappy_block_is_read_as_java_reads_it(void **state)
{
	(void)state;
	assert_means(CODEC_SNAPPY, java_foobar + 20, 9, "foobar\n", 7);
}

static void gzip_is_one_member_with_a_plain_header(void **state)
{
	static const uint8_t head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };
	struct batch *b = raw_batch(100000, 0);
	struct codec_ctx *c = NULL;
	const uint8_t *p;
	const void *data;
	uint8_t *raw = flat(b);
	size_t n;

	(void)state;
	assert_int_equal(codec_ctx_new(&c, CODEC_GZIP, -1), 0);
	assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
	assert_memory_equal(data, head, sizeof head);
	p = (const uint8_t *)data + n - 8;
	assert_int_equal((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24,
			 crc32(0, raw, b->bytes));
	assert_int_equal((uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24, b->bytes);
	free(raw);
	codec_ctx_free(c);
	batch_free(b, budget);
}

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
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };

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
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_NONE };

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
	assert_int_equal(codec_ctx_new(&c, (enum codec)5, 1), ERR_CONFIG);
	assert_null(c);
	assert_ptr_equal(strstr(codec_versions(), "zlib "), codec_versions());
	for (int i = 2; i < 5; i++)
		assert_non_null(strstr(codec_versions(), kafka[i]));
}

static int default_level(enum codec codec)
{
	return codec == CODEC_GZIP ? -1 : codec == CODEC_LZ4 ? 9 : 3;
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
	assert_int_equal(codec_ctx_new(&c, codec, default_level(codec)), 0);
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
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
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

/* The same records as golden_batch's, laid out and compressed by Kafka's own classes (Golden.java codecs). */
static void batches_of_kafkas_own_writer_are_read(void **state)
{
	static uint8_t theirs[GOLDEN_MAX];

	(void)state;
	for (int i = CODEC_NONE; i <= CODEC_ZSTD; i++) {
		size_t raw_n, n = golden("codecs", codec_name((enum codec)i), theirs);
		uint8_t *raw;
		struct batch *b = golden_batch(CODEC_LZ4, &raw_n, &raw);

		assert_means((enum codec)i, theirs + BATCH_HEAD, n - BATCH_HEAD, raw, raw_n);
		free(raw);
		batch_free(b, budget);
	}
}

static void short_memory_is_an_error_and_the_next_call_is_good(void **state)
{
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
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

/* --- reading what is damaged --- */

#define DAMAGED_BYTES 2000

struct packed { enum codec codec; uint8_t data[DAMAGED_BYTES]; size_t n; };

static struct packed pack(enum codec codec, const struct batch *b)
{
	struct packed p = { .codec = codec };
	struct codec_ctx *c = NULL;
	const void *data;

	assert_int_equal(codec_ctx_new(&c, codec, default_level(codec)), 0);
	assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &p.n), 0);
	assert_true(p.n < sizeof p.data);
	memcpy(p.data, data, p.n);
	codec_ctx_free(c);
	return p;
}

static int decompress(enum codec codec, const void *data, size_t n, size_t ceiling)
{
	/* In a piece of its own, so that a sanitizer sees a byte read behind it. */
	uint8_t *copy = malloc(n ? n : 1);
	struct buf out;
	int rc;

	memcpy(copy, data, n);
	buf_init(&out, ceiling);
	rc = codec_decompress(codec, copy, n, &out);
	assert_true(out.len <= ceiling);
	buf_release(&out);
	free(copy);
	return rc;
}

static void what_is_cut_or_followed_by_more_is_refused(void **state)
{
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
	struct batch *b = raw_batch(DAMAGED_BYTES, 0);

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++) {
		struct packed p = pack(codecs[i], b);

		assert_int_equal(decompress(p.codec, p.data, p.n, 1 << 20), 0);
		for (size_t n = 0; n < p.n; n++)
			assert_int_equal(decompress(p.codec, p.data, n, 1 << 20), ERR_BAD_DATA);
		for (int more = 0; more < 256; more += 51) {
			p.data[p.n] = (uint8_t)more;
			assert_int_equal(decompress(p.codec, p.data, p.n + 1, 1 << 20), ERR_BAD_DATA);
		}
		memcpy(p.data + p.n, p.data, p.n);		/* a second one behind the first */
		assert_int_equal(decompress(p.codec, p.data, 2 * p.n, 1 << 20), ERR_BAD_DATA);
	}
	batch_free(b, budget);
}

static void any_flipped_bit_is_survived_and_gzip_never_says_something_else(void **state)
{
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
	struct batch *b = raw_batch(DAMAGED_BYTES, 0);
	uint8_t *raw = flat(b);

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++) {
		struct packed p = pack(codecs[i], b);

		for (size_t bit = 0; bit < p.n * 8; bit++) {
			int rc;

			p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			rc = decompress(p.codec, p.data, p.n, DAMAGED_BYTES);
			assert_true(rc == 0 || rc == ERR_BAD_DATA);
			if (rc == 0 && p.codec == CODEC_GZIP)		/* header fields and filling bits mean nothing */
				assert_means(p.codec, p.data, p.n, raw, DAMAGED_BYTES);
			p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	free(raw);
	batch_free(b, budget);
}

static void the_ceiling_is_exact(void **state)
{
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
	static const size_t sizes[] = { 300, DAMAGED_BYTES, 16384, 70000, 200000 };

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++)
		for (size_t k = 0; k < COUNT(sizes); k++) {
			struct batch *b = raw_batch(sizes[k], 0);
			struct codec_ctx *c = NULL;
			const void *data;
			size_t n;

			assert_int_equal(codec_ctx_new(&c, codecs[i], 3), 0);
			assert_int_equal(codec_compress(c, b->chunks, b->bytes, &data, &n), 0);
			assert_int_equal(decompress(codecs[i], data, n, sizes[k]), 0);
			assert_int_equal(decompress(codecs[i], data, n, sizes[k] - 1), ERR_BAD_DATA);
			assert_int_equal(decompress(codecs[i], data, n, 0), ERR_BAD_DATA);
			codec_ctx_free(c);
			batch_free(b, budget);
		}
	assert_int_equal(decompress(CODEC_NONE, "abc", 3, 3), 0);
	assert_int_equal(decompress(CODEC_NONE, "abc", 3, 2), ERR_BAD_DATA);
	assert_int_equal(decompress((enum codec)7, "abc", 3, 100), ERR_BAD_DATA);
}

static void what_is_read_stands_behind_what_was_there(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 10);
	assert_int_equal(codec_decompress(CODEC_NONE, "xyz", 3, &out), 0);
	assert_int_equal(codec_decompress(CODEC_SNAPPY, java_foobar, sizeof java_foobar, &out), 0);
	assert_string_equal(out.data, "xyzfoobar\n");
	assert_int_equal(codec_decompress(CODEC_SNAPPY, java_foobar, sizeof java_foobar, &out), ERR_BAD_DATA);
	buf_release(&out);
}

static void headers_that_claim_gigabytes_get_none(void **state)
{
	/* Lengths of 4 GiB - 1, 2^40, 2^40; a window of 2^41. */
	static const uint8_t snappy_raw[] = { 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 'x', 0xfe, 1, 0, 0xfe, 1, 0 };
	static const uint8_t snappy_framed[] = { 0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1,
						 0, 0, 0, 8, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00, 'x', 0xfe };
	static const uint8_t snappy_block[] = { 0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1,
						0x7f, 0xff, 0xff, 0xff, 1, 0, 'x' };
	static const uint8_t lz4[] = { 0x04, 0x22, 0x4d, 0x18, 0x68, 0x70, 0, 0, 0, 0, 0, 1, 0, 0, 0x4c, 0, 0, 0, 0 };
	static const uint8_t zstd_size[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0 };
	static const uint8_t zstd_window[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 1, 0, 0 };
	static const struct { enum codec codec; const uint8_t *p; size_t n; } rows[] = {
		{ CODEC_SNAPPY, snappy_raw, sizeof snappy_raw }, { CODEC_SNAPPY, snappy_framed, sizeof snappy_framed },
		{ CODEC_SNAPPY, snappy_block, sizeof snappy_block }, { CODEC_LZ4, lz4, sizeof lz4 },
		{ CODEC_ZSTD, zstd_size, sizeof zstd_size }, { CODEC_ZSTD, zstd_window, sizeof zstd_window },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;

		buf_init(&out, (size_t)8 << 30);
		assert_int_equal(codec_decompress(rows[i].codec, rows[i].p, rows[i].n, &out), ERR_BAD_DATA);
		assert_true(out.cap <= 65536);
		buf_release(&out);
	}
}

static void other_formats_are_refused(void **state)
{
	static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0 };
	static const uint8_t later[] = { 0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 0 };

	(void)state;
	assert_int_equal(decompress(CODEC_LZ4, skippable, sizeof skippable, 1000), ERR_BAD_DATA);
	assert_int_equal(decompress(CODEC_ZSTD, skippable, sizeof skippable, 1000), ERR_BAD_DATA);
	assert_int_equal(decompress(CODEC_SNAPPY, later, sizeof later, 1000), ERR_BAD_DATA);
	assert_int_equal(decompress(CODEC_SNAPPY, later, 16, 1000), ERR_BAD_DATA);
	for (int i = CODEC_GZIP; i <= CODEC_ZSTD; i++)
		assert_int_equal(decompress((enum codec)i, "", 0, 1000), ERR_BAD_DATA);
}

static void short_memory_while_reading_is_said(void **state)
{
	static const enum codec codecs[] = { CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
	struct batch *b = raw_batch(DAMAGED_BYTES, 0);

	(void)state;
	for (size_t i = 0; i < COUNT(codecs); i++) {
		struct packed p = pack(codecs[i], b);

		mem_fail_nth(1);
		assert_int_equal(decompress(p.codec, p.data, p.n, 1 << 20), ERR_NOMEM);
		mem_fail_nth(0);
	}
	batch_free(b, budget);
}

/* --- configuration --- */

static void the_level_is_that_of_the_chosen_codec(void **state)
{
	static const struct { const char *codec; int level; } rows[] = {
		{ "gzip", 7 }, { "lz4", 11 }, { "zstd", -3 }, { "snappy", 0 }, { "none", 0 },
	};
	struct producer_config *c = producer_config_new();
	struct producer_error err;

	(void)state;
	assert_int_equal(producer_config_set(c, "compression.gzip.level", "7", &err), 0);
	assert_int_equal(producer_config_set(c, "compression.lz4.level", "11", &err), 0);
	assert_int_equal(producer_config_set(c, "compression.zstd.level", "-3", &err), 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(producer_config_set(c, "compression.type", rows[i].codec, &err), 0);
		assert_int_equal(codec_level(c), rows[i].level);
	}
	producer_config_free(c);
}

static void gzip_level_zero_is_refused_with_words(void **state)
{
	struct producer_config *c = producer_config_new();
	struct producer_error err;

	(void)state;
	assert_int_equal(producer_config_set(c, "bootstrap.servers", "h:1", &err), 0);
	assert_int_equal(producer_config_set(c, "compression.gzip.level", "0", &err), 0);
	assert_int_equal(producer_config_check(c, &err), PRODUCER_ERR_CONFIG);
	assert_string_equal(err.text, "compression.gzip.level: 0 would compress nothing, it must be from 1 to 9, or -1 for zlib's "
			    "own choice (compression.type: none sends uncompressed)");
	assert_int_equal(producer_config_set(c, "compression.gzip.level", "-1", &err), 0);
	assert_int_equal(producer_config_check(c, &err), 0);
	producer_config_free(c);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(gzip_round_trips_at_every_size),
	cmocka_unit_test(snappy_round_trips_at_every_size),
	cmocka_unit_test(lz4_round_trips_at_every_size),
	cmocka_unit_test(zstd_round_trips_at_every_size),
	cmocka_unit_test(every_level_of_kip_390_round_trips_and_no_other_is_taken),
	cmocka_unit_test(chunks_of_any_size_give_the_same_bytes),
	cmocka_unit_test(snappy_frames_are_those_of_snappy_java),
	cmocka_unit_test(a_raw_snappy_block_is_read_as_java_reads_it),
	cmocka_unit_test(gzip_is_one_member_with_a_plain_header),
	cmocka_unit_test(lz4_frames_keep_to_what_kafka_reads),
	cmocka_unit_test(a_frame_does_not_depend_on_what_came_before),
	cmocka_unit_test(what_does_not_shrink_is_left_as_it_is),
	cmocka_unit_test(every_compressing_is_counted),
	cmocka_unit_test(codecs_have_kafkas_names_and_numbers),
	cmocka_unit_test(known_batches_still_mean_the_same),
	cmocka_unit_test(batches_of_kafkas_own_writer_are_read),
	cmocka_unit_test(short_memory_is_an_error_and_the_next_call_is_good),
	cmocka_unit_test(what_is_cut_or_followed_by_more_is_refused),
	cmocka_unit_test(any_flipped_bit_is_survived_and_gzip_never_says_something_else),
	cmocka_unit_test(the_ceiling_is_exact),
	cmocka_unit_test(what_is_read_stands_behind_what_was_there),
	cmocka_unit_test(headers_that_claim_gigabytes_get_none),
	cmocka_unit_test(other_formats_are_refused),
	cmocka_unit_test(short_memory_while_reading_is_said),
	cmocka_unit_test(the_level_is_that_of_the_chosen_codec),
	cmocka_unit_test(gzip_level_zero_is_refused_with_words),
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

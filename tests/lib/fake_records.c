/* fake_records.c - the inside of a record batch, as the fake broker believes it: every codec, every record.
 *
 * Why: a client's mistake must come back as the code that a broker would answer. One exception: offset deltas that are not
 * 0, 1, 2... are silently repaired by a real broker; here they end the test, as no client means them.
 * Written from Kafka's description of RecordBatch v2; shares only integers with producer/.
 */
#define _GNU_SOURCE
#include "tests/lib/fake_parts.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/base/crc32c.h"

#define BATCH_HEAD 61
#define RAW_MAX (64u << 20)
#define INVALID_RECORD 87

/* --- codecs: each fills out (RAW_MAX large); how many bytes, or -1 --- */

typedef ssize_t inflate_fn(const uint8_t *p, size_t n, uint8_t *out);

static ssize_t gzip_inflate(const uint8_t *p, size_t n, uint8_t *out)
{
	z_stream z = { .next_in = (uint8_t *)p, .avail_in = (uInt)n, .next_out = out, .avail_out = RAW_MAX };
	int rc;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return -1;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return rc == Z_STREAM_END && !z.avail_in ? (ssize_t)z.total_out : -1;
}

static ssize_t snappy_block(const uint8_t *p, size_t n, uint8_t *out, size_t room)
{
	return snappy_uncompress((const char *)p, n, (char *)out, &room) == SNAPPY_OK ? (ssize_t)room : -1;
}

/* Java's framing: magic, two versions, then blocks with their lengths; other clients send one bare block. */
static ssize_t snappy_inflate(const uint8_t *p, size_t n, uint8_t *out)
{
	static const uint8_t magic[8] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };
	size_t made = 0;

	if (n < 16 || memcmp(p, magic, sizeof magic))
		return snappy_block(p, n, out, RAW_MAX);
	for (size_t at = 16; at < n;) {
		size_t size = n - at >= 4 ? be32_get(p + at) : SIZE_MAX;
		ssize_t got;

		at += 4;
		if (size > n - at || at > n)
			return -1;
		got = snappy_block(p + at, size, out + made, RAW_MAX - made);
		if (got < 0)
			return -1;
		made += (size_t)got;
		at += size;
	}
	return (ssize_t)made;
}

static ssize_t lz4_inflate(const uint8_t *p, size_t n, uint8_t *out)
{
	size_t made = RAW_MAX, left = n, rc;
	LZ4F_dctx *d;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)))
		return -1;
	rc = LZ4F_decompress(d, out, &made, p, &left, NULL);
	LZ4F_freeDecompressionContext(d);
	return rc == 0 && left == n ? (ssize_t)made : -1;
}

static ssize_t zstd_inflate(const uint8_t *p, size_t n, uint8_t *out)
{
	size_t made = ZSTD_decompress(out, RAW_MAX, p, n);

	return ZSTD_isError(made) ? -1 : (ssize_t)made;
}

static inflate_fn *const codecs[8] = { NULL, gzip_inflate, snappy_inflate, lz4_inflate, zstd_inflate, NULL, NULL, NULL };

/* --- records --- */

static int64_t varint(struct wire *r)
{
	return unzigzag(wire_uvarint(r));
}

/* A length that is -1 for null; the bytes, or NULL. */
static const void *blob(struct wire *r, size_t *ret_n)
{
	int64_t n = varint(r);

	*ret_n = 0;
	if (n == -1)
		return NULL;
	if (n < 0 || n > r->end - r->p) {
		r->failed = true;
		return NULL;
	}
	*ret_n = (size_t)n;
	return wire_bytes(r, (size_t)n);
}

static void skip_headers(struct wire *r)
{
	size_t n;

	for (int64_t left = varint(r); left > 0 && !r->failed; left--) {
		if (!blob(r, &n))
			r->failed = true;
		blob(r, &n);
	}
}

static bool read_record(struct wire *r, struct fake_batch *b, int32_t i)
{
	int64_t len = varint(r);
	struct fake_record *rec = &b->records[i];
	struct wire one;
	size_t n;

	if (r->failed || len < 0 || len > r->end - r->p)
		return false;
	wire_init(&one, wire_bytes(r, (size_t)len), (size_t)len, true);
	wire_i8(&one);
	rec->timestamp = b->base_timestamp + varint(&one);
	if (varint(&one) != i && !one.failed)
		fake_die("offset deltas are not 0, 1, 2...");
	rec->keyed = blob(&one, &n) != NULL;
	rec->value = blob(&one, &rec->value_len);
	skip_headers(&one);
	if (rec->timestamp > b->newest || i == 0)
		b->newest = rec->timestamp;
	return wire_end(&one) == 0;
}

void fake_batch_head(struct fake_batch *b, const uint8_t *p)
{
	*b = (struct fake_batch){ .attributes = (int16_t)be16_get(p + 21), .base_timestamp = (int64_t)be64_get(p + 27),
				  .producer_id = (int64_t)be64_get(p + 43), .epoch = (int16_t)be16_get(p + 51),
				  .first = (int32_t)be32_get(p + 53), .count = (int32_t)be32_get(p + 57) };
	b->last = (int32_t)(((uint32_t)b->first + (uint32_t)b->count - 1) & 0x7fffffff);
}

int16_t fake_batch_records(struct fake_batch *b, const uint8_t *p, size_t n)
{
	inflate_fn *inflated = codecs[b->attributes & 7];
	struct wire r;

	/* Control batches are the brokers' own; a producer has sequences; each record takes seven bytes at least. */
	if (b->count < 1 || (int32_t)be32_get(p + 23) != b->count - 1 || b->attributes & 0x20 ||
	    (b->producer_id >= 0 && b->first < 0))
		return INVALID_RECORD;
	p += BATCH_HEAD;
	n -= BATCH_HEAD;
	if (b->attributes & 7) {
		ssize_t made;

		b->raw = malloc(RAW_MAX);
		made = inflated && b->raw ? inflated(p, n, b->raw) : -1;
		if (made < 0)
			return INVALID_RECORD;
		p = b->raw;
		n = (size_t)made;
	}
	if ((size_t)b->count > n / 7)
		return INVALID_RECORD;
	b->records = calloc((size_t)b->count, sizeof *b->records);
	wire_init(&r, p, n, true);
	for (int32_t i = 0; i < b->count; i++)
		if (!b->records || !read_record(&r, b, i))
			return INVALID_RECORD;
	return wire_end(&r) < 0 ? INVALID_RECORD : 0;
}

void fake_batch_forge(struct buf *out, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count, int64_t timestamp)
{
	static const char value[] = "foreign";
	struct wire_out w = { .buf = out };
	uint8_t *p;

	for (int i = 0; i < BATCH_HEAD; i++)
		wire_put_i8(&w, 0);
	for (int32_t i = 0; i < count; i++) {
		/* attributes, time, offset, no key, value, no headers */
		wire_put_uvarint(&w, zigzag((int64_t)(5 + uvarint_size(zigzag(i)) + sizeof value - 1)));
		wire_put_i8(&w, 0);
		wire_put_uvarint(&w, 0);
		wire_put_uvarint(&w, zigzag(i));
		wire_put_uvarint(&w, zigzag(-1));
		wire_put_uvarint(&w, zigzag(sizeof value - 1));
		buf_put(out, value, sizeof value - 1);
		wire_put_uvarint(&w, 0);
	}
	if (out->failed)
		fake_die("no memory");
	p = (uint8_t *)out->data;
	be32_put(p + 8, (uint32_t)out->len - 12);
	p[16] = 2;
	be32_put(p + 23, (uint32_t)count - 1);
	be64_put(p + 27, (uint64_t)timestamp);
	be64_put(p + 35, (uint64_t)timestamp);
	be64_put(p + 43, (uint64_t)producer_id);
	be16_put(p + 51, (uint16_t)epoch);
	be32_put(p + 53, (uint32_t)sequence);
	be32_put(p + 57, (uint32_t)count);
	be32_put(p + 17, crc32c(0, p + 21, out->len - 21));
}

void fake_batch_release(struct fake_batch *b)
{
	free(b->records);
	free(b->raw);
}

/* tool_batch.c - writes a log segment as a broker would have, out of our own batches, for Kafka's own reader to judge.
 *
 *	tool_batch CODEC FILE [RECORDS]        CODEC: none, gzip, snappy, lz4, zstd
 *	kafka.tools.DumpLogSegments --files FILE --deep-iteration --print-data-log
 *
 * FILE must be named as a segment, 00000000000000000000.log. Two batches, the second with keys, headers, nulls and times
 * before and after its own; the first one straddles chunks when RECORDS (100) is large. Record i has the value "line i".
 * The base offset is what a broker fills in; it lies outside the CRC.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/batch.h"
#include "producer/codec.h"
#include "producer/wire.h"

#define WALL 1700000000000
#define BYTES_MAX (16u << 20)

static void die(const char *what)
{
	fprintf(stderr, "tool_batch: %s\n", what);
	exit(1);
}

static void append(struct batch *b, struct budget *m, int i, bool rich)
{
	static const struct producer_header headers[] = { { "host", "web-1", 5 }, { "empty", "", 0 }, { "null", NULL, 0 } };
	char value[64], key[32];
	int n = snprintf(value, sizeof value, "line %d", i), k = snprintf(key, sizeof key, "key %d", i);
	int rc;

	if (rich)
		rc = batch_append(b, m, BUDGET_APPEND, 0, i % 3 ? key : NULL, (size_t)k, i % 7 ? value : NULL, (size_t)n, headers,
				  (size_t)i % 4, WALL + (i % 5 - 2) * 1000);
	else
		rc = batch_append(b, m, BUDGET_APPEND, 0, NULL, 0, value, (size_t)n, NULL, 0, -1);
	if (rc < 0)
		die("too many records");
}

static struct batch *make(struct budget *m, struct codec_ctx *c, enum codec codec, int32_t first, int32_t records, bool rich)
{
	struct batch *b = batch_new(0, WALL);
	const void *data;
	size_t n;

	if (!b)
		die("no memory");
	for (int32_t i = 0; i < records; i++)
		append(b, m, first + i, rich);
	batch_seal_crc(b);
	if (codec != CODEC_NONE && codec_compress(c, b->chunks, b->bytes, &data, &n) == 0) {
		batch_replace_bytes(b, m, data, n, codec);
		batch_seal_crc(b);
	}
	b->producer_id = 4711;
	b->producer_epoch = 2;
	b->base_sequence = first;
	batch_stamp(b);
	batch_check(b);
	return b;
}

static void write_batch(FILE *f, struct batch *b, int64_t offset)
{
	be64_put(b->head, (uint64_t)offset);
	fwrite(b->head, BATCH_HEAD, 1, f);
	for (const struct chunk *c = b->chunks; c; c = c->next)
		fwrite(c->data, c->used, 1, f);
}

int main(int argc, char **argv)
{
	int codec = argc > 2 ? codec_parse(argv[1]) : -1;
	long count = argc > 3 ? strtol(argv[3], NULL, 10) : 100;
	int32_t records = (int32_t)count;
	struct codec_ctx *c = NULL;
	struct budget *m = NULL;
	FILE *f;

	if (codec < 0 || count < 1 || count > 1000000)
		die("usage: tool_batch none|gzip|snappy|lz4|zstd FILE [RECORDS]");
	if (codec_ctx_new(&c, (enum codec)codec, codec == CODEC_LZ4 ? 9 : 3) < 0 || budget_new(&m, BYTES_MAX, 0) < 0)
		die("no such codec, or no memory");
	f = fopen(argv[2], "wb");
	if (!f)
		die("cannot write the file");
	for (int32_t i = 0; i < 2; i++) {
		struct batch *b = make(m, c, (enum codec)codec, i * records, records, i == 1);

		write_batch(f, b, (int64_t)i * records);
		batch_free(b, m);
	}
	if (fclose(f))
		die("cannot write the file");
	budget_free(m);
	codec_ctx_free(c);
	return 0;
}

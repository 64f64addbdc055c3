/* bench_batch.c - what one line costs on its way into a batch, and one batch on its way out.
 *
 *	bench_batch [lines of 178 bytes]
 *
 * Prints, beside what the machine could do at best (memcpy of the same bytes): ns per appended line, GB/s of the CRC, and
 * GB/s and ratio of each codec over batches of 256 KiB. Each figure is the best of several rounds: other load on the
 * machine can only make it worse.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/crc32c.h"
#include "producer/batch.h"
#include "producer/codec.h"

#define LINE 178
#define BATCH_BYTES (256u << 10)
#define ROUNDS 7
#define LINES_MADE 4096

static char lines[LINES_MADE][LINE];
static volatile uint32_t sink;

static void make_lines(void)
{
	unsigned int seed = 7;

	for (int i = 0; i < LINES_MADE; i++) {
		char text[2 * LINE];
		int n = snprintf(text, sizeof text,
				 "10.%d.%d.%d - - [21/Nov/2026:09:%02d:%02d +0000] \"GET /api/v1/items/%d?page=%d HTTP/1.1\" "
				 "200 %d \"https://shop.example/list\" \"Mozilla/5.0 (X11; Linux x86_64)\" rt=0.%03d id=%08x",
				 rand_r(&seed) % 256, rand_r(&seed) % 256, rand_r(&seed) % 256, i / 60 % 60, i % 60,
				 rand_r(&seed) % 100000, rand_r(&seed) % 40, rand_r(&seed) % 50000, rand_r(&seed) % 1000,
				 rand_r(&seed));

		memset(lines[i], '.', LINE);
		memcpy(lines[i], text, n < LINE ? (size_t)n : LINE);
	}
}

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static struct batch *fill(struct budget *m)
{
	struct batch *b = batch_new(0, 1700000000000);

	if (!b)
		die("no memory");
	for (unsigned int i = 0; b->bytes < BATCH_BYTES - LINE - 20; i++)
		if (batch_append(b, m, BUDGET_APPEND, 0, NULL, 0, lines[i % LINES_MADE], LINE, NULL, 0, -1) < 0)
			die("no chunk");
	return b;
}

static double best_append(struct budget *m, long count)
{
	double best = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t begin = clock_mono_ns();
		long done = 0;

		while (done < count) {
			struct batch *b = fill(m);

			done += b->count;
			batch_free(b, m);
		}
		double ns = (double)(clock_mono_ns() - begin) / (double)done;
		if (ns < best)
			best = ns;
	}
	return best;
}

static double best_memcpy(long count)
{
	static char to[BATCH_BYTES];
	double best = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t begin = clock_mono_ns();

		for (long i = 0; i < count; i++) {
			char *at = to + (size_t)i * LINE % (BATCH_BYTES - LINE);

			memcpy(at, lines[i % LINES_MADE], LINE);
			sink += (uint8_t)*at;
		}
		double ns = (double)(clock_mono_ns() - begin) / (double)count;
		if (ns < best)
			best = ns;
	}
	return best;
}

static double gb_per_s(int64_t ns, double bytes)
{
	return bytes / (double)ns;
}

static void bench_crc(struct batch *b)
{
	double seal = 0, stamp = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t begin = clock_mono_ns();

		for (int i = 0; i < 100; i++)
			batch_seal_crc(b);
		double rate = gb_per_s(clock_mono_ns() - begin, 100.0 * b->bytes);
		if (rate > seal)
			seal = rate;
		begin = clock_mono_ns();
		for (int i = 0; i < 1000; i++)
			batch_stamp(b);
		double ns = (double)(clock_mono_ns() - begin) / 1000;
		if (ns < stamp)
			stamp = ns;
	}
	printf("crc32c of a batch      %8.1f GB/s\nnew identity (stamp)   %8.0f ns\n", seal, stamp);
}

static void bench_codec(struct batch *b, enum codec codec, int level)
{
	struct codec_ctx *c = NULL;
	const void *data;
	size_t n = 0;
	double best = 0;

	if (codec_ctx_new(&c, codec, level) < 0)
		die("no codec");
	for (int round = 0; round < ROUNDS * 4; round++) {
		int64_t begin = clock_mono_ns();

		if (codec_compress(c, b->chunks, b->bytes, &data, &n) < 0)
			die("compressing failed");
		double rate = gb_per_s(clock_mono_ns() - begin, b->bytes);
		if (rate > best)
			best = rate;
	}
	printf("%-6s level %-3d       %8.2f GB/s   %.1f : 1\n", codec_name(codec), level, best, (double)b->bytes / (double)n);
	codec_ctx_free(c);
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? strtol(argv[1], NULL, 10) : 2000000;
	struct budget *m = NULL;
	struct batch *b;

	if (count < 1 || budget_new(&m, 4u << 20, 0) < 0)
		die("usage: bench_batch [lines]");
	make_lines();
	printf("append of %d bytes    %8.1f ns\n", LINE, best_append(m, count));
	printf("memcpy of the same     %8.1f ns\n", best_memcpy(count));
	b = fill(m);
	bench_crc(b);
	bench_codec(b, CODEC_GZIP, -1);
	bench_codec(b, CODEC_GZIP, 1);
	bench_codec(b, CODEC_SNAPPY, 0);
	bench_codec(b, CODEC_LZ4, 9);
	bench_codec(b, CODEC_LZ4, 3);
	bench_codec(b, CODEC_ZSTD, 3);
	bench_codec(b, CODEC_ZSTD, 1);
	batch_free(b, m);
	budget_free(m);
	return 0;
}

/* fuzz_compress.c - what is compressed means the same again, at any level, out of chunks of any size.
 *
 * Input: codec, level, size of the chunks, then the raw bytes. */
#include <string.h>

#include "agent/base/err.h"
#include "producer/codec.h"
#include "tests/fuzz/fuzz.h"

#define COPIES 40		/* the bytes are repeated, so that they shrink and reach a second block */

static struct chunk *chain_of(const uint8_t *p, size_t n, size_t piece)
{
	struct chunk *first = NULL, **at = &first;

	for (size_t done = 0; done < n; done += (*at)->used, at = &(*at)->next) {
		*at = calloc(1, sizeof **at);
		(*at)->used = (uint32_t)(n - done < piece ? n - done : piece);
		memcpy((*at)->data, p + done, (*at)->used);
	}
	return first;
}

static void round_trip(enum codec codec, int level, const struct chunk *chain, const uint8_t *raw, size_t n)
{
	struct codec_ctx *c = NULL;
	const void *data;
	struct buf out;
	size_t packed;

	if (codec_ctx_new(&c, codec, level) < 0)
		return;
	buf_init(&out, n);
	if (codec_compress(c, chain, n, &data, &packed) == 0) {
		CHECK(packed < n);
		CHECK(codec_decompress(codec, data, packed, &out) == 0);
		CHECK(out.len == n && !memcmp(out.data, raw, n));
	}
	buf_release(&out);
	codec_ctx_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	enum codec codec = fuzz_byte(&in) % (CODEC_ZSTD + 1);
	int level = (int8_t)fuzz_byte(&in) % 24;
	size_t piece = 1 + (size_t)fuzz_byte(&in) * 64;
	uint8_t *raw = malloc(in.n * COPIES + 1);
	struct chunk *chain;

	for (size_t i = 0; i < COPIES; i++)
		memcpy(raw + i * in.n, in.p, in.n);
	chain = chain_of(raw, in.n * COPIES, piece);
	if (chain)
		round_trip(codec, level, chain, raw, in.n * COPIES);
	while (chain) {
		struct chunk *next = chain->next;

		free(chain);
		chain = next;
	}
	free(raw);
	return 0;
}

/* codec_lz4.c - the LZ4 frame as Kafka's reader demands it (KIP-57): independent 64 KiB blocks, no checksums.
 *
 * Threads: a context is its owner's.
 */
#include <lz4.h>
#include <lz4frame.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/codec_kind.h"

#define LEVEL_MIN 1
#define LEVEL_MAX 17
#define LEVEL_FAST 9		/* what Kafka calls 9 is LZ4's fast mode (KIP-390) */
#define HC_LEVEL_MIN 3		/* below it LZ4F would be fast again */

static const uint8_t magic[] = { 0x04, 0x22, 0x4d, 0x18 };

struct lz4 {
	LZ4F_cctx *ctx;
	LZ4F_preferences_t prefs;
};

static void lz4_close(void *state)
{
	struct lz4 *s = state;

	if (s)
		LZ4F_freeCompressionContext(s->ctx);
	mem_free(s);
}

static int lz4_open(void **ret_state, int level)
{
	struct lz4 *s = mem_new(struct lz4);

	if (!s)
		return ERR_NOMEM;
	if (level == LEVEL_FAST)
		level = 0;
	else if (level < HC_LEVEL_MIN)
		level = HC_LEVEL_MIN;
	s->prefs = (LZ4F_preferences_t){
		.frameInfo = { .blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent },
		.compressionLevel = level,
	};
	if (LZ4F_isError(LZ4F_createCompressionContext(&s->ctx, LZ4F_VERSION))) {
		mem_free(s);
		return ERR_NOMEM;
	}
	*ret_state = s;
	return 0;
}

/* The bound is of the whole frame; it holds for pieces too, as nothing is flushed between them. */
static size_t lz4_bound(void *state, size_t bytes)
{
	struct lz4 *s = state;

	return LZ4F_compressFrameBound(bytes, &s->prefs);
}

/* Adds what a library call wrote; its errors are all "no memory" here, since there is always room. */
#define ADD(at, call) do { size_t n_ = (call); if (LZ4F_isError(n_)) return ERR_NOMEM; (at) += n_; } while (0)

static int lz4_compress(void *state, const struct chunk *chain, size_t bytes, uint8_t *to, size_t cap, size_t *ret_n)
{
	struct lz4 *s = state;
	size_t at = 0;

	(void)bytes;
	ADD(at, LZ4F_compressBegin(s->ctx, to, cap, &s->prefs));
	for (; chain; chain = chain->next)
		ADD(at, LZ4F_compressUpdate(s->ctx, to + at, cap - at, chain->data, chain->used, NULL));
	ADD(at, LZ4F_compressEnd(s->ctx, to + at, cap - at, NULL));
	*ret_n = at;
	return 0;
}

static int lz4_expand(LZ4F_dctx *ctx, const uint8_t *p, size_t n, struct buf *out)
{
	for (;;) {
		uint8_t *to;
		size_t room, filled, eaten = n, more;
		int rc = codec_room(out, &to, &room);

		if (rc < 0)
			return rc;
		filled = room;
		more = LZ4F_decompress(ctx, to, &filled, p, &eaten, NULL);
		if (LZ4F_isError(more))
			return !strcmp(LZ4F_getErrorName(more), "ERROR_allocation_failed") ? ERR_NOMEM : ERR_BAD_DATA;
		p += eaten;
		n -= eaten;
		rc = codec_filled(out, filled);
		if (rc < 0)
			return rc;
		if (!more)
			return n ? ERR_BAD_DATA : 0;
		if (!n && filled < room)	/* it had room and wants input that is not there */
			return ERR_BAD_DATA;
	}
}

static int lz4_decompress(const uint8_t *p, size_t n, struct buf *out)
{
	LZ4F_dctx *ctx = NULL;
	int rc;

	/* LZ4F would take a skippable frame for an empty one. */
	if (n < sizeof magic || memcmp(p, magic, sizeof magic))
		return ERR_BAD_DATA;
	if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
		return ERR_NOMEM;
	rc = lz4_expand(ctx, p, n, out);
	LZ4F_freeDecompressionContext(ctx);
	return rc;
}

const struct codec_kind codec_lz4 = {
	.name = "lz4", .level_min = LEVEL_MIN, .level_max = LEVEL_MAX,
	.open = lz4_open, .close = lz4_close, .bound = lz4_bound, .compress = lz4_compress, .decompress = lz4_decompress,
	.version = LZ4_versionString,
};

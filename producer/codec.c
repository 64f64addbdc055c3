/* codec.c - LZ4 and zstd over a chain of chunks, into one scratch buffer.
 *
 * Why frames are made by the libraries' streaming calls: the raw bytes lie in 16 KiB pieces, and a flat copy of a batch
 * would cost as much memory as the batch. LZ4F gathers 64 KiB blocks, zstd its window; both are small beside compressing.
 *
 * Invariants
 *  (1) the frame never depends on earlier batches: contexts are reset, dictionaries are not used.
 *  (2) scratch holds the library's worst case for the largest batch so far; its untouched pages cost no memory, and it is
 *      there before compressing begins, so a full budget can always be compressed.
 * Threads: one codec_ctx belongs to one thread; the counter is atomic.
 * Failure: a library that cannot get memory is ERR_NOMEM; the next call starts afresh.
 */
#include "producer/codec.h"

#include <lz4.h>
#include <lz4frame.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

#define LZ4_LEVEL_FAST 9	/* what Kafka calls 9 is LZ4's fast mode (KIP-390) */
#define LZ4F_LEVEL_HC_MIN 3	/* below it LZ4F would be fast again */

struct codec_ctx {
	enum codec codec;
	LZ4F_cctx *lz4;
	LZ4F_preferences_t lz4_prefs;
	ZSTD_CCtx *zstd;
	uint8_t *scratch;
	size_t   cap;
};

static _Atomic uint64_t compress_calls;

static const char *const names[] = {
	[CODEC_NONE] = "none", [CODEC_GZIP] = "gzip", [CODEC_SNAPPY] = "snappy", [CODEC_LZ4] = "lz4", [CODEC_ZSTD] = "zstd",
};

int codec_parse(const char *name)
{
	for (int i = CODEC_NONE; i <= CODEC_ZSTD; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -1;
}

const char *codec_name(enum codec codec)
{
	return (unsigned int)codec <= CODEC_ZSTD ? names[codec] : "unknown";
}

const char *codec_versions(void)
{
	static _Thread_local char text[64];

	snprintf(text, sizeof text, "lz4 %s\nzstd %s", LZ4_versionString(), ZSTD_versionString());
	return text;
}

uint64_t codec_compress_calls(void)
{
	return compress_calls;
}

static int open_lz4(struct codec_ctx *c, int level)
{
	if (level == LZ4_LEVEL_FAST)
		level = 0;
	else if (level < LZ4F_LEVEL_HC_MIN)
		level = LZ4F_LEVEL_HC_MIN;
	c->lz4_prefs = (LZ4F_preferences_t){
		.frameInfo = { .blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent },
		.compressionLevel = level,
	};
	return LZ4F_isError(LZ4F_createCompressionContext(&c->lz4, LZ4F_VERSION)) ? ERR_NOMEM : 0;
}

static int open_zstd(struct codec_ctx *c, int level)
{
	c->zstd = ZSTD_createCCtx();
	if (!c->zstd)
		return ERR_NOMEM;
	return ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level)) ? ERR_CONFIG : 0;
}

int codec_ctx_new(struct codec_ctx **ret, enum codec codec, int level)
{
	struct codec_ctx *c = mem_new(struct codec_ctx);
	int rc = 0;

	if (!c)
		return ERR_NOMEM;
	c->codec = codec;
	if (codec == CODEC_LZ4)
		rc = open_lz4(c, level);
	else if (codec == CODEC_ZSTD)
		rc = open_zstd(c, level);
	else if (codec != CODEC_NONE)
		rc = ERR_CONFIG;
	if (rc < 0) {
		codec_ctx_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void codec_ctx_free(struct codec_ctx *c)
{
	if (!c)
		return;
	LZ4F_freeCompressionContext(c->lz4);
	ZSTD_freeCCtx(c->zstd);
	mem_free(c->scratch);
	mem_free(c);
}

static int need_scratch(struct codec_ctx *c, size_t n)
{
	uint8_t *p;

	if (n <= c->cap)
		return 0;
	p = mem_alloc(n);		/* not realloc: the old bytes are worth nothing */
	if (!p)
		return ERR_NOMEM;
	mem_free(c->scratch);
	c->scratch = p;
	c->cap = n;
	return 0;
}

/* Adds what a library call wrote; its errors are all "no memory" here, since the scratch is always large enough. */
#define ADD(at, is_error, call) do { size_t n_ = (call); if (is_error(n_)) return ERR_NOMEM; (at) += n_; } while (0)

static int compress_lz4(struct codec_ctx *c, const struct chunk *chain, size_t bytes, size_t *ret_n)
{
	size_t at = 0;

	/* The bound is of the whole frame; it holds for pieces too, as nothing is flushed between them. */
	if (need_scratch(c, LZ4F_compressFrameBound(bytes, &c->lz4_prefs)) < 0)
		return ERR_NOMEM;
	ADD(at, LZ4F_isError, LZ4F_compressBegin(c->lz4, c->scratch, c->cap, &c->lz4_prefs));
	for (; chain; chain = chain->next)
		ADD(at, LZ4F_isError, LZ4F_compressUpdate(c->lz4, c->scratch + at, c->cap - at, chain->data, chain->used, NULL));
	ADD(at, LZ4F_isError, LZ4F_compressEnd(c->lz4, c->scratch + at, c->cap - at, NULL));
	*ret_n = at;
	return 0;
}

static int compress_zstd(struct codec_ctx *c, const struct chunk *chain, size_t bytes, size_t *ret_n)
{
	ZSTD_outBuffer out;
	size_t left = 1;

	if (need_scratch(c, ZSTD_compressBound(bytes)) < 0)
		return ERR_NOMEM;
	out = (ZSTD_outBuffer){ .dst = c->scratch, .size = c->cap };
	/* The pledge makes the window no larger than the batch. */
	ZSTD_CCtx_reset(c->zstd, ZSTD_reset_session_only);
	if (ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(c->zstd, bytes)))
		return ERR_NOMEM;
	for (; chain; chain = chain->next) {
		ZSTD_EndDirective end = chain->next ? ZSTD_e_continue : ZSTD_e_end;
		ZSTD_inBuffer in = { .src = chain->data, .size = chain->used };

		do {
			left = ZSTD_compressStream2(c->zstd, &out, &in, end);
			if (ZSTD_isError(left))
				return ERR_NOMEM;
		} while (in.pos < in.size);
	}
	if (left > 0)
		return ERR_NOMEM;
	*ret_n = out.pos;
	return 0;
}

int codec_compress(struct codec_ctx *c, const struct chunk *chain, size_t bytes, const void **ret_data, size_t *ret_n)
{
	int rc = ERR_AGAIN;
	size_t n;

	ASSERT(chain && bytes > 0);
	compress_calls++;
	if (c->codec == CODEC_LZ4)
		rc = compress_lz4(c, chain, bytes, &n);
	else if (c->codec == CODEC_ZSTD)
		rc = compress_zstd(c, chain, bytes, &n);
	if (rc < 0)
		return rc;
	if (n >= bytes)
		return ERR_AGAIN;
	*ret_data = c->scratch;
	*ret_n = n;
	return 0;
}

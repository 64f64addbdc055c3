/* codec_zstd.c - one zstd frame a batch, its size in the header, no checksum (the batch's CRC covers it), no dictionary.
 *
 * Threads: a context is its owner's.
 */
#include <zstd.h>
#include <zstd_errors.h>

#include "agent/base/err.h"
#include "producer/codec_kind.h"
#include "producer/wire.h"

#define LEVEL_MIN (-131072)
#define LEVEL_MAX 22
/* Of the window that a frame may ask for before its first byte: 8 MiB is what every reader should grant (RFC 8878), a larger
 * one makes sense only for more bytes than that. */
#define WINDOW_LOG_MIN 23
#define WINDOW_LOG_MAX 27

static void zstd_close(void *state)
{
	ZSTD_freeCCtx(state);
}

static int zstd_open(void **ret_state, int level)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();

	if (!z)
		return ERR_NOMEM;
	if (ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level))) {
		ZSTD_freeCCtx(z);
		return ERR_CONFIG;
	}
	*ret_state = z;
	return 0;
}

static size_t zstd_bound(void *state, size_t bytes)
{
	(void)state;
	return ZSTD_compressBound(bytes);
}

static int zstd_compress(void *state, const struct chunk *chain, size_t bytes, uint8_t *to, size_t cap, size_t *ret_n)
{
	ZSTD_outBuffer out = { .dst = to, .size = cap };
	size_t left = 1;

	/* The pledge makes the window no larger than the batch. */
	ZSTD_CCtx_reset(state, ZSTD_reset_session_only);
	if (ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(state, bytes)))
		return ERR_NOMEM;
	for (; chain; chain = chain->next) {
		ZSTD_EndDirective end = chain->next ? ZSTD_e_continue : ZSTD_e_end;
		ZSTD_inBuffer in = { .src = chain->data, .size = chain->used };

		do {
			left = ZSTD_compressStream2(state, &out, &in, end);
			if (ZSTD_isError(left))
				return ERR_NOMEM;
		} while (in.pos < in.size);
	}
	if (left > 0)
		return ERR_NOMEM;
	*ret_n = out.pos;
	return 0;
}

static int window_log(size_t ceiling)
{
	int log = WINDOW_LOG_MIN;

	while (log < WINDOW_LOG_MAX && (size_t)1 << log < ceiling)
		log++;
	return log;
}

static int zstd_expand(ZSTD_DCtx *z, const uint8_t *p, size_t n, struct buf *out)
{
	ZSTD_inBuffer in = { .src = p, .size = n };

	for (;;) {
		ZSTD_outBuffer to = { 0 };
		uint8_t *room;
		size_t more;
		int rc = codec_room(out, &room, &to.size);

		if (rc < 0)
			return rc;
		to.dst = room;
		more = ZSTD_decompressStream(z, &to, &in);
		if (ZSTD_isError(more))
			return ZSTD_getErrorCode(more) == ZSTD_error_memory_allocation ? ERR_NOMEM : ERR_BAD_DATA;
		rc = codec_filled(out, to.pos);
		if (rc < 0)
			return rc;
		if (!more)
			return in.pos < n ? ERR_BAD_DATA : 0;
		if (in.pos == n && to.pos < to.size)	/* it had room and wants input that is not there */
			return ERR_BAD_DATA;
	}
}

static int zstd_decompress(const uint8_t *p, size_t n, struct buf *out)
{
	ZSTD_DCtx *z;
	uint32_t magic;
	int rc;

	/* zstd would take a skippable frame for an empty one. */
	if (n < sizeof magic)
		return ERR_BAD_DATA;
	memcpy(&magic, p, sizeof magic);
	if (le32toh(magic) != ZSTD_MAGICNUMBER)
		return ERR_BAD_DATA;
	z = ZSTD_createDCtx();
	if (!z)
		return ERR_NOMEM;
	rc = ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, window_log(out->max))) ? ERR_NOMEM :
	     zstd_expand(z, p, n, out);
	ZSTD_freeDCtx(z);
	return rc;
}

const struct codec_kind codec_zstd = {
	.name = "zstd", .level_min = LEVEL_MIN, .level_max = LEVEL_MAX,
	.open = zstd_open, .close = zstd_close, .bound = zstd_bound, .compress = zstd_compress, .decompress = zstd_decompress,
	.version = ZSTD_versionString,
};

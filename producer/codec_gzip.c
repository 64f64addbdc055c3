/* codec_gzip.c - gzip by zlib: one member (RFC 1952), as Kafka's GzipCompression writes it.
 *
 * Why no second member is read: Java would, but nobody writes one into a batch, and what follows a batch's bytes is damage.
 * Threads: a context is its owner's.
 */
#define ZLIB_CONST
#include <zlib.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/codec_kind.h"

#define GZIP_WINDOW (15 + 16)		/* 32 KiB, with gzip's header and trailer */
#define MEM_LEVEL 8			/* zlib's default */

static int gzip_rc(int zrc)
{
	return zrc == Z_OK ? 0 : zrc == Z_MEM_ERROR ? ERR_NOMEM : ERR_CONFIG;
}

static int gzip_open(void **ret_state, int level)
{
	z_stream *z;
	int rc;

	if (level == 0)			/* "stored": zlib has it, Kafka does not */
		return ERR_CONFIG;
	z = mem_new(z_stream);
	if (!z)
		return ERR_NOMEM;
	rc = gzip_rc(deflateInit2(z, level, Z_DEFLATED, GZIP_WINDOW, MEM_LEVEL, Z_DEFAULT_STRATEGY));
	if (rc < 0)
		mem_free(z);
	else
		*ret_state = z;
	return rc;
}

static void gzip_close(void *state)
{
	if (!state)
		return;
	deflateEnd(state);
	mem_free(state);
}

static size_t gzip_bound(void *state, size_t bytes)
{
	return deflateBound(state, bytes);
}

static int gzip_compress(void *state, const struct chunk *chain, size_t bytes, uint8_t *to, size_t cap, size_t *ret_n)
{
	z_stream *z = state;
	int zrc = Z_OK;

	(void)bytes;
	if (deflateReset(z) != Z_OK)
		return ERR_NOMEM;
	z->next_out = to;
	z->avail_out = cap < UINT32_MAX ? (uInt)cap : UINT32_MAX;
	for (; chain && zrc == Z_OK; chain = chain->next) {
		z->next_in = chain->data;
		z->avail_in = chain->used;
		zrc = deflate(z, chain->next ? Z_NO_FLUSH : Z_FINISH);
	}
	if (zrc != Z_STREAM_END)	/* the bound is past the raw bytes: whoever needs more does not shrink */
		return ERR_AGAIN;
	*ret_n = (size_t)(z->next_out - to);
	return 0;
}

static int gzip_inflate(z_stream *z, struct buf *out)
{
	for (;;) {
		uint8_t *to;
		size_t room;
		int rc = codec_room(out, &to, &room), zrc;

		if (rc < 0)
			return rc;
		z->next_out = to;
		z->avail_out = room < UINT32_MAX ? (uInt)room : UINT32_MAX;
		zrc = inflate(z, Z_NO_FLUSH);
		if (zrc != Z_OK && zrc != Z_STREAM_END)		/* with room for output Z_BUF_ERROR is a cut */
			return zrc == Z_MEM_ERROR ? ERR_NOMEM : ERR_BAD_DATA;
		rc = codec_filled(out, (size_t)(z->next_out - to));
		if (rc < 0)
			return rc;
		if (zrc == Z_STREAM_END)
			return z->avail_in ? ERR_BAD_DATA : 0;
	}
}

static int gzip_decompress(const uint8_t *p, size_t n, struct buf *out)
{
	z_stream z = { .next_in = p, .avail_in = (uInt)n };
	int rc = gzip_rc(inflateInit2(&z, GZIP_WINDOW));

	if (rc < 0)
		return rc;
	rc = gzip_inflate(&z, out);
	inflateEnd(&z);
	return rc;
}

const struct codec_kind codec_gzip = {
	.name = "gzip", .level_min = Z_DEFAULT_COMPRESSION, .level_max = Z_BEST_COMPRESSION,
	.open = gzip_open, .close = gzip_close, .bound = gzip_bound, .compress = gzip_compress, .decompress = gzip_decompress,
	.version = zlibVersion,
};

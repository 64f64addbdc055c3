/* codec.c - a record section through one of Kafka's codecs, from a chain of chunks into one scratch buffer, and back.
 *
 * Why streaming calls: the raw bytes lie in 16 KiB pieces, and a flat copy of a batch would cost as much memory as the
 * batch. What a library gathers (32 KiB for snappy and gzip, 64 KiB for LZ4, zstd its window) is small beside compressing.
 *
 * Invariants
 *  (1) what comes out never depends on earlier batches: contexts are reset, dictionaries are not used.
 *  (2) scratch holds the library's worst case for the largest batch so far; its untouched pages cost no memory, and it is
 *      there before compressing begins, so a full budget can always be compressed.
 *  (3) decoding trusts nothing: no length out of the data is added, compared late, or turned into memory.
 * Threads: one codec_ctx belongs to one thread; the counter is atomic; decoding keeps nothing.
 * Failure: a library that cannot get memory is ERR_NOMEM; the next call starts afresh.
 */
#include "producer/codec.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/codec_kind.h"
#include "producer/config.h"

#define ROOM_FIRST 16384

struct codec_ctx {
	const struct codec_kind *kind;
	void    *state;
	uint8_t *scratch;
	size_t   cap;
};

static _Atomic uint64_t compress_calls;

static const struct codec_kind codec_none = { .name = "none" };

static const struct codec_kind *const kinds[] = {
	[CODEC_NONE] = &codec_none, [CODEC_GZIP] = &codec_gzip, [CODEC_SNAPPY] = &codec_snappy, [CODEC_LZ4] = &codec_lz4,
	[CODEC_ZSTD] = &codec_zstd,
};

static const struct codec_kind *kind_of(enum codec codec)
{
	return (unsigned int)codec <= CODEC_ZSTD ? kinds[codec] : NULL;
}

int codec_parse(const char *name)
{
	for (int i = CODEC_NONE; i <= CODEC_ZSTD; i++)
		if (!strcmp(name, kinds[i]->name))
			return i;
	return -1;
}

const char *codec_name(enum codec codec)
{
	return kind_of(codec) ? kind_of(codec)->name : "unknown";
}

int codec_level(const struct producer_config *c)
{
	switch (c->compression_type) {
	case CODEC_GZIP: return (int)c->compression_gzip_level;
	case CODEC_LZ4:  return (int)c->compression_lz4_level;
	case CODEC_ZSTD: return (int)c->compression_zstd_level;
	default:         return 0;
	}
}

const char *codec_versions(void)
{
	static _Thread_local char text[128];

	snprintf(text, sizeof text, "zlib %s\nsnappy %s\nlz4 %s\nzstd %s", codec_gzip.version(), codec_snappy.version(),
		 codec_lz4.version(), codec_zstd.version());
	return text;
}

uint64_t codec_compress_calls(void)
{
	return compress_calls;
}

/* --- compressing --- */

static bool has_level(const struct codec_kind *k, int level)
{
	return k->level_min == k->level_max || (level >= k->level_min && level <= k->level_max);
}

int codec_ctx_new(struct codec_ctx **ret, enum codec codec, int level)
{
	const struct codec_kind *k = kind_of(codec);
	struct codec_ctx *c;
	int rc;

	if (!k || !has_level(k, level))
		return ERR_CONFIG;
	c = mem_new(struct codec_ctx);
	if (!c)
		return ERR_NOMEM;
	c->kind = k;
	rc = k->open ? k->open(&c->state, level) : 0;
	if (rc < 0)
		codec_ctx_free(c);
	else
		*ret = c;
	return rc;
}

void codec_ctx_free(struct codec_ctx *c)
{
	if (!c)
		return;
	if (c->kind->close)
		c->kind->close(c->state);
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

int codec_compress(struct codec_ctx *c, const struct chunk *chain, size_t bytes, const void **ret_data, size_t *ret_n)
{
	const struct codec_kind *k = c->kind;
	size_t n;
	int rc;

	ASSERT(chain && bytes > 0);
	compress_calls++;
	if (!k->compress)
		return ERR_AGAIN;
	rc = need_scratch(c, k->bound(c->state, bytes));
	if (rc == 0)
		rc = k->compress(c->state, chain, bytes, c->scratch, c->cap, &n);
	if (rc < 0)
		return rc;
	if (n >= bytes)
		return ERR_AGAIN;
	*ret_data = c->scratch;
	*ret_n = n;
	return 0;
}

/* --- decompressing --- */

int codec_room(struct buf *out, uint8_t **ret_p, size_t *ret_n)
{
	size_t left = out->max - out->len, more = out->len > ROOM_FIRST ? out->len : ROOM_FIRST;

	if (out->cap < 2 || out->len >= out->cap - 1) {		/* none but the byte of the NUL */
		int rc = buf_reserve(out, more < left ? more : left);

		if (rc < 0)
			return rc;
	}
	*ret_p = (uint8_t *)out->data + out->len;
	*ret_n = out->cap - 1 >= out->max ? left + 1 : out->cap - 1 - out->len;
	return 0;
}

int codec_filled(struct buf *out, size_t n)
{
	if (n > out->max - out->len)
		return ERR_BAD_DATA;
	out->len += n;
	out->data[out->len] = 0;
	return 0;
}

int codec_decompress(enum codec codec, const void *data, size_t n, struct buf *out)
{
	const struct codec_kind *k = kind_of(codec);

	if (!k || n > INT32_MAX)		/* no batch is longer */
		return ERR_BAD_DATA;
	if (k->decompress)
		return k->decompress(data, n, out);
	return n > out->max - out->len ? ERR_BAD_DATA : buf_put(out, data, n);
}

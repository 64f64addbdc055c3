/* codec_snappy.c - snappy in the framing of snappy-java (xerial), which is what Kafka's Java clients write.
 *
 *	0  magic 8: 82 "SNAPPY" 00 | 8 version 4: 1 | 12 oldest version that reads it 4: 1 | then for each block:
 *	   compressed length 4 | one raw snappy block of at most 32 KiB
 *
 * Why framed: a raw block is smaller and most read it, but old JVM readers only know the frame. Both are read here, as by
 * SnappyInputStream: what does not begin with the magic is one raw block.
 * Why a block is gathered: libsnappy's C calls want it in one piece, and the chunks of a batch are half as long.
 * Why the library is loaded when it is first needed: it brings C++'s runtime along, a megabyte that nobody else needs.
 * Threads: a context is its owner's.
 * Failure no library: ERR_UNAVAILABLE, for configurations and for batches.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <snappy-c.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/codec_kind.h"
#include "producer/wire.h"

#define HEAD 16
#define BLOCK 32768u
#define PACKED_MAX (32 + BLOCK + BLOCK / 6)	/* what libsnappy may make of a block */
#define VERSION 1
/* The densest element is a copy of 64 bytes in 3: a block that claims more than that is lying. */
#define GROWTH_MAX 22

static const uint8_t head[HEAD] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, VERSION, 0, 0, 0, VERSION };
#define MAGIC 8

struct snappy { uint8_t block[BLOCK]; };

static struct {
	__typeof__(snappy_compress) *compress;
	__typeof__(snappy_uncompress) *uncompress;
	__typeof__(snappy_uncompressed_length) *uncompressed_length;
} library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	void *so = dlopen("libsnappy.so.1", RTLD_NOW | RTLD_LOCAL);

	if (!so)
		return;
	library.compress = (__typeof__(snappy_compress) *)dlsym(so, "snappy_compress");
	library.uncompress = (__typeof__(snappy_uncompress) *)dlsym(so, "snappy_uncompress");
	library.uncompressed_length = (__typeof__(snappy_uncompressed_length) *)dlsym(so, "snappy_uncompressed_length");
}

static bool have_library(void)
{
	pthread_once(&once, load);
	return library.compress && library.uncompress && library.uncompressed_length;
}

static int snappy_open(void **ret_state, int level)
{
	(void)level;
	if (!have_library())
		return ERR_UNAVAILABLE;
	*ret_state = mem_alloc(sizeof(struct snappy));
	return *ret_state ? 0 : ERR_NOMEM;
}

static size_t snappy_bound(void *state, size_t bytes)
{
	(void)state;
	return HEAD + (bytes / BLOCK + 1) * (4 + PACKED_MAX);
}

/* Takes up to a block's bytes off the chain; returns how many. */
static size_t gather(uint8_t *to, const struct chunk **chain, size_t *at)
{
	size_t n = 0;

	while (*chain && n < BLOCK) {
		size_t left = (*chain)->used - *at, piece = left < BLOCK - n ? left : BLOCK - n;

		memcpy(to + n, (*chain)->data + *at, piece);
		n += piece;
		*at += piece;
		if (*at == (*chain)->used) {
			*chain = (*chain)->next;
			*at = 0;
		}
	}
	return n;
}

static int snappy_compress_chain(void *state, const struct chunk *chain, size_t bytes, uint8_t *to, size_t cap, size_t *ret_n)
{
	struct snappy *s = state;
	size_t at = HEAD, in_chunk = 0, n;

	(void)bytes;
	memcpy(to, head, HEAD);
	while ((n = gather(s->block, &chain, &in_chunk)) > 0) {
		size_t packed = cap - at - 4;

		if (library.compress((const char *)s->block, n, (char *)to + at + 4, &packed) != SNAPPY_OK)
			return ERR_AGAIN;
		be32_put(to + at, (uint32_t)packed);
		at += 4 + packed;
	}
	*ret_n = at;
	return 0;
}

static int block(const uint8_t *p, size_t n, struct buf *out)
{
	size_t raw;
	int rc;

	if (library.uncompressed_length((const char *)p, n, &raw) != SNAPPY_OK)
		return ERR_BAD_DATA;
	if (raw > out->max - out->len || raw > n * GROWTH_MAX)
		return ERR_BAD_DATA;
	rc = buf_reserve(out, raw);
	if (rc < 0)
		return rc;
	if (library.uncompress((const char *)p, n, out->data + out->len, &raw) != SNAPPY_OK)
		return ERR_BAD_DATA;
	return codec_filled(out, raw);
}

static int blocks(const uint8_t *p, size_t n, struct buf *out)
{
	do {
		uint32_t packed = n >= 4 ? be32_get(p) : 0;
		int rc;

		if (packed == 0 || packed > n - 4)
			return ERR_BAD_DATA;
		rc = block(p + 4, packed, out);
		if (rc < 0)
			return rc;
		p += 4 + packed;
		n -= 4 + packed;
	} while (n > 0);		/* at least one: no batch is empty */
	return 0;
}

static int snappy_decompress(const uint8_t *p, size_t n, struct buf *out)
{
	if (!have_library())
		return ERR_UNAVAILABLE;
	if (n < HEAD || memcmp(p, head, MAGIC))
		return block(p, n, out);
	if ((int32_t)be32_get(p + MAGIC) < VERSION || be32_get(p + MAGIC + 4) > VERSION)
		return ERR_BAD_DATA;
	return blocks(p + HEAD, n - HEAD, out);
}

static const char *snappy_version(void)
{
	return have_library() ? "is there" : "is not there";	/* its version only a C++ header tells */
}

const struct codec_kind codec_snappy = {
	.name = "snappy",
	.open = snappy_open, .close = mem_free, .bound = snappy_bound, .compress = snappy_compress_chain,
	.decompress = snappy_decompress, .version = snappy_version,
};

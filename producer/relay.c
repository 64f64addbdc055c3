/* relay.c - see relay.h. Key, value and headers are copied as they stand; only deltas and lengths are written anew.
 * Threads: the caller's. Failure no memory: told, nothing is kept.
 */
#include "producer/relay.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/wire.h"

int relay_record(struct buf *out, const struct record_view *r, int64_t timestamp_delta, int32_t index)
{
	uint64_t ts = zigzag(timestamp_delta), offset = zigzag(index);
	size_t rest = (size_t)(r->start + r->size - r->rest), body = 1 + uvarint_size(ts) + uvarint_size(offset) + rest;
	uint8_t head[3 * UVARINT_MAX + 1], *p;

	p = uvarint_put(head, (uint64_t)body << 1);
	*p++ = 0;
	p = uvarint_put(p, ts);
	p = uvarint_put(p, offset);
	(void)buf_put(out, head, (size_t)(p - head));
	(void)buf_put(out, r->rest, rest);
	return out->failed ? ERR_NOMEM : 0;
}

static void free_chain(struct chunk *k)
{
	while (k) {
		struct chunk *next = k->next;

		mem_free(k);
		k = next;
	}
}

/* A heap copy as a chain, for the compressor. */
static struct chunk *heap_chain(const uint8_t *p, size_t n)
{
	struct chunk *first = NULL, **at = &first;

	while (n > 0) {
		size_t piece = n < CHUNK_DATA ? n : CHUNK_DATA;
		struct chunk *k = mem_alloc(sizeof *k);

		if (!k)
			break;
		memcpy(k->data, p, piece);
		k->used = (uint32_t)piece;
		k->next = NULL;
		*at = k;
		at = &k->next;
		p += piece;
		n -= piece;
	}
	if (n == 0)
		return first;
	free_chain(first);
	return NULL;
}

int relay_compress(struct codec_ctx *ctx, enum codec codec, const void *raw, size_t n, const void **ret_data, size_t *ret_n,
		   enum codec *ret_codec)
{
	int rc = ERR_AGAIN;

	if (codec != CODEC_NONE) {
		struct chunk *chain = heap_chain(raw, n);

		if (!chain)
			return ERR_NOMEM;
		rc = codec_compress(ctx, chain, n, ret_data, ret_n);
		free_chain(chain);
	}
	*ret_codec = rc < 0 ? CODEC_NONE : codec;
	if (rc < 0) {		/* as it is, also because it would grow */
		*ret_data = raw;
		*ret_n = n;
	}
	return 0;
}

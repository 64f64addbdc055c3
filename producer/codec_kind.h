/* codec_kind.h - inside codec*.c: what one codec is, and how a decoder grows its output. One row a codec, one file a row. */
#ifndef SPILLWAY_CODEC_KIND_H
#define SPILLWAY_CODEC_KIND_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "producer/budget.h"

struct codec_kind {
	const char *name;		/* Kafka's */
	int level_min, level_max;	/* KIP-390; both 0: there are no levels */
	/* A reusable context. 0, ERR_NOMEM, or ERR_CONFIG for a level within the range that means nothing. */
	int    (*open)(void **ret_state, int level);
	void   (*close)(void *state);	/* NULL is fine */
	/* Where compress needs no more than so many bytes it finishes; compress may answer ERR_AGAIN instead of a bound. */
	size_t (*bound)(void *state, size_t bytes);
	/* 0; ERR_NOMEM; ERR_AGAIN: the result would be no smaller. A failed call leaves a context that is good for the next. */
	int    (*compress)(void *state, const struct chunk *chain, size_t bytes, uint8_t *to, size_t cap, size_t *ret_n);
	/* See codec_decompress. */
	int    (*decompress)(const uint8_t *p, size_t n, struct buf *out);
	const char *(*version)(void);	/* of the library */
};

extern const struct codec_kind codec_gzip, codec_snappy, codec_lz4, codec_zstd;

/* Free bytes behind `out`: at least one, at the ceiling the one that may not be used, so that a decoder that has more to
 * say can show it and one that is done can end. 0 or ERR_NOMEM. */
int codec_room(struct buf *out, uint8_t **ret_p, size_t *ret_n);
/* n bytes of that room were filled. 0, or ERR_BAD_DATA when they are past the ceiling. */
int codec_filled(struct buf *out, size_t n);

#endif

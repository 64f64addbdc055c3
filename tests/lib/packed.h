/* packed.h - compressed bytes for tests: one gzip member or zstd frame, with its checksum, and several behind each other. */
#ifndef SPILLWAY_TESTS_PACKED_H
#define SPILLWAY_TESTS_PACKED_H

#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "agent/tail/unpack.h"
#include "tests/lib/unit.h"

struct packed { uint8_t *data; size_t n; };

/* free its data */
static inline struct packed pack(enum unpack_kind kind, const void *p, size_t n)
{
	struct packed ret = { .n = kind == UNPACK_GZIP ? compressBound(n) + 64 : ZSTD_compressBound(n) };

	ret.data = malloc(ret.n);
	assert_non_null(ret.data);
	if (kind == UNPACK_GZIP) {
		z_stream z = { .next_in = (void *)(uintptr_t)p, .avail_in = (unsigned)n, .next_out = ret.data,
			       .avail_out = (unsigned)ret.n };

		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		ret.n = z.total_out;
		deflateEnd(&z);
	} else {
		ZSTD_CCtx *c = ZSTD_createCCtx();

		ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
		ret.n = ZSTD_compress2(c, ret.data, ret.n, p, n);
		assert_false(ZSTD_isError(ret.n));
		ZSTD_freeCCtx(c);
	}
	return ret;
}

static inline void pack_add_bytes(struct packed *to, const void *p, size_t n)
{
	to->data = realloc(to->data, to->n + n + 1);
	assert_non_null(to->data);
	memcpy(to->data + to->n, p, n);
	to->n += n;
}

/* Takes `more` away. */
static inline void pack_add(struct packed *to, struct packed more)
{
	pack_add_bytes(to, more.data, more.n);
	free(more.data);
}

#endif

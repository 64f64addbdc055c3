/* relay.h - records of a batch that is taken apart, laid out again in another. */
#ifndef SPILLWAY_RELAY_H
#define SPILLWAY_RELAY_H

#include "producer/codec.h"
#include "producer/record_read.h"

/* Appends r as the index-th record of a section. 0 or ERR_NOMEM (out is worth nothing then). */
int  relay_record(struct buf *out, const struct record_view *r, int64_t timestamp_delta, int32_t index);
/* n raw bytes compressed, or as they are where that is no gain. *ret_data points to raw or into ctx until its next use.
 * 0 or ERR_NOMEM. */
int  relay_compress(struct codec_ctx *ctx, enum codec codec, const void *raw, size_t n, const void **ret_data, size_t *ret_n,
		    enum codec *ret_codec);

#endif

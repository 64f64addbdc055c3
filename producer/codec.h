/* codec.h - compression of a record section. Bytes in, bytes out; contexts are reused, one codec_ctx a thread.
 * gzip: one member (RFC 1952). snappy: xerial framing, 32 KiB a block, as snappy-java writes. lz4: LZ4 frame, independent
 * 64 KiB blocks, no checksums, as Kafka's reader demands (KIP-57). zstd: one frame.
 * Levels: KIP-390. lz4 9 (Kafka's default) is LZ4's fast mode, other levels are LZ4HC. */
#ifndef SPILLWAY_CODEC_H
#define SPILLWAY_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "producer/batch.h"

struct producer_config;

struct codec_ctx;
/* 0; ERR_NOMEM; ERR_CONFIG: no such codec, or a level that it does not have. snappy and none have no levels: any will do. */
int  codec_ctx_new(struct codec_ctx **ret, enum codec codec, int level);
void codec_ctx_free(struct codec_ctx *c);
/* Compresses a chain of raw bytes. *ret_data points into c's scratch, valid until its next use.
 * 0; ERR_NOMEM; ERR_AGAIN when the result would not be smaller than the raw bytes (send it uncompressed). */
int  codec_compress(struct codec_ctx *c, const struct chunk *chain, size_t bytes, const void **ret_data, size_t *ret_n);
/* Appends what n bytes of that codec mean to `out`, whose ceiling is the caller's; memory is asked for as bytes come, not as
 * headers promise. One gzip member, one lz4 or zstd frame, one snappy stream (framed, or one raw block as librdkafka writes).
 * 0; ERR_NOMEM; ERR_BAD_DATA: damaged, cut, followed by more, or past the ceiling; then what was appended is worth nothing. */
int  codec_decompress(enum codec codec, const void *data, size_t n, struct buf *out);
int  codec_parse(const char *name);	/* enum codec or -1 */
const char *codec_name(enum codec codec);
int  codec_level(const struct producer_config *c);	/* of its compression.type */
const char *codec_versions(void);	/* of the libraries, one a line */
/* How often compress was entered in this process: tests prove by it that draining compresses nothing. */
uint64_t codec_compress_calls(void);

#endif

/* unpack.h - the bytes that a .gz or .zst file holds, at any offset of what it was before it was compressed.
 *
 * Offsets, positions and markers of a compressed file are those of its content. Reading onwards is one pass; reading behind
 * what was read last begins anew at the file's start (or at a point kept on the way), which costs time and nothing else.
 * Several gzip members or zstd frames are one content. Window sizes are bounded: a file that wants more memory is damaged.
 * Threads: one at a time for each struct.
 */
#ifndef SPILLWAY_UNPACK_H
#define SPILLWAY_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct unpack;

enum unpack_kind { UNPACK_NONE, UNPACK_GZIP, UNPACK_ZSTD };
/* By its first bytes, not by its name. -errno when it cannot be read. */
int  unpack_kind(int fd);
/* fd stays the caller's, and open. NULL: out of memory. */
struct unpack *unpack_new(int fd, enum unpack_kind kind);
void unpack_free(struct unpack *u);
/* As pread of the content: up to n bytes; 0: its end. -errno; ERR_NOMEM; ERR_BAD_DATA: it is damaged from here on (what lies before
 * was given); ERR_AGAIN: the file ends in the middle, and may be still growing. */
ssize_t unpack_pread(struct unpack *u, void *buf, size_t n, int64_t at);
/* How many bytes of the compressed file were used for what was read furthest; for people. */
int64_t unpack_packed(const struct unpack *u);
/* The content's size once its end was seen; -1: not known yet. */
int64_t unpack_size(const struct unpack *u);
/* What is wrong, in words; NULL: nothing. */
const char *unpack_trouble(const struct unpack *u);

#endif

/* unpack.h - the bytes that a .gz or .zst file holds, at any offset of what it was before it was compressed.
 *
 * Offsets, positions and markers of a compressed file are those of its content. Reading onwards is one pass. What was read
 * last, and the first KiB, are kept in memory; reading further behind begins anew at a point kept on the way (in a gzip
 * member every MiB or more, between zstd frames), or at the file's start, which costs time and nothing else.
 * Several gzip members or zstd frames are one content; skippable frames hold nothing, zeros behind the last one are padding.
 * Window sizes are bounded by what zstd itself accepts unasked (128 MiB): a file that wants more is damaged.
 * Damage is seen once and stays: what lies before it reads the same ever after, until unpack_anew.
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
/* By its first bytes, not by its name. ERR_AGAIN: too few of them to tell, or none; -errno when it cannot be read. */
int  unpack_kind(int fd);
/* fd stays the caller's, and open. NULL: out of memory. */
struct unpack *unpack_new(int fd, enum unpack_kind kind);
void unpack_free(struct unpack *u);
/* As pread of the content: up to n bytes, fewer only before its end or what is wrong; 0: its end. -errno; ERR_NOMEM;
 * ERR_BAD_DATA: it is damaged from here on (what lies before was given); ERR_AGAIN: the file ends in the middle, and may be
 * still growing. */
ssize_t unpack_pread(struct unpack *u, void *buf, size_t n, int64_t at);
/* Goes towards `at` by about `most` bytes of content. true: a read there begins at once, or ends; false: call it again. */
bool unpack_seek(struct unpack *u, int64_t at, int64_t most);
/* What the file itself says of its content's size, if it is of one member or frame: a hint, but one that can be had without
 * reading it. gzip's is modulo 2^32. */
bool unpack_claims(const struct unpack *u, int64_t size);
/* How many bytes of the compressed file were used for what was read furthest, and how far that was. */
int64_t unpack_packed(const struct unpack *u);
int64_t unpack_reached(const struct unpack *u);
/* The content's size once its end was seen; -1: not known yet. */
int64_t unpack_size(const struct unpack *u);
/* What is wrong, in words; NULL: nothing. */
const char *unpack_trouble(const struct unpack *u);
/* Gives memory back; what is known stays. The next read costs as much as one that goes far behind. */
void unpack_rest(struct unpack *u);
/* The file is another one now, perhaps: nothing is known of it. */
void unpack_anew(struct unpack *u);
/* The same file behind another descriptor. */
void unpack_reopened(struct unpack *u, int fd);

#endif

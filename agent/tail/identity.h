/* identity.h - is this still the same file? Hashes of bytes that an appended file never changes.
 *
 * A fingerprint is the XXH3 of a file's first bytes (up to 1 KiB, as many as there were). A marker is the XXH3 of the up
 * to 64 bytes before an offset. Both only veto: device and inode say which file it is.
 * Values are kept in the state database: the functions may never change.
 */
#ifndef SPILLWAY_IDENTITY_H
#define SPILLWAY_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file;

#define IDENTITY_HEAD 1024
#define IDENTITY_TAIL 64

/* How many bytes before `offset` a marker covers. */
static inline size_t identity_lead(int64_t offset)
{
	return offset < IDENTITY_TAIL ? (size_t)offset : IDENTITY_TAIL;
}

/* 0 for no bytes, and never else. */
uint64_t identity_hash(const void *p, size_t n);
/* The marker of `offset`; `end` points behind its bytes, in a buffer that holds identity_lead(offset) before. */
static inline uint64_t identity_marker(const uint8_t *end, int64_t offset)
{
	size_t n = identity_lead(offset);

	return identity_hash(end - n, n);
}

/* The same from an open file (its content, when it is compressed). 0, -errno, or ERR_NOT_FOUND when the file is too short. */
int identity_read_head(const struct file *f, uint32_t len, uint64_t *ret);
int identity_read_marker(const struct file *f, int64_t offset, uint64_t *ret);
/* Whether a file still has this fingerprint, and this marker at `offset` (0: unknown). 0, ERR_BAD_DATA, or -errno. */
int  identity_check(const struct file *f, uint32_t head_len, uint64_t head, int64_t offset, uint64_t marker);
/* The same. false as well when it cannot be read. */
bool identity_fits(const struct file *f, uint32_t head_len, uint64_t head, int64_t offset, uint64_t marker);

#endif

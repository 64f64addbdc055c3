/* identity.c - fingerprints and markers. See identity.h. No state; errors are returned. */
#include "agent/tail/identity.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "agent/base/err.h"
#include "agent/tail/file.h"

uint64_t identity_hash(const void *p, size_t n)
{
	uint64_t h;

	if (!n)
		return 0;
	h = XXH3_64bits(p, n);
	return h ? h : 1;
}

static int read_hash(const struct file *f, int64_t from, size_t len, uint64_t *ret)
{
	uint8_t buf[IDENTITY_HEAD];
	size_t have = 0;

	ASSERT(len <= sizeof buf);
	while (have < len) {
		ssize_t n = file_pread(f, buf + have, len - have, from + (int64_t)have);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return ERR_NOT_FOUND;
		have += (size_t)n;
	}
	*ret = identity_hash(buf, len);
	return 0;
}

int identity_read_head(const struct file *f, uint32_t len, uint64_t *ret)
{
	return read_hash(f, 0, len, ret);
}

int identity_read_marker(const struct file *f, int64_t offset, uint64_t *ret)
{
	size_t n = identity_lead(offset);

	return read_hash(f, offset - (int64_t)n, n, ret);
}

static int compare(int rc, uint64_t is, uint64_t was)
{
	if (rc == 0)
		return is == was ? 0 : ERR_BAD_DATA;
	return rc == ERR_NOT_FOUND ? ERR_BAD_DATA : rc;
}

int identity_check(const struct file *f, uint32_t head_len, uint64_t head, int64_t offset, uint64_t marker)
{
	uint64_t h = 0;
	int rc;

	if (head_len > IDENTITY_HEAD || offset < 0)
		return ERR_BAD_DATA;
	rc = identity_read_head(f, head_len, &h);
	rc = compare(rc, h, head_len ? head : 0);
	if (rc < 0 || !offset)
		return rc;
	rc = identity_read_marker(f, offset, &h);
	return compare(rc, h, marker ? marker : h);
}

bool identity_fits(const struct file *f, uint32_t head_len, uint64_t head, int64_t offset, uint64_t marker)
{
	return identity_check(f, head_len, head, offset, marker) == 0;
}

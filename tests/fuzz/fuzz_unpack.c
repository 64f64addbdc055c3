/* fuzz_unpack.c - whatever the bytes are, reading ends, and any offset reads as it did the first time.
 *
 * Input: five bytes for where and how much is read again, then the file. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/tail/unpack.h"
#include "tests/fuzz/fuzz.h"

#define MOST (1u << 20)

static bool is_end(ssize_t n)
{
	return n == 0 || n == ERR_AGAIN || n == ERR_BAD_DATA || n == ERR_NOMEM;
}

static void read_again(struct unpack *u, const uint8_t *want, size_t size, size_t at, size_t n)
{
	static uint8_t buf[MOST];
	ssize_t got = unpack_pread(u, buf, n, (int64_t)at);

	CHECK(got >= 0 || is_end(got));
	if (got > 0 && at < size)
		CHECK(!memcmp(buf, want + at, at + (size_t)got <= size ? (size_t)got : size - at));
	CHECK(at >= size || got > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t all[MOST];
	struct fuzz_in in = { data, n };
	size_t piece = fuzz_byte(&in) * 1000u + 1, size = 0;
	uint8_t where[4];
	struct unpack *u;
	ssize_t got = 0;
	int fd = memfd_create("packed", 0), kind;

	for (size_t i = 0; i < sizeof where; i++)
		where[i] = fuzz_byte(&in);
	CHECK(fd >= 0 && write(fd, in.p, in.n) == (ssize_t)in.n);
	kind = unpack_kind(fd);
	CHECK(kind >= 0 || kind == ERR_AGAIN);
	u = unpack_new(fd, kind == UNPACK_ZSTD ? UNPACK_ZSTD : UNPACK_GZIP);
	CHECK(u);
	while (size < MOST && (got = unpack_pread(u, all + size, piece < MOST - size ? piece : MOST - size, (int64_t)size)) > 0)
		size += (size_t)got;
	CHECK(size == MOST || is_end(got));
	CHECK((got == ERR_BAD_DATA) == (size < MOST && unpack_trouble(u)));
	CHECK(unpack_packed(u) <= (int64_t)in.n);
	for (size_t i = 0; i < sizeof where; i++) {
		read_again(u, all, size, size * where[i] / 255, piece);
		if (where[i] & 1)
			unpack_rest(u);
	}
	unpack_free(u);
	close(fd);
	return 0;
}

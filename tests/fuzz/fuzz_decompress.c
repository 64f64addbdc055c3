/* fuzz_decompress.c - whatever the bytes are, decoding ends, keeps to its ceiling, and never says anything but good or bad.
 *
 * Input: codec, ceiling as a power of two, then the payload. */
#include "agent/base/err.h"
#include "producer/codec.h"
#include "tests/fuzz/fuzz.h"

#define CEILING_LOG_MAX 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	enum codec codec = fuzz_byte(&in) % (CODEC_ZSTD + 1);
	size_t ceiling = ((size_t)1 << fuzz_byte(&in) % (CEILING_LOG_MAX + 1)) - 1;
	struct buf out;
	int rc;

	buf_init(&out, ceiling);
	rc = codec_decompress(codec, in.p, in.n, &out);
	CHECK(rc == 0 || rc == ERR_BAD_DATA);
	CHECK(out.len <= ceiling && out.cap <= ceiling + 1);
	if (rc == 0)
		CHECK(!out.failed && (!out.data || out.data[out.len] == 0));
	buf_release(&out);
	return 0;
}

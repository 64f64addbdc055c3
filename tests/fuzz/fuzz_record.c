/* fuzz_record.c - records of a batch, taken apart as a batch that is too large is.
 *
 * Input: an uncompressed record section. What is read lies within it, and a record is never longer than what is left. */
#include "agent/base/err.h"
#include "producer/record_read.h"
#include "tests/fuzz/fuzz.h"

static volatile size_t sink;

static void within(const uint8_t *p, size_t n, const uint8_t *from, size_t size)
{
	CHECK(!p || (p >= from && n <= size && p + n <= from + size));
	for (size_t i = 0; p && i < n; i++)
		sink += p[i];
}

static void headers(const struct record_view *r)
{
	const uint8_t *at = r->headers;
	struct record_header h;

	for (uint32_t i = 0; i < r->header_count && record_next_header(r, &at, &h) == 0; i++) {
		within(h.name, h.name_len, r->start, r->size);
		within(h.value, h.value_len, r->start, r->size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct record_view r;

	while (n > 0 && record_read(data, n, &r) == 0) {
		CHECK(r.start == data && r.size > 0 && r.size <= n);
		within(r.key, r.key_len, data, n);
		within(r.value, r.value_len, data, n);
		headers(&r);
		data += r.size;
		n -= r.size;
	}
	return 0;
}

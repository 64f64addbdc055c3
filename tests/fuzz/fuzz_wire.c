/* fuzz_wire.c - the reader of Kafka's primitive types, driven by a small program, and varints both ways.
 *
 * Input: flexible or not, how many steps, the steps, then the bytes that they read. */
#include "agent/base/err.h"
#include "producer/wire.h"
#include "tests/fuzz/fuzz.h"

#define STEPS_MAX 32

static volatile uint64_t sink;

static void uvarint_both_ways(uint64_t v)
{
	uint8_t b[UVARINT_MAX], *end = uvarint_put(b, v);
	struct wire r;

	CHECK(end - b == uvarint_size(v));
	wire_init(&r, b, (size_t)(end - b), true);
	CHECK(wire_uvarint(&r) == v && wire_end(&r) == 0);
	CHECK(unzigzag(zigzag((int64_t)v)) == (int64_t)v);
	CHECK(zigzag(unzigzag(v)) == v);
}

static void look_at(const void *p, size_t n)
{
	for (size_t i = 0; p && i < n; i++)
		sink += ((const uint8_t *)p)[i];
}

static void tag(void *arg, uint64_t number, struct wire *content)
{
	(void)arg;
	sink += number + (uint64_t)wire_i16(content);
}

static void step(struct wire *r, uint8_t what)
{
	size_t n = 0;
	const void *p;

	switch (what % 11) {
	case 0: sink += (uint64_t)wire_i8(r); break;
	case 1: sink += (uint64_t)wire_i16(r); break;
	case 2: sink += (uint64_t)wire_i32(r); break;
	case 3: sink += (uint64_t)wire_i64(r); break;
	case 4: uvarint_both_ways(wire_uvarint(r)); break;
	case 5: p = wire_bytes(r, what); look_at(p, what); break;
	case 6: p = wire_nullable(r, &n); look_at(p, n); break;
	case 7: p = wire_string(r, &n); look_at(p, n); break;
	case 8: n = wire_count(r, 1 + what % 5); CHECK(n <= (size_t)(r->end - r->p)); break;
	case 9: wire_skip_array(r, what); break;
	case 10: wire_tags(r, tag, NULL); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuzz_in in = { data, n };
	bool flexible = fuzz_byte(&in) & 1;
	size_t steps = fuzz_byte(&in) % STEPS_MAX;
	const uint8_t *program = in.p, *before;
	struct wire r;

	if (steps > in.n)
		steps = in.n;
	wire_init(&r, in.p + steps, in.n - steps, flexible);
	for (size_t i = 0; i < steps; i++) {
		bool failed = r.failed;

		before = r.p;
		step(&r, program[i]);
		CHECK(r.p >= before && r.p <= r.end);
		CHECK(!failed || (r.failed && r.p == before));
	}
	CHECK(wire_end(&r) == (!r.failed && r.p == r.end ? 0 : ERR_BAD_DATA));
	return 0;
}

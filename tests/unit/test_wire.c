/* test_wire.c - Kafka's primitive types, both ways, and readers that meet nonsense. */
#include "producer/wire.h"

#include <stdlib.h>

#include "agent/base/err.h"
#include "tests/lib/unit.h"

static struct wire reader(const void *p, size_t n, bool flexible)
{
	struct wire r;

	wire_init(&r, p, n, flexible);
	return r;
}

static void varints_have_the_length_that_was_announced(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++)
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t v = ((uint64_t)1 << bit) + (uint64_t)(int64_t)delta, back = 0;
			uint8_t b[UVARINT_MAX + 1];
			size_t n = (size_t)(uvarint_put(b, v) - b);

			assert_int_equal(n, uvarint_size(v));
			assert_in_range(n, 1, UVARINT_MAX);
			for (size_t i = 0; i < n; i++)
				back |= (uint64_t)(b[i] & 127) << 7 * i;
			assert_true(back == v);
		}
}

static void zigzag_keeps_small_numbers_small(void **state)
{
	static const struct { int64_t v; uint64_t z; } pairs[] = {
		{ 0, 0 }, { -1, 1 }, { 1, 2 }, { -2, 3 }, { 63, 126 }, { -64, 127 },
		{ INT64_MAX, UINT64_MAX - 1 }, { INT64_MIN, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		assert_true(zigzag(pairs[i].v) == pairs[i].z);
		assert_true(unzigzag(pairs[i].z) == pairs[i].v);
	}
}

static void write_all(struct wire_out *w)
{
	wire_put_i8(w, -2);
	wire_put_i16(w, -300);
	wire_put_i32(w, 0x01020304);
	wire_put_i64(w, -5);
	wire_put_uvarint(w, 300);
	wire_put_string(w, "ab");
	wire_put_string(w, NULL);
	wire_put_string(w, "");
	wire_put_count(w, 2);
	wire_put_no_tags(w);
}

static void values_look_as_the_protocol_says(void **state)
{
	static const uint8_t head[] = { 0xfe, 0xfe, 0xd4, 1, 2, 3, 4, 255, 255, 255, 255, 255, 255, 255, 0xfb, 0xac, 2 };
	static const uint8_t rigid[] = { 0, 2, 'a', 'b', 255, 255, 0, 0, 0, 0, 0, 2 };
	static const uint8_t flexible[] = { 3, 'a', 'b', 0, 1, 3, 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	write_all(&(struct wire_out){ .buf = &b });
	assert_int_equal(b.len, sizeof head + sizeof rigid);
	assert_memory_equal(b.data, head, sizeof head);
	assert_memory_equal(b.data + sizeof head, rigid, sizeof rigid);
	buf_clear(&b);
	write_all(&(struct wire_out){ .buf = &b, .flexible = true });
	assert_int_equal(b.len, sizeof head + sizeof flexible);
	assert_memory_equal(b.data + sizeof head, flexible, sizeof flexible);
	buf_release(&b);
}

/* Returns whether all of it was read well. */
static bool read_all(const void *p, size_t n, bool flexible)
{
	struct wire r = reader(p, n, flexible);
	size_t len;
	const char *s;

	bool same = wire_i8(&r) == -2;
	same &= wire_i16(&r) == -300;
	same &= wire_i32(&r) == 0x01020304;
	same &= wire_i64(&r) == -5;
	same &= wire_uvarint(&r) == 300;
	s = wire_string(&r, &len);
	same &= s && len == 2 && !memcmp(s, "ab", 2);
	same &= !wire_nullable(&r, &len) && len == 0;
	same &= wire_string(&r, &len) && len == 0;
	same &= wire_count(&r, 0x7fffffff) == 0 || r.failed;	/* two such elements cannot be there */
	return same;
}

static void what_was_written_is_read_and_a_cut_is_noticed(void **state)
{
	struct buf b;

	(void)state;
	for (int flexible = 0; flexible < 2; flexible++) {
		buf_init(&b, 1000);
		write_all(&(struct wire_out){ .buf = &b, .flexible = flexible });
		assert_true(read_all(b.data, b.len, flexible));
		/* Before the last string all cuts lose something. */
		for (size_t n = 0; n < b.len - (flexible ? 2 : 4); n++) {
			void *exact = memcpy(malloc(n + 1), b.data, n);	/* its own block: ASan sees one byte too many */

			assert_false(read_all(exact, n, flexible));
			free(exact);
		}
		buf_release(&b);
	}
}

static void errors_stick(void **state)
{
	static const uint8_t data[] = { 1, 2, 3 };
	struct wire r = reader(data, sizeof data, false);
	size_t n = 7;

	(void)state;
	assert_int_equal(wire_i32(&r), 0);
	assert_true(r.failed);
	assert_int_equal(wire_i8(&r), 0);
	assert_null(wire_nullable(&r, &n));
	assert_int_equal(n, 0);
	assert_int_equal(wire_uvarint(&r), 0);
	assert_int_equal(wire_count(&r, 1), 0);
	assert_ptr_equal(r.p, data);
	assert_int_equal(wire_end(&r), ERR_BAD_DATA);
}

static void leftover_bytes_are_bad_data(void **state)
{
	static const uint8_t data[] = { 1, 2 };
	struct wire r = reader(data, sizeof data, false);

	(void)state;
	wire_i8(&r);
	assert_int_equal(wire_end(&r), ERR_BAD_DATA);
	wire_i8(&r);
	assert_int_equal(wire_end(&r), 0);
}

static void impossible_lengths_are_refused(void **state)
{
	static const struct { uint8_t bytes[8]; size_t n; bool flexible; } bad[] = {
		{ { 0xff, 0xfe, 0 }, 3, false },			/* -2 */
		{ { 0, 3, 'a', 'b' }, 4, false },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 1 }, 6, true },	/* a varint of more than 35 bits */
		{ { 0x80, 0x80 }, 2, true },				/* one without an end */
		{ { 0xff, 0xff, 0xff, 0xff, 0x7f, 'a' }, 6, true },
		{ { 4, 'a', 'b' }, 3, true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct wire r = reader(bad[i].bytes, bad[i].n, bad[i].flexible);
		size_t n;

		assert_null(wire_nullable(&r, &n));
		assert_true(r.failed);
	}
}

static void the_null_string_is_an_error_where_none_is_allowed(void **state)
{
	static const uint8_t null[] = { 255, 255 };
	struct wire r = reader(null, 2, false);
	size_t n;

	(void)state;
	assert_null(wire_string(&r, &n));
	assert_true(r.failed);
}

static void a_count_is_believed_only_when_its_elements_can_be_there(void **state)
{
	static const uint8_t three[] = { 0, 0, 0, 3, 1, 2, 3, 4, 5, 6 };
	static const uint8_t null[] = { 255, 255, 255, 255 }, minus_two[] = { 255, 255, 255, 254 };
	struct wire r = reader(three, sizeof three, false);

	(void)state;
	assert_int_equal(wire_count(&r, 2), 3);
	r = reader(three, sizeof three, false);
	assert_int_equal(wire_count(&r, 3), 0);
	assert_true(r.failed);
	r = reader(null, sizeof null, false);
	assert_int_equal(wire_count(&r, 1), 0);
	assert_false(r.failed);
	r = reader(minus_two, sizeof minus_two, false);
	assert_int_equal(wire_count(&r, 1), 0);
	assert_true(r.failed);
	r = reader(three, sizeof three, false);
	wire_skip_array(&r, 2);
	assert_int_equal(wire_end(&r), 0);
}

static void sum_tags(void *arg, uint64_t tag, struct wire *content)
{
	*(int *)arg += (int)tag * 100 + wire_i8(content);
}

static void tagged_fields_are_skipped_or_handed_over(void **state)
{
	static const uint8_t data[] = { 2, 1, 1, 7, 5, 3, 9, 9, 9, 42 }, cut[] = { 1, 0, 2, 1 }, empty[] = { 1, 0, 0 };
	struct wire r = reader(data, sizeof data, true);
	int sum = 0;

	(void)state;
	wire_no_tags(&r);
	assert_int_equal(wire_i8(&r), 42);
	assert_int_equal(wire_end(&r), 0);
	r = reader(data, sizeof data, true);
	wire_tags(&r, sum_tags, &sum);
	assert_int_equal(sum, 107 + 509);
	r = reader(cut, sizeof cut, true);
	wire_no_tags(&r);
	assert_true(r.failed);
	/* A field that its reader wants more of than there is. */
	r = reader(empty, sizeof empty, true);
	wire_tags(&r, sum_tags, &sum);
	assert_true(r.failed);
	/* Old versions have none. */
	r = reader(data, sizeof data, false);
	wire_no_tags(&r);
	assert_ptr_equal(r.p, data);
}

static void what_cannot_be_written_fails_the_buffer(void **state)
{
	static char long_name[INT16_MAX + 2];
	struct buf b;
	struct wire_out w = { .buf = &b };

	(void)state;
	memset(long_name, 'x', sizeof long_name - 1);
	buf_init(&b, 1 << 20);
	wire_put_string(&w, long_name);
	assert_true(b.failed);
	buf_clear(&b);
	wire_put_count(&w, INT32_MAX);
	assert_true(b.failed);
	buf_release(&b);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(varints_have_the_length_that_was_announced),
	cmocka_unit_test(zigzag_keeps_small_numbers_small),
	cmocka_unit_test(values_look_as_the_protocol_says),
	cmocka_unit_test(what_was_written_is_read_and_a_cut_is_noticed),
	cmocka_unit_test(errors_stick),
	cmocka_unit_test(leftover_bytes_are_bad_data),
	cmocka_unit_test(impossible_lengths_are_refused),
	cmocka_unit_test(the_null_string_is_an_error_where_none_is_allowed),
	cmocka_unit_test(a_count_is_believed_only_when_its_elements_can_be_there),
	cmocka_unit_test(tagged_fields_are_skipped_or_handed_over),
	cmocka_unit_test(what_cannot_be_written_fails_the_buffer),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

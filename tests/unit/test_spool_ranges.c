/* test_spool_ranges.c - the compact forms: numbers, ranges of a batch, finished ranges of a file. */
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "spool/range_set.h"
#include "spool/ranges.h"
#include "spool/varint.h"

static void numbers_come_back_and_small_ones_are_one_byte(void **state)
{
	static const uint64_t values[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX };
	static const int64_t signed_values[] = { 0, -1, 63, -64, 64, INT64_MAX, INT64_MIN };
	uint8_t b[VARINT_MAX], *end;
	const uint8_t *p;

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		uint64_t v = 9;

		end = varint_put(b, values[i]);
		p = b;
		assert_true(varint_get(&p, end, &v));
		assert_true(v == values[i] && p == end);
		p = b;
		assert_false(varint_get(&p, end - 1, &v));
	}
	for (size_t i = 0; i < COUNT(signed_values); i++) {
		int64_t v = 9;

		end = varint_put_signed(b, signed_values[i]);
		p = b;
		assert_true(varint_get_signed(&p, end, &v));
		assert_true(v == signed_values[i]);
	}
	assert_ptr_equal(varint_put(b, 127), b + 1);
	assert_ptr_equal(varint_put_signed(b, -64), b + 1);
}

static const struct spool_range sample[] = {
	{ 5, 0, 100, 0x1122334455667788, 3, 9, 0 }, { 5, 100, 250, 1, 4, 9, 0 }, { 2, 7, 7, 0, 0, UINT32_MAX, 0 },
	{ INT64_MAX, INT64_MAX - 1, INT64_MAX, UINT64_MAX, UINT32_MAX, 0, 0 }, { -1, 0, 1, 0, 1, 1, 0 },
};

static void ranges_come_back_as_they_were(void **state)
{
	uint8_t b[RANGES_ROOM(COUNT(sample))], *end = ranges_put(b, sample, COUNT(sample));
	const uint8_t *behind;
	struct spool_range *r;
	size_t n;

	(void)state;
	assert_int_equal(ranges_get(b, (size_t)(end - b), &r, &n, &behind), 0);
	assert_int_equal(n, COUNT(sample));
	assert_ptr_equal(behind, end);
	for (size_t i = 0; i < n; i++) {
		assert_true(r[i].file_id == sample[i].file_id && r[i].from == sample[i].from && r[i].to == sample[i].to);
		assert_true(r[i].marker == sample[i].marker && r[i].count == sample[i].count);
		assert_true(r[i].route == sample[i].route);
	}
	mem_free(r);
}

static void filtered_lines_come_back_and_cost_nothing_where_there_are_none(void **state)
{
	struct spool_range some[COUNT(sample)], *r;
	uint8_t b[RANGES_ROOM(COUNT(sample))], *end;
	const uint8_t *behind;
	size_t n, plain;

	(void)state;
	plain = (size_t)(ranges_put(b, sample, COUNT(sample)) - b);
	assert_int_equal(b[0], COUNT(sample));		/* as it was before there were any */
	memcpy(some, sample, sizeof some);
	some[1].filtered = 300;
	some[3].filtered = UINT32_MAX;
	end = ranges_put(b, some, COUNT(some));
	assert_int_equal(end - b, plain + 3 + 1 + 2 + 1 + 5 + 1);	/* of the count, and one of each range */
	assert_int_equal(ranges_get(b, (size_t)(end - b), &r, &n, &behind), 0);
	assert_int_equal(n, COUNT(some));
	assert_ptr_equal(behind, end);
	for (size_t i = 0; i < n; i++)
		assert_true(r[i].filtered == some[i].filtered && r[i].to == some[i].to && r[i].route == some[i].route);
	mem_free(r);
}

static void touching_ranges_of_one_file_cost_14_bytes(void **state)
{
	struct spool_range r[100];
	uint8_t b[RANGES_ROOM(100)];

	(void)state;
	for (int i = 0; i < 100; i++)
		r[i] = (struct spool_range){ 1, i * 100, i * 100 + 100, UINT64_MAX, 1, 1, 0 };
	assert_in_range(ranges_put(b, r, 100) - b, 1300, 1410);
}

/* Goal: no damaged byte leads past the end or to a range that runs backwards. Method: cut at every length, flip every bit. */
static void check_damage(const struct spool_range *from)
{
	uint8_t b[RANGES_ROOM(COUNT(sample))];
	size_t len = (size_t)(ranges_put(b, from, COUNT(sample)) - b), n;
	const uint8_t *behind;
	struct spool_range *r;

	for (size_t i = 0; i < len; i++) {
		uint8_t *cut = malloc(i ? i : 1);	/* of its own, so that ASan sees a byte too far */

		memcpy(cut, b, i);
		assert_int_equal(ranges_get(cut, i, &r, &n, &behind), ERR_CORRUPT);
		free(cut);
	}
	for (size_t bit = 0; bit < len * 8; bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (ranges_get(b, len, &r, &n, &behind) == 0) {
			for (size_t i = 0; i < n; i++)
				assert_true(r[i].from >= 0 && r[i].from <= r[i].to);
			mem_free(r);
		}
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void damaged_ranges_are_refused_or_sane(void **state)
{
	struct spool_range some[COUNT(sample)];

	(void)state;
	check_damage(sample);
	memcpy(some, sample, sizeof some);
	some[4].filtered = 1 << 20;
	check_damage(some);
}

static void sets_join_what_touches_and_keep_the_last_marker(void **state)
{
	struct range_set s = { 0 };

	(void)state;
	assert_int_equal(range_set_add(&s, 10, 20, 20), 0);
	assert_int_equal(range_set_add(&s, 40, 50, 50), 0);
	assert_int_equal(range_set_add(&s, 30, 40, 40), 0);
	assert_int_equal(s.count, 2);
	assert_true(s.items[1].from == 30 && s.items[1].to == 50 && s.items[1].marker == 50);
	assert_int_equal(range_set_add(&s, 15, 35, 35), 0);
	assert_int_equal(s.count, 1);
	assert_true(s.items[0].from == 10 && s.items[0].to == 50 && s.items[0].marker == 50);
	range_set_release(&s);
}

static void advancing_stops_at_the_first_gap(void **state)
{
	struct range_set s = { 0 };
	int64_t safe = 10;
	uint64_t marker = 1;

	(void)state;
	assert_int_equal(range_set_add(&s, 12, 20, 20), 0);
	assert_int_equal(range_set_add(&s, 30, 40, 40), 0);
	range_set_advance(&s, &safe, &marker);
	assert_true(safe == 10 && marker == 1 && s.count == 2);
	safe = 12;
	range_set_advance(&s, &safe, &marker);
	assert_true(safe == 20 && marker == 20 && s.count == 1);
	range_set_release(&s);
}

/* Goal: a set is what a bitmap would be. Method: a thousand random additions beside a bitmap, stored and read each time. */
static void sets_are_bitmaps_and_survive_storing(void **state)
{
	struct range_set s = { 0 };
	bool bits[2000] = { false };

	(void)state;
	srandom(1);
	for (int i = 0; i < 1000; i++) {
		int64_t from = random() % 1980 + 1, to = from + random() % 18 + 1;
		struct range_set back = { 0 };
		uint32_t item = 0;
		uint8_t *b;

		memset(bits + from, true, (size_t)(to - from));
		assert_int_equal(range_set_add(&s, from, to, (uint64_t)to), 0);
		b = malloc(RANGE_SET_ROOM(&s));
		assert_int_equal(range_set_get(&back, 0, b, (size_t)(range_set_put(b, &s, 0) - b)), 0);
		free(b);
		for (int64_t at = 0; at < 2000; at++) {
			if (!bits[at] || (at && bits[at - 1]))
				continue;
			assert_true(item < back.count && back.items[item].from == at);
			while (at < 2000 && bits[at])
				at++;
			assert_true(back.items[item].to == at && back.items[item].marker == (uint64_t)at);
			item++;
		}
		assert_int_equal(item, back.count);
		range_set_release(&back);
	}
	range_set_release(&s);
}

static void damaged_sets_are_refused(void **state)
{
	struct range_set s = { 0 };
	uint8_t b[128];
	size_t n;

	(void)state;
	assert_int_equal(range_set_add(&s, 12, 20, 20), 0);
	assert_int_equal(range_set_add(&s, 300, 40000, 4), 0);
	n = (size_t)(range_set_put(b, &s, 10) - b);
	range_set_release(&s);
	for (size_t i = 1; i < n; i++)
		assert_int_equal(range_set_get(&s, 10, b, i), ERR_CORRUPT);
	assert_int_equal(range_set_get(&s, INT64_MAX - 100, b, n), ERR_CORRUPT);
	assert_int_equal(s.count, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(numbers_come_back_and_small_ones_are_one_byte),
	cmocka_unit_test(ranges_come_back_as_they_were),
	cmocka_unit_test(filtered_lines_come_back_and_cost_nothing_where_there_are_none),
	cmocka_unit_test(touching_ranges_of_one_file_cost_14_bytes),
	cmocka_unit_test(damaged_ranges_are_refused_or_sane),
	cmocka_unit_test(sets_join_what_touches_and_keep_the_last_marker),
	cmocka_unit_test(advancing_stops_at_the_first_gap),
	cmocka_unit_test(sets_are_bitmaps_and_survive_storing),
	cmocka_unit_test(damaged_sets_are_refused),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_line.c - splitting: the same bytes give the same records, however they are cut into reads. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/buf.h"
#include "agent/record/line.h"

/* The records of n bytes as text, "<record>" each, read in steps of `step` bytes as a reader does that reads an
 * unfinished line again. */
static void split(const char *s, size_t n, size_t max, size_t step, struct buf *out)
{
	size_t at = 0, have = 0;
	struct line ln;

	buf_clear(out);
	while (at < n || have < n) {
		have = have + step < n ? have + step : n;
		while (line_next((const uint8_t *)s + at, have - at, max, have == n, &ln)) {
			buf_printf(out, "<%.*s>", (int)ln.value_len, (const char *)ln.value);
			at += ln.span;
		}
	}
	assert_int_equal(at, n);
}

static void expect(const char *s, size_t max, const char *want)
{
	struct buf out;

	buf_init(&out, 4096);
	for (size_t step = 1; step <= strlen(s); step++) {
		split(s, strlen(s), max, step, &out);
		assert_string_equal(out.data, want);
	}
	buf_release(&out);
}

static void a_record_is_what_stands_before_lf(void **state)
{
	(void)state;
	expect("one\ntwo\n", 10, "<one><two>");
	expect("\n\na\n", 10, "<><><a>");
}

static void cr_before_lf_is_dropped_and_only_that_one(void **state)
{
	(void)state;
	expect("a\r\nb\r\r\n\r\nc\rd\n", 10, "<a><b\r><><c\rd>");
}

static void a_last_line_is_a_record_only_when_it_is_final(void **state)
{
	struct line ln;

	(void)state;
	assert_false(line_next((const uint8_t *)"abc", 3, 10, false, &ln));
	assert_true(line_next((const uint8_t *)"abc", 3, 10, true, &ln));
	assert_int_equal(ln.span, 3);
	assert_int_equal(ln.value_len, 3);
	assert_false(line_next((const uint8_t *)"abc", 0, 10, true, &ln));
}

static void nuls_are_bytes_like_others(void **state)
{
	struct line ln;

	(void)state;
	assert_true(line_next((const uint8_t *)"a\0b\n", 4, 10, false, &ln));
	assert_memory_equal(ln.value, "a\0b", 3);
	assert_int_equal(ln.value_len, 3);
}

static void a_line_of_exactly_max_bytes_is_whole_with_lf_and_with_cr_lf(void **state)
{
	(void)state;
	expect("abcd\nx\n", 4, "<abcd><x>");
	expect("abcd\r\nx\n", 4, "<abcd><x>");
}

static void a_longer_line_is_split_at_every_max_bytes(void **state)
{
	(void)state;
	expect("abcde\nx\n", 4, "<abcd><e><x>");
	expect("abcdefgh\nx\n", 4, "<abcd><efgh><x>");
	expect("abcdefghi\r\nx\n", 4, "<abcd><efgh><i><x>");
	expect("abcdefghij", 4, "<abcd><efgh><ij>");
}

/* What a rebuilt batch relies on: any run of whole records splits into the same records by itself. */
static void a_range_that_begins_and_ends_at_records_splits_the_same_again(void **state)
{
	const char *s = "ab\r\nabcdefghij\n\nabcd\r\nabcde\rxyz\n";
	size_t cuts[64], n = 0, len = strlen(s), at = 0;
	struct line ln;

	(void)state;
	for (cuts[n++] = 0; line_next((const uint8_t *)s + at, len - at, 4, false, &ln); cuts[n++] = at)
		at += ln.span;
	assert_int_equal(at, len);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = i; j < n; j++) {
			size_t k = i;

			for (at = cuts[i]; line_next((const uint8_t *)s + at, cuts[j] - at, 4, true, &ln); k++)
				at += ln.span;
			assert_int_equal(k, j);
			assert_int_equal(at, cuts[j]);
		}
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_record_is_what_stands_before_lf),
	cmocka_unit_test(cr_before_lf_is_dropped_and_only_that_one),
	cmocka_unit_test(a_last_line_is_a_record_only_when_it_is_final),
	cmocka_unit_test(nuls_are_bytes_like_others),
	cmocka_unit_test(a_line_of_exactly_max_bytes_is_whole_with_lf_and_with_cr_lf),
	cmocka_unit_test(a_longer_line_is_split_at_every_max_bytes),
	cmocka_unit_test(a_range_that_begins_and_ends_at_records_splits_the_same_again),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

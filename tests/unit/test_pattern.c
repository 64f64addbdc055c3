/* test_pattern.c - patterns: what they find, and that nothing can make them run for ages. */
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/pattern.h"

struct fixture {
	struct pattern *p;
	struct pattern_room *room;
	struct err err;
	size_t from, to;
};

static int setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->room = pattern_room_new();
	*state = f;
	return f->room ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pattern_free(f->p);
	pattern_room_free(f->room);
	mem_free(f);
	return 0;
}

static int find(struct fixture *f, const char *pattern, const char *text, size_t n)
{
	pattern_free(f->p);
	assert_int_equal(pattern_new(pattern, &f->p, &f->err), 0);
	return pattern_find(f->p, f->room, text, n, &f->from, &f->to, &f->err);
}

static void the_first_group_is_found_or_the_whole(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(find(f, "b(c)(d)", "abcd", 4), 1);
	assert_true(f->from == 2 && f->to == 3);
	assert_int_equal(find(f, "bc", "abcd", 4), 1);
	assert_true(f->from == 1 && f->to == 3);
	assert_int_equal(find(f, "b(x)?", "abcd", 4), 1);
	assert_true(f->from == 4 && f->to == 4);
	assert_int_equal(find(f, "^$", NULL, 0), 1);
	assert_int_equal(find(f, "x", "abcd", 4), 0);
	assert_int_equal(find(f, "a\\0b", "a\0b", 3), 1);
	assert_int_equal(find(f, "^\\xff$", "\xff", 1), 1);
}

static void a_wrong_pattern_is_refused_with_its_place(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pattern_new("a(b", &f->p, &f->err), ERR_CONFIG);
	assert_string_equal(f->err.text, "missing closing parenthesis at character 4");
	assert_null(f->p);
}

/* Goal: a pattern answers on long bytes as on short ones. Method: where the code changes, and far behind it. */
static void long_bytes_are_found_in_like_short_ones(void **state)
{
	static const size_t sizes[] = { 100, 32767, 32768, 32769, 1000000 };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i];
		char *text = mem_alloc(n);

		memset(text, 'x', n);
		memcpy(text + n - 4, "A(1)", 4);
		assert_int_equal(find(f, "A\\((\\d)\\)$", text, n), 1);
		assert_true(f->from == n - 2 && f->to == n - 1);
		assert_int_equal(find(f, "^x+(?=A)", text, n), 1);
		assert_true(f->from == 0 && f->to == n - 4);
		assert_int_equal(find(f, "(?<=x)A", text, n), 1);
		assert_int_equal(find(f, "B|^A|x$", text, n), 0);
		mem_free(text);
	}
}

static void a_pattern_out_of_steps_is_no_verdict(void **state)
{
	struct fixture *f = *state;
	char text[5000];

	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = '!';
	assert_int_equal(find(f, "(a+)+$", text, sizeof text), ERR_BAD_DATA);
	assert_non_null(strstr(f->err.text, "limit"));
	assert_int_equal(find(f, "(a+)+!", text, sizeof text), 1);
}

/* Goal: what PCRE2 itself does not count ends too. Method: each x looks at a million bytes, 5 * 10^11 in all. */
static void looking_ahead_from_each_byte_is_bounded(void **state)
{
	struct fixture *f = *state;
	size_t n = 1000000;
	char *text = mem_alloc(n);
	struct buf out;

	memset(text, 'x', n);
	assert_int_equal(find(f, "x(?=\\w*[. ])", text, n), ERR_BAD_DATA);
	assert_non_null(strstr(f->err.text, "limit"));
	buf_init(&out, 2 * n);
	assert_int_equal(pattern_replace(f->p, f->room, text, n, "y", &out, &f->err), ERR_BAD_DATA);
	text[n - 1] = '!';
	assert_int_equal(find(f, "(x+)+$", text, n), ERR_BAD_DATA);
	text[n - 1] = 'x';
	/* What gives back many bytes once is no such thing. */
	memcpy(text + 10, "foo", 3);
	assert_int_equal(find(f, "x.*foo", text, n), 1);
	/* And the room is good for the next. */
	assert_int_equal(find(f, "x$", text, n), 1);
	buf_release(&out);
	mem_free(text);
}

static void every_place_is_replaced_by_the_text_as_it_is(void **state)
{
	struct fixture *f = *state;
	struct buf out;

	buf_init(&out, 120);
	assert_int_equal(find(f, "\\d", "a1b22", 5), 1);
	assert_int_equal(pattern_replace(f->p, f->room, "a1b22", 5, "$0-", &out, &f->err), 1);
	assert_int_equal(out.len, 11);
	assert_memory_equal(out.data, "a$0-b$0-$0-", 11);
	assert_int_equal(pattern_replace(f->p, f->room, "abc", 3, "x", &out, &f->err), 0);
	assert_int_equal(pattern_replace(f->p, f->room, "11111111111111111111111111111111111111111", 41, "xyz", &out, &f->err),
			 ERR_TOO_LARGE);
	buf_release(&out);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(the_first_group_is_found_or_the_whole),
	T(a_wrong_pattern_is_refused_with_its_place),
	T(long_bytes_are_found_in_like_short_ones),
	T(a_pattern_out_of_steps_is_no_verdict),
	T(looking_ahead_from_each_byte_is_bounded),
	T(every_place_is_replaced_by_the_text_as_it_is),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

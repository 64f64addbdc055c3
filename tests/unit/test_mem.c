/* test_mem.c - the heap's door, error words and clocks: the smallest modules of the shelf. */
#include "tests/lib/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"

static void only_the_nth_allocation_fails(void **state)
{
	void *p[4];

	(void)state;
	mem_fail_nth(3);
	for (size_t i = 0; i < COUNT(p); i++)
		p[i] = i % 2 ? mem_zalloc(8) : mem_alloc(8);
	assert_non_null(p[0]);
	assert_non_null(p[1]);
	assert_null(p[2]);
	assert_non_null(p[3]);
	for (size_t i = 0; i < COUNT(p); i++)
		mem_free(p[i]);
}

static void every_way_to_allocate_can_fail_and_be_switched_off(void **state)
{
	char *p;

	(void)state;
	mem_fail_nth(1);
	assert_null(mem_strdup("x"));
	mem_fail_nth(1);
	assert_null(mem_printf("%d", 1));
	mem_fail_nth(1);
	assert_null(mem_realloc(NULL, 5));
	mem_fail_nth(1);
	assert_null(mem_array(int, 5));
	mem_fail_nth(1);
	mem_fail_nth(0);
	p = mem_strdup("x");
	assert_string_equal(p, "x");
	mem_free(p);
}

static void nothing_is_still_a_pointer_and_too_much_is_not(void **state)
{
	void *p = mem_alloc(0), *z = mem_array(int, 0);

	(void)state;
	assert_non_null(p);
	assert_non_null(z);
	assert_null(mem_calloc(SIZE_MAX / 2, 3));
	mem_free(p);
	mem_free(z);
	mem_free(NULL);
}

static void strings_are_copied_and_printed(void **state)
{
	char *a = mem_strndup("abcdef", 3), *b = mem_strndup("ab", 10), *c = mem_printf("%s-%d", "x", 7);

	(void)state;
	assert_string_equal(a, "abc");
	assert_string_equal(b, "ab");
	assert_string_equal(c, "x-7");
	mem_free(a);
	mem_free(b);
	mem_free(c);
}

static void errors_have_names_words_and_classes(void **state)
{
	(void)state;
	assert_string_equal(err_name(ERR_SPOOL_FULL), "ERR_SPOOL_FULL");
	assert_string_equal(err_text(ERR_SPOOL_FULL), "the spool is full");
	assert_string_equal(err_name(-EIO), "EIO");
	assert_string_equal(err_text(-ENOENT), "No such file or directory");
	assert_int_equal(err_class(ERR_TOO_LARGE), ERR_CLASS_REJECT);
	assert_int_equal(err_class(ERR_BROKER), ERR_CLASS_LANE);
	assert_int_equal(err_class(ERR_CONFIG), ERR_CLASS_FATAL);
	assert_int_equal(err_class(-EIO), ERR_CLASS_RETRY);
}

static void every_code_and_any_other_number_has_words(void **state)
{
	(void)state;
	for (int code = ERR_FIRST - 1; code <= ERR_END; code++) {
		assert_non_null(err_name(code));
		assert_non_null(err_text(code));
	}
	for (int code = ERR_FIRST + 1; code < ERR_END; code++)
		assert_memory_equal(err_name(code), "ERR_", 4);
	assert_string_equal(err_name(-99999), "unknown");
}

static void an_error_gathers_words_in_front(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, ERR_IO, "read %s", "x"), ERR_IO);
	assert_int_equal(err_prefix(&e, "%s: ", "state_dir"), ERR_IO);
	assert_int_equal(e.code, ERR_IO);
	assert_string_equal(e.text, "state_dir: read x");
	assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

static void words_too_long_are_cut(void **state)
{
	struct err e;
	char words[1000];

	(void)state;
	memset(words, 'w', sizeof words - 1);
	words[sizeof words - 1] = 0;
	err_set(&e, ERR_IO, "%s", words);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_prefix(&e, "front ");
	assert_memory_equal(e.text, "front www", 9);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_prefix(&e, "%s", words);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static void clocks_agree_with_the_system(void **state)
{
	int64_t ms = clock_mono_ms(), ns = clock_mono_ns(), wall = clock_wall_ms(), before = (int64_t)time(NULL);

	(void)state;
	assert_true(ns / 1000000 >= ms && ns / 1000000 < ms + 10000);
	assert_true(wall / 1000 <= before + 1 && wall / 1000 >= before - 10);
	assert_true(clock_mono_ns() >= ns);
}

/* Pages of files that this process has: code, constants. */
static long file_pages(void)
{
	long all, resident, shared = -1;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld %ld", &all, &resident, &shared), 3);
	fclose(f);
	return shared;
}

static void code_that_is_not_in_use_leaves_memory_and_what_was_written_stays(void **state)
{
	static const char *volatile relocated = "a pointer that the loader wrote";
	static int written = 1;
	long before = file_pages();

	(void)state;
	written++;
	mem_give_back();
	assert_true(file_pages() < before);
	assert_string_equal(relocated, "a pointer that the loader wrote");
	assert_int_equal(written, 2);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(only_the_nth_allocation_fails),
	cmocka_unit_test(every_way_to_allocate_can_fail_and_be_switched_off),
	cmocka_unit_test(nothing_is_still_a_pointer_and_too_much_is_not),
	cmocka_unit_test(strings_are_copied_and_printed),
	cmocka_unit_test(errors_have_names_words_and_classes),
	cmocka_unit_test(every_code_and_any_other_number_has_words),
	cmocka_unit_test(an_error_gathers_words_in_front),
	cmocka_unit_test(words_too_long_are_cut),
	cmocka_unit_test(clocks_agree_with_the_system),
	cmocka_unit_test(code_that_is_not_in_use_leaves_memory_and_what_was_written_stays),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

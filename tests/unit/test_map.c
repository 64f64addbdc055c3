/* test_map.c - the hash map. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/map.h"
#include "agent/base/mem.h"

#define N 2000

static int values[N];

static size_t key_of(char *key, size_t size, int i)
{
	return (size_t)snprintf(key, size, "key-%d", i);
}

static void put_range(struct map *m, int from, int to)
{
	char key[32];

	for (int i = from; i < to; i++)
		assert_int_equal(map_put(m, key, key_of(key, sizeof key, i), &values[i]), 0);
}

static void check_range(const struct map *m, int from, int to, int there)
{
	char key[32];

	for (int i = from; i < to; i++)
		assert_ptr_equal(map_get(m, key, key_of(key, sizeof key, i)), there ? &values[i] : NULL);
}

static void an_empty_map_answers(void **state)
{
	struct map m;
	size_t it = 0;

	(void)state;
	map_init(&m);
	assert_null(map_get(&m, "x", 1));
	assert_null(map_del(&m, "x", 1));
	assert_null(map_next(&m, &it));
	map_release(&m);
}

static void what_was_put_is_found_through_growth(void **state)
{
	struct map m;

	(void)state;
	map_init(&m);
	put_range(&m, 0, N);
	assert_int_equal(map_count(&m), N);
	check_range(&m, 0, N, 1);
	assert_null(map_get(&m, "key-", 4));
	map_release(&m);
}

static void a_second_put_replaces(void **state)
{
	struct map m;

	(void)state;
	map_init(&m);
	assert_int_equal(map_put(&m, "k", 1, &values[0]), 0);
	assert_int_equal(map_put(&m, "k", 1, &values[1]), 0);
	assert_int_equal(map_count(&m), 1);
	assert_ptr_equal(map_get(&m, "k", 1), &values[1]);
	map_release(&m);
}

static void keys_are_bytes_and_copied(void **state)
{
	struct map m;
	char key[3] = { 'a', 0, 'b' };

	(void)state;
	map_init(&m);
	assert_int_equal(map_put(&m, key, 3, &values[0]), 0);
	assert_int_equal(map_put(&m, key, 1, &values[1]), 0);
	assert_int_equal(map_put(&m, key, 0, &values[2]), 0);
	memset(key, 'z', sizeof key);
	assert_ptr_equal(map_get(&m, "a\0b", 3), &values[0]);
	assert_ptr_equal(map_get(&m, "a", 1), &values[1]);
	assert_ptr_equal(map_get(&m, "", 0), &values[2]);
	map_release(&m);
}

/* Goal: the dead slots of deleted keys neither hide others nor fill the table. Method: far more puts and deletes than
 * slots, with few keys alive at any time. */
static void deleting_and_putting_for_long_keeps_the_table_small(void **state)
{
	struct map m;
	char key[32];

	(void)state;
	map_init(&m);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++) {
			put_range(&m, i, i + 1);
			if (i >= 10)
				assert_ptr_equal(map_del(&m, key, key_of(key, sizeof key, i - 10)), &values[i - 10]);
		}
		check_range(&m, 0, N - 10, 0);
		check_range(&m, N - 10, N, 1);
		for (int i = N - 10; i < N; i++)
			map_del(&m, key, key_of(key, sizeof key, i));
	}
	assert_int_equal(map_count(&m), 0);
	assert_true(m.cap <= 64);
	map_release(&m);
}

static void iterating_sees_each_once_even_while_deleting_it(void **state)
{
	struct map m;
	size_t it = 0;
	int *v, seen = 0;
	char key[32];

	(void)state;
	map_init(&m);
	put_range(&m, 0, N);
	memset(values, 0, sizeof values);
	while ((v = map_next(&m, &it))) {
		int i = (int)(v - values);

		assert_int_equal(values[i]++, 0);
		seen++;
		if (i % 2)
			assert_ptr_equal(map_del(&m, key, key_of(key, sizeof key, i)), v);
	}
	assert_int_equal(seen, N);
	assert_int_equal(map_count(&m), N / 2);
	map_release(&m);
}

/* Keys that lie in the table and keys beside it are told apart by their bytes alone, on both sides of the limit. */
static void keys_of_any_length_are_found(void **state)
{
	struct map m;
	char key[24];
	size_t it = 0;
	int seen = 0;

	(void)state;
	memset(key, 'k', sizeof key);
	map_init(&m);
	for (size_t n = 0; n < sizeof key; n++)
		assert_int_equal(map_put(&m, key, n, &values[n]), 0);
	for (size_t n = 0; n < sizeof key; n++)
		assert_ptr_equal(map_get(&m, key, n), &values[n]);
	while (map_next(&m, &it)) {
		const struct map_slot *s = &m.slots[it - 1];

		assert_memory_equal(map_key(s), key, s->key_len);
		seen++;
	}
	assert_int_equal(seen, sizeof key);
	for (size_t n = 0; n < sizeof key; n += 2)
		assert_ptr_equal(map_del(&m, key, n), &values[n]);
	for (size_t n = 0; n < sizeof key; n++)
		assert_ptr_equal(map_get(&m, key, n), n % 2 ? &values[n] : NULL);
	map_release(&m);
}

/* Each allocation of a put fails once; the map stays as it was and the next try succeeds. */
static void short_memory_changes_nothing(void **state)
{
	struct map m;

	(void)state;
	for (long nth = 1; nth <= 2; nth++) {
		map_init(&m);
		mem_fail_nth(nth);
		assert_int_equal(map_put(&m, "a long key", 10, &values[0]), ERR_NOMEM);
		assert_int_equal(map_count(&m), 0);
		assert_null(map_get(&m, "a long key", 10));
		assert_int_equal(map_put(&m, "a long key", 10, &values[0]), 0);
		assert_ptr_equal(map_get(&m, "a long key", 10), &values[0]);
		map_release(&m);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_empty_map_answers),
	cmocka_unit_test(what_was_put_is_found_through_growth),
	cmocka_unit_test(a_second_put_replaces),
	cmocka_unit_test(keys_are_bytes_and_copied),
	cmocka_unit_test(keys_of_any_length_are_found),
	cmocka_unit_test(deleting_and_putting_for_long_keeps_the_table_small),
	cmocka_unit_test(iterating_sees_each_once_even_while_deleting_it),
	cmocka_unit_test(short_memory_changes_nothing),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_partition.c - where records and batches go. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "producer/journal.h"
#include "producer/partition.h"

#define NEW_STICKY { .partition = -1 }

static int32_t own_answer;

struct fixture {
	struct available available;
	struct place_topic topic;
	struct place_rule rule;
	struct place_state state;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .topic = { "t", 0, &f.available }, .state = { .rng = 7 } };
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	available_release(&((struct fixture *)*state)->available);
	return 0;
}

static void partitions(struct fixture *f, int32_t count)
{
	assert_int_equal(available_grow(&f->available, count), 0);
	for (int32_t i = f->topic.count; i < count; i++)
		available_set(&f->available, i, true);
	f->topic.count = count;
}

static int32_t place(struct fixture *f, const struct lane_record *r)
{
	int32_t p = -100;

	assert_int_equal(place_record(&f->rule, &f->state, &f->topic, r, &p), 0);
	assert_in_range(p + 1, 0, f->topic.count);
	return p;
}

static int32_t keyed(struct fixture *f, const char *key)
{
	return place(f, &(struct lane_record){ .key = key, .key_len = strlen(key) });
}

static int32_t unkeyed(struct fixture *f)
{
	return place(f, &(struct lane_record){ .value = "v", .value_len = 1 });
}

/* --- the unbound lane --- */

static void stays_until_a_batch_size_has_gone_there(void **state)
{
	struct sticky_choice c[4] = { { .partition = 0 }, { .partition = 1 }, { .partition = 2 }, { .partition = 3 } };
	struct sticky st = NEW_STICKY;
	uint64_t rng = 1;
	int changes = 0;
	int32_t last, p;

	(void)state;
	last = sticky_pick(&st, c, 4, 100, 1000, &rng);
	for (int i = 1; i < 1000; i++) {
		p = sticky_pick(&st, c, 4, 100, 1000, &rng);
		if (i % 10)
			assert_int_equal(p, last);
		changes += p != last;
		last = p;
	}
	assert_in_range(changes, 50, 99);
}

static void leaves_a_partition_that_cannot_take_anything(void **state)
{
	struct sticky_choice c[2] = { { .partition = 4 }, { .partition = 7 } };
	struct sticky st = { .partition = 2, .bytes = 10 };
	uint64_t rng = 1;
	int32_t p = sticky_pick(&st, c, 2, 1, 1000, &rng);

	(void)state;
	assert_true(p == 4 || p == 7);
	assert_int_equal(sticky_pick(&st, c, 0, 1, 1000, &rng), -1);
}

/* hits[partition] of n first picks. */
static void pick_often(const struct sticky_choice *c, size_t n, int picks, int *hits)
{
	uint64_t rng = 42;

	for (int i = 0; i < picks; i++) {
		struct sticky st = NEW_STICKY;

		hits[sticky_pick(&st, c, n, 1, 1, &rng)]++;
	}
}

static void shorter_queues_are_likelier(void **state)
{
	struct sticky_choice c[3] = { { 0, 8, false }, { 1, 4, false }, { 2, 0, false } };	/* weights 1, 5, 9 */
	int hits[3] = { 0 };

	(void)state;
	pick_often(c, 3, 15000, hits);
	assert_in_range(hits[0], 800, 1200);
	assert_in_range(hits[1], 4600, 5400);
	assert_in_range(hits[2], 8500, 9500);
}

static void equal_queues_are_equally_likely(void **state)
{
	struct sticky_choice c[5];
	int hits[5] = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++)
		c[i] = (struct sticky_choice){ .partition = i, .queue = 3 };
	pick_often(c, 5, 10000, hits);
	for (int i = 0; i < 5; i++)
		assert_in_range(hits[i], 1800, 2200);
}

static void spare_partitions_are_taken_only_when_there_is_no_other(void **state)
{
	struct sticky_choice c[3] = { { 0, 0, true }, { 1, 9, false }, { 2, 0, true } };
	struct sticky st = { .partition = 0, .bytes = 1 };
	int hits[3] = { 0 };
	uint64_t rng = 1;

	(void)state;
	pick_often(c, 3, 1000, hits);
	assert_int_equal(hits[1], 1000);
	assert_int_equal(sticky_pick(&st, c, 3, 1, 1000, &rng), 1);	/* also when it was there before */
	c[1].spare = true;
	assert_int_equal(sticky_pick(&st, c, 3, 1, 1000, &rng), 1);
	hits[1] = 0;
	pick_often(c, 3, 1000, hits);
	assert_true(hits[0] > 400 && hits[2] > 400 && hits[1] > 0);
}

/* --- keys --- */

static void keys_go_where_java_sends_them(void **state)
{
	struct fixture *f = *state;

	/* murmur2("foobar") = -790332482, ("21") = -973932308 */
	assert_int_equal(partition_of_key("foobar", 6, 12), (-790332482 & 0x7fffffff) % 12);
	assert_int_equal(partition_of_key("21", 2, 5), (-973932308 & 0x7fffffff) % 5);
	assert_int_equal(partition_of_key("x", 1, 1), 0);
	partitions(f, 12);
	assert_int_equal(keyed(f, "foobar"), (-790332482 & 0x7fffffff) % 12);
	assert_int_equal(keyed(f, ""), partition_of_key("", 0, 12));
	assert_int_equal(unkeyed(f), PLACE_LATER);
}

static void a_key_keeps_its_partition_when_that_has_no_leader(void **state)
{
	struct fixture *f = *state;
	int32_t p;

	partitions(f, 12);
	p = keyed(f, "foobar");
	available_set(&f->available, p, false);
	assert_int_equal(keyed(f, "foobar"), p);
}

static void keys_are_mapped_anew_when_partitions_are_added(void **state)
{
	struct fixture *f = *state;

	partitions(f, 5);
	assert_int_equal(keyed(f, "21"), (-973932308 & 0x7fffffff) % 5);
	partitions(f, 6);
	assert_int_equal(keyed(f, "21"), (-973932308 & 0x7fffffff) % 6);
}

static void with_ignore_keys_a_key_does_not_matter(void **state)
{
	struct fixture *f = *state;

	f->rule.ignore_keys = true;
	assert_int_equal(keyed(f, "foobar"), PLACE_LATER);	/* not even the count has to be known */
	partitions(f, 12);
	assert_int_equal(keyed(f, "foobar"), PLACE_LATER);
	f->rule.kind = PARTITIONER_PRIORITY;
	assert_int_equal(keyed(f, "foobar"), PLACE_LATER);
}

static void what_needs_the_count_waits_for_it(void **state)
{
	static const enum partitioner kinds[] = {
		PARTITIONER_ROUND_ROBIN, PARTITIONER_RANDOM, PARTITIONER_FILE, PARTITIONER_PRIORITY,
	};
	struct lane_record r = { .place = "/a.log", .place_len = 6 }, key = { .key = "k", .key_len = 1 };
	struct fixture *f = *state;
	int32_t p;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		f->rule.kind = kinds[i];
		assert_int_equal(place_record(&f->rule, &f->state, &f->topic, &r, &p), ERR_UNAVAILABLE);
	}
	f->rule.kind = PARTITIONER_DEFAULT;
	assert_int_equal(place_record(&f->rule, &f->state, &f->topic, &key, &p), ERR_UNAVAILABLE);
	assert_int_equal(place_record(&f->rule, &f->state, &f->topic, &r, &p), 0);
	assert_int_equal(p, PLACE_LATER);
}

/* --- round_robin and random --- */

static void round_robin_takes_each_partition_in_turn(void **state)
{
	struct fixture *f = *state;

	f->rule.kind = PARTITIONER_ROUND_ROBIN;
	partitions(f, 5);
	for (int i = 0; i < 100; i++)
		assert_int_equal(i % 2 ? unkeyed(f) : keyed(f, "k"), i % 5);
	f->state.turn = UINT32_MAX;
	assert_int_equal(unkeyed(f), (int32_t)(UINT32_MAX % 5));
	assert_int_equal(unkeyed(f), 0);
}

static void round_robin_leaves_out_what_has_no_leader(void **state)
{
	static const int32_t want[] = { 0, 2, 3, 0, 2, 3 };
	struct fixture *f = *state;

	f->rule.kind = PARTITIONER_ROUND_ROBIN;
	partitions(f, 5);
	available_set(&f->available, 1, false);
	available_set(&f->available, 4, false);
	for (size_t i = 0; i < COUNT(want); i++)
		assert_int_equal(unkeyed(f), want[i]);
	for (int32_t i = 0; i < 5; i++)
		available_set(&f->available, i, false);
	for (int32_t i = 6; i < 11; i++)			/* none has: all of them */
		assert_int_equal(unkeyed(f), i % 5);
}

static void random_uses_all_that_have_a_leader_alike(void **state)
{
	struct fixture *f = *state;
	int hits[9] = { 0 };

	f->rule.kind = PARTITIONER_RANDOM;
	partitions(f, 9);
	available_set(&f->available, 3, false);
	for (int i = 0; i < 8000; i++)
		hits[i % 2 ? unkeyed(f) : keyed(f, "k")]++;
	for (int i = 0; i < 9; i++)
		assert_in_range(hits[i], i == 3 ? 0 : 880, i == 3 ? 0 : 1120);
}

/* --- file --- */

static void a_file_stays_in_the_partition_of_its_path(void **state)
{
	struct lane_record r = { .key = "k", .key_len = 1 };
	struct fixture *f = *state;
	int hits[8] = { 0 };
	char path[32];

	f->rule.kind = PARTITIONER_FILE;
	partitions(f, 8);
	r.place = path;
	for (int i = 0; i < 4000; i++) {
		r.place_len = (size_t)snprintf(path, sizeof path, "/var/log/app-%d.log", i);
		hits[place(f, &r)]++;
		assert_int_equal(place(f, &r), partition_of_key(path, r.place_len, 8));
	}
	for (int i = 0; i < 8; i++)
		assert_in_range(hits[i], 420, 580);
	r.place = NULL;
	assert_int_equal(place(f, &r), partition_of_key("k", 1, 8));
	assert_int_equal(unkeyed(f), PLACE_LATER);
}

/* --- priority --- */

static void high_priority_has_partition_0_for_itself(void **state)
{
	struct producer_header high[] = { { "a", "b", 1 }, { "priority", "high", 4 } };
	struct producer_header none[] = { { "priority", "high", 4 }, { "priority", "low", 3 }, { "Priority", "high", 4 } };
	struct producer_header null[] = { { "priority", NULL, 0 } };
	struct fixture *f = *state;
	char key[16];

	f->rule.kind = PARTITIONER_PRIORITY;
	partitions(f, 5);
	assert_int_equal(place(f, &(struct lane_record){ .headers = high, .header_count = 2 }), 0);
	assert_int_equal(place(f, &(struct lane_record){ .key = "k", .key_len = 1, .headers = high, .header_count = 2 }), 0);
	assert_int_equal(place(f, &(struct lane_record){ .headers = none, .header_count = 3 }), PLACE_LATER);
	assert_int_equal(place(f, &(struct lane_record){ .headers = null, .header_count = 1 }), PLACE_LATER);
	assert_int_equal(unkeyed(f), PLACE_LATER);
	assert_int_equal(place_first(&f->rule, 5), 1);		/* what is placed later is not placed there */
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(keyed(f, key), 1 + partition_of_key(key, strlen(key), 4));
	}
}

static void a_single_partition_takes_every_priority(void **state)
{
	struct producer_header high = { "priority", "high", 4 };
	struct fixture *f = *state;

	f->rule.kind = PARTITIONER_PRIORITY;
	partitions(f, 1);
	assert_int_equal(place(f, &(struct lane_record){ .headers = &high, .header_count = 1 }), 0);
	assert_int_equal(keyed(f, "k"), 0);
	assert_int_equal(unkeyed(f), PLACE_LATER);
	assert_int_equal(place_first(&f->rule, 1), 0);
}

/* --- a function --- */

static int32_t own(void *arg, const struct producer_record *r, const struct producer_topic_info *t)
{
	assert_ptr_equal(arg, &own_answer);
	assert_string_equal(r->topic, "t");
	assert_string_equal(t->topic, "t");
	assert_int_equal(r->partition, -1);
	assert_memory_equal(r->value, "v", 1);
	for (int32_t i = -1; i <= t->partition_count; i++)
		assert_int_equal(t->available(t, i), i >= 0 && i < t->partition_count && i != 2);
	return own_answer;
}

static void a_function_of_ones_own_decides_and_bad_answers_are_refused(void **state)
{
	struct lane_record r = { .key = "k", .key_len = 1, .value = "v", .value_len = 1 };
	struct fixture *f = *state;
	int32_t p = 77;

	f->rule.fn = (struct producer_partitioner){ .partition = own, .arg = &own_answer };
	assert_int_equal(place_record(&f->rule, &f->state, &f->topic, &r, &p), ERR_UNAVAILABLE);
	partitions(f, 4);
	available_set(&f->available, 2, false);
	for (own_answer = 0; own_answer < 4; own_answer++) {
		assert_int_equal(place(f, &r), own_answer);
		assert_int_equal(unkeyed(f), own_answer);
	}
	p = 77;
	assert_int_equal(place_record(&f->rule, &f->state, &f->topic, &r, &p), ERR_PARTITION);
	own_answer = -1;
	assert_int_equal(place_record(&f->rule, &f->state, &f->topic, &r, &p), ERR_PARTITION);
	assert_int_equal(p, 77);
}

/* --- who has a leader --- */

static void leaders_are_counted_and_found_over_words_and_growth(void **state)
{
	struct fixture *f = *state;
	struct available *a = &f->available;

	assert_int_equal(available_count(a, 10), 0);
	assert_false(available_has(a, 0));
	assert_int_equal(available_nth(a, 10, 0), -1);
	for (int32_t count = 1; count <= 1000; count += 37) {
		assert_int_equal(available_grow(a, count), 0);
		for (int32_t i = 0; i < count; i++)
			available_set(a, i, i % 3 == 1);
		assert_int_equal(available_count(a, count), (count + 1) / 3);
		for (int32_t n = 0; n < (count + 1) / 3; n++)
			assert_int_equal(available_nth(a, count, n), 3 * n + 1);
		assert_int_equal(available_nth(a, count, (count + 1) / 3), -1);
	}
	assert_int_equal(available_count(a, 64), 21);
	assert_true(available_has(a, 64));
	assert_false(available_has(a, 65));
	assert_false(available_has(a, 1000000));
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(stays_until_a_batch_size_has_gone_there),
		T(leaves_a_partition_that_cannot_take_anything),
		T(shorter_queues_are_likelier),
		T(equal_queues_are_equally_likely),
		T(spare_partitions_are_taken_only_when_there_is_no_other),
		T(keys_go_where_java_sends_them),
		T(a_key_keeps_its_partition_when_that_has_no_leader),
		T(keys_are_mapped_anew_when_partitions_are_added),
		T(with_ignore_keys_a_key_does_not_matter),
		T(what_needs_the_count_waits_for_it),
		T(round_robin_takes_each_partition_in_turn),
		T(round_robin_leaves_out_what_has_no_leader),
		T(random_uses_all_that_have_a_leader_alike),
		T(a_file_stays_in_the_partition_of_its_path),
		T(high_priority_has_partition_0_for_itself),
		T(a_single_partition_takes_every_priority),
		T(a_function_of_ones_own_decides_and_bad_answers_are_refused),
		T(leaders_are_counted_and_found_over_words_and_growth),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

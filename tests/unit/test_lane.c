/* test_lane.c - appending and sealing, and the order in which batches leave a lane. */
#include "tests/lib/unit.h"

#include <stdatomic.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/compress.h"
#include "producer/lane.h"

#define BATCH_MAX 1000

struct fixture {
	struct accum a;
	struct budget *m;
	_Atomic int wakes;
};

static void woken(void *arg)
{
	struct fixture *f = arg;

	atomic_fetch_add(&f->wakes, 1);
}

static struct fixture *fixture(void **state, bool compressing, uint32_t batch_max)
{
	struct fixture *f = mem_new(struct fixture);

	assert_int_equal(budget_new(&f->m, 64 * CHUNK_BYTES, 0), 0);
	accum_init(&f->a, &(struct accum_conf){ .batch_max = batch_max, .record_max = 100000, .compressing = compressing,
						.wake = woken, .wake_arg = f }, f->m);
	*state = f;
	return f;
}

static void free_list(struct fixture *f, struct list *l)
{
	struct batch *b;

	while ((b = list_first(l, struct batch, node))) {
		list_remove(&b->node);
		accum_uncount(&f->a, b);
		accum_settled(&f->a, b);
		batch_free(b, f->m);
	}
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct lane *l;
	size_t it = 0;

	accum_seal_all(&f->a);
	while ((l = map_next(&f->a.lanes, &it))) {
		free_list(f, &l->sealed);
		free_list(f, &l->ready);
	}
	assert_int_equal(f->a.in_memory, 0);
	assert_int_equal(f->a.live, 0);
	accum_release(&f->a);
	budget_free(f->m);
	mem_free(f);
	return 0;
}

static int append(struct lane *l, const char *key, size_t value_len, const struct source_range *r)
{
	static const char bytes[200000];

	return lane_append(l, &(struct lane_record){ .key = key, .key_len = key ? strlen(key) : 0, .value = bytes,
						     .value_len = value_len, .timestamp = -1, .source = r });
}

static uint32_t ready_count(struct lane *l)
{
	uint32_t n = 0;

	while (accum_next_news(l->accum))
		;
	list_each(it, &l->ready)
		n++;
	return n;
}

static void a_batch_is_sealed_before_the_record_that_does_not_fit(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", 0, false);

	lane_begin(l, 1, 1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(append(l, NULL, 180, NULL), 0);
	assert_int_equal(lane_end(l), 10);
	assert_int_equal(ready_count(l), 1);
	assert_int_equal(list_first(&l->ready, struct batch, node)->count, 5);
	assert_true(list_first(&l->ready, struct batch, node)->bytes <= BATCH_MAX);
	assert_int_equal(f->a.in_memory, 10);
}

static void batch_size_0_sends_each_record_alone(void **state)
{
	struct fixture *f = fixture(state, false, 0);
	struct lane *l = accum_lane(&f->a, "t", 0, false);

	lane_begin(l, 1, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(append(l, NULL, 5, NULL), 0);
	lane_end(l);
	assert_int_equal(ready_count(l), 3);
}

static void a_large_record_travels_alone_and_a_larger_one_is_refused(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", 0, false);

	lane_begin(l, 1, 1);
	assert_int_equal(append(l, NULL, 5, NULL), 0);
	assert_int_equal(append(l, NULL, 5000, NULL), 0);
	assert_int_equal(append(l, NULL, 5, NULL), 0);
	assert_int_equal(append(l, NULL, 100001, NULL), ERR_TOO_LARGE);
	assert_int_equal(append(l, NULL, (size_t)-1, NULL), ERR_TOO_LARGE);
	assert_int_equal(lane_end(l), 3);
	assert_int_equal(ready_count(l), 2);
}

static void dry_memory_changes_nothing_and_wakes_the_sender_once(void **state)
{
	struct fixture *f = fixture(state, false, 2 << 20);
	struct source_range r = { .file_id = 1, .count = 1 };
	struct lane *l = accum_lane(&f->a, "t", 0, false);
	int n = 0, wakes;

	lane_begin(l, 1, 1);
	for (int rc = 0; rc == 0; r.from = r.to) {
		r.to = r.from + 10;
		rc = append(l, NULL, 10000, &r);
		n += rc == 0;
	}
	wakes = f->wakes;
	assert_true(f->a.dry);
	assert_int_equal(append(l, NULL, 10000, &r), ERR_AGAIN);
	assert_int_equal(f->wakes, wakes);
	assert_int_equal(lane_end(l), n);
	assert_int_equal(l->open->count, n);
	assert_int_equal(l->open->range_count, 1);
	assert_int_equal(l->open->ranges[0].count, n);
	assert_int_equal(l->open->ranges[0].to, n * 10);
	batch_check(l->open);
}

static void a_batch_with_too_many_ranges_is_sealed(void **state)
{
	struct fixture *f = fixture(state, false, 1 << 18);
	struct lane *l = accum_lane(&f->a, "t", 0, false);

	lane_begin(l, 1, 1);
	for (int i = 0; i <= BATCH_RANGES_MAX; i++) {
		struct source_range r = { .file_id = i, .to = 1, .count = 1 };

		assert_int_equal(append(l, NULL, 1, &r), 0);
	}
	lane_end(l);
	assert_int_equal(ready_count(l), 1);
	assert_int_equal(list_first(&l->ready, struct batch, node)->count, BATCH_RANGES_MAX);
}

/* A record whose last source is the n-th of the array. */
static int append_parts(struct lane *l, size_t value_len, const struct source_range *r, uint32_t n)
{
	static const char bytes[20000];

	return lane_append(l, &(struct lane_record){ .value = bytes, .value_len = value_len, .timestamp = -1,
						     .source = r + n - 1, .parts = n - 1 });
}

static void all_parts_of_a_record_are_in_its_batch(void **state)
{
	struct fixture *f = fixture(state, false, 1 << 18);
	struct lane *l = accum_lane(&f->a, "t", 0, false);
	struct source_range r[400];
	const struct batch *b;

	for (int i = 0; i < 400; i++)
		r[i] = (struct source_range){ .file_id = 1, .from = 2 * i, .to = 2 * i + 1, .count = i == 399 };
	lane_begin(l, 1, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(append_parts(l, 5, r, 400), 0);
	lane_end(l);
	assert_int_equal(l->open->count, 1);
	assert_int_equal(l->open->range_count, 400);
	batch_check(l->open);
	assert_int_equal(ready_count(l), 1);
	b = list_first(&l->ready, struct batch, node);
	assert_int_equal(b->count, 2);
	assert_int_equal(b->range_count, 800);
	batch_check(b);
}

static void a_record_with_very_many_parts_has_a_batch_of_its_own(void **state)
{
	struct fixture *f = fixture(state, false, 1 << 18);
	struct lane *l = accum_lane(&f->a, "t", 0, false);
	static struct source_range r[3000];

	for (int i = 0; i < 3000; i++)
		r[i] = (struct source_range){ .file_id = 1, .from = 2 * i, .to = 2 * i + 1, .count = i == 2999 };
	lane_begin(l, 1, 1);
	assert_int_equal(append_parts(l, 5, r + 2999, 1), 0);
	assert_int_equal(append_parts(l, 5, r, 3000), 0);
	assert_int_equal(append_parts(l, 5, r + 2999, 1), 0);
	lane_end(l);
	assert_int_equal(ready_count(l), 2);
	assert_int_equal(list_first(&l->ready, struct batch, node)->range_count, 1);
	assert_int_equal(l->open->range_count, 1);
}

static void without_memory_none_of_its_parts_is_in_the_batch(void **state)
{
	struct fixture *f = fixture(state, false, 2 << 20);
	struct source_range r[2] = { { .file_id = 1, .from = 0, .to = 5 }, { .file_id = 1, .from = 7, .to = 9, .count = 1 } };
	struct lane *l = accum_lane(&f->a, "t", 0, false);
	int n = 0;

	lane_begin(l, 1, 1);
	while (append_parts(l, 10000, r, 2) == 0)
		n++;
	lane_end(l);
	assert_int_equal(l->open->count, n);
	assert_int_equal(l->open->range_count, 2 * n);
	batch_check(l->open);
}

static void a_keyed_record_joins_the_lane_of_its_partition(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", -1, false), *bound;

	lane_begin(l, 1, 1);
	assert_int_equal(append(l, "foobar", 5, NULL), ERR_UNAVAILABLE);
	assert_int_equal(lane_end(l), 0);
	atomic_store(&l->topic->partition_count, 12);
	bound = accum_lane(&f->a, "t", partition_of_key("foobar", 6, 12), false);
	lane_begin(l, 1, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(append(l, "foobar", 5, NULL), 0);
		assert_int_equal(append(l, "21", 5, NULL), 0);
		assert_int_equal(append(l, NULL, 5, NULL), 0);
	}
	assert_int_equal(lane_end(l), 9);
	assert_int_equal(l->open->count, 3);
	assert_int_equal(bound->open->count, 3);
	assert_int_equal(f->a.in_memory, 9);
	atomic_store(&l->topic->partition_count, 0);	/* no leaders were made */
}

static void a_record_that_nobody_can_place_waits_outside_first_and_then_in_the_unplaced_lane(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", -1, false), *u = accum_lane(&f->a, "t", LANE_UNPLACED, false);
	struct lane *bound = accum_lane(&f->a, "t", partition_of_key("foobar", 6, 12), false);

	f->a.conf.unplaced_after_ms = 100;
	for (int i = 0; i < 3; i++) {
		lane_begin(l, 1000 + i * 50, 1);
		assert_int_equal(append(l, "foobar", 5, NULL), i < 2 ? ERR_UNAVAILABLE : 0);
		assert_int_equal(append(l, NULL, 5, NULL), 0);
		assert_int_equal(lane_end(l), i < 2 ? 1 : 2);
	}
	assert_int_equal(u->open->count, 1);
	assert_int_equal(f->a.in_memory, 4);
	atomic_store(&l->topic->partition_count, 12);
	assert_false(accum_all_placed(u));
	lane_begin(l, 2000, 1);
	assert_int_equal(append(l, "foobar", 5, NULL), ERR_UNAVAILABLE);	/* older ones are not placed yet */
	assert_int_equal(append(l, NULL, 5, NULL), 0);
	assert_int_equal(lane_end(l), 1);
	lane_seal(u);
	assert_false(accum_all_placed(u));
	assert_int_equal(ready_count(u), 1);
	lane_add_backlog(u, 1);
	assert_false(accum_all_placed(u));
	lane_add_backlog(u, (uint64_t)-1);
	free_list(f, &u->ready);
	assert_true(accum_all_placed(u));
	lane_begin(l, 2000, 1);
	assert_int_equal(append(l, "foobar", 5, NULL), 0);
	assert_int_equal(lane_end(l), 1);
	assert_int_equal(bound->open->count, 1);
	atomic_store(&l->topic->partition_count, 0);
}

static void a_record_whose_file_decides_waits_outside_for_ever(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", -1, false);
	struct lane_record r = { .value = "v", .value_len = 1, .timestamp = -1, .place = "/a.log", .place_len = 6 };

	f->a.conf.unplaced_after_ms = 1;
	f->a.conf.place.kind = PARTITIONER_FILE;
	for (int64_t now = 1000; now < 1010; now++) {
		lane_begin(l, now, 1);
		assert_int_equal(lane_append(l, &r), ERR_UNAVAILABLE);
		assert_int_equal(lane_end(l), 0);
	}
}

static void by_turns(struct fixture *f, struct lane *l, int32_t partitions)
{
	f->a.conf.place.kind = PARTITIONER_ROUND_ROBIN;
	assert_int_equal(available_grow(&l->topic->available, partitions), 0);
	for (int32_t i = 0; i < partitions; i++)
		available_set(&l->topic->available, i, true);
	atomic_store(&l->topic->partition_count, partitions);
}

/* Goal: read and in_memory of a caller move together although its run goes to many lanes. Method: batches fill and are sealed
 * by others within the run. */
static void nothing_of_a_run_over_many_lanes_is_seen_before_it_ends(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", -1, false), *one = accum_lane(&f->a, "t", 1, false);
	uint32_t ready = 0, seen = 0, live;
	uint64_t counted;
	int open;

	by_turns(f, l, 3);
	lane_begin(l, 1, 1);
	for (int i = 0; i < 30; i++)
		append(l, NULL, 180, NULL);
	open = one->open->count;
	lane_seal(one);				/* parked, so its lock is free */
	for (int32_t i = 0; i < 3; i++)
		seen += ready_count(accum_lane(&f->a, "t", i, false));
	counted = f->a.in_memory;
	live = f->a.live;
	assert_int_equal(lane_end(l), 30);
	assert_int_equal(open, 5);
	assert_null(one->open);
	assert_int_equal(seen, 0);
	assert_int_equal(counted, 0);
	assert_int_equal(live, 0);
	assert_int_equal(f->a.in_memory, 30);
	accum_seal_all(&f->a);
	for (int32_t i = 0; i < 3; i++)
		ready += ready_count(accum_lane(&f->a, "t", i, false));
	assert_int_equal(ready, 6);
	atomic_store(&l->topic->partition_count, 0);
}

/* Goal: whoever ends a run in a lane that another run has parked neither counts nor shows what is of that one, and this one is
 * counted while somebody has that lane: the caller's lock is held meanwhile, which the other wants next. */
static void a_run_in_a_parked_lane_is_counted_apart_and_shown_with_the_one_that_parked_it(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", -1, false), *one = accum_lane(&f->a, "t", 1, false);
	uint32_t counts[2], seen;
	uint64_t in_memory;

	by_turns(f, l, 3);
	lane_begin(l, 1, 1);
	for (int i = 0; i < 30; i++)
		append(l, NULL, 180, NULL);
	lane_begin(one, 1, 1);
	for (int i = 0; i < 8; i++)
		append(one, NULL, 180, NULL);
	counts[0] = lane_end(one);
	in_memory = f->a.in_memory;
	seen = ready_count(one);
	lane_begin(one, 1, 1);
	counts[1] = lane_count(l);
	lane_end(one);
	lane_end(l);
	assert_int_equal(counts[0], 8);
	assert_int_equal(in_memory, 8);
	assert_int_equal(seen, 0);
	assert_int_equal(counts[1], 30);
	assert_int_equal(f->a.in_memory, 38);
	assert_int_equal(ready_count(one), 3);
}

static void a_record_that_found_no_memory_keeps_its_turn(void **state)
{
	struct fixture *f = fixture(state, false, 2 << 20);
	struct lane *l = accum_lane(&f->a, "t", -1, false);
	int n = 0;

	by_turns(f, l, 4);
	lane_begin(l, 1, 1);
	while (append(l, NULL, 10000, NULL) == 0)
		n++;
	for (int i = 0; i < 3; i++)
		assert_int_equal(append(l, NULL, 10000, NULL), ERR_AGAIN);
	lane_end(l);
	for (int32_t i = 0; i < 4; i++)
		assert_int_equal(accum_lane(&f->a, "t", i, false)->open->count, n / 4 + (i < n % 4));
	assert_int_equal(l->place.turn, n);
	atomic_store(&l->topic->partition_count, 0);
}

static int32_t fourth(void *arg, const struct producer_record *r, const struct producer_topic_info *t)
{
	(void)arg;
	(void)r;
	return t->partition_count;
}

static void a_partitioner_that_names_no_partition_fails_the_record_alone(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", -1, false), *named = accum_lane(&f->a, "t", 2, false);

	by_turns(f, l, 3);
	f->a.conf.place.fn.partition = fourth;
	lane_begin(l, 1, 1);
	assert_int_equal(append(l, NULL, 5, NULL), ERR_PARTITION);
	assert_int_equal(lane_end(l), 0);
	lane_begin(named, 1, 1);
	assert_int_equal(append(named, NULL, 5, NULL), 0);	/* it is not asked here */
	assert_int_equal(lane_end(named), 1);
	atomic_store(&l->topic->partition_count, 0);
}

static void an_open_batch_is_announced_once_and_sealed_by_age(void **state)
{
	struct fixture *f = fixture(state, false, BATCH_MAX);
	struct lane *l = accum_lane(&f->a, "t", 0, false);

	for (int i = 0; i < 3; i++) {
		lane_begin(l, 100 + i, 1);
		assert_int_equal(append(l, NULL, 5, NULL), 0);
		lane_end(l);
	}
	assert_ptr_equal(accum_next_news(&f->a), l);
	assert_int_equal(l->announced_ms, 100);
	assert_null(accum_next_news(&f->a));
	assert_int_equal(lane_seal_older(l, 99, 200), 100);
	assert_int_equal(lane_seal_older(l, 100, 200), -1);
	assert_int_equal(ready_count(l), 1);
}

static void compressed_batches_leave_in_the_order_they_were_sealed(void **state)
{
	struct fixture *f = fixture(state, true, 20000);
	struct lane *l = accum_lane(&f->a, "t", 0, false);
	struct compress *c;
	uint64_t last = 0;
	int n = 0;

	assert_int_equal(compress_open(&c, &f->a, CODEC_LZ4, 9, 3), 0);
	for (int i = 0; i < 200; i++) {
		int rc;

		lane_begin(l, 1, 1);
		rc = append(l, NULL, 9000 + (size_t)i * 13 % 900, NULL);
		lane_end(l);
		if (rc < 0)
			i--;
		while (accum_next_news(&f->a))
			;
		list_each(it, &l->ready) {
			struct batch *b = list_entry(it, struct batch, node);

			assert_int_equal(b->serial, ++last);
			assert_int_equal(b->codec, CODEC_LZ4);
			assert_true(b->bytes < b->raw_bytes);
			n += b->count;
		}
		free_list(f, &l->ready);
	}
	compress_close(c);
	assert_true(n > 0);
}

/* --- lanes that are held, or shut --- */

static void a_lane_with_a_share_takes_no_more_than_that(void **state)
{
	struct fixture *f = fixture(state, false, 100000);
	struct lane *l = accum_lane(&f->a, "t", 0, false), *other = accum_lane(&f->a, "u", 0, false);
	int n = 0, rc;

	atomic_store(&l->share, 3000);
	lane_begin(l, 1, 1);
	while ((rc = append(l, NULL, 500, NULL)) == 0)
		n++;
	assert_int_equal(rc, ERR_LANE_FULL);
	assert_int_equal(lane_end(l), n);
	assert_int_equal(n, 5);
	assert_true(l->bytes <= 3000);
	assert_true(l->full);
	assert_false(lane_takes(l));
	assert_int_equal(ready_count(l), 1);	/* sealed, so that it may leave */
	lane_begin(other, 1, 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(append(other, NULL, 500, NULL), 0);
	lane_end(other);
	assert_true(lane_takes(other));
	free_list(f, &l->ready);
	assert_int_equal(l->bytes, 0);
	assert_true(lane_takes(l));
	lane_begin(l, 1, 1);
	assert_int_equal(append(l, NULL, 90000, NULL), 0);	/* one record, however large */
	assert_int_equal(append(l, NULL, 1, NULL), ERR_LANE_FULL);
	lane_end(l);
}

static void who_appends_by_key_asks_the_lane_that_refused(void **state)
{
	struct fixture *f = fixture(state, false, 100000);
	struct lane *l = accum_lane(&f->a, "t", -1, false), *bound;

	atomic_store(&l->topic->partition_count, 12);
	bound = accum_lane(&f->a, "t", partition_of_key("foobar", 6, 12), false);
	atomic_store(&bound->share, 1000);
	lane_begin(l, 1, 1);
	assert_int_equal(append(l, "foobar", 900, NULL), 0);
	assert_int_equal(append(l, "foobar", 900, NULL), ERR_LANE_FULL);
	assert_int_equal(append(l, "21", 900, NULL), 0);
	assert_int_equal(append(l, NULL, 900, NULL), 0);
	lane_end(l);
	assert_false(lane_takes(l));
	atomic_store(&bound->share, 0);
	assert_true(lane_takes(l));
	atomic_store(&l->topic->partition_count, 0);
}

static void a_lane_that_waits_is_another_one_and_takes_nothing_while_it_is_shut(void **state)
{
	struct fixture *f = fixture(state, false, 100000);
	struct lane *l = accum_lane(&f->a, "t", 0, true);

	assert_ptr_not_equal(l, accum_lane(&f->a, "t", 0, false));
	assert_ptr_equal(l, accum_lane(&f->a, "t", 0, true));
	lane_begin(l, 1, 1);
	assert_int_equal(append(l, NULL, 5, NULL), 0);
	lane_end(l);
	lane_shut(l);
	assert_false(lane_is_empty(l));		/* sealed, and not seen by the sender yet */
	assert_int_equal(ready_count(l), 1);
	assert_true(lane_is_empty(l));
	lane_begin(l, 1, 1);
	assert_int_equal(append(l, NULL, 5, NULL), ERR_LANE_FULL);
	assert_int_equal(lane_end(l), 0);
	free_list(f, &l->ready);
	assert_false(lane_takes(l));
	lane_reopen(l);
	assert_true(lane_takes(l));
	lane_begin(l, 1, 1);
	assert_int_equal(append(l, NULL, 5, NULL), 0);
	lane_end(l);
}

#define T(t) cmocka_unit_test_teardown(t, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(a_batch_is_sealed_before_the_record_that_does_not_fit),
		T(batch_size_0_sends_each_record_alone),
		T(a_large_record_travels_alone_and_a_larger_one_is_refused),
		T(dry_memory_changes_nothing_and_wakes_the_sender_once),
		T(a_batch_with_too_many_ranges_is_sealed),
		T(all_parts_of_a_record_are_in_its_batch),
		T(a_record_with_very_many_parts_has_a_batch_of_its_own),
		T(without_memory_none_of_its_parts_is_in_the_batch),
	T(all_parts_of_a_record_are_in_its_batch),
	T(a_record_with_very_many_parts_has_a_batch_of_its_own),
	T(without_memory_none_of_its_parts_is_in_the_batch),
		T(a_keyed_record_joins_the_lane_of_its_partition),
		T(a_record_that_nobody_can_place_waits_outside_first_and_then_in_the_unplaced_lane),
		T(a_record_whose_file_decides_waits_outside_for_ever),
		T(nothing_of_a_run_over_many_lanes_is_seen_before_it_ends),
	T(a_run_in_a_parked_lane_is_counted_apart_and_shown_with_the_one_that_parked_it),
		T(a_record_that_found_no_memory_keeps_its_turn),
		T(a_partitioner_that_names_no_partition_fails_the_record_alone),
		T(an_open_batch_is_announced_once_and_sealed_by_age),
		T(a_lane_with_a_share_takes_no_more_than_that),
		T(who_appends_by_key_asks_the_lane_that_refused),
		T(a_lane_that_waits_is_another_one_and_takes_nothing_while_it_is_shut),
		T(compressed_batches_leave_in_the_order_they_were_sealed),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

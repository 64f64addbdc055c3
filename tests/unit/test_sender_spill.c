/* test_sender_spill.c - when a lane leaves memory, asked with the clock in hand: no thread, no waiting. */
#include "producer/sender_spill.c"

#include <stdlib.h>

#include "tests/lib/unit.h"

#define SINCE 5000		/* the lane became busy */
#define DRY 6000		/* memory ran dry */
#define MAX_BLOCK 60000

struct fixture { struct sender s; struct producer_config config; struct topic topic; struct lane l; };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->config.max_block_ms = MAX_BLOCK;
	f->s.config = &f->config;
	f->s.wake_ms = INT64_MAX;
	list_init(&f->s.replan);
	list_init(&f->l.ready);
	f->l.topic = &f->topic;
	f->l.in_streams = 1;		/* something is there that could be spilled */
	f->l.since_ms = SINCE;
	f->l.last_good_ms = INT64_MIN / 2;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static bool spills(struct fixture *f, int64_t now_ms, int64_t tight_ms)
{
	f->s.now_ms = now_ms;
	f->s.wake_ms = INT64_MAX;
	return may_spill(&f->s, &f->l, tight_ms);
}

static void what_files_hold_waits_for_max_block_ms_in_a_dry_memory(void **state)
{
	struct fixture *f = *state;

	assert_false(spills(f, DRY + 10 * MAX_BLOCK, -1));
	assert_false(spills(f, DRY + MAX_BLOCK - 1, DRY));
	assert_int_equal(f->s.wake_ms, DRY + MAX_BLOCK);
	assert_true(spills(f, DRY + MAX_BLOCK, DRY));
}

/* Not LANE_RESCUE_MS either: in the very moment. */
static void what_no_file_holds_leaves_a_dry_memory_at_once(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->l.streams, true);
	assert_false(spills(f, SINCE, -1));
	assert_true(spills(f, SINCE, SINCE));
	assert_true(f->l.spill_mode);
	assert_false(f->s.outage);		/* of other lanes it says nothing */
}

static void what_no_file_holds_stays_in_a_memory_with_room_for_a_second(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->l.streams, true);
	assert_false(spills(f, SINCE + LANE_RESCUE_MS - 1, -1));
	assert_int_equal(f->s.wake_ms, SINCE + LANE_RESCUE_MS);
	f->l.last_good_ms = SINCE + 500;	/* an answer: counted anew */
	assert_false(spills(f, SINCE + LANE_RESCUE_MS, -1));
	assert_int_equal(f->s.wake_ms, SINCE + 500 + LANE_RESCUE_MS);
	assert_true(spills(f, SINCE + 500 + LANE_RESCUE_MS, -1));
}

/* lane_rescue: its file is about to vanish, but it is there yet. */
static void what_is_to_be_rescued_waits_its_second_in_a_dry_memory_too(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->l.rescue_until_ms, SINCE + 10 * LANE_RESCUE_MS);
	assert_false(spills(f, SINCE + LANE_RESCUE_MS - 1, SINCE));
	assert_true(spills(f, SINCE + LANE_RESCUE_MS, SINCE));
}

/* It waits for its lane, not in the spool; and a journal that could not take anything says when to try again. */
static void a_lane_that_waits_and_one_that_failed_do_not_spill(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->l.streams, true);
	f->l.waits = true;
	assert_false(spills(f, SINCE, SINCE));
	f->l.waits = false;
	f->l.spill_at_ms = SINCE + 300;
	assert_false(spills(f, SINCE + 299, SINCE));
	assert_int_equal(f->s.wake_ms, SINCE + 300);
	assert_true(spills(f, SINCE + 300, SINCE));
}

int main(int argc, char **argv)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(what_files_hold_waits_for_max_block_ms_in_a_dry_memory),
		TEST(what_no_file_holds_leaves_a_dry_memory_at_once),
		TEST(what_no_file_holds_stays_in_a_memory_with_room_for_a_second),
		TEST(what_is_to_be_rescued_waits_its_second_in_a_dry_memory_too),
		TEST(a_lane_that_waits_and_one_that_failed_do_not_spill),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

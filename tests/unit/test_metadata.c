/* test_metadata.c - what the producer believes of the cluster, and when it asks. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/metadata.h"

struct fixture {
	struct metadata m;
	struct stream_conf streams;
	struct topic *t;
	int64_t now;
};

static int setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	metadata_init(&f->m, &(struct metadata_conf){ .max_age_ms = 300000, .max_idle_ms = 60000, .backoff_ms = 100,
						      .backoff_max_ms = 1000, .rng = 1 });
	f->t = topic_new("logs");
	metadata_add(&f->m, f->t);
	f->now = 1000000;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	topic_free(f->t);
	metadata_release(&f->m);
	mem_free(f);
	return 0;
}

/* An answer about "logs" with up to 4 partitions; leader[i] -2 ends. */
static void tell(struct fixture *f, int16_t error, uint8_t id, const int32_t *leader, int32_t epoch)
{
	struct api_partition p[4];
	struct api_topic t = { .error = error, .name = f->t->name, .partitions = p };
	struct api_metadata a = { .cluster_id = (char *)(uintptr_t)"c1", .topics = &t, .topic_count = 1 };

	memset(t.id, id, sizeof t.id);
	for (; leader && leader[t.partition_count] != -2; t.partition_count++)
		p[t.partition_count] = (struct api_partition){ .index = (int32_t)t.partition_count,
							       .leader = leader[t.partition_count], .leader_epoch = epoch };
	metadata_asked(&f->m);
	assert_int_equal(metadata_apply(&f->m, &a, f->now), 0);
}

static bool due(struct fixture *f, int64_t *wake)
{
	*wake = INT64_MAX;
	return metadata_due(&f->m, f->now, wake);
}

static void asks_at_the_start_and_again_when_the_view_is_old(void **state)
{
	struct fixture *f = *state;
	const char *names[4];
	int64_t wake;

	assert_true(due(f, &wake));
	assert_int_equal(metadata_names(&f->m, f->now, names, 4), 1);
	assert_string_equal(names[0], "logs");
	metadata_asked(&f->m);
	assert_false(due(f, &wake));
	tell(f, 0, 1, (int32_t[]){ 1, 2, -2 }, 5);
	assert_int_equal(f->t->partition_count, 2);
	assert_int_equal(topic_leader(f->t, 1), 2);
	assert_int_equal(topic_leader(f->t, 2), -1);
	assert_string_equal(metadata_cluster_id(&f->m), "c1");
	assert_false(due(f, &wake));
	assert_int_equal(wake, f->now + 300000);
	f->now += 300000;
	assert_true(due(f, &wake));
}

static void an_unknown_topic_is_asked_for_again_with_growing_pauses(void **state)
{
	struct fixture *f = *state;
	int64_t wake, first;

	tell(f, 3, 0, NULL, 0);
	assert_false(f->t->known);
	assert_false(due(f, &wake));
	first = wake - f->now;
	assert_in_range(first, 80, 120);
	for (int i = 0; i < 6; i++) {
		f->now = wake;
		assert_true(due(f, &wake));
		tell(f, 3, 0, NULL, 0);
		assert_false(due(f, &wake));
	}
	assert_in_range(wake - f->now, 800, 1000);
	f->now = wake;
	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 0);
	assert_true(f->t->known);
	assert_int_equal(f->t->faulty_ms, -1);
}

static void an_older_epoch_is_not_believed(void **state)
{
	struct fixture *f = *state;

	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	tell(f, 0, 1, (int32_t[]){ 2, -2 }, 4);
	assert_int_equal(topic_leader(f->t, 0), 1);
	tell(f, 0, 1, (int32_t[]){ 3, -2 }, 6);
	assert_int_equal(topic_leader(f->t, 0), 3);
	metadata_hint(f->t, 0, 4, 6);
	assert_int_equal(topic_leader(f->t, 0), 3);
	metadata_hint(f->t, 0, 4, 7);
	assert_int_equal(topic_leader(f->t, 0), 4);
}

static void a_topic_made_anew_starts_with_new_epochs_and_cold_streams(void **state)
{
	struct fixture *f = *state;
	struct stream *s;

	tell(f, 0, 1, (int32_t[]){ 1, 1, -2 }, 5);
	s = topic_stream(f->t, 0, &f->streams);
	s->warm = true;
	s->next_sequence = 42;
	tell(f, 0, 2, (int32_t[]){ 2, -2 }, 0);
	assert_int_equal(topic_leader(f->t, 0), 2);
	assert_false(s->warm);
	assert_int_equal(s->next_sequence, 42);
	assert_int_equal(f->t->partition_count, 1);
	assert_int_equal(topic_leader(f->t, 1), -1);
}

/* A broker that lags tells of the topic before: to believe it would make new data of what may be in the new log. */
static void a_topic_that_was_left_does_not_come_back_by_one_answer(void **state)
{
	struct fixture *f = *state;
	int64_t wake;

	tell(f, 0, 1, (const int32_t[]){ 3, -2 }, 7);
	tell(f, 0, 2, (const int32_t[]){ 4, -2 }, 0);
	tell(f, 0, 1, (const int32_t[]){ 3, 3, -2 }, 9);
	assert_int_equal(f->t->id[0], 2);
	assert_int_equal(topic_leader(f->t, 0), 4);
	assert_int_equal(f->t->partition_count, 1);
	f->now += 2000;
	assert_true(due(f, &wake));
	tell(f, 0, 2, (const int32_t[]){ 5, -2 }, 1);
	assert_int_equal(topic_leader(f->t, 0), 5);
	/* A cluster that was set back has it again: nobody says anything else. */
	for (int i = 0; i < 5; i++, f->now += 10000)
		tell(f, 0, 1, (const int32_t[]){ 3, -2 }, 9);
	assert_int_equal(f->t->id[0], 1);
	assert_int_equal(topic_leader(f->t, 0), 3);
}

static void a_topic_that_vanishes_keeps_its_partitions_and_streams(void **state)
{
	struct fixture *f = *state;
	struct stream *s;

	tell(f, 0, 1, (int32_t[]){ 1, 1, -2 }, 5);
	s = topic_stream(f->t, 1, &f->streams);
	tell(f, 3, 0, NULL, 0);
	assert_false(f->t->known);
	assert_int_equal(f->t->partition_count, 2);
	assert_ptr_equal(topic_stream(f->t, 1, &f->streams), s);
}

static void a_partition_without_leader_is_asked_for_again_and_a_new_leader_ends_the_wait(void **state)
{
	struct fixture *f = *state;
	struct stream *s;
	int64_t wake;

	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	s = topic_stream(f->t, 0, &f->streams);
	s->retry_at_ms = f->now + 100000;
	tell(f, 0, 1, (int32_t[]){ -1, -2 }, 5);
	assert_int_equal(topic_leader(f->t, 0), -1);
	assert_false(due(f, &wake));
	assert_in_range(wake - f->now, 80, 120);
	tell(f, 0, 1, (int32_t[]){ 2, -2 }, 6);
	assert_int_equal(s->retry_at_ms, 0);
	assert_false(due(f, &wake));
}

static void a_lost_request_is_repeated_after_a_pause(void **state)
{
	struct fixture *f = *state;
	int64_t wake;

	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	f->now += 10000;
	metadata_want_refresh(&f->m);
	assert_true(due(f, &wake));
	metadata_asked(&f->m);
	metadata_failed(&f->m, f->now);
	assert_false(due(f, &wake));
	assert_in_range(wake - f->now, 80, 120);
	f->now = wake;
	assert_true(due(f, &wake));
}

/* What a broker says again and again is not asked for every 100 ms. */
static void answers_without_news_are_asked_for_less_and_less_often(void **state)
{
	struct fixture *f = *state;
	int64_t wake;

	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	for (int i = 0; i < 8; i++) {
		metadata_want_refresh(&f->m);
		assert_false(due(f, &wake));
		f->now = wake;
		assert_true(due(f, &wake));
		tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	}
	metadata_want_refresh(&f->m);
	assert_false(due(f, &wake));
	assert_in_range(wake - f->now, 800, 1000);
	f->now = wake;
	tell(f, 0, 1, (int32_t[]){ 2, -2 }, 6);
	metadata_want_refresh(&f->m);
	assert_false(due(f, &wake));
	assert_in_range(wake - f->now, 80, 120);
}

static void a_topic_that_nobody_uses_is_left_out_until_it_is_used_again(void **state)
{
	struct fixture *f = *state;
	const char *names[4];
	int64_t wake;

	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	metadata_used(&f->m, f->t, f->now);
	f->now += 300000;
	assert_true(due(f, &wake));
	assert_int_equal(metadata_names(&f->m, f->now, names, 4), 0);
	tell(f, 0, 1, NULL, 0);
	f->m.fresh_ms = f->now;
	f->t->known = true;
	f->t->leaderless = true;
	f->t->ask_at_ms = 0;
	f->now += 1000;
	assert_false(due(f, &wake));
	f->t->leaderless = false;
	metadata_used(&f->m, f->t, f->now);
	assert_true(due(f, &wake));
	assert_int_equal(metadata_names(&f->m, f->now, names, 4), 1);
	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	assert_false(due(f, &wake));
}

static void it_starves_when_an_answer_is_wanted_and_none_comes(void **state)
{
	struct fixture *f = *state;
	int64_t wake = INT64_MAX;

	assert_false(metadata_starved(&f->m, false, 1000, f->now, &wake));
	assert_int_equal(wake, INT64_MAX);
	assert_false(metadata_starved(&f->m, true, 1000, f->now, &wake));
	assert_int_equal(wake, f->now + 1000);
	f->now += 999;
	metadata_asked(&f->m);
	assert_false(metadata_starved(&f->m, false, 1000, f->now, &wake));
	f->now++;
	assert_true(metadata_starved(&f->m, false, 1000, f->now, &wake));
	/* It begins again from there, and an answer ends it. */
	assert_false(metadata_starved(&f->m, false, 1000, f->now + 999, &wake));
	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	assert_false(metadata_starved(&f->m, true, 1000, f->now + 5000, &wake));
}

static void topic_names_follow_kafkas_rule(void **state)
{
	char long_one[251];

	(void)state;
	memset(long_one, 'a', sizeof long_one);
	long_one[250] = 0;
	assert_false(topic_name_valid(long_one));
	long_one[249] = 0;
	assert_true(topic_name_valid(long_one));
	assert_true(topic_name_valid("a.B_c-9"));
	assert_true(topic_name_valid("..."));
	assert_false(topic_name_valid(NULL));
	assert_false(topic_name_valid(""));
	assert_false(topic_name_valid("."));
	assert_false(topic_name_valid(".."));
	assert_false(topic_name_valid("a b"));
	assert_false(topic_name_valid("a/b"));
	assert_false(topic_name_valid("\xc3\xa4"));
}

static void cluster_ids_are_kept_for_batches_that_speak_of_them(void **state)
{
	struct fixture *f = *state;
	const char *old = metadata_keep_cluster_id(&f->m, "c0");

	assert_null(metadata_cluster_id(&f->m));
	assert_null(metadata_keep_cluster_id(&f->m, ""));
	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	assert_string_equal(metadata_cluster_id(&f->m), "c1");
	assert_ptr_equal(metadata_keep_cluster_id(&f->m, "c0"), old);
	assert_ptr_equal(metadata_keep_cluster_id(&f->m, "c1"), metadata_cluster_id(&f->m));
}

/* Old brokers send no ids, so nothing but its being of an earlier life says that the number may have fallen. */
static void a_number_of_an_earlier_life_holds_until_the_first_answer(void **state)
{
	for (uint8_t id = 0; id < 2; id++) {
		struct fixture *f;
		void *one;

		setup(&one);
		f = one;
		assert_int_equal(topic_restore(f->t, 0), ERR_BAD_DATA);
		assert_int_equal(topic_restore(f->t, 4), 0);
		assert_int_equal(f->t->partition_count, 4);
		assert_false(f->t->known);
		assert_int_equal(topic_leader(f->t, 3), -1);
		tell(f, 3, 0, NULL, 0);
		assert_int_equal(f->t->partition_count, 4);
		tell(f, 0, id, (int32_t[]){ 1, 2, -2 }, 5);
		assert_int_equal(f->t->partition_count, 2);
		tell(f, 0, id, (int32_t[]){ 1, -2 }, 5);
		assert_int_equal(f->t->partition_count, 2);
		teardown(&one);
	}
	(void)state;
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(asks_at_the_start_and_again_when_the_view_is_old),
		T(an_unknown_topic_is_asked_for_again_with_growing_pauses),
		T(an_older_epoch_is_not_believed),
		T(a_topic_made_anew_starts_with_new_epochs_and_cold_streams),
		T(a_topic_that_was_left_does_not_come_back_by_one_answer),
		T(a_topic_that_vanishes_keeps_its_partitions_and_streams),
		T(a_partition_without_leader_is_asked_for_again_and_a_new_leader_ends_the_wait),
		T(a_lost_request_is_repeated_after_a_pause),
		T(answers_without_news_are_asked_for_less_and_less_often),
		T(a_topic_that_nobody_uses_is_left_out_until_it_is_used_again),
		T(it_starves_when_an_answer_is_wanted_and_none_comes),
		T(topic_names_follow_kafkas_rule),
		T(cluster_ids_are_kept_for_batches_that_speak_of_them),
		cmocka_unit_test(a_number_of_an_earlier_life_holds_until_the_first_answer),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

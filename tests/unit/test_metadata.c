/* test_metadata.c - what the producer believes of the cluster, and when it asks. */
#include "tests/lib/unit.h"

#include <string.h>

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

	metadata_init(&f->m, &(struct metadata_conf){ .max_age_ms = 300000, .backoff_ms = 100, .backoff_max_ms = 1000, .rng = 1 });
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

	tell(f, 0, 1, (int32_t[]){ 1, -2 }, 5);
	s = topic_stream(f->t, 0, &f->streams);
	s->warm = true;
	s->next_sequence = 42;
	tell(f, 0, 2, (int32_t[]){ 2, -2 }, 0);
	assert_int_equal(topic_leader(f->t, 0), 2);
	assert_false(s->warm);
	assert_int_equal(s->next_sequence, 42);
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

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(asks_at_the_start_and_again_when_the_view_is_old),
		T(an_unknown_topic_is_asked_for_again_with_growing_pauses),
		T(an_older_epoch_is_not_believed),
		T(a_topic_made_anew_starts_with_new_epochs_and_cold_streams),
		T(a_topic_that_vanishes_keeps_its_partitions_and_streams),
		T(a_partition_without_leader_is_asked_for_again_and_a_new_leader_ends_the_wait),
		T(a_lost_request_is_repeated_after_a_pause),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

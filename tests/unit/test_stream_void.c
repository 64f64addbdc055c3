/* test_stream_void.c - batches whose topic was made anew, or that another cluster's journal knows, become new data. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/mem.h"
#include "producer/stream.h"

#define OLD 1
#define NEW 2

struct fixture {
	struct stream_conf conf;
	struct stream s;
	struct chunk chunk;
	struct batch b[4];
	struct list done;
	struct stream_id id, fresh;
	int64_t wake;
};

static const uint8_t *id_of(int n)
{
	static uint8_t id[3][16];

	memset(id[n], n, sizeof id[n]);
	return id[n];
}

static void open_stream(struct fixture *f, bool journaled, bool idempotent)
{
	f->conf = (struct stream_conf){ .in_flight = 5, .window = 8, .idempotent = idempotent, .journaled = journaled,
		.retries = 100, .backoff_ms = 100, .backoff_max_ms = 1000, .hold_ms = 2000, .hold_max_ms = 30000, .slow_ms = 1000,
		.forget_ms = 1000000, .rng = 1 };
	stream_init(&f->s, &f->conf, "t", 0);
}

static int setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	list_init(&f->done);
	f->id = (struct stream_id){ 10, 0 };
	f->fresh = (struct stream_id){ 11, 0 };
	for (size_t i = 0; i < COUNT(f->b); i++) {
		f->b[i] = (struct batch){ .count = 10, .chunks = &f->chunk, .cluster_id = "c" };
		memcpy(f->b[i].topic_id, id_of(OLD), 16);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->s.count = 0;
	stream_release(&f->s);
	mem_free(f);
	return 0;
}

/* Warm, with n batches sent. */
static void send(struct fixture *f, uint32_t n)
{
	f->s.id = f->id;
	f->s.warm = true;
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(stream_take(&f->s, &f->b[i], &f->id, 1, 0), 0);
		if (f->conf.journaled)
			stream_planned(&f->s, &f->b[i], 0, 0);
	}
	for (uint32_t i = 0; i < n; i++)
		stream_sent(&f->s, stream_next(&f->s, 0, &f->wake), 0);
}

static bool check(struct fixture *f)
{
	return stream_void_check(&f->s, id_of(NEW), "c");
}

static bool settle(struct fixture *f)
{
	return stream_void_settle(&f->s, id_of(NEW), "c");
}

static void nothing_leaves_until_all_that_is_on_a_socket_is_answered(void **state)
{
	struct fixture *f = *state;

	open_stream(f, true, true);
	send(f, 3);
	assert_false(stream_void_check(&f->s, id_of(OLD), "c"));
	assert_true(check(f));
	assert_false(check(f));
	assert_false(settle(f));
	assert_false(stream_can_take(&f->s, &f->fresh, 2));
	/* The old log took the first, the second's topic is not there any more, the third was lost with its connection. */
	stream_answer(&f->s, &f->b[0], 0, 5, -1, 1, &f->done);
	stream_answer(&f->s, &f->b[1], 100, -1, -1, 1, &f->done);
	assert_null(stream_next(&f->s, 100000, &f->wake));
	assert_false(settle(f));
	stream_lost(&f->s, &f->b[2], true, 1, &f->done);
	assert_null(stream_next(&f->s, 100000, &f->wake));
	assert_true(settle(f));
	assert_false(settle(f));
	assert_int_equal(f->s.count, 2);
	assert_ptr_equal(list_first(&f->done, struct batch, node), &f->b[0]);
	/* The same id would not do. */
	assert_false(stream_renew(&f->s, &f->id, 2));
	assert_true(stream_renew(&f->s, &f->fresh, 2));
	assert_int_equal(f->b[1].state, BATCH_PLANNING);
	assert_int_equal(f->b[1].producer_id, 11);
	assert_int_equal(f->b[1].base_sequence, 0);
	assert_int_equal(f->b[2].base_sequence, 10);
	assert_memory_equal(f->b[2].topic_id, id_of(NEW), 16);
	assert_false(f->b[2].maybe_written);
	assert_false(stream_void_check(&f->s, id_of(NEW), "c"));
	stream_check(&f->s);
}

static void what_an_earlier_life_left_is_new_data_for_the_new_topic(void **state)
{
	struct fixture *f = *state;

	open_stream(f, true, true);
	for (int i = 0; i < 3; i++) {
		f->b[i].producer_id = 7;
		f->b[i].base_sequence = 100 + i * 10;
		assert_int_equal(stream_restore(&f->s, &f->b[i]), 0);
	}
	assert_true(check(f));
	assert_null(stream_next(&f->s, 0, &f->wake));
	assert_true(settle(f));
	assert_true(stream_renew(&f->s, &f->id, 0));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(f->b[i].producer_id, 10);
		assert_int_equal(f->b[i].base_sequence, i * 10);
		stream_planned(&f->s, &f->b[i], 0, 0);
	}
	/* Cold: the first alone. */
	stream_sent(&f->s, stream_next(&f->s, 0, &f->wake), 0);
	assert_null(stream_next(&f->s, 0, &f->wake));
	stream_check(&f->s);
}

static void another_cluster_voids_and_an_unknown_one_does_not(void **state)
{
	struct fixture *f = *state;

	open_stream(f, true, true);
	assert_int_equal(stream_restore(&f->s, &f->b[0]), 0);
	assert_false(stream_void_check(&f->s, id_of(OLD), NULL));
	assert_false(stream_void_check(&f->s, id_of(OLD), "c"));
	f->b[0].cluster_id = NULL;
	assert_false(stream_void_check(&f->s, id_of(OLD), "d"));
	f->b[0].cluster_id = "c";
	assert_true(stream_void_check(&f->s, id_of(OLD), "d"));
	assert_true(stream_void_settle(&f->s, id_of(OLD), "d"));
	assert_string_equal(f->b[0].cluster_id, "d");
}

static void topics_without_ids_are_never_void(void **state)
{
	struct fixture *f = *state;

	open_stream(f, true, true);
	assert_int_equal(stream_restore(&f->s, &f->b[0]), 0);
	assert_false(stream_void_check(&f->s, id_of(0), "c"));
	memset(f->b[0].topic_id, 0, 16);
	assert_false(stream_void_check(&f->s, id_of(NEW), "c"));
	assert_false(settle(f));
	assert_ptr_equal(stream_next(&f->s, 0, &f->wake), &f->b[0]);
}

static void what_is_being_recorded_is_waited_for(void **state)
{
	struct fixture *f = *state;

	open_stream(f, true, true);
	assert_int_equal(stream_take(&f->s, &f->b[0], &f->id, 1, 0), 0);
	assert_true(check(f));
	assert_false(settle(f));
	stream_planned(&f->s, &f->b[0], 0, 0);
	assert_true(settle(f));
	assert_true(stream_renew(&f->s, &f->fresh, 0));
}

static void without_idempotence_the_same_batches_go_to_the_new_topic(void **state)
{
	struct fixture *f = *state;

	open_stream(f, false, false);
	send(f, 2);
	assert_true(check(f));
	stream_answer(&f->s, &f->b[0], 100, -1, -1, 0, &f->done);
	stream_answer(&f->s, &f->b[1], 100, -1, -1, 0, &f->done);
	assert_true(settle(f));
	assert_ptr_equal(stream_next(&f->s, 0, &f->wake), &f->b[0]);
	assert_memory_equal(f->b[0].topic_id, id_of(NEW), 16);
	assert_int_equal(f->b[0].producer_id, -1);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(nothing_leaves_until_all_that_is_on_a_socket_is_answered),
		T(what_an_earlier_life_left_is_new_data_for_the_new_topic),
		T(another_cluster_voids_and_an_unknown_one_does_not),
		T(topics_without_ids_are_never_void),
		T(what_is_being_recorded_is_waited_for),
		T(without_idempotence_the_same_batches_go_to_the_new_topic),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

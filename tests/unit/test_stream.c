/* test_stream.c - the rules of one partition: order, warm-up, recovery, judging, renewing. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/stream.h"

#define BATCHES_MAX 24

struct fixture {
	struct stream_conf conf;
	struct stream s;
	struct stream_id id;
	struct budget *m;
	struct batch *b[BATCHES_MAX];	/* in the order they joined */
	int n;
	struct list done;
	int64_t now;
	uint64_t round;
};

static int open_(void **state, bool journaled)
{
	struct fixture *f = mem_new(struct fixture);

	f->conf = (struct stream_conf){
		.in_flight = 5, .idempotent = true, .journaled = journaled, .retries = 1000000, .backoff_ms = 100,
		.backoff_max_ms = 1000, .hold_ms = 2000, .hold_max_ms = 30000, .slow_ms = 1000, .forget_ms = 1000000, .rng = 1,
	};
	f->now = 1000000;
	f->id = (struct stream_id){ 7, 0 };
	assert_int_equal(budget_new(&f->m, 64 * CHUNK_BYTES, 0), 0);
	stream_init(&f->s, &f->conf, "t", 0);
	list_init(&f->done);
	*state = f;
	return 0;
}

static int open_journaled(void **state) { return open_(state, true); }
static int open_plain(void **state) { return open_(state, false); }

static int close_(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < f->n; i++)
		batch_free(f->b[i], f->m);
	f->s.count = 0;
	stream_release(&f->s);
	budget_free(f->m);
	mem_free(f);
	return 0;
}

static struct batch *make(struct fixture *f, int32_t count)
{
	struct batch *b = batch_new(f->now, f->now);

	assert_true(f->n < BATCHES_MAX);
	for (int32_t i = 0; i < count; i++)
		assert_int_equal(batch_append(b, f->m, BUDGET_APPEND, f->now, NULL, 0, "x", 1, NULL, 0, -1), 0);
	batch_seal_crc(b);
	b->state = BATCH_READY;
	f->b[f->n++] = b;
	return b;
}

static void join(struct fixture *f, int32_t count)
{
	struct batch *b = make(f, count);

	f->round++;
	assert_true(stream_can_take(&f->s, &f->id, f->round));
	assert_int_equal(stream_take(&f->s, b, &f->id, f->round, f->now), 0);
	if (f->conf.journaled)
		stream_planned(&f->s, b, 0, f->now);
	stream_check(&f->s);
}

/* The next batch that may go at this time, as an index, or -1. It is sent. */
static int send_next(struct fixture *f)
{
	int64_t wake = INT64_MAX;
	struct batch *b = stream_next(&f->s, f->now, &wake);

	if (!b)
		return -1;
	stream_sent(&f->s, b, f->now);
	stream_check(&f->s);
	for (int i = 0; i < f->n; i++)
		if (f->b[i] == b)
			return i;
	return -2;
}

static void answer(struct fixture *f, int i, int16_t code)
{
	stream_answer(&f->s, f->b[i], code, 100 + i, -1, f->now, &f->done);
	stream_check(&f->s);
}

static void lose(struct fixture *f, int i)
{
	stream_lost(&f->s, f->b[i], true, f->now, &f->done);
	stream_check(&f->s);
}

static bool finished(struct fixture *f, int i)
{
	return f->b[i]->state == BATCH_ACKED;
}

/* An identity that is known to the broker, and n batches of 10 sent behind it: indexes 1 to n. */
static void warm_and_send(struct fixture *f, int n)
{
	join(f, 10);
	assert_int_equal(send_next(f), 0);
	answer(f, 0, 0);
	for (int i = 1; i <= n; i++)
		join(f, 10);
	for (int i = 1; i <= n; i++)
		assert_int_equal(send_next(f), i);
}

static void lose_all(struct fixture *f, int n)
{
	for (int i = 1; i <= n; i++)
		lose(f, i);
}

/* --- flowing --- */

static void first_batch_of_an_identity_travels_alone_until_acknowledged(void **state)
{
	struct fixture *f = *state;

	join(f, 3);
	join(f, 4);
	assert_int_equal(send_next(f), 0);
	assert_int_equal(send_next(f), -1);
	answer(f, 0, 0);
	assert_int_equal(send_next(f), 1);
	assert_int_equal(f->b[1]->base_sequence, 3);
}

static void five_are_in_flight_and_eight_are_planned_at_most(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 5);
	join(f, 1);
	join(f, 1);
	join(f, 1);
	assert_int_equal(send_next(f), -1);
	assert_false(stream_can_take(&f->s, &f->id, ++f->round));
	answer(f, 1, 0);
	assert_int_equal(send_next(f), 6);
	assert_true(stream_can_take(&f->s, &f->id, ++f->round));
}

static void sequences_wrap_at_two_to_the_31(void **state)
{
	struct fixture *f = *state;

	join(f, 1);
	send_next(f);
	answer(f, 0, 0);
	f->s.next_sequence = INT32_MAX - 3;
	join(f, 10);
	join(f, 5);
	assert_int_equal(f->b[1]->base_sequence, INT32_MAX - 3);
	assert_int_equal(f->b[2]->base_sequence, 6);
	assert_int_equal(stream_sequence_after(INT32_MAX, 1), 0);
}

static void nothing_more_joins_while_the_journal_records_an_earlier_round(void **state)
{
	struct fixture *f = *state;
	struct batch *a = make(f, 1), *b = make(f, 1);

	assert_true(stream_can_take(&f->s, &f->id, 1));
	assert_int_equal(stream_take(&f->s, a, &f->id, 1, f->now), 0);
	assert_true(stream_can_take(&f->s, &f->id, 1));
	assert_false(stream_can_take(&f->s, &f->id, 2));
	assert_int_equal(send_next(f), -1);
	stream_planned(&f->s, a, ERR_IO, f->now);
	assert_int_equal(a->state, BATCH_PLANNING);
	assert_true(a->retry_at_ms > f->now);
	assert_false(stream_can_take(&f->s, &f->id, 3));
	stream_planned(&f->s, a, 0, f->now);
	assert_true(stream_can_take(&f->s, &f->id, 4));
	assert_int_equal(stream_take(&f->s, b, &f->id, 4, f->now), 0);
	assert_int_equal(send_next(f), 0);
}

/* --- recovery --- */

static void after_a_lost_connection_the_oldest_goes_alone_and_nothing_new_joins(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	lose_all(f, 3);
	assert_false(stream_can_take(&f->s, &f->id, ++f->round));
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(send_next(f), i);
		assert_int_equal(send_next(f), -1);
		answer(f, i, 0);
		assert_true(finished(f, i));
	}
	assert_true(stream_can_take(&f->s, &f->id, ++f->round));
}

static void four_45_and_a_success_prove_all_five_written(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 5);
	lose_all(f, 5);
	for (int i = 1; i <= 4; i++) {
		assert_int_equal(send_next(f), i);
		answer(f, i, 45);
		assert_false(finished(f, i));
	}
	assert_int_equal(send_next(f), 5);
	answer(f, 5, 0);
	for (int i = 1; i <= 5; i++)
		assert_true(finished(f, i));
	/* In order. */
	int k = 0;
	list_each(it, &f->done)
		assert_ptr_equal(list_entry(it, struct batch, node), f->b[k++]);
	assert_int_equal(k, 6);
	assert_int_equal(f->b[1]->base_sequence, 10);
	assert_true(stream_can_take(&f->s, &f->id, ++f->round));
}

static void only_45_holds_the_stream_and_tries_again_slowly_with_the_same_identity(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	lose_all(f, 3);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(send_next(f), i);
		answer(f, i, 45);
	}
	assert_true(stream_held(&f->s));
	assert_int_equal(send_next(f), -1);
	assert_false(stream_can_take(&f->s, &f->id, ++f->round));
	f->now += 60000;
	assert_int_equal(send_next(f), 1);
	assert_int_equal(f->b[1]->base_sequence, 10);
	assert_int_equal(f->b[1]->producer_epoch, 0);
	answer(f, 1, 0);
	assert_false(stream_held(&f->s));
}

static void successes_then_45_sends_the_rest_again(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	lose_all(f, 3);
	send_next(f);
	answer(f, 1, 0);
	send_next(f);
	answer(f, 2, 0);
	send_next(f);
	answer(f, 3, 45);
	assert_false(stream_held(&f->s));
	f->now += 5000;
	assert_int_equal(send_next(f), 3);
	answer(f, 3, 0);
	assert_true(finished(f, 3));
}

static void a_refusal_in_the_pipeline_repairs_itself_in_order(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	answer(f, 1, 19);	/* NOT_ENOUGH_REPLICAS: not written, so those behind it are gaps */
	assert_int_equal(send_next(f), -1);
	answer(f, 2, 45);
	answer(f, 3, 45);
	f->now += 5000;
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(send_next(f), i);
		answer(f, i, 0);
		assert_true(finished(f, i));
	}
}

static void timed_out_but_a_later_one_was_taken_then_45_is_written(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	answer(f, 1, 7);	/* REQUEST_TIMED_OUT: may be written */
	answer(f, 2, 0);	/* joined behind it: so it is */
	f->now += 5000;
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 45);
	assert_true(finished(f, 1));
	assert_int_equal(f->b[1]->offset, -1);
	assert_false(stream_held(&f->s));
}

static void what_never_left_is_not_part_of_recovery(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 1);
	join(f, 10);
	stream_lost(&f->s, f->b[1], false, f->now, &f->done);
	assert_int_equal(f->b[1]->attempts, 0);
	assert_false(f->s.recovering);
	assert_int_equal(send_next(f), 1);
	assert_int_equal(send_next(f), 2);
}

static void backoff_grows_and_a_new_leader_ends_it(void **state)
{
	struct fixture *f = *state;
	int64_t wake = INT64_MAX, first;

	warm_and_send(f, 1);
	answer(f, 1, 6);
	assert_null(stream_next(&f->s, f->now, &wake));
	first = wake - f->now;
	assert_in_range(first, 80, 120);
	f->now = wake;
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 6);
	wake = INT64_MAX;
	assert_null(stream_next(&f->s, f->now, &wake));
	assert_in_range(wake - f->now, 160, 240);
	stream_nudge(&f->s);
	assert_int_equal(send_next(f), 1);
}

/* --- an earlier life --- */

static void restored_batches_go_first_then_the_stream_renews(void **state)
{
	struct fixture *f = *state;
	struct batch *old[2] = { make(f, 4), make(f, 6) };

	for (int i = 0; i < 2; i++) {
		old[i]->producer_id = 3;
		old[i]->producer_epoch = 2;
		old[i]->base_sequence = i ? 104 : 100;
		old[i]->partition = 0;
		assert_int_equal(stream_restore(&f->s, old[i]), 0);
	}
	stream_check(&f->s);
	assert_false(stream_can_take(&f->s, &f->id, 1));
	assert_int_equal(send_next(f), 0);
	assert_int_equal(send_next(f), -1);
	answer(f, 0, 45);
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 0);
	assert_true(finished(f, 0) && finished(f, 1));
	assert_int_equal(old[0]->producer_id, 3);
	join(f, 5);
	assert_int_equal(f->b[2]->producer_id, 7);
	assert_int_equal(f->b[2]->base_sequence, 0);
	join(f, 5);
	assert_int_equal(send_next(f), 2);
	assert_int_equal(send_next(f), -1);	/* warm-up of the new one */
}

static void a_refused_record_holds_with_a_journal(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	answer(f, 1, 87);
	answer(f, 2, 45);
	assert_true(stream_held(&f->s));
	assert_int_equal(f->s.hold_code, 87);
	f->now += 60000;
	assert_int_equal(send_next(f), 1);
	assert_int_equal(f->b[1]->base_sequence, 10);
}

/* --- without a journal --- */

static void a_refused_record_fails_and_the_rest_gets_a_new_epoch(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	answer(f, 1, 87);
	assert_true(finished(f, 1));
	assert_int_equal(f->b[1]->error, 87);
	assert_int_equal(send_next(f), -1);	/* not before the others are answered */
	answer(f, 2, 45);
	answer(f, 3, 45);
	/* One more look at what was sent, alone: it answers 45 again, so it is not written. */
	assert_int_equal(send_next(f), 2);
	answer(f, 2, 45);
	assert_int_equal(send_next(f), 3);
	answer(f, 3, 45);
	assert_int_equal(f->b[2]->producer_epoch, 1);
	assert_int_equal(f->b[2]->base_sequence, 0);
	assert_int_equal(f->b[3]->base_sequence, 10);
	assert_int_equal(send_next(f), 2);
	answer(f, 2, 0);
	assert_int_equal(send_next(f), 3);
	answer(f, 3, 0);
	assert_true(finished(f, 2) && finished(f, 3));
}

static void expiry_fails_the_oldest_only_when_it_is_on_no_socket(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 1);
	join(f, 10);
	stream_expire(&f->s, f->now + 1, f->now, &f->done);
	assert_false(finished(f, 1));
	lose(f, 1);
	stream_expire(&f->s, f->now + 1, f->now, &f->done);
	assert_true(finished(f, 1) && finished(f, 2));
	assert_int_equal(f->b[1]->error, 7);
	join(f, 3);
	assert_int_equal(f->b[3]->producer_epoch, 1);
	assert_int_equal(f->b[3]->base_sequence, 0);
}

static void the_last_epoch_is_followed_by_a_new_producer_id(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 1);
	join(f, 10);
	f->s.id.epoch = INT16_MAX;
	answer(f, 1, 87);
	assert_true(f->s.need_id);
	assert_int_equal(send_next(f), -1);
	f->id = (struct stream_id){ 8, 0 };
	stream_renew(&f->s, &f->id, f->now);
	assert_int_equal(f->b[2]->producer_id, 8);
	assert_int_equal(f->b[2]->base_sequence, 0);
	assert_int_equal(send_next(f), 2);
}

#define J(t) cmocka_unit_test_setup_teardown(t, open_journaled, close_)
#define P(t) cmocka_unit_test_setup_teardown(t, open_plain, close_)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		J(first_batch_of_an_identity_travels_alone_until_acknowledged),
		J(five_are_in_flight_and_eight_are_planned_at_most),
		J(sequences_wrap_at_two_to_the_31),
		J(nothing_more_joins_while_the_journal_records_an_earlier_round),
		J(after_a_lost_connection_the_oldest_goes_alone_and_nothing_new_joins),
		J(four_45_and_a_success_prove_all_five_written),
		J(only_45_holds_the_stream_and_tries_again_slowly_with_the_same_identity),
		J(successes_then_45_sends_the_rest_again),
		J(a_refusal_in_the_pipeline_repairs_itself_in_order),
		J(timed_out_but_a_later_one_was_taken_then_45_is_written),
		J(what_never_left_is_not_part_of_recovery),
		J(backoff_grows_and_a_new_leader_ends_it),
		J(restored_batches_go_first_then_the_stream_renews),
		J(a_refused_record_holds_with_a_journal),
		P(a_refused_record_fails_and_the_rest_gets_a_new_epoch),
		P(expiry_fails_the_oldest_only_when_it_is_on_no_socket),
		P(the_last_epoch_is_followed_by_a_new_producer_id),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

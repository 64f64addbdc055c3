/* test_stream.c - the rules of one partition: order, warm-up, recovery, judging, renewing. */
#include "tests/lib/unit.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/api.h"
#include "producer/evidence.h"
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
		.in_flight = 5, .window = 8, .idempotent = true, .journaled = journaled, .retries = 1000000, .backoff_ms = 100,
		.backoff_max_ms = 1000, .hold_ms = 2000, .hold_max_ms = 30000, .slow_ms = 1000, .forget_ms = 1000000,
		.young_ms = 1000000, .rng = 1,
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

static void five_are_in_flight_and_a_window_is_planned_at_most(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 5);
	while (f->s.count < f->conf.window)
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

/* A verdict on what is in doubt, as evidence.c would give it; found: so many of the oldest are in the log. */
static void decide(struct fixture *f, enum evidence_verdict v, uint32_t found)
{
	struct evidence *e;

	assert_true(stream_doubt_ready(&f->s));
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	e = f->s.evidence;
	for (uint32_t i = 0; i < found; i++) {
		e->items[i].found = true;
		e->items[i].offset = 500 + i;
	}
	e->step = EVIDENCE_DONE;
	e->verdict = v;
	stream_doubt_end(&f->s, 1, f->now, &f->done);
	stream_check(&f->s);
}

/* Nothing but 45, as often as there is something to send. */
static void answer_45(struct fixture *f, int n)
{
	for (int i = 1; i <= n; i++) {
		assert_int_equal(send_next(f), i);
		answer(f, i, 45);
	}
}

static void only_45_asks_for_evidence_and_sends_nothing_meanwhile(void **state)
{
	struct fixture *f = *state;
	char text[400];

	warm_and_send(f, 3);
	lose_all(f, 3);
	answer_45(f, 3);
	assert_int_equal(f->s.doubt, DOUBT_ANSWERS);
	assert_true(stream_held(&f->s));
	assert_non_null(strstr(stream_hold_text(&f->s, text, sizeof text), "OUT_OF_ORDER_SEQUENCE_NUMBER: the answers do not"));
	f->now += 60000;
	assert_int_equal(send_next(f), -1);
	assert_false(stream_can_take(&f->s, &f->id, ++f->round));
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	assert_true(f->s.evidence->conf.trust);
	assert_false(f->s.evidence->conf.resend);
	assert_non_null(strstr(stream_hold_text(&f->s, text, sizeof text), "it asks what its leader has of 3 batches"));
}

static void a_living_identity_goes_on_and_is_believed_once(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	lose_all(f, 2);
	answer_45(f, 2);
	decide(f, EVIDENCE_ALIVE, 0);
	assert_false(stream_held(&f->s));
	assert_int_equal(f->s.vouched_by, 1);
	f->now += 5000;
	answer_45(f, 2);
	assert_int_equal(f->s.doubt, DOUBT_ANSWERS);
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	assert_false(f->s.evidence->conf.trust);
	f->s.evidence->step = EVIDENCE_DONE;
	f->s.evidence->verdict = EVIDENCE_ALIVE;
	stream_doubt_end(&f->s, 1, f->now, &f->done);
	f->now += 5000;
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 0);
	assert_int_equal(f->s.trusts, 0);
	assert_int_equal(f->b[1]->base_sequence, 10);
}

static void what_is_found_is_acknowledged_and_what_is_absent_gets_a_fresh_identity(void **state)
{
	struct fixture *f = *state;
	struct stream_id fresh = { 8, 0 };

	warm_and_send(f, 3);
	lose_all(f, 3);
	answer_45(f, 3);
	decide(f, EVIDENCE_ABSENT, 2);
	assert_true(finished(f, 1) && finished(f, 2));
	assert_int_equal(f->b[1]->offset, 500);
	assert_int_equal(f->b[1]->error, 0);
	assert_int_equal(f->s.last_offset, 501 + 9);
	assert_false(finished(f, 3));
	assert_true(f->s.need_id);
	assert_false(f->b[3]->uncertain);
	assert_int_equal(send_next(f), -1);
	assert_false(stream_renew(&f->s, &f->id, f->now));
	assert_true(stream_renew(&f->s, &fresh, f->now));
	assert_int_equal(f->b[3]->state, BATCH_PLANNING);
	stream_planned(&f->s, f->b[3], 0, f->now);
	assert_int_equal(send_next(f), 3);
	assert_int_equal(f->b[3]->producer_id, 8);
	assert_int_equal(f->b[3]->base_sequence, 0);
}

static void what_nobody_can_tell_of_is_recorded_as_uncertain(void **state)
{
	struct fixture *f = *state;
	struct stream_id fresh = { 8, 0 };

	warm_and_send(f, 2);
	lose(f, 1);
	answer(f, 2, 19);	/* this one is not there, for certain */
	f->now += 5000;
	answer_45(f, 2);
	decide(f, EVIDENCE_UNKNOWN, 0);
	assert_true(f->b[1]->uncertain);
	assert_false(f->b[2]->uncertain);
	assert_true(stream_renew(&f->s, &fresh, f->now));
	stream_planned(&f->s, f->b[1], ERR_IO, f->now);
	assert_true(f->b[1]->uncertain);
	stream_planned(&f->s, f->b[1], 0, f->now);
	assert_false(f->b[1]->uncertain);
}

static void what_is_not_in_the_log_goes_again_under_its_identity_when_that_can_go_on(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	lose_all(f, 3);
	stream_doubt(&f->s, DOUBT_BEFORE, 0, f->now);
	assert_false(stream_held(&f->s));
	decide(f, EVIDENCE_SCANNED, 1);
	assert_true(finished(f, 1));
	assert_int_equal(send_next(f), 2);
	assert_int_equal(send_next(f), -1);
	assert_int_equal(f->b[2]->base_sequence, 20);
	answer(f, 2, 0);
	assert_int_equal(send_next(f), 3);
	answer(f, 3, 0);
	assert_false(f->s.recovering);
}

static void when_all_is_found_the_stream_flows_again(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	lose_all(f, 3);
	stream_doubt(&f->s, DOUBT_BEFORE, 0, f->now);
	decide(f, EVIDENCE_SCANNED, 3);
	assert_true(stream_can_take(&f->s, &f->id, ++f->round));
	assert_int_equal(f->s.next_sequence, 40);
	/* The broker may know nothing of it: alone until it is acknowledged. */
	join(f, 10);
	join(f, 10);
	assert_int_equal(send_next(f), 4);
	assert_int_equal(send_next(f), -1);
}

static void a_verdict_holds_until_another_attempt_may_be_written(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	lose_all(f, 2);
	stream_doubt(&f->s, DOUBT_BEFORE, 0, f->now);
	decide(f, EVIDENCE_ALIVE, 0);
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 19);
	assert_int_equal(f->s.vouched_by, 1);
	f->now += 5000;
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 7);
	assert_int_equal(f->s.vouched_by, 0);
	stream_doubt(&f->s, DOUBT_BEFORE, 0, f->now);
	decide(f, EVIDENCE_ALIVE, 0);
	f->now += 5000;
	assert_int_equal(send_next(f), 1);
	lose(f, 1);
	assert_int_equal(f->s.vouched_by, 0);
	assert_int_equal(f->s.loose_ms, f->now);
}

static void an_earlier_request_may_come_until_it_has_settled(void **state)
{
	struct fixture *f = *state;

	f->conf.started_ms = 5000;
	f->conf.settle_ms = 90000;
	warm_and_send(f, 1);
	f->now += 7;
	lose(f, 1);
	f->now += 1000;
	stream_doubt(&f->s, DOUBT_BEFORE, 0, f->now);
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	assert_int_equal(f->s.evidence->conf.settle_at_ms, f->now - 1000 + 90000);
	stream_doubt_drop(&f->s);
	f->s.loose_ms = 0;
	f->s.restored = true;
	stream_doubt(&f->s, DOUBT_BEFORE, 0, f->now);
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	assert_int_equal(f->s.evidence->conf.settle_at_ms, 95000);
}

static void what_is_young_was_made_after_the_broker_could_forget(void **state)
{
	struct fixture *f = *state;

	f->conf.young_ms = 1000;
	warm_and_send(f, 2);
	f->b[1]->max_timestamp = f->now - 10000;
	assert_true(stream_young(&f->s, f->now));	/* nothing of it may be written */
	assert_false(stream_any_maybe(&f->s));
	lose_all(f, 2);
	assert_true(stream_any_maybe(&f->s));
	assert_false(stream_young(&f->s, f->now));
	f->b[1]->max_timestamp = f->now - 999;
	assert_true(stream_young(&f->s, f->now));
	f->b[1]->max_timestamp = f->now + 60001;	/* clocks that differ so much tell nothing */
	assert_false(stream_young(&f->s, f->now));
	f->b[1]->max_timestamp = f->now;
	f->s.age_unknown = true;
	assert_false(stream_young(&f->s, f->now));
	send_next(f);
	answer(f, 1, 0);
	assert_true(stream_young(&f->s, f->now));
}

/* --- another log --- */

static void what_may_be_in_another_cluster_is_uncertain_in_this_one(void **state)
{
	static const uint8_t here[16] = { 1 };
	struct fixture *f = *state;

	warm_and_send(f, 2);
	for (int i = 1; i <= 2; i++)
		f->b[i]->cluster_id = "there";
	lose(f, 1);
	answer(f, 2, 19);
	stream_doubt(&f->s, DOUBT_BEFORE, 0, f->now);
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	assert_true(stream_void_check(&f->s, here, "here"));
	assert_true(stream_void_settle(&f->s, here, "here"));
	assert_int_equal(f->s.doubt, DOUBT_NONE);
	assert_null(f->s.evidence);
	assert_true(f->b[1]->uncertain);
	assert_false(f->b[2]->uncertain);
}

static void what_was_in_a_topic_that_was_deleted_is_not(void **state)
{
	static const uint8_t old[16] = { 1 }, anew[16] = { 2 };
	struct fixture *f = *state;

	warm_and_send(f, 1);
	f->b[1]->cluster_id = "here";
	memcpy(f->b[1]->topic_id, old, 16);
	lose(f, 1);
	f->s.last_offset = 500;
	stream_forgotten(&f->s);
	assert_int_equal(f->s.last_offset, -1);	/* offsets begin anew: no alarm */
	assert_true(stream_void_check(&f->s, anew, "here"));
	assert_true(stream_void_settle(&f->s, anew, "here"));
	assert_false(f->b[1]->uncertain);
}

static void a_question_is_put_again_when_one_of_its_batches_is_given_up(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 1);
	lose(f, 1);
	stream_doubt(&f->s, DOUBT_BEFORE, 0, f->now);
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	stream_abandon(&f->s, f->b[1], ERR_CORRUPT, f->now, &f->done);
	assert_null(f->s.evidence);
	stream_doubt_over(&f->s, f->now);
	assert_true(stream_can_take(&f->s, &f->id, ++f->round));
}

static void one_that_is_given_up_unsent_leaves_no_gap_in_the_sequences(void **state)
{
	struct fixture *f = *state;
	const struct stream_id next = { 8, 0 };

	warm_and_send(f, 1);
	join(f, 10);
	join(f, 10);
	/* Its row was damaged before it was ever sent: the broker would take what stands behind it for a gap. */
	stream_abandon(&f->s, f->b[2], ERR_CORRUPT, f->now, &f->done);
	assert_int_equal(send_next(f), -1);
	assert_false(stream_can_take(&f->s, &f->id, ++f->round));
	answer(f, 1, 0);
	assert_int_equal(send_next(f), -1);
	assert_true(stream_renew(&f->s, &next, f->now));
	stream_planned(&f->s, f->b[3], 0, f->now);
	assert_int_equal(f->b[3]->base_sequence, 0);
	assert_int_equal(send_next(f), 3);
	answer(f, 3, 0);
	assert_true(finished(f, 3));
}

static void nor_when_what_is_before_it_gets_lost(void **state)
{
	struct fixture *f = *state;
	const struct stream_id next = { 8, 0 };

	warm_and_send(f, 1);
	join(f, 10);
	stream_abandon(&f->s, f->b[2], ERR_CORRUPT, f->now, &f->done);
	lose(f, 1);
	assert_false(f->s.need_id);		/* it has to be drained under the old one first */
	assert_false(stream_renew(&f->s, &next, f->now));
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 0);
	assert_true(finished(f, 1));
	assert_false(stream_can_take(&f->s, &f->id, ++f->round));
	f->id = next;
	join(f, 10);
	assert_int_equal(f->b[3]->base_sequence, 0);
	assert_int_equal(send_next(f), 3);
}

/* --- the alarm --- */

static void answer_with(struct fixture *f, int i, int64_t offset, int64_t append_time)
{
	stream_answer(&f->s, f->b[i], 0, offset, append_time, f->now, &f->done);
	stream_check(&f->s);
}

static void a_first_attempt_that_is_answered_like_a_repeat_acknowledges_nothing(void **state)
{
	struct fixture *f = *state;
	char text[400];

	warm_and_send(f, 3);
	f->s.create_time = true;
	answer_with(f, 1, 500, 12345);
	assert_false(finished(f, 1));
	assert_int_equal(f->s.doubt, DOUBT_ALARM);
	assert_non_null(strstr(stream_hold_text(&f->s, text, sizeof text), "another writer uses our producer id"));
	assert_false(stream_doubt_ready(&f->s));
	/* Nor do those behind it, whatever they are answered: they would prove it. */
	answer_with(f, 2, 510, -1);
	assert_false(finished(f, 2));
	answer(f, 3, 45);
	assert_true(stream_doubt_ready(&f->s));
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	assert_false(f->s.evidence->conf.trust || f->s.evidence->conf.resend);
	assert_int_equal(f->s.evidence->count, 3);
	assert_true(f->s.evidence->items[1].maybe);
	assert_false(f->s.evidence->items[2].maybe);
}

static void so_does_one_below_what_was_acknowledged(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);	/* the first one was at 100 to 109 */
	answer_with(f, 1, 110, 12345);
	assert_true(finished(f, 1));	/* the topic stamps what it takes */
	answer_with(f, 2, 119, 12345);
	assert_false(finished(f, 2));
	assert_int_equal(f->s.doubt, DOUBT_ALARM);
}

/* A log that lost its end, and nobody may look: once is enough. */
static void what_nobody_can_tell_of_raises_the_alarm_once(void **state)
{
	struct fixture *f = *state;
	struct stream_id fresh = { f->id.producer_id + 1, 0 };

	warm_and_send(f, 1);
	answer_with(f, 1, 50, 12345);
	assert_int_equal(f->s.doubt, DOUBT_ALARM);
	decide(f, EVIDENCE_UNKNOWN, 0);
	assert_true(f->b[1]->uncertain);
	assert_true(stream_renew(&f->s, &fresh, f->now));
	stream_planned(&f->s, f->b[1], 0, f->now);
	assert_int_equal(send_next(f), 1);
	answer_with(f, 1, 60, 12345);
	assert_true(finished(f, 1));
	assert_int_equal(f->s.doubt, DOUBT_NONE);
}

static void a_repeat_raises_no_alarm(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	f->s.create_time = true;
	lose_all(f, 2);
	send_next(f);
	answer_with(f, 1, 105, 12345);
	assert_true(finished(f, 1));
	assert_int_equal(f->s.doubt, DOUBT_NONE);
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

/* The leader before hangs, and the next one has what it was sent. */
static void a_later_one_may_be_answered_by_a_new_leader_first(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	answer(f, 2, 0);
	assert_false(finished(f, 1));
	assert_int_equal(f->s.sent, 2);
	lose(f, 1);
	lose(f, 3);
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 45);			/* proven, and forgotten by now */
	assert_true(finished(f, 1));
	assert_int_equal(f->b[1]->error, 0);
	assert_int_equal(send_next(f), 3);
	answer(f, 3, 0);
	assert_int_equal(f->s.count, 0);
}

static void a_new_leader_gets_nothing_while_the_one_before_owes_answers(void **state)
{
	struct fixture *f = *state;

	stream_moved(&f->s);			/* nothing is owed: nothing to wait for */
	warm_and_send(f, 2);
	join(f, 10);
	stream_moved(&f->s);
	assert_int_equal(send_next(f), -1);
	answer(f, 1, 0);
	assert_int_equal(send_next(f), -1);
	answer(f, 2, 0);
	assert_int_equal(send_next(f), 3);
	join(f, 10);
	assert_int_equal(send_next(f), 4);	/* that is over */
	answer(f, 3, 0);
	answer(f, 4, 0);
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

/* --- delivery: at_least_once --- */

static void what_proves_nothing_is_sent_anew_where_doubling_is_allowed(void **state)
{
	struct fixture *f = *state;

	f->conf.may_double = true;
	warm_and_send(f, 3);
	lose_all(f, 3);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(send_next(f), i);
		answer(f, i, 45);
	}
	assert_false(stream_held(&f->s));
	assert_int_equal(send_next(f), -1);	/* without a fresh id */
	f->id.producer_id = 8;
	assert_true(stream_renew(&f->s, &f->id, f->now));
	for (int i = 1; i <= 3; i++)
		stream_planned(&f->s, f->b[i], 0, f->now);
	assert_int_equal(f->b[1]->producer_id, 8);
	assert_int_equal(f->b[3]->base_sequence, 20);
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 0);
	assert_int_equal(send_next(f), 2);
}

/* Without idempotence now, what was recorded with it is judged by its own identity. */
static void restored_identities_are_judged_though_none_are_given_any_more(void **state)
{
	struct fixture *f = *state;

	f->conf.idempotent = false;
	f->conf.may_double = true;
	for (int i = 0; i < 4; i++) {
		struct batch *b = make(f, 4);

		b->producer_id = 3;
		b->producer_epoch = 2;
		b->base_sequence = 100 + 4 * i;
		b->partition = 0;
		assert_int_equal(stream_restore(&f->s, b), 0);
	}
	assert_int_equal(send_next(f), 0);
	answer(f, 0, 45);
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 0);
	assert_true(finished(f, 0) && finished(f, 1));
	/* And what proves nothing goes without any. */
	for (int i = 2; i < 4; i++) {
		assert_int_equal(send_next(f), i);
		answer(f, i, 45);
	}
	f->now += 1000;
	for (int i = 2; i < 4; i++) {
		assert_int_equal(send_next(f), i);
		answer(f, i, 45);
	}
	f->id = (struct stream_id){ -1, -1 };
	assert_true(stream_renew(&f->s, &f->id, f->now));
	assert_int_equal(f->b[2]->producer_id, -1);
	assert_int_equal(f->b[3]->base_sequence, -1);
	for (int i = 2; i < 4; i++)
		stream_planned(&f->s, f->b[i], 0, f->now);
	assert_int_equal(send_next(f), 2);
	assert_int_equal(send_next(f), 3);
}

/* --- refused for what they hold --- */

/* Parts of these counts, for the slot that is being cut. */
static void make_parts(struct fixture *f, struct list *parts, const int32_t *counts, int n)
{
	list_init(parts);
	for (int i = 0; i < n; i++) {
		struct batch *b = make(f, counts[i]);

		b->topic = "t";
		b->partition = 0;
		list_push_back(parts, &b->node);
	}
	assert_int_equal(stream_cut_reserve(&f->s, (uint32_t)n), 0);
}

/* As sender_cut.c does it: the cutter has it, parts get an identity, all of it is recorded. */
static void cut(struct fixture *f, const int32_t *counts, int n, bool recount)
{
	struct list parts;

	assert_true(stream_cut_ready(&f->s));
	f->s.cutting->state = BATCH_CUTTING;
	make_parts(f, &parts, counts, n);
	if (recount)
		stream_cut_recount(&f->s, &parts, &f->id);
	else
		stream_cut_split(&f->s, &parts);
	stream_check(&f->s);
	assert_int_equal(send_next(f), -1);
	stream_cut_done(&f->s, &parts, f->now);
	stream_check(&f->s);
}

static void parts_of_a_large_batch_have_its_sequences_and_go_before_what_is_behind(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	answer(f, 1, 10);
	assert_false(stream_cut_ready(&f->s));		/* the others are not answered */
	answer(f, 2, 45);
	answer(f, 3, 10);				/* its turn comes later */
	assert_ptr_equal(f->s.cutting, f->b[1]);
	assert_int_equal(send_next(f), -1);
	f->now += 5000;
	cut(f, (int32_t[]){ 4, 6 }, 2, false);
	assert_int_equal(f->b[4]->base_sequence, 10);
	assert_int_equal(f->b[5]->base_sequence, 14);
	assert_int_equal(f->b[4]->producer_epoch, 0);
	for (int i = 4; i <= 5; i++) {
		assert_int_equal(send_next(f), i);
		assert_int_equal(send_next(f), -1);
		answer(f, i, 0);
	}
	assert_int_equal(send_next(f), 2);
	answer(f, 2, 0);
	assert_int_equal(send_next(f), 3);
	answer(f, 3, 10);
	assert_ptr_equal(f->s.cutting, f->b[3]);
	cut(f, (int32_t[]){ 5, 5 }, 2, false);
	for (int i = 6; i <= 7; i++) {
		assert_int_equal(send_next(f), i);
		answer(f, i, 0);
	}
	assert_true(stream_can_take(&f->s, &f->id, ++f->round));
	join(f, 10);
	assert_int_equal(f->b[8]->base_sequence, 40);
	assert_int_equal(f->b[8]->producer_epoch, 0);
}

static void parts_wrap_their_sequences(void **state)
{
	struct fixture *f = *state;

	join(f, 1);
	send_next(f);
	answer(f, 0, 0);
	f->s.next_sequence = INT32_MAX - 3;
	join(f, 10);
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 18);
	cut(f, (int32_t[]){ 2, 5, 3 }, 3, false);
	assert_int_equal(f->b[2]->base_sequence, INT32_MAX - 3);
	assert_int_equal(f->b[3]->base_sequence, INT32_MAX - 1);
	assert_int_equal(f->b[4]->base_sequence, 3);
}

static void a_repeat_that_is_refused_is_looked_for_and_cut_when_it_is_absent(void **state)
{
	struct fixture *f = *state;
	struct stream_id fresh = { 8, 0 };
	char text[400];

	warm_and_send(f, 1);
	lose(f, 1);
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 10);
	assert_null(f->s.cutting);
	assert_int_equal(f->s.hold_code, 10);
	assert_non_null(strstr(stream_hold_text(&f->s, text, sizeof text), "MESSAGE_TOO_LARGE: a repeat"));
	f->now += 60000;
	assert_int_equal(send_next(f), -1);
	assert_int_equal(stream_doubt_begin(&f->s, f->now), 0);
	assert_false(f->s.evidence->conf.trust || f->s.evidence->conf.resend);
	evidence_free(f->s.evidence);
	decide(f, EVIDENCE_ABSENT, 0);
	assert_true(stream_renew(&f->s, &fresh, f->now));
	stream_planned(&f->s, f->b[1], 0, f->now);
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 10);
	assert_ptr_equal(f->s.cutting, f->b[1]);
}

/* The topic's limit was lowered after it was written, and a later one has proven that it was. */
static void a_repeat_that_is_proven_written_ends_well_whatever_is_said_of_it(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	answer(f, 1, 7);
	answer(f, 2, 0);
	f->now += 5000;
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 10);
	assert_true(finished(f, 1));
	assert_int_equal(f->b[1]->error, 0);
}

static void what_was_refused_for_certain_is_not_proven_by_a_later_success(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	answer(f, 1, 19);
	answer(f, 2, 0);	/* only a broker without memory of us says so */
	f->now += 5000;
	assert_int_equal(send_next(f), 1);
	answer(f, 1, 45);
	assert_false(finished(f, 1));
	assert_int_equal(f->s.doubt, DOUBT_ANSWERS);
}

static void records_taken_out_give_all_that_is_left_a_new_identity(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	answer(f, 1, 87);
	answer(f, 2, 45);
	assert_true(stream_can_renew(&f->s, &f->id));
	cut(f, (int32_t[]){ 9 }, 1, true);
	assert_int_equal(f->b[3]->producer_epoch, 1);
	assert_int_equal(f->b[3]->base_sequence, 0);
	assert_int_equal(f->b[2]->producer_epoch, 1);
	assert_int_equal(f->b[2]->base_sequence, 9);
	assert_int_equal(f->b[2]->state, BATCH_PLANNED);
	assert_int_equal(send_next(f), 3);
	assert_int_equal(send_next(f), -1);	/* warm-up of the new identity */
	answer(f, 3, 0);
	assert_int_equal(send_next(f), 2);
	answer(f, 2, 0);
}

static void a_batch_of_which_nothing_is_left_leaves_its_stream_ready_for_more(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 1);
	answer(f, 1, 10);
	cut(f, NULL, 0, true);
	assert_int_equal(f->s.count, 0);
	join(f, 5);
	assert_int_equal(f->b[2]->base_sequence, 0);
	assert_int_equal(f->b[2]->producer_epoch, 1);
	assert_int_equal(send_next(f), 2);
}

static void behind_the_last_epoch_a_recount_needs_a_fresh_producer_id(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 1);
	f->s.id.epoch = INT16_MAX;
	answer(f, 1, 87);
	assert_false(stream_can_renew(&f->s, &f->id));
	f->id = (struct stream_id){ 8, 0 };
	cut(f, (int32_t[]){ 5 }, 1, true);
	assert_int_equal(f->b[2]->producer_id, 8);
	assert_int_equal(f->b[2]->producer_epoch, 0);
}

static void times_that_are_refused_are_renewed_under_the_same_identity(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 1);
	answer(f, 1, 32);
	assert_ptr_equal(f->s.cutting, f->b[1]);
	stream_restamp(&f->s, 123456789, ++f->round);
	stream_check(&f->s);
	assert_int_equal(send_next(f), -1);
	stream_planned(&f->s, f->b[1], 0, f->now);
	assert_int_equal(send_next(f), 1);
	assert_int_equal(f->b[1]->base_timestamp, 123456789);
	assert_int_equal(f->b[1]->base_sequence, 10);
}

static void what_cannot_be_cut_is_held_and_asked_again(void **state)
{
	struct fixture *f = *state;
	char text[400];

	warm_and_send(f, 1);
	answer(f, 1, 87);
	stream_cut_off(&f->s, "because", f->now);
	assert_int_equal(f->s.hold_code, 87);
	assert_string_equal(stream_hold_text(&f->s, text, sizeof text), "INVALID_RECORD: because");
	assert_int_equal(send_next(f), -1);
	f->now += 60000;
	assert_int_equal(send_next(f), 1);
}

static void parts_of_an_earlier_life_stand_before_what_was_recorded_before_them(void **state)
{
	struct fixture *f = *state;
	static const struct { int32_t sequence, count; } old[] = {
		{ INT32_MAX - 1, 10 }, { 8, 5 },		/* the ones that stayed behind: recorded first */
		{ INT32_MAX - 11, 6 }, { INT32_MAX - 5, 4 },	/* the parts */
	};
	static const int order[] = { 2, 3, 0, 1 };

	for (int i = 0; i < 4; i++) {
		struct batch *b = make(f, old[i].count);

		b->producer_id = 3;
		b->producer_epoch = 2;
		b->base_sequence = old[i].sequence;
		b->partition = 0;
		assert_int_equal(stream_restore(&f->s, b), 0);
	}
	stream_check(&f->s);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(send_next(f), order[i]);
		answer(f, order[i], 0);
	}
}

/* --- every code, with and without a journal --- */

enum fate { ENDS, AGAIN, SLOWLY, HELD, DOUBT, CUT, ASIDE, FAILS };
struct row { int16_t code; enum fate journaled, plain; };

static const struct row rows[] = {
	{ -1, SLOWLY, AGAIN }, { 0, ENDS, ENDS }, { 2, SLOWLY, AGAIN }, { 3, AGAIN, AGAIN }, { 5, AGAIN, AGAIN },
	{ 6, AGAIN, AGAIN }, { 7, AGAIN, AGAIN }, { 8, AGAIN, AGAIN }, { 9, AGAIN, AGAIN }, { 10, CUT, CUT },
	{ 13, AGAIN, AGAIN }, { 14, AGAIN, AGAIN }, { 15, AGAIN, AGAIN }, { 16, AGAIN, AGAIN }, { 17, HELD, FAILS },
	{ 18, CUT, CUT }, { 19, AGAIN, AGAIN }, { 20, AGAIN, AGAIN }, { 21, HELD, FAILS }, { 29, HELD, FAILS },
	{ 31, HELD, FAILS }, { 32, CUT, CUT }, { 33, HELD, FAILS }, { 34, AGAIN, AGAIN }, { 35, HELD, FAILS },
	{ 36, AGAIN, AGAIN }, { 42, HELD, FAILS }, { 43, HELD, FAILS }, { 44, HELD, FAILS }, { 45, ASIDE, ASIDE },
	{ 46, ENDS, ENDS }, { 47, DOUBT, FAILS }, { 48, HELD, FAILS }, { 49, DOUBT, FAILS }, { 51, AGAIN, AGAIN },
	{ 53, HELD, FAILS }, { 56, AGAIN, AGAIN }, { 58, HELD, FAILS }, { 59, DOUBT, ASIDE }, { 72, AGAIN, AGAIN },
	{ 74, AGAIN, AGAIN }, { 75, AGAIN, AGAIN }, { 76, HELD, FAILS }, { 78, AGAIN, AGAIN }, { 87, CUT, CUT },
	{ 89, AGAIN, AGAIN }, { 90, DOUBT, FAILS }, { 97, HELD, FAILS }, { 100, AGAIN, AGAIN }, { 103, AGAIN, AGAIN },
	{ 120, HELD, FAILS }, { 129, AGAIN, AGAIN }, { 9999, SLOWLY, AGAIN },
};

/* The same bytes again, and the same answer, until it is told. */
static void refuse_until_held(struct fixture *f, int16_t code, int times)
{
	int n = 1;

	for (; !stream_held(&f->s); n++) {
		f->now += 5000;
		assert_int_equal(send_next(f), 1);
		answer(f, 1, code);
	}
	assert_int_equal(n, times);
}

static void assert_again(struct fixture *f)
{
	int64_t wake = INT64_MAX;

	assert_false(finished(f, 1));
	assert_false(stream_held(&f->s));
	assert_null(stream_next(&f->s, f->now, &wake));
	assert_in_range(wake - f->now, 80, 120);
	f->now = wake;
	assert_int_equal(send_next(f), 1);
	assert_int_equal(f->b[1]->base_sequence, 10);
	assert_int_equal(f->b[1]->producer_epoch, 0);
}

static void assert_held(struct fixture *f, int16_t code)
{
	char text[400];

	assert_false(finished(f, 1));
	assert_int_equal(f->s.hold_code, code);
	assert_false(stream_can_take(&f->s, &f->id, ++f->round));
	stream_hold_text(&f->s, text, sizeof text);
	assert_int_equal(strncmp(text, api_error(code)->name, strlen(api_error(code)->name)), 0);
	if (code != 45)
		assert_non_null(strchr(text, ':'));	/* and what to do */
	assert_int_equal(send_next(f), -1);
	f->now += 60000;
	assert_int_equal(send_next(f), 1);
	assert_int_equal(f->b[1]->base_sequence, 10);
}

static void assert_fate(struct fixture *f, int16_t code, enum fate fate)
{
	switch (fate) {
	case ENDS:
		assert_true(finished(f, 1));
		assert_int_equal(f->b[1]->error, 0);
		assert_true(stream_can_take(&f->s, &f->id, ++f->round));
		break;
	case AGAIN:
		assert_again(f);
		break;
	case SLOWLY:
		assert_false(stream_held(&f->s));
		refuse_until_held(f, code, code == 2 ? 3 : 6);
		assert_held(f, code);
		break;
	case HELD:
		assert_held(f, code);
		break;
	case DOUBT:
		assert_false(finished(f, 1));
		assert_int_equal(f->s.doubt, DOUBT_ANSWERS);
		assert_int_equal(f->s.hold_code, code);
		break;
	case CUT:
		assert_false(finished(f, 1));
		assert_ptr_equal(f->s.cutting, f->b[1]);
		assert_int_equal(f->s.cut_code, code);
		break;
	case ASIDE:
		assert_false(finished(f, 1));
		assert_int_equal(f->b[1]->error, 0);
		break;
	case FAILS:
		assert_true(finished(f, 1));
		assert_int_equal(f->b[1]->error, code);
		break;
	}
}

/* A batch of ten behind one that was taken is answered with each code in turn. */
static void each_code(bool journaled)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		void *state;
		struct fixture *f;

		open_(&state, journaled);
		f = state;
		warm_and_send(f, 1);
		answer(f, 1, rows[i].code);
		assert_fate(f, rows[i].code, journaled ? rows[i].journaled : rows[i].plain);
		close_(&state);
	}
}

static void every_code_does_what_the_table_says_with_a_journal(void **state)
{
	(void)state;
	each_code(true);
}

static void every_code_does_what_the_table_says_without_one(void **state)
{
	(void)state;
	each_code(false);
}

/* No row of the one table is missing above. */
static void every_code_of_the_table_is_tried(void **state)
{
	(void)state;
	for (int code = -1; code < 400; code++) {
		bool known = code == -1 || api_error((int16_t)code)->code == code, tried = false;

		for (size_t i = 0; i < COUNT(rows); i++)
			tried |= rows[i].code == code;
		assert_int_equal(tried, known);
	}
}

/* What may be written is never cut, whatever was answered before. */
static void a_refusal_after_every_uncertain_code_is_uncertain(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct api_error *e = api_error(rows[i].code);
		void *inner;
		struct fixture *f;

		if (rows[i].journaled != AGAIN)
			continue;
		open_(&inner, true);
		f = inner;
		warm_and_send(f, 1);
		answer(f, 1, rows[i].code);
		f->now += 5000;
		assert_int_equal(send_next(f), 1);
		answer(f, 1, 10);
		assert_int_equal(f->s.cutting == NULL, e->maybe_written != 0);
		close_(&inner);
	}
}

/* --- without a journal --- */

static void a_refused_batch_fails_and_the_rest_gets_a_new_epoch(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 3);
	answer(f, 1, 29);
	assert_true(finished(f, 1));
	assert_int_equal(f->b[1]->error, 29);
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

static void a_single_record_that_is_too_large_fails_without_a_journal(void **state)
{
	struct fixture *f = *state;

	join(f, 1);
	send_next(f);
	answer(f, 0, 10);
	assert_true(finished(f, 0));
	assert_int_equal(f->b[0]->error, 10);
}

static void without_a_journal_parts_and_what_is_behind_go_on_as_well(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 2);
	answer(f, 1, 87);
	answer(f, 2, 45);
	cut(f, (int32_t[]){ 3, 6 }, 2, true);
	assert_int_equal(f->b[2]->base_sequence, 9);
	assert_int_equal(f->b[2]->producer_epoch, 1);
	assert_int_equal(send_next(f), 3);
	answer(f, 3, 0);
	assert_int_equal(send_next(f), 4);
	assert_int_equal(send_next(f), 2);
}

static void what_expires_while_it_waits_to_be_cut_is_forgotten(void **state)
{
	struct fixture *f = *state;

	warm_and_send(f, 1);
	answer(f, 1, 10);
	stream_expire(&f->s, f->now + 1, f->now, &f->done);
	assert_true(finished(f, 1));
	assert_null(f->s.cutting);
	join(f, 3);
	assert_int_equal(send_next(f), 2);
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
	answer(f, 1, 29);
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
		J(five_are_in_flight_and_a_window_is_planned_at_most),
		J(sequences_wrap_at_two_to_the_31),
		J(nothing_more_joins_while_the_journal_records_an_earlier_round),
		J(after_a_lost_connection_the_oldest_goes_alone_and_nothing_new_joins),
		J(four_45_and_a_success_prove_all_five_written),
		J(only_45_asks_for_evidence_and_sends_nothing_meanwhile),
		J(a_living_identity_goes_on_and_is_believed_once),
		J(what_is_found_is_acknowledged_and_what_is_absent_gets_a_fresh_identity),
		J(what_nobody_can_tell_of_is_recorded_as_uncertain),
		J(what_is_not_in_the_log_goes_again_under_its_identity_when_that_can_go_on),
		J(when_all_is_found_the_stream_flows_again),
		J(a_verdict_holds_until_another_attempt_may_be_written),
		J(an_earlier_request_may_come_until_it_has_settled),
		J(what_is_young_was_made_after_the_broker_could_forget),
		J(what_may_be_in_another_cluster_is_uncertain_in_this_one),
		J(what_was_in_a_topic_that_was_deleted_is_not),
		J(a_question_is_put_again_when_one_of_its_batches_is_given_up),
		J(one_that_is_given_up_unsent_leaves_no_gap_in_the_sequences),
		J(nor_when_what_is_before_it_gets_lost),
		J(a_first_attempt_that_is_answered_like_a_repeat_acknowledges_nothing),
		J(so_does_one_below_what_was_acknowledged),
		J(what_nobody_can_tell_of_raises_the_alarm_once),
		J(a_repeat_raises_no_alarm),
		J(successes_then_45_sends_the_rest_again),
		J(a_refusal_in_the_pipeline_repairs_itself_in_order),
		J(timed_out_but_a_later_one_was_taken_then_45_is_written),
		J(a_later_one_may_be_answered_by_a_new_leader_first),
		J(a_new_leader_gets_nothing_while_the_one_before_owes_answers),
		J(what_never_left_is_not_part_of_recovery),
		J(backoff_grows_and_a_new_leader_ends_it),
		J(restored_batches_go_first_then_the_stream_renews),
		J(what_proves_nothing_is_sent_anew_where_doubling_is_allowed),
		J(restored_identities_are_judged_though_none_are_given_any_more),
		J(parts_of_a_large_batch_have_its_sequences_and_go_before_what_is_behind),
		J(parts_wrap_their_sequences),
		J(a_repeat_that_is_refused_is_looked_for_and_cut_when_it_is_absent),
		J(a_repeat_that_is_proven_written_ends_well_whatever_is_said_of_it),
		J(what_was_refused_for_certain_is_not_proven_by_a_later_success),
		J(records_taken_out_give_all_that_is_left_a_new_identity),
		J(a_batch_of_which_nothing_is_left_leaves_its_stream_ready_for_more),
		J(behind_the_last_epoch_a_recount_needs_a_fresh_producer_id),
		J(times_that_are_refused_are_renewed_under_the_same_identity),
		J(what_cannot_be_cut_is_held_and_asked_again),
		J(parts_of_an_earlier_life_stand_before_what_was_recorded_before_them),
		cmocka_unit_test(every_code_does_what_the_table_says_with_a_journal),
		cmocka_unit_test(every_code_does_what_the_table_says_without_one),
		cmocka_unit_test(every_code_of_the_table_is_tried),
		cmocka_unit_test(a_refusal_after_every_uncertain_code_is_uncertain),
		P(a_refused_batch_fails_and_the_rest_gets_a_new_epoch),
		P(a_single_record_that_is_too_large_fails_without_a_journal),
		P(without_a_journal_parts_and_what_is_behind_go_on_as_well),
		P(what_expires_while_it_waits_to_be_cut_is_forgotten),
		P(expiry_fails_the_oldest_only_when_it_is_on_no_socket),
		P(the_last_epoch_is_followed_by_a_new_producer_id),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_doubt.c - a producer with a journal whose broker has forgotten it, or whose answers prove nothing: nothing is lost or
 * doubled where the log may be read, and what nobody can tell of is recorded as uncertain where it may not. */
#include "tests/lib/unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "producer/api.h"
#include "tests/lib/life_fixture.h"

#define DAY_MS (24LL * 3600 * 1000)

static bool was_told(struct fixture *f, const char *what)
{
	bool yes;

	pthread_mutex_lock(&f->mock.mu);
	yes = strstr(f->mock.told, what) != NULL;
	pthread_mutex_unlock(&f->mock.mu);
	return yes;
}

static bool asked(struct fixture *f, int api)
{
	return fake_last_version(f->fake, api) >= 0;
}

/* --- an earlier life --- */

/* Sends it as that life did, and waits for the answer. */
static void write_to_broker(struct fixture *f, struct batch *b)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)fake_port(f->fake, 0)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int sock = socket(AF_INET, SOCK_STREAM, 0);
	struct iovec iov[64];
	struct buf control;
	uint8_t answer[4];
	int n;

	buf_init(&control, 1 << 20);
	batch_stamp(b);
	n = api_produce_request(&control, iov, COUNT(iov), 7, 1, "earlier", -1, 1000, &b, 1);
	assert_true(n > 0);
	assert_int_equal(connect(sock, (struct sockaddr *)&to, sizeof to), 0);
	assert_true(writev(sock, iov, n) > 0);
	assert_int_equal(recv(sock, answer, sizeof answer, MSG_WAITALL), sizeof answer);
	close(sock);
	buf_release(&control);
}

static void write_and_forget(struct fixture *f, struct batch *b)
{
	write_to_broker(f, b);
	batch_free(b, producer_budget(f->p));
}

static void keep_row(struct fixture *f, struct batch *b)
{
	struct mock_row *r = calloc(1, sizeof *r);
	size_t at = 0;

	r->id = f->mock.next_row++;
	r->identity = true;
	r->like = *b;
	r->bytes = malloc(b->bytes);
	for (const struct chunk *c = b->chunks; c; at += c->used, c = c->next)
		memcpy(r->bytes + at, c->data, c->used);
	list_push_back(&f->mock.rows, &r->node);
	batch_drop_bytes(b, producer_budget(f->p));
	b->row_id = r->id;
	b->ledger_id = f->mock.next_ledger++;
	f->mock.plans = realloc(f->mock.plans, (f->mock.plan_count + 1) * sizeof *f->mock.plans);
	f->mock.plans[f->mock.plan_count++] = (struct mock_plan){ b->producer_id, b->producer_epoch, b->base_sequence, b->count };
	f->mock.plan_cap = f->mock.plan_count;
}

static struct batch *make(struct fixture *f, int from, int to)
{
	struct batch *b = batch_new(0, clock_wall_ms() - f->age_ms);
	char value[16];

	for (int i = from; i < to; i++) {
		snprintf(value, sizeof value, "%06d", i);
		assert_int_equal(batch_append(b, producer_budget(f->p), BUDGET_APPEND, 0, NULL, 0, value, 6, NULL, 0, -1), 0);
	}
	batch_seal_crc(b);
	b->topic = "t";
	b->partition = 0;
	b->producer_id = PID;
	b->producer_epoch = 0;
	b->base_sequence = from;
	return b;
}

/* n batches of ten lines, of which the first `written` are in the log. */
static void earlier_life(struct fixture *f, int n, int written)
{
	for (int i = 0; i < n; i++) {
		struct batch *b = make(f, 10 * i, 10 * (i + 1));

		if (i < written)
			write_to_broker(f, b);
		keep_row(f, b);
		assert_int_equal(producer_restore(f->p, "t", b), 0);
	}
	assert_int_equal(fake_records(f->fake, "t", 0), 10 * written);
	f->next = 10 * n;
}

static void go_on(struct fixture *f)
{
	start(f);
	append(f, 10);
	drain(f);
}

static void all_there_once(struct fixture *f)
{
	go_on(f);
	assert_times(f, 0, f->next, 1);
	assert_int_equal(fake_records(f->fake, "t", 0), f->next);
	assert_int_equal(f->mock.uncertain, 0);
}

static void a_broker_that_remembers_is_asked_once_and_believed(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 3, 2);
	all_there_once(f);
	assert_true(asked(f, FAKE_DESCRIBE_PRODUCERS));
	assert_false(asked(f, FAKE_FETCH));
}

static void four_times_45_and_a_repeat_resolve_five(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 5, 5);
	fake_reload(f->fake);
	all_there_once(f);
	assert_int_equal(fake_code_answers(f->fake, 45), 4);
	assert_false(asked(f, FAKE_FETCH));
}

static void what_a_broker_forgot_is_found_in_its_log(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 5, 5);
	fake_forget(f->fake);
	all_there_once(f);
	assert_true(asked(f, FAKE_FETCH));
}

static void of_what_a_broker_forgot_the_rest_is_sent(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 5, 2);
	fake_forget(f->fake);
	all_there_once(f);
}

static void what_was_never_written_is_sent(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 3, 0);
	all_there_once(f);
}

static void a_broker_without_a_question_for_producers_is_read_when_it_may_have_forgotten(void **state)
{
	struct fixture *f = fixture_of(state, "2.4", "86400000");

	f->age_ms = DAY_MS;
	earlier_life(f, 3, 2);
	fake_forget(f->fake);
	all_there_once(f);
	assert_true(asked(f, FAKE_FETCH));
}

static void and_believed_when_it_may_not(void **state)
{
	struct fixture *f = fixture_of(state, "2.4", "86400000");

	f->age_ms = DAY_MS / 2;
	earlier_life(f, 3, 2);
	all_there_once(f);
	assert_false(asked(f, FAKE_FETCH));
}

/* Up to 2.4 it says so itself. */
static void an_unknown_producer_id_is_looked_for_in_the_log(void **state)
{
	struct fixture *f = fixture_of(state, "2.4", "86400000");
	struct batch *b = make(f, 10, 20), *c = make(f, 20, 30);

	write_and_forget(f, make(f, 0, 10));
	write_to_broker(f, b);
	keep_row(f, b);
	assert_int_equal(producer_restore(f->p, "t", b), 0);
	keep_row(f, c);
	assert_int_equal(producer_restore(f->p, "t", c), 0);
	fake_forget(f->fake);
	f->next = 30;
	all_there_once(f);
	assert_true(fake_code_answers(f->fake, 59) > 0);
}

static void the_broker_forgets_when_it_is_told_that_time_has_passed(void **state)
{
	struct fixture *f = fixture(state);

	fake_set_expiry(f->fake, 5000, 1);
	earlier_life(f, 3, 3);
	fake_advance(f->fake, 6000);
	all_there_once(f);
	assert_true(asked(f, FAKE_FETCH));
}

/* --- nobody may look --- */

static void what_is_old_and_cannot_be_looked_up_is_uncertain(void **state)
{
	struct fixture *f = fixture(state);

	f->age_ms = DAY_MS;
	earlier_life(f, 3, 2);
	fake_deny_read(f->fake, "t", true);
	fake_forget(f->fake);
	go_on(f);
	assert_times(f, 0, 20, 2);
	assert_times(f, 20, f->next, 1);
	assert_int_equal(f->mock.uncertain, 30);
	assert_true(was_told(f, "waits until no earlier request"));
}

/* After a crash in between some would have their old identity and others the new one: they would be sent in another order. */
static void what_is_withdrawn_together_is_recorded_together_also_when_it_fails(void **state)
{
	struct fixture *f = fixture(state);

	f->age_ms = DAY_MS;
	earlier_life(f, 5, 0);
	fake_deny_read(f->fake, "t", true);
	fake_forget(f->fake);
	f->mock.fail_plans = 3;
	start(f);
	drain(f);
	assert_times(f, 0, 50, 1);
	assert_int_equal(f->mock.plan_calls, 3 + 1);
}

static void what_is_young_and_cannot_be_looked_up_is_believed(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 3, 2);
	fake_deny_read(f->fake, "t", true);
	all_there_once(f);
}

static void a_moved_directory_wants_the_log_even_for_young_ones(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 3, 2);
	producer_ages_unknown(f->p);
	all_there_once(f);
	assert_true(asked(f, FAKE_FETCH));
}

static void a_moved_directory_that_may_not_read_is_uncertain(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 2, 1);
	producer_ages_unknown(f->p);
	fake_deny_read(f->fake, "t", true);
	go_on(f);
	assert_times(f, 0, 10, 2);
	assert_times(f, 10, f->next, 1);
	assert_int_equal(f->mock.uncertain, 20);
}

static void a_log_that_was_cut_off_below_them_tells_nothing(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 2, 2);
	fake_forget(f->fake);
	fake_delete_records(f->fake, "t", 0, 20);
	go_on(f);
	assert_int_equal(f->mock.uncertain, 20);
}

/* --- somebody else --- */

static void a_copy_that_wrote_our_sequences_loses_us_nothing(void **state)
{
	struct fixture *f = fixture(state);

	f->age_ms = 1000;	/* of another time than the copy's */
	earlier_life(f, 2, 0);
	assert_int_equal(fake_foreign_batch(f->fake, "t", 0, PID, 0, 0, 10), 0);
	producer_ages_unknown(f->p);
	go_on(f);
	assert_times(f, 0, f->next, 1);
	assert_int_equal(fake_records(f->fake, "t", 0), f->next + 10);
	assert_int_equal(f->mock.uncertain, 0);
	assert_true(was_told(f, "is this state directory or machine image a copy?"));
}

static void a_copy_that_has_gone_ahead_is_found_out_by_45(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 2, 1);
	assert_int_equal(fake_foreign_batch(f->fake, "t", 0, PID, 0, 10, 7), 0);
	go_on(f);
	assert_times(f, 0, f->next, 1);
	assert_int_equal(f->mock.uncertain, 0);
}

static void a_fenced_identity_gives_way(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 2, 1);
	assert_int_equal(fake_foreign_batch(f->fake, "t", 0, PID, 1, 0, 5), 0);
	go_on(f);
	assert_times(f, 0, f->next, 1);
	assert_int_equal(f->mock.uncertain, 0);
}

static int64_t producer_id(struct fixture *f)
{
	struct producer_stat st;
	int64_t id;

	assert_int_equal(producer_stat(f->p, &st), 0);
	id = st.producer_id;
	producer_stat_release(&st);
	return id;
}

/* A live copy of this machine writes the sequences that we are about to use. */
static void a_first_attempt_that_is_answered_like_a_repeat_raises_the_alarm(void **state)
{
	struct fixture *f = fixture(state);
	int64_t id, made;

	start(f);
	append(f, 10);
	wait_for(times(f, 9) == 1);
	drain(f);
	id = producer_id(f);
	assert_int_equal(fake_foreign_batch(f->fake, "t", 0, id, 0, 10, 10), 0);
	made = clock_wall_ms();
	wait_for(clock_wall_ms() > made);
	append(f, 10);
	drain(f);
	assert_times(f, 0, 20, 1);
	assert_true(was_told(f, "another writer uses our producer id"));
	assert_true(producer_id(f) != id);
	assert_int_equal(f->mock.uncertain, 0);
}

/* Nobody may look whether it was another writer. A fresh identity has none: the second alarm would be as false as the first. */
static void a_topic_that_begins_to_stamp_raises_the_alarm_once(void **state)
{
	struct fixture *f = fixture(state);

	fake_deny_read(f->fake, "t", true);
	start(f);
	append(f, 10);
	drain(f);
	fake_topic_set(f->fake, "t", "message.timestamp.type", 1);
	append(f, 10);
	if (!producer_drain(f->p, WAIT_MS / 5, false))
		fail_msg("line 10 is there %d times, and it goes on", times(f, 10));
	append(f, 10);
	drain(f);
	assert_times(f, 0, 10, 1);
	assert_times(f, 10, 20, 2);
	assert_times(f, 20, 30, 1);
	assert_int_equal(f->mock.uncertain, 10);
}

static void lost_records_are_told(void **state)
{
	struct fixture *f = fixture(state);
	struct batch *b = make(f, 20, 30);

	/* What is between was answered good once. */
	write_and_forget(f, make(f, 0, 10));
	keep_row(f, b);
	assert_int_equal(producer_restore(f->p, "t", b), 0);
	f->next = 30;
	go_on(f);
	assert_times(f, 20, f->next, 1);
	assert_int_equal(f->mock.uncertain, 0);
	assert_true(was_told(f, "the cluster has lost records that it had acknowledged"));
}

/* --- refused repeats --- */

static void a_refused_repeat_that_is_in_the_log_is_acknowledged(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 1, 1);
	fake_topic_set(f->fake, "t", "max.message.bytes", 100);
	start(f);
	drain(f);
	assert_times(f, 0, 10, 1);
	assert_int_equal(fake_code_answers(f->fake, 10), 1);
	assert_int_equal(f->mock.uncertain, 0);
}

/* Its refusal was for certain, and not recorded before the kill. */
static void a_refused_repeat_that_is_not_in_the_log_is_cut(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 2, 0);
	fake_topic_set(f->fake, "t", "max.message.bytes", 130);
	start(f);
	drain(f);
	assert_times(f, 0, 20, 1);
	assert_true(f->mock.replaces > 0);
	assert_int_equal(f->mock.rejected, 0);
	assert_int_equal(f->mock.uncertain, 0);
}

static void a_refused_repeat_that_nobody_may_look_for_is_uncertain_and_cut(void **state)
{
	struct fixture *f = fixture(state);

	earlier_life(f, 1, 0);
	fake_deny_read(f->fake, "t", true);
	fake_topic_set(f->fake, "t", "max.message.bytes", 130);
	start(f);
	drain(f);
	assert_times(f, 0, 10, 1);
	assert_int_equal(f->mock.uncertain, 10);
}

/* --- while it runs --- */

static void swallowed_and_forgotten(struct fixture *f)
{
	start(f);
	append(f, 10);
	drain(f);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	append(f, 10);
	wait_for(fake_records(f->fake, "t", 0) == 20);
	fake_down(f->fake, 0);
	fake_forget(f->fake);
	fake_up(f->fake, 0);
	append(f, 10);
	drain(f);
}

static void a_broker_that_lost_its_memory_with_its_connections_doubles_nothing(void **state)
{
	struct fixture *f = fixture(state);

	swallowed_and_forgotten(f);
	assert_times(f, 0, 30, 1);
	assert_int_equal(f->mock.uncertain, 0);
}

/* By whatever way the connections to it ended: nobody saw a connection fail here. */
static void nor_does_one_that_is_met_anew(void **state)
{
	struct fixture *f = fixture(state);
	struct lane *other = producer_lane(f->p, "u", 0);

	start(f);
	append(f, 10);
	drain(f);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	append(f, 10);
	wait_for(fake_records(f->fake, "t", 0) == 20);
	fake_forget(f->fake);
	fake_fault_api(f->fake, FAKE_METADATA, FAULT_ERROR, 129, 1);	/* begin again with bootstrap.servers */
	append_to(f, other, 10);	/* of a topic that must be asked for */
	append(f, 10);
	drain(f);
	assert_times(f, 0, 20, 1);
	assert_times(f, 30, 40, 1);
	assert_int_equal(fake_records(f->fake, "t", 0), 30);
	assert_int_equal(f->mock.uncertain, 0);
}

static bool connected(struct fixture *f)
{
	struct producer_stat st;
	bool up = true;

	if (producer_stat(f->p, &st) == 0) {
		up = st.any_broker_up;
		producer_stat_release(&st);
	}
	return up;
}

/* With no memory of us it takes the second batch behind the first that it refused. */
static void one_that_was_left_alone_for_a_while_gets_one_batch_first(void **state)
{
	struct fixture *f = fixture_with(state, NULL, "connections.max.idle.ms", "50");

	start(f);
	append(f, 10);
	drain(f);
	wait_for(!connected(f));
	fake_forget(f->fake);
	fake_fault(f->fake, 0, FAULT_ERROR, 19, 1);
	append(f, 10);
	append(f, 10);
	drain(f);
	for (int i = 0; i < 30; i++)
		assert_int_equal(strtol(fake_record(f->fake, "t", 0, (size_t)i), NULL, 10), i);
	assert_int_equal(fake_records(f->fake, "t", 0), 30);
	assert_int_equal(f->mock.uncertain, 0);
}

/* Its owner is the journal then. */
static void what_is_on_its_way_to_the_spool_is_found_only_when_it_is_there(void **state)
{
	struct fixture *f = fixture(state);
	struct producer_stat st;

	start(f);
	append(f, 10);
	drain(f);
	fake_fault_api(f->fake, FAKE_FETCH, FAULT_THROTTLE, 1, INT32_MAX);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	append(f, 10);
	wait_for(fake_records(f->fake, "t", 0) == 20);
	fake_down(f->fake, 0);
	fake_forget(f->fake);
	fake_up(f->fake, 0);
	wait_for(asked(f, FAKE_FETCH));
	f->mock.hold_spills = true;
	wait_for((lane_rescue(f->lane), f->mock.spills_given > 0));
	fake_heal(f->fake);
	for (int i = 0; i < 300; i++, usleep(2000))	/* for the answer, and what is made of it */
		if (producer_stat(f->p, &st) == 0)
			producer_stat_release(&st);
	f->mock.hold_spills = false;
	append(f, 10);
	drain(f);
	assert_times(f, 0, 30, 1);
	assert_true(f->mock.spilled_identity > 0);
	assert_int_equal(f->mock.uncertain, 0);
}

static void nor_does_one_that_cannot_be_asked_for_producers_once_it_may_have_forgotten(void **state)
{
	struct fixture *f = fixture_of(state, NULL, "1");

	fake_hide_api(f->fake, FAKE_DESCRIBE_PRODUCERS, true);
	swallowed_and_forgotten(f);
	assert_times(f, 0, 30, 1);
	assert_int_equal(f->mock.uncertain, 0);
}

static void without_the_right_to_read_it_is_believed_for_as_long_as_it_is_young(void **state)
{
	struct fixture *f = fixture(state);

	start(f);
	append(f, 10);
	drain(f);
	fake_deny_read(f->fake, "t", true);
	fake_fault(f->fake, 0, FAULT_CLOSE_AFTER, 0, 1);
	append(f, 10);
	drain(f);
	assert_times(f, 0, 20, 1);
	assert_int_equal(f->mock.uncertain, 0);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_teardown(name, teardown)
	static const struct CMUnitTest tests[] = {
		T(a_broker_that_remembers_is_asked_once_and_believed),
		T(four_times_45_and_a_repeat_resolve_five),
		T(what_a_broker_forgot_is_found_in_its_log),
		T(of_what_a_broker_forgot_the_rest_is_sent),
		T(what_was_never_written_is_sent),
		T(a_broker_without_a_question_for_producers_is_read_when_it_may_have_forgotten),
		T(and_believed_when_it_may_not),
		T(an_unknown_producer_id_is_looked_for_in_the_log),
		T(the_broker_forgets_when_it_is_told_that_time_has_passed),
		T(what_is_old_and_cannot_be_looked_up_is_uncertain),
		T(what_is_withdrawn_together_is_recorded_together_also_when_it_fails),
		T(what_is_young_and_cannot_be_looked_up_is_believed),
		T(a_moved_directory_wants_the_log_even_for_young_ones),
		T(a_moved_directory_that_may_not_read_is_uncertain),
		T(a_log_that_was_cut_off_below_them_tells_nothing),
		T(a_copy_that_wrote_our_sequences_loses_us_nothing),
		T(a_copy_that_has_gone_ahead_is_found_out_by_45),
		T(a_fenced_identity_gives_way),
		T(a_first_attempt_that_is_answered_like_a_repeat_raises_the_alarm),
		T(a_topic_that_begins_to_stamp_raises_the_alarm_once),
		T(lost_records_are_told),
		T(a_refused_repeat_that_is_in_the_log_is_acknowledged),
		T(a_refused_repeat_that_is_not_in_the_log_is_cut),
		T(a_refused_repeat_that_nobody_may_look_for_is_uncertain_and_cut),
		T(a_broker_that_lost_its_memory_with_its_connections_doubles_nothing),
		T(nor_does_one_that_is_met_anew),
		T(one_that_was_left_alone_for_a_while_gets_one_batch_first),
		T(what_is_on_its_way_to_the_spool_is_found_only_when_it_is_there),
		T(nor_does_one_that_cannot_be_asked_for_producers_once_it_may_have_forgotten),
		T(without_the_right_to_read_it_is_believed_for_as_long_as_it_is_young),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

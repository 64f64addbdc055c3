/* test_journal.c - the producer with a journal: recorded before sent, kept elsewhere when memory is dry, brought back in
 * order. */
#define _GNU_SOURCE	/* memmem */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "producer/codec.h"
#include "producer/core.h"
#include "tests/lib/fakebroker.h"
#include "tests/lib/mockjournal.h"

#define WAIT_MS 30000

struct fixture {
	struct fake *fake;
	struct producer_config *c;
	struct producer_journal j;
	struct mock mock;
	struct producer *p;
	struct lane *lane;
	struct chunk *taken;		/* memory that a test holds */
	int next;			/* the next line */
	bool started;
};

static void set(struct fixture *f, const char *name, const char *value)
{
	struct producer_error err;

	if (producer_config_set(f->c, name, value, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static void open_(struct fixture *f)
{
	struct producer_error err = { 0 };

	if (producer_open_journaled(f->c, &f->j, &f->p, &err) < 0)
		fail_msg("open: %s", err.text);
}

static void start(struct fixture *f)
{
	struct producer_error err = { 0 };

	mock_start(&f->mock, f->p);
	f->started = true;
	if (producer_start(f->p, &err) < 0)
		fail_msg("start: %s", err.text);
}

static struct fixture *fixture(void **state, int nodes, int partitions)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->fake = fake_open(nodes, partitions);
	f->c = producer_config_new();
	mock_open(&f->mock, &f->j);
	fake_on_batch(f->fake, mock_seen, &f->mock);
	set(f, "bootstrap.servers", fake_address(f->fake));
	set(f, "retry.backoff.ms", "20");
	set(f, "reconnect.backoff.ms", "20");
	set(f, "reconnect.backoff.max.ms", "100");
	set(f, "request.timeout.ms", "1000");
	set(f, "buffer.memory", "1MiB");
	set(f, "batch.size", "16KiB");
	set(f, "max.block.ms", "300");
	set(f, "linger.ms", "5");
	*state = f;
	return f;
}

static void give_memory(struct fixture *f)
{
	if (f->taken)
		budget_give(producer_budget(f->p), f->taken);
	f->taken = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	/* After a failure too: what is taken, held or not fetched is no leak, and would hide what failed. */
	f->mock.hold_spills = false;
	if (f->started)
		producer_stop(f->p, NULL, NULL);
	fake_on_batch(f->fake, NULL, NULL);	/* what was on its way is still read */
	mock_close(&f->mock);
	give_memory(f);
	producer_close(f->p, 0);
	producer_config_free(f->c);
	fake_close(f->fake);
	free(f);
	return 0;
}

static void line(char value[120], int i)
{
	memset(value, '.', 120);
	snprintf(value, 120, "%06d", i);
	value[6] = ' ';
}

/* One line, or false: no memory. */
static bool append(struct fixture *f, int i)
{
	char value[120];
	struct source_range r = { .file_id = 1, .from = i, .to = i + 1, .count = 1 };
	int rc;

	line(value, i);
	lane_begin(f->lane, clock_mono_ms(), clock_wall_ms());
	rc = lane_append(f->lane, &(struct lane_record){ .value = value, .value_len = sizeof value, .timestamp = -1,
							 .source = &r });
	assert_int_equal(lane_end(f->lane), rc == 0);
	assert_true(rc == 0 || rc == ERR_AGAIN || rc == ERR_LANE_FULL);
	return rc == 0;
}

static void append_some(struct fixture *f, int n)
{
	for (int64_t end = clock_mono_ms() + WAIT_MS; n > 0; ) {
		if (append(f, f->next)) {
			f->next++;
			n--;
		} else {
			usleep(2000);
			assert_true(clock_mono_ms() < end);
		}
	}
}

/* Until memory is dry, or spilling keeps up with us; when that was, or a moment before. */
static int64_t append_until_dry(struct fixture *f)
{
	int64_t at = clock_mono_ms();

	for (int n = 0; n < 30000 && append(f, f->next); n++, at = clock_mono_ms())
		f->next++;
	return at;
}

#define wait_for(condition) do { \
	int64_t end_ = clock_mono_ms() + WAIT_MS; \
	while (!(condition)) { \
		if (clock_mono_ms() > end_) fail_msg("never: %s", #condition); \
		usleep(1000); \
	} } while (0)

static void assert_all_there(struct fixture *f, int partition)
{
	assert_int_equal(fake_records(f->fake, "t", partition), f->next);
	for (int i = 0; i < f->next; i++)
		assert_int_equal(strtol(fake_record(f->fake, "t", partition, (size_t)i), NULL, 10), i);
	assert_int_equal(f->mock.unplanned, 0);
}

/* Each later than the one before, however many are missing. */
static void assert_in_order(struct fixture *f)
{
	long last = -1;

	for (size_t i = 0; i < fake_records(f->fake, "t", 0); i++) {
		long n = strtol(fake_record(f->fake, "t", 0, i), NULL, 10);

		assert_true(n > last);
		last = n;
	}
}

static void drain(struct fixture *f)
{
	assert_true(producer_drain(f->p, WAIT_MS, false));
	assert_int_equal(producer_in_memory(f->p), 0);
	assert_int_equal(mock_rows(&f->mock), 0);
}

static bool any_broker_up(struct fixture *f)
{
	struct producer_stat st;
	bool up;

	assert_int_equal(producer_stat(f->p, &st), 0);
	up = st.any_broker_up;
	producer_stat_release(&st);
	return up;
}

/* The last word about a topic. "": all is well. */
static bool said(struct fixture *f, const char *what)
{
	bool yes;

	pthread_mutex_lock(&f->mock.mu);
	yes = what[0] ? strstr(f->mock.topic_event, what) != NULL : !f->mock.topic_event[0];
	pthread_mutex_unlock(&f->mock.mu);
	return yes;
}

static bool refused(struct fixture *f, int32_t partition)
{
	struct producer_stat st;
	bool yes = false;

	assert_int_equal(producer_stat(f->p, &st), 0);
	for (size_t i = 0; i < st.partition_count; i++)
		yes |= st.partitions[i].partition == partition && st.partitions[i].error[0];
	producer_stat_release(&st);
	return yes;
}

static void begin(struct fixture *f)
{
	open_(f);
	f->lane = producer_lane(f->p, "t", 0);
	start(f);
}

/* --- recording --- */

static void no_batch_reaches_a_socket_before_it_is_recorded(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "max.block.ms", "60000");	/* however slow answers are here */
	begin(f);
	append_some(f, 20000);
	drain(f);
	assert_all_there(f, 0);
	assert_int_equal(f->mock.acked_records, 20000);
	assert_int_equal(f->mock.spilled, 0);
}

static void a_plan_that_cannot_be_recorded_is_tried_again_in_order(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	begin(f);
	f->mock.fail_plans = 5;
	append_some(f, 3000);
	drain(f);
	assert_all_there(f, 0);
}

static void unbound_and_keyed_lines_share_partitions(void **state)
{
	struct fixture *f = fixture(state, 1, 3);
	struct lane *unbound;
	char key[16];
	struct lane_record r = { .key = key, .value = "v", .value_len = 1, .timestamp = -1 };

	open_(f);
	unbound = f->lane = producer_lane(f->p, "t", -1);
	start(f);
	/* Keys need the number of partitions: until then the answer is "later". */
	for (int i = 0; i < 300; ) {
		int rc;

		lane_begin(unbound, clock_mono_ms(), clock_wall_ms());
		r.key_len = (size_t)snprintf(key, sizeof key, "k%d", i % 7);
		rc = lane_append(unbound, &r);
		assert_int_equal(lane_end(unbound), rc == 0);
		assert_true(rc == 0 || rc == ERR_UNAVAILABLE);
		i += rc == 0;
		usleep(rc ? 1000 : 0);
	}
	append_some(f, 300);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", -1), 600);
	assert_int_equal(f->mock.unplanned, 0);
}

/* --- out of memory --- */

static void memory_that_is_dry_for_max_block_ms_is_spilled_and_drained_in_order(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	int64_t dry;
	uint64_t calls;

	set(f, "compression.type", "lz4");
	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100);
	fake_down(f->fake, 0);
	dry = append_until_dry(f);
	wait_for(mock_rows(&f->mock) > 0);
	assert_in_range(f->mock.first_spill_ms - dry, 290, WAIT_MS / 2);
	append_some(f, 20000);	/* from now on as it comes */
	wait_for(mock_rows(&f->mock) > 20);
	lane_seal(f->lane);
	wait_for(producer_in_memory(f->p) == 0);
	calls = codec_compress_calls();
	fake_up(f->fake, 0);
	drain(f);
	assert_int_equal(codec_compress_calls(), calls);
	assert_all_there(f, 0);
}

/* Memory is far from dry; the lane that was announced to vanish is kept, the other one stays in memory. */
static void what_is_about_to_vanish_is_kept_although_memory_is_not_dry(void **state)
{
	struct fixture *f = fixture(state, 1, 2);
	struct lane *first, *other;

	set(f, "linger.ms", "60000");
	begin(f);
	first = f->lane;
	other = producer_lane(f->p, "t", 1);
	append_some(f, 10);
	lane_seal(first);
	wait_for(fake_records(f->fake, "t", 0) == 10);
	fake_down(f->fake, 0);
	append_some(f, 300);			/* more than a batch: the rest of it is open */
	f->lane = other;
	assert_true(append(f, 0));
	lane_seal(other);
	wait_for((lane_rescue(first), producer_in_memory(f->p) == 1));
	assert_true(mock_rows(&f->mock) > 1);
	fake_up(f->fake, 0);
	drain(f);
	assert_all_there(f, 0);
	assert_int_equal(fake_records(f->fake, "t", 1), 1);
}

/* max.block.ms would never be over in this test. */
static void what_no_file_holds_is_kept_without_max_block_ms(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "max.block.ms", "600000");
	begin(f);
	lane_has_streams(f->lane);
	append_some(f, 10);
	wait_for(fake_records(f->fake, "t", 0) == 10);
	fake_down(f->fake, 0);
	append_some(f, 300);			/* memory is far from dry */
	wait_for(producer_in_memory(f->p) == 0);
	assert_true(mock_rows(&f->mock) > 0);
	append_some(f, 20000);			/* more than memory holds: it leaves as it comes */
	fake_up(f->fake, 0);
	drain(f);
	assert_all_there(f, 0);
}

/* Memory is dry at the first look, before any answer or time-out: nothing else of it is waited for. */
static void memory_that_is_dry_is_not_waited_for_where_no_file_holds_anything(void **state)
{
	struct fixture *f = fixture(state, 1, 2);
	struct lane *streams, *files;

	set(f, "max.block.ms", "600000");
	open_(f);
	files = producer_lane(f->p, "t", 1);
	streams = producer_lane(f->p, "t", 0);
	lane_has_streams(streams);
	fake_down(f->fake, 0);
	f->lane = streams;
	assert_true(append(f, 0));
	f->lane = files;			/* takes all memory, and is not kept elsewhere itself */
	for (int i = 1; append(f, i); )
		i++;
	start(f);
	wait_for(mock_rows(&f->mock) == 1);
	fake_up(f->fake, 0);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", 0), 1);
}

/* What was appended to an unbound lane lies in the lanes that its keys chose. */
static void what_no_file_holds_is_kept_in_the_lanes_of_its_keys_too(void **state)
{
	struct fixture *f = fixture(state, 1, 3);
	struct lane_record r = { .key_len = 1, .value = "v", .value_len = 1, .timestamp = -1 };

	set(f, "max.block.ms", "600000");
	open_(f);
	f->lane = producer_lane(f->p, "t", -1);
	start(f);
	append_some(f, 10);
	wait_for(fake_records(f->fake, "t", -1) == 10);
	lane_has_streams(f->lane);
	fake_down(f->fake, 0);
	lane_begin(f->lane, clock_mono_ms(), clock_wall_ms());
	for (int i = 0; i < 8; i++) {
		r.key = &"abcdefgh"[i];
		assert_int_equal(lane_append(f->lane, &r), 0);
	}
	lane_end(f->lane);
	wait_for(producer_in_memory(f->p) == 0);
	assert_true(mock_rows(&f->mock) > 0);
	fake_up(f->fake, 0);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", -1), 18);
}

/* What was appended to an unbound lane lies in the lanes that its keys chose. */
static void rescue_reaches_the_lanes_of_keyed_records(void **state)
{
	struct fixture *f = fixture(state, 1, 3);
	struct lane_record r = { .key_len = 1, .value = "v", .value_len = 1, .timestamp = -1 };

	set(f, "linger.ms", "60000");
	open_(f);
	f->lane = producer_lane(f->p, "t", -1);
	start(f);
	append_some(f, 10);
	lane_seal(f->lane);
	wait_for(fake_records(f->fake, "t", -1) == 10);
	fake_down(f->fake, 0);
	lane_begin(f->lane, clock_mono_ms(), clock_wall_ms());
	for (int i = 0; i < 8; i++) {
		r.key = &"abcdefgh"[i];
		assert_int_equal(lane_append(f->lane, &r), 0);
	}
	lane_end(f->lane);
	wait_for((lane_rescue(f->lane), producer_in_memory(f->p) == 0));
	fake_up(f->fake, 0);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", -1), 18);
}

static int64_t dry_for(struct fixture *f)
{
	int64_t since = budget_tight_since(producer_budget(f->p));

	return since < 0 ? 0 : clock_mono_ms() - since;
}

static void an_answer_in_between_restarts_the_clock(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "max.block.ms", "4000");
	set(f, "request.timeout.ms", "30000");
	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100);
	/* Each answer takes 700 ms: memory is dry for twice the time, but never that long without an answer. */
	fake_fault(f->fake, 0, FAULT_DELAY, 700, 1000);
	wait_for((append(f, f->next) ? f->next++ : 0, dry_for(f) > 8000));
	assert_int_equal(f->mock.spilled, 0);
}

static void what_cannot_be_kept_stays_and_goes_when_the_broker_is_back(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100);
	f->mock.fail_spills = 1000000;
	fake_down(f->fake, 0);
	append_until_dry(f);
	wait_for(f->mock.spill_calls > 2);
	fake_up(f->fake, 0);
	append_some(f, 2000);
	drain(f);
	assert_all_there(f, 0);
	assert_int_equal(f->mock.spilled, 0);
}

static void some_spills_fail_and_the_order_holds(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100);
	fake_down(f->fake, 0);
	for (int i = 0; i < 5; i++) {
		append_until_dry(f);
		f->mock.fail_spills = 2;
		append_some(f, 3000);
	}
	fake_up(f->fake, 0);
	append_some(f, 1000);
	drain(f);
	assert_all_there(f, 0);
	assert_true(f->mock.spilled > 0);
}

/* Sent, unanswered, then the broker is gone: identity and bytes are kept, and come back under the same identity. */
static void unanswered_batches_are_kept_with_their_identity(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "request.timeout.ms", "30000");		/* nothing is sent again before the broker is gone */
	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100 && producer_in_memory(f->p) == 0);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	append_some(f, 1000);
	wait_for(fake_records(f->fake, "t", 0) > 100);
	fake_down(f->fake, 0);
	append_until_dry(f);
	wait_for(f->mock.spilled_identity > 0);
	append_some(f, 3000);
	fake_reload(f->fake);
	f->mock.fail_loads = 1;
	fake_up(f->fake, 0);
	drain(f);
	assert_true(f->mock.loads > 1);
	assert_all_there(f, 0);
}

static void a_connection_lost_while_draining_rewinds_and_doubles_nothing(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100);
	fake_down(f->fake, 0);
	append_until_dry(f);
	append_some(f, 20000);
	for (int i = 0; i < 8; i++) {
		size_t before = fake_records(f->fake, "t", 0);

		fake_fault(f->fake, 0, i % 2 ? FAULT_CLOSE_AFTER : FAULT_CLOSE_BEFORE, 0, 1);
		fake_up(f->fake, 0);
		wait_for(fake_records(f->fake, "t", 0) > before + 500 || mock_rows(&f->mock) == 0);
		fake_down(f->fake, 0);
	}
	fake_up(f->fake, 0);
	drain(f);
	assert_all_there(f, 0);
	assert_true(f->mock.rewinds > 0);
}

/* Goal: a busy stream costs the journal one transaction for several batches, and an idle one never waits for company. */
static void batches_behind_a_full_connection_are_recorded_together(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	uint64_t calls;

	set(f, "linger.ms", "60000");			/* only this test seals */
	set(f, "request.timeout.ms", "30000");
	open_(f);
	f->lane = producer_lane(f->p, "t", 0);
	start(f);
	append_some(f, 10);
	lane_seal(f->lane);
	wait_for(fake_records(f->fake, "t", 0) == 10 && producer_in_memory(f->p) == 0);
	fake_mute(f->fake, 0, true);
	calls = f->mock.plan_calls;
	for (uint64_t i = 1; i <= 5; i++) {		/* max.in.flight.requests.per.connection */
		append_some(f, 10);
		lane_seal(f->lane);
		wait_for(f->mock.plan_calls == calls + i);
	}
	for (int i = 0; i < 3; i++) {
		append_some(f, 10);
		lane_seal(f->lane);
		(void)any_broker_up(f);			/* the sender has had a round */
	}
	fake_mute(f->fake, 0, false);
	drain(f);
	assert_all_there(f, 0);
	assert_int_equal(f->mock.plan_calls, calls + 6);
}

static bool held_with(struct fixture *f, const char *topic, const char *reason)
{
	struct producer_stat st;
	bool yes = false;

	assert_int_equal(producer_stat(f->p, &st), 0);
	for (size_t i = 0; i < st.lane_count; i++)
		yes |= !strcmp(st.lanes[i].topic, topic) && st.lanes[i].held && strstr(st.lanes[i].reason, reason);
	producer_stat_release(&st);
	return yes;
}

static void a_held_topic_spills_its_lane_and_leaves_the_others_alone(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct lane *other, *held;

	fake_topic_error(f->fake, "t", 29);
	open_(f);
	held = f->lane = producer_lane(f->p, "t", 0);
	other = producer_lane(f->p, "u", -1);
	start(f);
	append_until_dry(f);
	for (int i = 0; i < 100; ) {
		lane_begin(other, clock_mono_ms(), clock_wall_ms());
		i += lane_append(other, &(struct lane_record){ .value = "x", .value_len = 1, .timestamp = -1 }) == 0;
		lane_end(other);
		usleep(500);
	}
	wait_for(fake_records(f->fake, "u", 0) == 100);
	wait_for(mock_rows(&f->mock) > 0);
	wait_for(held_with(f, "t", "TOPIC_AUTHORIZATION"));
	wait_for(!said(f, ""));
	fake_topic_error(f->fake, "t", 0);
	lane_seal(held);
	drain(f);
	assert_all_there(f, 0);
}

/* So many lines of a healthy lane, each within the time that tells a wait from none. */
static void others_go_on(struct fixture *f, struct lane *other, int n)
{
	size_t before = fake_records(f->fake, "u", 0);

	for (int i = 0; i < n; i++) {
		lane_begin(other, clock_mono_ms(), clock_wall_ms());
		assert_int_equal(lane_append(other, &(struct lane_record){ .value = "x", .value_len = 1, .timestamp = -1 }), 0);
		lane_end(other);
	}
	wait_for(fake_records(f->fake, "u", 0) == before + (size_t)n);
}

static bool is_held(struct fixture *f)
{
	return lane_held(f->lane);
}

/* max.block.ms is far away, and memory never dry: the share alone makes it spill, and its end alone makes appends fail. */
static void a_held_lane_has_its_share_and_others_do_not_notice(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct lane *other;
	uint64_t calls;

	set(f, "max.block.ms", "60000");
	fake_topic_error(f->fake, "t", 29);
	open_(f);
	f->lane = producer_lane(f->p, "t", 0);
	other = producer_lane(f->p, "u", -1);
	start(f);
	append_some(f, 10);
	wait_for(is_held(f));
	append_some(f, 4000);			/* half of memory: more than the share, all of it is kept elsewhere */
	assert_true(mock_rows(&f->mock) > 0);
	assert_true(budget_tight_since(producer_budget(f->p)) < 0);
	others_go_on(f, other, 100);
	pthread_mutex_lock(&f->mock.mu);
	f->mock.refuse = f->lane;		/* its share there is used up too */
	pthread_mutex_unlock(&f->mock.mu);
	wait_for(!append(f, f->next) || (f->next++, false));
	calls = f->mock.spill_calls;
	wait_for(f->mock.spill_calls > calls);
	wait_for(!append(f, f->next) || (f->next++, false));
	assert_false(lane_takes(f->lane));
	assert_true(budget_used(producer_budget(f->p)) < (1 << 20) / 4);
	others_go_on(f, other, 100);
	fake_topic_error(f->fake, "t", 0);
	wait_for(lane_takes(f->lane));
	append_some(f, 1000);
	lane_seal(f->lane);
	drain(f);
	assert_all_there(f, 0);
}

/* All of memory that is free right now, besides what was taken before. */
static void take_memory(struct fixture *f)
{
	struct chunk *c;

	while ((c = budget_take(producer_budget(f->p), BUDGET_APPEND, clock_mono_ms()))) {
		c->next = f->taken;
		f->taken = c;
	}
}

/* Three partitions of four refuse what is bound to them, and there is no other memory than that. */
static void a_partition_that_takes_nothing_leaves_memory_to_the_others_of_its_lane(void **state)
{
	struct fixture *f = fixture(state, 1, 4);
	size_t good;

	set(f, "max.block.ms", "60000");
	open_(f);
	f->lane = producer_lane(f->p, "t", -1);
	start(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", -1) == 100);
	for (int i = 1; i < 4; i++)
		fake_fault(f->fake, i, FAULT_ERROR, 19, INT32_MAX);
	wait_for((append_some(f, 100), refused(f, 1) && refused(f, 2) && refused(f, 3)));
	f->mock.hold_spills = true;		/* what that gives back is not for us to take */
	wait_for((take_memory(f), append(f, f->next) ? f->next++ : 0, f->mock.spills_given > 0));
	f->mock.hold_spills = false;
	wait_for(f->mock.spilled_identity > 0);
	good = fake_records(f->fake, "t", 0);
	append_some(f, 200);
	wait_for(fake_records(f->fake, "t", 0) > good);
	assert_false(lane_held(f->lane));
	give_memory(f);
	fake_heal(f->fake);
	lane_seal(f->lane);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", -1), f->next);
	assert_int_equal(f->mock.unplanned, 0);
}

static void a_partition_with_too_few_replicas_holds_its_lane(void **state)
{
	struct fixture *f = fixture(state, 1, 2);
	struct lane *other;
	int upto;

	set(f, "max.block.ms", "60000");
	fake_fault(f->fake, 0, FAULT_ERROR, 19, INT32_MAX);
	open_(f);
	f->lane = producer_lane(f->p, "t", 0);
	other = producer_lane(f->p, "u", 1);
	start(f);
	append_some(f, 10);
	wait_for(is_held(f));
	upto = f->next + 5000;
	wait_for((append(f, f->next) ? f->next++ : 0, f->next >= upto));
	assert_true(mock_rows(&f->mock) > 0);
	lane_begin(other, clock_mono_ms(), clock_wall_ms());
	assert_int_equal(lane_append(other, &(struct lane_record){ .value = "x", .value_len = 1, .timestamp = -1 }), 0);
	lane_end(other);
	wait_for(fake_records(f->fake, "u", 1) == 1);
	fake_heal(f->fake);
	lane_seal(f->lane);
	drain(f);
	assert_all_there(f, 0);
}

static void a_drain_that_may_give_up_does_not_wait_for_held_lanes(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct lane *other;
	int64_t began_ms;

	fake_topic_error(f->fake, "t", 29);
	open_(f);
	f->lane = producer_lane(f->p, "t", 0);
	other = producer_lane(f->p, "u", -1);
	start(f);
	append_some(f, 100);
	wait_for(is_held(f));
	lane_begin(other, clock_mono_ms(), clock_wall_ms());
	assert_int_equal(lane_append(other, &(struct lane_record){ .value = "x", .value_len = 1, .timestamp = -1 }), 0);
	lane_end(other);
	began_ms = clock_mono_ms();
	assert_false(producer_drain(f->p, 10 * WAIT_MS, true));
	assert_true(clock_mono_ms() - began_ms < 9 * WAIT_MS);
	assert_int_equal(fake_records(f->fake, "u", 0), 1);	/* what could be delivered was */
	assert_int_equal(producer_in_memory(f->p), 100);
	fake_topic_error(f->fake, "t", 0);
	drain(f);
	assert_all_there(f, 0);
}

/* --- lanes that are never kept elsewhere --- */

static void memory_came(void *arg)
{
	(void)arg;		/* the test looks again in any case */
}

/* What append() laid out, once more. */
static int build_again(struct batch *b, struct budget *m)
{
	struct batch *like = batch_new(0, b->base_timestamp);
	int rc = 0;

	for (uint32_t i = 0; i < b->range_count; i++)
		for (int64_t n = b->ranges[i].from; n < b->ranges[i].to && rc == 0; n++) {
			char value[120];

			line(value, (int)n);
			rc = batch_append(like, m, BUDGET_REFILL, 0, NULL, 0, value, sizeof value, NULL, 0, -1);
		}
	if (rc == 0) {
		b->chunks = like->chunks;
		b->last = like->last;
		b->bytes = b->raw_bytes = like->bytes;
		b->codec = CODEC_NONE;
		like->chunks = like->last = NULL;
		like->bytes = 0;
	}
	batch_free(like, m);
	return rc;
}

/* As the tail thread does: goes back when it is told to, waits for memory. */
static void append_waiting(struct fixture *f, struct budget_waiter *w, int upto)
{
	int64_t from = f->next;

	if (mock_take_unread(&f->mock, &from))
		f->next = (int)from;
	while (f->next < upto) {
		if (!append(f, f->next)) {
			budget_wait(producer_budget(f->p), w);
			return;
		}
		f->next++;
	}
}

static void what_memory_cannot_hold_goes_back_to_a_source_that_waits(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct budget_waiter w = { .fn = memory_came };
	uint64_t calls;
	int most = 100;

	list_init(&w.node);
	open_(f);
	f->mock.build = build_again;
	f->lane = producer_waiting_lane(f->p, "t", 0);
	start(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100 && producer_in_memory(f->p) == 0);
	fake_mute(f->fake, 0, true);		/* something is on its way when the broker goes for the first time */
	calls = f->mock.plan_calls;
	append_some(f, 200);
	wait_for(f->mock.plan_calls > calls);
	for (int round = 0; round < 3; round++) {
		if (round == 1)
			fake_mute(f->fake, 0, true);
		else
			fake_down(f->fake, 0);
		wait_for((append_waiting(f, &w, INT32_MAX), most = f->next > most ? f->next : most, f->next < most) &&
			 budget_used(producer_budget(f->p)) < (1 << 20) / 8);
		fake_up(f->fake, 0);
		fake_mute(f->fake, 0, false);
		most += 1000;
		wait_for((append_waiting(f, &w, most), f->next >= most));
	}
	wait_for((append_waiting(f, &w, most), f->next >= most) && producer_drain(f->p, 20, false));
	budget_unwait(producer_budget(f->p), &w);
	assert_int_equal(f->mock.spilled, 0);
	assert_true(f->mock.loads > 0);
	assert_int_equal(f->next, most);
	assert_all_there(f, 0);
}

/* Nothing else happens then: no timer is due for long, nothing is appended, no other answer comes. */
static void the_last_answer_reopens_a_lane_that_waits(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct budget_waiter w = { .fn = memory_came };
	int64_t from = INT64_MAX;
	uint64_t calls;

	list_init(&w.node);
	set(f, "linger.ms", "60000");
	set(f, "request.timeout.ms", "60000");
	open_(f);
	f->lane = producer_waiting_lane(f->p, "t", 0);
	start(f);
	append_some(f, 10);
	lane_seal(f->lane);
	wait_for(fake_records(f->fake, "t", 0) == 10 && producer_in_memory(f->p) == 0);
	fake_mute(f->fake, 0, true);
	calls = f->mock.plan_calls;
	append_some(f, 10);
	lane_seal(f->lane);
	wait_for(f->mock.plan_calls > calls);
	take_memory(f);
	wait_for((assert_false(append(f, f->next)), budget_wait(producer_budget(f->p), &w), mock_take_unread(&f->mock, &from)));
	budget_unwait(producer_budget(f->p), &w);
	give_memory(f);
	assert_false(append(f, f->next));
	assert_false(lane_takes(f->lane));
	(void)any_broker_up(f);			/* the sender has had a round */
	fake_mute(f->fake, 0, false);
	wait_for(lane_takes(f->lane));
	append_some(f, 10);
	drain(f);
	assert_all_there(f, 0);
}

/* A row of an earlier life, without identity. */
static void add_row(struct fixture *f, int from, int to)
{
	struct batch *b = batch_new(0, clock_wall_ms());
	struct mock_row *r = calloc(1, sizeof *r);
	char value[120];
	size_t at = 0;

	for (int i = from; i < to; i++) {
		line(value, i);
		assert_int_equal(batch_append(b, producer_budget(f->p), BUDGET_APPEND, 0, NULL, 0, value, sizeof value, NULL, 0,
					      -1), 0);
	}
	batch_seal_crc(b);
	b->raw_bytes = b->bytes;
	r->id = f->mock.next_row++;
	r->lane = f->lane;
	r->counted = true;
	r->like = *b;
	r->bytes = malloc(b->bytes);
	for (const struct chunk *c = b->chunks; c; at += c->used, c = c->next)
		memcpy(r->bytes + at, c->data, c->used);
	list_push_back(&f->mock.rows, &r->node);
	batch_free(b, producer_budget(f->p));
}

/* Its input waits now and was spooled before, or was spooled at the end because its file went. */
static void a_lane_that_waits_goes_behind_rows_of_an_earlier_life(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	open_(f);
	f->mock.build = build_again;
	f->lane = producer_lane(f->p, "t", 0);
	for (; f->next < 6000; f->next += 20)
		add_row(f, f->next, f->next + 20);
	producer_set_backlog(f->p, f->lane, mock_rows(&f->mock));
	f->lane = producer_waiting_lane(f->p, "t", 0);
	start(f);
	append_some(f, 3000);
	lane_seal(f->lane);
	drain(f);
	assert_all_there(f, 0);
}

/* What is bound to a partition that went waits for it, which is said, and holds up nothing else. */
static void a_topic_made_anew_with_fewer_partitions_is_told(void **state)
{
	struct fixture *f = fixture(state, 1, 3);

	set(f, "metadata.max.age.ms", "100");
	open_(f);
	f->lane = producer_lane(f->p, "t", -1);
	start(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", -1) == 100);
	fake_fault(f->fake, 2, FAULT_ERROR, 19, 1000000);
	wait_for((append_some(f, 200), lane_seal(f->lane), refused(f, 2)));
	fake_set_partitions(f->fake, 2);
	fake_recreate_topic(f->fake, "t");
	wait_for(said(f, "UNKNOWN_TOPIC_OR_PARTITION"));
	append_some(f, 100);
	lane_seal(f->lane);
	wait_for(fake_records(f->fake, "t", -1) >= 100);
	fake_set_partitions(f->fake, 3);
	fake_heal(f->fake);
	drain(f);
	wait_for(said(f, ""));
}

/* --- an earlier life --- */

static struct batch *earlier_life(struct fixture *f, int32_t sequence, int from, int to)
{
	struct mock_row *r = calloc(1, sizeof *r);
	struct batch *b = batch_new(0, clock_wall_ms());
	char value[16];
	size_t at = 0;

	for (int i = from; i < to; i++) {
		snprintf(value, sizeof value, "%06d", i);
		assert_int_equal(batch_append(b, producer_budget(f->p), BUDGET_APPEND, 0, NULL, 0, value, 6, NULL, 0, -1), 0);
	}
	batch_seal_crc(b);
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
	b->producer_id = 77;
	b->producer_epoch = 0;
	b->base_sequence = sequence;
	b->partition = 0;
	f->mock.plans = realloc(f->mock.plans, (f->mock.plan_count + 1) * sizeof *f->mock.plans);
	f->mock.plan_cap = f->mock.plan_count + 1;
	f->mock.plans[f->mock.plan_count++] = (struct mock_plan){ 77, 0, sequence, to - from };
	return b;
}

static void restored_batches_are_sent_first_under_their_old_identity(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	open_(f);
	f->lane = producer_lane(f->p, "t", 0);
	assert_int_equal(producer_restore(f->p, "t", earlier_life(f, 0, 0, 10)), 0);
	assert_int_equal(producer_restore(f->p, "t", earlier_life(f, 10, 10, 25)), 0);
	f->next = 25;
	start(f);
	append_some(f, 100);
	drain(f);
	assert_all_there(f, 0);
}

struct wanted { int last; };

static bool keep(void *arg, const struct batch *b)
{
	const struct wanted *w = arg;

	return b->range_count && b->ranges[0].from <= w->last;
}

static void a_stop_keeps_what_was_sent_and_what_the_caller_wants(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct wanted w = { .last = 300 };
	int64_t kept = 0;

	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100 && producer_in_memory(f->p) == 0);
	fake_down(f->fake, 0);
	wait_for(!any_broker_up(f));
	append_some(f, 1000);
	assert_false(producer_drain(f->p, 5000, true));
	producer_stop(f->p, keep, &w);
	list_each(it, &f->mock.rows) {
		const struct mock_row *r = list_entry(it, struct mock_row, node);

		kept += r->like.count;
	}
	/* Whole batches, up to the one that holds line 300. */
	assert_in_range(kept, 201, 600);
	assert_int_equal(producer_in_memory(f->p), 0);
	assert_int_equal(budget_used(producer_budget(f->p)), 0);
	f->started = false;
}

static void a_stop_keeps_unanswered_batches_with_their_identity(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "linger.ms", "60000");			/* one batch, however slowly it is filled */
	set(f, "request.timeout.ms", "30000");
	begin(f);
	append_some(f, 100);
	lane_seal(f->lane);
	wait_for(fake_records(f->fake, "t", 0) == 100 && producer_in_memory(f->p) == 0);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	append_some(f, 50);
	lane_seal(f->lane);
	wait_for(fake_records(f->fake, "t", 0) == 150);
	producer_stop(f->p, NULL, NULL);
	assert_int_equal(mock_rows(&f->mock), 1);
	assert_int_equal(f->mock.spilled_identity, 1);
	f->started = false;
}

/* --- the journal has no room, or drops what it has --- */

static void what_the_journal_gives_up_leaves_memory_and_the_lane(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100);
	f->mock.give_up = true;
	fake_down(f->fake, 0);
	append_until_dry(f);
	wait_for(f->mock.given_up > 0);
	append_some(f, 20000);
	lane_seal(f->lane);
	wait_for(producer_in_memory(f->p) == 0);
	/* Nothing is left but what may have been sent: that is kept, also if the broker had it before it went. */
	wait_for(f->mock.given_up + fake_records(f->fake, "t", 0) + mock_records(&f->mock) >= (uint64_t)f->next);
	fake_up(f->fake, 0);
	f->mock.give_up = false;
	append_some(f, 100);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", 0) + f->mock.given_up, f->next);
	assert_in_order(f);
}

/* While rows drain, are given back, and new ones come. */
static void rows_that_are_dropped_leave_the_backlog_at_any_moment(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	uint64_t dropped = 0;

	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100);
	for (int i = 0; i < 8; i++) {
		size_t before;

		fake_down(f->fake, 0);
		append_until_dry(f);
		append_some(f, 10000);
		wait_for(mock_rows(&f->mock) > 20);
		dropped += mock_forget(&f->mock, f->lane, 3);
		before = fake_records(f->fake, "t", 0);
		fake_fault(f->fake, 0, FAULT_CLOSE_AFTER, 0, 1);
		fake_up(f->fake, 0);
		/* Some stay, or a broker that is found late would get nothing any more. */
		wait_for((dropped += mock_rows(&f->mock) > 10 ? mock_forget(&f->mock, f->lane, 1) : 0,
			  fake_records(f->fake, "t", 0) > before));
	}
	drain(f);
	assert_true(dropped > 0);
	assert_int_equal(fake_records(f->fake, "t", 0) + dropped, f->next);
	assert_in_order(f);
}

static void a_batch_that_keeps_a_position_back_is_kept_though_memory_is_free(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	set(f, "max.block.ms", "60000");
	begin(f);
	append_some(f, 100);
	wait_for(producer_in_memory(f->p) == 0);	/* the answers have come, too */
	fake_down(f->fake, 0);
	wait_for(!any_broker_up(f));
	append_some(f, 1000);
	producer_keep_source(f->p, 2, 500);	/* another file */
	producer_keep_source(f->p, 1, 50);	/* finished */
	wait_for(!any_broker_up(f));		/* a round has gone by */
	assert_int_equal(f->mock.spilled, 0);
	/* Its batch may be open: it is sealed, and found when it is asked for again. */
	wait_for((producer_keep_source(f->p, 1, f->next - 1), mock_records(&f->mock) == 1000));
	fake_up(f->fake, 0);
	drain(f);
	assert_all_there(f, 0);
}

/* --- not everything is recorded --- */

static void may_double(struct fixture *f)
{
	f->mock.may_double = f->j.may_double = true;
	set(f, "linger.ms", "60000");			/* one batch, however slowly it is filled */
	set(f, "request.timeout.ms", "30000");		/* nothing is sent again before the broker is gone */
	begin(f);
	append_some(f, 100);
	lane_seal(f->lane);
	wait_for(fake_records(f->fake, "t", 0) == 100 && producer_in_memory(f->p) == 0);
	assert_int_equal(f->mock.plan_count, 0);
}

static void unrecorded_batches_get_their_identity_recorded_when_they_are_kept(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	may_double(f);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	append_some(f, 1000);
	wait_for(fake_records(f->fake, "t", 0) > 100);
	f->mock.fail_spills = 2;
	fake_down(f->fake, 0);
	append_until_dry(f);
	wait_for(f->mock.spilled_identity > 0);
	append_some(f, 3000);
	fake_up(f->fake, 0);
	drain(f);
	assert_int_equal(fake_records(f->fake, "t", 0), f->next);
	assert_in_order(f);
}

static void a_stop_keeps_unrecorded_batches_that_were_sent(void **state)
{
	struct fixture *f = fixture(state, 1, 1);

	may_double(f);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	append_some(f, 50);
	lane_seal(f->lane);
	wait_for(fake_records(f->fake, "t", 0) == 150);
	producer_stop(f->p, NULL, NULL);
	assert_int_equal(mock_rows(&f->mock), 1);
	assert_int_equal(f->mock.spilled_identity, 1);
	f->started = false;
}

static void *release_spills(void *arg)
{
	struct fixture *f = arg;
	bool stopping = false;

	while (!stopping) {
		usleep(1000);
		pthread_mutex_lock(&f->p->mu);
		stopping = f->p->stopping;
		pthread_mutex_unlock(&f->p->mu);
	}
	f->mock.hold_spills = false;
	return NULL;
}

static int first_line(const struct mock_row *r)
{
	const uint8_t *dots = memmem(r->bytes, r->like.bytes, " ......", 7);

	assert_non_null(dots);
	return (int)strtol((const char *)dots - 6, NULL, 10);
}

/* Some were given to the stream, and the spill of what stands behind them is refused while all of it ends. */
static void a_stop_keeps_unrecorded_batches_in_order(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	struct wanted w = { .last = INT32_MAX };
	int before = -1, n = 0;
	pthread_t other;

	set(f, "request.timeout.ms", "30000");
	may_double(f);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	f->mock.hold_spills = true;
	f->mock.fail_spills = 1;
	append_until_dry(f);
	wait_for(f->mock.spills_given > 0);
	assert_int_equal(pthread_create(&other, NULL, release_spills, f), 0);
	producer_stop(f->p, keep, &w);
	pthread_join(other, NULL);
	f->started = false;
	assert_int_equal(f->mock.fail_spills, 0);
	list_each(it, &f->mock.rows) {
		const struct mock_row *r = list_entry(it, struct mock_row, node);

		if (r->identity)
			continue;
		assert_true(first_line(r) > before);
		before = first_line(r);
		n++;
	}
	assert_true(n > 8);
}

/* --- damage --- */

static int64_t nth_row(struct fixture *f, int n)
{
	int64_t id = 0;

	pthread_mutex_lock(&f->mock.mu);
	list_each(it, &f->mock.rows)
		if (n-- == 0)
			id = list_entry(it, struct mock_row, node)->id;
	pthread_mutex_unlock(&f->mock.mu);
	return id;
}

static size_t plans(struct fixture *f)
{
	size_t n;

	pthread_mutex_lock(&f->mock.mu);
	n = f->mock.plan_count;
	pthread_mutex_unlock(&f->mock.mu);
	return n;
}

/* Bound to its partition, and its bytes are to be fetched again because a connection broke. Those behind it have sequences that
 * the broker would miss its own before. */
static void a_row_that_is_damaged_before_it_was_sent_holds_up_nobody(void **state)
{
	struct fixture *f = fixture(state, 1, 1);
	size_t before;

	set(f, "request.timeout.ms", "30000");
	begin(f);
	append_some(f, 100);
	wait_for(fake_records(f->fake, "t", 0) == 100 && producer_in_memory(f->p) == 0);
	fake_down(f->fake, 0);
	wait_for(!any_broker_up(f));
	append_until_dry(f);
	wait_for(mock_rows(&f->mock) > 8 && f->mock.spills_given == f->mock.spill_calls);
	before = plans(f);
	fake_fault(f->fake, 0, FAULT_SWALLOW, 0, 1);
	fake_up(f->fake, 0);
	/* The first one travels alone. */
	wait_for(fake_records(f->fake, "t", 0) > 100 && plans(f) > before + 2 &&
		 f->mock.plans_answered == f->mock.plan_calls);
	assert_true(any_broker_up(f));		/* a round has gone by */
	f->mock.damaged_row = nth_row(f, 1);
	assert_true(f->mock.damaged_row > 0);
	fake_down(f->fake, 0);
	wait_for(!any_broker_up(f));
	fake_up(f->fake, 0);
	drain(f);
	assert_true(f->mock.lost > 0);
	assert_int_equal(fake_records(f->fake, "t", 0) + f->mock.lost, f->next);
	assert_in_order(f);
	assert_null(strstr(f->mock.told, "has lost records"));
}

/* --- everything at once --- */

static void chaos(struct fixture *f, unsigned int *rng, int partitions)
{
	*rng = *rng * 1103515245u + 12345u;
	switch (*rng >> 16 & 7) {
	case 0: fake_fault(f->fake, -1, FAULT_CLOSE_BEFORE, 0, 1); break;
	case 1: fake_fault(f->fake, -1, FAULT_CLOSE_AFTER, 0, 2); break;
	case 2: fake_fault(f->fake, -1, FAULT_ERROR, 19, 2); break;
	case 3: fake_fault(f->fake, -1, FAULT_ERROR_AFTER, 7, 2); break;
	case 4: fake_lead(f->fake, (int)(*rng >> 20) % partitions, (int)(*rng >> 21 & 1)); break;
	case 5: f->mock.fail_spills = 1; break;
	case 6: fake_down(f->fake, 0); fake_down(f->fake, 1); fake_reload(f->fake); break;
	default: fake_up(f->fake, 0); fake_up(f->fake, 1); break;
	}
}

static void cuts_outages_and_full_spools_lose_and_double_nothing(void **state)
{
	struct fixture *f = fixture(state, 2, 2);
	unsigned int rng = 99;

	set(f, "max.block.ms", "50");
	set(f, "request.timeout.ms", "300");
	begin(f);
	for (int i = 0; i < 60; i++) {
		append_some(f, 1000);
		chaos(f, &rng, 2);
	}
	fake_heal(f->fake);
	fake_up(f->fake, 0);
	fake_up(f->fake, 1);
	drain(f);
	assert_all_there(f, 0);
	assert_true(f->mock.spilled > 0);
}

#define T(t) cmocka_unit_test_teardown(t, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(no_batch_reaches_a_socket_before_it_is_recorded),
		T(a_plan_that_cannot_be_recorded_is_tried_again_in_order),
		T(unbound_and_keyed_lines_share_partitions),
		T(memory_that_is_dry_for_max_block_ms_is_spilled_and_drained_in_order),
		T(what_is_about_to_vanish_is_kept_although_memory_is_not_dry),
		T(rescue_reaches_the_lanes_of_keyed_records),
		T(what_no_file_holds_is_kept_without_max_block_ms),
		T(memory_that_is_dry_is_not_waited_for_where_no_file_holds_anything),
		T(what_no_file_holds_is_kept_in_the_lanes_of_its_keys_too),
		T(an_answer_in_between_restarts_the_clock),
		T(what_cannot_be_kept_stays_and_goes_when_the_broker_is_back),
		T(some_spills_fail_and_the_order_holds),
		T(unanswered_batches_are_kept_with_their_identity),
		T(a_connection_lost_while_draining_rewinds_and_doubles_nothing),
		T(a_held_topic_spills_its_lane_and_leaves_the_others_alone),
		T(batches_behind_a_full_connection_are_recorded_together),
		T(a_held_lane_has_its_share_and_others_do_not_notice),
		T(a_partition_that_takes_nothing_leaves_memory_to_the_others_of_its_lane),
		T(a_partition_with_too_few_replicas_holds_its_lane),
		T(a_drain_that_may_give_up_does_not_wait_for_held_lanes),
		T(what_memory_cannot_hold_goes_back_to_a_source_that_waits),
		T(the_last_answer_reopens_a_lane_that_waits),
		T(a_lane_that_waits_goes_behind_rows_of_an_earlier_life),
		T(a_topic_made_anew_with_fewer_partitions_is_told),
		T(restored_batches_are_sent_first_under_their_old_identity),
		T(a_stop_keeps_what_was_sent_and_what_the_caller_wants),
		T(a_stop_keeps_unanswered_batches_with_their_identity),
		T(what_the_journal_gives_up_leaves_memory_and_the_lane),
		T(rows_that_are_dropped_leave_the_backlog_at_any_moment),
		T(a_batch_that_keeps_a_position_back_is_kept_though_memory_is_free),
		T(unrecorded_batches_get_their_identity_recorded_when_they_are_kept),
		T(a_stop_keeps_unrecorded_batches_that_were_sent),
		T(a_stop_keeps_unrecorded_batches_in_order),
		T(a_row_that_is_damaged_before_it_was_sent_holds_up_nobody),
		T(cuts_outages_and_full_spools_lose_and_double_nothing),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_gone.c - a producer with a journal that cannot build a batch of an earlier life again: what was written is acknowledged,
 * what was not is sent again as far as it is left, in its place, and only the rest is given up. */
#include "tests/lib/unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "producer/api.h"
#include "producer/core.h"
#include "tests/lib/life_fixture.h"

/* --- files: 1 is there, 2 is gone --- */

static int lay(struct batch *b, struct budget *m)
{
	char value[16];

	for (uint32_t i = 0; i < b->range_count; i++)
		for (int64_t n = b->ranges[i].from; n < b->ranges[i].to; n++) {
			snprintf(value, sizeof value, "%06d", (int)n);
			assert_int_equal(batch_append(b, m, BUDGET_REFILL, 0, NULL, 0, value, 6, NULL, 0, -1), 0);
		}
	return 0;
}

static bool gone(const struct source_range *r)
{
	return r->file_id == 2;
}

static void take(struct batch *b, struct batch *like)
{
	b->chunks = like->chunks;
	b->last = like->last;
	b->bytes = b->raw_bytes = like->bytes;
	b->codec = CODEC_NONE;
	like->chunks = like->last = NULL;
	like->ranges = NULL;
	like->bytes = like->range_count = 0;
}

/* Bytes of its ranges. Their records. */
static int fill(struct batch *b, struct budget *m)
{
	struct batch *like = batch_new(0, b->base_timestamp);
	int count;

	like->ranges = b->ranges;
	like->range_count = b->range_count;
	lay(like, m);
	count = like->count;
	take(b, like);
	batch_free(like, m);
	return count;
}

static int survey(struct batch *b, struct budget *m)
{
	struct source_range lost[4];
	uint32_t left = 0, n = 0;

	for (uint32_t i = 0; i < b->range_count; i++)
		if (gone(&b->ranges[i]))
			lost[n++] = b->ranges[i];
		else
			b->ranges[left++] = b->ranges[i];
	memcpy(b->ranges + left, lost, n * sizeof *lost);
	b->range_count = left;
	b->lost_ranges = n;
	if (b->keep_rest)
		fill(b, m);
	return 0;
}

static int build(struct batch *b, struct budget *m)
{
	uint32_t there = 0;

	for (uint32_t i = 0; i < b->range_count; i++)
		there += !gone(&b->ranges[i]);
	if (b->gone)
		return there ? survey(b, m) : ERR_BAD_DATA;
	if (there < b->range_count)
		return ERR_BAD_DATA;
	assert_int_equal(fill(b, m), b->count);
	return 0;
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


static void add_range(struct batch *b, int64_t file, int from, int to)
{
	assert_int_equal(batch_add_source(b, &(struct source_range){ .file_id = file, .from = from, .to = to,
								     .count = (uint32_t)(to - from) }), 0);
}

static struct batch *of_earlier_life(struct fixture *f, int from, int there, bool written)
{
	struct batch *b = batch_new(0, clock_wall_ms());

	if (there)
		add_range(b, 1, from, from + there);
	if (there < 10)
		add_range(b, 2, from + there, from + 10);
	lay(b, producer_budget(f->p));
	batch_seal_crc(b);
	b->topic = "t";
	b->partition = 0;
	b->producer_id = PID;
	b->producer_epoch = 0;
	b->base_sequence = from;
	if (written)
		write_to_broker(f, b);
	batch_drop_bytes(b, producer_budget(f->p));
	b->ledger_id = f->mock.next_ledger++;
	f->mock.plans = realloc(f->mock.plans, (f->mock.plan_count + 1) * sizeof *f->mock.plans);
	f->mock.plans[f->mock.plan_count++] = (struct mock_plan){ PID, 0, from, b->count };
	f->mock.plan_cap = f->mock.plan_count;
	f->mock.build = build;
	b->counted = true;
	f->next = from + 10;
	return b;
}

/* Lines from..from + 9, the first `there` of a file that is there. */
static void restore(struct fixture *f, int from, int there, bool written)
{
	assert_int_equal(producer_restore(f->p, "t", of_earlier_life(f, from, there, written)), 0);
}

/* The same, and a life in between has kept those. */
static void restore_kept(struct fixture *f, int from, int there, bool written)
{
	struct batch *b = of_earlier_life(f, from, there, written);

	b->gone = true;
	b->range_count = 1;
	assert_int_equal(fill(b, producer_budget(f->p)), there);
	batch_seal_crc(b);
	mock_add_row(&f->mock, b);
	batch_drop_bytes(b, producer_budget(f->p));
	b->range_count = 2;
	b->kept_rest = there;
	assert_int_equal(producer_restore(f->p, "t", b), 0);
}

/* Something of that life was acknowledged: the broker knows it. */
static void acknowledged(struct fixture *f)
{
	struct batch *b = batch_new(0, clock_wall_ms());

	add_range(b, 1, 0, 10);
	lay(b, producer_budget(f->p));
	batch_seal_crc(b);
	b->topic = "t";
	b->partition = 0;
	b->producer_id = PID;
	b->producer_epoch = 0;
	b->base_sequence = 0;
	write_to_broker(f, b);
	batch_free(b, producer_budget(f->p));
}

static void go_on(struct fixture *f)
{
	start(f);
	append(f, 10);
	drain(f);
}

/* As they stand in the log, each line is behind those before it. */
static void assert_in_order(struct fixture *f)
{
	const char *v;
	long last = -1;

	for (size_t i = 0; (v = fake_record(f->fake, "t", 0, i)); i++) {
		if (strtol(v, NULL, 10) <= last)
			fail_msg("line %s is behind line %ld", v, last);
		last = strtol(v, NULL, 10);
	}
}

static void assert_books(struct fixture *f, uint64_t dropped, uint64_t uncertain)
{
	assert_int_equal(f->mock.shrunk + f->mock.lost, dropped);
	assert_int_equal(f->mock.uncertain, uncertain);
}

/* --- the log may be read --- */

static void what_was_written_before_its_file_vanished_is_acknowledged(void **state)
{
	struct fixture *f = fixture(state);

	acknowledged(f);
	restore(f, 10, 5, true);
	restore(f, 20, 10, true);
	go_on(f);
	assert_times(f, 0, f->next, 1);
	assert_books(f, 0, 0);
	assert_in_order(f);
}

static void and_what_stands_behind_it_goes_on(void **state)
{
	struct fixture *f = fixture(state);

	acknowledged(f);
	restore(f, 10, 0, true);
	restore(f, 20, 10, false);
	go_on(f);
	assert_times(f, 0, f->next, 1);
	assert_books(f, 0, 0);
	assert_in_order(f);
}

static void of_what_was_not_written_exactly_what_is_gone_is_lost(void **state)
{
	struct fixture *f = fixture(state);

	acknowledged(f);
	restore(f, 10, 5, false);
	restore(f, 20, 10, false);
	restore(f, 30, 3, false);
	go_on(f);
	assert_times(f, 0, 15, 1);
	assert_times(f, 15, 20, 0);
	assert_times(f, 20, 33, 1);
	assert_times(f, 33, 40, 0);
	assert_times(f, 40, f->next, 1);
	assert_books(f, 12, 0);
	assert_in_order(f);
}

static void a_batch_of_which_nothing_is_left_is_lost_as_a_whole(void **state)
{
	struct fixture *f = fixture(state);

	acknowledged(f);
	restore(f, 10, 10, true);
	restore(f, 20, 0, false);
	restore(f, 30, 10, false);
	go_on(f);
	assert_times(f, 0, 20, 1);
	assert_times(f, 20, 30, 0);
	assert_times(f, 30, f->next, 1);
	assert_books(f, 10, 0);
	assert_int_equal(f->mock.lost, 10);
	assert_in_order(f);
}

static void a_broker_that_was_never_told_anything_has_nothing(void **state)
{
	struct fixture *f = fixture(state);

	restore(f, 0, 5, false);
	go_on(f);
	assert_times(f, 0, 5, 1);
	assert_times(f, 5, 10, 0);
	assert_times(f, 10, f->next, 1);
	assert_books(f, 5, 0);
}

static void a_plan_that_fails_is_made_again_with_the_same_loss(void **state)
{
	struct fixture *f = fixture(state);

	restore(f, 0, 5, false);
	f->mock.fail_plans = 2;
	go_on(f);
	assert_times(f, 0, 5, 1);
	assert_times(f, 5, 10, 0);
	assert_books(f, 5, 0);
}

/* --- nobody may look --- */

static void without_the_right_to_read_a_later_success_proves_it_written(void **state)
{
	struct fixture *f = fixture(state);

	fake_deny_read(f->fake, "t", true);
	acknowledged(f);
	restore(f, 10, 5, true);
	restore(f, 20, 10, true);
	go_on(f);
	assert_times(f, 0, f->next, 1);
	assert_books(f, 0, 0);
}

static void and_45_for_all_that_stands_behind_it_proves_the_opposite(void **state)
{
	struct fixture *f = fixture(state);

	fake_deny_read(f->fake, "t", true);
	acknowledged(f);
	restore(f, 10, 5, false);
	restore(f, 20, 10, false);
	go_on(f);
	assert_times(f, 0, 15, 1);
	assert_times(f, 15, 20, 0);
	assert_times(f, 20, f->next, 1);
	assert_books(f, 5, 0);
	assert_in_order(f);
}

static void and_of_the_last_one_nobody_can_tell(void **state)
{
	struct fixture *f = fixture(state);

	fake_deny_read(f->fake, "t", true);
	acknowledged(f);
	restore(f, 10, 5, true);
	go_on(f);
	assert_times(f, 0, 10, 1);
	assert_times(f, 10, 15, 2);
	assert_times(f, 15, 20, 1);
	assert_times(f, 20, f->next, 1);
	assert_books(f, 5, 5);
}

static void nor_of_any_when_ages_are_unknown(void **state)
{
	struct fixture *f = fixture(state);

	fake_deny_read(f->fake, "t", true);
	acknowledged(f);
	restore(f, 10, 5, false);
	restore(f, 20, 10, false);
	producer_ages_unknown(f->p);
	go_on(f);
	assert_times(f, 0, 15, 1);
	assert_times(f, 15, 20, 0);
	assert_times(f, 20, f->next, 1);
	assert_books(f, 5, 20);		/* withdrawn, before anybody knew what is gone */
}

/* --- the end --- */

static bool keep_all(void *arg, const struct batch *b)
{
	(void)arg, (void)b;
	return true;
}

/* Those that are there will be there. */
static bool keep_gone(void *arg, const struct batch *b)
{
	bool any = false;

	(void)arg;
	for (uint32_t i = 0; i < b->range_count; i++)
		any |= gone(&b->ranges[i]);
	return any;
}

static void a_stop_leaves_it_to_the_next_life(void **state)
{
	struct fixture *f = fixture(state);

	fake_down(f->fake, 0);
	restore(f, 0, 5, false);
	start(f);
	producer_stop(f->p, keep_gone, NULL);
	assert_true(f->mock.loads > 0);
	assert_books(f, 0, 0);
	assert_int_equal(mock_rows(&f->mock), 0);
	f->started = false;
}

static void a_stop_keeps_what_is_left_where_that_is_about_to_vanish_too(void **state)
{
	struct fixture *f = fixture(state);

	fake_down(f->fake, 0);
	restore(f, 0, 5, false);
	restore(f, 10, 0, false);
	start(f);
	producer_stop(f->p, keep_all, NULL);
	assert_int_equal(mock_rows(&f->mock), 1);
	assert_int_equal(mock_records(&f->mock), 5);
	assert_int_equal(f->mock.spilled_identity, 1);
	assert_books(f, 0, 0);
	assert_int_equal(producer_in_memory(f->p), 0);
	assert_int_equal(budget_used(producer_budget(f->p)), 0);
	f->started = false;
}

static struct producer *readable_at_the_end;

static int build_at_the_end(struct batch *b, struct budget *m)
{
	bool stopping;

	pthread_mutex_lock(&readable_at_the_end->mu);
	stopping = readable_at_the_end->stopping;
	pthread_mutex_unlock(&readable_at_the_end->mu);
	return stopping ? build(b, m) : ERR_UNAVAILABLE;
}

/* The journal was asked for it shortly before, in vain, and would be asked again later. */
static void a_stop_keeps_what_could_not_be_read_a_moment_ago(void **state)
{
	struct fixture *f = fixture(state);

	acknowledged(f);
	restore(f, 10, 10, false);
	readable_at_the_end = f->p;
	f->mock.build = build_at_the_end;
	start(f);
	wait_for(f->mock.loads > 0);
	producer_stop(f->p, keep_all, NULL);
	assert_int_equal(mock_records(&f->mock), 10);
	assert_int_equal(f->mock.spilled_identity, 1);
	assert_int_equal(producer_in_memory(f->p), 0);
	f->started = false;
}

static void what_was_kept_of_a_batch_is_thrown_away_if_it_was_written(void **state)
{
	struct fixture *f = fixture(state);

	acknowledged(f);
	restore_kept(f, 10, 5, true);
	assert_int_equal(producer_in_memory(f->p), 5);		/* the others are in the spool's books */
	restore(f, 20, 10, true);
	go_on(f);
	assert_times(f, 0, f->next, 1);
	assert_books(f, 0, 0);
	assert_in_order(f);
}

static void and_is_sent_in_its_place_if_it_was_not(void **state)
{
	struct fixture *f = fixture(state);

	acknowledged(f);
	restore_kept(f, 10, 5, false);
	restore(f, 20, 10, false);
	go_on(f);
	assert_times(f, 0, 15, 1);
	assert_times(f, 15, 20, 0);
	assert_times(f, 20, f->next, 1);
	assert_books(f, 5, 0);
	assert_in_order(f);
}

static void a_stop_leaves_what_was_kept_as_it_is(void **state)
{
	struct fixture *f = fixture(state);

	fake_down(f->fake, 0);
	restore_kept(f, 0, 5, false);
	start(f);
	producer_stop(f->p, keep_all, NULL);
	assert_int_equal(mock_records(&f->mock), 5);
	assert_int_equal(f->mock.spilled, 1);
	assert_int_equal(f->mock.loads, 0);
	assert_int_equal(producer_in_memory(f->p), 0);
	f->started = false;
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_teardown(name, teardown)
	static const struct CMUnitTest tests[] = {
		T(what_was_written_before_its_file_vanished_is_acknowledged),
		T(and_what_stands_behind_it_goes_on),
		T(of_what_was_not_written_exactly_what_is_gone_is_lost),
		T(a_batch_of_which_nothing_is_left_is_lost_as_a_whole),
		T(a_broker_that_was_never_told_anything_has_nothing),
		T(a_plan_that_fails_is_made_again_with_the_same_loss),
		T(without_the_right_to_read_a_later_success_proves_it_written),
		T(and_45_for_all_that_stands_behind_it_proves_the_opposite),
		T(and_of_the_last_one_nobody_can_tell),
		T(nor_of_any_when_ages_are_unknown),
		T(a_stop_leaves_it_to_the_next_life),
		T(a_stop_keeps_what_is_left_where_that_is_about_to_vanish_too),
		T(a_stop_keeps_what_could_not_be_read_a_moment_ago),
		T(what_was_kept_of_a_batch_is_thrown_away_if_it_was_written),
		T(and_is_sent_in_its_place_if_it_was_not),
		T(a_stop_leaves_what_was_kept_as_it_is),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

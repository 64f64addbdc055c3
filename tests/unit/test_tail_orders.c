/* test_tail_orders.c - positions set by hand and files forgotten by order, on the real tail thread. */
#include "tests/lib/tail_fixture.h"

static void expect_loss(struct fixture *f, size_t i, const char *reason, int64_t from, int64_t to, uint64_t records)
{
	struct double_loss l;
	bool there;

	pthread_mutex_lock(&f->p->mu);
	there = f->p->loss_count > i;
	l = f->p->losses[i];
	pthread_mutex_unlock(&f->p->mu);
	assert_true(there);
	assert_string_equal(l.reason, reason);
	assert_int_equal(l.from, from);
	assert_int_equal(l.to, to);
	assert_int_equal(l.records, records);
	assert_int_equal(l.bytes, to - from);
}

static void expect_finished(struct fixture *f, size_t i, int64_t id, int64_t from, int64_t to)
{
	struct spool_range r;
	bool there;

	pthread_mutex_lock(&f->p->mu);
	there = f->p->finished_count > i;
	r = f->p->finished[i];
	pthread_mutex_unlock(&f->p->mu);
	assert_true(there);
	assert_int_equal(r.file_id, id);
	assert_int_equal(r.from, from);
	assert_int_equal(r.to, to);
	assert_true(r.marker != 0);
}

static void expect_words(const char *words, const char *part)
{
	if (!strstr(words, part))
		fail_msg("\"%s\" says nothing of \"%s\"", words, part);
}

/* a.log was read up to its second line, which waits for memory. */
static void start_and_wait_at_second_line(struct fixture *f, const char *rest)
{
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	double_dry(f->p, true);
	append(f, "a.log", rest);
	expect_refusal(f);
}

static void ranges_that_touch_become_one(void **state)
{
	static const int64_t in[][2] = { { 10, 20 }, { 40, 50 }, { 30, 35 }, { 20, 25 }, { 5, 5 }, { 34, 41 }, { 60, 70 },
					 { 12, 14 } };
	struct tail_skip *v = NULL;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(in); i++)
		assert_int_equal(skip_add(&v, &n, in[i][0], in[i][1]), 0);
	assert_int_equal(n, 3);
	assert_int_equal(v[0].from, 10);
	assert_int_equal(v[0].to, 25);
	assert_int_equal(v[1].from, 30);
	assert_int_equal(v[1].to, 50);
	assert_int_equal(v[2].from, 60);
	mem_free(v);
}

/* --- positions --- */

static void forward_skips_what_was_not_read_and_enters_it(void **state)
{
	struct fixture *f = *state;
	struct tail_moved m;

	start_and_wait_at_second_line(f, "2\n3\n4\n");
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 6, &m), 0);
	assert_int_equal(m.from, 2);
	assert_int_equal(m.to, 6);
	assert_int_equal(m.skipped, 4);
	expect_words(m.words, "goes on at offset 6; 4 bytes are skipped");
	double_dry(f->p, false);
	expect(f, "<1><4>");
	expect_loss(f, 0, SPOOL_LOSS_SKIPPED, 2, 6, 2);
	expect_finished(f, 0, 1, 2, 6);
	assert_int_equal(f->p->records[1].source.file_id, 1);
	assert_int_equal(f->p->records[1].source.from, 6);
}

static void an_offset_within_a_line_is_moved_to_the_next_one(void **state)
{
	struct fixture *f = *state;
	struct tail_moved m;

	start_and_wait_at_second_line(f, "22\n33\n44\nrest");
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 6, &m), 0);
	assert_int_equal(m.to, 8);
	expect_words(m.words, "the next beginning of a line");
	/* The end is the beginning of the unfinished line. */
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), INT64_MAX, &m), 0);
	assert_int_equal(m.to, 11);
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 13, &m), 0);
	expect_words(m.words, "at offset 11 already");
	double_dry(f->p, false);
	append(f, "a.log", " of it\n");
	expect(f, "<1><rest of it>");
}

/* What an earlier life finished or promised is neither skipped nor read. */
static void forward_leaves_out_what_is_finished_already(void **state)
{
	struct fixture *f = *state;
	struct tail_skip skips[] = { { 4, 6 }, { 8, 12 } };
	struct tail_moved m;

	append(f, "a.log", "1\n2\n3\n4\n5\n6\n7\n");
	remember(f, 0, "a.log", 7, 2);
	f->known[0].skips = skips;
	f->known[0].skip_count = 2;
	double_dry(f->p, true);
	start(f);
	expect_refusal(f);
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 10, &m), 0);
	assert_int_equal(m.skipped, 4);
	expect_loss(f, 0, SPOOL_LOSS_SKIPPED, 2, 4, 1);
	expect_loss(f, 1, SPOOL_LOSS_SKIPPED, 6, 8, 1);
	double_dry(f->p, false);
	expect(f, "<7>");
	assert_int_equal(f->p->records[0].source.from, 12);
}

static void backward_reads_again_under_a_new_id(void **state)
{
	struct fixture *f = *state;
	struct tail_moved m;
	struct batch *b;
	int n = 1;

	append(f, "a.log", "1\n2\n3\n");
	start(f);
	expect(f, "<1><2><3>");
	b = batch_of_records(f, 0, 3);
	batch_drop_bytes(b, f->p->budget);
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 2, &m), 0);
	assert_int_equal(m.file_id, 2);
	assert_int_equal(m.again, 4);
	expect_words(m.words, "4 bytes are read again");
	expect(f, "<1><2><3><2><3>");
	assert_int_equal(f->p->records[3].source.file_id, 2);
	expect_row(f, 1, FILE_DELETED, true);
	expect_row(f, 2, FILE_ACTIVE, false);
	assert_int_equal(double_file(f->p, 2)->safe, 2);
	/* A batch of the old id finds its bytes. */
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	batch_free(b, f->p->budget);
	assert_int_equal(f->p->loss_count, 0);
}

/* Ids tell a later life who came first: one that has waited for it all the time is still the younger one. */
static void backward_a_rotated_file_stays_older_than_its_successor(void **state)
{
	struct fixture *f = *state;
	struct tail_moved m;
	int64_t id = 0;

	start_and_wait_at_second_line(f, "2\n");
	move(f, "a.log", "old");
	append(f, "a.log", "3\n");
	expect_file(f, "old", "rotated", NULL);
	expect_seen(f, "a.log");
	assert_int_equal(tail_position_set(f->t, at(f, "old"), 0, &m), 0);
	assert_int_equal(m.again, 2);
	assert_true(file_is(f, "a.log", "active", &id) || file_is(f, "a.log", "waiting", &id));
	assert_true(m.file_id < id);
	double_dry(f->p, false);
	expect(f, "<1><1><2><3>");
	assert_int_equal(f->p->records[1].source.file_id, m.file_id);
	assert_int_equal(f->p->records[3].source.file_id, id);
}

/* Lines above `safe` are in memory only, and nobody would read them after kill -9. */
static void backward_goes_at_least_to_what_is_safe(void **state)
{
	struct fixture *f = *state;
	struct tail_moved m;

	f->p->safe_is_read = false;
	append(f, "a.log", "1\n2\n3\n");
	start(f);
	expect(f, "<1><2><3>");
	pthread_mutex_lock(&f->p->mu);
	f->p->files[0].safe = 2;
	pthread_mutex_unlock(&f->p->mu);
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 4, &m), 0);
	assert_int_equal(m.to, 2);
	expect_words(m.words, "so that nothing unfinished is lost");
	expect(f, "<1><2><3><2><3>");
}

static void what_cannot_be_set_is_said(void **state)
{
	struct fixture *f = *state;
	struct tail_moved m;

	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	assert_int_equal(tail_position_set(f->t, at(f, "b.log"), 0, &m), ERR_NOT_FOUND);
	expect_words(m.words, "b.log: no such file is followed");
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), -1, &m), ERR_CONFIG);
	expect_words(m.words, "must not be negative");
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 99, &m), 0);
	assert_int_equal(m.to, 2);
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
}

/* --- forgetting --- */

static bool is_forgotten(struct producer *p, void *arg)
{
	struct double_file *d = double_file(p, *(int64_t *)arg);

	return d && d->forgotten;
}

static void a_file_that_an_input_matches_is_not_forgotten(void **state)
{
	struct fixture *f = *state;
	struct tail_forgotten r;

	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	assert_int_equal(tail_forget(f->t, at(f, "a.log"), &r), ERR_BUSY);
	expect_words(r.words, "positions set");
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	assert_int_equal(tail_forget(f->t, at(f, "none.log"), &r), ERR_NOT_FOUND);
}

static void the_unread_rest_of_a_forgotten_file_is_entered(void **state)
{
	struct fixture *f = *state;
	struct tail_forgotten r;
	int64_t id = 1;

	start_and_wait_at_second_line(f, "2\n3\n");
	move(f, "a.log", "old");
	append(f, "a.log", "4\n");
	expect_file(f, "old", "rotated", NULL);
	assert_int_equal(tail_forget(f->t, at(f, "old"), &r), 0);
	assert_int_equal(r.files, 1);
	assert_int_equal(r.bytes, 4);
	expect_loss(f, 0, SPOOL_LOSS_FORGOTTEN, 2, 6, 2);
	assert_true(is_forgotten(f->p, &id));
	assert_false(file_is(f, "old", "rotated", NULL));
	double_dry(f->p, false);
	expect(f, "<1><4>");			/* its successor waits no longer */
}

/* A batch that waits for a file which no input matches any more holds up its partition, until the file is forgotten. */
static void batches_that_wait_for_a_forgotten_file_are_given_up(void **state)
{
	struct fixture *f = *state;
	struct tail_forgotten r;
	struct batch *b;
	int n = 1;

	append(f, "a.log", "1\n2\n");
	start(f);
	expect(f, "<1><2>");
	b = batch_of_records(f, 0, 1);
	batch_drop_bytes(b, f->p->budget);
	stop(f);
	remember(f, 0, "a.log", 1, 2);
	move(f, "a.log", "elsewhere");
	snprintf(f->paths[0], 256, "%s/*.none", f->dir);
	start(f);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, ERR_UNAVAILABLE);
	assert_int_equal(tail_forget(f->t, at(f, "a.log"), &r), 0);
	assert_int_equal(r.files, 1);
	expect_loss(f, 0, SPOOL_LOSS_FORGOTTEN, 2, 4, 0);
	tail_rebuild(f->t, b);
	n = 2;
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, ERR_BAD_DATA);
	batch_free(b, f->p->budget);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
	cmocka_unit_test(ranges_that_touch_become_one),
	TEST(forward_skips_what_was_not_read_and_enters_it),
	TEST(an_offset_within_a_line_is_moved_to_the_next_one),
	TEST(forward_leaves_out_what_is_finished_already),
	TEST(backward_reads_again_under_a_new_id),
	TEST(backward_a_rotated_file_stays_older_than_its_successor),
	TEST(backward_goes_at_least_to_what_is_safe),
	TEST(what_cannot_be_set_is_said),
	TEST(a_file_that_an_input_matches_is_not_forgotten),
	TEST(the_unread_rest_of_a_forgotten_file_is_entered),
	TEST(batches_that_wait_for_a_forgotten_file_are_given_up),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_tail_fds.c - more files than descriptors: closed and opened again, renamed, deleted, rewritten while they are closed. */
#include "tests/lib/tail_fixture.h"

#include <unistd.h>

/* One descriptor for all files: whatever happens to one closes the other. */
static void start_with(struct fixture *f, size_t most)
{
	open_tail(f);
	f->t->max_open = most;
	assert_int_equal(tail_start(f->t), 0);
}

struct question { const char *path; bool parked; size_t open; };

static void ask(struct tail *t, void *arg)
{
	struct question *q = arg;
	const struct file *f = files_by_path(t, q->path);

	q->parked = f && f->parked;
	q->open = t->open_count;
}

static bool is_parked(struct fixture *f, const char *name)
{
	struct question q = { .path = at(f, name) };

	calls_do(f->t, ask, &q);
	return q.parked;
}

static void expect_parked(struct fixture *f, const char *name)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;)
		if (is_parked(f, name))
			return;
	fail_msg("%s was never closed", name);
}

static size_t open_now(struct fixture *f)
{
	struct question q = { .path = "" };

	calls_do(f->t, ask, &q);
	return q.open;
}

/* a.log was read, and is closed because b.log is open. */
static void park_a(struct fixture *f)
{
	append(f, "a.log", "a1\n");
	start_with(f, 1);
	expect(f, "<a1>");
	append(f, "b.log", "b1\n");
	expect(f, "<a1><b1>");
	expect_parked(f, "a.log");
}

static void expect_each_once(struct fixture *f, int files, int lines)
{
	size_t want = (size_t)(files * lines);
	int *seen = calloc(want, sizeof *seen);

	assert_true(double_wait(f->p, has_records, &want));
	pthread_mutex_lock(&f->p->mu);
	assert_int_equal(f->p->record_count, want);
	for (size_t i = 0; i < want; i++) {
		int file, line;

		assert_int_equal(sscanf(f->p->records[i].value, "%d %d", &file, &line), 2);
		assert_int_equal(seen[file * lines + line]++, 0);
	}
	pthread_mutex_unlock(&f->p->mu);
	free(seen);
}

static void more_files_than_descriptors_are_read_once(void **state)
{
	struct fixture *f = *state;
	char name[32], line[32];

	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 30; i++) {
			snprintf(name, sizeof name, "%d.log", i);
			snprintf(line, sizeof line, "%d %d\n", i, round);
			append(f, name, line);
		}
		if (round == 0)
			start_with(f, 4);
		assert_true(open_now(f) <= 4);
	}
	expect_each_once(f, 30, 4);
	assert_true(open_now(f) <= 4);
	for (int64_t id = 1; id <= 30; id++)
		check_ranges(f->p, id, 0);
}

static void a_backlog_of_more_files_than_descriptors_is_read_in_turns(void **state)
{
	struct fixture *f = *state;
	char name[32], line[128];

	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof name, "%d.log", i);
		FILE *o = fopen(at(f, name), "w");

		assert_non_null(o);
		for (int k = 0; k < 6000; k++) {
			snprintf(line, sizeof line, "%d %d %090d\n", i, k, k);
			fputs(line, o);
		}
		fclose(o);
	}
	start_with(f, 2);
	expect_each_once(f, 6, 6000);
	assert_true(open_now(f) <= 2);
}

static void what_is_written_to_a_closed_file_is_read(void **state)
{
	struct fixture *f = *state;

	park_a(f);
	append(f, "a.log", "a2\n");
	expect(f, "<a1><b1><a2>");
	expect_parked(f, "b.log");
	check_ranges(f->p, 1, 0);
}

static void a_closed_file_that_is_rotated_is_read_before_its_successor(void **state)
{
	struct fixture *f = *state;

	park_a(f);
	pause_thread(f);
	append(f, "a.log", "a2\n");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "new\n");
	append(f, "a.log.1", "a3\n");
	resume_thread(f);
	expect(f, "<a1><b1><a2><a3><new>");
	check_ranges(f->p, 1, 0);
}

/* No event tells: the walk finds another file at its path, and its own under another name beside it. */
static void a_closed_file_that_was_rotated_unseen_is_found_in_its_directory(void **state)
{
	struct fixture *f = *state;

	park_a(f);
	pause_thread(f);
	append(f, "a.log", "a2\n");
	move(f, "a.log", "elsewhere");
	append(f, "a.log", "new\n");
	watch_overflow(f->t->watch);
	resume_thread(f);
	append(f, "zz-not-ours", "");		/* wakes */
	expect(f, "<a1><b1><a2><new>");
}

static void a_closed_file_that_was_rewritten_is_read_from_its_beginning(void **state)
{
	struct fixture *f = *state;
	int fd;

	park_a(f);
	pause_thread(f);
	fd = open(at(f, "a.log"), O_WRONLY | O_TRUNC);
	put(fd, "anew1\nanew2\n");
	close(fd);
	resume_thread(f);
	expect(f, "<a1><b1><anew1><anew2>");
}

/* Only its beginning tells: before the position is what was there. */
static void a_closed_file_with_another_beginning_is_another_one(void **state)
{
	struct fixture *f = *state;
	char old[128], new[128], want[512];
	int fd;

	snprintf(old, sizeof old, "old%080d", 7);
	snprintf(new, sizeof new, "new%080d", 7);
	append(f, "a.log", old);
	append(f, "a.log", "\n");
	start_with(f, 1);
	snprintf(want, sizeof want, "<%s>", old);
	expect(f, want);
	append(f, "b.log", "b1\n");
	snprintf(want, sizeof want, "<%s><b1>", old);
	expect(f, want);
	expect_parked(f, "a.log");
	pause_thread(f);
	fd = open(at(f, "a.log"), O_WRONLY | O_TRUNC);
	put(fd, new);
	put(fd, "\nmore\n");
	close(fd);
	resume_thread(f);
	snprintf(want, sizeof want, "<%s><b1><%s><more>", old, new);
	expect(f, want);
}

static bool lost_one(struct producer *p, void *arg)
{
	(void)arg;
	return p->loss_count == 1;
}

static void a_finished_file_that_is_deleted_while_closed_is_no_loss(void **state)
{
	struct fixture *f = *state;

	park_a(f);
	assert_int_equal(unlink(at(f, "a.log")), 0);
	expect_row(f, 1, FILE_DONE, true);
	append(f, "a.log", "new\n");
	expect(f, "<a1><b1><new>");
	assert_int_equal(f->p->loss_count, 0);
}

/* It could not be read on, for memory was dry, and had to give its descriptor to another. */
static void what_is_known_unread_of_a_file_that_vanishes_while_closed_is_entered_in_the_losses(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "a1\n");
	open_tail(f);
	f->t->max_open = 1;
	f->t->pace.retry = 600000;		/* trying again would open it again */
	assert_int_equal(tail_start(f->t), 0);
	expect(f, "<a1>");
	double_dry(f->p, true);
	append(f, "a.log", "a2\na3\n");
	expect_file(f, "a.log", "waiting", NULL);
	append(f, "b.log", "b1\n");
	expect_parked(f, "a.log");
	assert_int_equal(unlink(at(f, "a.log")), 0);
	assert_true(double_wait(f->p, lost_one, NULL));
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_GONE);
	assert_int_equal(f->p->losses[0].from, 3);
	assert_int_equal(f->p->losses[0].to, 9);
	double_dry(f->p, false);
	expect(f, "<a1><b1>");
}

/* Its last line was finished by an earlier life, the one before was not. */
static void a_file_that_vanished_while_closed_and_comes_back_gives_nothing_again(void **state)
{
	struct tail_skip finished = { 6, 9 };
	struct fixture *f = *state;

	append(f, "a.log", "a1\na2\na3\n");
	remember(f, 0, "a.log", 1, 3);
	f->known[0].skips = &finished;
	f->known[0].skip_count = 1;
	double_dry(f->p, true);
	open_tail(f);
	f->t->max_open = 1;
	f->t->pace.retry = 600000;		/* trying again would open it again */
	assert_int_equal(tail_start(f->t), 0);
	expect_file(f, "a.log", "waiting", NULL);
	append(f, "b.log", "");
	expect_parked(f, "a.log");
	assert_int_equal(mkdir(at(f, "elsewhere"), 0755), 0);
	move(f, "a.log", "elsewhere/a");
	expect_row(f, 1, FILE_DONE, true);
	move(f, "elsewhere/a", "a.log");
	expect_row(f, 1, FILE_ACTIVE, false);
	double_dry(f->p, false);
	expect(f, "<a2>");
	append(f, "a.log", "a4\n");
	expect(f, "<a2><a4>");
}

static void a_batch_of_a_closed_file_is_built_again(void **state)
{
	struct fixture *f = *state;
	struct batch *b;
	int n = 1;

	park_a(f);
	b = batch_of_records(f, 0, 2);
	batch_drop_bytes(b, f->p->budget);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	batch_free(b, f->p->budget);
}

static void the_position_of_a_closed_file_can_be_set(void **state)
{
	struct fixture *f = *state;
	struct tail_moved m;

	park_a(f);
	assert_int_equal(tail_position_set(f->t, at(f, "a.log"), 0, &m), 0);
	expect(f, "<a1><b1><a1>");
}

static void a_deleted_file_keeps_its_descriptor(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	put(fd, "a1\n");
	start_with(f, 1);
	expect(f, "<a1>");
	f->p->safe_is_read = false;
	assert_int_equal(unlink(at(f, "a.log")), 0);
	expect_file(f, "a.log", "deleted", NULL);
	append(f, "b.log", "b1\n");
	expect(f, "<a1><b1>");
	put(fd, "a2\n");
	close(fd);
	expect(f, "<a1><b1><a2>");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(more_files_than_descriptors_are_read_once),
	TEST(a_backlog_of_more_files_than_descriptors_is_read_in_turns),
	TEST(what_is_written_to_a_closed_file_is_read),
	TEST(a_closed_file_that_is_rotated_is_read_before_its_successor),
	TEST(a_closed_file_that_was_rotated_unseen_is_found_in_its_directory),
	TEST(a_closed_file_that_was_rewritten_is_read_from_its_beginning),
	TEST(a_closed_file_with_another_beginning_is_another_one),
	TEST(a_finished_file_that_is_deleted_while_closed_is_no_loss),
	TEST(what_is_known_unread_of_a_file_that_vanishes_while_closed_is_entered_in_the_losses),
	TEST(a_file_that_vanished_while_closed_and_comes_back_gives_nothing_again),
	TEST(a_batch_of_a_closed_file_is_built_again),
	TEST(the_position_of_a_closed_file_can_be_set),
	TEST(a_deleted_file_keeps_its_descriptor),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

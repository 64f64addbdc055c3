/* test_tail_missed.c - generations that came and went while nobody looked, last lines of files that are rotated within the
 * globs, hard links, directories that move, and what is our own. */
#include "tests/lib/tail_fixture.h"

#include <unistd.h>

static int setup_within(void **state)
{
	struct fixture *f;

	assert_int_equal(setup(state), 0);
	f = *state;
	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	return 0;
}

/* Times are hints: here they say how old a file is, in seconds before now. */
static void aged(const struct fixture *f, const char *name, const char *text, int seconds)
{
	struct timespec now, times[2];

	append(f, name, text);
	clock_gettime(CLOCK_REALTIME, &now);
	times[0] = times[1] = (struct timespec){ now.tv_sec - seconds, 0 };
	assert_int_equal(utimensat(AT_FDCWD, at(f, name), times, 0), 0);
}

static int64_t id_of(struct fixture *f, const char *value)
{
	int64_t id = 0;

	pthread_mutex_lock(&f->p->mu);
	for (size_t i = 0; i < f->p->record_count; i++)
		if (!strcmp(f->p->records[i].value, value))
			id = f->p->records[i].source.file_id;
	pthread_mutex_unlock(&f->p->mu);
	return id;
}

static void read_and_stop(struct fixture *f)
{
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	stop(f);
	remember(f, 0, "a.log", 1, 2);
}

static void generations_made_while_nobody_ran_are_read_in_order(void **state)
{
	struct fixture *f = *state;

	read_and_stop(f);
	append(f, "a.log", "2\n");
	move(f, "a.log", "a.log.3");
	aged(f, "a.log.3", "", 400);
	aged(f, "a.log.2", "3\n", 300);
	aged(f, "a.log.1", "4\n", 200);
	append(f, "a.log", "5\n");
	start(f);
	expect(f, "<1><2><3><4><5>");
	assert_true(id_of(f, "2") < id_of(f, "3") && id_of(f, "3") < id_of(f, "4") && id_of(f, "4") < id_of(f, "5"));
	assert_string_equal(f->p->records[2].place, at(f, "a.log"));
}

static void generations_of_one_age_are_ordered_by_their_names(void **state)
{
	struct fixture *f = *state;

	read_and_stop(f);
	append(f, "a.log", "2\n");
	move(f, "a.log", "a.log.11");
	for (int i = 10; i > 0; i--) {
		char name[32], text[32];

		snprintf(name, sizeof name, "a.log.%d", i);
		snprintf(text, sizeof text, "g%d\n", i);
		aged(f, name, text, 100);
	}
	append(f, "a.log", "5\n");
	start(f);
	expect(f, "<1><2><g10><g9><g8><g7><g6><g5><g4><g3><g2><g1><5>");
}

static void generations_that_no_input_matches_are_found(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/a.log", f->dir);
	aged(f, "a.log.7", "older than all\n", 1000);
	read_and_stop(f);
	append(f, "a.log", "2\n");
	move(f, "a.log", "a.log-20261119");
	aged(f, "a.log-20261119", "", 400);
	aged(f, "a.log-20261120", "3\n", 300);
	aged(f, "a.log-20261121", "4\n", 200);
	aged(f, "a.log.err", "another log\n", 100);
	aged(f, "a.log.1.bak", "somebody's\n", 100);
	aged(f, "a.logs.1", "another log\n", 100);
	aged(f, "a.log.9", "\x1f\x8b" "packed\n", 100);
	append(f, "a.log", "5\n");
	start(f);
	expect(f, "<1><2><3><4><5>");
	append(f, "a.log", "6\n");
	expect(f, "<1><2><3><4><5><6>");
	expect_file(f, "a.log-20261121", "done", NULL);
}

/* Other applications' logs may have names that a rotation could make: what it did make of the file that was followed tells. */
static void what_another_rotation_or_nobody_made_of_a_name_is_not_read(void **state)
{
	static const char *const names[] = { "app-1", "app_2", "app.10.0.0.5", "app.8080", "app-20261121",
					     "app.old", "app.5", "app.1.2" };
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/app", f->dir);
	append(f, "app", "1\n");
	start(f);
	expect(f, "<1>");
	stop(f);
	remember(f, 0, "app", 1, 2);
	append(f, "app", "2\n");
	move(f, "app", "app.3");
	aged(f, "app.3", "", 400);
	aged(f, "app.2", "3\n", 300);
	aged(f, "app.1", "4\n", 200);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		aged(f, names[i], "somebody's\n", 100);
	append(f, "app", "5\n");
	start(f);
	expect(f, "<1><2><3><4><5>");
	append(f, "app", "6\n");
	expect(f, "<1><2><3><4><5><6>");
}

static void generations_that_are_counted_up_are_found(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/a.log", f->dir);
	read_and_stop(f);
	move(f, "a.log", "a.log.8");
	aged(f, "a.log.8", "", 400);
	aged(f, "a.log.9", "2\n", 300);
	aged(f, "a.log.10", "3\n", 200);
	aged(f, "a.log.12", "somebody's\n", 100);
	append(f, "a.log", "4\n");
	start(f);
	expect(f, "<1><2><3><4>");
	append(f, "a.log", "5\n");
	expect(f, "<1><2><3><4><5>");
}

static void what_is_excluded_or_a_copy_is_no_generation(void **state)
{
	struct fixture *f = *state;
	char exclude[] = "a.log.2";

	f->excludes[0] = exclude;
	f->in[0].exclude = (struct conf_strings){ f->excludes, 1 };
	snprintf(f->paths[0], 256, "%s/a.log", f->dir);
	read_and_stop(f);
	append(f, "a.log", "2\n");
	aged(f, "a.log.8", "1\n2\n", 0);
	move(f, "a.log", "a.log.3");
	aged(f, "a.log.3", "", 400);
	aged(f, "a.log.2", "excluded\n", 300);
	append(f, "a.log", "5\n");
	start(f);
	expect(f, "<1><2><5>");
	append(f, "a.log", "6\n");
	expect(f, "<1><2><5><6>");
	f->in[0].exclude.n = 0;
}

/* There is a file of that name, but nothing was rotated. */
static void without_a_rotation_nothing_is_looked_for(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/a.log", f->dir);
	read_and_stop(f);
	append(f, "a.log", "2\n");
	aged(f, "a.log.1", "somebody's\n", 0);
	start(f);
	expect(f, "<1><2>");
	append(f, "a.log", "3\n");
	expect(f, "<1><2><3>");
}

static void generations_that_lost_events_hid_are_found(void **state)
{
	struct fixture *f = *state;
	struct tail_counters c;

	snprintf(f->paths[0], 256, "%s/a.log", f->dir);
	snprintf(f->paths[1], 256, "%s/zz*", f->dir);
	f->conf.input_count = 2;
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	pause_thread(f);
	append(f, "a.log", "2\n");
	move(f, "a.log", "a.log.2");
	append(f, "a.log", "3\n");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "4\n");
	watch_overflow(f->t->watch);
	resume_thread(f);
	append(f, "zz-wake", "");		/* the kernel's overflow is an event too: it wakes */
	expect(f, "<1><2><3><4>");
	assert_true(id_of(f, "2") < id_of(f, "3") && id_of(f, "3") < id_of(f, "4"));
	tail_counters(f->t, &c);
	assert_true(c.overflows == 1 && c.walks >= 2);
}

static void expect_walks(struct fixture *f, uint64_t more)
{
	struct tail_counters c;
	uint64_t enough;

	tail_counters(f->t, &c);
	enough = c.walks + more;
	for (int64_t until = clock_mono_ms() + 20000; c.walks < enough; tail_counters(f->t, &c)) {
		assert_true(clock_mono_ms() < until);
		usleep(1000);
	}
}

/* As long as there is no memory, walks find them unread again and again. */
static void generations_that_are_known_keep_their_order_over_walks(void **state)
{
	struct fixture *f = *state;
	int64_t id = 0;

	f->reconcile = 20;
	read_and_stop(f);
	start(f);
	expect_file(f, "a.log", "active", &id);
	double_dry(f->p, true);
	append(f, "a.log", "2\n");
	expect_refusal(f);
	for (int i = 1; i < 4; i++) {
		char to[32], line[32];

		snprintf(to, sizeof to, "a.log.%d", i);		/* counted up, so names do not tell their age */
		snprintf(line, sizeof line, "%d\n", i + 2);
		move(f, "a.log", to);
		append(f, "a.log", line);
		for (int64_t was = id, until = clock_mono_ms() + 20000; id == was;) {
			assert_true(clock_mono_ms() < until);
			expect_file(f, "a.log", "active", &id);
		}
	}
	expect_walks(f, 2);
	double_dry(f->p, false);
	expect(f, "<1><2><3><4><5>");
}

/* --- last lines --- */

static void the_last_line_of_a_file_rotated_within_the_globs_is_sent(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2");
	start(f);
	expect(f, "<1>");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	expect_file(f, "a.log.1", "active", NULL);
	double_wait(f->p, has_records, &(size_t){ 3 });
	assert_int_equal(f->p->record_count, 3);
	assert_true(id_of(f, "2") == id_of(f, "1"));
	append(f, "a.log.1", "late\n4");
	double_wait(f->p, has_records, &(size_t){ 5 });
	assert_true(id_of(f, "4") == id_of(f, "1"));
}

static void and_over_a_restart(void **state)
{
	struct fixture *f = *state;

	read_and_stop(f);
	append(f, "a.log", "2");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	start(f);
	double_wait(f->p, has_records, &(size_t){ 3 });
	assert_int_equal(f->p->record_count, 3);
	assert_int_equal(id_of(f, "2"), 1);
}

/* --- names --- */

static void a_hard_link_is_the_same_file_whichever_name_goes(void **state)
{
	struct fixture *f = *state;

	f->reconcile = 50;
	append(f, "a.log", "1\n");
	assert_int_equal(link(at(f, "a.log"), at(f, "b.log")), 0);
	start(f);
	expect(f, "<1>");
	append(f, "b.log", "2\n");
	expect(f, "<1><2>");
	unlink(at(f, "a.log"));
	append(f, "b.log", "3\n");
	expect(f, "<1><2><3>");
	expect_file(f, "b.log", "active", NULL);
	assert_int_equal(link(at(f, "b.log"), at(f, "c.log")), 0);
	expect_walks(f, 2);			/* it was seen beside the other */
	move(f, "b.log", "gone");
	append(f, "c.log", "4\n");
	expect(f, "<1><2><3><4>");
	expect_file(f, "c.log", "active", NULL);
	assert_int_equal(id_of(f, "4"), 1);
}

static void a_directory_that_moves_takes_its_files_along(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/*/a.log", f->dir);
	assert_int_equal(mkdir(at(f, "x"), 0755), 0);
	append(f, "x/a.log", "1\n");
	start(f);
	expect(f, "<1>");
	append(f, "x/a.log", "2\n");
	move(f, "x", "y");
	append(f, "y/a.log", "3\n");
	expect(f, "<1><2><3>");
	expect_file(f, "y/a.log", "active", NULL);
	assert_int_equal(mkdir(at(f, "made"), 0755), 0);
	append(f, "made/a.log", "4\n");
	move(f, "made", "x");
	expect(f, "<1><2><3><4>");
	assert_int_equal(mkdir(at(f, "out"), 0755), 0);
	move(f, "y", "out/y");
	append(f, "out/y/a.log", "5\n");
	expect(f, "<1><2><3><4><5>");
	assert_int_equal(id_of(f, "5"), 1);
}

static void the_state_directory_is_not_read(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/**/*.log", f->dir);
	f->conf.state_dir = (char *)at(f, "link");
	assert_int_equal(mkdir(at(f, "state"), 0755), 0);
	assert_int_equal(mkdir(at(f, "state/below"), 0755), 0);
	assert_int_equal(symlink("state", at(f, "link")), 0);
	append(f, "state/own.log", "own\n");
	append(f, "state/below/own.log", "own\n");
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	append(f, "state/own.log", "own\n");
	append(f, "state/more.log", "own\n");
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	assert_true(f->t->warned_state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_within, teardown)
static const struct CMUnitTest tests[] = {
	TEST(generations_made_while_nobody_ran_are_read_in_order),
	TEST(generations_of_one_age_are_ordered_by_their_names),
	TEST(generations_that_no_input_matches_are_found),
	TEST(what_another_rotation_or_nobody_made_of_a_name_is_not_read),
	TEST(generations_that_are_counted_up_are_found),
	TEST(what_is_excluded_or_a_copy_is_no_generation),
	TEST(without_a_rotation_nothing_is_looked_for),
	TEST(generations_that_lost_events_hid_are_found),
	TEST(generations_that_are_known_keep_their_order_over_walks),
	TEST(the_last_line_of_a_file_rotated_within_the_globs_is_sent),
	TEST(and_over_a_restart),
	TEST(a_hard_link_is_the_same_file_whichever_name_goes),
	TEST(a_directory_that_moves_takes_its_files_along),
	TEST(the_state_directory_is_not_read),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

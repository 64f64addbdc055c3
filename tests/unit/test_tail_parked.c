/* test_tail_parked.c - files that are closed for want of descriptors, where other rules meet them: copies, compressed files,
 * generations that nobody saw, links. And copies whose original cannot have its turn. */
#include "tests/lib/packed.h"
#include "tests/lib/tail_fixture.h"

#include <unistd.h>

/* Nothing is a file of its own because it was quiet, until let_be_quiet says so. */
static void start_with(struct fixture *f, size_t most)
{
	open_tail(f);
	f->t->max_open = most;
	f->t->pace.twin = INT64_MAX / 2;
	assert_int_equal(tail_start(f->t), 0);
}

static int setup_all(void **state)
{
	int rc = setup(state);
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	f->in[0].compressed = f->in[0].follow_symlinks = true;
	return rc;
}

static void tick(struct tail *t, void *ret)
{
	(void)ret;
	t->pace.twin = 0;
	twin_tick(&t->twin_timer);
}

/* The first look may still see that something changed. */
static void let_be_quiet(struct fixture *f)
{
	for (int i = 0; i < 3; i++)
		calls_do(f->t, tick, NULL);
}

static void count_waiting(struct tail *t, void *ret)
{
	*(size_t *)ret = list_count(&t->twins);
}

static void expect_waiting(struct fixture *f, bool waits)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;) {
		size_t n;

		calls_do(f->t, count_waiting, &n);
		if (!n == !waits)
			return;
	}
	fail_msg("%s", waits ? "no copy waits" : "a copy waits for ever");
}

/* These and no other, when one more line has come after them. */
static void expect_all(struct fixture *f, const char *want)
{
	char more[1024];

	expect(f, want);
	append(f, "zz-last.log", "end\n");
	snprintf(more, sizeof more, "%s<end>", want);
	expect(f, more);
}

static void copy(const struct fixture *f, const char *from, const char *to)
{
	int in = open(at(f, from), O_RDONLY), out = open(at(f, to), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char buf[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof buf)) > 0)
		put_bytes(out, buf, (size_t)n);
	close(in);
	close(out);
}

static void pack_text(struct fixture *f, const char *name, const char *text)
{
	struct packed p = pack(UNPACK_GZIP, text, strlen(text));
	int fd = open_log(f, "beside");

	put_bytes(fd, p.data, p.n);
	close(fd);
	move(f, "beside", name);
	free(p.data);
}

/* --- copies --- */

static void a_closed_file_and_its_copy_take_each_others_places(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n3\n");
	start_with(f, 1);
	expect(f, "<1><2><3>");
	pause_thread(f);
	append(f, "a.log", "4\n");
	copy(f, "a.log", "a.log.1");
	assert_int_equal(truncate(at(f, "a.log"), 0), 0);
	append(f, "a.log", "5\n");
	resume_thread(f);
	expect_all(f, "<1><2><3><4><5>");
	append(f, "a.log", "6\n");
	expect(f, "<1><2><3><4><5><end><6>");
}

static void a_copy_of_a_file_that_vanished_while_closed_is_not_read_again(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n");
	start_with(f, 1);
	expect(f, "<1><2>");
	append(f, "c.log", "c\n");
	expect(f, "<1><2><c>");
	pause_thread(f);
	copy(f, "a.log", "b.log");
	assert_int_equal(unlink(at(f, "a.log")), 0);
	resume_thread(f);
	expect_row(f, 1, FILE_DELETED, true);
	let_be_quiet(f);
	expect_waiting(f, false);
	append(f, "b.log", "3\n");
	expect_all(f, "<1><2><c><3>");
	assert_int_equal(f->p->loss_count, 0);
}

/* Its original waits for memory, so nobody looks at it: a quiet copy is not taken for a file of its own meanwhile. */
static void a_copy_waits_for_an_original_that_waits_for_memory(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n3\n");
	start_with(f, 100);
	expect(f, "<1><2><3>");
	append(f, "a.log.1", "1\n2\n3\n");
	expect_waiting(f, true);
	double_dry(f->p, true);
	append(f, "a.log", "4\n");
	expect_refusal(f);
	append(f, "a.log.1", "4\n");
	assert_int_equal(truncate(at(f, "a.log"), 0), 0);
	append(f, "a.log", "5\n");
	let_be_quiet(f);
	double_dry(f->p, false);
	expect_all(f, "<1><2><3><4><5>");
}

/* Nothing but its position is remembered of the original, and the copy does not reach that yet. */
static void a_copy_of_a_closed_file_of_an_earlier_life_is_recognised_while_it_grows(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n3\n");
	remember(f, 0, "a.log", 1, 6);
	start_with(f, 1);
	append(f, "b.log", "b\n");
	expect(f, "<b>");
	append(f, "a.log.1", "1\n2\n");
	expect_waiting(f, true);
	pause_thread(f);
	append(f, "a.log.1", "3\n4\n");
	assert_int_equal(truncate(at(f, "a.log"), 0), 0);
	append(f, "a.log", "5\n");
	resume_thread(f);
	expect_all(f, "<b><4><5>");
}

/* --- compressed files --- */

static void a_closed_file_that_is_compressed_is_not_read_again(void **state)
{
	struct fixture *f = *state;

	append(f, "app.log.1", "one\ntwo\n");
	start_with(f, 1);
	expect(f, "<one><two>");
	append(f, "b.log", "b\n");
	expect(f, "<one><two><b>");
	pack_text(f, "app.log.1.gz", "one\ntwo\n");
	append(f, "c.log", "c\n");
	expect(f, "<one><two><b><c>");
	assert_int_equal(unlink(at(f, "app.log.1")), 0);
	expect_file(f, "app.log.1.gz", "done", NULL);
	expect_all(f, "<one><two><b><c>");
}

static void a_closed_file_whose_compressed_one_comes_as_it_goes_is_not_read_again(void **state)
{
	struct fixture *f = *state;

	append(f, "app.log.1", "one\ntwo\n");
	start_with(f, 1);
	expect(f, "<one><two>");
	append(f, "c.log", "c\n");
	expect(f, "<one><two><c>");
	pause_thread(f);
	pack_text(f, "app.log.1.gz", "one\ntwo\n");
	assert_int_equal(unlink(at(f, "app.log.1")), 0);
	resume_thread(f);
	expect_file(f, "app.log.1.gz", "done", NULL);
	expect_all(f, "<one><two><c>");
}

static void compressed_files_are_read_one_after_the_other_with_few_descriptors(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++) {
		struct timespec times[2] = { { 1000 + i, 0 }, { 1000 + i, 0 } };
		char name[32], text[64];

		snprintf(name, sizeof name, "%d.log.gz", 9 - i);
		snprintf(text, sizeof text, "%d1\n%d2\n", i, i);
		pack_text(f, name, text);
		assert_int_equal(utimensat(AT_FDCWD, at(f, name), times, 0), 0);
	}
	start_with(f, 1);
	expect(f, "<01><02><11><12><21><22><31><32><41><42>");
}

static void the_last_line_of_a_compressed_file_that_was_closed_is_sent(void **state)
{
	struct fixture *f = *state;
	size_t n = 3;

	pack_text(f, "x.log.gz", "one\ntwo");
	start_with(f, 1);
	expect(f, "<one>");
	append(f, "b.log", "b\n");
	assert_true(double_wait(f->p, has_records, &n));
	expect_file(f, "x.log.gz", "done", NULL);
}

/* --- names --- */

static void closed_generations_are_read_in_order(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	start_with(f, 1);
	expect(f, "<1>");
	stop(f);
	remember(f, 0, "a.log", 1, 2);
	move(f, "a.log", "a.log.4");
	for (int i = 2; i <= 4; i++) {
		struct timespec times[2] = { { 4000000000 + i, 0 }, { 4000000000 + i, 0 } };
		char name[32], text[32];

		snprintf(name, sizeof name, "a.log.%d", 5 - i);
		snprintf(text, sizeof text, "%d\n", i);
		append(f, name, text);
		assert_int_equal(utimensat(AT_FDCWD, at(f, name), times, 0), 0);
	}
	append(f, "a.log", "5\n");
	start_with(f, 1);
	expect(f, "<1><2><3><4><5>");
}

static void a_closed_file_from_which_its_link_is_turned_away_is_read_on(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(at(f, "data"), 0755), 0);
	append(f, "data/a", "a1\n");
	append(f, "data/b", "b1\n");
	assert_int_equal(symlink("data/a", at(f, "link.log")), 0);
	start_with(f, 1);
	expect(f, "<a1>");
	append(f, "c.log", "c\n");
	expect(f, "<a1><c>");
	pause_thread(f);
	append(f, "data/a", "a2\n");
	assert_int_equal(symlink("data/b", at(f, "new")), 0);
	move(f, "new", "link.log");
	resume_thread(f);
	expect_all(f, "<a1><c><a2><b1>");
	assert_int_equal(f->p->loss_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_all, teardown)
static const struct CMUnitTest tests[] = {
	TEST(a_closed_file_and_its_copy_take_each_others_places),
	TEST(a_copy_of_a_file_that_vanished_while_closed_is_not_read_again),
	TEST(a_copy_waits_for_an_original_that_waits_for_memory),
	TEST(a_copy_of_a_closed_file_of_an_earlier_life_is_recognised_while_it_grows),
	TEST(a_closed_file_that_is_compressed_is_not_read_again),
	TEST(a_closed_file_whose_compressed_one_comes_as_it_goes_is_not_read_again),
	TEST(compressed_files_are_read_one_after_the_other_with_few_descriptors),
	TEST(the_last_line_of_a_compressed_file_that_was_closed_is_sent),
	TEST(closed_generations_are_read_in_order),
	TEST(a_closed_file_from_which_its_link_is_turned_away_is_read_on),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

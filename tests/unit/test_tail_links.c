/* test_tail_links.c - links that are followed: retargeted, dangling, chains, loops, and their targets' own lives. */
#include "tests/lib/tail_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

static int setup_links(void **state)
{
	struct fixture *f;

	if (setup(state) < 0)
		return -1;
	f = *state;
	f->in[0].follow_symlinks = true;
	mkdir(at(f, "data"), 0755);
	mkdir(at(f, "hops"), 0755);
	return 0;
}

static void point(struct fixture *f, const char *name, const char *target)
{
	assert_int_equal(symlink(target, at(f, "new-link")), 0);
	move(f, "new-link", name);
}

static char *reasons(struct fixture *f)
{
	char *s = tail_reasons(f->t);

	assert_non_null(s);
	return s;
}

static void a_link_that_is_not_followed_is_named_as_the_reason(void **state)
{
	struct fixture *f = *state;
	char *s;

	f->in[0].follow_symlinks = false;
	append(f, "data/a", "1\n");
	point(f, "link.log", "data/a");
	f->reconcile = 50;
	start(f);
	s = reasons(f);
	assert_non_null(strstr(s, "only links match"));
	mem_free(s);
	append(f, "real.log", "2\n");
	expect(f, "<2>");
	for (;;) {				/* until the next walk */
		bool gone;

		s = reasons(f);
		gone = !strstr(s, "only links match");
		mem_free(s);
		if (gone)
			break;
	}
	expect(f, "<2>");
}

static void what_is_written_to_a_target_is_read(void **state)
{
	struct fixture *f = *state;

	append(f, "data/a", "1\n");
	point(f, "link.log", "data/a");
	start(f);
	expect(f, "<1>");
	append(f, "data/a", "2\n");
	expect(f, "<1><2>");
	assert_true(file_is(f, "link.log", "active", NULL));
}

static void a_link_to_an_absolute_path_over_another_name_of_its_directory_is_followed(void **state)
{
	struct fixture *f = *state;

	/* The pattern names the directory by a link, the target by its real name: one inotify watch for both. */
	point(f, "alias", "data");
	snprintf(f->paths[0], 256, "%s/alias/*.log", f->dir);
	append(f, "data/a", "1\n");
	point(f, "data/link.log", at(f, "data/a"));
	start(f);
	expect(f, "<1>");
	append(f, "data/a", "2\n");
	expect(f, "<1><2>");
	append(f, "data/b.log", "3\n");		/* matched by the other name */
	expect(f, "<1><2><3>");
}

static void a_retargeted_link_is_read_on_both_files_the_old_one_first(void **state)
{
	struct fixture *f = *state;

	append(f, "data/a", "a1\n");
	append(f, "data/b", "b1\n");
	point(f, "link.log", "data/a");
	start(f);
	expect(f, "<a1>");
	pause_thread(f);
	append(f, "data/a", "a2\n");
	point(f, "link.log", "data/b");
	append(f, "data/b", "b2\n");
	append(f, "data/a", "a3\n");
	resume_thread(f);
	expect(f, "<a1><a2><a3><b1><b2>");
	append(f, "data/a", "a4\n");
	expect(f, "<a1><a2><a3><b1><b2><a4>");
	append(f, "data/b", "b3\n");
	expect(f, "<a1><a2><a3><b1><b2><a4><b3>");
}

static void a_target_that_is_rotated_is_read_before_the_one_that_takes_its_name(void **state)
{
	struct fixture *f = *state;

	append(f, "data/a", "a1\n");
	point(f, "link.log", "data/a");
	start(f);
	expect(f, "<a1>");
	pause_thread(f);
	append(f, "data/a", "a2\n");
	move(f, "data/a", "data/a.1");
	append(f, "data/a", "b1\n");
	move(f, "data/a", "data/a.2");		/* twice within one wake-up: no walk sees the middle one */
	append(f, "data/a", "c1\n");
	resume_thread(f);
	expect(f, "<a1><a2><b1><c1>");
}

static void a_truncated_target_is_read_from_its_beginning(void **state)
{
	struct fixture *f = *state;

	append(f, "data/a", "a1\na2\n");
	point(f, "link.log", "data/a");
	start(f);
	expect(f, "<a1><a2>");
	assert_int_equal(truncate(at(f, "data/a"), 0), 0);
	append(f, "data/a", "b\n");
	expect(f, "<a1><a2><b>");
}

static void a_dangling_link_is_read_when_its_target_appears(void **state)
{
	struct fixture *f = *state;

	point(f, "link.log", "data/deep/er/a");
	start(f);
	append(f, "other.log", "1\n");
	expect(f, "<1>");
	assert_int_equal(mkdir(at(f, "data/deep"), 0755), 0);
	assert_int_equal(mkdir(at(f, "data/deep/er"), 0755), 0);
	append(f, "data/deep/er/a", "2\n");
	expect(f, "<1><2>");
}

static void every_hop_of_a_chain_may_change(void **state)
{
	struct fixture *f = *state;

	append(f, "data/a", "a1\n");
	append(f, "data/b", "b1\n");
	point(f, "hops/current", "../data/a");
	point(f, "link.log", "hops/current");
	start(f);
	expect(f, "<a1>");
	point(f, "hops/current", "../data/b");
	expect(f, "<a1><b1>");
	append(f, "data/b", "b2\n");
	expect(f, "<a1><b1><b2>");
}

static void a_loop_is_no_file_and_no_reason_to_complain(void **state)
{
	struct fixture *f = *state;
	char *s;

	point(f, "a.log", "b.log");
	point(f, "b.log", "a.log");
	append(f, "c.log", "1\n");
	start(f);
	expect(f, "<1>");
	s = reasons(f);
	assert_string_equal(s, "");
	mem_free(s);
	append(f, "data/real", "2\n");
	point(f, "b.log", "data/real");
	expect(f, "<1><2>");
}

static void many_links_to_one_file_give_its_lines_once(void **state)
{
	struct fixture *f = *state;
	char name[32];

	append(f, "data/a", "1\n");
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "%d.log", i);
		point(f, name, "data/a");
	}
	start(f);
	expect(f, "<1>");
	append(f, "data/a", "2\n");
	expect(f, "<1><2>");
	assert_int_equal(unlink(at(f, "0.log")), 0);
	assert_int_equal(unlink(at(f, "5.log")), 0);
	append(f, "data/a", "3\n");
	expect(f, "<1><2><3>");
	assert_int_equal(f->p->file_count, 1);
}

static void a_link_that_is_removed_ends_its_file_when_that_is_idle(void **state)
{
	struct fixture *f = *state;

	f->idle = 300;
	append(f, "data/a", "1\n");
	point(f, "link.log", "data/a");
	start(f);
	expect(f, "<1>");
	append(f, "data/a", "2\n");
	assert_int_equal(unlink(at(f, "link.log")), 0);
	expect(f, "<1><2>");
	expect_row(f, 1, FILE_DONE, true);
	append(f, "data/a", "3\n");
	point(f, "link.log", "data/a");		/* it comes back: it goes on */
	expect(f, "<1><2><3>");
	check_ranges(f->p, 1, 0);
}

static void what_a_link_was_turned_away_from_while_nobody_ran_is_read_first(void **state)
{
	struct fixture *f = *state;

	append(f, "data/a", "a1\na2\n");
	point(f, "link.log", "data/a");
	remember(f, 0, "link.log", 7, 3);
	append(f, "data/b", "b1\n");
	point(f, "link.log", "data/b");
	start(f);
	expect(f, "<a2><b1>");
	check_ranges(f->p, 7, 3);
}

/* As kubelet lays it out: containers/x.log -> pods/x/0.log -> docker/x-json.log, rotated at the far end. */
static void the_links_of_kubernetes_are_followed_through_rotation(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(at(f, "containers"), 0755), 0);
	assert_int_equal(mkdir(at(f, "pods"), 0755), 0);
	assert_int_equal(mkdir(at(f, "pods/x"), 0755), 0);
	snprintf(f->paths[0], 256, "%s/containers/*.log", f->dir);
	append(f, "data/x-json.log", "1\n");
	point(f, "pods/x/0.log", at(f, "data/x-json.log"));
	point(f, "containers/x.log", at(f, "pods/x/0.log"));
	start(f);
	expect(f, "<1>");
	for (char n[] = "2"; n[0] < '8'; n[0]++) {
		char line[8], name[32];

		snprintf(name, sizeof name, "data/x-json.log.%s", n);
		move(f, "data/x-json.log", name);
		snprintf(line, sizeof line, "%s\n", n);
		append(f, "data/x-json.log", line);
	}
	expect(f, "<1><2><3><4><5><6><7>");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_links, teardown)
static const struct CMUnitTest tests[] = {
	TEST(a_link_that_is_not_followed_is_named_as_the_reason),
	TEST(what_is_written_to_a_target_is_read),
	TEST(a_link_to_an_absolute_path_over_another_name_of_its_directory_is_followed),
	TEST(a_retargeted_link_is_read_on_both_files_the_old_one_first),
	TEST(a_target_that_is_rotated_is_read_before_the_one_that_takes_its_name),
	TEST(a_truncated_target_is_read_from_its_beginning),
	TEST(a_dangling_link_is_read_when_its_target_appears),
	TEST(every_hop_of_a_chain_may_change),
	TEST(a_loop_is_no_file_and_no_reason_to_complain),
	TEST(many_links_to_one_file_give_its_lines_once),
	TEST(a_link_that_is_removed_ends_its_file_when_that_is_idle),
	TEST(what_a_link_was_turned_away_from_while_nobody_ran_is_read_first),
	TEST(the_links_of_kubernetes_are_followed_through_rotation),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

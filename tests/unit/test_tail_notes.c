/* test_tail_notes.c - what `status` says of inputs: one line for each thing that is not as somebody may believe. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/tail_fixture.h"

static bool says(struct fixture *f, const char *words)
{
	char *s = tail_reasons(f->t);
	bool is = s && strstr(s, words);

	mem_free(s);
	return is;
}

static void until_said(struct fixture *f, const char *words, bool want)
{
	while (says(f, words) != want)
		usleep(5000);
}

static void a_file_of_two_inputs_is_named_with_both(void **state)
{
	struct fixture *f = *state;
	char words[200];

	f->conf.input_count = 2;
	f->reconcile = 20;
	append(f, "b.log", "1\n");
	append(f, "a.log", "2\n");
	start(f);
	snprintf(words, sizeof words, "%s (inputs first and second): two inputs match", at(f, "a.log"));
	until_said(f, words, true);
	assert_false(says(f, "b.log"));
	assert_false(says(f, "no file matches"));
	assert_int_equal(unlink(at(f, "a.log")), 0);
	assert_int_equal(unlink(at(f, "b.log")), 0);
	until_said(f, "two inputs match", false);
	assert_true(says(f, "second: no file matches"));
}

static void a_file_that_an_input_excludes_belongs_to_the_other_without_a_word(void **state)
{
	struct fixture *f = *state;

	f->excludes[0] = (char *)"a*";
	f->in[0].exclude = (struct conf_strings){ f->excludes, 1 };
	f->conf.input_count = 2;
	append(f, "a.log", "1\n");
	start(f);
	until_said(f, "first: all that matches is excluded", true);
	assert_false(says(f, "two inputs match"));
	assert_false(says(f, "second"));
}

static void a_hard_link_of_two_inputs_is_named_too(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/a.log", f->dir);
	snprintf(f->paths[1], 256, "%s/b.log", f->dir);
	f->conf.input_count = 2;
	append(f, "a.log", "1\n");
	assert_int_equal(link(at(f, "a.log"), at(f, "b.log")), 0);
	start(f);
	until_said(f, "b.log (inputs first and second): two inputs match", true);
	assert_false(says(f, "second: no file"));
}

static void a_directory_that_vanishes_is_said_until_it_is_back(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/gone/*.log", f->dir);
	f->reconcile = 20;
	mkdir(at(f, "gone"), 0755);
	append(f, "gone/a.log", "1\n");
	start(f);
	expect(f, "<1>");
	assert_false(says(f, "no such directory"));
	assert_int_equal(unlink(at(f, "gone/a.log")), 0);
	assert_int_equal(rmdir(at(f, "gone")), 0);
	until_said(f, "/gone: there is no such directory (yet)", true);
	assert_false(says(f, "no file matches"));
	mkdir(at(f, "gone"), 0755);
	append(f, "gone/a.log", "2\n");
	expect(f, "<1><2>");
	until_said(f, "no such directory", false);
}

static void what_is_no_file_is_said_and_does_not_count_as_one(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkfifo(at(f, "pipe.log"), 0644), 0);
	start(f);
	until_said(f, "pipe.log: not a regular file, not read", true);
	assert_true(says(f, "first: no file matches"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(a_file_of_two_inputs_is_named_with_both),
	TEST(a_file_that_an_input_excludes_belongs_to_the_other_without_a_word),
	TEST(a_hard_link_of_two_inputs_is_named_too),
	TEST(a_directory_that_vanishes_is_said_until_it_is_back),
	TEST(what_is_no_file_is_said_and_does_not_count_as_one),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

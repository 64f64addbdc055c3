/* test_opening.c - what may be opened in a directory that others write: by openat2 and name by name alike. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/tail/opening.h"
#include "tests/lib/tree.h"
#include "tests/lib/unit.h"

#define OTHER 12345			/* users that need not exist */
#define THIRD 12346

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/spillway-opening-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(tree_remove(dir), 0);
	return 0;
}

static const char *at(const char *name)
{
	static char path[8][512];
	static int next;
	char *s = path[next++ % 8];

	snprintf(s, sizeof path[0], "%s/%s", dir, name);
	return s;
}

static void make(const char *name, mode_t mode)
{
	int fd = open(at(name), O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, "line\n", 5), 5);
	close(fd);
}

static void link_to(const char *target, const char *name)
{
	assert_int_equal(symlink(target, at(name)), 0);
}

/* Both ways say the same. */
static int answer(const char *name, bool follow)
{
	struct stat st = { 0 };
	int fd = -1, rc = opening_open(at(name), follow, &fd, &st);

	if (rc == 0) {
		assert_int_equal(st.st_size, 5);
		close(fd);
	}
	fd = -1;
	assert_int_equal(opening_walk(at(name), follow, &fd, &st), rc);
	if (rc == 0)
		close(fd);
	return rc;
}

static void must_be_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void a_regular_file_is_opened_and_nothing_else(void **state)
{
	(void)state;
	make("file", 0600);
	assert_int_equal(mkdir(at("directory"), 0755), 0);
	assert_int_equal(mkfifo(at("fifo"), 0644), 0);
	assert_int_equal(answer("file", false), 0);
	assert_int_equal(answer("fifo", false), -EINVAL);	/* and does not wait for a writer */
	assert_int_equal(answer("directory", false), -EINVAL);
	assert_int_equal(answer("missing", false), -ENOENT);
	assert_int_equal(answer("missing/file", false), -ENOENT);
	assert_int_equal(answer("file/file", false), -ENOTDIR);
}

static void a_device_is_refused(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(opening_open("/dev/null", false, &fd, &st), -EINVAL);
	assert_int_equal(opening_walk("/dev/null", true, &fd, &st), -EINVAL);
}

static void a_link_is_followed_only_if_that_is_wanted(void **state)
{
	(void)state;
	make("file", 0600);
	link_to("file", "link");
	link_to("link", "chain");
	link_to("loop", "loop");
	link_to("nowhere", "dangling");
	assert_int_equal(answer("link", false), -ELOOP);
	assert_int_equal(answer("chain", false), -ELOOP);
	assert_int_equal(answer("link", true), 0);
	assert_int_equal(answer("chain", true), 0);
	assert_int_equal(answer("loop", true), -ELOOP);
	assert_int_equal(answer("dangling", true), -ENOENT);
}

static void a_directory_behind_a_link_of_root_or_our_own_is_entered(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("real"), 0755), 0);
	assert_int_equal(mkdir(at("real/deep"), 0755), 0);
	make("real/deep/file", 0600);
	link_to("real", "relative");
	link_to(at("real"), "absolute");
	link_to("../real/./deep", "real/up");
	assert_int_equal(answer("relative/deep/file", false), 0);
	assert_int_equal(answer("absolute/deep/file", false), 0);
	assert_int_equal(answer("relative/up/file", false), 0);
	assert_int_equal(answer("relative/up/nothing", false), -ENOENT);
}

static void a_directory_behind_a_link_of_somebody_else_is_not_entered(void **state)
{
	(void)state;
	must_be_root();
	assert_int_equal(mkdir(at("real"), 0755), 0);
	make("real/file", 0600);
	link_to("real", "theirs");
	assert_int_equal(lchown(at("theirs"), OTHER, OTHER), 0);
	assert_int_equal(answer("theirs/file", false), -ELOOP);
}

static void a_link_of_one_user_leads_to_no_file_of_another(void **state)
{
	(void)state;
	must_be_root();
	make("roots", 0600);
	make("theirs", 0600);
	assert_int_equal(chown(at("theirs"), OTHER, OTHER), 0);
	link_to("roots", "to-roots");
	link_to("theirs", "to-theirs");
	link_to("to-roots", "chain");
	assert_int_equal(lchown(at("to-roots"), OTHER, OTHER), 0);
	assert_int_equal(lchown(at("to-theirs"), OTHER, OTHER), 0);
	assert_int_equal(answer("to-roots", true), -EPERM);
	assert_int_equal(answer("chain", true), -EPERM);
	assert_int_equal(answer("to-theirs", true), 0);
	assert_int_equal(lchown(at("chain"), THIRD, THIRD), 0);
	assert_int_equal(answer("chain", true), -EPERM);
}

static void a_hard_link_that_anybody_may_have_made_is_refused_unless_he_may_read_it(void **state)
{
	(void)state;
	must_be_root();
	make("secret", 0600);
	assert_int_equal(mkdir(at("app"), 0755), 0);
	assert_int_equal(chown(at("app"), OTHER, OTHER), 0);
	assert_int_equal(link(at("secret"), at("app/a.log")), 0);
	assert_int_equal(answer("app/a.log", false), -EMLINK);
	assert_int_equal(answer("secret", false), 0);		/* the directory is ours alone */
	assert_int_equal(chmod(at("secret"), 0644), 0);
	assert_int_equal(answer("app/a.log", false), 0);
	assert_int_equal(chmod(at("secret"), 0600), 0);
	assert_int_equal(chown(at("secret"), OTHER, OTHER), 0);
	assert_int_equal(answer("app/a.log", false), 0);		/* the directory's owner has it anyway */
	assert_int_equal(chmod(at("app"), 01777), 0);
	assert_int_equal(answer("app/a.log", false), -EMLINK);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define OPENING(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		OPENING(a_regular_file_is_opened_and_nothing_else),
		OPENING(a_device_is_refused),
		OPENING(a_link_is_followed_only_if_that_is_wanted),
		OPENING(a_directory_behind_a_link_of_root_or_our_own_is_entered),
		OPENING(a_directory_behind_a_link_of_somebody_else_is_not_entered),
		OPENING(a_link_of_one_user_leads_to_no_file_of_another),
		OPENING(a_hard_link_that_anybody_may_have_made_is_refused_unless_he_may_read_it),
	};

	return test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}

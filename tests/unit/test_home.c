/* test_home.c - where a state directory lives: read from the system, compared, recorded. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/home.h"
#include "tests/lib/tree.h"

static const struct spool_home here = { "m1", "b1", 5, 77 };

static void assert_change(struct spool_home was, enum home_change want)
{
	assert_int_equal(home_compare(&was, &here), want);
}

static void each_difference_is_called_what_it_is(void **state)
{
	(void)state;
	assert_change(here, HOME_SAME);
	assert_change((struct spool_home){ "", "", 0, 0 }, HOME_FIRST);
	assert_change((struct spool_home){ "m1", "b0", 5, 77 }, HOME_OTHER_BOOT);
	assert_change((struct spool_home){ "m1", "b0", 9, 77 }, HOME_OTHER_BOOT);	/* devices are numbered anew */
	assert_change((struct spool_home){ "m1", "b1", 9, 77 }, HOME_OTHER_DIR);
	assert_change((struct spool_home){ "m1", "b1", 5, 78 }, HOME_OTHER_DIR);
	assert_change((struct spool_home){ "m1", "b0", 5, 78 }, HOME_OTHER_DIR);
	assert_change((struct spool_home){ "m0", "b1", 5, 77 }, HOME_OTHER_MACHINE);
	assert_change((struct spool_home){ "m0", "b0", 9, 78 }, HOME_OTHER_MACHINE);
}

static void what_is_not_known_differs_from_nothing(void **state)
{
	(void)state;
	assert_change((struct spool_home){ "", "b1", 5, 77 }, HOME_SAME);
	assert_change((struct spool_home){ "m1", "", 0, 0 }, HOME_SAME);
	assert_change((struct spool_home){ "m0", "", 0, 0 }, HOME_OTHER_MACHINE);
}

static void put_line(const char *root, const char *dir, const char *name, const char *text)
{
	char path[600];
	FILE *f;

	snprintf(path, sizeof path, "%s%s/%s", root, dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void ids_are_one_line_each_and_may_be_missing(void **state)
{
	static const char *const dirs[] = { "/etc", "/proc", "/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/random" };
	char root[] = "/tmp/spillway-home-XXXXXX", path[600];
	struct spool_home h;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(root));
	home_read(root, "/nowhere/at/all", &h);
	assert_string_equal(h.machine_id, "");
	assert_string_equal(h.boot_id, "");
	assert_int_equal(h.inode, 0);
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
		snprintf(path, sizeof path, "%s%s", root, dirs[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	put_line(root, "/etc", "machine-id", "0123456789abcdef0123456789abcdef\nmore\n");
	put_line(root, "/proc/sys/kernel/random", "boot_id", "a-line-that-is-longer-than-any-id-has-ever-been-so-it-is-cut\n");
	home_read(root, root, &h);
	assert_string_equal(h.machine_id, "0123456789abcdef0123456789abcdef");
	assert_int_equal(strlen(h.boot_id), sizeof h.boot_id - 1);
	assert_int_equal(stat(root, &st), 0);
	assert_int_equal(h.inode, st.st_ino);
	assert_int_equal(tree_remove(root), 0);
}

#define T(t) cmocka_unit_test(t)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(each_difference_is_called_what_it_is),
		T(what_is_not_known_differs_from_nothing),
		T(ids_are_one_line_each_and_may_be_missing),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

/* unit.h - what every unit test includes: cmocka, COUNT, and a main that takes a filter.
 *
 *	int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }
 *
 * build/release/tests/unit/test_buf                      all tests of the module
 * build/release/tests/unit/test_buf '*ceiling*'          those whose name matches (* and ?)
 * CMOCKA_MESSAGE_OUTPUT=TAP build/.../test_buf           as TAP
 */
#ifndef SPILLWAY_TESTS_UNIT_H
#define SPILLWAY_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A test that hangs is a failure, not a build that never ends. */
#define TEST_MAIN_SECONDS 300

static inline int test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
	signal(SIGPIPE, SIG_IGN);
	alarm(TEST_MAIN_SECONDS);
	if (argc > 1 && argv[1][0])
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("unit", tests, n, NULL, NULL);
}

#endif

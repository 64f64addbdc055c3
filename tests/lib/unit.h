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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A test that hangs is a failure, not a build that never ends. */
#define TEST_MAIN_SECONDS 300

/* What aborts is said: cmocka reports at the end alone, and keeps the words of what failed until the teardown is over. */
static const struct CMUnitTest *unit_test;
static const char *unit_step = "";

static inline void unit_say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

static inline void unit_aborted(int sig)
{
	(void)sig;
	unit_say("aborted in ");
	unit_say(unit_step);
	unit_say(unit_test ? unit_test->name : "no test");
	unit_say("\n");
}

static inline int unit_setup(void **state)
{
	unit_test = *state;
	unit_step = "";
	*state = unit_test->initial_state;
	return unit_test->setup_func ? unit_test->setup_func(state) : 0;
}

static inline int unit_teardown(void **state)
{
	unit_step = "the teardown (has the test failed?) of ";
	return unit_test->teardown_func ? unit_test->teardown_func(state) : 0;
}

static inline int test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
	struct CMUnitTest *told = calloc(n, sizeof *told);
	int rc;

	if (!told)
		abort();
	for (size_t i = 0; i < n; i++)
		told[i] = (struct CMUnitTest){ .name = tests[i].name, .test_func = tests[i].test_func, .setup_func = unit_setup,
					       .teardown_func = unit_teardown, .initial_state = (void *)&tests[i] };
	signal(SIGPIPE, SIG_IGN);
	signal(SIGABRT, unit_aborted);
	alarm(TEST_MAIN_SECONDS);
	if (argc > 1 && argv[1][0])
		cmocka_set_test_filter(argv[1]);
	rc = _cmocka_run_group_tests("unit", told, n, NULL, NULL);
	free(told);
	return rc;
}

#endif

/* test_killpoint.c - the place that is armed, at the passage that was asked for, and nothing else. */
#include "tests/lib/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/killpoint.h"

/* How a child ends that arms `what` and passes ledger.after so many times, other places in between: 0, 1 (refused), or
 * minus the signal. */
static int end_of(const char *what, int passages)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const char *bad = NULL;

		setenv("SPILLWAY_KILL", what, 1);
		if (!killpoint_init(&bad))
			_exit(bad && !strcmp(bad, what) ? 1 : 2);
		for (int i = 0; i < passages; i++) {
			killpoint(KILL_LEDGER_BEFORE);
			killpoint(KILL_LEDGER_AFTER);
			killpoint(KILL_SEND_PART);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void the_first_passage_kills_without_a_number(void **state)
{
	(void)state;
	assert_int_equal(end_of("ledger.after", 1), -SIGKILL);
	assert_int_equal(end_of("ledger.after", 0), 0);
}

static void only_the_passage_that_was_asked_for_kills(void **state)
{
	(void)state;
	assert_int_equal(end_of("ledger.after:3", 2), 0);
	assert_int_equal(end_of("ledger.after:3", 3), -SIGKILL);
}

static void other_places_are_passed_unharmed(void **state)
{
	(void)state;
	assert_int_equal(end_of("spill.after", 100), 0);
}

static void what_is_no_place_or_no_number_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "ledger", "ledger.afters", "ledger.after:", "ledger.after:0", "ledger.after:-1", "ledger.after: 1",
		"ledger.after:1x", "ledger.after:99999999999999999999", "nowhere:1", ":1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(end_of(bad[i], 1), 1);
}

static void without_the_variable_nothing_is_armed(void **state)
{
	const char *bad;

	(void)state;
	unsetenv("SPILLWAY_KILL");
	assert_true(killpoint_init(&bad));
	assert_int_equal(killpoint_armed, -1);
}

static void every_place_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < KILLPOINT_COUNT; i++) {
		assert_non_null(strchr(killpoint_name(i), '.'));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(killpoint_name(i), killpoint_name(j));
	}
}

/* It still is there when its parent looks, and whoever waits for its pipe's end waits on: the first byte comes before the place. */
static void a_thread_hangs_at_the_place_if_that_is_asked_for(void **state)
{
	int p[2], status;
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		const char *bad;

		setenv("SPILLWAY_HANG", "ledger.after:2", 1);
		unsetenv("SPILLWAY_KILL");
		if (!killpoint_init(&bad))
			_exit(1);
		for (int i = 0; i < 3 && write(p[1], "x", 1) == 1; i++)
			killpoint(KILL_LEDGER_AFTER);
		_exit(0);
	}
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 1);
	assert_int_equal(read(p[0], &c, 1), 1);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(read(p[0], &c, 1), 0);
	close(p[0]);
}

static void killing_and_hanging_at_once_is_refused(void **state)
{
	const char *bad;

	(void)state;
	setenv("SPILLWAY_HANG", "ledger.after", 1);
	assert_int_equal(end_of("ledger.after", 1), 1);
	unsetenv("SPILLWAY_HANG");
	assert_true(killpoint_init(&bad));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_first_passage_kills_without_a_number),
	cmocka_unit_test(only_the_passage_that_was_asked_for_kills),
	cmocka_unit_test(other_places_are_passed_unharmed),
	cmocka_unit_test(what_is_no_place_or_no_number_is_refused),
	cmocka_unit_test(without_the_variable_nothing_is_armed),
	cmocka_unit_test(every_place_has_a_name_of_its_own),
	cmocka_unit_test(a_thread_hangs_at_the_place_if_that_is_asked_for),
	cmocka_unit_test(killing_and_hanging_at_once_is_refused),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

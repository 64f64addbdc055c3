/* test_notify.c - what arrives at a service manager's socket, in order. */
#define _GNU_SOURCE
#include "tests/lib/unit.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/notify.h"
#include "agent/status.h"

#define HOUR_US "3600000000"
#define HOUR_MS 3600000
#define LOOK_MS 10000

struct manager {
	int fd;
	char address[64];
	char text[1000];
	struct notify *n;
};

/* A socket in the abstract namespace: the kernel chooses a name that nobody else has. */
static int setup(void **state)
{
	struct manager *m = calloc(1, sizeof *m);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	socklen_t len = sizeof to;

	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(m->fd, (struct sockaddr *)&to, sizeof to.sun_family), 0);
	assert_int_equal(getsockname(m->fd, (struct sockaddr *)&to, &len), 0);
	snprintf(m->address, sizeof m->address, "@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1), to.sun_path + 1);
	setenv("NOTIFY_SOCKET", m->address, 1);
	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", HOUR_US, 1);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct manager *m = *state;

	notify_close(m->n);
	close(m->fd);
	free(m);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

/* The next datagram; empty: none has come. All are sent by then: what is tested sends on the test's own thread. */
static const char *next(struct manager *m)
{
	ssize_t n = recv(m->fd, m->text, sizeof m->text - 1, MSG_DONTWAIT);

	m->text[n > 0 ? n : 0] = 0;
	return m->text;
}

static struct notify *opened(struct manager *m)
{
	assert_int_equal(notify_open(&m->n), 0);
	assert_non_null(m->n);
	return m->n;
}

/* Looks at the pace of its thread for so long; what it said at the last one waits to be read. */
static void look_for(struct manager *m, int64_t *now, int64_t ms)
{
	for (int64_t end = *now + ms; *now < end;) {
		while (*next(m))
			;
		*now += LOOK_MS;
		notify_look(m->n, *now);
	}
}

static struct notify *started(struct manager *m)
{
	notify_ready(opened(m));
	assert_string_equal(next(m), "READY=1");
	return m->n;
}

static void without_a_manager_nobody_is_told(void **state)
{
	struct manager *m = *state;

	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_open(&m->n), 0);
	assert_null(m->n);
	notify_ready(NULL);
	notify_reloading(NULL);
	notify_stopping(NULL, 1, 1);
	notify_status(NULL, "x");
	notify_close(NULL);
	assert_string_equal(next(m), "");
}

static void an_address_that_is_none_is_not_used(void **state)
{
	struct manager *m = *state;

	setenv("NOTIFY_SOCKET", "run/systemd/notify", 1);
	assert_int_equal(notify_open(&m->n), 0);
	assert_null(m->n);
	assert_null(getenv("NOTIFY_SOCKET"));
	setenv("NOTIFY_SOCKET", "@", 1);
	assert_int_equal(notify_open(&m->n), 0);
	assert_null(m->n);
}

static void a_path_is_an_address_too(void **state)
{
	struct manager *m = *state;
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), old = m->fd;

	snprintf(to.sun_path, sizeof to.sun_path, "/tmp/test_notify.%d", getpid());
	unlink(to.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
	setenv("NOTIFY_SOCKET", to.sun_path, 1);
	notify_ready(opened(m));
	m->fd = fd;
	assert_string_equal(next(m), "READY=1");
	m->fd = old;
	close(fd);
	unlink(to.sun_path);
}

static void the_variables_are_not_left_to_children(void **state)
{
	opened(*state);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
}

static void each_step_is_told_in_the_words_of_the_protocol(void **state)
{
	struct manager *m = *state;
	struct notify *n = opened(m);
	long long us, before;

	notify_ready(n);
	assert_string_equal(next(m), "READY=1");
	before = clock_mono_ns() / 1000;
	notify_reloading(n);
	assert_int_equal(sscanf(next(m), "RELOADING=1\nMONOTONIC_USEC=%lld", &us), 1);
	assert_true(us >= before && us <= clock_mono_ns() / 1000);
	notify_stopping(n, clock_mono_ms(), HOUR_MS);
	assert_string_equal(next(m), "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000");
	assert_string_equal(next(m), "");
}

static void a_status_is_one_line_and_sent_when_it_is_news(void **state)
{
	struct manager *m = *state;
	struct notify *n = opened(m);

	notify_status(n, "shipping\nREADY=1");
	assert_string_equal(next(m), "STATUS=shipping READY=1");
	notify_status(n, "shipping\nREADY=1");
	assert_string_equal(next(m), "");
	notify_status(n, "spilling");
	assert_string_equal(next(m), "STATUS=spilling");
}

/* systemd takes no other, and shows none at all then. */
static void a_status_is_utf8_also_when_a_file_name_in_it_is_none_or_is_cut(void **state)
{
	struct manager *m = *state;
	struct notify *n = opened(m);
	char longer[800];

	notify_status(n, "gr\xc3\xb6\xc3\x9f" "e.log, gr\xf6\xdf" "e.log, \xe2\x82");
	assert_string_equal(next(m), "STATUS=gr\xc3\xb6\xc3\x9f" "e.log, gr??e.log, ??");
	for (size_t i = 0; i + 1 < sizeof longer; i++)
		longer[i] = i % 2 ? '\xb6' : '\xc3';
	longer[sizeof longer - 1] = '\0';
	notify_status(n, longer);
	assert_true(buf_is_utf8(next(m), strlen(m->text)));
	assert_true(strlen(m->text) > 300);
}

static void the_watchdog_is_fed_while_all_threads_make_progress(void **state)
{
	struct manager *m = *state;
	struct notify *n = started(m);
	int64_t now = clock_mono_ms();
	struct beat b = { 0 };

	beat_open(&b, "tail");
	notify_look(n, now);
	assert_string_equal(next(m), "WATCHDOG=1");
	look_for(m, &now, HOUR_MS / 2 - 60000);
	assert_string_equal(next(m), "WATCHDOG=1");
	assert_string_equal(next(m), "");
	beat_close(&b);
}

static void the_watchdog_starves_when_a_thread_hangs_and_the_status_says_which(void **state)
{
	struct manager *m = *state;
	struct notify *n = started(m);
	int64_t now = clock_mono_ms();
	struct beat b = { 0 };

	beat_open(&b, "tail");
	notify_status(n, "shipping");
	look_for(m, &now, HOUR_MS / 2 + 10000);
	assert_non_null(strstr(next(m), "STATUS=hangs: tail: no progress for 18"));
	assert_string_equal(next(m), "");
	notify_status(n, "spilling");
	assert_string_equal(next(m), "");		/* the hang is what counts */
	beat();
	notify_look(n, clock_mono_ms());
	assert_string_equal(next(m), "WATCHDOG=1");
	assert_string_equal(next(m), "STATUS=spilling");
	beat_close(&b);
}

static void a_thread_in_a_slow_call_is_named_and_the_watchdog_fed(void **state)
{
	struct manager *m = *state;
	struct notify *n = started(m);
	int64_t now = clock_mono_ms();
	struct beat b = { 0 };

	beat_open(&b, "state");
	beat_into("fsync");
	look_for(m, &now, HOUR_MS / 2 + 10000);
	assert_non_null(n);
	assert_string_equal(next(m), "WATCHDOG=1");
	assert_non_null(strstr(next(m), "STATUS=held up: state: fsync for 18"));
	beat_close(&b);
}

/* The first WATCHDOG=1 starts systemd's clock, and a start may take longer than that. */
static void a_start_that_makes_progress_asks_for_time_and_leaves_the_watchdog_alone(void **state)
{
	struct manager *m = *state;
	struct notify *n = opened(m);
	int64_t now = clock_mono_ms();
	struct beat b = { 0 };

	beat_open(&b, "main");
	look_for(m, &now, LOOK_MS);
	assert_string_equal(next(m), "EXTEND_TIMEOUT_USEC=60000000");
	assert_string_equal(next(m), "");
	look_for(m, &now, HOUR_MS / 2);
	assert_non_null(strstr(next(m), "STATUS=hangs: main"));
	assert_string_equal(next(m), "");
	beat();
	notify_ready(n);
	assert_string_equal(next(m), "READY=1");
	notify_look(n, clock_mono_ms());
	assert_string_equal(next(m), "WATCHDOG=1");
	beat_close(&b);
}

static void a_stop_that_makes_progress_asks_for_time_until_its_own_is_over(void **state)
{
	struct manager *m = *state;
	struct notify *n = started(m);
	int64_t now = clock_mono_ms();

	notify_stopping(n, now, 3000);
	assert_string_equal(next(m), "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000");
	notify_look(n, now + 2000);
	assert_string_equal(next(m), "WATCHDOG=1");
	assert_string_equal(next(m), "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000");
	notify_look(n, now + 4000);
	assert_string_equal(next(m), "WATCHDOG=1");
	assert_string_equal(next(m), "");
}

/* The machine was paused, or the process stopped, while a thread worked. What it was silent for before that still counts. */
static void after_a_pause_threads_are_not_blamed_for_it(void **state)
{
	struct manager *m = *state;
	struct notify *n = started(m);
	int64_t now = clock_mono_ms();
	struct beat b = { 0 };

	beat_open(&b, "tail");
	look_for(m, &now, LOOK_MS);
	while (*next(m))
		;
	now += 3 * HOUR_MS;
	notify_look(n, now);
	assert_string_equal(next(m), "WATCHDOG=1");
	assert_string_equal(next(m), "");
	look_for(m, &now, HOUR_MS / 2 - 3 * LOOK_MS);
	assert_string_equal(next(m), "WATCHDOG=1");
	look_for(m, &now, 2 * LOOK_MS);
	assert_non_null(strstr(next(m), "STATUS=hangs: tail: no progress for 18"));
	beat_close(&b);
}

/* Goal: a manager that was busy for a moment still learns of the start. Method: its queue is full (the kernel takes some ten
 * datagrams), then it is emptied. */
static void ready_is_said_again_when_the_manager_did_not_take_it(void **state)
{
	struct manager *m = *state;
	struct notify *n = opened(m);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), filled = 0;
	socklen_t len = sizeof to;

	assert_int_equal(getsockname(m->fd, (struct sockaddr *)&to, &len), 0);
	while (sendto(fd, "fill", 4, 0, (struct sockaddr *)&to, len) == 4)
		filled++;
	notify_ready(n);
	for (int i = 0; i < filled; i++)
		assert_string_equal(next(m), "fill");
	assert_string_equal(next(m), "");
	notify_look(n, clock_mono_ms());
	assert_string_equal(next(m), "READY=1");
	assert_string_equal(next(m), "WATCHDOG=1");
	notify_look(n, clock_mono_ms());
	assert_string_equal(next(m), "WATCHDOG=1");
	assert_string_equal(next(m), "");
	close(fd);
}

/* Goal: it is the thread that feeds, not only the function. Method: a short watchdog, and the first datagram that comes. */
static void its_thread_feeds_by_itself(void **state)
{
	struct manager *m = *state;
	struct pollfd p = { .fd = m->fd, .events = POLLIN };

	setenv("WATCHDOG_USEC", "20000", 1);
	started(m);
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_string_equal(next(m), "WATCHDOG=1");
}

static void a_watchdog_of_another_process_is_not_fed(void **state)
{
	struct manager *m = *state;

	setenv("WATCHDOG_PID", "1", 1);
	notify_look(started(m), clock_mono_ms());
	assert_string_equal(next(m), "");
}

static void a_watchdog_that_is_no_number_is_not_fed(void **state)
{
	struct manager *m = *state;

	setenv("WATCHDOG_USEC", "30s", 1);
	notify_look(started(m), clock_mono_ms());
	assert_string_equal(next(m), "");
}

static const char *line_of(const struct status *s)
{
	static char text[1000];
	struct buf b;

	buf_init(&b, sizeof text);
	notify_line(s, &b);
	snprintf(text, sizeof text, "%s", b.data);
	buf_release(&b);
	return text;
}

static void the_line_says_what_is_done_and_how_far_behind(void **state)
{
	struct status_file files[2] = { { .size = 4 << 20, .safe = 1 << 20 }, { .size = 10, .safe = 20 } };
	struct status s = { .state = "shipping", .files = files, .file_count = 2 };

	(void)state;
	assert_string_equal(line_of(&s), "shipping, 2 files, 3.0 MiB behind");
	files[0].safe = files[0].size - 7;
	s.file_count = 1;
	assert_string_equal(line_of(&s), "shipping, 1 file, 7 bytes behind");
}

static void in_an_outage_the_line_says_why_and_how_full_the_spool_is(void **state)
{
	struct status s = { .state = "spilling" };

	(void)state;
	buf_init(&s.reasons, 1000);
	buf_put(&s.reasons, "broker b1:9092: connection refused\0other", 41);
	s.books.totals.rows = 3;
	s.books.totals.bytes = 12;
	s.books.totals.max_size = 100;
	assert_string_equal(line_of(&s), "spilling: broker b1:9092: connection refused; 0 files, 0 bytes behind; spool 12 %");
	buf_release(&s.reasons);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(without_a_manager_nobody_is_told),
	T(an_address_that_is_none_is_not_used),
	T(a_path_is_an_address_too),
	T(the_variables_are_not_left_to_children),
	T(each_step_is_told_in_the_words_of_the_protocol),
	T(a_status_is_one_line_and_sent_when_it_is_news),
	T(a_status_is_utf8_also_when_a_file_name_in_it_is_none_or_is_cut),
	T(the_watchdog_is_fed_while_all_threads_make_progress),
	T(the_watchdog_starves_when_a_thread_hangs_and_the_status_says_which),
	T(a_thread_in_a_slow_call_is_named_and_the_watchdog_fed),
	T(a_start_that_makes_progress_asks_for_time_and_leaves_the_watchdog_alone),
	T(a_stop_that_makes_progress_asks_for_time_until_its_own_is_over),
	T(after_a_pause_threads_are_not_blamed_for_it),
	T(ready_is_said_again_when_the_manager_did_not_take_it),
	T(its_thread_feeds_by_itself),
	T(a_watchdog_of_another_process_is_not_fed),
	T(a_watchdog_that_is_no_number_is_not_fed),
	T(the_line_says_what_is_done_and_how_far_behind),
	T(in_an_outage_the_line_says_why_and_how_full_the_spool_is),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

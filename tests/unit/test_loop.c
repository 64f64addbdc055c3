/* test_loop.c - the event loop: descriptors, timers, wake-ups. */
#define _GNU_SOURCE
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/loop.h"
#include "agent/base/mem.h"

/* A pipe whose read end sits in a loop. */
struct end {
	struct loop_fd  fd;
	int             writer, calls;
	uint32_t        events;
	struct end     *victim;		/* is deleted by the callback */
	struct end     *revived;	/* is deleted and added again */
	int             stop_after;
};

static struct loop loop;
static int rounds, wakes;
static int rounds_wanted;

static void on_round(void *arg)
{
	(void)arg;
	if (++rounds == rounds_wanted)
		loop_stop(&loop);
}

static void on_wake(void *arg)
{
	(void)arg;
	wakes++;
}

static int setup(void **state)
{
	(void)state;
	rounds = wakes = rounds_wanted = 0;
	return loop_init(&loop, on_wake, on_round, NULL);
}

static int teardown(void **state)
{
	(void)state;
	loop_release(&loop);
	return 0;
}

static void on_end(struct loop_fd *f, uint32_t events)
{
	struct end *e = list_entry(f, struct end, fd);
	char c;

	e->calls++;
	e->events = events;
	if (events & EPOLLIN)
		assert_int_equal(read(f->fd, &c, 1), 1);
	if (e->victim)
		loop_fd_del(&e->victim->fd);
	if (e->revived) {
		int fd = e->revived->fd.fd;

		loop_fd_del(&e->revived->fd);
		assert_int_equal(loop_fd_add(&loop, &e->revived->fd, fd, EPOLLIN, on_end), 0);
		e->revived = NULL;
	}
	if (e->calls == e->stop_after)
		loop_stop(&loop);
}

static void end_open(struct end *e)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	*e = (struct end){ .writer = p[1] };
	assert_int_equal(loop_fd_add(&loop, &e->fd, p[0], EPOLLIN, on_end), 0);
}

static void end_close(struct end *e, int fd)
{
	loop_fd_del(&e->fd);
	close(fd);
	close(e->writer);
}

static void readable_descriptors_are_told(void **state)
{
	struct end e;
	int fd;

	(void)state;
	end_open(&e);
	fd = e.fd.fd;
	e.stop_after = 2;
	assert_int_equal(write(e.writer, "ab", 2), 2);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(e.calls, 2);
	assert_true(e.events & EPOLLIN);
	end_close(&e, fd);
}

/* Goal: an event that epoll has already handed out never reaches a descriptor deleted in between. Method: both are
 * ready at once and each deletes the other, so whoever comes first decides. */
static void deleting_another_inside_a_callback_silences_it(void **state)
{
	struct end a, b;
	int a_fd, b_fd;

	(void)state;
	end_open(&a);
	end_open(&b);
	a_fd = a.fd.fd;
	b_fd = b.fd.fd;
	a.victim = &b;
	b.victim = &a;
	assert_int_equal(write(a.writer, "xx", 2), 2);
	assert_int_equal(write(b.writer, "xx", 2), 2);
	a.stop_after = b.stop_after = 2;
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(a.calls + b.calls, 2);
	assert_true(a.calls == 0 || b.calls == 0);
	end_close(&a, a_fd);
	end_close(&b, b_fd);
}

static void deleting_itself_inside_the_callback_is_fine(void **state)
{
	struct end a;
	int fd;

	(void)state;
	end_open(&a);
	fd = a.fd.fd;
	a.victim = &a;
	a.stop_after = 1;
	assert_int_equal(write(a.writer, "xx", 2), 2);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.fd.fd, -1);
	loop_fd_del(&a.fd);
	end_close(&a, fd);
}

/* A struct used again for another descriptor in the same round must not inherit the old one's event. */
static void a_struct_added_again_gets_no_stale_event(void **state)
{
	struct end a, b;
	int a_fd, b_fd;

	(void)state;
	end_open(&a);
	end_open(&b);
	a_fd = a.fd.fd;
	b_fd = b.fd.fd;
	a.revived = &b;
	b.revived = &a;
	a.stop_after = b.stop_after = 1;
	assert_int_equal(write(a.writer, "x", 1), 1);
	assert_int_equal(write(b.writer, "x", 1), 1);
	rounds_wanted = 1;
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(a.calls + b.calls, 1);
	end_close(&a, a_fd);
	end_close(&b, b_fd);
}

static void the_interest_can_be_changed(void **state)
{
	struct end e;
	int fd;

	(void)state;
	end_open(&e);
	fd = e.fd.fd;
	assert_int_equal(loop_fd_mod(&e.fd, 0), 0);
	assert_int_equal(write(e.writer, "x", 1), 1);
	rounds_wanted = 1;
	loop_wake(&loop);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(e.calls, 0);
	assert_int_equal(loop_fd_mod(&e.fd, EPOLLIN), 0);
	e.stop_after = 1;
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(e.calls, 1);
	end_close(&e, fd);
}

static void a_bad_descriptor_is_an_error(void **state)
{
	struct loop_fd f = { .fd = -1 };

	(void)state;
	assert_true(loop_fd_add(&loop, &f, 100000, EPOLLIN, on_end) < 0);
	assert_int_equal(f.fd, -1);
	loop_fd_del(&f);
}

/* --- Timers --- */

struct alarm_clock {
	struct loop_timer t;
	int64_t           fired_at;
	int               order, again, calls;
};

static int fired;

static void on_alarm(struct loop_timer *t)
{
	struct alarm_clock *a = list_entry(t, struct alarm_clock, t);

	assert_false(timer_armed(t));
	a->fired_at = loop.now_ms;
	a->order = ++fired;
	a->calls++;
	if (a->again) {
		a->again--;
		assert_int_equal(timer_set(&loop, t, 0, on_alarm), 0);
	}
}

static void on_last_alarm(struct loop_timer *t)
{
	on_alarm(t);
	loop_stop(&loop);
}

static void timers_fire_in_order_and_never_early(void **state)
{
	enum { N = 200 };
	static struct alarm_clock a[N], last;
	int64_t at[N], start = clock_mono_ms();

	(void)state;
	fired = 0;
	for (int i = 0; i < N; i++) {
		at[i] = start + (i * 37) % 41;
		assert_int_equal(timer_set(&loop, &a[i].t, at[i], on_alarm), 0);
	}
	assert_int_equal(timer_set(&loop, &last.t, start + 60, on_last_alarm), 0);
	for (int i = 0; i < N; i += 5)
		timer_cancel(&loop, &a[i].t);
	for (int i = 1; i < N; i += 5)
		assert_int_equal(timer_set(&loop, &a[i].t, at[i] = start + 50 - i % 7, on_alarm), 0);
	assert_int_equal(loop_run(&loop), 0);
	for (int i = 0; i < N; i++) {
		assert_int_equal(a[i].calls, i % 5 != 0);
		if (!a[i].calls)
			continue;
		assert_true(a[i].fired_at >= at[i]);
		for (int j = 0; j < N; j++)
			if (a[j].calls && at[j] < at[i])
				assert_true(a[j].order < a[i].order);
	}
	assert_int_equal(last.order, fired);
}

/* Goal: a timer that re-arms itself in the past takes one turn an iteration, and others get theirs. */
static void a_timer_that_rearms_itself_starves_nobody(void **state)
{
	struct alarm_clock greedy = { .again = 1000000 }, other = { .again = 0 };
	struct end e;
	int fd;

	(void)state;
	end_open(&e);
	fd = e.fd.fd;
	assert_int_equal(timer_set(&loop, &greedy.t, 0, on_alarm), 0);
	assert_int_equal(timer_set(&loop, &other.t, clock_mono_ms() + 5, on_last_alarm), 0);
	assert_int_equal(write(e.writer, "x", 1), 1);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(e.calls, 1);
	assert_int_equal(other.calls, 1);
	assert_in_range(greedy.calls, 1, rounds);
	timer_cancel(&loop, &greedy.t);
	end_close(&e, fd);
}

static struct alarm_clock *cancels;

static void on_cancelling_alarm(struct loop_timer *t)
{
	on_alarm(t);
	timer_cancel(&loop, &cancels->t);
}

static void a_timer_cancelled_by_another_that_is_due_does_not_fire(void **state)
{
	struct alarm_clock a = { 0 }, b = { 0 }, end = { 0 };
	int64_t now = clock_mono_ms();

	(void)state;
	cancels = &b;
	assert_int_equal(timer_set(&loop, &a.t, now + 1, on_cancelling_alarm), 0);
	assert_int_equal(timer_set(&loop, &b.t, now + 2, on_alarm), 0);
	assert_int_equal(timer_set(&loop, &end.t, now + 3, on_last_alarm), 0);
	while (clock_mono_ms() < now + 4)	/* all three are due in the first iteration */
		;
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
	assert_int_equal(rounds, 1);
	timer_cancel(&loop, &b.t);
}

static void a_timer_that_finds_no_memory_says_so(void **state)
{
	struct alarm_clock a = { 0 };

	(void)state;
	mem_fail_nth(1);
	assert_int_equal(timer_set(&loop, &a.t, 0, on_alarm), ERR_NOMEM);
	assert_false(timer_armed(&a.t));
	assert_int_equal(timer_set(&loop, &a.t, 0, on_alarm), 0);
	timer_cancel(&loop, &a.t);
}

/* --- Waking --- */

static void wakes_before_a_round_count_once(void **state)
{
	(void)state;
	rounds_wanted = 1;
	for (int i = 0; i < 100; i++)
		loop_wake(&loop);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(wakes, 1);
}

static void a_stop_before_the_run_ends_it_and_only_it(void **state)
{
	(void)state;
	loop_stop(&loop);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(rounds, 0);
	rounds_wanted = 1;
	loop_wake(&loop);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(rounds, 1);
}

enum { WAKERS = 3, WAKES = 5000 };
static _Atomic int posted;
static int taken;

static void *waker(void *arg)
{
	(void)arg;
	for (int i = 0; i < WAKES; i++) {
		posted++;
		loop_wake(&loop);
	}
	return NULL;
}

static void take_posted(void *arg)
{
	(void)arg;
	wakes++;
	taken = posted;
	if (taken == WAKERS * WAKES)
		loop_stop(&loop);
}

/* Goal: no wake-up is lost. Method: the loop waits without any timer, so a lost one would make it hang. */
static void no_wake_of_any_thread_is_lost(void **state)
{
	pthread_t t[WAKERS];

	(void)state;
	loop.on_wake = take_posted;
	posted = taken = 0;
	for (size_t i = 0; i < WAKERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, waker, NULL), 0);
	assert_int_equal(loop_run(&loop), 0);
	for (size_t i = 0; i < WAKERS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(taken, WAKERS * WAKES);
	assert_in_range(wakes, 1, WAKERS * WAKES);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(readable_descriptors_are_told),
	T(deleting_another_inside_a_callback_silences_it),
	T(deleting_itself_inside_the_callback_is_fine),
	T(a_struct_added_again_gets_no_stale_event),
	T(the_interest_can_be_changed),
	T(a_bad_descriptor_is_an_error),
	T(timers_fire_in_order_and_never_early),
	T(a_timer_that_rearms_itself_starves_nobody),
	T(a_timer_cancelled_by_another_that_is_due_does_not_fire),
	T(a_timer_that_finds_no_memory_says_so),
	T(wakes_before_a_round_count_once),
	T(a_stop_before_the_run_ends_it_and_only_it),
	T(no_wake_of_any_thread_is_lost),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

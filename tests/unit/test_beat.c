/* test_beat.c - who makes progress, who is excused, and who hangs. Time is an argument: nobody waits. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/loop.h"
#include "agent/base/pattern.h"
#include "agent/base/thread.h"

#define LIMIT_MS 30000

struct seen {
	struct buf hung, slow;
	bool good;
};

/* What is seen so long from now. */
static void look(struct seen *s, int64_t ahead_ms)
{
	buf_clear(&s->hung);
	buf_clear(&s->slow);
	s->good = beat_all(clock_mono_ms() + ahead_ms, LIMIT_MS, &s->hung, &s->slow);
}

static int setup(void **state)
{
	static struct seen s;

	buf_init(&s.hung, 1000);
	buf_init(&s.slow, 1000);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct seen *s = *state;

	buf_release(&s->hung);
	buf_release(&s->slow);
	return 0;
}

static void without_threads_all_is_well(void **state)
{
	look(*state, 1000 * LIMIT_MS);
	assert_true(((struct seen *)*state)->good);
}

static void a_thread_that_beat_lately_is_well_and_one_that_did_not_hangs(void **state)
{
	struct seen *s = *state;
	struct beat b = { 0 };

	beat_open(&b, "tail");
	look(s, LIMIT_MS - 1000);
	assert_true(s->good);
	assert_int_equal(s->hung.len, 0);
	look(s, LIMIT_MS + 10000);
	assert_false(s->good);
	assert_non_null(strstr(s->hung.data, "tail: no progress for 4"));
	assert_int_equal(s->slow.len, 0);
	beat_close(&b);
	look(s, LIMIT_MS + 10000);
	assert_true(s->good);
}

static void inside_a_slow_call_a_thread_is_excused_and_named(void **state)
{
	struct seen *s = *state;
	struct beat b = { 0 };

	beat_open(&b, "state");
	beat_into("fsync");
	look(s, LIMIT_MS + 10000);
	assert_true(s->good);
	assert_int_equal(s->hung.len, 0);
	assert_non_null(strstr(s->slow.data, "state: fsync for 4"));
	beat_out();
	look(s, LIMIT_MS + 10000);
	assert_false(s->good);
	assert_int_equal(s->slow.len, 0);
	beat_close(&b);
}

static void who_waits_for_work_is_never_too_long_at_it(void **state)
{
	struct seen *s = *state;
	struct beat b = { 0 };

	beat_open(&b, "sender");
	beat_into(BEAT_WAIT);
	look(s, 1000 * LIMIT_MS);
	assert_true(s->good);
	assert_int_equal(s->slow.len, 0);
	beat_close(&b);
}

static void a_thread_without_a_beat_is_left_alone(void **state)
{
	struct seen *s = *state;

	beat();
	beat_into("fsync");
	look(s, 1000 * LIMIT_MS);
	assert_true(s->good);
	assert_int_equal(s->slow.len, 0);
	beat_out();
}

struct other {
	pthread_mutex_t mu;
	pthread_cond_t cond;
	bool there, leave;
};

static void *run_other(void *arg)
{
	struct other *o = arg;
	struct beat b = { 0 };

	beat_open(&b, "other");
	pthread_mutex_lock(&o->mu);
	o->there = true;
	pthread_cond_broadcast(&o->cond);
	while (!o->leave)
		pthread_cond_wait(&o->cond, &o->mu);
	pthread_mutex_unlock(&o->mu);
	beat_close(&b);
	return NULL;
}

static void beats_of_one_thread_do_not_cover_for_another(void **state)
{
	struct other o = { .mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct seen *s = *state;
	struct beat b = { 0 };
	pthread_t t;

	beat_open(&b, "mine");
	assert_int_equal(pthread_create(&t, NULL, run_other, &o), 0);
	pthread_mutex_lock(&o.mu);
	while (!o.there)
		pthread_cond_wait(&o.cond, &o.mu);
	pthread_mutex_unlock(&o.mu);
	beat_into(BEAT_WAIT);
	look(s, LIMIT_MS + 10000);
	assert_false(s->good);
	assert_non_null(strstr(s->hung.data, "other: "));
	assert_null(strstr(s->hung.data, "mine: "));
	beat_out();
	look(s, LIMIT_MS + 10000);
	assert_non_null(strstr(s->hung.data, "; "));
	pthread_mutex_lock(&o.mu);
	o.leave = true;
	pthread_cond_broadcast(&o.cond);
	pthread_mutex_unlock(&o.mu);
	assert_int_equal(pthread_join(t, NULL), 0);
	beat_close(&b);
}

static void a_pause_of_all_does_not_count_and_never_makes_a_beat_of_the_future(void **state)
{
	struct seen *s = *state;
	struct beat b = { 0 };

	beat_open(&b, "tail");
	beat_pardon(clock_mono_ms() + LIMIT_MS, LIMIT_MS);
	look(s, LIMIT_MS + 10000);
	assert_true(s->good);
	look(s, 2 * LIMIT_MS + 10000);
	assert_false(s->good);
	beat_pardon(clock_mono_ms(), 1000 * LIMIT_MS);
	look(s, LIMIT_MS + 10000);
	assert_false(s->good);
	beat_close(&b);
}

/* The parent's threads are not there, and their stacks are somebody else's memory. */
static void a_forked_child_has_none_of_its_parents_beats(void **state)
{
	struct other o = { .mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct seen *s = *state;
	struct beat mine = { 0 };
	pthread_t t;
	int status;
	pid_t pid;

	assert_int_equal(pthread_create(&t, NULL, run_other, &o), 0);
	pthread_mutex_lock(&o.mu);
	while (!o.there)
		pthread_cond_wait(&o.cond, &o.mu);
	pthread_mutex_unlock(&o.mu);
	look(s, LIMIT_MS + 10000);
	assert_false(s->good);
	pid = fork();
	if (!pid) {
		look(s, LIMIT_MS + 10000);
		if (!s->good)
			_exit(1);
		beat_open(&mine, "mine");
		look(s, LIMIT_MS + 10000);
		_exit(s->good ? 2 : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pthread_mutex_lock(&o.mu);
	o.leave = true;
	pthread_cond_broadcast(&o.cond);
	pthread_mutex_unlock(&o.mu);
	assert_int_equal(pthread_join(t, NULL), 0);
}

/* Each is within its limits, so that only going from one to the next is progress. */
static void each_line_that_a_pattern_is_asked_about_is_progress(void **state)
{
	struct pattern_room *room = pattern_room_new();
	struct seen *s = *state;
	struct pattern *p;
	struct beat b = { 0 };
	struct err e;

	assert_non_null(room);
	assert_int_equal(pattern_new("x", &p, &e), 0);
	beat_open(&b, "tail");
	b.at_ms -= LIMIT_MS + 10000;
	look(s, 0);
	assert_false(s->good);
	assert_int_equal(pattern_find(p, room, "x", 1, NULL, NULL, &e), 1);
	look(s, 0);
	assert_true(s->good);
	beat_close(&b);
	pattern_free(p);
	pattern_room_free(room);
}

static void look_from_the_loop(struct loop_timer *t)
{
	(void)t;
}

struct looping {
	struct loop loop;
	struct loop_timer timer;
};

static void *run_loop(void *arg)
{
	struct looping *l = arg;
	struct beat b = { 0 };

	beat_open(&b, "loop");
	assert_int_equal(loop_run(&l->loop), 0);
	beat_close(&b);
	return NULL;
}

/* A loop that has come back from its wait once has nothing to do until its timer: it waits, however late it is. */
static void a_loop_without_events_waits_and_is_excused(void **state)
{
	struct seen *s = *state;
	struct looping l = { 0 };
	pthread_t t;

	assert_int_equal(loop_init(&l.loop, NULL, NULL, NULL), 0);
	timer_set(&l.loop, &l.timer, clock_mono_ms() + 3600000, look_from_the_loop);
	assert_int_equal(pthread_create(&t, NULL, run_loop, &l), 0);
	loop_wake(&l.loop);
	do
		look(s, 1000 * LIMIT_MS);
	while (!s->good);
	loop_stop(&l.loop);
	assert_int_equal(pthread_join(t, NULL), 0);
	loop_release(&l.loop);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(without_threads_all_is_well),
	T(a_thread_that_beat_lately_is_well_and_one_that_did_not_hangs),
	T(inside_a_slow_call_a_thread_is_excused_and_named),
	T(who_waits_for_work_is_never_too_long_at_it),
	T(a_thread_without_a_beat_is_left_alone),
	T(beats_of_one_thread_do_not_cover_for_another),
	T(a_pause_of_all_does_not_count_and_never_makes_a_beat_of_the_future),
	T(a_forked_child_has_none_of_its_parents_beats),
	T(each_line_that_a_pattern_is_asked_about_is_progress),
	T(a_loop_without_events_waits_and_is_excused),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

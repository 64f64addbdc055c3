/* test_tail_lag.c - the real tail thread: since when files are behind, and that those that rest cost nothing. */
#include "tests/lib/tail_fixture.h"

#include <sys/stat.h>

static int64_t lag_ms(struct fixture *f, const char *name)
{
	struct tail_file_info *v;
	int64_t found = -1;
	size_t n;

	assert_int_equal(tail_files(f->t, &v, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(v[i].path, at(f, name)))
			found = v[i].lag_ms;
		mem_free(v[i].path);
	}
	mem_free(v);
	return found;
}

static void age(const struct fixture *f, const char *name, time_t seconds)
{
	struct timespec t[2] = { { .tv_sec = time(NULL) - seconds }, { .tv_sec = time(NULL) - seconds } };

	assert_int_equal(utimensat(AT_FDCWD, at(f, name), t, 0), 0);
}

static void count(struct tail *t, void *ret)
{
	*(size_t *)ret = map_count(&t->lags);
}

static size_t marked(struct fixture *f)
{
	size_t n;

	calls_do(f->t, count, &n);
	return n;
}

/* The pruning that a timer does, between two rounds. */
static void prune(struct tail *t, void *ret)
{
	(void)ret;
	lag_prune(&t->lag_timer);
}

static void finish(struct fixture *f, int64_t id, int64_t safe)
{
	pthread_mutex_lock(&f->p->mu);
	double_file(f->p, id)->safe = safe;
	pthread_mutex_unlock(&f->p->mu);
}

static void a_backlog_is_as_old_as_its_file(void **state)
{
	struct fixture *f = *state;

	f->p->safe_is_read = false;
	append(f, "a.log", "one\ntwo\n");
	age(f, "a.log", 3000);
	start(f);
	expect(f, "<one><two>");
	assert_in_range(lag_ms(f, "a.log"), 2999000, 3200000);
}

static void a_file_of_the_future_has_no_negative_lag(void **state)
{
	struct fixture *f = *state;

	f->p->safe_is_read = false;
	append(f, "a.log", "one\n");
	age(f, "a.log", -100000);
	start(f);
	expect(f, "<one>");
	assert_in_range(lag_ms(f, "a.log"), 0, 100000);
}

static void files_that_are_finished_have_no_marks(void **state)
{
	struct fixture *f = *state;

	size_t both = 2;

	f->p->safe_is_read = true;
	append(f, "a.log", "one\n");
	append(f, "b.log", "zwei\n");
	start(f);
	double_wait(f->p, has_records, &both);
	assert_int_equal(lag_ms(f, "a.log"), 0);
	calls_do(f->t, prune, NULL);
	assert_int_equal(marked(f), 0);
	assert_int_equal(f->t->lags.cap, 0);
}

static void marks_end_with_what_is_finished_and_begin_again(void **state)
{
	struct fixture *f = *state;

	f->p->safe_is_read = false;
	append(f, "a.log", "one\n");
	age(f, "a.log", 1000);
	start(f);
	expect(f, "<one>");
	assert_true(lag_ms(f, "a.log") >= 999000);
	finish(f, 1, 4);
	assert_int_equal(lag_ms(f, "a.log"), 0);
	calls_do(f->t, prune, NULL);
	assert_int_equal(marked(f), 0);
	append(f, "a.log", "two\n");
	expect(f, "<one><two>");
	/* Not as old as what was finished before. */
	assert_in_range(lag_ms(f, "a.log"), 0, 900000);
	assert_int_equal(marked(f), 1);
}

static void a_file_that_is_followed_no_more_leaves_no_mark(void **state)
{
	struct fixture *f = *state;

	f->p->safe_is_read = false;
	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	assert_int_equal(marked(f), 1);
	tail_stop(f->t);
	map_del(&f->t->by_id, &(int64_t){ 1 }, sizeof(int64_t));
	prune(f->t, NULL);
	assert_int_equal(marked(f), 0);
}

static void a_last_line_without_its_end_is_not_behind(void **state)
{
	struct fixture *f = *state;

	f->p->safe_is_read = false;
	append(f, "a.log", "one\ntw");
	age(f, "a.log", 3000);
	start(f);
	expect(f, "<one>");
	assert_true(lag_ms(f, "a.log") >= 2999000);
	finish(f, 1, 4);
	assert_int_equal(lag_ms(f, "a.log"), 0);
	calls_do(f->t, prune, NULL);
	assert_int_equal(marked(f), 0);
	append(f, "a.log", "o\n");
	expect(f, "<one><two>");
	/* As old as its end, not as its beginning. */
	assert_int_equal(marked(f), 1);
	assert_in_range(lag_ms(f, "a.log"), 0, 900000);
}

/* Looks of a busy file, each of which finds more, and most of it finished. *ret: up to where its oldest mark goes. */
static void look_often(struct tail *t, void *ret)
{
	int64_t id = 1;
	struct file *x = map_get(&t->by_id, &id, sizeof id);
	int64_t safe = x->size, now = t->loop.now_ms;
	const struct lag *l;

	for (int n = 0; n < 100; n++) {
		x->size += 10;
		t->loop.now_ms += LAG_STEP_MS;
		lag_look(t, x);
	}
	x->size = safe;
	t->loop.now_ms = now;
	l = map_get(&t->lags, &id, sizeof id);
	*(int64_t *)ret = l ? l->marks[0].to : -1;
}

/* The timer's round is seconds away: without it, joined marks would make finished bytes the oldest. */
static void marks_of_what_is_finished_are_not_joined_with_others(void **state)
{
	struct fixture *f = *state;
	int64_t to;

	f->p->safe_is_read = false;
	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	finish(f, 1, 4 + 90 * 10);
	calls_do(f->t, look_often, &to);
	assert_int_equal(to, 4 + 91 * 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(a_backlog_is_as_old_as_its_file),
	T(a_file_of_the_future_has_no_negative_lag),
	T(files_that_are_finished_have_no_marks),
	T(marks_end_with_what_is_finished_and_begin_again),
	T(a_file_that_is_followed_no_more_leaves_no_mark),
	T(a_last_line_without_its_end_is_not_behind),
	T(marks_of_what_is_finished_are_not_joined_with_others),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

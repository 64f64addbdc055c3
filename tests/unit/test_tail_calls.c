/* test_tail_calls.c - questions to the real tail thread while it stands still, as in a read of a disk that is gone. */
#include "tests/lib/tail_fixture.h"

struct gate { struct fixture *f; pthread_mutex_t mu; pthread_cond_t cond; bool reached, open; };

static void stand_still(struct tail *t, void *arg)
{
	struct gate *g = arg;

	(void)t;
	pthread_mutex_lock(&g->mu);
	g->reached = true;
	pthread_cond_broadcast(&g->cond);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->mu);
	pthread_mutex_unlock(&g->mu);
}

static void *ask(void *arg)
{
	struct gate *g = arg;

	calls_do(g->f->t, stand_still, g);
	return NULL;
}

static int count_files(struct fixture *f)
{
	struct tail_file_info *v;
	size_t n;
	int rc = tail_files(f->t, &v, &n);

	for (size_t i = 0; rc == 0 && i < n; i++)
		mem_free(v[i].path);
	if (rc == 0)
		mem_free(v);
	return rc < 0 ? rc : (int)n;
}

/* Who waits for an order, without an end, keeps its answer; who only looks goes away, and is not called back. */
static void who_looks_does_not_wait_for_a_thread_that_stands_still(void **state)
{
	struct fixture *f = *state;
	struct gate g = { .f = f, .mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	pthread_t asker;
	char *why;

	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	f->t->pace.answer = 20;
	assert_int_equal(pthread_create(&asker, NULL, ask, &g), 0);
	pthread_mutex_lock(&g.mu);
	while (!g.reached)
		pthread_cond_wait(&g.cond, &g.mu);
	pthread_mutex_unlock(&g.mu);
	for (int i = 0; i < 3; i++)
		assert_int_equal(count_files(f), ERR_TIMEOUT);
	assert_null(tail_reasons(f->t));
	pthread_mutex_lock(&g.mu);
	f->t->pace.answer = 60000;
	g.open = true;
	pthread_cond_broadcast(&g.cond);
	pthread_mutex_unlock(&g.mu);
	pthread_join(asker, NULL);
	assert_int_equal(count_files(f), 1);
	why = tail_reasons(f->t);
	assert_string_equal(why, "");
	mem_free(why);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(who_looks_does_not_wait_for_a_thread_that_stands_still),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

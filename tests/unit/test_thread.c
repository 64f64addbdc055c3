/* test_thread.c - threads, the hand-over queue, and the list under it. */
#define _GNU_SOURCE
#include "tests/lib/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/thread.h"

struct item {
	struct list node;
	int         writer, n;
};

static struct queue queue;
static _Atomic int wakes;

static void count_wake(void *arg)
{
	assert_ptr_equal(arg, &queue);
	wakes++;
}

static int setup(void **state)
{
	(void)state;
	wakes = 0;
	queue_init(&queue, count_wake, &queue);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	queue_release(&queue);
	return 0;
}

static void what_is_pushed_is_taken_in_order(void **state)
{
	struct item a = { .n = 1 }, b = { .n = 2 };
	struct list out;

	(void)state;
	assert_int_equal(queue_take_all(&queue, &out), 0);
	assert_true(list_empty(&out));
	queue_push(&queue, &a.node);
	queue_push(&queue, &b.node);
	assert_int_equal(queue_take_all(&queue, &out), 2);
	assert_ptr_equal(list_first(&out, struct item, node), &a);
	assert_ptr_equal(list_last(&out, struct item, node), &b);
	assert_int_equal(queue_take_all(&queue, &out), 0);
}

static void only_a_push_into_an_empty_queue_wakes(void **state)
{
	struct item a, b, c;
	struct list out;

	(void)state;
	queue_push(&queue, &a.node);
	queue_push(&queue, &b.node);
	assert_int_equal(wakes, 1);
	queue_take_all(&queue, &out);
	queue_push(&queue, &c.node);
	assert_int_equal(wakes, 2);
	queue_take_all(&queue, &out);
}

static void waiting_ends_at_its_time(void **state)
{
	int64_t start = clock_mono_ms();
	struct list out;

	(void)state;
	assert_int_equal(queue_wait_all(&queue, &out, start + 20), 0);
	assert_true(clock_mono_ms() >= start + 20);
	assert_int_equal(queue_wait_all(&queue, &out, 0), 0);
}

static void a_closed_queue_gives_what_it_has_and_waits_no_more(void **state)
{
	struct item a;
	struct list out;

	(void)state;
	queue_push(&queue, &a.node);
	queue_close(&queue);
	assert_int_equal(queue_wait_all(&queue, &out, -1), 1);
	assert_int_equal(queue_wait_all(&queue, &out, -1), 0);
	assert_null(queue_wait_one(&queue));
}

enum { WRITERS = 4, EACH = 2000, READERS = 3 };

static struct item items[WRITERS][EACH];

static void *writer(void *arg)
{
	int w = (int)(intptr_t)arg;

	for (int i = 0; i < EACH; i++) {
		items[w][i].writer = w;
		items[w][i].n = i;
		queue_push(&queue, &items[w][i].node);
	}
	return NULL;
}

static void start_writers(pthread_t *t)
{
	memset(items, 0, sizeof items);
	for (int w = 0; w < WRITERS; w++)
		assert_int_equal(thread_start(&t[w], "writer", writer, (void *)(intptr_t)w), 0);
}

static void many_writers_lose_nothing_and_keep_their_order(void **state)
{
	pthread_t t[WRITERS];
	int next[WRITERS] = { 0 }, got = 0;
	struct list out;

	(void)state;
	start_writers(t);
	while (got < WRITERS * EACH) {
		got += (int)queue_wait_all(&queue, &out, -1);
		list_each(l, &out) {
			struct item *i = list_entry(l, struct item, node);

			assert_int_equal(i->n, next[i->writer]++);
		}
	}
	for (int w = 0; w < WRITERS; w++)
		pthread_join(t[w], NULL);
	assert_int_equal(got, WRITERS * EACH);
	assert_int_equal(queue.count, 0);
}

static _Atomic int read_by_pool;

static void *pool_reader(void *arg)
{
	struct list *l;

	(void)arg;
	while ((l = queue_wait_one(&queue))) {
		assert_true(list_empty(l));
		read_by_pool++;
	}
	return NULL;
}

static void a_pool_of_readers_takes_each_item_once_and_ends_at_close(void **state)
{
	pthread_t w[WRITERS], r[READERS];

	(void)state;
	read_by_pool = 0;
	for (int i = 0; i < READERS; i++)
		assert_int_equal(thread_start(&r[i], "reader", pool_reader, NULL), 0);
	start_writers(w);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(w[i], NULL);
	queue_close(&queue);
	for (int i = 0; i < READERS; i++)
		pthread_join(r[i], NULL);
	assert_int_equal(read_by_pool, WRITERS * EACH);
}

struct seen {
	char   name[32];
	size_t stack;
	int    term_blocked, segv_blocked;
};

/* The name is given by the starter, so it may come after the thread's first instruction. */
static void *look_around(void *arg)
{
	struct seen *s = arg;
	int64_t until = clock_mono_ms() + 10000;
	pthread_attr_t attr;
	sigset_t set;

	while (strcmp(s->name, "a-name-that-is-") && clock_mono_ms() < until)
		pthread_getname_np(pthread_self(), s->name, sizeof s->name);
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstacksize(&attr, &s->stack);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	s->term_blocked = sigismember(&set, SIGTERM);
	s->segv_blocked = sigismember(&set, SIGSEGV);
	return NULL;
}

static void a_thread_has_a_name_a_small_stack_and_no_signals(void **state)
{
	struct seen s = { .name = "" };
	pthread_t t;
	sigset_t set;

	(void)state;
	assert_int_equal(thread_start(&t, "a-name-that-is-too-long", look_around, &s), 0);
	pthread_join(t, NULL);
	assert_string_equal(s.name, "a-name-that-is-");
	assert_in_range(s.stack, 200 * 1024, 4 * 1024 * 1024);
	assert_int_equal(s.term_blocked, 1);
	assert_int_equal(s.segv_blocked, 0);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	assert_int_equal(sigismember(&set, SIGTERM), 0);
}

static void lists_splice_and_unlink(void **state)
{
	struct item a = { .n = 1 }, b = { .n = 2 }, c = { .n = 3 }, d = { .n = 4 };
	struct list x, y;
	int order = 0;

	(void)state;
	list_init(&x);
	list_init(&y);
	list_push_back(&x, &b.node);
	list_push_front(&x, &a.node);
	list_push_back(&y, &d.node);
	list_insert_before(&d.node, &c.node);
	list_splice_back(&x, &y);
	assert_true(list_empty(&y));
	list_each_safe(l, &x) {
		order = order * 10 + list_entry(l, struct item, node)->n;
		list_remove(l);
	}
	assert_int_equal(order, 1234);
	assert_true(list_empty(&x) && list_empty(&b.node));
	assert_null(list_first(&x, struct item, node));
	list_push_back(&x, &b.node);
	list_push_back(&y, &a.node);
	list_splice_front(&x, &y);
	assert_ptr_equal(list_first(&x, struct item, node), &a);
	assert_ptr_equal(list_last(&x, struct item, node), &b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(what_is_pushed_is_taken_in_order),
	T(only_a_push_into_an_empty_queue_wakes),
	T(waiting_ends_at_its_time),
	T(a_closed_queue_gives_what_it_has_and_waits_no_more),
	T(many_writers_lose_nothing_and_keep_their_order),
	T(a_pool_of_readers_takes_each_item_once_and_ends_at_close),
	cmocka_unit_test(a_thread_has_a_name_a_small_stack_and_no_signals),
	cmocka_unit_test(lists_splice_and_unlink),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

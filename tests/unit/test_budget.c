/* test_budget.c - memory is counted, shares stay apart, waiters are told in order. */
#include "producer/budget.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "tests/lib/unit.h"

#define MIB (1u << 20)

static struct budget *make(size_t chunks, size_t reserve_chunks)
{
	struct budget *b = NULL;

	assert_int_equal(budget_new(&b, chunks * CHUNK_BYTES, reserve_chunks * CHUNK_BYTES), 0);
	return b;
}

static struct chunk *take_all(struct budget *b, enum budget_share share, size_t *ret_n)
{
	struct chunk *chain = NULL, *c;

	for (*ret_n = 0; (c = budget_take(b, share, 0)); ++*ret_n) {
		c->next = chain;
		chain = c;
	}
	return chain;
}

struct ear { struct budget_waiter w; int heard; int turn; };
static int turns;

static void hear(void *arg)
{
	struct ear *e = arg;

	e->heard++;
	e->turn = ++turns;
}

static void ear_init(struct ear *e)
{
	*e = (struct ear){ .w = { .fn = hear, .arg = e } };
	list_init(&e->w.node);
}

static void sizes_are_rounded_to_whole_chunks(void **state)
{
	struct budget *b;

	(void)state;
	assert_int_equal(budget_new(&b, MIB + CHUNK_BYTES - 1, 1), 0);
	assert_int_equal(budget_total(b), MIB);
	assert_int_equal(budget_used(b), 0);
	budget_free(b);
	budget_free(NULL);
}

static void fewer_than_eight_chunks_for_appenders_are_refused(void **state)
{
	struct budget *b = NULL;

	(void)state;
	assert_int_equal(budget_new(&b, 8 * CHUNK_BYTES - 1, 0), ERR_CONFIG);
	assert_int_equal(budget_new(&b, 10 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1), ERR_CONFIG);
	assert_int_equal(budget_new(&b, 10 * CHUNK_BYTES, SIZE_MAX), ERR_CONFIG);
	assert_int_equal(budget_new(&b, 0, 0), ERR_CONFIG);
	assert_null(b);
	assert_int_equal(budget_new(&b, 10 * CHUNK_BYTES, 2 * CHUNK_BYTES), 0);
	budget_free(b);
}

static void what_is_taken_and_given_back_is_counted(void **state)
{
	struct budget *b = make(16, 2);
	struct chunk *one = budget_take(b, BUDGET_APPEND, 0), *three = budget_take_chain(b, BUDGET_APPEND, 3, 0);
	size_t n = 0;

	(void)state;
	assert_non_null(one);
	assert_null(one->next);
	for (struct chunk *c = three; c; c = c->next, n++)
		assert_int_equal(c->used, 0);
	assert_int_equal(n, 3);
	assert_int_equal(budget_used(b), 4 * CHUNK_BYTES);
	budget_give(b, NULL);
	budget_give(b, three);
	assert_int_equal(budget_used(b), CHUNK_BYTES);
	budget_give(b, one);
	assert_int_equal(budget_used(b), 0);
	budget_free(b);
}

static void the_chunk_given_back_last_is_taken_first(void **state)
{
	struct budget *b = make(16, 2);
	struct chunk *first = budget_take(b, BUDGET_APPEND, 0), *second = budget_take(b, BUDGET_APPEND, 0);

	(void)state;
	second->used = 7;
	budget_give(b, first);
	budget_give(b, second);
	assert_ptr_equal(budget_take(b, BUDGET_REFILL, 0), second);
	assert_int_equal(second->used, 0);
	assert_ptr_equal(budget_take(b, BUDGET_APPEND, 0), first);
	budget_give(b, first);
	budget_give(b, second);
	budget_free(b);
}

static void appenders_never_get_the_reserve_and_refill_gets_nothing_else(void **state)
{
	struct budget *b = make(16, 3);
	size_t appended, refilled;
	struct chunk *a = take_all(b, BUDGET_APPEND, &appended), *r = take_all(b, BUDGET_REFILL, &refilled);

	(void)state;
	assert_int_equal(appended, 13);
	assert_int_equal(refilled, 3);
	assert_int_equal(budget_used(b), budget_total(b));
	/* What one share gives back is that share's, whoever asks first. */
	budget_give(b, r);
	assert_null(budget_take(b, BUDGET_APPEND, 0));
	budget_give(b, a);
	a = take_all(b, BUDGET_REFILL, &refilled);
	assert_int_equal(refilled, 3);
	budget_give(b, a);
	budget_free(b);
}

static void a_chain_is_had_whole_or_not_at_all(void **state)
{
	struct budget *b = make(16, 0);
	struct chunk *most = budget_take_chain(b, BUDGET_APPEND, 14, 0);

	(void)state;
	assert_null(budget_take_chain(b, BUDGET_APPEND, 3, 0));
	assert_int_equal(budget_used(b), 14 * CHUNK_BYTES);
	assert_null(budget_take_chain(b, BUDGET_APPEND, SIZE_MAX, 0));
	budget_give(b, most);
	budget_free(b);
}

static void waiters_are_told_once_in_the_order_they_came(void **state)
{
	struct budget *b = make(8, 0);
	size_t n;
	struct chunk *all = take_all(b, BUDGET_APPEND, &n), *rest = all->next;
	struct ear ear[3];

	(void)state;
	turns = 0;
	for (size_t i = 0; i < COUNT(ear); i++) {
		ear_init(&ear[i]);
		budget_wait(b, &ear[i].w);
		budget_wait(b, &ear[i].w);	/* again: no effect */
	}
	assert_true(budget_has_waiters(b));
	assert_int_equal(turns, 0);
	all->next = NULL;
	budget_give(b, all);
	for (size_t i = 0; i < COUNT(ear); i++)
		assert_int_equal(ear[i].turn, i + 1);
	assert_false(budget_has_waiters(b));
	budget_give(b, rest);
	assert_int_equal(turns, 3);
	budget_free(b);
}

static void who_waits_while_memory_is_free_is_told_at_once(void **state)
{
	struct budget *b = make(8, 0);
	struct ear ear;

	(void)state;
	ear_init(&ear);
	budget_wait(b, &ear.w);
	assert_int_equal(ear.heard, 1);
	assert_false(budget_has_waiters(b));
	budget_free(b);
}

static void who_stops_waiting_is_never_told(void **state)
{
	struct budget *b = make(8, 0);
	size_t n;
	struct chunk *all = take_all(b, BUDGET_APPEND, &n);
	struct ear stays, goes;

	(void)state;
	ear_init(&stays);
	ear_init(&goes);
	budget_wait(b, &goes.w);
	budget_wait(b, &stays.w);
	budget_unwait(b, &goes.w);
	budget_unwait(b, &goes.w);
	budget_give(b, all);
	assert_int_equal(goes.heard, 0);
	assert_int_equal(stays.heard, 1);
	budget_free(b);
}

/* A record of four chunks with three free: telling its waiter now would only make it spin. */
static void a_long_record_is_told_only_when_it_can_fit(void **state)
{
	struct budget *b = make(8, 0);
	struct chunk *held = budget_take_chain(b, BUDGET_APPEND, 5, 0), *one = held;
	struct ear ear;

	(void)state;
	held = held->next;
	one->next = NULL;
	assert_null(budget_take_chain(b, BUDGET_APPEND, 5, 0));
	ear_init(&ear);
	budget_wait(b, &ear.w);
	budget_give(b, one);
	assert_int_equal(ear.heard, 0);
	one = held;
	held = held->next;
	one->next = NULL;
	budget_give(b, one);
	assert_int_equal(ear.heard, 1);
	budget_give(b, held);
	budget_free(b);
}

/* A record that can never fit must not keep the others waiting for more than all. */
static void an_impossible_record_holds_nobody_for_ever(void **state)
{
	struct budget *b = make(8, 0);
	struct chunk *one = budget_take(b, BUDGET_APPEND, 0);
	struct ear ear;

	(void)state;
	assert_null(budget_take_chain(b, BUDGET_APPEND, 1000, 0));
	ear_init(&ear);
	budget_wait(b, &ear.w);
	budget_give(b, one);
	assert_int_equal(ear.heard, 1);
	budget_free(b);
}

static void tight_begins_with_the_first_append_that_finds_nothing(void **state)
{
	struct budget *b = make(16, 2);
	struct chunk *reserve = budget_take_chain(b, BUDGET_REFILL, 2, 0), *all = budget_take_chain(b, BUDGET_APPEND, 14, 5);

	(void)state;
	assert_null(budget_take(b, BUDGET_REFILL, 10));
	assert_int_equal(budget_tight_since(b), -1);
	assert_null(budget_take(b, BUDGET_APPEND, 20));
	assert_null(budget_take(b, BUDGET_APPEND, 30));
	assert_int_equal(budget_tight_since(b), 20);
	budget_give(b, all);
	budget_give(b, reserve);
	assert_int_equal(budget_tight_since(b), -1);
	budget_free(b);
}

static void tight_ends_when_no_one_waits_and_an_eighth_is_free(void **state)
{
	struct budget *b = make(24, 4);
	struct chunk *part[4];
	struct ear ear;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		part[i] = budget_take_chain(b, BUDGET_APPEND, i ? 1 : 17, 0);
	assert_null(budget_take_chain(b, BUDGET_APPEND, 4, 20));
	budget_give(b, part[1]);
	budget_give(b, part[2]);
	assert_int_equal(budget_tight_since(b), 20);	/* two of three are free, the idle reserve does not count */
	ear_init(&ear);
	budget_wait(b, &ear.w);
	budget_give(b, part[3]);
	assert_int_equal(ear.heard, 0);
	assert_int_equal(budget_tight_since(b), 20);	/* three are free, but someone waits */
	budget_unwait(b, &ear.w);
	assert_int_equal(budget_tight_since(b), -1);
	budget_give(b, part[0]);
	budget_free(b);
}

struct stress { struct budget *b; _Atomic int woken; unsigned int seed; };

static void wake(void *arg)
{
	struct stress *s = arg;

	s->woken++;
}

/* Takes, waits when dry, and frees its waiter as soon as budget_unwait returned: a late call would touch freed memory. */
static void *stress(void *arg)
{
	struct stress *s = arg;
	unsigned int seed = s->seed;

	for (int round = 0; round < 3000; round++) {
		size_t n = (size_t)rand_r(&seed) % 5 + 1;
		struct chunk *c = budget_take_chain(s->b, rand_r(&seed) % 4 ? BUDGET_APPEND : BUDGET_REFILL, n, round);
		struct budget_waiter *w;

		if (c) {
			memset(c->data, round, 64);
			budget_give(s->b, c);
			continue;
		}
		w = malloc(sizeof *w);
		if (!w)
			abort();
		*w = (struct budget_waiter){ .fn = wake, .arg = s };
		list_init(&w->node);
		budget_wait(s->b, w);
		sched_yield();
		budget_unwait(s->b, w);
		free(w);
	}
	return NULL;
}

static void threads_may_do_all_of_it_at_once(void **state)
{
	struct stress s[4];
	pthread_t t[4];
	struct budget *b = make(10, 2);

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		s[i].b = b;
		s[i].woken = 0;
		s[i].seed = i + 1;
		assert_int_equal(pthread_create(&t[i], NULL, stress, &s[i]), 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(budget_used(b), 0);
	assert_false(budget_has_waiters(b));
	assert_int_equal(budget_tight_since(b), -1);
	budget_free(b);
}

static void short_memory_is_an_error_not_a_crash(void **state)
{
	struct budget *b = NULL;

	(void)state;
	mem_fail_nth(1);
	assert_int_equal(budget_new(&b, MIB, 0), ERR_NOMEM);
	assert_null(b);
	/* More than any address space: the mapping fails. */
	assert_int_equal(budget_new(&b, (size_t)1 << 60, 0), ERR_NOMEM);
	assert_null(b);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(sizes_are_rounded_to_whole_chunks),
	cmocka_unit_test(fewer_than_eight_chunks_for_appenders_are_refused),
	cmocka_unit_test(what_is_taken_and_given_back_is_counted),
	cmocka_unit_test(the_chunk_given_back_last_is_taken_first),
	cmocka_unit_test(appenders_never_get_the_reserve_and_refill_gets_nothing_else),
	cmocka_unit_test(a_chain_is_had_whole_or_not_at_all),
	cmocka_unit_test(waiters_are_told_once_in_the_order_they_came),
	cmocka_unit_test(who_waits_while_memory_is_free_is_told_at_once),
	cmocka_unit_test(who_stops_waiting_is_never_told),
	cmocka_unit_test(a_long_record_is_told_only_when_it_can_fit),
	cmocka_unit_test(an_impossible_record_holds_nobody_for_ever),
	cmocka_unit_test(tight_begins_with_the_first_append_that_finds_nothing),
	cmocka_unit_test(tight_ends_when_no_one_waits_and_an_eighth_is_free),
	cmocka_unit_test(threads_may_do_all_of_it_at_once),
	cmocka_unit_test(short_memory_is_an_error_not_a_crash),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_state.c - the state thread's transactions, one by one: what fails in one may not succeed in another order in the next. */
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/state/state_int.h"
#include "producer/core.h"
#include "tests/lib/faultvfs.h"
#include "tests/lib/spool_dir.h"

struct fixture {
	struct spool_dir d;
	struct conf conf;
	struct books books;
	struct state *st;
	struct producer_config *c;
	struct producer *p;
	struct lane *lane;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct producer_journal j;
	struct producer_error e;

	spool_dir_make(&f->d);
	spool_dir_start(&f->d);
	books_init(&f->books);
	f->c = producer_config_new();
	assert_int_equal(producer_config_set(f->c, "bootstrap.servers", "127.0.0.1:1", &e), 0);
	assert_int_equal(state_open(f->d.s, &f->conf, &f->books, &f->st), 0);
	state_journal(f->st, &j);
	assert_int_equal(producer_open_journaled(f->c, &j, &f->p, &e), 0);
	f->st->producer = f->p;
	f->lane = producer_lane(f->p, "t", 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	producer_close(f->p, 0);
	state_close(f->st);
	books_release(&f->books);
	f->d.s = NULL;
	spool_dir_remove(&f->d);
	producer_config_free(f->c);
	free(f);
	return 0;
}

static struct batch *line(struct fixture *f, int64_t from)
{
	struct batch *b = batch_new(0, clock_wall_ms());

	assert_int_equal(batch_append(b, producer_budget(f->p), BUDGET_APPEND, 0, NULL, 0, "line", 4, NULL, 0, -1), 0);
	assert_int_equal(batch_add_source(b, &(struct source_range){ .file_id = 1, .from = from, .to = from + 5, .count = 1 }), 0);
	batch_seal_crc(b);
	b->raw_bytes = b->bytes;
	b->lane = f->lane;
	b->topic = lane_topic(f->lane);
	return b;
}

/* Takes back what the journal answered. */
static void take_back(struct fixture *f)
{
	struct list taken;
	struct batch *b;

	queue_take_all(&f->p->sender.answers, &taken);
	while ((b = list_first(&taken, struct batch, node))) {
		list_remove(&b->node);
		batch_free(b, producer_budget(f->p));
	}
}

/* Killed then, the next life would send the row before the lines that are still in their file. */
static void nothing_becomes_a_row_behind_a_plan_that_has_just_failed(void **state)
{
	struct fixture *f = *state;
	struct batch *older = line(f, 0), *newer = line(f, 5);
	struct spool_totals t;

	older->state = BATCH_PLANNING;
	older->producer_id = 1;
	newer->state = BATCH_SPILLING;
	list_push_back(&f->st->todo.plans, &older->node);
	list_push_back(&f->st->todo.spills, &newer->node);
	faultvfs_fail(FAULT_WRITE, 1, FAULT_EIO, false);
	assert_false(state_commit_ledger(f->st, clock_mono_ms()));
	assert_true(faultvfs_happened());
	state_commit_spills(f->st);
	spool_totals(f->d.s, &t);
	assert_int_equal(t.rows, 0);
	assert_true(older->error < 0);
	assert_true(newer->error < 0);
	take_back(f);
}

/* More than one transaction takes: the first fails, and what is left of the lane would go well behind it. */
static void nothing_becomes_a_row_behind_a_spill_that_has_just_failed(void **state)
{
	static char large[1 << 20];
	struct fixture *f = *state;
	struct batch *b[10], *other = line(f, 1000);
	struct spool_totals t;

	for (size_t i = 0; i < COUNT(b); i++) {
		b[i] = line(f, (int64_t)i * 5);
		assert_int_equal(batch_append(b[i], producer_budget(f->p), BUDGET_APPEND, 0, NULL, 0, large, sizeof large - 100,
					      NULL, 0, -1), 0);
		batch_seal_crc(b[i]);
		b[i]->state = BATCH_SPILLING;
		list_push_back(&f->st->todo.spills, &b[i]->node);
	}
	other->lane = producer_lane(f->p, "t", 1);
	other->state = BATCH_SPILLING;
	list_push_back(&f->st->todo.spills, &other->node);
	faultvfs_fail(FAULT_SYNC, 1, FAULT_EIO, false);
	state_commit_spills(f->st);
	assert_true(faultvfs_happened());
	for (size_t i = 0; i < COUNT(b); i++)
		assert_true(b[i]->error < 0);
	/* Another lane has nothing to do with it. */
	assert_ptr_equal(list_first(&f->st->todo.spills, struct batch, node), other);
	state_commit_spills(f->st);
	spool_totals(f->d.s, &t);
	assert_int_equal(t.rows, 1);
	take_back(f);
}

struct seen { struct state *st; bool failed, waits; };

/* On the state thread, whose fields these are. */
static void see(void *arg, struct spool *s)
{
	struct seen *v = arg;

	(void)s;
	v->failed = v->st->failed_at_ms != 0;
	v->waits = v->st->retry_at_ms != 0;
}

/* The sender was answered and may never ask again (its broker is gone): a time to try again that is over, with nothing to be tried,
 * would have the thread go round without a pause. */
static void a_plan_that_failed_leaves_no_time_behind_that_nothing_waits_for(void **state)
{
	struct fixture *f = *state;
	struct seen v = { .st = f->st };
	struct batch *b = line(f, 0);

	b->state = BATCH_PLANNING;
	b->producer_id = 1;
	faultvfs_fail(FAULT_WRITE, 1, FAULT_EIO, false);
	assert_int_equal(state_start(f->st, f->p), 0);
	state_push(f->st, &f->st->in.plans, &b->node);
	for (int i = 0; i < 2000 && (!v.failed || v.waits); i++) {
		state_ask(f->st, see, &v);
		usleep(10000);
	}
	state_stop(f->st);
	take_back(f);
	assert_true(v.failed);
	assert_false(v.waits);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_becomes_a_row_behind_a_plan_that_has_just_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_becomes_a_row_behind_a_spill_that_has_just_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_plan_that_failed_leaves_no_time_behind_that_nothing_waits_for, setup, teardown),
	};

	faultvfs_install();
	return test_main(argc, argv, tests, COUNT(tests));
}

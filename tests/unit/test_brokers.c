/* test_brokers.c - which brokers the sender knows, step by step: no thread, no socket. */
#include "tests/lib/unit.h"

#include <stdlib.h>

#include "producer/core.h"

struct fixture { struct producer_config *c; struct producer *p; struct topic *t; struct stream *st; };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	const struct producer_journal none = { 0 };
	struct producer_error e;

	f->c = producer_config_new();
	assert_int_equal(producer_config_set(f->c, "bootstrap.servers", "127.0.0.1:1", &e), 0);
	assert_int_equal(producer_open_journaled(f->c, &none, &f->p, &e), 0);
	f->t = accum_topic(&f->p->accum, "t");
	metadata_add(&f->p->sender.metadata, f->t);
	f->st = topic_stream(f->t, 0, &f->p->sender.stream_conf);
	list_push_back(&f->p->sender.streams, &f->st->node);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	list_remove(&f->st->node);
	producer_close(f->p, 0);
	producer_config_free(f->c);
	free(f);
	return 0;
}

/* As brokers 1 and 2, or 2 alone, tell: broker 1 leads, with this epoch. */
static void hear(struct fixture *f, bool both, int32_t epoch)
{
	struct api_broker brokers[] = { { 2, 1, "127.0.0.1", NULL }, { 1, 1, "127.0.0.2", NULL } };
	struct api_partition partition = { .leader = epoch > 5 ? 1 : 2, .leader_epoch = epoch };
	struct api_topic topic = { .name = "t", .partitions = &partition, .partition_count = 1 };
	const struct api_metadata a = { .brokers = brokers, .broker_count = 1 + both, .topics = &topic, .topic_count = 1 };

	sender_take_brokers(&f->p->sender, &a);
	assert_int_equal(metadata_apply(&f->p->sender.metadata, &a, 1000), 0);
}

/* One that lags does not know of it: it is forgotten, and known anew with the next answer. What it owes is owed all the same, on
 * connections that nobody else uses any more. */
static void nothing_new_is_sent_to_a_broker_that_was_forgotten_and_owes_answers(void **state)
{
	struct fixture *f = *state;

	hear(f, true, 7);
	assert_non_null(sender_leader(&f->p->sender, f->t, 0));
	f->st->sent = 1;
	hear(f, false, 3);
	assert_null(sender_leader(&f->p->sender, f->t, 0));
	assert_true(f->st->moved);
	hear(f, true, 7);
	assert_int_equal(sender_leader(&f->p->sender, f->t, 0)->id, 1);
	assert_true(f->st->moved);	/* until it is answered: stream_next */
	f->st->sent = 0;
	f->st->moved = false;
	/* Who owes nothing needs no wait. */
	hear(f, false, 3);
	assert_false(f->st->moved);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_new_is_sent_to_a_broker_that_was_forgotten_and_owes_answers, setup,
						teardown),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

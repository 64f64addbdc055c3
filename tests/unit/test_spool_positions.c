/* test_spool_positions.c - files, and how far they are finished. */
#include "tests/lib/spool_dir.h"

static void finish(struct spool_dir *d, int64_t from, int64_t to)
{
	struct spool_range r = range_of(1, from, to);

	assert_int_equal(spool_finish(d->s, &r, 1, SPOOL_FILTERED, 0, NULL), 0);
}

static int see_file(void *arg, const struct spool_file *f)
{
	struct spool_file *out = arg;

	assert_string_equal(f->path, "/var/log/app.log");
	*out = *f;
	return 0;
}

static void a_position_moves_only_over_finished_bytes(void **state)
{
	struct spool_dir *d = *state;
	int64_t a, b, c;

	txn(d);
	put_file(d, 1, 0);
	a = plan(d, 1, 0, 10);
	b = plan(d, 1, 10, 20);
	c = plan(d, 1, 20, 30);
	commit(d);
	assert_int_equal(safe_of(d, 1), 0);
	assert_skips(d, 1, "0-30");
	txn(d);
	assert_int_equal(spool_acked(d->s, c, NULL), 0);
	assert_int_equal(spool_acked(d->s, b, NULL), 0);
	commit(d);
	assert_int_equal(safe_of(d, 1), 0);
	txn(d);
	assert_int_equal(spool_acked(d->s, a, NULL), 0);
	assert_int_equal(safe_of(d, 1), 30);
	commit(d);
	assert_skips(d, 1, "");
	assert_int_equal(totals_of(d).acked, 30);
}

/* Goal: a kill between out of order acks neither forgets them nor moves the position too far. */
static void acks_out_of_order_survive_a_kill(void **state)
{
	struct spool_dir *d = *state;
	struct spool_file f = { 0 };
	int64_t first;

	txn(d);
	put_file(d, 1, 0);
	first = plan(d, 1, 0, 10);
	(void)plan(d, 1, 10, 20);
	assert_int_equal(spool_acked(d->s, plan(d, 1, 20, 30), NULL), 0);
	assert_int_equal(spool_acked(d->s, plan(d, 1, 40, 50), NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(safe_of(d, 1), 0);
	assert_int_equal(spool_holes(d->s, 1), 2);
	assert_skips(d, 1, "0-30 40-50");
	assert_ledger(d, "1 2");
	txn(d);
	assert_int_equal(spool_acked(d->s, first, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(safe_of(d, 1), 10);
	assert_int_equal(spool_files_each(d->s, see_file, &f, NULL), 0);
	assert_true(f.marker == marker_at(1, 10));
	txn(d);
	assert_int_equal(spool_acked(d->s, 2, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(safe_of(d, 1), 30);
	assert_int_equal(spool_files_each(d->s, see_file, &f, NULL), 0);
	assert_true(f.marker == marker_at(1, 30));
	assert_skips(d, 1, "40-50");
}

static void finished_bytes_below_the_position_change_nothing(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 100);
	finish(d, 0, 50);
	finish(d, 100, 100);
	assert_int_equal(safe_of(d, 1), 100);
	finish(d, 50, 120);
	assert_int_equal(safe_of(d, 1), 120);
	finish(d, 130, 140);
	finish(d, 110, 135);
	assert_int_equal(safe_of(d, 1), 140);
	commit(d);
	assert_skips(d, 1, "");
}

static void putting_a_known_file_updates_all_but_its_position(void **state)
{
	struct spool_dir *d = *state;
	struct spool_file f = { 0 };

	txn(d);
	put_file(d, 1, 0);
	finish(d, 0, 10);
	put_file(d, 1, 5);
	commit(d);
	assert_int_equal(spool_files_each(d->s, see_file, &f, NULL), 0);
	assert_true(f.safe == 10 && f.marker == marker_at(1, 10));
	assert_true(f.inode == UINT64_MAX - 1 && f.fingerprint == 0xfedcba9876543210 && f.generation == 3);
	assert_true(f.dev == 1 && f.fingerprint_len == 1024 && f.size == 5 && f.state == 2 && f.gone_ms == 9);
}

static void file_ids_are_never_used_again(void **state)
{
	struct spool_dir *d = *state;

	assert_int_equal(spool_next_file_id(d->s), 1);
	txn(d);
	put_file(d, 41, 0);
	commit(d);
	txn(d);
	assert_int_equal(spool_file_forget(d->s, 41, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(spool_next_file_id(d->s), 42);
	assert_int_equal(safe_of(d, 41), -1);
}

static void acks_of_a_forgotten_file_do_no_harm(void **state)
{
	struct spool_dir *d = *state;
	int64_t id;

	txn(d);
	put_file(d, 1, 0);
	id = plan(d, 1, 0, 10);
	assert_int_equal(spool_file_forget(d->s, 1, NULL), 0);
	commit(d);
	txn(d);
	assert_int_equal(spool_acked(d->s, id, NULL), 0);
	commit(d);
	assert_int_equal(totals_of(d).acked, 10);
	spool_dir_kill(d);
	assert_int_equal(safe_of(d, 1), -1);
}

static void a_rollback_restores_files_positions_and_skips(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 0);
	finish(d, 0, 10);
	finish(d, 20, 30);
	commit(d);
	for (int kill = 0; kill < 2; kill++) {
		txn(d);
		finish(d, 10, 20);
		finish(d, 50, 60);
		put_file(d, 2, 7);
		assert_int_equal(spool_file_forget(d->s, 1, NULL), 0);
		assert_int_equal(safe_of(d, 1), -1);
		if (kill)
			spool_dir_kill(d);
		else
			spool_rollback(d->s);
		assert_int_equal(safe_of(d, 1), 10);
		assert_skips(d, 1, "20-30");
		assert_int_equal(safe_of(d, 2), -1);
		assert_int_equal(spool_next_file_id(d->s), 2);
	}
}

static void each_fate_has_its_counter(void **state)
{
	struct spool_dir *d = *state;
	struct spool_totals t;

	txn(d);
	assert_int_equal(spool_finish(d->s, NULL, 0, SPOOL_ACKED, 1, NULL), 0);
	assert_int_equal(spool_finish(d->s, NULL, 0, SPOOL_REJECTED, 20, NULL), 0);
	assert_int_equal(spool_finish(d->s, NULL, 0, SPOOL_DROPPED, 300, NULL), 0);
	assert_int_equal(spool_finish(d->s, NULL, 0, SPOOL_FILTERED, 4000, NULL), 0);
	assert_int_equal(spool_count_uncertain(d->s, 5, 6, NULL), 0);
	t = totals_of(d);
	assert_int_equal(t.acked + t.rejected + t.dropped + t.filtered, 0);	/* not committed yet */
	commit(d);
	spool_dir_kill(d);
	t = totals_of(d);
	assert_true(t.acked == 1 && t.rejected == 20 && t.dropped == 300 && t.filtered == 4000);
	assert_true(t.uncertain_batches == 5 && t.uncertain_records == 6);
}

static int see_route(void *arg, const struct spool_route *r)
{
	int *n = arg;

	assert_string_equal(r->topic, "t");
	assert_int_equal(r->key_null, r->id == 1);
	assert_int_equal(r->key_len, r->id == 3 ? 3 : 0);
	if (r->id == 3)
		assert_memory_equal(r->key, "a\0b", 3);
	assert_int_equal(r->max_line, 1 << 20);
	assert_string_equal(r->spec, r->id == 2 ? "{\"value\":\"json\"}" : "");
	++*n;
	return 0;
}

static void routes_tell_no_key_from_an_empty_one(void **state)
{
	struct spool_dir *d = *state;
	struct spool_route r = { .id = 1, .topic = "t", .key_null = true, .max_line = 1 << 20 };
	int n = 0;

	txn(d);
	assert_int_equal(spool_route_put(d->s, &r, NULL), 0);
	r = (struct spool_route){ .id = 2, .topic = "t", .max_line = 1 << 20, .spec = "{\"value\":\"json\"}" };
	assert_int_equal(spool_route_put(d->s, &r, NULL), 0);
	r = (struct spool_route){ .id = 3, .topic = "t", .key = "a\0b", .key_len = 3, .max_line = 1 << 20, .spec = "" };
	assert_int_equal(spool_route_put(d->s, &r, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(spool_routes_each(d->s, see_route, &n, NULL), 0);
	assert_int_equal(n, 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(a_position_moves_only_over_finished_bytes),
	T(acks_out_of_order_survive_a_kill),
	T(finished_bytes_below_the_position_change_nothing),
	T(putting_a_known_file_updates_all_but_its_position),
	T(file_ids_are_never_used_again),
	T(acks_of_a_forgotten_file_do_no_harm),
	T(a_rollback_restores_files_positions_and_skips),
	T(each_fate_has_its_counter),
	T(routes_tell_no_key_from_an_empty_one),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

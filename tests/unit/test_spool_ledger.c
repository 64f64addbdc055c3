/* test_spool_ledger.c - batches in flight: planned, acked, withdrawn, and found again after a kill. */
#include "tests/lib/spool_dir.h"

#include "spool/inside.h"

static int compare(void *arg, const struct spool_ledger *l)
{
	const struct spool_ledger *want = arg;

	assert_string_equal(l->cluster_id, want->cluster_id);
	assert_string_equal(l->topic, want->topic);
	assert_memory_equal(l->topic_id, want->topic_id, 16);
	assert_true(l->id == want->id && l->partition == want->partition && l->producer_id == want->producer_id);
	assert_true(l->producer_epoch == want->producer_epoch && l->base_sequence == want->base_sequence);
	assert_true(l->count == want->count && l->codec == want->codec && l->row_id == want->row_id);
	assert_true(l->base_timestamp == want->base_timestamp && l->max_timestamp == want->max_timestamp);
	assert_true(l->raw_crc == want->raw_crc && l->raw_bytes == want->raw_bytes);
	assert_int_equal(l->range_count, want->range_count);
	for (size_t i = 0; i < l->range_count; i++) {
		assert_true(l->ranges[i].file_id == want->ranges[i].file_id && l->ranges[i].from == want->ranges[i].from);
		assert_true(l->ranges[i].to == want->ranges[i].to && l->ranges[i].marker == want->ranges[i].marker);
		assert_true(l->ranges[i].count == want->ranges[i].count && l->ranges[i].route == want->ranges[i].route);
		assert_int_equal(l->ranges[i].filtered, want->ranges[i].filtered);
	}
	return 0;
}

static void a_plan_comes_back_whole_after_a_kill(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r[3] = { range_of(1, 0, 10), range_of(2, 5, 25), range_of(1, 10, 1LL << 40) };
	struct spool_ledger l = ledger_of(r, 3, 77);

	r[1].filtered = 9;
	txn(d);
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	commit(d);
	assert_int_equal(spool_ledger_each(d->s, compare, &l, NULL), 0);
	spool_dir_kill(d);
	assert_int_equal(spool_ledger_each(d->s, compare, &l, NULL), 0);
	assert_ledger(d, "1");
}

/* Goal: a filtered line counts in the transaction that finishes its range, whoever does, and never twice. */
static void filtered_lines_are_counted_when_their_range_is_finished(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r[2] = { range_of(1, 0, 10), range_of(1, 10, 30) };
	struct spool_ledger l = ledger_of(r, 2, 30);
	int64_t row;

	r[0].filtered = 3;
	r[1].filtered = 200;
	txn(d);
	put_file(d, 1, 0);
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	commit(d);
	assert_int_equal(totals_of(d).filtered, 0);
	spool_dir_kill(d);
	txn(d);
	assert_int_equal(spool_acked(d->s, l.id, NULL), 0);
	spool_rollback(d->s);
	assert_int_equal(totals_of(d).filtered, 0);
	txn(d);
	assert_int_equal(spool_acked(d->s, l.id, NULL), 0);
	commit(d);
	assert_int_equal(totals_of(d).filtered, 203);
	assert_int_equal(safe_of(d, 1), 30);

	/* planned, withdrawn, planned again and spilled: finished once, by the row */
	r[0] = range_of(1, 30, 40);
	r[0].filtered = 5;
	l = ledger_of(r, 1, 10);
	txn(d);
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	assert_int_equal(spool_unplan(d->s, l.id, NULL), 0);
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	assert_int_equal(add_row_sized(d, "logs", 1, 30, 40, 100, l.id, &row), 0);
	commit(d);
	assert_int_equal(totals_of(d).filtered, 208);
	spool_dir_kill(d);
	txn(d);
	assert_int_equal(spool_acked(d->s, l.id, NULL), 0);
	commit(d);
	assert_int_equal(totals_of(d).filtered, 208);

	/* by themselves, and given up */
	r[0] = (struct spool_range){ .file_id = 1, .from = 40, .to = 50, .filtered = 2 };
	txn(d);
	assert_int_equal(spool_finish(d->s, r, 1, SPOOL_FILTERED, 0, NULL), 0);
	r[0] = (struct spool_range){ .file_id = 1, .from = 50, .to = 60, .count = 1, .filtered = 1 };
	assert_int_equal(spool_finish(d->s, r, 1, SPOOL_DROPPED, 1, NULL), 0);
	commit(d);
	assert_int_equal(totals_of(d).filtered, 211);
	assert_int_equal(totals_of(d).dropped, 1);
	assert_int_equal(safe_of(d, 1), 60);
}

static void unresolved_batches_come_oldest_first(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 0);
	for (int i = 0; i < 6; i++)
		(void)plan(d, 1, i * 10, i * 10 + 10);
	commit(d);
	txn(d);
	assert_int_equal(spool_acked(d->s, 2, NULL), 0);
	assert_int_equal(spool_acked(d->s, 5, NULL), 0);
	(void)plan(d, 1, 60, 70);		/* takes slot 5's place */
	(void)plan(d, 1, 70, 80);		/* slot 2's */
	commit(d);
	assert_ledger(d, "1 3 4 6 7 8");
	spool_dir_kill(d);
	assert_ledger(d, "1 3 4 6 7 8");
}

static void freed_slots_are_taken_again(void **state)
{
	struct spool_dir *d = *state;
	int64_t last = 0;

	txn(d);
	put_file(d, 1, 0);
	commit(d);
	for (int i = 0; i < 200; i++) {
		txn(d);
		if (last)
			assert_int_equal(spool_acked(d->s, last, NULL), 0);
		last = plan(d, 1, i * 10, i * 10 + 10);
		commit(d);
	}
	assert_int_equal(d->s->ledger.slots, 1);
	assert_int_equal(safe_of(d, 1), 1990);
	spool_dir_kill(d);
	assert_int_equal(d->s->ledger.slots, 1);
	assert_ledger(d, "200");
}

static void a_withdrawn_batch_leaves_its_bytes_unfinished(void **state)
{
	struct spool_dir *d = *state;
	int64_t id;

	txn(d);
	put_file(d, 1, 0);
	id = plan(d, 1, 0, 10);
	(void)plan(d, 1, 10, 20);
	commit(d);
	txn(d);
	assert_int_equal(spool_unplan(d->s, id, NULL), 0);
	assert_int_equal(spool_unplan(d->s, id, NULL), ERR_NOT_FOUND);
	assert_skips(d, 1, "10-20");
	commit(d);
	assert_skips(d, 1, "10-20");
	spool_dir_kill(d);
	assert_skips(d, 1, "10-20");
	assert_int_equal(safe_of(d, 1), 0);
	assert_int_equal(totals_of(d).acked, 0);
}

static void an_ack_counts_once(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 0);
	(void)plan(d, 1, 0, 10);
	assert_int_equal(spool_acked(d->s, 1, NULL), 0);
	assert_int_equal(spool_acked(d->s, 1, NULL), ERR_NOT_FOUND);
	assert_int_equal(spool_acked(d->s, 99, NULL), ERR_NOT_FOUND);
	commit(d);
	txn(d);
	assert_int_equal(spool_acked(d->s, 1, NULL), ERR_NOT_FOUND);
	commit(d);			/* "not found" is no damage: the transaction goes on */
	assert_int_equal(totals_of(d).acked, 10);
}

static void a_rollback_revives_and_forgets(void **state)
{
	struct spool_dir *d = *state;
	struct spool_ledger l = ledger_of(NULL, 0, 1);

	txn(d);
	put_file(d, 1, 0);
	(void)plan(d, 1, 0, 10);
	(void)plan(d, 1, 10, 20);
	commit(d);
	txn(d);
	assert_int_equal(spool_acked(d->s, 1, NULL), 0);
	assert_int_equal(spool_unplan(d->s, 2, NULL), 0);
	(void)plan(d, 1, 20, 30);
	l.cluster_id = "a new one";
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	assert_ledger(d, "3 4");
	spool_rollback(d->s);
	assert_ledger(d, "1 2");
	assert_int_equal(safe_of(d, 1), 0);
	assert_skips(d, 1, "0-20");
	txn(d);
	assert_int_equal(spool_acked(d->s, 1, NULL), 0);
	assert_int_equal(plan(d, 1, 20, 30), 3);
	l.cluster_id = "another";		/* takes the number that the rolled back one had */
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_ledger(d, "2 3 4");
	assert_int_equal(safe_of(d, 1), 10);
}

/* Goal: a keyed batch with a thousand ranges works, in pages of the database and after a kill. */
static void a_thousand_ranges_are_one_row(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r[1024], gaps[1024];
	struct spool_ledger l = ledger_of(r, 1024, 1024);

	for (int i = 0; i < 1024; i++) {
		r[i] = range_of(1, i * 20, i * 20 + 10);
		gaps[i] = range_of(1, i * 20 + 10, i * 20 + 20);
	}
	txn(d);
	put_file(d, 1, 0);
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	l.ranges = gaps;
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	commit(d);
	assert_skips(d, 1, "0-20480");
	txn(d);
	assert_int_equal(spool_acked(d->s, 2, NULL), 0);
	commit(d);
	assert_int_equal(spool_holes(d->s, 1), 1024);
	spool_dir_kill(d);
	assert_int_equal(spool_holes(d->s, 1), 1024);
	txn(d);
	assert_int_equal(spool_acked(d->s, 1, NULL), 0);
	commit(d);
	assert_int_equal(safe_of(d, 1), 20480);
	assert_int_equal(spool_holes(d->s, 1), 0);
}

static void a_damaged_ledger_row_is_noticed_at_open(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 0);
	(void)plan(d, 1, 0, 10);
	commit(d);
	assert_int_equal(sqlite3_exec(d->s->db.sql, "UPDATE ledger SET body = x'00' || substr(body, 2)", NULL, NULL, NULL), 0);
	spool_dir_kill_only(d);
	spool_dir_start(d);
	assert_non_null(strstr(spool_salvaged(d->s)->text, "in-flight ledger"));
	assert_ledger(d, "");
	assert_int_equal(safe_of(d, 1), 0);
}

/* Goal: a FULL commit makes earlier NORMAL ones durable, even with nothing of its own to write. */
static void an_empty_full_commit_writes_when_there_is_something_to_sync(void **state)
{
	struct spool_dir *d = *state;
	int64_t pages;

	txn_full(d);
	put_file(d, 1, 0);
	commit(d);
	pages = d->s->db.wal_pages;
	txn_full(d);
	commit(d);
	assert_int_equal(d->s->db.wal_pages, pages);
	txn(d);
	(void)plan(d, 1, 0, 10);
	commit(d);
	pages = d->s->db.wal_pages;
	txn_full(d);
	commit(d);
	assert_true(d->s->db.wal_pages > pages);
	pages = d->s->db.wal_pages;
	txn_full(d);
	commit(d);
	assert_int_equal(d->s->db.wal_pages, pages);
}

static void a_round_of_acks_in_file_order_writes_few_pages(void **state)
{
	struct spool_dir *d = *state;
	int64_t before;

	txn(d);
	put_file(d, 1, 0);
	for (int i = 0; i < 8; i++)
		(void)plan(d, 1, i * 10, i * 10 + 10);
	commit(d);
	before = d->s->db.wal_pages;
	txn(d);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(spool_acked(d->s, i + 1, NULL), 0);
		(void)plan(d, 1, 80 + i * 10, 90 + i * 10);
	}
	commit(d);
	assert_in_range(d->s->db.wal_pages - before, 1, 3);	/* ledger, positions, totals */
}

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
/* The disk has lost it. Without an end to it the agent would try to record that ack for ever, and nothing else. */
static void a_batch_whose_row_vanishes_is_damage(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r = range_of(1, 0, 10);
	struct spool_ledger l = ledger_of(&r, 1, 10);
	struct err e;
	int64_t row = 0;

	txn(d);
	put_file(d, 1, 0);
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	assert_int_equal(add_row_sized(d, "logs", 1, 0, 10, 100, l.id, &row), 0);
	commit(d);
	assert_int_equal(db_exec(&d->s->db, "DELETE FROM rows", &e), 0);
	assert_false(spool_damaged(d->s));
	assert_int_equal(spool_row_read(d->s, row, NULL, NULL, &e), ERR_NOT_FOUND);
	assert_true(spool_damaged(d->s));
	d->s->db.damaged = false;
	txn(d);
	assert_int_equal(spool_acked(d->s, l.id, &e), ERR_CORRUPT);
	assert_non_null(strstr(e.text, "has lost its row"));
	assert_true(spool_damaged(d->s));
	spool_rollback(d->s);
}

static const struct CMUnitTest tests[] = {
	T(a_plan_comes_back_whole_after_a_kill),
	T(filtered_lines_are_counted_when_their_range_is_finished),
	T(unresolved_batches_come_oldest_first),
	T(freed_slots_are_taken_again),
	T(a_withdrawn_batch_leaves_its_bytes_unfinished),
	T(an_ack_counts_once),
	T(a_batch_whose_row_vanishes_is_damage),
	T(a_rollback_revives_and_forgets),
	T(a_thousand_ranges_are_one_row),
	T(a_damaged_ledger_row_is_noticed_at_open),
	T(an_empty_full_commit_writes_when_there_is_something_to_sync),
	T(a_round_of_acks_in_file_order_writes_few_pages),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

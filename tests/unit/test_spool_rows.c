/* test_spool_rows.c - spooled batches: in, listed, read, given an identity, acked, damaged; and the books after each step. */
#include "tests/lib/spool_dir.h"

#include "spool/inside.h"

/* acked, dropped, rows, records, bytes */
static void assert_books(struct spool_dir *d, uint64_t acked, uint64_t dropped, uint64_t rows, uint64_t records, uint64_t bytes)
{
	struct spool_totals t = totals_of(d);

	assert_int_equal(t.acked, acked);
	assert_int_equal(t.dropped, dropped);
	assert_int_equal(t.rows, rows);
	assert_int_equal(t.records, records);
	assert_int_equal(t.bytes, bytes);
}

struct seen { int n, damaged; int64_t ids[32], ledger[32]; struct spool_range range; int stop_after; };

static int see_row(void *arg, const struct spool_row *r, const void *data, int rc)
{
	struct seen *seen = arg;
	uint8_t *want;

	seen->ids[seen->n] = r->id;
	seen->ledger[seen->n++] = r->ledger_id;
	if (r->range_count)
		seen->range = r->ranges[0];
	if (rc < 0) {
		assert_null(data);
		assert_int_equal(rc, ERR_CORRUPT);
		seen->damaged++;
		return 0;
	}
	want = malloc(r->size);
	assert_non_null(want);
	row_fill(want, r->size);
	assert_memory_equal(data, want, r->size);
	free(want);
	assert_true(r->codec == 3 && r->raw_crc == 11 && r->raw_bytes == 12);
	assert_true(r->base_timestamp == 5 && r->max_timestamp == 6);
	return seen->stop_after == seen->n;
}

static struct seen read_lane(struct spool_dir *d, const char *topic, int64_t after)
{
	struct seen seen = { 0 };

	assert_int_equal(spool_rows_read(d->s, topic, -1, after, see_row, &seen, NULL), 0);
	return seen;
}

static void a_spooled_batch_finishes_its_bytes_and_keeps_them(void **state)
{
	struct spool_dir *d = *state;
	struct seen seen;

	txn_full(d);
	put_file(d, 1, 0);
	(void)add_row(d, 1, 0, 10, 300000);
	(void)add_row(d, 1, 10, 20, 100);
	assert_books(d, 0, 0, 0, 0, 0);
	commit(d);
	assert_books(d, 0, 0, 2, 20, 300100);
	assert_int_equal(safe_of(d, 1), 20);
	assert_int_equal(totals_of(d).oldest_ms, 1000);
	spool_dir_kill(d);
	assert_books(d, 0, 0, 2, 20, 300100);
	assert_int_equal(safe_of(d, 1), 20);
	assert_int_equal(totals_of(d).oldest_ms, 1000);
	seen = read_lane(d, "logs", 0);
	assert_true(seen.n == 2 && seen.ids[0] == 1 && seen.ids[1] == 2);
	assert_true(seen.range.from == 10 && seen.range.to == 20 && seen.range.marker == marker_at(1, 20));
	seen = read_lane(d, "logs", 1);
	assert_true(seen.n == 1 && seen.ids[0] == 2);
	assert_int_equal(read_lane(d, "other", 0).n, 0);
}

/* The whole way of draining, with the books at every step. */
static void a_row_is_read_given_an_identity_and_acked(void **state)
{
	struct spool_dir *d = *state;
	int64_t row;

	txn_full(d);
	put_file(d, 1, 0);
	row = add_row(d, 1, 0, 10, 5000);
	(void)add_row(d, 1, 10, 15, 6000);
	commit(d);
	txn(d);
	assert_int_equal(plan_row(d, row, 10), 1);
	commit(d);
	assert_books(d, 0, 0, 2, 15, 11000);
	assert_skips(d, 1, "");
	assert_int_equal(read_lane(d, "logs", 0).n, 1);
	spool_dir_kill(d);
	assert_int_equal(read_lane(d, "logs", 0).n, 1);
	assert_ledger(d, "1");
	txn(d);
	assert_int_equal(spool_acked(d->s, 1, NULL), 0);
	commit(d);
	assert_books(d, 10, 0, 1, 5, 6000);
	assert_int_equal(totals_of(d).oldest_ms, 1010);
	assert_int_equal(safe_of(d, 1), 15);
	assert_int_equal(spool_row_read(d->s, row, see_row, NULL, NULL), ERR_NOT_FOUND);
	spool_dir_kill(d);
	assert_books(d, 10, 0, 1, 5, 6000);
}

static void a_row_whose_identity_is_withdrawn_waits_again(void **state)
{
	struct spool_dir *d = *state;
	int64_t row;

	txn(d);
	put_file(d, 1, 0);
	row = add_row(d, 1, 0, 10, 5000);
	(void)plan_row(d, row, 10);
	commit(d);
	assert_int_equal(read_lane(d, "logs", 0).n, 0);
	txn(d);
	assert_int_equal(spool_unplan(d->s, 1, NULL), 0);
	commit(d);
	assert_books(d, 0, 0, 1, 10, 5000);
	assert_int_equal(read_lane(d, "logs", 0).n, 1);
	txn(d);
	assert_int_equal(plan_row(d, row, 10), 2);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(read_lane(d, "logs", 0).n, 0);
	assert_ledger(d, "2");
}

/* An unanswered batch is spooled with its identity: then its file may go. */
static void a_batch_in_flight_is_spooled_with_its_identity(void **state)
{
	struct spool_dir *d = *state;
	int64_t id, row = 0;
	struct seen seen = { 0 };

	txn(d);
	put_file(d, 1, 0);
	id = plan(d, 1, 0, 10);
	commit(d);
	assert_int_equal(safe_of(d, 1), 0);
	txn_full(d);
	assert_int_equal(add_row_sized(d, "logs", 1, 0, 10, 7000, id, &row), 0);
	commit(d);
	for (int life = 0; life < 2; life++) {
		assert_int_equal(safe_of(d, 1), 10);
		assert_skips(d, 1, "");
		assert_books(d, 0, 0, 1, 10, 7000);
		assert_int_equal(read_lane(d, "logs", 0).n, 0);
		spool_dir_kill(d);
	}
	assert_int_equal(spool_row_read(d->s, row, see_row, &seen, NULL), 0);
	assert_true(seen.n == 1 && seen.ledger[0] == id);
	txn(d);
	assert_int_equal(spool_acked(d->s, id, NULL), 0);
	commit(d);
	assert_books(d, 10, 0, 0, 0, 0);
	assert_int_equal(totals_of(d).oldest_ms, 0);
}

static void wrong_identities_are_refused_and_harmless(void **state)
{
	struct spool_dir *d = *state;
	struct spool_ledger l = ledger_of(NULL, 0, 10);
	int64_t id, row = 0;

	txn(d);
	put_file(d, 1, 0);
	id = plan(d, 1, 0, 10);
	assert_int_equal(add_row_sized(d, "logs", 1, 0, 10, 100, 99, &row), ERR_NOT_FOUND);
	assert_int_equal(add_row_sized(d, "logs", 1, 0, 9, 100, id, &row), ERR_INTERNAL);
	assert_int_equal(add_row_sized(d, "logs", 1, 0, 10, 100, id, &row), 0);
	assert_int_equal(add_row_sized(d, "logs", 1, 0, 10, 100, id, &row), ERR_INTERNAL);
	l.row_id = row;
	assert_int_equal(spool_plan(d->s, &l, NULL), ERR_INTERNAL);
	l.row_id = 99;
	assert_int_equal(spool_plan(d->s, &l, NULL), ERR_NOT_FOUND);
	commit(d);
	assert_books(d, 0, 0, 1, 10, 100);
}

static int see_lane(void *arg, const struct spool_lane *l)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 512 - n, "%s/%d %d+%d rows %d records %d bytes since %d;", l->topic, l->partition,
		 (int)(l->rows - l->rows_with_identity), (int)l->rows_with_identity, (int)l->records, (int)l->bytes,
		 (int)l->oldest_ms);
	return 0;
}

static int see_listed(void *arg, const struct spool_row *r)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 512 - n, "%d:%s:%d ", (int)r->id, r->topic, (int)r->size);
	return 0;
}

static void lanes_and_rows_can_be_listed(void **state)
{
	struct spool_dir *d = *state;
	char lanes[512] = "", rows[512] = "";
	int64_t id;

	txn(d);
	put_file(d, 1, 0);
	(void)add_row(d, 1, 0, 10, 100);
	assert_int_equal(add_row_sized(d, "other", 1, 10, 12, 200, 0, &id), 0);
	(void)plan_row(d, add_row(d, 1, 12, 20, 300), 8);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(spool_lanes_each(d->s, see_lane, lanes, NULL), 0);
	assert_string_equal(lanes, "logs/-1 1+1 rows 18 records 400 bytes since 1000;"
			    "other/-1 1+0 rows 2 records 200 bytes since 1010;");
	assert_int_equal(spool_rows_list(d->s, see_listed, rows, NULL), 0);
	assert_string_equal(rows, "1:logs:100 2:other:200 3:logs:300 ");
}

static void a_reader_stops_when_its_function_says_so(void **state)
{
	struct spool_dir *d = *state;
	struct seen seen = { .stop_after = 2 };

	txn(d);
	for (int i = 0; i < 5; i++)
		(void)add_row(d, 1, i * 10, i * 10 + 10, 50);
	commit(d);
	assert_int_equal(spool_rows_read(d->s, "logs", -1, 1, see_row, &seen, NULL), 1);
	assert_true(seen.n == 2 && seen.ids[0] == 2 && seen.ids[1] == 3);
}

static void sql(struct spool_dir *d, const char *text)
{
	assert_int_equal(sqlite3_exec(d->s->db.sql, text, NULL, NULL, NULL), SQLITE_OK);
}

/* Goal: each kind of damage is found before anything is sent, concerns one row only, and what is set aside balances. */
static void damaged_rows_are_found_and_set_aside(void **state)
{
	struct spool_dir *d = *state;
	struct spool_totals t;
	struct seen seen;

	txn(d);
	put_file(d, 1, 0);
	for (int i = 0; i < 5; i++)
		(void)add_row(d, 1, i * 10, i * 10 + 10, 40000);
	commit(d);
	sql(d, "UPDATE data SET bytes = zeroblob(20000) || substr(bytes, 20001) WHERE id = 1");	/* a lost write */
	sql(d, "UPDATE rows SET count = 11 WHERE id = 2");
	sql(d, "DELETE FROM data WHERE id = 3");
	sql(d, "UPDATE rows SET body = substr(body, 1, 9) WHERE id = 4");
	sql(d, "UPDATE rows SET count = 10 WHERE id = 2 AND 0");
	seen = read_lane(d, "logs", 0);
	assert_true(seen.n == 5 && seen.damaged == 4);
	sql(d, "UPDATE rows SET count = 10 WHERE id = 2");
	txn(d);
	for (int64_t id = 1; id <= 4; id++)
		assert_int_equal(spool_row_set_aside(d->s, id, NULL), 0);
	assert_int_equal(spool_row_set_aside(d->s, 4, NULL), ERR_NOT_FOUND);
	commit(d);
	spool_dir_kill(d);
	assert_books(d, 0, 40, 1, 10, 40000);
	t = totals_of(d);
	assert_true(t.corrupt_rows == 4 && t.loss_events == 4 && t.loss_records == 40 && t.loss_bytes == 3 * 10 + 40000);
	seen = read_lane(d, "logs", 0);
	assert_true(seen.n == 1 && seen.ids[0] == 5 && !seen.damaged);
	assert_int_equal(safe_of(d, 1), 50);
}

static void a_damaged_row_still_names_its_ranges(void **state)
{
	struct spool_dir *d = *state;
	struct seen seen;

	txn(d);
	(void)add_row(d, 1, 30, 40, 100);
	commit(d);
	sql(d, "UPDATE data SET bytes = zeroblob(100)");
	seen = read_lane(d, "logs", 0);
	assert_true(seen.damaged == 1 && seen.range.file_id == 1 && seen.range.from == 30 && seen.range.to == 40);
}

static void setting_a_row_aside_ends_its_identity(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	(void)plan_row(d, add_row(d, 1, 0, 10, 100), 10);
	commit(d);
	txn(d);
	assert_int_equal(spool_row_set_aside(d->s, 1, NULL), 0);
	commit(d);
	assert_ledger(d, "");
	spool_dir_kill(d);
	assert_ledger(d, "");
	assert_books(d, 0, 10, 0, 0, 0);
}

static void a_rollback_restores_rows_lanes_and_books(void **state)
{
	struct spool_dir *d = *state;
	char before[512] = "", after[512] = "";
	int64_t id;

	txn(d);
	put_file(d, 1, 0);
	(void)add_row(d, 1, 0, 10, 100);
	(void)plan_row(d, add_row(d, 1, 10, 20, 100), 10);
	(void)plan(d, 1, 20, 30);
	commit(d);
	assert_int_equal(spool_lanes_each(d->s, see_lane, before, NULL), 0);
	txn(d);
	assert_int_equal(spool_acked(d->s, 1, NULL), 0);
	assert_int_equal(spool_row_set_aside(d->s, 1, NULL), 0);
	assert_int_equal(add_row_sized(d, "new lane", 1, 40, 50, 100, 0, &id), 0);
	assert_int_equal(add_row_sized(d, "logs", 1, 20, 30, 100, 2, &id), 0);
	spool_rollback(d->s);
	assert_books(d, 0, 0, 2, 20, 200);
	assert_int_equal(totals_of(d).corrupt_rows, 0);
	assert_int_equal(totals_of(d).oldest_ms, 1000);
	assert_int_equal(spool_lanes_each(d->s, see_lane, after, NULL), 0);
	assert_string_equal(before, after);
	assert_ledger(d, "1 2");
	assert_skips(d, 1, "20-30");
	assert_int_equal(read_lane(d, "logs", 0).n, 1);
	/* The withdrawn identity of a row and its new one in the same transaction, rolled back. */
	txn(d);
	assert_int_equal(spool_unplan(d->s, 1, NULL), 0);
	assert_int_equal(plan_row(d, 2, 10), 3);
	spool_rollback(d->s);
	assert_ledger(d, "1 2");
	assert_int_equal(read_lane(d, "logs", 0).n, 1);
	txn(d);
	assert_int_equal(spool_acked(d->s, 1, NULL), 0);
	commit(d);
	assert_books(d, 10, 0, 1, 10, 100);
}

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(a_spooled_batch_finishes_its_bytes_and_keeps_them),
	T(a_row_is_read_given_an_identity_and_acked),
	T(a_row_whose_identity_is_withdrawn_waits_again),
	T(a_batch_in_flight_is_spooled_with_its_identity),
	T(wrong_identities_are_refused_and_harmless),
	T(lanes_and_rows_can_be_listed),
	T(a_reader_stops_when_its_function_says_so),
	T(damaged_rows_are_found_and_set_aside),
	T(a_damaged_row_still_names_its_ranges),
	T(setting_a_row_aside_ends_its_identity),
	T(a_rollback_restores_rows_lanes_and_books),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_spool_markers.c - older places of a file, for when it is found shorter; positions set by hand; and very many finished
 * ranges above one position. */
#include "tests/lib/spool_dir.h"

#include "spool/inside.h"

static void finish(struct spool_dir *d, int64_t from, int64_t to)
{
	struct spool_range r = range_of(1, from, to);

	assert_int_equal(spool_finish(d->s, &r, 1, SPOOL_FILTERED, 0, NULL), 0);
}

/* The offsets, newest first: "5000 1000". Each hash must be the one of its offset. */
static void assert_markers(struct spool_dir *d, const char *expect)
{
	struct spool_marker m[SPOOL_MARKERS];
	size_t n = spool_markers(d->s, 1, m);
	char text[512] = "";

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(text);

		assert_true(m[i].hash == marker_at(1, m[i].offset));
		snprintf(text + len, sizeof text - len, "%s%lld", len ? " " : "", (long long)m[i].offset);
	}
	assert_string_equal(text, expect);
}

static void older_positions_are_kept_and_survive(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 0);
	finish(d, 0, 1000);
	finish(d, 1000, 1500);		/* too near to 1000 */
	finish(d, 5000, 6000);		/* above the position: not its past */
	finish(d, 1500, 5000);
	commit(d);
	assert_int_equal(safe_of(d, 1), 6000);
	assert_markers(d, "1000");
	txn(d);
	finish(d, 6000, 9000);
	finish(d, 9000, 9001);
	assert_markers(d, "9000 6000 1000");
	spool_rollback(d->s);
	assert_markers(d, "1000");
	txn(d);
	finish(d, 6000, 9000);
	finish(d, 9000, 9001);
	commit(d);
	spool_dir_kill(d);
	assert_markers(d, "9000 6000 1000");
	assert_int_equal(spool_markers(d->s, 2, NULL), 0);
}

/* Goal: wherever a file was cut, a marker is not much further back, down to its beginning. Method: each one is at most WIDE
 * times as far from the position as the one before; the first, as the last step. */
#define WIDE 50
static void assert_spread(const struct markers *m, int64_t safe, int64_t step)
{
	assert_int_equal(m->count, SPOOL_MARKERS);
	assert_true(m->at[SPOOL_MARKERS - 1].offset <= step);
	for (uint32_t i = 0; i < m->count; i++) {
		int64_t nearer = i ? safe - m->at[i - 1].offset : step, here = safe - m->at[i].offset;

		assert_true(m->at[i].offset > 0 && here > 0 && (i == 0 || here > nearer));
		if (nearer < step)
			nearer = step;
		if (here > WIDE * nearer)
			print_error("at %lld: none from %lld to %lld\n", (long long)safe, (long long)nearer, (long long)here);
		assert_true(here <= WIDE * nearer);
	}
}

static void markers_lie_further_and_further_apart(void **state)
{
	static const int64_t steps[] = { 100, 1024, 5000, 262144, 100000000 };

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++) {
		int64_t safe = 0, step = steps[i] < MARKERS_GAP ? MARKERS_GAP + steps[i] : steps[i];
		struct markers m = { .count = 0 };

		for (int n = 0; n < 300000; n++) {
			markers_push(&m, safe, (uint64_t)safe + 1, safe + steps[i]);
			safe += steps[i];
			if (safe > 20 * step && n % 7 == 0)
				assert_spread(&m, safe, step);
		}
	}
}

static void markers_come_back_from_their_bytes(void **state)
{
	struct markers m = { .count = 0 }, back;
	uint8_t bytes[MARKERS_ROOM];
	size_t n;

	(void)state;
	for (int64_t safe = 0; safe < INT64_MAX / 2; safe = safe * 3 + 2000)
		markers_push(&m, safe, UINT64_MAX - (uint64_t)safe, safe * 3 + 2000);
	n = (size_t)(markers_put(bytes, &m, INT64_MAX) - bytes);
	assert_true(n <= sizeof bytes);
	assert_true(markers_get(&back, INT64_MAX, bytes, n) && markers_same(&m, &back));
	assert_false(markers_get(&back, INT64_MAX, bytes, n - 1));
	assert_int_equal(back.count, 0);
	assert_false(markers_get(&back, m.at[0].offset, bytes, n));	/* they would reach below 0 */
	assert_true(markers_get(&back, 5, NULL, 0) && back.count == 0);
}

/* --- positions by hand --- */

static void a_position_is_set_back_and_forth(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 0);
	for (int64_t at = 0; at < 10000; at += 2000)
		finish(d, at, at + 2000);
	finish(d, 20000, 21000);
	commit(d);
	assert_markers(d, "8000 6000 4000 2000");
	txn(d);
	assert_int_equal(spool_position_set(d->s, 7, 5, 5, NULL), ERR_NOT_FOUND);
	assert_int_equal(spool_position_set(d->s, 1, 6000, marker_at(1, 6000), NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(safe_of(d, 1), 6000);
	assert_skips(d, 1, "");
	assert_markers(d, "4000 2000");
	txn(d);
	finish(d, 20000, 21000);
	assert_int_equal(spool_position_set(d->s, 1, 50000, marker_at(1, 50000), NULL), 0);
	assert_int_equal(safe_of(d, 1), 50000);
	spool_rollback(d->s);
	assert_int_equal(safe_of(d, 1), 6000);
	assert_skips(d, 1, "");
	txn(d);
	assert_int_equal(spool_position_set(d->s, 1, 50000, marker_at(1, 50000), NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(safe_of(d, 1), 50000);
	assert_markers(d, "6000 4000 2000");
	txn(d);
	assert_int_equal(spool_position_set(d->s, 1, 0, 0, NULL), 0);
	commit(d);
	assert_markers(d, "");
}

/* Goal: no byte gets two owners. Bytes of batches and rows below the new position are no obstacle. */
static void a_position_cannot_be_set_below_what_is_on_its_way(void **state)
{
	struct spool_dir *d = *state;
	struct err e = { 0 };
	int64_t id, row;

	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	row = add_row(d, 1, 0, 1000, 100);
	id = plan(d, 1, 1000, 2000);
	(void)add_row(d, 2, 0, 9000, 100);
	commit(d);
	txn(d);
	assert_int_equal(spool_position_set(d->s, 1, 999, 1, &e), ERR_BUSY);
	assert_non_null(strstr(e.text, "batch 1"));
	assert_int_equal(spool_position_set(d->s, 1, 1999, 1, NULL), ERR_BUSY);
	assert_int_equal(spool_position_set(d->s, 1, 5000, 1, NULL), ERR_BUSY);	/* over promised bytes */
	assert_int_equal(spool_unplan(d->s, id, NULL), 0);
	assert_int_equal(spool_position_set(d->s, 1, 999, 1, &e), ERR_BUSY);
	assert_non_null(strstr(e.text, "row 1"));
	assert_int_equal(spool_position_set(d->s, 1, 1000, 1, NULL), 0);
	assert_int_equal(spool_row_drop(d->s, row, SPOOL_LOSS_PURGED, NULL), 0);
	assert_int_equal(spool_position_set(d->s, 1, 0, 0, NULL), 0);
	commit(d);
	assert_int_equal(safe_of(d, 1), 0);
	txn(d);
	id = plan(d, 1, 0, 500);
	assert_int_equal(spool_position_set(d->s, 1, 500, 1, NULL), ERR_BUSY);
	assert_int_equal(add_row_sized(d, "logs", 1, 0, 500, 10, id, &row), 0);	/* a row holds them now */
	assert_int_equal(spool_position_set(d->s, 1, 499, 1, NULL), ERR_BUSY);
	assert_int_equal(spool_position_set(d->s, 1, 600, 1, NULL), 0);
	commit(d);
}

/* --- many holes --- */

#define HOLES 4096
#define STEP  300000		/* as batches of log lie apart: gaps and lengths of three bytes */

static int64_t number(struct spool_dir *d, const char *text)
{
	int64_t n = -1;

	assert_int_equal(db_number(&d->s->db, text, &n, NULL), 0);
	return n;
}

/* Goal: 4,096 finished ranges above a position cost few bytes and pages a commit, and one more does no harm. Method: the
 * stored bytes, and SQLite's count of the pages that a commit writes. */
static void thousands_of_holes_stay_compact_and_right(void **state)
{
	struct spool_dir *d = *state;
	int pages, high;

	txn(d);
	put_file(d, 1, 0);
	for (int64_t i = HOLES; i > 0; i--)		/* the worst order */
		finish(d, i * STEP, i * STEP + STEP / 2);
	commit(d);
	assert_int_equal(spool_holes(d->s, 1), HOLES);
	assert_true(number(d, "SELECT length(done) FROM positions") <= HOLES * 16);
	(void)sqlite3_db_status(d->s->db.sql, SQLITE_DBSTATUS_CACHE_WRITE, &pages, &high, 1);
	txn(d);
	finish(d, (HOLES + 1) * (int64_t)STEP, (HOLES + 1) * (int64_t)STEP + 10);
	commit(d);
	assert_int_equal(sqlite3_db_status(d->s->db.sql, SQLITE_DBSTATUS_CACHE_WRITE, &pages, &high, 0), SQLITE_OK);
	assert_true(pages > 0 && pages <= HOLES * 16 / d->s->db.page + 4);
	spool_dir_kill(d);
	assert_int_equal(spool_holes(d->s, 1), HOLES + 1);
	assert_int_equal(safe_of(d, 1), 0);
	txn(d);
	for (int64_t i = 0; i <= HOLES; i++)		/* each gap closes one */
		finish(d, i ? i * STEP + STEP / 2 : 0, (i + 1) * STEP);
	commit(d);
	assert_int_equal(spool_holes(d->s, 1), 0);
	assert_int_equal(safe_of(d, 1), (HOLES + 1) * (int64_t)STEP + 10);
	spool_dir_kill(d);
	assert_skips(d, 1, "");
	assert_int_equal(safe_of(d, 1), (HOLES + 1) * (int64_t)STEP + 10);
}

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(older_positions_are_kept_and_survive),
	cmocka_unit_test(markers_lie_further_and_further_apart),
	cmocka_unit_test(markers_come_back_from_their_bytes),
	T(a_position_is_set_back_and_forth),
	T(a_position_cannot_be_set_below_what_is_on_its_way),
	T(thousands_of_holes_stay_compact_and_right),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

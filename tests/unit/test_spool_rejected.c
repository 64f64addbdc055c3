/* test_spool_rejected.c - batches that others replace, records that are set aside, and databases from before there were any. */
#include "tests/lib/spool_dir.h"

#include "spool/inside.h"

#define RANGE 14		/* encoded, with their number */
#define LARGE ((1 << 20) - 4 - RANGE)

static int reject(struct spool_dir *d, const char *bytes, size_t n, const char *message)
{
	struct spool_range range = range_of(1, 10, 20);
	struct spool_rejected r = { .ms = 77, .topic = "logs", .partition = 3, .code = 87, .message = message, .timestamp = 5,
				    .bytes = bytes, .size = n, .ranges = &range, .range_count = 1 };

	return spool_reject(d->s, &r, NULL);
}

/* "id:size:message:from-to", one behind the other. */
static int write_one(void *arg, const struct spool_rejected *r)
{
	char *text = arg;
	size_t n = strlen(text);

	assert_string_equal(r->topic, "logs");
	assert_true(r->partition == 3 && r->code == 87 && r->ms == 77 && r->timestamp == 5);
	snprintf(text + n, 4096 - n, "%s%lld:%zu:%s:%lld-%lld%s", n ? " " : "", (long long)r->id, r->size,
		 r->message ? r->message : "none", (long long)(r->range_count ? r->ranges[0].from : -1),
		 (long long)(r->range_count ? r->ranges[0].to : -1), r->bytes ? "" : ":damaged");
	return 0;
}

static void assert_rejected(struct spool_dir *d, int64_t after, const char *expect)
{
	char text[4096] = "";

	assert_int_equal(spool_rejected_each(d->s, after, write_one, text, NULL), 0);
	assert_string_equal(text, expect);
}

static void rejected_records_are_kept_counted_and_read_back_after_a_kill(void **state)
{
	struct spool_dir *d = *state;

	txn_full(d);
	assert_int_equal(reject(d, "first", 5, "no key"), 0);
	assert_int_equal(reject(d, "second one", 10, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_rejected(d, 0, "1:5:no key:10-20 2:10:none:10-20");
	assert_rejected(d, 1, "2:10:none:10-20");
	assert_int_equal(totals_of(d).rejected, 2);
	/* Words, topics and ranges take room as well. */
	assert_int_equal(totals_of(d).rejected_bytes, 5 + 10 + 6 + 2 * 4 + 2 * RANGE);
}

static void what_is_rolled_back_is_not_rejected(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	assert_int_equal(reject(d, "first", 5, "no key"), 0);
	spool_rollback(d->s);
	assert_rejected(d, 0, "");
	assert_int_equal(totals_of(d).rejected, 0);
	txn(d);
	assert_int_equal(reject(d, "again", 5, "no key"), 0);
	commit(d);
	assert_rejected(d, 0, "1:5:no key:10-20");
}

static void a_full_share_refuses_and_purging_makes_room(void **state)
{
	struct spool_dir *d = *state;
	char *large = calloc(1, 1 << 20);
	uint64_t purged = 0;

	/* A sixteenth of 64 MiB. */
	txn(d);
	for (int i = 0; i < 4; i++)
		assert_int_equal(reject(d, large, LARGE, NULL), 0);
	assert_int_equal(reject(d, "x", 1, NULL), ERR_SPOOL_FULL);
	put_file(d, 1, 10);			/* the transaction goes on */
	commit(d);
	assert_int_equal(totals_of(d).rejected, 4);
	txn(d);
	assert_int_equal(spool_rejected_purge(d->s, 3, &purged, NULL), 0);
	commit(d);
	assert_int_equal(purged, 3);
	assert_int_equal(totals_of(d).rejected, 4);
	assert_int_equal(totals_of(d).rejected_bytes, 1 << 20);
	assert_rejected(d, 0, "4:1048558:none:10-20");
	txn(d);
	assert_int_equal(reject(d, "x", 1, NULL), 0);
	commit(d);
	assert_rejected(d, 4, "5:1:none:10-20");
	free(large);
}

static void their_bytes_count_against_the_size_of_the_spool(void **state)
{
	struct spool_dir *d = *state;
	char *large = calloc(1, 1 << 20);
	int64_t id;

	txn(d);
	for (int i = 0; i < 62; i++)
		(void)add_row(d, 1, i, i + 1, 1 << 20);
	for (int i = 0; i < 2; i++)
		assert_int_equal(reject(d, large, 1 << 20, NULL), 0);
	assert_int_equal(add_row_sized(d, "logs", 1, 90, 91, 1, 0, &id), ERR_SPOOL_FULL);
	commit(d);
	free(large);
}

/* A log of short lines that nobody takes: each row is mostly words. */
static void short_records_with_long_words_do_not_outgrow_their_share(void **state)
{
	struct spool_dir *d = *state;
	char words[1025];
	uint64_t purged;
	int n = 0;

	memset(words, 'w', sizeof words - 1);
	words[sizeof words - 1] = '\0';
	txn(d);
	while (n < 100000 && reject(d, "x", 1, words) == 0)
		n++;
	commit(d);
	assert_in_range(n, (4 << 20) / 1100, (4 << 20) / 1024);
	txn(d);
	assert_int_equal(spool_rejected_purge(d->s, n, &purged, NULL), 0);
	commit(d);
	assert_int_equal(totals_of(d).rejected_bytes, 0);
}

static void damaged_bytes_are_noticed(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	assert_int_equal(reject(d, "first", 5, NULL), 0);
	commit(d);
	assert_int_equal(sqlite3_exec(d->s->db.sql, "UPDATE rejected SET bytes = x'6669727371'", NULL, NULL, NULL), SQLITE_OK);
	assert_rejected(d, 0, "1:5:none:10-20:damaged");
}

/* --- replaced --- */

/* A part as state_replace.c records it: identity, then bytes. */
static int64_t add_part(struct spool_dir *d, int32_t sequence, int32_t count)
{
	struct spool_ledger l = ledger_of(NULL, 0, count);
	uint8_t bytes[100];
	struct spool_piece p = { bytes, sizeof bytes };
	struct spool_row r = { .topic = "logs", .partition = 2, .count = count, .spooled_ms = 1 };

	l.base_sequence = sequence;
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	row_fill(bytes, sizeof bytes);
	r.crc = crc32c(0, bytes, sizeof bytes);
	r.ledger_id = l.id;
	assert_int_equal(spool_add(d->s, &r, &p, 1, NULL), 0);
	return l.id;
}

static void a_planned_batch_is_replaced_by_rows_and_its_position_moves(void **state)
{
	struct spool_dir *d = *state;
	struct spool_totals t;
	int64_t id, first, second;

	txn(d);
	put_file(d, 1, 0);
	id = plan(d, 1, 0, 10);
	commit(d);
	txn_full(d);
	assert_int_equal(spool_replaced(d->s, id, NULL), 0);
	assert_int_equal(reject(d, "bad", 3, NULL), 0);
	first = add_part(d, 5, 4);
	second = add_part(d, 9, 5);
	commit(d);
	for (int life = 0; life < 2; life++) {
		assert_int_equal(safe_of(d, 1), 10);
		assert_skips(d, 1, "");
		t = totals_of(d);
		assert_true(t.records == 9 && t.rejected == 1 && t.acked == 0 && t.rows == 2);
		assert_ledger(d, "2 3");
		spool_dir_kill(d);
	}
	txn(d);
	assert_int_equal(spool_acked(d->s, first, NULL), 0);
	assert_int_equal(spool_acked(d->s, second, NULL), 0);
	commit(d);
	t = totals_of(d);
	assert_true(t.records == 0 && t.rejected == 1 && t.acked == 9 && t.rows == 0);
}

static void a_spooled_batch_is_replaced_and_counted_once(void **state)
{
	struct spool_dir *d = *state;
	struct spool_totals t;
	int64_t row, id;

	txn(d);
	put_file(d, 1, 0);
	row = add_row(d, 1, 0, 10, 1000);
	id = plan_row(d, row, 10);
	commit(d);
	txn_full(d);
	assert_int_equal(spool_replaced(d->s, id, NULL), 0);
	(void)add_part(d, 5, 5);
	(void)add_part(d, 10, 5);
	commit(d);
	spool_dir_kill(d);
	t = totals_of(d);
	assert_true(t.records == 10 && t.rows == 2 && t.bytes == 200 && t.acked == 0);
	assert_int_equal(spool_row_read(d->s, row, NULL, NULL, NULL), ERR_NOT_FOUND);
}

static void a_replacement_that_is_rolled_back_leaves_the_batch(void **state)
{
	struct spool_dir *d = *state;
	int64_t id;

	txn(d);
	put_file(d, 1, 0);
	id = plan(d, 1, 0, 10);
	commit(d);
	txn_full(d);
	assert_int_equal(spool_replaced(d->s, id, NULL), 0);
	(void)add_part(d, 5, 10);
	spool_rollback(d->s);
	assert_ledger(d, "1");
	assert_int_equal(safe_of(d, 1), 0);
	assert_skips(d, 1, "0-10");
	assert_int_equal(totals_of(d).records, 0);
	txn(d);
	assert_int_equal(spool_replaced(d->s, 99, NULL), ERR_NOT_FOUND);
	assert_int_equal(spool_replaced(d->s, id, NULL), 0);
	(void)add_part(d, 5, 10);
	commit(d);
	assert_int_equal(safe_of(d, 1), 10);
}

/* --- migration --- */

static int setup_closed(void **state)
{
	struct spool_dir *d = calloc(1, sizeof *d);

	assert_non_null(d);
	spool_dir_make(d);
	*state = d;
	return 0;
}

static void build_version_1(struct spool_dir *d)
{
	char path[160], *text = calloc(1, 65536);
	FILE *f = fopen("tests/golden/spool-1.sql", "r");
	sqlite3 *db;

	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 1000);
	fclose(f);
	assert_int_equal(mkdir(d->dir, 0700), 0);
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(text);
}

static int see_row(void *arg, const struct spool_row *r, const void *data, int rc)
{
	(*(int *)arg)++;
	assert_int_equal(rc, 0);
	assert_int_equal(r->count, 10);
	assert_string_equal(data, "bytes of a row");
	return 0;
}

static int see_route(void *arg, const struct spool_route *r)
{
	(*(int *)arg)++;
	assert_true(r->id == 7 && r->max_line == 1000 && r->key_null);
	assert_string_equal(r->topic, "logs");
	assert_string_equal(r->spec, "");		/* the line as it is */
	return 0;
}

static int see_batch(void *arg, const struct spool_ledger *l)
{
	(*(int *)arg)++;
	assert_true(l->producer_id == 41 && l->base_sequence == 5 && l->count == 15 && l->range_count == 1);
	assert_true(l->ranges[0].from == 100 && l->ranges[0].to == 250);
	return 0;
}

static void a_database_of_version_1_goes_on_with_all_it_holds(void **state)
{
	struct spool_dir *d = *state;
	struct spool_totals t;
	int64_t version = 0;
	int rows, batches, routes;

	build_version_1(d);
	for (int life = 0; life < 2; life++) {
		spool_dir_start(d);
		assert_int_equal(db_number(&d->s->db, "PRAGMA user_version", &version, NULL), 0);
		assert_int_equal(version, SCHEMA_VERSION);
		t = totals_of(d);
		assert_true(t.acked == 10 && t.records == 10 && t.rows == 1 && t.bytes == 15);
		assert_int_equal(t.rejected, life);
		assert_int_equal(safe_of(d, 1), 100);
		assert_skips(d, 1, "100-250 300-400");
		rows = batches = routes = 0;
		assert_int_equal(spool_rows_read(d->s, "logs", -1, 0, see_row, &rows, NULL), 0);
		assert_int_equal(spool_ledger_each(d->s, see_batch, &batches, NULL), 0);
		assert_int_equal(spool_routes_each(d->s, see_route, &routes, NULL), 0);
		assert_true(rows == 1 && batches == 1 && routes == 1);
		if (life == 0) {
			txn(d);
			assert_int_equal(reject(d, "x", 1, NULL), 0);
			commit(d);
		}
		spool_close(d->s);
		d->s = NULL;
	}
}

static void looking_at_version_1_says_what_to_do(void **state)
{
	struct spool_dir *d = *state;
	struct err e = { 0 };

	build_version_1(d);
	d->conf.read_only = true;
	assert_true(spool_open(&d->conf, &d->s, &e) < 0);
	assert_non_null(strstr(e.text, "start the agent once"));
}

#define T(t) cmocka_unit_test_setup_teardown(t, spool_dir_setup, spool_dir_teardown)
#define V(t) cmocka_unit_test_setup_teardown(t, setup_closed, spool_dir_teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		T(rejected_records_are_kept_counted_and_read_back_after_a_kill),
		T(what_is_rolled_back_is_not_rejected),
		T(a_full_share_refuses_and_purging_makes_room),
		T(their_bytes_count_against_the_size_of_the_spool),
		T(short_records_with_long_words_do_not_outgrow_their_share),
		T(damaged_bytes_are_noticed),
		T(a_planned_batch_is_replaced_by_rows_and_its_position_moves),
		T(a_spooled_batch_is_replaced_and_counted_once),
		T(a_replacement_that_is_rolled_back_leaves_the_batch),
		V(a_database_of_version_1_goes_on_with_all_it_holds),
		V(looking_at_version_1_says_what_to_do),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

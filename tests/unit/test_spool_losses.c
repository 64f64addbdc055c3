/* test_spool_losses.c - what is given up or cannot be proven: entered with file and range, counted, kept; rows mended and
 * dropped; and the losses of a database of version 2. */
#include "tests/lib/spool_dir.h"

#include "spool/inside.h"
#include "spool/ranges.h"
#include "spool/varint.h"

static void sql(struct spool_dir *d, const char *text)
{
	assert_int_equal(sqlite3_exec(d->s->db.sql, text, NULL, NULL, NULL), SQLITE_OK);
}

static void put_named(struct spool_dir *d, int64_t id, const char *path)
{
	struct spool_file f = { .id = id, .path = path };

	assert_int_equal(spool_file_put(d->s, &f, NULL), 0);
}

/* "id reason topic/partition path[from-to] records bytes row;" */
static int write_loss(void *arg, const struct spool_loss *l)
{
	char *text = arg;
	size_t n = strlen(text);

	assert_true(l->ms > 0);
	snprintf(text + n, 4096 - n, "%lld %s %s/%d %lld:%s[%lld-%lld] %d %d %d;", (long long)l->id, l->reason, l->topic,
		 l->partition, (long long)l->file_id, l->path, (long long)l->from, (long long)l->to, (int)l->records,
		 (int)l->bytes, (int)l->row_id);
	return 0;
}

static void assert_losses(struct spool_dir *d, int64_t after, const char *expect)
{
	char text[4096] = "";

	assert_int_equal(spool_losses_each(d->s, after, write_loss, text, NULL), 0);
	assert_string_equal(text, expect);
}

/* dropped, events, records, bytes of losses; batches and records of what is uncertain */
static void assert_lost(struct spool_dir *d, int dropped, int events, int records, int bytes, int batches, int uncertain)
{
	struct spool_totals t = totals_of(d);

	assert_int_equal(t.dropped, dropped);
	assert_int_equal(t.loss_events, events);
	assert_int_equal(t.loss_records, records);
	assert_int_equal(t.loss_bytes, bytes);
	assert_int_equal(t.uncertain_batches, batches);
	assert_int_equal(t.uncertain_records, uncertain);
}

static void say_finding(void *arg, int64_t row_id, const char *what)
{
	(void)arg;
	print_error("row %lld: %s\n", (long long)row_id, what);
}

static void assert_sound(struct spool_dir *d)
{
	assert_int_equal(spool_verify(d->s, say_finding, NULL, NULL), 0);
}

static int mend(struct spool_dir *d, int64_t id, int32_t count)
{
	struct spool_piece p[2] = { { "men", 3 }, { "ded!", 4 } };
	struct spool_row r = { .id = id, .count = count, .codec = 1, .raw_bytes = 70, .raw_crc = 71,
			       .crc = crc32c(0, "mended!", 7) };

	return spool_row_mend(d->s, &r, p, 2, NULL);
}

static void a_batch_without_room_is_dropped_range_by_range(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r[3] = { range_of(1, 0, 10), range_of(2, 50, 57), range_of(1, 20, 30) };

	txn(d);
	put_named(d, 1, "/log/a");
	put_named(d, 2, "/log/b");
	r[1].filtered = 4;
	assert_int_equal(spool_drop(d->s, "logs", 3, r, 3, 27, SPOOL_LOSS_NEWEST, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_losses(d, 0, "1 drop_newest logs/3 1:/log/a[0-10] 10 10 0;2 drop_newest logs/3 2:/log/b[50-57] 7 7 0;"
		      "3 drop_newest logs/3 1:/log/a[20-30] 10 10 0;");
	assert_losses(d, 2, "3 drop_newest logs/3 1:/log/a[20-30] 10 10 0;");
	assert_lost(d, 27, 1, 27, 27, 0, 0);
	assert_int_equal(totals_of(d).filtered, 4);
	assert_int_equal(safe_of(d, 1), 10);
	assert_skips(d, 1, "20-30");
	assert_skips(d, 2, "50-57");
	assert_sound(d);
}

static void an_entry_keeps_the_path_of_its_time(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r = range_of(1, 0, 10);

	txn(d);
	put_named(d, 1, "/log/a");
	assert_int_equal(spool_drop(d->s, "logs", 0, &r, 1, 10, SPOOL_LOSS_NEWEST, NULL), 0);
	put_named(d, 1, "/log/a.1");
	r = range_of(1, 10, 20);
	assert_int_equal(spool_drop(d->s, "logs", 0, &r, 1, 10, SPOOL_LOSS_NEWEST, NULL), 0);
	assert_int_equal(spool_file_forget(d->s, 1, NULL), 0);
	r = range_of(1, 20, 30);
	assert_int_equal(spool_drop(d->s, "logs", 0, &r, 1, 10, SPOOL_LOSS_NEWEST, NULL), 0);
	commit(d);
	assert_losses(d, 0, "1 drop_newest logs/0 1:/log/a[0-10] 10 10 0;2 drop_newest logs/0 1:/log/a.1[10-20] 10 10 0;"
		      "3 drop_newest logs/0 1:[20-30] 10 10 0;");
}

static void a_waiting_row_is_dropped_with_its_bytes(void **state)
{
	struct spool_dir *d = *state;
	int64_t first, second;

	txn(d);
	put_named(d, 1, "/log/a");
	first = add_row(d, 1, 0, 10, 5000);
	second = add_row(d, 1, 10, 15, 6000);
	(void)plan_row(d, second, 5);
	commit(d);
	txn(d);
	assert_int_equal(spool_row_drop(d->s, 99, SPOOL_LOSS_OLDEST, NULL), ERR_NOT_FOUND);
	assert_int_equal(spool_row_drop(d->s, second, SPOOL_LOSS_OLDEST, NULL), ERR_BUSY);
	assert_int_equal(spool_row_drop(d->s, first, SPOOL_LOSS_OLDEST, NULL), 0);
	assert_int_equal(spool_row_drop(d->s, first, SPOOL_LOSS_OLDEST, NULL), ERR_NOT_FOUND);
	commit(d);
	spool_dir_kill(d);
	assert_losses(d, 0, "1 drop_oldest logs/-1 1:/log/a[0-10] 10 10 0;");
	assert_lost(d, 10, 1, 10, 10, 0, 0);
	assert_true(totals_of(d).rows == 1 && totals_of(d).records == 5 && totals_of(d).bytes == 6000);
	assert_true(totals_of(d).oldest_ms == 1010 && totals_of(d).corrupt_rows == 0);
	assert_int_equal(safe_of(d, 1), 15);
	assert_sound(d);
}

static void a_row_set_aside_names_its_ranges_and_keeps_its_bytes(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_named(d, 1, "/log/a");
	(void)add_row(d, 1, 0, 10, 5000);
	(void)add_row(d, 1, 10, 15, 6000);
	commit(d);
	sql(d, "UPDATE rows SET body = zeroblob(20) WHERE id = 2");
	txn(d);
	assert_int_equal(spool_row_set_aside(d->s, 1, NULL), 0);
	assert_int_equal(spool_row_set_aside(d->s, 2, NULL), 0);
	commit(d);
	assert_losses(d, 0, "1 damaged logs/-1 1:/log/a[0-10] 10 10 1;2 damaged logs/-1 0:[0-0] 5 6000 2;");
	assert_lost(d, 15, 2, 15, 6010, 0, 0);
	assert_int_equal(d->s->now[TOTAL_ASIDE_BYTES], 11000);
	assert_sound(d);
}

static void an_unresolved_batch_is_dropped_with_its_slot(void **state)
{
	struct spool_dir *d = *state;
	int64_t in_file, in_row, row;

	txn(d);
	put_named(d, 1, "/log/a");
	in_file = plan(d, 1, 10, 20);
	row = add_row(d, 1, 0, 10, 5000);
	in_row = plan_row(d, row, 10);
	commit(d);
	txn(d);
	assert_int_equal(spool_ledger_drop(d->s, 99, SPOOL_LOSS_GONE, NULL), ERR_NOT_FOUND);
	assert_int_equal(spool_ledger_drop(d->s, in_file, SPOOL_LOSS_GONE, NULL), 0);
	assert_int_equal(spool_ledger_drop(d->s, in_row, SPOOL_LOSS_GONE, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_ledger(d, "");
	assert_losses(d, 0, "1 gone logs/2 1:/log/a[10-20] 10 10 0;2 gone logs/2 1:/log/a[0-10] 10 10 0;");
	assert_lost(d, 20, 2, 20, 20, 0, 0);
	assert_true(totals_of(d).rows == 0 && totals_of(d).bytes == 0);
	assert_int_equal(safe_of(d, 1), 20);
	assert_sound(d);
}

/* A batch of ten records of file 1 and five of file 2, of which only the latter are left: they are a row. */
static int64_t left_of_a_batch(struct spool_dir *d, int64_t *ret_row)
{
	struct spool_range r[2] = { range_of(1, 0, 10), range_of(2, 0, 5) };
	struct spool_ledger l = ledger_of(r, 2, 15);
	struct spool_piece p = { "left", 4 };
	struct spool_row row = { .topic = "logs", .partition = 2, .count = 5, .spooled_ms = 1, .crc = crc32c(0, "left", 4),
				 .rest = true, .ranges = &r[1], .range_count = 1 };

	txn(d);
	put_named(d, 1, "/log/a");
	put_named(d, 2, "/log/b");
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	commit(d);
	row.ledger_id = l.id;
	txn_full(d);
	row.count = 15;
	assert_int_equal(spool_add(d->s, &row, &p, 1, NULL), ERR_INTERNAL);	/* that would be all of it */
	row.count = 5;
	row.rest = false;
	assert_int_equal(spool_add(d->s, &row, &p, 1, NULL), ERR_INTERNAL);
	row.rest = true;
	assert_int_equal(spool_add(d->s, &row, &p, 1, NULL), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(safe_of(d, 1), 10);
	assert_int_equal(safe_of(d, 2), 5);
	assert_true(totals_of(d).records == 5 && totals_of(d).dropped == 0);
	assert_sound(d);
	*ret_row = row.id;
	return l.id;
}

static int see_left(void *arg, const struct spool_ledger *l)
{
	assert_true(l->count == 15 && l->left == 5 && l->row_id == *(int64_t *)arg && l->range_count == 2);
	return 0;
}

static void what_is_left_of_a_batch_goes_with_it_when_that_is_acked(void **state)
{
	struct spool_dir *d = *state;
	int64_t row, id = left_of_a_batch(d, &row);

	assert_int_equal(spool_ledger_each(d->s, see_left, &row, NULL), 0);
	txn(d);
	assert_int_equal(spool_acked(d->s, id, NULL), 0);
	commit(d);
	assert_true(totals_of(d).acked == 15 && totals_of(d).records == 0 && totals_of(d).rows == 0);
	assert_lost(d, 0, 0, 0, 0, 0, 0);
	assert_ledger(d, "");
	assert_sound(d);
}

static void what_is_left_of_a_batch_goes_on_without_it_and_the_rest_is_lost(void **state)
{
	struct spool_dir *d = *state;
	int64_t row, id = left_of_a_batch(d, &row);

	txn(d);
	assert_int_equal(spool_unplan(d->s, id, NULL), 0);
	spool_rollback(d->s);
	assert_int_equal(spool_ledger_each(d->s, see_left, &row, NULL), 0);
	txn(d);
	assert_int_equal(spool_unplan(d->s, id, NULL), 0);
	id = plan_row(d, row, 5);
	commit(d);
	spool_dir_kill(d);
	assert_losses(d, 0, "1 gone logs/2 1:/log/a[0-10] 10 10 0;");
	assert_lost(d, 10, 1, 10, 10, 0, 0);
	txn(d);
	assert_int_equal(spool_acked(d->s, id, NULL), 0);
	commit(d);
	assert_true(totals_of(d).acked == 5 && totals_of(d).records == 0);
	assert_sound(d);
}

static void what_is_left_of_a_batch_and_is_damaged_takes_the_rest_with_it(void **state)
{
	struct spool_dir *d = *state;
	int64_t row;

	(void)left_of_a_batch(d, &row);
	txn(d);
	assert_int_equal(mend(d, row, 15), ERR_INTERNAL);	/* the row has five */
	assert_int_equal(spool_row_set_aside(d->s, row, NULL), 0);
	commit(d);
	assert_losses(d, 0, "1 damaged logs/2 2:/log/b[0-5] 5 5 1;2 gone logs/2 1:/log/a[0-10] 10 10 0;");
	assert_lost(d, 15, 2, 15, 15, 0, 0);
	assert_ledger(d, "");
	assert_sound(d);
}

/* Which of its files the row had is not known any more. */
static void the_same_where_the_head_of_the_row_is_damaged(void **state)
{
	struct spool_dir *d = *state;
	int64_t row;

	(void)left_of_a_batch(d, &row);
	sql(d, "UPDATE rows SET body = zeroblob(20)");
	txn(d);
	assert_int_equal(spool_row_set_aside(d->s, row, NULL), 0);
	commit(d);
	assert_losses(d, 0, "1 damaged logs/2 0:[0-0] 5 4 1;2 gone logs/2 0:[0-0] 10 0 0;");
	assert_lost(d, 15, 2, 15, 4, 0, 0);
	assert_sound(d);
}

static void what_is_left_of_a_batch_is_given_up_as_a_whole(void **state)
{
	struct spool_dir *d = *state;
	int64_t row, id = left_of_a_batch(d, &row);

	txn(d);
	assert_int_equal(spool_ledger_drop(d->s, id, SPOOL_LOSS_GONE, NULL), 0);
	commit(d);
	assert_losses(d, 0, "1 gone logs/2 1:/log/a[0-10] 10 10 0;2 gone logs/2 2:/log/b[0-5] 5 5 0;");
	assert_lost(d, 15, 1, 15, 15, 0, 0);
	assert_true(totals_of(d).records == 0 && totals_of(d).rows == 0);
	assert_sound(d);
}

/* Goal: what is uncertain is entered and sent again under a new identity, in one transaction, and is no loss. */
static void an_uncertain_batch_stays_and_gets_a_new_identity(void **state)
{
	struct spool_dir *d = *state;
	int64_t id;

	txn(d);
	put_named(d, 1, "/log/a");
	id = plan(d, 1, 0, 10);
	commit(d);
	txn_full(d);
	assert_int_equal(spool_uncertain(d->s, 99, NULL), ERR_NOT_FOUND);
	assert_int_equal(spool_uncertain(d->s, id, NULL), 0);
	assert_int_equal(spool_unplan(d->s, id, NULL), 0);
	assert_int_equal(plan(d, 1, 0, 10), 2);
	commit(d);
	spool_dir_kill(d);
	assert_ledger(d, "2");
	assert_skips(d, 1, "0-10");
	assert_losses(d, 0, "1 uncertain logs/2 1:/log/a[0-10] 10 10 0;");
	assert_lost(d, 0, 0, 0, 0, 1, 10);
	txn(d);
	(void)add_row(d, 1, 10, 15, 100);
	assert_int_equal(spool_uncertain(d->s, plan_row(d, 1, 5), NULL), 0);
	commit(d);
	assert_losses(d, 1, "2 uncertain logs/2 1:/log/a[10-15] 5 5 0;");
	assert_lost(d, 0, 0, 0, 0, 2, 15);
	assert_sound(d);
}

static void bytes_without_a_batch_are_entered_as_they_are(void **state)
{
	struct spool_dir *d = *state;
	struct spool_loss l = { .ms = 77, .reason = SPOOL_LOSS_SKIPPED, .topic = "", .partition = -1, .file_id = 9,
				.path = "/gone/long ago", .from = 5, .to = 1005, .bytes = 1000 };

	txn(d);
	assert_int_equal(spool_loss_add(d->s, &l, NULL), 0);
	l = (struct spool_loss){ .reason = SPOOL_LOSS_STATE, .topic = "logs", .path = "", .records = 7, .bytes = 300, .row_id = 4 };
	assert_int_equal(spool_loss_add(d->s, &l, NULL), 0);
	l = (struct spool_loss){ .reason = SPOOL_LOSS_UNCERTAIN, .topic = "logs", .records = 3, .bytes = 9 };
	assert_int_equal(spool_loss_add(d->s, &l, NULL), 0);
	commit(d);
	assert_losses(d, 0, "1 skipped /-1 9:/gone/long ago[5-1005] 0 1000 0;2 state logs/0 0:[0-0] 7 300 4;"
		      "3 uncertain logs/0 0:[0-0] 3 9 0;");
	assert_lost(d, 7, 2, 7, 1300, 1, 3);
}

/* Goal: a line of any size is one entry, however often it is told of, with others' entries between. */
static void the_rest_of_a_long_line_joins_its_entry(void **state)
{
	struct spool_dir *d = *state;
	struct spool_loss l = { .ms = 77, .reason = SPOOL_LOSS_LONG_LINE, .topic = "logs", .file_id = 9, .path = "/a", .from = 5,
				.to = 105, .records = 1, .bytes = 100 };
	struct spool_loss other = l;

	txn(d);
	assert_int_equal(spool_loss_add(d->s, &l, NULL), 0);
	other.file_id = 8;
	assert_int_equal(spool_loss_add(d->s, &other, NULL), 0);
	commit(d);
	for (int i = 0; i < 3; i++) {
		l.from = l.to;
		l.to += 100;
		l.records = 0;
		txn(d);
		assert_int_equal(spool_loss_add(d->s, &l, NULL), 0);
		commit(d);
	}
	l.from = l.to;
	l.to += 50;
	l.bytes = 50;
	l.records = 1;			/* another line */
	txn(d);
	assert_int_equal(spool_loss_add(d->s, &l, NULL), 0);
	commit(d);
	assert_losses(d, 0, "1 long_line logs/0 9:/a[5-405] 1 400 0;2 long_line logs/0 8:/a[5-105] 1 100 0;"
		      "3 long_line logs/0 9:/a[405-455] 1 50 0;");
	assert_lost(d, 3, 3, 3, 550, 0, 0);
	assert_sound(d);
}

static void a_rollback_takes_entries_and_counters_back(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r = range_of(1, 30, 40);
	int64_t id, row;

	txn(d);
	put_named(d, 1, "/log/a");
	row = add_row(d, 1, 0, 10, 5000);
	id = plan(d, 1, 10, 20);
	commit(d);
	for (int kill = 0; kill < 2; kill++) {
		txn(d);
		assert_int_equal(spool_drop(d->s, "logs", 0, &r, 1, 10, SPOOL_LOSS_NEWEST, NULL), 0);
		assert_int_equal(spool_row_drop(d->s, row, SPOOL_LOSS_OLDEST, NULL), 0);
		assert_int_equal(spool_uncertain(d->s, id, NULL), 0);
		assert_int_equal(spool_ledger_drop(d->s, id, SPOOL_LOSS_GONE, NULL), 0);
		if (kill)
			spool_dir_kill(d);
		else
			spool_rollback(d->s);
		assert_losses(d, 0, "");
		assert_lost(d, 0, 0, 0, 0, 0, 0);
		assert_ledger(d, "1");
		assert_true(totals_of(d).rows == 1 && totals_of(d).records == 10);
		assert_skips(d, 1, "10-20");
		assert_sound(d);
	}
}

/* --- mending --- */

static int see_mended(void *arg, const struct spool_row *r, const void *data, int rc)
{
	assert_int_equal(rc, 0);
	assert_int_equal(r->size, 7);
	assert_memory_equal(data, "mended!", 7);
	assert_true(r->count == 10 && r->codec == 1 && r->raw_bytes == 70 && r->raw_crc == 71 && r->spooled_ms == 1000);
	assert_true(r->range_count == 1 && r->ranges[0].from == 0 && r->ranges[0].to == 10);
	assert_true(r->ranges[0].marker == marker_at(1, 10));
	*(int64_t *)arg = r->ledger_id;
	return 0;
}

static void a_damaged_row_is_mended_in_its_place(void **state)
{
	struct spool_dir *d = *state;
	int64_t row, ledger = -1;

	txn(d);
	put_named(d, 1, "/log/a");
	row = add_row(d, 1, 0, 10, 50000);
	(void)add_row(d, 1, 10, 20, 600);
	(void)plan_row(d, row, 10);
	commit(d);
	sql(d, "UPDATE data SET bytes = zeroblob(50000) WHERE id = 1");
	txn(d);
	assert_int_equal(mend(d, row, 9), ERR_INTERNAL);	/* its identity says 10 */
	assert_int_equal(mend(d, 99, 10), ERR_NOT_FOUND);
	assert_int_equal(mend(d, row, 10), 0);
	spool_rollback(d->s);
	assert_int_equal(totals_of(d).bytes, 50600);
	txn(d);
	assert_int_equal(mend(d, row, 10), 0);
	commit(d);
	spool_dir_kill(d);
	assert_int_equal(spool_row_read(d->s, row, see_mended, &ledger, NULL), 0);
	assert_int_equal(ledger, 1);
	assert_true(totals_of(d).rows == 2 && totals_of(d).records == 20 && totals_of(d).bytes == 607);
	assert_sound(d);
	assert_losses(d, 0, "");
}

static void a_row_without_bytes_or_without_a_head(void **state)
{
	struct spool_dir *d = *state;
	int64_t ledger = -1;

	txn(d);
	(void)add_row(d, 1, 0, 10, 500);
	(void)add_row(d, 1, 10, 20, 600);
	commit(d);
	sql(d, "DELETE FROM data WHERE id = 1");
	sql(d, "UPDATE rows SET body = substr(body, 1, 9) WHERE id = 2");
	txn(d);
	assert_int_equal(mend(d, 1, 10), 0);
	assert_int_equal(mend(d, 2, 10), ERR_CORRUPT);	/* its ranges are not known: it can only be set aside */
	commit(d);
	assert_int_equal(spool_row_read(d->s, 1, see_mended, &ledger, NULL), 0);
	assert_true(ledger == 0 && totals_of(d).bytes == 607);
}

/* --- version 2 --- */

/* A rows.body as version 2 left it in losses, for one range of 10 records. */
static size_t old_body(uint8_t *p, int64_t file)
{
	struct spool_range r = range_of(file, 100, 110);
	uint8_t *start = p;

	p = varint_put_signed(p, 5);
	p = varint_put_signed(p, 1);
	*p++ = 3;
	p = varint_put(p, 12);
	p = fixed32_put(p, 11);
	p = fixed32_put(p, 10);
	p = ranges_put(p, &r, 1);
	return (size_t)(fixed32_put(p, 9) - start);
}

static void add_old_loss(sqlite3 *db, int64_t id, const void *body, size_t n)
{
	sqlite3_stmt *q;

	assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO losses VALUES (?, 77, 'damaged row', 'logs', 4, 10, 5000, 20 + ?1, ?)",
					    -1, &q, NULL), SQLITE_OK);
	sqlite3_bind_int64(q, 1, id);
	sqlite3_bind_blob(q, 2, body, (int)n, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(q), SQLITE_DONE);
	sqlite3_finalize(q);
}

static void build_version_2(struct spool_dir *d)
{
	char path[160], text[64];
	uint8_t body[200];
	sqlite3 *db;

	assert_int_equal(mkdir(d->dir, 0700), 0);
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA page_size = 16384; PRAGMA auto_vacuum = 2", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_migrations[0], NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_migrations[1], NULL, NULL, NULL), SQLITE_OK);
	snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = 2", SCHEMA_APPLICATION_ID);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "INSERT INTO files (id, path, origin) VALUES (1, '/log/a', '/log/a');"
				      "INSERT INTO positions VALUES (1, 500, 9, NULL);"
				      "UPDATE totals SET next_loss = 5, next_file = 3, loss_events = 4, loss_records = 40,"
				      " dropped = 40",
				      NULL, NULL, NULL), SQLITE_OK);
	add_old_loss(db, 1, body, old_body(body, 1));
	add_old_loss(db, 2, body, old_body(body, 2));	/* a file that is forgotten */
	add_old_loss(db, 3, "\xff\xff", 2);
	add_old_loss(db, 4, NULL, 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void losses_of_version_2_get_their_files_and_ranges(void **state)
{
	struct spool_dir *d = *state;
	struct spool_range r = range_of(1, 500, 510);
	const char *expect = "1 damaged logs/4 1:/log/a[100-110] 10 10 21;2 damaged logs/4 2:[100-110] 10 10 22;"
		"3 damaged logs/4 0:[0-0] 10 5000 23;4 damaged logs/4 0:[0-0] 10 5000 24;";

	build_version_2(d);
	for (int life = 0; life < 2; life++) {
		spool_dir_start(d);
		assert_losses(d, 0, expect);
		assert_int_equal(safe_of(d, 1), 500);
		assert_int_equal(totals_of(d).loss_events, 4);
		assert_sound(d);
		spool_close(d->s);
		d->s = NULL;
	}
	spool_dir_start(d);
	txn(d);
	assert_int_equal(spool_drop(d->s, "logs", 4, &r, 1, 10, SPOOL_LOSS_NEWEST, NULL), 0);
	commit(d);
	assert_losses(d, 4, "5 drop_newest logs/4 1:/log/a[500-510] 10 10 0;");
}

static int setup_closed(void **state)
{
	struct spool_dir *d = calloc(1, sizeof *d);

	assert_non_null(d);
	spool_dir_make(d);
	*state = d;
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
#define V(f) cmocka_unit_test_setup_teardown(f, setup_closed, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(a_batch_without_room_is_dropped_range_by_range),
	T(an_entry_keeps_the_path_of_its_time),
	T(a_waiting_row_is_dropped_with_its_bytes),
	T(a_row_set_aside_names_its_ranges_and_keeps_its_bytes),
	T(an_unresolved_batch_is_dropped_with_its_slot),
	T(what_is_left_of_a_batch_goes_with_it_when_that_is_acked),
	T(what_is_left_of_a_batch_goes_on_without_it_and_the_rest_is_lost),
	T(what_is_left_of_a_batch_and_is_damaged_takes_the_rest_with_it),
	T(the_same_where_the_head_of_the_row_is_damaged),
	T(what_is_left_of_a_batch_is_given_up_as_a_whole),
	T(an_uncertain_batch_stays_and_gets_a_new_identity),
	T(bytes_without_a_batch_are_entered_as_they_are),
	T(the_rest_of_a_long_line_joins_its_entry),
	T(a_rollback_takes_entries_and_counters_back),
	T(a_damaged_row_is_mended_in_its_place),
	T(a_row_without_bytes_or_without_a_head),
	V(losses_of_version_2_get_their_files_and_ranges),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_page.c - lists a page at a time: what they look like, where the next page goes on, what damage does to them; and what a
 * purge takes. */
#include "tests/lib/spool_dir.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/page.h"
#include "agent/purge.h"
#include "producer/codec.h"
#include "spool/inside.h"

struct pages { struct page page; struct buf out, notes; };

static void pages_init(struct pages *p, enum page_form form)
{
	*p = (struct pages){ .page = { .form = form } };
	buf_init(&p->out, 64u << 20);
	buf_init(&p->notes, 1 << 16);
	p->page.out = &p->out;
	p->page.notes = &p->notes;
}

static void pages_release(struct pages *p)
{
	buf_release(&p->out);
	buf_release(&p->notes);
}

static void next(struct spool_dir *d, struct pages *p, enum page_kind kind)
{
	struct err e = { 0 };

	buf_clear(&p->out);
	buf_clear(&p->notes);
	assert_int_equal(page_write(d->s, kind, &p->page, &e), 0);
}

static const char *text(const struct buf *b)
{
	return b->len ? b->data : "";
}

static void assert_page(struct spool_dir *d, enum page_kind kind, enum page_form form, const char *expect)
{
	struct pages p;

	pages_init(&p, form);
	next(d, &p, kind);
	assert_string_equal(text(&p.out), expect);
	assert_string_equal(text(&p.notes), "");
	assert_false(p.page.more);
	pages_release(&p);
}

/* --- rows with records in them --- */

static void put_varint(struct buf *b, int64_t v)
{
	uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);

	for (; z >= 128; z >>= 7)
		buf_put(b, &(char){ (char)(z | 128) }, 1);
	buf_put(b, &(char){ (char)z }, 1);
}

static void put_blob(struct buf *b, const char *p, size_t n)
{
	put_varint(b, p ? (int64_t)n : -1);
	if (p)
		buf_put(b, p, n);
}

static void put_record(struct buf *b, int i, const char *key, const char *value, size_t n, const char *header)
{
	struct buf r;

	buf_init(&r, 1 << 16);
	buf_put(&r, "", 1);
	put_varint(&r, i);			/* timestamp: base + i */
	put_varint(&r, i);
	put_blob(&r, key, key ? strlen(key) : 0);
	put_blob(&r, value, n);
	put_varint(&r, header ? 1 : 0);
	if (header) {
		put_blob(&r, "h", 1);
		put_blob(&r, header, strlen(header));
	}
	put_varint(b, (int64_t)r.len);
	buf_put(b, r.data, r.len);
	buf_release(&r);
}

static int64_t add_bytes(struct spool_dir *d, const struct buf *b, int32_t partition, int32_t count, enum codec codec,
			 int64_t from)
{
	struct spool_range range = range_of(1, from, from + count);
	struct spool_row r = { .topic = "logs", .partition = partition, .count = count, .codec = (uint8_t)codec,
			       .raw_bytes = (uint32_t)b->len, .base_timestamp = 1700000000000, .max_timestamp = 1700000000000,
			       .spooled_ms = clock_wall_ms(), .crc = crc32c(0, b->data, b->len), .ranges = &range,
			       .range_count = 1 };
	struct spool_piece piece = { b->data, b->len };

	assert_int_equal(spool_add(d->s, &r, &piece, 1, NULL), 0);
	return r.id;
}

/* Records "N" and so on. */
static int64_t add_numbers(struct spool_dir *d, int from, int count)
{
	struct buf b;
	char value[24];
	int64_t id;

	buf_init(&b, 64u << 20);
	for (int i = 0; i < count; i++) {
		snprintf(value, sizeof value, "%d", from + i);
		put_record(&b, i, NULL, value, strlen(value), NULL);
	}
	id = add_bytes(d, &b, 0, count, CODEC_NONE, from);
	buf_release(&b);
	return id;
}

/* Reads numbers on from a page of records and compares them with `*at`, `*at` + 1, ... */
static void assert_numbers(const struct buf *out, int *at, const int *end)
{
	for (const char *p = text(out); (p = strstr(p, "\"value\":\"")); (*at)++) {
		p += strlen("\"value\":\"");
		assert_int_equal(strtol(p, NULL, 10), *at);
		assert_true(*at < *end);
	}
}

/* --- ls and export --- */

static void rows_follow_their_lanes(void **state)
{
	struct spool_dir *d = *state;
	struct buf b;

	buf_init(&b, 1 << 16);
	put_record(&b, 0, "k", "v", 1, NULL);
	txn(d);
	put_file(d, 1, 0);
	(void)add_bytes(d, &b, 2, 1, CODEC_NONE, 0);
	(void)plan_row(d, add_bytes(d, &b, -1, 1, CODEC_LZ4, 1), 1);
	commit(d);
	assert_page(d, PAGE_ROWS, PAGE_TEXT,
		    "      ROWS  IN_FLIGHT    RECORDS          BYTES    AGE_S  LANE\n"
		    "         1          0          1              9        0  logs/2\n"
		    "         1          1          1              9        0  logs/-\n"
		    "\n"
		    "       ROW CODEC     RECORDS        BYTES    AGE_S IN_FLIGHT  LANE\n"
		    "         1 none            1            9        0 no         logs/2\n"
		    "         2 lz4             1            9        0 yes        logs/-\n");
	assert_page(d, PAGE_ROWS, PAGE_JSON,
		    "{\"row\":1,\"topic\":\"logs\",\"partition\":2,\"records\":1,\"bytes\":9,\"codec\":\"none\",\"age_s\":0,"
		    "\"in_flight\":false},"
		    "{\"row\":2,\"topic\":\"logs\",\"partition\":null,\"records\":1,\"bytes\":9,\"codec\":\"lz4\",\"age_s\":0,"
		    "\"in_flight\":true}");
	buf_release(&b);
}

static void records_are_exported_with_all_they_have(void **state)
{
	struct spool_dir *d = *state;
	struct buf b;

	buf_init(&b, 1 << 16);
	put_record(&b, 0, "key", "a \"line\"", 8, "x");
	put_record(&b, 1, NULL, "\xff\x00", 2, NULL);
	put_record(&b, 2, "", NULL, 0, NULL);
	txn(d);
	put_file(d, 1, 0);
	(void)add_bytes(d, &b, -1, 3, CODEC_NONE, 0);
	commit(d);
	assert_page(d, PAGE_RECORDS, PAGE_LINES,
		    "{\"topic\":\"logs\",\"partition\":null,\"key\":\"key\",\"value\":\"a \\\"line\\\"\","
		    "\"headers\":[{\"name\":\"h\",\"value\":\"x\"}],\"timestamp\":1700000000000,\"row\":1}\n"
		    "{\"topic\":\"logs\",\"partition\":null,\"key\":null,\"value_base64\":\"/wA=\",\"headers\":[],"
		    "\"timestamp\":1700000000001,\"row\":1}\n"
		    "{\"topic\":\"logs\",\"partition\":null,\"key\":\"\",\"value\":null,\"headers\":[],"
		    "\"timestamp\":1700000000002,\"row\":1}\n");
	buf_release(&b);
}

#define MANY 30000		/* records: several pages of JSON */

static void a_row_larger_than_a_page_goes_on_where_the_page_ended(void **state)
{
	struct spool_dir *d = *state;
	int at = 0, pages = 0, end = 2 * MANY;
	struct pages p;

	txn(d);
	put_file(d, 1, 0);
	(void)add_numbers(d, 0, MANY);
	(void)add_numbers(d, MANY, MANY);
	commit(d);
	pages_init(&p, PAGE_LINES);
	do {
		next(d, &p, PAGE_RECORDS);
		assert_numbers(&p.out, &at, &end);
		assert_true(p.out.len < PAGE_BYTES + 1000);
	} while (p.page.more && ++pages < 100);
	assert_int_equal(at, end);
	assert_true(pages > 6);
	pages_release(&p);
}

/* Its other records are in Kafka by then, those of the next row are not. */
static void a_row_that_goes_between_two_pages_hides_nothing_of_the_next_one(void **state)
{
	struct spool_dir *d = *state;
	int at = 0, end = 2 * MANY;
	struct pages p;
	int64_t id;

	txn(d);
	put_file(d, 1, 0);
	id = add_numbers(d, 0, MANY);
	(void)add_numbers(d, MANY, MANY);
	commit(d);
	pages_init(&p, PAGE_LINES);
	next(d, &p, PAGE_RECORDS);
	assert_numbers(&p.out, &at, &end);
	assert_true(at < MANY && p.page.within == (uint32_t)at);
	txn(d);
	assert_int_equal(spool_row_drop(d->s, id, SPOOL_LOSS_PURGED, NULL), 0);
	commit(d);
	at = MANY;
	for (p.page.more = true; p.page.more;) {
		next(d, &p, PAGE_RECORDS);
		assert_numbers(&p.out, &at, &end);
	}
	assert_int_equal(at, end);
	pages_release(&p);
}

static void sql(struct spool_dir *d, const char *words)
{
	assert_int_equal(sqlite3_exec(d->s->db.sql, words, NULL, NULL, NULL), SQLITE_OK);
}

static void damaged_rows_are_notes_and_all_others_are_exported(void **state)
{
	struct spool_dir *d = *state;
	int at = 30, end = 40;
	struct pages p;
	struct buf b;

	buf_init(&b, 1 << 16);
	put_record(&b, 0, NULL, "whole", 5, NULL);
	txn(d);
	put_file(d, 1, 0);
	(void)add_numbers(d, 0, 10);
	(void)add_bytes(d, &b, 0, 1, CODEC_ZSTD, 10);	/* is none */
	(void)add_bytes(d, &b, 0, 2, CODEC_NONE, 20);	/* has one */
	(void)add_numbers(d, 30, 10);
	commit(d);
	sql(d, "UPDATE data SET bytes = substr(bytes, 1, 20) || 'x' || substr(bytes, 22) WHERE id = 1");
	pages_init(&p, PAGE_LINES);
	next(d, &p, PAGE_RECORDS);
	assert_numbers(&p.out, &at, &end);
	assert_int_equal(at, end);
	assert_int_equal(p.page.count, 10);
	assert_string_equal(text(&p.notes),
			    "row 1 of logs/0 is damaged, its 10 records are not exported: its bytes do not fit their CRC\n"
			    "row 2 of logs/0 is damaged, its 1 records are not exported: it cannot be decompressed\n"
			    "row 3 of logs/0 is damaged, its 2 records are not exported: its records cannot be taken apart\n");
	pages_release(&p);
	buf_release(&b);
}

/* --- losses --- */

static void losses_have_a_row_a_file_and_range(void **state)
{
	struct spool_dir *d = *state;
	struct spool_loss of_file = { .ms = 1700000000123, .reason = SPOOL_LOSS_SKIPPED, .topic = "", .partition = -1,
				      .file_id = 1, .path = "/var/log/a\tb.log", .from = 10, .to = 30, .records = 2, .bytes = 20 };
	struct spool_loss of_row = { .ms = 1700000000123, .reason = SPOOL_LOSS_UNCERTAIN, .topic = "logs", .partition = 3,
				     .path = "", .records = 7, .bytes = 700 };

	txn(d);
	assert_int_equal(spool_loss_add(d->s, &of_file, NULL), 0);
	assert_int_equal(spool_loss_add(d->s, &of_row, NULL), 0);
	commit(d);
	assert_page(d, PAGE_LOSSES, PAGE_JSON,
		    "{\"time\":\"2023-11-14T22:13:20.123Z\",\"reason\":\"skipped\",\"path\":\"/var/log/a\\tb.log\","
		    "\"start\":10,\"end\":30,\"records\":2,\"bytes\":20,\"topic\":null,\"partition\":null},"
		    "{\"time\":\"2023-11-14T22:13:20.123Z\",\"reason\":\"uncertain\",\"path\":null,\"start\":0,\"end\":0,"
		    "\"records\":7,\"bytes\":700,\"topic\":\"logs\",\"partition\":3}");
	assert_page(d, PAGE_LOSSES, PAGE_TEXT,
		    "TIME                      REASON          RECORDS          BYTES          START            END  PATH\n"
		    "2023-11-14T22:13:20.123Z  skipped               2             20             10             30"
		    "  /var/log/a?b.log\n"
		    "2023-11-14T22:13:20.123Z  uncertain             7            700              0              0  -\n");
}

static void many_losses_are_listed_page_by_page(void **state)
{
	struct spool_dir *d = *state;
	struct spool_loss l = { .ms = 1, .reason = SPOOL_LOSS_OLDEST, .topic = "logs", .path = "/a", .records = 1 };
	uint64_t records = 0;
	struct pages p;
	int pages = 0;

	txn(d);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(spool_loss_add(d->s, &l, NULL), 0);
	commit(d);
	pages_init(&p, PAGE_JSON);
	do {
		next(d, &p, PAGE_LOSSES);
		assert_int_equal(p.out.data[0], '{');
		records += p.page.records;
		assert_int_equal(p.page.after, (int64_t)records);
	} while (++pages < 100 && p.page.more);
	assert_int_equal(records, 10000);
	assert_true(pages > 1);
	pages_release(&p);
}

/* --- verify --- */

/* All pages; the elements stand one behind the other. */
static void assert_findings(struct spool_dir *d, uint64_t count, const char *words)
{
	uint64_t seen = 0;
	struct pages p;
	bool said = false;

	pages_init(&p, PAGE_TEXT);
	for (p.page.more = true; p.page.more;) {
		next(d, &p, PAGE_FINDINGS);
		seen += p.page.count;
		said |= strstr(text(&p.out), words) != NULL;
	}
	assert_int_equal(seen, count);
	assert_true(said);
	pages_release(&p);
}

static void each_row_and_rejected_record_is_read_in_slices(void **state)
{
	struct spool_dir *d = *state;
	struct spool_rejected bad = { .ms = 1, .topic = "logs", .bytes = "abc", .size = 3 };

	txn(d);
	put_file(d, 1, 0);
	for (int i = 0; i < 2500; i++)
		(void)add_row(d, 1, i, i + 1, 50);
	for (int i = 0; i < 1500; i++)
		assert_int_equal(spool_reject(d->s, &bad, NULL), 0);
	commit(d);
	assert_findings(d, 0, "");
	sql(d, "UPDATE data SET bytes = zeroblob(50) WHERE id IN (1, 2400)");
	assert_findings(d, 2, "row 2400: its bytes do not fit");
	sql(d, "UPDATE rejected SET bytes = 'abd' WHERE id = 1400");
	assert_findings(d, 3, "rejected record 1400: its bytes");
}

/* --- purge --- */

static void purging_takes_what_was_asked_about_and_has_no_identity(void **state)
{
	struct spool_dir *d = *state;
	struct purge p = { .upto = 600 };
	struct err e = { 0 };
	struct spool_totals t;

	txn(d);
	put_file(d, 1, 0);
	for (int i = 0; i < 700; i++)
		(void)add_row(d, 1, 10 * i, 10 * i + 10, 50);
	(void)plan_row(d, 5, 10);
	commit(d);
	assert_int_equal(purge_rows(d->s, NULL, &p, &e), 0);
	assert_true(p.more);
	assert_int_equal(p.things, 256);
	assert_int_equal(p.records, 2560);
	assert_int_equal(p.kept, 1);
	assert_int_equal(p.after, 257);
	assert_int_equal(totals_of(d).rows, 700 - 256);
	while (p.more)
		assert_int_equal(purge_rows(d->s, NULL, &p, &e), 0);
	t = totals_of(d);
	assert_int_equal(t.rows, 101);			/* 5, and those behind 600 */
	assert_int_equal(t.dropped, 5990);
	assert_int_equal(t.loss_records, 5990);
	assert_int_equal(t.loss_events, 599);
	spool_dir_kill(d);
	assert_int_equal(totals_of(d).rows, 101);
}

static void rejected_records_are_purged_in_slices_and_stay_counted(void **state)
{
	struct spool_dir *d = *state;
	struct spool_rejected bad = { .ms = 1, .topic = "logs", .bytes = "abc", .size = 3 };
	struct purge p = { .upto = 5000 };
	struct err e = { 0 };

	txn(d);
	for (int i = 0; i < 5010; i++)
		assert_int_equal(spool_reject(d->s, &bad, NULL), 0);
	commit(d);
	assert_int_equal(purge_rejected(d->s, &p, &e), 0);
	assert_true(p.more);
	assert_int_equal(p.things, 4096);
	assert_int_equal(purge_rejected(d->s, &p, &e), 0);
	assert_false(p.more);
	assert_int_equal(p.things, 5000 - 4096);
	assert_int_equal(totals_of(d).rejected, 5010);
	assert_true(totals_of(d).rejected_bytes > 0);
}

#define page_test(name) cmocka_unit_test_setup_teardown(name, spool_dir_setup, spool_dir_teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		page_test(rows_follow_their_lanes),
		page_test(records_are_exported_with_all_they_have),
		page_test(a_row_larger_than_a_page_goes_on_where_the_page_ended),
		page_test(a_row_that_goes_between_two_pages_hides_nothing_of_the_next_one),
		page_test(damaged_rows_are_notes_and_all_others_are_exported),
		page_test(losses_have_a_row_a_file_and_range),
		page_test(many_losses_are_listed_page_by_page),
		page_test(each_row_and_rejected_record_is_read_in_slices),
		page_test(purging_takes_what_was_asked_about_and_has_no_identity),
		page_test(rejected_records_are_purged_in_slices_and_stay_counted),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_spool_verify.c - spool_verify finds each kind of damage and says where; a sound spool has none; what it remembers of
 * its home and of partitions; and opening does not read the rows. */
#include "tests/lib/spool_dir.h"

#include "spool/inside.h"

struct findings { int n; int64_t row; char text[4096]; };

static void find(void *arg, int64_t row_id, const char *what)
{
	struct findings *f = arg;
	size_t n = strlen(f->text);

	f->n++;
	f->row = row_id;
	snprintf(f->text + n, sizeof f->text - n, "%s\n", what);
}

static struct findings verify(struct spool_dir *d)
{
	struct findings f = { 0 };
	struct err e = { 0 };
	int rc = spool_verify(d->s, find, &f, &e);

	assert_int_equal(rc, f.n ? ERR_CORRUPT : 0);
	if (f.n)
		assert_non_null(strstr(e.text, "findings"));
	return f;
}

static void sql(struct spool_dir *d, const char *text)
{
	assert_int_equal(sqlite3_exec(d->s->db.sql, text, NULL, NULL, NULL), SQLITE_OK);
}

/* Exactly one finding, with these words, about this row. */
static void assert_finding(struct spool_dir *d, int64_t row, const char *words)
{
	struct findings f = verify(d);

	if (f.n != 1 || !strstr(f.text, words))
		print_error("wanted \"%s\", found %d:\n%s", words, f.n, f.text);
	assert_int_equal(f.n, 1);
	assert_non_null(strstr(f.text, words));
	assert_int_equal(f.row, row);
}

static void assert_sound(struct spool_dir *d)
{
	struct findings f = verify(d);

	if (f.n)
		print_error("%s", f.text);
	assert_int_equal(f.n, 0);
}

/* One of everything: rows 1 to 3 (2 with an identity), batch 1 in flight, something finished above the position. */
static void fill(struct spool_dir *d)
{
	struct spool_rejected bad = { .ms = 1, .topic = "logs", .bytes = "abc", .size = 3 };
	struct spool_range r = range_of(1, 60, 70);

	txn(d);
	put_file(d, 1, 0);
	put_file(d, 2, 0);
	(void)plan(d, 1, 30, 40);
	(void)add_row(d, 1, 0, 10, 40000);
	(void)plan_row(d, add_row(d, 1, 10, 20, 300), 10);
	(void)add_row(d, 1, 40, 50, 70000);
	assert_int_equal(spool_finish(d->s, &r, 1, SPOOL_ACKED, 10, NULL), 0);
	r = range_of(1, 80, 90);
	assert_int_equal(spool_drop(d->s, "logs", 0, &r, 1, 10, SPOOL_LOSS_NEWEST, NULL), 0);
	assert_int_equal(spool_reject(d->s, &bad, NULL), 0);
	commit(d);
}

static void a_sound_spool_has_no_findings(void **state)
{
	struct spool_dir *d = *state;

	assert_sound(d);
	fill(d);
	assert_sound(d);
	spool_dir_kill(d);
	assert_sound(d);
	spool_close(d->s);
	d->conf.read_only = true;
	spool_dir_start(d);
	assert_sound(d);
}

/* Each: what is done to the database, of which row the finding is, its words. */
static const struct { const char *damage; int64_t row; const char *words; } kinds[] = {
	{ "UPDATE data SET bytes = zeroblob(20000) || substr(bytes, 20001) WHERE id = 1", 1, "row 1: its 40000 bytes do not fit" },
	{ "UPDATE data SET bytes = substr(bytes, 2) WHERE id = 1", 1, "row 1: its 40000 bytes do not fit" },
	{ "DELETE FROM data WHERE id = 3", 3, "row 3: its 70000 bytes are missing" },
	{ "UPDATE rows SET body = zeroblob(30) WHERE id = 3", 3, "row 3: what is known of it does not fit" },
	{ "UPDATE rows SET spooled_ms = spooled_ms + 1 WHERE id = 1", 1, "row 1: what is known of it does not fit" },
	{ "UPDATE ledger SET body = substr(body, 1, 20) || x'00' || substr(body, 22) WHERE id = 1", 0, "batch 1: its slot" },
	{ "UPDATE ledger SET row_id = 3 WHERE id = 2", 0, "batch 2: the database has another one" },
	{ "DELETE FROM ledger WHERE id = 1", 0, "unresolved batches: 1 are there, counted as 2" },
	{ "INSERT INTO data VALUES (77, 'x')", 77, "row 77: its bytes are there, the row is not" },
	{ "UPDATE totals SET acked = acked + 1", 0, "the stored totals" },
	{ "UPDATE losses SET records = 11", 0, "the losses name 11 records, counted as 10" },
	{ "UPDATE losses SET id = 9", 0, "table losses: number 9 is taken, but the next one would be 2" },
	{ "UPDATE positions SET safe = 5 WHERE file = 2", 0, "file 2: its position is stored as 5" },
	{ "UPDATE positions SET done = x'ff' WHERE file = 1", 0, "file 1: what is stored of its position makes no sense" },
	{ "UPDATE positions SET markers = x'ff' WHERE file = 2", 0, "file 2: what is stored of its position makes no sense" },
	{ "DELETE FROM files WHERE id = 2", 0, "file 2: it has no name" },
	{ "UPDATE rejected SET bytes = 'abd'", 0, "rejected record 1: its 3 bytes do not fit" },
	{ "UPDATE rejected SET topic = 'longer'", 0, "bytes of rejected records" },
};

static void each_kind_of_damage_is_found_and_named(void **state)
{
	struct spool_dir *d = *state;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		spool_dir_remove(d);
		spool_dir_make(d);
		spool_dir_start(d);
		fill(d);
		sql(d, kinds[i].damage);
		assert_finding(d, kinds[i].row, kinds[i].words);
	}
}

static void counters_that_drifted_are_found(void **state)
{
	struct spool_dir *d = *state;
	struct lane *l;
	struct findings f;

	fill(d);
	l = dict_at(&d->s->lanes, 1);
	l->now.bytes++;
	assert_finding(d, 0, "lane logs/-1: 3 rows with 30 records and 110300 bytes are there, counted as 3, 30 and 110301");
	l->now.bytes--;
	d->s->now[TOTAL_RECORDS]--;
	f = verify(d);
	assert_true(f.n == 2 && strstr(f.text, "totals: 3 rows with 30 records") && strstr(f.text, "the stored totals"));
	d->s->now[TOTAL_RECORDS]++;
	d->s->now[TOTAL_DROPPED]++;
	assert_non_null(strstr(verify(d).text, "11 records are counted as dropped, but 10 as lost"));
	d->s->now[TOTAL_DROPPED]--;
	assert_sound(d);
}

/* Goal: no byte has two owners. Method: positions and ranges that the spool's own functions would never make. */
static void bytes_with_two_owners_are_found(void **state)
{
	struct spool_dir *d = *state;
	struct position *f;

	fill(d);
	txn(d);
	(void)add_row(d, 1, 45, 48, 10);
	commit(d);
	assert_finding(d, 4, "row 4: its bytes 45 to 48 of file 1 belong to another row or batch too");
	txn(d);
	assert_int_equal(spool_row_drop(d->s, 4, SPOOL_LOSS_PURGED, NULL), 0);
	(void)plan(d, 1, 38, 39);
	commit(d);
	assert_finding(d, 0, "unresolved batch 3: its bytes 38 to 39 of file 1 belong to another");
	txn(d);
	assert_int_equal(spool_unplan(d->s, 3, NULL), 0);
	(void)plan(d, 1, 69, 75);
	commit(d);
	assert_finding(d, 0, "unresolved batch 4: its bytes 69 to 75 of file 1 count as finished");
	txn(d);
	assert_int_equal(spool_unplan(d->s, 4, NULL), 0);
	commit(d);
	assert_sound(d);
	f = positions_get(&d->s->positions, 1);
	f->safe = 15;
	assert_non_null(strstr(verify(d).text, "row 2: its bytes 10 to 20 of file 1 are not finished"));
	f->safe = 20;
	assert_sound(d);
}

/* A page inside of a row's chain is overwritten on disk: SQLite finds it, the row is named, the others are looked at. */
static void a_lost_page_is_found_and_the_rest_is_still_looked_at(void **state)
{
	struct spool_dir *d = *state;
	char path[160], junk[4096];
	int64_t size = d->s->db.page;
	struct findings f;
	int fd;

	fill(d);
	sql(d, "UPDATE data SET bytes = zeroblob(length(bytes)) WHERE id = 1");
	spool_close(d->s);
	d->s = NULL;
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	fd = open(path, O_RDWR);
	/* The pages of row 3 are told by what row_fill makes. */
	for (int64_t page = 2;; page++) {
		uint8_t want[70000];

		assert_int_equal(pread(fd, junk, sizeof junk, page * size), sizeof junk);
		row_fill(want, sizeof want);
		if (memmem(want, sizeof want, junk + 4, 64) && !memcmp(junk, "\0\0", 2)) {
			memset(junk, 0xee, sizeof junk);
			assert_int_equal(pwrite(fd, junk, sizeof junk, page * size), sizeof junk);
			break;
		}
	}
	close(fd);
	spool_dir_start(d);
	f = verify(d);
	assert_non_null(strstr(f.text, "SQLite:"));
	assert_non_null(strstr(f.text, "row 3: its 70000 bytes"));
	assert_non_null(strstr(f.text, "row 1: its 40000 bytes"));
}

/* --- home --- */

static void the_home_is_remembered_and_rolled_back(void **state)
{
	struct spool_dir *d = *state;
	struct spool_home h = { .machine_id = "m", .boot_id = "b", .dev = UINT64_MAX, .inode = 7 }, got;

	spool_home(d->s, &got);
	assert_true(!got.machine_id[0] && !got.boot_id[0] && !got.dev && !got.inode);
	txn(d);
	assert_int_equal(spool_home_put(d->s, &h, NULL), 0);
	spool_rollback(d->s);
	spool_home(d->s, &got);
	assert_int_equal(got.inode, 0);
	txn(d);
	memset(h.machine_id, 'm', sizeof h.machine_id - 1);
	assert_int_equal(spool_home_put(d->s, &h, NULL), 0);
	commit(d);
	txn(d);
	h.inode = 8;
	assert_int_equal(spool_home_put(d->s, &h, NULL), 0);
	spool_rollback(d->s);
	h.inode = 7;
	for (int life = 0; life < 2; life++) {
		spool_home(d->s, &got);
		assert_string_equal(got.machine_id, h.machine_id);
		assert_string_equal(got.boot_id, "b");
		assert_true(got.dev == UINT64_MAX && got.inode == 7);
		spool_dir_kill(d);
	}
}

static int write_partitions(void *arg, const char *topic, int32_t count)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 256 - n, "%s %d;", topic, count);
	return 0;
}

static void partition_counts_are_remembered(void **state)
{
	struct spool_dir *d = *state;
	char text[256] = "";

	txn(d);
	assert_int_equal(spool_partitions_put(d->s, "b", 3, NULL), 0);
	assert_int_equal(spool_partitions_put(d->s, "a", 12, NULL), 0);
	assert_int_equal(spool_partitions_put(d->s, "b", 6, NULL), 0);
	commit(d);
	txn(d);
	assert_int_equal(spool_partitions_put(d->s, "c", 1, NULL), 0);
	spool_rollback(d->s);
	spool_dir_kill(d);
	assert_int_equal(spool_partitions_each(d->s, write_partitions, text, NULL), 0);
	assert_string_equal(text, "a 12;b 6;");
}

/* --- starting --- */

/* Pages that opening reads, after a clean stop. */
static int pages_to_open(struct spool_dir *d)
{
	int pages = -1, high;

	spool_dir_reopen(d);
	assert_int_equal(sqlite3_db_status(d->s->db.sql, SQLITE_DBSTATUS_CACHE_MISS, &pages, &high, 0), SQLITE_OK);
	return pages;
}

static void add_rows(struct spool_dir *d, int from, int to)
{
	txn(d);
	for (int i = from; i < to; i++)
		(void)add_row(d, 1, i * 10, i * 10 + 10, 400);
	commit(d);
}

/* Goal: opening a large spool reads the heads of its rows and none of their bytes. Method: SQLite's own count of the pages it
 * reads; 40,000 rows are what 10 GiB hold, and each of their heads takes less than 100 bytes, in the table and its index. */
static void opening_reads_the_heads_of_rows_and_none_of_their_bytes(void **state)
{
	struct spool_dir *d = *state;
	int64_t pages = 0;
	int few, many;

	txn(d);
	put_file(d, 1, 0);
	commit(d);
	add_rows(d, 0, 200);
	few = pages_to_open(d);
	for (int i = 200; i < 40000; i += 3980)
		add_rows(d, i, i + 3980);
	many = pages_to_open(d);
	assert_int_equal(totals_of(d).rows, 40000);
	assert_int_equal(db_count(&d->s->db, STMT_PAGE_COUNT, &pages, NULL), 0);
	if (many > few + 40000 * 100 / d->s->db.page)
		print_error("%d pages are read of 200 rows, %d of 40,000\n", few, many);
	assert_true(few > 0 && many <= few + 40000 * 100 / d->s->db.page && many < pages / 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, spool_dir_setup, spool_dir_teardown)
static const struct CMUnitTest tests[] = {
	T(a_sound_spool_has_no_findings),
	T(each_kind_of_damage_is_found_and_named),
	T(counters_that_drifted_are_found),
	T(bytes_with_two_owners_are_found),
	T(a_lost_page_is_found_and_the_rest_is_still_looked_at),
	T(the_home_is_remembered_and_rolled_back),
	T(partition_counts_are_remembered),
	T(opening_reads_the_heads_of_rows_and_none_of_their_bytes),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

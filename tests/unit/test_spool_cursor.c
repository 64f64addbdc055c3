/* test_spool_cursor.c - what is no file and counts as one does: its cursor, over a kill, a salvage and a migration. */
#include <sqlite3.h>

#include "spool/inside.h"
#include "tests/lib/spool_dir.h"

static void put_journal(struct spool_dir *d, int64_t id, const char *cursor, int64_t at)
{
	struct spool_file f = { .id = id, .path = "journal", .origin = "sys", .size = at, .cursor = cursor, .cursor_at = at };
	struct err e;

	assert_int_equal(spool_file_put(d->s, &f, &e), 0);
}

struct seen { int n; char cursor[64]; int64_t at, safe; };

static int see(void *arg, const struct spool_file *f)
{
	struct seen *s = arg;

	s->n++;
	s->at = f->cursor_at;
	s->safe = f->safe;
	snprintf(s->cursor, sizeof s->cursor, "%s", f->cursor ? f->cursor : "(file)");
	return 0;
}

static struct seen look(struct spool_dir *d)
{
	struct seen s = { 0 };
	struct err e;

	assert_int_equal(spool_files_each(d->s, see, &s, &e), 0);
	return s;
}

static void a_cursor_survives_a_kill_together_with_what_it_stands_for(void **state)
{
	struct spool_dir *d = *state;
	struct seen s;

	txn(d);
	put_journal(d, 1, "", 0);
	commit(d);
	assert_string_equal(look(d).cursor, "");
	txn(d);
	put_journal(d, 1, "s=1;i=2", 7);
	commit(d);
	spool_dir_kill(d);
	s = look(d);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.cursor, "s=1;i=2");
	assert_int_equal(s.at, 7);
}

static void a_file_has_no_cursor(void **state)
{
	struct spool_dir *d = *state;

	txn(d);
	put_file(d, 1, 10);
	commit(d);
	assert_string_equal(look(d).cursor, "(file)");
}

static void files_of_version_3_have_none_and_keep_their_positions(void **state)
{
	struct spool_dir *d = calloc(1, sizeof *d);
	char path[160], text[300];
	sqlite3 *sql;

	spool_dir_make(d);
	*state = d;
	assert_int_equal(mkdir(d->dir, 0700), 0);
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sql, "PRAGMA auto_vacuum = 2; PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sqlite3_exec(sql, schema_migrations[i], NULL, NULL, NULL), SQLITE_OK);
	snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = 3;"
		 "INSERT INTO files VALUES (1, '/x', '/x', 1, 2, 0, 0, 0, 500, 0, 0);"
		 "INSERT INTO positions VALUES (1, 400, 77, NULL, NULL); UPDATE totals SET next_file = 2", SCHEMA_APPLICATION_ID);
	assert_int_equal(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sql);
	for (int life = 0; life < 2; life++) {
		spool_dir_start(d);
		assert_string_equal(look(d).cursor, "(file)");
		assert_int_equal(look(d).safe, 400);
		spool_close(d->s);
		d->s = NULL;
	}
	spool_dir_start(d);
}

static void a_damaged_database_gives_the_cursor_back(void **state)
{
	struct spool_dir *d = *state;
	struct seen s;
	char path[160];
	int fd;

	txn(d);
	put_journal(d, 1, "s=1;i=2", 7);
	commit(d);
	spool_close(d->s);
	d->s = NULL;
	snprintf(path, sizeof path, "%s/spool.db", d->dir);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "no header, no header", 20, 0), 20);
	close(fd);
	spool_dir_start(d);
	assert_true(spool_salvaged(d->s)->happened);
	s = look(d);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.cursor, "s=1;i=2");
	assert_int_equal(s.at, 7);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_cursor_survives_a_kill_together_with_what_it_stands_for, spool_dir_setup,
						spool_dir_teardown),
		cmocka_unit_test_setup_teardown(a_file_has_no_cursor, spool_dir_setup, spool_dir_teardown),
		cmocka_unit_test_teardown(files_of_version_3_have_none_and_keep_their_positions, spool_dir_teardown),
		cmocka_unit_test_setup_teardown(a_damaged_database_gives_the_cursor_back, spool_dir_setup, spool_dir_teardown),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

/* salvage_old.c - the damaged database: opened by all means, and its tables read past what SQLite refuses.
 *
 * Why id by id behind a damaged page: looking one up touches only the few pages on its way.
 * Invariant: nothing is written into it but a first page, when its own is of no use; that one is kept beside it.
 */
#include "spool/salvage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE_MAX      65536
#define BLIND_IDS_MAX 4096		/* where not even the last id can be read */
#define STRAY_IDS_MAX (1 << 20)		/* looked up one by one behind a damaged page */

sqlite3_stmt *salvage_prepare(sqlite3 *sql, const char *before, const char *table, const char *behind)
{
	char text[160];
	sqlite3_stmt *q = NULL;

	snprintf(text, sizeof text, "%s %s %s", before, table, behind);
	(void)sqlite3_prepare_v2(sql, text, -1, &q, NULL);
	return q;
}

/* One row of a table by its id, or NULL. To be finalized. */
sqlite3_stmt *salvage_look_up(sqlite3 *sql, const char *table, int64_t id)
{
	sqlite3_stmt *q = salvage_prepare(sql, "SELECT * FROM", table, "WHERE rowid = ?1");

	if (q && sqlite3_bind_int64(q, 1, id) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
		return q;
	(void)sqlite3_finalize(q);
	return NULL;
}

/* The first column of the first row, or -1. */
int64_t salvage_number(sqlite3 *sql, const char *before, const char *table, const char *behind)
{
	sqlite3_stmt *q = salvage_prepare(sql, before, table, behind);
	int64_t n = q && sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;

	(void)sqlite3_finalize(q);
	return n;
}

/* Ids behind `last` one by one. */
static int read_strays(struct salvage_copying *c, const char *table, int64_t last, salvage_fn *fn)
{
	sqlite3_stmt *q = salvage_prepare(c->old, "SELECT * FROM", table, "WHERE rowid = ?1");
	int64_t max = salvage_number(c->old, "SELECT max(rowid) FROM", table, "");
	int rc = 0;

	if (last < 0 || last > INT64_MAX - BLIND_IDS_MAX)	/* no id of ours */
		last = 0;
	if (max < last || max - last > STRAY_IDS_MAX)
		max = last + BLIND_IDS_MAX;
	for (int64_t id = last + 1; q && rc == 0 && id <= max; id++) {
		(void)sqlite3_bind_int64(q, 1, id);
		if (sqlite3_step(q) == SQLITE_ROW)
			rc = fn(c, q);
		(void)sqlite3_reset(q);
	}
	(void)sqlite3_finalize(q);
	return rc;
}

/* Calls fn for each readable row of a table, in order of ids. 1: all of it was readable; 0: not; or fn's error. */
int salvage_table(struct salvage_copying *c, const char *table, salvage_fn *fn)
{
	sqlite3_stmt *q = salvage_prepare(c->old, "SELECT * FROM", table, "ORDER BY rowid");
	int64_t last = 0;
	int rc = 0, step = q ? SQLITE_ERROR : sqlite3_errcode(c->old);

	while (q && rc == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
		last = sqlite3_column_int64(q, 0);
		rc = fn(c, q);
	}
	(void)sqlite3_finalize(q);
	if (rc == 0 && (step & 0xff) == SQLITE_NOMEM)
		return err_set(c->ret_err, ERR_NOMEM, "out of memory");
	if (rc == 0 && step != SQLITE_DONE)
		rc = read_strays(c, table, last, fn);
	return rc < 0 ? rc : step == SQLITE_DONE;
}

/* --- the damaged file --- */

/* SQLite is told to take nothing for granted, not even that the file is as long as it says, and to write nothing, not even
 * at closing. 0: *ret_sql is NULL if it is not to be read; or why nobody can tell, which is nothing of the database's. */
static int open_old(const char *path, sqlite3 **ret_sql, struct err *ret_err)
{
	sqlite3 *sql = NULL;
	int code;

	*ret_sql = NULL;
	if (sqlite3_open_v2(path, &sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		(void)sqlite3_db_config(sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		(void)sqlite3_db_config(sql, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
		(void)sqlite3_exec(sql, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA mmap_size=0", NULL, NULL, NULL);
		if (salvage_number(sql, "SELECT count(*) FROM", "sqlite_master",
				   "WHERE name IN ('totals','files','positions','rows')") == 4) {
			*ret_sql = sql;
			return 0;
		}
	}
	code = sqlite3_errcode(sql) & 0xff;
	(void)sqlite3_close(sql);
	if (code == SQLITE_NOMEM)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	return code == SQLITE_CANTOPEN ? err_set(ret_err, ERR_IO, "cannot open %s", path) : 0;
}

/* The page sizes and places of the tables are the same in all our databases, so a new one's first page leads into an old
 * one's tables; it says that nothing is free, and that the file has so many pages. */
static int page_to_lend(struct spool *fresh, int64_t pages, uint8_t page[PAGE_MAX], struct err *ret_err)
{
	static const uint8_t other_id[4] = { 0x53, 0x50, 0x77, 0x22 };	/* not ours: nobody may use the file as it is then */
	sqlite3_file *f = NULL;
	int rc = db_checkpoint(&fresh->db, ret_err);

	if (rc < 0)
		return rc;
	rc = sqlite3_file_control(fresh->db.sql, "main", SQLITE_FCNTL_FILE_POINTER, &f);
	if (rc == SQLITE_OK)
		rc = f->pMethods->xRead(f, page, (int)fresh->db.page, 0);
	if (rc != SQLITE_OK)
		return db_error(&fresh->db, rc, ret_err, "cannot read the new state database");
	if (pages < 1)
		pages = 1;
	for (int i = 0; i < 4; i++)
		page[28 + i] = (uint8_t)((uint32_t)pages >> (24 - 8 * i));
	memset(page + 32, 0, 8);
	memcpy(page + 68, other_id, 4);
	return 0;
}

/* false: the old file takes none, or what it had cannot be kept. */
static bool replace_page(const char *path, FILE *old_file, const uint8_t *page, size_t page_size)
{
	uint8_t old[PAGE_MAX];
	char kept[4200];
	bool good = true;
	FILE *copy;
	size_t n;

	rewind(old_file);
	n = fread(old, 1, page_size, old_file);
	snprintf(kept, sizeof kept, "%s-page1", path);
	copy = fopen(kept, "wx");		/* that of a first try is the true one */
	if (copy) {
		good = fwrite(old, 1, n, copy) == n;
		good = fclose(copy) == 0 && good;
	}
	rewind(old_file);
	return good && fwrite(page, 1, page_size, old_file) == page_size && fflush(old_file) == 0;
}

/* 0: it is done, or cannot be; an error of the new database's. */
static int lend_first_page(const char *path, struct spool *fresh, struct err *ret_err)
{
	uint8_t page[PAGE_MAX];
	FILE *old_file = fopen(path, "r+");
	int rc = 0;

	if (old_file && fseek(old_file, 0, SEEK_END) == 0)
		rc = page_to_lend(fresh, ftell(old_file) / fresh->db.page, page, ret_err);
	if (old_file && rc == 0)
		(void)replace_page(path, old_file, page, (size_t)fresh->db.page);
	if (old_file)
		(void)fclose(old_file);
	return rc;
}

/* A file of no bytes is never opened as it is: SQLite would delete its WAL. */
int salvage_open_old(const char *path, struct spool *fresh, sqlite3 **ret_sql, struct err *ret_err)
{
	FILE *f = fopen(path, "r");
	bool empty = !f || fgetc(f) == EOF;
	int rc = 0;

	*ret_sql = NULL;
	if (f)
		(void)fclose(f);
	else if (errno != ENOENT)
		return err_set(ret_err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (!empty)
		rc = open_old(path, ret_sql, ret_err);
	if (rc < 0 || *ret_sql)
		return rc;
	rc = lend_first_page(path, fresh, ret_err);
	if (rc == 0)
		rc = open_old(path, ret_sql, ret_err);
	return rc;
}

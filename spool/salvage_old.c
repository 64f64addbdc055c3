/* salvage_old.c - the damaged database: opened by all means, and its tables read past what SQLite refuses.
 *
 * Why id by id behind a damaged page: looking one up touches only the few pages on its way.
 * Invariant: nothing is written into it but a first page, when its own is of no use; that one is kept beside it.
 */
#include "spool/salvage.h"

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
	int rc = 0, step = SQLITE_ERROR;

	while (q && rc == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
		last = sqlite3_column_int64(q, 0);
		rc = fn(c, q);
	}
	(void)sqlite3_finalize(q);
	if (rc == 0 && step != SQLITE_DONE)
		rc = read_strays(c, table, last, fn);
	return rc < 0 ? rc : step == SQLITE_DONE;
}

/* --- the damaged file --- */

/* SQLite is told to take nothing for granted, not even that the file is as long as it says, and to write nothing, not even
 * at closing. */
static sqlite3 *open_old(const char *path)
{
	sqlite3 *sql = NULL;

	if (sqlite3_open_v2(path, &sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		(void)sqlite3_db_config(sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		(void)sqlite3_db_config(sql, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1, NULL);
		(void)sqlite3_exec(sql, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA mmap_size=0", NULL, NULL, NULL);
		if (salvage_number(sql, "SELECT count(*) FROM", "sqlite_master",
				   "WHERE name IN ('totals','files','positions','rows')") == 4)
			return sql;
	}
	(void)sqlite3_close(sql);
	return NULL;
}

/* The page sizes and places of the tables are the same in all our databases, so a new one's first page leads into an old
 * one's tables; it says that nothing is free, and that the file is as long as it is. */
static int lend_first_page(const char *path, struct spool *fresh)
{
	static const uint8_t other_id[4] = { 0x53, 0x50, 0x77, 0x22 };	/* not ours: nobody may use the file as it is then */
	uint8_t page[PAGE_MAX], old[PAGE_MAX];
	int page_size = (int)fresh->db.page;
	char kept[4200];
	sqlite3_file *f = NULL;
	FILE *old_file = fopen(path, "r+"), *copy = NULL;
	size_t n = 0;
	long size;
	int rc = ERR_IO;

	snprintf(kept, sizeof kept, "%s-page1", path);
	if (!old_file || page_size > PAGE_MAX || db_checkpoint(&fresh->db, NULL) < 0 ||
	    sqlite3_file_control(fresh->db.sql, "main", SQLITE_FCNTL_FILE_POINTER, &f) != SQLITE_OK ||
	    f->pMethods->xRead(f, page, page_size, 0) != SQLITE_OK || fseek(old_file, 0, SEEK_END) < 0)
		goto out;
	size = ftell(old_file) / page_size;
	if (size < 1)
		size = 1;
	for (int i = 0; i < 4; i++)
		page[28 + i] = (uint8_t)((uint32_t)size >> (24 - 8 * i));
	memset(page + 32, 0, 8);
	memcpy(page + 68, other_id, 4);
	rewind(old_file);
	n = fread(old, 1, (size_t)page_size, old_file);
	copy = fopen(kept, "wx");
	if (copy && (fwrite(old, 1, n, copy) != n || fflush(copy)))
		goto out;
	rewind(old_file);
	if (fwrite(page, 1, (size_t)page_size, old_file) == (size_t)page_size && fflush(old_file) == 0)
		rc = 0;
out:
	if (old_file)
		(void)fclose(old_file);
	if (copy)
		(void)fclose(copy);
	return rc;
}

/* A file of no bytes is never opened as it is: SQLite would delete its WAL. */
sqlite3 *salvage_open_old(const char *path, struct spool *fresh)
{
	FILE *f = fopen(path, "r");
	sqlite3 *sql = NULL;
	bool empty = !f || fgetc(f) == EOF;

	if (f)
		(void)fclose(f);
	if (!empty)
		sql = open_old(path);
	if (!sql && lend_first_page(path, fresh) == 0)
		sql = open_old(path);
	return sql;
}

/* db.c - opens and closes the database, runs its statements, and translates its errors.
 *
 * Why one connection, EXCLUSIVE: SQLite up to 3.51.2 can damage a database when two connections write or checkpoint at
 * once (the WAL-reset bug), and distributions ship such versions. EXCLUSIVE from the first access on also means that no
 * -shm file exists, whose mapping could raise SIGBUS.
 *
 * Invariants
 *  (1) while d->sql is open in the writing mode, this process holds the directory's flock exclusively.
 *  (2) nothing in this process opens and closes spool.db by itself then: closing would drop SQLite's POSIX locks.
 * States  zeroed -> locked -> open -> zeroed [db_close, also of half-built ones]
 * Failure the table at db_error; reference for the reactions: spool/README.md.
 */
#include "spool/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/buf.h"
#include "agent/base/mem.h"
#include "spool/salvage.h"

static const struct { int sqlite, code; } error_map[] = {
	{ SQLITE_IOERR_NOMEM,     ERR_NOMEM },
	{ SQLITE_IOERR_CORRUPTFS, ERR_CORRUPT },
	{ SQLITE_NOMEM,           ERR_NOMEM },
	{ SQLITE_FULL,            -ENOSPC },
	{ SQLITE_IOERR,           ERR_IO },
	{ SQLITE_CORRUPT,         ERR_CORRUPT },
	{ SQLITE_NOTADB,          ERR_CORRUPT },
	{ SQLITE_FORMAT,          ERR_CORRUPT },
	{ SQLITE_BUSY,            ERR_BUSY },
	{ SQLITE_LOCKED,          ERR_BUSY },
	{ SQLITE_CANTOPEN,        -EACCES },
	{ SQLITE_READONLY,        -EACCES },
	{ SQLITE_PERM,            -EACCES },
	{ SQLITE_AUTH,            -EACCES },
	{ SQLITE_TOOBIG,          ERR_TOO_LARGE },
};

/* Extended codes have their own line or go by their low byte. */
static int code_of(int rc)
{
	for (size_t i = 0; i < sizeof error_map / sizeof error_map[0]; i++)
		if (error_map[i].sqlite == rc || error_map[i].sqlite == (rc & 0xff))
			return error_map[i].code;
	return ERR_INTERNAL;
}

int db_error(struct db *d, int sqlite_rc, struct err *ret_err, const char *what)
{
	const char *said = d->sql ? sqlite3_errmsg(d->sql) : sqlite3_errstr(sqlite_rc);
	int os = d->sql ? sqlite3_system_errno(d->sql) : 0;
	int code = code_of(sqlite_rc);

	if (code == -EACCES && os)
		code = -os;
	if (code == ERR_CORRUPT)
		return err_set(ret_err, code, "%s: %s is damaged (%s, code %d)", what, d->path, said, sqlite_rc);
	if (code == ERR_IO && os)
		return err_set(ret_err, code, "%s: %s: %s (%s, code %d)", what, d->path, said, strerror(os), sqlite_rc);
	return err_set(ret_err, code, "%s: %s: %s (code %d)", what, d->path, said, sqlite_rc);
}

int db_exec(struct db *d, const char *sql, struct err *ret_err)
{
	int rc = sqlite3_exec(d->sql, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_error(d, rc, ret_err, "cannot use the state database");
}

int db_number(struct db *d, const char *sql, int64_t *ret, struct err *ret_err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(d->sql, sql, -1, &st, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW) {
			*ret = sqlite3_column_int64(st, 0);
			rc = SQLITE_OK;
		}
	}
	if (rc != SQLITE_OK)
		rc = db_error(d, rc == SQLITE_DONE ? SQLITE_MISMATCH : rc, ret_err, "cannot read the state database");
	(void)sqlite3_finalize(st);
	return rc;
}

int db_step(struct db *d, sqlite3_stmt *st, struct err *ret_err)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	rc = db_error(d, rc, ret_err, "state database");
	db_reset(st);
	return rc;
}

int db_run(struct db *d, sqlite3_stmt *st, struct err *ret_err)
{
	int rc = db_step(d, st, ret_err);

	ASSERT(rc <= 0);
	if (rc == 0)
		db_reset(st);
	return rc;
}

int db_text(struct db *d, sqlite3_stmt *st, int column, const char **ret)
{
	*ret = (const char *)sqlite3_column_text(st, column);
	if (*ret)
		return 0;
	return (sqlite3_errcode(d->sql) & 0xff) == SQLITE_NOMEM ? ERR_NOMEM : ERR_CORRUPT;
}

int db_count(struct db *d, enum stmt_id id, int64_t *ret, struct err *ret_err)
{
	sqlite3_stmt *st = db_stmt(d, id);
	int rc = db_step(d, st, ret_err);

	if (rc < 0)
		return rc;
	*ret = rc ? sqlite3_column_int64(st, 0) : 0;
	db_reset(st);
	return 0;
}

static int prepare_all(struct db *d, struct err *ret_err)
{
	for (int i = 0; i < STMT_COUNT; i++) {
		int rc = sqlite3_prepare_v3(d->sql, schema_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &d->stmts[i], NULL);

		if (rc != SQLITE_OK)
			return db_error(d, rc, ret_err, "cannot use the state database");
	}
	return 0;
}

/* A file: URI, so that `immutable` can be said; everything that is not plain is escaped. */
static char *uri_of(const char *path)
{
	struct buf b;

	buf_init(&b, 64 * 1024);
	buf_puts(&b, "file:");
	for (const char *p = path; *p; p++) {
		if (strchr("%?#", *p))
			buf_printf(&b, "%%%02X", (unsigned)(unsigned char)*p);
		else
			buf_put(&b, p, 1);
	}
	buf_puts(&b, "?immutable=1");
	return buf_detach(&b);
}

/* What a clean stop left is looked at without locks and without a WAL. */
static int open_to_look(struct db *d, struct err *ret_err)
{
	char *uri = uri_of(d->path);
	int64_t version = 0;
	int rc;

	if (!uri)
		return err_set(ret_err, ERR_NOMEM, "%s: out of memory", d->path);
	rc = sqlite3_open_v2(uri, &d->sql, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	mem_free(uri);
	if (rc != SQLITE_OK)
		return db_error(d, rc, ret_err, "cannot open the state database");
	(void)sqlite3_extended_result_codes(d->sql, 1);
	rc = db_number(d, "PRAGMA user_version", &version, ret_err);
	if (rc == 0 && version < SCHEMA_VERSION)
		rc = err_set(ret_err, -ENOENT, "%s is empty or of an older version: start the agent once", d->path);
	if (rc == 0)
		rc = db_versions(d, false, ret_err);
	return rc < 0 ? rc : prepare_all(d, ret_err);
}

static int on_commit(void *arg, sqlite3 *sql, const char *name, int pages)
{
	struct db *d = arg;

	(void)sql, (void)name;
	d->wal_pages = pages;
	return SQLITE_OK;
}

static int64_t size_at(const struct db *d, const char *name)
{
	struct stat st;

	return fstatat(d->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : (int64_t)st.st_size;
}

static int sync_dir(struct db *d, struct err *ret_err)
{
	int rc;

	beat_into("fsync");
	rc = fsync(d->dir_fd) < 0 ? -errno : 0;
	beat_out();
	return rc < 0 ? err_set(ret_err, rc, "cannot fsync %s: %s", d->dir, strerror(-rc)) : 0;
}

/* Files of no bytes say what the others cannot: spool.new, that spool.db is being made and not in use yet; spool.open, that
 * there is a WAL (it goes before the WAL does, so that a WAL which somebody has taken away is missed); spool.missed, that one
 * was missed and nothing has followed from it yet; spool.damaged. */
static int set_mark(struct db *d, const char *name, struct err *ret_err)
{
	int fd = openat(d->dir_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || close(fd) < 0)
		return err_set(ret_err, -errno, "cannot make %s/%s: %s", d->dir, name, strerror(errno));
	return sync_dir(d, ret_err);
}

void db_mark_damaged(struct db *d)
{
	if (!d->look_only && !d->damaged)
		(void)set_mark(d, "spool.damaged", NULL);
	d->damaged = true;
}

/* A first start that was cut short: nothing was ever recorded there. */
static void remove_unmade(struct db *d)
{
	static const char *const names[] = { "spool.db-wal", "spool.db-journal", "spool.db" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		(void)unlinkat(d->dir_fd, names[i], 0);
}

/* An empty spool.db of mode 0600 is there before SQLite looks: SQLite's own mode would be 0644, and the WAL inherits it.
 * One that was there and is empty is damaged; opened as it is, SQLite would delete its WAL. */
static int make_file(struct db *d, bool *ret_fresh, struct err *ret_err)
{
	int64_t size, wal;
	int fd, rc = 0;

	if (size_at(d, "spool.new") >= 0)
		remove_unmade(d);
	size = size_at(d, "spool.db");
	wal = size_at(d, "spool.db-wal");
	*ret_fresh = size <= 0;
	if (size < 0 && wal <= 0)
		rc = set_mark(d, "spool.new", ret_err);
	if (rc < 0)
		return rc;
	fd = open(d->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(ret_err, -errno, "cannot open %s: %s", d->path, strerror(errno));
	(void)close(fd);
	if (size < 0)
		rc = sync_dir(d, ret_err);
	if (rc < 0)
		return rc;
	d->wal_gone = size_at(d, "spool.missed") >= 0;
	if (!d->wal_gone && size > 0 && wal < 0 && size_at(d, "spool.open") >= 0) {
		d->wal_gone = true;
		rc = set_mark(d, "spool.missed", ret_err);	/* from here on there will be a WAL again */
	}
	if (rc < 0)
		return rc;
	if (size_at(d, "spool.damaged") >= 0)
		return err_set(ret_err, ERR_CORRUPT, "%s was found to be damaged while it was in use", d->path);
	if (size <= 0 && (wal > 0 || size_at(d, "spool.new") < 0))
		return err_set(ret_err, ERR_CORRUPT, "%s %s", d->path, size < 0 ? "is gone, but its WAL is there" : "is empty");
	return 0;
}

static int remove_mark(struct db *d, const char *name, struct err *ret_err)
{
	if (unlinkat(d->dir_fd, name, 0) < 0 && errno != ENOENT)
		return err_set(ret_err, -errno, "cannot remove %s/%s: %s", d->dir, name, strerror(errno));
	return sync_dir(d, ret_err);
}

int db_wal_settled(struct db *d, struct err *ret_err)
{
	int rc = remove_mark(d, "spool.missed", ret_err);

	d->wal_gone = rc < 0;
	return rc;
}

/* The marks of a database that is open. */
static int settle_marks(struct db *d, struct err *ret_err)
{
	/* Fedora's SQLite never fsyncs the directory (SQLITE_DISABLE_DIRSYNC). The WAL's name is durable before its mark is. */
	int rc = sync_dir(d, ret_err);

	if (rc == 0 && size_at(d, "spool.db-wal") > 0 && size_at(d, "spool.open") < 0)
		rc = set_mark(d, "spool.open", ret_err);
	return rc < 0 || size_at(d, "spool.new") < 0 ? rc : remove_mark(d, "spool.new", ret_err);
}

static int open_to_write(struct db *d, struct err *ret_err)
{
	bool fresh = false;
	int on = 1;
	int rc = salvage_resume(d, ret_err);

	if (rc == 0)
		rc = make_file(d, &fresh, ret_err);
	if (rc < 0)
		return rc;
	rc = db_vfs_register();
	if (rc == SQLITE_OK)
		rc = sqlite3_open_v2(d->path, &d->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, DB_VFS);
	if (rc != SQLITE_OK)
		return db_error(d, rc, ret_err, "cannot open the state database");
	(void)sqlite3_extended_result_codes(d->sql, 1);
	rc = db_pragmas(d, fresh, ret_err);
	if (rc == 0)
		rc = db_versions(d, fresh, ret_err);
	if (rc == 0)
		rc = prepare_all(d, ret_err);
	if (rc < 0)
		return rc;
	(void)sqlite3_wal_hook(d->sql, on_commit, d);
	(void)sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	db_grow_wal(d);
	return settle_marks(d, ret_err);
}

int db_open(struct db *d, const struct db_conf *conf, struct err *ret_err)
{
	int rc;

	*d = (struct db){ .dir_fd = -1, .max_size = conf->max_size, .min_free = conf->min_free, .sync_full = true };
	rc = db_lock(d, conf, ret_err);
	if (rc == 0)
		rc = d->look_only ? open_to_look(d, ret_err) : open_to_write(d, ret_err);
	d->damaged = rc == ERR_CORRUPT;
	if (rc < 0)
		db_close(d);
	return rc;
}

/* Without PERSIST_WAL the last close folds the WAL in and deletes it: spool.db alone holds everything. When folding in
 * fails the WAL stays and the next open reads it. */
static void fold_in(struct db *d)
{
	int off = 0, in_wal = -1, moved = 0;
	int rc = sqlite3_wal_checkpoint_v2(d->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &moved);

	/* Not before it is durable that nobody misses the WAL. */
	if (rc != SQLITE_OK || in_wal != moved || remove_mark(d, "spool.open", NULL) < 0) {
		(void)sqlite3_db_config(d->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		return;
	}
	(void)sqlite3_wal_checkpoint_v2(d->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	(void)sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_PERSIST_WAL, &off);
}

void db_close(struct db *d)
{

	for (int i = 0; i < STMT_COUNT; i++)
		(void)sqlite3_finalize(d->stmts[i]);
	if (d->sql && d->damaged)
		(void)sqlite3_db_config(d->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	else if (d->sql && !d->look_only)
		fold_in(d);
	(void)sqlite3_close(d->sql);
	if (d->path && d->dir_fd >= 0 && !d->look_only && !d->damaged)
		(void)fsync(d->dir_fd);
	if (d->path && d->dir_fd >= 0)
		(void)close(d->dir_fd);
	mem_free(d->dir);
	mem_free(d->path);
	*d = (struct db){ .dir_fd = -1 };
}

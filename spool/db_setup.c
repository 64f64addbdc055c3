/* db_setup.c - the directory's lock, the settings, the version.
 *
 * Why settings are read back: SQLite ignores a pragma it does not know or cannot obey, silently. A database that runs with
 * other settings than these loses rows on power loss or fills the disk, so a mismatch ends the open.
 * Failure: every one has words that say what to do; nothing is changed by a refused open.
 */
#include "spool/db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/killpoint.h"
#include "agent/base/mem.h"

/* A new name is only durable once its directory is synced. */
static int sync_parent(const char *dir)
{
	char *copy = mem_strdup(dir);
	int fd, rc;

	if (!copy)
		return ERR_NOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	if (fd >= 0)
		(void)close(fd);
	mem_free(copy);
	return rc;
}

static int open_dir(struct db *d, bool make, struct err *ret_err)
{
	if (make && mkdir(d->dir, 0700) == 0) {
		int rc = sync_parent(d->dir);

		if (rc < 0)
			return err_set(ret_err, rc, "cannot fsync the directory above %s: %s", d->dir, err_text(rc));
	} else if (make && errno != EEXIST) {
		return err_set(ret_err, -errno, "cannot create %s: %s%s", d->dir, strerror(errno),
			       errno == ENOENT ? " (only its last component is created)" : "");
	}
	d->dir_fd = open(d->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dir_fd < 0)
		return err_set(ret_err, -errno, "cannot open %s: %s", d->dir, strerror(errno));
	return 0;
}

static int lock_dir(struct db *d, int how, struct err *ret_err)
{
	if (flock(d->dir_fd, how | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(ret_err, ERR_BUSY, "another spillway uses the state directory %s; "
			       "stop it or give this one a state_dir of its own", d->dir);
	return err_set(ret_err, -errno, "cannot lock %s: %s", d->dir, strerror(errno));
}

/* A shared lock is enough to look at what a clean stop left. A WAL means it was not clean: then the database is opened
 * as an agent would. */
static int lock_to_look(struct db *d, struct err *ret_err)
{
	struct stat st;
	int rc = lock_dir(d, LOCK_SH, ret_err);

	if (rc < 0)
		return rc;
	if (stat(d->path, &st) < 0)
		return err_set(ret_err, -errno, "no state database: %s: %s", d->path, strerror(errno));
	d->look_only = fstatat(d->dir_fd, "spool.db-wal", &st, 0) < 0 || st.st_size == 0;
	return d->look_only ? 0 : lock_dir(d, LOCK_EX, ret_err);
}

int db_lock(struct db *d, const struct db_conf *conf, struct err *ret_err)
{
	int rc;

	d->dir = mem_strdup(conf->dir);
	d->path = mem_printf("%s/spool.db", conf->dir);
	if (!d->dir || !d->path)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	rc = open_dir(d, !conf->read_only, ret_err);
	if (rc < 0)
		return rc;
	return conf->read_only ? lock_to_look(d, ret_err) : lock_dir(d, LOCK_EX, ret_err);
}

#define PAGES_MAX 1000000000	/* SQLite's ceiling: 32 TiB of these pages */

enum { ALWAYS, FRESH };		/* FRESH: only possible before the first table; later it is only verified */

/* expect NULL: any answer will do. */
static const struct { const char *name, *set, *expect; int when; } pragmas[] = {
	/* First of all, also before any other pragma touches the file: a first access in normal mode would create -shm. */
	{ "locking_mode",       "EXCLUSIVE",   "exclusive", ALWAYS },
	{ "page_size",          "32768",       NULL,        FRESH },	/* an older database keeps its own */
	{ "auto_vacuum",        "INCREMENTAL", "2",         FRESH },
	{ "journal_mode",       "WAL",         "wal",       ALWAYS },
	{ "synchronous",        "FULL",        "2",         ALWAYS },
	{ "secure_delete",      "OFF",         "0",         ALWAYS },	/* on in Debian and Fedora: a delete would write the blob */
	{ "wal_autocheckpoint", "0",           "0",         ALWAYS },	/* db_commit and db_tidy decide */
	{ "journal_size_limit", "16777216",    "16777216",  ALWAYS },
	{ "mmap_size",          "0",           "0",         ALWAYS },	/* an I/O error on a mapped page is a signal */
	{ "temp_store",         "MEMORY",      "2",         ALWAYS },
	{ "cache_size",         "-384",        "-384",      ALWAYS },	/* until large rows come: db_room */
	{ "trusted_schema",     "OFF",         "0",         ALWAYS },
	{ "foreign_keys",       "OFF",         "0",         ALWAYS },
	{ "recursive_triggers", "OFF",         "0",         ALWAYS },
};

/* What PRAGMA name answers now, as text. */
static int ask(struct db *d, const char *name, char *ret, size_t n, struct err *ret_err)
{
	char sql[64];
	sqlite3_stmt *st = NULL;
	const char *answer;
	int rc;

	snprintf(sql, sizeof sql, "PRAGMA %s", name);
	rc = sqlite3_prepare_v2(d->sql, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && db_text(d, st, 0, &answer) == ERR_NOMEM)
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_ROW)
		snprintf(ret, n, "%s", answer ? answer : "NULL");
	if (rc == SQLITE_DONE)		/* a pragma that this SQLite does not know answers nothing */
		snprintf(ret, n, "nothing");
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		rc = db_error(d, rc, ret_err, "cannot open the state database");
	else
		rc = 0;
	(void)sqlite3_finalize(st);
	return rc;
}

static int limit_pages(struct db *d, struct err *ret_err)
{
	char sql[64];
	int64_t limit;
	int rc = db_number(d, "PRAGMA page_size", &d->page, ret_err);

	if (rc < 0)
		return rc;
	/* 32 MiB above max_size: the reserve of what has an identity, the ledger, positions and deletes. */
	d->max_pages = (d->max_size < INT64_MAX / 2 ? d->max_size + (32 << 20) : INT64_MAX / 2) / d->page + 1;
	if (d->max_pages > PAGES_MAX)
		d->max_pages = PAGES_MAX;
	snprintf(sql, sizeof sql, "PRAGMA max_page_count = %" PRId64, d->max_pages);
	rc = db_number(d, sql, &limit, ret_err);
	/* SQLite never goes below what the file already has: a max_size that was made smaller. */
	if (rc == 0 && limit < d->max_pages)
		rc = err_set(ret_err, ERR_INTERNAL, "%s: max_page_count is %" PRId64 ", wanted %" PRId64, d->path, limit,
			     d->max_pages);
	return rc;
}

static int settle(struct db *d, size_t i, bool fresh, struct err *ret_err)
{
	char text[64];
	int rc = 0;

	if (pragmas[i].when == ALWAYS || fresh) {
		snprintf(text, sizeof text, "PRAGMA %s = %s", pragmas[i].name, pragmas[i].set);
		rc = db_exec(d, text, ret_err);
	}
	if (rc == 0)
		rc = ask(d, pragmas[i].name, text, sizeof text, ret_err);
	if (rc < 0)
		return rc;
	if (pragmas[i].expect && strcasecmp(text, pragmas[i].expect))
		return err_set(ret_err, ERR_INTERNAL, "%s: SQLite %s answers %s to PRAGMA %s, needed is %s", d->path,
			       sqlite3_libversion(), text, pragmas[i].name, pragmas[i].expect);
	return 0;
}

/* Before anything about it is changed. A crash between the file's creation and the first migration leaves a database without
 * anything in it. */
static int check_owner(struct db *d, struct err *ret_err)
{
	int64_t id = 0, tables = 0;
	int rc = db_number(d, "PRAGMA application_id", &id, ret_err);

	if (rc == 0 && id != SCHEMA_APPLICATION_ID)
		rc = db_number(d, "SELECT count(*) FROM sqlite_master", &tables, ret_err);
	if (rc == 0 && id != SCHEMA_APPLICATION_ID && (id || tables))
		rc = err_set(ret_err, ERR_CORRUPT, "%s is not a state database of spillway", d->path);
	return rc;
}

int db_pragmas(struct db *d, bool fresh, struct err *ret_err)
{
	int64_t ignored;
	int rc = settle(d, 0, fresh, ret_err);

	/* Reads the header: until then page_size answers a default, and a file that is no database is not noticed. */
	if (rc == 0 && !fresh)
		rc = db_number(d, "PRAGMA schema_version", &ignored, ret_err);
	if (rc == 0 && !fresh)
		rc = check_owner(d, ret_err);
	for (size_t i = 1; rc == 0 && i < sizeof pragmas / sizeof pragmas[0]; i++)
		rc = settle(d, i, fresh, ret_err);
	return rc < 0 ? rc : limit_pages(d, ret_err);
}

static int migrate(struct db *d, int64_t version, struct err *ret_err)
{
	char sql[128];
	int rc = db_exec(d, "BEGIN IMMEDIATE", ret_err);

	if (rc < 0)
		return rc;
	for (; rc == 0 && version < SCHEMA_VERSION; version++) {
		rc = db_exec(d, schema_migrations[version], ret_err);
		if (rc == 0 && schema_steps[version])
			rc = schema_steps[version](d, ret_err);
	}
	snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", SCHEMA_APPLICATION_ID, SCHEMA_VERSION);
	if (rc == 0)
		rc = db_exec(d, sql, ret_err);
	if (rc == 0) {
		killpoint(KILL_SCHEMA_BEFORE);
		rc = db_exec(d, "COMMIT", ret_err);
	}
	if (rc < 0)
		db_rollback(d);
	else
		killpoint(KILL_SCHEMA_AFTER);
	return rc;
}

int db_versions(struct db *d, bool fresh, struct err *ret_err)
{
	int64_t id = 0, version = 0;
	int64_t tables = 0;
	int rc = db_number(d, "PRAGMA application_id", &id, ret_err);

	if (rc == 0)
		rc = db_number(d, "PRAGMA user_version", &version, ret_err);
	if (rc == 0)
		rc = db_number(d, "SELECT count(*) FROM sqlite_master", &tables, ret_err);
	if (rc < 0)
		return rc;
	/* A crash between the file's creation and the first migration leaves a database without anything in it. */
	fresh = fresh || (id == 0 && version == 0 && tables == 0);
	if (!fresh && id != SCHEMA_APPLICATION_ID)
		return err_set(ret_err, ERR_CORRUPT, "%s is not a state database of spillway", d->path);
	if (version > SCHEMA_VERSION)
		return err_set(ret_err, ERR_NEWER, "%s was written by a newer spillway (format %" PRId64 ", this one knows %d); "
			       "install that version, or use another state_dir", d->path, version, SCHEMA_VERSION);
	return version < SCHEMA_VERSION ? migrate(d, version, ret_err) : 0;
}

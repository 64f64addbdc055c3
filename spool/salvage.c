/* salvage.c - a state database that does not open any more is set aside, and a new one takes its place.
 *
 * Why: an agent that does not start loses lines too, as soon as log files are rotated away; and one that is started again
 * and again by its supervisor only makes noise.
 *
 * The order of things, so that a kill at any moment leaves either the damaged database or the new one:
 *	1. spool.salvage/ is made anew; a new database in it gets what can be saved, and is closed: one file, synced
 *	2. spool.db becomes spool.db.damaged-TIME, then spool.db-wal becomes spool.db.damaged-TIME-wal
 *	3. spool.salvage/spool.db becomes spool.db
 * Where spool.db is missing and spool.salvage/spool.db is there, steps 2 and 3 go on at the next open.
 *
 * Invariant: a WAL never meets another database than its own: SQLite would write its pages into it.
 * Failure: of step 1 (no room, memory): the damaged database stays in its place, the open fails with words.
 */
#include "spool/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"

#define WORK "spool.salvage"

static const char *const work_files[] = { "spool.db", "spool.db-wal", "spool.db-journal", "spool.open", "spool.new",
					"spool.damaged" };

static void work_remove(int dir_fd)
{
	int fd = openat(dir_fd, WORK, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof work_files / sizeof work_files[0]; i++)
		(void)unlinkat(fd, work_files[i], 0);
	(void)close(fd);
	(void)unlinkat(dir_fd, WORK, AT_REMOVEDIR);
}

static bool is_there(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A name that nothing has yet. */
static void aside_name(int dir_fd, char *ret, size_t n)
{
	time_t t = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;
	size_t len;

	gmtime_r(&t, &tm);
	len = strftime(ret, n, "spool.db.damaged-%Y%m%dT%H%M%SZ", &tm);
	for (int i = 2; is_there(dir_fd, ret) && i < 1000; i++)
		snprintf(ret + len, n - len, "-%d", i);
}

static int move(struct db *d, const char *from, const char *to, struct err *ret_err)
{
	if (renameat(d->dir_fd, from, d->dir_fd, to) == 0 || errno == ENOENT)
		return 0;
	return err_set(ret_err, -errno, "cannot rename %s/%s to %s: %s", d->dir, from, to, strerror(errno));
}

static int sync_dir(struct db *d, struct err *ret_err)
{
	return fsync(d->dir_fd) == 0 ? 0 : err_set(ret_err, -errno, "cannot fsync %s: %s", d->dir, strerror(errno));
}

/* Steps 2 and 3. What is renamed or removed behind the database is so only once that one's new name is durable, and the new
 * database is not in its place before all of that is. */
static int exchange(struct db *d, const char *aside, struct err *ret_err)
{
	static const char *const tails[] = { "", "-wal", "-page1" };
	static const char *const marks[] = { "spool.open", "spool.damaged" };	/* not spool.missed */
	char from[32], to[80];
	int rc = 0;

	for (size_t i = 0; i < sizeof tails / sizeof tails[0] && rc == 0; i++) {
		snprintf(from, sizeof from, "spool.db%s", tails[i]);
		snprintf(to, sizeof to, "%s%s", aside, tails[i]);
		rc = move(d, from, to, ret_err);
		if (rc == 0 && i == 0)
			rc = sync_dir(d, ret_err);
	}
	for (size_t i = 0; i < sizeof marks / sizeof marks[0] && rc == 0; i++)
		(void)unlinkat(d->dir_fd, marks[i], 0);
	if (rc == 0)
		rc = sync_dir(d, ret_err);
	if (rc == 0)
		rc = move(d, WORK "/spool.db", "spool.db", ret_err);
	if (rc == 0)
		rc = sync_dir(d, ret_err);
	if (rc == 0)
		work_remove(d->dir_fd);
	return rc;
}

int salvage_resume(struct db *d, struct err *ret_err)
{
	char aside[64];

	if (!is_there(d->dir_fd, WORK))
		return 0;
	if (is_there(d->dir_fd, "spool.db") || !is_there(d->dir_fd, WORK "/spool.db")) {
		work_remove(d->dir_fd);
		return 0;
	}
	aside_name(d->dir_fd, aside, sizeof aside);
	return exchange(d, aside, ret_err);
}

static int sync_file(struct db *d, const char *name, struct err *ret_err)
{
	int fd = openat(d->dir_fd, name, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd);
	return rc < 0 ? err_set(ret_err, rc, "cannot fsync %s/%s: %s", d->dir, name, err_text(rc)) : 0;
}

/* Step 1. The new database may grow as far as the old one did, for it holds the same. */
static int fill(struct db *d, const struct spool_conf *conf, struct spool_salvage *ret, struct err *ret_err)
{
	char *dir = mem_printf("%s/%s", conf->dir, WORK);
	struct spool_conf sc = { .dir = dir };
	struct spool *to = NULL;
	struct stat st;
	int rc;

	if (!dir)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	sc.max_size = conf->max_size;
	if (stat(d->path, &st) == 0 && st.st_size > sc.max_size)
		sc.max_size = st.st_size;
	work_remove(d->dir_fd);
	rc = spool_open(&sc, &to, ret_err);
	if (rc == 0) {
		rc = salvage_copy(d->path, to, ret, ret_err);
		spool_close(to);
	}
	if (rc == 0 && is_there(d->dir_fd, WORK "/spool.db-wal"))
		rc = err_set(ret_err, ERR_IO, "cannot complete %s", dir);
	if (rc == 0)
		rc = sync_file(d, WORK "/spool.db", ret_err);
	if (rc == 0)
		rc = sync_file(d, WORK, ret_err);
	if (rc < 0)
		work_remove(d->dir_fd);
	mem_free(dir);
	return rc;
}

int salvage_run(const struct spool_conf *conf, const char *why, struct spool_salvage *ret, struct err *ret_err)
{
	struct db_conf dc = { .dir = conf->dir };
	struct db d = { .dir_fd = -1, .damaged = true };
	struct spool_salvage got = { .happened = true };
	char reason[sizeof ((struct err *)0)->text];
	int rc;

	snprintf(reason, sizeof reason, "%s", why);		/* ret_err may be where it lies */
	rc = db_lock(&d, &dc, ret_err);
	if (rc == 0)
		rc = fill(&d, conf, &got, ret_err);
	if (rc == 0) {
		aside_name(d.dir_fd, got.aside, sizeof got.aside);
		rc = exchange(&d, got.aside, ret_err);
	}
	db_close(&d);
	if (rc < 0)
		return err_prefix(ret_err, "%s, and what it holds cannot be saved: ", reason);
	salvage_tell(&got, reason);
	*ret = got;
	return 0;
}

/* home.c - where this database was last used, and how many partitions topics had.
 *
 * Why the first: whoever clones a machine or copies a directory copies producer ids too, and two agents that go on with
 * the same ones make the broker drop good records. The caller compares, the spool only remembers.
 */
#include "spool/inside.h"

#include <string.h>

/* Damaged words are as good as none: "not known" makes the caller careful. */
static void get_text(sqlite3_stmt *q, int column, char *ret, size_t n)
{
	const unsigned char *text = sqlite3_column_text(q, column);
	size_t len = text ? strnlen((const char *)text, n - 1) : 0;

	memcpy(ret, text ? (const char *)text : "", len);
	ret[len] = 0;
}

int home_load(struct spool *s, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_HOME_GET);
	int rc = db_step(&s->db, q, ret_err);

	if (rc < 0)
		return rc;
	if (rc > 0) {
		get_text(q, 0, s->home.machine_id, sizeof s->home.machine_id);
		get_text(q, 1, s->home.boot_id, sizeof s->home.boot_id);
		s->home.dev = (uint64_t)sqlite3_column_int64(q, 2);
		s->home.inode = (uint64_t)sqlite3_column_int64(q, 3);
	}
	s->old_home = s->home;
	db_reset(q);
	return 0;
}

void spool_home(const struct spool *s, struct spool_home *ret)
{
	*ret = s->home;
}

int spool_home_put(struct spool *s, const struct spool_home *h, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_HOME_PUT);
	int rc = spool_may_change(s, ret_err);

	ASSERT(memchr(h->machine_id, 0, sizeof h->machine_id) && memchr(h->boot_id, 0, sizeof h->boot_id));
	if (rc < 0)
		return rc;
	sqlite3_bind_text(q, 1, h->machine_id, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 2, h->boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, (int64_t)h->dev);
	sqlite3_bind_int64(q, 4, (int64_t)h->inode);
	rc = db_run(&s->db, q, ret_err);
	if (rc < 0)
		return spool_lost(s, rc);
	s->home = *h;
	return 0;
}

int spool_partitions_put(struct spool *s, const char *topic, int32_t count, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_PARTITIONS_PUT);
	int rc = spool_may_change(s, ret_err);

	ASSERT(count > 0);
	if (rc < 0)
		return rc;
	sqlite3_bind_text(q, 1, topic, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 2, count);
	rc = db_run(&s->db, q, ret_err);
	return rc < 0 ? spool_lost(s, rc) : 0;
}

int spool_partitions_each(struct spool *s, int (*fn)(void *arg, const char *topic, int32_t count), void *arg,
			  struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_PARTITIONS_EACH);
	int rc;

	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		int32_t count = sqlite3_column_int(q, 1);
		const char *topic;

		rc = db_text(&s->db, q, 0, &topic);
		if (rc == 0 && count > 0)
			rc = fn(arg, topic, count);
		else if (rc < 0)
			rc = err_set(ret_err, rc, "%s: cannot read table partitions: %s", s->db.path, err_text(rc));
		if (rc)
			break;
	}
	db_reset(q);
	return rc;
}

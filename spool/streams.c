/* streams.c - the dictionary of (cluster, topic, partition) that ledger rows point into.
 *
 * Why it only grows: a stream is a few dozen bytes, and forgetting one would need a look at every ledger row.
 */
#include "spool/inside.h"

#include <string.h>

#include "agent/base/mem.h"

/* partition 4 | topic id 16 | cluster id, NUL | topic */
static int make_key(struct spool *s, int32_t partition, const uint8_t *topic_id, const char *cluster, const char *topic)
{
	buf_clear(&s->scratch);
	(void)buf_put(&s->scratch, &partition, sizeof partition);
	(void)buf_put(&s->scratch, topic_id, 16);
	(void)buf_put(&s->scratch, cluster, strlen(cluster) + 1);
	(void)buf_puts(&s->scratch, topic);
	return s->scratch.failed ? ERR_NOMEM : 0;
}

/* Adds what the key in scratch stands for. */
static int add(struct spool *s, const struct spool_ledger *l, struct stream **ret)
{
	size_t cluster = strlen(l->cluster_id) + 1, topic = strlen(l->topic) + 1;
	struct stream *st = mem_alloc(sizeof *st + cluster + topic);

	if (!st)
		return ERR_NOMEM;
	st->id = s->streams.count + 1;
	st->partition = l->partition;
	memcpy(st->topic_id, l->topic_id, sizeof st->topic_id);
	memcpy(st->cluster_id, l->cluster_id, cluster);
	memcpy(st->cluster_id + cluster, l->topic, topic);
	st->topic = st->cluster_id + cluster;
	*ret = st;
	return dict_add_take(&s->streams, s->scratch.data, s->scratch.len, st);
}

static int store(struct spool *s, const struct stream *st, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_STREAM_ADD);

	sqlite3_bind_int64(q, 1, st->id);
	sqlite3_bind_text(q, 2, st->cluster_id, -1, SQLITE_STATIC);
	sqlite3_bind_blob(q, 3, st->topic_id, sizeof st->topic_id, SQLITE_STATIC);
	sqlite3_bind_text(q, 4, st->topic, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 5, st->partition);
	return db_run(&s->db, q, ret_err);
}

int streams_get(struct spool *s, const struct spool_ledger *l, struct stream **ret, struct err *ret_err)
{
	int rc = make_key(s, l->partition, l->topic_id, l->cluster_id, l->topic);

	if (rc < 0)
		return err_set(ret_err, rc, "out of memory");
	*ret = dict_find(&s->streams, s->scratch.data, s->scratch.len);
	if (*ret)
		return 0;
	rc = add(s, l, ret);
	return rc < 0 ? err_set(ret_err, rc, "out of memory") : store(s, *ret, ret_err);
}

static int load_one(struct spool *s, sqlite3_stmt *q, struct err *ret_err)
{
	struct spool_ledger l = { .partition = sqlite3_column_int(q, 4) };
	const void *topic_id = sqlite3_column_blob(q, 2);
	struct stream *st;
	int rc = db_text(&s->db, q, 1, &l.cluster_id);

	if (rc == 0)
		rc = db_text(&s->db, q, 3, &l.topic);
	if (rc == ERR_CORRUPT || sqlite3_column_int64(q, 0) != (int64_t)s->streams.count + 1 || !topic_id ||
	    sqlite3_column_bytes(q, 2) != sizeof l.topic_id)
		return err_set(ret_err, ERR_CORRUPT, "%s: table streams is damaged", s->db.path);
	memcpy(l.topic_id, topic_id, sizeof l.topic_id);
	if (rc < 0 || make_key(s, l.partition, l.topic_id, l.cluster_id, l.topic) < 0 || add(s, &l, &st) < 0)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	return 0;
}

int streams_load(struct spool *s, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_STREAMS_EACH);
	int rc;

	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		rc = load_one(s, q, ret_err);
		if (rc < 0)
			break;
	}
	db_reset(q);
	if (rc == 0)
		dict_committed(&s->streams);
	return rc;
}

/* lanes.c - what is spooled, by lane: (topic, partition or -1).
 *
 * Why counted and not asked for: opening and `status` must not depend on how many rows there are.
 * Invariant: a lane's counts are those of its rows; totals' rows, records and bytes are the sums over all lanes.
 */
#include "spool/inside.h"

#include <string.h>

#include "agent/base/mem.h"

/* partition 4 | topic */
static int make_key(struct buf *b, const char *topic, int32_t partition)
{
	buf_clear(b);
	(void)buf_put(b, &partition, sizeof partition);
	(void)buf_puts(b, topic);
	return b->failed ? ERR_NOMEM : 0;
}

static int add(struct spool *s, const char *topic, int32_t partition, struct lane **ret)
{
	size_t n = strlen(topic) + 1;
	struct lane *l = mem_zalloc(sizeof *l + n);

	if (!l)
		return ERR_NOMEM;
	l->id = s->lanes.count + 1;
	l->partition = partition;
	memcpy(l->topic, topic, n);
	*ret = l;
	return dict_add_take(&s->lanes, s->scratch.data, s->scratch.len, l);
}

int lanes_find(struct spool *s, const char *topic, int32_t partition, struct lane **ret)
{
	if (make_key(&s->scratch, topic, partition) < 0)
		return ERR_NOMEM;
	*ret = dict_find(&s->lanes, s->scratch.data, s->scratch.len);
	return 0;
}

int lanes_get(struct spool *s, const char *topic, int32_t partition, struct lane **ret)
{
	int rc = lanes_find(s, topic, partition, ret);

	if (rc < 0 || *ret)
		return rc;
	return add(s, topic, partition, ret);
}

static int load_one(struct spool *s, sqlite3_stmt *q, struct err *ret_err)
{
	int32_t partition = sqlite3_column_int(q, 2);
	const char *topic;
	struct lane *l;
	int rc = db_text(&s->db, q, 1, &topic);

	if (rc == ERR_CORRUPT || sqlite3_column_int64(q, 0) != (int64_t)s->lanes.count + 1)
		return err_set(ret_err, ERR_CORRUPT, "%s: table lanes is damaged", s->db.path);
	if (rc < 0 || make_key(&s->scratch, topic, partition) < 0 || add(s, topic, partition, &l) < 0)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	l->now = l->saved = (struct lane_count){ .rows = (uint64_t)sqlite3_column_int64(q, 3),
						 .records = (uint64_t)sqlite3_column_int64(q, 4),
						 .bytes = (uint64_t)sqlite3_column_int64(q, 5) };
	return 0;
}

int lanes_load(struct spool *s, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_LANES_EACH);
	int rc;

	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		rc = load_one(s, q, ret_err);
		if (rc < 0)
			break;
	}
	db_reset(q);
	if (rc == 0)
		dict_committed(&s->lanes);
	return rc;
}

static int write_one(struct spool *s, const struct lane *l, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_LANE_PUT);

	sqlite3_bind_int64(q, 1, l->id);
	sqlite3_bind_text(q, 2, l->topic, -1, SQLITE_STATIC);
	sqlite3_bind_int(q, 3, l->partition);
	sqlite3_bind_int64(q, 4, (int64_t)l->now.rows);
	sqlite3_bind_int64(q, 5, (int64_t)l->now.records);
	sqlite3_bind_int64(q, 6, (int64_t)l->now.bytes);
	return db_run(&s->db, q, ret_err);
}

/* A lane without a name in the table is new: it is written even when its rows have come and gone already. */
int lanes_write(struct spool *s, struct err *ret_err)
{
	for (uint32_t i = 0; i < s->lanes.count; i++) {
		const struct lane *l = s->lanes.entries[i].item;
		int rc;

		if (i < s->lanes.committed && memcmp(&l->now, &l->saved, sizeof l->now) == 0)
			continue;
		rc = write_one(s, l, ret_err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void lanes_committed(struct spool *s)
{
	for (uint32_t i = 0; i < s->lanes.count; i++) {
		struct lane *l = s->lanes.entries[i].item;

		l->saved = l->now;
	}
	dict_committed(&s->lanes);
}

void lanes_rolled_back(struct spool *s)
{
	dict_rolled_back(&s->lanes);
	for (uint32_t i = 0; i < s->lanes.count; i++) {
		struct lane *l = s->lanes.entries[i].item;

		l->now = l->saved;
	}
}

static int oldest_of(struct spool *s, int64_t lane, int64_t *ret_ms, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_LANE_OLDEST);
	int rc;

	sqlite3_bind_int64(q, 1, lane);
	rc = db_step(&s->db, q, ret_err);
	if (rc < 0)
		return rc;
	*ret_ms = rc ? sqlite3_column_int64(q, 0) : 0;
	db_reset(q);
	return 0;
}

static uint64_t with_identity(const struct spool *s, int64_t lane)
{
	uint64_t n = 0;

	list_each(it, &s->ledger.rows) {
		const struct ledger_row *r = list_entry(it, struct ledger_row, node);

		n += !r->gone && r->row_id && r->lane == lane;
	}
	return n;
}

int spool_lanes_each(struct spool *s, int (*fn)(void *arg, const struct spool_lane *l), void *arg, struct err *ret_err)
{
	for (uint32_t i = 0; i < s->lanes.count; i++) {
		const struct lane *l = s->lanes.entries[i].item;
		struct spool_lane out = { .topic = l->topic, .partition = l->partition, .rows = l->now.rows,
					  .records = l->now.records, .bytes = l->now.bytes };
		int rc;

		if (!l->now.rows)
			continue;
		out.rows_with_identity = with_identity(s, l->id);
		rc = oldest_of(s, l->id, &out.oldest_ms, ret_err);
		if (rc == 0)
			rc = fn(arg, &out);
		if (rc)
			return rc;
	}
	return 0;
}

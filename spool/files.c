/* files.c - the tables files, positions and routes.
 *
 * Why two tables for a file: names and fingerprints change with the file, positions with every ack. The position rows of
 * some hundred files share one page.
 * Memory keeps the positions only; names stay in the database (10,000 files are allowed 1 KiB each, all in all).
 */
#include "spool/inside.h"

#include "agent/base/mem.h"

static int load_position(struct spool *s, sqlite3_stmt *q, struct err *ret_err)
{
	int64_t file = sqlite3_column_int64(q, 0), safe = sqlite3_column_int64(q, 1);
	struct range_set done = { 0 };
	struct markers markers;
	int rc = safe < 0 ? ERR_CORRUPT :
		 range_set_get(&done, safe, sqlite3_column_blob(q, 3), (size_t)sqlite3_column_bytes(q, 3));

	if (rc == ERR_CORRUPT)
		return err_set(ret_err, rc, "%s: the position of file %lld is damaged", s->db.path, (long long)file);
	(void)markers_get(&markers, safe, sqlite3_column_blob(q, 4), (size_t)sqlite3_column_bytes(q, 4));
	if (rc == 0)
		rc = positions_load(&s->positions, file, safe, (uint64_t)sqlite3_column_int64(q, 2), &done, &markers);
	range_set_release(&done);
	return rc < 0 ? err_set(ret_err, rc, "out of memory") : 0;
}

int files_load(struct spool *s, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_POSITIONS_EACH);
	int rc;

	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		rc = load_position(s, q, ret_err);
		if (rc < 0)
			break;
	}
	db_reset(q);
	return rc;
}

static int write_position(struct spool *s, const struct position *f, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_POSITION_PUT);
	uint8_t *start, markers[MARKERS_ROOM];

	buf_clear(&s->scratch);
	if (buf_reserve(&s->scratch, RANGE_SET_ROOM(&f->done)) < 0)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	start = (uint8_t *)s->scratch.data;
	sqlite3_bind_int64(q, 1, f->id);
	sqlite3_bind_int64(q, 2, f->safe);
	sqlite3_bind_int64(q, 3, (int64_t)f->marker);
	if (f->done.count)
		sqlite3_bind_blob(q, 4, start, (int)(range_set_put(start, &f->done, f->safe) - start), SQLITE_STATIC);
	else
		sqlite3_bind_null(q, 4);
	sqlite3_bind_blob(q, 5, markers, (int)(markers_put(markers, positions_markers(f), f->safe) - markers), SQLITE_STATIC);
	return db_run(&s->db, q, ret_err);
}

int files_write(struct spool *s, struct err *ret_err)
{
	list_each(it, &s->positions.touched) {
		const struct position *f = list_entry(it, struct position, txn);
		int rc = positions_changed(f) ? write_position(s, f, ret_err) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

int64_t spool_next_file_id(const struct spool *s)
{
	return (int64_t)s->now[TOTAL_NEXT_FILE];
}

int spool_file_put(struct spool *s, const struct spool_file *f, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_FILE_PUT);
	int rc = spool_may_change(s, ret_err);

	ASSERT(f->id > 0 && f->safe >= 0);
	if (rc < 0)
		return rc;
	sqlite3_bind_int64(q, 1, f->id);
	sqlite3_bind_text(q, 2, f->path, -1, SQLITE_STATIC);
	sqlite3_bind_text(q, 3, f->origin ? f->origin : f->path, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 4, (int64_t)f->dev);
	sqlite3_bind_int64(q, 5, (int64_t)f->inode);
	sqlite3_bind_int64(q, 6, f->generation);
	sqlite3_bind_int64(q, 7, f->fingerprint_len);
	sqlite3_bind_int64(q, 8, (int64_t)f->fingerprint);
	sqlite3_bind_int64(q, 9, f->size);
	sqlite3_bind_int(q, 10, f->state);
	sqlite3_bind_int64(q, 11, f->gone_ms);
	sqlite3_bind_text(q, 12, f->cursor, -1, SQLITE_STATIC);		/* NULL: a file */
	sqlite3_bind_int64(q, 13, f->cursor_at);
	rc = db_run(&s->db, q, ret_err);
	if (rc == 0 && !positions_get(&s->positions, f->id) &&
	    positions_add(&s->positions, f->id, f->safe, f->marker) < 0)
		rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	if (rc < 0)
		return spool_lost(s, rc);
	if ((uint64_t)f->id >= s->now[TOTAL_NEXT_FILE])
		s->now[TOTAL_NEXT_FILE] = (uint64_t)f->id + 1;
	return 0;
}

int spool_file_forget(struct spool *s, int64_t id, struct err *ret_err)
{
	static const enum stmt_id tables[] = { STMT_FILE_DELETE, STMT_POSITION_DELETE };
	int rc = spool_may_change(s, ret_err);

	if (rc < 0)
		return rc;
	for (int i = 0; i < 2 && rc == 0; i++) {
		sqlite3_bind_int64(db_stmt(&s->db, tables[i]), 1, id);
		rc = db_run(&s->db, db_stmt(&s->db, tables[i]), ret_err);
	}
	if (rc == 0 && positions_forget(&s->positions, id) < 0)
		rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	return rc < 0 ? spool_lost(s, rc) : 0;
}

struct spool_file files_decode(sqlite3_stmt *q)
{
	return (struct spool_file){
		.id = sqlite3_column_int64(q, 0),
		.dev = (uint64_t)sqlite3_column_int64(q, 3),
		.inode = (uint64_t)sqlite3_column_int64(q, 4),
		.generation = (uint32_t)sqlite3_column_int64(q, 5),
		.fingerprint_len = (uint32_t)sqlite3_column_int64(q, 6),
		.fingerprint = (uint64_t)sqlite3_column_int64(q, 7),
		.size = sqlite3_column_int64(q, 8),
		.state = (uint8_t)sqlite3_column_int(q, 9),
		.gone_ms = sqlite3_column_int64(q, 10),
		.cursor_at = sqlite3_column_count(q) > 12 ? sqlite3_column_int64(q, 12) : 0,
	};
}

static int unreadable(struct spool *s, int rc, const char *table, struct err *ret_err)
{
	return err_set(ret_err, rc, "%s: cannot read table %s: %s", s->db.path, table, err_text(rc));
}

int spool_files_each(struct spool *s, int (*fn)(void *arg, const struct spool_file *f), void *arg, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_FILES_EACH);
	int rc;

	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		const struct position *p = positions_get(&s->positions, sqlite3_column_int64(q, 0));
		struct spool_file f;
		const char *path, *origin;

		rc = p ? db_text(&s->db, q, 1, &path) : ERR_CORRUPT;
		if (rc == 0)
			rc = db_text(&s->db, q, 2, &origin);
		if (rc == 0) {
			f = files_decode(q);
			f.safe = p->safe;
			f.marker = p->marker;
			f.path = path;
			f.origin = origin;
			rc = sqlite3_column_type(q, 11) == SQLITE_NULL ? 0 : db_text(&s->db, q, 11, &f.cursor);
		}
		if (rc == 0) {
			rc = fn(arg, &f);
		} else {
			rc = unreadable(s, rc, "files", ret_err);
		}
		if (rc)
			break;
	}
	db_reset(q);
	return rc;
}

int spool_route_put(struct spool *s, const struct spool_route *r, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROUTE_PUT);
	int rc = spool_may_change(s, ret_err);

	if (rc < 0)
		return rc;
	sqlite3_bind_int64(q, 1, r->id);
	sqlite3_bind_text(q, 2, r->topic, -1, SQLITE_STATIC);
	if (r->key_null)
		sqlite3_bind_null(q, 3);
	else	/* a NULL pointer would bind NULL, an empty key is a key */
		sqlite3_bind_blob(q, 3, r->key_len ? r->key : "", (int)r->key_len, SQLITE_STATIC);
	sqlite3_bind_int64(q, 4, r->max_line);
	sqlite3_bind_text(q, 5, r->spec && r->spec[0] ? r->spec : NULL, -1, SQLITE_STATIC);
	rc = db_run(&s->db, q, ret_err);
	return rc < 0 ? spool_lost(s, rc) : 0;
}

int spool_routes_each(struct spool *s, int (*fn)(void *arg, const struct spool_route *r), void *arg, struct err *ret_err)
{
	sqlite3_stmt *q = db_stmt(&s->db, STMT_ROUTES_EACH);
	int rc;

	while ((rc = db_step(&s->db, q, ret_err)) > 0) {
		struct spool_route r = {
			.id = (uint32_t)sqlite3_column_int64(q, 0),
			.key = sqlite3_column_blob(q, 2),
			.key_len = (size_t)sqlite3_column_bytes(q, 2),
			.key_null = sqlite3_column_type(q, 2) == SQLITE_NULL,
			.max_line = sqlite3_column_int64(q, 3),
			.spec = "",
		};

		rc = db_text(&s->db, q, 1, &r.topic);
		if (rc == 0 && sqlite3_column_type(q, 4) != SQLITE_NULL)
			rc = db_text(&s->db, q, 4, &r.spec);
		rc = rc == 0 ? fn(arg, &r) : unreadable(s, rc, "routes", ret_err);
		if (rc)
			break;
	}
	db_reset(q);
	return rc;
}

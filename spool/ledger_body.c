/* ledger_body.c - what the database holds of an unresolved batch: encoding, decoding, loading, writing.
 *
 * Why one blob: a ledger row is written for every batch that is ever sent; fourteen bound columns cost more than all its
 * numbers as varints, and memory keeps the same bytes.
 * Failure: the blob ends with its CRC. A slot that does not fit it is found at open (ERR_CORRUPT): sending a batch under
 * a damaged identity could make the broker drop good records.
 */
#include "spool/inside.h"

#include <string.h>

#include "agent/base/crc32c.h"
#include "agent/base/mem.h"
#include "spool/ranges.h"
#include "spool/varint.h"

#define BODY_ROOM(n) (8 * VARINT_MAX + 1 + 4 + RANGES_ROOM(n) + 4)

static uint32_t body_crc(int64_t id, const uint8_t *body, size_t n)
{
	uint8_t head[VARINT_MAX];
	uint8_t *end = varint_put(head, (uint64_t)id);

	return crc32c(crc32c(0, head, (size_t)(end - head)), body, n);
}

static void note_files(struct ledger_row *r, int64_t file_id)
{
	if (file_id < r->file_lo)
		r->file_lo = file_id;
	if (file_id > r->file_hi)
		r->file_hi = file_id;
}

static struct ledger_row *row_new(int64_t id, const void *body, size_t n, size_t ranges_at, int32_t count)
{
	struct ledger_row *r = mem_alloc(sizeof *r + n);

	if (!r)
		return NULL;
	*r = (struct ledger_row){ .id = id, .count = (uint32_t)count, .ranges_at = (uint32_t)ranges_at,
				  .body_len = (uint32_t)n, .file_lo = INT64_MAX, .file_hi = INT64_MIN };
	memcpy(r->body, body, n);
	return r;
}

int ledger_encode(struct spool *s, const struct spool_ledger *l, int64_t stream, struct ledger_row **ret)
{
	uint8_t *start, *p;
	size_t ranges_at;
	struct ledger_row *r;

	buf_clear(&s->scratch);
	if (l->range_count > BATCH_RANGES_SANE || buf_reserve(&s->scratch, BODY_ROOM(l->range_count)) < 0)
		return ERR_NOMEM;
	p = start = (uint8_t *)s->scratch.data;
	p = varint_put(p, (uint64_t)stream);
	p = varint_put_signed(p, l->producer_id);
	p = varint_put_signed(p, l->producer_epoch);
	p = varint_put_signed(p, l->base_sequence);
	p = varint_put(p, (uint64_t)l->count);
	p = varint_put_signed(p, l->base_timestamp);
	p = varint_put_signed(p, (int64_t)((uint64_t)l->max_timestamp - (uint64_t)l->base_timestamp));
	*p++ = l->codec;
	p = fixed32_put(p, l->raw_crc);
	p = varint_put(p, l->raw_bytes);
	ranges_at = (size_t)(p - start);
	p = ranges_put(p, l->ranges, l->range_count);
	p = fixed32_put(p, body_crc(l->id, start, (size_t)(p - start)));
	r = row_new(l->id, start, (size_t)(p - start), ranges_at, l->count);
	if (!r)
		return ERR_NOMEM;
	for (size_t i = 0; i < l->range_count; i++)
		note_files(r, l->ranges[i].file_id);
	*ret = r;
	return 0;
}

struct fields { int64_t epoch, sequence, span; uint64_t stream, count, raw_bytes; };

/* Everything before the ranges. The place behind it, or NULL. */
static const uint8_t *get_fields(const uint8_t *p, const uint8_t *end, struct fields *f, struct spool_ledger *l)
{
	if (!varint_get(&p, end, &f->stream) || !varint_get_signed(&p, end, &l->producer_id) ||
	    !varint_get_signed(&p, end, &f->epoch) || !varint_get_signed(&p, end, &f->sequence) ||
	    !varint_get(&p, end, &f->count) || !varint_get_signed(&p, end, &l->base_timestamp) ||
	    !varint_get_signed(&p, end, &f->span) || p == end)
		return NULL;
	l->codec = *p++;
	if (!fixed32_get(&p, end, &l->raw_crc) || !varint_get(&p, end, &f->raw_bytes))
		return NULL;
	if (f->epoch < INT16_MIN || f->epoch > INT16_MAX || f->sequence < INT32_MIN || f->sequence > INT32_MAX ||
	    f->count > INT32_MAX || f->raw_bytes > UINT32_MAX || f->stream > UINT32_MAX)
		return NULL;
	l->producer_epoch = (int16_t)f->epoch;
	l->base_sequence = (int32_t)f->sequence;
	l->count = (int32_t)f->count;
	l->max_timestamp = (int64_t)((uint64_t)l->base_timestamp + (uint64_t)f->span);
	l->raw_bytes = (uint32_t)f->raw_bytes;
	return p;
}

int ledger_decode(struct spool *s, const struct ledger_row *r, struct spool_ledger *ret, struct spool_range **ret_ranges)
{
	const uint8_t *p, *end = r->body + r->body_len - 4;
	struct fields f;
	const struct stream *stream;
	int rc;

	*ret = (struct spool_ledger){ .id = r->id, .row_id = r->row_id };
	ret->left = r->row_id && r->left < r->count ? (int32_t)r->left : 0;
	p = get_fields(r->body, end, &f, ret);
	if (!p)
		return ERR_CORRUPT;
	stream = dict_at(&s->streams, (int64_t)f.stream);
	if (!stream)
		return ERR_CORRUPT;
	ret->cluster_id = stream->cluster_id;
	memcpy(ret->topic_id, stream->topic_id, sizeof ret->topic_id);
	ret->topic = stream->topic;
	ret->partition = stream->partition;
	rc = ranges_get(p, (size_t)(end - p), ret_ranges, &ret->range_count, &p);
	ret->ranges = rc < 0 ? NULL : *ret_ranges;
	return rc;
}

int ledger_body_read(int64_t id, const uint8_t *body, size_t n, struct spool_ledger *ret, int64_t *ret_stream,
		     struct spool_range **ret_ranges)
{
	struct fields f;
	const uint8_t *p, *tail;
	uint32_t crc;
	int rc;

	if (n < 5)
		return ERR_CORRUPT;
	tail = body + n - 4;
	*ret = (struct spool_ledger){ .id = id };
	p = get_fields(body, tail, &f, ret);
	if (!p || !fixed32_get(&tail, body + n, &crc) || crc != body_crc(id, body, n - 4))
		return ERR_CORRUPT;
	*ret_stream = (int64_t)f.stream;
	rc = ranges_get(p, (size_t)(body + n - 4 - p), ret_ranges, &ret->range_count, &p);
	ret->ranges = rc < 0 ? NULL : *ret_ranges;
	return rc;
}

int ledger_from_body(int64_t id, const uint8_t *body, size_t n, struct ledger_row **ret)
{
	struct fields f;
	struct spool_ledger l = { 0 };
	struct ranges_reader rr;
	struct spool_range range;
	const uint8_t *p, *tail;
	uint32_t crc;
	int rc;

	if (n < 5 || n > UINT32_MAX)
		return ERR_CORRUPT;
	tail = body + n - 4;
	p = get_fields(body, tail, &f, &l);
	if (!p || ranges_open(&rr, p, (size_t)(tail - p)) < 0)
		return ERR_CORRUPT;
	if (!fixed32_get(&tail, body + n, &crc) || crc != body_crc(id, body, n - 4))
		return ERR_CORRUPT;
	*ret = row_new(id, body, n, (size_t)(p - body), l.count);
	if (!*ret)
		return ERR_NOMEM;
	while ((rc = ranges_next(&rr, &range)) > 0)
		note_files(*ret, range.file_id);
	if (rc < 0)
		mem_free(*ret);
	return rc;
}

static int load_one(struct spool *s, sqlite3_stmt *st, struct err *ret_err)
{
	int64_t slot = sqlite3_column_int64(st, 0), id = sqlite3_column_int64(st, 1);
	struct ledger_row *r = NULL;
	struct row_info info;
	int rc = ledger_from_body(id, sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3), &r);

	if (rc == ERR_CORRUPT)
		return err_set(ret_err, rc, "the in-flight ledger in %s is damaged (batch %lld)", s->db.path, (long long)id);
	if (rc < 0)
		return err_set(ret_err, rc, "out of memory");
	r->slot = (uint32_t)slot;
	r->row_id = sqlite3_column_int64(st, 2);
	if (r->row_id) {
		rc = row_info_get(s, r->row_id, &info, ret_err);
		if (rc < 0) {
			mem_free(r);
			return rc == ERR_NOT_FOUND ? err_set(ret_err, ERR_CORRUPT, "%s: batch %lld has lost its row",
							     s->db.path, (long long)id) : rc;
		}
		r->lane = info.lane;
		r->left = (uint32_t)info.count;
	}
	rc = ledger_insert_take(&s->ledger, r, true);
	return rc < 0 ? err_set(ret_err, rc, "out of memory") : 0;
}

int ledger_load(struct spool *s, struct err *ret_err)
{
	sqlite3_stmt *st = db_stmt(&s->db, STMT_LEDGER_EACH);
	int64_t slots;
	int rc = db_count(&s->db, STMT_LEDGER_SLOTS, &slots, ret_err);

	if (rc < 0)
		return rc;
	if (slots < 0 || slots > INT32_MAX)
		return err_set(ret_err, ERR_CORRUPT, "the in-flight ledger in %s is damaged", s->db.path);
	while ((rc = db_step(&s->db, st, ret_err)) > 0) {
		rc = load_one(s, st, ret_err);
		if (rc < 0)
			break;
	}
	db_reset(st);
	if (rc < 0)
		return rc;
	rc = ledger_set_slots(&s->ledger, (uint32_t)slots);
	return rc < 0 ? err_set(ret_err, rc, "out of memory") : 0;
}

static int write_slot(struct spool *s, uint32_t slot, const struct ledger_row *r, struct err *ret_err)
{
	sqlite3_stmt *st = db_stmt(&s->db, STMT_LEDGER_PUT);

	sqlite3_bind_int64(st, 1, slot);
	sqlite3_bind_int64(st, 2, r ? r->id : 0);
	sqlite3_bind_int64(st, 3, r ? r->row_id : 0);
	if (r)
		sqlite3_bind_blob(st, 4, r->body, (int)r->body_len, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, 4);
	return db_run(&s->db, st, ret_err);
}

/* Each touched slot once. A slot that was freed and taken again is written by its new owner. */
int ledger_write(struct spool *s, struct err *ret_err)
{
	int rc = 0;

	list_each(it, &s->ledger.touched) {
		struct ledger_row *r = list_entry(it, struct ledger_row, txn);

		if (!r->gone && (r->added || r->row_id != r->old_row_id))
			rc = write_slot(s, r->slot, r, ret_err);
		else if (r->gone && !r->added && !s->ledger.owners[r->slot])
			rc = write_slot(s, r->slot, NULL, ret_err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

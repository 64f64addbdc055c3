/* plan.c - the in-flight ledger's face: a batch is planned, then acked or withdrawn.
 *
 * Why: a Kafka producer's sequences die with its process. What is committed here before the first byte can reach a socket
 * lets the next process repeat the batch under its old identity, and the broker recognises it.
 *
 * Invariants
 *  (1) the bytes of an unresolved batch are promised (no position passes them) until it is acked, or until its row is
 *      stored: then they are finished.
 *  (2) an acked batch is counted once: its row leaves the ledger in the transaction that counts it.
 *  (3) a batch that others replace leaves in the transaction that stores those, so that its records are always in one place.
 *  (4) a spooled row is named by at most one unresolved batch.
 */
#include "spool/inside.h"

#include "agent/base/mem.h"

/* The row exists, is free, and holds as many records as the batch: else the books would drift. */
static int check_row(struct spool *s, const struct spool_ledger *l, struct row_info *ret, struct err *ret_err)
{
	int rc = row_info_get(s, l->row_id, ret, ret_err);

	if (rc < 0)
		return rc;
	if (ledger_of_row(&s->ledger, l->row_id))
		return err_set(ret_err, ERR_INTERNAL, "row %lld has an identity already", (long long)l->row_id);
	if (ret->count != (uint64_t)(l->left ? l->left : l->count))
		return err_set(ret_err, ERR_INTERNAL, "row %lld holds %llu records, the batch says %d", (long long)l->row_id,
			       (unsigned long long)ret->count, l->count);
	return 0;
}

int spool_plan(struct spool *s, struct spool_ledger *l, struct err *ret_err)
{
	struct stream *stream;
	struct row_info info = { 0 };
	struct ledger_row *r = NULL;
	int rc = spool_may_change(s, ret_err);

	ASSERT(l->count > 0);
	for (size_t i = 0; i < l->range_count; i++)
		ASSERT(l->ranges[i].from >= 0 && l->ranges[i].from <= l->ranges[i].to);
	if (rc < 0)
		return rc;
	if (l->row_id) {
		rc = check_row(s, l, &info, ret_err);
		if (rc < 0)
			return rc == ERR_NOT_FOUND || rc == ERR_INTERNAL ? rc : spool_lost(s, rc);
	}
	l->id = (int64_t)s->now[TOTAL_NEXT_LEDGER];
	rc = streams_get(s, l, &stream, ret_err);
	if (rc < 0)
		return spool_lost(s, rc);
	rc = ledger_encode(s, l, stream->id, &r);
	if (rc == 0) {
		r->row_id = l->row_id;
		r->lane = info.lane;
		r->left = (uint32_t)info.count;
		rc = ledger_insert_take(&s->ledger, r, false);
	}
	if (rc < 0)
		return spool_lost(s, err_set(ret_err, rc, "out of memory"));
	s->now[TOTAL_NEXT_LEDGER]++;
	return 0;
}

int ledger_to_change(struct spool *s, int64_t id, struct ledger_row **ret, struct err *ret_err)
{
	int rc = spool_may_change(s, ret_err);

	*ret = ledger_find(&s->ledger, id);
	if (rc == 0 && !*ret)
		rc = err_set(ret_err, ERR_NOT_FOUND, "no unresolved batch %lld in the ledger", (long long)id);
	return rc;
}

int ledger_end(struct spool *s, struct ledger_row *r, struct err *ret_err)
{
	struct row_info info;
	int rc;

	if (r->row_id) {
		rc = row_info_get(s, r->row_id, &info, ret_err);
		if (rc == ERR_NOT_FOUND)	/* tried again it would fail for ever */
			rc = err_set(ret_err, ERR_CORRUPT, "%s: batch %lld has lost its row", s->db.path, (long long)r->id);
		if (rc == 0)
			rc = row_remove(s, &info, false, ret_err);
	} else {
		rc = finish_encoded(s, r->body + r->ranges_at, r->body_len - r->ranges_at, ret_err);
	}
	if (rc < 0)
		return spool_lost(s, rc);
	ledger_remove(&s->ledger, r);
	return 0;
}

int spool_acked(struct spool *s, int64_t ledger_id, struct err *ret_err)
{
	struct ledger_row *r;
	int rc = ledger_to_change(s, ledger_id, &r, ret_err);

	if (rc < 0)
		return rc;
	rc = ledger_end(s, r, ret_err);
	if (rc == 0)
		s->now[TOTAL_ACKED] += r->count;
	return rc;
}

int spool_replaced(struct spool *s, int64_t ledger_id, struct err *ret_err)
{
	struct ledger_row *r;
	int rc = ledger_to_change(s, ledger_id, &r, ret_err);

	return rc < 0 ? rc : ledger_end(s, r, ret_err);
}

int spool_unplan(struct spool *s, int64_t ledger_id, struct err *ret_err)
{
	struct ledger_row *r;
	int rc = ledger_to_change(s, ledger_id, &r, ret_err);

	if (rc < 0)
		return rc;
	rc = ledger_drop_missing(s, r, ret_err);
	if (rc < 0)
		return spool_lost(s, rc);
	ledger_remove(&s->ledger, r);
	return 0;
}

int spool_ledger_each(struct spool *s, int (*fn)(void *arg, const struct spool_ledger *l), void *arg, struct err *ret_err)
{
	list_each_safe(it, &s->ledger.rows) {
		const struct ledger_row *r = list_entry(it, struct ledger_row, node);
		struct spool_range *ranges = NULL;
		struct spool_ledger l;
		int rc;

		if (r->gone)
			continue;
		rc = ledger_decode(s, r, &l, &ranges);
		if (rc < 0)
			return err_set(ret_err, rc, "cannot read batch %lld of the ledger: %s", (long long)r->id, err_text(rc));
		rc = fn(arg, &l);
		mem_free(ranges);
		if (rc)
			return rc;
	}
	return 0;
}

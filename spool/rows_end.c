/* rows_end.c - batches are given up, or sent again without a proof: spooled rows and unresolved ones of the ledger.
 *
 * Why together: each of them tells `losses` the ranges of the batch, which stand in the ledger's slot or in the row.
 * Failure what cannot be found or is not allowed refuses; everything else loses the transaction.
 */
#include "spool/inside.h"

#include "agent/base/mem.h"

/* What losses shall say of a row. A head that does not fit its CRC is told with what its columns say, without ranges. */
struct end { struct row_info info; struct spool_row row; struct spool_range *ranges; };

static int look_at(struct spool *s, int64_t id, struct end *e, struct err *ret_err)
{
	int rc = row_head_get(s, id, &e->info, &e->row, &e->ranges, ret_err);

	return rc == ERR_CORRUPT && e->info.id == id ? 0 : rc;
}

static int enter_row(struct spool *s, const struct end *e, const char *reason, int64_t row_id, struct err *ret_err)
{
	struct spool_loss what = { .reason = reason, .topic = e->row.topic, .partition = e->row.partition,
				   .records = e->info.count, .bytes = e->info.size, .row_id = row_id };

	return losses_enter(s, &what, e->ranges, e->ranges ? e->row.range_count : 0, ret_err);
}

/* What a batch had and its row, which is what is left of it, has not. */
static int enter_missing(struct spool *s, const struct ledger_row *l, const struct end *e, struct err *ret_err)
{
	struct spool_loss what = { .reason = SPOOL_LOSS_GONE, .topic = e->row.topic, .partition = e->row.partition,
				   .records = l->count - l->left };
	struct spool_range *ranges = NULL;
	struct spool_ledger batch;
	size_t n = 0;
	int rc = ledger_decode(s, l, &batch, &ranges);

	if (rc < 0)
		return err_set(ret_err, rc, "cannot read batch %lld of the ledger: %s", (long long)l->id, err_text(rc));
	for (size_t i = 0, kept = 0; e->ranges && i < batch.range_count; i++) {
		bool there = kept < e->row.range_count && ranges[i].file_id == e->ranges[kept].file_id &&
			     ranges[i].from == e->ranges[kept].from;

		if (there)
			kept++;
		else
			ranges[n++] = ranges[i];
	}
	rc = losses_enter(s, &what, ranges, n, ret_err);
	mem_free(ranges);
	return rc;
}

int ledger_drop_missing(struct spool *s, const struct ledger_row *l, struct err *ret_err)
{
	struct end e = { 0 };
	int rc;

	if (!l->row_id || l->left == l->count)
		return 0;
	rc = look_at(s, l->row_id, &e, ret_err);
	if (rc == 0)
		rc = enter_missing(s, l, &e, ret_err);
	mem_free(e.ranges);
	return rc;
}

/* Its bytes stay where they are: the pages may be damaged, so they are not touched, and people may want to look at them. */
int spool_row_set_aside(struct spool *s, int64_t id, struct err *ret_err)
{
	struct ledger_row *l = ledger_of_row(&s->ledger, id);
	struct end e = { 0 };
	int rc = spool_may_change(s, ret_err);

	if (rc == 0)
		rc = look_at(s, id, &e, ret_err);
	if (rc < 0)
		return spool_refused(s, rc);
	rc = enter_row(s, &e, SPOOL_LOSS_DAMAGED, id, ret_err);
	if (rc == 0 && l && l->left < l->count)
		rc = enter_missing(s, l, &e, ret_err);
	if (rc == 0)
		rc = row_remove(s, &e.info, true, ret_err);
	mem_free(e.ranges);
	if (rc < 0)
		return spool_lost(s, rc);
	if (l)
		ledger_remove(&s->ledger, l);
	s->now[TOTAL_CORRUPT_ROWS]++;
	s->now[TOTAL_ASIDE_BYTES] += e.info.size;
	return 0;
}

static int check_waits(struct spool *s, int64_t id, struct err *ret_err)
{
	int rc = spool_may_change(s, ret_err);

	if (rc == 0 && ledger_of_row(&s->ledger, id))
		rc = err_set(ret_err, ERR_BUSY, "row %lld is on its way: it has an identity", (long long)id);
	return rc;
}

int spool_row_replaced(struct spool *s, int64_t id, struct err *ret_err)
{
	struct row_info info;
	int rc = check_waits(s, id, ret_err);

	if (rc == 0)
		rc = row_info_get(s, id, &info, ret_err);
	if (rc < 0)
		return spool_refused(s, rc);
	rc = row_remove(s, &info, false, ret_err);
	return rc < 0 ? spool_lost(s, rc) : 0;
}

int spool_row_drop(struct spool *s, int64_t id, const char *reason, struct err *ret_err)
{
	struct end e = { 0 };
	int rc = check_waits(s, id, ret_err);

	if (rc == 0)
		rc = look_at(s, id, &e, ret_err);
	if (rc < 0)
		return spool_refused(s, rc);
	rc = enter_row(s, &e, reason, 0, ret_err);
	if (rc == 0)
		rc = row_remove(s, &e.info, false, ret_err);
	mem_free(e.ranges);
	return rc < 0 ? spool_lost(s, rc) : 0;
}

/* The ranges that a batch was planned with, or those of its row; none that can be read: its words only. */
static int enter_batch(struct spool *s, const struct ledger_row *r, const char *reason, struct err *ret_err)
{
	struct spool_range *ranges = NULL;
	struct end e = { 0 };
	struct spool_ledger l;
	struct spool_loss what;
	size_t n;
	int rc = ledger_decode(s, r, &l, &ranges);

	if (rc < 0)
		return err_set(ret_err, rc, "cannot read batch %lld of the ledger: %s", (long long)r->id, err_text(rc));
	what = (struct spool_loss){ .reason = reason, .topic = l.topic, .partition = l.partition, .records = r->count,
				    .bytes = l.raw_bytes };
	n = l.range_count;
	if (!n && r->row_id) {
		rc = look_at(s, r->row_id, &e, ret_err);
		what.bytes = e.info.size;
		n = e.ranges ? e.row.range_count : 0;
	}
	if (rc == 0)
		rc = losses_enter(s, &what, e.ranges ? e.ranges : ranges, n, ret_err);
	mem_free(ranges);
	mem_free(e.ranges);
	return rc;
}

int spool_ledger_drop(struct spool *s, int64_t ledger_id, const char *reason, struct err *ret_err)
{
	struct ledger_row *r;
	int rc = ledger_to_change(s, ledger_id, &r, ret_err);

	if (rc < 0)
		return rc;
	rc = enter_batch(s, r, reason, ret_err);
	return rc < 0 ? spool_lost(s, rc) : ledger_end(s, r, ret_err);
}

int spool_uncertain(struct spool *s, int64_t ledger_id, struct err *ret_err)
{
	struct ledger_row *r;
	int rc = ledger_to_change(s, ledger_id, &r, ret_err);

	if (rc < 0)
		return rc;
	rc = enter_batch(s, r, SPOOL_LOSS_UNCERTAIN, ret_err);
	return rc < 0 ? spool_lost(s, rc) : 0;
}

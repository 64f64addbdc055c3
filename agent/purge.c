/* purge.c - see purge.h. */
#include "agent/purge.h"

#include "agent/state/state_int.h"

#define SLICE_ROWS  256
#define SLICE_BYTES (16u << 20)
#define SLICE_SEEN  4096

struct slice {
	struct purge *purge;
	struct state *st;
	int64_t  ids[SLICE_ROWS];
	struct lane *lanes[SLICE_ROWS];
	uint64_t records, bytes;
	size_t   n, seen;
};

static int see_row(void *arg, const struct spool_row *r)
{
	struct slice *x = arg;
	struct purge *p = x->purge;
	struct lane *lane = NULL;

	if (r->id > p->upto)
		return 1;
	if (x->n == SLICE_ROWS || x->bytes >= SLICE_BYTES || x->seen == SLICE_SEEN) {
		p->more = true;
		return 1;
	}
	x->seen++;
	p->after = r->id;
	if (x->st ? !state_row_waits(x->st, r, &lane) : r->ledger_id != 0) {
		p->kept++;
		return 0;
	}
	x->lanes[x->n] = lane;
	x->ids[x->n++] = r->id;
	x->records += (uint64_t)r->count;
	x->bytes += r->size;
	return 0;
}

static int drop(struct spool *s, const struct slice *x, struct err *ret_err)
{
	int rc = spool_begin(s, SPOOL_FULL, ret_err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < x->n && rc >= 0; i++)
		rc = spool_row_drop(s, x->ids[i], SPOOL_LOSS_PURGED, ret_err);
	if (rc >= 0)
		return spool_commit(s, ret_err);
	spool_rollback(s);
	return rc;
}

/* Behind the commit: the books and the lanes' backlogs follow together. */
static void tell(struct state *st, struct spool *s, const struct slice *x)
{
	books_lock(st->books);
	spool_totals(s, &st->books->totals);
	for (size_t i = 0; i < x->n; i++)
		producer_forgotten(st->producer, x->lanes[i], 1);
	books_unlock(st->books);
	st->idle_more = true;
}

int purge_rows(struct spool *s, struct state *st, struct purge *p, struct err *ret_err)
{
	struct slice x = { .purge = p, .st = st };
	int64_t began = p->after;
	int rc;

	p->more = false;
	p->things = p->records = p->kept = 0;
	rc = spool_rows_after(s, p->after, see_row, &x, ret_err);
	if (rc >= 0 && x.n)
		rc = drop(s, &x, ret_err);
	if (rc < 0) {
		p->after = began;
		return rc;
	}
	if (st && x.n)
		tell(st, s, &x);
	p->things = x.n;
	p->records = x.records;
	return 0;
}

/* --- rejected records --- */

static int see_rejected(void *arg, const struct spool_rejected *r)
{
	struct slice *x = arg;

	if (r->id > x->purge->upto)
		return 1;
	if (x->seen == SLICE_SEEN || x->bytes >= SLICE_BYTES) {
		x->purge->more = true;
		return 1;
	}
	x->seen++;
	x->bytes += r->size;
	x->purge->after = r->id;
	return 0;
}

int purge_rejected(struct spool *s, struct purge *p, struct err *ret_err)
{
	struct slice x = { .purge = p };
	int rc;

	p->more = false;
	p->things = p->records = p->kept = 0;
	rc = spool_rejected_each(s, 0, see_rejected, &x, ret_err);
	if (rc >= 0)
		rc = spool_begin(s, SPOOL_FULL, ret_err);
	if (rc < 0)
		return rc;
	rc = spool_rejected_purge(s, p->after, &p->things, ret_err);
	p->records = p->things;
	if (rc >= 0)
		return spool_commit(s, ret_err);
	spool_rollback(s);
	return rc;
}

/* salvage_note.c - what a salvage comes to: entries in the losses, and words for whoever reads the log.
 *
 * Why entries for what is only uncertain: lines that are sent again after their position was lost may be in Kafka twice, and
 * nobody else will ever know which.
 */
#include "spool/salvage.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"

static int enter(struct spool *to, const char *reason, uint64_t records, uint64_t bytes, struct err *ret_err)
{
	struct spool_loss l = { .ms = clock_wall_ms(), .reason = reason, .topic = "", .partition = -1, .path = "",
				.records = records, .bytes = bytes };

	return spool_loss_add(to, &l, ret_err);
}

int salvage_enter(struct spool *to, const struct spool_salvage *got, struct err *ret_err)
{
	int rc = 0;

	to->now[TOTAL_CORRUPT_ROWS] += got->rows_lost;
	if (got->rows_lost || got->records_lost || got->files_lost || !got->files)
		rc = enter(to, SPOOL_LOSS_STATE, got->records_lost, got->bytes_lost, ret_err);
	if (rc == 0 && (got->files_lost || !got->files))
		rc = enter(to, SPOOL_LOSS_UNCERTAIN, 0, 0, ret_err);
	return rc;
}

static void say(struct spool_salvage *got, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct spool_salvage *got, const char *fmt, ...)
{
	size_t n = strlen(got->text);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(got->text + n, sizeof got->text - n, fmt, ap);
	va_end(ap);
}

static unsigned long long u(uint64_t v) { return v; }

void salvage_tell(struct spool_salvage *got, const char *why)
{
	got->text[0] = 0;
	say(got, "the state database could not be used (%.160s); it is kept as %s. ", why, got->aside);
	if (!got->files && !got->rows && !got->batches)
		say(got, "Nothing could be saved from it: files are read from their beginning, and their lines may be in "
		    "Kafka twice");
	else
		say(got, "Saved: %llu files, %llu spooled rows with %llu records, %llu batches in flight", u(got->files),
		    u(got->rows + got->rows_damaged), u(got->records), u(got->batches));
	if (got->rows_lost)
		say(got, ". Lost: %llu rows with %llu records, %llu bytes", u(got->rows_lost), u(got->records_lost),
		    u(got->bytes_lost));
	if (got->rows_no_room)
		say(got, " (%llu of the rows for want of room)", u(got->rows_no_room));
	if (got->rows_damaged)
		say(got, ". %llu of the rows are damaged", u(got->rows_damaged));
	if (got->files && got->files_back + got->files_lost)
		say(got, ". %llu files are read again from their beginning, their lines may be in Kafka twice",
		    u(got->files_back + got->files_lost));
	if (got->batches_lost)
		say(got, ". %llu batches in flight are sent again and may be in Kafka twice", u(got->batches_lost));
}

/* --- a WAL that is gone --- */

struct unresolved { int64_t *ids; size_t n; };

static int note_id(void *arg, const struct spool_ledger *l)
{
	struct unresolved *v = arg;
	int64_t *more = mem_grow(v->ids, v->n, sizeof *more);

	if (!more)
		return ERR_NOMEM;
	v->ids = more;
	v->ids[v->n++] = l->id;
	return 0;
}

static int withdraw_all(struct spool *s, const struct unresolved *v, struct err *ret_err)
{
	int rc = 0;

	for (size_t i = 0; i < v->n && rc == 0; i++) {
		rc = spool_uncertain(s, v->ids[i], ret_err);
		if (rc == 0)
			rc = spool_unplan(s, v->ids[i], ret_err);
	}
	return rc == 0 ? enter(s, SPOOL_LOSS_UNCERTAIN, 0, 0, ret_err) : rc;
}

int salvage_wal_lost(struct spool *s, struct spool_salvage *got, struct err *ret_err)
{
	struct unresolved v = { 0 };
	int rc = spool_ledger_each(s, note_id, &v, ret_err);

	if (rc == 0)
		rc = spool_begin(s, SPOOL_FULL, ret_err);
	if (rc == 0)
		rc = withdraw_all(s, &v, ret_err);
	if (rc == 0)
		rc = spool_commit(s, ret_err);
	if (rc == 0)
		rc = db_wal_settled(&s->db, ret_err);
	mem_free(v.ids);
	if (rc < 0)
		return rc;
	say(got, "%s%s-wal is gone, although the last agent here was not stopped in order: what it recorded last is lost. "
	    "Lines behind the positions that are known are sent again and may be in Kafka twice (%llu batches in flight among "
	    "them)", got->happened ? ". " : "", s->db.path, u(v.n));
	got->happened = got->wal_gone = true;
	got->batches_lost += v.n;
	return 0;
}

/* state_replace.c - a batch that the broker refused for what it holds ends, and what takes its place is recorded.
 *
 * Why one FULL transaction: before it the batch is in the ledger, behind it its parts are spooled rows with identities and
 * the records taken out of it are set aside. A crash or power loss finds one or the other, so no record is in both or in
 * neither. Its sources end with it, exactly as when it is spilled: from here on the database has the bytes.
 * Failure: undone whole and given back to the sender, which holds the partition and asks again.
 */
#include "agent/base/clock.h"
#include "agent/base/killpoint.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/state/state_int.h"
#include "producer/api.h"
#include "producer/cut.h"

#define RETRY_MS 1000

static int set_aside(struct spool *s, const struct batch *b, struct err *e)
{
	const struct cut *c = b->cut;
	struct spool_range *ranges = state_ranges(b);
	int rc = ranges ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (uint32_t i = 0; i < c->record_count && rc >= 0; i++) {
		const struct cut_record *r = &c->records[i];
		struct spool_rejected out = {
			.ms = clock_wall_ms(), .topic = b->topic, .partition = b->partition, .code = c->code,
			.message = r->words, .timestamp = r->timestamp, .bytes = r->bytes, .size = r->n,
			.ranges = ranges, .range_count = b->range_count,
		};

		rc = spool_reject(s, &out, e);
	}
	mem_free(ranges);
	return rc;
}

/* Identity, then bytes: the ledger row points to the spooled one. */
static int keep_part(struct spool *s, struct batch *part, struct err *e)
{
	int rc;

	part->ledger_id = part->row_id = 0;
	rc = state_plan_one(s, part, e);
	if (rc < 0)
		return rc;
	part->ledger_id = part->planned_id;
	return state_spill_one(s, part, e);
}

/* Its parts have its records from here on. Without a ledger row its ranges end by themselves. */
static int end_of(struct spool *s, const struct batch *b, struct err *e)
{
	return b->ledger_id ? spool_replaced(s, b->ledger_id, e) : state_finish(s, b, 0, e);
}

/* What was not recorded under its old identity need not be under its new one. */
static int plan_other(struct state *st, struct batch *b, struct err *e)
{
	b->planned_id = 0;
	if (st->may_double && !b->ledger_id && !b->row_id)
		return 0;
	return state_plan_one(st->spool, b, e);
}

static int apply(struct state *st, struct batch *b, struct err *e)
{
	struct spool *s = st->spool;

	const struct cut *c = b->cut;
	int rc = end_of(s, b, e);

	if (rc >= 0)
		rc = set_aside(s, b, e);
	list_each(it, &c->parts)
		if (rc >= 0)
			rc = keep_part(s, list_entry(it, struct batch, node), e);
	for (uint32_t i = 0; i < c->other_count && rc >= 0; i++)
		rc = plan_other(st, c->others[i], e);
	return rc;
}

static int commit(struct state *st, struct batch *b, struct err *e)
{
	int rc = spool_begin(st->spool, SPOOL_FULL, e);

	if (rc < 0)
		return rc;
	rc = apply(st, b, e);
	if (rc < 0) {
		spool_rollback(st->spool);
		return rc;
	}
	killpoint(KILL_REPLACE_BEFORE);
	rc = spool_commit(st->spool, e);
	if (rc >= 0)
		killpoint(KILL_REPLACE_AFTER);
	return rc;
}

static void say(const struct batch *b)
{
	const struct cut *c = b->cut;
	uint32_t parts = 0;

	list_each(it, &c->parts)
		parts++;
	if (c->record_count)
		log_error("records that the broker never takes are set aside; `spillway spool ls --rejected` shows them",
			KS("topic", b->topic), KI("partition", b->partition), KI("records", c->record_count),
			KS("reason", api_error(c->code)->name),
			KS("words", c->records[0].words ? c->records[0].words : ""));
	else
		log_info("a batch was refused and is sent in parts", KS("topic", b->topic), KI("partition", b->partition),
			KI("records", b->count), KI("parts", parts), KS("reason", api_error(c->code)->name));
}

static void replace(struct state *st, struct batch *b)
{
	const struct cut *c = b->cut;
	struct err e;
	int rc = commit(st, b, &e);

	if (rc < 0) {
		state_say(st, &e, "cannot record what takes the place of a refused batch, its partition waits, "
			  "trying again in 1 s");
		producer_replaced(st->producer, b, rc, RETRY_MS);
		return;
	}
	st->full_at_ms = clock_mono_ms();
	for (uint32_t i = 0; i < c->other_count; i++)
		state_plan_done(c->others[i]);
	state_publish(st, b);
	say(b);
	state_say(st, NULL, NULL);
	books_lock(st->books);
	spool_totals(st->spool, &st->books->totals);
	producer_replaced(st->producer, b, 0, 0);
	books_unlock(st->books);
}

void state_commit_replaces(struct state *st)
{
	struct batch *b;

	/* What stands before them in the queues is recorded first: acks of the same partition, say. */
	if (!state_commit_ledger(st, clock_mono_ms())) {
		while ((b = list_first(&st->todo.replaces, struct batch, node))) {
			list_remove(&b->node);
			producer_replaced(st->producer, b, ERR_IO, RETRY_MS);
		}
		return;
	}
	while ((b = list_first(&st->todo.replaces, struct batch, node))) {
		list_remove(&b->node);
		replace(st, b);
	}
}

/* state_journal.c - the producer's journal: what the sender hands over is queued for the state thread (journal.h).
 * Threads: the sender's. Lock: mu, for the queues.
 */
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/state/state_int.h"
#include "agent/tail/tail.h"

static void journal_plan(void *arg, struct list *batches)
{
	struct state *st = arg;
	struct list at_once;

	list_init(&at_once);
	list_each_safe(it, batches) {
		struct batch *b = list_entry(it, struct batch, node);

		/* Nothing of it is recorded: a crash leaves it to its file. Rows are, or they would be handed over again. */
		if (st->may_double && !b->row_id && !b->ledger_id && !b->lost_ranges) {
			list_remove(&b->node);
			list_push_back(&at_once, &b->node);
		}
		b->uncertain = b->uncertain && !st->may_double;		/* a repeat is what was asked for */
	}
	if (!list_empty(&at_once))
		producer_planned(st->producer, &at_once, 0);
	if (!list_empty(batches))
		state_push_all(st, &st->in.plans, batches);
}

static void journal_acked(void *arg, struct list *batches)
{
	struct state *st = arg;

	pthread_mutex_lock(&st->mu);
	list_splice_back(&st->in.acks, batches);
	if (!st->acks_timed)
		pthread_cond_signal(&st->cond);
	st->acks_timed = true;
	pthread_mutex_unlock(&st->mu);
}

static void journal_lost(void *arg, struct list *batches)
{
	struct state *st = arg;

	list_each(it, batches) {
		const struct batch *b = list_entry(it, struct batch, node);

		log_error(b->uncertain || b->maybe_written ?
			"lines in flight when the last run ended are no longer in their file or row: counted as dropped, "
			"though they may be in Kafka" :
			"lines in flight when the last run ended are no longer in their file or row: counted as dropped",
			KS("topic", b->topic), KI("partition", b->partition), KI("records", b->count),
			KI("file_id", b->range_count ? b->ranges[0].file_id : 0),
			KI("from", b->range_count ? b->ranges[0].from : 0), KI("row", b->row_id));
	}
	state_push_all(st, &st->in.lost, batches);
}

static void journal_spill(void *arg, struct list *batches)
{
	struct state *st = arg;

	state_push_all(st, &st->in.spills, batches);
}

static void journal_replace(void *arg, struct batch *b)
{
	struct state *st = arg;

	state_push(st, &st->in.replaces, &b->node);
}

static void push_read(struct state *st, const struct read_job *like)
{
	struct read_job *job = mem_new(struct read_job);

	ASSERT(job);
	*job = *like;
	state_push(st, &st->in.reads, &job->node);
}

static void journal_load(void *arg, struct batch *b)
{
	push_read(arg, &(struct read_job){ .kind = READ_LOAD, .batch = b });
}

static void journal_refill(void *arg, struct lane *lane, uint32_t max_batches, size_t max_bytes)
{
	push_read(arg, &(struct read_job){ .kind = READ_REFILL, .lane = lane,
		.max_batches = max_batches, .max_bytes = max_bytes });
}

static void journal_unread(void *arg, struct lane *l, struct list *batches, bool last)
{
	tail_unread(((struct state *)arg)->tail, l, batches, last);
}

static void journal_rewind(void *arg, struct lane *lane)
{
	push_read(arg, &(struct read_job){ .kind = READ_REWIND, .lane = lane });
}

static void journal_partitions(void *arg, const char *topic, int32_t count)
{
	state_partitions(arg, topic, count);
}

static void journal_event(void *arg, const char *topic, int32_t partition, const char *what)
{
	(void)arg;
	if (what && topic)
		log_warn(what, KS("topic", topic), KI("partition", partition),
			 KS("next", "tried again; its lines wait in memory, then in the spool, other topics go on"));
	else if (what)
		log_warn(what, KS("next", "tried again; lines wait in memory, then in the spool"));
	else if (topic)
		log_info("lane is well again", KS("topic", topic), KI("partition", partition));
	else
		log_info("brokers are reachable again");
}

void state_journal(struct state *st, struct producer_journal *ret_j)
{
	*ret_j = (struct producer_journal){
		.arg = st,
		.may_double = st->may_double,
		.plan = journal_plan,
		.acked = journal_acked,
		.lost = journal_lost,
		.spill = journal_spill,
		.load = journal_load,
		.replace = journal_replace,
		.refill = journal_refill,
		.unread = journal_unread,
		.rewind = journal_rewind,
		.partitions = journal_partitions,
		.event = journal_event,
	};
}

/* state_held.c - lanes that are held may not fill the spool: all of them together have half of max_size.
 *
 * Why here: how much each lane has in the spool is known here alone. Why half: the other lanes need the rest in the next
 * outage, and a topic that nobody creates would take it all, however large it is.
 * What is in the spool already stays, whatever happened to its lane since. Batches with an identity are let through: there
 * are few of them, and what stands behind them needs them gone from memory.
 */
#include "agent/state/state_int.h"

static int add_lane(void *arg, const struct spool_lane *l)
{
	struct state *st = arg;
	struct lane *lane = l->topic[0] ? producer_lane(st->producer, l->topic, l->partition) : NULL;

	if (lane && lane_held(lane))
		st->held_share.bytes += l->bytes;
	return 0;
}

static void count(struct state *st)
{
	struct spool_totals totals;
	struct err e;

	st->held_share.counted = true;
	st->held_share.bytes = 0;
	spool_totals(st->spool, &totals);
	st->held_share.max = (uint64_t)totals.max_size / 2;
	if (spool_lanes_each(st->spool, add_lane, st, &e) < 0)
		st->held_share.bytes = 0;	/* what is wrong shows when the batch is written */
}

bool state_held_refuses(struct state *st, const struct batch *b)
{
	if (b->placed || !b->lane || !lane_held(b->lane))
		return false;
	if (!st->held_share.counted)
		count(st);
	if (st->held_share.bytes + b->bytes > st->held_share.max)
		return true;
	st->held_share.bytes += b->bytes;
	return false;
}

void state_held_take(struct state *st, struct batch *b, struct list *out)
{
	struct lane *lane = b->lane;

	list_each_safe(it, &st->todo.spills) {
		struct batch *other = list_entry(it, struct batch, node);

		if (other->lane != lane || other->placed)
			continue;
		list_remove(&other->node);
		list_push_back(out, &other->node);
	}
}

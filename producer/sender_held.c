/* sender_held.c - lanes whose topic or partition takes nothing, though brokers do: they may not hold up the others.
 *
 * Why a share: such a lane can stay so for days, and its files are long. Without a bound it would fill memory, and every
 * other lane would wait for it. All of them together have an eighth of buffer.memory, in equal parts, so that a hundred
 * missing topics are no worse than one. What comes near its part is kept elsewhere at once, without max.block.ms: the others
 * are to notice nothing. Where there is no room elsewhere appends are refused, and only the lane's own source waits.
 * States	free -> bounded	[cannot send, and metadata or its partition says why]
 *	bounded -> held	[the fault is one that is told: a new topic may be unknown for a moment]
 *	-> free		[can send again, or has nothing left]
 * A partition that is stuck in a lane that can use others: the lane is free, but what is bound to that partition is kept
 * elsewhere as soon as anyone waits for memory.
 * Threads: sender; what it says is read by appenders and the journal. Without a journal there is no elsewhere: never held.
 */
#include "producer/sender.h"

#include <stdatomic.h>

#include "producer/core.h"

#define SHARE 8		/* one part of so many of buffer.memory */

const struct stream *sender_stuck_stream(const struct lane *l)
{
	const struct topic *t = l->topic;

	for (int32_t i = 0; i < t->stream_cap; i++)
		if (t->streams[i] && (l->partition == -1 || l->partition == i) && stream_stuck(t->streams[i]))
			return t->streams[i];
	return NULL;
}

bool sender_lane_faulty(const struct sender *s, const struct lane *l)
{
	const struct topic *t = l->topic;

	return sender_topic_faulty(s, t) || sender_stuck_stream(l) || (t->known && l->partition >= t->partition_count);
}

static bool is_bounded(const struct sender *s, const struct lane *l)
{
	return !l->usable && (l->topic->error || sender_lane_faulty(s, l));
}

void sender_lane_free(struct lane *l)
{
	if (!atomic_load(&l->share))
		return;
	atomic_store(&l->held, false);
	atomic_store(&l->full, false);
	atomic_store(&l->share, 0);
}

void sender_hold(struct sender *s)
{
	size_t n = 0, share;

	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		l->bounded = is_bounded(s, l);
		n += l->bounded;
		if (!l->bounded)
			sender_lane_free(l);
	}
	if (!n)
		return;
	share = budget_total(s->budget) / SHARE / n;
	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		if (!l->bounded)
			continue;
		if (!atomic_exchange(&l->share, share ? share : 1))
			sender_lower_wake(s, s->now_ms);	/* this round has looked already at what is to be spilled */
		atomic_store(&l->held, sender_lane_faulty(s, l));
		if (list_empty(&l->ready) && atomic_load(&l->bytes) <= share / 2)
			atomic_store(&l->full, false);
	}
}

bool sender_share_used_up(const struct lane *l, bool tight)
{
	size_t share = atomic_load(&l->share);

	if (!share || (!tight && !atomic_load(&l->held)))
		return false;
	return atomic_load(&l->full) || atomic_load(&l->bytes) >= share / 2;
}

/* Everything that is left waits for a fault of its own topic or partition. */
bool sender_only_held(const struct sender *s)
{
	uint64_t held = 0;

	if (s->at_journal || atomic_load(&s->accum->recording) || !sender_any_up(s))
		return false;
	list_each(it, &s->busy) {
		const struct lane *l = list_entry(it, struct lane, busy_node);

		if (atomic_load(&l->held))
			held += atomic_load(&l->in_memory);
		else if (l->seen_backlog || l->seen_spilling || l->returned_count || l->refilling || !list_empty(&l->ready))
			return false;
	}
	list_each(it, &s->streams) {
		const struct stream *st = list_entry(it, struct stream, node);

		for (uint32_t i = 0; i < st->count; i++) {
			const struct batch *b = st->slots[i];
			bool counted_above = b->lane && atomic_load(&b->lane->held);

			if (!stream_stuck(st) && !counted_above)
				return false;
			if (b->counted && !counted_above)
				held += (uint64_t)(b->count - b->kept_rest);
		}
	}
	return atomic_load(&s->accum->in_memory) == held;
}

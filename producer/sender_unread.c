/* sender_unread.c - lanes that are never kept elsewhere: their source is the buffer.
 *
 * When: where other lanes would spill, and somebody waits for the memory.
 * States (lane)	taking -> shut, giving back	[what is open is sealed; what comes out of the compressors goes back too]
 *	giving back -> shut			[nothing is left that has no identity]
 *	shut -> taking				[its source has gone back, and the lane can send again]
 * What has an identity stays, for the broker may have it: without its bytes, which the source still has, until its turn.
 * Invariant: between the first batch that goes back and the source's answer nothing is appended, so what goes back is the
 *	lane's end, and the source may begin anew at its oldest record.
 */
#include "producer/sender.h"

#include <stdatomic.h>

#include "producer/core.h"

#define ASK_AGAIN_MS 100

void sender_shut(struct sender *s, struct lane *l)
{
	if (!s->journal->unread || l->giving_back || atomic_load(&l->shut))
		return;
	if (!budget_has_waiters(s->budget)) {
		sender_lower_wake(s, s->now_ms + ASK_AGAIN_MS);
		return;
	}
	l->spill_mode = false;
	l->giving_back = true;
	l->shut_ms = s->now_ms;
	l->seal_due = false;
	list_remove(&l->linger_node);
	lane_shut(l);
}

/* The file has them. A stream that cannot send does not need them; one that can fetches them one by one. */
static void drop_planned(struct sender *s, struct lane *l)
{
	const struct topic *t = l->topic;

	for (int32_t i = 0; i < t->stream_cap && l->in_streams; i++)
		for (uint32_t k = 0; t->streams[i] && k < t->streams[i]->count; k++) {
			struct batch *b = t->streams[i]->slots[k];

			if (b->lane != l || b->state != BATCH_PLANNED || !list_empty(&b->node) || batch_absent(b) ||
			    !b->ledger_id || b->row_id)
				continue;
			batch_drop_bytes(b, s->budget);
			lane_uncount_bytes(b);
			accum_settled(s->accum, b);
		}
}

static void give_back(struct sender *s, struct lane *l)
{
	bool last = lane_is_empty(l);
	struct list out;

	list_init(&out);
	list_splice_back(&out, &l->bounced);
	list_splice_back(&out, &l->ready);
	if (list_empty(&out) && !last)
		return;
	l->giving_back = !last;
	s->journal->unread(s->journal->arg, l, &out, last);
}

/* A broker that is only slow is no reason to read all of it again and again. */
static bool may_reopen(const struct lane *l)
{
	return atomic_load(&l->returned_all) && l->usable && !l->behind && (!l->in_streams || l->last_good_ms > l->shut_ms);
}

/* Behind sender_refill, which finds out who can send. */
void sender_unread(struct sender *s)
{
	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		if (!l->waits || !atomic_load(&l->shut))
			continue;
		if (l->giving_back)
			give_back(s, l);
		if (!l->usable)
			drop_planned(s, l);
		if (!l->giving_back && may_reopen(l)) {
			l->since_ms = s->now_ms;
			lane_reopen(l);
		}
	}
}

void sender_unread_later(struct sender *s, const struct lane *l)
{
	if (atomic_load(&l->shut) && !l->giving_back && may_reopen(l))
		sender_lower_wake(s, s->now_ms);
}

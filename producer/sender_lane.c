/* sender_lane.c - lanes as the sender sees them: news, linger, memory, expiry.
 *
 * Why a list by due time: linger is the same for all, so the lane that announced first is due first, and a round looks at
 * the head only. A lane that has batches waiting to be sent is not sealed by time: a bigger batch is better than one more.
 * Invariants
 *  (1) a lane is in `busy` while it has anything that is not open or in a compressor; sender_sweep takes it out.
 *  (2) a lane is in `linger`, or has seal_due, or is not announced.
 */
#include "producer/sender.h"

#include <stdatomic.h>

#include "producer/core.h"

#define ASK_PARTITION_MS 1000

/* Lanes that cannot send anyway do not gain from small batches: only what would be lost with the process matters. */
static int64_t linger_of(const struct sender *s, const struct lane *l)
{
	/* What no file holds is not kept in memory for the sake of larger rows. */
	int64_t ms = s->config->linger_ms, idle = atomic_load(&l->streams) ? LANE_RESCUE_MS : SENDER_IDLE_LINGER_MS;

	if (s->journal && (l->spill_mode || l->seen_backlog || l->returned_count) && ms < idle)
		return idle;
	return ms;
}

static void meet(struct sender *s, struct lane *l)
{
	if (l->known)
		return;
	l->known = true;
	list_push_back(&s->lanes, &l->node);
	if (list_empty(&l->topic->node)) {
		metadata_add(&s->metadata, l->topic);
		sender_lower_wake(s, s->now_ms);	/* somebody may wait for it, and this round has asked already */
	}
}

/* Somebody chose a partition that the topic does not have, or not yet: asked again and again while it is waited for. */
void sender_ask_for_partition(struct sender *s, struct lane *l)
{
	if (!l->topic->known || l->partition < l->topic->partition_count)
		return;
	if (l->ask_at_ms <= s->now_ms) {
		l->ask_at_ms = s->now_ms + ASK_PARTITION_MS;
		metadata_want_refresh(&s->metadata);
		sender_lower_wake(s, s->now_ms);	/* this round has asked already */
	}
	sender_lower_wake(s, l->ask_at_ms);
}

static void refill_answered(struct sender *s, struct lane *l)
{
	l->refill_done = false;
	l->refilling = false;
	s->at_journal--;
	if (l->refill_result < 0)
		l->refill_at_ms = s->now_ms + 200;
	else if (!l->returned_count && l->seen_backlog && l->partition != LANE_UNPLACED)
		l->refill_at_ms = s->now_ms + 20;	/* no memory yet */
}

/* By due time. Nearly all have the same linger, so the place is at the end. */
static void linger_until(struct sender *s, struct lane *l, int64_t at_ms)
{
	struct list *pos;

	list_remove(&l->linger_node);
	l->linger_at_ms = at_ms;
	for (pos = s->linger.prev; pos != &s->linger; pos = pos->prev)
		if (list_entry(pos, struct lane, linger_node)->linger_at_ms <= at_ms)
			break;
	list_insert_before(pos->next, &l->linger_node);
	sender_lower_wake(s, at_ms);
}

void sender_news(struct sender *s)
{
	struct lane *l;

	while ((l = accum_next_news(s->accum))) {
		meet(s, l);
		if (l->partition == LANE_UNPLACED && list_empty(&l->unplaced_node))
			list_push_back(&s->unplaced, &l->unplaced_node);
		sender_ask_for_partition(s, l);
		if (l->announced_ms >= 0) {
			linger_until(s, l, l->announced_ms + linger_of(s, l));
			l->announced_ms = -1;
		}
		if (l->refill_done)
			refill_answered(s, l);
		if (!l->seen_spilling)
			list_splice_front(&l->ready, &l->bounced);
		if (!list_empty(&l->ready) || l->returned_count || l->seen_backlog || l->seen_spilling)
			sender_busy(s, l);
	}
}

/* --- linger --- */

/* What waits may wait for one partition of many, while others would take more. What no file holds is sealed all the same once
 * its lane is spilled: what waits before it is kept elsewhere by then, with its identity. */
static bool waits_to_send(const struct sender *s, const struct lane *l)
{
	if (list_empty(&l->ready) && (!l->unsent || (l->spill_mode && atomic_load(&l->streams))))
		return false;
	return !l->usable || !l->seal_due || s->now_ms < l->seal_by_ms;
}

static void seal_due(struct sender *s, struct lane *l)
{
	int64_t opened;

	if (waits_to_send(s, l)) {
		if (!l->seal_due)
			l->seal_by_ms = s->now_ms + SENDER_STUCK_MS;
		l->seal_due = true;
		sender_lower_wake(s, l->seal_by_ms);
		sender_busy(s, l);
		return;
	}
	l->seal_due = false;
	opened = lane_seal_older(l, s->now_ms - linger_of(s, l), s->now_ms);
	if (opened >= 0)
		linger_until(s, l, opened + linger_of(s, l));
}

static void seal_everything(struct sender *s)
{
	list_each(it, &s->lanes) {
		struct lane *l = list_entry(it, struct lane, node);

		list_remove(&l->linger_node);
		l->seal_due = false;
		lane_seal_older(l, INT64_MAX, s->now_ms);
	}
}

void sender_linger(struct sender *s)
{
	struct lane *l;
	struct list due;

	if (atomic_load(&s->p->draining)) {
		seal_everything(s);
		return;
	}
	list_each_safe(it, &s->busy) {
		l = list_entry(it, struct lane, busy_node);
		if (l->seal_due && !waits_to_send(s, l))
			seal_due(s, l);
		else if (l->seal_due && l->usable)
			sender_lower_wake(s, l->seal_by_ms);
	}
	list_init(&due);
	while ((l = list_first(&s->linger, struct lane, linger_node)) && l->linger_at_ms <= s->now_ms) {
		list_remove(&l->linger_node);
		list_push_back(&due, &l->linger_node);
	}
	while ((l = list_first(&due, struct lane, linger_node))) {
		list_remove(&l->linger_node);
		seal_due(s, l);
	}
	l = list_first(&s->linger, struct lane, linger_node);
	if (l)
		sender_lower_wake(s, l->linger_at_ms);
}

/* --- memory --- */

/* Sealing more of a lane whose batches wait to be sent already frees nothing sooner. An unbound lane's are bound only when
 * they can go, so what it has bound says nothing about the next. */
static bool seals_for_memory(struct lane *l)
{
	bool compressing;

	if (!list_empty(&l->ready) || (l->partition >= 0 && l->unsent))
		return false;
	pthread_mutex_lock(&l->accum->mu);
	compressing = !list_empty(&l->sealed);
	pthread_mutex_unlock(&l->accum->mu);
	return !compressing;
}

/* Memory is dry: the largest open batches must go, whatever their age. With a journal only when nothing else is in memory:
 * what is sealed will leave it in any case, be it for elsewhere. */
void sender_seal_for_memory(struct sender *s)
{
	uint32_t largest = 1, n;

	atomic_store(&s->accum->dry, false);
	if (budget_tight_since(s->budget) < 0 || (s->journal && atomic_load(&s->accum->live)))
		return;
	list_each(it, &s->lanes) {
		struct lane *l = list_entry(it, struct lane, node);

		n = seals_for_memory(l) ? lane_open_bytes(l) : 0;
		largest = n > largest ? n : largest;
	}
	list_each(it, &s->lanes) {
		struct lane *l = list_entry(it, struct lane, node);

		n = seals_for_memory(l) ? lane_open_bytes(l) : 0;
		if (n && n >= largest / 2)
			lane_seal_older(l, INT64_MAX, s->now_ms);
	}
}

/* --- delivery.timeout.ms, without a journal --- */

static void expire_ready(struct sender *s, struct lane *l, int64_t before_ms)
{
	struct batch *b;

	while ((b = list_first(&l->ready, struct batch, node)) && b->created_ms < before_ms) {
		list_remove(&b->node);
		b->topic = l->topic->name;
		b->error = 7;	/* REQUEST_TIMED_OUT */
		list_push_back(&s->done, &b->node);
	}
	if (b)
		sender_lower_wake(s, b->created_ms + s->config->delivery_timeout_ms + 1);
}

void sender_expire(struct sender *s)
{
	int64_t before_ms = s->now_ms - s->config->delivery_timeout_ms;

	list_each(it, &s->busy)
		expire_ready(s, list_entry(it, struct lane, busy_node), before_ms);
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		stream_expire(st, before_ms, s->now_ms, &s->done);
		if (st->count)
			sender_lower_wake(s, st->slots[0]->created_ms + s->config->delivery_timeout_ms + 1);
	}
}

/* --- leaving the lists --- */

void sender_sweep(struct sender *s)
{
	list_each_safe(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		if (!list_empty(&l->ready) || l->returned_count || l->seen_backlog || l->seen_spilling ||
		    l->in_streams || l->refilling || l->rewind_due || !list_empty(&l->bounced) || atomic_load(&l->shut)) {
			if (l->seal_due && !waits_to_send(s, l))
				sender_lower_wake(s, s->now_ms);	/* all is on its way: seal in the next round */
			sender_unread_later(s, l);
			continue;
		}
		l->since_ms = -1;
		l->spill_mode = false;
		sender_lane_free(l);
		if (!list_empty(&l->linger_node) && l->linger_at_ms > s->now_ms + s->config->linger_ms)
			linger_until(s, l, s->now_ms + s->config->linger_ms);
		if (!l->seal_due)
			list_remove(&l->busy_node);
		else
			sender_lower_wake(s, s->now_ms);
	}
	list_each_safe(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (st->count == 0 && st->reported == 0)
			list_remove(&st->node);
	}
}

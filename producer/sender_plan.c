/* sender_plan.c - gives ready batches a partition, an identity, and to the journal for recording.
 *
 * Why so late: a batch that is bound when it is about to be sent never waits for a partition that cannot take it.
 * Invariants
 *  (1) order of a lane: what came back, then nothing while rows are elsewhere or on their way there, then ready ones.
 *  (2) a lane that waits is never spilled, so its lines are newer than rows which an earlier life left for its topic and
 *      partition (its input was another then, or its file went): they go first.
 *  (3) with a journal no batch is sent before it answered; all that join one stream in one round are recorded together,
 *      and more only after that answer, so what is recorded is always a prefix of the stream.
 */
#include "producer/sender.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/core.h"

/* The broker forgets a producer by the newest timestamp it saw from it (producer.id.expiration.ms): what waited longer than this
 * is sent with the time of now. */
#define OLD_MS (20LL * 3600 * 1000)
#define PLAN_PACE_MS 5

static bool connected(struct sender *s, const struct topic *t, int32_t partition)
{
	struct broker *b = sender_leader(s, t, partition);

	return b && sender_want(s, &b->conn[CONN_MAIN]) && conn_up(&b->conn[CONN_MAIN]);
}

static bool partition_usable(struct sender *s, struct topic *t, int32_t partition)
{
	struct stream *st = partition < t->stream_cap ? t->streams[partition] : NULL;

	return connected(s, t, partition) && !(st && stream_stuck(st));
}

bool sender_lane_usable(struct sender *s, struct lane *l)
{
	struct topic *t = l->topic;
	bool any = false;

	if (l->partition == LANE_UNPLACED || !t->known || (s->config->enable_idempotence && s->id.producer_id < 0))
		return false;
	sender_ask_for_partition(s, l);
	if (l->partition >= 0)
		return partition_usable(s, t, l->partition);
	/* All of them, for each wants its leader connected. */
	for (int32_t i = place_first(&s->accum->conf.place, t->partition_count); i < t->partition_count; i++)
		any |= partition_usable(s, t, i);
	return any;
}

/* --- binding --- */

static struct stream *open_stream(struct sender *s, struct topic *t, int32_t partition)
{
	struct stream *st = topic_stream(t, partition, &s->stream_conf);

	if (st && st->need_id && st->id.producer_id == s->id.producer_id)
		s->id_stale = true;
	if (!st || !stream_can_take(st, &s->id, s->round) || !connected(s, t, partition))
		return NULL;
	/* A transaction costs the journal much the same for one batch as for several: while the stream has as many under way as
	 * it may send, the next ones wait for each other. */
	return s->journal && !st->planning && st->count > st->conf->window / 2 ? NULL : st;
}

/* Has a batch that is ready to be sent, for longer than partitioner.availability.timeout.ms. */
static bool waits_too_long(const struct sender *s, const struct stream *st)
{
	if (st->recovering || stream_held(st) || st->retry_at_ms > s->now_ms)
		return false;
	for (uint32_t i = 0; i < st->count; i++)
		if (st->slots[i]->state == BATCH_PLANNED)
			return !batch_absent(st->slots[i]) &&	/* else it waits for its bytes, not for the broker */
			       s->now_ms - st->slots[i]->planned_ms > s->config->partitioner_availability_timeout_ms;
	return false;
}

/* As KIP-794 has it, it is the broker that is late: with it all partitions that it leads. */
static void find_late_brokers(struct sender *s)
{
	if (!s->config->partitioner_availability_timeout_ms)
		return;
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);
		struct broker *b = sender_broker(s, topic_leader(st->owner, st->partition));

		if (b && waits_too_long(s, st))
			b->late_round = s->round;
	}
}

static bool is_late(struct sender *s, const struct topic *t, int32_t partition)
{
	const struct broker *b = sender_broker(s, topic_leader(t, partition));

	return b && b->late_round == s->round;
}

static size_t choices(struct sender *s, struct topic *t, struct sticky_choice *c)
{
	bool adaptive = s->config->partitioner_adaptive != 0, timeout = s->config->partitioner_availability_timeout_ms > 0;
	size_t n = 0;

	for (int32_t i = place_first(&s->accum->conf.place, t->partition_count); i < t->partition_count; i++) {
		struct stream *st = open_stream(s, t, i);

		if (st)
			c[n++] = (struct sticky_choice){ .partition = i, .queue = adaptive ? st->count : 0,
							 .spare = st->slow || (timeout && is_late(s, t, i)) };
	}
	return n;
}

static struct stream *bind_batch(struct sender *s, struct lane *l, const struct batch *b)
{
	struct topic *t = l->topic;
	struct sticky_choice *c;
	int32_t partition;

	if (l->partition >= 0)
		return open_stream(s, t, l->partition);
	c = mem_array(struct sticky_choice, t->partition_count);
	if (!c)
		return NULL;
	partition = sticky_pick(&l->sticky, c, choices(s, t, c), b->raw_bytes, (uint64_t)s->config->batch_size, &s->rng);
	mem_free(c);
	return partition < 0 ? NULL : topic_stream(t, partition, &s->stream_conf);
}

/* --- planning --- */

static struct batch *next_of(const struct lane *l)
{
	if (l->giving_back || l->behind)
		return NULL;
	if (l->returned_count)
		return l->rewind_due ? NULL : list_first(&l->returned, struct batch, node);
	if (l->seen_backlog || l->seen_spilling || l->refilling || l->rewind_due || !list_empty(&l->bounced))
		return NULL;
	return list_first(&l->ready, struct batch, node);
}

/* Never a time that a program gave its records: those have no journal. */
static void renew_old_timestamps(const struct sender *s, struct batch *b)
{
	int64_t age = s->journal ? clock_wall_ms() - b->max_timestamp : 0;

	if (age <= OLD_MS && age <= s->stream_conf.young_ms)
		return;
	b->base_timestamp += age;
	b->max_timestamp += age;
}

/* Planned rows hold the share of memory that brings rows back: more of them, and there is no room for the one that is next. */
static bool rows_enough(const struct sender *s, const struct stream *st, const struct batch *b)
{
	return b->row_id && st->count > 0 && (st->count + 1) * (size_t)b->bytes > s->refill_bytes / 3;
}

static bool plan_one(struct sender *s, struct lane *l, struct batch *b)
{
	struct stream *st = bind_batch(s, l, b);

	if (!st || rows_enough(s, st, b) || stream_take(st, b, &s->id, s->round, s->now_ms) < 0)
		return false;
	if (l->returned_count)
		l->returned_count--;
	if (b->row_id && l->earlier)
		l->earlier--;
	list_remove(&b->node);
	renew_old_timestamps(s, b);
	b->cluster_id = metadata_cluster_id(&s->metadata);
	memcpy(b->topic_id, l->topic->id, sizeof b->topic_id);
	b->sent_ms = 0;
	b->planned_ms = s->now_ms;
	l->in_streams++;
	l->unsent++;
	if (list_empty(&st->node))
		list_push_back(&s->streams, &st->node);
	if (s->journal) {
		l->planning_rows += b->row_id != 0;
		list_push_back(&s->to_plan, &b->node);
	}
	return true;
}

static uint32_t count_ready(const struct sender *s, uint32_t enough)
{
	uint32_t n = 0;

	list_each(it, &s->busy) {
		const struct lane *l = list_entry(it, struct lane, busy_node);

		n += l->returned_count;
		for (const struct list *b = l->ready.next; l->usable && b != &l->ready && n < enough; b = b->next)
			n++;
		if (n >= enough)
			break;
	}
	return n;
}

/* Batches that come one by one at full speed wait for each other, for a small part of what they lingered: a transaction of the
 * journal costs much the same for one as for several. */
static bool plan_later(struct sender *s)
{
	int64_t pace_ms = s->config->linger_ms / 4 < PLAN_PACE_MS ? s->config->linger_ms / 4 : PLAN_PACE_MS;
	int64_t at_ms = s->planned_at_ms + pace_ms;
	uint32_t enough = s->stream_conf.window / 2;

	if (!s->journal || at_ms <= s->now_ms || list_empty(&s->busy) || count_ready(s, enough) >= enough)
		return false;
	sender_lower_wake(s, at_ms);
	return true;
}

/* A batch a lane and a turn, so that draining and live lanes share a partition evenly. */
static void plan_in_turns(struct sender *s)
{
	bool progress = true;

	while (progress) {
		progress = false;
		list_each(it, &s->busy) {
			struct lane *l = list_entry(it, struct lane, busy_node);
			struct batch *b = l->usable ? next_of(l) : NULL;

			if (b && plan_one(s, l, b))
				progress = true;
		}
	}
	if (!list_empty(&s->busy)) {
		struct list *first = s->busy.next;

		list_remove(first);
		list_push_back(&s->busy, first);
	}
}

/* What was withdrawn is recorded anew, in place of what it was. */
static void plan_again(struct sender *s)
{
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);
		struct batch *b;

		b = stream_gone_next(st);
		if (b)
			sender_load(s, b);
		if (!stream_renew(st, &s->id, s->now_ms))
			continue;
		for (uint32_t i = 0; i < st->count; i++) {
			b = st->slots[i];
			b->cluster_id = metadata_cluster_id(&s->metadata);
			renew_old_timestamps(s, b);
			if (b->lane)
				b->lane->planning_rows += b->row_id != 0;
			list_push_back(&s->to_plan, &b->node);
		}
	}
}

void sender_plan(struct sender *s)
{
	if (s->journal)
		plan_again(s);
	find_late_brokers(s);
	if (!plan_later(s))
		plan_in_turns(s);
	if (list_empty(&s->to_plan))
		return;
	s->planned_at_ms = s->now_ms;
	list_each(it, &s->to_plan) {
		list_entry(it, struct batch, node)->retry_at_ms = 0;
		s->at_journal++;
	}
	s->journal->plan(s->journal->arg, &s->to_plan);
	ASSERT(list_empty(&s->to_plan));
}

void sender_plan_answered(struct sender *s, struct batch *b)
{
	int rc = b->error;

	b->error = 0;
	b->planned_ms = s->now_ms;
	stream_planned(sender_stream(s, b), b, rc, s->now_ms);
	if (rc < 0)
		list_push_back(&s->replan, &b->node);
	else if (b->row_id && b->lane)
		b->lane->planning_rows--;
}

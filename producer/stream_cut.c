/* stream_cut.c - a batch of the stream gives way to its parts: see sender_cut.c for when and why.
 *
 * Invariants
 *  (1) parts that hold all records have the sequences of the batch; then nobody else's change.
 *  (2) when records are missing, all that is left of the stream gets a new identity, and none of it was ever written.
 *  (3) without idempotence nothing has sequences: what stands behind is recorded anew behind the parts, for its order.
 * Threads: the sender's. Failure: stream_cut_reserve alone needs memory; after it nothing can fail.
 */
#include <string.h>

#include "agent/base/err.h"
#include "producer/stream_inside.h"

bool stream_cut_ready(const struct stream *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->slots[i]->state != BATCH_PLANNED)
			return false;
	return true;
}

int stream_cut_reserve(struct stream *s, uint32_t n)
{
	return stream_reserve(s, s->count + n);
}

void stream_cut_split(struct stream *s, struct list *parts)
{
	const struct batch *b = s->cutting;
	int32_t sequence = b->base_sequence;

	list_each(it, parts) {
		struct batch *part = list_entry(it, struct batch, node);

		part->producer_id = b->producer_id;
		part->producer_epoch = b->producer_epoch;
		part->base_sequence = sequence;
		/* In recovery it goes before what stands behind it. */
		part->attempts = 1;
		if (sequence >= 0)
			sequence = stream_sequence_after(sequence, part->count);
	}
}

static void renew(struct stream *s, struct list *parts, const struct stream_id *fresh)
{
	stream_renew_identity(s, fresh);
	list_each(it, parts)
		stream_identify(s, list_entry(it, struct batch, node));
	for (uint32_t i = 1; i < s->count; i++) {
		stream_not_written(s->slots[i]);
		stream_identify(s, s->slots[i]);
	}
}

void stream_cut_recount(struct stream *s, struct list *parts, const struct stream_id *fresh)
{
	ASSERT(s->cutting && s->cutting == s->slots[0]);
	if (s->conf->idempotent)
		renew(s, parts, fresh);
	else
		stream_cut_split(s, parts);
	for (uint32_t i = 1; i < s->count; i++) {
		if (!s->conf->journaled)
			continue;
		s->slots[i]->state = BATCH_PLANNING;
		s->planning++;
	}
}

void stream_cut_done(struct stream *s, struct list *parts, int64_t now_ms)
{
	bool again = false;
	uint32_t n = list_count(parts);

	ASSERT(s->slots[0] == s->cutting && s->count - 1 + n <= s->cap);
	memmove(s->slots + n, s->slots + 1, (s->count - 1) * sizeof *s->slots);
	s->count += n;
	s->count--;
	n = 0;
	list_each_safe(it, parts) {
		struct batch *part = list_entry(it, struct batch, node);

		list_remove(it);
		part->state = BATCH_PLANNED;
		s->slots[n++] = part;
	}
	for (uint32_t i = 0; i < s->count; i++) {
		struct batch *b = s->slots[i];

		if (b->state == BATCH_PLANNING)
			b->state = BATCH_PLANNED;
		b->out_of_order = false;
		again |= b->attempts > 0;
	}
	s->planning = 0;
	s->cutting = NULL;
	stream_settle(s);
	s->recovering = s->passing = again;
	s->retry_at_ms = now_ms;
}

void stream_cut_off(struct stream *s, const char *why, int64_t now_ms)
{
	s->cutting = NULL;
	stream_hold(s, s->cut_code, why, now_ms);
}

void stream_restamp(struct stream *s, int64_t wall_ms, uint64_t round)
{
	struct batch *b = s->cutting;

	b->base_timestamp = b->max_timestamp = wall_ms;
	b->state = BATCH_PLANNING;
	s->cutting = NULL;
	s->planning++;
	s->planning_round = round;
}

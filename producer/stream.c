/* stream.c - the slots of one partition: what joins, under which identity, and whose turn it is. Judging is in stream_judge.c.
 *
 * Failure no memory for a slot -> ERR_NOMEM, nothing changed.
 */
#include "producer/stream.h"

#include <stdio.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/base/rng.h"
#include "producer/api.h"
#include "producer/stream_inside.h"

#define SLOTS_FIRST 8

int32_t stream_sequence_after(int32_t base, int32_t count)
{
	return (int32_t)(((uint32_t)base + (uint32_t)count) & 0x7fffffffu);
}

int64_t stream_backoff(uint64_t *rng, int64_t base_ms, int64_t max_ms, uint32_t n)
{
	int64_t ms = base_ms;

	while (n-- > 0 && ms < max_ms)
		ms *= 2;
	/* 0.8 .. 1.2, then the ceiling. */
	ms = ms * (int64_t)(800 + rng_next(rng) % 401) / 1000;
	return ms < max_ms ? ms : max_ms;
}

void stream_init(struct stream *s, struct stream_conf *conf, const char *topic, int32_t partition)
{
	*s = (struct stream){
		.conf = conf, .topic = topic, .partition = partition, .id = { -1, -1 }, .last_offset = -1,
	};
	list_init(&s->node);
}

void stream_release(struct stream *s)
{
	ASSERT(s->count == 0);
	stream_doubt_drop(s);
	mem_free(s->slots);
	s->slots = NULL;
	s->cap = 0;
}

bool stream_same_identity(const struct batch *a, const struct batch *b)
{
	return a->producer_id == b->producer_id && a->producer_epoch == b->producer_epoch;
}

int stream_reserve(struct stream *s, uint32_t n)
{
	uint32_t cap = s->cap ? s->cap : SLOTS_FIRST;
	struct batch **slots;

	while (cap < n)
		cap *= 2;
	if (cap == s->cap)
		return 0;
	slots = mem_realloc(s->slots, cap * sizeof *slots);
	if (!slots)
		return ERR_NOMEM;
	s->slots = slots;
	s->cap = cap;
	return 0;
}

static int push(struct stream *s, struct batch *b)
{
	int rc = stream_reserve(s, s->count + 1);

	if (rc == 0)
		s->slots[s->count++] = b;
	return rc;
}

/* Half of all sequences are ahead, the other half behind. */
static bool sequence_before(const struct batch *a, const struct batch *b)
{
	uint32_t ahead = ((uint32_t)b->base_sequence - (uint32_t)a->base_sequence) & 0x7fffffffu;

	return stream_same_identity(a, b) && ahead && ahead < 0x40000000u;
}

int stream_restore(struct stream *s, struct batch *b)
{
	int rc = push(s, b);

	if (rc < 0)
		return rc;
	/* What took the place of another was recorded after those behind it. */
	for (uint32_t i = s->count - 1; i > 0 && sequence_before(b, s->slots[i - 1]); i--) {
		s->slots[i] = s->slots[i - 1];
		s->slots[i - 1] = b;
	}
	b->topic = s->topic;
	b->partition = s->partition;
	b->state = BATCH_PLANNED;
	b->attempts = 1;	/* planned counts as sent: nobody can tell */
	b->maybe_written = true;
	s->recovering = s->passing = s->restored = true;
	return 0;
}

bool stream_can_take(const struct stream *s, const struct stream_id *fresh, uint64_t round)
{
	if (s->count >= s->conf->window || s->recovering || s->renumber || s->gap || s->hold_code || s->cutting)
		return false;
	if (s->need_id && (s->count || fresh->producer_id == s->id.producer_id))
		return false;
	if (s->planning && s->planning_round != round)
		return false;
	if (!s->conf->idempotent)
		return true;
	/* Drain, then renew: another producer id only for an empty stream. */
	return fresh->producer_id >= 0 && (s->count == 0 || s->id.producer_id == fresh->producer_id);
}

static void begin_identity(struct stream *s, struct stream_id id)
{
	s->id = id;
	s->next_sequence = 0;
	s->warm = s->need_id = s->gap = false;
}

static struct stream_id next_epoch(const struct stream *s)
{
	ASSERT(s->id.epoch < INT16_MAX);
	return (struct stream_id){ s->id.producer_id, (int16_t)(s->id.epoch + 1) };
}

void stream_identify(struct stream *s, struct batch *b)
{
	b->topic = s->topic;
	b->partition = s->partition;
	b->producer_id = s->conf->idempotent ? s->id.producer_id : -1;
	b->producer_epoch = s->conf->idempotent ? s->id.epoch : -1;
	b->base_sequence = s->conf->idempotent ? s->next_sequence : -1;
	if (s->conf->idempotent)
		s->next_sequence = stream_sequence_after(s->next_sequence, b->count);
}

int stream_take(struct stream *s, struct batch *b, const struct stream_id *fresh, uint64_t round, int64_t now_ms)
{
	int rc = push(s, b);

	if (rc < 0)
		return rc;
	if (s->conf->idempotent && s->id.producer_id != fresh->producer_id)
		begin_identity(s, *fresh);
	if (s->count == 1 && now_ms - s->last_ack_ms > s->conf->forget_ms)
		s->warm = false;
	stream_identify(s, b);
	b->attempts = 0;
	b->maybe_written = b->out_of_order = b->proven = false;
	b->state = s->conf->journaled ? BATCH_PLANNING : BATCH_PLANNED;
	b->retry_at_ms = 0;
	if (s->conf->journaled) {
		s->planning++;
		s->planning_round = round;
	}
	return 0;
}

void stream_planned(struct stream *s, struct batch *b, int rc, int64_t now_ms)
{
	ASSERT(b->state == BATCH_PLANNING && s->planning > 0);
	if (rc < 0) {
		b->retry_at_ms = now_ms + stream_backoff(&s->conf->rng, s->conf->backoff_ms, s->conf->backoff_max_ms, 3);
		return;
	}
	b->retry_at_ms = 0;
	b->state = BATCH_PLANNED;
	b->uncertain = false;
	s->planning--;
}

/* --- sending --- */

static struct batch *next_recovering(const struct stream *s)
{
	if (s->sent)
		return NULL;
	for (uint32_t i = 0; i < s->count; i++)
		if (s->slots[i]->attempts > 0 && !s->slots[i]->out_of_order && !s->slots[i]->gone)
			return s->slots[i];
	return NULL;
}

static struct batch *next_flowing(const struct stream *s)
{
	if (s->sent == s->count || s->sent >= s->conf->in_flight)
		return NULL;
	/* At once on two brokers it would depend on them what is in the log first. */
	if (s->sent && s->moved)
		return NULL;
	if (s->conf->idempotent && !s->warm && s->sent)
		return NULL;
	return s->slots[s->sent];
}

struct batch *stream_next(const struct stream *s, int64_t now_ms, int64_t *wake_ms)
{
	struct batch *b;

	if (s->count == 0 || s->voided || s->cutting || s->doubt || stream_gone_asks(s))
		return NULL;
	if ((s->need_id || s->gap) && !s->recovering)
		return NULL;
	b = s->recovering ? next_recovering(s) : next_flowing(s);
	if (!b || b->state != BATCH_PLANNED || b->gone)
		return NULL;
	if (s->retry_at_ms > now_ms) {
		if (s->retry_at_ms < *wake_ms)
			*wake_ms = s->retry_at_ms;
		return NULL;
	}
	return b;
}

void stream_sent(struct stream *s, struct batch *b, int64_t now_ms)
{
	ASSERT(b->state == BATCH_PLANNED && !batch_absent(b));
	b->state = BATCH_SENT;
	b->attempts++;
	b->sent_ms = now_ms;
	s->sent++;
}

bool stream_can_renew(const struct stream *s, const struct stream_id *fresh)
{
	if (!s->conf->idempotent)
		return true;
	if (fresh->producer_id < 0)
		return false;
	return fresh->producer_id != s->id.producer_id || (!s->need_id && s->id.epoch < INT16_MAX);
}

void stream_renew_identity(struct stream *s, const struct stream_id *fresh)
{
	begin_identity(s, fresh->producer_id != s->id.producer_id ? *fresh : next_epoch(s));
}

bool stream_renew(struct stream *s, const struct stream_id *fresh, int64_t now_ms)
{
	uint32_t aside;

	if (!s->need_id || s->cutting || s->sent || s->planning || stream_ever_sent(s, &aside))
		return false;
	if (s->conf->idempotent && (fresh->producer_id < 0 || fresh->producer_id == s->id.producer_id))
		return false;
	for (uint32_t i = 0; i < s->count; i++)
		if (s->slots[i]->state != BATCH_PLANNED || (s->slots[i]->gone && !s->slots[i]->surveyed))
			return false;
	s->recovering = s->passing = s->renumber = false;
	s->retry_at_ms = now_ms;
	begin_identity(s, *fresh);	/* without idempotence: none, and none is needed */
	for (uint32_t i = 0; i < s->count; i++) {
		stream_gone_shrink(s->slots[i]);
		stream_identify(s, s->slots[i]);
		if (!s->conf->journaled)
			continue;
		s->slots[i]->state = BATCH_PLANNING;
		s->planning++;
	}
	return true;
}

/* --- small things --- */

const char *stream_hold_text(const struct stream *s, char *buf, size_t n)
{
	const struct api_error *e = api_error(s->hold_code);
	const char *why = s->hold_why ? s->hold_why : e->words;

	if (s->doubt)
		return stream_doubt_text(s, buf, n);
	snprintf(buf, n, "%s%s%s%s%s", e->name, why ? ": " : "", why ? why : "", s->said[0] ? "; it says: " : "", s->said);
	return buf;
}

void stream_moved(struct stream *s)
{
	s->moved = s->sent > 0;
}

void stream_nudge(struct stream *s)
{
	s->retry_at_ms = 0;
}

void stream_forgotten(struct stream *s)
{
	s->warm = s->create_time = false;
	s->last_offset = -1;
}

void stream_check(const struct stream *s)
{
	uint32_t sent = 0, planning = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct batch *b = s->slots[i], *before = i ? s->slots[i - 1] : NULL;

		sent += b->state == BATCH_SENT;
		planning += b->state == BATCH_PLANNING;
		ASSERT(b->partition == s->partition);
		if (before && b->producer_id >= 0 && !s->conf->may_double && !s->need_id && !s->gap &&
		    stream_same_identity(before, b) && !before->proven)
			ASSERT(b->base_sequence == stream_sequence_after(before->base_sequence, before->count));
		if (!s->recovering && b->state == BATCH_SENT)
			ASSERT(i < s->sent);
	}
	ASSERT(sent == s->sent && planning == s->planning);
	ASSERT(s->sent <= s->conf->in_flight || s->recovering);
	if (s->conf->idempotent && !s->warm && !s->recovering)
		ASSERT(s->sent <= 1);
}

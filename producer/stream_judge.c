/* stream_judge.c - what answers and their absence say of the batches of one partition.
 *
 * Why: see stream.h. The broker's side of it: duplicates answer 0 with the old offset while they are remembered; what is older
 * than the memory, and every gap, answers 45.
 *
 * Judging 45 (OUT_OF_ORDER_SEQUENCE_NUMBER)
 *	A 45 proves that the broker knows the identity, for it would have accepted anything otherwise. A success proves
 *	that everything before it is in the log, for it must join or be a repeat. So in recovery: 45, 45, 0 resolves all
 *	three; 0, 45 sends the 45 again in another pass; 45 only (the broker is behind or ahead of us) proves nothing:
 *	with a journal evidence is asked for (stream_doubt.c), without one the batches are known not to be written
 *	(nothing else writes under an identity that lives in this process) and get a new epoch.
 *	The proof needs warm-up: the first batch of an identity travels alone. Otherwise its refusal and the acceptance
 *	of the second would leave a hole that looks like "written".
 *
 * Judging refusals (10, 18, 32, 87)
 *	The broker looks at size and records before it looks at sequences: a repeat of what it has is refused as well. So
 *	a refusal says "not written" only of a batch none of whose attempts may have been written. The oldest one, refused
 *	for certain, is cut: nothing of its identity behind it can be in the log, for that would have to join. If its parts
 *	hold all of its records they keep its sequences; if records are taken out, all that is left gets a new identity.
 *
 * The alarm
 *	A first attempt must be new to the broker. When it is answered like a repeat, with an append time where the topic gives
 *	none to new batches, or below what was acknowledged, somebody else wrote those sequences: that answer, and all that
 *	follow under this identity, acknowledge nothing.
 */
#include "producer/stream.h"

#include "agent/base/err.h"
#include "producer/api.h"
#include "producer/evidence.h"
#include "producer/stream_inside.h"

#define CODE_OUT_OF_ORDER 45
#define CODE_TIMED_OUT 7
#define CODE_NETWORK 13
#define CODE_NOT_ENOUGH_REPLICAS 19
#define CODE_FENCED 47
#define CODE_NOT_ENOUGH_REPLICAS_AFTER 20
#define CODE_UNKNOWN (-1)
#define STUCK_FAILURES 5		/* with Kafka's backoff some 2 s, as long as a new topic may be unknown */
#define CORRUPT_TRIES 3		/* of the same bytes; then it is no accident */
#define UNKNOWN_TRIES 5		/* failures in a row before it is told */

static uint32_t slot_of(const struct stream *s, const struct batch *b)
{
	uint32_t i = 0;

	while (i < s->count && s->slots[i] != b)
		i++;
	ASSERT(i < s->count);
	return i;
}

/* Takes slot i out, to done. */
static void finish(struct stream *s, uint32_t i, int code, struct list *done)
{
	struct batch *b = s->slots[i];

	for (uint32_t k = i + 1; k < s->count; k++)
		s->slots[k - 1] = s->slots[k];
	s->count--;
	if (s->cutting == b)
		s->cutting = NULL;
	b->state = BATCH_ACKED;
	b->error = code;
	list_push_back(done, &b->node);
}

static void back_off(struct stream *s, int64_t now_ms)
{
	s->retry_at_ms = now_ms + stream_backoff(&s->conf->rng, s->conf->backoff_ms, s->conf->backoff_max_ms, s->failures);
	s->failures++;
}

void stream_hold(struct stream *s, int16_t code, const char *why, int64_t now_ms)
{
	s->hold_code = code;
	s->hold_why = why;
	s->retry_at_ms = now_ms + stream_backoff(&s->conf->rng, s->conf->hold_ms, s->conf->hold_max_ms, s->failures);
	s->failures++;
}

static void clear_marks(struct stream *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		s->slots[i]->out_of_order = false;
}

/* Nothing left may have been written: all of it gets new sequences under the next epoch, which also fences stragglers. */
static void renumber(struct stream *s)
{
	s->renumber = s->recovering = s->passing = false;
	s->hold_code = 0;
	if (!s->conf->idempotent)
		return;
	if (s->id.epoch == INT16_MAX || s->need_id) {
		s->need_id = true;
		return;
	}
	s->id.epoch++;
	s->next_sequence = 0;
	for (uint32_t i = 0; i < s->count; i++)
		stream_identify(s, s->slots[i]);
}

uint32_t stream_ever_sent(const struct stream *s, uint32_t *ret_aside)
{
	uint32_t n = 0;

	*ret_aside = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		n += s->slots[i]->attempts > 0;
		*ret_aside += s->slots[i]->attempts > 0 && (s->slots[i]->out_of_order || s->slots[i]->gone);
	}
	return n;
}

/* An abandoned batch stands before all that are left, and none between them. What the broker has is a prefix and it
 * remembers at least its last batch: if any of these were written, one would have answered good. */
static bool behind_one_gap(const struct stream *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (!s->slots[i]->gaps || s->slots[i]->gaps != s->slots[0]->gaps || !stream_same_identity(s->slots[i], s->slots[0]))
			return false;
	return s->count > 0;
}

void stream_not_written(struct batch *b)
{
	b->attempts = 0;
	b->maybe_written = b->proven = b->out_of_order = false;
	b->gaps = 0;
}

void stream_settle(struct stream *s)
{
	s->recovering = s->passing = s->progress = s->renumber = s->probing = false;
	s->hold_code = 0;
	s->failures = 0;
	s->retry_at_ms = 0;
}

void stream_withdraw(struct stream *s, bool uncertain)
{
	for (uint32_t i = 0; i < s->count; i++) {
		/* The journal, which may be at work on others of them, reads this. */
		if (uncertain && s->slots[i]->maybe_written)
			s->slots[i]->uncertain = true;
		stream_not_written(s->slots[i]);
	}
	stream_settle(s);
	s->need_id = true;
}

/* Every batch that was ever sent answered 45 in this pass. */
static void judge_all_out_of_order(struct stream *s, int64_t now_ms)
{
	clear_marks(s);
	if (s->progress) {
		/* An earlier one was lost on the way and has been repaired: these are next in line now. */
		s->progress = false;
		back_off(s, now_ms);
	} else if (stream_gone_unwritten(s)) {
		stream_withdraw(s, false);
	} else if (stream_any_gone(s)) {
		stream_doubt(s, DOUBT_GONE, 0, now_ms);
	} else if (s->conf->journaled && !s->conf->may_double && !behind_one_gap(s)) {
		stream_doubt(s, DOUBT_ANSWERS, CODE_OUT_OF_ORDER, now_ms);
	} else if (s->conf->journaled) {
		stream_withdraw(s, false);
	} else {
		for (uint32_t i = 0; i < s->count; i++) {
			s->slots[i]->attempts = 0;
			s->slots[i]->maybe_written = false;
		}
		renumber(s);
	}
}

static void judge_recovery(struct stream *s, int64_t now_ms)
{
	uint32_t ever, aside;

	if (!s->recovering || s->sent || s->cutting || s->doubt || stream_gone_asks(s))
		return;
	if (!s->passing) {
		/* All is quiet: the first pass begins. What answered 45 behind a failure only said "gap". */
		s->passing = true;
		s->progress = false;
		clear_marks(s);
	}
	ever = stream_ever_sent(s, &aside);
	if (ever > 0) {
		if (aside == ever)
			judge_all_out_of_order(s, now_ms);
		return;
	}
	s->recovering = s->passing = s->progress = false;
	s->hold_code = 0;
	if (s->renumber)
		renumber(s);
}

/* One that was never sent was given up: the broker would miss its sequences before those of all that stands behind it. */
static void close_gap(struct stream *s)
{
	uint32_t aside;

	if (!s->gap || s->sent || stream_ever_sent(s, &aside))
		return;
	s->gap = false;
	s->need_id = true;
}

static void judge(struct stream *s, int64_t now_ms)
{
	judge_recovery(s, now_ms);
	close_gap(s);
}

void stream_resume(struct stream *s, int64_t now_ms)
{
	s->passing = true;
	s->progress = false;
	clear_marks(s);
	judge(s, now_ms);
}

/* Slot i is in the log: so is everything of its identity before it, if it may have been written at all. (If not, the broker
 * has forgotten the identity and took slot i without looking: no proof of anything.) It may be unanswered still: at the
 * leader before, which hangs, while the next one has it by replication. */
static void prove_older(struct stream *s, uint32_t i, struct list *done)
{
	struct batch *b = s->slots[i];

	for (uint32_t k = 0; k < i; ) {
		struct batch *older = s->slots[k];
		bool maybe = older->maybe_written || older->state == BATCH_SENT;

		/* One of an earlier life may have an identity although none are given now. */
		if (b->producer_id < 0 || !stream_same_identity(older, b) || !maybe) {
			k++;
		} else if ((older->out_of_order || older->gone) && older->state == BATCH_PLANNED) {
			older->offset = older->append_time = -1;
			finish(s, k, 0, done);
			i--;
		} else {
			older->proven = true;	/* sent once more, for its offset */
			k++;
		}
	}
}

static void acknowledge(struct stream *s, struct batch *b, int64_t offset, int64_t append_time, struct list *done)
{
	s->acked_records += (uint32_t)b->count;
	s->acked_bytes += batch_wire_bytes(b);
	if (offset >= 0)
		s->last_offset = offset + b->count - 1;
	b->offset = offset;
	b->append_time = append_time;
	finish(s, slot_of(s, b), 0, done);
}

static void succeed(struct stream *s, struct batch *b, int64_t offset, int64_t append_time, int64_t now_ms, struct list *done)
{
	s->failures = s->trusts = 0;
	s->retry_at_ms = 0;
	s->hold_code = 0;
	s->taken_out = s->corrupt = 0;
	s->last_ack_ms = now_ms;
	s->progress = s->recovering;
	s->age_unknown = false;
	if (b->producer_id == s->id.producer_id && b->producer_epoch == s->id.epoch)
		s->warm = true;
	prove_older(s, slot_of(s, b), done);
	acknowledge(s, b, offset, append_time, done);
}

void stream_found(struct stream *s, struct batch *b, int64_t offset, int64_t now_ms, struct list *done)
{
	ASSERT(b->state == BATCH_PLANNED);
	s->last_ack_ms = now_ms;
	acknowledge(s, b, offset, -1, done);
}

/* Without a journal: the oldest batch ends with an error; what is behind it needs new sequences, once settled. */
static void refuse(struct stream *s, struct batch *b, int code, struct list *done)
{
	finish(s, slot_of(s, b), code, done);
	s->renumber = s->conf->idempotent;
	s->recovering = true;
	s->failures = 0;
	s->retry_at_ms = 0;
}

static bool oldest(const struct stream *s, const struct batch *b)
{
	for (uint32_t i = 0; i < s->count && s->slots[i] != b; i++)
		if (!s->slots[i]->out_of_order && !s->slots[i]->gone)
			return false;
	return true;
}

/* Refused for what it holds. */
static void refused(struct stream *s, struct batch *b, int16_t code, int64_t now_ms, struct list *done)
{
	if (b->maybe_written && s->conf->journaled && (s->conf->idempotent || !s->conf->may_double)) {
		stream_doubt(s, DOUBT_REFUSED, code, now_ms);
	} else if (!s->conf->journaled && (b->maybe_written || b->count == 1)) {
		refuse(s, b, code, done);
	} else if (s->slots[0] != b) {
		/* What is before it is to be judged first, and it proves as little as a 45. */
		b->out_of_order = true;
	} else {
		s->cutting = b;
		s->cut_code = code;
		s->cut_at_ms = now_ms;
	}
}

bool stream_stuck(const struct stream *s)
{
	bool too_few = s->last_code == CODE_NOT_ENOUGH_REPLICAS || s->last_code == CODE_NOT_ENOUGH_REPLICAS_AFTER;

	return stream_held(s) || (too_few && s->count && s->failures >= STUCK_FAILURES);
}

/* Worth no other answer than the same bytes again. True: but no longer without a word. */
static bool tell_slowly(struct stream *s, const struct api_error *e)
{
	if (e->class == API_ERR_REBUILD)
		return ++s->corrupt >= CORRUPT_TRIES;
	return e->code == CODE_UNKNOWN && s->failures >= UNKNOWN_TRIES;
}

static void fail(struct stream *s, struct batch *b, const struct api_error *e, int16_t code, int64_t now_ms, struct list *done)
{
	bool final = e->class == API_ERR_LANE || e->class == API_ERR_FENCED || e->class == API_ERR_FATAL;

	b->maybe_written |= e->maybe_written;
	if (e->maybe_written)
		s->vouched_by = 0;
	s->recovering = true;
	if (code == CODE_TIMED_OUT || code == CODE_NOT_ENOUGH_REPLICAS || code == CODE_NOT_ENOUGH_REPLICAS_AFTER)
		s->slow = true;
	if (e->class == API_ERR_SEQUENCE && (code == CODE_OUT_OF_ORDER || !s->conf->journaled)) {
		b->out_of_order = true;
		return;
	}
	final |= e->class == API_ERR_SEQUENCE;
	if (s->doubt)
		return;
	/* Only the oldest is judged: what stands behind something unsettled is sent again when its turn comes. */
	if (!oldest(s, b)) {
		back_off(s, now_ms);
	} else if (e->class == API_ERR_SPLIT || e->class == API_ERR_RECORD) {
		refused(s, b, code, now_ms, done);
	} else if (!s->conf->journaled && (final || b->attempts > s->conf->retries)) {
		s->need_id |= e->class == API_ERR_FENCED;
		refuse(s, b, code, done);
	} else if (e->class == API_ERR_FENCED || e->class == API_ERR_SEQUENCE) {
		stream_doubt(s, DOUBT_ANSWERS, code, now_ms);
	} else if (final || (tell_slowly(s, e) && s->conf->journaled)) {
		stream_hold(s, code, NULL, now_ms);
	} else {
		back_off(s, now_ms);
	}
}

/* A first attempt that is answered like a repeat. */
static bool alarming(const struct stream *s, const struct batch *b, int64_t offset, int64_t append_time)
{
	if (!s->conf->journaled || !s->conf->idempotent || b->attempts != 1 || b->maybe_written || append_time < 0 || offset < 0)
		return false;
	return s->create_time || offset <= s->last_offset;
}

void stream_answer(struct stream *s, struct batch *b, int16_t code, int64_t offset, int64_t append_time, int64_t now_ms,
		   struct list *done)
{
	const struct api_error *e = api_error(code);
	bool good = e->class == API_ERR_NONE || e->class == API_ERR_DUPLICATE;

	ASSERT(b->state == BATCH_SENT && s->sent > 0);
	b->state = BATCH_PLANNED;
	s->sent--;
	s->moved = s->moved && s->sent;
	s->last_code = code;
	s->slow = now_ms - b->sent_ms > s->conf->slow_ms;
	if (s->doubt == DOUBT_ALARM || (good && alarming(s, b, offset, append_time))) {
		b->maybe_written |= good || e->maybe_written;
		s->recovering = true;
		stream_doubt(s, DOUBT_ALARM, CODE_FENCED, now_ms);
		return;
	}
	if (good)
		succeed(s, b, offset, append_time, now_ms, done);
	else if (b->proven && (code == CODE_OUT_OF_ORDER || e->class == API_ERR_SPLIT || e->class == API_ERR_RECORD))
		succeed(s, b, -1, -1, now_ms, done);
	else
		fail(s, b, e, code, now_ms, done);
	judge(s, now_ms);
}

void stream_lost(struct stream *s, struct batch *b, bool on_wire, int64_t now_ms, struct list *done)
{
	ASSERT(b->state == BATCH_SENT && s->sent > 0);
	b->state = BATCH_PLANNED;
	s->sent--;
	s->moved = s->moved && s->sent;
	if (on_wire) {
		b->maybe_written = true;
		s->loose_ms = now_ms;
		s->vouched_by = 0;
	} else {
		b->attempts--;
	}
	/* What did not leave must still wait for older ones that did. */
	s->recovering = true;
	if (!s->conf->journaled && b->attempts > s->conf->retries && oldest(s, b))
		refuse(s, b, CODE_NETWORK, done);
	judge(s, now_ms);
}

/* --- giving up, without a journal --- */

void stream_abandon(struct stream *s, struct batch *b, int code, int64_t now_ms, struct list *done)
{
	uint32_t i = slot_of(s, b);

	for (uint32_t k = i + 1; k < s->count && b->attempts; k++)
		s->slots[k]->gaps += stream_same_identity(s->slots[k], b);
	s->gap |= s->conf->idempotent && b->attempts == 0;
	finish(s, i, code, done);
	/* A question that was put was about other batches. */
	evidence_free(s->evidence);
	s->evidence = NULL;
	s->asked = NULL;
	judge(s, now_ms);
}

void stream_expire(struct stream *s, int64_t before_ms, int64_t now_ms, struct list *done)
{
	ASSERT(!s->conf->journaled);
	if (!s->count || s->slots[0]->state != BATCH_PLANNED || s->slots[0]->created_ms >= before_ms)
		return;
	while (s->count && s->slots[0]->state == BATCH_PLANNED && s->slots[0]->created_ms < before_ms)
		refuse(s, s->slots[0], CODE_TIMED_OUT, done);
	judge(s, now_ms);
}

void stream_fail_all(struct stream *s, int16_t code, struct list *done)
{
	ASSERT(!s->conf->journaled && s->sent == 0);
	while (s->count)
		finish(s, 0, code, done);
	s->recovering = s->passing = s->renumber = false;
}

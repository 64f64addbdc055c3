/* evidence.c - questions, answers and verdict: see evidence.h.
 *
 * Why LATEST comes before OFFSET: a timestamp that nobody has yet says "not in the log", and the scan then begins at its end. Asked
 * afterwards that end would hide what came in between.
 * Why the scan begins one offset before: a log whose oldest record is what was asked for may have lost older ones to retention,
 * and where offsets are missing just before it compaction may have taken ours.
 * Why base_timestamp is compared: two agents with a copied state directory may write the same sequences; the one whose
 * records are not in the log must not take the other's for its own. A topic with LogAppendTime may have changed it.
 * Invariants
 *  (1) found is never taken back; items behind a wait are looked for from where the scan had come to.
 *  (2) DONE is never left.
 * Failure no memory for the items: no evidence, the caller tries again.
 */
#include "producer/evidence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "producer/stream.h"

#define LOG_APPEND_TIME 8	/* in a batch's attributes */
#define EMPTY_MAX 5		/* answers without a batch below the high watermark, in a row */

struct evidence *evidence_new(const struct evidence_conf *conf, const struct evidence_item *items, uint32_t count)
{
	struct evidence *e = mem_zalloc(sizeof *e + count * sizeof *items);

	if (!e)
		return NULL;
	e->conf = *conf;
	e->items = (struct evidence_item *)(e + 1);
	if (count)
		memcpy(e->items, items, count * sizeof *items);
	e->count = count;
	e->latest = e->earliest = e->start = e->at = e->high_watermark = -1;
	return e;
}

void evidence_free(struct evidence *e)
{
	mem_free(e);
}

static uint32_t missing(const struct evidence *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->count; i++)
		n += e->items[i].maybe && !e->items[i].found;
	return n;
}

static void done(struct evidence *e, enum evidence_verdict v)
{
	e->step = EVIDENCE_DONE;
	e->verdict = v;
}

static void wait_until(struct evidence *e, int64_t at_ms)
{
	e->step = EVIDENCE_WAIT;
	e->wait_until_ms = at_ms;
}

static bool gone(const struct evidence *e)
{
	for (uint32_t i = 0; i < e->count; i++)
		if (e->items[i].gone && e->items[i].maybe && !e->items[i].found)
			return true;
	return false;
}

/* Where to look first, or on. */
static void look_into_log(struct evidence *e)
{
	e->empty = 0;
	e->step = e->at >= 0 ? EVIDENCE_RECORDS : EVIDENCE_LATEST;
}

/* Something is there and an earlier one is not: the leader had forgotten the identity in between, and took what came. Sent
 * again the earlier one would be refused, and that would look like written. */
static bool out_of_line(const struct evidence *e)
{
	bool gap = false;

	for (uint32_t i = 0; i < e->count; i++) {
		if (gap && e->items[i].found)
			return true;
		gap |= !e->items[i].found;
	}
	return false;
}

/* There is no more to be learned at present. asked_ms: when the last question was sent. */
static void conclude(struct evidence *e, int64_t asked_ms)
{
	bool whole = !e->unreadable && !e->hole;

	/* And where somebody else's batch stands a repeat would be taken for it. */
	e->conf.resend &= !out_of_line(e) && !e->foreign;
	if (!missing(e) || (whole && e->conf.resend && !gone(e))) {
		done(e, EVIDENCE_SCANNED);
	} else if (!e->settled || asked_ms < e->conf.settle_at_ms) {
		wait_until(e, e->conf.settle_at_ms);
	} else if (e->tail && whole) {
		/* Remembered and not to be seen: it is above the high watermark. Where there are holes it may never be seen. */
		wait_until(e, asked_ms + e->conf.tail_ms);
	} else {
		/* The log is a prefix of what was sent: what its leader is behind of, it does not have. */
		done(e, whole || (e->behind && !e->unreadable) ? EVIDENCE_ABSENT : EVIDENCE_UNKNOWN);
	}
}

void evidence_tick(struct evidence *e, int64_t now_ms)
{
	if (e->step != EVIDENCE_WAIT || now_ms < e->wait_until_ms)
		return;
	/* It may be permitted by now. */
	e->unreadable = e->tail = false;
	e->step = EVIDENCE_PRODUCERS;
}

/* --- the leader's memory --- */

static int32_t before(int32_t base)
{
	return (int32_t)(((uint32_t)base - 1) & 0x7fffffffu);
}

void evidence_expect_producers(struct evidence *e)
{
	e->seen = e->other = false;
}

void evidence_see_producer(void *evidence, const struct api_producer_state *p)
{
	struct evidence *e = evidence;
	const struct evidence_item *first = e->items;

	if (!e->count || p->producer_id != first->producer_id)
		return;
	/* An epoch begins with sequence 0, whatever was the last of the one before. */
	if (p->epoch < first->epoch && first->base_sequence != 0)
		return;
	e->other = p->epoch > first->epoch;
	e->seen = !e->other;
	e->seen_sequence = p->epoch < first->epoch ? before(0) : p->last_sequence;
	e->seen_ms = p->last_timestamp;
}

/* -1: none of ours. 0: just before the oldest. n: the n-th item is the last one written. */
static int boundary(const struct evidence *e, int32_t last)
{
	const struct evidence_item *first = e->items;

	if (last == before(first->base_sequence))
		return 0;
	for (uint32_t i = 0; i < e->count; i++) {
		const struct evidence_item *it = &e->items[i];

		if (it->producer_id == first->producer_id && it->epoch == first->epoch &&
		    last == before(stream_sequence_after(it->base_sequence, it->count)))
			return (int)i + 1;
	}
	return -1;
}

static bool one_identity(const struct evidence *e)
{
	for (uint32_t i = 1; i < e->count; i++)
		if (e->items[i].producer_id != e->items[0].producer_id || e->items[i].epoch != e->items[0].epoch)
			return false;
	return true;
}

static bool ends_before(const struct evidence *e, int32_t last)
{
	uint32_t ahead = ((uint32_t)before(e->items[0].base_sequence) - (uint32_t)last) & 0x7fffffffu;

	return ahead && ahead < 0x40000000u && !e->conf.gaps;
}

void evidence_take_producers(struct evidence *e, int64_t asked_ms)
{
	int n = e->seen ? boundary(e, e->seen_sequence) : -1;
	bool alive = n >= 0 && one_identity(e);

	e->settled = asked_ms >= e->conf.settle_at_ms;
	/* Whoever is somewhere else with this identity will not take ours. */
	if (e->other || (e->seen && !alive && one_identity(e)))
		e->conf.resend = false;
	e->forgotten = !e->seen;
	e->behind = e->seen && n < 0 && ends_before(e, e->seen_sequence);
	e->tail = n > 0 && e->items[n - 1].maybe && !e->items[n - 1].found && !e->items[n - 1].foreign;
	alive = alive && e->seen_ms >= e->conf.alive_since_ms;
	if (alive && e->conf.trust)
		done(e, EVIDENCE_ALIVE);
	else if (missing(e))
		look_into_log(e);
	else
		conclude(e, asked_ms);
}

/* --- its log --- */

void evidence_take_offset(struct evidence *e, int64_t offset)
{
	if (e->step == EVIDENCE_LATEST) {
		e->latest = offset < 0 ? 0 : offset;
		e->step = EVIDENCE_EARLIEST;
		return;
	}
	if (e->step == EVIDENCE_EARLIEST) {
		e->earliest = offset < 0 ? 0 : offset;
		e->step = EVIDENCE_OFFSET;
		return;
	}
	e->start = offset >= 0 && offset < e->latest ? offset : e->latest;
	e->at = e->start > e->earliest ? e->start - 1 : e->start;
	e->hole = e->start <= e->earliest && e->earliest > 0;
	e->step = EVIDENCE_RECORDS;
}

static void compare(struct evidence *e, const struct api_batch_header *h)
{
	for (uint32_t i = 0; i < e->count; i++) {
		struct evidence_item *it = &e->items[i];

		if (h->producer_id != it->producer_id || h->epoch != it->epoch || h->base_sequence != it->base_sequence)
			continue;
		if (h->last_offset - h->base_offset + 1 != it->count ||
		    (h->base_timestamp != it->base_timestamp && !(h->attributes & LOG_APPEND_TIME))) {
			e->foreign = it->foreign = true;
			continue;
		}
		it->found = true;
		it->offset = h->base_offset;
		e->append_time = h->attributes & LOG_APPEND_TIME;
	}
}

/* Holes hide what may have been ours; but of one identity the earlier is in the log when the later is. */
static void infer(struct evidence *e)
{
	for (uint32_t i = 0; i < e->count; i++)
		for (uint32_t k = i + 1; k < e->count && e->items[i].maybe && !e->items[i].found; k++)
			if (e->items[k].found && e->items[k].producer_id == e->items[i].producer_id &&
			    e->items[k].epoch == e->items[i].epoch) {
				e->items[i].found = true;
				e->items[i].offset = -1;
			}
}

void evidence_take_records(struct evidence *e, const struct api_fetch *a, int64_t asked_ms)
{
	const uint8_t *p = a->records, *end = p ? p + a->records_len : p;
	struct api_batch_header h;
	int64_t began = e->at;

	e->high_watermark = a->high_watermark;
	while (p && api_next_batch_header(&p, end, &h)) {
		if (h.last_offset < e->at)
			continue;
		e->hole |= h.base_offset > e->at;
		e->at = h.last_offset + 1;
		compare(e, &h);
	}
	e->empty = e->at > began ? 0 : e->empty + 1;
	if (e->at < a->high_watermark && (e->empty >= EMPTY_MAX || (p && end - p >= BATCH_HEAD))) {
		/* Nothing comes although the log goes on, or in a format of old. */
		e->hole = true;
		e->at = a->high_watermark;
	}
	if (missing(e) && e->at < a->high_watermark)
		return;
	if (e->hole)
		infer(e);
	conclude(e, asked_ms);
}

void evidence_refused(struct evidence *e, int64_t now_ms)
{
	if (e->step == EVIDENCE_PRODUCERS) {
		e->settled = now_ms >= e->conf.settle_at_ms;
		e->behind = e->tail = false;
		if (e->conf.young && e->conf.resend && e->conf.trust)
			done(e, EVIDENCE_ALIVE);
		else if (missing(e))
			look_into_log(e);
		else
			conclude(e, now_ms);
	} else if (e->step != EVIDENCE_WAIT && e->step != EVIDENCE_DONE) {
		e->unreadable = true;
		conclude(e, now_ms);
	}
}

void evidence_rewind(struct evidence *e)
{
	e->latest = e->earliest = e->start = e->at = -1;
	e->hole = false;
	look_into_log(e);
}

/* --- words --- */

const char *evidence_text(const struct evidence *e, char *buf, size_t n)
{
	uint32_t left = missing(e);

	if (e->step == EVIDENCE_RECORDS && e->high_watermark >= 0)
		snprintf(buf, n, "looks for %u batches in its log, offset %" PRId64 " of %" PRId64, left, e->at,
			 e->high_watermark);
	else if (e->step == EVIDENCE_WAIT && e->tail)
		snprintf(buf, n, "waits until what its leader has is on all replicas");
	else if (e->step == EVIDENCE_WAIT)
		snprintf(buf, n, "waits until no earlier request can still be under way (request.timeout.ms and "
			 "evidence.settle.ms), then %s", e->unreadable ?
			 "sends again what may be there already: the log cannot be read (ACL: READ)" : "looks once more");
	else
		snprintf(buf, n, "asks what its leader has of %u batches that nobody answered", left);
	return buf;
}

/* stream_doubt.c - batches of a stream that are judged by evidence, because answers prove nothing.
 *
 * When
 *	before	  what may have been written is about to be sent again, and the broker may have forgotten the identity: then it
 *		  would take it a second time
 *	answers	  all that was sent answered 45, or the identity is unknown (59) or fenced (47, 90)
 *	refused	  a repeat is refused for what it holds, and the broker looks at that before it looks for a repeat
 *	alarm	  somebody else writes under our identity
 *	gone	  what may have been written cannot be sent again (stream_gone.c)
 * While there is doubt nothing of the stream is sent and nothing joins it. sender_evidence.c asks, evidence.c judges.
 * Invariants
 *  (1) a batch is taken off its identity only when it is known not to be in the log, or when nobody can tell: then it is
 *      marked, and recorded as uncertain together with its fresh identity before it is sent.
 *  (2) a stream is believed to live (trusted) once without a success, then only its log counts.
 * Threads: the sender's. Failure no memory for the question: asked again.
 */
#include <stdio.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/evidence.h"
#include "producer/stream_inside.h"

#define CLOCKS_APART_MS 60000		/* batches may be that much of the future */
#define LOOK_BACK_MS (10LL * 60 * 1000)	/* brokers' clocks: a topic may stamp batches itself */
#define TAIL_MS 5000

static const char nameless[] = "a repeat of what may be in the log already is refused, so nobody can tell whether it is there; "
	"it goes when the topic takes it again";

void stream_doubt(struct stream *s, enum stream_doubt why, int16_t code, int64_t now_ms)
{
	ASSERT(s->conf->journaled);
	if (!s->conf->idempotent && why != DOUBT_GONE) {
		/* There is no identity to look for; one of an earlier life is given up where that is allowed. */
		if (s->conf->may_double && why == DOUBT_ANSWERS && !s->sent) {
			stream_withdraw(s, false);
			return;
		}
		stream_hold(s, code, why == DOUBT_REFUSED ? nameless : NULL, now_ms);
		return;
	}
	if (s->doubt == why)
		return;
	stream_doubt_drop(s);
	s->doubt = why;
	s->doubt_ms = now_ms;
	s->hold_code = code;
	s->hold_why = NULL;
	s->vouched_by = 0;
	s->ask_at_ms = 0;
	s->ask_faults = 0;
}

void stream_doubt_drop(struct stream *s)
{
	evidence_free(s->evidence);
	s->evidence = NULL;
	s->asked = NULL;
	s->doubt = DOUBT_NONE;
}

void stream_doubt_over(struct stream *s, int64_t now_ms)
{
	stream_doubt_drop(s);
	s->hold_code = 0;
	stream_resume(s, now_ms);
}

bool stream_any_maybe(const struct stream *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->slots[i]->attempts > 0 && s->slots[i]->maybe_written)
			return true;
	return false;
}

/* The broker counts from the timestamp of the last batch that it has: any of those that may have been written. */
bool stream_young(const struct stream *s, int64_t wall_ms)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct batch *b = s->slots[i];
		int64_t age = wall_ms - b->max_timestamp;

		if (b->attempts > 0 && b->maybe_written && (age >= s->conf->young_ms || age < -CLOCKS_APART_MS))
			return false;
	}
	return !s->age_unknown;
}

bool stream_doubt_ready(const struct stream *s)
{
	if (!s->doubt || s->voided || s->cutting || s->sent)
		return false;
	for (uint32_t i = 0; i < s->count; i++)
		if (s->slots[i]->attempts > 0 && s->slots[i]->state != BATCH_PLANNED)
			return false;
	return true;
}

/* --- the question --- */

static int64_t settle_at(const struct stream *s)
{
	int64_t since = s->restored ? s->conf->started_ms : s->loose_ms;

	if (s->loose_ms > since)
		since = s->loose_ms;
	return since + s->conf->settle_ms;
}

static uint32_t fill_items(const struct stream *s, struct evidence_item *items, struct evidence_conf *conf)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct batch *b = s->slots[i];

		if (b->attempts == 0)
			continue;
		if (n == 0 || b->base_timestamp - LOOK_BACK_MS < conf->from_ms)
			conf->from_ms = b->base_timestamp - LOOK_BACK_MS;
		conf->gaps |= b->gaps > 0;
		items[n++] = (struct evidence_item){
			.producer_id = b->producer_id, .epoch = b->producer_epoch, .base_sequence = b->base_sequence,
			.count = b->count, .base_timestamp = b->base_timestamp, .maybe = b->maybe_written,
			.found = b->proven, .gone = b->gone, .offset = -1,
		};
	}
	if (conf->from_ms < 0)
		conf->from_ms = 0;	/* what is below has a meaning of its own */
	return n;
}

int stream_doubt_begin(struct stream *s, int64_t wall_ms)
{
	/* A machine or directory that is a copy may find what another one wrote: then only the log tells whose it is. */
	bool before = s->doubt == DOUBT_BEFORE && !s->age_unknown;
	struct evidence_conf conf = {
		.resend = s->doubt == DOUBT_BEFORE || s->doubt == DOUBT_GONE,
		.trust = before || (s->doubt == DOUBT_ANSWERS && !s->trusts),
		.young = stream_young(s, wall_ms), .alive_since_ms = wall_ms - s->conf->young_ms,
		.settle_at_ms = settle_at(s), .tail_ms = TAIL_MS,
	};
	struct evidence_item *items = mem_array(struct evidence_item, s->count + 1);

	if (!items)
		return ERR_NOMEM;
	s->evidence = evidence_new(&conf, items, fill_items(s, items, &conf));
	mem_free(items);
	if (!s->evidence)
		return ERR_NOMEM;
	s->evidence->conf = conf;
	return 0;
}

/* --- the verdict --- */

/* Items stand in the order of the slots that were sent. */
static void take_found(struct stream *s, const struct evidence *e, int64_t now_ms, struct list *done)
{
	uint32_t slot = 0;

	for (uint32_t i = 0; i < e->count; i++) {
		while (s->slots[slot]->attempts == 0)
			slot++;
		if (e->items[i].found)
			stream_found(s, s->slots[slot], e->items[i].offset, now_ms, done);
		else
			slot++;
	}
}

void stream_doubt_end(struct stream *s, uint64_t vouched_by, int64_t now_ms, struct list *done)
{
	struct evidence *e = s->evidence;
	bool alive = e->verdict == EVIDENCE_ALIVE, uncertain = e->verdict == EVIDENCE_UNKNOWN;
	bool go_on = alive || (e->verdict == EVIDENCE_SCANNED && e->conf.resend);
	bool answers = s->doubt != DOUBT_BEFORE && s->doubt != DOUBT_GONE, probe;

	ASSERT(e->step == EVIDENCE_DONE);
	if (!alive)
		take_found(s, e, now_ms, done);
	probe = uncertain && stream_gone_can_probe(s, e);
	go_on = go_on && (alive || !stream_any_gone(s));
	stream_doubt_drop(s);
	s->hold_code = 0;
	s->failures = 0;
	s->vouched_by = vouched_by;
	/* With no memory of us it would take the second batch behind the refused first. */
	s->warm = s->warm && alive;
	/* The log may have lost its end: a fresh identity begins anew, or every answer would raise the alarm again. */
	if (uncertain)
		s->last_offset = -1;
	s->probing = s->probing || probe;
	if (!go_on && !probe && s->count) {
		stream_withdraw(s, uncertain);
		return;
	}
	s->trusts += answers;
	s->retry_at_ms = answers ? now_ms + s->conf->backoff_ms : 0;
	s->recovering = true;
	stream_resume(s, now_ms);
}

const char *stream_doubt_text(const struct stream *s, char *buf, size_t n)
{
	static const char *const why[] = {
		[DOUBT_BEFORE] = "the broker may have forgotten our producer id, and would take again what it has",
		[DOUBT_ANSWERS] = "the answers do not tell whether what was sent is in the log",
		[DOUBT_REFUSED] = "a repeat of what may be in the log already is refused",
		[DOUBT_ALARM] = "another writer uses our producer id: is this state directory or machine image a copy?",
		[DOUBT_GONE] = "what may be in the log cannot be sent again, for its file is gone",
	};
	const char *name = s->doubt == DOUBT_ANSWERS || s->doubt == DOUBT_REFUSED ? api_error(s->hold_code)->name : "";
	char now[200] = "";

	if (s->evidence)
		evidence_text(s->evidence, now, sizeof now);
	snprintf(buf, n, "%s%s%s%s%s", name, name[0] ? ": " : "", why[s->doubt], now[0] ? "; it " : "", now);
	return buf;
}

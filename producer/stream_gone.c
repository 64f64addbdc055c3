/* stream_gone.c - batches that cannot be sent again as they were: some of their files hold their lines no longer.
 *
 * Why: only what nobody holds any more may be given up. A batch may have been written before its file vanished: then nothing
 * is lost. And its other files may be there: then their lines are sent again, in the batch's place, so that nothing that
 * stands behind it overtakes them.
 *
 * The way	load() fails -> gone, in doubt -> written: acknowledged
 *			-> not written, or nobody can tell: withdrawn with all that is left of the stream; load() once more tells
 *			   what is left (surveyed) -> shrunk to that, a fresh identity, recorded together with the loss of the rest
 * Where nobody may look (no right to READ) the answers of what stands behind it tell (probing): a success proves it written, for
 * the log is a prefix; if all of them answer 45, neither it nor they were, for the next in line would have been taken, and the
 * last one written would be remembered.
 * Invariant: a batch that is gone is never sent, nor given a fresh identity before it is surveyed.
 * Threads: the sender's.
 */
#include "agent/base/err.h"
#include "producer/evidence.h"
#include "producer/stream_inside.h"

void stream_gone(struct stream *s, struct batch *b)
{
	b->gone = true;
	b->surveyed = false;
	s->probing = false;		/* it has not been asked for */
	if (s->cutting == b) {
		/* Refused for certain, and what stands behind it had to join: nothing of it is in the log. */
		s->cutting = NULL;
		stream_withdraw(s, false);
		return;
	}
	s->recovering = true;
}

bool stream_any_gone(const struct stream *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->slots[i]->gone)
			return true;
	return false;
}

bool stream_gone_asks(const struct stream *s)
{
	return !s->need_id && !s->probing && stream_any_gone(s);
}

void stream_gone_blind(struct stream *s)
{
	stream_doubt_drop(s);
	stream_withdraw(s, true);
}

struct batch *stream_gone_next(const struct stream *s)
{
	for (uint32_t i = 0; i < s->count && s->need_id && !s->doubt && !s->voided; i++)
		if (s->slots[i]->gone && !s->slots[i]->surveyed && s->slots[i]->state == BATCH_PLANNED)
			return s->slots[i];
	return NULL;
}

/* Something behind slot i that was sent under its identity. */
static bool followed(const struct stream *s, uint32_t i)
{
	for (uint32_t k = i + 1; k < s->count; k++)
		if (s->slots[k]->maybe_written && !s->slots[k]->gone && stream_same_identity(s->slots[k], s->slots[i]))
			return true;
	return false;
}

bool stream_gone_can_probe(const struct stream *s, const struct evidence *e)
{
	/* A broker that has forgotten the identity would take anything, and prove nothing. */
	if (s->probing || !e->unreadable || !e->conf.young || e->forgotten || e->other || e->foreign || !stream_any_gone(s))
		return false;
	for (uint32_t i = 0; i < s->count; i++)
		if (s->slots[i]->gone && (!s->slots[i]->maybe_written || !followed(s, i)))
			return false;
	return true;
}

bool stream_gone_unwritten(const struct stream *s)
{
	if (!s->probing || !s->count || !s->slots[0]->gone || !followed(s, 0))
		return false;
	for (uint32_t i = 1; i < s->count; i++)
		if (!stream_same_identity(s->slots[i], s->slots[0]))
			return false;
	return true;
}

void stream_gone_shrink(struct batch *b)
{
	int32_t left = batch_ranges_records(b);

	if (!b->gone)
		return;
	ASSERT(b->surveyed && left > 0 && left <= b->count);
	b->dropped = b->count - left;
	b->count = left;
	b->gone = b->surveyed = false;
}

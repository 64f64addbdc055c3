/* stream_void.c - batches whose log is gone: their topic was deleted and made again, or another cluster answers.
 *
 * Why: whatever a broker knew of them went with the old log, and none of them is in the new one. Sent under their old
 * identity they would be judged by rules that no longer hold: with no state a broker takes any sequence, so a later batch
 * may be accepted before an earlier one, whose 45 would then look like "written already".
 * How: the stream stops at once. What is on a socket may still be answered, and a good answer counts. When all is quiet,
 *	everything left is new data: no attempt, a fresh producer id, recorded in place of the old identity first. What may
 *	be in the log of another cluster is uncertain: whoever reads both may see it twice.
 * Failure by name (brokers before 4.1) a request that left before anybody knew may have reached the new topic: then its
 *	batch is there twice, never missing. By topic id it cannot.
 */
#include "producer/stream.h"

#include <string.h>

static bool of_another(const struct batch *b, const char *cluster_id)
{
	return b->cluster_id && cluster_id && strcmp(b->cluster_id, cluster_id) != 0;
}

static bool meant_for(const struct batch *b, const uint8_t topic_id[16], const char *cluster_id)
{
	static const uint8_t unknown[16];

	if (of_another(b, cluster_id))
		return false;
	return memcmp(b->topic_id, topic_id, 16) == 0 || memcmp(b->topic_id, unknown, 16) == 0 ||
	       memcmp(topic_id, unknown, 16) == 0;
}

bool stream_void_check(struct stream *s, const uint8_t topic_id[16], const char *cluster_id)
{
	bool all = true;

	for (uint32_t i = 0; i < s->count; i++)
		all &= meant_for(s->slots[i], topic_id, cluster_id);
	if (all || s->voided)
		return false;
	s->voided = true;
	s->need_id = s->conf->idempotent;
	return true;
}

bool stream_void_settle(struct stream *s, const uint8_t topic_id[16], const char *cluster_id)
{
	if (!s->voided)
		return false;
	stream_doubt_drop(s);
	for (uint32_t i = 0; i < s->count; i++)
		if (s->slots[i]->state != BATCH_PLANNED)
			return false;
	for (uint32_t i = 0; i < s->count; i++) {
		struct batch *b = s->slots[i];

		/* A topic that was deleted has none of it left; another cluster does. */
		b->uncertain |= s->conf->journaled && b->maybe_written && of_another(b, cluster_id);
		b->attempts = 0;
		b->gaps = 0;
		b->maybe_written = b->out_of_order = b->proven = false;
		memcpy(b->topic_id, topic_id, sizeof b->topic_id);
		b->cluster_id = cluster_id;
	}
	s->cutting = NULL;		/* refused there again, if need be */
	s->voided = s->recovering = s->passing = s->progress = s->renumber = s->probing = false;
	s->hold_code = 0;
	s->failures = 0;
	s->retry_at_ms = 0;
	s->need_id = s->conf->idempotent;
	return true;
}

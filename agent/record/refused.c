/* refused.c - see refused.h.
 *
 * Its memory is its own: a record may be refused because it is larger than buffer.memory, and must not wait for that.
 * Threads: any.
 */
#include "agent/record/refused.h"

#include "producer/batch.h"

#define ROOM_MIN 8		/* chunks that a budget has at least */

static size_t room_for(const struct batch *b, const struct lane_record *r)
{
	size_t n = batch_record_bytes(b, r->key_len, !r->key, r->value_len, !r->value, r->headers, r->header_count, -1);

	return (n / CHUNK_DATA + 1 + ROOM_MIN) * CHUNK_BYTES;
}

int refused_bytes(const struct lane_record *r, int64_t now_ms, int64_t wall_ms, struct buf *out)
{
	struct batch *b = batch_new(now_ms, wall_ms);
	struct budget *m = NULL;
	int rc = b ? budget_new(&m, room_for(b, r), 0) : ERR_NOMEM;

	if (rc == 0)
		rc = batch_append(b, m, BUDGET_APPEND, now_ms, r->key, r->key_len, r->value, r->value_len, r->headers,
				  r->header_count, -1);
	for (const struct chunk *c = b ? b->chunks : NULL; c && rc == 0; c = c->next)
		rc = buf_put(out, c->data, c->used);
	batch_free(b, m);
	budget_free(m);
	return rc;
}

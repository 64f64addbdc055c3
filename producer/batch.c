/* batch.c - the life of one RecordBatch: its memory, its sources, its header.
 *
 * Why the CRC is kept in two parts: producer id, epoch and sequence lie inside what the CRC covers, but are known only
 * when the batch is planned, and may change after a restart. The CRC of the payload is taken once; a new header costs
 * 40 bytes and one combination.
 *
 * Invariants: batch.h; batch_check looks at those that one batch alone can show.
 * Threads: the owner's. No lock.
 * Failure: what can fail (sources, callbacks, chunks) fails before anything has changed.
 */
#include "producer/batch.h"

#include <string.h>

#include "agent/base/crc32c.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/cut.h"
#include "producer/wire.h"

#define CRC_FROM 21		/* offset of the first byte under the CRC */
#define LENGTH_FROM 12		/* the length field counts from here */
#define RANGES_FIRST 4

struct batch *batch_new(int64_t now_ms, int64_t wall_ms)
{
	struct batch *b = mem_new(struct batch);

	if (!b)
		return NULL;
	list_init(&b->node);
	b->created_ms = now_ms;
	b->base_timestamp = b->max_timestamp = wall_ms;
	b->partition = -1;
	b->producer_id = -1;
	b->producer_epoch = -1;
	b->base_sequence = -1;
	b->offset = b->append_time = -1;
	return b;
}

void batch_drop_bytes(struct batch *b, struct budget *m)
{
	budget_give(m, b->chunks);
	b->chunks = b->last = NULL;
}

void batch_free(struct batch *b, struct budget *m)
{
	if (!b)
		return;
	batch_drop_bytes(b, m);
	cut_free(b->cut, m);
	mem_free(b->error_words);
	mem_free(b->ranges);
	mem_free(b->callbacks);
	mem_free(b);
}

size_t batch_wire_bytes(const struct batch *b)
{
	return BATCH_HEAD + (size_t)b->bytes;
}

/* --- sources and callbacks --- */

/* Doubles an array that has no room for element n; the new part is zero. NULL: no memory, the old one stands. */
static void *grow(void *array, uint32_t n, uint32_t *cap, uint32_t first, size_t size)
{
	uint32_t want = *cap ? *cap * 2 : first;
	char *p;

	if (n < *cap)
		return array;
	p = mem_realloc(array, want * size);
	if (!p)
		return NULL;
	memset(p + *cap * size, 0, (want - *cap) * size);
	*cap = want;
	return p;
}

bool batch_is_full(const struct batch *b, uint32_t n)
{
	return b->range_count && b->ranges[b->range_count - 1].count && b->range_count + (uint64_t)n > BATCH_RANGES_MAX;
}

int batch_reserve_sources(struct batch *b, uint32_t n)
{
	struct source_range *p;

	if (batch_is_full(b, n))
		return ERR_NOMEM;
	while (b->range_cap - b->range_count < n) {
		p = grow(b->ranges, b->range_cap, &b->range_cap, RANGES_FIRST, sizeof *p);
		if (!p)
			return ERR_NOMEM;
		b->ranges = p;
	}
	return 0;
}

void batch_part_ranges(struct batch *b, const struct source_range *was, const bool *lost)
{
	uint32_t n = b->range_count, left = 0, at;

	for (uint32_t i = 0; i < n; i++)
		left += !lost[i];
	at = left;
	left = 0;
	for (uint32_t i = 0; i < n; i++)
		b->ranges[lost[i] ? at++ : left++] = was[i];
	b->range_count = left;
	b->lost_ranges += n - left;
}

int32_t batch_ranges_records(const struct batch *b)
{
	int32_t n = 0;

	for (uint32_t i = 0; i < b->range_count; i++)
		n += (int32_t)b->ranges[i].count;
	return n;
}

bool batch_has_source(const struct batch *b, int64_t file_id, int64_t offset)
{
	for (uint32_t i = 0; i < b->range_count; i++) {
		const struct source_range *r = &b->ranges[i];

		if (r->file_id == file_id && r->from <= offset && offset < r->to)
			return true;
	}
	return false;
}

static bool joins(const struct source_range *last, const struct source_range *r)
{
	return last->to == r->from && last->file_id == r->file_id && last->route == r->route && last->count && r->count;
}

int batch_add_source(struct batch *b, const struct source_range *r)
{
	struct source_range *last = b->range_count ? &b->ranges[b->range_count - 1] : NULL;

	if (last && joins(last, r)) {
		last->to = r->to;
		last->marker = r->marker;
		last->count += r->count;
		last->filtered += r->filtered;
		return 0;
	}
	if (batch_reserve_sources(b, 1) < 0)
		return ERR_NOMEM;
	b->ranges[b->range_count++] = *r;
	return 0;
}

int batch_add_callback(struct batch *b, producer_done_fn *fn, void *arg, int64_t timestamp)
{
	uint32_t i = (uint32_t)b->count;
	struct batch_callback *p;

	/* The first one may come late: all records before it get an empty one. */
	do {
		p = grow(b->callbacks, i, &b->callback_cap, 16, sizeof *p);
		if (!p)
			return ERR_NOMEM;
		b->callbacks = p;
	} while (i >= b->callback_cap);
	p[i] = (struct batch_callback){ .fn = fn, .arg = arg, .timestamp = timestamp };
	return 0;
}

/* --- bytes as a whole --- */

/* Copies into a chain that is long enough; returns the last chunk used. */
static struct chunk *spread(struct chunk *c, const uint8_t *p, size_t n)
{
	for (;; c = c->next) {
		size_t piece = n < CHUNK_DATA ? n : CHUNK_DATA;

		memcpy(c->data, p, piece);
		c->used = (uint32_t)piece;
		p += piece;
		n -= piece;
		if (!n)
			return c;
	}
}

void batch_replace_bytes(struct batch *b, struct budget *m, const void *data, size_t n, enum codec codec)
{
	ASSERT(b->chunks && n > 0 && n <= b->bytes);
	if (b->codec == CODEC_NONE)
		b->raw_bytes = b->bytes;
	b->last = spread(b->chunks, data, n);
	budget_give(m, b->last->next);
	b->last->next = NULL;
	b->bytes = (uint32_t)n;
	b->codec = (uint8_t)codec;
}

int batch_fill(struct batch *b, struct budget *m, enum budget_share share, int64_t now_ms, const void *data, size_t n)
{
	struct chunk *chain;

	ASSERT(batch_absent(b) && n > 0 && n <= UINT32_MAX);
	chain = budget_take_chain(m, share, (n + CHUNK_DATA - 1) / CHUNK_DATA, now_ms);
	if (!chain)
		return ERR_AGAIN;
	b->chunks = chain;
	b->last = spread(chain, data, n);
	b->bytes = (uint32_t)n;
	return 0;
}

/* --- CRC and header --- */

void batch_seal_crc(struct batch *b)
{
	uint32_t crc = 0;

	for (const struct chunk *c = b->chunks; c; c = c->next)
		crc = crc32c(crc, c->data, c->used);
	b->payload_crc = crc;
	if (b->codec == CODEC_NONE) {
		b->raw_crc = crc;
		b->raw_bytes = b->bytes;
	}
}

void batch_stamp(struct batch *b)
{
	uint8_t *h = b->head;

	be64_put(h, 0);						/* base_offset: the broker's to give */
	be32_put(h + 8, BATCH_HEAD - LENGTH_FROM + b->bytes);
	be32_put(h + 12, UINT32_MAX);				/* leader_epoch: the broker's too */
	h[16] = 2;
	be16_put(h + 21, b->codec);				/* CreateTime, not transactional, no control batch */
	be32_put(h + 23, (uint32_t)b->count - 1);
	be64_put(h + 27, (uint64_t)b->base_timestamp);
	be64_put(h + 35, (uint64_t)b->max_timestamp);
	be64_put(h + 43, (uint64_t)b->producer_id);
	be16_put(h + 51, (uint16_t)b->producer_epoch);
	be32_put(h + 53, (uint32_t)b->base_sequence);
	be32_put(h + 57, (uint32_t)b->count);
	be32_put(h + 17, crc32c_combine(crc32c(0, h + CRC_FROM, BATCH_HEAD - CRC_FROM), b->payload_crc, b->bytes));
}

/* --- what must be true --- */

static void check_bytes(const struct batch *b)
{
	size_t sum = 0;

	for (const struct chunk *c = b->chunks; c; c = c->next) {
		ASSERT(c->used > 0 && c->used <= CHUNK_DATA);
		ASSERT(c->next ? c->used == CHUNK_DATA : c == b->last);
		sum += c->used;
	}
	ASSERT(sum == b->bytes);
}

void batch_check(const struct batch *b)
{
	uint64_t sum = 0;

	ASSERT((unsigned int)b->state <= BATCH_ACKED);
	ASSERT(b->count >= 0 && (b->count > 0 || b->state == BATCH_OPEN));
	ASSERT(b->codec <= CODEC_ZSTD);
	if (b->chunks)
		check_bytes(b);
	else
		ASSERT(!b->last);
	ASSERT(b->range_count <= b->range_cap && (b->range_count <= BATCH_RANGES_MAX || b->count == 1));
	ASSERT(!b->range_count || b->ranges[b->range_count - 1].count);
	for (uint32_t i = 0; i < b->range_count; i++)
		sum += b->ranges[i].count;
	ASSERT(b->range_count == 0 || sum == (uint64_t)b->count);
	ASSERT(!b->callbacks || b->callback_cap >= (uint32_t)b->count);
	/* Identity is whole or absent. */
	ASSERT((b->producer_id < 0) == (b->base_sequence < 0));
	ASSERT((b->producer_id < 0) == (b->producer_epoch < 0));
	if (b->state == BATCH_PLANNED || b->state == BATCH_SENT)
		ASSERT(b->topic && b->partition >= 0);
}

/* record.c - the hot path: one log line becomes one record at the end of a batch, in its final form.
 *
 *	length zigzag | attributes 1 byte 0 | timestamp delta zigzag | offset delta zigzag | key length zigzag (-1 null) | key
 *	| value length zigzag (-1 null) | value | header count zigzag | { name length | name | value length (-1 null) | value }*
 *
 * Why like this: millions of lines a second pass here. All sizes are known before the first byte is written, so a record
 * that fits behind the others in the last chunk is written straight to its place, without a check for each field. The few
 * that straddle chunks, and those with headers, go through a cursor that cuts pieces.
 *
 * Invariants
 *  (1) `length` counts what follows it, and body_bytes says exactly what is written after it (checked after each).
 *  (2) all chunks but the last are full, so a batch of n bytes always has ceil(n / CHUNK_DATA) chunks.
 *  (3) no allocation; on failure nothing has changed.
 */
#include "producer/batch.h"

#include <string.h>

#include "agent/base/err.h"
#include "producer/wire.h"

#define RECORD_BYTES_MAX (1u << 30)	/* of a batch too; far above any broker's message.max.bytes */

#define likely(x) __builtin_expect(!!(x), 1)

struct record {
	const void *key, *value;	/* NULL: null */
	size_t   key_len, value_len;
	const struct producer_header *headers;
	size_t   header_count;
	uint64_t timestamp_delta;	/* zigzag */
	uint64_t offset_delta;		/* zigzag */
};

static inline size_t blob_bytes(bool null, size_t n)
{
	return null ? 1 : uvarint_size((uint64_t)n << 1) + n;
}

/* Saturates far above RECORD_BYTES_MAX instead of wrapping. */
static size_t header_bytes(const struct producer_header *h, size_t n)
{
	size_t sum = uvarint_size((uint64_t)n << 1);

	for (; n > 0 && sum <= RECORD_BYTES_MAX; n--, h++) {
		if (h->value_len > RECORD_BYTES_MAX)
			return SIZE_MAX / 4;
		sum += blob_bytes(false, strlen(h->name)) + blob_bytes(!h->value, h->value_len);
	}
	return sum;
}

static inline size_t body_bytes(const struct record *r)
{
	if (r->key_len > RECORD_BYTES_MAX || r->value_len > RECORD_BYTES_MAX)
		return SIZE_MAX / 4;
	return 1 + uvarint_size(r->timestamp_delta) + uvarint_size(r->offset_delta) + blob_bytes(!r->key, r->key_len) +
	       blob_bytes(!r->value, r->value_len) + (likely(r->header_count == 0) ? 1 : header_bytes(r->headers, r->header_count));
}

static inline uint8_t *put_blob(uint8_t *p, const void *data, size_t n)
{
	if (!data) {
		*p++ = 1;		/* zigzag of -1 */
		return p;
	}
	p = uvarint_put(p, (uint64_t)n << 1);
	memcpy(p, data, n);
	return p + n;
}

/* The straight way; the room was measured before. Returns the record's end. */
static inline uint8_t *put_record(uint8_t *p, const struct record *r, size_t body)
{
	p = uvarint_put(p, (uint64_t)body << 1);
	*p++ = 0;			/* attributes */
	p = uvarint_put(p, r->timestamp_delta);
	p = uvarint_put(p, r->offset_delta);
	p = put_blob(p, r->key, r->key_len);
	p = put_blob(p, r->value, r->value_len);
	*p++ = 0;			/* headers */
	return p;
}

/* --- the slow way: pieces into a chain --- */

static void pieces(struct chunk **at, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n > 0) {
		struct chunk *c = *at;
		size_t room = CHUNK_DATA - c->used, piece = n < room ? n : room;

		if (!room) {
			*at = c->next;
			continue;
		}
		memcpy(c->data + c->used, p, piece);
		c->used += (uint32_t)piece;
		p += piece;
		n -= piece;
	}
}

static void piece_varint(struct chunk **at, uint64_t v)
{
	uint8_t b[UVARINT_MAX];

	pieces(at, b, (size_t)(uvarint_put(b, v) - b));
}

static void piece_blob(struct chunk **at, const void *data, size_t n)
{
	piece_varint(at, data ? (uint64_t)n << 1 : 1);
	if (data)
		pieces(at, data, n);
}

static void put_record_pieces(struct chunk **at, const struct record *r, size_t body)
{
	piece_varint(at, (uint64_t)body << 1);
	pieces(at, "", 1);		/* attributes: the NUL */
	piece_varint(at, r->timestamp_delta);
	piece_varint(at, r->offset_delta);
	piece_blob(at, r->key, r->key_len);
	piece_blob(at, r->value, r->value_len);
	piece_varint(at, (uint64_t)r->header_count << 1);
	for (size_t i = 0; i < r->header_count; i++) {
		const struct producer_header *h = &r->headers[i];

		piece_blob(at, h->name, strlen(h->name));
		piece_blob(at, h->value, h->value_len);
	}
}

/* Gets the chunks first, so that the writing cannot fail. */
static __attribute__((noinline)) int append_pieces(struct batch *b, struct budget *m, enum budget_share share,
						   int64_t now_ms, const struct record *r, size_t body, size_t total)
{
	size_t room = b->last ? CHUNK_DATA - b->last->used : 0;
	struct chunk *at = b->last, *more = NULL;

	if (total > RECORD_BYTES_MAX || total > RECORD_BYTES_MAX - b->bytes)
		return ERR_TOO_LARGE;
	if (total > room) {
		more = budget_take_chain(m, share, (total - room + CHUNK_DATA - 1) / CHUNK_DATA, now_ms);
		if (!more)
			return ERR_AGAIN;
		if (b->last)
			b->last->next = more;
		else
			at = b->chunks = more;
	}
	put_record_pieces(&at, r, body);
	ASSERT(at->next == NULL && at->used == (total > room ? (total - room - 1) % CHUNK_DATA + 1 : CHUNK_DATA - room + total));
	b->last = at;
	return 0;
}

int batch_append(struct batch *b, struct budget *m, enum budget_share share, int64_t now_ms,
		 const void *key, size_t key_len, const void *value, size_t value_len,
		 const struct producer_header *headers, size_t header_count, int64_t timestamp)
{
	int64_t when = timestamp == -1 ? b->base_timestamp : timestamp;
	const struct record r = {
		.key = key, .value = value, .key_len = key ? key_len : 0, .value_len = value ? value_len : 0,
		.headers = headers, .header_count = header_count,
		.timestamp_delta = zigzag((int64_t)((uint64_t)when - (uint64_t)b->base_timestamp)),
		.offset_delta = zigzag(b->count),
	};
	size_t body = body_bytes(&r), total = uvarint_size((uint64_t)body << 1) + body;
	struct chunk *c = b->last;

	if (likely(c && total <= CHUNK_DATA - c->used && header_count == 0)) {
		uint8_t *p = c->data + c->used;
		const uint8_t *end = put_record(p, &r, body);

		ASSERT(end == p + total);
		c->used += (uint32_t)total;
	} else {
		int rc = append_pieces(b, m, share, now_ms, &r, body, total);

		if (rc < 0)
			return rc;
	}
	b->bytes += (uint32_t)total;
	if (total > b->record_max)
		b->record_max = (uint32_t)total;
	if (when > b->max_timestamp || b->count == 0)
		b->max_timestamp = when;
	b->count++;
	return 0;
}

size_t batch_record_bytes(const struct batch *b, size_t key_len, bool key_null, size_t value_len, bool value_null,
			  const struct producer_header *headers, size_t header_count, int64_t timestamp)
{
	int64_t when = timestamp == -1 ? b->base_timestamp : timestamp;
	const struct record r = {
		/* Only their being null counts. */
		.key = key_null ? NULL : b, .value = value_null ? NULL : b,
		.key_len = key_null ? 0 : key_len, .value_len = value_null ? 0 : value_len,
		.headers = headers, .header_count = header_count,
		.timestamp_delta = zigzag((int64_t)((uint64_t)when - (uint64_t)b->base_timestamp)),
		.offset_delta = zigzag(b->count),
	};
	size_t body = body_bytes(&r);

	return uvarint_size((uint64_t)body << 1) + body;
}

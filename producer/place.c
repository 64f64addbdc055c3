/* place.c - see place.h.
 *
 * Steps	a batch's bytes decompressed -> looked at whole, so that a damaged one adds nothing -> each record to the
 *		open part of its partition -> full ones compressed.
 * Invariants
 *  (1) every record is in exactly one part, with its time, key, value and headers.
 *  (2) an open part has at least one record.
 * Threads: the caller's. Locks taken: the unbound lane's, for each record (whose turn it is, is its).
 */
#include "producer/place.h"

#include <string.h>

#include "agent/base/crc32c.h"
#include "agent/base/mem.h"
#include "producer/core.h"
#include "producer/relay.h"

#define RAW_MAX (1u << 30)		/* of a batch: record.c */

struct open_part {
	struct lane *lane;
	struct buf out;
	int32_t count;
	int64_t base_timestamp, max_timestamp;
};

struct placing {
	struct producer *p;
	struct lane *unbound;
	struct codec_ctx *ctx;
	enum codec codec;
	struct open_part **open;	/* by partition + 1: the first is the unbound lane's; NULL: none yet */
	size_t open_count;
	struct list parts;
	size_t bytes;
	struct buf raw, names;		/* of the batch; of the record's headers */
	struct producer_header *headers;
	size_t header_cap;
};

int placing_new(struct placing **ret, struct producer *p, struct lane *unplaced)
{
	struct placing *g = mem_new(struct placing);
	int rc = 0;

	if (!g)
		return ERR_NOMEM;
	g->p = p;
	g->codec = (enum codec)p->config->compression_type;
	list_init(&g->parts);
	buf_init(&g->raw, RAW_MAX);
	buf_init(&g->names, RAW_MAX);
	g->unbound = accum_lane(&p->accum, unplaced->topic->name, -1, false);
	if (g->codec != CODEC_NONE)
		rc = codec_ctx_new(&g->ctx, g->codec, codec_level(p->config));
	if (rc < 0 || !g->unbound) {
		placing_free(g);
		return ERR_NOMEM;
	}
	*ret = g;
	return 0;
}

void placing_free(struct placing *g)
{
	struct place_part *part;

	if (!g)
		return;
	while ((part = list_first(&g->parts, struct place_part, node))) {
		list_remove(&part->node);
		mem_free(part);
	}
	for (size_t i = 0; i < g->open_count; i++) {
		if (g->open[i])
			buf_release(&g->open[i]->out);
		mem_free(g->open[i]);
	}
	mem_free(g->open);
	mem_free(g->headers);
	buf_release(&g->raw);
	buf_release(&g->names);
	codec_ctx_free(g->ctx);
	mem_free(g);
}

size_t placing_bytes(const struct placing *g)
{
	return g->bytes;
}

/* --- parts --- */

static int close_part(struct placing *g, struct open_part *o)
{
	struct place_part *part;
	enum codec codec;
	const void *data;
	size_t n;
	int rc;

	if (!o->count)
		return 0;
	rc = relay_compress(g->ctx, g->codec, o->out.data, o->out.len, &data, &n, &codec);
	part = rc < 0 ? NULL : mem_alloc(sizeof *part + n);
	if (!part)
		return ERR_NOMEM;
	*part = (struct place_part){
		.lane = o->lane, .count = o->count, .base_timestamp = o->base_timestamp, .max_timestamp = o->max_timestamp,
		.codec = (uint8_t)codec, .raw_bytes = (uint32_t)o->out.len, .raw_crc = crc32c(0, o->out.data, o->out.len),
		.crc = crc32c(0, data, n), .size = n,
	};
	memcpy(part->bytes, data, n);
	list_init(&part->node);
	list_push_back(&g->parts, &part->node);
	o->count = 0;
	buf_clear(&o->out);
	return 0;
}

int placing_end(struct placing *g, struct list **ret_parts)
{
	int rc = 0;

	for (size_t i = 0; i < g->open_count && rc == 0; i++)
		if (g->open[i])
			rc = close_part(g, g->open[i]);
	*ret_parts = &g->parts;
	return rc;
}

/* NULL: out of memory. */
static struct open_part *open_part(struct placing *g, int32_t partition)
{
	size_t at = (size_t)(partition + 1), want = at + 1;
	struct open_part **v, *o;

	if (want > g->open_count) {
		v = mem_realloc(g->open, want * sizeof *v);
		if (!v)
			return NULL;
		memset(v + g->open_count, 0, (want - g->open_count) * sizeof *v);
		g->open = v;
		g->open_count = want;
	}
	if (g->open[at])
		return g->open[at];
	o = mem_new(struct open_part);
	if (!o)
		return NULL;
	o->lane = accum_lane(&g->p->accum, g->unbound->topic->name, partition, false);
	if (!o->lane) {
		mem_free(o);
		return NULL;
	}
	buf_init(&o->out, RAW_MAX);
	return g->open[at] = o;
}

/* --- records --- */

/* Names end with a NUL here. */
static int read_headers(struct placing *g, const struct record_view *r)
{
	const uint8_t *at = r->headers;
	struct record_header h;

	if (r->header_count > g->header_cap) {
		void *v = mem_realloc(g->headers, r->header_count * sizeof *g->headers);

		if (!v)
			return ERR_NOMEM;
		g->headers = v;
		g->header_cap = r->header_count;
	}
	buf_clear(&g->names);
	if (buf_reserve(&g->names, r->size + r->header_count + 1) < 0)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < r->header_count; i++) {
		int rc = record_next_header(r, &at, &h);

		if (rc < 0)
			return rc;
		g->headers[i] = (struct producer_header){ g->names.data + g->names.len, h.value, h.value_len };
		(void)buf_put(&g->names, h.name, h.name_len);
		(void)buf_put(&g->names, "", 1);
	}
	return 0;
}

static int place(struct placing *g, const struct record_view *r, int64_t when)
{
	struct lane_record record = {
		.key = r->key, .key_len = r->key_len, .value = r->value, .value_len = r->value_len,
		.headers = g->headers, .header_count = r->header_count, .timestamp = when,
	};
	size_t max = g->p->accum.conf.batch_max;
	struct open_part *o;
	int32_t partition;
	int rc = read_headers(g, r);

	record.headers = g->headers;
	if (rc == 0)
		rc = lane_place(g->unbound, &record, &partition);
	if (rc < 0)
		return rc;
	o = open_part(g, partition);
	if (!o)
		return ERR_NOMEM;
	if (o->count && o->out.len + r->size > max)
		rc = close_part(g, o);
	if (rc < 0)
		return rc;
	if (!o->count)
		o->base_timestamp = o->max_timestamp = when;
	if (when > o->max_timestamp)
		o->max_timestamp = when;
	g->bytes += r->size;
	return relay_record(&o->out, r, (int64_t)((uint64_t)when - (uint64_t)o->base_timestamp), o->count++);
}

/* The records of the batch, `n` bytes at p. fn NULL: only looks at them. */
static int each_record(struct placing *g, const struct place_batch *b, const uint8_t *p, size_t n,
		       int (*fn)(struct placing *g, const struct record_view *r, int64_t when))
{
	size_t at = 0;
	int rc = 0;

	for (int32_t i = 0; i < b->count && rc == 0; i++) {
		struct record_view r;

		rc = record_read(p + at, n - at, &r);
		if (rc < 0)
			return rc;
		at += r.size;
		if (fn)
			rc = fn(g, &r, (int64_t)((uint64_t)b->base_timestamp + (uint64_t)r.timestamp_delta));
	}
	return rc == 0 && at != n ? ERR_BAD_DATA : rc;
}

int placing_add(struct placing *g, const struct place_batch *b)
{
	const uint8_t *p = b->data;
	size_t n = b->n;
	int rc = 0;

	if (b->codec != CODEC_NONE) {
		buf_clear(&g->raw);
		rc = codec_decompress(b->codec, b->data, b->n, &g->raw);
		p = (const uint8_t *)g->raw.data;
		n = g->raw.len;
	}
	if (rc == 0)
		rc = each_record(g, b, p, n, NULL);
	return rc < 0 ? rc : each_record(g, b, p, n, place);
}

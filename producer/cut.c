/* cut.c - see cut.h.
 *
 * Steps	the batch's bytes into one piece -> decompressed -> records, told apart -> parts laid out, compressed ->
 *		into the batch's own chunks.
 * Invariants
 *  (1) every record is in exactly one place afterwards: a part, or taken out. The order stays.
 *  (2) offset deltas of a part count from 0; timestamp deltas and the base timestamp stay, so all else is copied.
 *  (3) nothing of the batch changes before all that can fail, but for the last chunks, has been done; and then it is put
 *      back from the copy.
 */
#include "producer/cut.h"

#include <string.h>

#include "agent/base/crc32c.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "producer/codec.h"
#include "producer/relay.h"

#define RAW_MAX (1u << 30)		/* of a batch: record.c */
#define WORDS_MAX 500			/* for each of some ten thousand records */

struct cut *cut_new(int16_t code)
{
	struct cut *c = mem_new(struct cut);

	if (!c)
		return NULL;
	c->code = code;
	c->parts_max = CUT_PARTS_MAX;
	list_init(&c->parts);
	list_init(&c->fails);
	return c;
}

static void free_batches(struct list *l, struct budget *m)
{
	struct batch *b;

	while ((b = list_first(l, struct batch, node))) {
		list_remove(&b->node);
		batch_free(b, m);
	}
}

/* Back to what was asked. */
static void forget_answer(struct cut *c, struct budget *m)
{
	free_batches(&c->parts, m);
	free_batches(&c->fails, m);
	mem_free(c->records);
	mem_free(c->raw);
	c->records = NULL;
	c->raw = NULL;
	c->record_count = 0;
}

void cut_free(struct cut *c, struct budget *m)
{
	if (!c)
		return;
	forget_answer(c, m);
	for (uint32_t i = 0; i < c->culprit_count; i++)
		mem_free(c->culprits[i].words);
	mem_free(c->culprits);
	mem_free(c->others);
	mem_free(c);
}

int cut_add_culprit(struct cut *c, int32_t index, const char *words, size_t n)
{
	struct cut_culprit *v;
	uint32_t at = c->culprit_count;
	char *copy = NULL;

	while (at > 0 && c->culprits[at - 1].index > index)
		at--;
	if (at > 0 && c->culprits[at - 1].index == index)
		return 0;
	if (words && !(copy = mem_strndup(words, n < WORDS_MAX ? n : WORDS_MAX)))
		return ERR_NOMEM;
	v = mem_grow(c->culprits, c->culprit_count, sizeof *v);
	if (!v) {
		mem_free(copy);
		return ERR_NOMEM;
	}
	c->culprits = v;
	memmove(v + at + 1, v + at, (c->culprit_count - at) * sizeof *v);
	v[at] = (struct cut_culprit){ .index = index, .words = copy };
	c->culprit_count++;
	return 0;
}

bool cut_condemns_all(const struct cut *c, int32_t count)
{
	if (c->culprit_count != (uint32_t)count)
		return false;
	for (uint32_t i = 0; i < c->culprit_count; i++)
		if (c->culprits[i].index != (int32_t)i ||
		    strcmp(c->culprits[i].words ? c->culprits[i].words : "",
			   c->culprits[0].words ? c->culprits[0].words : "") != 0)
			return false;
	return true;
}

/* --- one batch --- */

struct work {
	struct batch *b;
	struct cut *cut;
	struct budget *m;
	struct codec_ctx *ctx;
	enum codec codec;
	bool journaled;

	uint8_t *packed;		/* the batch's bytes, in one piece */
	const uint8_t *raw;		/* the records: packed, or cut->raw */
	size_t   raw_n;
	struct buf out;			/* the part that is being laid out */
	struct batch *part;
	uint32_t parts, at;		/* made so far; the record we are at */
	struct list laid;		/* struct laid: parts and their bytes, not in chunks yet */
};

struct laid { struct list node; struct batch *part; enum codec codec; size_t n; uint8_t bytes[]; };

static int copy_out(struct work *w)
{
	struct batch *b = w->b;
	size_t at = 0;

	w->packed = mem_alloc(b->bytes + 1);
	if (!w->packed)
		return ERR_NOMEM;
	for (const struct chunk *k = b->chunks; k; at += k->used, k = k->next)
		memcpy(w->packed + at, k->data, k->used);
	return 0;
}

static int unpack(struct work *w)
{
	struct buf out;
	int rc;

	w->raw = w->packed;
	w->raw_n = w->b->bytes;
	if (w->b->codec == CODEC_NONE)
		return 0;
	buf_init(&out, RAW_MAX);
	rc = codec_decompress((enum codec)w->b->codec, w->packed, w->b->bytes, &out);
	w->raw_n = out.len;
	w->raw = w->cut->raw = (uint8_t *)(rc < 0 ? NULL : buf_detach(&out));
	buf_release(&out);
	return rc < 0 ? rc : w->raw ? 0 : ERR_BAD_DATA;
}

static int squeeze(struct work *w, struct laid **ret)
{
	enum codec codec;
	const void *data;
	size_t n;
	struct laid *l;
	int rc = relay_compress(w->ctx, w->codec, w->out.data, w->out.len, &data, &n, &codec);

	if (rc < 0)
		return rc;
	l = mem_alloc(sizeof *l + n);
	if (!l)
		return ERR_NOMEM;
	l->n = n;
	l->codec = codec;
	memcpy(l->bytes, data, n);
	*ret = l;
	return 0;
}

/* The part is complete: its bytes wait for chunks. */
static int close_part(struct work *w)
{
	struct batch *part = w->part;
	struct laid *l;
	int rc;

	if (!part)
		return 0;
	part->raw_crc = crc32c(0, w->out.data, w->out.len);
	part->raw_bytes = (uint32_t)w->out.len;
	rc = squeeze(w, &l);
	if (rc < 0)
		return rc;
	l->part = part;
	w->part = NULL;
	w->parts++;
	list_init(&l->node);
	list_push_back(&w->laid, &l->node);
	buf_clear(&w->out);
	return 0;
}

static struct batch *batch_like(const struct batch *b)
{
	struct batch *part = batch_new(b->created_ms, b->base_timestamp);

	if (!part)
		return NULL;
	part->lane = b->lane;
	part->topic = b->topic;
	part->cluster_id = b->cluster_id;
	part->partition = b->partition;
	memcpy(part->topic_id, b->topic_id, sizeof part->topic_id);
	part->sealed_ms = b->sealed_ms;
	part->sent_ms = b->sent_ms;
	part->serial = b->serial;
	part->halved = b->halved;
	return part;
}

/* The at-th record's callback goes with it. */
static int move_callback(struct work *w, struct batch *to)
{
	const struct batch *b = w->b;
	const struct batch_callback *cb = b->callbacks && w->at < b->callback_cap ? &b->callbacks[w->at] : NULL;

	if (!cb)
		return 0;
	if (batch_add_callback(to, cb->fn, cb->arg, cb->timestamp) < 0)
		return ERR_NOMEM;
	to->callbacks[to->count] = *cb;
	return 0;
}

static int lay(struct work *w, const struct record_view *r)
{
	struct batch *part = w->part;
	int64_t when = (int64_t)((uint64_t)w->b->base_timestamp + (uint64_t)r->timestamp_delta);

	if (!part) {
		part = w->part = batch_like(w->b);
		if (!part)
			return ERR_NOMEM;
	}
	if (move_callback(w, part) < 0 || relay_record(&w->out, r, r->timestamp_delta, part->count) < 0)
		return ERR_NOMEM;
	if (part->count == 0 || when > part->max_timestamp)
		part->max_timestamp = when;
	part->count++;
	return 0;
}

/* --- records that leave --- */

static int keep_record(struct work *w, const struct record_view *r, const char *words)
{
	struct cut *c = w->cut;
	struct cut_record *v = mem_grow(c->records, c->record_count, sizeof *v);

	if (!v)
		return ERR_NOMEM;
	c->records = v;
	v[c->record_count++] = (struct cut_record){
		.bytes = r->start, .n = r->size, .words = words,
		.timestamp = (int64_t)((uint64_t)w->b->base_timestamp + (uint64_t)r->timestamp_delta),
	};
	return 0;
}

static int fail_record(struct work *w, const char *words)
{
	struct batch *f = batch_like(w->b);
	int rc;

	if (!f)
		return ERR_NOMEM;
	list_push_back(&w->cut->fails, &f->node);
	rc = move_callback(w, f);
	f->count = 1;
	f->state = BATCH_ACKED;
	f->error = w->cut->code;
	if (rc == 0 && words && !(f->error_words = mem_strdup(words)))
		rc = ERR_NOMEM;
	return rc;
}

static int take_out(struct work *w, const struct record_view *r, const char *words)
{
	return w->journaled ? keep_record(w, r, words) : fail_record(w, words);
}

/* --- the walk --- */

static int each_record(struct work *w)
{
	const struct cut *c = w->cut;
	size_t at = 0;
	uint32_t culprit = 0;
	int rc = 0;

	for (w->at = 0; w->at < (uint32_t)w->b->count && rc == 0; w->at++) {
		struct record_view r;

		rc = record_read(w->raw + at, w->raw_n - at, &r);
		if (rc < 0)
			return rc;
		at += r.size;
		if (c->all || (culprit < c->culprit_count && (uint32_t)c->culprits[culprit].index == w->at)) {
			rc = take_out(w, &r, culprit < c->culprit_count ? c->culprits[culprit].words : NULL);
			culprit++;
			continue;
		}
		if (c->target && w->part && w->out.len + r.size > c->target && w->parts + 1 < c->parts_max)
			rc = close_part(w);
		if (rc == 0)
			rc = lay(w, &r);
	}
	if (rc == 0 && at != w->raw_n)
		rc = ERR_BAD_DATA;
	return rc < 0 ? rc : close_part(w);
}

/* --- into chunks --- */

static struct chunk *next_chunk(struct chunk **spare)
{
	struct chunk *k = *spare;

	/* Memory may be full of what waits for this very batch. */
	if (!k)
		return budget_overdraw();
	*spare = k->next;
	k->next = NULL;
	return k;
}

static int fill(const struct laid *l, struct chunk **spare)
{
	struct batch *part = l->part;
	size_t at = 0;

	while (at < l->n) {
		size_t piece = l->n - at < CHUNK_DATA ? l->n - at : CHUNK_DATA;
		struct chunk *k = next_chunk(spare);

		if (!k)
			return ERR_NOMEM;
		memcpy(k->data, l->bytes + at, piece);
		k->used = (uint32_t)piece;
		if (part->last)
			part->last->next = k;
		else
			part->chunks = k;
		part->last = k;
		at += piece;
	}
	part->bytes = (uint32_t)l->n;
	part->codec = (uint8_t)l->codec;
	part->payload_crc = crc32c(0, l->bytes, l->n);
	return 0;
}

/* All chunks that the parts have got are chained again, and the batch takes back what it needs. */
static void put_back(struct work *w, struct chunk *spare)
{
	struct batch *b = w->b;
	size_t at = 0;

	list_each(it, &w->laid) {
		struct batch *part = list_entry(it, struct laid, node)->part;

		if (!part->chunks)
			continue;
		part->last->next = spare;
		spare = part->chunks;
		part->chunks = part->last = NULL;
		part->bytes = 0;
	}
	b->chunks = b->last = NULL;
	while (at < b->bytes) {
		size_t piece = b->bytes - at < CHUNK_DATA ? b->bytes - at : CHUNK_DATA;
		struct chunk *k = spare;

		ASSERT(k);
		spare = k->next;
		k->next = NULL;
		memcpy(k->data, w->packed + at, piece);
		k->used = (uint32_t)piece;
		if (b->last)
			b->last->next = k;
		else
			b->chunks = k;
		b->last = k;
		at += piece;
	}
	budget_give(w->m, spare);
}

static int into_chunks(struct work *w)
{
	struct chunk *spare = w->b->chunks;
	int rc = 0;

	list_each(it, &w->laid)
		if (rc == 0)
			rc = fill(list_entry(it, struct laid, node), &spare);
	if (rc < 0) {
		put_back(w, spare);
		return rc;
	}
	w->b->chunks = w->b->last = NULL;
	budget_give(w->m, spare);
	list_each(it, &w->laid)
		list_push_back(&w->cut->parts, &list_entry(it, struct laid, node)->part->node);
	return 0;
}

static void end(struct work *w, int rc)
{
	list_each_safe(it, &w->laid) {
		struct laid *l = list_entry(it, struct laid, node);

		list_remove(it);
		if (rc < 0)
			batch_free(l->part, w->m);
		mem_free(l);
	}
	batch_free(w->part, w->m);
	buf_release(&w->out);
	/* Records that are kept point into the bytes. */
	if (rc == 0 && !w->cut->raw)
		w->cut->raw = w->packed;
	else
		mem_free(w->packed);
	if (rc < 0)
		forget_answer(w->cut, w->m);
}

int cut_batch(struct batch *b, struct budget *m, struct codec_ctx *ctx, enum codec codec, bool journaled)
{
	struct work w = { .b = b, .cut = b->cut, .m = m, .ctx = ctx, .codec = codec, .journaled = journaled };
	int rc;

	ASSERT(b->cut && !batch_absent(b));
	list_init(&w.laid);
	buf_init(&w.out, RAW_MAX);
	rc = copy_out(&w);
	if (rc == 0)
		rc = unpack(&w);
	if (rc == 0)
		rc = each_record(&w);
	if (rc == 0)
		rc = into_chunks(&w);
	end(&w, rc);
	return rc;
}

/* fake_log.c - one partition's log and what it remembers of producers, by the rules of a real broker's log.
 *
 * Invariants
 *  (1) checks come in the order of a broker: size, CRC, records, timestamps, and only then duplicates and sequences: a
 *      batch that is in the log already can be refused for its size.
 *  (2) a batch is taken whole or not at all; what answers a code other than 0, 7 and 20 left no trace.
 *  (3) a state's newest batch is window[n - 1]; n is 0 only for a state that was just made.
 */
#define _GNU_SOURCE
#include "tests/lib/fake_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/crc32c.h"

#define BATCH_HEAD 61
#define LOG_APPEND_TIME 8		/* in a batch's attributes */

enum {
	CORRUPT_MESSAGE = 2, MESSAGE_TOO_LARGE = 10, NOT_ENOUGH_REPLICAS = 19, NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20,
	INVALID_TIMESTAMP = 32, OUT_OF_ORDER_SEQUENCE = 45, INVALID_PRODUCER_EPOCH = 47, UNKNOWN_PRODUCER_ID = 59,
	UNSUPPORTED_COMPRESSION = 76, INVALID_RECORD = 87
};

int64_t fake_now(const struct fake *f)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000 + f->clock_ahead_ms;
}

/* --- values --- */

static void add_value(struct fake_log *l, const void *p, size_t n)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->values = realloc(l->values, l->cap * sizeof *l->values);
	}
	l->values[l->n] = malloc(n + 1);
	if (n)
		memcpy(l->values[l->n], p, n);
	l->values[l->n++][n] = 0;
}

static void clear_stored(struct fake_log *l)
{
	while (l->stored_n) {
		struct fake_stored *s = &l->stored[--l->stored_n];

		free(s->timestamps);
		free(s->bytes);
	}
	free(l->stored);
}

void fake_log_clear(struct fake_log *l)
{
	while (l->n)
		free(l->values[--l->n]);
	free(l->values);
	clear_stored(l);
	*l = (struct fake_log){ 0 };
}

void fake_log_bury(struct fake *f, struct fake_log *l)
{
	struct fake_log *to = &f->buried;

	to->values = realloc(to->values, (to->n + l->n + 1) * sizeof *to->values);
	for (size_t i = 0; i < l->n; i++)
		to->values[to->n++] = l->values[i];
	l->n = 0;
	fake_log_clear(l);
}

/* --- batches, as a reader gets them --- */

/* What a broker writes into a batch: where it is, under which leader, and its newest time; the CRC covers the latter. */
static void store(struct fake *f, const struct fake_append *a, const struct fake_batch *b, const struct fake_sequence *q)
{
	struct fake_log *l = &a->topic->logs[a->partition];
	bool append_time = a->topic->conf.append_time;
	struct fake_stored s = { .base = q->offset, .newest = q->timestamp, .count = b->count, .n = a->n };

	if (l->stored_n == l->stored_cap) {
		l->stored_cap = l->stored_cap ? l->stored_cap * 2 : 16;
		l->stored = realloc(l->stored, l->stored_cap * sizeof *l->stored);
	}
	s.bytes = malloc(a->n);
	s.timestamps = malloc((size_t)b->count * sizeof *s.timestamps);
	if (!l->stored || !s.bytes || !s.timestamps)
		fake_die("no memory");
	memcpy(s.bytes, a->p, a->n);
	be64_put(s.bytes, (uint64_t)q->offset);
	be32_put(s.bytes + 12, (uint32_t)f->leader_epoch[a->partition]);
	be16_put(s.bytes + 21, (uint16_t)(b->attributes | (append_time ? LOG_APPEND_TIME : 0)));
	be64_put(s.bytes + 35, (uint64_t)q->timestamp);
	be32_put(s.bytes + 17, crc32c(0, s.bytes + 21, a->n - 21));
	for (int32_t i = 0; i < b->count; i++)
		s.timestamps[i] = append_time ? q->timestamp : b->records[i].timestamp;
	l->stored[l->stored_n++] = s;
}

struct fake_found fake_log_find(const struct fake_log *l, int64_t timestamp)
{
	for (size_t k = 0; k < l->stored_n; k++) {
		const struct fake_stored *s = &l->stored[k];

		for (int32_t i = 0; i < s->count && s->newest >= timestamp; i++)
			if (s->timestamps[i] >= timestamp && s->base + i >= l->start)
				return (struct fake_found){ s->base + i, s->timestamps[i] };
	}
	return (struct fake_found){ -1, -1 };
}

void fake_log_read(const struct fake_log *l, int64_t offset, int32_t max_bytes, struct buf *out)
{
	size_t room = max_bytes > 0 ? (size_t)max_bytes : 0;

	for (size_t k = 0; k < l->stored_n; k++) {
		const struct fake_stored *s = &l->stored[k];
		size_t n = s->n;

		if (s->base + s->count <= offset)
			continue;
		if (out->len && n > room - out->len)
			n = room - out->len;
		buf_put(out, s->bytes, n);
		if (out->len >= room)
			return;
	}
}

/* --- what is remembered of producers --- */

static struct fake_state *state_of(struct fake_log *l, int64_t id)
{
	for (int i = 0; i < l->producer_count; i++)
		if (l->producers[i].id == id)
			return &l->producers[i];
	return NULL;
}

static struct fake_state *new_state(struct fake_log *l, int64_t id, int16_t epoch)
{
	if (l->producer_count == PRODUCERS_MAX)
		fake_die("too many producers");
	l->producers[l->producer_count] = (struct fake_state){ .id = id, .epoch = epoch };
	return &l->producers[l->producer_count++];
}

static const struct fake_sequence *duplicate_of(const struct fake_state *s, const struct fake_batch *b)
{
	for (int i = 0; s && s->epoch == b->epoch && i < s->n; i++)
		if (s->window[i].first == b->first && s->window[i].last == b->last)
			return &s->window[i];
	return NULL;
}

static int16_t check_sequence(const struct fake *f, const struct fake_state *s, const struct fake_batch *b)
{
	if (!s)
		return f->profile->unknown_must_begin && b->first != 0 ? UNKNOWN_PRODUCER_ID : 0;
	if (b->epoch < s->epoch)
		return INVALID_PRODUCER_EPOCH;
	if (b->epoch > s->epoch)
		return b->first == 0 ? 0 : OUT_OF_ORDER_SEQUENCE;
	/* After 2^31 - 1 comes 0. */
	if (b->first != (int32_t)(((uint32_t)s->window[s->n - 1].last + 1) & 0x7fffffff))
		return OUT_OF_ORDER_SEQUENCE;
	return 0;
}

static void remember(struct fake_state *s, int16_t epoch, const struct fake_sequence *q)
{
	if (epoch > s->epoch)
		s->n = 0;
	s->epoch = epoch;
	if (s->n == WINDOW) {
		memmove(s->window, s->window + 1, (WINDOW - 1) * sizeof s->window[0]);
		s->n--;
	}
	s->window[s->n++] = *q;
}

static void each_log(struct fake *f, void (*fn)(struct fake_log *l, int64_t value), int64_t value)
{
	for (int t = 0; t < f->topic_count; t++)
		for (int i = 0; i < f->partitions; i++)
			fn(&f->topics[t]->logs[i], value);
}

static void expire(struct fake_log *l, int64_t oldest)
{
	int kept = 0;

	for (int i = 0; i < l->producer_count; i++) {
		struct fake_state *s = &l->producers[i];

		if (s->window[s->n - 1].timestamp > oldest)
			l->producers[kept++] = *s;
	}
	l->producer_count = kept;
}

void fake_log_expire(struct fake *f)
{
	int64_t now = fake_now(f);

	if (now < f->next_check_ms)
		return;
	f->next_check_ms = now + f->check_ms;
	each_log(f, expire, now - f->expiry_ms);
}

static void reload(struct fake_log *l, int64_t keep)
{
	for (int k = 0; k < l->producer_count; k++) {
		struct fake_state *s = &l->producers[k];

		if (s->n > keep) {
			memmove(s->window, s->window + s->n - keep, (size_t)keep * sizeof s->window[0]);
			s->n = (int)keep;
		}
	}
	if (keep == 0)
		l->producer_count = 0;
}

void fake_log_reload(struct fake *f, int keep)
{
	each_log(f, reload, keep);
	/* A snapshot that is loaded is filtered by age. */
	each_log(f, expire, fake_now(f) - f->expiry_ms);
}

/* --- checks --- */

/* Is it one batch of today's format, and all of it? */
static int16_t check_frame(const struct fake_append *a)
{
	uint64_t size = a->n >= 17 ? (uint64_t)be32_get(a->p + 8) + 12 : 0;

	if (a->n < BATCH_HEAD || a->p[16] != 2 || size != a->n)
		return INVALID_RECORD;
	if ((be16_get(a->p + 21) & 7) == 4 && a->version < 7)
		return UNSUPPORTED_COMPRESSION;
	return 0;
}

static int16_t check_bytes(const struct fake_append *a)
{
	if ((int64_t)a->n > a->topic->conf.max_message_bytes)
		return MESSAGE_TOO_LARGE;
	if (be32_get(a->p + 17) != crc32c(0, a->p + 21, a->n - 21))
		return CORRUPT_MESSAGE;
	return 0;
}

static void add_culprit(struct fake_answer *r, int32_t i)
{
	if (r->culprit_count < (int)(sizeof r->culprits / sizeof r->culprits[0]))
		r->culprits[r->culprit_count++] = i;
}

static bool timestamp_good(const struct fake_topic_conf *c, const struct fake_batch *b, int64_t timestamp, int64_t now)
{
	if (!c->append_time && timestamp != -1)
		return (c->before_max_ms < 0 || now - timestamp <= c->before_max_ms) &&
		       (c->after_max_ms < 0 || timestamp - now <= c->after_max_ms);
	return !(b->attributes & LOG_APPEND_TIME);	/* the broker's to set, looked at only here */
}

/* What each record must be. One that is not refuses the batch; a wrong time is the code that wins. */
static void check_records(struct fake *f, const struct fake_topic_conf *c, const struct fake_batch *b, struct fake_answer *r)
{
	int64_t now = fake_now(f);

	for (int32_t i = 0; i < b->count; i++) {
		const struct fake_record *rec = &b->records[i];
		int16_t code = 0;

		if (c->compact && !rec->keyed)
			code = INVALID_RECORD;
		else if (!timestamp_good(c, b, rec->timestamp, now))
			code = INVALID_TIMESTAMP;
		if (!code)
			continue;
		add_culprit(r, i);
		if (r->code != INVALID_TIMESTAMP)
			r->code = code;
	}
}

/* --- appending --- */

static void append(struct fake *f, const struct fake_append *a, struct fake_batch *b, struct fake_answer *r)
{
	struct fake_log *l = &a->topic->logs[a->partition];
	struct fake_state *s = b->producer_id < 0 ? NULL : state_of(l, b->producer_id);
	const struct fake_sequence *known = duplicate_of(s, b);
	struct fake_sequence q = { b->first, b->last, (int64_t)l->n, b->newest };

	if (known) {
		/* Nothing is written; that the time is told gives a duplicate away. */
		r->offset = known->offset;
		r->append_time = known->timestamp;
		return;
	}
	r->code = b->producer_id < 0 ? 0 : check_sequence(f, s, b);
	if (r->code)
		return;
	r->offset = q.offset;
	if (a->topic->conf.append_time)
		r->append_time = q.timestamp = fake_now(f);
	if (b->producer_id >= 0)
		remember(s ? s : new_state(l, b->producer_id, b->epoch), b->epoch, &q);
	for (int32_t i = 0; i < b->count; i++)
		add_value(l, b->records[i].value, b->records[i].value_len);
	store(f, a, b, &q);
}

/* A topic cannot ask for more than it has. */
static int64_t min_isr(const struct fake *f, const struct fake_topic *t)
{
	return t->conf.min_isr < f->nodes ? t->conf.min_isr : f->nodes;
}

struct fake_answer fake_log_append(struct fake *f, const struct fake_append *a)
{
	struct fake_answer r = { .code = check_frame(a), .offset = -1, .append_time = -1, .log_start = -1 };
	struct fake_batch b;

	if (r.code)
		return r;
	fake_batch_head(&b, a->p);
	if (f->seen)
		f->seen(f->seen_arg, b.producer_id, b.epoch, b.first, b.count);
	fake_log_expire(f);
	if (a->acks == -1 && f->isr_before < min_isr(f, a->topic)) {
		r.code = NOT_ENOUGH_REPLICAS;
		r.log_start = a->topic->logs[a->partition].start;
		return r;
	}
	r.code = check_bytes(a);
	if (r.code)
		return r;
	r.log_start = a->topic->logs[a->partition].start;
	/* Offsets are the broker's to give. */
	r.code = be64_get(a->p) ? INVALID_RECORD : fake_batch_records(&b, a->p, a->n);
	if (!r.code)
		check_records(f, &a->topic->conf, &b, &r);
	if (!r.code)
		append(f, a, &b, &r);
	fake_batch_release(&b);
	if (!r.code && a->acks == -1 && f->isr_after < min_isr(f, a->topic))
		r = (struct fake_answer){ NOT_ENOUGH_REPLICAS_AFTER_APPEND, .offset = -1, .append_time = -1, .log_start = -1 };
	return r;
}

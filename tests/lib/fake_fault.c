/* fake_fault.c - how the fake broker misbehaves: one table of kinds, and what each does to an answer.
 *
 * A fault waits until something of its stage comes by: a batch (fake_api.c does what is to be done), an answer that is
 * ready to leave (here), or the bytes of a request (fakebroker.c). Faults are met in the order in which they were set.
 */
#define _GNU_SOURCE
#include "tests/lib/fake_parts.h"

#include <string.h>

typedef void answer_fn(struct fake_reply *r, int value);

static void set_size(struct buf *frame, uint32_t size)
{
	be32_put((uint8_t *)frame->data, size);
}

static void cut(struct buf *frame, size_t n)
{
	if (n < frame->len)
		frame->len = n;
}

/* Splices: `n` bytes at `at` become `len` others; the length prefix follows. */
static void splice(struct buf *frame, size_t at, size_t n, const void *p, size_t len)
{
	struct buf made;

	buf_init(&made, FRAME_MAX);
	buf_put(&made, frame->data, at);
	buf_put(&made, p, len);
	buf_put(&made, frame->data + at + n, frame->len - at - n);
	set_size(&made, (uint32_t)(made.len - 4));
	buf_release(frame);
	*frame = made;
}

static void noise(uint8_t *p, size_t n, uint32_t seed)
{
	uint32_t x = seed * 2654435761u + 1;

	while (n--) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		*p++ = (uint8_t)x;
	}
}

static void be_truncated(struct fake_reply *r, int value)
{
	cut(r->frame, 4 + (size_t)value);
	set_size(r->frame, (uint32_t)(r->frame->len - 4));
}

static void be_cut(struct fake_reply *r, int value)
{
	cut(r->frame, (size_t)value);
	r->close = true;
}

static void be_oversize(struct fake_reply *r, int value)
{
	set_size(r->frame, value ? (uint32_t)value : INT32_MAX);
}

/* --- where an answer's first array and first string are --- */

static const struct { int api, until, before_array, before_string; } layouts[] = {	/* before_string -1: there is none */
	{ FAKE_PRODUCE, INT16_MAX, 0, 0 },
	{ FAKE_METADATA, INT16_MAX, 4, 4 },		/* throttle; node id */
	{ FAKE_VERSIONS, INT16_MAX, 2, -1 },		/* error */
	{ FAKE_DESCRIBE_PRODUCERS, INT16_MAX, 4, 0 },	/* throttle */
	{ FAKE_LIST_OFFSETS, 1, 0, 0 },
	{ FAKE_LIST_OFFSETS, INT16_MAX, 4, 0 },		/* throttle */
	{ FAKE_FETCH, 6, 4, 0 },			/* throttle */
	{ FAKE_FETCH, INT16_MAX, 10, 0 },		/* throttle, error, session */
};

static bool flexible(const struct fake_reply *r)
{
	static const int from[FAKE_APIS] = { [FAKE_PRODUCE] = 9, [FAKE_METADATA] = 9, [FAKE_VERSIONS] = 3,
					     [FAKE_INIT_PRODUCER_ID] = 2, [FAKE_LIST_OFFSETS] = 6, [FAKE_FETCH] = 12 };

	return r->version >= from[r->api];
}

static size_t count_size(const struct fake_reply *r, size_t at)
{
	size_t n = 1;

	if (!flexible(r))
		return 4;
	while (at + n < r->frame->len && (uint8_t)r->frame->data[at + n - 1] & 0x80)
		n++;
	return n;
}

static const uint8_t huge_varint[5] = { 0xff, 0xff, 0xff, 0xff, 0x07 };

static void make_huge(struct fake_reply *r, bool string)
{
	static const uint8_t count[4] = { 0x7f, 0xff, 0xff, 0xfe }, length[2] = { 0x7f, 0xff };

	for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
		size_t at = 8 + (flexible(r) && r->api != FAKE_VERSIONS);

		if (layouts[i].api != r->api || r->version > layouts[i].until || (string && layouts[i].before_string < 0))
			continue;
		at += (size_t)layouts[i].before_array;
		if (string)
			at += count_size(r, at) + (size_t)layouts[i].before_string;
		if (flexible(r))
			splice(r->frame, at, count_size(r, at), huge_varint, sizeof huge_varint);
		else if (string)
			splice(r->frame, at, 2, length, sizeof length);
		else
			splice(r->frame, at, 4, count, sizeof count);
		return;
	}
	fake_die("this answer has no array or string to be made huge");
}

static void be_huge_array(struct fake_reply *r, int value)
{
	(void)value;
	make_huge(r, false);
}

static void be_huge_string(struct fake_reply *r, int value)
{
	(void)value;
	make_huge(r, true);
}

/* --- the rest --- */

static void be_garbage(struct fake_reply *r, int value)
{
	noise((uint8_t *)r->frame->data + 8, r->frame->len - 8, (uint32_t)value);
}

static void be_noise(struct fake_reply *r, int value)
{
	noise((uint8_t *)r->frame->data, r->frame->len, (uint32_t)value);
}

static void be_uncorrelated(struct fake_reply *r, int value)
{
	uint8_t *id = (uint8_t *)r->frame->data + 4;

	be32_put(id, be32_get(id) + (uint32_t)(value ? value : 1));
}

static void be_twice(struct fake_reply *r, int value)
{
	(void)value;
	r->twice = true;
}

static void be_swapped(struct fake_reply *r, int value)
{
	(void)value;
	r->hold = true;
}

static void be_slow(struct fake_reply *r, int value)
{
	r->slow_ms = value > 0 ? value : 1;
}

static void be_half_closed(struct fake_reply *r, int value)
{
	(void)value;
	r->frame->len = 0;
	r->half_close = true;
}

static void be_tls_alert(struct fake_reply *r, int value)
{
	/* A fatal alert record of TLS 1.2: handshake_failure. */
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, 40 };

	(void)value;
	r->frame->len = 0;
	buf_put(r->frame, alert, sizeof alert);
	r->close = true;
}

static const struct { const char *name; enum fault_stage stage; answer_fn *answer; } kinds[FAULT_KINDS] = {
	[FAULT_CLOSE_BEFORE] = { "close-before",  FAULT_OF_BATCH,   NULL },
	[FAULT_CLOSE_AFTER]  = { "close-after",   FAULT_OF_BATCH,   NULL },
	[FAULT_SWALLOW]      = { "swallow",       FAULT_OF_BATCH,   NULL },
	[FAULT_ERROR]        = { "error",         FAULT_OF_BATCH,   NULL },
	[FAULT_ERROR_AFTER]  = { "error-after",   FAULT_OF_BATCH,   NULL },
	[FAULT_DELAY]        = { "delay",         FAULT_OF_BATCH,   NULL },
	[FAULT_THROTTLE]     = { "throttle",      FAULT_OF_BATCH,   NULL },
	[FAULT_TIMEOUT]      = { "timeout",       FAULT_OF_BATCH,   NULL },
	[FAULT_TRUNCATED]    = { "truncated",     FAULT_OF_ANSWER,  be_truncated },
	[FAULT_CUT_ANSWER]   = { "cut-answer",    FAULT_OF_ANSWER,  be_cut },
	[FAULT_OVERSIZE]     = { "oversize",      FAULT_OF_ANSWER,  be_oversize },
	[FAULT_HUGE_ARRAY]   = { "huge-array",    FAULT_OF_ANSWER,  be_huge_array },
	[FAULT_HUGE_STRING]  = { "huge-string",   FAULT_OF_ANSWER,  be_huge_string },
	[FAULT_GARBAGE]      = { "garbage",       FAULT_OF_ANSWER,  be_garbage },
	[FAULT_NOISE]        = { "noise",         FAULT_OF_ANSWER,  be_noise },
	[FAULT_CORRELATION]  = { "correlation",   FAULT_OF_ANSWER,  be_uncorrelated },
	[FAULT_TWICE]        = { "twice",         FAULT_OF_ANSWER,  be_twice },
	[FAULT_SWAPPED]      = { "swapped",       FAULT_OF_ANSWER,  be_swapped },
	[FAULT_SLOW]         = { "slow",          FAULT_OF_ANSWER,  be_slow },
	[FAULT_HALF_CLOSE]   = { "half-close",    FAULT_OF_ANSWER,  be_half_closed },
	[FAULT_TLS_ALERT]    = { "tls-alert",     FAULT_OF_ANSWER,  be_tls_alert },
	[FAULT_CUT_REQUEST]  = { "cut-request",   FAULT_OF_REQUEST, NULL },
};

enum fault_stage fake_fault_stage(enum fault_kind kind)
{
	return kinds[kind].stage;
}

const char *fake_fault_name(enum fault_kind kind)
{
	return kinds[kind].name;
}

bool fake_fault_named(const char *name, enum fault_kind *ret)
{
	for (int i = 0; i < FAULT_KINDS; i++)
		if (!strcmp(kinds[i].name, name)) {
			*ret = (enum fault_kind)i;
			return true;
		}
	return false;
}

const struct fake_fault *fake_fault_met(struct fake *f, int api, int partition, enum fault_stage stage)
{
	for (int i = 0; i < f->fault_count; i++) {
		struct fake_fault *x = &f->faults[i];

		if (x->times > 0 && x->api == api && kinds[x->kind].stage == stage &&
		    (x->partition < 0 || x->partition == partition)) {
			x->times--;
			return x;
		}
	}
	return NULL;
}

void fake_fault_answer(const struct fake_fault *fault, struct fake_reply *r)
{
	kinds[fault->kind].answer(r, fault->value);
}

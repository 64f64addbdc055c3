/* frame.c - request and response headers, and which versions this client speaks. See frame.h for the layout. */
#include "producer/frame.h"

#include "agent/base/err.h"

#define UNUSED { 0, -1 }

/* Produce 7 is the first with zstd and is spoken by every broker from 2.1 on. Brokers 4.x advertise Produce 0 to 2 but
 * refuse them, so a version is taken for what we both claim only above our own minimum. */
const struct api_range api_ours[API_KEYS] = {
	[API_PRODUCE] = { 7, 13 },
	[API_FETCH] = { 4, 10 },		/* from 11 on followers answer too, by a high watermark that may be behind */
	[API_LIST_OFFSETS] = { 1, 7 },
	[API_METADATA] = { 7, 13 },
	[4 ... 16] = UNUSED,
	[API_SASL_HANDSHAKE] = { 1, 1 },
	[API_VERSIONS] = { 0, 4 },
	[19 ... 21] = UNUSED,
	[API_INIT_PRODUCER_ID] = { 0, 5 },
	[23 ... 31] = UNUSED,
	[API_DESCRIBE_CONFIGS] = { 1, 4 },
	[33 ... 35] = UNUSED,
	[API_SASL_AUTHENTICATE] = { 0, 2 },
	[37 ... 60] = UNUSED,
	[API_DESCRIBE_PRODUCERS] = { 0, 0 },
};

int16_t api_pick(const struct api_versions *broker, enum api_key key)
{
	const struct api_range *ours = &api_ours[key], *theirs = &broker->range[key];
	int16_t max = ours->max < theirs->max ? ours->max : theirs->max;
	int16_t min = ours->min > theirs->min ? ours->min : theirs->min;

	return max >= min ? max : -1;
}

bool frame_flexible(enum api_key key, int16_t version)
{
	switch (key) {
	case API_PRODUCE: return version >= 9;
	case API_LIST_OFFSETS: return version >= 6;
	case API_METADATA: return version >= 9;
	case API_VERSIONS: return version >= 3;
	case API_INIT_PRODUCER_ID: return version >= 2;
	case API_DESCRIBE_CONFIGS: return version >= 4;
	case API_SASL_AUTHENTICATE: return version >= 2;
	case API_DESCRIBE_PRODUCERS: return true;
	default: return false;
	}
}

struct frame frame_begin(struct buf *out, enum api_key key, int16_t version, int32_t correlation_id, const char *client_id)
{
	struct frame f = { .w = { .buf = out }, .start = out->len };

	wire_put_i32(&f.w, 0);
	wire_put_i16(&f.w, (int16_t)key);
	wire_put_i16(&f.w, version);
	wire_put_i32(&f.w, correlation_id);
	wire_put_string(&f.w, client_id);	/* before flexible is set: this length stays an int16 */
	f.w.flexible = frame_flexible(key, version);
	wire_put_no_tags(&f.w);
	return f;
}

int frame_end(const struct frame *f, size_t extra)
{
	struct buf *out = f->w.buf;
	size_t n = out->len - f->start - 4;

	if (out->failed || extra > INT32_MAX || n > INT32_MAX - extra)
		return ERR_NOMEM;
	be32_put((uint8_t *)out->data + f->start, (uint32_t)(n + extra));
	return 0;
}

struct wire frame_open(const void *data, size_t n, enum api_key key, int16_t version, int32_t correlation_id)
{
	bool flexible = frame_flexible(key, version);
	struct wire r;

	wire_init(&r, data, n, flexible && key != API_VERSIONS);
	if (wire_i32(&r) != correlation_id)
		r.failed = true;
	wire_no_tags(&r);
	r.flexible = flexible;
	return r;
}

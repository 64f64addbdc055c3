/* api_versions.c - ApiVersions (18), the first request on every connection.
 *
 *	request 0-2  nothing
 *	        3-4  software name compact string | software version compact string | tags
 *	response     error int16 | array { key int16 | min int16 | max int16 | tags 3+ } | throttle int32 1+ | tags 3+
 *
 * A broker that does not know the version answers UNSUPPORTED_VERSION in layout 0, with its range of this one request from
 * 2.4 on, with nothing before (KIP-511).
 */
#include "producer/frame.h"

#include "agent/base/err.h"

#ifndef SPILLWAY_VERSION
#define SPILLWAY_VERSION "0.0.0"
#endif

#define UNSUPPORTED_VERSION 35

int api_versions_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id)
{
	struct frame f = frame_begin(out, API_VERSIONS, version, correlation_id, client_id);

	if (version >= 3) {
		wire_put_string(&f.w, "spillway");
		wire_put_string(&f.w, SPILLWAY_VERSION);
	}
	wire_put_no_tags(&f.w);
	return frame_end(&f, 0);
}

static void read_range(struct wire *r, struct api_versions *v)
{
	int16_t key = wire_i16(r);
	struct api_range range;

	range.min = wire_i16(r);
	range.max = wire_i16(r);
	wire_no_tags(r);
	if (key >= 0 && key < API_KEYS && !r->failed)
		v->range[key] = range;
}

int api_versions_response(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_versions *ret)
{
	struct wire r = frame_open(data, n, API_VERSIONS, version, correlation_id);
	struct api_versions v;
	int rc;

	v.error = wire_i16(&r);
	if (v.error == UNSUPPORTED_VERSION) {
		version = 0;
		r.flexible = false;
	}
	for (int i = 0; i < API_KEYS; i++)
		v.range[i] = (struct api_range){ 0, -1 };
	for (size_t left = wire_count(&r, 6); left > 0 && !r.failed; left--)
		read_range(&r, &v);
	if (version >= 1)
		wire_i32(&r);		/* throttle: nothing to hold back on a new connection */
	wire_no_tags(&r);
	rc = wire_end(&r);
	if (rc == 0)
		*ret = v;
	return rc;
}

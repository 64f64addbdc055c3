/* api_init_producer_id.c - InitProducerId (22) without a transaction: always a brand-new id with epoch 0.
 *
 *	request   transactional id nullable (null) | transaction timeout int32 | 3+: id int64 -1, epoch int16 -1 | tags 2+
 *	response  throttle int32 | error int16 | id int64 | epoch int16 | tags 2+
 */
#include "producer/frame.h"

int api_init_producer_id_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id)
{
	struct frame f = frame_begin(out, API_INIT_PRODUCER_ID, version, correlation_id, client_id);

	wire_put_string(&f.w, NULL);
	wire_put_i32(&f.w, INT32_MAX);		/* as Java's producer does: no transaction, no time-out */
	if (version >= 3) {
		wire_put_i64(&f.w, -1);
		wire_put_i16(&f.w, -1);
	}
	wire_put_no_tags(&f.w);
	return frame_end(&f, 0);
}

int api_init_producer_id_response(const void *data, size_t n, int16_t version, int32_t correlation_id,
				  struct api_producer_id *ret)
{
	struct wire r = frame_open(data, n, API_INIT_PRODUCER_ID, version, correlation_id);
	struct api_producer_id p;
	int rc;

	p.throttle_ms = wire_i32(&r);
	p.error = wire_i16(&r);
	p.producer_id = wire_i64(&r);
	p.producer_epoch = wire_i16(&r);
	if (!p.error && (p.producer_id < 0 || p.producer_epoch < 0))
		r.failed = true;
	wire_no_tags(&r);
	rc = wire_end(&r);
	if (rc == 0)
		*ret = p;
	return rc;
}

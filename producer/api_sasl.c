/* api_sasl.c - SaslHandshake (17) and SaslAuthenticate (36): a SASL exchange inside Kafka's frames.
 *
 *	handshake      request   mechanism string                       version 1 only: version 0 goes on without frames
 *	               response  error int16 | array { mechanism string }
 *	authenticate   request   auth bytes | tags 2+
 *	               response  error int16 | message string nullable | auth bytes | session lifetime int64 1+ | tags 2+
 */
#include "producer/frame.h"

#include <stdio.h>

#include "agent/base/err.h"

int api_sasl_handshake_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
			       const char *mechanism)
{
	struct frame f = frame_begin(out, API_SASL_HANDSHAKE, version, correlation_id, client_id);

	wire_put_string(&f.w, mechanism);
	return frame_end(&f, 0);
}

/* Appends one name; what has no room is left out, control bytes are not shown. */
static void add_mechanism(struct api_sasl_handshake *h, const char *name, size_t n)
{
	size_t len = strlen(h->mechanisms), more = n + (len ? 2 : 0);

	if (more >= sizeof h->mechanisms - len)
		return;
	snprintf(h->mechanisms + len, sizeof h->mechanisms - len, "%s%.*s", len ? ", " : "", (int)n, name);
	for (char *p = h->mechanisms + len; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
}

int api_sasl_handshake_response(const void *data, size_t n, int16_t version, int32_t correlation_id,
				struct api_sasl_handshake *ret)
{
	struct wire r = frame_open(data, n, API_SASL_HANDSHAKE, version, correlation_id);
	struct api_sasl_handshake h = { .error = wire_i16(&r) };
	int rc;

	for (size_t left = wire_count(&r, 2); left > 0 && !r.failed; left--) {
		size_t len;
		const char *name = wire_string(&r, &len);

		if (name)
			add_mechanism(&h, name, len);
	}
	rc = wire_end(&r);
	if (rc == 0)
		*ret = h;
	return rc;
}

int api_sasl_authenticate_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				  const void *auth, size_t auth_len)
{
	struct frame f = frame_begin(out, API_SASL_AUTHENTICATE, version, correlation_id, client_id);

	wire_put_count(&f.w, auth_len);
	buf_put(out, auth, auth_len);
	wire_put_no_tags(&f.w);
	return frame_end(&f, 0);
}

int api_sasl_authenticate_response(const void *data, size_t n, int16_t version, int32_t correlation_id,
				   struct api_sasl_authenticate *ret)
{
	struct wire r = frame_open(data, n, API_SASL_AUTHENTICATE, version, correlation_id);
	struct api_sasl_authenticate a = { .error = wire_i16(&r) };
	int rc;

	a.message = wire_nullable(&r, &a.message_len);
	a.auth_len = wire_count(&r, 1);
	a.auth = wire_bytes(&r, a.auth_len);
	if (version >= 1)
		a.session_lifetime_ms = wire_i64(&r);
	if (a.session_lifetime_ms < 0)
		r.failed = true;
	wire_no_tags(&r);
	rc = wire_end(&r);
	if (rc == 0)
		*ret = a;
	return rc;
}

/* https.h - one POST over TLS 1.2 or later, chain and host name checked. Blocks, within its time-outs. Inside producer/ only.
 * Threads: whoever may wait, with SIGPIPE blocked or ignored, as all threads of agent/base/thread.h have it. */
#ifndef SPILLWAY_HTTPS_H
#define SPILLWAY_HTTPS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "producer/http.h"

struct https_post {			/* strings are borrowed for the call */
	const struct http_url *url;
	const char *ca_location, *ca_certificates;	/* a PEM file or OpenSSL directory; PEM text; both NULL: the system's */
	const char *fields;		/* further header fields, each with its CRLF; may hold secrets */
	const char *body;
	int64_t connect_timeout_ms, read_timeout_ms;
};

/* 0 and the answer, which points into *data; both buffers of the exchange may hold secrets, https_wipe releases *data.
 * ERR_CONFIG (CA, certificate, name), ERR_UNAVAILABLE (network, time), ERR_BAD_DATA (no HTTP, too much of it), ERR_NOMEM;
 * words do not name the endpoint. */
int  https_post(const struct https_post *q, struct buf *data, struct http_response *ret, struct err *ret_err);
void https_wipe(struct buf *data);

#endif

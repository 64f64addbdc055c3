/* endpoints.h - what is at /metrics, /healthz, /readyz, /status and / (index.html, which draws itself from /status).
 * An http_fn; arg is a struct endpoints. Threads: main.
 */
#ifndef SPILLWAY_ENDPOINTS_H
#define SPILLWAY_ENDPOINTS_H

#include "agent/pipeline.h"
#include "agent/web/http.h"

struct endpoints { struct pipeline *pipeline; };

http_fn endpoints_answer;

/* Text of all metrics: the producer's (metrics_text.h) and the agent's own spillway_*. open_metrics: OpenMetrics 1.0, else
 * Prometheus text 0.0.4. 0 or negative. */
int  endpoints_metrics(struct pipeline *p, bool open_metrics, struct buf *out);
/* index.html as it was built in. */
extern const char endpoints_index[];
extern const size_t endpoints_index_len;

#endif

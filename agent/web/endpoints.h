/* endpoints.h - what is at /metrics, /healthz, /readyz, /status and / (index.html, which draws itself from /status).
 *
 * /metrics, /status and /readyz are gathered at most twice a second, however often they are asked for: gathering takes a turn of
 * the threads that ship.
 * Threads: main.
 */
#ifndef SPILLWAY_ENDPOINTS_H
#define SPILLWAY_ENDPOINTS_H

#include "agent/pipeline.h"
#include "agent/web/agent_metrics.h"
#include "agent/web/http.h"

enum endpoints_kept { ENDPOINTS_TEXT, ENDPOINTS_OPEN, ENDPOINTS_STATUS, ENDPOINTS_HISTORY, ENDPOINTS_READY, ENDPOINTS_KEPT };

/* Begins zeroed but for `pipeline`. */
struct endpoints {
	struct pipeline *pipeline;
	struct agent_metrics metrics;
	struct { struct buf text; int64_t at_ms; int status; } kept[ENDPOINTS_KEPT];
	char headers[512];		/* of the page; "": not made yet */
};

http_fn endpoints_answer;		/* arg: struct endpoints */
void endpoints_release(struct endpoints *e);

/* Text of all metrics: the producer's (metrics_text.h) and the agent's own spillway_*. open_metrics: OpenMetrics 1.0, else
 * Prometheus text 0.0.4. 0 or negative. */
int  endpoints_metrics(struct endpoints *e, bool open_metrics, struct buf *out);
/* Whether lines can be taken and kept, spilling included; if not, why (NUL-terminated texts, one behind the other). */
bool endpoints_ready(const struct status *s, struct buf *ret_reasons);
/* Which of the two formats a client's Accept asks for. */
bool endpoints_wants_open(const char *accept);

/* index.html as it was built in (index.c); a NUL stands behind it. */
extern const char endpoints_index[];
extern const size_t endpoints_index_len;

/* The headers of an HTML page of one file: a policy under which only its own inline scripts and styles count, by their hashes, and
 * nothing is fetched but from here. 0; ERR_NOMEM: dst is too short. page_policy.c */
int  endpoints_policy(const char *page, char *dst, size_t n);

#endif

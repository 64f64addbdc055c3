/* endpoints.c - see endpoints.h. Nothing here changes anything. */
#include "agent/web/endpoints.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/status.h"

#define TEXT_MAX     (64u << 20)
#define KEPT_MS      500

/* --- what takes gathering --- */

int endpoints_metrics(struct endpoints *e, bool open_metrics, struct buf *out)
{
	struct pipeline *p = e->pipeline;
	struct metrics_text t = { .out = out, .open = open_metrics };
	struct status s;
	int rc = status_online(p, STATUS_ALL, &s);

	if (rc < 0)
		return rc;
	t.client_id = producer_config_get(p->conf->producer, "client.id");
	agent_metrics_put(&e->metrics, p, &s, &t);
	process_metrics_put(&t);
	rc = s.producer_unknown ? PRODUCER_ERR_TIMEOUT : producer_metrics(p->producer, metrics_text_put, &t);
	status_release(&s);
	metrics_text_end(&t);
	/* A producer that is closed has none any more, one that hangs says none; the agent's own still stand. */
	return out->failed ? ERR_NOMEM : rc == PRODUCER_ERR_CLOSED || rc == PRODUCER_ERR_TIMEOUT ? 0 : rc < 0 ? ERR_UNAVAILABLE : 0;
}

static void add_reason(struct buf *reasons, const char *text)
{
	buf_put(reasons, text, strlen(text) + 1);
}

bool endpoints_ready(const struct status *s, struct buf *ret_reasons)
{
	const struct producer_stat *p = &s->producer;

	if (!strcmp(s->state, "blocked"))
		add_reason(ret_reasons, "the spool is full, files wait");
	if (!strncmp(s->state, "stop", 4))
		add_reason(ret_reasons, "the agent is stopping");
	if (s->files_unknown)
		add_reason(ret_reasons, "the tail thread does not answer");
	if (s->producer_unknown)
		add_reason(ret_reasons, "the sender thread does not answer");
	for (size_t i = 0; i < p->broker_count && !p->any_broker_up; i++) {
		const struct producer_broker_stat *b = &p->brokers[i];

		if (b->refused && buf_printf(ret_reasons, "broker %s:%d: %s", b->host, b->port, b->error) >= 0)
			buf_put(ret_reasons, "", 1);
	}
	return !ret_reasons->len;
}

/* Returns the HTTP status. */
static int write_ready(const struct status *s, struct buf *out)
{
	struct buf reasons;
	bool ready;

	buf_init(&reasons, 65536);
	ready = endpoints_ready(s, &reasons);
	buf_printf(out, "{\"ready\":%s,\"state\":\"%s\",\"reasons\":[", ready ? "true" : "false", s->state);
	for (size_t at = 0; at < reasons.len; at += strlen(reasons.data + at) + 1) {
		buf_puts(out, at ? "," : "");
		buf_put_json(out, reasons.data + at, SIZE_MAX);
	}
	buf_puts(out, "]}\n");
	buf_release(&reasons);
	return ready ? 200 : 503;
}

/* The HTTP status, or negative. */
static int gather(struct endpoints *e, enum endpoints_kept what, struct buf *out)
{
	struct status s;
	int rc;

	if (what == ENDPOINTS_TEXT || what == ENDPOINTS_OPEN) {
		rc = endpoints_metrics(e, what == ENDPOINTS_OPEN, out);
		return rc < 0 ? rc : 200;
	}
	rc = status_online(e->pipeline, STATUS_ALL, &s);
	if (rc < 0)
		return rc;
	if (what == ENDPOINTS_READY)
		rc = write_ready(&s, out);
	else
		status_write(&s, what == ENDPOINTS_HISTORY ? STATUS_HISTORY : STATUS_ALL, true, out);
	status_release(&s);
	return out->failed ? ERR_NOMEM : what == ENDPOINTS_READY ? rc : 200;
}

static void unavailable(struct http_answer *a, const char *words)
{
	a->status = 503;
	a->type = "text/plain; charset=utf-8";
	buf_clear(&a->body);
	buf_printf(&a->body, "%s\n", words);
}

/* Of thousands of files a text has megabytes: none is kept for longer than it is good for, and somebody asks. */
static void drop_old(struct endpoints *e, int64_t now_ms)
{
	for (size_t i = 0; i < ENDPOINTS_KEPT; i++)
		if (e->kept[i].text.data && now_ms - e->kept[i].at_ms >= KEPT_MS)
			buf_release(&e->kept[i].text);
}

static void answer_kept(struct endpoints *e, enum endpoints_kept what, struct http_answer *a)
{
	struct buf *text = &e->kept[what].text;

	drop_old(e, clock_mono_ms());
	if (!text->data) {
		buf_init(text, TEXT_MAX);
		e->kept[what].status = gather(e, what, text);
		if (e->kept[what].status < 0) {
			buf_release(text);
			unavailable(a, "the agent's threads did not answer");
			return;
		}
		e->kept[what].at_ms = clock_mono_ms();
	}
	a->status = e->kept[what].status;
	buf_put(&a->body, text->data, text->len);
}

void endpoints_release(struct endpoints *e)
{
	for (size_t i = 0; i < ENDPOINTS_KEPT; i++)
		buf_release(&e->kept[i].text);
}

/* --- the paths --- */

bool endpoints_wants_open(const char *accept)
{
	const char *p = strstr(accept, "application/openmetrics-text"), *plain = strstr(accept, "text/plain");
	const char *q = p ? strstr(p, ";q=") : NULL;

	/* Prometheus puts what it likes best first, and says so by q as well; who refuses it says q=0. */
	if (!p || (plain && plain < p))
		return false;
	return !(q && q < p + strcspn(p, ",") && strtod(q + 3, NULL) == 0);
}

static void at_metrics(struct endpoints *e, const struct http_request *r, struct http_answer *a)
{
	bool open = endpoints_wants_open(r->accept);

	a->type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8";
	answer_kept(e, open ? ENDPOINTS_OPEN : ENDPOINTS_TEXT, a);
}

static void at_status(struct endpoints *e, const struct http_request *r, struct http_answer *a)
{
	a->type = "application/json";
	answer_kept(e, strcmp(r->query, "history") ? ENDPOINTS_STATUS : ENDPOINTS_HISTORY, a);
}

static void at_healthz(struct endpoints *e, const struct http_request *r, struct http_answer *a)
{
	struct buf hung, slow;

	(void)e;
	(void)r;
	buf_init(&hung, 4096);
	buf_init(&slow, 4096);
	if (beat_all(clock_mono_ms(), AGENT_METRICS_HUNG_MS, &hung, &slow)) {
		buf_puts(&a->body, "ok\n");
	} else {
		a->status = 503;
		buf_printf(&a->body, "hung: %s\n", hung.data ? hung.data : "");
	}
	if (slow.len)
		buf_printf(&a->body, "slow: %s\n", slow.data);
	buf_release(&hung);
	buf_release(&slow);
}

static void at_readyz(struct endpoints *e, const struct http_request *r, struct http_answer *a)
{
	(void)r;
	a->type = "application/json";
	answer_kept(e, ENDPOINTS_READY, a);
}

static void at_root(struct endpoints *e, const struct http_request *r, struct http_answer *a)
{
	(void)r;
	if (!e->headers[0] && endpoints_policy(endpoints_index, e->headers, sizeof e->headers) < 0) {
		unavailable(a, "the page's policy is too long");
		return;
	}
	a->type = "text/html; charset=utf-8";
	a->headers = e->headers;
	buf_put(&a->body, endpoints_index, endpoints_index_len);
}

void endpoints_answer(void *arg, const struct http_request *r, struct http_answer *a)
{
	static const struct {
		const char *path;
		void (*fn)(struct endpoints *, const struct http_request *, struct http_answer *);
	} table[] = {
		{ "/metrics", at_metrics }, { "/healthz", at_healthz }, { "/readyz", at_readyz }, { "/status", at_status },
		{ "/", at_root },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (!strcmp(table[i].path, r->path)) {
			table[i].fn(arg, r, a);
			return;
		}
	}
	a->status = 404;
	buf_puts(&a->body, "404 Not Found: there are /, /status, /metrics, /healthz and /readyz\n");
}

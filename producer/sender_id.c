/* sender_id.c - the producer id: asked for at the start, and anew when a stream needs a fresh one.
 *
 * Failure refused for good (no right): said, and asked again every ID_SLOW_MS, for rights can be given. Else with backoff.
 */
#include "producer/sender.h"

#include <stdio.h>

#include "agent/base/killpoint.h"
#include "producer/core.h"

#define ID_SLOW_MS 5000
#define CODE_CLUSTER_AUTHORIZATION 31

void sender_id_failed(struct sender *s)
{
	s->id_asked = false;
	s->id_at_ms = s->now_ms +
		stream_backoff(&s->rng, s->config->retry_backoff_ms, s->config->retry_backoff_max_ms, s->id_failures++);
}

static bool need_id(struct sender *s)
{
	if (!s->config->enable_idempotence || s->id_asked)
		return false;
	list_each(it, &s->streams)
		s->id_stale |= list_entry(it, struct stream, node)->need_id &&
			       list_entry(it, struct stream, node)->id.producer_id == s->id.producer_id;
	return s->id.producer_id < 0 || s->id_stale;
}

void sender_ask_id(struct sender *s, bool *want)
{
	struct conn *c;
	struct request *r;
	int16_t version;

	if (!need_id(s))
		return;
	if (s->id_at_ms > s->now_ms) {
		sender_lower_wake(s, s->id_at_ms);
		return;
	}
	*want = true;
	c = sender_least_busy(s);
	if (!c)
		return;
	version = api_pick(&c->versions, API_INIT_PRODUCER_ID);
	r = request_new(API_INIT_PRODUCER_ID, version, c->next_correlation_id, 0, 0);
	if (!r || api_init_producer_id_request(&r->control, version, r->correlation_id, s->config->client_id) < 0) {
		request_free(r);
		sender_id_failed(s);
		return;
	}
	c->next_correlation_id++;
	s->id_asked = true;
	conn_send(c, r, s->now_ms);
}

static void report_id(struct sender *s, int16_t code)
{
	char text[160];

	if (code == s->id_reported)
		return;
	s->id_reported = code;
	snprintf(text, sizeof text, "no producer id: %s%s", api_error(code)->name,
		 code == CODE_CLUSTER_AUTHORIZATION ? " (needs WRITE on a topic, or IDEMPOTENT_WRITE on the cluster)" : "");
	sender_tell(s, NULL, INT32_MIN, code ? text : NULL);
}

int sender_take_id(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n)
{
	struct api_producer_id a;
	int rc = api_init_producer_id_response(data, n, r->version, r->correlation_id, &a);

	if (rc == 0)
		sender_throttled(s, c, a.throttle_ms);
	/* It may be of the cluster that is about to be left: in the other one it is somebody else's. */
	if (rc == 0 && s->rebootstrap_due) {
		sender_id_failed(s);
		return 0;
	}
	if (rc < 0 || a.error || a.producer_id < 0) {
		sender_id_failed(s);
		if (rc < 0)
			return rc;
		report_id(s, a.error);
		if (api_error(a.error)->class != API_ERR_RETRY && api_error(a.error)->class != API_ERR_REFRESH)
			s->id_at_ms = s->now_ms + ID_SLOW_MS;
		return 0;
	}
	report_id(s, 0);
	s->id_asked = s->id_stale = false;
	s->id_failures = 0;
	s->id = (struct stream_id){ a.producer_id, a.producer_epoch };
	killpoint(KILL_IDENTITY_AFTER);
	/* With a journal a new identity is recorded first: sender_plan does it. */
	if (s->journal)
		return 0;
	list_each(it, &s->streams)
		stream_renew(list_entry(it, struct stream, node), &s->id, s->now_ms);
	return 0;
}

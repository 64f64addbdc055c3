/* sender_evidence.c - asks leaders what became of batches that nobody answered: when, on which connection, and again.
 *
 * When a recovering stream must ask before it sends again
 *	- its batches are so old that the broker may have forgotten the identity, or clocks cannot tell; or
 *	- the connection over which it was last answered is gone, and the leader lets us ask: a broker that was restarted, or
 *	  another leader, may have lost its memory. One cheap question.
 * A verdict holds as long as that broker's connections do (broker.life), and until another attempt may have been written.
 * Questions go over the last of a broker's connections, where they delay nobody's batches; a scan reads SCAN_BYTES at a time.
 * Invariant: an answer belongs to its stream only while stream.asked is its request.
 * Failure lost, or an error that passes: again after a backoff; FAULTS_MAX in a row count as "it cannot be asked". No memory:
 *	a little later.
 */
#include "producer/sender.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/core.h"
#include "producer/evidence.h"

#define ASKING_MAX 8			/* questions at a time, of all streams */
#define SCAN_BYTES (1 << 20)
#define FAULTS_MAX 20
#define RETRY_MS 100
#define SAY_MS 2000			/* what takes longer is said */
#define UNREADABLE_MS (5LL * 60 * 1000)
#define CLOCK_JUMP_MS 60000
#define CODE_OFFSET_OUT_OF_RANGE 1
#define CODE_TOPIC_AUTHORIZATION 29
#define CODE_FORGOTTEN 59

/* --- clocks --- */

static void forget_ages(struct sender *s)
{
	list_each(it, &s->streams)
		list_entry(it, struct stream, node)->age_unknown = true;
	s->id_stale = s->id.producer_id >= 0;
}

/* A machine that slept, was resumed from a snapshot or got another time cannot tell how old anything is. Then, and at the
 * start of a state directory that was moved. */
void sender_watch_clock(struct sender *s)
{
	int64_t ahead = clock_wall_ms() - s->now_ms;
	bool jumped = llabs(ahead - s->wall_ahead_ms) > CLOCK_JUMP_MS;

	if (!jumped && !s->ages_unknown)
		return;
	s->wall_ahead_ms = ahead;
	s->ages_unknown = false;
	forget_ages(s);
}

/* --- when --- */

static bool may_ask_memory(const struct sender *s, const struct stream *st, const struct broker *b)
{
	return st->owner->unreadable_until_ms <= s->now_ms &&
	       api_pick(&b->conn[CONN_MAIN].versions, API_DESCRIBE_PRODUCERS) >= 0;
}

bool sender_must_ask(const struct sender *s, const struct stream *st, const struct broker *b)
{
	if (!s->journal || !st->conf->idempotent || !st->recovering || st->cutting || !stream_any_maybe(st))
		return false;
	if (st->doubt)
		return true;
	if (st->vouched_by == b->life)
		return false;
	if (!stream_young(st, clock_wall_ms()))
		return true;
	return st->answered_by != b->life && may_ask_memory(s, st, b);
}

/* --- asking --- */

static int write_question(const struct sender *s, const struct stream *st, struct request *r)
{
	const struct evidence *e = st->evidence;
	struct buf *out = &r->control;
	const char *client_id = s->config->client_id;

	if (r->api == API_DESCRIBE_PRODUCERS)
		return api_describe_producers_request(out, r->version, r->correlation_id, client_id, st->topic, st->partition);
	if (r->api == API_LIST_OFFSETS)
		return api_list_offsets_request(out, r->version, r->correlation_id, client_id, st->topic, st->partition,
						e->step == EVIDENCE_LATEST ? API_OFFSET_LATEST :
						e->step == EVIDENCE_EARLIEST ? API_OFFSET_EARLIEST : e->conf.from_ms);
	return api_fetch_request(out, r->version, r->correlation_id, client_id, st->topic, st->partition, e->at, 0, SCAN_BYTES);
}

static enum api_key question_of(const struct evidence *e)
{
	if (e->step == EVIDENCE_PRODUCERS)
		return API_DESCRIBE_PRODUCERS;
	return e->step == EVIDENCE_RECORDS ? API_FETCH : API_LIST_OFFSETS;
}

static void later(struct sender *s, struct stream *st)
{
	st->ask_at_ms = s->now_ms + RETRY_MS;
	sender_lower_wake(s, st->ask_at_ms);
}

/* False: this one is not offered by the broker. */
static bool ask_on(struct sender *s, struct stream *st, struct conn *c)
{
	enum api_key api = question_of(st->evidence);
	int16_t version = api_pick(&c->versions, api);
	struct request *r;

	if (version < 0)
		return false;
	r = request_new(api, version, c->next_correlation_id, 0, 0);
	if (!r || write_question(s, st, r) < 0) {
		request_free(r);
		later(s, st);
		return true;
	}
	c->next_correlation_id++;
	r->stream = st;
	st->asked = r;
	s->asking++;
	conn_send(c, r, s->now_ms);
	return true;
}

/* Where questions go, or NULL: not now. */
static struct conn *connection(struct sender *s, struct broker *b)
{
	struct conn *c = &b->conn[CONN_KINDS - 1];

	if (!sender_want(s, c))
		c = &b->conn[CONN_MAIN];	/* better among the others than not at all */
	if (!conn_ready(c))
		return NULL;
	if (c->throttled_until_ms > s->now_ms) {
		sender_lower_wake(s, c->throttled_until_ms);
		return NULL;
	}
	return c;
}

static void ask(struct sender *s, struct stream *st, struct broker *b)
{
	struct conn *c;

	if (st->ask_at_ms > s->now_ms) {
		sender_lower_wake(s, st->ask_at_ms);
		return;
	}
	if (s->asking >= ASKING_MAX)
		return;		/* an answer makes the next round */
	c = connection(s, b);
	if (c && !ask_on(s, st, c)) {
		evidence_refused(st->evidence, s->now_ms);
		sender_lower_wake(s, s->now_ms);
	}
}

/* --- verdict --- */

/* People learn what the log has lost, whatever comes of our batches. */
static void tell_lost(struct sender *s, const struct stream *st)
{
	const char *what = NULL;

	if (st->evidence->behind)
		what = "the cluster has lost records that it had acknowledged: the partition's leader remembers less of ours than "
		       "was answered good; look at unclean.leader.election.enable and at disks";
	else if (st->evidence->foreign && st->doubt != DOUBT_ALARM)
		what = "another writer used our producer id: is this state directory or machine image a copy?";
	if (what)
		sender_tell(s, st->topic, st->partition, what);
}

/* Only when stream_doubt_ready: while the question was on its way some of its batches may have gone to the journal, to be kept
 * elsewhere, and they are its own until it answers. */
static void settle(struct sender *s, struct stream *st)
{
	tell_lost(s, st);
	/* Nobody can tell whether there is another writer or the topic stamps batches itself by now. A fresh identity has no other
	 * writer: if it raises the alarm too that is false, and would be for ever. */
	if (st->evidence->append_time || (st->doubt == DOUBT_ALARM && st->evidence->verdict == EVIDENCE_UNKNOWN))
		st->owner->create_time = false;
	stream_doubt_end(st, st->vouched_by, s->now_ms, &s->done);
	sender_lower_wake(s, s->now_ms);
}

static void step(struct sender *s, struct stream *st)
{
	struct broker *b = sender_leader(s, st->owner, st->partition);
	struct evidence *e;

	if (!b || !sender_want(s, &b->conn[CONN_MAIN]) || !conn_up(&b->conn[CONN_MAIN]))
		return;
	if (!st->doubt && !st->voided && stream_gone_asks(st))
		stream_doubt(st, DOUBT_GONE, 0, s->now_ms);
	if (!st->doubt && !st->sent && !st->voided && sender_must_ask(s, st, b))
		stream_doubt(st, DOUBT_BEFORE, 0, s->now_ms);
	if (!stream_doubt_ready(st) || st->asked)
		return;
	if (!st->conf->idempotent) {
		stream_gone_blind(st);
		return;
	}
	if (!st->evidence && stream_doubt_begin(st, clock_wall_ms()) < 0) {
		sender_lower_wake(s, s->now_ms + RETRY_MS);
		return;
	}
	e = st->evidence;
	evidence_tick(e, s->now_ms);
	if (e->step != EVIDENCE_WAIT && e->step != EVIDENCE_DONE) {
		st->vouched_by = b->life;
		ask(s, st, b);
	}
	if (e->step == EVIDENCE_DONE) {
		settle(s, st);
		return;
	}
	if (e->step == EVIDENCE_WAIT)
		sender_lower_wake(s, e->wait_until_ms);
	/* Longer than people would not notice. */
	if (!st->hold_code && (e->step == EVIDENCE_WAIT || s->now_ms - st->doubt_ms > SAY_MS))
		st->hold_code = CODE_FORGOTTEN;
}

void sender_evidence(struct sender *s)
{
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (st->doubt && !st->count)
			stream_doubt_over(st, s->now_ms);
		else if (st->doubt || st->recovering)
			step(s, st);
	}
}

/* --- answers --- */

static void again(struct sender *s, struct stream *st)
{
	st->ask_at_ms = s->now_ms + stream_backoff(&s->rng, s->config->retry_backoff_ms, s->config->retry_backoff_max_ms,
						   st->ask_faults++);
	if (st->ask_faults < FAULTS_MAX)
		return;
	st->ask_faults = 0;
	evidence_refused(st->evidence, s->now_ms);
}

/* True: there is nothing to be taken. */
static bool failed(struct sender *s, struct stream *st, int16_t code)
{
	enum api_error_class class = api_error(code)->class;

	if (code == 0) {
		st->ask_faults = 0;
		return false;
	}
	if (code == CODE_OFFSET_OUT_OF_RANGE)
		evidence_rewind(st->evidence);
	if (class == API_ERR_REFRESH)
		metadata_want_refresh(&s->metadata);
	if (class == API_ERR_REFRESH || class == API_ERR_RETRY) {
		again(s, st);
		return true;
	}
	if (code == CODE_TOPIC_AUTHORIZATION)
		st->owner->unreadable_until_ms = s->now_ms + UNREADABLE_MS;
	evidence_refused(st->evidence, s->now_ms);
	return true;
}

static int take_producers(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n)
{
	struct stream *st = r->stream;
	int16_t code = 0;
	int32_t throttle_ms = 0;
	int rc;

	evidence_expect_producers(st->evidence);
	rc = api_describe_producers_response(data, n, r->version, r->correlation_id, &code, &throttle_ms,
					     evidence_see_producer, st->evidence);
	sender_throttled(s, c, throttle_ms);
	if (rc == 0 && !failed(s, st, code))
		evidence_take_producers(st->evidence, r->sent_ms);
	return rc;
}

static int take_offset(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n)
{
	struct api_offset a = { 0 };
	int rc = api_list_offsets_response(data, n, r->version, r->correlation_id, &a);

	sender_throttled(s, c, a.throttle_ms);
	if (rc == 0 && !failed(s, r->stream, a.error))
		evidence_take_offset(r->stream->evidence, a.offset);
	return rc;
}

static int take_records(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n)
{
	struct api_fetch a = { 0 };
	int rc = api_fetch_response(data, n, r->version, r->correlation_id, &a);

	sender_throttled(s, c, a.throttle_ms);
	/* Held back for a quota: it tells nothing. */
	if (rc == 0 && !failed(s, r->stream, a.error) && a.high_watermark >= 0)
		evidence_take_records(r->stream->evidence, &a, r->sent_ms);
	return rc;
}

int sender_take_evidence(struct sender *s, struct conn *c, const struct request *r, const void *data, size_t n)
{
	struct stream *st = r->stream;
	int rc;

	s->asking--;
	if (st->asked != r)
		return 0;
	st->asked = NULL;
	if (r->api == API_DESCRIBE_PRODUCERS)
		rc = take_producers(s, c, r, data, n);
	else if (r->api == API_LIST_OFFSETS)
		rc = take_offset(s, c, r, data, n);
	else
		rc = take_records(s, c, r, data, n);
	/* What vouches is the life that was asked: another one may have begun since. */
	if (rc < 0)
		again(s, st);
	sender_lower_wake(s, s->now_ms);
	return rc;
}

void sender_evidence_lost(struct sender *s, const struct request *r)
{
	s->asking--;
	if (r->stream->asked != r)
		return;
	r->stream->asked = NULL;
	again(s, r->stream);
}

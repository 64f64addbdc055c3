/* sender.c - life of the sender's thread, its round, and what the journal answers.
 *
 * Why rounds: events only note things; decisions are made once for all of them, so a hundred small events cost one pass.
 * Invariants
 *  (1) everything the journal was given is counted in at_journal until it answers.
 *  (2) lists given to the journal are given at the end of a step, never while they are being walked.
 * Threads: sender. Locks: only inside the calls of lane.h and budget.h.
 * Failure no memory anywhere: the step is left out and comes again, at the latest RETRY_MS later.
 */
#include "producer/sender.h"

#include <stdatomic.h>
#include <sys/random.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/core.h"

#define WAKE_MAX_MS 60000
#define WINDOW_MIN 8
#define WINDOW_MAX 16
#define HOLD_MS 2000
#define HOLD_MAX_MS 30000
#define FORGET_MS (6LL * 3600 * 1000)
#define EXPIRY_CHECK_MS (10LL * 60 * 1000)	/* brokers look so often at what is to be forgotten */
#define LOAD_RETRY_MS 50
#define LOAD_FAULT_MS 1000

static void wake(void *arg)
{
	loop_wake(&((struct sender *)arg)->loop);
}

static void on_round(void *arg);

static void on_timer(struct loop_timer *t)
{
	(void)t;	/* the round follows by itself */
}

static uint64_t seed(void)
{
	uint64_t n = 0;

	if (getrandom(&n, sizeof n, GRND_NONBLOCK) != sizeof n)
		n = (uint64_t)clock_mono_ns();
	return n;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* With a journal, as many as share a transaction well: but eight partitions that take nothing may bind a good part of
 * buffer.memory, and not all of it. */
static uint32_t window_of(const struct sender *s)
{
	const struct producer_config *k = s->config;
	int64_t n = k->buffer_memory / 8 / (k->batch_size > 0 ? k->batch_size : 1);

	return !s->journal || n < WINDOW_MIN ? WINDOW_MIN : n > WINDOW_MAX ? WINDOW_MAX : (uint32_t)n;
}

static void configure(struct sender *s)
{
	const struct producer_config *k = s->config;
	int64_t expiry = k->producer_id_expiration_ms;
	int64_t in_flight = k->max_in_flight < 1 ? 1 : k->max_in_flight;

	s->stream_conf = (struct stream_conf){
		.in_flight = (uint32_t)in_flight,
		.window = window_of(s),
		.idempotent = k->enable_idempotence != 0, .journaled = s->journal != NULL,
		.may_double = s->journal && s->journal->may_double,
		.retries = k->retries < 0 ? 0 : (uint32_t)k->retries,
		.backoff_ms = k->retry_backoff_ms, .backoff_max_ms = k->retry_backoff_max_ms,
		.hold_ms = HOLD_MS, .hold_max_ms = HOLD_MAX_MS, .slow_ms = SENDER_SLOW_MS,
		.forget_ms = least(FORGET_MS, expiry / 2), .young_ms = expiry - least(EXPIRY_CHECK_MS, expiry / 4),
		.settle_ms = k->request_timeout_ms + k->evidence_settle_ms, .rng = seed(),
	};
	s->conn_conf = (struct conn_conf){
		.loop = &s->loop, .names = s->names, .config = k, .ops = &sender_conn_ops, .rng = &s->rng,
		.need_producer_id = k->enable_idempotence != 0, .metrics = &s->metrics,
	};
	metadata_init(&s->metadata, &(struct metadata_conf){
		.max_age_ms = k->metadata_max_age_ms, .max_idle_ms = k->metadata_max_idle_ms, .backoff_ms = k->retry_backoff_ms,
		.backoff_max_ms = k->retry_backoff_max_ms, .rng = seed(),
	});
}

static void init_lists(struct sender *s)
{
	struct list *all[] = { &s->brokers, &s->lanes, &s->busy, &s->linger, &s->streams, &s->to_plan, &s->to_ack, &s->to_lose,
			       &s->done, &s->replan, &s->reload, &s->unplaced };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		list_init(all[i]);
}

int sender_open(struct sender *s, struct producer *p, struct err *ret_err)
{
	int rc;

	*s = (struct sender){
		.p = p, .config = p->config, .journal = p->journaled ? &p->journal : NULL, .accum = &p->accum,
		.budget = p->budget, .rng = seed(), .id = { -1, -1 }, .last_ack_ms = -1, .bootstrap_next_id = -1,
	};
	init_lists(s);
	queue_init(&s->answers, wake, s);
	rc = loop_init(&s->loop, NULL, on_round, s);
	if (rc < 0) {
		s->loop = (struct loop){ .epoll_fd = -1, .wake_fd = -1 };
		list_init(&s->metadata.topics);
		return rc;
	}
	cutter_init(&s->cutter, s->config, s->budget, &s->answers, s->journal != NULL);
	rc = names_open(&s->names, wake, s);
	configure(s);
	if (rc == 0)
		rc = security_new(s->config, &s->conn_conf.security, ret_err);
	if (rc == 0)
		rc = timer_set(&s->loop, &s->timer, 0, on_timer);	/* later ones need no memory */
	if (rc == 0 && (rc = sender_bootstrap(s)) == ERR_CONFIG)
		err_set(ret_err, rc, "bootstrap.servers must be a list of host:port");
	return rc;
}

void sender_close(struct sender *s)
{
	struct broker *b;

	cutter_close(&s->cutter);

	while ((b = list_first(&s->brokers, struct broker, node))) {
		list_remove(&b->node);
		for (int i = 0; i < CONN_KINDS; i++)
			conn_release(&b->conn[i], s->loop.now_ms);
		mem_free(b);
	}
	names_close(s->names);
	s->names = NULL;
	security_unref(s->conn_conf.security);
	s->conn_conf.security = NULL;
	mem_free(s->servers);
	metadata_release(&s->metadata);
	queue_release(&s->answers);
	loop_release(&s->loop);
}

/* --- small things the steps share --- */

void sender_lower_wake(struct sender *s, int64_t at_ms)
{
	if (at_ms < s->wake_ms)
		s->wake_ms = at_ms;
}

void sender_busy(struct sender *s, struct lane *l)
{
	if (list_empty(&l->busy_node))
		list_push_back(&s->busy, &l->busy_node);
	if (l->since_ms < 0)
		l->since_ms = s->now_ms;
}

struct stream *sender_stream(struct sender *s, const struct batch *b)
{
	struct topic *t = b->lane ? b->lane->topic : accum_topic(s->accum, b->topic);
	struct stream *st = t ? topic_stream(t, b->partition, &s->stream_conf) : NULL;

	ASSERT(st);	/* it was there when the batch joined it */
	return st;
}

/* --- answers of the journal --- */

static void answered(struct sender *s, struct batch *b)
{
	if (b->state == BATCH_CUTTING) {
		s->at_journal--;
		sender_cut_answered(s, b);
		return;
	}
	/* What was to be kept elsewhere without an identity is counted in its lane (lane_add_spilling). */
	if (b->state != BATCH_SPILLING || b->placed)
		s->at_journal--;
	if (b->state == BATCH_PLANNING) {
		sender_plan_answered(s, b);
	} else if (b->state == BATCH_SPILLING) {
		sender_spill_answered(s, b);
	} else {
		ASSERT(b->state == BATCH_LOADING);
		sender_load_answered(s, b);
	}
}

void sender_take_answers(struct sender *s)
{
	struct list taken;
	struct batch *b;

	queue_take_all(&s->answers, &taken);
	while ((b = list_first(&taken, struct batch, node))) {
		list_remove(&b->node);
		answered(s, b);
	}
}

/* All that was to be recorded of a stream has failed, and its time has come. */
static bool plans_due(struct sender *s, const struct stream *st)
{
	int64_t at_ms = 0;

	if (!st->planning || st->cutting)
		return false;
	for (uint32_t i = 0; i < st->count; i++) {
		const struct batch *b = st->slots[i];

		if (b->state != BATCH_PLANNING)
			continue;
		if (!b->retry_at_ms)
			return false;	/* the journal has it */
		at_ms = b->retry_at_ms > at_ms ? b->retry_at_ms : at_ms;
	}
	if (at_ms > s->now_ms)
		sender_lower_wake(s, at_ms);
	return at_ms <= s->now_ms;
}

/* Together, as the first time: a crash between those that were withdrawn together would leave some under their old identity
 * and others under the new one, and the next life would send them in another order. */
static void plan_stream_again(struct sender *s, struct stream *st)
{
	for (uint32_t i = 0; i < st->count; i++) {
		struct batch *b = st->slots[i];

		if (b->state != BATCH_PLANNING)
			continue;
		list_remove(&b->node);
		list_push_back(&s->to_plan, &b->node);
	}
}

/* What failed at the journal, again when its time has come. */
static void retry_at_journal(struct sender *s)
{
	list_each(it, &s->streams) {
		struct stream *st = list_entry(it, struct stream, node);

		if (!list_empty(&s->replan) && plans_due(s, st))
			plan_stream_again(s, st);
	}
	list_each_safe(it, &s->reload) {
		struct batch *b = list_entry(it, struct batch, node);

		if (b->retry_at_ms > s->now_ms) {
			sender_lower_wake(s, b->retry_at_ms);
			continue;
		}
		list_remove(&b->node);
		b->retry_at_ms = 0;
		b->state = BATCH_PLANNED;	/* its stream asks again, if it is still its turn */
	}
}

void sender_load_answered(struct sender *s, struct batch *b)
{
	bool nowhere = b->error == ERR_BAD_DATA || b->error == ERR_CORRUPT;

	if (b->error == 0) {
		b->surveyed = b->gone;
		b->state = BATCH_PLANNED;
		return;
	}
	if (nowhere && b->keep_rest) {
		b->state = BATCH_PLANNED;	/* nothing is left that could be kept */
		b->error = 0;
		return;
	}
	if (nowhere && !b->gone && !b->row_id && b->range_count) {
		b->state = BATCH_PLANNED;
		b->error = 0;
		stream_gone(sender_stream(s, b), b);
		return;
	}
	if (nowhere) {
		stream_abandon(sender_stream(s, b), b, b->error, s->now_ms, &s->done);
		return;
	}
	if (b->error == ERR_AGAIN)
		sender_make_room(s);
	else if (s->journal->event && !b->load_failed)
		s->journal->event(s->journal->arg, b->topic, b->partition,
				  "a batch that was sent before cannot be read again yet, its partition waits for it");
	b->load_failed = b->error != ERR_AGAIN;
	b->retry_at_ms = s->now_ms + (b->error == ERR_AGAIN ? LOAD_RETRY_MS : LOAD_FAULT_MS);
	b->error = 0;
	list_push_back(&s->reload, &b->node);
}

/* --- the round --- */

static bool all_done(struct sender *s)
{
	if (!list_empty(&s->streams) || s->at_journal || atomic_load(&s->accum->recording) || atomic_load(&s->accum->in_memory))
		return false;
	list_each(it, &s->busy) {
		struct lane *l = list_entry(it, struct lane, busy_node);

		if (l->seen_backlog || l->seen_spilling || l->returned_count || l->refilling || !list_empty(&l->ready))
			return false;
	}
	return true;
}

static void answer_stats(struct producer *p)
{
	struct stat_request *q;

	while ((q = list_first(&p->stat_requests, struct stat_request, node))) {
		list_remove(&q->node);
		q->rc = q->fill(p, q->arg);
		q->done = true;
	}
}

/* What other threads wait for. */
static void tell(struct sender *s)
{
	struct producer *p = s->p;
	bool up = sender_any_up(s), news;

	pthread_mutex_lock(&p->mu);
	news = up != p->broker_up || !list_empty(&p->stat_requests);
	if (up != p->broker_up) {
		p->broker_up = up;
		p->down_since_ms = s->now_ms;
	}
	s->stopping = p->stopping;
	if (s->stopping)
		sender_lower_wake(s, s->now_ms);
	if (p->draining) {
		p->idle = all_done(s);
		p->only_held = !p->idle && sender_only_held(s);
		news |= p->idle || p->only_held;
	}
	answer_stats(p);
	if (news)
		pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->mu);
}

static void on_round(void *arg)
{
	struct sender *s = arg;

	s->now_ms = s->loop.now_ms;
	s->wake_ms = s->now_ms + WAKE_MAX_MS;
	s->round++;
	if (s->stopping) {
		sender_stop_round(s);
		timer_set(&s->loop, &s->timer, s->wake_ms, on_timer);
		return;
	}
	sender_watch_clock(s);
	sender_take_reload(s);
	sender_take_answers(s);
	retry_at_journal(s);
	sender_cluster(s);
	sender_linger(s);
	sender_seal_for_memory(s);
	sender_news(s);
	sender_place(s);
	if (!s->journal)
		sender_expire(s);
	else
		sender_spill(s);
	sender_refill(s);
	if (s->journal) {
		sender_unread(s);
		sender_hold(s);
	}
	sender_cut(s);
	if (s->journal)
		sender_evidence(s);
	sender_plan(s);
	sender_send(s);
	sender_finish(s);
	sender_events(s);
	sender_sweep(s);
	sender_watch_conns(s);
	tell(s);
	timer_set(&s->loop, &s->timer, s->wake_ms, on_timer);
}

void *sender_run(void *producer)
{
	struct producer *p = producer;
	struct sender *s = &p->sender;
	struct beat own = { 0 };

	beat_open(&own, "sender");
	s->loop.now_ms = clock_mono_ms();
	s->stream_conf.started_ms = s->loop.now_ms;
	s->wall_ahead_ms = clock_wall_ms() - s->loop.now_ms;
	on_round(s);
	loop_run(&s->loop);
	if (!s->journal)
		sender_fail_rest(s);
	pthread_mutex_lock(&p->mu);
	p->stopped = true;
	answer_stats(p);
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->mu);
	beat_close(&own);
	return NULL;
}

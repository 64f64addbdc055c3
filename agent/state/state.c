/* state.c - the state thread's queues and loop. See state.h for what it promises.
 *
 * Why acks wait a little: an ack by itself changes nothing that a crash could double (a repeat is recognised), so acks
 * ride along with the next plan's transaction, or alone after ACK_DELAY_MS.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"
#include "agent/state/state_int.h"
#include "agent/tail/tail.h"

#define ACK_DELAY_MS  10
#define IDLE_DELAY_MS 200

static void work_init(struct work *w)
{
	list_init(&w->notes);
	list_init(&w->acks);
	list_init(&w->lost);
	list_init(&w->plans);
	list_init(&w->replaces);
	list_init(&w->spills);
	list_init(&w->reads);
	list_init(&w->asks);
}

static void work_take(struct work *dst, struct work *src)
{
	list_splice_back(&dst->notes, &src->notes);
	list_splice_back(&dst->acks, &src->acks);
	list_splice_back(&dst->lost, &src->lost);
	list_splice_back(&dst->plans, &src->plans);
	list_splice_back(&dst->replaces, &src->replaces);
	list_splice_back(&dst->spills, &src->spills);
	list_splice_back(&dst->reads, &src->reads);
	list_splice_back(&dst->asks, &src->asks);
}

/* Whether there is something to do that does not wait for a timer. */
static bool work_pending(const struct state *st)
{
	const struct work *in = &st->in, *todo = &st->todo;

	if (!list_empty(&in->notes) || !list_empty(&in->lost) || !list_empty(&in->plans) || !list_empty(&in->replaces) ||
	    !list_empty(&in->spills) || !list_empty(&in->reads) || !list_empty(&in->asks))
		return true;
	return !list_empty(&todo->replaces) || !list_empty(&todo->spills) || !list_empty(&todo->reads) || !list_empty(&todo->asks);
}

int state_open(struct spool *s, const struct conf *conf, struct books *books, struct state **ret_st)
{
	struct state *st = mem_new(struct state);

	if (!st)
		return ERR_NOMEM;
	st->spool = s;
	st->books = books;
	st->sync = conf->spool.sync == CONF_SYNC_FULL ? SPOOL_FULL : SPOOL_NORMAL;
	st->when_full = conf->spool.when_full;
	st->may_double = conf->delivery == CONF_AT_LEAST_ONCE;
	pthread_mutex_init(&st->mu, NULL);
	pthread_mutex_init(&st->safe_mu, NULL);
	thread_cond_init(&st->cond);
	thread_cond_init(&st->asked);
	work_init(&st->in);
	work_init(&st->todo);
	list_init(&st->held);
	map_init(&st->safe);
	map_init(&st->cursors);
	*ret_st = st;
	return 0;
}

static void map_free_values(struct map *m)
{
	size_t it = 0;
	void *v;

	while ((v = map_next(m, &it)))
		mem_free(v);
	map_release(m);
}

void state_close(struct state *st)
{
	if (!st)
		return;
	ASSERT(!st->running);
	list_each_safe(it, &st->todo.notes)
		state_note_free(list_entry(it, struct note, node));
	list_each_safe(it, &st->in.notes)
		state_note_free(list_entry(it, struct note, node));
	list_each_safe(it, &st->held)
		state_note_free(list_entry(it, struct note, node));
	spool_close(st->spool);
	map_free_values(&st->safe);
	map_free_values(&st->cursors);
	pthread_mutex_destroy(&st->mu);
	pthread_mutex_destroy(&st->safe_mu);
	pthread_cond_destroy(&st->cond);
	pthread_cond_destroy(&st->asked);
	mem_free(st);
}

void state_set_tail(struct state *st, struct tail *t)
{
	st->tail = t;
}

void state_on_damage(struct state *st, void (*fn)(void *arg), void *arg)
{
	st->on_damage = fn;
	st->on_damage_arg = arg;
}

void state_say(struct state *st, const struct err *e, const char *what)
{
	bool news;

	pthread_mutex_lock(&st->mu);
	news = e ? strcmp(st->trouble, e->text) != 0 : st->trouble[0] != '\0';
	snprintf(st->trouble, sizeof st->trouble, "%s", e ? e->text : "");
	pthread_mutex_unlock(&st->mu);
	if (!news)
		return;
	if (e)
		log_error(what, KS("error", e->text));
	else
		log_info("state database works again");
}

void state_trouble(struct state *st, char *buf, size_t n)
{
	pthread_mutex_lock(&st->mu);
	snprintf(buf, n, "%s", st->trouble);
	if (!st->trouble[0] && atomic_load(&st->rejected_full))
		snprintf(buf, n, STATE_REJECTED_FULL);
	else if (!st->trouble[0])
		state_dropping(st, buf, n);
	pthread_mutex_unlock(&st->mu);
}

/* --- positions for other threads --- */

static struct safe_cell *safe_cell(struct state *st, int64_t file_id)
{
	return map_get(&st->safe, &file_id, sizeof file_id);
}

void state_publish_file(struct state *st, int64_t file_id)
{
	struct safe_cell *c;
	int64_t safe;

	if (!spool_position(st->spool, file_id, &safe))
		return;
	pthread_mutex_lock(&st->safe_mu);
	c = safe_cell(st, file_id);
	if (!c && (c = mem_new(struct safe_cell)) && map_put(&st->safe, &file_id, sizeof file_id, c) < 0) {
		mem_free(c);
		c = NULL;
	}
	if (c)
		atomic_store_explicit(&c->safe, safe, memory_order_relaxed);
	pthread_mutex_unlock(&st->safe_mu);
}

void state_unpublish_file(struct state *st, int64_t file_id)
{
	pthread_mutex_lock(&st->safe_mu);
	mem_free(map_del(&st->safe, &file_id, sizeof file_id));
	pthread_mutex_unlock(&st->safe_mu);
}

void state_publish(struct state *st, const struct batch *b)
{
	for (uint32_t i = 0; i < b->range_count; i++)
		if (i == 0 || b->ranges[i].file_id != b->ranges[i - 1].file_id)
			state_publish_file(st, b->ranges[i].file_id);
}

int64_t state_safe(struct state *st, int64_t file_id)
{
	struct safe_cell *c;
	int64_t safe;

	pthread_mutex_lock(&st->safe_mu);
	c = safe_cell(st, file_id);
	safe = c ? atomic_load_explicit(&c->safe, memory_order_relaxed) : -1;
	pthread_mutex_unlock(&st->safe_mu);
	return safe;
}

/* --- the thread --- */

/* When the thread has to wake up although nothing new came; -1: never. */
static int64_t next_deadline(const struct state *st, int64_t now)
{
	int64_t at = -1;

	if (st->idle_more)
		at = now + IDLE_DELAY_MS;
	if (st->acks_since_ms && (at < 0 || st->acks_since_ms + ACK_DELAY_MS < at))
		at = st->acks_since_ms + ACK_DELAY_MS;
	if (st->holes_file && (at < 0 || st->holes_at_ms + STATE_HOLES_MS < at))
		at = st->holes_at_ms + STATE_HOLES_MS;
	if (!list_empty(&st->held) && !st->retry_at_ms && (at < 0 || st->held_at_ms < at))
		at = st->held_at_ms;
	if (st->unsynced && !st->retry_at_ms && (at < 0 || st->full_at_ms + STATE_FULL_EVERY_MS < at))
		at = st->full_at_ms + STATE_FULL_EVERY_MS;
	if (st->retry_at_ms && (at < 0 || st->retry_at_ms < at || st->acks_since_ms))
		at = st->retry_at_ms;
	return at;
}

/* Lock: mu. The first ack begins their wait; those that come behind it wake nobody. */
static void time_acks(struct state *st)
{
	if (!list_empty(&st->in.acks) && !st->acks_since_ms)
		st->acks_since_ms = clock_mono_ms();
	st->acks_timed = st->acks_since_ms != 0;
}

/* Waits for work. false: stopping and nothing left. Lock: takes mu. */
static bool state_wait(struct state *st)
{
	bool go_on;

	pthread_mutex_lock(&st->mu);
	beat_into(BEAT_WAIT);
	time_acks(st);
	while (!work_pending(st) && !st->stopping) {
		int64_t now = clock_mono_ms(), at = next_deadline(st, now);
		struct timespec ts = { .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };

		if (at < 0) {
			pthread_cond_wait(&st->cond, &st->mu);
		} else if (at <= now || pthread_cond_timedwait(&st->cond, &st->mu, &ts) == ETIMEDOUT) {
			break;
		}
		time_acks(st);
	}
	go_on = work_pending(st) || !st->stopping;
	work_take(&st->todo, &st->in);
	beat_out();
	pthread_mutex_unlock(&st->mu);
	return go_on;
}

static bool ledger_due(const struct state *st, int64_t now)
{
	const struct work *w = &st->todo;

	if (st->retry_at_ms && now < st->retry_at_ms)
		return !list_empty(&w->plans);		/* they must be answered, good or bad */
	if (!list_empty(&w->plans) || !list_empty(&w->notes) || !list_empty(&w->lost))
		return true;
	if (!list_empty(&st->held) && now >= st->held_at_ms)
		return true;
	if (state_sync_due(st, now))
		return true;
	return !list_empty(&w->acks) && (now >= st->acks_since_ms + ACK_DELAY_MS || st->stopping);
}

static void answer_asks(struct state *st)
{
	list_each_safe(it, &st->todo.asks) {
		struct ask_job *job = list_entry(it, struct ask_job, node);

		list_remove(&job->node);
		pthread_mutex_lock(&st->mu);
		job->running = !job->abandoned;
		pthread_mutex_unlock(&st->mu);
		if (!job->running) {
			mem_free(job);
			continue;
		}
		beat();
		job->fn(job->arg, st->spool);
		pthread_mutex_lock(&st->mu);
		job->done = true;
		pthread_cond_broadcast(&st->asked);
		pthread_mutex_unlock(&st->mu);
	}
}

static void state_round(struct state *st)
{
	int64_t now = clock_mono_ms();
	bool busy = false;
	struct err e;

	if (ledger_due(st, now)) {
		state_commit_ledger(st, now);
		busy = true;
	} else if (now >= st->retry_at_ms) {
		st->retry_at_ms = 0;	/* what failed was all answered: a time that is over would wake the thread without end */
	}
	if (!list_empty(&st->todo.replaces)) {
		state_commit_replaces(st);
		busy = true;
	}
	if (!list_empty(&st->todo.spills)) {
		state_commit_spills(st);
		busy = true;
	} else if (!list_empty(&st->todo.reads)) {
		struct read_job *job = list_first(&st->todo.reads, struct read_job, node);

		list_remove(&job->node);
		state_read(st, job);
		mem_free(job);
		busy = true;
	}
	answer_asks(st);
	state_ask_holes(st, now);
	if (busy)
		st->idle_more = true;
	else if (st->idle_more && spool_idle(st->spool, &st->idle_more, &e) < 0)
		st->idle_more = false;
}

static void watch_damage(struct state *st)
{
	if (st->damage_said || !spool_damaged(st->spool))
		return;
	st->damage_said = true;
	log_error("the state database is damaged, nothing can be recorded any more; the agent ends, and its next start saves "
		  "what can be saved");
	if (st->on_damage)
		st->on_damage(st->on_damage_arg);
}

static void *state_main(void *arg)
{
	struct state *st = arg;
	struct beat own = { 0 };

	beat_open(&own, "state");
	while (state_wait(st)) {
		state_round(st);
		watch_damage(st);
	}
	state_commit_ledger(st, clock_mono_ms());
	beat_close(&own);
	return NULL;
}

int state_start(struct state *st, struct producer *p)
{
	int rc;

	st->producer = p;
	rc = thread_start(&st->thread, "state", state_main, st);
	st->running = rc == 0;
	return rc;
}

void state_stop(struct state *st)
{
	if (!st->running)
		return;
	pthread_mutex_lock(&st->mu);
	st->stopping = true;
	pthread_cond_signal(&st->cond);
	pthread_mutex_unlock(&st->mu);
	pthread_join(st->thread, NULL);
	pthread_mutex_lock(&st->mu);
	st->running = false;
	list_splice_back(&st->todo.asks, &st->in.asks);		/* came too late for the thread */
	pthread_mutex_unlock(&st->mu);
	answer_asks(st);
}

/* --- what other threads put in: state_notes.c, state_journal.c --- */

void state_push(struct state *st, struct list *queue, struct list *node)
{
	pthread_mutex_lock(&st->mu);
	list_push_back(queue, node);
	pthread_cond_signal(&st->cond);
	pthread_mutex_unlock(&st->mu);
}

void state_push_all(struct state *st, struct list *queue, struct list *batches)
{
	pthread_mutex_lock(&st->mu);
	list_splice_back(queue, batches);
	pthread_cond_signal(&st->cond);
	pthread_mutex_unlock(&st->mu);
}

/* ms < 0: however long it takes. false: the thread has not begun with it in time, and never will. */
static bool ask(struct state *st, struct ask_job *job, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	struct timespec ts = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	bool done;

	pthread_mutex_lock(&st->mu);
	if (!st->running) {
		pthread_mutex_unlock(&st->mu);
		job->fn(job->arg, st->spool);
		return true;
	}
	list_push_back(&st->in.asks, &job->node);
	pthread_cond_signal(&st->cond);
	beat_into("waiting for the state thread");
	while (!job->done && !job->abandoned) {
		if (ms < 0 || job->running)
			pthread_cond_wait(&st->asked, &st->mu);
		else if (pthread_cond_timedwait(&st->asked, &st->mu, &ts) == ETIMEDOUT && !job->running && !job->done)
			job->abandoned = true;
	}
	done = job->done;
	pthread_mutex_unlock(&st->mu);
	beat_out();
	return done;
}

void state_ask(struct state *st, void (*fn)(void *arg, struct spool *s), void *arg)
{
	struct ask_job job = { .fn = fn, .arg = arg };

	(void)ask(st, &job, -1);
}

bool state_ask_within(struct state *st, void (*fn)(void *arg, struct spool *s), void *arg, int64_t ms)
{
	struct ask_job *job = mem_new(struct ask_job);
	bool done;

	if (!job)
		return false;
	job->fn = fn;
	job->arg = arg;
	done = ask(st, job, ms);
	if (done)
		mem_free(job);
	return done;
}

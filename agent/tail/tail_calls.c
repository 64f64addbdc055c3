/* tail_calls.c - questions and orders from other threads, done by the tail thread between two rounds.
 *
 * Why: files need no locks as long as one thread alone touches them. Who asks waits; the thread never does.
 * Who only looks waits so long and no longer, for a read of a dead disk may never end, and whoever looks then wants to know just
 * that. After one call in vain the next ones are short, until one is answered.
 * Threads: any but the tail's, which only answers. When it does not run, the caller does it himself, one after the other. Locks:
 *	mu (leaf), ended.
 */
#include <errno.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/tail/tail_inside.h"

#define DEAF_MS 100

struct call {
	struct list node;		/* of t->calls, or of those that are being answered; lock: mu */
	void (*fn)(struct tail *t, void *ret);
	void *ret;
	bool begun, done;
};

void calls_answer(struct tail *t)
{
	struct list calls;

	list_init(&calls);
	pthread_mutex_lock(&t->mu);
	list_splice_back(&calls, &t->calls);
	while (!list_empty(&calls)) {
		struct call *c = list_first(&calls, struct call, node);

		list_remove(&c->node);
		c->begun = true;
		pthread_mutex_unlock(&t->mu);
		c->fn(t, c->ret);
		pthread_mutex_lock(&t->mu);
		c->done = true;
		t->deaf = false;
		pthread_cond_broadcast(&t->cond);
	}
	pthread_mutex_unlock(&t->mu);
}

/* Holds mu. What has not begun in time (ms < 0: any) never will. */
static bool wait_for(struct tail *t, struct call *c, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	struct timespec ts = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	int rc = 0;

	while (!c->done && rc != ETIMEDOUT)
		rc = ms < 0 || c->begun ? pthread_cond_wait(&t->cond, &t->mu) : pthread_cond_timedwait(&t->cond, &t->mu, &ts);
	while (!c->done && c->begun)
		pthread_cond_wait(&t->cond, &t->mu);
	if (c->done)
		return true;
	list_remove(&c->node);
	t->deaf = true;
	return false;
}

/* The thread has ended, and who has its work is waited for as it would be itself. */
static bool call_ended(struct tail *t, void (*fn)(struct tail *t, void *ret), void *ret, bool patient)
{
	int64_t until = clock_wall_ms() + t->pace.answer;
	struct timespec ts = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

	if ((patient ? pthread_mutex_lock(&t->ended) : pthread_mutex_timedlock(&t->ended, &ts)) != 0)
		return false;
	fn(t, ret);
	pthread_mutex_unlock(&t->ended);
	return true;
}

static bool call_within(struct tail *t, void (*fn)(struct tail *t, void *ret), void *ret, bool patient)
{
	struct call c = { .fn = fn, .ret = ret };
	bool done;

	pthread_mutex_lock(&t->mu);
	if (!t->running) {
		pthread_mutex_unlock(&t->mu);
		return call_ended(t, fn, ret, patient);
	}
	list_push_back(&t->calls, &c.node);
	pthread_mutex_unlock(&t->mu);
	loop_wake(&t->loop);
	pthread_mutex_lock(&t->mu);
	beat_into("waiting for the tail thread");
	done = wait_for(t, &c, patient ? -1 : t->deaf ? DEAF_MS : t->pace.answer);
	beat_out();
	pthread_mutex_unlock(&t->mu);
	return done;
}

void calls_do(struct tail *t, void (*fn)(struct tail *t, void *ret), void *ret)
{
	(void)call_within(t, fn, ret, true);
}

static void call_rebuild_batch(struct tail *t, void *b)
{
	rebuild_batch(t, b);
}

void tail_rebuild(struct tail *t, struct batch *b)
{
	bool running;

	pthread_mutex_lock(&t->mu);
	running = t->running;
	if (running)
		queue_push(&t->rebuilds, &b->node);
	pthread_mutex_unlock(&t->mu);
	if (!running)
		(void)call_ended(t, call_rebuild_batch, b, true);
}

struct rebuild_call { struct batch *b; int rc; };

static void call_rebuild(struct tail *t, void *ret)
{
	struct rebuild_call *c = ret;

	c->rc = rebuild(t, c->b);
}

int tail_rebuild_now(struct tail *t, struct batch *b)
{
	struct rebuild_call c = { .b = b };

	calls_do(t, call_rebuild, &c);
	return c.rc;
}

static void call_files(struct tail *t, void *ret)
{
	show_files(t, ret);
}

int tail_files(struct tail *t, struct tail_file_info **ret, size_t *ret_n)
{
	struct tail_list l = { 0 };

	if (!call_within(t, call_files, &l, false))
		return ERR_TIMEOUT;
	if (l.rc < 0) {
		for (size_t i = 0; i < l.n; i++)
			mem_free(l.v[i].path);
		mem_free(l.v);
		return l.rc;
	}
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

static void call_reasons(struct tail *t, void *ret)
{
	*(char **)ret = show_reasons(t);
}

char *tail_reasons(struct tail *t)
{
	char *s = NULL;

	(void)call_within(t, call_reasons, &s, false);
	return s;
}

bool tail_file_vanishing(struct tail *t, int64_t file_id)
{
	const struct file *f = files_by_id(t, file_id);

	return !f || f->retired || f->state == FILE_ROTATED || f->state == FILE_DELETED;
}

uint64_t tail_split_lines(const struct tail *t)
{
	return t->split_lines;
}

void tail_counters(const struct tail *t, struct tail_counters *ret)
{
	*ret = (struct tail_counters){ .split_lines = t->split_lines, .overflows = t->overflows, .walks = t->walks };
}

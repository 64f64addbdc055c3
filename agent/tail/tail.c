/* tail.c - the tail thread: its life, its queue, its timers. The map of the other files is in tail_inside.h.
 *
 * Why one thread with a loop: reading is cheap, waiting is a state (tail_read.c). Everything that happens to files
 * (events, walks, turns, rebuilding) happens here one after the other, so files need no locks.
 *
 * Each round: events and walks first, then turns for at most 2 ms, so that a rotation is seen within milliseconds however
 * much there is to read.
 *
 * Threads: tail_* main.
 * Failure: no memory at open is returned; later it makes files wait or be found again by the next walk.
 */
#include "agent/tail/tail.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/record/line.h"
#include "agent/tail/tail_inside.h"

#define WALK_SHARE 1000		/* walks take at most one part in so many of the time */
#define WALK_MAX_MS 60000
#define POLL_SHARE 50		/* the same for walks that see what no watch tells */
#define REWALK_SHARE 10		/* the same for walks that new directories ask for */

static const struct tail_pace default_pace = {
	.piece = 2,
	.flush = 5000, .rotated_idle = 60000, .deleted_idle = 5000, .away = 500, .reconcile = 10000, .poll = 1000,
	.retry = 100, .keep_rows = 7 * 86400000LL, .doubt = 10000, .twin = 2000, .answer = 5000, .gate = 3000,
};

/* --- rounds --- */

void tail_work(struct tail *t)
{
	timer_set(&t->loop, &t->work, 0, t->work.fn);
}

static void on_work(struct loop_timer *timer)
{
	(void)timer;		/* only keeps the loop from waiting; the work is in on_round */
}

static void arm_slow(struct tail *t)
{
	bool polls = t->polling || t->holes || watch_limited(t->watch);
	int64_t every = polls ? t->pace.poll : t->pace.reconcile;
	int64_t fair = t->walk_ms * (polls ? POLL_SHARE : WALK_SHARE);

	if (fair > every)
		every = fair < WALK_MAX_MS ? fair : WALK_MAX_MS;
	timer_set(&t->loop, &t->slow, t->loop.now_ms + every, t->slow.fn);
}

static void on_watch(struct loop_fd *fd, uint32_t events)
{
	(void)events;
	find_events(container_of(fd, struct tail, watch_fd));
}

/* Also when an instance of inotify can be had at last. */
static void wait_for_watch(struct tail *t)
{
	int rc;

	if (t->watch_fd.fd >= 0 || watch_fd(t->watch) < 0 || t->conf.once)
		return;
	rc = loop_fd_add(&t->loop, &t->watch_fd, watch_fd(t->watch), EPOLLIN, on_watch);
	if (rc < 0)
		log_error("cannot wait for inotify, files are only looked at every 10 s", KE(rc));
}

static void on_slow(struct loop_timer *timer)
{
	struct tail *t = container_of(timer, struct tail, slow);

	/* Where network file systems answer, the walk is made then. */
	if (!gates_ask(t))
		find_walk(t);
	wait_for_watch(t);
	arm_slow(t);
}

static void on_away(struct loop_timer *timer)
{
	struct tail *t = container_of(timer, struct tail, away_timer);

	files_away(t);
	packed_look(t);
	packed_wait_over(t);
	rescue_away(t);
	if (!list_empty(&t->away) || !list_empty(&t->packed) || !list_empty(&t->copies))
		timer_set(&t->loop, timer, t->loop.now_ms + t->pace.away, timer->fn);
}

static void on_retry(struct loop_timer *timer)
{
	read_retry(container_of(timer, struct tail, retry_timer), false);
}

static void nudge(void *arg)
{
	struct tail *t = arg;

	t->nudged = true;
	loop_wake(&t->loop);
}

static void answer_rebuilds(struct tail *t)
{
	struct list batches;

	queue_take_all(&t->rebuilds, &batches);
	while (!list_empty(&batches)) {
		struct batch *b = list_first(&batches, struct batch, node);

		list_remove(&b->node);
		rebuild_batch(t, b);
	}
}

static void on_wake(void *arg)
{
	struct tail *t = arg;

	calls_answer(t);
	answer_rebuilds(t);
	unread_answer(t);
	if (gates_answered(t))
		find_walk(t);
	if (atomic_exchange(&t->nudged, false))
		read_retry(t, true);
}

static void on_round(void *arg)
{
	struct tail *t = arg;

	/* New directories want a walk at once, but not one after the other while a tree is being copied. */
	if (t->rewalk && !t->conf.once) {
		int64_t next = t->walked_ms + t->walk_ms * REWALK_SHARE;

		if (t->loop.now_ms >= next)
			find_walk(t);
		else if (!timer_armed(&t->slow) || t->slow.at_ms > next)
			timer_set(&t->loop, &t->slow, next, t->slow.fn);
	}
	twin_round(t);
	read_turns(t);
}

static void *run(void *arg)
{
	struct tail *t = arg;
	struct beat own = { 0 };
	int rc;

	beat_open(&own, "tail");
	t->first_walk = true;
	gates_wait(t);
	find_walk(t);
	known_search(t);
	copy_settle(t);
	packed_settle(t, false);
	missed_look(t, true);
	t->first_walk = false;
	t->walk_ms = 0;			/* it opened everything: no measure for the next ones */
	if (!t->conf.once) {
		wait_for_watch(t);
		arm_slow(t);
	}
	tail_work(t);
	rc = loop_run(&t->loop);
	if (rc < 0)
		log_error("the tail thread ends", KE(rc));
	beat_close(&own);
	return NULL;
}

/* --- opening --- */

static int open_inputs(struct tail *t, struct err *ret_err)
{
	size_t longest = WINDOW_BYTES;
	int rc = inputs_new(t, t->conf.conf, &t->inputs, &longest, ret_err);

	if (rc < 0)
		return rc;
	inputs_gates(t);
	return window_open(&t->window, longest) == 0 ? 0 : err_set(ret_err, ERR_NOMEM, "out of memory");
}

static int load_known(struct tail *t, const struct tail_conf *c, struct err *ret_err)
{
	int rc = 0;

	for (size_t i = 0; i < c->known_count && rc == 0; i++)
		rc = known_load(t, &c->known[i]);
	for (size_t i = 0; i < c->route_count && rc == 0; i++)
		rc = route_load(t, &c->routes[i]);
	if (rc < 0)
		return err_set(ret_err, rc, "%s", err_text(rc));
	return 0;
}

static void init_tables(struct tail *t)
{
	struct list *lists[] = { &t->files, &t->away, &t->ready, &t->dests, &t->known, &t->looks, &t->calls, &t->notes,
				 &t->live, &t->packed, &t->put_off, &t->copies, &t->gates, &t->groups, &t->twins, &t->suspects,
				 &t->borders };
	struct map *maps[] = { &t->by_path, &t->by_home, &t->by_inode, &t->by_id, &t->known_by_inode, &t->routes_by_id,
			       &t->routes_by_text, &t->dests_by_name, &t->looks_by_path, &t->recipes,
			       &t->hops, &t->lags };

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		list_init(lists[i]);
	for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
		map_init(maps[i]);
	for (size_t i = 0; i < TWIN_HEADS; i++) {
		list_init(&t->heads[i]);
		list_init(&t->known_heads[i]);
	}
}

int tail_open(const struct tail_conf *c, struct tail **ret_t, struct err *ret_err)
{
	struct tail *t = mem_new(struct tail);
	int rc;

	if (!t)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	t->conf = *c;
	t->conf.known = NULL;
	t->conf.routes = NULL;
	t->hooks = &t->conf.hooks;
	t->pace = default_pace;
	t->next_file_id = c->next_file_id;
	t->began_ms = clock_mono_ms();
	t->began_wall_ms = clock_wall_ms();
	t->next_route_id = c->next_route_id ? c->next_route_id : 1;
	t->first_start = c->known_count == 0 && !c->state_lost;
	init_tables(t);
	pthread_mutex_init(&t->mu, NULL);
	pthread_mutex_init(&t->ended, NULL);
	thread_cond_init(&t->cond);
	t->work.fn = on_work;
	t->slow.fn = on_slow;
	t->away_timer.fn = on_away;
	t->retry_timer.fn = on_retry;
	t->group_timer.fn = message_time;
	t->twin_timer.fn = twin_tick;
	t->border_timer.fn = reload_border_time;
	t->watch_fd.fd = -1;
	list_init(&t->waiter.node);
	t->waiter.fn = nudge;
	t->waiter.arg = t;
	if (!getcwd(t->cwd, sizeof t->cwd))
		snprintf(t->cwd, sizeof t->cwd, "/");
	rc = loop_init(&t->loop, on_wake, on_round, t);
	queue_init(&t->rebuilds, nudge, t);
	queue_init(&t->unreads, nudge, t);
	if (rc < 0)
		err_set(ret_err, rc, "%s", err_text(rc));
	else if ((rc = watch_open(&t->watch)) < 0)
		err_set(ret_err, rc, "out of memory");
	else if ((rc = open_inputs(t, ret_err)) == 0)
		rc = load_known(t, c, ret_err);
	if (rc < 0) {
		tail_close(t);
		return rc;
	}
	fds_init(t);
	*ret_t = t;
	return 0;
}

int tail_start(struct tail *t)
{
	int rc;

	t->running = true;
	rc = thread_start(&t->thread, "tail", run, t);
	t->started = rc == 0;
	t->running = t->started;
	return rc;
}

/* The last word on every file: sizes are not written while reading, and a name may have gone since names were looked at. What
 * is in memory of such a file must outlive us (tail_file_vanishing). */
static void put_all(struct tail *t)
{
	struct stat st;

	list_each(it, &t->files) {
		struct file *f = list_entry(it, struct file, node);

		if (f->remote && !gates_pass(t, f->path))
			continue;
		if (f->state == FILE_ACTIVE && !file_is_at(f, f->path))
			f->state = FILE_ROTATED;
		if (f->fd < 0 || slow_fstat(f->fd, &st) < 0)
			continue;
		if (f->state == FILE_ROTATED && !st.st_nlink)
			f->state = FILE_DELETED;
		file_changed(f, &st, clock_mono_ms());
		files_put(t, f, 0);
	}
}

/* Others do the thread's work as soon as it does not run: not before what is left of its own is done. */
void tail_stop(struct tail *t)
{
	if (!t || !t->started)
		return;
	loop_stop(&t->loop);
	pthread_join(t->thread, NULL);
	t->started = false;
	pthread_mutex_lock(&t->ended);
	pthread_mutex_lock(&t->mu);
	t->running = false;
	pthread_mutex_unlock(&t->mu);
	budget_unwait(producer_budget(t->conf.producer), &t->waiter);
	calls_answer(t);
	answer_rebuilds(t);
	unread_answer(t);
	put_all(t);
	pthread_mutex_unlock(&t->ended);
}

void tail_close(struct tail *t)
{
	if (!t)
		return;
	tail_stop(t);
	files_release(t);
	find_release(t);
	links_clear(t);
	notes_release(t);
	gates_release(t);
	known_release(t);
	packed_release(t);
	route_release(t);
	recipe_release(t);
	lag_release(t);
	assembly_free(t->assembly);
	inputs_free(t->inputs, t->conf.conf->input_count);
	window_close(&t->window);
	watch_close(t->watch);
	queue_release(&t->rebuilds);
	queue_release(&t->unreads);
	loop_release(&t->loop);
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->mu);
	pthread_mutex_destroy(&t->ended);
	mem_free(t);
}

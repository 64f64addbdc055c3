/* intake.c - see intake.h; the map of the other files is in intake_inside.h.
 *
 * Why one thread for all: nothing here waits. An input whose lane takes nothing is `dry`: it is not listened to, keeps what it
 * holds, and is tried again when memory comes back or after RETRY_MS; the others go on.
 * Failure: an input that fails is said in status and read no more; no memory makes it wait.
 */
#include "agent/intake/intake.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"
#include "agent/intake/intake_inside.h"

#define ROUND_NS 2000000		/* turns between two looks at events */
#define RETRY_MS 100
#define TICK_MS  1000

/* --- rounds --- */

static void on_work(struct loop_timer *t)
{
	(void)t;		/* only keeps the loop from waiting; the work is in on_round */
}

void intake_ready(struct intake_input *in)
{
	in->ready = true;
	timer_set(&in->owner->loop, &in->owner->work, 0, on_work);
}

static const char *why_dry(int rc)
{
	switch (rc) {
	case ERR_AGAIN:      return "no memory left in buffer.memory, and no room in the spool";
	case ERR_UNAVAILABLE: return "nobody has said yet how many partitions the topic has";
	case ERR_LANE_FULL:  return "its topic is held, and what it may keep in memory and spool is used up";
	case ERR_LANES:      return "max_lanes is reached, a record for a further topic waits";
	case ERR_SPOOL_FULL: return "a record is to be set aside, and there is no room for rejected ones";
	default:             return err_text(rc);
	}
}

static void on_retry(struct loop_timer *t);

void intake_dry(struct intake_input *in, int rc)
{
	struct intake *i = in->owner;

	in->why = rc;
	if (!in->dry) {
		in->dry = true;
		in->kind->pause(in, true);
	}
	if (rc == ERR_AGAIN)
		budget_wait(producer_budget(i->conf.producer), &i->waiter);
	if (!timer_armed(&i->retry))
		timer_set(&i->loop, &i->retry, i->loop.now_ms + RETRY_MS, on_retry);
}

static void retry_all(struct intake *i, bool memory_came)
{
	for (size_t k = 0; k < i->count; k++) {
		struct intake_input *in = i->inputs[k];

		if (!in->dry || (memory_came && in->why != ERR_AGAIN))
			continue;
		in->dry = false;
		intake_ready(in);
	}
}

static void on_retry(struct loop_timer *t)
{
	retry_all(container_of(t, struct intake, retry), false);
}

static void on_tick(struct loop_timer *t)
{
	struct intake *i = container_of(t, struct intake, tick);

	for (size_t k = 0; k < i->count; k++) {
		struct intake_input *in = i->inputs[k];

		if (in->kind->tick && in->begun && !in->closed && (!in->done || in->index == SIZE_MAX))
			in->kind->tick(in);
		if (in->done && in->begun && !in->closed && in->index == SIZE_MAX)
			reload_left(in);
	}
	timer_set(&i->loop, t, i->loop.now_ms + TICK_MS, on_tick);
}

static void show_waiting(struct intake_input *in)
{
	int was = atomic_load(&in->state);

	if (in->dry && was == INTAKE_ACTIVE)
		intake_say(in, INTAKE_WAITING, "%s", why_dry(in->why));
	else if (!in->dry && was == INTAKE_WAITING)
		intake_say(in, INTAKE_ACTIVE, "%s", "");
}

static void take_turn(struct intake_input *in)
{
	bool waited = atomic_load(&in->state) == INTAKE_WAITING || in->why;
	bool more;

	in->ready = false;
	more = in->kind->turn(in);
	intake_turn_end(in);
	if (more && !in->dry && !in->done)
		in->ready = true;
	if (!in->dry && waited) {
		in->why = 0;
		in->kind->pause(in, false);
	}
	show_waiting(in);
	if (in->done && atomic_load(&in->state) != INTAKE_FAILED)
		intake_say(in, INTAKE_DONE, "%s", "");
	if (in->done && in->index == SIZE_MAX)
		reload_left(in);
}

static bool all_done(const struct intake *i)
{
	for (size_t k = 0; k < i->count; k++)
		if (!i->inputs[k]->done)
			return false;
	return true;
}

/* --once: who listens has read all that there is. */
static void check_all_read(struct intake *i)
{
	if (!i->conf.once || atomic_load(&i->all_read))
		return;
	for (size_t k = 0; k < i->count; k++)
		if (!i->inputs[k]->done && i->inputs[k]->conf->type != CONF_TYPE_SYSLOG)
			return;
	for (size_t k = 0; k < i->count; k++) {
		struct lane *l;
		size_t it = 0;

		while ((l = map_next(&i->inputs[k]->lanes, &it)))
			lane_seal(l);
	}
	atomic_store(&i->all_read, true);
	i->hooks->all_read(i->hooks->arg);
}

static void begin_stop(struct intake *i)
{
	i->stop_at_ms = clock_mono_ms() + i->stop_ms;
	for (size_t k = 0; k < i->count; k++) {
		i->inputs[k]->last = true;
		i->inputs[k]->dry = false;
		i->inputs[k]->done |= !i->inputs[k]->begun;	/* it waits for another one to be through */
		intake_ready(i->inputs[k]);
	}
}

static void on_round(void *arg)
{
	struct intake *i = arg;
	int64_t until = clock_mono_ns() + ROUND_NS;
	bool any = true;

	if (atomic_load(&i->stopping) && !i->stop_at_ms)
		begin_stop(i);
	while (any && clock_mono_ns() < until) {
		any = false;
		for (size_t k = 0; k < i->count; k++) {
			struct intake_input *in = i->inputs[k];

			if (!in->ready || in->dry || in->done)
				continue;
			take_turn(in);
			any |= in->ready;
		}
	}
	if (any)
		timer_set(&i->loop, &i->work, 0, on_work);
	check_all_read(i);
	if (i->stop_at_ms && (all_done(i) || clock_mono_ms() >= i->stop_at_ms))
		loop_stop(&i->loop);
}

static void answer_call(struct intake *i)
{
	void (*fn)(struct intake *i, void *arg);

	pthread_mutex_lock(&i->mu);
	fn = i->call;
	pthread_mutex_unlock(&i->mu);
	if (!fn)
		return;
	fn(i, i->call_arg);
	pthread_mutex_lock(&i->mu);
	i->call = NULL;
	pthread_cond_broadcast(&i->cond);
	pthread_mutex_unlock(&i->mu);
}

void intake_do(struct intake *i, void (*fn)(struct intake *i, void *arg), void *arg)
{
	if (!i->started) {
		fn(i, arg);
		return;
	}
	pthread_mutex_lock(&i->mu);
	i->call_arg = arg;
	i->call = fn;
	loop_wake(&i->loop);
	beat_into("waiting for the intake thread");
	while (i->call)
		pthread_cond_wait(&i->cond, &i->mu);
	beat_out();
	pthread_mutex_unlock(&i->mu);
}

static void on_wake(void *arg)
{
	struct intake *i = arg;

	answer_call(i);
	if (atomic_exchange(&i->nudged, false))
		retry_all(i, true);
}

static void nudge(void *arg)
{
	struct intake *i = arg;

	atomic_store(&i->nudged, true);
	loop_wake(&i->loop);
}

void intake_failed(struct intake_input *in, int rc)
{
	log_error("input failed, it is not read any more until a restart; the others go on", KS("input", in->conf->name), KE(rc));
	in->done = true;
	in->why = rc;
	intake_say(in, INTAKE_FAILED, "%s", err_text(rc));
}

static void *run(void *arg)
{
	struct intake *i = arg;
	struct beat own = { 0 };
	int rc;

	beat_open(&own, "intake");
	for (size_t k = 0; k < i->count; k++) {
		rc = i->inputs[k]->kind->start(i->inputs[k]);
		if (rc < 0)
			intake_failed(i->inputs[k], rc);
	}
	timer_set(&i->loop, &i->tick, clock_mono_ms() + TICK_MS, on_tick);
	rc = loop_run(&i->loop);
	if (rc < 0)
		log_error("the intake thread has ended", KE(rc));
	beat_close(&own);
	return NULL;
}

/* --- from outside --- */

static const struct intake_kind *kind_of(const struct conf_input *in)
{
	switch (in->type) {
	case CONF_TYPE_STDIN:    return &intake_stdin;
	case CONF_TYPE_JOURNALD: return &intake_journald;
	case CONF_TYPE_SYSLOG:   return !strncmp(in->listen, "tcp:", 4) ? &intake_tcp : &intake_datagram;
	case CONF_TYPE_FILE:     break;
	}
	return NULL;
}

static const struct tail_known *find_known(const struct intake_conf *c, const struct conf_input *in)
{
	const struct tail_known *found = NULL;

	for (size_t k = 0; k < c->known_count; k++)	/* the newest, if there are several */
		if (!strcmp(c->known[k].file.origin, in->name) && !strcmp(c->known[k].file.path, intake_path(in)) &&
		    (!found || c->known[k].file.id > found->file.id))
			found = &c->known[k];
	return found;
}

struct intake_input *intake_input_new(struct intake *i, size_t index)
{
	const struct conf_input *conf = &i->conf.conf->inputs[index];
	const struct intake_kind *kind = kind_of(conf);
	struct intake_input *in;

	/* An agent that only follows files does without: it may still get an input by a reload. */
	if (kind && !i->room)
		i->room = recipe_room_new();
	in = kind && i->room ? mem_zalloc(kind->size) : NULL;
	if (!in)
		return NULL;
	in->owner = i;
	in->conf = conf;
	in->kind = kind;
	in->index = index;
	in->spec = i->conf.specs ? i->conf.specs[index] : "";
	map_init(&in->lanes);
	buf_init(&in->key, 65536);
	return in;
}

static int open_input(struct intake *i, size_t index, struct err *ret_err)
{
	const struct conf_input *conf = &i->conf.conf->inputs[index];
	const struct tail_known *known;
	struct intake_input *in;
	int rc;

	if (!kind_of(conf))
		return 0;
	in = intake_input_new(i, index);
	if (!in)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	i->inputs[i->count++] = in;
	known = find_known(&i->conf, conf);
	rc = intake_input_open(in, known, ret_err);
	if (rc == 0 && intake_input_begin(in, known) < 0)
		rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	in->begun = true;
	return rc < 0 ? rc : in->kind->open(in, ret_err);
}

/* Batches of an earlier life may ask for its bytes, a reload may bring an input. */
static bool is_wanted(const struct intake_conf *c)
{
	for (size_t k = 0; k < c->conf->input_count; k++)
		if (c->conf->inputs[k].type != CONF_TYPE_FILE)
			return true;
	return c->known_count > 0 || !c->once;
}

static int open_all(struct intake *i, struct err *ret_err)
{
	int rc = loop_init(&i->loop, on_wake, on_round, i);

	i->inputs = mem_array(struct intake_input *, i->conf.conf->input_count + 1);
	if (rc < 0 || !i->inputs)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	for (size_t k = 0; k < i->conf.conf->input_count && rc >= 0; k++)
		rc = open_input(i, k, ret_err);
	if (rc == 0 && rows_keep(i, &i->conf) < 0)
		rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	return rc < 0 ? rc : rereader_new(i, ret_err);
}

int intake_open(const struct intake_conf *c, struct intake **ret, struct err *ret_err)
{
	struct intake *i;
	int rc;

	*ret = NULL;
	if (!is_wanted(c))
		return 0;
	i = mem_new(struct intake);
	if (!i)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	i->conf = *c;
	i->hooks = &i->conf.hooks;
	pthread_mutex_init(&i->mu, NULL);
	pthread_cond_init(&i->cond, NULL);
	map_init(&i->routes);
	list_init(&i->waiter.node);
	i->waiter.fn = nudge;
	i->waiter.arg = i;
	rc = open_all(i, ret_err);
	i->conf.known = NULL;		/* the caller's: what a reload opens does without */
	i->conf.routes = NULL;
	i->conf.known_count = i->conf.route_count = 0;
	if (rc < 0)
		intake_close(i);
	else
		*ret = i;
	return rc;
}

int intake_run(struct intake *i)
{
	int rc;

	rc = thread_start(&i->thread, "intake", run, i);
	i->started = rc == 0;
	return rc;
}

int intake_start(struct intake *i)
{
	return i && i->count ? intake_run(i) : 0;
}

/* Nobody will take it any more. */
static void give_up_rest(struct intake_input *in)
{
	size_t n = in->kind->left && in->begun && !in->closed ? in->kind->left(in) : 0;

	if (!n)
		return;
	log_error("what was received found room nowhere until the agent had to stop, it is lost", KS("input", in->conf->name),
		  KI("bytes", n));
	intake_lost(in, SPOOL_LOSS_STOPPED, 0, n);
	intake_turn_end(in);
}

void intake_stop(struct intake *i, int64_t timeout_ms)
{
	if (!i || !i->started)
		return;
	i->stop_ms = timeout_ms;
	atomic_store(&i->stopping, true);
	loop_wake(&i->loop);
	pthread_join(i->thread, NULL);
	i->started = false;
	budget_unwait(producer_budget(i->conf.producer), &i->waiter);
	for (size_t k = 0; k < i->count; k++)
		give_up_rest(i->inputs[k]);
}

void intake_settle(struct intake *i)
{
	for (size_t k = 0; i && k < i->count; k++) {
		struct intake_input *in = i->inputs[k];

		if (!in->begun || in->closed)
			continue;
		if (in->kind->tick)
			in->kind->tick(in);
		intake_put_row(in);
	}
}

void intake_input_free(struct intake_input *in)
{
	if (!in->closed)
		in->kind->close(in);
	intake_input_close(in);
	mem_free(in);
}

void intake_close(struct intake *i)
{
	if (!i)
		return;
	intake_stop(i, 0);
	for (size_t k = 0; k < i->count; k++)
		intake_input_free(i->inputs[k]);
	mem_free(i->inputs);
	rows_release(i);
	rereader_release_routes(i);
	rereader_free(i->rereader);
	recipe_room_free(i->room);
	loop_release(&i->loop);
	pthread_cond_destroy(&i->cond);
	pthread_mutex_destroy(&i->mu);
	mem_free(i);
}

size_t intake_descriptors(const struct intake *i)
{
	size_t n = 0;

	for (size_t k = 0; i && k < i->count; k++)
		if (i->inputs[k]->kind == &intake_tcp && !i->inputs[k]->closed)
			n += intake_tcp_descriptors(i->inputs[k]);
	return n;
}

bool intake_all_read(const struct intake *i)
{
	return !i || !i->count || atomic_load(&i->all_read);
}

bool intake_is_stream(const struct intake *i, int64_t file_id)
{
	for (size_t k = 0; i && k < i->count; k++)
		if (i->inputs[k]->row.id == file_id)
			return !i->inputs[k]->kind->keeps;
	return false;
}

/* --- what people see --- */

void intake_say(struct intake_input *in, enum intake_state state, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pthread_mutex_lock(&in->owner->mu);
	vsnprintf(in->reason, sizeof in->reason, fmt, ap);
	pthread_mutex_unlock(&in->owner->mu);
	va_end(ap);
	atomic_store(&in->state, state);
}

static int64_t safe_of(const struct intake *i, const struct intake_input *in)
{
	int64_t safe = i->hooks->safe(i->hooks->arg, in->row.id);

	return safe > 0 ? safe : 0;
}

void intake_sample(struct intake *i, int64_t now_ms)
{
	for (size_t k = 0; i && k < i->count; k++) {
		struct intake_input *in = i->inputs[k];
		bool begun;

		pthread_mutex_lock(&i->mu);
		begun = in->begun && !in->closed;	/* before that its row may become another one's */
		pthread_mutex_unlock(&i->mu);
		if (!begun)
			continue;
		/* What is new came after the last look. */
		lag_seen(&in->lag, atomic_load(&in->read), in->sampled_ms ? in->sampled_ms : now_ms);
		lag_finished(&in->lag, safe_of(i, in));
		in->sampled_ms = now_ms;
	}
}

int intake_files(struct intake *i, struct tail_file_info **ret, size_t *ret_n)
{
	static const char *const names[] = { "active", "waiting", "done", "failed" };

	*ret_n = 0;
	*ret = mem_array(struct tail_file_info, (i ? i->count : 0) + 1);
	if (!*ret)
		return ERR_NOMEM;
	for (size_t k = 0; i && k < i->count; k++) {
		struct intake_input *in = i->inputs[k];
		struct tail_file_info *f = &(*ret)[*ret_n];
		int64_t read = atomic_load(&in->read);
		int is = atomic_load(&in->state);

		pthread_mutex_lock(&i->mu);
		if (in->closed || !in->begun) {
			pthread_mutex_unlock(&i->mu);
			continue;
		}
		*f = (struct tail_file_info){ .path = mem_strdup(in->shown), .input = in->index, .file_id = in->row.id,
					      .size = read, .read = read, .waits = is == INTAKE_WAITING };
		f->lag_ms = lag_age(&in->lag, safe_of(i, in), clock_mono_ms());
		snprintf(f->state, sizeof f->state, "%s", names[is]);
		memcpy(f->reason, in->reason, sizeof f->reason - 1);
		pthread_mutex_unlock(&i->mu);
		(*ret_n)++;
		if (!f->path)
			return ERR_NOMEM;
	}
	return 0;
}

char *intake_reasons(struct intake *i)
{
	struct buf b;

	buf_init(&b, 65536);
	for (size_t k = 0; i && k < i->count; k++) {
		pthread_mutex_lock(&i->mu);
		if (i->inputs[k]->reason[0] && !i->inputs[k]->closed)
			buf_printf(&b, "%s: %s\n", i->inputs[k]->shown, i->inputs[k]->reason);
		pthread_mutex_unlock(&i->mu);
	}
	return b.len ? buf_detach(&b) : mem_strdup("");
}

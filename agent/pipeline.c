/* pipeline.c - see pipeline.h. Start order: database, producer (restored, not sending), state thread, intake, tailers, sender;
 * so that nothing new can be read or sent before what an earlier life left is in place. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/killpoint.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/home.h"
#include "agent/pipeline.h"
#include "agent/record/recipe.h"
#include "agent/restore.h"

#define DRAIN_SLICE_MS 100
#define HURRY_MS 2000		/* what was received finds its place in memory or spool, also where nothing is delivered */

/* --- the tail thread's hooks --- */

static void hook_file_put(void *arg, const struct spool_file *f)
{
	killpoint(KILL_FILE_BEFORE);
	state_file_put(((struct pipeline *)arg)->state, f);
}

static void hook_file_forget(void *arg, int64_t file_id)
{
	state_file_forget(((struct pipeline *)arg)->state, file_id);
}

static void hook_route_put(void *arg, const struct spool_route *r)
{
	state_route_put(((struct pipeline *)arg)->state, r);
}

static void hook_finished(void *arg, const struct spool_range *r)
{
	state_finished(((struct pipeline *)arg)->state, r);
}

static void hook_finished_all(void *arg, const struct spool_range *r, size_t n)
{
	state_finished_all(((struct pipeline *)arg)->state, r, n);
}

static int hook_rejected(void *arg, const struct spool_rejected *r)
{
	return state_rejected(((struct pipeline *)arg)->state, r);
}

static void hook_run_begin(void *arg, struct lane *l, int64_t now_ms, int64_t wall_ms)
{
	(void)arg;
	lane_begin(l, now_ms, wall_ms);
}

/* Behind the lock: lane_end takes those of other lanes, whose runs come for this one. */
static void hook_run_end(void *arg, struct lane *l, uint32_t records)
{
	struct pipeline *p = arg;

	books_lock(&p->books);
	p->books.read += records;
	lane_count(l);
	books_unlock(&p->books);
	lane_end(l);
	killpoint(KILL_READ_AFTER);
}

static void hook_loss(void *arg, const struct spool_loss *l)
{
	state_loss(((struct pipeline *)arg)->state, l);
}

static void hook_lost(void *arg, const struct spool_loss *l, const struct spool_range *r)
{
	state_lost(((struct pipeline *)arg)->state, l, r);
}

/* Read again, they count again. */
static void hook_unread(void *arg, struct lane *l, struct list *batches, bool last)
{
	struct pipeline *p = arg;

	books_lock(&p->books);
	list_each(it, batches)
		p->books.read -= (uint64_t)list_entry(it, struct batch, node)->count;
	producer_unread(p->producer, l, batches, last);
	books_unlock(&p->books);
}

static int64_t hook_safe(void *arg, int64_t file_id)
{
	return state_safe(((struct pipeline *)arg)->state, file_id);
}

static void hook_all_read(void *arg)
{
	struct pipeline *p = arg;

	if (p->all_read && tail_all_read(p->tail) && intake_all_read(p->intake))
		p->all_read(p->all_read_arg);
}

static int open_producer(struct pipeline *p, struct err *ret_err)
{
	struct producer_journal j;
	struct producer_error e;
	int rc;

	state_journal(p->state, &j);
	rc = producer_open_journaled(p->conf->producer, &j, &p->producer, &e);
	if (rc < 0)
		return err_set(ret_err, load_producer_error(rc), "%s", e.text);
	return state_restore(p->state, p->producer, ret_err);
}

static struct tail_hooks hooks_of(struct pipeline *p)
{
	return (struct tail_hooks){ p, hook_file_put, hook_file_forget, hook_route_put, hook_finished, hook_rejected,
				    hook_run_begin, hook_unread, hook_run_end, hook_loss, hook_safe, hook_all_read,
				    hook_finished_all, hook_lost };
}

/* Takes the ids that it needs. */
static int open_intake(struct pipeline *p, struct restored *r, uint32_t *next_route_id, struct err *ret_err)
{
	struct intake_conf c = {
		.conf = p->conf->conf,
		.key_serializer = producer_config_get(p->conf->producer, "key.serializer"),
		.producer = p->producer,
		.hooks = hooks_of(p),
		.known = r->streams, .known_count = r->stream_count,
		.routes = r->routes, .route_count = r->route_count,
		.next_file_id = &r->next_file_id,
		.next_route_id = next_route_id,
		.specs = (const char *const *)p->specs,
		.once = p->once,
		.hostname = p->hostname,
	};

	*next_route_id = 1;
	for (size_t i = 0; i < r->route_count; i++)
		if (r->routes[i].id >= *next_route_id)
			*next_route_id = r->routes[i].id + 1;
	return intake_open(&c, &p->intake, ret_err);
}

static int open_readers(struct pipeline *p, struct restored *r, enum home_change home, bool state_lost, struct err *ret_err)
{
	struct tail_conf c = {
		.conf = p->conf->conf,
		.key_serializer = producer_config_get(p->conf->producer, "key.serializer"),
		.producer = p->producer,
		.hooks = hooks_of(p),
		.known = r->files, .known_count = r->file_count,
		.routes = r->routes, .route_count = r->route_count,
		.state_lost = state_lost,
		.once = p->once,
		.other_boot = home == HOME_OTHER_BOOT || home == HOME_OTHER_MACHINE,
		.hostname = p->hostname,
	};

	int rc = recipe_specs(p->conf->producer, p->conf->conf, p->hostname, &p->specs, ret_err);

	if (rc == 0)
		rc = open_intake(p, r, &c.next_route_id, ret_err);
	if (rc < 0)
		return rc;
	c.next_file_id = r->next_file_id;
	c.specs = (const char *const *)p->specs;
	c.reread = p->intake ? intake_reread : NULL;
	c.reread_arg = p->intake;
	c.others_open = intake_descriptors(p->intake);
	return tail_open(&c, &p->tail, ret_err);
}

static int is_state(void *arg, const struct spool_loss *l)
{
	*(bool *)arg = !strcmp(l->reason, SPOOL_LOSS_STATE);
	return *(bool *)arg;
}

/* Also by an earlier start, which ended before any file was known again. */
static int was_state_lost(struct spool *s, const struct restored *r, bool *ret, struct err *ret_err)
{
	*ret = spool_salvaged(s)->happened;
	return *ret || r->file_count ? 0 : spool_losses_each(s, 0, is_state, ret, ret_err);
}

static int open_all(struct pipeline *p, struct spool *s, struct err *ret_err)
{
	struct restored restored;
	struct spool_totals totals;
	enum home_change home;
	bool lost;
	int rc = state_open(s, p->conf->conf, &p->books, &p->state);

	if (rc < 0) {
		spool_close(s);
		return err_set(ret_err, rc, "out of memory");
	}
	rc = open_producer(p, ret_err);
	if (rc >= 0)
		rc = home_enter(s, p->conf->conf->state_dir, &home, ret_err);
	if (rc < 0)
		return rc;
	if (home == HOME_OTHER_MACHINE || home == HOME_OTHER_DIR)
		producer_ages_unknown(p->producer);
	spool_totals(s, &totals);
	books_open(&p->books, p->producer, &totals);
	rc = restored_read(s, &restored, ret_err);
	if (rc < 0)
		return rc;
	rc = was_state_lost(s, &restored, &lost, ret_err);
	if (rc >= 0)
		rc = open_readers(p, &restored, home, lost, ret_err);
	restored_release(&restored);
	if (rc >= 0)
		state_set_tail(p->state, p->tail);
	return rc;
}

/* The losses say it too, for ever; this is for whoever watches. */
static void say_salvage(const struct spool_salvage *v)
{
	log_error(v->text, KI("rows_lost", v->rows_lost), KI("records_lost", v->records_lost), KI("bytes_lost", v->bytes_lost),
		  KI("files_read_again", v->files_back + v->files_lost), KI("batches_sent_again", v->batches_lost));
}

int pipeline_open(struct pipeline *p, const struct loaded *conf, bool once, struct err *ret_err)
{
	const struct conf *c = conf->conf;
	struct spool_conf sc = { .dir = c->state_dir, .max_size = c->spool.max_size, .min_free = c->spool.min_free };
	struct spool *s;
	int rc;

	*p = (struct pipeline){ .conf = conf, .once = once, .started_ms = clock_mono_ms() };
	list_init(&p->old_confs);
	books_init(&p->books);
	gethostname(p->hostname, sizeof p->hostname - 1);	/* stays empty when it fails */
	rc = spool_open(&sc, &s, ret_err);
	if (rc >= 0 && spool_salvaged(s)->happened)
		say_salvage(spool_salvaged(s));
	if (rc >= 0)
		rc = open_all(p, s, ret_err);
	if (rc < 0)
		pipeline_close(p);
	return rc;
}

int pipeline_start(struct pipeline *p, struct err *ret_err)
{
	struct producer_error e;
	int rc;

	state_on_damage(p->state, p->damaged, p->damaged_arg);
	rc = state_start(p->state, p->producer);
	if (rc < 0)
		return err_set(ret_err, rc, "cannot start the state thread: %s", err_text(rc));
	rc = tail_start(p->tail);
	if (rc < 0)
		return err_set(ret_err, rc, "cannot start the tail thread: %s", err_text(rc));
	rc = intake_start(p->intake);
	if (rc < 0)
		return err_set(ret_err, rc, "cannot start the intake thread: %s", err_text(rc));
	rc = producer_start(p->producer, &e);
	return rc < 0 ? err_set(ret_err, load_producer_error(rc), "%s", e.text) : 0;
}

bool pipeline_delivered(struct pipeline *p, int64_t timeout_ms)
{
	struct books_snapshot b;

	if (!producer_drain(p->producer, timeout_ms, false))
		return false;
	books_snapshot(&p->books, &b);
	return b.in_memory == 0 && b.spooled == 0 && tail_all_read(p->tail) && intake_all_read(p->intake);
}

/* Whether a batch must outlive the process because no matched file holds its lines any more, or never did. */
static bool keep(void *arg, const struct batch *b)
{
	struct pipeline *p = arg;

	for (uint32_t i = 0; i < b->range_count; i++)
		if (intake_is_stream(p->intake, b->ranges[i].file_id) ||
		    tail_file_vanishing(p->tail, b->ranges[i].file_id))
			return true;
	return false;
}

void pipeline_stop(struct pipeline *p, bool deliver)
{
	int64_t until = clock_mono_ms() + p->conf->conf->shutdown_timeout_ms;

	atomic_store(&p->stopping, true);
	intake_stop(p->intake, deliver ? p->conf->conf->shutdown_timeout_ms : HURRY_MS);
	tail_stop(p->tail);
	while (deliver && !atomic_load(&p->hurry) && clock_mono_ms() < until) {
		int64_t t0 = clock_mono_ms();

		if (producer_drain(p->producer, DRAIN_SLICE_MS, true) || clock_mono_ms() - t0 < DRAIN_SLICE_MS / 2)
			break;			/* done, or no broker is up */
	}
	producer_stop(p->producer, keep, p);
	intake_settle(p->intake);
	state_stop(p->state);
	atomic_store(&p->stopped, true);
}

void pipeline_hurry(struct pipeline *p)
{
	atomic_store(&p->hurry, true);
}

void pipeline_close(struct pipeline *p)
{
	if (p->state)
		state_stop(p->state);
	producer_close(p->producer, 0);
	tail_close(p->tail);
	intake_close(p->intake);
	state_close(p->state);
	books_release(&p->books);
	recipe_specs_free(p->conf->conf, p->specs);
	pipeline_forget_confs(p, true);
	mem_free(p->needs_restart);
	mem_free(p->not_reloaded);
	if (p->conf_ours) {
		loaded_release((struct loaded *)p->conf);
		mem_free((struct loaded *)p->conf);
	}
}

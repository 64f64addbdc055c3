/* tail_reload.c - another configuration while files are followed, taken over between two rounds.
 *
 * Why so little happens: ranges name their routes, so what was handed over needs nothing of the configuration any more. A
 * file only needs to know its input, and where its next record goes.
 *
 * What may fail is tried first, with what it was kept beside it: patterns, a larger window, then a route and a lane for each file
 * whose input says something else than before. Only then anything is let go. A file that no input matches any more is retired: it
 * takes no turns, holds up no successor, and stays open until all that was handed over is finished, for a batch may have to be
 * built again; then its row says where it goes on. What memory gave back of it counts as not read.
 * A file that gets no route (no legal topic, one lane too many, no key, a read that fails) refuses nothing: its lines wait as they
 * would after a restart. It is retired, too, and each walk tries again.
 * A file with another route is read on when all before that border is acked or spooled, and so are files that have its name after
 * it: what a kill -9 takes out of memory is read again by the new route, and newer lines would stand before it there.
 * The walk that follows is that of a start that is not the first: what was closed is found under any name.
 * Threads: tail_reload and tail_take_ids any but the tail's, inputs_* main; the rest tail.
 */
#include <stdatomic.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/record/line.h"
#include "agent/tail/tail_inside.h"

/* --- inputs --- */

static int expand(const struct tail *t, struct tail_input *in)
{
	int rc = 0;

	for (size_t j = 0; j < in->conf->paths.n && rc == 0; j++)
		rc = glob_expand(in->conf->paths.v[j], t->cwd, &in->paths);
	for (size_t j = 0; j < in->conf->exclude.n && rc == 0; j++)
		rc = glob_expand_exclude(in->conf->exclude.v[j], t->cwd, &in->exclude);
	return rc;
}

static int input_new(const struct tail *t, struct tail_input *in, size_t *longest, struct err *ret_err)
{
	int rc;

	if (in->conf->max_line < 1 || in->conf->max_line > INT32_MAX)
		return err_set(ret_err, ERR_CONFIG, "input %s: max_line out of range", in->conf->name);
	if (line_need((size_t)in->conf->max_line) > *longest)
		*longest = line_need((size_t)in->conf->max_line);
	rc = expand(t, in);
	return rc < 0 ? err_set(ret_err, rc, "input %s: %s", in->conf->name, rc == ERR_NOMEM ? "out of memory" :
				"a pattern is too long or has too many alternatives") : 0;
}

int inputs_new(const struct tail *t, const struct conf *conf, struct tail_input **ret, size_t *longest, struct err *ret_err)
{
	int rc = 0;

	*ret = mem_array(struct tail_input, conf->input_count + 1);
	if (!*ret)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < conf->input_count && rc == 0; i++) {
		(*ret)[i].conf = &conf->inputs[i];
		rc = input_new(t, &(*ret)[i], longest, ret_err);
	}
	if (rc < 0) {
		inputs_free(*ret, conf->input_count);
		*ret = NULL;
	}
	return rc;
}

void inputs_free(struct tail_input *inputs, size_t n)
{
	for (size_t i = 0; inputs && i < n; i++) {
		glob_strings_release(&inputs[i].paths);
		glob_strings_release(&inputs[i].exclude);
		mem_free(inputs[i].shared_path);
	}
	mem_free(inputs);
}

void inputs_gates(struct tail *t)
{
	for (size_t i = 0; i < t->conf.conf->input_count && !t->conf.once; i++)
		for (size_t j = 0; j < t->inputs[i].paths.n; j++)
			gates_add(t, t->inputs[i].paths.v[j]);
}

/* --- files that no input matches any more --- */

static const char *no_route(int rc)
{
	return rc == ERR_BAD_DATA ? "its name makes no legal topic" :
	       rc == ERR_CONFIG ? "its key is not what key.serializer takes" :
	       rc == ERR_LANES ? "one topic more than max_lanes" : err_text(rc);
}

/* rc: why it has no route, though an input matches it. */
static void say_retired(const struct file *f, int rc)
{
	if (rc < 0)
		log_warn("by the new configuration this file cannot be read on, its lines wait", KS("path", f->path),
			 KI("file", f->id), KI("read", f->offset), KS("reason", no_route(rc)));
	else
		log_info("file is matched by no input any more, it is closed when what was read of it is finished",
			 KS("path", f->path), KI("file", f->id), KI("read", f->offset));
}

static void retire(struct tail *t, struct file *f, int rc)
{
	if (!file_followed(f) && !f->id) {		/* it could never be opened */
		files_drop(t, f);
		return;
	}
	f->retired = true;
	f->input = SIZE_MAX;
	f->blocked = false;
	list_remove(&f->turn);
	list_remove(&f->group);
	list_remove(&f->border);
	list_remove(&f->packed);
	list_remove(&f->twin);
	if (f->pred)
		order_none(f);
	list_each_safe(it, &f->heirs) {
		struct file *heir = list_entry(it, struct file, heir);

		order_none(heir);
		files_ready(t, heir);
	}
	say_retired(f, rc);
	files_look_away(t, f);
}

/* The skipped ranges above its position are of earlier lives, or of what memory gave back: somebody may have to build a batch of
 * them again, and for that it stays. */
static bool is_finished(const struct tail *t, const struct file *f)
{
	if (f->offset && t->hooks->safe(t->hooks->arg, f->id) < f->offset)
		return false;
	return f->state == FILE_DELETED || f->skip_next == f->skip_count;
}

void reload_end(struct tail *t, struct file *f)
{
	struct stat st;

	if (!is_finished(t, f))
		return;
	if (f->fd >= 0 && slow_fstat(f->fd, &st) == 0 && !st.st_nlink)
		known_keep(t, f, false, clock_wall_ms());
	else if (known_let_go(t, f) < 0)
		return;			/* the next look tries again */
	files_drop(t, f);
}

/* --- files that go by another input --- */

#define BORDER_MS  10		/* between two looks, doubled while nobody may pass: an outage is long */
#define BORDER_MAX_MS 500
#define RESCUE_MS  500
#define CHAIN_MAX  64

static bool is_at_border(struct tail *t, struct file *f)
{
	if (f->border_at && t->hooks->safe(t->hooks->arg, f->id) >= f->border_at)
		f->border_at = 0;
	return f->border_at != 0;
}

/* Files that had its name before may still have lines of the old route, too. */
static bool waits_at_border(struct tail *t, struct file *f)
{
	struct file *g = f;

	if (is_at_border(t, f) && f->offset >= f->border_at)
		return true;
	for (int i = 0; i < CHAIN_MAX && g->pred_id && (g = files_by_id(t, g->pred_id)); i++)
		if (is_at_border(t, g) && g != f)
			return true;
	return false;
}

bool reload_holds(struct tail *t, struct file *f)
{
	if (!waits_at_border(t, f))
		return false;
	list_remove(&f->border);
	list_push_back(&t->borders, &f->border);
	if (!timer_armed(&t->border_timer)) {
		t->border_ms = BORDER_MS;
		timer_set(&t->loop, &t->border_timer, t->loop.now_ms + t->border_ms, t->border_timer.fn);
	}
	return true;
}

/* In an outage what lies before is spooled. */
static void rescue_all(struct tail *t)
{
	if (t->loop.now_ms - t->rescued_ms < RESCUE_MS)
		return;
	t->rescued_ms = t->loop.now_ms;
	list_each(it, &t->dests)
		lane_rescue(list_entry(it, struct dest, node)->lane);
}

void reload_border_time(struct loop_timer *timer)
{
	struct tail *t = container_of(timer, struct tail, border_timer);

	t->border_ms = t->border_ms < BORDER_MAX_MS / 2 ? 2 * t->border_ms : BORDER_MAX_MS;
	list_each_safe(it, &t->borders) {
		struct file *f = list_entry(it, struct file, border);

		if (waits_at_border(t, f))
			continue;
		list_remove(&f->border);
		files_ready(t, f);
		t->border_ms = BORDER_MS;
	}
	if (list_empty(&t->borders))
		return;
	rescue_all(t);
	timer_set(&t->loop, timer, t->loop.now_ms + t->border_ms, timer->fn);
}

/* What a file was, while it is tried what it is to be. */
struct change {
	struct file  *file;
	size_t        input;
	struct route *route;
	struct dest  *dest;
	bool          encoded;
	bool          moved;		/* by another route than before */
	int           rc;		/* why it has none */
};

static void undo(struct change *v, size_t n)
{
	while (n--) {
		struct file *f = v[n].file;

		f->input = v[n].input;
		f->route = v[n].route;
		f->dest = v[n].dest;
		f->encoded = v[n].encoded;
	}
}

static bool same_way(const struct change *c)
{
	const struct file *f = c->file;

	return c->route && f->dest == c->dest && (f->route == c->route || f->route->twin == c->route);
}

/* A route and a lane for f by its new input. Without one it keeps the old, for what was read of it. */
static int try_route(struct tail *t, struct file *f, struct change *c)
{
	f->route = NULL;
	f->dest = NULL;
	if (f->parked && t->inputs[f->input].conf->encoding)
		(void)fds_wake(t, f);		/* its byte order mark is looked at */
	c->rc = route_file(t, f);
	c->moved = c->rc == 0 && !same_way(c);
	if (c->rc < 0)
		f->dest = c->dest;
	if (!c->moved) {
		f->route = c->route;
		f->encoded = c->encoded;
	}
	return c->rc == ERR_NOMEM ? ERR_NOMEM : 0;
}

static int try_file(struct tail *t, struct file *f, const size_t *was, struct change *c, struct err *ret_err)
{
	size_t to = find_input(t, f->home);

	*c = (struct change){ .file = f, .input = f->input, .route = f->route, .dest = f->dest, .encoded = f->encoded };
	f->input = to;
	if (to == SIZE_MAX || !f->id || (!f->retired && was[to] == c->input) || try_route(t, f, c) == 0)
		return 0;
	return err_set(ret_err, ERR_NOMEM, "out of memory");
}

/* f has its new input and route by now. */
static void settle(struct tail *t, struct change *c)
{
	struct file *f = c->file;

	if (f->input == SIZE_MAX || c->rc < 0) {
		f->input = SIZE_MAX;
		if (!f->retired)
			retire(t, f, c->rc);
		return;
	}
	if (!f->id) {				/* nothing of it was ever read: as a new one */
		f->follow = t->inputs[f->input].conf->follow_symlinks;
		f->unpacks = t->inputs[f->input].conf->compressed;
		return;
	}
	if (!c->moved && !f->retired)
		return;
	if (c->moved)
		f->border_at = f->offset;
	if (f->retired && f->unpack)
		packed_follow(t, f);
	if (f->retired && f->state == FILE_ACTIVE)
		list_remove(&f->away);
	f->retired = false;
	list_remove(&f->turn);
	list_remove(&f->group);
	list_remove(&f->border);
	f->grouped = f->end_group = f->flush = f->blocked = f->long_lines = false;
	f->inside_at = -1;			/* what is open, and where lines end, is looked at anew */
	f->scanned = 0;
	files_ready(t, f);
}

void reload_revive(struct tail *t, struct file *f)
{
	size_t to = find_input(t, f->home);
	struct change c = { .file = f, .input = SIZE_MAX, .route = f->route, .dest = f->dest, .encoded = f->encoded };

	if (to == SIZE_MAX)
		return;
	f->input = to;
	if (f->id && try_route(t, f, &c) < 0)
		undo(&c, 1);			/* each walk tries again */
	else
		settle(t, &c);
}

/* --- the switch --- */

struct reload {
	const struct tail_change *to;
	struct tail_input *inputs;
	struct window window;		/* if lines may be longer than before */
	struct err *err;
	int rc;
};

static void exchange(struct tail *t, struct tail_conf *conf, struct tail_input **inputs)
{
	struct tail_conf c = t->conf;
	struct tail_input *v = t->inputs;

	t->conf = *conf;
	t->inputs = *inputs;
	*conf = c;
	*inputs = v;
}

/* As at a start that is not the first. */
static void look_anew(struct tail *t)
{
	bool first_start = t->first_start;

	t->first_start = false;
	t->first_walk = t->reloading = true;
	gates_wait(t);
	find_walk(t);
	known_search(t);
	copy_settle(t);
	packed_settle(t, false);
	t->first_walk = t->reloading = false;
	missed_look(t, true);
	t->first_start = first_start;
	t->walk_ms = 0;
}

static void take_window(struct tail *t, struct window *w)
{
	if (!w->mem)
		return;
	window_close(&t->window);
	t->window = *w;
	*w = (struct window){ 0 };
}

static int try_all(struct tail *t, const size_t *was, struct change *v, size_t *ret_n, struct err *ret_err)
{
	int rc = 0;

	*ret_n = 0;
	list_each(it, &t->files) {
		rc = try_file(t, list_entry(it, struct file, node), was, &v[*ret_n], ret_err);
		(*ret_n)++;
		if (rc < 0)
			break;
	}
	return rc;
}

static void call_reload(struct tail *t, void *arg)
{
	struct reload *r = arg;
	struct change *v = mem_array(struct change, list_count(&t->files) + 1);
	struct tail_conf conf = t->conf;
	size_t n;

	if (!v) {
		r->rc = err_set(r->err, ERR_NOMEM, "out of memory");
		return;
	}
	conf.conf = r->to->conf;
	conf.specs = r->to->specs;
	conf.key_serializer = r->to->key_serializer;
	conf.reread = r->to->reread;
	conf.reread_arg = r->to->reread_arg;
	conf.others_open = r->to->others_open;
	exchange(t, &conf, &r->inputs);
	r->rc = try_all(t, r->to->was, v, &n, r->err);
	if (r->rc == 0 && r->to->last)
		r->rc = r->to->last(r->to->last_arg, r->err);
	if (r->rc < 0) {
		undo(v, n);
		exchange(t, &conf, &r->inputs);
	} else {
		take_window(t, &r->window);
		for (size_t i = 0; i < n; i++)
			settle(t, &v[i]);
		inputs_gates(t);
		fds_resize(t);
		look_anew(t);
		tail_work(t);
	}
	mem_free(v);
}

int tail_reload(struct tail *t, const struct tail_change *c, struct err *ret_err)
{
	struct reload r = { .to = c, .err = ret_err };
	size_t longest = 0, before = t->conf.conf->input_count;
	int rc = inputs_new(t, c->conf, &r.inputs, &longest, ret_err);

	if (rc < 0)
		return rc;
	if (longest + IDENTITY_TAIL > t->window.cap && window_open(&r.window, longest) < 0)
		rc = err_set(ret_err, ERR_NOMEM, "out of memory");
	if (rc == 0) {
		calls_do(t, call_reload, &r);
		rc = r.rc;
	}
	inputs_free(r.inputs, rc < 0 ? c->conf->input_count : before);
	window_close(&r.window);
	return rc;
}

struct ids { size_t n; int64_t file_id; uint32_t route_id; };

static void call_ids(struct tail *t, void *arg)
{
	struct ids *ids = arg;

	ids->file_id = t->next_file_id;
	ids->route_id = t->next_route_id;
	t->next_file_id += (int64_t)ids->n;
	t->next_route_id += (uint32_t)ids->n;
}

void tail_take_ids(struct tail *t, size_t n, int64_t *ret_file_id, uint32_t *ret_route_id)
{
	struct ids ids = { .n = n };

	calls_do(t, call_ids, &ids);
	*ret_file_id = ids.file_id;
	*ret_route_id = ids.route_id;
}

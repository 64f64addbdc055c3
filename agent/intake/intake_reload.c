/* intake_reload.c - inputs come, change and go while others are read.
 *
 * Why structs and not fields change: what an input has received is bound to how it was cut and where it goes. So a changed input
 * is another struct, which takes over the socket of the one before (its `pred`): with all that it holds where both cut alike,
 * else when that one is through. Nothing is unbound meanwhile; what comes waits in the kernel.
 * Who goes on under a name and address (`old`) counts on behind it under its id, so that no number ever stands for two bytes.
 * A closed struct stays, without what its kind had: it says that its id is a stream's, and where its count ended.
 * Threads: prepare, switch and drop main, which waits while the work is done on the intake thread between two rounds; reload_left
 * intake.
 * Failure: only while it is prepared, but for what the kernel refuses to watch: that input has failed, and it is said.
 */
#include <stdatomic.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/intake/intake_inside.h"

struct intake_plan {
	struct intake *i;
	struct intake_change to;
	struct intake_conf conf;		/* of i, then */
	struct intake_input **fresh; size_t fresh_count;
	struct err *err;
	int rc;
};

/* --- rows of earlier lives that no input had at the start --- */

static void row_release(struct tail_known *k)
{
	mem_free((char *)k->file.path);
	mem_free((char *)k->file.origin);
	mem_free((char *)k->file.cursor);
	mem_free(k->skips);
}

static int row_copy(struct tail_known *to, const struct tail_known *k)
{
	*to = *k;
	to->file.path = mem_strdup(k->file.path);
	to->file.origin = mem_strdup(k->file.origin ? k->file.origin : k->file.path);
	to->file.cursor = mem_strdup(k->file.cursor);
	to->skips = mem_array(struct tail_skip, k->skip_count + 1);
	if (!to->file.path || !to->file.origin || !to->file.cursor || !to->skips) {
		row_release(to);
		return ERR_NOMEM;
	}
	if (k->skip_count)
		memcpy(to->skips, k->skips, k->skip_count * sizeof *k->skips);
	return 0;
}

int rows_keep(struct intake *i, const struct intake_conf *c)
{
	i->rows = mem_array(struct tail_known, c->known_count + 1);
	for (size_t k = 0; i->rows && k < c->known_count; k++) {
		if (row_copy(&i->rows[i->row_count], &c->known[k]) < 0)
			return ERR_NOMEM;
		i->row_count++;
	}
	return i->rows ? 0 : ERR_NOMEM;
}

void rows_release(struct intake *i)
{
	for (size_t k = 0; k < i->row_count; k++)
		row_release(&i->rows[k]);
	mem_free(i->rows);
}

static bool is_of(const struct spool_file *row, const char *name, const char *path)
{
	return !strcmp(row->origin, name) && !strcmp(row->path, path);
}

/* The newest, if there are several. */
static const struct tail_known *find_row(const struct intake *i, const char *name, const char *path)
{
	const struct tail_known *found = NULL;

	for (size_t k = 0; k < i->row_count; k++)
		if (is_of(&i->rows[k].file, name, path) && (!found || i->rows[k].file.id > found->file.id))
			found = &i->rows[k];
	return found;
}

/* --- coming and going --- */

static void close_input(struct intake_input *in)
{
	struct intake *i = in->owner;

	if (in->begun) {
		if (in->kind->tick)
			in->kind->tick(in);
		intake_turn_end(in);
		intake_put_row(in);
	}
	in->kind->close(in);
	i->lane_count -= map_count(&in->lanes);
	map_release(&in->lanes);
	map_init(&in->lanes);
	pthread_mutex_lock(&i->mu);
	in->closed = true;
	pthread_mutex_unlock(&i->mu);
	in->done = true;
	in->ready = in->dry = in->claimed = false;
	in->conf = NULL;
	in->spec = NULL;
}

void intake_show_as(struct intake_input *in, struct intake_input *old)
{
	char *shown = in->shown;

	pthread_mutex_lock(&in->owner->mu);
	in->shown = old->shown;
	old->shown = shown;
	pthread_mutex_unlock(&in->owner->mu);
}

static int begin(struct intake_input *in)
{
	const struct tail_known *known = in->old ? NULL : find_row(in->owner, in->row.origin, in->row.path);
	struct err e;
	int rc = in->old ? intake_input_go_on(in, in->old) : 0;

	if (rc == 0)
		rc = intake_input_begin(in, known);
	if (rc == 0)
		rc = rereader_add(in);
	if (rc == 0 && in->kind->keeps && (rc = in->kind->open(in, &e)) < 0)
		log_error("cannot read the journal", KS("input", in->conf->name), KS("error", e.text));
	pthread_mutex_lock(&in->owner->mu);	/* its row stays what it is now, others may look */
	in->begun = true;
	pthread_mutex_unlock(&in->owner->mu);
	return rc < 0 ? rc : in->kind->start(in);
}

static void begin_input(struct intake_input *in)
{
	int rc;

	in->pred = NULL;
	rc = begin(in);
	if (rc < 0)
		intake_failed(in, rc);
	else
		in->kind->pause(in, false);	/* what was moved may have been paused */
	intake_ready(in);
}

static struct intake_input *heir_of(const struct intake_input *in)
{
	for (size_t k = 0; k < in->owner->count; k++)
		if (in->owner->inputs[k]->pred == in)
			return in->owner->inputs[k];
	return NULL;
}

bool reload_has_heir(const struct intake_input *in)
{
	return heir_of(in) != NULL;
}

static void rescue(struct intake_input *in)
{
	struct lane *l;
	size_t it = 0;

	while ((l = map_next(&in->lanes, &it)))
		lane_rescue(l);
}

/* What was read of a journal is looked after until it is finished, for its cursor; and what a kill -9 takes out of memory is read
 * again by the new route, where nothing newer may stand before it. */
void reload_left(struct intake_input *in)
{
	struct intake_input *heir = heir_of(in);
	const struct tail_hooks *h = in->owner->hooks;

	if (in->claimed)
		return;
	if (in->kind->keeps && h->safe(h->arg, in->row.id) < atomic_load(&in->read)) {
		rescue(in);
		return;
	}
	if (heir && heir->kind->take_over && !in->moved)
		(void)heir->kind->take_over(heir, in, true);
	log_info("input is closed, what was received is handed over", KS("input", in->conf->name), KS("path", in->shown));
	close_input(in);
	if (heir)
		begin_input(heir);
}

static void leave(struct intake_input *in)
{
	struct intake_input *heir = heir_of(in);

	if (in->index != SIZE_MAX && in->begun) {
		if (heir && !in->done && heir->kind->take_over && heir->kind->take_over(heir, in, false))
			in->done = in->moved = true;
		in->index = SIZE_MAX;
		in->last = true;
		in->dry = false;
	}
	if (in->done)
		reload_left(in);
	else
		intake_ready(in);
}

/* --- before: all that may fail --- */

static bool is_kept(const struct intake_plan *p, const struct intake_input *in)
{
	for (size_t k = 0; k < p->to.conf->input_count; k++)
		if (in->index != SIZE_MAX && p->to.was[k] == in->index)
			return true;
	return false;
}

/* Who listens to the same, and goes. */
static struct intake_input *find_pred(const struct intake_plan *p, const struct intake_input *in)
{
	for (size_t k = 0; k < p->i->count; k++) {
		struct intake_input *old = p->i->inputs[k];

		if (old->begun && !old->closed && old->kind == in->kind && !is_kept(p, old) &&
		    !strcmp(old->row.path, in->row.path) && (!in->kind->keeps || !strcmp(old->row.origin, in->row.origin)))
			return old;
	}
	return NULL;
}

static struct intake_input *find_old(const struct intake_plan *p, const struct intake_input *in)
{
	for (size_t k = p->i->count; k-- > 0;)
		if (p->i->inputs[k]->begun && is_of(&p->i->inputs[k]->row, in->row.origin, in->row.path))
			return p->i->inputs[k];
	return NULL;
}

static int prepare_input(struct intake_plan *p, size_t index)
{
	const struct conf_input *conf = &p->to.conf->inputs[index];
	struct intake_input *in = intake_input_new(p->i, index);
	struct journal *journal;
	int rc;

	if (!in)
		return err_set(p->err, ERR_NOMEM, "out of memory");
	p->fresh[p->fresh_count++] = in;
	rc = intake_input_open(in, find_row(p->i, conf->name, intake_path(conf)), p->err);
	if (rc < 0)
		return rc;
	in->pred = find_pred(p, in);
	in->old = find_old(p, in);
	in->heir = in->pred != NULL;
	if (in->pred)
		in->pred->claimed = true;
	if (!in->kind->keeps)
		return in->kind->open(in, p->err);
	rc = journal_open(intake_journal_dir(conf), &journal, p->err);
	if (rc == 0)
		journal_close(journal);
	return rc;
}

static void prepare(struct intake *i, void *arg)
{
	struct intake_plan *p = arg;
	const struct conf *conf = p->to.conf;
	struct intake_conf before = i->conf;
	struct intake_input **all = mem_array(struct intake_input *, i->count + conf->input_count + 1);

	p->fresh = mem_array(struct intake_input *, conf->input_count + 1);
	if (!all || !p->fresh) {
		mem_free(all);
		p->rc = err_set(p->err, ERR_NOMEM, "out of memory");
		return;
	}
	memcpy(all, i->inputs, i->count * sizeof *all);
	mem_free(i->inputs);
	i->inputs = all;			/* with room for the new ones */
	i->conf = p->conf;
	i->file_id = p->to.next_file_id;
	i->route_id = p->to.next_route_id;
	for (size_t k = 0; k < conf->input_count && p->rc == 0; k++)
		if (conf->inputs[k].type != CONF_TYPE_FILE && p->to.was[k] == SIZE_MAX)
			p->rc = prepare_input(p, k);
	i->conf = before;
}

static bool has_streams(const struct conf *c)
{
	for (size_t k = 0; k < c->input_count; k++)
		if (c->inputs[k].type != CONF_TYPE_FILE)
			return true;
	return false;
}

int intake_reload_prepare(struct intake *i, const struct intake_change *c, struct intake_plan **ret, struct err *ret_err)
{
	struct intake_plan *p = mem_new(struct intake_plan);
	int rc = p ? 0 : ERR_NOMEM;

	*ret = NULL;
	if (rc == 0 && !i->started && has_streams(c->conf))
		rc = intake_run(i);
	if (rc < 0) {
		mem_free(p);
		return err_set(ret_err, rc, "cannot start the intake thread: %s", err_text(rc));
	}
	*p = (struct intake_plan){ .i = i, .to = *c, .conf = i->conf, .err = ret_err };
	p->conf.conf = c->conf;
	p->conf.specs = c->specs;
	p->conf.key_serializer = c->key_serializer;
	p->conf.next_file_id = &i->file_id;
	p->conf.next_route_id = &i->route_id;
	intake_do(i, prepare, p);
	rc = p->rc;
	if (rc < 0)
		intake_reload_drop(p);
	else
		*ret = p;
	return rc;
}

static void drop(struct intake *i, void *arg)
{
	struct intake_plan *p = arg;

	for (size_t k = 0; k < p->fresh_count; k++)
		intake_input_free(p->fresh[k]);
	for (size_t k = 0; k < i->count; k++)
		i->inputs[k]->claimed = false;
}

void intake_reload_drop(struct intake_plan *p)
{
	if (!p)
		return;
	intake_do(p->i, drop, p);
	mem_free(p->fresh);
	mem_free(p);
}

size_t intake_plan_descriptors(const struct intake_plan *p)
{
	size_t n = 0;

	for (size_t k = 0; k < p->fresh_count; k++)
		if (p->fresh[k]->kind == &intake_tcp)
			n += intake_tcp_descriptors(p->fresh[k]);
	for (size_t k = 0; k < p->i->count; k++)
		if (p->i->inputs[k]->kind == &intake_tcp && is_kept(p, p->i->inputs[k]))
			n += intake_tcp_descriptors(p->i->inputs[k]);
	return n;
}

/* --- the switch --- */

static void keep_input(const struct intake_plan *p, struct intake_input *in)
{
	for (size_t k = 0; k < p->to.conf->input_count; k++) {
		if (p->to.was[k] != in->index)
			continue;
		in->index = k;
		in->conf = &p->to.conf->inputs[k];
		in->spec = p->to.specs ? p->to.specs[k] : "";
		return;
	}
}

/* Superseded before it began: who comes now has its place. */
static void never_began(struct intake_input *in)
{
	if (in->begun)
		return;
	in->pred = NULL;
	close_input(in);
}

static void switch_over(struct intake *i, void *arg)
{
	struct intake_plan *p = arg;
	size_t before = i->count;

	i->conf = p->conf;
	for (size_t k = 0; k < p->fresh_count; k++)
		i->inputs[i->count++] = p->fresh[k];
	for (size_t k = 0; k < before; k++) {
		struct intake_input *in = i->inputs[k];

		in->claimed = false;
		in->kept = is_kept(p, in);
		if (!in->kept && !in->closed)
			never_began(in);
	}
	for (size_t k = 0; k < before; k++) {
		if (i->inputs[k]->kept)
			keep_input(p, i->inputs[k]);
		else if (!i->inputs[k]->closed)
			leave(i->inputs[k]);
	}
	for (size_t k = before; k < i->count; k++)
		if (!i->inputs[k]->begun && !i->inputs[k]->pred)
			begin_input(i->inputs[k]);
}

void intake_reload_switch(struct intake_plan *p)
{
	intake_do(p->i, switch_over, p);
	mem_free(p->fresh);
	mem_free(p);
}

struct uses { const struct conf *conf; bool is; };

static void look_for(struct intake *i, void *arg)
{
	struct uses *u = arg;

	for (size_t k = 0; k < i->count; k++)
		u->is |= i->inputs[k]->conf >= u->conf->inputs &&
			 i->inputs[k]->conf < u->conf->inputs + u->conf->input_count;
}

bool intake_uses(struct intake *i, const struct conf *conf)
{
	struct uses u = { .conf = conf };

	if (i)
		intake_do(i, look_for, &u);
	return u.is;
}

/* intake_reread.c - what an unresolved batch had of an input without a file, again: the journal has it, nobody else.
 *
 * Entries are found by their count from a saved cursor on, which stands for an offset that is finished, so at or below anything
 * that is promised. How they became records says the route: its units, its cut, its recipe, as they were then. The time of
 * the last entry is the range's marker and must be what it was.
 * A journal is opened for the first range and kept for those that follow it.
 * Threads: whoever rebuilds (the tail's), one at a time; where to begin is under intake.mu.
 */
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/intake/intake_inside.h"

/* What an id stands for. */
struct origin {
	int64_t id, at;
	char *cursor, *dir;
	bool  journal;
};

/* How entries became records. */
struct journal_route {
	uint32_t id;
	int64_t  max_line;
	char    *topic, *key;
	size_t   key_len;
	bool     skip;
	struct conf_strings units;
	char    *spec;
	struct recipe *recipe;
	bool     made;
};

struct rereader {
	struct origin *origins; size_t origin_count;	/* lock: intake.mu */
	struct recipe_room *room;
	struct journal *journal;		/* of origin `id`, in front of entry `at` */
	int64_t  id, at;
};

static struct rereader *reader(struct intake *i)
{
	if (!i->rereader)
		i->rereader = mem_new(struct rereader);
	return i->rereader;
}

/* --- routes --- */

static void route_free(struct journal_route *r)
{
	if (!r)
		return;
	for (size_t k = 0; k < r->units.n; k++)
		mem_free(r->units.v[k]);
	mem_free(r->units.v);
	recipe_free(r->recipe);
	mem_free(r->topic);
	mem_free(r->key);
	mem_free(r->spec);
	mem_free(r);
}

static bool read_units(struct journal_route *r, const json_t *units)
{
	r->units.v = mem_array(char *, json_array_size(units) + 1);
	for (size_t k = 0; r->units.v && k < json_array_size(units); k++) {
		const char *text = json_string_value(json_array_get(units, k));

		r->units.v[k] = mem_strdup(text ? text : "");
		if (!r->units.v[k])
			return false;
		r->units.n++;
	}
	return r->units.v != NULL;
}

/* 0; 1: it is no journal's. */
static int route_read(struct journal_route *r, const struct spool_route *row)
{
	json_t *o = json_loads(row->spec ? row->spec : "", 0, NULL);
	const json_t *units = json_object_get(o, "units");
	const char *how = json_string_value(json_object_get(o, "long")), *spec = json_string_value(json_object_get(o, "recipe"));
	int rc = json_is_array(units) && how && spec ? 0 : 1;

	r->id = row->id;
	r->max_line = row->max_line;
	r->skip = how && !strcmp(how, "skip");
	if (rc == 0) {
		r->topic = mem_strdup(row->topic);
		r->spec = mem_strdup(spec);
		r->key = row->key_null ? NULL : mem_alloc(row->key_len + 1);
		r->key_len = row->key_len;
		if (r->key && row->key_len)
			memcpy(r->key, row->key, row->key_len);
		if (!r->topic || !r->spec || (!r->key && !row->key_null) || !read_units(r, units))
			rc = ERR_NOMEM;
	}
	json_decref(o);
	return rc;
}

int rereader_keep(struct intake *i, const struct spool_route *row)
{
	struct journal_route *r = mem_new(struct journal_route);
	int rc = r ? route_read(r, row) : ERR_NOMEM;

	pthread_mutex_lock(&i->mu);
	if (rc == 0)
		rc = map_put(&i->routes, &row->id, sizeof row->id, r);
	pthread_mutex_unlock(&i->mu);
	if (rc)
		route_free(r);
	return rc < 0 ? rc : 0;
}

/* 0; ERR_UNAVAILABLE: this agent does not understand it, another version may. */
static int recipe_of(struct journal_route *r)
{
	struct err e;
	int rc = r->made ? 0 : recipe_new(r->spec, &r->recipe, &e);

	if (rc == ERR_CONFIG) {
		log_error("how entries became records is not understood, batches of an earlier life wait", KS("error", e.text));
		rc = ERR_UNAVAILABLE;
	}
	r->made |= rc == 0;
	return rc;
}

/* --- where ids begin --- */

static const char *dir_of(const struct intake *i, const char *name)
{
	const struct conf *c = i->conf.conf;

	for (size_t k = 0; k < c->input_count; k++)
		if (c->inputs[k].type == CONF_TYPE_JOURNALD && !strcmp(c->inputs[k].name, name))
			return intake_journal_dir(&c->inputs[k]);
	return NULL;
}

static int add_origin(struct intake *i, const struct spool_file *f, const char *dir, bool journal)
{
	struct origin new = { .id = f->id, .at = f->cursor_at, .journal = journal, .cursor = mem_strdup(f->cursor),
			      .dir = dir ? mem_strdup(dir) : NULL };
	struct rereader *rr = reader(i);
	struct origin *o = NULL;

	pthread_mutex_lock(&i->mu);
	if (rr && new.cursor && (!dir || new.dir))
		o = mem_grow(rr->origins, rr->origin_count, sizeof *o);
	if (o) {
		rr->origins = o;
		o[rr->origin_count++] = new;
	}
	pthread_mutex_unlock(&i->mu);
	if (o)
		return 0;
	mem_free(new.cursor);
	mem_free(new.dir);
	return ERR_NOMEM;
}

int rereader_add(struct intake_input *in)
{
	return add_origin(in->owner, &in->row, in->kind->keeps ? intake_journal_dir(in->conf) : NULL, in->kind->keeps);
}

void rereader_moved(struct intake_input *in)
{
	struct intake *i = in->owner;
	struct rereader *rr = reader(i);
	char *cursor = mem_strdup(in->row.cursor);

	pthread_mutex_lock(&i->mu);
	for (size_t k = 0; rr && cursor && k < rr->origin_count; k++) {
		struct origin *o = &rr->origins[k];

		if (o->id != in->row.id)
			continue;
		mem_free(o->cursor);
		o->cursor = cursor;
		o->at = in->row.cursor_at;
		cursor = NULL;
	}
	pthread_mutex_unlock(&i->mu);
	mem_free(cursor);
}

int rereader_new(struct intake *i, struct err *ret_err)
{
	const struct intake_conf *c = &i->conf;
	int rc = reader(i) ? 0 : ERR_NOMEM;

	for (size_t k = 0; k < c->known_count && rc == 0; k++) {
		const struct spool_file *f = &c->known[k].file;
		bool journal = !strcmp(f->path, "journal");

		rc = add_origin(i, f, journal ? dir_of(i, f->origin) : NULL, journal);
	}
	for (size_t k = 0; k < i->count && rc == 0; k++)
		rc = rereader_add(i->inputs[k]);
	for (size_t k = 0; k < c->route_count && rc == 0; k++)
		rc = rereader_keep(i, &c->routes[k]);
	return rc < 0 ? err_set(ret_err, rc, "out of memory") : 0;
}

void rereader_free(struct rereader *rr)
{
	if (!rr)
		return;
	for (size_t k = 0; k < rr->origin_count; k++) {
		mem_free(rr->origins[k].cursor);
		mem_free(rr->origins[k].dir);
	}
	mem_free(rr->origins);
	journal_close(rr->journal);
	recipe_room_free(rr->room);
	mem_free(rr);
}

void rereader_release_routes(struct intake *i)
{
	struct journal_route *r;
	size_t it = 0;

	while ((r = map_next(&i->routes, &it)))
		route_free(r);
	map_release(&i->routes);
}

/* A copy; cursor and dir are to be freed. Of two with one id the later: it is this life's. */
static int find_origin(struct intake *i, int64_t id, struct origin *ret)
{
	struct rereader *rr = i->rereader;
	int rc = ERR_NOT_FOUND;

	pthread_mutex_lock(&i->mu);
	for (size_t k = rr->origin_count; k-- > 0 && rc == ERR_NOT_FOUND;) {
		if (rr->origins[k].id != id)
			continue;
		*ret = rr->origins[k];
		ret->cursor = mem_strdup(ret->cursor);
		ret->dir = ret->dir ? mem_strdup(ret->dir) : NULL;
		rc = ret->cursor ? 0 : ERR_NOMEM;
	}
	pthread_mutex_unlock(&i->mu);
	return rc;
}

/* --- entries --- */

/* The journal in front of entry `from`. */
static int go_to(struct rereader *rr, const struct origin *o, int64_t from)
{
	struct err e;
	int rc = 0;

	if (!rr->journal || rr->id != o->id || rr->at > from) {
		journal_close(rr->journal);
		rr->journal = NULL;
		if (o->at > from)
			return ERR_BAD_DATA;
		rc = journal_open(o->dir, &rr->journal, &e);
		if (rc == 0)
			rc = journal_seek(rr->journal, o->cursor);
		rr->id = o->id;
		rr->at = o->at;
	}
	while (rc == 0 && rr->at < from) {
		rc = journal_next(rr->journal);
		rr->at += rc == 1;
		rc = rc == 1 ? 0 : rc == 0 ? ERR_NOT_FOUND : rc;
	}
	return rc == ERR_NOT_FOUND ? ERR_BAD_DATA : rc;
}

/* It was said when the entry was read. */
static void step_failed(void *arg, const char *text)
{
	(void)arg, (void)text;
}

static int put_entry(struct rereader *rr, const struct journal_route *r, tail_put_fn *put, void *put_arg)
{
	struct lane_record record = { .key = r->key, .key_len = r->key_len, .timestamp = -1 };
	struct intake_message m = { .span = 1, .has_time = true };
	const char *topic = r->topic;
	struct journal_entry e;
	struct err ignored;
	size_t lost;
	int rc;

	if (!journal_is_of(rr->journal, &r->units))
		return 0;
	rc = journal_read(rr->journal, &e);
	if (rc < 0)
		return rc == ERR_NOMEM ? rc : 0;	/* it was not read then either */
	rc = intake_cut_entry(&e, (size_t)r->max_line, r->skip, &lost) ? 0 : 1;
	m.value = e.message;
	m.len = e.len;
	m.fields = e.fields;
	m.time_ns = (int64_t)e.time_us * 1000;
	if (rc == 0)
		rc = intake_record(r->recipe, rr->room, &m, &topic, &record, step_failed, NULL, &ignored);
	if (rc == 0)
		rc = put(put_arg, &record);
	json_decref(e.fields);
	return rc == 1 ? 0 : rc;
}

static int reread(struct rereader *rr, const struct origin *o, const struct source_range *s, const struct journal_route *r,
		  tail_put_fn *put, void *put_arg)
{
	int rc = go_to(rr, o, s->from);

	while (rc == 0 && rr->at < s->to) {
		rc = journal_next(rr->journal);
		if (rc <= 0)
			return rc == 0 ? ERR_BAD_DATA : rc;
		rr->at++;
		rc = put_entry(rr, r, put, put_arg);
	}
	return rc == 0 && s->marker && journal_time_us(rr->journal) != s->marker ? ERR_BAD_DATA : rc;
}

int intake_reread(void *arg, const struct source_range *s, tail_put_fn *put, void *put_arg)
{
	struct intake *i = arg;
	struct journal_route *r;
	struct origin o;
	int rc = find_origin(i, s->file_id, &o);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&i->mu);
	r = map_get(&i->routes, &s->route, sizeof s->route);
	pthread_mutex_unlock(&i->mu);
	if (!i->rereader->room)
		i->rereader->room = recipe_room_new();
	if (!i->rereader->room)
		rc = ERR_NOMEM;
	else if (!o.journal || !r)
		rc = ERR_BAD_DATA;
	if (rc == 0)
		rc = recipe_of(r);
	if (rc == 0)
		rc = reread(i->rereader, &o, s, r, put, put_arg);
	mem_free(o.cursor);
	mem_free(o.dir);
	return rc;
}

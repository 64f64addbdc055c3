/* tail_route.c - which topic, key and lane the lines of a file go to: templates, evaluated once for each file.
 *
 * A route is written down (route_put) before the first record that names it, so that a batch can be built again by a
 * later process with another configuration. Routes are few: one for each distinct (topic, key, max_line, spec), kept over
 * restarts, and its twin. Interceptors may rename the topic: the lane is that of the new one, and the only one of the file, for
 * a new name depends on nothing but the old one.
 * Threads: tail. Routes and destinations live as long as the tail thread's struct.
 */
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/tail/tail_inside.h"
#include "conf/template.h"

#define MARK_BYTES 4			/* the longest byte order mark */
#define ROUTE_TEXT_MAX (4u << 20)	/* a configuration's list takes 1 MiB at most */

static int dest_new(struct tail *t, const char *name, const char *topic, const struct conf_input *in, struct dest **ret_d)
{
	bool waits = in->when_full == CONF_INPUT_WAIT;
	struct dest *d;

	if ((int64_t)map_count(&t->dests_by_name) >= t->conf.conf->max_lanes)
		return ERR_LANES;
	d = mem_new(struct dest);
	if (!d)
		return ERR_NOMEM;
	d->waits = waits;
	d->lane = (waits ? producer_waiting_lane : producer_lane)(t->conf.producer, topic, in->partition);
	if (!d->lane || map_put(&t->dests_by_name, name, strlen(name), d) < 0) {
		mem_free(d);
		return ERR_NOMEM;
	}
	list_init(&d->waiting);
	list_push_back(&t->dests, &d->node);
	*ret_d = d;
	return 0;
}

/* Inputs whose lines may be spooled share no lane with others. */
static int dest_get(struct tail *t, const char *topic, const struct conf_input *in, struct dest **ret_d)
{
	char *name = mem_printf("%d/%s%s", (int)in->partition, topic, in->when_full == CONF_INPUT_WAIT ? "/wait" : "");
	int rc = ERR_NOMEM;

	if (name) {
		*ret_d = map_get(&t->dests_by_name, name, strlen(name));
		rc = *ret_d ? 0 : dest_new(t, name, topic, in, ret_d);
	}
	mem_free(name);
	return rc;
}

static void route_free(struct route *r)
{
	if (!r)
		return;
	mem_free((char *)r->row.topic);
	mem_free((char *)r->row.spec);
	mem_free((void *)r->row.key);
	mem_free(r);
}

static struct route *route_copy(const struct spool_route *row)
{
	struct route *r = mem_new(struct route);
	char *key = mem_alloc(row->key_len + 1);

	if (!r || !key) {
		mem_free(key);
		mem_free(r);
		return NULL;
	}
	if (row->key_len)
		memcpy(key, row->key, row->key_len);
	r->row = *row;
	r->row.key = key;
	r->row.topic = mem_strdup(row->topic);
	r->row.spec = mem_strdup(row->spec ? row->spec : "");
	if (r->row.topic && r->row.spec)
		return r;
	route_free(r);
	return NULL;
}

/* What makes routes distinct. */
static int route_text(struct buf *b, const struct spool_route *r)
{
	buf_printf(b, "%lld %d %zu ", (long long)r->max_line, r->key_null, r->key_len);
	buf_put(b, r->key, r->key_len);
	buf_puts(b, r->topic);
	buf_puts(b, " ");
	return buf_puts(b, r->spec ? r->spec : "");
}

/* Puts a copy of the row into the tables: the first that says so, or its twin. NULL: out of memory. */
static struct route *route_add(struct tail *t, const struct spool_route *row)
{
	struct route *r = route_copy(row), *first = NULL;
	struct buf text;
	int rc = ERR_NOMEM;

	buf_init(&text, ROUTE_TEXT_MAX);
	if (r && route_text(&text, row) == 0 && map_put(&t->routes_by_id, &row->id, sizeof row->id, r) == 0) {
		first = map_get(&t->routes_by_text, text.data, text.len);
		rc = first ? 0 : map_put(&t->routes_by_text, text.data, text.len, r);
		if (rc < 0)
			map_del(&t->routes_by_id, &row->id, sizeof row->id);
	}
	buf_release(&text);
	if (rc < 0) {
		route_free(r);
		return NULL;
	}
	if (first && !first->twin) {
		first->twin = r;
		r->twin = first;
	}
	if (row->id >= t->next_route_id)
		t->next_route_id = row->id + 1;
	return r;
}

static struct route *route_find(const struct tail *t, const struct spool_route *row)
{
	struct route *r = NULL;
	struct buf text;

	buf_init(&text, ROUTE_TEXT_MAX);
	if (route_text(&text, row) == 0)
		r = map_get(&t->routes_by_text, text.data, text.len);
	buf_release(&text);
	return r;
}

static struct route *route_new(struct tail *t, struct spool_route row)
{
	struct route *r;

	row.id = t->next_route_id;
	r = route_add(t, &row);
	if (r)
		t->hooks->route_put(t->hooks->arg, &r->row);
	return r;
}

struct route *route_twin(struct tail *t, struct route *r)
{
	struct route *twin = r->twin ? r->twin : route_new(t, r->row);

	if (twin)
		twin->recipe = r->recipe;
	return twin;
}

const struct spool_route *route_by_id(const struct tail *t, uint32_t id)
{
	const struct route *r = map_get(&t->routes_by_id, &id, sizeof id);

	return r ? &r->row : NULL;
}

/* An empty key is no key. The serializer's bytes are the route's: they are the same for all lines. */
static int expand_key(const struct tail *t, const struct file *f, const struct template_values *v, const char *topic,
		      struct buf *key)
{
	const struct conf_input *in = t->inputs[f->input].conf;
	int rc = in->key && !template_per_record(in->key, false) ? template_expand(in->key, v, key) : 0;
	struct err e;

	if (rc < 0 || !key->len)
		return rc;
	rc = recipe_key(t->conf.key_serializer, topic, key, &e);
	if (rc != ERR_BAD_DATA)
		return rc;
	if (f->error != ERR_CONFIG)
		log_error("no key for the lines of this file", KS("path", f->path), KS("error", e.text));
	return ERR_CONFIG;
}

/* The lane of the topic that the recipe makes of the template's. */
static int find_dest(struct tail *t, const struct file *f, const struct recipe *recipe, const char *topic, struct dest **ret)
{
	const char *to = recipe_topic(recipe, topic);

	return template_topic_legal(to) ? dest_get(t, to, t->inputs[f->input].conf, ret) : ERR_BAD_DATA;
}

int route_dest(struct tail *t, const struct file *f, const struct recipe *recipe, const char *topic, struct dest **ret)
{
	int rc = find_dest(t, f, recipe, topic, ret);

	if (rc == 0)
		(*ret)->mixed = true;
	return rc;
}

/* All or nothing: a file that has a route already is read on by that. */
static int set_route(struct tail *t, struct file *f, const struct spool_route *want)
{
	const struct recipe *recipe;
	struct dest *dest = NULL;
	struct route *route;
	int rc = recipe_of(t, want->spec, &recipe);

	if (rc == 0 && *want->topic)
		rc = find_dest(t, f, recipe, want->topic, &dest);
	if (rc < 0)
		return rc;
	route = route_find(t, want);
	if (!route)
		route = route_new(t, *want);
	if (!route)
		return ERR_NOMEM;
	route->recipe = recipe;
	f->route = route;
	f->dest = dest;
	return 0;
}

/* The spec of f's input, or the same with the encoding that its byte order mark says. 1: f stays on its route. */
static int spec_of(struct tail *t, struct file *f, struct buf *room, const char **ret)
{
	const char *encoding = t->inputs[f->input].conf->encoding, *found;
	struct window *w = &t->window;
	size_t n, skip;
	int rc;

	*ret = t->conf.specs && t->conf.specs[f->input] ? t->conf.specs[f->input] : "";
	f->encoded = true;
	if (!encoding)
		return 0;
	w->file_id = 0;
	rc = window_read(w, f, 0, MARK_BYTES, 0);
	w->file_id = 0;
	if (rc < 0)
		return rc;
	n = window_len(w, 0);
	f->encoded = n == MARK_BYTES;
	found = assemble_resolve(encoding, window_at(w, 0), n, &skip);
	if (found) {
		rc = recipe_set_encoding(*ret, found, room);
		*ret = room->data;
	} else if (f->route && n && !window_at(w, 0)[0] && !window_at(w, 0)[n - 1]) {
		rc = 1;			/* a hole: what is behind it is written as before */
	}
	return rc;
}

int route_file(struct tail *t, struct file *f)
{
	const struct tail_input *in = &t->inputs[f->input];
	struct template_values v = { .path = f->home, .host = t->conf.hostname, .input = in->conf->name };
	struct spool_route want = { .max_line = in->conf->max_line };
	struct buf topic, key, spec;
	bool encoded = f->encoded;
	int rc;

	buf_init(&topic, 4096);
	buf_init(&key, 65536);
	buf_init(&spec, ROUTE_TEXT_MAX);
	rc = spec_of(t, f, &spec, &want.spec);
	buf_puts(&topic, "");
	if (rc == 0 && !template_per_record(in->conf->topic, false))
		rc = template_expand_topic(in->conf->topic, &v, &topic);
	if (rc == 0)
		rc = expand_key(t, f, &v, topic.data, &key);
	if (rc == 0) {
		want.topic = topic.data;
		want.key = key.data;
		want.key_len = key.len;
		want.key_null = key.len == 0;
		rc = set_route(t, f, &want);
	}
	buf_release(&topic);
	buf_release(&key);
	buf_release(&spec);
	if (rc < 0)
		f->encoded = encoded;		/* it is looked for again */
	return rc == 1 ? 0 : rc;
}

const struct encoding *route_encoding(const struct file *f)
{
	const struct recipe *recipe = f->route ? f->route->recipe : NULL;
	const struct assemble_rules *rules = recipe ? recipe_rules(recipe) : NULL;

	return rules ? assemble_encoding(rules) : NULL;
}

int route_load(struct tail *t, const struct spool_route *row)
{
	return route_add(t, row) ? 0 : ERR_NOMEM;
}

void route_release(struct tail *t)
{
	struct route *r;
	struct dest *d;
	size_t it = 0;

	while ((r = map_next(&t->routes_by_id, &it)))
		route_free(r);
	map_release(&t->routes_by_id);
	map_release(&t->routes_by_text);
	while ((d = list_first(&t->dests, struct dest, node))) {
		list_remove(&d->node);
		mem_free(d);
	}
	map_release(&t->dests_by_name);
}

/* conf.c - the configuration file: read, walked by the table of keys, checked as a whole.
 *
 * Why a table: every key is known in one place (keys.c); this file knows sections only, and what concerns
 *	several keys of the whole (of one input: input.c).
 *
 * Invariants
 *  (1) Nothing is half-applied: with one problem, or short memory, the struct is freed and the caller's pointer
 *      untouched.
 *  (2) Looking for problems goes on after each of them, except after a fault of YAML syntax.
 *  (3) A struct conf can be freed at any stage: it begins as zeros, lists count only what they hold.
 * Threads  none of its own; a finished struct conf is read-only.
 * Failure  ERR_CONFIG with problems, -errno for an unreadable file, ERR_NOMEM.
 */
#include "conf/conf.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "agent/base/mem.h"
#include "conf/keys.h"
#include "conf/load.h"
#include "conf/problem.h"
#include "conf/yaml.h"

#define SERVERS "bootstrap.servers"

enum {
	JSON_MAX = 1 << 20,		/* of a value that is a list or a section */
	SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
};

void load_missing(struct loader *l, const struct yaml_node *at, const char *name, const char *in)
{
	load_problem(l, at, "missing key \"%s\"%s%s", name, *in ? " in " : "", in);
}

static void unknown_key(struct loader *l, const struct key_section *s, const struct yaml_node *key, const char *in)
{
	const char *names[KEYS_MAX];
	char hint[HINT_MAX];

	keys_names(s, names);
	problem_hint(hint, sizeof hint, key->text, names);
	load_problem(l, key, "unknown key \"%.80s\"%s%s%s", key->text, *in ? " in " : "", in, hint);
}

void load_defaults(struct loader *l, const struct key_section *s, void *base)
{
	for (const struct conf_key *k = s->keys; k->name; k++) {
		if (k->type == KEY_SECTION)
			load_defaults(l, k->section, base);
		else
			load_default(l, k, base);
	}
}

/* --- producer --- */

/* Takes a secret out of the words that the producer made of it; it may have cut it short. */
static void hide(struct err *err, const char *secret)
{
	char out[sizeof err->text];
	size_t n = strlen(secret), len = 0;

	for (const char *p = err->text; *p && len < sizeof out - 4;) {
		size_t same = 0;

		while (same < n && p[same] == secret[same])
			same++;
		if (same && (same == n || same >= 4)) {
			memcpy(out + len, "***", 3);
			len += 3;
			p += same;
		} else {
			out[len++] = *p++;
		}
	}
	out[len] = 0;
	memcpy(err->text, out, len + 1);
}

/* Words that could show a part of the secret are not shown at all. */
static void refused_value(struct loader *l, struct yaml_node *at, const char *name, const char *value, bool is_json, bool masked,
			  struct err *err)
{
	at->bad = true;
	if (masked && is_json) {
		load_problem(l, at, "%s: bad value (it is secret and not shown)", name);
		return;
	}
	if (masked)
		hide(err, value);
	load_problem(l, at, "%s", err->text);
}

static int set_producer_text(struct loader *l, const char *name, const char *value, struct err *ret_err)
{
	int rc = l->hooks ? l->hooks->producer_set(l->hooks->arg, name, value, ret_err) : 0;

	if (rc == ERR_NOMEM)
		l->nomem = true;
	return rc == ERR_NOMEM ? 0 : rc;
}

static void set_producer_value(struct loader *l, const struct yaml_pair *p, const char *text, bool masked)
{
	struct err err = { 0 };

	if (masked)
		load_add(l, &l->conf->producer_masked, p->key->text);
	if (set_producer_text(l, p->key->text, text, &err))
		refused_value(l, p->key, p->key->text, text, p->value->kind != YAML_SCALAR, masked, &err);
}

static bool takes_json(const struct loader *l, const char *name)
{
	return l->hooks && l->hooks->producer_takes_json && l->hooks->producer_takes_json(l->hooks->arg, name);
}

static void set_producer_tree(struct loader *l, const struct yaml_pair *p)
{
	struct buf json;
	bool masked = false;

	if (!takes_json(l, p->key->text)) {
		load_problem(l, p->value, "\"%.80s\" must be a single value", p->key->text);
		p->key->bad = true;
		return;
	}
	buf_init(&json, JSON_MAX);
	if (!load_json(l, p->value, &json, &masked))
		p->key->bad = true;
	else if (json.failed)
		l->nomem = true;
	else
		set_producer_value(l, p, json.data, masked);
	buf_release(&json);
}

static void set_producer_key(struct loader *l, const struct yaml_pair *p)
{
	const char *text;

	if (p->value->kind != YAML_SCALAR) {
		set_producer_tree(l, p);
		return;
	}
	text = yaml_is_null(p->value) ? NULL : load_text(l, p->value);
	if (yaml_is_null(p->value))
		load_problem(l, p->key, "\"%.80s\" has no value", p->key->text);
	if (text)
		set_producer_value(l, p, text, p->value->masked);
	else
		p->key->bad = true;
}

/* Where the words of cross-checks go. */
struct finish { struct loader *l; const struct yaml_node *at, *map; };

static void hide_masked(struct err *err, const struct yaml_node *v)
{
	if (v->kind == YAML_SCALAR && v->masked)
		hide(err, v->text);
	for (size_t i = 0; i < v->count; i++)
		hide_masked(err, v->pairs[i].value);
}

/* The words of a cross-check begin with the key that is wrong: that is where it stands, if it is there. */
static void finish_problem(void *arg, const char *words)
{
	struct finish *f = arg;
	const struct yaml_node *at = f->at;
	size_t n = strcspn(words, ": [");		/* "key: ...", "key is ...", "key[0].member: ..." */
	struct err err;

	snprintf(err.text, sizeof err.text, "%s", words);
	hide_masked(&err, f->map);
	for (size_t i = 0; i < f->map->count; i++) {
		const struct yaml_node *key = f->map->pairs[i].key;

		if (strlen(key->text) == n && !strncmp(key->text, words, n))
			at = key;
	}
	if (at->bad || (n == strlen(SERVERS) && !strncmp(words, SERVERS, n) && !yaml_get(f->map, SERVERS)))
		return;		/* said already */
	load_problem(f->l, at, "%s", err.text);
}

/* The preset, or everything else. */
static void set_producer_keys(struct loader *l, const struct yaml_node *map, bool preset)
{
	for (size_t i = 0; i < map->count; i++) {
		bool is_preset = !strcmp(map->pairs[i].key->text, "preset");

		if (is_preset == preset)
			set_producer_key(l, &map->pairs[i]);
	}
}

static void load_producer(struct loader *l, struct yaml_node *at, const struct yaml_node *map)
{
	struct finish f = { l, at, map };
	struct err err = { 0 };

	if (map->kind != YAML_MAP && !yaml_is_null(map)) {
		load_problem(l, map, "\"producer\" must be a section of keys");
		return;
	}
	if (!yaml_get(map, "preset") && set_producer_text(l, "preset", CONF_PRESET, &err))
		load_problem(l, at, "%s", err.text);
	set_producer_keys(l, map, true);
	set_producer_keys(l, map, false);
	if (!yaml_get(map, SERVERS))
		load_missing(l, at, SERVERS, "producer");
	if (l->hooks && l->hooks->producer_finish && l->hooks->producer_finish(l->hooks->arg, finish_problem, &f) == ERR_NOMEM)
		l->nomem = true;
}

/* --- sections --- */

static void load_subsection(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *at,
			    const struct yaml_node *value)
{
	if (yaml_is_null(value))	/* a section of comments only */
		return;
	if (key->set_offset)
		*(bool *)((char *)base + key->set_offset) = true;
	load_section(l, key->section, base, key->name, at, value);
}

static void load_key(struct loader *l, const struct conf_key *key, void *base, const struct yaml_pair *p)
{
	switch (key->type) {
	case KEY_SECTION:
		load_subsection(l, key, base, p->key, p->value);
		break;
	case KEY_INPUTS:
		load_inputs(l, p->key, p->value);
		break;
	case KEY_PRODUCER:
		load_producer(l, p->key, p->value);
		break;
	default:
		if (!(key->flags & KEY_BESIDE))		/* files.c took it before */
			load_value(l, key, base, p->key, p->value);
	}
}

void load_section(struct loader *l, const struct key_section *s, void *base, const char *in, const struct yaml_node *at,
		  const struct yaml_node *map)
{
	if (map->kind != YAML_MAP) {
		if (*in)
			load_problem(l, map, "\"%s\" must be a section of keys", in);
		else
			load_problem(l, map, "the configuration must be a section of keys");
		return;
	}
	for (size_t i = 0; i < map->count; i++) {
		const struct yaml_pair *p = &map->pairs[i];
		const struct conf_key *key = keys_find(s, p->key->text);

		if (key)
			load_key(l, key, base, p);
		else
			unknown_key(l, s, p->key, in);
	}
	for (const struct conf_key *k = s->keys; k->name; k++)
		if (k->flags & KEY_REQUIRED && !k->types && !yaml_get(map, k->name))
			load_missing(l, at, k->name, in);
}

/* --- the whole --- */

/* The preset max-reliability reaches into `spool:`, as a default. */
static void default_sync(struct loader *l, const struct yaml_node *root)
{
	const struct yaml_node *spool = yaml_get(root, "spool"), *producer = yaml_get(root, "producer");
	const struct yaml_node *preset = producer ? yaml_get(producer, "preset") : NULL;

	if (preset && preset->kind == YAML_SCALAR && !strcmp(preset->text, "max-reliability") &&
	    !(spool && yaml_get(spool, "sync")))
		l->conf->spool.sync = CONF_SYNC_FULL;
}

static void default_control(struct loader *l, const struct yaml_node *root)
{
	struct conf *c = l->conf;
	const struct yaml_node *at = yaml_get(root, "control");

	if (!c->control && c->state_dir) {
		c->control = mem_printf("%s/control.sock", c->state_dir);
		if (!c->control)
			l->nomem = true;
		if (load_is_masked(c, &c->state_dir))
			load_mask(l, &c->control);
		at = yaml_get(root, "state_dir");
	}
	if (c->control && strlen(c->control) > SOCKET_PATH_MAX)
		load_problem(l, at ? at : root, "\"control\": a socket's path has at most %d bytes, this one has %zu",
			     (int)SOCKET_PATH_MAX, strlen(c->control));
}

static void load_root(struct loader *l, struct yaml_node *root)
{
	struct yaml_node empty = { .kind = YAML_MAP, .line = 1, .column = 1 };

	if (!root || yaml_is_null(root))
		root = &empty;
	load_defaults(l, &keys_top, l->conf);
	files_include(l, root);
	load_section(l, &keys_top, l->conf, "", root, root);
	default_sync(l, root);
	default_control(l, root);
	if (l->hooks && l->hooks->finish && !l->nomem && l->hooks->finish(l->hooks->arg, l->conf, l->problems) == ERR_NOMEM)
		l->nomem = true;
}

static int load_tree(struct loader *l, const char *text, size_t n)
{
	const char *path = load_add(l, &l->conf->files, l->path);
	int rc = path ? yaml_tree_parse(path, text, n, &l->trees, l->problems) : ERR_NOMEM;

	l->conf->path = load_strdup(l, l->path);
	if (!rc && !l->nomem)
		load_root(l, l->trees->root);
	problems_sort(l->problems, &l->conf->files);
	while (l->trees) {
		struct yaml_tree *y = l->trees;

		l->trees = y->more;
		yaml_tree_free(y);
	}
	return l->nomem ? ERR_NOMEM : rc ? rc : l->problems->n ? ERR_CONFIG : 0;
}

static int load_text_of(struct loader *l, const char *text, size_t n, struct conf **ret_conf)
{
	int rc;

	l->conf = mem_new(struct conf);
	if (!l->conf)
		return ERR_NOMEM;
	rc = load_tree(l, text, n);
	if (rc)
		conf_free(l->conf);
	else
		*ret_conf = l->conf;
	return rc;
}

int conf_load_text(const char *path, const char *text, size_t n, const struct conf_hooks *hooks,
		   struct conf **ret_conf, struct conf_problems *problems)
{
	struct loader l = { .path = path, .hooks = hooks, .problems = problems };

	return load_text_of(&l, text, n, ret_conf);
}

int conf_load(const char *path, const struct conf_hooks *hooks, struct conf **ret_conf,
	      struct conf_problems *problems)
{
	struct loader l = { .path = path, .follow = true, .hooks = hooks, .problems = problems };
	struct buf text;
	int rc = files_read(path, &text);

	if (!rc)
		rc = load_text_of(&l, text.data ? text.data : "", text.len, ret_conf);
	else if (rc != ERR_NOMEM &&
		 conf_problem_add(problems, path, 0, 0, "cannot read the configuration: %s", err_text(rc)))
		rc = ERR_NOMEM;
	buf_release(&text);
	return rc;
}

static void free_strings(struct conf_strings *list)
{
	for (size_t i = 0; i < list->n; i++)
		mem_free(list->v[i]);
	mem_free(list->v);
}

static void free_pairs(struct conf_pairs *list)
{
	for (size_t i = 0; i < list->n; i++) {
		mem_free(list->names[i]);
		mem_free(list->values[i]);
	}
	mem_free(list->names);
	mem_free(list->values);
}

static void free_section(const struct key_section *s, void *base)
{
	for (const struct conf_key *k = s->keys; k->name; k++) {
		switch (k->type) {
		case KEY_TEXT:
		case KEY_PATH:
		case KEY_TOPIC:
		case KEY_TEMPLATE:
			mem_free(*(char **)keys_field(k, base));
			break;
		case KEY_TEXTS:
		case KEY_PATHS:
			free_strings(keys_field(k, base));
			break;
		case KEY_TEMPLATES:
			free_pairs(keys_field(k, base));
			break;
		case KEY_SECTION:
			free_section(k->section, base);
			break;
		default:	/* no heap */
			break;
		}
	}
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->input_count; i++)
		free_section(&keys_input, &c->inputs[i]);
	mem_free(c->inputs);
	free_section(&keys_top, c);
	free_strings(&c->producer_masked);
	free_strings(&c->files);
	mem_free(c->masked);
	mem_free(c->path);
	mem_free(c);
}

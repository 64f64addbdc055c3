/* input.c - the list of inputs: one by one by the table of keys, then what several of an input's keys must agree on.
 *
 * Invariant: a check looks at what was written (the nodes), not at fields that stayed empty because of another problem: each
 *	mistake is told once.
 * Failure: problems and l->nomem, as in value.c.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "conf/load.h"
#include "conf/template.h"

enum { PLACE_MAX = 400 };

/* One input while it is checked: `words` is what problems call it. */
struct checked {
	struct loader *l;
	struct conf_input *in;
	size_t index;
	const struct yaml_node *node;
	char words[32];
};

static const char *type_name(const struct conf_input *in)
{
	return keys_choice_name(keys_find(&keys_input, "type"), in->type);
}

static bool is_written(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *v = yaml_get(map, key);

	return v && !yaml_is_null(v);
}

/* Where a key's value stands, else the input itself. */
static const struct yaml_node *place(const struct checked *c, const char *key)
{
	const struct yaml_node *v = yaml_get(c->node, key);

	return v ? v : c->node;
}

/* --- the type --- */

/* A type that was refused says nothing of the other keys. */
static bool type_is_known(const struct checked *c)
{
	const struct yaml_node *type = yaml_get(c->node, "type");

	return !type || (type->kind == YAML_SCALAR && !strcmp(type->text, type_name(c->in)));
}

/* "file", "file and stdin" */
static void types_of(const struct conf_key *key, char *buf, size_t n)
{
	size_t len = 0;

	*buf = 0;
	for (const struct key_choice *t = keys_find(&keys_input, "type")->choices; t->name && len < n; t++)
		if (keys_takes(key, (enum conf_input_type)t->value))
			len += (size_t)snprintf(buf + len, n - len, "%s%s", len ? " and " : "", t->name);
}

static void check_type(struct checked *c)
{
	char types[80];

	for (size_t i = 0; i < c->node->count; i++) {
		const struct yaml_node *at = c->node->pairs[i].key;
		const struct conf_key *key = keys_find(&keys_input, at->text);

		if (!key || keys_takes(key, c->in->type))
			continue;
		types_of(key, types, sizeof types);
		load_problem(c->l, at, "\"%s\" is of inputs of type %s, this one is of type %s", key->name, types,
			     type_name(c->in));
	}
	for (const struct conf_key *k = keys_input.keys; k->name; k++)
		if (k->types && k->flags & KEY_REQUIRED && keys_takes(k, c->in->type) && !yaml_get(c->node, k->name))
			load_missing(c->l, c->node, k->name, c->words);
}

static void check_when_full(struct checked *c)
{
	if (c->in->type != CONF_TYPE_FILE && c->in->when_full == CONF_INPUT_WAIT)
		load_problem(c->l, place(c, "when_full"), "\"when_full: wait\" leaves lines in their file, and an input of type "
			     "%s has none", type_name(c->in));
}

/* --- templates of what its records never have --- */

static bool has_file(const struct checked *c)
{
	return c->in->type == CONF_TYPE_FILE;
}

static bool has_stream(const struct checked *c)
{
	const struct yaml_node *v = yaml_get(c->node, "format");

	return v && (v->kind != YAML_SCALAR || strcmp(v->text, "raw"));
}

static bool has_time(const struct checked *c)
{
	return has_stream(c) || yaml_get(c->node, "event_time") || c->in->type == CONF_TYPE_SYSLOG ||
	       c->in->type == CONF_TYPE_JOURNALD;
}

static const struct {
	const char *text;
	bool (*is_there)(const struct checked *c);
	const char *words;
} needs[] = {
	{ "%{path}", has_file, "is of files, and this input has none" },
	{ "%{file}", has_file, "is of files, and this input has none" },
	{ "%{dir}", has_file, "is of files, and this input has none" },
	{ "%{offset}", has_file, "is of files, and this input has none" },
	{ "%{stream}", has_stream, "is of containers' lines, which need format: docker, cri or auto" },
	{ "%{time}", has_time, "needs event_time, or containers' lines (format: docker, cri or auto)" },
};

static void check_template(struct checked *c, const char *tpl, const struct yaml_node *at)
{
	for (size_t i = 0; tpl && i < sizeof needs / sizeof needs[0]; i++)
		if (strstr(tpl, needs[i].text) && !needs[i].is_there(c))
			load_problem(c->l, at, "\"%s\" %s", needs[i].text, needs[i].words);
}

static void check_templates(struct checked *c)
{
	const struct yaml_node *headers = yaml_get(c->node, "headers");

	check_template(c, c->in->topic, place(c, "topic"));
	check_template(c, c->in->key, place(c, "key"));
	for (size_t i = 0; i < c->in->headers.n; i++)
		check_template(c, c->in->headers.values[i], yaml_get(headers, c->in->headers.names[i]));
}

/* --- keys that belong together --- */

static void check_multiline(struct checked *c)
{
	static const char *const patterns[] = { "start", "continue", "end" };
	const struct yaml_node *m = yaml_get(c->node, "multiline");
	bool preset, any = false;

	if (!m || m->kind != YAML_MAP)
		return;
	preset = is_written(m, "preset");
	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
		any |= yaml_get(m, patterns[i]) != NULL;
		if (preset && is_written(m, patterns[i]))
			load_problem(c->l, yaml_get(m, patterns[i]), "\"%s\" and \"preset\": a preset has patterns of its own, "
				     "only one of them can be there", patterns[i]);
	}
	if (!yaml_get(m, "preset") && !any)
		load_problem(c->l, m, "\"multiline\" needs a preset (java, python, go, ruby or dotnet), or a pattern: start, "
			     "continue or end");
}

static void check_event_time(struct checked *c)
{
	const struct yaml_node *e = yaml_get(c->node, "event_time"), *headers = yaml_get(c->node, "headers");

	if (!e || e->kind != YAML_MAP)
		return;
	if (yaml_get(e, "field") && yaml_get(e, "pattern"))
		load_problem(c->l, e, "\"event_time\" takes the time from a field or by a pattern, not from both");
	else if (!yaml_get(e, "field") && !yaml_get(e, "pattern"))
		load_problem(c->l, e, "\"event_time\" needs a field (of a JSON line) or a pattern (its first group is the time)");
	if (headers && yaml_get(headers, "event_time"))
		load_problem(c->l, yaml_get(headers, "event_time"), "the header \"event_time\" is made by the key \"event_time\"");
}

/* Whoever writes the lines would name any topic. */
static void check_topic(struct checked *c)
{
	const struct yaml_node *allowed = yaml_get(c->node, "topics_allowed");
	bool empty = !allowed || yaml_is_null(allowed) || (allowed->kind == YAML_LIST && !allowed->count);

	if (empty && c->in->topic && template_per_record(c->in->topic, true))
		load_problem(c->l, place(c, "topic"), "a topic that comes from what lines hold needs \"topics_allowed\", names or "
			     "globs: whoever writes lines could name any topic");
}

/* --- with the inputs before --- */

static bool same_source(const struct conf_input *a, const struct conf_input *b)
{
	return a->type == b->type && (a->type == CONF_TYPE_STDIN ||
	       (a->type == CONF_TYPE_SYSLOG && a->listen && b->listen && !strcmp(a->listen, b->listen)));
}

/* "line 5", or with the file, if it is another one. */
static const char *where(const struct checked *c, const struct conf_input *other, char *buf, size_t n)
{
	if (other->path == c->in->path)
		snprintf(buf, n, "line %d", other->line);
	else
		snprintf(buf, n, "%s:%d:%d", other->path, other->line, other->column);
	return buf;
}

static void check_source(struct checked *c)
{
	char buf[PLACE_MAX];

	for (size_t i = 0; i < c->index; i++) {
		const struct conf_input *other = &c->l->conf->inputs[i];

		if (!same_source(other, c->in))
			continue;
		load_problem(c->l, place(c, c->in->listen ? "listen" : "type"), "the input in %s reads %s too",
			     where(c, other, buf, sizeof buf), c->in->listen ? "this socket" : "stdin");
		return;
	}
}

/* Without a name: what it reads. */
static void default_name(struct checked *c)
{
	struct conf_input *in = c->in;
	char **from = in->type == CONF_TYPE_FILE && in->paths.n ? &in->paths.v[0] :
		      in->type == CONF_TYPE_SYSLOG ? &in->listen : NULL;
	const char *name = from ? *from : in->type == CONF_TYPE_FILE ? NULL : type_name(in);

	if (in->name || !name)
		return;
	in->name = load_strdup(c->l, name);
	if (from && load_is_masked(c->l->conf, from))
		load_mask(c->l, &in->name);
}

static void check_name(struct checked *c)
{
	struct conf_input *in = c->in;
	char buf[PLACE_MAX];

	for (size_t i = 0; in->name && i < c->index; i++) {
		const struct conf_input *other = &c->l->conf->inputs[i];

		if (!other->name || strcmp(other->name, in->name))
			continue;
		load_problem(c->l, place(c, "name"), "the input in %s has the name \"%.200s\" too",
			     where(c, other, buf, sizeof buf), load_is_masked(c->l->conf, &in->name) ? "***" : in->name);
		return;
	}
}

/* --- the list --- */

/* What people write for the bytes as they are. */
static void name_encoding(struct checked *c)
{
	struct conf_input *in = c->in;

	if (!in->encoding || strcmp(in->encoding, "utf8"))
		return;
	mem_free(in->encoding);
	in->encoding = load_strdup(c->l, "utf-8");
}

static void check_input(struct checked *c)
{
	if (c->node->kind != YAML_MAP)
		return;
	name_encoding(c);
	check_multiline(c);
	check_event_time(c);
	check_topic(c);
	if (!type_is_known(c))
		return;
	check_type(c);
	check_when_full(c);
	check_templates(c);
	default_name(c);
	if (yaml_get(c->node, "type") && c->in->type != CONF_TYPE_FILE)
		check_source(c);
	check_name(c);
}

static void load_input(struct loader *l, size_t index, const struct yaml_node *node)
{
	struct conf_input *in = &l->conf->inputs[index];
	struct checked c = { .l = l, .in = in, .index = index, .node = node };

	in->path = node->path;
	in->line = node->line;
	in->column = node->column;
	snprintf(c.words, sizeof c.words, "inputs[%zu]", index);
	load_defaults(l, &keys_input, in);
	load_section(l, &keys_input, in, c.words, node, node);
	check_input(&c);
}

void load_inputs(struct loader *l, const struct yaml_node *at, const struct yaml_node *list)
{
	struct conf *c = l->conf;

	if (list->kind != YAML_LIST && !yaml_is_null(list)) {
		load_problem(l, list, "\"inputs\" must be a list, each input begins with \"- \"");
		return;
	}
	if (list->count == 0 || list->count > INPUTS_MAX) {
		if (list->count)
			load_problem(l, at, "\"inputs\" must not hold more than %d inputs", INPUTS_MAX);
		else
			load_problem(l, at, "\"inputs\" must not be empty");
		return;
	}
	c->inputs = mem_array(struct conf_input, list->count);
	if (!c->inputs) {
		l->nomem = true;
		return;
	}
	c->input_count = list->count;	/* zeros until they are loaded, which conf_free takes */
	for (size_t i = 0; i < list->count; i++)
		load_input(l, i, list->pairs[i].value);
}

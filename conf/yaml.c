/* yaml.c - YAML text to a tree, through libyaml's events.
 *
 * Why: libyaml's own document tree copies aliases by reference without a bound and forgets where keys stood; and a
 *	configuration needs neither tags nor several documents, so they are refused instead of being half understood.
 *
 * Invariants
 *  (1) A node is on tree->all from its creation, so one loop frees every half-built tree.
 *  (2) weight of the whole, with each alias counted as a copy of its anchor, never exceeds NODES_MAX: whoever walks
 *      the tree recursively does bounded work and needs DEPTH_MAX levels of stack for each alias on the way.
 *  (3) An alias to an open node is refused, so there are no circles.
 * Threads  none of its own, no global state.
 * Failure  the first fault of syntax ends the reading (libyaml cannot go on); repeated keys are collected.
 */
#include "conf/conf.h"
#include "conf/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/mem.h"

enum {
	TEXT_MAX  = 1 << 20,	/* bytes of a configuration */
	NODES_MAX = 20000,
	DEPTH_MAX = 24,
	PAIRS_MAX = 1000,	/* keys of one mapping: repeated ones are found by comparing each with each */
	ANCHORS_MAX = 100,
};

struct reader {
	yaml_parser_t parser;
	const char   *path, *text;
	size_t        n;
	struct yaml_tree *tree;
	size_t        weight;		/* of everything read so far */
	struct conf_problems *problems;
	int           rc;		/* sticky */
};

static struct yaml_node *read_value(struct reader *r, yaml_event_t *e, int depth);

__attribute__((format(printf, 4, 0)))
static void add_problem(struct reader *r, int line, int column, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof text, fmt, ap);
	if (conf_problem_add(r->problems, r->path, line, column, "%s", text))
		r->rc = ERR_NOMEM;
}

__attribute__((format(printf, 4, 5)))
static void problem_at(struct reader *r, int line, int column, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_problem(r, line, column, fmt, ap);
	va_end(ap);
}

/* A problem that ends the reading. */
__attribute__((format(printf, 3, 4)))
static void fail_at(struct reader *r, const yaml_mark_t *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_problem(r, (int)m->line + 1, (int)m->column + 1, fmt, ap);
	va_end(ap);
	if (!r->rc)
		r->rc = ERR_CONFIG;
}

/* Bytes that are no UTF-8 are found by libyaml's reader, which knows the offset only. */
static void place_of_offset(const struct reader *r, size_t offset, int *line, int *column)
{
	*line = *column = 1;
	for (size_t i = 0; i < offset && i < r->n; i++) {
		bool continuation = (r->text[i] & 0xc0) == 0x80;

		if (r->text[i] == '\n') {
			(*line)++;
			*column = 1;
		} else if (!continuation) {
			(*column)++;
		}
	}
}

/* Whether a tab is in the line's indentation. */
static bool indented_by_tab(const struct reader *r, size_t line)
{
	const char *p = r->text, *end = r->text + r->n;

	for (; line && p; line--) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (p)
			p++;
	}
	while (p && p < end && *p == ' ')
		p++;
	return p && p < end && *p == '\t';
}

/* What people most often did where libyaml's words do not say it. */
static const char *syntax_advice(const struct reader *r)
{
	const yaml_parser_t *p = &r->parser;

	if (indented_by_tab(r, p->problem_mark.line))
		return " (indent with spaces, not tabs)";
	if (p->context && (!strcmp(p->context, "while scanning an alias") ||
			   !strcmp(p->context, "while scanning an anchor")))
		return " (a value that begins with * or & needs quotes)";
	return "";
}

static void syntax_problem(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	int line, column;

	if (p->error == YAML_MEMORY_ERROR) {
		r->rc = ERR_NOMEM;
		return;
	}
	if (p->error == YAML_READER_ERROR) {
		place_of_offset(r, p->problem_offset, &line, &column);
		problem_at(r, line, column, "not YAML: %s", p->problem);
	} else {
		problem_at(r, (int)p->problem_mark.line + 1, (int)p->problem_mark.column + 1, "not YAML: %s%s%s%s",
			   p->problem, p->context ? " " : "", p->context ? p->context : "",
			   syntax_advice(r));
	}
	if (!r->rc)
		r->rc = ERR_CONFIG;
}

/* The caller deletes *e when this was good. */
static int next_event(struct reader *r, yaml_event_t *e)
{
	if (!r->rc && !yaml_parser_parse(&r->parser, e))
		syntax_problem(r);
	return r->rc;
}

static int count_weight(struct reader *r, const yaml_mark_t *at, size_t weight)
{
	r->weight += weight;
	if (r->weight > NODES_MAX)
		fail_at(r, at, "too many values (an alias counts as a copy)");
	return r->rc;
}

static struct yaml_node *new_node(struct reader *r, const yaml_event_t *e, enum yaml_kind kind)
{
	struct yaml_node *node;

	if (count_weight(r, &e->start_mark, 1))
		return NULL;
	node = mem_new(struct yaml_node);
	if (!node) {
		r->rc = ERR_NOMEM;
		return NULL;
	}
	node->kind = kind;
	node->path = r->path;
	node->line = (int)e->start_mark.line + 1;
	node->column = (int)e->start_mark.column + 1;
	node->weight = 1;
	node->next = r->tree->all;
	r->tree->all = node;
	return node;
}

static void set_anchor(struct reader *r, const yaml_event_t *e, struct yaml_node *node, const yaml_char_t *anchor)
{
	if (!anchor)
		return;
	if (++r->tree->anchors > ANCHORS_MAX) {
		fail_at(r, &e->start_mark, "too many anchors");
		return;
	}
	node->anchor = mem_strdup((const char *)anchor);
	if (!node->anchor)
		r->rc = ERR_NOMEM;
}

static void refuse_tag(struct reader *r, const yaml_event_t *e, const yaml_char_t *tag)
{
	if (tag)
		fail_at(r, &e->start_mark, "tag \"%.100s\" is not supported, leave it out", (const char *)tag);
}

static struct yaml_node *read_scalar(struct reader *r, yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	size_t n = e->data.scalar.length;
	struct yaml_node *node = new_node(r, e, YAML_SCALAR);

	if (!node)
		return NULL;
	node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->text = mem_strndup(text, n);
	if (!node->text)
		r->rc = ERR_NOMEM;
	else if (memchr(text, 0, n))
		fail_at(r, &e->start_mark, "a value cannot hold a NUL byte");
	refuse_tag(r, e, e->data.scalar.tag);
	set_anchor(r, e, node, e->data.scalar.anchor);
	return node;
}

static int add_pair(struct reader *r, struct yaml_node *node, struct yaml_node *key, struct yaml_node *value)
{
	struct yaml_pair *pairs = mem_grow(node->pairs, node->count, sizeof *pairs);

	if (!pairs)
		return r->rc = ERR_NOMEM;
	node->pairs = pairs;
	node->pairs[node->count++] = (struct yaml_pair){ key, value };
	node->weight += value->weight + (key ? 1 : 0);
	return 0;
}

static void read_list(struct reader *r, struct yaml_node *list, int depth)
{
	yaml_event_t e;

	for (;;) {
		struct yaml_node *value;
		bool end;

		if (next_event(r, &e))
			return;
		end = e.type == YAML_SEQUENCE_END_EVENT;
		value = end ? NULL : read_value(r, &e, depth + 1);
		yaml_event_delete(&e);
		if (end || r->rc || add_pair(r, list, NULL, value))
			return;
	}
}

static struct yaml_node *read_key(struct reader *r, yaml_event_t *e)
{
	if (e->type == YAML_SCALAR_EVENT)
		return read_scalar(r, e);
	fail_at(r, &e->start_mark, "a key must be a single word");
	return NULL;
}

static void add_unique(struct reader *r, struct yaml_node *map, struct yaml_node *key, struct yaml_node *value)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct yaml_node *k = map->pairs[i].key;

		if (strcmp(k->text, key->text))
			continue;
		problem_at(r, key->line, key->column, "key \"%.100s\" is repeated (first in line %d)", key->text,
			   k->line);
		return;
	}
	add_pair(r, map, key, value);
}

static void read_map(struct reader *r, struct yaml_node *map, int depth)
{
	yaml_event_t e;

	while (!next_event(r, &e)) {
		struct yaml_node *key, *value;
		bool end = e.type == YAML_MAPPING_END_EVENT;

		if (!end && map->count == PAIRS_MAX)
			fail_at(r, &e.start_mark, "too many keys");
		key = end || r->rc ? NULL : read_key(r, &e);
		yaml_event_delete(&e);
		if (end || r->rc || next_event(r, &e))
			return;
		value = read_value(r, &e, depth + 1);
		yaml_event_delete(&e);
		if (r->rc)
			return;
		add_unique(r, map, key, value);
	}
}

static struct yaml_node *read_collection(struct reader *r, yaml_event_t *e, int depth)
{
	bool is_map = e->type == YAML_MAPPING_START_EVENT;
	struct yaml_node *node = new_node(r, e, is_map ? YAML_MAP : YAML_LIST);

	if (!node)
		return NULL;
	refuse_tag(r, e, is_map ? e->data.mapping_start.tag : e->data.sequence_start.tag);
	set_anchor(r, e, node, is_map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor);
	if (depth >= DEPTH_MAX)
		fail_at(r, &e->start_mark, "nested too deeply");
	if (r->rc)
		return NULL;
	node->open = true;
	if (is_map)
		read_map(r, node, depth);
	else
		read_list(r, node, depth);
	node->open = false;
	return node;
}

static struct yaml_node *read_alias(struct reader *r, yaml_event_t *e)
{
	const char *name = (const char *)e->data.alias.anchor;

	for (struct yaml_node *n = r->tree->all; n; n = n->next) {
		if (!n->anchor || strcmp(n->anchor, name))
			continue;
		if (n->open)
			fail_at(r, &e->start_mark, "an alias inside its own anchor");
		else
			count_weight(r, &e->start_mark, n->weight);
		return n;
	}
	fail_at(r, &e->start_mark,
		"no anchor \"&%.100s\" before this alias (a value that begins with * needs quotes)", name);
	return NULL;
}

/* NULL or a broken node only with r->rc set. */
static struct yaml_node *read_value(struct reader *r, yaml_event_t *e, int depth)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(r, e);
	case YAML_ALIAS_EVENT:
		return read_alias(r, e);
	default:		/* the grammar leaves nothing else here */
		return read_collection(r, e, depth);
	}
}

/* stream-start, document-start, value, document-end, stream-end; or stream-start, stream-end. */
static void read_stream(struct reader *r)
{
	yaml_event_type_t type = YAML_NO_EVENT;

	while (!r->rc && type != YAML_STREAM_END_EVENT) {
		yaml_event_t e;

		if (next_event(r, &e))
			return;
		type = e.type;
		if (type == YAML_DOCUMENT_START_EVENT && r->tree->root)
			fail_at(r, &e.start_mark, "a second document; one file holds one configuration");
		else if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT ||
			 type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT)
			r->tree->root = read_value(r, &e, 0);
		yaml_event_delete(&e);
	}
}

int yaml_tree_parse(const char *path, const char *text, size_t n, struct yaml_tree **ret_y,
		    struct conf_problems *problems)
{
	struct reader r = { .path = path, .text = text, .n = n, .problems = problems };

	if (n > TEXT_MAX) {
		problem_at(&r, 1, 1, "larger than 1MiB");
		return r.rc ? r.rc : ERR_CONFIG;
	}
	r.tree = mem_new(struct yaml_tree);
	if (!r.tree || !yaml_parser_initialize(&r.parser)) {
		mem_free(r.tree);
		return ERR_NOMEM;
	}
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	read_stream(&r);
	yaml_parser_delete(&r.parser);
	if (r.rc) {
		yaml_tree_free(r.tree);
		return r.rc;
	}
	*ret_y = r.tree;
	return 0;
}

void yaml_tree_free(struct yaml_tree *y)
{
	struct yaml_node *next;

	if (!y)
		return;
	for (struct yaml_node *n = y->all; n; n = next) {
		next = n->next;
		mem_free(n->text);
		mem_free(n->pairs);
		mem_free(n->anchor);
		mem_free(n);
	}
	mem_free(y);
}

bool yaml_is_null(const struct yaml_node *n)
{
	return n->kind == YAML_SCALAR && !n->quoted &&
	       (!*n->text || !strcmp(n->text, "~") || !strcmp(n->text, "null"));
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	for (size_t i = 0; i < map->count; i++)
		if (map->kind == YAML_MAP && !strcmp(map->pairs[i].key->text, key))
			return map->pairs[i].value;
	return NULL;
}

const char *conf_yaml_version(void)
{
	return yaml_get_version_string();
}

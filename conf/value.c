/* value.c - one key's value: expanded, checked by its line in the table, stored in its field.
 *
 * Invariants
 *  (1) A field is set only from a value without a problem; each problem stands at the value, or at the key if there
 *      is none.
 *  (2) A secret value never appears in a problem's words; its field is in conf->masked.
 * Failure  problems and l->nomem; nothing returns an error, so that one run finds everything.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/units.h"
#include "conf/check.h"
#include "conf/interpolate.h"
#include "conf/load.h"
#include "conf/path.h"
#include "conf/problem.h"
#include "conf/template.h"

enum {
	VALUE_MAX = 256 * 1024,
	HEADER_MAX = 249,			/* of a header: a longer one is a mistake, and YAML in one line could not show it */
};

void load_problem(struct loader *l, const struct yaml_node *at, const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (conf_problem_add(l->problems, l->path, at->line, at->column, "%s", text))
		l->nomem = true;
}

/* The words of a failed check; for a secret value they would show parts of it. */
static void check_problem(struct loader *l, const struct conf_key *key, const struct yaml_node *v, int rc,
			  const struct err *err)
{
	if (rc == ERR_NOMEM)
		l->nomem = true;
	else if (v->masked)
		load_problem(l, v, "\"%s\" has a bad value (it is secret and not shown)", key->name);
	else
		load_problem(l, v, "%s", err->text);
}

char *load_strdup(struct loader *l, const char *s)
{
	char *copy = mem_strdup(s);

	if (!copy)
		l->nomem = true;
	return copy;
}

void load_mask(struct loader *l, const void *field)
{
	struct conf *c = l->conf;
	const void **v = mem_grow(c->masked, c->masked_count, sizeof *v);

	if (!v) {
		l->nomem = true;
		return;
	}
	c->masked = v;
	c->masked[c->masked_count++] = field;
}

bool load_is_masked(const struct conf *c, const void *field)
{
	for (size_t i = 0; i < c->masked_count; i++)
		if (c->masked[i] == field)
			return true;
	return false;
}

const char *load_shown(const struct yaml_node *scalar)
{
	return scalar->masked ? "***" : scalar->text;
}

static int expand(struct yaml_node *s, struct err *ret_err)
{
	struct buf b;
	char *text;
	int rc;

	buf_init(&b, VALUE_MAX);
	rc = interpolate(s->text, &b, &s->masked, ret_err);
	text = rc ? NULL : b.len ? buf_detach(&b) : mem_strdup("");
	buf_release(&b);
	if (rc == ERR_CONFIG)
		return rc;
	if (!text)
		return ERR_NOMEM;
	mem_free(s->text);
	s->text = text;
	s->quoted = true;
	return 0;
}

const char *load_text(struct loader *l, struct yaml_node *scalar)
{
	struct err err;
	int rc;

	if (!scalar->expanded && interpolate_needed(scalar->text)) {
		rc = expand(scalar, &err);
		scalar->bad = rc != 0;
		if (rc == ERR_NOMEM)
			l->nomem = true;
		else if (rc)
			load_problem(l, scalar, "%s", err.text);
	}
	scalar->expanded = true;
	return scalar->bad ? NULL : scalar->text;
}

/* "a", "a or b", "a, b or c" */
static void join_names(char *buf, size_t n, const char *const *names)
{
	size_t len = 0;

	*buf = 0;
	for (size_t i = 0; names[i] && len < n; i++)
		len += (size_t)snprintf(buf + len, n - len, "%s%s", i == 0 ? "" : names[i + 1] ? ", " : " or ",
					names[i]);
}

static void soon_problem(struct loader *l, const struct conf_key *key, const struct yaml_node *v)
{
	load_problem(l, v, "\"%s: %.80s\" is not supported yet", key->name, load_shown(v));
}

/* "10GB": the unit that was meant. */
static const char *unit_hint(char *buf, size_t n, const char *text)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;

	*buf = 0;
	unit += strspn(unit, " ");
	if (digits && digits < 20 && *unit && strchr("kKmMgGtT", *unit) &&
	    (!unit[1] || !strcmp(unit + 1, "B") || !strcmp(unit + 1, "iB")))
		snprintf(buf, n, " (did you mean \"%.*s%ciB\"?)", (int)digits, text, *unit & ~0x20);
	return buf;
}

static const struct key_choice *find_choice(const struct conf_key *key, const char *text)
{
	for (const struct key_choice *c = key->choices; c && c->name; c++)
		if (!strcmp(c->name, text))
			return c;
	return NULL;
}

/* Takes `text`, also when it is NULL. */
static void put_text(struct loader *l, const struct conf_key *key, void *base, char *text)
{
	char **field = keys_field(key, base);

	if (!text) {
		l->nomem = true;
		return;
	}
	mem_free(*field);
	*field = text;
}

static void set_choice(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	const struct key_choice *c = find_choice(key, v->text);
	const char *names[KEYS_MAX];
	char hint[HINT_MAX], all[200];

	if (!c && key->flags & KEY_REST_SOON) {
		soon_problem(l, key, v);
	} else if (c && key->type == KEY_TEXT) {
		put_text(l, key, base, mem_strdup(c->name));
	} else if (c) {
		keys_put_number(key, base, c->value);
	} else {
		keys_choice_names(key, names);
		join_names(all, sizeof all, names);
		problem_hint(hint, sizeof hint, v->text, names);
		load_problem(l, v, "\"%s\" must be %s, not \"%.80s\"%s", key->name, all, load_shown(v),
			     v->masked ? "" : hint);
	}
}

/* Decimal, all of it. */
static bool parse_number(const char *s, int64_t *ret)
{
	char *end;

	if (!(*s >= '0' && *s <= '9') && *s != '-')
		return false;
	errno = 0;
	*ret = strtoll(s, &end, 10);
	return end > s && !*end && !errno;
}

static int parse_by_type(const struct conf_key *key, const char *text, int64_t *ret)
{
	switch (key->type) {
	case KEY_SIZE:
		return units_parse_size(text, ret);
	case KEY_TIME:
		return units_parse_time(text, 0, ret);
	default:
		return parse_number(text, ret) ? 0 : ERR_BAD_DATA;
	}
}

static void wrong_number(struct loader *l, const struct conf_key *key, const struct yaml_node *v)
{
	const char *names[KEYS_MAX], *example = key->example ? key->example : key->def;
	char hint[HINT_MAX] = "", wanted[100] = "";
	int n;

	keys_choice_names(key, names);
	n = snprintf(wanted, sizeof wanted, "%s%s", names[0] ? names[0] : "", names[0] ? " or " : "");
	if (key->type == KEY_SIZE) {
		snprintf(wanted + n, sizeof wanted - (size_t)n, "a size such as %s", example);
		unit_hint(hint, sizeof hint, v->text);
	} else {
		snprintf(wanted + n, sizeof wanted - (size_t)n, key->type == KEY_TIME ? "a time such as %s" : "a number%s",
			 key->type == KEY_TIME ? example : "");
		problem_hint(hint, sizeof hint, v->text, names);
	}
	load_problem(l, v, "\"%s\" must be %s, not \"%.80s\"%s", key->name, wanted, load_shown(v),
		     v->masked ? "" : hint);
}

static const char *print_by_type(const struct conf_key *key, char *buf, size_t n, int64_t value)
{
	if (key->type == KEY_SIZE)
		return units_print_size(buf, n, value);
	if (key->type == KEY_TIME)
		return units_print_time(buf, n, value);
	snprintf(buf, n, "%" PRId64, value);
	return buf;
}

static void out_of_range(struct loader *l, const struct conf_key *key, const struct yaml_node *v)
{
	char min[32], max[32];

	print_by_type(key, min, sizeof min, key->min);
	print_by_type(key, max, sizeof max, key->max);
	if (key->max == key->min)
		load_problem(l, v, "\"%s\" must be %s, not %.80s", key->name, min, load_shown(v));
	else if (key->max == INT64_MAX)
		load_problem(l, v, "\"%s\" must be at least %s, not %.80s", key->name, min, load_shown(v));
	else
		load_problem(l, v, "\"%s\" must be between %s and %s, not %.80s", key->name, min, max,
			     load_shown(v));
}

static void set_number(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	const struct key_choice *c = find_choice(key, v->text);
	bool is_default = v->line == 0;		/* ours may stand outside of the bounds, for "absent" */
	int64_t n = c ? c->value : 0;

	if (!c && parse_by_type(key, v->text, &n))
		wrong_number(l, key, v);
	else if (!c && !is_default && n > key->max && key->flags & KEY_REST_SOON)
		soon_problem(l, key, v);
	else if (!c && !is_default && (n < key->min || n > key->max))
		out_of_range(l, key, v);
	else
		keys_put_number(key, base, n);
}

static void set_path(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	struct err err;
	char *path = NULL;
	int rc = path_absolute(v->text, false, &path, &err);

	if (rc)
		check_problem(l, key, v, rc, &err);
	else
		put_text(l, key, base, path);
}

static void set_template(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	struct err err;
	int rc = template_check(v->text, key->type == KEY_TOPIC, &err);

	if (rc)
		check_problem(l, key, v, rc, &err);
	else if (*v->text)		/* empty: as if absent */
		put_text(l, key, base, mem_strdup(v->text));
}

static void set_text(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	struct err err;
	int rc = key->check ? key->check(v->text, &err) : 0;
	char *text;

	if (rc) {
		check_problem(l, key, v, rc, &err);
		return;
	}
	text = mem_strdup(v->text);
	for (char *p = text; p && *p && key->flags & KEY_LOWER; p++)
		*p = (char)tolower((unsigned char)*p);
	put_text(l, key, base, text);
}

static void set_scalar(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	switch (key->type) {
	case KEY_CHOICE:
		set_choice(l, key, base, v);
		break;
	case KEY_SIZE:
	case KEY_TIME:
	case KEY_NUMBER:
		set_number(l, key, base, v);
		break;
	case KEY_PATH:
		set_path(l, key, base, v);
		break;
	case KEY_TOPIC:
	case KEY_TEMPLATE:
		set_template(l, key, base, v);
		break;
	default:
		if (key->choices)
			set_choice(l, key, base, v);
		else
			set_text(l, key, base, v);
	}
	if (v->masked && key->size)
		load_mask(l, keys_field(key, base));
}

static void load_scalar(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *at,
			struct yaml_node *v)
{
	bool is_text = key->type == KEY_TEXT || key->type == KEY_PATH || key->type == KEY_TOPIC;
	const char *text;

	if (v->kind != YAML_SCALAR) {
		load_problem(l, v, "\"%s\" must be a single value", key->name);
		return;
	}
	if (yaml_is_null(v)) {
		if (key->type != KEY_TEMPLATE)
			load_problem(l, at, "\"%s\" has no value", key->name);
		return;
	}
	text = load_text(l, v);
	if (!text)
		return;
	if (!*text && is_text)
		load_problem(l, v, "\"%s\" must not be empty", key->name);
	else
		set_scalar(l, key, base, v);
}

/* An exclude pattern without a slash is for names; one that begins with a glob character can match anywhere. */
static bool is_relative_glob(const struct conf_key *key, const char *s)
{
	return key->type == KEY_PATHS || (key->check == check_glob && strchr(s, '/') && !strchr("*?[", *s));
}

/* Takes what is in the field, whatever becomes of it. */
static int set_element(const struct conf_key *key, const char *text, char **slot, struct err *ret_err)
{
	int rc = 0;

	if (is_relative_glob(key, text))
		rc = path_absolute(text, true, slot, ret_err);
	else if (!(*slot = mem_strdup(text)))
		rc = ERR_NOMEM;
	if (!rc && key->type == KEY_PATHS)
		rc = path_check_glob(*slot, ret_err);
	else if (!rc && key->check)
		rc = key->check(text, ret_err);
	return rc;
}

static void load_element(struct loader *l, const struct conf_key *key, struct conf_strings *list, struct yaml_node *v)
{
	char **slot = &list->v[list->n];
	const char *text;
	struct err err;
	int rc = 0;

	if (v->kind != YAML_SCALAR) {
		load_problem(l, v, "\"%s\" must be a list of single values", key->name);
		return;
	}
	text = load_text(l, v);
	if (!text)
		return;
	if (!*text || yaml_is_null(v)) {
		load_problem(l, v, "\"%s\" must not hold an empty value", key->name);
		return;
	}
	*slot = NULL;
	rc = set_element(key, text, slot, &err);
	list->n += *slot != NULL;
	if (rc)
		check_problem(l, key, v, rc, &err);
	else if (v->masked)
		load_mask(l, slot);
}

static void load_list(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *at,
		      struct yaml_node *v)
{
	struct conf_strings *list = keys_field(key, base);
	struct yaml_pair one = { NULL, v };
	const struct yaml_pair *pairs = v->kind == YAML_LIST ? v->pairs : &one;
	size_t n = v->kind == YAML_LIST ? v->count : !yaml_is_null(v);

	if (v->kind == YAML_MAP) {
		load_problem(l, v, "\"%s\" must be a list", key->name);
		return;
	}
	if (n == 0) {
		if (key->flags & KEY_REQUIRED)
			load_problem(l, at, "\"%s\" must not be empty", key->name);
		return;
	}
	list->v = mem_array(char *, n);
	if (!list->v)
		l->nomem = true;
	for (size_t i = 0; list->v && i < n; i++)
		load_element(l, key, list, pairs[i].value);
}

static void load_template(struct loader *l, struct conf_pairs *list, const struct yaml_pair *p)
{
	char **name = &list->names[list->n], **value = &list->values[list->n];
	const char *text = p->value->kind == YAML_SCALAR && !yaml_is_null(p->value) ? load_text(l, p->value) : NULL;
	struct err err;
	int rc;

	if (p->value->kind != YAML_SCALAR)
		load_problem(l, p->value, "\"%.80s\" must be a single value", p->key->text);
	else if (yaml_is_null(p->value))
		load_problem(l, p->key, "\"%.80s\" has no value", p->key->text);
	if (!*p->key->text || strlen(p->key->text) > HEADER_MAX)
		load_problem(l, p->key, "a name has 1 to %d bytes", HEADER_MAX);
	if (!text)
		return;
	rc = template_check(text, false, &err);
	if (rc == ERR_NOMEM)
		l->nomem = true;
	else if (rc)
		load_problem(l, p->value, "%s", p->value->masked ? "a bad value (it is secret and not shown)" : err.text);
	*name = load_strdup(l, p->key->text);
	*value = load_strdup(l, text);
	list->n++;
	if (p->value->masked)
		load_mask(l, value);
}

static void load_templates(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	struct conf_pairs *list = keys_field(key, base);

	if (yaml_is_null(v) || (v->kind == YAML_MAP && !v->count))
		return;
	if (v->kind != YAML_MAP) {
		load_problem(l, v, "\"%s\" must be a section of names and values", key->name);
		return;
	}
	list->names = mem_array(char *, v->count);
	list->values = mem_array(char *, v->count);
	if (!list->names || !list->values)
		l->nomem = true;
	for (size_t i = 0; list->names && list->values && i < v->count; i++)
		load_template(l, list, &v->pairs[i]);
}

void load_value(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *at,
		struct yaml_node *value)
{
	if (key->set_offset)
		*(bool *)((char *)base + key->set_offset) = true;
	if (key->type == KEY_TEXTS || key->type == KEY_PATHS)
		load_list(l, key, base, at, value);
	else if (key->type == KEY_TEMPLATES)
		load_templates(l, key, base, value);
	else
		load_scalar(l, key, base, at, value);
}

void load_default(struct loader *l, const struct conf_key *key, void *base)
{
	struct yaml_node n = { .kind = YAML_SCALAR, .quoted = true, .expanded = true };

	if (!key->def)
		return;
	n.text = load_strdup(l, key->def);
	if (n.text)
		set_scalar(l, key, base, &n);
	mem_free(n.text);
}

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
#include "conf/interpolate.h"
#include "conf/load.h"
#include "conf/path.h"
#include "conf/problem.h"
#include "conf/template.h"

enum { VALUE_MAX = 256 * 1024 };

void load_problem(struct loader *l, const struct yaml_node *at, const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (conf_problem_add(l->problems, at->path ? at->path : l->path, at->line, at->column, "%s", text))
		l->nomem = true;
}

void load_refused(struct loader *l, const char *name, const struct yaml_node *v, int rc, const struct err *err)
{
	if (rc == ERR_NOMEM)
		l->nomem = true;
	else if (v->masked)
		load_problem(l, v, "\"%s\" has a bad value (it is secret and not shown)", name);
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

char *load_add(struct loader *l, struct conf_strings *list, const char *s)
{
	char **v = mem_grow(list->v, list->n, sizeof *v);

	if (!v) {
		l->nomem = true;
		return NULL;
	}
	list->v = v;
	v[list->n] = load_strdup(l, s);
	return v[list->n] ? v[list->n++] : NULL;
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
		load_refused(l, key->name, v, rc, &err);
	else
		put_text(l, key, base, path);
}

static void set_template(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	struct err err;
	int rc = template_check(v->text, key->type == KEY_TOPIC, &err);

	if (rc)
		load_refused(l, key->name, v, rc, &err);
	else if (*v->text)		/* empty: as if absent */
		put_text(l, key, base, mem_strdup(v->text));
}

static void set_text(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
{
	struct err err;
	int rc = key->check ? key->check(v->text, &err) : 0;
	char *text;

	if (rc) {
		load_refused(l, key->name, v, rc, &err);
		return;
	}
	if (key->flags & KEY_OFF && !strcmp(v->text, "off"))
		return;		/* the field is NULL */
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

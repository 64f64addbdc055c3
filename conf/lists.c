/* lists.c - values of several parts: lists of texts and globs, mappings of names to templates.
 *
 * Invariant: a list counts only what is whole, so it can be freed and looked at after any problem.
 * Failure: problems and l->nomem, as in value.c.
 */
#include <string.h>

#include "agent/base/mem.h"
#include "conf/check.h"
#include "conf/load.h"
#include "conf/path.h"
#include "conf/template.h"

/* An exclude pattern without a slash is for names; one that begins with a glob character can match anywhere. */
static bool is_relative_glob(const struct conf_key *key, const char *s)
{
	return key->type == KEY_PATHS || (key->check == check_glob && strchr(s, '/') && !strchr("*?[", *s));
}

/* Takes what is in the field, whatever becomes of it. */
static int set_element(const struct loader *l, const struct conf_key *key, const char *text, char **slot, struct err *ret_err)
{
	int rc = 0;

	if (key->flags & KEY_BESIDE)
		rc = path_beside(l->path, text, slot, ret_err);
	else if (is_relative_glob(key, text))
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
	rc = set_element(l, key, text, slot, &err);
	list->n += *slot != NULL;
	if (rc)
		load_refused(l, key->name, v, rc, &err);
	if (v->masked && *slot)
		load_mask(l, slot);
}

void load_list(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *at, struct yaml_node *v)
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
	if (rc)
		load_refused(l, p->key->text, p->value, rc, &err);
	*name = load_strdup(l, p->key->text);
	*value = *name ? load_strdup(l, text) : NULL;
	if (!*value) {			/* what the list counts is whole */
		mem_free(*name);
		return;
	}
	list->n++;
	if (p->value->masked)
		load_mask(l, value);
}

void load_templates(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v)
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

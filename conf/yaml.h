/* yaml.h - YAML text as a tree of nodes that know where they stood. The only user of libyaml (inside yaml.c).
 *
 * Promise: a tree is small (see the caps in yaml.c), its mappings have plain unique keys, its scalars hold no NUL.
 * Names: yaml_tree_free is not yaml_free because libyaml has an unlisted one, which would then be ours.
 * Ownership: struct yaml_tree owns all nodes. An alias is the anchor's node again: nodes may be shared, never circular.
 */
#ifndef SPILLWAY_CONF_YAML_H
#define SPILLWAY_CONF_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node;
struct yaml_pair { struct yaml_node *key, *value; };	/* key NULL: an element of a list */

struct yaml_node {
	enum yaml_kind kind;
	const char *path;		/* of the file; whoever parsed it keeps it */
	int    line, column;		/* from 1 */
	char  *text;			/* scalar, never NULL there */
	bool   quoted;			/* "", "~" and "null" are text then; bare they are no value */
	struct yaml_pair *pairs;	/* list and map */
	size_t count;
	/* Belong to the reader of the values, see load_text: ${...} was replaced; by a secret; could not be. */
	bool   expanded, masked, bad;
	/* Inside yaml.c. */
	size_t weight;			/* nodes below and including this one, aliases counted in full */
	bool   open;			/* its end was not read yet */
	char  *anchor;
	struct yaml_node *next;
};

struct yaml_tree {
	struct yaml_node *root;		/* NULL: an empty document */
	struct yaml_node *all;		/* newest first */
	size_t anchors;
	struct yaml_tree *more;		/* for whoever has several */
};

/* 0 and *ret_y, with a problem for each repeated key; ERR_CONFIG and a problem when this is no YAML or too much of it;
 * ERR_NOMEM. `path` only names the text; nodes point to it. */
int  yaml_tree_parse(const char *path, const char *text, size_t n, struct yaml_tree **ret_y,
		     struct conf_problems *problems);
void yaml_tree_free(struct yaml_tree *y);

/* No value was written: `key:` alone, `~` or `null`. */
bool yaml_is_null(const struct yaml_node *n);
/* The value of a key, or NULL. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

#endif

/* load.h - inside conf/: what conf.c (sections), input.c (inputs), value.c and lists.c (keys) share while one file is read. */
#ifndef SPILLWAY_CONF_LOAD_H
#define SPILLWAY_CONF_LOAD_H

#include <stdbool.h>

#include "conf/conf.h"
#include "conf/keys.h"
#include "conf/yaml.h"

struct loader {
	const char *path;		/* of the file that was named */
	bool follow;			/* what it includes is read */
	struct yaml_tree *trees;	/* of all files, the last one first */
	const struct conf_hooks *hooks;	/* may be NULL */
	struct conf *conf;		/* being filled */
	struct conf_problems *problems;
	bool nomem;			/* sticky; what follows may be skipped */
};

/* Sets the fields of a section and of those inside. `in` names it in problems, "" for the top; `at` is where it stands. */
void load_section(struct loader *l, const struct key_section *s, void *base, const char *in, const struct yaml_node *at,
		  const struct yaml_node *map);
void load_defaults(struct loader *l, const struct key_section *s, void *base);
void load_missing(struct loader *l, const struct yaml_node *at, const char *name, const char *in);
/* The text of a file. 0, -errno or ERR_NOMEM; `out` is to be released in any case. A pipe is fine too. files.c. */
int  files_read(const char *path, struct buf *out);
/* Reads what the key `include` names and merges it into the tree of the file that was named; problems, or nomem. */
void files_include(struct loader *l, struct yaml_node *root);
/* The list of inputs: input.c. */
void load_inputs(struct loader *l, const struct yaml_node *at, const struct yaml_node *list);

/* Sets the field of `key` in `base` from a value, or adds a problem. `at` is where the key stands. */
void load_value(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *at,
		struct yaml_node *value);
/* The same for values of several parts: lists.c. */
void load_list(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *at, struct yaml_node *v);
void load_templates(struct loader *l, const struct conf_key *key, void *base, const struct yaml_node *v);
/* Sets the field to the key's default; one without default is left alone. */
void load_default(struct loader *l, const struct conf_key *key, void *base);

/* The scalar's text with ${...} replaced (once, however often the node is used). NULL: a problem, or nomem. */
const char *load_text(struct loader *l, struct yaml_node *scalar);
/* The text for people: "***" when it is secret. */
const char *load_shown(const struct yaml_node *scalar);

/* Appends the subtree as compact JSON; *ret_masked is set when a part of it is secret. False: problems, or nomem. */
bool load_json(struct loader *l, struct yaml_node *v, struct buf *out, bool *ret_masked);

void load_problem(struct loader *l, const struct yaml_node *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A check of `name` said no, with its words; for a secret value they would show parts of it. Also ERR_NOMEM. */
void load_refused(struct loader *l, const char *name, const struct yaml_node *v, int rc, const struct err *err);
/* Remembers that the text of a field is secret. */
void load_mask(struct loader *l, const void *field);
bool load_is_masked(const struct conf *c, const void *field);
/* A copy, or NULL and nomem; the second one is owned by the list, at its end. */
char *load_strdup(struct loader *l, const char *s);
char *load_add(struct loader *l, struct conf_strings *list, const char *s);

#endif

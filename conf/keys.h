/* keys.h - inside conf/: the table of all keys. Loading, defaults, hints, printing and freeing follow it. */
#ifndef SPILLWAY_CONF_KEYS_H
#define SPILLWAY_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

enum key_type {
	KEY_TEXT,		/* char *; with `choices` one of their names */
	KEY_PATH,		/* char *, made absolute */
	KEY_TOPIC,		/* char *, a template that makes a topic */
	KEY_TEMPLATE,		/* char *, NULL when empty */
	KEY_TEXTS,		/* struct conf_strings; one single value is a list of one */
	KEY_PATHS,		/* struct conf_strings of globs, made absolute */
	KEY_TEMPLATES,		/* struct conf_pairs: a mapping of names to templates */
	KEY_SIZE,		/* int64_t, bytes */
	KEY_TIME,		/* int64_t, milliseconds */
	KEY_NUMBER,		/* int32_t or int64_t; `choices` are words for special numbers */
	KEY_CHOICE,		/* enum or bool, one of `choices` */
	KEY_SECTION,		/* a mapping of `section`'s keys, in the same struct; not printed while all of it is unset */
	KEY_INPUTS,		/* the list of inputs */
	KEY_PRODUCER,		/* handed to the hooks, see conf.c */
};

struct key_choice { const char *name; int value; };

enum key_flags {
	KEY_REQUIRED = 1,
	KEY_REST_SOON = 2,	/* what is no choice (or above max) is not wrong, but not supported yet */
	KEY_LOWER = 4,		/* a text that is kept in lower case */
	KEY_OFF = 8,		/* a text for which the word "off" is NULL */
	KEY_BESIDE = 16,	/* paths that are relative to the file in which they stand */
};

struct conf_key {
	const char *name;
	const char *doc;			/* what it does, in one sentence or two: for the schema and the manual */
	enum key_type type;
	unsigned flags;
	const char *def;			/* default, as written; NULL: the field stays 0, see also conf.c */
	const char *example;			/* for problems; NULL: the default is one */
	int64_t min, max;			/* SIZE, TIME, NUMBER */
	const struct key_choice *choices;	/* ends with name NULL */
	const struct key_section *section;
	int       (*check)(const char *text, struct err *ret_err);	/* of a text, or of each in a list; NULL: any is fine */
	unsigned types;				/* of inputs that take it, KEY_TYPE(CONF_TYPE_...); 0: all */
	size_t offset, size;			/* of the field; size 0: there is only one value, nothing to store */
	size_t set_offset;			/* of a bool that tells whether the key was written; 0: none */
};
#define KEY_TYPE(type) (1u << (type))

struct key_section {
	const struct conf_key *keys;		/* ends with name NULL */
};

extern const struct key_section keys_top, keys_input;

enum {
	INPUTS_MAX = 1000,
	HEADER_MAX = 249,	/* bytes of a name: a longer one is a mistake, and could not be printed as a key of YAML */
};

/* NULL when unknown. */
const struct conf_key *keys_find(const struct key_section *s, const char *name);
/* Whether inputs of a type take the key. */
static inline bool keys_takes(const struct conf_key *k, enum conf_input_type type)
{
	return !k->types || k->types & KEY_TYPE(type);
}
/* The word of a choice's number, or NULL. */
const char *keys_choice_name(const struct conf_key *k, int64_t value);
/* NULL-terminated names for hints, at most KEYS_MAX. */
enum { KEYS_MAX = 40 };
void keys_names(const struct key_section *s, const char *ret_names[KEYS_MAX]);
void keys_choice_names(const struct conf_key *k, const char *ret_names[KEYS_MAX]);

/* The numeric field of a key in `base` (struct conf or struct conf_input). */
void    keys_put_number(const struct conf_key *k, void *base, int64_t value);
int64_t keys_number(const struct conf_key *k, const void *base);
static inline void *keys_field(const struct conf_key *k, const void *base)
{
	return (char *)base + k->offset;
}

#endif

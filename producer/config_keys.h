/* config_keys.h - the tables behind the producer's configuration: keys, presets, and names that are refused by name.
 * Inside producer/ only. */
#ifndef SPILLWAY_CONFIG_KEYS_H
#define SPILLWAY_CONFIG_KEYS_H

#include <stddef.h>

#include "producer/config.h"

enum key_type {
	KEY_STRING,
	KEY_LIST,	/* as KEY_STRING, with commas between; a JSON list of texts is taken too */
	KEY_JSON,	/* as KEY_STRING; JSON */
	KEY_SECRET,	/* as KEY_STRING, prints as *** */
	KEY_INT,
	KEY_SIZE,	/* bytes; may carry KiB, MiB, GiB */
	KEY_TIME,	/* milliseconds; may carry ms, s, m, h, d */
	KEY_RATE,	/* bytes a second: a size with /s behind it, or off (0) */
	KEY_BOOL,	/* true | false */
	KEY_ENUM,
	KEY_FIXED,	/* no field: one value is supported, the others are known */
};

/* One word of an enum. The first of those with the same value is how it is printed. */
struct key_word { const char *word; int64_t value; const char *why; };
#define WORD_REFUSED INT64_MIN	/* known to Kafka's users and refused: `why` says what to do instead */

struct key {
	const char   *name;
	enum key_type type;
	size_t        offset;		/* of the int64_t or char * in struct producer_config */
	const char   *def;		/* as text; NULL: unset */
	int64_t       min, max;		/* of numbers */
	const struct key_word *words;	/* of enums and fixed ones, ends with word NULL */
	const char   *doc;		/* what it does, for users */
};

/* Those whose field is a char *. */
static inline bool key_is_text(enum key_type t)
{
	return t == KEY_STRING || t == KEY_LIST || t == KEY_JSON || t == KEY_SECRET;
}

#define KEYS_MAX 128
#define MS_MAX ((int64_t)1 << 53)	/* for ever: what is more is taken for it */
#define PRESET_KEYS_MAX 8

extern const struct key config_keys[];		/* ends with name NULL; at most KEYS_MAX */
/* Other names of a key (librdkafka's, older ones); what was set last under any of them counts. */
struct key_alias { const char *alias, *name; };
extern const struct key_alias config_aliases[];	/* ends with alias NULL */
/* Known to users of Kafka's clients, and refused by name: why says what to do instead. */
struct key_refusal { const char *name, *why; };
extern const struct key_refusal config_refused[];	/* ends with name NULL */

struct producer_preset {
	const char *name;
	struct { const char *key, *value; } set[PRESET_KEYS_MAX];	/* ends with key NULL */
};
extern const struct producer_preset config_presets[];		/* ends with name NULL */

/* Index in config_keys, or -1. */
int config_key_find(const char *name);
/* Whether the key has a value that was asked for: one by one, or by the preset. */
bool config_key_chosen(const struct producer_config *c, const char *name, bool preset_counts);
/* What the key is when it was not set by itself: the preset's value or Kafka's. */
const char *config_key_default(const struct producer_config *c, const struct key *k);
/* Reads text into the field of k. 0, or a public code with words in *ret_err. */
int config_key_read(struct producer_config *c, const struct key *k, const char *value, struct producer_error *ret_err);
/* Finds at most one problem, in words that begin with the key to change; may lower or raise defaults. */
typedef int config_check_fn(struct producer_config *c, struct producer_error *ret_err);
extern config_check_fn *const config_security_checks[];		/* ends with NULL */
/* Returns the public code of `code`. */
int config_error(struct producer_error *ret_err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* config_functions.c: runs every close function. */
void config_functions_release(struct producer_config *c);

static inline int64_t *config_number(struct producer_config *c, const struct key *k)
{
	return (int64_t *)(void *)((char *)c + k->offset);
}

static inline char **config_string(struct producer_config *c, const struct key *k)
{
	return (char **)(void *)((char *)c + k->offset);
}

#endif

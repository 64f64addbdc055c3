/* config.c - producer_config_*: text in, one struct out, text back.
 *
 * Invariants
 *  (1) every field holds a value within its bounds, always: a refused value leaves the old one.
 *  (2) a key that was set by itself (set_mask) is never changed by a preset or by a lowered default.
 * Threads: the owner's, until producer_open has copied what it needs.
 * Failure: PRODUCER_ERR_CONFIG with words that name the key, and the nearest name or value that exists.
 */
#include "producer/config_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/base/units.h"
#include "producer/code.h"

#define OTHERS_MAX 128		/* aliases and refused names */
#define WORDS_MAX 24
#define LIST_MAX (64 * 1024)

int config_error(struct producer_error *ret_err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	code = code_failv(ret_err, code, fmt, ap);
	va_end(ap);
	return code;
}

static int no_memory(struct producer_error *ret_err)
{
	return config_error(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}

/* --- keys --- */

int config_key_find(const char *name)
{
	for (const struct key_alias *a = config_aliases; a->alias; a++)
		if (!strcmp(a->alias, name))
			name = a->name;
	for (int i = 0; config_keys[i].name; i++)
		if (!strcmp(config_keys[i].name, name))
			return i;
	return -1;
}

static bool is_set(const struct producer_config *c, int i)
{
	return c->set_mask[i / 64] >> (i % 64) & 1;
}

static const char *preset_value(const struct producer_config *c, const char *name)
{
	for (size_t i = 0; c->preset && i < PRESET_KEYS_MAX && c->preset->set[i].key; i++)
		if (!strcmp(c->preset->set[i].key, name))
			return c->preset->set[i].value;
	return NULL;
}

bool config_key_chosen(const struct producer_config *c, const char *name, bool preset_counts)
{
	return is_set(c, config_key_find(name)) || (preset_counts && preset_value(c, name));
}

const char *config_key_default(const struct producer_config *c, const struct key *k)
{
	const char *value = preset_value(c, k->name);

	return value ? value : k->def;
}

/* --- values --- */

static int bad_word(const struct key *k, const char *value, struct producer_error *ret_err)
{
	const char *words[WORDS_MAX], *near;
	char list[160] = "";
	size_t n = 0;

	for (const struct key_word *w = k->words; w->word && n < WORDS_MAX - 1; w++) {
		words[n++] = w->word;
		/* Class names are taken, not advertised. */
		if (w->value != WORD_REFUSED && w->word[0] && !strchr(w->word, '.'))
			snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "", w->word);
	}
	words[n] = NULL;
	near = units_nearest(value, words);
	if (near)
		return config_error(ret_err, ERR_CONFIG, "%s: unknown value \"%.40s\" (did you mean \"%s\"?)", k->name, value,
				    near);
	return config_error(ret_err, ERR_CONFIG, "%s: unknown value \"%.40s\", there are: %s", k->name, value, list);
}

/* In any case, as librdkafka takes them. */
static int read_word(const struct key *k, const char *value, int64_t *ret, struct producer_error *ret_err)
{
	for (const struct key_word *w = k->words; w->word; w++) {
		if (strcasecmp(w->word, value))
			continue;
		if (w->value == WORD_REFUSED)
			return config_error(ret_err, ERR_CONFIG, "%s: \"%s\": %s", k->name, value, w->why);
		*ret = w->value;
		return 0;
	}
	return bad_word(k, value, ret_err);
}

static int read_bool(const struct key *k, const char *value, int64_t *ret, struct producer_error *ret_err)
{
	if (strcmp(value, "true") && strcmp(value, "false"))
		return config_error(ret_err, ERR_CONFIG, "%s: \"%.40s\" is neither true nor false", k->name, value);
	*ret = value[0] == 't';
	return 0;
}

static int parse_int(const char *s, int64_t *ret)
{
	const char *digits = s + (*s == '-');
	char *end;

	if (*digits < '0' || *digits > '9')
		return ERR_BAD_DATA;
	errno = 0;
	*ret = strtoll(s, &end, 10);
	return *end || errno ? ERR_BAD_DATA : 0;
}

static const char *print_number(const struct key *k, int64_t v, char *buf, size_t n)
{
	/* Times stay plain numbers: their unit is in the name. */
	if ((k->type == KEY_SIZE || k->type == KEY_RATE) && v >= 1024)
		return units_print_size(buf, n, v);
	snprintf(buf, n, "%" PRId64, v);
	return buf;
}

static int read_number(const struct key *k, const char *value, int64_t *ret, struct producer_error *ret_err)
{
	static const char *const kinds[] = {
		[KEY_INT] = "a number", [KEY_SIZE] = "a size (like 65536, 64KiB or 1MiB)", [KEY_RATE] = "a rate like 20MiB/s",
		[KEY_TIME] = "a time (like 500, 500ms, 3s or 5m)",
	};
	char low[32], high[32];
	int64_t v;
	int rc = parse_int(value, &v);

	if (rc < 0 && (k->type == KEY_SIZE || k->type == KEY_RATE))
		rc = units_parse_size(value, &v);
	else if (rc < 0 && k->type == KEY_TIME)
		rc = units_parse_time(value, 1, &v);
	if (rc < 0)
		return config_error(ret_err, ERR_CONFIG, "%s: \"%.40s\" is not %s", k->name, value, kinds[k->type]);
	/* Java writes "for ever" as the largest long. */
	if (k->type == KEY_TIME && k->max == MS_MAX && v > MS_MAX)
		v = MS_MAX;
	if (v < k->min || v > k->max)
		return config_error(ret_err, ERR_CONFIG, "%s: %.40s is out of range, it must be from %s to %s", k->name, value,
				    print_number(k, k->min, low, sizeof low), print_number(k, k->max, high, sizeof high));
	*ret = v;
	return 0;
}

/* "20MiB/s", or "off". */
static int read_rate(const struct key *k, const char *value, int64_t *ret, struct producer_error *ret_err)
{
	size_t n = strlen(value);
	char size[32];

	if (!strcmp(value, "off")) {
		*ret = 0;
		return 0;
	}
	if (n < 3 || n >= sizeof size || strcmp(value + n - 2, "/s"))
		return config_error(ret_err, ERR_CONFIG, "%s: \"%.40s\" is neither off nor a rate like 20MiB/s", k->name, value);
	memcpy(size, value, n - 2);
	size[n - 2] = 0;
	return read_number(k, size, ret, ret_err);
}

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	mem_free(s);
}

static int read_string(char **field, const char *value, struct producer_error *ret_err)
{
	char *copy = NULL;

	if (value) {
		copy = mem_strdup(value);
		if (!copy)
			return no_memory(ret_err);
	}
	wipe(*field);
	*field = copy;
	return 0;
}

static int join_list(const struct key *k, char **field, const json_t *list, struct producer_error *ret_err)
{
	struct buf b;
	int rc;

	buf_init(&b, LIST_MAX);
	buf_puts(&b, "");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (!s) {
			buf_release(&b);
			return config_error(ret_err, ERR_CONFIG, "%s: a list of texts is taken, nothing else", k->name);
		}
		buf_printf(&b, "%s%s", i ? "," : "", s);
	}
	rc = b.failed ? no_memory(ret_err) : read_string(field, b.data, ret_err);
	buf_release(&b);
	return rc;
}

/* "a,b" or ["a", "b"]; [::1]:9092 is of the first kind. */
static int read_list(const struct key *k, char **field, const char *value, struct producer_error *ret_err)
{
	json_t *list = value && *value == '[' ? json_loads(value, 0, NULL) : NULL;
	int rc = list ? join_list(k, field, list, ret_err) : read_string(field, value, ret_err);

	json_decref(list);
	return rc;
}

int config_key_read(struct producer_config *c, const struct key *k, const char *value, struct producer_error *ret_err)
{
	int64_t ignored;

	switch (k->type) {
	case KEY_STRING:
	case KEY_JSON:
	case KEY_SECRET:
		return read_string(config_string(c, k), value, ret_err);
	case KEY_LIST:
		return read_list(k, config_string(c, k), value, ret_err);
	case KEY_RATE:
		return read_rate(k, value, config_number(c, k), ret_err);
	case KEY_BOOL:
		return read_bool(k, value, config_number(c, k), ret_err);
	case KEY_ENUM:
		return read_word(k, value, config_number(c, k), ret_err);
	case KEY_FIXED:
		return read_word(k, value, &ignored, ret_err);
	default:
		return read_number(k, value, config_number(c, k), ret_err);
	}
}

/* --- the struct --- */

/* Gives every key that was not set by itself its default. */
static int apply_defaults(struct producer_config *c, struct producer_error *ret_err)
{
	for (int i = 0; config_keys[i].name; i++) {
		int rc = is_set(c, i) ? 0 : config_key_read(c, &config_keys[i], config_key_default(c, &config_keys[i]), ret_err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

struct producer_config *producer_config_new(void)
{
	struct producer_config *c = mem_new(struct producer_config);

	if (c && apply_defaults(c, NULL) < 0) {
		producer_config_free(c);
		return NULL;
	}
	return c;
}

void producer_config_free(struct producer_config *c)
{
	if (!c)
		return;
	for (const struct key *k = config_keys; k->name; k++)
		if (key_is_text(k->type))
			wipe(*config_string(c, k));
	config_functions_release(c);
	mem_free(c);
}

static int set_preset(struct producer_config *c, const char *value, struct producer_error *ret_err)
{
	const char *words[WORDS_MAX], *near;
	size_t n = 0;

	for (const struct producer_preset *p = config_presets; p->name; p++) {
		words[n++] = p->name;
		if (!strcmp(p->name, value)) {
			c->preset = p;
			return apply_defaults(c, ret_err);
		}
	}
	words[n] = NULL;
	near = units_nearest(value, words);
	if (near)
		return config_error(ret_err, ERR_CONFIG, "preset: unknown value \"%.40s\" (did you mean \"%s\"?)", value, near);
	return config_error(ret_err, ERR_CONFIG, "preset: unknown value \"%.40s\", there are: %s, %s, %s, %s", value,
			    words[0], words[1], words[2], words[3]);
}

static int unknown(const char *name, struct producer_error *ret_err)
{
	const char *names[KEYS_MAX + OTHERS_MAX], *near;
	size_t n = 0;

	for (const struct key_refusal *r = config_refused; r->name; r++)
		if (!strcmp(r->name, name))
			return config_error(ret_err, ERR_CONFIG, "\"%s\": %s", name, r->why);
	for (const struct key_alias *a = config_aliases; a->alias && n < OTHERS_MAX - 2; a++)
		names[n++] = a->alias;
	for (const struct key *k = config_keys; k->name; k++)
		names[n++] = k->name;
	names[n++] = "preset";
	names[n] = NULL;
	near = units_nearest(name, names);
	if (near)
		return config_error(ret_err, ERR_CONFIG, "unknown key \"%.80s\" (did you mean \"%s\"?)", name, near);
	return config_error(ret_err, ERR_CONFIG, "unknown key \"%.80s\"", name);
}

int producer_config_set(struct producer_config *c, const char *name, const char *value, struct producer_error *ret_err)
{
	int i = config_key_find(name), rc;

	if (!strcmp(name, "preset"))
		return set_preset(c, value, ret_err);
	if (i < 0)
		return unknown(name, ret_err);
	rc = config_key_read(c, &config_keys[i], value, ret_err);
	if (rc == 0)
		c->set_mask[i / 64] |= (uint64_t)1 << (i % 64);
	return rc;
}

static const char *word_of(const struct key *k, int64_t value)
{
	const struct key_word *w = k->words;

	while (w->word && w->value != value)
		w++;
	return w->word;
}

static const char *rate_text(struct producer_config *c, int64_t rate)
{
	char size[32];

	if (rate == 0)
		return "off";
	snprintf(c->text, sizeof c->text, "%s/s", units_print_size(size, sizeof size, rate));
	return c->text;
}

const char *producer_config_get(struct producer_config *c, const char *name)
{
	int i = config_key_find(name);
	const struct key *k = &config_keys[i < 0 ? 0 : i];

	if (!strcmp(name, "preset"))
		return c->preset ? c->preset->name : "";
	if (i < 0)
		return NULL;
	switch (k->type) {
	case KEY_STRING:
	case KEY_LIST:
	case KEY_JSON:   return *config_string(c, k) ? *config_string(c, k) : "";
	case KEY_SECRET: return *config_string(c, k) && **config_string(c, k) ? "***" : "";
	case KEY_RATE:   return rate_text(c, *config_number(c, k));
	case KEY_BOOL:   return *config_number(c, k) ? "true" : "false";
	case KEY_ENUM:   return word_of(k, *config_number(c, k));
	case KEY_FIXED:  return k->def;
	default:         return print_number(k, *config_number(c, k), c->text, sizeof c->text);
	}
}

const char *producer_config_name(size_t i)
{
	return i < KEYS_MAX ? config_keys[i].name : NULL;
}

const char *producer_config_canonical(const char *name)
{
	int i = config_key_find(name);

	return i < 0 ? NULL : config_keys[i].name;
}

bool producer_config_takes_json(const char *name)
{
	int i = config_key_find(name);

	return i >= 0 && (config_keys[i].type == KEY_LIST || config_keys[i].type == KEY_JSON);
}

/* schema.c - see schema.h.
 *
 * Why from the tables: what an editor says of a file is what the reader says of it, key by key.
 * Invariants
 *  (1) What the reader takes, the schema takes: each value may hold ${...}, so that it is a text until it is replaced. What
 *	only the reader can tell (whether a pattern is one, a file is there, two keys agree) is left to it.
 *  (2) Nothing that can be missing is required while `include` is there: drop-ins may bring it.
 * Failure  ERR_NOMEM: `failed` is sticky, as building goes on with what there is.
 */
#include "conf/schema.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "conf/keys.h"

static json_t *section(const struct key_section *s, bool *failed);

static void put(json_t *object, const char *name, json_t *value, bool *failed)
{
	if (json_object_set_new(object, name, value) < 0)
		*failed = true;
}

static void add(json_t *array, json_t *value, bool *failed)
{
	if (json_array_append_new(array, value) < 0)
		*failed = true;
}

/* --- what a value may be --- */

static json_t *ref(const char *name)
{
	return json_pack("{s:s+}", "$ref", "#/$defs/", name);
}

static json_t *whole(int64_t min, int64_t max, bool *failed)
{
	json_t *o = json_pack("{s:s,s:I}", "type", "integer", "minimum", (json_int_t)min);

	if (max < INT64_MAX)
		put(o, "maximum", json_integer((json_int_t)max), failed);
	return o;
}

static bool is_number(const char *s)
{
	const char *digits = s + (*s == '-');

	return *digits && !digits[strspn(digits, "0123456789")];
}

/* A word as YAML's reader sees it where it is not quoted. */
static json_t *bare(const char *word)
{
	if (!strcmp(word, "true") || !strcmp(word, "false"))
		return json_boolean(*word == 't');
	return is_number(word) ? json_integer(strtoll(word, NULL, 10)) : json_string(word);
}

static json_t *words(const char *const *names, bool *failed)
{
	json_t *list = json_array();

	for (; *names; names++) {
		add(list, bare(*names), failed);
		if (is_number(*names) || !strcmp(*names, "true") || !strcmp(*names, "false"))
			add(list, json_string(*names), failed);
	}
	return json_pack("{s:o}", "enum", list);
}

/* "anyOf" of `what` and a text with ${...}. */
static json_t *alternatives(json_t *what, bool *failed)
{
	json_t *list = json_array();

	add(list, what, failed);
	add(list, ref("interpolated"), failed);
	return list;
}

static void put_description(json_t *o, const char *doc, const char *def, const char *example, bool *failed)
{
	put(o, "description", json_string(doc), failed);
	if (def && *def)
		put(o, "default", bare(def), failed);
	if (example)
		put(o, "examples", json_pack("[o]", bare(example)), failed);
}

/* --- keys of ours --- */

static json_t *number(const struct conf_key *k, bool *failed)
{
	const char *names[KEYS_MAX];
	json_t *list = alternatives(k->type == KEY_TIME ? ref("time") : whole(k->min, k->max, failed), failed);

	if (k->type == KEY_SIZE)
		add(list, ref("size"), failed);
	keys_choice_names(k, names);
	if (names[0])
		add(list, words(names, failed), failed);
	return json_pack("{s:o}", "anyOf", list);
}

static json_t *choice(const struct conf_key *k, bool *failed)
{
	const char *names[KEYS_MAX];

	keys_choice_names(k, names);
	return json_pack("{s:o}", "anyOf", alternatives(words(names, failed), failed));
}

static json_t *headers(void)
{
	return json_pack("{s:[s,s],s:{s:i,s:i},s:{s:[s,s,s]}}", "type", "object", "null", "propertyNames", "minLength", 1,
			 "maxLength", HEADER_MAX, "additionalProperties", "type", "string", "number", "boolean");
}

static json_t *inputs(bool *failed)
{
	json_t *list = json_array(), *input = section(&keys_input, failed);

	for (const struct key_choice *t = keys_find(&keys_input, "type")->choices; t->name; t++) {
		json_t *refused = json_object(), *required = json_array();
		json_t *is = json_pack("{s:{s:{s:s}}}", "properties", "type", "const", t->name);

		if (t->value != CONF_TYPE_FILE)		/* the default */
			put(is, "required", json_pack("[s]", "type"), failed);
		for (const struct conf_key *k = keys_input.keys; k->name; k++) {
			if (!keys_takes(k, (enum conf_input_type)t->value))
				put(refused, k->name, json_false(), failed);
			else if (k->types && k->flags & KEY_REQUIRED)
				add(required, json_string(k->name), failed);
		}
		add(list, json_pack("{s:o,s:{s:o,s:o}}", "if", is, "then", "required", required, "properties", refused), failed);
	}
	put(input, "allOf", list, failed);
	return json_pack("{s:s,s:i,s:i,s:o}", "type", "array", "minItems", 1, "maxItems", INPUTS_MAX, "items", input);
}

static json_t *value(const struct conf_key *k, bool *failed)
{
	switch (k->type) {
	case KEY_SIZE:
	case KEY_TIME:
	case KEY_NUMBER:
		return number(k, failed);
	case KEY_CHOICE:
		return choice(k, failed);
	case KEY_TEXTS:
	case KEY_PATHS:
		return ref(k->flags & KEY_REQUIRED ? "some-texts" : "texts");
	case KEY_TEMPLATES:
		return headers();
	case KEY_TEMPLATE:
		return json_pack("{s:[s,s,s,s]}", "type", "string", "number", "boolean", "null");
	case KEY_SECTION:
		return section(k->section, failed);
	case KEY_INPUTS:
		return inputs(failed);
	default:
		return k->choices ? choice(k, failed) : ref("text");
	}
}

static bool is_absent(const struct conf_key *k)
{
	return k->type == KEY_NUMBER && k->def && !k->choices && strtoll(k->def, NULL, 10) < k->min;
}

static json_t *section(const struct key_section *s, bool *failed)
{
	json_t *properties = json_object(), *required = json_array(), *o;

	for (const struct conf_key *k = s->keys; k->name; k++) {
		json_t *v;

		if (k->type == KEY_PRODUCER)		/* by who knows its keys */
			continue;
		v = value(k, failed);
		put_description(v, k->doc, is_absent(k) ? NULL : k->def, k->example, failed);
		put(properties, k->name, v, failed);
		if (k->flags & KEY_REQUIRED && !k->types && s != &keys_top)
			add(required, json_string(k->name), failed);
	}
	o = json_pack("{s:[s,s],s:b,s:o}", "type", "object", "null", "additionalProperties", 0, "properties", properties);
	if (s == &keys_input || s == &keys_top)		/* others may be left empty */
		put(o, "type", json_string("object"), failed);
	if (json_array_size(required))
		put(o, "required", required, failed);
	else
		json_decref(required);
	return o;
}

/* --- the producer's --- */

/* The producer takes its words (but for the preset) in any case; names of classes are written as they are. */
static json_t *any_case(const char *const *names)
{
	struct buf b;
	json_t *o;

	buf_init(&b, 4096);
	buf_puts(&b, "^(");
	for (size_t n = 0; *names; names++) {
		if (strchr(*names, '.'))
			continue;
		buf_puts(&b, n++ ? "|" : "");
		for (const char *s = *names; *s; s++)
			if (isalpha((unsigned char)*s))
				buf_printf(&b, "[%c%c]", tolower((unsigned char)*s), toupper((unsigned char)*s));
			else
				buf_put(&b, s, 1);
	}
	buf_puts(&b, ")$");
	o = b.failed ? NULL : json_pack("{s:s,s:s}", "type", "string", "pattern", b.data);
	buf_release(&b);
	return o;
}

static json_t *class_value(const struct schema_producer_key *k, bool *failed)
{
	json_t *o = json_loads(k->value, 0, NULL);

	if (!o)
		*failed = true;
	return o;
}

static json_t *producer_value(const struct schema_producer_key *k, bool *failed)
{
	bool is_time = !strcmp(k->type, "time"), is_size = !strcmp(k->type, "size");

	if (k->choices && k->choices[0])
		return words(k->choices, failed);
	if (is_time || is_size || !strcmp(k->type, "integer"))
		return whole(k->min, k->max, failed);
	if (!strcmp(k->type, "boolean"))
		return words((const char *const[]){ "true", "false", NULL }, failed);
	if (k->value)
		return class_value(k, failed);
	return ref(!strcmp(k->type, "list") ? "some-texts" : !strcmp(k->type, "rate") ? "rate" : "any-text");
}

static json_t *producer_key(const struct schema_producer_key *k, bool *failed)
{
	json_t *list, *o;

	if (k->other_of)
		return json_pack("{s:s+,s:s+}", "$ref", "#/properties/producer/properties/", k->other_of, "description",
				 "Another name of ", k->other_of);
	list = alternatives(producer_value(k, failed), failed);
	if (!strcmp(k->type, "time") || !strcmp(k->type, "size"))
		add(list, ref(k->type), failed);
	if (k->choices && k->choices[0] && strcmp(k->name, "preset") != 0)
		add(list, any_case(k->choices), failed);
	o = json_pack("{s:o}", "anyOf", list);
	put_description(o, k->doc, k->def, NULL, failed);
	if (!strcmp(k->type, "secret"))
		put(o, "writeOnly", json_true(), failed);
	return o;
}

static json_t *producer_section(schema_producer_fn *producer, bool *failed)
{
	json_t *properties = json_object(), *o;
	struct schema_producer_key k;

	for (size_t i = 0; producer(i, &k); i++)
		put(properties, k.name, producer_key(&k, failed), failed);
	o = json_pack("{s:s,s:b,s:o}", "type", "object", "additionalProperties", 0, "properties", properties);
	put_description(o, keys_find(&keys_top, "producer")->doc, NULL, NULL, failed);
	return o;
}

/* --- the whole --- */

static json_t *definitions(void)
{
	return json_pack("{s:{s:s,s:s,s:s}, s:{s:s,s:s}, s:{s:s,s:s}, s:{s:s,s:s}, s:{s:[{s:s,s:i},{s:[s,s]}]}, s:{s:[s,s,s]},"
			 " s:{s:[{s:s},{s:s},{s:s,s:{s:s}}]}, s:{s:[{s:s},{s:s,s:i,s:{s:s}}]}}",
		"interpolated", "description", "${env:NAME}, ${env:NAME:-default}, ${file:/path} and ${cred:NAME} are replaced.",
			"type", "string", "pattern", "\\$\\{",
		"size", "type", "string", "pattern", "^[0-9]+(B|KiB|MiB|GiB|TiB)?$",
		"time", "type", "string", "pattern", "^[0-9]+(ms|s|m|h|d)$",
		"rate", "type", "string", "pattern", "^(off|[0-9]+(B|KiB|MiB|GiB|TiB)?/s)$",
		"text", "anyOf", "type", "string", "minLength", 1, "type", "number", "boolean",
		"any-text", "type", "string", "number", "boolean",
		"texts", "anyOf", "$ref", "#/$defs/text", "type", "null", "type", "array", "items", "$ref", "#/$defs/text",
		"some-texts", "anyOf", "$ref", "#/$defs/text", "type", "array", "minItems", 1, "items", "$ref", "#/$defs/text");
}

/* A file without drop-ins has all that is needed. */
static json_t *needs(void)
{
	return json_pack("{s:[s,s],s:{s:{s:[s]}}}", "required", "inputs", "producer", "properties", "producer", "required",
			 "bootstrap.servers");
}

static json_t *document(schema_producer_fn *producer, bool *failed)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "$id",
			      "urn:spillway:configuration", "title", "spillway.yaml", "description",
			      "The configuration of spillway. Sizes: 512KiB, 10MiB, 1GiB or bytes. Times: 500ms, 20s, 5m, 1h, 7d.");
	json_t *top = section(&keys_top, failed);

	if (json_object_update(o, top) < 0)
		*failed = true;
	json_decref(top);
	put(json_object_get(o, "properties"), "producer", producer_section(producer, failed), failed);
	put(o, "if", json_pack("{s:[s]}", "required", "include"), failed);
	put(o, "else", needs(), failed);
	put(o, "$defs", definitions(), failed);
	return o;
}

static int append(const char *text, size_t n, void *out)
{
	return buf_put(out, text, n) < 0 ? -1 : 0;
}

int conf_schema(schema_producer_fn *producer, struct buf *out)
{
	bool failed = false;
	json_t *o = document(producer, &failed);

	if (!o || failed || json_dump_callback(o, append, out, JSON_INDENT(2)) < 0)
		failed = true;
	json_decref(o);
	buf_puts(out, "\n");
	return failed || out->failed ? ERR_NOMEM : 0;
}

/* config_describe.c - what is known of each key, for whoever writes manuals, schemas and hints.
 *
 * Threads: any; no state. Failure: none.
 */
#include "producer/config_keys.h"

#include <string.h>

/* What intercept.c reads. */
static const char interceptors[] =
	"{\"type\":\"array\",\"items\":{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":1,\"additionalProperties\":false,"
	"\"properties\":{"
#define STEP(doc, required, members) "{\"description\":\"" doc "\",\"type\":\"object\",\"additionalProperties\":false," \
	"\"required\":[" required "],\"properties\":{" members "}}"
#define TEXT(name, doc) "\"" name "\":{\"description\":\"" doc "\",\"type\":\"string\"}"
	"\"header\":" STEP("Adds a header.", "\"name\",\"value\"",
			   TEXT("name", "The header's name.") "," TEXT("value", "Its value.")) ","
	"\"redact\":" STEP("Replaces what the pattern matches in the value.", "\"pattern\",\"with\"",
			   TEXT("pattern", "PCRE2.") "," TEXT("with", "What is put instead.")) ","
	"\"drop\":" STEP("Drops records in whose value the pattern is found.", "\"pattern\"",
			 TEXT("pattern", "PCRE2.") "," TEXT("topic", "Only records for this topic; unset: all.")) ","
	"\"rename\":" STEP("Sends the records for one topic to another.", "\"topic\",\"to\"",
			   TEXT("topic", "The topic they were for.") "," TEXT("to", "The one they go to."))
#undef STEP
#undef TEXT
	"}}}";

static const char *const types[] = {
	[KEY_STRING] = "string", [KEY_LIST] = "list", [KEY_JSON] = "class", [KEY_SECRET] = "secret", [KEY_INT] = "integer",
	[KEY_SIZE] = "size", [KEY_TIME] = "time", [KEY_RATE] = "rate", [KEY_BOOL] = "boolean", [KEY_ENUM] = "string",
	[KEY_FIXED] = "string",
};

static void describe_words(const struct key *k, struct producer_config_description *ret)
{
	size_t n = 0;

	for (const struct key_word *w = k->words; w && w->word && n < sizeof ret->choices / sizeof ret->choices[0] - 1; w++)
		if (w->value != WORD_REFUSED)
			ret->choices[n++] = w->word;
}

static void describe_preset(struct producer_config_description *ret)
{
	*ret = (struct producer_config_description){
		.name = "preset", .type = "string",
		.doc = "Defaults that go together: balanced, max-throughput, min-latency or max-reliability; keys that are set "
		       "win over it.",
	};
	for (size_t i = 0; config_presets[i].name; i++)
		ret->choices[i] = config_presets[i].name;
}

static void describe_key(const struct key *k, struct producer_config_description *ret)
{
	*ret = (struct producer_config_description){
		.name = k->name, .type = types[k->type], .def = k->def, .min = k->min, .max = k->max, .doc = k->doc,
		.value = k->type == KEY_JSON ? interceptors : NULL,
	};
	if (k->max == MS_MAX)		/* for ever, however large it is written */
		ret->max = INT64_MAX;
	describe_words(k, ret);
}

bool producer_config_describe(size_t i, struct producer_config_description *ret)
{
	size_t keys = 0, aliases = 0;

	while (config_keys[keys].name)
		keys++;
	while (config_aliases[aliases].alias)
		aliases++;
	if (i == 0) {
		describe_preset(ret);
	} else if (i <= keys) {
		describe_key(&config_keys[i - 1], ret);
	} else if (i - keys <= aliases) {
		const struct key_alias *a = &config_aliases[i - keys - 1];

		describe_key(&config_keys[config_key_find(a->name)], ret);
		ret->name = a->alias;
		ret->other_of = a->name;
	} else {
		return false;
	}
	return true;
}

const char *producer_config_preset_default(const char *preset, const char *name)
{
	for (const struct producer_preset *p = config_presets; p->name; p++)
		for (size_t i = 0; !strcmp(p->name, preset) && i < PRESET_KEYS_MAX && p->set[i].key; i++)
			if (!strcmp(p->set[i].key, name))
				return p->set[i].value;
	return NULL;
}

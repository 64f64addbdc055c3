/* keys.c - the table of all keys of the configuration, but for those under `producer:`.
 *
 * Why: what is known about a key stands in one line, so the reader, its hints, the defaults and conf_print cannot
 *	drift. A default is written as a user would write it and goes through the same reader.
 * Invariants: a name is either a key or in `soon`, never both; every KEY_CHOICE default is one of its choices.
 */
#include "conf/keys.h"

#include <string.h>

#include "agent/base/err.h"
#include "conf/check.h"
#include "conf/template.h"

#define KIB ((int64_t)1024)
#define GIB (KIB * KIB * KIB)
#define HOUR_MS ((int64_t)3600 * 1000)

#define TOP(field) .offset = offsetof(struct conf, field), .size = sizeof(((struct conf *)0)->field)
#define IN(field)  .offset = offsetof(struct conf_input, field), .size = sizeof(((struct conf_input *)0)->field)
#define CHOICES(...) .choices = (const struct key_choice[]){ __VA_ARGS__, { NULL, 0 } }
#define SOON(...)    (const char *const[]){ __VA_ARGS__, NULL }
#define SECTION(s)   .type = KEY_SECTION, .section = &(s)

static const struct key_section threads = { .keys = (const struct conf_key[]) {
	{ .name = "tail",     .type = KEY_NUMBER, .def = "1", .min = 1, .max = 1, .flags = KEY_REST_SOON },
	{ .name = "compress", .type = KEY_NUMBER, .def = "auto", .min = 1, .max = 256, CHOICES({ "auto", 0 }),
	  TOP(compress_threads) },
	{ 0 }
} };

static const struct key_section spool = { .keys = (const struct conf_key[]) {
	{ .name = "max_size",  .type = KEY_SIZE,   .def = "10GiB", .min = 64 * KIB, .max = INT64_MAX,
	  TOP(spool.max_size) },
	{ .name = "min_free",  .type = KEY_SIZE,   .def = "1GiB", .max = INT64_MAX, TOP(spool.min_free) },
	{ .name = "when_full", .type = KEY_CHOICE, .def = "block",
	  CHOICES({ "block", CONF_FULL_BLOCK }, { "drop_oldest", CONF_FULL_DROP_OLDEST },
		  { "drop_newest", CONF_FULL_DROP_NEWEST }), TOP(spool.when_full) },
	{ .name = "sync",      .type = KEY_CHOICE, .def = "normal",
	  CHOICES({ "normal", CONF_SYNC_NORMAL }, { "full", CONF_SYNC_FULL }), TOP(spool.sync) },
	{ 0 }
} };

static const struct key_section metrics = { .keys = (const struct conf_key[]) {
	{ .name = "listen", .type = KEY_CHOICE, .def = "off", CHOICES({ "off", 0 }), .flags = KEY_REST_SOON },
	{ 0 }
} };

static const struct key_section logging = { .keys = (const struct conf_key[]) {
	{ .name = "level",  .type = KEY_CHOICE, .def = "info",
	  CHOICES({ "error", CONF_LOG_ERROR }, { "warn", CONF_LOG_WARN }, { "info", CONF_LOG_INFO },
		  { "debug", CONF_LOG_DEBUG }), TOP(log.level) },
	{ .name = "format", .type = KEY_CHOICE, .def = "logfmt", CHOICES({ "logfmt", false }, { "json", true }),
	  TOP(log.json) },
	{ 0 }
} };

/* Patterns and names of a group of lines; the preset is one of these words, kept as its text. */
#define PATTERN(n, field) { .name = n, .type = KEY_TEXT, .check = check_pattern, IN(field) }
static const struct key_section multiline = { .keys = (const struct conf_key[]) {
	{ .name = "preset", .type = KEY_TEXT,
	  CHOICES({ "java", 0 }, { "python", 0 }, { "go", 0 }, { "ruby", 0 }, { "dotnet", 0 }), IN(multiline.preset) },
	PATTERN("start", multiline.start),
	PATTERN("continue", multiline.next),
	PATTERN("end", multiline.end),
	{ .name = "timeout",   .type = KEY_TIME, .def = "1s", .min = 10, .max = HOUR_MS, IN(multiline.timeout_ms) },
	{ .name = "max_lines", .type = KEY_NUMBER, .def = "500", .min = 1, .max = 1000000, IN(multiline.max_lines) },
	{ .name = "max_bytes", .type = KEY_SIZE, .def = "512KiB", .min = 1, .max = GIB, IN(multiline.max_bytes),
	  .set_offset = offsetof(struct conf_input, multiline.max_bytes_set) },
	{ 0 }
} };

static const struct key_section event_time = { .keys = (const struct conf_key[]) {
	{ .name = "field",   .type = KEY_TEXT, .check = template_check_field, IN(event_time.field) },
	{ .name = "pattern", .type = KEY_TEXT, .check = check_pattern, IN(event_time.pattern) },
	{ .name = "format",  .type = KEY_TEXT, .flags = KEY_REQUIRED, .check = check_time_format, IN(event_time.format) },
	{ 0 }
} };

const struct key_section keys_top = { .soon = SOON("include"), .keys = (const struct conf_key[]) {
	{ .name = "state_dir", .type = KEY_PATH,   .def = "/var/lib/spillway", TOP(state_dir) },
	{ .name = "delivery",  .type = KEY_CHOICE, .def = "exactly_once",
	  CHOICES({ "exactly_once", CONF_EXACTLY_ONCE }, { "at_least_once", CONF_AT_LEAST_ONCE }), TOP(delivery) },
	{ .name = "threads",   SECTION(threads) },
	{ .name = "max_lanes", .type = KEY_NUMBER, .def = "1000", .min = 1, .max = 100000, TOP(max_lanes) },
	{ .name = "inputs",    .type = KEY_INPUTS, .flags = KEY_REQUIRED },
	{ .name = "producer",  .type = KEY_PRODUCER, .flags = KEY_REQUIRED },
	{ .name = "spool",     SECTION(spool) },
	{ .name = "metrics",   SECTION(metrics) },
	{ .name = "control",   .type = KEY_PATH, TOP(control) },
	{ .name = "log",       SECTION(logging) },
	{ .name = "shutdown_timeout", .type = KEY_TIME, .def = "20s", .max = 24 * HOUR_MS, TOP(shutdown_timeout_ms) },
	{ 0 }
} };

#define FILES   .types = KEY_TYPE(CONF_TYPE_FILE)
/* What cuts bytes into lines and puts lines together; a message of syslog or of the journal is one. */
#define STREAMS .types = KEY_TYPE(CONF_TYPE_FILE) | KEY_TYPE(CONF_TYPE_STDIN)
#define BOOLEAN CHOICES({ "true", true }, { "false", false })

const struct key_section keys_input = { .keys = (const struct conf_key[]) {
	{ .name = "name",       .type = KEY_TEXT, IN(name) },
	{ .name = "type",       .type = KEY_CHOICE, .def = "file",
	  CHOICES({ "file", CONF_TYPE_FILE }, { "stdin", CONF_TYPE_STDIN }, { "syslog", CONF_TYPE_SYSLOG },
		  { "journald", CONF_TYPE_JOURNALD }), IN(type) },
	{ .name = "paths",      .type = KEY_PATHS, FILES, .flags = KEY_REQUIRED, IN(paths) },
	{ .name = "exclude",    .type = KEY_TEXTS, FILES, .check = check_glob, IN(exclude) },
	{ .name = "read_from",  .type = KEY_CHOICE, .types = KEY_TYPE(CONF_TYPE_FILE) | KEY_TYPE(CONF_TYPE_JOURNALD),
	  .def = "beginning",
	  CHOICES({ "beginning", CONF_READ_BEGINNING }, { "end", CONF_READ_END }), IN(read_from) },
	{ .name = "ignore_older", .type = KEY_TIME, FILES, .def = "off", .example = "7d", .min = 1000, .max = INT64_MAX,
	  CHOICES({ "off", 0 }), IN(ignore_older_ms) },
	{ .name = "follow_symlinks", .type = KEY_CHOICE, FILES, .def = "false", BOOLEAN, IN(follow_symlinks) },
	{ .name = "watch",      .type = KEY_CHOICE, FILES, .def = "auto",
	  CHOICES({ "auto", CONF_WATCH_AUTO }, { "inotify", CONF_WATCH_INOTIFY }, { "poll", CONF_WATCH_POLL }), IN(watch) },
	{ .name = "compressed", .type = KEY_CHOICE, FILES, .def = "false", BOOLEAN, IN(compressed) },
	{ .name = "listen",     .type = KEY_TEXT, .types = KEY_TYPE(CONF_TYPE_SYSLOG), .flags = KEY_REQUIRED,
	  .check = check_listen, IN(listen) },
	{ .name = "directory",  .type = KEY_PATH, .types = KEY_TYPE(CONF_TYPE_JOURNALD), IN(directory) },
	{ .name = "units",      .type = KEY_TEXTS, .types = KEY_TYPE(CONF_TYPE_JOURNALD), .check = check_unit, IN(units) },
	{ .name = "encoding",   .type = KEY_TEXT, STREAMS, .flags = KEY_LOWER, .def = "utf-8", .check = check_encoding,
	  IN(encoding) },
	{ .name = "max_line",   .type = KEY_SIZE, .def = "1000KiB", .min = 1, .max = GIB, IN(max_line),
	  .set_offset = offsetof(struct conf_input, max_line_set) },
	{ .name = "long_lines", .type = KEY_CHOICE, .def = "split",
	  CHOICES({ "split", CONF_LONG_SPLIT }, { "truncate", CONF_LONG_TRUNCATE }, { "skip", CONF_LONG_SKIP }),
	  IN(long_lines) },
	{ .name = "format",     .type = KEY_CHOICE, STREAMS, .def = "raw",
	  CHOICES({ "raw", CONF_FORMAT_RAW }, { "docker", CONF_FORMAT_DOCKER }, { "cri", CONF_FORMAT_CRI },
		  { "auto", CONF_FORMAT_AUTO }), IN(format) },
	{ .name = "multiline",  SECTION(multiline), STREAMS, .set_offset = offsetof(struct conf_input, multiline.set) },
	{ .name = "include_lines", .type = KEY_TEXTS, .check = check_pattern, IN(include_lines) },
	{ .name = "exclude_lines", .type = KEY_TEXTS, .check = check_pattern, IN(exclude_lines) },
	{ .name = "when_full",  .type = KEY_CHOICE, .def = "spill",
	  CHOICES({ "spill", CONF_INPUT_SPILL }, { "wait", CONF_INPUT_WAIT }), IN(when_full) },
	{ .name = "topic",      .type = KEY_TOPIC, .flags = KEY_REQUIRED, IN(topic) },
	{ .name = "topics_allowed", .type = KEY_TEXTS, .check = check_topic_glob, IN(topics_allowed) },
	{ .name = "key",        .type = KEY_TEMPLATE, IN(key) },
	/* -1, outside of the bounds, is what the field says when the key is absent. */
	{ .name = "partition",  .type = KEY_NUMBER, .def = "-1", .max = INT32_MAX, IN(partition) },
	{ .name = "headers",    .type = KEY_TEMPLATES, IN(headers) },
	{ .name = "value",      .type = KEY_CHOICE, .def = "raw", CHOICES({ "raw", CONF_VALUE_RAW }, { "json", CONF_VALUE_JSON }),
	  IN(value) },
	{ .name = "event_time", SECTION(event_time) },
	{ 0 }
} };

const struct conf_key *keys_find(const struct key_section *s, const char *name)
{
	for (const struct conf_key *k = s->keys; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

bool keys_is_soon(const struct key_section *s, const char *name)
{
	for (const char *const *n = s->soon; n && *n; n++)
		if (!strcmp(*n, name))
			return true;
	return false;
}

void keys_names(const struct key_section *s, const char *ret_names[KEYS_MAX])
{
	size_t n = 0;

	for (const struct conf_key *k = s->keys; k->name && n < KEYS_MAX - 1; k++)
		ret_names[n++] = k->name;
	ret_names[n] = NULL;
}

void keys_choice_names(const struct conf_key *k, const char *ret_names[KEYS_MAX])
{
	size_t n = 0;

	for (const struct key_choice *c = k->choices; c && c->name && n < KEYS_MAX - 1; c++)
		ret_names[n++] = c->name;
	ret_names[n] = NULL;
}

const char *keys_choice_name(const struct conf_key *k, int64_t value)
{
	for (const struct key_choice *c = k->choices; c && c->name; c++)
		if (c->value == value)
			return c->name;
	return NULL;
}

void keys_put_number(const struct conf_key *k, void *base, int64_t value)
{
	void *field = keys_field(k, base);

	switch (k->size) {
	case 0:
		break;
	case sizeof(bool):
		*(bool *)field = value != 0;
		break;
	case sizeof(int32_t):
		*(int32_t *)field = (int32_t)value;
		break;
	default:
		ASSERT(k->size == sizeof(int64_t));
		*(int64_t *)field = value;
	}
}

int64_t keys_number(const struct conf_key *k, const void *base)
{
	const void *field = keys_field(k, base);

	if (k->size == sizeof(bool))
		return *(const bool *)field;
	return k->size == sizeof(int32_t) ? *(const int32_t *)field : *(const int64_t *)field;
}

/* keys.c - the table of all keys of the configuration, but for those under `producer:`.
 *
 * Why: what is known about a key stands in one line, so the reader, its hints, the defaults and conf_print cannot
 *	drift. A default is written as a user would write it and goes through the same reader.
 * Invariants: every key says what it does; every KEY_CHOICE default is one of its choices.
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
#define SECTION(s)   .type = KEY_SECTION, .section = &(s)

static const struct key_section threads = { .keys = (const struct conf_key[]) {
	{ .name = "tail",     .type = KEY_NUMBER, .def = "1", .min = 1, .max = 1, .flags = KEY_REST_SOON,
	  .doc = "Threads that read files. There is one." },
	{ .name = "compress", .type = KEY_NUMBER, .def = "auto", .min = 1, .max = 256, CHOICES({ "auto", 0 }),
	  TOP(compress_threads),
	  .doc = "Threads that compress batches; auto goes by the number of cores." },
	{ 0 }
} };

static const struct key_section spool = { .keys = (const struct conf_key[]) {
	{ .name = "max_size",  .type = KEY_SIZE,   .def = "10GiB", .min = 64 * KIB, .max = INT64_MAX,
	  TOP(spool.max_size),
	  .doc = "Bytes of records that may wait on disk; when_full says what comes then." },
	{ .name = "min_free",  .type = KEY_SIZE,   .def = "1GiB", .max = INT64_MAX, TOP(spool.min_free),
	  .doc = "Spooling leaves at least this much of the file system free." },
	{ .name = "when_full", .type = KEY_CHOICE, .def = "block",
	  CHOICES({ "block", CONF_FULL_BLOCK }, { "drop_oldest", CONF_FULL_DROP_OLDEST },
		  { "drop_newest", CONF_FULL_DROP_NEWEST }), TOP(spool.when_full),
	  .doc = "When the spool is full: block stops reading, so that the log files are the buffer; drop_oldest gives up the "
		 "oldest spooled records for new ones; drop_newest does not keep what finds no room. What is dropped is "
		 "counted and listed by `spillway losses`." },
	{ .name = "sync",      .type = KEY_CHOICE, .def = "normal",
	  CHOICES({ "normal", CONF_SYNC_NORMAL }, { "full", CONF_SYNC_FULL }), TOP(spool.sync),
	  .doc = "What a power loss may cost: normal keeps what is spooled, but what was sent in the last five seconds may "
		 "come twice; full excludes that too, for one more fsync in each step of work." },
	{ 0 }
} };

static const struct key_section metrics = { .keys = (const struct conf_key[]) {
	{ .name = "listen", .type = KEY_TEXT, .flags = KEY_OFF, .def = "off", .example = "127.0.0.1:9845", .check = check_serve,
	  TOP(metrics_listen),
	  .doc = "Where metrics, health and the status page are served: off, ADDRESS:PORT with the address in numbers, or "
		 "unix:/path. There is no password: who reaches it reads it." },
	{ 0 }
} };

static const struct key_section logging = { .keys = (const struct conf_key[]) {
	{ .name = "level",  .type = KEY_CHOICE, .def = "info",
	  CHOICES({ "error", CONF_LOG_ERROR }, { "warn", CONF_LOG_WARN }, { "info", CONF_LOG_INFO },
		  { "debug", CONF_LOG_DEBUG }), TOP(log.level),
	  .doc = "The least important messages that are logged." },
	{ .name = "format", .type = KEY_CHOICE, .def = "logfmt", CHOICES({ "logfmt", false }, { "json", true }),
	  TOP(log.json),
	  .doc = "How a message is written: logfmt or json, one a line." },
	{ 0 }
} };

/* Patterns and names of a group of lines; the preset is one of these words, kept as its text. */
#define PATTERN(n, field, words) { .name = n, .type = KEY_TEXT, .doc = words, .check = check_pattern, IN(field) }
static const struct key_section multiline = { .keys = (const struct conf_key[]) {
	{ .name = "preset", .type = KEY_TEXT,
	  CHOICES({ "java", 0 }, { "python", 0 }, { "go", 0 }, { "ruby", 0 }, { "dotnet", 0 }), IN(multiline.preset),
	  .doc = "Patterns for what programs of this language print: stack traces stay with their message." },
	PATTERN("start", multiline.start, "PCRE2 pattern of the line that begins a record."),
	PATTERN("continue", multiline.next, "PCRE2 pattern of a line that belongs to the record before it."),
	PATTERN("end", multiline.end, "PCRE2 pattern of the line that ends a record."),
	{ .name = "timeout",   .type = KEY_TIME, .def = "1s", .min = 10, .max = HOUR_MS, IN(multiline.timeout_ms),
	  .doc = "A record is complete when no more lines came for so long." },
	{ .name = "max_lines", .type = KEY_NUMBER, .def = "500", .min = 1, .max = 1000000, IN(multiline.max_lines),
	  .doc = "A record of several lines has at most so many; the next line begins another one." },
	{ .name = "max_bytes", .type = KEY_SIZE, .def = "512KiB", .min = 1, .max = GIB, IN(multiline.max_bytes),
	  .set_offset = offsetof(struct conf_input, multiline.max_bytes_set),
	  .doc = "A record of several lines has at most so many bytes." },
	{ 0 }
} };

static const struct key_section event_time = { .keys = (const struct conf_key[]) {
	{ .name = "field",   .type = KEY_TEXT, .check = template_check_field, IN(event_time.field),
	  .doc = "Where in a JSON line the time stands: names with dots between, such as ts or log.time." },
	{ .name = "pattern", .type = KEY_TEXT, .check = check_pattern, IN(event_time.pattern),
	  .doc = "PCRE2 pattern whose first group is the time; without a group, all that it matches." },
	{ .name = "format",  .type = KEY_TEXT, .flags = KEY_REQUIRED, .check = check_time_format, IN(event_time.format),
	  .doc = "How the time is written: rfc3339, unix, unix_ms, unix_ns, or as strptime has it." },
	{ 0 }
} };

const struct key_section keys_top = { .keys = (const struct conf_key[]) {
	{ .name = "state_dir", .type = KEY_PATH,   .def = "/var/lib/spillway", TOP(state_dir),
	  .doc = "Where positions, the record of what is in flight, and spooled batches are kept. One agent a directory; it is "
		 "created, with mode 0700, when missing." },
	{ .name = "include",   .type = KEY_PATHS, .flags = KEY_BESIDE, .example = "conf.d/*.yaml", TOP(include),
	  .doc = "Further files of the configuration: globs, relative to this file, read in the order of their names. They add "
		 "inputs, and keys that are set nowhere else. That none is there is fine." },
	{ .name = "delivery",  .type = KEY_CHOICE, .def = "exactly_once",
	  CHOICES({ "exactly_once", CONF_EXACTLY_ONCE }, { "at_least_once", CONF_AT_LEAST_ONCE }), TOP(delivery),
	  .doc = "exactly_once loses and doubles no line, also when the agent is killed. at_least_once loses none, but may "
		 "send lines twice after a kill; it is the only choice with acks 0 or 1 or without idempotence." },
	{ .name = "threads",   SECTION(threads),
	  .doc = "How many threads do what." },
	{ .name = "max_lanes", .type = KEY_NUMBER, .def = "1000", .min = 1, .max = 100000, TOP(max_lanes),
	  .doc = "Most topics (or partitions chosen by a key) that may be under way at once; lines for further ones wait in "
		 "their file." },
	{ .name = "inputs",    .type = KEY_INPUTS, .flags = KEY_REQUIRED,
	  .doc = "What is read. A file that two of them match belongs to the first." },
	{ .name = "producer",  .type = KEY_PRODUCER, .flags = KEY_REQUIRED,
	  .doc = "Kafka's producer, by Kafka's own names." },
	{ .name = "spool",     SECTION(spool),
	  .doc = "Where records wait that memory cannot hold." },
	{ .name = "metrics",   SECTION(metrics),
	  .doc = "What Prometheus, probes and people may ask over HTTP." },
	{ .name = "control",   .type = KEY_PATH, TOP(control),
	  .doc = "The socket that `spillway status` asks; unset, it is control.sock in state_dir." },
	{ .name = "log",       SECTION(logging),
	  .doc = "What the agent says of itself, on stderr." },
	{ .name = "shutdown_timeout", .type = KEY_TIME, .def = "20s", .max = 24 * HOUR_MS, TOP(shutdown_timeout_ms),
	  .doc = "How long TERM waits for the delivery of what was read." },
	{ 0 }
} };

#define FILES   .types = KEY_TYPE(CONF_TYPE_FILE)
/* What cuts bytes into lines and puts lines together; a message of syslog or of the journal is one. */
#define STREAMS .types = KEY_TYPE(CONF_TYPE_FILE) | KEY_TYPE(CONF_TYPE_STDIN)
#define BOOLEAN CHOICES({ "true", true }, { "false", false })

const struct key_section keys_input = { .keys = (const struct conf_key[]) {
	{ .name = "name",       .type = KEY_TEXT, IN(name),
	  .doc = "What status, metrics and messages call the input; unique. Unset: its first path, its address, stdin or "
		 "journald." },
	{ .name = "type",       .type = KEY_CHOICE, .def = "file",
	  CHOICES({ "file", CONF_TYPE_FILE }, { "stdin", CONF_TYPE_STDIN }, { "syslog", CONF_TYPE_SYSLOG },
		  { "journald", CONF_TYPE_JOURNALD }), IN(type),
	  .doc = "Where lines come from." },
	{ .name = "paths",      .type = KEY_PATHS, FILES, .flags = KEY_REQUIRED, IN(paths),
	  .doc = "Which files are read: globs. * ? [] do not cross a slash, ** does; {a,b} are alternatives. Files that appear "
		 "later are found too." },
	{ .name = "exclude",    .type = KEY_TEXTS, FILES, .check = check_glob, IN(exclude),
	  .doc = "Which of them are not: a pattern without a slash is compared with the file's name, others with the whole "
		 "path." },
	{ .name = "read_from",  .type = KEY_CHOICE, .types = KEY_TYPE(CONF_TYPE_FILE) | KEY_TYPE(CONF_TYPE_JOURNALD),
	  .def = "beginning",
	  CHOICES({ "beginning", CONF_READ_BEGINNING }, { "end", CONF_READ_END }), IN(read_from),
	  .doc = "Where reading begins in files (and the journal) that exist at the very first start; later files are read "
		 "from their beginning." },
	{ .name = "ignore_older", .type = KEY_TIME, FILES, .def = "off", .example = "7d", .min = 1000, .max = INT64_MAX,
	  CHOICES({ "off", 0 }), IN(ignore_older_ms),
	  .doc = "Files that were not written for so long are left alone, until somebody writes to them again." },
	{ .name = "follow_symlinks", .type = KEY_CHOICE, FILES, .def = "false", BOOLEAN, IN(follow_symlinks),
	  .doc = "Whether a link that a glob matches is read as the file that it leads to." },
	{ .name = "watch",      .type = KEY_CHOICE, FILES, .def = "auto",
	  CHOICES({ "auto", CONF_WATCH_AUTO }, { "inotify", CONF_WATCH_INOTIFY }, { "poll", CONF_WATCH_POLL }), IN(watch),
	  .doc = "How changes are noticed: inotify, poll (a look every second), or auto, which is inotify where it works and "
		 "poll elsewhere." },
	{ .name = "compressed", .type = KEY_CHOICE, FILES, .def = "false", BOOLEAN, IN(compressed),
	  .doc = "Whether .gz and .zst files, told by their first bytes, are unpacked and read once." },
	{ .name = "listen",     .type = KEY_TEXT, .types = KEY_TYPE(CONF_TYPE_SYSLOG), .flags = KEY_REQUIRED,
	  .check = check_listen, IN(listen),
	  .doc = "Where syslog messages arrive: udp:ADDRESS:PORT, tcp:ADDRESS:PORT or unix:/path, addresses in numbers." },
	{ .name = "directory",  .type = KEY_PATH, .types = KEY_TYPE(CONF_TYPE_JOURNALD), IN(directory),
	  .doc = "A directory of journal files; unset, the journal of this machine." },
	{ .name = "units",      .type = KEY_TEXTS, .types = KEY_TYPE(CONF_TYPE_JOURNALD), .check = check_unit, IN(units),
	  .doc = "Only entries of these systemd units; unset, of all." },
	{ .name = "encoding",   .type = KEY_TEXT, STREAMS, .flags = KEY_LOWER, .def = "utf-8", .check = check_encoding,
	  IN(encoding),
	  .doc = "What the bytes are, by iconv's name: all but utf-8 is converted to it. With utf-8 bytes are taken as they "
		 "are." },
	{ .name = "max_line",   .type = KEY_SIZE, .def = "1000KiB", .min = 1, .max = GIB, IN(max_line),
	  .set_offset = offsetof(struct conf_input, max_line_set),
	  .doc = "The longest line in bytes; see long_lines. A default that does not fit max.request.size and buffer.memory is "
		 "lowered." },
	{ .name = "long_lines", .type = KEY_CHOICE, .def = "split",
	  CHOICES({ "split", CONF_LONG_SPLIT }, { "truncate", CONF_LONG_TRUNCATE }, { "skip", CONF_LONG_SKIP }),
	  IN(long_lines),
	  .doc = "What becomes of a longer line: split makes several records, truncate keeps its beginning, skip none of it. "
		 "What is cut is listed by `spillway losses`." },
	{ .name = "format",     .type = KEY_CHOICE, STREAMS, .def = "raw",
	  CHOICES({ "raw", CONF_FORMAT_RAW }, { "docker", CONF_FORMAT_DOCKER }, { "cri", CONF_FORMAT_CRI },
		  { "auto", CONF_FORMAT_AUTO }), IN(format),
	  .doc = "What containers write around a line: docker or cri is taken off and split lines are joined; auto looks at "
		 "each file; raw takes lines as they are." },
	{ .name = "multiline",  SECTION(multiline), STREAMS, .set_offset = offsetof(struct conf_input, multiline.set),
	  .doc = "Several lines that are one record: by a preset, or by patterns for where one starts, continues or ends." },
	{ .name = "include_lines", .type = KEY_TEXTS, .check = check_pattern, IN(include_lines),
	  .doc = "Only lines (or groups of lines) that one of these PCRE2 patterns is found in." },
	{ .name = "exclude_lines", .type = KEY_TEXTS, .check = check_pattern, IN(exclude_lines),
	  .doc = "No lines in which one of these PCRE2 patterns is found." },
	{ .name = "when_full",  .type = KEY_CHOICE, .def = "spill",
	  CHOICES({ "spill", CONF_INPUT_SPILL }, { "wait", CONF_INPUT_WAIT }), IN(when_full),
	  .doc = "When memory is full: spill moves records to the spool; wait leaves the lines in their file and reads them "
		 "again later." },
	{ .name = "topic",      .type = KEY_TOPIC, .flags = KEY_REQUIRED, IN(topic),
	  .doc = "The topic, or a template of it: %{path}, %{file}, %{dir}, %{host}, %{input}, %{env.NAME}, and of the single "
		 "line %{field.a.b}, %{offset}, %{stream}, %{time}. A character that no topic may hold becomes \"_\"." },
	{ .name = "topics_allowed", .type = KEY_TEXTS, .check = check_topic_glob, IN(topics_allowed),
	  .doc = "Names or globs of topics; needed when the topic takes anything from lines, as whoever writes those could "
		 "name any." },
	{ .name = "key",        .type = KEY_TEMPLATE, IN(key),
	  .doc = "The key of every record, a template as topic; unset, records have no key." },
	/* -1, outside of the bounds, is what the field says when the key is absent. */
	{ .name = "partition",  .type = KEY_NUMBER, .def = "-1", .max = INT32_MAX, IN(partition),
	  .doc = "The partition of every record; unset, the producer decides by partitioner.class." },
	{ .name = "headers",    .type = KEY_TEMPLATES, IN(headers),
	  .doc = "Headers of every record: names and templates." },
	{ .name = "value",      .type = KEY_CHOICE, .def = "raw", CHOICES({ "raw", CONF_VALUE_RAW }, { "json", CONF_VALUE_JSON }),
	  IN(value),
	  .doc = "raw: the record is the line as it is. json: an object of message, path, offset, host, time and the fields "
		 "that are known." },
	{ .name = "event_time", SECTION(event_time),
	  .doc = "The time that the line itself names; it becomes the header event_time." },
	{ 0 }
} };

const struct conf_key *keys_find(const struct key_section *s, const char *name)
{
	for (const struct conf_key *k = s->keys; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
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

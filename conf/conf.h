/* conf.h - the configuration file: read, checked, typed.
 *
 * Drop-ins: `include` names files whose inputs and keys are taken as if they stood in the first one; problems say in which
 * file they are.
 * Promise: all problems of a file are found in one run, each with file, line and column; an unknown key or value
 * comes with the nearest known name. Nothing is half-applied: with one problem there is no struct conf.
 * Calling sequence: conf_load, use (read-only, any thread), conf_free.
 * The keys under `producer:` are not known here, but for `bootstrap.servers` (required) and `preset` (handed over as
 * CONF_PRESET when absent; max-reliability also changes the default of spool.sync): each is handed to hooks->producer_set
 * as its text, units included; lists and sections as JSON.
 * Ownership: struct conf owns every string it points to.
 */
#ifndef SPILLWAY_CONF_H
#define SPILLWAY_CONF_H

#define CONF_PRESET "balanced"		/* where none is named */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

enum conf_read_from { CONF_READ_BEGINNING, CONF_READ_END };
enum conf_sync { CONF_SYNC_NORMAL, CONF_SYNC_FULL };
enum conf_input_full { CONF_INPUT_SPILL, CONF_INPUT_WAIT };
enum conf_when_full { CONF_FULL_BLOCK, CONF_FULL_DROP_OLDEST, CONF_FULL_DROP_NEWEST };
enum conf_log_level { CONF_LOG_ERROR, CONF_LOG_WARN, CONF_LOG_INFO, CONF_LOG_DEBUG };	/* enum log_level's order */
enum conf_delivery { CONF_EXACTLY_ONCE, CONF_AT_LEAST_ONCE };

enum conf_input_type { CONF_TYPE_FILE, CONF_TYPE_STDIN, CONF_TYPE_SYSLOG, CONF_TYPE_JOURNALD };
enum conf_watch { CONF_WATCH_AUTO, CONF_WATCH_INOTIFY, CONF_WATCH_POLL };
enum conf_long_lines { CONF_LONG_SPLIT, CONF_LONG_TRUNCATE, CONF_LONG_SKIP };
enum conf_format { CONF_FORMAT_RAW, CONF_FORMAT_DOCKER, CONF_FORMAT_CRI, CONF_FORMAT_AUTO };
enum conf_value { CONF_VALUE_RAW, CONF_VALUE_JSON };

struct conf_strings { char **v; size_t n; };
struct conf_pairs { char **names, **values; size_t n; };	/* in the order of the file */

struct conf_multiline {
	bool    set;			/* the key is there: a preset or at least one pattern is */
	char   *preset;			/* java python go ruby dotnet, or NULL */
	char   *start, *next, *end;	/* PCRE2, or NULL; `next` is the key "continue" */
	int64_t timeout_ms, max_lines, max_bytes;
	bool    max_bytes_set;		/* as max_line_set */
};

struct conf_event_time {
	char *field;			/* a path into a JSON line, "a.b"; or */
	char *pattern;			/* PCRE2 whose first group (without one: all of it) is the time; NULL both: the
					 * key is absent */
	char *format;			/* rfc3339, unix, unix_ms, unix_ns, or strptime's */
};

struct conf_input {
	char *name;			/* default: the first path, "stdin", the address, "journald"; unique */
	enum conf_input_type type;	/* what follows up to `compressed` is of files */
	struct conf_strings paths;	/* globs: * ? [] {a,b} **; always absolute */
	struct conf_strings exclude;	/* without a slash: for the name; else absolute, or it begins with a glob */
	enum conf_read_from read_from;
	int64_t ignore_older_ms;	/* by mtime; 0: off */
	bool    follow_symlinks;
	enum conf_watch watch;
	bool    compressed;
	char   *encoding;		/* an iconv name in lower case; "utf-8" or NULL: bytes as they are */
	int64_t max_line;		/* bytes, without LF */
	bool    max_line_set;		/* explicit: it must fit; otherwise the agent may lower it */
	enum conf_long_lines long_lines;
	enum conf_format format;
	struct conf_multiline multiline;
	struct conf_strings include_lines, exclude_lines;	/* PCRE2 */
	enum conf_input_full when_full;
	char   *topic;			/* template, see template.h */
	struct conf_strings topics_allowed;	/* names or globs; not empty when the topic takes anything from lines */
	char   *key;			/* template or NULL */
	int32_t partition;		/* -1: the partitioner decides */
	struct conf_pairs headers;	/* templates */
	enum conf_value value;
	struct conf_event_time event_time;
	char   *listen;			/* syslog: udp:ADDRESS:PORT, tcp:ADDRESS:PORT, unix:/path; else NULL */
	struct conf_strings units;	/* journald */
	char   *directory;		/* journald: of its files; NULL: the system's journal */
	const char *path;		/* of the file in which it stands, one of conf's `files` */
	int     line, column;		/* where the input begins there, for later messages */
};

struct conf {
	char *path;			/* of the file */
	char *state_dir;
	enum conf_delivery delivery;
	int64_t compress_threads;	/* 0: auto */
	int64_t max_lanes;
	struct conf_input *inputs;
	size_t input_count;
	struct { int64_t max_size, min_free; enum conf_when_full when_full; enum conf_sync sync; } spool;
	char *metrics_listen;		/* ADDRESS:PORT or unix:/path; NULL: off */
	struct conf_strings include;	/* globs, absolute; in name order they add inputs and keys that are set nowhere else */
	struct conf_strings files;	/* that were read: the configuration, then what it includes */
	char *control;			/* path of the control socket; default <state_dir>/control.sock */
	struct { int level; bool json; } log;	/* level: enum conf_log_level */
	int64_t shutdown_timeout_ms;
	/* Addresses of the fields (and list elements) in here whose text came from ${file:} or ${cred:}. */
	const void **masked;
	size_t masked_count;
	struct conf_strings producer_masked;	/* names of keys under `producer:` with such text */
};

struct conf_problem {
	char *text;			/* "FILE:LINE:COLUMN: message (did you mean "…"?)" */
	int   line, column;		/* 0: about the file as a whole, then "FILE: message" */
};
struct conf_problems { struct conf_problem *v; size_t n; };

typedef void conf_say_fn(void *arg, const char *words);
struct conf_hooks {
	/* One key under `producer:` with its text, interpolated. Returns 0, or an error whose text becomes the problem at that
	 * key's place (it brings its own "did you mean"). `preset` is handed over first, wherever it stands. */
	int (*producer_set)(void *arg, const char *name, const char *value, struct err *ret_err);
	/* After all keys: cross-checks of the section as a whole. Says each problem; it is reported at the key that the words
	 * begin with, else at the section's place, and not at all at a key that has a problem of its own. 0 or ERR_NOMEM. */
	int (*producer_finish)(void *arg, conf_say_fn *say, void *say_arg);
	void *arg;
	/* Whether a key may be a list or a section: producer_set gets it as compact JSON. NULL: none may. */
	bool (*producer_takes_json)(void *arg, const char *name);
	/* Last, also when there are problems (*c holds defaults where they are): checks that only the agent can make, by
	 * conf_problem_add. 0 or ERR_NOMEM. NULL: none. */
	int (*finish)(void *arg, struct conf *c, struct conf_problems *problems);
};

/* 0 and *ret_conf; or ERR_CONFIG with problems->n > 0, in the order of the file (at most 100, the last one says
 * so); or -errno when the file cannot be read (one problem says so); or ERR_NOMEM. `problems` begins as { 0 };
 * hooks may be NULL. */
int  conf_load(const char *path, const struct conf_hooks *hooks, struct conf **ret_conf,
	       struct conf_problems *problems);
/* The same for text in memory; `path` only names it, and nothing is included. */
int  conf_load_text(const char *path, const char *text, size_t n, const struct conf_hooks *hooks,
		    struct conf **ret_conf, struct conf_problems *problems);
void conf_free(struct conf *c);
void conf_problems_release(struct conf_problems *p);
/* Adds "FILE:LINE:COLUMN: text" for a check that only the agent can make (max_line against max.request.size, ...);
 * line 0: "FILE: text". Control bytes become "?". 0 or ERR_NOMEM. */
int  conf_problem_add(struct conf_problems *p, const char *path, int line, int column, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* The effective configuration as YAML that conf_load reads back to the same struct, without the `producer:` section;
 * what came from ${file:} prints as ***. */
void conf_print(const struct conf *c, struct buf *out);
/* One value of the `producer:` section, quoted where YAML needs it, or *** when it is secret. */
void conf_print_producer(const struct conf *c, const char *name, const char *value, bool is_json, struct buf *out);
/* Whether metrics.listen is an address that other machines may reach. */
bool conf_metrics_public(const struct conf *c);
const char *conf_yaml_version(void);	/* of libyaml */

#endif

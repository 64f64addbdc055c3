/* log.h - one line an event to stderr, logfmt or JSON, with <N> priorities under systemd.
 *
 * Threads: any. A line is written by one write(2), so lines never mix.
 * Values are escaped: control bytes never reach the terminal or the journal.
 * Only agent/ logs; library folders return errors or raise events.
 *
 *	log_warn("cannot open file, retrying in 10 s", KS("path", path), KE(rc));
 */
#ifndef SPILLWAY_LOG_H
#define SPILLWAY_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"	/* for KE */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_field {
	const char *key;
	const char *str;	/* used if not NULL */
	int64_t     num;
};

/* A function: "value ? value : literal" in the macro makes compilers warn about arrays and literals. */
static inline const char *log_str(const char *s) { return s ? s : ""; }

#define KS(k, v) ((struct log_field){ .key = (k), .str = log_str(v) })
#define KI(k, v) ((struct log_field){ .key = (k), .num = (int64_t)(v) })
#define KE(rc)   ((struct log_field){ .key = "error", .str = err_text(rc) })

void log_setup(enum log_level level, bool json);
/* Returns the level of a name (error|warn|info|debug), or -1. */
int  log_level_parse(const char *name);
bool log_enabled(enum log_level level);
/* A line of which more than 20 a minute come (same message, same first field; not debug) is held back until the minute is over,
 * then one line says how many were. That is said at the next line, or here: for a timer, and all: at the end. */
void log_tell_held(bool all);
void log_write(enum log_level level, const char *msg, const struct log_field *f, size_t n);

/* What may happen once a line and is worth one line a minute. One thread's. */
struct log_seldom { int64_t said_ms; uint64_t count; };	/* count: not said yet */
/* Counts; how many times it happened if it is to be said now, else 0. now_ms: monotonic. */
uint64_t log_seldom(struct log_seldom *s, int64_t now_ms);

#define LOG_(level, msg, ...) do { \
	if (log_enabled(level)) { \
		const struct log_field f_[] = { { 0 }, __VA_ARGS__ }; \
		log_write(level, msg, f_ + 1, sizeof f_ / sizeof f_[0] - 1); \
	} } while (0)
#define log_error(msg, ...) LOG_(LOG_LEVEL_ERROR, msg, __VA_ARGS__)
#define log_warn(msg, ...)  LOG_(LOG_LEVEL_WARN, msg, __VA_ARGS__)
#define log_info(msg, ...)  LOG_(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_debug(msg, ...) LOG_(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)

#endif

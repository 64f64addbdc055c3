/* log_rate.h - keeps a line that repeats from filling the journal: the first of a minute are written, the rest is counted.
 *
 * Two lines are the same when message and first field are. Time is an argument. Threads: any. Lock: one, leaf.
 */
#ifndef SPILLWAY_LOG_RATE_H
#define SPILLWAY_LOG_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/log.h"

#define LOG_RATE_MAX       20		/* of one line in one window */
#define LOG_RATE_WINDOW_MS 60000

/* What was held back of one line in a window that is over. */
struct log_held {
	enum log_level level;
	char     msg[160], key[24], value[160];	/* cut; key empty: the line has no field */
	uint64_t count;
};

/* Counts the line; whether it is to be written. */
bool log_rate_pass(enum log_level level, const char *msg, const struct log_field *first, int64_t now_ms);
/* The next line of which some were held back in a window that is over by now_ms (INT64_MAX: all), to be said; it begins anew. */
bool log_rate_held(int64_t now_ms, struct log_held *ret);

#endif

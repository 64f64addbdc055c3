/* lag.h - how old the oldest byte of a file is that is not finished: marks of when sizes were first seen.
 *
 * Promise: never less than the truth as far as it was seen, and more by at most what lies between two marks: 100 ms, or about a
 * sixth of the time that is marked. Times are the caller's, in ms of one clock. Threads: the owner's.
 */
#ifndef SPILLWAY_LAG_H
#define SPILLWAY_LAG_H

#include <stdint.h>

#define LAG_MARKS 12
#define LAG_STEP_MS 100

struct lag {
	uint32_t count;
	struct lag_mark { int64_t to, ms; } marks[LAG_MARKS];	/* both grow; bytes below `to` were there at ms */
};

/* The file has `size` bytes; those that are new have been there since ms, or since the last mark if that is later. */
void lag_seen(struct lag *l, int64_t size, int64_t ms);
/* Bytes below `safe` are finished. Returns whether any are left. */
int  lag_finished(struct lag *l, int64_t safe);
/* Of the oldest byte from `safe` on; 0: none is known. */
int64_t lag_age(const struct lag *l, int64_t safe, int64_t now_ms);

#endif

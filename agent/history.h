/* history.h - the counters of the last five minutes, one sample a second, and what follows from them: rates, and how long the
 * spool lasts. Fixed memory. Times are the caller's. Threads: the owner's (main).
 */
#ifndef SPILLWAY_HISTORY_H
#define SPILLWAY_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_SAMPLES   301
#define HISTORY_EVERY_MS  1000
#define HISTORY_WINDOW_MS 60000	/* rates are those of the last minute */
#define HISTORY_AHEAD_MS  15000	/* what was before an outage, or in it, says nothing about how it goes on */

struct history_sample {
	int64_t  ms;			/* CLOCK_MONOTONIC */
	uint64_t read, acked;		/* records, ever growing, but for lines that are to be read again */
	uint64_t read_bytes;		/* of files */
	uint64_t spooled, spool_bytes;	/* now */
};
struct history { uint32_t count, next; struct history_sample samples[HISTORY_SAMPLES]; };

/* Each a second, over `seconds`; 0 seconds: nothing is known yet. The last two may be negative. */
struct history_rates { double seconds, read, read_bytes, acked, spooled, spool_bytes; };

void history_add(struct history *h, const struct history_sample *s);
/* i counts from the oldest. */
const struct history_sample *history_at(const struct history *h, uint32_t i);
void history_rates(const struct history *h, struct history_rates *ret);
/* Those to look ahead by. */
void history_ahead(const struct history *h, struct history_rates *ret);
/* Between sample i - 1 and i, i from 1. */
void history_step(const struct history *h, uint32_t i, struct history_rates *ret);

/* Seconds until the spool has no room / is empty at this rate; -1: it does not come to that. room: bytes. */
double history_full_in(const struct history_rates *r, int64_t room);
double history_drained_in(const struct history_rates *r, uint64_t spool_bytes);

#endif

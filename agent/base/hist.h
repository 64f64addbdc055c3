/* hist.h - how long things took: counts in buckets that are within 1/64 of the value, from 0 to 2^40.
 * Not locked: one thread, or a lock of the owner's. */
#ifndef SPILLWAY_HIST_H
#define SPILLWAY_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 6		/* 64 buckets for each doubling */
#define HIST_MAX_BITS 40
#define HIST_BUCKETS ((HIST_MAX_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t count, sum, max;
	uint64_t buckets[HIST_BUCKETS];
};

/* Larger values count as the largest. */
void     hist_add(struct hist *h, uint64_t value);
/* The value that the share q (0..1) of all do not exceed, to within a bucket; 0 when nothing was added. */
uint64_t hist_quantile(const struct hist *h, double q);
/* How many are at most `value` (to within a bucket). */
uint64_t hist_at_most(const struct hist *h, uint64_t value);

#endif

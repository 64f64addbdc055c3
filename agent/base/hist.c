/* hist.c - log-linear buckets: exact below 64, then 64 equal steps for each doubling. Adding costs a shift and an add. */
#include "agent/base/hist.h"

#define SUB (1u << HIST_SUB_BITS)

static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < SUB)
		return (unsigned int)value;
	if (value >> HIST_MAX_BITS)
		return HIST_BUCKETS - 1;
	shift = 63u - (unsigned int)__builtin_clzll(value) - HIST_SUB_BITS;
	return ((shift + 1) << HIST_SUB_BITS) + (unsigned int)((value >> shift) - SUB);
}

/* The largest value that falls into it. */
static uint64_t top_of(unsigned int bucket)
{
	unsigned int shift = bucket >> HIST_SUB_BITS;

	if (shift == 0)
		return bucket;
	shift--;
	return ((uint64_t)((bucket & (SUB - 1)) + SUB + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t value)
{
	h->buckets[bucket_of(value)]++;
	h->count++;
	h->sum += value;
	if (value > h->max)
		h->max = value;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->count + 0.5), seen = 0;

	if (want < 1)
		want = 1;
	for (unsigned int i = 0; h->count && i < HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= want)
			return top_of(i) < h->max ? top_of(i) : h->max;
	}
	return h->max;
}

uint64_t hist_at_most(const struct hist *h, uint64_t value)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i <= bucket_of(value); i++)
		n += h->buckets[i];
	return n;
}

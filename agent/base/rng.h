/* rng.h - numbers that need not be secret: jitter, choices among equals. Not locked: the state is its owner's. */
#ifndef SPILLWAY_RNG_H
#define SPILLWAY_RNG_H

#include <stdint.h>

/* The next of a linear congruential generator (Knuth's MMIX), its upper 31 bits: the lower ones are poor. */
static inline uint64_t rng_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

#endif

/* fuzz.h - what every fuzz target includes: a reader of the input, and a check that ends the run.
 *
 * A target is one function of the input's bytes. It must not depend on earlier inputs, and leave nothing behind. */
#ifndef SPILLWAY_TESTS_FUZZ_H
#define SPILLWAY_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* libFuzzer's name for it. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct fuzz_in { const uint8_t *p; size_t n; };

/* The next byte; 0 when there is none. */
static inline uint8_t fuzz_byte(struct fuzz_in *in)
{
	if (!in->n)
		return 0;
	in->n--;
	return *in->p++;
}

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #x); abort(); } } while (0)

#endif

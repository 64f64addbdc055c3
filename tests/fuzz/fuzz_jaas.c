/* fuzz_jaas.c - any text as sasl.jaas.config: parsed or refused, and what is refused has words. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "producer/jaas.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);
	struct err e = { 0 };
	struct jaas j;

	if (n)
		memcpy(text, data, n);
	text[n] = 0;
	if (jaas_parse(text, &j, &e) == 0) {
		for (size_t i = 0; i < j.option_count; i++)
			if (jaas_option(&j, j.options[i].name) != j.options[i].value)
				abort();
		jaas_release(&j);
	} else if (strncmp(e.text, "sasl.jaas.config: ", 18) != 0) {
		abort();
	}
	free(text);
	return 0;
}

/* fuzz_units.c - sizes, times and nearest names out of any text.
 *
 * Input: the text. */
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/units.h"
#include "tests/fuzz/fuzz.h"

static void sizes(const char *text)
{
	int64_t v = -1, again = -1;
	char b[32];
	int rc = units_parse_size(text, &v);

	CHECK(rc == 0 || rc == ERR_BAD_DATA);
	if (rc == 0) {
		CHECK(v >= 0);
		CHECK(units_parse_size(units_print_size(b, sizeof b, v), &again) == 0 && again == v);
	}
}

static void times(const char *text, int plain_ok)
{
	int64_t v = -1, again = -1;
	char b[32];
	int rc = units_parse_time(text, plain_ok, &v);

	CHECK(rc == 0 || rc == ERR_BAD_DATA);
	if (rc == 0) {
		CHECK(v >= 0);
		CHECK(units_parse_time(units_print_time(b, sizeof b, v), 1, &again) == 0 && again == v);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const names[] = { "batch.size", "linger.ms", "compression.type", "", "a", NULL };
	char *text = malloc(n + 1);
	const char *near;

	memcpy(text, data, n);
	text[n] = 0;
	sizes(text);
	times(text, 0);
	times(text, 1);
	near = units_nearest(text, names);
	for (size_t i = 0; near && names[i] != near; i++)
		CHECK(names[i]);
	free(text);
	return 0;
}

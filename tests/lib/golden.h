/* golden.h - known bytes, kept as text: tests/golden/FILE.hex, one `name hex...` a line, # begins a comment line.
 * Tests run in the project's root. GOLDEN_WRITE=1 in the environment prints what a test made instead of comparing, as a
 * line ready for the file; tests/golden/README.md says how such lines are confirmed before they are believed.
 */
#ifndef SPILLWAY_TESTS_GOLDEN_H
#define SPILLWAY_TESTS_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

#define GOLDEN_MAX 65536

static inline int golden_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of `name` into out (GOLDEN_MAX large); how many. Fails the test when there are none. */
static inline size_t golden(const char *file, const char *name, uint8_t *out)
{
	static char line[2 * GOLDEN_MAX + 256];
	char path[256];
	size_t n = 0, name_len = strlen(name);
	FILE *f;

	snprintf(path, sizeof path, "tests/golden/%s.hex", file);
	f = fopen(path, "r");
	if (!f)
		fail_msg("cannot open %s: tests run in the project's root", path);
	while (fgets(line, sizeof line, f)) {
		const char *p = line + name_len + 1;

		if (strncmp(line, name, name_len) || line[name_len] != ' ')
			continue;
		for (n = 0; n < GOLDEN_MAX && golden_digit(p[0]) >= 0 && golden_digit(p[1]) >= 0; p += 2)
			out[n++] = (uint8_t)(golden_digit(p[0]) << 4 | golden_digit(p[1]));
		break;
	}
	fclose(f);
	if (!n)
		fail_msg("%s has no %s", path, name);
	return n;
}

/* True: the caller's comparison is off, the bytes went to stdout. */
static inline int golden_write(const char *file, const char *name, const uint8_t *p, size_t n)
{
	if (!getenv("GOLDEN_WRITE"))
		return 0;
	printf("GOLDEN %s %s ", file, name);
	while (n--)
		printf("%02x", *p++);
	printf("\n");
	return 1;
}

static inline void golden_compare(const char *file, const char *name, const uint8_t *p, size_t n)
{
	static uint8_t want[GOLDEN_MAX];
	size_t want_n;

	if (golden_write(file, name, p, n))
		return;
	want_n = golden(file, name, want);
	assert_int_equal(n, want_n);
	assert_memory_equal(p, want, n);
}

#endif

/* units.c - sizes and times as people write them, both ways.
 *
 * Invariant: what units_print_* writes, units_parse_* reads back as the same number.
 * Threads: any; no state. Failure: ERR_BAD_DATA for anything but digits and a known unit, and for overflow.
 */
#include "agent/base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"

struct unit {
	const char *name;
	int64_t     factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit sizes[] = {
	{ "TiB", 1ll << 40 }, { "GiB", 1ll << 30 }, { "MiB", 1ll << 20 }, { "KiB", 1ll << 10 }, { "B", 1 }, { NULL, 0 },
};

static const struct unit times[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }, { NULL, 0 },
};

static int parse(const char *s, const struct unit *units, int plain_ok, int64_t *ret)
{
	int64_t n = 0;

	if (*s < '0' || *s > '9')
		return ERR_BAD_DATA;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
			return ERR_BAD_DATA;
	if (!*s && plain_ok) {
		*ret = n;
		return 0;
	}
	for (; units->name; units++) {
		if (strcmp(s, units->name))
			continue;
		if (__builtin_mul_overflow(n, units->factor, &n))
			return ERR_BAD_DATA;
		*ret = n;
		return 0;
	}
	return ERR_BAD_DATA;
}

int units_parse_size(const char *s, int64_t *ret_bytes)
{
	return parse(s, sizes, 1, ret_bytes);
}

int units_parse_time(const char *s, int plain_ok, int64_t *ret_ms)
{
	return parse(s, times, plain_ok, ret_ms);
}

static char *print(char *buf, size_t n, int64_t value, const struct unit *u)
{
	while (u->factor > 1 && (value == 0 || value % u->factor))
		u++;
	snprintf(buf, n, "%" PRId64 "%s", value / u->factor, u->name);
	return buf;
}

char *units_print_size(char *buf, size_t n, int64_t bytes)
{
	return print(buf, n, bytes, sizes);
}

char *units_print_time(char *buf, size_t n, int64_t ms)
{
	return print(buf, n, ms, times);
}

#define WORD_MAX 64

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, where two neighbours changed about count as one. SIZE_MAX for words beyond WORD_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], a_len = strlen(a), b_len = strlen(b);
	size_t *before = rows[0], *prev = rows[1], *cur = rows[2], *spare;

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		prev[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		cur[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			cur[j] = min(min(prev[j], cur[j - 1]) + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cur[j] = min(cur[j], before[j - 2] + 1);
		}
		spare = before;
		before = prev;
		prev = cur;
		cur = spare;
	}
	return prev[b_len];
}

const char *units_nearest(const char *word, const char *const *names)
{
	size_t limit = 1 + strlen(word) / 4, best = limit + 1, d;
	const char *nearest = NULL;

	for (; *names; names++) {
		d = distance(word, *names);
		if (d < best) {
			best = d;
			nearest = *names;
		}
	}
	return nearest;
}

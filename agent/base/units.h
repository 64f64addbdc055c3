/* units.h - sizes and times as people write them. */
#ifndef SPILLWAY_UNITS_H
#define SPILLWAY_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* "10GiB", "256KiB", "1048576". Units: B KiB MiB GiB TiB. 0 or ERR_BAD_DATA. */
int units_parse_size(const char *s, int64_t *ret_bytes);
/* "500ms", "3s", "5m", "1h", "7d"; a plain number is milliseconds if plain_ok, else an error. */
int units_parse_time(const char *s, int plain_ok, int64_t *ret_ms);
/* Shortest exact form: 262144 -> "256KiB", 3000 -> "3s". buf of 32 is enough. Returns buf. */
char *units_print_size(char *buf, size_t n, int64_t bytes);
char *units_print_time(char *buf, size_t n, int64_t ms);
/* The name of `names` (NULL-terminated) nearest to `word`, or NULL when none is near (edit distance <= 1 + len/4). */
const char *units_nearest(const char *word, const char *const *names);

#endif

/* rfc3339.h - "2016-10-06T00:17:09.669794202Z" as nanoseconds since 1970. */
#ifndef SPILLWAY_RFC3339_H
#define SPILLWAY_RFC3339_H

#include <stddef.h>
#include <stdint.h>

/* Reads a time at the beginning of the n bytes at p: date, T (t or a blank), time, up to nine digits of a fraction that count (more
 * are cut), then Z, z or an offset. Returns how many bytes it takes; 0: there is none, or none that fits *ret_ns. */
size_t rfc3339_read(const void *p, size_t n, int64_t *ret_ns);

#endif

/* json.h - is this text one JSON value (RFC 8259)? Nothing is built, nothing is allocated. */
#ifndef SPILLWAY_JSON_H
#define SPILLWAY_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 512

/* Exactly one value, blanks around it allowed, strings in valid UTF-8. *ret_at: how many bytes were fine. */
bool json_valid(const void *data, size_t n, size_t *ret_at);
/* The same with at most so many containers within each other, up to JSON_DEPTH_MAX. */
bool json_valid_within(const void *data, size_t n, uint32_t depth_max, size_t *ret_at);

#endif

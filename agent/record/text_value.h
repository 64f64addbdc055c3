/* text_value.h - a key or value that a person wrote as text, as what the serializer of that name takes. */
#ifndef SPILLWAY_TEXT_VALUE_H
#define SPILLWAY_TEXT_VALUE_H

#include <stddef.h>
#include <stdint.h>

struct text_value {
	const void *data;	/* into the text, or to one of these */
	size_t      n;
	union { int32_t integer; int64_t long_; double double_; uint8_t uuid[16]; };
};

/* serializer: integer, long, double and uuid are parsed, all others are taken as they are. 0, or ERR_BAD_DATA. */
int text_value(const char *serializer, const char *text, size_t n, struct text_value *ret);

#endif

/* text_value.c - see text_value.h. Strict: nothing may stand before or behind a number. */
#include "agent/record/text_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"

#define NUMBER_MAX 63
#define UUID_TEXT 36

static int read_long(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(s, &end, 10);
	return *end || errno || *ret < min || *ret > max ? ERR_BAD_DATA : 0;
}

static int take_integer(const char *s, struct text_value *v)
{
	int64_t n;

	if (read_long(s, INT32_MIN, INT32_MAX, &n) < 0)
		return ERR_BAD_DATA;
	v->integer = (int32_t)n;
	v->data = &v->integer;
	v->n = sizeof v->integer;
	return 0;
}

static int take_long(const char *s, struct text_value *v)
{
	v->data = &v->long_;
	v->n = sizeof v->long_;
	return read_long(s, INT64_MIN, INT64_MAX, &v->long_);
}

static int take_double(const char *s, struct text_value *v)
{
	char *end;

	v->double_ = strtod(s, &end);
	v->data = &v->double_;
	v->n = sizeof v->double_;
	return *end ? ERR_BAD_DATA : 0;
}

static int nibble(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

static int take_uuid(const char *s, struct text_value *v)
{
	size_t at = 0;

	if (strlen(s) != UUID_TEXT)
		return ERR_BAD_DATA;
	for (size_t i = 0; i < UUID_TEXT; ) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (s[i++] != '-')
				return ERR_BAD_DATA;
			continue;
		}
		if (nibble(s[i]) < 0 || nibble(s[i + 1]) < 0)
			return ERR_BAD_DATA;
		v->uuid[at++] = (uint8_t)(nibble(s[i]) << 4 | nibble(s[i + 1]));
		i += 2;
	}
	v->data = v->uuid;
	v->n = sizeof v->uuid;
	return 0;
}

int text_value(const char *serializer, const char *text, size_t n, struct text_value *ret)
{
	static const struct { const char *name; int (*take)(const char *s, struct text_value *v); } parsed[] = {
		{ "integer", take_integer }, { "long", take_long }, { "double", take_double }, { "uuid", take_uuid },
	};
	char copy[NUMBER_MAX + 1];

	*ret = (struct text_value){ .data = text, .n = n };
	for (size_t i = 0; i < sizeof parsed / sizeof parsed[0]; i++) {
		if (strcmp(parsed[i].name, serializer) != 0)
			continue;
		if (n == 0 || n > NUMBER_MAX || memchr(text, 0, n) || isspace((unsigned char)text[0]))
			return ERR_BAD_DATA;
		memcpy(copy, text, n);
		copy[n] = 0;
		return parsed[i].take(copy, ret);
	}
	return 0;
}

/* json.c - a strict checker of JSON texts.
 *
 * Why not a library: one that builds a tree allocates for each value, and those at hand refuse valid texts (numbers
 * beyond 64 bits, \u0000). A record's value is sent as it is; all that is asked is whether a consumer can parse it.
 * Invariant: containers are a stack of bits, not of calls, so that no text can exhaust the thread's stack.
 * Threads: any; no state.
 */
#include "producer/json.h"

#include <string.h>

struct json {
	const uint8_t *at, *end;
	uint32_t depth, depth_max;
	uint8_t  is_object[JSON_DEPTH_MAX / 8];
};

static void blanks(struct json *j)
{
	while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
		j->at++;
}

static bool one(struct json *j, uint8_t c)
{
	if (j->at >= j->end || *j->at != c)
		return false;
	j->at++;
	return true;
}

static bool word(struct json *j, const char *w)
{
	while (*w && one(j, (uint8_t)*w))
		w++;
	return !*w;
}

static bool digits(struct json *j)
{
	const uint8_t *from = j->at;

	while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
		j->at++;
	return j->at > from;
}

static bool number(struct json *j)
{
	one(j, '-');
	if (!one(j, '0') && !digits(j))
		return false;
	if (one(j, '.') && !digits(j))
		return false;
	if (one(j, 'e') || one(j, 'E')) {
		if (!one(j, '+'))
			one(j, '-');
		return digits(j);
	}
	return true;
}

static bool hex4(struct json *j)
{
	for (int i = 0; i < 4; i++) {
		uint8_t c = j->at < j->end ? *j->at : 0;

		if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f')))
			return false;
		j->at++;
	}
	return true;
}

static bool escape(struct json *j)
{
	if (j->at >= j->end || !*j->at || !strchr("\"\\/bfnrtu", *j->at))
		return false;
	return *j->at++ == 'u' ? hex4(j) : true;
}

/* One character of more than one byte: no overlong forms, no surrogates, nothing past U+10FFFF. */
static bool utf8(struct json *j)
{
	static const struct { uint8_t from, to, low, high, more; } forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 1 }, { 0xe0, 0xe0, 0xa0, 0xbf, 2 }, { 0xe1, 0xec, 0x80, 0xbf, 2 },
		{ 0xed, 0xed, 0x80, 0x9f, 2 }, { 0xee, 0xef, 0x80, 0xbf, 2 }, { 0xf0, 0xf0, 0x90, 0xbf, 3 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 3 }, { 0xf4, 0xf4, 0x80, 0x8f, 3 },
	};
	size_t i = 0, n = sizeof forms / sizeof forms[0];

	while (i < n && (*j->at < forms[i].from || *j->at > forms[i].to))
		i++;
	if (i == n || j->end - j->at <= forms[i].more || j->at[1] < forms[i].low || j->at[1] > forms[i].high)
		return false;
	for (int k = 2; k <= forms[i].more; k++)
		if ((j->at[k] & 0xc0) != 0x80)
			return false;
	j->at += 1 + forms[i].more;
	return true;
}

/* Most of what stands in strings. */
static bool is_plain(uint8_t c)
{
	return c - 0x20u < 0x60u && c != '"' && c != '\\';
}

static bool string(struct json *j)
{
	if (!one(j, '"'))
		return false;
	for (;;) {
		while (j->at < j->end && is_plain(*j->at))
			j->at++;
		if (j->at == j->end || *j->at == '"')
			break;
		if (*j->at < 0x20)
			return false;
		if (*j->at >= 0x80) {
			if (!utf8(j))
				return false;
		} else if (*j->at++ == '\\' && !escape(j)) {
			return false;
		}
	}
	return one(j, '"');
}

static bool scalar(struct json *j)
{
	switch (j->at < j->end ? *j->at : 0) {
	case '"': return string(j);
	case 't': return word(j, "true");
	case 'f': return word(j, "false");
	case 'n': return word(j, "null");
	default:  return number(j);
	}
}

static bool in_object(const struct json *j)
{
	return j->is_object[(j->depth - 1) / 8] >> ((j->depth - 1) % 8) & 1;
}

static bool open_container(struct json *j, bool object)
{
	if (j->depth == j->depth_max)
		return false;
	j->at++;
	j->depth++;
	if (object)
		j->is_object[(j->depth - 1) / 8] |= (uint8_t)(1u << ((j->depth - 1) % 8));
	else
		j->is_object[(j->depth - 1) / 8] &= (uint8_t)~(1u << ((j->depth - 1) % 8));
	return true;
}

static bool member_name(struct json *j)
{
	blanks(j);
	if (!string(j))
		return false;
	blanks(j);
	return one(j, ':');
}

/* Behind a value: closes what ends here. True: another value follows, or none when depth is 0. */
static bool after_value(struct json *j)
{
	while (j->depth) {
		blanks(j);
		if (one(j, ','))
			return !in_object(j) || member_name(j);
		if (!one(j, in_object(j) ? '}' : ']'))
			return false;
		j->depth--;
	}
	return true;
}

/* A value, or the beginning of one: afterwards either a value is complete (*ret_whole) or its first part is due. */
static bool begin_value(struct json *j, bool *ret_whole)
{
	uint8_t c;

	blanks(j);
	c = j->at < j->end ? *j->at : 0;
	*ret_whole = true;
	if (c != '{' && c != '[')
		return scalar(j);
	if (!open_container(j, c == '{'))
		return false;
	blanks(j);
	if (one(j, c == '{' ? '}' : ']')) {
		j->depth--;
		return true;
	}
	*ret_whole = false;
	return c == '[' || member_name(j);
}

static bool text(struct json *j)
{
	bool whole;

	do {
		if (!begin_value(j, &whole) || (whole && !after_value(j)))
			return false;
	} while (j->depth);
	blanks(j);
	return j->at == j->end;
}

bool json_valid_within(const void *data, size_t n, uint32_t depth_max, size_t *ret_at)
{
	struct json j = { .at = data, .depth_max = depth_max };
	bool valid;

	j.end = j.at + n;
	valid = text(&j);
	*ret_at = n - (size_t)(j.end - j.at);
	return valid;
}

bool json_valid(const void *data, size_t n, size_t *ret_at)
{
	return json_valid_within(data, n, JSON_DEPTH_MAX, ret_at);
}

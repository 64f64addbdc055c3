/* words.c - see words.h.
 *
 * A column is a code point. Wide and combining characters are not told apart: a table may be askew where names have them.
 */
#include "agent/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define GAP    2
#define RESET  "\033[0m"

char *words_size(char buf[WORDS_MAX], double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t u = 0;

	/* 1023.96 would be shown as 1024.0. */
	while (u + 1 < sizeof units / sizeof units[0] && fabs(bytes) >= (u ? 1023.95 : 1023.5)) {
		bytes /= 1024;
		u++;
	}
	snprintf(buf, WORDS_MAX, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
	return buf;
}

char *words_time(char buf[WORDS_MAX], double seconds)
{
	int64_t s = seconds < 1e15 ? (int64_t)(seconds + 0.5) : INT64_C(1000000000000000);

	if (seconds < 9.95)
		snprintf(buf, WORDS_MAX, "%.1f s", seconds > 0 ? seconds : 0.0);
	else if (s < 120)
		snprintf(buf, WORDS_MAX, "%" PRId64 " s", s);
	else if (s < 3600)
		snprintf(buf, WORDS_MAX, "%" PRId64 " min", s / 60);
	else if (s < 86400)
		snprintf(buf, WORDS_MAX, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(buf, WORDS_MAX, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
	return buf;
}

char *words_count(char buf[WORDS_MAX], uint64_t n)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

/* --- what comes from outside --- */

/* The length of the well-formed code point at s, and the code point; 0: there is none. */
static size_t code_point(const unsigned char *s, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	uint32_t c = n == 1 ? s[0] : n ? s[0] & (0xffu >> (n + 1)) : 0;

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (!n || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret = c;
	return n;
}

static bool is_plain(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	return !(c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
		 c == 0xfeff);
}

size_t words_put(struct buf *o, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t columns = 0, n;
	uint32_t c;

	while (*p) {
		n = code_point(p, &c);
		if (n && is_plain(c)) {
			buf_put(o, p, n);
			columns++;
			p += n;
			continue;
		}
		for (n = n ? n : 1; n; n--, columns += 4)
			buf_printf(o, "\\x%02x", *p++);
	}
	return columns;
}

size_t words_columns(const char *s, size_t n)
{
	size_t columns = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\033')
			while (i < n && s[i] != 'm')
				i++;
		else
			columns += ((unsigned char)s[i] & 0xc0) != 0x80;
	}
	return columns;
}

/* A number and its unit are one word. */
static size_t word_length(const char *s)
{
	size_t n = strcspn(s, " ");

	while (n && s[n] == ' ' && isdigit((unsigned char)s[n - 1]) && isalpha((unsigned char)s[n + 1]))
		n += 1 + strcspn(s + n + 1, " ");
	return n;
}

/* One that is longer than a line is broken anywhere. Returns the column behind it. */
static unsigned put_word(struct buf *o, const char *s, size_t n, unsigned width, unsigned at, unsigned indent)
{
	for (size_t i = 0; i < n; i++) {
		bool begins = ((unsigned char)s[i] & 0xc0) != 0x80;

		if (begins && width > indent && at >= width) {
			buf_printf(o, "\n%*s", (int)indent, "");
			at = indent;
		}
		buf_put(o, &s[i], 1);
		at += begins;
	}
	return at;
}

void words_wrap(struct buf *o, const char *s, unsigned width, unsigned at, unsigned indent)
{
	const char *word;
	struct buf text;
	bool first = true;

	buf_init(&text, 1 << 16);
	words_put(&text, s);
	buf_puts(&text, "");
	for (word = text.data; word && *word; ) {
		size_t n = word_length(word), columns = words_columns(word, n);

		if (!first && width && at + 1 + columns > width) {
			buf_printf(o, "\n%*s", (int)indent, "");
			at = indent;
			first = true;
		}
		if (!first)
			buf_puts(o, " ");
		at = put_word(o, word, n, width, at + !first, indent);
		first = false;
		word += n + (word[n] == ' ');
	}
	buf_puts(o, "\n");
	buf_release(&text);
}

/* --- tables --- */

void words_table_init(struct words_table *t, unsigned indent, unsigned columns, unsigned right)
{
	*t = (struct words_table){ .indent = indent, .columns = columns, .right = right };
	buf_init(&t->cells, 64u << 20);
}

/* A cell is its color, NUL, its text, NUL. */
void words_cell(struct words_table *t, const char *color, const char *text)
{
	unsigned at = t->count % t->columns;
	size_t width;

	buf_put(&t->cells, color, strlen(color) + 1);
	width = words_put(&t->cells, text);
	buf_put(&t->cells, "", 1);
	if (width > t->widths[at])
		t->widths[at] = (unsigned)width;
	t->count++;
}

/* The end of a path says more than its beginning. */
static void put_cut(struct buf *o, const char *text, size_t columns, size_t room)
{
	if (room && columns > room) {
		buf_puts(o, "…");
		for (columns -= room - 1; columns; text++)
			columns -= ((unsigned char)text[1] & 0xc0) != 0x80;
	}
	buf_puts(o, text);
}

static void put_cell(const struct words_table *t, unsigned at, const char *color, const char *text, size_t room, struct buf *o)
{
	size_t columns = words_columns(text, strlen(text));
	int pad = (int)(t->widths[at] - columns);
	bool last = at + 1 == t->columns;

	if (t->right >> at & 1)
		buf_printf(o, "%*s", pad, "");
	buf_puts(o, color);
	put_cut(o, text, columns, last ? room : 0);
	if (*color)
		buf_puts(o, RESET);
	if (!last)
		buf_printf(o, "%*s", t->right >> at & 1 ? GAP : pad + GAP, "");
}

void words_table_put(struct words_table *t, unsigned width, struct buf *o)
{
	const char *cell = t->cells.data;
	size_t left = t->indent, room;

	for (unsigned i = 0; i + 1 < t->columns; i++)
		left += t->widths[i] + GAP;
	room = !width ? 0 : width > left + 16 ? width - left : 16;
	for (unsigned i = 0; i < t->count && !t->cells.failed; i++) {
		const char *text = cell + strlen(cell) + 1;

		if (i % t->columns == 0)
			buf_printf(o, "%*s", t->indent, "");
		put_cell(t, i % t->columns, cell, text, room, o);
		if (i % t->columns + 1 == t->columns)
			buf_puts(o, "\n");
		cell = text + strlen(text) + 1;
	}
	buf_release(&t->cells);
}

/* properties.c - java.util.Properties: `name=value`, `name: value`, `name value`; # and ! begin comments; a backslash at a
 * line's end joins the next line (whose blanks at the beginning go); \t \n \r \f \uXXXX and \anything are escapes.
 *
 * Deviation: bytes above 127 are taken as they are (UTF-8), not as ISO-8859-1.
 * Invariant: the text is unescaped in place, it never grows: \uXXXX (6 bytes) becomes at most 3, two of them 4.
 */
#include "agent/cmd/properties.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"

#define FILE_BYTES_MAX (1u << 20)

static const char blanks[] = " \t\f";

static int read_text(FILE *f, const char *path, char *text, struct err *ret_err)
{
	size_t n = fread(text, 1, FILE_BYTES_MAX + 1, f);

	if (n > FILE_BYTES_MAX)
		return err_set(ret_err, ERR_BAD_DATA, "%s: larger than 1 MiB", path);
	if (ferror(f))
		return err_set(ret_err, ERR_IO, "%s: %s", path, strerror(errno));
	if (memchr(text, 0, n))
		return err_set(ret_err, ERR_BAD_DATA, "%s: not a text", path);
	text[n] = 0;
	return 0;
}

/* The whole file, ending in NUL, with room for more. */
static int read_all(const char *path, char **ret_text, struct err *ret_err)
{
	FILE *f = fopen(path, "re");
	char *text;
	int rc;

	if (!f)
		return err_set(ret_err, -errno, "%s: %s", path, strerror(errno));
	text = mem_alloc(FILE_BYTES_MAX + 1);
	rc = text ? read_text(f, path, text, ret_err) : err_set(ret_err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	fclose(f);
	if (rc < 0)
		mem_free(text);
	else
		*ret_text = text;
	return rc;
}

static char *end_of_line(char *p)
{
	return p + strcspn(p, "\r\n");
}

/* Behind the line's end at p; one CR LF is one end. */
static char *next_line(char *p)
{
	if (p[0] == '\r' && p[1] == '\n')
		return p + 2;
	return *p ? p + 1 : p;
}

static bool ends_in_escape(const char *begin, const char *end)
{
	size_t n = 0;

	while (end > begin && end[-1] == '\\') {
		end--;
		n++;
	}
	return n % 2 == 1;
}

/* Joins the lines that belong together, in place; returns where the next pair may begin. */
static char *join(char *begin, int *line)
{
	char *to = end_of_line(begin), *from = next_line(to);

	(*line)++;
	while (ends_in_escape(begin, to)) {
		char *stop;

		to--;
		from += strspn(from, blanks);
		stop = end_of_line(from);
		memmove(to, from, (size_t)(stop - from));
		to += stop - from;
		if (!*stop) {
			from = stop;
			break;
		}
		from = next_line(stop);
		(*line)++;
	}
	*to = 0;	/* on the line's end, or before what was joined */
	return from;
}

static int hex4(const char *s)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = s[i];
		int d = isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

static char *put_utf8(char *to, int c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* The code point of \uXXXX at s; what UTF-16 writes in two halves takes both. -1: malformed. *ret_n: bytes behind the u. */
static int code_point(const char *s, size_t *ret_n)
{
	int c = hex4(s), low;

	*ret_n = 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	low = c < 0xdc00 && s[4] == '\\' && s[5] == 'u' ? hex4(s + 6) : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return -1;
	*ret_n = 10;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* In place. 0 or ERR_BAD_DATA. */
static int unescape(char *s)
{
	static const char from[] = "tnrf", to[] = "\t\n\r\f";
	char *out = s;

	for (; *s; s++) {
		const char *known;
		size_t n;
		int c;

		if (*s != '\\') {
			*out++ = *s;
			continue;
		}
		s++;
		known = *s ? strchr(from, *s) : NULL;
		if (*s == 'u') {
			c = code_point(s + 1, &n);
			if (c <= 0)
				return ERR_BAD_DATA;
			out = put_utf8(out, c);
			s += n;
		} else if (*s) {
			*out++ = known ? to[known - from] : *s;
		} else {
			break;
		}
	}
	*out = 0;
	return 0;
}

/* Cuts "name = value" in two; the first unescaped blank, = or : ends the name. */
static char *split(char *s)
{
	while (*s && !strchr("=: \t\f", *s))
		s += s[0] == '\\' && s[1] ? 2 : 1;
	if (!*s)
		return s;
	if (strchr(blanks, *s)) {
		*s++ = 0;
		s += strspn(s, blanks);
		if (*s == '=' || *s == ':')
			s++;
	} else {
		*s++ = 0;
	}
	return s + strspn(s, blanks);
}

static int take(const char *path, int line, char *pair, properties_fn *fn, void *arg, struct err *ret_err)
{
	char *value = split(pair);
	int rc;

	if (unescape(pair) < 0 || unescape(value) < 0)
		return err_set(ret_err, ERR_BAD_DATA, "%s:%d: \\u needs four hexadecimal digits", path, line);
	rc = fn(arg, line, pair, value, ret_err);
	if (rc < 0)
		err_prefix(ret_err, "%s:%d: ", path, line);
	return rc;
}

int properties_read(const char *path, properties_fn *fn, void *arg, struct err *ret_err)
{
	char *text = NULL, *p, *next;
	int line = 1, at, rc = read_all(path, &text, ret_err);

	if (rc < 0)
		return rc;
	for (p = text; *p && rc >= 0; p = next) {
		p += strspn(p, " \t\f");
		at = line;
		if (*p == '#' || *p == '!' || *p == '\r' || *p == '\n') {
			next = next_line(end_of_line(p));
			line++;
			continue;
		}
		if (!*p)
			break;
		next = join(p, &line);
		rc = take(path, at, p, fn, arg, ret_err);
	}
	/* Passwords may be among it. */
	explicit_bzero(text, FILE_BYTES_MAX);
	mem_free(text);
	return rc < 0 ? rc : 0;
}

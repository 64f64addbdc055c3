/* container.c - frames of docker's json-file and of CRI (containerd, CRI-O). Pure.
 *
 *	{"log":"text\n","stream":"stdout","time":"2019-01-01T11:00:00.000000000Z"}	docker; a part: log does not end with \n
 *	2016-10-06T00:17:09.669794202Z stdout P text					CRI; P: a part, F: the last or only one
 *
 * Why no JSON library: a tree per line costs several times what the rest of reading a line does. Of a docker frame only flat
 * strings are wanted; what else is in it is passed over.
 * A text without escapes is not copied. Escapes that no writer of JSON makes mean that the line is no frame.
 */
#include "agent/record/container.h"

#include <ctype.h>
#include <string.h>

#include "agent/record/timestamp.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define DEPTH_MAX 64

struct reader { const uint8_t *p, *end; };
struct text { const uint8_t *p; size_t n; bool escaped; };	/* as it stands, between its quotes */

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\n'))
		r->p++;
}

/* The next character that is no blank, if it is c. */
static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->p == r->end || *r->p != (uint8_t)c)
		return false;
	r->p++;
	return true;
}

static bool take_string(struct reader *r, struct text *ret)
{
	const uint8_t *quote;

	if (!take(r, '"'))
		return false;
	ret->p = r->p;
	ret->escaped = false;
	/* A quote is the end unless an odd number of backslashes stands before it. */
	for (const uint8_t *from = r->p; (quote = memchr(from, '"', (size_t)(r->end - from))); from = quote + 1) {
		const uint8_t *b = quote;

		while (b > ret->p && b[-1] == '\\')
			b--;
		if ((quote - b) % 2)
			continue;
		ret->n = (size_t)(quote - ret->p);
		ret->escaped = ret->n && memchr(ret->p, '\\', ret->n);
		r->p = quote + 1;
		return true;
	}
	return false;
}

static bool is_text(const struct text *t, const char *s)
{
	return t->n == strlen(s) && !memcmp(t->p, s, t->n);
}

static bool skip_value(struct reader *r, int depth);

/* What stands between brackets; `close` ends it. */
static bool skip_members(struct reader *r, char close, int depth)
{
	struct text name;

	if (take(r, close))
		return true;
	do {
		if (close == '}' && (!take_string(r, &name) || !take(r, ':')))
			return false;
		if (!skip_value(r, depth))
			return false;
	} while (take(r, ','));
	return take(r, close);
}

static bool is_literal(const struct text *t)
{
	return is_text(t, "true") || is_text(t, "false") || is_text(t, "null") ||
	       (t->n && (*t->p == '-' || (*t->p >= '0' && *t->p <= '9')));
}

/* A value of any kind that is not wanted. */
static bool skip_value(struct reader *r, int depth)
{
	struct text t;

	if (depth > DEPTH_MAX)
		return false;
	if (take(r, '{'))
		return skip_members(r, '}', depth + 1);
	if (take(r, '['))
		return skip_members(r, ']', depth + 1);
	if (r->p < r->end && *r->p == '"')
		return take_string(r, &t);
	t.p = r->p;
	while (r->p < r->end && (*r->p == '-' || *r->p == '+' || *r->p == '.' || isalnum(*r->p)))
		r->p++;
	t.n = (size_t)(r->p - t.p);
	return is_literal(&t);
}

/* --- escapes --- */

static int hex4(const uint8_t *p, const uint8_t *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int c = p[i] | 32, d = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static uint8_t *put_utf8(uint8_t *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (uint8_t)c;
	} else if (c < 0x800) {
		*o++ = (uint8_t)(0xc0 | c >> 6);
		*o++ = (uint8_t)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (uint8_t)(0xe0 | c >> 12);
		*o++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		*o++ = (uint8_t)(0x80 | (c & 0x3f));
	} else {
		*o++ = (uint8_t)(0xf0 | c >> 18);
		*o++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		*o++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		*o++ = (uint8_t)(0x80 | (c & 0x3f));
	}
	return o;
}

/* What is behind \u at *p. Half a pair becomes U+FFFD. NULL: no hexadecimal digits. */
static uint8_t *put_unicode(const uint8_t **p, const uint8_t *end, uint8_t *o, bool *ret_broken)
{
	int c = hex4(*p, end), low;

	if (c < 0)
		return NULL;
	*p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return put_utf8(o, (uint32_t)c);
	low = c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' ? hex4(*p + 2, end) : -1;
	if (low >= 0xdc00 && low <= 0xdfff) {
		*p += 6;
		return put_utf8(o, 0x10000 + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
	}
	*ret_broken = true;
	memcpy(o, REPLACEMENT, 3);
	return o + 3;
}

/* Never longer than what it is made of. 1; 0: an escape that there is not; ERR_NOMEM. */
static int unescape(const struct text *t, struct buf *room, struct frame *ret)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const uint8_t *p = t->p, *end = t->p + t->n;
	uint8_t *o;

	buf_clear(room);
	if (buf_reserve(room, t->n) < 0)
		return ERR_NOMEM;
	o = (uint8_t *)room->data;
	while (p < end) {
		const uint8_t *b = memchr(p, '\\', (size_t)(end - p));
		const char *known;
		size_t n = (size_t)((b ? b : end) - p);

		memcpy(o, p, n);
		o += n;
		p += n;
		if (!b)
			break;
		if (end - p < 2)
			return 0;
		p += 2;
		if (b[1] == 'u') {
			o = put_unicode(&p, end, o, &ret->broken);
			if (!o)
				return 0;
		} else if (b[1] && (known = strchr(from, b[1]))) {
			*o++ = (uint8_t)to[known - from];
		} else {
			return 0;
		}
	}
	ret->value = (const uint8_t *)room->data;
	ret->value_len = (size_t)(o - ret->value);
	return 1;
}

/* --- docker --- */

struct docker { struct text log, stream, time; };	/* p NULL: it has none */

static bool take_member(struct reader *r, struct docker *d)
{
	struct text name, other;

	if (!take_string(r, &name) || !take(r, ':'))
		return false;
	skip_blanks(r);
	if (r->p == r->end || *r->p != '"')
		return skip_value(r, 0);
	return take_string(r, is_text(&name, "log") ? &d->log : is_text(&name, "stream") ? &d->stream :
			      is_text(&name, "time") ? &d->time : &other);
}

static bool take_object(struct reader *r, struct docker *d)
{
	if (!take(r, '{'))
		return false;
	if (!take(r, '}')) {
		do {
			if (!take_member(r, d))
				return false;
		} while (take(r, ','));
		if (!take(r, '}'))
			return false;
	}
	skip_blanks(r);
	return r->p == r->end;
}

static enum message_stream stream_of(const struct text *t)
{
	return is_text(t, "stdout") ? MESSAGE_STDOUT : is_text(t, "stderr") ? MESSAGE_STDERR : MESSAGE_NONE;
}

/* The line's own end, which no message has. */
static void cut_end(struct frame *f)
{
	if (f->value_len && f->value[f->value_len - 1] == '\r')
		f->value_len--;
}

int container_docker(const uint8_t *p, size_t n, bool strict, struct buf *room, struct frame *ret)
{
	struct reader r = { p, p + n };
	struct docker d = { .log.p = NULL };
	bool fits;
	int rc;

	if (!take_object(&r, &d) || !d.log.p || (strict && (!d.stream.p || !d.time.p)))
		return 0;
	*ret = (struct frame){ .value = d.log.p, .value_len = d.log.n };
	if (d.log.escaped && (rc = unescape(&d.log, room, ret)) <= 0)
		return rc;
	if (d.stream.p)
		ret->stream = stream_of(&d.stream);
	ret->has_time = d.time.n && timestamp_rfc3339(d.time.p, d.time.n, &fits, &ret->time_ns) == d.time.n && fits;
	ret->part = !ret->value_len || ret->value[ret->value_len - 1] != '\n';
	if (!ret->part) {
		ret->value_len--;
		cut_end(ret);
	}
	return 1;
}

/* --- CRI --- */

int container_cri(const uint8_t *p, size_t n, struct frame *ret)
{
	static const char out[] = " stdout ", err[] = " stderr ";
	const size_t word = sizeof out - 1;
	const uint8_t *end = p + n, *blank;
	int64_t time;
	bool fits;
	size_t at = timestamp_rfc3339(p, n, &fits, &time);

	if (!at || !fits || n - at <= word || (memcmp(p + at, out, word) && memcmp(p + at, err, word)))
		return 0;
	*ret = (struct frame){ .has_time = true, .time_ns = time, .stream = p[at + 4] == 'o' ? MESSAGE_STDOUT : MESSAGE_STDERR };
	p += at + word;
	ret->part = *p == 'P';
	if (*p != 'P' && *p != 'F')
		return 0;
	/* More tags may follow it, separated by colons. */
	blank = memchr(p, ' ', (size_t)(end - p));
	if (p + 1 < end && p[1] != ' ' && p[1] != ':' && !(p[1] == '\r' && p + 2 == end))
		return 0;
	ret->value = blank ? blank + 1 : end;
	ret->value_len = (size_t)(end - ret->value);
	if (!ret->part)
		cut_end(ret);
	return 1;
}

/* buf.c - the growing byte buffer.
 *
 * Invariants
 *  (1) data == NULL, or len < cap and data[len] == 0.
 *  (2) len <= max, always: a ceiling given once bounds every path that writes here.
 *  (3) a put writes all of its bytes or none, except buf_put_json and those after `failed`.
 * Threads: the owner's. Failure: `failed` is set and stays; what was put before stays readable.
 */
#include "agent/base/buf.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

#define CAP_FIRST 64

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_release(struct buf *b)
{
	mem_free(b->data);
	buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = 0;
}

static int fail(struct buf *b)
{
	b->failed = true;
	return ERR_NOMEM;
}

int buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap;
	char *data;

	if (b->failed || more > b->max - b->len)
		return fail(b);
	if (__builtin_add_overflow(b->len + more, (size_t)1, &need))
		return fail(b);
	if (need <= b->cap)
		return 0;
	cap = b->cap <= SIZE_MAX / 2 ? b->cap * 2 : need;
	if (cap > b->max)
		cap = b->max < SIZE_MAX ? b->max + 1 : b->max;
	if (cap < CAP_FIRST && CAP_FIRST <= b->max)
		cap = CAP_FIRST;
	if (cap < need)
		cap = need;
	data = mem_realloc(b->data, cap);
	if (!data)
		return fail(b);
	b->data = data;
	b->cap = cap;
	b->data[b->len] = 0;
	return 0;
}

int buf_put(struct buf *b, const void *p, size_t n)
{
	int rc = buf_reserve(b, n);

	if (rc < 0)
		return rc;
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = 0;
	return 0;
}

int buf_puts(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list measure;
	int n, rc;

	va_copy(measure, ap);
	n = vsnprintf(NULL, 0, fmt, measure);
	va_end(measure);
	if (n < 0)
		return fail(b);
	rc = buf_reserve(b, (size_t)n);
	if (rc < 0)
		return rc;
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return rc;
}

char *buf_detach(struct buf *b)
{
	char *data = b->data;

	if (b->failed) {
		mem_free(data);
		data = NULL;
	}
	buf_init(b, b->max);
	return data;
}

/* Looks at one UTF-8 sequence (Unicode 15, table 3-7: no surrogates, no overlong forms). Returns its length, or 0
 * with *ret_skip = the bytes that one U+FFFD stands for. */
static size_t utf8_len(const unsigned char *s, size_t n, size_t *ret_skip)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t want, i;

	*ret_skip = 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		want = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		want = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		want = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		lo = 0xa0;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	for (i = 1; i < want; i++) {
		if (i >= n || s[i] < lo || s[i] > hi) {
			*ret_skip = i;
			return 0;
		}
		lo = 0x80;
		hi = 0xbf;
	}
	return want;
}

bool buf_is_utf8(const void *p, size_t n)
{
	const unsigned char *s = p;
	size_t skip, len;

	for (size_t i = 0; i < n; i += len) {
		len = s[i] < 0x80 ? 1 : utf8_len(s + i, n - i, &skip);
		if (!len)
			return false;
	}
	return true;
}

int buf_put_base64(struct buf *b, const void *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = p;

	buf_put(b, "\"", 1);
	for (; n > 0 && !b->failed; s += 3, n -= n < 3 ? n : 3) {
		unsigned v = (unsigned)s[0] << 16 | (n > 1 ? (unsigned)s[1] << 8 : 0) | (n > 2 ? s[2] : 0);
		char four[4] = { digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
				 n > 2 ? digits[v & 63] : '=' };

		buf_put(b, four, sizeof four);
	}
	return buf_put(b, "\"", 1);
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_escape(struct buf *b, unsigned c)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; i < sizeof shorts - 1; i += 2) {
		if (c == (unsigned char)shorts[i]) {
			buf_put(b, (const char[]){ '\\', shorts[i + 1] }, 2);
			return;
		}
	}
	buf_printf(b, "\\u%04x", c);
}

/* One character that needs thought. Returns how many bytes of s it took. DEL and the C1 controls (U+0080 to U+009F)
 * are escaped as well, though JSON does not ask for it: the same function keeps them from terminals. */
static size_t put_special(struct buf *b, const unsigned char *s, size_t n)
{
	size_t skip, len;

	if (s[0] < 0x80) {
		put_escape(b, s[0]);
		return 1;
	}
	len = utf8_len(s, n, &skip);
	if (!len) {
		buf_puts(b, "\xef\xbf\xbd");
		return skip;
	}
	if (s[0] == 0xc2 && s[1] < 0xa0)
		put_escape(b, s[1]);
	else
		buf_put(b, s, len);
	return len;
}

int buf_put_json(struct buf *b, const char *str, size_t n)
{
	const unsigned char *s = (const unsigned char *)str;
	size_t i = 0, run;

	if (n == SIZE_MAX)
		n = strlen(str);
	buf_put(b, "\"", 1);
	while (i < n && !b->failed) {
		for (run = i; run < n && is_plain(s[run]); run++)
			;
		buf_put(b, s + i, run - i);
		i = run;
		if (i < n)
			i += put_special(b, s + i, n - i);
	}
	return buf_put(b, "\"", 1);
}

/* frame.c - see frame.h. Invariant: a piece uses at least one byte, and never more than there are. */
#include "agent/intake/frame.h"

#include <string.h>

#include "agent/record/line.h"

#define DIGITS 10		/* of a count: more is none */

size_t frame_need(const struct frame_rules *r)
{
	return line_need(r->max) + DIGITS + 2;
}

/* 1: a count, and how long it is with its blank; 0: none; -1: cannot be told yet. */
static int count_of(const uint8_t *p, size_t n, size_t *ret_head, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (!n || p[0] < '1' || p[0] > '9')
		return n ? 0 : -1;
	for (; i < n && p[i] >= '0' && p[i] <= '9'; i++) {
		if (i == DIGITS)
			return 0;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	if (i == n || (p[i] == ' ' && i + 1 == n))
		return -1;
	if (p[i] != ' ' || p[i + 1] != '<' || v > INT32_MAX)
		return 0;
	*ret_head = i + 1;
	*ret = v;
	return 1;
}

static bool give(struct frame_piece *ret, const uint8_t *value, size_t len, size_t span)
{
	ret->value = value;
	ret->value_len = len;
	ret->span = span;
	return true;
}

/* Some senders count a line's end too. */
static size_t without_end(const uint8_t *p, size_t n)
{
	if (n && p[n - 1] == '\n')
		n--;
	return n;
}

/* `left` bytes of a message begin `head` bytes behind p. */
static bool counted(struct frame *f, const struct frame_rules *r, const uint8_t *p, size_t n, size_t head, size_t left,
		    bool final, struct frame_piece *ret)
{
	if (left <= r->max) {
		if (n - head < left && !final)
			return false;
		f->in = FRAME_START;
		left = left < n - head ? left : n - head;
		return give(ret, p + head, without_end(p + head, left), head + left);
	}
	ret->cut = true;
	if (r->how != CONF_LONG_SKIP && n - head < r->max && !final)
		return false;
	f->in = FRAME_IN_COUNT;
	if (r->how == CONF_LONG_SKIP) {
		f->left = left;
		return give(ret, NULL, 0, head);
	}
	n = n - head < r->max ? n - head : r->max;
	f->left = left - n;
	return give(ret, p + head, n, head + n);
}

static bool pass_count(struct frame *f, const uint8_t *p, size_t n, struct frame_piece *ret)
{
	size_t k = f->left < n ? f->left : n;

	if (!k)
		return false;
	f->left -= k;
	ret->lost = f->left ? k : without_end(p, k);
	if (!f->left)
		f->in = FRAME_START;
	return give(ret, NULL, 0, k);
}

static bool pass_line(struct frame *f, const uint8_t *p, size_t n, struct frame_piece *ret)
{
	const uint8_t *lf = n ? memchr(p, '\n', n) : NULL;
	size_t k = lf ? (size_t)(lf - p) : n;

	if (!n)
		return false;
	if (lf)
		f->in = FRAME_START;
	ret->lost = k;
	return give(ret, NULL, 0, k + (lf != NULL));
}

/* Nothing of an unfinished line is searched twice. */
static bool may_end(struct frame *f, const struct frame_rules *r, const uint8_t *p, size_t n, bool final)
{
	size_t from = f->scanned < n ? f->scanned : n;

	if (final || n >= line_need(r->max) || memchr(p + from, '\n', n - from))
		return true;
	f->scanned = n;
	return false;
}

static bool line(struct frame *f, const struct frame_rules *r, const uint8_t *p, size_t n, bool final, struct frame_piece *ret)
{
	struct line ln;

	if (!n || !may_end(f, r, p, n, final) || !line_next(p, n, r->max, final, &ln))
		return false;
	f->scanned = 0;
	f->in = FRAME_START;
	if (!ln.piece)
		return give(ret, ln.value, ln.value_len, ln.span);
	ret->cut = true;
	f->in = FRAME_IN_LINE;
	if (r->how == CONF_LONG_SKIP) {
		ret->lost = ln.span;
		return give(ret, NULL, 0, ln.span);
	}
	return give(ret, ln.value, ln.value_len, ln.span);
}

bool frame_next(struct frame *f, const struct frame_rules *r, const uint8_t *p, size_t n, bool final, struct frame_piece *ret)
{
	uint64_t count;
	size_t head;
	int is;

	*ret = (struct frame_piece){ 0 };
	if (f->in == FRAME_IN_COUNT)
		return r->how == CONF_LONG_SPLIT ? n > 0 && counted(f, r, p, n, 0, f->left, final, ret) : pass_count(f, p, n, ret);
	if (f->in == FRAME_IN_LINE && r->how != CONF_LONG_SPLIT)
		return pass_line(f, p, n, ret);
	if (f->in == FRAME_IN_LINE || !r->syslog)
		return line(f, r, p, n, final, ret);
	if (n && (p[0] == '\n' || p[0] == '\r' || p[0] == 0))	/* between messages; an empty one is none */
		return give(ret, NULL, 0, 1);
	is = count_of(p, n, &head, &count);
	if (is > 0)
		return counted(f, r, p, n, head, (size_t)count, final, ret);
	return is < 0 && !final ? false : line(f, r, p, n, final, ret);
}

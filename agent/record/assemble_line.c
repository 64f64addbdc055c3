/* assemble_line.c - the front of an assembly: fed bytes become lines of the file, converted, or the lost rest of one.
 *
 * A line is taken where it was fed. Only one that reaches over the end of a feed is copied, to `carry`: what the next feed adds
 * to it is borrowed, and given back if the line did not need it.
 */
#include <string.h>

#include "agent/record/assemble_int.h"

#define BORROW 4096		/* at a time, where LF cannot be told without its unit */

static const uint8_t *carried(const struct assembly *a, size_t *ret_n)
{
	*ret_n = a->carry.len - a->carry_at;
	return *ret_n ? (const uint8_t *)a->carry.data + a->carry_at : NULL;
}

/* Takes k fed bytes into the carry. */
static void borrow(struct assembly *a, size_t k)
{
	size_t n;
	const uint8_t *p = carried(a, &n);

	if (a->carry_at && n)
		memmove(a->carry.data, p, n);
	a->carry.len = n;
	a->carry_at = 0;
	if (buf_put(&a->carry, a->p, k) < 0) {
		a->failed = true;
		return;
	}
	a->p += k;
	a->borrowed += k;
}

/* The first k unused bytes are used. The carry's memory is not touched: a line may stand in it. */
static void use(struct assembly *a, size_t k)
{
	size_t n = a->carry.len - a->carry_at;

	a->at += (int64_t)k;
	if (!n) {
		a->p += k;
		return;
	}
	a->carry_at += k;
	n -= k;
	if (n > a->borrowed)
		return;
	a->p -= n;
	a->carry_at = a->carry.len;
	a->borrowed = 0;
}

/* How much to borrow to get on with a carried line of n bytes. */
static size_t wanted(const struct assembly *a, size_t n)
{
	const struct encoding *e = &a->rules->encoding;
	size_t k = (size_t)(a->end - a->p), need = a->rules->max + 2 * e->unit;
	const uint8_t *lf;

	if (k > need - n)
		k = need - n;
	if (e->unit > 1)
		return k < BORROW ? k : BORROW;
	lf = memchr(a->p, e->lf[0], k);
	return lf ? (size_t)(lf - a->p) + 1 : k;
}

/* --- the rest of a line that was cut --- */

static enum took take_rest(struct assembly *a, struct message_span *ret_lost)
{
	const struct encoding *e = &a->rules->encoding;
	size_t fed = a->jump ? 0 : (size_t)(a->end - a->p), n, part, lf;
	const uint8_t *p = carried(a, &n);
	bool carry = n;

	part = e->unit - n % e->unit;
	if (carry && part < e->unit && fed) {
		part = part < fed ? part : fed;
		borrow(a, part);
		fed -= part;
		p = carried(a, &n);
	}
	if (!carry) {
		p = a->p;
		n = fed;
	}
	lf = n ? encoding_find(e, p, n) : 0;
	if (lf)
		n = lf;
	else if (!a->jump && !(a->final && (!carry || !fed)))
		n -= n % e->unit;
	if (!n) {
		if (fed)
			borrow(a, fed);
		return TOOK_NONE;
	}
	*ret_lost = (struct message_span){ a->at, a->at + (int64_t)n };
	use(a, n);
	a->rest = !lf;
	return TOOK_LOST;
}

/* --- a line --- */

static void put_text(struct assembly *a, const struct file_line *l, size_t *ret_used, bool *ret_broken)
{
	buf_clear(&a->text);
	if (converter_put(&a->converter, &a->rules->encoding, l->value, l->len, &a->text, ret_used, ret_broken) < 0)
		a->failed = true;
}

/* value and len as UTF-8. Returns how many bytes the line takes: fewer than ln->span if its last character is cut, and so the
 * next piece's. Truncated it is nobody's, and no fault of the text; a line without LF of that length looks the same. */
static size_t convert(struct assembly *a, const struct line *ln, struct file_line *l)
{
	const struct assemble_rules *r = a->rules;
	bool truncated = r->long_lines == ASSEMBLE_TRUNCATE && ln->span == r->max && ln->value_len == r->max;
	size_t used = 0;

	if (ln->piece || truncated)
		put_text(a, l, &used, &l->broken);
	if (used && used < l->len && !truncated) {	/* as it will come out of its own bytes: some encodings look ahead */
		l->len = used;
		l->broken = false;
		put_text(a, l, NULL, &l->broken);
	}
	if (!used)
		put_text(a, l, NULL, &l->broken);
	l->value = (const uint8_t *)a->text.data;
	l->len = a->text.len;
	return truncated || !used ? ln->span : used;
}

static enum took took(struct assembly *a, const struct line *ln, struct message_span *ret_lost)
{
	const struct assemble_rules *r = a->rules;
	size_t span = ln->span, unit = r->encoding.unit;
	struct file_line *l = &a->line;

	if (ln->piece && r->long_lines == ASSEMBLE_SKIP) {
		*ret_lost = (struct message_span){ a->at, a->at + (int64_t)span };
		use(a, span);
		a->rest = true;
		return TOOK_LOST;
	}
	*l = (struct file_line){ .full = true, .value = ln->value, .len = ln->value_len, .cut = ln->piece };
	l->cr = r->format != ASSEMBLE_RAW && span - ln->value_len == 2 * unit;
	l->len += l->cr ? unit : 0;
	if (!r->encoding.bytes)
		span = convert(a, ln, l);
	l->span = (struct message_span){ a->at, a->at + (int64_t)span };
	use(a, span);
	a->rest = ln->piece && r->long_lines == ASSEMBLE_TRUNCATE;
	return TOOK_LINE;
}

static enum took take_line(struct assembly *a, struct message_span *ret_lost)
{
	const struct assemble_rules *r = a->rules;
	struct line ln;
	const uint8_t *p;
	size_t n;

	for (;;) {
		bool fed = !a->jump && a->p < a->end;

		p = carried(a, &n);
		if (!n)
			break;
		if (encoding_next(&r->encoding, p, n, r->max, a->jump || (a->final && !fed), &ln))
			return took(a, &ln, ret_lost);
		if (!fed || a->failed)
			return TOOK_NONE;
		borrow(a, wanted(a, n));
	}
	if (a->jump || a->p == a->end)
		return TOOK_NONE;
	n = (size_t)(a->end - a->p);
	if (encoding_next(&r->encoding, a->p, n, r->max, a->final, &ln))
		return took(a, &ln, ret_lost);
	borrow(a, n);
	return TOOK_NONE;
}

enum took assembly_take(struct assembly *a, struct message_span *ret_lost)
{
	return a->rest ? take_rest(a, ret_lost) : take_line(a, ret_lost);
}

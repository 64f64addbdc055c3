/* range_set.c - see range_set.h.
 *
 * Why: acks arrive out of order (several partitions, several brokers), so finished bytes appear above a position that
 * still waits. They must be remembered: a restart must neither send them again nor forget them.
 * A sorted array serves: what is added nearly always touches the last item or lies behind it.
 */
#include "spool/range_set.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "spool/varint.h"

/* The first item that ends at or above `at`; count if none does. */
static uint32_t first_reaching(const struct range_set *s, int64_t at)
{
	uint32_t lo = 0, hi = s->count;

	if (hi && s->items[hi - 1].to < at)
		return hi;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->items[mid].to < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int make_room(struct range_set *s)
{
	uint32_t cap = s->cap ? s->cap * 2 : 4;
	struct range_item *items;

	if (s->count < s->cap)
		return 0;
	items = mem_realloc(s->items, cap * sizeof *items);
	if (!items)
		return ERR_NOMEM;
	s->items = items;
	s->cap = cap;
	return 0;
}

int range_set_add(struct range_set *s, int64_t from, int64_t to, uint64_t marker)
{
	uint32_t i = first_reaching(s, from), end = i;
	struct range_item joined = { from, to, marker };

	for (; end < s->count && s->items[end].from <= to; end++) {
		if (s->items[end].from < joined.from)
			joined.from = s->items[end].from;
		if (s->items[end].to > joined.to) {
			joined.to = s->items[end].to;
			joined.marker = s->items[end].marker;
		}
	}
	if (end == i) {
		int rc = make_room(s);

		if (rc < 0)
			return rc;
		memmove(s->items + i + 1, s->items + i, (s->count - i) * sizeof *s->items);
		s->count++;
	} else {
		memmove(s->items + i + 1, s->items + end, (s->count - end) * sizeof *s->items);
		s->count -= end - i - 1;
	}
	s->items[i] = joined;
	return 0;
}

bool range_set_overlaps(const struct range_set *s, int64_t from, int64_t to)
{
	uint32_t i = first_reaching(s, from + 1);

	return i < s->count && s->items[i].from < to;
}

bool range_set_covers(const struct range_set *s, int64_t from, int64_t to)
{
	uint32_t i = first_reaching(s, to);

	return i < s->count && s->items[i].from <= from;
}

void range_set_advance(struct range_set *s, int64_t *safe, uint64_t *marker)
{
	uint32_t n = 0;

	for (; n < s->count && s->items[n].from <= *safe; n++) {
		if (s->items[n].to <= *safe)
			continue;
		*safe = s->items[n].to;
		*marker = s->items[n].marker;
	}
	if (!n)
		return;
	s->count -= n;
	memmove(s->items, s->items + n, s->count * sizeof *s->items);
}

int range_set_copy(struct range_set *dst, const struct range_set *src)
{
	if (!src->count)
		return 0;
	dst->items = mem_array(struct range_item, src->count);
	if (!dst->items)
		return ERR_NOMEM;
	memcpy(dst->items, src->items, src->count * sizeof *src->items);
	dst->count = dst->cap = src->count;
	return 0;
}

void range_set_release(struct range_set *s)
{
	mem_free(s->items);
	*s = (struct range_set){ 0 };
}

uint8_t *range_set_put(uint8_t *p, const struct range_set *s, int64_t safe)
{
	p = varint_put(p, s->count);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct range_item *it = &s->items[i];

		p = varint_put(p, (uint64_t)(it->from - safe));
		p = varint_put(p, (uint64_t)(it->to - it->from));
		p = fixed64_put(p, it->marker);
		safe = it->to;
	}
	return p;
}

static int get_items(struct range_set *s, int64_t at, const uint8_t *p, const uint8_t *end)
{
	uint64_t count, gap, length, marker;

	if (!varint_get(&p, end, &count))
		return ERR_CORRUPT;
	for (; count; count--) {
		if (!varint_get(&p, end, &gap) || !varint_get(&p, end, &length) || !fixed64_get(&p, end, &marker))
			return ERR_CORRUPT;
		if (!gap || gap > (uint64_t)(INT64_MAX - at) || !length || length > (uint64_t)(INT64_MAX - at) - gap)
			return ERR_CORRUPT;
		at += (int64_t)gap;
		if (range_set_add(s, at, at + (int64_t)length, marker) < 0)
			return ERR_NOMEM;
		at += (int64_t)length;
	}
	return p == end ? 0 : ERR_CORRUPT;
}

int range_set_get(struct range_set *s, int64_t safe, const void *data, size_t n)
{
	int rc = n ? get_items(s, safe, data, (const uint8_t *)data + n) : 0;

	if (rc < 0)
		range_set_release(s);
	return rc;
}

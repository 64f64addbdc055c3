/* lag.c - see lag.h.
 *
 * Invariants: marks grow in both; a mark's time is never later than the moment at which its first byte was seen, so joining two
 * keeps the earlier time and the greater size.
 */
#include "agent/tail/lag.h"

#include <string.h>

/* Joins the two that lie closest together in time: what is left is spread over all of it. */
static void join_closest(struct lag *l)
{
	uint32_t at = 0;

	for (uint32_t i = 1; i + 1 < l->count; i++)
		if (l->marks[i + 1].ms - l->marks[i].ms < l->marks[at + 1].ms - l->marks[at].ms)
			at = i;
	l->marks[at].to = l->marks[at + 1].to;
	memmove(&l->marks[at + 1], &l->marks[at + 2], (l->count - at - 2) * sizeof l->marks[0]);
	l->count--;
}

void lag_seen(struct lag *l, int64_t size, int64_t ms)
{
	struct lag_mark *last = l->count ? &l->marks[l->count - 1] : NULL;

	if (last && size <= last->to)
		return;
	if (last && ms < last->ms + LAG_STEP_MS) {
		last->to = size;
		return;
	}
	if (l->count == LAG_MARKS)
		join_closest(l);
	l->marks[l->count++] = (struct lag_mark){ size, ms };
}

int lag_finished(struct lag *l, int64_t safe)
{
	uint32_t n = 0;

	while (n < l->count && l->marks[n].to <= safe)
		n++;
	memmove(l->marks, &l->marks[n], (l->count - n) * sizeof l->marks[0]);
	l->count -= n;
	return l->count != 0;
}

int64_t lag_age(const struct lag *l, int64_t safe, int64_t now_ms)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (l->marks[i].to > safe)
			return now_ms > l->marks[i].ms ? now_ms - l->marks[i].ms : 0;
	return 0;
}

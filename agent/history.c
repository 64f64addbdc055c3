/* history.c - see history.h. */
#include "agent/history.h"

#define SETTLED_S 5		/* less than this says nothing about what comes */
#define STEADY    1.0		/* bytes/s: a spool that changes less stays as it is */

void history_add(struct history *h, const struct history_sample *s)
{
	h->samples[h->next] = *s;
	h->next = (h->next + 1) % HISTORY_SAMPLES;
	if (h->count < HISTORY_SAMPLES)
		h->count++;
}

const struct history_sample *history_at(const struct history *h, uint32_t i)
{
	return &h->samples[(h->next + HISTORY_SAMPLES - h->count + i) % HISTORY_SAMPLES];
}

/* What was read is taken back when it has to be read again: no rate is less than nothing but for the spool's. */
static double growth(uint64_t from, uint64_t to)
{
	return to > from ? (double)(to - from) : 0;
}

static void between(const struct history_sample *a, const struct history_sample *b, struct history_rates *ret)
{
	double s = (double)(b->ms - a->ms) / 1000;

	*ret = (struct history_rates){ 0 };
	if (s <= 0)
		return;
	*ret = (struct history_rates){
		.seconds = s, .read = growth(a->read, b->read) / s, .read_bytes = growth(a->read_bytes, b->read_bytes) / s,
		.acked = growth(a->acked, b->acked) / s, .spooled = ((double)b->spooled - (double)a->spooled) / s,
		.spool_bytes = ((double)b->spool_bytes - (double)a->spool_bytes) / s,
	};
}

static void over(const struct history *h, int64_t window_ms, struct history_rates *ret)
{
	uint32_t i = 0;

	*ret = (struct history_rates){ 0 };
	if (h->count < 2)
		return;
	/* A late sample must not make the window longer by itself. */
	while (i + 2 < h->count && history_at(h, h->count - 1)->ms - history_at(h, i)->ms > window_ms)
		i++;
	between(history_at(h, i), history_at(h, h->count - 1), ret);
}

void history_rates(const struct history *h, struct history_rates *ret)
{
	over(h, HISTORY_WINDOW_MS, ret);
}

void history_ahead(const struct history *h, struct history_rates *ret)
{
	over(h, HISTORY_AHEAD_MS, ret);
}

void history_step(const struct history *h, uint32_t i, struct history_rates *ret)
{
	between(history_at(h, i - 1), history_at(h, i), ret);
}

double history_full_in(const struct history_rates *r, int64_t room)
{
	if (r->seconds < SETTLED_S || r->spool_bytes < STEADY)
		return -1;
	return room > 0 ? (double)room / r->spool_bytes : 0;
}

double history_drained_in(const struct history_rates *r, uint64_t spool_bytes)
{
	if (r->seconds < SETTLED_S || r->spool_bytes > -STEADY || !spool_bytes)
		return -1;
	return (double)spool_bytes / -r->spool_bytes;
}

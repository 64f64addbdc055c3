/* markers.c - see markers.h.
 *
 * How they stay far apart: a new one always gets in, and one goes: that between the two whose distances from the position
 * have the smallest ratio. The newest and the oldest stay. So they reach from the last step to the file's beginning, each
 * some five times as far away as the one before, whatever the size of the steps (over gigabytes of small steps the worst
 * pair is at a ratio of fifteen in the mean, and never above fifty).
 */
#include "spool/markers.h"

#include <string.h>

#include "spool/varint.h"

/* Never the first or the last of them. */
static int missed_least(const struct spool_marker *at, int n, int64_t safe)
{
	double least = 0;
	int found = 0;

	for (int i = 1; i < n - 1; i++) {
		double ratio = (double)(safe - at[i + 1].offset) / (double)(safe - at[i - 1].offset);

		if (!found || ratio < least) {
			least = ratio;
			found = i;
		}
	}
	return found;
}

void markers_push(struct markers *m, int64_t offset, uint64_t hash, int64_t safe)
{
	struct spool_marker at[SPOOL_MARKERS + 1];
	int n = (int)m->count + 1, gone = n;

	if (!hash || offset <= 0 || (m->count && offset - m->at[0].offset < MARKERS_GAP))
		return;
	at[0] = (struct spool_marker){ offset, hash };
	memcpy(at + 1, m->at, m->count * sizeof *at);
	if (n > SPOOL_MARKERS) {
		gone = missed_least(at, n, safe);
		memmove(at + gone, at + gone + 1, (size_t)(n - gone - 1) * sizeof *at);
		n--;
	}
	memcpy(m->at, at, (size_t)n * sizeof *at);
	m->count = (uint32_t)n;
}

void markers_cut(struct markers *m, int64_t safe)
{
	uint32_t n = 0;

	while (n < m->count && m->at[n].offset >= safe)
		n++;
	m->count -= n;
	memmove(m->at, m->at + n, m->count * sizeof *m->at);
}

bool markers_same(const struct markers *a, const struct markers *b)
{
	return a->count == b->count && memcmp(a->at, b->at, a->count * sizeof *a->at) == 0;
}

uint8_t *markers_put(uint8_t *p, const struct markers *m, int64_t safe)
{
	for (uint32_t i = 0; i < m->count; i++) {
		p = varint_put(p, (uint64_t)(safe - m->at[i].offset));
		p = fixed64_put(p, m->at[i].hash);
		safe = m->at[i].offset;
	}
	return p;
}

bool markers_get(struct markers *m, int64_t safe, const void *data, size_t n)
{
	const uint8_t *p = data, *end = p + n;
	uint64_t gap, hash;

	m->count = 0;
	while (n && p < end) {
		if (m->count == SPOOL_MARKERS || !varint_get(&p, end, &gap) || !fixed64_get(&p, end, &hash) ||
		    !gap || gap >= (uint64_t)safe || !hash) {
			m->count = 0;
			return false;
		}
		safe -= (int64_t)gap;
		m->at[m->count++] = (struct spool_marker){ safe, hash };
	}
	return true;
}

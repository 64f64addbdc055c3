/* ranges.c - see ranges.h.
 *
 * Why: a batch of keyed lines may carry a thousand ranges; as columns or as a table of their own they would cost more
 * than the batch. Nearly all of them follow each other in one file, so differences are small numbers.
 * Failure: reading never trusts a byte: a count that cannot fit, a number that does not end, a range that runs backwards
 * or over the end of the numbers is ERR_CORRUPT.
 */
#include "spool/ranges.h"

#include "agent/base/mem.h"
#include "spool/varint.h"

/* file 1, from 1, length 1, marker 8, records 1, route 1 */
#define RANGE_BYTES_MIN 13

static bool any_filtered(const struct spool_range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].filtered)
			return true;
	return false;
}

uint8_t *ranges_put(uint8_t *p, const struct spool_range *r, size_t n)
{
	struct spool_range last = { 0 };
	bool filtered = any_filtered(r, n);

	p = varint_put(p, filtered ? n | RANGES_FILTERED : n);
	for (size_t i = 0; i < n; i++) {
		p = varint_put_signed(p, (int64_t)((uint64_t)r[i].file_id - (uint64_t)last.file_id));
		p = varint_put_signed(p, r[i].from - last.to);
		p = varint_put(p, (uint64_t)(r[i].to - r[i].from));
		p = fixed64_put(p, r[i].marker);
		p = varint_put(p, r[i].count);
		p = varint_put_signed(p, (int64_t)r[i].route - (int64_t)last.route);
		if (filtered)
			p = varint_put(p, r[i].filtered);
		last = r[i];
	}
	return p;
}

int ranges_open(struct ranges_reader *rr, const void *data, size_t n)
{
	*rr = (struct ranges_reader){ .p = data, .end = (const uint8_t *)data + n };
	if (!varint_get(&rr->p, rr->end, &rr->left))
		return ERR_CORRUPT;
	rr->filtered = rr->left & RANGES_FILTERED;
	rr->left &= ~(uint64_t)RANGES_FILTERED;
	return rr->left > (size_t)(rr->end - rr->p) / RANGE_BYTES_MIN ? ERR_CORRUPT : 0;
}

int ranges_next(struct ranges_reader *rr, struct spool_range *ret)
{
	int64_t file, from, route;
	uint64_t length, marker, count, filtered = 0;

	if (!rr->left)
		return 0;
	if (!varint_get_signed(&rr->p, rr->end, &file) || !varint_get_signed(&rr->p, rr->end, &from) ||
	    !varint_get(&rr->p, rr->end, &length) || !fixed64_get(&rr->p, rr->end, &marker) ||
	    !varint_get(&rr->p, rr->end, &count) || !varint_get_signed(&rr->p, rr->end, &route) ||
	    (rr->filtered && !varint_get(&rr->p, rr->end, &filtered)))
		return ERR_CORRUPT;
	file = (int64_t)((uint64_t)file + (uint64_t)rr->last.file_id);
	if (__builtin_add_overflow(from, rr->last.to, &from) || from < 0 || length > (uint64_t)(INT64_MAX - from) ||
	    __builtin_add_overflow(route, (int64_t)rr->last.route, &route) || route < 0 || route > UINT32_MAX ||
	    count > UINT32_MAX || filtered > UINT32_MAX)
		return ERR_CORRUPT;
	rr->last = (struct spool_range){ .file_id = file, .from = from, .to = from + (int64_t)length, .marker = marker,
					 .count = (uint32_t)count, .route = (uint32_t)route,
					 .filtered = (uint32_t)filtered };
	rr->left--;
	*ret = rr->last;
	return 1;
}

int ranges_get(const uint8_t *data, size_t n, struct spool_range **ret, size_t *ret_n, const uint8_t **ret_end)
{
	struct ranges_reader rr;
	struct spool_range *r = NULL, next;
	size_t count = 0;
	int rc = ranges_open(&rr, data, n);

	if (rc < 0)
		return rc;
	if (rr.left) {
		r = mem_array(struct spool_range, rr.left);
		if (!r)
			return ERR_NOMEM;
	}
	while ((rc = ranges_next(&rr, &next)) > 0)
		r[count++] = next;
	if (rc < 0) {
		mem_free(r);
		return rc;
	}
	*ret = r;
	*ret_n = count;
	*ret_end = rr.p;
	return 0;
}

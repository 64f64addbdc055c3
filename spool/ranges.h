/* ranges.h - the source ranges of a batch as a compact blob, and back.
 *
 *	count v | count times:
 *	    file id s (minus the one before) | from s (minus the one before's to) | length v | marker 8 |
 *	    records v | route s (minus the one before) | filtered v (if RANGES_FILTERED is in count)
 *
 * v: varint, s: signed varint, 8: little endian. The first range's "one before" is all zero. A batch of one file whose
 * ranges touch costs about 14 bytes a range, 8 of them the marker. Where no line was filtered nothing is said about it.
 */
#ifndef SPILLWAY_SPOOL_RANGES_H
#define SPILLWAY_SPOOL_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool/spool.h"

#define RANGES_FILTERED (1u << 27)	/* far above any count */

/* Room that n ranges may need. */
#define RANGES_ROOM(n) (10 + (size_t)(n) * 68)

/* Returns the end of what it wrote. */
uint8_t *ranges_put(uint8_t *p, const struct spool_range *r, size_t n);

struct ranges_reader {
	const uint8_t *p, *end;
	uint64_t left;
	bool filtered;
	struct spool_range last;
};

/* 0, or ERR_CORRUPT when not even the count can be read or it cannot fit into n bytes. */
int ranges_open(struct ranges_reader *rr, const void *data, size_t n);
/* 1 and a range; 0 at the end; ERR_CORRUPT. */
int ranges_next(struct ranges_reader *rr, struct spool_range *ret);
/* All of them in one array (mem_free it; NULL when there are none). 0, ERR_CORRUPT, ERR_NOMEM. *ret_end: behind them. */
int ranges_get(const uint8_t *data, size_t n, struct spool_range **ret, size_t *ret_n, const uint8_t **ret_end);

#endif

/* place.h - records of an unplaced lane (journal.h, LANE_UNPLACED), on their way to the lanes of their partitions.
 *
 * For a journal that keeps batches elsewhere: it reads some of the lane's oldest rows and adds them; then it puts the parts in
 * their place, in one transaction. Small rows are put together, so that many partitions do not make many tiny batches; a part
 * keeps to batch.size as any batch does.
 * Order: a record stands behind those of its partition that were added before it.
 * Threads: one at a time, any. The budget is not asked: what is added at once is the caller's choice.
 */
#ifndef SPILLWAY_PLACE_H
#define SPILLWAY_PLACE_H

#include "producer/journal.h"

struct placing;

struct place_part {
	struct list node;
	struct lane *lane;
	int32_t  count;
	int64_t  base_timestamp, max_timestamp;
	uint8_t  codec;
	uint32_t raw_bytes, raw_crc, crc;
	size_t   size;
	uint8_t  bytes[];
};

/* The number of partitions must be known. 0 or ERR_NOMEM. */
int  placing_new(struct placing **ret, struct producer *p, struct lane *unplaced);
void placing_free(struct placing *g);		/* its parts too; NULL is fine */

struct place_batch { enum codec codec; int32_t count; int64_t base_timestamp; const void *data; size_t n; };
/* 0; ERR_BAD_DATA: these are no such records, nothing is added; others: what was added is worth nothing. */
int  placing_add(struct placing *g, const struct place_batch *b);
size_t placing_bytes(const struct placing *g);	/* added, before compressing */
/* No more is added: *ret_parts gets the list of struct place_part, which stay ours. 0 or ERR_NOMEM. */
int  placing_end(struct placing *g, struct list **ret_parts);

#endif

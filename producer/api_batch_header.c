/* api_batch_header.c - what a fetched batch says of itself in its first 61 bytes (layout: batch.h): whose it is and where.
 *
 * Why only these: they are never compressed and survive the state that a broker keeps of producers, so identities are found
 * in a log at the price of stepping from header to header. Nothing here is checked by the batch's CRC: who is to be found is
 * known by three numbers, and the broker has checked what it stored.
 */
#include "producer/api.h"

#include "producer/wire.h"

#define AFTER_LENGTH 12		/* the batch's length field counts from here */
#define MAGIC 2

bool api_next_batch_header(const uint8_t **at, const uint8_t *end, struct api_batch_header *ret)
{
	const uint8_t *p = *at;
	size_t left = (size_t)(end - p), size;
	int64_t base, last_delta;

	if (left < BATCH_HEAD || p[16] != MAGIC)
		return false;
	size = AFTER_LENGTH + (size_t)be32_get(p + 8);
	base = (int64_t)be64_get(p);
	last_delta = (int32_t)be32_get(p + 23);
	if (size < BATCH_HEAD || size > AFTER_LENGTH + (size_t)INT32_MAX || base < 0 || last_delta < 0 ||
	    base > INT64_MAX - last_delta)
		return false;
	*ret = (struct api_batch_header){
		.base_offset = base, .last_offset = base + last_delta, .attributes = (int16_t)be16_get(p + 21),
		.base_timestamp = (int64_t)be64_get(p + 27), .max_timestamp = (int64_t)be64_get(p + 35),
		.producer_id = (int64_t)be64_get(p + 43), .epoch = (int16_t)be16_get(p + 51),
		.base_sequence = (int32_t)be32_get(p + 53), .count = (int32_t)be32_get(p + 57), .whole = size <= left,
	};
	*at = p + (size <= left ? size : left);
	return true;
}

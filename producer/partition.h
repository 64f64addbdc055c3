/* partition.h - which partition a batch without key goes to (KIP-480, KIP-794). Pure. */
#ifndef SPILLWAY_PARTITION_H
#define SPILLWAY_PARTITION_H

#include <stddef.h>
#include <stdint.h>

struct sticky {
	int32_t  partition;		/* -1: none yet */
	uint64_t bytes;			/* given to it in a row */
};

/* A partition that can take a batch now. */
struct sticky_choice { int32_t partition; uint32_t queue; };

/* Stays until batch_size bytes have gone there, then picks another at random; the shorter its queue, the likelier.
 * bytes: of the batch, before compressing. -1 when n is 0. */
int32_t sticky_pick(struct sticky *st, const struct sticky_choice *c, size_t n, uint64_t bytes, uint64_t batch_size, uint64_t *rng);
/* Kafka's rule for keys. count > 0. */
int32_t partition_of_key(const void *key, size_t key_len, int32_t count);

#endif

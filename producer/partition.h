/* partition.h - which partition a record or a batch goes to (KIP-480, KIP-794).
 *
 * Two moments. Where something of the record decides (key, header, file, a function, a turn), the partition is chosen when
 * the record is appended. All the rest waits in an unbound lane until a batch of it is about to be sent, and goes where it
 * can be sent then.
 * No lock, no clock, no I/O; randomness is an argument.
 */
#ifndef SPILLWAY_PARTITION_H
#define SPILLWAY_PARTITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/available.h"
#include "producer/config.h"

struct lane_record;

/* --- when a record is appended: any thread that appends --- */

struct place_rule {			/* of the configuration */
	enum partitioner kind;
	bool ignore_keys;
	struct producer_partitioner fn;	/* partition NULL: by kind */
};

struct place_state { uint32_t turn; uint64_t rng; };	/* of a topic; under the lock of its unbound lane */

struct place_topic { const char *name; int32_t count; const struct available *available; };	/* count 0: not known yet */

#define PLACE_LATER (-1)

/* No look at a record is needed: a batch is bound when it is planned. */
static inline bool place_is_late(const struct place_rule *rule, const void *key)
{
	return rule->kind == PARTITIONER_DEFAULT && !rule->fn.partition && (!key || rule->ignore_keys);
}

/* Whether all that decides about this record is in its own bytes, so that it can be placed when it is read back. */
bool place_keeps(const struct place_rule *rule, const struct lane_record *r);

/* A partition or PLACE_LATER into *ret. ERR_UNAVAILABLE: the number of partitions is needed and not known yet;
 * ERR_PARTITION: the function's answer is none. */
int place_record(const struct place_rule *rule, struct place_state *st, const struct place_topic *t,
		 const struct lane_record *r, int32_t *ret);
/* The first partition that a batch of an unbound lane may be bound to: the priority partitioner keeps 0 for others. */
int32_t place_first(const struct place_rule *rule, int32_t count);
/* Kafka's rule for keys. count > 0. */
int32_t partition_of_key(const void *key, size_t key_len, int32_t count);

/* --- when a batch is planned: the sender --- */

struct sticky {
	int32_t  partition;		/* -1: none yet */
	uint64_t bytes;			/* given to it in a row */
};

/* A partition that can take a batch now. */
struct sticky_choice {
	int32_t  partition;
	uint32_t queue;			/* batches that wait for it; all 0: each is as likely */
	bool     spare;			/* slow: taken only when there is no other */
};

/* Stays until batch_size bytes have gone there, then picks another at random; the shorter its queue, the likelier.
 * bytes: of the batch, before compressing. -1 when n is 0. */
int32_t sticky_pick(struct sticky *st, const struct sticky_choice *c, size_t n, uint64_t bytes, uint64_t batch_size, uint64_t *rng);

#endif

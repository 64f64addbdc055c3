/* partition.c - the sticky partitioner.
 *
 * Why: one full batch for one partition costs the broker less than twelve small ones for twelve. Binding happens when a
 * batch is planned, not when its first record arrives, so a partition that cannot take anything never gets a batch.
 * Invariant: the answer is always one of the choices.
 * Threads: the caller's.
 */
#include "producer/partition.h"

#include "agent/base/err.h"

#include "producer/murmur2.h"

static uint64_t next_random(uint64_t *rng)
{
	*rng = *rng * 6364136223846793005u + 1442695040888963407u;
	return *rng >> 33;
}

/* Kafka's weights: longest queue + 1 - own queue. */
static int32_t pick_weighted(const struct sticky_choice *c, size_t n, uint64_t *rng)
{
	uint64_t longest = 0, sum = 0, at;
	size_t i = 0;

	ASSERT(n > 0);

	for (size_t k = 0; k < n; k++)
		longest = c[k].queue > longest ? c[k].queue : longest;
	for (size_t k = 0; k < n; k++)
		sum += longest + 1 - c[k].queue;
	at = next_random(rng) % (sum ? sum : 1);
	while (at >= longest + 1 - c[i].queue)
		at -= longest + 1 - c[i++].queue;
	return c[i].partition;
}

static int can_stay(const struct sticky *st, const struct sticky_choice *c, size_t n, uint64_t batch_size)
{
	if (st->partition < 0 || st->bytes >= batch_size)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (c[i].partition == st->partition)
			return 1;
	return 0;
}

int32_t sticky_pick(struct sticky *st, const struct sticky_choice *c, size_t n, uint64_t bytes, uint64_t batch_size, uint64_t *rng)
{
	if (n == 0)
		return -1;
	if (!can_stay(st, c, n, batch_size)) {
		st->partition = pick_weighted(c, n, rng);
		st->bytes = 0;
	}
	st->bytes += bytes;
	return st->partition;
}

int32_t partition_of_key(const void *key, size_t key_len, int32_t count)
{
	return (int32_t)(((uint32_t)murmur2(key, key_len) & 0x7fffffffu) % (uint32_t)count);
}

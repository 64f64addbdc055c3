/* partition.c - the partitioners: default, round_robin, random, file, priority, and one's own.
 *
 * Why two moments: see partition.h. One full batch for one partition costs the broker less than twelve small ones for
 * twelve, so the default binds whole batches, and only when they are planned: a partition that cannot take anything never
 * gets a batch.
 * Invariants
 *  (1) the answer is a partition below the count, or one of the choices.
 *  (2) what has a key, a file or a high priority depends on nothing but that and the count; whether its partition has a
 *      leader does not matter (as in Java): it waits, and keeps its order.
 * Threads: the caller's.
 */
#include "producer/partition.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/rng.h"
#include "agent/base/list.h"
#include "producer/journal.h"
#include "producer/murmur2.h"

#define PRIORITY_HEADER "priority"
#define PRIORITY_HIGH   "high"

/* --- records --- */

static int32_t hash(const void *p, size_t n, int32_t count)
{
	return (int32_t)((murmur2(p, n) & 0x7fffffffu) % (uint32_t)count);
}

int32_t partition_of_key(const void *key, size_t key_len, int32_t count)
{
	return hash(key, key_len, count);
}

static int32_t by_key(const struct place_rule *rule, const struct lane_record *r, int32_t first, int32_t count)
{
	if (!r->key || rule->ignore_keys)
		return PLACE_LATER;
	return first + hash(r->key, r->key_len, count - first);
}

/* The n-th of those that have a leader; of all, when none has. */
static int32_t nth(const struct place_topic *t, uint32_t n)
{
	int32_t up = available_count(t->available, t->count), p;

	if (up == 0 || up == t->count)
		return (int32_t)(n % (uint32_t)t->count);
	p = available_nth(t->available, t->count, (int32_t)(n % (uint32_t)up));
	return p >= 0 ? p : (int32_t)(n % (uint32_t)t->count);
}

/* The last header of that name decides, as it does for Kafka's consumers. */
static bool is_high(const struct lane_record *r)
{
	for (size_t i = r->header_count; i > 0; i--) {
		const struct producer_header *h = &r->headers[i - 1];

		if (strcmp(h->name, PRIORITY_HEADER) == 0)
			return h->value && h->value_len == strlen(PRIORITY_HIGH) &&
			       memcmp(h->value, PRIORITY_HIGH, h->value_len) == 0;
	}
	return false;
}

int32_t place_first(const struct place_rule *rule, int32_t count)
{
	return rule->kind == PARTITIONER_PRIORITY && !rule->fn.partition && count > 1;
}

struct view { struct producer_topic_info info; const struct available *available; };

static bool has_leader(const struct producer_topic_info *t, int32_t partition)
{
	const struct view *v = container_of(t, const struct view, info);

	return partition >= 0 && partition < t->partition_count && available_has(v->available, partition);
}

static int ask(const struct producer_partitioner *fn, const struct place_topic *t, const struct lane_record *r, int32_t *ret)
{
	const struct view v = { { t->name, t->count, has_leader }, t->available };
	const struct producer_record record = {
		.topic = t->name, .partition = -1, .key = r->key, .key_len = r->key_len, .value = r->value,
		.value_len = r->value_len, .headers = r->headers, .header_count = r->header_count, .timestamp = r->timestamp,
	};
	int32_t p = fn->partition(fn->arg, &record, &v.info);

	if (p < 0 || p >= t->count)
		return ERR_PARTITION;
	*ret = p;
	return 0;
}

bool place_keeps(const struct place_rule *rule, const struct lane_record *r)
{
	return rule->kind != PARTITIONER_FILE || rule->fn.partition || !r->place;
}

int place_record(const struct place_rule *rule, struct place_state *st, const struct place_topic *t,
		 const struct lane_record *r, int32_t *ret)
{
	bool late = place_is_late(rule, r->key);

	if (!late && t->count <= 0)
		return ERR_UNAVAILABLE;
	if (rule->fn.partition)
		return ask(&rule->fn, t, r, ret);
	switch (rule->kind) {
	case PARTITIONER_ROUND_ROBIN:
		*ret = nth(t, st->turn++);
		break;
	case PARTITIONER_RANDOM:
		*ret = nth(t, (uint32_t)rng_next(&st->rng));
		break;
	case PARTITIONER_FILE:
		*ret = r->place ? hash(r->place, r->place_len, t->count) : by_key(rule, r, 0, t->count);
		break;
	case PARTITIONER_PRIORITY:
		*ret = is_high(r) ? 0 : by_key(rule, r, place_first(rule, t->count), t->count);
		break;
	case PARTITIONER_DEFAULT:
		*ret = late ? PLACE_LATER : by_key(rule, r, 0, t->count);
		break;
	}
	return 0;
}

/* --- batches --- */

/* Kafka's weights: longest queue + 1 - own queue. Spare ones count when all are. */
static int32_t pick_weighted(const struct sticky_choice *c, size_t n, bool spare, uint64_t *rng)
{
	uint64_t longest = 0, sum = 0, at;
	int32_t picked = -1;

	for (size_t i = 0; i < n; i++)
		if (c[i].spare == spare && c[i].queue > longest)
			longest = c[i].queue;
	for (size_t i = 0; i < n; i++)
		sum += c[i].spare == spare ? longest + 1 - c[i].queue : 0;
	ASSERT(sum > 0);
	at = rng_next(rng) % sum;
	for (size_t i = 0; i < n && picked < 0; i++) {
		uint64_t weight = c[i].spare == spare ? longest + 1 - c[i].queue : 0;

		if (at < weight)
			picked = c[i].partition;
		else
			at -= weight;
	}
	return picked;
}

static bool can_stay(const struct sticky *st, const struct sticky_choice *c, size_t n, bool spare, uint64_t batch_size)
{
	if (st->partition < 0 || st->bytes >= batch_size)
		return false;
	for (size_t i = 0; i < n; i++)
		if (c[i].partition == st->partition)
			return c[i].spare == spare;
	return false;
}

int32_t sticky_pick(struct sticky *st, const struct sticky_choice *c, size_t n, uint64_t bytes, uint64_t batch_size, uint64_t *rng)
{
	bool spare = true;

	if (n == 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		spare &= c[i].spare;
	if (!can_stay(st, c, n, spare, batch_size)) {
		st->partition = pick_weighted(c, n, spare, rng);
		st->bytes = 0;
	}
	st->bytes += bytes;
	return st->partition;
}

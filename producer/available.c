/* available.c - a bitmap that grows under its readers.
 *
 * Invariant: a map that was ever published lives until the release, so a reader may hold it for as long as it likes. Each
 * is at least twice as large as the one before: all of them together take less than two of the last.
 * Failure no memory -> nothing changed.
 */
#include "producer/available.h"

#include <stdatomic.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

#define BITS 64
#define WORDS_MIN 2

struct available_map {
	struct available_map *older;
	int32_t words;
	_Atomic uint64_t bits[];
};

static const struct available_map *map_of(const struct available *a)
{
	return atomic_load_explicit(&a->map, memory_order_acquire);
}

int available_grow(struct available *a, int32_t count)
{
	struct available_map *old = atomic_load(&a->map), *m;
	int32_t words = count / BITS + 1;

	if (old && words <= old->words)
		return 0;
	if (old && words < 2 * old->words)
		words = 2 * old->words;
	if (words < WORDS_MIN)
		words = WORDS_MIN;
	m = mem_alloc(sizeof *m + (size_t)words * sizeof m->bits[0]);
	if (!m)
		return ERR_NOMEM;
	m->older = old;
	m->words = words;
	for (int32_t i = 0; i < words; i++)
		atomic_init(&m->bits[i], old && i < old->words ? atomic_load(&old->bits[i]) : 0);
	atomic_store_explicit(&a->map, m, memory_order_release);
	return 0;
}

void available_set(struct available *a, int32_t partition, bool yes)
{
	struct available_map *m = atomic_load(&a->map);
	uint64_t bit = (uint64_t)1 << (partition % BITS);

	ASSERT(m && partition >= 0 && partition / BITS < m->words);
	if (yes)
		atomic_fetch_or(&m->bits[partition / BITS], bit);
	else
		atomic_fetch_and(&m->bits[partition / BITS], ~bit);
}

/* The bits of one word that belong to the first `count` partitions. */
static uint64_t word(const struct available_map *m, int32_t i, int32_t count)
{
	uint64_t bits = atomic_load_explicit(&m->bits[i], memory_order_relaxed);
	int32_t left = count - i * BITS;

	return left < BITS ? bits & (((uint64_t)1 << left) - 1) : bits;
}

static int32_t words_of(const struct available_map *m, int32_t count)
{
	int32_t n = count / BITS + (count % BITS != 0);

	return !m ? 0 : n < m->words ? n : m->words;
}

bool available_has(const struct available *a, int32_t partition)
{
	const struct available_map *m = map_of(a);

	if (!m || partition < 0 || partition / BITS >= m->words)
		return false;
	return atomic_load_explicit(&m->bits[partition / BITS], memory_order_relaxed) >> (partition % BITS) & 1;
}

int32_t available_count(const struct available *a, int32_t count)
{
	const struct available_map *m = map_of(a);
	int32_t n = 0;

	for (int32_t i = 0; i < words_of(m, count); i++)
		n += __builtin_popcountll(word(m, i, count));
	return n;
}

int32_t available_nth(const struct available *a, int32_t count, int32_t n)
{
	const struct available_map *m = map_of(a);

	for (int32_t i = 0; i < words_of(m, count); i++) {
		uint64_t bits = word(m, i, count);
		int32_t here = __builtin_popcountll(bits);

		if (n >= here) {
			n -= here;
			continue;
		}
		while (n-- > 0)
			bits &= bits - 1;
		return i * BITS + __builtin_ctzll(bits);
	}
	return -1;
}

void available_release(struct available *a)
{
	struct available_map *m = atomic_load(&a->map), *older;

	for (; m; m = older) {
		older = m->older;
		mem_free(m);
	}
	atomic_store(&a->map, NULL);
}

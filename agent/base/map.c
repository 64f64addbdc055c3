/* map.c - the hash map: linear probing over a power of two, at most 3/4 full.
 *
 * Invariants
 *  (1) used + dead < cap whenever cap != 0, so every probe ends at a free slot.
 *  (2) a slot is free (value == NULL), dead (value == DEAD) or live.
 *  (3) deleting never moves another slot: that is why the current one may go while iterating.
 * Threads: the owner's. Failure: a put that finds no memory changes nothing.
 */
#include "agent/base/map.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

#define CAP_FIRST 16

static char dead_mark;
#define DEAD ((void *)&dead_mark)

static bool is_live(const struct map_slot *s)
{
	return s->value && s->value != DEAD;
}

static void key_free(struct map_slot *s)
{
	if (is_live(s) && s->key_len > MAP_KEY_SHORT)
		mem_free(s->key);
}

/* 0 or ERR_NOMEM. */
static int key_copy(struct map_slot *s, const void *key, size_t n)
{
	char *to = s->short_key;

	if (n > MAP_KEY_SHORT)
		to = s->key = mem_alloc(n);
	if (!to)
		return ERR_NOMEM;
	if (n)
		memcpy(to, key, n);
	return 0;
}

/* FNV-1a, with a last mix because only the low bits choose the slot. */
static uint32_t hash_of(const void *key, size_t n)
{
	const unsigned char *p = key;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 16777619u;
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	return h ^ h >> 13;
}

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_release(struct map *m)
{
	for (size_t i = 0; i < m->cap; i++)
		key_free(&m->slots[i]);
	mem_free(m->slots);
	map_init(m);
}

static struct map_slot *find(const struct map *m, const void *key, size_t n, uint32_t hash)
{
	if (!m->cap)
		return NULL;
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];

		if (!s->value)
			return NULL;
		if (s->value != DEAD && s->hash == hash && s->key_len == n && memcmp(map_key(s), key, n) == 0)
			return s;
	}
}

/* The first slot on the key's way that can take it. Only for keys that find() did not find. */
static struct map_slot *place(const struct map *m, uint32_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (is_live(&m->slots[i]))
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

/* A new table: larger when the keys ask for it, of the same size when only the dead fill it. */
static int rebuild(struct map *m)
{
	struct map old = *m;
	size_t cap = old.cap ? old.cap : CAP_FIRST;

	if (old.used >= cap / 2)
		cap *= 2;
	m->slots = mem_array(struct map_slot, cap);
	if (!m->slots) {
		*m = old;
		return ERR_NOMEM;
	}
	m->cap = cap;
	m->dead = 0;
	for (size_t i = 0; i < old.cap; i++)
		if (is_live(&old.slots[i]))
			*place(m, old.slots[i].hash) = old.slots[i];
	mem_free(old.slots);
	return 0;
}

void *map_get(const struct map *m, const void *key, size_t n)
{
	const struct map_slot *s = find(m, key, n, hash_of(key, n));

	return s ? s->value : NULL;
}

int map_put(struct map *m, const void *key, size_t n, void *value)
{
	struct map_slot slot = { .hash = hash_of(key, n), .key_len = (uint32_t)n, .value = value };
	struct map_slot *s = find(m, key, n, slot.hash);

	ASSERT(value != NULL && n < UINT32_MAX);
	if (s) {
		s->value = value;
		return 0;
	}
	if (m->used + m->dead >= m->cap - m->cap / 4 && rebuild(m) < 0)
		return ERR_NOMEM;
	if (key_copy(&slot, key, n) < 0)
		return ERR_NOMEM;
	s = place(m, slot.hash);
	if (s->value == DEAD)
		m->dead--;
	*s = slot;
	m->used++;
	return 0;
}

void *map_del(struct map *m, const void *key, size_t n)
{
	struct map_slot *s = find(m, key, n, hash_of(key, n));
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	key_free(s);
	*s = (struct map_slot){ .value = DEAD };
	m->used--;
	m->dead++;
	return value;
}

void *map_next(const struct map *m, size_t *it)
{
	while (*it < m->cap) {
		const struct map_slot *s = &m->slots[(*it)++];

		if (is_live(s))
			return s->value;
	}
	return NULL;
}

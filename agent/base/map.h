/* map.h - hash map from byte strings to pointers. Open addressing, keys are copied; short ones (numbers) into the table.
 * Threads: the owner's. Iteration order is unspecified; do not put while iterating, deleting the current one is fine. */
#ifndef SPILLWAY_MAP_H
#define SPILLWAY_MAP_H

#include <stddef.h>
#include <stdint.h>

#define MAP_KEY_SHORT 8

struct map_slot {
	uint32_t hash, key_len;
	union { char *key; char short_key[MAP_KEY_SHORT]; };	/* short_key: up to MAP_KEY_SHORT bytes */
	void *value;
};
struct map { struct map_slot *slots; size_t cap, used, dead; };

void  map_init(struct map *m);
void  map_release(struct map *m);		/* keys, not values */
void *map_get(const struct map *m, const void *key, size_t n);
/* 0 or ERR_NOMEM; replaces. value is never NULL: NULL means absent. */
int   map_put(struct map *m, const void *key, size_t n, void *value);
void *map_del(struct map *m, const void *key, size_t n);	/* the old value or NULL */
/* size_t it = 0; while ((v = map_next(m, &it))) ... */
void *map_next(const struct map *m, size_t *it);
/* Of a slot that has a value. */
static inline const char *map_key(const struct map_slot *s) { return s->key_len > MAP_KEY_SHORT ? s->key : s->short_key; }
static inline size_t map_count(const struct map *m) { return m->used; }

#endif

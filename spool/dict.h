/* dict.h - a dictionary table in memory: key bytes <-> a small dense number from 1 on. Nothing is ever removed, except
 * what a rolled back transaction had added.
 *
 * Ownership: the dictionary frees the items (mem_free) that it took.
 */
#ifndef SPILLWAY_SPOOL_DICT_H
#define SPILLWAY_SPOOL_DICT_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/map.h"

struct dict_entry { void *item; void *key; size_t key_len; };
struct dict {
	struct map         by_key;	/* to items */
	struct dict_entry *entries;	/* number n is entries[n - 1] */
	uint32_t           count, cap;
	uint32_t           committed;	/* entries behind it are the running transaction's */
};

void  dict_init(struct dict *d);
void  dict_release(struct dict *d);
void *dict_find(const struct dict *d, const void *key, size_t n);
/* The item with this number or NULL. */
void *dict_at(const struct dict *d, int64_t number);
/* Takes the item, also on failure; its number becomes d->count. 0 or ERR_NOMEM. */
int   dict_add_take(struct dict *d, const void *key, size_t n, void *item);
void  dict_committed(struct dict *d);
void  dict_rolled_back(struct dict *d);

#endif

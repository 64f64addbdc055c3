/* dict.c - see dict.h.
 *
 * Why: a ledger slot and a row name their topic by a number, so the pages that every transaction writes stay few.
 * Failure: an addition that finds no memory changes nothing; rolling back cannot fail.
 */
#include "spool/dict.h"

#include <string.h>

#include "agent/base/err.h"
#include "agent/base/mem.h"

void dict_init(struct dict *d)
{
	*d = (struct dict){ 0 };
	map_init(&d->by_key);
}

static void pop(struct dict *d)
{
	struct dict_entry *e = &d->entries[--d->count];

	(void)map_del(&d->by_key, e->key, e->key_len);
	mem_free(e->key);
	mem_free(e->item);
}

void dict_release(struct dict *d)
{
	while (d->count)
		pop(d);
	mem_free(d->entries);
	map_release(&d->by_key);
	dict_init(d);
}

void *dict_find(const struct dict *d, const void *key, size_t n)
{
	return map_get(&d->by_key, key, n);
}

void *dict_at(const struct dict *d, int64_t number)
{
	return number >= 1 && number <= d->count ? d->entries[number - 1].item : NULL;
}

static int make_room(struct dict *d)
{
	uint32_t cap = d->cap ? d->cap * 2 : 16;
	struct dict_entry *entries;

	if (d->count < d->cap)
		return 0;
	entries = mem_realloc(d->entries, cap * sizeof *entries);
	if (!entries)
		return ERR_NOMEM;
	d->entries = entries;
	d->cap = cap;
	return 0;
}

int dict_add_take(struct dict *d, const void *key, size_t n, void *item)
{
	void *copy = mem_alloc(n);

	if (!copy || make_room(d) < 0 || map_put(&d->by_key, key, n, item) < 0) {
		mem_free(copy);
		mem_free(item);
		return ERR_NOMEM;
	}
	memcpy(copy, key, n);
	d->entries[d->count++] = (struct dict_entry){ item, copy, n };
	return 0;
}

void dict_committed(struct dict *d)
{
	d->committed = d->count;
}

void dict_rolled_back(struct dict *d)
{
	while (d->count > d->committed)
		pop(d);
}

/* ledger.c - the in-flight ledger in memory: which batches are unresolved, and which slot of the table each one has.
 *
 * Why slots: a plan rewrites a row of the table in place and an ack frees it, so that a busy agent writes the same one or
 * two pages over and over. A slot freed in a transaction is the first to be taken again, even in the same one.
 *
 * Invariants
 *  (1) `rows` is in order of id; every row that is not gone owns its slot: owners[row->slot] == row.
 *  (2) a slot without an owner is on the stack of free slots exactly once.
 *  (3) slot_cap has room for all slots in both arrays, so that giving back and rolling back never allocate.
 *  (4) until the end of the transaction nothing leaves by_id or by_row: reviving a row there then replaces a value, which
 *      cannot fail. Look-ups therefore check `gone`.
 * States  added -> stored [commit] -> gone -> freed [commit]; a rollback frees what is added and revives what is gone.
 */
#include "spool/inside.h"

#include <string.h>

#include "agent/base/mem.h"

void ledger_init(struct ledger *g)
{
	*g = (struct ledger){ 0 };
	list_init(&g->rows);
	list_init(&g->touched);
	map_init(&g->by_id);
	map_init(&g->by_row);
}

void ledger_release(struct ledger *g)
{
	list_each_safe(it, &g->rows)
		mem_free(list_entry(it, struct ledger_row, node));
	map_release(&g->by_id);
	map_release(&g->by_row);
	mem_free(g->owners);
	mem_free(g->free_slots);
	ledger_init(g);
}

struct ledger_row *ledger_find(const struct ledger *g, int64_t id)
{
	struct ledger_row *r = map_get(&g->by_id, &id, sizeof id);

	return r && !r->gone ? r : NULL;
}

struct ledger_row *ledger_of_row(const struct ledger *g, int64_t row_id)
{
	struct ledger_row *r = map_get(&g->by_row, &row_id, sizeof row_id);

	return r && !r->gone ? r : NULL;
}

static int reserve_slots(struct ledger *g, uint32_t slots)
{
	uint32_t cap = g->slot_cap ? g->slot_cap : 64;
	void *p;

	while (cap < slots)
		cap *= 2;
	if (cap == g->slot_cap)
		return 0;
	p = mem_realloc(g->owners, cap * sizeof(struct ledger_row *));
	if (!p)
		return ERR_NOMEM;
	g->owners = p;
	p = mem_realloc(g->free_slots, cap * sizeof(uint32_t));
	if (!p)
		return ERR_NOMEM;
	g->free_slots = p;
	g->slot_cap = cap;
	return 0;
}

/* The stack afresh, lowest slot on top. */
static void rebuild_slots(struct ledger *g)
{
	if (g->slots)
		memset(g->owners, 0, g->slots * sizeof *g->owners);
	list_each(it, &g->rows) {
		struct ledger_row *r = list_entry(it, struct ledger_row, node);

		if (!r->gone)
			g->owners[r->slot] = r;
	}
	g->free_count = 0;
	for (uint32_t i = g->slots; i-- > 0;)
		if (!g->owners[i])
			g->free_slots[g->free_count++] = i;
}

int ledger_set_slots(struct ledger *g, uint32_t slots)
{
	int rc = reserve_slots(g, slots);

	if (rc < 0)
		return rc;
	g->slots = slots;
	rebuild_slots(g);
	return 0;
}

static void touch(struct ledger *g, struct ledger_row *r)
{
	if (!list_empty(&r->txn))
		return;
	r->old_row_id = r->row_id;
	list_push_back(&g->touched, &r->txn);
}

static void unlink_free(struct ledger *g, struct ledger_row *r)
{
	(void)map_del(&g->by_id, &r->id, sizeof r->id);
	list_remove(&r->node);
	list_remove(&r->txn);
	mem_free(r);
}

int ledger_insert_take(struct ledger *g, struct ledger_row *r, bool stored)
{
	list_init(&r->node);
	list_init(&r->txn);
	if (reserve_slots(g, g->slots + 1) < 0 || map_put(&g->by_id, &r->id, sizeof r->id, r) < 0) {
		mem_free(r);
		return ERR_NOMEM;
	}
	if (r->row_id && map_put(&g->by_row, &r->row_id, sizeof r->row_id, r) < 0) {
		unlink_free(g, r);
		return ERR_NOMEM;
	}
	list_push_back(&g->rows, &r->node);
	if (stored)
		return 0;
	r->slot = g->free_count ? g->free_slots[--g->free_count] : g->slots++;
	g->owners[r->slot] = r;
	r->added = true;
	touch(g, r);
	return 0;
}

void ledger_remove(struct ledger *g, struct ledger_row *r)
{
	touch(g, r);
	r->gone = true;
	g->owners[r->slot] = NULL;
	g->free_slots[g->free_count++] = r->slot;
}

int ledger_set_row(struct ledger *g, struct ledger_row *r, const struct row_info *info)
{
	if (map_put(&g->by_row, &info->id, sizeof info->id, r) < 0)
		return ERR_NOMEM;
	touch(g, r);
	r->row_id = info->id;
	r->lane = info->lane;
	r->left = (uint32_t)info->count;
	return 0;
}

static void forget_row(struct ledger *g, const struct ledger_row *r)
{
	if (r->row_id && map_get(&g->by_row, &r->row_id, sizeof r->row_id) == r)
		(void)map_del(&g->by_row, &r->row_id, sizeof r->row_id);
}

void ledger_committed(struct ledger *g)
{
	list_each_safe(it, &g->touched) {
		struct ledger_row *r = list_entry(it, struct ledger_row, txn);

		if (r->gone) {
			forget_row(g, r);
			unlink_free(g, r);
			continue;
		}
		r->added = false;
		list_remove(&r->txn);
	}
}

void ledger_rolled_back(struct ledger *g)
{
	/* First what is revived takes its row id back, so that the second pass does not remove the key. */
	list_each(it, &g->touched) {
		struct ledger_row *r = list_entry(it, struct ledger_row, txn);

		if (!r->added && r->old_row_id)
			(void)map_put(&g->by_row, &r->old_row_id, sizeof r->old_row_id, r);
	}
	list_each_safe(it, &g->touched) {
		struct ledger_row *r = list_entry(it, struct ledger_row, txn);

		if (r->added || r->row_id != r->old_row_id)
			forget_row(g, r);
		if (r->added) {
			unlink_free(g, r);
			continue;
		}
		r->row_id = r->old_row_id;
		r->left = r->row_id ? r->left : 0;
		r->gone = false;
		list_remove(&r->txn);
	}
	rebuild_slots(g);
}

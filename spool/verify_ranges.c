/* verify_ranges.c - which bytes of which file belong to rows and unresolved batches, and that none has two owners.
 *
 * Why: bytes with two owners are sent twice; a row whose bytes are not finished would be read and sent again after a
 * restart; a promised byte that counts as finished would be lost if its batch is withdrawn.
 * Memory: a set for each file, joined: of many rows of one file, which follow each other, one range is left.
 */
#include "spool/verify.h"

#include "agent/base/mem.h"

struct owned { int64_t file_id; struct range_set bytes; };

static struct owned *owned_get(struct verify *v, int64_t file_id)
{
	struct owned *o = map_get(&v->files, &file_id, sizeof file_id);

	if (o)
		return o;
	o = mem_new(struct owned);
	if (!o)
		return NULL;
	o->file_id = file_id;
	if (map_put(&v->files, &file_id, sizeof file_id, o) < 0) {
		mem_free(o);
		return NULL;
	}
	return o;
}

static void say_range(struct verify *v, int64_t row_id, int64_t ledger_id, const struct spool_range *r, const char *what)
{
	verify_say(v, row_id, "%s %lld: its bytes %lld to %lld of file %lld %s", row_id ? "row" : "unresolved batch",
		   (long long)(row_id ? row_id : ledger_id), (long long)r->from, (long long)r->to, (long long)r->file_id, what);
}

static void check_position(struct verify *v, int64_t row_id, int64_t ledger_id, const struct spool_range *r)
{
	const struct position *f = positions_get(&v->s->positions, r->file_id);

	if (!f)
		return;		/* forgotten */
	if (row_id && r->to > f->safe && !range_set_covers(&f->done, r->from, r->to))
		say_range(v, row_id, ledger_id, r, "are not finished: they would be read again");
	if (!row_id && (r->from < f->safe || range_set_overlaps(&f->done, r->from, r->to)))
		say_range(v, row_id, ledger_id, r, "count as finished already");
}

int verify_take(struct verify *v, int64_t row_id, int64_t ledger_id, const struct spool_range *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct owned *o = r[i].from < r[i].to ? owned_get(v, r[i].file_id) : NULL;

		if (r[i].from == r[i].to)
			continue;
		if (!o)
			return ERR_NOMEM;
		check_position(v, row_id, ledger_id, &r[i]);
		if (range_set_overlaps(&o->bytes, r[i].from, r[i].to))
			say_range(v, row_id, ledger_id, &r[i], "belong to another row or batch too");
		if (range_set_add(&o->bytes, r[i].from, r[i].to, 0) < 0)
			return ERR_NOMEM;
	}
	return 0;
}

void verify_ranges_release(struct verify *v)
{
	struct owned *o;
	size_t it = 0;

	while ((o = map_next(&v->files, &it))) {
		range_set_release(&o->bytes);
		mem_free(o);
	}
	map_release(&v->files);
}

/* state_place.c - rows of an unplaced lane become rows of the lanes of their partitions.
 *
 * Why rows again, and not batches to be sent: a partition that takes nothing must not hold up the others of its topic.
 * Why one FULL transaction for some rows: a crash or power loss finds the old rows or the new ones, so no record is in both or
 * in neither. Their sources were finished when they were spilled: nothing of that changes here.
 * Memory: PLACE_BYTES of records and one row.
 * Room: what takes the place of other rows may use the reserve, for a full spool must drain; when that is used up as well, it
 *	waits until some of what is placed was sent.
 * Failure: undone whole; the sender asks again.
 */
#include "agent/base/clock.h"
#include "agent/base/killpoint.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/state/state_int.h"
#include "producer/place.h"

#define PLACE_BYTES (2u << 20)
#define PLACE_ROWS  256

struct placed {
	struct state *st;
	struct lane *unplaced;
	struct placing *placing;
	int64_t  ids[PLACE_ROWS];
	size_t   count;
	uint64_t records;
	int64_t  spooled_ms;		/* of the oldest */
	int      rc;			/* < 0: what was laid out is worth nothing */
};

struct placed *placed_new(struct state *st, struct lane *unplaced)
{
	struct placed *d = mem_new(struct placed);

	if (!d)
		return NULL;
	d->st = st;
	d->unplaced = unplaced;
	if (placing_new(&d->placing, st->producer, unplaced) == 0)
		return d;
	mem_free(d);
	return NULL;
}

void placed_free(struct placed *d)
{
	if (!d)
		return;
	placing_free(d->placing);
	mem_free(d);
}

int placed_row(struct placed *d, const struct spool_row *row, const void *data)
{
	const struct place_batch b = { .codec = (enum codec)row->codec, .count = row->count,
				       .base_timestamp = row->base_timestamp, .data = data, .n = row->size };
	int rc;

	if (d->count == PLACE_ROWS || (d->count && placing_bytes(d->placing) + row->raw_bytes > PLACE_BYTES))
		return 1;
	rc = placing_add(d->placing, &b);
	if (rc < 0 && rc != ERR_BAD_DATA)
		d->rc = rc;
	if (rc < 0)
		return rc;
	if (!d->count)
		d->spooled_ms = row->spooled_ms;
	d->ids[d->count++] = row->id;
	d->records += (uint64_t)row->count;
	return 0;
}

static int add_part(struct spool *s, const struct placed *d, const struct place_part *part, struct err *e)
{
	const struct spool_piece piece = { part->bytes, part->size };
	struct spool_row r = {
		.topic = lane_topic(part->lane), .partition = lane_partition(part->lane), .count = part->count,
		.base_timestamp = part->base_timestamp, .max_timestamp = part->max_timestamp, .codec = part->codec,
		.raw_bytes = part->raw_bytes, .raw_crc = part->raw_crc, .crc = part->crc,
		.spooled_ms = d->spooled_ms, .instead = true,
	};

	return spool_add(s, &r, &piece, 1, e);
}

/* The old ones first: the new ones take their pages. */
static int apply(struct placed *d, const struct list *parts, struct err *e)
{
	struct spool *s = d->st->spool;
	int rc = 0;

	for (size_t i = 0; i < d->count && rc >= 0; i++)
		rc = spool_row_replaced(s, d->ids[i], e);
	list_each(it, parts)
		if (rc >= 0)
			rc = add_part(s, d, list_entry(it, struct place_part, node), e);
	return rc;
}

static int commit(struct placed *d, const struct list *parts, struct err *e)
{
	struct spool *s = d->st->spool;
	int rc = spool_begin(s, SPOOL_FULL, e);

	if (rc < 0)
		return rc;
	rc = apply(d, parts, e);
	if (rc < 0) {
		spool_rollback(s);
		return rc;
	}
	killpoint(KILL_PLACE_BEFORE);
	rc = spool_commit(s, e);
	if (rc >= 0)
		killpoint(KILL_PLACE_AFTER);
	return rc;
}

int placed_commit(struct placed *d, uint64_t *ret_rows)
{
	struct state *st = d->st;
	struct list *parts;
	struct err e;
	int rc;

	*ret_rows = 0;
	if (d->rc < 0 || !d->count)
		return d->rc;
	rc = placing_end(d->placing, &parts);
	if (rc < 0)
		return rc;
	rc = commit(d, parts, &e);
	if (rc < 0) {
		state_say(st, &e, "cannot give spooled lines their partitions, trying again");
		return rc;
	}
	st->full_at_ms = clock_mono_ms();
	log_debug("spooled lines have their partitions now", KS("topic", lane_topic(d->unplaced)),
		  KI("records", (int64_t)d->records));
	books_lock(st->books);
	spool_totals(st->spool, &st->books->totals);
	list_each(it, parts)
		producer_kept(st->producer, list_entry(it, struct place_part, node)->lane, 1);
	books_unlock(st->books);
	state_say(st, NULL, NULL);
	*ret_rows = d->count;
	return 0;
}

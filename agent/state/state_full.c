/* state_full.c - the spool is full: something is given up, if the configuration says so, and never silently.
 *
 * Why here: what may be given up depends on how far each lane's rows were handed over, which the state thread alone knows.
 * Invariants
 *  (1) what has an identity is never given up: it may be in Kafka, and what stands behind it needs it.
 *  (2) what was handed over to the sender is never given up: it is about to get an identity.
 *  (3) what is given up, what takes its place, the losses and the positions change in one transaction; the books and the
 *      lane's backlog follow together behind it.
 * Failure nothing may be given up, or that makes no room: ERR_SPOOL_FULL, as with `block`, and the batch is tried again.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/state/state_int.h"

#define FREED_IN_VAIN (1u << 20)	/* so much more than a batch takes, and still no room for it */
#define SAY_EVERY_MS 60000	/* how much it is by now; an outage of hours is a line a minute */

/* --- the newest --- */

static int drop_newest(struct state *st, struct batch *b, struct err *e)
{
	struct spool_range *ranges = state_ranges(b);
	int rc;

	if (!ranges)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = spool_drop(st->spool, lane_topic(b->lane), lane_partition(b->lane), ranges, b->range_count, (uint64_t)b->count,
			SPOOL_LOSS_NEWEST, e);
	mem_free(ranges);
	if (rc < 0)
		return rc;
	b->row_id = 0;
	st->room.records += (uint64_t)b->count;
	return 0;
}

/* --- the oldest --- */

static int see_row(void *arg, const struct spool_row *r)
{
	struct state *st = arg;
	struct room *m = &st->room;
	struct lane *lane;

	if (!state_row_waits(st, r, &lane))
		return 0;
	m->ids[m->n] = r->id;
	m->counts[m->n] = (uint32_t)r->count;
	m->sizes[m->n] = r->size;
	m->lanes[m->n++] = lane;
	return m->n == ROOM_ROWS;
}

/* The row's lane has one less, once this is committed. */
static int note_forgotten(struct room *m, struct lane *lane)
{
	void *v;

	for (size_t i = 0; i < m->forgotten_count; i++)
		if (m->forgotten[i].lane == lane) {
			m->forgotten[i].rows++;
			return 0;
		}
	v = mem_grow(m->forgotten, m->forgotten_count, sizeof *m->forgotten);
	if (!v)
		return ERR_NOMEM;
	m->forgotten = v;
	m->forgotten[m->forgotten_count++] = (struct forgotten){ lane, 1 };
	return 0;
}

/* 0: a row made room; ERR_SPOOL_FULL: there is none that may go. */
static int drop_one_row(struct state *st, struct err *e)
{
	struct room *m = &st->room;
	int rc = 0;

	if (m->at == m->n) {
		m->at = m->n = 0;
		rc = spool_rows_list(st->spool, see_row, st, e);
	}
	if (rc < 0)
		return rc;
	if (m->n == 0)
		return err_set(e, ERR_SPOOL_FULL, "the spool is full of batches that are in flight, none of them may be dropped");
	rc = note_forgotten(m, m->lanes[m->at]);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	rc = spool_row_drop(st->spool, m->ids[m->at], SPOOL_LOSS_OLDEST, e);
	if (rc < 0) {
		m->in_vain = true;		/* what is noted must not be told */
		return rc;
	}
	m->records += m->counts[m->at++];
	return 0;
}

/* A disk that others fill is not emptied by dropping rows: then the whole spool would go for nothing. */
static int drop_oldest(struct state *st, struct batch *b, struct err *e)
{
	struct room *m = &st->room;
	uint64_t freed = 0;
	int rc;

	do {
		if (freed > b->bytes + FREED_IN_VAIN) {
			m->in_vain = true;
			return ERR_SPOOL_FULL;
		}
		rc = drop_one_row(st, e);
		if (rc < 0)
			return rc;
		freed += m->sizes[m->at - 1];
		rc = state_spill_one(st->spool, b, e);
	} while (rc == ERR_SPOOL_FULL);
	return rc;
}

int state_make_room(struct state *st, struct batch *b, struct err *e)
{
	switch (st->when_full) {
	case CONF_FULL_DROP_NEWEST: return drop_newest(st, b, e);
	case CONF_FULL_DROP_OLDEST: return drop_oldest(st, b, e);
	case CONF_FULL_BLOCK:       break;
	}
	return ERR_SPOOL_FULL;		/* with the words that are there */
}

/* --- behind the transaction --- */

void state_room_undone(struct state *st)
{
	mem_free(st->room.forgotten);
	st->room = (struct room){ 0 };
}

void state_room_made(struct state *st)
{
	struct room *m = &st->room;

	for (size_t i = 0; i < m->forgotten_count; i++)
		producer_forgotten(st->producer, m->forgotten[i].lane, m->forgotten[i].rows);
	if (m->records) {
		atomic_fetch_add(&st->dropped, m->records);
		atomic_store(&st->dropped_at_ms, clock_mono_ms());
	}
	state_room_undone(st);
}

static const char *words(const struct state *st)
{
	return st->when_full == CONF_FULL_DROP_NEWEST ? "dropping new lines, the spool is full" :
							"dropping the oldest spooled lines, the spool is full";
}

void state_say_dropped(struct state *st)
{
	int64_t at_ms = atomic_load(&st->dropped_at_ms), now = clock_mono_ms();
	uint64_t records = atomic_load(&st->dropped);

	if (records == st->said_dropped || (st->said_dropped_ms && now - st->said_dropped_ms < SAY_EVERY_MS))
		return;
	log_warn(words(st), KI("records", (int64_t)records));
	st->said_dropped = records;
	st->said_dropped_ms = at_ms;
}

void state_dropping(struct state *st, char *buf, size_t n)
{
	int64_t at_ms = atomic_load(&st->dropped_at_ms);

	if (at_ms && clock_mono_ms() - at_ms < SAY_EVERY_MS)
		snprintf(buf, n, "%s: %" PRIu64 " records so far", words(st), atomic_load(&st->dropped));
}

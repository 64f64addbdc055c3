/* state_holes.c - a position that cannot move, while more and more behind it is finished.
 *
 * Why: finished ranges above a position are kept in the file's row, which is written with each commit that changes them. They
 * grow when one lane of a file is held and others go on (lines dealt out over partitions, one of which has no leader). The
 * remedy is to finish the bytes in between by spooling their batches; then the ranges join and the position moves.
 * What keeps it back may be on a socket, open, or in a compressor: it is asked for until it has gone.
 */
#include "agent/base/clock.h"
#include "agent/state/state_int.h"

#define HOLES_MAX 4096

void state_ask_holes(struct state *st, int64_t now)
{
	int64_t safe;

	if (!st->holes_file || now - st->holes_at_ms < STATE_HOLES_MS)
		return;
	if (spool_holes(st->spool, st->holes_file) > HOLES_MAX && spool_position(st->spool, st->holes_file, &safe)) {
		st->holes_at_ms = now;
		producer_keep_source(st->producer, st->holes_file, safe);
	} else {
		st->holes_file = 0;
	}
}

/* One file at a time, the last that was seen: each gets its turn. */
void state_watch_holes(struct state *st, const struct list *acked)
{
	list_each(it, acked) {
		const struct batch *b = list_entry(it, struct batch, node);

		for (uint32_t i = 0; i < b->range_count; i++)
			if ((i == 0 || b->ranges[i].file_id != b->ranges[i - 1].file_id) &&
			    spool_holes(st->spool, b->ranges[i].file_id) > HOLES_MAX)
				st->holes_file = b->ranges[i].file_id;
	}
	state_ask_holes(st, clock_mono_ms());
}

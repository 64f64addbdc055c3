/* sender_place.c - records that came before anybody knew how many partitions their topic has.
 *
 * They gather in the topic's unplaced lane (lane.h), which may go to the journal like any lane. Once the number is known all
 * of it goes there, whatever memory says, and the journal lays it out anew in rows of the lanes of its partitions (place.h):
 * so there is one way to be placed, it outlives a crash, and a batch need not be placed as a whole or not at all. Until the
 * lane is empty lane_append lets nothing pass it.
 * Failure: that of spilling and refilling.
 */
#include "producer/sender.h"

#include <stdatomic.h>

bool sender_can_place(const struct lane *l)
{
	return l->partition == LANE_UNPLACED && atomic_load(&l->topic->partition_count) > 0;
}

static bool has_something(const struct lane *u)
{
	return !list_empty(&u->ready) || !list_empty(&u->bounced) || u->refilling || u->seen_spilling;
}

static void place(struct sender *s, struct lane *u)
{
	if (!has_something(u) && accum_all_placed(u)) {
		list_remove(&u->unplaced_node);
		return;
	}
	lane_seal_older(u, INT64_MAX, s->now_ms);
	u->spill_mode = true;
}

void sender_place(struct sender *s)
{
	list_each_safe(it, &s->unplaced) {
		struct lane *u = list_entry(it, struct lane, unplaced_node);

		if (sender_can_place(u))
			place(s, u);
	}
}

/* tail_rescue.c - files that are about to vanish: what they hold must not be only in memory for long.
 *
 * Why: a file without a name exists as long as we have it open, a file that was rotated away is compressed and deleted by
 * somebody soon. While brokers are away their lines would be lost with the process. So as long as such a file is not
 * finished, its lane is asked to keep elsewhere what it cannot send, and a deleted file is read before all others.
 * Threads: tail.
 */
#include "agent/tail/tail_inside.h"

static bool finished(const struct tail *t, const struct file *f)
{
	return (f->at_end || f->retired) && (!f->offset || t->hooks->safe(t->hooks->arg, f->id) >= f->offset);
}

/* Only we have it: the next turn is its own. */
static void hurry(struct tail *t, struct file *f)
{
	if (f->state != FILE_DELETED || list_empty(&f->turn))
		return;
	list_remove(&f->turn);
	list_push_front(f->dest && f->dest->dry ? &f->dest->waiting : &t->ready, &f->turn);
}

void rescue_away(struct tail *t)
{
	bool tight = budget_tight_since(producer_budget(t->conf.producer)) >= 0, starving = false, mixed = false;

	list_each(it, &t->away) {
		struct file *f = list_entry(it, struct file, away);

		if (f->fd < 0 || (f->state == FILE_ACTIVE && !f->retired) || finished(t, f))
			continue;
		hurry(t, f);
		starving |= tight && f->dest && f->dest->dry && !f->dest->held && !list_empty(&f->turn);
		if (*f->route->row.topic)
			f->dest->vanishing = true;
		else
			mixed = true;
	}
	/* What such a file waits for may be memory that other lanes hold. */
	list_each(it, &t->dests) {
		struct dest *d = list_entry(it, struct dest, node);

		if (d->vanishing || (mixed && d->mixed) || starving)
			lane_rescue(d->lane);
		d->vanishing = false;
	}
}

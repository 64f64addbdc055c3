/* order.c - see order.h. */
#include "agent/order.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/page.h"
#include "agent/purge.h"

struct order {
	struct pipeline *pipeline;
	struct page page;
	struct purge purge;
	bool   rejected;
	int    rc;
	struct err err;
};

/* --- purge --- */

/* Thread: state. */
static void purge_slice(void *arg, struct spool *s)
{
	struct order *o = arg;

	o->rc = o->rejected ? purge_rejected(s, &o->purge, &o->err) : purge_rows(s, o->pipeline->state, &o->purge, &o->err);
}

static bool purge(struct order *o, const char *rest)
{
	char what[16];

	if (sscanf(rest, "%15s %" SCNd64 " %" SCNd64, what, &o->purge.after, &o->purge.upto) != 3)
		return false;
	o->rejected = !strcmp(what, "rejected");
	if (!o->rejected && strcmp(what, "rows"))
		return false;
	if (!state_ask_within(o->pipeline->state, purge_slice, o, PAGE_WAIT_MS))
		o->rc = err_set(&o->err, ERR_TIMEOUT, PAGE_WAIT_WORDS);
	if (o->rc >= 0 && o->purge.things)
		log_warn(o->rejected ? "rejected records were deleted by order" : "spooled batches were given up by order",
			 KI(o->rejected ? "records" : "batches", (int64_t)o->purge.things), KI("up_to", o->purge.after));
	o->page.after = o->purge.after;
	o->page.within = o->purge.kept;
	o->page.more = o->purge.more;
	o->page.count = o->purge.things;
	o->page.records = o->purge.records;
	return true;
}

/* --- positions --- */

static void nothing(void *arg, struct spool *s)
{
	(void)arg, (void)s;
}

/* A file that nobody knows is bad data, not a missing agent. What was queued for the state database is in it when the answer
 * goes out, unless it says otherwise. */
static bool moved(struct order *o, int rc, const char *words)
{
	if (rc < 0)
		o->rc = err_set(&o->err, rc == ERR_NOT_FOUND ? ERR_BAD_DATA : rc, "%s", words);
	else
		buf_printf(o->page.out, "%s\n", words);
	if (!state_ask_within(o->pipeline->state, nothing, NULL, PAGE_WAIT_MS) && rc >= 0)
		buf_puts(o->page.out, "it is not on the disk yet: that of the state directory is slow\n");
	return true;
}

static bool position_set(struct order *o, const char *rest)
{
	struct tail_moved m;
	int64_t offset;
	int at = 0;

	if (sscanf(rest, "%" SCNd64 "%n", &offset, &at) != 1 || rest[at] != ' ')
		return false;
	return moved(o, tail_position_set(o->pipeline->tail, rest + at + 1, offset, &m), m.words);
}

static bool position_forget(struct order *o, const char *rest)
{
	struct tail_forgotten f;

	return moved(o, tail_forget(o->pipeline->tail, rest, &f), f.words);
}

static const struct { const char *words; bool (*fn)(struct order *o, const char *rest); } orders[] = {
	{ "purge ", purge }, { "position set ", position_set }, { "position forget ", position_forget },
};

bool order_answer(struct pipeline *p, const char *question, struct buf *out)
{
	struct buf body, notes;
	struct order o = { .pipeline = p, .page = { .out = &body, .notes = &notes } };
	bool known = false;

	buf_init(&body, 4096);
	buf_init(&notes, 0);
	for (size_t i = 0; i < sizeof orders / sizeof orders[0] && !known; i++) {
		size_t n = strlen(orders[i].words);

		if (strncmp(question, orders[i].words, n))
			continue;
		known = true;
		if (atomic_load(&p->stopping))
			o.rc = err_set(&o.err, ERR_BUSY, "the agent is stopping; ask again when it has ended");
		else
			known = orders[i].fn(&o, question + n);
	}
	if (known)
		page_put_answer(out, &o.page, o.rc, &o.err);
	buf_release(&body);
	buf_release(&notes);
	return known;
}

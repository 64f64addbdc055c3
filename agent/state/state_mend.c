/* state_mend.c - a spooled row whose bytes are damaged: built again from its files, or set aside.
 *
 * Why it often works: a file that was spilled from is there for hours as a rule, and a row keeps the ranges that it was made
 * of. Count and CRC of the uncompressed records prove that the lines are the same.
 * Why the thread waits for the tail thread here: it is a few milliseconds, once a damaged row, and order in the lane is kept
 *	by doing nothing else meanwhile.
 * Failure the file is gone, changed or cannot be read: the row is set aside, counted as dropped, in the losses. It never
 *	blocks its lane. Only want of memory and a database that cannot be written make it wait.
 */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/state/state_int.h"
#include "agent/tail/tail.h"

static void publish_totals(struct state *st)
{
	books_lock(st->books);
	spool_totals(st->spool, &st->books->totals);
	books_unlock(st->books);
}

static int end(struct state *st, int rc, struct err *e, const char *what)
{
	if (rc >= 0)
		rc = spool_commit(st->spool, e);
	else
		spool_rollback(st->spool);
	if (rc < 0)
		state_say(st, e, what);
	else
		publish_totals(st);
	return rc;
}

int state_set_aside(struct state *st, const struct spool_row *head)
{
	struct err e;
	int rc = spool_begin(st->spool, SPOOL_FULL, &e);

	if (rc >= 0)
		rc = spool_row_set_aside(st->spool, head->id, &e);
	rc = end(st, rc, &e, "cannot set a damaged spool row aside, trying again with the next read");
	if (rc >= 0)
		log_error("a spooled batch is damaged and its files do not hold its lines any more, it was set aside and counted "
			  "as dropped", KI("row", head->id), KS("topic", head->topic), KI("records", head->count));
	return rc;
}

static int store(struct state *st, const struct spool_row *head, const struct batch *b)
{
	struct spool_row r = *head;
	struct spool_piece *pieces;
	struct err e;
	size_t n = 0;
	int rc;

	r.codec = b->codec;
	r.raw_bytes = b->raw_bytes;
	r.raw_crc = b->raw_crc;
	r.crc = b->payload_crc;
	r.size = b->bytes;
	for (const struct chunk *c = b->chunks; c; c = c->next)
		n++;
	pieces = mem_array(struct spool_piece, n);
	if (!pieces)
		return ERR_AGAIN;
	n = 0;
	for (const struct chunk *c = b->chunks; c; c = c->next)
		pieces[n++] = (struct spool_piece){ c->data, c->used };
	rc = spool_begin(st->spool, SPOOL_FULL, &e);
	if (rc >= 0)
		rc = spool_row_mend(st->spool, &r, pieces, n, &e);
	mem_free(pieces);
	rc = end(st, rc, &e, "cannot mend a damaged spool row, trying again with the next read");
	if (rc >= 0)
		log_warn("a spooled batch was damaged, it was built again from its files", KI("row", head->id),
			KS("topic", head->topic), KI("records", head->count));
	return rc;
}

/* Absent, with what the row's head says. */
static struct batch *like(const struct spool_row *head)
{
	struct batch *b = batch_new(clock_mono_ms(), head->base_timestamp);
	int rc = b ? 0 : ERR_NOMEM;

	for (size_t i = 0; i < head->range_count && rc == 0; i++) {
		const struct spool_range *r = &head->ranges[i];

		rc = batch_add_source(b, &(struct source_range){ .file_id = r->file_id, .from = r->from, .to = r->to,
			.marker = r->marker, .count = r->count, .route = r->route, .filtered = r->filtered });
	}
	if (rc < 0) {
		batch_free(b, NULL);
		return NULL;
	}
	b->topic = head->topic;
	b->partition = head->partition;
	b->count = head->count;
	b->raw_crc = head->raw_crc;
	b->raw_bytes = head->raw_bytes;
	return b;
}

int state_mend(struct state *st, const struct spool_row *head)
{
	struct batch *b;
	int rc;

	if (!head->range_count)		/* a part of a batch that was cut, or its head is damaged too */
		return ERR_CORRUPT;
	b = like(head);
	if (!b)
		return ERR_AGAIN;
	rc = tail_rebuild_now(st->tail, b);
	if (rc == 0) {
		producer_pack(st->producer, b);
		rc = store(st, head, b);
		if (rc == ERR_SPOOL_FULL)	/* waiting for room could be waiting for this very lane */
			rc = ERR_CORRUPT;
	} else if (rc != ERR_AGAIN) {
		rc = ERR_CORRUPT;
	}
	batch_free(b, producer_budget(st->producer));
	return rc;
}

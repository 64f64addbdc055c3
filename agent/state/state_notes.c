/* state_notes.c - what the tail thread and the sender want written down, until the state thread does it.
 *
 * Why copies: a note outlives what it speaks of. Without memory for one a position could not be kept, so it is better to stop.
 * Threads: any; the queue is under the state's mu.
 */
#include <stdatomic.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/state/state_int.h"

#define REJECTED_MAX (1u << 20)

void state_note_free(struct note *n)
{
	if (n->kind == NOTE_REJECTED)
		mem_free(n->rejected.ranges);
	mem_free(n->text);
	mem_free(n->origin);
	mem_free(n->key);
	mem_free(n);
}

/* Memory for a note of some hundred bytes; without it a position could not be kept, so better to stop than to go on. */
static struct note *note_new(void)
{
	struct note *n = mem_new(struct note);

	ASSERT(n);
	return n;
}

void state_file_put(struct state *st, const struct spool_file *f)
{
	struct note *n = note_new();

	n->kind = NOTE_FILE;
	n->file = *f;
	n->text = mem_strdup(f->path);
	n->origin = f->origin && strcmp(f->origin, f->path) ? mem_strdup(f->origin) : NULL;
	n->key = f->cursor ? mem_strdup(f->cursor) : NULL;
	ASSERT(n->text && (n->key || !f->cursor) && (n->origin || !f->origin || !strcmp(f->origin, f->path)));
	n->file.path = n->text;
	n->file.origin = n->origin;		/* NULL: as path */
	n->file.cursor = n->key;
	state_push(st, &st->in.notes, &n->node);
}

void state_file_forget(struct state *st, int64_t file_id)
{
	struct note *n = note_new();

	n->kind = NOTE_FORGET;
	n->file_id = file_id;
	state_push(st, &st->in.notes, &n->node);
}

void state_route_put(struct state *st, const struct spool_route *r)
{
	struct note *n = note_new();

	n->kind = NOTE_ROUTE;
	n->route = *r;
	n->text = mem_strdup(r->topic);
	n->key = r->key_null ? NULL : mem_alloc(r->key_len + 1);
	n->origin = mem_strdup(r->spec ? r->spec : "");
	ASSERT(n->text && n->origin && (r->key_null || n->key));
	if (!r->key_null)
		memcpy(n->key, r->key, r->key_len);
	n->route.topic = n->text;
	n->route.key = n->key;
	n->route.spec = n->origin;
	state_push(st, &st->in.notes, &n->node);
}

static struct note *finished(const struct spool_range *r)
{
	struct note *n = note_new();

	n->kind = NOTE_FINISHED;
	n->range = *r;
	return n;
}

void state_finished(struct state *st, const struct spool_range *r)
{
	state_push(st, &st->in.notes, &finished(r)->node);
}

void state_finished_all(struct state *st, const struct spool_range *r, size_t count)
{
	struct list notes;

	list_init(&notes);
	for (size_t i = 0; i < count; i++)
		list_push_back(&notes, &finished(&r[i])->node);
	state_push_all(st, &st->in.notes, &notes);
}

static struct note *loss(const struct spool_loss *l)
{
	struct note *n = note_new();

	n->kind = NOTE_LOSS;
	n->loss = *l;
	n->text = mem_strdup(l->topic);
	n->origin = mem_strdup(l->path);
	ASSERT(n->text && n->origin);
	n->loss.topic = n->text;
	n->loss.path = n->origin;
	return n;
}

void state_loss(struct state *st, const struct spool_loss *l)
{
	state_push(st, &st->in.notes, &loss(l)->node);
}

void state_lost(struct state *st, const struct spool_loss *l, const struct spool_range *r)
{
	struct list notes;

	list_init(&notes);
	list_push_back(&notes, &loss(l)->node);
	list_push_back(&notes, &finished(r)->node);
	state_push_all(st, &st->in.notes, &notes);
}

int state_rejected(struct state *st, const struct spool_rejected *r)
{
	struct note *n;

	ASSERT(r->range_count >= 1);
	if (atomic_load(&st->rejected_full))
		return ERR_SPOOL_FULL;
	if (atomic_load(&st->rejected_bytes) > REJECTED_MAX)
		return ERR_AGAIN;
	n = note_new();
	n->kind = NOTE_REJECTED;
	n->rejected.record = *r;
	n->rejected.ranges = mem_array(struct spool_range, r->range_count);
	n->text = mem_strdup(r->topic);
	n->origin = mem_strdup(r->message ? r->message : "");
	n->key = mem_alloc(r->size);
	if (!n->text || !n->origin || !n->key || !n->rejected.ranges) {
		state_note_free(n);
		return ERR_AGAIN;
	}
	memcpy(n->key, r->bytes, r->size);
	memcpy(n->rejected.ranges, r->ranges, r->range_count * sizeof *r->ranges);
	n->rejected.record.topic = n->text;
	n->rejected.record.message = n->origin;
	n->rejected.record.bytes = n->key;
	n->rejected.record.ranges = n->rejected.ranges;
	atomic_fetch_add(&st->rejected_bytes, r->size);
	state_push(st, &st->in.notes, &n->node);
	return 0;
}

void state_partitions(struct state *st, const char *topic, int32_t count)
{
	struct note *n = note_new();

	n->kind = NOTE_PARTITIONS;
	n->partitions = count;
	n->text = mem_strdup(topic);
	ASSERT(n->text);
	state_push(st, &st->in.notes, &n->node);
}

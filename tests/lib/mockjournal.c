/* mockjournal.c - see mockjournal.h. Commands are carried out in the order they were given, by one thread. */
#include "tests/lib/mockjournal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "producer/cut.h"

enum kind { PLAN, ACKED, SPILL, LOAD, REPLACE, REFILL, REWIND };

struct command {
	struct list node;
	enum kind kind;
	struct list batches;
	struct batch *b;
	struct lane *lane;
	uint32_t max_batches;
	size_t max_bytes;
};

static struct command *command(struct mock *m, enum kind kind, struct list *batches)
{
	struct command *c = calloc(1, sizeof *c);

	(void)m;
	c->kind = kind;
	list_init(&c->batches);
	if (batches)
		list_splice_back(&c->batches, batches);
	return c;
}

static void on_plan(void *arg, struct list *batches)
{
	struct mock *m = arg;

	queue_push(&m->commands, &command(m, PLAN, batches)->node);
}

static void on_acked(void *arg, struct list *batches)
{
	struct mock *m = arg;

	queue_push(&m->commands, &command(m, ACKED, batches)->node);
}

static void on_spill(void *arg, struct list *batches)
{
	struct mock *m = arg;

	queue_push(&m->commands, &command(m, SPILL, batches)->node);
	m->spills_given++;
}

static void on_unread(void *arg, struct lane *l, struct list *batches, bool last)
{
	struct mock *m = arg;

	pthread_mutex_lock(&m->mu);
	ASSERT(!m->unread_last);		/* nothing comes behind the last */
	m->unread_lane = l;
	m->unread_last = last;
	list_splice_back(&m->unread, batches);
	pthread_mutex_unlock(&m->mu);
}

bool mock_take_unread(struct mock *m, int64_t *ret_from)
{
	struct list batches;
	struct lane *l;
	bool last;

	list_init(&batches);
	pthread_mutex_lock(&m->mu);
	list_splice_back(&batches, &m->unread);
	last = m->unread_last;
	l = m->unread_lane;
	m->unread_last = false;
	pthread_mutex_unlock(&m->mu);
	if (list_empty(&batches) && !last)
		return false;
	list_each(it, &batches) {
		const struct batch *b = list_entry(it, struct batch, node);

		ASSERT(b->range_count && !b->ledger_id && !b->row_id);
		*ret_from = b->ranges[0].from < *ret_from ? b->ranges[0].from : *ret_from;
	}
	producer_unread(m->p, l, &batches, last);
	return true;
}

static void on_load(void *arg, struct batch *b)
{
	struct mock *m = arg;
	struct command *c = command(m, LOAD, NULL);

	c->b = b;
	queue_push(&m->commands, &c->node);
}

static void on_replace(void *arg, struct batch *b)
{
	struct mock *m = arg;
	struct command *c = command(m, REPLACE, NULL);

	c->b = b;
	queue_push(&m->commands, &c->node);
}

static void on_refill(void *arg, struct lane *lane, uint32_t max_batches, size_t max_bytes)
{
	struct mock *m = arg;
	struct command *c = command(m, REFILL, NULL);

	c->lane = lane;
	c->max_batches = max_batches;
	c->max_bytes = max_bytes;
	queue_push(&m->commands, &c->node);
}

static void on_rewind(void *arg, struct lane *lane)
{
	struct mock *m = arg;
	struct command *c = command(m, REWIND, NULL);

	c->lane = lane;
	queue_push(&m->commands, &c->node);
}

static void on_event(void *arg, const char *topic, int32_t partition, const char *what)
{
	struct mock *m = arg;

	(void)partition;
	pthread_mutex_lock(&m->mu);
	snprintf(topic ? m->topic_event : m->event, sizeof m->event, "%s", what ? what : "");
	if (topic && what)
		snprintf(m->told + strlen(m->told), sizeof m->told - strlen(m->told), "%s\n", what);
	pthread_mutex_unlock(&m->mu);
}

/* --- the thread; mu held --- */

static struct mock_row *row_of(struct mock *m, int64_t id)
{
	list_each(it, &m->rows)
		if (list_entry(it, struct mock_row, node)->id == id)
			return list_entry(it, struct mock_row, node);
	return NULL;
}

static int64_t *cursor_of(struct mock *m, struct lane *l)
{
	for (int i = 0; i < m->cursor_count; i++)
		if (m->cursors[i].lane == l)
			return &m->cursors[i].row_id;
	ASSERT(m->cursor_count < 16);
	m->cursors[m->cursor_count].lane = l;
	return &m->cursors[m->cursor_count++].row_id;
}

static void drop_row(struct mock_row *r)
{
	list_remove(&r->node);
	free(r->bytes);
	free(r);
}

/* Their end is recorded as that of acked ones. */
static void on_lost(void *arg, struct list *batches)
{
	struct mock *m = arg;

	pthread_mutex_lock(&m->mu);
	list_each(it, batches) {
		const struct batch *b = list_entry(it, struct batch, node);

		m->lost += (uint64_t)b->count;
		if (b->row_id)
			drop_row(row_of(m, b->row_id));
	}
	pthread_mutex_unlock(&m->mu);
	producer_recorded(m->p, batches);
}

static void plan_one(struct mock *m, struct batch *b)
{
	if (m->plan_count == m->plan_cap) {
		m->plan_cap = m->plan_cap ? m->plan_cap * 2 : 64;
		m->plans = realloc(m->plans, m->plan_cap * sizeof *m->plans);
	}
	m->plans[m->plan_count++] = (struct mock_plan){ b->producer_id, b->producer_epoch, b->base_sequence, b->count };
	b->ledger_id = m->next_ledger++;
	m->uncertain += b->uncertain ? (uint64_t)b->count : 0;
	if (b->row_id)
		row_of(m, b->row_id)->identity = true;
}

static int plan(struct mock *m, struct list *batches)
{
	m->plan_calls++;
	if (m->fail_plans > 0) {
		m->fail_plans--;
		return ERR_IO;
	}
	list_each(it, batches) {
		struct batch *b = list_entry(it, struct batch, node);

		if (!m->may_double || b->row_id || b->ledger_id)
			plan_one(m, b);
	}
	return 0;
}

static void shrink(struct mock *m, struct list *batches)
{
	list_each(it, batches) {
		struct batch *b = list_entry(it, struct batch, node);

		m->shrunk += (uint64_t)b->dropped;
		if (b->lost_ranges)
			producer_shrunk(m->p, b);
	}
}

static void acked(struct mock *m, struct list *batches)
{
	list_each(it, batches) {
		struct batch *b = list_entry(it, struct batch, node);

		ASSERT(batch_absent(b));
		m->acked_records += (uint64_t)b->count;
		if (b->row_id)
			drop_row(row_of(m, b->row_id));
	}
}

/* What a journal keeps of it. Not the whole struct: marks of its life on the wire are the sender's meanwhile. */
static struct batch like(const struct batch *b)
{
	return (struct batch){
		.bytes = b->bytes, .raw_bytes = b->raw_bytes, .payload_crc = b->payload_crc, .raw_crc = b->raw_crc,
		.codec = b->codec, .count = b->gone ? batch_ranges_records(b) : b->count, .base_timestamp = b->base_timestamp,
		.max_timestamp = b->max_timestamp, .ledger_id = b->ledger_id,
	};
}

void mock_add_row(struct mock *m, struct batch *b)
{
	struct mock_row *r = calloc(1, sizeof *r);
	size_t at = 0;

	r->id = m->next_row++;
	r->lane = b->lane;
	r->identity = b->ledger_id != 0;
	r->like = like(b);
	r->bytes = malloc(b->bytes);
	for (const struct chunk *c = b->chunks; c; c = c->next) {
		memcpy(r->bytes + at, c->data, c->used);
		at += c->used;
	}
	ASSERT(at == b->bytes);
	b->row_id = r->id;
	list_push_back(&m->rows, &r->node);
	m->spilled++;
	m->spilled_identity += r->identity;
}

static int spill(struct mock *m, struct list *batches)
{
	m->spill_calls++;
	if (m->fail_spills > 0) {
		m->fail_spills--;
		return ERR_SPOOL_FULL;
	}
	if (m->refuse && list_first(batches, struct batch, node)->lane == m->refuse &&
	    !list_first(batches, struct batch, node)->placed)
		return ERR_SPOOL_FULL;
	if (!m->first_spill_ms)
		m->first_spill_ms = clock_mono_ms();
	list_each(it, batches) {
		struct batch *b = list_entry(it, struct batch, node);

		if (m->give_up && !b->placed) {
			m->given_up += (uint64_t)b->count;
			continue;
		}
		if (b->placed && !b->ledger_id)
			plan_one(m, b);
		mock_add_row(m, b);
	}
	return 0;
}

static int replace(struct mock *m, struct batch *b)
{
	const struct cut *c = b->cut;
	int32_t count = (int32_t)c->record_count;

	m->replaces++;
	if (m->fail_replaces > 0) {
		m->fail_replaces--;
		return ERR_SPOOL_FULL;
	}
	ASSERT(b->ledger_id && batch_absent(b));
	if (b->row_id)
		drop_row(row_of(m, b->row_id));
	m->rejected += c->record_count;
	list_each(it, &c->parts) {
		struct batch *part = list_entry(it, struct batch, node);

		batch_check(part);
		count += part->count;
		plan_one(m, part);
		mock_add_row(m, part);
	}
	ASSERT(count == b->count);
	for (uint32_t i = 0; i < c->other_count; i++)
		plan_one(m, c->others[i]);
	return 0;
}

static int load(struct mock *m, struct batch *b)
{
	struct mock_row *r = row_of(m, b->row_id);

	m->loads++;
	if (m->fail_loads > 0) {
		m->fail_loads--;
		return ERR_IO;
	}
	ASSERT(batch_absent(b));
	if (b->row_id && b->row_id == m->damaged_row)
		return ERR_CORRUPT;
	if (!b->row_id || b->gone)
		return m->build(b, producer_budget(m->p));
	ASSERT(r);
	return batch_fill(b, producer_budget(m->p), BUDGET_REFILL, clock_mono_ms(), r->bytes, r->like.bytes);
}

static struct batch *rebuild(struct mock *m, const struct mock_row *r)
{
	struct batch *b = batch_new(clock_mono_ms(), 0);

	if (batch_fill(b, producer_budget(m->p), BUDGET_REFILL, 0, r->bytes, r->like.bytes) < 0) {
		batch_free(b, producer_budget(m->p));
		return NULL;
	}
	b->row_id = r->id;
	b->count = r->like.count;
	b->codec = r->like.codec;
	b->raw_bytes = r->like.raw_bytes;
	b->payload_crc = r->like.payload_crc;
	b->raw_crc = r->like.raw_crc;
	b->base_timestamp = r->like.base_timestamp;
	b->max_timestamp = r->like.max_timestamp;
	return b;
}

static void refill(struct mock *m, const struct command *c, struct list *out)
{
	int64_t *cursor = cursor_of(m, c->lane);
	uint32_t n = 0;

	m->refills++;
	list_each(it, &m->rows) {
		struct mock_row *r = list_entry(it, struct mock_row, node);
		struct batch *b;

		if (r->lane != c->lane || r->identity || r->id <= *cursor)
			continue;
		b = n < c->max_batches ? rebuild(m, r) : NULL;
		if (!b)
			return;
		list_push_back(out, &b->node);
		*cursor = r->id;
		n++;
	}
}

/* The lane's backlog has them now. */
static void count_rows(struct mock *m)
{
	pthread_mutex_lock(&m->mu);
	list_each(it, &m->rows)
		list_entry(it, struct mock_row, node)->counted = true;
	pthread_mutex_unlock(&m->mu);
}

static void carry_out(struct mock *m, struct command *c)
{
	struct list out;
	int rc = 0;

	list_init(&out);
	while (c->kind == SPILL && m->hold_spills)
		usleep(1000);
	pthread_mutex_lock(&m->mu);
	if (c->kind == PLAN)
		rc = plan(m, &c->batches);
	else if (c->kind == ACKED)
		acked(m, &c->batches);
	else if (c->kind == SPILL)
		rc = spill(m, &c->batches);
	else if (c->kind == LOAD)
		rc = load(m, c->b);
	else if (c->kind == REPLACE)
		rc = replace(m, c->b);
	else if (c->kind == REFILL)
		refill(m, c, &out);
	else {
		m->rewinds++;
		*cursor_of(m, c->lane) = 0;
	}
	pthread_mutex_unlock(&m->mu);
	if (c->kind == PLAN && rc == 0)
		shrink(m, &c->batches);
	if (c->kind == PLAN) {
		producer_planned(m->p, &c->batches, rc);
		m->plans_answered++;
	}
	else if (c->kind == ACKED)
		producer_recorded(m->p, &c->batches);
	else if (c->kind == SPILL) {
		producer_spilled(m->p, &c->batches, rc, 100);
		count_rows(m);
	}
	else if (c->kind == LOAD)
		producer_loaded(m->p, c->b, rc);
	else if (c->kind == REPLACE)
		producer_replaced(m->p, c->b, rc, m->replace_retry_ms ? m->replace_retry_ms : 50);
	else if (c->kind == REFILL)
		producer_returned(m->p, c->lane, &out, 0, 0);
	free(c);
}

static void *run(void *arg)
{
	struct mock *m = arg;
	struct list *n;

	while ((n = queue_wait_one(&m->commands)))
		carry_out(m, list_entry(n, struct command, node));
	return NULL;
}

/* --- the test's side --- */

void mock_open(struct mock *m, struct producer_journal *ret)
{
	*m = (struct mock){ .next_row = 1, .next_ledger = 1 };
	pthread_mutex_init(&m->mu, NULL);
	list_init(&m->rows);
	list_init(&m->unread);
	queue_init(&m->commands, NULL, NULL);
	*ret = (struct producer_journal){
		.arg = m, .plan = on_plan, .acked = on_acked, .lost = on_lost, .spill = on_spill, .load = on_load,
		.replace = on_replace, .refill = on_refill,
		.unread = on_unread, .rewind = on_rewind, .event = on_event,
	};
}

void mock_start(struct mock *m, struct producer *p)
{
	m->p = p;
	m->started = true;
	if (pthread_create(&m->thread, NULL, run, m))
		abort();
}

void mock_close(struct mock *m)
{
	if (m->started) {
		queue_close(&m->commands);
		pthread_join(m->thread, NULL);
	}
	/* A test that has failed never asked for it. */
	if (!list_empty(&m->unread))
		producer_unread(m->p, m->unread_lane, &m->unread, m->unread_last);
	while (!list_empty(&m->rows))
		drop_row(list_first(&m->rows, struct mock_row, node));
	queue_release(&m->commands);
	free(m->plans);
	pthread_mutex_destroy(&m->mu);
}

void mock_seen(void *mock, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count)
{
	struct mock *m = mock;
	bool found = false;

	pthread_mutex_lock(&m->mu);
	for (size_t i = m->plan_count; i-- > 0 && !found; )
		found = m->plans[i].producer_id == producer_id && m->plans[i].epoch == epoch &&
			m->plans[i].sequence == sequence && m->plans[i].count == count;
	m->unplanned += !found;
	pthread_mutex_unlock(&m->mu);
}

size_t mock_rows(struct mock *m)
{
	size_t n = 0;

	pthread_mutex_lock(&m->mu);
	list_each(it, &m->rows)
		n++;
	pthread_mutex_unlock(&m->mu);
	return n;
}

uint64_t mock_records(struct mock *m)
{
	uint64_t n = 0;

	pthread_mutex_lock(&m->mu);
	list_each(it, &m->rows)
		n += (uint64_t)list_entry(it, struct mock_row, node)->like.count;
	pthread_mutex_unlock(&m->mu);
	return n;
}

uint64_t mock_forget(struct mock *m, struct lane *l, uint64_t n)
{
	uint64_t rows = 0, records = 0;

	/* Under mu also the telling: the mock's thread counts new rows only behind it. */
	pthread_mutex_lock(&m->mu);
	list_each_safe(it, &m->rows) {
		struct mock_row *r = list_entry(it, struct mock_row, node);

		if (rows == n || r->lane != l || r->identity || !r->counted || r->id <= *cursor_of(m, l))
			continue;
		records += (uint64_t)r->like.count;
		rows++;
		drop_row(r);
	}
	if (rows)
		producer_forgotten(m->p, l, rows);
	pthread_mutex_unlock(&m->mu);
	return records;
}

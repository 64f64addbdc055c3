/* test_spool_model.c - thousands of random steps, beside a model so plain that it is obviously right.
 *
 * The model knows of each unit of each file whether it is unread, promised or finished, and keeps batches and rows in
 * arrays. A transaction is a few random steps, then a commit, a rollback, a kill or a close; the model is copied at the
 * start of each and put back where the spool must forget. After each the two are compared in everything spool.h offers.
 * Usage: test_spool_model ['filter' [seed]]; the seed is printed on failure.
 */
#include "tests/lib/spool_dir.h"

#include "spool/inside.h"

#define FILES  3
#define UNITS  400		/* of 10 bytes */
#define UNIT   10
#define ITEMS  256
#define LANES  2

enum unit_state { UNREAD, PROMISED, FINISHED };

struct span { int file, from, to; };	/* in units */
struct m_batch { bool used; int64_t id, row; int count, spans, missing; struct span span[3]; };
/* missing: 1 + the span that its row has not */
struct m_row { bool used; int64_t id, ledger; int count, size, lane, spans; struct span span[3]; };

struct model {
	uint8_t unit[FILES][UNITS];
	struct m_batch batches[ITEMS];
	struct m_row rows[ITEMS];
	uint64_t acked, dropped, rejected, corrupt;
	uint64_t entries, events, loss_bytes, uncertain_batches, uncertain_records, home;
};

static struct model m, saved;
static unsigned long seed = 20260101;
static const char *const lane_names[LANES] = { "a", "b" };

static int rnd(int n) { return (int)(random() % n); }

/* A run of unread units, or false: nothing is left to read there. */
static bool find_unread(struct span *s)
{
	int at = rnd(4) ? 0 : rnd(UNITS);

	s->file = rnd(FILES);
	while (at < UNITS && m.unit[s->file][at] != UNREAD)
		at++;
	if (at == UNITS)
		return false;
	s->from = at;
	while (at < UNITS && m.unit[s->file][at] == UNREAD && at - s->from < 1 + rnd(8))
		at++;
	s->to = at;
	return true;
}

static void mark(const struct span *s, uint8_t state)
{
	memset(&m.unit[s->file][s->from], state, (size_t)(s->to - s->from));
}

static int take_spans(struct span *s, uint8_t state)
{
	int n = 0, want = 1 + rnd(3);

	while (n < want && find_unread(&s[n]))
		mark(&s[n++], state);
	return n;
}

static int spans_to_ranges(const struct span *s, int n, struct spool_range *r)
{
	int count = 0;

	for (int i = 0; i < n; i++) {
		r[i] = range_of(s[i].file + 1, s[i].from * UNIT, s[i].to * UNIT);
		r[i].count = (uint32_t)(s[i].to - s[i].from);
		count += s[i].to - s[i].from;
	}
	return count;
}

static struct m_batch *free_batch(void)
{
	for (int i = 0; i < ITEMS; i++)
		if (!m.batches[i].used)
			return &m.batches[i];
	return NULL;
}

static struct m_row *free_row(void)
{
	for (int i = 0; i < ITEMS; i++)
		if (!m.rows[i].used)
			return &m.rows[i];
	return NULL;
}

/* A random used one, or NULL. */
static struct m_batch *some_batch(void)
{
	for (int i = 0, at = rnd(ITEMS); i < ITEMS; i++, at = (at + 1) % ITEMS)
		if (m.batches[at].used)
			return &m.batches[at];
	return NULL;
}

static struct m_row *some_row(void)
{
	for (int i = 0, at = rnd(ITEMS); i < ITEMS; i++, at = (at + 1) % ITEMS)
		if (m.rows[at].used)
			return &m.rows[at];
	return NULL;
}

static struct m_row *row_by_id(int64_t id)
{
	for (int i = 0; i < ITEMS; i++)
		if (m.rows[i].used && m.rows[i].id == id)
			return &m.rows[i];
	return NULL;
}

static void step_plan(struct spool_dir *d)
{
	struct m_batch *b = free_batch();
	struct spool_range r[3];
	struct spool_ledger l;

	if (!b)
		return;
	*b = (struct m_batch){ 0 };
	b->spans = take_spans(b->span, PROMISED);
	if (!b->spans)
		return;
	b->count = spans_to_ranges(b->span, b->spans, r);
	l = ledger_of(r, (size_t)b->spans, b->count);
	l.partition = rnd(5);
	assert_int_equal(spool_plan(d->s, &l, NULL), 0);
	b->id = l.id;
	b->used = true;
}

static void step_ack(struct spool_dir *d)
{
	struct m_batch *b = some_batch();
	struct m_row *row = b ? row_by_id(b->row) : NULL;

	if (!b)
		return;
	assert_int_equal(spool_acked(d->s, b->id, NULL), 0);
	m.acked += (uint64_t)b->count;
	for (int i = 0; i < b->spans; i++)
		mark(&b->span[i], FINISHED);
	b->used = false;
	if (row)
		row->used = false;
}

/* One unit is one record. */
static void lose(const struct span *s, int n)
{
	for (int i = 0; i < n; i++) {
		m.dropped += (uint64_t)(s[i].to - s[i].from);
		m.loss_bytes += (uint64_t)(s[i].to - s[i].from) * UNIT;
		m.entries++;
	}
	m.events++;
}

/* Its row, what was left of it, is given up or goes on without it. */
static void lose_missing(const struct m_batch *b)
{
	if (b->missing)
		lose(&b->span[b->missing - 1], 1);
}

static void step_unplan(struct spool_dir *d)
{
	struct m_batch *b = some_batch();
	struct m_row *row = b ? row_by_id(b->row) : NULL;

	if (!b)
		return;
	assert_int_equal(spool_unplan(d->s, b->id, NULL), 0);
	for (int i = 0; i < b->spans && !row; i++)
		mark(&b->span[i], UNREAD);
	lose_missing(b);
	b->used = false;
	if (row)
		row->ledger = 0;
}

/* rows of some bytes, and now and then a large one */
static void add(struct spool_dir *d, struct m_row *row, const struct span *span, int n, int64_t ledger, bool rest)
{
	struct spool_range r[3];
	int count = spans_to_ranges(span, n, r);
	int size = rnd(10) ? 1 + rnd(3000) : 1 + rnd(100000);
	uint8_t *bytes = malloc((size_t)size);
	struct spool_piece p[2];
	int lane = rnd(LANES);
	struct spool_row sr = { .topic = lane_names[lane], .partition = lane - 1, .count = count, .spooled_ms = 77,
				.ledger_id = ledger, .rest = rest, .ranges = r, .range_count = (size_t)n };

	assert_non_null(bytes);
	row_fill(bytes, (size_t)size);
	sr.crc = crc32c(0, bytes, (size_t)size);
	p[0] = (struct spool_piece){ bytes, (size_t)size / 2 };
	p[1] = (struct spool_piece){ bytes + size / 2, (size_t)(size - size / 2) };
	assert_int_equal(spool_add(d->s, &sr, p, 2, NULL), 0);
	free(bytes);
	*row = (struct m_row){ true, sr.id, ledger, count, size, lane, n, { { 0 } } };
	memcpy(row->span, span, (size_t)n * sizeof *span);
}

static void step_spool(struct spool_dir *d)
{
	struct m_row *row = free_row();
	struct span s[3];
	int n = row ? take_spans(s, FINISHED) : 0;

	if (n)
		add(d, row, s, n, 0, false);
}

static void step_spool_batch(struct spool_dir *d)
{
	struct m_batch *b = some_batch();
	struct m_row *row = free_row();

	if (!b || b->row || !row)
		return;
	add(d, row, b->span, b->spans, b->id, false);
	b->row = row->id;
	for (int i = 0; i < b->spans; i++)
		mark(&b->span[i], FINISHED);
}

/* All but one of its spans. */
static void step_spool_rest(struct spool_dir *d)
{
	struct m_batch *b = some_batch();
	struct m_row *row = free_row();
	struct span left[3];
	int n = 0;

	if (!b || b->row || b->spans < 2 || !row)
		return;
	b->missing = 1 + rnd(b->spans);
	for (int i = 0; i < b->spans; i++) {
		mark(&b->span[i], FINISHED);
		if (i != b->missing - 1)
			left[n++] = b->span[i];
	}
	add(d, row, left, n, b->id, true);
	b->row = row->id;
}

static void step_plan_row(struct spool_dir *d)
{
	struct m_row *row = some_row();
	struct m_batch *b = free_batch();

	if (!row || row->ledger || !b)
		return;
	*b = (struct m_batch){ .used = true, .id = plan_row(d, row->id, row->count), .row = row->id, .count = row->count };
	row->ledger = b->id;
}

static void step_set_aside(struct spool_dir *d)
{
	struct m_row *row = some_row();

	if (!row || rnd(4))
		return;
	assert_int_equal(spool_row_set_aside(d->s, row->id, NULL), 0);
	lose(row->span, row->spans);
	m.corrupt++;
	row->used = false;
	for (int i = 0; i < ITEMS; i++)
		if (m.batches[i].used && m.batches[i].row == row->id) {
			lose_missing(&m.batches[i]);
			m.batches[i].used = false;
		}
}

static void step_reject(struct spool_dir *d)
{
	struct spool_range r[3];
	struct span s[3];
	int n = take_spans(s, FINISHED), count = spans_to_ranges(s, n, r);

	assert_int_equal(spool_finish(d->s, r, (size_t)n, SPOOL_REJECTED, (uint64_t)count, NULL), 0);
	m.rejected += (uint64_t)count;
}

static void step_drop(struct spool_dir *d)
{
	struct spool_range r[3];
	struct span s[3] = { 0 };
	int n = rnd(2) ? take_spans(s, FINISHED) : 0, count = spans_to_ranges(s, n, r);

	if (!n)
		return;
	assert_int_equal(spool_drop(d->s, "a", 0, r, (size_t)n, (uint64_t)count, SPOOL_LOSS_NEWEST, NULL), 0);
	lose(s, n);
}

static void step_row_drop(struct spool_dir *d)
{
	struct m_row *row = some_row();

	if (!row || rnd(3))
		return;
	assert_int_equal(spool_row_drop(d->s, row->id, SPOOL_LOSS_OLDEST, NULL), row->ledger ? ERR_BUSY : 0);
	if (row->ledger)
		return;
	lose(row->span, row->spans);
	row->used = false;
}

static void step_ledger_drop(struct spool_dir *d)
{
	struct m_batch *b = some_batch();
	struct m_row *row = b ? row_by_id(b->row) : NULL;

	if (!b || rnd(3))
		return;
	assert_int_equal(spool_ledger_drop(d->s, b->id, SPOOL_LOSS_GONE, NULL), 0);
	for (int i = 0; i < b->spans; i++)
		mark(&b->span[i], FINISHED);
	lose(b->spans ? b->span : row->span, b->spans ? b->spans : row->spans);
	b->used = false;
	if (row)
		row->used = false;
}

static void step_uncertain(struct spool_dir *d)
{
	struct m_batch *b = some_batch();
	struct m_row *row = b ? row_by_id(b->row) : NULL;

	if (!b)
		return;
	assert_int_equal(spool_uncertain(d->s, b->id, NULL), 0);
	m.entries += (uint64_t)(b->spans ? b->spans : row->spans);
	m.uncertain_batches++;
	m.uncertain_records += (uint64_t)b->count;
}

static void step_mend(struct spool_dir *d)
{
	struct m_row *row = some_row();
	uint8_t bytes[5000];
	int size = 1 + rnd((int)sizeof bytes);
	struct spool_piece p = { bytes, (size_t)size };

	if (!row)
		return;
	row_fill(bytes, (size_t)size);
	assert_int_equal(spool_row_mend(d->s, &(struct spool_row){ .id = row->id, .count = row->count,
					.crc = crc32c(0, bytes, (size_t)size) }, &p, 1, NULL), 0);
	row->size = size;
}

/* Whether one of these has bytes of the file at or above a unit. */
static bool reach(const struct span *s, int n, int file, int at)
{
	for (int i = 0; i < n; i++)
		if (s[i].file == file && s[i].to > at)
			return true;
	return false;
}

static void step_position_set(struct spool_dir *d)
{
	int file = rnd(FILES), at = rnd(UNITS);
	bool busy = false;

	if (rnd(5))
		return;
	for (int i = 0; i < ITEMS; i++) {
		busy = busy || (m.batches[i].used && reach(m.batches[i].span, m.batches[i].spans, file, m.batches[i].row ? at : 0));
		busy = busy || (m.rows[i].used && reach(m.rows[i].span, m.rows[i].spans, file, at));
	}
	assert_int_equal(spool_position_set(d->s, file + 1, at * UNIT, marker_at(file + 1, at * UNIT), NULL), busy ? ERR_BUSY : 0);
	if (busy)
		return;
	memset(m.unit[file], FINISHED, (size_t)at);
	memset(&m.unit[file][at], UNREAD, (size_t)(UNITS - at));
}

static void step_home(struct spool_dir *d)
{
	struct spool_home h = { .machine_id = "m", .inode = ++m.home };

	assert_int_equal(spool_home_put(d->s, &h, NULL), 0);
}

static void (*const steps[])(struct spool_dir *) = {
	step_plan, step_plan, step_plan, step_ack, step_ack, step_ack, step_unplan, step_spool, step_spool, step_spool_batch,
	step_spool_rest, step_plan_row, step_set_aside, step_reject, step_drop, step_row_drop, step_ledger_drop, step_uncertain,
	step_mend, step_position_set, step_home,
};

/* --- comparing --- */

static void compare_file(struct spool_dir *d, int file)
{
	char text[4096] = "", want[4096] = "";
	int at = 0;

	while (at < UNITS && m.unit[file][at] == FINISHED)
		at++;
	assert_int_equal(safe_of(d, file + 1), at * UNIT);
	while (at < UNITS) {
		int from = at;

		while (at < UNITS && m.unit[file][at] != UNREAD)
			at++;
		if (at > from)
			(void)skips_add(want, from * UNIT, at * UNIT);
		at++;
	}
	assert_int_equal(spool_skips_each(d->s, file + 1, skips_add, text), 0);
	assert_string_equal(text, want);
}

static int compare_markers(void *arg, const struct spool_file *f)
{
	struct spool_dir *d = arg;
	struct spool_marker at[SPOOL_MARKERS];
	size_t n = spool_markers(d->s, f->id, at);
	int64_t above = f->safe;

	assert_true(f->marker == marker_at(f->id, f->safe));
	for (size_t i = 0; i < n; i++) {
		assert_true(at[i].offset > 0 && at[i].offset < above && at[i].hash == marker_at(f->id, at[i].offset));
		above = at[i].offset;
	}
	return 0;
}

static int compare_batch(void *arg, const struct spool_ledger *l)
{
	struct { int64_t last; int n; } *c = arg;
	const struct m_batch *b = NULL;

	for (int i = 0; i < ITEMS; i++)
		if (m.batches[i].used && m.batches[i].id == l->id)
			b = &m.batches[i];
	assert_non_null(b);
	assert_true(l->id > c->last && l->count == b->count && l->row_id == b->row);
	assert_int_equal(l->left, b->missing ? row_by_id(b->row)->count : 0);
	assert_int_equal(l->range_count, b->spans);
	for (int i = 0; i < b->spans; i++)
		assert_true(l->ranges[i].file_id == b->span[i].file + 1 && l->ranges[i].from == b->span[i].from * UNIT &&
			    l->ranges[i].to == b->span[i].to * UNIT);
	c->last = l->id;
	c->n++;
	return 0;
}

static int count_rows(void *arg, const struct spool_row *r, const void *data, int rc)
{
	const struct m_row *row = row_by_id(r->id);
	uint8_t *want;

	assert_int_equal(rc, 0);
	assert_non_null(row);
	assert_true(!row->ledger && r->count == row->count && (int)r->size == row->size);
	assert_string_equal(r->topic, lane_names[row->lane]);
	want = malloc((size_t)row->size);
	row_fill(want, (size_t)row->size);
	assert_memory_equal(data, want, (size_t)row->size);
	free(want);
	++*(int *)arg;
	return 0;
}

static int compare_lane(void *arg, const struct spool_lane *l)
{
	struct spool_lane want = { 0 };

	(void)arg;
	for (int i = 0; i < ITEMS; i++) {
		const struct m_row *row = &m.rows[i];

		if (!row->used || strcmp(lane_names[row->lane], l->topic) != 0)
			continue;
		want.rows++;
		want.rows_with_identity += row->ledger != 0;
		want.records += (uint64_t)row->count;
		want.bytes += (uint64_t)row->size;
	}
	assert_true(l->rows == want.rows && l->rows_with_identity == want.rows_with_identity);
	assert_true(l->records == want.records && l->bytes == want.bytes);
	return 0;
}

static void compare_totals(struct spool_dir *d)
{
	struct spool_totals t = totals_of(d);
	uint64_t rows = 0, records = 0, bytes = 0;

	for (int i = 0; i < ITEMS; i++) {
		rows += m.rows[i].used;
		records += m.rows[i].used ? (uint64_t)m.rows[i].count : 0;
		bytes += m.rows[i].used ? (uint64_t)m.rows[i].size : 0;
	}
	assert_true(t.acked == m.acked && t.dropped == m.dropped && t.rejected == m.rejected);
	assert_true(t.rows == rows && t.records == records && t.bytes == bytes && t.corrupt_rows == m.corrupt);
	assert_true(t.oldest_ms == (rows ? 77 : 0));
	assert_true(t.loss_events == m.events && t.loss_records == m.dropped && t.loss_bytes == m.loss_bytes);
	assert_true(t.uncertain_batches == m.uncertain_batches && t.uncertain_records == m.uncertain_records);
}

static int count_loss(void *arg, const struct spool_loss *l)
{
	struct { uint64_t n, records, uncertain; } *c = arg;

	assert_true(l->file_id >= 1 && l->file_id <= FILES && l->to - l->from == (int64_t)l->records * UNIT);
	assert_string_equal(l->path, "/var/log/app.log");
	c->n++;
	*(strcmp(l->reason, SPOOL_LOSS_UNCERTAIN) ? &c->records : &c->uncertain) += l->records;
	return 0;
}

static void say_finding(void *arg, int64_t row_id, const char *what)
{
	(void)arg;
	print_error("row %lld: %s\n", (long long)row_id, what);
}

/* What costs more, now and then. */
static void compare_all(struct spool_dir *d)
{
	struct { uint64_t n, records, uncertain; } c = { 0 };

	assert_int_equal(spool_losses_each(d->s, 0, count_loss, &c, NULL), 0);
	assert_true(c.n == m.entries && c.records == m.dropped && c.uncertain == m.uncertain_records);
	assert_int_equal(spool_verify(d->s, say_finding, NULL, NULL), 0);
}

static void compare(struct spool_dir *d)
{
	struct { int64_t last; int n; } c = { 0, 0 };
	int batches = 0, free_rows = 0, read = 0;
	struct spool_home home;

	for (int f = 0; f < FILES; f++)
		compare_file(d, f);
	for (int i = 0; i < ITEMS; i++) {
		batches += m.batches[i].used;
		free_rows += m.rows[i].used && !m.rows[i].ledger;
	}
	assert_int_equal(spool_files_each(d->s, compare_markers, d, NULL), 0);
	assert_int_equal(spool_ledger_each(d->s, compare_batch, &c, NULL), 0);
	assert_int_equal(c.n, batches);
	for (int l = 0; l < LANES; l++)
		assert_int_equal(spool_rows_read(d->s, lane_names[l], l - 1, 0, count_rows, &read, NULL), 0);
	assert_int_equal(read, free_rows);
	assert_int_equal(spool_lanes_each(d->s, compare_lane, NULL, NULL), 0);
	compare_totals(d);
	spool_home(d->s, &home);
	assert_true(home.inode == m.home);
	if (!rnd(20))
		compare_all(d);
}

/* --- the run --- */

static void end_transaction(struct spool_dir *d)
{
	int how = rnd(20);

	if (how < 4) {
		m = saved;
		if (how == 0)
			spool_dir_kill(d);
		else if (how == 1)
			spool_dir_reopen(d);
		else
			spool_rollback(d->s);
		return;
	}
	commit(d);
	saved = m;
	if (how == 4)
		spool_dir_kill(d);
	else if (how == 5)
		spool_dir_reopen(d);
}

/* When all is read, everything is finished and the files start again from their beginning, under a new directory. */
static void start_over(struct spool_dir *d)
{
	spool_dir_remove(d);
	spool_dir_make(d);
	spool_dir_start(d);
	memset(&m, 0, sizeof m);
	txn(d);
	for (int f = 0; f < FILES; f++)
		put_file(d, f + 1, 0);
	commit(d);
	saved = m;
}

static bool all_read(void)
{
	for (int f = 0; f < FILES; f++)
		if (memchr(m.unit[f], UNREAD, UNITS))
			return false;
	return true;
}

static void random_steps_agree_with_the_model(void **state)
{
	struct spool_dir *d = *state;

	print_message("seed %lu\n", seed);
	srandom((unsigned)seed);
	start_over(d);
	for (int done = 0; done < 6000;) {
		assert_int_equal(spool_begin(d->s, rnd(8) ? SPOOL_NORMAL : SPOOL_FULL, NULL), 0);
		for (int n = 1 + rnd(12); n; n--, done++)
			steps[rnd((int)COUNT(steps))](d);
		end_transaction(d);
		compare(d);
		if (all_read())
			start_over(d);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(random_steps_agree_with_the_model, spool_dir_setup, spool_dir_teardown),
};

int main(int argc, char **argv)
{
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 10);
	return test_main(argc, argv, tests, COUNT(tests));
}

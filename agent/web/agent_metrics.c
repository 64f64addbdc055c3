/* agent_metrics.c - spillway_*: where the records are, how far behind each file is, how full the spool is, what was given up.
 *
 * What may grow without end has a ceiling: of 10,000 files those that lag most have rows of their own, and the rest is one row.
 * Rows of one path are joined, for a deleted file and its successor may have the same. Counters that an alert looks at are there
 * before they count anything: an increase from nothing is not seen.
 * Threads: main; losses are counted on the state thread while main waits.
 */
#include "agent/web/agent_metrics.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/mem.h"

#define LOSSES_WAIT_MS 500
#define HELD_LANES_MAX 100

static void gauge(struct metrics_text *t, const char *name, const char *help, double v)
{
	metrics_text_row(t, PRODUCER_GAUGE, name, help, NULL, 0, v);
}

static void counter(struct metrics_text *t, const char *name, const char *help, uint64_t v)
{
	metrics_text_row(t, PRODUCER_COUNTER, name, help, NULL, 0, (double)v);
}

/* One row of those that have one label. */
static void row_of(struct metrics_text *t, enum producer_metric_kind kind, const char *name, const char *help, const char *label,
		   const char *value, double v)
{
	const struct metrics_label labels[] = { { label, value } };

	metrics_text_row(t, kind, name, help, labels, 1, v);
}

static void gauge_of(struct metrics_text *t, const char *name, const char *help, const struct metrics_label (*labels)[2], double v)
{
	metrics_text_row(t, PRODUCER_GAUGE, name, help, *labels, 2, v);
}

/* --- records and the spool --- */

static void put_records(struct agent_metrics *a, const struct books_snapshot *b, struct metrics_text *t)
{
	uint64_t read = b->read > a->read ? b->read : a->read;
	const struct { const char *state; uint64_t n; } rows[] = {
		{ "read", read }, { "acked", b->acked }, { "rejected", b->rejected }, { "dropped", b->dropped },
		{ "filtered", b->filtered },
	};

	a->read = read;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		row_of(t, PRODUCER_COUNTER, "spillway_records_total",
		       "Records for the life of the state directory: read, and what became of them", "state", rows[i].state,
		       (double)rows[i].n);
	gauge(t, "spillway_records_in_memory", "Records that are neither acknowledged nor spooled", (double)b->in_memory);
	gauge(t, "spillway_books_balanced", "1: read = acked + spooled + in memory + rejected + dropped", books_balanced(b));
}

static void put_spool(const struct spool_totals *o, struct metrics_text *t)
{
	int64_t age_ms = o->oldest_ms ? clock_wall_ms() - o->oldest_ms : 0;

	gauge(t, "spillway_spool_rows", "Batches that are spooled now", (double)o->rows);
	gauge(t, "spillway_spool_records", "Records that are spooled now", (double)o->records);
	gauge(t, "spillway_spool_bytes", "Bytes that are spooled now", (double)o->bytes);
	gauge(t, "spillway_spool_max_bytes", "spool.max_size", (double)o->max_size);
	gauge(t, "spillway_spool_oldest_seconds", "Age of the oldest batch spooled", age_ms > 0 ? (double)age_ms / 1000 : 0);
	gauge(t, "spillway_spool_full", "1: the last batch found no room", o->full);
	gauge(t, "spillway_rejected_bytes", "Bytes kept of rejected records", (double)o->rejected_bytes);
	counter(t, "spillway_spool_corrupt_rows_total", "Spooled batches that were found damaged and could not be built again",
		o->corrupt_rows);
	counter(t, "spillway_uncertain_batches_total", "Batches sent again although Kafka may have had them", o->uncertain_batches);
	counter(t, "spillway_uncertain_records_total", "Records that may be in Kafka twice", o->uncertain_records);
}

static void put_syncs(struct metrics_text *t)
{
	struct spool_syncs s;

	spool_syncs(&s);
	for (size_t i = 1; i < SPOOL_SYNC_BUCKETS; i++)
		s.counts[i] += s.counts[i - 1];
	metrics_text_histogram(t, "spillway_fsync_seconds", "How long the disk took to sync the state database", NULL, 0,
			       spool_sync_bounds, s.counts, SPOOL_SYNC_BUCKETS, s.seconds);
}

/* --- losses --- */

/* "uncertain" is none. What a later version enters stands under "other". */
static const char *const reasons[] = {
	"other", SPOOL_LOSS_DAMAGED, SPOOL_LOSS_OLDEST, SPOOL_LOSS_NEWEST, SPOOL_LOSS_PURGED, SPOOL_LOSS_SKIPPED,
	SPOOL_LOSS_FORGOTTEN, SPOOL_LOSS_LONG_LINE, SPOOL_LOSS_SOCKET, SPOOL_LOSS_JOURNAL, SPOOL_LOSS_STOPPED,
	SPOOL_LOSS_GONE, SPOOL_LOSS_TRUNCATED, SPOOL_LOSS_STATE,
};
#define REASONS (sizeof reasons / sizeof reasons[0])
_Static_assert(REASONS <= AGENT_METRICS_REASONS, "room for each reason");

static int on_loss(void *arg, const struct spool_loss *l)
{
	struct agent_metrics *a = arg;
	size_t i = REASONS;

	a->loss_id = l->id;
	if (!strcmp(l->reason, SPOOL_LOSS_UNCERTAIN))
		return 0;
	while (--i && strcmp(reasons[i], l->reason) != 0)
		;
	a->loss_entries[i]++;
	a->loss_records[i] += l->records;
	return 0;
}

static void look_at_losses(void *arg, struct spool *s)		/* state thread */
{
	struct agent_metrics *a = arg;
	struct err e;

	if (spool_losses_each(s, a->loss_id, on_loss, a, &e) >= 0)	/* else the rest is read the next time */
		a->looked = true;
}

static void put_losses(struct agent_metrics *a, struct pipeline *p, struct metrics_text *t)
{
	(void)state_ask_within(p->state, look_at_losses, a, LOSSES_WAIT_MS);
	if (!a->looked)
		return;			/* to begin with zero and go up to what was lost long ago would be an alert */
	for (size_t i = 0; i < REASONS; i++)
		row_of(t, PRODUCER_COUNTER, "spillway_losses_total", "Entries of `spillway losses`: ranges that were given up",
		       "reason", reasons[i], (double)a->loss_entries[i]);
	for (size_t i = 0; i < REASONS; i++)
		row_of(t, PRODUCER_COUNTER, "spillway_lost_records_total", "Records in these ranges, as far as they are known",
		       "reason", reasons[i], (double)a->loss_records[i]);
}

/* --- files --- */

struct row { const char *path, *input; double bytes, seconds; };

static int by_path(const void *x, const void *y)
{
	const struct row *a = x, *b = y;
	int rc = strcmp(a->path, b->path);

	return rc ? rc : strcmp(a->input, b->input);
}

static int by_lag(const void *x, const void *y)
{
	const struct row *a = x, *b = y;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	return by_path(x, y);
}

static void join(struct row *to, const struct row *from)
{
	to->bytes += from->bytes;
	to->seconds = from->seconds > to->seconds ? from->seconds : to->seconds;
}

/* Sorted, one row a path; at most AGENT_METRICS_FILES and one for the rest. */
static size_t join_rows(struct row *rows, size_t n)
{
	size_t kept = 0;

	if (!n)
		return 0;
	qsort(rows, n, sizeof *rows, by_path);
	for (size_t i = 1; i < n; i++) {
		if (by_path(&rows[kept], &rows[i]))
			rows[++kept] = rows[i];
		else
			join(&rows[kept], &rows[i]);
	}
	kept++;
	qsort(rows, kept, sizeof *rows, by_lag);
	if (kept <= AGENT_METRICS_FILES)
		return kept;
	rows[AGENT_METRICS_FILES].path = "(others)";
	rows[AGENT_METRICS_FILES].input = "";
	for (size_t i = AGENT_METRICS_FILES + 1; i < kept; i++)
		join(&rows[AGENT_METRICS_FILES], &rows[i]);
	return AGENT_METRICS_FILES + 1;
}

static void put_lag_rows(struct metrics_text *t, const char *name, const char *help, const struct row *rows, size_t n, size_t which)
{
	for (size_t i = 0; i < n; i++) {
		const struct metrics_label labels[] = { { "path", rows[i].path }, { "input", rows[i].input } };

		gauge_of(t, name, help, &labels, *(const double *)(const void *)((const char *)&rows[i] + which));
	}
}

static void put_lags(const struct status *s, struct metrics_text *t)
{
	struct row *rows = mem_array(struct row, s->file_count + 1);
	size_t n;

	if (!rows) {
		t->out->failed = true;
		return;
	}
	for (size_t i = 0; i < s->file_count; i++) {
		const struct status_file *f = &s->files[i];
		const char *input = f->input < s->conf->input_count ? s->conf->inputs[f->input].name : "";

		rows[i] = (struct row){ f->path ? f->path : "", input ? input : "",
			f->size > f->safe ? (double)(f->size - f->safe) : 0, f->lag_s };
	}
	n = join_rows(rows, s->file_count);
	put_lag_rows(t, "spillway_file_lag_bytes", "Bytes of a file that are not finished", rows, n, offsetof(struct row, bytes));
	put_lag_rows(t, "spillway_file_lag_seconds", "Age of the oldest byte that is not finished", rows, n,
		     offsetof(struct row, seconds));
	mem_free(rows);
}

static void put_files(const struct status *s, struct metrics_text *t)
{
	static const char *const states[] = { "active", "rotated", "deleted", "waiting", "done", "failed" };
	double size = 0, safe = 0, lag = 0, age = 0;

	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
		size_t n = 0;

		for (size_t j = 0; j < s->file_count; j++)
			n += !strcmp(s->files[j].state, states[i]);
		row_of(t, PRODUCER_GAUGE, "spillway_files", "Files by their state", "state", states[i], (double)n);
	}
	for (size_t i = 0; i < s->file_count; i++) {
		const struct status_file *f = &s->files[i];

		size += (double)f->size;
		safe += (double)(f->safe < f->size ? f->safe : f->size);
		lag += f->size > f->safe ? (double)(f->size - f->safe) : 0;
		age = f->lag_s > age ? f->lag_s : age;
	}
	gauge(t, "spillway_lag_bytes", "Bytes of all files that are not finished", lag);
	gauge(t, "spillway_lag_seconds", "Age of the oldest byte of any file that is not finished", age);
	gauge(t, "spillway_up_to_date_ratio", "Bytes of files that are finished, of all", size > 0 ? safe / size : 1);
	put_lags(s, t);
}

/* --- the agent as a whole --- */

static void put_state(const struct status *s, struct metrics_text *t)
{
	static const char *const states[] = { "shipping", "spilling", "draining", "blocked", "stopping", "stopped" };
	const struct metrics_label build[] = { { "version", SPILLWAY_VERSION }, { "sqlite", spool_sqlite_version() } };
	size_t n = 0;

	gauge_of(t, "spillway_build_info", "1; the version is a label", &build, 1);
	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
		row_of(t, PRODUCER_GAUGE, "spillway_state", "1 for the state that `status` says", "state", states[i],
		       !strcmp(s->state, states[i]));
	gauge(t, "spillway_spill_state", "1: something is spooled", s->books.totals.rows > 0);
	for (size_t at = 0; at < s->reasons.len; at += strlen(s->reasons.data + at) + 1)
		n++;
	gauge(t, "spillway_healthy", "1: every thread makes progress, as /healthz says",
	      beat_all(clock_mono_ms(), AGENT_METRICS_HUNG_MS, NULL, NULL));
	gauge(t, "spillway_reasons", "How many things `status` says are wrong", (double)n);
	gauge(t, "spillway_uptime_seconds", "Since the agent started", s->uptime_s);
}

static void put_brokers(const struct producer_stat *p, struct metrics_text *t)
{
	size_t up = 0, refused = 0;

	for (size_t i = 0; i < p->broker_count; i++) {
		up += !strcmp(p->brokers[i].state, "up");
		refused += p->brokers[i].refused;
	}
	gauge(t, "spillway_brokers", "Brokers that are known", (double)p->broker_count);
	gauge(t, "spillway_brokers_up", "Of them, connected", (double)up);
	gauge(t, "spillway_brokers_refused", "Of them, not connected because of credentials or certificates", (double)refused);
	gauge(t, "spillway_last_ack_timestamp_seconds", "When a broker last acknowledged something, since 1970; 0: never",
	      p->last_ack_ms < 0 ? 0 : (double)(clock_wall_ms() - (clock_mono_ms() - p->last_ack_ms)) / 1000);
}

static void put_lanes(const struct producer_stat *p, struct metrics_text *t)
{
	size_t held = 0, shown = 0;
	char partition[16];

	for (size_t i = 0; i < p->lane_count; i++)
		held += p->lanes[i].held;
	gauge(t, "spillway_lanes", "Topics and partitions that records go to", (double)p->lane_count);
	gauge(t, "spillway_lanes_held", "Of them, held: their topic or partition takes nothing, brokers do", (double)held);
	for (size_t i = 0; i < p->lane_count && shown < HELD_LANES_MAX; i++) {
		const struct producer_lane_stat *l = &p->lanes[i];
		const struct metrics_label labels[] = { { "topic", l->topic }, { "partition", l->partition < 0 ? "" : partition } };

		if (!l->held || l->waits)
			continue;
		shown++;
		snprintf(partition, sizeof partition, "%d", l->partition);
		gauge_of(t, "spillway_lane_held", "1 for each lane that is held", &labels, 1);
	}
}

static void put_tail(struct pipeline *p, struct metrics_text *t)
{
	struct tail_counters c;

	tail_counters(p->tail, &c);
	counter(t, "spillway_inotify_overflows_total", "How often the kernel lost events, and everything was looked at",
		c.overflows);
	counter(t, "spillway_rescans_total", "How often all inputs were searched for files", c.walks);
	counter(t, "spillway_line_splits_total", "Cuts of lines longer than max_line", c.split_lines);
}

void agent_metrics_put(struct agent_metrics *a, struct pipeline *p, const struct status *s, struct metrics_text *t)
{
	put_state(s, t);
	put_records(a, &s->books, t);
	put_spool(&s->books.totals, t);
	put_syncs(t);
	put_losses(a, p, t);
	if (!s->producer_unknown) {
		put_brokers(&s->producer, t);
		put_lanes(&s->producer, t);
	}
	put_tail(p, t);
	if (!s->files_unknown)		/* no rows are better than "no file lags" */
		put_files(s, t);
}

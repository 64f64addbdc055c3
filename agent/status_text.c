/* status_text.c - one status for people: the state and why, what is in the spool and how long it lasts, rates, books, losses,
 * brokers, lanes, inputs with their files.
 *
 * What is most wrong comes first, and of long lists only what is most behind: an administrator reads this when something is wrong,
 * with ten thousand files or with three. It fits the terminal's width; what comes from outside cannot play with it (words.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/status.h"
#include "agent/words.h"

#define FILES_SHOWN 10
#define LANES_SHOWN 20
#define LABEL_WIDTH 10
#define BAR_WIDTH   20

enum color { PLAIN, BOLD, DIM, GOOD, WARN, BAD };

struct out { const struct status *s; const struct status_view *view; struct buf *o; };

static const char *color(const struct out *t, enum color c)
{
	static const char *const codes[] = { "", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m" };

	return t->view->color ? codes[c] : "";
}

static const char *plain(const struct out *t)
{
	return t->view->color ? "\033[0m" : "";
}

static void label(const struct out *t, const char *name)
{
	buf_printf(t->o, "%s%-*s%s", color(t, BOLD), LABEL_WIDTH, name, plain(t));
}

static void line(const struct out *t, const char *name, const struct buf *text)
{
	label(t, name);
	words_wrap(t->o, text->len ? text->data : "", t->view->width, LABEL_WIDTH, LABEL_WIDTH);
}

/* --- the head --- */

static enum color of_state(const char *state)
{
	static const struct { const char *name; enum color c; } table[] = {
		{ "shipping", GOOD }, { "draining", GOOD }, { "up", GOOD }, { "active", PLAIN }, { "open", PLAIN },
		{ "spilling", WARN }, { "waiting", WARN }, { "connecting", WARN }, { "stopping", WARN },
		{ "blocked", BAD }, { "failed", BAD }, { "held", BAD }, { "down", BAD },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (!strcmp(table[i].name, state))
			return table[i].c;
	return DIM;
}

static void put_head(const struct out *t)
{
	const struct status *s = t->s;
	char up[WORDS_MAX];

	buf_printf(t->o, "%sspillway %s%s  %s%s%s", color(t, BOLD), SPILLWAY_VERSION, plain(t), color(t, of_state(s->state)),
		   s->state, plain(t));
	if (s->pid)
		buf_printf(t->o, "  up %s  pid %d\n", words_time(up, s->uptime_s), s->pid);
	else
		buf_puts(t->o, "  no agent runs; this is what its state directory says\n");
	for (size_t at = 0; at < s->reasons.len; at += strlen(s->reasons.data + at) + 1) {
		buf_printf(t->o, "  %s!%s ", color(t, BAD), plain(t));
		words_wrap(t->o, s->reasons.data + at, t->view->width, 4, 4);
	}
	buf_puts(t->o, "\n");
}

/* --- the spool --- */

static void put_bar(const struct out *t, double share)
{
	int filled = (int)(share * BAR_WIDTH + 0.5);

	buf_puts(t->o, color(t, share >= 0.9 ? BAD : share >= 0.5 ? WARN : GOOD));
	for (int i = 0; i < BAR_WIDTH; i++) {
		if (i == filled)
			buf_puts(t->o, plain(t));
		buf_puts(t->o, i < filled ? "#" : ".");
	}
	buf_puts(t->o, filled == BAR_WIDTH ? plain(t) : "");
}

static void say_ahead(const struct status *s, struct buf *b)
{
	char text[WORDS_MAX];

	if (s->drained_in_s >= 0)
		buf_printf(b, "; drained in about %s", words_time(text, s->drained_in_s));
	else if (s->books.totals.full)
		buf_puts(b, "; it is full");
	else if (s->full_in_s >= 0)
		buf_printf(b, "; lasts %s at this rate", words_time(text, s->full_in_s));
}

static void put_spool(const struct out *t)
{
	const struct spool_totals *n = &t->s->books.totals;
	double share = n->max_size > 0 ? (double)n->bytes / (double)n->max_size : 0;
	char bytes[WORDS_MAX], max[WORDS_MAX], rows[WORDS_MAX], records[WORDS_MAX], oldest[WORDS_MAX];
	struct buf b;

	buf_init(&b, 4096);
	label(t, "spool");
	put_bar(t, share > 1 ? 1 : share);
	buf_printf(t->o, " %3.0f %%  ", share * 100);
	if (!n->rows) {
		buf_printf(&b, "empty, room for %s", words_size(max, (double)n->max_size));
	} else {
		buf_printf(&b, "%s of %s, %s records in %s rows, oldest %s", words_size(bytes, (double)n->bytes),
			   words_size(max, (double)n->max_size), words_count(records, n->records), words_count(rows, n->rows),
			   words_time(oldest, (double)status_oldest_s(t->s)));
		say_ahead(t->s, &b);
	}
	if (n->corrupt_rows)
		buf_printf(&b, "; %s rows were found damaged", words_count(rows, n->corrupt_rows));
	words_wrap(t->o, b.len ? b.data : "", t->view->width, LABEL_WIDTH + BAR_WIDTH + 8, LABEL_WIDTH);
	buf_release(&b);
}

/* --- numbers --- */

static void put_rates(const struct out *t)
{
	const struct history_rates *r = &t->s->rates;
	char read[WORDS_MAX], bytes[WORDS_MAX], acked[WORDS_MAX], spool[WORDS_MAX], over[WORDS_MAX];
	struct buf b;

	if (!t->s->pid)
		return;
	buf_init(&b, 4096);
	if (r->seconds <= 0)
		buf_puts(&b, "not known yet, the agent has just started");
	else
		buf_printf(&b, "read %s records/s (%s/s), acked %s records/s, spool %s%s/s, over the last %s",
			   words_count(read, (uint64_t)(r->read + 0.5)), words_size(bytes, r->read_bytes),
			   words_count(acked, (uint64_t)(r->acked + 0.5)), r->spool_bytes > 0.5 ? "+" : "",
			   words_size(spool, r->spool_bytes > -0.5 && r->spool_bytes < 0 ? 0 : r->spool_bytes),
			   words_time(over, r->seconds));
	line(t, "rates", &b);
	buf_release(&b);
}

static void put_records(const struct out *t)
{
	const struct books_snapshot *n = &t->s->books;
	const struct { const char *name; uint64_t n; } terms[] = {
		{ "read", n->read }, { "= acked", n->acked }, { "+ spooled", n->spooled }, { "+ in memory", n->in_memory },
		{ "+ rejected", n->rejected }, { "+ dropped", n->dropped }, { ", filtered", n->filtered },
	};
	char count[WORDS_MAX];
	struct buf b;

	buf_init(&b, 4096);
	for (size_t i = 0; i < sizeof terms / sizeof terms[0]; i++)
		if (i < 4 || terms[i].n)
			buf_printf(&b, "%s%s %s", i && terms[i].name[0] != ',' ? " " : "", terms[i].name,
				   words_count(count, terms[i].n));
	line(t, "records", &b);
	buf_release(&b);
}

static void put_memory(const struct out *t)
{
	const struct producer_stat *p = &t->s->producer;
	char used[WORDS_MAX], total[WORDS_MAX];
	struct buf b;

	if (!p->buffer_total)
		return;
	buf_init(&b, 4096);
	buf_printf(&b, "%s of %s (buffer.memory), %u batches in flight", words_size(used, (double)p->buffer_used),
		   words_size(total, (double)p->buffer_total), p->in_flight);
	line(t, "memory", &b);
	buf_release(&b);
}

static void put_losses(const struct out *t)
{
	const struct spool_totals *n = &t->s->books.totals;
	char records[WORDS_MAX], bytes[WORDS_MAX];
	struct buf b;

	buf_init(&b, 4096);
	if (n->loss_events)
		buf_printf(&b, "%s records, %s; `spillway losses` names them", words_count(records, n->loss_records),
			   words_size(bytes, (double)n->loss_bytes));
	else
		buf_puts(&b, "none");
	line(t, "losses", &b);
	if (n->uncertain_batches) {
		buf_clear(&b);
		buf_printf(&b, "%s records may be in Kafka twice; `spillway losses` names them",
			   words_count(records, n->uncertain_records));
		line(t, "uncertain", &b);
	}
	buf_release(&b);
}

/* --- lists --- */

static void title(const struct out *t, struct words_table *table, const char *const *names)
{
	for (unsigned i = 0; i < table->columns; i++)
		words_cell(table, color(t, DIM), names[i]);
}

static void section(const struct out *t, const char *name, const char *more)
{
	buf_printf(t->o, "\n%s%s%s%s", color(t, BOLD), name, plain(t), more ? "  " : "\n");
	if (more)
		words_wrap(t->o, more, t->view->width, (unsigned)strlen(name) + 2, 2);
}

static void put_brokers(const struct out *t)
{
	static const char *const names[] = { "ID", "STATE", "ADDRESS" };
	const struct producer_stat *p = &t->s->producer;
	struct words_table table;
	char id[16], address[300];

	if (!p->broker_count)
		return;
	section(t, "brokers", NULL);
	words_table_init(&table, 2, 3, 1);
	title(t, &table, names);
	for (size_t i = 0; i < p->broker_count; i++) {
		const struct producer_broker_stat *b = &p->brokers[i];

		snprintf(id, sizeof id, "%d", b->id);
		snprintf(address, sizeof address, "%s:%d", b->host, b->port);
		words_cell(&table, "", b->id < 0 ? "-" : id);
		words_cell(&table, color(t, of_state(b->state)), b->state);
		words_cell(&table, "", address);
	}
	words_table_put(&table, t->view->width, t->o);
}

struct lane_row { const char *topic; int32_t partition; const struct producer_lane_stat *live; uint64_t spooled; };

static const struct producer_lane_stat *live_of(const struct status *s, const struct status_lane *v)
{
	for (size_t i = 0; i < s->producer.lane_count; i++) {
		const struct producer_lane_stat *l = &s->producer.lanes[i];

		if (!l->waits && l->partition == v->partition && !strcmp(l->topic, v->topic))
			return l;
	}
	return NULL;
}

static uint64_t spooled_of(const struct status *s, const struct producer_lane_stat *l)
{
	for (size_t i = 0; i < s->lane_count && !l->waits; i++)
		if (s->lanes[i].partition == l->partition && s->lanes[i].topic && !strcmp(s->lanes[i].topic, l->topic))
			return s->lanes[i].records;
	return 0;
}

/* Held ones first, then those that have most to send. */
static int compare_lanes(const void *x, const void *y)
{
	const struct lane_row *a = x, *b = y;
	bool held_a = a->live && a->live->held, held_b = b->live && b->live->held;
	uint64_t n_a = a->spooled + (a->live ? a->live->in_memory : 0), n_b = b->spooled + (b->live ? b->live->in_memory : 0);
	int by_topic = strcmp(a->topic, b->topic);

	if (held_a != held_b)
		return held_a ? -1 : 1;
	if (n_a != n_b)
		return n_a > n_b ? -1 : 1;
	return by_topic ? by_topic : (a->partition > b->partition) - (a->partition < b->partition);
}

static size_t collect_lanes(const struct status *s, struct lane_row *v)
{
	size_t n = 0;

	for (size_t i = 0; i < s->producer.lane_count; i++) {
		const struct producer_lane_stat *l = &s->producer.lanes[i];

		v[n++] = (struct lane_row){ l->topic, l->partition, l, spooled_of(s, l) };
	}
	for (size_t i = 0; i < s->lane_count; i++)
		if (s->lanes[i].topic && !live_of(s, &s->lanes[i]))
			v[n++] = (struct lane_row){ s->lanes[i].topic, s->lanes[i].partition, NULL, s->lanes[i].records };
	qsort(v, n, sizeof *v, compare_lanes);
	return n;
}

static void lane_cells(const struct out *t, struct words_table *table, const struct lane_row *r)
{
	bool held = r->live && r->live->held;
	char text[WORDS_MAX], partition[16];

	snprintf(partition, sizeof partition, "%d", r->partition);
	words_cell(table, color(t, held ? BAD : PLAIN), held ? "held" : "open");
	words_cell(table, "", words_count(text, r->live ? r->live->in_memory : 0));
	words_cell(table, "", words_count(text, r->spooled));
	words_cell(table, "", r->partition < 0 ? "-" : partition);
	words_cell(table, "", r->topic);
}

static bool held_alike(const struct lane_row *a, const struct lane_row *b)
{
	return a->live && a->live->held && !strcmp(a->topic, b->topic) && !strcmp(a->live->reason, b->live->reason);
}

/* Why, below the table: the partitions of a topic have one reason. */
static void put_held(const struct out *t, const struct lane_row *v, size_t n)
{
	for (size_t i = 0; i < n && i < LANES_SHOWN; i++) {
		struct buf b;
		size_t j = 0;

		if (!v[i].live || !v[i].live->held)
			continue;
		while (!held_alike(&v[j], &v[i]))
			j++;
		if (j < i)
			continue;
		buf_init(&b, 4096);
		buf_printf(&b, "%s: %s", v[i].topic, v[i].live->reason);
		buf_printf(t->o, "  %s!%s ", color(t, BAD), plain(t));
		words_wrap(t->o, b.len ? b.data : "", t->view->width, 4, 4);
		buf_release(&b);
	}
}

static void put_lanes(const struct out *t)
{
	static const char *const names[] = { "STATE", "IN MEMORY", "SPOOLED", "PARTITION", "TOPIC" };
	const struct status *s = t->s;
	struct lane_row *v = mem_array(struct lane_row, s->producer.lane_count + s->lane_count + 1);
	size_t n = v ? collect_lanes(s, v) : 0, shown = t->view->all || n <= LANES_SHOWN ? n : LANES_SHOWN;
	struct words_table table;

	if (!n)
		goto out;
	section(t, "lanes", NULL);
	words_table_init(&table, 2, 5, 0xe);
	title(t, &table, names);
	for (size_t i = 0; i < shown; i++)
		lane_cells(t, &table, &v[i]);
	words_table_put(&table, t->view->width, t->o);
	if (shown < n)
		buf_printf(t->o, "  and %zu more\n", n - shown);
	put_held(t, v, shown);
out:
	mem_free(v);
}

/* --- files --- */

struct file_row { const struct status_file *f; size_t at; };

/* Those that cannot be read, then those that are longest behind. */
static int compare_files(const void *x, const void *y)
{
	const struct file_row *a = x, *b = y;
	bool failed_a = !strcmp(a->f->state, "failed"), failed_b = !strcmp(b->f->state, "failed");
	int64_t n_a = status_lag_bytes(a->f), n_b = status_lag_bytes(b->f);

	if (failed_a != failed_b)
		return failed_a ? -1 : 1;
	if (a->f->lag_s != b->f->lag_s)
		return a->f->lag_s > b->f->lag_s ? -1 : 1;
	if (n_a != n_b)
		return n_a > n_b ? -1 : 1;
	return (a->at > b->at) - (a->at < b->at);
}

static void file_cells(const struct out *t, struct words_table *table, const struct status_file *f)
{
	int64_t lag = status_lag_bytes(f);
	char text[WORDS_MAX];

	words_cell(table, color(t, of_state(f->state)), f->state);
	words_cell(table, "", words_size(text, (double)f->size));
	words_cell(table, "", lag ? words_size(text, (double)lag) : "-");
	/* Without an agent, and of a last line without its end, it is not known. */
	words_cell(table, color(t, lag && f->lag_s >= 60 ? WARN : PLAIN), lag && f->lag_s > 0 ? words_time(text, f->lag_s) : "-");
	words_cell(table, "", f->path);
}

static void put_files(const struct out *t, struct file_row *v, size_t n)
{
	static const char *const names[] = { "STATE", "SIZE", "LAG", "FOR", "FILE" };
	size_t shown = t->view->all || n <= FILES_SHOWN ? n : FILES_SHOWN;
	char count[WORDS_MAX], lag[WORDS_MAX];
	struct words_table table;
	int64_t rest = 0;

	if (!n)
		return;
	qsort(v, n, sizeof *v, compare_files);
	words_table_init(&table, 2, 5, 0xe);
	title(t, &table, names);
	for (size_t i = 0; i < shown; i++)
		file_cells(t, &table, v[i].f);
	words_table_put(&table, t->view->width, t->o);
	for (size_t i = shown; i < n; i++)
		rest += status_lag_bytes(v[i].f);
	if (shown < n)
		buf_printf(t->o, "  and %s more, %s behind together (--all shows them)\n", words_count(count, n - shown),
			   words_size(lag, (double)rest));
}

/* Files that no input has any more (SIZE_MAX) stand under the first, as in JSON. */
static void put_input(const struct out *t, size_t input, struct file_row *v)
{
	const struct status *s = t->s;
	char files[WORDS_MAX], lag[WORDS_MAX], name[400];
	int64_t behind = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->file_count; i++) {
		const struct status_file *f = &s->files[i];

		if (f->input != input && (f->input != SIZE_MAX || input))
			continue;
		behind += status_lag_bytes(f);
		v[n++] = (struct file_row){ f, i };
	}
	snprintf(name, sizeof name, "%.200s: %s %s, %s behind", s->conf->inputs[input].name, words_count(files, n),
		 n == 1 ? "file" : "files", words_size(lag, (double)behind));
	section(t, "input", name);
	put_files(t, v, n);
}

static void put_inputs(const struct out *t)
{
	struct file_row *v = mem_array(struct file_row, t->s->file_count + 1);

	for (size_t i = 0; v && i < t->s->conf->input_count; i++)
		put_input(t, i, v);
	mem_free(v);
}

void status_write_text(const struct status *s, const struct status_view *view, struct buf *out)
{
	const struct out t = { s, view, out };

	put_head(&t);
	put_spool(&t);
	put_rates(&t);
	put_records(&t);
	put_memory(&t);
	put_losses(&t);
	put_brokers(&t);
	put_lanes(&t);
	put_inputs(&t);
}

void status_write_positions(const struct status *s, struct buf *o)
{
	static const char *const names[] = { "STATE", "SIZE", "READ", "SAFE", "LAG", "LAG_S", "PATH" };
	struct words_table t;
	char text[WORDS_MAX];

	words_table_init(&t, 0, 7, 0x3e);
	for (size_t i = 0; i < 7; i++)
		words_cell(&t, "", names[i]);
	for (size_t i = 0; i < s->file_count; i++) {
		const struct status_file *f = &s->files[i];
		const int64_t numbers[] = { f->size, f->read, f->safe, status_lag_bytes(f) };

		words_cell(&t, "", f->state);
		for (size_t k = 0; k < 4; k++) {
			snprintf(text, sizeof text, "%" PRId64, numbers[k]);
			words_cell(&t, "", text);
		}
		snprintf(text, sizeof text, "%.1f", f->lag_s);
		words_cell(&t, "", text);
		words_cell(&t, "", f->path);
	}
	words_table_put(&t, 0, o);
}

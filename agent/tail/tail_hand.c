/* tail_hand.c - messages become records of lanes, or are dropped, set aside, or lost.
 *
 * Why a tray: a pattern may take long, and a lane's lock must not be held meanwhile, for the sender takes it too. So messages
 * are made records first, of which some are kept here, as copies, until they are handed over in one run.
 *
 * Invariants
 *  (1) bytes of dropped messages join the range of the record behind them. Those that have none behind them in this turn, or
 *      not at once, are finished by themselves, so no dropped message is ever only remembered here.
 *  (2) a refused message is in no batch's range: it has its own, finished with the record that is set aside.
 *  (3) nothing is finished before what was given earlier is taken: where a record finds no room, the file goes back to the
 *      first byte of what was not taken, and nothing behind it counts twice. So what waits to be finished stands behind all
 *      records in the tray.
 * Threads: tail.
 * Failure: a filter, an event time or an interceptor that fails is said once a minute, and the record goes on as it was before.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/record/refused.h"
#include "agent/record/tray.h"
#include "agent/tail/identity.h"
#include "agent/tail/tail_inside.h"

/* --- saying --- */

static void step_failed(void *arg, const char *text)
{
	struct tail *t = arg;
	uint64_t times = log_seldom(&t->step_failures, clock_mono_ms());

	if (times)
		log_warn("a filter, an event time or an interceptor failed, records go on as they were before it",
			 KS("error", text), KI("times", times));
}

/* --- what is handed over, and what is not --- */

static void note_given(struct hand *h, int64_t from, int64_t to)
{
	/* Without memory for it a message would be read twice: better to stop. */
	if (h->streams)
		ASSERT(skip_add(&h->given, &h->given_count, from, to) == 0);
}

static void not_taken(struct hand *h, int64_t from)
{
	if (from < h->back)
		h->back = from;
}

static int refuse(struct hand *h, int rc, struct dest *d)
{
	h->rc = rc;
	if (d)
		h->f->dest = d;
	if (h->dropped.filtered)
		not_taken(h, h->dropped.from);
	if (h->lost.bytes)
		not_taken(h, h->lost.from);
	h->dropped.filtered = 0;
	h->lost.bytes = 0;
	return rc;
}

static void note_records(struct hand *h, const struct lane_record *r, size_t taken, size_t n)
{
	for (size_t i = 0; i < taken && h->streams; i++)
		for (uint32_t k = 0; k <= r[i].parts; k++)
			note_given(h, tray_first_range(&r[i])[k].from, tray_first_range(&r[i])[k].to);
	for (size_t i = taken; i < n; i++)
		not_taken(h, tray_first_range(&r[i])->from);
}

/* --- what makes no record --- */

static struct spool_range as_finished(const struct source_range *s)
{
	return (struct spool_range){ .file_id = s->file_id, .from = s->from, .to = s->to, .marker = s->marker, .route = s->route };
}

static int put_aside(struct hand *h, const struct dest *d, const struct lane_record *record, const char *topic, const char *why,
		     const struct spool_range *ranges, uint32_t n)
{
	int64_t wall = clock_wall_ms();
	struct spool_rejected r = {
		.ms = wall, .topic = d ? lane_topic(d->lane) : topic ? topic : "", .partition = d ? lane_partition(d->lane) : -1,
		.message = why, .code = PRODUCER_ERR_SERIALIZATION, .timestamp = wall, .ranges = ranges, .range_count = n,
	};
	struct buf bytes;
	int rc;

	buf_init(&bytes, 1u << 30);
	rc = refused_bytes(record, h->t->loop.now_ms, wall, &bytes);
	r.bytes = bytes.data;
	r.size = bytes.len;
	if (rc == 0)
		rc = h->t->hooks->rejected(h->t->hooks->arg, &r);
	buf_release(&bytes);
	return rc;
}

/* Everything before it was taken or is finished. d NULL: it has no lane. */
static int set_aside(struct hand *h, const struct dest *d, const struct lane_record *record, const char *topic, const char *why)
{
	const struct source_range *s = tray_first_range(record);
	uint32_t n = record->parts + 1;
	struct spool_range *r = mem_array(struct spool_range, n);
	uint64_t times;
	int rc;

	if (!r)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < n; i++)
		r[i] = as_finished(&s[i]);
	r[n - 1].count = 1;
	r[n - 1].filtered = s[n - 1].filtered;
	rc = put_aside(h, d, record, topic, why, r, n);
	for (uint32_t i = 0; i < n && rc == 0; i++)
		note_given(h, r[i].from, r[i].to);
	mem_free(r);
	if (rc == 0 && (times = log_seldom(&h->t->refusals, clock_mono_ms())))
		log_error("lines that make no record are set aside; `spillway spool ls --rejected` shows them",
			  KS("path", h->f->path), KI("offset", s->from), KS("error", why), KI("times", times));
	return rc;
}

/* --- what is handed over --- */

/* Hands over what the lane takes of n records. Returns how many; *ret_rc: what it answered to the next one. */
static size_t append_run(struct hand *h, struct dest *d, const struct lane_record *r, size_t n, int *ret_rc)
{
	struct tail *t = h->t;
	size_t i = 0;

	t->hooks->run_begin(t->hooks->arg, d->lane, t->loop.now_ms, clock_wall_ms());
	while (i < n && (*ret_rc = lane_append(d->lane, &r[i])) == 0)
		i++;
	t->hooks->run_end(t->hooks->arg, d->lane, (uint32_t)i);
	return i;
}

static int append(struct hand *h, struct dest *d, const struct lane_record *r, size_t n)
{
	int rc = !d->dry ? 0 : d->held ? ERR_LANE_FULL : ERR_AGAIN;

	while (n && rc == 0) {
		size_t taken = append_run(h, d, r, n, &rc);

		note_records(h, r, taken, taken);
		r += taken;
		n -= taken;
		if (rc != ERR_TOO_LARGE)
			continue;
		/* What a record is larger than its line for can be anything: no line may stop its file for ever. */
		rc = set_aside(h, d, r, lane_topic(d->lane), "it fits no request (max.request.size, buffer.memory)");
		r += rc == 0;
		n -= rc == 0;
	}
	note_records(h, r, 0, n);
	return rc < 0 ? refuse(h, rc, d) : 0;
}

static int empty_tray(struct hand *h)
{
	struct tray *y = h->t->tray;

	if (!h->rc && y->count)
		append(h, y->dest, y->records, y->count);
	tray_clear(y);
	return h->rc;
}

static void finish(struct hand *h, const struct spool_range *r, size_t n)
{
	if (n == 1)
		h->t->hooks->finished(h->t->hooks->arg, r);
	else
		h->t->hooks->finished_all(h->t->hooks->arg, r, n);
	for (size_t i = 0; i < n; i++)
		note_given(h, r[i].from, r[i].to);
}

static void finish_lost(struct hand *h)
{
	struct spool_range r = { .file_id = h->f->id, .from = h->lost.from, .to = h->lost.to, .marker = h->lost_mark,
				 .route = h->route->row.id };

	if (!h->lost.bytes)
		return;
	h->t->hooks->lost(h->t->hooks->arg, &h->lost, &r);
	note_given(h, r.from, r.to);
	h->lost.bytes = 0;
}

/* After it nothing is only remembered here. */
static int settle(struct hand *h)
{
	if (empty_tray(h) < 0)
		return h->rc;
	if (h->dropped.filtered)
		finish(h, &h->dropped, 1);
	h->dropped.filtered = 0;
	finish_lost(h);
	return 0;
}

/* A large one is not worth a copy. */
static int hand_over(struct hand *h, struct dest *d, const struct lane_record *r)
{
	struct tray *y = h->t->tray;
	size_t bytes = tray_record_bytes(r);

	if ((y->dest != d || !tray_has_room(y, r, bytes)) && empty_tray(h) < 0) {
		not_taken(h, tray_first_range(r)->from);
		return h->rc;
	}
	y->dest = d;
	if (!tray_has_room(y, r, bytes))
		return append(h, d, r, 1);
	tray_put(y, r);
	return 0;
}

/* --- one message --- */

uint64_t hand_marker(const struct tail *t, const struct file *f, int64_t to)
{
	const struct window *w = &t->window;
	uint64_t mark;

	if (w->file_id == f->id && to - (int64_t)identity_lead(to) >= w->from && to <= w->from + (int64_t)w->len)
		return identity_marker(window_at(w, to), to);
	return identity_read_marker(f, to, &mark) < 0 ? 0 : mark;
}

static int set_spans(const struct hand *h, const struct message *m)
{
	struct tray *y = h->t->tray;

	if (tray_reserve_spans(y, m->span_count) < 0)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < m->span_count; i++)
		y->spans[i] = (struct source_range){
			.file_id = h->f->id, .from = m->spans[i].from, .to = m->spans[i].to, .route = h->route->row.id,
			.count = i == m->span_count - 1, .marker = hand_marker(h->t, h->f, m->spans[i].to),
		};
	return 0;
}

static int finish_apart(struct hand *h, uint32_t n)
{
	struct spool_range *r = mem_array(struct spool_range, n);

	if (!r)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < n; i++)
		r[i] = as_finished(&h->t->tray->spans[i]);
	r[n - 1].filtered = 1;
	finish(h, r, n);
	mem_free(r);
	return 0;
}

/* 0, or the error that it has to be tried again for. */
static int drop(struct hand *h, const struct message *m)
{
	const struct source_range *s = h->t->tray->spans;
	bool joins = m->span_count == 1 && h->dropped.filtered && h->dropped.to == s->from;

	if (!joins && settle(h) < 0)
		return h->rc;
	if (m->span_count > 1)
		return finish_apart(h, m->span_count);
	if (!joins)
		h->dropped = as_finished(s);
	h->dropped.to = s->to;
	h->dropped.marker = s->marker;
	h->dropped.filtered++;
	return 0;
}

static int reject(struct hand *h, const struct lane_record *record, const char *topic, const char *why)
{
	return settle(h) < 0 ? h->rc : set_aside(h, *h->route->row.topic ? h->f->dest : NULL, record, topic, why);
}

/* Where the record goes. NULL and 0: that is no topic. */
static int find_dest(struct hand *h, const char *topic, struct dest **ret)
{
	int rc = 0;

	*ret = h->f->dest;
	if (*h->route->row.topic)
		return 0;
	if (!h->dest || strcmp(topic, h->topic_text)) {
		rc = route_dest(h->t, h->f, h->route->recipe, topic, &h->dest);
		if (rc < 0)
			h->dest = NULL;
		else
			snprintf(h->topic_text, sizeof h->topic_text, "%s", topic);
	}
	*ret = h->dest;
	return rc == ERR_BAD_DATA ? 0 : rc;
}

/* What was dropped just before it is in its range. */
static void join_dropped(struct hand *h, struct source_range *s, uint32_t parts)
{
	if (parts || !h->dropped.filtered || h->dropped.to != s->from)
		return;
	s->from = h->dropped.from;
	s->filtered = h->dropped.filtered;
	h->dropped.filtered = 0;
}

static int take(struct hand *h, struct lane_record *r, const char *topic)
{
	struct source_range *s = h->t->tray->spans;
	struct dest *d;
	int rc = find_dest(h, topic, &d);

	if (rc < 0)
		return rc;
	if (!d)
		return reject(h, r, topic, "its topic is renamed to what is no topic's name");
	join_dropped(h, s, r->parts);
	/* What did not join is to be finished before: only what stands behind all that is in the tray may wait. */
	if ((h->dropped.filtered || h->lost.bytes) && settle(h) < 0)
		return h->rc;
	return hand_over(h, d, r);
}

static int make_record(struct hand *h, const struct message *m)
{
	const struct spool_route *route = &h->route->row;
	struct recipe_input in = { .path = h->f->origin, .offset = m->spans[0].from, .message = m };
	struct lane_record r = {
		.key = route->key_null ? NULL : route->key, .key_len = route->key_len, .value = m->value, .value_len = m->value_len,
		.timestamp = -1, .place = h->f->origin, .place_len = strlen(h->f->origin), .parts = m->span_count - 1,
	};
	const char *topic = NULL;
	struct err e = { 0 };
	int rc = set_spans(h, m);

	if (rc < 0)
		return rc;
	r.source = h->t->tray->spans + r.parts;
	rc = recipe_apply(h->route->recipe, h->t->room, route->topic, &in, &r, &topic, step_failed, h->t, &e);
	if (rc == 0)
		return take(h, &r, topic);
	if (rc == ERR_BAD_DATA)
		return reject(h, &r, topic, e.text);
	return rc == 1 ? drop(h, m) : rc;
}

/* The rest of a line that was cut, or a line that is skipped: bytes that nobody gets. A line of which nothing becomes a record
 * counts as one that was dropped. */
static void lose(struct hand *h, const struct message *m)
{
	const struct conf_input *in = h->t->inputs[h->f->input].conf;
	const struct dest *d = h->f->dest;
	bool begins = m->value || !(h->inside || m->lost_more), joins = h->lost.bytes && h->lost.to == m->lost.from;

	if (h->lost.bytes && !joins && settle(h) < 0) {
		not_taken(h, m->lost.from);
		return;
	}
	if (!joins)
		h->lost = (struct spool_loss){
			.ms = clock_wall_ms(), .reason = SPOOL_LOSS_LONG_LINE, .topic = d ? lane_topic(d->lane) : "",
			.partition = d ? lane_partition(d->lane) : -1, .file_id = h->f->id, .path = h->f->path,
			.from = m->lost.from,
		};
	h->lost.to = m->lost.to;
	h->lost.bytes = (uint64_t)(h->lost.to - h->lost.from);
	h->lost.records += begins && !m->value && in->long_lines == CONF_LONG_SKIP;
	h->lost_mark = hand_marker(h->t, h->f, m->lost.to);
	if (begins && !h->pieces++)
		h->first_piece = m->lost.from;
}

int hand_refused(struct hand *h, int rc)
{
	/* What is in the tray was given before. */
	empty_tray(h);
	return h->rc ? h->rc : refuse(h, rc, NULL);
}

int hand_message(struct hand *h, const struct message *m)
{
	int64_t from = m->value ? m->spans[0].from : m->lost.from;
	int rc;

	if (h->rc) {
		not_taken(h, from);
		return h->rc;
	}
	if (m->value) {
		if (m->piece && !h->pieces++)
			h->first_piece = from;
		rc = make_record(h, m);
		if (rc < 0) {
			hand_refused(h, rc);
			not_taken(h, from);
		}
	}
	if (m->lost.from < m->lost.to && !h->rc)
		lose(h, m);
	return h->rc;
}

void hand_begin(struct hand *h, struct tail *t, struct file *f)
{
	*h = (struct hand){ .t = t, .f = f, .route = f->route, .back = INT64_MAX };
	if (!*f->route->row.topic)
		f->dest = NULL;		/* it waits for that of its next record only */
}

int hand_end(struct hand *h)
{
	return settle(h);
}

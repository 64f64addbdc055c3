/* intake_take.c - a message becomes a record of its lane, and its range; what makes none is finished, set aside or lost.
 *
 * Invariants
 *  (1) `read` moves over what a batch has, a filter took, was set aside or is in the losses: nothing is passed in silence.
 *  (2) where a recipe runs no lane's lock is held: a pattern may take long, and the sender takes it too. Messages that are
 *      their records share one run as long as they go to the same lane.
 * Threads: intake.
 */
#include <stdatomic.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/intake/intake_inside.h"
#include "agent/record/refused.h"
#include "conf/template.h"

static void step_failed(void *arg, const char *text)
{
	struct intake *i = arg;
	uint64_t times = log_seldom(&i->failures, clock_mono_ms());

	if (times)
		log_warn("a filter, an event time or an interceptor failed, records go on as they were before it",
			 KS("error", text), KI("times", times));
}

/* --- lanes --- */

static int lane_new(struct intake_input *in, const char *topic, struct lane **ret)
{
	struct intake *i = in->owner;

	if ((int64_t)i->lane_count >= i->conf.conf->max_lanes)
		return ERR_LANES;
	*ret = producer_lane(i->conf.producer, topic, in->conf->partition);
	if (!*ret || map_put(&in->lanes, topic, strlen(topic), *ret) < 0)
		return ERR_NOMEM;
	i->lane_count++;
	if (!in->kind->keeps)
		lane_has_streams(*ret);
	return 0;
}

/* ERR_BAD_DATA: an interceptor has made something of the topic that is none. */
static int lane_of(struct intake_input *in, const char *topic, struct lane **ret)
{
	const char *to = recipe_topic(in->recipe, topic);

	*ret = map_get(&in->lanes, to, strlen(to));
	if (*ret)
		return 0;
	return template_topic_legal(to) ? lane_new(in, to, ret) : ERR_BAD_DATA;
}

static void run_end(struct intake *i)
{
	if (i->run)
		i->hooks->run_end(i->hooks->arg, i->run, i->run_count);
	i->run = NULL;
	i->run_count = 0;
}

static int append(struct intake_input *in, struct lane *l, const struct lane_record *record)
{
	struct intake *i = in->owner;
	int rc;

	if (i->run != l) {
		run_end(i);
		i->hooks->run_begin(i->hooks->arg, l, clock_mono_ms(), clock_wall_ms());
		i->run = l;
	}
	rc = lane_append(l, record);
	i->run_count += rc == 0;
	return rc;
}

/* --- what makes no record --- */

static void finish(struct intake_input *in, int64_t to)
{
	struct spool_range r = { .file_id = in->row.id, .from = in->from, .to = to, .marker = in->marker, .route = in->route,
				 .filtered = in->filtered };

	if (in->from < to)
		in->owner->hooks->finished(in->owner->hooks->arg, &r);
	in->from = to;
	in->filtered = 0;
}

void intake_turn_end(struct intake_input *in)
{
	run_end(in->owner);
	finish(in, atomic_load(&in->read));
}

void intake_lost(struct intake_input *in, const char *reason, uint64_t records, uint64_t n)
{
	int64_t at = atomic_load(&in->read);
	struct spool_loss l = { .ms = clock_wall_ms(), .reason = reason, .topic = in->topic ? in->topic : "",
				.partition = in->conf->partition, .file_id = in->row.id, .path = in->shown, .from = at,
				.to = at + (int64_t)n, .records = records, .bytes = n };

	in->owner->hooks->loss(in->owner->hooks->arg, &l);
	atomic_store(&in->read, l.to);
}

static int reject(struct intake_input *in, const struct lane_record *record, const struct source_range *s, const char *topic,
		  const char *why)
{
	struct intake *i = in->owner;
	struct spool_range range = { .file_id = s->file_id, .from = atomic_load(&in->read), .to = s->to, .marker = s->marker,
				     .count = 1, .route = s->route };
	struct spool_rejected r = { .ms = clock_wall_ms(), .topic = topic && *topic ? topic : "", .partition = in->conf->partition,
				    .message = why, .code = PRODUCER_ERR_SERIALIZATION, .ranges = &range, .range_count = 1 };
	struct buf bytes;
	uint64_t times;
	int rc;

	run_end(i);
	r.timestamp = r.ms;
	buf_init(&bytes, 1u << 30);
	rc = refused_bytes(record, clock_mono_ms(), r.ms, &bytes);
	r.bytes = bytes.data;
	r.size = bytes.len;
	if (rc == 0) {
		finish(in, range.from);
		rc = i->hooks->rejected(i->hooks->arg, &r);
	}
	buf_release(&bytes);
	if (rc == 0 && (times = log_seldom(&i->refusals, clock_mono_ms())))
		log_error("messages that make no record are set aside; `spillway spool ls --rejected` shows them",
			  KS("input", in->conf->name), KS("error", why), KI("times", times));
	return rc;
}

/* --- messages --- */

int intake_record(const struct recipe *r, struct recipe_room *room, const struct intake_message *m, const char **topic,
		  struct lane_record *record, intercept_failed_fn *failed, void *arg, struct err *ret_err)
{
	struct message meta = { .value = m->value, .value_len = m->len, .has_time = m->has_time, .time_ns = m->time_ns,
				.stream = m->stream };
	struct recipe_input from = { .offset = -1, .message = &meta, .fields = m->fields };

	record->value = m->value;
	record->value_len = m->len;
	return r ? recipe_apply(r, room, *topic, &from, record, topic, failed, arg, ret_err) : 0;
}

/* 0; 1: filtered; or why not now. */
static int hand_over(struct intake_input *in, const struct intake_message *m, struct lane_record *record)
{
	struct intake *i = in->owner;
	const char *topic = in->topic ? in->topic : "";
	struct lane *lane;
	struct err e = { 0 };
	int rc;

	if (in->recipe)
		run_end(i);
	rc = intake_record(in->recipe, i->room, m, &topic, record, step_failed, i, &e);
	if (rc == 0 && (rc = lane_of(in, topic, &lane)) == ERR_BAD_DATA)
		err_set(&e, rc, "\"%.100s\" is no legal topic", recipe_topic(in->recipe, topic));
	if (rc == 0 && (rc = append(in, lane, record)) == ERR_TOO_LARGE)
		err_set(&e, rc, "it fits no request (max.request.size, buffer.memory)");
	if (rc == 0 && in->recipe)
		run_end(i);
	if (rc == ERR_BAD_DATA || rc == ERR_TOO_LARGE || rc == ERR_PARTITION)
		rc = reject(in, record, record->source, topic, e.text);
	return rc;
}

int intake_take(struct intake_input *in, const struct intake_message *m)
{
	struct source_range s = { .file_id = in->row.id, .from = in->from, .to = atomic_load(&in->read) + (int64_t)m->span,
				  .marker = in->marker, .count = 1, .route = in->route, .filtered = in->filtered };
	struct lane_record record = { .key = in->key.len ? in->key.data : NULL, .key_len = in->key.len, .timestamp = -1,
				      .place = in->row.path, .place_len = strlen(in->row.path), .source = &s };
	int rc = hand_over(in, m, &record);

	if (rc < 0) {
		run_end(in->owner);
		intake_dry(in, rc);
		return rc;
	}
	atomic_store(&in->read, s.to);
	if (rc == 1) {
		in->filtered++;
	} else {
		in->from = s.to;
		in->filtered = 0;
	}
	return 0;
}

/* --- frames --- */

static int take_piece(struct intake_input *in, const struct frame_rules *r, const struct frame_piece *piece)
{
	if (r->syslog)
		return intake_take_syslog(in, piece->value, piece->value_len, piece->span);
	return intake_take(in, &(struct intake_message){ .value = piece->value, .len = piece->value_len, .span = piece->span });
}

/* What a long message has lost, when it is over. */
static void enter_long(struct intake_input *in, struct intake_frames *s, const struct frame_rules *r)
{
	if (s->lost)
		intake_lost(in, SPOOL_LOSS_LONG_LINE, r->how == CONF_LONG_SKIP, s->lost);
	s->lost = 0;
}

size_t intake_frames(struct intake_input *in, struct intake_frames *s, const struct frame_rules *r, const uint8_t *p, size_t n,
		     bool final)
{
	struct frame_piece piece;
	size_t used = 0;

	for (;;) {
		struct frame before = s->f;

		if (!frame_next(&s->f, r, p + used, n - used, final, &piece))
			break;
		if (piece.value && take_piece(in, r, &piece) < 0) {
			s->f = before;
			break;
		}
		used += piece.span;
		if (!piece.value && !piece.lost)
			atomic_fetch_add(&in->read, (int64_t)piece.span);
		s->lost += piece.lost;
		if (s->f.in == FRAME_START)
			enter_long(in, s, r);
	}
	if (final && used == n)
		enter_long(in, s, r);
	return used;
}

/* tail_rebuild.c - an absent batch out of its source ranges: the same lines, laid out in the same way.
 *
 * Why it gives the same bytes: ranges begin and end where records do, the splitting rules depend on nothing but bytes
 * (line.c), key, max_line and recipe come from the route that the ranges name, time is the batch's own. Count and CRC of the
 * record section prove it; where they do not fit, the file no longer holds these lines.
 *
 * The batch is built beside the absent one, which stays as it is when something fails.
 *
 * Of a batch that cannot be built again a survey tells what is left. Its checksum proves nothing then, for what it was made of
 * is not all there; so a range is believed when it makes as many records as it did and the bytes before its end hash to its
 * marker. If all of them are believed and the checksum does not fit, nobody knows which of them are wrong: none is.
 * Threads: tail; after its end the caller's, then nothing else changes the files.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/identity.h"
#include "agent/line.h"
#include "agent/tail_inside.h"

struct rebuilding {
	struct tail *t;
	struct batch *b;		/* being built */
	struct budget *m;
	int64_t now_ms;
	struct window window;
	size_t max_line;		/* the window's */
	const struct recipe *recipe;	/* of the range's route */
	bool prove;			/* each range by its marker */
};

static int fit_window(struct rebuilding *r, size_t max_line)
{
	size_t need = line_need(max_line) > WINDOW_BYTES ? line_need(max_line) : WINDOW_BYTES;

	if (r->window.mem && r->max_line >= max_line)
		return 0;
	window_close(&r->window);
	r->max_line = max_line;
	return window_open(&r->window, need);
}

/* It was said when the line was read. */
static void step_failed(void *arg, const char *text)
{
	(void)arg, (void)text;
}

static int lay_line(struct rebuilding *r, const struct spool_route *route, const struct line *ln)
{
	struct lane_record record = { .key = route->key_null ? NULL : route->key, .key_len = route->key_len,
				      .value = ln->value, .value_len = ln->value_len };
	struct recipe_input in = { .offset = -1 };
	const char *topic;
	int rc = 0;

	if (r->recipe)
		rc = recipe_apply(r->recipe, r->t->room, route->topic, &in, &record, &topic, step_failed, NULL, NULL);
	if (rc)
		return rc;
	return batch_append(r->b, r->m, BUDGET_REFILL, r->now_ms, record.key, record.key_len, record.value, record.value_len,
			    record.headers, record.header_count, -1);
}

/* Lays out what is complete in n bytes at p. Returns bytes used up, or the error. */
static int64_t lay_lines(struct rebuilding *r, const struct spool_route *route, const uint8_t *p, size_t n, bool final)
{
	size_t used = 0;
	struct line ln;
	int rc;

	while (line_next(p + used, n - used, (size_t)route->max_line, final, &ln)) {
		rc = lay_line(r, route, &ln);
		if (rc < 0)
			return rc;
		used += ln.span;
	}
	return (int64_t)used;
}

static bool ends_as_it_did(const struct source_range *s, const struct file *f)
{
	uint64_t h;

	return identity_read_marker(f, s->to, &h) == 0 && (!s->marker || h == s->marker);
}

static int lay_from(struct rebuilding *r, const struct source_range *s, const struct file *f)
{
	const struct spool_route *route = route_by_id(r->t, s->route);
	int64_t at = s->from, n;
	int rc;

	if (!route || f->fd < 0 || s->from < 0 || s->to < s->from)
		return ERR_BAD_DATA;
	rc = recipe_of(r->t, route->spec, &r->recipe);
	if (rc == 0)
		rc = fit_window(r, (size_t)route->max_line);
	while (rc == 0 && at < s->to) {
		size_t want = s->to - at < (int64_t)(r->window.cap - IDENTITY_TAIL) ? (size_t)(s->to - at) :
			      r->window.cap - IDENTITY_TAIL;

		rc = window_read(&r->window, f, at, want, 0);
		if (rc < 0)
			return rc;
		n = (int64_t)window_len(&r->window, at);
		if (n < (int64_t)want)
			return ERR_BAD_DATA;	/* shorter than it was */
		n = lay_lines(r, route, window_at(&r->window, at), want, at + n >= s->to);
		r->window.file_id = 0;
		if (n <= 0)
			return n < 0 ? (int)n : ERR_BAD_DATA;
		at += n;
	}
	return rc == 0 && r->prove && !ends_as_it_did(s, f) ? ERR_BAD_DATA : rc;
}

static int lay_record(void *arg, const struct lane_record *record)
{
	struct rebuilding *r = arg;

	return batch_append(r->b, r->m, BUDGET_REFILL, r->now_ms, record->key, record->key_len, record->value,
			    record->value_len, record->headers, record->header_count, -1);
}

static int lay_range(struct rebuilding *r, const struct source_range *s)
{
	const struct tail_conf *c = &r->t->conf;
	struct file *f = files_by_id(r->t, s->file_id);
	struct file other;
	int rc = f || !c->reread ? ERR_NOT_FOUND :
		 c->reread(c->reread_arg, s, lay_record, r);

	if (rc != ERR_NOT_FOUND)
		return rc;
	if (!f)
		f = known_heir(r->t, s->file_id);	/* the checksum will tell */
	if (f && ((f->remote && !gates_pass_soon(r->t, f->path)) || (f->parked && !fds_wake(r->t, f))))
		return ERR_UNAVAILABLE;
	if (f)
		return lay_from(r, s, f);
	rc = known_open(r->t, s->file_id, &other);
	if (rc < 0)
		return rc;
	rc = lay_from(r, s, &other);
	file_close(&other);
	r->window.file_id = 0;
	return rc;
}

static void take_bytes(struct batch *to, struct batch *from)
{
	to->chunks = from->chunks;
	to->last = from->last;
	to->bytes = from->bytes;
	to->raw_bytes = from->bytes;
	to->payload_crc = from->payload_crc;
	to->planned_codec = to->codec;
	to->codec = CODEC_NONE;
	from->chunks = from->last = NULL;
	from->bytes = 0;
}

int rebuild(struct tail *t, struct batch *b)
{
	struct rebuilding r = { .t = t, .m = producer_budget(t->conf.producer), .now_ms = clock_mono_ms() };
	int rc = 0;

	r.b = batch_new(r.now_ms, b->base_timestamp);
	if (!r.b)
		return ERR_AGAIN;
	for (uint32_t i = 0; i < b->range_count && rc == 0; i++)
		rc = lay_range(&r, &b->ranges[i]);
	if (rc == 0) {
		batch_seal_crc(r.b);
		if (r.b->count != b->count || r.b->raw_crc != b->raw_crc)
			rc = ERR_BAD_DATA;
	}
	if (rc == 0)
		take_bytes(b, r.b);
	batch_free(r.b, r.m);
	window_close(&r.window);
	if (rc == ERR_NOMEM)
		rc = ERR_AGAIN;
	return rc;
}

/* --- what is left of one that cannot be built again --- */

/* Out of b's ranges from..to into a batch beside it. */
static int lay_some(struct rebuilding *r, const struct batch *b, uint32_t from, uint32_t to)
{
	int rc = 0;

	r->b = batch_new(r->now_ms, b->base_timestamp);
	if (!r->b)
		return ERR_AGAIN;
	for (uint32_t i = from; i < to && rc == 0; i++)
		rc = lay_range(r, &b->ranges[i]);
	return rc;
}

static void let_go(struct rebuilding *r)
{
	batch_free(r->b, r->m);
	r->b = NULL;
}

/* 0; ERR_BAD_DATA: it is not there any more; others: it cannot be told now. */
static int look_for(struct rebuilding *r, const struct batch *b, uint32_t i)
{
	int rc = lay_some(r, b, i, i + 1);

	if (rc == 0 && r->b->count != (int32_t)b->ranges[i].count)
		rc = ERR_BAD_DATA;
	let_go(r);
	return rc;
}

/* To the end of b's ranges goes what `lost` says; order stays. */
static void part_ranges(struct batch *b, const struct source_range *was, const bool *lost)
{
	uint32_t n = b->range_count, left = 0, at;

	for (uint32_t i = 0; i < n; i++)
		left += !lost[i];
	at = left;
	left = 0;
	for (uint32_t i = 0; i < n; i++)
		b->ranges[lost[i] ? at++ : left++] = was[i];
	b->range_count = left;
	b->lost_ranges += n - left;
}

/* The checksum of what is left, which a later building must give again. */
static int seal_rest(struct rebuilding *r, struct batch *b, const struct source_range *was, const bool *lost, uint32_t n_lost)
{
	uint32_t n = b->range_count;
	int rc;

	part_ranges(b, was, lost);
	rc = lay_some(r, b, 0, b->range_count);
	if (rc == 0) {
		batch_seal_crc(r->b);
		if (!n_lost && r->b->raw_crc != b->raw_crc)
			rc = ERR_BAD_DATA;
	}
	if (rc == 0) {
		b->raw_crc = r->b->raw_crc;
		b->raw_bytes = r->b->bytes;
	} else {
		/* As if it had not been looked at. */
		memcpy(b->ranges, was, n * sizeof *was);
		b->range_count = n;
		b->lost_ranges -= n_lost;
	}
	let_go(r);
	return rc == ERR_BAD_DATA && n_lost ? ERR_AGAIN : rc;	/* it changes while it is looked at */
}

static int survey(struct tail *t, struct batch *b)
{
	struct rebuilding r = { .t = t, .m = producer_budget(t->conf.producer), .now_ms = clock_mono_ms(), .prove = true };
	struct source_range *was = mem_array(struct source_range, b->range_count);
	bool *lost = mem_array(bool, b->range_count);
	uint32_t n_lost = 0;
	int rc = was && lost ? 0 : ERR_AGAIN;

	for (uint32_t i = 0; i < b->range_count && rc == 0; i++) {
		rc = look_for(&r, b, i);
		was[i] = b->ranges[i];
		lost[i] = rc == ERR_BAD_DATA;
		n_lost += lost[i];
		rc = lost[i] ? 0 : rc;
	}
	if (rc == 0 && n_lost == b->range_count)
		rc = ERR_BAD_DATA;
	if (rc == 0)
		rc = seal_rest(&r, b, was, lost, n_lost);
	window_close(&r.window);
	mem_free(was);
	mem_free(lost);
	return rc == ERR_NOMEM ? ERR_AGAIN : rc;
}

void rebuild_batch(struct tail *t, struct batch *b)
{
	int rc = b->gone ? survey(t, b) : rebuild(t, b);

	/* Only what is known to be wrong is given up; what cannot be read now may be read later. */
	if (rc == ERR_BAD_DATA && !b->gone)
		log_warn("a batch cannot be built again, its files no longer hold all of its lines", KS("topic", b->topic),
			 KI("records", b->count), KI("ranges", b->range_count), KE(rc));
	producer_loaded(t->conf.producer, b, rc);
}

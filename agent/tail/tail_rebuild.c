/* tail_rebuild.c - an absent batch out of its source ranges: the same lines, laid out in the same way.
 *
 * Why it gives the same bytes: ranges begin and end where records do, the splitting rules depend on nothing but bytes
 * (line.c, assemble.h), key, max_line and recipe come from the route that the ranges name, time is the batch's own. Count and CRC
 * of the record section prove it; where they do not fit, the file no longer holds these lines.
 *
 * A piece (batch.h) is one stretch for the assembly: its parts are fed one after the other, and where it ends everything that is
 * open ends, as it did.
 *
 * The batch is built beside the absent one, which stays as it is when something fails.
 *
 * Of a batch that cannot be built again a survey tells what is left. Its checksum proves nothing then, for what it was made of
 * is not all there; so a range is believed when it makes as many records as it did and the bytes before its end hash to its
 * marker. If all of them are believed and the checksum does not fit, nobody knows which of them are wrong: none is.
 * Threads: tail; after its end the caller's, then nothing else changes the files.
 */
#include <string.h>
#include <unistd.h>

#include "agent/record/assemble.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/tail/identity.h"
#include "agent/record/line.h"
#include "agent/tail/tail_inside.h"

struct rebuilding {
	struct tail *t;
	struct batch *b;		/* being built */
	struct budget *m;
	int64_t now_ms;
	struct window window;
	size_t max_line;		/* the window's */
	const struct recipe *recipe;	/* of the range's route */
	struct assembly *assembly;	/* from the first messages on */
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

static int lay_message(struct rebuilding *r, const struct spool_route *route, const struct file *f, const struct message *m)
{
	struct lane_record record = { .key = route->key_null ? NULL : route->key, .key_len = route->key_len,
				      .value = m->value, .value_len = m->value_len, .timestamp = -1 };
	struct recipe_input in = { .path = f->origin, .offset = m->spans[0].from, .message = m };
	const char *topic;
	struct err e;
	int rc = 0;

	if (r->recipe)
		rc = recipe_apply(r->recipe, r->t->room, route->topic, &in, &record, &topic, step_failed, NULL, &e);
	if (rc)
		return rc;
	return batch_append(r->b, r->m, BUDGET_REFILL, r->now_ms, record.key, record.key_len, record.value, record.value_len,
			    record.headers, record.header_count, record.timestamp);
}

/* Lays out what is complete in n bytes at p, which stand at `at`. Returns bytes used up, or the error. */
static int64_t lay_lines(struct rebuilding *r, const struct spool_route *route, const struct file *f, const uint8_t *p, size_t n,
			 int64_t at, bool final)
{
	struct message m = { .span_count = 1, .lines = 1 };
	struct message_span span;
	size_t used = 0;
	struct line ln;
	int rc;

	m.spans = &span;
	while (line_next(p + used, n - used, (size_t)route->max_line, final, &ln)) {
		m.value = ln.value;
		m.value_len = ln.value_len;
		m.piece = ln.piece;
		span = (struct message_span){ at + (int64_t)used, at + (int64_t)(used + ln.span) };
		rc = lay_message(r, route, f, &m);
		if (rc < 0)
			return rc;
		used += ln.span;
	}
	return (int64_t)used;
}

/* What is complete in the assembly. Lost bytes are in nobody's range. */
static int lay_messages(struct rebuilding *r, const struct spool_route *route, const struct file *f)
{
	struct message m;
	int rc;

	while ((rc = assembly_next(r->assembly, &m)) > 0) {
		rc = m.value ? lay_message(r, route, f, &m) : 0;
		if (rc < 0)
			break;
	}
	return rc;
}

static int64_t feed(struct rebuilding *r, const struct spool_route *route, const struct file *f, const uint8_t *p, size_t n,
		    bool final)
{
	int rc;

	assembly_feed(r->assembly, p, n, final);
	rc = lay_messages(r, route, f);
	return rc < 0 ? rc : (int64_t)n;
}

static bool ends_as_it_did(const struct source_range *s, const struct file *f)
{
	uint64_t h;

	return identity_read_marker(f, s->to, &h) == 0 && (!s->marker || h == s->marker);
}

static int lay_range(struct rebuilding *r, const struct spool_route *route, const struct source_range *s, const struct file *f)
{
	bool messages = r->recipe && recipe_rules(r->recipe);
	int64_t at = s->from, n;
	int rc = 0;

	while (rc == 0 && at < s->to) {
		size_t want = s->to - at < (int64_t)(r->window.cap - IDENTITY_TAIL) ? (size_t)(s->to - at) :
			      r->window.cap - IDENTITY_TAIL;

		rc = window_read(&r->window, f, at, want, 0);
		if (rc < 0)
			return rc;
		if (window_len(&r->window, at) < want)
			return ERR_BAD_DATA;	/* shorter than it was */
		n = messages ? feed(r, route, f, window_at(&r->window, at), want, at + (int64_t)want >= s->to) :
		    lay_lines(r, route, f, window_at(&r->window, at), want, at, at + (int64_t)want >= s->to);
		r->window.file_id = 0;
		if (n <= 0)
			return n < 0 ? (int)n : ERR_BAD_DATA;
		at += n;
	}
	return rc == 0 && r->prove && !ends_as_it_did(s, f) ? ERR_BAD_DATA : rc;
}

/* One route, and n ranges of one file in order. */
static bool is_piece(const struct source_range *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (s[i].from < 0 || s[i].to < s[i].from || s[i].file_id != s[0].file_id || s[i].route != s[0].route)
			return false;
		if (i && s[i].from < s[i - 1].to)
			return false;
	}
	return s[n - 1].count > 0;
}

static int lay_ranges(struct rebuilding *r, const struct spool_route *route, const struct source_range *s, uint32_t n,
		      const struct file *f)
{
	const struct assemble_rules *rules = r->recipe ? recipe_rules(r->recipe) : NULL;
	int rc = 0;

	if (rules && !r->assembly && !(r->assembly = assembly_new()))
		return ERR_NOMEM;
	if (rules)
		assembly_begin(r->assembly, rules, s[0].from, false);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (i && rules)
			assembly_jump(r->assembly, s[i].from, false);
		rc = lay_range(r, route, &s[i], f);
	}
	if (rc < 0 || !rules)
		return rc;
	assembly_end(r->assembly);
	return lay_messages(r, route, f);
}

static int lay_from(struct rebuilding *r, const struct source_range *s, uint32_t n, const struct file *f)
{
	const struct spool_route *route = route_by_id(r->t, s->route);
	int rc;

	if (!route || f->fd < 0 || !is_piece(s, n))
		return ERR_BAD_DATA;
	rc = recipe_of(r->t, route->spec, &r->recipe);
	if (rc == 0)
		rc = fit_window(r, (size_t)route->max_line);
	return rc == 0 ? lay_ranges(r, route, s, n, f) : rc;
}

static int lay_record(void *arg, const struct lane_record *record)
{
	struct rebuilding *r = arg;

	return batch_append(r->b, r->m, BUDGET_REFILL, r->now_ms, record->key, record->key_len, record->value,
			    record->value_len, record->headers, record->header_count, -1);
}

static int lay_piece(struct rebuilding *r, const struct source_range *s, uint32_t n)
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
		return lay_from(r, s, n, f);
	rc = known_open(r->t, s->file_id, &other);
	if (rc < 0)
		return rc;
	rc = lay_from(r, s, n, &other);
	file_close(&other);
	r->window.file_id = 0;
	return rc;
}

static int lay_all(struct rebuilding *r, const struct source_range *s, uint32_t n)
{
	uint32_t piece;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc == 0; i += piece) {
		int32_t before = r->b->count;

		piece = batch_piece(s, i, n);
		rc = lay_piece(r, s + i, piece);
		if (rc == 0 && (uint32_t)(r->b->count - before) != s[i + piece - 1].count)
			rc = ERR_BAD_DATA;
	}
	return rc;
}

static void end_rebuilding(struct rebuilding *r)
{
	batch_free(r->b, r->m);
	assembly_free(r->assembly);
	window_close(&r->window);
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
	rc = lay_all(&r, b->ranges, b->range_count);
	if (rc == 0) {
		batch_seal_crc(r.b);
		if (r.b->count != b->count || r.b->raw_crc != b->raw_crc)
			rc = ERR_BAD_DATA;
	}
	if (rc == 0)
		take_bytes(b, r.b);
	end_rebuilding(&r);
	if (rc == ERR_NOMEM)
		rc = ERR_AGAIN;
	return rc;
}

/* --- what is left of one that cannot be built again --- */

/* n of b's ranges into a batch beside it. */
static int lay_some(struct rebuilding *r, const struct batch *b, const struct source_range *s, uint32_t n)
{
	r->b = batch_new(r->now_ms, b->base_timestamp);
	return r->b ? lay_all(r, s, n) : ERR_AGAIN;
}

static void let_go(struct rebuilding *r)
{
	batch_free(r->b, r->m);
	r->b = NULL;
}

/* 0; ERR_BAD_DATA: it is not there any more; others: it cannot be told now. */
static int look_for(struct rebuilding *r, const struct batch *b, uint32_t i, uint32_t piece)
{
	int rc = lay_some(r, b, b->ranges + i, piece);

	let_go(r);
	return rc;
}

/* The checksum of what is left, which a later building must give again. */
static int seal_rest(struct rebuilding *r, struct batch *b, const struct source_range *was, const bool *lost, uint32_t n_lost)
{
	uint32_t n = b->range_count;
	int rc;

	batch_part_ranges(b, was, lost);
	rc = lay_some(r, b, b->ranges, b->range_count);
	if (rc == 0) {
		batch_seal_crc(r->b);
		if (!n_lost && r->b->raw_crc != b->raw_crc)
			rc = ERR_BAD_DATA;
	}
	if (rc == 0) {
		b->raw_crc = r->b->raw_crc;
		b->raw_bytes = r->b->bytes;
		if (b->keep_rest)
			take_bytes(b, r->b);
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

	for (uint32_t i = 0, piece; i < b->range_count && rc == 0; i += piece) {
		piece = batch_piece(b->ranges, i, b->range_count);
		rc = look_for(&r, b, i, piece);
		for (uint32_t k = i; k < i + piece; k++) {
			was[k] = b->ranges[k];
			lost[k] = rc == ERR_BAD_DATA;
			n_lost += lost[k];
		}
		rc = lost[i] ? 0 : rc;
	}
	if (rc == 0 && n_lost == b->range_count)
		rc = ERR_BAD_DATA;
	if (rc == 0)
		rc = seal_rest(&r, b, was, lost, n_lost);
	end_rebuilding(&r);
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

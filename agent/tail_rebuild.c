/* tail_rebuild.c - an absent batch out of its source ranges: the same lines, laid out in the same way.
 *
 * Why it gives the same bytes: ranges begin and end where records do, the splitting rules depend on nothing but bytes
 * (line.c), key, max_line and recipe come from the route that the ranges name, time is the batch's own. Count and CRC of the
 * record section prove it; where they do not fit, the file no longer holds these lines.
 *
 * The batch is built beside the absent one, which stays as it is when something fails.
 * Threads: tail; after its end the caller's, then nothing else changes the files.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
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
	int rc = 0;

	if (r->recipe)
		rc = recipe_apply(r->recipe, r->t->room, route->topic, &record, step_failed, NULL, NULL);
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
	return rc;
}

static int lay_range(struct rebuilding *r, const struct source_range *s)
{
	const struct file *f = files_by_id(r->t, s->file_id);
	struct file other;
	int rc;

	if (!f)
		f = known_heir(r->t, s->file_id);	/* the checksum will tell */
	if (f)
		return lay_from(r, s, f);
	rc = known_open(r->t, s->file_id, &other);
	if (rc < 0)
		return rc;
	rc = lay_from(r, s, &other);
	close(other.fd);
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

void rebuild_batch(struct tail *t, struct batch *b)
{
	int rc = rebuild(t, b);

	/* Only what is known to be wrong is given up; what cannot be read now may be read later. */
	if (rc == ERR_BAD_DATA)
		log_warn("a batch cannot be built again, its files no longer hold these lines", KS("topic", b->topic),
			 KI("records", b->count), KI("ranges", b->range_count), KE(rc));
	producer_loaded(t->conf.producer, b, rc);
}

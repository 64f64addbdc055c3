/* tail_recipe.c - lines that interceptors or a serializer change, drop or refuse on their way into records.
 *
 * Why apart from tail_read.c: a pattern may take long, and a lane's lock must not be held meanwhile, for the sender takes it
 * too. So each line is made a record first, and each record is a run of its own. Lines without a recipe pay for none of it.
 *
 * Invariants
 *  (1) bytes of dropped lines join the range of the record behind them. Those that have none behind them in this piece are
 *      finished at once, so no dropped line is ever only remembered here.
 *  (2) a refused line is in no batch's range: it has one of its own, finished with the record that is set aside.
 * Threads: tail; recipe_of also whoever rebuilds after the thread's end.
 * Failure an interceptor that fails is said once a minute, and the record goes on as it was before it.
 */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/identity.h"
#include "agent/line.h"
#include "agent/tail_inside.h"

#define PIECE_NS 2000000		/* then events and other files have their turn */
#define SAY_MS 60000

struct piece {
	struct tail *t;
	struct file *f;
	struct lane_record record;
	struct source_range s;		/* from: behind the last record; filtered: lines dropped since */
	int64_t  at;			/* the next line */
	uint64_t dropped_mark;		/* of `at`, behind a dropped line */
};

/* --- recipes --- */

static int make(struct tail *t, const char *spec, struct recipe **ret, struct err *ret_err)
{
	int rc = recipe_new(spec, ret, ret_err);

	if (rc == 0 && !t->room && !(t->room = recipe_room_new()))
		rc = ERR_NOMEM;
	if (rc == 0)
		rc = map_put(&t->recipes, spec, strlen(spec), *ret);
	if (rc < 0)
		recipe_free(*ret);
	return rc;
}

int recipe_of(struct tail *t, const char *spec, const struct recipe **ret)
{
	struct recipe *made;
	struct err e;
	int rc;

	*ret = spec && *spec ? map_get(&t->recipes, spec, strlen(spec)) : NULL;
	if (*ret || !spec || !*spec)
		return 0;
	rc = make(t, spec, &made, &e);
	if (rc == 0)
		*ret = made;
	if (rc == ERR_CONFIG && !t->warned_spec) {
		t->warned_spec = true;
		log_error("how lines became records is not understood, batches of an earlier life wait", KS("error", e.text));
	}
	return rc;
}

void recipe_release(struct tail *t)
{
	struct recipe *r;
	size_t it = 0;

	while ((r = map_next(&t->recipes, &it)))
		recipe_free(r);
	map_release(&t->recipes);
	recipe_room_free(t->room);
}

/* --- lines --- */

/* Counts; says how many times it happened if it is to be said now, else 0. */
static uint64_t say_now(struct seldom *s)
{
	int64_t now = clock_mono_ms();
	uint64_t n = ++s->count;

	if (s->said_ms && now - s->said_ms < SAY_MS)
		return 0;
	s->said_ms = now;
	s->count = 0;
	return n;
}

static void step_failed(void *arg, const char *text)
{
	uint64_t times = say_now(&((struct tail *)arg)->step_failures);

	if (times)
		log_warn("an interceptor failed, records go on as they were before it", KS("error", text), KI("times", times));
}

static void finish_dropped(struct piece *p)
{
	struct spool_range r = { .file_id = p->s.file_id, .from = p->s.from, .to = p->at, .marker = p->dropped_mark,
				 .route = p->s.route, .filtered = p->s.filtered };

	if (!p->s.filtered)
		return;
	p->t->hooks->finished(p->t->hooks->arg, &r);
	p->s.from = p->at;
	p->s.filtered = 0;
}

static int append(struct piece *p)
{
	struct lane *l = p->f->dest->lane;
	int rc;

	p->t->hooks->run_begin(p->t->hooks->arg, l, p->t->loop.now_ms, clock_wall_ms());
	rc = lane_append(l, &p->record);
	p->t->hooks->run_end(p->t->hooks->arg, l, rc == 0);
	return rc;
}

/* The record as it would have been, but for its serializer: what was redacted stays redacted. */
static int lay_out(const struct piece *p, int64_t wall_ms, struct buf *ret)
{
	const struct lane_record *r = &p->record;
	struct budget *m = producer_budget(p->t->conf.producer);
	struct batch *b = batch_new(p->t->loop.now_ms, wall_ms);
	int rc;

	if (!b)
		return ERR_NOMEM;
	rc = batch_append(b, m, BUDGET_APPEND, p->t->loop.now_ms, r->key, r->key_len, r->value, r->value_len, r->headers,
			  r->header_count, -1);
	for (const struct chunk *c = b->chunks; c && rc == 0; c = c->next)
		rc = buf_put(ret, c->data, c->used);
	batch_free(b, m);
	return rc;
}

static int reject(struct piece *p, const char *why)
{
	const struct dest *d = p->f->dest;
	int64_t wall = clock_wall_ms();
	struct spool_range range = { .file_id = p->s.file_id, .from = p->at, .to = p->s.to, .marker = p->s.marker,
				     .count = 1, .route = p->s.route };
	struct spool_rejected r = {
		.ms = wall, .topic = lane_topic(d->lane), .partition = lane_partition(d->lane), .message = why,
		.code = PRODUCER_ERR_SERIALIZATION, .timestamp = wall, .ranges = &range, .range_count = 1,
	};
	struct buf bytes;
	uint64_t times;
	int rc;

	buf_init(&bytes, 1u << 30);
	rc = lay_out(p, wall, &bytes);
	r.bytes = bytes.data;
	r.size = bytes.len;
	if (rc == 0)
		rc = p->t->hooks->rejected(p->t->hooks->arg, &r);
	buf_release(&bytes);
	if (rc == 0 && (times = say_now(&p->t->refusals)))
		log_error("lines that make no record are set aside; `spillway spool ls --rejected` shows them",
			  KS("path", p->f->path), KI("offset", p->at), KS("error", why), KI("times", times));
	return rc;
}

static int take_line(struct piece *p, const struct line *ln, const uint8_t *behind)
{
	const struct route *route = p->f->route;
	struct recipe_input in = { .path = p->f->origin, .offset = p->at };
	const char *topic;
	struct err e;
	int rc;

	p->s.to = p->at + (int64_t)ln->span;
	p->s.marker = identity_marker(behind, p->s.to);
	p->record.value = ln->value;
	p->record.value_len = ln->value_len;
	p->record.header_count = 0;
	rc = recipe_apply(route->recipe, p->t->room, route->row.topic, &in, &p->record, &topic, step_failed, p->t, &e);
	if (rc == 0) {
		rc = append(p);
	} else if (rc == ERR_BAD_DATA) {
		finish_dropped(p);
		rc = reject(p, e.text);
	}
	if (rc < 0)
		return rc;
	p->at = p->s.to;
	if (rc == 1) {
		p->s.filtered++;
		p->dropped_mark = p->s.marker;
		return 0;
	}
	p->s.from = p->at;
	p->s.filtered = 0;
	return 0;
}

int recipe_lines(struct tail *t, struct file *f, const uint8_t *bytes, size_t n, bool final)
{
	const struct spool_route *r = &f->route->row;
	const uint8_t *end = bytes + n;
	int64_t until = clock_mono_ns() + PIECE_NS, first_piece = 0;
	uint64_t pieces = 0;
	struct line ln;
	int rc = 0;
	struct piece p = {
		.t = t, .f = f, .at = f->offset,
		.s = { .file_id = f->id, .from = f->offset, .count = 1, .route = r->id },
		.record = { .key = r->key_null ? NULL : r->key, .key_len = r->key_len, .timestamp = -1, .place = f->origin,
			    .place_len = strlen(f->origin) },
	};

	p.record.source = &p.s;
	while (line_next(bytes, (size_t)(end - bytes), (size_t)r->max_line, final, &ln)) {
		rc = p.at > f->offset && clock_mono_ns() > until ? 1 : take_line(&p, &ln, bytes + ln.span);
		if (rc)
			break;
		bytes += ln.span;
		if (ln.piece && !pieces++)
			first_piece = p.at - (int64_t)ln.span;
	}
	finish_dropped(&p);
	if (p.at > f->offset)
		read_moved_to(f, p.at, bytes);
	read_count_pieces(t, f, first_piece, pieces);
	return rc;
}

/* assemble.c - the machine: lines of the file, out of their frames, parts joined, grouped.
 *
 * Each stream of a container has at most one line whose last part did not come (chain) and one message to which lines may
 * come (group). Why it is deterministic:
 *  (1) whether a line belongs to an open message depends on that message's own lines alone, and on how far its end is from the
 *      message's beginning; other streams' lines only decide when it comes out.
 *  (2) a message's beginning leaves nothing behind: the line there is taken as if it were the first.
 *  (3) a line that was cut ends its message, so the pieces behind it are lines like any other.
 * A call of assembly_next gives one message; what is left to do with the same line is found out anew by the next, from the state.
 *
 * Memory: what is open (joined, max_bytes), one line, spans. A message of one line is not copied unless it stays open.
 * See tests/unit/test_assemble_random.c, which has all of it once more, naively.
 */
#include "agent/record/assemble.h"

#include <string.h>

#include "agent/record/assemble_int.h"
#include "agent/base/mem.h"
#include "agent/base/pattern.h"

#define ROOM_MAX ((size_t)1 << 31)
#define SPANS_FIRST 8

static void spans_add(struct assembly *a, struct spans *s, struct message_span add)
{
	if (s->n && s->v[s->n - 1].to == add.from) {
		s->v[s->n - 1].to = add.to;
		return;
	}
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? 2 * s->cap : SPANS_FIRST;
		struct message_span *v = mem_realloc(s->v, cap * sizeof *v);

		if (!v) {
			a->failed = true;
			return;
		}
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = add;
}

static void spans_move(struct assembly *a, struct spans *to, struct spans *from)
{
	for (uint32_t i = 0; i < from->n; i++)
		spans_add(a, to, from->v[i]);
	from->n = 0;
}

static void put(struct assembly *a, struct buf *b, const void *p, size_t n)
{
	if (n && buf_put(b, p, n) < 0)
		a->failed = true;
}

/* --- open messages --- */

static void open_new(struct opened *o)
{
	buf_clear(&o->value);
	o->spans.n = 0;
	o->lines = 0;
	o->has_time = o->broken = o->piece = o->over = false;
	o->active = true;
}

static int64_t begin_of(const struct opened *o)
{
	return o->active && o->spans.n ? o->spans.v[0].from : INT64_MAX;
}

static int64_t stream_begin(const struct stream *s)
{
	int64_t chain = begin_of(&s->chain), group = begin_of(&s->group);

	return group < chain ? group : chain;
}

/* The stream whose open message begins first, if any. */
static struct stream *oldest(const struct assembly *a)
{
	const struct stream *best = NULL;

	for (int i = 0; i < STREAMS; i++) {
		const struct stream *s = &a->streams[i];

		if (stream_begin(s) < INT64_MAX && (!best || stream_begin(s) < stream_begin(best)))
			best = s;
	}
	return (struct stream *)best;
}

static enum message_stream stream_of(const struct assembly *a, const struct stream *s)
{
	return (enum message_stream)(s - a->streams);
}

static const uint8_t *never_null(const void *p)
{
	return p ? p : (const uint8_t *)"";
}

static int give_group(struct assembly *a, struct stream *s, struct message *ret)
{
	struct opened *g = &s->group;

	g->active = false;
	*ret = (struct message){
		.value = never_null(g->value.data), .value_len = g->value.len, .spans = g->spans.v, .span_count = g->spans.n,
		.lines = g->lines, .has_time = g->has_time, .time_ns = g->time_ns, .stream = stream_of(a, s),
		.piece = g->piece, .broken = g->broken,
	};
	return 1;
}

static int give_entry(struct entry *e, struct message *ret)
{
	e->full = false;
	*ret = (struct message){
		.value = never_null(e->value), .value_len = e->len, .spans = e->spans, .span_count = e->span_count,
		.lines = 1, .has_time = e->has_time, .time_ns = e->time_ns, .stream = e->stream,
		.piece = e->piece, .broken = e->broken,
	};
	return 1;
}

static int give_lost(struct message_span lost, struct message *ret)
{
	*ret = (struct message){ .lost = lost };
	return 1;
}

/* --- groups --- */

static void group_add(struct assembly *a, struct opened *g, struct entry *e)
{
	if (!g->lines++) {
		g->has_time = e->has_time;
		g->time_ns = e->time_ns;
	} else {
		put(a, &g->value, "\n", 1);
	}
	put(a, &g->value, e->value, e->len);
	for (uint32_t i = 0; i < e->span_count; i++)
		spans_add(a, &g->spans, e->spans[i]);
	g->broken |= e->broken;
	g->piece |= e->piece;
	e->full = false;
}

static bool is_group_full(const struct assemble_rules *r, const struct opened *g)
{
	return g->lines >= multiline_lines(r->multiline) || g->value.len >= multiline_bytes(r->multiline);
}

/* The line in a->entry. 1: a message; the line may still be there then. 0: it waits for others. */
static int group_take(struct assembly *a, struct message *ret)
{
	const struct assemble_rules *r = a->rules;
	struct entry *e = &a->entry;
	struct stream *s = &a->streams[e->stream];
	struct opened *g = &s->group;
	unsigned state;
	int is;

	if (!r->multiline)
		return give_entry(e, ret);
	state = g->active ? g->state : 0;
	if (g->active && g->value.len + 1 + e->len > multiline_bytes(r->multiline))
		return give_group(a, s, ret);
	is = multiline_line(r->multiline, a->room, &state, e->value, e->len);
	if (is < 0) {
		a->failed = true;
		return 0;
	}
	if (g->active && is == MULTILINE_OTHER)
		return give_group(a, s, ret);
	if (!g->active) {
		if (is == MULTILINE_ALONE || e->cut)
			return give_entry(e, ret);
		open_new(g);
	}
	g->state = state;
	group_add(a, g, e);
	return is == MULTILINE_LAST || e->cut || is_group_full(r, g) ? give_group(a, s, ret) : 0;
}

/* --- parts --- */

static void chain_add(struct assembly *a, struct stream *s, const struct file_line *l, size_t n)
{
	struct opened *c = &s->chain;

	if (!c->active) {
		open_new(c);
		c->has_time = l->frame.has_time;
		c->time_ns = l->frame.time_ns;
	}
	put(a, &c->value, l->frame.value, n);
	spans_add(a, &c->spans, l->span);
	c->broken |= l->broken | l->frame.broken;
}

/* What there is of a line in parts is the line. */
static void chain_end(struct assembly *a, struct stream *s, bool cut)
{
	struct opened *c = &s->chain;

	c->active = false;
	if (c->over && a->rules->long_lines == ASSEMBLE_SKIP) {
		spans_move(a, &a->lost, &c->spans);
		spans_move(a, &a->lost, &s->lost);
		return;
	}
	spans_move(a, &a->lost, &s->lost);
	a->entry = (struct entry){
		.full = true, .value = never_null(c->value.data), .len = c->value.len, .spans = c->spans.v,
		.span_count = c->spans.n, .stream = stream_of(a, s), .has_time = c->has_time, .time_ns = c->time_ns,
		.broken = c->broken, .piece = c->piece, .cut = cut || c->over,
	};
}

/* A part that the chain has no room for. false: the chain ended as a piece, and the part begins another. */
static bool chain_overflow(struct assembly *a, struct stream *s, const struct file_line *l)
{
	struct opened *c = &s->chain;
	size_t room = a->rules->joined > c->value.len && !c->over ? a->rules->joined - c->value.len : 0;

	if (a->rules->long_lines == ASSEMBLE_SPLIT) {
		c->piece = true;
		chain_end(a, s, true);
		return false;
	}
	c->over = true;
	if (room && a->rules->long_lines == ASSEMBLE_TRUNCATE)
		chain_add(a, s, l, room);
	else
		spans_add(a, &s->lost, l->span);
	return true;
}

static void line_alone(struct assembly *a, const struct file_line *l)
{
	const struct frame *f = &l->frame;

	a->entry = (struct entry){
		.full = true, .value = f->value, .len = f->value_len, .spans = &l->span, .span_count = 1,
		.stream = f->stream, .has_time = f->has_time, .time_ns = f->time_ns, .broken = l->broken || f->broken,
		.piece = l->cut && a->rules->long_lines == ASSEMBLE_SPLIT, .cut = l->cut,
	};
}

static void chain_take(struct assembly *a, struct file_line *l)
{
	struct stream *s = &a->streams[l->frame.stream];
	struct opened *c = &s->chain;
	bool ends = !l->frame.part || l->cut;

	if (!c->active && ends) {
		line_alone(a, l);
	} else {
		if (c->active && (c->over || c->value.len + l->frame.value_len > a->rules->joined)) {
			if (!chain_overflow(a, s, l))
				return;
		} else {
			chain_add(a, s, l, l->frame.value_len);
		}
		c->piece |= l->cut && a->rules->long_lines == ASSEMBLE_SPLIT;
		if (ends)
			chain_end(a, s, l->cut);
	}
	l->full = false;
}

/* --- a line of the file --- */

static int parse_frame(struct assembly *a, struct file_line *l)
{
	enum assemble_format format = a->rules->format;
	bool strict = format == ASSEMBLE_AUTO;

	if (format == ASSEMBLE_DOCKER || (strict && l->len && l->value[0] == '{'))
		return container_docker(l->value, l->len, strict, &a->json, &l->frame);
	if (format == ASSEMBLE_CRI || strict)
		return container_cri(l->value, l->len, &l->frame);
	return 0;
}

static void parse(struct assembly *a, struct file_line *l)
{
	int rc = parse_frame(a, l);

	if (rc < 0)
		a->failed = true;
	if (rc <= 0)
		l->frame = (struct frame){ .value = l->value, .value_len = l->len - l->cr };
	l->parsed = true;
}

/* 1: a message; 0: something else happened, the line is still there or it is used. */
static int line_step(struct assembly *a, struct message *ret)
{
	struct file_line *l = &a->line;
	struct stream *s = oldest(a);

	if (s && l->span.to - stream_begin(s) > a->rules->reach) {
		if (s->group.active)
			return give_group(a, s, ret);
		chain_end(a, s, false);
		return 0;
	}
	if (!l->parsed)
		parse(a, l);
	chain_take(a, l);
	return 0;
}

/* 1: a message; 0: something else happened; -1: nothing is open. */
static int flush_step(struct assembly *a, struct message *ret)
{
	struct stream *s = a->flushed ? a->flushed : oldest(a);

	if (!s || stream_begin(s) == INT64_MAX)
		return -1;
	if (!s->chain.active)
		return give_group(a, s, ret);
	chain_end(a, s, false);
	return 0;
}

static int give_chain_lost(struct assembly *a, struct message *ret)
{
	give_lost(a->lost.v[a->lost_at], ret);
	ret->lost_more = a->lost_at++ > 0;
	return 1;
}

static int take_step(struct assembly *a, struct message *ret)
{
	struct message_span lost;
	enum took took;

	if (a->held.from < a->held.to) {
		lost = a->held;
		a->held.to = a->held.from;
		return give_lost(lost, ret);
	}
	took = assembly_take(a, &lost);
	if (took == TOOK_LINE)
		return 0;
	if (took == TOOK_LOST) {
		if (assemble_streams(a->rules) || !oldest(a))
			return give_lost(lost, ret);
		a->held = lost;
		a->flush = true;
		return 0;
	}
	if (!a->jump)
		return -1;
	a->jump = false;
	a->at = a->jump_to;
	a->rest = a->jump_rest;
	a->flush |= !assemble_streams(a->rules);
	return 0;
}

/* 1: a message; 0: something else happened; -1: there is nothing to do. */
static int step(struct assembly *a, struct message *ret)
{
	if (a->entry.full)
		return group_take(a, ret);
	if (a->lost_at < a->lost.n)
		return give_chain_lost(a, ret);
	a->lost.n = a->lost_at = 0;
	if (a->flush) {
		int rc = flush_step(a, ret);

		a->flush = rc >= 0;
		a->flushed = a->flush ? a->flushed : NULL;
		return rc < 0 ? 0 : rc;
	}
	return a->line.full ? line_step(a, ret) : take_step(a, ret);
}

int assembly_next(struct assembly *a, struct message *ret)
{
	int rc = 0;

	while (rc == 0 && !a->failed)
		rc = step(a, ret);
	return a->failed ? ERR_NOMEM : rc > 0;
}

/* --- a stretch --- */

struct assembly *assembly_new(void)
{
	struct assembly *a = mem_new(struct assembly);

	if (!a)
		return NULL;
	converter_init(&a->converter);
	buf_init(&a->carry, ROOM_MAX);
	buf_init(&a->text, ROOM_MAX);
	buf_init(&a->json, ROOM_MAX);
	for (int i = 0; i < STREAMS; i++) {
		buf_init(&a->streams[i].chain.value, ROOM_MAX);
		buf_init(&a->streams[i].group.value, ROOM_MAX);
	}
	a->room = pattern_room_new();
	if (!a->room) {
		assembly_free(a);
		return NULL;
	}
	return a;
}

void assembly_free(struct assembly *a)
{
	if (!a)
		return;
	for (int i = 0; i < STREAMS; i++) {
		struct stream *s = &a->streams[i];

		buf_release(&s->chain.value);
		buf_release(&s->group.value);
		mem_free(s->chain.spans.v);
		mem_free(s->group.spans.v);
		mem_free(s->lost.v);
	}
	mem_free(a->lost.v);
	pattern_room_free(a->room);
	converter_release(&a->converter);
	buf_release(&a->json);
	buf_release(&a->text);
	buf_release(&a->carry);
	mem_free(a);
}

void assembly_begin(struct assembly *a, const struct assemble_rules *r, int64_t offset, bool inside)
{
	a->rules = r;
	a->p = a->end = NULL;
	a->final = a->jump = a->flush = a->failed = false;
	buf_clear(&a->carry);
	a->carry_at = a->borrowed = 0;
	a->at = offset;
	a->rest = inside;
	a->flushed = NULL;
	a->line.full = a->entry.full = false;
	a->lost.n = a->lost_at = 0;
	a->held = (struct message_span){ 0, 0 };
	for (int i = 0; i < STREAMS; i++) {
		a->streams[i].chain.active = a->streams[i].group.active = false;
		a->streams[i].lost.n = 0;
	}
}

void assembly_feed(struct assembly *a, const uint8_t *p, size_t n, bool final)
{
	a->p = n ? p : NULL;
	a->end = n ? p + n : NULL;
	a->borrowed = 0;
	a->final = final;
}

void assembly_jump(struct assembly *a, int64_t to, bool inside)
{
	if (to == a->at + (int64_t)(a->carry.len - a->carry_at))
		return;
	a->jump = true;
	a->jump_to = to;
	a->jump_rest = inside;
}

void assembly_end(struct assembly *a)
{
	a->flush = true;
	a->flushed = NULL;
}

void assembly_end_oldest(struct assembly *a)
{
	a->flushed = oldest(a);
	a->flush = a->flushed;
}

static int64_t end_of(const struct opened *o)
{
	return o->active && o->spans.n ? o->spans.v[o->spans.n - 1].to : 0;
}

int64_t assembly_oldest_end(const struct assembly *a)
{
	const struct stream *s = oldest(a);
	int64_t chain = s ? end_of(&s->chain) : 0, group = s ? end_of(&s->group) : 0;

	return chain > group ? chain : group;
}

int64_t assembly_open(const struct assembly *a, bool *ret_groups)
{
	int64_t first = a->at;

	*ret_groups = false;
	if (a->held.from < a->held.to)
		first = a->held.from;
	if (a->lost_at < a->lost.n && a->lost.v[a->lost_at].from < first)
		first = a->lost.v[a->lost_at].from;
	if (a->line.full && a->line.span.from < first)
		first = a->line.span.from;
	if (a->entry.full && a->entry.spans[0].from < first)
		first = a->entry.spans[0].from;
	for (int i = 0; i < STREAMS; i++) {
		int64_t begin = stream_begin(&a->streams[i]);

		*ret_groups |= begin < INT64_MAX;
		first = begin < first ? begin : first;
	}
	return first;
}

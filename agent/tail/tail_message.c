/* tail_message.c - turns of files whose lines are not their records: groups of lines, containers' frames, encodings, lines
 * that are cut.
 *
 * A turn reads one stretch: from f->offset on, over what was handed over before (skips), until something is complete and a
 * window is full, or to the end. Nothing is kept between turns. What is open at the end of one is read again by the next: f->offset
 * is where the oldest open message begins, and what was handed over above it, for in a container's file stdout and stderr
 * stand between each other, is remembered as skips. A later life learns the same from positions and ledger.
 *
 * Invariants
 *  (1) a message is handed over once, with all of its bytes.
 *  (2) what time ended (a quiet file, the end of a file that is gone, --once) has ranges of its own: what is read later under the
 *      same route is never joined to them, so the same messages are built of them again.
 *  (3) a stretch goes on until it handed something over or the file ends: assemble_need() bytes make a message of anything.
 * Threads: tail. Failure: as tail_read.c.
 */
#include <string.h>
#include <strings.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "agent/record/encoding.h"
#include "agent/tail/identity.h"
#include "agent/tail/tail_inside.h"

#define PIECE_BYTES 65536u
#define LONG_OPEN 16384			/* what is open and shorter is simply read again */
#define MARK_BYTES 4			/* the longest byte order mark */

struct stretch {
	struct tail *t;
	struct file *f;
	const struct assemble_rules *rules;
	struct hand h;
	int64_t  at;			/* the next byte */
	uint64_t mark;			/* the marker of `at`; 0: unknown */
	int64_t  until_ns;
	size_t   skip;			/* the next range that is not read */
	uint64_t given;			/* messages, and lost pieces */
	int64_t  lost_to;		/* what h.inside is about: where the last of those ends */
	bool     eof;
};

/* --- groups that wait for more lines --- */

/* When time ends what is open at f's end. In a container's file one stream may be quiet while the other goes on. */
static int64_t due_ms(const struct file *f)
{
	bool streams = assemble_streams(recipe_rules(f->route->recipe));
	int64_t since = streams || f->end_ms > f->changed_ms ? f->end_ms : f->changed_ms;

	return since + recipe_timeout_ms(f->route->recipe);
}

static void look_at_group(struct tail *t, struct file *f, int64_t *next)
{
	int64_t now = t->loop.now_ms, due;
	struct stat st;

	if (slow_fstat(f->fd, &st) == 0)
		file_changed(f, &st, now);
	due = due_ms(f);
	if (due > now) {
		*next = due < *next ? due : *next;
		return;
	}
	list_remove(&f->group);
	f->end_group = true;
	files_ready(t, f);
}

void message_time(struct loop_timer *timer)
{
	struct tail *t = container_of(timer, struct tail, group_timer);
	int64_t next = INT64_MAX;

	list_each_safe(it, &t->groups)
		look_at_group(t, list_entry(it, struct file, group), &next);
	if (next < INT64_MAX)
		timer_set(&t->loop, timer, next, timer->fn);
}

static void wait_for_lines(struct tail *t, struct file *f)
{
	int64_t due = due_ms(f);

	if (list_empty(&f->group))
		list_push_back(&t->groups, &f->group);
	if (!timer_armed(&t->group_timer) || t->group_timer.at_ms > due)
		timer_set(&t->loop, &t->group_timer, due, t->group_timer.fn);
}

/* --- the beginning of a file --- */

/* Whether every LF of it holds the byte that LF is in ASCII. */
static bool has_ascii_lf(const char *encoding)
{
	return !encoding || !strncmp(encoding, "utf", 3) || !strncmp(encoding, "ucs", 3);
}

static void finish_mark(struct tail *t, struct file *f, const uint8_t *p, size_t n)
{
	struct spool_range r = { .file_id = f->id, .from = 0, .to = (int64_t)n, .route = f->route->row.id };

	read_moved_to(f, (int64_t)n, p + n);
	r.marker = f->mark;
	f->leading = false;
	t->hooks->finished(t->hooks->arg, &r);
}

/* The byte order mark, and a hole of NULs. True: what is read now begins at f->offset. */
static bool at_beginning(struct tail *t, struct file *f, enum turn_end *ret)
{
	const char *encoding = t->inputs[f->input].conf->encoding;
	struct window *w = &t->window;
	size_t n, skip = 0;
	int rc;

	if (!f->encoded && f->size < MARK_BYTES && !wants_rest(t, f)) {
		*ret = turn_at_end(t, f);
		return false;
	}
	if (!f->encoded && (rc = route_file(t, f)) < 0) {
		files_failed(t, f, rc, "no route for this file, its lines wait");
		*ret = TURN_OUT;
		return false;
	}
	rc = window_read(w, f, f->offset, WINDOW_BYTES, f->mark);
	if (rc < 0) {
		*ret = turn_failed(t, f, rc);
		return false;
	}
	n = window_len(w, f->offset);
	if (f->offset == 0 && encoding)
		assemble_resolve(encoding, window_at(w, 0), n, &skip);
	if (skip)
		finish_mark(t, f, window_at(w, 0), skip);
	else
		skip_nuls(t, f, window_at(w, f->offset), n, route_encoding(f)->unit);
	return true;
}

/* --- one stretch --- */

/* Whether the line of which bytes up to `to` were lost goes on there. */
static bool goes_on(const struct stretch *s, int64_t to)
{
	const struct encoding *e = assemble_encoding(s->rules);
	const struct window *w = &s->t->window;
	int64_t unit = (int64_t)e->unit;

	return to - unit >= w->from && to <= w->from + (int64_t)w->len && !encoding_find(e, window_at(w, to - unit), e->unit);
}

static int drain(struct stretch *s)
{
	struct message m;
	int rc;

	while ((rc = assembly_next(s->t->assembly, &m)) > 0) {
		s->given++;
		hand_message(&s->h, &m);
		s->lost_to = m.lost.to;
		s->h.inside = m.lost.from < m.lost.to && goes_on(s, m.lost.to);
	}
	return rc < 0 ? hand_refused(&s->h, rc) : s->h.rc;
}

/* 0; 1: time is up; what refused a record. */
static int feed(struct stretch *s, const uint8_t *p, size_t n, bool final)
{
	size_t piece;
	int rc;

	do {
		piece = n < PIECE_BYTES ? n : PIECE_BYTES;
		assembly_feed(s->t->assembly, p, piece, final && piece == n);
		p += piece;
		n -= piece;
		s->at += (int64_t)piece;
		rc = drain(s);
		if (rc == 0 && n && s->given && clock_mono_ns() > s->until_ns)
			return 1;
	} while (rc == 0 && n);
	return rc;
}

/* What is open ends here, by what is not to be read, or what will not come. */
static int end_open(struct stretch *s)
{
	assembly_end(s->t->assembly);
	return drain(s);
}

/* Or by time: of a file that others still write to only what was quiet. */
static void end_quiet(struct stretch *s)
{
	const struct file *f = s->f;

	if (wants_rest(s->t, f) || f->changed_ms + recipe_timeout_ms(f->route->recipe) <= s->t->loop.now_ms)
		assembly_end(s->t->assembly);
	else
		assembly_end_oldest(s->t->assembly);
	drain(s);
}

static int64_t limit_of(const struct stretch *s)
{
	return s->skip < s->f->skip_count ? s->f->skips[s->skip].from : INT64_MAX;
}

static bool time_ends(const struct stretch *s)
{
	const struct file *f = s->f;

	return wants_rest(s->t, f) || (f->end_group && assembly_oldest_end(s->t->assembly) == f->end_at);
}

/* Whether `at` is in the rest of a line that was cut. */
static int look_inside(const struct stretch *s, int64_t at, bool *ret)
{
	size_t lead = assemble_lead(s->rules), n;
	struct window *w = &s->t->window;
	const struct file *f = s->f;
	int rc;

	*ret = f->inside && lead;
	if (f->inside_at == at)
		return 0;
	*ret = false;
	if (!lead || at == 0)
		return 0;
	n = lead < w->cap - IDENTITY_TAIL ? lead : w->cap - IDENTITY_TAIL;
	n = (int64_t)n < at ? n : (size_t)at;
	w->file_id = 0;
	rc = window_read(w, f, at - (int64_t)n, n, 0);
	w->file_id = 0;
	if (rc == 0)
		*ret = assemble_inside(s->rules, window_at(w, at - (int64_t)n), n, at);
	return rc;
}

/* 0; 1: the next turn begins there; < 0: it cannot be read (*ret_read), or what refused a record. */
static int jump(struct stretch *s, int *ret_read)
{
	int64_t to = s->f->skips[s->skip++].to;
	bool inside;

	if (!assemble_streams(s->rules))
		return end_open(s) < 0 ? s->h.rc : 1;
	*ret_read = look_inside(s, to, &inside);
	if (*ret_read < 0)
		return *ret_read;
	s->at = to;
	s->mark = 0;
	s->h.inside = inside;
	s->lost_to = to;
	assembly_jump(s->t->assembly, to, inside);
	return 0;
}

/* What lies before a large range that is not read is read alone: as long as a message is open, that is so in each turn. */
static size_t wanted(const struct stretch *s)
{
	int64_t limit = limit_of(s);
	bool large = limit < INT64_MAX && s->f->skips[s->skip].to - s->at >= (int64_t)WINDOW_BYTES;

	return large && limit - s->at < (int64_t)WINDOW_BYTES ? (size_t)(limit - s->at) : WINDOW_BYTES;
}

/* A window's bytes. 0: go on; 1: enough for this turn, or the end; < 0: of *ret_read, or what refused a record. */
static int read_some(struct stretch *s, int *ret_read)
{
	struct window *w = &s->t->window;
	int64_t limit = limit_of(s);
	size_t n;
	int rc;

	if (s->at >= limit)
		return jump(s, ret_read);
	*ret_read = window_read(w, s->f, s->at, wanted(s), s->mark);
	if (*ret_read < 0)
		return *ret_read;
	n = window_len(w, s->at);
	if (s->at + (int64_t)n >= limit)
		return feed(s, window_at(w, s->at), (size_t)(limit - s->at), true);
	rc = feed(s, window_at(w, s->at), n, w->eof && wants_rest(s->t, s->f));
	if (rc)
		return rc;
	s->eof = w->eof;
	s->mark = hand_marker(s->t, s->f, s->at);
	return s->eof || s->given > 0;
}

/* --- where it goes on --- */

/* Ranges above `offset` that were handed over. */
static void keep_given(struct stretch *s, int64_t offset)
{
	struct file *f = s->f;

	if (s->h.given_count && f->skip_next) {
		memmove(f->skips, f->skips + f->skip_next, (f->skip_count - f->skip_next) * sizeof *f->skips);
		f->skip_count -= f->skip_next;
		f->skip_next = 0;
	}
	for (size_t i = 0; i < s->h.given_count; i++) {
		const struct tail_skip *g = &s->h.given[i];

		if (g->to > offset)
			ASSERT(skip_add(&f->skips, &f->skip_count, g->from > offset ? g->from : offset, g->to) == 0);
	}
	mem_free(s->h.given);
}

/* Whatever happens: what lies below was handed over. Without a marker the bytes there are believed. */
static void move(struct stretch *s, int64_t offset)
{
	struct file *f = s->f;

	if (offset == f->offset)
		return;
	f->mark = hand_marker(s->t, f, offset);
	f->offset = offset;
	f->scanned = 0;
	f->leading = false;
}

/* Everything is handed over, or refused. The position moves behind it. */
static void settle(struct stretch *s, bool *ret_grouped)
{
	int64_t offset;

	hand_end(&s->h);
	offset = assembly_open(s->t->assembly, ret_grouped);
	if (s->h.back < offset)
		offset = s->h.back;
	read_count_pieces(s->t, s->f, s->h.first_piece, s->h.pieces);
	keep_given(s, offset);
	/* Where a record was refused, it may be in the rest of any line that was cut. */
	s->f->inside = s->h.inside && offset == s->lost_to;
	s->f->inside_at = s->h.rc < 0 ? -1 : offset;
	move(s, offset);
}

/* --- a turn --- */

/* What was open before, and is long, is still open: nothing behind it ends a line, and it is not too long yet. */
static bool still_open(struct stretch *s, enum turn_end *ret)
{
	struct window *w = &s->t->window;
	struct tail *t = s->t;
	struct file *f = s->f;
	const uint8_t *p;
	size_t n;
	int rc;

	if (!f->scanned || f->scanned - f->offset <= LONG_OPEN || wants_rest(t, f) || f->end_group ||
	    !has_ascii_lf(t->inputs[f->input].conf->encoding))
		return false;
	w->file_id = 0;
	rc = window_read(w, f, f->scanned, WINDOW_BYTES, f->scan_mark);
	w->file_id = 0;
	if (rc == ERR_BAD_DATA) {		/* what is open is something else by now */
		f->scanned = 0;
		return false;
	}
	if (rc < 0) {
		*ret = turn_failed(t, f, rc);
		return true;
	}
	n = (size_t)(w->from + (int64_t)w->len - f->scanned);
	p = window_at(w, f->scanned);
	if (memchr(p, '\n', n) || (size_t)(f->scanned - f->offset) + n >= assemble_need(s->rules))
		return false;
	remember_rest(f, p + n, (size_t)(f->scanned - f->offset) + n);
	*ret = w->eof ? turn_at_end(t, f) : TURN_MORE;
	if (f->grouped && w->eof)
		wait_for_lines(t, f);
	return true;
}

/* At the file's end: what is open waits for its rest, or for time. */
static enum turn_end stay(struct stretch *s, bool grouped)
{
	struct window *w = &s->t->window;
	struct file *f = s->f;

	f->scanned = 0;
	if (w->file_id == f->id && s->at == w->from + (int64_t)w->len)
		remember_rest(f, window_at(w, s->at), (size_t)(s->at - f->offset));
	f->end_group = false;
	f->grouped = grouped && recipe_timeout_ms(f->route->recipe) >= 0;
	if (f->grouped && assembly_oldest_end(s->t->assembly) != f->end_at) {
		f->end_at = assembly_oldest_end(s->t->assembly);
		f->end_ms = s->t->loop.now_ms;
	}
	if (f->grouped)
		wait_for_lines(s->t, f);
	return turn_at_end(s->t, f);
}

static enum turn_end read_stretch(struct stretch *s)
{
	bool grouped = false, ends;
	struct tail *t = s->t;
	struct file *f = s->f;
	int rc = 0, read = 0;

	while (rc == 0)
		rc = read_some(s, &read);
	ends = rc == 1 && s->eof && time_ends(s);
	if (ends)
		end_quiet(s);
	settle(s, &grouped);
	if (ends && s->given)
		end_range(t, f);
	if (read < 0)
		return turn_failed(t, f, read);
	if (s->h.rc < 0)
		return turn_refused(t, f, s->h.rc);
	if (s->eof)
		return stay(s, grouped);
	f->scanned = 0;
	return TURN_MORE;
}

enum turn_end message_turn(struct tail *t, struct file *f)
{
	struct stretch s = { .t = t, .f = f, .mark = f->mark, .until_ns = clock_mono_ns() + t->pace.piece * 1000000 };
	enum turn_end end;
	bool inside;
	int rc;

	if (!t->assembly && !(t->assembly = assembly_new()))
		return turn_refused(t, f, ERR_NOMEM);
	list_remove(&f->group);
	if (f->leading && !at_beginning(t, f, &end))
		return end;
	s.rules = recipe_rules(f->route->recipe);
	if (still_open(&s, &end))
		return end;
	rc = look_inside(&s, f->offset, &inside);
	if (rc < 0)
		return turn_failed(t, f, rc);
	s.at = f->offset;
	s.mark = f->mark;
	s.skip = f->skip_next;
	f->grouped = false;
	hand_begin(&s.h, t, f);
	s.h.streams = assemble_streams(s.rules);
	s.h.inside = inside;
	s.lost_to = f->offset;
	assembly_begin(t->assembly, s.rules, f->offset, inside);
	return read_stretch(&s);
}

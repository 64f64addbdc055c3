/* tail_read.c - turns: the next bytes of a file become records of its lane.
 *
 * A turn is one read of at most 256 KiB, then the next ready file has its turn: one fast file never holds up the others.
 * Each read covers the bytes before the position and compares them with what they were, so that truncating and writing
 * anew is seen however long the file is by then.
 *
 * Invariants
 *  (1) offset moves only behind records that lane_append took (or bytes that were reported as finished).
 *  (2) a file is in `ready`, or in its destination's `waiting`, or has nothing to do until an event, a timer or its
 *      predecessor makes it ready.
 *  (3) a dry destination is asked again at most once a millisecond, by one file: the others of it are not read meanwhile.
 * Threads: tail. Failure: a read error marks the file failed, tried again by the next walk. No memory: it waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/slow.h"
#include "agent/tail/identity.h"
#include "agent/record/line.h"
#include "agent/tail/tail_inside.h"
#include "agent/tail/unpack.h"

#define ROUND_NS 2000000		/* turns between two looks at events */
#define LONG_LINE 16384			/* unfinished lines up to here are simply read again */
#define DROP_BYTES (4 << 20)
#define LIVE_RUN 8			/* turns of files at their end between two of a backlog */

static void read_restart(struct tail *t, struct file *f, const char *why)
{
	bool known = f->offset || f->head_len;
	struct stat st;

	file_unpack_anew(f);
	if (!known && !f->skip_count) {		/* nothing of it was used yet */
		f->scanned = 0;
		files_ready(t, f);
		return;
	}
	/* Else only what lies further behind was used, and no byte tells of whom: copy_unread has asked and told. */
	if (known && (twin_suspect(t, f) || copy_truncated(t, f)))
		return;
	log_warn(why, KS("path", f->path), KI("read", f->offset), KI("size", f->size));
	if (known)
		copy_tell_gap(t, f);
	known_keep(t, f, false, copy_awaited(t, f->id) ? 0 : clock_wall_ms());
	map_del(&t->by_id, &f->id, sizeof f->id);
	file_restart(f, t->next_file_id++);
	map_put(&t->by_id, &f->id, sizeof f->id, f);
	if (slow_fstat(f->fd, &st) == 0)
		file_changed(f, &st, t->loop.now_ms);
	files_put(t, f, 0);
	order_renewed(t, f);
	files_pass(t, f);
	files_ready(t, f);
}

/* --- waiting --- */

static void wait_for_lane(struct tail *t, struct file *f, struct dest *d, bool held)
{
	d->dry = true;
	d->held = held;
	d->tried_ms = clock_mono_ms();
	list_push_front(&d->waiting, &f->turn);
	if (!held)		/* there is memory, and always will be: for others */
		budget_wait(producer_budget(t->conf.producer), &t->waiter);
	if (!timer_armed(&t->retry_timer))
		timer_set(&t->loop, &t->retry_timer, t->loop.now_ms + t->pace.retry, t->retry_timer.fn);
}

/* Trying without need is not free, for each try reads: with many destinations that would be all the agent does. */
void read_retry(struct tail *t, bool memory_came)
{
	int64_t now = clock_mono_ms(), again = INT64_MAX;

	list_each(it, &t->dests) {
		struct dest *d = list_entry(it, struct dest, node);
		int64_t at;

		if (!d->dry)
			continue;
		d->owed |= memory_came && !d->held;
		at = d->tried_ms + (d->owed ? 1 : t->pace.retry);
		if (at <= now && d->held && !lane_takes(d->lane)) {
			d->tried_ms = now;
			at = now + t->pace.retry;
		}
		if (at > now) {
			again = at < again ? at : again;
			continue;
		}
		d->dry = d->owed = d->held = false;
		list_splice_back(&t->ready, &d->waiting);
		tail_work(t);
	}
	if (again < INT64_MAX)
		timer_set(&t->loop, &t->retry_timer, again, t->retry_timer.fn);
}

/* --- records --- */

/* The end of what may be read as one piece: the next range that is finished already. */
static int64_t read_limit(const struct file *f)
{
	return f->skip_next < f->skip_count ? f->skips[f->skip_next].from : INT64_MAX;
}

void read_moved_to(struct file *f, int64_t offset, const uint8_t *end)
{
	f->offset = offset;
	f->mark = identity_marker(end, offset);
	f->scanned = 0;
}

size_t skip_nuls(struct tail *t, struct file *f, const uint8_t *p, size_t n, size_t unit)
{
	struct spool_range r = { .file_id = f->id, .from = f->offset, .route = f->route->row.id };
	size_t k = 0;

	while (k < n && p[k] == 0)
		k++;
	f->leading = k == n;
	k -= k % unit;
	if (!k)
		return 0;
	read_moved_to(f, f->offset + (int64_t)k, p + k);
	r.to = f->offset;
	r.marker = f->mark;
	log_debug("NULs at the beginning of a file are skipped", KS("path", f->path), KI("bytes", k));
	t->hooks->finished(t->hooks->arg, &r);
	return k;
}

void read_count_pieces(struct tail *t, struct file *f, int64_t first, uint64_t pieces)
{
	static const char *const words[] = {
		[CONF_LONG_SPLIT] = "line is longer than max_line, such lines are split",
		[CONF_LONG_TRUNCATE] = "line is longer than max_line, such lines are cut there, the rest is entered in the losses",
		[CONF_LONG_SKIP] = "line is longer than max_line, such lines are skipped and entered in the losses",
	};

	if (!pieces)
		return;
	t->split_lines += pieces;
	if (f->long_lines)
		return;
	f->long_lines = true;
	log_warn(words[t->inputs[f->input].conf->long_lines], KS("path", f->path), KI("offset", first),
		 KI("max_line", f->route->row.max_line));
}

/* Hands over what is complete in the n bytes at p. Returns lane_append's answer that ended it, else 0. */
static int append_lines(struct tail *t, struct file *f, const uint8_t *p, size_t n, bool final)
{
	const struct spool_route *r = &f->route->row;
	struct source_range s = { .file_id = f->id, .to = f->offset, .count = 1, .route = r->id };
	struct lane_record record = {
		.key = r->key_null ? NULL : r->key, .key_len = r->key_len, .timestamp = -1,
		.place = f->origin, .place_len = strlen(f->origin), .source = &s,
	};
	struct lane *lane = f->dest->lane;
	const uint8_t *end = p + n;
	uint32_t count = 0;
	uint64_t pieces = 0;
	int64_t first_piece = 0;
	struct line ln;
	int rc = 0;

	t->hooks->run_begin(t->hooks->arg, lane, t->loop.now_ms, clock_wall_ms());
	while (line_next(p, (size_t)(end - p), (size_t)r->max_line, final, &ln)) {
		s.from = s.to;
		s.to += (int64_t)ln.span;
		s.marker = identity_marker(p + ln.span, s.to);
		record.value = ln.value;
		record.value_len = ln.value_len;
		rc = lane_append(lane, &record);
		if (rc < 0)
			break;
		p += ln.span;
		if (ln.piece && !pieces++)
			first_piece = s.from;
		count++;
	}
	t->hooks->run_end(t->hooks->arg, lane, count);
	if (count)
		read_moved_to(f, rc < 0 ? s.from : s.to, p);
	read_count_pieces(t, f, first_piece, pieces);
	return rc;
}

/* --- a turn --- */

enum turn_end turn_at_end(struct tail *t, struct file *f)
{
	f->at_end = true;
	f->flush = false;
	if (f->unpack)
		packed_at_end(t, f);
	if (t->conf.once && f->offset >= f->size)
		f->done = true;
	return TURN_IDLE;
}

bool wants_rest(const struct tail *t, const struct file *f)
{
	return t->conf.once || (f->flush && f->size == f->flush_size);
}

enum turn_end turn_failed(struct tail *t, struct file *f, int rc)
{
	if (rc == ERR_BAD_DATA && remote_doubt(t, f))
		return TURN_OUT;
	if (rc == ERR_BAD_DATA)
		read_restart(t, f, "file was rewritten, reading it from its beginning");
	else if (rc == -ESTALE)
		remote_stale(t, f);
	else
		files_failed(t, f, rc, "cannot read file, trying again");
	return TURN_OUT;
}

static void block(struct file *f, int rc, const char *why)
{
	if (f->error != rc)
		log_error(why, KS("path", f->path), KI("offset", f->offset));
	f->error = rc;
	f->blocked = true;
}

enum turn_end turn_refused(struct tail *t, struct file *f, int rc)
{
	switch (rc) {
	case ERR_TOO_LARGE:
		block(f, rc, "a line fits no request (max.request.size, buffer.memory), the file waits");
		return TURN_OUT;
	case ERR_SPOOL_FULL:
		block(f, rc, "a line is not what value.serializer takes and there is no room to set it aside, the file waits");
		return TURN_OUT;
	case ERR_LANES:
		block(f, rc, "too many topics (max_lanes), the next line would need one more, the file waits");
		return TURN_OUT;
	}
	if (!f->dest)			/* no lane to wait for yet: want of something small */
		return TURN_MORE;
	if (f->dest->dry)
		list_push_back(&f->dest->waiting, &f->turn);
	else
		wait_for_lane(t, f, f->dest, rc == ERR_LANE_FULL);
	return TURN_OUT;
}

void remember_rest(struct file *f, const uint8_t *end, size_t rest)
{
	f->scanned = rest ? f->offset + (int64_t)rest : 0;
	f->scan_mark = rest ? identity_marker(end, f->scanned) : 0;
}

void end_range(struct tail *t, struct file *f)
{
	struct route *twin = route_twin(t, f->route);

	if (twin)
		f->route = twin;
}

/* Reads `need` bytes, if that is more than usual, and hands over what is complete. */
static enum turn_end read_lines(struct tail *t, struct file *f, size_t need)
{
	int64_t limit = read_limit(f), began = f->offset;
	struct window *w = &t->window;
	const uint8_t *p, *end;
	bool final, eof;
	size_t n, rest;
	int rc;

	rc = window_read(w, f, f->offset, need > WINDOW_BYTES ? need : WINDOW_BYTES, f->mark);
	if (rc < 0)
		return turn_failed(t, f, rc);
	n = window_len(w, f->offset);
	p = window_at(w, f->offset);
	eof = w->eof;
	final = eof && wants_rest(t, f);
	if (f->offset + (int64_t)n >= limit) {
		n = (size_t)(limit - f->offset);
		final = true;
		eof = false;
	}
	end = p + n;
	if (f->leading)
		p += skip_nuls(t, f, p, n, 1);
	if (p < end)
		rc = (f->route->recipe ? recipe_lines : append_lines)(t, f, p, (size_t)(end - p), final);
	if (rc < 0)
		return turn_refused(t, f, rc);
	if (rc > 0)
		return TURN_MORE;
	rest = (size_t)(end - window_at(w, f->offset));
	if (final && !rest && f->offset && end[-1] != '\n')
		end_range(t, f);
	/* Cut by the window it is read again anyway, as the first of the next one. */
	remember_rest(f, end, eof || f->offset == began ? rest : 0);
	return eof ? turn_at_end(t, f) : TURN_MORE;
}

/* Looks only behind what was searched before. Returns how many bytes the line takes, or 0: there is no reason yet to read
 * it as a whole. */
static size_t look_behind(struct tail *t, struct file *f, enum turn_end *ret)
{
	size_t max = line_need((size_t)f->route->row.max_line), n, have;
	struct window *w = &t->window;
	const uint8_t *p, *lf;
	int rc;

	rc = window_read(w, f, f->scanned, WINDOW_BYTES, f->scan_mark);
	if (rc == ERR_BAD_DATA) {		/* the unfinished line is another one; the position decides about the file */
		f->scanned = 0;
		return WINDOW_BYTES;
	}
	if (rc < 0) {
		*ret = turn_failed(t, f, rc);
		return 0;
	}
	n = window_len(w, f->scanned);
	p = window_at(w, f->scanned);
	lf = memchr(p, '\n', n);
	have = (size_t)(f->scanned - f->offset) + (lf ? (size_t)(lf - p) + 1 : n);
	if (have >= max)
		return max;
	if (lf || (w->eof && wants_rest(t, f)))
		return have;
	remember_rest(f, p + n, have);
	*ret = w->eof ? turn_at_end(t, f) : TURN_MORE;
	return 0;
}

/* A line that would be searched from its beginning too often, or does not fit the window. */
static bool is_long(const struct file *f)
{
	return f->scanned && f->scanned - f->offset > LONG_LINE && read_limit(f) == INT64_MAX;
}

/* A backlog is read once: its pages are not to push those of others out of the cache. */
static void drop_pages(struct file *f, enum turn_end end)
{
	int64_t at = f->unpack ? unpack_packed(f->unpack) : f->offset, n = at - f->cached;

	if (end != TURN_MORE || n < 0 || n > 2 * DROP_BYTES) {
		f->cached = at;
	} else if (n >= DROP_BYTES) {
		posix_fadvise(f->fd, f->cached, n, POSIX_FADV_DONTNEED);
		f->cached = at;
	}
}

static enum turn_end lines_turn(struct tail *t, struct file *f)
{
	enum turn_end end = TURN_OUT;
	size_t need = 0;

	if (is_long(f)) {
		need = look_behind(t, f, &end);
		t->window.file_id = 0;
		if (!need)
			return end;
	} else if (read_limit(f) != INT64_MAX) {
		need = line_need((size_t)f->route->row.max_line);
	}
	return read_lines(t, f, need);
}

/* Its size is old by now, and what came meanwhile was not asked whose copy it is. */
static bool is_empty(const struct file *f)
{
	return !f->size && !f->offset && !f->own && !f->unpack;
}

static enum turn_end some_lines(struct tail *t, struct file *f)
{
	if (is_empty(f))
		return turn_at_end(t, f);
	return f->route->recipe && recipe_rules(f->route->recipe) ? message_turn(t, f) : lines_turn(t, f);
}

static enum turn_end turn(struct tail *t, struct file *f)
{
	enum turn_end end;
	struct stat st;
	int64_t began;
	int rc;

	if (slow_fstat(f->fd, &st) < 0)
		return turn_failed(t, f, -errno);
	file_changed(f, &st, t->loop.now_ms);
	lag_look(t, f);
	if (twin_holds(t, f) || (f->shrunk && !f->offset && copy_unread(t, f)))
		return TURN_OUT;
	if (file_shrank(f)) {
		if (remote_doubt(t, f))
			return TURN_OUT;
		read_restart(t, f, "file was truncated, reading it from its beginning");
		return TURN_OUT;
	}
	if (f->at_end && (rc = file_check_head(f)) < 0)
		return turn_failed(t, f, rc);
	f->at_end = false;
	rc = skip_jump(f);
	if (rc < 0)
		return turn_failed(t, f, rc);
	if (!packed_near(f))
		return TURN_MORE;
	hole_look(t, f);
	began = f->offset;
	end = some_lines(t, f);
	if (f->offset > began)
		t->read_bytes += (uint64_t)(f->offset - began);
	if (end != TURN_OUT) {
		f->doubt_ms = 0;
		f->suspect = false;
	}
	/* A size that other machines made is seen before the bytes are. */
	if (end == TURN_IDLE && f->remote && (f->scanned ? f->scanned : f->offset) < f->size)
		f->at_end = false;
	drop_pages(f, end);
	if (end != TURN_OUT && f->state == FILE_FAILED) {
		f->state = strcmp(f->path, f->home) ? FILE_ROTATED : FILE_ACTIVE;
		f->error = 0;
	}
	if (end != TURN_OUT && (window_head(&t->window, f) || file_check_head(f) > 0))
		files_put(t, f, 0);
	return end;
}

static void take_turn(struct tail *t, struct file *f)
{
	struct dest *d = f->dest;
	enum turn_end end;

	list_remove(&f->turn);
	if (packed_waits(t, f))
		return;
	if (d && d->dry) {
		list_push_back(&d->waiting, &f->turn);
		return;
	}
	if (reload_holds(t, f))
		return;
	if (!fds_wake(t, f)) {
		f->at_end = false;		/* the next walk tries again */
		return;
	}
	f->started = true;
	end = turn(t, f);
	if (!f->dest || !f->dest->dry)
		window_drop(&t->window);
	if (end == TURN_MORE && f->state == FILE_DELETED)
		list_push_front(&t->ready, &f->turn);		/* nobody else has it: before all others */
	else if (end == TURN_MORE)
		list_push_back(&t->ready, &f->turn);
	if (end != TURN_OUT)
		files_pass(t, f);
}

/* --once: says when there is nothing left. A file that cannot be read was reported and does not hold up the end. */
static void check_all_read(struct tail *t)
{
	if (!t->conf.once || t->all_read || !list_empty(&t->ready) || !list_empty(&t->live))
		return;
	list_each(it, &t->files) {
		const struct file *f = list_entry(it, struct file, node);

		if (!f->done && f->state != FILE_FAILED)
			return;
	}
	t->all_read = true;
	list_each(it, &t->dests)
		lane_seal(list_entry(it, struct dest, node)->lane);
	t->hooks->all_read(t->hooks->arg);
}

/* Files that were at their end go first, but a backlog never stands still. */
static struct file *next_turn(struct tail *t)
{
	struct file *live = list_first(&t->live, struct file, turn), *f = list_first(&t->ready, struct file, turn);

	if (live && (!f || (t->live_run < LIVE_RUN && f->state != FILE_DELETED))) {
		t->live_run++;
		return live;
	}
	t->live_run = 0;
	return f;
}

void read_turns(struct tail *t)
{
	int64_t until = clock_mono_ns() + ROUND_NS;
	struct file *f;

	while (!t->loop.stop && (f = next_turn(t))) {
		take_turn(t, f);
		if (clock_mono_ns() > until)
			break;
	}
	if (!list_empty(&t->ready) || !list_empty(&t->live))
		tail_work(t);
	check_all_read(t);
}

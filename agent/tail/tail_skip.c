/* tail_skip.c - ranges of a file that are not read: they were finished or promised before, or are given up.
 * Threads: tail. */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "agent/tail/identity.h"
#include "agent/tail/line_file.h"
#include "agent/tail/tail_inside.h"

int skip_add(struct tail_skip **v, size_t *n, int64_t from, int64_t to)
{
	struct tail_skip *s;
	size_t at = 0, behind;

	if (from >= to)
		return 0;
	s = mem_grow(*v, *n, sizeof *s);
	if (!s)
		return ERR_NOMEM;
	*v = s;
	while (at < *n && s[at].to < from)
		at++;
	/* Those that touch it become one with it. */
	for (behind = at; behind < *n && s[behind].from <= to; behind++) {
		from = s[behind].from < from ? s[behind].from : from;
		to = s[behind].to > to ? s[behind].to : to;
	}
	memmove(&s[at + 1], &s[behind], (*n - behind) * sizeof *s);
	s[at] = (struct tail_skip){ from, to };
	*n = *n + 1 - (behind - at);
	return 0;
}

int skip_cut(struct tail_skip **v, size_t *n, int64_t from, int64_t to)
{
	struct tail_skip *s = mem_grow(*v, *n, sizeof *s);

	if (!s)
		return ERR_NOMEM;
	*v = s;
	for (size_t i = 0; i < *n; i++) {
		struct tail_skip left = { s[i].from, s[i].to < from ? s[i].to : from };
		struct tail_skip right = { s[i].from > to ? s[i].from : to, s[i].to };
		size_t pieces = (left.from < left.to) + (right.from < right.to);

		if (s[i].to <= from || s[i].from >= to)
			continue;
		/* Only the one that holds all of it becomes two, so there is room. */
		memmove(&s[i + pieces], &s[i + 1], (*n - i - 1) * sizeof *s);
		*n = *n - 1 + pieces;
		if (right.from < right.to)
			s[i + pieces - 1] = right;
		if (left.from < left.to)
			s[i] = left;
		i = i + pieces - 1;		/* may wrap to the one before 0: ++ brings it back */
	}
	return 0;
}

static struct spool_range range_of(const struct file *f, int64_t from, int64_t to)
{
	struct spool_range r = { .file_id = f->id, .from = from, .to = to, .route = f->route->row.id };

	if (identity_read_marker(f, to, &r.marker) < 0)
		r.marker = 0;
	return r;
}

static void tell(struct tail *t, const struct file *f, int64_t from, int64_t to, const char *reason, bool finish)
{
	struct spool_range r = { 0 };
	struct spool_loss l = {
		.ms = clock_wall_ms(), .reason = reason, .topic = f->dest ? lane_topic(f->dest->lane) : "",
		.partition = f->dest ? lane_partition(f->dest->lane) : -1, .file_id = f->id, .path = f->path,
		.from = from, .to = to, .records = line_file_count(f, route_encoding(f), from, to), .bytes = (uint64_t)(to - from),
	};

	if (!finish) {
		t->hooks->loss(t->hooks->arg, &l);
		return;
	}
	r = range_of(f, from, to);
	t->hooks->lost(t->hooks->arg, &l, &r);
}

int64_t skip_tell(struct tail *t, const struct file *f, int64_t from, int64_t to, const char *reason, bool finish)
{
	int64_t bytes = 0, end;

	for (size_t i = f->skip_next; from < to; i++) {
		bool last = i >= f->skip_count;

		end = !last && f->skips[i].from < to ? f->skips[i].from : to;
		if (from < end) {
			tell(t, f, from, end, reason, finish);
			bytes += end - from;
		}
		if (last)
			break;
		from = f->skips[i].to > from ? f->skips[i].to : from;
	}
	return bytes;
}

void skip_finish(struct tail *t, const struct file *f)
{
	for (size_t i = f->skip_next; i < f->skip_count; i++) {
		struct spool_range r = range_of(f, f->skips[i].from, f->skips[i].to);

		t->hooks->finished(t->hooks->arg, &r);
	}
}

/* --- over them --- */

/* Nothing is known of the bytes behind such a range: their marker is taken from what is there. So the file is looked at once
 * more, after that: if somebody rewrote it before, by now it is not what it was where it was read to. From here on the marker
 * tells. In what is compressed nobody goes back for that. */
static int jump(struct file *f, int64_t to)
{
	uint64_t mark;
	int rc = identity_read_marker(f, to, &mark);

	if (rc == 0 && !f->unpack)
		rc = identity_check(f, f->head_len, f->head, f->offset, f->mark);
	if (rc < 0)
		return rc == ERR_NOT_FOUND ? ERR_BAD_DATA : rc;
	f->offset = to;
	f->mark = mark;
	f->scanned = 0;
	f->leading = false;
	return 0;
}

int skip_jump(struct file *f)
{
	int rc = 0;

	for (; f->skip_next < f->skip_count && f->offset >= f->skips[f->skip_next].from; f->skip_next++) {
		const struct tail_skip *s = &f->skips[f->skip_next];

		if (s->to > f->offset)
			rc = jump(f, s->to);
		if (rc < 0)
			break;
	}
	return rc;
}

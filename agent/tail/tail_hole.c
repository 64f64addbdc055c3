/* tail_hole.c - files that are longer than what was written to them: made with their final size and filled later.
 *
 * Appenders that write through a mapping make a file of NULs and fill it from its beginning. NULs up to the file's end are bytes
 * that are not there yet: to read on behind them would pass over the lines that take their place. With bytes behind them they
 * are what they are: a hole that copytruncate left, or part of a line.
 * No event tells of such writing and the time of change does so late: walks, each second then, look at these files again.
 * Threads: tail. Failure: what cannot be told counts as written.
 */
#include <errno.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/slow.h"
#include "agent/record/encoding.h"
#include "agent/tail/tail_inside.h"

#define BLOCK 65536
#define AHEAD_BLOCKS 32			/* farther than a turn reads */
#define SURE_BYTES (64 << 20)		/* so many NULs, and NULs at the end: nobody reads gigabytes to be surer */

static size_t trailing_nuls(const uint8_t *p, size_t n)
{
	size_t k = 0;

	while (k < n && !p[n - 1 - k])
		k++;
	return k;
}

/* The beginning of data at or behind `at`; holes are passed without reading them. */
static int64_t next_data(const struct file *f, int64_t at)
{
	off_t data;

	beat_into("looking for a hole");	/* NFS asks the server */
	data = lseek(f->fd, at, SEEK_DATA);
	beat_out();
	return data >= 0 ? data : errno == ENXIO ? f->size : at;
}

/* Where the NULs begin that reach to the end. false: it does not end in NULs, or further behind than this turn reads.
 * Data behind a run of NULs ends the run, also when it was written while this looks. */
static bool find_hole(const struct file *f, int64_t *ret)
{
	int64_t at = f->offset, sure = 0;
	uint8_t buf[BLOCK], last;
	int data = 0;

	*ret = at;
	if (f->unpack || at >= f->size || slow_pread(f->fd, &last, 1, f->size - 1) != 1 || last)
		return false;
	while (sure < SURE_BYTES && (at = next_data(f, at)) < f->size) {
		ssize_t n = slow_pread(f->fd, buf, sizeof buf, at);
		size_t nuls = n > 0 ? trailing_nuls(buf, (size_t)n) : 0;

		if (n <= 0)
			return n == 0;
		at += n;
		sure += n;
		if (nuls == (size_t)n)
			continue;
		*ret = at - (int64_t)nuls;
		sure = 0;
		if (++data > AHEAD_BLOCKS)
			return false;
	}
	return true;
}

/* A NUL that ends a character, as in UTF-16, is none of a hole. */
static bool behind_character(const struct file *f, int64_t *at)
{
	const struct encoding *e = route_encoding(f);
	int64_t unit = e ? (int64_t)e->unit : 1;

	*at = (*at + unit - 1) / unit * unit;
	return *at < f->size;
}

void hole_look(struct tail *t, struct file *f)
{
	f->has_hole = !wants_rest(t, f) && find_hole(f, &f->hole) && behind_character(f, &f->hole);
	if (!f->has_hole || t->holes)
		return;
	t->holes = true;
	timer_set(&t->loop, &t->slow, t->loop.now_ms + t->pace.poll, t->slow.fn);
}

/* line_file.c - see line_file.h. What cannot be read has no lines.
 *
 * Everything is read in whole units of the encoding, from a multiple of them on: half of one may look like LF.
 */
#include "agent/tail/line_file.h"

#include <string.h>

#include "agent/tail/file.h"

#define COUNTED (64 << 20)
#define PIECE 16384			/* whole units of any encoding */

static size_t unit_of(const struct encoding *e)
{
	return e ? e->unit : 1;
}

/* As encoding_find. */
static size_t find(const struct encoding *e, const uint8_t *p, size_t n)
{
	const uint8_t *lf;

	if (e)
		return encoding_find(e, p, n);
	lf = memchr(p, '\n', n);
	return lf ? (size_t)(lf - p) + 1 : 0;
}

/* The offset behind the first LF at or after `at`; -1: there is none. */
static int64_t next_line(const struct file *f, const struct encoding *e, int64_t at)
{
	uint8_t buf[PIECE];
	size_t lf;
	ssize_t n;

	for (; (n = file_pread(f, buf, sizeof buf, at)) > 0; at += n)
		if ((lf = find(e, buf, (size_t)n)))
			return at + (int64_t)lf;
	return -1;
}

int64_t line_file_last(const struct file *f, const struct encoding *e, int64_t at)
{
	uint8_t buf[PIECE];

	at -= at % (int64_t)unit_of(e);
	while (at > 0) {
		size_t n = at < (int64_t)sizeof buf ? (size_t)at : sizeof buf, last = 0, lf;

		at -= (int64_t)n;
		if (file_pread(f, buf, n, at) != (ssize_t)n)
			return 0;
		while ((lf = find(e, buf + last, n - last)))
			last += lf;
		if (last)
			return at + (int64_t)last;
	}
	return 0;
}

int64_t line_file_begin(const struct file *f, const struct encoding *e, int64_t at)
{
	int64_t unit = (int64_t)unit_of(e), up = (at + unit - 1) / unit * unit;
	int64_t next = up ? next_line(f, e, up - unit) : 0;

	return next < 0 ? line_file_last(f, e, at) : next;
}

uint64_t line_file_count(const struct file *f, const struct encoding *e, int64_t from, int64_t to)
{
	int64_t counted = to - from < COUNTED ? to - from : COUNTED, end = from + counted, all = to - from;
	uint8_t buf[PIECE];
	uint64_t lines = 0;

	while (from < end) {
		size_t want = end - from < (int64_t)sizeof buf ? (size_t)(end - from) : sizeof buf, at = 0, lf;
		ssize_t n = file_pread(f, buf, want, from);

		if (n <= 0)
			break;
		for (; (lf = find(e, buf + at, (size_t)n - at)); at += lf)
			lines++;
		from += n;
	}
	return all > counted ? (uint64_t)((double)lines / (double)counted * (double)all) : lines;
}

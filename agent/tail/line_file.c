/* line_file.c - see line_file.h. What cannot be read has no lines. */
#include "agent/tail/line_file.h"

#include <string.h>

#include "agent/tail/file.h"

#define COUNTED (64 << 20)

/* The offset behind the first LF at or after `at`; -1: there is none. */
static int64_t next_line(const struct file *f, int64_t at)
{
	char buf[16384], *lf;
	ssize_t n;

	for (; (n = file_pread(f, buf, sizeof buf, at)) > 0; at += n)
		if ((lf = memchr(buf, '\n', (size_t)n)))
			return at + (lf - buf) + 1;
	return -1;
}

int64_t line_file_begin(const struct file *f, int64_t at)
{
	int64_t next = at ? next_line(f, at - 1) : 0;

	while (next < 0 && at > 0) {
		at = at > 4096 ? at - 4096 : 0;
		for (int64_t n = at ? next_line(f, at - 1) : 0; n >= 0; n = next_line(f, n))
			next = n;
	}
	return next;
}

uint64_t line_file_count(const struct file *f, int64_t from, int64_t to)
{
	int64_t counted = to - from < COUNTED ? to - from : COUNTED, end = from + counted, all = to - from;
	uint8_t buf[16384];
	uint64_t lines = 0;

	while (from < end) {
		size_t want = end - from < (int64_t)sizeof buf ? (size_t)(end - from) : sizeof buf;
		ssize_t n = file_pread(f, buf, want, from);

		if (n <= 0)
			break;
		for (const uint8_t *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
			lines++;
		from += n;
	}
	return all > counted ? (uint64_t)((double)lines / (double)counted * (double)all) : lines;
}

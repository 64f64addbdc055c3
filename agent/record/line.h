/* line.h - what is one record: the bytes before LF, without a CR before it; longer than `max` bytes: pieces. */
#ifndef SPILLWAY_LINE_H
#define SPILLWAY_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line {
	const uint8_t *value;
	size_t value_len;	/* the record, without CR LF */
	size_t span;		/* bytes of the file that it stands for, with its CR LF */
	bool   piece;		/* cut out of a line longer than max */
};

/* Takes the next record off the n bytes at p. false: what is left is an unfinished line. `final` says that nothing
 * will come behind these bytes: then the rest is a record too.
 * Bytes that are cut at a record's end and split again give the same records, whatever the cuts were. */
bool line_next(const uint8_t *p, size_t n, size_t max, bool final, struct line *ret);

/* How many bytes decide about one record at most: a reader that holds as many from a record's beginning gets it. */
static inline size_t line_need(size_t max) { return max + 2; }

#endif

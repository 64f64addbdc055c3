/* frame.h - the bytes of a stream become messages: lines, or syslog's two ways to tell where one ends.
 *
 * RFC 6587: octet counting ("LENGTH SP <...") and non-transparent framing (up to LF) are told apart for each message: digits and a
 * blank, and the "<" of a syslog message behind it, are a count; anything else ends with its line.
 * Pure: the caller keeps the bytes until they are used up, as many as frame_need says; a count never makes anyone keep more.
 * What is longer than `max` bytes is split, truncated or skipped.
 */
#ifndef SPILLWAY_FRAME_H
#define SPILLWAY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

struct frame_rules {
	bool   syslog;			/* else lines, also empty ones */
	size_t max;			/* of a message, from 1 */
	enum conf_long_lines how;	/* with what is longer */
};

/* Of one stream; begins zeroed. */
struct frame {
	enum { FRAME_START, FRAME_IN_LINE, FRAME_IN_COUNT } in;	/* within the rest of a long message */
	size_t left;			/* FRAME_IN_COUNT: of it */
	size_t scanned;			/* so many bytes of an unfinished line hold no LF */
};

struct frame_piece {
	const uint8_t *value;		/* NULL: no message */
	size_t value_len;
	size_t span;			/* bytes used up */
	size_t lost;			/* of them, given up because of max */
	bool   cut;			/* the message is longer than max */
};

/* The next piece of the n bytes at p. false: more bytes are needed. final: nothing will follow them; then an unfinished
 * message is one. */
bool frame_next(struct frame *f, const struct frame_rules *r, const uint8_t *p, size_t n, bool final, struct frame_piece *ret);
/* So many bytes always give a piece. */
size_t frame_need(const struct frame_rules *r);

#endif

/* multiline.h - which lines belong together. Whether a line does depends on it and on the lines of its own group alone, so that
 * a group that is read again from its first line is the same group.
 *
 * Patterns:	start	a line that matches begins a group
 *		continue	a line that matches belongs to the group before it
 *		end	a line that matches is the last of its group
 *	Given start or end without continue, all lines belong to a group until the next start or the end. A line that may neither
 *	begin a group nor goes on with one is a message of its own. Where several match: start, then end, then continue.
 * Presets:	stack traces of a language, with their causes. Lines that are no part of one are messages of their own, at once.
 * A pattern that takes too many steps (agent/base/pattern.h) does not match.
 * Threads: a multiline is read-only once made.
 */
#ifndef SPILLWAY_MULTILINE_H
#define SPILLWAY_MULTILINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"

#define MULTILINE_LINES 500
#define MULTILINE_BYTES 524288

struct multiline;
struct pattern_room;

/* What a line is without a group (state 0), or to the group before it (what it left in *state). */
enum multiline_is {
	MULTILINE_ALONE,	/* without: a message of its own */
	MULTILINE_FIRST,	/* without: it begins one */
	MULTILINE_OTHER,	/* with: no part of it; to be asked about once more, without */
	MULTILINE_MORE,
	MULTILINE_LAST,		/* the group's last */
};

/* `o`: the member "multiline" of a spec, a json_t *. ERR_CONFIG with words; ERR_NOMEM. */
int  multiline_new(const void *o, struct multiline **ret, struct err *ret_err);
void multiline_free(struct multiline *m);
uint32_t multiline_lines(const struct multiline *m);
size_t   multiline_bytes(const struct multiline *m);

/* enum multiline_is, or ERR_NOMEM. */
int multiline_line(const struct multiline *m, struct pattern_room *room, unsigned *state, const void *p, size_t n);

#endif

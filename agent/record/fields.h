/* fields.h - what a message says besides its bytes: the members of a JSON line, or what syslog and the journal gave with it.
 *
 * A message has fields if the whole of it is one JSON object (RFC 8259, strings in valid UTF-8, at most FIELDS_DEPTH_MAX objects
 * and arrays within each other), with blanks around it or not. Of members of one name the last one counts.
 * It is looked into when somebody asks, no earlier. What a path is: conf/template.h.
 * Threads: one's own. The message and what was given live as long as they are asked for.
 */
#ifndef SPILLWAY_FIELDS_H
#define SPILLWAY_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"

#define FIELDS_DEPTH_MAX 128

#define FIELDS_INDEX 48

struct fields_member { uint32_t name, name_end, value; };	/* in the text; the quotes are apart */

struct fields {
	const char *text, *end;		/* the message; of an object that was looked into: from its "{" to its end */
	const void *given;		/* json_t *, or NULL */
	enum { FIELDS_UNKNOWN, FIELDS_NONE, FIELDS_THERE } are;
	/* The members of the line's object itself, once one of them was asked for. More than fit: none is here. */
	enum { FIELDS_NO_INDEX, FIELDS_INDEXED, FIELDS_TOO_MANY } index;
	uint32_t count;
	struct fields_member members[FIELDS_INDEX];
};

void fields_begin(struct fields *f, const void *message, size_t n, const void *given);
bool fields_there(struct fields *f);
/* Appends what stands at the path: a string without its quotes and escapes, a number as it was written, true, false. 0;
 * ERR_NOT_FOUND: nothing, or null, an array, an object; ERR_NOMEM. */
int  fields_text(struct fields *f, const char *path, size_t n, struct buf *out);
/* Appends all of them as a JSON object without blanks, if there are any. Numbers and order of a line are as they were, a half
 * of a surrogate pair becomes \ufffd; what was given is sorted by name. 0 or ERR_NOMEM. */
int  fields_put(struct fields *f, struct buf *out);

#endif

/* encoding.h - where lines of an encoding end, and what they are as UTF-8. */
#ifndef SPILLWAY_ENCODING_H
#define SPILLWAY_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/record/line.h"

#define ENCODING_UNIT_MAX 4
#define ENCODING_NAME_MAX 63

struct encoding {
	char    name[ENCODING_NAME_MAX + 1];
	bool    bytes;			/* UTF-8: taken as it is */
	size_t  unit;			/* bytes of LF; lines begin at multiples of it */
	uint8_t lf[ENCODING_UNIT_MAX], cr[ENCODING_UNIT_MAX];
	size_t  key;			/* the byte of lf that is looked for */
};

/* name NULL or "": utf-8. ERR_CONFIG with words; ERR_NOMEM. */
int encoding_init(struct encoding *e, const char *name, struct err *ret_err);
/* See assemble_resolve. */
const char *encoding_resolve(const char *name, const uint8_t *p, size_t n, size_t *ret_skip);

/* The longest line in bytes: whole units. */
static inline size_t encoding_max(const struct encoding *e, size_t max) { return max < e->unit ? e->unit : max - max % e->unit; }
static inline size_t encoding_need(const struct encoding *e, size_t max) { return encoding_max(e, max) + 2 * e->unit; }
/* line_next of any encoding: max is encoding_max. */
bool encoding_next(const struct encoding *e, const uint8_t *p, size_t n, size_t max, bool final, struct line *ret);
/* How many of the n bytes the first line takes with its LF; 0: there is no LF. p is where a unit begins. */
size_t encoding_find(const struct encoding *e, const uint8_t *p, size_t n);

/* Converts to UTF-8; one thread's. */
struct converter { void *cd; char name[ENCODING_NAME_MAX + 1]; };
void converter_init(struct converter *c);
void converter_release(struct converter *c);
/* Puts n bytes behind what is in `out`, from the encoding's first state on. What is no text becomes U+FFFD, *ret_broken. An
 * unfinished character at the end is that too; ret_used not NULL: it is left, and *ret_used says how many bytes were used.
 * 0 or ERR_NOMEM. */
int converter_put(struct converter *c, const struct encoding *e, const uint8_t *p, size_t n, struct buf *out, size_t *ret_used,
		  bool *ret_broken);

#endif

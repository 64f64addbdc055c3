/* range_set.h - the finished bytes of one file above its position, as few ranges as possible.
 *
 * Invariant: items are in order, not empty, and neither overlap nor touch. Each keeps the marker of its end, because only
 * an end of a joined run can ever become the position.
 * Threads: the owner's.
 */
#ifndef SPILLWAY_SPOOL_RANGE_SET_H
#define SPILLWAY_SPOOL_RANGE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range_item { int64_t from, to; uint64_t marker; };
struct range_set  { struct range_item *items; uint32_t count, cap; };

/* Adds [from,to); what it overlaps or touches is joined. marker belongs to `to`. 0 or ERR_NOMEM (unchanged). */
int  range_set_add(struct range_set *s, int64_t from, int64_t to, uint64_t marker);
/* Whether any, or every, byte of [from,to) is in it. */
bool range_set_overlaps(const struct range_set *s, int64_t from, int64_t to);
bool range_set_covers(const struct range_set *s, int64_t from, int64_t to);
/* While the first item begins at or below *safe: moves *safe and *marker to its end if that is higher, and removes it. */
void range_set_advance(struct range_set *s, int64_t *safe, uint64_t *marker);
int  range_set_copy(struct range_set *dst, const struct range_set *src);	/* dst is empty before. 0 or ERR_NOMEM */
void range_set_release(struct range_set *s);

/* As bytes: count v | count times: gap v (from minus the end before, at first minus safe) | length v | marker 8.
 * Room for them, then the end of what was written; reading gives 0, ERR_NOMEM or ERR_CORRUPT (set empty). */
#define RANGE_SET_ROOM(s) (10 + (size_t)(s)->count * 28)
uint8_t *range_set_put(uint8_t *p, const struct range_set *s, int64_t safe);
int  range_set_get(struct range_set *s, int64_t safe, const void *data, size_t n);

#endif

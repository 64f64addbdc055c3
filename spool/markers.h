/* markers.h - a few older positions of a file with the hashes of what lies before them, further and further apart.
 *
 * Why: after a power loss a file may be shorter than its position. It then goes on at the newest marker that still fits,
 * never at its beginning.
 *
 * Invariant: at[] is in falling order of offset, all below the position, none at 0, no hash is 0 (unknown).
 * Threads: the owner's. Nothing is allocated.
 */
#ifndef SPILLWAY_SPOOL_MARKERS_H
#define SPILLWAY_SPOOL_MARKERS_H

#include <stdbool.h>

#include "spool/spool.h"

#define MARKERS_GAP  1024	/* bytes that two lie apart at least */
#define MARKERS_ROOM (SPOOL_MARKERS * 18)

struct markers { struct spool_marker at[SPOOL_MARKERS]; uint32_t count; };

/* The position moves from `offset` to `safe`: what it was may become the newest marker, and if there are too many then
 * the one goes that is missed least. */
void markers_push(struct markers *m, int64_t offset, uint64_t hash, int64_t safe);
/* The position moves back to `safe`. */
void markers_cut(struct markers *m, int64_t safe);
bool markers_same(const struct markers *a, const struct markers *b);

/* As bytes: once a marker: gap v (below safe, then below the one before) | hash 8. MARKERS_ROOM, then the end of what was
 * written. Reading takes none out of bytes that make no sense: they are a help, and nothing rests on them. */
uint8_t *markers_put(uint8_t *p, const struct markers *m, int64_t safe);
bool     markers_get(struct markers *m, int64_t safe, const void *data, size_t n);

#endif

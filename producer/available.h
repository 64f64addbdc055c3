/* available.h - which partitions of a topic have a leader: one bit each, told by one thread, read by all.
 *
 * Why: who appends a record chooses its partition under no lock of the sender's.
 * Threads: available_grow and _set one (the sender's), _release when nobody reads any more; the rest any.
 */
#ifndef SPILLWAY_AVAILABLE_H
#define SPILLWAY_AVAILABLE_H

#include <stdbool.h>
#include <stdint.h>

struct available_map;
struct available { struct available_map *_Atomic map; };	/* zero: nothing is known, none is available */

/* Room for `count` partitions; new ones are not available. To be called before the count is told. 0 or ERR_NOMEM. */
int  available_grow(struct available *a, int32_t count);
void available_set(struct available *a, int32_t partition, bool yes);
bool available_has(const struct available *a, int32_t partition);
/* Of the first `count` partitions. */
int32_t available_count(const struct available *a, int32_t count);
/* The n-th (from 0) of them that is available; -1: there are fewer by now. */
int32_t available_nth(const struct available *a, int32_t count, int32_t n);
void available_release(struct available *a);

#endif

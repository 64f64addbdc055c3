/* pattern.h - regular expressions (PCRE2, bytes) that cannot hang whoever asks: what bounds them is their steps, not their time.
 *
 * So the same pattern says the same of the same bytes, always, on any machine and under any load.
 * Threads: a pattern is read-only once made; a room is one thread's.
 */
#ifndef SPILLWAY_PATTERN_H
#define SPILLWAY_PATTERN_H

#include "agent/base/buf.h"
#include "agent/base/err.h"

struct pattern;
struct pattern_room;

/* 0; ERR_CONFIG with words ("missing closing parenthesis at character 3"); ERR_NOMEM, with words too. */
int  pattern_new(const char *text, struct pattern **ret, struct err *ret_err);
void pattern_free(struct pattern *p);
struct pattern_room *pattern_room_new(void);		/* NULL: out of memory */
void pattern_room_free(struct pattern_room *room);

/* 1: the pattern is somewhere in the bytes; 0: it is not; ERR_NOMEM; ERR_BAD_DATA with words: it cannot be told within its
 * steps. ret_from, ret_to (may be NULL): its first group, else, if it has none, the whole of it; from == to == n: the group
 * took no part. */
int  pattern_find(const struct pattern *p, struct pattern_room *room, const void *data, size_t n, size_t *ret_from,
		  size_t *ret_to, struct err *ret_err);
/* 1: out is the bytes with each place where the pattern is replaced by `with`, as it is written; else as pattern_find. */
int  pattern_replace(const struct pattern *p, struct pattern_room *room, const void *data, size_t n, const char *with,
		     struct buf *out, struct err *ret_err);

#endif

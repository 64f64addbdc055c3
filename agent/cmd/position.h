/* position.h - `positions set` and `positions forget` without an agent: the state directory is changed.
 *
 * As tail.h says of the orders to a running one, with one difference: what is in flight or spooled of a file cannot go on under
 * an old id here, so a position that would pass such lines is refused (ERR_BUSY).
 */
#ifndef SPILLWAY_POSITION_H
#define SPILLWAY_POSITION_H

#include <stddef.h>

#include "conf/conf.h"
#include "spool/spool.h"

/* offset INT64_MAX: the end. words: what was done. ERR_BAD_DATA: no such file is known; ERR_UNAVAILABLE: it cannot be opened,
 * or another one is at this path now; ERR_BUSY. */
int  position_set(struct spool *s, const struct conf *conf, const char *path, int64_t offset, char *words, size_t n,
		  struct err *ret_err);
int  position_forget(struct spool *s, const struct conf *conf, const char *path, char *words, size_t n, struct err *ret_err);

#endif

/* event_time.h - when what a message tells of happened: a field of it, or what a pattern finds in it.
 *
 * Threads: read-only once made. The room, the fields and the buffer are one thread's.
 */
#ifndef SPILLWAY_EVENT_TIME_H
#define SPILLWAY_EVENT_TIME_H

#include <stdint.h>

#include "agent/base/pattern.h"
#include "agent/record/fields.h"

struct event_time;

/* One of field and pattern is NULL. format: see timestamp.h. 0, ERR_NOMEM, ERR_CONFIG with words. */
int  event_time_new(const char *field, const char *pattern, const char *format, struct event_time **ret, struct err *ret_err);
void event_time_free(struct event_time *e);
/* 0; ERR_BAD_DATA with words: the message tells no time; ERR_NOMEM. text is written over. */
int  event_time_read(const struct event_time *e, struct pattern_room *room, struct fields *fields, const char *message, size_t n,
		     struct buf *text, int64_t *ret_ns, struct err *ret_err);

#endif

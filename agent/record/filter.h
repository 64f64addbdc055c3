/* filter.h - which messages are records at all: include_lines and exclude_lines.
 *
 * With patterns to include, one of them must be in the message; with patterns to exclude, none may.
 * Threads: a filter is read-only once made; a room (pattern.h) is one thread's.
 */
#ifndef SPILLWAY_FILTER_H
#define SPILLWAY_FILTER_H

#include <stdbool.h>

#include "agent/base/pattern.h"
#include "producer/intercept.h"

struct filter_patterns { struct pattern **v; size_t n; };
struct filter { struct filter_patterns include, exclude; };

/* Appends one. 0, ERR_NOMEM, ERR_CONFIG with words. */
int  filter_add(struct filter_patterns *p, const char *text, struct err *ret_err);
void filter_release(struct filter *f);
/* 1: it is to be left out; 0; ERR_NOMEM. A pattern that cannot tell within its steps counts as one that is not there, and is told
 * to `failed`. */
int  filter_drops(const struct filter *f, struct pattern_room *room, const void *message, size_t n, intercept_failed_fn *failed,
		  void *arg);

#endif

/* properties.h - a properties file in Java's format, as Kafka's tools take it. */
#ifndef SPILLWAY_PROPERTIES_H
#define SPILLWAY_PROPERTIES_H

#include "agent/base/err.h"

typedef int properties_fn(void *arg, int line, const char *name, const char *value, struct err *ret_err);

/* Calls fn for each pair, in the order of the file; a negative answer ends it. line: where the pair begins.
 * 0; ERR_BAD_DATA, -errno, ERR_NOMEM with words in *ret_err: "FILE: ..." or "FILE:LINE: ...". */
int properties_read(const char *path, properties_fn *fn, void *arg, struct err *ret_err);

#endif

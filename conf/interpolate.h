/* interpolate.h - ${env:NAME}, ${env:NAME:-default}, ${file:/path}, ${cred:NAME} inside one scalar's text. */
#ifndef SPILLWAY_CONF_INTERPOLATE_H
#define SPILLWAY_CONF_INTERPOLATE_H

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

/* Whether there is anything to do. */
bool interpolate_needed(const char *text);
/* Appends the result to `out`; *ret_masked is set when a part of it is secret (and left alone otherwise).
 * 0; ERR_NOMEM; ERR_CONFIG with words in *ret_err. What was put in is not looked at again. */
int  interpolate(const char *text, struct buf *out, bool *ret_masked, struct err *ret_err);

#endif

/* braces.h - {a,b} in globs: the texts that a pattern stands for. Also the agent's matcher resolves its patterns by it. */
#ifndef SPILLWAY_CONF_BRACES_H
#define SPILLWAY_CONF_BRACES_H

#include "agent/base/err.h"

enum {
	BRACES_ALTERNATIVES = 1000,	/* of one pattern */
	BRACES_PAIRS = 100,
	BRACES_LENGTH = 4096,		/* no path is longer */
};

/* Calls each(arg, text) for each alternative, from left to right; a pattern without braces is its only one. "\{" is the character
 * itself. 0; ERR_CONFIG with words: too long, too many, or one is not closed; else what `each` answered. */
int  braces_expand(const char *pattern, int (*each)(void *arg, const char *text, struct err *ret_err), void *arg,
		   struct err *ret_err);

#endif

/* braces.c - see braces.h.
 *
 * Why by text and not in the matcher: an alternative may hold a "/" or a "**", and each begins in directories of its own,
 *	which is what the walk needs to know.
 * Invariant: the first brace is resolved, the rest is left to a call for each of its pieces; so the depth is the number of pairs
 *	and the work is bounded by pairs times alternatives.
 * Threads: any; no state.
 */
#include "conf/braces.h"

#include <stddef.h>
#include <string.h>

#include "agent/base/mem.h"

struct expansion {
	int (*each)(void *arg, const char *text, struct err *ret_err);
	void *arg;
	struct err *ret_err;
	const char *pattern;		/* the whole, for words */
	size_t n;
};

static const char *find_brace(const char *p)
{
	for (; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '{')
			return p;
	}
	return NULL;
}

/* The end of the piece at p: its ',' or '}' on this level, or NULL. */
static const char *piece_end(const char *p)
{
	int depth = 0;

	for (; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '{')
			depth++;
		else if (*p == '}' && depth-- == 0)
			return p;
		else if (*p == ',' && depth == 0)
			return p;
	}
	return NULL;
}

static int expand(struct expansion *x, const char *text)
{
	const char *open = find_brace(text), *close = open, *end;
	int rc = 0;

	if (!open) {
		if (x->n++ >= BRACES_ALTERNATIVES)
			return err_set(x->ret_err, ERR_CONFIG, "\"%.200s\" stands for more than %d patterns", x->pattern,
				       BRACES_ALTERNATIVES);
		return x->each(x->arg, text, x->ret_err);
	}
	do {
		close = piece_end(close + 1);
	} while (close && *close != '}');
	if (!close)
		return err_set(x->ret_err, ERR_CONFIG, "\"%.200s\" has a \"{\" without its \"}\" (the character itself is \"\\{\")",
			       x->pattern);
	for (const char *piece = open + 1; rc == 0; piece = end + 1) {
		char *one;

		end = piece_end(piece);
		one = mem_printf("%.*s%.*s%s", (int)(open - text), text, (int)(end - piece), piece, close + 1);
		rc = one ? expand(x, one) : ERR_NOMEM;
		mem_free(one);
		if (end == close)
			break;
	}
	return rc;
}

int braces_expand(const char *pattern, int (*each)(void *arg, const char *text, struct err *ret_err), void *arg,
		  struct err *ret_err)
{
	struct expansion x = { each, arg, ret_err, pattern, 0 };
	size_t pairs = 0;

	if (strlen(pattern) >= BRACES_LENGTH)
		return err_set(ret_err, ERR_CONFIG, "\"%.200s...\" is longer than any path", pattern);
	for (const char *p = pattern; (p = find_brace(p)); p++)
		if (++pairs > BRACES_PAIRS)
			return err_set(ret_err, ERR_CONFIG, "\"%.200s\" has more than %d braces", pattern, BRACES_PAIRS);
	return expand(&x, pattern);
}

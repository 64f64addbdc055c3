/* glob.h - which files are meant: matching a path against a pattern, and walking the tree for one.
 *
 *	*	any bytes of one name		?	one byte of a name
 *	[a-z]	one of these ([!a-z], [^a-z]: none of these)		\x	x itself
 *	**	as a whole component: any number of directories, also none
 *	{a,b}	one of these texts, which may hold anything, also braces, "/" and **; resolved by glob_expand
 *
 * As in a shell, a dot at the beginning of a name is only matched by a dot. Patterns are absolute (glob_expand sees to it).
 */
#ifndef SPILLWAY_GLOB_H
#define SPILLWAY_GLOB_H

#include <stdbool.h>

#include "conf/conf.h"

#define GLOB_PATH_MAX 4096
#define GLOB_PATTERNS_MAX 1000		/* of one input: each path is compared with all */

bool glob_match(const char *pattern, const char *path);
/* An exclude pattern: without '/' it is compared with the last part, else with the whole path. */
bool glob_excludes(const char *pattern, const char *path);

/* Appends what `pattern` stands for: braces resolved, a relative one put behind `cwd`, "//" and "/./" cleaned.
 * Strings and array are the caller's (glob_strings_release). 0 or ERR_NOMEM; ERR_CONFIG: a pattern that the configuration refuses
 * (conf/braces.h says why), or *out would be longer than GLOB_PATTERNS_MAX. */
int  glob_expand(const char *pattern, const char *cwd, struct conf_strings *out);
/* The same for an exclude pattern: one without '/' stays a name. */
int  glob_expand_exclude(const char *pattern, const char *cwd, struct conf_strings *out);
void glob_strings_release(struct conf_strings *s);

struct glob_visitor {
	void *arg;
	/* A directory whose entries decide what matches; called before it is read, so that a watch set here misses nothing.
	 * Also the nearest existing parent of one that is not there yet. */
	void (*dir)(void *arg, const char *path);
	/* Something that is no directory and matches. Whether it is a regular file is not known yet. */
	void (*file)(void *arg, const char *path);
	/* A directory that cannot be read. */
	void (*failed)(void *arg, const char *path, int rc);
};

/* The first directory that an absolute pattern names, without a wildcard, and that is not there, into ret_dir, and why:
 * -ENOENT, -EACCES. 0: all are. */
int  glob_missing(const char *pattern, char ret_dir[GLOB_PATH_MAX]);

/* Calls the visitor for everything that `pattern` matches now; a path may come twice. Links to directories are followed
 * where the pattern names them, not where it only matches them. */
void glob_walk(const char *pattern, const struct glob_visitor *v);

#endif

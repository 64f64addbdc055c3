/* logrotate.h - how logrotate treats files, as far as somebody who reads them cares.
 *
 * Reads a configuration and what it includes: which paths, and copytruncate, compress, delaycompress, olddir, with the defaults
 * that stand before. Everything else is passed over. What cannot be read is left out: it is logrotate's to complain.
 */
#ifndef SPILLWAY_LOGROTATE_H
#define SPILLWAY_LOGROTATE_H

#include <stdbool.h>
#include <stddef.h>

#define LOGROTATE_PATHS_MAX 64

struct logrotate_rule {
	const char *file;		/* where it stands */
	int         line;		/* of its first path */
	const char *paths[LOGROTATE_PATHS_MAX];	/* globs, as written; at most so many */
	size_t      path_count;
	bool        copytruncate, compress, delaycompress;
	char        olddir[512];	/* "": none */
};

typedef void logrotate_fn(void *arg, const struct logrotate_rule *r);
/* Calls fn for each rule; it may not keep anything. */
void logrotate_read(const char *conf, logrotate_fn *fn, void *arg);

#endif

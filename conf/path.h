/* path.h - inside conf/: paths and globs as they are written become absolute ones. */
#ifndef SPILLWAY_CONF_PATH_H
#define SPILLWAY_CONF_PATH_H

#include <stdbool.h>

#include "agent/base/err.h"

/* *ret_path (mem_free) is `s`, or `s` below the current directory. 0, ERR_NOMEM, or ERR_CONFIG with words.
 * is_glob: the current directory must then be free of glob characters. */
int  path_absolute(const char *s, bool is_glob, char **ret_path, struct err *ret_err);
/* Whether each alternative of a glob can match a file, and there are not too many. 0, ERR_NOMEM, or ERR_CONFIG with words. */
int  path_check_glob(const char *s, struct err *ret_err);

/* The same for a glob that is relative to the directory of `file`. */
int  path_beside(const char *file, const char *s, char **ret_path, struct err *ret_err);

#endif

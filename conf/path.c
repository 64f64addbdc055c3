/* path.c - makes paths absolute, at load.
 *
 * Why: the agent may change its directory, and messages, positions and %{path} must not depend on where it was
 *	started.
 * Invariant: only leading "./" and "../" are resolved by text; getcwd's answer has no symlinks, so that is exact.
 */
#include "conf/path.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "conf/braces.h"

/* Takes leading "./" and "../" off *s, the latter together with the last part of cwd. */
static void climb(char *cwd, const char **s)
{
	for (;;) {
		size_t dots = strspn(*s, ".");

		if (dots < 1 || dots > 2 || ((*s)[dots] && (*s)[dots] != '/'))
			return;
		if (dots == 2)
			*strrchr(cwd, '/') = 0;
		if (!*cwd)
			memcpy(cwd, "/", 2);
		*s += dots;
		*s += strspn(*s, "/");
	}
}

struct kinds { size_t absolute, relative; };

static int count_kind(void *arg, const char *text, struct err *ret_err)
{
	struct kinds *k = arg;

	(void)ret_err;
	k->absolute += *text == '/';
	k->relative += *text != '/';
	return 0;
}

/* "{/a,/b}/x" is absolute too. 1: it is; 0: it is relative; or an error. */
static int is_absolute(const char *s, bool is_glob, struct err *ret_err)
{
	struct kinds k = { 0 };
	int rc;

	if (!is_glob || *s != '{')
		return *s == '/';
	rc = braces_expand(s, count_kind, &k, ret_err);
	if (rc)
		return rc;
	if (k.absolute && k.relative)
		return err_set(ret_err, ERR_CONFIG, "\"%.200s\" has absolute and relative alternatives, write two patterns", s);
	return k.absolute > 0;
}

int path_absolute(const char *s, bool is_glob, char **ret_path, struct err *ret_err)
{
	int absolute = is_absolute(s, is_glob, ret_err);
	char cwd[PATH_MAX];

	if (absolute < 0)
		return absolute;
	if (absolute) {
		*ret_path = mem_strdup(s);
		return *ret_path ? 0 : ERR_NOMEM;
	}
	if (!getcwd(cwd, sizeof cwd) || *cwd != '/')
		return err_set(ret_err, ERR_CONFIG, "\"%.200s\" is relative, and the current directory is unknown: %s",
			       s, strerror(errno));
	climb(cwd, &s);
	if (is_glob && strpbrk(cwd, "*?[]{}\\"))
		return err_set(ret_err, ERR_CONFIG, "\"%.200s\" is relative to a directory whose name has glob "
			       "characters, write an absolute path", s);
	*ret_path = mem_printf("%s%s%s", strcmp(cwd, "/") ? cwd : "", *s || !strcmp(cwd, "/") ? "/" : "", s);
	return *ret_path ? 0 : ERR_NOMEM;
}

int path_beside(const char *file, const char *s, char **ret_path, struct err *ret_err)
{
	int absolute = is_absolute(s, true, ret_err), rc;
	const char *slash = strrchr(file, '/');
	char *own, *dir = NULL;

	if (absolute)
		return absolute < 0 ? absolute : path_absolute(s, true, ret_path, ret_err);
	own = slash ? mem_strndup(file, (size_t)(slash - file) + 1) : mem_strdup("./");
	rc = own ? path_absolute(own, false, &dir, ret_err) : ERR_NOMEM;
	mem_free(own);
	if (!rc && strpbrk(dir, "*?[]{}\\"))
		rc = err_set(ret_err, ERR_CONFIG, "\"%.200s\" is relative to a directory whose name has glob characters, write an "
			     "absolute path", s);
	if (!rc) {
		*ret_path = mem_printf("%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", s);
		rc = *ret_path ? 0 : ERR_NOMEM;
	}
	mem_free(dir);
	return rc;
}

static int check_alternative(void *arg, const char *s, struct err *ret_err)
{
	size_t n = strlen(s);

	(void)arg;
	if (n && s[n - 1] == '/')
		return err_set(ret_err, ERR_CONFIG, "\"%.200s\" is a directory, its files are \"%.200s*\"", s, s);
	return 0;
}

int path_check_glob(const char *s, struct err *ret_err)
{
	return braces_expand(s, check_alternative, NULL, ret_err);
}

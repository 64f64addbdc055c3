/* denied.c - see denied.h.
 *
 * Why by asking the kernel name by name: modes, ACLs, capabilities and mandatory access control all have a word in it.
 * Threads: any that may ask for names of users (getpwuid).
 */
#define _GNU_SOURCE	/* faccessat's flags */
#include "agent/tail/denied.h"
#include "agent/base/beat.h"
#include "agent/base/slow.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void user_name(uid_t uid, char *to, size_t n)
{
	const struct passwd *p;

	beat_into("looking for a user");
	p = getpwuid(uid);
	beat_out();

	if (p)
		snprintf(to, n, "%s", p->pw_name);
	else
		snprintf(to, n, "%u", uid);
}

static void group_name(gid_t gid, char *to, size_t n)
{
	const struct group *g;

	beat_into("looking for a group");
	g = getgrgid(gid);
	beat_out();

	if (g)
		snprintf(to, n, "%s", g->gr_name);
	else
		snprintf(to, n, "%u", gid);
}

/* Whose it is, and which of the ways in is the nearest. */
static void say(const char *path, const struct stat *st, int how, char *to, size_t n)
{
	bool dir = S_ISDIR(st->st_mode), list = dir && how == R_OK;
	mode_t need = list ? 5 : dir ? 1 : 4;
	char user[64], group[64], me[64];

	user_name(st->st_uid, user, sizeof user);
	group_name(st->st_gid, group, sizeof group);
	user_name(geteuid(), me, sizeof me);
	if ((st->st_mode >> 3 & need) == need && st->st_gid)
		snprintf(to, n, "%s belongs to %s:%s, mode %04o: give %s the group (SupplementaryGroups=%s in a drop-in "
			 "of the unit)",
			 path, user, group, st->st_mode & 07777, me, group);
	else
		snprintf(to, n, "%s belongs to %s:%s, mode %04o: setfacl -m u:%s:%s %s, or CAP_DAC_READ_SEARCH in a "
			 "drop-in of the unit",
			 path, user, group, st->st_mode & 07777, me, list ? "rx" : dir ? "x" : "r", path);
}

/* False: it is denied, and that is said. */
static bool passes(const char *path, int how, char *to, size_t n)
{
	struct stat st;

	if (faccessat(AT_FDCWD, path, how, AT_EACCESS) == 0 || errno != EACCES)
		return true;
	if (slow_stat(path, &st) == 0)
		say(path, &st, how, to, n);
	else
		snprintf(to, n, "%s cannot be looked at", path);
	return false;
}

void denied_words(const char *path, char *to, size_t n)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	struct stat st;

	to[0] = '\0';
	if (path[0] != '/' || len >= sizeof part)
		return;
	for (size_t i = 1; i < len; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (!passes(part, X_OK, to, n))
			return;
	}
	if (passes(path, R_OK, to, n) && slow_stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		passes(path, X_OK, to, n);
}

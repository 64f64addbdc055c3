/* check_rotation.c - what logrotate does to files that an input matches.
 *
 * Why: renaming and creating anew loses nothing; copying and emptying loses what is written between the two, whoever reads the
 * file. It is the one way of a log file against which only its administrator can do something.
 */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/cmd/check.h"
#include "agent/cmd/logrotate.h"
#include "agent/record/glob.h"

/* The first file of a rule that an input reads, or path itself when nothing is there yet. False: no input does. */
static bool matched(const struct conf *conf, const char *path, char *to, size_t n, size_t *ret_input)
{
	size_t input = status_input_of(conf, path);
	glob_t g;

	snprintf(to, n, "%s", path);
	if (glob(path, 0, NULL, &g) == 0) {
		for (size_t i = 0; i < g.gl_pathc && input == SIZE_MAX; i++) {
			input = status_input_of(conf, g.gl_pathv[i]);
			if (input != SIZE_MAX)
				snprintf(to, n, "%s", g.gl_pathv[i]);
		}
		globfree(&g);
	}
	*ret_input = input;
	return input != SIZE_MAX;
}

/* logrotate's usual name of the copy. */
static bool copy_is_read(const struct conf *conf, const char *path)
{
	char copy[GLOB_PATH_MAX + 4];

	snprintf(copy, sizeof copy, "%s.1", path);
	return status_input_of(conf, copy) != SIZE_MAX;
}

static void check_copytruncate(struct check *c, const char *where, const char *path)
{
	bool copy = copy_is_read(c->conf->conf, path);

	check_warn(c, where, "copytruncate: what is written to %s between the copy and the truncation is lost%s; rotate it "
		   "with create instead, and let the program open its file anew (postrotate)", path, copy ? "" :
		   ", and so is what was not read yet, as no input matches the copy (add its name to paths, such as .1)");
}

static bool other_device(const char *path, const char *olddir)
{
	char dir[GLOB_PATH_MAX], other[GLOB_PATH_MAX + 520];
	struct stat a, b;
	char *slash;

	snprintf(dir, sizeof dir, "%s", path);
	slash = strrchr(dir, '/');
	if (!slash)
		return false;
	slash[slash == dir] = '\0';
	snprintf(other, sizeof other, "%s%s%s", olddir[0] == '/' ? "" : dir, olddir[0] == '/' ? "" : "/", olddir);
	return stat(dir, &a) == 0 && stat(other, &b) == 0 && a.st_dev != b.st_dev;
}

/* One file speaks for its rule: they are all treated the same. */
static void on_rule(void *arg, const struct logrotate_rule *r)
{
	struct check *c = arg;
	char path[GLOB_PATH_MAX], where[600];
	size_t input = SIZE_MAX;

	for (size_t i = 0; i < r->path_count && input == SIZE_MAX; i++)
		matched(c->conf->conf, r->paths[i], path, sizeof path, &input);
	if (input == SIZE_MAX)
		return;
	snprintf(where, sizeof where, "%.560s:%d", r->file, r->line);
	if (r->copytruncate)
		check_copytruncate(c, where, path);
	else if (r->olddir[0] && other_device(path, r->olddir))
		check_warn(c, where, "olddir %s is on another file system than %s: the file is copied there and removed, and "
			   "what was not read yet must be read from the open file; keep olddir on the same one", r->olddir, path);
	else if (r->compress && !r->delaycompress)
		check_ok(c, where, "%s is compressed as soon as it is rotated: followed as long as the agent runs; "
			 "delaycompress also keeps the rest for one that is started later", path);
}

void check_rotation(struct check *c, const char *conf)
{
	logrotate_read(conf, on_rule, c);
}

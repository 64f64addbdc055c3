/* tail_check.c - what `check` says of each input: how many files it has now, and whatever may surprise: one line each.
 *
 * Why by walking as the tail thread does: it is the same glob_walk, so what is counted here is what would be read.
 * Invariants
 *  (1) A file (device and inode) is counted once, for the first input that matches it.
 *  (2) Only what will not be read although it should be is a problem; the rest is said and changes no exit code.
 * Threads: any; it has nothing to do with the tail thread. Failure: short memory leaves a line out.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/map.h"
#include "agent/base/mem.h"
#include "agent/record/glob.h"
#include "agent/tail/denied.h"
#include "agent/tail/opening.h"
#include "agent/tail/tail.h"
#include "agent/record/text_json.h"

#define SHOWN 5			/* files that one kind of line is said of, for one input */

/* Of one kind: how many, and the first of them by name. */
struct some { size_t n; char *first; };

struct check {
	const struct conf *conf;
	const struct conf_input *in;
	size_t index;
	const char *cwd;
	struct conf_strings exclude;
	struct map *owners;		/* (device, inode) -> index of the input + 1 */
	struct buf *out;
	size_t files;
	int    problems, warnings;
	struct some links, older, packed, shared;
	size_t shared_with;
	/* Of one pattern. */
	size_t matched, linked, excluded, odd;
};

static void add_some(struct some *s, const char *path)
{
	s->n++;
	if (s->first && strcmp(path, s->first) > 0)
		return;
	mem_free(s->first);
	s->first = mem_strdup(path);
}

static void say_input(struct check *c, const char *kind)
{
	buf_printf(c->out, "%-9sinput ", kind);
	text_put_printable(c->out, c->in->name);
	buf_puts(c->out, ": ");
}

static void say_as(struct check *c, const char *kind, const char *what, const char *words)
{
	say_input(c, kind);
	text_put_printable(c->out, what);
	buf_puts(c->out, ": ");
	text_put_printable(c->out, words);
	buf_puts(c->out, "\n");
}

static void say(struct check *c, const char *what, const char *words)
{
	say_as(c, "warning:", what, words);
	c->warnings++;
}

static void __attribute__((format(printf, 2, 3))) put(struct check *c, const char *fmt, ...)
{
	va_list ap;

	say_input(c, "ok:");
	va_start(ap, fmt);
	buf_vprintf(c->out, fmt, ap);
	va_end(ap);
	buf_puts(c->out, "\n");
}

static void problem(struct check *c, const char *what, const char *words)
{
	if (c->problems++ < SHOWN)
		say_as(c, "error:", what, words);
}

/* With who denies it, and what to do. */
static void denied(struct check *c, const char *path, const char *words)
{
	char why[2 * GLOB_PATH_MAX + 400], all[sizeof why + 80];

	denied_words(path, why, sizeof why);
	snprintf(all, sizeof all, "%s%s%s", words, why[0] ? ": " : "", why);
	problem(c, path, all);
}

/* --- files --- */

static bool is_excluded(const struct check *c, const char *path)
{
	for (size_t i = 0; i < c->exclude.n; i++)
		if (glob_excludes(c->exclude.v[i], path))
			return true;
	return false;
}

/* true: it belongs to this input, and was not seen before. */
static bool own(struct check *c, const char *path, const struct stat *st)
{
	uint64_t key[2] = { st->st_dev, st->st_ino };
	size_t owner = (size_t)map_get(c->owners, key, sizeof key);

	if (owner && owner != c->index + 1) {
		if (!c->shared.n)
			c->shared_with = owner - 1;
		add_some(&c->shared, path);
	} else if (!owner) {
		map_put(c->owners, key, sizeof key, (void *)(c->index + 1));
	}
	return !owner;
}

static bool is_packed(const char *path)
{
	size_t n = strlen(path);

	return (n > 3 && !strcmp(path + n - 3, ".gz")) || (n > 4 && !strcmp(path + n - 4, ".zst"));
}

/* As `run` would open it. */
static void check_opening(struct check *c, const char *path)
{
	struct stat st;
	int fd = -1, rc = opening_open(path, c->in->follow_symlinks, &fd, &st);

	if (fd >= 0)
		close(fd);
	if (rc == -EACCES)
		denied(c, path, "cannot be read (permissions)");
	else if (rc == -EMLINK)
		problem(c, path, "not read: a hard link in a directory that others write");
	else if (rc == -EPERM)
		problem(c, path, "not read: a link of one user to a file of another");
	else if (rc < 0 && rc != -ENOENT)
		problem(c, path, err_text(rc));
}

static void check_regular(struct check *c, const char *path, const struct stat *st)
{
	if (!own(c, path, st))
		return;
	c->files++;
	check_opening(c, path);
	if (c->in->ignore_older_ms && (int64_t)(time(NULL) - st->st_mtime) > c->in->ignore_older_ms / 1000)
		add_some(&c->older, path);
	if (!c->in->compressed && is_packed(path))
		add_some(&c->packed, path);
}

static void check_file(void *arg, const char *path)
{
	struct check *c = arg;
	struct stat st;

	if (lstat(path, &st) < 0)
		return;
	if (is_excluded(c, path)) {
		c->excluded++;
	} else if (S_ISLNK(st.st_mode) && !c->in->follow_symlinks) {
		c->linked++;
		add_some(&c->links, path);
	} else if (S_ISLNK(st.st_mode) && stat(path, &st) < 0) {
		c->odd++;
		say(c, path, errno == ENOENT ? "a link that leads nowhere now" : strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		c->odd++;
		say(c, path, "not a regular file, not read");
	} else {
		c->matched++;
		check_regular(c, path, &st);
	}
}

static void check_dir(void *arg, const char *path)
{
	(void)arg, (void)path;
}

static void check_failed(void *arg, const char *path, int rc)
{
	if (rc == -EACCES)
		denied(arg, path, err_text(rc));
	else
		problem(arg, path, err_text(rc));
}

/* --- patterns --- */

/* true: it was said. */
static bool missing_dir(struct check *c, const char *pattern)
{
	char path[GLOB_PATH_MAX], words[GLOB_PATH_MAX + 60];
	int rc = glob_missing(pattern, path);

	if (rc == -EACCES) {
		denied(c, path, "cannot be looked into (permissions)");
	} else if (rc < 0) {
		snprintf(words, sizeof words, "there is no directory %s (yet)", path);
		say(c, pattern, words);
	}
	return rc < 0;
}

static void say_nothing_matches(struct check *c, const char *pattern)
{
	struct stat st;

	if (stat(pattern, &st) == 0 && S_ISDIR(st.st_mode))
		say(c, pattern, "a directory, its files are \"/*\" behind it");
	else if (c->linked)
		say(c, pattern, "only links match, and follow_symlinks is false: nothing is read");
	else if (c->excluded)
		say(c, pattern, "all that matches is excluded");
	else
		say(c, pattern, "no file matches (yet)");
}

static void check_pattern(struct check *c, const char *pattern)
{
	struct glob_visitor v = { .arg = c, .dir = check_dir, .file = check_file, .failed = check_failed };
	struct conf_strings all = { 0 };
	int problems = c->problems;
	bool missing = false;

	c->matched = c->linked = c->excluded = c->odd = 0;
	if (glob_expand(pattern, c->cwd, &all) < 0)
		problem(c, pattern, "bad pattern");
	for (size_t i = 0; i < all.n; i++) {
		missing |= missing_dir(c, all.v[i]);
		glob_walk(all.v[i], &v);
	}
	if (!c->matched && !c->odd && !missing && c->problems == problems)
		say_nothing_matches(c, pattern);
	glob_strings_release(&all);
}

static void say_some(struct check *c, struct some *s, const char *words)
{
	char *what = s->n > 1 ? mem_printf("%s (and %zu more)", s->first ? s->first : "", s->n - 1) : s->first;

	if (what)
		say(c, what, words);
	if (what != s->first)
		mem_free(what);
	mem_free(s->first);
}

static void say_more(struct check *c)
{
	say_input(c, "error:");
	buf_printf(c->out, "and %d more that cannot be read\n", c->problems - SHOWN);
}

static void check_files(struct check *c)
{
	char words[400];

	for (size_t i = 0; i < c->in->exclude.n; i++)
		if (glob_expand_exclude(c->in->exclude.v[i], c->cwd, &c->exclude) < 0)
			problem(c, c->in->exclude.v[i], "bad pattern");
	for (size_t i = 0; i < c->in->paths.n; i++)
		check_pattern(c, c->in->paths.v[i]);
	if (c->problems > SHOWN)
		say_more(c);
	snprintf(words, sizeof words, "read by input %.300s, which stands first", c->conf->inputs[c->shared_with].name);
	say_some(c, &c->shared, words);
	say_some(c, &c->links, "a link, not read: follow_symlinks is false");
	say_some(c, &c->older, "older than ignore_older, not read until it is written to");
	say_some(c, &c->packed, "its name says that it is compressed: exclude it, or set compressed: true");
	put(c, "%zu %s", c->files, c->files == 1 ? "file" : "files");
	glob_strings_release(&c->exclude);
}

/* --- what no file is behind --- */

static void check_socket(struct check *c)
{
	const char *path = !strncmp(c->in->listen, "unix:", 5) ? c->in->listen + 5 : NULL;
	char *dir = path ? mem_strdup(path) : NULL, *slash = dir ? strrchr(dir, '/') : NULL;

	put(c, "listens for syslog on %s", c->in->listen);
	if (slash)
		slash[slash == dir] = '\0';
	if (slash && access(dir, W_OK | X_OK) < 0)
		problem(c, dir, errno == ENOENT ? "there is no such directory for the socket" : strerror(errno));
	mem_free(dir);
}

static void check_journal(struct check *c)
{
	say_input(c, "ok:");
	buf_printf(c->out, "reads the journal, %s", c->in->units.n ? "only" : "all of it");
	for (size_t i = 0; i < c->in->units.n; i++)
		buf_printf(c->out, "%s %s", i ? "," : "", c->in->units.v[i]);
	buf_puts(c->out, "\n");
}

int tail_check(const struct conf *conf, struct buf *out, int *ret_warnings)
{
	char cwd[GLOB_PATH_MAX];
	struct map owners;
	int problems = 0, warnings = 0;

	if (!getcwd(cwd, sizeof cwd))
		snprintf(cwd, sizeof cwd, "/");
	map_init(&owners);
	for (size_t i = 0; i < conf->input_count; i++) {
		struct check c = { .conf = conf, .in = &conf->inputs[i], .index = i, .cwd = cwd, .owners = &owners, .out = out };

		if (c.in->type == CONF_TYPE_FILE)
			check_files(&c);
		else if (c.in->type == CONF_TYPE_SYSLOG)
			check_socket(&c);
		else if (c.in->type == CONF_TYPE_JOURNALD)
			check_journal(&c);
		else
			put(&c, "reads stdin");
		problems += c.problems;
		warnings += c.warnings;
	}
	map_release(&owners);
	*ret_warnings = warnings;
	return problems;
}

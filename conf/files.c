/* files.c - the files of a configuration: the one that is named, and those that its `include` brings.
 *
 * Why merged as trees: what follows knows one tree, whose nodes say in which file they stand. So defaults, required keys, the
 *	producer's cross-checks and their places need to know nothing of drop-ins.
 * Invariants
 *  (1) A key is set in one file only; a section may be spread over several, and the list of inputs grows in the order of the
 *	files: a pattern's are sorted by name, patterns come in the order of the list.
 *  (2) What is merged keeps its owner: trees stay on the loader's list until the end.
 *  (3) Who may write an included file may have any file shipped anywhere that the agent can read: only root and the owner of
 *	the configuration may. Nor may others write its directory: a link in it would have some other file of root's read.
 * Failure  problems, at the file that is wrong; the others are read in any case.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "conf/load.h"

enum {
	FILE_MAX = 1 << 20,		/* ends the reading of an endless file; the refusal is yaml.c's */
	FILES_MAX = 256,
	OPEN_TRIES = 100,
};

static int read_fd(int fd, struct buf *out)
{
	char chunk[16 * 1024];
	int rc = 0;

	while (!rc && out->len <= FILE_MAX) {
		ssize_t n = read(fd, chunk, sizeof chunk);

		if (n == 0)
			break;
		if (n < 0)
			rc = errno == EINTR ? 0 : -errno;
		else
			rc = buf_put(out, chunk, (size_t)n);
	}
	return rc;
}

int files_read(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = fd < 0 ? -errno : 0;

	buf_init(out, 2 * FILE_MAX);
	if (!rc)
		rc = read_fd(fd, out);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* --- merging --- */

static void set_twice(struct loader *l, const struct yaml_node *again, const struct yaml_node *first)
{
	load_problem(l, again, "\"%.80s\" is set in %s:%d:%d too, and a key is set in one file only", again->text, first->path,
		     first->line, first->column);
}

static struct yaml_pair *find(struct yaml_node *map, const char *key)
{
	for (size_t i = 0; i < map->count; i++)
		if (!strcmp(map->pairs[i].key->text, key))
			return &map->pairs[i];
	return NULL;
}

static void append(struct loader *l, struct yaml_node *into, const struct yaml_pair *p)
{
	struct yaml_pair *pairs = mem_grow(into->pairs, into->count, sizeof *pairs);

	if (!pairs) {
		l->nomem = true;
		return;
	}
	into->pairs = pairs;
	pairs[into->count++] = *p;
}

/* A section with an anchor may stand under another key too, and must not grow there. */
static struct yaml_node *make_own(struct loader *l, struct yaml_pair *at)
{
	const struct yaml_node *shared = at->value;
	struct yaml_node *own;

	if (!shared->anchor)
		return at->value;
	own = mem_new(struct yaml_node);
	if (!own) {
		l->nomem = true;
		return at->value;
	}
	*own = (struct yaml_node){ .kind = shared->kind, .path = shared->path, .line = shared->line, .column = shared->column,
				   .weight = shared->weight, .next = l->trees->all };
	l->trees->all = own;
	for (size_t i = 0; i < shared->count; i++)
		append(l, own, &shared->pairs[i]);
	return at->value = own;
}

static void merge_list(struct loader *l, struct yaml_node *into, const struct yaml_node *list)
{
	for (size_t i = 0; i < list->count; i++)
		append(l, into, &list->pairs[i]);
}

/* Two levels deep: a section in a section (headers, multiline) is of an input, and an input is in one file. */
static void merge_map(struct loader *l, struct yaml_node *into, const struct yaml_node *map, bool is_top)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct yaml_pair *p = &map->pairs[i];
		struct yaml_pair *here = find(into, p->key->text);
		bool same = here && here->value->kind == p->value->kind;

		if (!here)
			append(l, into, p);
		else if (is_top && same && p->value->kind == YAML_MAP)
			merge_map(l, make_own(l, here), p->value, false);
		else if (is_top && same && p->value->kind == YAML_LIST && !strcmp(p->key->text, "inputs"))
			merge_list(l, make_own(l, here), p->value);
		else if (yaml_is_null(here->value))	/* a section or list of comments only */
			*here = *p;
		else if (!yaml_is_null(p->value) || !is_top)
			set_twice(l, p->key, here->key);
	}
}

static void merge(struct loader *l, struct yaml_node *root, struct yaml_node *more)
{
	struct yaml_pair *nested;

	if (!more || yaml_is_null(more))
		return;
	if (more->kind != YAML_MAP) {
		load_problem(l, more, "the configuration must be a section of keys");
		return;
	}
	nested = find(more, "include");
	if (nested) {
		load_problem(l, nested->key, "\"include\" cannot stand in a file that is included itself, only in %s", l->path);
		*nested = more->pairs[--more->count];
	}
	merge_map(l, root, more, true);
}

/* --- one file --- */

/* What was read already: a pattern may match the configuration itself, or two may match one file. */
static bool is_known(const struct loader *l, const struct stat *st)
{
	struct stat other;

	for (size_t i = 0; i < l->conf->files.n; i++)
		if (stat(l->conf->files.v[i], &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino)
			return true;
	return false;
}

static void file_problem(struct loader *l, const char *path, const char *words)
{
	if (conf_problem_add(l->problems, path, 0, 0, "%s", words))
		l->nomem = true;
}

/* `what` is the file, or its directory. */
static bool may_be_trusted(struct loader *l, const char *path, const char *what, const struct stat *st)
{
	struct stat own;
	uid_t owner = stat(l->path, &own) == 0 ? own.st_uid : 0;
	char words[240];

	if (st->st_mode & S_IWOTH)
		snprintf(words, sizeof words, "everybody may write %s, so it is not read; take the right away: chmod o-w", what);
	else if (st->st_uid && st->st_uid != owner)
		snprintf(words, sizeof words, "%s belongs to user %lu, neither to root nor to the owner of the file that includes "
			 "it, so it is not read; change that: chown root", what, (unsigned long)st->st_uid);
	else
		return true;
	file_problem(l, path, words);
	return false;
}

/* A volume that is mounted read-only (Kubernetes' ConfigMaps are 0777) is nobody's to write. */
static bool directory_may_be_trusted(struct loader *l, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? mem_printf("%.*s", (int)(slash - path) + 1, path) : mem_strdup(".");
	struct statvfs fs;
	struct stat st;
	bool good;

	if (!dir)
		l->nomem = true;
	good = dir && ((statvfs(dir, &fs) == 0 && fs.f_flag & ST_RDONLY) ||
		       (stat(dir, &st) == 0 && may_be_trusted(l, path, "its directory", &st)));
	mem_free(dir);
	return good;
}

static void parse(struct loader *l, struct yaml_node *root, const char *path, const struct buf *text)
{
	struct yaml_tree *y = NULL;
	int rc = yaml_tree_parse(path, text->data ? text->data : "", text->len, &y, l->problems);

	if (rc == ERR_NOMEM)
		l->nomem = true;
	if (rc)
		return;
	y->more = l->trees;
	l->trees = y;
	merge(l, root, y->root);
}

static int read_trusted(struct loader *l, struct yaml_node *root, const char *path, int fd)
{
	struct buf text;
	struct stat st;
	int rc = fstat(fd, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : !S_ISREG(st.st_mode) ? -EINVAL : 0;

	if (rc < 0 || is_known(l, &st))
		return rc;
	path = load_add(l, &l->conf->files, path);
	if (!path || !may_be_trusted(l, path, "this file", &st) || !directory_may_be_trusted(l, path))
		return 0;
	buf_init(&text, 2 * FILE_MAX);
	rc = read_fd(fd, &text);
	if (!rc)
		parse(l, root, path, &text);
	buf_release(&text);
	return rc;
}

/* Whoever takes drop-ins away while they are looked for must not keep the agent from starting. A link to nowhere is there; what
 * is there again by now is opened again. */
static int open_drop_in(const char *path, bool *ret_vanished)
{
	struct stat st;
	int fd = -1;

	*ret_vanished = false;
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);		/* a FIFO must not hold the start */
		if (fd >= 0 || errno != ENOENT)
			break;
		*ret_vanished = lstat(path, &st) < 0 && errno == ENOENT;
		errno = ENOENT;
		if (*ret_vanished || S_ISLNK(st.st_mode))
			break;
	}
	return fd < 0 ? -errno : fd;
}

static void include_file(struct loader *l, struct yaml_node *root, const char *path)
{
	bool vanished;
	int fd = open_drop_in(path, &vanished);
	int rc = fd < 0 ? fd : read_trusted(l, root, path, fd);
	char words[120];

	if (fd >= 0)
		close(fd);
	if (rc == ERR_NOMEM)
		l->nomem = true;
	if (rc == 0 || rc == ERR_NOMEM || vanished)
		return;
	snprintf(words, sizeof words, "cannot be read, and \"include\" names it: %s",
		 rc == -EINVAL ? "it is no file" : err_text(rc));
	file_problem(l, path, words);
}

/* --- patterns --- */

static _Thread_local int glob_errno;	/* glob's callback has no argument */

/* A directory that is not there holds nothing; one that cannot be read may hold anything. */
static int glob_failed(const char *path, int error)
{
	(void)path;
	glob_errno = error;
	return error != ENOENT && error != ENOTDIR;
}

static void include_matches(struct loader *l, struct yaml_node *root, const struct yaml_node *at, const glob_t *found)
{
	for (size_t i = 0; i < found->gl_pathc && !l->nomem; i++) {
		if (l->conf->files.n > FILES_MAX) {
			load_problem(l, at, "\"include\" must not bring more than %d files", FILES_MAX);
			return;
		}
		include_file(l, root, found->gl_pathv[i]);
	}
}

static void include_pattern(struct loader *l, struct yaml_node *root, const struct yaml_node *at, const char *pattern)
{
	glob_t found = { 0 };
	int rc;

	if (at->masked) {	/* the names of files are in every problem's words */
		load_problem(l, at, "\"include\" cannot come from ${file:} or ${cred:}, as file names are no secrets");
		return;
	}
	rc = glob(pattern, GLOB_BRACE, glob_failed, &found);

	if (rc == GLOB_NOSPACE)
		l->nomem = true;
	else if (rc == GLOB_ABORTED)
		load_problem(l, at, "\"include\": \"%.200s\": a directory cannot be read: %s", pattern, err_text(-glob_errno));
	else if (rc == GLOB_NOMATCH && !strpbrk(pattern, "*?[{"))
		load_problem(l, at, "\"include\": there is no \"%.200s\"; only a pattern (such as conf.d/*.yaml) may match nothing",
			     pattern);
	else if (rc == 0)
		include_matches(l, root, at, &found);
	globfree(&found);
}

void files_include(struct loader *l, struct yaml_node *root)
{
	struct yaml_pair *p = root->kind == YAML_MAP ? find(root, "include") : NULL;
	struct conf_strings *list = &l->conf->include;
	const struct yaml_node *v;

	if (!p)
		return;
	v = p->value;
	load_value(l, keys_find(&keys_top, "include"), l->conf, p->key, p->value);
	/* Each at its own place; at the list's when some of it was refused. */
	for (size_t i = 0; l->follow && i < list->n; i++)
		include_pattern(l, root, v->kind == YAML_LIST && v->count == list->n ? v->pairs[i].value : v, list->v[i]);
}

/* glob.c - patterns: matcher, brace expansion, walker.
 *
 * Why our own: glob(3) knows no `**`, cannot say which directories decide the answer, and re-reads all of them for one
 * new file. Here the same walk finds files and the directories to watch.
 *
 * Invariants
 *  (1) glob_walk calls file(path) exactly for existing paths with glob_match(pattern, path) that are no directories.
 *  (2) dir(path) comes before path is read: who watches it there cannot miss a file.
 *  (3) matching takes time proportional to pattern times text: only the last star is ever tried again.
 * Threads: any. Failure: a directory that cannot be read is told to the visitor; the walk goes on.
 */
#include "agent/record/glob.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/mem.h"
#include "agent/base/slow.h"
#include "conf/braces.h"

#define DEPTH_MAX 128

/* --- One component --- */

static bool is_star_star(const char *p, size_t n)
{
	return n == 2 && p[0] == '*' && p[1] == '*';
}

static bool has_magic(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strchr("*?[\\", p[i]))
			return true;
	return false;
}

/* Matches c against the set at p (behind its '['). Returns its length including ']', or 0: not closed, a plain '['. */
static size_t match_set(const char *p, size_t n, unsigned char c, bool *ret_match)
{
	size_t i = 0, first;
	bool negated = n && (p[0] == '!' || p[0] == '^'), match = false;

	i = first = negated;
	for (; i < n && (p[i] != ']' || i == first); i++) {
		unsigned char lo, hi;

		if (p[i] == '\\' && i + 1 < n)
			i++;
		lo = hi = (unsigned char)p[i];
		if (i + 2 < n && p[i + 1] == '-' && p[i + 2] != ']') {
			i += 2;
			if (p[i] == '\\' && i + 1 < n)
				i++;
			hi = (unsigned char)p[i];
		}
		match |= lo <= c && c <= hi;
	}
	if (i >= n)
		return 0;
	*ret_match = match != negated;
	return i + 1;
}

/* Matches one byte against the element at p; *ret_len is the element's length. */
static bool match_one(const char *p, size_t n, char c, size_t *ret_len)
{
	bool match = false;
	size_t set;

	*ret_len = 1;
	if (p[0] == '?')
		return true;
	if (p[0] == '[' && (set = match_set(p + 1, n - 1, (unsigned char)c, &match)) > 0) {
		*ret_len = 1 + set;
		return match;
	}
	if (p[0] == '\\' && n > 1) {
		*ret_len = 2;
		return p[1] == c;
	}
	return p[0] == c;
}

static bool match_name(const char *p, size_t pn, const char *s, size_t sn)
{
	size_t i = 0, j = 0, star = SIZE_MAX, star_j = 0, len;

	if (sn && s[0] == '.' && !(pn && (p[0] == '.' || (p[0] == '\\' && pn > 1 && p[1] == '.'))))
		return false;
	while (j < sn) {
		if (i < pn && p[i] == '*') {
			star = ++i;
			star_j = j;
		} else if (i < pn && match_one(p + i, pn - i, s[j], &len)) {
			i += len;
			j++;
		} else if (star != SIZE_MAX) {
			i = star;
			j = ++star_j;
		} else {
			return false;
		}
	}
	while (i < pn && p[i] == '*')
		i++;
	return i == pn;
}

/* --- Whole paths: the same star rule again, over components --- */

static size_t part_len(const char *p)
{
	return strcspn(p, "/");
}

static const char *next_part(const char *p)
{
	p += part_len(p);
	while (*p == '/')
		p++;
	return p;
}

bool glob_match(const char *pattern, const char *path)
{
	const char *star = NULL, *star_path = NULL;

	while (*pattern == '/')
		pattern++;
	while (*path == '/')
		path++;
	while (*path) {
		size_t pn = part_len(pattern), sn = part_len(path);

		if (*pattern && is_star_star(pattern, pn)) {
			star_path = path;
			star = pattern = next_part(pattern);
			if (!*pattern && path[0] != '.')	/* ** at the end: every file below */
				star = pattern = "*";
		} else if (*pattern && match_name(pattern, pn, path, sn)) {
			pattern = next_part(pattern);
			path = next_part(path);
		} else if (star && star_path[0] != '.') {
			pattern = star;
			path = star_path = next_part(star_path);
		} else {
			return false;
		}
	}
	return !*pattern;
}

bool glob_excludes(const char *pattern, const char *path)
{
	const char *name = strrchr(path, '/');

	if (strchr(pattern, '/'))
		return glob_match(pattern, path);
	name = name ? name + 1 : path;
	return match_name(pattern, strlen(pattern), name, strlen(name));
}

/* --- Braces --- */

void glob_strings_release(struct conf_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		mem_free(s->v[i]);
	mem_free(s->v);
	*s = (struct conf_strings){ 0 };
}

static void clean_path(char *path)
{
	char *out = path;

	for (const char *p = path; *p;) {
		if (p[0] == '/' && (p[1] == '/' || (p[1] == '.' && (p[2] == '/' || !p[2])))) {
			p += p[1] == '/' ? 1 : 2;
			continue;
		}
		*out++ = *p++;
	}
	*out = 0;
}

/* cwd NULL: as it is. */
static int add_string(const char *text, const char *cwd, struct conf_strings *out)
{
	char **v = mem_realloc(out->v, (out->n + 1) * sizeof *v);
	char *s;

	if (!v)
		return ERR_NOMEM;
	out->v = v;
	s = text[0] == '/' || !cwd ? mem_strdup(text) : mem_printf("%s/%s", cwd, text);
	if (!s)
		return ERR_NOMEM;
	clean_path(s);
	out->v[out->n++] = s;
	return 0;
}

struct expansion { const char *cwd; struct conf_strings *out; };

static int add_alternative(void *arg, const char *text, struct err *ret_err)
{
	struct expansion *x = arg;

	(void)ret_err;
	if (x->out->n >= GLOB_PATTERNS_MAX)
		return ERR_CONFIG;
	return add_string(text, x->cwd, x->out);
}

int glob_expand(const char *pattern, const char *cwd, struct conf_strings *out)
{
	struct expansion x = { cwd, out };

	return braces_expand(pattern, add_alternative, &x, NULL);
}

int glob_expand_exclude(const char *pattern, const char *cwd, struct conf_strings *out)
{
	return glob_expand(pattern, strchr(pattern, '/') ? cwd : NULL, out);
}

/* --- The walk --- */

struct walk {
	const struct glob_visitor *v;
	char path[GLOB_PATH_MAX];	/* where we are; "" is the root */
	size_t len;
	int depth;
};

static void walk_part(struct walk *w, const char *pattern);

/* Puts "/name" behind the path. false: too long, such a file cannot be opened either. */
static bool push(struct walk *w, const char *name, size_t n)
{
	if (w->len + 1 + n >= sizeof w->path)
		return false;
	w->path[w->len] = '/';
	memcpy(w->path + w->len + 1, name, n);
	w->len += 1 + n;
	w->path[w->len] = 0;
	return true;
}

static void pop(struct walk *w, size_t len)
{
	w->len = len;
	w->path[len] = 0;
}

static const char *here(const struct walk *w)
{
	return w->len ? w->path : "/";
}

/* The rest of the pattern in the directory of this name. false: there is none. */
static bool walk_below(struct walk *w, const char *name, size_t n, const char *rest)
{
	size_t len = w->len;
	struct stat st;
	bool there;

	if (!push(w, name, n))
		return true;			/* nothing can have so long a path */
	there = slow_stat(w->path, &st) == 0 && S_ISDIR(st.st_mode);
	if (there)
		walk_part(w, rest);
	pop(w, len);
	return there;
}

/* A name without wildcards: no reason to read the directory. */
static void walk_literal(struct walk *w, const char *pattern, size_t n)
{
	const char *rest = next_part(pattern);
	size_t len = w->len;
	struct stat st;

	if (*rest) {
		if (walk_below(w, pattern, n, rest))
			return;
		/* It may have been made before somebody watched for that. */
		w->v->dir(w->v->arg, here(w));
		walk_below(w, pattern, n, rest);
		return;
	}
	w->v->dir(w->v->arg, here(w));
	if (!push(w, pattern, n))
		return;
	if (slow_lstat(w->path, &st) == 0 && !S_ISDIR(st.st_mode))
		w->v->file(w->v->arg, w->path);
	pop(w, len);
}

static bool entry_is_dir(const struct walk *w, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return slow_lstat(w->path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void walk_entry(struct walk *w, const struct dirent *e, const char *pattern, size_t n, bool all)
{
	const char *rest = all ? pattern : next_part(pattern);
	size_t len = w->len, name_len = strlen(e->d_name);

	if (all ? e->d_name[0] == '.' : !match_name(pattern, n, e->d_name, name_len))
		return;
	if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !push(w, e->d_name, name_len))
		return;
	if (entry_is_dir(w, e)) {
		if (*rest)
			walk_part(w, rest);
	} else if (!all && !*rest) {
		w->v->file(w->v->arg, w->path);
	}
	pop(w, len);
}

/* all: every directory, with the same pattern again; else the names that match its first component. */
static void walk_dir(struct walk *w, const char *pattern, size_t n, bool all)
{
	struct dirent *e;
	DIR *d;

	w->v->dir(w->v->arg, here(w));
	d = slow_opendir(here(w));
	if (!d) {
		if (errno != ENOENT)
			w->v->failed(w->v->arg, here(w), -errno);
		return;
	}
	while ((e = slow_readdir(d)))
		walk_entry(w, e, pattern, n, all);
	closedir(d);
}

static void walk_part(struct walk *w, const char *pattern)
{
	size_t n = part_len(pattern);
	const char *rest;

	if (++w->depth <= DEPTH_MAX) {
		if (is_star_star(pattern, n)) {
			rest = next_part(pattern);
			walk_part(w, *rest ? rest : "*");
			walk_dir(w, pattern, n, true);
		} else if (has_magic(pattern, n)) {
			walk_dir(w, pattern, n, false);
		} else {
			walk_literal(w, pattern, n);
		}
	}
	w->depth--;
}

void glob_walk(const char *pattern, const struct glob_visitor *v)
{
	struct walk w = { .v = v };

	while (*pattern == '/')
		pattern++;
	if (*pattern)
		walk_part(&w, pattern);
}

int glob_missing(const char *pattern, char ret_dir[GLOB_PATH_MAX])
{
	struct stat st;

	for (const char *p = pattern + 1, *end; (end = strchr(p, '/')); p = end + 1) {
		size_t n = (size_t)(end - pattern);

		if (strcspn(p, "*?[\\") < (size_t)(end - p) || n >= GLOB_PATH_MAX)
			return 0;
		memcpy(ret_dir, pattern, n);
		ret_dir[n] = '\0';
		if (slow_stat(ret_dir, &st) < 0)
			return errno == EACCES ? -EACCES : -ENOENT;
		if (!S_ISDIR(st.st_mode))
			return -ENOENT;
	}
	return 0;
}

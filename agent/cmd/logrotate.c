/* logrotate.c - see logrotate.h. Format: logrotate(8).
 *
 *	directive [argument]		global: a default for the rules behind it
 *	path "path with blanks" {	a rule; paths may also stand on several lines, "{" on one of its own
 *		directive
 *		postrotate		a script, up to "endscript": not looked into
 *	}
 *	include file-or-directory
 *
 * Threads: any. What is being read is not included again, so a circle ends.
 */
#include "agent/cmd/logrotate.h"

#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/mem.h"

#define INCLUDE_MAX 4
#define LINE_BYTES 8192

/* logrotate passes over these in a directory (its taboo list). */
static const char *const taboo[] = { "*,v", "*~", "*.bak", "*.cfsaved", "*.disabled", "*.dpkg-*", "*.rpmnew", "*.rpmorig",
				     "*.rpmsave", "*.swp", "*.ucf-*", ".*", NULL };

struct parse {
	logrotate_fn *fn;
	void *arg;
	const char *file;
	int   line, depth;
	struct { dev_t dev; ino_t ino; } inside[INCLUDE_MAX];	/* depth of them: what is being read */
	struct logrotate_rule defaults;	/* what stands before the rules; goes on behind an include */
	struct logrotate_rule rule;
	bool  in_rule, in_script;
};

static void read_conf(struct parse *p, const char *path);

/* --- words --- */

/* The next word of *at, quotes taken off; NULL: none is left. Changes the line. */
static char *next_word(char **at)
{
	char *w = *at + strspn(*at, " \t\r\n=,"), *end;

	if (!*w || *w == '#')
		return NULL;
	if (*w == '"' || *w == '\'') {
		char quote = *w++;

		end = strchr(w, quote);
	} else {
		end = w + strcspn(w, " \t\r\n=,");
		if (!*end)
			end = NULL;
	}
	*at = end ? end + 1 : w + strlen(w);
	if (end)
		*end = '\0';
	return w;
}

/* --- directives --- */

struct flag { const char *name; size_t offset; bool value; };
#define FIELD(f) offsetof(struct logrotate_rule, f)
static const struct flag flags[] = {
	{ "copytruncate", FIELD(copytruncate), true }, { "nocopytruncate", FIELD(copytruncate), false },
	{ "compress", FIELD(compress), true }, { "nocompress", FIELD(compress), false },
	{ "delaycompress", FIELD(delaycompress), true }, { "nodelaycompress", FIELD(delaycompress), false },
};

static bool begins_script(const char *w)
{
	return !strcmp(w, "postrotate") || !strcmp(w, "prerotate") || !strcmp(w, "firstaction") || !strcmp(w, "lastaction") ||
	       !strcmp(w, "preremove");
}

static void take_directive(struct parse *p, const char *w, char *rest)
{
	struct logrotate_rule *r = p->in_rule ? &p->rule : &p->defaults;
	char *argument;

	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (!strcmp(flags[i].name, w))
			*(bool *)(void *)((char *)r + flags[i].offset) = flags[i].value;
	if (!strcmp(w, "noolddir"))
		r->olddir[0] = '\0';
	argument = !strcmp(w, "olddir") || (!p->in_rule && !strcmp(w, "include")) ? next_word(&rest) : NULL;
	if (argument && w[0] == 'o')
		snprintf(r->olddir, sizeof r->olddir, "%s", argument);
	else if (argument)
		read_conf(p, argument);
	else if (begins_script(w))
		p->in_script = true;
}

/* --- rules --- */

static void release_paths(struct logrotate_rule *r)
{
	for (size_t i = 0; i < r->path_count; i++)
		mem_free((char *)(size_t)r->paths[i]);
	r->path_count = 0;
}

static void add_path(struct parse *p, const char *path)
{
	char *copy = p->rule.path_count < LOGROTATE_PATHS_MAX ? mem_strdup(path) : NULL;

	if (!p->rule.path_count)
		p->rule.line = p->line;
	if (copy)
		p->rule.paths[p->rule.path_count++] = copy;
}

/* The defaults of here, with the paths that were read. */
static void begin_rule(struct parse *p)
{
	struct logrotate_rule paths = p->rule;

	p->rule = p->defaults;
	memcpy(p->rule.paths, paths.paths, sizeof paths.paths);
	p->rule.path_count = paths.path_count;
	p->rule.line = paths.line;
	p->rule.file = p->file;
	p->in_rule = true;
}

static void end_rule(struct parse *p)
{
	if (p->in_rule && p->rule.path_count)
		p->fn(p->arg, &p->rule);
	release_paths(&p->rule);
	p->in_rule = false;
}

/* Outside of rules: paths begin with "/" (or are quoted), all else is a directive. */
static void take_outside(struct parse *p, char *line)
{
	char *at = line, *w = next_word(&at);

	if (w && w[0] != '/' && w[0] != '{') {
		take_directive(p, w, at);
		return;
	}
	for (; w; w = next_word(&at)) {
		size_t n = strlen(w);
		bool opens = n && w[n - 1] == '{';

		if (opens)
			w[n - 1] = '\0';
		if (*w)
			add_path(p, w);
		if (opens)
			begin_rule(p);
	}
}

static void take_line(struct parse *p, char *line)
{
	char *at = line, *w;

	if (!p->in_rule && !p->in_script) {
		take_outside(p, line);
		return;
	}
	w = next_word(&at);
	if (!w)
		return;
	if (p->in_script)
		p->in_script = strcmp(w, "endscript") != 0;
	else if (w[0] == '}')
		end_rule(p);
	else
		take_directive(p, w, at);
}

/* --- files --- */

static void read_file(struct parse *p, const char *path)
{
	const char *outer = p->file;
	int outer_line = p->line;
	FILE *f = fopen(path, "re");
	char line[LINE_BYTES];

	if (!f)
		return;
	p->file = path;
	p->line = 0;
	while (fgets(line, sizeof line, f)) {
		p->line++;
		take_line(p, line);
	}
	p->in_script = p->in_rule = false;	/* one that was not ended is logrotate's error */
	release_paths(&p->rule);
	fclose(f);
	p->file = outer;
	p->line = outer_line;
}

static bool is_taboo(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	for (int i = 0; taboo[i]; i++)
		if (fnmatch(taboo[i], name, 0) == 0)
			return true;
	return false;
}

/* In the order of names, as logrotate does. */
static void read_directory(struct parse *p, const char *dir)
{
	char pattern[4096];
	struct stat st;
	glob_t g;

	snprintf(pattern, sizeof pattern, "%.4000s/*", dir);
	if (glob(pattern, 0, NULL, &g) != 0)
		return;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		struct logrotate_rule before = p->defaults;

		if (!is_taboo(g.gl_pathv[i]) && stat(g.gl_pathv[i], &st) == 0 && S_ISREG(st.st_mode))
			read_file(p, g.gl_pathv[i]);
		p->defaults = before;	/* of one file of a directory only */
	}
	globfree(&g);
}

static bool is_inside(const struct parse *p, const struct stat *st)
{
	for (int i = 0; i < p->depth; i++)
		if (p->inside[i].dev == st->st_dev && p->inside[i].ino == st->st_ino)
			return true;
	return false;
}

static void read_conf(struct parse *p, const char *path)
{
	char *copy = mem_strdup(path);		/* it may stand in a line that is read over */
	struct stat st;

	if (copy && stat(copy, &st) == 0 && p->depth < INCLUDE_MAX && !is_inside(p, &st)) {
		p->inside[p->depth].dev = st.st_dev;
		p->inside[p->depth++].ino = st.st_ino;
		if (S_ISDIR(st.st_mode))
			read_directory(p, copy);
		else
			read_file(p, copy);
		p->depth--;
	}
	mem_free(copy);
}

void logrotate_read(const char *conf, logrotate_fn *fn, void *arg)
{
	struct parse p = { .fn = fn, .arg = arg };

	read_conf(&p, conf);
}

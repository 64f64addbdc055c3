/* logrotate.c - see logrotate.h. Format: logrotate(8).
 *
 *	directive [argument]		global: a default for the rules behind it
 *	path "path with blanks" {	a rule; paths may also stand on several lines, "{" on one of its own, all of it on one
 *		directive
 *		postrotate		a script, up to "endscript": not looked into
 *	}
 *	include file-or-directory
 *	tabooext, taboopat [+]	names that are passed over in a directory
 *
 * Threads: any. What is being read is not included again, so a circle ends.
 */
#include "agent/cmd/logrotate.h"

#include <ctype.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/mem.h"

#define INCLUDE_MAX 4
#define LINE_BYTES 8192

#define TABOO_BYTES 1024

/* logrotate passes over these in a directory (its taboo list), until it is told otherwise. */
static const char *const taboo[] = {
	"*,v", "*~", "*.bak", "*.cfsaved", "*.disabled", "*.dpkg-*", "*.new", "*.old", "*.orig", "*.pacnew", "*.pacorig",
	"*.pacsave", "*.rhn-cfg-tmp-*", "*.rpmnew", "*.rpmorig", "*.rpmsave", "*.swp", "*.ucf-*", NULL
};

struct parse {
	logrotate_fn *fn;
	void *arg;
	const char *file;
	int   line, depth;
	struct { dev_t dev; ino_t ino; } inside[INCLUDE_MAX];	/* depth of them: what is being read */
	struct logrotate_rule defaults;	/* what stands before the rules; goes on behind an include */
	struct logrotate_rule rule;
	bool  in_rule, in_script;
	bool  own_taboo;		/* instead of the list above; else beside it */
	char  taboo[TABOO_BYTES];	/* patterns, each with a NUL */
	size_t taboo_len;
};

static void read_conf(struct parse *p, const char *path);

/* --- words --- */

#define BLANKS    " \t\r\n"
#define ARGUMENTS BLANKS "="		/* "olddir=/x", too */

/* The next word of *at, quotes and backslashes taken off; NULL: none is left. Changes the line. */
static char *next_word(char **at, const char *stops)
{
	char *from = *at + strspn(*at, stops), *w = from, *to = from, quote = '\0';

	if (!*from || *from == '#')
		return NULL;
	for (; *from && (quote || !strchr(stops, *from)); from++) {
		if (quote && *from == quote)
			quote = '\0';
		else if (!quote && (*from == '"' || *from == '\''))
			quote = *from;
		else
			*to++ = *from == '\\' && from[1] && quote != '\'' ? *++from : *from;
	}
	*at = from + (*from != '\0');
	*to = '\0';
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

/* "+" first: beside those that are there. as: "*%s" of endings, "%s" of patterns. */
static void take_taboo(struct parse *p, char *rest, bool endings)
{
	char *w = next_word(&rest, ARGUMENTS ",");

	if (w && strcmp(w, "+") != 0) {
		p->own_taboo = true;
		p->taboo_len = 0;
	} else if (w) {
		w = next_word(&rest, ARGUMENTS ",");
	}
	for (; w && p->taboo_len + strlen(w) + 2 < sizeof p->taboo; w = next_word(&rest, ARGUMENTS ","))
		p->taboo_len += (size_t)snprintf(p->taboo + p->taboo_len, sizeof p->taboo - p->taboo_len, "%s%s",
						 endings ? "*" : "", w) + 1;
}

/* Takes what it needs of the line's rest; *rest "": all of it. */
static void take_directive(struct parse *p, const char *w, char **rest)
{
	struct logrotate_rule *r = p->in_rule ? &p->rule : &p->defaults;
	char *argument;

	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (!strcmp(flags[i].name, w))
			*(bool *)(void *)((char *)r + flags[i].offset) = flags[i].value;
	if (!strcmp(w, "noolddir")) {
		r->olddir[0] = '\0';
	} else if (!strcmp(w, "olddir") && (argument = next_word(rest, ARGUMENTS))) {
		snprintf(r->olddir, sizeof r->olddir, "%s", argument);
	} else if (!strcmp(w, "include") && !p->in_rule && (argument = next_word(rest, ARGUMENTS))) {
		read_conf(p, argument);
	} else if (!strcmp(w, "tabooext") || !strcmp(w, "taboopat")) {
		take_taboo(p, *rest, w[5] == 'e');
		*rest += strlen(*rest);
	} else if (begins_script(w)) {
		p->in_script = true;
		*rest += strlen(*rest);
	}
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

/* Directives may share a line, also with the "}" behind them. An argument is no name of a directive that matters here. */
static void take_directives(struct parse *p, char *at)
{
	char *w;

	while ((w = next_word(&at, ARGUMENTS))) {
		if (w[0] == '}') {
			end_rule(p);
			return;
		}
		take_directive(p, w, &at);
	}
}

/* Whatever is quoted: the first "{" ends the paths. */
static void take_paths(struct parse *p, char *at)
{
	char *rule = strchr(at, '{'), *w;

	if (rule)
		*rule = '\0';
	while ((w = next_word(&at, BLANKS)))
		add_path(p, w);
	if (rule) {
		begin_rule(p);
		take_directives(p, rule + 1);
	}
}

static void take_line(struct parse *p, char *line)
{
	char *at = line + strspn(line, BLANKS);

	if (*at == '#' || !*at)
		return;
	if (p->in_script)
		p->in_script = strncmp(at, "endscript", 9) != 0 || isalpha((unsigned char)at[9]);
	else if (!p->in_rule && (p->rule.path_count || strchr("/~\"'{", *at)))
		take_paths(p, at);
	else
		take_directives(p, at);
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

static bool is_taboo(const struct parse *p, const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	for (int i = 0; taboo[i] && !p->own_taboo; i++)
		if (fnmatch(taboo[i], name, 0) == 0)
			return true;
	for (size_t i = 0; i < p->taboo_len; i += strlen(p->taboo + i) + 1)
		if (fnmatch(p->taboo + i, name, 0) == 0)
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

		if (!is_taboo(p, g.gl_pathv[i]) && stat(g.gl_pathv[i], &st) == 0 && S_ISREG(st.st_mode))
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
		else if (S_ISREG(st.st_mode))		/* a FIFO would keep us waiting */
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

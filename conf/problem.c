/* problem.c - the list of what is wrong with a configuration, and the hints in it.
 *
 * Why: people mend a file in one go when they see everything at once, in the order of its lines.
 * Invariants: a text is one line without control bytes (values from the file end up on a terminal).
 * Failure: ERR_NOMEM, the list stays as it was.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/units.h"
#include "conf/conf.h"
#include "conf/problem.h"

enum { PROBLEMS_MAX = 100 };

static void clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static int append(struct conf_problems *p, char *text, int line, int column)
{
	struct conf_problem *v = text ? mem_grow(p->v, p->n, sizeof *v) : NULL;

	if (!v) {
		mem_free(text);
		return ERR_NOMEM;
	}
	clean(text);
	p->v = v;
	p->v[p->n++] = (struct conf_problem){ text, line, column };
	return 0;
}

int conf_problem_add(struct conf_problems *p, const char *path, int line, int column, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (p->n >= PROBLEMS_MAX)
		return 0;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (p->n == PROBLEMS_MAX - 1)
		return append(p, mem_printf("%s: too many problems, the rest is not shown", path), line, column);
	if (line <= 0)
		return append(p, mem_printf("%s: %s", path, text), 0, 0);
	return append(p, mem_printf("%s:%d:%d: %s", path, line, column, text), line, column);
}

/* Which file a problem is of; its words begin with the name. */
static size_t rank(const struct conf_problem *p, const struct conf_strings *files)
{
	for (size_t i = 0; i < files->n; i++) {
		size_t n = strlen(files->v[i]);

		if (!strncmp(p->text, files->v[i], n) && p->text[n] == ':')
			return i;
	}
	return files->n;
}

static bool before(const struct conf_problem *a, const struct conf_problem *b, const struct conf_strings *files)
{
	size_t x = rank(a, files), y = rank(b, files);

	if (x != y)
		return x < y;
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void problems_sort(struct conf_problems *p, const struct conf_strings *files)
{
	for (size_t i = 1; i < p->n; i++) {
		struct conf_problem x = p->v[i];
		size_t j = i;

		for (; j > 0 && before(&x, &p->v[j - 1], files); j--)
			p->v[j] = p->v[j - 1];
		p->v[j] = x;
	}
}

void conf_problems_release(struct conf_problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		mem_free(p->v[i].text);
	mem_free(p->v);
	*p = (struct conf_problems){ 0 };
}

const char *problem_hint(char *buf, size_t n, const char *word, const char *const *names)
{
	const char *near = units_nearest(word, names);

	*buf = 0;
	if (near && strcmp(near, word))
		snprintf(buf, n, " (did you mean \"%s\"?)", near);
	return buf;
}

/* filter.c - see filter.h. */
#include "agent/record/filter.h"

#include <stdio.h>

#include "agent/base/mem.h"

int filter_add(struct filter_patterns *p, const char *text, struct err *ret_err)
{
	struct pattern **v = mem_grow(p->v, p->n, sizeof *p->v);
	int rc;

	if (!v)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	p->v = v;
	rc = pattern_new(text, &p->v[p->n], ret_err);
	if (rc == 0)
		p->n++;
	return rc;
}

static void release(struct filter_patterns *p)
{
	for (size_t i = 0; i < p->n; i++)
		pattern_free(p->v[i]);
	mem_free(p->v);
}

void filter_release(struct filter *f)
{
	release(&f->include);
	release(&f->exclude);
	*f = (struct filter){ 0 };
}

/* 1: one of them is in the message. */
static int any(const struct filter_patterns *p, const char *name, struct pattern_room *room, const void *message, size_t n,
	       intercept_failed_fn *failed, void *arg)
{
	char text[600];
	struct err e;

	for (size_t i = 0; i < p->n; i++) {
		int rc = pattern_find(p->v[i], room, message, n, NULL, NULL, &e);

		if (rc == 1 || rc == ERR_NOMEM)
			return rc;
		if (rc < 0) {
			snprintf(text, sizeof text, "%s[%zu]: %s", name, i, e.text);
			failed(arg, text);
		}
	}
	return 0;
}

int filter_drops(const struct filter *f, struct pattern_room *room, const void *message, size_t n, intercept_failed_fn *failed,
		 void *arg)
{
	int rc = f->include.n ? any(&f->include, "include_lines", room, message, n, failed, arg) : 1;

	if (rc <= 0)
		return rc < 0 ? rc : 1;
	return any(&f->exclude, "exclude_lines", room, message, n, failed, arg);
}

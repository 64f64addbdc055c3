/* tail_notes.c - what a walk finds wrong with names: said once in the log, and shown as long as it is so.
 * Threads: tail. Failure: no memory, no words. */
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/tail/tail_inside.h"
#include "agent/record/text_json.h"

#define NOTES_MAX 100

struct note {
	struct list node;
	uint32_t round;			/* the last walk that found it */
	int      error;
	const char *what;
	char    *path;
};

void notes_say(struct tail *t, const char *path, const char *what, int rc)
{
	struct note *n;

	list_each(it, &t->notes) {
		n = list_entry(it, struct note, node);
		if (n->what == what && n->error == rc && !strcmp(n->path, path)) {
			n->round = t->round;
			return;
		}
	}
	n = list_count(&t->notes) < NOTES_MAX ? mem_new(struct note) : NULL;
	if (!n)
		return;
	*n = (struct note){ .round = t->round, .error = rc, .what = what, .path = mem_strdup(path) };
	if (!n->path) {
		mem_free(n);
		return;
	}
	list_push_back(&t->notes, &n->node);
	if (rc)
		log_warn(what, KS("path", path), KE(rc));
	else
		log_warn(what, KS("path", path));
}

static void drop(struct note *n)
{
	list_remove(&n->node);
	mem_free(n->path);
	mem_free(n);
}

void notes_end(struct tail *t)
{
	list_each_safe(it, &t->notes) {
		struct note *n = list_entry(it, struct note, node);

		if (n->round != t->round)
			drop(n);
	}
}

void notes_show(const struct tail *t, struct buf *out)
{
	list_each(it, &t->notes) {
		const struct note *n = list_entry(it, struct note, node);

		text_put_printable(out, n->path);
		buf_printf(out, n->error ? ": %s: %s\n" : ": %s\n", n->what, err_text(n->error));
	}
}

void notes_release(struct tail *t)
{
	struct note *n;

	while ((n = list_first(&t->notes, struct note, node)))
		drop(n);
}

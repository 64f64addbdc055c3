/* tail_notes.c - what a walk finds wrong with names: said once in the log, and shown as long as it is so.
 * Threads: tail. Failure: no memory, no words. */
#include <errno.h>
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

/* --- of inputs --- */

void notes_begin(struct tail_input *in)
{
	in->matched = in->links = in->excluded = in->shared = in->missing = 0;
	mem_free(in->shared_path);
	in->shared_path = NULL;
}

/* Of several the first by name: they come in any order. */
void notes_shared(struct tail *t, const char *path, size_t owner)
{
	struct tail_input *in = t->walking;

	for (size_t i = 0; i < in->exclude.n; i++)
		if (glob_excludes(in->exclude.v[i], path)) {
			in->excluded++;
			return;
		}
	in->shared++;
	if (in->shared_path && strcmp(path, in->shared_path) >= 0)
		return;
	mem_free(in->shared_path);
	in->shared_path = mem_strdup(path);
	in->shared_with = owner;
}

void notes_missing(struct tail *t, const char *pattern)
{
	char dir[GLOB_PATH_MAX];
	int rc = glob_missing(pattern, dir);

	if (rc == -EACCES)
		notes_say(t, dir, "cannot look into a directory, its files are not followed", rc);
	else if (rc < 0)
		notes_say(t, dir, "there is no such directory (yet), what it should hold is read when it comes", 0);
	t->walking->missing += rc < 0;
}

static void say_shared(struct tail *t, const struct tail_input *in)
{
	char *what = mem_printf("%s (inputs %s and %s)", in->shared_path ? in->shared_path : "",
				t->inputs[in->shared_with].conf->name, in->conf->name);

	if (what)
		notes_say(t, what, "two inputs match the same file, the one that stands first has it", 0);
	mem_free(what);
}

void notes_inputs(struct tail *t)
{
	for (size_t i = 0; i < t->conf.conf->input_count; i++) {
		const struct tail_input *in = &t->inputs[i];

		if (in->links && !in->matched)
			notes_say(t, in->conf->name, "only links match, and they are not followed (follow_symlinks)", 0);
		if (in->shared)
			say_shared(t, in);
	}
}

/* Nothing of it is read, and no note says why. */
static const char *why_nothing(const struct tail_input *in)
{
	if (in->conf->type != CONF_TYPE_FILE || in->matched || in->links || in->shared)
		return NULL;
	if (in->excluded)
		return "all that matches is excluded";
	return in->missing < in->paths.n ? "no file matches" : NULL;
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
	for (size_t i = 0; i < t->conf.conf->input_count && t->round; i++) {
		const char *why = why_nothing(&t->inputs[i]);

		if (!why)
			continue;
		text_put_printable(out, t->inputs[i].conf->name);
		buf_printf(out, ": %s\n", why);
	}
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

/* tail_recipe.c - recipes, one for each spec; and lines that go through one.
 * Threads: tail; recipe_of also whoever rebuilds after the thread's end.
 */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/record/line.h"
#include "agent/tail/tail_inside.h"
#include "agent/record/tray.h"


/* --- recipes --- */

static int make(struct tail *t, const char *spec, struct recipe **ret, struct err *ret_err)
{
	int rc = recipe_new(spec, ret, ret_err);

	if (rc == 0 && !t->room && !(t->room = recipe_room_new()))
		rc = ERR_NOMEM;
	if (rc == 0 && !t->tray && !(t->tray = tray_new()))
		rc = ERR_NOMEM;
	if (rc == 0)
		rc = map_put(&t->recipes, spec, strlen(spec), *ret);
	if (rc < 0)
		recipe_free(*ret);
	return rc;
}

int recipe_of(struct tail *t, const char *spec, const struct recipe **ret)
{
	struct recipe *made;
	struct err e;
	int rc;

	*ret = spec && *spec ? map_get(&t->recipes, spec, strlen(spec)) : NULL;
	if (*ret || !spec || !*spec)
		return 0;
	rc = make(t, spec, &made, &e);
	if (rc == 0)
		*ret = made;
	if (rc == ERR_CONFIG && !t->warned_spec) {
		t->warned_spec = true;
		log_error("how lines became records is not understood, batches of an earlier life wait", KS("error", e.text));
	}
	return rc;
}

void recipe_release(struct tail *t)
{
	struct recipe *r;
	size_t it = 0;

	while ((r = map_next(&t->recipes, &it)))
		recipe_free(r);
	map_release(&t->recipes);
	recipe_room_free(t->room);
	tray_free(t->tray);
}

/* --- lines --- */

int recipe_lines(struct tail *t, struct file *f, const uint8_t *bytes, size_t n, bool final)
{
	const uint8_t *end = bytes + n;
	int64_t until = clock_mono_ns() + t->pace.piece * 1000000, at = f->offset, to;
	struct message m = { .span_count = 1, .lines = 1 };
	struct message_span span;
	struct line ln;
	struct hand h;
	int rc = 0;

	hand_begin(&h, t, f);
	m.spans = &span;
	while (rc == 0 && line_next(bytes, (size_t)(end - bytes), (size_t)f->route->row.max_line, final, &ln)) {
		if (at > f->offset && clock_mono_ns() > until) {
			rc = 1;
			break;
		}
		m.value = ln.value;
		m.value_len = ln.value_len;
		m.piece = ln.piece;
		span = (struct message_span){ at, at + (int64_t)ln.span };
		rc = hand_message(&h, &m);
		bytes += ln.span;
		at = span.to;
	}
	if (hand_end(&h) < 0)
		rc = h.rc;
	to = h.back < at ? h.back : at;
	if (to > f->offset)
		read_moved_to(f, to, bytes - (at - to));
	read_count_pieces(t, f, h.first_piece, h.pieces);
	return rc;
}

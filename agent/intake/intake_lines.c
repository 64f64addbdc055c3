/* intake_lines.c - lines of a stream that are more than lines: converted, out of a container's frames, joined, grouped, or cut in
 * other ways than split (assemble.h). The whole stream is one stretch, for nothing of it is ever read again.
 *
 * A message that finds no room stays where the assembly has it, and the bytes behind it where the caller has them.
 * Threads: intake.
 */
#include <stdatomic.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/intake/intake_inside.h"

int intake_lines_open(struct intake_input *in, struct intake_lines *l)
{
	if (!recipe_rules(in->recipe))
		return 0;
	l->assembly = assembly_new();
	return l->assembly ? 0 : ERR_NOMEM;
}

void intake_lines_close(struct intake_lines *l)
{
	if (l->assembly)
		assembly_free(l->assembly);
}

/* What the byte order mark says; the recipe is made anew then. */
static int resolve(struct intake_input *in, const uint8_t *p, size_t n, size_t *ret_skip)
{
	const char *spec = in->spec, *encoding;
	struct recipe *r = NULL;
	struct buf b;
	struct err e;
	int rc;

	encoding = assemble_resolve(in->conf->encoding, p, n, ret_skip);
	if (!encoding)
		return 0;
	buf_init(&b, 4u << 20);
	rc = recipe_set_encoding(spec, encoding, &b);
	if (rc == 0)
		rc = recipe_new(b.data, &r, &e);
	buf_release(&b);
	if (rc < 0)
		return rc;
	recipe_free(in->recipe);
	in->recipe = r;
	return 0;
}

/* 0, with the bytes in front of its text in *ret_skip; 1: more must be seen first. */
static int begin(struct intake_input *in, struct intake_lines *l, const uint8_t *p, size_t n, bool final, size_t *ret_skip)
{
	int rc;

	*ret_skip = l->mark;
	if (l->begun)
		return 0;
	if (n < IN_FRONT && !final)
		return 1;
	rc = resolve(in, p, n, ret_skip);
	if (rc < 0)
		return rc;
	l->begun = true;
	l->mark = *ret_skip;		/* in front of what is fed until all of it is used */
	atomic_fetch_add(&in->read, (int64_t)*ret_skip);
	assembly_begin(l->assembly, recipe_rules(in->recipe), atomic_load(&in->read), false);
	return 0;
}

/* In a container's file a message may end before another that began earlier: the count only grows. */
static size_t behind(const struct intake_input *in, int64_t to)
{
	int64_t read = atomic_load(&in->read);

	return to > read ? (size_t)(to - read) : 0;
}

static bool take(struct intake_input *in, struct intake_lines *l)
{
	const struct message *m = &l->m;
	struct intake_message out = { .value = m->value, .len = m->value_len, .has_time = m->has_time, .time_ns = m->time_ns,
				      .stream = m->stream };

	if (m->value) {
		out.span = behind(in, m->spans[m->span_count - 1].to);
		if (intake_take(in, &out) < 0)
			return false;
		l->m.value = NULL;
	}
	if (m->lost.from < m->lost.to && in->conf->long_lines != CONF_LONG_SPLIT)
		intake_lost(in, SPOOL_LOSS_LONG_LINE, in->conf->long_lines == CONF_LONG_SKIP, behind(in, m->lost.to));
	return true;
}

static int take_all(struct intake_input *in, struct intake_lines *l)
{
	int rc;

	for (;;) {
		if (!l->have) {
			rc = assembly_next(l->assembly, &l->m);
			if (rc <= 0)
				return rc;
			l->have = true;
		}
		if (!take(in, l))
			return 1;
		l->have = false;
	}
}

/* What is fed now or was before; then, at the end, what is open. */
static int feed(struct intake_input *in, struct intake_lines *l, const uint8_t *p, size_t n, bool final, bool end)
{
	int rc;

	if (!l->fed)
		assembly_feed(l->assembly, p, n, final);
	l->fed = true;
	rc = take_all(in, l);
	if (rc == 0 && end && !l->ended) {
		l->ended = true;
		assembly_end(l->assembly);
	}
	if (rc == 0 && l->ended)
		rc = take_all(in, l);
	if (rc == 0)
		l->fed = l->ended = false;
	return rc;
}

size_t intake_lines_take(struct intake_input *in, struct intake_lines *l, const uint8_t *p, size_t n, bool final, bool end)
{
	size_t skip;
	int rc = begin(in, l, p, n, final, &skip);

	if (rc == 1)
		return 0;
	if (rc == 0)
		rc = feed(in, l, p + skip, n - skip, final, end || final);
	if (rc < 0) {			/* nobody knows any more where in the stream it is */
		log_error("out of memory for an unfinished message, what was read of it is lost",
			  KS("input", in->conf->name), KE(rc));
		intake_lost(in, SPOOL_LOSS_STOPPED, 0, n);
		l->begun = l->fed = l->ended = l->have = false;
		l->mark = 0;
		return n;
	}
	if (rc == 1)
		return 0;
	l->mark = 0;
	return n;
}

bool intake_lines_open_group(const struct intake_lines *l)
{
	bool groups = false;

	if (l->begun)
		(void)assembly_open(l->assembly, &groups);
	return groups;
}

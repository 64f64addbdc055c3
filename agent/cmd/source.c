/* source.c - see source.h. */
#include "agent/cmd/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control.h"

#define ANSWER_MAX (64u << 20)

void source_open(struct source *s, const struct conf *conf)
{
	*s = (struct source){ .conf = conf };
	buf_init(&s->out, ANSWER_MAX);
	buf_init(&s->notes, ANSWER_MAX);
}

void source_close(struct source *s)
{
	spool_close(s->spool);
	buf_release(&s->out);
	buf_release(&s->notes);
}

int source_spool(struct source *s, bool read_only, struct err *ret_err)
{
	struct spool_conf sc = { .dir = s->conf->state_dir, .max_size = s->conf->spool.max_size,
				 .min_free = s->conf->spool.min_free, .read_only = read_only };

	s->offline = true;
	spool_close(s->spool);
	s->spool = NULL;
	return spool_open(&sc, &s->spool, ret_err);
}

/* "error CODE: words", or "error: words" of what the agent does not know. */
static int said_error(const char *answer, struct err *ret_err)
{
	char *end;
	long rc = strtol(answer + 5, &end, 10);
	const char *words = end + strspn(end, ": ");

	return err_set(ret_err, rc < 0 && rc > INT32_MIN ? (int)rc : ERR_UNAVAILABLE, "%.*s", (int)strcspn(words, "\n"), words);
}

/* Takes the first line off, and the notes. */
static int take_answer(struct source *s, struct page *p, struct err *ret_err)
{
	char *line = s->out.data, *body = line ? strchr(line, '\n') : NULL;
	size_t notes, length;
	int more, used = 0;

	if (line && !strncmp(line, "error", 5))
		return said_error(line, ret_err);
	if (body)
		*body++ = '\0';
	if (!body || sscanf(line, "%" SCNd64 " %" SCNu32 " %d %" SCNu64 " %" SCNu64 " %zu %zu%n", &p->after, &p->within, &more,
			    &p->count, &p->records, &notes, &length, &used) != 7 || line[used] || notes > length)
		return err_set(ret_err, ERR_BAD_DATA, "the agent's answer cannot be read; is it of another version?");
	s->out.len -= (size_t)(body - line);
	if (s->out.len != length)
		return err_set(ret_err, ERR_UNAVAILABLE, "the agent's answer was cut off; what was printed is not all of it");
	p->more = more != 0;
	buf_clear(&s->notes);
	if (buf_put(&s->notes, body, notes) < 0)
		return err_set(ret_err, ERR_NOMEM, "out of memory");
	s->out.len -= notes;
	memmove(line, body + notes, s->out.len + 1);
	return 0;
}

int source_ask(struct source *s, const char *question, struct page *p, struct err *ret_err)
{
	int rc;

	buf_clear(&s->out);
	rc = control_ask(s->conf->control, question, &s->out, ret_err);
	return rc < 0 ? rc : take_answer(s, p, ret_err);
}

int source_page(struct source *s, enum page_kind kind, struct page *p, struct err *ret_err)
{
	char question[96];
	int rc = 0;

	p->out = &s->out;
	p->notes = &s->notes;
	if (!s->offline) {
		snprintf(question, sizeof question, "page %s %s %" PRId64 " %" PRIu32, page_kind_name(kind),
			 page_form_name(p->form), p->after, p->within);
		rc = source_ask(s, question, p, ret_err);
		if (rc != ERR_NOT_FOUND)
			return rc;
		rc = source_spool(s, true, ret_err);
	}
	buf_clear(&s->out);
	buf_clear(&s->notes);
	return rc < 0 ? rc : page_write(s->spool, kind, p, ret_err);
}

static bool print_notes(const struct buf *notes)
{
	const char *end;

	for (const char *p = notes->data; notes->len && *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		fprintf(stderr, "spillway: %.*s\n", (int)(end - p), p);
	}
	return notes->len != 0;
}

int source_print(struct source *s, enum page_kind kind, enum page_form form, bool *ret_notes, struct err *ret_err)
{
	struct page p = { .form = form, .more = true };
	bool any = false;
	int rc;

	*ret_notes = false;
	while (p.more) {
		rc = source_page(s, kind, &p, ret_err);
		if (rc < 0)
			return rc;
		*ret_notes |= print_notes(&s->notes);
		if (!s->out.len)
			continue;
		if (form == PAGE_JSON)
			putchar(any ? ',' : '[');
		fwrite(s->out.data, 1, s->out.len, stdout);
		any = true;
	}
	if (form == PAGE_JSON)
		puts(any ? "]" : "[]");
	return 0;
}

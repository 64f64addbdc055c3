/* page.c - see page.h. Kinds and forms in tables; questions in, answers out. */
#include "agent/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (60u << 20)
#define NOTES_MAX  (1u << 20)

static const struct { const char *name; int (*write)(struct spool *s, struct page *p, struct err *ret_err); } kinds[] = {
	[PAGE_ROWS] = { "rows", page_rows },
	[PAGE_RECORDS] = { "records", page_records },
	[PAGE_FINDINGS] = { "findings", page_findings },
	[PAGE_REJECTED] = { "rejected", page_rejected },
	[PAGE_LOSSES] = { "losses", page_losses },
};
static const char *const forms[] = { [PAGE_TEXT] = "text", [PAGE_JSON] = "json", [PAGE_LINES] = "lines" };

const char *page_kind_name(enum page_kind kind)
{
	return kinds[kind].name;
}

const char *page_form_name(enum page_form form)
{
	return forms[form];
}

int page_write(struct spool *s, enum page_kind kind, struct page *p, struct err *ret_err)
{
	int rc;

	p->more = false;
	p->count = p->records = 0;
	rc = kinds[kind].write(s, p, ret_err);
	if (rc >= 0 && (p->out->failed || p->notes->failed))
		rc = err_set(ret_err, ERR_NOMEM, "out of memory for one page");
	return rc < 0 ? rc : 0;
}

void page_put_answer(struct buf *out, const struct page *p, int rc, const struct err *e)
{
	if (rc < 0) {
		buf_clear(out);
		buf_printf(out, "error %d: %s\n", rc, e->text);
		return;
	}
	buf_printf(out, "%" PRId64 " %" PRIu32 " %d %" PRIu64 " %" PRIu64 " %zu %zu\n", p->after, p->within, p->more, p->count,
		   p->records, p->notes->len, p->notes->len + p->out->len);
	buf_put(out, p->notes->data ? p->notes->data : "", p->notes->len);
	buf_put(out, p->out->data ? p->out->data : "", p->out->len);
}

struct asked { enum page_kind kind; struct page page; int rc; struct err err; };

/* Thread: state. */
static void ask(void *arg, struct spool *s)
{
	struct asked *a = arg;

	a->rc = page_write(s, a->kind, &a->page, &a->err);
}

static bool read_question(const char *question, struct asked *a)
{
	char kind[16], form[8];
	size_t k = 0, f = 0;

	if (sscanf(question, "page %15s %7s %" SCNd64 " %" SCNu32, kind, form, &a->page.after, &a->page.within) != 4)
		return false;
	while (k < PAGE_KINDS && strcmp(kinds[k].name, kind))
		k++;
	while (f < PAGE_FORMS && strcmp(forms[f], form))
		f++;
	a->kind = (enum page_kind)k;
	a->page.form = (enum page_form)f;
	return k < PAGE_KINDS && f < PAGE_FORMS;
}

bool page_answer(struct state *st, const char *question, struct buf *out)
{
	struct buf body, notes;
	struct asked a = { .page = { .out = &body, .notes = &notes } };

	if (!read_question(question, &a))
		return false;
	buf_init(&body, ANSWER_MAX);
	buf_init(&notes, NOTES_MAX);
	if (!state_ask_within(st, ask, &a, PAGE_WAIT_MS))
		a.rc = err_set(&a.err, ERR_TIMEOUT, PAGE_WAIT_WORDS);
	page_put_answer(out, &a.page, a.rc, &a.err);
	buf_release(&body);
	buf_release(&notes);
	return true;
}

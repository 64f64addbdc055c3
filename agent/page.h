/* page.h - long lists for people and programs, a page at a time: rows, records, losses, findings, rejected records.
 *
 * Why page by page: an answer of the agent is built in its memory, and made by the thread that everything else waits for; what
 * is listed may be gigabytes. A page is some hundred KiB, or some ten ms. What changes between two pages is listed as it is
 * when its page is made.
 * Calling sequence: page_write with after = within = 0, again while `more`.
 * Threads: the state thread of an agent; any one thread that opened the spool without one.
 *
 * On the control socket: "page KIND FORM AFTER WITHIN" is answered by a line "LAST WITHIN MORE COUNT RECORDS NOTES LENGTH" and
 * LENGTH bytes, of which the first NOTES are notes; or by "error CODE: words". See source.h for the asking end.
 */
#ifndef SPILLWAY_PAGE_H
#define SPILLWAY_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/state/state.h"

enum page_kind {
	PAGE_ROWS,		/* `spool ls`; as text the lanes come first */
	PAGE_RECORDS,		/* `spool export`: every record of every row; lines only */
	PAGE_FINDINGS,		/* `spool verify` of a running agent: rows and rejected records against their CRCs */
	PAGE_REJECTED,		/* the same three with --rejected: listed; as lines: whole */
	PAGE_LOSSES,
	PAGE_KINDS
};
enum page_form { PAGE_TEXT, PAGE_JSON, PAGE_LINES, PAGE_FORMS };	/* json: elements of an array; lines: objects, one a line */

struct page {
	enum page_form form;
	int64_t  after;			/* in and out: the last id, */
	uint32_t within;		/* and how much of the next one was written, in the kind's own measure */
	bool     more;			/* out, as all below */
	uint64_t count, records;	/* things written, and what they add up to */
	struct buf *out;
	struct buf *notes;		/* one a line: what could not be written, and why */
};

#define PAGE_BYTES (512u << 10)		/* a page that has these is full */

/* 0 or negative. */
int  page_write(struct spool *s, enum page_kind kind, struct page *p, struct err *ret_err);
const char *page_kind_name(enum page_kind kind);
const char *page_form_name(enum page_form form);
/* False: the question is none of ours. */
bool page_answer(struct state *st, const char *question, struct buf *out);
/* Whoever asks the state thread waits so long while it sees to other things: main has others to answer. */
#define PAGE_WAIT_MS 2000
#define PAGE_WAIT_WORDS "the disk of the state directory is slow: the spool has not answered yet, ask again"
/* An answer as it goes over the socket; rc < 0: an error with its words. The same for orders (order.h). */
void page_put_answer(struct buf *out, const struct page *p, int rc, const struct err *e);

/* --- one a kind --- */
int  page_rows(struct spool *s, struct page *p, struct err *ret_err);
int  page_records(struct spool *s, struct page *p, struct err *ret_err);
int  page_findings(struct spool *s, struct page *p, struct err *ret_err);
int  page_rejected(struct spool *s, struct page *p, struct err *ret_err);
int  page_losses(struct spool *s, struct page *p, struct err *ret_err);

static inline bool page_full(const struct page *p) { return p->out->len >= PAGE_BYTES; }
/* Between two elements of an array. */
static inline void page_comma(struct page *p)
{
	if (p->form == PAGE_JSON && p->count)
		buf_puts(p->out, ",");
}
/* Before a thing of a list is written. False: the page is full, it belongs on the next. */
static inline bool page_begin_one(struct page *p)
{
	p->more = page_full(p);
	if (!p->more)
		page_comma(p);
	return !p->more;
}
/* Behind it. Not 0: out of memory. */
static inline int page_end_one(struct page *p, int64_t id, uint64_t records)
{
	p->after = id;
	p->count++;
	p->records += records;
	return p->out->failed;
}

#endif

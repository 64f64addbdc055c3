/* source.h - where commands get their answers: the running agent, or the state directory when none runs.
 *
 * Calling sequence: source_open, source_*, source_close. Threads: one.
 * Failure: who exports and then purges must not take a part for the whole: an answer that breaks off is an error.
 */
#ifndef SPILLWAY_SOURCE_H
#define SPILLWAY_SOURCE_H

#include <stdbool.h>

#include "agent/load.h"
#include "agent/page.h"

struct source {
	const struct conf *conf;	/* borrowed */
	bool     offline;		/* no agent runs */
	struct spool *spool;		/* offline: open as it was last asked for */
	struct buf out, notes;		/* of the last page */
};

void source_open(struct source *s, const struct conf *conf);
void source_close(struct source *s);
/* Asks the agent: p is filled, its texts are s->out and s->notes. ERR_NOT_FOUND: none runs. */
int  source_ask(struct source *s, const char *question, struct page *p, struct err *ret_err);
/* The state directory, to read or to change. ERR_BUSY: somebody has it. */
int  source_spool(struct source *s, bool read_only, struct err *ret_err);
/* The next page of a list, from wherever it is. */
int  source_page(struct source *s, enum page_kind kind, struct page *p, struct err *ret_err);
/* All pages to stdout, as one array if it is JSON; notes to stderr. *ret_notes: whether there were any. */
int  source_print(struct source *s, enum page_kind kind, enum page_form form, bool *ret_notes, struct err *ret_err);

#endif

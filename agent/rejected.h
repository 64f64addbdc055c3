/* rejected.h - the records that Kafka never takes, for people: listed, printed as JSON lines, deleted.
 *
 * Questions on the control socket (the answer begins with a line "LAST MORE": the id it came to, and 1 if there are more):
 *	rejected text AFTER | rejected json AFTER | rejected lines AFTER | rejected purge UPTO
 */
#ifndef SPILLWAY_REJECTED_H
#define SPILLWAY_REJECTED_H

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/state.h"

/* json: elements of an array. lines: whole records, one a line. */
enum rejected_form { REJECTED_TEXT, REJECTED_JSON, REJECTED_LINES };

struct rejected_page {
	enum rejected_form form;
	int64_t after, last;		/* ids: in; out: the last one written, or `after` */
	bool    more;
	uint64_t count;
	struct buf *out;
};

/* Some MiB of them. 0 or negative. */
int  rejected_write(struct spool *s, struct rejected_page *page, struct err *ret_err);
int  rejected_purge(struct spool *s, int64_t upto, uint64_t *ret_count, struct err *ret_err);
/* False: the question is none of ours. */
bool rejected_answer(struct state *st, const char *question, struct buf *out);

#endif

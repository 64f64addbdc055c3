/* order.h - what people order of a running agent, over the control socket. Answered as a page is (page.h).
 *
 *	purge rows AFTER UPTO | purge rejected AFTER UPTO	one slice: LAST KEPT MORE THINGS RECORDS
 *	position set OFFSET PATH | position forget PATH		the text says what was done
 *
 * What is answered is committed, or the text says that it is not yet.
 * Threads: main; waits for the state and tail threads' next rounds.
 */
#ifndef SPILLWAY_ORDER_H
#define SPILLWAY_ORDER_H

#include "agent/pipeline.h"

/* False: the question is none of ours. */
bool order_answer(struct pipeline *p, const char *question, struct buf *out);

#endif

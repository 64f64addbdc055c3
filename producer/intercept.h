/* intercept.h - the built-in interceptors: a chain that changes or drops records before they are serialized.
 *
 * Pure: the same chain makes the same of the same record, always - a record that is built again after a crash must be the
 * same bytes. So there is no clock and no chance in here, and what bounds a pattern is its steps, not its time.
 * Threads: a chain is read-only once made, for any number of threads; each thread has a scratch of its own.
 */
#ifndef SPILLWAY_INTERCEPT_H
#define SPILLWAY_INTERCEPT_H

#include "producer/producer.h"

struct intercept;			/* the chain; NULL is the empty one */
struct intercept_scratch;

/* Out of interceptor.classes, a JSON array of objects with one member each (producer.h has the list). NULL, "" and [] give
 * NULL. Words name the place: "interceptor.classes[1].redact.pattern: ...". 0 or a public code. */
int  intercept_new(const char *json, struct intercept **ret, struct producer_error *ret_err);
void intercept_free(struct intercept *c);

/* What a changed record points to. NULL: out of memory. */
struct intercept_scratch *intercept_scratch_new(void);
void intercept_scratch_free(struct intercept_scratch *s);

/* Who failed, and why; called from within intercept_apply. */
typedef void intercept_failed_fn(void *arg, const char *text);

/* Runs the record through the chain. 0: go on with it, what it points to lives until the next call with this scratch.
 * 1: dropped. ERR_NOMEM: nothing is to be done with the record now. An interceptor that fails leaves the record as it was before
 * it, is told to `failed`, and the next goes on. */
int  intercept_apply(const struct intercept *c, struct producer_record *r, struct intercept_scratch *s,
		     intercept_failed_fn *failed, void *arg);
/* The topic that every record for this one gets; it depends on nothing else. */
const char *intercept_topic(const struct intercept *c, const char *topic);

/* At most so many bytes of headers are put on a record. */
size_t intercept_header_bytes(const struct intercept *c);

#endif

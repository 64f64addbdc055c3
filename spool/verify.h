/* verify.h - what the two files of spool_verify share. */
#ifndef SPILLWAY_SPOOL_VERIFY_H
#define SPILLWAY_SPOOL_VERIFY_H

#include "spool/inside.h"

struct verify {
	struct spool *s;
	void        (*fn)(void *arg, int64_t row_id, const char *what);
	void         *arg;
	uint64_t      findings;
	struct lane_count *lanes;	/* what the rows of each lane add up to; [0]: of all rows */
	struct map    files;		/* id -> what rows and batches hold of it: verify_ranges.c */
};

void verify_say(struct verify *v, int64_t row_id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Takes the bytes of a row (finished) or of an unresolved batch without one (promised), and says what cannot be: bytes that
 * somebody else has too, of a row and not finished, of a batch and finished. 0 or ERR_NOMEM. */
int  verify_take(struct verify *v, int64_t row_id, int64_t ledger_id, const struct spool_range *r, size_t n);
void verify_ranges_release(struct verify *v);

#endif

/* status.h - what `status` and `positions ls` say, gathered from a running pipeline or from a state directory
 * that no agent holds, and written as JSON or for people.
 *
 * One snapshot: the books and the spool's totals come out of one lock (books.h); the rest is as of a moment around it.
 * Threads: main. Gathering waits for the tail, sender and state threads' next rounds.
 */
#ifndef SPILLWAY_STATUS_H
#define SPILLWAY_STATUS_H

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/pipeline.h"
#include "conf/conf.h"

struct status_file {		/* positions: one row */
	char    *path;
	size_t   input;
	uint64_t dev, inode;
	int64_t  size, read, safe;
	char     state[12];
	bool     waits;			/* for memory or room: a rotated or deleted one may, too */
	double   lag_s;			/* age of the oldest byte that is not finished, as far as it is known; 0: none is */
};

struct status_lane { char *topic; int32_t partition; uint64_t rows, records, bytes; };

struct status {
	const struct conf *conf;
	double   uptime_s;
	uint64_t line_splits;		/* cuts of lines longer than max_line, since the start */
	const char *state;
	struct books_snapshot books;
	struct producer_stat producer;
	struct status_file *files; size_t file_count;
	struct status_lane *lanes; size_t lane_count;
	struct buf reasons;		/* NUL-terminated texts, one behind the other */
	int      rc;			/* of the gathering of lanes */
};

enum status_what { STATUS_ALL, STATUS_POSITIONS };

/* From the running agent. 0 or negative. */
int  status_online(struct pipeline *p, enum status_what what, struct status *ret);
/* From a state directory without an agent; ERR_BUSY while one runs. */
int  status_offline(const struct conf *conf, struct status *ret, struct err *ret_err);
void status_release(struct status *s);
/* The first input that matches a path; SIZE_MAX: none (any more). */
size_t status_input_of(const struct conf *c, const char *path);

void status_write(const struct status *s, enum status_what what, bool json, struct buf *out);

#endif

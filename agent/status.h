/* status.h - what `status` and `positions ls` say, gathered from a running pipeline or from a state directory
 * that no agent holds, and written as JSON or for people.
 *
 * One snapshot: the books and the spool's totals come out of one lock (books.h); the rest is as of a moment around it.
 * Threads: main. Gathering waits for the tail, sender and state threads' next rounds, for some seconds at most: of who does not
 * answer nothing is said but that.
 */
#ifndef SPILLWAY_STATUS_H
#define SPILLWAY_STATUS_H

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/history.h"
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
	int64_t  now_ms;		/* wall time of the gathering */
	int      pid;			/* 0: no agent runs */
	uint64_t line_splits;		/* cuts of lines longer than max_line, since the start */
	const char *state;
	struct books_snapshot books;
	struct producer_stat producer;
	struct status_file *files; size_t file_count;
	bool files_unknown, producer_unknown;	/* their thread did not answer; a reason says so */
	struct status_lane *lanes; size_t lane_count;
	struct buf reasons;		/* NUL-terminated texts, one behind the other */
	const struct history *history;	/* the pipeline's; NULL: no agent runs */
	struct history_rates rates;
	int64_t  room;			/* bytes that the spool may still grow by */
	double   full_in_s, drained_in_s;	/* at the rate of the last 15 s; -1: it does not come to that */
	int      rc;			/* of the gathering of lanes */
};

/* STATUS_HISTORY: as STATUS_ALL, in JSON with the rates of the last five minutes, one a second. */
enum status_what { STATUS_ALL, STATUS_POSITIONS, STATUS_HISTORY };

/* From the running agent. 0 or negative. */
int  status_online(struct pipeline *p, enum status_what what, struct status *ret);
/* From a state directory without an agent; ERR_BUSY while one runs. */
int  status_offline(const struct conf *conf, struct status *ret, struct err *ret_err);
void status_release(struct status *s);
/* Adds to the pipeline's history; to be called each second. */
void status_sample(struct pipeline *p);
/* The first input that matches a path; SIZE_MAX: none (any more). */
size_t status_input_of(const struct conf *c, const char *path);

void status_write(const struct status *s, enum status_what what, bool json, struct buf *out);

/* How people are to see it. */
struct status_view {
	unsigned width;			/* of the terminal, in columns; 0: no limit */
	bool     color;
	bool     all;			/* all files, not only those that are most behind */
};
void status_write_text(const struct status *s, const struct status_view *view, struct buf *out);
void status_write_positions(const struct status *s, struct buf *out);

/* What the control socket is asked: "status json", "status text [width=N] [color] [all]", "positions json|text", "history json".
 * false: it is another question. */
bool status_answer(struct pipeline *p, const char *question, struct buf *out);

static inline int64_t status_lag_bytes(const struct status_file *f)
{
	return f->size > f->safe ? f->size - f->safe : 0;
}
static inline int64_t status_oldest_s(const struct status *s)
{
	const struct spool_totals *t = &s->books.totals;

	return t->rows && t->oldest_ms && s->now_ms > t->oldest_ms ? (s->now_ms - t->oldest_ms) / 1000 : 0;
}

#endif

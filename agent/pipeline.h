/* pipeline.h - the running agent: tailers, producer and state database put together, and taken apart in order.
 *
 * Calling sequence: pipeline_open, pipeline_start, (pipeline_stop), pipeline_close.
 * Threads: main, except where said.
 *
 * The order of the end (TERM): reading stops; what is in memory is delivered until shutdown_timeout while a broker is up;
 * the sender stops; what no matched file holds any more and what was sent without an answer goes to the spool; one last
 * commit; the database is folded into one file.
 */
#ifndef SPILLWAY_PIPELINE_H
#define SPILLWAY_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/books.h"
#include "agent/history.h"
#include "agent/intake/intake.h"
#include "agent/load.h"
#include "agent/state/state.h"
#include "agent/tail/tail.h"

struct pipeline {
	const struct loaded *conf;	/* in force; thread: main */
	bool             conf_ours;	/* it came by a reload; the first is borrowed */
	struct list      old_confs;	/* that an input which leaves still needs */
	char            *needs_restart;	/* words for `status`, or NULL */
	char            *not_reloaded;	/* the same: why the last reload was refused */
	bool             once;
	void           (*all_read)(void *arg);	/* --once; called on the tail thread */
	void            *all_read_arg;
	void           (*damaged)(void *arg);	/* the state database is: to be stopped; called on the state thread */
	void            *damaged_arg;
	int64_t          started_ms;	/* CLOCK_MONOTONIC */
	char             hostname[256];
	char           **specs;		/* of each input: how lines become records (recipe.h) */
	struct books     books;
	struct state    *state;
	struct producer *producer;
	struct tail     *tail;
	struct intake   *intake;	/* NULL: every input is of files, and always will be (once) */
	struct history   history;	/* Thread: main. */
	_Atomic bool     stopping, hurry, stopped;
};

/* Opens the state directory, restores what is unresolved. Words in *ret_err name the culprit. On failure *p is closed. */
int  pipeline_open(struct pipeline *p, const struct loaded *conf, bool once, struct err *ret_err);
int  pipeline_start(struct pipeline *p, struct err *ret_err);
/* Waits at most timeout_ms for everything to be delivered; false: not yet. Any one thread. */
bool pipeline_delivered(struct pipeline *p, int64_t timeout_ms);
/* Orderly stop; blocks up to shutdown_timeout and a little. deliver false skips the delivering. Any one thread. */
void pipeline_stop(struct pipeline *p, bool deliver);
/* Cuts the delivering of a running pipeline_stop short. Any thread. */
void pipeline_hurry(struct pipeline *p);
/* Another configuration while it runs: all or nothing. 0: *fresh is ours, and in force. */
int  pipeline_reload(struct pipeline *p, struct loaded *fresh, struct err *ret_err);
void pipeline_forget_confs(struct pipeline *p, bool all);	/* that nothing needs any more */
void pipeline_close(struct pipeline *p);

#endif

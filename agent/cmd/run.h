/* run.h - the process of `spillway run`, for the files it is made of: cmd_run.c, run_manager.c, run_once.c. Thread: main. */
#ifndef SPILLWAY_RUN_H
#define SPILLWAY_RUN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/beat.h"
#include "agent/base/loop.h"
#include "agent/cmd/cli.h"
#include "agent/control.h"
#include "agent/notify.h"
#include "agent/pipeline.h"
#include "agent/web/endpoints.h"

struct run {
	struct loop       loop;
	struct loop_fd    signals;
	struct loop_timer once_timer, timeout_timer, progress_timer, give_back_timer, sample_timer, held_timer, status_timer;
	struct pipeline   pipeline;
	struct control   *control;
	struct endpoints  endpoints;
	struct http      *http;			/* NULL: metrics.listen is off */
	struct notify    *notify;		/* NULL: no service manager */
	struct beat       beat;
	const struct options *options;
	pthread_t         stopper;
	bool              stopping, deliver, progress;
	bool              refused;		/* the last reload */
	_Atomic bool      all_read, damaged;
	int               exit_code;
	int64_t           progress_bytes;
};

/* cmd_run.c. The orderly end begins; deliver: what is in memory, first. */
void run_stop(struct run *r, bool deliver);

/* run_manager.c: what the service manager is told. All do nothing without one. */
void run_tell_started(struct run *r);
void run_tell_reload(struct run *r);		/* reloads, and tells */
void run_tell_stopping(struct run *r, bool deliver);

/* run_once.c: --once. */
void run_once_begin(struct run *r);
void run_once_all_read(void *arg);		/* pipeline's all_read; thread: tail */
void run_once_deliver(struct run *r);		/* all is read: until it is delivered */

#endif

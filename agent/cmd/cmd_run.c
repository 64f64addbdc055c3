/* cmd_run.c - `spillway run`: the main thread. It owns signals, the control socket and the end; the work is elsewhere.
 *
 * States: RUNNING -> STOPPING [signal, --once has delivered or its time is over, the state database is damaged] -> the
 * stopper thread ends the pipeline in order (pipeline.h), while signals and the control socket are still answered -> the
 * loop stops. run_manager.c tells the service manager, run_once.c is --once.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/killpoint.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"
#include "agent/cmd/run.h"
#include "agent/order.h"
#include "agent/page.h"
#include "agent/status.h"

#define READ_ONLY "the unit lets the service write to /var/lib/spillway and /run/spillway alone: ReadWritePaths= (state-dir.conf)"
#define HELD_EVERY_MS    60000		/* what was held back of the log is said, also when nothing else is */
#define GIVE_BACK_SOON_MS  10000		/* what starting took: 100 bytes for each of 10,000 files */
#define GIVE_BACK_EVERY_MS 600000		/* what a backlog, or files that are gone by now, took */

/* --- the end --- */

static void *stopper_main(void *arg)
{
	struct run *r = arg;

	pipeline_stop(&r->pipeline, r->deliver);
	loop_stop(&r->loop);
	return NULL;
}

void run_stop(struct run *r, bool deliver)
{
	if (r->stopping)
		return;
	r->stopping = true;
	r->deliver = deliver;
	run_tell_stopping(r, deliver);
	if (thread_start(&r->stopper, "stop", stopper_main, r) < 0) {
		pipeline_stop(&r->pipeline, deliver);
		loop_stop(&r->loop);
		r->stopper = 0;
	}
}

static void on_signal(struct loop_fd *f, uint32_t events)
{
	struct run *r = container_of(f, struct run, signals);
	struct signalfd_siginfo si;

	(void)events;
	while (read(f->fd, &si, sizeof si) == sizeof si) {
		if (si.ssi_signo == SIGHUP) {
			if (r->stopping)
				continue;
			run_tell_reload(r);
		} else if (r->stopping) {
			log_info("second signal, delivering is cut short");
			pipeline_hurry(&r->pipeline);
		} else {
			log_info("stopping", KS("signal", si.ssi_signo == SIGTERM ? "TERM" : "INT"));
			if (r->options->once)
				r->exit_code = EXIT_TRY_AGAIN;
			run_stop(r, true);
		}
	}
}

/* --- what other threads report --- */

static void on_damaged(void *arg)		/* state thread */
{
	struct run *r = arg;

	atomic_store(&r->damaged, true);
	loop_wake(&r->loop);
}

static void on_wake(void *arg)
{
	struct run *r = arg;

	if (atomic_exchange(&r->damaged, false)) {
		r->exit_code = EXIT_IO;
		run_stop(r, false);
		pipeline_hurry(&r->pipeline);
	}
	if (atomic_exchange(&r->all_read, false))
		run_once_deliver(r);
}

/* --- timers --- */

static void on_give_back(struct loop_timer *t)
{
	struct run *r = container_of(t, struct run, give_back_timer);

	mem_give_back();
	timer_set(&r->loop, t, r->loop.now_ms + GIVE_BACK_EVERY_MS, on_give_back);
}

static void on_sample(struct loop_timer *t)
{
	struct run *r = container_of(t, struct run, sample_timer);

	status_sample(&r->pipeline);
	timer_set(&r->loop, t, r->loop.now_ms + HISTORY_EVERY_MS, on_sample);
}

static void on_held(struct loop_timer *t)
{
	struct run *r = container_of(t, struct run, held_timer);

	log_tell_held(false);
	timer_set(&r->loop, t, r->loop.now_ms + HELD_EVERY_MS, on_held);
}

/* --- the control socket --- */

static void on_question(void *arg, const char *question, struct buf *out)
{
	struct run *r = arg;

	if (!strcmp(question, "metrics") && endpoints_metrics(&r->endpoints, false, out) == 0)
		return;
	if (status_answer(&r->pipeline, question, out))
		return;
	if (!page_answer(r->pipeline.state, question, out) && !order_answer(&r->pipeline, question, out))
		buf_printf(out, "error: no answer to this question\n");
}

/* --- start and end --- */

/* Before any thread exists, so that all inherit the mask and signals come through the descriptor only. */
static int open_signals(struct run *r)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -errno : loop_fd_add(&r->loop, &r->signals, fd, EPOLLIN, on_signal);
}

static int open_all(struct run *r, const struct loaded *conf, struct err *e)
{
	int rc = pipeline_open(&r->pipeline, conf, r->options->once, e);

	if (rc < 0)
		return rc;
	r->pipeline.all_read = run_once_all_read;
	r->pipeline.all_read_arg = r;
	r->pipeline.damaged = on_damaged;
	r->pipeline.damaged_arg = r;
	rc = control_open(&r->loop, conf->conf->control, on_question, r, &r->control, e);
	r->endpoints.pipeline = &r->pipeline;
	if (rc >= 0 && conf->conf->metrics_listen)
		rc = http_open(&r->loop, conf->conf->metrics_listen, endpoints_answer, &r->endpoints, &r->http, e);
	if (rc >= 0)
		rc = pipeline_start(&r->pipeline, e);
	if (rc < 0) {
		/* Threads may run already; the orderly end serves for both. */
		pipeline_stop(&r->pipeline, false);
		pipeline_close(&r->pipeline);
	}
	return rc;
}

static void set_timers(struct run *r)
{
	timer_set(&r->loop, &r->sample_timer, clock_mono_ms(), on_sample);
	timer_set(&r->loop, &r->give_back_timer, clock_mono_ms() + GIVE_BACK_SOON_MS, on_give_back);
	timer_set(&r->loop, &r->held_timer, clock_mono_ms() + HELD_EVERY_MS, on_held);
	mem_give_back();		/* half a megabyte of code was needed once */
}

static void report_end(struct run *r)
{
	struct books_snapshot b;
	struct status s;
	int64_t behind = 0;

	/* What was in memory is given up by now and counts as unread: bytes of the files say what is left. */
	if (status_online(&r->pipeline, STATUS_POSITIONS, &s) >= 0) {
		for (size_t i = 0; i < s.file_count; i++)
			behind += s.files[i].size > s.files[i].safe ? s.files[i].size - s.files[i].safe : 0;
		status_release(&s);
	}
	books_snapshot(&r->pipeline.books, &b);
	if (r->progress)
		fprintf(stderr, "\n");
	log_tell_held(true);
	log_info("stopped", KI("acked", b.acked), KI("spooled", b.spooled), KI("left_in_files_bytes", behind),
		KI("dropped", b.dropped));
}

/* Lines and passwords are in memory. One byte, not none: the kernel then does not start a helper (|... in core_pattern) either. */
static void forbid_cores(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_max > 1) {
		l.rlim_cur = l.rlim_max = 1;
		(void)setrlimit(RLIMIT_CORE, &l);
	}
}

static int arm_killpoint(void)
{
	const char *bad;

	if (killpoint_init(&bad))
		return 0;
	fprintf(stderr, "spillway: SPILLWAY_KILL or SPILLWAY_HANG (not both): %s: PLACE or PLACE:N, N from 1, and PLACE one of "
		"these:\n", bad);
	for (int i = 0; i < KILLPOINT_COUNT; i++)
		fprintf(stderr, "  %s\n", killpoint_name(i));
	return EXIT_USAGE;
}

int cmd_run(const struct options *o)
{
	struct run *r = mem_new(struct run);
	struct loaded conf = { 0 };
	struct err e;
	int rc = r ? arm_killpoint() : EXIT_INTERNAL;

	forbid_cores();
	mem_keep_small();
	if (rc == 0)
		rc = cli_load(o, &conf);
	if (rc)
		goto out;
	r->options = o;
	if (geteuid() == 0)
		log_warn("running as root; a user of its own that may read the log files is safer");
	if (loop_init(&r->loop, on_wake, NULL, r) < 0 || open_signals(r) < 0) {
		log_error("cannot set the event loop up");
		rc = EXIT_INTERNAL;
		goto out;
	}
	notify_open(&r->notify);
	beat_open(&r->beat, "main");
	rc = open_all(r, &conf, &e);
	if (rc < 0) {
		if (rc == -EROFS)
			log_error("cannot start", KS("reason", e.text), KS("hint", READ_ONLY));
		else
			log_error("cannot start", KS("reason", e.text));
		rc = cli_exit_code(rc);
		goto out_loop;
	}
	log_info("started", KS("version", SPILLWAY_VERSION), KS("state_dir", conf.conf->state_dir));
	run_once_begin(r);
	set_timers(r);
	run_tell_started(r);
	loop_run(&r->loop);
	if (r->stopper)
		pthread_join(r->stopper, NULL);
	report_end(r);
	http_close(r->http);
	r->http = NULL;
	control_close(r->control);
	r->control = NULL;
	pipeline_close(&r->pipeline);
	rc = r->exit_code;
out_loop:
	http_close(r->http);
	endpoints_release(&r->endpoints);
	notify_close(r->notify);
	beat_close(&r->beat);
	control_close(r->control);
	close(r->signals.fd);
	loop_fd_del(&r->signals);
	loop_release(&r->loop);
out:
	loaded_release(&conf);
	mem_free(r);
	return rc;
}

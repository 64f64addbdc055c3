/* run_manager.c - what the service manager is told of the process (notify.h): started, reloading, its one line, stopping.
 *
 * Why the line is not asked for when a thread is held up: who asks waits with it, and nobody would answer signals. The manager is
 * told who is held up by notify.c's own thread.
 */
#include "agent/base/clock.h"
#include "agent/cmd/run.h"
#include "agent/reload.h"
#include "agent/status.h"

#define STATUS_EVERY_MS 10000		/* the line that the service manager shows */
#define STOP_SPARE_MS   30000		/* so long behind shutdown_timeout, for commits and the spool, more time is asked for */
#define STATUS_LINE_MAX 1000
#define QUICK_MS        1000
#define REFUSED "the last reload was refused (the journal says why), the configuration before it is in force"

static bool all_quick(void)
{
	struct buf slow;
	bool good;

	buf_init(&slow, STATUS_LINE_MAX);
	good = beat_all(clock_mono_ms(), QUICK_MS, NULL, &slow) && !slow.len;
	buf_release(&slow);
	return good;
}

/* Waits for the tail thread, the first time until it has looked at all files, if that takes no more than seconds. */
static void tell_status(struct run *r)
{
	struct buf line;
	struct status s;

	if (!r->notify || status_online(&r->pipeline, STATUS_ALL, &s) < 0)
		return;
	buf_init(&line, STATUS_LINE_MAX);
	if (r->refused)
		buf_puts(&line, REFUSED "; ");
	notify_line(&s, &line);
	if (line.data)
		notify_status(r->notify, line.data);
	buf_release(&line);
	status_release(&s);
}

static void on_status(struct loop_timer *t)
{
	struct run *r = container_of(t, struct run, status_timer);

	if (all_quick())
		tell_status(r);
	timer_set(&r->loop, t, clock_mono_ms() + STATUS_EVERY_MS, on_status);
}

void run_tell_reload(struct run *r)
{
	notify_reloading(r->notify);
	r->refused = reload(&r->pipeline, r->options->config, r->options->log_level) < 0;
	if (r->notify && all_quick())
		tell_status(r);
	else if (r->refused)
		notify_status(r->notify, REFUSED);
	notify_ready(r->notify);
}

void run_tell_stopping(struct run *r, bool deliver)
{
	int64_t most = STOP_SPARE_MS + (deliver ? r->pipeline.conf->conf->shutdown_timeout_ms : 0);

	notify_status(r->notify, deliver ? "stopping: delivering what is in memory" : "stopping");
	timer_cancel(&r->loop, &r->status_timer);
	notify_stopping(r->notify, clock_mono_ms(), most);
}

void run_tell_started(struct run *r)
{
	if (!r->notify)
		return;
	tell_status(r);
	notify_ready(r->notify);
	timer_set(&r->loop, &r->status_timer, clock_mono_ms() + STATUS_EVERY_MS, on_status);
}

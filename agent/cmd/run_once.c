/* run_once.c - `run --once`: when everything is read it ends as soon as that is delivered, or when its time is over; a terminal is
 * shown how far it is. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/cmd/run.h"
#include "agent/status.h"

#define DELIVER_SLICE_MS 10
#define PROGRESS_MS      500

void run_once_all_read(void *arg)
{
	struct run *r = arg;

	atomic_store(&r->all_read, true);
	loop_wake(&r->loop);
}

/* Good only if every file was read: one that could not be opened is no end to be glad of. */
static int once_exit_code(struct run *r)
{
	int code = EXIT_GOOD;
	struct status s;

	if (status_online(&r->pipeline, STATUS_POSITIONS, &s) < 0)
		return EXIT_INTERNAL;
	for (size_t i = 0; i < s.file_count; i++) {
		if (strcmp(s.files[i].state, "failed") != 0)
			continue;
		code = EXIT_IO;
		log_error("file was not read, its lines are not delivered", KS("path", s.files[i].path));
	}
	status_release(&s);
	return code;
}

static void on_once(struct loop_timer *t)
{
	struct run *r = container_of(t, struct run, once_timer);

	if (r->stopping)
		return;
	if (pipeline_delivered(&r->pipeline, DELIVER_SLICE_MS)) {
		r->exit_code = once_exit_code(r);
		run_stop(r, false);
	} else {
		timer_set(&r->loop, t, clock_mono_ms() + 1, on_once);
	}
}

void run_once_deliver(struct run *r)
{
	timer_set(&r->loop, &r->once_timer, r->loop.now_ms, on_once);
}

/* Why it took too long: brokers that fail, lanes that are held, files that cannot be read, a full spool. */
static void log_reasons(struct run *r)
{
	struct status s;

	if (status_online(&r->pipeline, STATUS_ALL, &s) < 0)
		return;
	for (size_t at = 0; at < s.reasons.len; at += strlen(s.reasons.data + at) + 1)
		log_warn("not everything was delivered", KS("reason", s.reasons.data + at));
	for (size_t i = 0; i < s.producer.broker_count; i++) {
		const struct producer_broker_stat *b = &s.producer.brokers[i];
		char address[300];

		snprintf(address, sizeof address, "%s:%d", b->host, b->port);
		if (!b->error[0] && strcmp(b->state, "up") != 0)
			log_warn("broker has not answered yet", KS("broker", address), KS("state", b->state));
	}
	status_release(&s);
}

static void on_timeout(struct loop_timer *t)
{
	struct run *r = container_of(t, struct run, timeout_timer);

	if (r->stopping)
		return;
	log_warn("time is over before everything was delivered; the rest stays in its files or in the spool");
	log_reasons(r);
	r->exit_code = EXIT_TRY_AGAIN;
	run_stop(r, false);
}

static void on_progress(struct loop_timer *t)
{
	struct run *r = container_of(t, struct run, progress_timer);
	int64_t now = clock_mono_ms(), size = 0, done = 0, left;
	double rate;
	struct status s;

	if (status_online(&r->pipeline, STATUS_POSITIONS, &s) < 0)
		return;
	for (size_t i = 0; i < s.file_count; i++) {
		size += s.files[i].size;
		done += s.files[i].safe;
	}
	status_release(&s);
	rate = (double)done / (double)(now - r->pipeline.started_ms + 1) * 1000;
	left = rate > 0 ? (int64_t)((double)(size - done) / rate) : 0;
	fprintf(stderr, "\r%.1f of %.1f MB delivered, %.1f MB/s, %lld s left ", (double)done / 1e6, (double)size / 1e6,
		rate / 1e6, (long long)left);
	if (!r->stopping)
		timer_set(&r->loop, t, now + PROGRESS_MS, on_progress);
}

void run_once_begin(struct run *r)
{
	const struct options *o = r->options;

	if (o->once && o->timeout_ms >= 0)
		timer_set(&r->loop, &r->timeout_timer, clock_mono_ms() + o->timeout_ms, on_timeout);
	r->progress = o->once && isatty(STDERR_FILENO);
	if (r->progress)
		timer_set(&r->loop, &r->progress_timer, clock_mono_ms() + PROGRESS_MS, on_progress);
}

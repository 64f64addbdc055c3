/* client_out.c - a thread that writes.
 *
 * Why: callbacks run on the sender's thread. A pager or a slow pipe behind stdout would keep it from reading answers, and
 * records that are in Kafka already would run out of time.
 * Invariant: what is unread is bounded by UNREAD_MAX and what is in flight, because the maker waits, not the callback.
 * Threads: callbacks put, `out` writes (outside the lock), main waits and closes.
 * Failure the first error (a closed pipe, a full disk) is kept for client_out_close, the rest is thrown away.
 */
#include "agent/cmd/client_out.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/thread.h"
#include "agent/cmd/client.h"

#define UNREAD_MAX (1u << 20)
#define LOOK_MS 100			/* for a signal, which wakes nobody */

static int write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, data, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return errno;
		data += k;
		n -= (size_t)k;
	}
	return 0;
}

static void *run(void *arg)
{
	struct client_out *o = arg;
	struct buf writing, empty;
	int error;

	buf_init(&writing, SIZE_MAX / 2);
	pthread_mutex_lock(&o->mu);
	while (!o->closed || o->filling.len) {
		if (!o->filling.len) {
			pthread_cond_wait(&o->cond, &o->mu);
			continue;
		}
		empty = writing;
		writing = o->filling;
		o->filling = empty;
		error = o->error;
		pthread_cond_broadcast(&o->cond);
		pthread_mutex_unlock(&o->mu);
		if (!error)
			error = write_all(o->fd, writing.data, writing.len);
		buf_clear(&writing);
		pthread_mutex_lock(&o->mu);
		if (!o->error)
			o->error = error;
	}
	pthread_mutex_unlock(&o->mu);
	buf_release(&writing);
	return NULL;
}

static void release(struct client_out *o)
{
	pthread_cond_destroy(&o->cond);
	pthread_mutex_destroy(&o->mu);
	buf_release(&o->filling);
}

int client_out_open(struct client_out *o, int fd)
{
	pthread_condattr_t attr;
	int rc;

	*o = (struct client_out){ .fd = fd };
	buf_init(&o->filling, SIZE_MAX / 2);
	pthread_mutex_init(&o->mu, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->cond, &attr);
	pthread_condattr_destroy(&attr);
	rc = thread_start(&o->thread, "out", run, o);
	if (rc < 0)
		release(o);
	return rc;
}

void client_out_put(struct client_out *o, const void *data, size_t n)
{
	pthread_mutex_lock(&o->mu);
	if (!o->error && buf_put(&o->filling, data, n) < 0)
		o->error = ENOMEM;
	pthread_cond_broadcast(&o->cond);
	pthread_mutex_unlock(&o->mu);
}

void client_out_wait(struct client_out *o)
{
	pthread_mutex_lock(&o->mu);
	while (o->filling.len > UNREAD_MAX && !client_stopped()) {
		int64_t at_ms = clock_mono_ms() + LOOK_MS;
		struct timespec ts = { .tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 };

		pthread_cond_timedwait(&o->cond, &o->mu, &ts);
	}
	pthread_mutex_unlock(&o->mu);
}

int client_out_close(struct client_out *o)
{
	pthread_mutex_lock(&o->mu);
	o->closed = true;
	pthread_cond_broadcast(&o->cond);
	pthread_mutex_unlock(&o->mu);
	pthread_join(o->thread, NULL);
	release(o);
	return o->error;
}

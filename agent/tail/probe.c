/* probe.c - asks a directory whether its file system answers. See probe.h.
 *
 * statfs goes to the server on every network file system; reading the directory's beginning does where that is cached.
 * Ownership: two, the owner and the thread; who goes last frees. Failure: no thread: it never answers.
 */
#include "agent/tail/probe.h"

#include <dirent.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"
#include "agent/tail/remote.h"

struct probe {
	char *dir;			/* read-only */
	pthread_mutex_t mu;		/* protects all below */
	pthread_cond_t  cond;
	struct probe_answer answer;
	bool closed;
	int  owners;
	void (*answered)(void *arg);
	void *arg;
};

static void let_go(struct probe *p)
{
	bool last;

	pthread_mutex_lock(&p->mu);
	last = --p->owners == 0;
	pthread_mutex_unlock(&p->mu);
	if (!last)
		return;
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->mu);
	mem_free(p->dir);
	mem_free(p);
}

/* May take for ever. */
static bool touch(const char *dir)
{
	char *at = mem_strdup(dir), *slash;
	struct stat st;
	bool remote = false;
	DIR *d;

	while (at && stat(at, &st) < 0 && (slash = strrchr(at, '/')) && slash > at)
		*slash = 0;
	if (at && (remote = remote_path(at)) && (d = opendir(at))) {
		(void)readdir(d);
		closedir(d);
	}
	mem_free(at);
	return remote;
}

static void *run(void *arg)
{
	struct probe *p = arg;
	struct beat own = { 0 };
	bool remote;

	beat_open(&own, "probe");
	pthread_mutex_lock(&p->mu);
	while (!p->closed) {
		if (!p->answer.asked_ms) {
			beat_into(BEAT_WAIT);
			pthread_cond_wait(&p->cond, &p->mu);
			beat_out();
			continue;
		}
		pthread_mutex_unlock(&p->mu);
		beat_into("asking a file system");
		remote = touch(p->dir);
		beat_out();
		pthread_mutex_lock(&p->mu);
		p->answer = (struct probe_answer){ .answered_ms = clock_mono_ms(), .remote = remote };
		pthread_cond_broadcast(&p->cond);
		if (!p->closed)
			p->answered(p->arg);
	}
	pthread_mutex_unlock(&p->mu);
	beat_close(&own);
	let_go(p);
	return NULL;
}

int probe_open(const char *dir, void (*answered)(void *arg), void *arg, struct probe **ret)
{
	struct probe *p = mem_new(struct probe);
	pthread_t thread;

	if (!p)
		return ERR_NOMEM;
	*p = (struct probe){ .dir = mem_strdup(dir), .owners = 2, .answered = answered, .arg = arg,
			     .answer.asked_ms = clock_mono_ms() };
	if (!p->dir) {
		mem_free(p);
		return ERR_NOMEM;
	}
	pthread_mutex_init(&p->mu, NULL);
	thread_cond_init(&p->cond);
	if (thread_start(&thread, "probe", run, p) < 0)
		p->owners = 1;
	else
		pthread_detach(thread);
	*ret = p;
	return 0;
}

void probe_ask(struct probe *p)
{
	pthread_mutex_lock(&p->mu);
	if (!p->answer.asked_ms) {
		p->answer.asked_ms = clock_mono_ms();
		pthread_cond_broadcast(&p->cond);
	}
	pthread_mutex_unlock(&p->mu);
}

void probe_look(struct probe *p, struct probe_answer *ret)
{
	pthread_mutex_lock(&p->mu);
	*ret = p->answer;
	pthread_mutex_unlock(&p->mu);
}

void probe_wait(struct probe *p, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;
	struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
	int rc = 0;

	pthread_mutex_lock(&p->mu);
	while (p->answer.asked_ms && rc == 0)
		rc = pthread_cond_timedwait(&p->cond, &p->mu, &at);
	pthread_mutex_unlock(&p->mu);
}

void probe_close(struct probe *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mu);
	p->closed = true;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->mu);
	let_go(p);
}

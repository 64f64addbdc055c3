/* notify.c - see notify.h.
 *
 * Invariants
 *  (1) WATCHDOG=1 is sent by notify_look alone, never before READY=1 (the first one is what starts systemd's clock, also during
 *      the start), and only right after every thread was found to make progress.
 *  (2) while threads hang or are held up, STATUS= says so, whatever main has to say; afterwards its last line is back.
 *  (3) the same trouble is logged once: lines that differ in nothing but digits are the same.
 * Threads: any; lock: mu, held while sending, so that what is said last is said last. The log is written without it.
 * Failure a datagram that is not taken within SEND_MS (the manager hangs) is lost, but READY=1: without it the start never ends.
 */
#include "agent/notify.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/beat.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"

#define STATUS_BYTES 400
#define SEND_MS      1000
#define LOOK_MS      10000	/* at least so often, also without a watchdog */
#define LIMIT_MS     30000	/* without one: so long a thread may be silent */
#define STOP_LOOK_MS 2000	/* while stopping */
#define LATE_MS      1000	/* a look may be late by this before that counts as a pause */
#define START_EXTEND_MS 60000
#define STOP_EXTEND_MS  15000

enum phase { STARTING, RUNNING, STOPPING };

struct notify {
	/* Set at open. */
	int fd;
	struct sockaddr_un to;
	socklen_t to_len;
	int64_t watchdog_ms;		/* 0: none */
	int64_t look_ms, limit_ms;
	pthread_t thread;
	bool started;

	pthread_mutex_t mu;		/* protects all below */
	pthread_cond_t  cond;		/* CLOCK_MONOTONIC */
	bool closing;
	enum phase phase;
	int64_t stop_until_ms;		/* more time is not asked for */
	int64_t looked_ms;
	bool ready_owed;		/* READY=1 was not taken */
	char status[STATUS_BYTES];	/* main's last */
	char trouble[STATUS_BYTES];	/* in its place; empty: none */
};

/* mu held. */
static bool tell(struct notify *n, const char *text)
{
	ssize_t done;

	do
		done = sendto(n->fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&n->to, n->to_len);
	while (done < 0 && errno == EINTR);
	return done >= 0;
}

/* mu held. */
static void tell_status(struct notify *n)
{
	char text[STATUS_BYTES + 10];

	snprintf(text, sizeof text, "STATUS=%s", n->trouble[0] ? n->trouble : n->status);
	(void)tell(n, text);
}

/* mu held. */
static void tell_extend(struct notify *n, const char *also, int64_t ms)
{
	char text[80];

	snprintf(text, sizeof text, "%sEXTEND_TIMEOUT_USEC=%lld", also, (long long)ms * 1000);
	(void)tell(n, text);
}

/* mu held. How often its thread looks. */
static int64_t pace(const struct notify *n)
{
	return n->phase == STOPPING && n->look_ms > STOP_LOOK_MS ? STOP_LOOK_MS : n->look_ms;
}

/* --- the watchdog --- */

static bool same_but_digits(const char *a, const char *b)
{
	for (;;) {
		while (isdigit((unsigned char)*a))
			a++;
		while (isdigit((unsigned char)*b))
			b++;
		if (*a != *b || !*a)
			return *a == *b;
		a++;
		b++;
	}
}

static void log_trouble(const struct notify *n, const char *hung, const char *slow)
{
	if (*hung && n->watchdog_ms)
		log_error("a thread hangs, the watchdog is not fed any more: if it stays so the service manager ends this process "
			  "and starts it anew, nothing is lost by that", KS("threads", hung));
	else if (*hung)
		log_error("a thread hangs, what it does stands still until this process is restarted", KS("threads", hung));
	else if (*slow)
		log_warn("a thread is held up by what it waits for, it goes on when that answers", KS("threads", slow));
	else
		log_info("all threads make progress again");
}

static const char *text_of(const struct buf *b)
{
	return b->data ? b->data : "";
}

/* A stopped process, a paused machine: this thread did not run, so the others could not either. */
static void pardon_pause(struct notify *n, int64_t now_ms)
{
	int64_t late;

	pthread_mutex_lock(&n->mu);
	late = now_ms - n->looked_ms - pace(n);
	n->looked_ms = now_ms;
	pthread_mutex_unlock(&n->mu);
	if (late > LATE_MS)
		beat_pardon(now_ms, late);
}

/* mu held. Every thread makes progress. */
static void tell_good(struct notify *n, int64_t now_ms)
{
	if (n->phase == STARTING) {
		tell_extend(n, "", START_EXTEND_MS);
		return;
	}
	if (n->watchdog_ms)
		(void)tell(n, "WATCHDOG=1");
	if (n->phase == STOPPING && now_ms < n->stop_until_ms)
		tell_extend(n, "STOPPING=1\n", STOP_EXTEND_MS);
}

void notify_look(struct notify *n, int64_t now_ms)
{
	struct buf hung, slow;
	char trouble[STATUS_BYTES] = "";
	bool good, news;

	buf_init(&hung, STATUS_BYTES / 2);
	buf_init(&slow, STATUS_BYTES / 2);
	pardon_pause(n, now_ms);
	good = beat_all(now_ms, n->limit_ms, &hung, &slow);
	if (!good)
		snprintf(trouble, sizeof trouble, "hangs: %s", text_of(&hung));
	else if (slow.len)
		snprintf(trouble, sizeof trouble, "held up: %s", text_of(&slow));
	pthread_mutex_lock(&n->mu);
	if (n->ready_owed)
		n->ready_owed = !tell(n, "READY=1");
	if (good)
		tell_good(n, now_ms);
	news = !same_but_digits(trouble, n->trouble);
	if (strcmp(trouble, n->trouble) != 0) {
		memcpy(n->trouble, trouble, sizeof trouble);
		tell_status(n);
	}
	pthread_mutex_unlock(&n->mu);
	if (news)
		log_trouble(n, text_of(&hung), text_of(&slow));
	buf_release(&hung);
	buf_release(&slow);
}

static void *run(void *arg)
{
	struct notify *n = arg;

	pthread_mutex_lock(&n->mu);
	while (!n->closing) {
		int64_t at = clock_mono_ms() + pace(n);
		struct timespec ts = { .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };

		if (pthread_cond_timedwait(&n->cond, &n->mu, &ts) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&n->mu);
		notify_look(n, clock_mono_ms());
		pthread_mutex_lock(&n->mu);
	}
	pthread_mutex_unlock(&n->mu);
	return NULL;
}

/* --- open --- */

/* A path, or @ and a name in the abstract namespace. */
static bool read_address(struct notify *n, const char *text)
{
	size_t len = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || !text[1] || len >= sizeof n->to.sun_path)
		return false;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, text, len);
	if (text[0] == '@')
		n->to.sun_path[0] = '\0';
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

static bool read_number(const char *text, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

/* Half of what the manager waits is the limit for a thread, and the pace: a thread that hangs is known of in time. */
static void read_watchdog(struct notify *n)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	int64_t us, whose;

	n->look_ms = LOOK_MS;
	n->limit_ms = LIMIT_MS;
	if (!usec || (pid && (!read_number(pid, &whose) || whose != getpid())))
		return;
	if (!read_number(usec, &us) || us < 2000) {
		log_warn("WATCHDOG_USEC is no number of microseconds, the watchdog is not fed", KS("value", usec));
		return;
	}
	n->watchdog_ms = us / 1000;
	n->limit_ms = n->watchdog_ms / 2;
	n->look_ms = n->limit_ms < LOOK_MS ? n->limit_ms : LOOK_MS;
}

static void init_lock(struct notify *n)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&n->mu, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&n->cond, &attr);
	pthread_condattr_destroy(&attr);
}

static int begin(struct notify *n)
{
	struct timeval patience = { .tv_sec = SEND_MS / 1000 };
	int rc;

	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->fd < 0)
		return -errno;
	setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	read_watchdog(n);
	n->looked_ms = clock_mono_ms();
	rc = thread_start(&n->thread, "notify", run, n);
	n->started = rc == 0;
	return rc;
}

int notify_open(struct notify **ret)
{
	const char *address = getenv("NOTIFY_SOCKET");
	struct notify *n;
	int rc = 0;

	*ret = NULL;
	if (!address || !*address)
		return 0;
	n = mem_new(struct notify);
	if (!n)
		return ERR_NOMEM;
	n->fd = -1;
	init_lock(n);
	if (!read_address(n, address)) {
		log_warn("NOTIFY_SOCKET is no address of a unix socket, the service manager is told nothing", KS("value", address));
		notify_close(n);
		n = NULL;
	} else if ((rc = begin(n)) < 0) {
		log_warn("cannot speak to the service manager, it is told nothing", KE(rc));
		notify_close(n);
		n = NULL;
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	*ret = n;
	return rc;
}

void notify_close(struct notify *n)
{
	if (!n)
		return;
	if (n->started) {
		pthread_mutex_lock(&n->mu);
		n->closing = true;
		pthread_cond_signal(&n->cond);
		pthread_mutex_unlock(&n->mu);
		pthread_join(n->thread, NULL);
	}
	if (n->fd >= 0)
		close(n->fd);
	pthread_cond_destroy(&n->cond);
	pthread_mutex_destroy(&n->mu);
	mem_free(n);
}

/* --- what is told --- */

static void tell_locked(struct notify *n, const char *text)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->mu);
	(void)tell(n, text);
	pthread_mutex_unlock(&n->mu);
}

void notify_ready(struct notify *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->mu);
	n->ready_owed = !tell(n, "READY=1");
	if (n->phase == STARTING)
		n->phase = RUNNING;
	pthread_mutex_unlock(&n->mu);
}

void notify_reloading(struct notify *n)
{
	char text[80];

	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_mono_ns() / 1000));
	tell_locked(n, text);
}

void notify_stopping(struct notify *n, int64_t now_ms, int64_t most_ms)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->mu);
	n->phase = STOPPING;
	n->stop_until_ms = now_ms + most_ms;
	n->looked_ms = now_ms;		/* another pace from here on */
	tell_extend(n, "STOPPING=1\n", STOP_EXTEND_MS);
	pthread_cond_signal(&n->cond);
	pthread_mutex_unlock(&n->mu);
}

/* The bytes of the UTF-8 character at p; 0: it is none, or was cut. */
static size_t char_len(const char *p)
{
	for (size_t n = 1; n <= 4 && p[n - 1]; n++)
		if (buf_is_utf8(p, n))
			return n;
	return 0;
}

/* One line: the protocol's separator is the line feed. A manager takes nothing but UTF-8, and names of files may be none. */
void notify_status(struct notify *n, const char *words)
{
	char line[STATUS_BYTES];

	if (!n)
		return;
	snprintf(line, sizeof line, "%s", words);
	for (char *p = line; *p;) {
		size_t len = char_len(p);

		if (!len)
			*p = '?';
		else if ((unsigned char)*p < ' ')
			*p = ' ';
		p += len ? len : 1;
	}
	pthread_mutex_lock(&n->mu);
	if (strcmp(line, n->status) != 0) {
		memcpy(n->status, line, sizeof line);
		if (!n->trouble[0])
			tell_status(n);
	}
	pthread_mutex_unlock(&n->mu);
}

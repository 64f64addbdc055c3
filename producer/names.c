/* names.c - the look-up thread.
 *
 * Invariant: a query is in `asked`, with the thread (busy), or in `answered`.
 * Threads: ask and answer from one thread, the look-ups in another. Lock: mu, leaf.
 * Failure a look-up that hangs at the end is left behind: the thread frees everything when it comes back (`orphan`).
 */
#include "producer/names.h"

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/beat.h"
#include "agent/base/err.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"
#include "producer/security.h"

struct names {
	void (*wake)(void *arg);
	void *wake_arg;
	names_look_up_fn *look_up;	/* set before the first question */
	void *look_up_arg;

	pthread_mutex_t mu;		/* protects all below; leaf */
	pthread_cond_t  cond;
	struct list asked, answered;
	bool busy, closing, orphan;
	pthread_t thread;
};

static void copy_addresses(struct name_query *q, const struct addrinfo *list)
{
	for (const struct addrinfo *a = list; a && q->count < NAME_ADDRESSES_MAX; a = a->ai_next)
		if (a->ai_addrlen <= sizeof q->addresses[0])
			memcpy(&q->addresses[q->count++], a->ai_addr, a->ai_addrlen);
}

static int look_up(struct name_query *q, int flags)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list = NULL;
	char port[12];

	snprintf(port, sizeof port, "%d", q->port);
	q->count = 0;
	q->error = getaddrinfo(q->host, port, &hints, &list);
	if (q->error)
		return -1;
	copy_addresses(q, list);
	freeaddrinfo(list);
	return q->count ? 0 : -1;
}

/* Addresses without a name are taken as they are written. Twice the same name is one. */
static void canonical_names(struct name_query *q)
{
	int n = 0;

	for (int i = 0; i < q->count; i++) {
		const union name_address *a = &q->addresses[i];
		socklen_t len = a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
		int k = 0;

		if (getnameinfo(&a->any, len, q->names[n], sizeof q->names[n], NULL, 0, 0) != 0)
			continue;
		while (strcmp(q->names[k], q->names[n]) != 0)
			k++;
		n += k == n;
	}
	q->count = n;
}

static void look_up_name(void *arg, struct name_query *q)
{
	(void)arg;
	if (look_up(q, AI_ADDRCONFIG | AI_NUMERICSERV) == 0 && q->canonical)
		canonical_names(q);
}

void names_look_up_by(struct names *n, names_look_up_fn *fn, void *arg)
{
	n->look_up = fn;
	n->look_up_arg = arg;
}

const char *names_error(const struct name_query *q)
{
	return q->error ? gai_strerror(q->error) : "no address";
}

int names_numeric(const char *host, int port, union name_address *ret)
{
	struct name_query q = { .port = port };

	snprintf(q.host, sizeof q.host, "%s", host);
	if (look_up(&q, AI_NUMERICHOST | AI_NUMERICSERV) < 0)
		return -1;
	*ret = q.addresses[0];
	return 0;
}

void name_query_free(struct name_query *q)
{
	security_unref(q->security);
	mem_free(q);
}

/* Without what is to be prepared an address is of no use. */
static void serve_query(struct names *n, struct name_query *q)
{
	q->why.code = q->security ? security_prepare(q->security, &q->why) : 0;
	if (q->why.code >= 0 && q->host[0])
		n->look_up(n->look_up_arg, q);
}

static void throw_away(struct list *l)
{
	struct name_query *q;

	while ((q = list_first(l, struct name_query, node))) {
		list_remove(&q->node);
		name_query_free(q);
	}
}

static void destroy(struct names *n)
{
	throw_away(&n->asked);
	throw_away(&n->answered);
	pthread_cond_destroy(&n->cond);
	pthread_mutex_destroy(&n->mu);
	mem_free(n);
}

/* mu held; left while looking up. */
static void serve_one(struct names *n)
{
	struct name_query *q = list_first(&n->asked, struct name_query, node);
	bool closing;

	list_remove(&q->node);
	n->busy = true;
	pthread_mutex_unlock(&n->mu);
	beat_into("name lookup");
	serve_query(n, q);
	beat_out();
	pthread_mutex_lock(&n->mu);
	n->busy = false;
	list_push_back(&n->answered, &q->node);
	closing = n->closing;
	pthread_mutex_unlock(&n->mu);
	if (!closing)
		n->wake(n->wake_arg);
	pthread_mutex_lock(&n->mu);
}

static void *serve(void *arg)
{
	struct names *n = arg;
	struct beat own = { 0 };
	bool orphan;

	beat_open(&own, "names");
	pthread_mutex_lock(&n->mu);
	while (!n->closing) {
		if (!list_empty(&n->asked)) {
			serve_one(n);
			continue;
		}
		beat_into(BEAT_WAIT);
		pthread_cond_wait(&n->cond, &n->mu);
		beat_out();
	}
	orphan = n->orphan;
	pthread_mutex_unlock(&n->mu);
	beat_close(&own);
	if (orphan)
		destroy(n);
	return NULL;
}

int names_open(struct names **ret, void (*wake)(void *arg), void *arg)
{
	struct names *n = mem_new(struct names);
	int rc;

	if (!n)
		return ERR_NOMEM;
	n->wake = wake;
	n->wake_arg = arg;
	n->look_up = look_up_name;
	pthread_mutex_init(&n->mu, NULL);
	pthread_cond_init(&n->cond, NULL);
	list_init(&n->asked);
	list_init(&n->answered);
	rc = thread_start(&n->thread, "names", serve, n);
	if (rc < 0)
		destroy(n);
	else
		*ret = n;
	return rc;
}

void names_close(struct names *n)
{
	pthread_t thread;
	bool orphan;

	if (!n)
		return;
	pthread_mutex_lock(&n->mu);
	n->closing = true;
	orphan = n->orphan = n->busy;
	thread = n->thread;
	pthread_cond_signal(&n->cond);
	pthread_mutex_unlock(&n->mu);
	if (orphan) {
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL);
	destroy(n);
}

void names_ask(struct names *n, struct name_query *q)
{
	pthread_mutex_lock(&n->mu);
	list_push_back(&n->asked, &q->node);
	pthread_cond_signal(&n->cond);
	pthread_mutex_unlock(&n->mu);
}

struct name_query *names_answer(struct names *n)
{
	struct name_query *q;

	pthread_mutex_lock(&n->mu);
	q = list_first(&n->answered, struct name_query, node);
	if (q)
		list_remove(&q->node);
	pthread_mutex_unlock(&n->mu);
	return q;
}

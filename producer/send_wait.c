/* send_wait.c - producer_send_wait: one record, and the wait for its end.
 *
 * Why apart from send.c: the end is told by a callback as for anybody else; all that is special is who frees what it is
 * told into, because a caller that gave up is gone when it comes.
 * Invariant: the callback and the caller each hold `awaited`; the last to leave frees it.
 * Threads: any but the sender's, which would wait for itself.
 */
#include "producer/core.h"

#include <time.h>

#include "agent/base/mem.h"
#include "producer/code.h"

struct awaited {
	pthread_mutex_t mu;		/* protects all below */
	pthread_cond_t  cond;		/* CLOCK_MONOTONIC */
	int  holders;
	bool ended;
	struct producer_metadata md;
	struct producer_error err;
};

static struct awaited *awaited_new(void)
{
	struct awaited *a = mem_new(struct awaited);
	pthread_condattr_t attr;

	if (!a)
		return NULL;
	a->holders = 2;
	pthread_mutex_init(&a->mu, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->cond, &attr);
	pthread_condattr_destroy(&attr);
	return a;
}

/* Holding mu, which is left. */
static void awaited_drop(struct awaited *a, int holders)
{
	bool last = (a->holders -= holders) == 0;

	pthread_mutex_unlock(&a->mu);
	if (!last)
		return;
	pthread_cond_destroy(&a->cond);
	pthread_mutex_destroy(&a->mu);
	mem_free(a);
}

static void awaited_ended(void *arg, const struct producer_metadata *md, const struct producer_error *err)
{
	struct awaited *a = arg;

	pthread_mutex_lock(&a->mu);
	a->ended = true;
	a->md = *md;
	if (err)
		a->err = *err;
	pthread_cond_signal(&a->cond);
	awaited_drop(a, 1);
}

static int await(struct awaited *a, int64_t at_ms, struct producer_metadata *ret_md, struct producer_error *ret_err)
{
	struct timespec ts = { .tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000) * 1000000 };
	int late = 0, rc = 0;

	pthread_mutex_lock(&a->mu);
	while (!a->ended && !late)
		late = at_ms < 0 ? pthread_cond_wait(&a->cond, &a->mu) : pthread_cond_timedwait(&a->cond, &a->mu, &ts);
	if (!a->ended) {
		rc = code_fail(ret_err, ERR_TIMEOUT, "no answer in time; the record may still be delivered");
	} else if (a->err.code) {
		/* Kafka's codes are positive; whoever asks "negative?" must see the failure too. */
		rc = a->err.code < 0 ? a->err.code : PRODUCER_ERR_REFUSED;
		if (ret_err)
			*ret_err = a->err;
	}
	if (a->ended && ret_md)
		*ret_md = a->md;
	awaited_drop(a, 1);
	return rc;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int send_and_await(struct producer *p, const struct producer_record *r, int64_t at_ms, struct producer_metadata *ret_md,
			  struct producer_error *ret_err)
{
	struct awaited *a = awaited_new();
	int rc;

	if (!a)
		return code_fail(ret_err, ERR_NOMEM, NULL);
	rc = producer_send_until(p, r, awaited_ended, a, earlier(at_ms, producer_deadline(p->config->max_block_ms)), ret_err);
	if (rc < 0) {
		pthread_mutex_lock(&a->mu);
		awaited_drop(a, 2);
		return rc;
	}
	rc = await(a, at_ms, ret_md, ret_err);
	if (ret_md)
		ret_md->topic = r->topic;
	return rc;
}

int producer_send_wait(struct producer *p, const struct producer_record *r, int64_t timeout_ms,
		       struct producer_metadata *ret_md, struct producer_error *ret_err)
{
	int64_t at_ms = producer_deadline(timeout_ms);
	int rc;

	if (producer_on_sender(p))
		return code_fail(ret_err, PRODUCER_ERR_SYSTEM, "a callback cannot wait for another record");
	rc = producer_enter(p);
	if (rc < 0)
		return code_fail(ret_err, rc, NULL);
	rc = send_and_await(p, r, at_ms, ret_md, ret_err);
	producer_leave(p);
	return rc;
}

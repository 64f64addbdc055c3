/* compress.c - the compressor threads.
 *
 * Why: the sender must answer brokers while batches are squeezed, and a tailer must read on.
 * Invariants
 *  (1) a batch stays in its place in its lane while it is compressed: results keep the lane's order, whichever thread is
 *      faster.
 *  (2) lanes take turns, a batch each, so one busy lane does not keep the others waiting.
 * Threads: each owns one codec context and one batch at a time (BATCH_COMPRESSING). Lock: accum->mu, never while
 *	compressing.
 * Failure a batch that cannot be compressed, for lack of memory or because it would grow, goes out as it is.
 */
#include "producer/compress.h"

#include "agent/base/beat.h"
#include "agent/base/mem.h"
#include "agent/base/thread.h"

struct worker {
	struct accum *accum;
	struct codec_ctx *ctx;		/* the worker thread's */
	enum codec codec;
	pthread_t thread;
	bool started;
};

struct compress {
	struct accum *accum;
	uint32_t count;
	struct worker workers[];
};

/* accum->mu held; work is not empty. */
static struct batch *take(struct accum *a)
{
	struct lane *l = list_first(&a->work, struct lane, work_node);
	struct batch *b = l->next_sealed;

	list_remove(&l->work_node);
	l->next_sealed = b->node.next == &l->sealed ? NULL : list_entry(b->node.next, struct batch, node);
	if (l->next_sealed)
		list_push_back(&a->work, &l->work_node);
	b->state = BATCH_COMPRESSING;
	return b;
}

static void squeeze(struct worker *w, struct batch *b)
{
	const void *data;
	size_t n;

	batch_seal_crc(b);	/* of the raw bytes */
	if (codec_compress(w->ctx, b->chunks, b->bytes, &data, &n) < 0)
		return;
	batch_replace_bytes(b, w->accum->budget, data, n, w->codec);
	batch_seal_crc(b);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct accum *a = w->accum;
	struct beat own = { 0 };
	struct batch *b;
	bool news;

	beat_open(&own, "compress");
	pthread_mutex_lock(&a->mu);
	for (;;) {
		beat_into(BEAT_WAIT);
		while (list_empty(&a->work) && !a->no_more_work)
			pthread_cond_wait(&a->work_cond, &a->mu);
		beat_out();
		if (list_empty(&a->work))
			break;
		b = take(a);
		pthread_mutex_unlock(&a->mu);
		squeeze(w, b);
		pthread_mutex_lock(&a->mu);
		b->state = BATCH_READY;
		news = b->node.prev == &b->lane->sealed;
		if (news)
			lane_has_news(b->lane);
		pthread_mutex_unlock(&a->mu);
		if (news)
			accum_wake(a);
		pthread_mutex_lock(&a->mu);
	}
	pthread_mutex_unlock(&a->mu);
	beat_close(&own);
	return NULL;
}

static int start(struct compress *c, enum codec codec, int level)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct worker *w = &c->workers[i];
		int rc = codec_ctx_new(&w->ctx, codec, level);

		w->accum = c->accum;
		w->codec = codec;
		if (rc == 0)
			rc = thread_start(&w->thread, "compress", work, w);
		if (rc < 0)
			return rc;
		w->started = true;
	}
	return 0;
}

int compress_open(struct compress **ret, struct accum *a, enum codec codec, int level, uint32_t threads)
{
	struct compress *c = mem_zalloc(sizeof *c + threads * sizeof c->workers[0]);
	int rc;

	if (!c)
		return ERR_NOMEM;
	c->accum = a;
	c->count = threads;
	rc = start(c, codec, level);
	if (rc < 0)
		compress_close(c);
	else
		*ret = c;
	return rc;
}

void compress_close(struct compress *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->accum->mu);
	c->accum->no_more_work = true;
	pthread_cond_broadcast(&c->accum->work_cond);
	pthread_mutex_unlock(&c->accum->mu);
	for (uint32_t i = 0; i < c->count; i++) {
		if (c->workers[i].started)
			pthread_join(c->workers[i].thread, NULL);
		codec_ctx_free(c->workers[i].ctx);
	}
	mem_free(c);
}

/* cutter.c - the thread that cuts batches; see cut.h.
 *
 * Threads: its own, from the first batch on; the compressor's context is its alone.
 * Failure a thread or a context that cannot be had: the batch comes back with the error, or stays the caller's.
 */
#include "producer/cut.h"

#include "agent/base/beat.h"
#include "producer/codec.h"

static void *run(void *arg)
{
	struct cutter *c = arg;
	enum codec codec = (enum codec)c->config->compression_type;
	struct codec_ctx *ctx = NULL;
	struct beat own = { 0 };
	struct list *n;

	beat_open(&own, "cut");
	while ((n = queue_wait_one(&c->jobs))) {
		struct batch *b = list_entry(n, struct batch, node);
		int rc = ctx || codec == CODEC_NONE ? 0 : codec_ctx_new(&ctx, codec, codec_level(c->config));

		b->error = rc < 0 ? rc : cut_batch(b, c->budget, ctx, codec, c->journaled);
		queue_push(c->answers, &b->node);
	}
	codec_ctx_free(ctx);
	beat_close(&own);
	return NULL;
}

void cutter_init(struct cutter *c, const struct producer_config *config, struct budget *m, struct queue *answers, bool journaled)
{
	*c = (struct cutter){ .config = config, .budget = m, .answers = answers, .journaled = journaled };
	queue_init(&c->jobs, NULL, NULL);
}

int cutter_push(struct cutter *c, struct batch *b)
{
	if (!c->started) {
		int rc = thread_start(&c->thread, "cut", run, c);

		if (rc < 0)
			return rc;
		c->started = true;
	}
	queue_push(&c->jobs, &b->node);
	return 0;
}

void cutter_close(struct cutter *c)
{
	if (!c->answers)
		return;
	queue_close(&c->jobs);
	if (c->started)
		pthread_join(c->thread, NULL);
	queue_release(&c->jobs);
	*c = (struct cutter){ 0 };
}

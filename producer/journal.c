/* journal.c - the face for a caller who records batches before they are sent.
 *
 * Why: see journal.h. Answers change the books on the caller's thread, so that a caller can move its own counters with
 * them under a lock of its own; everything else is queued for the sender.
 * Threads: any; no lock of the caller's is needed. Locks taken: accum->mu, the queue's and the budget's, one at a time.
 */
#include "producer/core.h"

#include <stdatomic.h>

#include "agent/base/clock.h"
#include "agent/base/mem.h"
#include "producer/codec.h"
#include "producer/cut.h"

/* While no broker is up for this long, a stop that may give up early does. */
#define DOWN_GRACE_MS 500

int producer_open_journaled(struct producer_config *c, const struct producer_journal *j, struct producer **ret_p,
			    struct producer_error *ret_err)
{
	return core_open(c, j, ret_p, ret_err);
}

struct lane *producer_lane(struct producer *p, const char *topic, int32_t partition)
{
	return accum_lane(&p->accum, topic, partition, false);
}

struct lane *producer_waiting_lane(struct producer *p, const char *topic, int32_t partition)
{
	return accum_lane(&p->accum, topic, partition, true);
}

void producer_unread(struct producer *p, struct lane *l, struct list *batches, bool last)
{
	struct batch *b;

	while ((b = list_first(batches, struct batch, node))) {
		list_remove(&b->node);
		accum_uncount(&p->accum, b);
		accum_settled(&p->accum, b);
		batch_free(b, p->budget);
	}
	if (last)
		atomic_store(&l->returned_all, true);
	lane_look(l);
}

struct budget *producer_budget(struct producer *p)
{
	return p->budget;
}

uint64_t producer_in_memory(const struct producer *p)
{
	return atomic_load(&p->accum.in_memory);
}

/* --- before producer_start: the sender's thread does not run, so its things are ours --- */

int producer_restore(struct producer *p, const char *topic, struct batch *b)
{
	struct sender *s = &p->sender;
	struct topic *t = accum_topic(&p->accum, topic);
	struct stream *st = t ? topic_stream(t, b->partition, &s->stream_conf) : NULL;
	int rc = st ? stream_restore(st, b) : ERR_NOMEM;

	if (rc < 0) {
		batch_free(b, p->budget);
		return rc;
	}
	b->lane = NULL;
	b->cluster_id = metadata_keep_cluster_id(&s->metadata, b->cluster_id);
	b->sent_ms = 1;
	if (b->counted)
		atomic_fetch_add(&p->accum.in_memory, (uint64_t)(b->count - b->kept_rest));
	if (list_empty(&t->node))
		metadata_add(&s->metadata, t);
	if (list_empty(&st->node))
		list_push_back(&s->streams, &st->node);
	return 0;
}

/* What an earlier life left unplaced is older than all that comes now. */
static void note_unplaced(struct producer *p, const struct lane *u)
{
	struct lane *l = accum_lane(&p->accum, u->topic->name, -1, false);

	ASSERT(l);		/* or lines would overtake it */
	pthread_mutex_lock(&l->mu);
	l->unplaced_busy = true;
	pthread_mutex_unlock(&l->mu);
}

void producer_set_backlog(struct producer *p, struct lane *l, uint64_t n)
{
	if (l->partition == LANE_UNPLACED && n)
		note_unplaced(p, l);
	pthread_mutex_lock(&p->accum.mu);
	l->backlog = l->earlier = n;
	lane_has_news(l);
	pthread_mutex_unlock(&p->accum.mu);
}

/* Metadata is asked for it when something is to be sent there. */
void producer_set_partitions(struct producer *p, const char *topic, int32_t count)
{
	struct topic *t = accum_topic(&p->accum, topic);

	if (t)
		(void)topic_restore(t, count);	/* without it, it is waited for */
}

void producer_ages_unknown(struct producer *p)
{
	p->sender.ages_unknown = true;
}

/* --- answers --- */

static void queue_answer(struct producer *p, struct batch *b, int rc)
{
	b->error = rc;
	queue_push(&p->sender.answers, &b->node);
}

void producer_planned(struct producer *p, struct list *batches, int rc)
{
	struct batch *b;

	while ((b = list_first(batches, struct batch, node))) {
		list_remove(&b->node);
		queue_answer(p, b, rc);
	}
}

void producer_shrunk(struct producer *p, struct batch *b)
{
	accum_shrunk(&p->accum, b);
}

void producer_recorded(struct producer *p, struct list *batches)
{
	struct batch *b;

	while ((b = list_first(batches, struct batch, node))) {
		list_remove(&b->node);
		accum_uncount(&p->accum, b);
		batch_free(b, p->budget);
		atomic_fetch_sub(&p->accum.recording, 1);
	}
	if (atomic_load(&p->draining))
		accum_wake(&p->accum);
}

/* A batch of a lane lives on as a number, if it was not given up; the lane's order is kept by adding it where the row was
 * written. */
static void became_row(struct producer *p, struct batch *b)
{
	struct lane *l = b->lane;
	bool given_up = !b->row_id;

	batch_free(b, p->budget);
	pthread_mutex_lock(&p->accum.mu);
	l->spilling--;
	l->backlog += !given_up;
	lane_has_news(l);
	pthread_mutex_unlock(&p->accum.mu);
}

void producer_spilled(struct producer *p, struct list *batches, int rc, int64_t retry_ms)
{
	struct batch *b;

	while ((b = list_first(batches, struct batch, node))) {
		list_remove(&b->node);
		if (rc == 0) {
			accum_uncount(&p->accum, b);
			batch_drop_bytes(b, p->budget);
			accum_settled(&p->accum, b);
		}
		b->retry_at_ms = retry_ms;
		if (rc == 0 && !b->placed)
			became_row(p, b);
		else
			queue_answer(p, b, rc);
	}
	accum_wake(&p->accum);
}

/* The parts are rows with an identity; the one they come from is no more. */
void producer_replaced(struct producer *p, struct batch *b, int rc, int64_t retry_ms)
{
	if (rc == 0) {
		accum_uncount(&p->accum, b);
		accum_settled(&p->accum, b);
	}
	b->retry_at_ms = retry_ms;
	queue_answer(p, b, rc);
}

/* What fitted the topic compressed may not fit as its lines stand in their file, nor in the codec of another configuration:
 * a repeat that is refused says nothing about the first attempt. */
static void squeeze_again(const struct producer *p, struct batch *b)
{
	enum codec codec = (enum codec)b->planned_codec;
	struct codec_ctx *ctx;
	const void *data;
	size_t n;

	if (b->row_id || b->codec != CODEC_NONE || codec == CODEC_NONE ||
	    codec_ctx_new(&ctx, codec, codec_level(p->config)) < 0)
		return;
	if (codec_compress(ctx, b->chunks, b->bytes, &data, &n) == 0) {
		batch_replace_bytes(b, p->budget, data, n, codec);
		batch_seal_crc(b);
	}
	codec_ctx_free(ctx);
}

void producer_pack(struct producer *p, struct batch *b)
{
	batch_seal_crc(b);
	squeeze_again(p, b);
}

void producer_loaded(struct producer *p, struct batch *b, int rc)
{
	/* Rebuilt bytes have a CRC of their own. */
	if (rc == 0 && !batch_absent(b))
		producer_pack(p, b);
	queue_answer(p, b, rc);
}

void producer_returned(struct producer *p, struct lane *l, struct list *batches, uint64_t gone, int rc)
{
	uint64_t left_backlog = gone;

	list_each(it, batches) {
		struct batch *b = list_entry(it, struct batch, node);

		left_backlog++;
		b->lane = l;
		b->topic = l->topic->name;
		b->state = BATCH_READY;
		b->ledger_id = 0;
	}
	pthread_mutex_lock(&p->accum.mu);
	list_splice_back(&l->incoming, batches);
	l->backlog -= left_backlog < l->backlog ? left_backlog : l->backlog;
	l->refill_answered = true;
	l->refill_rc = rc;
	lane_has_news(l);
	pthread_mutex_unlock(&p->accum.mu);
	accum_wake(&p->accum);
}

void producer_kept(struct producer *p, struct lane *l, uint64_t n)
{
	pthread_mutex_lock(&p->accum.mu);
	l->backlog += n;
	lane_has_news(l);
	pthread_mutex_unlock(&p->accum.mu);
	accum_wake(&p->accum);
}

void producer_forgotten(struct producer *p, struct lane *l, uint64_t n)
{
	pthread_mutex_lock(&p->accum.mu);
	ASSERT(n <= l->backlog);
	l->backlog -= n;
	lane_has_news(l);
	pthread_mutex_unlock(&p->accum.mu);
	accum_wake(&p->accum);
}

void producer_keep_source(struct producer *p, int64_t file_id, int64_t offset)
{
	pthread_mutex_lock(&p->accum.mu);
	p->accum.stuck_file = file_id;
	p->accum.stuck_offset = offset;
	pthread_mutex_unlock(&p->accum.mu);
	accum_wake(&p->accum);
}

/* --- the end --- */

static bool gave_up(const struct producer *p, bool give_up, int64_t *wake_ms)
{
	int64_t at_ms = p->down_since_ms + DOWN_GRACE_MS;

	if (!give_up || (p->broker_up && !p->only_held))
		return false;
	if (p->only_held)
		return true;
	if (at_ms <= clock_mono_ms())
		return true;
	if (*wake_ms < 0 || at_ms < *wake_ms)
		*wake_ms = at_ms;
	return false;
}

bool producer_drain(struct producer *p, int64_t timeout_ms, bool give_up)
{
	int64_t at_ms = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
	bool idle;

	pthread_mutex_lock(&p->mu);
	p->idle = p->only_held = false;
	atomic_store(&p->draining, true);
	accum_wake(&p->accum);
	while (!p->idle && !p->stopped) {
		int64_t wake_ms = at_ms;

		if (gave_up(p, give_up, &wake_ms) || (at_ms >= 0 && clock_mono_ms() >= at_ms))
			break;
		producer_wait(p, wake_ms);
	}
	idle = p->idle;
	atomic_store(&p->draining, false);
	pthread_mutex_unlock(&p->mu);
	return idle;
}

void producer_stop(struct producer *p, bool (*keep)(void *arg, const struct batch *b), void *arg)
{
	if (!p->running)
		return;
	atomic_store(&p->accum.closed, true);
	accum_seal_all(&p->accum);
	compress_close(p->compress);
	p->compress = NULL;
	pthread_mutex_lock(&p->mu);
	p->sender.keep = keep;
	p->sender.keep_arg = arg;
	p->stopping = true;
	pthread_mutex_unlock(&p->mu);
	accum_wake(&p->accum);
	pthread_join(p->thread, NULL);
	p->running = false;
}

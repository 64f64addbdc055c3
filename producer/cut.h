/* cut.h - a batch that was refused for what it holds is cut: into parts, without the records that can never be taken.
 *
 * Why a thread of its own: records have to be decompressed, looked at and compressed again, which the sender must not
 * wait for. It is started when it is first needed; most producers never do.
 *
 * The parts live in the chunks of the batch itself, and in at most one more each, so a full memory can be cut as well. When cutting
 * fails the batch is as it was. When it succeeded the batch is absent, and its identity, sources and counts are still its
 * own until what takes its place is recorded.
 * Threads: cutter_push and all of struct cut: the batch's owner; the work is done on the cutter's thread.
 */
#ifndef SPILLWAY_CUT_H
#define SPILLWAY_CUT_H

#include "agent/base/thread.h"
#include "producer/batch.h"
#include "producer/config.h"

#define CUT_PARTS_MAX 16

struct cut_culprit { int32_t index; char *words; };	/* words NULL: none */

/* A record that was taken out, as it stood in the batch. Points into the cut. */
struct cut_record { const uint8_t *bytes; size_t n; int64_t timestamp; const char *words; };

enum cut_step { CUT_BYTES, CUT_RECORDING, CUT_WAITING };

struct cut {
	/* Asked. */
	int16_t  code;			/* Kafka's: why */
	enum cut_step step;
	uint32_t target;		/* raw bytes of a part, 0: what is left stays together */
	uint32_t parts_max;
	bool     all;			/* every record is taken out */
	bool     recount;		/* records are taken out: what is left needs a new identity */
	bool     identified;		/* parts and others have theirs */
	bool     last_try;		/* the orderly end has asked once more */
	struct cut_culprit *culprits;	/* by index, each once */
	uint32_t culprit_count;

	/* Answered. */
	struct list parts;		/* of batches, in order */
	struct list fails;		/* without a journal: a batch for each record taken out, with its callback */
	struct cut_record *records;	/* with a journal */
	uint32_t record_count;
	uint8_t *raw;			/* what they point into */

	/* With a journal: those behind it, with new identities, which are recorded in the same transaction. */
	struct batch **others;
	uint32_t other_count;
};

/* NULL: out of memory. */
struct cut *cut_new(int16_t code);
/* Parts and fails that are still in it too. NULL is fine. */
void cut_free(struct cut *c, struct budget *m);
/* 0 or ERR_NOMEM. In any order, repeats are ignored. */
int  cut_add_culprit(struct cut *c, int32_t index, const char *words, size_t n);
/* All of `count` records are culprits, and for the same reason. */
bool cut_condemns_all(const struct cut *c, int32_t count);
/* The work itself; b->cut says how. journaled: records taken out are kept, else they fail.
 * 0; ERR_NOMEM: b is as it was; ERR_BAD_DATA: b is as it was, and its bytes are no records. */
struct codec_ctx;
int  cut_batch(struct batch *b, struct budget *m, struct codec_ctx *ctx, enum codec codec, bool journaled);

struct cutter {
	/* Set at open. */
	const struct producer_config *config;
	struct budget *budget;
	struct queue  *answers;		/* where batches go when they are done; b->error says how */
	bool     journaled;

	struct queue jobs;
	pthread_t thread;
	bool     started;
};

void cutter_init(struct cutter *c, const struct producer_config *config, struct budget *m, struct queue *answers, bool journaled);
/* 0, or why the thread cannot be started; then b is the caller's still. */
int  cutter_push(struct cutter *c, struct batch *b);
/* Every batch that was pushed is in `answers` afterwards. Safe on a zeroed struct. */
void cutter_close(struct cutter *c);

#endif

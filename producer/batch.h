/* batch.h - one RecordBatch v2 on its way: bytes, identity, sources.
 *
 * Layout: `head` is the 61-byte header of reference "RecordBatch v2", the record section follows in chunks.
 *
 *	 0  base_offset 8 | 8 length 4 | 12 leader_epoch 4 | 16 magic 1 | 17 crc 4 | 21 attributes 2 | 23 last_offset_delta 4
 *	27  base_timestamp 8 | 35 max_timestamp 8 | 43 producer_id 8 | 51 producer_epoch 2 | 53 base_sequence 4 | 57 count 4
 *
 * The CRC covers byte 21 to the end. Identity (43..56) is stamped late, so the CRC of the payload is kept and combined
 * with that of the 40 header bytes: a new identity costs 40 bytes of CRC, never the batch.
 *
 * Invariants (batch_check)
 *  (1) one owner at a time, named by `state`; only the owner touches the struct. But for the marks of its life on the wire:
 *      they are the sender's whoever owns it, for a stream marks also what is at the journal.
 *  (2) bytes == sum of used over chunks, unless the bytes are elsewhere (chunks == NULL, BATCH_ABSENT).
 *  (3) record count, base sequence and partition never change once `planned` (a repeat must be recognised).
 *  (4) sum of ranges[].count == count when the batch has sources, and is not gone.
 */
#ifndef SPILLWAY_BATCH_H
#define SPILLWAY_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/list.h"
#include "producer/budget.h"
#include "producer/producer.h"

#define BATCH_HEAD 61
#define BATCH_RANGES_MAX 1024		/* a batch with that many source ranges is sealed */

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };	/* Kafka's numbers */

/* Where records came from: bytes [from, to) of a file, finished together with their batch. Opaque to the producer, but for
 * this: one with count 0 is a *part*, the first bytes of the record whose range follows it, perhaps behind more parts; what lies
 * between them in the file are others' bytes. So a part is never the last range, and neither joins what stands before it
 * (that record ends there) nor is joined by what comes behind it (the rest of its own record is apart from it). The
 * record's own range, the one with count 1, may be joined by records behind it as any other. A range and the parts before
 * it are one *piece*: whoever builds, finds or gives up records does so for whole pieces (batch_piece). */
struct source_range {
	int64_t  file_id, from, to;
	uint64_t marker;		/* hash of the bytes just before `to`; the journal's business */
	uint32_t count;
	uint32_t route;			/* how the lines became records; the journal's business */
	uint32_t filtered;		/* lines among them that made no record; the journal's business */
};

struct batch_callback { producer_done_fn *fn; void *arg; int64_t timestamp; int32_t key_size, value_size; };	/* -1: null */

enum batch_state {
	BATCH_OPEN,		/* lane: being filled, under the lane's lock */
	BATCH_SEALED,		/* lane: full, waiting for a compressor */
	BATCH_COMPRESSING,	/* compressor */
	BATCH_READY,		/* lane or stream: may be planned */
	BATCH_PLANNING,		/* journal: its ledger row is being committed */
	BATCH_PLANNED,		/* stream: may be sent */
	BATCH_SENT,		/* stream: bytes may be on a socket, answer awaited */
	BATCH_SPILLING,		/* journal: its bytes are being committed elsewhere */
	BATCH_LOADING,		/* journal: its bytes are being fetched back */
	BATCH_CUTTING,		/* cutter or journal: others take its place */
	BATCH_ACKED,		/* journal: its end is being recorded */
};

struct lane;
struct cut;

struct batch {
	struct list   node;		/* in the owner's list */
	struct lane  *lane;		/* NULL for what was restored from a ledger */
	enum batch_state state;

	/* Bytes of the record section, as they go to the wire. */
	struct chunk *chunks, *last;
	uint32_t bytes;
	uint32_t raw_bytes;		/* before compressing */
	uint32_t payload_crc;		/* of `bytes` */
	uint32_t raw_crc;		/* of the uncompressed record section */
	uint8_t  codec;			/* enum codec, of `bytes` */
	uint8_t  planned_codec;		/* of bytes that were built again: what the ledger says */
	uint8_t  head[BATCH_HEAD];

	int32_t  count;
	uint32_t record_max;		/* bytes of its largest record, as laid out; 0: not known */
	int64_t  base_timestamp, max_timestamp;

	/* Identity: set when planned. */
	const char *topic;		/* the lane's or stream's, outlives the batch */
	const char *cluster_id;		/* the producer's, outlives the batch; NULL: not known */
	uint8_t  topic_id[16];		/* of the topic it is meant for; zero: not known */
	int32_t  partition;
	int64_t  producer_id;		/* -1: none */
	int16_t  producer_epoch;
	int32_t  base_sequence;

	/* Life on the wire; sender only, whoever owns the batch. */
	uint32_t attempts;
	bool     maybe_written;		/* an attempt may have reached the broker and was not answered with "not written" */
	bool     out_of_order;		/* the last answer was 45 */
	uint8_t  gaps;			/* batches of its identity before it that were abandoned */
	bool     load_failed;		/* said once */
	bool     gone;			/* its bytes as they were are nowhere any more (stream_gone.c) */
	bool     surveyed;		/* gone, and the journal has told what is left of it */
	bool     keep_rest;		/* gone, at the orderly end: with the survey come the bytes of what is left */
	uint8_t  stop_step;		/* the orderly end: 1 was fetched, 2 was handed over */
	bool     proven;		/* a later batch of this identity was acknowledged, so this one is in the log */
	bool     sealed_live;		/* sealed here and neither acknowledged, failed nor kept elsewhere (lane.h) */
	uint64_t serial;		/* the how many-th that its producer sealed; 0: not sealed in this process */
	int64_t  created_ms, sealed_ms, planned_ms, sent_ms;	/* CLOCK_MONOTONIC */
	int64_t  retry_at_ms;
	int64_t  offset, append_time;	/* the answer */
	int      error;			/* Kafka's code of a final refusal, else 0 */
	char    *error_words;		/* the broker's, or NULL */
	struct cut *cut;		/* how it is being cut (cut.h), or NULL */
	bool     halved;		/* it is a part, made because nobody says which records are refused */

	struct source_range *ranges;
	uint32_t range_count, range_cap;
	uint32_t lost_ranges;		/* surveyed: so many behind these are nowhere any more; until that is recorded */
	int32_t  dropped;		/* their records, no longer in count but still counted; until that is recorded */
	struct batch_callback *callbacks;	/* one for each record, or NULL */
	uint32_t callback_cap;

	/* The journal's marks. */
	int64_t  ledger_id;		/* 0: none */
	int64_t  planned_id;		/* of the plan that is being committed, in its place */
	int64_t  row_id;		/* where the bytes are kept elsewhere; 0: only in memory */
	int32_t  kept_rest;		/* so many of its records are all that is kept there, and not counted; 0: all of them */
	bool     placed;		/* SPILLING: unanswered, it keeps its place in its stream */
	uint32_t lane_bytes;		/* it is counted with in its lane's bytes */
	bool     counted;		/* its records are in producer_in_memory() */
	bool     uncertain;		/* PLANNING: nobody could tell whether it was written under the identity it had */
};

struct batch *batch_new(int64_t now_ms, int64_t wall_ms);
/* Gives chunks back and frees. NULL is fine. */
void batch_free(struct batch *b, struct budget *m);
void batch_drop_bytes(struct batch *b, struct budget *m);
static inline bool batch_absent(const struct batch *b) { return b->chunks == NULL; }

/* Lays one record out behind the others: RecordBatch v2 record form, offset delta = count. timestamp -1: the batch's own
 * base timestamp. share says which part of the budget pays.
 * 0; ERR_AGAIN: no chunk to be had, batch unchanged; ERR_TOO_LARGE: past 1 GiB, batch unchanged. The caller decides about
 * batch.size: see batch_record_bytes. */
int  batch_append(struct batch *b, struct budget *m, enum budget_share share, int64_t now_ms,
		  const void *key, size_t key_len, const void *value, size_t value_len,
		  const struct producer_header *headers, size_t header_count, int64_t timestamp);
/* Exact bytes that such a record takes at this place of the batch. key/value NULL: null. */
size_t batch_record_bytes(const struct batch *b, size_t key_len, bool key_null, size_t value_len, bool value_null,
			  const struct producer_header *headers, size_t header_count, int64_t timestamp);
/* Extends the last range when file, route and offsets join and neither is a part, else adds one. 0 or ERR_NOMEM. */
int  batch_add_source(struct batch *b, const struct source_range *r);
/* Whether n more ranges are too many: a record's parts are never too many for a batch of its own. */
bool batch_is_full(const struct batch *b, uint32_t n);
/* After it the next n batch_add_source cannot fail: call it before batch_append, add the sources behind it. 0 or ERR_NOMEM (also
 * when it is full). */
int  batch_reserve_sources(struct batch *b, uint32_t n);
/* How many ranges the piece that begins with range i has; n: of all. */
static inline uint32_t batch_piece(const struct source_range *r, uint32_t i, uint32_t n)
{
	uint32_t end = i;

	while (end < n - 1 && r[end].count == 0)
		end++;
	return end - i + 1;
}
/* Whether it holds this byte of a file. */
bool batch_has_source(const struct batch *b, int64_t file_id, int64_t offset);
/* To the end of its ranges, which were `was`, goes what `lost` says; order stays. range_count counts the others. */
void batch_part_ranges(struct batch *b, const struct source_range *was, const bool *lost);
/* Records in its ranges: what is left of a batch that is gone. */
int32_t batch_ranges_records(const struct batch *b);
/* For the record that is appended next (index == count): call it before batch_append, so that a failure of either leaves
 * the batch as it was. Once a batch has callbacks, each later record needs the call too (fn may be NULL). 0 or ERR_NOMEM. */
int  batch_add_callback(struct batch *b, producer_done_fn *fn, void *arg, int64_t timestamp);

/* Replaces the record section by `n` bytes at `data` (which may not lie in its own chunks), into the chunks it has;
 * surplus chunks go back. n must not exceed bytes. */
void batch_replace_bytes(struct batch *b, struct budget *m, const void *data, size_t n, enum codec codec);
/* Fills an absent batch with n bytes, taking chunks of that share. 0 or ERR_AGAIN (batch unchanged). */
int  batch_fill(struct batch *b, struct budget *m, enum budget_share share, int64_t now_ms, const void *data, size_t n);

/* CRC of the bytes as they are now into payload_crc (and raw_crc while codec is none). */
void batch_seal_crc(struct batch *b);
/* Writes head[] out of the fields, identity and CRC included. */
void batch_stamp(struct batch *b);
void batch_check(const struct batch *b);
size_t batch_wire_bytes(const struct batch *b);	/* BATCH_HEAD + bytes */

#endif

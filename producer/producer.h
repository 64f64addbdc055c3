/* producer.h - a Kafka producer: records in, acknowledgements out.
 *
 * Promise
 *	A record that producer_send accepted is in Kafka exactly once when its callback reports success
 *	(enable.idempotence, the default), in the order of the sends for each partition. No call except producer_send,
 *	producer_flush and producer_close ever waits, and producer_send waits no longer than max.block.ms.
 * Calling sequence
 *	producer_config_new, producer_config_set*, producer_open, producer_send*, producer_flush?, producer_close,
 *	producer_config_free.
 * Threads
 *	producer_send and producer_flush: any thread, at once. open and close: one thread, once. Callbacks run on the
 *	sender thread, in batch order for each partition: they must be short and must not call flush or close.
 * Ownership
 *	key, value and headers are copied before producer_send returns. A callback runs exactly once for each accepted
 *	record; what it is given is valid until it returns.
 * Units
 *	bytes; milliseconds; timestamps in milliseconds since 1970.
 * Errors
 *	Functions return 0 or a negative code, with words in *ret_err (may be NULL).
 * Source
 *	Names and meanings are those of Apache Kafka's producer configuration; idempotence is KIP-98, the sticky
 *	partitioner KIP-480 and KIP-794, backoff KIP-580.
 */
#ifndef SPILLWAY_PRODUCER_H
#define SPILLWAY_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct producer;
struct producer_config;

struct producer_error {
	int     code;		/* negative: of this library; positive: Kafka's error code; 0: none */
	bool    retriable;	/* a later try of the same record may succeed */
	char    text[256];
};

/* --- Configuration: Kafka's names ("linger.ms") and values as text. --- */

/* Kafka's defaults, except linger.ms 0. NULL when memory is short. */
struct producer_config *producer_config_new(void);
void producer_config_free(struct producer_config *c);
/* Sizes may carry KiB, MiB, GiB and times ms, s, m, h. "preset" takes balanced, max-throughput, min-latency or
 * max-reliability; keys set one by one win over the preset, whatever the order. */
int  producer_config_set(struct producer_config *c, const char *name, const char *value, struct producer_error *ret_err);
/* Cross-checks (idempotence needs acks=all, ...), and lowers the defaults that do not fit a small buffer.memory.
 * producer_open calls it too. */
int  producer_config_check(struct producer_config *c, struct producer_error *ret_err);
/* The effective value as text, or NULL for an unknown name. Secrets come back as "***". Valid until the next call. */
const char *producer_config_get(struct producer_config *c, const char *name);
/* The i-th known name, or NULL past the end: for listings. */
const char *producer_config_name(size_t i);

/* --- Records --- */

struct producer_header { const char *name; const void *value; size_t value_len; };	/* value NULL: null */

struct producer_record {
	const char *topic;
	int32_t     partition;		/* -1: the partitioner decides */
	const void *key;		/* NULL: no key */
	size_t      key_len;
	const void *value;		/* NULL: null (a tombstone) */
	size_t      value_len;
	const struct producer_header *headers;
	size_t      header_count;
	int64_t     timestamp;		/* -1: now */
};

struct producer_metadata {		/* Kafka's RecordMetadata */
	const char *topic;
	int32_t     partition;
	int64_t     offset;		/* -1 when the broker did not say (acks=0) */
	int64_t     timestamp;		/* create time, or the broker's with LogAppendTime */
};

/* err is NULL on success. On failure md->offset is -1. */
typedef void producer_done_fn(void *arg, const struct producer_metadata *md, const struct producer_error *err);

/* --- The producer --- */

int  producer_open(struct producer_config *c, struct producer **ret_p, struct producer_error *ret_err);
/* Accepts one record, or says why not: larger than max.request.size or buffer.memory; no memory, or no metadata of
 * the topic, within max.block.ms; closed. cb may be NULL. */
int  producer_send(struct producer *p, const struct producer_record *r, producer_done_fn *cb, void *arg,
		   struct producer_error *ret_err);
/* Sends what is there at once and waits until all of it is answered; ERR code on timeout. -1: for ever. */
int  producer_flush(struct producer *p, int64_t timeout_ms);
/* Refuses new records, delivers what is there for at most timeout_ms (-1: for ever), then fails the rest through
 * their callbacks and frees everything. NULL is fine. */
int  producer_close(struct producer *p, int64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif

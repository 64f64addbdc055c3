/* producer.h - a Kafka producer: records in, acknowledgements out.
 *
 * Promise
 *	A record that producer_send accepted is in Kafka exactly once when its callback reports success
 *	(enable.idempotence, the default), in the order of the sends for each partition. (Records that something places - a
 *	key, a partition, a partitioner - and records that go wherever there is room are two flows: each is in order, between
 *	them there is none.) Each accepted record has one end: success or an error, told once. No call except producer_send,
 *	producer_send_wait, producer_flush, producer_describe, producer_metrics and producer_close ever waits, and producer_send
 *	waits no longer than max.block.ms for metadata and memory together.
 * Calling sequence
 *	producer_config_new, producer_config_set*, producer_open, producer_send*, producer_flush?, producer_close,
 *	producer_config_free.
 * Threads
 *	producer_send, _send_wait, _flush, _describe and _metrics: any thread, at once. producer_open, _reload and _close:
 *	one thread at a time. A configuration belongs to one thread; once it was given to producer_open it is only read, and
 *	must live until producer_close returned. Serializers, partitioners and on_send run on the thread that sends, callbacks
 *	and on_acknowledgement on the sender thread, in batch order for each partition (of a refused record: on the thread
 *	that sends): they must be short. What waits for
 *	that thread (_send_wait, _flush, _describe, _close) answers PRODUCER_ERR_SYSTEM there. producer_send from a callback
 *	is fine, but does not wait: what does not fit at once is refused.
 * Ownership
 *	What a record points to is copied before producer_send returns. What a callback is given is valid until it returns.
 * Units
 *	bytes; milliseconds; timestamps in milliseconds since 1970.
 * Errors
 *	Functions return 0 or a negative code, with words in *ret_err (may be NULL; filled on failure only). Codes below -1 are
 *	of this library (PRODUCER_ERR_*), -1 and positive ones are Kafka's.
 * Source
 *	Names and meanings are those of Apache Kafka's producer configuration; idempotence is KIP-98, the sticky
 *	partitioner KIP-480 and KIP-794, backoff KIP-580, compression levels KIP-390, interceptors KIP-42.
 */
#ifndef SPILLWAY_PRODUCER_H
#define SPILLWAY_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)	/* of the shared library: exactly what stands here */
#endif

struct producer;
struct producer_config;

struct producer_error {
	int     code;		/* negative: of this library; positive: Kafka's error code; 0: none */
	bool    retriable;	/* a later try of the same record may succeed */
	char    text[256];
};

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
	int32_t     partition;		/* -1: the record failed before it had one */
	int64_t     offset;		/* -1 when the broker did not say (acks=0) */
	int64_t     timestamp;		/* create time, or the broker's with LogAppendTime */
	int32_t     key_size, value_size;	/* serialized; -1: null */
};

/* err is NULL on success. On failure md->offset is -1. */
typedef void producer_done_fn(void *arg, const struct producer_metadata *md, const struct producer_error *err);

/* --- Serializers: what a record's key or value points to, into bytes --- */

/* By name (key.serializer, value.serializer): bytes and string are taken as they are; json too, when it is one JSON value;
 * integer, long and double point to an int32_t, int64_t or double and become 4 or 8 big-endian bytes; uuid points to
 * 16 bytes and becomes its 36 characters. All but bytes, string and json need exactly that length. */

struct producer_bytes;			/* grows by producer_bytes_put */
int  producer_bytes_put(struct producer_bytes *b, const void *data, size_t n);	/* 0, or negative: out of memory */

/* A serializer of one's own. NULL keys and values never come here: they stay null. */
struct producer_serializer {
	/* Puts the serialized form of data (n: the record's key_len or value_len, whatever the two sides agree on) into out.
	 * Negative: producer_send fails with PRODUCER_ERR_SERIALIZATION. */
	int  (*serialize)(void *arg, const char *topic, const void *data, size_t n, struct producer_bytes *out);
	void (*close)(void *arg);	/* by producer_config_free; may be NULL */
	void *arg;
};

/* --- Partitioners --- */

struct producer_topic_info {
	const char *topic;
	int32_t     partition_count;			/* at least 1 */
	bool      (*available)(const struct producer_topic_info *t, int32_t partition);	/* it has a leader */
};

/* Answers 0 .. partition_count - 1; anything else fails the record. The record is serialized. Not asked for records that
 * name a partition. Asked under a lock, one record of a topic at a time: it must not send. One that waited for memory is
 * asked for again. */
struct producer_partitioner {
	int32_t (*partition)(void *arg, const struct producer_record *r, const struct producer_topic_info *t);
	void    (*close)(void *arg);
	void     *arg;
};

/* --- Interceptors (KIP-42) --- */

/* Built-in ones by interceptor.classes, a JSON array run in its order:
 *	[{"header": {"name": "dc", "value": "eu1"}}, {"redact": {"pattern": "\\d{16}", "with": "****"}},
 *	 {"drop": {"pattern": "^DEBUG", "topic": "web"}}, {"rename": {"topic": "a", "to": "b"}}]
 * Patterns are PCRE2 over the value's bytes; one that takes too many steps counts as failed. All matches are redacted, "with"
 * is literal; drop without "topic" is for all. Those of one's own run behind them, in the order they were added, before
 * serializing. One that fails is logged and skipped: what must never leave unredacted needs a pattern that cannot fail. */
struct producer_interceptor {
	/* May change the record: what it points to must live until producer_send returns. 0: go on; 1: the record is dropped
	 * (producer_send returns PRODUCER_ERR_DROPPED and no callback runs); negative: it failed, which is logged, and the
	 * record goes on as it was before. */
	int  (*on_send)(void *arg, struct producer_record *r);
	/* The end of a record that on_send saw and did not drop, once: before its callback, or, when producer_send refuses the
	 * record, before that returns (partition -1 unless the record names one). Negative: it failed, which is logged. */
	int  (*on_acknowledgement)(void *arg, const struct producer_metadata *md, const struct producer_error *err);
	void (*close)(void *arg);
	void *arg;
};

/* --- Configuration: Kafka's names ("linger.ms") and values as text. --- */

/* Kafka's defaults, except linger.ms 0. NULL when memory is short. */
struct producer_config *producer_config_new(void);
void producer_config_free(struct producer_config *c);
/* Sizes may carry KiB, MiB, GiB and times ms, s, m, h. "preset" takes balanced, max-throughput, min-latency or
 * max-reliability; keys set one by one win over the preset, whatever the order. librdkafka's names of the same things are
 * taken too. */
int  producer_config_set(struct producer_config *c, const char *name, const char *value, struct producer_error *ret_err);
/* Functions instead of names; the struct is copied. Setting twice replaces (and closes) the first. */
int  producer_config_set_key_serializer(struct producer_config *c, const struct producer_serializer *s);
int  producer_config_set_value_serializer(struct producer_config *c, const struct producer_serializer *s);
int  producer_config_set_partitioner(struct producer_config *c, const struct producer_partitioner *p);
int  producer_config_add_interceptor(struct producer_config *c, const struct producer_interceptor *i);
/* Where words about failing interceptors go; the default is nowhere. Any thread calls it. */
void producer_config_set_log(struct producer_config *c, void (*log)(void *arg, const char *text), void *arg);
/* Cross-checks (idempotence needs acks=all, ...), and lowers the defaults that do not fit a small buffer.memory.
 * producer_open calls it too. */
int  producer_config_check(struct producer_config *c, struct producer_error *ret_err);
/* The effective value as text, or NULL for an unknown name. Secrets come back as "***". Valid until the next call. */
const char *producer_config_get(struct producer_config *c, const char *name);
/* The i-th known name, or NULL past the end: for listings. */
const char *producer_config_name(size_t i);

/* --- The producer --- */

enum {						/* what producer_error.code can be besides Kafka's codes */
	PRODUCER_ERR_TIMEOUT = -1001,		/* max.block.ms passed, or the timeout given; words say for what it waited and
						 * why it did not come */
	PRODUCER_ERR_BUFFER_FULL = -1002,	/* of it, buffer.memory stayed full */
	PRODUCER_ERR_TOO_LARGE = -1003,		/* larger than max.request.size or buffer.memory */
	PRODUCER_ERR_CLOSED = -1004,
	PRODUCER_ERR_SERIALIZATION = -1005,
	PRODUCER_ERR_INVALID_PARTITION = -1006,	/* below -1, chosen in vain, or not there within max.block.ms */
	PRODUCER_ERR_INVALID_TOPIC = -1007,	/* no name, or one that Kafka does not take */
	PRODUCER_ERR_DROPPED = -1008,		/* by an interceptor */
	PRODUCER_ERR_CONFIG = -1009,
	PRODUCER_ERR_NOMEM = -1010,
	PRODUCER_ERR_AUTHENTICATION = -1011,	/* or a right is missing; Kafka's words in the text */
	PRODUCER_ERR_SYSTEM = -1012,		/* words say what; also: what may not be called from a callback was */
	PRODUCER_ERR_REFUSED = -1013,		/* producer_send_wait: by the broker; ret_err->code is Kafka's */
};

int  producer_open(struct producer_config *c, struct producer **ret_p, struct producer_error *ret_err);
/* Accepts one record, or says why not: then cb never runs. cb may be NULL. In this order: interceptors, serializers, size,
 * the topic's metadata, the partition, memory. */
int  producer_send(struct producer *p, const struct producer_record *r, producer_done_fn *cb, void *arg,
		   struct producer_error *ret_err);
/* Sends one record and waits for its end, at most timeout_ms (-1: for ever); linger.ms is part of that. After
 * PRODUCER_ERR_TIMEOUT it may still be delivered. ret_md may be NULL; its topic is the record's. */
int  producer_send_wait(struct producer *p, const struct producer_record *r, int64_t timeout_ms,
			struct producer_metadata *ret_md, struct producer_error *ret_err);
/* Sends what is there at once and waits until all of it is answered; PRODUCER_ERR_TIMEOUT. -1: for ever. Others may go on
 * sending: it does not wait for what comes later. */
int  producer_flush(struct producer *p, int64_t timeout_ms);
/* Refuses new records, delivers what is there for at most timeout_ms (-1: for ever), then fails the rest through
 * their callbacks (PRODUCER_ERR_TIMEOUT is returned) and frees everything. Threads that are inside a call meanwhile get
 * PRODUCER_ERR_CLOSED and are waited for; after it returned p is gone. NULL is fine. */
int  producer_close(struct producer *p, int64_t timeout_ms);
/* Takes bootstrap.servers, security.protocol and everything of ssl.* and sasl.* over from c, for connections made from now
 * on; the rest of c is not looked at. c is another one than the producer was opened with, and may be freed afterwards. On an
 * error nothing has changed. */
int  producer_reload(struct producer *p, struct producer_config *c, struct producer_error *ret_err);

/* --- Looking at the cluster --- */

struct producer_partition_info {
	int32_t  partition, leader, leader_epoch;	/* leader -1: none */
	int32_t *replicas, *isr; size_t replica_count, isr_count;
	int      error;				/* Kafka's code */
};
struct producer_topic_desc { char *topic; uint8_t id[16]; int error; bool internal;
			     struct producer_partition_info *partitions; size_t partition_count; };
struct producer_broker_info { int32_t id; char *host; int port; char *rack; };	/* rack NULL: none */
struct producer_cluster {
	char *cluster_id;			/* NULL: not known */
	int32_t controller;			/* -1: not known */
	struct producer_broker_info *brokers; size_t broker_count;
	struct producer_topic_desc *topics; size_t topic_count;
};
/* Asks a broker. topics NULL: all. Waits at most timeout_ms. The caller releases *ret. */
int  producer_describe(struct producer *p, const char *const *topics, size_t n, int64_t timeout_ms,
		       struct producer_cluster *ret, struct producer_error *ret_err);
void producer_cluster_release(struct producer_cluster *c);
/* Kafka's name of an error code, "UNKNOWN_SERVER_ERROR" for those nobody knows. */
const char *producer_error_name(int code);

/* --- Metrics: Java's producer metrics, under the names that Micrometer gives them --- */

enum producer_metric_kind { PRODUCER_COUNTER, PRODUCER_GAUGE, PRODUCER_HISTOGRAM };
struct producer_metric {
	const char *name;			/* "kafka_producer_record_send_total" */
	const char *help;
	enum producer_metric_kind kind;
	const char *topic;			/* NULL: of the producer as a whole */
	int32_t     partition;			/* -1: none */
	int32_t     node;			/* broker id; INT32_MIN: none */
	double      value;			/* histogram: the sum */
	const double *bounds; const uint64_t *counts; size_t bucket_count;	/* histogram: counts[i] <= bounds[i], cumulative;
										 * the last bound is infinite */
};
/* Calls fn for each metric, those of one name together. A snapshot made by the sender thread's next round; when a callback
 * keeps that from coming for 5 s: PRODUCER_ERR_TIMEOUT, and fn is not called. */
int  producer_metrics(struct producer *p, void (*fn)(void *arg, const struct producer_metric *m), void *arg);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif

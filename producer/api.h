/* api.h - Kafka's wire protocol, as far as a producer needs it: requests out, responses in. No I/O, no time.
 *
 * A request function writes a whole frame (length prefix included) into *out. A response function parses the frame's
 * content after the length prefix (response header included) and returns 0, or ERR_BAD_DATA for anything that is cut,
 * too long or inconsistent; counts and lengths are checked before memory is asked for.
 * Layouts: the JSON message definitions of Apache Kafka 4.1 (clients/src/main/resources/common/message).
 */
#ifndef SPILLWAY_API_H
#define SPILLWAY_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "agent/base/buf.h"
#include "producer/batch.h"

enum api_key {
	API_PRODUCE = 0, API_FETCH = 1, API_LIST_OFFSETS = 2, API_METADATA = 3, API_SASL_HANDSHAKE = 17, API_VERSIONS = 18,
	API_INIT_PRODUCER_ID = 22, API_DESCRIBE_CONFIGS = 32, API_SASL_AUTHENTICATE = 36,
	API_DESCRIBE_PRODUCERS = 61, API_KEYS
};

/* What this client speaks; index by api_key. Produce 7..13 (13: by topic id), Fetch 4..10 (from leaders only), ListOffsets 1..7,
 * Metadata 7..13, ApiVersions 0..4, InitProducerId 0..5, DescribeConfigs 1..4, DescribeProducers 0. */
struct api_range { int16_t min, max; };			/* max -1: not offered */
struct api_versions { int16_t error; struct api_range range[API_KEYS]; };
extern const struct api_range api_ours[API_KEYS];
/* Highest version both speak, or -1 (never one that is only advertised: our own minimum holds). */
int16_t api_pick(const struct api_versions *broker, enum api_key key);

int  api_versions_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id);
/* error 35 (UNSUPPORTED_VERSION): parsed in layout 0, range[API_VERSIONS] may say what to try next. */
int  api_versions_response(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_versions *ret);

/* topics: n names; n == 0 asks for the brokers only, API_TOPICS_ALL for all topics. */
#define API_TOPICS_ALL SIZE_MAX
int  api_metadata_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
			  const char *const *topics, size_t n, int allow_auto_create);
/* The same, asking also what we may do with the topics, and up to version 10 with the cluster. Nothing is created. */
int  api_metadata_request_operations(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				     const char *const *topics, size_t n);
/* Bits by Kafka's AclOperation: of a set, 1 << API_MAY_WRITE. */
enum api_operation { API_MAY_READ = 3, API_MAY_WRITE = 4, API_MAY_CREATE = 5, API_MAY_DESCRIBE = 8, API_MAY_DESCRIBE_CONFIGS = 10,
		     API_MAY_IDEMPOTENT_WRITE = 12 };
#define API_OPERATIONS_UNKNOWN INT32_MIN	/* not asked for, or not told */
struct api_broker { int32_t id, port; char *host, *rack; };
struct api_partition { int16_t error; int32_t index, leader, leader_epoch; int32_t *replicas, *isr;
		       size_t replica_count, isr_count; };
struct api_topic { int16_t error; char *name; uint8_t id[16]; bool internal; struct api_partition *partitions;
		   size_t partition_count; int32_t operations; };
/* error: of the whole answer, from version 13 on (129, REBOOTSTRAP_REQUIRED). */
struct api_metadata { int16_t error; int32_t throttle_ms, controller; char *cluster_id; struct api_broker *brokers;
		      size_t broker_count; struct api_topic *topics; size_t topic_count; int32_t operations; };
int  api_metadata_response(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_metadata *ret);
/* The same with racks and replicas, which following the cluster does not need. */
int  api_metadata_details(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_metadata *ret);
void api_metadata_release(struct api_metadata *m);

/* --- DescribeConfigs: what a topic or a broker is set to. A broker is asked about itself, by its id as text. --- */

enum api_resource_type { API_RESOURCE_TOPIC = 2, API_RESOURCE_BROKER = 4 };
/* keys: the names wanted. */
int  api_describe_configs_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				  enum api_resource_type type, const char *name, const char *const *keys, size_t n);
struct api_config { const char *name; size_t name_len; const char *value; size_t value_len; };	/* into the response */
typedef void api_config_fn(void *arg, const struct api_config *c);
/* Of one resource. fn is called for each value; the whole response is checked before the first call. */
int  api_describe_configs_response(const void *data, size_t n, int16_t version, int32_t correlation_id, int16_t *ret_error,
				   api_config_fn *fn, void *arg);

int  api_init_producer_id_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id);
struct api_producer_id { int16_t error; int32_t throttle_ms; int64_t producer_id; int16_t producer_epoch; };
int  api_init_producer_id_response(const void *data, size_t n, int16_t version, int32_t correlation_id,
				   struct api_producer_id *ret);

/* --- evidence: what a partition's leader knows of a producer, and what is in its log. One partition a request. ---
 * Who does not lead answers ListOffsets and Fetch with 6 (NOT_LEADER_OR_FOLLOWER), but DescribeProducers as if it did: what a
 * replica remembers may be behind. Only the former show that the right one was asked. */

int  api_describe_producers_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				    const char *topic, int32_t partition);
/* fn is called for each producer that the leader remembers; error: the partition's. */
struct api_producer_state { int64_t producer_id; int32_t epoch, last_sequence; int64_t last_timestamp; };
typedef void api_producer_fn(void *arg, const struct api_producer_state *p);
int  api_describe_producers_response(const void *data, size_t n, int16_t version, int32_t correlation_id, int16_t *ret_error,
				     int32_t *ret_throttle_ms, api_producer_fn *fn, void *arg);

#define API_OFFSET_EARLIEST (-2)
#define API_OFFSET_LATEST (-1)
/* timestamp: the first offset whose timestamp is that or later (offset -1: there is none), or one of the above. */
int  api_list_offsets_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
			      const char *topic, int32_t partition, int64_t timestamp);
struct api_offset { int16_t error; int32_t throttle_ms; int64_t timestamp, offset; };
int  api_list_offsets_response(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_offset *ret);

/* read_uncommitted, without a session; max_bytes of one answer. */
int  api_fetch_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id, const char *topic,
		       int32_t partition, int64_t offset, int32_t max_wait_ms, int32_t max_bytes);
/* records points into the response: whole batches and maybe the beginning of one more; NULL: none. high_watermark -1: the
 * answer tells nothing of the log (an error, or held back for a quota: ask again after throttle_ms). log_start_offset -1: not
 * told (version 4, an error). */
struct api_fetch { int16_t error; int32_t throttle_ms; int64_t high_watermark, log_start_offset; const uint8_t *records;
		   size_t records_len; };
int  api_fetch_response(const void *data, size_t n, int16_t version, int32_t correlation_id, struct api_fetch *ret);
/* The header of the batch at *at (magic 2; nothing behind the first 61 bytes is looked at), and moves behind it. False: the rest
 * is less than a batch's header or no batch of today's format (BATCH_HEAD or more bytes are left then), *at stays;
 * ret->whole says whether all of the batch was there: if not, *at is at the end. last_offset - base_offset is also what lies
 * between its first and last sequence; compacting makes count smaller, not that. */
struct api_batch_header { int64_t base_offset, last_offset, base_timestamp, max_timestamp, producer_id; int16_t epoch, attributes;
			  int32_t base_sequence, count; bool whole; };
bool api_next_batch_header(const uint8_t **at, const uint8_t *end, struct api_batch_header *ret);

int  api_sasl_handshake_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				const char *mechanism);
/* mechanisms: what the broker offers, as "A, B"; for words. */
struct api_sasl_handshake { int16_t error; char mechanisms[160]; };
int  api_sasl_handshake_response(const void *data, size_t n, int16_t version, int32_t correlation_id,
				 struct api_sasl_handshake *ret);
int  api_sasl_authenticate_request(struct buf *out, int16_t version, int32_t correlation_id, const char *client_id,
				   const void *auth, size_t auth_len);
struct api_sasl_authenticate {
	int16_t error; const char *message; size_t message_len;	/* NULL: none; into the response */
	const void *auth; size_t auth_len;			/* into the response */
	int64_t session_lifetime_ms;				/* 0: no end */
};
int  api_sasl_authenticate_response(const void *data, size_t n, int16_t version, int32_t correlation_id,
				    struct api_sasl_authenticate *ret);

/* Produce: batches are not copied. *control gets the request's own bytes; iov gets the whole frame in order, pieces of
 * control, batch heads and chunks in turn. batches must be sorted by topic (from version 13 on by topic id too), at most
 * one a partition, stamped.
 * Returns the number of iov entries, or ERR_NOMEM (iov_cap too small: see api_produce_iov_bound). */
size_t api_produce_iov_bound(struct batch *const *batches, size_t n);
int  api_produce_request(struct buf *control, struct iovec *iov, size_t iov_cap, int16_t version, int32_t correlation_id,
			 const char *client_id, int16_t acks, int32_t timeout_ms, struct batch *const *batches, size_t n);
struct api_produce_answer {
	const char *topic; size_t topic_len;		/* into the response; not NUL-terminated. NULL from version 13 on */
	const uint8_t *topic_id;			/* 16 bytes of the response; NULL before version 13 */
	int32_t partition; int16_t error; int64_t base_offset, append_time;
	const char *message; size_t message_len;	/* NULL: none */
	struct api_record_errors { const void *at, *end; size_t left; bool flexible; } records;	/* v8: which ones are at fault */
	int32_t leader, leader_epoch;			/* KIP-951 hint, -1: none */
};
/* The next one, or false. The message points into the response (NULL: none). */
bool api_next_record_error(struct api_record_errors *e, int32_t *ret_index, const char **ret_message, size_t *ret_len);
typedef void api_produce_fn(void *arg, const struct api_produce_answer *a);
/* Calls fn for each partition; checks the whole response before the first call. */
int  api_produce_response(const void *data, size_t n, int16_t version, int32_t correlation_id, int32_t *ret_throttle_ms,
			  api_produce_fn *fn, void *arg);
/* Is this the answer to b? */
bool api_produce_answers(const struct api_produce_answer *a, const struct batch *b);
/* The new leaders' addresses that a good Produce response carries from version 10 on (KIP-951). */
struct api_endpoint { int32_t id, port; char host[256]; };
void api_produce_endpoints(const void *data, size_t n, int16_t version, int32_t correlation_id,
			   void (*fn)(void *arg, const struct api_endpoint *e), void *arg);


/* Kafka's error codes: one table. */
enum api_error_class {
	API_ERR_NONE,
	API_ERR_RETRY,		/* same bytes again, after backoff */
	API_ERR_REFRESH,	/* metadata first, then the same bytes */
	API_ERR_DUPLICATE,	/* already written: success */
	API_ERR_SEQUENCE,	/* 45, 59: see journal.h "recovers" */
	API_ERR_SPLIT,		/* too large: cut it; a single record is taken out */
	API_ERR_RECORD,		/* some of its records can never be taken: those are taken out */
	API_ERR_REBUILD,	/* the bytes arrived damaged: the same again, thrice */
	API_ERR_LANE,		/* topic or right missing: hold the lane, try again slowly */
	API_ERR_FENCED,		/* another one uses our identity */
	API_ERR_FATAL,		/* configuration of client or cluster */
};
/* words: what people can do about it, NULL: nothing to say. */
struct api_error { int16_t code; const char *name; enum api_error_class class; uint8_t maybe_written; const char *words; };
/* Never NULL: an unknown code is like UNKNOWN_SERVER_ERROR. */
const struct api_error *api_error(int16_t code);

#endif

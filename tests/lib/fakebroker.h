/* fakebroker.h - a small Kafka on loopback, in a thread: real rules of idempotence, and faults on demand.
 *
 * Profiles are releases: which API versions are offered and what differs between them. Spoken are ApiVersions, Metadata
 * from 7, InitProducerId, Produce from 3, DescribeProducers, ListOffsets 1 to 7 and Fetch 4 to 12; anything else hangs up, as a
 * broker does. A node works on one request of a connection at a time. Logs are shared by all nodes, as if replication were
 * perfect.
 *
 * Duplicates: (producer id, epoch, first and last sequence) among the last five batches of a producer answers 0 with the
 * old offset; what does not join answers 45; an unknown producer is accepted with any sequence (up to 2.4: only with 0,
 * else 59); an older epoch answers 47. That size, CRC, records and timestamps are sound is checked before.
 * test_fake.c and test_fake_evidence.c hold it to these rules, tests/scenario/idempotence.py to the answers of a real broker.
 * Threads: every function may be called from any thread.
 */
#ifndef SPILLWAY_TESTS_FAKEBROKER_H
#define SPILLWAY_TESTS_FAKEBROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake;

/* What each does and when is in the table of fake_fault.c. */
enum fault_kind {
	/* Met by batches. */
	FAULT_CLOSE_BEFORE,	/* the connection goes down instead of an append */
	FAULT_CLOSE_AFTER,	/* appended, then the connection goes down */
	FAULT_SWALLOW,		/* appended, no answer ever */
	FAULT_ERROR,		/* error code, not appended */
	FAULT_ERROR_AFTER,	/* error code although appended */
	FAULT_DELAY,		/* appended, answered after `value` milliseconds */
	FAULT_THROTTLE,		/* appended, throttle_time_ms = value; Fetch: and nothing is told, as by a quota */
	FAULT_TIMEOUT,		/* appended, 7 when the request's own time is over */
	/* Met by answers, of any request. Produce: the appends are made. */
	FAULT_TRUNCATED,	/* a well-formed frame whose content ends after `value` bytes */
	FAULT_CUT_ANSWER,	/* `value` bytes of the frame, then the connection goes down */
	FAULT_OVERSIZE,		/* the length prefix is `value` (0: 2^31 - 1) */
	FAULT_HUGE_ARRAY,	/* the first array says it has 2^31 - 2 elements */
	FAULT_HUGE_STRING,	/* the first string says it has 32767 bytes (flexible versions: 2^31 - 2) */
	FAULT_GARBAGE,		/* right length and correlation id, then noise; seed `value` */
	FAULT_NOISE,		/* noise instead of a frame */
	FAULT_CORRELATION,	/* the correlation id is off by `value` (0: by 1) */
	FAULT_TWICE,		/* the answer comes two times */
	FAULT_SWAPPED,		/* this answer comes after the next one of the connection */
	FAULT_SLOW,		/* one byte every `value` milliseconds */
	FAULT_HALF_CLOSE,	/* the broker ends its direction instead of answering, and goes on reading */
	FAULT_TLS_ALERT,	/* a TLS alert instead of the answer, then the connection goes down */
	/* Met by requests. */
	FAULT_CUT_REQUEST,	/* the connection goes down when `value` bytes of the frame were read: nothing is appended */
	FAULT_KINDS
};

enum {
	FAKE_PRODUCE = 0, FAKE_FETCH = 1, FAKE_LIST_OFFSETS = 2, FAKE_METADATA = 3, FAKE_SASL_HANDSHAKE = 17, FAKE_VERSIONS = 18,
	FAKE_INIT_PRODUCER_ID = 22, FAKE_SASL_AUTHENTICATE = 36, FAKE_DESCRIBE_PRODUCERS = 61
};

/* `partitions` of every topic; a topic is made when Metadata first asks for it. */
struct fake *fake_open(int nodes, int partitions);	/* the newest profile */
/* "2.1", "2.4", "2.8", "3.9", "4.1"; NULL: there is no such profile. */
struct fake *fake_open_profile(const char *profile, int nodes, int partitions);
void fake_close(struct fake *f);
/* "127.0.0.1:port" of node 0. */
const char *fake_address(struct fake *f);
int fake_port(struct fake *f, int node);
void fake_advertise(struct fake *f, int node, int port);	/* where Metadata says it is: somebody stands in front */

/* The next `times` Produce batches for this partition (-1: any) meet the fault; for kinds met by answers or requests, the
 * Produce requests that carry such a batch (requests: any Produce). */
void fake_fault(struct fake *f, int partition, enum fault_kind kind, int value, int times);
/* The same for requests of any API. FAULT_ERROR sets the answer's own error code where it has one. */
void fake_fault_api(struct fake *f, int api, enum fault_kind kind, int value, int times);
/* "close-before", "huge-array", ...: the names in the table. False: no such kind. */
bool fake_fault_named(const char *name, enum fault_kind *ret);
const char *fake_fault_name(enum fault_kind kind);
void fake_heal(struct fake *f);				/* faults that were not met yet are off */
void fake_down(struct fake *f, int node);		/* connections are cut and refused */
void fake_up(struct fake *f, int node);
/* Connections that are made from now on have to authenticate by PLAIN, anybody may, and anew within that time; who does
 * not is cut off by its next request. */
void fake_sasl(struct fake *f, int64_t session_ms);
uint64_t fake_renewals(struct fake *f);			/* connections that authenticated anew, so far */
void fake_mute(struct fake *f, int node, bool mute);	/* connections are taken, and nothing is read or written */
void fake_lead(struct fake *f, int partition, int node);	/* -1: nobody leads */

/* --- topics --- */

void fake_topic_error(struct fake *f, const char *topic, int16_t code);	/* in Metadata; 0: over */
void fake_recreate_topic(struct fake *f, const char *topic);	/* deleted and made again: new id, nothing in it */
void fake_topic_id(struct fake *f, const char *topic, uint8_t ret_id[16]);
/* Of every topic, from now on; what lies in others is kept for when they are back. */
void fake_set_partitions(struct fake *f, int partitions);
/* What was in topics that were made anew since: the i-th value, NULL behind the last. */
const char *fake_buried(struct fake *f, size_t i);
/* Kafka's names: max.message.bytes, min.insync.replicas, message.timestamp.before.max.ms, message.timestamp.after.max.ms
 * (-1: no limit); cleanup.policy 1 is compact, message.timestamp.type 1 is LogAppendTime. False: no such key. */
bool fake_topic_set(struct fake *f, const char *topic, const char *key, int64_t value);
/* Replicas in sync before an append and after it (19 and 20 when below the topic's min.insync.replicas; of which, as in a
 * broker, no more count than there are replicas: every node is one). */
void fake_set_isr(struct fake *f, int before, int after);

/* --- what is remembered of producers --- */

void fake_reload(struct fake *f);			/* as after a restart: each producer's last batch is remembered */
void fake_reload_replay(struct fake *f, int batches);	/* ... and what was replayed behind the snapshot: the last `batches` */
void fake_forget(struct fake *f);			/* producers are forgotten altogether */
/* A producer is forgotten when its newest batch's timestamp is that old; looked at every check_ms of the broker's clock. */
void fake_set_expiry(struct fake *f, int64_t expiry_ms, int64_t check_ms);
void fake_advance(struct fake *f, int64_t ms);		/* the broker's clock, which otherwise goes with the real one */

/* --- evidence --- */

/* Who connects may not read this topic: Fetch, ListOffsets (no DESCRIBE right) and DescribeProducers answer 29. */
void fake_deny_read(struct fake *f, const char *topic, bool deny);
/* ApiVersions does not offer this API any more (a broker without it), for connections made from now on. */
void fake_hide_api(struct fake *f, int api, bool hide);
/* Somebody else appends a batch of `count` records "foreign" under this identity, as a copied state directory would. It is
 * taken by the same rules as any other: the code that it is answered with, 0 also for a duplicate. */
int16_t fake_foreign_batch(struct fake *f, const char *topic, int partition, int64_t producer_id, int16_t epoch, int32_t sequence,
			   int32_t count);
/* Retention: everything below this offset is deleted, as by DeleteRecords. No reader gets it any more; fake_record does. */
void fake_delete_records(struct fake *f, const char *topic, int partition, int64_t before);

/* --- looking in --- */

/* Called for each batch as it arrives, before anything else, on the broker's thread. */
typedef void fake_seen_fn(void *arg, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count);
void fake_on_batch(struct fake *f, fake_seen_fn *fn, void *arg);

size_t fake_records(struct fake *f, const char *topic, int partition);	/* partition -1: of all */
/* The i-th value. */
const char *fake_record(struct fake *f, const char *topic, int partition, size_t i);
uint64_t fake_requests(struct fake *f);			/* Produce requests so far */
uint64_t fake_code_answers(struct fake *f, int16_t code);	/* partitions of Produce answered with it */
int fake_last_version(struct fake *f, int api);		/* of a request that was served; -1: none */

#endif

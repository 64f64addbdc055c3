/* fake_parts.h - what the files of the fake broker share; tests include fakebroker.h. One lock over everything: all
 * functions here are called with it held. */
#ifndef SPILLWAY_TESTS_FAKE_PARTS_H
#define SPILLWAY_TESTS_FAKE_PARTS_H

#include <pthread.h>

#include "agent/base/buf.h"
#include "producer/wire.h"
#include "tests/lib/fakebroker.h"

#define NODES_MAX 3
#define CONNS_MAX 64
#define TOPICS_MAX 64
#define PARTITIONS_MAX 16
#define PRODUCERS_MAX 1024
#define FAULTS_MAX 64
#define FAKE_APIS 64
#define WINDOW 5
#define FRAME_MAX (64u << 20)

/* --- a release: fake_api.c --- */

struct fake_range { int16_t min, max; };		/* max -1: not offered */
struct fake_profile {
	const char *name;
	struct fake_range produce, metadata, versions, init_producer_id, describe_producers, fetch, list_offsets;
	int16_t produce_min;				/* below it requests are refused although offered */
	bool versions_in_refusal;			/* UNSUPPORTED_VERSION tells ApiVersions' own range */
	bool unknown_must_begin;			/* an unknown producer begins at 0, else 59 */
	int64_t expiry_ms;
	int64_t timestamp_after_max_ms;			/* -1: no limit */
};

/* --- logs: fake_log.c --- */

struct fake_sequence { int32_t first, last; int64_t offset, timestamp; };
struct fake_state { int64_t id; int16_t epoch; int n; struct fake_sequence window[WINDOW]; };

/* A batch as it lies in the log: the broker's offset, epoch and times are in its bytes. */
struct fake_stored { int64_t base, newest; int32_t count; int64_t *timestamps; uint8_t *bytes; size_t n; };

struct fake_log {
	char **values;					/* of every offset, those below start too */
	size_t n, cap;
	struct fake_stored *stored;
	size_t stored_n, stored_cap;
	int64_t start;					/* what is below it was deleted */
	struct fake_state producers[PRODUCERS_MAX];
	int producer_count;
};

struct fake_topic_conf { int64_t max_message_bytes, min_isr, compact, append_time, before_max_ms, after_max_ms; };

struct fake_topic {
	char name[250];
	uint8_t id[16];
	int16_t error;
	bool unreadable;				/* 29 for who wants to see what is in it */
	struct fake_topic_conf conf;
	struct fake_log logs[PARTITIONS_MAX];
};

struct fake_answer {
	int16_t code;
	int64_t offset, append_time, log_start;
	int32_t culprits[256];				/* record_errors; no more than these are told */
	int culprit_count;
};

/* What a Produce request asks to have done with one partition. */
struct fake_append { struct fake_topic *topic; int partition; int16_t version, acks; const uint8_t *p; size_t n; };

/* From the first check on to the append, as UnifiedLog and LogValidator do it; leadership and faults are the caller's. */
struct fake_answer fake_log_append(struct fake *f, const struct fake_append *a);
/* The first record that is not older, or offset -1. */
struct fake_found { int64_t offset, timestamp; };
struct fake_found fake_log_find(const struct fake_log *l, int64_t timestamp);
/* Whole batches from the one on that holds `offset`; the last one cut by max_bytes, but never the first. */
void fake_log_read(const struct fake_log *l, int64_t offset, int32_t max_bytes, struct buf *out);
void fake_log_clear(struct fake_log *l);
void fake_log_bury(struct fake *f, struct fake_log *l);	/* as clear, but its values are kept */
/* Forgets whom the clock says to forget, if a check is due. */
void fake_log_expire(struct fake *f);
void fake_log_reload(struct fake *f, int keep);		/* 0: forgets all */
int64_t fake_now(const struct fake *f);

/* --- records: fake_records.c --- */

struct fake_record { int64_t timestamp; bool keyed; const void *value; size_t value_len; };
struct fake_batch {
	int64_t producer_id, base_timestamp;
	int16_t epoch, attributes;
	int32_t first, last, count;
	int64_t newest;					/* timestamp */
	struct fake_record *records;
	uint8_t *raw;					/* decompressed */
};

/* The header of a sound batch of n bytes. */
void fake_batch_head(struct fake_batch *b, const uint8_t *p);
/* 0, or the code: 87 when the records are not what the header says. */
int16_t fake_batch_records(struct fake_batch *b, const uint8_t *p, size_t n);
/* A sound batch of `count` records "foreign", for somebody whose identity this is not. */
void fake_batch_forge(struct buf *out, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count, int64_t timestamp);
void fake_batch_release(struct fake_batch *b);

/* --- faults: fake_fault.c --- */

struct fake_fault { int api, partition; enum fault_kind kind; int value, times; };
enum fault_stage { FAULT_OF_BATCH, FAULT_OF_ANSWER, FAULT_OF_REQUEST };

enum fault_stage fake_fault_stage(enum fault_kind kind);
/* The next fault that is met, or NULL; one of its times is used up. partition -1 meets only faults for any. */
const struct fake_fault *fake_fault_met(struct fake *f, int api, int partition, enum fault_stage stage);

/* What becomes of an answer on its way out. */
struct fake_reply {
	struct buf *frame;				/* length prefix and content; may be changed */
	int api;
	int16_t version;
	bool close, half_close, hold, twice;
	int slow_ms;
};
void fake_fault_answer(const struct fake_fault *fault, struct fake_reply *r);

/* --- requests: fake_api.c --- */

struct fake_conn {
	int fd, node;
	uint8_t *in;
	size_t in_len, in_cap;
	struct buf out, held;		/* held: an answer that comes after the next one */
	size_t out_at;
	int64_t busy_until_ms;		/* the answer in `out` leaves then */
	int slow_ms;			/* between two bytes */
	int64_t slow_next_ms;
	bool close_when_out, half_close_when_out, half_closed;
	bool dead;			/* to be closed at once */
	bool authenticated;
	int64_t session_ms, session_ends_ms;	/* 0: there is no SASL */
	uint64_t hidden;		/* a bit for each API that this connection is not offered */
};

/* Answers one request into c->out, or marks the connection. */
void fake_serve(struct fake *f, struct fake_conn *c, const uint8_t *p, size_t n);
const struct fake_profile *fake_profile(const char *name);	/* NULL: the newest */
struct fake_topic *fake_topic_named(struct fake *f, const char *name, size_t n, bool make);
struct fake_topic *fake_topic_with_id(struct fake *f, const uint8_t *id);	/* NULL: none has it */
extern const uint8_t fake_no_id[16];

/* One request at work. */
struct fake_request {
	struct fake *f;
	struct fake_conn *c;
	struct wire r;
	struct wire_out w;
	int16_t api, version;
	bool close, swallow;
	bool acks_none, failed;				/* Produce: no answer is awaited; a partition was refused */
	bool moved;					/* ... because somebody else leads */
	int delay_ms, throttle_ms;
	const struct fake_fault *answer_fault;
};

void fake_put_name(struct wire_out *w, const char *p, size_t n);
void fake_put_nodes(struct wire_out *w, const struct fake *f);
/* The error code that a test wants in the answer itself; 0: none. What else it wants is noted in q. */
int16_t fake_wanted_error(struct fake_request *q);
void fake_produce(struct fake_request *q);		/* fake_produce.c */
void fake_describe_producers(struct fake_request *q);	/* fake_evidence.c */
void fake_list_offsets(struct fake_request *q);
void fake_fetch(struct fake_request *q);

/* --- all of it --- */

struct fake {
	pthread_mutex_t mu;
	pthread_t thread;
	int wake[2], listen[NODES_MAX], port[NODES_MAX], advertised[NODES_MAX];
	bool stop, down[NODES_MAX], mute[NODES_MAX];
	const struct fake_profile *profile;
	int nodes, partitions, leader[PARTITIONS_MAX], leader_epoch[PARTITIONS_MAX];
	int isr_before, isr_after;
	int64_t clock_ahead_ms, expiry_ms, check_ms, next_check_ms;
	char address[32];
	struct fake_conn conns[CONNS_MAX];
	struct fake_topic *topics[TOPICS_MAX];
	int topic_count;
	uint32_t ids_made;
	struct fake_log buried;				/* values of topics that were made anew */
	struct fake_fault faults[FAULTS_MAX];
	int fault_count;
	int64_t next_producer_id;
	fake_seen_fn *seen;
	void *seen_arg;
	int64_t session_ms;
	uint64_t hidden;
	uint64_t requests, renewals, codes[160];
	int last_version[FAKE_APIS];
};

void fake_poke(struct fake *f);			/* the thread looks again */
#define LOCKED(f, what) do { pthread_mutex_lock(&(f)->mu); what; pthread_mutex_unlock(&(f)->mu); fake_poke(f); } while (0)

void fake_die(const char *what) __attribute__((noreturn));

#endif

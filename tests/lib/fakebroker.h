/* fakebroker.h - a small Kafka on loopback, in a thread: real rules of idempotence, and faults on demand.
 *
 * Speaks ApiVersions (0; newer ones answer UNSUPPORTED_VERSION), Metadata 8, InitProducerId 1, Produce 8. A node works on
 * one request of a connection at a time. Logs are shared by all nodes, as if replication were perfect.
 *
 * Duplicates: (producer id, epoch, first and last sequence) among the last five batches of a producer answers 0 with the
 * old offset; what does not join answers 45; an unknown producer is accepted with any sequence; an older epoch answers 47.
 * Threads: every function may be called from any thread.
 */
#ifndef SPILLWAY_TESTS_FAKEBROKER_H
#define SPILLWAY_TESTS_FAKEBROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake;

enum fault_kind {
	FAULT_CLOSE_BEFORE,	/* the connection goes down instead of an append */
	FAULT_CLOSE_AFTER,	/* appended, then the connection goes down */
	FAULT_SWALLOW,		/* appended, no answer ever */
	FAULT_ERROR,		/* error code, not appended */
	FAULT_ERROR_AFTER,	/* error code although appended */
	FAULT_DELAY,		/* appended, answered after `value` milliseconds */
	FAULT_THROTTLE,		/* appended, throttle_time_ms = value */
};

struct fake *fake_open(int nodes, int partitions);	/* of every topic; made when first asked for */
void fake_close(struct fake *f);
/* "127.0.0.1:port" of node 0. */
const char *fake_address(struct fake *f);

/* The next `times` Produce batches for this partition (-1: any) meet the fault. */
void fake_fault(struct fake *f, int partition, enum fault_kind kind, int value, int times);
void fake_heal(struct fake *f);				/* faults that were not met yet are off */
void fake_down(struct fake *f, int node);		/* connections are cut and refused */
void fake_up(struct fake *f, int node);
void fake_lead(struct fake *f, int partition, int node);
void fake_topic_error(struct fake *f, const char *topic, int16_t code);	/* in Metadata; 0: over */
void fake_reload(struct fake *f);			/* as after a restart: each producer's last batch is remembered */
void fake_forget(struct fake *f);			/* producers are forgotten altogether */

/* Called for each batch as it arrives, before anything else, on the broker's thread. */
typedef void fake_seen_fn(void *arg, int64_t producer_id, int16_t epoch, int32_t sequence, int32_t count);
void fake_on_batch(struct fake *f, fake_seen_fn *fn, void *arg);

size_t fake_records(struct fake *f, const char *topic, int partition);	/* partition -1: of all */
/* The i-th value, valid until the next append. */
const char *fake_record(struct fake *f, const char *topic, int partition, size_t i);
uint64_t fake_requests(struct fake *f);			/* Produce requests so far */
uint64_t fake_code_answers(struct fake *f, int16_t code);

#endif

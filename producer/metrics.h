/* metrics.h - what is counted while producing: Java's producer metrics, each where it happens. No I/O; time is an argument.
 *
 * Averages, maxima and rates are over the last 30 to 60 seconds, as Java's are (two samples of 30 s); totals since the start.
 * Threads: the sender's, but for struct metrics_shared, which is atomic: any.
 */
#ifndef SPILLWAY_METRICS_H
#define SPILLWAY_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "producer/producer.h"

struct metric_window { int64_t begun_ms; double sum, max; uint64_t count; };

/* Values as they come: their average, maximum, sum a second, and what they add up to. */
struct sampled {
	struct metric_window now, before;
	double   sum;
	uint64_t count;
};

void   sampled_add(struct sampled *s, double value, int64_t now_ms);
/* NaN when nothing came lately, as in Java. */
double sampled_avg(const struct sampled *s, int64_t now_ms);
double sampled_max(const struct sampled *s, int64_t now_ms);
double sampled_rate(const struct sampled *s, int64_t now_ms);		/* of the sum; 0 when nothing came */
double sampled_count_rate(const struct sampled *s, int64_t now_ms);

#define METRIC_BUCKETS 16
struct metric_histogram { uint64_t counts[METRIC_BUCKETS]; double sum; };	/* seconds */
/* count: of things that took as long. */
void   histogram_add(struct metric_histogram *h, double seconds, uint64_t count);

/* Of one broker. */
struct node_metrics {
	struct sampled outgoing_bytes, requests, request_size, incoming_bytes, responses, request_latency_ms;
};

/* Of one topic. */
struct topic_metrics { struct sampled records, bytes, compression_rate, retries, errors; };

struct metrics {
	struct sampled batch_size, compression_rate, queue_time_ms, request_latency_ms, throttle_ms, records_per_request,
		       record_retries, record_errors, record_size, batch_splits;
	struct sampled connections_made, connections_closed, authentications, failed_authentications, reauthentications,
		       failed_reauthentications, reauthentication_latency_ms;
	struct sampled outgoing_bytes, incoming_bytes, requests, request_size, responses, network_io;
	struct metric_histogram request_latency, queue_time, record_latency;
};

/* What threads count that send. */
struct metrics_shared {
	_Atomic uint32_t waiting_threads;		/* for memory */
	_Atomic uint64_t memory_wait_ns, metadata_wait_ns, flush_ns, buffer_exhausted;
};

/* What a snapshot tells besides. */
struct metrics_now { int64_t now_ms; uint64_t buffer_total, buffer_available; uint32_t requests_in_flight, connections;
		     int64_t metadata_age_ms; };

/* Calls fn for each metric of one kind, those of one name together. */
typedef void metrics_fn(void *arg, const struct producer_metric *m);
void metrics_each(const struct metrics *m, struct metrics_shared *shared, const struct metrics_now *now, metrics_fn *fn, void *arg);
struct node_row { int32_t node; const struct node_metrics *metrics; };
void metrics_each_node(const struct node_row *rows, size_t n, int64_t now_ms, metrics_fn *fn, void *arg);
struct topic_row { const char *topic; const struct topic_metrics *metrics; };
void metrics_each_topic(const struct topic_row *rows, size_t n, int64_t now_ms, metrics_fn *fn, void *arg);
struct partition_row { const char *topic; int32_t partition; uint64_t records, bytes; int64_t last_offset; };
void metrics_each_partition(const struct partition_row *rows, size_t n, metrics_fn *fn, void *arg);

#endif

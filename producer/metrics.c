/* metrics.c - the arithmetic, and one table a kind of metric: name, words, which number.
 *
 * Names are what Micrometer's KafkaClientMetrics makes of Java's (producer-metrics, -node-metrics, -topic-metrics), so that a
 * dashboard made for a Java producer works. Histograms and what is told of partitions are additions.
 */
#include "producer/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <stddef.h>

#define WINDOW_MS 30000
#define NO_NODE INT32_MIN

/* --- samples --- */

static bool live(const struct metric_window *w, int64_t now_ms, int64_t age_ms)
{
	return w->count && now_ms - w->begun_ms < age_ms;
}

void sampled_add(struct sampled *s, double value, int64_t now_ms)
{
	if (now_ms - s->now.begun_ms >= WINDOW_MS || !s->now.count) {
		if (s->now.count)
			s->before = s->now;
		s->now = (struct metric_window){ .begun_ms = now_ms };
	}
	if (value > s->now.max || !s->now.count)
		s->now.max = value;
	s->now.sum += value;
	s->now.count++;
	s->sum += value;
	s->count++;
}

/* Both windows, as far as they are not too old. */
static struct metric_window lately(const struct sampled *s, int64_t now_ms)
{
	struct metric_window w = { .begun_ms = now_ms };
	const struct metric_window *both[] = { &s->before, &s->now };

	for (int i = 0; i < 2; i++) {
		if (!live(both[i], now_ms, 2 * WINDOW_MS))
			continue;
		if (!w.count || both[i]->max > w.max)
			w.max = both[i]->max;
		if (!w.count)
			w.begun_ms = both[i]->begun_ms;
		w.sum += both[i]->sum;
		w.count += both[i]->count;
	}
	return w;
}

double sampled_avg(const struct sampled *s, int64_t now_ms)
{
	struct metric_window w = lately(s, now_ms);

	return w.count ? w.sum / (double)w.count : NAN;
}

double sampled_max(const struct sampled *s, int64_t now_ms)
{
	struct metric_window w = lately(s, now_ms);

	return w.count ? w.max : NAN;
}

/* At least one window long, as in Java: the first record is no rate of a million. */
static double per_second(double n, const struct metric_window *w, int64_t now_ms)
{
	int64_t ms = now_ms - w->begun_ms;

	return n * 1000 / (double)(ms > WINDOW_MS ? ms : WINDOW_MS);
}

double sampled_rate(const struct sampled *s, int64_t now_ms)
{
	struct metric_window w = lately(s, now_ms);

	return per_second(w.sum, &w, now_ms);
}

double sampled_count_rate(const struct sampled *s, int64_t now_ms)
{
	struct metric_window w = lately(s, now_ms);

	return per_second((double)w.count, &w, now_ms);
}

/* --- histograms --- */

static const double bounds[METRIC_BUCKETS] = {
	0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, INFINITY,
};

void histogram_add(struct metric_histogram *h, double seconds, uint64_t count)
{
	int i = 0;

	while (seconds > bounds[i])
		i++;
	h->counts[i] += count;
	h->sum += seconds * (double)count;
}

/* --- tables --- */

enum part { AVG, MAX, RATE, COUNT_RATE, TOTAL, COUNT_TOTAL };

struct row { const char *name, *help; enum part part; size_t offset; };

#define ROW(name, help, part, type, field) { "kafka_producer_" name, help, part, offsetof(struct type, field) }
#define M(name, help, part, field) ROW(name, help, part, metrics, field)
#define N(name, help, part, field) ROW("node_" name, help, part, node_metrics, field)
#define T(name, help, part, field) ROW("topic_" name, help, part, topic_metrics, field)

static const struct row rows[] = {
	M("batch_size_avg", "Bytes of a batch sent, on average", AVG, batch_size),
	M("batch_size_max", "Bytes of the largest batch sent", MAX, batch_size),
	M("batch_split_rate", "Batches split a second, because a broker found them too large", COUNT_RATE, batch_splits),
	M("batch_split_total", "Batches split", COUNT_TOTAL, batch_splits),
	M("compression_rate_avg", "Size of a batch sent, relative to its records' size", AVG, compression_rate),
	M("connection_close_rate", "Connections closed a second", COUNT_RATE, connections_closed),
	M("connection_close_total", "Connections closed", COUNT_TOTAL, connections_closed),
	M("connection_creation_rate", "Connections made a second", COUNT_RATE, connections_made),
	M("connection_creation_total", "Connections made", COUNT_TOTAL, connections_made),
	M("failed_authentication_rate", "Authentications that failed, a second", COUNT_RATE, failed_authentications),
	M("failed_authentication_total", "Authentications that failed", COUNT_TOTAL, failed_authentications),
	M("failed_reauthentication_rate", "Re-authentications that failed, a second", COUNT_RATE, failed_reauthentications),
	M("failed_reauthentication_total", "Re-authentications that failed", COUNT_TOTAL, failed_reauthentications),
	M("incoming_byte_rate", "Bytes read from sockets, a second", RATE, incoming_bytes),
	M("incoming_byte_total", "Bytes read from sockets", TOTAL, incoming_bytes),
	M("network_io_rate", "Reads from and writes to sockets, a second", COUNT_RATE, network_io),
	M("network_io_total", "Reads from and writes to sockets", COUNT_TOTAL, network_io),
	M("outgoing_byte_rate", "Bytes written to sockets, a second", RATE, outgoing_bytes),
	M("outgoing_byte_total", "Bytes written to sockets", TOTAL, outgoing_bytes),
	M("produce_throttle_time_avg", "Milliseconds that a request was throttled, on average", AVG, throttle_ms),
	M("produce_throttle_time_max", "Milliseconds of the longest throttling", MAX, throttle_ms),
	M("reauthentication_latency_avg", "Milliseconds of a re-authentication, on average", AVG, reauthentication_latency_ms),
	M("reauthentication_latency_max", "Milliseconds of the longest re-authentication", MAX, reauthentication_latency_ms),
	M("record_error_rate", "Records that failed, a second", RATE, record_errors),
	M("record_error_total", "Records that failed", TOTAL, record_errors),
	M("record_queue_time_avg", "Milliseconds of a batch in the accumulator, on average", AVG, queue_time_ms),
	M("record_queue_time_max", "Milliseconds of the longest wait of a batch in the accumulator", MAX, queue_time_ms),
	M("record_retry_rate", "Records sent again, a second", RATE, record_retries),
	M("record_retry_total", "Records sent again", TOTAL, record_retries),
	M("record_send_rate", "Records sent, a second", RATE, records_per_request),
	M("record_send_total", "Records sent", TOTAL, records_per_request),
	M("record_size_avg", "Bytes of a batch's largest record, on average", AVG, record_size),
	M("record_size_max", "Bytes of the largest record", MAX, record_size),
	M("records_per_request_avg", "Records of a request, on average", AVG, records_per_request),
	M("request_latency_avg", "Milliseconds from a request to its answer, on average", AVG, request_latency_ms),
	M("request_latency_max", "Milliseconds of the longest request", MAX, request_latency_ms),
	M("request_rate", "Requests sent, a second", COUNT_RATE, requests),
	M("request_size_avg", "Bytes of a request, on average", AVG, request_size),
	M("request_size_max", "Bytes of the largest request", MAX, request_size),
	M("request_total", "Requests sent", COUNT_TOTAL, requests),
	M("response_rate", "Responses received, a second", COUNT_RATE, responses),
	M("response_total", "Responses received", COUNT_TOTAL, responses),
	M("successful_authentication_rate", "Authentications, a second", COUNT_RATE, authentications),
	M("successful_authentication_total", "Authentications", COUNT_TOTAL, authentications),
	M("successful_reauthentication_rate", "Re-authentications, a second", COUNT_RATE, reauthentications),
	M("successful_reauthentication_total", "Re-authentications", COUNT_TOTAL, reauthentications),
};

static const struct row node_rows[] = {
	N("incoming_byte_rate", "Bytes read from this broker, a second", RATE, incoming_bytes),
	N("incoming_byte_total", "Bytes read from this broker", TOTAL, incoming_bytes),
	N("outgoing_byte_rate", "Bytes written to this broker, a second", RATE, outgoing_bytes),
	N("outgoing_byte_total", "Bytes written to this broker", TOTAL, outgoing_bytes),
	N("request_latency_avg", "Milliseconds from a request to its answer, on average", AVG, request_latency_ms),
	N("request_latency_max", "Milliseconds of the longest request", MAX, request_latency_ms),
	N("request_rate", "Requests sent, a second", COUNT_RATE, requests),
	N("request_size_avg", "Bytes of a request, on average", AVG, request_size),
	N("request_size_max", "Bytes of the largest request", MAX, request_size),
	N("request_total", "Requests sent", COUNT_TOTAL, requests),
	N("response_rate", "Responses received, a second", COUNT_RATE, responses),
	N("response_total", "Responses received", COUNT_TOTAL, responses),
};

static const struct row topic_rows[] = {
	T("byte_rate", "Bytes sent, a second", RATE, bytes),
	T("byte_total", "Bytes sent", TOTAL, bytes),
	T("compression_rate", "Size of a batch sent, relative to its records' size", AVG, compression_rate),
	T("record_error_rate", "Records that failed, a second", RATE, errors),
	T("record_error_total", "Records that failed", TOTAL, errors),
	T("record_retry_rate", "Records sent again, a second", RATE, retries),
	T("record_retry_total", "Records sent again", TOTAL, retries),
	T("record_send_rate", "Records sent, a second", RATE, records),
	T("record_send_total", "Records sent", TOTAL, records),
};

static double value_of(const struct sampled *s, enum part part, int64_t now_ms)
{
	switch (part) {
	case AVG:	 return sampled_avg(s, now_ms);
	case MAX:	 return sampled_max(s, now_ms);
	case RATE:	 return sampled_rate(s, now_ms);
	case COUNT_RATE: return sampled_count_rate(s, now_ms);
	case TOTAL:	 return s->sum;
	default:	 return (double)s->count;
	}
}

static struct producer_metric metric_of(const struct row *r, const void *owner, int64_t now_ms)
{
	const struct sampled *s = (const struct sampled *)(const void *)((const char *)owner + r->offset);

	return (struct producer_metric){
		.name = r->name, .help = r->help, .partition = -1, .node = NO_NODE,
		.kind = r->part == TOTAL || r->part == COUNT_TOTAL ? PRODUCER_COUNTER : PRODUCER_GAUGE,
		.value = value_of(s, r->part, now_ms),
	};
}

/* --- of the producer as a whole --- */

static void tell_number(metrics_fn *fn, void *arg, const char *name, const char *help, enum producer_metric_kind kind,
			double value)
{
	fn(arg, &(struct producer_metric){ .name = name, .help = help, .kind = kind, .partition = -1, .node = NO_NODE,
					   .value = value });
}

static void tell_histogram(metrics_fn *fn, void *arg, const char *name, const char *help,
			   const struct metric_histogram *h)
{
	uint64_t counts[METRIC_BUCKETS], sum = 0;

	for (int i = 0; i < METRIC_BUCKETS; i++)
		counts[i] = sum += h->counts[i];
	fn(arg, &(struct producer_metric){
		.name = name, .help = help, .kind = PRODUCER_HISTOGRAM, .partition = -1, .node = NO_NODE, .value = h->sum,
		.bounds = bounds, .counts = counts, .bucket_count = METRIC_BUCKETS,
	});
}

static void tell_shared(struct metrics_shared *m, metrics_fn *fn, void *arg)
{
	tell_number(fn, arg, "kafka_producer_waiting_threads", "Threads that wait for memory", PRODUCER_GAUGE,
		    atomic_load(&m->waiting_threads));
	tell_number(fn, arg, "kafka_producer_bufferpool_wait_time_ns_total", "Nanoseconds that senders waited for memory",
		    PRODUCER_COUNTER, (double)atomic_load(&m->memory_wait_ns));
	tell_number(fn, arg, "kafka_producer_buffer_exhausted_total", "Records refused because memory stayed full",
		    PRODUCER_COUNTER, (double)atomic_load(&m->buffer_exhausted));
	tell_number(fn, arg, "kafka_producer_metadata_wait_time_ns_total", "Nanoseconds that senders waited for metadata",
		    PRODUCER_COUNTER, (double)atomic_load(&m->metadata_wait_ns));
	tell_number(fn, arg, "kafka_producer_flush_time_ns_total", "Nanoseconds spent in flush", PRODUCER_COUNTER,
		    (double)atomic_load(&m->flush_ns));
}

void metrics_each(const struct metrics *m, struct metrics_shared *shared, const struct metrics_now *now, metrics_fn *fn, void *arg)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct producer_metric one = metric_of(&rows[i], m, now->now_ms);

		fn(arg, &one);
	}
	tell_number(fn, arg, "kafka_producer_buffer_total_bytes", "buffer.memory", PRODUCER_GAUGE, (double)now->buffer_total);
	tell_number(fn, arg, "kafka_producer_buffer_available_bytes", "Bytes of buffer.memory that are free", PRODUCER_GAUGE,
		    (double)now->buffer_available);
	tell_number(fn, arg, "kafka_producer_requests_in_flight", "Requests without an answer yet", PRODUCER_GAUGE,
		    now->requests_in_flight);
	tell_number(fn, arg, "kafka_producer_connection_count", "Connections that are up", PRODUCER_GAUGE, now->connections);
	tell_number(fn, arg, "kafka_producer_metadata_age", "Seconds since the last metadata", PRODUCER_GAUGE,
		    now->metadata_age_ms < 0 ? NAN : (double)now->metadata_age_ms / 1000);
	tell_shared(shared, fn, arg);
	tell_histogram(fn, arg, "kafka_producer_request_latency_seconds", "From a request to its answer", &m->request_latency);
	tell_histogram(fn, arg, "kafka_producer_record_queue_time_seconds", "Of a batch in the accumulator", &m->queue_time);
	tell_histogram(fn, arg, "kafka_producer_record_latency_seconds", "From a batch's first record to its acknowledgement",
		       &m->record_latency);
}

/* --- of nodes, topics, partitions --- */

void metrics_each_node(const struct node_row *r, size_t n, int64_t now_ms, metrics_fn *fn, void *arg)
{
	for (size_t k = 0; k < sizeof node_rows / sizeof node_rows[0]; k++)
		for (size_t i = 0; i < n; i++) {
			struct producer_metric one = metric_of(&node_rows[k], r[i].metrics, now_ms);

			one.node = r[i].node;
			fn(arg, &one);
		}
}

void metrics_each_topic(const struct topic_row *r, size_t n, int64_t now_ms, metrics_fn *fn, void *arg)
{
	for (size_t k = 0; k < sizeof topic_rows / sizeof topic_rows[0]; k++)
		for (size_t i = 0; i < n; i++) {
			struct producer_metric one = metric_of(&topic_rows[k], r[i].metrics, now_ms);

			one.topic = r[i].topic;
			fn(arg, &one);
		}
}

static double partition_value(const struct partition_row *r, int which)
{
	return which == 0 ? (double)r->records : which == 1 ? (double)r->bytes : (double)r->last_offset;
}

void metrics_each_partition(const struct partition_row *r, size_t n, metrics_fn *fn, void *arg)
{
	static const struct { const char *name, *help; enum producer_metric_kind kind; } partition_rows[] = {
		{ "kafka_producer_partition_record_send_total", "Records acknowledged", PRODUCER_COUNTER },
		{ "kafka_producer_partition_byte_total", "Bytes acknowledged", PRODUCER_COUNTER },
		{ "kafka_producer_partition_last_offset", "The newest acknowledged offset, -1: none", PRODUCER_GAUGE },
	};

	for (int k = 0; k < 3; k++)
		for (size_t i = 0; i < n; i++)
			fn(arg, &(struct producer_metric){
				.name = partition_rows[k].name, .help = partition_rows[k].help,
				.kind = partition_rows[k].kind, .topic = r[i].topic, .partition = r[i].partition,
				.node = NO_NODE, .value = partition_value(&r[i], k),
			});
}

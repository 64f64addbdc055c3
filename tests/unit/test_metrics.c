/* test_metrics.c - samples, histograms, and what Prometheus gets to read. */
#include "tests/lib/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/metrics_text.h"
#include "producer/metrics.h"

static void averages_and_maxima_are_of_the_last_minute(void **state)
{
	struct sampled s = { 0 };

	(void)state;
	assert_true(isnan(sampled_avg(&s, 0)));
	assert_true(isnan(sampled_max(&s, 0)));
	sampled_add(&s, 10, 1000);
	sampled_add(&s, 20, 2000);
	assert_true(sampled_avg(&s, 3000) == 15);
	assert_true(sampled_max(&s, 3000) == 20);
	sampled_add(&s, 2, 32000);		/* the next window */
	assert_true(sampled_max(&s, 33000) == 20);
	assert_true(fabs(sampled_avg(&s, 33000) - 32.0 / 3) < 1e-9);
	assert_true(sampled_max(&s, 61500) == 2);	/* the first is over a minute old */
	assert_true(isnan(sampled_max(&s, 92000)));
	assert_true(s.sum == 32 && s.count == 3);
}

static void rates_are_over_at_least_half_a_minute(void **state)
{
	struct sampled s = { 0 };

	(void)state;
	assert_true(sampled_rate(&s, 0) == 0);
	sampled_add(&s, 300, 0);
	assert_true(sampled_rate(&s, 10) == 10);
	assert_true(sampled_count_rate(&s, 10) == 1.0 / 30);
	sampled_add(&s, 300, 31000);
	assert_true(fabs(sampled_rate(&s, 50000) - 12) < 1e-9);
}

static void negative_values_have_a_maximum_too(void **state)
{
	struct sampled s = { 0 };

	(void)state;
	sampled_add(&s, -5, 0);
	sampled_add(&s, -7, 0);
	assert_true(sampled_max(&s, 0) == -5);
}

struct seen { struct buf text; char names[8192]; int histograms; bool cumulative; };

static void look(void *arg, const struct producer_metric *m)
{
	struct seen *s = arg;

	snprintf(s->names + strlen(s->names), sizeof s->names - strlen(s->names), "%s ", m->name);
	if (m->kind != PRODUCER_HISTOGRAM)
		return;
	s->histograms++;
	assert_true(isinf(m->bounds[m->bucket_count - 1]));
	for (size_t i = 1; i < m->bucket_count; i++)
		assert_true(m->counts[i] >= m->counts[i - 1] && m->bounds[i] > m->bounds[i - 1]);
}

static struct metrics_shared shared;

static struct metrics filled(void)
{
	struct metrics m = { 0 };

	sampled_add(&m.records_per_request, 7, 0);
	sampled_add(&m.record_errors, 2, 0);
	sampled_add(&m.requests, 100, 0);
	histogram_add(&m.request_latency, 0.0015, 1);
	histogram_add(&m.request_latency, 100, 1);
	return m;
}

static void dashboards_of_java_producers_find_their_names(void **state)
{
	static const char *const wanted[] = {
		"kafka_producer_record_send_total ", "kafka_producer_record_error_total ", "kafka_producer_record_retry_total ",
		"kafka_producer_buffer_available_bytes ", "kafka_producer_buffer_total_bytes ", "kafka_producer_batch_size_avg ",
		"kafka_producer_compression_rate_avg ", "kafka_producer_record_queue_time_avg ",
		"kafka_producer_request_latency_avg ", "kafka_producer_requests_in_flight ", "kafka_producer_metadata_age ",
	};
	struct metrics m = filled();
	struct seen s = { 0 };

	(void)state;
	metrics_each(&m, &shared, &(struct metrics_now){ 0 }, look, &s);
	for (size_t i = 0; i < COUNT(wanted); i++)
		assert_non_null(strstr(s.names, wanted[i]));
	assert_int_equal(s.histograms, 3);
}

static void the_text_is_what_prometheus_reads(void **state)
{
	struct metrics m = filled();
	struct topic_metrics tm = { 0 };
	struct buf out;
	struct metrics_text t = { .out = &out, .client_id = "a\"b\\c" };
	struct topic_row rows[] = { { "one", &tm }, { "two", &tm } };

	(void)state;
	buf_init(&out, 1u << 20);
	sampled_add(&tm.records, 5, 0);
	metrics_each(&m, &shared, &(struct metrics_now){ .now_ms = 10 }, metrics_text_put, &t);
	metrics_each_topic(rows, 2, 10, metrics_text_put, &t);
	assert_non_null(strstr(out.data, "# TYPE kafka_producer_record_send_total counter\n"
					 "kafka_producer_record_send_total{client_id=\"a\\\"b\\\\c\"} 7\n"));
	assert_non_null(strstr(out.data, "kafka_producer_batch_size_avg{client_id=\"a\\\"b\\\\c\"} NaN\n"));
	assert_non_null(strstr(out.data, "kafka_producer_request_latency_seconds_bucket{"
				"client_id=\"a\\\"b\\\\c\",le=\"0.002\"} 1\n"));
	assert_non_null(strstr(out.data, "kafka_producer_request_latency_seconds_bucket{"
				"client_id=\"a\\\"b\\\\c\",le=\"+Inf\"} 2\n"));
	assert_non_null(strstr(out.data, "kafka_producer_request_latency_seconds_count{client_id=\"a\\\"b\\\\c\"} 2\n"));
	assert_non_null(strstr(out.data, "kafka_producer_topic_record_send_total{client_id=\"a\\\"b\\\\c\",topic=\"one\"} 5\n"
					 "kafka_producer_topic_record_send_total{client_id=\"a\\\"b\\\\c\",topic=\"two\"} 5\n"));
	buf_release(&out);
}

/* The text format wants all rows of a name under one TYPE. */
static void each_name_is_declared_once(void **state)
{
	struct metrics m = filled();
	struct node_metrics nm = { 0 };
	struct node_row nodes[] = { { 1, &nm }, { 2, &nm } };
	struct partition_row parts[] = { { "t", 0, 1, 2, 3 }, { "t", 1, 1, 2, -1 } };
	struct buf out;
	struct metrics_text t = { .out = &out, .client_id = "" };

	(void)state;
	buf_init(&out, 1u << 20);
	metrics_each(&m, &shared, &(struct metrics_now){ 0 }, metrics_text_put, &t);
	metrics_each_node(nodes, 2, 0, metrics_text_put, &t);
	metrics_each_partition(parts, 2, metrics_text_put, &t);
	for (char *p = out.data; (p = strstr(p, "# TYPE ")); p++) {
		char line[200];

		snprintf(line, sizeof line, "%.*s", (int)strcspn(p, "\n") + 1, p);
		assert_null(strstr(p + 1, line));
	}
	assert_non_null(strstr(out.data, "kafka_producer_node_request_total{client_id=\"\",node_id=\"node-2\"} 0\n"));
	assert_non_null(strstr(out.data, "kafka_producer_partition_last_offset{client_id=\"\",topic=\"t\",partition=\"1\"} -1\n"));
	buf_release(&out);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(averages_and_maxima_are_of_the_last_minute),
	cmocka_unit_test(rates_are_over_at_least_half_a_minute),
	cmocka_unit_test(negative_values_have_a_maximum_too),
	cmocka_unit_test(dashboards_of_java_producers_find_their_names),
	cmocka_unit_test(the_text_is_what_prometheus_reads),
	cmocka_unit_test(each_name_is_declared_once),
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_endpoints.c - what the paths of the monitoring server say without a running agent: formats, policy, readiness. */
#include "tests/lib/unit.h"

#include <math.h>
#include <string.h>

#include "agent/web/endpoints.h"

static void openmetrics_is_given_to_who_prefers_it(void **state)
{
	static const struct { const char *accept; bool open; } cases[] = {
		{ "", false }, { "*/*", false }, { "text/plain", false }, { "application/openmetrics-text", true },
		{ "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true },
		{ "text/plain;version=0.0.4,application/openmetrics-text;q=0.1", false },
		{ "application/openmetrics-text;q=0,text/plain", false }, { "text/html,application/xhtml+xml,*/*;q=0.8", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (endpoints_wants_open(cases[i].accept) != cases[i].open)
			fail_msg("%s", cases[i].accept);
}

/* The hash of "alert(1)" is known. */
static void a_page_is_guarded_by_hashes_of_what_stands_in_it(void **state)
{
	static const char page[] = "<style>p{}</style><p><script type=\"x\">alert(1)</script><script>alert(1)</script>";
	char policy[512], small[100];

	(void)state;
	assert_int_equal(endpoints_policy(page, policy, sizeof policy), 0);
	assert_memory_equal(policy, "Content-Security-Policy: default-src 'none'; ", 45);
	assert_non_null(strstr(policy, "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=' "
			       "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='; style-src 'sha256-"));
	assert_null(strstr(policy, "unsafe"));
	assert_string_equal(policy + strlen(policy) - 2, "\r\n");
	assert_int_equal(endpoints_policy(page, small, sizeof small), ERR_NOMEM);
}

static void the_page_that_is_built_in_is_whole(void **state)
{
	(void)state;
	assert_int_equal(strlen(endpoints_index), endpoints_index_len);
	assert_memory_equal(endpoints_index, "<!doctype html>", 15);
	assert_string_equal(endpoints_index + endpoints_index_len - 8, "</html>\n");
}

static bool ready(const char *agent_state, struct producer_broker_stat *brokers, size_t n, bool any_up, const char *words)
{
	struct status s = { .state = agent_state, .producer = { .brokers = brokers, .broker_count = n, .any_broker_up = any_up } };
	struct buf why;
	bool is;

	buf_init(&why, 4096);
	is = endpoints_ready(&s, &why);
	assert_int_equal(is, !why.len);
	if (words)
		assert_non_null(strstr(why.data, words));
	buf_release(&why);
	return is;
}

static void only_a_full_spool_the_end_and_refused_credentials_are_not_ready(void **state)
{
	struct producer_broker_stat down = { .host = "b", .port = 1, .state = "down", .error = "Connection refused" };
	struct producer_broker_stat refused[] = { { .host = "b", .port = 2, .error = "SCRAM says no", .refused = true }, down };

	(void)state;
	assert_true(ready("shipping", NULL, 0, false, NULL));
	assert_true(ready("spilling", &down, 1, false, NULL));
	assert_true(ready("draining", &down, 1, true, NULL));
	assert_true(ready("shipping", refused, 2, true, NULL));		/* another one takes us */
	assert_false(ready("spilling", refused, 2, false, "broker b:2: SCRAM says no"));
	assert_false(ready("blocked", NULL, 0, false, "spool is full"));
	assert_false(ready("stopping", NULL, 0, true, "stopping"));
}

static void write_rows(bool open, struct buf *out)
{
	static const double bounds[] = { 0.5, 1, INFINITY };
	static const uint64_t counts[] = { 1, 1, 4 };
	struct metrics_text t = { .out = out, .open = open };
	const struct metrics_label bad = { "path", "a\xff\"\n\\" }, good = { "path", "\xc3\xa4" };

	buf_init(out, 1 << 16);
	metrics_text_row(&t, PRODUCER_COUNTER, "x_seconds_total", "Xs", &bad, 1, 3);
	metrics_text_row(&t, PRODUCER_COUNTER, "x_seconds_total", "Xs", &good, 1, 0.25);
	metrics_text_row(&t, PRODUCER_GAUGE, "y", "Y", NULL, 0, NAN);
	metrics_text_histogram(&t, "z_bytes", "Z", NULL, 0, bounds, counts, 3, 7.5);
	metrics_text_end(&t);
	assert_false(out->failed);
}

static void both_formats_say_the_same_in_their_own_way(void **state)
{
	struct buf out;

	(void)state;
	write_rows(false, &out);
	assert_string_equal(out.data,
		"# HELP x_seconds_total Xs\n# TYPE x_seconds_total counter\n"
		"x_seconds_total{path=\"a\\\\xff\\\"\\n\\\\\"} 3\nx_seconds_total{path=\"\xc3\xa4\"} 0.25\n"
		"# HELP y Y\n# TYPE y gauge\ny NaN\n# HELP z_bytes Z\n# TYPE z_bytes histogram\n"
		"z_bytes_bucket{le=\"0.5\"} 1\nz_bytes_bucket{le=\"1\"} 1\nz_bytes_bucket{le=\"+Inf\"} 4\n"
		"z_bytes_sum 7.5\nz_bytes_count 4\n");
	buf_release(&out);
	write_rows(true, &out);
	assert_string_equal(out.data,
		"# HELP x_seconds Xs\n# TYPE x_seconds counter\n# UNIT x_seconds seconds\n"
		"x_seconds_total{path=\"a\\\\xff\\\"\\n\\\\\"} 3\nx_seconds_total{path=\"\xc3\xa4\"} 0.25\n"
		"# HELP y Y\n# TYPE y gauge\ny NaN\n# HELP z_bytes Z\n# TYPE z_bytes histogram\n# UNIT z_bytes bytes\n"
		"z_bytes_bucket{le=\"0.5\"} 1\nz_bytes_bucket{le=\"1.0\"} 1\nz_bytes_bucket{le=\"+Inf\"} 4\n"
		"z_bytes_sum 7.5\nz_bytes_count 4\n# EOF\n");
	buf_release(&out);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(openmetrics_is_given_to_who_prefers_it),
		cmocka_unit_test(a_page_is_guarded_by_hashes_of_what_stands_in_it),
		cmocka_unit_test(the_page_that_is_built_in_is_whole),
		cmocka_unit_test(only_a_full_spool_the_end_and_refused_credentials_are_not_ready),
		cmocka_unit_test(both_formats_say_the_same_in_their_own_way),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

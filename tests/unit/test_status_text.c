/* test_status_text.c - one status: as JSON, and for people, as known text: tests/golden/status-NAME.txt. GOLDEN_WRITE=1 in the
 * environment makes these files anew; look at what changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent/status.h"
#include "agent/words.h"
#include "tests/lib/unit.h"

#define MIB (1024.0 * 1024)

struct fixture {
	struct conf conf;
	struct conf_input inputs[2];
	struct status s;
	struct status_file files[300];
	char paths[300][32];
	struct producer_broker_stat brokers[2];
	struct producer_lane_stat lanes[2];
	struct status_lane spooled[2];
	struct history history;
	struct buf out;
};

static void reason(struct fixture *f, const char *text)
{
	buf_put(&f->s.reasons, text, strlen(text) + 1);
}

static void a_file(struct fixture *f, size_t i, const char *path, const char *state, int64_t size, int64_t safe, double lag_s)
{
	snprintf(f->paths[i], sizeof f->paths[i], "%s", path);
	f->files[i] = (struct status_file){ .path = f->paths[i], .size = size, .read = safe, .safe = safe, .lag_s = lag_s };
	snprintf(f->files[i].state, sizeof f->files[i].state, "%s", state);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->inputs[0].name = (char *)"shop";
	f->inputs[1].name = (char *)"audit";
	f->conf = (struct conf){ .inputs = f->inputs, .input_count = 2 };
	f->s = (struct status){
		.conf = &f->conf, .uptime_s = 11520, .now_ms = 1700000720000, .pid = 4711, .state = "shipping",
		.files = f->files, .history = &f->history, .full_in_s = -1, .drained_in_s = -1,
		.books = { .read = 1234567, .acked = 1234500, .in_memory = 67,
			   .totals = { .acked = 1234500, .max_size = 10LL << 30 } },
		.producer = { .buffer_total = 32 << 20, .buffer_used = 400 << 10, .in_flight = 3, .brokers = f->brokers,
			      .lanes = f->lanes },
		.rates = { 60, 5321.4, 1.5 * MIB, 5300.6, 0, 0 }, .lanes = f->spooled,
	};
	buf_init(&f->s.reasons, 1 << 16);
	buf_init(&f->out, 1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	buf_release(&f->s.reasons);
	buf_release(&f->out);
	free(f);
	return 0;
}

static void in_an_outage(struct fixture *f)
{
	f->s.state = "spilling";
	f->s.books.spooled = 500000;
	f->s.books.acked = 734500;
	f->s.books.totals.rows = 480;
	f->s.books.totals.records = 500000;
	f->s.books.totals.bytes = (uint64_t)(5.2 * 1024 * MIB);
	f->s.books.totals.oldest_ms = 1700000000000;
	f->s.books.totals.uncertain_batches = 1;
	f->s.books.totals.uncertain_records = 12;
	f->s.rates = (struct history_rates){ 60, 5321.4, 1.5 * MIB, 0, 5300, 0.42 * MIB };
	f->s.full_in_s = 12000;
	reason(f, "topic audit is held: the topic cannot be written: TOPIC_AUTHORIZATION_FAILED; its share of buffer.memory and "
	       "spool.max_size is used up, its files wait");
	reason(f, "broker kafka-1:9092: cannot connect: Connection refused");
	f->brokers[0] = (struct producer_broker_stat){ 1, "kafka-1", 9092, "down", "cannot connect: Connection refused", false };
	f->brokers[1] = (struct producer_broker_stat){ -1, "kafka-2.example.org", 9092, "connecting", "", false };
	f->s.producer.broker_count = 2;
	f->lanes[0] = (struct producer_lane_stat){ .topic = "shop", .partition = 11, .in_memory = 67 };
	f->lanes[1] = (struct producer_lane_stat){ .topic = "audit", .partition = -1, .held = true, .in_memory = 1200,
						   .reason = "TOPIC_AUTHORIZATION_FAILED" };
	f->s.producer.lane_count = 2;
	f->spooled[0] = (struct status_lane){ (char *)"shop", 11, 480, 498800, 1 };
	f->s.lane_count = 1;
	a_file(f, 0, "/var/log/shop/quick.log", "active", 9 << 20, (9 << 20) - 200, 0.2);
	a_file(f, 1, "/var/log/shop/rests.log", "active", 9 << 10, 9 << 10, 0);
	a_file(f, 2, "/var/log/audit.log", "waiting", 700 << 20, 12 << 20, 4000);
	f->files[2].input = 1;
	f->s.file_count = 3;
}

static void with_many_files(struct fixture *f)
{
	char path[32];

	for (size_t i = 0; i < 300; i++) {
		snprintf(path, sizeof path, "/var/log/shop/%03zu.log", i);
		a_file(f, i, path, i == 7 ? "failed" : "active", 100000, i % 10 ? 100000 : 99000, i % 10 ? 0 : (double)i);
	}
	f->s.file_count = 300;
}

static void assert_golden(struct fixture *f, const char *name, const struct status_view *view)
{
	char path[128], *want = calloc(1, 65536), *version;
	FILE *file;

	assert_non_null(want);
	status_write_text(&f->s, view, &f->out);
	assert_false(f->out.failed);
	/* The files outlive releases: they say X. */
	version = strstr(f->out.data, SPILLWAY_VERSION);
	assert_non_null(version);
	*version = 'X';
	memmove(version + 1, version + strlen(SPILLWAY_VERSION), strlen(version + strlen(SPILLWAY_VERSION)) + 1);
	f->out.len -= strlen(SPILLWAY_VERSION) - 1;
	snprintf(path, sizeof path, "tests/golden/status-%s.txt", name);
	file = fopen(path, getenv("GOLDEN_WRITE") ? "w+" : "r");
	assert_non_null(file);
	if (getenv("GOLDEN_WRITE")) {
		fwrite(f->out.data, 1, f->out.len, file);
		rewind(file);
	}
	(void)!fread(want, 1, 65535, file);
	fclose(file);
	assert_string_equal(f->out.data, want);
	free(want);
}

static void a_service_that_ships_is_short(void **state)
{
	struct fixture *f = *state;

	a_file(f, 0, "/var/log/shop/one.log", "active", 9 << 20, 9 << 20, 0);
	f->s.file_count = 1;
	assert_golden(f, "ships", &(struct status_view){ .width = 100 });
}

static void an_outage_is_told_with_reasons_and_what_is_left(void **state)
{
	in_an_outage(*state);
	assert_golden(*state, "outage", &(struct status_view){ .width = 80 });
}

static void a_terminal_gets_colors(void **state)
{
	in_an_outage(*state);
	assert_golden(*state, "colors", &(struct status_view){ .width = 80, .color = true });
}

static void of_many_files_the_most_lagging_are_shown(void **state)
{
	with_many_files(*state);
	assert_golden(*state, "many", &(struct status_view){ .width = 80 });
}

static void all_files_are_shown_when_asked_for(void **state)
{
	struct fixture *f = *state;
	size_t lines = 0;

	with_many_files(f);
	status_write_text(&f->s, &(struct status_view){ .all = true }, &f->out);
	for (const char *p = f->out.data; (p = strstr(p, "/var/log/shop/")); p++)
		lines++;
	assert_int_equal(lines, 300);
}

static void without_an_agent_that_is_said(void **state)
{
	struct fixture *f = *state;

	f->s.state = "stopped";
	f->s.pid = 0;
	f->s.producer = (struct producer_stat){ 0 };
	f->s.history = NULL;
	assert_golden(f, "stopped", &(struct status_view){ .width = 100 });
}

static void since_when_is_not_said_of_what_is_not_known(void **state)
{
	struct fixture *f = *state;

	f->s.pid = 0;
	a_file(f, 0, "/x.log", "waiting", 10, 0, 0);
	f->s.file_count = 1;
	status_write_text(&f->s, &(struct status_view){ .width = 100 }, &f->out);
	assert_non_null(strstr(f->out.data, "10 B    -  /x.log"));
}

static void a_reason_stands_once_for_all_partitions_of_its_topic(void **state)
{
	struct fixture *f = *state;
	char *first;

	in_an_outage(f);
	f->lanes[0] = f->lanes[1];
	f->lanes[0].partition = 7;
	status_write_text(&f->s, &(struct status_view){ .width = 100 }, &f->out);
	first = strstr(f->out.data, "! audit: TOPIC_AUTHORIZATION_FAILED\n");
	assert_non_null(first);
	assert_null(strstr(first + 1, "! audit: "));
}

static void every_line_fits_the_width_and_no_escape_is_there_without_colors(void **state)
{
	struct fixture *f = *state;

	in_an_outage(f);
	a_file(f, 1, "/v/\033[2J\xc2\x9b" "31m\xe2\x80\xae" "gol.\xff\r\n", "active", 1, 1, 0);
	status_write_text(&f->s, &(struct status_view){ .width = 64 }, &f->out);
	assert_null(strpbrk(f->out.data, "\033\r\x9b\xff"));
	assert_non_null(strstr(f->out.data, "gol.\\xff\\x0d\\x0a\n"));
	for (const char *p = f->out.data; *p; p += strcspn(p, "\n") + 1)
		if (words_columns(p, strcspn(p, "\n")) > 64)
			fail_msg("a line is too wide: %.*s", (int)strcspn(p, "\n"), p);
}

static void the_end_of_a_path_is_kept_when_it_is_cut(void **state)
{
	struct fixture *f = *state;

	a_file(f, 0, "/var/log/shop/a-long-one/x.log", "active", 1, 1, 0);
	f->s.file_count = 1;
	status_write_text(&f->s, &(struct status_view){ .width = 44 }, &f->out);
	assert_non_null(strstr(f->out.data, "…"));
	assert_non_null(strstr(f->out.data, "x.log\n"));
}

/* --- JSON --- */

static double number(const json_t *o, const char *k)
{
	assert_true(json_is_number(json_object_get(o, k)));
	return json_number_value(json_object_get(o, k));
}

static json_t *as_json(struct fixture *f, enum status_what what)
{
	json_t *v;

	buf_clear(&f->out);
	status_write(&f->s, what, true, &f->out);
	assert_false(f->out.failed);
	v = json_loadb(f->out.data, f->out.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(v);
	return v;
}

static void programs_get_lag_rates_and_what_is_to_come(void **state)
{
	struct fixture *f = *state;
	json_t *v, *file;

	in_an_outage(f);
	v = as_json(f, STATUS_ALL);
	file = json_array_get(json_object_get(json_array_get(json_object_get(v, "inputs"), 1), "files"), 0);
	assert_true(number(file, "lag_s") == 4000);
	assert_true(number(file, "lag_bytes") == 688 << 20);
	assert_true(number(json_object_get(v, "rates"), "window_s") == 60);
	assert_true(number(json_object_get(v, "rates"), "read") == 5321.4);
	assert_true(number(json_object_get(v, "spool"), "full_in_s") == 12000);
	assert_true(json_is_null(json_object_get(json_object_get(v, "spool"), "drained_in_s")));
	assert_true(number(json_object_get(v, "spool"), "oldest_s") == 720);
	assert_null(json_object_get(v, "history"));
	json_decref(v);
	f->s.rates.seconds = 0;
	v = as_json(f, STATUS_ALL);
	assert_true(json_is_null(json_object_get(v, "rates")));
	json_decref(v);
}

static void five_minutes_of_rates_take_less_than_10_kib(void **state)
{
	struct fixture *f = *state;
	const json_t *h;
	size_t without;
	json_t *v;

	for (uint64_t i = 0; i < 400; i++)
		history_add(&f->history, &(struct history_sample){ .ms = (int64_t)i * 1000, .read = i * 99999, .acked = i * 88888,
			.read_bytes = i * 99999999, .spool_bytes = i << 20 });
	json_decref(as_json(f, STATUS_ALL));
	without = f->out.len;
	v = as_json(f, STATUS_HISTORY);
	assert_in_range(f->out.len - without, 1000, 10240);
	h = json_object_get(v, "history");
	assert_int_equal(json_array_size(json_object_get(h, "read")), 300);
	assert_int_equal(json_array_size(json_object_get(h, "spool_bytes")), 300);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(h, "read"), 299)), 99999);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(h, "acked"), 0)), 88888);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(h, "spool_bytes"), 299)), 399 << 20);
	json_decref(v);
}

/* --- words --- */

static void sizes_times_and_counts_are_short(void **state)
{
	char b[WORDS_MAX];

	(void)state;
	assert_string_equal(words_size(b, 0), "0 B");
	assert_string_equal(words_size(b, 1023), "1023 B");
	assert_string_equal(words_size(b, 1023.7), "1.0 KiB");
	assert_string_equal(words_size(b, 1024 * 1024 - 1), "1.0 MiB");
	assert_string_equal(words_size(b, -1536), "-1.5 KiB");
	assert_string_equal(words_time(b, 0.44), "0.4 s");
	assert_string_equal(words_time(b, 9.96), "10 s");
	assert_string_equal(words_time(b, 119), "119 s");
	assert_string_equal(words_time(b, 12000), "3 h 20 min");
	assert_string_equal(words_time(b, 200000), "2 d 7 h");
	assert_string_equal(words_time(b, 1e30), "11574074074 d 1 h");
	assert_string_equal(words_count(b, 0), "0");
	assert_string_equal(words_count(b, 123), "123");
	assert_string_equal(words_count(b, 1234567), "1,234,567");
	assert_string_equal(words_count(b, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void words_are_wrapped_at_blanks(void **state)
{
	struct buf o;

	(void)state;
	buf_init(&o, 1000);
	words_wrap(&o, "one two three four", 12, 4, 2);
	assert_string_equal(o.data, "one two\n  three four\n");
	buf_clear(&o);
	words_wrap(&o, "", 12, 4, 2);
	assert_string_equal(o.data, "\n");
	buf_clear(&o);
	words_wrap(&o, "lasts 12 min, aaaaaaaaaaaaaaaa", 10, 0, 2);
	assert_string_equal(o.data, "lasts\n  12 min,\n  aaaaaaaa\n  aaaaaaaa\n");
	buf_release(&o);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(a_service_that_ships_is_short),
	T(an_outage_is_told_with_reasons_and_what_is_left),
	T(a_terminal_gets_colors),
	T(of_many_files_the_most_lagging_are_shown),
	T(all_files_are_shown_when_asked_for),
	T(without_an_agent_that_is_said),
	T(since_when_is_not_said_of_what_is_not_known),
	T(a_reason_stands_once_for_all_partitions_of_its_topic),
	T(every_line_fits_the_width_and_no_escape_is_there_without_colors),
	T(the_end_of_a_path_is_kept_when_it_is_cut),
	T(programs_get_lag_rates_and_what_is_to_come),
	T(five_minutes_of_rates_take_less_than_10_kib),
	cmocka_unit_test(sizes_times_and_counts_are_short),
	cmocka_unit_test(words_are_wrapped_at_blanks),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

/* test_tail_recipe.c - lines that interceptors and serializers change, drop or refuse, and their batches built again. */
#include "tests/lib/tail_fixture.h"

#include "agent/record/line.h"

#define HEADER "{\"header\":{\"name\":\"dc\",\"value\":\"eu1\"}}"
#define REDACT "{\"redact\":{\"pattern\":\"[0-9]{4}\",\"with\":\"****\"}}"
#define DROP   "{\"drop\":{\"pattern\":\"^DEBUG\"}}"
#define RENAME "{\"rename\":{\"topic\":\"t-first\",\"to\":\"other\"}}"

static const char all_four[] = "{\"interceptors\":[" HEADER "," REDACT "," DROP "," RENAME "]}";

static bool has_filtered(struct producer *p, void *arg)
{
	return p->filtered >= *(uint64_t *)arg;
}

static void expect_filtered(struct fixture *f, uint64_t n)
{
	assert_true(double_wait(f->p, has_filtered, &n));
	assert_int_equal(f->p->filtered, n);
}

static void lines_get_headers_and_are_redacted(void **state)
{
	struct fixture *f = *state;

	f->spec = "{\"interceptors\":[" HEADER "," REDACT "]}";
	append(f, "a.log", "pin 1234\nnone\n");
	start(f);
	expect(f, "<pin ****><none>");
	check_ranges(f->p, 1, 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(f->p->records[i].header_count, 1);
		assert_string_equal(f->p->records[i].headers[0].name, "dc");
		assert_memory_equal(f->p->records[i].headers[0].value, "eu1", 3);
	}
}

static void dropped_lines_join_the_range_of_the_record_behind_them(void **state)
{
	struct fixture *f = *state;
	const struct source_range *s;

	f->spec = "{\"interceptors\":[" DROP "]}";
	append(f, "a.log", "DEBUG 1\nDEBUG 2\none\ntwo\nDEBUG 3\nthree\n");
	start(f);
	expect(f, "<one><two><three>");
	check_ranges(f->p, 1, 0);
	s = &f->p->records[0].source;
	assert_true(s->from == 0 && s->to == 20 && s->count == 1 && s->filtered == 2);
	assert_int_equal(f->p->records[1].source.filtered, 0);
	assert_int_equal(f->p->records[2].source.filtered, 1);
	assert_int_equal(f->p->finished_count, 0);
	expect_filtered(f, 3);
}

static void dropped_lines_with_no_record_behind_them_are_finished_at_once(void **state)
{
	struct fixture *f = *state;
	const struct spool_range *r;

	f->spec = "{\"interceptors\":[" DROP "]}";
	append(f, "a.log", "one\nDEBUG 1\nDEBUG 2\n");
	start(f);
	expect(f, "<one>");
	expect_filtered(f, 2);
	/* A slow machine takes more than a turn for them. */
	r = &f->p->finished[f->p->finished_count - 1];
	assert_true(r->file_id == 1 && f->p->finished[0].from == 4 && r->to == 20 && r->count == 0);
	append(f, "a.log", "DEBUG 3\ntwo\n");
	expect(f, "<one><two>");
	assert_true(f->p->records[1].source.from == 20 && f->p->records[1].source.filtered == 1);
	expect_filtered(f, 3);
}

static void dropped_lines_before_a_record_that_finds_no_memory_are_counted_once(void **state)
{
	struct fixture *f = *state;

	f->spec = "{\"interceptors\":[" DROP "]}";
	double_dry(f->p, true);
	append(f, "a.log", "DEBUG 1\none\nDEBUG 2\ntwo\n");
	start(f);
	expect_refusal(f);
	expect_refusal(f);
	double_dry(f->p, false);
	expect(f, "<one><two>");
	expect_filtered(f, 2);
	assert_int_equal(f->p->records[0].source.from, f->p->finished[0].to);
}

static void a_renamed_topic_decides_the_lane_and_is_the_only_one(void **state)
{
	struct fixture *f = *state;

	f->spec = all_four;
	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	assert_string_equal(f->p->records[0].lane->topic, "other");
	assert_int_equal(f->p->lane_count, 1);
	assert_string_equal(f->p->routes[0].topic, "t-first");
}

static void max_lanes_holds_for_renamed_topics_too(void **state)
{
	struct fixture *f = *state;
	size_t n = 2;

	f->spec = "{\"interceptors\":[{\"rename\":{\"topic\":\"a.log\",\"to\":\"x\"}},"
		  "{\"rename\":{\"topic\":\"b.log\",\"to\":\"x\"}}]}";
	f->in[0].topic = (char *)"%{file}";
	f->conf.max_lanes = 1;
	append(f, "a.log", "one\n");
	append(f, "b.log", "two\n");
	append(f, "c.log", "three\n");
	start(f);
	expect_file(f, "c.log", "failed", NULL);
	expect_file(f, "a.log", "active", NULL);
	expect_file(f, "b.log", "active", NULL);
	assert_true(double_wait(f->p, has_records, &n));
	assert_int_equal(f->p->lane_count, 1);
}

static void a_topic_that_is_renamed_to_no_topic_holds_its_file(void **state)
{
	struct fixture *f = *state;

	f->spec = "{\"interceptors\":[{\"rename\":{\"topic\":\"t-first\",\"to\":\"a b\"}}]}";
	append(f, "a.log", "one\n");
	start(f);
	expect_file(f, "a.log", "failed", NULL);
}

static void values_are_what_their_serializer_makes_of_the_text(void **state)
{
	struct fixture *f = *state;
	size_t n = 2;

	f->spec = "{\"value\":\"integer\"}";
	append(f, "a.log", "1\n-2\n");
	start(f);
	assert_true(double_wait(f->p, has_records, &n));
	assert_int_equal(f->p->records[0].n, 4);
	assert_memory_equal(f->p->records[0].value, "\0\0\0\1", 4);
	assert_memory_equal(f->p->records[1].value, "\xff\xff\xff\xfe", 4);
}

static void a_key_is_serialized_once_for_its_file(void **state)
{
	struct fixture *f = *state;
	size_t n = 1;

	f->key_serializer = "long";
	f->in[0].key = (char *)"258";
	append(f, "a.log", "one\n");
	start(f);
	assert_true(double_wait(f->p, has_records, &n));
	assert_int_equal(f->p->routes[0].key_len, 8);
	assert_memory_equal(f->p->routes[0].key, "\0\0\0\0\0\0\1\2", 8);
}

static void a_key_that_its_serializer_refuses_holds_the_file_and_says_why(void **state)
{
	struct fixture *f = *state;
	char *why;

	f->key_serializer = "uuid";
	f->in[0].key = (char *)"%{file}";
	append(f, "a.log", "one\n");
	start(f);
	expect_file(f, "a.log", "failed", NULL);
	why = tail_reasons(f->t);
	assert_non_null(strstr(why, "the key is not what key.serializer takes"));
	mem_free(why);
	assert_int_equal(f->p->record_count, 0);
}

/* --- refused --- */

static bool has_rejected(struct producer *p, void *arg)
{
	return p->rejected_count >= *(size_t *)arg;
}

static void lines_that_a_serializer_refuses_are_set_aside_with_their_own_range(void **state)
{
	struct fixture *f = *state;
	const struct double_rejected *r = &f->p->rejected[0];
	size_t n = 2;

	f->spec = "{\"interceptors\":[" HEADER "," REDACT "," DROP "],\"value\":\"json\"}";
	append(f, "a.log", "{}\nDEBUG 1\n{\"pin\":1234\n[1]\n\n");
	start(f);
	assert_true(double_wait(f->p, has_rejected, &n));
	expect(f, "<{}><[1]>");
	assert_int_equal(r->code, PRODUCER_ERR_SERIALIZATION);
	assert_non_null(strstr(r->why, "not JSON"));
	assert_string_equal(r->topic, "t-first");
	assert_true(r->range.from == 11 && r->range.to == 23 && r->range.count == 1 && r->range.filtered == 0);
	assert_non_null(memmem(r->bytes, r->size, "{\"pin\":****", 11));
	assert_non_null(memmem(r->bytes, r->size, "eu1", 3));
	assert_null(memmem(r->bytes, r->size, "1234", 4));
	assert_true(f->p->finished[0].from == 3 && f->p->finished[0].to == 11 && f->p->finished[0].filtered == 1);
	assert_true(f->p->records[1].source.from == 23);
	assert_true(f->p->rejected[1].range.from == 27 && f->p->rejected[1].range.to == 28);
	assert_int_equal(f->p->run_records, 2);
}

static void set_rejected_rc(struct fixture *f, int rc)
{
	pthread_mutex_lock(&f->p->mu);
	f->p->rejected_rc = rc;
	pthread_mutex_unlock(&f->p->mu);
}

static void a_refused_line_waits_while_others_are_not_recorded(void **state)
{
	struct fixture *f = *state;
	size_t n = 1;

	f->spec = "{\"value\":\"uuid\"}";
	set_rejected_rc(f, ERR_AGAIN);
	append(f, "a.log", "no\n550e8400-e29b-41d4-a716-446655440000\n");
	start(f);
	expect_refusal(f);
	expect_refusal(f);
	assert_int_equal(f->p->record_count, 0);
	set_rejected_rc(f, 0);
	assert_true(double_wait(f->p, has_rejected, &n));
	expect(f, "<550e8400-e29b-41d4-a716-446655440000>");
}

static void a_refused_line_without_room_holds_its_file_and_says_where(void **state)
{
	struct fixture *f = *state;
	size_t n = 1;
	char *why;

	f->spec = "{\"value\":\"double\"}";
	f->reconcile = 20;
	set_rejected_rc(f, ERR_SPOOL_FULL);
	append(f, "a.log", "x1\n");
	start(f);
	expect_file(f, "a.log", "waiting", NULL);
	why = tail_reasons(f->t);
	assert_non_null(strstr(why, "the line at offset 0 is not what value.serializer takes, no room to set it aside"));
	mem_free(why);
	set_rejected_rc(f, 0);
	assert_true(double_wait(f->p, has_rejected, &n));
}

/* --- built again --- */

/* Takes the batch's bytes away and has them built again. */
static void expect_rebuilt(struct fixture *f, struct batch *b)
{
	uint32_t bytes = b->bytes;
	uint8_t *first = malloc(bytes);
	int n = f->p->loaded + 1;

	assert_non_null(first);
	assert_true(bytes <= b->chunks->used);
	memcpy(first, b->chunks->data, bytes);
	batch_drop_bytes(b, f->p->budget);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	assert_int_equal(b->bytes, bytes);
	assert_memory_equal(b->chunks->data, first, bytes);
	free(first);
}

static void a_batch_of_changed_and_dropped_lines_is_built_again(void **state)
{
	struct fixture *f = *state;
	struct batch *b;

	f->spec = all_four;
	f->in[0].key = (char *)"%{file}";
	append(f, "a.log", "DEBUG 0\npin 1234\nDEBUG 1\n\nlast 5678\n");
	append(f, "b.log", "DEBUG only\n");
	start(f);
	expect(f, "<pin ****><><last ****>");
	b = batch_of_records(f, 0, 3);
	assert_int_equal(b->range_count, 1);
	assert_int_equal(b->ranges[0].filtered, 2);
	expect_rebuilt(f, b);
	batch_free(b, f->p->budget);
}

static void dropped_lines_at_the_end_of_a_range_make_no_record_either(void **state)
{
	struct fixture *f = *state;
	struct batch *b;

	f->spec = all_four;
	append(f, "a.log", "DEBUG 0\none\nDEBUG 1\n");
	start(f);
	expect(f, "<one>");
	expect_filtered(f, 2);
	b = batch_of_records(f, 0, 1);
	b->ranges[0].to = 20;
	b->ranges[0].filtered = 2;
	expect_rebuilt(f, b);
	batch_free(b, f->p->budget);
}

/* Goal: what was in flight is resent as it was made. Method: the thread ends, another with other interceptors begins. */
static void a_batch_is_built_again_by_the_recipe_of_its_time(void **state)
{
	struct fixture *f = *state;
	struct batch *b;

	f->spec = all_four;
	append(f, "a.log", "DEBUG 0\npin 1234\nlast\n");
	start(f);
	expect(f, "<pin ****><last>");
	b = batch_of_records(f, 0, 2);
	stop(f);
	f->spec = "{\"interceptors\":[{\"redact\":{\"pattern\":\"pin\",\"with\":\"PIN\"}}]}";
	remember(f, 0, "a.log", 1, 22);
	start(f);
	expect_rebuilt(f, b);
	append(f, "a.log", "pin 1234\n");
	expect(f, "<pin ****><last><PIN 1234>");
	assert_int_equal(f->p->route_count, 2);
	batch_free(b, f->p->budget);
}

static void a_recipe_that_is_not_understood_keeps_its_batches_waiting(void **state)
{
	struct fixture *f = *state;
	struct batch *b;
	int n = 1;

	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	b = batch_of_records(f, 0, 1);
	stop(f);
	free((char *)f->p->routes[0].spec);
	f->p->routes[0].spec = strdup("{\"later\":1}");
	remember(f, 0, "a.log", 1, 4);
	start(f);
	batch_drop_bytes(b, f->p->budget);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, ERR_CONFIG);
	assert_true(batch_absent(b));
	batch_free(b, f->p->budget);
}

/* --- a random life --- */

/* Goal: however memory comes and goes, each line is a record or counted as filtered, once, and ranges touch. */
static void a_random_life_drops_and_keeps_each_line_once(void **state)
{
	struct fixture *f = *state;
	size_t kept = 0, dropped = 0;
	int64_t at = 0;

	f->spec = "{\"interceptors\":[" DROP "]}";
	srandom(7);
	start(f);
	for (int i = 0; i < 300; i++) {
		char line[64];
		bool drop = random() % 3 == 0;

		if (random() % 20 == 0)
			double_dry(f->p, random() % 2);
		snprintf(line, sizeof line, "%s%d\n", drop ? "DEBUG " : "", i);
		append(f, "a.log", line);
		kept += !drop;
		dropped += drop;
	}
	double_dry(f->p, false);
	assert_true(double_wait(f->p, has_records, &kept));
	expect_filtered(f, dropped);
	assert_int_equal(f->p->record_count, kept);
	for (size_t i = 0, k = 0; i < kept; i++) {
		const struct source_range *s = &f->p->records[i].source;

		while (s->from > at && k < f->p->finished_count)
			at = f->p->finished[k].from == at ? f->p->finished[k++].to : at + !++k;
		assert_int_equal(s->from, at);
		at = s->to;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(lines_get_headers_and_are_redacted),
	TEST(dropped_lines_join_the_range_of_the_record_behind_them),
	TEST(dropped_lines_with_no_record_behind_them_are_finished_at_once),
	TEST(dropped_lines_before_a_record_that_finds_no_memory_are_counted_once),
	TEST(a_renamed_topic_decides_the_lane_and_is_the_only_one),
	TEST(max_lanes_holds_for_renamed_topics_too),
	TEST(a_topic_that_is_renamed_to_no_topic_holds_its_file),
	TEST(values_are_what_their_serializer_makes_of_the_text),
	TEST(a_key_is_serialized_once_for_its_file),
	TEST(a_key_that_its_serializer_refuses_holds_the_file_and_says_why),
	TEST(lines_that_a_serializer_refuses_are_set_aside_with_their_own_range),
	TEST(a_refused_line_waits_while_others_are_not_recorded),
	TEST(a_refused_line_without_room_holds_its_file_and_says_where),
	TEST(a_batch_of_changed_and_dropped_lines_is_built_again),
	TEST(dropped_lines_at_the_end_of_a_range_make_no_record_either),
	TEST(a_batch_is_built_again_by_the_recipe_of_its_time),
	TEST(a_recipe_that_is_not_understood_keeps_its_batches_waiting),
	TEST(a_random_life_drops_and_keeps_each_line_once),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

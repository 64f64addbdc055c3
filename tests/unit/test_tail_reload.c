/* test_tail_reload.c - another configuration under the real tail thread: which files go on how, and what holds them. */
#include "tests/lib/tail_fixture.h"

struct other {
	struct conf conf;
	struct conf_input in[2];
	char *paths[2];
	const char *specs[2];
	size_t was[2];
	int last_rc;
};

static void other_init(struct fixture *f, struct other *o, const char *path, const char *topic)
{
	*o = (struct other){ .conf = f->conf, .specs = { "", "" }, .was = { SIZE_MAX, SIZE_MAX } };
	o->in[0] = f->in[0];
	o->in[1] = f->in[1];
	o->paths[0] = (char *)at(f, path);
	o->in[0].paths.v = &o->paths[0];
	o->in[0].topic = (char *)topic;
	o->conf.inputs = o->in;
}

static int last(void *arg, struct err *ret_err)
{
	const struct other *o = arg;

	return o->last_rc < 0 ? err_set(ret_err, o->last_rc, "the last thing failed") : 0;
}

static int reload_to(struct fixture *f, struct other *o, struct err *e)
{
	struct tail_change c = { .conf = &o->conf, .specs = o->specs, .was = o->was, .last = last, .last_arg = o };

	return tail_reload(f->t, &c, e);
}

static void expect_reload(struct fixture *f, struct other *o)
{
	struct err e = { 0 };

	if (reload_to(f, o, &e) < 0)
		fail_msg("%s", e.text);
}

static const char *topic_of(struct fixture *f, size_t i)
{
	const char *topic = NULL;

	pthread_mutex_lock(&f->p->mu);
	if (i < f->p->record_count)
		topic = lane_topic(f->p->records[i].lane);
	pthread_mutex_unlock(&f->p->mu);
	assert_non_null(topic);
	return topic;
}

static int descriptor_of(struct fixture *f, const char *name)
{
	const struct file *file = files_by_path(f->t, at(f, name));

	return file ? file->fd : -1;
}

static void start_with_line(struct fixture *f)
{
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
}

static void files_of_an_input_that_says_the_same_are_not_touched(void **state)
{
	struct fixture *f = *state;
	struct other o;
	int fd;

	start_with_line(f);
	fd = descriptor_of(f, "a.log");
	other_init(f, &o, "*.log", "t-%{input}");
	o.was[0] = 0;
	expect_reload(f, &o);
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	assert_int_equal(descriptor_of(f, "a.log"), fd);
	assert_string_equal(topic_of(f, 1), "t-first");
	check_ranges(f->p, 1, 0);
	stop(f);
}

static void a_changed_topic_begins_at_the_next_line_and_the_file_stays_open(void **state)
{
	struct fixture *f = *state;
	struct other o;
	int fd;

	start_with_line(f);
	fd = descriptor_of(f, "a.log");
	other_init(f, &o, "*.log", "new");
	expect_reload(f, &o);
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	assert_int_equal(descriptor_of(f, "a.log"), fd);
	assert_string_equal(topic_of(f, 0), "t-first");
	assert_string_equal(topic_of(f, 1), "new");
	check_ranges(f->p, 1, 0);
	stop(f);
}

static void nothing_is_read_by_the_new_route_before_what_is_below_is_finished(void **state)
{
	struct fixture *f = *state;
	struct other o;

	f->p->safe_is_read = false;
	start_with_line(f);
	other_init(f, &o, "*.log", "new");
	expect_reload(f, &o);
	append(f, "a.log", "2\n");
	append(f, "b.log", "other\n");
	expect(f, "<1><other>");		/* b came later, and has had its turn */
	expect_file(f, "a.log", "active", NULL);
	expect(f, "<1><other>");
	pthread_mutex_lock(&f->p->mu);
	f->p->safe_is_read = true;
	pthread_mutex_unlock(&f->p->mu);
	expect(f, "<1><other><2>");
	stop(f);
}

static void a_file_without_an_input_is_read_on_where_it_was_when_one_has_it_again(void **state)
{
	struct fixture *f = *state;
	struct other none, again;

	start_with_line(f);
	other_init(f, &none, "*.other", "t-%{input}");
	expect_reload(f, &none);
	append(f, "a.log", "2\n");
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until && file_is(f, "a.log", "active", NULL);)
		;
	assert_false(file_is(f, "a.log", "active", NULL));
	expect(f, "<1>");
	other_init(f, &again, "*.log", "t-%{input}");
	expect_reload(f, &again);
	expect(f, "<1><2>");
	check_ranges(f->p, 1, 0);
	stop(f);
}

static void a_removed_file_stays_open_until_all_of_it_is_finished(void **state)
{
	struct fixture *f = *state;
	struct other none, again;
	int fd;

	f->p->safe_is_read = false;
	start_with_line(f);
	fd = descriptor_of(f, "a.log");
	other_init(f, &none, "*.other", "t-%{input}");
	expect_reload(f, &none);
	append(f, "a.log", "2\n");
	assert_true(file_is(f, "a.log", "active", NULL));
	assert_int_equal(descriptor_of(f, "a.log"), fd);
	assert_true(tail_file_vanishing(f->t, 1));
	other_init(f, &again, "*.log", "t-%{input}");
	expect_reload(f, &again);
	expect(f, "<1><2>");
	assert_int_equal(descriptor_of(f, "a.log"), fd);
	check_ranges(f->p, 1, 0);
	stop(f);
}

static void what_fails_last_leaves_everything_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct other o;
	struct err e = { 0 };

	start_with_line(f);
	other_init(f, &o, "*.log", "new");
	o.last_rc = ERR_CONFIG;
	assert_int_equal(reload_to(f, &o, &e), ERR_CONFIG);
	assert_string_equal(e.text, "the last thing failed");
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	assert_string_equal(topic_of(f, 1), "t-first");
	stop(f);
}

static void a_file_that_would_have_no_topic_refuses_the_whole(void **state)
{
	struct fixture *f = *state;
	struct other o;
	struct err e = { 0 };

	append(f, "a b.log", "1\n");
	start(f);
	expect(f, "<1>");
	other_init(f, &o, "*.log", "%{file}");
	o.in[0].topic = (char *)"..";
	assert_int_equal(reload_to(f, &o, &e), ERR_BAD_DATA);
	assert_non_null(strstr(e.text, "its name makes no legal topic"));
	append(f, "a b.log", "2\n");
	expect(f, "<1><2>");
	assert_string_equal(topic_of(f, 1), "t-first");
	stop(f);
}

static void the_successor_of_a_removed_file_does_not_wait_for_it(void **state)
{
	struct fixture *f = *state;
	struct other o;

	start_with_line(f);
	double_dry(f->p, true);
	append(f, "a.log", "old\n");
	expect_refusal(f);
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "new\n");
	expect_file(f, "a.log.1", "rotated", NULL);
	expect_seen(f, "a.log");
	other_init(f, &o, "*.other", "t-%{input}");
	expect_reload(f, &o);
	double_dry(f->p, false);
	other_init(f, &o, "a.log", "t-%{input}");
	expect_reload(f, &o);
	expect(f, "<1><old><new>");
	stop(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(files_of_an_input_that_says_the_same_are_not_touched, setup, teardown),
	cmocka_unit_test_setup_teardown(a_changed_topic_begins_at_the_next_line_and_the_file_stays_open, setup, teardown),
	cmocka_unit_test_setup_teardown(nothing_is_read_by_the_new_route_before_what_is_below_is_finished, setup, teardown),
	cmocka_unit_test_setup_teardown(a_file_without_an_input_is_read_on_where_it_was_when_one_has_it_again, setup, teardown),
	cmocka_unit_test_setup_teardown(a_removed_file_stays_open_until_all_of_it_is_finished, setup, teardown),
	cmocka_unit_test_setup_teardown(what_fails_last_leaves_everything_as_it_was, setup, teardown),
	cmocka_unit_test_setup_teardown(a_file_that_would_have_no_topic_refuses_the_whole, setup, teardown),
	cmocka_unit_test_setup_teardown(the_successor_of_a_removed_file_does_not_wait_for_it, setup, teardown),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

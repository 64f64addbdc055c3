/* test_tail_reload.c - another configuration under the real tail thread: which files go on how, and what holds them. */
#include <unistd.h>

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

static void a_file_that_gets_no_topic_waits_as_after_a_restart_and_the_others_go_on(void **state)
{
	struct fixture *f = *state;
	struct other o, good;

	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	append(f, "b.log", "x\n");
	expect(f, "<1><x>");
	other_init(f, &o, "a.log", "..");
	o.paths[1] = (char *)at(f, "b.log");
	o.in[1].paths.v = &o.paths[1];
	o.in[1].topic = (char *)"new";
	o.conf.input_count = 2;
	expect_reload(f, &o);
	append(f, "a.log", "2\n");
	append(f, "b.log", "y\n");
	expect(f, "<1><x><y>");
	assert_string_equal(topic_of(f, 2), "new");
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until && !file_is(f, "a.log", "failed", NULL);)
		expect_reload(f, &o);		/* it walks */
	expect_file(f, "a.log", "failed", NULL);
	other_init(f, &good, "*.log", "good");
	expect_reload(f, &good);
	expect(f, "<1><x><y><2>");
	assert_string_equal(topic_of(f, 3), "good");
	check_ranges(f->p, 1, 0);
	stop(f);
}

static void a_file_that_got_no_topic_goes_on_where_it_was_before_it_was_closed(void **state)
{
	struct fixture *f = *state;
	struct other o, good;
	int fd;

	f->p->safe_is_read = false;
	start_with_line(f);
	fd = descriptor_of(f, "a.log");
	other_init(f, &o, "*.log", "..");
	expect_reload(f, &o);
	append(f, "a.log", "2\n");
	append(f, "b.log", "");
	expect_file(f, "b.log", "failed", NULL);
	assert_int_equal(descriptor_of(f, "a.log"), fd);
	expect(f, "<1>");
	other_init(f, &good, "*.log", "t-%{input}");
	expect_reload(f, &good);
	expect(f, "<1><2>");
	check_ranges(f->p, 1, 0);
	stop(f);
}

static void the_successor_of_a_removed_file_does_not_wait_for_it(void **state)
{
	struct fixture *f = *state;
	struct other o, again;

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
	other_init(f, &again, "a.log", "t-%{input}");
	expect_reload(f, &again);
	expect(f, "<1><old><new>");
	stop(f);
}

static void what_was_renamed_in_a_directory_that_comes_is_found_and_read_on(void **state)
{
	struct fixture *f = *state;
	struct other o;

	assert_int_equal(mkdir(at(f, "sub"), 0755), 0);
	append(f, "sub/x.log", "1\n2\n");
	remember(f, 0, "sub/x.log", 7, 2);
	f->known_count = 1;
	f->next_id = 8;
	move(f, "sub/x.log", "sub/x.log.1");
	append(f, "a.log", "a\n");
	start(f);
	expect(f, "<a>");
	other_init(f, &o, "sub/*.log", "new");
	expect_reload(f, &o);
	expect(f, "<a><2>");
	check_ranges(f->p, 7, 2);
	stop(f);
}

/* Whether it was refused or not, every line comes once, in order. */
static void without_memory_a_reload_is_refused_or_done_and_no_line_is_lost(void **state)
{
	struct fixture *f = *state;
	struct other o[2];
	struct err e = { 0 };
	int done = 0, refused = 0, rc;
	char line[24];

	start_with_line(f);
	for (long nth = 1; nth <= 150; nth++) {
		struct other *to = &o[done % 2];

		other_init(f, to, "*.log", done % 2 ? "one" : "two");
		mem_fail_nth(nth);
		rc = reload_to(f, to, &e);
		mem_fail_nth(0);
		if (rc < 0)
			assert_int_equal(rc, ERR_NOMEM);
		refused += rc < 0;
		done += rc == 0;
		snprintf(line, sizeof line, "%ld\n", nth);
		append(f, "a.log", line);
	}
	assert_true(refused > 5 && done > 5);
	other_init(f, &o[done % 2], "*.log", "last");
	expect_reload(f, &o[done % 2]);		/* it walks */
	assert_true(double_wait(f->p, has_records, &(size_t){ 151 }));
	check_ranges(f->p, 1, 0);
	assert_int_equal(f->p->record_count, 151);
	stop(f);
}

static void give_back(struct fixture *f, size_t record)
{
	struct batch *b = batch_of_records(f, record, record + 1);
	struct list l;

	list_init(&l);
	list_push_back(&l, &b->node);
	tail_unread(f->t, &f->p->lanes[0], &l, true);
}

static void finish_all(struct fixture *f)
{
	pthread_mutex_lock(&f->p->mu);
	f->p->safe_is_read = true;
	pthread_mutex_unlock(&f->p->mu);
}

static void who_waits_at_a_border_for_long_costs_little(void **state)
{
	struct fixture *f = *state;
	struct other o;
	int64_t began;
	uint64_t asked;

	f->p->safe_is_read = false;
	start_with_line(f);
	began = clock_mono_ms();
	other_init(f, &o, "*.log", "new");
	expect_reload(f, &o);
	append(f, "a.log", "2\n");
	while (clock_mono_ms() < began + 2000)
		usleep(100000);
	pthread_mutex_lock(&f->p->mu);
	asked = f->p->safe_asked;
	pthread_mutex_unlock(&f->p->mu);
	assert_true(asked < (uint64_t)(clock_mono_ms() - began) / 25);	/* looked at every 10 ms it would be 200 in two seconds */
	finish_all(f);
	expect(f, "<1><2>");
	stop(f);
}

static void what_memory_gives_back_below_a_border_waits_for_what_is_older(void **state)
{
	struct fixture *f = *state;
	struct other o;

	f->p->safe_is_read = false;
	append(f, "a.log", "1\n2\n");
	start(f);
	expect(f, "<1><2>");
	other_init(f, &o, "*.log", "new");
	expect_reload(f, &o);
	append(f, "a.log", "3\n");
	give_back(f, 1);
	append(f, "b.log", "other\n");
	expect(f, "<1><2><other>");		/* b came later, and has had its turn */
	expect_file(f, "a.log", "active", NULL);
	expect(f, "<1><2><other>");
	finish_all(f);
	expect(f, "<1><2><other><2><3>");
	stop(f);
}

static void the_successor_of_a_removed_file_does_not_wait_for_what_memory_gives_back_of_it(void **state)
{
	struct fixture *f = *state;
	struct other o;

	f->p->safe_is_read = false;
	snprintf(f->paths[0], 256, "%s/a.log*", f->dir);
	append(f, "a.log", "1\n2\n");
	start(f);
	expect(f, "<1><2>");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	expect(f, "<1><2><3>");
	other_init(f, &o, "a.log", "t-%{input}");
	expect_reload(f, &o);
	give_back(f, 0);			/* nobody reads it any more, "2" is still to be sent */
	append(f, "a.log", "4\n");
	expect(f, "<1><2><3><4>");
	finish_all(f);
	stop(f);
}

static void the_successor_of_a_removed_file_passes_a_border_that_memory_gave_back(void **state)
{
	struct fixture *f = *state;
	struct other o, fewer;

	f->p->safe_is_read = false;
	snprintf(f->paths[0], 256, "%s/a.log*", f->dir);
	append(f, "a.log", "1\n2\n");
	start(f);
	expect(f, "<1><2>");
	move(f, "a.log", "a.log.1");
	expect_file(f, "a.log.1", "active", NULL);
	other_init(f, &o, "a.log*", "new");
	expect_reload(f, &o);
	append(f, "a.log", "3\n");
	expect_seen(f, "a.log");
	other_init(f, &fewer, "a.log", "new");
	expect_reload(f, &fewer);
	give_back(f, 0);			/* "2" is still to be sent */
	expect(f, "<1><2><3>");
	stop(f);
}

static void the_successor_waits_for_lines_that_its_predecessor_has_in_memory(void **state)
{
	struct fixture *f = *state;
	struct other o, newer;

	f->p->safe_is_read = false;
	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	start_with_line(f);
	other_init(f, &o, "*.log*", "new");
	expect_reload(f, &o);
	append(f, "a.log", "2\n");
	expect_file(f, "a.log", "active", NULL);
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	other_init(f, &newer, "*.log*", "newer");
	expect_reload(f, &newer);
	append(f, "b.log", "other\n");
	expect(f, "<1><other>");
	expect_file(f, "a.log", "active", NULL);
	expect(f, "<1><other>");
	finish_all(f);
	expect(f, "<1><other><2><3>");
	stop(f);
}

static void a_third_generation_waits_too(void **state)
{
	struct fixture *f = *state;
	struct other o;

	f->p->safe_is_read = false;
	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	start_with_line(f);
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "");
	expect_seen(f, "a.log");
	move(f, "a.log", "a.log.2");
	append(f, "a.log", "3\n");
	expect(f, "<1><3>");
	other_init(f, &o, "*.log*", "newer");
	expect_reload(f, &o);
	append(f, "a.log", "4\n");
	move(f, "a.log", "a.log.3");
	append(f, "a.log", "5\n");
	append(f, "b.log", "other\n");
	expect(f, "<1><3><other>");
	expect_file(f, "a.log", "active", NULL);
	expect(f, "<1><3><other>");
	finish_all(f);
	expect(f, "<1><3><other><4><5>");
	stop(f);
}

static void expect_another(struct fixture *f, const char *name, int64_t *id)
{
	for (int64_t was = *id, until = clock_mono_ms() + 20000; *id == was;) {
		assert_true(clock_mono_ms() < until);
		expect_file(f, name, "active", id);
	}
}

static void generations_that_wait_at_a_border_keep_their_order_over_another_reload(void **state)
{
	struct fixture *f = *state;
	struct other o;
	int64_t id = 1;

	f->p->safe_is_read = false;
	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	start_with_line(f);
	other_init(f, &o, "*.log*", "new");
	expect_reload(f, &o);
	for (int i = 1; i < 4; i++) {
		char to[32], line[32];

		snprintf(to, sizeof to, "a.log.%d", i);		/* counted up, so names do not tell their age */
		snprintf(line, sizeof line, "%d\n", i + 1);
		append(f, "a.log", i == 1 ? "more\n" : "");
		move(f, "a.log", to);
		append(f, "a.log", line);
		expect_another(f, "a.log", &id);
	}
	o.was[0] = 0;
	expect_reload(f, &o);
	finish_all(f);
	expect(f, "<1><more><2><3><4>");
	stop(f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(generations_that_wait_at_a_border_keep_their_order_over_another_reload, setup, teardown),
	cmocka_unit_test_setup_teardown(the_successor_waits_for_lines_that_its_predecessor_has_in_memory, setup, teardown),
	cmocka_unit_test_setup_teardown(a_third_generation_waits_too, setup, teardown),
	cmocka_unit_test_setup_teardown(files_of_an_input_that_says_the_same_are_not_touched, setup, teardown),
	cmocka_unit_test_setup_teardown(a_changed_topic_begins_at_the_next_line_and_the_file_stays_open, setup, teardown),
	cmocka_unit_test_setup_teardown(nothing_is_read_by_the_new_route_before_what_is_below_is_finished, setup, teardown),
	cmocka_unit_test_setup_teardown(a_file_without_an_input_is_read_on_where_it_was_when_one_has_it_again, setup, teardown),
	cmocka_unit_test_setup_teardown(a_removed_file_stays_open_until_all_of_it_is_finished, setup, teardown),
	cmocka_unit_test_setup_teardown(what_fails_last_leaves_everything_as_it_was, setup, teardown),
	cmocka_unit_test_setup_teardown(a_file_that_gets_no_topic_waits_as_after_a_restart_and_the_others_go_on, setup, teardown),
	cmocka_unit_test_setup_teardown(a_file_that_got_no_topic_goes_on_where_it_was_before_it_was_closed, setup, teardown),
	cmocka_unit_test_setup_teardown(the_successor_of_a_removed_file_does_not_wait_for_it, setup, teardown),
	cmocka_unit_test_setup_teardown(what_was_renamed_in_a_directory_that_comes_is_found_and_read_on, setup, teardown),
	cmocka_unit_test_setup_teardown(without_memory_a_reload_is_refused_or_done_and_no_line_is_lost, setup, teardown),
	cmocka_unit_test_setup_teardown(who_waits_at_a_border_for_long_costs_little, setup, teardown),
	cmocka_unit_test_setup_teardown(what_memory_gives_back_below_a_border_waits_for_what_is_older, setup, teardown),
	cmocka_unit_test_setup_teardown(the_successor_of_a_removed_file_does_not_wait_for_what_memory_gives_back_of_it, setup,
					teardown),
	cmocka_unit_test_setup_teardown(the_successor_of_a_removed_file_passes_a_border_that_memory_gave_back, setup, teardown),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

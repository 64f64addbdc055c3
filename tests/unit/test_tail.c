/* test_tail.c - the real tail thread on real directories, with a producer that only remembers (lane_double.h).
 *
 * Times are short here (`pace`), but nothing waits for time to pass: each step waits for what it causes. The reconcile is
 * far away unless a test says otherwise, so what arrives, arrives by events.
 */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/tail/identity.h"
#include "agent/tail/tail_inside.h"
#include "tests/lib/tail_fixture.h"

/* --- discovery --- */

static bool has_counted(struct producer *p, void *arg)
{
	return p->run_records == *(uint64_t *)arg;
}

static void lines_that_are_there_and_lines_that_come_are_read_once(void **state)
{
	struct fixture *f = *state;
	uint64_t counted = 3;

	append(f, "a.log", "one\ntwo\n");
	start(f);
	expect(f, "<one><two>");
	append(f, "a.log", "three\n");
	expect(f, "<one><two><three>");
	check_ranges(f->p, 1, 0);
	assert_string_equal(f->p->records[0].lane->topic, "t-first");
	assert_true(f->p->records[0].key_null);
	assert_true(double_wait(f->p, has_counted, &counted));
}

static void a_file_that_appears_later_is_read_from_its_beginning(void **state)
{
	struct fixture *f = *state;

	start(f);
	append(f, "a.log", "one\n");
	expect(f, "<one>");
	append(f, "b.txt", "not ours\n");
	append(f, "b.tmp", "two\n");
	move(f, "b.tmp", "b.log");
	expect(f, "<one><two>");
}

static void directories_that_appear_later_are_searched(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/sub/**/*.log", f->dir);
	start(f);
	assert_int_equal(mkdir(at(f, "sub"), 0755), 0);
	append(f, "sub/a.log", "one\n");
	expect(f, "<one>");
	assert_int_equal(mkdir(at(f, "sub/x"), 0755), 0);
	assert_int_equal(mkdir(at(f, "sub/x/y"), 0755), 0);
	append(f, "sub/x/y/b.log", "two\n");
	expect(f, "<one><two>");
	append(f, "sub/x/y/b.log", "three\n");
	expect(f, "<one><two><three>");
	/* a prepared directory moved into place */
	assert_int_equal(mkdir(at(f, "ready"), 0755), 0);
	append(f, "ready/c.log", "four\n");
	move(f, "ready", "sub/ready");
	expect(f, "<one><two><three><four>");
}

static void read_from_end_holds_for_files_of_the_first_start_only(void **state)
{
	struct fixture *f = *state;

	f->in[0].read_from = CONF_READ_END;
	append(f, "a.log", "old\nunfinished");
	start(f);
	expect_file(f, "a.log", "active", NULL);
	append(f, "a.log", " line\n");
	expect(f, "<unfinished line>");
	assert_int_equal(f->p->files[0].safe, 4);
	append(f, "b.log", "new\n");
	expect(f, "<unfinished line><new>");
	check_ranges(f->p, 1, 4);
}

static void excluded_files_are_not_read_until_their_name_changes(void **state)
{
	struct fixture *f = *state;

	f->excludes[0] = (char *)"*debug*";
	f->in[0].exclude = (struct conf_strings){ f->excludes, 1 };
	append(f, "debug.log", "one\n");
	append(f, "a.log", "two\n");
	start(f);
	expect(f, "<two>");
	move(f, "debug.log", "b.log");
	expect(f, "<two><one>");
}

static void the_first_of_two_inputs_has_a_file_that_both_match(void **state)
{
	struct fixture *f = *state;

	f->conf.input_count = 2;
	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	assert_int_equal(link(at(f, "a.log"), at(f, "b.log")), 0);	/* a hard link is the same file */
	append(f, "c.log", "two\n");
	expect(f, "<one><two>");
	assert_string_equal(f->p->records[1].lane->topic, "t-first");
}

static void topic_and_key_are_templates_of_the_path(void **state)
{
	struct fixture *f = *state;

	f->in[0].topic = (char *)"x-%{file}";
	f->in[0].key = (char *)"%{host}/%{file}";
	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	assert_string_equal(f->p->records[0].lane->topic, "x-a.log");
	assert_string_equal(f->p->records[0].key, "host/a.log");
	assert_int_equal(f->p->route_count, 1);
	assert_int_equal(f->p->records[0].source.route, f->p->routes[0].id);
}

static void two_thousand_files_are_followed(void **state)
{
	struct fixture *f = *state;
	size_t n = 4000;
	char name[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "%d.log", i);
		append(f, name, "one\n");
	}
	start(f);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "%d.log", i);
		append(f, name, "two\n");
	}
	assert_true(double_wait(f->p, has_records, &n));
	assert_int_equal(f->p->record_count, n);
	assert_int_equal(f->p->file_count, 2000);
}

static void lost_events_are_made_good_by_a_walk(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	pause_thread(f);
	append(f, "a.log", "two\n");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "three\n");
	watch_overflow(f->t->watch);
	resume_thread(f);
	append(f, "zz-not-ours", "");		/* the kernel's overflow is an event too: it wakes */
	expect(f, "<one><two><three>");
}

static void without_watches_files_are_polled(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, low;

	/* No descriptor left for inotify. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	open_tail(f);
	watch_close(f->t->watch);
	low = (struct rlimit){ 1, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(watch_open(&f->t->watch), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(watch_fd(f->t->watch), -1);
	assert_int_equal(tail_start(f->t), 0);
	append(f, "a.log", "one\n");
	expect(f, "<one>");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "two\n");
	expect(f, "<one><two>");
}

static void a_file_that_cannot_be_opened_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, low;
	char *reasons;

	f->reconcile = 20;
	append(f, "a.log", "one\n");
	start(f);
	expect(f, "<one>");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	append(f, "b.tmp", "two\n");
	low = (struct rlimit){ 3, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	move(f, "b.tmp", "b.log");
	expect_file(f, "b.log", "failed", NULL);
	reasons = tail_reasons(f->t);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_non_null(strstr(reasons, "b.log"));
	mem_free(reasons);
	expect(f, "<one><two>");
	expect_file(f, "b.log", "active", NULL);
}

static void what_is_no_regular_file_is_left_alone_until_it_is_one(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(at(f, "a.log"), 0755), 0);
	assert_int_equal(mkfifo(at(f, "b.log"), 0644), 0);
	append(f, "target", "not by a link\n");
	assert_int_equal(symlink(at(f, "target"), at(f, "c.log")), 0);
	append(f, "d.log", "one\n");
	start(f);
	expect(f, "<one>");
	assert_int_equal(rmdir(at(f, "a.log")), 0);
	assert_int_equal(unlink(at(f, "b.log")), 0);
	append(f, "a.log", "two\n");
	expect(f, "<one><two>");
}

/* --- rotation --- */

static void every_generation_of_a_file_is_placed_by_the_path_it_began_at(void **state)
{
	struct fixture *f = *state;
	int old = open_log(f, "a.log"), new;

	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	put(old, "1\n");
	start(f);
	expect(f, "<1>");
	move(f, "a.log", "a.log.1");
	put(old, "2\n");
	expect(f, "<1><2>");
	new = open_log(f, "a.log");
	put(new, "3\n");
	expect(f, "<1><2><3>");
	for (int i = 0; i < 3; i++)
		assert_string_equal(f->p->records[i].place, at(f, "a.log"));
	close(old);
	close(new);
}

static void after_a_rename_both_files_are_followed(void **state)
{
	struct fixture *f = *state;
	int old = open_log(f, "a.log"), new;

	put(old, "1\n");
	start(f);
	expect(f, "<1>");
	move(f, "a.log", "a.log.1");
	put(old, "2\n");
	expect(f, "<1><2>");
	new = open_log(f, "a.log");
	put(new, "3\n");
	expect(f, "<1><2><3>");
	put(old, "4\n");
	expect(f, "<1><2><3><4>");
	put(new, "5\n");
	expect(f, "<1><2><3><4><5>");
	expect_row(f, 1, FILE_ROTATED, false);
	check_ranges(f->p, 1, 0);
	check_ranges(f->p, 2, 0);
	tail_stop(f->t);
	assert_true(tail_file_vanishing(f->t, 1));
	assert_false(tail_file_vanishing(f->t, 2));
	close(old);
	close(new);
}

static void several_rotations_between_two_looks_lose_no_generation(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	pause_thread(f);
	append(f, "a.log", "2\n");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	move(f, "a.log.1", "a.log.2");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "4\n");
	move(f, "a.log.2", "a.log.3");
	move(f, "a.log.1", "a.log.2");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "5\n");
	resume_thread(f);
	expect(f, "<1><2><3><4><5>");
	append(f, "a.log.2", "late\n");
	expect(f, "<1><2><3><4><5><late>");
}

/* The same where every rotated name matches too: only the first name says who follows whom. */
static void several_rotations_within_the_globs_keep_the_order_of_generations(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	pause_thread(f);
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "2\n");
	move(f, "a.log.1", "a.log.2");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	move(f, "a.log.2", "a.log.3");
	move(f, "a.log.1", "a.log.2");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "4\n");
	resume_thread(f);
	expect(f, "<1><2><3><4>");
}

/* Of the two that came at once the newer one is found first, at its own name. */
static void ids_of_files_rotated_twice_at_once_tell_a_later_life_their_order(void **state)
{
	struct fixture *f = *state;
	int64_t id[3];

	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	pause_thread(f);
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "2\n");
	move(f, "a.log.1", "a.log.2");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	resume_thread(f);
	expect(f, "<1><2><3>");
	for (int i = 0; i < 3; i++)
		expect_file(f, (const char *[]){ "a.log.2", "a.log.1", "a.log" }[i], "active", &id[i]);
	assert_true(id[0] < id[1] && id[1] < id[2]);
}

static void a_file_truncated_written_and_rotated_at_once_comes_before_its_successor(void **state)
{
	struct fixture *f = *state;
	int64_t id[4];

	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	append(f, "a.log", "111111\n");
	start(f);
	expect(f, "<111111>");
	pause_thread(f);
	assert_int_equal(truncate(at(f, "a.log"), 0), 0);
	append(f, "a.log", "2\n");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	move(f, "a.log", "a.log.2");
	append(f, "a.log", "4\n");
	resume_thread(f);
	expect(f, "<111111><2><3><4>");
	for (size_t i = 1; i < 4; i++)
		id[i] = f->p->records[i].source.file_id;
	assert_true(id[1] > 1 && id[1] < id[2] && id[2] < id[3]);	/* a later life goes by them */
}

static void a_successor_waits_for_the_lines_of_its_predecessor(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	double_dry(f->p, true);
	append(f, "a.log", "2\n3\n");
	expect_file(f, "a.log", "waiting", NULL);
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "6\n");
	append(f, "a.log.1", "4\n");
	expect_file(f, "a.log.1", "rotated", NULL);
	expect_file(f, "a.log", "active", NULL);
	move(f, "a.log.1", "a.log.2");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "7\n");
	expect_file(f, "a.log.2", "rotated", NULL);
	double_dry(f->p, false);
	expect(f, "<1><2><3><4><6><7>");
}

static void a_rotated_name_that_matches_too_is_the_same_file(void **state)
{
	struct fixture *f = *state;

	snprintf(f->paths[0], 256, "%s/a.log*", f->dir);
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	append(f, "a.log.1", "3\n");
	expect(f, "<1><2><3>");
	expect_file(f, "a.log.1", "active", NULL);
	assert_int_equal(f->p->file_count, 2);
}

static void a_file_renamed_over_a_followed_one_is_read_and_the_old_one_to_its_end(void **state)
{
	struct fixture *f = *state;
	int old = open_log(f, "a.log");

	f->idle = 300;
	put(old, "1\n");
	start(f);
	expect(f, "<1>");
	append(f, "new", "3\n");
	pause_thread(f);
	put(old, "2\n");
	move(f, "new", "a.log");
	resume_thread(f);
	expect(f, "<1><2><3>");
	close(old);
	expect_row(f, 1, FILE_DELETED, true);
}

static void a_rotated_file_is_closed_when_finished_and_idle_and_goes_on_if_it_comes_back(void **state)
{
	struct fixture *f = *state;

	f->idle = 300;
	f->p->safe_is_read = false;
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	move(f, "a.log", "old");
	expect_file(f, "old", "rotated", NULL);
	pthread_mutex_lock(&f->p->mu);
	f->p->files[0].safe = 2;		/* now it is finished */
	pthread_mutex_unlock(&f->p->mu);
	expect_row(f, 1, FILE_DONE, true);
	move(f, "old", "a.log");
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	expect_row(f, 1, FILE_ACTIVE, false);
	check_ranges(f->p, 1, 0);
}

static void a_file_deleted_while_it_waits_for_memory_is_read_to_its_end(void **state)
{
	struct fixture *f = *state;

	f->idle = 300;
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	double_dry(f->p, true);
	append(f, "a.log", "2\n3");
	expect_file(f, "a.log", "waiting", NULL);
	assert_int_equal(unlink(at(f, "a.log")), 0);
	expect_row(f, 1, FILE_DELETED, false);
	double_dry(f->p, false);
	expect(f, "<1><2><3>");			/* the last line too: nobody will end it */
	expect_row(f, 1, FILE_DELETED, true);
}

static bool was_rescued(struct producer *p, void *arg)
{
	return p->lanes[0].rescues > *(uint32_t *)arg;
}

/* Its lines are nowhere else: its lane is told so, again and again until they are finished. */
static void lanes_of_deleted_and_rotated_files_are_rescued_until_these_are_finished(void **state)
{
	struct fixture *f = *state;
	uint32_t n = 1;

	f->idle = 300;
	f->p->safe_is_read = false;
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	move(f, "a.log", "a.old");
	assert_true(double_wait(f->p, was_rescued, &n));
	pthread_mutex_lock(&f->p->mu);
	f->p->files[0].safe = 2;
	pthread_mutex_unlock(&f->p->mu);
	expect_row(f, 1, FILE_DONE, true);
	pthread_mutex_lock(&f->p->mu);
	n = f->p->lanes[0].rescues;
	pthread_mutex_unlock(&f->p->mu);
	append(f, "b.log", "2\n");
	expect(f, "<1><2>");
	assert_int_equal(unlink(at(f, "b.log")), 0);
	assert_true(double_wait(f->p, was_rescued, &n));
}

static void old_rows_are_forgotten(void **state)
{
	struct fixture *f = *state;

	f->known[0].file = (struct spool_file){ .id = 1, .path = at(f, "a.log"), .inode = 12345, .state = FILE_DONE,
						.gone_ms = clock_wall_ms() - 8 * 86400000LL };
	f->known[1].file = (struct spool_file){ .id = 2, .path = at(f, "b.log"), .inode = 12346, .state = FILE_DONE,
						.gone_ms = clock_wall_ms() - 6 * 86400000LL };
	f->known_count = 2;
	f->next_id = 3;
	f->p->files[0] = (struct double_file){ .id = 1 };
	f->p->files[1] = (struct double_file){ .id = 2 };
	f->p->file_count = 2;
	append(f, "c.log", "1\n");
	start(f);
	expect(f, "<1>");
	assert_true(f->p->files[0].forgotten);
	assert_false(f->p->files[1].forgotten);
}

/* Goal: whatever comes in whatever order, each line once, those of a file in their order. Method: random appends (also to
 * rotated files and in halves), rotations, deletions and dry spells, then a count. The seed is printed on failure. */
struct model { int fds[4]; int files; int lines; bool half[4]; uint64_t dice; };

static int throw(struct model *m, int sides)
{
	m->dice = m->dice * 6364136223846793005u + 1442695040888963407u;
	return (int)((m->dice >> 33) % (uint64_t)sides);
}

static void model_append(struct model *m, int i)
{
	char text[64];

	if (m->half[i])
		snprintf(text, sizeof text, "-rest\n");
	else
		snprintf(text, sizeof text, "%d%s", m->lines++, throw(m, 3) ? "-rest\n" : "");
	put(m->fds[i], text);
	m->half[i] = !strchr(text, '\n');
}

static void model_rotate(struct fixture *f, struct model *m)
{
	char from[32], to[32];

	for (int i = m->files - 1; i >= 0; i--) {
		snprintf(from, sizeof from, i ? "a.log.%d" : "a.log", i);
		snprintf(to, sizeof to, "a.log.%d", i + 1);
		if (i == 3) {
			if (m->half[3])
				model_append(m, 3);
			close(m->fds[3]);
			assert_int_equal(unlink(at(f, from)), 0);
			continue;
		}
		move(f, from, to);
		m->fds[i + 1] = m->fds[i];
		m->half[i + 1] = m->half[i];
	}
	if (m->files < 4)
		m->files++;
	m->fds[0] = open_log(f, "a.log");
	m->half[0] = false;
}

static void a_random_life_of_files_gives_each_line_once(void **state)
{
	struct fixture *f = *state;
	struct model m = { .files = 1 };
	uint64_t seed = (uint64_t)clock_mono_ns();
	int64_t last_of[4096] = { 0 };
	char *seen;
	size_t n;

	m.dice = seed;
	m.fds[0] = open_log(f, "a.log");
	open_tail(f);
	f->t->pace.flush = 600000;	/* a slow machine must not look like a quiet file */
	assert_int_equal(tail_start(f->t), 0);
	for (int i = 0; i < 3000; i++) {
		int dice = throw(&m, 100);

		if (dice < 85) {
			model_append(&m, throw(&m, m.files));
		} else if (dice < 90) {
			double_dry(f->p, dice % 2);
		} else if (dice < 93) {
			/* Three rotations later it is deleted; what nobody saw before that is nobody's. */
			expect_seen(f, "a.log");
			model_rotate(f, &m);
		}
	}
	double_dry(f->p, false);
	for (int i = 0; i < m.files; i++)
		if (m.half[i])
			model_append(&m, i);
	n = (size_t)m.lines;
	if (!double_wait(f->p, has_records, &n))
		fail_msg("seed %llu: %zu of %zu", (unsigned long long)seed, f->p->record_count, n);
	seen = calloc(1, n);
	assert_non_null(seen);
	for (size_t i = 0; i < n; i++) {
		const struct double_record *r = &f->p->records[i];
		int line = (int)strtol(r->value, NULL, 10);

		if (!strstr(r->value, "-rest") || line < 0 || line >= m.lines || seen[line]++ ||
		    r->source.from != last_of[r->source.file_id])
			fail_msg("seed %llu: record %zu: %s", (unsigned long long)seed, i, r->value);
		last_of[r->source.file_id] = r->source.to;
	}
	assert_int_equal(f->p->record_count, n);
	for (int i = 0; i < m.files; i++)
		close(m.fds[i]);
	free(seen);
}

/* --- truncation --- */

static void truncate_to(const struct fixture *f, const char *name, const char *text)
{
	int fd = open(at(f, name), O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	put(fd, text);
	close(fd);
}

static void a_truncated_file_is_read_from_its_beginning_as_a_new_generation(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "one\ntwo\n");
	start(f);
	expect(f, "<one><two>");
	truncate_to(f, "a.log", "3\n");
	expect(f, "<one><two><3>");
	truncate_to(f, "a.log", "4\n");			/* as long as before */
	expect(f, "<one><two><3><4>");
	truncate_to(f, "a.log", "something longer\n");
	expect(f, "<one><two><3><4><something longer>");
	assert_int_equal(f->p->file_count, 4);
	assert_int_equal(f->p->files[3].generation, 3);
	expect_row(f, 1, FILE_DELETED, true);
	check_ranges(f->p, 4, 0);
}

static void a_rewritten_head_is_seen_when_the_bytes_before_the_position_are_the_same(void **state)
{
	struct fixture *f = *state;
	int64_t id;
	int fd;

	append(f, "a.log", "one\n0123456789012345678901234567890123456789012345678901234567890123456789\n");
	start(f);
	expect(f, "<one><0123456789012345678901234567890123456789012345678901234567890123456789>");
	expect_file(f, "a.log", "active", &id);
	fd = open(at(f, "a.log"), O_WRONLY);
	assert_int_equal(pwrite(fd, "two", 3, 0), 3);
	close(fd);
	expect(f, "<one><0123456789012345678901234567890123456789012345678901234567890123456789>"
		  "<two><0123456789012345678901234567890123456789012345678901234567890123456789>");
}

static void an_unfinished_line_that_is_rewritten_is_read_as_it_is_now(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "one\nunfinished");
	start(f);
	expect(f, "<one>");
	expect_file(f, "a.log", "active", NULL);
	assert_int_equal(truncate(at(f, "a.log"), 4), 0);
	append(f, "a.log", "x\ny and more of it\n");
	expect(f, "<one><x><y and more of it>");
	assert_int_equal(f->p->file_count, 1);
}

static void nuls_at_the_beginning_are_skipped_and_reported(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	put_bytes(fd, "\0\0\0\0\0\0", 6);
	start(f);
	put_bytes(fd, "\0\0a\0b\n", 6);
	expect_n(f, "<a>", 1);				/* as text it ends at the NUL */
	assert_int_equal(f->p->records[0].n, 3);
	assert_memory_equal(f->p->records[0].value, "a\0b", 3);
	check_ranges(f->p, 1, 8);
	assert_int_equal(f->p->finished[0].from, 0);
	assert_int_equal(f->p->finished[f->p->finished_count - 1].to, 8);
	assert_int_equal(f->p->finished[0].count, 0);
	close(fd);
}

/* --- lines --- */

static void a_last_line_without_lf_is_held_back_until_the_file_is_rotated(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	put(fd, "one\r\ntw");
	start(f);
	expect(f, "<one>");
	put(fd, "o");
	put(fd, "\n\n");
	expect(f, "<one><two><>");
	put(fd, "last");
	move(f, "a.log", "old");
	expect(f, "<one><two><><last>");
	put(fd, "behind it\n");
	expect(f, "<one><two><><last><behind it>");
	check_ranges(f->p, 1, 0);
	/* time ended that record: the next range may not join it */
	assert_int_not_equal(f->p->records[3].source.route, f->p->records[4].source.route);
	assert_int_equal(f->p->route_count, 2);
	assert_int_equal(f->p->routes[0].max_line, f->p->routes[1].max_line);
	close(fd);
}

static void a_long_line_is_split_and_a_short_one_behind_it_is_not(void **state)
{
	struct fixture *f = *state;
	const size_t len = 700000, max = 300000;
	char *line = malloc(len + 1);
	size_t n = 5;

	assert_non_null(line);
	for (size_t i = 0; i < len; i++)
		line[i] = (char)('a' + i % 23);
	line[len] = 0;
	f->in[0].max_line = (int64_t)max;
	append(f, "a.log", "before\n");
	append(f, "a.log", line);
	append(f, "a.log", "\nbehind\n");
	start(f);
	assert_true(double_wait(f->p, has_records, &n));
	assert_int_equal(f->p->records[1].n, max);
	assert_memory_equal(f->p->records[1].value, line, max);
	assert_memory_equal(f->p->records[2].value, line + max, max);
	assert_int_equal(f->p->records[3].n, len - 2 * max);
	assert_string_equal(f->p->records[4].value, "behind");
	check_ranges(f->p, 1, 0);
	assert_int_equal(tail_split_lines(f->t), 2);
	free(line);
}

static void a_line_that_grows_by_small_writes_is_one_record(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");
	size_t n = 2;

	f->in[0].max_line = 1000000;
	put(fd, "first\n");
	start(f);
	for (int i = 0; i < 40000; i++)
		put(fd, "0123456789");
	put(fd, "\n");
	assert_true(double_wait(f->p, has_records, &n));
	assert_int_equal(f->p->records[1].n, 400000);
	check_ranges(f->p, 1, 0);
	close(fd);
}

static void lines_across_the_read_window_are_whole(void **state)
{
	struct fixture *f = *state;
	size_t n = 60000;
	FILE *file = fopen(at(f, "a.log"), "w");
	char want[32];

	assert_non_null(file);
	for (size_t i = 0; i < n; i++)
		fprintf(file, "line %zu\n", i);
	fclose(file);
	start(f);
	assert_true(double_wait(f->p, has_records, &n));
	for (size_t i = 0; i < n; i++) {
		snprintf(want, sizeof want, "line %zu", i);
		assert_string_equal(f->p->records[i].value, want);
	}
	check_ranges(f->p, 1, 0);
}

/* --- waiting --- */

static void a_lane_that_takes_nothing_is_tried_again_and_nothing_is_read_twice(void **state)
{
	struct fixture *f = *state;

	pthread_mutex_lock(&f->p->mu);
	f->p->append_rc = ERR_UNAVAILABLE;
	pthread_mutex_unlock(&f->p->mu);
	append(f, "a.log", "1\n2\n");
	start(f);
	expect_refusal(f);
	expect_file(f, "a.log", "waiting", NULL);
	append(f, "a.log", "3\n");
	pthread_mutex_lock(&f->p->mu);
	f->p->append_rc = 0;
	pthread_mutex_unlock(&f->p->mu);
	expect(f, "<1><2><3>");
	check_ranges(f->p, 1, 0);
}

static void events_are_read_while_files_wait_for_memory(void **state)
{
	struct fixture *f = *state;
	int fd = open_log(f, "a.log");

	start(f);
	double_dry(f->p, true);
	put(fd, "1\n");
	expect_file(f, "a.log", "waiting", NULL);
	move(f, "a.log", "gone");
	assert_int_equal(unlink(at(f, "gone")), 0);
	append(f, "a.log", "2\n");
	expect_row(f, 1, FILE_DELETED, false);
	expect_file(f, "a.log", "active", NULL);	/* opened: what it holds cannot be lost any more */
	assert_int_equal(unlink(at(f, "a.log")), 0);
	expect_row(f, 2, FILE_DELETED, false);
	double_dry(f->p, false);
	expect(f, "<1><2>");
	close(fd);
}

static void a_line_that_fits_no_request_stops_its_file_only(void **state)
{
	struct fixture *f = *state;
	char *reasons;

	f->p->append_rc = ERR_TOO_LARGE;
	append(f, "a.log", "1\n");
	start(f);
	expect_file(f, "a.log", "waiting", NULL);
	reasons = tail_reasons(f->t);
	assert_non_null(strstr(reasons, "fits no request"));
	mem_free(reasons);
	pthread_mutex_lock(&f->p->mu);
	f->p->append_rc = 0;
	pthread_mutex_unlock(&f->p->mu);
	append(f, "b.log", "2\n");
	expect(f, "<2>");
}

/* --- restart --- */

static void after_a_restart_it_goes_on_at_safe_and_skips_what_is_finished(void **state)
{
	struct fixture *f = *state;
	struct tail_skip skips[] = { { 6, 8 }, { 8, 10 } };

	append(f, "a.log", "1\n2\n3\n4\n5\n6\n");
	remember(f, 0, "a.log", 7, 4);
	f->known[0].skips = skips;
	f->known[0].skip_count = 2;
	start(f);
	expect(f, "<3><6>");
	assert_int_equal(f->p->records[0].source.file_id, 7);
	assert_int_equal(f->p->records[1].source.from, 10);
	append(f, "a.log", "7\n");
	expect(f, "<3><6><7>");
}

static void another_device_number_is_forgiven_but_changed_bytes_are_not(void **state)
{
	struct fixture *f = *state;
	struct buf all;
	size_t n = 3;

	append(f, "a.log", "1\n2\n");
	append(f, "b.log", "3\n4\n");
	remember(f, 0, "a.log", 1, 2);
	remember(f, 1, "b.log", 2, 2);
	f->known[0].file.dev++;
	truncate_to(f, "b.log", "x\ny\n");
	start(f);
	assert_true(double_wait(f->p, has_records, &n));
	all_values(f->p, &all);
	assert_non_null(strstr(all.data, "<2>"));
	assert_non_null(strstr(all.data, "<x><y>"));
	buf_release(&all);
	expect_row(f, 2, FILE_DELETED, true);
}

static void a_file_rotated_while_nobody_ran_is_finished_before_its_successor(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n");
	remember(f, 0, "a.log", 1, 2);
	assert_int_equal(mkdir(at(f, "olddir"), 0755), 0);
	move(f, "a.log", "olddir/a.log.1");
	append(f, "olddir/a.log.1", "3\n");
	append(f, "a.log", "4\n");
	start(f);
	expect(f, "<2><3><4>");
	assert_int_equal(f->p->records[0].source.file_id, 1);
	assert_int_equal(f->p->records[2].source.file_id, 2);
}

/* With the row it would get the age of that file, and its name's, which put it in order among others. */
static void a_file_that_has_the_inode_of_an_empty_one_that_is_gone_is_another_one(void **state)
{
	struct fixture *f = *state;

	f->p->safe_is_read = false;
	append(f, "a.log", "");
	remember(f, 0, "a.log", 1, 0);
	f->known[0].file.gone_ms = clock_wall_ms();
	f->known[0].file.state = FILE_DONE;
	move(f, "a.log", "b.log");
	append(f, "b.log", "1\n");
	start(f);
	expect(f, "<1>");
	assert_int_equal(f->p->records[0].source.file_id, 2);
}

/* Its name matches nothing: only as the file that was rotated away it would have been read. */
static void a_file_that_only_has_the_inode_of_one_that_is_gone_is_not_read(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n");
	remember(f, 0, "a.log", 1, 2);
	assert_int_equal(truncate(at(f, "a.log"), 0), 0);
	append(f, "a.log", "private\n");
	move(f, "a.log", "other.txt");
	start(f);
	expect_row(f, 1, FILE_DONE, true);
	append(f, "b.log", "9\n");
	expect(f, "<9>");
}

static void a_file_that_is_nowhere_is_given_up_and_its_row_kept_for_a_while(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n");
	remember(f, 0, "a.log", 1, 2);
	f->p->files[0] = (struct double_file){ .id = 1 };
	f->p->file_count = 1;
	assert_int_equal(unlink(at(f, "a.log")), 0);
	start(f);
	expect_row(f, 1, FILE_DONE, true);
	tail_stop(f->t);
	assert_true(tail_file_vanishing(f->t, 1));
}

static void stop_and_start_again_reads_each_line_once(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2");
	start(f);
	expect(f, "<1>");
	stop(f);
	remember(f, 0, "a.log", 1, 2);
	append(f, "a.log", "\n3\n");
	start(f);
	expect(f, "<1><2><3>");
	check_ranges(f->p, 1, 0);
	assert_int_equal(f->p->route_count, 1);		/* the same route as in the first life */
}

/* --- once --- */

static bool all_was_read(struct producer *p, void *arg)
{
	(void)arg;
	return p->all_read > 0;
}

static void once_reads_everything_to_the_last_byte_and_says_so(void **state)
{
	struct fixture *f = *state;

	f->once = true;
	append(f, "a.log", "1\n2\nno newline");
	append(f, "empty.log", "");
	start(f);
	assert_true(double_wait(f->p, all_was_read, NULL));
	expect(f, "<1><2><no newline>");
	assert_int_equal(f->p->lanes[0].seals, 1);
	assert_int_equal(f->p->all_read, 1);
}

static void once_ends_with_nothing_to_read_too(void **state)
{
	struct fixture *f = *state;

	f->once = true;
	start(f);
	assert_true(double_wait(f->p, all_was_read, NULL));
}

/* --- building batches again --- */

static void a_batch_is_built_again_from_its_ranges(void **state)
{
	struct fixture *f = *state;
	uint8_t first[256];
	uint32_t bytes;
	struct batch *b;
	size_t want = 6;
	int n = 1;

	f->in[0].key = (char *)"%{file}";
	f->in[0].max_line = 4;
	append(f, "a.log", "1\r\nabcdefghij\n\n");
	append(f, "b.log", "4\n");
	start(f);
	expect_file(f, "b.log", "active", NULL);
	assert_true(double_wait(f->p, has_records, &want));
	move(f, "a.log", "old");
	b = batch_of_records(f, 1, 6);			/* begins with a piece of the long line, or before it */
	bytes = b->bytes;
	memcpy(first, b->chunks->data, bytes);
	batch_drop_bytes(b, f->p->budget);
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	assert_int_equal(b->bytes, bytes);
	assert_memory_equal(b->chunks->data, first, bytes);

	/* the thread has ended: on this one */
	batch_drop_bytes(b, f->p->budget);
	tail_stop(f->t);
	tail_rebuild(f->t, b);
	assert_int_equal(f->p->loaded, 2);
	assert_int_equal(f->p->loaded_rc, 0);
	batch_free(b, f->p->budget);
}

static void *stop_it(void *arg)
{
	tail_stop(((struct fixture *)arg)->t);
	return NULL;
}

struct asked { struct fixture *f; struct batch *b; };

static void *rebuild_it(void *arg)
{
	const struct asked *a = arg;

	tail_rebuild(a->f->t, a->b);
	return NULL;
}

static bool was_paused(struct producer *p, void *arg)
{
	(void)arg;
	return p->paused;
}

/* Both would use the same buffers and descriptors. */
static void a_batch_is_not_rebuilt_beside_the_last_work_of_the_thread(void **state)
{
	struct fixture *f = *state;
	struct asked a = { .f = f };
	pthread_t stopping, asking;
	int early;

	append(f, "a.log", "1\n2\n");
	start(f);
	expect(f, "<1><2>");
	a.b = batch_of_records(f, 0, 2);
	batch_drop_bytes(a.b, f->p->budget);
	pthread_mutex_lock(&f->p->mu);
	f->p->pause = true;
	pthread_mutex_unlock(&f->p->mu);
	assert_int_equal(pthread_create(&stopping, NULL, stop_it, f), 0);
	assert_true(double_wait(f->p, was_paused, NULL));
	assert_int_equal(pthread_create(&asking, NULL, rebuild_it, &a), 0);
	usleep(50000);		/* in which it could come too early */
	pthread_mutex_lock(&f->p->mu);
	early = f->p->loaded;
	f->p->pause = false;
	pthread_cond_broadcast(&f->p->changed);
	pthread_mutex_unlock(&f->p->mu);
	pthread_join(stopping, NULL);
	pthread_join(asking, NULL);
	batch_free(a.b, f->p->budget);
	assert_int_equal(early, 0);
	assert_int_equal(f->p->loaded, 1);
	assert_int_equal(f->p->loaded_rc, 0);
}

static void a_batch_whose_bytes_changed_or_that_finds_no_memory_stays_absent(void **state)
{
	struct fixture *f = *state;
	struct chunk *reserve = NULL, *c;
	struct batch *b;
	int n = 1;

	append(f, "a.log", "1\n2\n");
	start(f);
	expect(f, "<1><2>");
	b = batch_of_records(f, 0, 2);
	batch_drop_bytes(b, f->p->budget);
	while ((c = budget_take(f->p->budget, BUDGET_REFILL, 0))) {
		c->next = reserve;
		reserve = c;
	}
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, ERR_AGAIN);
	budget_give(f->p->budget, reserve);
	truncate_to(f, "a.log", "1\n3\n");
	tail_rebuild(f->t, b);
	n = 2;
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, ERR_BAD_DATA);
	assert_true(batch_absent(b));
	batch_free(b, f->p->budget);
}

/* --- check --- */

static void check_counts_matches_of_each_input(void **state)
{
	struct fixture *f = *state;
	struct buf out;
	int warnings;

	buf_init(&out, 10000);
	append(f, "a.log", "");
	append(f, "b.log", "");
	assert_int_equal(tail_check(&f->conf, &out, &warnings), 0);
	assert_non_null(strstr(out.data, "input first: 2 files\n"));
	buf_release(&out);
}

/* --- lanes that are held, and lines that come back --- */

static void set_full(struct fixture *f, size_t lane, bool full)
{
	pthread_mutex_lock(&f->p->mu);
	f->p->lanes[lane].full = full;
	pthread_mutex_unlock(&f->p->mu);
}

static bool asked_often(struct producer *p, void *arg)
{
	return p->lanes[*(size_t *)arg].asked >= 3;
}

static void the_files_of_a_held_lane_wait_without_being_read_and_others_go_on(void **state)
{
	struct fixture *f = *state;
	uint64_t refused;
	size_t lane = 0;

	f->in[0].topic = (char *)"%{file}";
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	set_full(f, 0, true);
	append(f, "a.log", "2\n3\n");
	expect_file(f, "a.log", "waiting", NULL);
	append(f, "b.log", "x\n");
	expect(f, "<1><x>");
	refused = f->p->refused;
	assert_true(double_wait(f->p, asked_often, &lane));
	assert_int_equal(f->p->refused, refused);	/* asked, not tried */
	set_full(f, 0, false);
	expect(f, "<1><x><2><3>");
}

static void give_back(struct fixture *f, struct batch **batches, size_t n)
{
	struct list l;

	list_init(&l);
	for (size_t i = 0; i < n; i++)
		list_push_back(&l, &batches[i]->node);
	tail_unread(f->t, &f->p->lanes[0], &l, true);
}

static void exactly_what_comes_back_is_read_again(void **state)
{
	struct fixture *f = *state;
	struct batch *b[2];

	f->p->safe_is_read = false;
	append(f, "a.log", "1\n2\n3\n4\n5\n6\nhal");
	start(f);
	expect(f, "<1><2><3><4><5><6>");
	b[0] = batch_of_records(f, 1, 3);
	b[1] = batch_of_records(f, 4, 5);
	give_back(f, b, 2);
	expect(f, "<1><2><3><4><5><6><2><3><5>");
	b[0] = batch_of_records(f, 0, 1);
	give_back(f, b, 1);				/* older still, while nothing of it is skipped any more */
	expect(f, "<1><2><3><4><5><6><2><3><5><1>");
	append(f, "a.log", "f\n7\n");
	expect(f, "<1><2><3><4><5><6><2><3><5><1><half><7>");
	assert_int_equal(f->p->unread, 4);
	assert_int_equal(f->p->unread_last, 2);
}

static void what_comes_back_while_the_file_is_behind_joins_what_is_read(void **state)
{
	struct fixture *f = *state;
	struct batch *b[2];

	f->p->safe_is_read = false;
	append(f, "a.log", "1\n2\n3\n4\n5\n6\n");
	start(f);
	expect(f, "<1><2><3><4><5><6>");
	b[0] = batch_of_records(f, 1, 2);
	b[1] = batch_of_records(f, 3, 5);
	set_full(f, 0, true);
	give_back(f, b, 1);
	expect_file(f, "a.log", "waiting", NULL);	/* at 2, the rest is skipped */
	give_back(f, b + 1, 1);
	set_full(f, 0, false);
	expect(f, "<1><2><3><4><5><6><2><4><5>");
}

static void a_successor_whose_lines_come_back_waits_again(void **state)
{
	struct fixture *f = *state;
	struct batch *b[2];

	f->p->safe_is_read = false;
	append(f, "a.log", "1\n2\n");
	start(f);
	expect(f, "<1><2>");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n4\n");
	expect(f, "<1><2><3><4>");
	b[0] = batch_of_records(f, 2, 4);
	b[1] = batch_of_records(f, 0, 2);
	give_back(f, b, 2);
	expect(f, "<1><2><3><4><1><2><3><4>");
}

static void lines_of_a_truncated_file_that_come_back_are_losses(void **state)
{
	struct fixture *f = *state;
	struct batch *b;

	f->p->safe_is_read = false;
	append(f, "a.log", "1\n2\n");
	start(f);
	expect(f, "<1><2>");
	b = batch_of_records(f, 0, 2);
	assert_int_equal(truncate(at(f, "a.log"), 0), 0);
	append(f, "a.log", "x\n");
	expect(f, "<1><2><x>");
	give_back(f, &b, 1);
	append(f, "a.log", "y\n");
	expect(f, "<1><2><x><y>");
	assert_int_equal(f->p->loss_count, 1);
	assert_int_equal(f->p->losses[0].records, 2);
}

static bool read_once(struct producer *p, void *arg)
{
	(void)arg;
	return p->all_read == 1;
}

static bool read_twice(struct producer *p, void *arg)
{
	(void)arg;
	return p->all_read == 2;
}

static void once_is_not_over_while_lines_come_back(void **state)
{
	struct fixture *f = *state;
	struct batch *b;

	f->once = true;
	f->p->safe_is_read = false;
	append(f, "a.log", "1\n2");
	start(f);
	expect(f, "<1><2>");
	assert_true(double_wait(f->p, read_once, NULL));
	b = batch_of_records(f, 1, 2);
	give_back(f, &b, 1);
	expect(f, "<1><2><2>");
	assert_true(double_wait(f->p, read_twice, NULL));
	assert_true(tail_all_read(f->t));
}

static void skips_are_joined_and_cut(void **state)
{
	struct tail_skip *v = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(skip_add(&v, &n, 10, 20), 0);
	assert_int_equal(skip_add(&v, &n, 30, 40), 0);
	assert_int_equal(skip_cut(&v, &n, 12, 15), 0);		/* within one: two */
	assert_int_equal(n, 3);
	assert_int_equal(v[0].to, 12);
	assert_int_equal(v[1].from, 15);
	assert_int_equal(skip_cut(&v, &n, 18, 35), 0);		/* the end of one, the beginning of the next */
	assert_int_equal(n, 3);
	assert_int_equal(v[1].to, 18);
	assert_int_equal(v[2].from, 35);
	assert_int_equal(skip_cut(&v, &n, 0, 16), 0);		/* all of the first */
	assert_int_equal(n, 2);
	assert_int_equal(v[0].from, 16);
	assert_int_equal(skip_cut(&v, &n, 20, 30), 0);		/* nothing */
	assert_int_equal(n, 2);
	assert_int_equal(skip_cut(&v, &n, 0, 100), 0);
	assert_int_equal(n, 0);
	mem_free(v);
}

static void put_at(struct fixture *f, const char *name, off_t offset, const char *text)
{
	int fd = open(at(f, name), O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), offset), (ssize_t)strlen(text));
	close(fd);
}

/* As written through a mapping: its end is where it was made, its lines come from its beginning. */
static void fill(struct fixture *f, bool sparse)
{
	static const char zeros[65536];
	const off_t size = 20 * (off_t)sizeof zeros;
	int fd = open(at(f, "a.log"), O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	for (off_t n = 0; !sparse && n < size; n += (off_t)sizeof zeros)
		assert_int_equal(write(fd, zeros, sizeof zeros), sizeof zeros);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
	start(f);
	expect_file(f, "a.log", "active", NULL);
	put_at(f, "a.log", 0, "1\n2\nunfin");
	expect(f, "<1><2>");
	put_at(f, "a.log", 9, "ished\n4\n");
	expect(f, "<1><2><unfinished><4>");
	assert_int_equal(truncate(at(f, "a.log"), 17), 0);
	append(f, "a.log", "5\n");
	expect(f, "<1><2><unfinished><4><5>");
	assert_int_equal(f->p->loss_count, 0);
}

static void a_preallocated_file_gives_the_lines_that_fill_it(void **state)
{
	fill(*state, true);
}

static void a_file_of_written_nuls_gives_the_lines_that_take_their_place(void **state)
{
	fill(*state, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(lines_that_are_there_and_lines_that_come_are_read_once),
	TEST(a_file_that_appears_later_is_read_from_its_beginning),
	TEST(a_preallocated_file_gives_the_lines_that_fill_it),
	TEST(a_file_of_written_nuls_gives_the_lines_that_take_their_place),
	TEST(directories_that_appear_later_are_searched),
	TEST(read_from_end_holds_for_files_of_the_first_start_only),
	TEST(excluded_files_are_not_read_until_their_name_changes),
	TEST(the_first_of_two_inputs_has_a_file_that_both_match),
	TEST(topic_and_key_are_templates_of_the_path),
	TEST(two_thousand_files_are_followed),
	TEST(lost_events_are_made_good_by_a_walk),
	TEST(without_watches_files_are_polled),
	TEST(a_file_that_cannot_be_opened_is_tried_again),
	TEST(what_is_no_regular_file_is_left_alone_until_it_is_one),
	TEST(every_generation_of_a_file_is_placed_by_the_path_it_began_at),
	TEST(after_a_rename_both_files_are_followed),
	TEST(several_rotations_between_two_looks_lose_no_generation),
	TEST(several_rotations_within_the_globs_keep_the_order_of_generations),
	TEST(ids_of_files_rotated_twice_at_once_tell_a_later_life_their_order),
	TEST(a_file_truncated_written_and_rotated_at_once_comes_before_its_successor),
	TEST(a_successor_waits_for_the_lines_of_its_predecessor),
	TEST(a_rotated_name_that_matches_too_is_the_same_file),
	TEST(a_file_renamed_over_a_followed_one_is_read_and_the_old_one_to_its_end),
	TEST(a_rotated_file_is_closed_when_finished_and_idle_and_goes_on_if_it_comes_back),
	TEST(a_file_deleted_while_it_waits_for_memory_is_read_to_its_end),
	TEST(lanes_of_deleted_and_rotated_files_are_rescued_until_these_are_finished),
	TEST(old_rows_are_forgotten),
	TEST(a_random_life_of_files_gives_each_line_once),
	TEST(a_truncated_file_is_read_from_its_beginning_as_a_new_generation),
	TEST(a_rewritten_head_is_seen_when_the_bytes_before_the_position_are_the_same),
	TEST(an_unfinished_line_that_is_rewritten_is_read_as_it_is_now),
	TEST(nuls_at_the_beginning_are_skipped_and_reported),
	TEST(a_last_line_without_lf_is_held_back_until_the_file_is_rotated),
	TEST(a_long_line_is_split_and_a_short_one_behind_it_is_not),
	TEST(a_line_that_grows_by_small_writes_is_one_record),
	TEST(lines_across_the_read_window_are_whole),
	TEST(a_lane_that_takes_nothing_is_tried_again_and_nothing_is_read_twice),
	TEST(the_files_of_a_held_lane_wait_without_being_read_and_others_go_on),
	TEST(exactly_what_comes_back_is_read_again),
	TEST(what_comes_back_while_the_file_is_behind_joins_what_is_read),
	TEST(a_successor_whose_lines_come_back_waits_again),
	TEST(lines_of_a_truncated_file_that_come_back_are_losses),
	TEST(once_is_not_over_while_lines_come_back),
	TEST(skips_are_joined_and_cut),
	TEST(events_are_read_while_files_wait_for_memory),
	TEST(a_line_that_fits_no_request_stops_its_file_only),
	TEST(after_a_restart_it_goes_on_at_safe_and_skips_what_is_finished),
	TEST(another_device_number_is_forgiven_but_changed_bytes_are_not),
	TEST(a_file_rotated_while_nobody_ran_is_finished_before_its_successor),
	TEST(a_file_that_has_the_inode_of_an_empty_one_that_is_gone_is_another_one),
	TEST(a_file_that_only_has_the_inode_of_one_that_is_gone_is_not_read),
	TEST(a_file_that_is_nowhere_is_given_up_and_its_row_kept_for_a_while),
	TEST(stop_and_start_again_reads_each_line_once),
	TEST(once_reads_everything_to_the_last_byte_and_says_so),
	TEST(once_ends_with_nothing_to_read_too),
	TEST(a_batch_is_built_again_from_its_ranges),
	TEST(a_batch_is_not_rebuilt_beside_the_last_work_of_the_thread),
	TEST(a_batch_whose_bytes_changed_or_that_finds_no_memory_stays_absent),
	TEST(check_counts_matches_of_each_input),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

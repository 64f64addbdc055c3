/* test_tail_copy.c - copytruncate: the copy is recognised and goes on where its original was; without one the gap is told. */
#include "tests/lib/tail_fixture.h"

#include <sys/syscall.h>
#include <unistd.h>

/* What happens between a look at a copy's size, at the beginning of its turn, and what that turn does with it. */
static struct {
	struct fixture *f;
	int64_t size;			/* that the look finds */
	void (*fn)(struct fixture *f);	/* once */
	_Atomic bool done;
} meanwhile;

int fstat(int fd, struct stat *st)
{
	struct fixture *f = meanwhile.f;
	long rc = syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
	const struct file *of;

	if (rc < 0 || !f || !pthread_equal(pthread_self(), f->t->thread) || st->st_size != meanwhile.size)
		return (int)rc;
	of = files_by_inode(f->t, st->st_dev, st->st_ino);
	if (!of || !of->started || of->fd != fd || strcmp(of->path, at(f, "a.log.1")) != 0)
		return (int)rc;
	meanwhile.f = NULL;
	meanwhile.fn(f);
	meanwhile.done = true;
	return (int)rc;
}

static int setup_copies(void **state)
{
	struct fixture *f;

	assert_int_equal(setup(state), 0);
	f = *state;
	snprintf(f->paths[0], 256, "%s/*.log*", f->dir);
	meanwhile.f = NULL;
	return 0;
}

static void copy(const struct fixture *f, const char *from, const char *to)
{
	int in = open(at(f, from), O_RDONLY), out = open(at(f, to), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char buf[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof buf)) > 0)
		put_bytes(out, buf, (size_t)n);
	close(in);
	close(out);
}

static void cut(const struct fixture *f, const char *name)
{
	assert_int_equal(truncate(at(f, name), 0), 0);
}

/* --- waiting --- */

static void count_waiting(struct tail *t, void *ret)
{
	*(size_t *)ret = list_count(&t->twins) + list_count(&t->suspects);
}

/* Nothing is undecided any more: what is to be read is in `ready`, and a look behind that sees it read. */
static void expect_decided(struct fixture *f)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;) {
		size_t n;

		calls_do(f->t, count_waiting, &n);
		if (!n)
			return;
	}
	fail_msg("a copy waits for ever");
}

static void expect_waiting(struct fixture *f)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;) {
		size_t n;

		calls_do(f->t, count_waiting, &n);
		if (n)
			return;
	}
	fail_msg("no copy waits");
}

/* These records and no other, when all is decided and one more line has come after that. */
static void expect_all(struct fixture *f, const char *want)
{
	char more[1024];

	expect(f, want);
	expect_decided(f);
	append(f, "zz-last.log", "end\n");
	snprintf(more, sizeof more, "%s<end>", want);
	expect(f, more);
}

static int64_t file_of(struct fixture *f, size_t record)
{
	int64_t id;

	pthread_mutex_lock(&f->p->mu);
	id = f->p->records[record].source.file_id;
	pthread_mutex_unlock(&f->p->mu);
	return id;
}

static void never_quiet(struct fixture *f)
{
	f->t->pace.twin = 600000;
}

static void start_never_quiet(struct fixture *f)
{
	open_tail(f);
	never_quiet(f);
	assert_int_equal(tail_start(f->t), 0);
}

/* --- while it runs --- */

static void what_was_written_before_the_truncation_comes_from_the_copy(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	start_never_quiet(f);
	expect(f, "<1>");
	pause_thread(f);
	append(f, "a.log", "2\n");
	copy(f, "a.log", "a.log.1");
	cut(f, "a.log");
	append(f, "a.log", "3\n");
	resume_thread(f);
	expect_all(f, "<1><2><3>");
	assert_int_equal(file_of(f, 0), file_of(f, 1));
	assert_true(file_of(f, 2) > file_of(f, 1));
	check_ranges(f->p, file_of(f, 0), 0);
	check_ranges(f->p, file_of(f, 2), 0);
	assert_int_equal(f->p->loss_count, 0);
	assert_string_equal(f->p->records[2].place, at(f, "a.log"));
	assert_string_equal(f->p->records[1].place, at(f, "a.log"));
}

static void a_copy_waits_as_long_as_its_original_holds_its_bytes(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	start_never_quiet(f);
	expect(f, "<1>");
	copy(f, "a.log", "a.log.1");
	expect_waiting(f);
	cut(f, "a.log");
	expect_decided(f);
	append(f, "a.log", "2\n");
	expect_all(f, "<1><2>");
	append(f, "a.log.1", "late\n");
	expect(f, "<1><2><end><late>");
}

static void a_copy_that_ends_before_the_position_gives_nothing_again(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	start_never_quiet(f);
	expect(f, "<1>");
	copy(f, "a.log", "a.log.1");
	expect_waiting(f);
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	cut(f, "a.log");
	append(f, "a.log", "3\n");
	expect_all(f, "<1><2><3>");
	assert_int_equal(f->p->loss_count, 0);
	assert_int_equal(f->p->finished_count, 1);
	assert_int_equal(f->p->finished[0].to, 2);
}

static void it_waits_until_what_it_repeats_is_finished(void **state)
{
	struct fixture *f = *state;

	f->p->safe_is_read = false;
	append(f, "a.log", "1\n");
	start_never_quiet(f);
	expect(f, "<1>");
	copy(f, "a.log", "a.log.1");
	expect_waiting(f);
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	cut(f, "a.log");
	append(f, "a.log", "3\n");
	expect(f, "<1><2><3>");
	expect_waiting(f);
	assert_int_equal(f->p->finished_count, 0);
	assert_int_equal(double_file(f->p, file_of(f, 0))->gone_ms, 0);
	pthread_mutex_lock(&f->p->mu);
	f->p->safe_is_read = true;
	pthread_mutex_unlock(&f->p->mu);
	expect_all(f, "<1><2><3>");
	assert_true(double_file(f->p, file_of(f, 0))->gone_ms != 0);
}

static void what_differs_is_a_file_of_its_own(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "head\n1\n");
	start_never_quiet(f);
	expect(f, "<head><1>");
	append(f, "a.log.1", "head\n");
	expect_waiting(f);
	append(f, "a.log.1", "2\n");
	expect_all(f, "<head><1><head><2>");
}

static void what_stays_the_same_for_a_while_is_a_file_of_its_own(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	copy(f, "a.log", "b.log");
	expect_all(f, "<1><1>");
}

static void a_copy_in_progress_is_recognised_while_it_grows(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n2\n3\n");
	start_never_quiet(f);
	expect(f, "<1><2><3>");
	append(f, "a.log.1", "1\n2");
	expect_waiting(f);
	append(f, "a.log.1", "\n3\n");
	pause_thread(f);
	append(f, "a.log", "4\n");
	append(f, "a.log.1", "4\n");
	cut(f, "a.log");
	append(f, "a.log", "5\n");
	resume_thread(f);
	expect_all(f, "<1><2><3><4><5>");
}

static void copy_and_cut(struct fixture *f)
{
	copy(f, "a.log", "a.log.1");
	cut(f, "a.log");
}

static void expect_meanwhile(struct fixture *f)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;) {
		size_t n;

		calls_do(f->t, count_waiting, &n);
		if (meanwhile.done)
			return;
	}
	fail_msg("the copy was never looked at");
}

static void copied_at_the_moment_of(struct fixture *f, const char *first, void (*fn)(struct fixture *f))
{
	append(f, "a.log", "1\n2\n3\n");
	start_never_quiet(f);
	expect(f, "<1><2><3>");
	pause_thread(f);
	append(f, "a.log.1", first);
	meanwhile.size = (int64_t)strlen(first);
	meanwhile.fn = fn;
	meanwhile.done = false;
	meanwhile.f = f;
	resume_thread(f);
	expect_meanwhile(f);		/* what is appended between copy and cut would be gone */
	expect_decided(f);
	append(f, "a.log", "4\n");
	expect_all(f, "<1><2><3><4>");
	assert_int_equal(f->p->loss_count, 0);
}

static void a_copy_that_was_empty_a_moment_ago_is_not_read_unseen(void **state)
{
	copied_at_the_moment_of(*state, "", copy_and_cut);
}

static void a_copy_that_is_finished_while_it_is_compared_is_one(void **state)
{
	copied_at_the_moment_of(*state, "1\n2", copy_and_cut);
}

static void without_a_copy_what_was_seen_and_not_read_is_a_loss(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	append(f, "a.log", "half a line");
	for (int64_t size = 0; size < 13;) {
		struct tail_file_info *v;
		size_t n;

		assert_int_equal(tail_files(f->t, &v, &n), 0);
		size = n ? v[0].size : 0;
		for (size_t i = 0; i < n; i++)
			mem_free(v[i].path);
		mem_free(v);
	}
	append(f, "b.log", "b\n");
	expect(f, "<1><b>");
	cut(f, "a.log");
	append(f, "a.log", "2\n");
	expect_all(f, "<1><b><2>");
	assert_int_equal(f->p->loss_count, 1);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_TRUNCATED);
	assert_int_equal(f->p->losses[0].from, 2);
	assert_int_equal(f->p->losses[0].to, 13);
	assert_int_equal(f->p->losses[0].bytes, 11);
	assert_int_equal(f->p->losses[0].records, 0);
}

static void a_writer_that_does_not_append_leaves_a_hole_that_is_skipped(void **state)
{
	struct fixture *f = *state;
	int fd = open(at(f, "a.log"), O_WRONLY | O_CREAT, 0644);

	put(fd, "1\n2\n");
	start_never_quiet(f);
	expect(f, "<1><2>");
	pause_thread(f);
	copy(f, "a.log", "a.log.1");
	cut(f, "a.log");
	put(fd, "3\n");			/* at offset 4 */
	resume_thread(f);
	expect_all(f, "<1><2><3>");
	assert_int_equal(f->p->finished_count, 1);
	assert_int_equal(f->p->finished[0].from, 0);
	assert_int_equal(f->p->finished[0].to, 4);
	assert_int_equal(f->p->loss_count, 0);
	close(fd);
}

static void copies_that_are_shifted_on_are_each_read_on_once(void **state)
{
	struct fixture *f = *state;
	char want[256] = "", line[16];

	append(f, "a.log", "0\n");
	start_never_quiet(f);
	expect(f, "<0>");
	for (int i = 1; i <= 5; i++) {
		unlink(at(f, "zz-pause.log"));		/* a new one: that is where it stands still */
		pause_thread(f);
		snprintf(line, sizeof line, "%d\n", i);
		append(f, "a.log", line);
		if (i > 1)
			move(f, "a.log.1", i % 2 ? "a.log.2" : "a.log.3");
		copy(f, "a.log", "a.log.1");
		cut(f, "a.log");
		snprintf(line, sizeof line, "x%d\n", i);
		append(f, "a.log", line);
		resume_thread(f);
		snprintf(want, sizeof want, "<0>");
		for (int k = 1; k <= i; k++)
			snprintf(want + strlen(want), sizeof want - strlen(want), "<%d><x%d>", k, k);
		expect(f, want);
	}
	expect_all(f, want);
	assert_int_equal(f->p->loss_count, 0);
}

/* The truncated file has another name by now: what has its first one comes after it. */
static void a_file_copied_truncated_and_rotated_at_once_keeps_the_order(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n22\n");
	start_never_quiet(f);
	expect(f, "<1><22>");
	pause_thread(f);
	append(f, "a.log", "3\n");
	copy(f, "a.log", "a.log.1");
	cut(f, "a.log");
	append(f, "a.log", "4\n");
	move(f, "a.log", "a.log.2");
	append(f, "a.log", "5\n");
	move(f, "a.log", "a.log.3");
	append(f, "a.log", "6\n");
	resume_thread(f);
	expect_all(f, "<1><22><3><4><5><6>");
}

static void a_copy_whose_original_is_deleted_is_not_read_again(void **state)
{
	struct fixture *f = *state;

	f->idle = 300;
	append(f, "a.log", "1\n2\n");
	start_never_quiet(f);
	expect(f, "<1><2>");
	pause_thread(f);
	append(f, "a.log", "3\n");
	copy(f, "a.log", "b.log");
	assert_int_equal(unlink(at(f, "a.log")), 0);
	resume_thread(f);
	expect_all(f, "<1><2><3>");
	append(f, "b.log", "4\n");
	expect(f, "<1><2><3><end><4>");
}

static void an_unfinished_batch_is_built_again_from_the_copy(void **state)
{
	struct fixture *f = *state;
	struct batch *b;
	int n = 1;

	append(f, "a.log", "1\n2\n");
	start_never_quiet(f);
	expect(f, "<1><2>");
	b = batch_of_records(f, 0, 2);
	batch_drop_bytes(b, f->p->budget);
	pause_thread(f);
	copy(f, "a.log", "a.log.1");
	cut(f, "a.log");
	append(f, "a.log", "3\n");
	resume_thread(f);
	expect_all(f, "<1><2><3>");
	tail_rebuild(f->t, b);
	assert_true(double_wait(f->p, was_loaded, &n));
	assert_int_equal(f->p->loaded_rc, 0);
	assert_false(batch_absent(b));
	batch_free(b, f->p->budget);
}

/* Memory is dry: the original was not read at all when it was copied and truncated. */
static void a_copy_of_a_file_that_was_not_read_comes_before_what_follows(void **state)
{
	struct fixture *f = *state;

	start_never_quiet(f);
	double_dry(f->p, true);
	append(f, "a.log", "1\n2\n");
	expect_refusal(f);
	pause_thread(f);
	copy(f, "a.log", "a.log.1");
	cut(f, "a.log");
	append(f, "a.log", "3\n");
	resume_thread(f);
	expect_seen(f, "a.log.1");
	double_dry(f->p, false);
	expect_all(f, "<1><2><3>");
}

/* --- over a restart --- */

#define LINES "a line that is long enough to be no chance, 1\na line that is long enough to be no chance, 2\n"
#define VALUES "<a line that is long enough to be no chance, 1><a line that is long enough to be no chance, 2>"

static void read_lines_and_stop(struct fixture *f)
{
	append(f, "a.log", LINES);
	start_never_quiet(f);
	expect(f, VALUES);
	stop(f);
	remember(f, 0, "a.log", 1, (int64_t)strlen(LINES));
}

static void a_copy_made_while_nobody_ran_goes_on_where_its_original_was(void **state)
{
	struct fixture *f = *state;

	read_lines_and_stop(f);
	append(f, "a.log", "3\n");
	copy(f, "a.log", "other.log");
	cut(f, "a.log");
	append(f, "a.log", "4\n");
	start_never_quiet(f);
	expect_all(f, VALUES "<3><4>");
	assert_int_equal(file_of(f, 2), 1);
	assert_true(file_of(f, 3) > 1);
	assert_int_equal(f->p->loss_count, 0);
}

static void a_copy_of_what_is_gone_goes_on_too(void **state)
{
	struct fixture *f = *state;

	read_lines_and_stop(f);
	append(f, "a.log", "3\n");
	copy(f, "a.log", "other.log");
	assert_int_equal(unlink(at(f, "a.log")), 0);
	start_never_quiet(f);
	expect_all(f, VALUES "<3>");
	assert_int_equal(file_of(f, 2), 1);
}

/* The fingerprint covers what was read, which need not be finished. */
static void remember_head(struct fixture *f, const char *name, uint32_t len)
{
	struct file as = { .fd = open(at(f, name), O_RDONLY) };

	f->known[0].file.fingerprint_len = len;
	assert_int_equal(identity_read_head(&as, len, &f->known[0].file.fingerprint), 0);
	close(as.fd);
}

/* The one that wrote it was quicker than the copy; then the agent was killed. */
static void a_copy_shorter_than_what_was_finished_is_not_read_again(void **state)
{
	struct fixture *f = *state;
	struct file as = { .fd = -1 };

	append(f, "a.log", LINES);
	copy(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	remember(f, 0, "a.log", 1, (int64_t)strlen(LINES) + 2);
	f->known[0].markers[0].offset = (int64_t)strlen(LINES) / 2;
	f->known[0].marker_count = 1;
	as.fd = open(at(f, "a.log"), O_RDONLY);
	assert_int_equal(identity_read_marker(&as, f->known[0].markers[0].offset, &f->known[0].markers[0].hash), 0);
	close(as.fd);
	remember_head(f, "a.log", 40);
	cut(f, "a.log");
	append(f, "a.log", "4\n");
	start_never_quiet(f);
	expect_all(f, "<4>");
	assert_int_equal(f->p->finished_count, 1);
	assert_int_equal(f->p->finished[0].to, strlen(LINES));
}

/* The copy was there, and waited, when the agent was killed. Its row says nothing. */
static void a_copy_that_waited_when_the_agent_was_killed_is_one_still(void **state)
{
	struct fixture *f = *state;

	read_lines_and_stop(f);
	append(f, "a.log", "3\n");
	copy(f, "a.log", "a.log.1");
	remember(f, 1, "a.log.1", 2, 0);
	cut(f, "a.log");
	append(f, "a.log", "4\n");
	start_never_quiet(f);
	expect_all(f, VALUES "<3><4>");
	assert_int_equal(file_of(f, 2), 1);
	assert_true(file_of(f, 3) > 2);
}

#define OTHER "another line, longer than each of those, and not the same, "
#define REWRITTEN "<" OTHER "4><" OTHER "5><6><7>"

/* An earlier life read all of a.log; its last line is in a batch that is not answered. Between the look at who the file is and
 * its first turn it is copied, and rewritten, longer than it was. */
static void rewrite_between_look_and_read(struct fixture *f, int64_t safe, bool copied)
{
	struct tail_skip promised = { safe, (int64_t)strlen(LINES) };

	append(f, "a.log", LINES "3\n");
	remember(f, 0, "a.log", 1, safe);
	remember_head(f, "a.log", (uint32_t)promised.to);
	f->known[0].skips = &promised;
	f->known[0].skip_count = 1;
	f->p->pause = true;
	start_never_quiet(f);
	assert_true(double_wait(f->p, is_paused, NULL));
	if (copied)
		copy(f, "a.log", "a.log.1");
	cut(f, "a.log");
	append(f, "a.log", OTHER "4\n" OTHER "5\n" "6\n" "7\n");
	resume_thread(f);
}

static void a_file_rewritten_between_the_look_at_it_and_its_first_read_is_read_from_its_beginning(void **state)
{
	struct fixture *f = *state;

	rewrite_between_look_and_read(f, strlen(LINES) / 2, false);
	expect_all(f, REWRITTEN);
	assert_true(file_of(f, 0) > 1);
	assert_int_equal(f->p->loss_count, 1);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_TRUNCATED);
	assert_int_equal(f->p->losses[0].from, strlen(LINES));
	assert_int_equal(f->p->losses[0].bytes, 2);
}

static void its_copy_goes_on_behind_what_was_promised_of_it(void **state)
{
	struct fixture *f = *state;

	rewrite_between_look_and_read(f, strlen(LINES) / 2, true);
	expect_all(f, "<3>" REWRITTEN);
	assert_int_equal(file_of(f, 0), 1);
	assert_true(file_of(f, 1) > 1);
	assert_int_equal(f->p->loss_count, 0);
}

static void the_same_where_nothing_of_it_was_finished(void **state)
{
	struct fixture *f = *state;

	rewrite_between_look_and_read(f, 0, true);
	expect_all(f, "<3>" REWRITTEN);
	assert_int_equal(file_of(f, 0), 1);
	assert_true(file_of(f, 1) > 1);
	assert_int_equal(f->p->loss_count, 0);
}

static void what_was_seen_of_a_file_rewritten_while_nobody_ran_is_a_loss(void **state)
{
	struct fixture *f = *state;

	read_lines_and_stop(f);
	f->known[0].file.size += 100;
	cut(f, "a.log");
	append(f, "a.log", "4\n");
	start_never_quiet(f);
	expect_all(f, VALUES "<4>");
	assert_int_equal(f->p->loss_count, 1);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_TRUNCATED);
	assert_int_equal(f->p->losses[0].bytes, 100);
}

static void what_a_power_loss_left_of_a_small_file_is_read_as_uncertain(void **state)
{
	struct fixture *f = *state;

	f->other_boot = true;
	append(f, "a.log", "1\n2\n");
	remember(f, 0, "a.log", 1, 4);
	assert_int_equal(truncate(at(f, "a.log"), 2), 0);
	start_never_quiet(f);
	expect_all(f, "<1>");
	assert_int_equal(f->p->loss_count, 1);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_UNCERTAIN);
	assert_int_equal(f->p->losses[0].from, 0);
	assert_int_equal(f->p->losses[0].to, 2);
}

/* Rows are kept for a week by a clock that may have been wrong. */
static void a_clock_that_jumps_forgets_no_row_too_early(void **state)
{
	struct fixture *f = *state;

	append(f, "gone", "1\n");
	remember(f, 0, "gone", 1, 2);
	f->known[0].file.state = FILE_DONE;
	f->known[0].file.gone_ms = clock_wall_ms() - 86400000;
	remember(f, 1, "gone", 2, 2);
	f->known[1].file.state = FILE_DONE;
	f->known[1].file.gone_ms = clock_wall_ms() + 365 * 86400000LL;
	open_tail(f);
	f->t->began_wall_ms -= 30 * 86400000LL;		/* as if the clock had jumped forwards since */
	f->t->pace.keep_rows = 3600000;
	known_expire(f->t);
	assert_int_equal(list_count(&f->t->known), 2);
	f->t->began_wall_ms += 30 * 86400000LL;
	known_expire(f->t);
	assert_int_equal(list_count(&f->t->known), 1);
	f->t->pace.keep_rows = -1;
	known_expire(f->t);
	assert_int_equal(list_count(&f->t->known), 0);
}

/* The same few bytes under a name that has nothing to do with it prove nothing. */
static void a_few_equal_bytes_make_no_copy(void **state)
{
	struct fixture *f = *state;

	append(f, "a.log", "1\n");
	remember(f, 0, "a.log", 1, 2);
	append(f, "other.log", "1\n2\n");
	cut(f, "a.log");
	append(f, "a.log", "3\n");
	start_never_quiet(f);
	double_wait(f->p, has_records, &(size_t){ 3 });
	expect_decided(f);
	assert_int_equal(f->p->record_count, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_copies, teardown)
static const struct CMUnitTest tests[] = {
	TEST(what_was_written_before_the_truncation_comes_from_the_copy),
	TEST(a_copy_waits_as_long_as_its_original_holds_its_bytes),
	TEST(a_copy_that_ends_before_the_position_gives_nothing_again),
	TEST(it_waits_until_what_it_repeats_is_finished),
	TEST(what_differs_is_a_file_of_its_own),
	TEST(what_stays_the_same_for_a_while_is_a_file_of_its_own),
	TEST(a_copy_in_progress_is_recognised_while_it_grows),
	TEST(a_copy_that_was_empty_a_moment_ago_is_not_read_unseen),
	TEST(a_copy_that_is_finished_while_it_is_compared_is_one),
	TEST(without_a_copy_what_was_seen_and_not_read_is_a_loss),
	TEST(a_writer_that_does_not_append_leaves_a_hole_that_is_skipped),
	TEST(copies_that_are_shifted_on_are_each_read_on_once),
	TEST(a_file_copied_truncated_and_rotated_at_once_keeps_the_order),
	TEST(a_copy_whose_original_is_deleted_is_not_read_again),
	TEST(an_unfinished_batch_is_built_again_from_the_copy),
	TEST(a_copy_of_a_file_that_was_not_read_comes_before_what_follows),
	TEST(a_copy_made_while_nobody_ran_goes_on_where_its_original_was),
	TEST(a_copy_of_what_is_gone_goes_on_too),
	TEST(a_copy_shorter_than_what_was_finished_is_not_read_again),
	TEST(a_copy_that_waited_when_the_agent_was_killed_is_one_still),
	TEST(a_file_rewritten_between_the_look_at_it_and_its_first_read_is_read_from_its_beginning),
	TEST(its_copy_goes_on_behind_what_was_promised_of_it),
	TEST(the_same_where_nothing_of_it_was_finished),
	TEST(what_was_seen_of_a_file_rewritten_while_nobody_ran_is_a_loss),
	TEST(what_a_power_loss_left_of_a_small_file_is_read_as_uncertain),
	TEST(a_clock_that_jumps_forgets_no_row_too_early),
	TEST(a_few_equal_bytes_make_no_copy),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

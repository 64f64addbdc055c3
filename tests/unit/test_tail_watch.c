/* test_tail_watch.c - how changes are seen: limits of inotify, polling, old files, permissions, names and network file systems.
 *
 * The kernel's answers that cannot be had here are given by functions of this program, which stand before the C library's. */
#include "tests/lib/tail_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* What the kernel says from now on; the tail thread reads it. */
static atomic_int no_instances, no_watches, watches_added;
static atomic_bool network;
static atomic_bool net_is_local;		/* what hangs is a disk */
static atomic_llong stale_size = -1;		/* what fstat says of files, if not negative */
static atomic_bool hang, hung;			/* the next question of a probe, and then whatever touches "/net/" */
static atomic_bool touched;			/* by anybody else, meanwhile */
static atomic_int stale_handles;		/* so many reads are answered with ESTALE */

int inotify_init1(int flags)
{
	if (no_instances) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_inotify_init1, flags);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	if (no_watches) {
		errno = ENOSPC;
		return -1;
	}
	watches_added++;
	return (int)syscall(SYS_inotify_add_watch, fd, path, mask);
}

static bool is_net(const char *path)
{
	return strstr(path, "/net") != NULL;
}

static char main_name[16];

/* A thread is named by the one that started it, when it may be at work already: until then it has that one's name. */
static bool is_probe(void)
{
	char name[16] = "";

	do {
		pthread_getname_np(pthread_self(), name, sizeof name);
	} while (getpid() != gettid() && !strcmp(name, main_name) && usleep(100) == 0);
	return !strcmp(name, "probe");
}

static void touch(const char *path)
{
	if (!is_net(path) || !(hang || hung))
		return;
	if (!is_probe()) {
		touched = touched || hung;
		return;
	}
	hung = true;
	while (hang)
		usleep(1000);
	hung = false;
}

static const char *path_of(int fd)
{
	static _Thread_local char path[512];
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = 0;
	return path;
}

int fstatfs(int fd, struct statfs *st)
{
	long rc = syscall(SYS_fstatfs, fd, st);

	if (rc == 0 && (network || (is_net(path_of(fd)) && !net_is_local)))
		st->f_type = 0x6969;
	return (int)rc;
}

int statfs(const char *path, struct statfs *st)
{
	long rc = syscall(SYS_statfs, path, st);

	touch(path);
	if (rc == 0 && (network || (is_net(path) && !net_is_local)))
		st->f_type = 0x6969;
	return (int)rc;
}

/* From when on a truncation is believed, it would take for ever to believe it again. */
static struct tail *believes_once;

static void watch_beliefs(void)
{
	struct tail *t = believes_once;

	if (!t || !pthread_equal(pthread_self(), t->thread))
		return;
	list_each(it, &t->files)
		if (list_entry(it, struct file, node)->suspect)
			t->pace.doubt = 600000;
}

int fstat(int fd, struct stat *st)
{
	long rc = syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);

	touch(path_of(fd));
	watch_beliefs();
	if (rc == 0 && network && stale_size >= 0 && S_ISREG(st->st_mode))
		st->st_size = stale_size;
	return (int)rc;
}

int lstat(const char *path, struct stat *st)
{
	touch(path);
	return (int)syscall(SYS_newfstatat, AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	touch(path_of(fd));
	if (stale_handles > 0) {
		stale_handles--;
		errno = ESTALE;
		return -1;
	}
	return syscall(SYS_pread64, fd, p, n, at);
}

static int setup_watch(void **state)
{
	no_instances = no_watches = watches_added = stale_handles = 0;
	network = net_is_local = hang = touched = false;
	stale_size = -1;
	believes_once = NULL;
	return setup(state);
}

static bool has_reason(struct fixture *f, const char *what)
{
	char *s = tail_reasons(f->t);
	bool has = strstr(s, what) != NULL;

	mem_free(s);
	return has;
}

static void expect_reason(struct fixture *f, const char *what, bool there)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;)
		if (has_reason(f, what) == there)
			return;
	fail_msg("%s: %s", what, there ? "never a reason" : "always a reason");
}

static void lives_without_inotify_and_with_it_again(struct fixture *f, atomic_int *limit)
{
	append(f, "a.log", "1\n");
	*limit = 1;
	start(f);
	expect(f, "<1>");
	expect_reason(f, "inotify limit", true);
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	move(f, "a.log", "a.log.1");
	append(f, "a.log", "3\n");
	expect(f, "<1><2><3>");
	*limit = 0;
	expect_reason(f, "inotify limit", false);
	append(f, "a.log", "4\n");		/* no walk for ten minutes: an event tells */
	expect(f, "<1><2><3><4>");
}

static void files_are_polled_while_no_instance_can_be_had(void **state)
{
	lives_without_inotify_and_with_it_again(*state, &no_instances);
}

static void files_are_polled_while_no_watch_can_be_had(void **state)
{
	lives_without_inotify_and_with_it_again(*state, &no_watches);
}

static void an_input_that_polls_watches_nothing(void **state)
{
	struct fixture *f = *state;

	f->in[0].watch = CONF_WATCH_POLL;
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	append(f, "b.log", "b\n");
	expect(f, "<1><2><b>");
	assert_int_equal(watches_added, 0);
	assert_false(has_reason(f, "inotify"));
}

static void a_stop_notices_names_that_went_since_the_last_look(void **state)
{
	struct fixture *f = *state;

	f->in[0].watch = CONF_WATCH_POLL;
	append(f, "a.log", "a\n");
	append(f, "b.log", "b\n");
	append(f, "c.log", "c\n");
	open_tail(f);
	f->t->pace.poll = 600000;
	assert_int_equal(tail_start(f->t), 0);
	expect_seen(f, "a.log");
	expect_seen(f, "b.log");
	expect_seen(f, "c.log");
	move(f, "a.log", "a.log.1");
	assert_int_equal(unlink(at(f, "b.log")), 0);
	tail_stop(f->t);
	assert_true(tail_file_vanishing(f->t, files_by_path(f->t, at(f, "a.log"))->id));
	assert_true(tail_file_vanishing(f->t, files_by_path(f->t, at(f, "b.log"))->id));
	assert_false(tail_file_vanishing(f->t, files_by_path(f->t, at(f, "c.log"))->id));
}

static void files_of_a_network_file_system_are_polled(void **state)
{
	struct fixture *f = *state;

	network = true;
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
	assert_int_equal(watches_added, 0);
}

static void an_input_that_wants_inotify_gets_it_on_a_network_file_system(void **state)
{
	struct fixture *f = *state;

	network = true;
	f->in[0].watch = CONF_WATCH_INOTIFY;
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	assert_true(watches_added > 0);
	append(f, "a.log", "2\n");
	expect(f, "<1><2>");
}

struct question { const char *path; bool doubts; };

static void ask(struct tail *t, void *arg)
{
	struct question *q = arg;
	const struct file *f = files_by_path(t, q->path);

	q->doubts = f && f->doubt_ms;
}

static bool doubts(struct fixture *f, const char *name)
{
	struct question q = { .path = at(f, name) };

	calls_do(f->t, ask, &q);
	return q.doubts;
}

static void expect_doubt(struct fixture *f, const char *name, bool doubt)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until;)
		if (doubts(f, name) == doubt)
			return;
	fail_msg("%s: %s", name, doubt ? "never doubted" : "always doubted");
}

static void start_on_network(struct fixture *f, int64_t doubt_ms)
{
	network = true;
	append(f, "a.log", "1\n22\n");
	open_tail(f);
	f->t->pace.doubt = doubt_ms;
	assert_int_equal(tail_start(f->t), 0);
	expect(f, "<1><22>");
}

static void a_size_that_shrinks_for_a_moment_is_not_believed_on_a_network_file_system(void **state)
{
	struct fixture *f = *state;

	start_on_network(f, 600000);
	stale_size = 2;
	append(f, "a.log", "3\n");
	expect_doubt(f, "a.log", true);
	stale_size = -1;
	expect_doubt(f, "a.log", false);
	expect(f, "<1><22><3>");
	check_ranges(f->p, 1, 0);
	assert_int_equal(f->p->file_count, 1);
}

static void a_file_that_stays_smaller_on_a_network_file_system_was_truncated(void **state)
{
	struct fixture *f = *state;

	start_on_network(f, 50);
	pause_thread(f);
	believes_once = f->t;
	assert_int_equal(truncate(at(f, "a.log"), 0), 0);
	append(f, "a.log", "3\n");
	resume_thread(f);
	expect(f, "<1><22><3>");
	assert_int_equal(f->p->file_count, 3);		/* with the one that paused it */
}

static void a_stale_handle_is_opened_again(void **state)
{
	struct fixture *f = *state;

	start_on_network(f, 600000);
	stale_handles = 1;
	append(f, "a.log", "3\n");
	expect(f, "<1><22><3>");
	check_ranges(f->p, 1, 0);
	assert_int_equal(f->p->file_count, 1);
	assert_int_equal(stale_handles, 0);
}

static void expect_hung(bool is)
{
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until; usleep(1000))
		if (hung == is)
			return;
	fail_msg("%s", is ? "nobody asks" : "hangs for ever");
}

static void start_beside_network(struct fixture *f)
{
	assert_int_equal(mkdir(at(f, "net"), 0755), 0);
	f->conf.input_count = 2;
	snprintf(f->paths[1], 256, "%s/net/*.log", f->dir);
	append(f, "a.log", "1\n");
	start(f);
	expect(f, "<1>");
	append(f, "net/r.log", "r1\n");
	expect(f, "<1><r1>");
}

static void a_server_that_hangs_holds_up_its_own_files_only(void **state)
{
	struct fixture *f = *state;

	start_beside_network(f);
	hang = true;
	expect_hung(true);
	append(f, "net/r.log", "r2\n");
	append(f, "a.log", "2\n");
	expect(f, "<1><r1><2>");
	expect_reason(f, "does not answer", true);
	append(f, "b.log", "3\n");
	expect(f, "<1><r1><2><3>");
	assert_false(touched);
	hang = false;
	expect(f, "<1><r1><2><3><r2>");
	expect_reason(f, "does not answer", false);
}

static void a_server_that_hangs_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;

	start_beside_network(f);
	hang = true;
	expect_hung(true);
	stop(f);
	assert_false(touched);
	hang = false;
	expect_hung(false);
}

static void a_server_that_hangs_at_the_start_is_waited_for_by_its_own_files_only(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(at(f, "net"), 0755), 0);
	append(f, "net/r.log", "1\n2\n");
	remember(f, 0, "net/r.log", 7, 2);
	f->conf.input_count = 2;
	snprintf(f->paths[1], 256, "%s/net/*.log", f->dir);
	append(f, "a.log", "a\n");
	hang = true;
	open_tail(f);
	f->t->pace.gate = 50;
	assert_int_equal(tail_start(f->t), 0);
	expect(f, "<a>");
	assert_false(touched);
	hang = false;
	expect(f, "<a><2>");			/* it was not given up meanwhile */
	check_ranges(f->p, 7, 2);
}

/* Whoever is slow, the disk or a busy machine: what is there at the first start is what the first walk finds. */
static void a_start_waits_for_a_directory_that_answers_late(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(at(f, "net"), 0755), 0);
	snprintf(f->paths[0], 256, "%s/net/*.log", f->dir);
	f->in[0].read_from = CONF_READ_END;
	append(f, "net/a.log", "old\n");
	net_is_local = hang = true;
	start(f);
	expect_hung(true);
	for (int64_t until = clock_mono_ms() + 500; clock_mono_ms() < until;)
		usleep(10000);
	hang = false;
	expect_seen(f, "net/a.log");
	append(f, "net/a.log", "new\n");
	expect(f, "<new>");
}

/* --- old files --- */

static void make_old(struct fixture *f, const char *name)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - 3600 } };

	assert_int_equal(utimensat(AT_FDCWD, at(f, name), t, 0), 0);
}

static void an_old_file_is_not_read_until_it_is_written_again(void **state)
{
	struct fixture *f = *state;

	f->in[0].ignore_older_ms = 60000;
	append(f, "old.log", "1\n");
	append(f, "young.log", "a\n");
	make_old(f, "old.log");
	start(f);
	expect(f, "<a>");
	assert_false(file_is(f, "old.log", "active", NULL));
	append(f, "old.log", "2\n");
	expect(f, "<a><1><2>");
}

static void an_old_file_that_is_known_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;

	f->in[0].ignore_older_ms = 60000;
	append(f, "old.log", "1\n");
	make_old(f, "old.log");
	remember(f, 0, "old.log", 7, 2);
	append(f, "young.log", "a\n");
	start(f);
	expect(f, "<a>");
	assert_false(file_is(f, "old.log", "active", NULL));	/* nor did the search for missing ones open it */
	append(f, "old.log", "2\n");
	expect(f, "<a><2>");
	check_ranges(f->p, 7, 2);
}

static void what_is_known_to_be_unread_of_an_old_file_is_read(void **state)
{
	struct fixture *f = *state;

	f->in[0].ignore_older_ms = 60000;
	append(f, "old.log", "1\n2\n");
	make_old(f, "old.log");
	remember(f, 0, "old.log", 7, 2);
	start(f);
	expect(f, "<2>");
}

/* --- read_from: end --- */

static void only_what_is_there_at_the_very_first_start_begins_at_its_end(void **state)
{
	struct fixture *f = *state;

	f->in[0].read_from = CONF_READ_END;
	append(f, "a.log", "1\n2\nrest");
	start(f);
	expect_seen(f, "a.log");
	append(f, "b.log", "b1\n");
	expect(f, "<b1>");
	append(f, "a.log", " of it\n3\n");
	expect(f, "<b1><rest of it><3>");
}

static void an_old_file_begins_at_its_end_as_well(void **state)
{
	struct fixture *f = *state;

	f->in[0].read_from = CONF_READ_END;
	f->in[0].ignore_older_ms = 60000;
	append(f, "a.log", "1\n");
	make_old(f, "a.log");
	start(f);
	expect_seen(f, "a.log");
	append(f, "b.log", "b1\n");
	expect(f, "<b1>");
	append(f, "a.log", "2\n");
	expect(f, "<b1><2>");
}

/* --- names and links that are traps --- */

static void a_hard_link_into_a_directory_of_others_is_refused_and_said(void **state)
{
	struct fixture *f = *state;
	int fd;

	if (geteuid() != 0)
		skip();
	fd = open(at(f, "shadow"), O_WRONLY | O_CREAT, 0600);
	put(fd, "secret\n");
	close(fd);
	assert_int_equal(link(at(f, "shadow"), at(f, "a.log")), 0);
	assert_int_equal(chmod(f->dir, 0777), 0);
	append(f, "b.log", "1\n");
	start(f);
	expect(f, "<1>");
	expect_reason(f, "hard link", true);
	assert_int_equal(unlink(at(f, "shadow")), 0);		/* the only name left: it is the application's own */
	assert_int_equal(chmod(at(f, "a.log"), 0600), 0);
	expect(f, "<1><secret>");
	expect_reason(f, "hard link", false);
}

static void a_name_with_control_bytes_is_read_and_makes_no_line_of_its_own(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->dir, 0777), 0);
	append(f, "shadow", "no\n");
	assert_int_equal(chmod(at(f, "shadow"), 0600), 0);
	assert_int_equal(link(at(f, "shadow"), at(f, "x\nforged: reason\033[2J.log")), 0);
	append(f, "b\n.log", "1\n");
	start(f);
	expect(f, "<1>");
	expect_reason(f, "forged", true);
	assert_false(has_reason(f, "\nforged"));
	assert_false(has_reason(f, "\033"));
}

static void a_fifo_that_matches_holds_nothing_up(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkfifo(at(f, "a.log"), 0644), 0);
	append(f, "b.log", "1\n");
	start(f);
	expect(f, "<1>");
}

/* --- turns --- */

/* On the tail thread, between two rounds: `backlog` files (b0 ...) and then `live` ones (l0 ...) have something to read. */
struct round { struct fixture *f; int backlog, live; };

static void make_ready(struct fixture *f, const char *kind, int i, bool at_end)
{
	char name[32], line[32];
	struct file *file;

	snprintf(name, sizeof name, "%s%d.log", kind, i);
	snprintf(line, sizeof line, "%s%d\n", kind, i);
	append(f, name, line);
	file = files_by_path(f->t, at(f, name));
	assert_non_null(file);
	file->at_end = at_end;
	files_ready(f->t, file);
}

static void begin_round(struct tail *t, void *arg)
{
	const struct round *r = arg;

	(void)t;
	for (int i = 0; i < r->backlog; i++)
		make_ready(r->f, "b", i, false);
	for (int i = 0; i < r->live; i++)
		make_ready(r->f, "l", i, true);
}

static void play_round(struct fixture *f, int backlog, int live, const char *want)
{
	struct round r = { f, backlog, live };
	char name[32];

	for (int i = 0; i < backlog + live; i++) {
		snprintf(name, sizeof name, i < backlog ? "b%d.log" : "l%d.log", i < backlog ? i : i - backlog);
		append(f, name, "");
	}
	start(f);
	for (int i = 0; i < backlog + live; i++) {
		snprintf(name, sizeof name, i < backlog ? "b%d.log" : "l%d.log", i < backlog ? i : i - backlog);
		expect_seen(f, name);
	}
	calls_do(f->t, begin_round, &r);
	expect(f, want);
}

static void what_is_written_to_a_quiet_file_does_not_wait_for_a_backlog(void **state)
{
	play_round(*state, 4, 2, "<l0><l1><b0><b1><b2><b3>");
}

static void a_backlog_goes_on_beside_many_live_files(void **state)
{
	play_round(*state, 2, 18, "<l0><l1><l2><l3><l4><l5><l6><l7><b0><l8><l9><l10><l11><l12><l13><l14><l15><b1><l16><l17>");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_watch, teardown)
static const struct CMUnitTest tests[] = {
	TEST(files_are_polled_while_no_instance_can_be_had),
	TEST(files_are_polled_while_no_watch_can_be_had),
	TEST(an_input_that_polls_watches_nothing),
	TEST(a_stop_notices_names_that_went_since_the_last_look),
	TEST(files_of_a_network_file_system_are_polled),
	TEST(an_input_that_wants_inotify_gets_it_on_a_network_file_system),
	TEST(a_size_that_shrinks_for_a_moment_is_not_believed_on_a_network_file_system),
	TEST(a_file_that_stays_smaller_on_a_network_file_system_was_truncated),
	TEST(a_stale_handle_is_opened_again),
	TEST(a_server_that_hangs_holds_up_its_own_files_only),
	TEST(a_server_that_hangs_does_not_hold_up_the_end),
	TEST(a_server_that_hangs_at_the_start_is_waited_for_by_its_own_files_only),
	TEST(a_start_waits_for_a_directory_that_answers_late),
	TEST(an_old_file_is_not_read_until_it_is_written_again),
	TEST(an_old_file_that_is_known_goes_on_where_it_was),
	TEST(what_is_known_to_be_unread_of_an_old_file_is_read),
	TEST(only_what_is_there_at_the_very_first_start_begins_at_its_end),
	TEST(an_old_file_begins_at_its_end_as_well),
	TEST(a_hard_link_into_a_directory_of_others_is_refused_and_said),
	TEST(a_name_with_control_bytes_is_read_and_makes_no_line_of_its_own),
	TEST(a_fifo_that_matches_holds_nothing_up),
	TEST(what_is_written_to_a_quiet_file_does_not_wait_for_a_backlog),
	TEST(a_backlog_goes_on_beside_many_live_files),
};

int main(int argc, char **argv)
{
	pthread_getname_np(pthread_self(), main_name, sizeof main_name);
	return test_main(argc, argv, tests, COUNT(tests));
}

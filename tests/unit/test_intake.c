/* test_intake.c - the intake thread with real sockets and pipes, and a producer that only remembers (lane_double.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "agent/intake/intake_inside.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "tests/lib/lane_double.h"
#include "tests/lib/tree.h"
#include "tests/lib/unit.h"

struct fixture {
	char dir[64], listen[128];
	struct producer *p;
	struct intake *i;
	struct conf conf;
	struct conf_input in;
	struct tail_known known;
	bool is_known, once;
	const char *spec;
	int64_t next_file_id;
	uint32_t next_route_id;
	int stdin_was, pipe[2];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	log_setup(LOG_LEVEL_ERROR, false);
	snprintf(f->dir, sizeof f->dir, "/tmp/spillway-intake-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->p = double_new(4u << 20);
	f->in = (struct conf_input){ .name = (char *)"in", .type = CONF_TYPE_SYSLOG, .listen = f->listen, .max_line = 1000,
				     .topic = (char *)"t-%{input}", .partition = -1 };
	f->conf = (struct conf){ .inputs = &f->in, .input_count = 1, .max_lanes = 10 };
	f->next_file_id = 7;
	f->next_route_id = 1;
	f->stdin_was = f->pipe[1] = -1;
	*state = f;
	return 0;
}

static int try_open(struct fixture *f, struct err *e)
{
	struct intake_conf c = { .conf = &f->conf, .producer = f->p, .hooks = double_hooks(f->p), .hostname = "h", .once = f->once,
				 .known = &f->known, .known_count = f->is_known, .next_file_id = &f->next_file_id,
				 .next_route_id = &f->next_route_id, .specs = f->spec ? &f->spec : NULL };

	return intake_open(&c, &f->i, e);
}

static void start(struct fixture *f)
{
	struct err e = { 0 };

	if (try_open(f, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(intake_start(f->i), 0);
}

static void listen_on(struct fixture *f, const char *what)
{
	if (strcmp(what, "unix") != 0)
		snprintf(f->listen, sizeof f->listen, "%s", what);
	else
		snprintf(f->listen, sizeof f->listen, "unix:%s/log", f->dir);
	start(f);
}

/* Standard input becomes a pipe that the test writes to. */
static void pipe_stdin(struct fixture *f)
{
	f->in.type = CONF_TYPE_STDIN;
	f->in.listen = NULL;
	assert_int_equal(pipe(f->pipe), 0);
	f->stdin_was = dup(STDIN_FILENO);
	assert_true(dup2(f->pipe[0], STDIN_FILENO) == STDIN_FILENO);
	close(f->pipe[0]);
	start(f);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	intake_close(f->i);
	if (f->pipe[1] >= 0)
		close(f->pipe[1]);
	if (f->stdin_was >= 0) {
		dup2(f->stdin_was, STDIN_FILENO);
		close(f->stdin_was);
	}
	double_free(f->p);
	tree_remove(f->dir);
	free(f);
	return 0;
}

/* --- the other ends --- */

static int connect_to(struct fixture *f, int type)
{
	struct tail_file_info *rows;
	struct sockaddr_in a = { .sin_family = AF_INET };
	size_t n;
	int fd = socket(AF_INET, type, 0);

	assert_int_equal(intake_files(f->i, &rows, &n), 0);
	a.sin_port = htons((uint16_t)strtol(strrchr(rows[0].path, ':') + 1, NULL, 10));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	mem_free(rows[0].path);
	mem_free(rows);
	return fd;
}

static int connect_unix(struct fixture *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s/log", f->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static bool has_records(struct producer *p, void *arg)
{
	return p->record_count >= *(size_t *)arg;
}

static bool was_refused(struct producer *p, void *arg)
{
	return p->refused > *(uint64_t *)arg;
}

static bool has_losses(struct producer *p, void *arg)
{
	return p->loss_count >= *(size_t *)arg;
}

static void wait_records(struct fixture *f, size_t n)
{
	if (!double_wait(f->p, has_records, &n))
		fail_msg("%zu of %zu records", f->p->record_count, n);
}

static void wait_losses(struct fixture *f, size_t n)
{
	assert_true(double_wait(f->p, has_losses, &n));
}

static void assert_value(struct fixture *f, size_t i, const char *want)
{
	char *value = NULL;

	pthread_mutex_lock(&f->p->mu);
	if (i < f->p->record_count)
		value = f->p->records[i].value;		/* once it is there it stays */
	pthread_mutex_unlock(&f->p->mu);
	assert_non_null(value);
	assert_string_equal(value, want);
}

/* --- tests --- */

static void each_record_has_a_range_of_what_its_stream_gave(void **state)
{
	struct fixture *f = *state;
	const struct double_record *r;

	pipe_stdin(f);
	say(f->pipe[1], "one\r\n\nthr");
	wait_records(f, 2);
	say(f->pipe[1], "ee\n");
	wait_records(f, 3);
	r = f->p->records;
	assert_value(f, 0, "one");
	assert_value(f, 1, "");
	assert_value(f, 2, "three");
	assert_true(r[0].source.file_id == 7 && r[0].source.from == 0 && r[0].source.to == 5 && r[0].source.count == 1);
	assert_true(r[1].source.from == 5 && r[1].source.to == 6 && r[2].source.from == 6 && r[2].source.to == 12);
	assert_string_equal(r[0].lane->topic, "t-in");
	assert_true(r[0].lane->streams);
	assert_true(intake_is_stream(f->i, 7) && !intake_is_stream(f->i, 8));
	intake_stop(f->i, 1000);
	assert_int_equal(f->p->run_records, 3);
}

static int64_t lag_ms(struct fixture *f)
{
	struct tail_file_info *rows;
	int64_t ms;
	size_t n;

	assert_int_equal(intake_files(f->i, &rows, &n), 0);
	ms = rows[0].lag_ms;
	mem_free(rows[0].path);
	mem_free(rows);
	return ms;
}

/* Looks are made by whoever asks; here the clock is given, of a minute ago. */
static void a_stream_is_behind_since_the_look_before_its_oldest_unfinished_byte(void **state)
{
	struct fixture *f = *state;
	int64_t ago = clock_mono_ms() - 60000;
	size_t one = 1;

	f->p->safe_is_read = false;
	pipe_stdin(f);
	intake_sample(f->i, ago);
	assert_int_equal(lag_ms(f), 0);
	say(f->pipe[1], "one\n");
	double_wait(f->p, has_records, &one);
	do		/* it is counted right behind that */
		intake_sample(f->i, ago);
	while (!lag_ms(f));
	assert_in_range(lag_ms(f), 60000, 600000);
	pthread_mutex_lock(&f->p->mu);
	f->p->safe_is_read = true;
	pthread_mutex_unlock(&f->p->mu);
	intake_sample(f->i, ago + 2000);
	assert_int_equal(lag_ms(f), 0);
}

static void the_last_line_of_stdin_needs_no_end_and_once_is_over_then(void **state)
{
	struct fixture *f = *state;

	f->once = true;
	pipe_stdin(f);
	say(f->pipe[1], "a\nlast");
	wait_records(f, 1);
	assert_false(intake_all_read(f->i));
	close(f->pipe[1]);
	f->pipe[1] = -1;
	wait_records(f, 2);
	assert_value(f, 1, "last");
	intake_stop(f->i, 20000);
	assert_true(intake_all_read(f->i));
	assert_int_equal(f->p->all_read, 1);
}

static void a_tcp_sender_waits_while_memory_is_dry_and_nothing_is_lost(void **state)
{
	struct fixture *f = *state;
	uint64_t refused;
	char line[32];
	int fd;

	listen_on(f, "tcp:127.0.0.1:0");
	fd = connect_to(f, SOCK_STREAM);
	say(fd, "<1>first\n");
	wait_records(f, 1);
	double_dry(f->p, true);
	refused = f->p->refused;
	for (int i = 0; i < 3000; i++) {
		snprintf(line, sizeof line, i % 2 ? "<1>%06d\n" : "9 <1>%06d", i);
		say(fd, line);
	}
	assert_true(double_wait(f->p, was_refused, &refused));
	assert_int_equal(f->p->record_count, 1);
	double_dry(f->p, false);
	wait_records(f, 3001);
	for (int i = 0; i < 3000; i++) {
		snprintf(line, sizeof line, "<1>%06d", i);
		assert_value(f, (size_t)i + 1, line);
	}
	close(fd);
}

static void an_unfinished_message_holds_up_nobody_and_ends_with_its_connection(void **state)
{
	struct fixture *f = *state;
	int slow, fast;

	listen_on(f, "tcp:127.0.0.1:0");
	slow = connect_to(f, SOCK_STREAM);
	fast = connect_to(f, SOCK_STREAM);
	say(slow, "900 <1>half a mess");
	say(fast, "<2>whole\n");
	wait_records(f, 1);
	assert_value(f, 0, "<2>whole");
	close(slow);
	wait_records(f, 2);
	assert_value(f, 1, "<1>half a mess");
	close(fast);
}

/* One of them may be as long as others are, but all that are unfinished have a bound. */
static void counts_that_are_never_filled_cost_no_memory(void **state)
{
	struct fixture *f = *state;
	int fds[64], fd;

	f->in.max_line = 1 << 20;
	listen_on(f, "tcp:127.0.0.1:0");
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = connect_to(f, SOCK_STREAM);
		say(fds[i], "2000000000 <1>x");
	}
	fd = connect_to(f, SOCK_STREAM);
	say(fd, "<1>after them\n");
	wait_records(f, 1);
	assert_value(f, 0, "<1>after them");
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	close(fd);
	wait_records(f, 1 + COUNT(fds));
}

static void datagrams_are_messages_without_their_ends(void **state)
{
	struct fixture *f = *state;
	int fd;

	listen_on(f, "unix");
	fd = connect_unix(f);
	say(fd, "<1>a\n");
	say(fd, "\n");
	say(fd, "no <syslog>");
	wait_records(f, 2);
	assert_value(f, 0, "<1>a");
	assert_value(f, 1, "no <syslog>");
	close(fd);
}

static void what_is_too_long_is_cut_and_said(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(2501);
	int fd;

	memset(text, 'x', 2500);
	text[2500] = 0;
	f->in.long_lines = CONF_LONG_TRUNCATE;
	listen_on(f, "udp:127.0.0.1:0");
	fd = connect_to(f, SOCK_DGRAM);
	say(fd, text);
	wait_records(f, 1);
	wait_losses(f, 1);
	assert_int_equal(f->p->records[0].n, 1000);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_LONG_LINE);
	assert_int_equal(f->p->losses[0].bytes, 1500);
	close(fd);
	free(text);
}

static bool has_rejected(struct producer *p, void *arg)
{
	return p->rejected_count >= *(size_t *)arg;
}

/* As it is when standard input was closed before the agent began (descriptors_fill_standard). */
static void a_standard_input_that_cannot_be_read_has_failed(void **state)
{
	struct fixture *f = *state;
	struct tail_file_info *rows;
	bool failed = false;
	size_t n;

	f->in.type = CONF_TYPE_STDIN;
	f->stdin_was = dup(STDIN_FILENO);
	f->pipe[1] = open("/dev/null", O_WRONLY);
	assert_int_equal(dup2(f->pipe[1], STDIN_FILENO), STDIN_FILENO);
	start(f);
	while (!failed) {
		assert_int_equal(intake_files(f->i, &rows, &n), 0);
		assert_string_not_equal(rows[0].state, "done");
		failed = !strcmp(rows[0].state, "failed");
		mem_free(rows[0].path);
		mem_free(rows);
	}
}

static bool has_run(struct producer *p, void *arg)
{
	return p->discarded > *(uint64_t *)arg;
}

static void *send_on(void *arg)
{
	char line[1024];

	memset(line, 'x', sizeof line);
	line[sizeof line - 1] = '\n';
	while (send(*(int *)arg, line, sizeof line, MSG_NOSIGNAL) >= 0)
		;
	return NULL;
}

/* The agent would not end before its time is over, which is more than a test may take. */
static void a_stop_does_not_wait_for_a_sender_that_never_stops(void **state)
{
	struct fixture *f = *state;
	uint64_t none = 0;
	pthread_t sender;
	int fd;

	f->p->discard = true;
	f->in.max_line = 2000;
	listen_on(f, "tcp:127.0.0.1:0");
	fd = connect_to(f, SOCK_STREAM);
	assert_int_equal(pthread_create(&sender, NULL, send_on, &fd), 0);
	assert_true(double_wait(f->p, has_run, &none));
	intake_stop(f->i, 3600000);
	pthread_join(sender, NULL);
	close(fd);
}

/* A part of the descriptors is for connections, and files leave it to them. */
static void connections_leave_descriptors_to_others(void **state)
{
	struct fixture *f = *state;
	struct rlimit low = { 400, 400 };
	int status;
	pid_t child;

	snprintf(f->listen, sizeof f->listen, "tcp:127.0.0.1:0");
	child = fork();
	assert_true(child >= 0);
	if (!child) {			/* a hard limit cannot always be raised again */
		struct err e;
		bool good = setrlimit(RLIMIT_NOFILE, &low) == 0 && try_open(f, &e) == 0 && intake_descriptors(f->i) == 100;

		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* While nothing is taken the kernel keeps some and drops the rest: all of them are somewhere. */
static void datagrams_that_the_kernel_drops_are_in_the_losses(void **state)
{
	struct fixture *f = *state;
	const size_t sent = 12000;
	uint64_t refused = 0;
	char text[900];
	size_t lost = 0;
	int fd;

	memset(text, 'x', sizeof text);
	listen_on(f, "udp:127.0.0.1:0");
	fd = connect_to(f, SOCK_DGRAM);
	double_dry(f->p, true);
	assert_int_equal(write(fd, text, sizeof text), sizeof text);
	assert_true(double_wait(f->p, was_refused, &refused));
	for (size_t i = 1; i < sent; i++)
		assert_int_equal(write(fd, text, sizeof text), sizeof text);
	wait_losses(f, 1);
	double_dry(f->p, false);
	intake_stop(f->i, 3600000);
	intake_settle(f->i);
	for (size_t i = 0; i < f->p->loss_count; i++) {
		assert_string_equal(f->p->losses[i].reason, SPOOL_LOSS_SOCKET);
		lost += f->p->losses[i].records;
	}
	assert_int_equal(f->p->record_count + lost, sent);
	close(fd);
}

static void append_answers(struct fixture *f, int rc)
{
	pthread_mutex_lock(&f->p->mu);
	f->p->append_rc = rc;
	pthread_mutex_unlock(&f->p->mu);
}

static void what_no_request_takes_is_set_aside_and_the_rest_goes_on(void **state)
{
	struct fixture *f = *state;
	size_t one = 1;

	pipe_stdin(f);
	say(f->pipe[1], "a\n");
	wait_records(f, 1);
	append_answers(f, ERR_TOO_LARGE);
	say(f->pipe[1], "b\n");
	assert_true(double_wait(f->p, has_rejected, &one));
	append_answers(f, 0);
	say(f->pipe[1], "c\n");
	wait_records(f, 2);
	assert_true(f->p->rejected[0].range.from == 2 && f->p->rejected[0].range.to == 4);
	assert_true(f->p->records[1].source.from == 4);
}

/* It may be larger than all of buffer.memory: to wait for that would be to wait for ever. */
static void what_is_set_aside_needs_nothing_of_buffer_memory(void **state)
{
	struct fixture *f = *state;
	size_t one = 1;

	pipe_stdin(f);
	append_answers(f, ERR_TOO_LARGE);
	double_dry(f->p, true);
	say(f->pipe[1], "a\n");
	assert_true(double_wait(f->p, has_rejected, &one));
	double_dry(f->p, false);
}

static void a_stop_hands_over_what_was_received(void **state)
{
	struct fixture *f = *state;
	int fd;

	listen_on(f, "tcp:127.0.0.1:0");
	fd = connect_to(f, SOCK_STREAM);
	say(fd, "<1>a\n");
	wait_records(f, 1);
	say(fd, "<1>b\n<1>unfinished");
	intake_stop(f->i, 20000);
	assert_int_equal(f->p->record_count, 3);
	assert_value(f, 2, "<1>unfinished");
	close(fd);
}

static void what_finds_room_nowhere_until_the_end_is_in_the_losses(void **state)
{
	struct fixture *f = *state;
	uint64_t refused = 0;

	pipe_stdin(f);
	double_dry(f->p, true);
	say(f->pipe[1], "a\nbc\n");
	assert_true(double_wait(f->p, was_refused, &refused));
	intake_stop(f->i, 1);
	assert_int_equal(f->p->record_count, 0);
	assert_int_equal(f->p->loss_count, 1);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_STOPPED);
	assert_int_equal(f->p->losses[0].bytes, 5);
}

/* 0-100 is finished, 150-200 of a batch that is not resolved; the rest was only in memory when the agent was killed. */
static void another_life_counts_on_and_says_what_was_only_in_memory(void **state)
{
	static struct tail_skip skips[] = { { 150, 200 } };
	struct fixture *f = *state;

	f->known = (struct tail_known){ .file = { .id = 3, .path = "stdin", .origin = "in", .cursor = "",
						     .safe = 100, .size = 120 },
					.skips = skips, .skip_count = 1 };
	f->is_known = true;
	pipe_stdin(f);
	say(f->pipe[1], "a\n");
	wait_records(f, 1);
	assert_true(f->p->records[0].source.file_id == 3 && f->p->records[0].source.from == 200);
	assert_int_equal(f->p->loss_count, 1);
	assert_string_equal(f->p->losses[0].reason, SPOOL_LOSS_GONE);
	assert_true(f->p->losses[0].from == 100 && f->p->losses[0].to == 150);
	assert_true(f->p->finished[0].from == 100 && f->p->finished[0].to == 150);
	assert_int_equal(f->next_file_id, 7);
}

static int no_record(void *arg, const struct lane_record *r)
{
	(void)arg, (void)r;
	fail();
	return 0;
}

static void bytes_of_a_stream_cannot_be_had_again_and_files_are_others(void **state)
{
	struct fixture *f = *state;

	pipe_stdin(f);
	assert_int_equal(intake_reread(f->i, &(struct source_range){ .file_id = 7, .to = 5, .count = 1 }, no_record, NULL),
			 ERR_BAD_DATA);
	assert_int_equal(intake_reread(f->i, &(struct source_range){ .file_id = 8, .to = 5, .count = 1 }, no_record, NULL),
			 ERR_NOT_FOUND);
}

static void a_socket_that_nobody_listens_on_is_replaced_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct stat st;
	struct err e = { 0 };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s/log", f->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	snprintf(f->listen, sizeof f->listen, "unix:%s/log", f->dir);
	assert_int_equal(try_open(f, &e), -EADDRINUSE);		/* somebody does */
	close(fd);
	assert_int_equal(try_open(f, &e), 0);
	assert_int_equal(stat(a.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	intake_close(f->i);
	f->i = NULL;
	assert_int_equal(stat(a.sun_path, &st), -1);
	fd = open(a.sun_path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(try_open(f, &e), -EEXIST);
	assert_non_null(strstr(e.text, "cannot listen on unix:"));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	close(fd);
}

static void an_address_that_is_taken_is_an_error_at_the_start(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	struct err e = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	snprintf(f->listen, sizeof f->listen, "tcp:127.0.0.1:%d", ntohs(a.sin_port));
	assert_int_equal(try_open(f, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, f->listen));
	close(fd);
}

int main(int argc, char **argv)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(each_record_has_a_range_of_what_its_stream_gave),
		TEST(a_stream_is_behind_since_the_look_before_its_oldest_unfinished_byte),
		TEST(the_last_line_of_stdin_needs_no_end_and_once_is_over_then),
		TEST(a_tcp_sender_waits_while_memory_is_dry_and_nothing_is_lost),
		TEST(an_unfinished_message_holds_up_nobody_and_ends_with_its_connection),
		TEST(counts_that_are_never_filled_cost_no_memory),
		TEST(datagrams_are_messages_without_their_ends),
		TEST(what_is_too_long_is_cut_and_said),
		TEST(a_standard_input_that_cannot_be_read_has_failed),
		TEST(a_stop_does_not_wait_for_a_sender_that_never_stops),
		TEST(connections_leave_descriptors_to_others),
		TEST(datagrams_that_the_kernel_drops_are_in_the_losses),
		TEST(what_no_request_takes_is_set_aside_and_the_rest_goes_on),
		TEST(what_is_set_aside_needs_nothing_of_buffer_memory),
		TEST(a_stop_hands_over_what_was_received),
		TEST(what_finds_room_nowhere_until_the_end_is_in_the_losses),
		TEST(another_life_counts_on_and_says_what_was_only_in_memory),
		TEST(bytes_of_a_stream_cannot_be_had_again_and_files_are_others),
		TEST(a_socket_that_nobody_listens_on_is_replaced_and_nothing_else),
		TEST(an_address_that_is_taken_is_an_error_at_the_start),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

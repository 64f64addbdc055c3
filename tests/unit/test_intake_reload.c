/* test_intake_reload.c - inputs without a file come, change and go under the real intake thread, with real sockets. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/intake/intake_inside.h"
#include "tests/lib/lane_double.h"
#include "tests/lib/unit.h"

struct fixture {
	struct producer *p;
	struct intake *i;
	struct conf conf[4];
	struct conf_input in[4];
	int64_t next_file_id;
	uint32_t next_route_id;
	const struct spool_route *routes; size_t route_count;	/* of a life before */
	size_t now, was;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	log_setup(LOG_LEVEL_ERROR, false);
	f->p = double_new(4u << 20);
	for (size_t k = 0; k < 4; k++) {
		f->in[k] = (struct conf_input){ .name = (char *)"in", .type = CONF_TYPE_SYSLOG, .listen = (char *)"tcp:127.0.0.1:0",
						.max_line = 1000, .topic = (char *)"one", .partition = -1 };
		f->conf[k] = (struct conf){ .inputs = &f->in[k], .input_count = 1, .max_lanes = 10 };
	}
	f->next_file_id = 7;
	f->next_route_id = 1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	intake_close(f->i);
	double_free(f->p);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	struct intake_conf c = { .conf = &f->conf[0], .producer = f->p, .hooks = double_hooks(f->p), .hostname = "h",
				 .next_file_id = &f->next_file_id, .next_route_id = &f->next_route_id,
				 .routes = f->routes, .route_count = f->route_count };
	struct err e = { 0 };

	if (intake_open(&c, &f->i, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(intake_start(f->i), 0);
}

static int prepare(struct fixture *f, size_t was, struct intake_plan **ret, struct err *e)
{
	struct intake_change c = { .conf = &f->conf[f->now + 1], .was = &f->was, .next_file_id = 100,
				   .next_route_id = 100 };

	f->was = was;
	return intake_reload_prepare(f->i, &c, ret, e);
}

static void reload_to(struct fixture *f, size_t was)
{
	struct intake_plan *plan;
	struct err e = { 0 };

	if (prepare(f, was, &plan, &e) < 0)
		fail_msg("%s", e.text);
	intake_reload_switch(plan);
	f->now++;
}

/* The port of the first row; 0: there is none. */
static uint16_t port(struct fixture *f)
{
	struct tail_file_info *rows;
	uint16_t found = 0;
	size_t n;

	assert_int_equal(intake_files(f->i, &rows, &n), 0);
	for (size_t k = 0; k < n; k++) {
		found = (uint16_t)strtol(strrchr(rows[k].path, ':') + 1, NULL, 10);
		mem_free(rows[k].path);
	}
	mem_free(rows);
	return found;
}

static int try_connect(uint16_t to)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static bool has_records(struct producer *p, void *arg)
{
	return p->record_count >= *(size_t *)arg;
}

static void expect(struct fixture *f, size_t i, const char *value, const char *topic, int64_t id)
{
	size_t n = i + 1;
	struct double_record r;

	assert_true(double_wait(f->p, has_records, &n));
	pthread_mutex_lock(&f->p->mu);
	r = f->p->records[i];
	pthread_mutex_unlock(&f->p->mu);
	assert_string_equal(r.value, value);
	assert_string_equal(lane_topic(r.lane), topic);
	assert_int_equal(r.source.file_id, id);
}

static void an_input_that_says_the_same_keeps_its_connection(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	fd = try_connect(port(f));
	say(fd, "1\n");
	expect(f, 0, "1", "one", 7);
	reload_to(f, 0);
	say(fd, "2\n");
	expect(f, 1, "2", "one", 7);
	close(fd);
}

static void another_topic_keeps_the_connection_and_half_a_message(void **state)
{
	struct fixture *f = *state;
	uint16_t at;
	int fd;

	f->in[1].topic = (char *)"two";
	start(f);
	at = port(f);
	fd = try_connect(at);
	say(fd, "1\n2");
	expect(f, 0, "1", "one", 7);
	reload_to(f, SIZE_MAX);
	say(fd, "2\n");
	expect(f, 1, "22", "two", 7);
	assert_int_equal(f->p->records[1].source.from, f->p->records[0].source.to);
	assert_int_equal(port(f), at);
	close(fd);
}

static void another_cut_keeps_the_address_and_what_was_sent(void **state)
{
	struct fixture *f = *state;
	uint16_t at;
	int fd;

	f->in[1].max_line = 500;
	start(f);
	at = port(f);
	fd = try_connect(at);
	say(fd, "1\n");
	expect(f, 0, "1", "one", 7);
	say(fd, "2\n3");
	reload_to(f, SIZE_MAX);
	expect(f, 1, "2", "one", 7);
	expect(f, 2, "3", "one", 7);
	close(fd);
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until && port(f) != at;)
		;
	fd = try_connect(at);
	assert_true(fd >= 0);
	say(fd, "4\n");
	expect(f, 3, "4", "one", 7);
	close(fd);
}

static bool was_refused(struct producer *p, void *arg)
{
	(void)arg;
	return p->refused > 0;
}

static void who_connects_while_the_one_before_is_not_through_is_the_next_ones(void **state)
{
	struct fixture *f = *state;
	int old, fresh;

	f->in[1].max_line = 500;
	start(f);
	old = try_connect(port(f));
	say(old, "1\n");
	expect(f, 0, "1", "one", 7);
	double_dry(f->p, true);
	say(old, "2\n");
	assert_true(double_wait(f->p, was_refused, NULL));
	reload_to(f, SIZE_MAX);
	fresh = try_connect(port(f));
	double_dry(f->p, false);
	expect(f, 1, "2", "one", 7);
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until && intake_uses(f->i, &f->conf[0]);)
		;
	assert_int_equal(read(old, &(char){ 0 }, 1), 0);
	say(fresh, "3\n");
	expect(f, 2, "3", "one", 7);
	close(old);
	close(fresh);
}

static void a_removed_input_is_read_out_and_put_in_again_counts_on(void **state)
{
	struct fixture *f = *state;
	uint16_t at;
	int fd;

	f->conf[1].input_count = 0;
	start(f);
	at = port(f);
	fd = try_connect(at);
	say(fd, "1\n");
	expect(f, 0, "1", "one", 7);
	say(fd, "2\n");
	reload_to(f, SIZE_MAX);
	expect(f, 1, "2", "one", 7);
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until && port(f);)
		;
	assert_int_equal(try_connect(at), -1);
	assert_true(intake_is_stream(f->i, 7));
	assert_false(intake_uses(f->i, &f->conf[0]));
	close(fd);
	reload_to(f, SIZE_MAX);
	fd = try_connect(port(f));
	say(fd, "3\n");
	expect(f, 2, "3", "one", 7);
	assert_int_equal(f->p->records[2].source.from, f->p->records[1].source.to);
	close(fd);
}

static void an_address_in_use_leaves_everything_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int taken = socket(AF_INET, SOCK_DGRAM, 0), fd;
	socklen_t n = sizeof a;
	char listen[64];
	struct intake_plan *plan;
	struct err e = { 0 };

	assert_int_equal(bind(taken, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&a, &n), 0);
	snprintf(listen, sizeof listen, "udp:127.0.0.1:%d", ntohs(a.sin_port));
	f->in[1].listen = listen;
	start(f);
	fd = try_connect(port(f));
	assert_true(prepare(f, SIZE_MAX, &plan, &e) < 0);
	assert_null(plan);
	assert_non_null(strstr(e.text, "cannot listen on"));
	say(fd, "1\n");
	expect(f, 0, "1", "one", 7);
	close(fd);
	close(taken);
}

static void without_memory_a_reload_is_refused_and_the_connection_goes_on(void **state)
{
	struct fixture *f = *state;
	struct intake_plan *plan;
	struct err e = { 0 };
	char line[24];
	size_t n = 0;
	int fd, rc = ERR_NOMEM;

	f->in[1].topic = (char *)"two";
	start(f);
	fd = try_connect(port(f));
	for (long nth = 1; rc < 0; nth++) {
		mem_fail_nth(nth);
		rc = prepare(f, SIZE_MAX, &plan, &e);
		mem_fail_nth(0);
		if (rc < 0)
			assert_int_equal(rc, ERR_NOMEM);
		snprintf(line, sizeof line, "%ld\n", nth);
		say(fd, line);
		line[strlen(line) - 1] = 0;
		expect(f, n++, line, "one", 7);
	}
	assert_true(n > 5);
	intake_reload_switch(plan);
	say(fd, "last\n");
	expect(f, n, "last", "two", 7);
	close(fd);
}

static int say_to(const char *path, const char *text)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ssize_t n;

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	n = sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, sizeof a);
	close(fd);
	return n < 0 ? -1 : 0;
}

static void a_unix_socket_keeps_its_path_what_waits_in_it_and_goes_with_its_input(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/spillway-unix-XXXXXX", listen[64], *path = listen + strlen("unix:");

	assert_non_null(mkdtemp(dir));
	snprintf(listen, sizeof listen, "unix:%s/log", dir);
	for (int k = 0; k < 3; k++)
		f->in[k].listen = listen;
	f->in[1].max_line = 1;
	f->conf[2].input_count = 0;
	start(f);
	assert_int_equal(say_to(path, "1"), 0);
	expect(f, 0, "1", "one", 7);
	double_dry(f->p, true);
	assert_int_equal(say_to(path, "2"), 0);
	assert_int_equal(say_to(path, "34"), 0);
	assert_true(double_wait(f->p, was_refused, NULL));
	reload_to(f, SIZE_MAX);
	assert_int_equal(say_to(path, "5"), 0);
	double_dry(f->p, false);
	for (size_t i = 1; i < 5; i++)
		expect(f, i, &"2\0003\0004\0005"[2 * (i - 1)], "one", 7);
	reload_to(f, SIZE_MAX);
	for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until && access(path, F_OK) == 0;)
		;
	assert_int_equal(say_to(path, "6"), -1);
	assert_int_equal(rmdir(dir), 0);
}

static void half_a_line_of_stdin_goes_on_by_the_next_input(void **state)
{
	struct fixture *f = *state;
	int before = dup(STDIN_FILENO), fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_true(before >= 0 && dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
	close(fds[0]);
	for (int k = 0; k < 3; k++)
		f->in[k].type = CONF_TYPE_STDIN;
	f->in[1].topic = (char *)"two";
	f->in[2].topic = (char *)"three";
	start(f);
	say(fds[1], "1\n2");
	expect(f, 0, "1", "one", 7);
	reload_to(f, SIZE_MAX);
	say(fds[1], "2\n3\n4");
	expect(f, 1, "22", "two", 7);
	expect(f, 2, "3", "two", 7);
	reload_to(f, SIZE_MAX);
	close(fds[1]);
	expect(f, 3, "4", "three", 7);
	assert_int_equal(f->p->records[3].source.from, f->p->records[2].source.to);
	assert_int_equal(dup2(before, STDIN_FILENO), STDIN_FILENO);
	close(before);
}

static void the_first_stream_of_an_agent_starts_the_thread(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->conf[0].input_count = 0;
	start(f);
	assert_non_null(f->i);
	reload_to(f, SIZE_MAX);
	fd = try_connect(port(f));
	say(fd, "1\n");
	expect(f, 0, "1", "one", 100);
	close(fd);
}

static void what_a_life_before_left_is_not_needed_for_a_journal_that_comes(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/spillway-journal-XXXXXX";
	struct spool_route r = { .id = 5, .topic = "one", .key = "", .key_null = true, .max_line = 1000, .spec = "" };

	assert_non_null(mkdtemp(dir));
	f->in[1] = (struct conf_input){ .name = (char *)"j", .type = CONF_TYPE_JOURNALD, .directory = dir, .max_line = 1000,
					.topic = (char *)"one", .partition = -1 };
	f->routes = &r;
	f->route_count = 1;
	start(f);
	reload_to(f, SIZE_MAX);
	assert_int_equal(f->p->routes[0].id, 100);
	rmdir(dir);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(an_input_that_says_the_same_keeps_its_connection, setup, teardown),
	cmocka_unit_test_setup_teardown(another_topic_keeps_the_connection_and_half_a_message, setup, teardown),
	cmocka_unit_test_setup_teardown(another_cut_keeps_the_address_and_what_was_sent, setup, teardown),
	cmocka_unit_test_setup_teardown(who_connects_while_the_one_before_is_not_through_is_the_next_ones, setup, teardown),
	cmocka_unit_test_setup_teardown(a_removed_input_is_read_out_and_put_in_again_counts_on, setup, teardown),
	cmocka_unit_test_setup_teardown(an_address_in_use_leaves_everything_as_it_was, setup, teardown),
	cmocka_unit_test_setup_teardown(without_memory_a_reload_is_refused_and_the_connection_goes_on, setup, teardown),
	cmocka_unit_test_setup_teardown(a_unix_socket_keeps_its_path_what_waits_in_it_and_goes_with_its_input, setup, teardown),
	cmocka_unit_test_setup_teardown(half_a_line_of_stdin_goes_on_by_the_next_input, setup, teardown),
	cmocka_unit_test_setup_teardown(the_first_stream_of_an_agent_starts_the_thread, setup, teardown),
	cmocka_unit_test_setup_teardown(what_a_life_before_left_is_not_needed_for_a_journal_that_comes, setup, teardown),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

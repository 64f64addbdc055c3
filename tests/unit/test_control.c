/* test_control.c - the control socket answers one question a connection and outlives bad clients. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/control.h"
#include "agent/listener.h"
#include "tests/lib/unit.h"

struct server {
	struct loop     loop;
	struct control *control;
	pthread_t       thread;
	char            dir[64], path[96];
	size_t          answer_size;
};

static void answer(void *arg, const char *question, struct buf *out)
{
	struct server *s = arg;

	buf_printf(out, "you asked: %s\n", question);
	for (size_t i = 0; i < s->answer_size; i++)
		buf_put(out, "x", 1);
}

static void *serve(void *arg)
{
	loop_run(&((struct server *)arg)->loop);
	return NULL;
}

static int start(void **state)
{
	struct server *s = calloc(1, sizeof *s);
	struct err e;

	snprintf(s->dir, sizeof s->dir, "/tmp/spillway-control-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof s->path, "%s/control.sock", s->dir);
	assert_int_equal(loop_init(&s->loop, NULL, NULL, s), 0);
	assert_int_equal(control_open(&s->loop, s->path, answer, s, &s->control, &e), 0);
	*state = s;
	return 0;
}

static void run(struct server *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static int stop(void **state)
{
	struct server *s = *state;

	loop_stop(&s->loop);
	pthread_join(s->thread, NULL);
	control_close(s->control);
	loop_release(&s->loop);
	assert_int_not_equal(access(s->path, F_OK), 0);
	rmdir(s->dir);
	free(s);
	return 0;
}

static void a_question_gets_its_whole_answer(void **state)
{
	struct server *s = *state;
	struct buf out;
	struct err e;

	s->answer_size = 3u << 20;		/* more than any socket buffer takes at once */
	run(s);
	buf_init(&out, 16u << 20);
	assert_int_equal(control_ask(s->path, "status json", &out, &e), 0);
	assert_memory_equal(out.data, "you asked: status json\n", 23);
	assert_int_equal(out.len, 23 + (3u << 20));
	buf_release(&out);
}

static int raw_connect(const struct server *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void a_client_that_leaves_or_says_nothing_disturbs_no_one(void **state)
{
	struct server *s = *state;
	struct buf out;
	struct err e;
	int silent, gone;

	run(s);
	silent = raw_connect(s);
	gone = raw_connect(s);
	assert_int_equal(send(gone, "stat", 4, MSG_NOSIGNAL), 4);
	close(gone);
	buf_init(&out, 4096);
	assert_int_equal(control_ask(s->path, "x", &out, &e), 0);
	assert_string_equal(out.data, "you asked: x\n");
	buf_release(&out);
	close(silent);
}

static void a_question_without_end_is_cut_at_the_limit(void **state)
{
	struct server *s = *state;
	char junk[1024], back[2048];
	int fd;

	run(s);
	fd = raw_connect(s);
	memset(junk, 'q', sizeof junk);
	send(fd, junk, sizeof junk, MSG_NOSIGNAL);
	assert_true(recv(fd, back, sizeof back, 0) < 300);	/* an answer to at most 255 bytes, or the closed connection */
	close(fd);
}

static void more_connections_than_places_are_closed_and_the_others_are_answered(void **state)
{
	struct server *s = *state;
	int fds[16], more;
	char back[64];

	run(s);
	for (int i = 0; i < 16; i++)
		fds[i] = raw_connect(s);
	more = raw_connect(s);
	assert_int_equal(recv(more, back, sizeof back, 0), 0);
	close(more);
	for (int i = 15; i >= 0; i--) {
		assert_int_equal(send(fds[i], "x\n", 2, MSG_NOSIGNAL), 2);
		assert_int_equal(recv(fds[i], back, sizeof back, 0), 13);
		close(fds[i]);
	}
}

static void a_question_as_long_as_a_path_is_taken_whole(void **state)
{
	struct server *s = *state;
	static char question[4096 + 1];
	struct buf out;
	struct err e;

	run(s);
	memset(question, 'q', sizeof question - 1);
	buf_init(&out, 1u << 16);
	assert_int_equal(control_ask(s->path, question, &out, &e), 0);
	assert_int_equal(out.len, strlen("you asked: \n") + sizeof question - 1);
	buf_release(&out);
}

static void who_asks_nothing_is_hung_up_on_after_ten_seconds(void **state)
{
	struct server *s = *state;
	int64_t began = clock_mono_ms();
	char back[8];
	int fd;

	run(s);
	fd = raw_connect(s);
	assert_int_equal(recv(fd, back, sizeof back, 0), 0);
	assert_true(clock_mono_ms() - began >= 9900);
	close(fd);
}

static void no_agent_is_told_apart_from_trouble(void **state)
{
	struct buf out;
	struct err e;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(control_ask("/tmp/spillway-nobody-here.sock", "x", &out, &e), ERR_NOT_FOUND);
	buf_release(&out);
}

static void a_path_that_a_socket_cannot_have_is_refused_with_words(void **state)
{
	struct control *c;
	char path[200];
	struct err e;
	struct loop l;

	(void)state;
	memset(path, 'a', sizeof path);
	path[0] = '/';
	path[sizeof path - 1] = '\0';
	assert_int_equal(loop_init(&l, NULL, NULL, NULL), 0);
	assert_int_equal(control_open(&l, path, answer, NULL, &c, &e), ERR_CONFIG);
	assert_non_null(strstr(e.text, "control:"));
	loop_release(&l);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	char path[] = "/tmp/spillway-precious-XXXXXX";
	struct control *c;
	struct err e;
	struct loop l;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(loop_init(&l, NULL, NULL, NULL), 0);
	assert_true(control_open(&l, path, answer, NULL, &c, &e) < 0);
	assert_non_null(strstr(e.text, "no socket"));
	assert_int_equal(access(path, F_OK), 0);
	loop_release(&l);
	unlink(path);
}

static void a_socket_that_another_agent_serves_is_not_taken(void **state)
{
	struct server *s = *state;
	struct control *c;
	struct err e;
	struct loop l;

	run(s);
	assert_int_equal(loop_init(&l, NULL, NULL, NULL), 0);
	assert_int_equal(control_open(&l, s->path, answer, NULL, &c, &e), ERR_BUSY);
	assert_int_equal(access(s->path, F_OK), 0);
	loop_release(&l);
}

/* Another thread took the spare one. Whoever knocks stays at the door, so a loop would come back at once. */
static void without_a_descriptor_to_spare_accepting_takes_a_rest(void **state)
{
	struct server *s = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int door = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), visitor = socket(AF_UNIX, SOCK_STREAM, 0), spare = -1, fd;
	struct rlimit was, none;
	int64_t began;

	run(s);
	snprintf(a.sun_path, sizeof a.sun_path, "%s.door", s->path);
	assert_int_equal(bind(door, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(door, 1), 0);
	assert_int_equal(connect(visitor, (struct sockaddr *)&a, sizeof a), 0);
	unlink(a.sun_path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	began = clock_mono_ms();
	for (int i = 0; i < 5; i++)
		assert_int_equal(listener_accept(door, &spare), -1);
	assert_true(clock_mono_ms() - began >= 40);
	assert_int_equal(spare, -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	fd = listener_accept(door, &spare);
	assert_true(fd >= 0);
	close(fd);
	close(visitor);
	close(door);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_question_gets_its_whole_answer, start, stop),
		cmocka_unit_test_setup_teardown(a_client_that_leaves_or_says_nothing_disturbs_no_one, start, stop),
		cmocka_unit_test_setup_teardown(a_question_without_end_is_cut_at_the_limit, start, stop),
		cmocka_unit_test_setup_teardown(more_connections_than_places_are_closed_and_the_others_are_answered, start, stop),
		cmocka_unit_test_setup_teardown(a_question_as_long_as_a_path_is_taken_whole, start, stop),
		cmocka_unit_test_setup_teardown(who_asks_nothing_is_hung_up_on_after_ten_seconds, start, stop),
		cmocka_unit_test_setup_teardown(without_a_descriptor_to_spare_accepting_takes_a_rest, start, stop),
		cmocka_unit_test(no_agent_is_told_apart_from_trouble),
		cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
		cmocka_unit_test_setup_teardown(a_socket_that_another_agent_serves_is_not_taken, start, stop),
		cmocka_unit_test(a_path_that_a_socket_cannot_have_is_refused_with_words),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_http.c - the monitoring server with real sockets. Time is the loop's: tests turn the loop by hand and move its timers. */
#include "tests/lib/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent/web/http.h"

#define PLACES 32
#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

struct server {
	struct loop  loop;
	struct http *http;
	pthread_t    thread;
	char         dir[64], path[96], listen[128];
	uint16_t     port;
	_Atomic size_t body;
	_Atomic int  asked;
};

static void answer(void *arg, const struct http_request *r, struct http_answer *a)
{
	struct server *s = arg;

	s->asked++;
	if (strcmp(r->path, "/there") != 0) {
		a->status = 404;
		return;
	}
	buf_printf(&a->body, "query=%s", r->query);
	for (size_t i = 0; i < s->body; i++)
		buf_put(&a->body, "x", 1);
}

static void *serve(void *arg)
{
	loop_run(&((struct server *)arg)->loop);
	return NULL;
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static struct server *open_server(bool on_unix)
{
	struct server *s = calloc(1, sizeof *s);
	struct err e;

	snprintf(s->dir, sizeof s->dir, "/tmp/spillway-http-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof s->path, "%s/http.sock", s->dir);
	s->port = free_port();
	if (on_unix)
		snprintf(s->listen, sizeof s->listen, "unix:%s", s->path);
	else
		snprintf(s->listen, sizeof s->listen, "127.0.0.1:%d", s->port);
	assert_int_equal(loop_init(&s->loop, NULL, NULL, s), 0);
	assert_int_equal(http_open(&s->loop, s->listen, answer, s, &s->http, &e), 0);
	return s;
}

static int on_tcp(void **state)
{
	struct server *s = *state = open_server(false);

	s->body = 0;
	return pthread_create(&s->thread, NULL, serve, s);
}

static int on_unix(void **state)
{
	struct server *s = *state = open_server(true);

	return pthread_create(&s->thread, NULL, serve, s);
}

static int stop(void **state)
{
	struct server *s = *state;

	loop_stop(&s->loop);
	pthread_join(s->thread, NULL);
	http_close(s->http);
	loop_release(&s->loop);
	assert_int_not_equal(access(s->path, F_OK), 0);
	rmdir(s->dir);
	free(s);
	return 0;
}

static int visit(const struct server *s)
{
	struct sockaddr_in tcp = { .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	bool is_unix = !strncmp(s->listen, "unix:", 5);
	int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof un.sun_path, "%s", s->path);
	assert_int_equal(is_unix ? connect(fd, (struct sockaddr *)&un, sizeof un) :
			 connect(fd, (struct sockaddr *)&tcp, sizeof tcp), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that comes until the other end hangs up; the caller frees it. */
static char *read_all(int fd)
{
	size_t len = 0, cap = 1u << 16;
	char *text = malloc(cap);
	ssize_t n;

	while ((n = recv(fd, text + len, cap - len - 1, 0)) > 0) {
		len += (size_t)n;
		if (cap - len < 2)
			text = realloc(text, cap *= 2);
	}
	text[len] = '\0';
	close(fd);
	return text;
}

/* One whole answer on a connection that stays open; the length of its body. */
static size_t read_one(int fd, char *head, size_t cap)
{
	size_t len = 0, body = 0;
	char *end = NULL, rest[4096], *field;

	while (!end) {
		assert_int_equal(recv(fd, head + len, 1, 0), 1);
		head[++len] = '\0';
		assert_true(len < cap - 1);
		end = strstr(head, "\r\n\r\n");
	}
	field = strstr(head, "Content-Length: ");
	assert_non_null(field);
	body = strtoul(field + 16, NULL, 10);
	for (size_t left = body; left; ) {
		ssize_t n = recv(fd, rest, left < sizeof rest ? left : sizeof rest, 0);

		assert_true(n > 0);
		left -= (size_t)n;
	}
	return body;
}

static char *ask(const struct server *s, const char *text)
{
	int fd = visit(s);

	say(fd, text);
	return read_all(fd);
}

#define CLOSE_GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

static void an_answer_has_its_body_and_headers_that_guard_a_browser(void **state)
{
	char *text = ask(*state, CLOSE_GET("/there?a=b"));

	assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(text, "\r\nContent-Length: 9\r\n"));
	assert_non_null(strstr(text, "\r\nCache-Control: no-store\r\n"));
	assert_non_null(strstr(text, "\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Security-Policy: default-src 'none'"));
	assert_null(strstr(text, "Server:"));
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\nquery=a=b");
	free(text);
}

static void head_is_answered_without_the_body(void **state)
{
	char *text = ask(*state, "HEAD /there HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\n\r\n");

	assert_non_null(strstr(text, "200 OK"));
	assert_non_null(strstr(text, "Content-Length: 6\r\n"));
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
	free(text);
}

static void a_connection_is_used_again_and_a_pipeline_is_answered_in_order(void **state)
{
	struct server *s = *state;
	int fd = visit(s);
	char head[1024];

	for (int i = 0; i < 3; i++) {
		say(fd, GET("/there"));
		assert_int_equal(read_one(fd, head, sizeof head), 6);
	}
	say(fd, GET("/there?1") GET("/there?22") GET("/nothing") GET("/there?333"));
	assert_int_equal(read_one(fd, head, sizeof head), 7);
	assert_int_equal(read_one(fd, head, sizeof head), 8);
	assert_int_equal(read_one(fd, head, sizeof head), 0);
	assert_non_null(strstr(head, "404"));
	assert_int_equal(read_one(fd, head, sizeof head), 9);
	close(fd);
	assert_int_equal(s->asked, 7);
}

static void what_is_not_answered_is_said_and_hung_up(void **state)
{
	static const struct { const char *text, *line; } cases[] = {
		{ "POST /there HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed\r\n" },
		{ "GET /there HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", "413 Content Too Large\r\n" },
		{ "GET /there HTTP/1.1\r\n\r\n", "400 Bad Request\r\n" }, { "\x16\x03\x01", "400 Bad Request\r\n" },
		{ "GET /there HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403 Forbidden\r\n" },
	};
	struct server *s = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *text = ask(s, cases[i].text);

		assert_memory_equal(text + 9, cases[i].line, strlen(cases[i].line));
		assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
		assert_int_equal(!!strstr(text, "\r\nAllow: GET, HEAD\r\n"), i == 0);
		free(text);
	}
	assert_int_equal(s->asked, 0);
}

static void a_head_that_is_too_large_is_refused_even_while_more_of_it_comes(void **state)
{
	int fd = visit(*state);
	static char piece[1024];
	char *text;

	memset(piece, 'x', sizeof piece - 1);
	say(fd, "GET /there HTTP/1.1\r\nHost: localhost\r\nX-Large: ");
	for (int i = 0; i < 20; i++)
		if (send(fd, piece, sizeof piece - 1, MSG_NOSIGNAL) < 0)
			break;
	text = read_all(fd);
	assert_non_null(strstr(text, "431 "));
	free(text);
}

static void a_large_answer_reaches_a_slow_reader_while_others_are_served(void **state)
{
	struct server *s = *state;
	char *text, *other;
	int fd;

	s->body = 8u << 20;
	fd = visit(s);
	say(fd, CLOSE_GET("/there"));
	other = ask(s, "HEAD /there HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(other, "200 OK"));
	text = read_all(fd);
	assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4), 6 + (8u << 20));
	free(other);
	free(text);
}

static void what_slow_readers_leave_unread_has_a_ceiling(void **state)
{
	struct server *s = *state;
	int fd = visit(s), small = 4096;
	char *text, byte;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	s->body = 24u << 20;		/* more than both sockets take */
	say(fd, CLOSE_GET("/there"));
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	text = ask(s, CLOSE_GET("/there"));
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	free(text);
	text = ask(s, "HEAD /there HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	assert_memory_equal(text, "HTTP/1.1 200 ", 13);
	free(text);
	close(fd);
	while (memcmp(text = ask(s, CLOSE_GET("/there")), "HTTP/1.1 200 ", 13) != 0)	/* until it is seen that nobody reads */
		free(text);
	free(text);
}

static void a_refused_head_has_no_body(void **state)
{
	char *text = ask(*state, "HEAD /there HTTP/1.1\r\nHost: evil.example\r\n\r\n");

	assert_memory_equal(text, "HTTP/1.1 403 ", 13);
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
	free(text);
}

static void when_all_places_are_taken_who_said_nothing_goes_first(void **state)
{
	struct server *s = *state;
	int fds[PLACES];
	char *text, byte;

	for (int i = 0; i < PLACES; i++)
		fds[i] = visit(s);
	text = ask(s, CLOSE_GET("/there"));
	assert_non_null(strstr(text, "200 OK"));
	free(text);
	assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), 0);	/* the first of them had to go, before that was answered */
	assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
	for (int i = 0; i < PLACES; i++)
		close(fds[i]);
}

static void who_comes_while_all_are_in_a_request_is_told_to_try_later(void **state)
{
	struct server *s = *state;
	int fds[PLACES];
	char head[1024];
	char *text;

	for (int i = 0; i < PLACES; i++) {
		fds[i] = visit(s);
		say(fds[i], GET("/there"));
		read_one(fds[i], head, sizeof head);
		say(fds[i], GET("/there") "GET /the");		/* the rest is read together with what is answered */
		read_one(fds[i], head, sizeof head);
	}
	text = ask(s, "");
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	assert_non_null(strstr(text, "Retry-After:"));
	free(text);
	say(fds[5], "re HTTP/1.1\r\nHost: localhost\r\n\r\n");	/* those go on */
	assert_int_equal(read_one(fds[5], head, sizeof head), 6);
	for (int i = 0; i < PLACES; i++)
		close(fds[i]);
}

static void a_unix_socket_is_for_its_user_and_group(void **state)
{
	struct server *s = *state;
	struct stat st;
	char *text;

	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	text = ask(s, "GET /there HTTP/1.1\r\nHost: any.name\r\nConnection: close\r\n\r\n");	/* no browser gets here */
	assert_non_null(strstr(text, "200 OK"));
	free(text);
}

static void an_address_that_cannot_be_listened_to_is_refused_with_words(void **state)
{
	static const struct { const char *listen; int rc; const char *words; } cases[] = {
		{ "9845", ERR_CONFIG, "is no ADDRESS:PORT" }, { ":9845", ERR_CONFIG, "is no ADDRESS:PORT" },
		{ "127.0.0.1:99999", ERR_CONFIG, "is no ADDRESS:PORT" }, { "127.0.0.1:", ERR_CONFIG, "is no ADDRESS:PORT" },
		{ "::1:9845", ERR_CONFIG, "is no ADDRESS:PORT" }, { "[::1]9845", ERR_CONFIG, "is no ADDRESS:PORT" },
		{ "unix:http.sock", ERR_CONFIG, "unix:/path" }, { "unix:/nowhere/at/all", -ENOENT, "/nowhere/at/all" },
		{ "192.0.2.1:9845", ERR_UNAVAILABLE, "no address of this machine" },
	};
	struct server *s = open_server(false);
	struct http *h;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(http_open(&s->loop, cases[i].listen, answer, s, &h, &e), cases[i].rc);
		assert_non_null(strstr(e.text, "metrics.listen"));
		assert_non_null(strstr(e.text, cases[i].words));
	}
	assert_int_equal(http_open(&s->loop, s->listen, answer, s, &h, &e), ERR_UNAVAILABLE);
	assert_non_null(strstr(e.text, "another process listens"));
	http_close(s->http);
	loop_release(&s->loop);
	rmdir(s->dir);
	free(s);
}

/* --- what takes time: the loop is turned by this thread, with its clock put forward --- */

struct turn { struct loop_timer timer; struct server *server; };

static void stop_loop(struct loop_timer *t)
{
	loop_stop(&container_of(t, struct turn, timer)->server->loop);
}

/* Runs the loop until the other end of fd has something to read, or hung up. */
static void turn_until_readable(struct server *s, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, 0) == 0) {
		struct turn t = { .server = s };

		timer_set(&s->loop, &t.timer, s->loop.now_ms + 20, stop_loop);
		loop_run(&s->loop);
	}
}

static void a_request_that_does_not_end_is_cut_off_in_time(void **state)
{
	struct server *s = open_server(false);
	int fd = visit(s), silent = visit(s);
	char text[64] = "";
	int64_t began;

	(void)state;
	say(fd, "GET /there HTTP/1.1\r\n");
	began = s->loop.now_ms;
	turn_until_readable(s, fd);
	assert_true(s->loop.now_ms - began >= 4900);
	assert_true(recv(fd, text, 16, 0) == 16);
	assert_string_equal(text, "HTTP/1.1 408 Req");
	assert_int_equal(recv(silent, text, 1, MSG_DONTWAIT), -1);	/* it may still begin */
	assert_int_equal(errno, EAGAIN);
	close(fd);
	close(silent);
	http_close(s->http);
	loop_release(&s->loop);
	rmdir(s->dir);
	free(s);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_answer_has_its_body_and_headers_that_guard_a_browser, on_tcp, stop),
		cmocka_unit_test_setup_teardown(head_is_answered_without_the_body, on_tcp, stop),
		cmocka_unit_test_setup_teardown(a_connection_is_used_again_and_a_pipeline_is_answered_in_order, on_tcp, stop),
		cmocka_unit_test_setup_teardown(what_is_not_answered_is_said_and_hung_up, on_tcp, stop),
		cmocka_unit_test_setup_teardown(a_head_that_is_too_large_is_refused_even_while_more_of_it_comes, on_tcp, stop),
		cmocka_unit_test_setup_teardown(a_large_answer_reaches_a_slow_reader_while_others_are_served, on_tcp, stop),
		cmocka_unit_test_setup_teardown(what_slow_readers_leave_unread_has_a_ceiling, on_tcp, stop),
		cmocka_unit_test_setup_teardown(a_refused_head_has_no_body, on_tcp, stop),
		cmocka_unit_test_setup_teardown(when_all_places_are_taken_who_said_nothing_goes_first, on_tcp, stop),
		cmocka_unit_test_setup_teardown(who_comes_while_all_are_in_a_request_is_told_to_try_later, on_tcp, stop),
		cmocka_unit_test_setup_teardown(a_unix_socket_is_for_its_user_and_group, on_unix, stop),
		cmocka_unit_test(an_address_that_cannot_be_listened_to_is_refused_with_words),
		cmocka_unit_test(a_request_that_does_not_end_is_cut_off_in_time),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

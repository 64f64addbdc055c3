/* test_http_parse.c - heads of requests: what is understood, what is refused with which status, in whatever pieces. */
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/web/http_parse.h"

#define HOST "Host: localhost\r\n"

/* In memory of exactly its size; freed by the next call. */
static int parse(const char *text, size_t n, struct http_head *h)
{
	static char *copy;

	free(copy);
	copy = malloc(n + !n);
	memcpy(copy, text, n);
	return http_head_parse(copy, n, h);
}

static int status_of(const char *text)
{
	struct http_head h;
	int rc = parse(text, strlen(text), &h);

	return rc < 0 ? -rc : rc > 0 ? 200 : 0;
}

static void a_request_is_taken_apart(void **state)
{
	static const char text[] = "GET /met%72ics?x=1&y=%zz HTTP/1.1\r\nhost:  127.0.0.1:9845 \r\nACCEPT: text/plain\r\n\r\nGET";
	struct http_head h;

	(void)state;
	assert_int_equal(parse(text, sizeof text - 1, &h), sizeof text - 1 - 3);
	assert_string_equal(h.request.path, "/metrics");
	assert_string_equal(h.request.query, "x=1&y=%zz");
	assert_string_equal(h.request.accept, "text/plain");
	assert_string_equal(h.host, "127.0.0.1");
	assert_false(h.is_head);
	assert_true(h.keep_alive);
}

static void a_connection_is_kept_open_by_http_1_1_unless_it_says_otherwise(void **state)
{
	static const struct { const char *text; bool keep, is_head; } cases[] = {
		{ "HEAD / HTTP/1.1\r\n" HOST "\r\n", true, true },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: x , Close\r\n\r\n", false, false },
		{ "GET / HTTP/1.0\r\n\r\n", false, false },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_head h;

		assert_true(parse(cases[i].text, strlen(cases[i].text), &h) > 0);
		assert_int_equal(h.keep_alive, cases[i].keep);
		assert_int_equal(h.is_head, cases[i].is_head);
	}
}

static void what_is_wrong_has_its_status(void **state)
{
	static const struct { int status; const char *text; } cases[] = {
		{ 405, "POST / HTTP/1.1\r\n" HOST "\r\n" }, { 405, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n" },
		{ 405, "get / HTTP/1.1\r\n" HOST "\r\n" }, { 405, "DELETE /status HTTP/1.0\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\n\r\n" }, { 400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" }, { 400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n" }, { 400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\n folded\r\n" HOST "\r\n" }, { 400, "GET / HTTP/1.1\r\n: x\r\n" HOST "\r\n" },
		{ 400, "GET  / HTTP/1.1\r\n" HOST "\r\n" }, { 400, "GET /\r\n\r\n" }, { 400, "/ HTTP/1.1\r\n\r\n" },
		{ 400, "GET metrics HTTP/1.1\r\n" HOST "\r\n" }, { 400, "GET http://x HTTP/1.1\r\n" HOST "\r\n" },
		{ 400, "GET /%2 HTTP/1.1\r\n" HOST "\r\n" }, { 400, "GET /%zz HTTP/1.1\r\n" HOST "\r\n" },
		{ 400, "GET /%00 HTTP/1.1\r\n" HOST "\r\n" }, { 400, "GET /%0a HTTP/1.1\r\n" HOST "\r\n" },
		{ 400, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n" }, { 400, "GET / HTTQ/1.1\r\n" HOST "\r\n" },
		{ 400, "GET / HTTP/1.1 \r\n" HOST "\r\n" }, { 505, "GET / HTTP/2.0\r\n" HOST "\r\n" },
		{ 413, "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx" },
		{ 413, "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" },
		{ 400, "GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n" },
		{ 200, "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n" },
		{ 200, "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n" }, { 200, "GET http://x:1/a HTTP/1.1\r\n" HOST "\r\n" },
		{ 200, "GET /../../etc/passwd HTTP/1.1\r\n" HOST "\r\n" }, { 200, "GET / HTTP/1.1\r\nHost:\r\n\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (status_of(cases[i].text) != cases[i].status)
			fail_msg("%s: %d", cases[i].text, status_of(cases[i].text));
}

static void garbage_is_refused_before_its_end(void **state)
{
	struct http_head h;

	(void)state;
	assert_int_equal(parse("\x16\x03\x01\x02", 4, &h), -400);		/* TLS */
	assert_int_equal(parse("GET / HTTP/1.1\nHo", 17, &h), -400);		/* a bare LF */
	assert_int_equal(parse("GET /\rx", 7, &h), -400);
	assert_int_equal(parse("GET /\0x", 7, &h), -400);
}

static void a_head_may_come_in_any_pieces(void **state)
{
	static const char text[] = "\r\nGET /status?a HTTP/1.1\r\n" HOST "Accept: */*\r\n\r\n";
	struct http_head h;

	(void)state;
	for (size_t n = 0; n < sizeof text - 1; n++)
		assert_int_equal(parse(text, n, &h), 0);
	assert_int_equal(parse(text, sizeof text - 1, &h), sizeof text - 1);
	assert_string_equal(h.request.path, "/status");
}

static void size_and_number_of_headers_are_limited(void **state)
{
	static char text[HTTP_HEAD_MAX + 1];
	size_t n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST);
	struct http_head h;

	(void)state;
	for (int i = 1; i < HTTP_HEADERS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "X-%d: y\r\n", i);
	snprintf(text + n, sizeof text - n, "\r\n");
	assert_int_equal(status_of(text), 200);
	snprintf(text + n, sizeof text - n, "X-more: y\r\n\r\n");
	assert_int_equal(status_of(text), 431);
	memset(text + n, 'x', sizeof text - n);
	assert_int_equal(parse(text, HTTP_HEAD_MAX - 1, &h), 0);
	assert_int_equal(parse(text, HTTP_HEAD_MAX, &h), -431);
	memset(text + 5, 'x', sizeof text - 5);
	assert_int_equal(parse(text, HTTP_HEAD_MAX, &h), -414);
}

static void names_of_this_machine_are_told_from_others(void **state)
{
	static const char *const local[] = { "127.0.0.1", "10.1.2.3", "::1", "fe80::1", "localhost", "LocalHost.", "a.localhost" };
	static const char *const other[] = { "", "example.com", "localhost.example.com", "evillocalhost",
						"127.0.0.1.example.com", "." };

	(void)state;
	for (size_t i = 0; i < COUNT(local); i++)
		assert_true(http_host_is_local(local[i]));
	for (size_t i = 0; i < COUNT(other); i++)
		assert_false(http_host_is_local(other[i]));
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(a_connection_is_kept_open_by_http_1_1_unless_it_says_otherwise),
		cmocka_unit_test(what_is_wrong_has_its_status),
		cmocka_unit_test(garbage_is_refused_before_its_end),
		cmocka_unit_test(a_head_may_come_in_any_pieces),
		cmocka_unit_test(size_and_number_of_headers_are_limited),
		cmocka_unit_test(names_of_this_machine_are_told_from_others),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

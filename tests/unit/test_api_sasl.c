/* test_api_sasl.c - SaslHandshake and SaslAuthenticate byte by byte, and what is cut or inconsistent is bad data. */
#include "producer/api.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "tests/lib/unit.h"

#define CORRELATION 0x01020304
#define ID "\x01\x02\x03\x04"
#define HEAD(length, key, version) "\0\0\0" length "\0" key "\0" version ID "\0\x02" "me"

static void assert_bytes(struct buf *b, const char *want, size_t n)
{
	assert_false(b->failed);
	assert_int_equal(b->len, n);
	assert_memory_equal(b->data, want, n);
	buf_release(b);
}
#define BYTES(b, text) assert_bytes(b, text, sizeof text - 1)

static void requests_are_known_bytes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(api_sasl_handshake_request(&b, 1, CORRELATION, "me", "PLAIN"), 0);
	BYTES(&b, HEAD("\x13", "\x11", "\x01") "\0\x05" "PLAIN");
	for (int16_t v = 0; v <= 1; v++) {
		assert_int_equal(api_sasl_authenticate_request(&b, v, CORRELATION, "me", "a\0b", 3), 0);
		b.data[7] = 0;
		BYTES(&b, HEAD("\x13", "\x24", "\x00") "\0\0\0\x03" "a\0b");
	}
	/* Flexible: tags end the header and the body, bytes have a varint of their length and one. */
	assert_int_equal(api_sasl_authenticate_request(&b, 2, CORRELATION, "me", "a\0b", 3), 0);
	BYTES(&b, HEAD("\x12", "\x24", "\x02") "\0" "\x04" "a\0b" "\0");
	assert_int_equal(api_sasl_authenticate_request(&b, 2, CORRELATION, "me", NULL, 0), 0);
	BYTES(&b, HEAD("\x0f", "\x24", "\x02") "\0" "\x01" "\0");
}

static void this_client_speaks_what_it_can_lay_out(void **state)
{
	(void)state;
	assert_int_equal(api_ours[API_SASL_HANDSHAKE].min, 1);
	assert_int_equal(api_ours[API_SASL_HANDSHAKE].max, 1);
	assert_int_equal(api_ours[API_SASL_AUTHENTICATE].min, 0);
	assert_int_equal(api_ours[API_SASL_AUTHENTICATE].max, 2);
}

/* Every prefix of it, and it with a byte more, is bad; exact copies show reading past the end to the sanitizer. */
static void assert_whole_or_bad(const char *data, size_t n, int (*parse)(const void *, size_t))
{
	for (size_t len = 0; len <= n + 1; len++) {
		char *copy = malloc(len + !len);

		memcpy(copy, data, len < n ? len : n);
		if (len > n)
			copy[n] = 0;
		assert_int_equal(parse(copy, len), len == n ? 0 : ERR_BAD_DATA);
		free(copy);
	}
}

static struct api_sasl_handshake handshake;

static int parse_handshake(const void *data, size_t n)
{
	return api_sasl_handshake_response(data, n, 1, CORRELATION, &handshake);
}

static void the_handshake_says_what_the_broker_offers(void **state)
{
	static const char good[] = ID "\0\0" "\0\0\0\x01" "\0\x05" "PLAIN",
			  refused[] = ID "\0\x21" "\0\0\0\x02" "\0\x0d" "SCRAM-SHA-256" "\0\x04" "A\x1b\x7f" "B",
			  none[] = ID "\0\x22" "\0\0\0\0";

	(void)state;
	assert_whole_or_bad(good, sizeof good - 1, parse_handshake);
	assert_int_equal(parse_handshake(good, sizeof good - 1), 0);
	assert_int_equal(handshake.error, 0);
	assert_string_equal(handshake.mechanisms, "PLAIN");
	assert_int_equal(parse_handshake(refused, sizeof refused - 1), 0);
	assert_int_equal(handshake.error, 33);
	assert_string_equal(handshake.mechanisms, "SCRAM-SHA-256, A??B");
	assert_int_equal(parse_handshake(none, sizeof none - 1), 0);
	assert_int_equal(handshake.error, 34);
	assert_string_equal(handshake.mechanisms, "");
	assert_int_equal(api_sasl_handshake_response(good, sizeof good - 1, 1, 7, &handshake), ERR_BAD_DATA);
}

static void mechanisms_without_room_are_left_out(void **state)
{
	char data[10 + 3 * 102];

	(void)state;
	memcpy(data, ID "\0\x21" "\0\0\0\x03", 10);
	for (int i = 0; i < 3; i++) {
		data[10 + i * 102] = 0;
		data[11 + i * 102] = 100;
		memset(data + 12 + i * 102, 'A' + i, 100);
	}
	assert_int_equal(parse_handshake(data, sizeof data), 0);
	assert_int_equal(strlen(handshake.mechanisms), 100);
	assert_int_equal(handshake.mechanisms[99], 'A');
}

static struct api_sasl_authenticate answer;
static int16_t answer_version;

static int parse_authenticate(const void *data, size_t n)
{
	return api_sasl_authenticate_response(data, n, answer_version, CORRELATION, &answer);
}

static void answers_are_read_in_each_version(void **state)
{
	static const char v0[] = ID "\0\0" "\xff\xff" "\0\0\0\x02" "v=",
			  v1[] = ID "\0\0" "\xff\xff" "\0\0\0\x02" "v=" "\0\0\0\0\0\x36\xee\x80",
			  v2[] = ID "\0" "\0\x3a" "\x06" "wrong" "\x01" "\0\0\0\0\0\0\0\0" "\0",
			  negative[] = ID "\0\0" "\xff\xff" "\0\0\0\0" "\xff\xff\xff\xff\xff\xff\xff\xff";

	(void)state;
	answer_version = 0;
	assert_whole_or_bad(v0, sizeof v0 - 1, parse_authenticate);
	assert_int_equal(parse_authenticate(v0, sizeof v0 - 1), 0);
	assert_null(answer.message);
	assert_int_equal(answer.auth_len, 2);
	assert_memory_equal(answer.auth, "v=", 2);
	assert_int_equal(answer.session_lifetime_ms, 0);
	answer_version = 1;
	assert_whole_or_bad(v1, sizeof v1 - 1, parse_authenticate);
	assert_int_equal(parse_authenticate(v1, sizeof v1 - 1), 0);
	assert_int_equal(answer.session_lifetime_ms, 3600000);
	assert_int_equal(parse_authenticate(negative, sizeof negative - 1), ERR_BAD_DATA);
	answer_version = 2;
	assert_whole_or_bad(v2, sizeof v2 - 1, parse_authenticate);
	assert_int_equal(parse_authenticate(v2, sizeof v2 - 1), 0);
	assert_int_equal(answer.error, 58);
	assert_int_equal(answer.message_len, 5);
	assert_memory_equal(answer.message, "wrong", 5);
	assert_int_equal(answer.auth_len, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(requests_are_known_bytes),
	cmocka_unit_test(this_client_speaks_what_it_can_lay_out),
	cmocka_unit_test(the_handshake_says_what_the_broker_offers),
	cmocka_unit_test(mechanisms_without_room_are_left_out),
	cmocka_unit_test(answers_are_read_in_each_version),
};

int main(int argc, char **argv) { return test_main(argc, argv, tests, COUNT(tests)); }

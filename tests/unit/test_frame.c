/* test_frame.c - messages come out of a stream as they were put in, however it was cut into reads. */
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#include "agent/intake/frame.h"

#define MAX 8

struct row {
	const char *bytes;
	bool syslog;
	enum conf_long_lines how;
	const char *messages[6];
	size_t lost;
};

static const struct row rows[] = {
	{ "a\nbc\r\n\nlast", false, CONF_LONG_SPLIT, { "a", "bc", "", "last" }, 0 },
	{ "12345678\n123456789\nx\n", false, CONF_LONG_SPLIT, { "12345678", "12345678", "9", "x" }, 0 },
	{ "12345678\r\n1234567890\r\nx\n", false, CONF_LONG_TRUNCATE, { "12345678", "12345678", "x" }, 3 },
	{ "1234567890123456789\nx\n", false, CONF_LONG_SKIP, { "x" }, 19 },
	{ "5 <1>ab3 <2>6 <3>a\nb", true, CONF_LONG_SPLIT, { "<1>ab", "<2>", "<3>a\nb" }, 0 },
	{ "<1>ab\n5 <1>cd\n<2>e\n", true, CONF_LONG_SPLIT, { "<1>ab", "<1>cd", "<2>e" }, 0 },	/* LF behind a count */
	{ "6 <1>cd\n<2>e\r\n", true, CONF_LONG_SPLIT, { "<1>cd", "<2>e" }, 0 },			/* LF within it */
	{ "12 mice\n2026 x\n7\n", true, CONF_LONG_SPLIT, { "12 mice", "2026 x", "7" }, 0 },	/* numbers, but no counts */
	{ "0 <1>\n", true, CONF_LONG_SPLIT, { "0 <1>" }, 0 },
	{ "99999999999 <1>", true, CONF_LONG_SPLIT, { "99999999", "999 <1>" }, 0 },	/* no count can be so long */
	{ "11 <1>90123456\n<2>\n", true, CONF_LONG_SPLIT, { "<1>90123", "456", "<2>" }, 0 },
	{ "11 <1>901234564 <2>x", true, CONF_LONG_TRUNCATE, { "<1>90123", "<2>x" }, 3 },
	{ "11 <1>901234564 <2>x", true, CONF_LONG_SKIP, { "<2>x" }, 11 },
	{ "2000000000 <1>x", true, CONF_LONG_SPLIT, { "<1>x" }, 0 },			/* it ends before it is there */
	{ "2000000000 <1>x", true, CONF_LONG_SKIP, { NULL }, 4 },
	{ "\n\r\n\n", true, CONF_LONG_SPLIT, { NULL }, 0 },
	{ "4 <1", true, CONF_LONG_SPLIT, { "<1" }, 0 },
	{ "4 ", true, CONF_LONG_SPLIT, { "4 " }, 0 },
};

/* As a connection does: what is not used up is kept, and at most frame_need bytes of it. */
struct stream { struct frame f; struct frame_rules r; uint8_t kept[64]; size_t n; const struct row *row; size_t got, lost; };

static void take(struct stream *s, const uint8_t *p, size_t n, bool final)
{
	struct frame_piece piece;
	size_t at = 0;

	if (n)
		memcpy(s->kept + s->n, p, n);
	s->n += n;
	for (;;) {
		uint8_t *exact = malloc(s->n - at + 1);
		bool more;

		memcpy(exact, s->kept + at, s->n - at);
		more = frame_next(&s->f, &s->r, exact, s->n - at, final, &piece);
		if (more && piece.value) {
			const char *want = s->row->messages[s->got++];

			if (!want || strlen(want) != piece.value_len || memcmp(want, piece.value, piece.value_len) != 0)
				fail_msg("%s: \"%.*s\"", s->row->bytes, (int)piece.value_len, (const char *)piece.value);
		}
		free(exact);
		if (!more)
			break;
		assert_in_range(piece.span, 1, s->n - at);
		s->lost += piece.lost;
		at += piece.span;
	}
	memmove(s->kept, s->kept + at, s->n - at);
	s->n -= at;
	assert_true(s->n < frame_need(&s->r));
}

static void run(const struct row *row, size_t a, size_t b)
{
	struct stream s = { .row = row, .r = { row->syslog, MAX, row->how } };
	const uint8_t *p = (const uint8_t *)row->bytes;
	size_t n = strlen(row->bytes);

	take(&s, p, a, false);
	take(&s, p + a, b - a, false);
	take(&s, p + b, n - b, false);
	take(&s, p, 0, true);
	if (s.n || s.lost != row->lost || row->messages[s.got])
		fail_msg("%s (%zu, %zu): %zu messages, %zu left, %zu lost", row->bytes, a, b, s.got, s.n, s.lost);
}

static void messages_are_the_same_whatever_the_cuts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = strlen(rows[i].bytes);

		for (size_t a = 0; a <= n; a++)
			for (size_t b = a; b <= n; b++)
				run(&rows[i], a, b);
	}
}

static void a_stream_byte_by_byte_gives_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct stream s = { .row = &rows[i], .r = { rows[i].syslog, MAX, rows[i].how } };

		for (const char *p = rows[i].bytes; *p; p++)
			take(&s, (const uint8_t *)p, 1, false);
		take(&s, NULL, 0, true);
		assert_null(rows[i].messages[s.got]);
		assert_int_equal(s.lost, rows[i].lost);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_the_same_whatever_the_cuts),
		cmocka_unit_test(a_stream_byte_by_byte_gives_the_same),
	};

	return test_main(argc, argv, tests, COUNT(tests));
}

/* test_syslog.c - what is read out of syslog messages: the examples of RFC 5424 and RFC 3164, habits, and what is none. */
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/intake/syslog.h"

#define NOW 1066000000		/* 2003-10-12 23:06:40 UTC */
#define NONE INT64_MIN

struct row {
	const char *message;
	int facility, severity, version;
	const char *timestamp, *hostname, *appname, *procid, *msgid, *data, *text;	/* NULL: it has none */
	int64_t ms;
};

static const struct row rows[] = {
	/* RFC 5424, 6.5 */
	{ "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8",
	  4, 2, 1, "2003-10-11T22:14:15.003Z", "mymachine.example.com", "su", NULL, "ID47", NULL,
	  "'su root' failed for lonvick on /dev/pts/8", 1065910455003 },
	{ "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
	  20, 5, 1, "2003-08-24T05:14:15.000003-07:00", "192.0.2.1", "myproc", "8710", NULL, NULL,
	  "%% It's time to make the do-nuts.", 1061727255000 },
	{ "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource="
	  "\"Application\" eventID=\"1011\"] \xef\xbb\xbf" "An application event log entry...",
	  20, 5, 1, "2003-10-11T22:14:15.003Z", "mymachine.example.com", "evntslog", NULL, "ID47",
	  "[exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"]", "An application event log entry...",
	  1065910455003 },
	{ "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\"]"
	  "[examplePriority@32473 class=\"high\"]",
	  20, 5, 1, "2003-10-11T22:14:15.003Z", "mymachine.example.com", "evntslog", NULL, "ID47",
	  "[exampleSDID@32473 iut=\"3\"][examplePriority@32473 class=\"high\"]", NULL, 1065910455003 },
	{ "<0>1 - - - - - -", 0, 0, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NONE },
	{ "<191>1 - h a p m -  two blanks", 23, 7, 1, NULL, "h", "a", "p", "m", NULL, " two blanks", NONE },
	/* Structured data that is none stands before the text; a header that is none is RFC 3164's business. */
	{ "<14>1 - h a p m [id x=\"y] text", 1, 6, 1, NULL, "h", "a", "p", "m", NULL, "[id x=\"y] text", NONE },
	{ "<14>1 2003-10-11 h a p m - text", 1, 6, 0, NULL, NULL, NULL, NULL, NULL, NULL, "1 2003-10-11 h a p m - text", NONE },
	{ "<14>1 0001-01-01T00:00:00Z h a p m - never set", 1, 6, 1, "0001-01-01T00:00:00Z", "h", "a", "p", "m", NULL, "never set",
	  NONE },
	/* RFC 3164, 5.4 */
	{ "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
	  4, 2, 0, "Oct 11 22:14:15", "mymachine", "su", NULL, NULL, NULL, "'su root' failed for lonvick on /dev/pts/8",
	  1065910455000 },
	{ "Use the BFG!", -1, -1, 0, NULL, NULL, NULL, NULL, NULL, NULL, "Use the BFG!", NONE },
	{ "<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time to make the do-nuts.",
	  20, 5, 0, "Aug 24 05:34:00", "CST", NULL, NULL, NULL, NULL,
	  "1987 mymachine myproc[10]: %% It's time to make the do-nuts.",
	  1061703240000 },
	{ "<0>1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All Folks!",
	  0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL,
	  "1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All Folks!", NONE },
	/* Habits */
	{ "<13>Oct  1 22:14:15 root: from logger", 1, 5, 0, "Oct  1 22:14:15", NULL, "root", NULL, NULL, NULL, "from logger",
	  1065046455000 },
	{ "<30>Oct 11 22:14:15 systemd[1]: Started", 3, 6, 0, "Oct 11 22:14:15", NULL, "systemd", "1", NULL, NULL, "Started",
	  1065910455000 },
	{ "<30>2003-10-11T22:14:15+00:00 web-1 nginx[7]: up", 3, 6, 0, "2003-10-11T22:14:15+00:00", "web-1", "nginx", "7", NULL,
	  NULL, "up", 1065910455000 },
	{ "<189>Oct 11 2003 22:14:15: %ASA-5-111008: user", 23, 5, 0, "Oct 11 2003 22:14:15", NULL, "%ASA-5-111008", NULL, NULL,
	  NULL, "user", 1065910455000 },
	{ "<14>app: no time", 1, 6, 0, NULL, NULL, "app", NULL, NULL, NULL, "no time", NONE },
	/* In January it is December of last year. */
	{ "<14>Dec 31 22:14:15 h a: b", 1, 6, 0, "Dec 31 22:14:15", "h", "a", NULL, NULL, NULL, "b", 1041372855000 },
	/* None */
	{ "", -1, -1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NONE },
	{ "<", -1, -1, 0, NULL, NULL, NULL, NULL, NULL, NULL, "<", NONE },
	{ "<192>x", -1, -1, 0, NULL, NULL, NULL, NULL, NULL, NULL, "<192>x", NONE },
	{ "<>x", -1, -1, 0, NULL, NULL, NULL, NULL, NULL, NULL, "<>x", NONE },
	{ "<1234>x", -1, -1, 0, NULL, NULL, NULL, NULL, NULL, NULL, "<1234>x", NONE },
	{ "<7>", 0, 7, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NONE },
	{ "<14>Oct 41 22:14:15 h a: b", 1, 6, 0, NULL, NULL, NULL, NULL, NULL, NULL, "Oct 41 22:14:15 h a: b", NONE },
	{ "<14>1 9999-12-31T23:59:60Z h a - - - far", 1, 6, 1, "9999-12-31T23:59:60Z", "h", "a", NULL, NULL, NULL, "far", NONE },
};

static void assert_part(const struct row *r, const struct syslog_part *got, const char *want)
{
	if (got->n != (want ? strlen(want) : 0) || (want && memcmp(got->p, want, got->n) != 0))
		fail_msg("%s: \"%.*s\" is not \"%s\"", r->message, (int)got->n, got->n ? (const char *)got->p : "",
			 want ? want : "");
}

static void each_part_of_a_message_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *r = &rows[i];
		size_t n = strlen(r->message);
		uint8_t *exact = malloc(n + !n);
		struct syslog s;

		memcpy(exact, r->message, n);		/* a byte too far is seen */
		syslog_parse(exact, n, NOW, &s);
		if (s.facility != r->facility || s.severity != r->severity || s.version != r->version)
			fail_msg("%s: %d %d %d", r->message, s.facility, s.severity, s.version);
		assert_part(r, &s.timestamp, r->timestamp);
		assert_part(r, &s.hostname, r->hostname);
		assert_part(r, &s.appname, r->appname);
		assert_part(r, &s.procid, r->procid);
		assert_part(r, &s.msgid, r->msgid);
		assert_part(r, &s.data, r->data);
		assert_part(r, &s.text, r->text);
		if (s.has_time != (r->ms != NONE) || (s.has_time && s.time_ns / 1000000 != r->ms))
			fail_msg("%s: time %lld", r->message, (long long)s.time_ns);
		free(exact);
	}
}

static void assert_fields(const char *message, size_t n, const char *want)
{
	struct syslog s;
	json_t *o, *w = json_loads(want, 0, NULL);

	syslog_parse((const uint8_t *)message, n, NOW, &s);
	o = syslog_fields(&s);
	assert_non_null(w);
	if (!json_equal(o, w))
		fail_msg("%s", json_dumps(o, 0));
	json_decref(o);
	json_decref(w);
}

static void fields_have_names_and_structured_data_is_an_object(void **state)
{
	static const char sd[] = "<165>1 - h a 1 m [a@1 x=\"1\" y=\"q\\\"b\\\\c\\]d\\n\"][b] t";

	(void)state;
	assert_fields(sd, sizeof sd - 1, "{\"facility\":\"local4\",\"severity\":\"notice\",\"hostname\":\"h\",\"appname\":\"a\","
		      "\"procid\":\"1\",\"msgid\":\"m\",\"structured_data\":{\"a@1\":{\"x\":\"1\",\"y\":\"q\\\"b\\\\c]d\\\\n\"},"
		      "\"b\":{}},\"text\":\"t\"}");
	assert_fields("plain", 5, "{\"text\":\"plain\"}");
}

static void bytes_that_are_no_text_are_replaced_in_fields(void **state)
{
	(void)state;
	assert_fields("<6>x: a\xff\xc0z", 10, "{\"facility\":\"kern\",\"severity\":\"info\",\"appname\":\"x\","
		      "\"text\":\"a\\ufffd\\ufffdz\"}");
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_part_of_a_message_is_found),
		cmocka_unit_test(fields_have_names_and_structured_data_is_an_object),
		cmocka_unit_test(bytes_that_are_no_text_are_replaced_in_fields),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return test_main(argc, argv, tests, COUNT(tests));
}
